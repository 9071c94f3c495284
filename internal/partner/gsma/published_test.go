package gsma_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tenu/internal/partner"
	"tenu/internal/partner/gsma"
	"tenu/internal/purchase"
	"tenu/internal/sandbox"
	"tenu/internal/testpeer"
)

const repository = "../../.."

// absent skips the test for want of something, or fails it where nothing may be wanting.
func absent(t *testing.T, required bool, format string, arguments ...any) {
	t.Helper()
	if required || os.Getenv("CI") == "true" {
		t.Fatalf(format, arguments...)
	}
	t.Skipf(format, arguments...)
}

// defects are what must be put right in the published description before a
// validator can use it, by exact text. Nothing is loosened: a JSON Schema pattern
// is a regular expression with the u flag, which refuses to escape a comma, and
// prism silently validates nothing against a schema that does not compile.
var defects = map[string]string{
	`{0,1}))\\,{1}(-?(180`: `{0,1})),(-?(180`, // geoCode, which every transaction refers to
}

// description is the published description of the API, put right.
func description(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("TENU_SPECS")
	if folder == "" {
		folder = filepath.Join(repository, "../shared/specs")
	}
	published, err := os.ReadFile(filepath.Join(folder, "gsma-mobile-money-1.2.yaml"))
	if err != nil {
		absent(t, false, "the published description is not here: %v", err)
	}
	text := string(published)
	for wrong, right := range defects {
		if strings.Count(text, wrong) != 1 {
			t.Fatalf("the published description no longer has the defect %q", wrong)
		}
		text = strings.Replace(text, wrong, right, 1)
	}
	file := filepath.Join(t.TempDir(), "gsma-mobile-money-1.2.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// witness notes what prism objects to, and which operations passed it.
type witness struct {
	next http.RoundTripper

	mu     sync.Mutex
	passed map[string]int
	wrong  []string
}

var variable = regexp.MustCompile(`MP\d{10}|[0-9a-f]{8}-[0-9a-f-]{27}|\+?226\d{8}|CALLBACK\d+`)

// RoundTrip is http.RoundTripper.
func (w *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := w.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	what := fmt.Sprintf("%s %s %d", r.Method, variable.ReplaceAllString(r.URL.Path, "*"), response.StatusCode)
	w.mu.Lock()
	defer w.mu.Unlock()
	if response.Header.Get("Content-Type") != "application/problem+json" && response.Header.Get("Sl-Violations") == "" {
		w.passed[what]++
		return response, err
	}
	w.wrong = append(w.wrong, what+": "+string(body)+response.Header.Get("Sl-Violations"))
	return response, err
}

// TestPublishedDescription drives every operation of adapter and sandbox, well
// and badly, through a validator that knows only the published description.
func TestPublishedDescription(t *testing.T) {
	callbacks := &mailbox{}
	b := newBench(t, func(c *sandbox.WalletConfig) {
		c.Expiry = 2 * time.Hour
		c.Phones = map[string]sandbox.Phone{"22670000006": {Balance: 1_000_000, After: time.Hour},
			"22670000007": {Balance: 1_000_000, Decision: sandbox.Deny, After: time.Millisecond}}
		for number, phone := range phones {
			c.Phones[number] = phone
		}
	})
	upstream := httptest.NewServer(callbacks.before(b.Wallet))
	t.Cleanup(upstream.Close)
	inbox := httptest.NewServer(callbacks)
	t.Cleanup(inbox.Close)
	url := testpeer.Prism(t, description(t), upstream.URL)
	transport := partner.Transport(16, 5*time.Second, nil)
	t.Cleanup(transport.CloseIdleConnections)
	w := &witness{next: transport, passed: map[string]int{}}
	p, err := gsma.New(gsma.Config{Name: "moov-money", URL: url, APIKey: "secret", ClientID: "tenu", CallbackURL: inbox.URL + "/callbacks/moov-money",
		Merchant: gsma.Party{Key: "organisationid", Value: "tenu"}, CallbackKeys: [][]byte{callbackKey}}, b.keys, w, clock{}.Now)
	if err != nil {
		t.Fatal(err)
	}

	drive(t, b, p)
	accounts(t, b, url, w)
	b.quietForNow(t)
	callbacks.check(t, url, w)
	for _, wrong := range w.wrong {
		t.Errorf("not as published: %s", wrong)
	}
	for _, what := range exchanges {
		if w.passed[what] == 0 {
			t.Errorf("never passed the validator: %s", what)
		}
	}
	provoke(t, url, w)
}

// exchanges must all have passed the validator.
var exchanges = []string{
	"POST /transactions/type/merchantpay 201", "POST /transactions/type/merchantpay 202", "POST /transactions/type/merchantpay 400",
	"POST /transactions/type/merchantpay 401", "POST /transactions/type/merchantpay 404", "POST /transactions/type/merchantpay 500",
	"POST /transactions/type/merchantpay 503", "POST /transactions/*/reversals 201", "POST /transactions/*/reversals 202",
	"POST /transactions/*/reversals 400", "POST /transactions/*/reversals 404", "POST /transactions/*/reversals 500",
	"POST /transactions/*/reversals 503", "GET /responses/* 200", "GET /responses/* 404", "GET /responses/* 500", "GET /responses/* 503",
	"GET /transactions/* 200", "GET /transactions/* 400", "GET /transactions/* 404", "GET /requeststates/* 200", "GET /requeststates/* 404",
	"GET /heartbeat 200", "GET /heartbeat 500", "GET /accounts/msisdn/*/balance 200", "GET /accounts/msisdn/*/status 200",
	"GET /accounts/msisdn/*/transactions 200", "GET /accounts/organisationid/tenu/balance 200", "GET /accounts/msisdn/*/balance 503",
}

// spoil is the header that makes the upstream give a wrong answer of that status.
const spoil = "X-Spoil"

// provoke sees to it that the validator does object: to a wrong answer to each of
// the exchanges, and to wrong requests.
func provoke(t *testing.T, url string, w *witness) {
	const id = "0e3b4ec1-8a5a-4d3c-9b1f-2f3a4b5c6d7e"
	objects := func(what, method, path, body string, header ...string) {
		before := len(w.wrong)
		if fetch(t, w, method, url+path, body, header...); len(w.wrong) != before+1 {
			t.Errorf("the validator does not object to %s", what)
		}
	}
	for _, what := range exchanges {
		part := strings.Fields(what)
		body := ""
		if part[0] == http.MethodPost {
			body = `{"type":"reversal","amount":"1","currency":"XOF","debitParty":[{"key":"msisdn","value":"1"}]}`
		}
		objects("a wrong answer to "+what, part[0], strings.Replace(part[1], "*", id, 1), body, spoil, part[2])
	}
	for _, path := range []string{"/transactions/type/merchantpay", "/transactions/MP1/reversals"} {
		objects("an amount below zero at "+path, http.MethodPost, path, `{"type":"reversal","amount":"-1","currency":"XOF","debitParty":[{"key":"msisdn","value":"1"}]}`)
		objects("a key that is no UUID at "+path, http.MethodPost, path, `{"type":"reversal","amount":"1","currency":"XOF","debitParty":[{"key":"msisdn","value":"1"}]}`,
			"X-CorrelationID", "7")
	}
	objects("an unknown operation", http.MethodGet, "/faults", "")
}

// drive makes the adapter do all it can.
func drive(t *testing.T, b *bench, p *gsma.Wallet) {
	ctx := t.Context()
	done := func(o purchase.Order) purchase.Order { // and its refund
		t.Helper()
		out := p.Do(ctx, o)
		for out.Kind == purchase.Pending && ctx.Err() == nil {
			out = p.Query(ctx, o)
		}
		if again := p.Query(ctx, o); out.Kind != purchase.Done || again.Kind != purchase.Done || again.Ref != out.Ref {
			t.Fatalf("got %+v, then %+v", out, again)
		}
		return b.refund(o, out.Ref)
	}
	done(done(b.order(22670112233)))
	b.fault(t, sandbox.Fault{Operation: "charge", Kind: sandbox.CallbackEarly, Next: 1})
	b.fault(t, sandbox.Fault{Operation: "refund", Kind: sandbox.CallbackEarly, Next: 1})
	done(done(b.order(22670112233)))
	for _, account := range []purchase.MSISDN{poor, barred, nobody, denying, silent, 22670000006, 22670000007} {
		o := b.order(account)
		first := p.Do(ctx, o)
		if then := p.Query(ctx, o); first.Kind == purchase.Unknown || then.Kind == purchase.Unknown {
			t.Errorf("%s: got %+v, then %+v", account.Masked(), first, then)
		}
	}
	b.fault(t, sandbox.Fault{Operation: "charge", Kind: sandbox.CallbackEarly, Next: 1})
	b.fault(t, sandbox.Fault{Operation: "charge", Kind: sandbox.ReverseLater, Next: 1, DelayMS: 1})
	undone := b.order(22670112244)
	p.Do(ctx, undone)
	for p.Query(ctx, undone).Kind != purchase.Reversed && ctx.Err() == nil {
		continue
	}
	for _, code := range []string{"insufficientFunds", "identifierError", "requestDeclined", "clientAuthorisationError", "duplicateRequest",
		"dailyValueLimitExceeded", "formatError", "rateLimitError", "maxBalanceExceeded", "servicingPartyAuthorisationError"} {
		b.fault(t, sandbox.Fault{Operation: "charge", Kind: sandbox.Refuse, Code: code, Next: 1})
		p.Do(ctx, b.order(22670112233))
	}
	refund := done(b.order(22670112233))
	tooMuch, unknown := refund, refund
	tooMuch.Amount.Minor *= 2
	unknown.Original = "MP9999999999"
	p.Do(ctx, tooMuch)
	p.Do(ctx, unknown)
	for _, operation := range []string{"charge", "refund", "query", "heartbeat"} {
		for _, kind := range []sandbox.Kind{sandbox.Outage, sandbox.ServerError, sandbox.NotFound, sandbox.Degraded} {
			for skip := range int64(2) {
				if _, err := b.Faults().Add(sandbox.Fault{Operation: operation, Kind: kind, Skip: skip, Next: 1}); err != nil {
					break // not a fault of this operation
				}
				p.Do(ctx, refund)
				p.Do(ctx, b.order(22670112233))
				p.Query(ctx, refund)
				p.Query(ctx, b.order(22670112233))
				p.Probe(ctx)
				b.Faults().Clear()
			}
		}
	}
	stuck := b.order(22670000006) // its request state, not found
	p.Do(ctx, stuck)
	b.fault(t, sandbox.Fault{Operation: "query", Kind: sandbox.NotFound, Skip: 1, Next: 1})
	p.Query(ctx, stuck)
	p.Probe(ctx)
}

// accounts asks what the adapter does not.
func accounts(t *testing.T, b *bench, url string, w *witness) {
	for _, path := range []string{"/accounts/msisdn/+22670112233/balance", "/accounts/msisdn/+22670112233/status", "/accounts/msisdn/+22670000003/status",
		"/accounts/msisdn/+22670000002/status", "/accounts/msisdn/+22670112233/transactions", "/accounts/msisdn/+22670112233/transactions?limit=2&offset=1",
		"/accounts/organisationid/tenu/balance", "/accounts/walletid/7/balance"} {
		fetch(t, w, http.MethodGet, url+path, "")
	}
	b.fault(t, sandbox.Fault{Operation: "account", Kind: sandbox.Outage, Next: 1})
	fetch(t, w, http.MethodGet, url+"/accounts/msisdn/+22670112233/balance", "")
}

func fetch(t *testing.T, w *witness, method, url, body string, header ...string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-API-Key", "secret")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := w.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
}

// mailbox keeps callbacks, and shows each again as the answer to a request, so
// that the validator sees it: prism's proxy does not see callbacks.
type mailbox struct {
	mu     sync.Mutex
	bodies [][]byte
}

func (m *mailbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		m.mu.Lock()
		m.bodies = append(m.bodies, body)
		m.mu.Unlock()
	}
	w.WriteHeader(http.StatusNoContent)
}

// before answers for transactions named CALLBACKn, and leaves the rest to next.
func (m *mailbox) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status, err := strconv.Atoi(r.Header.Get(spoil)); err == nil {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("7"))
			return
		}
		var n int
		if _, err := fmt.Sscanf(r.URL.Path, "/transactions/CALLBACK%d", &n); err != nil {
			next.ServeHTTP(w, r)
			return
		}
		m.mu.Lock()
		body := m.bodies[n]
		m.mu.Unlock()
		status := http.StatusOK
		switch {
		case strings.Contains(string(body), "errorCategory"):
			status = http.StatusBadRequest
		case r.Method == http.MethodPost:
			status = http.StatusCreated
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(body)
	})
}

// check has every callback validated as a transaction, a reversal or an error.
func (m *mailbox) check(t *testing.T, url string, w *witness) {
	m.mu.Lock()
	bodies := slices.Clone(m.bodies)
	m.mu.Unlock()
	kinds := map[string]int{}
	for n, body := range bodies {
		var what struct{ Type, TransactionStatus, ErrorCode string }
		if err := json.Unmarshal(body, &what); err != nil {
			t.Errorf("callback %q: %v", body, err)
		}
		kinds[what.Type+what.TransactionStatus+what.ErrorCode]++
		fetch(t, w, http.MethodGet, fmt.Sprintf("%s/transactions/CALLBACK%d", url, n), "")
		if what.Type == "reversal" {
			fetch(t, w, http.MethodPost, fmt.Sprintf("%s/transactions/CALLBACK%d/reversals", url, n), `{"type":"reversal"}`)
		}
	}
	for _, kind := range []string{"merchantpaycompleted", "merchantpayreversed", "reversalcompleted", "requestDeclined"} {
		if kinds[kind] == 0 {
			t.Errorf("no callback %s among %v", kind, kinds)
		}
	}
}

// quietForNow waits until the wallet has nothing to do for the next half hour.
func (b *bench) quietForNow(t *testing.T) {
	t.Helper()
	for t.Context().Err() == nil {
		next, err := b.Book().NextDue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if next == 0 || next > (clock{}).Now().Add(30*time.Minute) {
			return
		}
	}
}
