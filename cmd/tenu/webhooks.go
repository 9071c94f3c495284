package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"tenu/internal/api"
	"tenu/internal/auth"
	"tenu/internal/hook"
	"tenu/internal/incident/news"
	"tenu/internal/purchase"
	"tenu/internal/telemetry"
	"tenu/internal/tmf"
)

// webhooksConfig says where events about cases and incidents may be sent, and where they are.
type webhooksConfig struct {
	CA        string           `yaml:"ca"`
	Targets   []targetConfig   `yaml:"targets"`
	Listeners []listenerConfig `yaml:"listeners"`
}

type targetConfig struct {
	Host    string   `yaml:"host"`
	Client  string   `yaml:"client"`
	Secrets []string `yaml:"secrets"`
	Private bool     `yaml:"private"`
}

type listenerConfig struct {
	Name   string   `yaml:"name"`
	Client string   `yaml:"client"`
	URL    string   `yaml:"url"`
	Events []string `yaml:"events"`
	// About is what is told: cases when left out, incidents, or the notices that a regulator gets.
	About string `yaml:"about"`
}

// heard is who is told of what, and where it may be sent.
type heard struct {
	targets          *hook.Targets
	cases, incidents []hook.Listener
}

// webhooks reads where events may be sent and who listens, with the secrets.
func (c *config) webhooks(env func(string) string) (h heard, err error) {
	var all []hook.Target
	for i, raw := range c.Webhooks.Targets {
		path := fmt.Sprintf("webhooks.targets[%d]", i)
		target := hook.Target{Host: raw.Host, Client: raw.Client, Private: raw.Private}
		for j, name := range raw.Secrets {
			secret, err := c.secret(env, fmt.Sprintf("%s.secrets[%d]", path, j), name)
			if err != nil {
				return h, err
			}
			target.Secrets = append(target.Secrets, []byte(secret))
		}
		if err := c.knowsClient(path+".client", raw.Client); raw.Client != "" && err != nil {
			return h, err
		}
		all = append(all, target)
		if _, err := hook.NewTargets(all); err != nil { // one at a time, so that the line of the wrong one is told
			return h, c.file.Errorf(path, "%w", err)
		}
	}
	if h.targets, err = hook.NewTargets(all); err != nil {
		return h, c.file.Errorf("webhooks.targets", "%w", err)
	}
	return h, c.listeners(&h)
}

func (c *config) listeners(h *heard) error {
	names := map[string]bool{}
	for i, raw := range c.Webhooks.Listeners {
		path := fmt.Sprintf("webhooks.listeners[%d]", i)
		if err := auth.CheckName(raw.Name); err != nil {
			return c.file.Errorf(path+".name", "a name of 1 to 32 of a-z, 0-9 and hyphen is needed")
		}
		if names[raw.Name] {
			return c.file.Errorf(path+".name", "%s is listed twice", raw.Name)
		}
		names[raw.Name] = true
		cases := raw.About == "" || raw.About == "cases"
		if err := c.knowsClient(path+".client", raw.Client); (cases || raw.Client != "") && err != nil {
			return err
		}
		if err := h.targets.Check(raw.Client, raw.URL); err != nil {
			return c.file.Errorf(path+".url", "%w", err)
		}
		query := ""
		if len(raw.Events) > 0 {
			query = "eventType=" + strings.Join(raw.Events, ",")
		}
		check, to := tmf.CheckQuery, &h.cases
		switch raw.About {
		case "", "cases":
		case "incidents":
			check, to = news.CheckQuery, &h.incidents
		case "notices":
			if check, to = news.CheckQuery, &h.incidents; query != "" {
				return c.file.Errorf(path+".events", "a regulator hears of every notice, and of nothing else")
			}
			query = news.Notices
		default:
			return c.file.Errorf(path+".about", "%q is none of cases, incidents and notices", raw.About)
		}
		if err := check(query); err != nil {
			return c.file.Errorf(path+".events", "%w", err)
		}
		*to = append(*to, hook.Configured(raw.Name, raw.Client, raw.URL, query))
	}
	return nil
}

// knowsClient returns an error unless a client of that name may read cases.
func (c *config) knowsClient(path, name string) error {
	for i := range c.Clients {
		if c.Clients[i].Name != name {
			continue
		}
		for _, scope := range c.Clients[i].Scopes {
			if scope == string(auth.CasesRead) {
				return nil
			}
		}
		return c.file.Errorf(path, "client %s may read no cases: the scope %s is needed", name, auth.CasesRead)
	}
	return c.file.Errorf(path, "there is no client %q", name)
}

// buildTickets builds the Trouble Ticket API and what tells its listeners.
func (n *node) buildTickets(keys *purchase.Keyring) error {
	heard, err := n.cfg.webhooks(n.app.env)
	if err != nil {
		return usage(err)
	}
	targets := heard.targets
	n.listeners = heard.cases
	n.tickets, err = tmf.New(tmf.Config{Desk: n.care, Store: n.store, References: keys, Listens: targets.Check, Clients: n.parts.clients, Clock: n.app.clock,
		Number: func(text string) (purchase.MSISDN, error) {
			number, _, err := n.parts.directory.Parse(text)
			return number, err
		}})
	if err != nil {
		return err
	}
	roots, err := n.cfg.roots("webhooks.ca", n.cfg.Webhooks.CA)
	if err != nil {
		return usage(err)
	}
	n.courier, err = hook.NewCourier(hook.Config{Store: n.store, Targets: targets, Clock: n.app.clock, Log: n.log, Write: n.tickets.Write, Roots: roots,
		Standing: func(ctx context.Context) (bool, bool, error) { return n.store.Standing(ctx, n.engine.Stats().Epoch) }})
	return err
}

// tell delivers events about cases until ctx ends.
func (n *node) tell(ctx context.Context) { n.deliver(ctx, n.courier, n.listeners) }

// annex is the Trouble Ticket API, for the API's listener.
func (n *node) annex() api.Annex {
	x := api.Annex{Prefix: tmf.Base, Refuse: func(w http.ResponseWriter, r api.Refusal) { tmf.Refuse(w, r.Status, r.Code, r.Title, r.Detail) }}
	for _, route := range n.tickets.Routes() {
		x.Routes = append(x.Routes, api.AnnexRoute{Pattern: route.Pattern, Scope: route.Scope, Media: route.Media, Answer: route.Answer})
	}
	return x
}

// webhookFigures are asked at each scrape of the metrics.
func (n *node) webhookFigures() (telemetry.Webhooks, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var figures telemetry.Webhooks
	for _, courier := range []*hook.Courier{n.courier, n.crier} {
		stats := courier.Stats()
		figures.Delivered, figures.Failed, figures.Died = figures.Delivered+stats.Delivered, figures.Failed+stats.Failed, figures.Died+stats.Died
	}
	for _, events := range []hook.Store{n.store.CaseEvents(), n.store.IncidentEvents()} {
		backlog, err := events.Backlog(ctx)
		if err != nil {
			return figures, errors.Join(errors.New("count events"), err)
		}
		figures.Waiting, figures.Dead = figures.Waiting+backlog.Waiting, figures.Dead+backlog.Dead
		if backlog.Oldest != 0 {
			figures.Oldest = max(figures.Oldest, n.app.clock.Now().Sub(backlog.Oldest))
		}
	}
	return figures, nil
}
