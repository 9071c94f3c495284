package house

import (
	"testing"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Of what every adapter must do, that applies which does not rest on a network.
func TestHouse(t *testing.T) {
	keys, err := purchase.NewKeyring(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	var p purchase.Partner = House{}
	refs := map[string]bool{}
	for _, leg := range purchase.Legs {
		o := purchase.Order{Purchase: 1, Leg: leg, Key: keys.Key(1, leg), Try: 1, Account: 22670112233, Amount: money.Amount{Minor: 500, Currency: money.XOF}}
		c := p.Capability(leg)
		first := p.Do(t.Context(), o)
		if pays := leg == purchase.Charge || leg == purchase.Refund; c.Supported != pays {
			t.Errorf("%s: supported %t", leg, c.Supported)
		} else if !pays {
			if first.Kind != purchase.Refused || first.Detail == "" {
				t.Errorf("%s: %+v, want refused", leg, first)
			}
			continue
		}
		if !c.Idempotent || c.KeyLife <= 0 || c.Timeout <= 0 {
			t.Errorf("%s: %+v, want the same key to be one movement", leg, c)
		}
		if first.Kind != purchase.Done || first.Amount != o.Amount || first.Account != o.Account || first.Ref == "" || refs[first.Ref] {
			t.Errorf("%s: %+v, want done, under a reference of its own", leg, first)
		}
		refs[first.Ref] = true
		o.Try = 2
		if again := p.Do(t.Context(), o); again != first {
			t.Errorf("%s: %+v after %+v", leg, again, first)
		}
	}
}
