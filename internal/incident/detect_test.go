package incident

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tenu/internal/purchase"
)

func instant(s string) purchase.Instant {
	at, err := time.Parse("2006-01-02T15:04:05", s)
	if err != nil {
		panic(err)
	}
	return purchase.At(at)
}

// An ordinary month, with everything that goes wrong on ordinary days, raises no alarm.
func TestOrdinaryMonthRaisesNoAlarm(t *testing.T) {
	for seed, perDay := range []float64{20_000, 60_000} {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			w := newTraffic(uint64(seed), perDay, instant("2026-06-01T00:00:00"))
			d := NewDetector(DetectorConfig{})
			var r Readings
			var most float64
			every := 5 * (1 + min(seed, 1)) // seconds
			for range monthDays * 24 * 3600 / every {
				for range every {
					w.second()
				}
				w.signals.ReadInto(&r, w.now)
				for _, f := range d.Step(w.now, r) {
					t.Errorf("%s: %+v", w.now, f)
				}
				for i := range r.Series {
					if w.now%purchase.Instant(time.Minute.Microseconds()) != 0 {
						break
					}
					e := d.bought.sum(r.Series[i].Recent, 0)
					most = max(most, e.score)
				}
			}
			if y := d.rhythms[Series{ByChannel, "ussd"}]; monthDays >= 30 && (y == nil || slices.Min(y.seen[:]) < 3) {
				t.Error("the rhythm was not learnt")
			}
			t.Logf("%d purchases, %d not credited in time; at most %.1f of %.0f nats against a series",
				w.purchases, w.missed, most, d.cfg.Alarm)
		})
	}
}

var outages = []outage{
	{kind: "accepts", of: Series{ByProvider, "ocs"}},
	{kind: "accepts", of: Series{ByProvider, "air"}},
	{kind: "refused", of: Series{ByProvider, "ocs"}},
	{kind: "lost", of: Series{ByProvider, "ocs"}},
	{kind: "slow", of: Series{ByProvider, "air"}},
	{kind: "partial", of: Series{ByProvider, "ocs"}},
	{kind: "payer", of: Series{ByPayer, "wallet"}},
	{kind: "accepts", of: Series{ByProduct, "data-day"}},
	{kind: "accepts", of: Series{ByChannel, "app"}},
	{kind: "silence", of: Series{ByChannel, "ussd"}},
	{kind: "notices", of: Series{ByCentre, "sms"}},
}

// Each outage is found, whatever its kind and whenever it comes, and what fails is named.
func TestOutagesAreFound(t *testing.T) {
	const count = 50
	const seed = 11
	rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // chance that can be repeated
	order := rng.Perm(count)
	var took []time.Duration
	for i := range count {
		out := outages[i%len(outages)]
		// Any day, and the hours of the day evenly: a quarter of them is quiet.
		out.since = instant("2026-06-15T00:00:00").Add(time.Duration(rng.IntN(7)) * 24 * time.Hour).
			Add(24 * time.Hour * time.Duration(order[i]) / count).Add(time.Duration(rng.Int64N(int64(24*time.Hour) / count)))
		perDay := 20_000 + 40_000*rng.Float64()
		found, d := outageFound(t, 1000*seed+uint64(i), perDay, &out)
		seen := found.At.Sub(out.first)
		t.Logf("%2d %-8s %-9s %s %5.1f/min: %s of %q after %4.0f s (%d of %d)", i, out.kind, out.of.Name, out.since.Time().Format("Mon 15:04"),
			60*usual(perDay, out.since), found.Rule, found.Series.Name, seen.Seconds(), found.Failed, found.Paid)
		if found.Series != out.of {
			t.Errorf("outage %d of %+v: found %+v", i, out.of, found)
			continue
		}
		if d.Well(out.of) {
			t.Errorf("outage %d of %+v: found and well at once", i, out.of)
		}
		took = append(took, seen)
		if begin := found.Since.Sub(out.first); out.kind != "silence" && (begin < -time.Hour || begin > seen) {
			t.Errorf("outage %d: said to have begun %s after the first customer harmed", i, begin)
		}
	}
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	t.Logf("found after: least %s, p25 %s, median %s, p75 %s, p90 %s, most %s", took[0], took[len(took)/4], took[len(took)/2],
		took[3*len(took)/4], took[9*len(took)/10], took[len(took)-1])
	if median := took[len(took)/2]; median > time.Minute {
		t.Errorf("the median is %s, more than a minute", median)
	}
}

// outageFound simulates an outage until something is found.
func outageFound(t *testing.T, seed uint64, perDay float64, out *outage) (Finding, *Detector) {
	t.Helper()
	w := newTraffic(seed, perDay, out.since.Add(-70*time.Minute))
	d := NewDetector(DetectorConfig{})
	teach(w.rng, d, perDay, w.now)
	w.outage = out
	var r Readings
	for w.now < out.since.Add(12*time.Hour) {
		for range 2 {
			w.second()
		}
		w.signals.ReadInto(&r, w.now)
		if f := d.Step(w.now, r); len(f) > 0 {
			if f[0].At < out.since {
				t.Errorf("before the outage: %+v", f)
			}
			return f[0], d
		}
	}
	t.Errorf("outage %+v was not found", out)
	return Finding{}, d
}

// teach gives a detector the rhythm of four weeks, as its store would know it.
func teach(rng *rand.Rand, d *Detector, perDay float64, now purchase.Instant) {
	of := [][]share{products, {{"ocs", 0.55}, {"air", 0.45}}, payers, channels, operators}
	for hour := floorTo(now, time.Hour).Add(-4 * 7 * 24 * time.Hour); hour < floorTo(now, time.Hour); hour = hour.Add(time.Hour) {
		level := usual(perDay, hour.Add(30*time.Minute)) * (0.8 + 0.4*rng.Float64()) * 3600
		for by, shares := range of {
			for _, s := range shares {
				n := poisson(rng, level*s.of)
				longest := time.Hour
				if n > 0 {
					spread := math.Log(float64(n)+1) - math.Log(-math.Log(rng.Float64()))
					longest = min(longest, time.Duration(float64(time.Hour)*max(0.5, spread)/float64(n)))
				}
				d.Learn(Series{ByProduct + Dimension(by), s.name}, hour, int64(n), longest)
			}
		}
	}
}
