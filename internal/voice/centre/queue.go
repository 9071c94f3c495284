package centre

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

// Config is what a queue is built from. Store, Clock and Node are needed.
type Config struct {
	Store Store
	Clock purchase.Clock
	// Node is a name that no other process has or had: it is part of what calls to keep promises are called.
	Node string
	Log  *slog.Logger
	// Hours are when agents answer; zero: always.
	Hours care.Hours
	// RingFor is how long an agent's telephone may ring (default 20 s), WrapFor how long they write down what was said
	// before the next call (default 30 s; negative: not at all).
	RingFor, WrapFor time.Duration
	// TalkFor is after what time an agent is free again whose node died in a call (default 90 s).
	TalkFor time.Duration
	// MaxWaiting is how many callers wait here at most (default 500).
	MaxWaiting int
	// Changed is told, without waiting, of agents that changed, here or elsewhere; nil: nobody is.
	Changed func(Agent)
}

func (c *Config) fill() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.RingFor, c.WrapFor, c.TalkFor = cmp.Or(c.RingFor, 20*time.Second), cmp.Or(c.WrapFor, 30*time.Second), cmp.Or(c.TalkFor, 90*time.Second)
	c.MaxWaiting = cmp.Or(c.MaxWaiting, 500)
}

// Waiter is a caller who waits for an agent.
type Waiter struct {
	Call     string
	Number   purchase.MSISDN
	Purchase purchase.ID
	Case     care.CaseID
	Language purchase.Language
	First    bool             // a promise to them was broken: goes before all others
	Since    purchase.Instant // zero for now
}

// Queue lets callers wait, and gives them agents: who is first, the agent that is ready for longest. All nodes give
// the agents of one store; what decides is the agent's version there. It is safe for concurrent use.
type Queue struct {
	cfg  Config
	wake chan struct{}
	// turn is had by who reads or changes agents in the store, so that what is known here never goes back.
	turn chan struct{}

	mu     sync.Mutex // never held while the store is asked
	agents map[auth.StaffID]Agent
	held   map[auth.StaffID]hold // who was given a call here
	// waiting are the callers without an agent, in order; places all who entered and were not connected, by call.
	waiting []*Place
	places  map[string]*Place
	count   int64 // of what entered or was claimed
	handled handled
	over    map[auth.StaffID]string // the last call that a telephone system said the end of
	readAt  purchase.Instant        // when agents were read last
	lookAt  purchase.Instant        // when that was tried last
	lookBy  purchase.Instant        // when they are to be read at the latest, whatever the rhythm; zero for no such time
}

// hold is an agent who was given a call here.
type hold struct {
	call   string
	before Agent // as the agent was
	wish   State // what the agent is to be, which the store did not take yet; zero for nothing
}

// New returns a queue that gives no agents before it runs.
func New(cfg Config) *Queue {
	cfg.fill()
	return &Queue{cfg: cfg, wake: make(chan struct{}, 1), turn: make(chan struct{}, 1), agents: map[auth.StaffID]Agent{},
		held: map[auth.StaffID]hold{}, over: map[auth.StaffID]string{}, places: map[string]*Place{}, handled: newHandled()}
}

// Place is a caller's in the queue.
type Place struct {
	q     *Queue
	w     Waiter
	seq   int64
	given chan Agent
	agent auth.StaffID // who was claimed, 0 for nobody
	left  bool
}

// Enter lets a caller wait, or returns ErrFull.
func (q *Queue) Enter(w Waiter) (*Place, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.places) >= q.cfg.MaxWaiting || q.places[w.Call] != nil {
		return nil, ErrFull
	}
	w.Since = cmp.Or(w.Since, q.cfg.Clock.Now())
	q.count++
	p := &Place{q: q, w: w, seq: q.count, given: make(chan Agent, 1)}
	q.places[w.Call] = p
	q.stand(p)
	q.wakeUp()
	return p, nil
}

// goesBefore orders who waits: broken promises first, then who came first.
func (w *Waiter) goesBefore(o *Waiter) int {
	switch {
	case w.First != o.First && w.First:
		return -1
	case w.First != o.First:
		return 1
	}
	return cmp.Compare(w.Since, o.Since)
}

func inOrder(a, b *Place) int { return cmp.Or(a.w.goesBefore(&b.w), cmp.Compare(a.seq, b.seq)) }

// stand puts a place into the line. q.mu is held.
func (q *Queue) stand(p *Place) {
	p.agent = 0
	at, _ := slices.BinarySearchFunc(q.waiting, p, inOrder)
	q.waiting = slices.Insert(q.waiting, at, p)
}

// stepOut takes a place out of the line. q.mu is held.
func (q *Queue) stepOut(p *Place) {
	if at, there := slices.BinarySearchFunc(q.waiting, p, inOrder); there {
		q.waiting = slices.Delete(q.waiting, at, at+1)
	}
}

// Given brings an agent who was claimed for the caller, and whose telephone is to ring: another one
// when the one before did not take the call.
func (p *Place) Given() <-chan Agent { return p.given }

// At is 1 for who is next, and 0 for who was given an agent or left.
func (p *Place) At() int {
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	if at, there := slices.BinarySearchFunc(p.q.waiting, p, inOrder); there {
		return at + 1
	}
	return 0
}

// Leave leaves the queue. An agent who was given and did not take the call yet is free for others. It is idempotent.
func (p *Place) Leave() {
	q := p.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if p.left || q.places[p.w.Call] != p {
		return
	}
	q.vacate(p)
	if h, ok := q.held[p.agent]; ok && h.call == p.w.Call && h.wish == 0 {
		h.wish = Ready
		q.held[p.agent] = h
	}
	q.wakeUp()
}

// vacate lets a caller wait no more. q.mu is held.
func (q *Queue) vacate(p *Place) {
	p.left = true
	delete(q.places, p.w.Call)
	q.stepOut(p)
}

// give lets a waiting caller have an agent who was claimed for them; one who left meanwhile has no use for one. q.mu is held.
func (q *Queue) give(p *Place, a, before Agent) {
	h := hold{call: a.Call, before: before}
	if p.left {
		h.wish = Ready
	}
	q.held[a.Staff] = h
	if p.left {
		q.wakeUp()
		return
	}
	q.stepOut(p)
	p.agent = a.Staff
	p.forget()
	p.given <- a
}

// forget takes back an agent whom nobody received.
func (p *Place) forget() {
	select {
	case <-p.given:
	default:
	}
}

// wakeUp lets Run look at what there is to do. It never waits.
func (q *Queue) wakeUp() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Open reports whether agents answer now: it is within the hours, and one is not Away.
func (q *Queue) Open() bool {
	return within(&q.cfg.Hours, q.cfg.Clock.Now()) && q.OnDuty() > 0
}

func within(h *care.Hours, at purchase.Instant) bool {
	if h.Location == nil {
		return true
	}
	t := at.Time().In(h.Location)
	hour, minute, second := t.Clock()
	since := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	return since >= h.Opens && since < h.Closes
}

// OnDuty is how many agents are not Away.
func (q *Queue) OnDuty() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.onDuty()
}

func (q *Queue) onDuty() (n int) {
	for _, a := range q.agents {
		if a.State != Away {
			n++
		}
	}
	return n
}

// Standing is how the queue stands.
type Standing struct {
	Waiting int              // callers, here
	Since   purchase.Instant // when the first of them began to wait, zero for nobody
	Agents  map[State]int    // those who are Away are not counted
}

// Standing tells how the queue stands.
func (q *Queue) Standing() Standing {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := Standing{Waiting: len(q.waiting), Agents: map[State]int{Ready: 0, Ringing: 0, Talking: 0, Wrapping: 0}}
	for _, a := range q.agents {
		if a.State != Away {
			s.Agents[a.State]++
		}
	}
	for _, p := range q.waiting {
		if s.Since == 0 || p.w.Since < s.Since {
			s.Since = p.w.Since
		}
	}
	return s
}

// idle are the agents that are Ready, for longest first. q.mu is held.
func (q *Queue) idle() (ready []Agent) {
	for _, a := range q.agents {
		if a.State == Ready {
			ready = append(ready, a)
		}
	}
	slices.SortFunc(ready, func(a, b Agent) int { return cmp.Or(cmp.Compare(a.Since, b.Since), cmp.Compare(a.Staff, b.Staff)) })
	return ready
}

// take has the turn, until pass.
func (q *Queue) take(ctx context.Context) error {
	select {
	case q.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (q *Queue) pass() { <-q.turn }
