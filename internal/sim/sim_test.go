package sim_test

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"testing"

	"tenu/internal/sim"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // worlds are small and soon gone
	os.Exit(m.Run())
}

// directory is one that is kept in memory where the system has such: care commits often, and nothing of it is to be kept.
func directory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "tenu-sim-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// soak multiplies what is simulated.
func soak(t *testing.T) int {
	t.Helper()
	text := os.Getenv("TENU_SOAK")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("TENU_SOAK is %q", text)
	}
	return n
}

// simulate fails with what repeats a violation.
func simulate(t *testing.T, o sim.Options) *sim.Report {
	t.Helper()
	o.Workers = 2
	r, err := sim.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range r.Violations {
		o.World = v.World
		t.Errorf("%v\nagain: tenu sim %s", v, o.Arguments())
	}
	t.Logf("seed %d: %d purchases, %d calls, %d of them with a fault, %d crashes, %d takeovers, hash %s",
		r.Seed, r.Purchases, r.Calls, r.Faulty, r.Crashes, r.Takeovers, r.TraceHash)
	return r
}

// TestSimulation is the short form of `tenu sim`.
func TestSimulation(t *testing.T) {
	r := simulate(t, sim.Options{Seed: 1, Purchases: 100_000 * soak(t)})
	if 100*r.Faulty < 40*r.Calls {
		t.Errorf("%d of %d calls met a fault", r.Faulty, r.Calls)
	}
	if thin := r.Thin(r.Purchases / 10_000); len(thin) > 0 {
		t.Errorf("met too rarely: %v", thin)
	}
}

// TestOnceViolated simulates again worlds that violate an invariant when the mend
// is taken out. When the plan is drawn otherwise they become other worlds, and
// others are to be looked for; attack_test.go of package purchase has the
// histories themselves.
func TestOnceViolated(t *testing.T) {
	for _, was := range []struct {
		seed             uint64
		purchases, world int
		what             string
	}{
		{1, 1_000_000, 6, "of three refunds by a wallet that lied, one was undone that had never been heard of, and another was taken for undone"},
		{1, 1_000_000, 20, "a refund told first by its reversal was taken for another one when a resend was answered without a reference"},
	} {
		t.Run(was.what, func(t *testing.T) {
			simulate(t, sim.Options{Seed: was.seed, Purchases: was.purchases, World: was.world})
		})
	}
}

// TestSimulationSQLite keeps the purchases in real databases, each verified by
// its own means at the end.
func TestSimulationSQLite(t *testing.T) {
	simulate(t, sim.Options{Seed: 2, Purchases: 1000 * soak(t), Open: sim.SQLite(t.TempDir())})
}

// TestSameSeed: the same seed gives the same history, however many worlds are
// simulated at once and whatever store keeps it.
func TestSameSeed(t *testing.T) {
	o := sim.Options{Seed: 1, Purchases: 500}
	first := simulate(t, o)
	again := simulate(t, o)
	o.Open = sim.SQLite(t.TempDir())
	kept := simulate(t, o)
	if first.TraceHash != again.TraceHash || first.TraceHash != kept.TraceHash {
		t.Errorf("hashes %s, %s and %s", first.TraceHash, again.TraceHash, kept.TraceHash)
	}
	o.Seed, o.Open = o.Seed+1, nil
	if other := simulate(t, o); other.TraceHash == first.TraceHash {
		t.Error("another seed, the same hash")
	}
}

// TestSimulationCare is the short form of `tenu sim --care`.
func TestSimulationCare(t *testing.T) {
	o := sim.Options{Seed: 1, Purchases: 1000 * soak(t), Care: true, Open: sim.SQLite(directory(t))}
	r := simulate(t, o)
	t.Logf("%d cases, settled %d times, by rules %d times; %d requests; %d promises, %d kept, %d broken; %d acts of rules",
		r.Cases, r.Settled, r.ByRule, r.Requests, r.Callbacks, r.Kept, r.Broken, r.Treatments)
	met := ""
	for f := sim.CrashInCare; f <= sim.CrashInDial; f++ {
		met += fmt.Sprintf(", %s %d", f, r.Hits[f])
		if r.Hits[f] < 3 {
			t.Errorf("met too rarely: %s", f)
		}
	}
	t.Logf("%d calls were dialled, said to be %v%s", r.Dialled, r.Rings, met)
	if r.Cases < r.Purchases/3 || r.Requests < r.Cases/10 || r.Kept < 20 || r.Broken < 10 || r.Dialled < 100 || r.Hits[sim.CrashInCare] < 10 {
		t.Errorf("too little happens: %+v", r.Tally)
	}
}

// TestSameSeedCare: likewise with care.
func TestSameSeedCare(t *testing.T) {
	o := sim.Options{Seed: 5, Purchases: 300, Care: true, Open: sim.SQLite(directory(t))}
	if first, again := simulate(t, o), simulate(t, o); first.TraceHash != again.TraceHash {
		t.Errorf("hashes %s and %s", first.TraceHash, again.TraceHash)
	}
}
