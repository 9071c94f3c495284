package against

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/sandbox"
)

// group is what a partner did under one key of the deployment's.
type group struct {
	leg, number string
	amount      int64 // that moved, in all
	one         int64 // of its first movement
	done        int   // movements that moved and were not taken back
	at          purchase.Instant
	originals   []string // what it undoes
	refs        []string
}

// groups are a book's movements of a leg by their keys, in the order of the book.
func groups(book []sandbox.Movement, leg string) []*group {
	by := map[string]*group{}
	var list []*group
	for i := range book {
		m := &book[i]
		if m.Leg != leg {
			continue
		}
		key := cmp.Or(m.Key, m.Ref)
		x := by[key]
		if x == nil {
			x = &group{leg: leg, number: m.Number, one: m.Amount, at: m.At, refs: []string{key}} // some state the key as their reference
			by[key] = x
			list = append(list, x)
		}
		x.refs = append(x.refs, m.Ref)
		if m.Original != "" {
			x.originals = append(x.originals, m.Original)
		}
		if m.Status == sandbox.StatusDone && m.Moved > 0 { // a lie has not moved
			x.done++
			x.amount += m.Amount
		}
	}
	return list
}

// account is what the partners' books hold of one sale, by leg.
type account struct {
	done   map[string]int
	amount map[string]int64
}

// books are the partners' books, by sale.
type books struct {
	of      map[*sale]*account
	charges map[string]*sale // whose charge a wallet's reference is
}

func (b *books) add(s *sale, g *group) {
	a := b.of[s]
	if a == nil {
		a = &account{done: map[string]int{}, amount: map[string]int64{}}
		b.of[s] = a
	}
	a.done[g.leg] += g.done
	a.amount[g.leg] += g.amount
}

func (b *books) done(s *sale, leg string) int {
	if a := b.of[s]; a != nil {
		return a.done[leg]
	}
	return 0
}

// assign finds whose each group is: by the reference that the partner gave the deployment, by
// the charge that it gives back, or else by number and amount. What is nobody's is of others who
// use the deployment.
func (b *books) assign(sales []sale, all []*group, leg string) {
	refs, numbers := map[string]*sale{}, map[string][]*sale{}
	for i := range sales {
		s := &sales[i]
		if !s.answered {
			continue
		}
		for _, e := range s.bought.Timeline {
			if e.Leg == leg && e.Ref != "" {
				refs[e.Ref] = s
			}
		}
		number := bare(s.bought.Payer.Number)
		if leg == "credit" {
			number = bare(s.bought.Recipient.Number)
		}
		numbers[number] = append(numbers[number], s)
	}
	has := map[*sale]bool{}
	whose := func(g *group) *sale {
		for _, ref := range g.refs {
			if s := refs[ref]; s != nil {
				return s
			}
		}
		for _, ref := range g.originals {
			if s := b.charges[ref]; s != nil {
				return s
			}
		}
		return nil
	}
	var rest []*group
	for _, g := range all {
		s := whose(g)
		if s == nil {
			rest = append(rest, g)
			continue
		}
		has[s] = true
		b.take(s, g)
	}
	for _, g := range rest {
		if s := nearest(g, numbers[g.number], has, leg); s != nil {
			has[s] = true
			b.take(s, g)
		}
	}
}

func (b *books) take(s *sale, g *group) {
	b.add(s, g)
	if g.leg == "charge" {
		for _, ref := range g.refs {
			b.charges[ref] = s
		}
	}
}

// nearest is the last sale of a number, for the amount, that began before a group did: one that
// has nothing yet of this leg where there is one.
func nearest(g *group, sales []*sale, has map[*sale]bool, leg string) (found *sale) {
	for _, fresh := range []bool{true, false} {
		for _, s := range sales {
			want := s.bought.Total.Minor
			if leg == "credit" {
				want = s.bought.Units.Minor
			}
			begins := purchase.At(s.bought.CreatedAt).Add(-skew)
			if (has[s] && fresh) || want != g.one || begins > g.at {
				continue
			}
			if found == nil || s.bought.CreatedAt.After(found.bought.CreatedAt) {
				found = s
			}
		}
		if found != nil {
			break
		}
	}
	return found
}

// skew is how far the partners' clocks may be from the deployment's.
const skew = 2 * time.Second

// bare is a number without its plus sign, as books have it.
func bare(number string) string { return strings.TrimPrefix(number, "+") }

// shelves reads all books.
func (g *game) shelves(ctx context.Context) (b *books, messages []sandbox.Movement, err error) {
	b = &books{of: map[*sale]*account{}, charges: map[string]*sale{}}
	byLeg := map[string][]*group{}
	for _, c := range g.controls {
		book, err := c.movements(ctx)
		if err != nil {
			return nil, nil, err
		}
		if c.deployed.Role == centre {
			messages = append(messages, book...)
			continue
		}
		for _, leg := range legs {
			byLeg[leg] = append(byLeg[leg], groups(book, leg)...)
		}
	}
	for _, leg := range legs { // a refund is found by its charge
		b.assign(g.sales, byLeg[leg], leg)
	}
	return b, messages, nil
}

var legs = []string{"charge", "credit", "refund"}

// judge reads everything back and measures it.
func (g *game) judge(ctx context.Context) (*Result, error) {
	if err := g.all(ctx); err != nil {
		return nil, err
	}
	b, messages, err := g.shelves(ctx)
	if err != nil {
		return nil, err
	}
	r := newResult(g)
	m := measure{Result: r, g: g, books: b}
	for i := range g.sales {
		m.sale(&g.sales[i])
	}
	m.finish()
	var told []record
	if g.deployment.Status != "" {
		if told, err = records(ctx, g.Client, g.deployment.Status); err != nil {
			r.Notes = append(r.Notes, err.Error())
		} else {
			m.incidents(told)
		}
	}
	if r.PausedAfter == nil && m.first != 0 {
		r.PausedAfter = m.stopped()
	}
	m.minutes(messages)
	return r, nil
}

// measure sums up.
type measure struct {
	*Result

	g                *game
	books            *books
	first            purchase.Instant // failure that a purchase met
	refunds, settles []time.Duration
}

// wrong notes what the deployment did to one customer, of so many.
const maxFindings = 50

func (m *measure) wrong(s *sale, format string, args ...any) {
	if len(m.Findings) < maxFindings {
		m.Findings = append(m.Findings, cmp.Or(s.bought.Reference, s.once)+": "+fmt.Sprintf(format, args...))
	}
}

// sale measures one.
func (m *measure) sale(s *sale) {
	b := &s.bought
	switch {
	case s.refused != 0:
		m.DeclinedBeforeCharge++
		return
	case !s.answered:
		m.Unanswered++
		m.wrong(s, "the deployment never answered whether it was bought")
		return
	}
	api, own := &m.Totals.API, &m.Totals.Partners
	api.Purchases++
	own.Purchases++
	if b.ChargedAt != nil {
		api.Charged++
		api.AmountCharged += b.Total.Minor
	}
	switch b.State {
	case credited:
		api.Credited++
		api.AmountCredited += b.Units.Minor
	case refunded:
		api.Refunded++
		api.AmountRefunded += b.Total.Minor
	default:
		if !b.settled() {
			m.Unsettled++
			m.wrong(s, "it is %s, neither credited nor given back, when the drill ends", b.State)
		}
	}
	if a := m.books.of[s]; a != nil {
		own.Charged += a.done["charge"]
		own.Credited += a.done["credit"]
		own.Refunded += a.done["refund"]
		own.AmountCharged += a.amount["charge"]
		own.AmountCredited += a.amount["credit"]
		own.AmountRefunded += a.amount["refund"]
	}
	m.compare(s)
	m.course(s)
}

// compare sets what customers were told beside the partners' books.
func (m *measure) compare(s *sale) {
	b := &s.bought
	charges, credits, refunds := m.books.done(s, "charge"), m.books.done(s, "credit"), m.books.done(s, "refund")
	told := b.State == credited || slices.ContainsFunc(b.Timeline, func(e entry) bool { return e.Kind == "notice" && e.Fact == credited })
	if told && credits == 0 {
		m.ConfirmedWithoutCredit++
		m.wrong(s, "the customer was told that it is credited, and the provider's book has no credit")
	}
	if credits > 1 {
		m.DoubleCredits++
		m.wrong(s, "the provider's book has %d credits", credits)
	}
	if refunds > 1 {
		m.DoubleRefunds++
		m.wrong(s, "the payer's book has %d refunds", refunds)
	}
	if credits > 0 && refunds > 0 {
		m.Exposure += b.Units.Minor
	}
	if charges > 1 {
		m.wrong(s, "the payer's book has %d charges", charges)
	}
	if charges > 0 && credits == 0 && refunds == 0 && b.settled() {
		m.wrong(s, "it is %s, and by the books the customer paid and has neither units nor money", b.State)
	}
	for leg, done := range map[string]int{"charge": charges, "credit": credits, "refund": refunds} {
		if done == 0 && slices.ContainsFunc(b.Timeline, func(e entry) bool { return e.Kind == "evidence" && e.Leg == leg && e.Outcome == "done" }) {
			m.PartnerLies++
		}
	}
}

// course measures when what happened to a sale, by its timeline.
func (m *measure) course(s *sale) {
	b := &s.bought
	var asked time.Time // for the money back, which is in one transaction with the proof
	for _, e := range b.Timeline {
		failed := e.Outcome == "unknown" || e.Outcome == "unsent" || e.Outcome == "absent" || (e.Outcome == "refused" && e.Leg != "charge")
		switch {
		case e.Kind == "attempt" && e.Leg == "refund" && asked.IsZero():
			asked = e.At
		case e.Kind == "evidence" && e.Leg == "refund" && e.Outcome == "done" && !asked.IsZero():
			m.refunds = append(m.refunds, e.At.Sub(asked))
			asked = time.Time{}
		case e.Kind == "evidence" && failed:
			if at := purchase.At(e.At); m.first == 0 || at < m.first {
				m.first = at
			}
		}
	}
	if slices.ContainsFunc(b.Timeline, func(e entry) bool { return e.Kind == "case" }) {
		m.Cases++
	}
	if b.ChargedAt != nil && b.ClosedAt != nil && (b.State == credited || b.State == refunded) {
		m.settles = append(m.settles, b.ClosedAt.Sub(*b.ChargedAt))
	}
}

// after is the time between two instants in seconds, 0 where the second is told too coarsely.
func after(from, to purchase.Instant) *float64 {
	return seconds(max(to.Sub(from), 0))
}

// stopped is when the first sale after the first failure was refused, where the status page
// does not tell of a pause.
func (m *measure) stopped() (found *float64) {
	for i := range m.g.sales {
		if at := m.g.sales[i].refused; at >= m.first && at != 0 {
			if d := after(m.first, at); found == nil || *d < *found {
				found = d
			}
		}
	}
	return found
}

// incidents takes what the status page tells of what began since the drill did.
func (m *measure) incidents(told []record) {
	for i := range told {
		x := &told[i]
		seen := purchase.At(x.SeenAt)
		if seen < m.g.began.Add(-time.Second) { // the page has whole seconds
			if x.Status != "closed" {
				m.Notes = append(m.Notes, fmt.Sprintf("incident %s was open before the drill: it may hold what happened in it", x.ID))
			}
			continue
		}
		m.records = append(m.records, *x)
		m.Totals.Incidents = append(m.Totals.Incidents, Incident{x.ID, x.Status, x.Affected})
		if m.first == 0 {
			continue
		}
		if d := after(m.first, seen); m.DetectedAfter == nil || *d < *m.DetectedAfter {
			m.DetectedAfter = d
		}
		if x.PausedAt.IsZero() {
			continue
		}
		if d := after(m.first, purchase.At(x.PausedAt)); m.PausedAfter == nil || *d < *m.PausedAfter {
			m.PausedAfter = d
		}
	}
	untold := int64(0)
	for _, x := range m.Totals.Incidents {
		untold += x.Affected.Customers - x.Affected.Told
	}
	m.Untold = &untold
}
