package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"tenu/internal/purchase"
)

func reserveNeverRepeats(t *testing.T, s Subject) {
	second := s.Again(t)
	var mu sync.Mutex
	taken := map[int64]bool{}
	take := func(from purchase.Store, shard int, n, floor int64) int64 {
		first, err := from.Reserve(t.Context(), shard, n, floor)
		if err != nil {
			t.Errorf("reserve: %v", err)
			return 0
		}
		mu.Lock()
		defer mu.Unlock()
		for i := first; i < first+n; i++ {
			if i < floor || i < 1 || taken[i<<8|int64(shard)] {
				t.Errorf("number %d of shard %d handed out twice or below %d", i, shard, floor)
			}
			taken[i<<8|int64(shard)] = true
		}
		return first
	}
	if first := take(s, 0, 10, 0); first != 1 {
		t.Errorf("the first number is %d", first)
	}
	if first := take(s, 0, 10, 5000); first != 5000 {
		t.Errorf("the floor of 5000 gives %d", first)
	}
	if first := take(s, 0, 10, 100); first != 5010 {
		t.Errorf("a lower floor gives %d", first)
	}
	if first := take(s, 7, 10, 0); first != 1 {
		t.Errorf("another shard begins at %d", first)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		from := purchase.Store(s)
		if i%2 == 1 {
			from = second
		}
		wg.Go(func() {
			for n := range int64(10) {
				take(from, i%3, n+1, n*100)
			}
		})
	}
	wg.Wait()
}

func leasesCount(t *testing.T, s Subject) {
	a, err := s.Acquire(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Again(t).Acquire(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	if a.Epoch == b.Epoch || a.Node != "a" || a.Fenced || a.Renewals != 0 {
		t.Fatalf("leases %+v and %+v", a, b)
	}
	for range 3 {
		if err := s.Renew(t.Context(), b.Epoch); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Renew(t.Context(), 99); !errors.Is(err, purchase.ErrFenced) {
		t.Errorf("renew a lease that does not exist: %v", err)
	}
	b.Renewals = 3
	check := func(want ...purchase.Lease) {
		t.Helper()
		got, err := s.Leases(t.Context())
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("leases %+v (%v), want %+v", got, err, want)
		}
	}
	check(a, b)
	if moved, err := s.Takeover(t.Context(), b, a.Epoch, 10); err != nil || moved != 0 {
		t.Errorf("take over nothing: %d, %v", moved, err)
	}
	check(a)
	c, err := s.Acquire(t.Context(), "b")
	if err != nil || c.Epoch <= b.Epoch {
		t.Errorf("epoch %d after %d (%v)", c.Epoch, b.Epoch, err)
	}
	check(a, c)
}

func takeoverMovesOpenPurchases(t *testing.T, s Subject) {
	old := newShop(t, s)
	for n := range int64(5) {
		old.sell(request(n+1), charged)
	}
	closed := old.sell(request(6), charged, credited)
	second := s.Again(t)
	heir := newShop(t, second)
	lease := purchase.Lease{Epoch: old.epoch}
	for i, want := range []int{2, 2, 1, 0} {
		moved, err := second.Takeover(t.Context(), lease, heir.epoch, 2)
		if err != nil || moved != want {
			t.Fatalf("takeover %d moved %d (%v), want %d", i, moved, err, want)
		}
		leases, err := s.Leases(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if open := i < 2; open != (len(leases) == 2 && leases[0].Fenced) {
			t.Errorf("after takeover %d: leases %+v", i, leases)
		}
	}
	records, err := second.LoadOpen(t.Context(), heir.epoch, 0, 100)
	if err != nil || len(records) != 5 {
		t.Fatalf("the heir has %d open purchases (%v)", len(records), err)
	}
	heir.now = old.now
	for i := range records {
		heir.drive(records[i].Purchase, credited)
	}
	if r := load(t, s, closed.ID); r.Purchase.Epoch != old.epoch {
		t.Errorf("a closed purchase was moved to epoch %d", r.Purchase.Epoch)
	}
	// New evidence about a closed purchase is anyone's.
	heir.drive(load(t, s, closed.ID).Purchase, answer(purchase.Credit, purchase.Done, "credit-2"))
}

func takeoverSparesTheRenewed(t *testing.T, s Subject) {
	old := newShop(t, s)
	p := old.sell(request(1))
	heir := newShop(t, s)
	if err := s.Renew(t.Context(), old.epoch); err != nil {
		t.Fatal(err)
	}
	for _, lost := range []purchase.Lease{{Epoch: old.epoch}, {Epoch: 99}} {
		if moved, err := s.Takeover(t.Context(), lost, heir.epoch, 10); err != nil || moved != -1 {
			t.Errorf("takeover of %+v: %d, %v", lost, moved, err)
		}
	}
	old.drive(p, charged, credited)
}

// takeoverAgainstCommits lets a node sell as fast as it can while another takes
// over: when that returns, what is open is the heir's, and no write under the
// old epoch comes any more.
func takeoverAgainstCommits(t *testing.T, s Subject) {
	second := s.Again(t)
	for round := range int64(5) {
		old, heir := newShop(t, s), newShop(t, second)
		var wg sync.WaitGroup
		began := make(chan struct{}, 4)
		var mu sync.Mutex
		written := map[purchase.ID]bool{}
		for seller := range int64(2) {
			wg.Go(func() {
				defer func() { began <- struct{}{} }()
				// Bounded, because SQLite is not fair to another process that waits to write.
				for n := int64(1); n <= 300; n++ {
					r := request(round*1_000_000 + seller*500_000 + n)
					step := old.terms.Begin(&r, purchase.MakeID(0, round*1_000_000+seller*500_000+n), old.epoch, dawn)
					verdicts, err := s.Commit(t.Context(), old.epoch, []purchase.Change{step.Change})
					if errors.Is(err, purchase.ErrFenced) {
						return
					}
					if err != nil || len(verdicts) != 1 || verdicts[0].Result != purchase.Written {
						t.Errorf("commit: %+v, %v", verdicts, err)
						return
					}
					mu.Lock()
					written[step.Change.Now.ID] = true
					mu.Unlock()
					if n == 5 {
						began <- struct{}{}
					}
				}
			})
		}
		<-began
		<-began
		lease, total := purchase.Lease{Epoch: old.epoch}, 0
		for moved := 7; moved == 7; total += moved {
			var err error
			if moved, err = second.Takeover(t.Context(), lease, heir.epoch, 7); err != nil || moved < 0 {
				t.Fatalf("takeover: %d, %v", moved, err)
			}
		}
		left, err := second.LoadOpen(t.Context(), old.epoch, 0, 1_000_000)
		if err != nil || len(left) != 0 {
			t.Errorf("%d purchases are still under the old epoch (%v)", len(left), err)
		}
		taken, err := second.LoadOpen(t.Context(), heir.epoch, 0, 1_000_000)
		if err != nil || len(taken) != total {
			t.Errorf("%d purchases taken over, %d found (%v)", total, len(taken), err)
		}
		wg.Wait()
		for i := range taken {
			delete(written, taken[i].Purchase.ID)
		}
		if len(written) != 0 {
			t.Errorf("%d purchases were acknowledged and not taken over", len(written))
		}
	}
}
