package care

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tenu/internal/purchase"
)

// Windows are the next windows that can still take a callback, soonest first, at
// most so many.
func (d *Desk) Windows(ctx context.Context, most int) ([]purchase.Instant, error) {
	return d.WindowsAt(ctx, d.clock.Now(), most)
}

// WindowsAt is Windows as it was at an instant, but for the windows that filled since:
// what was offered then keeps its place. One that is over meanwhile is not promised.
func (d *Desk) WindowsAt(ctx context.Context, at purchase.Instant, most int) ([]purchase.Instant, error) {
	candidates := d.windows(at)
	if len(candidates) == 0 {
		return nil, nil
	}
	last := candidates[len(candidates)-1]
	promised, err := d.store.Promised(ctx, candidates[0], last.Add(Window))
	if err != nil {
		return nil, fmt.Errorf("read promised callbacks: %w", err)
	}
	now := d.clock.Now()
	handling, err := d.handling(ctx, now)
	if err != nil {
		return nil, err
	}
	free := slices.DeleteFunc(candidates, func(at purchase.Instant) bool { return promised[at] >= d.capacity(at, now, handling) })
	return free[:min(len(free), most)], nil
}

// windows are all that may be promised at an instant, soonest first.
func (d *Desk) windows(now purchase.Instant) []purchase.Instant {
	var all []purchase.Instant
	today := now.Time().In(d.hours.Location)
	for day := range daysAhead {
		// The clock's reading decides, not the hours since midnight: they differ on
		// the day that the clock is put forward or back.
		for after := d.hours.Opens; after+Window <= d.hours.Closes; after += Window {
			at := purchase.At(time.Date(today.Year(), today.Month(), today.Day()+day, 0, int(after.Minutes()), 0, 0, d.hours.Location))
			if at >= now.Add(cmp.Or(d.hours.Lead, standardLead)) && (len(all) == 0 || at > all[len(all)-1]) {
				all = append(all, at)
			}
		}
	}
	return all
}

// Promise promises a callback in the window that begins at c.WindowAt, and returns
// the promise that stands: the number's open one, when there is one. It returns
// ErrWindow for a window that is not offered, ErrFull for one that cannot take
// another that would be kept. c.At may say since when the customer waits, who keeps that place; zero for now.
// Durable on return.
func (d *Desk) Promise(ctx context.Context, c Callback) (kept Callback, added bool, err error) {
	now := d.clock.Now()
	if !slices.Contains(d.windows(now), c.WindowAt) {
		return Callback{}, false, ErrWindow
	}
	handling, err := d.handling(ctx, now)
	if err != nil {
		return Callback{}, false, err
	}
	c.Reason, c.Follows = plain(c.Reason), 0
	if c.At == 0 || c.At > now {
		c.At = now
	}
	kept, added, err = d.store.AddCallback(ctx, begin(c), d.capacity(c.WindowAt, now, handling))
	if err != nil {
		return Callback{}, false, fmt.Errorf("promise a callback: %w", err)
	}
	if added {
		d.changed(Changed{Case: kept.Case, Number: kept.Number, Purchase: kept.Purchase, Callback: kept.ID})
		d.Wake()
	}
	return kept, added, nil
}

// Confirm tells the customer of an open callback by SMS, once, when they are called: for who was
// promised it where nothing can be read. Durable on return.
func (d *Desk) Confirm(ctx context.Context, id int64) error {
	for again := 0; ; again++ {
		l, err := d.life(ctx, id)
		if err != nil || l.now.State != Promised {
			return err
		}
		l.told = append(l.told, note{"call_promised", l.now.WindowAt})
		if err = d.keep(ctx, l, Actor{Kind: BySystem}, d.clock.Now()); !errors.Is(err, ErrStale) || again == recordTries {
			return err
		}
	}
}

// Cancel cancels a number's open callback, and returns it as it then stands. It
// returns ErrNotFound when the number has no such callback. Durable on return.
func (d *Desk) Cancel(ctx context.Context, id int64, number purchase.MSISDN) (Callback, error) {
	c, err := d.store.CancelCallback(ctx, id, number, d.clock.Now())
	if err != nil {
		return Callback{}, fmt.Errorf("cancel callback %d: %w", id, err)
	}
	d.changed(Changed{Case: c.Case, Number: c.Number, Purchase: c.Purchase, Callback: c.ID})
	return c, nil
}

// Callbacks returns a number's callbacks, newest first.
func (d *Desk) Callbacks(ctx context.Context, number purchase.MSISDN, limit int) ([]Callback, error) {
	return d.store.Callbacks(ctx, number, limit)
}
