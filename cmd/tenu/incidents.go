package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"tenu/internal/auth"
	"tenu/internal/incident"
	"tenu/internal/partner"
	"tenu/internal/partner/house"
	"tenu/internal/purchase"
	"tenu/internal/sale"
	"tenu/internal/web"
)

// incidentsConfig is of what fails: how it is seen, paused and opened again.
type incidentsConfig struct {
	Enabled   *bool          `yaml:"enabled"`
	Expected  span           `yaml:"expected"`
	Objective *int           `yaml:"objective"`
	Canaries  []canaryConfig `yaml:"canaries"`
	// Alertmanager is the address of one, "" for none.
	Alertmanager string `yaml:"alertmanager"`
	// Mail are the mailboxes of operations.
	Mail []string `yaml:"mail"`
	// Users and Regulator are the operator's own targets of whom is told, and where the regulator is.
	Users     targetDuty `yaml:"users"`
	Regulator targetDuty `yaml:"regulator"`
}

type canaryConfig struct {
	Number   string `yaml:"number"`
	Operator string `yaml:"operator"`
}

// enabled reports whether sales are paused and opened again without a person.
func (c *incidentsConfig) enabled() bool { return c.Enabled == nil || *c.Enabled }

// expected is within what time after the charge a purchase is credited.
func (c *incidentsConfig) expected() time.Duration {
	return orElse(c.Expected.Duration, 10*time.Second)
}

// defaultObjective is how many of a thousand purchases shall be credited in that time.
const defaultObjective = 990

func (c *incidentsConfig) objective() int {
	if c.Objective == nil {
		return defaultObjective
	}
	return *c.Objective
}

func (c *config) checkIncidents() error {
	if o := c.Incidents.objective(); o < 1 || o > 999 {
		return c.file.Errorf("incidents.objective", "must be between 1 and 999, of a thousand purchases")
	}
	return c.checkTelling()
}

// canaryLine is one that canaries are sold to.
type canaryLine struct {
	number   purchase.MSISDN
	operator purchase.Operator
}

// canaries reads the numbers that are tried.
func (c *config) canaries(p *parts) error {
	for i, raw := range c.Incidents.Canaries {
		path := fmt.Sprintf("incidents.canaries[%d]", i)
		number, operator, err := p.directory.Parse(raw.Number)
		switch {
		case err != nil:
			return c.file.Errorf(path+".number", "%w", err)
		case raw.Operator != string(operator):
			return c.file.Errorf(path+".operator", "%s is a line of %q", raw.Number, operator)
		}
		p.canaries = append(p.canaries, canaryLine{number, operator})
	}
	return nil
}

// names are the series of a dimension that can be paused.
func (c *config) names(p *parts, by incident.Dimension) (names []string) {
	goods := p.catalogue
	switch by {
	case incident.ByProduct:
		for _, product := range goods.Products() {
			names = append(names, product.Code)
		}
	case incident.ByProvider, incident.ByPayer:
		for _, o := range goods.Operators() { // a charging system also takes what is paid from its balances
			names = append(names, goods.Providers(o)...)
		}
		if by == incident.ByProvider {
			break
		}
		for _, w := range goods.Wallets() {
			names = append(names, w.Name)
		}
	case incident.ByChannel:
		names = []string{"app", "ussd", "sms"}
		for i := range c.Clients {
			if slices.Contains(c.Clients[i].Scopes, string(auth.PurchasesWrite)) {
				names = append(names, orElse(c.Clients[i].Channel, "api"))
			}
		}
	case incident.ByOperator:
		for _, o := range goods.Operators() {
			names = append(names, string(o))
		}
	default: // cannot be paused
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// buildSwitch builds what pauses sales, and learns of the pauses that last.
func (n *node) buildSwitch(ctx context.Context) (err error) {
	if err = n.buildSignals(); err != nil {
		return err
	}
	cfg := incident.SwitchConfig{Store: n.store, Clock: n.app.clock, Operator: n.operatorOf,
		Known:  n.knows,
		Passes: func(r *purchase.Request) bool { return r.Payer == house.Name }, // no catalogue offers it to customers
		Ramp:   incident.Ramp{Ordinary: int64(1000 - n.cfg.Incidents.objective()), Within: n.cfg.probeWithin()},
		Reading: func(s incident.Series, since purchase.Instant) (paid, credited, failed int64) {
			return n.signals.Sold(s, since, n.app.clock.Now())
		},
		Changed: func(p incident.Pause) {
			n.pauseChanged(&p)
			n.log.Warn("a sales pause changed", slog.Int64("pause", p.ID), slog.String("series", p.Series.String()), slog.Int("share", p.Share),
				slog.Bool("held", p.Held), slog.Bool("failing", p.Failing), slog.Bool("over", p.EndedAt != 0), slog.String("said", p.Said))
		}}
	if n.cfg.Incidents.enabled() {
		cfg.Canary = canary{n}
	}
	if n.pauses, err = incident.NewSwitch(cfg); err != nil {
		return err
	}
	return n.pauses.Load(ctx)
}

// probeWithin is within what time a probe is answered: a purchase by its credit, a partner that only charges by its health,
// which is asked by itself and seldom.
func (c *config) probeWithin() time.Duration {
	within := 3 * c.Incidents.expected()
	for i := range c.Partners {
		p := &c.Partners[i]
		within = max(within, 2*orElse(p.ProbeEvery.Duration, partner.DefaultProbeEvery), 2*p.Circuit.OpenFor.Duration)
	}
	return within
}

// knows reports whether there is such a series.
func (n *node) knows(s incident.Series) bool {
	return slices.Contains(n.cfg.names(n.parts, s.By), s.Name)
}

// obey follows the pauses until ctx ends.
func (n *node) obey(ctx context.Context) {
	n.pauses.Run(ctx, func(err error) { n.log.Warn("sales pauses wait", slog.Any("error", err)) })
}

// pausedShare is how many of a thousand purchases of a series are let through.
func (n *node) pausedShare(by incident.Dimension, name string) int {
	for _, p := range n.pauses.Pauses() {
		if p.Series == (incident.Series{By: by, Name: name}) {
			return p.Share
		}
	}
	return 1000
}

// canaryClient is the client and the channel of purchases that try what is paused.
const canaryClient = "canary"

// canary tries what is paused, at the house's expense; it is an incident.Canary.
type canary struct{ *node }

// Try is incident.Canary. What credits is tried by a purchase of the cheapest airtime, or
// of the product itself, for a number of ours; what only charges is asked after its health.
func (n canary) Try(ctx context.Context, p incident.Pause, now purchase.Instant) (incident.ProbeResult, error) {
	switch p.Series.By {
	case incident.ByProvider, incident.ByProduct, incident.ByOperator:
		gift, found := n.gift(&p)
		if found {
			return n.sell(ctx, &gift, &p, now)
		}
		if p.Series.By == incident.ByProvider {
			return n.askHealth(&p), nil
		}
		return incident.ProbeResult{Answer: incident.ProbeNone, Said: "there is no number to try it with"}, nil
	case incident.ByPayer:
		return n.askHealth(&p), nil
	default:
	}
	return incident.ProbeResult{Answer: incident.ProbeNone, Said: "it cannot be tried without customers"}, nil
}

// askHealth tells a partner's health as it was asked for since the probe began.
func (n canary) askHealth(p *incident.Pause) incident.ProbeResult {
	guard := n.parts.guards[p.Series.Name]
	if guard == nil {
		return incident.ProbeResult{Answer: incident.ProbeNone, Said: "there is no such partner any more"}
	}
	s := guard.State()
	switch {
	case s.AskedAt == 0:
		return incident.ProbeResult{Answer: incident.ProbeNone, Said: "its health cannot be asked"}
	case s.AskedAt < p.TryAt:
		return incident.ProbeResult{Said: "its health was not asked yet"}
	case s.Health.Status == partner.Available && s.Circuit != partner.Open:
		return incident.ProbeResult{Answer: incident.ProbeGood, Said: "it says that it is available"}
	}
	return incident.ProbeResult{Answer: incident.ProbeBad, Said: "it is " + string(s.Health.Status) + ", the circuit is " + string(s.Circuit) + " " + s.Health.Detail}
}

// gift is the purchase that tries a pause, the same for the same try.
func (n canary) gift(p *incident.Pause) (sale.Gift, bool) {
	goods := n.desk.Catalogue()
	for _, at := range n.parts.canaries {
		g := sale.Gift{Client: canaryClient, ClientKey: "canary-" + strconv.FormatInt(p.ID, 10) + "-" + strconv.FormatInt(p.Tries, 10),
			Channel: canaryClient, Language: goods.Languages()[0], Number: at.number, Payer: house.Name}
		switch by := p.Series.By; {
		case by == incident.ByOperator && string(at.operator) != p.Series.Name:
			continue
		case by == incident.ByProvider:
			g.Provider = p.Series.Name
		case by == incident.ByProduct:
			g.Product = p.Series.Name
		}
		wares, err := n.desk.Products(at.number.String(), canaryClient)
		if err != nil {
			continue
		}
		wares = slices.DeleteFunc(wares, func(w sale.Ware) bool {
			return g.Product == "" && w.Bundle || g.Product != "" && w.Code != g.Product || g.Provider != "" && !slices.Contains(w.Providers(at.operator), g.Provider)
		})
		if len(wares) == 0 {
			continue
		}
		w := slices.MinFunc(wares, func(a, b sale.Ware) int { return cmp.Compare(canaryValue(&a), canaryValue(&b)) })
		g.Product, g.Amount = w.Code, canaryValue(&w)
		return g, true
	}
	return sale.Gift{}, false
}

// canaryValue is the least that can be sold of a product.
func canaryValue(w *sale.Ware) int64 {
	if w.Bundle {
		return w.Quote.Units
	}
	return w.Offer.Min
}

// canaryWithin is how long the store may take to keep a canary.
const canaryWithin = 2 * time.Second

// sell makes the purchase, where it is not made, and tells where it stands.
func (n canary) sell(ctx context.Context, g *sale.Gift, p *incident.Pause, now purchase.Instant) (incident.ProbeResult, error) {
	ctx, cancel := context.WithTimeout(ctx, canaryWithin)
	defer cancel()
	made, err := n.desk.Give(ctx, *g)
	var problem *sale.Problem
	switch {
	case errors.As(err, &problem) && (problem.Code == sale.CodePaused || problem.Status == http.StatusUnprocessableEntity):
		return incident.ProbeResult{Answer: incident.ProbeBad, Said: problem.Error()}, nil
	case err != nil:
		return incident.ProbeResult{}, fmt.Errorf("sell a canary: %w", err)
	}
	records, err := n.store.Load(ctx, made.ID)
	if err != nil {
		return incident.ProbeResult{}, fmt.Errorf("load a canary: %w", err)
	}
	if len(records) == 1 {
		made = records[0].Purchase
	}
	return incident.Judge(&made, p.Series, n.customers.Reference(made.ID), n.cfg.Incidents.expected(), now), nil
}

// worse is the health that a pause leaves of what customers depend on.
func (n *node) worse(health web.Health, by incident.Dimension, name string) web.Health {
	switch share := n.pausedShare(by, name); {
	case share == 0:
		return web.Down
	case share < 1000:
		return max(health, web.Slow)
	}
	return health
}
