// Package api is the northbound HTTP interface: JSON in and out, problem
// documents for every refusal, the OpenAPI document of it all and a page to
// read it. The whole surface stands in routes.go. It knows what a purchase is
// and nothing of stores, partners' protocols or configuration; what it needs it
// declares here.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"tenu/internal/auth"
	"tenu/internal/catalogue"
	"tenu/internal/purchase"
	"tenu/internal/receipt"
	"tenu/internal/sale"
)

// Engine is what the API needs of the purchase engine.
type Engine interface {
	// Watch delivers a purchase after each durable change made on this node;
	// see purchase.Engine.
	Watch(purchase.ID) (updates <-chan purchase.Purchase, stop func())
	// Settle waits until purchases are final; see purchase.Engine.
	Settle(ctx context.Context, ps []*purchase.Purchase) (elsewhere int)
	// Callback hands over authenticated news; on nil it is durable.
	Callback(context.Context, purchase.ID, purchase.Event) error
	// Ready returns nil while purchases are admitted.
	Ready() error
}

// Purchases is what the API needs of the store.
type Purchases interface {
	// Load returns the records of those purchases that exist.
	Load(ctx context.Context, ids ...purchase.ID) ([]purchase.Record, error)
	// List returns purchases of a number, newest first.
	List(context.Context, purchase.Page) ([]purchase.Purchase, error)
}

// Desk is what the API sells at; *sale.Desk is one. Its errors are *sale.Problem.
type Desk interface {
	// BuyAll makes purchases; see sale.Desk.
	BuyAll(context.Context, []sale.Wish) []purchase.Bought
	// Catalogue is what is sold at the moment.
	Catalogue() *catalogue.Catalogue
	// Products lists what is on sale now to a number, or to anybody, on a channel.
	Products(number, channel string) ([]sale.Ware, error)
	// Balance asks the charging system of a line what it holds.
	Balance(ctx context.Context, number string) (sale.Line, error)
}

// Numbers reads telephone numbers as people write them; *numbering.Directory does.
type Numbers interface {
	Parse(text string) (purchase.MSISDN, purchase.Operator, error)
}

// ErrForged is wrapped by the error of a callback that is not authentic.
var ErrForged = errors.New("callback is not authentic")

// Caller reads what one partner sends by itself.
type Caller interface {
	// Callback authenticates and reads a callback with its whole body, which it
	// does not keep. Its error wraps ErrForged when the callback is not
	// authentic; any other error says that it cannot be used.
	Callback(r *http.Request, body []byte) (purchase.ID, purchase.Event, error)
}

// Proofs proves a purchase's last change in the log, nil while it is in no signed tree; *evidence.Prover does.
type Proofs interface {
	Prove(ctx context.Context, r *purchase.Record) ([]byte, error)
}

// Receipts makes receipts; *receipt.Issuer does.
type Receipts interface {
	Issue(r *purchase.Record, reference purchase.Reference, open bool) (receipt.Receipt, []byte, error)
	Link(signed []byte) string
}

// Meter counts.
type Meter interface {
	// Request counts one request answered.
	Request(route, client string, status int, took time.Duration)
	// Batched counts purchases of batches by what each was answered.
	Batched(client string, status, purchases int)
	// CallbackRefused counts one callback in a partner's name that was refused.
	CallbackRefused(partner string)
}

// Tracer tells of single requests; *telemetry.Traces does.
type Tracer interface {
	// Request tells of one request answered: under the parent that its traceparent header names, "" for none, and about a
	// purchase, "" for none.
	Request(route, parent string, status int, about purchase.Reference, from, to purchase.Instant, attrs ...slog.Attr)
}

// Config is what an API is built from. All of it is needed but tracer, receipts and annexes.
type Config struct {
	Version   string
	Desk      Desk
	Engine    Engine
	Purchases Purchases
	Numbers   Numbers
	Callers   map[string]Caller // by partner
	Clients   *auth.Book
	Keys      *purchase.Keyring
	Clock     purchase.Clock
	NewID     func() string // identities of requests
	Meter     Meter
	Log       *slog.Logger
	// Tracer tells of requests; nil: nobody does.
	Tracer Tracer
	// Receipts makes receipts; nil where there are none.
	Receipts Receipts
	// Proofs proves what receipts say; nil: nothing does.
	Proofs Proofs
	// Deployment is what is said of the installation; its version is Version.
	Deployment Deployment
	// Annexes are answered beside the API's own routes; there may be none.
	Annexes []Annex
}

// API answers HTTP requests. It is safe for concurrent use.
type API struct {
	desk      Desk
	engine    Engine
	purchases Purchases
	numbers   Numbers
	callers   map[string]Caller
	clients   *auth.Book
	keys      *purchase.Keyring
	clock     purchase.Clock
	newID     func() string
	meter     Meter
	tracer    Tracer
	log       *slog.Logger
	receipts  Receipts
	proofs    Proofs
	annexes   []Annex

	deployment Deployment

	sentences sentences
	mux       *http.ServeMux
	limiter   *limiter
	draining  context.Context // ended by drain
	drain     context.CancelFunc
}

// New returns the API.
func New(cfg Config) (*API, error) {
	a := &API{
		desk:       cfg.Desk,
		engine:     cfg.Engine,
		purchases:  cfg.Purchases,
		numbers:    cfg.Numbers,
		callers:    cfg.Callers,
		clients:    cfg.Clients,
		keys:       cfg.Keys,
		clock:      cfg.Clock,
		newID:      cfg.NewID,
		meter:      cfg.Meter,
		tracer:     cfg.Tracer,
		log:        cfg.Log,
		receipts:   cfg.Receipts,
		proofs:     cfg.Proofs,
		annexes:    cfg.Annexes,
		deployment: cfg.Deployment,
		mux:        http.NewServeMux(),
		limiter:    newLimiter(cfg.Clients.Clients()),
	}
	a.deployment.Version = cfg.Version
	a.draining, a.drain = context.WithCancel(context.Background())
	var err error
	if a.sentences, err = loadSentences(); err != nil {
		return nil, err
	}
	if err := a.route(cfg.Version); err != nil {
		return nil, err
	}
	for i := range a.annexes {
		a.annex(&a.annexes[i])
	}
	return a, nil
}

// Drain ends what would otherwise go on for long: event streams and waits for
// an outcome. Their clients come back, to another node.
func (a *API) Drain() { a.drain() }
