package purchase_test

import (
	"slices"
	"testing"
	"time"

	"tenu/internal/ledger"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

// taking is a charging system whose credits work and whose reversals behave.
func taking(c purchase.Capability, behave func(*partner, purchase.Order) purchase.Outcome) *partner {
	return newPartner("ocs", c, func(p *partner, o purchase.Order) purchase.Outcome {
		if o.Leg == purchase.Reversal {
			return behave(p, o)
		}
		return p.execute(o)
	})
}

// sold is a purchase for somebody else, credited.
func (n *node) sold() purchase.ID {
	n.t.Helper()
	r := request(1)
	r.Recipient = 22676445566
	intent := n.Buy(n.t.Context(), r)
	n.commit()
	p, _, err := intent.Result(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	n.call("wallet")
	n.call("ocs")
	n.is(p.ID, purchase.Credited, "")
	return p.ID
}

// tries counts the attempts of a leg.
func tries(r *purchase.Record, leg purchase.Leg) (count int) {
	for i := range r.Attempts {
		if r.Attempts[i].Leg == leg {
			count++
		}
	}
	return count
}

// TestReversal takes the units back once, however often it is asked, and gives the
// money back then; both who paid and who had the units are told.
func TestReversal(t *testing.T) {
	wallet, ocs := newPartner("wallet", able, obey), taking(able, obey)
	n := alone(t, wallet, ocs)
	id := n.sold()
	n.wish(id, purchase.WishReversal)
	n.wish(id, purchase.WishReversal)
	p := n.record(id).Purchase
	if p.State != purchase.Credited || !p.Open() {
		t.Fatalf("%s, open %t while the units are being taken back", p.State, p.Open())
	}
	if call := n.call("ocs"); call.Leg != purchase.Reversal || call.Op != purchase.OpDo {
		t.Fatalf("%s %s is asked for", call.Op, call.Leg)
	}
	n.is(id, purchase.Refunding, "")
	n.wish(id, purchase.WishReversal)
	n.call("wallet")
	n.is(id, purchase.Refunded, "")
	n.wish(id, purchase.WishReversal)
	r := n.record(id)
	balances := ledger.Balances{}
	for i := range r.Postings {
		if err := balances.Post(r.Postings[i].Posting); err != nil {
			t.Fatal(err)
		}
	}
	for key, minor := range balances {
		if minor != 0 {
			t.Errorf("%s is left at %d", key.Account, minor)
		}
	}
	if tries(r, purchase.Reversal) != 1 || ocs.count() != 2 || wallet.count() != 2 || len(r.Cases) != 0 {
		t.Errorf("%d attempts, %d and %d movements, cases %v", tries(r, purchase.Reversal), ocs.count(), wallet.count(), r.Cases)
	}
	for fact, to := range map[purchase.Fact]purchase.MSISDN{purchase.FactReversed: r.Purchase.PayerNumber, purchase.FactReclaimed: r.Purchase.Recipient} {
		if !slices.ContainsFunc(r.Notices, func(n purchase.Notice) bool { return n.Fact == fact && n.To == to }) {
			t.Errorf("%s was not told: %v", fact, r.Notices)
		}
	}
}

// TestReversalRefused: the units were spent. The purchase is credited as before, and
// asking again changes nothing.
func TestReversalRefused(t *testing.T) {
	n := alone(t, newPartner("wallet", able, obey), taking(able, barred))
	id := n.sold()
	n.wish(id, purchase.WishReversal)
	n.call("ocs")
	n.is(id, purchase.Credited, "")
	was := n.record(id)
	if was.Purchase.Open() || len(was.Cases) != 0 {
		t.Errorf("open %t, cases %v", was.Purchase.Open(), was.Cases)
	}
	n.wish(id, purchase.WishReversal)
	if n.call("ocs").Op != 0 || n.changes(id) != was.Purchase.Version {
		t.Error("it is tried again")
	}
}

// TestReversalUnknown: a provider that never answers and promises nothing is asked
// once. After the last deadline people have to find out, and later news counts.
func TestReversalUnknown(t *testing.T) {
	ocs := taking(purchase.Capability{Timeout: 10 * time.Second}, silent)
	n := alone(t, newPartner("wallet", able, obey), ocs)
	id := n.sold()
	n.wish(id, purchase.WishReversal)
	n.call("ocs")
	for range 30 {
		n.turn(time.Hour)
		n.wish(id, purchase.WishReversal)
		if call := n.call("ocs"); call.Op != 0 {
			t.Fatalf("%s %s is asked for again", call.Op, call.Leg)
		}
	}
	n.is(id, purchase.Credited, purchase.MatterUnknownReversal)
	if n.record(id).Purchase.Open() {
		t.Error("it still acts")
	}
	n.news(id, purchase.Reversal, purchase.Done, "found", 1000)
	n.is(id, purchase.Refunding, purchase.MatterUnknownReversal)
	n.call("wallet")
	n.is(id, purchase.Refunded, "")
}

// TestReversalResumed: a process that ended while it asked may have sent it. The next
// looks first, and sends the same key.
func TestReversalResumed(t *testing.T) {
	kept, clock := store.NewMemory(), &dial{1_800_000_000_000_000}
	wallet, ocs := newPartner("wallet", able, obey), taking(able, obey)
	a := begin(t, clock, kept, "n", wallet, ocs)
	id := a.sold()
	a.wish(id, purchase.WishReversal)
	x, ok := a.Take("ocs")
	if !ok {
		t.Fatal("nothing is asked for")
	}
	x.Send(t.Context()) // and the process ends
	b := begin(t, clock, kept, "n", wallet, ocs)
	if p := b.Held(); len(p) != 1 || !p[0].Legs[purchase.Reversal].Doubt {
		t.Fatalf("held: %+v", p)
	}
	b.wish(id, purchase.WishReversal)
	b.turn(time.Second)
	if call := b.call("ocs"); call.Op != purchase.OpQuery || call.Leg != purchase.Reversal {
		t.Fatalf("%s %s is asked for", call.Op, call.Leg)
	}
	b.is(id, purchase.Refunding, "")
	if ocs.count() != 2 || tries(b.record(id), purchase.Reversal) != 1 {
		t.Errorf("%d movements", ocs.count())
	}
}

// TestReversalWrong: other units are taken back than were asked for. Nothing is given
// back by itself; it is listed, with a case.
func TestReversalWrong(t *testing.T) {
	n := alone(t, newPartner("wallet", able, obey), taking(able, func(p *partner, o purchase.Order) purchase.Outcome {
		o.Amount.Minor = 400
		return p.execute(o)
	}))
	id := n.sold()
	n.wish(id, purchase.WishReversal)
	n.call("ocs")
	n.is(id, purchase.Credited, purchase.MatterWrongReversal)
	if r := n.record(id); !r.Purchase.Exposed || r.Purchase.Open() {
		t.Errorf("exposed %t, open %t", r.Purchase.Exposed, r.Purchase.Open())
	}
	n.wish(id, purchase.WishReversal)
	if n.call("ocs").Op != 0 {
		t.Error("it is tried again")
	}
}

// TestReversalBesideTheProvidersOwn: the provider cancels the credit by itself while
// it is asked to take it back, and then does that too. The money is given back once,
// and the recipient is owed the second.
func TestReversalBesideTheProvidersOwn(t *testing.T) {
	wallet := newPartner("wallet", able, obey)
	n := alone(t, wallet, taking(purchase.Capability{Timeout: 10 * time.Second}, silent))
	id := n.sold()
	n.wish(id, purchase.WishReversal)
	n.call("ocs")
	n.news(id, purchase.Credit, purchase.Reversed, moved("ocs", id), 1000)
	n.is(id, purchase.Refunding, purchase.MatterCreditReversed)
	n.call("wallet")
	n.is(id, purchase.Refunded, "")
	n.news(id, purchase.Reversal, purchase.Done, "late", 1000)
	n.is(id, purchase.Refunded, purchase.MatterWrongReversal)
	if r := n.record(id); !r.Purchase.Exposed || wallet.count() != 2 {
		t.Errorf("exposed %t, %d movements of the wallet", r.Purchase.Exposed, wallet.count())
	}
}

// TestReversalWaits: one that waits in the provider's queue is not withdrawn because
// the purchase is final, whatever else is heard meanwhile.
func TestReversalWaits(t *testing.T) {
	n := alone(t, newPartner("wallet", able, obey), taking(able, obey))
	id := n.sold()
	n.wish(id, purchase.WishReversal)
	n.news(id, purchase.Charge, purchase.Done, "another", 1050)
	n.is(id, purchase.Credited, purchase.MatterSecondCharge)
	if call := n.call("ocs"); call.Leg != purchase.Reversal {
		t.Fatalf("%s %s is asked for", call.Op, call.Leg)
	}
	n.is(id, purchase.Refunding, "")
}
