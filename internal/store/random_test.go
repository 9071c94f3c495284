package store_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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
	return replica("memory", func() purchase.Store { return store.NewMemory() })
}

func replica(name string, fresh func() purchase.Store) storetest.Replica {
	return storetest.Replica{Name: name, Fresh: func(context.Context) ([2]purchase.Store, func() error, error) {
		s := fresh()
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

// postgresReplica empties the tables of one database each time, but for the one of
// accounts: their numbers are remembered by the stores, which stay open.
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
		WHERE schemaname = current_schema() AND tablename NOT IN ('goose_db_version', 'account')`).Scan(&tables); err != nil || !strings.Contains(tables, "purchase") {
		t.Fatalf("the tables are %q: %v", tables, err)
	}
	nodes := [2]purchase.Store{open(t, dsn), open(t, dsn)}
	return storetest.Replica{Name: "postgres", Fresh: func(ctx context.Context) ([2]purchase.Store, func() error, error) {
		_, err := db.ExecContext(ctx, `TRUNCATE `+tables+` RESTART IDENTITY`)
		return nodes, func() error { return nil }, err
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

// TestRandomOperationsFindDifferences compares memory with stores that are wrong
// in one small thing each.
func TestRandomOperationsFindDifferences(t *testing.T) {
	for name, value := range map[string]string{"rapid.shrinktime": "200ms", "rapid.nofailfile": "true"} {
		was := flag.Lookup(name).Value.String()
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = flag.Set(name, was) }) // it was set before
	}
	for name, fresh := range map[string]func() purchase.Store{
		"a notice is lost":             func() purchase.Store { return lossy{store.NewMemory()} },
		"any lease can be taken":       func() purchase.Store { return greedy{store.NewMemory()} },
		"a page begins anew":           func() purchase.Store { return forgetful{store.NewMemory()} },
		"numbers below the floor":      func() purchase.Store { return low{store.NewMemory()} },
		"no key is an outage":          func() purchase.Store { return alarmed{store.NewMemory()} },
		"news come newest first":       func() purchase.Store { return hasty{store.NewMemory()} },
		"every change is told written": func() purchase.Store { return agreeable{store.NewMemory()} },
	} {
		observer := &observer{T: t}
		over := make(chan struct{})
		go func() {
			defer close(over)
			storetest.RunRandom(observer, memoryReplica(), replica(name, fresh))
		}()
		<-over
		if !observer.failed {
			t.Errorf("%s, and nobody notices", name)
		}
	}
}

// observer is a test whose failure is expected.
type observer struct {
	*testing.T
	failed bool
}

func (o *observer) Logf(string, ...any)   {}
func (o *observer) Log(...any)            {}
func (o *observer) Errorf(string, ...any) { o.failed = true }
func (o *observer) Error(...any)          { o.failed = true }
func (o *observer) Fail()                 { o.failed = true }
func (o *observer) Failed() bool          { return o.failed }
func (o *observer) FailNow()              { o.failed = true; runtime.Goexit() }
func (o *observer) Fatalf(string, ...any) { o.FailNow() }
func (o *observer) Fatal(...any)          { o.FailNow() }

type lossy struct{ *store.Memory }

func (s lossy) Commit(ctx context.Context, epoch int64, changes []purchase.Change) ([]purchase.Verdict, error) {
	changes = slices.Clone(changes)
	for i := range changes {
		if n := changes[i].Notices; len(n) > 1 {
			changes[i].Notices = n[:1]
		}
	}
	return s.Memory.Commit(ctx, epoch, changes)
}

type greedy struct{ *store.Memory }

func (s greedy) Takeover(ctx context.Context, lost purchase.Lease, epoch int64, limit int) (int, error) {
	leases, err := s.Leases(ctx)
	if err != nil {
		return 0, err
	}
	for _, lease := range leases {
		if lease.Epoch == lost.Epoch {
			lost = lease
		}
	}
	return s.Memory.Takeover(ctx, lost, epoch, limit)
}

type forgetful struct{ *store.Memory }

func (s forgetful) List(ctx context.Context, page purchase.Page) ([]purchase.Purchase, error) {
	page.Before = 0
	return s.Memory.List(ctx, page)
}

type low struct{ *store.Memory }

func (s low) Reserve(ctx context.Context, shard int, n, floor int64) (int64, error) {
	return s.Memory.Reserve(ctx, shard, n, min(floor, 1000))
}

type alarmed struct{ *store.Memory }

func (s alarmed) FindKey(ctx context.Context, client, clientKey string) (purchase.ID, error) {
	id, err := s.Memory.FindKey(ctx, client, clientKey)
	if err != nil {
		err = purchase.ErrUnavailable
	}
	return id, err
}

type hasty struct{ *store.Memory }

func (s hasty) TakeParked(ctx context.Context, epoch int64, limit int) ([]purchase.Parked, error) {
	parked, err := s.Memory.TakeParked(ctx, epoch, limit)
	slices.Reverse(parked)
	return parked, err
}

type agreeable struct{ *store.Memory }

func (s agreeable) Commit(ctx context.Context, epoch int64, changes []purchase.Change) ([]purchase.Verdict, error) {
	verdicts, err := s.Memory.Commit(ctx, epoch, changes)
	for i := range verdicts {
		verdicts[i] = purchase.Verdict{Result: purchase.Written}
	}
	return verdicts, err
}
