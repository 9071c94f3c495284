package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/incident"
	"tenu/internal/notify"
	"tenu/internal/purchase"
	"tenu/internal/status"
)

// statusConfig is of the public status page.
type statusConfig struct {
	Folder   string `yaml:"folder"`
	Public   string `yaml:"public"`
	Platform string `yaml:"platform"`
	Source   string `yaml:"source"`
}

// checkStatus checks where the status page is.
func (c *config) checkStatus() error {
	for key, address := range map[string]string{"public": c.Status.Public, "platform": c.Status.Platform} {
		if address == "" {
			continue
		}
		if u, err := url.Parse(address); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || !strings.HasSuffix(address, "/") {
			return c.file.Errorf("status."+key, "must be an address such as https://status.example/")
		}
	}
	return nil
}

// statusDays is how far back the status page looks.
const statusDays = (status.Kept + 1) * 24 * time.Hour

// statusIncidents is how many incidents the status page looks at.
const statusIncidents = 500

// closedEvery is how often an incident that is closed is summed up anew: nothing is open of it.
const closedEvery = 10 * time.Minute

// snapshot is the status.Source of a node. It remembers closed incidents, so that years of them are not summed up every
// few seconds.
type snapshot struct {
	*node
	keys   *purchase.Keyring
	closed map[incident.ID]summed
}

// summed is an incident as it was summed up at an instant.
type summed struct {
	status.Incident
	listed []status.Listed
	at     purchase.Instant
}

// sum sums an incident up, unless it is closed and was a moment ago.
func (n *snapshot) sum(ctx context.Context, i *incident.Incident, now purchase.Instant) (s summed, err error) {
	if kept, known := n.closed[i.ID]; known && i.Status == incident.Closed && kept.Version == i.Version && now.Sub(kept.at) < closedEvery {
		return kept, nil
	}
	s = summed{Incident: status.Incident{Incident: *i}, at: now}
	if s.Totals, err = n.store.Totals(ctx, i.ID); err != nil {
		return s, fmt.Errorf("sum up %s: %w", i.ID, err)
	}
	if s.Entries, err = n.store.Entries(ctx, i.ID); err != nil {
		return s, fmt.Errorf("read the timeline of %s: %w", i.ID, err)
	}
	if n.cfg.Status.Folder != "" && (i.Status != incident.Closed || now.Sub(i.ClosedAt) < listedFor) {
		s.listed, err = n.listed(ctx, i.ID)
	}
	return s, err
}

// The list of affected purchases for another host: for how long after the end of an incident, and
// how many of one.
const (
	listedFor   = 30 * 24 * time.Hour
	listedMost  = 100_001 // one more than the list holds
	listedChunk = 5000
)

// listed are the purchases that an incident affects.
func (n *snapshot) listed(ctx context.Context, id incident.ID) (all []status.Listed, err error) {
	for after := purchase.ID(-1); len(all) < listedMost; {
		some, err := n.store.AffectedStates(ctx, id, after, listedChunk)
		if err != nil || len(some) == 0 {
			return all, err
		}
		for _, a := range some {
			all = append(all, status.Listed{Reference: n.keys.Reference(a.ID), Incident: id, State: a.State})
			after = a.ID
		}
	}
	return all, nil
}

// Snapshot is status.Source: components as customers know them, what failed, and what became of whom it affected.
func (n *snapshot) Snapshot(ctx context.Context, now purchase.Instant) (snap status.Snapshot, err error) {
	since := now.Add(-statusDays)
	pauses, err := n.store.Pauses(ctx, since)
	if err != nil {
		return snap, fmt.Errorf("read pauses: %w", err)
	}
	incidents, err := n.store.Incidents(ctx, incident.Query{Since: since, Limit: statusIncidents})
	if err != nil {
		return snap, fmt.Errorf("read incidents: %w", err)
	}
	began, err := n.store.Began(ctx)
	if err != nil {
		return snap, err
	}
	if began == 0 {
		began = now
	}
	snap = status.Snapshot{At: now, Currency: n.desk.Catalogue().Currency()}
	for _, s := range n.components() {
		names := map[purchase.Language]string{}
		for _, language := range n.desk.Catalogue().Languages() {
			names[purchase.Language(language)] = n.label(s, purchase.Language(language))
		}
		if names[purchase.Language(n.desk.Catalogue().Languages()[0])] != "" {
			snap.Components = append(snap.Components, status.ComponentOf(s, names, pauses, incidents, began, now, n.parts.zone))
		}
	}
	closed := map[incident.ID]summed{}
	for i := range incidents {
		s, err := n.sum(ctx, &incidents[i], now)
		if err != nil {
			return snap, err
		}
		closed[s.ID] = s
		snap.Incidents = append(snap.Incidents, s.Incident)
		if room := listedMost - len(snap.Listed); len(s.listed) > room {
			s.listed, snap.ListedMore = s.listed[:room], true
		}
		snap.Listed = append(snap.Listed, s.listed...)
	}
	snap.ListedMore = snap.ListedMore || len(incidents) == statusIncidents // older ones may be left out
	n.closed = closed
	return snap, nil
}

// components are what customers depend on: who credits, ways to pay, products.
func (n *node) components() (all []incident.Series) {
	for _, by := range []incident.Dimension{incident.ByProvider, incident.ByPayer, incident.ByProduct} {
		for _, name := range n.cfg.names(n.parts, by) {
			all = append(all, incident.Series{By: by, Name: name})
		}
	}
	return all
}

// buildStatus builds the public status page: the files, what serves them, and who is told by SMS.
func (n *node) buildStatus(keys *purchase.Keyring, secret []byte, centre notify.Centre) error {
	cfg := &n.cfg.Status
	if cfg.Folder == "" && n.cfg.Listen.Status == "" {
		return nil // there is none
	}
	public := orElse(orElse(cfg.Public, cfg.Platform), "http://"+orElse(n.cfg.Listen.Status, "localhost")+"/")
	site, err := status.NewSite(status.Config{Brand: orElse(n.cfg.App.Brand, "tenu"), Public: public, Platform: cfg.Platform, Salt: saltOf(secret), Location: n.parts.zone})
	if err != nil {
		return usage(n.cfg.file.Errorf("status", "%w", err))
	}
	folder := cfg.Folder
	if folder != "" {
		folder = n.cfg.path(folder)
	}
	if n.status, err = status.NewWriter(site, &snapshot{node: n, keys: keys}, folder); err != nil {
		return usage(n.cfg.file.Errorf("status.folder", "%w", err))
	}
	// The same limits as for signing in, over the same counts; a code of one is none of the other.
	codes, err := auth.NewCodes(n.store, n.app.clock, n.app.random, append([]byte("status "), secret...), n.cfg.App.Codes.limits())
	if err != nil {
		return usage(n.cfg.file.Errorf("app.codes", "%w", err))
	}
	if n.subscriptions, err = status.NewDesk(site, n.store, codes, codeSender{n, centre}.send, n.app.clock); err != nil {
		return err
	}
	source := func(r *http.Request) string { return hostOf(r.RemoteAddr) }
	if header := cfg.Source; header != "" {
		source = func(r *http.Request) string { return r.Header.Get(header) }
	}
	n.public, err = status.NewServer(status.ServerConfig{Site: site, Writer: n.status, Desk: n.subscriptions, Purchases: n.store, References: keys,
		Number: n.desk.Number, Format: n.parts.directory.Format, Source: source, Clock: n.app.clock,
		Failed: func(err error) { n.log.Warn("the status page waits", slog.Any("error", err)) }})
	return err
}

// saltOf is what the list of affected purchases hides references with. All nodes have the same,
// always, and it says nothing of the secret.
func saltOf(secret []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("status list")) // it never fails
	return mac.Sum(nil)[:16]
}

// hostOf is the address of a connection's other end.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
