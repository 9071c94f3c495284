package purchase_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/store"
)

// Every request of a batch is answered as Buy would answer it by itself, in the
// order of the requests.
func TestBuyAll(t *testing.T) {
	rules := quickRules()
	rules.RepeatWithin = time.Minute
	r := start(t, store.NewMemory(), rules, nil, newPartner("wallet", full, obey), newPartner("ocs", full, obey))
	early := r.buy(t, 9)

	like, other, unsold := request(1), request(1), request(3)
	like.ClientKey = "like"
	other.Digest[0] = 1
	unsold.Provider = "nobody"
	replayed, conflict := request(9), request(9)
	conflict.Digest[0] = 1
	answers := r.BuyAll(t.Context(), []purchase.Request{request(1), request(2), request(1), like, other, unsold, replayed, conflict})
	first := answers[0].Purchase.ID
	var repeat *purchase.RepeatError
	for i, right := range []bool{
		answers[0].Err == nil && !answers[0].Replay,
		answers[1].Err == nil && !answers[1].Replay && answers[1].Purchase.ID != first,
		answers[2].Err == nil && answers[2].Replay && answers[2].Purchase.ID == first,
		errors.As(answers[3].Err, &repeat) && repeat.Earlier == first,
		errors.Is(answers[4].Err, purchase.ErrKeyConflict),
		errors.Is(answers[5].Err, purchase.ErrUnavailable),
		answers[6].Err == nil && answers[6].Replay && answers[6].Purchase.ID == early,
		errors.Is(answers[7].Err, purchase.ErrKeyConflict),
	} {
		if !right {
			t.Errorf("answer %d: %+v", i, answers[i])
		}
	}
	if s := r.Stats(); s.Created != 3 || s.Replayed != 1 {
		t.Errorf("%d were made and %d replayed, want 3 and 1", s.Created, s.Replayed)
	}
	// The like of a replayed one stays what it was.
	again := r.BuyAll(t.Context(), []purchase.Request{request(1), like})
	if !again[0].Replay || !errors.As(again[1].Err, &repeat) || repeat.Earlier != first {
		t.Errorf("asked again: %+v", again)
	}
	if answers := r.BuyAll(t.Context(), nil); len(answers) != 0 {
		t.Errorf("nothing asked for is answered with %v", answers)
	}
}

// blind is a store whose keys cannot be read.
type blind struct{ purchase.Store }

// FindKey is purchase.Store.
func (blind) FindKey(context.Context, string, string) (purchase.ID, error) {
	return 0, purchase.ErrUnavailable
}

// A refusal says that nothing was charged. It is not given where an earlier
// purchase under the same key may exist and cannot be looked for.
func TestRefusalHidesNothing(t *testing.T) {
	paused := &purchase.PausedError{Partner: "wallet"}
	var closed atomic.Bool
	kept := store.NewMemory()
	change := func(s purchase.Store) func(*purchase.Config) {
		return func(c *purchase.Config) {
			c.Store = s
			c.Admit = func(*purchase.Request) error {
				if closed.Load() {
					return paused
				}
				return nil
			}
		}
	}
	r := start(t, kept, quickRules(), change(blind{kept}), newPartner("wallet", full, obey), newPartner("ocs", full, obey))
	r.settle(t, r.buy(t, 1))
	closed.Store(true)
	var refused *purchase.PausedError
	if _, _, err := r.Buy(t.Context(), request(1)); errors.As(err, &refused) || !errors.Is(err, purchase.ErrUnavailable) {
		t.Errorf("a key that cannot be looked for is answered with %v", err)
	}
}

// A context that ends leaves each request with what is known of it by then.
func TestBuyAllInterrupted(t *testing.T) {
	n := alone(t, newPartner("wallet", full, obey), newPartner("ocs", full, obey))
	n.Drain()
	if _, _, err := n.Buy(t.Context(), request(1)).Result(t.Context()); !errors.Is(err, purchase.ErrUnavailable) {
		t.Errorf("a draining node: %v", err)
	}
	n = alone(t, newPartner("wallet", full, obey), newPartner("ocs", full, obey))
	intent := n.Buy(t.Context(), request(1))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := intent.Result(over); !errors.Is(err, context.Canceled) {
		t.Errorf("a request that is given up before it is durable: %v", err)
	}
	n.commit()
	again := n.Buy(t.Context(), request(1))
	n.commit()
	if _, replay, err := again.Result(t.Context()); err != nil || !replay {
		t.Errorf("it is made all the same: replay %v, %v", replay, err)
	}
}

// Settle waits for all, tells what became of each, and says which are not here.
func TestSettle(t *testing.T) { synctest.Test(t, settles) }

func settles(t *testing.T) {
	gate := make(chan struct{})
	slow := newPartner("ocs", full, func(p *partner, o purchase.Order) purchase.Outcome {
		<-gate
		return p.execute(o)
	})
	r := start(t, store.NewMemory(), quickRules(), nil, newPartner("wallet", full, obey), slow)
	answers := r.BuyAll(t.Context(), []purchase.Request{request(1), request(2), request(2)})
	ps := []*purchase.Purchase{&answers[0].Purchase, &answers[1].Purchase, &answers[2].Purchase, {ID: 77}}

	over, cancel := context.WithCancel(t.Context())
	cancel()
	if elsewhere := r.Settle(over, ps); elsewhere != 1 || ps[0].State.Final() {
		t.Errorf("given up: %d elsewhere, the first is %s", elsewhere, ps[0].State)
	}
	go func() {
		synctest.Wait() // it watches: what ends before is not its to tell
		close(gate)
	}()
	if elsewhere := r.Settle(t.Context(), ps); elsewhere != 1 {
		t.Errorf("%d are elsewhere, want the one that is nowhere", elsewhere)
	}
	for _, p := range ps[:3] {
		if p.State != purchase.Credited {
			t.Errorf("%d is %s", p.ID, p.State)
		}
	}
	if ps[1].ID != ps[2].ID || ps[1].Version != ps[2].Version {
		t.Errorf("one purchase is told twice, as %+v and %+v", ps[1], ps[2])
	}
	if elsewhere := r.Settle(t.Context(), ps[:3]); elsewhere != 0 {
		t.Errorf("%d final ones are elsewhere", elsewhere)
	}
}
