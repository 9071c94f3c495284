package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tenu/internal/money"
)

// walletBench is a wallet whose clock and due work the test drives.
type walletBench struct {
	*Wallet
	*served
	clock  *handClock
	config WalletConfig
	last   int
}

func newWalletBench(t testing.TB, change func(*WalletConfig)) *walletBench {
	t.Helper()
	b := &walletBench{clock: newHandClock()}
	b.config = WalletConfig{Config: testConfig(t, b.clock), Currency: money.XOF, Opening: 10_000, MerchantKey: "organisationid", Merchant: "tenu",
		CallbackKey: []byte("key"), Phones: map[string]Phone{
			"22670000001": {Balance: 10},
			"22670000002": {Balance: 10_000, Status: "unavailable"},
			"22670000003": {Status: "unregistered"},
			"22670000004": {Balance: 10_000, Decision: Deny, After: time.Minute},
			"22670000005": {Balance: 10_000, Decision: Ignore},
			"22670000006": {Balance: 10_000, After: time.Minute},
		}}
	if change != nil {
		change(&b.config)
	}
	b.open(t)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// open starts the wallet, for the first time or again.
func (b *walletBench) open(t testing.TB) {
	t.Helper()
	var err error
	if b.Wallet, err = NewWallet(context.Background(), b.config); err != nil {
		t.Fatal(err)
	}
	b.served = serve(t, b.Wallet)
}

func (b *walletBench) key() string {
	b.last++
	return fmt.Sprintf("0e3b4ec1-8a5a-4d3c-9b1f-%012x", b.last)
}

func chargeOf(number, amount string) string {
	return fmt.Sprintf(`{"amount":%q,"currency":"XOF","debitParty":[{"key":"msisdn","value":"+%s"}],"creditParty":[{"key":"organisationid","value":"tenu"}]}`, amount, number)
}

const charges = "/transactions/type/merchantpay"

// charge makes a charge that is done and returns its reference.
func (b *walletBench) charged(t testing.TB, number, amount string) string {
	t.Helper()
	return read[walletTransaction](t, b.must(201, http.MethodPost, charges, chargeOf(number, amount), "X-CorrelationID", b.key())).Reference
}

// settle does everything that is due, turning the clock as far as needed.
func (b *walletBench) settle(t testing.TB) {
	t.Helper()
	for range 1000 {
		next, err := b.Step(context.Background(), b.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		if next == 0 {
			return
		}
		if now := b.clock.Now(); next > now {
			b.clock.forward(next.Sub(now))
		}
	}
	t.Fatal("there is always something due")
}

func (b *walletBench) balance(t testing.TB, kind, id string) string {
	t.Helper()
	return read[walletBalance](t, b.must(200, http.MethodGet, "/accounts/"+kind+"/"+id+"/balance", "")).Current
}

func TestWalletMovesMoney(t *testing.T) {
	b := newWalletBench(t, nil)
	ref := b.charged(t, "22670112233", "1050")
	if mine, theirs := b.balance(t, "msisdn", "+22670112233"), b.balance(t, "organisationid", "tenu"); mine != "8950" || theirs != "1050" {
		t.Errorf("balances %s and %s", mine, theirs)
	}
	for i, c := range []struct {
		body   string
		status int
		code   string
	}{
		{`{"type":"reversal","amount":"50","currency":"XOF"}`, 201, ""},
		{`{"type":"reversal","amount":"1001","currency":"XOF"}`, 400, "incorrectState"},
		{`{"type":"reversal","amount":"50","currency":"XAF"}`, 400, "currencyNotSupported"},
		{`{"type":"reversal"}`, 201, ""}, // all that is left
		{`{"type":"reversal","amount":"1","currency":"XOF"}`, 400, "incorrectState"},
	} {
		answer := b.must(c.status, http.MethodPost, "/transactions/"+ref+"/reversals", c.body, "X-CorrelationID", b.key())
		if got := read[walletErrorObject](t, answer); got.Code != c.code {
			t.Errorf("%d: got %s", i, answer)
		}
	}
	if mine, theirs := b.balance(t, "msisdn", "+22670112233"), b.balance(t, "organisationid", "tenu"); mine != "10000" || theirs != "0" {
		t.Errorf("balances %s and %s", mine, theirs)
	}
	history := read[[]walletTransaction](t, b.must(200, http.MethodGet, "/accounts/msisdn/+22670112233/transactions?limit=2&offset=1", ""))
	if len(history) != 2 || history[0].Type != "reversal" || history[0].Amount != "50" || history[1].Reference != ref {
		t.Errorf("history %+v", history)
	}
}

// What cannot be, is refused, and nothing is written.
func TestWalletRefusesBadRequests(t *testing.T) {
	b := newWalletBench(t, func(c *WalletConfig) { c.APIKey = "secret" })
	good := chargeOf("22670112233", "1050")
	for i, c := range []struct {
		path, body, key string
		status          int
		code            string
	}{
		{charges, good, "", 400, "mandatoryValueNotSupplied"},
		{charges, good, "1234", 400, "formatError"},
		{charges, `{"amount":`, "k", 400, "formatError"},
		{charges, `[]`, "k", 400, "formatError"},
		{charges, `{"x":"` + strings.Repeat("x", maxWalletBody) + `"}`, "k", 400, "lengthError"},
		{charges, chargeOf("22670112233", "0"), "k", 400, "negativeValue"},
		{charges, chargeOf("22670112233", "-5"), "k", 400, "negativeValue"},
		{charges, chargeOf("22670112233", "1.5"), "k", 400, "formatError"},
		{charges, chargeOf("22670112233", "99999999999999999999"), "k", 400, "formatError"},
		{charges, chargeOf("22670112233", ""), "k", 400, "formatError"},
		{charges, strings.Replace(good, "XOF", "EUR", 1), "k", 400, "currencyNotSupported"},
		{charges, strings.Replace(good, "XOF", "XAF", 1), "k", 400, "currencyNotSupported"},
		{charges, strings.Replace(good, `"amount":"1050","currency":"XOF",`, "", 1), "k", 400, "mandatoryValueNotSupplied"},
		{charges, strings.Replace(good, "tenu", "other", 1), "k", 404, "identifierError"},
		{charges, strings.Replace(good, "msisdn", "iban", 1), "k", 400, "mandatoryValueNotSupplied"},
		{charges, chargeOf("abc", "5"), "k", 400, "formatError"},
		{charges, strings.Replace(good, `{"amount"`, `{"requestDate":"today","amount"`, 1), "k", 400, "formatError"},
		{charges, strings.Replace(good, `{"amount"`, `{"descriptionText":"`+strings.Repeat("x", 161)+`","amount"`, 1), "k", 400, "lengthError"},
		{"/transactions/type/deposit", good, "k", 400, "transactionTypeError"},
		{"/transactions/MP0000000007/reversals", `{"type":"reversal"}`, "k", 404, "identifierError"},
		{"/transactions/MP0000000007/reversals", `{"type":"adjustment"}`, "k", 400, "transactionTypeError"},
	} {
		if c.key == "k" {
			c.key = b.key()
		}
		answer := b.must(c.status, http.MethodPost, c.path, c.body, "X-CorrelationID", c.key, "X-API-Key", "secret")
		if got := read[walletErrorObject](t, answer); got.Code != c.code {
			t.Errorf("%d: got %s, want %s", i, answer, c.code)
		}
	}
	for _, key := range []string{"", "secre", "secrets"} {
		b.must(401, http.MethodPost, charges, good, "X-CorrelationID", b.key(), "X-API-Key", key)
	}
	b.must(400, http.MethodPost, charges, good, "X-CorrelationID", b.key(), "X-API-Key", "secret", "X-Content-Hash", strings.Repeat("0", 64))
	b.must(404, http.MethodGet, "/accounts/iban/7/balance", "", "X-API-Key", "secret")
	b.must(400, http.MethodGet, "/accounts/msisdn/+22670112233/transactions?limit=x", "", "X-API-Key", "secret")
	b.must(404, http.MethodGet, "/requeststates/0e3b4ec1-8a5a-4d3c-9b1f-000000000001", "", "X-API-Key", "secret")
	b.must(404, http.MethodGet, "/requeststates/7", "", "X-API-Key", "secret")
	if list, err := b.book.Movements(t.Context(), 0, 9); err != nil || len(list) != 0 {
		t.Errorf("the book has %+v, %v", list, err)
	}
}

// The customer decides later: the request state tells, over a restart too.
func TestWalletWaitsForItsCustomer(t *testing.T) {
	b := newWalletBench(t, nil)
	states := map[string]walletRequestState{}
	for number, want := range map[string]string{"22670000006": "completed", "22670000004": "failed", "22670000005": "failed"} {
		s := read[walletRequestState](t, b.must(202, http.MethodPost, charges, chargeOf(number, "1050"), "X-CorrelationID", b.key()))
		if s.Status != "pending" || s.Notification != "polling" || s.Expiry != "2026-07-09T13:50:00.000Z" {
			t.Errorf("%s: %+v", number, s)
		}
		s.Status = want
		states[number] = s
	}
	if b.balance(t, "msisdn", "+22670000006") != "10000" {
		t.Error("moved before it was approved")
	}
	b.http.Close()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b.open(t)
	b.clock.forward(time.Minute)
	next, err := b.Step(t.Context(), b.clock.Now())
	if expiry := newHandClock().Now().Add(5 * time.Minute); err != nil || next != expiry {
		t.Errorf("next due at %s, %v, want %s", next, err, expiry)
	}
	if b.balance(t, "msisdn", "+22670000006") != "8950" {
		t.Error("approved, and not moved")
	}
	b.settle(t)
	for number, want := range states {
		got := read[walletRequestState](t, b.must(200, http.MethodGet, "/requeststates/"+want.ServerID, ""))
		if got.Status != want.Status || (got.Error != nil) != (want.Status == "failed") || got.Error != nil && got.Error.Code != "requestDeclined" {
			t.Errorf("%s: %+v, want %s", number, got, want.Status)
		}
		if number != "22670000006" && b.balance(t, "msisdn", "+"+number) != "10000" {
			t.Errorf("%s: moved", number)
		}
	}
}

func TestWalletRemembersKeys(t *testing.T) {
	for _, c := range []struct {
		name          string
		change        func(*WalletConfig)
		again, other  int // status of the same request again, and of another one under its key
		late          time.Duration
		moved, unlike int64 // movements after the first repeat, and after the other
	}{
		{"first answer again", func(*WalletConfig) {}, 201, 400, 0, 1, 1},
		{"within the key's life", func(*WalletConfig) {}, 201, 400, 24*time.Hour - time.Second, 1, 1},
		{"after the key's life", func(*WalletConfig) {}, 201, 201, 24 * time.Hour, 2, 3},
		{"duplicates refused", func(c *WalletConfig) { c.RefuseDuplicates = true }, 400, 400, 0, 1, 1},
		{"forgetful", func(c *WalletConfig) { c.Forgetful = true }, 201, 201, 0, 2, 3},
	} {
		b := newWalletBench(t, c.change)
		key := b.key()
		moved := func() (n int64) {
			tally, err := b.book.Count(t.Context())
			if err != nil || len(tally) != 1 {
				t.Fatalf("%+v, %v", tally, err)
			}
			return tally[0].Movements
		}
		first := b.must(201, http.MethodPost, charges, chargeOf("22670112233", "1050"), "X-CorrelationID", key)
		b.clock.forward(c.late)
		again := b.must(c.again, http.MethodPost, charges, chargeOf("22670112233", "1050"), "X-CorrelationID", strings.ToUpper(key))
		if c.again == 201 && (again == first) != (c.moved == 1) || moved() != c.moved {
			t.Errorf("%s: %d movements, %s after %s", c.name, moved(), again, first)
		}
		if c.late >= 24*time.Hour {
			b.clock.forward(c.late)
		}
		b.must(c.other, http.MethodPost, charges, chargeOf("22670112233", "1051"), "X-CorrelationID", key)
		if moved() != c.unlike {
			t.Errorf("%s: %d movements after another request", c.name, moved())
		}
	}
}

// w3: executed late, after a resend that was executed at once: once in all.
func TestLateAndResent(t *testing.T) {
	b := newWalletBench(t, nil)
	key, body := b.key(), chargeOf("22670112233", "1050")
	b.must(201, http.MethodPost, "/faults", `{"operation":"charge","kind":"late","next":1,"delay_ms":60000}`)
	if _, answer, err := b.ask(http.MethodPost, charges, body, "X-CorrelationID", key); err == nil {
		t.Errorf("got %s, want the connection cut", answer)
	}
	b.must(404, http.MethodGet, "/responses/"+key, "")
	b.must(201, http.MethodPost, charges, body, "X-CorrelationID", key)
	b.settle(t)
	if got := b.balance(t, "msisdn", "+22670112233"); got != "8950" {
		t.Errorf("the balance is %s", got)
	}
	if link := read[struct{ Link string }](t, b.must(200, http.MethodGet, "/responses/"+key, "")).Link; !strings.HasPrefix(link, "/transactions/MP") {
		t.Errorf("the response links to %q", link)
	}
}

// A reversal of the wallet's own accord is in the books and in the statement,
// and a refund of what was taken back already is refused.
func TestReversalOfTheWalletsOwnAccord(t *testing.T) {
	b := newWalletBench(t, nil)
	b.must(201, http.MethodPost, "/faults", `{"operation":"charge","kind":"reverse_later","next":1,"delay_ms":1000}`)
	ref := b.charged(t, "22670112233", "1050")
	b.settle(t)
	if got := read[walletTransaction](t, b.must(200, http.MethodGet, "/transactions/"+ref, "")); got.Status != "reversed" {
		t.Errorf("got %+v", got)
	}
	if got := b.balance(t, "msisdn", "+22670112233"); got != "10000" {
		t.Errorf("the balance is %s", got)
	}
	undo, err := b.book.Undoing(t.Context(), ref)
	if err != nil || len(undo) != 1 || undo[0].Leg != legUndo || undo[0].Moved == 0 {
		t.Fatalf("undone by %+v, %v", undo, err)
	}
	b.must(404, http.MethodGet, "/transactions/"+undo[0].Ref, "")
	b.must(400, http.MethodPost, "/transactions/"+ref+"/reversals", `{"type":"reversal"}`, "X-CorrelationID", b.key())
	if got := lines(t, b.must(200, http.MethodGet, "/statement", "")); len(got) != 5 || got[3][2] != "undo" || got[3][7] != ref {
		t.Errorf("statement %v", got)
	}
}

func TestWalletConfigIsChecked(t *testing.T) {
	good := newWalletBench(t, nil).config
	for what, change := range map[string]func(*WalletConfig){"currency": func(c *WalletConfig) { c.Currency = "EUR" }, "merchant": func(c *WalletConfig) { c.Merchant = "" },
		"opening": func(c *WalletConfig) { c.Opening = -1 }, "retries": func(c *WalletConfig) { c.CallbackRetries = -1 }} {
		config := good
		change(&config)
		if _, err := NewWallet(t.Context(), config); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Whatever faults are on: each balance is its opening balance and what the book
// says has moved, no customer is overdrawn, and a key that was not doubled by a
// fault has moved at most once.
func TestBooksAddUpAtRandom(outer *testing.T) {
	rapid.Check(outer, func(t *rapid.T) {
		b := newWalletBench(outer, func(c *WalletConfig) { c.Async = rapid.Bool().Draw(t, "async") })
		kinds := walletOffer()["charge"]
		doubled := false
		var refs, keys []string
		for i := range rapid.IntRange(1, 15).Draw(t, "steps") {
			kind := rapid.SampledFrom(append(kinds, make([]Kind, len(kinds))...)).Draw(t, fmt.Sprint("kind", i))
			if kind == Huge || kind == Drip {
				kind = ""
			}
			if kind != "" {
				_, _ = b.faults.Add(Fault{Operation: AnyOperation, Kind: kind, Next: 1, DelayMS: 1000, Code: "rateLimitError"})
			}
			doubled = doubled || kind == Twice || kind == ForgetKey
			key := b.key()
			if len(keys) > 0 && rapid.IntRange(0, 3).Draw(t, fmt.Sprint("again", i)) == 0 {
				key = keys[len(keys)-1]
			}
			path, body := charges, chargeOf(rapid.SampledFrom([]string{"22670112233", "22670000001", "22670000006"}).Draw(t, fmt.Sprint("number", i)), "1050")
			if len(refs) > 0 && rapid.Bool().Draw(t, fmt.Sprint("refund", i)) {
				path, body = "/transactions/"+refs[len(refs)-1]+"/reversals", `{"type":"reversal"}`
			}
			keys = append(keys, key)
			status, answer, err := b.ask(http.MethodPost, path, body, "X-CorrelationID", key)
			if err == nil && status == 201 && !strings.HasPrefix(answer, "[") && strings.Contains(answer, `"transactionReference":"MP`) {
				refs = append(refs, read[walletTransaction](outer, answer).Reference)
			}
			b.clock.forward(300 * time.Millisecond)
			if _, err := b.Step(context.Background(), b.clock.Now()); err != nil {
				t.Fatal(err)
			}
		}
		b.settle(outer)
		addUp(t, b, doubled)
		b.http.Close()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func addUp(t *rapid.T, b *walletBench, doubled bool) {
	ctx := context.Background()
	all, err := b.book.Movements(ctx, 0, 1000)
	accounts, err2 := b.book.Accounts(ctx, "", 1000)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	type pocket struct{ number, currency string }
	sums := map[pocket]int64{}
	byKey := map[string]int{}
	for _, m := range all {
		if m.Moved == 0 {
			continue
		}
		change := m.Amount
		if m.Leg == legCharge {
			change = -change
		}
		if original, err := b.book.Movement(ctx, m.Original); err == nil && m.Leg == legUndo && original.Leg == legRefund {
			change = -change
		}
		sums[pocket{m.Number, m.Currency}] += change
		sums[pocket{"tenu", m.Currency}] -= change
		if m.Key != "" {
			byKey[m.Key+m.Leg]++
		}
	}
	for _, a := range accounts {
		opening := b.config.Opening
		if phone, has := b.config.Phones[a.Number]; has {
			opening = phone.Balance
		} else if a.Number == "tenu" {
			opening = 0
		}
		if a.Balance != opening+sums[pocket{a.Number, a.Pocket}] {
			t.Fatalf("%s has %d %s, its movements make %d", a.Number, a.Balance, a.Pocket, opening+sums[pocket{a.Number, a.Pocket}])
		}
	}
	for key, n := range byKey {
		if n > 1 && !doubled {
			t.Fatalf("%s moved %d times", key, n)
		}
	}
}
