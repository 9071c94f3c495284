package partner

import (
	"regexp"
	"strings"
	"unicode"

	"tenu/internal/purchase"
)

// longNumber is what may be somebody's: digits of any script, six together or
// eight in groups such as 70 11 22 33. Addresses and dates may go with them.
var longNumber = regexp.MustCompile(`\p{Nd}(?:[ ./()-]{0,2}\p{Nd}){7,}|\p{Nd}{6,}`)

// Detail makes what a partner or a library said fit for purchase.Outcome.Detail:
// bounded, valid UTF-8 of printable characters, and without any number long
// enough to be somebody's.
func Detail(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Zs, r):
			return ' '
		case !unicode.IsPrint(r) || r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, text[:min(len(text), 4*purchase.MaxDetail)])
	text = longNumber.ReplaceAllString(text, "…")
	return strings.ToValidUTF8(text[:min(len(text), purchase.MaxDetail)], "")
}

// told is a partner's error whose text is fit for a log. It wraps that error.
type told struct{ error }

// Error is the text as Detail has it.
func (t told) Error() string { return Detail(t.error.Error()) }

// Unwrap returns the error as it was.
func (t told) Unwrap() error { return t.error }
