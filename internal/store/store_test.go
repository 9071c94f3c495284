package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver that the tests write with behind the store's back
	"go.uber.org/goleak"

	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/storetest"
	"tenu/internal/testpeer"
	"tenu/internal/voice/centre"
)

func TestMain(m *testing.M) { os.Exit(testpeer.Main(m)) }

func TestMemory(t *testing.T) {
	storetest.Run(t, func(testing.TB) storetest.Subject {
		s := store.NewMemory()
		return storetest.Subject{Store: s, Again: func(testing.TB) purchase.Store { return s }}
	})
	storetest.RunCentre(t, func(testing.TB) storetest.CentreSubject {
		s := store.NewMemory()
		return storetest.CentreSubject{Store: s, Again: func(testing.TB) centre.Store { return s }}
	})
}

func TestSQLite(t *testing.T) {
	conform(t, "sqlite", func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "tenu?#%.db") })
}

func TestPostgres(t *testing.T) { conform(t, "postgres", testpeer.VolatilePostgres) }

// conform runs both suites, each test on a fresh database.
func conform(t *testing.T, kind string, address func(testing.TB) string) {
	t.Helper()
	storetest.Run(t, func(t testing.TB) storetest.Subject {
		dsn := fresh(t, address(t))
		return storetest.Subject{Store: open(t, dsn), Again: func(t testing.TB) purchase.Store { return open(t, dsn) }}
	})
	storetest.RunDatabase(t, func(t testing.TB) storetest.DatabaseSubject {
		dsn := fresh(t, address(t))
		s := open(t, dsn)
		return storetest.DatabaseSubject{Database: s, Letters: store.NewLetters(s),
			Again:   func(t testing.TB) storetest.Database { return open(t, dsn) },
			Execute: func(t testing.TB, statement string) { t.Helper(); execute(t, kind, dsn, statement) }}
	})
}

// execute runs a statement behind the store's back.
func execute(t testing.TB, kind, dsn, statement string) {
	t.Helper()
	driver, source := "pgx", dsn
	if kind == "sqlite" {
		driver, source = "sqlite", "file:"+(&url.URL{Path: strings.TrimPrefix(dsn, "sqlite:")}).EscapedPath()
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// fresh gives a database its schema. A file gets what migrating one made.
func fresh(t testing.TB, dsn string) string {
	t.Helper()
	if path, file := strings.CutPrefix(dsn, "sqlite:"); file {
		whole, err := migrated()
		if err == nil {
			err = os.WriteFile(path, whole, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return dsn
	}
	if err := migrate(dsn); err != nil {
		t.Fatal(err)
	}
	return dsn
}

// migrate migrates a database that has nothing yet.
func migrate(dsn string) error {
	from, to, err := store.Migrate(context.Background(), dsn, store.Options{})
	if err != nil || from != 0 || to == 0 {
		return fmt.Errorf("migrate a fresh database from %d to %d: %w", from, to, err)
	}
	return nil
}

// migrated is the file of a SQLite database that was migrated once, and has nothing else in it.
var migrated = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "tenu-store-test-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "tenu.db")
	if err := migrate("sqlite:" + path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// open opens a store that is closed with the test, and checks that nothing of it stays.
func open(t testing.TB, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func TestCloseLeavesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tenu.db")
	for kind, dsn := range map[string]string{"sqlite": "sqlite:" + path, "postgres": testpeer.VolatilePostgres(t)} {
		fresh(t, dsn)
		before := goleak.IgnoreCurrent()
		s, err := store.Open(t.Context(), dsn, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		lease, err := s.Acquire(t.Context(), "node")
		if err != nil {
			t.Fatal(err)
		}
		p := purchase.Purchase{ID: 1, Version: 1, Epoch: lease.Epoch, State: purchase.Charging, DueAt: 1, Request: purchase.Request{Total: 2, Fee: 1, Units: 1}}
		if _, err := s.Commit(t.Context(), lease.Epoch, []purchase.Change{{Now: p}}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: close: %v", kind, err)
		}
		if err := goleak.Find(before); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	// The last connection to close takes the log with it: none stayed open.
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a connection stayed open: %v", err)
	}
}
