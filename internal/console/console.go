// Package console is the agents' pages: one screen for a customer with the evidence,
// what may be done now, queues, callbacks, approvals, and the supervisor's board. It
// knows nothing of SQL, of partners, or of how a purchase or a case is decided.
package console

import (
	"context"
	"embed"
	"errors"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/incident"
	"tenu/internal/incident/report"
	"tenu/internal/notify"
	"tenu/internal/numbering"
	"tenu/internal/page"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
	"tenu/internal/receipt"
	"tenu/internal/reconcile"
	"tenu/internal/sale"
	"tenu/internal/staff"
)

// Purchases reads purchases; *store.Store is one.
type Purchases interface {
	Load(ctx context.Context, ids ...purchase.ID) ([]purchase.Record, error)
	List(ctx context.Context, page purchase.Page) ([]purchase.Purchase, error)
	// Deliveries returns what centres told of messages, by our names of them.
	Deliveries(ctx context.Context, messages ...string) ([]notify.Delivery, error)
	// Begun returns the purchases that some numbers paid for or received since an instant, by number.
	Begun(ctx context.Context, since purchase.Instant, numbers ...purchase.MSISDN) (map[purchase.MSISDN][]purchase.ID, error)
}

// Engine tells of changes as they happen; *purchase.Engine is one.
type Engine interface {
	Watch(id purchase.ID) (updates <-chan purchase.Purchase, stop func())
}

// Receipts makes receipts; *receipt.Issuer does.
type Receipts interface {
	Issue(r *purchase.Record, reference purchase.Reference, open bool) (receipt.Receipt, []byte, error)
	Link(signed []byte) string
}

// Proofs proves a purchase's last change in the log, nil while it is in no signed tree; *evidence.Prover does.
type Proofs interface {
	Prove(ctx context.Context, r *purchase.Record) ([]byte, error)
}

// Config is what the console is built from. All of it is needed but Line, Receipts, Proofs, Breaks, Verify, Back,
// Secure, Source and Alone.
type Config struct {
	Brand      string
	Staff      *auth.StaffDesk
	Care       *care.Desk
	Store      care.Store
	Purchases  Purchases
	Engine     Engine
	Sales      *sale.Desk
	Receipts   Receipts // nil: there are none
	Proofs     Proofs   // of what they say; nil: nothing is proven
	Incidents  *incident.Desk
	Pauses     *incident.Switch
	Record     Incidents
	Line       *Line                             // nil: no agent answers one
	Series     func(incident.Dimension) []string // the names of what can be paused
	Breaks     *reconcile.Desk                   // nil: no statements of partners are read
	Verify     note.Verifiers                    // of closes; nil: no key is known
	Numbers    *numbering.Directory
	References care.References
	Partners   map[string]map[string]string // what people call wallets and providers, by partner and language
	Location   *time.Location
	Clock      purchase.Clock
	Random     io.Reader
	Secret     []byte // of the installation
	Log        *slog.Logger
	// Back is where an OpenID provider sends browsers back to; "": that way in is not offered.
	Back string
	// Secure: the console is reached by HTTPS only.
	Secure bool
	// Source is where a request comes from; nil: the connection's other end.
	Source func(*http.Request) string
	// Alone reports whether no other node works on the store; nil: there may be others.
	Alone func() bool
}

//go:embed pages/*.html static phrases/*.yaml
var files embed.FS

// standard is the language that is spoken where none is known.
const standard = "fr"

// maxBody bounds a request: an attachment and the form round it.
const maxBody = care.MaxAttachment + 64<<10

// Console serves the pages. It is an http.Handler, safe for concurrent use.
type Console struct {
	cfg      Config
	site     *staff.Site
	texts    *phrase.Texts
	handler  http.Handler
	hub      *hub
	reports  *report.Report
	draining chan struct{}
	drain    sync.Once
}

// New returns the console, or an error that says what cannot be.
func New(cfg Config) (*Console, error) {
	if cfg.Staff == nil || cfg.Care == nil || cfg.Store == nil || cfg.Purchases == nil || cfg.Engine == nil || cfg.Sales == nil || cfg.Numbers == nil ||
		cfg.References == nil || cfg.Incidents == nil || cfg.Pauses == nil || cfg.Record == nil || cfg.Series == nil ||
		cfg.Location == nil || cfg.Clock == nil || cfg.Random == nil || len(cfg.Secret) < 16 || cfg.Log == nil {
		return nil, errors.New("console: something that is needed is missing")
	}
	if cfg.Alone == nil {
		cfg.Alone = func() bool { return false }
	}
	c := &Console{cfg: cfg, draining: make(chan struct{})}
	number := func(m purchase.MSISDN) string { return page.Unbroken(cfg.Numbers.Format(m)) }
	var err error
	c.site, err = staff.New(staff.Config{Name: "desk", Salt: "console", Brand: cfg.Brand, Staff: cfg.Staff, Back: cfg.Back, Location: cfg.Location, Clock: cfg.Clock, Random: cfg.Random,
		Secret: cfg.Secret, Log: cfg.Log, MaxBody: maxBody, Secure: cfg.Secure, Source: cfg.Source, Files: files, Funcs: template.FuncMap{"number": number}})
	if err != nil {
		return nil, err
	}
	c.texts = c.site.Texts
	if c.reports, err = report.New(); err != nil {
		return nil, err
	}
	c.hub = newHub(c)
	c.handler = c.site.Guard(c.mux())
	return c, nil
}

// ServeHTTP answers a request.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// Drain ends the streams of events, so that the server can stop; browsers come back.
func (c *Console) Drain() { c.drain.Do(func() { close(c.draining) }) }

// Run follows what other nodes change while somebody looks, until ctx ends.
func (c *Console) Run(ctx context.Context) { c.hub.run(ctx) }

// Changed tells whoever looks at something that it changed. It never waits.
func (c *Console) Changed(x care.Changed) { c.hub.changed(x) }
