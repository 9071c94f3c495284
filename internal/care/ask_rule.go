package care

import "context"

// askByRule makes a request on behalf of a rule. A rule is bound by its own budget and
// by the month's goodwill, and nobody checks it: who wrote it did. The amount is what its budget
// has for it: 0 for a refund on proof, which is not made without. ErrTwice says that
// such a request stands already, ErrRefused, as a *Refusal, why it is not made.
func (d *Desk) askByRule(ctx context.Context, rule Rule, kind Kind, c Case, amount int64, product string) error {
	p, err := d.load(ctx, c.Purchase)
	if err != nil {
		return err
	}
	r, refusal := d.draft(Ask{Kind: kind, Purchase: p.ID, Case: c.ID, Amount: amount, Product: product, Reason: rule.Name}, &p)
	switch {
	case kind == AskReversal: // a person decides to take units from somebody
		return &Refusal{Why: WhyRole}
	case kind == AskGoodwill && amount <= 0:
		return &Refusal{Why: WhyAmount}
	case refusal.Why != "":
		_, err := d.stands(ctx, &r, &refusal)
		return err
	case r.Unproven && (rule.When.Proven || amount == 0):
		return &Refusal{Why: WhyUnproven}
	}
	r.Rule = rule.Name
	_, err = d.add(ctx, r, false)
	return err
}
