package drill_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	_ "time/tzdata"

	"tenu/internal/drill"
	"tenu/internal/purchase"
	"tenu/internal/sim"
)

// directory is one that is kept in memory where the system has such: a drill commits often,
// and nothing of it is to be kept.
func directory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "tenu-drill-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// play plays a scenario in a database of its own.
func play(t *testing.T, s *drill.Scenario, o drill.Options) *drill.Result {
	t.Helper()
	base, err := sim.SQLite(directory(t))(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = base.Close() }()
	o.Base = base
	r, err := s.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// read parses a scenario that comes with tenu.
func read(t *testing.T, name string) *drill.Scenario {
	t.Helper()
	text, ok := drill.Shipped(name)
	if !ok {
		t.Fatalf("there is no scenario %s", name)
	}
	s, err := drill.Parse(name+".yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sound checks what must be so after any scenario.
func sound(t *testing.T, r *drill.Result) {
	t.Helper()
	if r.Violations != 0 {
		t.Fatal(r.Violation)
	}
	if r.Unsettled != 0 || r.DoubleRefunds != 0 {
		t.Errorf("%d unsettled, %d double refunds", r.Unsettled, r.DoubleRefunds)
	}
	if r.Totals.Ledger != r.Totals.Written {
		t.Errorf("the database holds %+v, and %+v was written", r.Totals.Ledger, r.Totals.Written)
	}
	if r.PartnerLies == 0 {
		if r.ConfirmedWithoutCredit != 0 || r.DoubleCredits != 0 || !r.Totals.Agree {
			t.Errorf("%d confirmed without credit, %d double credits, totals %+v", r.ConfirmedWithoutCredit, r.DoubleCredits, r.Totals)
		}
	}
	if r.Untold != 0 {
		t.Errorf("%d affected customers were told nothing", r.Untold)
	}
	for i, x := range r.Totals.Incidents {
		if x.Pending != 0 || x.Told != x.Customers || x.Credited+x.Refunded != x.Purchases {
			t.Errorf("incident %d comes to %+v", i, x)
		}
	}
	if kept := r.CallbacksKept + r.CallbacksBroken; kept != r.CallbacksPromised {
		t.Errorf("%d callbacks promised, %d kept, %d broken", r.CallbacksPromised, r.CallbacksKept, r.CallbacksBroken)
	}
}

// TestScenarios plays every scenario that comes with tenu in short form, beside the
// platform as it was.
func TestScenarios(t *testing.T) {
	for _, name := range drill.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := play(t, read(t, name), drill.Options{Seed: 1, Purchases: 200, AsItWas: true})
			sound(t, r)
			if _, err := r.Chart("fr"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestGenerated plays scenarios that are drawn.
func TestGenerated(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			text := drill.Generate(seed)
			s, err := drill.Parse("random.yaml", text)
			if err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			r := play(t, s, drill.Options{Seed: seed, Purchases: 120})
			sound(t, r)
			if t.Failed() {
				t.Logf("%s", text)
			}
		})
	}
}

// TestAsItWas: on the same day, with the same customers and partners, the platform as it was
// does what the article tells, and tenu does not.
func TestAsItWas(t *testing.T) {
	r := play(t, read(t, "2024-07-09"), drill.Options{Seed: 2, Purchases: 300, AsItWas: true})
	sound(t, r)
	was := r.AsItWas
	if was.ConfirmedWithoutCredit == 0 || was.Unsettled == 0 || was.Refunded != 0 || was.CallbacksKept != 0 || was.CallbacksPromised == 0 {
		t.Errorf("as it was: %+v", was)
	}
	if r.DeclinedBeforeCharge == 0 || r.DetectedAfter == nil || r.PausedAfter == nil || *r.PausedAfter < *r.DetectedAfter || r.ToldP99 == nil || *r.ToldP99 > 300 {
		t.Errorf("%+v", r.Figures)
	}
	// Whom the pause refuses is charged by the other platform, unless the wallet declines.
	if was.Purchases != r.Purchases || was.Charged <= r.Charged || was.Charged > r.Charged+r.DeclinedBeforeCharge {
		t.Errorf("other customers: %d charged and %d refused, and %d charged as it was", r.Charged, r.DeclinedBeforeCharge, was.Charged)
	}
	if was.Untold == 0 || len(r.Totals.Incidents) == 0 {
		t.Errorf("%d told nothing as it was, %d incidents", was.Untold, len(r.Totals.Incidents))
	}
	if was.Complaints <= r.Complaints || was.DetectedAfter != nil || was.PausedAfter != nil {
		t.Errorf("%d complaints, and %d as it was", r.Complaints, was.Complaints)
	}
	if r.Cases == 0 || r.CasesBeforeComplaint == 0 {
		t.Errorf("of %d cases %d were open before anybody complained", r.Cases, r.CasesBeforeComplaint)
	}
	picture, err := r.Chart("en")
	if err != nil || strings.Count(string(picture), `<path class="line`) != 4 { // two curves and their keys
		t.Errorf("%v, chart %s", err, picture)
	}
	if err := xml.Unmarshal(picture, new(struct{})); err != nil {
		t.Errorf("the chart is no XML: %v", err)
	}
}

// TestSame: the same seed gives the same result, another another.
func TestSame(t *testing.T) {
	s := read(t, "flapping-partner")
	shown := func(seed uint64) string {
		text, err := json.Marshal(play(t, s, drill.Options{Seed: seed, Purchases: 150, AsItWas: true}))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first, again, other := shown(1), shown(1), shown(2)
	if first != again {
		t.Errorf("one seed, two results:\n%s\n%s", first, again)
	}
	if first == other {
		t.Error("two seeds, one result")
	}
}

// TestPace: the scenario's clock never moves on before the pace lets it, and a drill that is
// broken off says so.
func TestPace(t *testing.T) {
	s := read(t, "sms-outage")
	last, calls := purchase.Instant(0), 0
	r := play(t, s, drill.Options{Seed: 1, Purchases: 50, Pace: func(_ context.Context, to purchase.Instant) error {
		if to < last {
			t.Errorf("the clock goes back from %s to %s", last, to)
		}
		last = to
		calls++
		return nil
	}})
	sound(t, r)
	if calls < 1000 || last < s.Script.Begins.Add(s.Script.Ends) {
		t.Errorf("paced %d times, until %s", calls, last)
	}
	base, err := sim.SQLite(directory(t))(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = base.Close() }()
	off := errors.New("broken off")
	if _, err := s.Run(t.Context(), drill.Options{Seed: 1, Purchases: 50, Base: base, Pace: func(context.Context, purchase.Instant) error { return off }}); !errors.Is(err, off) {
		t.Errorf("broken off: %v", err)
	}
}
