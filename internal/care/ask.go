package care

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// The times that requests wait.
const (
	consentFor = 48 * time.Hour // the recipient is waited for
	checkFor   = 24 * time.Hour // a checker is waited for
)

// Ask is what one of the staff asks for.
type Ask struct {
	Kind     Kind
	Purchase purchase.ID
	Case     CaseID
	Amount   int64  // of goodwill, minor units; a bundle's price
	Product  string // of goodwill; "" for airtime
	Reason   string // needed
}

// Allowance says whether one of the staff may ask for something now, and if not why not.
type Allowance struct {
	Kind     Kind
	OK       bool
	Why      Why              // a word that the phrases of the console explain (Whys, purchase.Hindrance), "" when OK
	At       purchase.Instant // when that may change by itself, 0 unknown
	Limit    int64            // the bound that was met, 0 where there is none
	Checked  bool             // a checker must agree
	Unproven bool             // a refund without proof, at the operator's risk
	Amount   int64            // that it would move; of goodwill, the most that it may be
}

// Allowances lists, for each kind, whether one of the staff may ask for it. What was
// asked for in the day counts only when it is asked.
func (d *Desk) Allowances(ctx context.Context, r *purchase.Record, staff auth.Staff) ([]Allowance, error) {
	under, err := d.store.RequestsAbout(ctx, r.Purchase.ID)
	if err != nil {
		return nil, fmt.Errorf("read requests: %w", err)
	}
	all := make([]Allowance, 0, len(Kinds))
	for _, kind := range Kinds {
		all = append(all, d.allowance(kind, &r.Purchase, &staff, under))
	}
	return all, nil
}

// allowance says whether one kind may be asked for.
func (d *Desk) allowance(kind Kind, p *purchase.Purchase, staff *auth.Staff, under []Request) Allowance {
	q, grant := d.draft(Ask{Kind: kind, Purchase: p.ID}, p)
	b := d.cfg.Policy.Bounds[staff.Role]
	if kind == AskGoodwill {
		q.Amount = b.Single
	}
	a := Allowance{Kind: kind, Amount: q.Amount, Unproven: q.Unproven, Checked: d.cfg.Policy.checked(staff.Role, &q)}
	if kind == AskGoodwill {
		a.Checked = b.Unchecked == 0
	}
	refusal := Refusal{Why: who(staff, kind.action(), q.Number, q.Recipient)}
	switch {
	case refusal.Why != "":
	case kind != AskAnswer && (b.Single == 0 || q.Amount > b.Single):
		refusal = Refusal{Why: WhySingle, Limit: b.Single}
	default:
		if refusal.Why = standing(kind, under); refusal.Why == "" {
			refusal = grant
		}
	}
	a.OK, a.Why, a.At, a.Limit = refusal.Why == "", refusal.Why, refusal.At, refusal.Limit
	return a
}

// standing says whether a request of a kind is under way or had its effect.
func standing(kind Kind, under []Request) Why {
	for i := range under {
		switch r := &under[i]; {
		case r.Kind != kind:
		case !r.Stage.Over():
			return WhyUnderWay
		case r.Stage == StageDone && kind != AskAnswer:
			return WhyHad
		}
	}
	return ""
}

// draft is a request about a purchase as it stands, and why the purchase would not
// heed it; a Refusal without a word says that it would.
func (d *Desk) draft(a Ask, p *purchase.Purchase) (Request, Refusal) {
	r := Request{Version: 1, Kind: a.Kind, Case: a.Case, Purchase: p.ID, Number: p.PayerNumber, Recipient: p.Recipient, Reason: plain(a.Reason)}
	wish := a.Kind.Wish()
	if wish == 0 {
		if r.Amount, r.Product = a.Amount, a.Product; r.Product == "" {
			r.Recipient = p.PayerNumber // airtime makes up to who paid; a bundle is given again where it was
		}
		if d.cfg.House == nil {
			return r, Refusal{Why: WhyNoHouse}
		}
		return r, Refusal{}
	}
	switch a.Kind {
	case AskCredit:
		r.Amount = p.Units
	case AskRefund, AskReversal:
		if r.Amount = p.Held; r.Amount == 0 {
			r.Amount = p.Total
		}
	case AskAnswer, AskGoodwill:
	}
	if d.cfg.Engine == nil {
		return r, Refusal{Why: WhyNoEngine}
	}
	grant := d.cfg.Engine.Grants(p, wish, d.clock.Now())
	r.Unproven = grant.Unproven
	if !grant.OK {
		return r, Refusal{Why: Why(grant.Why), At: grant.At}
	}
	return r, Refusal{}
}

// load returns a purchase as it stands.
func (d *Desk) load(ctx context.Context, id purchase.ID) (purchase.Purchase, error) {
	records, err := d.store.Load(ctx, id)
	if err != nil {
		return purchase.Purchase{}, fmt.Errorf("load purchase %d: %w", id, err)
	}
	if len(records) == 0 {
		return purchase.Purchase{}, fmt.Errorf("load purchase %d: %w", id, ErrNotFound)
	}
	return records[0].Purchase, nil
}

// Ask makes a request, and begins what comes of it. ErrRefused, as a *Refusal, says why
// not; ErrTwice returns the one that stands. Durable on return.
func (d *Desk) Ask(ctx context.Context, staff auth.Staff, a Ask) (Request, error) {
	switch {
	case !slices.Contains(Kinds, a.Kind):
		return Request{}, &Refusal{Why: WhyRole}
	case plain(a.Reason) == "":
		return Request{}, &Refusal{Why: WhyReason}
	case a.Kind == AskGoodwill && a.Amount <= 0:
		return Request{}, &Refusal{Why: WhyAmount}
	}
	p, err := d.load(ctx, a.Purchase)
	if err != nil {
		return Request{}, err
	}
	r, refusal := d.draft(a, &p)
	if why := who(&staff, a.Kind.action(), r.Number, r.Recipient); why != "" {
		return Request{}, &Refusal{Why: why} // before anything is told of the purchase
	}
	if refusal.Why != "" {
		return d.stands(ctx, &r, &refusal)
	}
	r.Maker = staff.ID
	// What the role may never ask for opens no case; the rest is measured inside the transaction.
	_, dayEnds := d.periods(d.clock.Now())
	if err := d.cfg.Policy.allows(&r, &Standing{Maker: staff}, dayEnds); err != nil {
		return Request{}, err
	}
	if r.Case, err = d.caseFor(ctx, &p, &r); err != nil {
		return Request{}, err
	}
	return d.add(ctx, r, d.cfg.Policy.checked(staff.Role, &r))
}

// stands returns the request that made the purchase refuse another one, if there is
// one, so that a request asked twice is told as such.
func (d *Desk) stands(ctx context.Context, r *Request, refusal *Refusal) (Request, error) {
	under, err := d.store.RequestsAbout(ctx, r.Purchase)
	if err != nil {
		return Request{}, fmt.Errorf("read requests: %w", err)
	}
	for i := range under {
		if u := &under[i]; u.Kind == r.Kind && standing(r.Kind, under[i:i+1]) != "" {
			return *u, ErrTwice
		}
	}
	return Request{}, refusal
}

// caseFor is the case that a request belongs to: the purchase's, which is opened when
// there is none.
func (d *Desk) caseFor(ctx context.Context, p *purchase.Purchase, r *Request) (CaseID, error) {
	found, err := d.store.CasesAbout(ctx, p.ID)
	if err != nil {
		return 0, fmt.Errorf("find the case of purchase %d: %w", p.ID, err)
	}
	if len(found) > 0 {
		return found[0].ID, nil
	}
	matter := MatterOther
	switch {
	case r.Kind == AskReversal:
		matter = MatterWrongNumber
	case p.State == purchase.Crediting:
		matter = MatterNotReceived
	}
	c, _, err := d.Open(ctx, Actor{Kind: ByStaff, Staff: r.Maker}, NewCase{Number: p.PayerNumber, Purchase: p.ID, Matter: matter,
		Detail: r.Reason, Channel: "console", Language: p.Language})
	if err != nil {
		return 0, fmt.Errorf("open a case for a request: %w", err)
	}
	return c.ID, nil
}

// add keeps a request, and begins what comes of it.
func (d *Desk) add(ctx context.Context, r Request, checked bool) (Request, error) {
	now := d.clock.Now()
	r.At, r.DueAt, r.Stage = now, now, StageApproved
	switch {
	case r.Kind == AskReversal:
		r.Stage = StageConsent
	case checked:
		r.Stage, r.DueAt = StageCheck, now.Add(checkFor)
	}
	since, dayEnds := d.periods(now)
	kept, err := d.store.AddRequest(ctx, r, since, func(st Standing) error { return d.cfg.Policy.allows(&r, &st, dayEnds) })
	switch {
	case errors.Is(err, ErrTwice):
		return kept, ErrTwice
	case err != nil:
		return Request{}, fmt.Errorf("ask for %s: %w", r.Kind, err)
	}
	// It is kept: whatever fails from here on is done by the next step.
	if kept.Stage == StageCheck {
		_ = d.record(ctx, &kept, nil)
	} else {
		kept = d.soon(ctx, kept)
	}
	d.moved(&kept)
	return kept, nil
}

// soon does at once what the next step would, and returns the request as it then stands.
func (d *Desk) soon(ctx context.Context, r Request) Request {
	next, err := d.advance(ctx, r, d.clock.Now())
	if err != nil {
		d.Wake()
		if now, err := d.store.Request(ctx, r.ID); err == nil {
			return now
		}
		return r
	}
	return next
}

// moved tells whoever listens of a request.
func (d *Desk) moved(r *Request) {
	d.changed(Changed{Case: r.Case, Number: r.Number, Purchase: r.Purchase, Request: r.ID})
	d.Wake()
}
