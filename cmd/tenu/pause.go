package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/incident"
	"tenu/internal/store"
)

// pauseCmd groups what is done to sales by hand.
type pauseCmd struct {
	List pauseListCmd `cmd:"" help:"List what is paused."`
	Add  pauseAddCmd  `cmd:"" help:"Pause sales before the charge. Running nodes obey within a second; purchases under way go on."`
	End  pauseEndCmd  `cmd:"" help:"Open sales again, all at once."`
}

// pauseBase is what every pause command needs.
type pauseBase struct {
	Config string `short:"c" default:"tenu.yaml" type:"path" help:"The configuration file."`
}

// hand is the store of a configuration while a command uses it.
type hand struct {
	*incident.Switch
	cfg    *config
	parts  *parts
	people map[auth.StaffID]string // logins
}

// open opens the store of a configuration for as long as use lasts.
func (c *pauseBase) open(ctx context.Context, a *app, use func(*hand, *store.Store) error) error {
	return withStore(ctx, a, c.Config, func(cfg *config, s *store.Store) error { return useHand(ctx, a, cfg, s, use) })
}

// useHand is open once the store is.
func useHand(ctx context.Context, a *app, cfg *config, s *store.Store, use func(*hand, *store.Store) error) (err error) {
	h := &hand{cfg: cfg, parts: &parts{}, people: map[auth.StaffID]string{}}
	if err := errors.Join(cfg.numbers(h.parts), cfg.goods(h.parts)); err != nil {
		return usage(err)
	}
	h.Switch, err = incident.NewSwitch(incident.SwitchConfig{Store: s, Clock: a.clock,
		Known: func(of incident.Series) bool { return slices.Contains(cfg.names(h.parts, of.By), of.Name) }})
	if err != nil {
		return err
	}
	people, err := s.People(ctx)
	if err != nil {
		return err
	}
	for i := range people {
		h.people[people[i].ID] = people[i].Login
	}
	return use(h, s)
}

// by is who does something: the person of a login, or whoever may run commands for "".
func (h *hand) by(login string) (incident.Actor, error) {
	for id, name := range h.people {
		if login != "" && name == strings.ToLower(login) {
			return incident.Actor{Staff: id}, nil
		}
	}
	if login != "" {
		return incident.Actor{}, usage(fmt.Errorf("nobody has the login %q; `tenu staff list` lists them", login))
	}
	return incident.Actor{}, nil
}

// pauseListCmd lists pauses.
type pauseListCmd struct {
	pauseBase
	All  bool `help:"Also those that ended within 30 days."`
	JSON bool `name:"json" help:"Print JSON."`
}

// pauseLine is a pause as it is printed.
type pauseLine struct {
	ID        int64  `json:"id"`
	By        string `json:"by"`
	Name      string `json:"name"`
	PerMille  int    `json:"let_through_per_mille"`
	Held      bool   `json:"held"`
	Failing   bool   `json:"failing"`
	Reason    string `json:"reason"`
	Staff     string `json:"staff,omitempty"`
	At        string `json:"at"`
	EndedAt   string `json:"ended_at,omitempty"`
	EndReason string `json:"end_reason,omitempty"`
	EndStaff  string `json:"end_staff,omitempty"`
	Said      string `json:"last_probe,omitempty"`
	Incident  int64  `json:"incident,omitempty"`
}

func (h *hand) line(p *incident.Pause) pauseLine {
	return pauseLine{ID: p.ID, By: p.Series.By.String(), Name: p.Series.Name, PerMille: p.Share, Held: p.Held, Failing: p.Failing, Reason: p.Reason,
		Staff: h.people[p.By.Staff], At: p.At.String(), EndedAt: ifAny(p.EndedAt), EndReason: p.EndReason, EndStaff: h.people[p.EndedBy.Staff], Said: p.Said, Incident: int64(p.Incident)}
}

// print prints a pause in words.
func (l *pauseLine) print(a *app) {
	state := strconv.FormatFloat(float64(l.PerMille)/10, 'f', -1, 64) + " % is sold"
	switch {
	case l.EndedAt != "":
		state = "over since " + l.EndedAt
	case l.Held:
		state += ", a person opens it again"
	case l.Failing:
		state += ", it still fails"
	}
	a.printf("%d  %s %s: %s, since %s\n", l.ID, l.By, l.Name, state, l.At)
	a.printf("   %s%s\n", l.Reason, signed(l.Staff))
	if l.Said != "" {
		a.printf("   last probe: %s\n", l.Said)
	}
	if l.EndReason != "" {
		a.printf("   ended: %s%s\n", l.EndReason, signed(l.EndStaff))
	}
}

func signed(login string) string {
	if login == "" {
		return ""
	}
	return " (" + login + ")"
}

// pausesFor is how far back ended pauses are listed.
const pausesFor = 30 * 24 * time.Hour

// Run lists them, oldest first.
func (c *pauseListCmd) Run(ctx context.Context, a *app) error {
	return c.open(ctx, a, func(h *hand, s *store.Store) error {
		now := a.clock.Now()
		since := now + 1
		if c.All {
			since = now.Add(-pausesFor)
		}
		list, err := s.Pauses(ctx, since)
		if err != nil {
			return err
		}
		lines := make([]pauseLine, len(list))
		for i := range list {
			lines[i] = h.line(&list[i])
		}
		if c.JSON {
			return a.json(lines)
		}
		if len(lines) == 0 {
			a.printf("Nothing is paused.\n")
		}
		for i := range lines {
			lines[i].print(a)
		}
		return nil
	})
}

// pauseAddCmd pauses.
type pauseAddCmd struct {
	pauseBase
	By     string `arg:"" enum:"product,provider,payer,channel,operator" help:"What is paused: product, provider, payer, channel or operator."`
	Name   string `arg:"" help:"Its name, as in the catalogue."`
	Reason string `required:"" help:"Why, for colleagues and the record."`
	Reopen bool   `help:"Let probes open it again; otherwise only a person does."`
	Login  string `help:"Who does it, as at the console."`
}

// Run pauses, or says why not.
func (c *pauseAddCmd) Run(ctx context.Context, a *app) error {
	return c.open(ctx, a, func(h *hand, _ *store.Store) error {
		by, err := h.by(c.Login)
		if err != nil {
			return err
		}
		dimension, _ := incident.ParseDimension(c.By)
		p, err := h.Pause(ctx, by, incident.Series{By: dimension, Name: c.Name}, c.Reason, !c.Reopen)
		switch {
		case errors.Is(err, incident.ErrSeries):
			return usage(fmt.Errorf("there is no %s %q; there are: %s", c.By, c.Name, strings.Join(h.cfg.names(h.parts, dimension), ", ")))
		case errors.Is(err, incident.ErrReason):
			return usage(errors.New("--reason: 1 to 500 characters are needed"))
		case errors.Is(err, incident.ErrPaused):
			return fmt.Errorf("%s %s is paused already, since %s: pause %d (%s)", c.By, c.Name, p.At, p.ID, p.Reason)
		case err != nil:
			return err
		}
		a.printf("Paused %s, as pause %d. `tenu pause end %d --reason ...` ends it.\n", p.Series, p.ID, p.ID)
		return nil
	})
}

// pauseEndCmd ends a pause.
type pauseEndCmd struct {
	pauseBase
	ID     int64  `arg:"" help:"The number of the pause, as it is listed."`
	Reason string `required:"" help:"Why, for colleagues and the record."`
	Force  bool   `help:"Even though the last probe failed."`
	Login  string `help:"Who does it, as at the console."`
}

// Run ends it, or says why not.
func (c *pauseEndCmd) Run(ctx context.Context, a *app) error {
	return c.open(ctx, a, func(h *hand, _ *store.Store) error {
		by, err := h.by(c.Login)
		if err != nil {
			return err
		}
		p, err := h.Resume(ctx, by, c.ID, 0, c.Reason, c.Force)
		switch {
		case errors.Is(err, incident.ErrReason):
			return usage(errors.New("--reason: 1 to 500 characters are needed"))
		case errors.Is(err, incident.ErrNotFound):
			return usage(fmt.Errorf("no pause %d lasts; `tenu pause list` lists them", c.ID))
		case errors.Is(err, incident.ErrFailing):
			return fmt.Errorf("pause %d stays: %s still fails (%s); --force ends it all the same", p.ID, p.Series, p.Said)
		case errors.Is(err, incident.ErrStale) && p.EndedAt != 0:
			return fmt.Errorf("pause %d is over already, since %s", p.ID, p.EndedAt)
		case err != nil:
			return err
		}
		a.printf("Pause %d is over: %s is sold again. It had lasted %s.\n", p.ID, p.Series, lasted(&p))
		return nil
	})
}

func lasted(p *incident.Pause) time.Duration { return max(p.EndedAt.Sub(p.At), 0).Round(time.Second) }
