package incident_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// shares are the shares that a switch went through, each once in a row.
func (r *pauseRig) shares() (all []int) {
	for _, p := range r.changes {
		if len(all) == 0 || all[len(all)-1] != p.Share {
			all = append(all, p.Share)
		}
	}
	return all
}

// TestRampReopens: probes, then a hundredth, a tenth, half, all, each held for a while.
func TestRampReopens(t *testing.T) {
	for name, traffic := range map[string]func(incident.Series, purchase.Instant) (paid, credited, failed int64){
		"much": func(incident.Series, purchase.Instant) (paid, credited, failed int64) { return 1000, 995, 1 },
		"none": func(incident.Series, purchase.Instant) (paid, credited, failed int64) { return 0, 0, 0 },
	} {
		r := rigOn(t, &pauseMemory{}, nil)
		r.traffic = traffic
		r.pause(ocs)
		began := r.clock.Now()
		for len(r.Pauses()) > 0 {
			if r.step(500 * time.Millisecond); r.clock.Now().Sub(began) > 10*time.Minute {
				t.Fatalf("%s: it does not end: %+v", name, r.Pauses())
			}
		}
		if got := r.shares(); !slices.Equal(got, []int{0, 10, 100, 500, 1000}) {
			t.Errorf("%s: shares %v", name, got)
		}
		took := r.clock.Now().Sub(began)
		want, probes := 25*time.Second+3*15*time.Second, 3
		if name == "none" { // then each share grows by a probe of its own
			want, probes = 25*time.Second+3*time.Minute, 6
		}
		if took < want || took > want+2*time.Second || r.canary.tries() != probes {
			t.Errorf("%s: took %s with %d probes", name, took, r.canary.tries())
		}
		if err := r.Admit(wished(1)); err != nil {
			t.Errorf("%s: refused after it: %v", name, err)
		}
	}
}

// TestRampWithoutProbe: where nothing can be tried, the first hundredth is the probe, and
// not at once.
func TestRampWithoutProbe(t *testing.T) {
	r := rigOn(t, &pauseMemory{}, nil)
	r.canary.answer = says(incident.ProbeNone)
	r.pause(onUSSD)
	for range 59 {
		if r.step(time.Second); r.only().Share != 0 {
			t.Fatalf("share %d at %s", r.only().Share, r.clock.Now())
		}
	}
	r.step(time.Second)
	if got := r.only().Share; got != 10 {
		t.Fatalf("share %d after a minute", got)
	}
	r.traffic = func(incident.Series, purchase.Instant) (paid, credited, failed int64) { return 5, 2, 1 }
	r.step(time.Second)
	if p := r.only(); p.Share != 0 || !p.Failing || p.Falls != 1 {
		t.Errorf("with a failure: %+v", p)
	}
}

// TestRampHeld: what a person holds, no probe reopens.
func TestRampHeld(t *testing.T) {
	r := rigOn(t, &pauseMemory{}, nil)
	if _, err := r.Pause(t.Context(), incident.Actor{Staff: 3}, ocs, "maintenance", true); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		r.step(time.Minute)
	}
	if p := r.only(); p.Share != 0 || p.Version != 1 || r.canary.tries() != 0 {
		t.Errorf("%+v after %d probes", p, r.canary.tries())
	}
	if _, err := r.Resume(t.Context(), incident.Actor{Staff: 3}, 1, 1, "done", false); err != nil || r.Admit(wished(1)) != nil {
		t.Errorf("resume: %v", err)
	}
}

// TestRampWaitsLonger: each failure makes the next wait longer, to a bound; and so does a
// new pause soon after one.
func TestRampWaitsLonger(t *testing.T) {
	r := rigOn(t, &pauseMemory{}, nil)
	r.canary.answer = says(incident.ProbeBad)
	r.pause(ocs)
	var waits []time.Duration
	last := purchase.Instant(0)
	for len(waits) < 8 {
		before := r.canary.tries()
		if r.step(500 * time.Millisecond); r.canary.tries() > before {
			if last != 0 {
				waits = append(waits, r.clock.Now().Sub(last))
			}
			last = r.clock.Now()
		}
	}
	s := time.Second
	if want := []time.Duration{20 * s, 40 * s, 80 * s, 160 * s, 300 * s, 300 * s, 300 * s, 300 * s}; !slices.Equal(waits, want) {
		t.Errorf("waits %v, want %v", waits, want)
	}
	falls := r.only().Falls
	if _, err := r.Resume(t.Context(), incident.Actor{Staff: 1}, 1, 0, "it works", true); err != nil {
		t.Fatal(err)
	}
	r.step(30 * time.Minute)
	r.pause(ocs)
	made := r.canary.tries()
	if r.step(299 * time.Second); r.canary.tries() != made {
		t.Error("a new pause soon after one is probed at once")
	}
	r.step(time.Second)
	if p := r.only(); p.ID != 2 || p.Falls != falls+2 { // one for the new pause, one for its first probe
		t.Errorf("after %d falls: %+v", falls, p)
	}
	if _, err := r.Resume(t.Context(), incident.Actor{Staff: 1}, 2, 0, "it works", true); err != nil {
		t.Fatal(err)
	}
	r.step(61 * time.Minute)
	r.pause(ocs)
	r.step(5 * time.Second)
	if p := r.only(); p.ID != 3 || p.Falls != 1 {
		t.Errorf("long after: %+v", p)
	}
}

// TestRampFallsBack: what fails while the share grows goes back to nothing, by what is
// counted or by a new pause of the same series.
func TestRampFallsBack(t *testing.T) {
	for _, share := range []int{10, 100, 500} {
		for _, how := range []string{"counted", "paused again"} {
			r := rigOn(t, &pauseMemory{}, nil)
			r.traffic = func(incident.Series, purchase.Instant) (paid, credited, failed int64) { return 100, 99, 1 }
			r.pause(ocs)
			for r.only().Share < share {
				r.step(time.Second)
			}
			if how == "counted" {
				r.traffic = func(incident.Series, purchase.Instant) (paid, credited, failed int64) { return 100, 98, 2 }
				r.step(500 * time.Millisecond)
			} else {
				r.pause(ocs)
			}
			p := r.only()
			if p.Share != 0 || p.Falls != 1 || !p.Failing || p.Good != 0 || r.Admit(wished(1)) == nil {
				t.Errorf("at %d, %s: %+v", share, how, p)
			}
			made := r.canary.tries()
			if r.step(19 * time.Second); r.canary.tries() != made {
				t.Errorf("at %d, %s: probed at once", share, how)
			}
			if r.step(2 * time.Second); r.canary.tries() != made+1 {
				t.Errorf("at %d, %s: not probed", share, how)
			}
		}
	}
}

// TestRampAwaits: while most of what was paid is not credited yet, nothing grows: so a
// partner that accepts and does not credit is not believed.
func TestRampAwaits(t *testing.T) {
	r := rigOn(t, &pauseMemory{}, nil)
	r.traffic = func(incident.Series, purchase.Instant) (paid, credited, failed int64) { return 1000, 100, 0 }
	r.pause(ocs)
	for r.only().Share == 0 {
		r.step(time.Second)
	}
	for range 600 {
		r.step(time.Second)
	}
	if p := r.only(); p.Share != 10 {
		t.Errorf("share %d while 900 of 1000 are awaited", p.Share)
	}
}

// TestProbeWithoutAnswer: silence is a failure; an error of ours is none before that.
func TestProbeWithoutAnswer(t *testing.T) {
	for _, ours := range []error{nil, errors.New("the store is away")} {
		r := rigOn(t, &pauseMemory{}, nil)
		r.canary.answer, r.canary.err = says(incident.ProbePending), ours
		r.pause(ocs)
		for range 34 {
			r.clock.set(r.clock.Now().Add(time.Second))
			if _, err := r.Step(t.Context(), r.clock.Now()); ours == nil && err != nil {
				t.Fatal(err)
			}
			if p := r.only(); p.Failing {
				t.Fatalf("failing after %s", r.clock.Now().Sub(pauseNoon))
			}
		}
		r.clock.set(r.clock.Now().Add(time.Second))
		_, err := r.Step(t.Context(), r.clock.Now())
		if p := r.only(); !p.Failing || p.TryAt != 0 || !errors.Is(err, ours) {
			t.Errorf("after half a minute: %+v, %v", p, err)
		}
	}
}

// TestRampOfAnotherNode: a node that dies during a probe or between two shares is gone on
// for, with the same probe, and a good probe counts once.
func TestRampOfAnotherNode(t *testing.T) {
	store := &pauseMemory{}
	a := rigOn(t, store, nil)
	a.canary.answer = says(incident.ProbePending)
	a.pause(ocs)
	a.step(5 * time.Second)
	b := rigOn(t, store, nil)
	b.clock.set(a.clock.Now())
	b.step(29 * time.Second)
	if b.canary.tries() != 0 {
		t.Error("another node asks for a probe that is under way")
	}
	b.step(time.Second)
	if got := b.canary.made["1 1"]; got != 1 || b.only().Good != 1 {
		t.Errorf("the probe that was left was asked for %d times: %+v", got, b.only())
	}
	for b.only().Share < 100 {
		b.step(time.Second)
	}
	c := rigOn(t, store, nil)
	c.clock.set(b.clock.Now())
	c.step(0)
	if p := c.only(); p.Share != 100 || p != b.only() {
		t.Errorf("after a restart: %+v", p)
	}
	for len(c.Pauses()) > 0 {
		c.step(time.Second)
	}
	if got := c.shares(); !slices.Equal(got, []int{100, 500, 1000}) {
		t.Errorf("it went on by %v", got)
	}
}

// TestRampOfNodesAtOnce: many nodes that step at the same time make each probe once, and
// each share follows the one before.
func TestRampOfNodesAtOnce(t *testing.T) {
	store := &pauseMemory{}
	canary := &pauseCanary{answer: says(incident.ProbeGood), made: map[string]int{}}
	nodes := make([]*pauseRig, 8)
	for i := range nodes {
		nodes[i] = rigOn(t, store, func(c *incident.SwitchConfig) { c.Canary = canary })
	}
	nodes[0].pause(ocs)
	for i := range 500 {
		now := pauseNoon.Add(time.Duration(i) * 500 * time.Millisecond)
		var all sync.WaitGroup
		for _, n := range nodes {
			n.clock.set(now)
			all.Go(func() {
				if _, err := n.Step(context.Background(), now); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	p := store.pauses[0]
	if p.EndedAt == 0 || p.Share != 1000 || p.Tries != int64(len(canary.made)) {
		t.Fatalf("%+v, %d probes", p, len(canary.made))
	}
	for probe, times := range canary.made {
		if times != 1 {
			t.Errorf("probe %s was made %d times", probe, times)
		}
	}
	var versions []int64
	for _, n := range nodes {
		for _, change := range n.changes {
			versions = append(versions, change.Version)
		}
	}
	slices.Sort(versions)
	for i, v := range versions {
		if v != int64(i)+1 {
			t.Fatalf("versions %v: each is told once", versions)
		}
	}
}

// TestRampProperties: whatever probes and purchases say, the share goes one step up at a
// time, only after what was seen last went well, and to nothing after a failure; and once all
// is well it comes to its end.
func TestRampProperties(t *testing.T) {
	steps := []int{0, 10, 100, 500, 1000}
	rapid.Check(t, func(rt *rapid.T) {
		store := &pauseMemory{}
		nodes := []*pauseRig{rigOn(t, store, nil), rigOn(t, store, nil)}
		probe := incident.ProbeGood
		bad := false // of the purchases
		for _, n := range nodes {
			n.canary.answer = func(incident.Pause) incident.ProbeResult {
				return incident.ProbeResult{Answer: probe, Said: "x"}
			}
			n.traffic = func(incident.Series, purchase.Instant) (paid, credited, failed int64) {
				if bad {
					return 50, 45, 5
				}
				return 50, 50, 0
			}
		}
		nodes[0].pause(ocs)
		now := pauseNoon
		step := func(d time.Duration, i int) (was, is incident.Pause) {
			was = store.pauses[0]
			now = now.Add(d)
			nodes[i].clock.set(now)
			nodes[i].t = t
			if _, err := nodes[i].Step(t.Context(), now); err != nil {
				rt.Fatalf("step: %v", err)
			}
			is = store.pauses[0]
			at := slices.Index(steps, was.Share)
			switch {
			case is.Share == was.Share:
			case is.Share < was.Share && is.Share == 0:
				if !is.Failing || is.NextAt < now.Add(20*time.Second) {
					rt.Fatalf("fell without a failure, or is tried too soon: %+v", is)
				}
			case is.Share != steps[at+1]:
				rt.Fatalf("from %d to %d", was.Share, is.Share)
			case was.Share > 0 && bad:
				rt.Fatalf("from %d to %d while purchases fail", was.Share, is.Share)
			case was.Share > 0 && was.TryAt == 0 && now.Sub(was.StepAt) < 15*time.Second:
				rt.Fatalf("share %d lasted %s only", was.Share, now.Sub(was.StepAt))
			case was.Share == 0 && (probe == incident.ProbeBad || probe == incident.ProbePending):
				rt.Fatalf("opened while the probe says %d", probe)
			case was.Share == 0 && probe == incident.ProbeGood && is.Good < 3:
				rt.Fatalf("opened after %d good probes", is.Good)
			}
			return was, is
		}
		for range rapid.IntRange(0, 200).Draw(rt, "steps") {
			if rapid.IntRange(0, 9).Draw(rt, "turn") == 0 {
				probe = rapid.SampledFrom([]incident.ProbeAnswer{incident.ProbeGood, incident.ProbeBad, incident.ProbePending, incident.ProbeNone}).Draw(rt, "probe")
				bad = rapid.Bool().Draw(rt, "bad")
			}
			was, is := step(time.Duration(rapid.IntRange(100, 20_000).Draw(rt, "ms"))*time.Millisecond, rapid.IntRange(0, 1).Draw(rt, "node"))
			if is.Share > was.Share && is.Share == 1000 {
				return
			}
			if bad && is.Share > 0 && was.Share == is.Share {
				rt.Fatalf("share %d stays while purchases fail", is.Share)
			}
		}
		probe, bad = incident.ProbeGood, false
		for i := 0; store.pauses[0].EndedAt == 0; i++ {
			if step(time.Second, i%2); i > 1000 {
				rt.Fatalf("all is well and it does not end: %+v", store.pauses[0])
			}
		}
		for _, n := range nodes {
			if n.step(time.Second); n.Admit(wished(1)) != nil || len(n.Pauses()) != 0 {
				rt.Fatal("it is over and a node refuses")
			}
		}
	})
}

// TestRampLooksBack: what was sold at the end of one share, and is known to have failed in
// the next, counts; what was under way when the pause began does not.
func TestRampLooksBack(t *testing.T) {
	r := rigOn(t, &pauseMemory{}, nil)
	sold := pauseNoon.Add(-time.Second) // when that was charged that failed
	r.traffic = func(_ incident.Series, since purchase.Instant) (paid, credited, failed int64) {
		if sold >= since {
			return 60, 50, 10
		}
		return 50, 50, 0
	}
	r.pause(ocs)
	for r.only().Share < 100 {
		r.step(time.Second)
	}
	sold = r.clock.Now().Add(-5 * time.Second)
	r.step(time.Second)
	if p := r.only(); p.Share != 0 || !p.Failing {
		t.Errorf("failures of the last share are not seen: %+v", p)
	}
}

// TestRampFallsDuringAProbe: purchases that fail are not outweighed by a probe that waits.
func TestRampFallsDuringAProbe(t *testing.T) {
	r := rigOn(t, &pauseMemory{}, nil)
	r.pause(ocs)
	for r.only().Share == 0 {
		r.step(time.Second)
	}
	r.canary.answer = says(incident.ProbePending)
	for r.only().TryAt == 0 {
		r.step(time.Second)
	}
	r.traffic = func(incident.Series, purchase.Instant) (paid, credited, failed int64) { return 3, 2, 1 }
	r.step(time.Second)
	if p := r.only(); p.Share != 0 || !p.Failing || p.TryAt != 0 {
		t.Errorf("%+v", p)
	}
}
