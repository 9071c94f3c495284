package purchase

import (
	"tenu/internal/ledger"
	"tenu/internal/money"
)

// effect is a named part of a transition. The name is what docs/states.md prints.
type effect struct {
	name string
	do   func(*step)
}

func do(effects ...effect) []effect { return effects }

// settled0 is settled on a timer, where the event names no leg.
func settled0(leg Leg) effect {
	return effect{"leg closed", func(s *step) { s.p.Legs[leg].Closed, s.p.Legs[leg].Doubt, s.out.Durable = true, false, true }}
}

func notify(f Fact) effect {
	return effect{"tell " + f.String(), func(s *step) { s.tell(f) }}
}

// notifyCharged tells the payer, if it was the payer's money.
func notifyCharged(f Fact) effect {
	return effect{"tell " + f.String() + " if the payer was charged", func(s *step) {
		if s.p.charged() == s.p.PayerNumber {
			s.tell(f)
		}
	}}
}

func openCase(m Matter) effect {
	return effect{"case " + string(m), func(s *step) { s.open(m) }}
}

var (
	// note records the event as evidence.
	note = effect{"record evidence", func(s *step) {
		s.evidence = Evidence{Leg: s.ev.Leg, Source: s.ev.Source,
			Partner: s.p.Partner(s.ev.Leg), Outcome: s.ev.Outcome, At: s.now}
		s.out.Change.Evidence = &s.evidence
		s.out.Durable = true
		s.leg().learn(&s.ev.Outcome)
	}}
	// unbooked: a movement that the journal has no room for, left to staff.
	unbooked = effect{"list in exposure, case unbooked", func(s *step) {
		s.p.Exposed = true
		s.open(MatterUnbooked)
	}}
	// naming records the reference of a movement that was first told without one.
	naming = effect{"record its reference if it had none", func(s *step) {
		if s.leg().Done && s.leg().Ref == "" && s.ev.Outcome.Ref != "" {
			note.do(s)
		}
	}}
	// settled: no try of the leg can execute any more.
	settled = effect{"leg closed", func(s *step) { s.leg().Closed, s.leg().Doubt = true, false }}
	// refused: the last try did not execute; the key itself may be tried again.
	refused   = effect{"no doubt", func(s *step) { s.leg().Doubt, s.leg().Acknowledged = false, false }}
	forget    = effect{"charge in doubt", func(s *step) { s.p.Legs[Charge].Doubt = true }}
	doubt     = effect{"leg in doubt", func(s *step) { s.leg().Doubt = true }}
	unleft    = effect{"nothing left", func(s *step) { s.leg().Unsent = true }}
	heldByKey = effect{"leg acknowledged", func(s *step) { s.leg().Acknowledged, s.leg().Doubt, s.leg().Queries = true, false, 0 }}
	wait      = effect{"look again later", func(s *step) { s.pause(s.p.active()) }}
	waitLong  = effect{"look again much later", func(s *step) { s.p.ActAt = s.now.Add(s.terms.RetryMost) }}
	tryAgain  = effect{"try again", func(s *step) {
		leg := s.p.active()
		l := &s.p.Legs[leg]
		if l.Unsent { // the recorded intent still stands
			l.Unsent, l.LastAt = false, s.now
			s.ask(leg, OpDo)
			return
		}
		s.attempt(leg)
	}}
	query  = effect{"query", func(s *step) { s.ask(s.p.active(), OpQuery) }}
	cancel = effect{"cancel the key", func(s *step) { s.ask(s.p.active(), OpCancel) }}

	bookCharge = effect{"post wallet to held", func(s *step) {
		amount := s.ev.Outcome.Amount
		if s.book(EffectPrincipal, ledger.Wallet(s.p.Payer), s.p.holding(), amount) {
			s.p.Charged, s.p.Held, s.p.ChargedAt = amount, amount.Minor, s.now
		}
	}}
	orphan     = effect{"as an orphan charge", func(s *step) { s.p.Orphan = true }}
	beginClock = effect{"set deliver-by and resolve-by", func(s *step) {
		s.p.DeliverBy = s.now.Add(s.terms.DeliverWithin)
		s.p.ResolveBy = s.now.Add(s.terms.ResolveWithin)
	}}
	attemptCredit = effect{"credit attempt", func(s *step) { s.attempt(Credit) }}
	failOver      = effect{"other provider", func(s *step) { s.p.Provider = s.terms.Alternate(s.p) }}
	attemptRefund = effect{"set refund-by, refund attempt", func(s *step) {
		s.p.RefundBy = s.now.Add(s.terms.RefundWithin)
		if s.p.ResolveBy == 0 {
			s.p.ResolveBy = s.now.Add(s.terms.ResolveWithin)
		}
		s.attempt(Refund)
	}}
	bookCredit = effect{"post held to delivered and fees", func(s *step) {
		currency := s.p.Charged.Currency
		if short := s.p.Total - s.p.Held; short > 0 { // the payer gave some back meanwhile
			s.p.Exposed = true
			s.open(MatterChargeReversed)
			if !s.book(EffectExcess, ledger.Exposure(s.p.Payer), s.p.holding(), money.Amount{Minor: short, Currency: currency}) {
				return
			}
			s.p.Held += short
		}
		if !s.book(EffectPrincipal, s.p.holding(), ledger.Delivered(s.p.Provider), money.Amount{Minor: s.p.price(), Currency: currency}) {
			return
		}
		if s.p.Fee > 0 {
			s.book(EffectFee, s.p.holding(), ledger.Fees(s.p.Channel), money.Amount{Minor: s.p.Fee, Currency: currency})
		}
		s.p.Held = 0
	}}
	unbookCredit = effect{"post delivered and fees back to held", func(s *step) {
		currency := s.p.Charged.Currency
		if !s.book(EffectUndone, ledger.Delivered(s.p.Provider), s.p.holding(), money.Amount{Minor: s.p.price(), Currency: currency}) {
			return
		}
		if s.p.Fee > 0 {
			s.book(EffectFeeUndone, ledger.Fees(s.p.Channel), s.p.holding(), money.Amount{Minor: s.p.Fee, Currency: currency})
		}
		s.p.Held = s.p.Total
		s.p.Legs[Credit].Closed = true
		s.p.ResolveBy = s.now.Add(s.terms.ResolveWithin)
	}}
	bookWrongCredit  = exposeCredit(EffectWrong)
	bookLateCredit   = exposeCredit(EffectLate)
	bookSecondCredit = exposeCredit(EffectSecond)
	recoverExposure  = effect{"post delivered to exposure", func(s *step) {
		s.book(EffectUndone, ledger.Delivered(s.p.Provider), ledger.Exposure(s.p.Provider), s.ev.Outcome.Amount)
	}}
	bookRefund = effect{"post held to wallet, any excess to exposure", func(s *step) {
		given, effect := s.ev.Outcome.Amount, EffectPrincipal
		if s.p.Posted.Has(s.ev.Leg, effect) {
			effect = EffectAgain
		}
		part := money.Amount{Minor: min(given.Minor, s.p.Held), Currency: given.Currency}
		if s.book(effect, s.p.holding(), ledger.Wallet(s.p.Payer), part) {
			s.p.Held -= part.Minor
		}
		if excess := given.Minor - part.Minor; excess > 0 {
			s.p.Exposed = true
			s.open(MatterWrongRefund)
			s.book(EffectExcess, ledger.Exposure(s.p.Payer), ledger.Wallet(s.p.Payer), money.Amount{Minor: excess, Currency: given.Currency})
		}
	}}
	unbookRefund = effect{"post wallet to held, any excess to exposure", func(s *step) {
		s.p.Legs[Refund].Closed = true
		back := s.ev.Outcome.Amount
		if s.p.Posted.Has(Refund, EffectWrong) {
			s.book(EffectUndone, ledger.Wallet(s.p.Payer), ledger.Exposure(s.p.Payer), back)
			return
		}
		given := min(s.p.Charged.Minor-s.p.Held, back.Minor)
		if given > 0 && s.book(EffectUndone, ledger.Wallet(s.p.Payer), s.p.holding(), money.Amount{Minor: given, Currency: back.Currency}) {
			s.p.Held += given
		}
		if excess := back.Minor - given; excess > 0 {
			s.book(EffectExcessUndone, ledger.Wallet(s.p.Payer), ledger.Exposure(s.p.Payer), money.Amount{Minor: excess, Currency: back.Currency})
		}
	}}
	// bookGivenBack: the payer undid the charge of money that is still held, or of
	// some that was given back before.
	bookGivenBack = effect{"post held to wallet, any excess to exposure", func(s *step) {
		given := s.ev.Outcome.Amount
		part := min(given.Minor, s.p.Held)
		if part > 0 && s.book(EffectUndone, s.p.holding(), ledger.Wallet(s.p.Payer), money.Amount{Minor: part, Currency: given.Currency}) {
			s.p.Held -= part
		}
		if excess := given.Minor - part; excess > 0 {
			s.p.Exposed = true
			s.book(EffectExcess, ledger.Exposure(s.p.Payer), ledger.Wallet(s.p.Payer), money.Amount{Minor: excess, Currency: given.Currency})
		}
	}}
	// undoAnother: a movement beside the first was taken back. Where it was booked,
	// the opposite is booked; where it was never heard of, it is remembered.
	undoAnother = effect{"post a second movement's opposite", func(s *step) {
		leg := s.ev.Leg
		second, booked := s.ev.Outcome.Ref == s.leg().Second, s.p.Posted.Has(leg, EffectSecond)
		if second && (!booked || s.p.Posted.Has(leg, EffectSecondUndone)) {
			return
		}
		note.do(s)
		switch {
		case s.p.Posted.Has(leg, EffectAgain), booked && !second: // it may be any that is undone
			unbooked.do(s)
			return
		case !booked:
			return
		}
		debit, credit := ledger.Orphans(s.p.Payer), ledger.Wallet(s.p.Payer)
		switch leg {
		case Credit:
			debit, credit = ledger.Delivered(s.p.Provider), ledger.Exposure(s.p.Provider)
		case Refund:
			debit, credit = ledger.Wallet(s.p.Payer), ledger.Exposure(s.p.Payer)
		case Reversal:
			debit, credit = ledger.Exposure(s.p.Provider), ledger.Delivered(s.p.Provider)
		case Charge:
		}
		s.book(EffectSecondUndone, debit, credit, s.ev.Outcome.Amount)
	}}
	// tellLate corrects "refunded", if what arrived is what was bought.
	tellLate = effect{"tell credited_late if as asked for", func(s *step) {
		if exact.holds(s) {
			s.tell(FactCreditedLate)
		}
	}}
	// exposeGift: the payer gave back money that was delivered or refunded already.
	exposeGift = effect{"post exposure to wallet", func(s *step) {
		effect := EffectUndone
		if s.ev.Leg == Refund {
			effect = EffectSecond
		}
		s.p.Exposed = true
		s.book(effect, ledger.Exposure(s.p.Payer), ledger.Wallet(s.p.Payer), s.ev.Outcome.Amount)
	}}
	// exposeWrongRefund: the payer gave the money to somebody else; it is still owed.
	exposeWrongRefund = effect{"post exposure to wallet (wrong)", func(s *step) {
		s.p.Exposed = true
		s.book(EffectWrong, ledger.Exposure(s.p.Payer), ledger.Wallet(s.p.Payer), s.ev.Outcome.Amount)
	}}
	bookSecondCharge = effect{"post wallet to orphans, list in exposure", func(s *step) {
		s.p.Exposed = true
		s.book(EffectSecond, ledger.Wallet(s.p.Payer), ledger.Orphans(s.p.Payer), s.ev.Outcome.Amount)
	}}
	expose   = effect{"list in exposure", func(s *step) { s.p.Exposed, s.out.Durable = true, true }}
	unproved = effect{"without proof", func(s *step) { s.p.Unproven, s.p.Legs[Credit].Doubt = true, true }}
	// doubtOngoing: tries of other legs that nobody answered may still execute.
	doubtOngoing = effect{"other legs in doubt", func(s *step) {
		for _, leg := range []Leg{Credit, Refund, Reversal} {
			if l := &s.p.Legs[leg]; l.Tries > 0 && !l.Done && !l.Closed {
				l.Doubt = true
			}
		}
	}}
	// closed ends a purchase, or begins the watch for late evidence.
	closed = effect{"close, watch what is in doubt", func(s *step) {
		if s.p.ClosedAt == 0 {
			s.p.ClosedAt = s.now
		}
		s.p.ActAt, s.p.WatchTill = 0, 0
		if leg := s.p.watched(); leg != 0 {
			s.p.WatchTill = s.now.Add(s.terms.WatchFor)
			s.p.Legs[leg].Queries = 0
			s.pause(leg)
		}
	}}
	stopWatch = effect{"stop watching", func(s *step) { s.p.WatchTill, s.p.ActAt, s.out.Durable = 0, 0, true }}
)

// exposeCredit books units that were given beside the purchase's own credit.
func exposeCredit(e Effect) effect {
	return effect{"post exposure to delivered (" + e.String() + ")", func(s *step) {
		s.p.Exposed = true
		s.book(e, ledger.Exposure(s.p.Provider), ledger.Delivered(s.p.Provider), s.ev.Outcome.Amount)
	}}
}
