package incident_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

// party is one of several nodes that see some of the sales each, on clocks that differ.
type party struct {
	*incident.Exchange
	signals  *incident.Signals
	detector *incident.Detector
	desk     *incident.Desk
	watch    *incident.Watch
	apart    time.Duration // from the true time to this node's clock
	epoch    int64
	next     int64
}

// skewed is a clock beside the true one.
type skewed struct {
	*hands
	apart *time.Duration
}

func (c skewed) Now() purchase.Instant { return c.now.Add(*c.apart) }

// party makes a node with a lease of its own.
func (r *rig) party(apart time.Duration, store incident.TallyStore) *party {
	r.t.Helper()
	p := &party{apart: apart, signals: incident.NewSignals(incident.SignalsConfig{}), detector: incident.NewDetector(incident.DetectorConfig{})}
	lease, err := r.store.Acquire(r.t.Context(), "party")
	if err != nil {
		r.t.Fatal(err)
	}
	p.epoch = lease.Epoch
	clock := skewed{r.hands, &p.apart}
	gate, err := incident.NewSwitch(incident.SwitchConfig{Store: r.store, Clock: clock, Known: func(incident.Series) bool { return true }})
	if err != nil {
		r.t.Fatal(err)
	}
	if p.Exchange, err = incident.NewExchange(incident.ExchangeConfig{Store: store, Signals: p.signals, Detector: p.detector,
		Epoch: func() int64 { return p.epoch }, Alone: func() bool { return p.epoch == 0 }}); err != nil {
		r.t.Fatal(err)
	}
	if p.desk, err = incident.New(incident.Config{Store: r.store, Clock: clock, Paused: func(p incident.Pause) { gate.Apply(p) }}); err != nil {
		r.t.Fatal(err)
	}
	if p.watch, err = incident.NewWatch(incident.WatchConfig{Signals: p.signals, Detector: p.detector, Switch: gate, Desk: p.desk}); err != nil {
		r.t.Fatal(err)
	}
	return p
}

// buy lets a node see a charge now, and its credit so much later; never, for 0.
func (p *party) buy(at purchase.Instant, who purchase.MSISDN, after time.Duration) {
	p.next++
	at = at.Add(p.apart)
	was := purchase.Purchase{ID: purchase.MakeID(int(p.epoch), p.next), State: purchase.Charging, CreatedAt: at,
		Request: purchase.Request{Product: "airtime", Provider: "ocs", Payer: "wallet", Channel: "app", Recipient: who, Currency: money.XOF}}
	now := was
	now.State, now.ChargedAt = purchase.Crediting, at
	p.signals.Committed(&purchase.Change{Was: purchase.Before{State: was.State, Provider: was.Provider}, Now: now})
	if after > 0 {
		was = now
		now.State, now.ClosedAt = purchase.Credited, at.Add(after)
		p.signals.Committed(&purchase.Change{Was: purchase.Before{State: was.State, Provider: was.Provider}, Now: now, Evidence: &purchase.Evidence{At: now.ClosedAt}})
	}
}

// turn lets nodes exchange and look for as long as a time, while do is done every second.
func (r *rig) turn(d time.Duration, nodes []*party, do func(second int)) {
	r.t.Helper()
	for n := range int(d / time.Second) {
		r.now = r.now.Add(time.Second)
		do(n)
		for i, p := range nodes {
			if n%3 == i%3 {
				if _, err := p.Step(r.t.Context(), r.now.Add(p.apart)); err != nil {
					r.t.Fatal(err)
				}
			}
			if n%2 == i%2 {
				if _, err := p.watch.Step(r.t.Context(), r.now.Add(p.apart)); err != nil {
					r.t.Fatal(err)
				}
			}
		}
	}
}

func nothing(int) {}

// TestNodesSeeTheSum: an outage of which no node sees enough by itself is found by what all see together, by each
// of them, whatever their clocks say, and its record is opened once. Alone each finds nothing.
func TestNodesSeeTheSum(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		r := begin(t, dsn)
		for name, apart := range map[string][]time.Duration{"in step": {0, 0}, "a moment": {0, 2300 * time.Millisecond}, "wrong": {0, -47 * time.Minute, 26 * time.Hour}} {
			r.now = r.now.Add(time.Hour)
			began := r.now
			var nodes, alone []*party
			for _, d := range apart {
				nodes = append(nodes, r.party(d, r.store))
				alone = append(alone, r.party(d, nobody{}))
			}
			who := purchase.MSISDN(22670000000)
			buy := func(n int, after time.Duration) {
				who += 7
				i := n % len(apart)
				nodes[i].buy(r.now, who, after)
				alone[i].buy(r.now, who, after)
			}
			every := slices.Concat(nodes, alone)
			r.turn(2*time.Minute, every, func(n int) { buy(n, time.Second) })
			r.turn(50*time.Second, every, func(n int) { // three or two fail on each
				if n%6 == 0 && n < 6*6 {
					buy(n/6, 0)
				}
			})
			for i, p := range nodes {
				found := p.detector.Active()
				if len(found) != 1 || found[0].Series != ocs || found[0].Rule != incident.RuleAbsolute || found[0].Failed < 5 {
					t.Errorf("%s: node %d of all found %+v", name, i, found)
				}
				series, cells, uncounted := p.signals.Counts()
				if series != 4 || cells != 1 || uncounted != 0 {
					t.Errorf("%s: node %d counts %d series, %d cells, %d not", name, i, series, cells, uncounted)
				}
				if paid, credited, failed := p.signals.Sold(ocs, began.Add(p.apart-10*time.Second), r.now.Add(p.apart)); paid != 126 || credited != 120 || failed != 6 {
					t.Errorf("%s: node %d sees %d paid, %d credited, %d failed", name, i, paid, credited, failed)
				}
			}
			for i, p := range alone {
				if found := p.detector.Active(); len(found) != 0 {
					t.Errorf("%s: node %d by itself found %+v", name, i, found)
				}
			}
			all, err := r.store.Incidents(t.Context(), incident.Query{Open: true})
			if err != nil || len(all) != 1 || all[0].Version != 1 {
				t.Errorf("%s: incidents %+v, %v", name, all, err)
			}
			if events := r.events(all[0].ID); !slices.Equal(events, []incident.Event{incident.EventOpened, incident.EventPaused}) {
				t.Errorf("%s: timeline %v", name, events)
			}
			r.sold(1000)
			closed := all[0]
			closed.Version, closed.Status, closed.ClosedAt = 2, incident.Closed, r.now
			if _, err := r.store.ChangeIncident(t.Context(), incident.Change{Now: closed}); err != nil {
				t.Fatal(err)
			}
			for _, p := range nodes { // they are gone before the next ones begin
				lease := r.lease(p.epoch)
				if _, err := r.store.Takeover(t.Context(), lease, r.epoch, 10); err != nil {
					t.Fatal(err)
				}
			}
			r.now = r.now.Add(3 * time.Hour) // too long ago to be opened again
		}
	})
}

// lease reads a lease.
func (r *rig) lease(epoch int64) purchase.Lease {
	r.t.Helper()
	all, err := r.store.Leases(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return all[slices.IndexFunc(all, func(l purchase.Lease) bool { return l.Epoch == epoch })]
}

// nobody is a store in which no other node tells anything.
type nobody struct{}

func (nobody) ExchangeTallies(context.Context, incident.NodeTally) ([]incident.NodeTally, error) {
	return nil, nil
}

// TestNodesKeepStep: what several nodes tell is counted once, also where it is corrected, told late, or told by a clock that is
// set; what is found elsewhere keeps an incident from recovering until it is found no more, or nothing is heard.
func TestNodesKeepStep(t *testing.T) {
	r := begin(t, "sqlite:"+t.TempDir()+"/tenu.db")
	one, two := r.party(0, r.store), r.party(time.Minute, r.store)
	nodes := []*party{one, two}
	began := r.now
	who := purchase.MSISDN(22670000000)
	sum := func(paid, credited, failed int64) {
		t.Helper()
		for i, p := range nodes {
			if a, b, c := p.signals.Sold(ocs, began.Add(p.apart-time.Minute), r.now.Add(p.apart)); a != paid || b != credited || c != failed {
				t.Errorf("node %d sees %d paid, %d credited, %d failed, want %d, %d, %d", i, a, b, c, paid, credited, failed)
			}
		}
	}
	var late purchase.Instant
	r.turn(30*time.Second, nodes, func(n int) {
		who++
		nodes[n%2].buy(r.now, who, time.Second)
		if n == 10 {
			late = r.now
			two.buy(late, who+1000, 0)
		}
	})
	r.turn(20*time.Second, nodes, nothing)
	sum(31, 30, 1)
	// It was credited in time, and the commit came late: the others hear of it.
	p := purchase.Purchase{ID: 1, State: purchase.Crediting, CreatedAt: late.Add(two.apart), ChargedAt: late.Add(two.apart),
		Request: purchase.Request{Product: "airtime", Provider: "ocs", Payer: "wallet", Channel: "app", Recipient: who, Currency: money.XOF}}
	now := p
	now.State, now.ClosedAt = purchase.Credited, p.ChargedAt.Add(9*time.Second)
	two.signals.Committed(&purchase.Change{Was: purchase.Before{State: p.State, Provider: p.Provider}, Now: now, Evidence: &purchase.Evidence{At: now.ClosedAt}})
	r.turn(10*time.Second, nodes, nothing)
	sum(31, 31, 0)
	// A clock that is set back or forward has nothing counted twice.
	for _, by := range []time.Duration{-20 * time.Second, 40 * time.Second, 10 * time.Minute} {
		two.apart += by
		r.turn(5*time.Second, nodes, nothing)
	}
	if paid, _, _ := one.signals.Sold(ocs, began.Add(-time.Minute), r.now); paid != 31 {
		t.Errorf("after a clock was set %d are counted", paid)
	}
	if one.Fails(ocs) {
		t.Error("something fails elsewhere")
	}
	r.turn(40*time.Second, nodes[1:], func(n int) {
		if who += 7; n%4 == 0 {
			two.buy(r.now, who, 0)
		}
	})
	if _, err := one.Step(t.Context(), r.now); err != nil || len(two.detector.Active()) != 1 || !one.Fails(ocs) || one.Fails(incident.Series{By: incident.ByPayer, Name: "ocs"}) {
		t.Errorf("what fails elsewhere is not known: %+v, %v", two.detector.Active(), err)
	}
	two.epoch = 0 // it thinks itself alone, and tells nothing any more
	r.turn(50*time.Second, []*party{one}, nothing)
	if one.Fails(ocs) {
		t.Error("what was told long ago holds on")
	}
}

// strange is a store that tells what nobody wrote.
type strange struct{ data string }

func (s *strange) ExchangeTallies(_ context.Context, own incident.NodeTally) ([]incident.NodeTally, error) {
	return []incident.NodeTally{{Epoch: own.Epoch + 1, Seq: own.Seq, Data: []byte(s.data)}}, nil
}

var strangeTallies = []string{"", "{", `{"v":2,"cells":"x"}`, `{"v":1,"at":-1}`, `{"v":1,"at":1800000000000000,"cells":[{"of":["a","b"],"b":[[1,5,6,0,0,0,0]]}]}`,
	`{"v":1,"cells":[{"of":["` + strings.Repeat("x", 300) + `"],"b":[]}]}`, `{"v":1,"at":9,"cells":[{"of":["a"],"b":[[99999999,1,0,0,0,0,0]]}]}`}

// TestStrangeTallies: what cannot be is told, and counts nothing; another version's says nothing.
func TestStrangeTallies(t *testing.T) {
	r := begin(t, "sqlite:"+t.TempDir()+"/tenu.db")
	from := &strange{}
	p := r.party(0, from)
	for _, from.data = range append(strangeTallies, `{"v":2}`) {
		_, err := p.Step(t.Context(), r.now)
		if series, _, _ := p.signals.Counts(); series != 0 || (err == nil) != (from.data == `{"v":2}`) {
			t.Errorf("%s: %d series, %v", from.data, series, err)
		}
	}
}

// FuzzTally: whatever another node tells, nothing breaks, what is counted is bounded, and no more is credited than was paid.
func FuzzTally(f *testing.F) {
	for _, data := range strangeTallies {
		f.Add(data)
	}
	f.Add(`{"v":1,"at":1815048000000000,"cells":[{"of":["airtime","ocs","wallet","app",""],"b":[[3,5,2,1,1,7,3],[4,1,1,0,0,1,1]]}],"fails":[{"by":2,"name":"ocs"}]}`)
	f.Fuzz(func(t *testing.T, data string) {
		from := &strange{data}
		signals, detector := incident.NewSignals(incident.SignalsConfig{}), incident.NewDetector(incident.DetectorConfig{})
		x, err := incident.NewExchange(incident.ExchangeConfig{Store: from, Signals: signals, Detector: detector, Epoch: func() int64 { return 1 }, Alone: func() bool { return false }})
		if err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			now := noon.Add(time.Duration(n) * time.Second)
			_, _ = x.Step(t.Context(), now)
			reading := signals.Read(now.Add(time.Minute))
			for _, s := range reading.Series {
				if s.Hour.Missed < 0 || s.Hour.Missed > s.Hour.Paid || s.Long.Missed > s.Long.Paid {
					t.Fatalf("%+v", s)
				}
			}
			detector.Step(now, reading)
		}
	})
}
