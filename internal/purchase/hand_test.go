package purchase_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

// dial is a clock that is set by hand.
type dial struct{ now purchase.Instant }

func (d *dial) Now() purchase.Instant                { return d.now }
func (d *dial) After(time.Duration) <-chan time.Time { return nil }
func (d *dial) pass(t time.Duration)                 { d.now = d.now.Add(t) }

// node is an engine driven step by step.
type node struct {
	t     *testing.T
	clock *dial
	kept  purchase.Store
	keys  *purchase.Keyring
	*purchase.Steps
	log *bytes.Buffer
}

// able promises everything but a cancellation.
var able = purchase.Capability{Idempotent: true, KeyLife: 24 * time.Hour, Query: true, Timeout: 10 * time.Second}

// barred refuses for good.
func barred(*partner, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Refused, Reason: purchase.ReasonBarredLine}
}

func silent(*partner, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown}
}

// begin starts a process of a name on a store.
func begin(t *testing.T, clock *dial, kept purchase.Store, name string, partners ...*partner) *node {
	t.Helper()
	return beginWith(t, clock, kept, name, func(*purchase.Config) {}, partners...)
}

// beginWith is begin with a configuration that is changed.
func beginWith(t *testing.T, clock *dial, kept purchase.Store, name string, change func(*purchase.Config), partners ...*partner) *node {
	t.Helper()
	keys, err := purchase.NewKeyring([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cfg := purchase.Config{Store: kept, Keys: keys, Clock: clock, Wording: wording{}, Node: name,
		Rules: purchase.DefaultRules(), Log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, p := range partners {
		cfg.Partners = append(cfg.Partners, purchase.Member{Partner: p, Concurrency: 8})
	}
	change(&cfg)
	e, err := purchase.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := e.Steps(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &node{t, clock, kept, keys, steps, &log}
}

// alone is one process with a wallet and a charging system.
func alone(t *testing.T, wallet, ocs *partner) *node {
	t.Helper()
	return begin(t, &dial{1_800_000_000_000_000}, store.NewMemory(), "n", wallet, ocs)
}

// commit makes what is pending durable.
func (n *node) commit() {
	for {
		b, ok := n.Gather()
		if !ok {
			return
		}
		for b.Write(context.Background()) {
		}
		b.Settle()
	}
}

// turn lets what is due happen, at a later time.
func (n *node) turn(later time.Duration) {
	n.clock.pass(later)
	if err := n.Lease(n.t.Context(), true); err != nil {
		n.t.Log(err)
	}
	n.Tick()
	n.commit()
}

// call makes the next call of a partner and says what it was; it is zero when none waits.
func (n *node) call(partner string) purchase.Call {
	x, ok := n.Take(partner)
	if !ok {
		return purchase.Call{}
	}
	x.Answer(x.Send(n.t.Context()))
	n.commit()
	return x.Call()
}

func (n *node) buy() purchase.ID {
	n.t.Helper()
	intent := n.Buy(n.t.Context(), request(1))
	n.commit()
	p, _, err := intent.Result(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	return p.ID
}

// news brings what a partner says by itself.
func (n *node) news(id purchase.ID, leg purchase.Leg, kind purchase.Kind, ref string, minor int64) {
	n.t.Helper()
	ev := purchase.Event{Leg: leg, Source: purchase.FromCallback,
		Outcome: purchase.Outcome{Kind: kind, Ref: ref, Amount: money.Amount{Minor: minor, Currency: money.XOF}}}
	if err := n.Deliver(n.t.Context(), id, ev, func(error) {}); err != nil {
		n.t.Fatal(err)
	}
	n.commit()
}

func (n *node) record(id purchase.ID) *purchase.Record {
	n.t.Helper()
	records, err := n.kept.Load(n.t.Context(), id)
	if err != nil || len(records) != 1 {
		n.t.Fatalf("load: %d records, %v", len(records), err)
	}
	return &records[0]
}

// is checks a purchase's state, and that it has a case if one is named.
func (n *node) is(id purchase.ID, state purchase.State, matter purchase.Matter) {
	n.t.Helper()
	r := n.record(id)
	if r.Purchase.State != state {
		n.t.Errorf("%s, want %s", r.Purchase.State, state)
	}
	for _, k := range r.Cases {
		if k.Matter == matter {
			return
		}
	}
	if matter != "" {
		n.t.Errorf("cases %v, want %s", r.Cases, matter)
	}
}

// moved is the reference that a partner of engine_test.go gives its first movement.
func moved(partner string, id purchase.ID) string { return fmt.Sprintf("%s-%d-1", partner, id) }
