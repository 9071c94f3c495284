package store

import (
	"errors"
	"fmt"
	"slices"

	"tenu/internal/ledger"
	"tenu/internal/purchase"
)

// sound returns errRejected for a change that no row could carry. These are the
// tables' own constraints on one row: checked here first, they fail a batch
// whatever verdict the change would have met, in every store.
func sound(c *purchase.Change) error {
	for _, err := range [...]error{soundPurchase(&c.Now), soundEvidence(c), soundPostings(c), soundRest(c)} {
		if err != nil {
			return fmt.Errorf("%w: purchase %d of version %d %w", errRejected, c.Now.ID, c.Now.Version, err)
		}
	}
	return nil
}

func soundPurchase(p *purchase.Purchase) error {
	switch {
	case p.ID <= 0 || p.Version < 1:
		return errors.New("is no purchase")
	case p.State < purchase.Charging || p.State > purchase.Declined:
		return fmt.Errorf("stands in %s", p.State)
	case p.Total <= 0 || p.Units <= 0 || p.Fee < 0 || p.Fee >= p.Total:
		return fmt.Errorf("costs %d with a fee of %d for %d", p.Total, p.Fee, p.Units)
	case p.Held < 0 || p.Held > p.Charged.Minor:
		return fmt.Errorf("holds %d of %d", p.Held, p.Charged.Minor)
	case p.Charged.Minor != 0 && (p.State == purchase.Charging || p.State == purchase.Declined):
		return fmt.Errorf("is %s and charged %d", p.State, p.Charged.Minor)
	case p.DueAt == 0 && !p.State.Final():
		return fmt.Errorf("is %s and never due", p.State)
	}
	return nil
}

func known(l purchase.Leg) bool { return l >= purchase.Charge && l <= purchase.Reversal }

func soundEvidence(c *purchase.Change) error {
	switch e := c.Evidence; {
	case e == nil:
	case e.Version != c.Now.Version:
		return fmt.Errorf("records evidence of version %d", e.Version)
	case !known(e.Leg) || e.Source < purchase.FromAnswer || e.Source > purchase.FromNode ||
		e.Kind < purchase.Done || e.Kind > purchase.Reversed:
		return fmt.Errorf("records that %s of %s is %s", e.Source, e.Leg, e.Kind)
	}
	return nil
}

func soundPostings(c *purchase.Change) error {
	if len(c.Postings) > 0 && c.Evidence == nil {
		return errors.New("posts without evidence")
	}
	for i := range c.Postings {
		x := &c.Postings[i]
		if !known(x.Leg) || x.Effect == 0 {
			return fmt.Errorf("posts %s of %s", x.Effect, x.Leg)
		}
		if err := x.Check(); err != nil {
			return err
		}
	}
	return nil
}

func soundRest(c *purchase.Change) error {
	if a := c.Attempt; a != nil && (!known(a.Leg) || a.Try < 1) {
		return fmt.Errorf("attempts %s for the time %d", a.Leg, a.Try)
	}
	for i := range c.Notices {
		if f := c.Notices[i].Fact; f < purchase.FactCredited || f > 31 {
			return fmt.Errorf("tells %s", f)
		}
	}
	return nil
}

// distinct returns errRejected when a change would give a record, nil for a new
// one, a second row under the same key.
func distinct(r *purchase.Record, c *purchase.Change) error {
	if r == nil {
		r = &purchase.Record{}
	}
	twice := func(table string, found bool) error {
		if found {
			return fmt.Errorf("%w: it has that row of %s already", errRejected, table)
		}
		return nil
	}
	err := twice("attempt", c.Attempt != nil && slices.ContainsFunc(r.Attempts, func(a purchase.Attempt) bool {
		return a.Leg == c.Attempt.Leg && a.Try == c.Attempt.Try
	}))
	for i, x := range c.Postings {
		same := func(y purchase.Posting) bool { return y.Leg == x.Leg && y.Effect == x.Effect }
		err = errors.Join(err, twice("posting", slices.ContainsFunc(r.Postings, same) || slices.ContainsFunc(c.Postings[:i], same)))
	}
	for i, n := range c.Notices {
		same := func(o purchase.Notice) bool { return o.Fact == n.Fact && o.To == n.To }
		err = errors.Join(err, twice("notice", slices.ContainsFunc(r.Notices, same) || slices.ContainsFunc(c.Notices[:i], same)))
	}
	for i, k := range c.Cases {
		same := func(o purchase.Case) bool { return o.Matter == k.Matter }
		err = errors.Join(err, twice("care_case", slices.ContainsFunc(r.Cases, same) || slices.ContainsFunc(c.Cases[:i], same)))
	}
	return err
}

// kept is a change as the databases keep it: every text one that all of them
// take, a partner's bounded. What is the caller's stays as it is.
func kept(c *purchase.Change) purchase.Change {
	k := *c
	p := &k.Now
	for _, text := range [...]*string{&p.Client, &p.ClientKey, &p.Channel, (*string)(&p.Language), &p.Payer, &p.Provider,
		&p.Product, (*string)(&p.Currency)} {
		*text = clean(*text)
	}
	if c.Attempt != nil {
		a := *c.Attempt
		a.Partner = clean(a.Partner)
		k.Attempt = &a
	}
	if c.Evidence != nil {
		e := *c.Evidence
		e.Partner = clean(e.Partner)
		keep(&e.Outcome)
		k.Evidence = &e
	}
	k.Postings = append([]purchase.Posting(nil), c.Postings...)
	for i := range k.Postings {
		x := &k.Postings[i]
		x.Debit, x.Credit = ledger.Account(clean(string(x.Debit))), ledger.Account(clean(string(x.Credit)))
	}
	k.Notices = append([]purchase.Notice(nil), c.Notices...)
	for i := range k.Notices {
		n := &k.Notices[i]
		n.Language, n.Text = purchase.Language(clean(string(n.Language))), clean(n.Text)
	}
	k.Cases = append([]purchase.Case(nil), c.Cases...)
	for i := range k.Cases {
		k.Cases[i].Matter = purchase.Matter(clean(string(k.Cases[i].Matter)))
	}
	return k
}

// keep makes an outcome one that the databases keep as it is.
func keep(o *purchase.Outcome) {
	for _, text := range [...]*string{&o.Ref, (*string)(&o.Amount.Currency), &o.Product, (*string)(&o.Reason), &o.Detail} {
		*text = clip(clean(*text))
	}
	if !o.HasBalance {
		o.Balance = 0
	}
}
