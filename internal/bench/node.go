package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"tenu/internal/purchase"
)

// node is an engine that runs on a database.
type node struct {
	*purchase.Engine
	db    *database
	clock purchase.Clock
	end   context.CancelFunc
	ended chan error
	began purchase.Instant // when it was told to run
	after purchase.ID      // the newest purchase that was stored before
	loads int              // loads so far, so that no two use the same client keys
}

// setup is what differs between the nodes of the scenarios. Zero values stand for
// the engine's defaults.
type setup struct {
	name     string
	partners []purchase.Partner
	callers  int // calls at once of each partner
	maxOpen  int
	lease    time.Duration
	drain    time.Duration
	rules    func(*purchase.Rules)
	salt     func() [16]byte
}

// pair is a payer and a provider that answer at once.
func pair() []purchase.Partner {
	return []purchase.Partner{NewPartner("wallet", Prompt), NewPartner("ocs", Prompt)}
}

// run starts an engine and does not wait until it is ready.
func (d *database) run(ctx context.Context, s setup) (*node, error) {
	cfg := purchase.Config{Store: d.Store, Keys: d.keys, Clock: d.bed.Clock, Wording: d.bed.Wording, Node: "bench",
		Rules: purchase.DefaultRules(), Log: d.bed.Log, Committers: d.bed.Committers, MaxOpen: s.maxOpen, LeaseTTL: s.lease, Salt: s.salt}
	cfg.Rules.RepeatWithin = 0 // the same few numbers buy all the time
	if s.rules != nil {
		s.rules(&cfg.Rules)
	}
	if s.name != "" {
		cfg.Node = s.name
	}
	if s.callers == 0 {
		s.callers = 4
	}
	for _, p := range s.partners {
		cfg.Partners = append(cfg.Partners, purchase.Member{Partner: p, Concurrency: s.callers})
	}
	e, err := purchase.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("build engine: %w", err)
	}
	after, err := d.newest(ctx)
	if err != nil {
		return nil, err
	}
	running, end := context.WithCancel(ctx)
	n := &node{Engine: e, db: d, clock: d.bed.Clock, end: end, ended: make(chan error, 1), after: after, began: d.bed.Clock.Now()}
	go func() { n.ended <- e.Run(running, s.drain) }()
	return n, nil
}

// start starts an engine and waits until it is ready.
func (d *database) start(ctx context.Context, s setup) (*node, error) {
	if s.drain == 0 {
		s.drain = 10 * time.Second
	}
	n, err := d.run(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := n.await(ctx, "the engine to be ready", func() bool { return n.Ready() == nil }); err != nil {
		return nil, errors.Join(err, n.stop())
	}
	return n, nil
}

// stop ends the engine and returns why it ended, nil when it was told to.
func (n *node) stop() error {
	n.end()
	err := <-n.ended
	n.ended <- nil // it may be stopped again
	if err != nil {
		return fmt.Errorf("run engine: %w", err)
	}
	return nil
}

// quit stops the engine in a defer, and adds what went wrong to err.
func (n *node) quit(err *error) { *err = errors.Join(*err, n.stop()) }

// hurry is the engine's drain that is none: it ends with its calls under way
// unanswered and its changes unwritten, as a process that is killed.
const hurry = time.Nanosecond

// patience bounds the wait for what must come.
const patience = 30 * time.Minute

// await waits until something holds, or the engine or ctx ended.
func (n *node) await(ctx context.Context, what string, holds func() bool) error {
	limit := n.clock.Now().Add(patience)
	for !holds() {
		select {
		case err := <-n.ended:
			n.ended <- nil
			return fmt.Errorf("the engine ended while it was waited for %s: %w", what, err)
		case <-ctx.Done():
			return ctx.Err()
		case <-n.clock.After(time.Millisecond):
		}
		if n.clock.Now() > limit {
			return fmt.Errorf("waited too long for %s: %+v", what, n.Stats())
		}
	}
	return nil
}

// check returns an error unless so many purchases were credited since before,
// the database holds them, and everything in it is as it should be.
func (n *node) check(ctx context.Context, before purchase.Stats, credited int) error {
	if err := n.counted(ctx, before, credited); err != nil || n.Stats().Created > verifyMost {
		return err
	}
	return n.db.verify(ctx)
}

// counted returns an error unless so many purchases were credited since before,
// and the database holds all that this node made.
func (n *node) counted(ctx context.Context, before purchase.Stats, credited int) error {
	now := n.Stats()
	if got := now.ByState[purchase.Credited] - before.ByState[purchase.Credited]; got != int64(credited) {
		return fmt.Errorf("%d purchases were credited, not %d", got, credited)
	}
	if now.Stale != 0 || now.Rejected != 0 {
		return fmt.Errorf("%d changes were stale and %d rejected", now.Stale, now.Rejected)
	}
	return n.db.holds(ctx, n.after, math.MaxInt64,
		tally{now.Created, now.ByState[purchase.Crediting], now.ByState[purchase.Credited]})
}
