package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tenu/internal/evidence"
	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/storetest"
)

// cli runs a command and returns what it printed.
func cli(t *testing.T, code int, args ...string) string {
	t.Helper()
	var out, complaints bytes.Buffer
	if got := Run(t.Context(), args, &out, &complaints, func(string) string { return "" }); got != code {
		t.Fatalf("tenu %s exits with %d, not %d: %s%s", strings.Join(args, " "), got, code, out.String(), complaints.String())
	}
	return out.String() + complaints.String()
}

// What a stranger does with the log, from the command line: take its key, check a proof
// offline, witness it, audit it with the database and without.
func TestLogFromTheCommandLine(t *testing.T) {
	dir := t.TempDir()
	dsn := "sqlite:" + filepath.Join(dir, "tenu.db")
	cli(t, exitDone, "migrate", "--store", dsn)
	s, err := store.Open(t.Context(), dsn, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	key := strings.TrimSpace(cli(t, exitDone, "log", "key", "--store", dsn))
	secret, err := s.Secret(t.Context(), []byte("not this one"))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := (*config)(nil).logSigner(nil, secret)
	if err != nil || signer.VerifierKey() != key {
		t.Fatalf("the key is %s, not %s: %v", key, signer.VerifierKey(), err)
	}
	day := storetest.NewDay(t, s)
	sold := day.Sell(60)
	day.Care(sold[0])
	q, err := evidence.NewSequencer(evidence.SequencerConfig{Store: s, Signer: signer, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Step(t.Context(), day.Now()); err != nil {
		t.Fatal(err)
	}
	keys, err := purchase.NewKeyring(secret)
	if err != nil {
		t.Fatal(err)
	}
	reference := keys.Reference(sold[0].ID).String()
	files, proofs := filepath.Join(dir, "log"), filepath.Join(dir, "proofs")
	if out := cli(t, exitDone, "log", "export", "--store", dsn, files); !strings.Contains(out, signer.Name()) {
		t.Errorf("export says %s", out)
	}
	var all []provenLeaf
	if err := json.Unmarshal([]byte(cli(t, exitDone, "log", "proof", "--store", dsn, "--json", "--out", proofs, reference)), &all); err != nil || len(all) != int(sold[0].Version) {
		t.Fatalf("%d proofs of %d changes: %v", len(all), sold[0].Version, err)
	}
	for _, p := range all {
		if out := cli(t, exitDone, "log", "verify", "--key", key, p.File); !strings.Contains(out, p.Leaf) {
			t.Errorf("the proof of version %d says %s", p.Version, out)
		}
		text, err := os.ReadFile(p.File)
		if err != nil {
			t.Fatal(err)
		}
		text[bytes.Index(text, []byte("extra "))+9] ^= 1
		if err := os.WriteFile(p.File, text, 0o600); err != nil {
			t.Fatal(err)
		}
		cli(t, exitFailed, "log", "verify", "--key", key, p.File)
	}
	seen := filepath.Join(dir, "witness")
	witness := strings.TrimSpace(cli(t, exitDone, "witness", "--dir", seen, "--name", "w.example", "--log-key", key, "--log", files, "--once"))
	cosigned, err := filepath.Glob(filepath.Join(seen, "*", "checkpoint"))
	if err != nil || len(cosigned) != 1 {
		t.Fatalf("the witness keeps %v: %v", cosigned, err)
	}
	if again := strings.TrimSpace(cli(t, exitDone, "witness", "--dir", seen, "--log-key", key, "--log", files, "--once")); again != witness || !strings.HasPrefix(again, "w.example+") {
		t.Errorf("the witness's key is %s, and was %s", again, witness)
	}
	if out := cli(t, exitDone, "audit", "--store", dsn, "--log", files, "--checkpoint", cosigned[0]); !strings.Contains(out, "sound") || !strings.Contains(out, "purchase credited") {
		t.Errorf("the audit says %s", out)
	}
	cli(t, exitDone, "audit", "--alone", "--log", files, "--key", key)
	cli(t, exitUsage, "audit", "--alone", "--log", files)
	if out := cli(t, exitFailed, "audit", "--alone", "--log", files, "--key", key, "--witness", witness); !strings.Contains(out, "0 of 1") {
		t.Errorf("without its witness the audit says %s", out)
	}
	text, err := os.ReadFile(cosigned[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(files, "checkpoint"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := cli(t, exitDone, "audit", "--alone", "--log", files, "--key", key, "--witness", witness); !strings.Contains(out, "seen by w.example") {
		t.Errorf("with its witness the audit says %s", out)
	}
	// A log that is rolled back is refused by who saw it.
	day.Sell(1)
	if _, err := q.Step(t.Context(), day.Now()); err != nil {
		t.Fatal(err)
	}
	later := filepath.Join(dir, "later")
	cli(t, exitDone, "log", "export", "--store", dsn, later)
	cli(t, exitDone, "witness", "--dir", seen, "--log-key", key, "--log", later, "--once")
	if out := cli(t, exitFailed, "witness", "--dir", seen, "--log-key", key, "--log", files, "--once"); !strings.Contains(out, "rollback") {
		t.Errorf("of a rollback the witness says %s", out)
	}
}

// A node that runs serves the log of what it sells, and whoever audits both finds them sound; one
// altered row is found.
func TestServedLog(t *testing.T) {
	dir := t.TempDir()
	s, stop := start(t, dir)
	file := filepath.Join(dir, "tenu.yaml")
	site := strings.TrimRight(s.API, "/") + logPath
	var all []provenLeaf
	for proven := false; !proven; {
		code, out, problems := tenu(t, noEnv, "log", "proof", "--config", file, "--json", s.Purchase.Reference)
		all = nil
		if code == exitDone {
			if err := json.Unmarshal([]byte(out), &all); err != nil {
				t.Fatal(err)
			}
		} else if !strings.Contains(problems, "the log") {
			t.Fatalf("%d: %s%s", code, out, problems)
		}
		proven = len(all) > 0 && all[len(all)-1].Proof != "" && strings.Contains(all[len(all)-1].Leaf, "\ns credited ")
	}
	if !strings.Contains(all[0].Leaf, "\nt 1050 50 1000 XOF ") || !strings.Contains(all[0].Leaf, "\nh ") || !strings.Contains(all[len(all)-1].Leaf, "\nn credited\n") {
		t.Errorf("the log says\n%s\n%s", all[0].Leaf, all[len(all)-1].Leaf)
	}
	if code, out, problems := tenu(t, noEnv, "audit", "--config", file, "--log", site); code != exitDone || !strings.Contains(out, "sound") {
		t.Errorf("the audit of a running node: %d: %s%s", code, out, problems)
	}
	stop()
	db, err := sql.Open("sqlite", filepath.Join(dir, "tenu.db"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), `UPDATE evidence SET amount = amount + 1 WHERE leg = 2`)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := tenu(t, noEnv, "audit", "--config", file); code != exitFailed || !strings.Contains(out, "altered: purchase ") {
		t.Errorf("the audit of an altered row: %d: %s", code, out)
	}
}
