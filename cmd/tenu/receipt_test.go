package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tenu/internal/evidence"
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
	_, log, _ := tenu(t, env, "log", "key", "--config", config)
	log = strings.TrimSpace(log)
	var proof string
	for range 40 { // the log signs each second
		if _, proof, _ = strings.Cut(genuine, "\n\nc2sp.org/"); proof != "" {
			break
		}
		time.Sleep(250 * time.Millisecond)
		_, genuine, _ = tenu(t, env, "receipt", "get", s.Purchase.Reference)
	}
	_, shared, _ = tenu(t, env, "receipt", "get", "--shared", s.Purchase.Reference)
	bare, _, _ := strings.Cut(genuine, "\n\nc2sp.org/")
	bare += "\n"
	witness := "witness.example+" // of somebody who saw nothing
	if cosigner, err := evidence.NewCosigner("witness.example", bytes.NewReader(make([]byte, 32))); err == nil {
		witness = cosigner.VerifierKey()
	}
	keep := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	own, copied, alone := keep("own.txt", genuine), keep("copy.txt", shared), keep("alone.txt", bare)
	trust := keep("trust", public+"\nlog "+log+"\nwitness "+witness+"\n")
	index := keep("index.txt", strings.Replace(genuine, "\nindex ", "\nindex 1", 1))
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
		"by key":           {[]string{"--key", public, "--log-key", log, own}, exitDone, "proven, leaf "},
		"by file":          {[]string{"--keys", trust, "--proof", own}, exitDone, "1 050 F CFA, fee 50 F CFA"},
		"without a proof":  {[]string{"--keys", trust, alone}, exitDone, "no proof follows: issued before the log signed this entry"},
		"a proof demanded": {[]string{"--keys", trust, "--proof", alone}, exitFailed, "refused: wrong proof: no proof follows it"},
		"by configuration": {[]string{"--config", config, "--log-key", log, own, number}, exitDone, "both"},
		"an unknown log":   {[]string{"--key", public, own}, exitFailed, "refused: unknown log: "},
		"another log":      {[]string{"--key", public, "--log-key", fresh.Public, own}, exitFailed, "refused: unknown log: "},
		"unwitnessed":      {[]string{"--keys", trust, "--witness", witness, own}, exitFailed, "refused: unwitnessed: "},
		"another leaf":     {[]string{"--keys", trust, index}, exitFailed, "refused: stale checkpoint: "},
		"no log's key":     {[]string{"--key", public, "--log-key", "x", own}, exitUsage, "--log-key"},
		"no witness's key": {[]string{"--key", public, "--witness", public, own}, exitUsage, "--witness"},
		"changed":          {[]string{"--key", public, dearer}, exitFailed, "refused: wrong signature, line 16: "},
		"malformed":        {[]string{"--key", public, config}, exitFailed, "refused: malformed, line 1: "},
		"another key":      {[]string{"--key", fresh.Public, own}, exitFailed, "refused: unknown key, line 2: "},
		"another number":   {[]string{"--keys", trust, "--number", "22670112234", own}, exitFailed, "refused: other number: +*********34"},
		"without a salt":   {[]string{"--keys", trust, number, copied}, exitFailed, "refused: no salt: "},
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
	if code, out, _ := tenu(t, env, "receipt", "verify", "--config", rotated, "--log-key", log, own); code != exitDone {
		t.Errorf("a receipt by the key before: %d: %s", code, out)
	}
	if code, page, _ := tenu(t, env, "receipt", "page", "--config", rotated, "--log-key", log); code != exitDone || !strings.Contains(page, log) || !strings.Contains(page, fresh.Public) || !strings.Contains(page, public) {
		t.Errorf("page: %d, %d bytes", code, len(page))
	}
}
