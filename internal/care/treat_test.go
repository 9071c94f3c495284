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

// rule puts a rule in force; emil may.
func (o *office) rule(t *testing.T, r care.Rule) care.Rule {
	t.Helper()
	r.Active = true
	r, err := o.PutRule(t.Context(), emil, r)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// furnish gives the office the rules that an installation begins with.
func (o *office) furnish(t *testing.T) {
	t.Helper()
	for range 2 { // a second start changes nothing
		if err := o.Furnish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEveryMatter: each matter is dealt with on purpose.
func TestEveryMatter(t *testing.T) {
	all := append(append([]purchase.Matter{care.MatterContested, care.MatterBreak}, purchase.Matters...), care.Matters...)
	for _, m := range all {
		code, known := care.Handled(m)
		if !known || code == "" {
			t.Errorf("%s is dealt with by nothing", m)
		}
	}
	if n := care.HandledCount(); n != len(all) {
		t.Errorf("%d matters are dealt with, %d exist", n, len(all))
	}
}

// TestSettleByRule: a case whose purchase gets its outcome is settled without a person, and the customer is told.
func TestSettleByRule(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		o.furnish(t)
		p := o.buy(t, saleOf{payer: payer, recipient: recipient, total: 500, doubt: true})
		o.report(t, p.ID, payer, care.MatterNotReceived, "")
		o.work(t)
		c := o.about(t, p.ID)
		if c.Status != care.Open {
			t.Fatalf("in doubt: %+v", c)
		}
		o.ocs.set(false, false)
		if err := o.engine.Ask(t.Context(), p.ID, purchase.WishCredit); err != nil {
			t.Fatal(err)
		}
		o.until(t, p.ID, func(p *purchase.Purchase) bool { return p.State == purchase.Credited })
		o.Settled(p.ID)
		o.work(t)
		o.after(t, care.DefaultClocks().WaitFor+time.Minute)
		if c = o.about(t, p.ID); c.Status != care.Settled || c.Outcome != care.OutcomeCredited || c.Rule == "" {
			t.Errorf("%+v\n%s", c, o.history(t, c.ID))
		}
		if n := len(o.told(t, c.ID, 0)); n != 2 {
			t.Errorf("told %d times: %q", n, o.told(t, c.ID, 0))
		}
		figures, err := o.store.Figures(t.Context(), 1, o.clock.Now().Add(time.Hour))
		if err != nil || figures.Share() != 1 {
			t.Errorf("share %v of %+v: %v", figures.Share(), figures, err)
		}
	})
}

// TestDenied: who says that nothing came is told what is evidenced. If they say that it is
// not so, no rule closes the case; if they say nothing, it is closed.
func TestDenied(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		o.furnish(t)
		for _, answers := range []bool{true, false} {
			p := o.buy(t, saleOf{payer: payer, recipient: recipient, total: 500})
			o.report(t, p.ID, payer, care.MatterNotReceived, "rien")
			o.work(t)
			c := o.about(t, p.ID)
			if told := o.told(t, c.ID, 0); c.Status != care.Waiting || c.Clock.PausedAt == 0 || len(told) != 2 || !strings.Contains(told[1], o.CaseReference(c.ID)) {
				t.Fatalf("%+v was told %q", c, told)
			}
			if answers {
				if c = o.must(t, c.ID, customer, care.Deed{Do: care.EventReported, Text: "toujours rien"}); c.Status != care.Open || c.Clock.PausedAt != 0 {
					t.Errorf("answered: %+v", c)
				}
				for range 8 {
					o.after(t, 12*time.Hour)
				}
				if c = o.about(t, p.ID); c.Status != care.Open || c.Level != 1 {
					t.Errorf("denied, and: %+v\n%s", c, o.history(t, c.ID))
				}
				continue
			}
			o.after(t, care.DefaultClocks().WaitFor-time.Hour)
			if c = o.about(t, p.ID); c.Status != care.Waiting {
				t.Errorf("too early: %+v", c)
			}
			o.after(t, time.Hour+time.Minute)
			if c = o.about(t, p.ID); c.Status != care.Settled || c.Rule == "" || len(o.told(t, c.ID, 0)) != 2 || c.ClosedAt > c.Clock.ResolveBy {
				t.Errorf("nothing said: %+v\n%s", c, o.history(t, c.ID))
			}
		}
	})
}

// TestPersonal: what needs a person is settled by no rule and no silence.
func TestPersonal(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	o.furnish(t)
	_, c := o.sell(t, saleOf{payer: payer, recipient: recipient, total: 500})
	c.Version++
	c.Matters = []purchase.Matter{purchase.MatterSecondCharge}
	if _, err := o.store.Store.ChangeCase(t.Context(), care.Change{Now: c}); err != nil {
		t.Fatal(err)
	}
	o.must(t, c.ID, by(basil), care.Deed{Do: care.EventPaused})
	for range 8 {
		o.after(t, 12*time.Hour)
	}
	if c = o.file(t, c.ID); c.Status != care.Open || c.Level != 1 {
		t.Errorf("%+v\n%s", c, o.history(t, c.ID))
	}
	if _, err := o.do(t, c.ID, customer, care.Deed{Do: care.EventWithdrawn}); err == nil {
		t.Error("what the engine found was taken back")
	}
}

// TestGoodwillOnce: a rule gives once per case, within its day's budget, whatever fails meanwhile.
func TestGoodwillOnce(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		o.morning() // the budget is a day's
		o.rule(t, care.Rule{Name: "sorry", Do: care.StepGoodwill, Amount: 100, Budget: 250})
		failing := 0
		o.store.fault = func(bool) error {
			if failing++; failing%3 == 0 {
				return purchase.ErrUnavailable
			}
			return nil
		}
		for range 4 {
			o.sell(t, saleOf{payer: payer, recipient: recipient, total: 500})
		}
		for range 12 {
			o.clock.till(o.clock.Now().Add(10 * time.Minute))
			if _, err := o.Step(t.Context(), o.clock.Now()); err != nil && !errors.Is(err, purchase.ErrUnavailable) {
				t.Fatal(err)
			}
		}
		o.store.fault = nil
		o.house.mu.Lock()
		given := len(o.house.given)
		o.house.mu.Unlock()
		if given != 2 {
			t.Errorf("%d gifts of 100 within a budget of 250", given)
		}
		acted, err := o.store.Treatments(t.Context(), "sorry", 10)
		if err != nil || len(acted) != 2 {
			t.Errorf("%+v %v", acted, err)
		}
	})
}

// TestRuleActsOnce: one version of a rule acts once on a case, and a further version once more.
func TestRuleActsOnce(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	r := o.rule(t, care.Rule{Name: "again", Do: care.StepAnswer})
	_, c := o.sell(t, saleOf{payer: payer, recipient: recipient, total: 500, doubt: true})
	for range 5 {
		o.after(t, 61*time.Minute)
	}
	asked := func() int { return strings.Count(o.history(t, c.ID), "asked rule") }
	if asked() != 1 {
		t.Errorf("asked %d times:\n%s", asked(), o.history(t, c.ID))
	}
	if r = o.rule(t, r); r.Version != 2 {
		t.Errorf("version %d", r.Version)
	}
	for range 5 {
		o.after(t, 61*time.Minute)
	}
	if asked() != 2 {
		t.Errorf("asked %d times by two versions:\n%s", asked(), o.history(t, c.ID))
	}
}

// TestRulesChecked: rules that make no sense, of people who may not, or of a version that is past, are refused.
func TestRulesChecked(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	good := care.Rule{Name: "x", Do: care.StepSettle, Active: true}
	for _, person := range []auth.Staff{anna, carol, fania} {
		if _, err := o.PutRule(t.Context(), person, good); !errors.Is(err, care.ErrRefused) {
			t.Errorf("%s: %v", person.Role, err)
		}
	}
	for name, bad := range map[string]care.Rule{
		"no name":       {Do: care.StepSettle},
		"no step":       {Name: "x"},
		"other step":    {Name: "x", Do: "burn"},
		"control":       {Name: "a\nb", Do: care.StepSettle},
		"other matter":  {Name: "x", Do: care.StepSettle, When: care.When{Matters: []purchase.Matter{"weather"}}},
		"no amount":     {Name: "x", Do: care.StepGoodwill, Budget: 1},
		"no budget":     {Name: "x", Do: care.StepGoodwill, Amount: 1},
		"negative":      {Name: "x", Do: care.StepSettle, Budget: -1},
		"in the past":   {Name: "x", Do: care.StepSettle, When: care.When{After: -time.Second}},
		"never":         {Name: "x", Do: care.StepSettle, When: care.When{After: 1 << 62}},
		"other state":   {Name: "x", Do: care.StepSettle, When: care.When{States: []purchase.State{99}}},
		"other wish":    {Name: "x", Do: care.StepSettle, When: care.When{Prefer: 9}},
		"longest names": {Name: strings.Repeat("x", 200), Do: care.StepSettle},
	} {
		_, err := o.PutRule(t.Context(), emil, bad)
		if !errors.Is(err, care.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	first, err := o.PutRule(t.Context(), emil, good)
	if err != nil || first.Version != 1 {
		t.Fatal(first, err)
	}
	if _, err := o.PutRule(t.Context(), emil, good); !errors.Is(err, care.ErrStale) {
		t.Errorf("a version that is past: %v", err)
	}
}

// TestTry: a dry run changes nothing and says what really happened.
func TestTry(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	_, open := o.sell(t, saleOf{payer: payer, recipient: recipient, total: 500, doubt: true})
	_, ended := o.sell(t, saleOf{payer: payer, recipient: recipient, total: 500})
	o.must(t, ended.ID, by(basil), care.Deed{Do: care.EventSettled, Outcome: care.OutcomeCredited})
	before := o.file(t, open.ID).Version + o.file(t, ended.ID).Version
	run, err := o.Try(t.Context(), care.Rule{Name: "sorry", Do: care.StepGoodwill, Amount: 100, Budget: 100}, 1)
	if err != nil || run.Cases != 2 || run.Fits != 1 || run.Amount != 100 || run.Otherwise != 1 || run.Already != 0 {
		t.Errorf("%+v %v", run, err)
	}
	if acted, err := o.store.Treatments(t.Context(), "", 10); err != nil || len(acted) != 0 || o.file(t, open.ID).Version+o.file(t, ended.ID).Version != before {
		t.Errorf("a dry run did %+v, %v", acted, err)
	}
}
