package sim

import (
	"slices"

	"tenu/internal/care"
	"tenu/internal/purchase"
)

// stateCount gives arrays the room to be indexed by state.
const stateCount = int(purchase.Declined) + 1

// kindCount and matterCount give arrays the room to be indexed by kind, and by a
// matter's place.
const (
	kindCount   = int(purchase.Asked)
	matterCount = 32
)

// ringCount gives arrays the room to be indexed by what became of an attempt to call.
const ringCount = int(care.Undialled) + 1

// Tally counts what happened.
type Tally struct {
	Steps, Calls, Faulty, Crashes, Takeovers, Commits, Changes, Messages, Breaches, Unbooked int

	// Of care: cases, those that were settled, by rules among them, requests, promises to call.
	Cases, Settled, ByRule, Requests, Callbacks, Kept, Broken, Treatments int

	Dialled int            // calls that telephones began
	Rings   [ringCount]int // what is said of attempts to call, by care.Ring

	States    [stateCount]int
	Reversals [kindCount]int             // evidence of reversals by its kind
	Matters   [matterCount]int           // cases by what they are about, in the order of purchase.Matters
	Wishes    [wishCount][stateCount]int // wish by the state of the purchase that it met
	Hits      [faultCount]int
	Coverage  [faultCount][stateCount]int // fault by the state of the purchase that it met
}

func (t *Tally) add(o *Tally) {
	t.Steps += o.Steps
	t.Calls += o.Calls
	t.Faulty += o.Faulty
	t.Crashes += o.Crashes
	t.Takeovers += o.Takeovers
	t.Commits += o.Commits
	t.Changes += o.Changes
	t.Messages += o.Messages
	t.Breaches += o.Breaches
	t.Unbooked += o.Unbooked
	t.Cases += o.Cases
	t.Settled += o.Settled
	t.ByRule += o.ByRule
	t.Requests += o.Requests
	t.Callbacks += o.Callbacks
	t.Kept += o.Kept
	t.Broken += o.Broken
	t.Dialled += o.Dialled
	for i := range o.Rings {
		t.Rings[i] += o.Rings[i]
	}
	t.Treatments += o.Treatments
	for i := range o.States {
		t.States[i] += o.States[i]
		for wish := range o.Wishes {
			t.Wishes[wish][i] += o.Wishes[wish][i]
		}
	}
	for k := range o.Reversals {
		t.Reversals[k] += o.Reversals[k]
	}
	for m := range o.Matters {
		t.Matters[m] += o.Matters[m]
	}
	for f := range o.Hits {
		t.Hits[f] += o.Hits[f]
		for s := range o.Coverage[f] {
			t.Coverage[f][s] += o.Coverage[f][s]
		}
	}
}

// Report is what a simulation found.
type Report struct {
	Seed       uint64
	Purchases  int // made durable
	Worlds     int
	Violations []*Violation
	TraceHash  string
	Tally
}

func (r *Report) add(w *world) {
	r.Worlds++
	r.Purchases += len(w.book.ids)
	r.Tally.add(&w.tally)
	if w.failure != nil {
		r.Violations = append(r.Violations, w.failure)
		slices.SortFunc(r.Violations, func(a, b *Violation) int { return a.World - b.World })
	}
}
