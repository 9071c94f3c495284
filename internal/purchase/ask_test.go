package purchase_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/store"
)

// wish asks, and makes what comes of it durable.
func (n *node) wish(id purchase.ID, w purchase.Wish) {
	n.t.Helper()
	heard := false
	err := n.Ask(n.t.Context(), id, w, func(err error) {
		if heard = err == nil; err != nil {
			n.t.Errorf("%s: %v", w, err)
		}
	})
	n.commit()
	if err != nil || !heard {
		n.t.Errorf("%s: heard %t, %v", w, heard, err)
	}
}

// changes is the purchase's version: it counts what became durable.
func (n *node) changes(id purchase.ID) int64 { return n.record(id).Purchase.Version }

// TestAskRefundOfACreditThatWaits: a credit that still waits in the partner's queue
// is taken back, and the money returned at once.
func TestAskRefundOfACreditThatWaits(t *testing.T) {
	ocs := newPartner("ocs", able, obey)
	n := alone(t, newPartner("wallet", able, obey), ocs)
	id := n.buy()
	n.call("wallet")
	n.wish(id, purchase.WishRefund)
	n.is(id, purchase.Refunding, "")
	if call := n.call("ocs"); call.Op != 0 {
		t.Errorf("%s %s is asked for all the same", call.Op, call.Leg)
	}
	n.call("wallet")
	n.is(id, purchase.Refunded, "")
	if ocs.count() != 0 || len(n.record(id).Cases) != 0 || n.record(id).Purchase.Unproven {
		t.Errorf("%d credits, cases %v", ocs.count(), n.record(id).Cases)
	}
}

// TestAskRefundWhileTheCreditIsUnderWay: nothing may be given back while the credit
// is being asked for; its answer counts.
func TestAskRefundWhileTheCreditIsUnderWay(t *testing.T) {
	n := alone(t, newPartner("wallet", able, obey), newPartner("ocs", able, obey))
	id := n.buy()
	n.call("wallet")
	x, ok := n.Take("ocs")
	if !ok {
		t.Fatal("no credit is asked for")
	}
	was := n.changes(id)
	n.wish(id, purchase.WishRefund)
	n.wish(id, purchase.WishCredit)
	n.wish(id, purchase.WishAnswer)
	if n.changes(id) != was {
		t.Error("a wish changed something while a call was under way")
	}
	x.Answer(x.Send(t.Context()))
	n.commit()
	n.is(id, purchase.Credited, "")
	n.wish(id, purchase.WishRefund)
	n.is(id, purchase.Credited, "")
}

// TestAskRefundOfADoubt: what nothing can prove is given back at the operator's
// risk, listed and with a case, and once.
func TestAskRefundOfADoubt(t *testing.T) {
	wallet := newPartner("wallet", able, obey)
	n := alone(t, wallet, newPartner("ocs", purchase.Capability{Timeout: 10 * time.Second}, silent))
	id := n.buy()
	n.call("wallet")
	n.call("ocs")
	n.wish(id, purchase.WishRefund)
	n.is(id, purchase.Refunding, purchase.MatterUnproven)
	was := n.changes(id)
	n.wish(id, purchase.WishRefund)
	if n.changes(id) != was {
		t.Error("the second wish changed something")
	}
	n.call("wallet")
	n.is(id, purchase.Refunded, purchase.MatterUnproven)
	n.wish(id, purchase.WishRefund)
	n.call("wallet")
	if r := n.record(id); !r.Purchase.Exposed || len(r.Cases) != 1 || wallet.count() != 2 {
		t.Errorf("exposed %t, cases %v, %d movements of the wallet", r.Purchase.Exposed, r.Cases, wallet.count())
	}
}

// TestAskRefundOfWhatCanBeCancelled: the key is cancelled first, and that proves it.
func TestAskRefundOfWhatCanBeCancelled(t *testing.T) {
	c := able
	c.Tombstone = true
	n := alone(t, newPartner("wallet", able, obey), newPartner("ocs", c, silent))
	id := n.buy()
	n.call("wallet")
	n.call("ocs")
	n.wish(id, purchase.WishRefund)
	n.is(id, purchase.Crediting, "")
	if call := n.call("ocs"); call.Op != purchase.OpCancel {
		t.Fatalf("%s is asked for, want the cancellation", call.Op)
	}
	n.is(id, purchase.Refunding, "")
	if n.record(id).Purchase.Unproven {
		t.Error("the refund counts as unproven")
	}
}

// TestAskAnswerAndCredit: the partner is asked again at once, and the credit sent
// again under its key, as often as is asked, and credits once.
func TestAskAnswerAndCredit(t *testing.T) {
	tries := 0
	ocs := newPartner("ocs", able, func(p *partner, o purchase.Order) purchase.Outcome {
		if tries++; tries < 3 {
			return purchase.Outcome{Kind: purchase.Unknown}
		}
		return p.execute(o)
	})
	n := alone(t, newPartner("wallet", able, obey), ocs)
	id := n.buy()
	n.call("wallet")
	n.call("ocs")
	n.wish(id, purchase.WishAnswer)
	n.wish(id, purchase.WishAnswer)
	if call := n.call("ocs"); call.Op != purchase.OpQuery {
		t.Fatalf("%s is asked for, want the query", call.Op)
	}
	for n.call("ocs").Op != 0 { // absent: it is tried again
		continue
	}
	for range 3 {
		n.wish(id, purchase.WishCredit)
	}
	for n.call("ocs").Op != 0 {
		continue
	}
	n.is(id, purchase.Credited, "")
	if r := n.record(id); len(r.Attempts) != 4 || ocs.count() != 1 {
		t.Errorf("%d attempts, %d credits", len(r.Attempts), ocs.count())
	}
}

// TestAskElsewhere: a wish is kept for the node that owns the purchase, and nobody
// else's purchase is found.
func TestAskElsewhere(t *testing.T) {
	kept, clock := store.NewMemory(), &dial{1_800_000_000_000_000}
	partners := func() []*partner {
		return []*partner{newPartner("wallet", able, obey), newPartner("ocs", purchase.Capability{}, silent)}
	}
	a := begin(t, clock, kept, "a", partners()...)
	b := begin(t, clock, kept, "b", partners()...)
	id := a.buy()
	a.call("wallet")
	a.call("ocs")
	b.wish(id, purchase.WishRefund)
	b.wish(id, purchase.WishRefund)
	a.is(id, purchase.Crediting, "")
	a.turn(time.Second)
	a.is(id, purchase.Refunding, purchase.MatterUnproven)
	a.turn(time.Second)
	a.turn(time.Second)
	if left, err := kept.TakeParked(t.Context(), 1, 10); err != nil || len(left) != 0 {
		t.Errorf("%v are still kept, %v", left, err)
	}
	err := b.Ask(t.Context(), purchase.MakeID(0, 77), purchase.WishRefund, func(error) { t.Error("heard") })
	if !errors.Is(err, purchase.ErrNotFound) {
		t.Errorf("a purchase that is not there: %v", err)
	}
	if err := b.Ask(t.Context(), id, 0, func(error) { t.Error("heard") }); err == nil {
		t.Error("no wish was heard")
	}
}

// TestAskManyTimes: five hundred at once, and the money moves once.
func TestAskManyTimes(t *testing.T) {
	wallet := newPartner("wallet", able, obey)
	rules := quickRules()
	rules.DeliverWithin = time.Minute
	r := start(t, store.NewMemory(), rules, nil, wallet, newPartner("ocs", purchase.Capability{}, silent))
	id := r.buy(t, 1)
	r.until(t, id, func(p *purchase.Purchase) bool { return p.Legs[purchase.Credit].Doubt })
	var askers sync.WaitGroup
	for range 500 {
		askers.Go(func() {
			if err := r.Ask(context.Background(), id, purchase.WishRefund); err != nil {
				t.Error(err)
			}
		})
	}
	askers.Wait()
	rec := r.settle(t, id)
	if rec.Purchase.State != purchase.Refunded || wallet.count() != 2 || len(rec.Cases) != 1 {
		t.Errorf("%s, %d movements of the wallet, cases %v", rec.Purchase.State, wallet.count(), rec.Cases)
	}
	attempts, refunds := 0, 0
	for i := range rec.Attempts {
		if rec.Attempts[i].Leg == purchase.Refund {
			attempts++
		}
	}
	for i := range rec.Postings {
		if rec.Postings[i].Leg == purchase.Refund {
			refunds++
		}
	}
	if attempts != 1 || refunds != 1 {
		t.Errorf("%d attempts and %d postings of the refund", attempts, refunds)
	}
}

// TestAskWhileTheAnswerArrives: whichever comes first, credited or refunded, and
// never both.
func TestAskWhileTheAnswerArrives(t *testing.T) {
	release := make(chan struct{})
	wallet, ocs := newPartner("wallet", able, obey), newPartner("ocs", able, func(p *partner, o purchase.Order) purchase.Outcome {
		<-release
		return p.execute(o)
	})
	r := start(t, store.NewMemory(), quickRules(), func(c *purchase.Config) {
		for i := range c.Partners {
			c.Partners[i].Concurrency = 200
		}
	}, wallet, ocs)
	const sales = 100
	ids := make([]purchase.ID, sales)
	for i := range ids {
		ids[i] = r.buy(t, i)
	}
	var askers sync.WaitGroup
	for _, id := range ids {
		r.until(t, id, func(p *purchase.Purchase) bool { return p.State == purchase.Crediting })
		for _, w := range purchase.Wishes[:3] {
			askers.Go(func() {
				<-release
				if err := r.Ask(context.Background(), id, w); err != nil {
					t.Error(err)
				}
			})
		}
	}
	close(release)
	askers.Wait()
	given := 0
	for _, id := range ids {
		rec := r.settle(t, id)
		p := &rec.Purchase
		credited := p.Posted.Has(purchase.Credit, purchase.EffectPrincipal)
		refunded := p.Posted.Has(purchase.Refund, purchase.EffectPrincipal)
		if credited == refunded || p.Exposed {
			t.Errorf("%s: credited %t, refunded %t, exposed %t", p.State, credited, refunded, p.Exposed)
		}
		if refunded {
			given++
		}
	}
	if ocs.count()+given != sales || wallet.count() != sales+given {
		t.Errorf("%d credits and %d refunds of %d sales", ocs.count(), given, sales)
	}
}

// TestGrantsOfWhatIsHeld: a node that holds the purchase knows what is under way.
func TestGrantsOfWhatIsHeld(t *testing.T) {
	release, asked := make(chan struct{}), make(chan struct{})
	ocs := newPartner("ocs", purchase.Capability{}, func(*partner, purchase.Order) purchase.Outcome {
		close(asked)
		<-release
		return purchase.Outcome{Kind: purchase.Unknown}
	})
	rules := quickRules()
	rules.DeliverWithin = time.Minute
	r := start(t, store.NewMemory(), rules, nil, newPartner("wallet", able, obey), ocs)
	id := r.buy(t, 1)
	<-asked
	grant := func() purchase.Grant {
		records, err := r.store.Load(context.Background(), id)
		if err != nil || len(records) != 1 {
			t.Fatalf("load: %v", err)
		}
		return r.Grants(&records[0].Purchase, purchase.WishRefund, clock{}.Now())
	}
	if g := grant(); g.OK || g.Why != purchase.HindranceCall {
		t.Errorf("granted %+v while the credit is asked for", g)
	}
	close(release)
	r.until(t, id, func(p *purchase.Purchase) bool { return p.Legs[purchase.Credit].Doubt })
	for g := grant(); !g.OK || !g.Unproven; g = grant() { // what is durable is believed a moment later
		if g.Why != purchase.HindranceCall {
			t.Fatalf("granted %+v of a doubt", g)
		}
	}
}

// until waits until what is stored of a purchase holds.
func (r *rig) until(t *testing.T, id purchase.ID, holds func(*purchase.Purchase) bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		records, err := r.store.Load(context.Background(), id)
		if err != nil || len(records) != 1 {
			t.Fatalf("load: %v, %d records", err, len(records))
		}
		if holds(&records[0].Purchase) {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("purchase is still %+v", records[0].Purchase)
		case <-time.After(time.Millisecond):
		}
	}
}
