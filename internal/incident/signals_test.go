package incident

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tenu/internal/purchase"
)

var noon = instant("2026-03-03T12:00:00")

// change is what the engine would tell of a purchase's step.
func change(was, is purchase.State, provider string, charged, at purchase.Instant) *purchase.Change {
	c := &purchase.Change{Was: purchase.Before{State: was, Provider: provider}, Evidence: &purchase.Evidence{At: at}}
	c.Now = purchase.Purchase{State: is, CreatedAt: charged, ChargedAt: charged, Request: purchase.Request{Product: "airtime",
		Provider: provider, Payer: "wallet", Channel: "ussd", Recipient: 22670000000}}
	if is == purchase.Charging {
		c.Now.ChargedAt, c.Was = 0, purchase.Before{}
	}
	return c
}

func counted(s *Signals, of Series, from, till purchase.Instant) (b SaleBucket) {
	for _, m := range s.Minutes(of, from, till) {
		b.Paid, b.InTime, b.Late, b.Failed = b.Paid+m.Paid, b.InTime+m.InTime, b.Late+m.Late, b.Failed+m.Failed
	}
	return b
}

func TestWhatBecomesOfAPurchaseIsCountedOnce(t *testing.T) {
	at := func(d time.Duration) purchase.Instant { return noon.Add(d) }
	begun := change(0, purchase.Charging, "ocs", noon, noon)
	paid := change(purchase.Charging, purchase.Crediting, "ocs", noon, noon)
	retold := change(purchase.Crediting, purchase.Crediting, "ocs", noon, at(time.Second))
	intime := change(purchase.Crediting, purchase.Credited, "ocs", noon, at(10*time.Second))
	late := change(purchase.Crediting, purchase.Credited, "ocs", noon, at(10*time.Second+time.Microsecond))
	back := change(purchase.Crediting, purchase.Refunding, "ocs", noon, at(time.Second))
	refunded := change(purchase.Refunding, purchase.Refunded, "ocs", noon, at(time.Minute))
	taken := change(purchase.Credited, purchase.Refunding, "ocs", noon, at(time.Hour))
	wrong := change(purchase.Charging, purchase.Refunding, "ocs", noon, noon)
	orphan := change(purchase.Declined, purchase.Refunding, "ocs", noon, noon)
	given := change(purchase.Crediting, purchase.Refunded, "ocs", noon, at(time.Second))
	declined := change(purchase.Charging, purchase.Declined, "ocs", noon, noon)
	lost := change(purchase.Crediting, 0, "ocs", noon, noon)
	for name, c := range map[string]struct {
		changes                    []*purchase.Change
		paid, inTime, late, failed uint32
		provider, payer            int64 // unsettled
	}{
		"begun":                   {[]*purchase.Change{begun}, 0, 0, 0, 0, 0, 1},
		"declined":                {[]*purchase.Change{begun, declined}, 0, 0, 0, 0, 0, 0},
		"paid":                    {[]*purchase.Change{begun, paid, retold}, 1, 0, 0, 0, 1, 0},
		"credited in time":        {[]*purchase.Change{begun, paid, intime}, 1, 1, 0, 0, 0, 0},
		"credited late":           {[]*purchase.Change{begun, paid, late}, 1, 0, 1, 0, 0, 0},
		"refunded":                {[]*purchase.Change{begun, paid, back, refunded}, 1, 0, 0, 1, 0, 0},
		"the money is on its way": {[]*purchase.Change{begun, paid, back}, 1, 0, 0, 1, 0, 1},
		"given back by the payer": {[]*purchase.Change{begun, paid, given}, 1, 0, 0, 1, 0, 0},
		"taken back afterwards":   {[]*purchase.Change{begun, paid, intime, taken}, 1, 1, 0, 0, 0, 1},
		"wrongly charged":         {[]*purchase.Change{begun, wrong}, 1, 0, 0, 1, 0, 1},
		"charged after a decline": {[]*purchase.Change{begun, declined, orphan}, 1, 0, 0, 1, 0, 1},
		"another process's now":   {[]*purchase.Change{begun, paid, lost}, 0, 0, 0, 0, 0, 0},
	} {
		s := NewSignals(SignalsConfig{Operator: func(purchase.MSISDN) string { return "orange" }, Partners: func() []Partner {
			return []Partner{{Series: Series{ByPayer, "wallet"}}, {Series: Series{ByProvider, "ocs"}}}
		}})
		for _, c := range c.changes {
			s.Committed(c)
		}
		for _, of := range []Series{{ByProduct, "airtime"}, {ByProvider, "ocs"}, {ByPayer, "wallet"}, {ByChannel, "ussd"}, {ByOperator, "orange"}} {
			b := counted(s, of, noon, at(time.Minute))
			if b.Paid != c.paid || b.InTime != c.inTime || b.Late != c.late || b.Failed != c.failed {
				t.Errorf("%s: %+v counts %+v", name, of, b)
			}
		}
		r := s.Read(at(2 * time.Minute))
		if r.Partners[0].Unsettled != c.provider || r.Partners[1].Unsettled != c.payer {
			t.Errorf("%s: unsettled %d with the provider, %d with the payer", name, r.Partners[0].Unsettled, r.Partners[1].Unsettled)
		}
	}
}

// A purchase that another provider takes over failed for the first one, and is one
// purchase for everything else.
func TestFailOverIsCountedWithBothProviders(t *testing.T) {
	s := NewSignals(SignalsConfig{})
	s.Committed(change(purchase.Charging, purchase.Crediting, "ocs", noon, noon))
	over := change(purchase.Crediting, purchase.Crediting, "spare", noon, noon.Add(time.Second))
	over.Was.Provider = "ocs"
	s.Committed(over)
	s.Committed(change(purchase.Crediting, purchase.Credited, "spare", noon, noon.Add(2*time.Second)))
	for of, want := range map[Series][4]uint32{{ByProvider, "ocs"}: {1, 0, 0, 1}, {ByProvider, "spare"}: {1, 1, 0, 0}, {ByChannel, "ussd"}: {1, 1, 0, 0}} {
		if b := counted(s, of, noon, noon.Add(time.Minute)); [4]uint32{b.Paid, b.InTime, b.Late, b.Failed} != want {
			t.Errorf("%+v counts %+v", of, b)
		}
	}
}

// What a node takes over is unsettled, but is no outage: the purchases that went well
// before it never come to it.
func TestTakenOverPurchasesAreOnlyUnsettled(t *testing.T) {
	s := NewSignals(SignalsConfig{Partners: func() []Partner { return []Partner{{Series: Series{ByProvider, "ocs"}}} }})
	d := NewDetector(DetectorConfig{})
	old := noon.Add(-26 * time.Hour)
	resumed := func(c *purchase.Change) *purchase.Change {
		c.Now.Resumed = noon
		return c
	}
	for i := range 500 {
		c := resumed(change(0, purchase.Crediting, "ocs", old.Add(time.Duration(i)*time.Second), 0))
		c.Was, c.Evidence, c.Now.Recipient = purchase.Before{}, nil, purchase.MSISDN(i)
		s.Committed(c)
	}
	for i := range 24 {
		now := noon.Add(time.Duration(i) * 5 * time.Second)
		if f := d.Step(now, s.Read(now)); len(f) > 0 {
			t.Fatalf("found %+v", f)
		}
	}
	r := s.Read(noon.Add(time.Minute))
	if p := r.Partners[0]; p.Unsettled != 500 || p.Oldest > old || p.Oldest < old.Add(-time.Hour) {
		t.Errorf("%d unsettled, the oldest of %s", p.Unsettled, p.Oldest)
	}
	for i := range 500 {
		s.Committed(resumed(change(purchase.Crediting, purchase.Credited, "ocs", old.Add(time.Duration(i)*time.Second), noon.Add(time.Minute))))
	}
	s.Committed(resumed(change(purchase.Charging, purchase.Crediting, "ocs", noon.Add(2*time.Minute), noon.Add(2*time.Minute))))
	r = s.Read(noon.Add(3 * time.Minute))
	if p := r.Partners[0]; p.Unsettled != 1 || p.Oldest != noon.Add(2*time.Minute) {
		t.Errorf("%d unsettled, the oldest of %s", p.Unsettled, p.Oldest)
	}
	if b := counted(s, Series{ByProvider, "ocs"}, noon, noon.Add(3*time.Minute)); b.Paid != 1 {
		t.Errorf("charged here: %+v", b)
	}
}

// More series than there is room for are counted by what there is room for, and those
// that are idle make room.
func TestSeriesFlood(t *testing.T) {
	const most = 50
	s := NewSignals(SignalsConfig{MaxSeries: most})
	sell := func(product string, at purchase.Instant) {
		c := change(purchase.Charging, purchase.Crediting, "ocs", at, at)
		c.Now.Product = product
		s.Committed(c)
	}
	for i := range 2 * maxCells {
		sell(fmt.Sprintf("product %d", i), noon)
	}
	series, cells, uncounted := s.Counts()
	if series > most || cells > maxCells || uncounted == 0 {
		t.Errorf("%d series, %d cells, %d not counted", series, cells, uncounted)
	}
	if b := counted(s, Series{ByChannel, "ussd"}, noon, noon.Add(time.Minute)); int(b.Paid) != 2*maxCells {
		t.Errorf("the channel sold %d", b.Paid)
	}
	later := noon.Add(7 * time.Hour)
	s.Read(later)
	sell("new", later)
	if b := counted(s, Series{ByProduct, "new"}, later, later.Add(time.Minute)); b.Paid != 1 {
		t.Errorf("no room was made: %+v", b)
	}
}

// Neither the turn of a year nor a clock that is set makes a count wrong that is kept.
func TestClockIsSet(t *testing.T) {
	eve := instant("2026-12-31T23:59:58")
	s := NewSignals(SignalsConfig{})
	all := Series{ByProvider, "ocs"}
	sell := func(at purchase.Instant) {
		s.Committed(change(purchase.Charging, purchase.Crediting, "ocs", at, at))
		s.Committed(change(purchase.Crediting, purchase.Credited, "ocs", at, at.Add(time.Second)))
	}
	for i := range 4 {
		sell(eve.Add(time.Duration(i) * time.Second))
	}
	now := eve.Add(30 * time.Second)
	if r := s.Read(now); r.Series[1].Hour != (Count{4, 0}) || r.Series[1].Series != all {
		t.Errorf("over the turn of the year: %+v", r.Series)
	}
	ahead := eve.Add(400 * 24 * time.Hour)
	sell(ahead)
	s.Read(ahead.Add(30 * time.Second))
	for i := range 100 { // the clock is right again
		sell(now.Add(time.Duration(i) * time.Second))
	}
	r := s.Read(now.Add(2 * time.Minute))
	if c := r.Series[1].Hour; c.Paid < 100 || c.Paid > 104 || c.Missed != 0 {
		t.Errorf("after a clock that was ahead: %+v", c)
	}
	if r.Series[1].LastPaid != now.Add(99*time.Second) {
		t.Errorf("last paid %s", r.Series[1].LastPaid)
	}
	before := purchase.Instant(-5_000_001)
	sell(before)
	if r := s.Read(before.Add(time.Minute)); r.Series[1].Hour != (Count{1, 0}) {
		t.Errorf("before 1970: %+v", r.Series[1].Hour)
	}
}

// What goes in comes out, whatever the order, however long ago and whatever the
// clock: each count of a bucket is what happened to the purchases charged in it.
func TestCountsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewSignals(SignalsConfig{})
		now := noon.Add(time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "begin")))
		type one struct {
			at       purchase.Instant
			open     bool
			provider string
		}
		var sold []one
		want := map[purchase.Instant]*SaleBucket{}
		bucket := func(at purchase.Instant) *SaleBucket {
			m := floorTo(at, time.Minute)
			if want[m] == nil {
				want[m] = &SaleBucket{}
			}
			return want[m]
		}
		open := int64(0)
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(3*time.Minute)).Draw(t, "wait")))
			if len(sold) == 0 || rapid.Bool().Draw(t, "sells") {
				p := one{now, true, rapid.SampledFrom([]string{"ocs", "air"}).Draw(t, "provider")}
				s.Committed(change(purchase.Charging, purchase.Crediting, p.provider, now, now))
				sold = append(sold, p)
				bucket(now).Paid++
				open++
				continue
			}
			p := &sold[rapid.IntRange(0, len(sold)-1).Draw(t, "which")]
			if !p.open {
				continue
			}
			p.open = false
			open--
			if rapid.Bool().Draw(t, "fails") {
				s.Committed(change(purchase.Crediting, purchase.Refunding, p.provider, p.at, now))
				bucket(p.at).Failed++
				continue
			}
			s.Committed(change(purchase.Crediting, purchase.Credited, p.provider, p.at, now))
			if now.Sub(p.at) <= 10*time.Second {
				bucket(p.at).InTime++
			} else {
				bucket(p.at).Late++
			}
		}
		from := floorTo(now.Add(-6*time.Hour+time.Minute), time.Minute)
		for _, m := range s.Minutes(Series{ByChannel, "ussd"}, from, now.Add(1)) {
			w := want[m.At]
			if w == nil {
				w = &SaleBucket{}
			}
			if m.Paid != w.Paid || m.InTime != w.InTime || m.Late != w.Late || m.Failed != w.Failed {
				t.Fatalf("minute %s: %+v, want %+v", m.At, m, *w)
			}
		}
		r := s.Read(now)
		var paid int64
		for at, w := range want {
			if at >= floorTo(now.Add(-time.Hour), time.Minute) {
				paid += int64(w.Paid)
			}
		}
		var hour Count
		var recent []SaleBucket
		for i := range r.Series {
			if r.Series[i].Series == (Series{ByPayer, "wallet"}) {
				hour, recent = r.Series[i].Hour, r.Series[i].Recent
			}
		}
		for _, p := range sold { // those that are not judged yet
			if p.at >= r.Judged && p.at >= floorTo(now.Add(-time.Hour), time.Minute) {
				paid--
			}
		}
		if hour.Paid != paid {
			t.Fatalf("the hour has %+v, want %d", hour, paid)
		}
		if c := countFrom(recent, 0); len(recent) > 0 && c != hour {
			t.Fatalf("single buckets have %+v, the hour %+v", c, hour)
		}
		if unsettled := s.ages[Series{ByProvider, "ocs"}].total() + s.ages[Series{ByProvider, "air"}].total(); unsettled != open {
			t.Fatalf("%d unsettled, want %d", unsettled, open)
		}
		var oldest purchase.Instant
		for _, p := range sold {
			if p.open && p.provider == "ocs" && (oldest == 0 || p.at < oldest) {
				oldest = p.at
			}
		}
		if a := s.ages[Series{ByProvider, "ocs"}]; a != nil {
			if got := a.oldest(now); oldest == 0 && got != 0 || oldest != 0 && (got > oldest || oldest.Sub(got) >= time.Hour) {
				t.Fatalf("the oldest is said to be of %s, and is of %s", got, oldest)
			}
		}
	})
}

// Whatever is counted under the engine's lock costs it nothing to collect.
func TestCountingAllocatesNothing(t *testing.T) {
	s := NewSignals(SignalsConfig{Operator: func(purchase.MSISDN) string { return "orange" }})
	paid := change(purchase.Charging, purchase.Crediting, "ocs", noon, noon)
	done := change(purchase.Crediting, purchase.Credited, "ocs", noon, noon.Add(time.Second))
	if n := testing.AllocsPerRun(1000, func() {
		s.Committed(paid)
		s.Committed(done)
	}); n != 0 {
		t.Errorf("%.1f allocations per purchase", n)
	}
}

// BenchmarkCommitted is what one purchase costs the engine's lock: three changes.
func BenchmarkCommitted(b *testing.B) {
	s := NewSignals(SignalsConfig{Operator: operatorOf})
	begun := change(0, purchase.Charging, "ocs", noon, noon)
	paid := change(purchase.Charging, purchase.Crediting, "ocs", noon, noon)
	done := change(purchase.Crediting, purchase.Credited, "ocs", noon, noon.Add(time.Second))
	for b.Loop() {
		s.Committed(begun)
		s.Committed(paid)
		s.Committed(done)
	}
}

func (a *ages) total() int64 {
	if a == nil {
		return 0
	}
	return a.count
}

func TestSignalsConfigIsChecked(t *testing.T) {
	for i, bad := range []SignalsConfig{{Expected: time.Millisecond}, {Expected: time.Hour}, {Grace: -1}, {MaxSeries: -1}} {
		if bad.Check() == nil {
			t.Errorf("%d: taken", i)
		}
	}
	if err := (SignalsConfig{}).Check(); err != nil {
		t.Error(err)
	}
	for i, bad := range []DetectorConfig{{Objective: 1}, {Objective: 0.5}, {Failing: 0.01}, {Failing: 0.95}, {Blip: 20}, {Alarm: 1000}, {MaxSeries: -1}, {DegradedFor: -1}} {
		if bad.Check() == nil {
			t.Errorf("%d: taken", i)
		}
	}
	if err := (DetectorConfig{}).Check(); err != nil {
		t.Error(err)
	}
}
