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
	b := e.BuyAll(ctx, []Request{r})[0]
	return b.Purchase, b.Replay, b.Err
}

// Bought is what Buy returns of one request.
type Bought struct {
	Purchase Purchase
	Replay   bool
	Err      error
}

// BuyAll is Buy for several requests, which are admitted together, and returns
// when each is durable or refused. The answers are in the requests' order and
// each is what Buy would return: the refusal of one is nothing to the others.
func (e *Engine) BuyAll(ctx context.Context, rs []Request) []Bought {
	answers := e.begin(ctx, rs).wait(ctx)
	var again []Request
	for i, r := range rs {
		if errors.Is(answers[i].Err, errStood) {
			again = append(again, r)
		}
	}
	if len(again) == 0 {
		return answers
	}
	// What stood in their way is gone.
	next := e.begin(ctx, again).wait(ctx)
	for i := range answers {
		if errors.Is(answers[i].Err, errStood) {
			answers[i], next = next[0], next[1:]
		}
	}
	return answers
}

// errStood says that a request waited for a like one that then was not made.
var errStood = fmt.Errorf("%w: a request that stood in the way was being refused", ErrUnavailable)

// intents are purchases on their way to be durable, or refused already. Under
// the engine's lock but for what never changes.
type intents struct {
	e       *Engine
	each    []intent
	answers []Bought      // to each; nobody writes to them once over is set
	left    int           // not made yet
	done    chan struct{} // closed when none is left
	over    bool
}

// intent is one request, on its way.
type intent struct {
	in      *intents
	at      int // its place
	r       *Request
	joined  bool  // a request under the same key, or a like one, was under way
	refusal error // it was not admitted
	known   bool  // the answer holds what was made, by this request or by the one that it joined
}

// begin makes purchases without waiting for them to be durable. The requests must not be changed.
func (e *Engine) begin(ctx context.Context, rs []Request) *intents {
	in := &intents{e: e, each: make([]intent, len(rs)), answers: make([]Bought, len(rs)), done: make(chan struct{})}
	ids := make([]ID, len(rs))
	for i := range rs {
		one := &in.each[i]
		*one = intent{in: in, at: i, r: &rs[i]}
		ids[i], one.refusal = e.admit(ctx, one.r)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range in.each {
		one := &in.each[i]
		if one.refusal == nil {
			one.joined, one.refusal = e.submit(ids[i], one.r, one)
		}
		if one.refusal == nil {
			in.left++
		}
	}
	in.left++
	in.less()
	return in
}

// made is creator.
func (one *intent) made(p *Purchase, err error) {
	in := one.in
	if one.known = !in.over; one.known {
		in.answers[one.at] = Bought{Purchase: *p, Err: err}
	}
	in.less()
}

// less counts one intent down.
func (in *intents) less() {
	if in.left--; in.left == 0 {
		close(in.done)
	}
}

// admit gives a request an identity, unless a partner that it needs is failing.
func (e *Engine) admit(ctx context.Context, r *Request) (ID, error) {
	if e.cfg.Admit != nil {
		if err := e.cfg.Admit(r); err != nil {
			return 0, err
		}
	}
	sequence, err := e.nextSequence(ctx)
	if err != nil {
		return 0, err
	}
	return MakeID(e.cfg.Shard, sequence), nil
}

// wait returns what BuyAll returns.
func (in *intents) wait(ctx context.Context) []Bought {
	select {
	case <-in.done:
	case <-ctx.Done():
	}
	if earlier := in.end(ctx); len(earlier) > 0 {
		in.e.replay(ctx, in.answers, earlier)
	}
	return in.answers
}

// end says what became of each request, and returns which of those that were
// refused may be answered with an earlier purchase. What is made later is left out.
func (in *intents) end(ctx context.Context) (earlier []repeat) {
	in.e.mu.Lock()
	defer in.e.mu.Unlock()
	in.over = true
	for i := range in.each {
		one, to := &in.each[i], &in.answers[i]
		var taken *keyTaken
		ours := to.Purchase.Client == one.r.Client && to.Purchase.ClientKey == one.r.ClientKey
		switch {
		case one.refusal != nil:
			*to = Bought{Err: one.refusal}
			earlier = append(earlier, repeat{at: i, r: one.r})
		case !one.known:
			*to = Bought{Err: fmt.Errorf("purchase not confirmed durable: %w", ctx.Err())}
		case ours && errors.As(to.Err, &taken):
			*to = Bought{}
			earlier = append(earlier, repeat{at: i, r: one.r, id: taken.other})
		case ours && to.Purchase.Digest == one.r.Digest:
			to.Replay = one.joined && to.Err == nil
		case ours && to.Err == nil:
			*to = Bought{Err: ErrKeyConflict}
		case to.Err == nil:
			*to = Bought{Err: &RepeatError{to.Purchase.ID}}
			earlier = append(earlier, repeat{at: i, r: one.r})
		default:
			*to = Bought{Err: errStood}
		}
	}
	return earlier
}

// submit admits a purchase, or joins the one that is being made under the same
// key, or for the same thing: what to say depends on whether that becomes
// durable. who is told later. The caller holds the engine's lock.
func (e *Engine) submit(id ID, r *Request, who creator) (joined bool, err error) {
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
		it.creators = append(it.creators, who)
		return true, nil
	}
	if it := c.likes[likenessOf(r)]; it != nil && !r.Again {
		it.creators = append(it.creators, who)
		return true, nil
	}
	if len(c.open) >= e.cfg.MaxOpen || len(c.pending) >= e.cfg.MaxPending {
		return false, ErrBusy
	}
	c.create(id, r, e.cfg.Clock.Now(), who)
	e.work.Signal()
	return false, nil
}

// repeat is a request that may have been made before: under an ID, or under its
// key, which is still to be looked for.
type repeat struct {
	at int // its place among the answers
	r  *Request
	id ID
}

// replay answers requests with the purchases that their clients already made
// under their keys, where there are any: a refusal must not hide a purchase that
// exists.
func (e *Engine) replay(ctx context.Context, answers []Bought, repeats []repeat) {
	var ids []ID
	for i := range repeats {
		again := &repeats[i]
		if again.id == 0 {
			switch id, err := e.cfg.Store.FindKey(ctx, again.r.Client, again.r.ClientKey); {
			case err == nil:
				again.id = id
			case !errors.Is(err, ErrNotFound): // a refusal could hide a purchase that was charged
				answers[again.at] = Bought{Err: fmt.Errorf("find earlier purchase: %w", err)}
			}
		}
		if again.id != 0 {
			ids = append(ids, again.id)
		}
	}
	if len(ids) == 0 {
		return
	}
	records, err := e.cfg.Store.Load(ctx, ids...)
	stored := make(map[ID]*Purchase, len(records))
	for i := range records {
		stored[records[i].Purchase.ID] = &records[i].Purchase
	}
	var replayed int64
	for _, again := range repeats {
		switch p := stored[again.id]; {
		case again.id == 0: // it stays refused
		case err != nil:
			answers[again.at] = Bought{Err: fmt.Errorf("load earlier purchase: %w", err)}
		case p == nil:
			answers[again.at] = Bought{Err: fmt.Errorf("%w: earlier purchase %d", ErrNotFound, again.id)}
		default:
			answers[again.at] = again.r.replay(p)
			if answers[again.at].Replay {
				replayed++
			}
		}
	}
	e.mu.Lock()
	e.core.counts.Replayed += replayed
	e.mu.Unlock()
}

// replay answers a request with an earlier purchase if that was made by the same.
func (r *Request) replay(p *Purchase) Bought {
	if p.Digest != r.Digest {
		return Bought{Err: ErrKeyConflict}
	}
	return Bought{Purchase: *p, Replay: true}
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
	return e.hear(ctx, id, ev, "callback")
}

// hear delivers an event, and returns when it is durable or is certain not to
// become so.
func (e *Engine) hear(ctx context.Context, id ID, ev Event, what string) error {
	result := make(chan error, 1)
	if err := e.deliver(ctx, id, ev, func(err error) { result <- err }); err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s not confirmed durable: %w", what, ctx.Err())
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
			return fmt.Errorf("park news: %w", err)
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
		it = e.adoptOne(r, now)
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
