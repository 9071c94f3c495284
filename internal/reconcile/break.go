package reconcile

import (
	"strconv"

	"tenu/internal/purchase"
)

// Cause is what kind of mismatch a break is.
type Cause uint8

// The causes.
const (
	// CauseLied: the partner told that it moved, and its own records do not show it.
	CauseLied Cause = iota + 1
	// CauseUnheard: its records show a movement that was asked for and never answered.
	CauseUnheard
	// CauseDenied: its records show a movement that it had refused, or cancelled.
	CauseDenied
	// CauseUnasked: its records show a movement that nobody of ours asked for.
	CauseUnasked
	CauseAmount    // another amount than it told, or was asked for
	CauseCurrency  // another currency
	CauseNumber    // another number's account
	CauseProduct   // another product
	CauseTwice     // executed more than once
	CauseReversed  // taken back there, and not here
	CauseUnundone  // told to be taken back, and its records do not show that
	CauseTime      // moved before it was asked for, or after it was told to be done
	CauseLate      // moved later than the partner declares that it can
	CauseReference // under another reference than it told
	CauseLeg       // the line says another leg than its key
	CauseChanged   // a later version of a statement says something else
	CauseVanished  // a later version of a statement does not have the line any more
	// CauseSettlement: what came on the settlement account for a day is not what the partner owed us for it, or we owed it.
	CauseSettlement
)

var causeNames = [...]string{CauseLied: "lied", CauseUnheard: "unheard", CauseDenied: "denied", CauseUnasked: "unasked",
	CauseAmount: "amount", CauseCurrency: "currency", CauseNumber: "number", CauseProduct: "product", CauseTwice: "twice",
	CauseReversed: "reversed", CauseUnundone: "not_undone", CauseTime: "time", CauseLate: "late", CauseReference: "reference",
	CauseLeg: "leg", CauseChanged: "changed", CauseVanished: "vanished", CauseSettlement: "settlement"}

// Causes lists every cause.
var Causes = func() (all []Cause) {
	for c := range causeNames {
		if c != 0 {
			all = append(all, Cause(c))
		}
	}
	return all
}()

// String is the cause's word.
func (c Cause) String() string {
	if int(c) < len(causeNames) && c != 0 {
		return causeNames[c]
	}
	return "cause " + strconv.Itoa(int(c))
}

// ParseCause is the cause of a word.
func ParseCause(word string) (Cause, bool) {
	for c, name := range causeNames {
		if name == word && c != 0 {
			return Cause(c), true
		}
	}
	return 0, false
}

// The reasons with which breaks are resolved without a person.
const (
	ReasonGone   = "a later statement does not show it any more"
	ReasonBooked = "the purchase has recorded it"
	// ReasonSettled: the account shows what was owed.
	ReasonSettled = "the day is settled"
)

// House is the party that is us.
const House = "tenu"

// Found is a mismatch as the match finds it.
type Found struct {
	Cause    Cause
	Purchase purchase.ID  // 0 where none is known
	Leg      purchase.Leg // 0 where none is known
	Ref      string       // that tells breaks of one movement apart
	Party    string       // who answers for it: the partner, or House
	Number   purchase.MSISDN
	// Here and There are what is on record here and what the statement says, minor units; 0 for nothing.
	Here, There int64
	Currency    string
	At          purchase.Instant // when it moved, there or else here
	Place       int64            // of the line in the statement, 0 for none
	Detail      string           // in words, without numbers of customers
	Version     int64            // of the purchase, as it was looked at
	// Correction is the evidence that would put it right by the table of states; its Leg is 0 where there is none.
	Correction purchase.Event
	// ByTable: nobody needs to decide, because the leg is open and this is its answer.
	ByTable bool
	// Customer: a customer's money or units are concerned.
	Customer bool
}

// Loss is what the break costs whoever bears it, if it stays as it is, minor units.
func (f *Found) Loss() int64 {
	return f.Cause.Loss(max(f.Here, f.There), max(f.There-f.Here, f.Here-f.There))
}

// Loss is what a break of a cause costs of which the larger of both sides, and their difference, are known.
func (c Cause) Loss(larger, difference int64) int64 {
	switch c {
	case CauseTime, CauseReference, CauseLeg, CauseUnheard, CauseLate:
		return 0
	case CauseAmount, CauseChanged, CauseSettlement:
		return difference
	default:
		return larger
	}
}

// evidence is a correction by what the statement says, none where the leg is another partner's by now.
func (m *Movement) evidence(kind purchase.Kind, ref string, t *Told, detail string) purchase.Event {
	if m.Elsewhere {
		return purchase.Event{}
	}
	return purchase.Event{Leg: m.Leg, Source: purchase.FromStatement, Outcome: purchase.Outcome{Kind: kind, Ref: ref,
		Amount: t.Amount, Account: t.Account, Product: t.Product, Detail: detail}}
}
