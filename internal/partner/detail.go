package partner

import (
	"regexp"
	"strings"
	"unicode"

	"tenu/internal/purchase"
)

var longNumber = regexp.MustCompile(`\d{6,}`)

// Detail makes what a partner or a library said fit for purchase.Outcome.Detail:
// bounded, valid UTF-8 without control characters, and without any number long
// enough to be somebody's.
func Detail(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, text[:min(len(text), 4*purchase.MaxDetail)])
	text = longNumber.ReplaceAllString(text, "…")
	return strings.ToValidUTF8(text[:min(len(text), purchase.MaxDetail)], "")
}
