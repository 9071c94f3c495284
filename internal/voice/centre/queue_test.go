package centre_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/voice/centre"
)

// clock is that of the bubble that synctest runs in.
type clock struct{}

func (clock) Now() purchase.Instant                  { return purchase.At(time.Now()) }
func (clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// node is a queue that runs, until it dies.
type node struct {
	*centre.Queue
	t    *testing.T
	die  context.CancelFunc
	told []centre.Agent
}

func run(t *testing.T, s centre.Store, change func(*centre.Config)) *node {
	t.Helper()
	n := &node{t: t}
	cfg := centre.Config{Store: s, Clock: clock{}, Node: fmt.Sprintf("%p", n), Changed: func(a centre.Agent) { n.told = append(n.told, a) }}
	if change != nil {
		change(&cfg)
	}
	n.Queue = centre.New(cfg)
	ctx, die := context.WithCancel(t.Context())
	n.die = die
	t.Cleanup(die)
	go n.Run(ctx)
	synctest.Wait()
	return n
}

// sign lets staff be ready one after the other, a second each.
func (n *node) sign(staff ...auth.StaffID) {
	n.t.Helper()
	for _, id := range staff {
		n.must(n.Sign(n.t.Context(), id, fmt.Sprintf("20%02d", id)))
		time.Sleep(time.Second)
	}
}

func (n *node) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) enter(call string, first bool) *centre.Place {
	n.t.Helper()
	p, err := n.Enter(centre.Waiter{Call: call, First: first, Number: 22670000001, Purchase: 7, Case: 8})
	n.must(err)
	time.Sleep(time.Millisecond)
	return p
}

// given is who was given to a place by now.
func given(p *centre.Place) centre.Agent {
	synctest.Wait()
	select {
	case a := <-p.Given():
		return a
	default:
		return centre.Agent{}
	}
}

func (n *node) want(p *centre.Place, staff auth.StaffID) centre.Agent {
	n.t.Helper()
	a := given(p)
	if a.Staff != staff || staff != 0 && (a.State != centre.Ringing || a.Number != 22670000001 || a.Purchase != 7 || a.Case != 8) {
		n.t.Fatalf("given %+v, not %d", a, staff)
	}
	return a
}

func (n *node) is(staff auth.StaffID, state centre.State) centre.Agent {
	n.t.Helper()
	a, err := n.Agent(n.t.Context(), staff)
	if n.must(err); a.State != state {
		n.t.Fatalf("agent %+v is not %s", a, state)
	}
	return a
}

// in runs a test in a bubble, on one store.
func in(t *testing.T, test func(*testing.T, *store.Memory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, store.NewMemory()) })
}

func TestLongestReadyTakesTheNext(t *testing.T) {
	in(t, func(t *testing.T, s *store.Memory) {
		n := run(t, s, nil)
		n.sign(3, 1, 2)
		one := n.want(n.enter("c-1", false), 3)
		two := n.want(n.enter("c-2", false), 1)
		one, err := n.Take(t.Context(), one)
		if n.must(err); one.State != centre.Talking || one.Call != "c-1" {
			t.Errorf("took it as %+v", one)
		}
		// Who did not come to talk is ready for as long as before; who talked is last.
		n.must(n.Over(t.Context(), two))
		n.is(1, centre.Ready)
		n.must(n.Over(t.Context(), one))
		if a := n.is(3, centre.Wrapping); a.Call != "c-1" {
			t.Errorf("wraps up %+v", a)
		}
		n.want(n.enter("c-3", false), 1)
		n.want(n.enter("c-4", false), 2)
		last := n.enter("c-5", false)
		n.want(last, 0)
		time.Sleep(30 * time.Second)
		n.want(last, 3)
		if last.At() != 0 || n.OnDuty() != 3 {
			t.Errorf("at %d of %d agents", last.At(), n.OnDuty())
		}
	})
}

func TestBrokenPromisesGoFirst(t *testing.T) {
	in(t, func(t *testing.T, s *store.Memory) {
		n := run(t, s, nil)
		a, b := n.enter("a", false), n.enter("b", false)
		c, d := n.enter("c", true), n.enter("d", true)
		kept, err := n.Enter(centre.Waiter{Call: "e", Since: 1, Number: 22670000001, Purchase: 7, Case: 8})
		n.must(err)
		order := []*centre.Place{c, d, kept, a, b}
		for i, p := range order {
			if p.At() != i+1 {
				t.Errorf("place %d is %d", i+1, p.At())
			}
		}
		if _, err := n.Enter(centre.Waiter{Call: "a"}); !errors.Is(err, centre.ErrFull) {
			t.Errorf("the same call twice: %v", err)
		}
		if place, _, _, ok := n.Estimate(true); place != 3 || ok {
			t.Errorf("the next with a broken promise would be at %d, %v", place, ok)
		}
		for i, p := range order {
			n.sign(auth.StaffID(i + 1))
			n.want(p, auth.StaffID(i+1))
		}
	})
}

func TestMissedCallsComeBack(t *testing.T) {
	in(t, func(t *testing.T, s *store.Memory) {
		n := run(t, s, nil)
		n.sign(1)
		a, b := n.enter("a", false), n.enter("b", false)
		rung := n.want(a, 1)
		n.must(n.Miss(t.Context(), rung))
		n.is(1, centre.Away)
		if a.At() != 1 || b.At() != 2 {
			t.Errorf("they wait at %d and %d", a.At(), b.At())
		}
		if err := n.Miss(t.Context(), rung); !errors.Is(err, centre.ErrStale) {
			t.Errorf("missed twice: %v", err)
		}
		n.sign(2)
		again := n.want(a, 2)
		if _, err := n.Take(t.Context(), rung); !errors.Is(err, centre.ErrStale) {
			t.Errorf("took it after all: %v", err)
		}
		// Nobody said what became of the ring: it lapses, and the caller is the first again.
		time.Sleep(26 * time.Second)
		third := n.want(a, 2)
		if third.Version <= again.Version {
			t.Errorf("given %+v after %+v", third, again)
		}
		n.must(n.Resume(t.Context(), 1))
		n.want(b, 1)
	})
}

func TestWhoLeavesFreesTheAgent(t *testing.T) {
	in(t, func(t *testing.T, s *store.Memory) {
		n := run(t, s, nil)
		a, b, c := n.enter("a", false), n.enter("b", false), n.enter("c", false)
		a.Leave()
		n.sign(1)
		rung := n.want(b, 1)
		b.Leave()
		b.Leave()
		n.want(c, 1)
		if err := n.Over(t.Context(), rung); !errors.Is(err, centre.ErrStale) {
			t.Errorf("over after they left: %v", err)
		}
		n.is(1, centre.Ringing)
		n.want(a, 0)
		n.want(b, 0)
		if st := n.Standing(); st.Waiting != 0 || st.Agents[centre.Ringing] != 1 || st.Agents[centre.Ready] != 0 {
			t.Errorf("it stands %+v", st)
		}
	})
}

func TestRoomIsBounded(t *testing.T) {
	in(t, func(t *testing.T, s *store.Memory) {
		n := run(t, s, func(c *centre.Config) { c.MaxWaiting = 2 })
		a := n.enter("a", false)
		n.enter("b", true)
		if _, err := n.Enter(centre.Waiter{Call: "c", First: true}); !errors.Is(err, centre.ErrFull) {
			t.Errorf("a third: %v", err)
		}
		a.Leave()
		n.enter("c", true)
	})
}

func TestOpenInHours(t *testing.T) {
	in(t, func(t *testing.T, s *store.Memory) {
		n := run(t, s, func(c *centre.Config) {
			c.Hours = care.Hours{Opens: time.Hour, Closes: 2 * time.Hour, Location: time.UTC} // the bubble begins at midnight
		})
		if n.Open() {
			t.Error("open at midnight")
		}
		time.Sleep(90 * time.Minute)
		if n.Open() {
			t.Error("open without agents")
		}
		n.sign(1)
		if !n.Open() {
			t.Error("closed")
		}
		n.must(n.Pause(t.Context(), 1))
		if n.Open() {
			t.Error("open with nobody but one who is away")
		}
		n.must(n.Resume(t.Context(), 1))
		if time.Sleep(30 * time.Minute); n.Open() {
			t.Error("open after hours")
		}
	})
}

func TestConsole(t *testing.T) {
	in(t, func(t *testing.T, s *store.Memory) {
		n := run(t, s, nil)
		for _, extension := range []string{"", "-1", ".1", "20 01", "sip:2001@x", "é", string(make([]byte, 65)), "0022670112233", "00-882-13.555", "2260001"} {
			if err := n.Sign(t.Context(), 1, extension); !errors.Is(err, centre.ErrExtension) {
				t.Errorf("%q: %v", extension, err)
			}
		}
		if err := n.Resume(t.Context(), 1); !errors.Is(err, centre.ErrExtension) {
			t.Errorf("resume without a telephone: %v", err)
		}
		n.must(n.Done(t.Context(), 1))
		n.must(n.Pause(t.Context(), 1))
		n.sign(1)
		n.must(n.Sign(t.Context(), 1, "2001"))
		if err := n.Sign(t.Context(), 2, "2001"); !errors.Is(err, centre.ErrExtension) {
			t.Errorf("somebody else's telephone: %v", err)
		}
		a := n.want(n.enter("a", false), 1)
		for what, err := range map[string]error{"pause": n.Pause(t.Context(), 1), "sign": n.Sign(t.Context(), 1, "2002"), "done": n.Done(t.Context(), 1)} {
			if !errors.Is(err, centre.ErrBusy) {
				t.Errorf("%s with a call: %v", what, err)
			}
		}
		a, err := n.Take(t.Context(), a)
		n.must(err)
		n.must(n.Over(t.Context(), a))
		n.must(n.Over(t.Context(), a))
		n.is(1, centre.Wrapping)
		n.must(n.Done(t.Context(), 1))
		if a := n.is(1, centre.Ready); a.Call != "" || a.Till != 0 || a.Number != 0 {
			t.Errorf("done, and %+v", a)
		}
		n.must(n.Pause(t.Context(), 1))
		n.must(n.Sign(t.Context(), 2, "2001"))
		if err := n.Resume(t.Context(), 1); !errors.Is(err, centre.ErrExtension) {
			t.Errorf("the telephone is somebody else's now: %v", err)
		}
		synctest.Wait()
		var states []centre.State
		for _, told := range n.told {
			states = append(states, told.State)
		}
		want := []centre.State{centre.Ready, centre.Ringing, centre.Talking, centre.Wrapping, centre.Ready, centre.Away, centre.Ready}
		if !slices.Equal(states, want) {
			t.Errorf("told of %v, not %v", states, want)
		}
	})
}

func TestClaimsForCallbacks(t *testing.T) {
	in(t, func(t *testing.T, s *store.Memory) {
		n := run(t, s, nil)
		claim := func(c care.Callback, staff auth.StaffID) centre.Agent {
			t.Helper()
			c.Number = 22670000009
			a, got, err := n.Claim(t.Context(), c)
			if n.must(err); got != (staff != 0) || a.Staff != staff {
				t.Fatalf("claimed %+v, not %d", a, staff)
			}
			return a
		}
		claim(care.Callback{ID: 1}, 0)
		n.sign(1, 2, 3)
		a := claim(care.Callback{ID: 1, At: 5}, 1)
		if a.Callback != 1 || a.Number != 22670000009 || a.State != centre.Ringing {
			t.Errorf("claimed %+v", a)
		}
		claim(care.Callback{ID: 1, At: 5}, 0) // it has one
		// A claim lasts for as long as this node says so, and its end leaves the agent where they were.
		time.Sleep(10 * time.Minute)
		n.is(1, centre.Ringing)
		a, err := n.Take(t.Context(), a)
		n.must(err)
		time.Sleep(10 * time.Minute)
		n.is(1, centre.Talking)
		n.must(n.Over(t.Context(), a))
		n.must(n.Over(t.Context(), claim(care.Callback{ID: 2, At: 5}, 2)))
		claim(care.Callback{ID: 2, At: 5, Tries: 1}, 2)
		claim(care.Callback{ID: 3, At: 5}, 3)
	})
}

// Who waits goes before a callback that was promised later, and that makes good no broken promise.
func TestCallersGoBeforeCallbacks(t *testing.T) {
	in(t, func(t *testing.T, s *store.Memory) {
		for i, c := range []struct {
			first    bool
			callback care.Callback
			claimed  bool
		}{
			{false, care.Callback{At: 11}, false}, {false, care.Callback{At: 10}, false}, {false, care.Callback{At: 9}, true},
			{true, care.Callback{At: 9}, false}, {false, care.Callback{At: 11, Follows: 1}, true},
			{true, care.Callback{At: 11, Follows: 1}, false}, {true, care.Callback{At: 9, Follows: 1}, true},
		} {
			q := centre.New(centre.Config{Store: s, Clock: clock{}, Node: fmt.Sprint(i)}) // gives nobody anything by itself
			if err := q.Sign(t.Context(), auth.StaffID(i+1), fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
			if _, err := q.Enter(centre.Waiter{Call: "a", First: c.first, Since: 10}); err != nil {
				t.Fatal(err)
			}
			c.callback.ID = int64(i + 1)
			if a, claimed, err := q.Claim(t.Context(), c.callback); err != nil || claimed != c.claimed {
				t.Errorf("case %d: claimed %+v, %v", i, a, err)
			}
		}
	})
}

// What a telephone system says of its own calls may come twice, and in any order.
func TestObserve(t *testing.T) {
	in(t, func(t *testing.T, s *store.Memory) {
		n := run(t, s, nil)
		n.sign(1)
		observe := func(call string, state centre.State) {
			n.must(n.Observe(t.Context(), "2001", call, 22670000001, state))
		}
		observe("x", centre.Talking)
		if a := n.is(1, centre.Talking); a.Call != "x" || a.Number != 22670000001 {
			t.Errorf("talks as %+v", a)
		}
		observe("another", centre.Wrapping)
		n.is(1, centre.Talking)
		observe("x", centre.Wrapping)
		n.is(1, centre.Wrapping)
		n.must(n.Done(t.Context(), 1))
		observe("x", centre.Talking) // told again
		n.is(1, centre.Ready)
		observe("y", centre.Wrapping) // told before it began
		observe("y", centre.Talking)
		n.is(1, centre.Ready)
		observe("z", centre.Talking)
		n.is(1, centre.Talking)
		if err := n.Observe(t.Context(), "2002", "q", 0, centre.Talking); !errors.Is(err, centre.ErrExtension) {
			t.Errorf("nobody's telephone: %v", err)
		}
	})
}

func TestOwnCalls(t *testing.T) {
	in(t, func(t *testing.T, s *store.Memory) {
		n := run(t, s, nil)
		if a, got, err := n.Own(t.Context(), 1, care.Callback{ID: 1}); err != nil || got {
			t.Errorf("without a telephone: %+v, %v", a, err)
		}
		n.sign(1)
		n.must(n.Pause(t.Context(), 1))
		a, got, err := n.Own(t.Context(), 1, care.Callback{ID: 1})
		if n.must(err); !got || a.State != centre.Ringing || a.Callback != 1 {
			t.Fatalf("own call of %+v", a)
		}
		if _, _, err := n.Own(t.Context(), 1, care.Callback{ID: 2}); !errors.Is(err, centre.ErrStale) {
			t.Errorf("a second: %v", err)
		}
		n.must(n.Over(t.Context(), a))
		n.is(1, centre.Away)
	})
}

func TestNodesShareAgents(t *testing.T) {
	in(t, func(t *testing.T, s *store.Memory) {
		one, two := run(t, s, nil), run(t, s, nil)
		one.sign(1)
		time.Sleep(5 * time.Second)
		if !two.Open() || two.OnDuty() != 1 {
			t.Error("the other node does not know of the agent")
		}
		p := two.enter("a", false)
		a := two.want(p, 1)
		a, err := two.Take(t.Context(), a)
		two.must(err)
		waits := one.enter("b", false)
		one.want(waits, 0)
		two.must(two.Over(t.Context(), a))
		two.must(two.Done(t.Context(), 1))
		time.Sleep(time.Second)
		b := one.want(waits, 1)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if last := two.told[len(two.told)-1]; last != b {
			t.Errorf("the other node was told of %+v, not %+v", last, b)
		}
		// The node dies; the agent is free for others, and its call is nobody's.
		b, err = one.Take(t.Context(), b)
		one.must(err)
		time.Sleep(10 * time.Minute)
		one.is(1, centre.Talking)
		one.die()
		next := two.enter("c", false)
		time.Sleep(89 * time.Second)
		two.want(next, 0)
		time.Sleep(40 * time.Second)
		two.want(next, 1)
		if _, err := one.Take(t.Context(), b); !errors.Is(err, centre.ErrStale) {
			t.Errorf("who died takes %v", err)
		}
	})
}

// A node that dies while a telephone rings lets the agent go as soon as it would have rung out.
func TestRingsOfTheDeadLapse(t *testing.T) {
	in(t, func(t *testing.T, s *store.Memory) {
		one, two := run(t, s, nil), run(t, s, nil)
		one.sign(1)
		one.want(one.enter("a", false), 1)
		one.die()
		p := two.enter("b", false)
		two.want(p, 0)
		time.Sleep(29 * time.Second)
		two.want(p, 1)
	})
}
