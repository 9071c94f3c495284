package console

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"tenu/internal/care"
	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// glimpse is what was seen last of what is looked at: a change is told once.
type glimpse struct {
	since            purchase.Instant
	cases            map[care.CaseID]state // of those that changed lately
	approvals, calls string                // what the lists hold, "" before the first glance
	incidents        map[incident.ID]int64 // versions of those that are open or were lately, nil before the first glance
	pauses, banner   string
	open             bool             // an incident is
	waiting          int              // callers, on the line
	affectedAt       purchase.Instant // when it was looked who is affected
}

// state is what tells one state of a case from another: a line about a callback changes no version.
type state struct {
	version int64
	at      purchase.Instant
}

// The reach of a glance: how far back beyond the last one it looks, for what was
// committed late or under a clock that is behind, and how much of each it reads.
const (
	glanceBack = 3 * time.Second
	glanceMost = 500
	glanceList = listMost
)

// glance tells browsers, once for all who look, of what changed since the last one.
// What cannot be read now is seen by the next.
func (h *hub) glance(ctx context.Context, g *glimpse) {
	now := h.c.cfg.Clock.Now()
	reads := []func(context.Context, *glimpse) error{h.glancePurchases, h.glanceIncidents, h.glanceAffected, h.glanceAgents}
	if !h.c.cfg.Alone() { // what this node does to the others it is told
		reads = append(reads, h.glanceCases, h.glanceRequests, h.glanceCalls, h.glanceNumbers)
	}
	for _, read := range reads {
		if err := read(ctx, g); err != nil {
			h.c.cfg.Log.Debug("the console does not see what changed", slog.Any("error", err))
			return
		}
	}
	g.since = now
}

func (h *hub) glanceCases(ctx context.Context, g *glimpse) error {
	ids, err := h.c.cfg.Store.Changed(ctx, g.since.Add(-glanceBack), glanceMost)
	if err != nil || len(ids) == 0 {
		return err
	}
	found, err := h.c.cfg.Store.Cases(ctx, ids...)
	if err != nil {
		return err
	}
	lately := make(map[care.CaseID]state, len(found))
	for i := range found {
		c := &found[i]
		now := state{c.Version, c.ChangedAt}
		if lately[c.ID] = now; g.cases[c.ID] != now {
			h.changed(care.Changed{Case: c.ID, Number: c.Number, Purchase: c.Purchase})
		}
	}
	g.cases = lately
	return nil
}

// glancePurchases reads the versions of the purchases that pages show, and which new
// ones the numbers have that are looked at.
func (h *hub) glancePurchases(ctx context.Context, g *glimpse) error {
	ids, numbers := h.shown()
	begun, err := h.c.cfg.Purchases.Begun(ctx, g.since.Add(-glanceBack), numbers...)
	if err != nil {
		return err
	}
	for _, of := range begun {
		ids = append(ids, of...)
	}
	// What a page shows when it is told is at least this: whatever comes after is told again.
	versions, err := h.c.cfg.Store.Versions(ctx, ids...)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		for _, id := range begun[s.number] {
			if _, known := s.versions[id]; !known {
				s.versions[id] = versions[id]
				s.change()
			}
		}
		for id, was := range s.versions {
			if now := versions[id]; now > was {
				s.versions[id] = now
				s.change()
			}
		}
	}
	return nil
}

// shown are the purchases and the numbers that somebody looks at.
func (h *hub) shown() (ids []purchase.ID, numbers []purchase.MSISDN) {
	h.mu.Lock()
	defer h.mu.Unlock()
	purchases, lines := map[purchase.ID]bool{}, map[purchase.MSISDN]bool{}
	for s := range h.streams {
		for id := range s.versions {
			purchases[id] = true
		}
		if s.number != 0 {
			lines[s.number] = true
		}
	}
	return slices.Collect(maps.Keys(purchases)), slices.Collect(maps.Keys(lines))
}

// looks reports whether anybody looks at a list, or at something that shows it.
func (h *hub) looks(what string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		if s.what == what || s.what == "board" {
			return true
		}
	}
	return false
}

// glanceRequests and glanceCalls compare what the lists hold: neither has a list of
// its changes.
func (h *hub) glanceRequests(ctx context.Context, g *glimpse) error {
	if !h.looks("approvals") {
		g.approvals = ""
		return nil
	}
	held := &strings.Builder{}
	held.WriteString(".")
	for _, stage := range stagesListed {
		waiting, err := h.c.cfg.Store.RequestsIn(ctx, stage, glanceList)
		if err != nil {
			return err
		}
		for i := range waiting {
			_, _ = fmt.Fprint(held, waiting[i].ID, " ", waiting[i].Version, " ") // memory takes everything
		}
	}
	if g.approvals != "" && g.approvals != held.String() {
		h.changed(care.Changed{Request: 1})
	}
	g.approvals = held.String()
	return nil
}

func (h *hub) glanceCalls(ctx context.Context, g *glimpse) error {
	if !h.looks("calls") {
		g.calls = ""
		return nil
	}
	waiting, err := h.c.cfg.Store.Waiting(ctx, h.c.cfg.Clock.Now().Add(4*care.Window), glanceList)
	if err != nil {
		return err
	}
	held := &strings.Builder{}
	held.WriteString(".")
	for i := range waiting {
		_, _ = fmt.Fprint(held, waiting[i].ID, " ", waiting[i].Version, " ") // memory takes everything
	}
	if g.calls != "" && g.calls != held.String() {
		h.changed(care.Changed{Callback: 1})
	}
	g.calls = held.String()
	return nil
}

// glanceNumbers reads what became of the callbacks of the numbers that are looked at.
func (h *hub) glanceNumbers(ctx context.Context, _ *glimpse) error {
	_, numbers := h.shown()
	calls, err := h.c.cfg.Store.Calls(ctx, numbers...)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		if now := calls[s.number]; now > s.calls {
			s.calls = now
			s.change()
		}
	}
	return nil
}
