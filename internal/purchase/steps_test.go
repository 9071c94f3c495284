package purchase_test

import (
	"log/slog"
	"testing"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

// still is a clock that moves when it is told to.
type still struct{ now purchase.Instant }

func (c *still) Now() purchase.Instant { return c.now }

func (c *still) After(time.Duration) <-chan time.Time { return nil }

// turns drives one node, turn by turn.
type turns struct {
	*purchase.Steps
	clock *still
	store *store.Memory
}

func newTurns(t *testing.T) *turns {
	t.Helper()
	keys, err := purchase.NewKeyring([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	r := &turns{clock: &still{purchase.SequenceEpoch + 1}, store: store.NewMemory()}
	promise := purchase.Capability{Idempotent: true, KeyLife: 24 * time.Hour, Query: true}
	cfg := purchase.Config{Store: r.store, Keys: keys, Clock: r.clock, Wording: wording{}, Node: "n1",
		Rules: purchase.DefaultRules(), Log: slog.New(slog.DiscardHandler)}
	for _, name := range []string{"wallet", "ocs"} {
		cfg.Partners = append(cfg.Partners, purchase.Member{Partner: newPartner(name, promise, obey), Concurrency: 8})
	}
	e, err := purchase.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if r.Steps, err = e.Steps(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// commit writes one batch.
func (r *turns) commit(t *testing.T) {
	t.Helper()
	b, ok := r.Gather()
	if !ok {
		t.Fatal("nothing is to be committed")
	}
	for b.Write(t.Context()) {
		t.Fatal("a commit is in doubt")
	}
	b.Settle()
}

// take is the partner's next call.
func (r *turns) take(t *testing.T, partner string, op purchase.Op) purchase.Exchange {
	t.Helper()
	x, ok := r.Take(partner)
	if !ok || x.Call().Op != op {
		t.Fatalf("%s is asked %v, not to %s", partner, ok, op)
	}
	return x
}

func (r *turns) buy(t *testing.T) purchase.ID {
	t.Helper()
	in := r.Buy(t.Context(), request(1))
	r.commit(t)
	p, _, err := in.Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p.ID
}

func (r *turns) record(t *testing.T, id purchase.ID) purchase.Record {
	t.Helper()
	records, err := r.store.Load(t.Context(), id)
	if err != nil || len(records) != 1 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	return records[0]
}

// News that waits behind a commit is confirmed when it is durable itself, though
// news before it may have taught nothing.
func TestNewsIsConfirmedOnceDurable(t *testing.T) {
	r := newTurns(t)
	id := r.buy(t)
	charge := func(ref string) purchase.Outcome {
		return purchase.Outcome{Kind: purchase.Done, Ref: ref, Amount: money.Amount{Minor: 1050, Currency: money.XOF}}
	}
	r.take(t, "wallet", purchase.OpDo).Answer(charge("first"))
	confirmed := 0
	for _, ref := range []string{"first", "second"} {
		err := r.Deliver(t.Context(), id, purchase.Event{Leg: purchase.Charge, Source: purchase.FromCallback, Outcome: charge(ref)}, func(err error) {
			if err != nil {
				t.Errorf("news of %s: %v", ref, err)
			}
			confirmed++
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	r.commit(t)
	if confirmed > 0 && len(r.record(t, id).Evidence) < 2 {
		t.Errorf("%d news confirmed, the second charge is not durable", confirmed)
	}
	r.commit(t)
	if evidence := r.record(t, id).Evidence; confirmed != 2 || len(evidence) != 2 {
		t.Errorf("%d news confirmed, evidence %+v", confirmed, evidence)
	}
}

// A query that did not leave says nothing of the try that did: the next try is an
// attempt of its own.
func TestUnsentQueryIsNoUnsentTry(t *testing.T) {
	r := newTurns(t)
	id := r.buy(t)
	r.take(t, "wallet", purchase.OpDo).Answer(purchase.Outcome{Kind: purchase.Unknown})
	r.commit(t)
	for _, said := range []purchase.Kind{purchase.Unsent, purchase.Absent} {
		r.clock.now = max(r.clock.now, r.Tick())
		r.Tick()
		r.take(t, "wallet", purchase.OpQuery).Answer(purchase.Outcome{Kind: said})
	}
	r.commit(t)
	x := r.take(t, "wallet", purchase.OpDo)
	if tries := len(r.record(t, id).Attempts); tries != 2 || x.Order().Try != 2 {
		t.Errorf("try %d leaves on %d attempts", x.Order().Try, tries)
	}
}
