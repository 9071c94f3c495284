// Package sim proves the engine: it runs whole installations (nodes, store,
// partners, customers, an SMS centre) on one goroutine each, in virtual time,
// with faults of calls, news, processes, clocks and stores, and checks every
// invariant after each change and again when everything has come to rest. The
// same seed gives the same history on any machine. It knows the engine's Steps,
// the real stores and notices, and no protocol: a partner here is its promises
// and its books.
package sim

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"sync"

	"tenu/internal/evidence"
	"tenu/internal/evidence/audit"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

// WorldSize is how many purchases are made in one world, at most.
const WorldSize = 250

// Options say what to simulate.
type Options struct {
	Seed      uint64
	Purchases int
	Workers   int // worlds simulated at once; each has a goroutine of its own
	// Open makes the empty store of a world; nil keeps purchases in memory.
	Open func(ctx context.Context, world int) (Backing, error)
	// World simulates only that one, counted from 1; 0 for all.
	World int
	// Buyers take part alone in a world; nil for all.
	Buyers []int
	// Without leaves faults out.
	Without []Fault
	// Care adds cases, requests, callbacks and rules, with the people who deal with them.
	// It needs a store that keeps them, as SQLite's does.
	Care bool
	// Trace receives what happens in the one world, as lines.
	Trace io.Writer
	// Progress is called after each world.
	Progress func(purchases int)
}

// Backing is the store of one world.
type Backing interface {
	Store
	evidence.Store
	audit.Database
	// Check verifies what the store holds by its own means.
	Check(ctx context.Context, now purchase.Instant) ([]store.Violation, error)
	Close() error
}

// Violation is an invariant that did not hold.
type Violation struct {
	Invariant string      `json:"invariant"`
	World     int         `json:"world"`
	Buyer     int         `json:"buyer"` // -1 when it is not one buyer's
	Purchase  purchase.ID `json:"-"`
	Reference string      `json:"reference,omitempty"`
	Detail    string      `json:"detail"`
}

// Error says what was violated.
func (v *Violation) Error() string {
	return fmt.Sprintf("%s violated in world %d, buyer %d: %s", v.Invariant, v.World, v.Buyer, v.Detail)
}

// Run simulates worlds until the purchases are made, or an invariant is violated.
// It returns an error only when it cannot simulate.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Purchases < 1 {
		return nil, errors.New("sim: purchases must be positive")
	}
	if o.Care && o.Open == nil {
		return nil, errors.New("sim: care needs a database")
	}
	if o.Open == nil {
		o.Open = func(context.Context, int) (Backing, error) { return newMemory(), nil }
	}
	worlds := (o.Purchases + WorldSize - 1) / WorldSize
	first, last := 1, worlds
	if o.World != 0 {
		if o.World < 1 || o.World > worlds {
			return nil, fmt.Errorf("sim: there are worlds 1 to %d", worlds)
		}
		first, last = o.World, o.World
	}
	r := &Report{Seed: o.Seed}
	sums := make([]uint64, last-first+1)
	var mu sync.Mutex
	var failed error
	next := first
	var workers sync.WaitGroup
	for range max(1, o.Workers) {
		workers.Go(func() {
			for {
				mu.Lock()
				world := next
				next++
				over := world > last || failed != nil || len(r.Violations) > 0 || ctx.Err() != nil
				mu.Unlock()
				if over {
					return
				}
				size := min(WorldSize, o.Purchases-(world-1)*WorldSize)
				w, err := simulate(ctx, &o, world, size)
				mu.Lock()
				if err != nil {
					failed = err
				} else {
					sums[world-first] = w.record.sum
					r.add(w)
					if o.Progress != nil {
						o.Progress(size)
					}
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	if failed == nil {
		failed = ctx.Err()
	}
	if failed != nil {
		return nil, failed
	}
	h := fnv.New64a()
	for _, sum := range sums {
		_, _ = fmt.Fprintf(h, "%x ", sum) // a hash never fails
	}
	r.TraceHash = fmt.Sprintf("%016x", h.Sum64())
	return r, nil
}

// simulate runs one world.
func simulate(ctx context.Context, o *Options, world, size int) (w *world, err error) {
	pl := draw(o.Seed, world, size, o.Care)
	pl.only = o.Buyers
	for _, f := range o.Without {
		pl.without = pl.without.with(f)
	}
	backing, err := o.Open(ctx, world)
	if err != nil {
		return nil, fmt.Errorf("open the store of world %d: %w", world, err)
	}
	defer func() { err = errors.Join(err, backing.Close()) }()
	rec := &record{out: o.Trace}
	if w, err = build(ctx, pl, backing, rec); err != nil {
		return nil, err
	}
	w.note("plan", 0, pl.String())
	w.run()
	return w, ctx.Err()
}
