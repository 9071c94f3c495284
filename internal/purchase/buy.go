package purchase

import (
	"context"
	"errors"
	"fmt"
)

// keyTaken says that another purchase was made under the same client key.
type keyTaken struct{ other ID }

func (e *keyTaken) Error() string { return "client key is taken" }

// reserveBlock is how many sequence numbers a node reserves at a time. What it
// does not use is lost when it stops.
const reserveBlock = 16_384

// nextSequence hands out one sequence number, reserving a block when none is left.
func (e *Engine) nextSequence(ctx context.Context) (int64, error) {
	e.idMu.Lock()
	defer e.idMu.Unlock()
	if e.nextID == e.limitID {
		first, err := e.cfg.Store.Reserve(ctx, e.cfg.Shard, reserveBlock, SequenceFloor(e.cfg.Clock.Now()))
		if err != nil {
			return 0, fmt.Errorf("reserve purchase numbers: %w", err)
		}
		e.nextID, e.limitID = first, first+reserveBlock
	}
	e.nextID++
	return e.nextID - 1, nil
}

// Buy makes a purchase and returns when its intent is durable; the payer is
// asked from then on. replay is true when the client had made it before under
// the same key with the same digest; then the earlier purchase is returned as
// it stands. If ctx ends first the purchase may still be made: ask again with
// the same key.
//
// Errors: ErrKeyConflict (same key, another digest), *RepeatError (a like
// purchase is recent: ask the customer, then set Again), *PausedError (a
// partner is failing), ErrBusy (too many open), ErrUnavailable (the store cannot
// write, or the node is starting or stopping). In each case nothing was
// written and nothing is charged.
func (e *Engine) Buy(ctx context.Context, r Request) (p Purchase, replay bool, err error) {
	return e.begin(ctx, r).wait(ctx)
}

// intent is a purchase on its way to be durable, or refused already.
type intent struct {
	e       *Engine
	r       Request
	joined  bool // a request under the same key, or a like one, was under way
	refusal error
	made    chan made // receives once, unless refused
}

type made struct {
	p   Purchase
	err error
}

// begin makes a purchase without waiting for it to be durable.
func (e *Engine) begin(ctx context.Context, r Request) *intent {
	in := &intent{e: e, r: r, made: make(chan made, 1)}
	if e.cfg.Admit != nil {
		if in.refusal = e.cfg.Admit(&r); in.refusal != nil {
			return in
		}
	}
	var sequence int64
	if sequence, in.refusal = e.nextSequence(ctx); in.refusal != nil {
		return in
	}
	in.joined, in.refusal = e.submit(MakeID(e.cfg.Shard, sequence), r, func(p Purchase, err error) { in.made <- made{p, err} })
	return in
}

// wait returns what Buy returns.
func (in *intent) wait(ctx context.Context) (p Purchase, replay bool, err error) {
	if in.refusal != nil {
		return in.e.replayInstead(ctx, &in.r, in.refusal)
	}
	select {
	case m := <-in.made:
		var taken *keyTaken
		ours := m.p.Client == in.r.Client && m.p.ClientKey == in.r.ClientKey
		switch {
		case ours && errors.As(m.err, &taken):
			return in.e.replay(ctx, &in.r, taken.other)
		case ours && m.p.Digest == in.r.Digest:
			return m.p, in.joined && m.err == nil, m.err
		case ours && m.err == nil:
			return Purchase{}, false, ErrKeyConflict
		case m.err == nil:
			return in.e.replayInstead(ctx, &in.r, &RepeatError{m.p.ID})
		}
		return Purchase{}, false, fmt.Errorf("%w: a request that stood in the way was being refused", ErrUnavailable)
	case <-ctx.Done():
		return Purchase{}, false, fmt.Errorf("purchase not confirmed durable: %w", ctx.Err())
	}
}

// submit admits a purchase, or joins the one that is being made under the same
// key, or for the same thing: what to say depends on whether that becomes durable.
func (e *Engine) submit(id ID, r Request, done func(Purchase, error)) (joined bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := &e.core
	switch {
	case !e.running || e.draining:
		return false, fmt.Errorf("%w: this node is starting or stopping", ErrUnavailable)
	case !e.capability(r.Payer, Charge).Supported || !e.capability(r.Payer, Refund).Supported:
		return false, fmt.Errorf("%w: %q is not a payer that can charge and refund", ErrUnavailable, r.Payer)
	case !e.capability(r.Provider, Credit).Supported:
		return false, fmt.Errorf("%w: %q is not a provider that can credit", ErrUnavailable, r.Provider)
	}
	if it := c.making[clientKey{r.Client, r.ClientKey}]; it != nil {
		it.creators = append(it.creators, done)
		return true, nil
	}
	if it := c.likes[likenessOf(&r)]; it != nil && !r.Again {
		it.creators = append(it.creators, done)
		return true, nil
	}
	if len(c.open) >= e.cfg.MaxOpen || len(c.pending) >= e.cfg.MaxPending {
		return false, ErrBusy
	}
	c.create(id, r, e.cfg.Clock.Now(), done)
	e.work.Signal()
	return false, nil
}

// replayInstead answers a request that is not admitted with the purchase that
// the client already made under its key, if there is one: a refusal must not
// hide a purchase that exists.
func (e *Engine) replayInstead(ctx context.Context, r *Request, refusal error) (Purchase, bool, error) {
	id, err := e.cfg.Store.FindKey(ctx, r.Client, r.ClientKey)
	if err != nil {
		return Purchase{}, false, refusal
	}
	return e.replay(ctx, r, id)
}

// replay answers with an earlier purchase if it was made by the same request.
func (e *Engine) replay(ctx context.Context, r *Request, id ID) (Purchase, bool, error) {
	records, err := e.cfg.Store.Load(ctx, id)
	if err != nil {
		return Purchase{}, false, fmt.Errorf("load earlier purchase: %w", err)
	}
	if len(records) == 0 {
		return Purchase{}, false, fmt.Errorf("%w: earlier purchase %d", ErrNotFound, id)
	}
	p := records[0].Purchase
	if p.Digest != r.Digest {
		return Purchase{}, false, ErrKeyConflict
	}
	e.mu.Lock()
	e.core.counts.Replayed++
	e.mu.Unlock()
	return p, true, nil
}

// Watch delivers the purchase after each durable change while this node holds
// it open; only the latest is kept for a slow reader. The channel is closed when
// the purchase is closed for good, at once if this node does not hold it. stop
// must be called.
func (e *Engine) Watch(id ID) (updates <-chan Purchase, stop func()) {
	ch := make(chan Purchase, 1)
	e.mu.Lock()
	defer e.mu.Unlock()
	it := e.core.open[id]
	if it == nil {
		close(ch)
		return ch, func() {}
	}
	it.watchers = append(it.watchers, ch)
	return ch, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		for i, w := range it.watchers {
			if w == ch {
				it.watchers = append(it.watchers[:i], it.watchers[i+1:]...)
				return
			}
		}
	}
}

// Callback hands over what a partner told by itself; the caller has
// authenticated it. When it returns nil the news is durable: applied, or parked
// for the node that owns the purchase, or known before. It returns ErrNotFound
// for a purchase that does not exist.
func (e *Engine) Callback(ctx context.Context, id ID, ev Event) error {
	if ev.Leg == 0 || ev.Outcome.Kind == 0 {
		return errors.New("callback: no leg or no outcome")
	}
	ev.Source, ev.AskedAt = FromCallback, 0
	result := make(chan error, 1)
	if err := e.deliver(ctx, id, ev, func(err error) { result <- err }); err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("callback not confirmed durable: %w", ctx.Err())
	}
}

// deliver applies an event to a purchase wherever it is. Unless it returns an
// error it calls done once, when the event is durable or is certain not to
// become so; done runs under the engine's lock.
func (e *Engine) deliver(ctx context.Context, id ID, ev Event, done func(error)) error {
	if e.deliverHere(id, ev, nil, done) {
		return nil
	}
	records, err := e.cfg.Store.Load(ctx, id)
	if err != nil {
		return fmt.Errorf("load purchase: %w", err)
	}
	if len(records) == 0 {
		return fmt.Errorf("%w: %d", ErrNotFound, id)
	}
	r := &records[0]
	e.mu.Lock()
	mine := r.Purchase.Epoch == e.core.epoch
	e.mu.Unlock()
	if r.Purchase.Open() && !mine {
		parked := Parked{Purchase: id, Event: ev, At: e.cfg.Clock.Now()}
		if err := e.cfg.Store.Park(ctx, parked); err != nil {
			return fmt.Errorf("park callback: %w", err)
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		done(nil)
		return nil
	}
	if !e.deliverHere(id, ev, r, done) {
		return fmt.Errorf("%w: this node is starting or stopping", ErrUnavailable)
	}
	return nil
}

// deliverHere applies an event to a purchase in memory, or to the given record.
func (e *Engine) deliverHere(id ID, ev Event, r *Record, done func(error)) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.running {
		return false
	}
	now := e.cfg.Clock.Now()
	it := e.core.open[id]
	if it == nil {
		if r == nil {
			return false
		}
		it = e.core.adopt(r, now)
	}
	it.idle = append(it.idle, done)
	if !e.core.event(it, ev, now) {
		it.idle = it.idle[:len(it.idle)-1]
		done(ErrBusy)
	}
	e.work.Signal()
	e.rearm()
	return true
}

// Ready returns nil while purchases are admitted, else why not.
func (e *Engine) Ready() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.stopped != nil:
		return e.stopped
	case !e.running:
		return fmt.Errorf("%w: this node is starting", ErrUnavailable)
	case e.draining:
		return errStopped
	case e.cfg.Clock.Now() > e.sureTill:
		return fmt.Errorf("%w: the lease is not renewed", ErrUnavailable)
	case len(e.core.open) >= e.cfg.MaxOpen || len(e.core.pending) >= e.cfg.MaxPending:
		return ErrBusy
	}
	return nil
}

// Stats are an engine's gauges and counters at one moment.
type Stats struct {
	Counts
	Epoch   int64
	Open    int
	Pending int
	Lanes   map[string]LaneStats
}

// LaneStats are the gauges of one partner.
type LaneStats struct{ Waiting, UnderWay int }

// Stats returns the present figures.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := Stats{Counts: e.core.counts, Epoch: e.core.epoch, Open: len(e.core.open),
		Pending: len(e.core.pending) + e.core.committing, Lanes: make(map[string]LaneStats, len(e.core.lanes))}
	for name, l := range e.core.lanes {
		s.Lanes[name] = LaneStats{l.waiting(), l.underWay}
	}
	return s
}
