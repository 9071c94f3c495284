package sim

import (
	"errors"
	"fmt"
	"time"

	"tenu/internal/purchase"
)

// wishCount gives arrays the room to be indexed by wish.
const wishCount = int(purchase.WishProvenRefund) + 1

// staff are the people, and the rules, that ask for legs of a buyer's purchase: at
// any time, in any state, once or several times at once, from any node.
type staff struct {
	w     *world
	buyer *buyer
}

// begin decides who asks for what, and when. Some ask while the first calls are
// under way, most while something is in doubt or over.
func (s *staff) begin() {
	w := s.w
	d := w.dice(12, uint64(s.buyer.index)) //nolint:gosec // an index
	if !d.chance(w.plan.wishful) {
		return
	}
	for range 1 + d.n(3) {
		wish := pick(d, purchase.WishAnswer, purchase.WishCredit, purchase.WishRefund, purchase.WishProvenRefund, purchase.WishReversal, purchase.WishReversal)
		after := d.between(0, pick(d, 2*time.Second, time.Minute, w.plan.span, w.plan.span+w.plan.rules.ResolveWithin))
		once := d.chance(50)
		w.after(s.buyer.begins+after, func() {
			s.ask(wish, d, 0)
			if !once { // two people, or one who taps twice
				s.ask(wish, d, 0)
				w.after(d.between(time.Millisecond, 5*time.Second), func() { s.ask(wish, d, 0) })
			}
		})
	}
}

// ask hands a wish to any node that runs, and comes again when it was not heard.
func (s *staff) ask(wish purchase.Wish, d *dice, tries int) {
	w, r := s.w, &s.buyer.r
	id, made := w.book.keys[clientKey{r.Client, r.ClientKey}]
	n := w.nodes[d.n(len(w.nodes))]
	again := func() {
		if tries < 5 {
			w.after(d.between(time.Second, 20*time.Second), func() { s.ask(wish, d, tries+1) })
		}
	}
	if !made || !n.up() || n.drain {
		again()
		return
	}
	w.book.wished(id, wish)
	w.note("wish", id, fmt.Sprintf("%s, from %s", wish, n.name))
	heard := false
	err := n.steps.Ask(w.ctx, id, wish, func(err error) { heard = err == nil })
	n.pump()
	if errors.Is(err, purchase.ErrNotFound) {
		w.fail("C1", id, "%s: %s is wished for, and the purchase is not found", n.name, wish)
		return
	}
	w.after(3*time.Second, func() {
		if err != nil || !heard {
			again()
		}
	})
}

// wished notes a wish, and the state that it meets.
func (a *auditor) wished(id purchase.ID, wish purchase.Wish) {
	if a.wishes[id] == nil {
		a.wishes[id] = map[purchase.Wish]bool{}
	}
	a.wishes[id][wish] = true
	a.w.tally.Wishes[wish][a.records[id].Purchase.State]++
}

// unwished checks C1: nothing that only people may decide happens to a purchase of
// which nobody asked it, and a wish alone posts nothing.
func (a *auditor) unwished(was *purchase.Purchase, c *purchase.Change) {
	p := &c.Now
	if at := c.Attempt; at != nil && at.Leg == purchase.Reversal && !a.wishes[p.ID][purchase.WishReversal] {
		a.w.fail("C1", p.ID, "the units are to be taken back, and nobody asked for it")
	}
	if !p.Unproven || was.Unproven || a.wishes[p.ID][purchase.WishRefund] || c.Attempt == nil {
		return
	}
	rules := &a.w.plan.rules
	due := p.ResolveBy.Add(-rules.ResolveMargin)
	if rules.RefundUnproven {
		due = min(due, p.DeliverBy)
	}
	if c.Attempt.At < due { // on the purchase's own clock
		a.w.fail("C1", p.ID, "refunded without proof before its deadline, and nobody asked for it")
	}
}
