package incident_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// past sells so many a minute, evenly but for chance, in weeks before a time.
type past struct {
	since, till purchase.Instant
	perMinute   int
	failed      [2]purchase.Instant // an incident
	most        int                 // that were read at once
	down        bool
}

func (p *past) Incidents(context.Context, incident.Query) ([]incident.Incident, error) {
	if p.failed[0] == 0 {
		return nil, nil
	}
	return []incident.Incident{{Series: ocs, Since: p.failed[0], ResolvedAt: p.failed[1]}}, nil
}

func (p *past) Pauses(context.Context, purchase.Instant) ([]incident.Pause, error) { return nil, nil }

func (p *past) Sales(_ context.Context, q incident.SalesQuery, see func(*incident.Sale)) error {
	if p.down {
		return purchase.ErrUnavailable
	}
	n := 0
	rng := rand.New(rand.NewPCG(uint64(q.From), 1)) //nolint:gosec // chance that can be repeated
	for at := max(q.From, p.since); at < min(q.Till, p.till); at = at.Add(time.Duration(rng.Int64N(2*int64(time.Minute)/int64(p.perMinute)) + 1)) {
		if p.failed[0] <= at && at < p.failed[1] {
			continue
		}
		if n++; n > q.Most {
			return incident.ErrTooMany
		}
		see(&incident.Sale{Made: at, Charged: at, Product: "airtime", Provider: "ocs", Payer: "wallet", Channel: "ussd", Recipient: 22670000000})
	}
	p.most = max(p.most, n)
	return nil
}

// quiet lets a process begin at an instant, learn, sell for a while and then nothing, and returns what it finds within half an hour.
func quiet(t *testing.T, p *past, learn bool) (found []incident.Finding, began purchase.Instant) {
	t.Helper()
	d := incident.NewDetector(incident.DetectorConfig{})
	signals := incident.NewSignals(incident.SignalsConfig{})
	if learn {
		if hours, err := incident.LearnHistory(t.Context(), incident.HistoryConfig{Store: p, Detector: d, Operator: func(purchase.MSISDN) string { return "orange" }}, p.till); err != nil || hours < 2*7*24 {
			t.Fatalf("%d hours learnt, %v", hours, err)
		}
	}
	id := purchase.ID(0)
	now := p.till
	for step := range 90 * 30 { // an hour of sales, and half an hour of none
		now = now.Add(2 * time.Second)
		if step < 60*30 {
			id++
			c := purchase.Change{Was: purchase.Before{State: purchase.Charging, Provider: "ocs"}, Now: purchase.Purchase{Request: purchase.Request{
				Product: "airtime", Provider: "ocs", Payer: "wallet", Channel: "ussd", Recipient: 22670000000}, ID: id, Version: 2, State: purchase.Crediting, CreatedAt: now, ChargedAt: now}}
			signals.Committed(&c)
			c.Was.State, c.Now.State, c.Evidence = purchase.Crediting, purchase.Credited, &purchase.Evidence{At: now}
			signals.Committed(&c)
			began = now
		}
		found = append(found, d.Step(now, signals.Read(now))...)
	}
	return found, began
}

// TestHistoryIsLearnt: a process that has just begun finds silence when it learnt how it was; without that it does not.
func TestHistoryIsLearnt(t *testing.T) {
	till := purchase.At(time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC))
	p := &past{since: till.Add(-28 * 24 * time.Hour), till: till, perMinute: 30}
	if found, _ := quiet(t, p, false); len(found) != 0 {
		t.Errorf("without a rhythm: %+v", found)
	}
	found, began := quiet(t, p, true)
	if len(found) != 1 || found[0].Rule != incident.RuleSilence || found[0].Series.By != incident.ByChannel {
		t.Fatalf("found %+v", found)
	}
	if took := found[0].At.Sub(began); took < time.Minute || took > 5*time.Minute {
		t.Errorf("found after %s", took)
	}
}

// TestHistoryIsBounded: of hours in which much was sold a part is read, and stands for the whole.
func TestHistoryIsBounded(t *testing.T) {
	till := purchase.At(time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC))
	p := &past{since: till.Add(-28 * 24 * time.Hour), till: till, perMinute: 1000}
	if found, _ := quiet(t, p, true); len(found) != 1 || found[0].Rule != incident.RuleSilence {
		t.Errorf("found %+v", found)
	}
	if p.most > 10_000 {
		t.Errorf("%d were read of one hour", p.most)
	}
	// Of what failed for the whole time but an hour, nothing is learnt; nor of a store that is down.
	d := incident.NewDetector(incident.DetectorConfig{})
	p = &past{since: p.since, till: till, perMinute: 1, failed: [2]purchase.Instant{p.since, till.Add(-90 * time.Minute)}}
	if hours, err := incident.LearnHistory(t.Context(), incident.HistoryConfig{Store: p, Detector: d}, till); err != nil || hours != 1 {
		t.Errorf("%d hours of a failure learnt, %v", hours, err)
	}
	p.down = true
	if _, err := incident.LearnHistory(t.Context(), incident.HistoryConfig{Store: p, Detector: d}, till); !errors.Is(err, purchase.ErrUnavailable) {
		t.Errorf("of a store that is down: %v", err)
	}
}

// TestHistoryOfAStore: what a real store sold is learnt, what was never charged is not.
func TestHistoryOfAStore(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		r := begin(t, dsn)
		r.sell(someone, charged, credited)
		r.now = r.now.Add(3 * time.Hour)
		d := incident.NewDetector(incident.DetectorConfig{})
		hours, err := incident.LearnHistory(t.Context(), incident.HistoryConfig{Store: r.store, Detector: d}, r.now)
		if err != nil || hours != 3 {
			t.Errorf("%d hours learnt, %v", hours, err)
		}
	})
}
