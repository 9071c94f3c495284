package api_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"testing"

	"github.com/google/uuid"

	"tenu/internal/api"
	"tenu/internal/auth"
	"tenu/internal/catalogue"
	"tenu/internal/numbering"
	"tenu/internal/purchase"
	"tenu/internal/sale"
	"tenu/internal/store"
	"tenu/internal/telemetry"
)

// prompt is an engine that makes every purchase and credits it at once. What is
// counted beside it is the interface's and the desk's.
type prompt struct {
	api.Engine
	bought []purchase.Bought
}

func (p *prompt) BuyAll(_ context.Context, rs []purchase.Request) []purchase.Bought {
	for i, r := range rs {
		p.bought[i] = purchase.Bought{Purchase: purchase.Purchase{ID: purchase.ID(1e12 + i), State: purchase.Charging, Version: 1,
			Request: r, CreatedAt: 1_800_000_000_000_000}}
	}
	return p.bought[:len(rs)]
}

func (p *prompt) Settle(_ context.Context, ps []*purchase.Purchase) int {
	for _, p := range ps {
		p.State, p.Version = purchase.Credited, 3
		p.ChargedAt, p.DeliverBy, p.ResolveBy, p.ClosedAt = p.CreatedAt, p.CreatedAt, p.CreatedAt, p.CreatedAt
	}
	return 0
}

// nowhere is where log lines go that cost what they cost.
type nowhere struct{}

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }

// into takes an answer.
type into struct {
	header http.Header
	status int
	size   int
}

func (w *into) Header() http.Header    { return w.header }
func (w *into) WriteHeader(status int) { w.status = status }
func (w *into) Write(b []byte) (int, error) {
	w.size += len(b)
	return len(b), nil
}

// A request for one purchase, and each purchase of a batch, cost the interface a
// known number of allocations.
func TestAllocationsPerRequest(t *testing.T) {
	const most, one, each = 1000, 95, 36
	engine := &prompt{bought: make([]purchase.Bought, most)}
	key := must[string](t)(auth.NewKey("shop", rand.Reader))
	a := promptly(t, engine, key)
	wish := `"product":"airtime","number":"70 11 22 33","amount":1050}`
	list := `{"purchases":[`
	for i := range most {
		list += fmt.Sprintf(`{"idempotency_key":"batch-%d",`, i) + wish + map[bool]string{true: "]}", false: ","}[i == most-1]
	}
	for _, c := range []struct {
		path, body string
		status     int
		purchases  uint64
		bound      float64
	}{
		{"/v1/purchases", "{" + wish, http.StatusCreated, 1, one},
		{"/v1/purchases/batch", list, http.StatusOK, most, each},
	} {
		request := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodPost, c.path, http.NoBody))
		request.Header = http.Header{"Authorization": {"Bearer " + key}, "Content-Type": {"application/json"},
			"Prefer": {"wait=10"}, "Idempotency-Key": {"one"}}
		request.ContentLength = int64(len(c.body))
		body := bytes.NewReader([]byte(c.body))
		ask := func() {
			_, _ = body.Seek(0, io.SeekStart)
			r := *request
			r.Body = io.NopCloser(body)
			w := &into{header: http.Header{}}
			if a.ServeHTTP(w, &r); w.status != c.status || w.size < int(c.purchases)*500 {
				t.Fatalf("%s: answer %d of %d bytes", c.path, w.status, w.size)
			}
		}
		const times = 50
		ask() // what is kept for use again and again
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range times {
			ask()
		}
		runtime.ReadMemStats(&after)
		allocs := float64(after.Mallocs-before.Mallocs) / float64(times*c.purchases)
		t.Logf("%s: %.1f allocations a purchase", c.path, allocs)
		if allocs > c.bound {
			t.Errorf("%s: %.1f allocations a purchase, more than %.0f", c.path, allocs, c.bound)
		}
	}
}

// promptly is an API over an engine, with the real desk, log and metrics.
func promptly(t *testing.T, engine *prompt, key string) *api.API {
	t.Helper()
	keys := must[*purchase.Keyring](t)(purchase.NewKeyring([]byte("0123456789abcdef")))
	plan := must[*numbering.Plan](t)(numbering.ParsePlan("bf.yaml", numbering.BurkinaFaso))
	numbers := numbering.NewDirectory(plan)
	memory := store.NewMemory()
	desk := must[*sale.Desk](t)(sale.New(sale.Config{Directory: numbers, Catalogue: must[*catalogue.Catalogue](t)(catalogue.Parse("demo.yaml", catalogue.Demo)),
		Engine: engine, Archive: memory, Clock: clock{}, Reference: keys.Reference, Partners: []string{"wallet", "ocs"}}))
	clients := must[*auth.Book](t)(auth.NewBook([]auth.Client{{Name: "shop", Channel: "app", Scopes: auth.Scopes,
		Keys: []auth.Key{{Hash: auth.HashKey(key)}}, Rate: 1e9, Burst: 1e9, InFlight: 1e9, Streams: 1}}))
	meter := telemetry.NewMetrics("test", func() purchase.Stats { return purchase.Stats{} }, func() []telemetry.Partner { return nil })
	return must[*api.API](t)(api.New(api.Config{Version: "test", Desk: desk, Engine: engine, Purchases: memory, Numbers: numbers,
		Clients: clients, Keys: keys, Clock: clock{}, NewID: uuid.NewString, Meter: meter, Log: slog.New(slog.NewJSONHandler(nowhere{}, nil))}))
}
