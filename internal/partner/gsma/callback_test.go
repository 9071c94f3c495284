package gsma_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"tenu/internal/money"
	"tenu/internal/partner/gsma"
	"tenu/internal/purchase"
	"tenu/internal/sandbox"
)

// post receives callbacks as tenu does, for one adapter.
type post struct {
	url    string
	wallet *gsma.Wallet

	mu      sync.Mutex
	refuses int // how many more are answered 500
	news    []received
	raw     []*http.Request // with their bodies
	bodies  [][]byte
}

type received struct {
	id    purchase.ID
	event purchase.Event
	err   error
}

func newPost(t *testing.T, b *bench) *post {
	t.Helper()
	r := &post{}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL + "/callbacks/moov-money"
	r.wallet = b.adapter(t, b.url, func(c *gsma.Config) { c.CallbackURL = r.url })
	return r
}

func (r *post) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(io.LimitReader(request.Body, gsma.MaxCallback))
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
		return
	case r.refuses > 0:
		r.refuses--
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	id, event, err := r.wallet.Callback(request, body)
	r.news, r.raw, r.bodies = append(r.news, received{id, event, err}), append(r.raw, request), append(r.bodies, body)
	switch {
	case errors.Is(err, gsma.ErrSignature):
		w.WriteHeader(http.StatusUnauthorized)
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (r *post) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.news...)
}

// quiet waits until the wallet has nothing more to do.
func (b *bench) quiet(t *testing.T) {
	t.Helper()
	for t.Context().Err() == nil {
		if next, err := b.Book().NextDue(t.Context()); err != nil {
			t.Fatal(err)
		} else if next == 0 {
			return
		}
	}
}

func TestCallbacks(t *testing.T) {
	none := sandbox.Fault{}
	for _, c := range []struct {
		name    string
		account purchase.MSISDN
		on      string
		fault   sandbox.Fault
		want    []purchase.Kind // 0: not authentic
	}{
		{"done", 22670112233, "", none, []purchase.Kind{purchase.Done}},
		{"declined by the customer", denying, "", none, []purchase.Kind{purchase.Refused}},
		{"no funds", poor, "", none, []purchase.Kind{purchase.Refused}},
		{"w4 twice", 22670112233, "callback", sandbox.Fault{Kind: sandbox.CallbackTwice}, []purchase.Kind{purchase.Done, purchase.Done}},
		{"late", 22670112233, "callback", sandbox.Fault{Kind: sandbox.CallbackLate, DelayMS: 20}, []purchase.Kind{purchase.Done}},
		{"lost", 22670112233, "callback", sandbox.Fault{Kind: sandbox.CallbackLost}, nil},
		{"w6 forged", 22670112233, "callback", sandbox.Fault{Kind: sandbox.CallbackForged}, []purchase.Kind{0, purchase.Done}},
		{"w6 replayed", 22670112233, "callback", sandbox.Fault{Kind: sandbox.CallbackReplayed, DelayMS: 5}, []purchase.Kind{purchase.Done, purchase.Done}},
		{"w7 reversed", 22670112233, "charge", sandbox.Fault{Kind: sandbox.ReverseLater, DelayMS: 20}, []purchase.Kind{purchase.Done, purchase.Reversed}},
		{"w3 executed late", 22670112233, "charge", sandbox.Fault{Kind: sandbox.Late, DelayMS: 20}, []purchase.Kind{purchase.Done}},
		{"twice", 22670112233, "charge", sandbox.Fault{Kind: sandbox.Twice}, []purchase.Kind{purchase.Done, purchase.Done}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, func(w *sandbox.WalletConfig) { w.Async = true })
			r := newPost(t, b)
			if c.on != "" {
				c.fault.Operation, c.fault.Next = c.on, 1
				b.fault(t, c.fault)
			}
			o := b.order(c.account)
			_ = r.wallet.Do(t.Context(), o)
			b.quiet(t)
			got := r.all()
			if len(got) != len(c.want) {
				t.Fatalf("got %d callbacks: %+v, want %v", len(got), got, c.want)
			}
			for i, kind := range c.want {
				checkNews(t, &o, got[i], kind)
			}
		})
	}
}

func checkNews(t *testing.T, o *purchase.Order, got received, kind purchase.Kind) {
	t.Helper()
	out := got.event.Outcome
	switch {
	case kind == 0:
		if !errors.Is(got.err, gsma.ErrSignature) {
			t.Errorf("got %+v, want not authentic", got)
		}
	case got.err != nil || got.id != o.Purchase || got.event.Leg != o.Leg || got.event.Source != purchase.FromCallback || out.Kind != kind:
		t.Errorf("got %+v, want %s of purchase %d", got, kind, o.Purchase)
	case kind == purchase.Done || kind == purchase.Reversed:
		if out.Amount != o.Amount || out.Account != o.Account || out.Ref == "" {
			t.Errorf("got %+v, want %v for the payer, with a reference", out, o.Amount)
		}
	case kind == purchase.Refused && out.Reason == "":
		t.Errorf("got %+v, want a reason", out)
	}
}

// w5: the callback is there before our own answer.
func TestCallbackBeforeAnswer(t *testing.T) {
	b := newBench(t)
	r := newPost(t, b)
	b.fault(t, sandbox.Fault{Operation: "charge", Kind: sandbox.CallbackEarly, Next: 1})
	o := b.order(22670112233)
	out := r.wallet.Do(t.Context(), o)
	if got := r.all(); out.Kind != purchase.Pending || len(got) != 1 || got[0].event.Outcome.Kind != purchase.Done {
		t.Errorf("answer %+v, callbacks %+v, want pending after one that says done", out, got)
	}
}

func TestRefundCallback(t *testing.T) {
	b := newBench(t, func(w *sandbox.WalletConfig) { w.Async = true })
	r := newPost(t, b)
	o := b.refund(b.charged(t))
	if out := r.wallet.Do(t.Context(), o); out.Kind != purchase.Pending {
		t.Fatalf("got %+v, want pending", out)
	}
	b.quiet(t)
	got := r.all()
	if len(got) != 1 {
		t.Fatalf("got %+v, want one", got)
	}
	checkNews(t, &o, got[0], purchase.Done)
}

// A callback that is not taken is sent again, as often as is configured.
func TestCallbackIsRetried(t *testing.T) {
	for refuses, want := range map[int]int{1: 1, 2: 0} {
		b := newBench(t, func(w *sandbox.WalletConfig) { w.Async = true })
		r := newPost(t, b)
		r.refuses = refuses
		_ = r.wallet.Do(t.Context(), b.order(22670112233))
		b.quiet(t)
		if got := r.all(); len(got) != want {
			t.Errorf("refused %d times: got %d callbacks, want %d", refuses, len(got), want)
		}
	}
}

// A true callback that comes again when it is old is not believed.
func TestOldCallback(t *testing.T) {
	b := newBench(t, func(w *sandbox.WalletConfig) { w.Async = true })
	r := newPost(t, b)
	_ = r.wallet.Do(t.Context(), b.order(22670112233))
	b.quiet(t)
	if len(r.raw) != 1 {
		t.Fatalf("got %d callbacks", len(r.raw))
	}
	for _, shift := range []time.Duration{-6 * time.Minute, 6 * time.Minute} {
		later, err := gsma.New(gsma.Config{Name: "w", URL: b.url, Merchant: gsma.Party{Key: "a", Value: "b"}, CallbackKeys: [][]byte{callbackKey}},
			b.keys, http.DefaultTransport, func() purchase.Instant { return clock{}.Now().Add(shift) })
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := later.Callback(r.raw[0], r.bodies[0]); !errors.Is(err, gsma.ErrSignature) {
			t.Errorf("%s from now: %v, want not authentic", shift, err)
		}
	}
}

// signed is a callback as the documented scheme has it, written here a second time.
func signed(key []byte, date, correlation, body string) *http.Request {
	hash := sha256.Sum256([]byte(body))
	text := strings.Join([]string{"v1", date, correlation, hex.EncodeToString(hash[:]), ""}, "\n")
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(text))
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPut, "http://tenu.example/callbacks/w", bytes.NewReader([]byte(body)))
	if err != nil {
		panic(err)
	}
	r.Header.Set("X-Date", date)
	r.Header.Set("X-CorrelationID", correlation)
	r.Header.Set("X-Content-Hash", hex.EncodeToString(hash[:]))
	r.Header.Set("X-Signature", "v1="+hex.EncodeToString(mac.Sum(nil)))
	return r
}

const doneBody = `{"transactionReference":"MP1","type":"merchantpay","transactionStatus":"completed","amount":"1050","currency":"XOF",
"debitParty":[{"key":"msisdn","value":"+22670112233"}],"creditParty":[{"key":"organisationid","value":"tenu"}]}`

func TestCallbackIsAuthenticated(t *testing.T) {
	b := newBench(t)
	next := []byte("the key that comes after it, 32 bytes or more")
	p := b.adapter(t, b.url, func(c *gsma.Config) { c.CallbackKeys = [][]byte{callbackKey, next} })
	key := b.keys.Key(purchase.MakeID(3, 77), purchase.Charge).UUID()
	now := time.Now().UTC().Format(time.RFC3339)
	for _, good := range [][]byte{callbackKey, next} {
		if id, event, err := p.Callback(signed(good, now, key, doneBody), []byte(doneBody)); err != nil ||
			id != purchase.MakeID(3, 77) || event.Leg != purchase.Charge || event.Outcome.Kind != purchase.Done {
			t.Fatalf("got %d %+v, %v", id, event, err)
		}
	}
	for what, change := range map[string]func(r *http.Request, body *string){
		"no signature": func(r *http.Request, _ *string) { r.Header.Del("X-Signature") },
		"no date":      func(r *http.Request, _ *string) { r.Header.Del("X-Date") },
		"no hash":      func(r *http.Request, _ *string) { r.Header.Del("X-Content-Hash") },
		"no key":       func(r *http.Request, _ *string) { r.Header.Del("X-CorrelationID") },
		"two dates":    func(r *http.Request, _ *string) { r.Header.Add("X-Date", now) },
		"other date":   func(r *http.Request, _ *string) { r.Header.Set("X-Date", "2026-07-09T13:45:00Z") },
		"other purchase": func(r *http.Request, _ *string) {
			r.Header.Set("X-CorrelationID", b.keys.Key(78, purchase.Charge).UUID())
		},
		"other body":        func(_ *http.Request, body *string) { *body = strings.Replace(*body, "1050", "9050", 1) },
		"not hexadecimal":   func(r *http.Request, _ *string) { r.Header.Set("X-Signature", "v1=zz") },
		"half a signature":  func(r *http.Request, _ *string) { r.Header.Set("X-Signature", r.Header.Get("X-Signature")[:20]) },
		"empty signature":   func(r *http.Request, _ *string) { r.Header.Set("X-Signature", "v1=") },
		"endless signature": func(r *http.Request, _ *string) { r.Header.Set("X-Signature", "v1="+strings.Repeat("00", 1<<20)) },
		"key of nobody":     func(r *http.Request, _ *string) { *r = *signed([]byte("not the key"), now, key, doneBody) },
		"stale":             func(r *http.Request, _ *string) { *r = *signed(callbackKey, "2024-07-09T13:45:00Z", key, doneBody) },
		"no time":           func(r *http.Request, _ *string) { *r = *signed(callbackKey, "yesterday", key, doneBody) },
	} {
		r, body := signed(callbackKey, now, key, doneBody), doneBody
		change(r, &body)
		if _, _, err := p.Callback(r, []byte(body)); !errors.Is(err, gsma.ErrSignature) || errors.Is(err, gsma.ErrCallback) {
			t.Errorf("%s: %v, want not authentic", what, err)
		}
	}
}

func TestCallbackMustBeUsable(t *testing.T) {
	b := newBench(t)
	p := b.adapter(t, b.url)
	key := b.keys.Key(purchase.MakeID(3, 77), purchase.Charge)
	now := time.Now().UTC().Format(time.RFC3339)
	for what, c := range map[string]struct{ method, key, body string }{
		"method":         {http.MethodPost, key.UUID(), doneBody},
		"key of nobody":  {http.MethodPut, "0e3b4ec1-8a5a-4d3c-9b1f-2f3a4b5c6d7e", doneBody},
		"no key":         {http.MethodPut, "-", doneBody},
		"other leg":      {http.MethodPut, b.keys.Key(77, purchase.Credit).UUID(), doneBody},
		"not JSON":       {http.MethodPut, key.UUID(), "<done/>"},
		"an array":       {http.MethodPut, key.UUID(), "[" + doneBody + "]"},
		"nothing":        {http.MethodPut, key.UUID(), ""},
		"another object": {http.MethodPut, key.UUID(), `{"link":"/transactions/1"}`},
		"no status":      {http.MethodPut, key.UUID(), `{"transactionReference":"1","type":"merchantpay"}`},
		"half an error":  {http.MethodPut, key.UUID(), `{"errorCategory":"internal"}`},
	} {
		r := signed(callbackKey, now, c.key, c.body)
		r.Method = c.method
		if _, _, err := p.Callback(r, []byte(c.body)); !errors.Is(err, gsma.ErrCallback) || errors.Is(err, gsma.ErrSignature) {
			t.Errorf("%s: %v, want not usable", what, err)
		}
	}
	for body, want := range map[string]purchase.Outcome{
		`{"serverCorrelationId":"1","status":"pending","notificationMethod":"callback"}`:                                                                                   {Kind: purchase.Pending},
		`{"serverCorrelationId":"1","status":"completed","objectReference":"MP1"}`:                                                                                         {Kind: purchase.Pending},
		`{"serverCorrelationId":"1","status":"failed","error":{"errorCategory":"businessRule","errorCode":"insufficientFunds"}}`:                                           {Kind: purchase.Refused, Reason: purchase.ReasonFunds},
		`{"errorCategory":"authorisation","errorCode":"requestDeclined","errorDescription":"no, says 22670112233"}`:                                                        {Kind: purchase.Refused, Reason: purchase.ReasonNotApproved},
		`{"errorCategory":"internal","errorCode":"genericError"}`:                                                                                                          {Kind: purchase.Unknown},
		`{"errorCategory":"businessRule","errorCode":"duplicateRequest"}`:                                                                                                  {Kind: purchase.Unknown},
		`{"transactionReference":"MP1","type":"merchantpay","transactionStatus":"completed","amount":"1050.5","currency":"XOF"}`:                                           {Kind: purchase.Unknown},
		`{"transactionReference":"MP1","type":"disbursement","transactionStatus":"completed","amount":"1050","currency":"XOF"}`:                                            {Kind: purchase.Unknown},
		`{"transactionReference":"MP1","type":"merchantpay","transactionStatus":"completed","amount":"1050","currency":"XOF","debitParty":[{"key":"msisdn","value":"?"}]}`: {Kind: purchase.Unknown},
		`{"transactionReference":"MP2","originalTransactionReference":"MP1","type":"reversal","transactionStatus":"completed","amount":"1050","currency":"XOF"}`: {
			Kind: purchase.Reversed, Amount: money.Amount{Minor: 1050, Currency: money.XOF}},
	} {
		_, event, err := p.Callback(signed(callbackKey, now, key.UUID(), body), []byte(body))
		if err != nil || event.Outcome.Kind != want.Kind || event.Outcome.Reason != want.Reason || event.Outcome.Amount != want.Amount {
			t.Errorf("%s: got %+v, %v, want %+v", body, event.Outcome, err, want)
		}
		if strings.Contains(event.Outcome.Detail, "22670112233") {
			t.Errorf("the detail holds a number: %q", event.Outcome.Detail)
		}
	}
}
