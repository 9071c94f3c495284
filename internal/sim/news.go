package sim

import "tenu/internal/purchase"

// news is what identifies a movement that a partner told.
type news struct {
	id  purchase.ID
	leg purchase.Leg
	ref string
}

func newsOf(id purchase.ID, ev *purchase.Event) news { return news{id, ev.Leg, ev.Outcome.Ref} }

// recorded reports whether it is on record that a movement was made, or was taken
// back. What tells of no movement by name need not be.
func (a *auditor) recorded(id purchase.ID, ev *purchase.Event) bool {
	r := a.records[id]
	if r == nil || ev.Outcome.Kind != purchase.Done || ev.Outcome.Ref == "" {
		return true
	}
	for i := range r.Evidence {
		if e := &r.Evidence[i]; e.Leg == ev.Leg && (e.Kind == purchase.Done || e.Kind == purchase.Reversed) && e.Ref == ev.Outcome.Ref {
			return true
		}
	}
	return false
}

// confirmed checks w5 when a partner is told that its news arrived.
func (a *auditor) confirmed(id purchase.ID, ev *purchase.Event) {
	if !a.recorded(id, ev) && !a.parked[newsOf(id, ev)] {
		a.w.fail("w5", id, "%s %s was confirmed to the partner, and is not durable", ev, ev.Outcome.Ref)
	}
}

// unparked checks w5 when news that was kept for another node is forgotten.
func (a *auditor) unparked(seqs []int64) {
	for _, seq := range seqs {
		if p, known := a.taken[seq]; known && !a.recorded(p.Purchase, &p.Event) {
			a.w.fail("w5", p.Purchase, "%s %s was kept for another node, and is forgotten before it is on record", p.Event, p.Event.Outcome.Ref)
		}
	}
}
