package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tenu/internal/notify"
	"tenu/internal/purchase"
)

// Store is what a world keeps its purchases in.
type Store interface {
	purchase.Store
	notify.Store
	Standing(ctx context.Context, epoch int64) (oldest, alone bool, err error)
}

// storage is a world's store and what befalls it.
type storage struct {
	Backing
	w       *world
	bad     [faultCount]purchase.Instant // until when
	landing []func()                     // commits under way when they were given up
}

// flaky is the store as one node sees it: it fails, before or after having done
// what it was asked.
type flaky struct {
	*storage
	n *node
}

// of is the store as one node sees it.
func (s *storage) of(n *node) *flaky { return &flaky{s, n} }

// fail lets a fault last.
func (s *storage) fail(fault Fault, long time.Duration) {
	s.bad[fault] = s.w.now.Add(long)
	s.w.rough = s.bad[fault]
	s.w.note("store", 0, fault.String()+" for "+long.String())
}

// meets reports whether a fault meets this call.
func (f *flaky) meets(fault Fault, percent int) bool {
	w := f.w
	if w.calm || w.plan.without.has(fault) {
		return false
	}
	until := f.bad[fault]
	if fault == CutOff {
		until = f.n.cutOff
	}
	if w.now >= until {
		percent = 0
		if fault == CommitLost || fault == CommitUnheard || fault == CommitLanding {
			percent = 1
		}
	}
	if percent == 0 || !w.dice(5, uint64(w.seq), uint64(fault)).chance(percent) { //nolint:gosec // a count
		return false
	}
	w.tally.Hits[fault]++
	w.rough = max(w.rough, w.now)
	return true
}

var errNoStore = fmt.Errorf("%w: the store does not answer", purchase.ErrUnavailable)

// down reports what keeps the node from the store, 0 for nothing.
func (f *flaky) down() Fault {
	for _, fault := range []Fault{StoreUnavailable, CutOff} {
		if f.meets(fault, 100) {
			return fault
		}
	}
	return 0
}

// read fails reads.
func (f *flaky) read() error {
	if f.down() != 0 || f.meets(ReadFailed, 60) {
		return errNoStore
	}
	return nil
}

// write fails a small write, before or after it was done.
func (f *flaky) write(do func() error) error {
	f.land()
	switch {
	case f.down() != 0:
		return errNoStore
	case f.meets(CommitLost, 40):
		return fmt.Errorf("%w: connection lost", purchase.ErrCommitUnknown)
	case f.meets(CommitUnheard, 40):
		if err := do(); err != nil {
			return err
		}
		return fmt.Errorf("%w: connection lost", purchase.ErrCommitUnknown)
	}
	return do()
}

// land lets commits take effect that were under way when they were given up.
func (s *storage) land() {
	for len(s.landing) > 0 {
		do := s.landing[0]
		s.landing = s.landing[1:]
		do()
	}
}

// Commit is purchase.Store.
func (f *flaky) Commit(_ context.Context, epoch int64, changes []purchase.Change) ([]purchase.Verdict, error) {
	f.land()
	cover := func(fault Fault) {
		for i := range changes {
			f.w.cover(fault, changes[i].Now.ID)
		}
	}
	unknown := fmt.Errorf("%w: connection lost", purchase.ErrCommitUnknown)
	if fault := f.down(); fault != 0 {
		cover(fault)
		return nil, errNoStore
	}
	switch {
	case f.meets(CommitLost, 40):
		cover(CommitLost)
		return nil, unknown
	case f.meets(CommitUnheard, 40):
		cover(CommitUnheard)
		_, err := f.apply(epoch, changes)
		if err != nil {
			return nil, err
		}
		return nil, unknown
	case f.meets(CommitLanding, 40):
		cover(CommitLanding)
		late := copied(changes)
		f.landing = append(f.landing, func() { _, _ = f.apply(epoch, late) }) // nobody hears of it
		return nil, unknown
	}
	return f.apply(epoch, changes)
}

// copied copies changes, whose memory is the engine's again when Commit returns.
func copied(changes []purchase.Change) []purchase.Change {
	changes = slices.Clone(changes)
	for i := range changes {
		c := &changes[i]
		if c.Attempt != nil {
			attempt := *c.Attempt
			c.Attempt = &attempt
		}
		if c.Evidence != nil {
			evidence := *c.Evidence
			c.Evidence = &evidence
		}
		c.Postings, c.Notices, c.Cases = slices.Clone(c.Postings), slices.Clone(c.Notices), slices.Clone(c.Cases)
	}
	return changes
}

// apply commits for certain.
func (s *storage) apply(epoch int64, changes []purchase.Change) ([]purchase.Verdict, error) {
	verdicts, err := s.Backing.Commit(s.w.ctx, epoch, changes)
	s.w.tally.Commits++
	if err != nil {
		s.w.note("commit", 0, fmt.Sprintf("lease %d: %v", epoch, cause(err)))
		return verdicts, err
	}
	for i := range changes {
		if verdicts[i].Result == purchase.Written {
			s.w.log.wrote(&changes[i])
			s.w.book.wrote(epoch, &changes[i])
		} else {
			s.w.note("commit", changes[i].Now.ID, fmt.Sprintf("lease %d: version %d not written: %d", epoch, changes[i].Now.Version, verdicts[i].Result))
		}
	}
	return verdicts, nil
}

// Load is purchase.Store.
func (f *flaky) Load(ctx context.Context, ids ...purchase.ID) ([]purchase.Record, error) {
	if err := f.read(); err != nil {
		for _, id := range ids {
			f.w.cover(ReadFailed, id)
		}
		return nil, err
	}
	return f.Backing.Load(ctx, ids...)
}

// LoadOpen is purchase.Store.
func (f *flaky) LoadOpen(ctx context.Context, epoch int64, after purchase.ID, limit int) ([]purchase.Record, error) {
	if err := f.read(); err != nil {
		return nil, err
	}
	return f.Backing.LoadOpen(ctx, epoch, after, limit)
}

// FindKey is purchase.Store.
func (f *flaky) FindKey(ctx context.Context, client, key string) (purchase.ID, error) {
	if err := f.read(); err != nil {
		return 0, err
	}
	return f.Backing.FindKey(ctx, client, key)
}

// Reserve is purchase.Store.
func (f *flaky) Reserve(ctx context.Context, shard int, n, floor int64) (first int64, err error) {
	err = f.write(func() error {
		first, err = f.Backing.Reserve(ctx, shard, n, floor)
		return err
	})
	return first, err
}

// Acquire is purchase.Store.
func (f *flaky) Acquire(ctx context.Context, name string) (l purchase.Lease, err error) {
	err = f.write(func() error {
		l, err = f.Backing.Acquire(ctx, name)
		return err
	})
	return l, err
}

// Renew is purchase.Store.
func (f *flaky) Renew(ctx context.Context, epoch int64) error {
	return f.write(func() error { return f.Backing.Renew(ctx, epoch) })
}

// Leases is purchase.Store.
func (f *flaky) Leases(ctx context.Context) ([]purchase.Lease, error) {
	if err := f.read(); err != nil {
		return nil, err
	}
	return f.Backing.Leases(ctx)
}

// Takeover is purchase.Store.
func (f *flaky) Takeover(ctx context.Context, lost purchase.Lease, epoch int64, limit int) (moved int, err error) {
	err = f.write(func() error {
		moved, err = f.Backing.Takeover(ctx, lost, epoch, limit)
		if err == nil && moved >= 0 {
			f.w.book.moved(lost.Epoch, epoch, moved)
		}
		return err
	})
	return moved, err
}

// Park is purchase.Store.
func (f *flaky) Park(ctx context.Context, p purchase.Parked) error {
	return f.write(func() error {
		err := f.Backing.Park(ctx, p)
		if err == nil {
			f.w.book.parked[newsOf(p.Purchase, &p.Event)] = true
			f.w.parked()
		}
		return err
	})
}

// TakeParked is purchase.Store.
func (f *flaky) TakeParked(ctx context.Context, epoch int64, limit int) ([]purchase.Parked, error) {
	if err := f.read(); err != nil {
		return nil, err
	}
	parked, err := f.Backing.TakeParked(ctx, epoch, limit)
	for i := range parked {
		f.w.book.taken[parked[i].Seq] = parked[i]
	}
	return parked, err
}

// Unpark is purchase.Store.
func (f *flaky) Unpark(ctx context.Context, seqs []int64) error {
	return f.write(func() error {
		f.w.book.unparked(seqs)
		return f.Backing.Unpark(ctx, seqs)
	})
}

// UnsentNotices is notify.Store.
func (f *flaky) UnsentNotices(ctx context.Context, limit int) ([]purchase.Notice, error) {
	if err := f.read(); err != nil {
		return nil, err
	}
	return f.Backing.UnsentNotices(ctx, limit)
}

// NewestUnsent is notify.Store.
func (f *flaky) NewestUnsent(ctx context.Context) (purchase.Instant, error) {
	if err := f.read(); err != nil {
		return 0, err
	}
	return f.Backing.NewestUnsent(ctx)
}

// Standing is that of a node's lease.
func (f *flaky) Standing(ctx context.Context, epoch int64) (oldest, alone bool, err error) {
	if err := f.read(); err != nil {
		return false, false, err
	}
	return f.Backing.Standing(ctx, epoch)
}

// MarkSent is notify.Store.
func (f *flaky) MarkSent(ctx context.Context, notices []purchase.Notice, at purchase.Instant) error {
	if f.w.centre.died != nil {
		return fmt.Errorf("%w: the process ended", purchase.ErrUnavailable)
	}
	return f.write(func() error {
		f.w.book.marked(notices)
		return f.Backing.MarkSent(ctx, notices, at)
	})
}
