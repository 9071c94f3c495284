package main

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/console"
	"tenu/internal/incident"
	"tenu/internal/notify"
	"tenu/internal/purchase"
	"tenu/internal/reconcile"
	"tenu/internal/store"
)

// consoleConfig is of the agents' console.
type consoleConfig struct {
	HTTPS   bool          `yaml:"https"`
	Source  string        `yaml:"source"`
	Session sessionConfig `yaml:"session"`
	// PasswordAlone: who signs in by password needs no authenticator.
	PasswordAlone bool           `yaml:"password_alone"`
	Passkeys      passkeysConfig `yaml:"passkeys"`
	OIDC          oidcConfig     `yaml:"oidc"`
}

// sessionConfig is how long staff stay signed in.
type sessionConfig struct {
	Life span `yaml:"life"`
	Idle span `yaml:"idle"`
}

// passkeysConfig is of passkeys; without a party there are none.
type passkeysConfig struct {
	Party   string   `yaml:"party"`
	Origins []string `yaml:"origins"`
}

// oidcConfig is of an OpenID provider; without an issuer there is none.
type oidcConfig struct {
	Issuer       string            `yaml:"issuer"`
	ClientID     string            `yaml:"client_id"`
	ClientSecret string            `yaml:"client_secret"`
	Redirect     string            `yaml:"redirect"`
	RoleClaim    string            `yaml:"role_claim"`
	Roles        map[string]string `yaml:"roles"`
	Provision    bool              `yaml:"provision"`
}

// buildConsole builds the agents' console and what delivers care's messages.
func (n *node) buildConsole(keys *purchase.Keyring, secret []byte, centre notify.Centre) (err error) {
	ways, err := n.cfg.waysIn(n.app.env)
	if err != nil {
		return usage(err)
	}
	if n.staff, err = n.cfg.staffDesk(n.app, n.store, secret, ways); err != nil {
		return err
	}
	if n.console, err = console.New(n.consoleOf(keys, secret)); err != nil {
		return err
	}
	lease := orElse(n.cfg.Store.Lease.Duration, purchase.DefaultLeaseTTL)
	n.letters, err = notify.NewOutbox(notify.OutboxConfig{Store: store.NewLetters(n.store), Centre: centre, Clock: n.app.clock, Log: n.log, Reference: keys.Reference,
		Name: letterName, Concurrency: smsAtOnce / 4, Term: lease / 5, Timeout: lease / 2, Standing: n.standing})
	return err
}

// consoleOf is what the console is built from.
func (n *node) consoleOf(keys *purchase.Keyring, secret []byte) console.Config {
	_, names := n.parts.catalogue.Labels()
	for i := range n.cfg.Partners { // wallets are called as customers know them
		if p := &n.cfg.Partners[i]; p.Title != "" && names[p.Name] == nil {
			names[p.Name] = map[string]string{"fr": p.Title}
		}
	}
	var source func(*http.Request) string
	if header := n.cfg.Console.Source; header != "" {
		source = func(r *http.Request) string { return r.Header.Get(header) }
	}
	var breaks *reconcile.Desk
	if len(n.cfg.Reconcile.Statements) > 0 {
		breaks = n.statements.Desk
	}
	return console.Config{Breaks: breaks, Verify: n.statements.verify, Brand: orElse(n.cfg.App.Brand, "tenu"), Staff: n.staff, Care: n.care, Store: n.store, Purchases: n.store,
		Engine: n.engine, Sales: n.desk, Incidents: n.incidents, Pauses: n.pauses, Record: n.store,
		Receipts: n.receipts(), Proofs: n.prover, Line: n.telephones(),
		Series:  func(by incident.Dimension) []string { return n.cfg.names(n.parts, by) },
		Numbers: n.parts.directory, References: keys, Partners: names, Location: n.parts.zone, Clock: n.app.clock,
		Random: n.app.random, Secret: secret, Log: n.log, Secure: n.cfg.Console.HTTPS, Back: n.cfg.Console.OIDC.Redirect, Source: source, Alone: n.alone.Load}
}

// letterName is what a message of care is called to the message centre.
func letterName(m *purchase.Notice) string { return "care-" + strconv.FormatInt(int64(m.Purchase), 10) }

// standing tells whether this node is the one that delivers and cares, and whether
// there is no other.
func (n *node) standing(ctx context.Context) (ours, alone bool, err error) {
	ours, alone, err = n.store.Standing(ctx, n.engine.Stats().Epoch)
	if err == nil {
		n.alone.Store(alone)
	}
	return ours, alone, err
}

// careFor cares for cases, requests and callbacks until ctx ends.
func (n *node) careFor(ctx context.Context) {
	for ctx.Err() == nil {
		err := n.care.Furnish(ctx)
		if err == nil {
			break
		}
		n.log.Warn("the rules of care wait", slog.Any("error", err))
		select {
		case <-ctx.Done():
		case <-n.app.clock.After(time.Second):
		}
	}
	n.care.Run(ctx, n.standing, func(err error) { n.log.Warn("care waits", slog.Any("error", err)) })
}

// staffed counts who can call customers now, at most once in ten seconds.
func (n *node) staffed() int {
	now := int64(n.app.clock.Now())
	if at := n.staffedAt.Load(); now-at > 10_000_000 && n.staffedAt.CompareAndSwap(at, now) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if in, err := n.staff.SignedIn(ctx); err == nil {
			n.staffedNow.Store(int64(in[auth.Agent] + in[auth.Supervisor]))
		}
	}
	return int(n.staffedNow.Load())
}

// changed is told of everything of care that changed here.
func (n *node) changed(x care.Changed) {
	n.courier.Wake()
	n.console.Changed(x)
	if n.dialler != nil && x.Callback != 0 {
		n.dialler.Wake()
	}
}

// workforce is who is at work, as it was counted last.
type workforce struct {
	staffedAt, staffedNow atomic.Int64
	alone                 atomic.Bool
}
