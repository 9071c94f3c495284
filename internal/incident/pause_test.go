package incident_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// pauseMemory keeps pauses as a database does; storetest holds those to the same.
type pauseMemory struct {
	mu     sync.Mutex
	pauses []incident.Pause
	down   bool
	writes int

	refused map[incident.Refused]int64 // by pause and minute
}

func (m *pauseMemory) CountRefused(_ context.Context, all []incident.Refused) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return purchase.ErrUnavailable
	}
	if m.refused == nil {
		m.refused = map[incident.Refused]int64{}
	}
	for _, r := range all {
		m.refused[incident.Refused{Pause: r.Pause, Minute: r.Minute}] += r.Count
	}
	return nil
}

func (m *pauseMemory) ChangePause(_ context.Context, p incident.Pause) (incident.Pause, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return incident.Pause{}, purchase.ErrUnavailable
	}
	m.writes++
	if p.ID == 0 {
		if slices.ContainsFunc(m.pauses, func(q incident.Pause) bool { return q.Series == p.Series && q.EndedAt == 0 }) {
			return p, fmt.Errorf("write: %w", incident.ErrPaused)
		}
		p.ID, p.Version = int64(len(m.pauses)+1), 1
		m.pauses = append(m.pauses, p)
		return p, nil
	}
	if p.ID > int64(len(m.pauses)) {
		return p, incident.ErrNotFound
	}
	was := &m.pauses[p.ID-1]
	if was.Version != p.Version-1 || was.EndedAt != 0 {
		return p, fmt.Errorf("write: %w", incident.ErrStale)
	}
	*was = p
	return p, nil
}

func (m *pauseMemory) Pauses(_ context.Context, since purchase.Instant) (list []incident.Pause, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return nil, purchase.ErrUnavailable
	}
	for _, p := range m.pauses {
		if p.EndedAt == 0 || p.EndedAt >= since {
			list = append(list, p)
		}
	}
	return list, nil
}

// pauseClock is set by the test.
type pauseClock struct {
	mu  sync.Mutex
	now purchase.Instant
}

func (c *pauseClock) Now() purchase.Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *pauseClock) After(time.Duration) <-chan time.Time { return make(chan time.Time) }

func (c *pauseClock) set(now purchase.Instant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// pauseNoon is when tests begin.
const pauseNoon = purchase.Instant(1_800_000_000_000_000)

// ocs and the rest are what the tests' installation has.
var (
	ocs       = incident.Series{By: incident.ByProvider, Name: "ocs"}
	wallet    = incident.Series{By: incident.ByPayer, Name: "wallet"}
	dataDay   = incident.Series{By: incident.ByProduct, Name: "data-day"}
	onUSSD    = incident.Series{By: incident.ByChannel, Name: "ussd"}
	ofMoov    = incident.Series{By: incident.ByOperator, Name: "moov"}
	allSeries = []incident.Series{ocs, wallet, dataDay, onUSSD, ofMoov}
)

// pauseRig is one node's switch, and what it asks.
type pauseRig struct {
	*incident.Switch
	t       testing.TB
	clock   *pauseClock
	canary  *pauseCanary
	traffic func(incident.Series, purchase.Instant) (paid, credited, failed int64)
	changes []incident.Pause
}

// pauseCanary answers as the test says, and remembers which probes it made.
type pauseCanary struct {
	mu     sync.Mutex
	answer func(p incident.Pause) incident.ProbeResult
	made   map[string]int // by pause and try, how often it was asked
	err    error
}

func (c *pauseCanary) Try(_ context.Context, p incident.Pause, _ purchase.Instant) (incident.ProbeResult, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made[fmt.Sprint(p.ID, " ", p.Tries)]++
	if c.err != nil {
		return incident.ProbeResult{}, c.err
	}
	return c.answer(p), nil
}

func (c *pauseCanary) tries() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.made)
}

func says(a incident.ProbeAnswer) func(incident.Pause) incident.ProbeResult {
	return func(incident.Pause) incident.ProbeResult { return incident.ProbeResult{Answer: a, Said: "as told"} }
}

// rigOn builds a node on a store.
func rigOn(t testing.TB, store incident.PauseStore, adapt func(*incident.SwitchConfig)) *pauseRig {
	t.Helper()
	r := &pauseRig{t: t, clock: &pauseClock{now: pauseNoon}, canary: &pauseCanary{answer: says(incident.ProbeGood), made: map[string]int{}},
		traffic: func(incident.Series, purchase.Instant) (paid, credited, failed int64) { return 0, 0, 0 }}
	cfg := incident.SwitchConfig{Store: store, Clock: r.clock, Canary: r.canary,
		Known:    func(s incident.Series) bool { return slices.Contains(allSeries, s) },
		Operator: func(n purchase.MSISDN) string { return map[bool]string{true: "moov", false: "orange"}[n%2 == 0] },
		Passes:   func(r *purchase.Request) bool { return r.Payer == "house" },
		Reading: func(s incident.Series, since purchase.Instant) (paid, credited, failed int64) {
			return r.traffic(s, since)
		},
		Changed: func(p incident.Pause) { r.changes = append(r.changes, p) }}
	if adapt != nil {
		adapt(&cfg)
	}
	var err error
	if r.Switch, err = incident.NewSwitch(cfg); err != nil {
		t.Fatal(err)
	}
	return r
}

// step moves the clock on, and steps.
func (r *pauseRig) step(d time.Duration) {
	r.t.Helper()
	r.clock.set(r.clock.Now().Add(d))
	next, err := r.Step(r.t.Context(), r.clock.Now())
	if err != nil {
		r.t.Fatalf("step: %v", err)
	}
	if now := r.clock.Now(); next <= now || next > now.Add(time.Second) {
		r.t.Fatalf("the next step is at %s, at %s", next, now)
	}
}

// pause pauses, as the system does.
func (r *pauseRig) pause(s incident.Series) incident.Pause {
	r.t.Helper()
	p, err := r.Pause(r.t.Context(), incident.Actor{}, s, "it fails", false)
	if err != nil {
		r.t.Fatalf("pause %s: %v", s, err)
	}
	return p
}

// only is the one pause that lasts.
func (r *pauseRig) only() incident.Pause {
	r.t.Helper()
	all := r.Pauses()
	if len(all) != 1 {
		r.t.Fatalf("%d pauses last: %+v", len(all), all)
	}
	return all[0]
}

// wished is a purchase for a line.
func wished(line purchase.MSISDN) *purchase.Request {
	return &purchase.Request{Channel: "ussd", Recipient: line, PayerNumber: line, Payer: "wallet", Provider: "ocs", Product: "data-day"}
}
