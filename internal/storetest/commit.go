package storetest

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"tenu/internal/purchase"
)

func commitWritesInOrder(t *testing.T, s Subject) {
	shop := newShop(t, s)
	first, second := shop.begin(request(1)), shop.begin(request(2))
	shop.commit(first)
	charge, _ := shop.meet(&first.Now, charged)
	third := shop.begin(request(3))
	stale := charge
	stale.Now.ID = 999
	got := shop.try(second, charge, stale, third)
	want := []purchase.Verdict{{Result: purchase.Written}, {Result: purchase.Written}, {Result: purchase.Stale}, {Result: purchase.Written}}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("verdicts %+v, want %+v", got, want)
	}
	if r := load(t, s, first.Now.ID); r.Purchase.State != purchase.Crediting || len(r.Attempts) != 2 || len(r.Evidence) != 1 || len(r.Postings) != 1 {
		t.Errorf("record after the charge: %+v", r)
	}
	for _, id := range []purchase.ID{second.Now.ID, third.Now.ID} {
		if r := load(t, s, id); r.Purchase.State != purchase.Charging || len(r.Attempts) != 1 {
			t.Errorf("record of a new purchase: %+v", r)
		}
	}
}

func commitOfNothing(t *testing.T, s Subject) {
	shop := newShop(t, s)
	if verdicts := shop.try(); len(verdicts) != 0 {
		t.Errorf("verdicts %+v on nothing", verdicts)
	}
}

func staleChangesLeaveNoTrace(t *testing.T, s Subject) {
	shop := newShop(t, s)
	p := shop.sell(request(1), charged)
	before := load(t, s, p.ID)
	good, _ := shop.meet(&p, credited)
	for name, spoil := range map[string]func(*purchase.Change){
		"older version": func(c *purchase.Change) { c.Now.Version--; c.Evidence.Version-- },
		"newer version": func(c *purchase.Change) { c.Now.Version++; c.Evidence.Version++ },
		"other epoch":   func(c *purchase.Change) { c.WasEpoch++ },
		"no purchase":   func(c *purchase.Change) { c.Now.ID = 77 },
	} {
		c := good
		evidence := *good.Evidence
		c.Evidence = &evidence
		spoil(&c)
		if got := shop.try(c); got[0].Result != purchase.Stale {
			t.Errorf("%s: %+v, want stale", name, got)
		}
		if after := load(t, s, p.ID); !reflect.DeepEqual(after, before) {
			t.Errorf("%s left a trace: %+v", name, after)
		}
	}
	shop.commit(good)
}

// commitTwice is what a node does that never heard what became of its COMMIT:
// the second time nothing is written, and the record shows the first.
func commitTwice(t *testing.T, s Subject) {
	shop := newShop(t, s)
	c := shop.begin(request(1))
	shop.commit(c)
	if got := shop.try(c)[0]; got.Result != purchase.KeyTaken || got.Other != c.Now.ID {
		t.Errorf("a new purchase committed twice: %+v, want its own key taken", got)
	}
	charge, _ := shop.meet(&c.Now, charged)
	shop.commit(charge)
	if got := shop.try(charge)[0]; got.Result != purchase.Stale {
		t.Errorf("a change committed twice: %+v, want stale", got)
	}
	r := load(t, s, c.Now.ID)
	if r.Purchase.Version != charge.Now.Version || r.Purchase.Epoch != shop.epoch || len(r.Evidence) != 1 || len(r.Postings) != 1 {
		t.Errorf("the record does not show one change under our epoch: %+v", r)
	}
}

// commitRejectsNonsense: a change that no rule of the ledger allows fails the
// batch for what it says, and nothing of the batch is written.
func commitRejectsNonsense(t *testing.T, s DatabaseSubject) {
	shop := newShop(t, s)
	p := shop.sell(request(1), charged)
	before := load(t, s, p.ID)
	for name, spoil := range map[string]func(*purchase.Change){
		"posting without evidence": func(c *purchase.Change) { c.Evidence = nil },
		"posting to itself":        func(c *purchase.Change) { c.Postings[0].Debit = c.Postings[0].Credit },
		"posting of nothing":       func(c *purchase.Change) { c.Postings[0].Amount.Minor = 0 },
		"posted before":            func(c *purchase.Change) { c.Postings[0].Leg = purchase.Charge },
		"evidence of another step": func(c *purchase.Change) { c.Evidence.Version = 1 },
		"negative hold":            func(c *purchase.Change) { c.Now.Held = -1 },
		"no such state":            func(c *purchase.Change) { c.Now.State = 9 },
		"open without due time":    func(c *purchase.Change) { c.Now.State, c.Now.DueAt = purchase.Refunding, 0 },
	} {
		good := shop.begin(request(shop.next))
		bad, _ := shop.meet(&p, credited)
		spoil(&bad)
		_, err := s.Commit(t.Context(), shop.epoch, []purchase.Change{good, bad})
		if err == nil {
			t.Fatalf("%s was written", name)
		}
		for _, other := range []error{purchase.ErrUnavailable, purchase.ErrCommitUnknown, purchase.ErrFenced} {
			if errors.Is(err, other) {
				t.Errorf("%s: %v reads as %v", name, err, other)
			}
		}
		if after := load(t, s, p.ID); !reflect.DeepEqual(after, before) {
			t.Errorf("%s left a trace: %+v", name, after)
		}
		if records, err := s.Load(t.Context(), good.Now.ID); err != nil || len(records) != 0 {
			t.Errorf("%s: the other change was written, or %v", name, err)
		}
	}
	shop.drive(p, credited)
}

// commitTakesAnyText: whatever bytes a partner sends, the change is written.
func commitTakesAnyText(t *testing.T, s Subject) {
	shop := newShop(t, s)
	c := shop.begin(request(1))
	shop.commit(c)
	ev := charged
	ev.Outcome.Ref = "ref\x00\xff\xfe"
	ev.Outcome.Detail = strings.Repeat("\u20ac", purchase.MaxDetail)
	ev.Outcome.Product = "airtime"
	p := shop.drive(c.Now, ev)
	r := load(t, s, p.ID)
	if len(r.Evidence) != 1 || !strings.HasPrefix(r.Evidence[0].Ref, "ref") || !strings.HasPrefix(r.Evidence[0].Detail, "\u20ac\u20ac") {
		t.Errorf("evidence %+v", r.Evidence)
	}
}

func fencedLeaseWritesNothing(t *testing.T, s Subject) {
	shop := newShop(t, s)
	p := shop.sell(request(1))
	next, err := s.Acquire(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Takeover(t.Context(), purchase.Lease{Epoch: shop.epoch}, next.Epoch, 10); err != nil {
		t.Fatal(err)
	}
	change, _ := shop.meet(&p, charged)
	for name, try := range map[string]struct {
		epoch int64
		c     purchase.Change
	}{"change": {shop.epoch, change}, "new purchase": {shop.epoch, shop.begin(request(2))}, "no such lease": {99, shop.begin(request(3))}} {
		if _, err := s.Commit(t.Context(), try.epoch, []purchase.Change{try.c}); !errors.Is(err, purchase.ErrFenced) {
			t.Errorf("%s: %v, want fenced", name, err)
		}
	}
	if err := s.Renew(t.Context(), shop.epoch); !errors.Is(err, purchase.ErrFenced) {
		t.Errorf("renew a fenced lease: %v", err)
	}
	if _, err := s.Takeover(t.Context(), purchase.Lease{Epoch: next.Epoch}, shop.epoch, 10); !errors.Is(err, purchase.ErrFenced) {
		t.Errorf("take over under a fenced lease: %v", err)
	}
	if r := load(t, s, p.ID); r.Purchase.Version != 1 || r.Purchase.Epoch != next.Epoch || len(r.Evidence) != 0 {
		t.Errorf("the fenced node left a trace: %+v", r)
	}
}
