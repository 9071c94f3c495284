package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// studio writes a recording of a tenth of a second as 16-bit PCM.
func studio(t *testing.T, dir, name string, rate int) {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00")
	for _, field := range []any{uint16(1), uint16(1), uint32(rate), uint32(2 * rate), uint16(2), uint16(16)} {
		_ = binary.Write(&b, binary.LittleEndian, field)
	}
	b.WriteString("data\x40\x06\x00\x00")
	b.Write(make([]byte, 1600))
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What an operator does with a studio's recordings.
func TestVoicesFromTheCommandLine(t *testing.T) {
	words := cli(t, exitDone, "voice", "words", "--language", "fr")
	if !strings.Contains(words, "fr/number/17.wav,dix-sept\n") || strings.Contains(words, "\nen/") {
		t.Errorf("a studio is told:\n%s", words)
	}
	if got := cli(t, exitUsage, "voice", "words", "--language", "mos"); !strings.Contains(got, `not "mos"`) {
		t.Errorf("of another language: %s", got)
	}
	from, own := t.TempDir(), filepath.Join(t.TempDir(), "voices")
	if got := cli(t, exitFailed, "voice", "replace", from, own); !strings.Contains(got, "no recording in it") {
		t.Errorf("nothing recorded: %s", got)
	}
	studio(t, from, "fr/number/17.wav", 8000)
	studio(t, from, "fr/number/18.wav", 44100)
	if got := cli(t, exitFailed, "voice", "replace", from, own); !strings.Contains(got, "fr/number/18.wav: 1 channels of 44100 samples a second") {
		t.Errorf("a bad recording: %s", got)
	}
	if _, err := os.Stat(own); err == nil {
		t.Error("some were copied though one is bad")
	}
	studio(t, from, "fr/number/18.wav", 8000)
	if got := cli(t, exitDone, "voice", "replace", from, own); !strings.Contains(got, "fr: 2 recordings replaced") {
		t.Errorf("two good ones: %s", got)
	}
	all := strings.Count(words, "\n") - 1
	missing := cli(t, exitFailed, "voice", "missing", "--language", "fr", own)
	if lines := strings.Count(missing, "\n") - 1; lines != all-2 || strings.Contains(missing, "fr/number/17.wav") || !strings.Contains(missing, "fr/number/19.wav") {
		t.Errorf("%d of %d are missing:\n%s", lines, all, missing)
	}
	if got := cli(t, exitFailed, "voice", "missing", "--language", "fr", "--json", own); !strings.Contains(got, `"words": "dix-neuf"`) {
		t.Errorf("as JSON: %s", got)
	}
}
