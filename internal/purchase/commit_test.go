package purchase_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/store"
)

// flaky is a store whose commits fail in every way that a database's can.
type flaky struct {
	*store.Memory
	mu      sync.Mutex
	random  *rand.Rand
	percent int
	poison  purchase.MSISDN // a number whose changes are always refused
}

func (f *flaky) draw() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.random.IntN(100) >= f.percent {
		return 0
	}
	return 1 + f.random.IntN(3)
}

var errRule = errors.New("violates a constraint")

func (f *flaky) Commit(ctx context.Context, epoch int64, changes []purchase.Change) ([]purchase.Verdict, error) {
	for i := range changes {
		if changes[i].Now.Recipient == f.poison {
			return nil, errRule
		}
	}
	switch f.draw() {
	case 1:
		return nil, fmt.Errorf("%w: connection refused", purchase.ErrUnavailable)
	case 2: // committed, the answer is lost
		if _, err := f.Memory.Commit(ctx, epoch, changes); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: connection reset", purchase.ErrCommitUnknown)
	case 3: // not committed, the answer is lost
		return nil, fmt.Errorf("%w: connection reset", purchase.ErrCommitUnknown)
	}
	return f.Memory.Commit(ctx, epoch, changes)
}

func (f *flaky) Load(ctx context.Context, ids ...purchase.ID) ([]purchase.Record, error) {
	if f.draw() == 1 {
		return nil, fmt.Errorf("%w: connection refused", purchase.ErrUnavailable)
	}
	return f.Memory.Load(ctx, ids...)
}

// TestCommitFailures sells while commits fail, with and without effect: every
// sale that was acknowledged is settled, and the books agree.
func TestCommitFailures(t *testing.T) {
	s := store.NewMemory()
	f := &flaky{Memory: s, random: rand.New(rand.NewPCG(3, 4)), percent: 15, poison: 22670000007} //nolint:gosec // replayable on purpose
	wallet, ocs := newPartner("wallet", full, obey), newPartner("ocs", full, obey)
	rules := quickRules()
	rules.DeliverWithin = time.Minute
	r := start(t, s, rules, func(c *purchase.Config) { c.Store = f }, wallet, ocs)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var ids []purchase.ID
	for i := range 400 {
		wg.Go(func() {
			for { // as a client would: the same key until it is acknowledged
				p, _, err := r.Buy(context.Background(), request(i))
				if i == 7 {
					if !errors.Is(err, purchase.ErrUnavailable) {
						t.Errorf("a refused change gives %v", err)
					}
					return
				}
				if errors.Is(err, purchase.ErrUnavailable) {
					continue
				}
				if err != nil {
					t.Errorf("buy: %v", err)
				}
				mu.Lock()
				ids = append(ids, p.ID)
				mu.Unlock()
				return
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if rec := r.settle(t, id); rec.Purchase.State != purchase.Credited || len(rec.Postings) != 3 {
			t.Errorf("%d: %s with %d postings", id, rec.Purchase.State, len(rec.Postings))
		}
	}
	if wallet.count() != 399 || ocs.count() != 399 {
		t.Errorf("wallet has %d charges, provider %d credits, want 399", wallet.count(), ocs.count())
	}
}
