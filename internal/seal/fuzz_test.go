package seal_test

import (
	"bytes"
	"errors"
	"testing"

	"tenu/internal/fuzztest"
	"tenu/internal/seal"
)

// FuzzOpen opens whatever stands in a database: it never fails otherwise than by a precise error, costs what the value is
// long, and gives nothing out that was not sealed for the place.
func FuzzOpen(f *testing.F) {
	k, _, _ := keeperOf(f)
	r := ringOf(f, k, keyOf(f, k))
	where := seal.Where("case_entry.text", int64(5), int64(3))
	f.Add([]byte(r.Text(where, words)))
	f.Add(r.Bytes(where, []byte(words)))
	f.Add([]byte(r.Text(seal.Where("case_entry.text", int64(5), int64(4)), words)))
	for _, seed := range []string{"", seal.Mark, seal.Mark + "1:", seal.Mark + "01:AAAA", seal.Mark + "-1:AAAA", seal.Mark + "9223372036854775807:AAAA",
		seal.Plain[string]() + "plain", string(seal.Plain[[]byte]()), string(seal.Prefix[[]byte](1)), string(seal.Prefix[[]byte](-1)), words} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, stored []byte) {
		fuzztest.Within(t, 1<<16+8*len(stored), func() {
			text, err := r.OpenText(where, string(stored))
			checkOpened(t, string(stored), text, seal.Sealed(string(stored)), string(seal.Plain[string]()), err)
			data, err := r.OpenBytes(where, stored)
			checkOpened(t, string(stored), string(data), seal.Sealed(stored), string(seal.Plain[[]byte]()), err)
		})
	})
}

func checkOpened(t *testing.T, stored, opened string, sealed bool, zero string, err error) {
	t.Helper()
	var key *seal.KeyError
	switch {
	case err != nil && (opened != "" || !errors.Is(err, seal.ErrChanged) && !errors.As(err, &key)):
		t.Errorf("%q: %q, %v", stored, opened, err)
	case err == nil && !sealed && opened != stored:
		t.Errorf("%q was read as %q", stored, opened)
	case err == nil && sealed && opened != words && !bytes.HasPrefix([]byte(stored), []byte(zero)):
		t.Errorf("%q gave %q out", stored, opened)
	}
}
