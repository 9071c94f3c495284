package storetest

import (
	"errors"
	"testing"

	"tenu/internal/purchase"
)

func clientKeyIsUnique(t *testing.T, s Subject) {
	shop := newShop(t, s)
	first := shop.sell(request(1))
	again := shop.begin(request(1))
	otherClient := request(1)
	otherClient.Client = "ussd"
	got := shop.try(again, shop.begin(otherClient), shop.begin(request(2)))
	want := []purchase.Verdict{{Result: purchase.KeyTaken, Other: first.ID}, {Result: purchase.Written}, {Result: purchase.Written}}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("verdict %d: %+v, want %+v", i, got[i], want[i])
		}
	}
	if id, err := s.FindKey(t.Context(), "app", "key-1"); err != nil || id != first.ID {
		t.Errorf("the key belongs to %d (%v), want %d", id, err, first.ID)
	}
	if _, err := s.FindKey(t.Context(), "app", "key-9"); !errors.Is(err, purchase.ErrNotFound) {
		t.Errorf("an unknown key: %v", err)
	}
	if records, err := s.Load(t.Context(), again.Now.ID); err != nil || len(records) != 0 {
		t.Errorf("the second purchase under the key left a trace, or %v", err)
	}
}

func clientKeyIsUniqueInABatch(t *testing.T, s Subject) {
	shop := newShop(t, s)
	a, b, c := shop.begin(request(1)), shop.begin(request(1)), shop.begin(request(1))
	got := shop.try(a, b, c)
	want := []purchase.Verdict{{Result: purchase.Written}, {Result: purchase.KeyTaken, Other: a.Now.ID}, {Result: purchase.KeyTaken, Other: a.Now.ID}}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("verdict %d: %+v, want %+v", i, got[i], want[i])
		}
	}
}

// like is a purchase that repeats request(1) under a key of its own.
func like(n int64) purchase.Request {
	r := request(n)
	r.PayerNumber, r.Recipient = request(1).PayerNumber, request(1).Recipient
	return r
}

func repeatIsHeldBack(t *testing.T, s Subject) {
	shop := newShop(t, s)
	first := shop.sell(request(1))
	gone := request(50)
	shop.sell(gone, declined)
	for _, c := range []struct {
		name    string
		request purchase.Request
		since   purchase.Instant
		want    purchase.Verdict
	}{
		{"like", like(2), first.CreatedAt, purchase.Verdict{Result: purchase.Repeat, Other: first.ID}},
		{"no check", like(3), 0, purchase.Verdict{Result: purchase.Written}},
		{"before window", like(4), first.CreatedAt + 10_000_000, purchase.Verdict{Result: purchase.Written}},
		{"other payer", with(like(5), func(r *purchase.Request) { r.PayerNumber++ }), first.CreatedAt, purchase.Verdict{Result: purchase.Written}},
		{"other recipient", with(like(6), func(r *purchase.Request) { r.Recipient++ }), first.CreatedAt, purchase.Verdict{Result: purchase.Written}},
		{"other product", with(like(7), func(r *purchase.Request) { r.Product = "sms100" }), first.CreatedAt, purchase.Verdict{Result: purchase.Written}},
		{"other total", with(like(8), func(r *purchase.Request) { r.Total++ }), first.CreatedAt, purchase.Verdict{Result: purchase.Written}},
		{"like a declined", with(gone, func(r *purchase.Request) { r.ClientKey = "key-51" }), first.CreatedAt, purchase.Verdict{Result: purchase.Written}},
	} {
		change := shop.begin(c.request)
		change.RepeatSince = c.since
		got := shop.try(change)[0]
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func with(r purchase.Request, change func(*purchase.Request)) purchase.Request {
	change(&r)
	return r
}

func repeatIsHeldBackInABatch(t *testing.T, s Subject) {
	shop := newShop(t, s)
	taken := shop.sell(request(9))
	// The first of the batch is not written, so it makes no repeat of the second.
	a := shop.begin(like(9))
	b, c, d := shop.begin(like(2)), shop.begin(like(3)), shop.begin(like(4))
	for _, change := range []*purchase.Change{&a, &b, &c} {
		change.RepeatSince = dawn
	}
	got := shop.try(a, b, c, d)
	want := []purchase.Verdict{{Result: purchase.KeyTaken, Other: taken.ID}, {Result: purchase.Written},
		{Result: purchase.Repeat, Other: b.Now.ID}, {Result: purchase.Written}}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("verdict %d: %+v, want %+v", i, got[i], want[i])
		}
	}
}

// repeatLeavesItsKeyFree: what is not written takes nothing, its client key
// included, from a change behind it.
func repeatLeavesItsKeyFree(t *testing.T, s Subject) {
	shop := newShop(t, s)
	first, repeat, third := shop.begin(request(1)), shop.begin(like(2)), shop.begin(request(3))
	repeat.RepeatSince = dawn
	third.Now.ClientKey = repeat.Now.ClientKey
	got := shop.try(first, repeat, third)
	want := []purchase.Verdict{{Result: purchase.Written}, {Result: purchase.Repeat, Other: first.Now.ID}, {Result: purchase.Written}}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("verdict %d: %+v, want %+v", i, got[i], want[i])
		}
	}
}

// replayIsNoRepeat: the same client key again is the same purchase, although a
// like one is recent: itself.
func replayIsNoRepeat(t *testing.T, s Subject) {
	shop := newShop(t, s)
	first := shop.sell(request(1))
	again := shop.begin(request(1))
	again.RepeatSince = dawn
	if got := shop.try(again)[0]; got.Result != purchase.KeyTaken || got.Other != first.ID {
		t.Errorf("alone: %+v, want the key taken by %d", got, first.ID)
	}
	// In a batch behind one that it repeats as well.
	ahead := shop.begin(like(2))
	again = shop.begin(request(1))
	again.RepeatSince = dawn
	got := shop.try(ahead, again)
	if got[0].Result != purchase.Written || got[1].Result != purchase.KeyTaken || got[1].Other != first.ID {
		t.Errorf("in a batch: %+v", got)
	}
}
