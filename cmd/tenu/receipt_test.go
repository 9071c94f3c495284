package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The keys of receipts are made, printed and rotated, and a receipt is checked by those
// that are given, with a reason for each refusal.
func TestReceiptCommand(t *testing.T) {
	s, _ := start(t, t.TempDir())
	key, err := os.ReadFile(s.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	env := func(name string) string { return map[string]string{"TENU_URL": s.API, "TENU_KEY": string(key)}[name] }
	dir := filepath.Dir(s.KeyFile)
	config := filepath.Join(dir, "tenu.yaml")
	code, genuine, problems := tenu(t, env, "receipt", "get", s.Purchase.Reference)
	if code != exitDone || !strings.HasPrefix(genuine, "tenu receipt v1\n") {
		t.Fatalf("get: %d: %s%s", code, genuine, problems)
	}
	code, shared, _ := tenu(t, env, "receipt", "get", "--shared", s.Purchase.Reference)
	if code != exitDone || strings.Contains(shared, "\nsalt ") {
		t.Errorf("get --shared: %d: %s", code, shared)
	}
	_, public, _ := tenu(t, env, "receipt", "key", "--config", config)
	public = strings.TrimSpace(public)
	keep := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	own, copied := keep("own.txt", genuine), keep("copy.txt", shared)
	dearer, number := keep("dearer.txt", strings.Replace(genuine, "charged 1050", "charged 9050", 1)), "--number=+226 70 11 22 33"
	code, made, _ := tenu(t, env, "receipt", "newkey", "tenu-demo", "--json")
	var fresh struct{ Secret, Public string }
	if err := json.Unmarshal([]byte(made), &fresh); code != exitDone || err != nil {
		t.Fatalf("newkey: %d: %s: %v", code, made, err)
	}
	for what, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"by key":           {[]string{"--key", public, own}, exitDone, "genuine"},
		"by file":          {[]string{"--keys", keep("keys", "# theirs\n"+public+"\n"), own}, exitDone, "1 050 F CFA, fee 50 F CFA"},
		"by configuration": {[]string{"--config", config, own, number}, exitDone, "both"},
		"changed":          {[]string{"--key", public, dearer}, exitFailed, "refused: wrong signature, line 16: "},
		"malformed":        {[]string{"--key", public, config}, exitFailed, "refused: malformed, line 1: "},
		"another key":      {[]string{"--key", fresh.Public, own}, exitFailed, "refused: unknown key, line 2: "},
		"another number":   {[]string{"--key", public, "--number", "22670112234", own}, exitFailed, "refused: other number: +*********34"},
		"without a salt":   {[]string{"--key", public, number, copied}, exitFailed, "refused: no salt: "},
		"no key at all":    {[]string{own}, exitUsage, "whose keys?"},
		"no key":           {[]string{"--key", "tenu-demo+00000000+AA", own}, exitUsage, "--key: not a public key"},
		"no file":          {[]string{"--key", public, "absent"}, exitUsage, "absent"},
		"no number":        {[]string{"--key", public, "--number", "me", own}, exitUsage, "--number"},
		"for programs":     {[]string{"--key", public, "--json", dearer}, exitFailed, `"reason": "wrong_signature"`},
	} {
		if code, out, problems := tenu(t, env, append([]string{"receipt", "verify"}, c.args...)...); code != c.code || !strings.Contains(out+problems, c.want) {
			t.Errorf("%s: %d, want %d and %q:\n%s%s", what, code, c.code, c.want, out, problems)
		}
	}
	// Another key signs, and the one before is known still.
	keep("receipt-key", fresh.Secret)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	rotated := keep("rotated.yaml", strings.Replace(string(text), `receipts: {`, `receipts: {known: ["`+public+`"], `, 1))
	if code, out, problems := tenu(t, env, "receipt", "key", "--config", rotated); code != exitDone || out != fresh.Public+"\n"+public+"\n" {
		t.Errorf("key: %d: %s%s", code, out, problems)
	}
	if code, out, _ := tenu(t, env, "receipt", "verify", "--config", rotated, own); code != exitDone {
		t.Errorf("a receipt by the key before: %d: %s", code, out)
	}
	if code, page, _ := tenu(t, env, "receipt", "page", "--config", rotated); code != exitDone || !strings.Contains(page, fresh.Public) || !strings.Contains(page, public) {
		t.Errorf("page: %d, %d bytes", code, len(page))
	}
}
