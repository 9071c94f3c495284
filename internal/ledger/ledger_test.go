package ledger

import (
	"math"
	"testing"

	"tenu/internal/money"
)

func TestPost(t *testing.T) {
	b := Balances{}
	ok := Posting{Debit: Wallet("moov"), Credit: Held, Amount: money.Amount{Minor: 1050, Currency: money.XOF}}
	if err := b.Post(ok); err != nil {
		t.Fatal(err)
	}
	if b[Key{Held, money.XOF}] != -1050 || b[Key{Wallet("moov"), money.XOF}] != 1050 {
		t.Errorf("balances %v", b)
	}
	full := Balances{{Held, money.XOF}: math.MinInt64}
	for name, tc := range map[string]struct {
		b Balances
		p Posting
	}{
		"zero":         {b, Posting{Held, Wallet("x"), money.Amount{Minor: 0, Currency: money.XOF}}},
		"negative":     {b, Posting{Held, Wallet("x"), money.Amount{Minor: -1, Currency: money.XOF}}},
		"same account": {b, Posting{Held, Held, money.Amount{Minor: 1, Currency: money.XOF}}},
		"no account":   {b, Posting{"", Held, money.Amount{Minor: 1, Currency: money.XOF}}},
		"no currency":  {b, Posting{Held, Wallet("x"), money.Amount{Minor: 1}}},
		"overflow":     {full, ok},
	} {
		before := tc.b[Key{Held, money.XOF}]
		if err := tc.b.Post(tc.p); err == nil {
			t.Errorf("%s: posted", name)
		}
		if tc.b[Key{Held, money.XOF}] != before {
			t.Errorf("%s: balances changed", name)
		}
	}
}
