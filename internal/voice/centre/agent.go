package centre

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

// Sign lets one of the staff take calls at a telephone. It returns ErrExtension when that is none or somebody else's, and
// ErrBusy during a call.
func (q *Queue) Sign(ctx context.Context, staff auth.StaffID, extension string) error {
	if !isExtension(extension) {
		return ErrExtension
	}
	return q.console(ctx, staff, func(a *Agent, now purchase.Instant) bool {
		if a.State == Ready && a.Extension == extension {
			return false
		}
		a.clear()
		a.State, a.Since, a.Extension = Ready, now, extension
		return true
	})
}

// mostDigits is how many an extension of digits alone has at most: what is longer is a number of the public network, and
// whoever signs on there would have every caller's call, and the bill for it, go where they like.
const mostDigits = 6

func isExtension(s string) bool {
	digits, named := 0, false
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			named = true
		case i > 0 && (c == '.' || c == '-'):
		default:
			return false
		}
	}
	return s != "" && len(s) <= 64 && (named || digits <= mostDigits)
}

// Resume is Sign at the telephone of before.
func (q *Queue) Resume(ctx context.Context, staff auth.StaffID) error {
	none := false
	err := q.console(ctx, staff, func(a *Agent, now purchase.Instant) bool {
		if none = a.Extension == ""; none || a.State == Ready {
			return false
		}
		a.clear()
		a.State, a.Since = Ready, now
		return true
	})
	if none && err == nil {
		return ErrExtension
	}
	return err
}

// Pause lets one of the staff take no calls. It returns ErrBusy during a call.
func (q *Queue) Pause(ctx context.Context, staff auth.StaffID) error {
	return q.console(ctx, staff, func(a *Agent, now purchase.Instant) bool {
		if a.State == Away {
			return false
		}
		a.clear()
		a.State, a.Since = Away, now
		return true
	})
}

// Done ends what one of the staff writes down after a call; at other times it does nothing.
func (q *Queue) Done(ctx context.Context, staff auth.StaffID) error {
	return q.console(ctx, staff, func(a *Agent, now purchase.Instant) bool {
		if a.State != Wrapping {
			return false
		}
		(&hold{}).free(a, now)
		return true
	})
}

// console is a change that one of the staff wishes, who has no call.
func (q *Queue) console(ctx context.Context, staff auth.StaffID, wish func(*Agent, purchase.Instant) bool) error {
	if err := q.take(ctx); err != nil {
		return err
	}
	defer q.pass()
	_, err := q.change(ctx, staff, func(a *Agent) (bool, error) {
		if a.Busy() {
			return false, ErrBusy
		}
		return wish(a, q.cfg.Clock.Now()), nil
	})
	q.wakeUp()
	return err
}

// Agent is one of the staff, as the store has them.
func (q *Queue) Agent(ctx context.Context, staff auth.StaffID) (Agent, error) {
	return q.cfg.Store.Agent(ctx, staff)
}

// change moves one agent on, by a function that says whether there is anything to change. What is known here may be
// old: where nothing is to be changed, or nothing could be, the store is read. ErrExtension: what the agent should
// have is another's. The turn is had.
func (q *Queue) change(ctx context.Context, staff auth.StaffID, apply func(*Agent) (bool, error)) (Agent, error) {
	q.mu.Lock()
	a, known := q.agents[staff]
	q.mu.Unlock()
	var unknown error // of a move that may have been made
	for refused := int64(-1); ; known = false {
		if !known {
			var err error
			if a, err = q.cfg.Store.Agent(ctx, staff); err != nil {
				return a, fmt.Errorf("read an agent: %w", cmp.Or(unknown, err))
			}
			if a.Version > 0 {
				q.note(a)
			}
		}
		now := a
		switch there, err := apply(&now); {
		case !there && !known:
			return a, err
		case !there:
			continue
		case a.Version == refused:
			return a, ErrExtension
		}
		now.Version++
		moved, err := q.cfg.Store.MoveAgents(ctx, now)
		switch {
		case errors.Is(err, purchase.ErrCommitUnknown) && unknown == nil:
			unknown = err
		case err != nil:
			return a, fmt.Errorf("move an agent: %w", err)
		case moved == 1:
			q.note(now)
			return now, nil
		case !known:
			refused = a.Version
		}
	}
}

// Take notes that the agent's telephone was answered. It returns ErrStale when the agent was taken back meanwhile. After
// another error it may have been noted all the same: whoever does not repeat it says that the call is Over.
func (q *Queue) Take(ctx context.Context, a Agent) (Agent, error) {
	if err := q.take(ctx); err != nil {
		return Agent{}, err
	}
	defer q.pass()
	taken, err := q.change(ctx, a.Staff, func(now *Agent) (bool, error) {
		switch {
		case !now.Busy() || now.Call != a.Call:
			return false, ErrStale
		case now.State == Talking:
			return false, nil
		}
		at := q.cfg.Clock.Now()
		now.State, now.Since, now.Till = Talking, at, at.Add(q.cfg.TalkFor)
		return true, nil
	})
	if err != nil {
		return Agent{}, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if p := q.places[a.Call]; p != nil && p.agent == a.Staff {
		delete(q.places, a.Call)
	}
	if h := q.held[a.Staff]; h.call != a.Call {
		q.held[a.Staff] = hold{call: a.Call}
	}
	q.wakeUp()
	return taken, nil
}

// Miss notes that the agent's telephone was not answered: no other caller is to wait for it. The caller
// waits again, where they were.
func (q *Queue) Miss(ctx context.Context, a Agent) error { return q.end(ctx, a, Away) }

// Over notes that the call ended, or that its caller hung up before the agent took it: then the agent is what they were
// before, and the caller waits no more. Like Miss it may be repeated; while the store does not answer it is made up
// for, as soon as it does.
func (q *Queue) Over(ctx context.Context, a Agent) error {
	q.mu.Lock()
	if p := q.places[a.Call]; p != nil && p.agent == a.Staff {
		q.vacate(p)
	}
	q.mu.Unlock()
	return q.end(ctx, a, Wrapping)
}

// Back notes that the two did not come to speak, by nobody's fault: the agent is what they were before, and the caller waits
// again, where they were. Otherwise it is as Over.
func (q *Queue) Back(ctx context.Context, a Agent) error { return q.end(ctx, a, Wrapping) }

func (q *Queue) end(ctx context.Context, a Agent, wish State) error {
	defer q.wakeUp()
	err := q.take(ctx)
	if err == nil {
		err = q.settle(ctx, a.Staff, a.Call, wish)
		q.pass()
	}
	if err != nil && !errors.Is(err, ErrStale) {
		q.wish(a.Staff, a.Call, wish)
	}
	return err
}

// wish lets Run tell the store what an agent is to be after a call.
func (q *Queue) wish(staff auth.StaffID, call string, wish State) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if h, ours := q.held[staff]; ours && h.call == call {
		h.wish = wish
		q.held[staff] = h
	}
}

// settle lets an agent be what is wished after a call: Away; Wrapping, when they talked; or Ready, when they did not.
// It returns ErrStale when the agent has another call or none. The turn is had.
func (q *Queue) settle(ctx context.Context, staff auth.StaffID, call string, wish State) error {
	q.mu.Lock()
	h := q.held[staff]
	q.mu.Unlock()
	_, err := q.change(ctx, staff, func(a *Agent) (bool, error) {
		now := q.cfg.Clock.Now()
		switch {
		case a.Call == call && a.State == Wrapping:
			return false, nil
		case !a.Busy() || a.Call != call:
			return false, ErrStale
		case wish == Away:
			a.clear()
			a.State, a.Since = Away, now
		case a.State == Ringing:
			h.free(a, now)
		case wish == Ready: // taken after all: whoever took it ends it
			return false, nil
		default:
			q.wrap(a, now)
		}
		return true, nil
	})
	if err == nil || errors.Is(err, ErrStale) {
		q.settled(staff, call, wish)
	}
	return err
}

// settled forgets a wish that the store took, or that came too late.
func (q *Queue) settled(staff auth.StaffID, call string, wish State) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if h, ours := q.held[staff]; ours && h.call == call && h.wish == wish {
		h.wish = 0
		q.held[staff] = h
	}
}

// keepWishes tells the store what it did not take when it was told. The turn is had.
func (q *Queue) keepWishes(ctx context.Context, now purchase.Instant) {
	wishes := map[auth.StaffID]hold{}
	q.mu.Lock()
	for staff, h := range q.held {
		if h.wish != 0 {
			wishes[staff] = h
		}
	}
	q.mu.Unlock()
	for _, staff := range slices.Sorted(maps.Keys(wishes)) {
		h := wishes[staff]
		err := q.settle(ctx, staff, h.call, h.wish)
		if q.try(now, "end a call", err); err != nil && !errors.Is(err, ErrStale) {
			return
		}
	}
}

// Claim gives the agent who is to speak with the customer of a callback, and is ready for longest: false when nobody is,
// or when somebody waits who goes before it. A callback has its place among those who wait by when it was promised.
func (q *Queue) Claim(ctx context.Context, c care.Callback) (Agent, bool, error) {
	if err := q.take(ctx); err != nil {
		return Agent{}, false, err
	}
	defer q.pass()
	own := Waiter{First: c.Follows != 0, Since: c.At}
	for range 3 {
		now := q.cfg.Clock.Now()
		if q.lookDue(now) || q.age(now) >= lookBusy {
			if err := q.look(ctx); err != nil {
				return Agent{}, false, err
			}
		}
		q.mu.Lock()
		idle := q.idle()
		later := len(q.waiting) > 0 && q.waiting[0].w.goesBefore(&own) <= 0
		q.mu.Unlock()
		if later || len(idle) == 0 {
			return Agent{}, false, nil
		}
		a, err := q.claim(ctx, idle[0].Staff, &c, func(s State) bool { return s == Ready })
		switch {
		case err == nil:
			return a, true, nil
		case errors.Is(err, ErrExtension): // the callback has an agent
			return Agent{}, false, nil
		case !errors.Is(err, ErrStale):
			return Agent{}, false, err
		}
	}
	return Agent{}, false, nil
}

// Own is Claim of one of the staff who wishes to speak themselves, whoever waits: false when no telephone of theirs is
// known, or the callback has an agent. It returns ErrStale when they have a call.
func (q *Queue) Own(ctx context.Context, staff auth.StaffID, c care.Callback) (Agent, bool, error) {
	if err := q.take(ctx); err != nil {
		return Agent{}, false, err
	}
	defer q.pass()
	a, err := q.claim(ctx, staff, &c, func(s State) bool { return s != Ringing && s != Talking })
	if errors.Is(err, ErrExtension) {
		return Agent{}, false, nil
	}
	return a, err == nil, err
}

// claim lets an agent, who may be so, have a callback. The turn is had.
func (q *Queue) claim(ctx context.Context, staff auth.StaffID, c *care.Callback, may func(State) bool) (Agent, error) {
	// The name is of this claim alone: an agent who has it was claimed by it.
	q.mu.Lock()
	q.count++
	call := fmt.Sprintf("callback-%d-%s-%d", c.ID, q.cfg.Node, q.count)
	q.mu.Unlock()
	var before Agent
	a, err := q.change(ctx, staff, func(a *Agent) (bool, error) {
		now := q.cfg.Clock.Now()
		switch {
		case a.State == Ringing && a.Call == call:
			return false, nil
		case !may(a.State):
			return false, ErrStale
		case a.Extension == "":
			return false, ErrExtension
		}
		before = *a
		a.State, a.Since, a.Till = Ringing, now, now.Add(q.cfg.TalkFor)
		a.Call, a.Number, a.Purchase, a.Case, a.Callback = call, c.Number, c.Purchase, c.Case, c.ID
		return true, nil
	})
	if err != nil {
		return Agent{}, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held[staff] = hold{call: call, before: before}
	q.wakeUp()
	return a, nil
}

// age is for how long what is known of agents was not read.
func (q *Queue) age(now purchase.Instant) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return now.Sub(q.readAt)
}
