package purchase

import "slices"

// Row is one rule of the table: in state From, on an outcome Kind of Leg (both
// zero: when the due time has come), if When holds, go To (zero: stay) and Do.
type Row struct {
	From State
	Leg  Leg
	Kind Kind
	When *condition
	To   State
	Do   []effect
}

// On names the row's event: "credit done", "due".
func (r *Row) On() string { return Event{Leg: r.Leg, Outcome: Outcome{Kind: r.Kind}}.String() }

// Condition names the row's condition, "" when it always holds.
func (r *Row) Condition() string {
	if r.When == nil {
		return ""
	}
	return r.When.name
}

// Effects names what the row does, in order.
func (r *Row) Effects() []string {
	names := make([]string, len(r.Do))
	for i, e := range r.Do {
		names[i] = e.name
	}
	return names
}

// ignored is the row of an event that teaches nothing new in a state.
var ignored = Row{}

// match finds the first row that holds.
func (s *step) match() *Row {
	for _, row := range index[s.p.State][s.ev.Leg][s.ev.Outcome.Kind] {
		if row.When == nil || row.When.holds(s) {
			return row
		}
	}
	return &ignored
}

// Table is the whole state machine, in the order that rows are tried. It must
// not be changed.
var Table = buildTable()

// index finds the rows of a state and event.
var index = buildIndex()

func buildIndex() (x [len(stateNames)][len(legNames)][len(kindNames)][]*Row) {
	for i := range Table {
		row := &Table[i]
		x[row.From][row.Leg][row.Kind] = append(x[row.From][row.Leg][row.Kind], row)
	}
	return x
}

func buildTable() []Row {
	var table []Row
	for _, part := range [][]Row{charging(), crediting(), credited(), refunding(), refunded(), declined(), wishes()} {
		table = append(table, part...)
	}
	return complete(table)
}

// complete adds what becomes of movements that no row of a state expects: none is
// forgotten.
func complete(table []Row) []Row {
	has := func(state State, leg Leg, kind Kind, when *condition) bool {
		return slices.ContainsFunc(table, func(r Row) bool {
			return r.From == state && r.Leg == leg && r.Kind == kind &&
				(r.When == nil || when != nil && r.When.name == when.name)
		})
	}
	given := map[Leg]*condition{Charge: &chargeGiven, Credit: &creditGiven, Refund: &refundGiven, Reversal: &reversalGiven}
	for _, state := range States {
		for _, leg := range Legs {
			for _, row := range []Row{
				{state, leg, Done, &known, 0, do(naming)},
				{state, leg, Done, nil, 0, do(note, unbooked)},
				{state, leg, Reversed, &another, 0, do(undoAnother)},
				{state, leg, Reversed, given[leg], 0, do(note, unbooked)},
				{state, leg, Reversed, &unheard, 0, do(note)},
			} {
				heard := state == Crediting && leg == Charge && row.When == &unheard // the state rests on it
				if !heard && !has(state, leg, row.Kind, row.When) {
					table = append(table, row)
				}
			}
		}
	}
	return table
}

func when(c condition) *condition { return &c }

func charging() []Row {
	return []Row{
		{Charging, Charge, Done, when(exact), Crediting, do(note, bookCharge, beginClock, attemptCredit)},
		{Charging, Charge, Done, nil, Refunding, do(note, bookCharge, openCase(MatterWrongCharge), attemptRefund)},

		{Charging, Charge, Refused, when(proven), Declined, do(note, settled, notify(FactDeclined), closed)},
		{Charging, Charge, Refused, when(tombstone), 0, do(note, cancel)},
		{Charging, Charge, Refused, nil, 0, do(wait)},

		{Charging, Charge, Pending, when(firstAcknowledged), 0, do(note, heldByKey, wait)},
		{Charging, Charge, Pending, nil, 0, do(wait)},

		{Charging, Charge, Unknown, when(firstDoubt), 0, do(note, doubt, wait)},
		{Charging, Charge, Unknown, nil, 0, do(wait)},

		{Charging, Charge, Unsent, when(both(unsentNow, sendOver)), Declined, do(note, settled, notify(FactDeclined), closed)},
		{Charging, Charge, Unsent, nil, 0, do(unleft, wait)},

		{Charging, Charge, Absent, when(proven), Declined, do(note, settled, notify(FactDeclined), closed)},
		{Charging, Charge, Absent, when(both(retriable, wanted)), 0, do(tryAgain)},
		{Charging, Charge, Absent, when(tombstone), 0, do(cancel)},
		{Charging, Charge, Absent, nil, 0, do(wait)},

		{Charging, Charge, Cancelled, nil, Declined, do(note, settled, notify(FactDeclined), closed)},
		{Charging, Charge, Reversed, nil, Declined, do(note, settled, notify(FactDeclined), closed)},

		{Charging, 0, 0, when(unconfirmed), 0, do(notify(FactUnconfirmed))},
		{Charging, 0, 0, when(callOngoing), 0, do(waitLong)},
		{Charging, 0, 0, when(both(unsent, sendOver)), Declined, do(settled0(Charge), notify(FactDeclined), closed)},
		{Charging, 0, 0, when(chargeHopeless), Declined, do(openCase(MatterUnknownCharge), notify(FactUnconfirmed), forget, closed)},
		{Charging, 0, 0, when(unsent), 0, do(tryAgain)},
		{Charging, 0, 0, when(queryable), 0, do(query)},
		{Charging, 0, 0, when(both(retriable, wanted)), 0, do(tryAgain)},
		{Charging, 0, 0, when(tombstone), 0, do(cancel)},
		{Charging, 0, 0, nil, 0, do(wait)},
	}
}

func crediting() []Row {
	return []Row{
		{Crediting, Credit, Done, when(known), 0, nil},
		{Crediting, Credit, Done, when(exact), Credited, do(note, bookCredit, notify(FactCredited), notify(FactReceived), closed)},
		{Crediting, Credit, Done, nil, Refunding, do(note, bookWrongCredit, openCase(MatterWrongCredit), attemptRefund)},

		{Crediting, Credit, Refused, when(proven), Refunding, do(note, settled, attemptRefund)},
		{Crediting, Credit, Refused, when(tombstone), 0, do(note, cancel)},
		{Crediting, Credit, Refused, nil, 0, do(wait)},

		{Crediting, Credit, Pending, when(firstAcknowledged), 0, do(note, heldByKey, wait)},
		{Crediting, Credit, Pending, nil, 0, do(wait)},

		{Crediting, Credit, Unknown, when(firstDoubt), 0, do(note, doubt, wait)},
		{Crediting, Credit, Unknown, nil, 0, do(wait)},

		{Crediting, Credit, Unsent, when(both(unsentNow, sendOver)), Refunding, do(note, settled, attemptRefund)},
		{Crediting, Credit, Unsent, when(both(unsentNow, hasAlternate)), 0, do(failOver, attemptCredit)},
		{Crediting, Credit, Unsent, nil, 0, do(unleft, wait)},

		{Crediting, Credit, Absent, when(proven), Refunding, do(note, settled, attemptRefund)},
		{Crediting, Credit, Absent, when(both(retriable, wanted)), 0, do(tryAgain)},
		{Crediting, Credit, Absent, when(tombstone), 0, do(cancel)},
		{Crediting, Credit, Absent, nil, 0, do(wait)},

		{Crediting, Credit, Cancelled, nil, Refunding, do(note, settled, attemptRefund)},
		{Crediting, Credit, Reversed, nil, Refunding, do(note, settled, attemptRefund)},

		{Crediting, Charge, Done, when(known), 0, do(naming)},
		{Crediting, Charge, Done, nil, 0, do(note, bookSecondCharge, openCase(MatterSecondCharge))},
		{Crediting, Charge, Reversed, when(another), 0, do(undoAnother)},
		{Crediting, Charge, Reversed, when(both(chargeGiven, fullRefund)), Refunded, do(note, bookGivenBack, doubtOngoing, openCase(MatterChargeReversed), notifyCharged(FactRefunded), closed)},
		{Crediting, Charge, Reversed, when(both(chargeGiven, sameCurrency)), 0, do(note, bookGivenBack, expose, openCase(MatterChargeReversed))},
		{Crediting, Refund, Done, when(fullRefund), Refunded, do(note, bookRefund, doubtOngoing, openCase(MatterSecondRefund), notifyCharged(FactRefunded), closed)},

		{Crediting, 0, 0, when(both(unsent, sendOver)), Refunding, do(settled0(Credit), attemptRefund)},
		{Crediting, 0, 0, when(late), 0, do(notify(FactPending), openCase(MatterPendingCredit))},
		{Crediting, 0, 0, when(callOngoing), 0, do(waitLong)},
		{Crediting, 0, 0, when(lastResort), Refunding, do(unproved, expose, openCase(MatterUnproven), attemptRefund)},
		{Crediting, 0, 0, when(refundUnproven), Refunding, do(unproved, expose, openCase(MatterUnproven), attemptRefund)},
		{Crediting, 0, 0, when(unsent), 0, do(tryAgain)},
		{Crediting, 0, 0, when(queryable), 0, do(query)},
		{Crediting, 0, 0, when(both(retriable, wanted)), 0, do(tryAgain)},
		{Crediting, 0, 0, when(tombstone), 0, do(cancel)},
		{Crediting, 0, 0, nil, 0, do(wait)},
	}
}

func credited() []Row {
	return []Row{
		{Credited, Credit, Done, when(known), 0, do(naming)},
		{Credited, Credit, Done, nil, 0, do(note, bookSecondCredit, openCase(MatterSecondCredit))},
		{Credited, Credit, Reversed, when(another), 0, do(undoAnother)},
		{Credited, Credit, Reversed, when(both(creditGiven, givenBack)), 0, do(note, unbooked, openCase(MatterCreditReversed))},
		{Credited, Credit, Reversed, when(exact), Refunding, do(note, unbookCredit, doubtOngoing, notify(FactTakenBack), openCase(MatterCreditReversed), attemptRefund)},
		{Credited, Credit, Reversed, when(creditGiven), 0, do(note, unbooked)},
		{Credited, Charge, Done, when(known), 0, do(naming)},
		{Credited, Charge, Done, nil, 0, do(note, bookSecondCharge, openCase(MatterSecondCharge))},
		{Credited, Charge, Reversed, when(another), 0, do(undoAnother)},
		{Credited, Charge, Reversed, when(chargeGiven), 0, do(note, exposeGift, openCase(MatterChargeReversed))},
		{Credited, Refund, Done, when(known), 0, do(naming)},
		{Credited, Refund, Done, nil, 0, do(note, exposeGift, openCase(MatterSecondRefund))},
	}
}

func refunding() []Row {
	return []Row{
		{Refunding, Refund, Done, when(known), 0, do(naming)},
		{Refunding, Refund, Done, when(otherAccount), 0, do(note, exposeWrongRefund, openCase(MatterWrongRefund), waitLong)},
		{Refunding, Refund, Done, when(fullRefund), Refunded, do(note, bookRefund, notifyCharged(FactRefunded), closed)},
		{Refunding, Refund, Done, when(sameCurrency), 0, do(note, bookRefund, expose, openCase(MatterWrongRefund), waitLong)},
		{Refunding, Refund, Done, nil, 0, do(note, expose, openCase(MatterWrongRefund), waitLong)},

		{Refunding, Refund, Reversed, when(another), 0, do(undoAnother)},
		{Refunding, Refund, Reversed, when(both(refundGiven, sameCurrency)), 0, do(note, unbookRefund, expose, openCase(MatterRefundReversed), waitLong)},
		{Refunding, Refund, Reversed, when(refundGiven), 0, do(note, unbooked)},

		{Refunding, Refund, Refused, when(proven), 0, do(note, refused, openCase(MatterRefundRefused), waitLong)},
		{Refunding, Refund, Refused, nil, 0, do(wait)},

		{Refunding, Refund, Pending, when(firstAcknowledged), 0, do(note, heldByKey, wait)},
		{Refunding, Refund, Pending, nil, 0, do(wait)},

		{Refunding, Refund, Unknown, when(firstDoubt), 0, do(note, doubt, wait)},
		{Refunding, Refund, Unknown, nil, 0, do(wait)},
		{Refunding, Refund, Unsent, nil, 0, do(unleft, wait)},

		{Refunding, Refund, Absent, when(proven), 0, do(note, refused, tryAgain)},
		{Refunding, Refund, Absent, when(retriable), 0, do(tryAgain)},
		{Refunding, Refund, Absent, nil, 0, do(wait)},

		{Refunding, Credit, Done, when(known), 0, do(naming)},
		{Refunding, Credit, Done, when(creditGiven), 0, do(note, bookSecondCredit, openCase(MatterSecondCredit))},
		{Refunding, Credit, Done, nil, 0, do(note, bookLateCredit, openCase(MatterLateCredit))},
		{Refunding, Credit, Reversed, when(another), 0, do(undoAnother)},
		{Refunding, Credit, Reversed, when(both(creditGiven, takenBack)), 0, do(note, recoverExposure, expose, openCase(MatterWrongReversal))},
		{Refunding, Credit, Reversed, when(creditGiven), 0, do(note, recoverExposure)},

		{Refunding, Charge, Done, when(known), 0, do(naming)},
		{Refunding, Charge, Done, nil, 0, do(note, bookSecondCharge, openCase(MatterSecondCharge))},
		{Refunding, Charge, Reversed, when(another), 0, do(undoAnother)},
		{Refunding, Charge, Reversed, when(both(chargeGiven, fullRefund)), Refunded, do(note, bookGivenBack, doubtOngoing, openCase(MatterChargeReversed), notifyCharged(FactRefunded), closed)},
		{Refunding, Charge, Reversed, when(both(chargeGiven, sameCurrency)), 0, do(note, bookGivenBack, expose, openCase(MatterChargeReversed))},

		{Refunding, 0, 0, when(refundLate), 0, do(openCase(MatterLateRefund))},
		{Refunding, 0, 0, when(overdue), 0, do(expose, openCase(MatterOverdue))},
		{Refunding, 0, 0, when(callOngoing), 0, do(waitLong)},
		{Refunding, 0, 0, when(unsent), 0, do(tryAgain)},
		{Refunding, 0, 0, when(both(queryable, inDoubt)), 0, do(query)},
		{Refunding, 0, 0, when(retriable), 0, do(tryAgain)},
		{Refunding, 0, 0, nil, 0, do(wait)},
	}
}

func refunded() []Row {
	return []Row{
		{Refunded, Credit, Done, when(known), 0, do(naming)},
		{Refunded, Credit, Done, when(creditGiven), 0, do(note, bookSecondCredit, openCase(MatterSecondCredit), tellLate)},
		{Refunded, Credit, Done, nil, 0, do(note, bookLateCredit, openCase(MatterLateCredit), tellLate, closed)},
		{Refunded, Credit, Reversed, when(another), 0, do(undoAnother)},
		{Refunded, Credit, Reversed, when(both(creditGiven, takenBack)), 0, do(note, recoverExposure, expose, openCase(MatterWrongReversal))},
		{Refunded, Credit, Reversed, when(creditGiven), 0, do(note, recoverExposure)},
		{Refunded, Credit, Cancelled, nil, 0, do(note, settled, closed)},
		{Refunded, Credit, Absent, when(proven), 0, do(note, settled, closed)},
		{Refunded, Credit, Absent, nil, 0, do(wait)},
		{Refunded, Credit, Refused, when(proven), 0, do(note, settled, closed)},
		{Refunded, Credit, Refused, nil, 0, do(wait)},
		{Refunded, Credit, Pending, nil, 0, do(wait)},
		{Refunded, Credit, Unknown, nil, 0, do(wait)},
		{Refunded, Credit, Unsent, nil, 0, do(wait)},

		{Refunded, Refund, Done, when(known), 0, do(naming)},
		{Refunded, Refund, Done, nil, 0, do(note, exposeGift, openCase(MatterSecondRefund), closed)},
		{Refunded, Refund, Reversed, when(another), 0, do(undoAnother)},
		{Refunded, Refund, Reversed, when(both(refundGiven, sameCurrency)), Refunding, do(note, unbookRefund, expose, notify(FactRefundUndone), openCase(MatterRefundReversed), waitLong)},
		{Refunded, Refund, Reversed, when(refundGiven), 0, do(note, unbooked)},
		{Refunded, Refund, Absent, nil, 0, do(wait)},
		{Refunded, Refund, Refused, nil, 0, do(wait)},
		{Refunded, Refund, Pending, nil, 0, do(wait)},
		{Refunded, Refund, Unknown, nil, 0, do(wait)},
		{Refunded, Refund, Unsent, nil, 0, do(wait)},

		{Refunded, Charge, Done, when(known), 0, do(naming)},
		{Refunded, Charge, Done, nil, 0, do(note, bookSecondCharge, openCase(MatterSecondCharge))},
		{Refunded, Charge, Reversed, when(another), 0, do(undoAnother)},
		{Refunded, Charge, Reversed, when(chargeGiven), 0, do(note, exposeGift, openCase(MatterSecondRefund))},

		{Refunded, 0, 0, when(watchOver), 0, do(stopWatch)},
		{Refunded, 0, 0, when(callOngoing), 0, do(waitLong)},
		{Refunded, 0, 0, when(queryable), 0, do(query)},
		{Refunded, 0, 0, nil, 0, do(wait)},
	}
}

func declined() []Row {
	return []Row{
		{Declined, Charge, Done, when(known), 0, do(naming)},
		{Declined, Charge, Done, nil, Refunding, do(note, orphan, bookCharge, notifyCharged(FactChargedLate), openCase(MatterOrphanCharge), attemptRefund)},
		{Declined, Charge, Reversed, when(legClosed), 0, nil},
		{Declined, Charge, Reversed, nil, 0, do(note, settled, closed)},
		{Declined, Charge, Cancelled, nil, 0, do(note, settled, closed)},
		{Declined, Charge, Absent, when(proven), 0, do(note, settled, closed)},
		{Declined, Charge, Absent, nil, 0, do(wait)},
		{Declined, Charge, Refused, when(proven), 0, do(note, settled, closed)},
		{Declined, Charge, Refused, nil, 0, do(wait)},
		{Declined, Charge, Pending, nil, 0, do(wait)},
		{Declined, Charge, Unknown, nil, 0, do(wait)},
		{Declined, Charge, Unsent, nil, 0, do(wait)},

		{Declined, 0, 0, when(watchOver), 0, do(stopWatch)},
		{Declined, 0, 0, when(callOngoing), 0, do(waitLong)},
		{Declined, 0, 0, when(queryable), 0, do(query)},
		{Declined, 0, 0, nil, 0, do(wait)},
	}
}
