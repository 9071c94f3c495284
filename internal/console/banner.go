package console

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"tenu/internal/auth"
	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// Incidents reads incidents and whom they affect; *store.Store is one.
type Incidents interface {
	Incidents(ctx context.Context, q incident.Query) ([]incident.Incident, error)
	Entries(ctx context.Context, id incident.ID) ([]incident.Entry, error)
	Totals(ctx context.Context, id incident.ID) (incident.Totals, error)
	Settlements(ctx context.Context, id incident.ID, ends []time.Duration) (incident.Settlements, error)
	Held(ctx context.Context) ([]incident.Hold, error)
	// Affects returns the incidents that a purchase is linked to: one at most.
	Affects(ctx context.Context, p purchase.ID) ([]incident.ID, error)
}

// banner is an open incident as every page says it to agents.
type banner struct {
	Name, Title, Since, Series string
	Status                     badge
	Say, Language              string // to the customer, in theirs
	said                       map[purchase.Language]string
}

// bannersMost is how many open incidents the pages say.
const bannersMost = 3

// openMost bounds the open incidents that are listed.
const openMost = 100

// open are the incidents that are not closed, newest first.
func (c *Console) open(ctx context.Context) ([]incident.Incident, error) {
	return c.cfg.Record.Incidents(ctx, incident.Query{Open: true, Limit: openMost})
}

// digest tells one content of the banner from another, in any language.
func digest(open []incident.Incident) string {
	sum := sha256.New()
	for i := range open {
		_, _ = fmt.Fprintf(sum, "%d %d %v %v\n", open[i].ID, open[i].Status, open[i].Title, open[i].Text) // a hash takes everything
	}
	return hex.EncodeToString(sum.Sum(nil)[:6])
}

// banners says on a page what is open. A page is shown all the same when that cannot be read.
func (f *frame) banners(v *visit) {
	if v.who.ID == 0 || v.who.Duty != auth.NoDuty || !v.may(auth.SeeIncidents) {
		return
	}
	f.Live, f.Banner = "desk", "/banner"
	open, err := v.open(v.r.Context())
	if err != nil {
		v.cfg.Log.Debug("a page does not see the incidents", slog.Any("error", err))
		return
	}
	f.Seen = digest(open)
	for i := range open {
		if i == bannersMost {
			f.BannersMore = len(open) - i
			break
		}
		in := &open[i]
		f.Banners = append(f.Banners, banner{Name: in.ID.String(), Title: v.public(in.Title, v.lang), Since: v.Time(in.Since), Series: v.seriesName(in.Series),
			Status: v.incidentBadge(in.Status), Say: v.public(in.Text, v.lang), Language: v.lang, said: in.Text})
	}
}

// inTheirs makes the banner of a customer's page say to them what it says in the language that they chose.
func (f *frame) inTheirs(v *visit, language purchase.Language) {
	lang := v.texts.Choose(string(language))
	f.Banner = f.Self // which knows the language
	for i := range f.Banners {
		f.Banners[i].Say, f.Banners[i].Language = v.public(f.Banners[i].said, lang), lang
	}
}

// banner is the part of a page that says what is open.
func (c *Console) banner(v *visit) { v.write(http.StatusOK, "message", "banner", v.frame("")) }

// public is what is said to the public in a language.
func (v *visit) public(said map[purchase.Language]string, lang string) string {
	if text := said[purchase.Language(lang)]; text != "" {
		return text
	}
	return said[standard]
}

// affected is the incident that a purchase is affected by, nil for none.
func (v *visit) affected(id purchase.ID) (*incident.Incident, error) {
	ids, err := v.cfg.Record.Affects(v.r.Context(), id)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	found, err := v.cfg.Record.Incidents(v.r.Context(), incident.Query{IDs: ids, Limit: 1})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// IncidentChanged tells whoever looks that an incident or a sales pause changed here. It never waits.
func (c *Console) IncidentChanged() { c.hub.incidents.Store(true) }

// incidentsBack is how long closed incidents are looked at for changes.
const incidentsBack = time.Hour

// glanceIncidents compares incidents, pauses and what the banner says with what was seen
// before. What this node does is noticed by its word, at the next glance.
func (h *hub) glanceIncidents(ctx context.Context, g *glimpse) error {
	first := g.incidents == nil
	if told := h.incidents.Swap(false); first || told || !h.c.cfg.Alone() {
		lately, err := h.c.cfg.Record.Incidents(ctx, incident.Query{Since: h.c.cfg.Clock.Now().Add(-incidentsBack), Limit: glanceMost})
		if err != nil {
			h.incidents.Store(told)
			return err
		}
		open, err := h.c.open(ctx)
		if err != nil {
			h.incidents.Store(told)
			return err
		}
		now := make(map[incident.ID]int64, len(lately))
		changed := map[incident.ID]bool{}
		for i := range lately {
			id := lately[i].ID
			if now[id] = lately[i].Version; g.incidents[id] != now[id] {
				changed[id] = true
			}
		}
		pauses := ""
		for _, p := range h.c.cfg.Pauses.Pauses() {
			pauses += fmt.Sprint(p.ID, " ", p.Version, " ")
		}
		paused := first || pauses != g.pauses
		g.incidents, g.pauses, g.banner, g.open = now, pauses, digest(open), len(open) > 0
		h.mu.Lock()
		for s := range h.streams {
			lists := s.what == "incidents" || s.what == "board"
			if lists && (paused || len(changed) > 0) || s.incident != 0 && (paused || changed[s.incident]) {
				s.change()
			}
		}
		h.mu.Unlock()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		if s.seen != g.banner {
			s.seen, s.banner = g.banner, true
			s.signal()
		}
	}
	return nil
}

// affectedEvery is how often it is looked whether the purchases that pages show were linked to an incident.
const affectedEvery = 2 * time.Second

// glanceAffected tells pages that a purchase of theirs is affected, while an incident is open: a link changes no version.
func (h *hub) glanceAffected(ctx context.Context, g *glimpse) error {
	now := h.c.cfg.Clock.Now()
	if !g.open || now < g.affectedAt.Add(affectedEvery) {
		return nil
	}
	g.affectedAt = now
	linked := map[purchase.ID]bool{}
	h.mu.Lock()
	for s := range h.streams {
		for id := range s.versions {
			if !s.affected[id] && len(linked) < glanceMost {
				linked[id] = false
			}
		}
	}
	h.mu.Unlock()
	for id := range linked {
		ids, err := h.c.cfg.Record.Affects(ctx, id)
		if err != nil {
			return err
		}
		linked[id] = len(ids) > 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		for id := range s.versions {
			if linked[id] && !s.affected[id] {
				s.affected[id] = true
				s.change()
			}
		}
	}
	return nil
}
