package care

import (
	"errors"
	"testing"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	at, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// promises is what the store would hold of one number: a chain of callbacks, each but the
// first of which makes good the one before, with their attempts.
type promises struct {
	*Desk
	all      []Callback
	attempts map[int64][]Attempt
	told     map[int64][]string
	now      purchase.Instant
}

func (p *promises) open() *Callback {
	c := &p.all[len(p.all)-1]
	if c.State != Promised {
		return nil
	}
	return c
}

func (p *promises) life(c *Callback) *life {
	l := &life{now: *c}
	if tries := p.attempts[c.ID]; len(tries) > 0 {
		last := tries[len(tries)-1]
		l.last = &last
	}
	return l
}

// write does what the store does with a change.
func (p *promises) write(t *rapid.T, l *life) {
	c := l.now
	before := &p.all[len(p.all)-1]
	if before.State != Promised && c.State != before.State {
		t.Fatalf("%s became %s", before.State, c.State)
	}
	*before = c
	if l.last != nil {
		tries := p.attempts[c.ID]
		switch {
		case l.last.Try == len(tries)+1:
			if len(tries) > 0 && tries[len(tries)-1].Ring == Ringing {
				t.Fatal("two attempts ring")
			}
			if len(tries) > 0 && l.last.At < tries[len(tries)-1].EndedAt.Add(spaced(tries[len(tries)-1].Ring)) {
				t.Fatalf("attempt %+v begins too soon after %+v", *l.last, tries[len(tries)-1])
			}
			if l.last.At < c.WindowAt || l.last.At >= c.Till() {
				t.Fatalf("attempt at %s outside of the window at %s", l.last.At, c.WindowAt)
			}
			if c.ToldAt == 0 {
				t.Fatal("the phone rings and no message said so")
			}
			p.attempts[c.ID] = append(tries, *l.last)
		case l.last.Try == len(tries):
			tries[len(tries)-1] = *l.last
		default:
			t.Fatalf("attempt %d after %d", l.last.Try, len(tries))
		}
	}
	for _, n := range l.told {
		p.told[c.ID] = append(p.told[c.ID], n.key)
	}
	if c.State == Kept && p.attempts[c.ID][c.Tries-1].Ring != Answered {
		t.Fatalf("kept by %+v", p.attempts[c.ID])
	}
	if c.State == Broken {
		follow := p.follow(&c, p.now)
		follow.ID = c.ID + 1
		if follow.Follows != c.ID || follow.At != c.At || follow.WindowAt < p.now {
			t.Fatalf("%+v follows %+v", follow, c)
		}
		p.all = append(p.all, follow)
	}
}

// check holds what must always be so.
func (p *promises) check(t *rapid.T) {
	for i := range p.all {
		c := &p.all[i]
		if (c.State == Promised) != (c.DueAt != 0) || (c.State == Promised) != (c.ClosedAt == 0) {
			t.Fatalf("an open callback has a due time, a closed one a closing time: %+v", c)
		}
		if c.State == Promised && i != len(p.all)-1 {
			t.Fatal("two promises are open")
		}
		if c.State == Broken && (c.ClosedAt < c.Till() || i == len(p.all)-1) {
			t.Fatalf("broken before its end, or nothing follows: %+v", c)
		}
		seen := map[string]bool{}
		for _, key := range p.told[c.ID] {
			if seen[key] {
				t.Fatalf("%s was told twice", key)
			}
			seen[key] = true
		}
		ringing := 0
		for _, a := range p.attempts[c.ID] {
			if a.Ring == Ringing {
				ringing++
			}
			if (a.Ring == Ringing) != (a.EndedAt == 0) {
				t.Fatalf("attempt %+v", a)
			}
		}
		if ringing > 1 || c.State != Cancelled && (ringing == 1) != c.Trying {
			t.Fatalf("%d attempts ring of %+v", ringing, c)
		}
	}
}

// fire does what is due, as the desk's step does.
func (p *promises) fire(t *rapid.T) {
	for range 10 {
		c := p.open()
		if c == nil || c.DueAt > p.now {
			return
		}
		l := p.life(c)
		l.due(p.now)
		if l.now == *c {
			t.Fatalf("due, and nothing is done: %+v at %s", c, p.now)
		}
		p.write(t, l)
		p.check(t)
	}
	t.Fatal("due again and again")
}

// Whatever the agents, the customer and the clock do, every promise ends kept, cancelled or
// broken, at most one attempt rings, attempts are spaced and within the window, and a broken
// promise is followed by another.
func TestLifeOfACallback(t *testing.T) {
	zones := []*time.Location{zone(t, "Africa/Ouagadougou"), zone(t, "Europe/Paris"), zone(t, "America/New_York")}
	rings := []Ring{Answered, Busy, NoAnswer, Unreachable, Voicemail, Declined, Lost, Undialled}
	rapid.Check(t, func(t *rapid.T) {
		d := &Desk{hours: Hours{Opens: 7 * time.Hour, Closes: 21 * time.Hour, Location: rapid.SampledFrom(zones).Draw(t, "zone"), PerWindow: 1}}
		// Around the days on which clocks are put forward and back.
		day := rapid.SampledFrom([]time.Time{time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 7, 0, 0, 0, 0, time.UTC),
			time.Date(2026, 10, 24, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)}).Draw(t, "day")
		p := &promises{Desk: d, attempts: map[int64][]Attempt{}, told: map[int64][]string{},
			now: purchase.At(day).Add(time.Duration(rapid.IntRange(0, 48*60).Draw(t, "minute")) * time.Minute)}
		offered := d.windows(p.now)
		first := begin(Callback{ID: 1, Number: 22670112233, At: p.now, WindowAt: rapid.SampledFrom(offered).Draw(t, "window")})
		p.all = []Callback{first}
		if rapid.Bool().Draw(t, "skip to the window") {
			p.now = first.WindowAt.Add(-3 * time.Minute)
		}
		for range rapid.IntRange(0, 60).Draw(t, "events") {
			switch rapid.IntRange(0, 9).Draw(t, "event") {
			case 0, 1, 2:
				p.now = p.now.Add(time.Duration(rapid.IntRange(0, 240).Draw(t, "seconds")) * time.Second)
			case 3:
				p.now = p.now.Add(time.Duration(rapid.IntRange(-60, 3600).Draw(t, "seconds")) * time.Second)
			case 4, 5:
				if c := p.open(); c != nil {
					l := p.life(c)
					if l.ring(auth.StaffID(rapid.IntRange(1, 3).Draw(t, "staff")), rapid.SampledFrom([]string{"", "a call"}).Draw(t, "ref"), p.now) == nil {
						p.write(t, l)
					}
				}
			case 6, 7:
				c := &p.all[len(p.all)-1]
				if l := p.life(c); l.last != nil && l.last.Ring == Ringing {
					l.rang(rapid.SampledFrom(rings).Draw(t, "ring"), p.now)
					p.write(t, l)
				}
			case 8:
				if c := p.open(); c != nil && rapid.IntRange(0, 9).Draw(t, "cancels") == 0 {
					c.State, c.ClosedAt, c.DueAt = Cancelled, p.now, 0
				}
			case 9:
				p.fire(t)
			}
			p.check(t)
		}
		// Nobody calls any more: the promise that is open breaks, in time, and the next is made.
		if c := p.open(); c != nil {
			id, end := c.ID, max(c.Till(), p.now).Add(lostAfter)
			for p.now < end {
				if c := p.open(); c != nil && c.ID == id {
					p.now = max(p.now, c.DueAt)
				} else {
					break
				}
				p.fire(t)
			}
			if got := p.all[id-1].State; got != Broken {
				t.Fatalf("nobody called, and it is %s", got)
			}
		}
	})
}

func TestRingRefuses(t *testing.T) {
	at := purchase.At(time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC))
	for name, c := range map[string]struct {
		change func(*Callback)
		now    purchase.Instant
		why    Why
		till   purchase.Instant
	}{
		"before the window":  {func(*Callback) {}, at - 1, WhySoon, at},
		"at its end":         {func(*Callback) {}, at.Add(Window), WhyOver, 0},
		"kept":               {func(c *Callback) { c.State = Kept }, at, WhyOver, 0},
		"after a busy line":  {func(c *Callback) { c.NextAt = at.Add(time.Minute) }, at + 1, WhySoon, at.Add(time.Minute)},
		"while one rings":    {func(c *Callback) { c.Trying = true }, at + 1, WhyRinging, at.Add(lostAfter)},
		"at once, as it is ": {func(*Callback) {}, at, "", 0},
	} {
		call := begin(Callback{ID: 1, WindowAt: at})
		c.change(&call)
		l := life{now: call, last: &Attempt{At: at}}
		err := l.ring(7, "", c.now)
		var refusal *Refusal
		switch {
		case c.why == "" && err != nil, c.why != "" && !errors.As(err, &refusal):
			t.Errorf("%s: %v", name, err)
		case c.why != "" && (refusal.Why != c.why || refusal.At != c.till || !errors.Is(err, ErrRefused)):
			t.Errorf("%s: %+v, want %s at %s", name, refusal, c.why, c.till)
		}
	}
}

// An attempt that rings when the window ends decides; but not for ever.
func TestTheLastAttemptDecides(t *testing.T) {
	at := purchase.At(time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC))
	late := at.Add(14*time.Minute + 50*time.Second)
	for _, c := range []struct {
		ring  Ring
		ref   string
		want  State
		lasts time.Duration
	}{{Answered, "", Kept, 0}, {NoAnswer, "", Broken, 0}, {Voicemail, "", Broken, 0}, {Undialled, "", Broken, 0}, {Ringing, "", Promised, lostAfter},
		{Ringing, "a call", Promised, MachineFor}} {
		ring, want := c.ring, c.want
		l := life{now: begin(Callback{ID: 1, WindowAt: at})}
		if err := l.ring(7, c.ref, late); err != nil {
			t.Fatal(err)
		}
		l.due(at.Add(Window))
		if l.now.State != Promised {
			t.Fatalf("%s while it rang", l.now.State)
		}
		if ring != Ringing {
			l.rang(ring, at.Add(Window+time.Minute))
		}
		if l.now.State != want {
			t.Errorf("%s: %s, want %s", ring, l.now.State, want)
		}
		if ring == Ringing {
			l.due(l.now.DueAt)
			if l.now.State != Broken || l.last.Ring != Lost || l.now.ClosedAt != late.Add(c.lasts) {
				t.Errorf("nobody said anything: %+v, %+v", l.now, l.last)
			}
		}
	}
}

// Whose phone never rang is called again at once: it was no attempt on them.
func TestUndialledIsNoAttempt(t *testing.T) {
	at := purchase.At(time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC))
	l := life{now: begin(Callback{ID: 1, WindowAt: at})}
	for i, ring := range []Ring{Undialled, Busy, Undialled} {
		now := at.Add(time.Duration(i) * 2 * time.Minute)
		if err := l.ring(7, "a call", now); err != nil {
			t.Fatalf("after %d: %v", i, err)
		}
		next := max(l.now.NextAt, at)
		if ring == Busy {
			next = now.Add(time.Minute)
		}
		if l.rang(ring, now); l.now.NextAt != next || l.now.State != Promised {
			t.Errorf("%s: the next at %s, want %s", ring, l.now.NextAt, next)
		}
	}
}

// A broken promise is made good at once in the hours, otherwise when they begin; one that
// breaks again an hour later.
func TestFollow(t *testing.T) {
	d := &Desk{hours: Hours{Opens: 7 * time.Hour, Closes: 21 * time.Hour, Location: time.UTC, PerWindow: 1}}
	at := func(day, hour, minute int) purchase.Instant {
		return purchase.At(time.Date(2026, 11, day, hour, minute, 0, 0, time.UTC))
	}
	for _, c := range []struct{ now, want, again purchase.Instant }{
		{at(28, 10, 15), at(28, 10, 15), at(28, 11, 15)},
		{at(28, 20, 45), at(28, 20, 45), at(29, 7, 0)},
		{at(28, 21, 0), at(29, 7, 0), at(29, 7, 0)},
		{at(28, 5, 0), at(28, 7, 0), at(28, 7, 0)},
	} {
		if got := d.follow(&Callback{ID: 3, At: 5}, c.now); got.WindowAt != c.want || got.Follows != 3 || got.At != 5 || (got.ToldAt != 0) != (c.want == c.now) {
			t.Errorf("at %s: %+v", c.now, got)
		}
		if got := d.follow(&Callback{ID: 3, Follows: 2}, c.now); got.WindowAt != c.again {
			t.Errorf("again at %s: %s, want %s", c.now, got.WindowAt, c.again)
		}
	}
}
