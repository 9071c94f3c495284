// Package portal is the regulator's pages: figures of any period with their definitions, failures by code and responsible
// party, what is held and in exposure under names that say nothing, incidents and pauses, what a period would be under
// another country's limits, published months, and questions to the operator with their clocks. It reads, and asks; it knows
// nothing of SQL, and shows no customer's number.
package portal

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/chart"
	"tenu/internal/incident"
	"tenu/internal/page"
	"tenu/internal/phrase"
	"tenu/internal/profile"
	"tenu/internal/purchase"
	"tenu/internal/regulator"
)

// Records are what the pages read beside figures; *store.Store is one.
type Records interface {
	Load(ctx context.Context, ids ...purchase.ID) ([]purchase.Record, error)
	Incidents(ctx context.Context, q incident.Query) ([]incident.Incident, error)
	Totals(ctx context.Context, id incident.ID) (incident.Totals, error)
	AddLook(ctx context.Context, l care.Look) error
}

// Config is what the portal is built from. All of it is needed but Secure and Source.
type Config struct {
	Brand   string
	Staff   *auth.StaffDesk
	Desk    *regulator.Desk
	Store   regulator.Store
	Records Records
	Profile *profile.Profile
	Drafts  bool // limits that are proposed hold too
	// Targets are the operator's own, where the country has no limit.
	Targets  regulator.Targets
	Location *time.Location
	Clock    purchase.Clock
	Random   io.Reader
	Secret   []byte // of the installation
	Log      *slog.Logger
	Secure   bool // it is reached by HTTPS only
	// Source is where a request comes from; nil: the connection's other end.
	Source func(*http.Request) string
}

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed static
var staticFiles embed.FS

//go:embed phrases/*.yaml
var phraseFiles embed.FS

// standard is the language that is spoken where none is known.
const standard = "fr"

// maxBody bounds a request.
const maxBody = 64 << 10

// Portal serves the pages. It is an http.Handler, safe for concurrent use.
type Portal struct {
	cfg     Config
	texts   *phrase.Texts
	pages   map[string]*page.Set // by language
	assets  *page.Assets
	handler http.Handler
}

// New returns the portal, or an error that says what cannot be.
func New(cfg Config) (*Portal, error) {
	if cfg.Staff == nil || cfg.Desk == nil || cfg.Store == nil || cfg.Records == nil || cfg.Profile == nil || cfg.Location == nil || cfg.Clock == nil || cfg.Random == nil ||
		len(cfg.Secret) < 16 || cfg.Log == nil {
		return nil, errors.New("portal: something that is needed is missing")
	}
	if cfg.Source == nil {
		cfg.Source = func(r *http.Request) string {
			host, _, err := net.SplitHostPort(r.RemoteAddr)
			if err != nil {
				return r.RemoteAddr
			}
			return host
		}
	}
	p := &Portal{cfg: cfg, pages: map[string]*page.Set{}}
	if err := p.load(); err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	p.handler = page.Guard(p.mux(), maxBody, cfg.Secure)
	return p, nil
}

// load reads texts, pages and what stands beside them.
func (p *Portal) load() error {
	phrases, err := fs.Sub(phraseFiles, "phrases")
	if err != nil {
		return err
	}
	if p.texts, err = phrase.LoadTexts(standard, phrases); err != nil {
		return err
	}
	files, err := fs.Sub(staticFiles, "static")
	if err != nil {
		return err
	}
	if p.assets, err = page.LoadAssets(files); err != nil {
		return err
	}
	templates, err := fs.Sub(pageFiles, "pages")
	if err != nil {
		return err
	}
	for _, code := range p.texts.Languages() {
		if p.pages[code], err = page.Parse(templates, p.texts.In(code), p.assets, template.FuncMap{"link": link}); err != nil {
			return err
		}
	}
	return nil
}

// link lets a page lead to an authenticator, and nowhere else.
func link(to string) template.URL {
	if strings.HasPrefix(to, "otpauth:") {
		return template.URL(to) //nolint:gosec // a scheme that runs nothing
	}
	return ""
}

// ServeHTTP answers a request.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// mac is a message authentication code under the installation's secret.
func (p *Portal) mac(parts ...string) string {
	mac := hmac.New(sha256.New, p.cfg.Secret)
	for _, part := range append([]string{"regulator portal"}, parts...) {
		_, _ = fmt.Fprintf(mac, "%d:%s", len(part), part) // a hash takes everything
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:18])
}

// route is one thing that the portal answers: to anybody, or to those whose role may do something.
type route struct {
	pattern string
	open    bool
	action  auth.Action
	serve   func(*visit)
}

// routes is the whole surface.
func (p *Portal) routes() []route {
	return []route{
		{"GET /signin", true, "", p.signInForm},
		{"POST /signin", true, "", p.signIn},
		{"POST /signout", false, "", p.signOut},
		{"GET /account", false, "", p.account},
		{"POST /account", false, "", p.changeAccount},

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
	}
}

func (p *Portal) mux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", p.assets)
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
