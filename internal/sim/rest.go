package sim

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"tenu/internal/purchase"
)

// watch looks at the deadlines of a charged purchase when they have passed (P2).
func (a *auditor) watch(p *purchase.Purchase) {
	w, id, by := a.w, p.ID, p.ResolveBy
	w.after(by.Sub(w.now)+time.Second, func() {
		r := a.records[id]
		if r.Purchase.ResolveBy != by || w.resting() || w.clocksDiffer() {
			return
		}
		if w.rough.Add(w.plan.rules.ResolveMargin) > w.now { // not all was well before the deadline
			return
		}
		p := &r.Purchase
		if !p.State.Final() && (!p.Exposed || len(r.Cases) == 0) {
			w.fail("P2", id, "%s past the last deadline, and not exposed with a case", p.State)
		}
	})
}

func (w *world) clocksDiffer() bool {
	for _, n := range w.nodes {
		if n.offset != 0 {
			return true
		}
	}
	return false
}

// resting reports whether everything has come to rest.
func (w *world) resting() bool { return w.calm && w.book.open == 0 && len(w.book.unsent) == 0 }

// settleDown ends the faults of processes and store, and later those of partners.
// What partners were still to do, they do; then their statements tell every
// movement, and everything comes to rest.
func (w *world) settleDown() {
	w.note("calm", 0, "no more faults")
	w.calm = true
	w.rough = w.now
	for _, n := range w.nodes {
		n.armed, n.down, n.offset = 0, 0, 0
		if n.steps != nil {
			n.end(Drained) // with a clock that is right
		}
	}
	resolve := w.plan.rules.ResolveWithin
	honest := resolve + w.plan.rules.WatchFor*3/4
	w.after(honest, func() {
		w.note("honest", 0, "partners do what they promise")
		w.honest = true
	})
	w.after(honest+resolve*3/2, func() { w.statements(0) })
	w.after(honest+resolve*3+w.plan.rules.WatchFor, w.giveUp)
}

// statements brings each movement of each partner's books to the nodes, as
// statements do, until all are known.
func (w *world) statements(round int) {
	sent := 0
	for _, p := range w.peers {
		for _, a := range p.order {
			for _, m := range a.moved {
				if w.book.knows(a, m) {
					continue
				}
				sent++
				o := p.done(m)
				c := &callback{from: p, key: a.key, signed: true, source: purchase.FromStatement,
					ev: purchase.Event{Leg: a.o.Leg, Outcome: o}}
				w.after(time.Duration(sent)*time.Millisecond, c.arrive)
				if m.undone {
					undone := *c
					undone.ev.Outcome = p.reversed(m)
					w.after(time.Duration(sent)*time.Millisecond+30*time.Second, undone.arrive)
				}
			}
		}
	}
	w.note("statement", 0, fmt.Sprintf("%d lines, round %d", sent, round))
	if sent > 0 && round < 4 {
		w.after(10*time.Minute, func() { w.statements(round + 1) })
	}
}

// knows reports whether a movement, and whether it was undone, is on record.
func (a *auditor) knows(account *account, m *movement) bool {
	r := a.records[account.o.Purchase]
	if r == nil {
		return true
	}
	done, undone := false, false
	for i := range r.Evidence {
		if e := &r.Evidence[i]; e.Leg == account.o.Leg && (e.Ref == m.ref || e.Ref == "" && len(account.moved) == 1) {
			done = done || e.Kind == purchase.Done
			undone = undone || e.Kind == purchase.Reversed
		}
	}
	return done && (undone || !m.undone)
}

// giveUp ends a world: whatever is open now stays open.
func (w *world) giveUp() { w.queue = nil }

// atRest checks what must hold when nothing happens any more.
func (a *auditor) atRest() {
	w := a.w
	for _, b := range w.buyers {
		if b.id != 0 && a.records[b.id] == nil {
			w.fail("P8", b.id, "acknowledged to buyer %d, and lost", b.index)
		}
		if b.id == 0 && !b.refused && b.tries > 0 {
			if _, found := a.keys[clientKey{b.r.Client, b.r.ClientKey}]; !found {
				w.fail("P8", 0, "buyer %d was never answered", b.index)
			}
		}
	}
	for key := range a.unsent {
		w.fail("N5", key.id, "%s was never sent", key.fact)
		break
	}
	for _, id := range a.ids {
		a.settled(a.records[id])
		a.heard(a.records[id])
	}
	a.stored()
}

// heard checks that every notice reached the SMS centre.
func (a *auditor) heard(r *purchase.Record) {
	for i := range r.Notices {
		id := string(a.w.keys.Reference(r.Purchase.ID)) + "-" + r.Notices[i].Fact.String()
		if _, sent := a.w.centre.texts[id]; !sent {
			a.w.fail("N5", r.Purchase.ID, "%s is marked as sent, and was not", r.Notices[i].Fact)
		}
	}
}

// settled checks a purchase at rest: it is final, or exposed with a case; and its
// books are its partners' books, or a case says why not.
func (a *auditor) settled(r *purchase.Record) {
	w, p := a.w, &r.Purchase
	if !p.State.Final() && (!p.Exposed || len(r.Cases) == 0) {
		w.fail("P2", p.ID, "%s at rest, neither final nor exposed with a case", p.State)
	}
	if p.State == purchase.Credited && p.Open() {
		w.fail("P2", p.ID, "credited at rest, and its units are still being taken back")
	}
	for _, leg := range purchase.Legs {
		ours, theirs, lied := a.booked(r, leg), int64(0), false
		for _, peer := range w.peers {
			account := peer.keys[w.keys.Key(p.ID, leg).UUID()]
			if account == nil {
				continue
			}
			lied = lied || account.phantoms > 0
			for _, m := range account.moved {
				if !m.undone {
					theirs += m.amount.Minor
				}
			}
		}
		switch {
		case ours == theirs:
		case lied:
			w.tally.Breaches++
		case has(r, purchase.MatterUnbooked):
			w.tally.Unbooked++
		default:
			w.fail("L7", p.ID, "%s: our books say %d, the partner's %d", leg, ours, theirs)
		}
	}
}

func has(r *purchase.Record, m purchase.Matter) bool {
	for i := range r.Cases {
		if r.Cases[i].Matter == m {
			return true
		}
	}
	return false
}

// booked is what the journal says that a leg moved, in the partner's own terms.
func (a *auditor) booked(r *purchase.Record, leg purchase.Leg) (minor int64) {
	for i := range r.Postings {
		posting := &r.Postings[i]
		if posting.Leg != leg {
			continue
		}
		debit, credit := kind(posting.Debit), kind(posting.Credit)
		switch leg {
		case purchase.Charge:
			minor += signed(debit == "wallet", credit == "wallet", posting.Amount.Minor)
		case purchase.Refund:
			minor += signed(credit == "wallet", debit == "wallet", posting.Amount.Minor)
		case purchase.Credit:
			minor += signed(credit == "delivered", debit == "delivered", posting.Amount.Minor)
		case purchase.Reversal:
			minor += signed(debit == "delivered", credit == "delivered", posting.Amount.Minor)
		}
	}
	return minor
}

// stored compares what the store holds with what was written to it.
func (a *auditor) stored() {
	w := a.w
	for from := 0; from < len(a.ids); from += 500 {
		ids := a.ids[from:min(from+500, len(a.ids))]
		records, err := w.store.Load(w.ctx, ids...)
		if err != nil || len(records) != len(ids) {
			w.fail("P8", 0, "%d of %d purchases can be read: %v", len(records), len(ids), err)
			return
		}
		for i := range records {
			ours := a.records[records[i].Purchase.ID]
			if part := difference(kept(&records[i]), kept(ours)); part != "" {
				w.fail("L2", ours.Purchase.ID, "%s", part)
			}
		}
	}
	found, err := w.store.Check(w.ctx, w.now)
	if err != nil {
		w.fail("store", 0, "%v", err)
	}
	for _, v := range found {
		w.fail(v.Invariant, v.Purchase, "%s", v.Detail)
	}
}

// difference is the first part of a record that the store holds otherwise than it
// was written, or "".
func difference(stored, written purchase.Record) string {
	s, w := reflect.ValueOf(stored), reflect.ValueOf(written)
	for i := range s.NumField() {
		if ours, theirs := w.Field(i).Interface(), s.Field(i).Interface(); !reflect.DeepEqual(ours, theirs) {
			return fmt.Sprintf("%s were written as %+v, and the store holds %+v", s.Type().Field(i).Name, ours, theirs)
		}
	}
	return ""
}

// kept is what a store keeps of a record, in one form.
func kept(r *purchase.Record) purchase.Record {
	k := *r
	k.Derive()
	k.Notices = slices.Clone(r.Notices)
	for i := range k.Notices {
		k.Notices[i].SentAt = 0
	}
	if len(k.Notices) == 0 {
		k.Notices = nil
	}
	return k
}
