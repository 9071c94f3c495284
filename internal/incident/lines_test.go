package incident

import (
	"testing"
	"time"

	"tenu/internal/purchase"
)

// refuseLines lets a provider refuse a share of its purchases at once for the line, beside the ordinary traffic.
func (s *stage) refuseLines(d time.Duration, share float64, reason purchase.Reason) (found []Finding) {
	for range d / (2 * time.Second) {
		for range 2 {
			s.now = s.now.Add(time.Second)
			for range poisson(s.rng, s.rate()) {
				w := s.wish()
				s.tell(&w, 0, purchase.Charging, w.charged)
				s.tell(&w, purchase.Charging, purchase.Crediting, w.charged)
				if w.provider != "ocs" || s.rng.Float64() > share {
					s.tell(&w, purchase.Crediting, purchase.Credited, w.charged.Add(time.Second))
					continue
				}
				s.refuse(&w, reason)
			}
		}
		s.signals.ReadInto(&s.r, s.now)
		found = append(found, s.d.Step(s.now, s.r)...)
	}
	return found
}

// refuse is tell of a credit that is refused.
func (s *stage) refuse(of *sale, reason purchase.Reason) {
	s.id++
	c := purchase.Change{Was: purchase.Before{State: purchase.Crediting, Provider: of.provider}}
	p := &c.Now
	p.ID, p.Version, p.State, p.CreatedAt, p.ChargedAt = s.id, 2, purchase.Refunding, of.charged, of.charged
	p.Product, p.Provider, p.Payer, p.Channel, p.Recipient = of.product, of.provider, of.payer, of.channel, of.recipient
	c.Evidence = &purchase.Evidence{Leg: purchase.Credit, Outcome: purchase.Outcome{Kind: purchase.Refused, Reason: reason}, At: of.charged.Add(time.Second)}
	s.signals.Committed(&c)
}

// Dead and barred lines are no failure of the provider that says so, however many: a third of an hour's. The same share refused for
// another reason is.
func TestLinesAreNoFailure(t *testing.T) {
	ocs := Series{ByProvider, "ocs"}
	for _, reason := range []purchase.Reason{purchase.ReasonUnknownLine, purchase.ReasonBarredLine} {
		s := newStage(t, 60_000, "2026-03-03T12:00:00")
		s.none(s.refuseLines(time.Hour, 0.35, reason))
		for _, r := range s.signals.Read(s.now).Series {
			if r.Hour.Missed != 0 {
				t.Errorf("%s: %d missed of %s", reason, r.Hour.Missed, r.Series)
			}
		}
	}
	s := newStage(t, 60_000, "2026-03-03T12:00:00")
	if found := s.refuseLines(5*time.Minute, 0.35, purchase.ReasonOther); len(found) != 1 || found[0].Series != ocs {
		t.Errorf("found %+v", found)
	}
}

// A provider that knows nearly nobody any more fails, and is well when it knows them again.
func TestUnknownToAll(t *testing.T) {
	s, ocs := newStage(t, 60_000, "2026-03-03T12:00:00"), Series{ByProvider, "ocs"}
	s.none(s.refuseLines(10*time.Minute, 0.02, purchase.ReasonUnknownLine))
	begin := s.now
	found := s.refuseLines(2*time.Minute, 0.98, purchase.ReasonUnknownLine)
	s.only(found, ocs, RuleLines, false)
	if took := found[0].At.Sub(begin); took > time.Minute || found[0].Since < begin.Add(-5*time.Second) || !DefaultPauses(found[0]) {
		t.Errorf("found after %s, since %s, begun %s", took, found[0].Since, begin)
	}
	s.only(s.refuseLines(5*time.Minute, 0.02, purchase.ReasonUnknownLine), ocs, RuleLines, true)
}

// One list of old numbers, dealt out by one client for an hour, stops nobody's sales.
func TestListOfOldNumbers(t *testing.T) {
	s := newStage(t, 20_000, "2026-03-03T12:00:00")
	s.none(s.refuseLines(time.Hour, 0.55, purchase.ReasonUnknownLine))
}
