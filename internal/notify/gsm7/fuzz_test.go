package gsm7

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzSeptets compares with an encoder: the count is that of the codes it
// writes, and the codes give the text back.
func FuzzSeptets(f *testing.F) {
	for _, text := range []string{"", "Crédité à Ouaga: ù Ç.", "[€]", "\x1b", "\x00", "a\xffb", "’", strings.Repeat("é", 161)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := Septets(text)
		codes, fits := encode(text)
		if fits != (err == nil) || fits && n != len(codes) {
			t.Fatalf("%q: %d septets, %v; encoded as %v, %t", text, n, err, codes, fits)
		}
		if fits && decode(codes) != text {
			t.Fatalf("%q is encoded as %v, which is %q", text, codes, decode(codes))
		}
	})
}

const escape = 0x1b

// second are the codes of the extension table's characters.
var second = map[rune]byte{'\f': 0x0a, '^': 0x14, '{': 0x28, '}': 0x29, '\\': 0x2f, '[': 0x3c, '~': 0x3d, ']': 0x3e, '|': 0x40, '€': 0x65}

func encode(text string) (codes []byte, fits bool) {
	for _, ch := range text {
		if code, ok := second[ch]; ok {
			codes = append(codes, escape, code)
			continue
		}
		at := slices.Index([]rune(basic), ch)
		if at < 0 || at == escape || ch == utf8.RuneError {
			return nil, false
		}
		codes = append(codes, byte(at))
	}
	return codes, true
}

func decode(codes []byte) string {
	var text strings.Builder
	for i := 0; i < len(codes); i++ {
		if codes[i] != escape {
			text.WriteRune([]rune(basic)[codes[i]])
			continue
		}
		i++
		for ch, code := range second {
			if code == codes[i] {
				text.WriteRune(ch)
			}
		}
	}
	return text.String()
}
