package store_test

import (
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver that the tests write with behind the store's back
	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/storetest"
	"tenu/internal/testpeer"
)

func TestMain(m *testing.M) { os.Exit(testpeer.Main(m)) }

func TestMemory(t *testing.T) {
	storetest.Run(t, func(testing.TB) storetest.Subject {
		s := store.NewMemory()
		return storetest.Subject{Store: s, Again: func(testing.TB) purchase.Store { return s }}
	})
}

func TestSQLite(t *testing.T) {
	address := func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "tenu?#%.db") }
	conform(t, address, func(dsn string) (driver, source string) {
		return "sqlite", "file:" + (&url.URL{Path: strings.TrimPrefix(dsn, "sqlite:")}).EscapedPath()
	})
}

func TestPostgres(t *testing.T) {
	conform(t, testpeer.VolatilePostgres, func(dsn string) (driver, source string) { return "pgx", dsn })
}

// conform runs both suites, each test on a fresh database.
func conform(t *testing.T, address func(testing.TB) string, raw func(dsn string) (driver, source string)) {
	t.Helper()
	storetest.Run(t, func(t testing.TB) storetest.Subject {
		dsn := fresh(t, address(t))
		return storetest.Subject{Store: open(t, dsn), Again: func(t testing.TB) purchase.Store { return open(t, dsn) }}
	})
	storetest.RunDatabase(t, func(t testing.TB) storetest.DatabaseSubject {
		dsn := fresh(t, address(t))
		return storetest.DatabaseSubject{Database: open(t, dsn),
			Again: func(t testing.TB) storetest.Database { return open(t, dsn) },
			Execute: func(t testing.TB, statement string) {
				t.Helper()
				db, err := sql.Open(raw(dsn))
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				if _, err := db.ExecContext(t.Context(), statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}}
	})
}

// fresh gives a database its schema.
func fresh(t testing.TB, dsn string) string {
	t.Helper()
	from, to, err := store.Migrate(t.Context(), dsn, store.Options{})
	if err != nil || from != 0 || to == 0 {
		t.Fatalf("migrate a fresh database from %d to %d: %v", from, to, err)
	}
	return dsn
}

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
