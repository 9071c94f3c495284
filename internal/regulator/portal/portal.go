// Package portal is the regulator's pages: figures of any period with their definitions, failures by code and responsible
// party, what is held and in exposure under names that say nothing, incidents and pauses, what a period would be under
// another country's limits, published months, and questions to the operator with their clocks. It reads, and asks; it knows
// nothing of SQL, and shows no customer's number.
package portal

import (
	"context"
	"embed"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/chart"
	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/profile"
	"tenu/internal/purchase"
	"tenu/internal/regulator"
	"tenu/internal/staff"
)

// Records are what the pages read beside figures; *store.Store is one.
type Records interface {
	Load(ctx context.Context, ids ...purchase.ID) ([]purchase.Record, error)
	Incidents(ctx context.Context, q incident.Query) ([]incident.Incident, error)
	Totals(ctx context.Context, id incident.ID) (incident.Totals, error)
	AddLook(ctx context.Context, l care.Look) error
}

// Config is what the portal is built from. All of it is needed but Secure, Back and Source.
type Config struct {
	Brand   string
	Staff   *auth.StaffDesk
	Desk    *regulator.Desk
	Store   regulator.Store
	Records Records
	Profile *profile.Profile
	Drafts  bool // limits that are proposed hold too
	// Targets are the operator's own, where the country has no limit.
	Targets regulator.Targets
	// Currency is what everything is sold in: what there is nothing of is told in it.
	Currency money.Currency
	Location *time.Location
	Clock    purchase.Clock
	Random   io.Reader
	Secret   []byte // of the installation
	Log      *slog.Logger
	Secure   bool // it is reached by HTTPS only
	// Back is where an OpenID provider sends browsers back to; "": that way in is not offered.
	Back string
	// Source is where a request comes from; nil: the connection's other end.
	Source func(*http.Request) string
}

//go:embed pages/*.html static phrases/*.yaml
var files embed.FS

// maxBody bounds a request.
const maxBody = 64 << 10

// Portal serves the pages. It is an http.Handler, safe for concurrent use.
type Portal struct {
	cfg     Config
	site    *staff.Site
	handler http.Handler
}

// New returns the portal, or an error that says what cannot be.
func New(cfg Config) (*Portal, error) {
	if cfg.Staff == nil || cfg.Desk == nil || cfg.Store == nil || cfg.Records == nil || cfg.Profile == nil || cfg.Location == nil || cfg.Clock == nil || cfg.Random == nil ||
		len(cfg.Secret) < 16 || cfg.Log == nil {
		return nil, errors.New("portal: something that is needed is missing")
	}
	p := &Portal{cfg: cfg}
	var err error
	p.site, err = staff.New(staff.Config{Name: "regulator", Salt: "regulator portal", Brand: cfg.Brand, Staff: cfg.Staff, Back: cfg.Back, Location: cfg.Location, Clock: cfg.Clock,
		Random: cfg.Random, Secret: cfg.Secret, Log: cfg.Log, MaxBody: maxBody, Secure: cfg.Secure, Source: cfg.Source, Files: files})
	if err != nil {
		return nil, err
	}
	p.handler = p.site.Guard(p.mux())
	return p, nil
}

// ServeHTTP answers a request.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// route is one thing that the portal answers: to anybody, or to those whose role may do something.
type route struct {
	pattern string
	open    bool
	action  auth.Action
	serve   func(*visit)
}

// routes is the whole surface.
func (p *Portal) routes() []route {
	var shared []route
	for _, r := range staff.Routes() {
		shared = append(shared, route{r.Pattern, r.Open, "", func(v *visit) { r.Serve(v.Visit) }})
	}
	return append(shared, []route{
		{"GET /{$}", false, auth.SeePublished, p.now},
		{"GET /period", false, auth.SeePublished, p.period},
		{"GET /profiles", false, auth.SeePublished, p.profiles},
		{"GET /incidents", false, auth.SeePublished, p.incidents},
		{"GET /open", false, auth.SeePublished, p.open},
		{"POST /open", false, auth.SeePublished, p.open},
		{"POST /open/{month}/{name}", false, auth.SeePublished, p.entry},
		{"GET /published", false, auth.SeePublished, p.published},
		{"GET /published/{month}/{file}", false, auth.SeePublished, p.file},
		{"GET /questions", false, auth.SeePublished, p.questions},
		{"POST /questions", false, auth.AskOperator, p.ask},
		{"POST /questions/{id}", false, auth.AnswerRegulator, p.answer},
		{"GET /definitions", false, auth.SeePublished, p.definitions},
	}...)
}

func (p *Portal) mux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", p.site.Assets)
	mux.HandleFunc("GET /chart.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = io.WriteString(w, chart.Style) // a browser that left needs no answer
	})
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	for _, r := range p.routes() {
		mux.Handle(r.pattern, p.visitor(&r))
	}
	mux.Handle("/", p.visitor(&route{open: true, serve: func(v *visit) { v.missing() }}))
	return mux
}
