package care_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
)

func by(s auth.Staff) care.Actor { return care.Actor{Kind: care.ByStaff, Staff: s.ID} }

var customer = care.Actor{Kind: care.ByCustomer}

// do does a deed to a case as it is now.
func (o *office) do(t *testing.T, id care.CaseID, by care.Actor, deed care.Deed) (care.Case, error) {
	t.Helper()
	return o.Act(t.Context(), id, o.file(t, id).Version, by, deed)
}

// must does a deed that is not refused.
func (o *office) must(t *testing.T, id care.CaseID, by care.Actor, deed care.Deed) care.Case {
	t.Helper()
	c, err := o.do(t, id, by, deed)
	if err != nil {
		t.Fatalf("%s: %v", deed.Do, err)
	}
	return c
}

func (o *office) file(t *testing.T, id care.CaseID) care.Case {
	t.Helper()
	c, err := o.Case(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// work lets the desk do what is due, until nothing more is.
func (o *office) work(t *testing.T) {
	t.Helper()
	for range 100 {
		now := o.clock.Now()
		next, err := o.Step(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		if next > now {
			return
		}
	}
	t.Fatal("there is always something to do")
}

// after puts the clock forward and lets the desk do what is due.
func (o *office) after(t *testing.T, d time.Duration) {
	t.Helper()
	o.clock.till(o.clock.Now().Add(d))
	o.work(t)
}

// TestSilentLooks: a case that the system only looked at is not stale; one that
// somebody changed is.
func TestSilentLooks(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		_, c := o.sell(t, saleOf{payer: payer, recipient: recipient, total: 500, doubt: true})
		for range 3 {
			o.after(t, 2*time.Hour-time.Minute) // no deadline passes
			if o.file(t, c.ID).AnsweredAt == 0 {
				o.must(t, c.ID, by(basil), care.Deed{Do: care.EventTold, Text: "Nous cherchons."})
				c = o.file(t, c.ID)
			}
		}
		now := o.file(t, c.ID)
		if now.Version == c.Version {
			t.Fatal("the system did not look")
		}
		if _, err := o.Act(t.Context(), c.ID, c.Version, by(basil), care.Deed{Do: care.EventNote, Text: "called"}); err != nil {
			t.Errorf("after looks that changed nothing: %v", err)
		}
		if _, err := o.Act(t.Context(), c.ID, now.Version, by(carol), care.Deed{Do: care.EventNote, Text: "also"}); !errors.Is(err, care.ErrStale) {
			t.Errorf("after somebody's note: %v", err)
		}
		for _, version := range []int64{0, -1, now.Version + 99} {
			if _, err := o.Act(t.Context(), c.ID, version, by(carol), care.Deed{Do: care.EventNote, Text: "never"}); !errors.Is(err, care.ErrStale) {
				t.Errorf("version %d: %v", version, err)
			}
		}
		if strings.Contains(o.history(t, c.ID), "never") || strings.Contains(o.history(t, c.ID), "also") {
			t.Error("a stale deed was done")
		}
	})
}

// TestWhoMayAct: every role and deed; nobody acts on a case of their own numbers.
func TestWhoMayAct(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	_, c := o.sell(t, saleOf{payer: payer, recipient: recipient, total: 500, doubt: true})
	_, own := o.sell(t, saleOf{payer: anna.Numbers[0], recipient: recipient, total: 500, doubt: true})
	_, got := o.sell(t, saleOf{payer: payer, recipient: anna.Numbers[0], total: 600, doubt: true})
	deeds := map[care.Event]care.Deed{}
	for _, do := range care.Deeds {
		deeds[do] = care.Deed{Do: do, Text: "x", Outcome: care.OutcomeCredited, Prefer: care.PreferUnits, Incident: "i"}
	}
	for _, s := range []auth.Staff{basil, carol, emil, fania} {
		may := s.Role == auth.Agent || s.Role == auth.Supervisor
		for do, deed := range deeds {
			before := o.history(t, c.ID)
			_, err := o.do(t, c.ID, by(s), deed)
			if !may {
				refused(t, err, care.WhyRole)
				if o.history(t, c.ID) != before {
					t.Errorf("%s: %s left a trace", s.Role, do)
				}
				continue
			}
			var refusal *care.Refusal
			if errors.As(err, &refusal) && refusal.Why == care.WhyRole {
				t.Errorf("%s may not do %s", s.Role, do)
			}
			if now := o.file(t, c.ID); now.Status.Closed() {
				o.must(t, c.ID, by(s), care.Deed{Do: care.EventReopened})
			}
		}
	}
	for _, id := range []care.CaseID{own.ID, got.ID} {
		for _, deed := range deeds {
			_, err := o.do(t, id, by(anna), deed)
			refused(t, err, care.WhyOwn)
		}
	}
	if _, err := o.do(t, c.ID, by(basil), care.Deed{Do: care.EventTaken, Staff: carol.ID}); err == nil {
		t.Error("an agent gave work to others")
	}
	o.hire(t, auth.Staff{ID: 7, Login: "gone", Role: auth.Agent, Disabled: true})
	for staff, why := range map[auth.StaffID]care.Why{7: care.WhyDisabled, 4711: care.WhyDisabled, fania.ID: care.WhyRole} {
		_, err := o.do(t, c.ID, by(carol), care.Deed{Do: care.EventTaken, Staff: staff})
		refused(t, err, why) // a case is given to nobody who could not work on it
	}
	if now := o.must(t, c.ID, by(carol), care.Deed{Do: care.EventTaken, Staff: basil.ID}); now.Owner != basil.ID {
		t.Errorf("given to %d", now.Owner)
	}
	_, err := o.do(t, c.ID, care.Actor{Kind: care.ByStaff, Staff: 99}, deeds[care.EventNote])
	refused(t, err, care.WhyDisabled)
}

// TestSenselessDeeds: what makes no sense is refused, and nothing is half done.
func TestSenselessDeeds(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	_, c := o.sell(t, saleOf{payer: payer, recipient: recipient, total: 500, doubt: true})
	before := o.file(t, c.ID)
	for _, b := range []struct {
		by   care.Actor
		deed care.Deed
		want error
	}{
		{by(basil), care.Deed{}, care.ErrRefused},
		{by(basil), care.Deed{Do: "fly"}, care.ErrRefused},
		{by(basil), care.Deed{Do: care.EventLate}, care.ErrRefused},
		{by(basil), care.Deed{Do: care.EventNote, Text: " \u200b\x00 "}, care.ErrRefused},
		{by(basil), care.Deed{Do: care.EventTold}, care.ErrRefused},
		{by(basil), care.Deed{Do: care.EventTold, Text: strings.Repeat("long ", 200)}, care.ErrRefused},
		{by(basil), care.Deed{Do: care.EventPrefers, Prefer: 77}, care.ErrRefused},
		{by(basil), care.Deed{Do: care.EventSettled, Outcome: 77}, care.ErrUnproven},
		{by(basil), care.Deed{Do: care.EventSettled}, care.ErrUnproven},
		{by(basil), care.Deed{Do: care.EventSettled, Outcome: care.OutcomeAnswered, Text: "x"}, care.ErrUnproven},
		{by(basil), care.Deed{Do: care.EventResumed}, care.ErrRefused},
		{by(basil), care.Deed{Do: care.EventReopened}, care.ErrRefused},
		{customer, care.Deed{Do: care.EventSettled, Outcome: care.OutcomeCredited}, care.ErrRefused},
		{customer, care.Deed{Do: care.EventTaken}, care.ErrRefused},
		{customer, care.Deed{Do: care.EventReported}, care.ErrRefused},
		{care.Actor{Kind: care.ByClient, Name: "crm"}, care.Deed{Do: care.EventTaken}, care.ErrRefused},
	} {
		if _, err := o.do(t, c.ID, b.by, b.deed); !errors.Is(err, b.want) {
			t.Errorf("%s by %s: %v, want %v", b.deed.Do, b.by.Kind, err, b.want)
		}
	}
	if after := o.file(t, c.ID); after.Version != before.Version {
		t.Errorf("a deed that was refused changed the case: %+v", after)
	}
	if _, err := o.Act(t.Context(), 987654, 1, by(basil), care.Deed{Do: care.EventNote, Text: "x"}); !errors.Is(err, care.ErrNoCase) {
		t.Errorf("no such case: %v", err)
	}
	if now := o.must(t, c.ID, by(basil), care.Deed{Do: care.EventNote, Text: "a\r\n\x1b[31m" + strings.Repeat("é", 3000)}); now.Version != before.Version+1 {
		t.Error("a hostile note is kept, without what is hostile")
	}
	if h := o.history(t, c.ID); strings.Contains(h, "\x1b") || len([]rune(h)) > 2*care.MaxText {
		t.Error("a hostile note is kept as it was written")
	}
}

// TestSettle: a case closes with what the ledger shows and nothing else (invariant C6).
func TestSettle(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		_, doubt := o.sell(t, saleOf{payer: payer, recipient: recipient, total: 500, doubt: true})
		for _, outcome := range []care.Outcome{care.OutcomeCredited, care.OutcomeRefunded, care.OutcomeNothingTaken} {
			if _, err := o.do(t, doubt.ID, by(basil), care.Deed{Do: care.EventSettled, Outcome: outcome}); !errors.Is(err, care.ErrUnproven) {
				t.Errorf("in doubt, and settled as %s: %v", outcome, err)
			}
		}
		_, c := o.sell(t, saleOf{payer: payer, recipient: recipient, total: 700})
		if _, err := o.do(t, c.ID, by(basil), care.Deed{Do: care.EventSettled, Outcome: care.OutcomeRefunded}); !errors.Is(err, care.ErrUnproven) {
			t.Errorf("credited, and settled as refunded: %v", err)
		}
		c = o.must(t, c.ID, by(basil), care.Deed{Do: care.EventSettled, Outcome: care.OutcomeCredited})
		if c.Status != care.Settled || c.Outcome != care.OutcomeCredited || c.Rule != "" || c.ClosedAt == 0 || c.DueAt != 0 {
			t.Errorf("settled: %+v", c)
		}
		if told := o.told(t, c.ID, 0); len(told) != 1 || !strings.Contains(told[0], o.CaseReference(c.ID)) {
			t.Errorf("the customer was told %q", told)
		}
		for _, do := range []care.Event{care.EventTaken, care.EventPaused, care.EventSettled, care.EventWithdrawn, care.EventLinked, care.EventReported} {
			if _, err := o.do(t, c.ID, by(basil), care.Deed{Do: do, Text: "x", Outcome: care.OutcomeCredited}); !errors.Is(err, care.ErrClosed) {
				t.Errorf("%s of a closed case: %v", do, err)
			}
		}
		o.must(t, c.ID, by(basil), care.Deed{Do: care.EventNote, Text: "calm"})
		c = o.must(t, c.ID, customer, care.Deed{Do: care.EventReopened, Text: "no"})
		if c.Status != care.Open || c.Outcome != 0 || c.Reopened != 1 || c.Level != 1 || !c.Has(care.MatterContested) {
			t.Errorf("reopened: %+v", c)
		}
		c = o.must(t, c.ID, by(basil), care.Deed{Do: care.EventSettled, Outcome: care.OutcomeCredited, Text: "Vérifié avec vous."})
		if told := o.told(t, c.ID, 0); len(told) != 2 || !strings.Contains(told[1], "Vérifié") {
			t.Errorf("the customer was told %q", told)
		}
		o.clock.till(c.ClosedAt.Add(care.DefaultClocks().ReopenWithin + time.Minute))
		_, err := o.do(t, c.ID, customer, care.Deed{Do: care.EventReopened, Text: "no"})
		refused(t, err, care.WhyLate)
	})
}
