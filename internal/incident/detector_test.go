package incident

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tenu/internal/purchase"
)

// stage is a detector at work on simulated traffic.
type stage struct {
	*testing.T
	*traffic
	d *Detector
	r Readings
}

func newStage(t *testing.T, perDay float64, at string) *stage {
	t.Helper()
	s := &stage{T: t, traffic: newTraffic(5, perDay, instant(at)), d: NewDetector(DetectorConfig{})}
	s.ordinary = false
	return s
}

// pass lets time pass, and returns what was found with what the traffic did meanwhile.
func (s *stage) pass(d time.Duration) (found []Finding) {
	for range d / (2 * time.Second) {
		s.second()
		s.second()
		s.signals.ReadInto(&s.r, s.now)
		found = append(found, s.d.Step(s.now, s.r)...)
	}
	return found
}

// only fails unless that is what was found.
func (s *stage) only(found []Finding, of Series, rule Rule, well bool) {
	s.Helper()
	if len(found) != 1 || found[0].Series != of || found[0].Rule != rule || found[0].Well != well {
		s.Fatalf("found %+v, want %s of %+v, well %t", found, rule, of, well)
	}
}

func (s *stage) none(found []Finding) {
	s.Helper()
	if len(found) != 0 {
		s.Fatalf("found %+v", found)
	}
}

// An outage is found once, is over once, and is found again when it comes again.
func TestOutageIsOverAndComesAgain(t *testing.T) {
	s, ocs := newStage(t, 60_000, "2026-03-03T12:00:00"), Series{ByProvider, "ocs"}
	s.none(s.pass(10 * time.Minute))
	for range 2 {
		s.outage = &outage{kind: "accepts", of: ocs, since: s.now}
		s.only(s.pass(10*time.Minute), ocs, RuleAbsolute, false)
		if s.d.Well(ocs) || len(s.d.Active()) != 1 || !s.d.Well(Series{ByProvider, "air"}) {
			t.Fatalf("active %+v", s.d.Active())
		}
		s.outage = nil
		s.only(s.pass(4*time.Minute), ocs, RuleAbsolute, true)
		if !s.d.Well(ocs) {
			t.Error("well, and not")
		}
		// What burnt the budget over the hour and the six hours is explained.
		s.none(s.pass(20 * time.Minute))
	}
}

// Who ends a finding is heard; if it goes on failing it is found anew.
func TestEndedByHand(t *testing.T) {
	s, data := newStage(t, 60_000, "2026-03-03T12:00:00"), Series{ByProduct, "data-day"}
	s.outage = &outage{kind: "accepts", of: data, since: s.now}
	s.only(s.pass(5*time.Minute), data, RuleAbsolute, false)
	s.d.End(data, s.now)
	s.d.End(Series{ByProduct, "no such"}, s.now)
	if !s.d.Well(data) {
		t.Error("it was ended")
	}
	s.only(s.pass(5*time.Minute), data, RuleAbsolute, false)
}

// A blip is no outage, however much is sold and even where nothing is known of the time
// before it.
func TestBlipIsNoOutage(t *testing.T) {
	for _, perDay := range []float64{60_000, 3_000_000} {
		s := newStage(t, perDay, "2026-03-03T18:00:00")
		ocs := Series{ByProvider, "ocs"}
		for range 4 {
			s.outage = &outage{kind: "lost", of: ocs, since: s.now.Add(time.Duration(s.rng.IntN(5)) * time.Second)}
			s.none(s.pass(12 * time.Second))
			s.outage = nil
			s.none(s.pass(15 * time.Minute))
		}
	}
}

// Two things that fail at once are both named, and nothing else is.
func TestTwoOutagesAtOnce(t *testing.T) {
	s := newStage(t, 60_000, "2026-03-03T18:00:00")
	s.none(s.pass(5 * time.Minute))
	air, week := Series{ByProvider, "air"}, Series{ByProduct, "data-week"}
	s.outage = &outage{kind: "accepts", of: air, since: s.now, also: &outage{kind: "accepts", of: week, since: s.now.Add(time.Minute)}}
	found := s.pass(15 * time.Minute)
	if len(found) != 2 || found[0].Series != air || found[1].Series != week {
		t.Errorf("found %+v", found)
	}
}

// Where everything fails, every provider is named: the cause is none of them, and
// nothing should be sold.
func TestAllFail(t *testing.T) {
	s := newStage(t, 60_000, "2026-03-03T12:00:00")
	s.none(s.pass(5 * time.Minute))
	s.outage = &outage{kind: "accepts", of: Series{ByProvider, "air"}, since: s.now, also: &outage{kind: "accepts", of: Series{ByProvider, "ocs"}, since: s.now}}
	found := s.pass(10 * time.Minute)
	if len(found) != 2 || found[0].Series.By != ByProvider || found[1].Series.By != ByProvider {
		t.Errorf("found %+v", found)
	}
}

// A share of failures that no few minutes show burns the budget.
func TestBurn(t *testing.T) {
	for _, c := range []struct {
		share float64
		rule  Rule
		least time.Duration
	}{{0.12, RuleFastBurn, 5 * time.Minute}, {0.06, RuleSlowBurn, 30 * time.Minute}} {
		s, air := newStage(t, 60_000, "2026-03-03T12:00:00"), Series{ByProvider, "air"}
		s.d = NewDetector(DetectorConfig{Failing: 0.5})
		begin := s.now
		s.outage = &outage{kind: "partial", of: air, since: s.now, share: c.share}
		var found []Finding
		for len(found) == 0 && s.now.Sub(begin) < 5*time.Hour {
			found = s.pass(time.Minute)
		}
		s.only(found, air, c.rule, false)
		s.Logf("%.0f %% were found by %s after %s", 100*c.share, c.rule, s.now.Sub(begin))
		s.outage = nil
		s.only(s.pass(40*time.Minute), air, c.rule, true)
	}
}

// One order that is tried in vain again and again says nothing of the partner, and many
// purchases that wait for it do.
func TestAnswersOfOneOrder(t *testing.T) {
	s, ocs := newStage(t, 0, "2026-03-03T03:00:00"), Series{ByProvider, "ocs"}
	one := s.wish()
	one.provider, one.charged = "ocs", s.now
	stuck := func() {
		s.tell(&one, 0, purchase.Charging, s.now)
		s.tell(&one, purchase.Charging, purchase.Crediting, s.now)
	}
	stuck()
	for range 100 {
		s.partners[ocs].Answers.Unknown++
		s.none(s.pass(6 * time.Second))
	}
	stuck()
	stuck()
	s.partners[ocs].Answers.Unknown++
	found := s.pass(2 * time.Second)
	s.only(found, ocs, RuleAnswers, false)
	for range 20 {
		s.partners[ocs].Answers.Done++
		found = append(found, s.pass(4*time.Second)...)
	}
	s.only(found[1:], ocs, RuleAnswers, true)
}

func TestHeartbeat(t *testing.T) {
	s, air := newStage(t, 20_000, "2026-03-03T12:00:00"), Series{ByProvider, "air"}
	s.none(s.pass(time.Minute))
	s.partners[air].Health = Unavailable
	s.only(s.pass(2*time.Second), air, RuleHeartbeat, false)
	s.none(s.pass(time.Minute))
	s.partners[air].Health = Available
	s.none(s.pass(20 * time.Second))
	s.only(s.pass(time.Minute), air, RuleHeartbeat, true)

	s.partners[air].Health = Degraded
	s.none(s.pass(9*time.Minute + 50*time.Second))
	s.only(s.pass(20*time.Second), air, RuleHeartbeat, false)
	s.partners[air].Health = Available
	s.only(s.pass(3*time.Minute), air, RuleHeartbeat, true)
	s.none(s.pass(5 * time.Minute))

	s.partners[air].Health = Degraded
	s.outage = &outage{kind: "accepts", of: air, since: s.now}
	s.only(s.pass(3*time.Minute), air, RuleHeartbeat, false)
}

// A silence that a pause explains is none.
func TestPausedIsNotSilent(t *testing.T) {
	for _, paused := range []bool{false, true} {
		s, ussd := newStage(t, 60_000, "2026-03-03T12:00:00"), Series{ByChannel, "ussd"}
		s.signals.cfg.Paused = func() []Series {
			if paused {
				return []Series{ussd}
			}
			return nil
		}
		teach(s.rng, s.d, s.perDay, s.now)
		s.none(s.pass(20 * time.Minute))
		s.outage = &outage{kind: "silence", of: ussd, since: s.now}
		found := s.pass(10 * time.Minute)
		if paused {
			s.none(found)
			continue
		}
		s.only(found, ussd, RuleSilence, false)
		s.outage = nil
		s.only(s.pass(time.Minute), ussd, RuleSilence, true)
	}
}

// Who sells in batches is silent between them, and nothing is wrong.
func TestBatchesAreNotSilent(t *testing.T) {
	d, api := NewDetector(DetectorConfig{}), Series{ByChannel, "api"}
	at := instant("2026-03-02T00:00:00")
	for hour := range 3 * 7 * 24 {
		d.Learn(api, at.Add(time.Duration(hour)*time.Hour), 2000, 29*time.Minute)
	}
	now, last := at.Add(4*7*24*time.Hour), at.Add(4*7*24*time.Hour)
	total := int64(0)
	step := func(till purchase.Instant) (found []Finding) {
		for ; now < till; now = now.Add(5 * time.Second) {
			found = append(found, d.Step(now, Readings{At: now, Judged: now, Series: []Reading{{Series: api, Total: total, LastPaid: last, Hour: Count{Paid: 2000}}}})...)
		}
		return found
	}
	for range 48 {
		if f := step(last.Add(30 * time.Minute)); len(f) != 0 {
			t.Fatalf("found %+v", f)
		}
		last, total = now, total+1000
	}
	if f := step(last.Add(2 * time.Hour)); len(f) != 1 || f[0].Rule != RuleSilence {
		t.Errorf("in two hours of silence: %+v", f)
	}
}

// Whatever the readings: no panic, a series is found or well by turns and at most once
// in a step, the same readings make the same findings.
func TestDetectorTakesAnyReadings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, twin := NewDetector(DetectorConfig{}), NewDetector(DetectorConfig{})
		failing := map[Series]bool{}
		now := purchase.Instant(rapid.Int64Range(-1e12, 2e15).Draw(t, "begin"))
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			if rapid.IntRange(0, 9).Draw(t, "set") == 0 {
				now += purchase.Instant(rapid.Int64Range(-1e13, 1e13).Draw(t, "leap"))
			} else {
				now += purchase.Instant(rapid.Int64Range(0, 2e7).Draw(t, "wait"))
			}
			r := anyReadings(t, now)
			found := d.Step(now, r)
			if again := twin.Step(now, r); !slices.Equal(found, again) {
				t.Fatalf("%+v, and with the same readings %+v", found, again)
			}
			seen := map[Series]bool{}
			for _, f := range found {
				if seen[f.Series] || failing[f.Series] != f.Well || f.Series.Name == "" {
					t.Fatalf("%+v, when failing is %t", found, failing[f.Series])
				}
				seen[f.Series], failing[f.Series] = true, !f.Well
				if d.Well(f.Series) != f.Well || f.At != now || f.Since > now {
					t.Fatalf("%+v at %s", f, now)
				}
			}
			if rapid.IntRange(0, 20).Draw(t, "hand") == 0 {
				for _, f := range d.Active() {
					d.End(f.Series, now)
					twin.End(f.Series, now)
					failing[f.Series] = false
				}
			}
		}
	})
}

func anyReadings(t *rapid.T, now purchase.Instant) Readings {
	any32 := rapid.OneOf(rapid.Uint32Range(0, 5), rapid.Uint32Range(0, 50), rapid.Uint32())
	buckets := func(width time.Duration, n int) (all []SaleBucket) {
		at := floorTo(now, width).Add(-time.Duration(n) * width)
		for range n {
			at = at.Add(width)
			paid := any32.Draw(t, "paid")
			all = append(all, SaleBucket{At: at.Add(-width), Width: width, Paid: paid, InTime: any32.Draw(t, "in time"), Who: rapid.Uint64().Draw(t, "who"),
				Served: rapid.Uint64().Draw(t, "served")})
		}
		return all
	}
	all := []Series{{ByProduct, "a"}, {ByProvider, "b"}, {ByProvider, "c"}, {ByPayer, "d"}, {ByChannel, "e"}, {ByOperator, "f"}}
	r := Readings{At: now, Judged: floorTo(now.Add(-11*time.Second), fineWidth), Notices: buckets(fineWidth, 12)}
	for _, s := range all {
		one := Reading{Series: s, Total: rapid.Int64Range(0, 1e6).Draw(t, "total"), LastPaid: now - purchase.Instant(rapid.Int64Range(-1e7, 1e10).Draw(t, "last"))}
		if rapid.Bool().Draw(t, "recent") {
			one.Recent = buckets(fineWidth, rapid.IntRange(0, 20).Draw(t, "buckets"))
			one.Hour = countFrom(one.Recent, math.MinInt64)
			one.Long = one.Hour
		}
		r.Series = append(r.Series, one)
		if s.By == ByProvider || s.By == ByPayer {
			r.Partners = append(r.Partners, PartnerReading{Partner: Partner{Series: s, Health: Health(rapid.IntRange(0, 2).Draw(t, "health")),
				Tripped: rapid.Bool().Draw(t, "tripped")}, Unsettled: rapid.Int64Range(0, 10).Draw(t, "unsettled"),
				Recent: []AnswerBucket{{At: floorTo(now, fineWidth), Good: rapid.Int64Range(0, 100).Draw(t, "good"), Bad: rapid.Int64Range(0, 100).Draw(t, "bad")}}})
		}
	}
	if rapid.IntRange(0, 9).Draw(t, "paused") == 0 {
		r.Paused = all[:1]
	}
	if rapid.IntRange(0, 9).Draw(t, "no cells") == 0 {
		return r
	}
	cells := []Cell{}
	for i := range rapid.IntRange(0, 6).Draw(t, "cells") {
		cells = append(cells, Cell{Of: [5]Series{all[0], all[1+i%2], all[3], all[4], {ByOperator, fmt.Sprint("f", i%3)}}, Buckets: buckets(fineWidth, 20)})
	}
	r.Cells = func(purchase.Instant) []Cell { return cells }
	return r
}
