package purchase

import (
	"context"
	"slices"
)

// Steps is an engine taken apart: each method is what one turn of one of Run's
// loops does, on the caller's goroutine, so that the simulation decides the order
// of turns and can end the process between any two. An engine is driven either by
// Run or by Steps.
type Steps struct {
	e     *Engine
	lease Lease
	spare []*batch // whose memory serves again, as a committer's does
}

// Steps acquires a lease, resumes this node's purchases and admits new ones, as
// Run does.
func (e *Engine) Steps(ctx context.Context) (*Steps, error) {
	lease, err := e.acquire(ctx)
	if err != nil {
		return nil, err
	}
	return &Steps{e: e, lease: lease}, nil
}

// Stopped returns why the engine does no more, or nil.
func (s *Steps) Stopped() error { return s.e.stopped }

// Counts are the engine's totals.
func (s *Steps) Counts() Counts { return s.e.core.counts }

// Lease is one turn of the lease loop: because its time has come, or because
// there is work for it.
func (s *Steps) Lease(ctx context.Context, timed bool) error {
	err := s.e.leaseStep(ctx, s.lease, timed)
	s.e.leaseLost(err)
	return err
}

// Tick fires what is due, and returns when the next is, zero for none.
func (s *Steps) Tick() Instant { return s.e.Tick(s.e.cfg.Clock.Now()) }

// Held returns the purchases in memory that may still act, in the order of their IDs.
func (s *Steps) Held() []Purchase {
	held := make([]Purchase, 0, len(s.e.core.open))
	for _, it := range s.e.core.open {
		held = append(held, it.p)
	}
	slices.SortFunc(held, func(a, b Purchase) int { return int(a.ID - b.ID) })
	return held
}

// Intent is a purchase on its way to be durable.
type Intent struct{ in *intents }

// Buy begins a purchase as Engine.Buy does.
func (s *Steps) Buy(ctx context.Context, r Request) Intent {
	return Intent{s.e.begin(ctx, []Request{r})}
}

// Settled reports whether Result has its answer.
func (i Intent) Settled() bool { return i.in.left == 0 }

// Result is what Engine.Buy returns. It must be Settled.
func (i Intent) Result(ctx context.Context) (p Purchase, replay bool, err error) {
	b := i.in.wait(ctx)[0]
	return b.Purchase, b.Replay, b.Err
}

// Deliver applies news of a partner with the source they bear, wherever the
// purchase is. Unless it returns an error it calls done once, when the event is
// durable or is certain not to become so; done must not call the engine.
func (s *Steps) Deliver(ctx context.Context, id ID, ev Event, done func(error)) error {
	return s.e.deliver(ctx, id, ev, done)
}

// Batch is changes on their way to the store.
type Batch struct {
	s *Steps
	b *batch
}

// Gather takes the next batch; ok is false when nothing is pending.
func (s *Steps) Gather() (b Batch, ok bool) {
	if len(s.spare) == 0 {
		s.spare = append(s.spare, &batch{})
	}
	last := len(s.spare) - 1
	b = Batch{s, s.spare[last]}
	if ok = s.e.gather(b.b); ok {
		s.spare = s.spare[:last]
	}
	return b, ok
}

// Write asks the store once, and returns true when it must be called again.
func (b Batch) Write(ctx context.Context) (again bool) { return b.s.e.write(ctx, b.b) }

// Failed reports whether the store did not write; it is to be left alone for a while.
func (b Batch) Failed() bool { return b.b.err != nil }

// Settle applies what became of the batch. Nothing but Failed may be asked of it
// afterwards, and before the next Gather.
func (b Batch) Settle() {
	b.s.e.settle(b.b)
	b.s.spare = append(b.s.spare, b.b)
}

// Exchange is one call of a partner.
type Exchange struct {
	s *Steps
	l *lane
	k *call
}

// Take begins the partner's next call; ok is false when none waits.
func (s *Steps) Take(partner string) (x Exchange, ok bool) {
	l := s.e.core.lanes[partner]
	if l == nil || l.underWay >= l.concurrency {
		return Exchange{}, false
	}
	k := s.e.take(l)
	return Exchange{s, l, k}, k != nil
}

// Call says what is asked.
func (x Exchange) Call() Call { return x.k.Call }

// Order says for what.
func (x Exchange) Order() Order { return x.k.order }

// Send asks the partner.
func (x Exchange) Send(ctx context.Context) Outcome { return x.s.e.ask(ctx, x.l.partner, x.k) }

// Answer hands the outcome to the purchase.
func (x Exchange) Answer(o Outcome) { x.s.e.answer(x.l, x.k, o) }

// Drain begins an orderly stop: nothing more is admitted, and no call begins.
func (s *Steps) Drain() { s.e.draining = true }

// Quiet reports whether a draining engine has nothing under way.
func (s *Steps) Quiet() bool { return s.e.quiet() }

// HoldStuck is Engine.HoldStuck.
func (s *Steps) HoldStuck(partner string, hold bool) bool { return s.e.HoldStuck(partner, hold) }
