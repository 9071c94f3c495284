package hook_test

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tenu/internal/hook"
)

// A name that stands for an address that is not the Internet's is not dialled, where
// the target does not say so; nor is anything else by it.
func TestNamesOfOwnAddresses(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a private address was told") }))
	t.Cleanup(plain.Close)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(plain.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "127.0.0.1", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]", "10.0.0.1", "192.168.1.1", "169.254.169.254",
		"[fe80::1]", "[fd00::1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "100.64.0.1", "224.0.0.1", "255.255.255.255"} {
		t.Run(host, func(t *testing.T) {
			r := open(t, "sqlite:"+filepath.Join(t.TempDir(), "tenu.db"), []hook.Target{{Host: host + ":" + port, Secrets: [][]byte{older}, Plain: true}})
			var log strings.Builder
			r.cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
			r.again()
			r.listen("http://"+host+":"+port+"/", "")
			r.happen(1, 1)
			if r.run(); r.backlog().Waiting != 1 || !strings.Contains(log.String(), "not a listed target") {
				t.Errorf("%+v: %s", r.backlog(), log.String())
			}
		})
	}
}

// Only what is listed passes, however it is written.
func TestTargets(t *testing.T) {
	secret := [][]byte{older}
	list, err := hook.NewTargets([]hook.Target{{Host: "crm.example", Client: "crm", Secrets: secret}, {Host: "any.example:8443", Secrets: secret}})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"https://crm.example/": true, "https://crm.example": true, "https://crm.example:443/a?b=c": true, "https://any.example:8443/": true,
		"http://crm.example/": false, "https://crm.example:8443/": false, "https://any.example/": false, "https://crm.example.evil.example/": false,
		"https://crm.example@evil.example/": false, "https://evil.example@crm.example/": false, "https://user:pass@crm.example/": false, "https://@crm.example/": false,
		"https://crm.example#@evil.example/": false, "https://crm.example/#": false, "https://CRM.example/": false, "https://crm.example./": false,
		"https://crm.example\\@evil.example/": false, "https://crm.example%2eevil.example/": false, "https://crm.example:0443/": false, "https://crm.example:/": false,
		"//crm.example/": false, "crm.example": false, "https:crm.example": false, "ftp://crm.example/": false, "https://crm\u3002example/": false,
		"https://127.0.0.1/": false, "https://[::ffff:127.0.0.1]/": false, "": false, "https://crm.example/\n": false, "https://crm.example/" + strings.Repeat("a", 600): false,
	} {
		if err := list.Check("crm", address); (err == nil) != want || err != nil && !errors.Is(err, hook.ErrTarget) {
			t.Errorf("%q: %v, want %v", address, err, want)
		}
	}
	if err := list.Check("shop", "https://crm.example/"); !errors.Is(err, hook.ErrTarget) {
		t.Errorf("another client's target: %v", err)
	}
	for name, bad := range map[string][]hook.Target{
		"no host": {{Secrets: secret}}, "a path": {{Host: "crm.example/x", Secrets: secret}}, "a user": {{Host: "u@crm.example", Secrets: secret}},
		"capitals": {{Host: "CRM.example", Secrets: secret}}, "no secret": {{Host: "crm.example"}}, "three": {{Host: "crm.example", Secrets: [][]byte{older, newer, older}}},
		"short": {{Host: "crm.example", Secrets: [][]byte{[]byte("short")}}}, "twice": {{Host: "crm.example", Secrets: secret}, {Host: "crm.example:443", Secrets: secret}},
	} {
		if _, err := hook.NewTargets(bad); err == nil {
			t.Errorf("%s is listed", name)
		}
	}
}

func TestVerify(t *testing.T) {
	now := dawn.Time()
	body := []byte(`{"eventId":"D-1:1"}`)
	good := hook.Sign(body, now, older)
	for name, c := range map[string]struct {
		header string
		body   string
		after  time.Duration
		want   error
	}{
		"right":            {good, string(body), 0, nil},
		"at the edge":      {good, string(body), hook.ReplayWindow, nil},
		"replayed":         {good, string(body), hook.ReplayWindow + time.Second, hook.ErrReplay},
		"from the future":  {good, string(body), -hook.ReplayWindow - time.Second, hook.ErrReplay},
		"another body":     {good, string(body) + " ", 0, hook.ErrSignature},
		"another secret":   {hook.Sign(body, now, newer), string(body), 0, hook.ErrSignature},
		"both":             {hook.Sign(body, now, newer, older), string(body), 0, nil},
		"no secret":        {hook.Sign(body, now), string(body), 0, hook.ErrSignature},
		"another time":     {strings.Replace(good, "t=1", "t=2", 1), string(body), 0, hook.ErrSignature},
		"two times":        {"t=1," + good, string(body), 0, hook.ErrSignature},
		"a padded time":    {strings.Replace(good, "t=", "t=0", 1), string(body), 0, hook.ErrSignature},
		"nothing":          {"", string(body), 0, hook.ErrSignature},
		"unknown versions": {strings.Replace(good, "v1=", "v0=", 1), string(body), 0, hook.ErrSignature},
	} {
		if err := hook.Verify(c.header, []byte(c.body), now.Add(c.after), older); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if err := hook.Verify(hook.Sign(body, now, nil), body, now, nil); !errors.Is(err, hook.ErrSignature) {
		t.Errorf("an empty secret: %v", err)
	}
}

// FuzzVerify: nothing that was not signed verifies, and nothing panics.
func FuzzVerify(f *testing.F) {
	f.Add(hook.Sign([]byte("a"), dawn.Time(), older), []byte("a"))
	f.Add("t=1,v1=00,v1=", []byte(""))
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		if hook.Verify(header, body, dawn.Time(), newer) == nil {
			t.Errorf("%q verifies %q", header, body)
		}
	})
}
