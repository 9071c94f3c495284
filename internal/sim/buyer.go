package sim

import (
	"errors"
	"fmt"
	"time"

	"tenu/internal/purchase"
)

// buyer is a client that makes one purchase, and asks again until it knows what
// became of it.
type buyer struct {
	w       *world
	index   int
	begins  time.Duration // when it asks first
	r       purchase.Request
	id      purchase.ID // acknowledged
	refused bool        // for good
	tries   int
	waiting int // requests without an answer
}

func newBuyer(w *world, index int) *buyer {
	return &buyer{w: w, index: index, r: w.plan.request(index)}
}

// begin decides when the buyer asks, whether twice at once, and whether somebody
// uses the key for something else.
func (b *buyer) begin() {
	d := b.w.dice(7, uint64(b.index)) //nolint:gosec // an index
	if s := b.w.plan.script; s != nil {
		b.begins = s.Arrivals[b.index]
		b.w.after(b.begins, func() { b.ask(b.r, d) })
		if d.chance(2) {
			b.w.after(b.begins+d.between(0, 200*time.Millisecond), func() { b.ask(b.r, d) })
		}
		return
	}
	at := b.w.plan.opens + d.between(0, b.w.plan.sells)
	b.begins = at
	b.w.after(at, func() { b.ask(b.r, d) })
	if d.chance(8) {
		b.w.after(at+d.between(0, 200*time.Millisecond), func() { b.ask(b.r, d) })
	}
	if d.chance(4) {
		other := b.r
		other.Total, other.Units, other.Digest = other.Total+1000, other.Units+1000, digest(b.index, 1)
		b.w.after(at+d.between(time.Millisecond, 10*time.Second), func() { b.ask(other, d) })
	}
}

// ask submits to any node that runs.
func (b *buyer) ask(r purchase.Request, d *dice) {
	w := b.w
	n := w.nodes[d.n(len(w.nodes))]
	b.tries++
	if !n.up() || n.drain {
		b.again(r, d)
		return
	}
	life := n.life
	w.note("buy", 0, fmt.Sprintf("buyer %d, body %d, from %s", b.index, r.Digest[3], n.name))
	asked, tries, alone := birth{w.now, n.epoch}, b.tries, b.waiting == 0
	b.waiting++
	intent := n.steps.Buy(w.ctx, r)
	n.pump()
	var wait func()
	wait = func() {
		switch {
		case life != n.life || n.steps == nil: // no answer
			b.waiting--
			b.again(r, d)
		case n.frozen || !intent.Settled():
			w.after(20*time.Millisecond, wait)
		default:
			b.waiting--
			p, replay, err := intent.Result(w.ctx)
			if err != nil && alone && tries == b.tries {
				b.denied(r, err, asked)
			}
			b.hear(r, answer{p, replay, err}, d)
		}
	}
	wait()
}

func (b *buyer) again(r purchase.Request, d *dice) {
	b.w.after(d.between(500*time.Millisecond, 3*time.Second), func() { b.ask(r, d) })
}

// answer is what a request led to.
type answer struct {
	p      purchase.Purchase
	replay bool
	err    error
}

// denied checks that "nothing was bought" is true (invariant P8) of a request that
// was the only one of its buyer.
func (b *buyer) denied(r purchase.Request, err error, asked birth) {
	book := b.w.book
	id, found := book.keys[clientKey{r.Client, r.ClientKey}]
	if made := book.births[id]; found && made.epoch == asked.epoch && made.at >= asked.at &&
		(errors.Is(err, purchase.ErrUnavailable) || errors.Is(err, purchase.ErrBusy)) {
		b.w.fail("P8", id, "buyer %d is told that nothing was bought: %v", b.index, err)
	}
}

// hear takes the answer.
func (b *buyer) hear(r purchase.Request, a answer, d *dice) {
	w, p, err := b.w, a.p, a.err
	var repeat *purchase.RepeatError
	var paused *purchase.PausedError
	switch {
	case err == nil:
		w.note("bought", p.ID, fmt.Sprintf("buyer %d, body %d, replay %t", b.index, r.Digest[3], a.replay))
		b.acknowledged(p, r)
	case errors.As(err, &repeat):
		w.note("repeat", repeat.Earlier, fmt.Sprintf("buyer %d", b.index))
		if w.book.records[repeat.Earlier] == nil {
			w.fail("P8", repeat.Earlier, "buyer %d is told of an earlier purchase that is not there", b.index)
		}
		if b.refused = w.play == nil && d.chance(50); !b.refused {
			r.Again = true
			b.again(r, d)
		}
	case errors.Is(err, purchase.ErrKeyConflict):
		w.note("conflict", b.id, fmt.Sprintf("buyer %d, body %d", b.index, r.Digest[3]))
		id, found := w.book.keys[clientKey{r.Client, r.ClientKey}]
		if found && w.book.records[id].Purchase.Digest == r.Digest {
			w.fail("P8", id, "buyer %d: a conflict for the same request", b.index)
		}
	case errors.As(err, &paused) && w.play != nil:
		w.note("paused", 0, fmt.Sprintf("buyer %d: %v", b.index, err))
		if !b.refused && b.id == 0 {
			w.play.refused++
			w.play.minute().Refused++
		}
		b.refused = true
	default:
		w.note("unsold", 0, fmt.Sprintf("buyer %d: %v", b.index, cause(err)))
		b.again(r, d)
	}
}

// acknowledged checks that one key is one purchase (invariant P8).
func (b *buyer) acknowledged(p purchase.Purchase, r purchase.Request) {
	record := b.w.book.records[p.ID]
	switch {
	case record == nil:
		b.w.fail("P8", p.ID, "buyer %d: acknowledged, not durable", b.index)
	case record.Purchase.Digest != r.Digest || record.Purchase.ClientKey != r.ClientKey:
		b.w.fail("P8", p.ID, "buyer %d: another request's purchase", b.index)
	case b.id != 0 && b.id != p.ID:
		b.w.fail("P8", p.ID, "buyer %d: two purchases under one key", b.index)
	}
	b.id = p.ID
}
