package sim

import (
	"context"
	"fmt"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
	callcentre "tenu/internal/voice/centre"
)

// The times of an agent, of which the call centre itself has its own.
const (
	claimFor = 6 * time.Minute  // a claim lapses of which nobody says what became
	talkFor  = 15 * time.Minute // likewise of a conversation
	wrapFor  = 20 * time.Second
	awayFor  = 3 * time.Minute // whoever missed a call signs on again
)

// operators are the agents of a world at their phones: what the store of a call centre holds of them.
type operators struct {
	w    *world
	all  []*callcentre.Agent
	life map[auth.StaffID]int // counts what happened to each, so that what lapses is known
}

func newOperators(w *world) *operators {
	o := &operators{w: w, life: map[auth.StaffID]int{}}
	for i := range w.people.staff {
		if s := &w.people.staff[i]; s.Role.May(auth.MakeCall) && i%2 == 0 { // the others call from phones that nobody knows
			o.all = append(o.all, &callcentre.Agent{Staff: s.ID, Version: 1, Extension: s.Login, State: callcentre.Ready, Since: w.now})
		}
	}
	return o
}

// of is the agent at a phone, or of the staff; nil for none.
func (o *operators) of(is func(*callcentre.Agent) bool) *callcentre.Agent {
	for _, a := range o.all {
		if is(a) {
			return a
		}
	}
	return nil
}

// idle is the one who is ready for longest, nil for none.
func (o *operators) idle() (first *callcentre.Agent) {
	for _, a := range o.all {
		if a.State == callcentre.Ready && (first == nil || a.Since < first.Since) {
			first = a
		}
	}
	return first
}

// move lets an agent do something, for at most a time, if there is one; then they are ready.
func (o *operators) move(a *callcentre.Agent, s callcentre.State, most time.Duration) {
	a.Version++
	a.State, a.Since = s, o.w.now
	if s == callcentre.Ready || s == callcentre.Away || s == callcentre.Wrapping {
		a.Callback, a.Number = 0, 0
	}
	o.life[a.Staff]++
	life := o.life[a.Staff]
	if most > 0 {
		o.w.after(most, func() {
			if o.life[a.Staff] == life {
				o.move(a, callcentre.Ready, 0)
			}
		})
	}
	if s == callcentre.Ready {
		for _, n := range o.w.nodes {
			n.dialLater(10 * time.Millisecond)
		}
	}
}

// atPhones are the agents as one node's process sees them: dial.Agents.
type atPhones struct {
	n    *node
	life int
}

// put writes as care's store is written.
func (x atPhones) put(do func() error) error {
	if x.n.life != x.life {
		return errEnded
	}
	return x.n.deadly(func() error { return (&desked{f: x.n.w.store.of(x.n)}).put(do) })
}

// Claim is dial.Agents.
func (x atPhones) Claim(_ context.Context, c care.Callback) (got callcentre.Agent, ok bool, err error) {
	o := x.n.w.phones.operators
	a := o.idle()
	if a == nil {
		return got, false, nil
	}
	err = x.put(func() error {
		got, ok = o.claim(a, &c), true
		return nil
	})
	return got, ok && err == nil, err
}

// Own is dial.Agents.
func (x atPhones) Own(_ context.Context, staff auth.StaffID, c care.Callback) (got callcentre.Agent, ok bool, err error) {
	o := x.n.w.phones.operators
	a := o.of(func(a *callcentre.Agent) bool { return a.Staff == staff })
	switch {
	case a == nil:
		return got, false, nil
	case a.State == callcentre.Ringing || a.State == callcentre.Talking:
		return got, false, callcentre.ErrStale
	}
	err = x.put(func() error {
		got, ok = o.claim(a, &c), true
		return nil
	})
	return got, ok && err == nil, err
}

func (o *operators) claim(a *callcentre.Agent, c *care.Callback) callcentre.Agent {
	o.move(a, callcentre.Ringing, claimFor)
	a.Callback, a.Number = c.ID, c.Number
	o.w.note("claim", c.Purchase, fmt.Sprintf("%s for callback %d", a.Extension, c.ID))
	return *a
}

// change lets an agent go on who is as the caller knows them.
func (x atPhones) change(was *callcentre.Agent, s callcentre.State, most time.Duration) (now callcentre.Agent, err error) {
	o := x.n.w.phones.operators
	a := o.of(func(a *callcentre.Agent) bool { return a.Staff == was.Staff })
	if a == nil || a.Version != was.Version {
		return now, callcentre.ErrStale
	}
	err = x.put(func() error {
		callback, number := a.Callback, a.Number
		o.move(a, s, most)
		if s == callcentre.Talking {
			a.Callback, a.Number = callback, number
		}
		now = *a
		return nil
	})
	return now, err
}

// Take is dial.Agents.
func (x atPhones) Take(_ context.Context, a callcentre.Agent) (callcentre.Agent, error) {
	return x.change(&a, callcentre.Talking, talkFor)
}

// Miss is dial.Agents.
func (x atPhones) Miss(_ context.Context, a callcentre.Agent) error {
	_, err := x.change(&a, callcentre.Away, awayFor)
	return err
}

// Over is dial.Agents.
func (x atPhones) Over(_ context.Context, a callcentre.Agent) error {
	_, err := x.change(&a, callcentre.Wrapping, wrapFor)
	return err
}

// staffOf reads one of the staff, as the dialler does.
func (n *node) staffOf(_ context.Context, id auth.StaffID) (auth.Staff, error) {
	s, known := n.w.files.staff[id]
	if !known {
		return auth.Staff{}, purchase.ErrNotFound
	}
	return s, n.w.store.of(n).read()
}
