// Package web is the customer's pages: they work on a cheap phone without
// JavaScript, and update themselves where there is some. It knows nothing of SQL,
// of partners, or of how a purchase is decided.
package web

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/customer"
	"tenu/internal/numbering"
	"tenu/internal/page"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
	"tenu/internal/receipt/show"
	"tenu/internal/sale"
)

// Config is what the pages are built from. All of it is needed but Push, Receipts,
// CancelFor, Secure, Source and Languages.
type Config struct {
	Brand     string // what the service is called
	Customers *customer.Desk
	Sales     *sale.Desk
	Care      *care.Desk
	Codes     *auth.Codes
	// Send hands a one-time code over to be sent to a number in a language.
	Send     func(number purchase.MSISDN, language, code string) error
	Sessions SessionStore
	Numbers  *numbering.Directory
	Payers   map[string]map[string]string // names of wallets by partner and language
	Location *time.Location
	Clock    purchase.Clock
	Random   io.Reader
	Secret   []byte // of the installation, at least 16 bytes
	Log      *slog.Logger
	// Services tells whether each thing that is sold works now.
	Services func() []Service

	// Push tells browsers; nil: it is not offered.
	Push Push
	// Receipts checks receipts; nil: there are none.
	Receipts *show.Site
	// CancelFor is how long a confirmed purchase can be cancelled (default 5 s).
	CancelFor time.Duration
	// Secure: the pages are reached by HTTPS only.
	Secure bool
	// Source is the address that a request comes from, for the limits of one-time
	// codes; nil: the connection's.
	Source func(*http.Request) string
	// Languages may hold further languages, one file each.
	Languages []fs.FS
}

// Push sends push messages to browsers; *push.Sender is one.
type Push interface {
	// Key is what browsers subscribe to.
	Key() string
	// Subscribe and Unsubscribe keep and forget a browser of a number's, as the Push
	// API gives it in JSON. They return push.ErrSubscription for what is none.
	Subscribe(ctx context.Context, number purchase.MSISDN, subscription string) error
	Unsubscribe(ctx context.Context, number purchase.MSISDN, subscription string) error
}

// Service is something that customers depend on, by its names, and how it is.
type Service struct {
	Names  map[string]string
	Health Health
}

// Health of a service.
type Health uint8

// The healths.
const (
	Up Health = iota + 1
	Slow
	Down
)

// Web serves the pages. It is an http.Handler, safe for concurrent use.
type Web struct {
	cfg        Config
	texts      *phrase.Texts
	vocabulary *names
	pages      map[string]*page.Set // by language
	assets     *page.Assets
	sessions   *sessions
	handler    http.Handler
	draining   chan struct{} // closed when streams are to end
	drain      sync.Once
}

// New returns the pages, or an error that says what cannot be.
func New(cfg Config) (*Web, error) {
	if cfg.Customers == nil || cfg.Sales == nil || cfg.Care == nil || cfg.Codes == nil || cfg.Send == nil || cfg.Sessions == nil ||
		cfg.Numbers == nil || cfg.Location == nil || cfg.Clock == nil || cfg.Random == nil || len(cfg.Secret) < 16 || cfg.Log == nil || cfg.Services == nil {
		return nil, errors.New("web: something that is needed is missing")
	}
	if cfg.CancelFor <= 0 {
		cfg.CancelFor = 5 * time.Second
	}
	if cfg.Source == nil {
		cfg.Source = page.Remote
	}
	w := &Web{cfg: cfg, draining: make(chan struct{})}
	var err error
	if w.texts, err = loadTexts(cfg.Languages...); err != nil {
		return nil, err
	}
	if w.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	w.vocabulary = &names{phone: func(m purchase.MSISDN) string { return page.Unbroken(cfg.Numbers.Format(m)) }, product: w.productName, payer: w.payerName}
	w.pages = map[string]*page.Set{}
	for _, code := range w.texts.Languages() {
		if w.pages[code], err = w.parsePages(code); err != nil {
			return nil, err
		}
	}
	w.sessions = &sessions{cfg.Sessions, cfg.Clock, cfg.Random, cfg.Secure}
	w.handler = w.routes()
	return w, nil
}

// productName is what customers call a product.
func (w *Web) productName(code, language string) string {
	product, known := w.cfg.Sales.Catalogue().Product(code)
	if !known {
		return code
	}
	if name := product.Names[language]; name != "" {
		return name
	}
	return product.Names[standard]
}

// payerName is what customers call a wallet, "" for a charging system.
func (w *Web) payerName(code, language string) string {
	names := w.cfg.Payers[code]
	if name := names[language]; name != "" {
		return name
	}
	return names[standard]
}

// routes is the whole surface.
func (w *Web) routes() http.Handler {
	mux := http.NewServeMux()
	open := func(pattern string, h func(*visit)) { mux.Handle(pattern, w.visitor(genuine(h))) }
	own := func(pattern string, h func(*visit)) { mux.Handle(pattern, w.customer(h)) }

	mux.Handle("GET /static/", w.assets)
	mux.HandleFunc("GET /manifest.webmanifest", w.manifest)
	mux.HandleFunc("GET /worker.js", w.worker)
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	if w.cfg.Receipts != nil {
		mux.HandleFunc("GET "+show.PagePath, w.cfg.Receipts.Page)
		mux.HandleFunc("GET "+show.KeysPath, w.cfg.Receipts.Keys)
	}
	open("GET /{$}", w.front)
	open("POST /code", w.sendCode)
	open("POST /signin", w.signIn)
	open("GET /status", w.status)
	open("GET /offline", w.offline)
	open("GET /elements", w.elements)

	own("POST /signout", w.signOut)
	own("POST /status", w.affected)
	own("GET /buy", w.buy)
	own("POST /buy", w.begin)
	own("GET /checkout/{key}", w.checkout)
	own("POST /checkout/{key}", w.decide)
	own("GET /purchases", w.purchases)
	own("GET /purchases/{reference}", w.purchase)
	own("GET /purchases/{reference}/events", w.events)
	own("GET /purchases/{reference}/receipt", w.receipt)
	own("GET /purchases/{reference}/receipt.svg", w.receiptCode)
	own("GET /purchases/{reference}/receipt.pdf", w.receiptPaper)
	own("GET /purchases/{reference}/receipt.txt", w.receiptFile)
	own("GET /purchases/{reference}/report", w.reportForm)
	own("POST /purchases/{reference}/report", w.report)
	own("GET /cases/{case}", w.file)
	own("POST /cases/{case}", w.actOnFile)
	own("GET /returns", w.returns)
	own("POST /returns", w.answerReturn)
	own("GET /help", w.help)
	own("GET /callback", w.callback)
	own("POST /callback", w.promise)
	own("GET /favourites", w.favourites)
	own("POST /favourites", w.keepFavourite)
	own("GET /settings", w.settings)
	own("POST /settings", w.setChoices)
	own("POST /push", w.push)
	open("/", w.nowhere)
	return page.Guard(mux, maxForm, w.cfg.Secure)
}

// ServeHTTP answers a request.
func (w *Web) ServeHTTP(rw http.ResponseWriter, r *http.Request) { w.handler.ServeHTTP(rw, r) }

// Drain ends the streams of events, so that the server can stop; browsers come back.
func (w *Web) Drain() { w.drain.Do(func() { close(w.draining) }) }

// maxForm bounds the body of a request.
const maxForm = 16 << 10

// mac is a message authentication code under the installation's secret.
func (w *Web) mac(parts ...string) string {
	mac := hmac.New(sha256.New, w.cfg.Secret)
	for _, part := range parts {
		_, _ = fmt.Fprintf(mac, "%d:%s", len(part), part) // a hash takes everything
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:18])
}
