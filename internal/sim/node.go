package sim

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"tenu/internal/care"
	"tenu/internal/evidence"
	"tenu/internal/notify"
	"tenu/internal/purchase"
	"tenu/internal/voice/dial"
)

const committers = 2

// node is one tenu process after another under the same name.
type node struct {
	w      *world
	index  int
	name   string
	offset time.Duration // of its clock
	life   int           // counts processes; what belongs to an earlier one is void
	steps  *purchase.Steps
	epoch  int64
	outbox *notify.Outbox
	frozen bool             // stopped by SIGSTOP
	cutOff purchase.Instant // until when it does not reach the store
	later  []func()
	armed  Fault // a crash that waits for its moment
	down   time.Duration

	renewed purchase.Instant
	commits int
	tickAt  purchase.Instant
	drain   bool
	noticed bool
	looksAt purchase.Instant // when the outbox looks next, zero for never

	desk   *care.Desk       // nil in a world without care
	deskAt purchase.Instant // when it works next, zero for never
	woken  bool             // it wants to work at once
	died   bool             // the process ended within a deed at it
	killer Fault            // by which, 0 for CrashInCare
	asked  map[asked]*error // wishes on their way: what became of them, nil while that is open

	dialler *dial.Dialler    // nil where nothing is dialled
	dialAt  purchase.Instant // when it works next, zero for never

	letters *notify.Outbox   // of messages that are not about one purchase's facts; nil in a world of dice
	postsAt purchase.Instant // when it looks next, zero for never
	watch   *watch           // nil where nobody watches
	watchAt purchase.Instant // when it works next, zero for never

	sequencer *evidence.Sequencer // of the log, nil until its first turn
	forLog    *sequenced
}

func newNode(w *world, index int) *node {
	return &node{w: w, index: index, name: fmt.Sprintf("node-%d", index+1)}
}

// clock is a node's own.
type clock struct{ n *node }

// Now is purchase.Clock.
func (c clock) Now() purchase.Instant { return c.n.w.now.Add(c.n.offset) }

// After is purchase.Clock. A single goroutine cannot wait.
func (c clock) After(time.Duration) <-chan time.Time {
	panic("sim: something waits for a clock")
}

// up reports whether the node's process runs.
func (n *node) up() bool { return n.steps != nil && !n.frozen }

// then lets the node's present process do something later, unless it has ended
// by then; while it is stopped, it waits.
func (n *node) then(d time.Duration, do func()) {
	life := n.life
	n.w.after(d, func() { n.resume(life, do) })
}

func (n *node) resume(life int, do func()) {
	switch {
	case life != n.life || n.steps == nil:
	case n.frozen:
		n.later = append(n.later, func() { n.resume(life, do) })
	default:
		n.fresh()
		do()
		n.pump()
	}
}

// start begins a process.
func (n *node) start() {
	w := n.w
	if n.steps != nil {
		return
	}
	n.life++
	n.commits, n.tickAt, n.looksAt, n.drain, n.noticed, n.later = 0, 0, 0, false, false, nil
	n.desk, n.deskAt, n.woken, n.died, n.asked = nil, 0, false, false, map[asked]*error{}
	n.letters, n.postsAt, n.watch, n.watchAt, n.sequencer = nil, 0, nil, 0, nil
	n.dialler, n.dialAt, n.killer = nil, 0, 0
	if err := n.openWatch(); err != nil {
		w.note("start", 0, fmt.Sprintf("%s: %v", n.name, cause(err)))
		w.after(2*time.Second, n.start)
		return
	}
	engine, err := purchase.New(n.config())
	if err != nil {
		w.fail("start", 0, "node %s: %v", n.name, err)
		return
	}
	steps, err := engine.Steps(w.ctx)
	w.note("start", 0, fmt.Sprintf("%s, clock %+.0f s: %v", n.name, n.offset.Seconds(), cause(err)))
	if err != nil {
		w.after(2*time.Second, n.start)
		return
	}
	n.steps, n.epoch = steps, engine.Stats().Epoch
	n.outbox, err = notify.NewOutbox(notify.OutboxConfig{Store: w.store.of(n), Centre: w.centre.of(n), Clock: clock{n},
		Log: n.log(), Reference: w.keys.Reference, Concurrency: 1, Others: outboxLooks, Batch: w.centre.batch(),
		Standing: func(ctx context.Context) (bool, bool, error) { return w.store.of(n).Standing(ctx, n.epoch) }})
	if err != nil {
		w.fail("start", 0, "node %s: %v", n.name, err)
		return
	}
	n.renewed = w.now
	n.leaseLater()
	n.deliver(0)
	n.openDesk()
	n.openLetters()
	n.watchLater(time.Millisecond)
	n.pump()
}

func (n *node) log() *slog.Logger { return slog.New(discard{w: n.w}) }

func (n *node) config() purchase.Config {
	w := n.w
	cfg := purchase.Config{Store: w.store.of(n), Keys: w.keys, Clock: clock{n}, Wording: w.wording, Node: n.name,
		Rules: w.plan.rules, Log: n.log(), MaxBatch: w.plan.maxBatch, Committers: committers, LeaseTTL: w.plan.leaseTTL,
		Salt: w.salt, Notices: func() { n.noticed = true }}
	n.watched(&cfg)
	if w.plan.care {
		cfg.Cases = n.settled
	}
	for _, p := range w.peers {
		atOnce := w.plan.concurrency
		if s := w.plan.script; s != nil {
			atOnce = s.atOnce(p.Name())
		}
		cfg.Partners = append(cfg.Partners, purchase.Member{Partner: p, Concurrency: atOnce})
	}
	if w.plan.failover {
		cfg.Alternates = func(*purchase.Purchase) []string { return []string{"charging-a", "charging-b"} }
	}
	return cfg
}

// end ends the process, as a kill does, and lets another start. Requests that
// were about to leave may have left.
func (n *node) end(f Fault) {
	w := n.w
	if n.steps == nil {
		return
	}
	w.hitNode(f, n)
	w.tally.Crashes++
	w.rough = w.now
	w.note("crash", 0, n.name+" "+f.String())
	n.steps, n.armed, n.frozen, n.later = nil, 0, false, nil
	w.after(max(n.down, time.Millisecond), n.start)
}

// pump lets the process do what it can at once: it fires timers, and begins
// commits and calls.
func (n *node) pump() {
	if !n.up() {
		return
	}
	if err := n.steps.Stopped(); err != nil {
		n.w.note("fenced", 0, fmt.Sprintf("%s: %v", n.name, cause(err)))
		n.down = time.Second
		n.end(Stopped)
		return
	}
	next := n.steps.Tick()
	n.commit()
	n.call()
	if n.noticed {
		n.noticed = false
		n.deliver(50 * time.Millisecond)
		for _, other := range n.w.nodes { // one of them delivers, and looks by itself
			if other != n && other.steps != nil {
				other.deliver(outboxLooks)
			}
		}
	}
	if next == 0 || n.drain {
		return
	}
	at := max(next.Add(-n.offset), n.w.now+1)
	if n.tickAt <= n.w.now || at < n.tickAt {
		n.tickAt = at
		n.then(at.Sub(n.w.now), func() {})
	}
}

// crashes reports whether an armed crash happens at this moment.
func (n *node) crashes(f Fault) bool {
	if n.armed != f || n.w.calm {
		return false
	}
	n.end(f)
	return true
}

// commit begins the commits that the process has hands for.
func (n *node) commit() {
	for n.commits < committers {
		b, ok := n.steps.Gather()
		if !ok {
			return
		}
		n.commits++
		d := n.w.dice(3, uint64(n.w.seq)) //nolint:gosec // a count
		n.then(d.between(100*time.Microsecond, 4*time.Millisecond), func() { n.write(b, d) })
	}
}

func (n *node) write(b purchase.Batch, d *dice) {
	if n.crashes(CrashBeforeCommit) {
		return
	}
	again := b.Write(n.w.ctx)
	if n.crashes(CrashAfterCommit) {
		return
	}
	if again {
		n.then(200*time.Millisecond, func() { n.write(b, d) })
		return
	}
	n.then(d.between(100*time.Microsecond, 2*time.Millisecond), func() {
		b.Settle()
		if n.steps.Counts().Rejected > 0 {
			n.w.fail("store", 0, "the store refuses a change for what it says")
		}
		if b.Failed() { // not at once again
			n.then(100*time.Millisecond, func() { n.commits-- })
			return
		}
		n.commits--
	})
}

// call begins the calls that partners have room for.
func (n *node) call() {
	for _, p := range n.w.peers {
		for n.up() {
			x, ok := n.steps.Take(p.Name())
			if !ok {
				break
			}
			n.exchange(p, x)
		}
	}
}

// exchange is one call: it leaves, it arrives, its answer comes back.
func (n *node) exchange(p *peer, x purchase.Exchange) {
	w, o := n.w, x.Order()
	w.note("ask", o.Purchase, fmt.Sprintf("%s: %s %s, try %d", p.Name(), x.Call().Op, o.Leg, o.Try))
	if n.crashes(CrashBeforeSend) {
		return
	}
	life := n.life
	d := w.dice(4, w.buyerOf(o.Purchase), uint64(o.Leg), uint64(x.Call().Op), uint64(p.times(o, x.Call().Op))) //nolint:gosec // a count
	timeout := p.Capability(o.Leg).Timeout
	// Most requests leave at once; some wait for a connection.
	leaves := d.between(time.Millisecond, 30*time.Millisecond)
	if w.plan.script == nil && d.chance(5) && !w.calm {
		leaves = d.between(time.Millisecond, timeout)
	}
	var leave func()
	leave = func() {
		gone := life != n.life || n.steps == nil
		switch {
		case n.frozen && !gone:
			n.later = append(n.later, leave)
		case !gone || d.chance(50):
			n.arrive(life, p, x, d, timeout-leaves)
		}
	}
	w.after(leaves, leave)
	if n.crashes(CrashAfterSend) {
		return
	}
}

// arrive lets a request reach its partner, and the answer come back: most soon,
// some that tell nothing only when the time left for the call is over.
func (n *node) arrive(life int, p *peer, x purchase.Exchange, d *dice, left time.Duration) {
	o := x.Order()
	n.w.sender = 0
	if life == n.life {
		n.w.sender = n.epoch
	}
	outcome := x.Send(n.w.ctx)
	n.w.note("answer", o.Purchase, fmt.Sprintf("%s: %s %s: %s %s %s", p.Name(), x.Call().Op, o.Leg, outcome.Kind, outcome.Ref, outcome.Detail))
	if life != n.life {
		return
	}
	if n.w.plan.script != nil {
		outcome, takes := p.answersIn(x, outcome, left)
		n.then(takes, func() {
			n.answered(p, &outcome)
			x.Answer(outcome)
		})
		return
	}
	takes := d.between(time.Millisecond, 300*time.Millisecond)
	if outcome.Kind == purchase.Unknown && d.chance(50) && !n.w.calm {
		takes = max(takes, left)
	}
	n.then(takes, func() { x.Answer(outcome) })
}

// leaseLater renews the lease when its time has come. While all comes to rest,
// which takes days, a node renews when something happens to it, and looks at the
// others now and then, when all have renewed.
func (n *node) leaseLater() {
	w := n.w
	wait := w.plan.leaseTTL / 4
	if w.calm {
		wait = max(wait, 2*w.plan.rules.RetryMost)
	}
	n.then(wait, func() {
		for _, each := range w.nodes {
			if each == n || w.calm && each.up() {
				each.renew(true)
			}
		}
		if !w.resting() {
			n.leaseLater()
		}
	})
}

// renew is one turn of the lease's loop, timed or for the sake of work.
func (n *node) renew(timed bool) {
	n.renewed = n.w.now
	if err := n.steps.Lease(n.w.ctx, timed); err != nil {
		n.w.note("lease", 0, fmt.Sprintf("%s: %v", n.name, cause(err)))
	}
}

// parked lets every node look for the news that one of them keeps for another,
// while their leases are not renewed all the time.
func (w *world) parked() {
	if !w.calm {
		return
	}
	for _, n := range w.nodes {
		n.then(w.plan.leaseTTL/4, func() {})
	}
}

// outboxLooks is how often an outbox looks that does not work alone.
const outboxLooks = time.Second

// deliver lets the outbox work, and again while there is something to do.
func (n *node) deliver(d time.Duration) {
	d = max(d, n.w.centre.busy())
	at := n.w.now.Add(d)
	if n.looksAt != 0 && n.looksAt <= at {
		return
	}
	n.looksAt = at
	n.then(d, func() {
		if n.looksAt != at {
			return // it looks at another time
		}
		n.looksAt = 0
		next, err := n.outbox.Step(n.w.ctx, clock{n}.Now())
		if n.w.centre.died == n {
			n.w.centre.died = nil
			n.end(CrashInOutbox)
			return
		}
		if wait := next.Sub(clock{n}.Now()); err != nil || wait <= 0 || len(n.w.book.unsent) > 0 {
			n.deliver(max(wait, time.Millisecond))
		}
	})
}

// befall lets a trouble come over its node, or the store.
func (w *world) befall(t trouble) {
	if w.calm {
		return
	}
	n := w.nodes[t.node]
	switch t.fault {
	case StoreUnavailable, CommitLost, CommitUnheard, CommitLanding, ReadFailed:
		w.store.fail(t.fault, t.long)
		return
	case CutOff:
		n.cutOff = w.now.Add(t.long)
		w.note("cut off", 0, n.name)
		return
	case PhonesDown:
		w.phones.downTill = w.now.Add(t.long)
		return
	case CentreDown:
		w.centre.downTill = w.now.Add(t.long)
		w.tally.Hits[CentreDown]++
		return
	default:
	}
	if !n.up() {
		return
	}
	if t.fault == ClockAhead || t.fault == ClockBehind || t.fault == ClockFrozen {
		w.log.skewed = true
	}
	switch t.fault {
	case CrashBeforeCommit, CrashAfterCommit, CrashBeforeSend, CrashAfterSend, CrashInOutbox, CrashInCare, CrashInDial:
		n.armed, n.down = t.fault, t.long
	case Stopped:
		n.stop(t.long)
	case Drained:
		n.drainFor(t.long)
	case ClockAhead:
		n.down = time.Second
		n.end(ClockAhead)
		n.offset += t.long
		w.ahead = max(w.ahead, n.offset)
	case ClockBehind:
		n.down = time.Second
		n.end(ClockBehind)
		n.offset -= t.long
	case ClockFrozen:
		w.hitNode(ClockFrozen, n)
		w.rough = w.now
		n.offset -= t.long
	default:
	}
}

// stop holds the process, and lets it go on later as if nothing had happened.
func (n *node) stop(long time.Duration) {
	w, life := n.w, n.life
	w.hitNode(Stopped, n)
	w.note("stop", 0, n.name)
	n.frozen, w.rough = true, w.now
	w.after(long, func() {
		if life != n.life || n.steps == nil {
			return
		}
		w.note("continue", 0, n.name)
		n.frozen, w.rough = false, w.now
		waiting := n.later
		n.later = nil
		d := w.dice(11, uint64(w.seq)) //nolint:gosec // a count
		for _, do := range waiting {   // in whatever order its threads run
			w.after(d.between(time.Microsecond, 300*time.Millisecond), do)
		}
		n.pump()
	})
}

// drainFor stops the process as SIGTERM does: what is under way ends first.
func (n *node) drainFor(long time.Duration) {
	n.w.hitNode(Drained, n)
	n.w.note("drain", 0, n.name)
	n.drain = true
	n.steps.Drain()
	var wait func()
	wait = func() {
		if n.steps.Quiet() {
			n.w.note("drained", 0, n.name)
			n.steps = nil
			n.w.after(long, n.start)
			return
		}
		n.then(100*time.Millisecond, wait)
	}
	n.then(time.Millisecond, wait)
}
