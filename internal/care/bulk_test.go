package care_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

// incident is some open cases of one incident.
func (o *office) incident(t *testing.T, n int) (all []care.CaseID) {
	t.Helper()
	for i := range n {
		_, c := o.sell(t, saleOf{payer: payer + purchase.MSISDN(i), recipient: recipient, total: 500})
		o.must(t, c.ID, by(basil), care.Deed{Do: care.EventLinked, Incident: "INC-7"})
		all = append(all, c.ID)
	}
	return all
}

func (o *office) plan(t *testing.T, id care.BulkID) care.Bulk {
	t.Helper()
	plans, err := o.Bulks(t.Context(), carol.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range plans {
		if b.ID == id {
			return b
		}
	}
	t.Fatalf("plan %d is not among %+v", id, plans)
	return care.Bulk{}
}

// panne counts how often a case's customer was told what the plan tells.
func (o *office) panne(t *testing.T, id care.CaseID) int {
	t.Helper()
	return strings.Count(strings.Join(o.told(t, id, 0), "\n"), "Panne")
}

// TestBulk: what is planned is shown before, undone in time, and done once to each case as it is then.
func TestBulk(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		cases := o.incident(t, 5)
		deed := care.Deed{Do: care.EventTold, Text: "Panne réparée."}
		shown, err := o.Preview(t.Context(), "INC-7", deed)
		if err != nil || len(shown) != 5 {
			t.Fatalf("%d cases shown: %v", len(shown), err)
		}
		b, err := o.Begin(t.Context(), carol, deed, append(cases, cases[0]))
		if err != nil || len(b.Cases) != 5 {
			t.Fatalf("%+v %v", b, err)
		}
		o.after(t, care.UndoWithin-time.Second)
		if n := o.panne(t, cases[0]); n != 0 {
			t.Fatalf("done before its time: %d", n)
		}
		if err := o.Undo(t.Context(), dora, b.ID); !errors.Is(err, care.ErrClosed) {
			t.Errorf("undone by somebody else: %v", err)
		}
		if err := o.Undo(t.Context(), carol, b.ID); err != nil {
			t.Fatal(err)
		}
		o.after(t, time.Minute)
		if b = o.plan(t, b.ID); !b.Undone || b.Done != 0 || o.panne(t, cases[0]) != 0 {
			t.Fatalf("undone, and: %+v", b)
		}

		if b, err = o.Begin(t.Context(), carol, deed, cases); err != nil {
			t.Fatal(err)
		}
		o.must(t, cases[1], by(basil), care.Deed{Do: care.EventNote, Text: "changed meanwhile"})
		o.must(t, cases[2], by(basil), care.Deed{Do: care.EventSettled, Outcome: care.OutcomeCredited})
		writes := 0
		o.store.fault = func(bool) error { // every fourth answer of a write is lost
			if writes++; writes%8 == 0 {
				return purchase.ErrUnavailable
			}
			return nil
		}
		o.clock.till(b.GoAt)
		for range 20 {
			if _, err := o.Step(t.Context(), o.clock.Now()); err != nil && !errors.Is(err, purchase.ErrUnavailable) {
				t.Fatal(err)
			}
		}
		o.store.fault = nil
		if b = o.plan(t, b.ID); b.Done != 5 || b.Failed != 0 || b.ClosedAt == 0 {
			t.Errorf("%+v", b)
		}
		for _, id := range cases {
			if n := o.panne(t, id); n != 1 {
				t.Errorf("case %d was told %d times", id, n)
			}
		}
		if err := o.Undo(t.Context(), carol, b.ID); !errors.Is(err, care.ErrClosed) {
			t.Errorf("undone afterwards: %v", err)
		}
	})
}

// TestUndoMeanwhile: a plan that begins while somebody undoes it is not undone, and whoever does is told.
func TestUndoMeanwhile(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		cases := o.incident(t, 3)
		b, err := o.Begin(t.Context(), carol, care.Deed{Do: care.EventTold, Text: "Panne réparée."}, cases)
		if err != nil {
			t.Fatal(err)
		}
		o.store.fault = func(bool) error { // the plan was read in time
			o.store.fault = func(after bool) error {
				if after { // it began, and is not over
					return purchase.ErrUnavailable
				}
				return nil
			}
			o.clock.till(b.GoAt)
			if _, err := o.Step(t.Context(), o.clock.Now()); !errors.Is(err, purchase.ErrUnavailable) {
				t.Error(err)
			}
			o.store.fault = func(bool) error { return nil }
			return nil
		}
		if err := o.Undo(t.Context(), carol, b.ID); !errors.Is(err, care.ErrClosed) {
			t.Errorf("undone, and begun: %v", err)
		}
		o.after(t, time.Minute)
		if b = o.plan(t, b.ID); b.Undone || b.Done != 3 || o.panne(t, cases[0]) != 1 {
			t.Errorf("%+v", b)
		}
	})
}

// TestPreview: a case whose customer is to answer is not closed, and is among those of its incident.
func TestPreview(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	cases := o.incident(t, 3)
	o.must(t, cases[1], by(basil), care.Deed{Do: care.EventPaused})
	o.must(t, cases[2], by(basil), care.Deed{Do: care.EventSettled, Outcome: care.OutcomeCredited})
	for _, do := range []care.Event{care.EventTold, care.EventResumed} {
		if shown, err := o.Preview(t.Context(), "INC-7", care.Deed{Do: do}); err != nil || len(shown) != 2 {
			t.Errorf("%s: %d cases shown: %v", do, len(shown), err)
		}
	}
}

// TestBulkRefused: who may not plan may not; what cannot be done to one case is counted, and keeps none waiting.
func TestBulkRefused(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	cases := o.incident(t, 3)
	note := care.Deed{Do: care.EventNote, Text: "x"}
	for _, s := range []auth.Staff{anna, emil, fania, {}} {
		if _, err := o.Begin(t.Context(), s, note, cases); !errors.Is(err, care.ErrRefused) {
			t.Errorf("%s: %v", s.Role, err)
		}
	}
	for name, bad := range map[string]struct {
		deed  care.Deed
		cases []care.CaseID
	}{"no cases": {note, nil}, "too many": {note, make([]care.CaseID, 0)}, "no text": {care.Deed{Do: care.EventTold}, cases},
		"other deed": {care.Deed{Do: care.EventWithdrawn}, cases}, "no deed": {care.Deed{}, cases}} {
		if name == "too many" {
			for i := range care.MaxBulk + 1 {
				bad.cases = append(bad.cases, care.CaseID(i+1))
			}
		}
		if _, err := o.Begin(t.Context(), carol, bad.deed, bad.cases); !errors.Is(err, care.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := o.Preview(t.Context(), "", note); !errors.Is(err, care.ErrRefused) {
		t.Errorf("no incident: %v", err)
	}
	b, err := o.Begin(t.Context(), carol, care.Deed{Do: care.EventSettled, Outcome: care.OutcomeRefunded}, append(cases, 99999))
	if err != nil {
		t.Fatal(err)
	}
	o.clock.till(b.GoAt)
	o.work(t)
	if b = o.plan(t, b.ID); b.Done != 0 || b.Failed != 4 || b.ClosedAt == 0 {
		t.Errorf("nothing of it can be: %+v", b)
	}
	for _, id := range cases {
		if c := o.file(t, id); c.Status != care.Open {
			t.Errorf("%+v", c)
		}
	}
}
