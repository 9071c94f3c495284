package hook

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tenu/internal/purchase"
)

// Config is what a courier is built from. The first five are needed; the rest has
// defaults.
type Config struct {
	Store   Store
	Targets *Targets
	Clock   purchase.Clock
	Log     *slog.Logger
	// Write writes an event for a listener, or returns an error that wraps ErrSkip.
	Write func(ctx context.Context, s Listener, d Delivery) (Message, error)
	// Carry tells a listener whose address is no web address, such as a mailbox, or returns an error that wraps ErrSkip; it
	// writes what it sends. Nil: there are none such.
	Carry func(ctx context.Context, s Listener, d Delivery) error
	// Taken is called when a listener took an event, before that is kept: after an error the event is told again. Nil: nobody is.
	Taken func(ctx context.Context, s Listener, d Delivery) error
	// Roots sign the targets' certificates; nil: the system's do.
	Roots *x509.CertPool
	// Standing tells whether this node is the one that delivers, and whether there is
	// no other; nil: it is, and alone. Two that deliver at once tell some events twice.
	Standing func(ctx context.Context) (delivers, alone bool, err error)

	Batch       int           // deliveries of a listener in one round (default 64)
	Concurrency int           // requests of a listener under way at once (default 8)
	Timeout     time.Duration // of one request (default 10 s)
	Patience    time.Duration // a step waits so long for the rounds of listeners (default 1 s)
	Pause       time.Duration // between steps, so that they gather (default 50 ms)
	Sweep       time.Duration // between looks that nothing woke (default 30 s)
	Others      time.Duration // the same while there are other nodes (default 1 s)
	RetryFirst  time.Duration // backoff after a failure (default 1 s) ...
	RetryMost   time.Duration // ... doubled up to this (default 10 min)
	GiveUp      time.Duration // after the first try (default 24 h)
	Keep        time.Duration // of an event that was not told, tried or not (default 72 h)
}

// forgetAtOnce bounds how many events are given up untold in one transaction.
const forgetAtOnce = 1000

// maxAnswer is how many bytes of an answer are read; nothing in it matters.
const maxAnswer = 4 << 10

// Courier delivers events from the store to their listeners: at least once, of
// one case in their order, under an ID that is the same for every try. Step and Run must
// not be called concurrently; Wake and Stats may be, at any time.
type Courier struct {
	cfg    Config
	client *http.Client
	wake   chan struct{}

	failures int // steps in a row that the store failed
	until    purchase.Instant
	outdates purchase.Instant  // when it is looked for outdated events next
	rests    map[string]rest   // listeners whose host did not answer
	rounds   map[string]*round // of listeners, that are not over

	delivered, failed, died atomic.Int64
}

// rest is how long a listener is left alone.
type rest struct {
	times int
	until purchase.Instant
}

// Stats counts since the process began.
type Stats struct{ Delivered, Failed, Died int64 }

// NewCourier returns a courier that does nothing yet.
func NewCourier(cfg Config) (*Courier, error) {
	if cfg.Store == nil || cfg.Targets == nil || cfg.Clock == nil || cfg.Log == nil || cfg.Write == nil {
		return nil, errors.New("courier: store, targets, clock, log and a writer are needed")
	}
	orDefault(&cfg.Batch, 64)
	orDefault(&cfg.Concurrency, 8)
	orDefault(&cfg.Timeout, 10*time.Second)
	orDefault(&cfg.Patience, time.Second)
	orDefault(&cfg.Pause, 50*time.Millisecond)
	orDefault(&cfg.Sweep, 30*time.Second)
	orDefault(&cfg.Others, time.Second)
	orDefault(&cfg.RetryFirst, time.Second)
	orDefault(&cfg.RetryMost, 10*time.Minute)
	orDefault(&cfg.GiveUp, 24*time.Hour)
	orDefault(&cfg.Keep, 72*time.Hour)
	client := &http.Client{
		Transport:     cfg.Targets.transport(cfg.Roots),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Courier{cfg: cfg, client: client, wake: make(chan struct{}, 1), rests: map[string]rest{}, rounds: map[string]*round{}}, nil
}

func orDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Stats counts what became of tries.
func (c *Courier) Stats() Stats {
	return Stats{c.delivered.Load(), c.failed.Load(), c.died.Load()}
}

// Wake tells the courier that there are new events. It never waits.
func (c *Courier) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Configure makes the configuration's listeners stand, and no others of such.
func (c *Courier) Configure(ctx context.Context, all []Listener) error {
	stored, err := c.cfg.Store.Listeners(ctx)
	if err != nil {
		return fmt.Errorf("read listeners: %w", err)
	}
	wanted := map[string]bool{}
	for _, s := range all {
		wanted[s.ID] = true
		s.At = c.cfg.Clock.Now()
		if err := c.cfg.Store.PutListener(ctx, s, len(stored)+len(all)); err != nil {
			return fmt.Errorf("keep listener %s: %w", s.ID, err)
		}
	}
	for _, s := range stored {
		if !strings.HasPrefix(s.ID, configured) || wanted[s.ID] {
			continue
		}
		if err := c.cfg.Store.DropListener(ctx, s.Client, s.ID); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("drop listener %s: %w", s.ID, err)
		}
	}
	return nil
}

// Run delivers until ctx ends, and then hangs up.
func (c *Courier) Run(ctx context.Context) {
	defer c.client.CloseIdleConnections()
	defer c.end(ctx)
	for ctx.Err() == nil {
		next, err := c.Step(ctx, c.cfg.Clock.Now())
		if err != nil && ctx.Err() == nil {
			c.cfg.Log.WarnContext(ctx, "events wait", "until", next.String(), "error", err)
		}
		wait, wake := next.Sub(c.cfg.Clock.Now()), c.wake
		if c.failures > 0 {
			wake = nil
		}
		select {
		case <-ctx.Done():
		case <-c.cfg.Clock.After(max(wait, 0)):
		case <-wake:
			select {
			case <-ctx.Done():
			case <-c.cfg.Clock.After(c.cfg.Pause):
			}
		}
	}
}

// end waits for the rounds that are not over when ctx has ended, which ends them.
func (c *Courier) end(ctx context.Context) {
	for id, r := range c.rounds {
		<-r.over
		delete(c.rounds, id)
		if err := c.settle(ctx, c.cfg.Clock.Now(), r, &sooner{}); err != nil {
			c.cfg.Log.WarnContext(ctx, "some events will be told twice", "listener", id, "error", err)
		}
	}
}

// Step begins a round of each listener, waits for them a while, and returns when to call it again: at now if
// more may be waiting; the end of a round that it did not wait for wakes. An error says that the store failed, or that ctx ended;
// what was under way then is delivered again, under the same IDs. A target that
// fails is no error: its deliveries wait.
func (c *Courier) Step(ctx context.Context, now purchase.Instant) (next purchase.Instant, err error) {
	if now < c.until {
		return c.until, nil
	}
	next, err = c.step(ctx, now)
	if err != nil {
		wait := c.cfg.Sweep
		if c.failures < 20 {
			wait = min(c.cfg.RetryFirst<<c.failures, c.cfg.Sweep)
		}
		c.failures++
		c.until = now.Add(wait)
		return c.until, err
	}
	c.failures, c.until = 0, 0
	return next, nil
}

func (c *Courier) step(ctx context.Context, now purchase.Instant) (purchase.Instant, error) {
	delivers, alone := true, true
	if c.cfg.Standing != nil {
		var err error
		if delivers, alone, err = c.cfg.Standing(ctx); err != nil {
			return 0, fmt.Errorf("ask who delivers: %w", err)
		}
	}
	if !delivers {
		return now.Add(c.cfg.Others), c.gather(ctx, now, &sooner{})
	}
	next := sooner{now.Add(c.cfg.Sweep)}
	if !alone {
		next = sooner{now.Add(c.cfg.Others)}
	}
	if err := c.outdate(ctx, now, &next); err != nil {
		return 0, err
	}
	all, err := c.cfg.Store.Listeners(ctx)
	if err != nil {
		return 0, fmt.Errorf("read listeners: %w", err)
	}
	c.forget(all)
	for i := range all {
		if err := c.begin(ctx, now, &all[i], &next); err != nil {
			return 0, err
		}
	}
	return next.at, errors.Join(c.gather(ctx, now, &next), ctx.Err())
}

// sooner is the earliest of what it is told.
type sooner struct{ at purchase.Instant }

func (s *sooner) or(at purchase.Instant) { s.at = min(s.at, at) }

// outdate forgets events that nobody took for so long that they are news no more.
func (c *Courier) outdate(ctx context.Context, now purchase.Instant, next *sooner) error {
	if now < c.outdates {
		return nil
	}
	gone, err := c.cfg.Store.ForgetDeliveries(ctx, now.Add(-c.cfg.Keep), forgetAtOnce)
	if err != nil {
		return fmt.Errorf("forget deliveries: %w", err)
	}
	total := 0
	for listener, n := range gone {
		total += n
		c.died.Add(int64(n))
		c.cfg.Log.ErrorContext(ctx, "events were given up untold", slog.String("listener", listener), slog.Int("events", n), slog.Duration("after", c.cfg.Keep))
	}
	if c.outdates = now.Add(c.cfg.Sweep); total == forgetAtOnce {
		c.outdates = now
		next.or(now)
	}
	return nil
}

// begin begins a listener's next round, unless one is not over or it rests.
func (c *Courier) begin(ctx context.Context, now purchase.Instant, s *Listener, next *sooner) error {
	if c.rounds[s.ID] != nil {
		return nil // its end wakes
	}
	if r := c.rests[s.ID]; now < r.until {
		next.or(r.until)
		return nil
	}
	due, later, err := c.cfg.Store.DueDeliveries(ctx, s.ID, now, c.cfg.Batch)
	if err != nil {
		return fmt.Errorf("read deliveries: %w", err)
	}
	if later != 0 {
		next.or(later)
	}
	if len(due) == 0 {
		return nil
	}
	r := &round{jobs: make([]job, len(due)), over: make(chan struct{})}
	for i, d := range due {
		r.jobs[i] = job{s: s, d: d}
	}
	c.rounds[s.ID] = r
	go func() {
		c.do(ctx, r.jobs)
		close(r.over)
		c.Wake()
	}()
	return nil
}

// gather learns what became of the rounds that end within Patience. A slow listener's goes on, and
// keeps the others waiting no more.
func (c *Courier) gather(ctx context.Context, now purchase.Instant, next *sooner) error {
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.cfg.Patience)
	defer cancel()
	var errs []error
	for id, r := range c.rounds {
		if !r.ends(patience) {
			continue
		}
		delete(c.rounds, id)
		errs = append(errs, c.settle(ctx, now, r, next))
	}
	return errors.Join(errs...)
}

// settle marks what became of a round.
func (c *Courier) settle(ctx context.Context, now purchase.Instant, r *round, next *sooner) error {
	moved, quick := c.learn(ctx, now, r.jobs)
	// What was taken is marked even if ctx has ended: otherwise it would be sent again.
	marking, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.cfg.Timeout)
	defer cancel()
	if err := c.cfg.Store.MoveDeliveries(marking, moved); err != nil {
		return fmt.Errorf("mark %d deliveries: %w", len(moved), err)
	}
	for i := range moved {
		if moved[i].State == Waiting {
			next.or(moved[i].NextAt)
		}
	}
	if quick { // the cases that were told of may have further events
		next.or(now)
	}
	return nil
}

// forget drops the rests of listeners that are gone.
func (c *Courier) forget(all []Listener) {
	present := map[string]rest{}
	for i := range all {
		if r, rests := c.rests[all[i].ID]; rests {
			present[all[i].ID] = r
		}
	}
	c.rests = present
}

// round is what one listener is told at once. Its jobs are the round's own until it is over.
type round struct {
	jobs   []job
	over   chan struct{}
	waited bool // a step waited for it, and no other will
}

// ends reports whether a round is over, and waits for it once.
func (r *round) ends(patience context.Context) bool {
	if !r.waited {
		r.waited = true
		select {
		case <-r.over:
		case <-patience.Done():
		}
	}
	select {
	case <-r.over:
		return true
	default:
		return false
	}
}

// job is one delivery in a round, and what became of it.
type job struct {
	s     *Listener
	d     Delivery
	begun bool
	err   error
}

// do tries the jobs of a round, several at once. Once the listener's host does not answer at
// all, the further ones are left.
func (c *Courier) do(ctx context.Context, jobs []job) {
	var next atomic.Int64
	var silent atomic.Bool
	var workers sync.WaitGroup
	for range min(c.cfg.Concurrency, len(jobs)) {
		workers.Go(func() {
			for ctx.Err() == nil && !silent.Load() {
				i := int(next.Add(1)) - 1
				if i >= len(jobs) {
					return
				}
				j := &jobs[i]
				j.begun, j.err = true, c.tell(ctx, j.s, j.d)
				var answered *statusError
				if j.err != nil && !errors.Is(j.err, ErrSkip) && !errors.As(j.err, &answered) {
					silent.Store(true)
				}
			}
		})
	}
	workers.Wait()
}

// statusError is an answer that does not say that the event was taken.
type statusError struct{ status int }

// Answered is what Config.Carry returns where a listener answered, and did not take the event.
func Answered(status int) error { return &statusError{status} }

// Error says which.
func (e *statusError) Error() string { return fmt.Sprintf("answered with status %d", e.status) }

// tell sends one event to one listener, and returns nil when it was taken.
func (c *Courier) tell(ctx context.Context, s *Listener, d Delivery) (err error) {
	if c.cfg.Carry != nil && !web(s.URL) {
		carrying, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
		defer cancel()
		err = c.cfg.Carry(carrying, *s, d)
	} else {
		err = c.post(ctx, s, d)
	}
	if err != nil || c.cfg.Taken == nil {
		return err
	}
	// Even if ctx has ended: otherwise it would be told again.
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.cfg.Timeout)
	defer cancel()
	return c.cfg.Taken(noting, *s, d)
}

// web reports whether an address is one that Targets may know.
func web(address string) bool {
	scheme, _, _ := strings.Cut(address, ":")
	return strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http")
}

// post sends one event to one listener by a signed request.
func (c *Courier) post(ctx context.Context, s *Listener, d Delivery) error {
	m, err := c.cfg.Write(ctx, *s, d)
	if err != nil {
		return fmt.Errorf("write the event: %w", err)
	}
	target, err := c.cfg.Targets.find(s.Client, s.URL)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(m.Body))
	if err != nil {
		return fmt.Errorf("%w: the address is no URL", ErrTarget)
	}
	r.Header.Set("Content-Type", "application/json;charset=utf-8")
	r.Header.Set("User-Agent", "tenu")
	r.Header.Set(HeaderEvent, m.ID)
	r.Header.Set(HeaderType, m.Type)
	r.Header.Set(HeaderSignature, Sign(m.Body, c.cfg.Clock.Now().Time(), target.Secrets...))
	response, err := c.client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	// Read to its end, the connection serves again; what is longer is cut off.
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer)
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return &statusError{response.StatusCode}
	}
	return nil
}

// learn turns what became of jobs into how deliveries stand, and reports whether
// something was delivered.
func (c *Courier) learn(ctx context.Context, now purchase.Instant, jobs []job) (moved []Delivery, quick bool) {
	for i := range jobs {
		j := &jobs[i]
		if !j.begun || j.err != nil && ctx.Err() != nil {
			continue // told to stop: nothing is known of the target
		}
		d := j.d
		switch {
		case errors.Is(j.err, ErrSkip):
			d.State, quick = Delivered, true
		case j.err == nil:
			d.State, quick = Delivered, true
			c.delivered.Add(1)
			delete(c.rests, j.s.ID)
		default:
			d = c.missed(ctx, now, j)
		}
		moved = append(moved, d)
	}
	return moved, quick
}

// missed is a delivery after a try that failed: put off, or given up.
func (c *Courier) missed(ctx context.Context, now purchase.Instant, j *job) Delivery {
	d := j.d
	d.Tries++
	if d.TriedAt == 0 {
		d.TriedAt = now
	}
	d.Problem, d.NextAt = problem(j.err), now.Add(c.backoff(d.Tries))
	c.failed.Add(1)
	var answered *statusError
	if !errors.As(j.err, &answered) {
		if r := c.rests[j.s.ID]; now >= r.until { // once in a round
			c.rests[j.s.ID] = rest{r.times + 1, now.Add(c.backoff(r.times + 1))}
		}
	}
	fields := []any{slog.String("listener", d.Listener), slog.Int64("subject", d.Subject), slog.Int64("seq", d.Seq),
		slog.Int("tries", d.Tries), slog.String("problem", d.Problem)}
	if now >= d.TriedAt.Add(c.cfg.GiveUp) {
		d.State = Dead
		c.died.Add(1)
		c.cfg.Log.ErrorContext(ctx, "an event was given up", fields...)
		return d
	}
	c.cfg.Log.WarnContext(ctx, "an event was not taken", fields...)
	return d
}

// backoff is the wait after so many failures.
func (c *Courier) backoff(times int) time.Duration {
	if times > 20 {
		return c.cfg.RetryMost
	}
	return min(c.cfg.RetryFirst<<(times-1), c.cfg.RetryMost)
}

// problem says what went wrong in words that hold no address and no number.
func problem(err error) string {
	var answered *statusError
	switch {
	case errors.As(err, &answered):
		return answered.Error()
	case errors.Is(err, ErrTarget):
		return "not a listed target"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, purchase.ErrUnavailable):
		return "the event could not be read"
	}
	return "no connection, or it was cut"
}
