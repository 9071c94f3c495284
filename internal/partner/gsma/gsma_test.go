package gsma_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tenu/internal/money"
	"tenu/internal/partner"
	"tenu/internal/partner/gsma"
	"tenu/internal/partnertest"
	"tenu/internal/purchase"
	"tenu/internal/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is the system's, but that nobody waits an hour: held is told instead.
type clock struct{ held chan struct{} }

func (clock) Now() purchase.Instant { return purchase.At(time.Now()) }

func (c clock) After(d time.Duration) <-chan time.Time {
	if d >= time.Hour {
		c.held <- struct{}{}
		return nil
	}
	return time.After(d)
}

var callbackKey = []byte("the wallet's callback key, 32 bytes or more")

// bench is a sandbox wallet on a loopback address.
type bench struct {
	*sandbox.Wallet
	url  string
	keys *purchase.Keyring
	held chan struct{} // the wallet waits
}

// phones behave as their names say.
const (
	poor    = purchase.MSISDN(22670000001)
	barred  = purchase.MSISDN(22670000002)
	nobody  = purchase.MSISDN(22670000003)
	denying = purchase.MSISDN(22670000004)
	silent  = purchase.MSISDN(22670000005)
)

var phones = map[string]sandbox.Phone{
	"22670000001": {Balance: 10},
	"22670000002": {Balance: 1000000, Status: "unavailable"},
	"22670000003": {Status: "unregistered"},
	"22670000004": {Balance: 1000000, Decision: sandbox.Deny},
	"22670000005": {Balance: 1000000, Decision: sandbox.Ignore},
}

func newBench(t testing.TB, change ...func(*sandbox.WalletConfig)) *bench {
	t.Helper()
	held := make(chan struct{}, 64)
	config := sandbox.WalletConfig{
		Config: sandbox.Config{Name: "sandbox-wallet", Path: filepath.Join(t.TempDir(), "wallet.db"), Seed: 1,
			Clock: clock{held}, Log: slog.New(slog.DiscardHandler)},
		Currency: money.XOF, Opening: 1_000_000, Phones: phones, MerchantKey: "organisationid", Merchant: "tenu",
		APIKey: "secret", CallbackKey: callbackKey, CallbackRetries: 1, CallbackPause: 10 * time.Millisecond,
	}
	for _, f := range change {
		f(&config)
	}
	wallet, err := sandbox.NewWallet(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(wallet)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- wallet.Run(ctx) }()
	t.Cleanup(func() {
		server.Close()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := wallet.Close(); err != nil {
			t.Error(err)
		}
	})
	keys, err := purchase.NewKeyring([]byte("a secret for the tests"))
	if err != nil {
		t.Fatal(err)
	}
	return &bench{wallet, server.URL, keys, held}
}

func (b *bench) adapter(t testing.TB, url string, change ...func(*gsma.Config)) *gsma.Wallet {
	t.Helper()
	return b.adapterAt(t, url, clock{}.Now, change...)
}

// adapterAt is an adapter with a clock of its own.
func (b *bench) adapterAt(t testing.TB, url string, now func() purchase.Instant, change ...func(*gsma.Config)) *gsma.Wallet {
	t.Helper()
	config := gsma.Config{Name: "moov-money", URL: url, APIKey: "secret", Merchant: gsma.Party{Key: "organisationid", Value: "tenu"},
		CallbackKeys: [][]byte{callbackKey}}
	for _, f := range change {
		f(&config)
	}
	transport := partner.Transport(64, time.Second, nil)
	t.Cleanup(transport.CloseIdleConnections)
	wallet, err := gsma.New(config, b.keys, transport, now)
	if err != nil {
		t.Fatal(err)
	}
	return wallet
}

var lastID atomic.Int64

// order is a fresh charge of 1 050 F CFA.
func (b *bench) order(account purchase.MSISDN) purchase.Order {
	id := purchase.MakeID(3, 1<<36+lastID.Add(1))
	return purchase.Order{Purchase: id, Reference: b.keys.Reference(id), Leg: purchase.Charge, Key: b.keys.Key(id, purchase.Charge),
		Try: 1, FirstAt: clock{}.Now(), Account: account, Amount: money.Amount{Minor: 1050, Currency: money.XOF}, Product: "airtime"}
}

// refund is the refund of a charge.
func (b *bench) refund(charge purchase.Order, ref string) purchase.Order {
	o := charge
	o.Leg, o.Key, o.Original, o.Try = purchase.Refund, b.keys.Key(o.Purchase, purchase.Refund), ref, 1
	return o
}

// charged is a charge that was done, and its reference.
func (b *bench) charged(t testing.TB) (purchase.Order, string) {
	t.Helper()
	o := b.order(22670112233)
	p := b.adapter(t, b.url)
	out := p.Do(t.Context(), o)
	for out.Kind == purchase.Pending && t.Context().Err() == nil {
		out = p.Query(t.Context(), o)
	}
	if out.Kind != purchase.Done {
		t.Fatalf("charge: %+v", out)
	}
	return o, out.Ref
}

func (b *bench) fault(t testing.TB, f sandbox.Fault) {
	t.Helper()
	if _, err := b.Faults().Add(f); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) booked(t testing.TB, key purchase.Key) []sandbox.Movement {
	t.Helper()
	all, err := b.Book().ByKey(t.Context(), key.UUID())
	if err != nil {
		t.Fatal(err)
	}
	var moved []sandbox.Movement
	for _, m := range all {
		if m.Moved != 0 {
			moved = append(moved, m)
		}
	}
	return moved
}

// subject is the adapter with the bench behind it, for the conformance kit.
func (b *bench) subject() partnertest.Subject {
	return partnertest.Subject{
		URL:  b.url,
		New:  func(t testing.TB, url string) purchase.Partner { return b.adapter(t, url) },
		Legs: []purchase.Leg{purchase.Charge, purchase.Refund},
		Order: func(t testing.TB, leg purchase.Leg) purchase.Order {
			if leg == purchase.Refund {
				return b.refund(b.charged(t))
			}
			return b.order(22670112233)
		},
		Refused: func(t testing.TB, leg purchase.Leg) (purchase.Order, purchase.Reason) {
			if leg == purchase.Refund {
				o, ref := b.charged(t)
				o = b.refund(o, ref)
				o.Amount.Minor++
				return o, purchase.ReasonBarredLine
			}
			return b.order(poor), purchase.ReasonFunds
		},
		Moves: func(r *http.Request, _ []byte) bool { return r.Method == http.MethodPost },
		Booked: func(t testing.TB, key purchase.Key) []partnertest.Movement {
			var list []partnertest.Movement
			for _, m := range b.booked(t, key) {
				list = append(list, partnertest.Movement{Key: m.Key, Amount: money.Amount{Minor: m.Amount, Currency: money.Currency(m.Currency)}})
			}
			return list
		},
		Parse: b.keys.ParseUUID,
	}
}

func TestConformance(t *testing.T) {
	for name, change := range map[string]func(*sandbox.WalletConfig){
		"answered at once":      func(*sandbox.WalletConfig) {},
		"answered later":        func(c *sandbox.WalletConfig) { c.Async = true },
		"duplicates refused":    func(c *sandbox.WalletConfig) { c.RefuseDuplicates = true },
		"customers take a time": func(c *sandbox.WalletConfig) { c.After = 3 * time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) { partnertest.Run(t, newBench(t, change).subject()) })
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	b := newBench(t)
	good := gsma.Config{Name: "w", URL: "https://wallet.example/mm", Merchant: gsma.Party{Key: "walletid", Value: "7"}}
	for what, change := range map[string]func(*gsma.Config){
		"name":         func(c *gsma.Config) { c.Name = "" },
		"url":          func(c *gsma.Config) { c.URL = "wallet.example" },
		"merchant":     func(c *gsma.Config) { c.Merchant.Value = "" },
		"callbacks":    func(c *gsma.Config) { c.CallbackURL = "https://tenu.example/callbacks" },
		"callback key": func(c *gsma.Config) { c.CallbackKeys = [][]byte{[]byte("short")} },
		"key life":     func(c *gsma.Config) { c.KeyLife = time.Second },
		"no time":      func(c *gsma.Config) { c.Lateness = -1 },
	} {
		config := good
		change(&config)
		if _, err := gsma.New(config, b.keys, http.DefaultTransport, clock{}.Now); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	w, err := gsma.New(good, b.keys, http.DefaultTransport, clock{}.Now)
	if err != nil {
		t.Fatal(err)
	}
	want := purchase.Capability{Supported: true, Idempotent: true, KeyLife: 24 * time.Hour, Query: true, Timeout: 10 * time.Second}
	if got := w.Capability(purchase.Refund); got != want || w.Capability(purchase.Credit).Supported {
		t.Errorf("capability %+v, want %+v", got, want)
	}
}

// What the wallet refuses, and why, by number.
func TestRefusals(t *testing.T) {
	b := newBench(t)
	p := b.adapter(t, b.url)
	for account, reason := range map[purchase.MSISDN]purchase.Reason{
		poor: purchase.ReasonFunds, barred: purchase.ReasonBarredLine, nobody: purchase.ReasonUnknownLine, denying: purchase.ReasonNotApproved,
	} {
		o := b.order(account)
		if out := p.Do(t.Context(), o); out.Kind != purchase.Refused || out.Reason != reason {
			t.Errorf("%d: got %+v, want refused: %s", account, out, reason)
		}
		if out := p.Query(t.Context(), o); out.Kind != purchase.Refused || out.Reason != reason {
			t.Errorf("%d: query: got %+v, want refused: %s", account, out, reason)
		}
	}
	for code, reason := range map[string]purchase.Reason{
		"dailyValueLimitExceeded": purchase.ReasonLimit, "maxBalanceExceeded": purchase.ReasonLimit, "rateLimitError": purchase.ReasonClosed,
		"clientAuthorisationError": purchase.ReasonClosed, "noMandateAuthority": purchase.ReasonOther, "lengthError": purchase.ReasonOther,
	} {
		b.fault(t, sandbox.Fault{Operation: "charge", Kind: sandbox.Refuse, Code: code, Next: 1})
		if out := p.Do(t.Context(), b.order(22670112233)); out.Kind != purchase.Refused || out.Reason != reason || !strings.Contains(out.Detail, code) {
			t.Errorf("%s: got %+v, want refused: %s", code, out, reason)
		}
	}
	wrong := b.adapter(t, b.url, func(c *gsma.Config) { c.APIKey = "of somebody else" })
	if out := wrong.Do(t.Context(), b.order(22670112233)); out.Kind != purchase.Refused || out.Reason != purchase.ReasonClosed {
		t.Errorf("wrong API key: got %+v", out)
	}
}

// Every fault of the wallet that shows in an outcome, and what must be seen.
func TestFaults(t *testing.T) {
	b := newBench(t)
	p := b.adapter(t, b.url)
	xof := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: money.XOF} }
	done := func(change func(*purchase.Outcome)) purchase.Outcome {
		out := purchase.Outcome{Kind: purchase.Done, Amount: xof(1050), Account: 22670112233}
		change(&out)
		return out
	}
	as := func(kind purchase.Kind) purchase.Outcome { return purchase.Outcome{Kind: kind} }
	asAsked := done(func(*purchase.Outcome) {})
	for _, c := range []struct {
		kind   sandbox.Kind
		do     purchase.Outcome // kind, amount and account
		query  purchase.Outcome
		booked int
	}{
		{sandbox.LoseRequest, as(purchase.Unknown), as(purchase.Absent), 0},
		{sandbox.Outage, as(purchase.Unknown), as(purchase.Absent), 0},
		{sandbox.LoseReply, as(purchase.Unknown), asAsked, 1},
		{sandbox.ServerError, as(purchase.Unknown), asAsked, 1},
		{sandbox.CachedError, as(purchase.Unknown), asAsked, 1},
		{sandbox.Garbage, as(purchase.Unknown), asAsked, 1},
		{sandbox.Huge, as(purchase.Unknown), asAsked, 1},
		{sandbox.Conflict, as(purchase.Unknown), as(purchase.Absent), 0},
		{sandbox.Twice, asAsked, asAsked, 2},
		{sandbox.Lie, asAsked, asAsked, 0},
		{sandbox.WrongAmount, done(func(o *purchase.Outcome) { o.Amount.Minor = 1156 }), done(func(o *purchase.Outcome) { o.Amount.Minor = 1156 }), 1},
		{sandbox.Partial, done(func(o *purchase.Outcome) { o.Amount.Minor = 525 }), done(func(o *purchase.Outcome) { o.Amount.Minor = 525 }), 1},
		{sandbox.WrongCurrency, done(func(o *purchase.Outcome) { o.Amount.Currency = money.XAF }), done(func(o *purchase.Outcome) { o.Amount.Currency = money.XAF }), 1},
		{sandbox.WrongNumber, done(func(o *purchase.Outcome) { o.Account++ }), done(func(o *purchase.Outcome) { o.Account++ }), 1},
		{sandbox.SlowAnswer, asAsked, asAsked, 1},
		{sandbox.Unapproved, as(purchase.Refused), as(purchase.Refused), 0},
		{sandbox.Unanswered, as(purchase.Pending), as(purchase.Pending), 0},
	} {
		for _, leg := range []purchase.Leg{purchase.Charge, purchase.Refund} {
			if leg == purchase.Refund && (c.kind == sandbox.Unapproved || c.kind == sandbox.Unanswered) {
				continue
			}
			t.Run(fmt.Sprintf("%s %s", c.kind, leg), func(t *testing.T) {
				o := b.order(22670112233)
				if leg == purchase.Refund {
					o = b.refund(b.charged(t))
				}
				b.fault(t, sandbox.Fault{Operation: leg.String(), Kind: c.kind, Next: 1, DelayMS: 1})
				got := p.Do(t.Context(), o)
				same(t, "do", got, c.do)
				same(t, "query", p.Query(t.Context(), o), c.query)
				if booked := b.booked(t, o.Key); len(booked) != c.booked {
					t.Errorf("the books show %+v, want %d", booked, c.booked)
				}
			})
		}
	}
}

// w18: an answer that drips, or that does not come, is given up.
func TestSlowAnswers(t *testing.T) {
	b := newBench(t)
	p := b.adapter(t, b.url)
	for _, kind := range []sandbox.Kind{sandbox.Drip, sandbox.SlowAnswer} {
		o := b.order(22670112233)
		b.fault(t, sandbox.Fault{Operation: "charge", Kind: kind, Next: 1, DelayMS: time.Hour.Milliseconds()})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-b.held
			cancel()
		}()
		if out := p.Do(ctx, o); out.Kind != purchase.Unknown {
			t.Errorf("%s: got %+v, want unknown", kind, out)
		}
		if out := p.Query(t.Context(), o); out.Kind != purchase.Done {
			t.Errorf("%s: query: got %+v, want done", kind, out)
		}
	}
}

func same(t *testing.T, what string, got, want purchase.Outcome) {
	t.Helper()
	if got.Kind != want.Kind || got.Amount != want.Amount || got.Account != want.Account {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

// w14: the 500 stays, whatever is tried under the key, and the query tells.
func TestCachedError(t *testing.T) {
	b := newBench(t)
	p, o := b.adapter(t, b.url), b.order(22670112233)
	b.fault(t, sandbox.Fault{Operation: "charge", Kind: sandbox.CachedError, Next: 1})
	for o.Try = 1; o.Try <= 3; o.Try++ {
		if out := p.Do(t.Context(), o); out.Kind != purchase.Unknown {
			t.Errorf("try %d: got %+v, want unknown", o.Try, out)
		}
	}
	if out := p.Query(t.Context(), o); out.Kind != purchase.Done || len(b.booked(t, o.Key)) != 1 {
		t.Errorf("query: got %+v, want done once", out)
	}
}

// w3 and w10: the query finds nothing, and later the wallet has executed.
func TestLate(t *testing.T) {
	b := newBench(t)
	p, o := b.adapter(t, b.url), b.order(22670112233)
	b.fault(t, sandbox.Fault{Operation: "charge", Kind: sandbox.Late, Next: 1, DelayMS: 50})
	if out := p.Do(t.Context(), o); out.Kind != purchase.Unknown {
		t.Fatalf("got %+v, want unknown", out)
	}
	absent := 0
	out := p.Query(t.Context(), o)
	for out.Kind == purchase.Absent && t.Context().Err() == nil {
		absent++
		out = p.Query(t.Context(), o)
	}
	if out.Kind != purchase.Done || absent == 0 {
		t.Errorf("got %+v after %d times absent", out, absent)
	}
	o.Try = 2
	if again, booked := p.Do(t.Context(), o), b.booked(t, o.Key); again.Ref != out.Ref || len(booked) != 1 {
		t.Errorf("%+v, then %+v, booked %v", out, again, booked)
	}
}

// A try again is the same request to the wallet, however much later it comes.
func TestTriedAgainLater(t *testing.T) {
	b := newBench(t)
	o := b.order(22670112233)
	out := b.adapter(t, b.url).Do(t.Context(), o)
	later := b.adapterAt(t, b.url, func() purchase.Instant { return clock{}.Now().Add(2 * time.Hour) })
	if o.Try = 2; later.Do(t.Context(), o).Kind == purchase.Unknown || len(b.booked(t, o.Key)) != 1 {
		t.Errorf("%+v, then another answer, booked %v", out, b.booked(t, o.Key))
	}
}

// w7: done, then taken back.
func TestReversedLater(t *testing.T) {
	b := newBench(t)
	p, o := b.adapter(t, b.url), b.order(22670112233)
	b.fault(t, sandbox.Fault{Operation: "charge", Kind: sandbox.ReverseLater, Next: 1, DelayMS: 20})
	out := p.Do(t.Context(), o)
	ref := out.Ref
	if out.Kind != purchase.Done {
		t.Fatalf("got %+v, want done", out)
	}
	for out.Kind == purchase.Done && t.Context().Err() == nil {
		out = p.Query(t.Context(), o)
	}
	if out.Kind != purchase.Reversed || out.Ref != ref || out.Amount != o.Amount || out.Account != o.Account {
		t.Errorf("got %+v, want %s reversed", out, ref)
	}
}

// w10: a 404 on a query says absent, which the engine believes past the
// lateness bound only.
func TestNotFound(t *testing.T) {
	b := newBench(t)
	o, ref := b.charged(t)
	p := b.adapter(t, b.url)
	b.fault(t, sandbox.Fault{Operation: "query", Kind: sandbox.NotFound, Next: 1})
	if out := p.Query(t.Context(), o); out.Kind != purchase.Absent {
		t.Errorf("got %+v, want absent", out)
	}
	b.fault(t, sandbox.Fault{Operation: "query", Kind: sandbox.NotFound, Skip: 1, Next: 1})
	if out := p.Query(t.Context(), o); out.Kind != purchase.Unknown {
		t.Errorf("a link to nothing: got %+v, want unknown", out)
	}
	if out := p.Query(t.Context(), o); out.Kind != purchase.Done || out.Ref != ref {
		t.Errorf("got %+v, want done", out)
	}
}

// w12: a key that the wallet has forgotten is executed again: why the engine
// does not resend after KeyLife.
func TestForgottenKey(t *testing.T) {
	b := newBench(t)
	o, _ := b.charged(t)
	b.fault(t, sandbox.Fault{Operation: "charge", Kind: sandbox.ForgetKey, Next: 1})
	if out := b.adapter(t, b.url).Do(t.Context(), o); out.Kind != purchase.Done || len(b.booked(t, o.Key)) != 2 {
		t.Errorf("got %+v, and %d executions, want a second", out, len(b.booked(t, o.Key)))
	}
}

func TestHeartbeat(t *testing.T) {
	b := newBench(t)
	p := b.adapter(t, b.url)
	for kind, want := range map[sandbox.Kind]partner.Status{
		"": partner.Available, sandbox.Degraded: partner.Degraded, sandbox.Outage: partner.Unavailable,
		sandbox.LoseReply: partner.Unavailable, sandbox.Garbage: partner.Unavailable, sandbox.ServerError: partner.Unavailable,
	} {
		b.Faults().Clear()
		if kind != "" {
			b.fault(t, sandbox.Fault{Operation: "heartbeat", Kind: kind})
		}
		got := p.Probe(t.Context())
		if got.Status != want {
			t.Errorf("%q: got %+v, want %s", kind, got, want)
		}
		if planned := kind == sandbox.Degraded || kind == sandbox.Outage; planned != (got.Until > clock{}.Now()) {
			t.Errorf("%q: planned restoration %s", kind, got.Until)
		}
	}
}

// BenchmarkCharge measures charges over loopback HTTP, with the wallet's
// durable books in the same process.
func BenchmarkCharge(b *testing.B) {
	wallet := newBench(b)
	p := wallet.adapter(b, wallet.url)
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			o := wallet.order(22670112233)
			o.Account += purchase.MSISDN(o.Purchase.Sequence() % 100_000)
			if out := p.Do(context.Background(), o); out.Kind != purchase.Done {
				b.Error(out)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "charges/s")
}
