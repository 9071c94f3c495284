package sim

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tenu/internal/care"
	"tenu/internal/purchase"
	callcentre "tenu/internal/voice/centre"
	"tenu/internal/voice/dial"
)

// handFor is how long somebody who dials themselves lets a phone ring at most.
const handFor = 4 * time.Minute

// exchangeFor is for how long an exchange lets a phone ring for a process that died.
const exchangeFor = 3 * time.Minute

// phones are the telephones of a world: what really rings, and who really speaks.
type phones struct {
	w         *world
	operators *operators
	calls     map[[2]int64]*ring               // by callback and attempt
	ringing   map[purchase.MSISDN]map[any]bool // customers' phones, by what lets them ring
	talking   map[purchase.MSISDN]int          // customers who speak with an agent
	downTill  purchase.Instant                 // the exchange is down until then
	begun     uint64                           // calls that were asked for
}

// ring is one call, as it really is.
type ring struct {
	dial.Call
	callback, try int64
	of            purchase.ID
	n             *node
	life          int
	apart         bool // the exchange makes the call itself, whatever becomes of the process
	rang          bool // the customer's phone was called
	spoke         bool // agent and customer heard each other
	over          bool
	d             *dice
}

func newPhones(w *world) *phones {
	return &phones{w: w, operators: newOperators(w), calls: map[[2]int64]*ring{}, ringing: map[purchase.MSISDN]map[any]bool{},
		talking: map[purchase.MSISDN]int{}}
}

// dialled are the phones as one node's process reaches them: dial.Phones.
type dialled struct {
	n    *node
	life int
}

var errPhones = errors.New("the exchange does not answer")

// meets draws a fault of telephones. They fail until partners do what they promise: most promises are for a time
// when processes and store fail no more.
func (p *phones) meets(d *dice, f Fault, percent int, of purchase.ID) bool {
	if p.w.honest || p.w.plan.without.has(f) || !d.chance(percent) {
		return false
	}
	p.w.hit(f, of)
	return true
}

// Call is dial.Phones.
func (x dialled) Call(_ context.Context, c dial.Call) error {
	n, p := x.n, x.n.w.phones
	if n.died || n.life != x.life {
		return fmt.Errorf("%w: %w", dial.ErrUndialled, errEnded)
	}
	return n.deadly(func() error {
		if n.died {
			return errEnded
		}
		return p.call(x, c)
	})
}

// HangUp is dial.Phones.
func (x dialled) HangUp(name string) {
	callback, try := parsed(name)
	if r := x.n.w.phones.calls[[2]int64{callback, try}]; r != nil {
		r.end()
	}
}

// parsed are the callback and the attempt that a call is named by.
func parsed(name string) (callback, try int64) {
	parts := strings.Split(name, "-")
	callback, _ = strconv.ParseInt(parts[len(parts)-2], 10, 64)
	try, _ = strconv.ParseInt(parts[len(parts)-1], 10, 64)
	return callback, try
}

// call begins a call, or fails to.
func (p *phones) call(x dialled, c dial.Call) error {
	w := p.w
	p.begun++
	callback, try := parsed(c.Name)
	d := w.dice(71, uint64(callback), uint64(try), p.begun) //nolint:gosec // counts
	promise := w.files.callbacks[callback]
	if promise == nil {
		w.fail("C7", 0, "call %s is of no promise", c.Name)
		return nil
	}
	r := &ring{Call: c, callback: callback, try: try, of: promise.Purchase, n: x.n, life: x.life, apart: d.chance(50), d: d}
	switch {
	case w.now < p.downTill && !w.honest:
		w.hit(PhonesDown, r.of)
		if d.chance(70) {
			return fmt.Errorf("%w: %w", dial.ErrUndialled, errPhones)
		}
		return errPhones
	case p.meets(d, DialFailed, 8, r.of):
		return fmt.Errorf("%w: %w", dial.ErrUndialled, errPhones)
	}
	p.begins(r)
	if p.meets(d, DialUnheard, 8, r.of) {
		return errPhones
	}
	return nil
}

// begins checks a call that begins (invariant C7), and lets it take its course.
func (p *phones) begins(r *ring) {
	w := p.w
	w.note("call", r.of, fmt.Sprintf("%s by %s, customer first %t", r.Name, r.Extension, r.CustomerFirst))
	w.tally.Dialled++
	w.files.dial(r.callback, r.try, r.of)
	a := p.operators.of(func(a *callcentre.Agent) bool { return a.Extension == r.Extension })
	if a == nil || a.State != callcentre.Ringing || a.Callback != r.callback {
		w.fail("C7", r.of, "call %s lets the phone of %q ring, who was not claimed for it", r.Name, r.Extension)
		return
	}
	p.calls[[2]int64{r.callback, r.try}] = r
	if r.CustomerFirst {
		r.customer(func() { r.agent(func() { r.connect() }, care.Lost) })
		return
	}
	r.agent(func() { r.customer(func() { r.connect() }) }, care.Undialled)
}

// alive reports whether whoever made the call still does.
func (r *ring) alive() bool { return r.apart || r.n.life == r.life && r.n.steps != nil }

// later lets a call go on, if it is not over.
func (r *ring) later(d time.Duration, do func()) {
	r.n.w.after(d, func() {
		if !r.over {
			do()
		}
	})
}

// agent lets the agent's phone ring.
func (r *ring) agent(then func(), ring care.Ring) {
	if r.n.w.phones.meets(r.d, AgentSilent, 15, r.of) {
		r.later(20*time.Second, func() {
			r.tell(dial.Event{News: dial.Missed})
			r.ended(ring)
		})
		return
	}
	r.later(r.d.between(2*time.Second, 18*time.Second), func() {
		if !r.alive() {
			r.end()
			return
		}
		r.tell(dial.Event{News: dial.Taken})
		then()
	})
}

// customer lets the customer's phone ring. No other call may let it ring then.
func (r *ring) customer(then func()) {
	w, p := r.n.w, r.n.w.phones
	r.rang = true
	if p.talking[r.Number] > 0 {
		r.later(time.Second, func() { r.ended(care.Busy) })
		return
	}
	p.rings(r.Number, r, r.of)
	ring := pick(r.d, care.Answered, care.Answered, care.Answered, care.Busy, care.NoAnswer, care.Unreachable, care.Declined)
	if w.calm && r.d.chance(70) {
		ring = care.Answered
	}
	takes := r.d.between(2*time.Second, 45*time.Second)
	if ring == care.NoAnswer {
		takes = 45 * time.Second
	}
	r.later(takes, func() {
		switch {
		case !r.alive() && ring == care.NoAnswer: // nobody takes the call back
			r.later(exchangeFor-takes, r.end)
		case !r.alive():
			r.end()
		case ring == care.Answered:
			p.stops(r.Number, r)
			then()
		default:
			r.ended(ring)
		}
	})
}

// connect lets the two hear each other, unless the customer hangs up before.
func (r *ring) connect() {
	p := r.n.w.phones
	r.later(r.d.between(time.Second, 4*time.Second), func() {
		if !r.alive() {
			r.end()
			return
		}
		if r.d.chance(10) {
			r.ended(care.Declined)
			return
		}
		r.spoke = true
		p.talking[r.Number]++
		r.tell(dial.Event{News: dial.Spoke})
		r.n.w.after(r.d.between(20*time.Second, 3*time.Minute), func() {
			p.talking[r.Number]--
			if !r.over {
				r.ended(care.Answered)
			}
		})
	})
}

// ended is the end of a call that is told.
func (r *ring) ended(ring care.Ring) {
	r.end()
	r.tell(dial.Event{News: dial.Ended, Ring: ring})
}

// end is the end of a call.
func (r *ring) end() {
	r.over = true
	r.n.w.phones.stops(r.Number, r)
}

// tell tells the process that made the call: soon, late, twice or not at all.
func (r *ring) tell(e dial.Event) {
	e.Call = r.Name
	p, n, life := r.n.w.phones, r.n, r.life
	hear := func() {
		if n.life != life || n.dialler == nil {
			return
		}
		n.w.note("hears", r.of, fmt.Sprintf("%s: %d %d", e.Call, e.News, e.Ring))
		n.dialler.Heard(e)
		n.dialLater(time.Millisecond)
	}
	if p.meets(r.d, OutcomeLost, 6, r.of) {
		return
	}
	after := r.d.between(time.Millisecond, time.Second)
	if p.meets(r.d, OutcomeLate, 6, r.of) {
		after = r.d.between(time.Minute, 8*time.Minute)
	}
	n.then(after, hear)
	if p.meets(r.d, OutcomeTwice, 10, r.of) {
		n.then(after+r.d.between(time.Millisecond, 5*time.Minute), hear)
	}
}

// rings lets a customer's phone ring, which no other call does (invariant C7). Where clocks were put, nobody can say
// how long ago the other call began.
func (p *phones) rings(number purchase.MSISDN, by any, of purchase.ID) {
	if len(p.ringing[number]) > 0 && !p.w.log.skewed {
		p.w.fail("C7", of, "two calls let the phone of a customer ring at once")
	}
	if p.ringing[number] == nil {
		p.ringing[number] = map[any]bool{}
	}
	p.ringing[number][by] = true
}

// stops lets it ring no more.
func (p *phones) stops(number purchase.MSISDN, by any) {
	delete(p.ringing[number], by)
	if len(p.ringing[number]) == 0 {
		delete(p.ringing, number)
	}
}

// byHand lets a customer's phone ring for one of the staff who dials themselves, for a time.
func (p *phones) byHand(number purchase.MSISDN, of purchase.ID, long time.Duration) {
	if p == nil {
		return // of a world that follows a script
	}
	by := new(int)
	p.rings(number, by, of)
	p.w.after(long, func() { p.stops(number, by) })
}

// outcome checks what is said of an attempt against what really became of it (invariant C7).
func (p *phones) outcome(now *care.Callback, t *care.Attempt) {
	p.w.tally.Rings[t.Ring]++
	r := p.calls[[2]int64{now.ID, int64(t.Try)}]
	if r == nil && t.Ref == "" { // by hand: nobody knows but who called
		return
	}
	switch t.Ring {
	case care.Answered:
		if r == nil || !r.spoke {
			p.w.fail("C7", now.Purchase, "attempt %d of callback %d is said to have been answered, and agent and customer did not speak", t.Try, now.ID)
		}
	case care.Undialled:
		if r != nil && (r.rang || !r.over) {
			p.w.fail("C7", now.Purchase, "attempt %d of callback %d is said not to have rung, and it did or may", t.Try, now.ID)
		}
	case care.Busy, care.NoAnswer, care.Unreachable, care.Declined, care.Voicemail:
		if r == nil || !r.rang {
			p.w.fail("C7", now.Purchase, "attempt %d of callback %d counts against the customer as %s, whose phone never rang", t.Try, now.ID, t.Ring)
		}
	case care.Ringing, care.Lost:
	}
}

// dialLater lets the dialler work, and again when it wants to.
func (n *node) dialLater(d time.Duration) {
	at := n.w.now.Add(d)
	if n.dialler == nil || n.dialAt != 0 && n.dialAt <= at {
		return
	}
	n.dialAt = at
	n.then(d, func() {
		if n.dialAt == at {
			n.dialAt = 0
			n.dialWork()
		}
	})
}

// dialWork is one turn of the dialler's loop.
func (n *node) dialWork() {
	w, life := n.w, n.life
	step := n.dialler.Tend
	if n.cares() {
		step = n.dialler.Step
	}
	next := clock{n}.Now().Add(time.Second)
	n.atDesk(func(*care.Desk) {
		at, err := step(w.ctx, clock{n}.Now())
		if err == nil {
			next = at
		}
		w.answered("dial", err)
	})
	if n.steps == nil || n.life != life || len(w.files.openCalls.open) == 0 && next == 0 {
		return
	}
	wait := time.Minute // of others' work it does not hear
	if !w.calm {
		wait = n.others()
	}
	if next != 0 && (len(w.nodes) == 1 || next.Sub(clock{n}.Now()) < wait) {
		wait = next.Sub(clock{n}.Now())
	}
	n.dialLater(max(wait, 10*time.Millisecond))
}

// deadly does something at which the process may end, before it or after it.
func (n *node) deadly(do func() error) error {
	if n.armed != CrashInDial || n.w.calm || n.died {
		return do()
	}
	n.armed, n.died, n.killer = 0, true, CrashInDial
	if n.w.dice(72, uint64(n.w.seq)).chance(50) { //nolint:gosec // a count
		return errEnded
	}
	n.died = false
	_ = do() // nobody hears of it
	n.died = true
	return errEnded
}
