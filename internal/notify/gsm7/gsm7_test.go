package gsm7

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSeptets(t *testing.T) {
	for text, want := range map[string]int{
		"":                       0,
		"1 050 F CFA":            11,
		"Crédité à Ouaga: ù Ç.":  21,
		"€":                      2,
		"[a]":                    5,
		"Δ_ΦΓΛΩΠΨΣΘΞ":            11,
		strings.Repeat("é", 160): 160,
	} {
		if got, err := Septets(text); err != nil || got != want {
			t.Errorf("%q: got %d %v, want %d", text, got, err, want)
		}
	}
	// The characters of French that the alphabet lacks, and the spaces and
	// quotes that typesetting brings in.
	for _, ch := range "çêâîôûëïœÀÈÊÔŒ’“«…\u00a0\u202f`\t\x00\x1b\ufffd" {
		if n, err := Septets("abc" + string(ch)); err == nil {
			t.Errorf("%q: got %d septets", ch, n)
		}
	}
	if _, err := Septets("a\xffb"); err == nil {
		t.Error("broken UTF-8 passes")
	}
}

// The standard's tables hold 127 characters beside the escape, and 10.
func TestAlphabet(t *testing.T) {
	if n := utf8.RuneCountInString(basic); n != 128 {
		t.Errorf("the default alphabet has %d places", n)
	}
	if n := utf8.RuneCountInString(extension); n != 10 {
		t.Errorf("the extension has %d places", n)
	}
	// Spot checks of code positions in 3GPP TS 23.038.
	codes := []rune(basic)
	for code, want := range map[int]rune{0x00: '@', 0x05: 'é', 0x09: 'Ç', 0x0a: '\n', 0x10: 'Δ', 0x1c: 'Æ', 0x1f: 'É',
		0x20: ' ', 0x24: '¤', 0x40: '¡', 0x41: 'A', 0x5b: 'Ä', 0x5f: '§', 0x60: '¿', 0x61: 'a', 0x7b: 'ä', 0x7f: 'à'} {
		if codes[code] != want {
			t.Errorf("code %#x is %q, want %q", code, codes[code], want)
		}
	}
}

func BenchmarkSeptets(b *testing.B) {
	text := strings.Repeat("Crédité : 1 000 F", 9)
	for b.Loop() {
		if _, err := Septets(text); err != nil {
			b.Fatal(err)
		}
	}
}

// What others named is written as well as the alphabet can.
func TestFit(t *testing.T) {
	for text, want := range map[string]string{
		"forfait même, façon œuf «là»":    `forfait meme, facon oeuf "là"`,
		"Crédit à 14:00":                  "Crédit à 14:00",
		"1\u00a0050\u202fF CFA":           "1 050 F CFA",
		"日本 \x00 \xff":                    "?? ? ?",
		strings.Repeat("é", 200):          strings.Repeat("é", 160),
		strings.Repeat("a", 159) + "€":    strings.Repeat("a", 159),
		strings.Repeat("a", 158) + "€end": strings.Repeat("a", 158) + "€",
	} {
		if got := Fit(text); got != want {
			t.Errorf("%q is written as %q, not %q", text, got, want)
		}
	}
}
