package customer

import (
	"tenu/internal/care"
	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/receipt"
)

// Stage is where a purchase stands in a customer's eyes. Each says only what is evidenced.
type Stage string

// The stages.
const (
	Asking      Stage = "asking"      // the payer is being asked; nothing is known to be taken
	Unconfirmed Stage = "unconfirmed" // declined at the deadline; the payer never answered
	Paid        Stage = "paid"        // paid; the units are on their way
	Late        Stage = "late"        // paid, not credited in time; credit or refund follows
	Refunding   Stage = "refunding"   // the money is on its way back
	Done        Stage = "credited"
	Back        Stage = "refunded"
	Declined    Stage = "declined" // nothing was taken
)

// View is a purchase as one customer may see it.
type View struct {
	ID        purchase.ID
	Reference purchase.Reference
	Version   int64
	Stage     Stage
	Payer     bool // the viewer paid; otherwise the viewer only receives

	Product   string
	Bundle    bool
	Units     money.Amount // credited, or to be
	Recipient purchase.MSISDN

	// Of the payer only; zero for a recipient who did not pay.
	PayerNumber purchase.MSISDN
	PayWith     string       // the partner that charges
	Total, Fee  money.Amount // asked for, and the part of it that is the fee
	Charged     money.Amount // taken, as evidenced
	// Reason is why the payment was declined, "" when it was not.
	Reason purchase.Reason
	// Language is what the purchase was made in.
	Language purchase.Language

	CreatedAt, ChargedAt, ClosedAt purchase.Instant
	// ApproveBy is when an unanswered charge is given up, DeliverBy when the customer
	// is told of a credit that is missing, ResolveBy when the purchase is credited or
	// refunded at the latest, RefundBy when a refund that was begun is done. Zero
	// where it does not apply yet.
	ApproveBy, DeliverBy, ResolveBy, RefundBy purchase.Instant
	// Balance is the recipient's after the credit, where its own viewer may know it.
	Balance    money.Amount
	HasBalance bool
	HasReceipt bool // that the viewer may see

	Case    bool // a case is open or was
	CaseAt  purchase.Instant
	CaseRef string        // what the case is called, "" while it has no name yet
	Reports []care.Report // the viewer's own
}

// Final reports whether the purchase has its outcome.
func (v *View) Final() bool { return v.Stage == Done || v.Stage == Back || v.Stage == Declined }

// view is a purchase as a number that is its payer or its recipient may see it.
func (d *Desk) view(number purchase.MSISDN, r *purchase.Record) View {
	p := &r.Purchase
	v := View{ID: p.ID, Reference: d.cfg.References.Reference(p.ID), Version: p.Version, Stage: stage(p, d.cfg.Clock.Now()),
		Payer: p.PayerNumber == number, Product: p.Product, Bundle: p.Bundle,
		Units: money.Amount{Minor: p.Units, Currency: p.Currency}, Recipient: p.Recipient,
		CreatedAt: p.CreatedAt, ChargedAt: p.ChargedAt, ClosedAt: p.ClosedAt,
		DeliverBy: p.DeliverBy, ResolveBy: p.ResolveBy, RefundBy: p.RefundBy}
	if p.State == purchase.Charging {
		v.ApproveBy = p.CreatedAt.Add(d.cfg.Rules.ApproveWithin)
	}
	if v.Payer {
		v.HasReceipt = d.cfg.Receipts != nil && receipt.There(p)
		v.PayerNumber, v.PayWith = p.PayerNumber, p.Payer
		v.Total, v.Fee = money.Amount{Minor: p.Total, Currency: p.Currency}, money.Amount{Minor: p.Fee, Currency: p.Currency}
		v.Charged, v.Language = p.Charged, p.Language
		if len(r.Cases) > 0 {
			v.Case, v.CaseAt = true, r.Cases[0].At
		}
	}
	for i := range r.Evidence {
		e := &r.Evidence[i]
		switch {
		case e.Leg == purchase.Credit && e.Kind == purchase.Done && e.HasBalance && p.Recipient == number && p.State == purchase.Credited:
			v.Balance, v.HasBalance = money.Amount{Minor: e.Balance, Currency: p.Currency}, true
		case e.Leg == purchase.Charge && e.Kind == purchase.Refused && p.State == purchase.Declined && v.Payer:
			v.Reason = e.Reason
		}
	}
	return v
}

// stage is where a purchase stands at an instant.
func stage(p *purchase.Purchase, now purchase.Instant) Stage {
	switch p.State {
	case purchase.Charging:
		return Asking
	case purchase.Crediting:
		if p.Told.Has(purchase.FactPending) || now >= p.DeliverBy {
			return Late
		}
		return Paid
	case purchase.Refunding:
		return Refunding
	case purchase.Credited:
		return Done
	case purchase.Refunded:
		return Back
	case purchase.Declined:
	}
	if p.Told.Has(purchase.FactUnconfirmed) && p.WatchTill > now && p.Legs[purchase.Charge].Doubt {
		return Unconfirmed
	}
	return Declined
}
