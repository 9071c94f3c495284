package cgrates

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tenu/internal/money"
	"tenu/internal/partner"
	"tenu/internal/purchase"
	"tenu/internal/testpeer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	line  purchase.MSISDN = 22670112233
	other purchase.MSISDN = 22670112244
)

var keyring, _ = purchase.NewKeyring([]byte("a secret of the tests, 32 bytes!"))

// bench is an adapter before a real CGRateS.
type bench struct {
	*Partner
	t    *testing.T
	peer *testpeer.CGR
	next purchase.ID
}

func config(url string) Config {
	return Config{Name: "ocs", URL: url, Currency: money.XOF, Bundles: map[string]Bundle{
		"data-1g":  {Type: "*data", Value: 1024, Unit: "MB", Scale: 1 << 20, Validity: 24 * time.Hour},
		"voice-30": {Type: "*voice", Value: 30, Unit: "min", Scale: int64(time.Minute)},
	}}
}

func now() purchase.Instant { return purchase.At(time.Now()) }

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, peer: testpeer.CGRateS(t)}
	b.Partner = b.through(nil)
	return b
}

// through is an adapter before the same CGRateS whose exchanges pass through a
// round tripper, if one is given.
func (b *bench) through(wrap func(http.RoundTripper) http.RoundTripper) *Partner {
	b.t.Helper()
	transport := partner.Transport(1000, 2*time.Second, nil)
	b.t.Cleanup(transport.CloseIdleConnections)
	var tripper http.RoundTripper = transport
	if wrap != nil {
		tripper = wrap(tripper)
	}
	p, err := New(config(b.peer.URL), tripper, now)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// raw makes a call of the test's own.
func (b *bench) raw(method string, params, result any) error {
	b.t.Helper()
	return b.peer.Call(method, params, result)
}

// open makes an account with a main balance.
func (b *bench) open(number purchase.MSISDN, balance int64) {
	b.t.Helper()
	b.peer.Open(accountName(number), balance)
}

// spend uses up units of a balance, or with less than zero adds to it.
func (b *bench) spend(kind, id string, number purchase.MSISDN, units int64) {
	b.t.Helper()
	method := "APIerSv1.DebitBalance"
	if units < 0 {
		method, units = "APIerSv1.AddBalance", -units
	}
	ok := ""
	if err := b.raw(method, map[string]any{"Tenant": "cgrates.org", "Account": accountName(number), "BalanceType": kind,
		"Value": units, "Balance": map[string]any{"ID": id}}, &ok); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
}

func (b *bench) disable(number purchase.MSISDN) {
	b.t.Helper()
	ok := ""
	if err := b.raw("APIerSv2.SetAccount", map[string]any{"Tenant": "cgrates.org", "Account": accountName(number),
		"ExtraOptions": map[string]bool{"Disabled": true}}, &ok); err != nil {
		b.t.Fatalf("disable: %v", err)
	}
}

// wantMain fails the test unless the main balance is as given.
func (b *bench) wantMain(number purchase.MSISDN, want int64) {
	b.t.Helper()
	got, err := b.Balance(b.t.Context(), number)
	if err != nil || got.Main.Minor != want {
		b.t.Errorf("main balance of %s: got %v, %v; want %d", number.Masked(), got.Main, err, want)
	}
}

// order is a new order of a leg over an amount of F CFA.
func (b *bench) order(leg purchase.Leg, amount int64) purchase.Order {
	b.next++
	return orderOf(b.next, leg, amount)
}

func orderOf(id purchase.ID, leg purchase.Leg, amount int64) purchase.Order {
	return purchase.Order{Purchase: id, Reference: keyring.Reference(id), Leg: leg, Key: keyring.Key(id, leg), Try: 1,
		FirstAt: now(), Account: line, Amount: money.Amount{Minor: amount, Currency: money.XOF}, Product: "airtime"}
}

func (b *bench) bundle(leg purchase.Leg, code string, price int64) purchase.Order {
	o := b.order(leg, price)
	o.Product, o.Bundle = code, true
	return o
}

func (b *bench) wantKind(what string, got purchase.Outcome, want purchase.Kind) {
	b.t.Helper()
	if got.Kind != want {
		b.t.Errorf("%s: got %v %s (%s), want %v", what, got.Kind, got.Reason, got.Detail, want)
	}
}

func TestEveryLegMovesWhatItSaysAndLeavesARecord(t *testing.T) {
	b := newBench(t)
	b.open(line, 5000)
	for _, step := range []struct {
		leg    purchase.Leg
		amount int64
		main   int64
	}{
		{purchase.Credit, 1000, 6000},
		{purchase.Charge, 1500, 4500},
		{purchase.Refund, 1500, 6000},
		{purchase.Reversal, 1000, 5000},
	} {
		o := b.order(step.leg, step.amount)
		got := b.Do(t.Context(), o)
		b.wantKind(step.leg.String(), got, purchase.Done)
		if got.Amount != o.Amount || got.Account != line || got.Product != "airtime" || got.Ref != recordID(o.Key.UUID()) {
			t.Errorf("%v: %+v does not say what was asked for", step.leg, got)
		}
		credits := step.leg == purchase.Credit || step.leg == purchase.Refund
		if got.HasBalance != credits || credits && got.Balance != step.main {
			t.Errorf("%v: states balance %d (%t), want %d", step.leg, got.Balance, got.HasBalance, step.main)
		}
		b.wantMain(line, step.main)
		if again := b.Query(t.Context(), o); again != got {
			t.Errorf("%v: query says %+v, the answer said %+v", step.leg, again, got)
		}
		var records []record
		if err := b.raw("APIerSv2.GetCDRs", map[string]any{"ExtraFields": map[string]string{"purchaseRef": string(o.Reference)}}, &records); err != nil || len(records) != 1 {
			t.Errorf("%v: %d records bear the reference: %v", step.leg, len(records), err)
		}
		var actions any
		if err := b.raw("APIerSv1.GetActions", o.Key.UUID(), &actions); err == nil {
			t.Errorf("%v: the stored actions were left behind", step.leg)
		}
	}
}

func TestOneKeyMovesOnce(t *testing.T) {
	b := newBench(t)
	for _, leg := range purchase.Legs {
		t.Run(leg.String(), func(t *testing.T) {
			b.t = t
			number := line + purchase.MSISDN(leg)
			b.open(number, 10_000)
			o := b.order(leg, 700)
			o.Account = number
			var same sync.WaitGroup
			for range 40 {
				same.Go(func() {
					if got := b.Do(t.Context(), o); got.Kind != purchase.Done && got.Kind != purchase.Unknown {
						t.Errorf("got %v: %s", got.Kind, got.Detail)
					}
				})
			}
			same.Wait()
			b.wantKind("query", b.Query(t.Context(), o), purchase.Done)
			want := int64(10_700)
			if leg == purchase.Charge || leg == purchase.Reversal {
				want = 9_300
			}
			b.wantMain(number, want)
		})
	}
}

func TestRefusedBeforeAnythingIsSent(t *testing.T) {
	b := newBench(t)
	b.open(line, 500)
	b.open(other, 500)
	b.disable(other)
	with := func(o purchase.Order, change func(*purchase.Order)) purchase.Order { change(&o); return o }
	for name, c := range map[string]struct {
		order purchase.Order
		want  purchase.Reason
	}{
		"unknown line":      {with(b.order(purchase.Credit, 100), func(o *purchase.Order) { o.Account = 22670999999 }), purchase.ReasonUnknownLine},
		"credit disabled":   {with(b.order(purchase.Credit, 100), func(o *purchase.Order) { o.Account = other }), purchase.ReasonBarredLine},
		"charge disabled":   {with(b.order(purchase.Charge, 100), func(o *purchase.Order) { o.Account = other }), purchase.ReasonBarredLine},
		"poor charge":       {b.order(purchase.Charge, 501), purchase.ReasonFunds},
		"poor reversal":     {b.order(purchase.Reversal, 501), purchase.ReasonFunds},
		"too large":         {b.order(purchase.Credit, maxMinor(money.XOF)+1), purchase.ReasonLimit},
		"balance too large": {b.order(purchase.Credit, maxMinor(money.XOF)), purchase.ReasonLimit},
		"unknown bundle":    {b.bundle(purchase.Credit, "data-9g", 100), purchase.ReasonProduct},
		"field language":    {with(b.order(purchase.Credit, 100), func(o *purchase.Order) { o.Product = "~Account" }), purchase.ReasonProduct},
		"other currency":    {with(b.order(purchase.Credit, 100), func(o *purchase.Order) { o.Amount.Currency = money.GHS }), purchase.ReasonOther},
		"zero":              {b.order(purchase.Credit, 0), purchase.ReasonOther},
		"reversal unnamed":  {b.bundle(purchase.Reversal, "data-1g", 100), purchase.ReasonOther},
	} {
		got := b.Do(t.Context(), c.order)
		if got.Kind != purchase.Refused || got.Reason != c.want {
			t.Errorf("%s: got %v %q (%s), want refused %q", name, got.Kind, got.Reason, got.Detail, c.want)
		}
		b.wantKind(name+", query", b.Query(t.Context(), c.order), purchase.Absent)
	}
	if _, err := b.Balance(t.Context(), 22670999999); !errors.Is(err, purchase.ErrUnknownLine) {
		t.Errorf("the unknown line: %v, want %v", err, purchase.ErrUnknownLine)
	}
	b.wantMain(line, 500)
	b.wantKind("refund to a disabled account", b.Do(t.Context(), with(b.order(purchase.Refund, 100),
		func(o *purchase.Order) { o.Account = other })), purchase.Done)
}

func TestBundleHasItsOwnBalance(t *testing.T) {
	b := newBench(t)
	b.open(line, 0)
	first, second := b.bundle(purchase.Credit, "data-1g", 500), b.bundle(purchase.Credit, "data-1g", 500)
	for _, o := range []purchase.Order{first, second, b.bundle(purchase.Credit, "voice-30", 300)} {
		got := b.Do(t.Context(), o)
		b.wantKind(o.Product, got, purchase.Done)
		if got.Product != o.Product || got.Amount != o.Amount || got.HasBalance {
			t.Errorf("%s: %+v does not say what was sold", o.Product, got)
		}
	}
	all, err := b.Balance(t.Context(), line)
	if err != nil || len(all.Bundles) != 3 {
		t.Fatalf("balances: %+v, %v", all, err)
	}
	data, voice := all.Bundles[0], all.Bundles[2]
	if data.Code != "data-1g" || data.Left != 1024 || data.Unit != "MB" || voice.Left != 30 || voice.Expires != 0 {
		t.Errorf("bundles: %+v", all.Bundles)
	}
	if left := data.Expires.Sub(now()); left < 23*time.Hour || left > 24*time.Hour {
		t.Errorf("the bundle lasts %v, want a day", left)
	}
	spent := recordID(first.Key.UUID())
	b.spend("*data", bundleBalance("data-1g", spent), line, 1<<20)
	reversal := b.bundle(purchase.Reversal, "data-1g", 500)
	reversal.Original = spent
	if got := b.Do(t.Context(), reversal); got.Kind != purchase.Refused || got.Reason != purchase.ReasonFunds {
		t.Errorf("a bundle in use was taken back: %+v", got)
	}
	reversal = b.bundle(purchase.Reversal, "data-1g", 500)
	reversal.Original = recordID(second.Key.UUID())
	b.wantKind("reversal", b.Do(t.Context(), reversal), purchase.Done)
	if all, err = b.Balance(t.Context(), line); err != nil || len(all.Bundles) != 2 || all.Bundles[0].Left != 1023 {
		t.Errorf("after the reversal: %+v, %v", all.Bundles, err)
	}
}

func TestTombstone(t *testing.T) {
	b := newBench(t)
	b.open(line, 1000)
	for _, leg := range purchase.Legs {
		o := b.order(leg, 100)
		b.wantKind("cancel", b.Cancel(t.Context(), o), purchase.Cancelled)
		b.wantKind("cancel again", b.Cancel(t.Context(), o), purchase.Cancelled)
		b.wantKind("query", b.Query(t.Context(), o), purchase.Cancelled)
		b.wantKind("do", b.Do(t.Context(), o), purchase.Cancelled)
		b.wantMain(line, 1000)
	}
	o := b.order(purchase.Credit, 100)
	b.wantKind("do", b.Do(t.Context(), o), purchase.Done)
	b.wantKind("cancel after the credit", b.Cancel(t.Context(), o), purchase.Done)
	b.wantMain(line, 1100)
}

// A credit is on its way to an account that does not exist yet.
func TestTombstoneWithoutAnAccount(t *testing.T) {
	b := newBench(t)
	o := b.order(purchase.Credit, 100)
	m, _ := b.plan(&o)
	if err := b.setActions(t.Context(), m.key, m.actions(&o)); err != nil {
		t.Fatal(err)
	}
	b.wantKind("cancel", b.Cancel(t.Context(), o), purchase.Cancelled)
	b.open(line, 0)
	if err := b.setActions(t.Context(), m.key, m.actions(&o)); err != nil {
		t.Fatal(err)
	}
	if err := b.execute(t.Context(), line, m.key); !answered(err) {
		t.Errorf("the late execution: %v, want a refusal", err)
	}
	b.wantMain(line, 0)
}

func TestTombstoneAgainstExecution(t *testing.T) {
	b := newBench(t)
	b.open(line, 0)
	var done, cancelled sync.Map
	var race sync.WaitGroup
	for range 150 {
		o := b.order(purchase.Credit, 10)
		for _, call := range []func(context.Context, purchase.Order) purchase.Outcome{b.Do, b.Cancel} {
			race.Go(func() {
				switch got := call(t.Context(), o); got.Kind {
				case purchase.Done:
					done.Store(o.Purchase, true)
				case purchase.Cancelled:
					cancelled.Store(o.Purchase, true)
				default:
					t.Errorf("got %v: %s", got.Kind, got.Detail)
				}
			})
		}
	}
	race.Wait()
	credited := int64(0)
	for id := purchase.ID(1); id <= b.next; id++ {
		_, d := done.Load(id)
		_, c := cancelled.Load(id)
		if d == c {
			t.Errorf("purchase %d: done %t, cancelled %t", id, d, c)
		}
		if d {
			credited++
		}
	}
	t.Logf("%d of %d credits came before their tombstones", credited, b.next)
	b.wantMain(line, 10*credited)
}

func TestChargesDoNotOverdraw(t *testing.T) {
	b := newBench(t)
	b.open(line, 1000)
	var mu sync.Mutex
	kinds := map[purchase.Kind]int{}
	var charges sync.WaitGroup
	for range 60 {
		o := b.order(purchase.Charge, 100)
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
	b.wantMain(line, 0)
}

// A wrong number's units are taken back once, whole or not at all: what was spent
// meanwhile is not, and a balance never goes below zero, as it would by CGRateS's
// own DebitBalance.
func TestReversalTakesBackOnceOrNothing(t *testing.T) {
	b := newBench(t)
	b.open(line, 0)
	b.wantKind("credit", b.Do(t.Context(), b.order(purchase.Credit, 1000)), purchase.Done)
	o := b.order(purchase.Reversal, 1000)
	b.wantKind("reversal", b.Do(t.Context(), o), purchase.Done)
	o.Try = 2
	b.wantKind("reversal again", b.Do(t.Context(), o), purchase.Done)
	b.wantMain(line, 0)

	b.wantKind("credit", b.Do(t.Context(), b.order(purchase.Credit, 1000)), purchase.Done)
	b.spend("*monetary", "*default", line, 1)
	o = b.order(purchase.Reversal, 1000)
	if got := b.Do(t.Context(), o); got.Kind != purchase.Refused || got.Reason != purchase.ReasonFunds {
		t.Errorf("of units that were spent: got %v %q (%s)", got.Kind, got.Reason, got.Detail)
	}
	b.wantMain(line, 999)

	// The recipient spends while the units are taken back.
	var race sync.WaitGroup
	var mu sync.Mutex
	taken := int64(0)
	for i := range 40 {
		o := b.order([]purchase.Leg{purchase.Reversal, purchase.Charge}[i%2], 100)
		race.Go(func() {
			if got := b.Do(t.Context(), o); got.Kind == purchase.Done {
				mu.Lock()
				taken += 100
				mu.Unlock()
			} else if got.Kind != purchase.Refused {
				t.Errorf("got %v: %s", got.Kind, got.Detail)
			}
		})
	}
	race.Wait()
	if taken != 900 {
		t.Errorf("%d of 999 were taken", taken)
	}
	b.wantMain(line, 999-taken)
}

// Why the adapter uses neither AddBalance nor DebitBalance, in CGRateS's own words.
func TestWhatTheShortcutsDo(t *testing.T) {
	b := newBench(t)
	b.spend("*monetary", "*default", line, -100)
	b.wantMain(line, 100) // an absent account was made by a credit
	b.spend("*monetary", "*default", line, 150)
	b.wantMain(line, -50) // a debit overdrew it
	extra := map[string]any{"Tenant": "cgrates.org", "Account": accountName(other), "BalanceType": "*monetary", "Value": 100,
		"Balance": map[string]any{"ID": "*default"}, "Cdrlog": true, "ActionExtraData": map[string]any{"purchaseRef": "X"}}
	ok := ""
	for range 2 {
		if err := b.raw("APIerSv1.AddBalance", extra, &ok); err != nil {
			t.Fatal(err)
		}
	}
	b.wantMain(other, 200) // one reference, credited twice
}

func TestExactUpToTheLimit(t *testing.T) {
	b := newBench(t)
	b.open(line, 0)
	most := maxMinor(money.XOF)
	b.wantKind("credit", b.Do(t.Context(), b.order(purchase.Credit, most-1)), purchase.Done)
	b.wantKind("credit of one", b.Do(t.Context(), b.order(purchase.Credit, 1)), purchase.Done)
	b.wantMain(line, most)
	b.wantKind("charge of one", b.Do(t.Context(), b.order(purchase.Charge, 1)), purchase.Done)
	b.wantMain(line, most-1)
}

func TestMinorUnitsOfOtherCurrencies(t *testing.T) {
	b := newBench(t)
	c := config(b.peer.URL)
	c.Currency = money.GHS
	p, err := New(c, b.transport, now)
	if err != nil {
		t.Fatal(err)
	}
	b.Partner = p
	b.open(line, 0)
	credit := b.order(purchase.Credit, 29)
	credit.Amount.Currency = money.GHS
	for range 3 {
		credit.Key = keyring.Key(b.next, purchase.Credit)
		b.next++
		b.wantKind("credit of 0.29", b.Do(t.Context(), credit), purchase.Done)
	}
	b.wantMain(line, 87)
	charge := b.order(purchase.Charge, 88)
	charge.Amount.Currency = money.GHS
	b.wantKind("charge of 0.88", b.Do(t.Context(), charge), purchase.Refused)
	charge.Amount.Minor = 87
	b.wantKind("charge of 0.87", b.Do(t.Context(), charge), purchase.Done)
	b.wantMain(line, 0)
}

func TestConfigurationThatMakesNoSense(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no name":          func(c *Config) { c.Name = "" },
		"no url":           func(c *Config) { c.URL = "" },
		"no currency":      func(c *Config) { c.Currency = "XXX" },
		"short key life":   func(c *Config) { c.KeyLife = time.Second },
		"negative timeout": func(c *Config) { c.Timeout = -1 },
		"bundle code":      func(c *Config) { c.Bundles["a;b"] = Bundle{Type: "*sms", Value: 1} },
		"bundle value":     func(c *Config) { c.Bundles["a"] = Bundle{Type: "*sms"} },
		"bundle type":      func(c *Config) { c.Bundles["a"] = Bundle{Value: 1} },
		"bundle too large": func(c *Config) { c.Bundles["a"] = Bundle{Type: "*data", Value: 1 << 52, Scale: 4} },
		"bundle validity":  func(c *Config) { c.Bundles["a"] = Bundle{Type: "*sms", Value: 1, Validity: time.Millisecond} },
	} {
		c := config("http://127.0.0.1:1/jsonrpc")
		change(&c)
		if _, err := New(c, http.DefaultTransport, now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
