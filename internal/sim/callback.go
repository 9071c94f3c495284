package sim

import (
	"errors"
	"fmt"
	"time"

	"tenu/internal/purchase"
)

// callback is news that a partner brings by itself, as it comes over the wire:
// the key as text, and whether it bears the partner's signature.
type callback struct {
	from   *peer
	key    string
	signed bool
	source purchase.Source
	ev     purchase.Event
	tries  int
}

// tell sends a partner's news: soon, twice, before the answer, much later, or not at all.
func (p *peer) tell(a *account, o purchase.Outcome, d *dice) {
	w := p.w
	if w.calm {
		return // the statement tells it
	}
	c := &callback{from: p, key: a.key, signed: true, source: purchase.FromCallback,
		ev: purchase.Event{Leg: a.o.Leg, Outcome: o}}
	scripted := Fault(0)
	if s := w.plan.script; s != nil && !p.plan.house {
		scripted = s.draw(d, p.Name(), w.now.Sub(w.begins), newsFaults)
	}
	meets := func(f Fault, percent int) bool {
		if w.plan.script != nil {
			if f != scripted {
				return false
			}
		} else if w.plan.without.has(f) || !d.chance(percent) {
			return false
		}
		w.hit(f, a.o.Purchase)
		return true
	}
	switch {
	case meets(CallbackLost, 40):
		return
	case meets(CallbackEarly, 20):
		w.after(time.Microsecond, c.arrive)
	case meets(CallbackLate, 10):
		w.after(d.between(time.Minute, w.plan.rules.ResolveWithin), c.arrive)
	default:
		w.after(d.between(10*time.Millisecond, 3*time.Second), c.arrive)
	}
	if meets(CallbackTwice, 15) {
		w.after(d.between(time.Millisecond, time.Minute), c.arrive)
	}
	if meets(CallbackForged, 10) {
		w.after(d.between(time.Millisecond, time.Minute), forge(c, d).arrive)
	}
}

// forge is a callback of somebody else: with an invented key, or without signature.
func forge(c *callback, d *dice) *callback {
	f := *c
	f.ev.Outcome.Kind = pick(d, purchase.Done, purchase.Refused, purchase.Reversed)
	f.ev.Outcome.Ref = "forged"
	if d.chance(50) {
		f.signed = false
		return &f
	}
	last := byte('0')
	if f.key[len(f.key)-1] == last {
		last = '1'
	}
	f.key = f.key[:len(f.key)-1] + string(last)
	return &f
}

// arrive brings the callback to any node that runs. A partner that gets no
// confirmation tries again, for a while.
func (c *callback) arrive() {
	w := c.from.w
	key, err := w.keys.ParseUUID(c.key)
	if err != nil || !c.signed { // 401
		w.note("forged", 0, c.key)
		return
	}
	if w.book.records[key.ID] == nil {
		w.fail("P10", key.ID, "%s brings news of a purchase that is not durable", c.from.Name())
		return
	}
	c.tries++
	d := w.dice(10, w.buyerOf(key.ID), uint64(key.Leg), uint64(c.tries)) //nolint:gosec // small numbers
	n := w.nodes[d.n(len(w.nodes))]
	if !n.up() {
		c.again()
		return
	}
	answered := false
	c.ev.Source = c.source
	w.note("news", key.ID, fmt.Sprintf("%s to %s: %s %s", c.from.Name(), n.name, c.ev, c.ev.Outcome.Ref))
	err = n.steps.Deliver(w.ctx, key.ID, c.ev, func(err error) {
		answered = err == nil
		if answered {
			w.book.confirmed(key.ID, &c.ev)
		}
	})
	n.pump()
	if errors.Is(err, purchase.ErrNotFound) {
		w.fail("P10", key.ID, "%s: news of %s is not found", n.name, c.from.Name())
		return
	}
	w.after(2*time.Second, func() {
		if err != nil || !answered {
			c.again()
		}
	})
}

func (c *callback) again() {
	w := c.from.w
	if c.tries < 5 || w.calm {
		w.after(10*time.Second, c.arrive)
	}
}
