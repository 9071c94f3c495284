package reconcile

import (
	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Told is one execution of a leg, or its undoing, as the partner told it by answers and callbacks.
type Told struct {
	Ref     string
	Amount  money.Amount
	Account purchase.MSISDN
	Product string
	At      purchase.Instant
	// Stated: a statement told it, and not an answer.
	Stated bool
}

// Movement is what tenu has on record of one leg of a purchase at one partner.
type Movement struct {
	Purchase purchase.ID
	Leg      purchase.Leg
	State    purchase.State
	Version  int64
	// What was asked for.
	Account purchase.MSISDN
	Amount  money.Amount
	Product string

	Tries       int
	First, Last purchase.Instant // of the tries
	Done        []Told           // executions that the partner told of
	Undone      []Told           // and took back since
	// Denied: the partner's last word is that it did not execute the leg, and never will.
	Denied bool
	Seen   purchase.Instant // of the last evidence
	// Elsewhere: the leg is another partner's by now, so that evidence of this one's would be taken for that one's.
	Elsewhere bool
}

// MovementsOf are the movements of a purchase at a partner, by leg.
func MovementsOf(r *purchase.Record, partner string) []Movement {
	return AppendMovements(nil, r, partner)
}

// AppendMovements appends the movements of a purchase at a partner, by leg. Of the record it reads attempts, evidence, and of the purchase
// what was asked for, state, version and partners.
func AppendMovements(to []Movement, r *purchase.Record, partner string) []Movement {
	var has [len(purchase.Purchase{}.Legs)]bool
	for i := range r.Attempts {
		has[r.Attempts[i].Leg] = has[r.Attempts[i].Leg] || r.Attempts[i].Partner == partner
	}
	for i := range r.Evidence {
		has[r.Evidence[i].Leg] = has[r.Evidence[i].Leg] || r.Evidence[i].Partner == partner
	}
	for _, leg := range purchase.Legs {
		if !has[leg] {
			continue
		}
		to = append(to, asked(r, leg))
		m := &to[len(to)-1]
		m.Elsewhere = r.Purchase.Partner(leg) != partner
		for i := range r.Attempts {
			a := &r.Attempts[i]
			if a.Partner != partner || a.Leg != leg {
				continue
			}
			if m.Tries == 0 {
				m.First = a.At
			}
			m.Tries++
			m.First, m.Last = min(m.First, a.At), max(m.Last, a.At)
		}
		for i := range r.Evidence {
			if e := &r.Evidence[i]; e.Partner == partner && e.Leg == leg {
				m.learn(e)
			}
		}
	}
	return to
}

// asked is a movement of which nothing is known but what would be asked for.
func asked(r *purchase.Record, leg purchase.Leg) Movement {
	p := &r.Purchase
	m := Movement{Purchase: p.ID, Leg: leg, State: p.State, Version: p.Version, Account: p.Recipient,
		Amount: money.Amount{Minor: p.Units, Currency: p.Currency}, Product: p.Product}
	switch leg {
	case purchase.Charge:
		m.Account, m.Amount.Minor, m.Product = p.PayerNumber, p.Total, ""
	case purchase.Refund:
		m.Account, m.Amount, m.Product = p.PayerNumber, p.Charged, ""
		if account := p.Legs[purchase.Charge].Account; account != 0 {
			m.Account = account
		}
	case purchase.Credit, purchase.Reversal:
	}
	return m
}

// learn is what evidence says of the leg.
func (m *Movement) learn(e *purchase.Evidence) {
	m.Seen = max(m.Seen, e.At)
	told := Told{Ref: e.Ref, Amount: e.Amount, Account: e.Account, Product: e.Product, At: e.At, Stated: e.Source == purchase.FromStatement}
	switch e.Kind {
	case purchase.Done:
		m.Denied = false
		for i := range m.Done {
			if d := &m.Done[i]; d.Ref == told.Ref || d.Ref == "" {
				if d.Ref == "" {
					d.Ref = told.Ref
				}
				return
			}
		}
		m.Done = append(m.Done, told)
	case purchase.Reversed:
		for i := range m.Undone {
			if m.Undone[i].Ref == told.Ref {
				return
			}
		}
		m.Undone = append(m.Undone, told)
	case purchase.Refused, purchase.Cancelled:
		m.Denied = len(m.Done) == 0
	case purchase.Absent, purchase.Pending, purchase.Unknown, purchase.Unsent, purchase.Asked:
	}
}

// undone reports whether an execution was taken back, as far as is on record.
func (m *Movement) undone(ref string) bool {
	for i := range m.Undone {
		if u := m.Undone[i].Ref; u == ref || u == "" || ref == "" {
			return true
		}
	}
	return false
}

// retracted reports whether a statement has shown already that an execution was not what it was told to be.
func (m *Movement) retracted(ref string) bool {
	for i := range m.Undone {
		if u := &m.Undone[i]; u.Stated && (u.Ref == ref || u.Ref == "" || ref == "") {
			return true
		}
	}
	return false
}

// span is between which times the movement was executed, as far as is on record: from the first try until
// the partner told of it, or, where it never did, until an instant.
func (m *Movement) span(until purchase.Instant) (from, till purchase.Instant) {
	from, till = m.First, until
	if len(m.Done) > 0 {
		till = m.Done[len(m.Done)-1].At
		if from == 0 {
			from = m.Done[0].At
		}
	}
	return from, till
}
