package store_test

import (
	"path/filepath"
	"reflect"
	"testing"

	"tenu/internal/purchase"
	"tenu/internal/testpeer"
	"tenu/internal/ussd"
)

func TestUSSDSessions(t *testing.T) {
	for kind, dsn := range map[string]string{"sqlite": "sqlite:" + filepath.Join(t.TempDir(), "tenu.db"), "postgres": testpeer.VolatilePostgres(t)} {
		t.Run(kind, func(t *testing.T) {
			s := open(t, fresh(t, dsn))
			const number = 22670112233
			kept := func() ussd.Kept {
				t.Helper()
				k, err := s.USSDSession(t.Context(), number)
				if err != nil {
					t.Fatal(err)
				}
				return k
			}
			keep := func(k ussd.Kept) {
				t.Helper()
				if err := s.KeepUSSDSession(t.Context(), k); err != nil {
					t.Fatal(err)
				}
			}
			if k := kept(); k.Session != "" {
				t.Errorf("of nobody: %+v", k)
			}
			first := ussd.Kept{Number: number, Base: ussd.Base{Session: "a", Began: 5, Typed: []string{"1", "", "é 2"}}, At: 7}
			keep(first)
			if k := kept(); !reflect.DeepEqual(k, first) {
				t.Errorf("got %+v, want %+v", k, first)
			}
			late := first
			late.Typed, late.At = late.Typed[:1], 8
			keep(late)
			if k := kept(); !reflect.DeepEqual(k, first) {
				t.Errorf("after a late turn %+v, want %+v", k, first)
			}
			ended := first
			ended.At, ended.Ended = 9, true
			keep(ended)
			second := ussd.Kept{Number: number, Base: ussd.Base{Session: "b", Began: 9}, At: 10, Dropped: first.Base}
			for _, k := range []ussd.Kept{ended, second} {
				keep(k)
				if got := kept(); !reflect.DeepEqual(got, k) {
					t.Errorf("got %+v, want %+v", got, k)
				}
			}
			for _, drop := range []struct {
				before purchase.Instant
				left   string
			}{{10, "b"}, {11, ""}} {
				if err := s.DropUSSDSessions(t.Context(), drop.before); err != nil {
					t.Fatal(err)
				}
				if k := kept(); k.Session != drop.left {
					t.Errorf("dropped those before %d: %+v stays", drop.before, k)
				}
			}
		})
	}
}
