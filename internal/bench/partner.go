package bench

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"tenu/internal/purchase"
)

// Conduct is how a partner of the process behaves.
type Conduct int32

// The conducts.
const (
	Prompt  Conduct = iota // does at once what it is asked
	Later                  // holds the key and will answer later
	Failing                // says nothing that tells what became of the request
)

// Partner is a partner in the process. The zero pace answers as fast as it is
// asked. Safe for concurrent use.
type Partner struct {
	name    string
	conduct atomic.Int32
	done    atomic.Int64
	mark    atomic.Int64 // the last purchase that counts as old
	old     atomic.Int64 // calls done for those
	pace    atomic.Pointer[pace]
}

// NewPartner returns a partner, payer or provider or both.
func NewPartner(name string, c Conduct) *Partner {
	p := &Partner{name: name}
	p.Conduct(c)
	return p
}

// Conduct changes how the partner behaves.
func (p *Partner) Conduct(c Conduct) { p.conduct.Store(int32(c)) }

// Allow makes the partner do at most so many calls a second from now on; those
// above wait for their turn.
func (p *Partner) Allow(perSecond int, clock purchase.Clock) {
	p.pace.Store(&pace{clock: clock, every: time.Second / time.Duration(perSecond), next: clock.Now()})
}

// Done is how many calls the partner has done.
func (p *Partner) Done() int64 { return p.done.Load() }

// Mark makes purchases up to one old from now on.
func (p *Partner) Mark(last purchase.ID) { p.mark.Store(int64(last)) }

// Old is how many calls the partner has done for old purchases.
func (p *Partner) Old() int64 { return p.old.Load() }

// Name is purchase.Partner.
func (p *Partner) Name() string { return p.name }

// Capability is purchase.Partner.
func (p *Partner) Capability(purchase.Leg) purchase.Capability {
	return purchase.Capability{Supported: true, Idempotent: true, KeyLife: 24 * time.Hour, Timeout: 5 * time.Second}
}

// Do is purchase.Partner.
func (p *Partner) Do(ctx context.Context, o purchase.Order) purchase.Outcome {
	switch Conduct(p.conduct.Load()) {
	case Later:
		return purchase.Outcome{Kind: purchase.Pending}
	case Failing:
		if o.Try > 1 {
			return purchase.Outcome{Kind: purchase.Unsent, Reason: purchase.ReasonClosed, Detail: "circuit is open"}
		}
		return purchase.Outcome{Kind: purchase.Unknown, Detail: "out of order"}
	case Prompt:
	}
	if pace := p.pace.Load(); pace != nil && !pace.wait(ctx) {
		return purchase.Outcome{Kind: purchase.Unsent, Detail: "no turn in time"}
	}
	p.done.Add(1)
	if int64(o.Purchase) <= p.mark.Load() {
		p.old.Add(1)
	}
	return p.executed(o.Purchase, o)
}

// executed is what the partner says of a movement that it made.
func (p *Partner) executed(id purchase.ID, o purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Done, Ref: p.name + strconv.FormatInt(int64(id), 36),
		Amount: o.Amount, Account: o.Account}
}

// Query is purchase.Partner.
func (p *Partner) Query(context.Context, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown}
}

// Cancel is purchase.Partner.
func (p *Partner) Cancel(context.Context, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown}
}

// pace gives turns at equal distances. What was not used is lost but for paceBurst.
type pace struct {
	clock purchase.Clock
	every time.Duration
	mu    sync.Mutex
	next  purchase.Instant
}

const paceBurst = 50 * time.Millisecond

// wait waits for a turn, and reports false when ctx ended first.
func (p *pace) wait(ctx context.Context) bool {
	p.mu.Lock()
	now := p.clock.Now()
	turn := max(p.next, now.Add(-paceBurst))
	p.next = turn.Add(p.every)
	p.mu.Unlock()
	if turn <= now {
		return true
	}
	select {
	case <-p.clock.After(turn.Sub(now)):
		return true
	case <-ctx.Done():
		return false
	}
}
