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
		case <-a.draining.Done():
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

// settle brings purchases up to date: when all are final, or after at most wait,
// or when the server drains. An error says that some could not be read.
func (a *API) settle(ctx context.Context, ps []*purchase.Purchase, wait time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	defer context.AfterFunc(a.draining, cancel)()
	for a.engine.Settle(limited, ps) > 0 {
		open, err := a.refresh(ctx, ps)
		if err != nil || !open {
			return err
		}
		select {
		case <-a.clock.After(lookAgain): // for those that another node holds
		case <-limited.Done():
			return nil
		}
	}
	return nil
}

// refresh reads those that are not final from the store, and reports whether any
// still is not.
func (a *API) refresh(ctx context.Context, ps []*purchase.Purchase) (open bool, err error) {
	var ids []purchase.ID
	for _, p := range ps {
		if !p.State.Final() {
			ids = append(ids, p.ID)
		}
	}
	records, err := a.purchases.Load(ctx, ids...)
	if err != nil {
		return true, fmt.Errorf("load %d purchases: %w", len(ids), err)
	}
	stored := make(map[purchase.ID]*purchase.Purchase, len(records))
	for i := range records {
		stored[records[i].Purchase.ID] = &records[i].Purchase
	}
	for _, p := range ps {
		if now := stored[p.ID]; now != nil && now.Version > p.Version {
			*p = *now
		}
		open = open || !p.State.Final()
	}
	return open, nil
}
