package care_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
	"tenu/internal/testpeer"
)

func TestMain(m *testing.M) { os.Exit(testpeer.Main(m)) }

const (
	payer     purchase.MSISDN = 22670112233
	recipient purchase.MSISDN = 22601020304
	ofAnna    purchase.MSISDN = 22670000001
)

// One refund, asked for and approved by five hundred at once, moves money once.
func TestRefundOnce(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		p, c := o.sell(t, saleOf{payer, recipient, 1000, true})
		var made, twice, other atomic.Int64
		var id, version atomic.Int64
		crowd(500, func(i int) {
			who := []auth.Staff{anna, basil}[i%2]
			r, err := o.Ask(t.Context(), who, care.Ask{Kind: care.AskRefund, Purchase: p.ID, Reason: "not there"})
			switch {
			case err == nil:
				made.Add(1)
				id.Store(r.ID)
				version.Store(r.Version)
			case errors.Is(err, care.ErrTwice):
				twice.Add(1)
			default:
				other.Add(1)
				t.Log(err)
			}
		})
		if made.Load() != 1 || twice.Load() != 499 || other.Load() != 0 {
			t.Fatalf("%d requests, %d stood already, %d otherwise", made.Load(), twice.Load(), other.Load())
		}
		r, err := o.Request(t.Context(), id.Load())
		if err != nil || r.Stage != care.StageCheck || !r.Unproven || r.Amount != 1000 || r.Case != c.ID || r.Number != payer {
			t.Fatalf("got %+v, %v: want a checker for a refund without proof", r, err)
		}
		maker := map[auth.StaffID]auth.Staff{1: anna, 2: basil}[r.Maker]
		_, err = o.Decide(t.Context(), maker, r.ID, r.Version, true, "mine")
		if !errors.Is(err, care.ErrRefused) {
			t.Errorf("the maker decided: %v", err)
		}
		var approved, stale atomic.Int64
		crowd(500, func(i int) {
			_, err := o.Decide(t.Context(), []auth.Staff{carol, dora}[i%2], r.ID, r.Version, true, "seen")
			switch {
			case err == nil:
				approved.Add(1)
			case errors.Is(err, care.ErrStale), errors.Is(err, care.ErrRefused):
				stale.Add(1)
			default:
				t.Error(err)
			}
		})
		if approved.Load() != 1 || stale.Load() != 499 {
			t.Fatalf("%d approvals, %d came too late", approved.Load(), stale.Load())
		}
		o.ocs.set(true, false)
		if r = o.finish(t, r.ID); r.Stage != care.StageDone {
			t.Fatalf("got %+v", r)
		}
		o.until(t, p.ID, func(p *purchase.Purchase) bool { return p.State == purchase.Refunded })
		if n := o.payer.movements(purchase.Refund); n != 1 {
			t.Errorf("money moved %d times", n)
		}
		want := fmt.Sprintf("asked staff refund #%d\ndecided staff refund #%d approved\ndone system refund #%d done", r.ID, r.ID, r.ID)
		if got := o.history(t, c.ID); got != want {
			t.Errorf("history:\n%s\nwant\n%s", got, want)
		}
		found, err := o.store.Cases(t.Context(), c.ID)
		if err != nil || found[0].DueAt >= c.DueAt {
			t.Errorf("the case's own step does not look: %+v, %v", found, err)
		}
	})
}

// promised is an engine that grants what it is told to, and hears all.
type promised struct {
	grant purchase.Grant
	heard []purchase.Wish
}

func (e *promised) Ask(_ context.Context, _ purchase.ID, w purchase.Wish) error {
	e.heard = append(e.heard, w)
	return nil
}

func (e *promised) Grants(*purchase.Purchase, purchase.Wish, purchase.Instant) purchase.Grant {
	return e.grant
}

// A refund that was asked for on proof is wished for on proof: what changes between the look and the
// wish makes it none without. What is unproven by then waits for a checker, whose wish it is.
func TestRefundOnProof(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	p, _ := o.sell(t, saleOf{payer, recipient, 1000, true})
	engine := &promised{grant: purchase.Grant{OK: true}}
	names, err := purchase.NewKeyring([]byte("a secret of the tests"))
	if err != nil {
		t.Fatal(err)
	}
	desk, err := care.New(care.Config{Store: o.store, Clock: o.clock, Engine: engine, References: names, Files: names, Policy: care.DefaultPolicy(),
		Hours: care.Hours{Closes: 24 * time.Hour, Location: time.UTC, PerWindow: 10}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := desk.Ask(t.Context(), basil, care.Ask{Kind: care.AskRefund, Purchase: p.ID, Reason: "not there"})
	if err != nil || r.Stage != care.StageApproved || r.Unproven {
		t.Fatalf("%+v, %v", r, err)
	}
	engine.grant = purchase.Grant{Why: purchase.HindranceUnproven}
	step := func() {
		o.clock.till(r.DueAt)
		if _, err = desk.Step(t.Context(), o.clock.Now()); err != nil {
			t.Fatal(err)
		}
		if r, err = desk.Request(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
	}
	if step(); r.Stage != care.StageCheck || !r.Unproven {
		t.Fatalf("%+v", r)
	}
	engine.grant = purchase.Grant{OK: true, Unproven: true}
	if _, err := desk.Decide(t.Context(), carol, r.ID, r.Version, true, "seen"); err != nil {
		t.Fatal(err)
	}
	if want := []purchase.Wish{purchase.WishProvenRefund, purchase.WishRefund}; !slices.Equal(engine.heard, want) {
		t.Errorf("wished for %v, want %v", engine.heard, want)
	}
}

// crowd does something many times at once.
func crowd(n int, do func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { do(i) })
	}
	wg.Wait()
}

// Whoever may not, does not: not alone, and not all at once.
func TestNobodyActsBeyondTheirBounds(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		disabled := auth.Staff{ID: 7, Login: "gone", Role: auth.Supervisor, Disabled: true}
		lost := auth.Staff{ID: 8, Login: "lost", Role: auth.Supervisor} // as the session remembers
		o.hire(t, disabled)
		o.hire(t, auth.Staff{ID: 8, Login: "lost", Role: auth.Auditor})
		own, _ := o.sell(t, saleOf{ofAnna, recipient, 1000, true})
		theirs, _ := o.sell(t, saleOf{payer, ofAnna, 1000, true})
		large, _ := o.sell(t, saleOf{payer, recipient, 30_000, true})
		plain, _ := o.sell(t, saleOf{payer, recipient, 1000, true})
		for name, c := range map[string]struct {
			staff auth.Staff
			id    purchase.ID
			kind  care.Kind
			why   care.Why
		}{
			"own number":       {anna, own.ID, care.AskRefund, care.WhyOwn},
			"related number":   {anna, theirs.ID, care.AskRefund, care.WhyOwn},
			"own, an answer":   {anna, own.ID, care.AskAnswer, care.WhyOwn},
			"own goodwill":     {anna, own.ID, care.AskGoodwill, care.WhyOwn},
			"above single":     {basil, large.ID, care.AskRefund, care.WhySingle},
			"disabled":         {disabled, plain.ID, care.AskRefund, care.WhyDisabled},
			"lost meanwhile":   {lost, plain.ID, care.AskRefund, care.WhyRole},
			"auditor":          {fania, plain.ID, care.AskRefund, care.WhyRole},
			"administrator":    {emil, plain.ID, care.AskGoodwill, care.WhyRole},
			"who is not there": {auth.Staff{ID: 77, Role: auth.Agent}, plain.ID, care.AskRefund, care.WhyDisabled},
		} {
			crowd(8, func(int) {
				_, err := o.Ask(t.Context(), c.staff, care.Ask{Kind: c.kind, Purchase: c.id, Amount: 100, Reason: name})
				var refusal *care.Refusal
				if !errors.As(err, &refusal) || refusal.Why != c.why {
					t.Errorf("%s: %v, want %s", name, err, c.why)
				}
			})
		}
		for _, id := range []purchase.ID{own.ID, theirs.ID, large.ID, plain.ID} {
			if all, err := o.Requests(t.Context(), id); err != nil || len(all) != 0 {
				t.Errorf("%d: %+v, %v", id, all, err)
			}
		}

		// Many different purchases of one number at once: the day's bound holds for all together.
		var ids []purchase.ID
		for range 12 {
			p, _ := o.sell(t, saleOf{payer, recipient, 1000, true})
			ids = append(ids, p.ID)
		}
		var made atomic.Int64
		crowd(len(ids), func(i int) {
			_, err := o.Ask(t.Context(), []auth.Staff{anna, basil}[i%2], care.Ask{Kind: care.AskRefund, Purchase: ids[i], Reason: "x"})
			var refusal *care.Refusal
			switch {
			case err == nil:
				made.Add(1)
			case !errors.As(err, &refusal) || refusal.Why != care.WhyNumberCount || refusal.Limit != 5 || refusal.At == 0:
				t.Error(err)
			}
		})
		if made.Load() != 5 {
			t.Errorf("%d requests about one number, want 5", made.Load())
		}

		// Of those that wait, nobody decides who may not.
		waiting, err := o.ToCheck(t.Context(), 100)
		if err != nil || len(waiting) != 5 {
			t.Fatalf("%+v, %v", waiting, err)
		}
		r := waiting[0]
		maker := map[auth.StaffID]auth.Staff{1: anna, 2: basil}[r.Maker]
		for name, c := range map[string]struct {
			checker auth.Staff
			why     care.Why
		}{"maker": {maker, care.WhyRole}, "disabled": {disabled, care.WhyDisabled}, "lost meanwhile": {lost, care.WhyRole},
			"another agent": {map[auth.StaffID]auth.Staff{1: basil, 2: anna}[r.Maker], care.WhyRole}, "auditor": {fania, care.WhyRole}} {
			crowd(8, func(int) {
				_, err := o.Decide(t.Context(), c.checker, r.ID, r.Version, true, name)
				var refusal *care.Refusal
				if !errors.As(err, &refusal) || refusal.Why != c.why {
					t.Errorf("%s: %v, want %s", name, err, c.why)
				}
			})
		}
		// Who may approve what others ask for still does not approve their own.
		asked, err := o.Ask(t.Context(), carol, care.Ask{Kind: care.AskRefund, Purchase: large.ID, Reason: "mine"})
		if err != nil || asked.Stage != care.StageCheck {
			t.Fatalf("%+v, %v", asked, err)
		}
		crowd(8, func(int) {
			_, err := o.Decide(t.Context(), carol, asked.ID, asked.Version, true, "mine")
			refused(t, err, care.WhySame)
		})
		if _, err := o.Decide(t.Context(), carol, r.ID, r.Version-1, true, ""); !errors.Is(err, care.ErrStale) {
			t.Errorf("an old version: %v", err)
		}
		if n := o.payer.movements(purchase.Refund); n != 0 {
			t.Errorf("money moved %d times", n)
		}
		no, err := o.Decide(t.Context(), carol, r.ID, r.Version, false, "not so")
		if err != nil || no.Stage != care.StageRefused || no.Checker != carol.ID || no.Why != "not so" {
			t.Errorf("%+v, %v", no, err)
		}
		_, err = o.Decide(t.Context(), dora, no.ID, no.Version, true, "")
		refused(t, err, care.WhyStage)
		if got := o.history(t, r.Case); !strings.HasSuffix(got, fmt.Sprintf("decided staff refund #%d refused: not so", r.ID)) {
			t.Errorf("history: %s", got)
		}
	})
}

// What is asked for in the small, where it is safe, needs nobody else.
func TestUnchecked(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		p, c := o.sell(t, saleOf{payer, recipient, 1000, true})
		r, err := o.Ask(t.Context(), anna, care.Ask{Kind: care.AskAnswer, Purchase: p.ID, Reason: "ask again"})
		if err != nil || r.Stage != care.StageDone || r.Amount != 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		if again, err := o.Ask(t.Context(), anna, care.Ask{Kind: care.AskAnswer, Purchase: p.ID, Reason: "and again"}); err != nil && !errors.Is(err, care.ErrRefused) || again.ID == r.ID {
			t.Errorf("%+v, %v", again, err)
		}
		o.ocs.set(false, false)
		r, err = o.Ask(t.Context(), anna, care.Ask{Kind: care.AskCredit, Purchase: p.ID, Reason: "send it again"})
		for errors.Is(err, care.ErrRefused) { // while the partner is being asked
			r, err = o.Ask(t.Context(), anna, care.Ask{Kind: care.AskCredit, Purchase: p.ID, Reason: "send it again"})
		}
		if err != nil || r.Checker != 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		if r = o.finish(t, r.ID); r.Stage != care.StageDone {
			t.Errorf("%+v", r)
		}
		if n := o.ocs.movements(purchase.Credit); n != 1 {
			t.Errorf("units moved %d times", n)
		}
		_, err = o.Ask(t.Context(), anna, care.Ask{Kind: care.AskRefund, Purchase: p.ID, Reason: "and money"})
		refused(t, err, care.Why(purchase.HindranceCredited))
		_, err = o.Ask(t.Context(), anna, care.Ask{Kind: care.AskRefund, Purchase: p.ID, Reason: " \n"})
		refused(t, err, care.WhyReason)

		o.house.fault = purchase.ErrUnavailable
		r, err = o.Ask(t.Context(), anna, care.Ask{Kind: care.AskGoodwill, Purchase: p.ID, Amount: 500, Reason: "sorry"})
		if err != nil || r.Stage != care.StageApproved || r.Tries != 1 || r.Recipient != payer {
			t.Fatalf("%+v, %v", r, err)
		}
		o.house.mu.Lock()
		o.house.fault = nil
		o.house.mu.Unlock()
		if r = o.finish(t, r.ID); r.Stage != care.StageDone || r.Result != o.house.given[r.ID] || len(o.house.given) != 1 {
			t.Errorf("%+v, given %v", r, o.house.given)
		}
		_, err = o.Ask(t.Context(), basil, care.Ask{Kind: care.AskGoodwill, Purchase: p.ID, Amount: 500, Reason: "sorry again"})
		if !errors.Is(err, care.ErrTwice) {
			t.Errorf("goodwill twice: %v", err)
		}
		if got := strings.Count(o.history(t, c.ID), "done system"); got < 3 {
			t.Errorf("history:\n%s", o.history(t, c.ID))
		}
	})
}

// What the console shows as allowed is what may be asked.
func TestAllowances(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	p, _ := o.sell(t, saleOf{payer, ofAnna, 1000, false})
	records, err := o.store.Load(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		staff auth.Staff
		kind  care.Kind
		want  care.Allowance
	}{
		{basil, care.AskAnswer, care.Allowance{Kind: care.AskAnswer, Why: string(purchase.HindranceClosed)}},
		{basil, care.AskRefund, care.Allowance{Kind: care.AskRefund, Why: string(purchase.HindranceCredited), Amount: 1000}},
		{basil, care.AskReversal, care.Allowance{Kind: care.AskReversal, OK: true, Checked: true, Amount: 1000}},
		{basil, care.AskGoodwill, care.Allowance{Kind: care.AskGoodwill, OK: true, Amount: 25_000}},
		{anna, care.AskReversal, care.Allowance{Kind: care.AskReversal, Why: care.WhyOwn, Checked: true, Amount: 1000}},
	} {
		all, err := o.Allowances(t.Context(), &records[0], c.staff)
		if err != nil || len(all) != len(care.Kinds) {
			t.Fatalf("%+v, %v", all, err)
		}
		for _, got := range all {
			if got.Kind == c.kind && (got.OK != c.want.OK || got.Why != c.want.Why || got.Checked != c.want.Checked || got.Amount != c.want.Amount) {
				t.Errorf("%s: %+v, want %+v", c.staff.Login, got, c.want)
			}
		}
	}
}
