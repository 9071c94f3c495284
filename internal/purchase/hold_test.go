package purchase_test

import (
	"testing"
	"time"

	"tenu/internal/purchase"
)

// While what is stuck is held its partner is not asked about it, new sales go on, and deadlines hold.
func TestHoldStuck(t *testing.T) {
	wallet, ocs := newPartner("wallet", able, obey), newPartner("ocs", able, silent)
	n := alone(t, wallet, ocs)
	buy := func(i int) purchase.ID {
		t.Helper()
		intent := n.Buy(t.Context(), request(i))
		n.commit()
		p, _, err := intent.Result(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return p.ID
	}
	if n.HoldStuck("nobody", true) {
		t.Error("a partner that there is not was held")
	}
	asked, waiting := buy(1), buy(2)
	for range 2 {
		n.call("wallet")
		n.call("ocs")
	}
	n.turn(time.Minute) // both wait to be asked about
	if !n.HoldStuck("ocs", true) {
		t.Error("the partner was not held")
	}
	for range 30 {
		n.turn(10 * time.Second)
		if call := n.call("ocs"); call.Op != 0 {
			t.Fatalf("%s %s is asked for all the same", call.Op, call.Leg)
		}
	}
	ocs.behave = obey
	sold := buy(3)
	n.call("wallet")
	n.call("ocs")
	n.is(sold, purchase.Credited, "")
	for _, id := range []purchase.ID{asked, waiting} {
		if r := n.record(id); r.Purchase.State != purchase.Crediting || r.Purchase.Legs[purchase.Credit].Tries != 1 {
			t.Errorf("purchase %d is %s after %d tries", id, r.Purchase.State, r.Purchase.Legs[purchase.Credit].Tries)
		}
	}
	// What is let go on is asked about within its backoff.
	n.HoldStuck("ocs", false)
	n.turn(time.Minute)
	if call := n.call("ocs"); call.Op != purchase.OpQuery {
		t.Errorf("%v is asked for, want a query", call)
	}
	// At the deadline the money goes back, held or not.
	n.HoldStuck("ocs", true)
	for range 26 {
		n.turn(time.Hour)
		n.call("wallet")
	}
	for _, id := range []purchase.ID{asked, waiting} {
		if r := n.record(id); !r.Purchase.State.Final() {
			t.Errorf("purchase %d is %s past its deadline", id, r.Purchase.State)
		}
	}
}
