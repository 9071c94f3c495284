package customer

import (
	"context"
	"time"

	"tenu/internal/purchase"
)

// lookAgain is how often a followed purchase is read, for what other nodes change.
const lookAgain = 2 * time.Second

// Reference is the public name of a purchase.
func (d *Desk) Reference(id purchase.ID) purchase.Reference { return d.cfg.References.Reference(id) }

// Follow calls each with a number's purchase as it is now and after each change,
// and with nil when nothing changed for as long as beat, until each returns false
// or ctx ends. first is the purchase as it was read last.
func (d *Desk) Follow(ctx context.Context, number purchase.MSISDN, first View, beat time.Duration, each func(*View) bool) {
	updates, stop := d.cfg.Engine.Watch(first.ID)
	defer stop()
	version, stage, told := int64(0), Stage(""), d.cfg.Clock.Now()
	for {
		views, err := d.views(ctx, number, []purchase.ID{first.ID})
		now := d.cfg.Clock.Now()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && len(views) == 1 && (views[0].Version > version || views[0].Stage != stage):
			version, stage, told = views[0].Version, views[0].Stage, now
			if !each(&views[0]) {
				return
			}
		case now.Sub(told) >= beat:
			if told = now; !each(nil) {
				return
			}
		}
		select {
		case _, open := <-updates:
			if !open {
				updates = nil // closed here; the store has the rest
			}
		case <-d.cfg.Clock.After(lookAgain):
		case <-ctx.Done():
			return
		}
	}
}

// Repeat begins a checkout again that was refused because a like purchase had been
// made a moment before, now that the customer was asked.
func (d *Desk) Repeat(ctx context.Context, number purchase.MSISDN, key string) (Recap, error) {
	c, err := d.cfg.Store.Checkout(ctx, key, number)
	if err != nil {
		return Recap{}, err
	}
	c.Wish.Again = true
	return d.Begin(ctx, number, c.Wish)
}

// Balance asks what a number's line holds. An error is a *sale.Problem.
func (d *Desk) Balance(ctx context.Context, number purchase.MSISDN) (purchase.Balances, error) {
	line, err := d.cfg.Sales.Balance(ctx, number.String())
	return line.Balances, err
}
