package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tenu/internal/purchase"
)

// Store keeps notices. Errors mean that nothing was read or written, or that it
// is not known; the outbox tries again.
type Store interface {
	// UnsentNotices returns up to limit notices that are not marked as sent,
	// oldest fact first.
	UnsentNotices(ctx context.Context, limit int) ([]purchase.Notice, error)
	// NewestUnsent is when the newest fact was whose notice is not marked as sent;
	// zero when all are.
	NewestUnsent(ctx context.Context) (purchase.Instant, error)
	// MarkSent marks notices, by purchase and fact, as taken over by a message
	// centre. Durable on return; marking twice is harmless.
	MarkSent(ctx context.Context, notices []purchase.Notice, at purchase.Instant) error
}

// Message is a text to a number.
type Message struct {
	// ID is ours, and the same for every try.
	ID   string
	To   purchase.MSISDN
	Text string
	// Resend says that the centre may have taken it before (invariant N3).
	Resend bool
}

// Centre takes messages over for delivery.
type Centre interface {
	// Send hands one message over and returns nil when the centre has taken it. It
	// returns an error that wraps ErrRefused or ErrNotTaken when the centre has not;
	// after any other it may have, and the same may be sent again as a resend.
	// It ends soon after ctx.
	Send(ctx context.Context, m Message) error
}

// What became of a message that a centre has not taken.
var (
	// ErrRefused says that the centre does not take this message, though it may take others.
	ErrRefused = errors.New("message refused by the centre")
	// ErrNotTaken says that the centre took no message now: the reason is not the message.
	ErrNotTaken = errors.New("message not taken by the centre")
)

// OutboxConfig is what an outbox is built from. The first five are needed; the
// rest has defaults.
type OutboxConfig struct {
	Store  Store
	Centre Centre
	Clock  purchase.Clock
	Log    *slog.Logger
	// Reference gives a purchase its public name; (*purchase.Keyring).Reference does.
	Reference func(purchase.ID) purchase.Reference
	// Name names a notice's message to the centre, the same for every try; by default it is
	// the purchase's reference and the fact. With it, Reference is not needed.
	Name func(*purchase.Notice) string
	// Taken is told of notices that the centre took over, before they are marked; nil:
	// nobody is. It must not wait.
	Taken func([]purchase.Notice)
	// Standing tells whether this node is the one that delivers, and whether there is
	// no other; nil: it is, and alone. Among all nodes it must be true of one at most,
	// until Term and Timeout after it was asked.
	Standing func(ctx context.Context) (delivers, alone bool, err error)

	Batch       int           // notices in one step (default 512)
	Concurrency int           // messages under way at once (default 32)
	Timeout     time.Duration // of one message or one marking (default 10 s)
	Pause       time.Duration // between steps, so that they gather (default 50 ms)
	Sweep       time.Duration // between looks that nothing woke (default 30 s)
	Others      time.Duration // the same while there are other nodes, which wake only themselves (default 1 s)
	Term        time.Duration // how long a standing is good for (default 2 s)
	RetryFirst  time.Duration // backoff after a failure (default 1 s) ...
	RetryMost   time.Duration // ... doubled up to this (default 5 s)
	RefusedMost time.Duration // the same for a message that is refused (default 5 min)
}

// maxRefused bounds the messages that the centre refused and that are
// remembered, so that they do not stand in the way of others.
const maxRefused = 10_000

// Outbox delivers notices from the store to a message centre, at least once, under
// a stable id, and marked when the centre may have taken it before. Of several
// nodes one delivers. Step and Run must not be called concurrently; Wake may be, at
// any time.
type Outbox struct {
	cfg  OutboxConfig
	wake chan struct{}

	unmarked []purchase.Notice // taken over by the centre, not yet marked
	refused  map[key]refusal
	failures int // steps in a row that store or centre failed
	until    purchase.Instant

	term  term
	doubt map[key]bool // begun in this term, and what became of it is not known
}

// term is the time in which this node delivers without a break.
type term struct {
	on, alone bool
	till      purchase.Instant // messages are begun until then
	before    purchase.Instant // notices up to this one may have been sent by whoever delivered before
}

// key identifies a notice (invariant N3).
type key struct {
	purchase purchase.ID
	fact     purchase.Fact
}

func keyOf(n *purchase.Notice) key { return key{n.Purchase, n.Fact} }

// thread is what one number is told of one purchase, in the order of the facts.
type thread struct {
	purchase purchase.ID
	to       purchase.MSISDN
}

func threadOf(n *purchase.Notice) thread { return thread{n.Purchase, n.To} }

// refusal remembers how often a message was refused, and when to try it again.
type refusal struct {
	times int
	until purchase.Instant
}

// NewOutbox returns an outbox that does nothing yet.
func NewOutbox(cfg OutboxConfig) (*Outbox, error) {
	if cfg.Store == nil || cfg.Centre == nil || cfg.Clock == nil || cfg.Log == nil || cfg.Reference == nil && cfg.Name == nil {
		return nil, errors.New("outbox: store, centre, clock, log and reference are needed")
	}
	orDefault(&cfg.Batch, 512)
	orDefault(&cfg.Concurrency, 32)
	orDefault(&cfg.Timeout, 10*time.Second)
	orDefault(&cfg.Pause, 50*time.Millisecond)
	orDefault(&cfg.Sweep, 30*time.Second)
	orDefault(&cfg.RetryFirst, time.Second)
	orDefault(&cfg.Others, time.Second)
	orDefault(&cfg.Term, 2*time.Second)
	orDefault(&cfg.RetryMost, 5*time.Second)
	orDefault(&cfg.RefusedMost, 5*time.Minute)
	return &Outbox{cfg: cfg, wake: make(chan struct{}, 1), refused: map[key]refusal{}, doubt: map[key]bool{}}, nil
}

func orDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Wake tells the outbox that there are new notices. It never waits.
func (o *Outbox) Wake() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends. What the centre has taken over by then is marked
// as sent before it returns.
func (o *Outbox) Run(ctx context.Context) {
	for ctx.Err() == nil {
		next, err := o.Step(ctx, o.cfg.Clock.Now())
		if err != nil && ctx.Err() == nil {
			o.cfg.Log.WarnContext(ctx, "notices wait", "until", next.String(), "error", err)
		}
		if !o.pause(ctx, next) {
			return
		}
	}
}

// pause waits until next, or until new notices come unless store or centre are
// to be left alone. It returns false when ctx ended.
func (o *Outbox) pause(ctx context.Context, next purchase.Instant) bool {
	wait := next.Sub(o.cfg.Clock.Now())
	if wait <= 0 {
		return ctx.Err() == nil
	}
	wake := o.wake
	if o.failures > 0 {
		wake = nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-o.cfg.Clock.After(wait):
		return true
	case <-wake:
	}
	select {
	case <-ctx.Done():
		return false
	case <-o.cfg.Clock.After(min(wait, o.cfg.Pause)):
		return true
	}
}

// Step delivers one batch of notices, oldest fact first, and returns when to call
// it again: at now if more may be waiting. An error says that the store or the
// centre failed, or that ctx ended; the notices stay where they are, and a step
// before the returned instant does nothing.
func (o *Outbox) Step(ctx context.Context, now purchase.Instant) (next purchase.Instant, err error) {
	if now < o.until {
		return o.until, nil
	}
	if err := o.stand(ctx); err != nil {
		return o.failed(now, err)
	}
	if err := o.mark(ctx); err != nil {
		return o.failed(now, err)
	}
	if !o.term.on {
		o.failures, o.until = 0, 0
		return now.Add(o.cfg.Others), nil
	}
	limit := o.cfg.Batch + len(o.refused)*len(purchase.Facts) // a refused one holds up the rest of its thread
	notices, err := o.cfg.Store.UnsentNotices(ctx, limit)
	if err != nil {
		return o.failed(now, fmt.Errorf("read unsent notices: %w", err))
	}
	due := o.due(notices, now, len(notices) < limit)
	more := len(notices) == limit || len(due) > o.cfg.Batch
	left, sendErr := o.send(ctx, now, due[:min(len(due), o.cfg.Batch)])
	if err := errors.Join(sendErr, o.mark(ctx)); err != nil {
		return o.failed(now, err)
	}
	o.failures, o.until = 0, 0
	if more || left {
		return now, nil
	}
	next = now.Add(o.cfg.Sweep)
	if !o.term.alone {
		next = now.Add(o.cfg.Others)
	}
	for _, r := range o.refused {
		next = min(next, r.until)
	}
	return next, nil
}

// stand finds out whether this node delivers. What is unsent when its term begins
// may have been sent by another, or by an earlier process of its own.
func (o *Outbox) stand(ctx context.Context) error {
	asked, delivers, alone := o.cfg.Clock.Now(), true, true
	if o.cfg.Standing != nil {
		var err error
		if delivers, alone, err = o.cfg.Standing(ctx); err != nil {
			return fmt.Errorf("ask who delivers: %w", err)
		}
	}
	if delivers && !o.term.on {
		before, err := o.cfg.Store.NewestUnsent(ctx)
		if err != nil {
			return fmt.Errorf("read the newest unsent notice: %w", err)
		}
		o.term.before = before
		clear(o.doubt)
	}
	o.term.on, o.term.alone, o.term.till = delivers, alone, asked.Add(o.cfg.Term)
	return nil
}

// failed backs off, a little longer after each failure.
func (o *Outbox) failed(now purchase.Instant, err error) (purchase.Instant, error) {
	wait := o.cfg.RetryMost
	if o.failures < 20 {
		wait = min(o.cfg.RetryFirst<<o.failures, o.cfg.RetryMost)
	}
	o.failures++
	o.until = now.Add(wait)
	return o.until, err
}

// due leaves out the notices that were refused and whose time has not come. With
// the whole list at hand, refusals of notices that are gone are forgotten.
func (o *Outbox) due(notices []purchase.Notice, now purchase.Instant, whole bool) []purchase.Notice {
	due := make([]purchase.Notice, 0, len(notices))
	present := map[key]refusal{}
	held := map[thread]bool{} // a fact is not told before the one that it corrects
	for i := range notices {
		k := keyOf(&notices[i])
		r, was := o.refused[k]
		if was {
			present[k] = r
		}
		if was && now < r.until {
			held[threadOf(&notices[i])] = true
		}
		if !held[threadOf(&notices[i])] {
			due = append(due, notices[i])
		}
	}
	if whole {
		o.refused = present
	}
	return due
}

// send hands notices over: those to one number one after the other, so that a
// customer reads them in the order of the facts, those to several at once. What
// was taken over is in unmarked afterwards. It returns the first error that is the
// centre's; the messages not begun by then, or by the end of the term, are left.
func (o *Outbox) send(ctx context.Context, now purchase.Instant, due []purchase.Notice) (left bool, err error) {
	var failed, over atomic.Bool
	var next atomic.Int64
	var senders sync.WaitGroup
	chains, tries := byNumber(due), make([]try, len(due))
	for range min(o.cfg.Concurrency, len(chains)) {
		senders.Go(func() {
			for {
				chain := int(next.Add(1)) - 1
				if chain >= len(chains) {
					return
				}
				held := map[thread]bool{}
				for _, i := range chains[chain] {
					if o.cfg.Clock.Now() >= o.term.till {
						over.Store(true)
					}
					if failed.Load() || over.Load() || ctx.Err() != nil {
						return
					}
					if held[threadOf(&due[i])] {
						continue
					}
					err := o.sendOne(ctx, &due[i])
					tries[i] = try{true, err}
					if errors.Is(err, ErrRefused) {
						held[threadOf(&due[i])] = true
					} else if err != nil {
						failed.Store(true)
					}
				}
			}
		})
	}
	senders.Wait()
	return over.Load(), o.learn(ctx, now, due, tries)
}

// try is what became of one message in a step.
type try struct {
	begun bool
	err   error
}

// byNumber gathers the indexes of notices by whom they are for, in order.
func byNumber(due []purchase.Notice) [][]int {
	place := map[purchase.MSISDN]int{}
	var chains [][]int
	for i := range due {
		at, known := place[due[i].To]
		if !known {
			at = len(chains)
			place[due[i].To] = at
			chains = append(chains, nil)
		}
		chains[at] = append(chains[at], i)
	}
	return chains
}

// learn sorts what was taken over from what was refused, and returns the first
// error that is neither.
func (o *Outbox) learn(ctx context.Context, now purchase.Instant, due []purchase.Notice, tries []try) error {
	var first error
	before := len(o.unmarked)
	for i, t := range tries {
		switch {
		case !t.begun:
		case t.err == nil:
			o.unmarked = append(o.unmarked, due[i])
			delete(o.refused, keyOf(&due[i]))
			delete(o.doubt, keyOf(&due[i]))
		case errors.Is(t.err, ErrRefused):
			o.refuse(ctx, &due[i], now, t.err)
		default:
			if !errors.Is(t.err, ErrNotTaken) {
				o.doubt[keyOf(&due[i])] = true
			}
			if first == nil {
				first = t.err
			}
		}
	}
	if o.cfg.Taken != nil && len(o.unmarked) > before {
		o.cfg.Taken(o.unmarked[before:])
	}
	switch {
	case first != nil:
		return first
	case len(o.refused) >= maxRefused:
		return fmt.Errorf("%w: %d of them", ErrRefused, len(o.refused))
	}
	return ctx.Err()
}

func (o *Outbox) sendOne(ctx context.Context, n *purchase.Notice) error {
	ctx, cancel := context.WithTimeout(ctx, o.cfg.Timeout)
	defer cancel()
	id := o.messageID(n)
	if err := o.cfg.Centre.Send(ctx, Message{ID: id, To: n.To, Text: n.Text, Resend: o.inDoubt(n)}); err != nil {
		return fmt.Errorf("send %s: %w", id, err)
	}
	return nil
}

// inDoubt reports whether the centre may have taken a notice before.
func (o *Outbox) inDoubt(n *purchase.Notice) bool { return n.At <= o.term.before || o.doubt[keyOf(n)] }

// messageID is stable for a notice, so that the centre knows a resend for one.
func (o *Outbox) messageID(n *purchase.Notice) string {
	if o.cfg.Name != nil {
		return o.cfg.Name(n)
	}
	return string(o.cfg.Reference(n.Purchase)) + "-" + n.Fact.String()
}

// refuse puts one message off, for longer each time.
func (o *Outbox) refuse(ctx context.Context, n *purchase.Notice, now purchase.Instant, err error) {
	r := o.refused[keyOf(n)]
	wait := o.cfg.RefusedMost
	if r.times < 20 {
		wait = min(o.cfg.RetryFirst<<r.times, o.cfg.RefusedMost)
	}
	o.refused[keyOf(n)] = refusal{r.times + 1, now.Add(wait)}
	o.cfg.Log.WarnContext(ctx, "notice refused", "to", n.To, "times", r.times+1, "error", err)
}

// mark marks what the centre has taken over, even if ctx has ended: otherwise it
// would be sent again.
func (o *Outbox) mark(ctx context.Context) error {
	if len(o.unmarked) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.cfg.Timeout)
	defer cancel()
	if err := o.cfg.Store.MarkSent(ctx, o.unmarked, o.cfg.Clock.Now()); err != nil {
		return fmt.Errorf("mark %d notices as sent: %w", len(o.unmarked), err)
	}
	o.unmarked = o.unmarked[:0]
	return nil
}
