package main

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/store"
)

// sealedSite is an installation's folder for the commands that seal.
type sealedSite struct {
	t      *testing.T
	dir    string
	config string
}

func (s *sealedSite) path(name string) string { return filepath.Join(s.dir, name) }

// configure writes the configuration with a line about sealing.
func (s *sealedSite) configure(sealing string) {
	s.t.Helper()
	text := strings.Replace(readExample(s.t), "  lease: 10s", sealing+"  lease: 10s", 1)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sealedSite) tenu(code int, args ...string) string {
	s.t.Helper()
	got, out, problems := tenu(s.t, exampleEnv, args...)
	if got != code {
		s.t.Fatalf("tenu %s exits with %d, not %d: %s%s", strings.Join(args, " "), got, code, out, problems)
	}
	return out + problems
}

func (s *sealedSite) holds(name string) bool {
	s.t.Helper()
	for _, file := range []string{"tenu.db", "tenu.db-wal"} {
		data, err := os.ReadFile(s.path(file))
		if err != nil && !os.IsNotExist(err) {
			s.t.Fatal(err)
		}
		if strings.Contains(string(data), name) {
			return true
		}
	}
	return false
}

// wrapped is the end of the first data key as it is stored.
func (s *sealedSite) wrapped() (key []byte) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.path("tenu.db"))
	if err == nil {
		err = db.QueryRowContext(s.t.Context(), `SELECT wrapped FROM sealing_key WHERE id = 1`).Scan(&key)
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return key[len(key)-40:]
}

// Sealing is switched on for a database that people wrote into, its keys are changed for another identity, and the
// first one opens nothing any more; each step by the command, and each mistake told as what it is.
func TestSealCommands(t *testing.T) {
	s := &sealedSite{t: t, dir: t.TempDir()}
	s.config = s.path("tenu.yaml")
	s.configure("")
	s.tenu(exitDone, "migrate", "--config", s.config)
	const words = "la cliente habite à Bobo"
	plain, err := store.Open(t.Context(), "sqlite:"+s.path("tenu.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = plain.AddLook(t.Context(), care.Look{At: 1, Staff: auth.StaffID(1), Number: 22670123456, Reason: words})
	if err != nil || !s.holds(words) {
		t.Fatalf("the words are not in the files: %v", err)
	}
	defer func() { _ = plain.Close() }() // a node goes on, so that the write-ahead log stays
	if text := s.tenu(exitFailed, "seal", "--config", s.config); !strings.Contains(text, "store.sealing is needed") {
		t.Errorf("without sealing: %s", text)
	}
	if text := s.tenu(exitDone, "config", "check", s.config); !strings.Contains(text, "is kept plain") {
		t.Errorf("the check: %s", text)
	}

	first := strings.TrimSpace(s.tenu(exitDone, "seal", "key", "--out", s.path("first.age")))
	s.tenu(exitUsage, "seal", "key", "--out", s.path("first.age")) // it is not overwritten
	s.configure("  sealing: {recipients: [" + first + "], identity_file: first.age}\n")
	if text := s.tenu(exitDone, "config", "check", s.config); strings.Contains(text, "is kept plain") {
		t.Errorf("the check: %s", text)
	}
	if text := s.tenu(exitDone, "seal", "--config", s.config); !strings.Contains(text, "1 values were sealed") {
		t.Errorf("sealed: %s", text)
	}
	if s.holds(words) {
		t.Error("the words can be read in the database's files")
	}
	if text := s.tenu(exitDone, "seal", "check", "--config", s.config, "--json"); !strings.Contains(text, `"opened": 1`) || !strings.Contains(text, `"plain": 0`) {
		t.Errorf("checked: %s", text)
	}
	if text := s.tenu(exitDone, "person", "export", "70123456", "--config", s.config); !strings.Contains(text, words) {
		t.Errorf("the export: %s", text)
	}
	s.tenu(exitDone, "verify", "--store", "sqlite:"+s.path("tenu.db"))
	if err := os.Chmod(s.path("first.age"), 0o640); err != nil { //nolint:gosec // it is to be refused for that
		t.Fatal(err)
	}
	if text := s.tenu(exitUsage, "seal", "check", "--config", s.config); !strings.Contains(text, "store.sealing.identity_file: ") || !strings.Contains(text, "mode 0640") {
		t.Errorf("a file that others may read: %s", text)
	}
	if err := os.Chmod(s.path("first.age"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.retire(first)
}

// retire changes to another identity: both for a while, then the second alone.
func (s *sealedSite) retire(first string) {
	t := s.t
	second := strings.TrimSpace(s.tenu(exitDone, "seal", "key", "--out", s.path("second.age")))
	var both []byte
	for _, name := range []string{"first.age", "second.age"} {
		data, err := os.ReadFile(s.path(name))
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, data...)
	}
	if err := os.WriteFile(s.path("both.age"), both, 0o600); err != nil {
		t.Fatal(err)
	}
	was := s.wrapped()
	if !s.holds(string(was)) {
		t.Error("the data key is not where the test looks for it")
	}
	s.configure("  sealing: {recipients: [" + second + "], identity_file: both.age}\n")
	if text := s.tenu(exitDone, "seal", "rotate", "--reseal", "--config", s.config); !strings.Contains(text, "Data key 2 ") || !strings.Contains(text, "1 values were sealed again") {
		t.Errorf("rotated: %s", text)
	}
	if s.holds(string(was)) {
		t.Error("the data key stands in the database's files as the retired identity opens it")
	}
	if text := s.tenu(exitDone, "seal", "rotate", "--resume", "--config", s.config); !strings.Contains(text, "0 values were sealed again") {
		t.Errorf("resumed: %s", text)
	}
	s.configure("  sealing: {recipients: [" + second + "], identity_file: second.age}\n")
	s.tenu(exitDone, "seal", "check", "--config", s.config)
	s.configure("  sealing: {recipients: [" + first + "], identity_file: first.age}\n")
	if text := s.tenu(exitFailed, "seal", "check", "--config", s.config); !strings.Contains(text, "it is for "+second) || strings.Contains(text, "SECRET") {
		t.Errorf("the retired identity: %s", text)
	}
	s.configure("")
	if text := s.tenu(exitFailed, "person", "erased", "--config", s.config); !strings.Contains(text, second) || !strings.Contains(text, "store.sealing with an identity is needed") {
		t.Errorf("without sealing: %s", text)
	}
}
