package api

import (
	"context"
	"fmt"
	"time"

	"tenu/internal/purchase"
)

// lookAgain is how often a followed purchase is read from the store, for the
// changes that another node makes.
const lookAgain = 2 * time.Second

// follow calls each with the purchase as it is now and after each change, until
// each returns false, the context ends, or the server drains. It returns an
// error only when the purchase cannot be read at first.
func (a *API) follow(ctx context.Context, id purchase.ID, idle func() bool, each func(*purchase.Purchase) bool) error {
	updates, stop := a.engine.Watch(id)
	defer stop()
	now, err := a.load(ctx, id)
	if err != nil {
		return err
	}
	version := now.Purchase.Version
	if !each(&now.Purchase) {
		return nil
	}
	seen := func(p *purchase.Purchase) bool {
		if p.Version <= version {
			return true
		}
		version = p.Version
		return each(p)
	}
	for {
		select {
		case p, open := <-updates:
			if !open {
				updates = nil // the purchase is closed here; what follows is late evidence
			} else if !seen(&p) {
				return nil
			}
		case <-a.clock.After(lookAgain):
			if fresh, err := a.load(ctx, id); err == nil && !seen(&fresh.Purchase) {
				return nil
			}
			if !idle() {
				return nil
			}
		case <-a.draining:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// load returns one purchase with everything recorded about it.
func (a *API) load(ctx context.Context, id purchase.ID) (*purchase.Record, error) {
	records, err := a.purchases.Load(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("load purchase %d: %w", id, err)
	}
	if len(records) != 1 {
		return nil, fmt.Errorf("load purchase %d: %w", id, purchase.ErrNotFound)
	}
	return &records[0], nil
}

// settled returns the purchase when it is final, or as it is after at most
// wait, or when the server drains.
func (a *API) settled(ctx context.Context, id purchase.ID, wait time.Duration) (*purchase.Purchase, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var last purchase.Purchase
	err := a.follow(ctx, id, func() bool { return true }, func(p *purchase.Purchase) bool {
		last = *p
		return !p.State.Final()
	})
	return &last, err
}
