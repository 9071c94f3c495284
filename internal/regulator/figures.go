// Package regulator sums up what the operator owes to the public: what was bought, what failed and who is responsible,
// what is held and for how long, how fast it was settled, what customers complained of, and which promises were kept.
// Each figure has one definition (Definitions). Days are summed up once and never changed; what is found out later is a
// dated correction; a month's report is published once. It knows nothing of SQL, HTTP, or how a purchase is decided, and
// nothing that it tells names a customer.
package regulator

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Span is a time, without its end.
type Span struct{ From, Till purchase.Instant }

// Holds reports whether an instant is in it.
func (s Span) Holds(at purchase.Instant) bool { return s.From <= at && at < s.Till }

// Money is amounts in minor units by currency.
type Money map[money.Currency]int64

func (m *Money) add(more Money) {
	if *m == nil {
		*m = Money{}
	}
	for c, n := range more {
		(*m)[c] += n
	}
}

// Sum is how many, and how much in all.
type Sum struct {
	Count  int64 `json:"count"`
	Amount Money `json:"amount"`
}

func (s *Sum) add(more Sum) {
	s.Count += more.Count
	s.Amount.add(more.Amount)
}

// Figures are what happened in a time, and how it stood at its end. What happened is counted in the time of its
// evidence, so that a time that is over does not change any more. Gifts of the house are left out.
type Figures struct {
	Made         Sum       `json:"made"`          // purchases, and what they cost
	Charged      Sum       `json:"charged"`       // charges that payers evidenced
	Credited     Sum       `json:"credited"`      // credits that providers evidenced
	Refunded     Sum       `json:"refunded"`      // movements of money back to customers
	TakenBack    Sum       `json:"taken_back"`    // credits that were undone later
	RefundUndone Sum       `json:"refund_undone"` // refunds that payers undid later
	Failures     []Failure `json:"failures"`      // by leg, code, party

	ToCredit    Times `json:"to_credit"`     // from the charge's evidence to the credit's
	ToRefund    Times `json:"to_refund"`     // from the proof that it failed to the refund's evidence
	FromCharge  Times `json:"from_charge"`   // from the charge's evidence to the refund's
	Held        Sum   `json:"held"`          // at the end: charged, and neither delivered nor given back
	HeldFor     Times `json:"held_for"`      // at the end: since the charge
	Exposed     Sum   `json:"exposed"`       // movements into exposure
	Recovered   Sum   `json:"recovered"`     // movements out of it
	Exposure    []Due `json:"exposure"`      // at the end, by partner
	Opened      ByKey `json:"opened"`        // cases, by code
	Complaints  ByKey `json:"complaints"`    // cases that a customer spoke of, by code
	Resolved    Times `json:"resolved"`      // complaints, from the complaint to the settlement
	Promised    int64 `json:"promised"`      // callbacks
	Kept        int64 `json:"kept"`          //
	Broken      int64 `json:"broken"`        //
	Cancelled   int64 `json:"cancelled"`     // by the customer
	Waited      Times `json:"waited"`        // from the promise to the conversation
	WaitedInAll int64 `json:"waited_in_all"` // microseconds
	Calls       Calls `json:"calls"`         // to the line

	Incidents []Incident `json:"incidents"` // that lasted in the time
	Pauses    []Pause    `json:"pauses"`    // likewise
}

// Calls are calls to the line that ended in a time, or were refused in its hours.
type Calls struct {
	Answered    ByKey `json:"answered"` // by how they ended
	Refused     int64 `json:"refused"`
	Prompt      int64 `json:"prompt"`        // answered within 20 s; for those who wished for an agent, by the agent
	AnswerInAll int64 `json:"answer_in_all"` // microseconds, from the offer to the answer
	Agent       Times `json:"agent"`         // from the wish for an agent to the agent
	AgentInAll  int64 `json:"agent_in_all"`  // microseconds
}

func (c *Calls) add(more *Calls) {
	c.Answered.add(more.Answered)
	c.Agent.add(more.Agent)
	c.Refused += more.Refused
	c.Prompt += more.Prompt
	c.AnswerInAll += more.AnswerInAll
	c.AgentInAll += more.AgentInAll
}

// Offered are those that were answered or refused.
func (c *Calls) Offered() int64 { return c.Answered.Count() + c.Refused }

// ByKey is counts by a code.
type ByKey map[string]int64

func (b *ByKey) add(more ByKey) {
	if *b == nil {
		*b = ByKey{}
	}
	for k, n := range more {
		(*b)[k] += n
	}
}

// Count is the sum of all.
func (b ByKey) Count() (n int64) {
	for _, of := range b {
		n += of
	}
	return n
}

// Due is what is in exposure to one partner.
type Due struct {
	Partner string `json:"partner"`
	Sum
}

// Incident is how long an incident lasted in a time, and whom it newly affected.
type Incident struct {
	ID        int64            `json:"id"`
	Series    string           `json:"series"`
	Seen      purchase.Instant `json:"seen"`
	Lasted    int64            `json:"lasted"` // microseconds in the time, from when it was seen until sales were wholly open again
	Customers int64            `json:"customers"`
	Purchases int64            `json:"purchases"`
}

// Pause is how long sales of a series were paused in a time, whole or in part.
type Pause struct {
	ID     int64            `json:"id"`
	Series string           `json:"series"`
	At     purchase.Instant `json:"at"`
	Lasted int64            `json:"lasted"` // microseconds in the time
	ByHand bool             `json:"by_hand"`
}

// Add makes of the figures of a time, and those of the time that begins where it ends, those of both together.
func (f *Figures) Add(next *Figures) {
	f.Made.add(next.Made)
	f.Charged.add(next.Charged)
	f.Credited.add(next.Credited)
	f.Refunded.add(next.Refunded)
	f.TakenBack.add(next.TakenBack)
	f.RefundUndone.add(next.RefundUndone)
	f.Exposed.add(next.Exposed)
	f.Recovered.add(next.Recovered)
	f.ToCredit.add(next.ToCredit)
	f.ToRefund.add(next.ToRefund)
	f.FromCharge.add(next.FromCharge)
	f.Resolved.add(next.Resolved)
	f.Waited.add(next.Waited)
	f.Opened.add(next.Opened)
	f.Complaints.add(next.Complaints)
	f.Promised += next.Promised
	f.Kept += next.Kept
	f.Broken += next.Broken
	f.Cancelled += next.Cancelled
	f.WaitedInAll += next.WaitedInAll
	f.Calls.add(&next.Calls)
	f.Failures = merged(f.Failures, next.Failures, compareFailures, func(into *Failure, more Failure) { into.add(more.Sum) })
	f.Incidents = merged(f.Incidents, next.Incidents, func(a, b Incident) int { return cmp.Compare(a.ID, b.ID) }, func(into *Incident, more Incident) {
		into.Lasted += more.Lasted
		into.Customers += more.Customers
		into.Purchases += more.Purchases
	})
	f.Pauses = merged(f.Pauses, next.Pauses, func(a, b Pause) int { return cmp.Compare(a.ID, b.ID) }, func(into *Pause, more Pause) {
		into.Lasted += more.Lasted
	})
	f.stand(next)
}

// stand takes over how it stands at the end.
func (f *Figures) stand(next *Figures) {
	f.Held, f.HeldFor = Sum{}, nil
	f.Held.add(next.Held)
	f.HeldFor.add(next.HeldFor)
	f.Exposure = make([]Due, len(next.Exposure))
	for i, d := range next.Exposure {
		f.Exposure[i].Partner = d.Partner
		f.Exposure[i].add(d.Sum)
	}
}

// Whole is the figures with nothing that is nil, as they are kept and compared.
func (f *Figures) Whole() *Figures {
	var all Figures
	all.Add(f)
	return &all
}

// merged is two lists in one order, where what is the same is one.
func merged[T any](a, b []T, compare func(a, b T) int, join func(into *T, more T)) []T {
	all := make([]T, 0, len(a)+len(b))
	sorted := slices.Concat(a, b)
	slices.SortStableFunc(sorted, compare)
	for _, x := range sorted {
		if n := len(all); n > 0 && compare(all[n-1], x) == 0 {
			join(&all[n-1], x)
			continue
		}
		all = append(all, x)
	}
	return all
}

// Failure is purchases that failed in one way.
type Failure struct {
	Leg   string `json:"leg"`   // that failed: "charge", "credit"
	Code  string `json:"code"`  // one of Codes
	Party string `json:"party"` // responsible: "customer", "payer:NAME", "provider:NAME", "tenu"
	Sum
}

func compareFailures(a, b Failure) int {
	return cmp.Or(cmp.Compare(a.Leg, b.Leg), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Party, b.Party))
}

// Item is money of one purchase that is held, or in exposure.
type Item struct {
	Purchase purchase.ID
	Account  string // Held, or "exposure/" and a partner
	Currency money.Currency
	Amount   int64 // 0: it is no more
	Since    purchase.Instant
}

// Held is the account of items that are held, orphan charges among them.
const Held = "held"

// Key is what an item is of.
type Key struct {
	Purchase purchase.ID
	Account  string
	Currency money.Currency
}

// Key is the item's.
func (i *Item) Key() Key { return Key{i.Purchase, i.Account, i.Currency} }

// Items is what is held and in exposure at an instant.
type Items map[Key]Item

// apply takes what changed.
func (all Items) apply(changed []Item) {
	for _, i := range changed {
		if i.Amount == 0 {
			delete(all, i.Key())
			continue
		}
		all[i.Key()] = i
	}
}

// Sorted are the items, oldest first.
func (all Items) Sorted() []Item {
	return slices.SortedFunc(maps.Values(all), func(a, b Item) int {
		return cmp.Or(cmp.Compare(a.Since, b.Since), cmp.Compare(a.Purchase, b.Purchase), cmp.Compare(a.Account, b.Account), cmp.Compare(a.Currency, b.Currency))
	})
}

// sumUp writes how it stands at an instant into figures.
func (all Items) sumUp(f *Figures, at purchase.Instant) {
	f.Held, f.HeldFor = Sum{Amount: Money{}}, Times{}
	due := map[string]*Sum{}
	for _, i := range all {
		if i.Account == Held {
			f.Held.add(Sum{1, Money{i.Currency: i.Amount}})
			f.HeldFor.Note(at.Sub(i.Since))
			continue
		}
		partner := i.Account[len(exposurePrefix):]
		if due[partner] == nil {
			due[partner] = &Sum{}
		}
		due[partner].add(Sum{1, Money{i.Currency: i.Amount}})
	}
	f.Exposure = []Due{}
	for _, partner := range slices.Sorted(maps.Keys(due)) {
		f.Exposure = append(f.Exposure, Due{partner, *due[partner]})
	}
}

// exposurePrefix is what accounts of exposure begin with.
const exposurePrefix = "exposure/"

// Lasted is how much of a time something lasted that went on from one instant to another, 0 for still.
func (s Span) Lasted(from, till purchase.Instant) time.Duration {
	if till == 0 || till > s.Till {
		till = s.Till
	}
	return max(till.Sub(max(from, s.From)), 0)
}
