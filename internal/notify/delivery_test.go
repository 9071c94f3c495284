package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

// book is a DeliveryStore in memory.
type book struct {
	mu    sync.Mutex
	kept  map[[2]string]Delivery
	calls int
	err   error
	hold  chan struct{} // a call waits until it is closed; nil: it does not
}

func (b *book) PutDeliveries(_ context.Context, all []Delivery) error {
	if b.hold != nil {
		<-b.hold
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	if b.err != nil {
		return b.err
	}
	if b.kept == nil {
		b.kept = map[[2]string]Delivery{}
	}
	seen := map[[2]string]bool{}
	for i := range all {
		key := [2]string{all[i].Centre, all[i].Ref}
		if seen[key] {
			return errors.New("the same message twice in one transaction")
		}
		seen[key] = true
		d, known := b.kept[key]
		if !known {
			d = Delivery{Centre: all[i].Centre, Ref: all[i].Ref}
		}
		d.Merge(&all[i])
		b.kept[key] = d
	}
	return nil
}

// What many tell at once is kept by few transactions, and is there when Keep returns.
func TestDeliveriesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{hold: make(chan struct{})}
		d := NewDeliveries(b)
		var tellers sync.WaitGroup
		for i := range 100 {
			tellers.Go(func() {
				if err := d.Keep(t.Context(), Delivery{Centre: "c", Ref: fmt.Sprint(i % 50), Message: "m"}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(b.hold)
		tellers.Wait()
		if b.calls != 2 || len(b.kept) != 50 {
			t.Errorf("%d transactions, %d deliveries", b.calls, len(b.kept))
		}
	})
}

// All who waited for a transaction that failed are told so, and the next begins anew.
func TestDeliveriesFail(t *testing.T) {
	b := &book{err: errDown}
	d := NewDeliveries(b)
	if err := d.Keep(t.Context(), Delivery{Ref: "1"}); !errors.Is(err, errDown) {
		t.Errorf("got %v", err)
	}
	b.err = nil
	if err := d.Keep(t.Context(), Delivery{Ref: "2", Message: "m"}); err != nil || len(b.kept) != 1 {
		t.Errorf("got %v, kept %v", err, b.kept)
	}
}

// Whoever does not wait any more leaves what was told to the others.
func TestDeliveriesLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{hold: make(chan struct{})}
		d := NewDeliveries(b)
		var tellers sync.WaitGroup
		tellers.Go(func() { _ = d.Keep(t.Context(), Delivery{Ref: "1"}) })
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		tellers.Go(func() {
			if err := d.Keep(ctx, Delivery{Ref: "2"}); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		tellers.Go(func() { _ = d.Keep(t.Context(), Delivery{Ref: "3"}) })
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(b.hold)
		tellers.Wait()
		if len(b.kept) != 3 {
			t.Errorf("kept %v", b.kept)
		}
	})
}

// In whatever order name and receipts come, and however often, the end is the same.
func TestDeliveryMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		told := []Delivery{{Message: "m", At: 5}}
		for _, state := range rapid.SliceOfN(rapid.Uint8Range(0, uint8(Delivered)), 1, 6).Draw(t, "states") {
			told = append(told, Delivery{ToldAt: 7, State: DeliveryState(state)})
		}
		best := slices.MaxFunc(told, func(a, b Delivery) int { return int(a.State) - int(b.State) })
		var d Delivery
		order := rapid.Permutation(append(told, told...)).Draw(t, "order")
		for i := range order {
			d.Merge(&order[i])
		}
		if d.Message != "m" || d.At != 5 || d.ToldAt != 7 || d.State != best.State {
			t.Errorf("%+v", d)
		}
	})
}
