package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tenu/internal/money"
	"tenu/internal/partner/ucip/xmlrpc"
	"tenu/internal/purchase"
)

// chargingClock is set by the test; a wait in it is over at once.
type chargingClock struct {
	mu  sync.Mutex
	now purchase.Instant
}

func (c *chargingClock) Now() purchase.Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *chargingClock) After(time.Duration) <-chan time.Time {
	over := make(chan time.Time, 1)
	over <- c.Now().Time()
	return over
}

func (c *chargingClock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type chargingBench struct {
	*Charging
	t      testing.TB
	clock  *chargingClock
	config ChargingConfig
	server *httptest.Server
	last   int
}

func newChargingBench(t testing.TB, change func(*ChargingConfig)) *chargingBench {
	t.Helper()
	b := &chargingBench{t: t, clock: &chargingClock{now: purchase.At(time.Date(2026, 7, 9, 13, 45, 0, 0, time.UTC))}}
	b.config = ChargingConfig{
		Config: Config{Name: "air", Path: filepath.Join(t.TempDir(), "air.db"), StatementDir: t.TempDir(), Clock: b.clock,
			Log: slog.New(slog.DiscardHandler)},
		Currency: money.XOF, Prefixes: []string{"22670"}, CountryCode: "226", Opening: 500, Most: 100_000, Profile: "AIR",
		Bundles: map[string]ChargingBundle{"D1G": {Code: "data-1g", Account: 21, Value: 1024, Unit: "MB", Validity: 24 * time.Hour}},
	}
	if change != nil {
		change(&b.config)
	}
	b.open()
	t.Cleanup(b.close)
	return b
}

func (b *chargingBench) open() {
	b.t.Helper()
	var err error
	if b.Charging, err = NewCharging(context.Background(), b.config); err != nil {
		b.t.Fatal(err)
	}
	b.server = httptest.NewServer(b.Charging)
}

func (b *chargingBench) close() {
	b.server.Close()
	if err := b.Close(); err != nil {
		b.t.Error(err)
	}
}

// post sends a body and returns the answer, "" when the connection was cut.
func (b *chargingBench) post(body []byte) (status int, answer []byte, cut bool) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.server.URL+"/Air", bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	response, err := b.server.Client().Do(r)
	if err != nil {
		return 0, nil, true
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err != nil
}

// call makes a call with what every call needs.
func (b *chargingBench) call(method string, members xmlrpc.Struct) (xmlrpc.Struct, error) {
	b.t.Helper()
	b.last++
	all := xmlrpc.Struct{"originNodeType": "EXT", "originHostName": "tenu", "originTransactionID": fmt.Sprint(b.last),
		"originTimeStamp": b.clock.Now().Time(), "subscriberNumberNAI": 1, "subscriberNumber": "22670112233"}
	for name, value := range members {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	body, err := xmlrpc.Call(method, all)
	if err != nil {
		b.t.Fatal(err)
	}
	status, answer, cut := b.post(body)
	if cut || status != http.StatusOK {
		return nil, fmt.Errorf("status %d", status)
	}
	value, err := xmlrpc.ParseResponse(answer)
	got, _ := value.(xmlrpc.Struct)
	return got, err
}

func (b *chargingBench) refill(members xmlrpc.Struct) (xmlrpc.Struct, error) {
	b.t.Helper()
	all := xmlrpc.Struct{"transactionAmount": "100", "transactionCurrency": "XOF", "refillProfileID": "AIR",
		"requestRefillAccountAfterFlag": true}
	for name, value := range members {
		all[name] = value
	}
	return b.call("Refill", all)
}

func (b *chargingBench) debit(amount string) (xmlrpc.Struct, error) {
	b.t.Helper()
	return b.call("UpdateBalanceAndDate", xmlrpc.Struct{"transactionCurrency": "XOF", "adjustmentAmountRelative": amount})
}

func (b *chargingBench) wantCode(what string, got xmlrpc.Struct, err error, want int64) {
	b.t.Helper()
	if err != nil || got["responseCode"] != want {
		b.t.Errorf("%s: %v, %v; want response code %d", what, got, err, want)
	}
}

func (b *chargingBench) wantMain(want string) {
	b.t.Helper()
	got, err := b.call("GetBalanceAndDate", nil)
	if err != nil || got["accountValue1"] != want {
		b.t.Errorf("balance: %v, %v; want %s", got["accountValue1"], err, want)
	}
}

func TestChargingBooksOutliveTheProcess(t *testing.T) {
	b := newChargingBench(t, func(c *ChargingConfig) { c.DetectFor = time.Hour })
	got, err := b.refill(xmlrpc.Struct{"originTransactionID": "77"})
	b.wantCode("refill", got, err, 0)
	if _, err := b.faults.Add(Fault{Operation: legCharge, Kind: Late, DelayMS: 1000}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.debit("-50"); err == nil {
		t.Error("a late debit was answered")
	}
	b.close()
	b.open()
	b.wantMain("600")
	got, err = b.refill(xmlrpc.Struct{"originTransactionID": "77"})
	b.wantCode("the same refill", got, err, 0)
	b.wantMain("600")
	b.clock.forward(2 * time.Second)
	if _, err := b.Step(t.Context(), b.clock.Now()); err != nil {
		t.Fatal(err)
	}
	b.wantMain("550")
	b.clock.forward(2 * time.Hour)
	got, err = b.refill(xmlrpc.Struct{"originTransactionID": "77"})
	b.wantCode("forgotten by now", got, err, 0)
	b.wantMain("650")
}

func TestChargingDetectsPerHost(t *testing.T) {
	b := newChargingBench(t, func(c *ChargingConfig) { c.DetectFor = time.Hour })
	for i, host := range []string{"tenu", "tenu", "other"} {
		got, err := b.refill(xmlrpc.Struct{"originTransactionID": "5", "originHostName": host})
		b.wantCode(fmt.Sprint("refill ", i), got, err, 0)
	}
	b.wantMain("700")
	if _, err := b.faults.Add(Fault{Operation: legCredit, Kind: ForgetKey, Next: 1}); err != nil {
		t.Fatal(err)
	}
	got, err := b.refill(xmlrpc.Struct{"originTransactionID": "5"})
	b.wantCode("forgotten", got, err, 0)
	b.wantMain("800")
}

func TestChargingResponseCodes(t *testing.T) {
	b := newChargingBench(t, nil)
	dedicated := func(id int, amount string) xmlrpc.Struct {
		return xmlrpc.Struct{"dedicatedAccountUpdateInformation": []any{xmlrpc.Struct{"dedicatedAccountID": id, "adjustmentAmountRelative": amount}}}
	}
	for name, c := range map[string]struct {
		method  string
		members xmlrpc.Struct
		want    int64
	}{
		"unknown line":      {"Refill", xmlrpc.Struct{"subscriberNumber": "22671112233"}, 102},
		"short number":      {"Refill", xmlrpc.Struct{"subscriberNumber": "2267"}, 102},
		"profile":           {"Refill", xmlrpc.Struct{"refillProfileID": "NONE"}, 120},
		"amount":            {"Refill", xmlrpc.Struct{"transactionAmount": "ten"}, 115},
		"zero":              {"Refill", xmlrpc.Struct{"transactionAmount": "0"}, 115},
		"currency":          {"Refill", xmlrpc.Struct{"transactionCurrency": "XAF"}, 115},
		"above the most":    {"Refill", xmlrpc.Struct{"transactionAmount": "100000"}, 123},
		"too much":          {"UpdateBalanceAndDate", xmlrpc.Struct{"adjustmentAmountRelative": "-501"}, 124},
		"nothing":           {"UpdateBalanceAndDate", xmlrpc.Struct{"adjustmentAmountRelative": "0"}, 100},
		"no dedicated":      {"UpdateBalanceAndDate", dedicated(99, "5"), 139},
		"dedicated below":   {"UpdateBalanceAndDate", dedicated(21, "-5"), 106},
		"dedicated nothing": {"UpdateBalanceAndDate", dedicated(21, "0"), 100},
	} {
		members := xmlrpc.Struct{"transactionAmount": "100", "transactionCurrency": "XOF", "refillProfileID": "AIR"}
		for name, value := range c.members {
			members[name] = value
		}
		got, err := b.call(c.method, members)
		b.wantCode(name, got, err, c.want)
	}
	b.wantMain("500")
	if tally, err := b.Book().Count(t.Context()); err != nil || len(tally) > 0 {
		t.Errorf("booked %v, %v", tally, err)
	}
}

func TestChargingFaultsOfTheProtocol(t *testing.T) {
	b := newChargingBench(t, nil)
	for name, c := range map[string]struct {
		method  string
		members xmlrpc.Struct
		want    int64
	}{
		"method":           {"AddMoney", nil, 1004},
		"no transaction":   {"Refill", xmlrpc.Struct{"originTransactionID": nil}, 1001},
		"transaction":      {"Refill", xmlrpc.Struct{"originTransactionID": "abc"}, 1003},
		"long transaction": {"Refill", xmlrpc.Struct{"originTransactionID": "123456789012345678901"}, 1003},
		"typed number":     {"GetBalanceAndDate", xmlrpc.Struct{"subscriberNumber": 70112233}, 1002},
		"no time":          {"GetBalanceAndDate", xmlrpc.Struct{"originTimeStamp": "now"}, 1001},
	} {
		_, err := b.call(c.method, c.members)
		if fault := (*xmlrpc.Fault)(nil); !errors.As(err, &fault) || fault.Code != c.want {
			t.Errorf("%s: %v, want fault %d", name, err, c.want)
		}
	}
	for name, body := range map[string]string{"garbage": "{}", "nothing": "", "large": strings.Repeat(" ", maxChargingBody+1)} {
		status, answer, _ := b.post([]byte(body))
		_, err := xmlrpc.ParseResponse(answer)
		if fault := (*xmlrpc.Fault)(nil); status != http.StatusOK || !errors.As(err, &fault) || fault.Code != 1000 {
			t.Errorf("%s: %d, %v", name, status, err)
		}
	}
}

func TestChargingBundleExpires(t *testing.T) {
	b := newChargingBench(t, nil)
	left := func() string {
		got, err := b.call("GetBalanceAndDate", nil)
		list, _ := got["dedicatedAccountInformation"].([]any)
		if err != nil || len(list) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
		one, _ := list[0].(xmlrpc.Struct)
		value, _ := one["dedicatedAccountValue1"].(string)
		return value
	}
	for range 2 {
		got, err := b.refill(xmlrpc.Struct{"refillProfileID": "D1G"})
		b.wantCode("bundle", got, err, 0)
	}
	if got := left(); got != "2048" {
		t.Errorf("two bundles leave %s", got)
	}
	b.clock.forward(25 * time.Hour)
	if got := left(); got != "0" {
		t.Errorf("expired bundles leave %s", got)
	}
	got, err := b.refill(xmlrpc.Struct{"refillProfileID": "D1G"})
	b.wantCode("bundle", got, err, 0)
	if got := left(); got != "1024" {
		t.Errorf("a new bundle leaves %s", got)
	}
}

// Every fault that is offered for a movement can be switched on over HTTP, and
// leaves the books as it says.
func TestChargingFaultsLeaveTheBooksAsTheySay(t *testing.T) {
	const asked, opening = 100, 500
	want := map[Kind]struct {
		main      int64 // of the number asked for
		movements int
		after     int64 // main balance when what is due was done
	}{
		LoseRequest: {opening, 0, opening}, Outage: {opening, 0, opening}, Refuse: {opening, 0, opening}, Conflict: {opening, 0, opening},
		ForgetKey: {600, 1, 600}, Late: {opening, 0, 600}, Twice: {700, 2, 700}, Lie: {opening, 1, opening},
		WrongAmount: {611, 1, 611}, WrongCurrency: {opening, 1, opening}, WrongNumber: {opening, 1, opening},
		WrongProduct: {opening, 1, opening}, Partial: {550, 1, 550}, ReverseLater: {600, 1, opening}, CachedError: {600, 1, 600},
		LoseReply: {600, 1, 600}, SlowAnswer: {600, 1, 600}, ServerError: {600, 1, 600}, Drip: {600, 1, 600}, Huge: {600, 1, 600},
		Garbage: {600, 1, 600},
	}
	for _, kind := range chargingOffer()[legCredit] {
		w, known := want[kind]
		if !known {
			t.Errorf("%s: no test", kind)
			continue
		}
		b := newChargingBench(t, nil)
		body, err := json.Marshal(Fault{Operation: legCredit, Kind: kind, Next: 1, DelayMS: 1000})
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.server.URL+"/faults", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := b.server.Client().Do(r)
		if err != nil || response.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %v %v", kind, response, err)
		}
		response.Body.Close()
		_, _ = b.refill(nil) // what it answers is for the adapter's tests
		main := func() int64 {
			a, err := b.standing(b.Book().View, "22670112233", "XOF", b.clock.Now())
			if err != nil {
				t.Fatal(err)
			}
			return a.Main
		}
		list, err := b.Book().Movements(t.Context(), 0, 10)
		if err != nil || len(list) != w.movements || main() != w.main {
			t.Errorf("%s: %d movements and %d left, %v; want %d and %d", kind, len(list), main(), err, w.movements, w.main)
		}
		b.clock.forward(2 * time.Second)
		if _, err := b.Step(t.Context(), b.clock.Now()); err != nil {
			t.Fatal(err)
		}
		if main() != w.after {
			t.Errorf("%s: %d left after what was due, want %d", kind, main(), w.after)
		}
	}
}

func TestChargingStatement(t *testing.T) {
	b := newChargingBench(t, nil)
	for range 3 {
		if _, err := b.refill(nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.debit("-250"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.refill(xmlrpc.Struct{"refillProfileID": "D1G"}); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := b.WriteStatement(t.Context(), &text, 0, b.clock.Now()+1); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if len(lines) != 8 || lines[2] != "AIR0000000001,1,credit,22670112233,100,XOF,,,2026-07-09T13:45:00Z" ||
		!strings.Contains(lines[5], ",charge,22670112233,250,") || !strings.Contains(lines[6], ",data-1g,") || lines[7] != "total,XOF,5,650" {
		t.Errorf("statement:\n%s", text.String())
	}
}

func TestChargingConfigurationThatMakesNoSense(t *testing.T) {
	for name, change := range map[string]func(*ChargingConfig){
		"currency": func(c *ChargingConfig) { c.Currency = "" },
		"prefixes": func(c *ChargingConfig) { c.Prefixes = nil },
		"profile":  func(c *ChargingConfig) { c.Profile = "" },
		"opening":  func(c *ChargingConfig) { c.Opening = -1 },
		"bundle":   func(c *ChargingConfig) { c.Bundles = map[string]ChargingBundle{"X": {Code: "x"}} },
		"accounts": func(c *ChargingConfig) {
			c.Bundles = map[string]ChargingBundle{"X": {Code: "x", Account: 1, Value: 1}, "Y": {Code: "y", Account: 1, Value: 1}}
		},
		"no path": func(c *ChargingConfig) { c.Path = "" },
	} {
		c := ChargingConfig{Config: Config{Name: "air", Path: filepath.Join(t.TempDir(), "air.db"), Clock: &chargingClock{},
			Log: slog.New(slog.DiscardHandler)}, Currency: money.XOF, Prefixes: []string{"22670"}, Profile: "AIR"}
		change(&c)
		if s, err := NewCharging(t.Context(), c); err == nil {
			t.Errorf("%s: accepted", name)
			_ = s.Close()
		}
	}
}
