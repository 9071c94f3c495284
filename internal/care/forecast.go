package care

import (
	"context"
	"fmt"
	"time"

	"tenu/internal/purchase"
)

// What the forecast of callbacks rests on.
const (
	handlingTime  = 4 * time.Minute    // that a call takes, until enough were made
	handlingLeast = 20                 // calls that are enough
	handlingOver  = 7 * 24 * time.Hour // that are looked back at
	handlingEvery = time.Minute        // how often they are
	busyShare     = 80                 // percent of the agents' time that callbacks may fill
	nearWindow    = time.Hour          // before which those who are there now are counted
)

// forecast is how long calls take, as it was last measured.
type forecast struct {
	at   purchase.Instant
	took time.Duration
}

// handling is how long a call takes, by those of the last days.
func (d *Desk) handling(ctx context.Context, now purchase.Instant) (time.Duration, error) {
	if f := d.forecast.Load(); f != nil && now >= f.at && now < f.at.Add(handlingEvery) {
		return f.took, nil
	}
	w, err := d.store.Waited(ctx, now.Add(-handlingOver), now)
	if err != nil {
		return 0, fmt.Errorf("read how long calls take: %w", err)
	}
	f := &forecast{now, handlingTime}
	if w.Answered >= handlingLeast {
		f.took = w.Handled / time.Duration(w.Answered)
	}
	d.forecast.Store(f)
	return f.took, nil
}

// capacity is how many callbacks of a window can be kept.
func (d *Desk) capacity(window, now purchase.Instant, handling time.Duration) int {
	agents := d.hours.Agents
	if d.cfg.Staffed != nil && window < now.Add(nearWindow) {
		agents = d.cfg.Staffed()
	} else if agents == 0 {
		return d.hours.PerWindow
	}
	if handling <= 0 {
		return d.hours.PerWindow
	}
	return min(d.hours.PerWindow, int(time.Duration(agents)*Window*busyShare/100/handling))
}

// Waits sums up the callbacks whose windows end within a time, with how long customers waited.
func (d *Desk) Waits(ctx context.Context, from, till purchase.Instant) (Wait, error) {
	return d.store.Waited(ctx, from, till)
}

// Rate is the part of the promises that was kept, from 0 to 1; those that customers
// cancelled do not count. It is 1 when there were none.
func (w *Wait) Rate() float64 {
	if w.Kept+w.Broken == 0 {
		return 1
	}
	return float64(w.Kept) / float64(w.Kept+w.Broken)
}

// Mean is how long a customer waited on average from the first promise to the call that kept it.
func (w *Wait) Mean() time.Duration {
	if w.Kept == 0 {
		return 0
	}
	return w.Waited / time.Duration(w.Kept)
}
