// Package sheettest reads PDFs that package sheet wrote, for tests.
package sheettest

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"
)

var (
	stream = regexp.MustCompile(`(?s)/Filter /FlateDecode /Length (\d+)>>\s*stream\n`)
	shown  = regexp.MustCompile(`\(((?:[^()\\]|\\.)*)\)\s*Tj`)
	escape = regexp.MustCompile(`\\(.)`)
	table  = regexp.MustCompile(`startxref\n(\d+)\n`)
	entry  = regexp.MustCompile(`(\d{10}) 00000 n `)
)

// Pages are the texts that each page of a PDF shows, a line each and with plain spaces; strokes is how many lines are drawn on all.
func Pages(t testing.TB, pdf []byte) (pages []string, strokes int) {
	t.Helper()
	for _, found := range stream.FindAllSubmatchIndex(pdf, -1) {
		length, err := strconv.Atoi(string(pdf[found[2]:found[3]]))
		if err != nil {
			t.Fatal(err)
		}
		z, err := zlib.NewReader(bytes.NewReader(pdf[found[1] : found[1]+length]))
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, m := range shown.FindAllSubmatch(content, -1) {
			latin, err := charmap.Windows1252.NewDecoder().Bytes(m[1])
			if err != nil {
				t.Fatal(err)
			}
			text += escape.ReplaceAllString(string(latin), "$1") + "\n"
		}
		if text != "" {
			pages = append(pages, strings.ReplaceAll(text, "\u00a0", " "))
		}
		strokes += bytes.Count(content, []byte(" l"))
	}
	return pages, strokes
}

// Check reads the table of a PDF's objects: each is where the table says.
func Check(t testing.TB, pdf []byte) {
	t.Helper()
	if !bytes.HasPrefix(pdf, []byte("%PDF-1.")) || !bytes.HasSuffix(bytes.TrimSpace(pdf), []byte("%%EOF")) {
		t.Fatal("no PDF")
	}
	m := table.FindSubmatch(pdf)
	if m == nil {
		t.Fatal("no table")
	}
	start, err := strconv.Atoi(string(m[1]))
	if err != nil || !bytes.HasPrefix(pdf[start:], []byte("xref\n0 ")) {
		t.Fatalf("no table at %s", m[1])
	}
	entries := entry.FindAllSubmatch(pdf[start:], -1)
	for i, e := range entries {
		offset, err := strconv.Atoi(string(e[1]))
		if err != nil || !bytes.HasPrefix(pdf[offset:], fmt.Appendf(nil, "%d 0 obj", i+1)) {
			t.Errorf("object %d is not at %s", i+1, e[1])
		}
	}
	if len(entries) < 5 || !bytes.Contains(pdf[start:], []byte("/Root ")) {
		t.Errorf("%d objects", len(entries))
	}
}
