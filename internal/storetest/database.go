package storetest

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"

	"tenu/internal/purchase"
	"tenu/internal/store"
)

// verified fails the test for each violation found.
func verified(t *testing.T, d Database, now purchase.Instant) {
	t.Helper()
	violations, err := d.Verify(t.Context(), store.Verification{Now: now, Limit: 5})
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	for _, v := range violations {
		t.Errorf("violated: %s", v)
	}
}

func outboxOldestFirst(t *testing.T, s DatabaseSubject) {
	shop := newShop(t, s)
	gift := request(1)
	gift.PayerNumber = 22670999999
	shop.sell(gift, charged, credited)
	shop.sell(request(2), declined)
	shop.sell(request(3), charged, refused, refunded)
	unsent := func(limit int) []purchase.Notice {
		t.Helper()
		notices, err := s.UnsentNotices(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		return notices
	}
	newest := func(want purchase.Instant) {
		t.Helper()
		if at, err := s.NewestUnsent(t.Context()); err != nil || at != want {
			t.Errorf("newest unsent at %s, %v, want %s", at, err, want)
		}
	}
	all := unsent(10)
	newest(all[len(all)-1].At)
	want := []purchase.Fact{purchase.FactCredited, purchase.FactReceived, purchase.FactDeclined, purchase.FactRefunded}
	if len(all) != len(want) {
		t.Fatalf("unsent are %+v", all)
	}
	for i, n := range all {
		if n.Fact != want[i] || n.SentAt != 0 || n.Text != want[i].String()+" 1 050 F CFA" || n.Language != "fr" {
			t.Errorf("notice %d is %+v, want %s", i, n, want[i])
		}
	}
	if two := unsent(2); len(two) != 2 || two[1] != all[1] {
		t.Errorf("the oldest two are %+v", two)
	}
	unknown := all[0]
	unknown.To++
	if err := s.MarkSent(t.Context(), []purchase.Notice{all[0], all[2], unknown}, dawn+7); err != nil {
		t.Fatal(err)
	}
	if err := s.MarkSent(t.Context(), []purchase.Notice{all[0]}, dawn+9); err != nil {
		t.Fatal(err)
	}
	if err := s.MarkSent(t.Context(), nil, dawn+9); err != nil {
		t.Errorf("mark nothing: %v", err)
	}
	if left := unsent(10); len(left) != 2 || left[0] != all[1] || left[1] != all[3] {
		t.Errorf("left are %+v", left)
	}
	if err := s.MarkSent(t.Context(), all, dawn+11); err != nil {
		t.Fatal(err)
	}
	newest(0)
	if r := load(t, s, all[0].Purchase); r.Notices[0].SentAt != dawn+7 || r.Notices[1].SentAt != dawn+11 {
		t.Errorf("notices of the record: %+v", r.Notices)
	}
}

// Of the leases that may write the oldest stands first, and a fenced one no more.
func oldestLeaseStandsFirst(t *testing.T, s DatabaseSubject) {
	stands := func(epoch int64, oldest, alone bool) {
		t.Helper()
		if o, a, err := s.Standing(t.Context(), epoch); err != nil || o != oldest || a != alone {
			t.Errorf("lease %d: oldest %v, alone %v, %v", epoch, o, a, err)
		}
	}
	stands(0, false, true)
	first, err := s.Acquire(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Acquire(t.Context(), "two")
	if err != nil {
		t.Fatal(err)
	}
	stands(first.Epoch, true, false)
	stands(second.Epoch, false, false)
	if _, err := s.Takeover(t.Context(), first, second.Epoch, 10); err != nil {
		t.Fatal(err)
	}
	stands(first.Epoch, false, true)
	stands(second.Epoch, true, true)
}

func secretNeverChanges(t *testing.T, s DatabaseSubject) {
	second := s.Again(t)
	var wg sync.WaitGroup
	got := make([][]byte, 8)
	for i := range got {
		from := s.Database
		if i%2 == 1 {
			from = second
		}
		wg.Go(func() {
			var err error
			if got[i], err = from.Secret(t.Context(), bytes.Repeat([]byte{byte(i), 0, 0xff}, 11)); err != nil {
				t.Errorf("secret: %v", err)
			}
		})
	}
	wg.Wait()
	for _, secret := range got {
		if len(secret) != 33 || !bytes.Equal(secret, got[0]) {
			t.Errorf("secrets %x and %x", secret, got[0])
		}
	}
}

// verifyPassesWhatTheTableMakes walks purchases through the table of states by
// random events: whatever it does, the invariants hold.
func verifyPassesWhatTheTableMakes(t *testing.T, s DatabaseSubject) {
	seed := rand.Uint64() //nolint:gosec // printed when it matters
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // replayable on purpose
	shop := newShop(t, s)
	// Step by step, so that each commit holds a change of many purchases.
	var walking []purchase.Purchase
	for n := range int64(400) {
		wish := request(n + 1)
		if n%3 == 0 {
			wish.PayerNumber = 22671000000
		}
		c := shop.begin(wish)
		shop.commit(c)
		walking = append(walking, c.Now)
	}
	for range 25 {
		var changes []purchase.Change
		for i := range walking {
			ev := randomEvent(r, &walking[i])
			if r.IntN(4) == 0 {
				ev = purchase.Timer
			}
			c, durable := shop.meet(&walking[i], ev)
			if durable {
				changes = append(changes, c)
			}
			walking[i] = c.Now
		}
		if len(changes) > 0 {
			shop.commit(changes...)
		}
	}
	verified(t, s, dawn)
}

// verifyWhileOthersWrite: a verification sees one moment, not several.
func verifyWhileOthersWrite(t *testing.T, s DatabaseSubject) {
	shop := newShop(t, s)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := int64(1); ; n++ {
			select {
			case <-stop:
				return
			default:
				shop.sell(request(n), charged, credited)
			}
		}
	})
	for range 5 {
		verified(t, s, dawn)
	}
	close(stop)
	wg.Wait()
	verified(t, s, dawn)
}
