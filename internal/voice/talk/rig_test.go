package talk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	_ "time/tzdata"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/customer"
	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/numbering"
	"tenu/internal/purchase"
	"tenu/internal/sale"
	"tenu/internal/store"
	"tenu/internal/voice/centre"
	"tenu/internal/voice/line"
	"tenu/internal/voice/speech"
)

// hands is a clock that a test moves. Nothing that is waited for ever takes too long, but where a test says so.
type hands struct {
	now  purchase.Instant
	late bool
}

func (h *hands) Now() purchase.Instant { return h.now }
func (h *hands) After(time.Duration) <-chan time.Time {
	if !h.late {
		return nil
	}
	over := make(chan time.Time)
	close(over)
	return over
}

// noon is the first instant of every test, and the hour at which purchases are made.
var noon = purchase.At(time.Date(2024, 7, 9, 13, 45, 0, 0, time.UTC))

// The numbers of the tests.
const (
	awa  purchase.MSISDN = 22670112233
	omar purchase.MSISDN = 22670445566
)

// faulty is a real store, with faults where a test wants them.
type faulty struct {
	*store.Store
	fault func(ctx context.Context, what string) error
}

func (s *faulty) List(ctx context.Context, page purchase.Page) ([]purchase.Purchase, error) {
	if err := s.fault(ctx, "list"); err != nil {
		return nil, err
	}
	return s.Store.List(ctx, page)
}

func (s *faulty) AddReport(ctx context.Context, r care.Report) (care.Report, bool, error) {
	if err := s.fault(ctx, "report"); err != nil {
		return care.Report{}, false, err
	}
	return s.Store.AddReport(ctx, r)
}

func (s *faulty) ChangeCase(ctx context.Context, c care.Change) (care.Case, error) {
	if err := s.fault(ctx, "case"); err != nil {
		return care.Case{}, err
	}
	return s.Store.ChangeCase(ctx, c)
}

func (s *faulty) AddCallback(ctx context.Context, c care.Callback, most int) (care.Callback, bool, error) {
	if err := s.fault(ctx, "promise"); err != nil {
		return care.Callback{}, false, err
	}
	return s.Store.AddCallback(ctx, c, most)
}

func (s *faulty) ChangeCallback(ctx context.Context, c care.CallbackChange) error {
	if err := s.fault(ctx, "confirm"); err != nil {
		return err
	}
	return s.Store.ChangeCallback(ctx, c)
}

func (s *faulty) CancelCallback(ctx context.Context, id int64, number purchase.MSISDN, at purchase.Instant) (care.Callback, error) {
	if err := s.fault(ctx, "cancel"); err != nil {
		return care.Callback{}, err
	}
	return s.Store.CancelCallback(ctx, id, number, at)
}

func (s *faulty) Callbacks(ctx context.Context, number purchase.MSISDN, limit int) ([]care.Callback, error) {
	if err := s.fault(ctx, "callbacks"); err != nil {
		return nil, err
	}
	return s.Store.Callbacks(ctx, number, limit)
}

func (s *faulty) PutCode(ctx context.Context, c auth.Code, limits []auth.Limit) error {
	if err := s.fault(ctx, "code"); err != nil {
		return err
	}
	return s.Store.PutCode(ctx, c, limits)
}

func (s *faulty) TryCode(ctx context.Context, number purchase.MSISDN) (auth.Code, error) {
	if err := s.fault(ctx, "try"); err != nil {
		return auth.Code{}, err
	}
	return s.Store.TryCode(ctx, number)
}

func (s *faulty) SetChoices(ctx context.Context, number purchase.MSISDN, c customer.Choices, at purchase.Instant) error {
	if err := s.fault(ctx, "choose"); err != nil {
		return err
	}
	return s.Store.SetChoices(ctx, number, c, at)
}

func (s *faulty) Affects(ctx context.Context, p purchase.ID) ([]incident.ID, error) {
	if err := s.fault(ctx, "affects"); err != nil {
		return nil, err
	}
	return s.Store.Affects(ctx, p)
}

// unwatched is an engine that tells nothing of changes.
type unwatched struct{}

func (unwatched) Watch(purchase.ID) (<-chan purchase.Purchase, func()) { return nil, func() {} }

// rig is a Talk before real desks over a real database.
type rig struct {
	*hands
	t      testing.TB
	store  *faulty
	care   *care.Desk
	terms  purchase.Terms
	epoch  int64
	next   int64
	agents *agents
	cfg    Config
	codes  chan string
	sent   error // of the message of a code
	others purchase.MSISDN

	mu    sync.Mutex
	calls []centre.Call
}

// agents are as a test says.
type agents struct {
	open        bool
	least, most time.Duration
	known       bool
	full        error
	waiters     []centre.Waiter
	place       *place
	takes       []purchase.Instant // when those take a call who are given one after the other
	rang        []centre.Agent
	down        bool // once one was called
}

func (a *agents) Open() bool { return a.open }
func (a *agents) Estimate(bool) (int, time.Duration, time.Duration, bool) {
	return 3, a.least, a.most, a.known
}

func (a *agents) Enter(w centre.Waiter) (Place, error) {
	a.waiters = append(a.waiters, w)
	if a.full != nil {
		return nil, a.full
	}
	return a.place, nil
}

func (a *agents) Connect(ctx context.Context, _ *line.Call, given centre.Agent) (purchase.Instant, error) {
	a.rang = append(a.rang, given)
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	taken := a.takes[len(a.rang)-1]
	if taken == 0 {
		a.open = !a.down
		return 0, errors.New("nobody took it")
	}
	return taken, nil
}

type place struct {
	given chan centre.Agent
	at    int
	left  int
}

func (p *place) Given() <-chan centre.Agent { return p.given }
func (p *place) At() int                    { return p.at }
func (p *place) Leave()                     { p.left++ }

// fresh is the file of an empty database: a copy of one that was migrated once.
func fresh(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tenu.db")
	data := must[[]byte](t)(empty())
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var empty = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "talk")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "tenu.db")
	if _, _, err := store.Migrate(context.Background(), "sqlite:"+path, store.Options{}); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func newRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	db := must[*store.Store](t)(store.Open(t.Context(), "sqlite:"+fresh(t), store.Options{}))
	t.Cleanup(func() { _ = db.Close() })
	lease := must[purchase.Lease](t)(db.Acquire(t.Context(), "test"))
	keys := must[*purchase.Keyring](t)(purchase.NewKeyring([]byte("a secret of the tests")))
	files := must[*purchase.Keyring](t)(purchase.NewKeyring([]byte("another secret of the tests")))
	plan := must[*numbering.Plan](t)(numbering.ParsePlan("bf.yaml", numbering.BurkinaFaso))
	numbers := numbering.NewDirectory(plan)
	r := &rig{hands: &hands{now: noon}, t: t, next: 1, epoch: lease.Epoch, codes: make(chan string, 10), store: &faulty{Store: db},
		agents: &agents{open: true, known: true, least: 3 * time.Minute, most: 350 * time.Second, place: &place{given: make(chan centre.Agent, 5), at: 2}}}
	r.store.fault = func(context.Context, string) error { return nil }
	rules := purchase.DefaultRules()
	rules.RepeatWithin, rules.ResolveWithin = 0, 15*time.Minute
	r.terms = purchase.Terms{Rules: rules, Alternate: func(*purchase.Purchase) string { return "" },
		Capability: func(string, purchase.Leg) purchase.Capability {
			return purchase.Capability{Supported: true, Query: true, Lateness: 2 * time.Minute, Timeout: time.Second}
		}}
	hours := care.Hours{Opens: 7 * time.Hour, Closes: 21 * time.Hour, Location: time.UTC, PerWindow: 1}
	r.care = must[*care.Desk](t)(care.New(care.Config{Store: r.store, Clock: r, Hours: hours, References: keys, Files: files}))
	customers := must[*customer.Desk](t)(customer.New(customer.Config{Sales: &sale.Desk{}, Care: r.care, Purchases: r.store, Engine: unwatched{},
		References: keys, Store: r.store, Clock: r, Random: rand.Reader, Rules: rules}))
	codes := must[*auth.Codes](t)(auth.NewCodes(r.store, r, rand.Reader, []byte("a secret of the codes"),
		auth.CodeLimits{Number: 3, NumberDaily: 10, Source: 30, Prefix: 300, PrefixDigits: 4, Daily: 1000}))
	calls := 0
	r.cfg = Config{Customers: customers, Care: r.care, Incidents: r.store, Codes: codes, Agents: r.agents, Hours: hours, Clock: r,
		Voices: must[*speech.Voices](t)(speech.Load()), Log: slog.New(slog.DiscardHandler), Patience: 10 * time.Second,
		Serves: func(purchase.MSISDN) []incident.Series {
			return []incident.Series{{By: incident.ByProvider, Name: "ocs"}}
		},
		Number: func(text string) (purchase.MSISDN, bool) {
			number, _, err := numbers.Parse(text)
			return number, err == nil
		},
		Send: func(_ purchase.MSISDN, _, code string) error {
			r.codes <- code
			return r.sent
		},
		NewID:  func() string { calls++; return fmt.Sprint("call-", calls) },
		Record: func(c centre.Call) { r.mu.Lock(); defer r.mu.Unlock(); r.calls = append(r.calls, c) }}
	if change != nil {
		change(&r.cfg)
	}
	return r
}

func must[T any](t testing.TB) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func answer(leg purchase.Leg, kind purchase.Kind) purchase.Event {
	ev := purchase.Event{Leg: leg, Source: purchase.FromAnswer, Outcome: purchase.Outcome{Kind: kind}}
	if kind == purchase.Done {
		ev.Outcome.Ref, ev.Outcome.Amount = leg.String(), money.Amount{Minor: 1050, Currency: money.XOF}
		if leg == purchase.Credit {
			ev.Outcome.Amount.Minor = 1000
		}
	}
	return ev
}

// Ways that a purchase may go.
var (
	charged  = answer(purchase.Charge, purchase.Done)
	declined = answer(purchase.Charge, purchase.Refused)
	silence  = answer(purchase.Credit, purchase.Unknown)
	credited = answer(purchase.Credit, purchase.Done)
	refused  = answer(purchase.Credit, purchase.Refused)
	refunded = answer(purchase.Refund, purchase.Done)
)

// sell makes a purchase that awa pays, and lets it meet events.
func (r *rig) sell(recipient purchase.MSISDN, events ...purchase.Event) purchase.Purchase {
	r.t.Helper()
	wish := purchase.Request{Client: "app", ClientKey: fmt.Sprint("k", r.next), Channel: "app", Language: "fr", PayerNumber: awa, Recipient: recipient,
		Payer: "wallet", Provider: "ocs", Product: "airtime", Offer: 1, Total: 1050, Fee: 50, Units: 1000, Currency: money.XOF}
	step := r.terms.Begin(&wish, purchase.MakeID(0, r.next), r.epoch, r.now)
	r.next++
	r.commit(step)
	return r.drive(step.Change.Now, events...)
}

// drive lets a purchase meet events.
func (r *rig) drive(p purchase.Purchase, events ...purchase.Event) purchase.Purchase {
	r.t.Helper()
	for _, ev := range events {
		step := r.terms.Next(&p, ev, r.now, false, r.epoch)
		if step.Durable {
			r.commit(step)
		}
		p = step.Change.Now
	}
	return p
}

func (r *rig) commit(step *purchase.Step) {
	r.t.Helper()
	verdicts, err := r.store.Commit(r.t.Context(), r.epoch, []purchase.Change{step.Change})
	if err != nil || verdicts[0].Result != purchase.Written {
		r.t.Fatalf("commit: %+v, %v", verdicts, err)
	}
}

// outage opens an incident of the provider, and links a purchase to it where one is given.
func (r *rig) outage(expected purchase.Instant) incident.Incident {
	r.t.Helper()
	in := must[incident.Incident](r.t)(r.store.ChangeIncident(r.t.Context(), incident.Change{
		Now: incident.Incident{Version: 1, Series: incident.Series{By: incident.ByProvider, Name: "ocs"}, Rule: incident.RuleHand, Status: incident.Ongoing,
			Severity: incident.Minor, Since: noon, SeenAt: noon, ChangedAt: noon, ExpectedAt: expected},
		Entries: []incident.Entry{{At: noon, Event: incident.EventOpened}}}))
	must[int64](r.t)(r.store.Affect(r.t.Context(), in.ID, incident.Reach{Series: in.Series, From: noon, Till: noon.Add(time.Hour), At: r.now.Add(2 * time.Minute), Within: time.Minute}))
	return in
}

// treat lets care take in what was reported, and tell customers.
func (r *rig) treat() {
	r.t.Helper()
	for range 3 {
		must[purchase.Instant](r.t)(r.care.Step(r.t.Context(), r.now))
	}
}

// letters are the texts to a number that were not sent yet.
func (r *rig) letters(number purchase.MSISDN) (texts []string) {
	r.t.Helper()
	for _, n := range must[[]purchase.Notice](r.t)(store.NewLetters(r.store.Store).UnsentNotices(r.t.Context(), 1000)) {
		if n.To == number {
			texts = append(texts, n.Text)
		}
	}
	return texts
}

// caller is a script: what is pressed wherever keys are waited for. A dot is silence, a tilde waits for the
// end of what is waited for, a C is the code that was sent. At its end the caller hangs up.
type caller struct {
	r        *rig
	end      context.CancelCauseFunc
	language string
	keys     string
	hangUp   int // after so many phrases; 0: at the end of the script
	asked    []string
	said     []string
	on       func(key string)
}

func (c *caller) Say(ctx context.Context, key string, v map[string]speech.Value) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.asked = append(c.asked, key)
	c.said = append(c.said, c.r.cfg.Voices.Text(c.language, c.r.cfg.Voices.Say(c.language, key, v)))
	if c.on != nil {
		c.on(key)
	}
	if len(c.asked) == c.hangUp {
		c.end(line.ErrHungUp)
	}
	return context.Cause(ctx)
}

func (c *caller) Key(ctx context.Context, _ time.Duration) (byte, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if c.keys == "" {
		c.end(line.ErrHungUp)
		return 0, line.ErrHungUp
	}
	key := c.keys[0]
	c.keys = c.keys[1:]
	switch key {
	case '~':
		<-ctx.Done()
		return 0, context.Cause(ctx)
	case '.':
		return 0, nil
	}
	return key, nil
}

func (c *caller) Digits(ctx context.Context, most int, within time.Duration) (string, error) {
	if strings.HasPrefix(c.keys, "C") {
		c.keys = <-c.r.codes + c.keys[1:]
	}
	var typed strings.Builder
	for typed.Len() < most {
		key, err := c.Key(ctx, within)
		if err != nil {
			return "", err
		}
		if key == 0 || key == '#' {
			break
		}
		typed.WriteByte(key)
	}
	return typed.String(), nil
}

// heard is what was said, as one text.
func (c *caller) heard() string { return strings.Join(c.said, " | ") }

// call calls from a number, 0 for a hidden one, and presses keys.
func (r *rig) call(number purchase.MSISDN, keys string) (*caller, centre.Call) {
	r.t.Helper()
	return r.talk(&caller{keys: keys}, number, (*conversation).serve)
}

func (r *rig) talk(c *caller, number purchase.MSISDN, talk func(*conversation) error) (*caller, centre.Call) {
	r.t.Helper()
	x := must[*Talk](r.t)(New(r.cfg))
	ctx, end := context.WithCancelCause(r.t.Context())
	defer end(nil)
	c.r, c.end, c.language = r, end, "fr"
	v := x.begin(ctx, c, centre.Call{Trunk: "sbc", Number: number, Language: "fr", At: r.now})
	v.speak = func(language string) { c.language = language }
	v.connect = func(ctx context.Context, a centre.Agent) (purchase.Instant, error) {
		return r.agents.Connect(ctx, nil, a)
	}
	before := len(r.calls)
	v.run(talk)
	if len(r.calls) != before+1 {
		r.t.Fatalf("%d records of one call", len(r.calls)-before)
	}
	return c, r.calls[before]
}

// follows fails unless phrases were said in this order, with others between them.
func (c *caller) follows(keys ...string) {
	c.r.t.Helper()
	at := 0
	for _, key := range keys {
		n := slices.Index(c.asked[at:], key)
		if n < 0 {
			c.r.t.Fatalf("%q is not said after %q: %q", key, keys, c.asked)
		}
		at += n + 1
	}
}
