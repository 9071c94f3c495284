package auth_test

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"tenu/internal/auth"
)

var noon = time.Date(2024, 7, 9, 12, 0, 0, 0, time.UTC)

func newKey(t *testing.T, client string) string {
	t.Helper()
	key, err := auth.NewKey(client, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func client(name string, keys ...auth.Key) auth.Client {
	return auth.Client{Name: name, Channel: "api", Scopes: []auth.Scope{auth.PurchasesRead}, Keys: keys,
		Rate: 1, Burst: 1, InFlight: 1, Streams: 1}
}

func TestAuthenticate(t *testing.T) {
	first, second, expired, foreign := newKey(t, "shop"), newKey(t, "shop"), newKey(t, "shop"), newKey(t, "shop")
	other := newKey(t, "other")
	book, err := auth.NewBook([]auth.Client{
		client("shop", auth.Key{Hash: auth.HashKey(first)}, auth.Key{Hash: auth.HashKey(second), Expires: noon.Add(1)},
			auth.Key{Hash: auth.HashKey(expired), Expires: noon}),
		client("other", auth.Key{Hash: auth.HashKey(other)}),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ key, want string }{
		"first":     {first, "shop"},
		"second":    {second, "shop"},
		"other":     {other, "other"},
		"expired":   {expired, ""},
		"foreign":   {foreign, ""},
		"empty":     {"", ""},
		"cut":       {first[:len(first)-1], ""},
		"longer":    {first + "0", ""},
		"too long":  {first + strings.Repeat("0", 4096), ""},
		"upper":     {strings.ToUpper(first), ""},
		"zero byte": {first + "\x00", ""},
		"renamed":   {strings.Replace(first, "shop", "other", 1), ""},
		"the hash":  {auth.HashKey(first).String(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := book.Authenticate(c.key, noon)
			switch {
			case c.want == "" && (got != nil || err != auth.ErrKey): //nolint:errorlint // the very same value, nothing wrapped that could tell
				t.Errorf("got %v, %v, want ErrKey itself", got, err)
			case c.want != "" && (err != nil || got.Name != c.want):
				t.Errorf("got %v, %v, want %s", got, err, c.want)
			}
		})
	}
}

func TestBookRefuses(t *testing.T) {
	key := auth.Key{Hash: auth.HashKey("x")}
	broken := client("shop", key)
	broken.Scopes = []auth.Scope{"purchases:delete"}
	idle := client("shop", key)
	idle.InFlight = 0
	for want, clients := range map[string][]auth.Client{
		"listed twice":      {client("shop", key), client("shop", auth.Key{Hash: auth.HashKey("y")})},
		"given again":       {client("shop", key), client("other", key)},
		"no key":            {client("shop")},
		`"Shop"`:            {client("Shop", key)},
		"purchases:delete":  {broken},
		"must be positive":  {idle},
		`name "a_b"`:        {client("a_b", key)},
		`client name "-ab"`: {client("-ab", key)},
	} {
		if _, err := auth.NewBook(clients); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

func TestNewKey(t *testing.T) {
	key := newKey(t, "max-it")
	if secret, ok := strings.CutPrefix(key, "tenu_max-it_"); !ok || len(secret) != 52 {
		t.Errorf("key %q does not have the form tenu_<client>_<52 characters>", key)
	}
	if _, err := auth.NewKey("max_it", rand.Reader); err == nil {
		t.Error("a client name with the separator was accepted")
	}
	if _, err := auth.NewKey("shop", bytes.NewReader(make([]byte, 31))); err == nil {
		t.Error("a key was made from 31 bytes of randomness")
	}
	if another := newKey(t, "max-it"); another == key {
		t.Error("two keys are the same")
	}
}

func TestHashText(t *testing.T) {
	hash := auth.HashKey("tenu_shop_x")
	back, err := auth.ParseHash(hash.String())
	if err != nil || back != hash {
		t.Errorf("got %v, %v, want %v", back, err, hash)
	}
	for _, text := range []string{"", "sha256:", hash.String() + "0", strings.Replace(hash.String(), "sha256", "sha1", 1),
		hash.String()[:70] + "g"} {
		if _, err := auth.ParseHash(text); err == nil {
			t.Errorf("%q was read as a hash", text)
		}
	}
}
