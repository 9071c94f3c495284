package sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tenu/internal/notify"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

// memory keeps a world's purchases in memory.
type memory struct{ *store.Memory }

// called is what customers call a payer: "Wallet A" for wallet-a.
func called(payer string) string {
	words := strings.Split(payer, "-")
	for i, word := range words {
		words[i] = strings.ToUpper(word[:min(len(word), 1)]) + word[min(len(word), 1):]
	}
	return strings.Join(words, " ")
}

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

// Letters are the messages that are not about one purchase's facts.
func (f file) Letters() notify.Store { return store.NewLetters(f.Store) }

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
func newWording(payers []string, zone *time.Location) (purchase.Wording, error) {
	names := map[string]map[string]string{}
	for _, payer := range payers {
		names[payer] = map[string]string{"fr": called(payer), "en": called(payer)}
	}
	return notify.NewWording(notify.WordingConfig{Format: purchase.MSISDN.String, Location: zone,
		Products: map[string]map[string]string{"data-1gb": {"fr": "1 Go", "en": "1 GB"}}, Payers: names})
}
