package dial_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/voice/centre"
	"tenu/internal/voice/dial"
)

func ended(r care.Ring) dial.Event { return dial.Event{News: dial.Ended, Ring: r} }

var (
	taken  = dial.Event{News: dial.Taken}
	missed = dial.Event{News: dial.Missed}
	spoke  = dial.Event{News: dial.Spoke}
)

// Whatever becomes of a call, the promise, its attempt and the agent say the same.
func TestWhatBecomesOfACall(t *testing.T) {
	for name, c := range map[string]struct {
		news  []dial.Event
		ring  care.Ring
		state care.State
		agent centre.State
		again time.Duration // until the next attempt
	}{
		"they speak":                        {[]dial.Event{taken, spoke, ended(care.Answered)}, care.Answered, care.Kept, centre.Ready, 0},
		"they speak, told in another order": {[]dial.Event{ended(care.Answered), spoke, taken}, care.Answered, care.Kept, centre.Ready, 0},
		"they are speaking":                 {[]dial.Event{taken, spoke}, care.Answered, care.Kept, centre.Talking, 0},
		"busy":                              {[]dial.Event{taken, ended(care.Busy)}, care.Busy, care.Promised, centre.Ready, time.Minute},
		"no answer":                         {[]dial.Event{taken, ended(care.NoAnswer)}, care.NoAnswer, care.Promised, centre.Ready, 3 * time.Minute},
		"unreachable":                       {[]dial.Event{ended(care.Unreachable)}, care.Unreachable, care.Promised, centre.Ready, 5 * time.Minute},
		"declined":                          {[]dial.Event{taken, ended(care.Declined)}, care.Declined, care.Promised, centre.Ready, 5 * time.Minute},
		"a mailbox":                         {[]dial.Event{taken, ended(care.Voicemail)}, care.Voicemail, care.Promised, centre.Ready, 3 * time.Minute},
		"answered, and nobody spoke":        {[]dial.Event{taken, ended(care.Answered)}, care.Lost, care.Promised, centre.Ready, 3 * time.Minute},
		"nobody knows":                      {[]dial.Event{ended(0)}, care.Lost, care.Promised, centre.Ready, 3 * time.Minute},
		"the agent missed it":               {[]dial.Event{missed, ended(care.Undialled)}, care.Undialled, care.Promised, centre.Away, 0},
		"the agent missed it, the customer waited": {[]dial.Event{missed, ended(care.Lost)}, care.Lost, care.Promised, centre.Away, 3 * time.Minute},
		"the exchange is down":                     {[]dial.Event{{News: dial.Ended, Ring: care.Undialled, Down: true}}, care.Undialled, care.Promised, centre.Ready, 0},
		"nothing was heard yet":                    {nil, care.Ringing, care.Promised, centre.Ringing, 0},
	} {
		for _, customerFirst := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, customer first %t", name, customerFirst), func(t *testing.T) {
				w := build(t, 1, customerFirst)
				id := w.promise(1)[0].ID
				w.step()
				if len(w.calls) != 1 || w.calls[0].CustomerFirst != customerFirst || w.calls[0].Asked || w.calls[0].Extension != "100" {
					t.Fatalf("%+v", w.calls)
				}
				for _, e := range c.news {
					e.Call = w.calls[0].Name
					w.d.Heard(e)
				}
				if _, err := w.d.Tend(t.Context(), w.clock.Now()); err != nil {
					t.Fatal(err)
				}
				got, attempts := w.stands(id)
				if got.State != c.state || len(attempts) != 1 || attempts[0].Ring != c.ring || attempts[0].Ref == "" {
					t.Errorf("%s, %+v", got.State, attempts)
				}
				if now := w.clock.Now(); c.again > 0 && got.NextAt != now.Add(c.again) || c.again == 0 && got.NextAt > now {
					t.Errorf("the next attempt in %s, want %s", got.NextAt.Sub(now), c.again)
				}
				if a := w.agent(0); a.State != c.agent {
					t.Errorf("the agent is %s, want %s", a.State, c.agent)
				}
			})
		}
	}
}

// A call of which nothing is heard is hung up, and its agent is free, before care gives the attempt up; what is heard
// of it then changes nothing.
func TestNothingIsHeard(t *testing.T) {
	w := build(t, 1, false)
	id := w.promise(1)[0].ID
	next := w.step()
	name := w.calls[0].Name
	_, attempts := w.stands(id)
	if next != attempts[0].At.Add(care.MachineFor-30*time.Second) {
		t.Errorf("due at %s, rang at %s", next, attempts[0].At)
	}
	w.clock.set(next)
	w.step()
	if _, attempts = w.stands(id); attempts[0].Ring != care.Lost || w.agent(0).State != centre.Ready || len(w.hungUp) != 1 || w.hungUp[0] != name {
		t.Errorf("%+v, %+v, %v", attempts, w.agent(0), w.hungUp)
	}
	w.heard(name, spoke, ended(care.Answered))
	if c, attempts := w.stands(id); c.State != care.Promised || attempts[0].Ring != care.Lost {
		t.Errorf("%+v, %+v", c, attempts)
	}
}

// A process that ends in good order leaves no call, no agent and no attempt behind.
func TestClose(t *testing.T) {
	w := build(t, 2, false)
	calls := w.promise(2)
	w.step()
	w.heard(w.calls[0].Name, taken, spoke)
	if err := w.d.Close(t.Context()); err != nil || len(w.hungUp) != 2 {
		t.Fatalf("%v, hung up %v", err, w.hungUp)
	}
	spoken, _ := w.stands(calls[0].ID)
	_, attempts := w.stands(calls[1].ID)
	if spoken.State != care.Kept || attempts[0].Ring != care.Lost || w.agent(0).State != centre.Ready || w.agent(1).State != centre.Ready {
		t.Errorf("%+v, %+v, %+v, %+v", spoken, attempts, w.agent(0), w.agent(1))
	}
}

// A broken promise goes first, and nobody's phone rings when nobody is free.
func TestBrokenPromisesGoFirst(t *testing.T) {
	w := build(t, 1, false)
	broken := w.promise(1)[0]
	w.clock.set(broken.Till())
	for next := w.clock.Now(); next <= w.clock.Now(); {
		var err error
		if next, err = w.desk.Step(t.Context(), w.clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	follow, err := w.db.Callbacks(t.Context(), broken.Number, 1)
	if err != nil || follow[0].Follows != broken.ID {
		t.Fatal(follow, err)
	}
	w.step()
	w.step()
	if len(w.calls) != 1 || !w.calls[0].Late || w.calls[0].Number != broken.Number {
		t.Errorf("%+v", w.calls)
	}
}

// Whose phone does not ring because the exchange is down is called when it is not, and until then nobody is.
func TestExchangeIsDown(t *testing.T) {
	w := build(t, 3, false)
	w.promise(3)
	w.answer = func(dial.Call) error { return dial.ErrUndialled }
	next := w.step()
	next = min(next, w.step())
	if len(w.calls) != 1 || next.Sub(w.clock.Now()) > 10*time.Second {
		t.Fatalf("%d calls while the exchange is down, the next in %s", len(w.calls), next.Sub(w.clock.Now()))
	}
	w.answer = nil
	w.clock.set(w.clock.Now().Add(10 * time.Second))
	w.step()
	if len(w.calls) != 4 {
		t.Errorf("%d calls", len(w.calls))
	}
}

// A call that may have begun is waited for, and nobody else calls that customer.
func TestFailedCallMayRing(t *testing.T) {
	w := build(t, 2, false)
	id := w.promise(1)[0].ID
	w.answer = func(dial.Call) error { return errors.New("no answer from the exchange") }
	w.step()
	w.step()
	if len(w.calls) != 1 {
		t.Fatalf("%+v", w.calls)
	}
	w.heard(w.calls[0].Name, taken, spoke, ended(care.Answered))
	if c, _ := w.stands(id); c.State != care.Kept {
		t.Errorf("%s", c.State)
	}
}

// A process that was halted between the attempt and the call does not call any more.
func TestHaltedProcessDoesNotRing(t *testing.T) {
	w := build(t, 1, false)
	id := w.promise(1)[0].ID
	slow := &halting{promises{w.desk, w}}
	w.d.Join(slow)
	w.step()
	w.step()
	if c, attempts := w.stands(id); len(w.calls) != 0 || c.Trying || attempts[0].Ring != care.Undialled || w.agent(0).State != centre.Ready {
		t.Errorf("%d calls, %+v, %+v", len(w.calls), c, attempts)
	}
}

type halting struct{ promises }

func (h *halting) Attempt(ctx context.Context, s auth.Staff, id int64, ref string) (care.Callback, care.Attempt, error) {
	c, a, err := h.promises.Attempt(ctx, s, id, ref)
	h.w.clock.set(h.w.clock.Now().Add(time.Minute))
	return c, a, err
}

// Whoever calls by hand hears their own phone, where it is known; on the phone already they do not call.
func TestCallByHand(t *testing.T) {
	w := build(t, 2, true)
	calls := w.promise(3)
	stranger, err := w.db.AddStaff(t.Context(), auth.Staff{Version: 1, Login: "basil", Name: "Basil", Role: auth.Agent, Language: "fr"}, auth.Secrets{}, auth.StaffChange{At: noon, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ring := func(id auth.StaffID, c care.Callback) (string, error) {
		s, err := w.person(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		_, link, err := w.desk.Ring(t.Context(), s, c.ID)
		return link, err
	}
	if link, err := ring(1, calls[0]); err != nil || link != "" || len(w.calls) != 1 || !w.calls[0].Asked || w.calls[0].CustomerFirst || w.calls[0].Extension != "100" {
		t.Fatalf("%q, %v, %+v", link, err, w.calls)
	}
	if _, err := ring(1, calls[1]); !errors.Is(err, centre.ErrStale) {
		t.Errorf("a second call on one phone: %v", err)
	}
	if c, attempts := w.stands(calls[1].ID); c.Trying || attempts[0].Ring != care.Undialled {
		t.Errorf("%+v", attempts)
	}
	if link, err := ring(stranger, calls[2]); err != nil || link != "tel:"+calls[2].Number.String() {
		t.Errorf("%q, %v", link, err)
	}
	for _, e := range []dial.Event{taken, spoke, ended(care.Answered)} {
		e.Call = w.calls[0].Name
		w.d.Heard(e)
	}
	if _, err := w.d.Tend(t.Context(), w.clock.Now()); err != nil {
		t.Fatal(err)
	}
	if c, _ := w.stands(calls[0].ID); c.State != care.Kept {
		t.Errorf("%s", c.State)
	}
	w.answer = func(dial.Call) error { return dial.ErrUndialled }
	if _, err := ring(2, calls[1]); !errors.Is(err, dial.ErrUndialled) {
		t.Errorf("nothing rings: %v", err)
	}
	if _, err := w.d.Tend(t.Context(), w.clock.Now()); err != nil || w.agent(1).State != centre.Ready {
		t.Errorf("%+v, %v", w.agent(1), err)
	}
}

// A process that dies before or after any of its deeds leaves nothing that is dialled twice, no agent who is never
// free again, and no promise that is forgotten.
func TestProcessDiesBetweenAnyTwoSteps(t *testing.T) {
	for dies := 1; dies <= 8; dies++ {
		for _, after := range []bool{false, true} {
			for _, customerFirst := range []bool{false, true} {
				t.Run(fmt.Sprintf("at %d, done %t, customer first %t", dies, after, customerFirst), func(t *testing.T) {
					w := build(t, 1, customerFirst)
					w.dies, w.after = dies, after
					id := w.promise(1)[0].ID
					w.live(id)
					if c, attempts := w.stands(id); c.State != care.Kept || len(w.calls) > 2 || len(attempts) > 2 {
						t.Errorf("%s after %d calls: %+v", c.State, len(w.calls), attempts)
					}
					if a := w.agent(0); a.State != centre.Ready {
						t.Errorf("the agent is %+v", a)
					}
				})
			}
		}
	}
}

// live lets calls be answered until a promise is over and nothing goes on, with another process for one that died.
func (w *town) live(id int64) {
	for range 200 {
		w.step()
		for news := range []int{0, 1, 2} {
			if w.died || len(w.calls) == 0 {
				break
			}
			w.heard(w.calls[len(w.calls)-1].Name, []dial.Event{taken, spoke, ended(care.Answered)}[news])
		}
		if w.died {
			w.open()
		}
		w.clock.set(w.clock.Now().Add(15 * time.Second))
		if _, err := w.desk.Step(w.t.Context(), w.clock.Now()); err != nil {
			w.t.Fatal(err)
		}
		w.round()
		if c, _ := w.stands(id); c.State != care.Promised && w.agent(0).State == centre.Ready {
			return
		}
	}
}

// Whatever telephones tell, no more of them ring than agents are free.
func TestPacing(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 9)) //nolint:gosec // chance for a test
			agents := 1 + r.IntN(4)
			w := build(t, agents, r.IntN(2) == 0)
			w.promise(1 + r.IntN(8))
			open, known := map[string]bool{}, 0
			for range 25 {
				if r.IntN(2) == 0 || known == 0 {
					w.clock.set(w.clock.Now().Add(time.Duration(r.IntN(200)) * time.Second))
					w.step()
				} else {
					e := []dial.Event{taken, missed, spoke, ended(care.Busy), ended(care.Answered), ended(care.Undialled)}[r.IntN(6)]
					if e.Call = w.calls[r.IntN(known)].Name; e.News == dial.Ended {
						delete(open, e.Call)
					}
					w.d.Heard(e)
				}
				for _, name := range w.hungUp {
					delete(open, name)
				}
				for ; known < len(w.calls); known++ {
					open[w.calls[known].Name] = true
				}
				if len(open) > agents {
					t.Fatalf("%d calls, %d agents", len(open), agents)
				}
			}
		})
	}
}

// The loop dials when it is woken, and not while another node does.
func TestRun(t *testing.T) {
	w := build(t, 1, false)
	w.promise(1)
	ctx, cancel := context.WithCancel(t.Context())
	over, asked, begun := make(chan struct{}), make(chan bool), make(chan struct{})
	w.answer = func(dial.Call) error { close(begun); return nil }
	go func() {
		defer close(over)
		w.d.Run(ctx, func(context.Context) (bool, bool, error) { return <-asked, true, nil }, func(err error) { t.Error(err) })
	}()
	asked <- false
	w.d.Wake()
	asked <- true
	<-begun
	cancel()
	close(asked)
	<-over
	if len(w.calls) != 1 {
		t.Errorf("%+v", w.calls)
	}
}
