package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"tenu/internal/api"
	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/console"
	"tenu/internal/customer"
	"tenu/internal/evidence"
	"tenu/internal/hook"
	"tenu/internal/incident"
	"tenu/internal/notify"
	"tenu/internal/notify/smpp"
	"tenu/internal/numbering"
	"tenu/internal/partner"
	"tenu/internal/purchase"
	"tenu/internal/push"
	"tenu/internal/regulator"
	"tenu/internal/regulator/feed"
	"tenu/internal/regulator/portal"
	"tenu/internal/sale"
	"tenu/internal/sms"
	"tenu/internal/store"
	"tenu/internal/telemetry"
	"tenu/internal/tmf"
	"tenu/internal/ussd"
	"tenu/internal/web"
)

// drainWithin is how long a node that is told to stop may take: half of it to
// answer its clients, half to hear what its partners say.
const drainWithin = 30 * time.Second

// maxConnections is how many connections the API holds when the configuration
// does not say.
const maxConnections = 4096

// node is everything that `tenu serve` runs.
type node struct {
	app       *app
	cfg       *config
	log       *slog.Logger
	store     *store.Store
	parts     *parts
	engine    *purchase.Engine
	desk      *sale.Desk
	pauses    *incident.Switch
	outbox    *notify.Outbox
	api       *api.API
	customers *customer.Desk
	care      *care.Desk
	tickets   *tmf.TMF
	courier   *hook.Courier
	crier     *hook.Courier   // of incidents
	hearers   []hook.Listener // of incidents, by the configuration
	listeners []hook.Listener // that the configuration makes
	staff     *auth.StaffDesk
	console   *console.Console
	letters   *notify.Outbox // what care tells customers
	regulator *regulator.Desk
	portal    *portal.Portal
	feed      *feed.Feed
	limits    *regulator.Limits // of the country, that figures are held against
	workforce
	telephony
	tracing
	watch
	sequencer  *evidence.Sequencer
	prover     *evidence.Prover
	logKey     string
	pages      *web.Web
	ussd       http.Handler
	texts      *sms.Desk
	dialogs    *ussd.Dialogs
	push       *push.Sender // nil where nothing is pushed
	smpp       *smpp.Client // nil where messages go another way
	statements *reconciliation
	metrics    *telemetry.Metrics
	sms        *partner.Pool
	tls        *tls.Config
	damage     chan error // that the database is damaged
}

// smsAtOnce is how many messages are under way to the message centre at once.
const smsAtOnce = 128

// openNode opens the store and builds the node. close must be called.
func openNode(ctx context.Context, a *app, cfg *config, log *slog.Logger) (n *node, err error) {
	n = &node{app: a, cfg: cfg, log: log, damage: make(chan error, 1), sms: partner.Transport(smsAtOnce, 3*time.Second, nil)}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	dsn, err := cfg.dsn(a.env)
	if err != nil {
		return n, usage(err)
	}
	sealing, err := cfg.sealing(a)
	if err != nil {
		return n, usage(err)
	}
	n.store, err = store.Open(ctx, dsn, store.Options{Log: log, Committers: cfg.Store.Committers, Sealing: sealing,
		Damaged: func(err error) { n.damage <- err }})
	if err != nil {
		return n, openAdvice(err)
	}
	secret, err := secret(ctx, a, n.store)
	if err != nil {
		return n, err
	}
	keys, err := purchase.NewKeyring(secret)
	if err != nil {
		return n, err
	}
	if n.parts, err = cfg.parts(a, keys); err != nil {
		return n, usage(err)
	}
	shield(n.log, secret, n.parts.directory)
	centre, err := n.centre()
	if err != nil {
		return n, err
	}
	centre = &countedCentre{centre, func(ok bool, at purchase.Instant) { n.signals.Delivered(ok, at) }, n.app.clock}
	for _, build := range []func() error{ // in the order in which one needs the other
		func() error { return n.buildTraces(keys) },
		func() error { return n.buildSwitch(ctx) },
		func() error { return n.buildEngine(keys, centre) },
		func() error { return n.buildPush(keys, secret) },
		func() error { return n.buildLog(secret) },
		n.buildCentre,
		func() error { return n.buildCustomers(keys, secret, centre) },
		n.buildTLS,
		func() error { return n.buildTickets(keys) },
		func() error { return n.buildIncidents(keys, secret, centre) },
		func() error { return n.buildReconcile(keys) },
		func() error { return n.buildConsole(keys, secret, centre) },
		func() error { return n.buildLine(codeSender{n, centre}.send) },
		func() error { return n.buildPortal(secret) },
		func() error { return n.buildAPI(keys) },
	} {
		if err = build(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// shield makes a log write tokens in place of numbers.
func shield(log *slog.Logger, secret []byte, directory *numbering.Directory) {
	telemetry.Know(log, secret, directory.Plan.CallingCode(), directory.Plan.Lengths(), func(text string) (purchase.MSISDN, bool) {
		number, _, err := directory.Parse(text)
		return number, err == nil
	})
}

// buildTLS reads the API's certificate, where there is one.
func (n *node) buildTLS() error {
	files := n.cfg.Listen.TLS
	if files.Certificate == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(n.cfg.path(files.Certificate), n.cfg.path(files.Key))
	if err != nil {
		return usage(n.cfg.file.Errorf("listen.tls", "%w", err))
	}
	n.tls = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	return nil
}

// openAdvice says what to do about a store that is not migrated.
func openAdvice(err error) error {
	var schema *store.SchemaError
	if errors.As(err, &schema) && schema.Have < schema.Want {
		return fmt.Errorf("%w (tenu migrate does it)", err)
	}
	return err
}

// secret is the installation's, which the store keeps.
func secret(ctx context.Context, a *app, s *store.Store) ([]byte, error) {
	fresh := make([]byte, 32)
	if _, err := a.random.Read(fresh); err != nil {
		return nil, fmt.Errorf("make a secret: %w", err)
	}
	return s.Secret(ctx, fresh)
}

// keyring is the installation's, of its secret.
func keyring(ctx context.Context, a *app, s *store.Store) (*purchase.Keyring, error) {
	secret, err := secret(ctx, a, s)
	if err != nil {
		return nil, err
	}
	return purchase.NewKeyring(secret)
}

func (n *node) buildEngine(keys *purchase.Keyring, centre notify.Centre) (err error) {
	// A message is begun and given up within seven tenths of a lease after the database
	// said that this node delivers; a lease that was renewed a quarter before lasts longer.
	lease := orElse(n.cfg.Store.Lease.Duration, purchase.DefaultLeaseTTL)
	n.outbox, err = notify.NewOutbox(notify.OutboxConfig{Store: n.store, Centre: centre, Clock: n.app.clock, Log: n.log, Reference: keys.Reference,
		Concurrency: smsAtOnce, Taken: n.taken, Term: lease / 5, Timeout: lease / 2, Standing: func(ctx context.Context) (bool, bool, error) {
			return n.store.Standing(ctx, n.engine.Stats().Epoch)
		}})
	if err != nil {
		return err
	}
	var desk *sale.Desk // made of the engine, which asks it only once it runs
	n.engine, err = purchase.New(purchase.Config{
		Store: n.store, Keys: keys, Clock: n.app.clock, Wording: n.parts.wording, Node: n.cfg.Node, Shard: n.cfg.Shard,
		Rules: n.parts.rules, Partners: n.parts.members, Log: n.log,
		Alternates: func(p *purchase.Purchase) []string { return desk.Alternates(p) },
		Salt:       n.app.salt, Admit: n.admit, Committed: n.committed, Notices: n.outbox.Wake, Cases: func(id purchase.ID) { n.care.Settled(id) }, MaxBatch: n.cfg.Store.MaxBatch, Committers: n.store.Committers(), LeaseTTL: n.cfg.Store.Lease.Duration,
	})
	if err != nil {
		return err
	}
	names, readers := []string{}, map[string]purchase.BalanceReader{}
	for name, guard := range n.parts.guards {
		names = append(names, name)
		readers[name] = n.traces.Balances(name, guard)
	}
	desk, err = sale.New(sale.Config{Directory: n.parts.directory, Catalogue: n.parts.catalogue, Engine: n.engine, Archive: n.store,
		Clock: n.app.clock, Reference: keys.Reference, Partners: names, Readers: readers, Admit: n.admit})
	if err != nil {
		return usage(n.cfg.file.Errorf("catalogue", "%w", err))
	}
	n.desk = desk
	return nil
}

// admit refuses a purchase of what is paused, or while a partner that it needs is failing.
func (n *node) admit(r *purchase.Request) error {
	if err := n.pauses.Admit(r); err != nil {
		return err
	}
	for _, name := range []string{r.Payer, r.Provider} {
		if guard := n.parts.guards[name]; guard != nil {
			if err := guard.Admit(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *node) buildAPI(keys *purchase.Keyring) (err error) {
	n.metrics = telemetry.NewMetrics(version, n.engine.Stats, n.partnerStates)
	cfg := api.Config{Version: version, Desk: n.desk, Engine: n.engine, Purchases: n.store, Numbers: n.parts.directory,
		Callers: n.parts.callers, Clients: n.parts.clients, Keys: keys, Clock: n.app.clock, NewID: uuid.NewString, Meter: n.metrics, Log: n.log,
		Deployment: n.deployment(), Annexes: append(n.pbxAnnex(), n.annex(), n.figuresAnnex()), Receipts: n.receipts(), Proofs: n.prover}
	if n.traces != nil {
		cfg.Tracer = n.traces
	}
	n.api, err = api.New(cfg)
	n.metrics.Traces(n.traces)
	n.metrics.Webhooks(n.webhookFigures)
	n.measureCalls()
	n.metrics.Log(n.logFigures)
	return err
}

func (n *node) partnerStates() []telemetry.Partner {
	states := make([]telemetry.Partner, 0, len(n.parts.guards))
	for name, guard := range n.parts.guards {
		s := guard.State()
		states = append(states, telemetry.Partner{Name: name, Closed: s.Circuit == partner.Closed,
			Available: s.Health.Status != partner.Unavailable, HeldBack: s.HeldBack, Retries: s.Retries})
	}
	return states
}

// listeners are where a node is reached; all but the first may be nil.
type listeners struct{ api, admin, app, ussd, console, status, regulator net.Listener }

// listen opens the listeners that the configuration names.
func (n *node) listen(ctx context.Context) (l listeners, err error) {
	var lc net.ListenConfig
	for _, each := range []struct {
		to            *net.Listener
		address, what string
	}{{&l.api, n.cfg.Listen.API, "the API"}, {&l.admin, n.cfg.Listen.Admin, "the administration"}, {&l.app, n.cfg.Listen.App, "the app"}, {&l.ussd, n.cfg.Listen.USSD, "the USSD gateway"},
		{&l.console, n.cfg.Listen.Console, "the console"}, {&l.status, n.cfg.Listen.Status, "the status page"}, {&l.regulator, n.cfg.Listen.Regulator, "the regulator"}} {
		if each.address == "" {
			continue
		}
		if *each.to, err = lc.Listen(ctx, "tcp", each.address); err != nil {
			return l, errors.Join(fmt.Errorf("listen for %s: %w", each.what, err), l.close())
		}
	}
	return l, nil
}

// close closes those that are open.
func (l *listeners) close() error {
	var errs []error
	for _, each := range []net.Listener{l.api, l.admin, l.app, l.ussd, l.console, l.status, l.regulator} {
		if each != nil {
			if err := each.Close(); !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// run serves until ctx ends or the node cannot go on, then drains. It closes
// the listeners. It returns an error wrapping purchase.ErrFenced when another
// node took over, store.ErrDamaged when the database is damaged.
func (n *node) run(ctx context.Context, at listeners) error {
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	working, stopWorking := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWorking()

	engine := make(chan error, 1)
	go func() {
		err := n.engine.Run(working, drainWithin/2)
		if working.Err() != nil && errors.Is(err, context.Canceled) {
			err = nil // it was told to stop before it had begun
		}
		engine <- err
		stopServing() // without an engine there is nothing to serve
	}()
	var loops, binds sync.WaitGroup
	bound, unbind := context.WithCancel(context.WithoutCancel(ctx)) // until the last message is out
	defer binds.Wait()
	defer unbind()
	if n.smpp != nil {
		binds.Go(func() { n.smpp.Run(bound) })
	}
	for _, loop := range []func(context.Context){n.outbox.Run, n.sequencer.Run, n.tidy, n.retain, n.tell, n.letters.Run, n.careFor, n.reconcile, n.console.Run, n.account} {
		loops.Go(func() { loop(working) })
	}
	loops.Go(func() { n.deliver(working, n.crier, n.hearers) })
	n.runIncidents(working, &loops)
	var hushed error
	n.runTelephony(serving, func(err error) { hushed = err; stopServing() }, &loops)
	if n.push != nil {
		loops.Go(func() { n.push.Run(working) })
	}
	var damage error
	loops.Go(func() {
		select {
		case damage = <-n.damage:
			stopServing()
			stopWorking() // what is under way cannot be recorded any more
		case <-working.Done():
		}
	})
	loops.Go(func() { n.app.clock.watch(working, n.log, time.Now) })
	for _, guard := range n.parts.guards {
		loops.Go(func() { n.probe(working, guard) })
	}
	loops.Go(func() { n.customers.Run(working, n.waits) })
	beside := func(what string, site api.Site, grace time.Duration, until context.Context) {
		if site.Listener == nil {
			return
		}
		loops.Go(func() {
			if err := api.Serve(until, site, grace); err != nil {
				n.log.Error("a site ended", slog.String("site", what), slog.Any("error", err))
				stopServing()
			}
		})
	}
	most := orElse(n.cfg.Listen.MaxConnections, maxConnections)
	beside("administration", api.Site{Listener: at.admin, Handler: n.adminRoutes(), MaxConns: 64, Log: n.log}, time.Second, working)
	beside("app", api.Site{Listener: at.app, Handler: n.pages, TLS: n.tls, MaxConns: most, Drain: n.pages.Drain, Log: n.log}, drainWithin/2, serving)
	beside("console", api.Site{Listener: at.console, Handler: n.console, TLS: n.tls, MaxConns: most, Drain: n.console.Drain, Log: n.log}, drainWithin/2, serving)
	beside("status", api.Site{Listener: at.status, Handler: n.public, TLS: n.tls, MaxConns: most, Log: n.log}, time.Second, serving)
	beside("regulator", api.Site{Listener: at.regulator, Handler: n.portal, TLS: n.tls, MaxConns: most, Log: n.log}, drainWithin/2, serving)
	beside("USSD", api.Site{Listener: at.ussd, Handler: n.ussd, TLS: n.tls, MaxConns: most, Log: n.log}, drainWithin/2, serving)
	site := api.Site{Listener: at.api, Handler: n.withLog(n.api), TLS: n.tls, MaxConns: most, Drain: n.api.Drain, Log: n.log}
	err := api.Serve(serving, site, drainWithin/2)
	stopWorking()
	err = errors.Join(<-engine, err)
	loops.Wait()
	return errors.Join(damage, hushed, err)
}

// tidyEvery is how often what is of no more use is forgotten.
const tidyEvery = time.Hour

// tidy forgets what is of no more use, for as long as ctx lasts.
func (n *node) tidy(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.app.clock.After(tidyEvery):
		}
		if err := n.store.Tidy(ctx, n.app.clock.Now()); err != nil && ctx.Err() == nil {
			n.log.Warn("the store is not tidied up", slog.Any("error", err))
		}
	}
}

// probe asks after a partner's health for as long as ctx lasts.
func (n *node) probe(ctx context.Context, guard *partner.Guard) {
	for ctx.Err() == nil {
		next, err := guard.Step(ctx, n.app.clock.Now())
		if next == 0 || err != nil {
			return // cannot be probed, or ctx ended
		}
		select {
		case <-ctx.Done():
		case <-n.app.clock.After(max(next.Sub(n.app.clock.Now()), time.Millisecond)):
		}
	}
}

// adminRoutes are for operators, on a listener that customers cannot reach.
func (n *node) adminRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", n.metrics.Handler())
	mux.Handle("GET /healthz", n.api)
	mux.Handle("GET /readyz", n.api)
	return mux
}

// hangUp closes the connections to partners that nobody uses.
func (n *node) hangUp() {
	n.sms.CloseIdleConnections()
	if n.parts == nil {
		return
	}
	for _, each := range n.parts.adapters {
		each.transport.CloseIdleConnections()
	}
}

// close closes what openNode opened.
func (n *node) close() error {
	n.hangUp()
	n.endTraces()
	if n.store != nil {
		return n.store.Close()
	}
	return nil
}
