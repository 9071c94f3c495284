package storetest

import (
	"reflect"
	"slices"
	"testing"

	"tenu/internal/ledger"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

// everything is a purchase in two changes, with a value in each field that a
// store keeps.
func everything(epoch int64) (changes [2]purchase.Change, want purchase.Record) {
	charged := money.Amount{Minor: 1050, Currency: money.XOF}
	p := purchase.Purchase{ID: purchase.MakeID(3, 70), Version: 1, Epoch: epoch, State: purchase.Charging, DueAt: 18, CreatedAt: 11, Salt: [16]byte{1, 15: 2},
		Request: purchase.Request{Client: "client", ClientKey: "key", Digest: [16]byte{9, 8, 7, 15: 1}, Channel: "app", Language: "fr",
			PayerNumber: 22670112233, Recipient: 22676445566, Payer: "wallet", Provider: "ocs", Product: "day-pass", Offer: 7,
			Bundle: true, Total: 1050, Fee: 50, Units: 1000, Currency: money.XOF, Again: true}}
	changes[0] = purchase.Change{Now: p, Attempt: &purchase.Attempt{Leg: purchase.Charge, Try: 1, Partner: "wallet", At: 21}}
	p.Version, p.State, p.Provider = 2, purchase.Refunding, "ocs2"
	p.ChargedAt, p.ClosedAt, p.DeliverBy, p.ResolveBy, p.RefundBy, p.WatchTill, p.DueAt = 12, 13, 14, 15, 16, 17, 19
	p.Charged, p.Held, p.Orphan, p.Exposed, p.Unproven = charged, 1050, true, true, true
	p.Told = p.Told.With(purchase.FactCredited).With(purchase.FactRefundUndone)
	p.Legs[purchase.Charge].Closed = true
	p.Legs[purchase.Credit].Doubt, p.Legs[purchase.Credit].Closed = true, true
	p.Legs[purchase.Refund].Doubt, p.Legs[purchase.Refund].Acknowledged = true, true
	changes[1] = purchase.Change{Now: p, WasEpoch: epoch,
		Attempt: &purchase.Attempt{Leg: purchase.Refund, Try: 1, Partner: "wallet", At: 22},
		Evidence: &purchase.Evidence{Version: 2, Leg: purchase.Charge, Source: purchase.FromCallback, Partner: "wallet", At: 23,
			Outcome: purchase.Outcome{Kind: purchase.Done, Ref: "MP-1", Amount: charged, Account: 22670112233, Product: "day-pass",
				Balance: 4242, HasBalance: true, Reason: purchase.ReasonOther, Detail: "détail"}},
		Postings: []purchase.Posting{{Leg: purchase.Charge, Effect: purchase.EffectPrincipal, At: 24,
			Posting: ledger.Posting{Debit: "wallet/wallet", Credit: "orphans/wallet", Amount: charged}}},
		Notices: []purchase.Notice{{Purchase: p.ID, Fact: purchase.FactChargedLate, To: 22670112233, Language: "fr", Text: "Débité", At: 25, SentAt: 26}},
		Cases:   []purchase.Case{{Matter: purchase.MatterLateCredit, At: 27}, {Matter: purchase.MatterOrphanCharge, At: 27}}}
	p.Legs[purchase.Charge].Tries, p.Legs[purchase.Charge].FirstAt, p.Legs[purchase.Charge].LastAt = 1, 21, 21
	p.Legs[purchase.Charge].Done, p.Legs[purchase.Charge].Ref, p.Legs[purchase.Charge].Account = true, "MP-1", 22670112233
	p.Legs[purchase.Refund].Tries, p.Legs[purchase.Refund].FirstAt, p.Legs[purchase.Refund].LastAt = 1, 22, 22
	p.Posted = p.Posted.With(purchase.Charge, purchase.EffectPrincipal)
	p.Opened = p.Opened.With(purchase.MatterLateCredit).With(purchase.MatterOrphanCharge)
	changes[1].Now = p // a store that derives these must derive the same
	return changes, purchase.Record{Purchase: p, Attempts: []purchase.Attempt{*changes[0].Attempt, *changes[1].Attempt},
		Evidence: []purchase.Evidence{*changes[1].Evidence}, Postings: changes[1].Postings, Notices: changes[1].Notices, Cases: changes[1].Cases}
}

func loadReturnsEveryField(t *testing.T, s Subject) {
	shop := newShop(t, s)
	changes, want := everything(shop.epoch)
	for _, name := range empty(reflect.ValueOf(want), "Record") {
		// What is only remembered in memory, and what no leg of this purchase has.
		if !slices.Contains([]string{"Record.Purchase.ActAt", "Record.Purchase.Resumed", "Record.Purchase.Skew", "Record.Purchase.Legs"}, name) {
			t.Errorf("this test leaves %s empty", name)
		}
	}
	shop.commit(changes[0])
	shop.commit(changes[1])
	if got := load(t, s, want.Purchase.ID); !reflect.DeepEqual(got, want) {
		t.Errorf("loaded\n%+v, stored\n%+v", got, want)
	}
	// The same from a list, which does not look at the other tables.
	listed, err := s.List(t.Context(), purchase.Page{Number: 22670112233, Limit: 2})
	if err != nil || len(listed) != 1 {
		t.Fatalf("listed %d, %v", len(listed), err)
	}
	if got := quoted(listed[0]); got != quoted(want.Purchase) {
		t.Errorf("listed\n%+v, stored\n%+v", got, quoted(want.Purchase))
	}
}

// quoted is a purchase without what follows from its record.
func quoted(p purchase.Purchase) purchase.Purchase {
	p.Posted, p.Opened = 0, 0
	for leg := range p.Legs {
		l := &p.Legs[leg]
		*l = purchase.LegState{Doubt: l.Doubt, Closed: l.Closed, Acknowledged: l.Acknowledged}
	}
	return p
}

// empty names the fields that have their zero value.
func empty(v reflect.Value, name string) (fields []string) {
	switch {
	case v.Kind() == reflect.Slice && v.Len() > 0:
		return empty(v.Index(0), name)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Anonymous {
				fields = append(fields, empty(v.Field(i), name)...)
			} else {
				fields = append(fields, empty(v.Field(i), name+"."+f.Name)...)
			}
		}
		return fields
	case v.IsZero():
		return []string{name}
	}
	return nil
}

func loadOrdersAndSkips(t *testing.T, s Subject) {
	shop := newShop(t, s)
	a, b := shop.sell(request(1), charged, credited), shop.sell(request(2), charged, refused, refunded)
	records, err := s.Load(t.Context(), b.ID, 12345, a.ID, b.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 2 || records[0].Purchase.ID != a.ID || records[1].Purchase.ID != b.ID {
		t.Fatalf("loaded %+v", records)
	}
	for _, r := range records {
		b := ledger.Balances{}
		balances(t, &r, b)
		if b[ledger.Key{Account: ledger.Held, Currency: money.XOF}] != 0 {
			t.Errorf("purchase %d still holds money: %v", r.Purchase.ID, b)
		}
		for i := 1; i < len(r.Evidence); i++ {
			if r.Evidence[i-1].Version >= r.Evidence[i].Version {
				t.Errorf("evidence out of order: %+v", r.Evidence)
			}
		}
	}
	if legs := records[1].Purchase.Legs; !legs[purchase.Charge].Done || legs[purchase.Credit].Done || !legs[purchase.Refund].Done {
		t.Errorf("legs %+v", legs)
	}
	if records, err := s.Load(t.Context()); err != nil || len(records) != 0 {
		t.Errorf("load of nothing: %d, %v", len(records), err)
	}
}

func loadOpenPages(t *testing.T, s Subject) {
	shop := newShop(t, s)
	var open []purchase.ID
	for n := range int64(7) {
		p := shop.sell(request(n+1), charged)
		if n%3 == 2 {
			shop.drive(p, credited)
			continue
		}
		open = append(open, p.ID)
	}
	other := newShop(t, s)
	other.next = 100
	other.sell(request(100))
	var got []purchase.ID
	for after := purchase.ID(0); ; {
		records, err := s.LoadOpen(t.Context(), shop.epoch, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for i := range records {
			got = append(got, records[i].Purchase.ID)
			if len(records[i].Attempts) != 2 {
				t.Errorf("%d attempts with %d", len(records[i].Attempts), records[i].Purchase.ID)
			}
		}
		if len(records) < 2 {
			break
		}
		after = got[len(got)-1]
	}
	if !slices.Equal(got, open) {
		t.Errorf("open are %v, want %v", got, open)
	}
}

func listPages(t *testing.T, s Subject) {
	shop := newShop(t, s)
	const customer, friend = 22670000001, 22670000002
	var want []purchase.ID
	for n := range int64(9) {
		r := request(n + 10)
		r.PayerNumber, r.Recipient = customer, customer
		switch n % 3 {
		case 1:
			r.Recipient = friend // paid for a friend
		case 2:
			r.PayerNumber = friend // paid by a friend
		}
		if n >= 6 {
			r.Client = "ussd"
		}
		want = append(want, shop.sell(r).ID)
	}
	shop.sell(request(90))
	slices.Reverse(want)
	for _, page := range []struct {
		client string
		want   []purchase.ID
	}{{"", want}, {"ussd", want[:3]}, {"app", want[3:]}, {"api", nil}} {
		var got []purchase.ID
		for before := purchase.ID(0); ; before = got[len(got)-1] {
			listed, err := s.List(t.Context(), purchase.Page{Number: customer, Client: page.client, Before: before, Limit: 2})
			if err != nil {
				t.Fatal(err)
			}
			for i := range listed {
				got = append(got, listed[i].ID)
			}
			if len(listed) == 0 {
				break
			}
		}
		if !slices.Equal(got, page.want) {
			t.Errorf("client %q: %v, want %v", page.client, got, page.want)
		}
	}
}
