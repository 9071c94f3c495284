package incident

import (
	"context"
	"fmt"
	"time"

	"tenu/internal/auth"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Progress is how far everybody affected is settled. The engine does that by itself, at the partner's pace.
type Progress struct {
	Stuck, Credited, Refunded int64
	PerMinute                 float64          // settled, over the last rateOver
	EndsAt                    purchase.Instant // at that rate, 0 where nobody can say
	Totals                    Totals
}

// rateOver is the time over which the rate of settling is measured.
const rateOver = 5 * time.Minute

// Progress says how far an incident is settled at an instant. ErrNotFound.
func (d *Desk) Progress(ctx context.Context, id ID, now purchase.Instant) (Progress, error) {
	if _, err := d.Incident(ctx, id); err != nil {
		return Progress{}, err
	}
	totals, err := d.store.Totals(ctx, id)
	if err != nil {
		return Progress{}, fmt.Errorf("sum up: %w", err)
	}
	course, err := d.store.IncidentCourse(ctx, id, now.Add(-rateOver), now, rateOver)
	if err != nil {
		return Progress{}, fmt.Errorf("read how fast it is settled: %w", err)
	}
	p := Progress{Stuck: totals.Pending, Credited: totals.Credited, Refunded: totals.Refunded, Totals: totals}
	for _, b := range course {
		p.PerMinute += float64(b.Credited+b.Given) / rateOver.Minutes()
	}
	if p.Stuck > 0 && p.PerMinute > 0 {
		p.EndsAt = now.Add(time.Duration(float64(p.Stuck) / p.PerMinute * float64(time.Minute)))
	}
	return p, nil
}

// Remedy is what the table does with a stuck purchase next.
type Remedy string

// The remedies.
const (
	RemedyCredit   Remedy = "credit"   // the credit may be sent again, safely
	RemedyRefund   Remedy = "refund"   // it is proven that nothing was credited: the money goes back
	RemedyProof    Remedy = "proof"    // the proof is coming, and then the money goes back
	RemedyQuery    Remedy = "query"    // the partner is asked what became of it
	RemedyWait     Remedy = "wait"     // an answer is waited for
	RemedyUnderWay Remedy = "underway" // the money is being given back
)

// DryRun is what would be done with all that is stuck, if each were looked at now. Nothing is changed.
type DryRun struct {
	Looked    int // purchases; at most MaxDryRun
	More      bool
	By        map[Remedy]Sum
	Currency  money.Currency
	SettledAt purchase.Instant // the last deadline by which all of it is settled, proven or not
}

// Sum is purchases and what they were charged.
type Sum struct{ Count, Amount int64 }

// MaxDryRun bounds the purchases that a dry run looks at.
const MaxDryRun = 100_000

// DryRun says what the table would do now with each purchase of an incident that is stuck. ErrNoEngine.
func (d *Desk) DryRun(ctx context.Context, id ID, now purchase.Instant) (DryRun, error) {
	if d.cfg.Engine == nil {
		return DryRun{}, ErrNoEngine
	}
	run := DryRun{By: map[Remedy]Sum{}}
	for after := purchase.ID(0); ; {
		ids, err := d.store.Stuck(ctx, id, after, toldAtOnce)
		if err != nil {
			return DryRun{}, fmt.Errorf("find what is stuck: %w", err)
		}
		records, err := d.store.Load(ctx, ids...)
		if err != nil {
			return DryRun{}, fmt.Errorf("load purchases: %w", err)
		}
		for k := range records {
			p := &records[k].Purchase
			what := d.remedy(p, now)
			sum := run.By[what]
			run.By[what] = Sum{sum.Count + 1, sum.Amount + p.Charged.Minor}
			run.Looked++
			run.Currency = p.Charged.Currency
			run.SettledAt = max(run.SettledAt, p.ResolveBy)
		}
		if len(ids) < toldAtOnce {
			return run, nil
		}
		if after = ids[len(ids)-1]; run.Looked >= MaxDryRun {
			run.More = true
			return run, nil
		}
	}
}

// remedy is what the table would do with one purchase.
func (d *Desk) remedy(p *purchase.Purchase, now purchase.Instant) Remedy {
	if p.State == purchase.Refunding {
		return RemedyUnderWay
	}
	grants := func(w purchase.Wish) purchase.Grant { return d.cfg.Engine.Grants(p, w, now) }
	refund := grants(purchase.WishRefund)
	switch {
	case refund.OK && !refund.Unproven:
		return RemedyRefund
	case grants(purchase.WishCredit).OK:
		return RemedyCredit
	case refund.Why == purchase.HindranceProof:
		return RemedyProof
	case grants(purchase.WishAnswer).OK:
		return RemedyQuery
	}
	return RemedyWait
}

// Hold keeps every node from asking a partner about its stuck purchases, or lets them go on. Deadlines hold all the same:
// what cannot be proven by then is given back without proof. It takes effect here at once, and with the next look elsewhere.
// ErrNotAllowed; ErrSeries when there is no such partner; ErrDeed without a reason. Durable on return.
func (d *Desk) Hold(ctx context.Context, by auth.StaffID, partner, reason string, hold bool) error {
	if err := d.who(ctx, by, auth.LeadIncidents); err != nil {
		return err
	}
	reason = tidied(reason, MaxText)
	switch {
	case d.cfg.Engine == nil:
		return ErrNoEngine
	case hold && reason == "":
		return fmt.Errorf("%w: a reason is needed", ErrDeed)
	case hold && d.cfg.Known != nil && !d.cfg.Known(Series{ByProvider, partner}) && !d.cfg.Known(Series{ByPayer, partner}):
		return ErrSeries
	}
	if err := d.store.HoldStuck(ctx, Hold{Partner: partner, At: d.clock.Now(), By: Actor{by}, Reason: reason}, hold); err != nil {
		return fmt.Errorf("hold what is stuck: %w", err)
	}
	return d.applyHolds(ctx)
}
