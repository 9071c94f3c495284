package sale_test

import (
	"errors"
	"strings"
	"testing"

	"tenu/internal/catalogue"
	"tenu/internal/partner/house"
	"tenu/internal/purchase"
	"tenu/internal/sale"
)

func gift(key, product string, amount int64) sale.Gift {
	return sale.Gift{Client: "care", ClientKey: key, Channel: "care", Language: "fr", Number: 22676000001, Product: product, Amount: amount, Payer: house.Name}
}

// The house pays, without a fee and without a wallet, once per key.
func TestGive(t *testing.T) {
	s := open(t)
	for _, c := range []struct {
		gift    sale.Gift
		product string
	}{{gift("goodwill-1", "", 200), "airtime"}, {gift("goodwill-2", "data", 500), "data"}} {
		p, err := s.Give(t.Context(), c.gift)
		if err != nil {
			t.Fatal(err)
		}
		r := s.settled(t, p.ID)
		got := &r.Purchase
		if got.State != purchase.Credited || got.Payer != house.Name || got.Provider != "ocs" || got.Product != c.product ||
			got.Fee != 0 || got.Total != c.gift.Amount || got.Units != c.gift.Amount || got.PayerNumber != 22676000001 || got.Recipient != 22676000001 {
			t.Errorf("got %+v", got)
		}
		if len(r.Notices) != 1 || !strings.HasPrefix(r.Notices[0].Text, "Geste commercial") {
			t.Errorf("told %+v", r.Notices)
		}
		if again, err := s.Give(t.Context(), c.gift); err != nil || again.ID != p.ID {
			t.Errorf("given again: %d, %v, want %d", again.ID, err, p.ID)
		}
	}
	if len(s.wallet.orders) != 0 {
		t.Errorf("a wallet was asked: %+v", s.wallet.orders)
	}
	// What is not sold any more was given all the same.
	if err := s.SetCatalogue(parse(t, strings.Replace(goods, "code: data\n", "code: other\n", 1))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Give(t.Context(), gift("goodwill-2", "data", 500)); err != nil {
		t.Errorf("given again after the catalogue changed: %v", err)
	}
}

// A gift may name who credits, of those that can.
func TestGiveThrough(t *testing.T) {
	s := open(t)
	g := gift("canary-1", "", 200)
	g.Provider = "spare"
	p, err := s.Give(t.Context(), g)
	if err != nil || p.Provider != "spare" {
		t.Fatalf("%+v, %v", p, err)
	}
	if r := s.settled(t, p.ID); r.Purchase.State != purchase.Credited || r.Purchase.Provider != "spare" {
		t.Errorf("got %+v", r.Purchase)
	}
	g.ClientKey, g.Provider = "canary-2", "hub"
	if _, err := s.Give(t.Context(), g); !errors.Is(err, catalogue.ErrOperator) {
		t.Errorf("through another operator's provider: %v", err)
	}
	if len(s.ocs.orders) != 0 {
		t.Error("the first provider was asked")
	}
}

func TestGiveRefuses(t *testing.T) {
	s := open(t)
	for name, c := range map[string]struct {
		gift sale.Gift
		want error
	}{
		"key":      {gift("", "", 200), sale.ErrKey},
		"price":    {gift("a", "data", 499), catalogue.ErrPrice},
		"product":  {gift("b", "gone", 499), catalogue.ErrProduct},
		"line":     {gift("c", "voice", 300), catalogue.ErrOperator},
		"above":    {gift("d", "", 1_000_000), catalogue.ErrAbove},
		"negative": {gift("e", "", -200), catalogue.ErrNegative},
		"bundle":   {gift("f", "data", 0), catalogue.ErrZero},
	} {
		var problem *sale.Problem
		if _, err := s.Give(t.Context(), c.gift); !errors.Is(err, c.want) || !errors.As(err, &problem) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if _, err := s.Give(t.Context(), gift("g", "", 200)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Give(t.Context(), gift("g", "", 250)); !errors.Is(err, purchase.ErrKeyConflict) {
		t.Errorf("another gift under the same key: %v", err)
	}
}
