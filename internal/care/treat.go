package care

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"tenu/internal/auth"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

// fits reports whether a rule is for a case as it and its purchase stand. Rules are
// about purchases.
func (r *Rule) fits(c *Case, p *purchase.Purchase, now purchase.Instant) bool {
	w := &r.When
	switch {
	case !r.Active, p == nil, now < c.OpenedAt.Add(w.After), w.Most > 0 && p.Total > w.Most, w.Prefer != PreferNone && w.Prefer != c.Prefer:
		return false
	case len(w.States) > 0 && !slices.Contains(w.States, p.State):
		return false
	}
	for _, m := range c.Matters {
		if len(w.Matters) > 0 && !slices.Contains(w.Matters, m) {
			return false
		}
	}
	return true
}

// would is what a rule would do to a case now: whether it can, and what it would cost.
func (d *Desk) would(r *Rule, c *Case, p *purchase.Purchase, now purchase.Instant) (can bool, cost int64) {
	grant := func(w purchase.Wish) purchase.Grant {
		if d.cfg.Engine == nil {
			return purchase.Grant{}
		}
		return d.cfg.Engine.Grants(p, w, now)
	}
	switch r.Do {
	case StepAnswer:
		return grant(purchase.WishAnswer).OK, 0
	case StepCredit:
		return grant(purchase.WishCredit).OK, 0
	case StepRefund:
		g := grant(purchase.WishRefund)
		if g.Unproven {
			return g.OK && !r.When.Proven && p.Charged.Minor <= r.Budget, p.Charged.Minor
		}
		return g.OK, 0
	case StepRestore:
		return p.Bundle && p.State == purchase.Credited && d.cfg.House != nil && d.lost(p) && p.Units <= r.Budget, p.Units
	case StepGoodwill:
		return r.Amount > 0 && d.cfg.House != nil && settled(p) && r.Amount <= r.Budget, r.Amount
	case StepExplain:
		return p.State == purchase.Credited && settled(p) && !personal(c), 0
	case StepSettle:
		return conclusive(c, p), 0
	}
	return false, 0
}

// lost reports whether a bundle came so late that more than half of its validity had
// passed since it was paid.
func (d *Desk) lost(p *purchase.Purchase) bool {
	if d.cfg.Validity == nil || p.ChargedAt == 0 || p.ClosedAt == 0 {
		return false
	}
	validity := d.cfg.Validity(p.Product)
	return validity > 0 && p.ClosedAt.Sub(p.ChargedAt) > validity/2
}

// treat lets the first rule act that fits, can, and has not acted on the case before.
// What a rule did is durable before its effect, which is itself done once.
func (t *treating) treat(ctx context.Context, x *Change) error {
	if t.r == nil {
		return nil
	}
	for i := range t.rules {
		r, p := &t.rules[i], &t.r.Purchase
		if !r.fits(&x.Now, p, t.now) {
			continue
		}
		can, cost := t.would(r, &x.Now, p, t.now)
		if !can {
			continue
		}
		acted, err := t.act(ctx, x, r, cost)
		if err != nil || acted {
			return err
		}
	}
	return nil
}

// daily is since when a rule's budget counts.
func (t *treating) daily() purchase.Instant {
	since, _ := t.periods(t.now)
	return since.Day
}

// act lets one rule act; acted is false when it did before, or its budget is spent.
func (t *treating) act(ctx context.Context, x *Change, r *Rule, cost int64) (acted bool, err error) {
	done := Treatment{Case: t.c.ID, Rule: r.Name, Version: r.Version, Do: r.Do, At: t.now, Amount: cost, Result: "acted"}
	by, again := Actor{Kind: ByRule, Name: r.Name}, false
	switch err := t.store.AddTreatment(ctx, done, r.Budget, t.daily()); {
	case errors.Is(err, ErrTwice):
		// It acted before, as the history says, or ended before its effect, which comes now. To
		// settle what is open is never once too often.
		if again = r.Do != StepSettle; again {
			acted, err := t.acted(ctx, by)
			if err != nil || acted {
				return false, err
			}
		}
	case errors.Is(err, ErrRefused):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("note what rule %s does: %w", r.Name, err)
	}
	switch r.Do {
	case StepSettle:
		return true, t.conclude(x, by)
	case StepExplain:
		t.explain(x, by)
		return true, nil
	case StepAnswer, StepCredit, StepRefund, StepGoodwill, StepRestore:
		kinds := map[Step]Kind{StepAnswer: AskAnswer, StepCredit: AskCredit, StepRefund: AskRefund, StepGoodwill: AskGoodwill, StepRestore: AskGoodwill}
		product := ""
		amount := cost
		switch r.Do {
		case StepRestore:
			product = t.r.Purchase.Product
		case StepGoodwill:
			amount = r.Amount
		case StepAnswer, StepCredit, StepExplain, StepSettle:
			amount = 0
		case StepRefund: // 0 on proof
		}
		return t.ask(ctx, x, r, by, kinds[r.Do], amount, product)
	}
	return false, nil
}

// acted reports whether the case's history says that a rule acted.
func (t *treating) acted(ctx context.Context, by Actor) (bool, error) {
	history, err := t.store.History(ctx, t.c.ID)
	if err != nil {
		return false, fmt.Errorf("read a case's history: %w", err)
	}
	return slices.ContainsFunc(history, func(e Entry) bool { return e.By == by && (e.Event == EventTreated || e.Event == EventAsked) }), nil
}

// ask makes a request for a rule.
func (t *treating) ask(ctx context.Context, x *Change, r *Rule, by Actor, kind Kind, amount int64, product string) (acted bool, err error) {
	var refusal *Refusal
	switch err := t.askByRule(ctx, *r, kind, t.c, amount, product); {
	case errors.Is(err, ErrTwice):
		return false, nil
	case errors.As(err, &refusal):
		x.note(t.now, EventTreated, by, string(r.Do)+": "+refusal.Why)
		return false, nil
	case err != nil:
		return false, fmt.Errorf("rule %s: %w", r.Name, err)
	}
	// The request wrote into the case's history: this change would be stale, and comes again.
	return true, ErrStale
}

// conclude settles the case with what the ledger shows. Who reported it is told; who
// did not was told by the purchase's own notices.
func (t *treating) conclude(x *Change, by Actor) error {
	outcome := shows(t.r.Purchase.State)
	reported := slices.ContainsFunc(x.Now.Matters, func(m purchase.Matter) bool { return slices.Contains(Matters, m) })
	if err := t.settle(x, by, &Deed{Do: EventSettled, Outcome: outcome}, t.now); err != nil {
		return err
	}
	if reported {
		x.Messages = append(x.Messages, t.outcomeText(outcome))
		if x.Now.AnsweredAt == 0 {
			x.Now.AnsweredAt = t.now
		}
	}
	x.note(t.now, EventTreated, by, string(StepSettle))
	x.note(t.now, EventSettled, by, outcome.String())
	return nil
}

// outcomeText tells the customer what became of it, once until the case is opened again.
func (t *treating) outcomeText(o Outcome) Message {
	p := &t.r.Purchase
	paid := money.Amount{Minor: p.Charged.Minor, Currency: p.Currency}.String()
	return Message{Case: t.c.ID, To: t.c.Number, Language: t.c.Language, At: t.now, Key: t.key("outcome-" + o.String() + "-" + strconv.Itoa(t.c.Reopened)),
		Text: t.say(t.c.Language, "case_"+o.String(), "Case", t.CaseReference(t.c.ID), "Item", t.item(p, t.c.Language), "Paid", paid,
			"Recipient", t.cfg.Format(p.Recipient), "Reference", t.reference())}
}

// explain tells the customer what is evidenced, and waits for an answer.
func (t *treating) explain(x *Change, by Actor) {
	x.Messages = append(x.Messages, t.outcomeText(OutcomeCredited))
	if x.Now.AnsweredAt == 0 {
		x.Now.AnsweredAt = t.now
	}
	x.Now.Status, x.Now.Clock = Waiting, x.Now.Clock.Pause(t.now)
	x.note(t.now, EventTreated, by, string(StepExplain))
	x.note(t.now, EventPaused, by, "")
}

// DryRun is what a rule would do to past cases.
type DryRun struct {
	Cases, Fits int
	Amount      int64 // that it would cost
	Would       []Treatment
	// Already counts those that ended as the rule would have ended them, and Otherwise those that did not.
	Already, Otherwise int
}

// The bounds of a dry run.
const (
	maxDryRun  = 100_000 // cases looked at
	maxExample = 50      // of what it would do
)

// Try runs a rule against the cases opened since an instant, as their purchases stand
// now, and changes nothing.
func (d *Desk) Try(ctx context.Context, r Rule, since purchase.Instant) (DryRun, error) {
	var run DryRun
	r.Active = true
	now := d.clock.Now()
	for after := CaseID(0); run.Cases < maxDryRun; {
		cases, err := d.store.PastCases(ctx, since, after, casesAtOnce)
		if err != nil {
			return DryRun{}, fmt.Errorf("read past cases: %w", err)
		}
		var ids []purchase.ID
		for i := range cases {
			if cases[i].Purchase != 0 {
				ids = append(ids, cases[i].Purchase)
			}
		}
		records, err := d.store.Load(ctx, ids...)
		if err != nil {
			return DryRun{}, fmt.Errorf("load purchases: %w", err)
		}
		for i := range cases {
			run.try(d, &r, &cases[i], records, now)
			after = cases[i].ID
		}
		if len(cases) < casesAtOnce {
			break
		}
	}
	return run, nil
}

// try counts one case.
func (run *DryRun) try(d *Desk, r *Rule, c *Case, records []purchase.Record, now purchase.Instant) {
	run.Cases++
	i := slices.IndexFunc(records, func(x purchase.Record) bool { return x.Purchase.ID == c.Purchase })
	if i < 0 || !r.fits(c, &records[i].Purchase, now) {
		return
	}
	p := &records[i].Purchase
	can, cost := d.would(r, c, p, now)
	ended := c.Status == Settled
	if !can && !ended {
		return
	}
	run.Fits++
	switch {
	case ended && c.Rule == r.Name:
		run.Already++
	case ended:
		run.Otherwise++
	}
	if can {
		run.Amount += cost
	}
	if len(run.Would) < maxExample {
		result := "would act"
		if ended {
			result = "ended " + c.Outcome.String()
		}
		run.Would = append(run.Would, Treatment{Case: c.ID, Rule: r.Name, Version: r.Version, Do: r.Do, At: now, Amount: cost, Result: result})
	}
}

// PutRule keeps a further version of a rule, or a new one when r.Version is 0. A
// *Refusal for a person who may not or a rule that makes no sense, ErrStale when
// somebody else changed it meanwhile. Durable on return.
func (d *Desk) PutRule(ctx context.Context, by auth.Staff, r Rule) (Rule, error) {
	if why := who(&by, auth.EditRules); why != "" {
		return Rule{}, &Refusal{Why: why}
	}
	r.Version++
	r.At, r.By = d.clock.Now(), Actor{Kind: ByStaff, Staff: by.ID}
	if err := r.check(); err != nil {
		return Rule{}, err
	}
	if err := d.store.AddRule(ctx, r); err != nil {
		return Rule{}, fmt.Errorf("keep rule %s: %w", r.Name, err)
	}
	d.Wake()
	return r, nil
}

// WhyRule says that the rule makes no sense.
const WhyRule Why = "rule"

// maxRuleName bounds a rule's name.
const maxRuleName = 40

// check refuses a rule that makes no sense.
func (r *Rule) check() error {
	known := func(m purchase.Matter) bool { _, is := handlings[m]; return is }
	costs := r.Do == StepGoodwill || r.Do == StepRestore
	switch {
	case r.Name == "" || len(r.Name) > maxRuleName || cleaned(r.Name, maxRuleName) != r.Name,
		!slices.Contains(Steps, r.Do), r.Amount < 0 || r.Budget < 0 || r.When.Most < 0 || r.When.After < 0,
		r.Do == StepGoodwill && r.Amount == 0, costs && r.Budget == 0,
		r.When.After > 365*24*time.Hour, int(r.When.Prefer) >= len(preferenceNames),
		slices.ContainsFunc(r.When.States, func(s purchase.State) bool { return !slices.Contains(purchase.States, s) }),
		slices.ContainsFunc(r.When.Matters, func(m purchase.Matter) bool { return !known(m) }):
		return &Refusal{Why: WhyRule}
	}
	return nil
}
