package gsma_test

import (
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"tenu/internal/fuzztest"
	"tenu/internal/money"
	"tenu/internal/partner"
	"tenu/internal/partner/gsma"
	"tenu/internal/purchase"
)

// said is a wallet that answers everything the same, and is asked for nothing
// but what the protocol has.
type said struct {
	t      *testing.T
	status int
	body   string
}

var asked = regexp.MustCompile(`^/(transactions/type/merchantpay|transactions/[^/]+/reversals|(transactions|requeststates|responses)/[^/]+|heartbeat)$`)

// RoundTrip is http.RoundTripper.
func (s said) RoundTrip(r *http.Request) (*http.Response, error) {
	path := r.URL.EscapedPath()
	if r.URL.Host != "wallet.invalid" || len(path) > 4*purchase.MaxDetail || !asked.MatchString(path) || strings.Contains(path+"/", "/../") {
		s.t.Errorf("%s is asked for", r.URL)
	}
	return &http.Response{StatusCode: s.status, Body: io.NopCloser(strings.NewReader(s.body))}, nil
}

// FuzzAnswer: no answer makes anything up, and only a client error refuses.
func FuzzAnswer(f *testing.F) {
	keys, err := purchase.NewKeyring([]byte("a secret for the tests"))
	if err != nil {
		f.Fatal(err)
	}
	for _, body := range []string{doneBody, `{"link":"/transactions/MP1"}`, `{"link":"https://evil.example/requeststates/../../x"}`,
		`{"serverCorrelationId":"1","status":"failed"}`, `{"serverCorrelationId":"1","status":"completed","objectReference":"MP1"}`,
		`{"errorCategory":"identification","errorCode":"identifierError"}`, `{"errorCategory":"internal","errorCode":"genericError"}`,
		`{"serverCorrelationId":"1","status":"completed","objectReference":".."}`, `{"link":"/transactions/%2e%2e"}`,
		`{"transactionReference":"..","type":"merchantpay","transactionStatus":"completed"}`,
		`{"serverCorrelationId":"70 11 22 33","status":"failed","error":{"errorCategory":"x","errorCode":"+226 70 11 22 33"}}`,
		`{"serviceStatus":"70112233","plannedRestorationTime":"9999-12-31T23:59:59+14:00"}`,
		`{"errorCategory":"businessRule","errorCode":"x","errorParameters":[{"key":"msisdn","value":"+226 70 11 22 33"}]}`,
		`{"transactionReference":"MP2","type":"reversal","transactionStatus":"completed","originalTransactionReference":"MP1"}`} {
		for _, status := range []int{200, 201, 202, 400, 401, 404, 409, 500, 503} {
			f.Add(status, body, true)
			f.Add(status, body, false)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body string, charge bool) {
		if status < 100 || status > 999 {
			return
		}
		p, err := gsma.New(gsma.Config{Name: "w", URL: "http://wallet.invalid", Merchant: gsma.Party{Key: "a", Value: "b"}}, keys, said{t, status, body}, clock{}.Now)
		if err != nil {
			t.Fatal(err)
		}
		o := purchase.Order{Leg: purchase.Refund, Key: keys.Key(5, purchase.Refund), Account: 22670112233, Original: "MP1",
			Amount: money.Amount{Minor: 1050, Currency: money.XOF}}
		if charge {
			o.Leg, o.Key = purchase.Charge, keys.Key(5, purchase.Charge)
		}
		var did, asked purchase.Outcome
		fuzztest.Within(t, 1<<20+64*len(body), func() {
			did, asked = p.Do(t.Context(), o), p.Query(t.Context(), o)
			fuzztest.NoNumber(t, p.Probe(t.Context()).Detail)
		})
		checkOutcome(t, did)
		checkOutcome(t, asked)
		if did.Kind == purchase.Unsent || did.Kind == purchase.Absent || asked.Kind == purchase.Unsent {
			t.Fatalf("%d %q: do %+v, query %+v", status, body, did, asked)
		}
		if refuses := status/100 == 4 && status != 409 && status != 408; !refuses && status != 202 && status != 201 && did.Kind != purchase.Unknown ||
			status != 200 && status != 404 && asked.Kind != purchase.Unknown {
			t.Fatalf("%d %q: do %+v, query %+v", status, body, did, asked)
		}
	})
}

// calledAt is when the callbacks of the fuzz targets arrive.
const calledAt = "2026-07-09T13:45:00Z"

func calledBack(f *testing.F) (*purchase.Keyring, *gsma.Wallet) {
	keys, err := purchase.NewKeyring([]byte("a secret for the tests"))
	if err != nil {
		f.Fatal(err)
	}
	p, err := gsma.New(gsma.Config{Name: "w", URL: "http://wallet.invalid", Merchant: gsma.Party{Key: "a", Value: "b"}, CallbackKeys: [][]byte{callbackKey}},
		keys, partner.Transport(1, time.Second, nil), func() purchase.Instant {
			now, _ := time.Parse(time.RFC3339, calledAt)
			return purchase.At(now)
		})
	if err != nil {
		f.Fatal(err)
	}
	return keys, p
}

// FuzzCallback: no authentic body makes anything up.
func FuzzCallback(f *testing.F) {
	keys, p := calledBack(f)
	f.Add(doneBody, true)
	f.Add(strings.Repeat(`{"transactionReference":`, 20_000), true)
	f.Add(`{"transactionReference":`+strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)+`}`, false)
	f.Add(`{"serverCorrelationId":"1","status":"failed","error":{"errorCategory":"x","errorCode":"y"}}`, false)
	f.Add(`{"errorCategory":"identification","errorCode":"identifierError","errorParameters":[{"key":"a","value":"b"}]}`, true)
	f.Fuzz(func(t *testing.T, body string, charge bool) {
		var err error
		leg := purchase.Refund
		if charge {
			leg = purchase.Charge
		}
		var id purchase.ID
		var event purchase.Event
		r := signed(callbackKey, calledAt, keys.Key(5, leg).UUID(), body)
		fuzztest.Within(t, 1<<20+64*len(body), func() { id, event, err = p.Callback(r, []byte(body)) })
		if err != nil {
			fuzztest.NoNumber(t, err.Error())
			if !errors.Is(err, gsma.ErrCallback) {
				t.Fatalf("signed, and %v", err)
			}
			return
		}
		checkOutcome(t, event.Outcome)
		if id != 5 || event.Leg != leg {
			t.Fatalf("got %d %s", id, event.Leg)
		}
	})
}

// FuzzForgedCallback: what is not signed with our key is not authentic, however
// its headers are written.
func FuzzForgedCallback(f *testing.F) {
	keys, p := calledBack(f)
	right := signed(callbackKey, calledAt, keys.Key(5, purchase.Charge).UUID(), doneBody)
	f.Add(right.Header.Get("X-Date"), right.Header.Get("X-CorrelationID"), right.Header.Get("X-Content-Hash"), "v1=", doneBody)
	f.Add("", "", "", "", "")
	f.Add(strings.Repeat("9", 200), "\r\n", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "v1=zz", "")
	f.Fuzz(func(t *testing.T, date, key, hash, signature, body string) {
		r := right.Clone(t.Context())
		for name, value := range map[string]string{"X-Date": date, "X-CorrelationID": key, "X-Content-Hash": hash, "X-Signature": signature} {
			r.Header.Set(name, value)
		}
		id, event, err := p.Callback(r, []byte(body))
		if !errors.Is(err, gsma.ErrSignature) || id != 0 || event != (purchase.Event{}) {
			t.Fatalf("got %d %+v %v", id, event, err)
		}
		fuzztest.NoNumber(t, err.Error())
	})
}

func checkOutcome(t *testing.T, o purchase.Outcome) {
	t.Helper()
	moved := o.Kind == purchase.Done || o.Kind == purchase.Reversed
	if o.Kind == 0 || moved && (o.Amount.Currency == "" || o.Amount.Minor < 0 || o.Ref == "") || !moved && o.Amount != (money.Amount{}) ||
		len(o.Detail) > purchase.MaxDetail || len(o.Ref) > purchase.MaxDetail || (o.Kind == purchase.Refused) != (o.Reason != "") {
		t.Fatalf("%+v", o)
	}
	fuzztest.NoNumber(t, o.Detail)
}
