package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"tenu/internal/care"
	"tenu/internal/incident"
	"tenu/internal/incident/alert"
	"tenu/internal/notify"
	"tenu/internal/partner"
	"tenu/internal/partner/house"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
	"tenu/internal/status"
)

// watch is what sees that purchases fail, and keeps the record of it.
type watch struct {
	signals   *incident.Signals
	detector  *incident.Detector
	watcher   *incident.Watch
	exchange  *incident.Exchange // with the other nodes
	incidents *incident.Desk
	alerts    *alert.Client // nil where nobody is alerted
	phrases   *phrase.Texts
	status    *status.Writer // nil where there is no status page, as the next
	public    http.Handler

	subscriptions *status.Desk
	news          chan struct{} // that an incident changed here
}

// buildSignals builds what counts purchases and finds what fails.
func (n *node) buildSignals() error {
	signals := incident.SignalsConfig{Expected: n.cfg.Incidents.expected(), Operator: n.operatorOf, Partners: n.seen,
		Paused: func() []incident.Series {
			pauses := n.pauses.Pauses()
			series := make([]incident.Series, len(pauses))
			for i := range pauses {
				series[i] = pauses[i].Series
			}
			return series
		}}
	detector := incident.DetectorConfig{Objective: float64(n.cfg.Incidents.objective()) / 1000}
	if err := errors.Join(signals.Check(), detector.Check()); err != nil {
		return usage(n.cfg.file.Errorf("incidents", "%w", err))
	}
	n.signals, n.detector = incident.NewSignals(signals), incident.NewDetector(detector)
	return nil
}

// committed counts what the engine wrote, but not what the house sells: canaries go
// through what is known to fail.
func (n *node) committed(c *purchase.Change) {
	if c.Now.Payer != house.Name {
		n.signals.Committed(c)
	}
}

// countedCentre counts what a centre takes over, and what it does not for its own reasons.
type countedCentre struct {
	notify.Centre
	delivered func(ok bool, at purchase.Instant)
	clock     purchase.Clock
}

// Send is notify.Centre. What the message is to blame for, and what was broken off, says nothing of the centre.
func (c *countedCentre) Send(ctx context.Context, m notify.Message) error {
	err := c.Centre.Send(ctx, m)
	if !errors.Is(err, notify.ErrRefused) && !errors.Is(ctx.Err(), context.Canceled) {
		c.delivered(err == nil, c.clock.Now())
	}
	return err //nolint:wrapcheck // notify's errors are its contract
}

// seen is how the partners are seen, each by what it does.
func (n *node) seen() []incident.Partner {
	var partners []incident.Partner
	for _, by := range []incident.Dimension{incident.ByProvider, incident.ByPayer} {
		for _, name := range n.cfg.names(n.parts, by) {
			guard := n.parts.guards[name]
			if guard == nil {
				continue
			}
			s := guard.State()
			health := incident.Available
			switch s.Health.Status {
			case partner.Degraded:
				health = incident.Degraded
			case partner.Unavailable:
				health = incident.Unavailable
			case partner.Available:
			}
			partners = append(partners, incident.Partner{Series: incident.Series{By: by, Name: name}, Health: health,
				Tripped: s.Circuit != partner.Closed, Answers: incident.Answers(s.Answers), HeldBack: s.HeldBack})
		}
	}
	return partners
}

// detect looks for what fails until ctx ends.
func (n *node) detect(ctx context.Context) {
	n.watcher.Run(ctx, n.app.clock, func(err error) { n.log.Error("what was found is not kept", slog.Any("error", err)) })
}

// learn teaches the detector how sales went in the last weeks, so that a process that has just begun knows silence.
func (n *node) learn(ctx context.Context) {
	hours, err := incident.LearnHistory(ctx, incident.HistoryConfig{Store: n.store, Detector: n.detector, House: house.Name, Operator: n.operatorOf}, n.app.clock.Now())
	switch {
	case err == nil:
		n.log.Info("the rhythm of sales is learnt", slog.Int("hours", hours))
	case ctx.Err() == nil:
		n.log.Warn("the rhythm of sales is not wholly learnt: silence is found later", slog.Int("hours", hours), slog.Any("error", err))
	}
}

// found notes a finding for operations.
func (n *node) found(f incident.Finding) {
	n.log.Warn("detected", slog.String("series", f.Series.String()), slog.String("rule", string(f.Rule)), slog.Bool("well", f.Well),
		slog.Int64("paid", f.Paid), slog.Int64("failed", f.Failed), slog.String("detail", f.Detail))
}

// pausesFor reports whether what was found is not sold any more.
func (n *node) pausesFor(f incident.Finding) bool {
	return n.cfg.Incidents.enabled() && incident.DefaultPauses(f) && n.knows(f.Series)
}

// pauseChanged tells whoever rests on a pause: once sales are open again, what was found is settled by
// how they go from now on.
func (n *node) pauseChanged(p *incident.Pause) {
	if p.EndedAt != 0 {
		n.detector.End(p.Series, n.app.clock.Now())
	}
	if n.incidents != nil {
		n.incidents.Wake()
	}
	if n.status != nil {
		n.status.Changed()
	}
	if n.console != nil {
		n.console.IncidentChanged()
	}
}

// incidentChanged tells whoever rests on the record.
func (n *node) incidentChanged() {
	n.crier.Wake()
	if n.console != nil {
		n.console.IncidentChanged()
	}
	if n.status == nil {
		return
	}
	n.status.Changed()
	select {
	case n.news <- struct{}{}:
	default:
	}
}

// label is what customers call a series.
func (n *node) label(s incident.Series, language purchase.Language) string {
	switch goods := n.desk.Catalogue(); s.By {
	case incident.ByProduct:
		for _, p := range goods.Products() {
			if p.Code == s.Name {
				return p.Names[string(language)]
			}
		}
	case incident.ByPayer:
		for _, w := range goods.Wallets() {
			if w.Name == s.Name {
				return w.Names[string(language)]
			}
		}
	case incident.ByOperator:
		for _, o := range goods.Operators() {
			if string(o) == s.Name {
				return n.parts.directory.Name(o)
			}
		}
	case incident.ByProvider:
		return n.credits(s.Name, language)
	default:
	}
	return ""
}

// credits says whose lines a provider credits.
func (n *node) credits(provider string, language purchase.Language) string {
	var names []string
	for _, o := range n.desk.Catalogue().Operators() {
		if slices.Contains(n.desk.Catalogue().Providers(o), provider) {
			names = append(names, n.parts.directory.Name(o))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return n.phrases.In(string(language)).Say("credits", "Lines", strings.Join(names, ", "))
}

// buildIncidents builds what keeps the record of what fails, and the page that tells the public.
func (n *node) buildIncidents(keys *purchase.Keyring, secret []byte, centre notify.Centre) (err error) {
	n.news = make(chan struct{}, 1)
	if n.phrases, err = loadTexts(); err != nil {
		return err
	}
	cfg := incident.Config{Store: n.store, Clock: n.app.clock, Location: n.parts.zone, Find: func(purchase.Instant) []incident.Finding { return n.detector.Active() }, Known: n.knows, Pauses: n.pausesFor,
		Within: n.parts.rules.DeliverWithin, House: house.Name,
		Well:   func(s incident.Series, _ purchase.Instant) bool { return n.detector.Well(s) && !n.exchange.Fails(s) },
		Paused: func(p incident.Pause) { n.pauses.Apply(p) }, Operator: n.operatorOf, Label: n.label, Engine: n.engine,
		Product: func(code string, language purchase.Language) string {
			return n.label(incident.Series{By: incident.ByProduct, Name: code}, language)
		},
		CaseName:  func(id care.CaseID) string { return n.care.CaseReference(id) },
		Reference: func(id purchase.ID) string { return keys.Reference(id).String() },
		Changed:   func(incident.ID) { n.incidentChanged() }, Written: func() { n.letters.Wake() }}
	if address := n.cfg.Incidents.Alertmanager; address != "" {
		if n.alerts, err = alert.New(alert.Config{URL: address, Clock: n.app.clock}); err != nil {
			return usage(n.cfg.file.Errorf("incidents.alertmanager", "%w", err))
		}
		cfg.Alert = n.alerts.Tell
	}
	if cfg.Duties, err = n.cfg.duties(); err != nil {
		return usage(err)
	}
	if n.incidents, err = incident.New(cfg); err != nil {
		return usage(n.cfg.file.Errorf("incidents", "%w", err))
	}
	if err = n.buildNews(); err != nil {
		return err
	}
	if n.watcher, err = incident.NewWatch(incident.WatchConfig{Signals: n.signals, Detector: n.detector, Switch: n.pauses, Desk: n.incidents,
		Pauses: n.pausesFor, Told: n.found}); err != nil {
		return err
	}
	if n.exchange, err = incident.NewExchange(incident.ExchangeConfig{Store: n.store, Signals: n.signals, Detector: n.detector,
		Epoch: func() int64 { return n.engine.Stats().Epoch }, Alone: n.alone.Load}); err != nil {
		return err
	}
	return n.buildStatus(keys, secret, centre)
}

//go:embed phrases/*.yaml
var phraseFiles embed.FS

// loadTexts reads what the command itself says to customers.
func loadTexts() (*phrase.Texts, error) {
	dir, err := fs.Sub(phraseFiles, "phrases")
	if err != nil {
		return nil, fmt.Errorf("read phrases: %w", err)
	}
	texts, err := phrase.LoadTexts("fr", dir)
	if err != nil {
		return nil, fmt.Errorf("read phrases: %w", err)
	}
	return texts, nil
}

func (n *node) operatorOf(number purchase.MSISDN) string {
	operator, err := n.parts.directory.Operator(number)
	if err != nil {
		return ""
	}
	return string(operator)
}

// runIncidents runs in loops, until ctx ends, what sees, pauses, records and tells.
func (n *node) runIncidents(ctx context.Context, loops *sync.WaitGroup) {
	warn := func(what string) func(error) {
		return func(err error) {
			n.log.Warn("something of incidents waits", slog.String("what", what), slog.Any("error", err))
		}
	}
	loops.Go(func() { n.obey(ctx) })
	loops.Go(func() { n.detect(ctx) })
	loops.Go(func() { n.learn(ctx) })
	loops.Go(func() { n.exchange.Run(ctx, n.app.clock, warn("what other nodes count")) })
	loops.Go(func() { n.incidents.Run(ctx, n.standing, warn("record")) })
	if n.status != nil {
		loops.Go(func() { n.announce(ctx) })
		loops.Go(func() { n.status.Run(ctx, n.app.clock, warn("status page")) })
	}
	if n.alerts != nil {
		loops.Go(func() { n.alerts.Run(ctx, warn("alerts")) })
	}
}
