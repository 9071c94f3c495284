package purchase

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Member is a partner with the number of calls that it may be asked at once.
type Member struct {
	Partner
	Concurrency int
}

// DefaultLeaseTTL is how long a silent node keeps its purchases where nothing else is said.
const DefaultLeaseTTL = 10 * time.Second

// Config is what an engine is built from. Store, Keys, Clock, Wording, Node,
// Partners and Rules are needed; the rest has defaults.
type Config struct {
	Store    Store
	Keys     *Keyring
	Clock    Clock
	Wording  Wording
	Node     string // unique among the nodes of a store
	Shard    int
	Rules    Rules
	Partners []Member
	// Alternates returns, in order, the providers that can credit a purchase.
	Alternates func(*Purchase) []string
	// Admit refuses a purchase before anything is written, with *PausedError
	// for a partner that is failing. Nil admits all.
	Admit func(*Request) error
	// Notices is called, without waiting, after notices were committed.
	Notices func()
	// Cases is called, without waiting, with each purchase of which a case was committed,
	// or that has one and got its outcome.
	Cases func(ID)
	// Committed is called, under the engine's lock, with each change that was written,
	// in the order of the purchase's versions. So that whoever counts knows which
	// purchases are this process's, it is called too with a change that holds only Now
	// for each open purchase that was resumed (Now.Resumed says when), and with one whose
	// Now.State is zero for each that is given up because somebody else wrote it. It
	// must be cheap, must not call the engine, and must not keep the change.
	Committed func(*Change)
	// Salt makes the salt of a new purchase, of chance alone. Nil: none has one. It must
	// be cheap and must not call the engine.
	Salt func() [16]byte
	Log  *slog.Logger

	MaxOpen    int           // purchases open at once (default 1 000 000)
	MaxPending int           // changes waiting for a commit (default 20 000)
	MaxBatch   int           // changes in one commit (default 512)
	Committers int           // commits under way at once (default 2)
	LeaseTTL   time.Duration // how long a silent node keeps its purchases (default 10 s)
}

func (c *Config) check() error {
	switch {
	case c.Store == nil || c.Keys == nil || c.Clock == nil || c.Wording == nil || c.Log == nil:
		return errors.New("engine: store, keys, clock, wording and log are needed")
	case c.Node == "":
		return errors.New("engine: the node needs a name")
	case c.Shard < 0 || c.Shard >= 1<<ShardBits:
		return fmt.Errorf("engine: shard %d is not between 0 and %d", c.Shard, 1<<ShardBits-1)
	}
	orDefault := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	orDefault(&c.MaxOpen, 1_000_000)
	orDefault(&c.MaxPending, 20_000)
	orDefault(&c.MaxBatch, 512)
	orDefault(&c.Committers, 2)
	if c.LeaseTTL <= 0 {
		c.LeaseTTL = DefaultLeaseTTL
	}
	return c.Rules.Check()
}

// Engine drives every open purchase of a node. Between New and the start of Run
// it admits nothing. All its methods are safe for concurrent use.
type Engine struct {
	cfg Config

	mu       sync.Mutex
	core     core
	work     *sync.Cond // committers wait: something is pending, or the engine ends
	life     *sync.Cond // Run waits: the engine drains, is quiet, or ends
	running  bool       // lease held, purchases resumed
	draining bool
	stopped  error   // why no more is committed
	sureFrom Instant // the lease is certain from here
	sureTill Instant // to here
	armed    Instant // when the timer loop wakes next, zero when it does not sleep
	reload   []ID    // purchases to read again, because what is stored is not what was believed
	unpark   []int64 // parked events that were applied
	behind   bool    // purchases taken over are not all in memory yet
	most     int     // changes in the next batch
	unwell   bool    // the store did not write the last batch

	idMu    sync.Mutex
	nextID  int64
	limitID int64

	timer chan struct{} // a sooner timer may have been set
	lease chan struct{} // something for the lease's step to do
	seen  map[int64]sighting
}

// New checks the configuration and returns an engine that does nothing yet.
func New(cfg Config) (*Engine, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	e := &Engine{cfg: cfg, most: cfg.MaxBatch, timer: make(chan struct{}, 1), lease: make(chan struct{}, 1), seen: map[int64]sighting{}}
	e.work, e.life = sync.NewCond(&e.mu), sync.NewCond(&e.mu)
	e.core = core{keys: cfg.Keys, salt: cfg.Salt, wording: cfg.Wording, open: map[ID]*item{}, lanes: map[string]*lane{},
		making: map[clientKey]*item{}, likes: map[likeness]*item{}}
	for _, m := range cfg.Partners {
		if e.core.lanes[m.Name()] != nil || m.Concurrency <= 0 {
			return nil, fmt.Errorf("engine: partner %q is named twice or has no concurrency", m.Name())
		}
		cond := sync.NewCond(&e.mu)
		e.core.lanes[m.Name()] = &lane{partner: m.Partner, concurrency: m.Concurrency, wake: cond.Signal, sleep: cond.Wait, wakeAll: cond.Broadcast}
	}
	e.core.terms = Terms{Rules: cfg.Rules, Overlap: cfg.LeaseTTL, Capability: e.capability, Alternate: e.alternate}
	return e, nil
}

func (e *Engine) capability(partner string, leg Leg) Capability {
	if l := e.core.lanes[partner]; l != nil {
		return l.partner.Capability(leg)
	}
	return Capability{}
}

// alternate is the next provider after the present one that can credit p.
func (e *Engine) alternate(p *Purchase) string {
	if e.cfg.Alternates == nil {
		return ""
	}
	found := false
	for _, name := range e.cfg.Alternates(p) {
		if found && e.core.lanes[name] != nil {
			return name
		}
		found = found || name == p.Provider
	}
	return ""
}

// Run acquires a lease, resumes this node's purchases, and works until ctx ends
// or the lease is lost. When ctx ends it stops admitting, lets calls under way
// end (for at most drain), commits what they taught, and returns nil; what is
// still open is resumed by the next Run on the store. It returns an error
// wrapping ErrFenced when another node took over. Run is called once.
func (e *Engine) Run(ctx context.Context, drain time.Duration) error {
	lease, err := e.acquire(ctx)
	if err != nil {
		return err
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var callers, committers, loops sync.WaitGroup
	for range e.cfg.Committers {
		committers.Go(func() { e.commitLoop(work) })
	}
	for _, l := range e.core.lanes {
		for range l.concurrency {
			callers.Go(func() { e.callLoop(work, l) })
		}
	}
	loops.Go(func() { e.timerLoop(work) })
	loops.Go(func() { e.leaseLoop(work, lease) })

	e.await(ctx)
	e.drain(drain)
	e.halt(errStopped)
	stop()
	callers.Wait()
	committers.Wait()
	loops.Wait()
	return e.end()
}

var errStopped = fmt.Errorf("%w: this node is stopping", ErrUnavailable)

// await returns when ctx ends or the engine was halted.
func (e *Engine) await(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		e.mu.Lock()
		e.draining = true
		e.life.Broadcast()
		e.mu.Unlock()
	})
	defer stop()
	e.mu.Lock()
	for !e.draining && e.stopped == nil {
		e.life.Wait()
	}
	e.draining = true
	e.mu.Unlock()
}

// drain waits until no call and no change is under way, but not longer than most.
func (e *Engine) drain(most time.Duration) {
	timeout := e.cfg.Clock.After(most)
	over := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-timeout:
			e.halt(errStopped)
		case <-over:
		}
	})
	e.mu.Lock()
	for e.stopped == nil && !e.quiet() {
		e.life.Wait()
	}
	e.mu.Unlock()
	close(over)
	watch.Wait()
}

// quiet reports whether nothing is under way. The lanes stop taking calls once draining is set.
func (e *Engine) quiet() bool {
	if len(e.core.pending) > 0 || e.core.committing > 0 {
		return false
	}
	for _, l := range e.core.lanes {
		if l.underWay > 0 {
			return false
		}
	}
	return true
}

// halt makes every loop end. The first reason stays.
func (e *Engine) halt(why error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopLocked(why)
}

// end releases everyone who still waits, and says why the engine ended.
func (e *Engine) end() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, it := range e.core.open {
		why := e.stopped
		if it.doubtful {
			why = fmt.Errorf("%w: the node stopped before it could tell", ErrCommitUnknown)
		}
		for _, who := range it.creators {
			who.made(&it.p, why)
		}
		it.creators = nil
		e.core.lose(it, e.stopped)
	}
	if errors.Is(e.stopped, errStopped) {
		return nil
	}
	return e.stopped
}

// stopLocked is halt for who holds the lock.
func (e *Engine) stopLocked(why error) {
	if e.stopped == nil {
		e.stopped = why
	}
	e.running = false
	e.work.Broadcast()
	e.life.Broadcast()
	for _, l := range e.core.lanes {
		l.wakeAll()
	}
}

// kick wakes a loop without waiting.
func (e *Engine) kick(loop chan struct{}) {
	select {
	case loop <- struct{}{}:
	default:
	}
}

// callLoop is one of a lane's concurrent callers.
func (e *Engine) callLoop(ctx context.Context, l *lane) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.stopped == nil {
		k := e.take(l)
		if k == nil {
			l.sleep()
			continue
		}
		e.mu.Unlock()
		outcome := e.ask(ctx, l.partner, k)
		e.mu.Lock()
		e.answer(l, k, outcome)
	}
}

// take begins the next call of a lane, or returns nil. Without a sure lease
// nothing may be sent.
func (e *Engine) take(l *lane) *call {
	if e.draining || e.stopped != nil {
		return nil
	}
	now := e.cfg.Clock.Now()
	k := e.core.take(l, now)
	if k != nil && k.Op == OpDo && (now < e.sureFrom || now > e.sureTill) {
		k.barred = "lease not renewed"
	}
	return k
}

// ask makes one call of a partner within its timeout, counted from when the call
// was begun: a process that was stopped in between sends nothing late. An adapter
// that panics has answered nothing.
func (e *Engine) ask(ctx context.Context, partner Partner, k *call) (o Outcome) {
	left := timeout(partner, k.Leg) - e.cfg.Clock.Now().Sub(k.begun)
	if left <= 0 {
		k.barred = "no time left to send it"
	}
	if k.barred != "" {
		return Outcome{Kind: Unsent, Reason: ReasonClosed, Detail: k.barred}
	}
	defer func() {
		if r := recover(); r != nil {
			o = Outcome{Kind: Unknown, Detail: fmt.Sprintf("adapter panicked: %v", r)}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	switch k.Op {
	case OpQuery:
		return partner.Query(ctx, k.order)
	case OpCancel:
		return partner.Cancel(ctx, k.order)
	case OpDo:
	}
	return partner.Do(ctx, k.order)
}

// timeout is how long one call may take.
func timeout(partner Partner, leg Leg) time.Duration {
	if t := partner.Capability(leg).Timeout; t > 0 {
		return t
	}
	return 10 * time.Second
}

// answer ends a call with its outcome.
func (e *Engine) answer(l *lane, k *call, o Outcome) {
	pending := len(e.core.pending)
	e.core.answer(l, k, o, e.cfg.Clock.Now())
	if len(e.core.pending) > pending {
		e.work.Signal()
	}
	if e.draining {
		e.life.Broadcast()
	}
	e.rearm()
}

// timerLoop fires what is due.
func (e *Engine) timerLoop(ctx context.Context) {
	for {
		now := e.cfg.Clock.Now()
		next := e.Tick(now)
		sleep := time.Minute
		if next != 0 {
			sleep = max(next.Sub(now), time.Millisecond)
		}
		select {
		case <-e.cfg.Clock.After(sleep):
		case <-e.timer:
		case <-ctx.Done():
			return
		}
	}
}

// Tick fires the purchases due at now and returns when the next is due, zero
// for none. Run calls it; it is safe to call more often.
func (e *Engine) Tick(now Instant) Instant {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining || e.stopped != nil || !e.running {
		return 0
	}
	const most = 10_000 // purchases fired while the lock is held
	next := e.core.tick(now, most)
	if len(e.core.pending) > 0 {
		e.work.Broadcast()
	}
	e.armed = next
	return next
}

// rearm wakes the timer loop if something is due sooner than it sleeps.
func (e *Engine) rearm() {
	if len(e.core.due) > 0 {
		if head := e.core.due[0].p.DueAt; e.armed == 0 || head < e.armed {
			e.armed = head
			e.kick(e.timer)
		}
	}
}
