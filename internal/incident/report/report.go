// Package report writes what is left of an incident once it is over: what happened, when it
// was seen, whom it hit, who was told when, and how long until everybody had units or money.
// The same figures are on a page and in a PDF. It must know nothing of stores; figures that
// disagree with each other are refused.
package report

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Minute is what happened in one minute, of all purchases of the incident's series,
// affected or not; Told is of the incident's message only.
type Minute struct {
	At       purchase.Instant // its begin
	Sold     int64            // asked for and let through
	Paid     int64            // charged
	Credited int64
	Refunded int64
	Paused   int64 // refused before the charge because of a pause
	Told     int64 // customers who were sent the incident's message
}

// Ends are the upper ends that a report counts settlements by, as Data.Settled needs them.
func Ends() []time.Duration { return slices.Clone(ends) }

// Whom says who was told.
type Whom string

// Those who are told.
const (
	Customers   Whom = "customers"   // who are affected
	Subscribers Whom = "subscribers" // of the status page
	Agents      Whom = "agents"
	Line        Whom = "line" // who calls the care line
	Operations  Whom = "operations"
	Regulator   Whom = "regulator"
)

// Telling is when somebody was told.
type Telling struct {
	Whom        Whom
	First, Last purchase.Instant
	Count       int64
}

// Data is what a report is made of.
type Data struct {
	Brand    string
	At       purchase.Instant // when it is made
	Currency money.Currency
	Location *time.Location
	Incident incident.Incident
	Series   map[purchase.Language]string // what the series is called, "" for its own name
	Entries  []incident.Entry             // the whole timeline
	Staff    map[auth.StaffID]string      // names for the timeline; who is not in it is shown by number
	Totals   incident.Totals

	// Minutes are those from before the first failure until the last purchase was settled,
	// in order, each at most once; none where nothing was measured.
	Minutes []Minute
	// AffectedOnly: the minutes are of the affected purchases, because there were too many others.
	AffectedOnly bool
	Settled      incident.Settlements // by Ends; zero where it is not known how long each purchase took
	Told         []Telling
	// Party is who is responsible, in words; "" for the incident's own.
	Party map[purchase.Language]string
}

// The bounds of a report: the time that its minutes span, and its lines of the timeline.
const (
	maxSpan    = 31 * 24 * time.Hour
	maxEntries = 2000
)

// DisagreeError is returned for figures that cannot all be true.
type DisagreeError struct{ Problems []string }

// Error lists what disagrees.
func (e *DisagreeError) Error() string {
	return "report: the figures disagree: " + strings.Join(e.Problems, "; ")
}

// Check returns *DisagreeError when figures disagree with each other.
func (d *Data) Check() error {
	if d.Location == nil || d.Currency == "" || d.At == 0 {
		return errors.New("report: a time, a location and a currency are needed")
	}
	var c checker
	c.totals(&d.Totals)
	c.times(&d.Incident)
	c.settled(d)
	c.minutes(d)
	for _, t := range d.Told {
		c.want(t.Count >= 0 && t.First <= t.Last, "%s were told %d times, first %s and last %s", t.Whom, t.Count, t.First, t.Last)
		if t.Whom == Customers {
			c.same("customers told, by the list of who was told", t.Count, "by the totals", d.Totals.Told)
		}
	}
	if len(c.problems) > 0 {
		return &DisagreeError{c.problems}
	}
	return nil
}

type checker struct{ problems []string }

func (c *checker) want(holds bool, format string, values ...any) {
	if !holds {
		c.problems = append(c.problems, fmt.Sprintf(format, values...))
	}
}

func (c *checker) same(what string, n int64, other string, m int64) {
	c.want(n == m, "%s %d, %s %d", what, n, other, m)
}

func (c *checker) atMost(what string, n int64, other string, m int64) {
	c.want(n <= m, "%s %d, %s only %d", what, n, other, m)
}

// sum adds up, or notes that the sum has no 64 bits.
func (c *checker) sum(parts ...int64) (sum int64) {
	for _, p := range parts {
		c.want(p >= 0, "%d is less than nothing", p)
		var err error
		if sum, err = money.Add(sum, p); err != nil {
			c.want(false, "%v", err)
			return math.MinInt64
		}
	}
	return sum
}

func (c *checker) totals(t *incident.Totals) {
	c.same("credited, refunded and pending are", c.sum(t.Credited, t.Refunded, t.Pending), "purchases", t.Purchases)
	c.same("their amounts are", c.sum(t.AmountCredited, t.AmountGiven, t.AmountPending), "charged", t.Amount)
	c.sum(t.Customers, t.Told, t.Cases, t.CasesOpen, t.CallbacksPromised)
	c.atMost("customers", t.Customers, "purchases", t.Purchases)
	c.want((t.Customers == 0) == (t.Purchases == 0), "%d customers and %d purchases", t.Customers, t.Purchases)
	c.want(t.AmountPending == 0 || t.Pending > 0, "an amount of %d is pending, and no purchase", t.AmountPending)
	c.want(t.AmountGiven == 0 || t.Refunded > 0, "an amount of %d was given back, and no purchase", t.AmountGiven)
	c.want(t.AmountCredited == 0 || t.Credited > 0, "an amount of %d was credited, and no purchase", t.AmountCredited)
	c.atMost("customers told", t.Told, "affected", t.Customers)
	c.atMost("open cases", t.CasesOpen, "cases", t.Cases)
	c.atMost("callbacks kept and broken", c.sum(t.CallbacksKept, t.CallbacksLost), "promised", t.CallbacksPromised)
	c.want(0 <= t.SettledP50 && t.SettledP50 <= t.SettledP95 && t.SettledP95 <= t.SettledP99 && t.SettledP99 <= t.SettledMax,
		"times to settle of 50 %%, 95 %%, 99 %% and all are %s, %s, %s and %s", t.SettledP50, t.SettledP95, t.SettledP99, t.SettledMax)
}

func (c *checker) times(in *incident.Incident) {
	c.want(in.Since > 0 && in.SeenAt >= in.Since, "first failure %s, seen %s", in.Since, in.SeenAt)
	for _, later := range []struct {
		what string
		at   purchase.Instant
	}{{"recovered", in.RecoveredAt}, {"resolved", in.ResolvedAt}, {"closed", in.ClosedAt}} {
		c.want(later.at == 0 || later.at >= in.Since, "%s at %s, before the first failure at %s", later.what, later.at, in.Since)
	}
	c.want(in.ResolvedAt == 0 || in.ResolvedAt >= in.RecoveredAt, "resolved at %s, before it recovered at %s", in.ResolvedAt, in.RecoveredAt)
	c.want(in.ClosedAt == 0 || in.ClosedAt >= in.ResolvedAt, "closed at %s, before it was resolved at %s", in.ClosedAt, in.ResolvedAt)
	c.want(in.Status != incident.Closed || in.ClosedAt != 0, "closed, at no time")
}

// settled compares the single settlements with their totals.
func (c *checker) settled(d *Data) {
	t := &d.Totals
	c.want(d.Incident.Status != incident.Closed || t.Pending <= t.Exposed, "closed, with %d purchases pending and %d in exposure", t.Pending, t.Exposed)
	if len(d.Settled.Ends) == 0 {
		return
	}
	if len(d.Settled.Ends) != len(ends)+1 {
		c.want(false, "settlements are counted by %d ends, not by %d", len(d.Settled.Ends), len(ends)+1)
		return
	}
	var credited, given int64
	within := make([]int64, len(d.Settled.Ends)) // so many, or fewer, took no longer
	for i, e := range d.Settled.Ends {
		c.want(i == len(ends) && e.Till == 0 || i < len(ends) && e.Till == ends[i], "settlements end at %s, not as a report counts them", e.Till)
		credited, given = c.sum(credited, e.Credited), c.sum(given, e.Given)
		within[i] = credited + given
	}
	c.same("single refunds", given, "by the totals", t.Refunded)
	c.same("single credits", credited, "by the totals", t.Credited)
	for _, took := range []struct {
		of    *incident.Took
		count int64
	}{{&d.Settled.Credited, t.Credited}, {&d.Settled.Given, t.Refunded}} {
		c.same("settlements that are timed", took.of.Count, "of an outcome", took.count)
		c.want(0 <= took.of.P50 && took.of.P50 <= took.of.P95 && took.of.P95 <= took.of.P99 && took.of.P99 <= took.of.Max,
			"times of an outcome are %s, %s, %s and %s", took.of.P50, took.of.P95, took.of.P99, took.of.Max)
	}
	all := incident.Took{Count: t.Credited + t.Refunded, P50: t.SettledP50, P95: t.SettledP95, P99: t.SettledP99, Max: t.SettledMax}
	c.want(all == d.Settled.All, "settlements took %+v, by the totals %+v", d.Settled.All, all)
	c.percentiles(d, within)
}

// percentiles compares the totals' percentiles with the counts: each lies where its rank does.
func (c *checker) percentiles(d *Data, within []int64) {
	t := &d.Totals
	count := within[len(within)-1]
	if count == 0 {
		return
	}
	for _, p := range []struct {
		of    int64
		value time.Duration
	}{{50, t.SettledP50}, {95, t.SettledP95}, {99, t.SettledP99}, {100, t.SettledMax}} {
		rank := (p.of*count + 99) / 100
		at := slices.IndexFunc(within, func(n int64) bool { return n >= rank })
		low, high := time.Duration(-1), time.Duration(math.MaxInt64)
		if at > 0 {
			low = ends[at-1]
		}
		if at < len(ends) {
			high = ends[at]
		}
		c.want(low < p.value && p.value <= high, "%d %% were settled within %s by the totals, and within %s to %s one by one", p.of, p.value, low, high)
	}
}

// minutes compares the minutes with the totals: those of the series are at least those affected.
func (c *checker) minutes(d *Data) {
	if len(d.Minutes) == 0 {
		return
	}
	var sum Minute
	for i, m := range d.Minutes {
		c.want(i == 0 || m.At > d.Minutes[i-1].At, "minute %d, of %s, is not after the one before", i, m.At)
		sum.Paid, sum.Credited = c.sum(sum.Paid, m.Paid), c.sum(sum.Credited, m.Credited)
		sum.Refunded, sum.Told = c.sum(sum.Refunded, m.Refunded), c.sum(sum.Told, m.Told)
		c.sum(m.Sold, m.Paused)
		if len(c.problems) > 20 {
			return
		}
	}
	span := d.Minutes[len(d.Minutes)-1].At.Sub(d.Minutes[0].At)
	c.want(span <= maxSpan, "minutes over %s are more than a report holds", span)
	c.want(d.Minutes[0].At <= d.Incident.Since, "the first minute is %s, after the first failure at %s", d.Minutes[0].At, d.Incident.Since)
	t := &d.Totals
	c.atMost("affected purchases", t.Purchases, "paid by the minutes", sum.Paid)
	c.atMost("affected purchases credited", t.Credited, "credited by the minutes", sum.Credited)
	c.atMost("affected purchases refunded", t.Refunded, "refunded by the minutes", sum.Refunded)
	c.same("customers told by the minutes", sum.Told, "by the totals", t.Told)
}
