package person_test

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"

	"tenu/internal/person"
)

func TestEveryFormOfANumberIsFound(t *testing.T) {
	f := person.NewForms(22670123456, "226")
	for _, text := range []string{"+22670123456", "22670123456", "0022670123456", "70123456", "70 12 34 56", "70-12-34-56", "70.12.34.56",
		"+226 70 12 34 56", "(+226) 70/12/34/56", "70\u00a012\u202f34 56", "+226-70123456", "00226 70123456", "7012 3456", "%2B22670123456", "tx9922670123456001"} {
		for _, around := range []string{"@", "call @ now", "a,@;b", "x@\n", `{"number":"@"}`} {
			whole := strings.ReplaceAll(around, "@", text)
			if !f.In(whole) {
				t.Errorf("%q is not found", whole)
			}
			got := f.Replace(whole, person.Mark)
			plain := got
			for _, s := range person.Separators() {
				plain = strings.ReplaceAll(plain, s, "")
			}
			if f.In(got) || strings.Contains(plain, "70123456") {
				t.Errorf("%q becomes %q", whole, got)
			}
		}
	}
	for _, text := range []string{"", "70123457", "1701234561", "170123456", "701234561", "70 12 34 57", "226701234", "12:30 70 12 34", "7012345"} {
		if f.In(text) {
			t.Errorf("%q is found", text)
		}
	}
	if got := f.Replace("70123456 and 70 12 34 56, 170123456, 70123456", "$1"); got != "$1 and $1, 170123456, $1" {
		t.Errorf("got %q", got)
	}
	// Without a country only the whole number is looked for.
	if f := person.NewForms(33612345678, "226"); !f.In("+33 6 12 34 56 78") || f.In("612345678") {
		t.Error("a number of another country")
	}
}

func TestDrawIsOfChanceAlone(t *testing.T) {
	var chance bytes.Buffer
	for i := range 1000 {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		chance.Write(sum[:])
	}
	seen := map[int64]bool{}
	for range 1000 {
		n, err := person.Draw(&chance)
		if err != nil || !n.Erased() || seen[int64(n)] || !strings.HasPrefix(n.String(), "erased-") || len(n.String()) != len("erased-")+18 || n.Masked() != n.String() {
			t.Fatalf("drew %s: %v", n, err)
		}
		seen[int64(n)] = true
	}
	if _, err := person.Draw(strings.NewReader("short")); err == nil {
		t.Error("drew without chance")
	}
}
