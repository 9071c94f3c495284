package partner

import (
	"strings"
	"testing"
	"unicode/utf8"

	"tenu/internal/purchase"
)

func TestDetailHoldsNoNumber(t *testing.T) {
	if got := Detail("account 22670112233 at 10.0.0.1:2080, code 12345"); got != "account … at 10.0.0.1:2080, code 12345" {
		t.Errorf("got %q", got)
	}
	if got := Detail(strings.Repeat("é", 10_000)); len(got) > purchase.MaxDetail {
		t.Errorf("%d bytes", len(got))
	}
	if got := Detail("\x00a\nb\xff" + strings.Repeat("é", 200)); !strings.HasPrefix(got, "abé") || !utf8.ValidString(got) {
		t.Errorf("got %q", got)
	}
}
