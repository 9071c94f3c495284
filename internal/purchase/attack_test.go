package purchase_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

// These are histories that once went wrong, each found by an attack on the engine.

// The payer gives the money back while the credit, or the refund, still waits to
// be sent: it is not sent any more.
func TestNothingLeavesOnceTheMoneyIsBack(t *testing.T) {
	for name, behave := range map[string]func(*partner, purchase.Order) purchase.Outcome{"credit": obey, "refund": barred} {
		t.Run(name, func(t *testing.T) {
			wallet, ocs := newPartner("wallet", able, obey), newPartner("ocs", able, behave)
			n := alone(t, wallet, ocs)
			id := n.buy()
			n.call("wallet")
			if name == "refund" {
				n.call("ocs")
			}
			n.news(id, purchase.Charge, purchase.Reversed, moved("wallet", id), 1050)
			for range 3 {
				n.turn(time.Minute)
				n.call("ocs")
				n.call("wallet")
			}
			n.is(id, purchase.Refunded, purchase.MatterChargeReversed)
			if ocs.count() != 0 || wallet.count() != 1 {
				t.Errorf("%d credits, %d movements of the wallet", ocs.count(), wallet.count())
			}
		})
	}
}

// The payer gave the money back by itself, then the provider takes the units
// back: the money is not given back once more.
func TestNotGivenBackTwice(t *testing.T) {
	for _, how := range []purchase.Leg{purchase.Charge, purchase.Refund} {
		wallet := newPartner("wallet", able, obey)
		n := alone(t, wallet, newPartner("ocs", able, obey))
		id := n.buy()
		n.call("wallet")
		n.call("ocs")
		if how == purchase.Charge {
			n.news(id, purchase.Charge, purchase.Reversed, moved("wallet", id), 1050)
		} else {
			n.news(id, purchase.Refund, purchase.Done, "hotline", 1050)
		}
		n.news(id, purchase.Credit, purchase.Reversed, moved("ocs", id), 1000)
		n.turn(time.Minute)
		n.call("wallet")
		n.is(id, purchase.Credited, purchase.MatterCreditReversed)
		if wallet.count() != 1 {
			t.Errorf("by %s: %d movements of the wallet", how, wallet.count())
		}
	}
}

// A refund that was accepted and then refused is tried again.
func TestAcceptedRefundThatFails(t *testing.T) {
	refunds := 0
	wallet := newPartner("wallet", able, func(p *partner, o purchase.Order) purchase.Outcome {
		if o.Leg != purchase.Refund {
			return p.execute(o)
		}
		if refunds++; refunds == 1 {
			return purchase.Outcome{Kind: purchase.Pending}
		}
		return p.execute(o)
	})
	n := alone(t, wallet, newPartner("ocs", able, barred))
	id := n.buy()
	n.call("wallet")
	n.call("ocs")
	n.call("wallet")
	n.news(id, purchase.Refund, purchase.Refused, "", 0)
	for range 5 {
		n.turn(time.Minute)
		n.call("wallet")
	}
	n.is(id, purchase.Refunded, purchase.MatterRefundRefused)
}

// A watch that ended while the node was down ends only after a question.
func TestWatchAsksAfterDowntime(t *testing.T) {
	wallet, ocs := newPartner("wallet", purchase.Capability{Query: true, Timeout: 10 * time.Second}, silent), newPartner("ocs", able, obey)
	n := alone(t, wallet, ocs)
	id := n.buy()
	n.call("wallet")
	n.turn(25 * time.Hour)
	n.turn(time.Minute)
	n.is(id, purchase.Declined, purchase.MatterUnknownCharge)
	wallet.execute(purchase.Order{Key: n.keys.Key(id, purchase.Charge), Purchase: id, Leg: purchase.Charge, Amount: money.Amount{Minor: 1050, Currency: money.XOF}})
	n.clock.pass(49 * time.Hour)
	n = begin(t, n.clock, n.kept, "n", wallet, ocs)
	n.turn(0)
	n.call("wallet")
	n.is(id, purchase.Refunding, purchase.MatterOrphanCharge)
}

// A charge that was accepted and never answered is told of, and watched after
// the last deadline.
func TestAcceptedChargeWithoutAnAnswer(t *testing.T) {
	pending := func(*partner, purchase.Order) purchase.Outcome { return purchase.Outcome{Kind: purchase.Pending} }
	n := alone(t, newPartner("wallet", able, pending), newPartner("ocs", able, obey))
	id := n.buy()
	n.call("wallet")
	for range 25 * 4 {
		n.turn(15 * time.Minute)
		if x, ok := n.Take("wallet"); ok {
			x.Answer(purchase.Outcome{Kind: purchase.Pending})
			n.commit()
		}
	}
	n.is(id, purchase.Declined, purchase.MatterUnknownCharge)
	if held := n.Held(); len(held) != 1 || !held[0].Told.Has(purchase.FactUnconfirmed) {
		t.Errorf("held: %+v", held)
	}
}

// A declined purchase learns that its charge was undone, so that the late news
// of the charge itself changes nothing.
func TestReversalBeforeTheChargeItself(t *testing.T) {
	n := alone(t, newPartner("wallet", able, silent), newPartner("ocs", able, obey))
	id := n.buy()
	n.call("wallet")
	n.turn(25 * time.Hour)
	n.turn(time.Minute)
	n.news(id, purchase.Charge, purchase.Reversed, "x", 1050)
	n.news(id, purchase.Charge, purchase.Done, "x", 1050)
	n.is(id, purchase.Declined, "")
}

// A refund is made and not heard of, then undone. That a resend is answered "done",
// for the sake of its key and without a reference, is no other refund.
func TestReplayOfWhatWasUndone(t *testing.T) {
	refunds := 0
	wallet := newPartner("wallet", able, func(p *partner, o purchase.Order) purchase.Outcome {
		out := p.execute(o)
		if o.Leg == purchase.Refund {
			if refunds++; refunds == 1 {
				return purchase.Outcome{Kind: purchase.Refused}
			}
			out.Ref = ""
		}
		return out
	})
	n := alone(t, wallet, newPartner("ocs", able, barred))
	id := n.buy()
	n.call("wallet")
	n.call("ocs")
	n.call("wallet")
	n.news(id, purchase.Refund, purchase.Reversed, moved("wallet", id), 1050)
	for range 5 {
		n.turn(time.Minute)
		n.call("wallet")
	}
	n.is(id, purchase.Refunding, purchase.MatterRefundRefused)
	if r := n.record(id); refunds < 2 || told(r) != "" {
		t.Errorf("asked %d times; the payer is told %s", refunds, told(r))
	}
}

// Of three refunds, the one that was undone before it was heard of is told to be
// undone once more: that undoes none of the others.
func TestThirdMovementUndone(t *testing.T) {
	n := alone(t, newPartner("wallet", able, obey), newPartner("ocs", able, barred))
	id := n.buy()
	n.call("wallet")
	n.call("ocs")
	n.news(id, purchase.Refund, purchase.Reversed, "lost", 1050)
	n.call("wallet")
	n.news(id, purchase.Refund, purchase.Done, "second", 1050)
	n.news(id, purchase.Refund, purchase.Reversed, "lost", 1050)
	n.is(id, purchase.Refunded, purchase.MatterUnbooked)
	for _, p := range n.record(id).Postings {
		if p.Effect == purchase.EffectSecondUndone {
			t.Errorf("posted: %+v", p)
		}
	}
}

// A retry that waited in the lane is not sent when the partner has forgotten its key.
func TestRetryIsNotSentBeyondTheKeysLife(t *testing.T) {
	clock := &dial{1_800_000_000_000_000}
	wallet := newPartner("wallet", purchase.Capability{Idempotent: true, KeyLife: time.Hour, Timeout: 10 * time.Second},
		func(p *partner, o purchase.Order) purchase.Outcome {
			if o.Leg != purchase.Refund {
				return p.execute(o)
			}
			if age := clock.now.Sub(o.FirstAt); age >= time.Hour {
				t.Errorf("sent %s after the first try", age)
			}
			return purchase.Outcome{Kind: purchase.Unknown}
		})
	n := begin(t, clock, store.NewMemory(), "n", wallet, newPartner("ocs", able, barred))
	n.buy()
	n.call("wallet")
	n.call("ocs")
	n.call("wallet")
	n.turn(time.Hour - 30*time.Second)
	n.turn(0)
	n.turn(5 * time.Minute) // it waits
	n.call("wallet")
}

// News that another node keeps for a purchase is taken though its own node closed
// the purchase and ended before it looked.
func TestParkedNewsOfAClosedPurchase(t *testing.T) {
	clock, kept := &dial{1_800_000_000_000_000}, store.NewMemory()
	wallet, ocs := newPartner("wallet", able, obey), newPartner("ocs", able, obey)
	a, b := begin(t, clock, kept, "a", wallet, ocs), begin(t, clock, kept, "b", wallet, ocs)
	id := a.buy()
	a.call("wallet")
	b.news(id, purchase.Charge, purchase.Reversed, moved("wallet", id), 1050)
	a.call("ocs")
	a = begin(t, clock, kept, "a", wallet, ocs)
	a.turn(2500 * time.Millisecond)
	a.is(id, purchase.Credited, purchase.MatterChargeReversed)
}

// What the payer gave back of a charge is not refunded once more, and what it
// gave back unasked is not forgotten.
func TestPartsGivenBack(t *testing.T) {
	var asked []int64
	wallet := newPartner("wallet", able, func(p *partner, o purchase.Order) purchase.Outcome {
		if o.Leg == purchase.Refund {
			asked = append(asked, o.Amount.Minor)
		}
		return p.execute(o)
	})
	n := alone(t, wallet, newPartner("ocs", able, barred))
	id := n.buy()
	n.call("wallet")
	n.news(id, purchase.Charge, purchase.Reversed, moved("wallet", id), 500)
	n.call("ocs")
	n.call("wallet")
	if !slices.Equal(asked, []int64{550}) {
		t.Errorf("asked to refund %v", asked)
	}
	n = alone(t, newPartner("wallet", able, obey), newPartner("ocs", able, obey))
	id = n.buy()
	n.call("wallet")
	n.news(id, purchase.Refund, purchase.Done, "hotline", 1000)
	n.is(id, purchase.Crediting, purchase.MatterUnbooked)
}

// Money taken from another number goes back to that number.
func TestChargeOfAnotherNumber(t *testing.T) {
	const other = purchase.MSISDN(22699999999)
	wallet := newPartner("wallet", able, func(p *partner, o purchase.Order) purchase.Outcome {
		out := p.execute(o)
		if o.Leg == purchase.Charge {
			out.Account = other
		} else if o.Account != other {
			t.Errorf("refunded to %s", o.Account)
		}
		return out
	})
	n := alone(t, wallet, newPartner("ocs", able, obey))
	id := n.buy()
	n.call("wallet")
	n.call("wallet")
	n.is(id, purchase.Refunded, purchase.MatterWrongCharge)
	if r := n.record(id); told(r) != "" {
		t.Errorf("the payer, who paid nothing, is told %s", told(r))
	}
}

// landing commits what it was asked to when it has been given up.
type landing struct {
	*store.Memory
	turn  int
	epoch int64
	held  []purchase.Change
}

func (l *landing) Commit(ctx context.Context, epoch int64, changes []purchase.Change) ([]purchase.Verdict, error) {
	switch l.turn++; l.turn {
	case 1:
		l.epoch, l.held = epoch, slices.Clone(changes)
		return nil, purchase.ErrCommitUnknown
	case 2:
		return nil, fmt.Errorf("%w: waited for a lock", purchase.ErrUnavailable)
	case 3:
		if _, err := l.Memory.Commit(ctx, l.epoch, l.held); err != nil {
			return nil, err
		}
	}
	return l.Memory.Commit(ctx, epoch, changes)
}

// away does not write for a few times.
type away struct {
	*store.Memory
	times int
}

func (a *away) Commit(ctx context.Context, epoch int64, changes []purchase.Change) ([]purchase.Verdict, error) {
	if a.times--; a.times >= 0 {
		return nil, fmt.Errorf("%w: disk full", purchase.ErrUnavailable)
	}
	return a.Memory.Commit(ctx, epoch, changes)
}

// Whoever is on call reads once that the store does not write, why, and when it
// writes again.
func TestOutageOfTheStoreIsTold(t *testing.T) {
	kept := &away{Memory: store.NewMemory()}
	n := begin(t, &dial{1_800_000_000_000_000}, kept, "n", newPartner("wallet", able, obey), newPartner("ocs", able, obey))
	id := n.buy()
	for _, partner := range []string{"wallet", "ocs"} {
		n.log.Reset()
		kept.times = 3
		n.call(partner)
		log := n.log.String()
		if strings.Count(log, "does not write") != 1 || !strings.Contains(log, "disk full") || strings.Count(log, "writes again") != 1 {
			t.Errorf("logged: %s", log)
		}
	}
	n.is(id, purchase.Credited, "")
}

// A purchase whose commit may still land is never said to have failed, and goes on.
func TestCommitThatLandsLater(t *testing.T) {
	n := begin(t, &dial{1_800_000_000_000_000}, &landing{Memory: store.NewMemory()}, "n",
		newPartner("wallet", able, obey), newPartner("ocs", able, obey))
	id := n.buy()
	n.call("wallet")
	n.call("ocs")
	n.is(id, purchase.Credited, "")
}

// A process that lost the store, and not its partners, still sends what it had
// begun: its successor under the same name does not take an absence for a proof
// before that is over.
func TestSuccessorWaitsForItsPredecessor(t *testing.T) {
	clock, kept := &dial{1_800_000_000_000_000}, store.NewMemory()
	wallet := newPartner("wallet", able, obey)
	quick := purchase.Capability{Idempotent: true, KeyLife: time.Hour, Query: true, Lateness: 2 * time.Second, Timeout: 3 * time.Second}
	ocs := newPartner("ocs", quick, silent)
	a := begin(t, clock, kept, "n", wallet, ocs)
	id := a.buy()
	a.call("wallet")
	b := begin(t, clock, kept, "n", wallet, ocs)
	for range 9 {
		b.turn(time.Second)
		b.call("ocs")
		b.call("wallet")
	}
	b.is(id, purchase.Crediting, "")
	ocs.behave = obey
	a.call("ocs") // nine seconds after its lease was last renewed
	for range 40 {
		b.turn(time.Second)
		b.call("ocs")
		b.call("wallet")
	}
	b.is(id, purchase.Credited, "")
	if ocs.count() != 1 || wallet.count() != 1 {
		t.Errorf("%d credits, %d movements of the wallet", ocs.count(), wallet.count())
	}
}

// However much news waits for a slow store, the answer to our own try is kept.
func TestAnswerIsNeverDropped(t *testing.T) {
	ocs := newPartner("ocs", purchase.Capability{Timeout: 10 * time.Second}, obey)
	n := alone(t, newPartner("wallet", able, obey), ocs)
	id := n.buy()
	n.call("wallet")
	x, _ := n.Take("ocs")
	out := x.Send(t.Context())
	for i := range 70 {
		ev := purchase.Event{Leg: purchase.Charge, Source: purchase.FromCallback, Outcome: out}
		ev.Outcome.Ref = fmt.Sprint("second-", min(i, 1))
		if err := n.Deliver(t.Context(), id, ev, func(error) {}); err != nil {
			t.Fatal(err)
		}
	}
	x.Answer(out)
	n.commit()
	for range 5 {
		n.turn(time.Minute)
		n.call("ocs")
	}
	n.is(id, purchase.Credited, "")
	if ocs.count() != 1 {
		t.Errorf("%d credits", ocs.count())
	}
}

// News that waits behind a commit is confirmed when it is durable itself, though
// news before it may have taught nothing.
func TestNewsIsConfirmedOnceDurable(t *testing.T) {
	n := alone(t, newPartner("wallet", able, obey), newPartner("ocs", able, obey))
	id := n.buy()
	x, _ := n.Take("wallet")
	first := x.Send(t.Context())
	x.Answer(first)
	confirmed := 0
	for _, ref := range []string{first.Ref, "second"} {
		ev := purchase.Event{Leg: purchase.Charge, Source: purchase.FromCallback, Outcome: first}
		ev.Outcome.Ref = ref
		if err := n.Deliver(t.Context(), id, ev, func(error) { confirmed++ }); err != nil {
			t.Fatal(err)
		}
	}
	b, _ := n.Gather()
	b.Write(t.Context())
	b.Settle()
	if confirmed > 0 {
		t.Errorf("%d news confirmed, the second charge is not durable", confirmed)
	}
	n.commit()
	if evidence := n.record(id).Evidence; confirmed != 2 || len(evidence) != 2 {
		t.Errorf("%d news confirmed, evidence %+v", confirmed, evidence)
	}
}

// A query that did not leave says nothing of the try that did: the next try is an
// attempt of its own.
func TestUnsentQueryIsNoUnsentTry(t *testing.T) {
	n := alone(t, newPartner("wallet", able, silent), newPartner("ocs", able, obey))
	id := n.buy()
	n.call("wallet")
	for _, said := range []purchase.Kind{purchase.Unsent, purchase.Absent} {
		n.turn(5 * time.Second)
		x, ok := n.Take("wallet")
		if !ok || x.Call().Op != purchase.OpQuery {
			t.Fatalf("asked %v", x)
		}
		x.Answer(purchase.Outcome{Kind: said})
		n.commit()
	}
	x, ok := n.Take("wallet")
	if tries := len(n.record(id).Attempts); !ok || tries != 2 || x.Order().Try != 2 {
		t.Errorf("%d attempts", tries)
	}
}

// Queries that our own limits held back tire nobody: once the partner can be asked
// again, it is asked within seconds. A partner that was asked in vain is asked less
// and less often.
func TestHeldBackQueriesAreNotFruitless(t *testing.T) {
	for said, most := range map[purchase.Kind]time.Duration{purchase.Unsent: 16 * time.Second, purchase.Unknown: time.Minute} {
		n := alone(t, newPartner("wallet", able, silent), newPartner("ocs", able, obey))
		n.buy()
		n.call("wallet")
		var pause time.Duration
		for range 12 {
			pause = 0
			x, ok := n.Take("wallet")
			for ; !ok && pause <= time.Hour; x, ok = n.Take("wallet") {
				n.turn(time.Second)
				pause += time.Second
			}
			if !ok || x.Call().Op != purchase.OpQuery {
				t.Fatalf("%s: asked %v after %s", said, x, pause)
			}
			x.Answer(purchase.Outcome{Kind: said})
			n.commit()
		}
		if pause > most || pause < most*3/4 {
			t.Errorf("queries that are %s come %s apart, not %s", said, pause, most)
		}
	}
}

// A clock that is put back while a try is under way does not make its refusal a proof
// that an earlier try was never executed.
func TestRefusalOnAClockPutBack(t *testing.T) {
	clock := &dial{1_800_000_000_000_000}
	wallet := newPartner("wallet", purchase.Capability{Idempotent: true, KeyLife: 24 * time.Hour, Lateness: 30 * time.Second, Timeout: 10 * time.Second}, silent)
	n := begin(t, clock, store.NewMemory(), "n", wallet, newPartner("ocs", able, obey))
	id := n.buy()
	n.call("wallet")
	n.turn(5 * time.Second)
	x, ok := n.Take("wallet")
	if !ok || x.Call().Op != purchase.OpDo {
		t.Fatalf("asked %v", x)
	}
	clock.now = clock.now.Add(-8 * time.Minute)
	x.Answer(purchase.Outcome{Kind: purchase.Refused})
	n.commit()
	if state := n.record(id).Purchase.State; state != purchase.Charging {
		t.Errorf("the purchase is %s", state)
	}
}
