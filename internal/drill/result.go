package drill

import (
	"context"
	"fmt"
	"math"
	"time"

	"tenu/internal/incident"
	"tenu/internal/purchase"
	"tenu/internal/sim"
)

// Options say how a scenario is played.
type Options struct {
	Seed      uint64
	Purchases int // 0: as many as the scenario says
	// Base is the empty store of the installation; it must keep cases and messages, as sim.SQLite's does.
	Base sim.Backing
	// Pace is called before the scenario's clock moves on; nil: as fast as it goes.
	Pace func(ctx context.Context, to purchase.Instant) error
	// Each is told of each minute when it is over, as a line of the account; nil: nobody is.
	Each func(line string)
	// AsItWas plays the platform as it was beside it.
	AsItWas bool
}

// Figures are what a platform did for its customers on a day. Amounts are in minor units,
// times in seconds; nil: it was not measured, because it never happened.
type Figures struct {
	ConfirmedWithoutCredit int      `json:"confirmed_without_credit"` // told "credited" while the provider's books had no credit
	Unsettled              int      `json:"unsettled"`                // charged, neither credited nor given back when the drill ends
	DoubleCredits          int      `json:"double_credits"`
	DoubleRefunds          int      `json:"double_refunds"`
	Violations             int      `json:"violations"` // of invariants
	DetectedAfter          *float64 `json:"detected_after_s"`
	PausedAfter            *float64 `json:"paused_after_s"`
	RefundP99              *float64 `json:"refund_p99_s"`            // from proof of non-delivery to the evidence of the refund
	ToldP99                *float64 `json:"told_p99_s"`              // from the pause to the message at the SMS centre
	Untold                 int      `json:"untold"`                  // affected customers who were sent none
	OutsideIncidents       int      `json:"cases_outside_incidents"` // charged purchases with a case of the engine's that no incident affects
	WithoutCase            int      `json:"affected_without_case"`   // purchases that an incident affects without a case of the engine's
	CallbacksPromised      int      `json:"callbacks_promised"`
	CallbacksKept          int      `json:"callbacks_kept"`
	CallbacksBroken        int      `json:"callbacks_broken"`

	Purchases            int       `json:"purchases"` // that customers wanted to make
	Charged              int       `json:"charged"`
	Credited             int       `json:"credited"`
	Refunded             int       `json:"refunded"`
	DeclinedBeforeCharge int       `json:"declined_before_charge"` // refused by a pause: nothing was charged
	ChargedAmount        int64     `json:"charged_amount"`
	RefundedAmount       int64     `json:"refunded_amount"`
	Exposure             int64     `json:"exposure"`
	SettleP50            *float64  `json:"settle_p50_s"` // from the charge to the evidence of credit or refund
	SettleP95            *float64  `json:"settle_p95_s"`
	SettleP99            *float64  `json:"settle_p99_s"`
	Cases                int       `json:"cases"`
	CasesBeforeComplaint int       `json:"cases_before_complaint"` // opened by the system first, or without any complaint
	Complaints           int       `json:"complaints"`             // purchases about which somebody complained
	Calls                sim.Calls `json:"calls"`
}

// Totals are the same sums from whoever keeps books of his own.
type Totals struct {
	Ledger    sim.Totals        `json:"ledger"`    // as the database holds it
	Written   sim.Totals        `json:"written"`   // as the auditor saw each change
	Partners  sim.Totals        `json:"partners"`  // as the partners' books have it
	Incidents []incident.Totals `json:"incidents"` // as each incident's record has it, newest first; null: none is kept
	Agree     bool              `json:"agree"`
}

// Result is what became of a scenario.
type Result struct {
	Scenario string `json:"scenario"`
	Seed     uint64 `json:"seed"`
	Figures
	PartnerLies  int      `json:"partner_lies"` // legs of which a partner's books belie what it said
	FirstFailure string   `json:"first_failure_at,omitempty"`
	SettledAt    string   `json:"settled_at,omitempty"` // nobody was unsettled any more
	Totals       Totals   `json:"totals"`
	Violation    string   `json:"violation,omitempty"`
	TraceHash    string   `json:"trace_hash"`
	AsItWas      *Figures `json:"as_it_was,omitempty"`

	scenario *Scenario
	minutes  []sim.Minute
	wasThen  []sim.Minute // of the platform as it was
	seen     *sim.Sighting
	first    purchase.Instant
	settled  purchase.Instant
}

// Run plays a scenario. It returns an error only when it cannot be played; a violated
// invariant is part of the result.
func (s *Scenario) Run(ctx context.Context, o Options) (*Result, error) {
	n := o.Purchases
	if n == 0 {
		n = s.Purchases
	}
	if n < 1 || n > MaxPurchases {
		return nil, fmt.Errorf("drill: purchases must be between 1 and %d", MaxPurchases)
	}
	script := s.Script
	script.Seed, script.Arrivals, script.Pace = o.Seed, s.Arrivals(o.Seed, n), o.Pace
	if o.Each != nil {
		script.Each = func(m sim.Minute) { o.Each(Row(Cells(&m, s.Script.Location))) }
	}
	p, err := sim.Perform(ctx, &script, o.Base)
	if err != nil {
		return nil, fmt.Errorf("play %s: %w", s.Name, err)
	}
	r := &Result{Scenario: s.Name, Seed: o.Seed, scenario: s, minutes: p.Minutes, TraceHash: p.TraceHash, PartnerLies: p.Lies, seen: p.Sighting,
		first: p.FirstFault, settled: p.SettledAt}
	r.measure(p, n)
	if r.first != 0 {
		r.FirstFailure = s.stamp(r.first)
	}
	if r.settled != 0 {
		r.SettledAt = s.stamp(r.settled)
	}
	if o.AsItWas {
		horizon := s.Script.Ends
		if r.settled != 0 {
			horizon = max(horizon, r.settled.Sub(s.Script.Begins))
		}
		was := newPast(s, &script, horizon)
		was.run()
		r.AsItWas, r.wasThen = was.figures(n), was.minutes
	}
	return r, nil
}

// stamp is an instant as people of the place read it.
func (s *Scenario) stamp(at purchase.Instant) string {
	return at.Time().In(s.Script.Location).Format("2006-01-02T15:04:05.000Z07:00")
}

// measure takes the figures of a performance.
func (r *Result) measure(p *sim.Performance, purchases int) {
	r.Figures = Figures{ConfirmedWithoutCredit: p.Wrong, Unsettled: p.Unsettled, DoubleCredits: p.Doubles[0], DoubleRefunds: p.Doubles[1],
		RefundP99: Quantile(p.Refunds, 0.99), ToldP99: Quantile(p.Told, 0.99), Untold: p.Untold, OutsideIncidents: p.OnlyCase, WithoutCase: p.OnlyRecord,
		CallbacksPromised: p.Promised, CallbacksKept: p.Kept, CallbacksBroken: p.Broken,
		Purchases: purchases, Charged: p.Ledger.Charged, Credited: p.Ledger.Credited, Refunded: p.Ledger.Refunded, DeclinedBeforeCharge: p.Refused,
		ChargedAmount: p.Ledger.AmountCharged, RefundedAmount: p.Ledger.AmountRefunded, Exposure: p.Ledger.Exposure,
		SettleP50: Quantile(p.Settles, 0.5), SettleP95: Quantile(p.Settles, 0.95), SettleP99: Quantile(p.Settles, 0.99),
		Cases: p.Cases, CasesBeforeComplaint: p.CasesFirst, Complaints: p.Complaints, Calls: p.Calls}
	if p.Violation != nil {
		r.Violations, r.Violation = 1, p.Violation.Error() // the first one ends the drill
	}
	r.Totals = Totals{Ledger: p.Ledger, Written: p.Auditor, Partners: p.Books, Agree: p.Ledger == p.Auditor && p.Ledger.Same(p.Books) && (p.Sighting == nil || p.Sighting.Agrees())}
	s := p.Sighting
	if s == nil {
		return
	}
	r.Totals.Incidents = s.Incidents
	since := func(at purchase.Instant) *float64 {
		if at == 0 || p.FirstFault == 0 {
			return nil
		}
		return Seconds(at.Sub(p.FirstFault))
	}
	r.DetectedAfter, r.PausedAfter = since(s.SeenAt), since(s.PausedAt)
}

// Seconds is a time in seconds, to the millisecond.
func Seconds(d time.Duration) *float64 {
	s := math.Round(d.Seconds()*1000) / 1000
	return &s
}

// Quantile is the time that a share of sorted times does not exceed, nil of none.
func Quantile(sorted []time.Duration, share float64) *float64 {
	if len(sorted) == 0 {
		return nil
	}
	return Seconds(sorted[min(int(math.Ceil(share*float64(len(sorted))))-1, len(sorted)-1)])
}
