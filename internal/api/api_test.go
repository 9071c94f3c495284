package api_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"tenu/internal/api"
	"tenu/internal/auth"
	"tenu/internal/catalogue"
	"tenu/internal/numbering"
	"tenu/internal/purchase"
	"tenu/internal/sale"
	"tenu/internal/store"
	"tenu/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type clock struct{}

func (clock) Now() purchase.Instant                  { return purchase.At(time.Now()) }
func (clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

type wording struct{}

func (wording) Notice(f purchase.Fact, _ *purchase.Purchase, ref purchase.Reference, _ purchase.Outcome) string {
	return f.String() + " " + ref.String()
}

// partner executes what it is asked once the gate is open.
type partner struct {
	name string
	gate chan struct{} // nil: open
	says purchase.Kind // 0: done
}

func (p *partner) Name() string { return p.name }

func (p *partner) Capability(purchase.Leg) purchase.Capability {
	return purchase.Capability{Supported: true, Idempotent: true, KeyLife: time.Hour, Query: true, Tombstone: true, Timeout: time.Minute}
}

func (p *partner) Do(ctx context.Context, o purchase.Order) purchase.Outcome {
	if p.gate != nil {
		select {
		case <-p.gate:
		case <-ctx.Done():
			return purchase.Outcome{Kind: purchase.Unknown}
		}
	}
	if p.says != 0 {
		return purchase.Outcome{Kind: p.says, Reason: purchase.ReasonFunds}
	}
	return purchase.Outcome{Kind: purchase.Done, Ref: p.name + "-" + o.Leg.String(), Amount: o.Amount, Account: o.Account}
}

func (p *partner) Query(context.Context, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown}
}

func (p *partner) Cancel(context.Context, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown}
}

func (p *partner) Balance(_ context.Context, m purchase.MSISDN) (purchase.Balances, error) {
	if m != 22670112233 {
		return purchase.Balances{}, fmt.Errorf("%w: nobody has it", purchase.ErrUnknownLine)
	}
	var b purchase.Balances
	b.Main.Minor, b.Main.Currency = 1000, "XOF"
	return b, nil
}

// caller reads callbacks of the form "secret uuid".
type caller struct{ keys *purchase.Keyring }

func (c caller) Callback(r *http.Request, body []byte) (purchase.ID, purchase.Event, error) {
	if r.Header.Get("X-Secret") != "right" {
		return 0, purchase.Event{}, fmt.Errorf("%w: wrong secret", api.ErrForged)
	}
	key, err := c.keys.ParseUUID(string(body))
	if err != nil {
		return 0, purchase.Event{}, fmt.Errorf("unreadable: %w", err)
	}
	return key.ID, purchase.Event{Leg: key.Leg, Outcome: purchase.Outcome{Kind: purchase.Pending}}, nil
}

// rig is an API on a loopback listener over the real engine, with an in-memory store.
type rig struct {
	t        testing.TB
	url      string
	api      *api.API
	http     *http.Client
	keys     *purchase.Keyring
	engine   *purchase.Engine
	store    *store.Memory
	wallet   *partner
	ocs      *partner
	key      string // of the client "shop"
	other    string // of the client "other"
	reader   string // of the client "reader", which may not buy
	expired  string
	log      *logBook
	broken   atomic.Bool // the store fails for the API
	metrics  *telemetry.Metrics
	receipts api.Receipts // nil: none
	stopHTTP func()
}

type logBook struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *logBook) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.String()
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func start(t testing.TB, change func(*rig, []auth.Client)) *rig {
	t.Helper()
	r := &rig{t: t, store: store.NewMemory(), wallet: &partner{name: "wallet"}, ocs: &partner{name: "ocs"}, log: &logBook{}}
	r.keys = must[*purchase.Keyring](t)(purchase.NewKeyring([]byte("0123456789abcdef")))
	newKey := func(client string) string { return must[string](t)(auth.NewKey(client, rand.Reader)) }
	r.key, r.other, r.reader, r.expired = newKey("shop"), newKey("other"), newKey("reader"), newKey("shop")
	client := func(name string, scopes []auth.Scope, keys ...auth.Key) auth.Client {
		return auth.Client{Name: name, Channel: "app", Scopes: scopes, Keys: keys, Rate: 10_000, Burst: 10_000, InFlight: 100, Streams: 10}
	}
	clients := []auth.Client{
		client("shop", auth.Scopes, auth.Key{Hash: auth.HashKey(r.key)}, auth.Key{Hash: auth.HashKey(r.expired), Expires: time.Now().Add(-time.Second)}),
		client("other", auth.Scopes, auth.Key{Hash: auth.HashKey(r.other)}),
		client("reader", []auth.Scope{auth.PurchasesRead}, auth.Key{Hash: auth.HashKey(r.reader)}),
	}
	if change != nil {
		change(r, clients)
	}
	log := slog.New(slog.NewTextHandler(r.log, nil))
	rules := purchase.DefaultRules()
	r.engine = must[*purchase.Engine](t)(purchase.New(purchase.Config{Store: r.store, Keys: r.keys, Clock: clock{}, Wording: wording{},
		Node: "n1", Rules: rules, Log: log, Salt: func() [16]byte { return [16]byte{1, 15: 2} }, Partners: []purchase.Member{{Partner: r.wallet, Concurrency: 8}, {Partner: r.ocs, Concurrency: 8}}}))
	r.metrics = telemetry.NewMetrics("test", r.engine.Stats, func() []telemetry.Partner { return nil })
	plan := must[*numbering.Plan](t)(numbering.ParsePlan("bf.yaml", numbering.BurkinaFaso))
	goods := must[*catalogue.Catalogue](t)(catalogue.Parse("demo.yaml", catalogue.Demo))
	numbers := numbering.NewDirectory(plan)
	desk := must[*sale.Desk](t)(sale.New(sale.Config{Directory: numbers, Catalogue: goods, Engine: r.engine, Archive: r.store, Clock: clock{},
		Reference: r.keys.Reference, Partners: []string{"wallet", "ocs"}, Readers: map[string]purchase.BalanceReader{"ocs": r.ocs}}))
	a := must[*api.API](t)(api.New(api.Config{Version: "test", Desk: desk, Engine: r.engine, Purchases: shelf{r},
		Numbers: numbers, Callers: map[string]api.Caller{"wallet": caller{r.keys}},
		Clients: must[*auth.Book](t)(auth.NewBook(clients)), Keys: r.keys, Clock: clock{}, NewID: uuid.NewString, Meter: r.metrics, Log: log, Receipts: r.receipts}))
	r.api = a
	r.run(a, log)
	return r
}

// run starts the engine and the server, and ends both with the test.
func (r *rig) run(a *api.API, log *slog.Logger) {
	listener := must[net.Listener](r.t)(new(net.ListenConfig).Listen(r.t.Context(), "tcp", "127.0.0.1:0"))
	r.url = "http://" + listener.Addr().String()
	r.http = &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ctx, stopEngine := context.WithCancel(context.Background())
	web, stopWeb := context.WithCancel(context.Background())
	engineOver, webOver := make(chan error, 1), make(chan error, 1)
	go func() { engineOver <- r.engine.Run(ctx, time.Second) }()
	go func() {
		webOver <- api.Serve(web, api.Site{Listener: listener, Handler: a, MaxConns: 100, Drain: a.Drain, Log: log}, 10*time.Second)
	}()
	for r.engine.Ready() != nil {
		time.Sleep(time.Millisecond)
	}
	var once sync.Once
	r.stopHTTP = func() {
		once.Do(func() {
			stopWeb()
			if err := <-webOver; err != nil {
				r.t.Errorf("server: %v", err)
			}
		})
	}
	r.t.Cleanup(func() {
		r.stopHTTP()
		r.http.CloseIdleConnections()
		stopEngine()
		if err := <-engineOver; err != nil {
			r.t.Errorf("engine: %v", err)
		}
	})
}

// shelf is the store as the API sees it, with a switch to make it fail.
type shelf struct{ *rig }

func (s shelf) Load(ctx context.Context, ids ...purchase.ID) ([]purchase.Record, error) {
	if s.broken.Load() {
		return nil, errors.New("disk on fire in rack 7")
	}
	return s.store.Load(ctx, ids...)
}

func (s shelf) List(ctx context.Context, page purchase.Page) ([]purchase.Purchase, error) {
	return s.store.List(ctx, page)
}

// answer is an HTTP answer, read.
type answer struct {
	*http.Response
	body []byte
}

func (a *answer) purchase(t *testing.T) api.Purchase {
	t.Helper()
	var p api.Purchase
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("%s: %s: %v", a.Status, a.body, err)
	}
	return p
}

// problem returns the problem document, checked for what every one must have.
func (a *answer) problem(t *testing.T) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("%s: %s: %v", a.Status, a.body, err)
	}
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("a problem has Content-Type %s", got)
	}
	if p.Status != a.StatusCode || p.Title == "" || p.Type != "/docs#"+string(p.Code) || p.Instance != "urn:tenu:request:"+a.Header.Get("X-Request-Id") {
		t.Errorf("incomplete problem document: %s", a.body)
	}
	if strings.Contains(string(a.body), "70112233") {
		t.Errorf("a problem document repeats the number: %s", a.body)
	}
	return p
}

// do makes a request with the key of the client "shop", unless headers, given
// as "Name: value", say otherwise. "Name:" leaves a header out.
func (r *rig) do(method, path, body string, headers ...string) *answer {
	r.t.Helper()
	request := must[*http.Request](r.t)(http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body)))
	request.Header.Set("Authorization", "Bearer "+r.key)
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", uuid.NewString())
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		request.Header.Del(name)
		if value = strings.TrimSpace(value); value != "" {
			request.Header.Set(name, value)
		}
	}
	response, err := r.http.Do(request)
	if err != nil {
		r.t.Error(err)
		return &answer{Response: &http.Response{Header: http.Header{}}}
	}
	defer response.Body.Close()
	return &answer{response, must[[]byte](r.t)(io.ReadAll(response.Body))}
}

// written counts the purchases in the store.
func (r *rig) written() int {
	return int(r.engine.Stats().Created)
}

const airtime = `{"product":"airtime","number":"70 11 22 33","amount":1050}`

func TestBuy(t *testing.T) {
	r := start(t, nil)
	a := r.do("POST", "/v1/purchases", airtime, "Idempotency-Key: one", "Prefer: wait=20")
	p := a.purchase(t)
	if a.StatusCode != http.StatusCreated || a.Header.Get("Location") != "/v1/purchases/"+p.Reference || a.Header.Get("Preference-Applied") != "wait=20" {
		t.Errorf("got %s, %v", a.Status, a.Header)
	}
	if p.State != "credited" || !p.Final || p.Total != (api.Amount{Minor: 1050, Currency: "XOF"}) || p.Units.Minor != 1000 || p.Fee.Minor != 50 ||
		p.Recipient != (api.Party{Number: "+22670112233", Partner: "ocs"}) || p.Message != "Crédité : les unités sont sur le compte." || p.Channel != "app" {
		t.Errorf("got %s", a.body)
	}

	again := r.do("POST", "/v1/purchases", airtime, "Idempotency-Key: one")
	if q := again.purchase(t); again.StatusCode != http.StatusOK || q.Reference != p.Reference {
		t.Errorf("repeated: got %s: %s", again.Status, again.body)
	}
	conflict := r.do("POST", "/v1/purchases", `{"product":"airtime","number":"70 11 22 33","amount":2000}`, "Idempotency-Key: one")
	if got := conflict.problem(t); conflict.StatusCode != http.StatusConflict || got.Code != api.Code(sale.CodeKeyReused) {
		t.Errorf("another body under the same key: got %s", conflict.body)
	}
	like := r.do("POST", "/v1/purchases", airtime, "Idempotency-Key: two")
	if got := like.problem(t); like.StatusCode != http.StatusConflict || got.Code != api.Code(sale.CodeAskFirst) || got.Earlier != p.Reference {
		t.Errorf("a like purchase: got %s", like.body)
	}
	wanted := r.do("POST", "/v1/purchases", strings.Replace(airtime, "}", `,"again":true}`, 1), "Idempotency-Key: three")
	if wanted.StatusCode != http.StatusCreated {
		t.Errorf("a like purchase that is wanted: got %s: %s", wanted.Status, wanted.body)
	}
	if n := r.written(); n != 2 {
		t.Errorf("%d purchases were written, want 2", n)
	}

	shown := r.do("GET", "/v1/purchases/"+strings.ToLower(strings.ReplaceAll(p.Reference, "-", "")), "").purchase(t)
	var kinds []string
	for i, e := range shown.Timeline {
		kinds = append(kinds, strings.TrimSpace(e.Kind+" "+e.Leg+e.Fact))
		if e.Text == "" || strings.Contains(e.Text, "%!") || i > 0 && e.At.Before(shown.Timeline[i-1].At) {
			t.Errorf("entry %d is %+v", i, e)
		}
	}
	want := "request, attempt charge, evidence charge, attempt credit, evidence credit, notice credited"
	if got := strings.Join(kinds, ", "); got != want {
		t.Errorf("timeline: got %s\nwant %s", got, want)
	}
	if strings.Contains(r.log.text(), "70112233") {
		t.Error("the log holds a number in full")
	}
}

func TestWaitEndsInTime(t *testing.T) {
	r := start(t, func(r *rig, _ []auth.Client) { r.ocs.gate = make(chan struct{}) })
	defer close(r.ocs.gate)
	a := r.do("POST", "/v1/purchases", airtime, "Prefer: wait=1")
	if p := a.purchase(t); a.StatusCode != http.StatusCreated || p.State != "crediting" || p.Final || p.DeliverBy == nil || p.ResolveBy == nil {
		t.Errorf("got %s: %s", a.Status, a.body)
	}
}

func TestWaitEndsWhenTheServerDrains(t *testing.T) {
	r := start(t, func(r *rig, _ []auth.Client) { r.ocs.gate = make(chan struct{}) })
	defer close(r.ocs.gate)
	got := make(chan *answer, 1)
	go func() { got <- r.do("POST", "/v1/purchases", airtime, "Prefer: wait=30") }()
	for r.written() == 0 {
		time.Sleep(time.Millisecond)
	}
	r.stopHTTP()
	if a := <-got; a.StatusCode != http.StatusCreated || a.purchase(t).Final {
		t.Errorf("got %s: %s", a.Status, a.body)
	}
}

func TestOnlyOnesOwn(t *testing.T) {
	r := start(t, nil)
	p := r.do("POST", "/v1/purchases", airtime, "Prefer: wait=20").purchase(t)
	absent := r.keys.Reference(purchase.MakeID(0, 12345)).String()
	for _, path := range []string{"/v1/purchases/%s", "/v1/purchases/%s/events"} {
		foreign := r.do("GET", fmt.Sprintf(path, p.Reference), "", "Authorization: Bearer "+r.other).problem(t)
		missing := r.do("GET", fmt.Sprintf(path, absent), "").problem(t)
		foreign.Instance, missing.Instance = "", ""
		if foreign.Code != api.CodePurchase || fmt.Sprint(foreign) != fmt.Sprint(missing) {
			t.Errorf("another client's purchase is told from an absent one: %v, %v", foreign, missing)
		}
	}
	broken := []byte(p.Reference)
	broken[0] = map[bool]byte{true: 'A', false: 'B'}[broken[0] != 'A']
	if got := r.do("GET", "/v1/purchases/"+string(broken), "").problem(t); got.Code != api.CodeReference {
		t.Errorf("a mistyped reference: got %v", got)
	}
	list := func(headers ...string) string {
		return string(r.do("GET", "/v1/purchases?number=70112233", "", headers...).body)
	}
	if !strings.Contains(list(), p.Reference) || strings.Contains(list("Authorization: Bearer "+r.other), p.Reference) {
		t.Error("the list does not hold exactly the client's own purchases")
	}
}

func TestList(t *testing.T) {
	r := start(t, nil)
	var made []string
	for i := range 5 {
		body := fmt.Sprintf(`{"product":"airtime","number":"70112233","amount":%d}`, 1000+5*i)
		made = append([]string{r.do("POST", "/v1/purchases", body).purchase(t).Reference}, made...)
	}
	var got []string
	path, pages := "/v1/purchases?number=70112233&limit=2", 0
	for cursor := ""; ; pages++ {
		var page struct {
			Purchases []api.Purchase
			Next      string
		}
		a := r.do("GET", path+cursor, "")
		if err := json.Unmarshal(a.body, &page); err != nil || a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s: %v", a.Status, a.body, err)
		}
		for _, p := range page.Purchases {
			got = append(got, p.Reference)
		}
		if page.Next == "" {
			break
		}
		cursor = "&cursor=" + page.Next
	}
	if fmt.Sprint(got) != fmt.Sprint(made) || pages != 2 {
		t.Errorf("got %v on %d pages\nwant %v", got, pages+1, made)
	}
	if a := r.do("GET", "/v1/purchases?number=76000000", ""); string(a.body) != `{"purchases":[]}`+"\n" {
		t.Errorf("a number without purchases: got %s", a.body)
	}
}
