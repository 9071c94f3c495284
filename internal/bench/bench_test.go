package bench

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tenu/internal/chart"
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
	Lookups: 5, Open: 100, Left: 50, Stuck: 50, Allowed: 2000, Sales: 100, Leaves: 1000}

// bed is a bed of tiny size, for databases that the test removes.
func bed(store string, committers int, fresh func() string) *Bed {
	keep := func(context.Context) error { return nil }
	return &Bed{Store: store, Committers: committers, Clock: clock{}, Wording: wording{}, Log: slog.New(slog.DiscardHandler), Size: tiny,
		Fresh: func(context.Context) (string, func(context.Context) error, error) { return fresh(), keep, nil }}
}

func sqliteBed(t *testing.T) *Bed {
	return bed("sqlite", 1, func() string { return "sqlite:" + filepath.Join(t.TempDir(), "tenu.db") })
}

func postgresBed(t *testing.T) *Bed {
	b := bed("postgres", 2, func() string { return testpeer.VolatilePostgres(t) })
	b.TPCB = func(context.Context) (float64, error) { return 100, nil }
	return b
}

// scenarios are all that this package measures.
func scenarios(b *Bed) []Scenario {
	filled := NewFilled(b)
	return []Scenario{{Name: "floor", Run: b.Floor}, {Name: "engine", Run: b.Engine}, {Name: "lone", Run: b.Lone},
		{Name: "log", Run: b.Logged}, {Name: "audit", Run: b.Audited},
		{Name: "hot", Run: b.Hot}, {Name: "open", Run: b.Open}, {Name: "recover", Run: b.Recover}, {Name: "drain", Run: b.Drain},
		{Name: "growth", Run: filled.Growth}, {Name: "care", Run: filled.Care}}
}

// TestScenarios checks that every scenario does on each store what it says that it
// measures: each fails by itself when what it did is not right.
func TestScenarios(t *testing.T) {
	for _, b := range []*Bed{sqliteBed(t), postgresBed(t)} {
		for _, s := range scenarios(b) {
			t.Run(b.Store+"/"+s.Name, func(t *testing.T) {
				r, err := Measure(t.Context(), s, 1)
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
		t.Logf("%-24s %s %s", f.Name, chart.Legible(f.Median), f.Unit)
	}
	for _, c := range r.Curves {
		if c.Chart == "" || c.X == "" || c.Y == "" || len(c.Points) < 2 {
			t.Errorf("%+v", c)
		}
	}
}
