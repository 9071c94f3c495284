package ucip

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tenu/internal/money"
	"tenu/internal/partner"
	"tenu/internal/partner/ucip/xmlrpc"
	"tenu/internal/purchase"
	"tenu/internal/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const line purchase.MSISDN = 22670112233

var keyring, _ = purchase.NewKeyring([]byte("a secret of the tests, 32 bytes!"))

// clock tells the time; what waits in it says so and waits until it is given up.
type clock struct{ waiting chan struct{} }

func (clock) Now() purchase.Instant { return purchase.At(time.Now()) }

func (c clock) After(time.Duration) <-chan time.Time {
	select {
	case c.waiting <- struct{}{}:
	default:
	}
	return nil
}

// bench is an adapter before a sandbox charging system.
type bench struct {
	*Partner
	t       *testing.T
	system  *sandbox.Charging
	waiting chan struct{} // filled when an answer is held back
	url     string
	next    purchase.ID
	last    []byte // the last request's body
}

// setting changes what both sides are built from.
type setting func(*Config, *sandbox.ChargingConfig)

func detecting(c *Config, s *sandbox.ChargingConfig) { c.KeyLife, s.DetectFor = time.Hour, time.Hour }

func newBench(t *testing.T, settings ...setting) *bench {
	t.Helper()
	waiting := make(chan struct{}, 1)
	theirs := sandbox.ChargingConfig{
		Config: sandbox.Config{Name: "air", Path: filepath.Join(t.TempDir(), "air.db"), Seed: 1, Clock: clock{waiting},
			Log: slog.New(slog.DiscardHandler)},
		Currency: money.XOF, Prefixes: []string{"2267011"}, CountryCode: "226", Opening: 5000, Most: 1_000_000, Profile: "AIR",
		Bundles: map[string]sandbox.ChargingBundle{
			"D1G": {Code: "data-1g", Account: 21, Value: 1024, Unit: "MB", Validity: 24 * time.Hour},
			"V30": {Code: "voice-30", Account: 22, Value: 30, Unit: "min"},
		},
		User: "tenu", Password: "secret",
	}
	ours := Config{Name: "air", HostName: "tenu", Currency: money.XOF, Profile: "AIR", User: "tenu", Password: "secret", CountryCode: "226",
		Bundles: map[string]Bundle{
			"data-1g":  {Profile: "D1G", Account: 21, Value: 1024, Unit: "MB"},
			"voice-30": {Profile: "V30", Account: 22, Value: 30, Unit: "min"},
		}}
	for _, set := range settings {
		set(&ours, &theirs)
	}
	system, err := sandbox.NewCharging(t.Context(), theirs)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(system)
	t.Cleanup(func() {
		server.Close()
		if err := system.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bench{t: t, system: system, waiting: waiting, url: server.URL}
	ours.URL = server.URL + "/Air"
	transport := partner.Transport(64, time.Second, nil)
	t.Cleanup(transport.CloseIdleConnections)
	if b.Partner, err = New(ours, b.recording(transport), clock{}.Now); err != nil {
		t.Fatal(err)
	}
	return b
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var recordingLock sync.Mutex

func (b *bench) recording(next http.RoundTripper) http.RoundTripper {
	return tripper(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		recordingLock.Lock()
		b.last = body
		recordingLock.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		return next.RoundTrip(r)
	})
}

func (b *bench) order(leg purchase.Leg, amount int64) purchase.Order {
	b.next++
	return purchase.Order{Purchase: b.next, Reference: keyring.Reference(b.next), Leg: leg, Key: keyring.Key(b.next, leg), Try: 1,
		FirstAt: clock{}.Now(), Account: line, Amount: money.Amount{Minor: amount, Currency: money.XOF}, Product: "airtime"}
}

func (b *bench) bundle(leg purchase.Leg, code string, price int64) purchase.Order {
	o := b.order(leg, price)
	o.Product, o.Bundle = code, true
	return o
}

func again(o purchase.Order) purchase.Order { o.Try++; return o }

func (b *bench) wantKind(what string, got purchase.Outcome, want purchase.Kind) {
	b.t.Helper()
	if got.Kind != want {
		b.t.Errorf("%s: got %v %s (%s), want %v", what, got.Kind, got.Reason, got.Detail, want)
	}
}

func (b *bench) wantMain(want int64) {
	b.t.Helper()
	got, err := b.Balance(b.t.Context(), line)
	if err != nil || got.Main.Minor != want {
		b.t.Errorf("main balance: %v, %v; want %d", got.Main, err, want)
	}
}

// moved are the movements that the system booked under an order's key.
func (b *bench) moved(o purchase.Order) []sandbox.Movement {
	b.t.Helper()
	list, err := b.system.Book().ByKey(b.t.Context(), o.Key.Digits())
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

func (b *bench) fault(f sandbox.Fault) {
	b.t.Helper()
	if f.Operation == "" {
		f.Operation = sandbox.AnyOperation
	}
	if _, err := b.system.Faults().Add(f); err != nil {
		b.t.Fatal(err)
	}
}

func TestEveryLegMovesWhatItSays(t *testing.T) {
	b := newBench(t)
	for _, step := range []struct {
		leg    purchase.Leg
		amount int64
		main   int64
	}{
		{purchase.Credit, 1000, 6000}, {purchase.Charge, 1500, 4500}, {purchase.Refund, 1500, 6000}, {purchase.Reversal, 1000, 5000},
	} {
		o := b.order(step.leg, step.amount)
		got := b.Do(t.Context(), o)
		b.wantKind(step.leg.String(), got, purchase.Done)
		if got.Amount != o.Amount || got.Ref != o.Key.Digits() || got.Product != o.Product || got.Account != 0 && got.Account != line {
			t.Errorf("%v: %+v does not say what was asked for", step.leg, got)
		}
		if credit := step.leg == purchase.Credit || step.leg == purchase.Refund; got.HasBalance != credit || credit && got.Balance != step.main {
			t.Errorf("%v: states balance %d (%t), want %d", step.leg, got.Balance, got.HasBalance, step.main)
		}
		b.wantMain(step.main)
		if list := b.moved(o); len(list) != 1 || list[0].Amount != step.amount || list[0].Number != "22670112233" {
			t.Errorf("%v: booked %+v", step.leg, list)
		}
	}
}

// A wrong number's units are taken back whole or not at all.
func TestReversalOfWhatWasSpent(t *testing.T) {
	b := newBench(t)
	b.wantKind("credit", b.Do(t.Context(), b.order(purchase.Credit, 1000)), purchase.Done)
	b.wantKind("spending", b.Do(t.Context(), b.order(purchase.Charge, 5500)), purchase.Done)
	o := b.order(purchase.Reversal, 1000)
	if got := b.Do(t.Context(), o); got.Kind != purchase.Refused || got.Reason != purchase.ReasonFunds {
		t.Errorf("of units that were spent: got %v %q (%s)", got.Kind, got.Reason, got.Detail)
	}
	o.Try = 2 // without the enquiry before it: the server itself refuses
	if got := b.Do(t.Context(), o); got.Kind != purchase.Refused || got.Reason != purchase.ReasonFunds {
		t.Errorf("tried again: got %v %q (%s)", got.Kind, got.Reason, got.Detail)
	}
	b.wantMain(500)
}

func TestRequestIsAsTheGuideHasIt(t *testing.T) {
	b := newBench(t)
	o := b.order(purchase.Credit, 1000)
	o.FirstAt = purchase.At(time.Date(2026, 7, 9, 13, 45, 0, 5000, time.UTC))
	b.wantKind("credit", b.Do(t.Context(), o), purchase.Done)
	method, params, err := xmlrpc.ParseCall(b.last)
	if err != nil || method != "Refill" || len(params) != 1 {
		t.Fatalf("%s %v: %v", method, params, err)
	}
	members, _ := params[0].(xmlrpc.Struct)
	for name, want := range map[string]any{
		"originNodeType": "EXT", "originHostName": "tenu", "originTransactionID": o.Key.Digits(), "subscriberNumberNAI": int64(1),
		"subscriberNumber": "22670112233", "transactionAmount": "1000", "transactionCurrency": "XOF", "refillProfileID": "AIR",
		"externalData1": string(o.Reference), "requestRefillAccountBeforeFlag": true, "requestRefillAccountAfterFlag": true,
	} {
		if members[name] != want {
			t.Errorf("%s is %#v, want %#v", name, members[name], want)
		}
	}
	if !bytes.Contains(b.last, []byte("<dateTime.iso8601>20260709T13:45:00+0000</dateTime.iso8601>")) {
		t.Errorf("the time stamp is not as the guide has it: %s", b.last)
	}
}

func TestBundles(t *testing.T) {
	b := newBench(t)
	o := b.bundle(purchase.Credit, "data-1g", 500)
	got := b.Do(t.Context(), o)
	b.wantKind("bundle", got, purchase.Done)
	if got.Product != "data-1g" || got.Amount != o.Amount || got.Balance != 5000 {
		t.Errorf("%+v does not say what was sold", got)
	}
	all, err := b.Balance(t.Context(), line)
	if err != nil || len(all.Bundles) != 1 || all.Bundles[0].Left != 1024 || all.Bundles[0].Unit != "MB" || all.Bundles[0].Expires == 0 || all.Expires == 0 {
		t.Errorf("balances: %+v, %v", all, err)
	}
	b.wantKind("reversal", b.Do(t.Context(), b.bundle(purchase.Reversal, "data-1g", 500)), purchase.Done)
	if got := b.Do(t.Context(), b.bundle(purchase.Reversal, "data-1g", 500)); got.Kind != purchase.Refused || got.Reason != purchase.ReasonFunds {
		t.Errorf("what is not there was taken back: %+v", got)
	}
	if got := b.Do(t.Context(), b.bundle(purchase.Credit, "data-9g", 500)); got.Kind != purchase.Refused || got.Reason != purchase.ReasonProduct {
		t.Errorf("a bundle that is not sold: %+v", got)
	}
	b.wantMain(5000)
}

// What the system gave instead is stated as it was given, so that it is never
// taken for what was asked for.
func TestAnotherMovementIsStatedAsItWas(t *testing.T) {
	for name, c := range map[string]struct {
		kind  sandbox.Kind
		order func(*bench) purchase.Order
		same  func(o purchase.Order, got purchase.Outcome) bool
	}{
		"amount":           {sandbox.WrongAmount, airtime, func(o purchase.Order, got purchase.Outcome) bool { return got.Amount == o.Amount }},
		"part":             {sandbox.Partial, airtime, func(o purchase.Order, got purchase.Outcome) bool { return got.Amount == o.Amount }},
		"part of a bundle": {sandbox.Partial, data, func(o purchase.Order, got purchase.Outcome) bool { return got.Amount == o.Amount }},
		"more of a bundle": {sandbox.WrongAmount, data, func(o purchase.Order, got purchase.Outcome) bool { return got.Amount == o.Amount }},
		"currency":         {sandbox.WrongCurrency, airtime, func(o purchase.Order, got purchase.Outcome) bool { return got.Amount == o.Amount }},
		"number":           {sandbox.WrongNumber, airtime, func(o purchase.Order, got purchase.Outcome) bool { return got.Account == o.Account }},
		"bundle":           {sandbox.WrongProduct, data, func(o purchase.Order, got purchase.Outcome) bool { return got.Product == o.Product }},
		"bundle, not units": {sandbox.WrongProduct, airtime, func(o purchase.Order, got purchase.Outcome) bool {
			return got.Product == o.Product
		}},
		"units, not bundle": {sandbox.WrongProduct, func(b *bench) purchase.Order { return b.bundle(purchase.Credit, "voice-30", 300) },
			func(o purchase.Order, got purchase.Outcome) bool { return got.Product == o.Product }},
	} {
		b := newBench(t)
		b.fault(sandbox.Fault{Kind: c.kind, Next: 1})
		o := c.order(b)
		got := b.Do(t.Context(), o)
		b.wantKind(name, got, purchase.Done)
		if c.same(o, got) {
			t.Errorf("%s: %+v looks like what was asked for", name, got)
		}
	}
}

func airtime(b *bench) purchase.Order { return b.order(purchase.Credit, 1000) }
func data(b *bench) purchase.Order    { return b.bundle(purchase.Credit, "data-1g", 500) }

// giveUp does an order and gives up as soon as its answer is held back.
func (b *bench) giveUp(o purchase.Order) purchase.Outcome {
	ctx, cancel := context.WithCancel(b.t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-b.waiting:
		case <-ctx.Done():
		}
		cancel()
	}()
	got := b.Do(ctx, o)
	cancel()
	<-over
	return got
}

func TestUnanswered(t *testing.T) {
	for name, c := range map[string]struct {
		fault    sandbox.Fault
		executed bool
	}{
		"request lost":  {sandbox.Fault{Kind: sandbox.LoseRequest}, false},
		"outage":        {sandbox.Fault{Kind: sandbox.Outage}, false},
		"conflict":      {sandbox.Fault{Kind: sandbox.Conflict}, false},
		"999 instead":   {sandbox.Fault{Kind: sandbox.Refuse, Code: "999"}, false},
		"reply lost":    {sandbox.Fault{Kind: sandbox.LoseReply}, true},
		"server error":  {sandbox.Fault{Kind: sandbox.ServerError}, true},
		"999":           {sandbox.Fault{Kind: sandbox.ServerError, Code: "999"}, true},
		"100":           {sandbox.Fault{Kind: sandbox.ServerError, Code: "100"}, true},
		"huge":          {sandbox.Fault{Kind: sandbox.Huge}, true},
		"garbage":       {sandbox.Fault{Kind: sandbox.Garbage}, true},
		"drip":          {sandbox.Fault{Kind: sandbox.Drip, DelayMS: 50}, true},
		"slow":          {sandbox.Fault{Kind: sandbox.SlowAnswer, DelayMS: 60_000}, true},
		"never to come": {sandbox.Fault{Kind: sandbox.Late, DelayMS: 60_000}, false},
	} {
		for _, leg := range purchase.Legs {
			b := newBench(t, detecting)
			operation := leg.String()
			if leg == purchase.Reversal { // of airtime: a debit like another
				operation = "charge"
			}
			c.fault.Operation = operation
			b.fault(c.fault)
			o := b.order(leg, 700)
			b.wantKind(name+", "+leg.String(), b.giveUp(o), purchase.Unknown)
			if got := len(b.moved(o)); got != map[bool]int{true: 1}[c.executed] {
				t.Errorf("%s: %v moved %d times", name, leg, got)
			}
			b.system.Faults().Clear()
			b.wantKind(name+", again", b.Do(t.Context(), again(o)), purchase.Done)
			b.wantKind(name+", and again", b.Do(t.Context(), again(o)), purchase.Done)
			if got := len(b.moved(o)); got != 1 {
				t.Errorf("%s: %v moved %d times after the resends", name, leg, got)
			}
		}
	}
}

func TestCachedErrorStaysUnknown(t *testing.T) {
	b := newBench(t, detecting)
	b.fault(sandbox.Fault{Kind: sandbox.CachedError, Next: 1})
	o := b.order(purchase.Credit, 100)
	for range 3 {
		b.wantKind("cached error", b.Do(t.Context(), o), purchase.Unknown)
		o = again(o)
	}
	b.wantMain(5100)
}

func TestLateExecutionIsDetected(t *testing.T) {
	for _, detect := range []bool{true, false} {
		settings := []setting{}
		if detect {
			settings = append(settings, detecting)
		}
		b := newBench(t, settings...)
		if c := b.Capability(purchase.Credit); c.Idempotent != detect || c.Query || c.Tombstone || !c.Supported {
			t.Errorf("capability %+v", c)
		}
		b.fault(sandbox.Fault{Kind: sandbox.Late, DelayMS: 1000, Next: 1})
		o := b.order(purchase.Credit, 100)
		b.wantKind("late", b.Do(t.Context(), o), purchase.Unknown)
		b.wantKind("resend", b.Do(t.Context(), again(o)), purchase.Done)
		if _, err := b.system.Step(t.Context(), clock{}.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		want := map[bool]int{true: 1, false: 2}[detect] // why a leg is sent once where nothing is detected
		if got := len(b.moved(o)); got != want {
			t.Errorf("detection %t: credited %d times, want %d", detect, got, want)
		}
	}
}

func TestResendIsTheSameBytes(t *testing.T) {
	b := newBench(t, detecting)
	for _, leg := range purchase.Legs {
		o := b.order(leg, 100)
		b.wantKind("first", b.Do(t.Context(), o), purchase.Done)
		first := b.last
		b.wantKind("again", b.Do(t.Context(), again(o)), purchase.Done)
		if !bytes.Equal(first, b.last) {
			t.Errorf("%v: the resend differs:\n%s\n%s", leg, first, b.last)
		}
	}
}

func TestResponseCodes(t *testing.T) {
	b := newBench(t)
	for code, want := range map[string]purchase.Reason{"102": purchase.ReasonUnknownLine, "103": purchase.ReasonBarredLine,
		"104": purchase.ReasonBarredLine, "115": purchase.ReasonOther, "120": purchase.ReasonProduct, "123": purchase.ReasonLimit,
		"124": purchase.ReasonFunds, "126": purchase.ReasonBarredLine, "176": purchase.ReasonBarredLine, "179": purchase.ReasonBarredLine,
		"100": "", "999": "", "101": "", "260": "", "-1": "", "4711": ""} {
		b.fault(sandbox.Fault{Operation: "credit", Kind: sandbox.Refuse, Code: code, Next: 1})
		got := b.Do(t.Context(), b.order(purchase.Credit, 100))
		if want == "" {
			b.wantKind(code, got, purchase.Unknown)
		} else if got.Kind != purchase.Refused || got.Reason != want {
			t.Errorf("%s: got %v %q, want refused %q", code, got.Kind, got.Reason, want)
		}
	}
	for code, want := range map[string]purchase.Kind{"102": purchase.Refused, "999": purchase.Unsent} {
		b.fault(sandbox.Fault{Operation: "account", Kind: sandbox.Refuse, Code: code, Next: 1})
		b.wantKind("enquiry before a charge: "+code, b.Do(t.Context(), b.order(purchase.Charge, 100)), want)
	}
	b.wantMain(5000)
}

func TestRefusedBeforeAnythingIsSent(t *testing.T) {
	b := newBench(t)
	with := func(o purchase.Order, change func(*purchase.Order)) purchase.Order { change(&o); return o }
	for name, c := range map[string]struct {
		order purchase.Order
		want  purchase.Reason
	}{
		"unknown line":   {with(b.order(purchase.Credit, 100), func(o *purchase.Order) { o.Account = 22699999999 }), purchase.ReasonUnknownLine},
		"no line":        {with(b.order(purchase.Credit, 100), func(o *purchase.Order) { o.Account = 0 }), purchase.ReasonUnknownLine},
		"poor charge":    {b.order(purchase.Charge, 5001), purchase.ReasonFunds},
		"poor reversal":  {b.order(purchase.Reversal, 5001), purchase.ReasonFunds},
		"too large":      {b.order(purchase.Credit, maxAmount+1), purchase.ReasonLimit},
		"above the most": {b.order(purchase.Credit, 999_999), purchase.ReasonLimit},
		"other currency": {with(b.order(purchase.Credit, 100), func(o *purchase.Order) { o.Amount.Currency = money.XAF }), purchase.ReasonOther},
		"zero":           {b.order(purchase.Credit, 0), purchase.ReasonOther},
		"no leg":         {b.order(0, 100), purchase.ReasonOther},
	} {
		if got := b.Do(t.Context(), c.order); got.Kind != purchase.Refused || got.Reason != c.want {
			t.Errorf("%s: got %v %q (%s), want refused %q", name, got.Kind, got.Reason, got.Detail, c.want)
		}
		if list := b.moved(c.order); len(list) > 0 {
			t.Errorf("%s: moved %+v", name, list)
		}
	}
	b.wantMain(5000)
	if _, err := b.Balance(t.Context(), 22699999999); !errors.Is(err, purchase.ErrUnknownLine) {
		t.Errorf("the unknown line: %v", err)
	}
}

func TestChargesDoNotOverdraw(t *testing.T) {
	b := newBench(t)
	var mu sync.Mutex
	kinds := map[purchase.Kind]int{}
	var charges sync.WaitGroup
	for range 60 {
		o := b.order(purchase.Charge, 500)
		charges.Go(func() {
			got := b.Do(t.Context(), o)
			mu.Lock()
			defer mu.Unlock()
			kinds[got.Kind]++
		})
	}
	charges.Wait()
	if kinds[purchase.Done] != 10 || kinds[purchase.Refused] != 50 {
		t.Errorf("got %v, want 10 done and 50 refused", kinds)
	}
	b.wantMain(0)
}

func TestNobodyThere(t *testing.T) {
	b := newBench(t)
	b.config.URL = "http://127.0.0.1:1/Air"
	for _, leg := range purchase.Legs {
		b.wantKind(leg.String(), b.Do(t.Context(), b.order(leg, 100)), purchase.Unsent)
	}
	if _, err := b.Balance(t.Context(), line); !errors.Is(err, purchase.ErrUnavailable) {
		t.Errorf("balance: %v", err)
	}
	if got := b.Probe(t.Context()); got.Status != partner.Unavailable {
		t.Errorf("health: %+v", got)
	}
}

func TestWrongPassword(t *testing.T) {
	b := newBench(t, func(c *Config, _ *sandbox.ChargingConfig) { c.Password = "wrong" })
	b.wantKind("credit", b.Do(t.Context(), b.order(purchase.Credit, 100)), purchase.Unknown)
}

func TestProbe(t *testing.T) {
	b := newBench(t)
	if got := b.Probe(t.Context()); got.Status != partner.Available {
		t.Errorf("health: %+v", got)
	}
	b.fault(sandbox.Fault{Operation: "heartbeat", Kind: sandbox.Degraded, Next: 1})
	if got := b.Probe(t.Context()); got.Status != partner.Degraded {
		t.Errorf("health when overloaded: %+v", got)
	}
	b.fault(sandbox.Fault{Operation: "heartbeat", Kind: sandbox.Garbage, Next: 1})
	if got := b.Probe(t.Context()); got.Status != partner.Unavailable {
		t.Errorf("health from garbage: %+v", got)
	}
}

func TestDecimalsAndNationalNumbers(t *testing.T) {
	b := newBench(t, func(c *Config, s *sandbox.ChargingConfig) {
		c.PerMinor, s.PerMinor, c.National = 100, 100, true
	})
	got := b.Do(t.Context(), b.order(purchase.Credit, 1000))
	b.wantKind("credit", got, purchase.Done)
	if got.Amount.Minor != 1000 || got.Balance != 6000 || got.Account != line {
		t.Errorf("got %+v", got)
	}
	if !bytes.Contains(b.last, []byte("<string>100000</string>")) || !bytes.Contains(b.last, []byte("<string>70112233</string>")) {
		t.Errorf("sent %s", b.last)
	}
	b.wantKind("charge", b.Do(t.Context(), b.order(purchase.Charge, 6000)), purchase.Done)
	b.wantMain(0)
	foreign := b.order(purchase.Credit, 100)
	foreign.Account = 2250102030405
	b.wantKind("foreign number", b.Do(t.Context(), foreign), purchase.Refused)
}

func TestTakenBackLater(t *testing.T) {
	b := newBench(t)
	b.fault(sandbox.Fault{Kind: sandbox.ReverseLater, DelayMS: 1000, Next: 1})
	o := b.order(purchase.Credit, 100)
	b.wantKind("credit", b.Do(t.Context(), o), purchase.Done)
	b.wantMain(5100)
	if _, err := b.system.Step(t.Context(), clock{}.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	b.wantMain(5000)
}

func TestConfigurationThatMakesNoSense(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no name":          func(c *Config) { c.Name = "" },
		"no host name":     func(c *Config) { c.HostName = "" },
		"profile":          func(c *Config) { c.Profile = "TOOLONG" },
		"currency":         func(c *Config) { c.Currency = "XXX" },
		"country code":     func(c *Config) { c.National = true },
		"decimals":         func(c *Config) { c.PerMinor = 10_000_000 },
		"lateness":         func(c *Config) { c.Lateness = -1 },
		"key life":         func(c *Config) { c.KeyLife = time.Second },
		"bundle profile":   func(c *Config) { c.Bundles = map[string]Bundle{"a": {Account: 1, Value: 1}} },
		"bundle value":     func(c *Config) { c.Bundles = map[string]Bundle{"a": {Profile: "P", Account: 1}} },
		"bundles together": func(c *Config) { c.Bundles = map[string]Bundle{"a": {"P", 1, 1, "", 1}, "b": {"Q", 1, 1, "", 1}} },
	} {
		c := Config{Name: "air", URL: "http://127.0.0.1:1/Air", HostName: "tenu", Currency: money.XOF, Profile: "AIR"}
		if _, err := New(c, http.DefaultTransport, clock{}.Now); err != nil {
			t.Fatal(err)
		}
		change(&c)
		if _, err := New(c, http.DefaultTransport, clock{}.Now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
