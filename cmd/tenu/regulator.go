package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"tenu/internal/api"
	"tenu/internal/auth"
	"tenu/internal/partner/house"
	"tenu/internal/purchase"
	"tenu/internal/regulator"
	"tenu/internal/regulator/feed"
	"tenu/internal/regulator/monthly"
	"tenu/internal/regulator/portal"
	"tenu/internal/store"
)

// regulatorConfig is of the regulator's portal and the reports.
type regulatorConfig struct {
	HTTPS  bool   `yaml:"https"`
	Source string `yaml:"source"`
	// OIDCRedirect is where the provider of console.oidc sends the portal's browsers back to; without it, that way in is not offered here.
	OIDCRedirect string `yaml:"oidc_redirect"`
	// Publish: a month's report is published by itself; without it, `tenu report publish` does it.
	Publish *bool `yaml:"publish"`
}

// regulatorDesk is the desk of a configuration's store.
func regulatorDesk(s *store.Store, clock purchase.Clock, zone *time.Location, secret []byte) (*regulator.Desk, error) {
	return regulator.New(regulator.Config{Store: s, Clock: clock, Location: zone, House: house.Name, Version: version, Secret: secret, Head: headOf(s)})
}

// buildPortal builds the regulator's desk and pages. The staff desk must be there.
func (n *node) buildPortal(secret []byte) error {
	country, err := n.cfg.country()
	if err != nil {
		return usage(err)
	}
	if n.limits, err = limitsBy(n.cfg, ""); err != nil {
		return usage(err)
	}
	targets, err := n.cfg.targets()
	if err != nil {
		return usage(err)
	}
	if n.regulator, err = regulatorDesk(n.store, n.app.clock, n.parts.zone, secret); err != nil {
		return err
	}
	var source func(*http.Request) string
	if header := n.cfg.Regulator.Source; header != "" {
		source = func(r *http.Request) string { return r.Header.Get(header) }
	}
	if n.feed, err = feed.New(feed.Config{Desk: n.regulator, Store: n.store, Country: country, Drafts: n.cfg.Profile.Drafts, Targets: targets, Version: version}); err != nil {
		return err
	}
	n.portal, err = portal.New(portal.Config{Brand: orElse(n.cfg.App.Brand, "tenu"), Staff: n.staff, Desk: n.regulator, Store: n.store, Records: n.store, Profile: country,
		Drafts: n.cfg.Profile.Drafts, Targets: targets, Currency: n.parts.catalogue.Currency(), Location: n.parts.zone, Clock: n.app.clock, Random: n.app.random, Secret: secret, Log: n.log, Secure: n.cfg.Regulator.HTTPS, Back: n.cfg.Regulator.OIDCRedirect, Source: source})
	return err
}

// headOf reads the head of the log that a store holds: its last checkpoint, "" before the first.
func headOf(s *store.Store) regulator.Head {
	return func(ctx context.Context) (string, error) {
		state, err := s.LogState(ctx)
		return string(state.Checkpoint), err
	}
}

// publishEvery is how often it is looked whether a month is to be published.
const publishEvery = time.Hour

// account sums up days and publishes months until ctx ends.
func (n *node) account(ctx context.Context) {
	var publishing sync.WaitGroup
	defer publishing.Wait()
	publishing.Go(func() {
		for ctx.Err() == nil && (n.cfg.Regulator.Publish == nil || *n.cfg.Regulator.Publish) {
			if err := n.publishDue(ctx); err != nil && ctx.Err() == nil {
				n.log.Warn("a month's report waits", slog.Any("error", err))
			}
			select {
			case <-ctx.Done():
			case <-n.app.clock.After(publishEvery):
			}
		}
	})
	n.regulator.Run(ctx, func(err error) { n.log.Warn("a day's figures wait", slog.Any("error", err)) })
}

// publishDue publishes the month that is due.
func (n *node) publishDue(ctx context.Context) error {
	month, err := n.regulator.DuePublication(ctx)
	if err != nil || month == "" {
		return err
	}
	_, err = n.regulator.Publish(ctx, month, 0, n.limits, monthly.Drawer(orElse(n.cfg.App.Brand, "tenu"), n.parts.zone))
	if errors.Is(err, regulator.ErrPublished) { // another node was faster
		return nil
	}
	if err == nil {
		n.log.Info("a month's report is published", slog.String("month", month))
	}
	return err
}

// figuresAnnex is the regulator's interface beside the API, under the same keys and limits.
func (n *node) figuresAnnex() api.Annex {
	route := func(pattern string, answer func(http.ResponseWriter, *http.Request) error) api.AnnexRoute {
		return api.AnnexRoute{Pattern: "GET " + feed.Base + pattern, Scope: auth.RegulatorRead, Answer: func(w http.ResponseWriter, r *http.Request, _ *auth.Client, _ []byte) error {
			return answer(w, r)
		}}
	}
	described := route("/openapi.json", n.feed.Description)
	described.Scope = "" // anybody may read what there is to be asked
	return api.Annex{Prefix: feed.Base + "/", Routes: []api.AnnexRoute{described, route("/figures", n.feed.Figures), route("/definitions", n.feed.Definitions), route("/reports", n.feed.Reports),
		route("/reports/{month}/{file}", n.feed.Report)}, Refuse: func(w http.ResponseWriter, r api.Refusal) {
		_ = feed.Refuse(w, r.Status, r.Code, r.Title, r.Detail) // a client that left needs no answer
	}}
}

// targets are what the configuration aims at, where the country has no limit.
func (c *config) targets() (regulator.Targets, error) {
	rules, err := c.rules()
	if err != nil {
		return regulator.Targets{}, err
	}
	clocks, err := c.clocks()
	return regulator.Targets{Refund: rules.RefundWithin, Settle: rules.ResolveWithin, Resolve: clocks.ResolveWithin}, err
}
