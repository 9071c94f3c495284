package switchboard_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"tenu/internal/care"
	"tenu/internal/purchase"
	"tenu/internal/testpeer"
	"tenu/internal/voice/centre"
	"tenu/internal/voice/dial"
	"tenu/internal/voice/speech"
	"tenu/internal/voice/switchboard"
)

// answers puts a telephone at a number that is answered at once.
func (r *rig) answers(number string) chan *testpeer.Talk {
	talks := make(chan *testpeer.Talk, 10)
	r.exchange.Telephone(number, func(ring *testpeer.Ring) {
		talk, err := ring.Answer()
		if err != nil {
			r.t.Error(err)
			return
		}
		talks <- talk
	})
	return talks
}

// A caller and an agent hear each other until one of them hangs up; then the agent writes down what was said.
func TestConnect(t *testing.T) {
	for _, who := range []string{"agent", "caller"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "")
			talks := r.answers(extension)
			caller, c := r.call()
			place, a := r.enter()
			c.Unrecorded = who == "caller"
			go func() {
				agent := <-talks
				if got := strings.Contains(agent.Offer(), "a=recordpref:off"); got != c.Unrecorded {
					t.Errorf("who records the agent's calls is told %s", agent.Offer())
				}
				r.converse(caller, agent)
				if now := r.agent(); now.State != centre.Talking || now.Number != 22670112233 {
					t.Errorf("speaks as %+v", now)
				}
				if who == "agent" {
					agent.HangUp()
				} else {
					caller.HangUp()
				}
				r.over("the agent's call", agent.Over())
			}()
			taken, err := r.Connect(t.Context(), c, a)
			if taken == 0 || (err == nil) != (who == "agent") {
				t.Errorf("taken at %d: %v", taken, err)
			}
			if now := r.agent(); now.State != centre.Wrapping || place.At() != 0 {
				t.Errorf("after the call: %+v", now)
			}
		})
	}
}

// Who is at a telephone that is not answered is away, and the caller waits on.
func TestMissed(t *testing.T) {
	for _, code := range []int{486, 480, 603, 404, 0} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "")
			if code != 404 {
				r.exchange.Telephone(extension, nil)
			}
			if code != 404 && code != 0 {
				r.exchange.Telephone(extension, func(ring *testpeer.Ring) { ring.Refuse(code) })
			}
			caller, c := r.call()
			place, a := r.enter()
			if taken, err := r.Connect(t.Context(), c, a); taken != 0 || err == nil {
				t.Errorf("taken at %d: %v", taken, err)
			}
			if now := r.agent(); now.State != centre.Away || now.Extension != extension {
				t.Errorf("not away: %+v", now)
			}
			if r.waits(place); r.Open() {
				t.Error("open, with no agent there")
			}
			if code == 0 && !caller.Hear(r.said("connecting", nil), 10*time.Second) {
				t.Error("the caller heard nothing while it rang")
			}
			if code != 0 && c.Err() != nil {
				t.Errorf("the caller is gone: %v", c.Err())
			}
		})
	}
}

// An exchange that is not reached is no agent's fault: the agent is as before, the caller still waits, and nobody
// is connected for a while.
func TestExchangeIsDown(t *testing.T) {
	for name, to := range map[string]string{"overload": "", "silence": "127.0.0.1:9"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, to)
			r.exchange.Telephone(extension, func(ring *testpeer.Ring) { ring.Refuse(503) })
			_, c := r.call()
			place, a := r.enter()
			if !r.Open() {
				t.Error("not open")
			}
			if taken, err := r.Connect(t.Context(), c, a); taken != 0 || err == nil {
				t.Errorf("taken at %d: %v", taken, err)
			}
			if r.Open() {
				t.Error("open, though nobody can be reached")
			}
			if again := r.given(place); again.Staff != a.Staff || again.Version <= a.Version {
				t.Errorf("given %+v after %+v", again, a)
			}
			place.Leave()
			r.is(centre.Ready)
		})
	}
}

// is waits until the agent is what they are to be; who did not talk is ready for as long as before.
func (r *rig) is(s centre.State) {
	r.t.Helper()
	var now centre.Agent
	for late := time.Now().Add(10 * time.Second); time.Now().Before(late); time.Sleep(10 * time.Millisecond) {
		if now = r.agent(); now.State == s && (s != centre.Ready || now.Since == r.ready.Since) {
			return
		}
	}
	r.t.Fatalf("not %s: %+v", s, now)
}

// A caller who hangs up while it rings leaves the agent as they were, and the telephone rings no more.
func TestCallerHangsUp(t *testing.T) {
	r := newRig(t, "")
	rings := make(chan *testpeer.Ring, 1)
	r.exchange.Telephone(extension, func(ring *testpeer.Ring) { rings <- ring })
	caller, c := r.call()
	_, a := r.enter()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-c.Done(); cancel() }() // as the line does
	go func() {
		ring := <-rings
		caller.HangUp()
		r.over("the ring", ring.Over())
	}()
	if taken, err := r.Connect(ctx, c, a); taken != 0 || err == nil {
		t.Errorf("taken at %d: %v", taken, err)
	}
	r.is(centre.Ready)
	if callers := r.queue.Standing().Waiting; callers != 0 {
		t.Errorf("%d wait", callers)
	}
}

// Nobody speaks with an agent whom the store does not know to have taken the call. The caller waits on, and the
// agent is not lost.
func TestNotTaken(t *testing.T) {
	failed := fmt.Errorf("test: %w", purchase.ErrUnavailable)
	for name, fault := range map[string]func(r *rig, agents []centre.Agent, move func() (int, error)) (int, error){
		"store fails": func(_ *rig, agents []centre.Agent, move func() (int, error)) (int, error) {
			if agents[0].State == centre.Talking {
				return 0, failed
			}
			return move()
		},
		"outcome unknown": func(r *rig, agents []centre.Agent, move func() (int, error)) (int, error) {
			n, err := move()
			if err == nil && agents[0].State == centre.Talking {
				r.store.deaf.Store(true)
				time.AfterFunc(time.Second, func() { r.store.deaf.Store(false) })
				return 0, fmt.Errorf("test: %w", purchase.ErrCommitUnknown)
			}
			return n, err
		},
		"stale": func(r *rig, agents []centre.Agent, move func() (int, error)) (int, error) {
			if agents[0].State == centre.Talking {
				other := r.agent() // another node took the agent back
				other.Version++
				other.State, other.Till, other.Call, other.Number = centre.Ready, 0, "", 0
				if _, err := r.store.Memory.MoveAgents(t.Context(), other); err != nil {
					t.Error(err)
				}
			}
			return move()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "")
			move := func(agents []centre.Agent, move func() (int, error)) (int, error) { return fault(r, agents, move) }
			rings := make(chan *testpeer.Ring, 1)
			r.exchange.Telephone(extension, func(ring *testpeer.Ring) {
				rings <- ring
				_, _ = ring.Answer() // and is hung up at once
			})
			_, c := r.call()
			place, a := r.enter()
			r.store.move.Store(&move)
			taken, err := r.Connect(t.Context(), c, a)
			if taken != 0 || err == nil || c.Err() != nil {
				t.Errorf("taken at %d: %v, %v", taken, err, c.Err())
			}
			r.over("the agent's call", (<-rings).Over())
			r.store.move.Store(nil)
			if name == "outcome unknown" {
				r.is(centre.Wrapping)
				for late := time.Now().Add(5 * time.Second); place.At() != 1 && time.Now().Before(late); {
					time.Sleep(10 * time.Millisecond)
				}
				r.waits(place)
				if err := r.queue.Done(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
			}
			if again := r.given(place); again.Staff != a.Staff || again.Version <= a.Version {
				t.Errorf("given %+v", again)
			}
		})
	}
}

// For the dialler an agent and a customer are called, spoken to, and connected; who does not answer is told of as care
// counts it.
func TestDial(t *testing.T) {
	r := newRig(t, "")
	agents, customers := r.answers(extension), r.answers(customer)
	call := dial.Call{Name: "x", Extension: extension, Number: 22670112233, Language: "fr"}
	agent := must(r.Agent(t.Context(), extension, 5*time.Second))(t)
	if err := agent.Say(t.Context(), "agent_call", call.Number); err != nil {
		t.Error(err)
	}
	there := <-agents
	if !there.Hear(r.said("agent_call", map[string]speech.Value{"Number": speech.Digits("22670112233")}), 10*time.Second) {
		t.Error("the agent does not hear the number")
	}
	there.Press("1")
	if key, err := agent.Key(t.Context(), 5*time.Second); key != '1' || err != nil {
		t.Errorf("pressed %q: %v", key, err)
	}
	customer := must(r.Customer(t.Context(), call, 5*time.Second))(t)
	over := make(chan error, 1)
	go func() { over <- agent.Bridge(t.Context(), customer) }()
	here := <-customers
	r.converse(there, here)
	here.HangUp()
	if err := <-over; err != nil {
		t.Errorf("the agent is gone as well: %v", err)
	}
	agent.HangUp()
	r.over("the agent's call", there.Over())
}

// What becomes of a telephone that is not answered.
func TestFailures(t *testing.T) {
	r := newRig(t, "")
	for code, want := range map[int]dial.Failure{486: {Ring: care.Busy}, 603: {Ring: care.Declined}, 410: {Ring: care.Unreachable},
		503: {Ring: care.Unreachable, Down: true}} {
		r.exchange.Telephone(customer, func(ring *testpeer.Ring) { ring.Refuse(code) })
		_, err := r.Customer(t.Context(), dial.Call{Number: 22670112233}, 5*time.Second)
		var got *dial.Failure
		if !errors.As(err, &got) || *got != want {
			t.Errorf("%d: %+v", code, got)
		}
	}
	// A gateway that says 503 of a telephone that is off is not down.
	r.exchange.Telephone(customer, func(ring *testpeer.Ring) { ring.Refuse(503, sip.NewHeader("Reason", "Q.850;cause=20")) })
	_, err := r.Customer(t.Context(), dial.Call{Number: 22670112233}, 5*time.Second)
	var got *dial.Failure
	if !errors.As(err, &got) || *got != (dial.Failure{Ring: care.Unreachable}) {
		t.Errorf("off: %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.exchange.Telephone(customer, func(*testpeer.Ring) { cancel() })
	_, err = r.Customer(ctx, dial.Call{Number: 22670112233}, 5*time.Second)
	if !errors.As(err, &got) || *got != (dial.Failure{Ring: care.Lost}) {
		t.Errorf("given up: %+v", got)
	}
	alone := switchboard.New(switchboard.Config{Queue: r.queue, Clock: clock{}})
	if alone.Open() {
		t.Error("agents cannot be called, and it is open")
	}
}
