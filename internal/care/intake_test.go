package care_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"tenu/internal/care"
	"tenu/internal/purchase"
)

// report lets a customer say what is wrong.
func (o *office) report(t *testing.T, p purchase.ID, number purchase.MSISDN, m purchase.Matter, detail string) {
	t.Helper()
	if _, _, err := o.Report(t.Context(), care.Report{Purchase: p, Number: number, Matter: m, Channel: "app", Detail: detail}); err != nil {
		t.Fatal(err)
	}
}

// about is the case of a purchase.
func (o *office) about(t *testing.T, id purchase.ID) care.Case {
	t.Helper()
	found, err := o.CasesAbout(t.Context(), id)
	if err != nil || len(found) != 1 {
		t.Fatalf("purchase %d has %d cases: %v", id, len(found), err)
	}
	return found[0]
}

// TestIntake: what customers report of one purchase is one case, of which each of them
// hears once, whoever reports what, how often, and in which order.
func TestIntake(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		p := o.buy(t, saleOf{payer: payer, recipient: recipient, total: 500, doubt: true})
		o.report(t, p.ID, recipient, care.MatterNotReceived, "rien\x00 reçu")
		o.work(t)
		c := o.about(t, p.ID)
		name := o.CaseReference(c.ID)
		if c.Number != payer || c.Code != care.CodeTopUp || c.Status != care.Open || c.Channel != "app" || !slices.Equal(c.Matters, []purchase.Matter{care.MatterNotReceived}) {
			t.Errorf("the case: %+v", c)
		}
		told := o.told(t, c.ID, 0)
		if len(told) != 2 || !strings.Contains(told[0], name) || !strings.Contains(told[1], name) ||
			!strings.HasPrefix(told[0], payer.String()) || !strings.HasPrefix(told[1], recipient.String()) {
			t.Errorf("told: %q", told)
		}
		history := o.history(t, c.ID)
		o.report(t, p.ID, recipient, care.MatterNotReceived, "again")
		o.work(t)
		if now := o.history(t, c.ID); now != history {
			t.Errorf("the same report twice: %s", now)
		}
		o.report(t, p.ID, payer, care.MatterWrongNumber, "")
		o.work(t)
		if c = o.about(t, p.ID); len(c.Matters) != 2 || c.Code != care.CodeTopUp {
			t.Errorf("a further matter: %+v", c)
		}
		if now := o.told(t, c.ID, 0); len(now) != 2 {
			t.Errorf("told again: %q", now)
		}
	})
}

// TestLateReporter: who reports what is a case already is told its name.
func TestLateReporter(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	p := o.buy(t, saleOf{payer: payer, recipient: recipient, total: 500, doubt: true})
	o.report(t, p.ID, payer, care.MatterNotReceived, "")
	o.work(t)
	o.report(t, p.ID, recipient, care.MatterNotReceived, "moi non plus")
	o.work(t)
	if told := o.told(t, o.about(t, p.ID).ID, 0); len(told) != 2 || !strings.HasPrefix(told[1], recipient.String()) {
		t.Errorf("told: %q", told)
	}
}

// TestAgainByMatter: a further report opens a case again that was settled.
func TestAgainByMatter(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		p, c := o.sell(t, saleOf{payer: payer, recipient: recipient, total: 500})
		o.must(t, c.ID, by(basil), care.Deed{Do: care.EventSettled, Outcome: care.OutcomeCredited})
		was := o.file(t, c.ID)
		o.clock.till(o.clock.Now().Add(365 * 24 * time.Hour))
		o.report(t, p.ID, payer, care.MatterWrongNumber, "")
		o.work(t)
		c = o.about(t, p.ID)
		if c.Status != care.Open || c.Reopened != 1 || c.Clock.ResolveBy <= was.Clock.ResolveBy || c.AnsweredAt != 0 || c.ClosedAt != 0 || len(c.Matters) != 2 {
			t.Errorf("again: %+v", c)
		}
		if !strings.Contains(o.history(t, c.ID), "reopened customer wrong_number") {
			t.Error(o.history(t, c.ID))
		}
	})
}

// TestOpen: staff open cases, with a purchase or without; nobody about a purchase
// that there is not, and none of their own.
func TestOpen(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	open := func(by care.Actor, n care.NewCase) (care.Case, bool, error) { return o.Open(t.Context(), by, n) }
	c, added, err := open(by(basil), care.NewCase{Number: payer, Matter: care.MatterOther, Detail: "asks for prices", Channel: "console"})
	if err != nil || !added || c.Number != payer || c.Purchase != 0 || c.DueAt == 0 {
		t.Fatalf("%+v %t %v", c, added, err)
	}
	if again, _, err := open(by(carol), care.NewCase{Number: payer, Matter: care.MatterOther, Channel: "console"}); err != nil || again.ID != c.ID {
		t.Errorf("a second case of the matter: %+v %v", again, err)
	}
	o.work(t)
	if told := o.told(t, c.ID, 0); len(told) != 1 {
		t.Errorf("told: %q", told)
	}
	if _, err := o.do(t, c.ID, by(basil), care.Deed{Do: care.EventSettled, Outcome: care.OutcomeAnswered}); !errors.Is(err, care.ErrRefused) {
		t.Errorf("settled without an answer: %v", err)
	}
	o.must(t, c.ID, by(basil), care.Deed{Do: care.EventSettled, Outcome: care.OutcomeAnswered, Text: "100 F"})
	for name, bad := range map[string]struct {
		by   care.Actor
		n    care.NewCase
		want error
	}{
		"no matter":     {by(basil), care.NewCase{Number: payer}, care.ErrMatter},
		"engine's":      {by(basil), care.NewCase{Number: payer, Matter: purchase.MatterOverdue}, care.ErrMatter},
		"no number":     {by(basil), care.NewCase{Matter: care.MatterOther}, care.ErrNoCase},
		"no purchase":   {by(basil), care.NewCase{Purchase: 12345, Matter: care.MatterOther}, care.ErrNotFound},
		"own":           {by(anna), care.NewCase{Number: anna.Numbers[0], Matter: care.MatterOther}, care.ErrRefused},
		"auditor":       {by(fania), care.NewCase{Number: payer, Matter: care.MatterDuplicate}, care.ErrRefused},
		"administrator": {by(emil), care.NewCase{Number: payer, Matter: care.MatterDuplicate}, care.ErrRefused},
	} {
		if _, _, err := open(bad.by, bad.n); !errors.Is(err, bad.want) {
			t.Errorf("%s: %v, want %v", name, err, bad.want)
		}
	}
}

// TestCaseNames: a case's name is read as people write it, and nothing else is.
func TestCaseNames(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	for _, id := range []care.CaseID{1, 77, 1 << 39} {
		name := o.CaseReference(id)
		for _, text := range []string{name, strings.ToLower(name), strings.ReplaceAll(name, "-", ""), strings.ReplaceAll(name, "-", " "), " " + name + " ",
			"d" + strings.ReplaceAll(name, "-", "")[1:]} {
			if got, err := o.ParseCase(text); got != id || err != nil {
				t.Errorf("%q is %d, %v; want %d", text, got, err, id)
			}
		}
		wrong := []byte(name)
		wrong[3]++
		for _, text := range []string{"", "D", "D-", name[2:], string(wrong), name + "X", "E" + name[1:], "D-D" + name, "1", strings.Repeat("D-", 5000), "D-\x00\xff"} {
			if got, err := o.ParseCase(text); !errors.Is(err, care.ErrNoCase) {
				t.Errorf("%q is %d, %v", text, got, err)
			}
		}
	}
}
