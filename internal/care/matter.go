package care

import (
	"slices"

	"tenu/internal/purchase"
)

// handling is how a matter is dealt with.
type handling struct {
	Code Code
	// Told: the customer hears that the case is open. Of the rest they heard already, or it is ours alone.
	Told bool
	// Person: somebody must look before a case with it is settled.
	Person bool
	// Unheard: the customer says that the units are not there. That they were credited before settles it only once the customer
	// was told so, and said nothing.
	Unheard bool
	// Wish: what became of the purchase does not settle it by itself, because the customer wants something else.
	Wish bool
}

// handlings says it of every matter.
var handlings = map[purchase.Matter]handling{
	purchase.MatterPendingCredit:   {Code: CodeTopUp, Told: true},
	purchase.MatterUnknownCharge:   {Code: CodePending, Told: true},
	purchase.MatterLateRefund:      {Code: CodeTopUp, Told: true},
	purchase.MatterRefundRefused:   {Code: CodeTopUp, Told: true},
	purchase.MatterOverdue:         {Code: CodeTopUp, Told: true},
	purchase.MatterUnproven:        {Code: CodeTopUp},
	purchase.MatterOrphanCharge:    {Code: CodeTopUp, Told: true},
	purchase.MatterWrongCharge:     {Code: CodeBalance, Told: true},
	purchase.MatterWrongCredit:     {Code: CodeTopUp, Told: true},
	purchase.MatterWrongRefund:     {Code: CodeBalance, Told: true},
	purchase.MatterLateCredit:      {Code: CodeTopUp},
	purchase.MatterSecondCharge:    {Code: CodeBalance, Told: true, Person: true},
	purchase.MatterSecondCredit:    {Code: CodeOther},
	purchase.MatterSecondRefund:    {Code: CodeOther},
	purchase.MatterCreditReversed:  {Code: CodeBalance, Told: true},
	purchase.MatterChargeReversed:  {Code: CodeOther},
	purchase.MatterRefundReversed:  {Code: CodeBalance, Told: true},
	purchase.MatterUnbooked:        {Code: CodeOther, Person: true},
	purchase.MatterUnknownReversal: {Code: CodeOther, Person: true},
	purchase.MatterWrongReversal:   {Code: CodeOther, Person: true},
	MatterNotReceived:              {Code: CodeTopUp, Told: true, Unheard: true},
	MatterWrongNumber:              {Code: CodeOther, Told: true, Wish: true},
	MatterWrongProduct:             {Code: CodeOther, Told: true, Wish: true},
	MatterDuplicate:                {Code: CodeBalance, Told: true, Wish: true},
	MatterOther:                    {Code: CodeOther, Told: true, Wish: true},
	MatterBreak:                    {Code: CodeOther, Person: true},
	MatterContested:                {Code: CodeOther, Told: true, Person: true},
}

// codeOf is the complaint code of a matter; that of one that nobody has heard of is CodeOther.
func codeOf(m purchase.Matter) Code {
	if h, known := handlings[m]; known {
		return h.Code
	}
	return CodeOther
}

// shows is the outcome that a purchase in a state shows, 0 for none yet.
func shows(s purchase.State) Outcome {
	switch s {
	case purchase.Credited:
		return OutcomeCredited
	case purchase.Refunded:
		return OutcomeRefunded
	case purchase.Declined:
		return OutcomeNothingTaken
	case purchase.Charging, purchase.Crediting, purchase.Refunding:
	}
	return 0
}

// stateOf is the state that shows an outcome, 0 for one that is not about money.
func stateOf(o Outcome) purchase.State {
	for _, s := range purchase.States {
		if o != 0 && shows(s) == o {
			return s
		}
	}
	return 0
}

// settled reports whether a purchase has an outcome that holds: nothing of it is held,
// no units are being taken back, and no charge is in doubt that could still come.
func settled(p *purchase.Purchase) bool {
	reversal := &p.Legs[purchase.Reversal]
	switch {
	case shows(p.State) == 0 || p.Held != 0:
		return false
	case p.State == purchase.Credited:
		return reversal.Tries == 0 || reversal.Done || reversal.Closed
	case p.State == purchase.Declined:
		return p.WatchTill == 0 || !p.Legs[purchase.Charge].Doubt
	}
	return true
}

// conclusive reports whether the evidence settles every matter of a case without a person.
func conclusive(c *Case, p *purchase.Purchase) bool {
	if !settled(p) {
		return false
	}
	credited := p.State == purchase.Credited
	for _, m := range c.Matters {
		h, known := handlings[m]
		if !known || h.Person || credited && (h.Wish || h.Unheard && (p.ClosedAt <= c.OpenedAt || c.Reopened > 0)) {
			return false
		}
	}
	return true
}

// told reports whether the customer hears of a case.
func told(c *Case) bool {
	return c.Purchase == 0 || slices.ContainsFunc(c.Matters, func(m purchase.Matter) bool {
		h, known := handlings[m]
		return !known || h.Told
	})
}

// personal reports whether a person must look at a case, whatever the ledger shows.
func personal(c *Case) bool {
	return slices.ContainsFunc(c.Matters, func(m purchase.Matter) bool {
		h, known := handlings[m]
		return !known || h.Person
	})
}
