package main

import (
	"errors"
	"strings"
	"testing"

	"tenu/internal/care"
	"tenu/internal/partner/house"
	"tenu/internal/purchase"
	"tenu/internal/sale"
	"tenu/internal/store"
)

// The house's gift is a purchase like any other: credited, told as a gift, in balanced books, once per request.
func TestGoodwill(t *testing.T) {
	s := startSite(t, nil)
	n := s.node
	about, _, err := n.desk.Buy(t.Context(), sale.Wish{Client: "app", ClientKey: "about", Channel: "app", Language: "en", Number: "70112233", Product: "airtime", Amount: "1000"})
	if err != nil {
		t.Fatal(err)
	}
	g := goodwill{n.desk, n.store}
	r := care.Request{ID: 7, Kind: care.AskGoodwill, Purchase: about.ID, Number: about.PayerNumber, Recipient: about.PayerNumber, Amount: 500}
	id, err := g.Give(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := g.Give(t.Context(), r); err != nil || again != id {
		t.Errorf("given again: %d, %v, want %d", again, err, id)
	}
	updates, stop := n.engine.Watch(id)
	defer stop()
	for {
		records, err := n.store.Load(t.Context(), id)
		if err != nil || len(records) != 1 {
			t.Fatalf("%+v, %v", records, err)
		}
		got := &records[0]
		if !got.Purchase.State.Final() {
			<-updates
			continue
		}
		if p := &got.Purchase; p.State != purchase.Credited || p.Payer != house.Name || p.Client != "care" || p.Fee != 0 || p.Units != 500 {
			t.Errorf("%+v", p)
		}
		if len(got.Notices) != 1 || !strings.HasPrefix(got.Notices[0].Text, "Goodwill: ") {
			t.Errorf("told %+v", got.Notices)
		}
		break
	}
	if found, err := n.store.Verify(t.Context(), store.Verification{}); err != nil || len(found) != 0 {
		t.Errorf("the books: %+v, %v", found, err)
	}
	for name, change := range map[string]func(*care.Request){
		"another price":    func(r *care.Request) { r.Product = "data-day" },
		"no such product":  func(r *care.Request) { r.Product = "gone" },
		"no such purchase": func(r *care.Request) { r.Purchase = 12345 },
		"too much":         func(r *care.Request) { r.Amount = 100_000_000 },
	} {
		bad := r
		bad.ID = 8
		change(&bad)
		if _, err := g.Give(t.Context(), bad); !errors.Is(err, care.ErrRefused) {
			t.Errorf("%s: %v, want it to be refused for good", name, err)
		}
	}
}
