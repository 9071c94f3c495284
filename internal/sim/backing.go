package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tenu/internal/notify"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

// memory keeps a world's purchases in memory.
type memory struct{ *store.Memory }

func newMemory() Backing { return memory{store.NewMemory()} }

// Check is Backing. There is nothing beside what is read.
func (memory) Check(context.Context, purchase.Instant) error { return nil }

// Close is Backing.
func (memory) Close() error { return nil }

// Database is a Backing in a real database.
type Database struct{ *store.Store }

// Check is Backing.
func (d Database) Check(ctx context.Context, now purchase.Instant) error {
	found, err := d.Verify(ctx, store.Verification{Now: now, First: true})
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if len(found) > 0 {
		return errors.New(found[0].String())
	}
	return nil
}

// check verifies the store of the world.
func (f *flaky) check(ctx context.Context) error {
	return f.Store.(Backing).Check(ctx, f.w.now) //nolint:errcheck,forcetypeassert // build is given a Backing
}

// newWording returns the texts that customers are sent.
func newWording() (purchase.Wording, error) {
	return notify.NewWording(notify.WordingConfig{Format: purchase.MSISDN.String, Location: time.UTC,
		Products: map[string]map[string]string{"data-1gb": {"fr": "1 Go", "en": "1 GB"}},
		Payers:   map[string]map[string]string{"wallet-a": {"fr": "Wallet A", "en": "Wallet A"}}})
}
