package purchase

import (
	"context"
	"errors"
	"fmt"
)

// A lease is renewed every leasePart-th of its time to live. A node that was
// seen not to renew for silentSteps of our own steps has lost it: that is two
// and a half times as long as it lets itself send without renewing. Steps are
// counted, not clocks compared, so that no clock's jump can cost a live node
// its purchases.
const (
	leasePart   = 4
	silentSteps = 10
	resumePage  = 2_000 // purchases resumed or taken over at a time
	parkedPage  = 200
)

// sighting is how often another node's lease was seen unchanged.
type sighting struct {
	renewals int64
	steps    int
}

// acquire opens a lease, takes over what an earlier process of this node left,
// resumes it, and opens the doors.
func (e *Engine) acquire(ctx context.Context) (Lease, error) {
	began := e.cfg.Clock.Now()
	lease, err := e.cfg.Store.Acquire(ctx, e.cfg.Node)
	if err != nil {
		return Lease{}, fmt.Errorf("acquire lease: %w", err)
	}
	e.mu.Lock()
	e.core.epoch = lease.Epoch
	e.mu.Unlock()
	leases, err := e.cfg.Store.Leases(ctx)
	if err != nil {
		return Lease{}, fmt.Errorf("list leases: %w", err)
	}
	for _, other := range leases {
		if other.Node == e.cfg.Node && other.Epoch != lease.Epoch || other.Fenced {
			if _, err := e.takeOver(ctx, other, lease.Epoch); err != nil {
				return Lease{}, err
			}
		}
	}
	if err := e.resume(ctx, lease.Epoch); err != nil {
		return Lease{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sure(began)
	e.running = true
	return lease, nil
}

// sure notes a renewal that began at an instant: until TTL after it this node may send.
func (e *Engine) sure(began Instant) { e.sureFrom, e.sureTill = began, began.Add(e.cfg.LeaseTTL) }

// takeOver moves a lost lease's open purchases to the epoch.
func (e *Engine) takeOver(ctx context.Context, lost Lease, epoch int64) (moved int, err error) {
	for {
		n, err := e.cfg.Store.Takeover(ctx, lost, epoch, resumePage)
		if err != nil {
			return moved, fmt.Errorf("take over lease %d of node %s: %w", lost.Epoch, lost.Node, err)
		}
		if n < 0 {
			return moved, nil
		}
		lost.Fenced = true
		moved += n
		if n < resumePage {
			if moved > 0 {
				e.cfg.Log.Warn("took over purchases", "node", lost.Node, "lease", lost.Epoch, "purchases", moved)
			}
			return moved, nil
		}
	}
}

// resume adopts the epoch's open purchases that are not in memory.
func (e *Engine) resume(ctx context.Context, epoch int64) error {
	var after ID
	for {
		records, err := e.cfg.Store.LoadOpen(ctx, epoch, after, resumePage)
		if err != nil {
			return fmt.Errorf("resume purchases: %w", err)
		}
		e.adopt(records)
		if len(records) < resumePage {
			return nil
		}
		after = records[len(records)-1].Purchase.ID
	}
}

// adopt takes those records into memory that are this node's, open, and not there yet.
func (e *Engine) adopt(records []Record) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.cfg.Clock.Now()
	behind := Instant(0)
	for i := range records {
		p := &records[i].Purchase
		if p.Open() && p.Epoch == e.core.epoch && e.core.open[p.ID] == nil {
			behind = max(behind, e.adoptOne(&records[i], now).p.Skew)
		}
	}
	if behind > 0 {
		e.cfg.Log.Error("the clock is behind what is recorded", "by", behind.Sub(0))
	}
	e.rearm()
}

// adoptOne takes a recorded purchase into memory, and tells whoever counts of one
// that is open.
func (e *Engine) adoptOne(r *Record, now Instant) *item {
	it := e.core.adopt(r, now)
	if e.cfg.Committed != nil && it.p.Open() {
		e.cfg.Committed(&Change{Now: it.p})
	}
	return it
}

// leaseLoop keeps the lease, watches the others', and takes over from the dead.
func (e *Engine) leaseLoop(ctx context.Context, lease Lease) {
	for {
		timed := true
		select {
		case <-e.cfg.Clock.After(e.cfg.LeaseTTL / leasePart):
		case <-e.lease:
			timed = false
		case <-ctx.Done():
			return
		}
		err := e.leaseStep(ctx, lease, timed)
		if e.leaseLost(err) {
			return
		}
		if err != nil && ctx.Err() == nil {
			e.cfg.Log.Error("lease step failed", "err", err)
			e.pause(ctx, e.cfg.LeaseTTL/leasePart/4) // not at once again, whatever woke us
		}
	}
}

// leaseLost ends the engine when another node took over.
func (e *Engine) leaseLost(err error) bool {
	if !errors.Is(err, ErrFenced) {
		return false
	}
	e.halt(err)
	return true
}

// leaseStep is one round: renew, reload, take parked news, and, when its time has
// come rather than that there is work, look at the others.
func (e *Engine) leaseStep(ctx context.Context, lease Lease, timed bool) error {
	began := e.cfg.Clock.Now()
	if err := e.cfg.Store.Renew(ctx, lease.Epoch); err != nil {
		return fmt.Errorf("renew lease: %w", err)
	}
	e.mu.Lock()
	e.sure(began)
	ids := e.reload
	e.reload = nil
	e.mu.Unlock()
	if len(ids) > 0 {
		records, err := e.cfg.Store.Load(ctx, ids...)
		if err != nil {
			e.mu.Lock()
			e.reload = append(e.reload, ids...)
			e.mu.Unlock()
			return fmt.Errorf("reload purchases: %w", err)
		}
		e.adopt(records)
	}
	if err := e.takeParked(ctx, lease.Epoch); err != nil {
		return err
	}
	if !timed {
		return nil
	}
	return e.watchLeases(ctx, lease)
}

// takeParked applies the callbacks that other nodes kept for this one, and
// forgets those that were applied by the last round.
func (e *Engine) takeParked(ctx context.Context, epoch int64) error {
	e.mu.Lock()
	applied := e.unpark
	e.unpark = nil
	e.mu.Unlock()
	if len(applied) > 0 {
		if err := e.cfg.Store.Unpark(ctx, applied); err != nil {
			return fmt.Errorf("unpark callbacks: %w", err) // they are applied again, which changes nothing
		}
	}
	parked, err := e.cfg.Store.TakeParked(ctx, epoch, parkedPage)
	if err != nil {
		return fmt.Errorf("take parked callbacks: %w", err)
	}
	for i := range parked {
		done := func(err error) {
			if err == nil {
				e.unpark = append(e.unpark, parked[i].Seq)
			}
		}
		if err := e.deliver(ctx, parked[i].Purchase, parked[i].Event, done); err != nil {
			e.cfg.Log.Warn("parked callback not applied yet", "purchase", int64(parked[i].Purchase), "err", err)
		}
	}
	return nil
}

// watchLeases counts for how long the other leases stay unchanged.
func (e *Engine) watchLeases(ctx context.Context, mine Lease) error {
	leases, err := e.cfg.Store.Leases(ctx)
	if err != nil {
		return fmt.Errorf("list leases: %w", err)
	}
	present := make(map[int64]sighting, len(leases))
	for _, other := range leases {
		if other.Epoch == mine.Epoch {
			continue
		}
		s := e.seen[other.Epoch]
		if s.renewals != other.Renewals {
			s = sighting{renewals: other.Renewals}
		}
		s.steps++
		if other.Fenced || s.steps > silentSteps {
			e.behind = true // a takeover that fails may have moved some
			if _, err := e.takeOver(ctx, other, mine.Epoch); err != nil {
				return err
			}
			continue
		}
		present[other.Epoch] = s
	}
	e.seen = present
	if e.behind {
		if err := e.resume(ctx, mine.Epoch); err != nil {
			return err
		}
		e.behind = false
	}
	return nil
}
