package ucip

import (
	"testing"

	"tenu/internal/fuzztest"
	"tenu/internal/money"
	"tenu/internal/partner"
	"tenu/internal/partner/ucip/xmlrpc"
	"tenu/internal/purchase"
)

// What a hostile server answers is never more than Unknown unless it says, in
// full and for our transaction, what it moved.
func FuzzAnswer(f *testing.F) {
	p, err := New(Config{Name: "air", URL: "http://127.0.0.1:1/", HostName: "tenu", Currency: money.XOF, Profile: "AIR",
		Bundles: map[string]Bundle{"data": {Profile: "D", Account: 21, Value: 1024, Unit: "MB"}}}, nil, clock{}.Now)
	if err != nil {
		f.Fatal(err)
	}
	order := func(bundle bool, leg purchase.Leg) purchase.Order {
		return purchase.Order{Purchase: 1, Leg: leg, Key: keyring.Key(1, leg), Try: 1, Account: line,
			Amount: money.Amount{Minor: 9_999_999, Currency: money.XOF}, Product: "data", Bundle: bundle}
	}
	account := func(main, data string) xmlrpc.Struct {
		return xmlrpc.Struct{"accountValue1": main, "dedicatedAccountInformation": []any{
			xmlrpc.Struct{"dedicatedAccountID": 21, "dedicatedAccountValue1": data}}}
	}
	for _, members := range []xmlrpc.Struct{
		{"responseCode": 0, "currency1": "XOF", "accountBeforeRefill": account("5000", "0"), "accountAfterRefill": account("6000", "1024"), "masterAccountNumber": "22670112233"},
		{"responseCode": 0, "accountBeforeRefill": account("-999999999999999999", "-999999999999999999"),
			"accountAfterRefill": account("-999999999999999999", "999999999999999999")},
		{"responseCode": 0, "accountBeforeRefill": account("-999999999999999999", "0"), "accountAfterRefill": account("999999999999999999", "0")},
		{"responseCode": 2, "accountValue1": "-5", "currency1": "XAF"},
		{"responseCode": 999},
		{"responseCode": 0, "accountValue1": "1", "supervisionExpiryDate": "x"},
	} {
		members["originTransactionID"] = keyring.Key(1, purchase.Credit).Digits()
		body, err := xmlrpc.Response(members)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body, false)
		f.Add(body, true)
	}
	f.Fuzz(func(t *testing.T, body []byte, bundle bool) {
		if _, err := parseAnswer(body, nil); err != nil {
			fuzztest.NoNumber(t, partner.Detail(err.Error()))
		}
		for _, leg := range purchase.Legs {
			o := order(bundle, leg)
			a, err := parseAnswer(body, o.Key.Digits())
			if err != nil {
				continue
			}
			_, _ = p.balances(a.members) // an error, never a panic
			r, refusal := p.plan(&o)
			if refusal != nil {
				t.Fatalf("refused: %+v", refusal)
			}
			got := p.outcome(&o, r, a)
			checkOutcome(t, &got)
			if got.Kind == purchase.Done && (a.code < 0 || a.code > 2) {
				t.Errorf("code %d is taken for success", a.code)
			}
			if got.Kind != purchase.Done || leg != purchase.Credit || got.Amount != o.Amount || got.Product != o.Product {
				continue
			}
			before, _ := a.members["accountBeforeRefill"].(xmlrpc.Struct)
			after, _ := a.members["accountAfterRefill"].(xmlrpc.Struct)
			if !bundle {
				if gained, err := gain(before["accountValue1"], after["accountValue1"]); err != nil || gained != o.Amount.Minor {
					t.Errorf("taken for proof: %d, %v", gained, err)
				}
				continue
			}
			was, _ := dedicated(before)
			if is, err := dedicated(after); err != nil || is[21]-was[21] != 1024 {
				t.Errorf("taken for proof: %d to %d, %v", was[21], is[21], err)
			}
		}
	})
}

func checkOutcome(t *testing.T, o *purchase.Outcome) {
	t.Helper()
	fuzztest.NoNumber(t, o.Detail)
	if o.Kind == purchase.Done && (o.Amount.Minor < 0 || o.Account < 0 || len(o.Product) > 64 || len(o.Detail) > purchase.MaxDetail) {
		t.Errorf("%+v", o)
	}
}

func TestPart(t *testing.T) {
	for _, c := range []struct{ amount, gained, whole, want int64 }{
		{500, 1024, 1024, 500}, {500, 512, 1024, 250}, {500, 2048, 1024, 1000}, {500, 1023, 1024, 499}, {500, 1025, 1024, 501},
		{1, 1, 1024, 0}, {1, 1025, 1024, 2}, {9_999_999, 999_999_999_999_999_999, 1, maxAmount},
	} {
		if got := part(c.amount, c.gained, c.whole); got != c.want {
			t.Errorf("%d of %d for %d: %d, want %d", c.gained, c.whole, c.amount, got, c.want)
		}
	}
}
