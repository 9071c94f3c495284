// Package gsm7 knows the GSM 7-bit default alphabet and its extension table
// (3GPP TS 23.038 section 6.2.1) and how long a text is in them. It knows nothing
// of what is said in it.
package gsm7

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxSeptets is how many septets one short message holds (3GPP TS 23.040).
const MaxSeptets = 160

// basic is the default alphabet in the order of its codes; the escape, 0x1B,
// is not a character.
const basic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x00ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
	"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"

// extension is the table behind the escape: two septets each.
const extension = "\f^{}\\[~]|€"

// narrow gives the septets of the characters below 256, wide those of the rest.
var narrow, wide = index()

func index() (narrow [256]uint8, wide map[rune]uint8) {
	wide = map[rune]uint8{}
	for cost, table := range map[uint8]string{1: basic, 2: extension} {
		for _, ch := range table {
			switch {
			case ch == 0:
			case ch < 256:
				narrow[ch] = cost
			default:
				wide[ch] = cost
			}
		}
	}
	return narrow, wide
}

// Septets is how many septets a text takes, or an error that names its first
// character outside the alphabet.
func Septets(text string) (int, error) {
	n := 0
	for _, ch := range text {
		var cost uint8
		if ch < 256 {
			cost = narrow[ch]
		} else {
			cost = wide[ch]
		}
		if cost == 0 {
			return 0, fmt.Errorf("%q is not in the GSM 7-bit alphabet", ch)
		}
		n += int(cost)
	}
	return n, nil
}

// Fits reports whether a text is one message of the alphabet.
func Fits(text string) bool {
	n, err := Septets(text)
	return err == nil && n <= MaxSeptets
}

// written are characters outside the alphabet that are no letters with marks.
var written = map[rune]string{'œ': "oe", 'Œ': "OE", '’': "'", '‘': "'", '“': `"`, '”': `"`, '«': `"`, '»': `"`, '–': "-", '—': "-", '…': "...",
	'\u00a0': " ", '\u202f': " ", '\t': " "}

// Fit makes a text one message of the alphabet: letters that are not in it lose their
// marks, what cannot be written becomes a question mark, and what is too long is cut.
// It is for texts that hold what others named; our own fit as they are.
func Fit(text string) string {
	var b strings.Builder
	room := MaxSeptets
	for _, ch := range text {
		as := nearest(ch)
		n, err := Septets(as)
		if err != nil || n > room {
			break
		}
		room -= n
		b.WriteString(as)
	}
	return b.String()
}

// nearest is a character as the alphabet can write it.
func nearest(ch rune) string {
	if _, err := Septets(string(ch)); err == nil {
		return string(ch)
	}
	if as, known := written[ch]; known {
		return as
	}
	base, _ := utf8.DecodeRuneInString(norm.NFD.String(string(ch)))
	if _, err := Septets(string(base)); err == nil {
		return string(base)
	}
	return "?"
}
