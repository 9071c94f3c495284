package ussd

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzTyped: what a gateway sends comes in parts that can be kept as they are, and
// what is typed on does not change those before it.
func FuzzTyped(f *testing.F) {
	for _, text := range []string{"", "7", "121*7", "*121*7#", "1*1*1*1050*1", "1**2", "\xff*\x00", "é*😀", strings.Repeat("1*", 200), strings.Repeat("é", 100)} {
		f.Add(text, "*121#")
	}
	f.Add("384*96*7", "*384*96#")
	f.Fuzz(func(t *testing.T, text, code string) {
		parts := typed(text, code)
		for i, part := range parts {
			if len(part) > maxPart || !utf8.ValidString(part) || strings.IndexFunc(part, unicode.IsControl) >= 0 ||
				i < maxTyped && strings.Contains(part, "*") {
				t.Errorf("part %d is %q", i, part)
			}
		}
		if len(parts) > maxTyped {
			return
		}
		whole := strings.Join(parts, "*")
		if again := typed(whole, ""); len(parts) > 0 && !slices.Equal(again, parts) {
			t.Errorf("kept as %q, which is %q, not %q", whole, again, parts)
		}
		before, after := typed(text, ""), typed(text+"*9", "")
		if len(before) <= maxTyped && (len(after) < len(before) || !slices.Equal(after[:len(before)], before)) {
			t.Errorf("%q is %q, and typed on %q", text, before, after)
		}
	})
}
