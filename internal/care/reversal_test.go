package care_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

// reverse asks for units to be taken back.
func (o *office) reverse(t *testing.T, payer purchase.MSISDN) (purchase.Purchase, care.Case, care.Request) {
	t.Helper()
	p, c := o.sell(t, saleOf{payer, recipient, 1000, false})
	r, err := o.Ask(t.Context(), anna, care.Ask{Kind: care.AskReversal, Purchase: p.ID, Reason: "wrong number"})
	if err != nil || r.Stage != care.StageConsent || r.Recipient != recipient {
		t.Fatalf("%+v, %v", r, err)
	}
	return p, c, r
}

// Units are taken back only when their recipient agrees and a checker too.
func TestReversal(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		p, c, r := o.reverse(t, payer)
		told := o.told(t, c.ID, 0)
		if len(told) != 1 || !strings.HasPrefix(told[0], recipient.String()) || !strings.Contains(told[0], "OUI RENDRE") || strings.Contains(told[0], "112233") {
			t.Errorf("told %q", told)
		}
		if _, err := o.Consent(t.Context(), payer, 0, true); !errors.Is(err, care.ErrNotFound) {
			t.Errorf("somebody else agreed: %v", err)
		}
		_, err := o.Decide(t.Context(), carol, r.ID, r.Version, true, "")
		refused(t, err, care.WhyStage)
		if r, err = o.Consent(t.Context(), recipient, 0, true); err != nil || r.Stage != care.StageCheck {
			t.Fatalf("%+v, %v", r, err)
		}
		if _, err := o.Consent(t.Context(), recipient, r.ID, false); !errors.Is(err, care.ErrNotFound) {
			t.Errorf("answered twice: %v", err)
		}
		if n := o.ocs.movements(purchase.Reversal); n != 0 {
			t.Error("taken back before it was checked")
		}
		if _, err = o.Decide(t.Context(), carol, r.ID, r.Version, true, "both agree"); err != nil {
			t.Fatal(err)
		}
		if r = o.finish(t, r.ID); r.Stage != care.StageDone {
			t.Errorf("%+v", r)
		}
		o.until(t, p.ID, func(p *purchase.Purchase) bool { return p.State == purchase.Refunded })
		if o.ocs.movements(purchase.Reversal) != 1 || o.payer.movements(purchase.Refund) != 1 {
			t.Error("units and money moved otherwise than once")
		}
		name := fmt.Sprintf("reversal #%d", r.ID)
		want := strings.Join([]string{"asked staff " + name, "decided customer " + name + " agreed", "decided staff " + name + " approved", "done system " + name + " done"}, "\n")
		if got := o.history(t, c.ID); got != want {
			t.Errorf("history:\n%s\nwant\n%s", got, want)
		}
	})
}

// A case that was settled with the units is open again once they are taken back, and is
// settled by what the ledger shows then.
func TestReversalOpensASettledCase(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	p, c, r := o.reverse(t, payer)
	r, err := o.Consent(t.Context(), recipient, r.ID, true)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := o.Case(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	stored.Version++
	stored.Status, stored.Outcome, stored.ClosedAt = care.Settled, care.OutcomeCredited, o.clock.Now()
	if _, err = o.store.ChangeCase(t.Context(), care.Change{Now: stored, Proof: &care.Proof{Purchase: p.ID, State: purchase.Credited}}); err != nil {
		t.Fatal(err)
	}
	if _, err = o.Decide(t.Context(), carol, r.ID, r.Version, true, ""); err != nil {
		t.Fatal(err)
	}
	if r = o.finish(t, r.ID); r.Stage != care.StageDone {
		t.Fatalf("%+v", r)
	}
	if c, err = o.Case(t.Context(), c.ID); err != nil || c.Status != care.Open || c.Outcome != 0 || c.DueAt == 0 {
		t.Errorf("%+v, %v, want it open again", c, err)
	}
}

// A provider that refuses makes the request void; nothing is given back.
func TestReversalRefusedByTheProvider(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	_, c, r := o.reverse(t, payer)
	o.ocs.set(false, true)
	r, err := o.ConsentBy(t.Context(), basil, r.ID, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = o.Decide(t.Context(), carol, r.ID, r.Version, true, ""); err != nil {
		t.Fatal(err)
	}
	if r = o.finish(t, r.ID); r.Stage != care.StageVoid || r.Why != string(purchase.HindranceReversalRefused) {
		t.Errorf("%+v", r)
	}
	if o.payer.movements(purchase.Refund) != 0 {
		t.Error("the money was given back")
	}
	if told := o.told(t, c.ID, 0); len(told) != 3 {
		t.Errorf("told %q, want both sides to know", told)
	}
	if got := o.history(t, c.ID); !strings.Contains(got, "note staff reversal #1: the recipient says yes") {
		t.Errorf("history:\n%s", got)
	}
}

// Each way in which a reversal ends without effect, with who is told.
func TestReversalWithoutEffect(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(*testing.T, *office, care.Request) care.Request
		stage care.Stage
		why   care.Why
		told  []purchase.MSISDN // after the question
	}{
		"the recipient does not agree": {func(t *testing.T, o *office, r care.Request) care.Request {
			r, err := o.Consent(t.Context(), recipient, r.ID, false)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}, care.StageRefused, care.WhyRecipient, []purchase.MSISDN{payer}},
		"the recipient is silent": {func(t *testing.T, o *office, r care.Request) care.Request {
			if got := r.DueAt.Sub(r.At); got < 48*time.Hour || got > 49*time.Hour {
				t.Errorf("the hold lasts %s", got)
			}
			o.clock.till(r.DueAt - 1000)
			if _, err := o.StepRequests(t.Context(), o.clock.Now()-1000); err != nil {
				t.Fatal(err)
			}
			o.clock.till(r.DueAt)
			if _, err := o.Consent(t.Context(), recipient, r.ID, true); !errors.Is(err, care.ErrNotFound) {
				t.Errorf("too late, and it counted: %v", err)
			}
			_, err := o.ConsentBy(t.Context(), basil, r.ID, true)
			refused(t, err, care.WhyStage)
			return o.finish(t, r.ID)
		}, care.StageLapsed, care.WhyNoConsent, []purchase.MSISDN{payer, recipient}},
		"nobody checks it": {func(t *testing.T, o *office, r care.Request) care.Request {
			r, err := o.Consent(t.Context(), recipient, 0, true)
			if err != nil {
				t.Fatal(err)
			}
			o.clock.till(r.DueAt)
			_, err = o.Decide(t.Context(), carol, r.ID, r.Version, true, "too late")
			refused(t, err, care.WhyStage)
			return o.finish(t, r.ID)
		}, care.StageLapsed, care.WhyNoCheck, []purchase.MSISDN{payer, recipient}},
		"the checker refuses": {func(t *testing.T, o *office, r care.Request) care.Request {
			r, err := o.Consent(t.Context(), recipient, 0, true)
			if err == nil {
				r, err = o.Decide(t.Context(), carol, r.ID, r.Version, false, "no")
			}
			if err != nil {
				t.Fatal(err)
			}
			return r
		}, care.StageRefused, "no", []purchase.MSISDN{payer, recipient}},
		"the checker refuses in a word of ours": {func(t *testing.T, o *office, r care.Request) care.Request {
			r, err := o.Consent(t.Context(), recipient, 0, true)
			if err == nil {
				r, err = o.Decide(t.Context(), carol, r.ID, r.Version, false, care.WhyNoConsent)
			}
			if err != nil {
				t.Fatal(err)
			}
			if told := strings.Join(o.told(t, r.Case, 0), "\n"); strings.Contains(told, "donné son accord") {
				t.Errorf("told %q, though the recipient agreed", told)
			}
			return r
		}, care.StageRefused, care.WhyNoConsent, []purchase.MSISDN{payer, recipient}},
	} {
		t.Run(name, func(t *testing.T) {
			o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
			_, file, r := o.reverse(t, payer)
			r = c.do(t, o, r)
			if r.Stage != c.stage || r.Why != c.why || r.ClosedAt == 0 {
				t.Errorf("%+v", r)
			}
			told := o.told(t, file.ID, 0)
			if len(told) != 1+len(c.told) {
				t.Fatalf("told %q", told)
			}
			for i, to := range c.told {
				if !strings.HasPrefix(told[i+1], to.String()) {
					t.Errorf("told %q, want %s to be", told[i+1], to)
				}
			}
			if o.ocs.movements(purchase.Reversal)+o.payer.movements(purchase.Refund) != 0 {
				t.Error("something moved")
			}
		})
	}
}

// A node that dies at any write, before or after it, and one that takes over: the same
// end, the same history, every message once.
func TestRequestsSurviveFaults(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	chance := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // replayable on purpose
	o.clock.till(o.clock.Now().Add(time.Hour))
	for round := range 30 {
		o.store.fault = nil
		_, c, r := o.reverse(t, payer+purchase.MSISDN(round))
		o.store.fault = func(bool) error {
			if chance.IntN(3) == 0 {
				return fmt.Errorf("%w: a fault of the test", purchase.ErrUnavailable)
			}
			return nil
		}
		agrees := round%3 != 0
		for {
			_, err := o.Consent(t.Context(), recipient, r.ID, agrees)
			if errors.Is(err, care.ErrNotFound) || err == nil {
				break
			}
		}
		want := care.StageRefused
		if agrees {
			r, _ = o.Request(t.Context(), r.ID)
			if _, err := o.Decide(t.Context(), carol, r.ID, r.Version, round%3 == 1, "seen"); err != nil {
				t.Fatal(err)
			}
			if round%3 == 1 {
				want = care.StageDone
			}
		}
		r = o.finish(t, r.ID)
		if r.Stage != want {
			t.Fatalf("round %d: %+v, want %s", round, r, want)
		}
		history := strings.Split(o.history(t, c.ID), "\n")
		told := o.told(t, c.ID, 0)
		lines := map[care.Stage]int{care.StageDone: 4, care.StageRefused: 2}[want]
		messages := 2 // the question, and the payer's
		if agrees {
			messages = 3
			if want == care.StageRefused {
				lines = 3
			} else {
				messages = 1
			}
		}
		if len(history) != lines || len(told) != messages {
			t.Fatalf("round %d: history %q, told %q", round, history, told)
		}
		if slices.Sort(history); len(slices.Compact(history)) != lines {
			t.Errorf("round %d: twice in %q", round, history)
		}
	}
}

// A rule asks as far as the month's goodwill goes, on proof where it says so, and never for units of others.
func TestAskByRule(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	rule := care.Rule{Name: "sorry", Version: 1, When: care.When{Proven: true}}
	_, c := o.sell(t, saleOf{payer, recipient, 1000, true})
	refused(t, o.AskByRule(t.Context(), rule, care.AskRefund, c, 0, ""), care.WhyUnproven)
	free := care.Rule{Name: "free", Version: 1} // there was proof when its budget was asked
	refused(t, o.AskByRule(t.Context(), free, care.AskRefund, c, 0, ""), care.WhyUnproven)
	refused(t, o.AskByRule(t.Context(), rule, care.AskReversal, c, 0, ""), care.WhyRole)
	refused(t, o.AskByRule(t.Context(), rule, care.AskGoodwill, c, 0, ""), care.WhyAmount)
	refused(t, o.AskByRule(t.Context(), rule, care.AskGoodwill, c, care.DefaultPolicy().Goodwill+1, ""), care.WhyGoodwill)
	if err := o.AskByRule(t.Context(), rule, care.AskGoodwill, c, 300, ""); err != nil {
		t.Fatal(err)
	}
	if err := o.AskByRule(t.Context(), rule, care.AskGoodwill, c, 300, ""); !errors.Is(err, care.ErrTwice) {
		t.Errorf("twice: %v", err)
	}
	all, err := o.Requests(t.Context(), c.Purchase)
	if err != nil || len(all) != 1 || all[0].Rule != "sorry" || all[0].Stage != care.StageDone || all[0].Maker != auth.StaffID(0) {
		t.Errorf("%+v, %v", all, err)
	}
}
