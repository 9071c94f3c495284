package purchase_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type clock struct{}

func (clock) Now() purchase.Instant                  { return purchase.At(time.Now()) }
func (clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

type wording struct{}

func (wording) Notice(f purchase.Fact, _ *purchase.Purchase, ref purchase.Reference, _ purchase.Outcome) string {
	return f.String() + " " + ref.String()
}

// partner is a scripted partner with books of its own: behave decides what
// each call does, execute books a movement once per key.
type partner struct {
	name       string
	capability purchase.Capability
	behave     func(*partner, purchase.Order) purchase.Outcome

	mu        sync.Mutex
	books     map[string]string // key to reference
	cancelled map[string]bool
	executed  map[string]int
}

func newPartner(name string, c purchase.Capability, behave func(*partner, purchase.Order) purchase.Outcome) *partner {
	c.Supported = true
	if c.Timeout == 0 {
		c.Timeout = time.Second
	}
	return &partner{name: name, capability: c, behave: behave, books: map[string]string{},
		cancelled: map[string]bool{}, executed: map[string]int{}}
}

func (p *partner) Name() string                                { return p.name }
func (p *partner) Capability(purchase.Leg) purchase.Capability { return p.capability }

func (p *partner) Do(_ context.Context, o purchase.Order) purchase.Outcome { return p.behave(p, o) }

func (p *partner) execute(o purchase.Order) purchase.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := o.Key.UUID()
	if p.cancelled[key] {
		return purchase.Outcome{Kind: purchase.Refused, Reason: purchase.ReasonOther}
	}
	if p.books[key] == "" || !p.capability.Idempotent {
		p.executed[key]++
		p.books[key] = fmt.Sprintf("%s-%d-%d", p.name, o.Purchase, p.executed[key])
	}
	return purchase.Outcome{Kind: purchase.Done, Ref: p.books[key], Amount: o.Amount, Account: o.Account}
}

func (p *partner) Query(_ context.Context, o purchase.Order) purchase.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ref := p.books[o.Key.UUID()]; ref != "" {
		return purchase.Outcome{Kind: purchase.Done, Ref: ref, Amount: o.Amount, Account: o.Account}
	}
	return purchase.Outcome{Kind: purchase.Absent}
}

func (p *partner) Cancel(ctx context.Context, o purchase.Order) purchase.Outcome {
	if out := p.Query(ctx, o); out.Kind == purchase.Done {
		return out
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancelled[o.Key.UUID()] = true
	return purchase.Outcome{Kind: purchase.Cancelled}
}

func (p *partner) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.books)
}

func obey(p *partner, o purchase.Order) purchase.Outcome { return p.execute(o) }

type rig struct {
	*purchase.Engine
	store *store.Memory
	keys  *purchase.Keyring
	end   func() error
}

func quickRules() purchase.Rules {
	r := purchase.DefaultRules()
	r.RetryFirst, r.RetryMost = 5*time.Millisecond, 20*time.Millisecond
	r.DeliverWithin, r.RepeatWithin = 200*time.Millisecond, 0
	return r
}

func start(t *testing.T, s *store.Memory, rules purchase.Rules, change func(*purchase.Config), partners ...*partner) *rig {
	t.Helper()
	keys, err := purchase.NewKeyring([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := purchase.Config{Store: s, Keys: keys, Clock: clock{}, Wording: wording{}, Node: "n1", Rules: rules,
		Log: slog.New(slog.DiscardHandler), LeaseTTL: 400 * time.Millisecond}
	for _, p := range partners {
		cfg.Partners = append(cfg.Partners, purchase.Member{Partner: p, Concurrency: 8})
	}
	if change != nil {
		change(&cfg)
	}
	e, err := purchase.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- e.Run(ctx, 5*time.Second) }()
	for e.Ready() != nil {
		select {
		case err := <-over:
			t.Fatalf("engine ended: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	r := &rig{Engine: e, store: s, keys: keys}
	var once sync.Once
	var ended error
	r.end = func() error {
		once.Do(func() { cancel(); ended = <-over })
		return ended
	}
	t.Cleanup(func() { _ = r.end() })
	return r
}

func request(i int) purchase.Request {
	number := purchase.MSISDN(22670000000 + i)
	return purchase.Request{Client: "c", ClientKey: fmt.Sprint("k", i), Channel: "api", Language: "fr",
		PayerNumber: number, Recipient: number, Payer: "wallet", Provider: "ocs", Product: "airtime", Offer: 1,
		Total: 1050, Fee: 50, Units: 1000, Currency: money.XOF}
}

// settle waits until a purchase is final and returns its record.
func (r *rig) settle(t *testing.T, id purchase.ID) purchase.Record {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		records, err := r.store.Load(context.Background(), id)
		if err != nil || len(records) != 1 {
			t.Fatalf("load: %v, %d records", err, len(records))
		}
		if records[0].Purchase.State.Final() {
			return records[0]
		}
		select {
		case <-deadline:
			t.Fatalf("purchase is still %s: %+v", records[0].Purchase.State, records[0])
		case <-time.After(time.Millisecond):
		}
	}
}

func (r *rig) buy(t *testing.T, i int) purchase.ID {
	t.Helper()
	p, replay, err := r.Buy(context.Background(), request(i))
	if err != nil || replay {
		t.Fatalf("buy: replay %v, %v", replay, err)
	}
	return p.ID
}

func told(rec *purchase.Record) string {
	text := ""
	for _, n := range rec.Notices {
		text += n.Fact.String() + " "
	}
	return text
}

func cases(rec *purchase.Record) string {
	text := ""
	for _, c := range rec.Cases {
		text += string(c.Matter) + " "
	}
	return text
}

var full = purchase.Capability{Idempotent: true, KeyLife: 24 * time.Hour, Query: true, Lateness: 300 * time.Millisecond}

func TestEngineOutcomes(t *testing.T) {
	kind := func(k purchase.Kind) func(*partner, purchase.Order) purchase.Outcome {
		return func(*partner, purchase.Order) purchase.Outcome {
			return purchase.Outcome{Kind: k, Reason: purchase.ReasonFunds}
		}
	}
	lost := func(p *partner, o purchase.Order) purchase.Outcome { // executed, reply lost
		p.execute(o)
		return purchase.Outcome{Kind: purchase.Unknown, Detail: "timeout"}
	}
	dropOnce := func() func(*partner, purchase.Order) purchase.Outcome { // first request lost
		return func(p *partner, o purchase.Order) purchase.Outcome {
			if o.Try == 1 {
				return purchase.Outcome{Kind: purchase.Unknown}
			}
			return p.execute(o)
		}
	}
	onCredit := func(f func(*partner, purchase.Order) purchase.Outcome) func(*partner, purchase.Order) purchase.Outcome {
		return f
	}
	tombstone := purchase.Capability{Query: true, Tombstone: true}
	for _, tc := range []struct {
		name          string
		wallet, ocs   func(*partner, purchase.Order) purchase.Outcome
		walletC, ocsC purchase.Capability
		state         purchase.State
		told, cases   string
	}{
		{"sold", obey, obey, full, full, purchase.Credited, "credited ", ""},
		{"declined", kind(purchase.Refused), obey, full, full, purchase.Declined, "declined ", ""},
		{"credit refused", obey, kind(purchase.Refused), full, full, purchase.Refunded, "refunded ", ""},
		{"charge reply lost", lost, obey, full, full, purchase.Credited, "credited ", ""},
		{"credit reply lost", obey, lost, full, full, purchase.Credited, "credited ", ""},
		{"credit request lost, idempotent", obey, onCredit(dropOnce()), full, full, purchase.Credited, "credited ", ""},
		{"credit request lost, tombstone", obey, kind(purchase.Unknown), full, tombstone, purchase.Refunded, "refunded ", ""},
		{"charge request lost, tombstone", kind(purchase.Unknown), obey, tombstone, full, purchase.Declined, "declined ", ""},
		{"provider never there", obey, kind(purchase.Unsent), full, full, purchase.Refunded, "refunded ", ""},
		{"payer never there", kind(purchase.Unsent), obey, full, full, purchase.Declined, "declined ", ""},
		{"credit never answered", obey, kind(purchase.Unknown), full, full, purchase.Refunded, "pending refunded ", "pending_credit "},
		{"adapter panics", obey, func(*partner, purchase.Order) purchase.Outcome { panic("x") }, full, tombstone, purchase.Refunded, "refunded ", ""},
		{"half a credit", obey, func(p *partner, o purchase.Order) purchase.Outcome {
			o.Amount.Minor /= 2
			return p.execute(o)
		}, full, full, purchase.Refunded, "refunded ", "wrong_credit "},
		{"wrong charge", func(p *partner, o purchase.Order) purchase.Outcome {
			if o.Leg == purchase.Charge {
				o.Amount.Minor = 900
			}
			return p.execute(o)
		}, obey, full, full, purchase.Refunded, "refunded ", "wrong_charge "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			wallet, ocs := newPartner("wallet", tc.walletC, tc.wallet), newPartner("ocs", tc.ocsC, tc.ocs)
			r := start(t, store.NewMemory(), quickRules(), nil, wallet, ocs)
			rec := r.settle(t, r.buy(t, 1))
			if rec.Purchase.State != tc.state || told(&rec) != tc.told || cases(&rec) != tc.cases {
				t.Errorf("%s, told %q, cases %q; want %s, %q, %q", rec.Purchase.State, told(&rec), cases(&rec), tc.state, tc.told, tc.cases)
			}
		})
	}
}

// TestEngineStorm sells under random faults of every kind with two restarts,
// and compares the partners' books with ours at rest.
func TestEngineStorm(t *testing.T) {
	const sales = 3000
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // replayable on purpose
	faulty := func(p *partner, o purchase.Order) purchase.Outcome {
		mu.Lock()
		n := random.IntN(100)
		mu.Unlock()
		switch {
		case n < 5:
			return purchase.Outcome{Kind: purchase.Unknown}
		case n < 10:
			p.execute(o)
			return purchase.Outcome{Kind: purchase.Unknown}
		case n < 13:
			return purchase.Outcome{Kind: purchase.Unsent}
		case n < 15 && o.Leg != purchase.Refund:
			return purchase.Outcome{Kind: purchase.Refused}
		case n < 17:
			p.execute(o)
			return purchase.Outcome{Kind: purchase.Pending}
		}
		return p.execute(o)
	}
	wallet, ocs := newPartner("wallet", full, faulty), newPartner("ocs", purchase.Capability{Query: true, Tombstone: true}, faulty)
	s := store.NewMemory()
	var ids []purchase.ID
	for part := range 3 {
		r := start(t, s, quickRules(), nil, wallet, ocs)
		var wg sync.WaitGroup
		for i := range sales / 3 {
			wg.Go(func() {
				p, _, err := r.Buy(context.Background(), request(part*sales/3+i))
				if err != nil {
					t.Errorf("buy: %v", err)
				}
				mu.Lock()
				ids = append(ids, p.ID)
				mu.Unlock()
			})
		}
		wg.Wait()
		if part < 2 {
			if err := r.end(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		charged, credited := 0, 0
		for _, id := range ids {
			rec := r.settle(t, id)
			switch rec.Purchase.State {
			case purchase.Credited:
				charged, credited = charged+1, credited+1
			case purchase.Refunded:
				charged += 2 // a charge and a refund
			case purchase.Charging, purchase.Crediting, purchase.Refunding, purchase.Declined:
			}
		}
		if wallet.count() != charged || ocs.count() != credited {
			t.Errorf("wallet has %d movements, we know %d; provider has %d credits, we know %d",
				wallet.count(), charged, ocs.count(), credited)
		}
	}
}

func TestEngineKeys(t *testing.T) {
	wallet, ocs := newPartner("wallet", full, obey), newPartner("ocs", full, obey)
	rules := quickRules()
	rules.RepeatWithin = time.Minute
	r := start(t, store.NewMemory(), rules, nil, wallet, ocs)
	ctx := context.Background()
	id := r.buy(t, 1)
	if p, replay, err := r.Buy(ctx, request(1)); err != nil || !replay || p.ID != id {
		t.Errorf("same key and body: %d, replay %v, %v; want %d", p.ID, replay, err, id)
	}
	other := request(1)
	other.Digest[0] = 1
	if _, _, err := r.Buy(ctx, other); !errors.Is(err, purchase.ErrKeyConflict) {
		t.Errorf("same key, other body: %v", err)
	}
	other.ClientKey = "another"
	var repeat *purchase.RepeatError
	if _, _, err := r.Buy(ctx, other); !errors.As(err, &repeat) || repeat.Earlier != id {
		t.Errorf("like purchase: %v", err)
	}
	other.Again = true
	if p, replay, err := r.Buy(ctx, other); err != nil || replay || p.ID == id {
		t.Errorf("asked again: %d, replay %v, %v", p.ID, replay, err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[purchase.ID]bool{}
	for range 50 { // a double tap, fifty times
		wg.Go(func() {
			p, _, err := r.Buy(ctx, request(2))
			if err != nil {
				t.Errorf("tap: %v", err)
			}
			mu.Lock()
			seen[p.ID] = true
			mu.Unlock()
		})
	}
	wg.Wait()
	if len(seen) != 1 {
		t.Errorf("fifty taps made %d purchases", len(seen))
	}
}

// Each purchase has a salt of its own, which is durable with its intent.
func TestEngineSalts(t *testing.T) {
	made := byte(0)
	salt := func() (s [16]byte) { made++; s[3] = made; return s }
	r := start(t, store.NewMemory(), quickRules(), func(c *purchase.Config) { c.Salt = salt }, newPartner("wallet", full, obey), newPartner("ocs", full, obey))
	for i := range 2 {
		p, _, err := r.Buy(t.Context(), request(i))
		if err != nil {
			t.Fatal(err)
		}
		records, err := r.store.Load(t.Context(), p.ID)
		if want := [16]byte{3: byte(i + 1)}; err != nil || len(records) != 1 || records[0].Purchase.Salt != want || p.Salt != want {
			t.Errorf("purchase %d has the salt %x; kept %+v, %v", i, p.Salt, records, err)
		}
	}
}

func TestEngineCallback(t *testing.T) {
	silent := func(*partner, purchase.Order) purchase.Outcome { return purchase.Outcome{Kind: purchase.Pending} }
	wallet := newPartner("wallet", full, func(p *partner, o purchase.Order) purchase.Outcome {
		if o.Leg == purchase.Charge {
			return silent(p, o)
		}
		return p.execute(o)
	})
	rules := quickRules()
	rules.RetryFirst, rules.RetryMost = time.Hour, time.Hour // nothing but the callback settles it
	r := start(t, store.NewMemory(), rules, nil, wallet, newPartner("ocs", full, obey))
	id := r.buy(t, 1)
	ctx := context.Background()
	done := purchase.Event{Leg: purchase.Charge, Outcome: purchase.Outcome{Kind: purchase.Done, Ref: "w1",
		Amount: money.Amount{Minor: 1050, Currency: money.XOF}}}
	for range 2 { // the second is a duplicate
		if err := r.Callback(ctx, id, done); err != nil {
			t.Fatal(err)
		}
	}
	rec := r.settle(t, id)
	if rec.Purchase.State != purchase.Credited || len(rec.Postings) != 3 {
		t.Errorf("%s with %d postings", rec.Purchase.State, len(rec.Postings))
	}
	reversed := done
	reversed.Leg, reversed.Outcome.Kind, reversed.Outcome.Amount.Minor = purchase.Credit, purchase.Reversed, 1000
	reversed.Outcome.Ref = rec.Purchase.Legs[purchase.Credit].Ref
	if err := r.Callback(ctx, id, reversed); err != nil { // the purchase is closed: it is read back
		t.Fatal(err)
	}
	rec = r.settle(t, id)
	if rec.Purchase.State != purchase.Refunded || told(&rec) != "credited taken_back refunded " {
		t.Errorf("after the reversal: %s, told %q", rec.Purchase.State, told(&rec))
	}
	if err := r.Callback(ctx, id+1000, done); !errors.Is(err, purchase.ErrNotFound) {
		t.Errorf("callback for nothing: %v", err)
	}
}

// TestEngineTakeover lets a second node take over from one that no longer renews.
func TestEngineTakeover(t *testing.T) {
	slow := func(*partner, purchase.Order) purchase.Outcome { return purchase.Outcome{Kind: purchase.Unknown} }
	s := store.NewMemory()
	rules := quickRules()
	rules.RetryFirst, rules.RetryMost, rules.DeliverWithin = time.Hour, time.Hour, time.Hour
	first := start(t, s, rules, nil, newPartner("wallet", full, slow), newPartner("ocs", full, obey))
	id := first.buy(t, 1)
	leases, err := s.Leases(context.Background())
	if err != nil || len(leases) != 1 {
		t.Fatalf("%v, %d leases", err, len(leases))
	}
	wallet := newPartner("wallet", full, obey)
	second := start(t, s, quickRules(), func(c *purchase.Config) { c.Node = "n2" }, wallet, newPartner("ocs", full, obey))
	if _, err := s.Takeover(context.Background(), latest(t, s, leases[0].Epoch), second.Stats().Epoch, 100); err != nil {
		t.Fatal(err)
	}
	if err := first.end(); !errors.Is(err, purchase.ErrFenced) && err != nil {
		t.Errorf("the fenced node ended with %v", err)
	}
	if err := second.end(); err != nil {
		t.Fatal(err)
	}
	third := start(t, s, quickRules(), func(c *purchase.Config) { c.Node = "n2" }, wallet, newPartner("ocs", full, obey))
	if rec := third.settle(t, id); rec.Purchase.State != purchase.Credited {
		t.Errorf("after takeover: %s", rec.Purchase.State)
	}
}

func latest(t *testing.T, s *store.Memory, epoch int64) purchase.Lease {
	t.Helper()
	leases, err := s.Leases(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range leases {
		if l.Epoch == epoch {
			return l
		}
	}
	t.Fatalf("no lease %d", epoch)
	return purchase.Lease{}
}
