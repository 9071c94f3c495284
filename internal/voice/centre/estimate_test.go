package centre_test

import (
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/store"
	"tenu/internal/voice/centre"
)

// talk lets a call be taken and last so long, the time to write it down included.
func (n *node) talk(call string, lasts time.Duration) {
	n.t.Helper()
	p := n.enter(call, false)
	a := given(p)
	if a.Staff == 0 {
		n.t.Fatalf("nobody for %s", call)
	}
	a, err := n.Take(n.t.Context(), a)
	n.must(err)
	time.Sleep(lasts - 30*time.Second)
	n.must(n.Over(n.t.Context(), a))
	time.Sleep(30 * time.Second)
}

func TestEstimates(t *testing.T) {
	in(t, func(t *testing.T, s *store.Memory) {
		n := run(t, s, nil)
		is := func(first bool, place int, least, most time.Duration, ok bool) {
			t.Helper()
			if p, l, m, o := n.Estimate(first); p != place || o != ok || ok && (l != least || m != most) {
				t.Errorf("at %d within %s and %s, %v; not at %d within %s and %s, %v", p, l, m, o, place, least, most, ok)
			}
		}
		is(false, 1, 0, 0, false) // nobody is there
		n.sign(1)
		is(false, 1, 0, time.Minute, true) // somebody is free
		for i := range 4 {
			n.talk("known-"+strconv.Itoa(i), 4*time.Minute)
		}
		n.enter("busy", false)
		is(false, 1, 0, 0, false) // of four calls nobody can tell
		n.must(n.Miss(t.Context(), n.is(1, centre.Ringing)))
		n.must(n.Resume(t.Context(), 1))
		time.Sleep(time.Second)
		n.must(n.Over(t.Context(), n.is(1, centre.Ringing)))
		n.talk("known-4", 4*time.Minute)
		n.enter("busy again", false)
		is(false, 1, 0, 11*time.Minute, true) // 4 minutes, and what chance may add
		n.enter("a", false)
		n.enter("b", false)
		is(false, 3, 0, 24*time.Minute, true)
		is(true, 1, 0, 11*time.Minute, true)
		for i := range 9 {
			n.enter("c-"+strconv.Itoa(i), false)
		}
		is(false, 12, 25*time.Minute, 71*time.Minute, false) // too long to be said
		n.sign(2)
		is(false, 11, 11*time.Minute, 33*time.Minute, true) // two agents, one of whom was given the first
		time.Sleep(3 * time.Hour)
		is(false, 11, 0, 0, false) // what was known is old
	})
}

// Nine of ten waits are within what was announced, or not far from that: calls last as they do, some of them long.
func TestEstimatesHold(t *testing.T) {
	in(t, func(t *testing.T, s *store.Memory) {
		const agents, callers = 5, 3000
		n := run(t, s, func(c *centre.Config) { c.MaxWaiting = callers })
		for id := range auth.StaffID(agents) {
			n.sign(id + 1)
		}
		d := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // replayable on purpose
		var together sync.WaitGroup
		var mu sync.Mutex
		told, held, wide := 0, 0, time.Duration(0)
		for i := range callers {
			// Four minutes on average with the ring and the wrap-up, and as many callers as the agents can just serve.
			lasts := time.Duration(d.ExpFloat64()*150+55) * time.Second
			time.Sleep(time.Duration(d.ExpFloat64() * 240 / agents / 0.95 * float64(time.Second)))
			place, least, most, ok := n.Estimate(false)
			p, err := n.Enter(centre.Waiter{Call: strconv.Itoa(i)})
			n.must(err)
			together.Go(func() {
				began := time.Now()
				a := <-p.Given()
				if waited := time.Since(began); ok && place > 1 {
					mu.Lock()
					told++
					wide += most - least
					if waited >= least && waited <= most {
						held++
					}
					mu.Unlock()
				}
				time.Sleep(5 * time.Second)
				if a, err = n.Take(t.Context(), a); err != nil {
					t.Error(err)
				}
				time.Sleep(lasts)
				if err := n.Over(t.Context(), a); err != nil {
					t.Error(err)
				}
			})
		}
		together.Wait()
		share := float64(held) / float64(told)
		t.Logf("%d waits were announced, %.1f %% of them rightly, within %s on average", told, 100*share, wide/time.Duration(told))
		if told < callers/4 || share < 0.88 || math.IsNaN(share) {
			t.Errorf("of %d announced waits %d were as announced", told, held)
		}
	})
}
