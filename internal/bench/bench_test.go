package bench

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/testpeer"
)

type clock struct{}

func (clock) Now() purchase.Instant                  { return purchase.At(time.Now()) }
func (clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

type wording struct{}

func (wording) Notice(purchase.Fact, *purchase.Purchase, purchase.Reference, purchase.Outcome) string {
	return "Recharge de 1 000 F CFA reussie. Nouveau solde 1 234 F CFA. Ref"
}

func TestMain(m *testing.M) { os.Exit(testpeer.Main(m)) }

// tiny is a size that shows that a scenario does its work, and nothing more.
var tiny = Size{Purchases: 200, InFlight: 32, Customers: 50, Point: 20 * time.Millisecond, Lone: 5, Stored: 300,
	Lookups: 5, Open: 100, Left: 50, Stuck: 50, Allowed: 2000, Sales: 100}

// beds are a bed of each kind, for databases that end with the test.
func beds(t *testing.T) []*Bed {
	t.Helper()
	size, log := tiny, slog.New(slog.DiscardHandler)
	keep := func(context.Context) error { return nil }
	return []*Bed{
		{Store: "sqlite", Committers: 1, Clock: clock{}, Wording: wording{}, Log: log, Size: size,
			Fresh: func(context.Context) (string, func(context.Context) error, error) {
				return "sqlite:" + filepath.Join(t.TempDir(), "tenu.db"), keep, nil
			}},
		{Store: "postgres", Committers: 2, Clock: clock{}, Wording: wording{}, Log: log, Size: size,
			Fresh: func(context.Context) (string, func(context.Context) error, error) {
				return testpeer.VolatilePostgres(t), keep, nil
			},
			TPCB: func(context.Context) (float64, error) { return 100, nil }},
	}
}

// TestScenarios checks that every scenario does on each store what it says that it
// measures: each fails by itself when what it did is not right.
func TestScenarios(t *testing.T) {
	for _, b := range beds(t) {
		for name, run := range map[string]func(context.Context) (Sample, error){"floor": b.Floor, "engine": b.Engine,
			"lone": b.Lone, "hot": b.Hot, "open": b.Open} {
			t.Run(b.Store+"/"+name, func(t *testing.T) {
				r, err := Measure(t.Context(), Scenario{Name: name, Store: b.Store, Run: run}, 1)
				if err != nil {
					t.Fatal(err)
				}
				checkResult(t, &r)
			})
		}
	}
}

// checkResult checks that every figure stands beside a yardstick, where it names one.
func checkResult(t *testing.T, r *Result) {
	t.Helper()
	if len(r.Figures) == 0 {
		t.Error("nothing was measured")
	}
	for _, f := range r.Figures {
		if f.Yardstick != "" && !slices.ContainsFunc(r.Figures, func(o Figure) bool { return o.Name == f.Yardstick }) {
			t.Errorf("%s: its yardstick %s was not measured", f.Name, f.Yardstick)
		}
		if f.Unit == "" || len(f.Runs) == 0 || f.Median < 0 {
			t.Errorf("%+v", f)
		}
		t.Logf("%-24s %s %s", f.Name, Legible(f.Median), f.Unit)
	}
	for _, c := range r.Curves {
		if c.Chart == "" || c.X == "" || c.Y == "" || len(c.Points) < 2 {
			t.Errorf("%+v", c)
		}
	}
}
