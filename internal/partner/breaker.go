package partner

import "tenu/internal/purchase"

// Circuit is where a circuit breaker stands.
type Circuit string

// The circuits.
const (
	Closed  Circuit = "closed"  // calls pass
	Open    Circuit = "open"    // calls are held back
	Probing Circuit = "probing" // one call at a time is let through, to see
)

// breaker opens when too many of the last calls failed. Its time is the
// caller's, so that the simulation can drive it; the ready-made ones read the
// system's clock. The guard's lock protects it.
type breaker struct {
	limits  *Limits
	circuit Circuit
	since   purchase.Instant // of the circuit
	until   purchase.Instant // earliest end of Open
	probe   bool             // a probing call is under way
	recent  []result         // ring of the last limits.Window results
	next    int
}

type result struct {
	at     purchase.Instant
	failed bool
}

func newBreaker(limits *Limits) breaker {
	return breaker{limits: limits, circuit: Closed, recent: make([]result, 0, limits.Window)}
}

// allow reports whether a call may go out, and claims the probe if it is one.
func (b *breaker) allow(now purchase.Instant) bool {
	if b.circuit == Open && now >= b.until {
		b.turn(Probing, now)
	}
	switch {
	case b.circuit == Closed:
		return true
	case b.circuit == Probing && !b.probe:
		b.probe = true
		return true
	}
	return false
}

// record counts the result of a call that was allowed.
func (b *breaker) record(failed bool, now purchase.Instant) {
	switch b.circuit {
	case Open: // a straggler from before
	case Probing:
		b.probe = false
		if failed {
			b.trip(now)
		} else {
			b.reset(now)
		}
	case Closed:
		b.add(result{now, failed})
		if failed && b.failures(now) >= b.limits.Failures {
			b.trip(now)
		}
	}
}

// release gives an allowed call's place back without a result.
func (b *breaker) release() {
	if b.circuit == Probing {
		b.probe = false
	}
}

func (b *breaker) add(r result) {
	if len(b.recent) < cap(b.recent) {
		b.recent = append(b.recent, r)
		return
	}
	b.recent[b.next] = r
	b.next = (b.next + 1) % len(b.recent)
}

// failures counts the recent failures that are not too old to matter.
func (b *breaker) failures(now purchase.Instant) int {
	n := 0
	for _, r := range b.recent {
		if r.failed && now.Sub(r.at) <= b.limits.Memory {
			n++
		}
	}
	return n
}

func (b *breaker) trip(now purchase.Instant) {
	b.until = now.Add(b.limits.OpenFor)
	b.turn(Open, now)
}

func (b *breaker) reset(now purchase.Instant) {
	b.recent, b.next = b.recent[:0], 0
	b.turn(Closed, now)
}

func (b *breaker) turn(to Circuit, now purchase.Instant) {
	if b.circuit != to {
		b.circuit, b.since, b.probe = to, now, false
	}
}

// bucket holds tokens that come back at a rate.
type bucket struct {
	rate   float64 // per second
	most   float64
	tokens float64
	at     purchase.Instant
}

func (b *bucket) take(now purchase.Instant) bool {
	if elapsed := now.Sub(b.at); elapsed > 0 {
		b.tokens = min(b.most, b.tokens+elapsed.Seconds()*b.rate)
	}
	b.at = max(b.at, now)
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
