package main

import (
	"context"
	"log/slog"
	"time"

	"tenu/internal/purchase"
)

// steady is the system's clock as it was when the process began, counted on by
// the monotonic clock since. When somebody sets the system's clock by an hour or
// a year, deadlines do not come early and no refund is made too soon; the
// process goes on with its own time until it is restarted, and says so.
type steady struct{ began time.Time }

func newSteady() steady { return steady{time.Now()} }

// Now is purchase.Clock.
func (c steady) Now() purchase.Instant { return purchase.At(c.began.Add(time.Since(c.began))) }

// After is purchase.Clock.
func (c steady) After(d time.Duration) <-chan time.Time { return time.After(d) }

// skewAlarm is from what difference on the two clocks are said to disagree.
const skewAlarm = 2 * time.Second

// watch compares the clock with the system's until ctx ends, and logs an error
// whenever they have come to disagree anew.
func (c steady) watch(ctx context.Context, log *slog.Logger, system func() time.Time) {
	told := time.Duration(0)
	for {
		skew := system().Sub(c.Now().Time())
		if (skew - told).Abs() > skewAlarm {
			log.Error("the system's clock was set; deadlines go on by the time before", slog.Duration("by", skew))
			told = skew
		}
		select {
		case <-c.After(10 * time.Second):
		case <-ctx.Done():
			return
		}
	}
}
