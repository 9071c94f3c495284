package reconcile

import (
	"context"

	"tenu/internal/purchase"
)

// Remedy is how a break can be put right. None of them moves money here: the table of states decides about each.
type Remedy string

// The remedies.
const (
	// RemedyEvidence: the correction is accepted, and the purchase meets it as evidence.
	RemedyEvidence Remedy = "evidence"
	// RemedyReversal: a reversal is asked for in the customer's case, where the recipient is asked and somebody else approves; then the
	// payer has the whole back.
	RemedyReversal Remedy = "reversal"
	// RemedyGoodwill: no leg gives a part. The difference can be given as goodwill in the customer's case, a purchase of its own.
	RemedyGoodwill Remedy = "goodwill"
	// RemedyNone: no leg puts it right. It is settled with whoever answers for it, and resolved with a reason.
	RemedyNone Remedy = "none"
)

// Remedies lists every remedy.
var Remedies = []Remedy{RemedyEvidence, RemedyReversal, RemedyGoodwill, RemedyNone}

// Why says in a word why a remedy is the one.
type Why string

// The reasons.
const (
	WhyTable        Why = "table"         // the leg waits for this answer, and the table decides
	WhyNever        Why = "never"         // what was told did not happen: the table gives back, or tries again
	WhyExecuted     Why = "executed"      // it happened: the table books it
	WhyShort        Why = "short"         // the customer has less than told, and all of it can be taken back
	WhyOther        Why = "other"         // the customer has something else than bought, and it can be taken back
	WhyHindered     Why = "hindered"      // it would be a reversal, and the purchase does not heed one
	WhyNoPart       Why = "no_part"       // the payer paid more, or has back less: a refund gives back all that is held, never a part
	WhyPartnerBears Why = "partner_bears" // the customer has what was told or more: whose books are wrong bears it
	WhyStranger     Why = "stranger"      // another number's money moved, and that customer bought nothing here
	WhyElsewhere    Why = "elsewhere"     // the leg is another partner's by now
	WhyUnknown      Why = "unknown"       // there is no purchase that could meet evidence
	WhyPapers       Why = "papers"        // no money or units are missing: the partner's papers are wrong
	WhySettlement   Why = "settlement"    // it is between the partner and us
)

// Whys lists every reason.
var Whys = []Why{WhyTable, WhyNever, WhyExecuted, WhyShort, WhyOther, WhyHindered, WhyNoPart, WhyPartnerBears, WhyStranger, WhyElsewhere, WhyUnknown, WhyPapers,
	WhySettlement}

// Advice is what may be done about a break, and why that and nothing else.
type Advice struct {
	Remedy Remedy
	Why    Why
	// Hindrance is why a reversal would not be heeded, for WhyHindered; its word is purchase.Hindrance's.
	Hindrance purchase.Hindrance
}

// Advise says what may be done about a break, by its kind and by what the purchase would heed now.
func (d *Desk) Advise(ctx context.Context, b *Break) (Advice, error) {
	a := b.advice()
	if a.Remedy != RemedyReversal || d.cfg.Grants == nil {
		return a, nil
	}
	records, err := d.cfg.Store.Load(ctx, b.Purchase)
	if err != nil {
		return a, err
	}
	if len(records) == 0 {
		return Advice{Remedy: RemedyNone, Why: WhyUnknown}, nil
	}
	if grant := d.cfg.Grants(&records[0].Purchase, purchase.WishReversal, d.cfg.Clock.Now()); !grant.OK {
		a = Advice{RemedyNone, WhyHindered, grant.Why}
		if b.Cause == CauseAmount {
			a.Remedy = RemedyGoodwill
		}
	}
	return a, nil
}

// advice is what may be done by the break alone.
func (f *Found) advice() Advice {
	if f.Correction.Leg != 0 {
		switch {
		case f.ByTable:
			return Advice{Remedy: RemedyEvidence, Why: WhyTable}
		case f.Correction.Outcome.Kind == purchase.Reversed:
			return Advice{Remedy: RemedyEvidence, Why: WhyNever}
		}
		return Advice{Remedy: RemedyEvidence, Why: WhyExecuted}
	}
	switch f.Cause {
	case CauseTime, CauseReference, CauseLeg, CauseChanged, CauseVanished:
		return Advice{Remedy: RemedyNone, Why: WhyPapers}
	case CauseSettlement:
		return Advice{Remedy: RemedyNone, Why: WhySettlement}
	case CauseAmount, CauseCurrency, CauseNumber, CauseProduct:
		if f.Purchase != 0 {
			return f.otherwise()
		}
	case CauseLied, CauseUnheard, CauseDenied, CauseUnasked, CauseTwice, CauseReversed, CauseUnundone, CauseLate:
	}
	if f.Purchase == 0 {
		return Advice{Remedy: RemedyNone, Why: WhyUnknown}
	}
	return Advice{Remedy: RemedyNone, Why: WhyElsewhere}
}

// otherwise is what may be done about a movement that is not as it was told.
func (f *Found) otherwise() Advice {
	switch {
	case f.Cause == CauseNumber && f.Leg == purchase.Charge:
		return Advice{Remedy: RemedyNone, Why: WhyStranger}
	case f.Cause == CauseNumber:
		return Advice{Remedy: RemedyNone, Why: WhyElsewhere} // else it has a correction
	case f.Cause == CauseCurrency:
		return Advice{Remedy: RemedyNone, Why: WhySettlement}
	case f.Leg == purchase.Credit && f.Cause == CauseProduct:
		return Advice{Remedy: RemedyReversal, Why: WhyOther}
	case f.Leg == purchase.Credit && f.There < f.Here:
		return Advice{Remedy: RemedyReversal, Why: WhyShort}
	case f.Leg == purchase.Charge && f.There > f.Here, f.Leg == purchase.Refund && f.There < f.Here:
		return Advice{Remedy: RemedyGoodwill, Why: WhyNoPart}
	}
	return Advice{Remedy: RemedyNone, Why: WhyPartnerBears}
}
