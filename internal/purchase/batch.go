package purchase

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// batch is changes on their way to the store, at most one per purchase.
type batch struct {
	items   []*item
	changes []Change
	// verdicts say what became of each change. A zero Result: it is certain
	// that nothing was written, and the change is to be written again.
	verdicts []Verdict
	// doubt: for some changes only what the store holds can say it.
	doubt bool
	// refused: the store refused the batch for what one of its changes says.
	refused bool
	err     error // nothing was written
}

// How long a committer waits after a store that cannot write, and before it
// reads again what became of a commit.
const (
	pauseUnavailable = 100 * time.Millisecond
	pauseUnread      = 200 * time.Millisecond
)

// commitLoop writes what is pending, as one transaction at a time.
func (e *Engine) commitLoop(ctx context.Context) {
	var b batch // its memory is used again and again
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.stopped == nil {
		if !e.gather(&b) {
			e.work.Wait()
			continue
		}
		e.mu.Unlock()
		for e.write(ctx, &b) {
			e.pause(ctx, pauseUnread)
		}
		e.mu.Lock()
		e.settle(&b)
		if b.err != nil && e.stopped == nil {
			e.mu.Unlock()
			e.pause(ctx, pauseUnavailable)
			e.mu.Lock()
		}
	}
}

// pause waits for d, or until ctx ends.
func (e *Engine) pause(ctx context.Context, d time.Duration) {
	select {
	case <-e.cfg.Clock.After(d):
	case <-ctx.Done():
	}
}

// gather makes b the next batch, and returns false when nothing is pending.
func (e *Engine) gather(b *batch) bool {
	clear(b.items) // what is done with may be forgotten
	clear(b.changes)
	*b = batch{items: b.items[:0], changes: b.changes[:0]}
	if len(e.core.pending) == 0 || e.stopped != nil {
		return false
	}
	b.items = e.core.batch(b.items, e.most)
	e.core.committing += len(b.items)
	return true
}

// write asks the store once: to commit the batch, or, where that left doubt,
// what it holds. It returns true when it must be called again. A change that
// the store refuses for what it says, which no change should be, is set apart so
// that it harms no other.
func (e *Engine) write(ctx context.Context, b *batch) (again bool) {
	if b.doubt {
		return e.resolve(ctx, b)
	}
	if len(b.changes) == 0 {
		for _, it := range b.items {
			e.core.word(it)
			b.changes = append(b.changes, it.change.out.Change)
		}
	}
	verdicts, err := e.cfg.Store.Commit(ctx, e.core.epoch, b.changes)
	switch {
	case err == nil:
		b.verdicts, b.doubt = verdicts, b.doubtful(verdicts)
	case errors.Is(err, ErrCommitUnknown):
		e.cfg.Log.Warn("what became of a commit is to be read", "err", err, "changes", len(b.items))
		b.verdicts, b.doubt = make([]Verdict, len(b.items)), true
		for _, it := range b.items {
			it.doubtful = true // whatever is read now, it may still land
		}
	case errors.Is(err, ErrFenced), errors.Is(err, ErrUnavailable), ctx.Err() != nil:
		b.err = err
	case len(b.items) == 1:
		e.cfg.Log.Error("the store refuses a change", "err", err, "purchase", int64(b.items[0].p.ID))
		b.verdicts = []Verdict{{Result: Rejected}}
	default:
		b.verdicts, b.refused = make([]Verdict, len(b.items)), true
	}
	return b.doubt && e.resolve(ctx, b)
}

// doubtful reports whether a verdict leaves open that an earlier commit of our
// own, believed to have failed, wrote the change.
func (b *batch) doubtful(verdicts []Verdict) bool {
	for i, v := range verdicts {
		if b.unsure(i, v) {
			return true
		}
	}
	return false
}

func (b *batch) unsure(i int, v Verdict) bool {
	return v.Result == 0 || v.Result == Stale || v.Other == b.items[i].p.ID
}

// resolve replaces what a commit left in doubt by what the store shows, and
// returns true when it could not be read. Until then nothing is known.
func (e *Engine) resolve(ctx context.Context, b *batch) (again bool) {
	var ids []ID
	for i, it := range b.items {
		if b.unsure(i, b.verdicts[i]) {
			ids = append(ids, it.p.ID)
		}
	}
	records, err := e.cfg.Store.Load(ctx, ids...)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		b.err = fmt.Errorf("read after an unknown commit: %w", err)
		return false
	default:
		e.cfg.Log.Error("read after an unknown commit failed", "err", err, "purchases", len(ids))
		return true
	}
	stored := make(map[ID]*Purchase, len(records))
	for i := range records {
		stored[records[i].Purchase.ID] = &records[i].Purchase
	}
	for i := range b.items {
		if b.unsure(i, b.verdicts[i]) {
			c := &b.changes[i]
			b.verdicts[i] = b.verdicts[i].certain(c, stored[c.Now.ID])
		}
	}
	b.doubt = false
	return false
}

// certain is the verdict on a change given the purchase as it is stored.
func (v Verdict) certain(c *Change, stored *Purchase) Verdict {
	switch {
	case stored != nil && stored.Version == c.Now.Version && stored.Epoch == c.Now.Epoch:
		return Verdict{Result: Written}
	case v.Result == Stale:
		return v
	case stored == nil && c.Now.Version == 1,
		stored != nil && stored.Version == c.Now.Version-1 && stored.Epoch == c.WasEpoch:
		return Verdict{}
	}
	return Verdict{Result: Stale}
}

// health says once that the store does not write, and once that it does again.
func (e *Engine) health(err error) {
	switch {
	case err != nil && !e.unwell && !errors.Is(err, context.Canceled):
		e.cfg.Log.Error("the store does not write", "err", err)
		e.unwell = true
	case err == nil && e.unwell:
		e.cfg.Log.Info("the store writes again")
		e.unwell = false
	}
}

// told tells of a change that was written whoever counts, and whoever cares for
// cases if it opened one, or gives a purchase which has one its outcome.
func (e *Engine) told(c *Change) {
	if e.cfg.Committed != nil {
		e.cfg.Committed(c)
	}
	if e.cfg.Cases != nil && (len(c.Cases) > 0 || c.Now.Opened != 0 && c.Now.State.Final()) {
		e.cfg.Cases(c.Now.ID)
	}
}

// givenUp tells whoever counts that a purchase is not this process's any more.
func (e *Engine) givenUp(it *item) {
	if e.cfg.Committed == nil || it.p.Version == 0 || it.change != nil && it.change.out.Change.Now.Version == 1 {
		return // it never was
	}
	c := Change{Now: it.p, Was: Before{it.p.State, it.p.Provider}}
	c.Now.State = 0
	e.cfg.Committed(&c)
}

// settle applies what became of a batch.
func (e *Engine) settle(b *batch) {
	now := e.cfg.Clock.Now()
	e.core.committing -= len(b.items)
	if errors.Is(b.err, ErrFenced) {
		e.stopLocked(b.err)
		return
	}
	e.health(b.err)
	if b.err == nil {
		e.core.counts.Commits++
	}
	var again []*item
	noticed := false
	for i, it := range b.items {
		verdict := Verdict{}
		if b.err == nil {
			verdict = b.verdicts[i]
		} else if it.change.out.Change.Now.Version == 1 && !it.doubtful && !errors.Is(b.err, context.Canceled) {
			e.core.reject(it, fmt.Errorf("%w: %w", ErrUnavailable, b.err))
			continue
		}
		switch verdict.Result {
		case Written:
			noticed = noticed || len(b.changes[i].Notices) > 0
			e.told(&b.changes[i])
			e.core.written(it, now)
		case KeyTaken:
			e.core.reject(it, &keyTaken{verdict.Other})
		case Repeat:
			e.core.reject(it, &RepeatError{verdict.Other})
		case Rejected:
			e.core.counts.Rejected++
			e.givenUp(it)
			e.core.reject(it, fmt.Errorf("%w: the store refuses the change", ErrUnavailable))
			e.reload = append(e.reload, it.p.ID)
		case Stale:
			e.core.counts.Stale++
			e.givenUp(it)
			e.core.lose(it, ErrUnavailable)
			e.reload = append(e.reload, it.p.ID)
			e.kick(e.lease)
		default:
			again = append(again, it)
		}
	}
	switch { // a change that the store refuses ends up in a batch of its own
	case b.refused:
		e.most = max(1, len(b.items)/2)
	case b.err == nil:
		e.most = min(2*e.most, e.cfg.MaxBatch)
	}
	if len(again) > 0 {
		e.core.pending = append(again, e.core.pending...)
	}
	if len(e.core.pending) > 0 {
		e.work.Broadcast()
	}
	if noticed && e.cfg.Notices != nil {
		e.cfg.Notices()
	}
	if e.draining {
		e.life.Broadcast()
	}
	e.rearm()
}
