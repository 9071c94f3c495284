// Package dial calls back who was promised a call. As many calls are under way as agents were free for
// them: an agent is claimed first, then the attempt is begun, and when both are durable a phone rings. What a
// process that died left behind is never dialled by another: the agent's claim lapses, and the attempt is given
// up when no phone can ring for it any more (care.MachineFor). It knows nothing of SIP and of SQL.
package dial

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
	"tenu/internal/voice/centre"
)

// Agents give agents to calls, each to one at a time; *centre.Queue is one. What they return is durable. They
// return centre.ErrStale for an agent who was given to something else meanwhile.
type Agents interface {
	// Claim gives the agent who is to speak with the customer of a callback; false when nobody is free for it.
	Claim(ctx context.Context, c care.Callback) (centre.Agent, bool, error)
	// Own is Claim of one of the staff who wants to speak themselves; false when no phone of theirs is known.
	// It returns centre.ErrStale when they are on the phone.
	Own(ctx context.Context, staff auth.StaffID, c care.Callback) (centre.Agent, bool, error)
	// Take notes that the agent's phone was answered, Miss that it was not, Over that the call ended.
	Take(ctx context.Context, a centre.Agent) (centre.Agent, error)
	Miss(ctx context.Context, a centre.Agent) error
	Over(ctx context.Context, a centre.Agent) error
}

// Desk keeps the promises; *care.Desk is one.
type Desk interface {
	Calls(ctx context.Context, most int) ([]care.Callback, error)
	Attempt(ctx context.Context, staff auth.Staff, callback int64, ref string) (care.Callback, care.Attempt, error)
	Rang(ctx context.Context, staff auth.Staff, callback int64, try int, ring care.Ring) (care.Callback, error)
}

// Config is what a dialler is built from. All of it is needed.
type Config struct {
	Node          string // names calls
	Clock         purchase.Clock
	Log           *slog.Logger
	Agents        Agents
	Phones        Phones
	CustomerFirst bool
	Staff         func(context.Context, auth.StaffID) (auth.Staff, error)
	Look          func(context.Context, care.Look) error // keeps that an agent is shown a customer
}

// The times of a dialler.
const (
	callFor  = care.MachineFor - 30*time.Second // from the attempt until the two speak, at most
	talkFor  = 2 * time.Hour                    // then, at most
	leaveFor = 30 * time.Second                 // from the attempt until the phone rings: after a longer halt it does not
	restFor  = 10 * time.Second                 // after telephones were not reached
	holdFor  = 10 * time.Second                 // after a callback could not be begun
	retryFor = time.Second                      // after something could not be written
)

// calls bounds what one look at the desk takes.
const calls = 1000

// Dialler makes calls. Step and Tend are for one goroutine; the rest is safe for concurrent use.
type Dialler struct {
	cfg  Config
	desk Desk
	wake chan struct{}
	held map[int64]purchase.Instant // callbacks that could not be begun, until when

	mu    sync.Mutex
	calls map[string]*call // under way, by name
	rest  purchase.Instant // until when nothing is dialled
}

// call is one that is under way.
type call struct {
	Call
	callback int64
	try      int
	staff    auth.Staff
	agent    centre.Agent
	till     purchase.Instant // when it is given up
	again    purchase.Instant // when what could not be written is written again
	said     bool             // what became of the attempt
	freed    bool             // the agent

	heard, done News // heard is guarded by Dialler.mu
	ring        care.Ring
}

// New returns a dialler, which is to Join a desk before it is used.
func New(cfg Config) *Dialler {
	return &Dialler{cfg: cfg, wake: make(chan struct{}, 1), held: map[int64]purchase.Instant{}, calls: map[string]*call{}}
}

// Join gives the dialler the desk whose promises it keeps; the desk has the dialler for its own (care.Config.Dialler).
func (d *Dialler) Join(desk Desk) { d.desk = desk }

// Wake tells the dialler's loop that an agent is free or a callback changed. It never waits.
func (d *Dialler) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Heard takes what a telephone says of a call. It never waits. Of a call that is over it says nothing new.
func (d *Dialler) Heard(e Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.calls[e.Call]
	if c == nil || c.heard&e.News == e.News {
		return
	}
	c.heard |= e.News
	if e.News == Ended {
		if c.ring = e.Ring; e.Down {
			d.rest = d.cfg.Clock.Now().Add(restFor)
		}
	}
	d.Wake()
}

// Dial is care.Dialler, for one of the staff who wants to speak themselves: their own phone rings, where it
// is known, otherwise their browser opens the number.
func (d *Dialler) Dial(ctx context.Context, c care.Callback, a care.Attempt) (link string, err error) {
	agent, ok, err := d.cfg.Agents.Own(ctx, a.Staff, c)
	switch {
	case err != nil:
		return "", fmt.Errorf("claim one's own phone: %w", err)
	case !ok:
		return care.ClickToCall{}.Dial(ctx, c, a)
	}
	staff, err := d.cfg.Staff(ctx, a.Staff)
	if err != nil {
		d.free(ctx, agent)
		return "", fmt.Errorf("read who calls: %w", err)
	}
	x := d.call(&c, &a, staff, agent)
	x.Asked, x.CustomerFirst = true, false
	if err = d.ring(ctx, x, a.At); errors.Is(err, ErrUndialled) {
		return "", err
	}
	return "", nil
}

// Step does what is due: it ends what Tend does, and calls whom it is time to call while agents are free. It
// returns when it is due again, unless it is woken.
func (d *Dialler) Step(ctx context.Context, now purchase.Instant) (next purchase.Instant, err error) {
	_, err = d.Tend(ctx, now)
	next, failed := d.begin(ctx, now)
	if failed != nil {
		next = now.Add(retryFor)
	}
	return sooner(next, d.due(now)), errors.Join(err, failed)
}

// Tend writes what was heard of the calls under way, and gives up those of which nothing is heard. It returns when
// it is due again, zero for never, unless it is woken.
func (d *Dialler) Tend(ctx context.Context, now purchase.Instant) (next purchase.Instant, err error) {
	var errs []error
	for _, c := range d.underWay() {
		if err := d.tend(ctx, c, now); err != nil {
			c.again = now.Add(retryFor)
			errs = append(errs, err)
		}
	}
	return d.due(now), errors.Join(errs...)
}

// Close hangs up the calls under way, and writes what became of them. It is for when Run has ended; what cannot be
// written is given up by others.
func (d *Dialler) Close(ctx context.Context) error {
	for _, c := range d.underWay() {
		d.giveUp(c)
	}
	_, err := d.Tend(ctx, d.cfg.Clock.Now())
	return err
}

// begin begins the calls for which agents are free. It returns when it is time for another.
func (d *Dialler) begin(ctx context.Context, now purchase.Instant) (next purchase.Instant, err error) {
	if till := d.resting(); now < till {
		return till, nil
	}
	maps.DeleteFunc(d.held, func(_ int64, till purchase.Instant) bool { return till <= now })
	waiting, err := d.desk.Calls(ctx, calls)
	if err != nil {
		return 0, fmt.Errorf("read the callbacks to make: %w", err)
	}
	next = now.Add(care.Window) // what begins later is not listed yet
	for i := range waiting {
		c := &waiting[i]
		if c.Trying || now >= c.Till() {
			continue // an attempt whose process died is left to care
		}
		if at := max(c.WindowAt, c.NextAt, d.held[c.ID]); at > now {
			next = min(next, at)
			continue
		}
		agent, ok, err := d.cfg.Agents.Claim(ctx, *c)
		if err != nil {
			return 0, fmt.Errorf("claim an agent: %w", err)
		}
		if !ok {
			break // until it is woken
		}
		if err := d.attempt(ctx, c, agent, now); err != nil {
			d.free(ctx, agent)
			d.held[c.ID] = now.Add(holdFor)
			next = min(next, d.held[c.ID])
			if !errors.Is(err, care.ErrRefused) {
				return 0, err
			}
		}
		if till := d.resting(); now < till {
			return till, nil
		}
	}
	return next, nil
}

// attempt begins one call as an agent who was claimed for it. After an error nothing rings.
func (d *Dialler) attempt(ctx context.Context, c *care.Callback, agent centre.Agent, now purchase.Instant) error {
	staff, err := d.cfg.Staff(ctx, agent.Staff)
	if err != nil {
		return fmt.Errorf("read who calls: %w", err)
	}
	look := care.Look{At: now, Staff: staff.ID, Number: c.Number, Purchase: c.Purchase, Case: c.Case, Reason: "call"}
	if err := d.cfg.Look(ctx, look); err != nil {
		return fmt.Errorf("keep who is looked at: %w", err)
	}
	begun, a, err := d.desk.Attempt(ctx, staff, c.ID, d.name(c.ID, c.Tries+1))
	if err != nil {
		return fmt.Errorf("begin an attempt: %w", err)
	}
	x := d.call(&begun, &a, staff, agent)
	if err := d.ring(ctx, x, a.At); err != nil {
		d.cfg.Log.Warn("a call was not begun", "call", x.Name, "error", err)
	}
	return nil
}

// name is a call's. An attempt that is begun again has another.
func (d *Dialler) name(callback int64, try int) string {
	return fmt.Sprintf("%s-%d-%d", d.cfg.Node, callback, try)
}

// call is the call of an attempt.
func (d *Dialler) call(c *care.Callback, a *care.Attempt, staff auth.Staff, agent centre.Agent) *call {
	return &call{Call: Call{Name: d.name(c.ID, a.Try), Extension: agent.Extension, Number: c.Number, Language: c.Language, Late: c.Follows != 0,
		CustomerFirst: d.cfg.CustomerFirst}, callback: c.ID, try: a.Try, staff: staff, agent: agent, till: a.At.Add(callFor)}
}

// ring lets the phones of a call ring, whose attempt was begun at an instant. A process that was halted since
// lets nothing ring: somebody else may have begun another attempt.
func (d *Dialler) ring(ctx context.Context, c *call, at purchase.Instant) error {
	d.mu.Lock()
	_, known := d.calls[c.Name]
	if !known {
		d.calls[c.Name] = c
	}
	d.mu.Unlock()
	if known {
		return nil
	}
	err := error(ErrUndialled)
	if d.cfg.Clock.Now() < at.Add(leaveFor) {
		err = d.cfg.Phones.Call(ctx, c.Call)
	}
	if errors.Is(err, ErrUndialled) {
		d.Heard(Event{Call: c.Name, News: Ended, Ring: care.Undialled, Down: true})
	}
	return err // another may ring: it is waited for
}

// tend writes what was heard of one call.
func (d *Dialler) tend(ctx context.Context, c *call, now purchase.Instant) error {
	heard, ring := d.news(c)
	if now >= c.till && heard == c.done {
		d.giveUp(c)
		heard, ring = d.news(c)
	}
	if heard&Taken != 0 && c.done&Taken == 0 {
		agent, err := d.cfg.Agents.Take(ctx, c.agent)
		if err := d.moved(c, err); err != nil {
			return err
		}
		if err == nil {
			c.agent = agent
		}
		c.done |= Taken
	}
	if heard&Missed != 0 && c.done&Missed == 0 {
		if err := d.moved(c, d.cfg.Agents.Miss(ctx, c.agent)); err != nil {
			return err
		}
		c.freed = true
		c.done |= Missed
	}
	if heard&Spoke != 0 && c.done&Spoke == 0 {
		if err := d.say(ctx, c, care.Answered); err != nil {
			return err
		}
		c.till = now.Add(talkFor)
		c.done |= Spoke
	}
	if heard&Ended == 0 {
		return nil
	}
	if ring == care.Answered || ring == care.Ringing || ring == 0 {
		ring = care.Lost // that they spoke would have been said
	}
	if err := d.say(ctx, c, ring); err != nil {
		return err
	}
	if !c.freed {
		if err := d.moved(c, d.cfg.Agents.Over(ctx, c.agent)); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.calls, c.Name)
	return nil
}

// giveUp hangs up a call, of which nothing more is waited for.
func (d *Dialler) giveUp(c *call) {
	d.cfg.Phones.HangUp(c.Name)
	d.Heard(Event{Call: c.Name, News: Ended, Ring: care.Lost})
}

// moved is what became of an agent's change: one who was given to something else meanwhile is no more the call's.
func (d *Dialler) moved(c *call, err error) error {
	switch {
	case errors.Is(err, centre.ErrStale):
		c.freed = true
		return nil
	case err != nil:
		return fmt.Errorf("note what an agent does: %w", err)
	}
	return nil
}

// say says what became of an attempt, once. What nobody takes any more is said, too: care gave it up.
func (d *Dialler) say(ctx context.Context, c *call, ring care.Ring) error {
	if c.said {
		return nil
	}
	_, err := d.desk.Rang(ctx, c.staff, c.callback, c.try, ring)
	switch {
	case errors.Is(err, care.ErrStale), errors.Is(err, care.ErrRefused), errors.Is(err, care.ErrNotFound):
		d.cfg.Log.Warn("what became of a call comes too late", "call", c.Name, "ring", ring.String(), "error", err)
	case err != nil:
		return fmt.Errorf("say what became of call %s: %w", c.Name, err)
	}
	c.said = true
	return nil
}

// free lets an agent go for whom nothing rings. When that fails the claim lapses.
func (d *Dialler) free(ctx context.Context, a centre.Agent) {
	if err := d.cfg.Agents.Over(ctx, a); err != nil {
		d.cfg.Log.Warn("an agent was not let go", "error", err)
	}
}

// news is what was heard of a call.
func (d *Dialler) news(c *call) (News, care.Ring) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return c.heard, c.ring
}

// resting is until when nothing is dialled.
func (d *Dialler) resting() purchase.Instant {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rest
}

// underWay lists the calls, by name.
func (d *Dialler) underWay() []*call {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.SortedFunc(maps.Values(d.calls), func(a, b *call) int { return strings.Compare(a.Name, b.Name) })
}

// due is when the calls under way are due, zero for never.
func (d *Dialler) due(now purchase.Instant) (next purchase.Instant) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.calls {
		at := c.till
		if c.heard != c.done {
			at = max(c.again, now)
		}
		next = sooner(next, at)
	}
	return next
}

// sooner is the earlier of two instants, of which zero is never.
func sooner(a, b purchase.Instant) purchase.Instant {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
