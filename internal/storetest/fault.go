package storetest

import (
	"errors"
	"testing"

	"tenu/internal/purchase"
)

// Fault is a way in which a commit fails.
type Fault struct {
	Name string
	// Break makes commits fail from now on, and Mend lets them pass again.
	Break, Mend func(testing.TB)
	// Want is ErrUnavailable or ErrCommitUnknown.
	Want error
	// Written and Lost say what such a commit did, if that is known beforehand.
	Written, Lost bool
}

// RunFaults lets commits fail and checks that the store tells the truth: what it
// says was not written is not there, what may have been is found out by
// reading, and afterwards it works as before. open gives a fresh store and how
// to break it.
func RunFaults(t *testing.T, open func(testing.TB) (Subject, []Fault)) {
	t.Run("Faults", func(t *testing.T) {
		s, faults := open(t)
		shop := newShop(t, s)
		for _, f := range faults {
			for range 3 {
				p := shop.sell(request(shop.next))
				change, _ := shop.meet(&p, charged)
				failing(t, shop, f, change)
				failing(t, shop, f, shop.begin(request(shop.next)))
			}
		}
		if d, ok := s.Store.(Database); ok {
			verified(t, d, dawn)
		}
	})
}

// failing commits a change while the fault is there, and again after it.
func failing(t *testing.T, shop *shop, f Fault, c purchase.Change) {
	t.Helper()
	f.Break(t)
	verdicts, err := shop.store.Commit(t.Context(), shop.epoch, []purchase.Change{c})
	f.Mend(t)
	if !errors.Is(err, f.Want) {
		t.Fatalf("%s: %+v, %v; want %v", f.Name, verdicts, err, f.Want)
	}
	records, err := shop.store.Load(t.Context(), c.Now.ID)
	if err != nil {
		t.Fatalf("%s: read after it: %v", f.Name, err)
	}
	written := len(records) == 1 && records[0].Purchase.Version == c.Now.Version && records[0].Purchase.Epoch == shop.epoch
	lost := f.Lost || errors.Is(f.Want, purchase.ErrUnavailable)
	if written && lost || !written && f.Written {
		t.Errorf("%s: written is %t", f.Name, written)
	}
	want := purchase.Verdict{Result: purchase.Written}
	if written && c.Now.Version == 1 {
		want = purchase.Verdict{Result: purchase.KeyTaken, Other: c.Now.ID}
	} else if written {
		want.Result = purchase.Stale
	}
	if again := shop.try(c); again[0] != want {
		t.Errorf("%s: written is %t, and then: %+v", f.Name, written, again[0])
	}
}
