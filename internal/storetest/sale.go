package storetest

import (
	"fmt"
	"testing"
	"time"

	"tenu/internal/ledger"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

// The first instant of every test.
const dawn purchase.Instant = 1_800_000_000_000_000

// shop makes purchases by the table of states, and commits what it asks for.
type shop struct {
	t     testing.TB
	store purchase.Store
	terms purchase.Terms
	epoch int64
	now   purchase.Instant
	next  int64
}

func newShop(t testing.TB, s purchase.Store) *shop {
	t.Helper()
	lease, err := s.Acquire(t.Context(), "shop")
	if err != nil {
		t.Fatalf("acquire a lease: %v", err)
	}
	return &shop{t: t, store: s, epoch: lease.Epoch, now: dawn, next: 1, terms: terms(func(string) purchase.Capability { return able })}
}

// able is what an ordinary partner can do.
var able = purchase.Capability{Supported: true, Query: true, Lateness: 2 * time.Minute, Timeout: time.Second}

// terms are the ordinary rules, with partners of those capabilities.
func terms(capability func(partner string) purchase.Capability) purchase.Terms {
	rules := purchase.DefaultRules()
	rules.RepeatWithin = 0
	return purchase.Terms{Rules: rules,
		Capability: func(partner string, _ purchase.Leg) purchase.Capability { return capability(partner) },
		Alternate:  func(*purchase.Purchase) string { return "" }}
}

// request is an ordinary wish, one of its kind for each n.
func request(n int64) purchase.Request {
	number := purchase.MSISDN(22670000000 + n)
	return purchase.Request{Client: "app", ClientKey: fmt.Sprintf("key-%d", n), Digest: [16]byte{1, byte(n)}, Channel: "app",
		Language: "fr", PayerNumber: number, Recipient: number, Payer: "wallet", Provider: "ocs", Product: "airtime",
		Offer: 1, Total: 1050, Fee: 50, Units: 1000, Currency: money.XOF}
}

// begin makes the first change of a purchase, uncommitted.
func (s *shop) begin(r purchase.Request) purchase.Change {
	s.now += 1000
	step := s.terms.Begin(&r, purchase.MakeID(0, s.next), s.epoch, s.now)
	s.next++
	return step.Change
}

// meet makes the change that an event brings, uncommitted; durable is whether
// there is one to commit.
func (s *shop) meet(p *purchase.Purchase, ev purchase.Event) (c purchase.Change, durable bool) {
	s.now += 1000
	step := s.terms.Next(p, ev, s.now, false, s.epoch)
	now := &step.Change.Now
	at := now.CreatedAt
	if e := step.Change.Evidence; e != nil {
		at = e.At
	}
	for _, fact := range step.Facts {
		to := now.PayerNumber
		if fact == purchase.FactReceived {
			if to = now.Recipient; to == now.PayerNumber {
				continue
			}
		}
		step.Change.Notices = append(step.Change.Notices, purchase.Notice{Purchase: now.ID, Fact: fact, To: to,
			Language: now.Language, Text: fact.String() + " 1 050 F CFA", At: at})
	}
	return step.Change, step.Durable
}

// commit writes changes that must all be written.
func (s *shop) commit(changes ...purchase.Change) {
	s.t.Helper()
	verdicts, err := s.store.Commit(s.t.Context(), s.epoch, changes)
	if err != nil {
		s.t.Fatalf("commit %d changes: %v", len(changes), err)
	}
	for i, v := range verdicts {
		if v.Result != purchase.Written {
			s.t.Fatalf("change %d of %d: %+v, want it written", i, len(changes), v)
		}
	}
}

// try commits changes and returns their verdicts.
func (s *shop) try(changes ...purchase.Change) []purchase.Verdict {
	s.t.Helper()
	verdicts, err := s.store.Commit(s.t.Context(), s.epoch, changes)
	if err != nil {
		s.t.Fatalf("commit %d changes: %v", len(changes), err)
	}
	return verdicts
}

// sell makes a purchase and lets it meet events, each committed.
func (s *shop) sell(r purchase.Request, events ...purchase.Event) purchase.Purchase {
	s.t.Helper()
	c := s.begin(r)
	s.commit(c)
	return s.drive(c.Now, events...)
}

// drive lets a purchase meet events, each committed.
func (s *shop) drive(p purchase.Purchase, events ...purchase.Event) purchase.Purchase {
	s.t.Helper()
	for _, ev := range events {
		c, durable := s.meet(&p, ev)
		if durable {
			s.commit(c)
		}
		p = c.Now
	}
	return p
}

// load returns the record of one purchase.
func load(t testing.TB, s purchase.Store, id purchase.ID) purchase.Record {
	t.Helper()
	records, err := s.Load(t.Context(), id)
	if err != nil {
		t.Fatalf("load purchase %d: %v", id, err)
	}
	if len(records) != 1 {
		t.Fatalf("load purchase %d: %d records", id, len(records))
	}
	return records[0]
}

// answer is a partner's answer about a leg, as was asked for.
func answer(leg purchase.Leg, kind purchase.Kind, ref string) purchase.Event {
	ev := purchase.Event{Leg: leg, Source: purchase.FromAnswer, Outcome: purchase.Outcome{Kind: kind, Ref: ref}}
	if kind == purchase.Done || kind == purchase.Reversed {
		ev.Outcome.Amount = money.Amount{Minor: 1050, Currency: money.XOF}
		if leg == purchase.Credit || leg == purchase.Reversal {
			ev.Outcome.Amount.Minor = 1000
		}
	}
	return ev
}

// Ways that a purchase may go.
var (
	charged  = answer(purchase.Charge, purchase.Done, "charge-1")
	credited = answer(purchase.Credit, purchase.Done, "credit-1")
	refused  = answer(purchase.Credit, purchase.Refused, "")
	refunded = answer(purchase.Refund, purchase.Done, "refund-1")
	declined = answer(purchase.Charge, purchase.Refused, "")
)

// balances adds up the postings of a record.
func balances(t testing.TB, r *purchase.Record, b ledger.Balances) {
	t.Helper()
	for i := range r.Postings {
		if err := b.Post(r.Postings[i].Posting); err != nil {
			t.Fatalf("purchase %d: %v", r.Purchase.ID, err)
		}
	}
}
