package care_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	_ "time/tzdata"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/testpeer"
)

// officeClock is the machine's, put forward by as much as a test says.
type officeClock struct{ by atomic.Int64 }

func (c *officeClock) Now() purchase.Instant {
	return purchase.At(time.Now()).Add(time.Duration(c.by.Load()))
}
func (c *officeClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// till puts the clock forward to an instant.
func (c *officeClock) till(at purchase.Instant) {
	if d := at.Sub(c.Now()); d > 0 {
		c.by.Add(int64(d))
	}
}

// counter is a partner that does what it is told to, and counts what it did by leg and key.
type counter struct {
	name   string
	mu     sync.Mutex
	silent bool // it executes nothing and says nothing
	refuse bool
	moved  map[purchase.Leg]map[purchase.Key]int
}

func (p *counter) Name() string { return p.name }
func (p *counter) Capability(purchase.Leg) purchase.Capability {
	return purchase.Capability{Supported: true, Idempotent: true, KeyLife: time.Hour, Query: true, Timeout: time.Second}
}

func (p *counter) Do(_ context.Context, o purchase.Order) purchase.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.silent:
		return purchase.Outcome{Kind: purchase.Unknown, Detail: "silence"}
	case p.refuse:
		return purchase.Outcome{Kind: purchase.Refused, Reason: purchase.ReasonOther, Detail: "no"}
	}
	if p.moved == nil {
		p.moved = map[purchase.Leg]map[purchase.Key]int{}
	}
	if p.moved[o.Leg] == nil {
		p.moved[o.Leg] = map[purchase.Key]int{}
	}
	p.moved[o.Leg][o.Key]++
	return purchase.Outcome{Kind: purchase.Done, Ref: p.name + "-" + o.Key.UUID(), Amount: o.Amount, Account: o.Account}
}

func (p *counter) Query(context.Context, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown, Detail: "silence"}
}

func (p *counter) Cancel(context.Context, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown}
}

func (p *counter) set(silent, refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent, p.refuse = silent, refuse
}

// movements counts how often money or units moved for a leg.
func (p *counter) movements(leg purchase.Leg) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, times := range p.moved[leg] {
		n += times
	}
	return n
}

// faulty is a real store, with faults where a test wants them.
type faulty struct {
	*store.Store
	fault func(after bool) error // of a write, before it and after it
}

func (s *faulty) write(do func() error) error {
	if s.fault == nil {
		return do()
	}
	if err := s.fault(false); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return s.fault(true)
}

func (s *faulty) MoveRequest(ctx context.Context, r care.Request) error {
	return s.write(func() error { return s.Store.MoveRequest(ctx, r) })
}

func (s *faulty) ChangeCase(ctx context.Context, c care.Change) (stored care.Case, err error) {
	err = s.write(func() (err error) {
		stored, err = s.Store.ChangeCase(ctx, c)
		return err
	})
	return stored, err
}

func (s *faulty) MoveBulk(ctx context.Context, b care.Bulk) (moved bool, err error) {
	err = s.write(func() (err error) {
		moved, err = s.Store.MoveBulk(ctx, b)
		return err
	})
	return moved, err
}

// presents is a house that gives once per request.
type presents struct {
	mu    sync.Mutex
	given map[int64]purchase.ID
	fault error
}

func (h *presents) Give(_ context.Context, r care.Request) (purchase.ID, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.given[r.ID] == 0 {
		h.given[r.ID] = purchase.ID(1000 + len(h.given))
	}
	return h.given[r.ID], h.fault
}

// office is a desk over a real database, before a real engine.
type office struct {
	*care.Desk
	store      *faulty
	engine     *purchase.Engine
	clock      *officeClock
	payer, ocs *counter
	house      *presents
	dialled    atomic.Int64
	keys       atomic.Int64
	changed    func(care.Changed)
}

// Dial is care.Dialler.
func (o *office) Dial(context.Context, care.Callback, care.Attempt) (string, error) {
	o.dialled.Add(1)
	return "tel:+22670112233", nil
}

// Notice is purchase.Wording.
type plainWording struct{}

func (plainWording) Notice(fact purchase.Fact, _ *purchase.Purchase, ref purchase.Reference, _ purchase.Outcome) string {
	return fact.String() + " " + ref.String()
}

// The staff of the tests.
var (
	anna  = auth.Staff{ID: 1, Login: "anna", Role: auth.Agent, Numbers: []purchase.MSISDN{22670000001}}
	basil = auth.Staff{ID: 2, Login: "basil", Role: auth.Agent}
	carol = auth.Staff{ID: 3, Login: "carol", Role: auth.Supervisor}
	dora  = auth.Staff{ID: 4, Login: "dora", Role: auth.Supervisor}
	emil  = auth.Staff{ID: 5, Login: "emil", Role: auth.Administrator}
	fania = auth.Staff{ID: 6, Login: "fania", Role: auth.Auditor}
)

// offices runs a test on each database.
func offices(t *testing.T, test func(*testing.T, *office)) {
	for name, address := range map[string]func(testing.TB) string{
		"sqlite":   func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "tenu.db") },
		"postgres": testpeer.VolatilePostgres,
	} {
		t.Run(name, func(t *testing.T) { test(t, openOffice(t, address(t))) })
	}
}

func openOffice(t *testing.T, dsn string) *office {
	t.Helper()
	if _, _, err := store.Migrate(t.Context(), dsn, store.Options{}); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), dsn, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	keys, err := purchase.NewKeyring([]byte("a secret of the tests"))
	if err != nil {
		t.Fatal(err)
	}
	o := &office{store: &faulty{Store: db}, clock: &officeClock{},
		payer: &counter{name: "wallet"}, ocs: &counter{name: "ocs"}, house: &presents{given: map[int64]purchase.ID{}}, changed: func(care.Changed) {}}
	for _, s := range []auth.Staff{anna, basil, carol, dora, emil, fania} {
		o.hire(t, s)
	}
	o.engine, err = purchase.New(purchase.Config{Store: db, Keys: keys, Clock: &officeClock{}, Wording: plainWording{}, Node: "test",
		Rules: purchase.DefaultRules(), Log: slog.New(slog.DiscardHandler),
		Partners: []purchase.Member{{Partner: o.payer, Concurrency: 4}, {Partner: o.ocs, Concurrency: 4}}})
	if err != nil {
		t.Fatal(err)
	}
	files, err := purchase.NewKeyring([]byte("another secret of the tests"))
	if err != nil {
		t.Fatal(err)
	}
	o.Desk, err = care.New(care.Config{Store: o.store, Files: files, Clock: o.clock, Engine: o.engine, House: o.house, References: keys, Dialler: o, Policy: care.DefaultPolicy(),
		Changed: func(x care.Changed) { o.changed(x) },
		Hours:   care.Hours{Closes: 24 * time.Hour, Location: time.UTC, PerWindow: 10}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- o.engine.Run(ctx, time.Second) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Errorf("engine: %v", err)
		}
	})
	for o.engine.Ready() != nil {
		select {
		case err := <-over:
			t.Fatalf("engine: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	return o
}

// hire gives one of the staff an account; IDs follow from the order.
func (o *office) hire(t *testing.T, s auth.Staff) {
	t.Helper()
	s.Version = 1
	if id, err := o.store.AddStaff(t.Context(), s, auth.Secrets{}, auth.StaffChange{At: 1, By: "test"}); err != nil || id != s.ID {
		t.Fatalf("%s is %d, want %d: %v", s.Login, id, s.ID, err)
	}
}

// saleOf is a purchase with its case, as it stands once it is in a state, or in doubt.
type saleOf struct {
	payer, recipient purchase.MSISDN
	total            int64
	doubt            bool // whether it was credited is not known
}

// morning puts the clock forward to nine o'clock of the next day, so that a day's end is far.
func (o *office) morning() {
	const day = 24 * time.Hour
	o.clock.till(purchase.At(o.clock.Now().Time().Truncate(day).Add(day + 9*time.Hour)))
}

func (o *office) sell(t *testing.T, s saleOf) (purchase.Purchase, care.Case) {
	t.Helper()
	p := o.buy(t, s)
	now := o.clock.Now()
	clocks := care.DefaultClocks()
	c, err := o.store.Store.ChangeCase(t.Context(), care.Change{Now: care.Case{Version: 1, Number: s.payer, Purchase: p.ID, Matters: []purchase.Matter{care.MatterNotReceived},
		Code: care.CodeTopUp, Status: care.Open, OpenedAt: now, ChangedAt: now, Clock: clocks.Start(now), DueAt: now.Add(time.Hour), Channel: "app", Language: "fr"}})
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}

// buy is a purchase without a case, once it is in a state, or in doubt.
func (o *office) buy(t *testing.T, s saleOf) purchase.Purchase {
	t.Helper()
	o.ocs.set(s.doubt, false)
	bought := o.engine.BuyAll(t.Context(), []purchase.Request{{Client: "app", ClientKey: "key-" + time.Duration(o.keys.Add(1)).String(), Channel: "app", Language: "fr",
		PayerNumber: s.payer, Recipient: s.recipient, Payer: "wallet", Provider: "ocs", Product: "airtime", Total: s.total, Units: s.total,
		Currency: money.XOF, Again: true}})[0]
	if bought.Err != nil {
		t.Fatal(bought.Err)
	}
	return o.until(t, bought.Purchase.ID, func(p *purchase.Purchase) bool {
		return p.State == purchase.Credited || s.doubt && p.State == purchase.Crediting && p.Legs[purchase.Credit].Doubt
	})
}

// until waits until a purchase is as it should be.
func (o *office) until(t *testing.T, id purchase.ID, is func(*purchase.Purchase) bool) purchase.Purchase {
	t.Helper()
	updates, stop := o.engine.Watch(id)
	defer stop()
	for {
		records, err := o.store.Load(t.Context(), id)
		if err != nil || len(records) != 1 {
			t.Fatalf("load: %v", err)
		}
		if is(&records[0].Purchase) {
			return records[0].Purchase
		}
		select {
		case <-updates:
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// finish lets requests have their effect until one is over.
func (o *office) finish(t *testing.T, id int64) care.Request {
	t.Helper()
	for range 200 {
		r, err := o.Request(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if r.Stage.Over() {
			return r
		}
		if r.DueAt > o.clock.Now() && r.Stage == care.StageApproved {
			o.clock.till(r.DueAt)
		}
		if _, err := o.StepRequests(t.Context(), o.clock.Now()); err != nil && !errors.Is(err, purchase.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	t.Fatal("the request has no end")
	return care.Request{}
}

// history is what a case's history holds, in short.
func (o *office) history(t *testing.T, id care.CaseID) string {
	t.Helper()
	entries, err := o.store.History(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, string(e.Event)+" "+e.By.Kind.String()+" "+e.Text)
	}
	return strings.Join(all, "\n")
}

// told is who was told what about a case or a callback.
func (o *office) told(t *testing.T, id care.CaseID, callback int64) (all []string) {
	t.Helper()
	messages, err := o.store.MessagesOf(t.Context(), id, callback)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		all = append(all, m.To.String()+" "+m.Text)
	}
	return all
}

func refused(t *testing.T, err error, why care.Why) {
	t.Helper()
	var refusal *care.Refusal
	if !errors.As(err, &refusal) || refusal.Why != why {
		t.Errorf("got %v, want refused: %s", err, why)
	}
}
