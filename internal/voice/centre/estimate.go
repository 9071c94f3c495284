package centre

import (
	"math"
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// What an announced wait rests on.
const (
	recently  = 2 * time.Hour // calls that ended within
	fewest    = 5             // of them, for anything to be said
	most      = 200           // of them, that are remembered
	sure      = 1.64          // standard deviations to either side: nine of ten waits
	tooLong   = time.Hour     // a wait that may last longer is not announced
	stepOfEst = time.Minute   // what bounds are rounded to
)

// handled is how long agents had calls, from the ring until they were ready again, as far as was seen here.
type handled struct {
	began map[auth.StaffID]began // the call at hand
	ended []ended                // oldest first
}

type began struct {
	call   string
	at     purchase.Instant
	talked bool
}

type ended struct {
	at   purchase.Instant
	took time.Duration
}

func newHandled() handled { return handled{began: map[auth.StaffID]began{}} }

// see takes an agent as they are now.
func (h *handled) see(a *Agent) {
	b, there := h.began[a.Staff]
	switch a.State {
	case Ringing, Talking:
		if b.call != a.Call {
			b = began{call: a.Call, at: a.Since}
		}
		b.talked = a.State == Talking
		h.began[a.Staff] = b
	case Ready, Away:
		if there && b.talked && a.Since > b.at {
			h.ended = append(h.ended, ended{a.Since, a.Since.Sub(b.at)})
			h.ended = h.ended[max(0, len(h.ended)-most):]
		}
		delete(h.began, a.Staff)
	case Wrapping: // is part of it
	}
}

// of are the mean of those that ended since an instant, their standard deviation as a part of it, and their number.
func (h *handled) of(since purchase.Instant) (mean, spread float64, n int) {
	var sum, squares float64
	for _, e := range h.ended {
		if e.at >= since {
			n++
			sum += e.took.Seconds()
			squares += e.took.Seconds() * e.took.Seconds()
		}
	}
	if n < 2 {
		return 0, 0, n
	}
	mean = sum / float64(n)
	return mean, math.Sqrt(max(squares/float64(n)-mean*mean, 0)*float64(n)/float64(n-1)) / mean, n
}

// Estimate is how long a caller who came now would wait for an agent: their place, and bounds of the wait in whole
// minutes. Not ok: nobody can say, or too long.
//
// With a agents on duty, each of whom has a call for m on average, one of them is free every m/a: so k of them, those
// who go before included, take k·m/a, with a deviation of √k·m/a, as of anything that happens at random. The mean itself is
// known from n calls only, and off by its deviation by √n. Both make the range, which nine waits of ten should keep to. Agents
// whom other nodes give calls serve fewer of ours: the upper bound takes our part of them to stay as it is. Whoever comes later
// and goes before is not foreseen.
func (q *Queue) Estimate(first bool) (place int, least, longest time.Duration, ok bool) {
	now := q.cfg.Clock.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	place = q.placeOf(&Waiter{First: first, Since: now})
	idle := len(q.idle())
	agents := q.onDuty()
	switch {
	case agents == 0:
		return place, 0, 0, false
	case place <= idle:
		return place, 0, up(q.cfg.RingFor), true
	}
	mean, spread, n := q.handled.of(now.Add(-recently))
	if n < fewest {
		return place, 0, 0, false
	}
	k := float64(place - idle)
	wait := k * mean / float64(agents)
	off := sure * math.Sqrt(1/k+spread*spread/float64(n))
	least = seconds(wait * (1 - off)).Truncate(stepOfEst)
	longest = up(seconds(wait * (1 + off) / q.part()))
	return place, max(least, 0), longest, longest <= tooLong
}

// placeOf is the place of who would enter. q.mu is held.
func (q *Queue) placeOf(w *Waiter) int {
	at := 1
	for _, p := range q.waiting {
		if p.w.goesBefore(w) <= 0 {
			at++
		}
	}
	return at
}

// part is which part of the busy agents has calls from here. q.mu is held.
func (q *Queue) part() float64 {
	ours, all := 1.0, 1.0
	for _, a := range q.agents {
		if !a.Busy() {
			continue
		}
		all++
		if q.held[a.Staff].call == a.Call {
			ours++
		}
	}
	return ours / all
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// up rounds up to a whole step.
func up(d time.Duration) time.Duration { return (d + stepOfEst - 1).Truncate(stepOfEst) }
