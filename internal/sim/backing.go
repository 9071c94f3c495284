package sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"tenu/internal/notify"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

// memory keeps a world's purchases in memory.
type memory struct{ *store.Memory }

func newMemory() Backing { return memory{store.NewMemory()} }

// Check is Backing. There is nothing beside what is read.
func (memory) Check(context.Context, purchase.Instant) ([]store.Violation, error) { return nil, nil }

// Close is Backing.
func (memory) Close() error { return nil }

// file is a world's SQLite database, removed when its world has ended.
type file struct {
	*store.Store
	path string
}

// SQLite returns Options.Open for worlds that are kept in SQLite databases in a
// directory of this machine, which must be there and may hold no other run's.
func SQLite(dir string) func(ctx context.Context, world int) (Backing, error) {
	return func(ctx context.Context, world int) (Backing, error) {
		f := file{path: filepath.Join(dir, fmt.Sprintf("world-%d.db", world))}
		if err := f.remove(); err != nil { // the shrinker comes again and again
			return nil, err
		}
		address := "sqlite:" + f.path
		if _, _, err := store.Migrate(ctx, address, store.Options{}); err != nil {
			return nil, fmt.Errorf("make the database of world %d: %w", world, err)
		}
		var err error
		if f.Store, err = store.Open(ctx, address, store.Options{}); err != nil {
			return nil, fmt.Errorf("open the database of world %d: %w", world, err)
		}
		return f, nil
	}
}

// Check is Backing.
func (f file) Check(ctx context.Context, now purchase.Instant) ([]store.Violation, error) {
	return f.Verify(ctx, store.Verification{Now: now, First: true})
}

// Close is Backing.
func (f file) Close() error { return errors.Join(f.Store.Close(), f.remove()) }

func (f file) remove() (err error) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if e := os.Remove(f.path + suffix); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// newWording returns the texts that customers are sent.
func newWording() (purchase.Wording, error) {
	return notify.NewWording(notify.WordingConfig{Format: purchase.MSISDN.String, Location: time.UTC,
		Products: map[string]map[string]string{"data-1gb": {"fr": "1 Go", "en": "1 GB"}},
		Payers:   map[string]map[string]string{"wallet-a": {"fr": "Wallet A", "en": "Wallet A"}}})
}
