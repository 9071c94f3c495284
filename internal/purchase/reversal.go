package purchase

import (
	"tenu/internal/ledger"
	"tenu/internal/money"
)

// A reversal takes the units of a credited purchase back from their recipient,
// because people asked for it, and the refund follows. While the provider is
// being asked the purchase stays credited, which it is, and is open again.

// reversing reports whether the units are being taken back.
func (p *Purchase) reversing() bool {
	return p.State == Credited && p.Legs[Reversal].tried() && !p.Opened.Has(MatterUnknownReversal)
}

// tried reports whether a try of the leg may be executed or may still be.
func (l *LegState) tried() bool { return l.Tries > 0 && !l.Done && !l.Closed }

// reverseBy is until when a reversal is tried.
func (t *Terms) reverseBy(p *Purchase) Instant {
	return p.Legs[Reversal].FirstAt.Add(t.ResolveWithin)
}

var (
	reversing    = condition{"being taken back", func(s *step) bool { return s.p.reversing() }}
	notReversing = condition{"nothing is being taken back", func(s *step) bool { return !s.p.reversing() }}
	tried        = condition{"tried", func(s *step) bool { return s.leg().tried() }}
	// keepsAll: what was credited is delivered, and the payer has nothing of it back.
	keepsAll = condition{"delivered, and nothing given back", func(s *step) bool {
		posted := s.p.Posted
		return posted.Has(Credit, EffectPrincipal) && !posted.Has(Credit, EffectUndone) && !givenBack.holds(s) &&
			!posted.Has(Charge, EffectUndone) && !posted.Has(Refund, EffectSecond) && !posted.Has(Reversal, EffectWrong)
	}}
	canReverse       = condition{"the provider can take back", func(s *step) bool { return s.capability(Reversal).Supported }}
	inTime           = condition{"in time", func(s *step) bool { return !sendOver.holds(s) }}
	reversalHopeless = condition{"long past the first try", func(s *step) bool {
		return s.now >= s.resort(s.terms.reverseBy(s.p))
	}}
	reversalGiven  = condition{"a reversal is on record", func(s *step) bool { return s.p.Legs[Reversal].Done }}
	reversalClosed = condition{"it will not be", func(s *step) bool { return s.p.Legs[Reversal].Closed }}
	reversalTried  = condition{"it was tried", func(s *step) bool { return s.p.Legs[Reversal].Tries > 0 }}
	takenBack      = condition{"taken back already", func(s *step) bool { return s.p.Posted.Has(Reversal, EffectPrincipal) }}
)

var (
	attemptReversal = effect{"reversal attempt", func(s *step) { s.attempt(Reversal) }}
	bookReversal    = effect{"post delivered and fees back to held", func(s *step) {
		currency := s.p.Charged.Currency
		if !s.book(EffectPrincipal, ledger.Delivered(s.p.Provider), s.p.holding(), money.Amount{Minor: s.p.price(), Currency: currency}) {
			return
		}
		if s.p.Fee > 0 {
			s.book(EffectFee, ledger.Fees(s.p.Channel), s.p.holding(), money.Amount{Minor: s.p.Fee, Currency: currency})
		}
		s.p.Held = s.p.Total
		s.p.ResolveBy = s.now.Add(s.terms.ResolveWithin)
	}}
	wrongReversal  = exposeReversal(EffectWrong)
	secondReversal = exposeReversal(EffectSecond)
	// giveUnits: the provider undid a reversal, so that the recipient has the units again.
	giveUnits = effect{"post exposure to delivered", func(s *step) {
		s.p.Exposed = true
		s.book(EffectUndone, ledger.Exposure(s.p.Provider), ledger.Delivered(s.p.Provider), s.ev.Outcome.Amount)
	}}
)

// exposeReversal books units that were taken back beside those that were to be: the
// recipient is owed them.
func exposeReversal(e Effect) effect {
	return effect{"post delivered to exposure (" + e.String() + ")", func(s *step) {
		s.p.Exposed = true
		s.book(e, ledger.Delivered(s.p.Provider), ledger.Exposure(s.p.Provider), s.ev.Outcome.Amount)
	}}
}

// reversal are the rows of the reversal's leg and, in the state credited, of the
// timer, which is set there for its sake only.
func reversal() []Row {
	pending := func(more condition) *condition { return when(both(reversing, more)) }
	return []Row{
		{Credited, Reversal, Asked, when(reversing), 0, do(hinder(HindranceReversing))},
		{Credited, Reversal, Asked, when(reversalGiven), 0, do(hinder(HindranceReversalWrong))},
		{Credited, Reversal, Asked, when(reversalClosed), 0, do(hinder(HindranceReversalRefused))},
		{Credited, Reversal, Asked, when(reversalTried), 0, do(hinder(HindranceReversalUnknown))},
		{Credited, Reversal, Asked, when(callOngoing), 0, do(hinder(HindranceCall))},
		{Credited, Reversal, Asked, when(both(keepsAll, canReverse)), 0, do(attemptReversal)},
		{Credited, Reversal, Asked, when(keepsAll), 0, do(hinder(HindranceIncapable))},
		{Credited, Reversal, Asked, nil, 0, do(hinder(HindranceGivenBack))},

		{Credited, Refund, Asked, when(reversing), 0, do(hinder(HindranceReversing))},
		{Credited, Refund, Asked, nil, 0, do(hinder(HindranceCredited))},

		{Credited, Reversal, Done, when(known), 0, do(naming)},
		{Credited, Reversal, Done, when(both(exact, keepsAll)), Refunding, do(note, bookReversal, notify(FactReversed), notify(FactReclaimed), attemptRefund)},
		{Credited, Reversal, Done, when(reversalGiven), 0, do(note, secondReversal, openCase(MatterWrongReversal))},
		{Credited, Reversal, Done, nil, 0, do(note, wrongReversal, openCase(MatterWrongReversal), closed)},

		{Credited, Reversal, Refused, pending(proven), 0, do(note, settled, closed)},
		{Credited, Reversal, Refused, pending(tombstone), 0, do(note, cancel)},
		{Credited, Reversal, Refused, when(reversing), 0, do(wait)},

		{Credited, Reversal, Pending, pending(firstAcknowledged), 0, do(note, heldByKey, wait)},
		{Credited, Reversal, Pending, when(reversing), 0, do(wait)},

		{Credited, Reversal, Unknown, pending(firstDoubt), 0, do(note, doubt, wait)},
		{Credited, Reversal, Unknown, when(reversing), 0, do(wait)},

		{Credited, Reversal, Unsent, pending(both(unsentNow, sendOver)), 0, do(note, settled, closed)},
		{Credited, Reversal, Unsent, when(reversing), 0, do(unleft, wait)},

		{Credited, Reversal, Absent, pending(both(proven, sendOver)), 0, do(note, settled, closed)},
		{Credited, Reversal, Absent, pending(proven), 0, do(note, refused, tryAgain)},
		{Credited, Reversal, Absent, pending(both(retriable, inTime)), 0, do(tryAgain)},
		{Credited, Reversal, Absent, pending(tombstone), 0, do(cancel)},
		{Credited, Reversal, Absent, when(reversing), 0, do(wait)},

		{Credited, Reversal, Cancelled, when(tried), 0, do(note, settled, closed)},
		{Credited, Reversal, Reversed, when(another), 0, do(undoAnother)},
		{Credited, Reversal, Reversed, when(reversalGiven), 0, do(note, giveUnits, openCase(MatterWrongReversal))},
		{Credited, Reversal, Reversed, when(tried), 0, do(note, settled, closed)},

		{Credited, 0, 0, when(notReversing), 0, nil},
		{Credited, 0, 0, when(callOngoing), 0, do(waitLong)},
		{Credited, 0, 0, when(both(unsent, sendOver)), 0, do(settled0(Reversal), closed)},
		{Credited, 0, 0, when(reversalHopeless), 0, do(openCase(MatterUnknownReversal), closed)},
		{Credited, 0, 0, when(unsent), 0, do(tryAgain)},
		{Credited, 0, 0, when(queryable), 0, do(query)},
		{Credited, 0, 0, when(both(retriable, inTime)), 0, do(tryAgain)},
		{Credited, 0, 0, when(tombstone), 0, do(cancel)},
		{Credited, 0, 0, nil, 0, do(wait)},
	}
}

// afterReversal are the rows of the reversal's leg when the purchase is no more
// credited: what is heard of it then is booked beside, and watched for.
func afterReversal() []Row {
	return []Row{
		{Refunding, Reversal, Done, when(known), 0, do(naming)},
		{Refunding, Reversal, Done, nil, 0, do(note, secondReversal, openCase(MatterWrongReversal))},
		{Refunding, Reversal, Reversed, when(another), 0, do(undoAnother)},
		{Refunding, Reversal, Reversed, when(reversalGiven), 0, do(note, giveUnits, openCase(MatterWrongReversal))},
		{Refunding, Reversal, Refused, when(both(tried, proven)), 0, do(note, settled)},
		{Refunding, Reversal, Absent, when(both(tried, proven)), 0, do(note, settled)},
		{Refunding, Reversal, Cancelled, when(tried), 0, do(note, settled)},

		{Refunded, Reversal, Done, when(known), 0, do(naming)},
		{Refunded, Reversal, Done, nil, 0, do(note, secondReversal, openCase(MatterWrongReversal), closed)},
		{Refunded, Reversal, Reversed, when(another), 0, do(undoAnother)},
		{Refunded, Reversal, Reversed, when(reversalGiven), 0, do(note, giveUnits, openCase(MatterWrongReversal))},
		{Refunded, Reversal, Refused, when(both(tried, proven)), 0, do(note, settled, closed)},
		{Refunded, Reversal, Refused, nil, 0, do(wait)},
		{Refunded, Reversal, Absent, when(both(tried, proven)), 0, do(note, settled, closed)},
		{Refunded, Reversal, Absent, nil, 0, do(wait)},
		{Refunded, Reversal, Cancelled, when(tried), 0, do(note, settled, closed)},
		{Refunded, Reversal, Pending, nil, 0, do(wait)},
		{Refunded, Reversal, Unknown, nil, 0, do(wait)},
		{Refunded, Reversal, Unsent, nil, 0, do(wait)},
	}
}
