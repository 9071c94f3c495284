package tmf_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"tenu/internal/api"
	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/hook"
	"tenu/internal/numbering"
	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/telemetry"
	"tenu/internal/testpeer"
	"tenu/internal/tmf"
)

func TestMain(m *testing.M) { os.Exit(testpeer.Main(m)) }

const (
	payer     purchase.MSISDN = 22670112233
	recipient purchase.MSISDN = 22676445566
)

// clock is the real one.
type clock struct{}

func (clock) Now() purchase.Instant                  { return purchase.At(time.Now()) }
func (clock) After(d time.Duration) <-chan time.Time { return time.After(d) }
func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T { t.Helper(); fatal(t, err); return v }
}
func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// exchange is one answer, as the description is asked about it.
type exchange struct {
	Method string          `json:"method,omitempty"`
	Path   string          `json:"path,omitempty"`
	Status int             `json:"status,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
	Event  json.RawMessage `json:"event,omitempty"`
}

// rig is the interface behind the API's own guard, over real cases.
type rig struct {
	t       testing.TB
	store   *store.Store
	desk    *care.Desk
	keys    *purchase.Keyring
	courier *hook.Courier
	server  *httptest.Server
	tickets *tmf.TMF
	inbox   *httptest.Server
	epoch   int64
	key     map[string]string // of clients

	mu        sync.Mutex
	exchanges []exchange
}

// The clients: the operator's own system, two shops, one that may only read, and one that may not.
var scopes = map[string][]auth.Scope{
	"crm":    {auth.CasesRead, auth.CasesWrite, auth.CasesAll, auth.PurchasesRead},
	"shop":   {auth.CasesRead, auth.CasesWrite, auth.PurchasesRead},
	"other":  {auth.CasesRead, auth.CasesWrite, auth.PurchasesRead},
	"reader": {auth.CasesRead},
	"seller": {auth.PurchasesRead},
}

func start(t testing.TB, dsn string) *rig {
	t.Helper()
	_, _, err := store.Migrate(t.Context(), dsn, store.Options{})
	fatal(t, err)
	r := &rig{t: t, key: map[string]string{}}
	r.store = must[*store.Store](t)(store.Open(t.Context(), dsn, store.Options{}))
	t.Cleanup(func() { _ = r.store.Close() })
	r.epoch = must[purchase.Lease](t)(r.store.Acquire(t.Context(), "node")).Epoch
	r.keys = must[*purchase.Keyring](t)(purchase.NewKeyring([]byte("0123456789abcdef")))
	files := must[*purchase.Keyring](t)(purchase.NewKeyring([]byte("cases 0123456789abcdef")))
	r.desk = must[*care.Desk](t)(care.New(care.Config{Store: r.store, Clock: clock{}, References: r.keys, Files: files,
		Hours: care.Hours{Opens: 0, Closes: 24 * time.Hour, Location: time.UTC, PerWindow: 10}}))
	var clients []auth.Client
	for _, name := range []string{"crm", "shop", "other", "reader", "seller"} {
		r.key[name] = must[string](t)(auth.NewKey(name, rand.Reader))
		clients = append(clients, auth.Client{Name: name, Channel: "api", Scopes: scopes[name], Keys: []auth.Key{{Hash: auth.HashKey(r.key[name])}},
			Rate: 1e9, Burst: 1e9, InFlight: 1000, Streams: 10})
	}
	book := must[*auth.Book](t)(auth.NewBook(clients))
	r.inbox = httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.exchanges = append(r.exchanges, exchange{Event: body})
	}))
	t.Cleanup(r.inbox.Close)
	targets := must[*hook.Targets](t)(hook.NewTargets([]hook.Target{{Host: strings.TrimPrefix(r.inbox.URL, "https://"), Private: true,
		Secrets: [][]byte{[]byte("a secret of at least thirty-two bytes")}}}))
	numbers := numbering.NewDirectory(must[*numbering.Plan](t)(numbering.ParsePlan("bf.yaml", numbering.BurkinaFaso)))
	r.tickets = must[*tmf.TMF](t)(tmf.New(tmf.Config{Desk: r.desk, Store: r.store, References: r.keys, Listens: targets.Check, Clients: book, Clock: clock{},
		Number: func(text string) (purchase.MSISDN, error) { n, _, err := numbers.Parse(text); return n, err }}))
	log := slog.New(slog.DiscardHandler)
	roots := x509.NewCertPool()
	roots.AddCert(r.inbox.Certificate())
	r.courier = must[*hook.Courier](t)(hook.NewCourier(hook.Config{Store: r.store, Targets: targets, Clock: clock{}, Log: log, Write: r.tickets.Write, Roots: roots}))
	x := api.Annex{Prefix: tmf.Base, Refuse: func(w http.ResponseWriter, q api.Refusal) { tmf.Refuse(w, q.Status, q.Code, q.Title, q.Detail) }}
	for _, route := range r.tickets.Routes() {
		x.Routes = append(x.Routes, api.AnnexRoute{Pattern: route.Pattern, Scope: route.Scope, Media: route.Media, Answer: route.Answer})
	}
	meter := telemetry.NewMetrics("test", func() purchase.Stats { return purchase.Stats{} }, func() []telemetry.Partner { return nil })
	a := must[*api.API](t)(api.New(api.Config{Version: "test", Clients: book, Keys: r.keys, Clock: clock{}, NewID: uuid.NewString, Meter: meter, Log: log, Annexes: []api.Annex{x}}))
	r.server = httptest.NewServer(a)
	t.Cleanup(r.server.Close)
	return r
}

// sqlite is a rig over a database of its own.
func sqlite(t testing.TB) *rig { return start(t, "sqlite:"+filepath.Join(t.TempDir(), "tenu.db")) }

// sell makes a purchase of a client's that is being charged, and returns its reference.
func (r *rig) sell(id purchase.ID, client string) string {
	r.t.Helper()
	p := purchase.Purchase{ID: id, Version: 1, Epoch: r.epoch, State: purchase.Charging, DueAt: 1, CreatedAt: clock{}.Now(),
		Request: purchase.Request{Client: client, ClientKey: fmt.Sprintf("%s-%d", client, id), Channel: "api", Language: "fr", PayerNumber: payer, Recipient: recipient,
			Payer: "wallet", Provider: "ocs", Product: "airtime", Currency: "XOF", Total: 1050, Fee: 50, Units: 1000}}
	r.commit(p)
	return r.keys.Reference(id).String()
}

// end declines a purchase: nothing was taken.
func (r *rig) end(id purchase.ID) {
	r.t.Helper()
	p := must[[]purchase.Record](r.t)(r.store.Load(r.t.Context(), id))[0].Purchase
	p.Version++
	p.State, p.DueAt, p.ClosedAt = purchase.Declined, 0, clock{}.Now()
	r.commit(p)
}

func (r *rig) commit(p purchase.Purchase) {
	r.t.Helper()
	verdicts, err := r.store.Commit(context.Background(), r.epoch, []purchase.Change{{Now: p, WasEpoch: r.epoch}})
	if err != nil || len(verdicts) != 1 || verdicts[0].Result != purchase.Written {
		r.t.Fatalf("commit: %v, %v", verdicts, err)
	}
}

// reply is an answer as a client reads it.
type reply struct {
	status int
	header http.Header
	body   []byte
	tmf.Ticket
}

func (p *reply) code() string {
	var e tmf.Error
	_ = json.Unmarshal(p.body, &e) // what is none has no code
	return string(e.Code)
}

func (p *reply) list(t testing.TB) (all []tmf.Ticket) {
	t.Helper()
	fatal(t, json.Unmarshal(p.body, &all))
	return all
}

// call asks as a client does. The path is below the base; headers come in pairs.
func (r *rig) call(client, method, path, body string, headers ...string) *reply {
	r.t.Helper()
	q := must[*http.Request](r.t)(http.NewRequestWithContext(r.t.Context(), method, r.server.URL+tmf.Base+path, strings.NewReader(body)))
	q.Header.Set("Authorization", "Bearer "+r.key[client])
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(q)
	fatal(r.t, err)
	defer answer.Body.Close()
	p := &reply{status: answer.StatusCode, header: answer.Header, body: must[[]byte](r.t)(io.ReadAll(answer.Body))}
	if len(p.body) > 0 && p.body[0] == '{' {
		fatal(r.t, json.Unmarshal(p.body, &p.Ticket))
	}
	r.note(method, path, p)
	return p
}

// note keeps an exchange for the description's judgement.
func (r *rig) note(method, path string, p *reply) {
	path, _, _ = strings.Cut(path, "?")
	for _, each := range []string{"/troubleTicket", "/hub"} {
		if strings.HasPrefix(path, each+"/") {
			path = each + "/{id}"
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.exchanges = append(r.exchanges, exchange{Method: method, Path: path, Status: p.status, Body: p.body})
}

// want fails the test unless an answer has that status, and that code where it is an Error.
func (r *rig) want(p *reply, status int, code string) *reply {
	r.t.Helper()
	if p.status != status || p.code() != code {
		r.t.Fatalf("got %d %s, want %d %s: %s", p.status, p.code(), status, code, p.body)
	}
	return p
}

// tell delivers every event that is due.
func (r *rig) tell() {
	r.t.Helper()
	for range 1000 {
		now := clock{}.Now()
		next, err := r.courier.Step(r.t.Context(), now)
		fatal(r.t, err)
		if next > now.Add(time.Second) {
			return
		}
	}
	r.t.Fatal(errors.New("the courier never rests"))
}

// told are the events that the inbox has.
func (r *rig) told() (types []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.exchanges {
		var e struct {
			Type string `json:"eventType"`
		}
		if x.Event != nil && json.Unmarshal(x.Event, &e) == nil {
			types = append(types, e.Type)
		}
	}
	return types
}
