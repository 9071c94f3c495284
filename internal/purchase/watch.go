package purchase

import (
	"context"
	"slices"
)

// watcher learns of a purchase's durable changes, under the engine's lock, for
// as long as this node holds it open.
type watcher interface {
	told(p *Purchase)
	over() // the last call
}

// stream is a watcher that keeps the latest for a slow reader.
type stream chan Purchase

func (s stream) told(p *Purchase) {
	select {
	case <-s:
	default:
	}
	s <- *p
}

func (s stream) over() { close(s) }

// unwatch forgets a watcher of a purchase.
func (it *item) unwatch(w watcher) {
	if i := slices.Index(it.watchers, w); i >= 0 {
		it.watchers = slices.Delete(it.watchers, i, i+1)
	}
}

// Watch delivers the purchase after each durable change while this node holds
// it open; only the latest is kept for a slow reader. The channel is closed when
// the purchase is closed for good, at once if this node does not hold it. stop
// must be called.
func (e *Engine) Watch(id ID) (updates <-chan Purchase, stop func()) {
	ch := make(stream, 1)
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
		it.unwatch(ch)
	}
}

// Settle waits until none of the purchases that this node holds open is without
// a final state, or until ctx ends, and brings them up to date with what became
// durable on this node. It returns how many are not final and not held here: what
// became of those only the store can tell.
func (e *Engine) Settle(ctx context.Context, ps []*Purchase) (elsewhere int) {
	s := &settling{of: make([]waited, len(ps)), done: make(chan struct{})}
	e.settleBegin(s, ps)
	select {
	case <-s.done:
	case <-ctx.Done():
	}
	return e.settleEnd(s, ps)
}

// settling is a wait for several purchases.
type settling struct {
	of   []waited
	left int // of those that are waited for, under the engine's lock
	done chan struct{}
}

// waited is a watcher that waits for one of them.
type waited struct {
	s    *settling
	p    *Purchase
	held bool // and not final
}

func (w *waited) told(p *Purchase) {
	if *w.p = *p; p.State.Final() {
		w.over()
	}
}

func (w *waited) over() {
	if !w.held {
		return
	}
	w.held = false
	w.s.less()
}

// less counts one of them down.
func (s *settling) less() {
	if s.left--; s.left == 0 {
		close(s.done)
	}
}

// settleBegin watches those purchases that are not final.
func (e *Engine) settleBegin(s *settling, ps []*Purchase) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, p := range ps {
		w, it := &s.of[i], e.core.open[p.ID]
		*w = waited{s: s, p: p}
		if it == nil || p.State.Final() {
			continue
		}
		if it.p.Version > p.Version {
			*p = it.p
		}
		if !p.State.Final() {
			w.held = true
			s.left++
			it.watchers = append(it.watchers, w)
		}
	}
	s.left++
	s.less()
}

// settleEnd stops watching, so that nobody writes to the purchases any more.
func (e *Engine) settleEnd(s *settling, ps []*Purchase) (elsewhere int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, p := range ps {
		w, it := &s.of[i], e.core.open[p.ID]
		if it != nil {
			it.unwatch(w)
		}
		if !w.held && !p.State.Final() { // not held here, or held anew after it was lost
			elsewhere++
		}
	}
	return elsewhere
}
