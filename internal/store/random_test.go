package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/storetest"
	"tenu/internal/testpeer"
)

// TestRandomOperations does the same random things to two stores at a time: what
// is so of memory and SQLite, and of SQLite and PostgreSQL, is so of all.
func TestRandomOperations(t *testing.T) {
	rounds := 1
	if n, err := strconv.Atoi(os.Getenv("TENU_SOAK")); err == nil && n > 0 {
		rounds = n
	}
	t.Run("memory and sqlite", func(t *testing.T) {
		memory, sqlite := memoryReplica(), sqliteReplica(t)
		for range rounds {
			storetest.RunRandom(t, memory, sqlite)
		}
	})
	t.Run("sqlite and postgres", func(t *testing.T) {
		sqlite, postgres := sqliteReplica(t), postgresReplica(t)
		for range rounds {
			storetest.RunRandom(t, sqlite, postgres)
		}
	})
}

func memoryReplica() storetest.Replica {
	return storetest.Replica{Name: "memory", Fresh: func(context.Context) ([2]purchase.Store, func() error, error) {
		s := store.NewMemory()
		return [2]purchase.Store{s, s}, func() error { return nil }, nil
	}}
}

// sqliteReplica begins each time with a copy of one empty database.
func sqliteReplica(t *testing.T) storetest.Replica {
	empty := filepath.Join(t.TempDir(), "empty.db")
	fresh(t, "sqlite:"+empty)
	content, err := os.ReadFile(empty)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return storetest.Replica{Name: "sqlite", Fresh: func(ctx context.Context) ([2]purchase.Store, func() error, error) {
		path := filepath.Join(dir, "tenu.db")
		for _, suffix := range []string{"-wal", "-shm"} {
			if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				return [2]purchase.Store{}, nil, err
			}
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return [2]purchase.Store{}, nil, err
		}
		return twice(ctx, "sqlite:"+path)
	}}
}

// postgresReplica empties the tables of one database each time.
func postgresReplica(t *testing.T) storetest.Replica {
	dsn := fresh(t, testpeer.VolatilePostgres(t))
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	var tables string
	if err := db.QueryRowContext(t.Context(), `SELECT string_agg(tablename, ', ') FROM pg_tables
		WHERE schemaname = current_schema() AND tablename <> 'goose_db_version'`).Scan(&tables); err != nil || !strings.Contains(tables, "purchase") {
		t.Fatalf("the tables are %q: %v", tables, err)
	}
	return storetest.Replica{Name: "postgres", Fresh: func(ctx context.Context) ([2]purchase.Store, func() error, error) {
		if _, err := db.ExecContext(ctx, `TRUNCATE `+tables+` RESTART IDENTITY`); err != nil {
			return [2]purchase.Store{}, nil, err
		}
		return twice(ctx, dsn)
	}}
}

// twice opens a store as two nodes do.
func twice(ctx context.Context, dsn string) (nodes [2]purchase.Store, done func() error, err error) {
	first, err := store.Open(ctx, dsn, store.Options{})
	if err != nil {
		return nodes, nil, err
	}
	second, err := store.Open(ctx, dsn, store.Options{})
	if err != nil {
		return nodes, nil, errors.Join(err, first.Close())
	}
	return [2]purchase.Store{first, second}, func() error { return errors.Join(first.Close(), second.Close()) }, nil
}
