package partner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"tenu/internal/purchase"
)

// Limits keep a partner's trouble from becoming tenu's, and tenu's load from
// becoming the partner's trouble. Zero values stand for the defaults.
type Limits struct {
	// Timeout shortens the longest wait for one call that the partner's
	// Capability states; it never lengthens it.
	Timeout time.Duration
	// Concurrency is how many calls may be under way at once (default 64).
	Concurrency int
	// RetryRate and RetryBurst are the budget of second and later tries: tokens
	// that come back per second, and how many can be saved (default 50 and 200).
	RetryRate  float64
	RetryBurst int
	// The circuit opens when Failures of the last Window calls failed within
	// Memory (default 10 of 20, 1 minute), stays open for OpenFor (default 5 s)
	// and closes on the first success after that.
	Failures, Window int
	Memory, OpenFor  time.Duration
	// ProbeEvery is the pause between questions after the health of a partner
	// that can be asked (default 10 s). While the circuit is not closed it is
	// OpenFor.
	ProbeEvery time.Duration
}

// DefaultProbeEvery is Limits.ProbeEvery where nothing else is said.
const DefaultProbeEvery = 10 * time.Second

func (l *Limits) fill() error {
	for _, n := range []struct {
		of        *int
		otherwise int
	}{{&l.Concurrency, 64}, {&l.RetryBurst, 200}, {&l.Window, 20}, {&l.Failures, 10}} {
		if *n.of == 0 {
			*n.of = n.otherwise
		}
	}
	for _, d := range []struct {
		of        *time.Duration
		otherwise time.Duration
	}{{&l.Memory, time.Minute}, {&l.OpenFor, 5 * time.Second}, {&l.ProbeEvery, DefaultProbeEvery}} {
		if *d.of == 0 {
			*d.of = d.otherwise
		}
	}
	if l.RetryRate == 0 {
		l.RetryRate = 50
	}
	switch {
	case l.Timeout < 0 || l.Memory <= 0 || l.OpenFor <= 0 || l.ProbeEvery <= 0:
		return errors.New("limits: no time may be negative")
	case l.Concurrency < 0 || l.RetryBurst < 0 || l.RetryRate < 0:
		return errors.New("limits: no number may be negative")
	case l.Window > 1000 || l.Failures < 1 || l.Failures > l.Window:
		return errors.New("limits: failures must be 1 to window, and window at most 1000")
	}
	return nil
}

// Guard is a Partner within limits: time and number of calls, a budget of
// retries, a circuit breaker. What it holds back has not left, and is Unsent. Safe
// for concurrent use.
type Guard struct {
	partner purchase.Partner
	limits  Limits
	now     func() purchase.Instant
	slots   chan struct{}

	mu       sync.Mutex
	breaker  breaker
	budget   bucket
	health   Health
	probed   purchase.Instant
	heldBack int64
	answers  Answers
}

var (
	_ purchase.Partner       = (*Guard)(nil)
	_ purchase.BalanceReader = (*Guard)(nil)
)

// NewGuard returns the partner within limits, or what is wrong with them.
func NewGuard(p purchase.Partner, limits Limits, now func() purchase.Instant) (*Guard, error) {
	if err := limits.fill(); err != nil {
		return nil, fmt.Errorf("partner %s: %w", p.Name(), err)
	}
	g := &Guard{partner: p, limits: limits, now: now, slots: make(chan struct{}, limits.Concurrency),
		health: Health{Status: Available}}
	g.breaker = newBreaker(&g.limits)
	burst := float64(limits.RetryBurst)
	g.budget = bucket{rate: limits.RetryRate, most: burst, tokens: burst}
	return g, nil
}

// Name is the partner's name.
func (g *Guard) Name() string { return g.partner.Name() }

// Capability is the partner's, with the timeout that the limits leave of it.
func (g *Guard) Capability(leg purchase.Leg) purchase.Capability {
	c := g.partner.Capability(leg)
	if g.limits.Timeout > 0 && (c.Timeout == 0 || g.limits.Timeout < c.Timeout) && c.Supported {
		c.Timeout = g.limits.Timeout
	}
	return c
}

// Do asks the partner, or returns Unsent when the limits hold the try back.
func (g *Guard) Do(ctx context.Context, o purchase.Order) purchase.Outcome {
	return g.call(ctx, &o, o.Try > 1, func(ctx context.Context) purchase.Outcome { return g.partner.Do(ctx, o) })
}

// Query asks the partner, or returns Unsent when the limits hold the query back.
func (g *Guard) Query(ctx context.Context, o purchase.Order) purchase.Outcome {
	return g.call(ctx, &o, false, func(ctx context.Context) purchase.Outcome { return g.partner.Query(ctx, o) })
}

// Cancel asks the partner, or returns Unsent when the limits hold the cancellation back.
func (g *Guard) Cancel(ctx context.Context, o purchase.Order) purchase.Outcome {
	return g.call(ctx, &o, false, func(ctx context.Context) purchase.Outcome { return g.partner.Cancel(ctx, o) })
}

func (g *Guard) call(ctx context.Context, o *purchase.Order, retry bool, ask func(context.Context) purchase.Outcome) purchase.Outcome {
	if why := g.enter(ctx, retry); why != "" {
		return purchase.Outcome{Kind: purchase.Unsent, Reason: purchase.ReasonClosed, Detail: "held back: " + why}
	}
	out, known := purchase.Outcome{Kind: purchase.Unknown}, true // as for a call that panics
	defer func() { g.answered(&out, known) }()
	limited, cancel := g.within(ctx, g.Capability(o.Leg).Timeout)
	defer cancel()
	out = ask(limited)
	known = !errors.Is(ctx.Err(), context.Canceled)
	return out
}

// answered ends a call with its outcome. One that its caller gave up on counts nowhere.
func (g *Guard) answered(out *purchase.Outcome, known bool) {
	g.leave(trouble(out), known)
	if known {
		g.mu.Lock()
		g.answers.count(out)
		g.mu.Unlock()
	}
}

// within is a context that ends after d, or with ctx when d is not positive or ctx
// ends before that anyway.
func (g *Guard) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if end, has := ctx.Deadline(); d <= 0 || has && end.Sub(g.now().Time()) <= d {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}

// trouble reports whether an outcome speaks of the partner's health rather than
// of the order.
func trouble(o *purchase.Outcome) bool {
	return o.Kind == purchase.Unknown || o.Kind == purchase.Unsent ||
		o.Kind == purchase.Refused && o.Reason == purchase.ReasonClosed
}

// enter waits for a free slot and asks breaker and budget. It returns why the
// call is held back, "" when it may go.
func (g *Guard) enter(ctx context.Context, retry bool) string {
	why := g.admit(ctx, retry)
	if why != "" {
		g.mu.Lock()
		g.heldBack++
		g.mu.Unlock()
	}
	return why
}

func (g *Guard) admit(ctx context.Context, retry bool) string {
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return "no free slot in time"
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	switch {
	case ctx.Err() != nil:
		<-g.slots
		return "too late"
	case !g.breaker.allow(now):
		<-g.slots
		return "circuit open"
	case retry && !g.budget.take(now):
		g.breaker.release()
		<-g.slots
		return "retry budget spent"
	}
	return ""
}

// leave frees the slot. A call that its caller gave up on says nothing (known false).
func (g *Guard) leave(failed, known bool) {
	<-g.slots
	g.mu.Lock()
	defer g.mu.Unlock()
	if known {
		g.breaker.record(failed, g.now())
	} else {
		g.breaker.release()
	}
}

// Balance asks the partner within the limits. It returns an error wrapping
// purchase.ErrUnavailable when they hold the question back or the partner
// cannot be asked at all. The text of its error tells nobody's number.
func (g *Guard) Balance(ctx context.Context, line purchase.MSISDN) (purchase.Balances, error) {
	reader, ok := g.partner.(purchase.BalanceReader)
	if !ok {
		return purchase.Balances{}, fmt.Errorf("%w: %s tells no balances", purchase.ErrUnavailable, g.Name())
	}
	if why := g.enter(ctx, false); why != "" {
		return purchase.Balances{}, fmt.Errorf("%w: %s: %s", purchase.ErrUnavailable, g.Name(), why)
	}
	failed := true
	defer func() { g.leave(failed, !errors.Is(ctx.Err(), context.Canceled)) }()
	limited, cancel := g.within(ctx, g.limits.Timeout)
	defer cancel()
	balances, err := reader.Balance(limited, line)
	failed = err != nil && !errors.Is(err, purchase.ErrUnknownLine)
	if err != nil {
		return purchase.Balances{}, told{err}
	}
	return balances, nil
}

// Answers are totals of calls that left, by what came of them, since the start.
type Answers struct {
	Done    int64
	Refused int64 // for what was asked
	Closed  int64 // because the partner says that it is not available
	Pending int64
	Unknown int64
	Unsent  int64 // that could not leave for the partner's trouble; held back ones are counted apart
	Other   int64 // what queries and cancellations teach beside
}

func (a *Answers) count(o *purchase.Outcome) {
	switch o.Kind {
	case purchase.Done:
		a.Done++
	case purchase.Refused:
		if o.Reason == purchase.ReasonClosed {
			a.Closed++
		} else {
			a.Refused++
		}
	case purchase.Pending:
		a.Pending++
	case purchase.Unknown:
		a.Unknown++
	case purchase.Unsent:
		a.Unsent++
	default: // Absent, Cancelled, Reversed
		a.Other++
	}
}

// State is a guarded partner as it is seen at one moment.
type State struct {
	Partner  string
	Circuit  Circuit
	Since    purchase.Instant // of the circuit, zero when it never changed
	UnderWay int              // calls
	HeldBack int64            // calls held back since the start
	Answers  Answers          // to those that were not
	Retries  int              // tokens left in the budget
	Health   Health           // as last asked for; Available where it cannot be
	AskedAt  purchase.Instant // when that was, zero where it cannot be
}

// State returns how the partner stands.
func (g *Guard) State() State {
	g.mu.Lock()
	defer g.mu.Unlock()
	return State{Partner: g.Name(), Circuit: g.breaker.circuit, Since: g.breaker.since, UnderWay: len(g.slots),
		HeldBack: g.heldBack, Answers: g.answers, Retries: int(g.budget.tokens), Health: g.health, AskedAt: g.probed}
}

// Admit returns a *purchase.PausedError when a purchase through the partner
// should be refused before the charge. After an open circuit a partner that can
// be probed must have said that it is well before the next purchase may try it;
// of another one the next purchase is itself the probe.
func (g *Guard) Admit() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, probed := g.partner.(Prober)
	switch b := &g.breaker; {
	case g.health.Status == Unavailable, b.circuit == Open && (probed || g.now() < b.until), b.circuit == Probing && b.probe:
		return &purchase.PausedError{Partner: g.Name(), Until: g.health.Until}
	}
	return nil
}

// Step probes the partner if it is time to, and returns when it is next, zero
// when the partner cannot be probed. A partner that says it is unavailable is
// paused until it says otherwise.
func (g *Guard) Step(ctx context.Context, now purchase.Instant) (purchase.Instant, error) {
	prober, ok := g.partner.(Prober)
	if !ok {
		return 0, nil
	}
	if due := g.probeDue(); now < due {
		return due, nil
	}
	timeout := g.limits.OpenFor
	if g.limits.Timeout > 0 {
		timeout = min(timeout, g.limits.Timeout)
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	health := prober.Probe(limited)
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	g.mu.Lock()
	g.probed, g.health = now, health
	if health.Status != Unavailable && g.breaker.circuit == Open && now >= g.breaker.until {
		g.breaker.turn(Probing, now) // well by its own words; the next call proves it
	}
	g.mu.Unlock()
	return g.probeDue(), nil
}

// probeDue is when the partner should be probed next.
func (g *Guard) probeDue() purchase.Instant {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.probed == 0:
		return 0
	case g.breaker.circuit != Closed || g.health.Status == Unavailable:
		return max(g.probed.Add(g.limits.OpenFor), g.breaker.until)
	}
	return g.probed.Add(g.limits.ProbeEvery)
}
