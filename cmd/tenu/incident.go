package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

// incidentCmd groups what is read of incidents where no console is at hand.
type incidentCmd struct {
	List incidentListCmd `cmd:"" help:"List incidents, the newest first."`
	Show incidentShowCmd `cmd:"" help:"Show one incident: whom it affects, what became of them, its timeline."`
}

// incidentListCmd lists incidents.
type incidentListCmd struct {
	pauseBase
	All  bool `help:"Also those that are closed."`
	Most int  `default:"50" help:"How many at most."`
	JSON bool `name:"json" help:"Print JSON."`
}

// incidentLine is an incident as it is printed. Amounts are in the currency's smallest unit.
type incidentLine struct {
	ID        string            `json:"id"`
	By        string            `json:"by"`
	Name      string            `json:"name"`
	Rule      string            `json:"rule"`
	Status    string            `json:"status"`
	Severity  string            `json:"severity"`
	Party     string            `json:"party"`
	Since     string            `json:"since"`
	SeenAt    string            `json:"seen_at"`
	PausedAt  string            `json:"paused_at,omitempty"`
	Recovered string            `json:"recovered_at,omitempty"`
	Resolved  string            `json:"resolved_at,omitempty"`
	ClosedAt  string            `json:"closed_at,omitempty"`
	Purchases int64             `json:"purchases"`
	Customers int64             `json:"customers"`
	Credited  int64             `json:"credited"`
	Refunded  int64             `json:"refunded"`
	Pending   int64             `json:"pending"`
	Amount    int64             `json:"amount"`
	Told      int64             `json:"told"`
	Title     map[string]string `json:"title"`
	Timeline  []incidentEntry   `json:"timeline,omitempty"`

	currency money.Currency
}

// incidentEntry is a line of a timeline.
type incidentEntry struct {
	At    string `json:"at"`
	Event string `json:"event"`
	Staff string `json:"staff,omitempty"`
	Text  string `json:"text,omitempty"`
}

// incidentLineOf sums an incident up.
func (h *hand) incidentLineOf(ctx context.Context, s *store.Store, i *incident.Incident) (*incidentLine, error) {
	totals, err := s.Totals(ctx, i.ID)
	if err != nil {
		return nil, err
	}
	l := &incidentLine{ID: i.ID.String(), By: i.Series.By.String(), Name: i.Series.Name, Rule: string(i.Rule), Status: i.Status.String(),
		Severity: i.Severity.String(), Party: i.Party, Since: i.Since.String(), SeenAt: i.SeenAt.String(), Purchases: totals.Purchases,
		Customers: totals.Customers, Credited: totals.Credited, Refunded: totals.Refunded, Pending: totals.Pending, Amount: totals.Amount,
		Told: totals.Told, PausedAt: ifAny(i.PausedAt), Recovered: ifAny(i.RecoveredAt), Resolved: ifAny(i.ResolvedAt), ClosedAt: ifAny(i.ClosedAt),
		Title: map[string]string{}, currency: h.parts.catalogue.Currency()}
	for language, title := range i.Title {
		l.Title[string(language)] = title
	}
	return l, nil
}

// ifAny is an instant in words, "" for none.
func ifAny(at purchase.Instant) string {
	if at == 0 {
		return ""
	}
	return at.String()
}

// print prints an incident in words.
func (l *incidentLine) print(a *app) {
	a.printf("%s  %s %s: %s, %s, since %s\n", l.ID, l.By, l.Name, l.Status, l.Severity, l.Since)
	amount := money.Amount{Minor: l.Amount, Currency: l.currency}
	a.printf("   %d purchases of %d customers, %s: %d credited, %d refunded, %d pending; %d told\n", l.Purchases, l.Customers, amount, l.Credited, l.Refunded, l.Pending, l.Told)
}

// Run lists them.
func (c *incidentListCmd) Run(ctx context.Context, a *app) error {
	return c.open(ctx, a, func(h *hand, s *store.Store) error {
		found, err := s.Incidents(ctx, incident.Query{Open: !c.All, Limit: c.Most})
		if err != nil {
			return err
		}
		lines := make([]*incidentLine, len(found))
		for i := range found {
			if lines[i], err = h.incidentLineOf(ctx, s, &found[i]); err != nil {
				return err
			}
		}
		if c.JSON {
			return a.json(lines)
		}
		if len(lines) == 0 {
			a.printf("No incident.\n")
		}
		for _, l := range lines {
			l.print(a)
		}
		return nil
	})
}

// incidentShowCmd shows one.
type incidentShowCmd struct {
	pauseBase
	ID   string `arg:"" help:"The incident, as in I-12 or 12."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run shows it.
func (c *incidentShowCmd) Run(ctx context.Context, a *app) error {
	number, err := strconv.ParseInt(strings.TrimPrefix(strings.ToUpper(c.ID), "I-"), 10, 64)
	if err != nil {
		return usage(fmt.Errorf("%q is no incident; `tenu incident list --all` lists them", c.ID))
	}
	return c.open(ctx, a, func(h *hand, s *store.Store) error {
		found, err := s.Incidents(ctx, incident.Query{IDs: []incident.ID{incident.ID(number)}})
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return usage(fmt.Errorf("there is no incident %s; `tenu incident list --all` lists them", c.ID))
		}
		l, err := h.incidentLineOf(ctx, s, &found[0])
		if err != nil {
			return err
		}
		entries, err := s.Entries(ctx, found[0].ID)
		if err != nil {
			return err
		}
		for _, e := range entries {
			l.Timeline = append(l.Timeline, incidentEntry{At: e.At.String(), Event: string(e.Event), Staff: h.people[e.By.Staff], Text: e.Text})
		}
		if c.JSON {
			return a.json(l)
		}
		l.print(a)
		for _, e := range l.Timeline {
			a.printf("   %s  %s%s  %s\n", e.At, e.Event, signed(e.Staff), strings.ReplaceAll(e.Text, "\n", " / "))
		}
		return nil
	})
}
