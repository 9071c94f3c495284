package incident

import (
	"errors"
	"time"

	"tenu/internal/purchase"
)

// Ramp says how a pause is lifted: by probes first, then by selling more and more. Zero
// values stand for the defaults.
type Ramp struct {
	First    time.Duration // from the pause to the first probe (default 5 s)
	Every    time.Duration // between probes that go well (default 10 s); after a failure twice as long, and so on
	Longest  time.Duration // but not longer than this (default 5 min)
	Within   time.Duration // for a probe to be answered (default 30 s)
	Goods    int64         // probes that go well in a row before anything is sold (default 3)
	Hold     time.Duration // for which each share lasts at least (default 15 s)
	Enough   int64         // purchases that are credited before a share grows (default 20)
	Quiet    time.Duration // after which a share that sells too few grows by a probe (default 1 min)
	Ordinary int64         // failures of a thousand purchases that are no trouble (default 10)
	// Calm is for how long after its end a pause makes the next one of its series wait (default 1 h).
	Calm time.Duration
}

// whole is the share of everything.
const whole = 1000

// grown is the share that follows one.
func grown(share int) int {
	for _, next := range [...]int{10, 100, 500} {
		if share < next {
			return next
		}
	}
	return whole
}

func (r *Ramp) fill() error {
	for _, d := range []struct {
		of        *time.Duration
		otherwise time.Duration
	}{{&r.First, 5 * time.Second}, {&r.Every, 10 * time.Second}, {&r.Longest, 5 * time.Minute}, {&r.Within, 30 * time.Second},
		{&r.Hold, 15 * time.Second}, {&r.Quiet, time.Minute}, {&r.Calm, time.Hour}} {
		if *d.of == 0 {
			*d.of = d.otherwise
		}
		if *d.of < 0 {
			return errors.New("incident: no time of a ramp may be negative")
		}
	}
	for _, n := range []struct {
		of        *int64
		otherwise int64
	}{{&r.Goods, 3}, {&r.Enough, 20}, {&r.Ordinary, 10}} {
		if *n.of == 0 {
			*n.of = n.otherwise
		}
		if *n.of < 0 {
			return errors.New("incident: no number of a ramp may be negative")
		}
	}
	r.Longest = max(r.Longest, r.Every)
	return nil
}

// ProbeAnswer is what became of a probe.
type ProbeAnswer uint8

// The answers.
const (
	ProbePending ProbeAnswer = iota // not known yet
	ProbeGood
	ProbeBad
	ProbeNone // there is nothing to try it with: the first purchases are the probe
)

// ProbeResult is an answer with what operations may want to know of it, without any
// number of a customer.
type ProbeResult struct {
	Answer ProbeAnswer
	Said   string
}

// soldSince is SwitchConfig.Reading.
type soldSince func(s Series, since purchase.Instant) (paid, credited, failed int64)

// move is what a pause needs now.
type move uint8

const (
	moveWait move = iota
	moveProbe
	moveGrow
	moveFall
)

// next says what a pause that nobody holds needs now, and when to look again. It is not
// asked while a probe is under way. falls is how often the series fell in a pause shortly
// before: they count as if they had been of this one.
func (r *Ramp) next(p *Pause, falls int64, read soldSince, now purchase.Instant) (move, purchase.Instant) {
	if p.Share == 0 {
		due := p.NextAt
		if due == 0 {
			due = p.At.Add(r.First)
			if falls > 0 {
				due = max(due, p.At.Add(r.wait(falls)))
			}
		}
		if now < due {
			return moveWait, due
		}
		return moveProbe, now
	}
	if r.failed(p, read) {
		return moveFall, now
	}
	paid, credited, failed := read(p.Series, p.StepAt)
	hold, quiet := p.StepAt.Add(r.Hold), p.StepAt.Add(r.Quiet)
	switch {
	case now < hold:
		return moveWait, hold
	case credited >= r.Enough && 2*credited >= paid: // and not while most of what was paid is awaited
		return moveGrow, now
	case now < quiet:
		return moveWait, quiet
	case paid > credited+failed:
		return moveWait, now
	}
	return moveProbe, now
}

// failed reports whether too many fail of what is sold since the share grew, or shortly
// before: what was sold at the end of the last share is known only now.
func (r *Ramp) failed(p *Pause, read soldSince) bool {
	since := p.StepAt
	if p.Share > grown(0) { // before the first share nothing was sold that could speak for it
		since = since.Add(-r.Hold)
	}
	paid, _, failed := read(p.Series, since)
	return failed*whole > r.Ordinary*paid
}

// begin is a pause whose next probe is under way.
func (r *Ramp) begin(p Pause, falls int64, now purchase.Instant) Pause {
	if p.Tries == 0 {
		p.Falls = max(p.Falls, falls)
	}
	p.Version++
	p.Tries++
	p.TryAt = now
	return p
}

// end is a pause whose probe got an answer that is not ProbePending.
func (r *Ramp) end(p Pause, res ProbeResult, now purchase.Instant) Pause {
	switch res.Answer {
	case ProbeGood:
		p.Version++
		p.Good++
		p.TryAt, p.Failing, p.Said = 0, false, clipText(res.Said)
		p.NextAt = now.Add(r.Every)
		if p.Share > 0 || p.Good >= r.Goods {
			return r.grow(p, now)
		}
		return p
	case ProbeNone:
		p.Version++
		p.TryAt, p.Said = 0, clipText(res.Said)
		if at := max(p.At, p.StepAt).Add(r.Quiet); p.Share == 0 && now < at { // customers are the probe: not at once
			p.NextAt = at
			return p
		}
		return r.grow(p, now)
	default:
		p.Version++
		return r.fall(p, res.Said, now)
	}
}

// grow lets the next share through; after the last the pause is over. The version is the
// caller's to count.
func (r *Ramp) grow(p Pause, now purchase.Instant) Pause {
	p.Share, p.StepAt, p.TryAt, p.NextAt, p.Failing = grown(p.Share), now, 0, 0, false
	if p.Share == whole {
		p.EndedAt = now
	}
	return p
}

// fall sells nothing again, and waits longer than the last time. The version is the
// caller's to count.
func (r *Ramp) fall(p Pause, said string, now purchase.Instant) Pause {
	p.Falls++
	p.Share, p.StepAt, p.TryAt, p.Good, p.Failing, p.Said = 0, now, 0, 0, true, clipText(said)
	p.NextAt = now.Add(r.wait(p.Falls))
	return p
}

// wait is for how long nothing is tried after a number of falls.
func (r *Ramp) wait(falls int64) time.Duration {
	wait := r.Every
	for range min(falls, 62) {
		if wait >= r.Longest/2 {
			return r.Longest
		}
		wait *= 2
	}
	return min(wait, r.Longest)
}

// maxSaid bounds what is kept of a probe's answer, in bytes.
const maxSaid = 200

// clipText bounds a text without cutting a letter.
func clipText(text string) string {
	if len(text) <= maxSaid {
		return text
	}
	end := maxSaid
	for end > 0 && text[end]&0xC0 == 0x80 {
		end--
	}
	return text[:end]
}
