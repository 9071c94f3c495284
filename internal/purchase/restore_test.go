package purchase

import (
	"testing"
	"time"
)

// A refund that rests on no proof leaves the credit in doubt. A process that is
// started on a clock set ahead must not count from when the credit was sent.
func TestRestoredDoubtIsAsOldAsTheProcess(t *testing.T) {
	terms := walkTerms(Capability{}, Capability{Query: true, Lateness: 2 * time.Hour}, DefaultRules())
	sent := Instant(1_800_000_000_000_000)
	r := Record{Purchase: Purchase{ID: 1, Version: 3, Request: *walkRequest(), State: Refunding, CreatedAt: sent, DueAt: sent},
		Attempts: []Attempt{{Leg: Charge, Try: 1, At: sent}, {Leg: Credit, Try: 1, At: sent}, {Leg: Refund, Try: 1, At: sent}},
		Evidence: []Evidence{{Leg: Charge, Outcome: Outcome{Kind: Done, Ref: "c"}, At: sent}}}
	r.Purchase.Legs[Credit].Doubt = true
	now := sent.Add(365 * 24 * time.Hour)
	p := r.restore(terms, now)
	for _, leg := range []Leg{Credit, Refund} {
		if l := p.Legs[leg]; !l.Doubt || l.LastAt < now {
			t.Errorf("%s: doubt %t, left by %s, resumed at %s", leg, l.Doubt, l.LastAt, now)
		}
	}
}
