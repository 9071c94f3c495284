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
	"tenu/internal/purchase"
)

// How often agents are read, beside what happens here.
const (
	lookBusy  = time.Second      // while somebody waits: another node may have let an agent go
	lookIdle  = 5 * time.Second  // otherwise
	lookAgain = time.Second / 10 // after another node was faster
	retry     = time.Second      // after the store failed
	lookBack  = time.Minute      // for agents that went away meanwhile
	lapseLate = 2 * time.Second  // before what another node should have ended is ended here
	ringLate  = 5 * time.Second  // after RingFor, before a ringing telephone is given up
)

// Run gives agents to those who wait, and ends what lapsed, for as long as ctx lasts.
func (q *Queue) Run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := max(q.Step(ctx), time.Millisecond)
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-q.cfg.Clock.After(wait):
		}
	}
}

// Step does what is to be done now, and returns after what time to look again, where nothing happens before. Run does it.
func (q *Queue) Step(ctx context.Context) time.Duration {
	if q.take(ctx) != nil {
		return 0
	}
	defer q.pass()
	now := q.cfg.Clock.Now()
	if q.lookDue(now) {
		q.try(now, "read agents", q.look(ctx))
	}
	q.keepWishes(ctx, now)
	if due := q.due(now); len(due) > 0 {
		q.try(now, "move agents on", q.move(ctx, due))
	}
	q.try(now, "give agents", q.handOut(ctx, now))
	return q.next(now).Sub(now)
}

// try sees to it that what failed is tried again, after a look.
func (q *Queue) try(now purchase.Instant, what string, err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	q.cfg.Log.Warn("the call centre waits for the store", "to", what, "error", err)
	q.lookWithin(now, retry)
}

func (q *Queue) lookWithin(now purchase.Instant, d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if by := now.Add(d); q.lookBy == 0 || by < q.lookBy {
		q.lookBy = by
	}
}

// nextLook is when agents are to be read. q.mu is held.
func (q *Queue) nextLook() purchase.Instant {
	every := lookIdle
	if len(q.waiting) > 0 {
		every = lookBusy
	}
	at := q.lookAt.Add(every)
	if q.lookBy != 0 {
		at = min(at, q.lookBy)
	}
	return at
}

// lookDue reports whether agents are to be read now; a clock that was put back reads them too.
func (q *Queue) lookDue(now purchase.Instant) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lookAt == 0 || now < q.lookAt || now >= q.nextLook()
}

// look reads the agents. The turn is had.
func (q *Queue) look(ctx context.Context) error {
	now := q.cfg.Clock.Now()
	q.mu.Lock()
	q.lookAt, q.lookBy = now, 0
	since := q.readAt.Add(-lookBack)
	q.mu.Unlock()
	found, err := q.cfg.Store.OnDuty(ctx, since)
	if err != nil {
		return fmt.Errorf("look at agents: %w", err)
	}
	there := make(map[auth.StaffID]bool, len(found))
	for i := range found {
		there[found[i].Staff] = true
		q.note(found[i])
	}
	for _, a := range q.known() {
		if !there[a.Staff] && a.State != Away { // for longer than we looked back
			a.State = Away
			a.clear()
			q.note(a)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for staff, a := range q.agents {
		if a.State == Away && !there[staff] {
			delete(q.agents, staff)
		}
	}
	q.readAt = now
	return nil
}

func (q *Queue) known() []Agent {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.SortedFunc(maps.Values(q.agents), byStaff)
}

func byStaff(a, b Agent) int { return cmp.Compare(a.Staff, b.Staff) }

// note takes an agent as the store has it, and tells who wants to know.
func (q *Queue) note(a Agent) {
	if q.noted(a) && q.cfg.Changed != nil {
		q.cfg.Changed(a)
	}
}

func (q *Queue) noted(a Agent) (visible bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	was, known := q.agents[a.Staff]
	if known && a == was || a.Version < was.Version {
		return false
	}
	q.agents[a.Staff] = a
	q.handled.see(&a)
	h, ours := q.held[a.Staff]
	if ours && (a.Call != h.call || a.State <= Ready) {
		delete(q.held, a.Staff)
		q.comeBack(h.call, a.Staff)
		ours = false
	}
	if a.State == Wrapping { // for a caller who is not connected: that the call was taken was not known
		q.comeBack(a.Call, a.Staff)
	}
	// A claim whose outcome was not known: it was made.
	if p := q.places[a.Call]; p != nil && !ours && p.agent == 0 && a.State == Ringing {
		q.give(p, a, Agent{State: Ready, Since: a.Since})
	}
	was.Version, was.Till = a.Version, a.Till
	return a != was
}

// comeBack lets a caller whose agent did not take the call wait again. q.mu is held.
func (q *Queue) comeBack(call string, staff auth.StaffID) {
	if p := q.places[call]; p != nil && p.agent == staff {
		p.forget()
		q.stand(p)
		q.wakeUp()
	}
}

// move moves agents on, and notes those that were. The turn is had.
func (q *Queue) move(ctx context.Context, agents []Agent) error {
	now := q.cfg.Clock.Now()
	moved, err := q.cfg.Store.MoveAgents(ctx, agents...)
	if err != nil {
		return fmt.Errorf("move agents: %w", err)
	}
	for _, a := range agents[:moved] {
		q.note(a)
	}
	if moved < len(agents) {
		q.lookWithin(now, lookAgain)
	}
	return nil
}

// due are the agents whose time lapsed, or whose call lasts and whose time is put off, as they are to be.
func (q *Queue) due(now purchase.Instant) (due []Agent) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, a := range q.agents {
		if at := q.dueAt(&a); at == 0 || now < at {
			continue
		}
		a.Version++
		h, ours := q.held[a.Staff]
		switch {
		case ours && h.lasts(&a):
			a.Till = now.Add(q.cfg.TalkFor)
		case a.State == Talking:
			q.wrap(&a, now)
		case a.State == Ringing && ours:
			h.free(&a, now)
		default:
			(&hold{}).free(&a, now)
		}
		due = append(due, a)
	}
	slices.SortFunc(due, byStaff)
	return due
}

// dueAt is when something is to be done about an agent, zero for never. q.mu is held.
func (q *Queue) dueAt(a *Agent) purchase.Instant {
	h, ours := q.held[a.Staff]
	switch {
	case a.Till == 0:
		return 0
	case !ours:
		return a.Till.Add(lapseLate)
	case h.lasts(a):
		return a.Till.Add(-q.cfg.TalkFor / 2)
	}
	return a.Till
}

// lasts reports whether an agent's call is under way here: those that talk, and those claimed to call back, whose customer may be called first.
func (h *hold) lasts(a *Agent) bool {
	return h.wish == 0 && h.call == a.Call && (a.State == Talking || a.State == Ringing && a.Callback != 0)
}

// free makes an agent what they were before the call: one who did not talk is ready for as long as before.
func (h *hold) free(a *Agent, now purchase.Instant) {
	was := a.State
	a.clear()
	a.State, a.Since = Ready, now
	if was == Ringing && (h.before.State == Ready || h.before.State == Away) {
		a.State, a.Since = h.before.State, h.before.Since
	}
}

// wrap lets an agent write down what was said.
func (q *Queue) wrap(a *Agent, now purchase.Instant) {
	if q.cfg.WrapFor <= 0 {
		(&hold{}).free(a, now)
		return
	}
	a.State, a.Since, a.Till = Wrapping, now, now.Add(q.cfg.WrapFor)
}

// handOut gives the agents that are ready to those who wait. The turn is had.
func (q *Queue) handOut(ctx context.Context, now purchase.Instant) error {
	var before, claims []Agent
	var places []*Place
	q.mu.Lock()
	idle := q.idle()
	for i, p := range q.waiting[:min(len(idle), len(q.waiting))] {
		a := claimed(idle[i], now)
		a.Till, a.Call, a.Number, a.Purchase, a.Case = now.Add(q.cfg.RingFor+ringLate), p.w.Call, p.w.Number, p.w.Purchase, p.w.Case
		before, claims, places = append(before, idle[i]), append(claims, a), append(places, p)
	}
	q.mu.Unlock()
	if len(claims) == 0 {
		return nil
	}
	moved, err := q.cfg.Store.MoveAgents(ctx, claims...)
	if err != nil {
		return fmt.Errorf("claim agents: %w", err)
	}
	if moved < len(claims) { // another node was faster; nobody goes before their turn
		q.lookWithin(now, lookAgain)
	}
	for i, a := range claims[:moved] {
		q.mu.Lock()
		q.give(places[i], a, before[i])
		q.mu.Unlock()
		q.note(a)
	}
	return nil
}

func claimed(a Agent, now purchase.Instant) Agent {
	a.Version, a.State, a.Since = a.Version+1, Ringing, now
	return a
}

// next is when something is to be done.
func (q *Queue) next(now purchase.Instant) purchase.Instant {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := q.nextLook()
	for _, a := range q.agents {
		switch due := q.dueAt(&a); {
		case due > now:
			at = min(at, due)
		case due != 0: // it failed just now
			at = min(at, now.Add(retry))
		}
	}
	for _, h := range q.held {
		if h.wish != 0 {
			at = min(at, now.Add(retry))
		}
	}
	return at
}
