package dial

import (
	"context"
	"time"

	"tenu/internal/purchase"
)

// The pace of the loop.
const (
	standbyPause = 2 * time.Second // of a node that does not dial, until it looks whether it is to
	othersPause  = time.Second     // the longest while there are other nodes, which wake only themselves
)

// Run dials until ctx ends: of several nodes the one that standing says, which also says whether it is alone. Should
// two believe to be that one for a moment, each agent and each attempt is had by one of them. What goes wrong is
// told to failed, and tried again.
func (d *Dialler) Run(ctx context.Context, standing func(context.Context) (ours, alone bool, err error), failed func(error)) {
	for ctx.Err() == nil {
		wait, err := d.turn(ctx, standing)
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
		case <-d.cfg.Clock.After(wait):
		case <-d.wake:
		}
	}
}

// turn is one turn of the loop, and how long it waits then. Calls under way are ended by whoever made them.
func (d *Dialler) turn(ctx context.Context, standing func(context.Context) (ours, alone bool, err error)) (time.Duration, error) {
	now := d.cfg.Clock.Now()
	ours, alone, err := standing(ctx)
	step, most := d.Tend, standbyPause
	switch {
	case err == nil && ours && alone:
		step, most = d.Step, time.Hour
	case err == nil && ours:
		step, most = d.Step, othersPause
	}
	next, failed := step(ctx, now)
	if err == nil {
		err = failed
	}
	return d.until(next, most), err
}

// until is how long it is until an instant, zero for never, at most so long.
func (d *Dialler) until(next purchase.Instant, most time.Duration) time.Duration {
	if next == 0 {
		return most
	}
	return min(max(next.Sub(d.cfg.Clock.Now()), 0), most)
}
