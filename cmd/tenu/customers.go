package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/customer"
	"tenu/internal/incident"
	"tenu/internal/notify"
	"tenu/internal/partner"
	"tenu/internal/purchase"
	"tenu/internal/push"
	"tenu/internal/ussd"
	"tenu/internal/web"
)

// appConfig is of the customers' pages.
type appConfig struct {
	Brand     string      `yaml:"brand"`
	HTTPS     bool        `yaml:"https"`
	CancelFor span        `yaml:"cancel_for"`
	Source    string      `yaml:"source"`
	Codes     codesConfig `yaml:"codes"`
	Push      pushConfig  `yaml:"push"`
}

// pushConfig is of push messages to browsers; without a contact there are none.
type pushConfig struct {
	Contact  string   `yaml:"contact"`
	Services []string `yaml:"services"`
}

// codesConfig bounds the one-time codes that are sent.
type codesConfig struct {
	Number       int64 `yaml:"number"`
	NumberDaily  int64 `yaml:"number_daily"`
	Source       int64 `yaml:"source"`
	Prefix       int64 `yaml:"prefix"`
	PrefixDigits int   `yaml:"prefix_digits"`
	Daily        int64 `yaml:"daily"`
}

func (c *codesConfig) limits() auth.CodeLimits {
	return auth.CodeLimits{Number: orElse(c.Number, 3), NumberDaily: orElse(c.NumberDaily, 10), Source: orElse(c.Source, 30),
		Prefix: orElse(c.Prefix, 300), PrefixDigits: orElse(c.PrefixDigits, 4), Daily: orElse(c.Daily, 50_000)}
}

// callbacksConfig says when customers are called back.
type callbacksConfig struct {
	Opens     span `yaml:"opens"`
	Closes    span `yaml:"closes"`
	PerWindow int  `yaml:"per_window"`
	Agents    int  `yaml:"agents"`
	Lead      span `yaml:"lead"`
}

func (c *callbacksConfig) hours(zone *time.Location) care.Hours {
	return care.Hours{Opens: orElse(c.Opens.Duration, 7*time.Hour), Closes: orElse(c.Closes.Duration, 21*time.Hour),
		Location: zone, PerWindow: orElse(c.PerWindow, 10), Agents: c.Agents, Lead: c.Lead.Duration}
}

// buildCustomers builds what customers are served by, whatever the channel, and
// their pages.
func (n *node) buildCustomers(keys *purchase.Keyring, secret []byte, centre notify.Centre) error {
	files, err := purchase.NewKeyring(append([]byte("tenu cases 1 "), secret...))
	if err != nil {
		return err
	}
	var staffed func() int // stays nil where nobody says how many agents there are
	if n.cfg.Callbacks.Agents > 0 {
		staffed = n.staffed
	}
	clocks, err := n.cfg.clocks()
	if err != nil {
		return usage(err)
	}
	desk, err := care.New(care.Config{Store: n.store, Clock: n.app.clock, Hours: n.cfg.Callbacks.hours(n.parts.zone), Clocks: clocks,
		Policy: n.cfg.Care.policy(), Engine: n.engine, House: goodwill{n.desk, n.store}, References: keys, Files: files, Format: n.parts.directory.Format, Changed: n.changed,
		Staffed: staffed, Dialler: n.diallerOfCare(), Written: func() { n.letters.Wake() }})
	if err != nil {
		return usage(n.cfg.file.Errorf("callbacks", "%w", err))
	}
	n.care = desk
	n.customers, err = customer.New(customer.Config{Sales: n.desk, Care: desk, Purchases: n.store, Engine: n.engine, References: keys,
		Store: n.store, Clock: n.app.clock, Random: n.app.random, Rules: n.parts.rules, Receipts: n.receipts(), Proofs: n.prover})
	if err != nil {
		return err
	}
	n.codes, err = auth.NewCodes(n.store, n.app.clock, n.app.random, secret, n.cfg.App.Codes.limits())
	if err != nil {
		return usage(n.cfg.file.Errorf("app.codes", "%w", err))
	}
	_, payers := n.parts.catalogue.Labels()
	sender := codeSender{n, centre}
	var told web.Push // stays nil where nothing is pushed
	if n.push != nil {
		told = n.push
	}
	site, err := n.cfg.receiptSite(n.parts, n.logKey)
	if err != nil {
		return err
	}
	n.pages, err = web.New(web.Config{Push: told, Receipts: site, Brand: orElse(n.cfg.App.Brand, "tenu"), Customers: n.customers, Sales: n.desk, Care: desk, Codes: n.codes,
		Send: sender.send, Sessions: n.store, Numbers: n.parts.directory, Payers: payers, Location: n.parts.zone, Clock: n.app.clock,
		Random: n.app.random, Secret: secret, Log: n.log, Services: n.services, CancelFor: n.cfg.App.CancelFor.Duration,
		Secure: n.cfg.App.HTTPS, Source: n.source()})
	if err != nil {
		return err
	}
	return errors.Join(n.buildUSSD(desk), n.buildTexts(desk))
}

// receipts is what makes receipts, nil where there are none.
func (n *node) receipts() customer.Receipts {
	if n.parts.receipts == nil {
		return nil
	}
	return n.parts.receipts
}

// buildPush builds what tells browsers, where somebody answers for it.
func (n *node) buildPush(keys *purchase.Keyring, secret []byte) (err error) {
	cfg := &n.cfg.App.Push
	if cfg.Contact == "" {
		return nil
	}
	services := cfg.Services
	if len(services) == 0 {
		services = push.KnownServices
	}
	n.push, err = push.New(push.Config{Store: n.store, Clock: n.app.clock, Log: n.log, Secret: secret, Brand: orElse(n.cfg.App.Brand, "tenu"),
		Contact: cfg.Contact, Services: services, Reference: keys.Reference})
	if err != nil {
		return usage(n.cfg.file.Errorf("app.push", "%w", err))
	}
	return nil
}

// taken tells browsers of notices whose messages are out.
func (n *node) taken(notices []purchase.Notice) {
	if n.push != nil {
		n.push.Tell(notices)
	}
}

// source is where a request comes from: the header that a proxy in front sets, or
// the connection's other end.
func (n *node) source() func(*http.Request) string {
	header := n.cfg.App.Source
	if header == "" {
		return nil
	}
	return func(r *http.Request) string { return r.Header.Get(header) }
}

// codeSender sends one-time codes.
type codeSender struct {
	n      *node
	centre notify.Centre
}

func (s codeSender) send(number purchase.MSISDN, language, code string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	id := "code-" + strconv.FormatInt(int64(number), 36) + "-" + strconv.FormatInt(int64(s.n.app.clock.Now()), 36)
	if err := s.centre.Send(ctx, notify.Message{ID: id, To: number, Text: s.n.texts.CodeText(language, code)}); err != nil {
		return fmt.Errorf("send a code: %w", err)
	}
	return nil
}

// services are what customers depend on: the wallets, and the charging system of
// each operator.
func (n *node) services() []web.Service {
	goods := n.desk.Catalogue()
	var all []web.Service
	for _, w := range goods.Wallets() {
		all = append(all, web.Service{Names: w.Names, Health: n.worse(n.health(w.Name), incident.ByPayer, w.Name)})
	}
	for _, o := range goods.Operators() {
		name, health := n.parts.directory.Name(o), web.Down
		for _, provider := range goods.Providers(o) {
			if h := n.worse(n.health(provider), incident.ByProvider, provider); h < health {
				health = h
			}
		}
		health = n.worse(health, incident.ByOperator, string(o))
		all = append(all, web.Service{Names: map[string]string{"fr": name, "en": name}, Health: health})
	}
	return all
}

func (n *node) health(name string) web.Health {
	guard := n.parts.guards[name]
	if guard == nil {
		return web.Down
	}
	switch s := guard.State(); {
	case s.Circuit == partner.Closed && s.Health.Status == partner.Available:
		return web.Up
	case s.Circuit == partner.Closed && s.Health.Status != partner.Unavailable:
		return web.Slow
	}
	return web.Down
}

// waits tells the log what customers' purchases wait for.
func (n *node) waits(err error) {
	n.log.Warn("customers' purchases wait", slog.Any("error", err))
}

// ussdConfig is of the USSD gateway's turns.
type ussdConfig struct {
	Key    string `yaml:"key"`
	Within span   `yaml:"within"`
}

// minGatewayKey is how many characters a gateway's key has at least.
const minGatewayKey = 16

// buildUSSD builds the menus, and the site that a gateway asks: POST /ussd/KEY.
func (n *node) buildUSSD(desk *care.Desk) error {
	key, err := n.cfg.secret(n.app.env, "ussd.key", n.cfg.USSD.Key)
	if err != nil {
		return usage(err)
	}
	if n.cfg.Listen.USSD != "" && len(key) < minGatewayKey {
		return usage(n.cfg.file.Errorf("ussd.key", "a key of at least %d characters is needed: whoever has it can buy for any number", minGatewayKey))
	}
	_, payers := n.parts.catalogue.Labels()
	menu, err := ussd.New(ussd.Config{Brand: orElse(n.cfg.App.Brand, "tenu"), Customers: n.customers, Sales: n.desk, Care: desk,
		Numbers: n.parts.directory, Store: n.store, Payers: payers, Location: n.parts.zone, Clock: n.app.clock})
	if err != nil {
		return err
	}
	n.dialogs = ussd.NewDialogs(menu)
	gateway := &ussd.Gateway{Menu: menu, Numbers: n.parts.directory}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ussd/{key}", func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.PathValue("key")), []byte(key)) != 1 {
			http.NotFound(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), orElse(n.cfg.USSD.Within.Duration, 5*time.Second))
		defer cancel()
		gateway.ServeHTTP(w, r.WithContext(ctx))
	})
	n.ussd = mux
	return nil
}
