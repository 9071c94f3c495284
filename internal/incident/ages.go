package incident

import (
	"math"
	"time"

	"tenu/internal/purchase"
)

// ages counts what is unsettled with a partner by when it began, so that the oldest
// is known without keeping anything per purchase. What is older than 30 days is known
// to the day on which it was, at least, as old.
type ages struct {
	fine, coarse, hours ageRing
	older               int64
	since               purchase.Instant // the older ones began before it
	count               int64
}

const (
	hourSlots = 30 * 24
	maxAges   = 256 // partners
)

type ageRing struct {
	width time.Duration
	slots []ageSlot
	empty int64 // no slot of an epoch before it holds anything
}

type ageSlot struct {
	epoch int64
	n     int64
}

func newAgeRing(width time.Duration, slots int) ageRing {
	return ageRing{width: width, slots: make([]ageSlot, slots), empty: math.MaxInt64}
}

func newAges() *ages {
	return &ages{fine: newAgeRing(fineWidth, fineSlots), coarse: newAgeRing(coarseWidth, coarseSlots),
		hours: newAgeRing(time.Hour, hourSlots)}
}

// add counts n more at an instant. What falls out of the slot for it is returned.
func (r *ageRing) add(at purchase.Instant, n int64) (fell int64) {
	epoch := epochOf(at, r.width)
	s := &r.slots[turn(epoch, len(r.slots))]
	if n > 0 {
		r.empty = min(r.empty, epoch)
	}
	switch {
	case s.epoch == epoch:
		s.n += n
	case n > 0 && (epoch > s.epoch || s.n == 0):
		fell = s.n
		*s = ageSlot{epoch, n}
	case r.width == time.Hour:
		return n // it is, or was, among the older ones
	}
	return fell
}

// oldest is the first bucket in [from, till) that holds something, 0 for none.
func (r *ageRing) oldest(from, till purchase.Instant) purchase.Instant {
	last := epochOf(till, r.width)
	first := epochOf(from, r.width)
	whole := first <= r.empty
	for epoch := max(first, r.empty); epoch < last; epoch++ {
		if s := r.slots[turn(epoch, len(r.slots))]; s.epoch == epoch && s.n > 0 {
			if whole {
				r.empty = epoch
			}
			return purchase.Instant(epoch * r.width.Microseconds())
		}
	}
	if whole && r.empty < last {
		r.empty = last
	}
	return 0
}

func (a *ages) add(at purchase.Instant, n int64) {
	a.count += n
	a.fine.add(at, n)
	a.coarse.add(at, n)
	if fell := a.hours.add(at, n); fell != 0 {
		a.older = max(0, a.older+fell)
		a.since = max(a.since, floorTo(at, time.Hour).Add(-hourSlots*time.Hour))
	}
}

// oldest is when the oldest began, as closely as is known; 0 when there is none.
func (a *ages) oldest(now purchase.Instant) purchase.Instant {
	if a.count <= 0 {
		return 0
	}
	if a.older > 0 {
		return a.since
	}
	hour := a.hours.oldest(now.Add(-2*hourSlots*time.Hour), now.Add(time.Hour))
	if hour == 0 {
		return 0
	}
	if hour > now.Add(-coarseReach) {
		if minute := a.coarse.oldest(hour, hour.Add(time.Hour)); minute != 0 {
			if minute > now.Add(-fineReach) {
				if at := a.fine.oldest(minute, minute.Add(time.Minute)); at != 0 {
					return at
				}
			}
			return minute
		}
	}
	return hour
}
