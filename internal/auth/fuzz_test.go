package auth_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"tenu/internal/auth"
)

// FuzzAuthenticate: nothing but the very key opens, and only before its end.
func FuzzAuthenticate(f *testing.F) {
	key, err := auth.NewKey("shop", bytes.NewReader(make([]byte, 32)))
	if err != nil {
		f.Fatal(err)
	}
	ends := noon.Add(time.Hour)
	book, err := auth.NewBook([]auth.Client{client("shop", auth.Key{Hash: auth.HashKey(key), Expires: ends})})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(key, int64(0))
	f.Add(key, int64(time.Hour))
	f.Add(strings.ToUpper(key), int64(-1))
	f.Add(key+"\x00", int64(0))
	f.Add(auth.HashKey(key).String(), int64(0))
	f.Fuzz(func(t *testing.T, text string, after int64) {
		now := noon.Add(time.Duration(after))
		got, err := book.Authenticate(text, now)
		if opens := text == key && now.Before(ends); opens != (err == nil) || opens != (got != nil) {
			t.Fatalf("%q at %s: %v, %v", text, now, got, err)
		}
	})
}

// FuzzParseHash: a hash is read in one form only.
func FuzzParseHash(f *testing.F) {
	f.Add(auth.HashKey("x").String())
	f.Add(strings.ToUpper(auth.HashKey("x").String()))
	f.Add("sha256:")
	f.Fuzz(func(t *testing.T, text string) {
		hash, err := auth.ParseHash(text)
		if err == nil && hash.String() != strings.ToLower(text) {
			t.Fatalf("%q is read as %s", text, hash)
		}
		if err != nil && hash != (auth.Hash{}) {
			t.Fatalf("%q is refused and read as %s", text, hash)
		}
	})
}

// FuzzNewKey: a client's name never makes a key that could be another client's.
func FuzzNewKey(f *testing.F) {
	f.Add("shop")
	f.Add("a_b")
	f.Add("-")
	f.Add("shop\n")
	f.Fuzz(func(t *testing.T, name string) {
		key, err := auth.NewKey(name, bytes.NewReader(make([]byte, 32)))
		if (err == nil) != (auth.CheckName(name) == nil) {
			t.Fatalf("%q: %v", name, err)
		}
		if err != nil {
			return
		}
		parts := strings.Split(key, "_")
		if len(parts) != 3 || parts[0] != "tenu" || parts[1] != name || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Fatalf("%q: %q", name, key)
		}
	})
}
