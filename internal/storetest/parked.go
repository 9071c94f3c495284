package storetest

import (
	"reflect"
	"testing"

	"tenu/internal/purchase"
)

func parkedWaitForTheOwner(t *testing.T, s Subject) {
	mine, other := newShop(t, s), newShop(t, s)
	other.next = 50
	p, q := mine.sell(request(1)), other.sell(request(50))
	_, want := everything(1)
	full := purchase.Event{Leg: purchase.Charge, Source: purchase.FromCallback, AskedAt: 31, Outcome: want.Evidence[0].Outcome}
	bare := purchase.Event{Leg: purchase.Refund, Source: purchase.FromStatement, Outcome: purchase.Outcome{Kind: purchase.Absent}}
	for i, parked := range []purchase.Parked{{Purchase: p.ID, Event: full}, {Purchase: q.ID, Event: bare}, {Purchase: p.ID, Event: bare}, {Purchase: 999, Event: bare}} {
		parked.At = dawn + purchase.Instant(i)
		if err := s.Park(t.Context(), parked); err != nil {
			t.Fatal(err)
		}
	}
	take := func(limit int) []purchase.Parked {
		t.Helper()
		parked, err := s.TakeParked(t.Context(), mine.epoch, limit)
		if err != nil {
			t.Fatal(err)
		}
		return parked
	}
	got := take(10)
	if len(got) != 2 || got[0].Seq >= got[1].Seq || got[0].Purchase != p.ID || got[0].At != dawn || got[1].At != dawn+2 {
		t.Fatalf("parked for us: %+v", got)
	}
	if !reflect.DeepEqual(got[0].Event, full) || !reflect.DeepEqual(got[1].Event, bare) {
		t.Errorf("parked %+v and %+v, want %+v and %+v", got[0].Event, got[1].Event, full, bare)
	}
	if again := take(1); len(again) != 1 || again[0].Seq != got[0].Seq {
		t.Errorf("taken again with a limit: %+v", again)
	}
	if err := s.Unpark(t.Context(), []int64{got[0].Seq, 12345}); err != nil {
		t.Fatal(err)
	}
	if left := take(10); len(left) != 1 || left[0].Seq != got[1].Seq {
		t.Errorf("after unparking the first: %+v", left)
	}
	if err := s.Unpark(t.Context(), nil); err != nil {
		t.Errorf("unpark nothing: %v", err)
	}
}
