package partner

import (
	"context"
	"testing"
	"time"

	"tenu/internal/purchase"
)

// Each call that left counts in one class, also one whose adapter panics; what was
// held back, or given up by the caller, is no answer.
func TestAnswersAreCountedByClass(t *testing.T) {
	f := &fake{}
	g, _ := guarded(t, f, Limits{Failures: 6, Window: 20, Memory: time.Minute})
	for _, kind := range purchase.Kinds {
		f.outcome = purchase.Outcome{Kind: kind}
		g.Do(t.Context(), first)
	}
	f.outcome = purchase.Outcome{Kind: purchase.Refused, Reason: purchase.ReasonClosed}
	g.Query(t.Context(), first)
	gone, cancel := context.WithCancel(t.Context())
	f.during = func(context.Context) { cancel() }
	g.Do(gone, first)
	f.during = func(context.Context) { panic("as an adapter should not") }
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		g.Do(t.Context(), first)
	}()
	want := Answers{Done: 1, Refused: 1, Closed: 1, Pending: 1, Unknown: 2, Unsent: 1, Other: 3}
	if s := g.State(); s.Answers != want || s.HeldBack != 0 {
		t.Errorf("counted %+v and %d held back, want %+v", s.Answers, s.HeldBack, want)
	}
	f.during, f.outcome = nil, purchase.Outcome{Kind: purchase.Unknown}
	for range 9 { // until the circuit opens, and beyond
		g.Do(t.Context(), first)
	}
	if s := g.State(); s.Circuit != Open || s.HeldBack == 0 || s.Answers.Unknown+s.HeldBack != want.Unknown+9 {
		t.Errorf("with the circuit open: %+v", s)
	}
}
