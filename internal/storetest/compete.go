package storetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"

	"tenu/internal/ledger"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

// randomEvent is any news about any leg, likely or absurd. A leg that was never
// tried has no answers, only what the partner tells by itself.
func randomEvent(r *rand.Rand, p *purchase.Purchase) purchase.Event {
	ev := answer([]purchase.Leg{purchase.Charge, purchase.Credit, purchase.Refund}[r.IntN(3)],
		purchase.Kinds[r.IntN(len(purchase.Kinds))], []string{"", "a", "b"}[r.IntN(3)])
	ev.Source = []purchase.Source{purchase.FromCallback, purchase.FromStatement, purchase.FromAnswer, purchase.FromQuery}[r.IntN(4)]
	if p.Legs[ev.Leg].Tries == 0 {
		ev.Source = purchase.FromCallback
	}
	if r.IntN(8) == 0 && ev.Outcome.Amount.Minor > 0 {
		ev.Outcome.Amount.Minor = int64(r.IntN(2000)) + 1
	}
	return ev
}

// randomBatch is changes of which some conflict with what is stored and with
// each other, whatever state the purchases given are in.
func (s *shop) randomBatch(r *rand.Rand, known []purchase.Purchase) []purchase.Change {
	var batch []purchase.Change
	used := map[purchase.ID]bool{}
	open := false
	for range 1 + r.IntN(12) {
		if len(known) == 0 || r.IntN(3) == 0 {
			wish := request(int64(r.IntN(40)))
			if r.IntN(2) == 0 {
				wish.ClientKey = fmt.Sprintf("key-%d", r.IntN(100))
			}
			c := s.begin(wish)
			if r.IntN(2) == 0 {
				c.RepeatSince = s.now - purchase.Instant(r.IntN(60_000))
			}
			batch = append(batch, c)
			continue
		}
		p := known[r.IntN(len(known))]
		if used[p.ID] {
			continue
		}
		if c, durable := s.meet(&p, randomEvent(r, &p)); durable {
			used[p.ID] = true
			// Whether one that this batch declines, or finds charged after its
			// decline, is repeated is left open.
			open = open || p.State == purchase.Declined || c.Now.State == purchase.Declined
			if r.IntN(10) == 0 {
				c.WasEpoch++
			}
			batch = append(batch, c)
		}
	}
	for i := range batch {
		if open {
			batch[i].RepeatSince = 0
		}
	}
	return batch
}

// sameAsMemory lets this store and the one in memory see the same random
// batches: they must agree on every verdict and every record.
func sameAsMemory(t *testing.T, s Subject) {
	seed := rand.Uint64() //nolint:gosec // printed when it matters
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // replayable on purpose
	model := store.NewMemory()
	shop := newShop(t, s)
	if lease, err := model.Acquire(t.Context(), "shop"); err != nil || lease.Epoch != shop.epoch {
		t.Fatalf("the model's epoch is %d (%v), ours %d", lease.Epoch, err, shop.epoch)
	}
	latest := map[purchase.ID]purchase.Purchase{}
	for range 60 {
		known := slices.SortedFunc(mapValues(latest), func(a, b purchase.Purchase) int { return cmp.Compare(a.ID, b.ID) })
		batch := shop.randomBatch(r, known)
		want, err := model.Commit(t.Context(), shop.epoch, batch)
		if err != nil {
			t.Fatal(err)
		}
		got := shop.try(batch...)
		for i := range batch {
			if got[i] != want[i] {
				t.Fatalf("change %d of %d (purchase %d version %d): %+v, in memory %+v", i, len(batch), batch[i].Now.ID, batch[i].Now.Version, got[i], want[i])
			}
			if got[i].Result == purchase.Written {
				latest[batch[i].Now.ID] = batch[i].Now
			}
		}
	}
	for id := range latest {
		got, want := load(t, s, id), load(t, model, id)
		if !reflect.DeepEqual(plain(got), plain(want)) {
			t.Errorf("purchase %d:\n%+v, in memory\n%+v", id, plain(got), plain(want))
		}
	}
}

func mapValues(m map[purchase.ID]purchase.Purchase) func(func(purchase.Purchase) bool) {
	return func(yield func(purchase.Purchase) bool) {
		for _, p := range m {
			if !yield(p) {
				return
			}
		}
	}
}

// plain is a record without what only memory remembers, in an order of its own.
func plain(r purchase.Record) purchase.Record {
	r.Purchase = quoted(r.Purchase)
	r.Purchase.ActAt = 0
	r.Postings, r.Notices, r.Cases = slices.Clone(r.Postings), slices.Clone(r.Notices), slices.Clone(r.Cases)
	slices.SortFunc(r.Postings, func(a, b purchase.Posting) int {
		return cmp.Or(cmp.Compare(a.Leg, b.Leg), cmp.Compare(a.Effect, b.Effect))
	})
	slices.SortFunc(r.Notices, func(a, b purchase.Notice) int { return cmp.Or(cmp.Compare(a.Fact, b.Fact), cmp.Compare(a.To, b.To)) })
	slices.SortFunc(r.Cases, func(a, b purchase.Case) int { return cmp.Compare(a.Matter, b.Matter) })
	if r.Evidence == nil {
		r.Evidence = []purchase.Evidence{}
	}
	for _, list := range []any{&r.Attempts, &r.Evidence, &r.Postings, &r.Notices, &r.Cases} {
		if v := reflect.ValueOf(list).Elem(); v.Len() == 0 {
			v.SetZero()
		}
	}
	return r
}

// committersCompete lets two nodes with two committers each write the same
// purchases at once: each version of a purchase is written by exactly one, each
// client key makes one purchase, and the books agree.
func committersCompete(t *testing.T, s Subject) {
	seed := rand.Uint64() //nolint:gosec // printed when it matters
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	var mu sync.Mutex
	latest := map[purchase.ID]purchase.Purchase{}
	keys := map[string]purchase.ID{}
	written := map[string]int{}
	var wg sync.WaitGroup
	stores := []purchase.Store{s, s.Again(t)}
	leases := []*shop{newShop(t, stores[0]), newShop(t, stores[1])}
	for committer := range 4 {
		shop := *leases[committer%2]
		shop.next = int64(committer)*1_000_000 + 1
		r := rand.New(rand.NewPCG(seed, uint64(committer))) //nolint:gosec // replayable on purpose
		wg.Go(func() {
			for range 40 {
				mu.Lock()
				known := slices.SortedFunc(mapValues(latest), func(a, b purchase.Purchase) int { return cmp.Compare(a.ID, b.ID) })
				mu.Unlock()
				batch := shop.randomBatch(r, known)
				verdicts, err := shop.store.Commit(t.Context(), shop.epoch, batch)
				if err != nil {
					t.Errorf("commit: %v", err)
					return
				}
				mu.Lock()
				for i, v := range verdicts {
					p := batch[i].Now
					if v.Result != purchase.Written {
						continue
					}
					written[fmt.Sprint(p.ID, p.Version)]++
					if p.Version > latest[p.ID].Version {
						latest[p.ID] = p
					}
					if other, taken := keys[p.ClientKey]; taken && other != p.ID {
						t.Errorf("key %s made purchases %d and %d", p.ClientKey, other, p.ID)
					}
					keys[p.ClientKey] = p.ID
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for version, n := range written {
		if n != 1 {
			t.Errorf("purchase and version %s were written %d times", version, n)
		}
	}
	books := ledger.Balances{}
	for id, p := range latest {
		r := load(t, s, id)
		if r.Purchase.Version != p.Version || quoted(r.Purchase).State != p.State {
			t.Errorf("purchase %d is at version %d in %s, written last was %d in %s", id, r.Purchase.Version, r.Purchase.State, p.Version, p.State)
		}
		balances(t, &r, books)
	}
	if d, ok := s.Store.(Database); ok {
		verified(t, d, dawn)
	}
}
