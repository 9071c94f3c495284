package care

import (
	"context"
	"time"

	"tenu/internal/purchase"
)

// The pace of the loop of a node that does not care for cases, and after a failure.
const (
	standbyPause = 2 * time.Second
	failedPause  = time.Second
	othersPause  = time.Second // the longest while there are other nodes, which wake only themselves
)

// Run cares for cases, requests and callbacks until ctx ends: of several nodes the
// one that standing says, which also says whether it is alone. Should two believe to be
// that one for a moment, both do the same. What goes wrong is told to failed, and tried again.
func (d *Desk) Run(ctx context.Context, standing func(context.Context) (ours, alone bool, err error), failed func(error)) {
	for ctx.Err() == nil {
		wait, wake := standbyPause, d.wake
		now := d.clock.Now()
		ours, alone, err := standing(ctx)
		if err == nil && ours {
			var next purchase.Instant
			next, err = d.Step(ctx, now)
			if wait = max(next.Sub(d.clock.Now()), 0); !alone {
				wait = min(wait, othersPause)
			}
		}
		if err != nil && ctx.Err() == nil {
			failed(err)
			wait, wake = failedPause, nil
		}
		select {
		case <-ctx.Done():
		case <-d.clock.After(wait):
		case <-wake:
		}
	}
}
