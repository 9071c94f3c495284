package against

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"tenu/internal/drill"
	"tenu/internal/purchase"
	"tenu/internal/sandbox"
	"tenu/internal/sim"
)

// Affected is whom an incident affects, as the status page has it. Amounts are in minor units.
type Affected struct {
	Customers      int64 `json:"customers"`
	Told           int64 `json:"told"`
	Purchases      int64 `json:"purchases"`
	Credited       int64 `json:"credited"`
	Refunded       int64 `json:"refunded"`
	Pending        int64 `json:"pending"`
	Amount         int64 `json:"amount"`
	AmountCredited int64 `json:"amount_credited"`
	AmountRefunded int64 `json:"amount_refunded"`
	AmountPending  int64 `json:"amount_pending"`
}

// Incident is one that the deployment recorded during the drill.
type Incident struct {
	ID       string   `json:"id"`
	Status   string   `json:"status"`
	Affected Affected `json:"affected"`
}

// Totals are the same sums from whoever keeps books of his own and can be asked from outside.
type Totals struct {
	Ledger    *sim.Totals `json:"ledger"`  // null: nobody outside reads it
	Written   *sim.Totals `json:"written"` // likewise
	API       sim.Totals  `json:"api"`     // as the deployment says it of each purchase
	Partners  sim.Totals  `json:"partners"`
	Incidents []Incident  `json:"incidents"` // as the status page has them; null: none
	Agree     bool        `json:"agree"`
}

// Played says what was played, and how.
type Played struct {
	URL     string   `json:"url"`
	Version string   `json:"version"`
	Speed   float64  `json:"speed"`
	LeftOut []string `json:"left_out"`
}

// Result is what became of a scenario on a deployment. Its keys are those of a private drill;
// what nobody outside can see is null, and named by Unobserved. Times are in seconds of the
// deployment's clock, which is real whatever the speed.
type Result struct {
	Scenario               string     `json:"scenario"`
	Seed                   uint64     `json:"seed"`
	Against                Played     `json:"against"`
	ConfirmedWithoutCredit int        `json:"confirmed_without_credit"`
	Unsettled              int        `json:"unsettled"`
	DoubleCredits          int        `json:"double_credits"`
	DoubleRefunds          int        `json:"double_refunds"`
	Violations             *int       `json:"violations"`
	DetectedAfter          *float64   `json:"detected_after_s"`
	PausedAfter            *float64   `json:"paused_after_s"`
	RefundP99              *float64   `json:"refund_p99_s"`
	ToldP99                *float64   `json:"told_p99_s"`
	Untold                 *int64     `json:"untold"`
	OutsideIncidents       *int       `json:"cases_outside_incidents"`
	WithoutCase            *int       `json:"affected_without_case"`
	CallbacksPromised      *int       `json:"callbacks_promised"`
	CallbacksKept          *int       `json:"callbacks_kept"`
	CallbacksBroken        *int       `json:"callbacks_broken"`
	Purchases              int        `json:"purchases"`
	Charged                int        `json:"charged"`
	Credited               int        `json:"credited"`
	Refunded               int        `json:"refunded"`
	DeclinedBeforeCharge   int        `json:"declined_before_charge"`
	Unanswered             int        `json:"unanswered"` // sales of which the deployment never said what became
	ChargedAmount          int64      `json:"charged_amount"`
	RefundedAmount         int64      `json:"refunded_amount"`
	Exposure               int64      `json:"exposure"` // credited and given back, by the books
	SettleP50              *float64   `json:"settle_p50_s"`
	SettleP95              *float64   `json:"settle_p95_s"`
	SettleP99              *float64   `json:"settle_p99_s"`
	Cases                  int        `json:"cases"`
	CasesBeforeComplaint   *int       `json:"cases_before_complaint"`
	Complaints             *int       `json:"complaints"`
	Calls                  *sim.Calls `json:"calls"`
	PartnerLies            int        `json:"partner_lies"`
	FirstFailure           string     `json:"first_failure_at,omitempty"` // on the deployment's clock
	SettledAt              string     `json:"settled_at,omitempty"`       // likewise
	Totals                 Totals     `json:"totals"`
	TraceHash              *string    `json:"trace_hash"`
	Findings               []string   `json:"findings"` // what is wrong, by purchase; at most 50
	Notes                  []string   `json:"notes"`
	Unobserved             []string   `json:"unobserved"`

	game     *game
	records  []record
	lapse    []sim.Minute
	failedAt purchase.Instant
}

// unobserved are the keys of what nobody sees from outside.
var unobserved = []string{"violations", "told_p99_s", "cases_outside_incidents", "affected_without_case", "callbacks_promised", "callbacks_kept", "callbacks_broken",
	"cases_before_complaint", "complaints", "calls", "trace_hash", "totals.ledger", "totals.written"}

func newResult(g *game) *Result {
	r := &Result{Scenario: g.s.Name, Seed: g.Seed, Against: Played{g.api.base, g.deployment.Version, g.Speed, append([]string{}, g.plan.left...)},
		Purchases: len(g.sales), Findings: []string{}, Unobserved: slices.Clone(unobserved), game: g}
	r.Notes = append([]string{"the deployment's own deadlines hold, on the real clock: those of the scenario (rules) are not played, nor are complaints and the line"}, g.plan.notes...)
	return r
}

// finish makes figures of what was gathered.
func (m *measure) finish() {
	api := &m.Totals.API
	m.Charged, m.Credited, m.Refunded = api.Charged, api.Credited, api.Refunded
	m.ChargedAmount, m.RefundedAmount = api.AmountCharged, api.AmountRefunded
	m.Totals.Partners.Exposure, api.Exposure = m.Exposure, m.Exposure
	m.Totals.Agree = api.Same(m.Totals.Partners)
	slices.Sort(m.refunds)
	slices.Sort(m.settles)
	m.RefundP99 = drill.Quantile(m.refunds, 0.99)
	m.SettleP50, m.SettleP95, m.SettleP99 = drill.Quantile(m.settles, 0.5), drill.Quantile(m.settles, 0.95), drill.Quantile(m.settles, 0.99)
	stamp := func(at purchase.Instant) string { return at.Time().Format("2006-01-02T15:04:05.000Z07:00") }
	if m.failedAt = m.first; m.first != 0 {
		m.FirstFailure = stamp(m.first)
	}
	if m.g.settled != 0 && m.Unsettled == 0 {
		m.SettledAt = stamp(m.g.settled)
	}
}

func seconds(d time.Duration) *float64 { return drill.Seconds(d) }

// minutes makes the account's lines, on the scenario's clock.
func (m *measure) minutes(messages []sandbox.Movement) {
	begins := m.g.s.Script.Begins
	at := func(t purchase.Instant) *sim.Minute {
		i := max(int(m.g.scenario(t).Sub(begins)/time.Minute), 0)
		if i >= maxMinutes {
			i = maxMinutes - 1
		}
		for len(m.lapse) <= i {
			m.lapse = append(m.lapse, sim.Minute{At: begins.Add(time.Duration(len(m.lapse)) * time.Minute)})
		}
		return &m.lapse[i]
	}
	ours := map[string]bool{}
	for i := range m.g.sales {
		s := &m.g.sales[i]
		ours[bare(s.wish.Number)], ours[bare(s.wish.Payer)] = true, true
		b := &s.bought
		switch {
		case s.refused != 0:
			at(s.refused).Refused++
		case b.ChargedAt != nil:
			at(purchase.At(*b.ChargedAt)).Charged++
		}
		if b.ChargedAt == nil || b.ClosedAt == nil {
			continue
		}
		switch b.State {
		case credited:
			at(purchase.At(*b.ClosedAt)).Credited++
		case refunded:
			at(purchase.At(*b.ClosedAt)).Refunded++
		}
	}
	for i := range messages {
		if ours[messages[i].Number] {
			at(messages[i].At).Told++
		}
	}
	pending := 0
	for i := range m.lapse {
		pending += m.lapse[i].Charged - m.lapse[i].Credited - m.lapse[i].Refunded
		m.lapse[i].Pending = pending
	}
}

// maxMinutes bounds the account: what comes later stands in its last line.
const maxMinutes = 20_000

// Chart is a picture (SVG) of how many customers waited.
func (r *Result) Chart(language string) ([]byte, error) {
	picture, err := r.game.s.Chart(language, r.lapse, nil)
	if err != nil {
		return nil, fmt.Errorf("draw the chart: %w", err)
	}
	return picture, nil
}

// Verdict is nil where the deployment kept its promises, as far as can be seen.
func (r *Result) Verdict() error {
	var errs []error
	count := func(n int, what string) {
		if n > 0 {
			errs = append(errs, fmt.Errorf("%d %s", n, what))
		}
	}
	count(r.Unsettled, "unsettled")
	count(r.Unanswered, "sales never answered")
	if !r.game.plan.lies { // else the books are wrong whatever the deployment does
		count(r.ConfirmedWithoutCredit, "confirmed without credit")
		count(r.DoubleCredits, "credited twice")
		count(r.DoubleRefunds, "refunded twice")
		if !r.Totals.Agree && len(errs) == 0 {
			errs = append(errs, errors.New("the deployment's totals and the partners' books differ"))
		}
	}
	return errors.Join(errs...)
}

// JSON is the result for programs.
func (r *Result) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the result: %w", err)
	}
	return append(text, '\n'), nil
}
