package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"tenu/internal/hook"
	"tenu/internal/incident"
	"tenu/internal/incident/news"
	"tenu/internal/mail"
	"tenu/internal/profile"
	"tenu/internal/purchase"
	"tenu/internal/yamlfile"
)

// mailConfig is the server that takes mails.
type mailConfig struct {
	Server    string   `yaml:"server"`
	Security  string   `yaml:"security"`
	User      string   `yaml:"user"`
	Password  string   `yaml:"password"`
	From      string   `yaml:"from"`
	CA        string   `yaml:"ca"`
	Languages []string `yaml:"languages"`
}

// targetDuty is what has to be done about an incident by the operator's own target.
type targetDuty struct {
	Mail      []string `yaml:"mail"` // of the regulator
	Severity  string   `yaml:"severity"`
	Lasts     span     `yaml:"lasts"`
	Customers int64    `yaml:"customers"`
	Within    span     `yaml:"within"`
}

// duty is the operator's own, false where there is none.
func (t *targetDuty) duty(name string, kind incident.DutyKind) (incident.Duty, bool, error) {
	d := incident.Duty{Name: name, Kind: kind, Lasts: t.Lasts.Duration, Customers: t.Customers, Within: t.Within.Duration, Source: "the operator's own target"}
	if t.Customers < 0 {
		return d, false, errors.New("customers must not be negative")
	}
	severity, err := severityOf(t.Severity)
	d.Severity = severity
	return d, err == nil && (d.Lasts > 0 || d.Customers > 0), err
}

func severityOf(text string) (incident.Severity, error) {
	if text == "" {
		return 0, nil
	}
	for _, s := range []incident.Severity{incident.Minor, incident.Major, incident.Critical} {
		if s.String() == text {
			return s, nil
		}
	}
	return 0, fmt.Errorf("severity: %q is none of minor, major and critical", text)
}

// country is the profile of the country.
func (c *config) country() (*profile.Profile, error) {
	p, err := profile.Load(orElse(c.Profile.Country, defaultCountry))
	if err != nil {
		return nil, c.file.Errorf("profile.country", "%w", err)
	}
	return p, nil
}

// defaultCountry is the one whose numbering plan is built in.
const defaultCountry = "BF"

// atMost makes a time no longer than a country's limit: one that was given may not be, and one that was not follows.
func atMost(p *profile.Profile, drafts bool, rule profile.Rule, key string, given bool, value *time.Duration) error {
	limit, said := p.Within(rule, drafts)
	switch {
	case !said || *value <= limit.Within:
		return nil
	case given:
		return fmt.Errorf("%s: %s is more than the %s of %s: %s", key, *value, limit.Within, limit.Country, limit.Source)
	}
	*value = limit.Within
	return nil
}

// dutyKinds are the country's rules about incidents.
var dutyKinds = []struct {
	rule profile.Rule
	kind incident.DutyKind
}{{profile.UsersTold, incident.TellUsers}, {profile.RegulatorNotified, incident.TellRegulator}, {profile.SalesSuspended, incident.SuspendSales}}

// duties are what has to be done about incidents: by the country's rules, and by the operator's own targets.
func (c *config) duties() (all []incident.Duty, err error) {
	p, err := c.country()
	if err != nil {
		return nil, err
	}
	for _, each := range dutyKinds {
		for k, l := range p.Of(each.rule, c.Profile.Drafts) {
			severity, err := severityOf(l.Severity)
			if err != nil {
				return nil, c.file.Errorf("profile.country", "%w", err)
			}
			d := incident.Duty{Name: strings.ToLower(l.Country) + "-" + string(each.kind), Kind: each.kind, Severity: severity, Lasts: l.Lasts, Customers: l.Customers,
				Within: l.Within, Source: l.Country + ", " + l.Source}
			if k > 0 {
				d.Name += fmt.Sprint("-", k+1)
			}
			if l.Draft {
				d.Source += " (a draft)"
			}
			all = append(all, d)
		}
	}
	for kind, own := range map[incident.DutyKind]*targetDuty{incident.TellUsers: &c.Incidents.Users, incident.TellRegulator: &c.Incidents.Regulator} {
		d, is, err := own.duty("own-"+string(kind), kind)
		if err != nil {
			return nil, c.file.Errorf("incidents."+string(kind), "%w", err)
		}
		if is {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b incident.Duty) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// checkTelling checks who is told of incidents, and by what rules.
func (c *config) checkTelling() error {
	if _, err := c.duties(); err != nil {
		return err
	}
	for path, addresses := range map[string][]string{"incidents.mail": c.Incidents.Mail, "incidents.regulator.mail": c.Incidents.Regulator.Mail, "incidents.users.mail": c.Incidents.Users.Mail} {
		for i, address := range addresses {
			key := fmt.Sprintf("%s[%d]", path, i)
			switch err := mail.CheckAddress(address); {
			case err != nil:
				return c.file.Errorf(key, "%w", err)
			case path == "incidents.users.mail":
				return c.file.Errorf(key, "customers are told by SMS")
			case c.Mail.Server == "":
				return c.file.Errorf(key, "mail.server is needed to send mails")
			}
		}
	}
	return nil
}

// post is what sends mails, nil where none are sent.
func (c *config) post(env func(string) string) (*mail.Sender, error) {
	m := &c.Mail
	if m.Server == "" {
		return nil, nil // there may be none
	}
	password, err := c.secret(env, "mail.password", m.Password)
	if err != nil {
		return nil, err
	}
	roots, err := c.roots("mail.ca", m.CA)
	if err != nil {
		return nil, err
	}
	s, err := mail.New(mail.Config{Address: m.Server, Security: mail.Security(orElse(m.Security, string(mail.STARTTLS))), User: m.User, Password: password,
		From: m.From, Roots: roots})
	if err != nil {
		return nil, c.file.Errorf("mail", "%w", err)
	}
	return s, nil
}

// roots reads the certificates to trust, nil for the system's.
func (c *config) roots(key, name string) (*x509.CertPool, error) {
	if name == "" {
		return nil, nil // the system's
	}
	pem, err := yamlfile.Read(c.path(name))
	if err != nil {
		return nil, c.file.Errorf(key, "%w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, c.file.Errorf(key, "%s holds no certificate", name)
	}
	return roots, nil
}

// mailboxes are the listeners to incidents that get mails.
func (c *config) mailboxes() (all []hook.Listener) {
	for _, address := range c.Incidents.Mail {
		all = append(all, news.Mailbox(address, false))
	}
	for _, address := range c.Incidents.Regulator.Mail {
		all = append(all, news.Mailbox(address, true))
	}
	return all
}

// buildNews builds what tells other systems, operations and the regulator of incidents.
func (n *node) buildNews() error {
	heard, err := n.cfg.webhooks(n.app.env)
	if err != nil {
		return usage(err)
	}
	post, err := n.cfg.post(n.app.env)
	if err != nil {
		return usage(err)
	}
	roots, err := n.cfg.roots("webhooks.ca", n.cfg.Webhooks.CA)
	if err != nil {
		return usage(err)
	}
	cfg := news.Config{Desk: n.incidents, Record: n.store, Location: n.parts.zone}
	if post != nil {
		cfg.Post = post
	}
	for _, language := range n.cfg.Mail.Languages {
		cfg.Language = append(cfg.Language, purchase.Language(language))
	}
	if origins := n.cfg.Console.Passkeys.Origins; len(origins) > 0 {
		cfg.Page = func(id incident.ID) string { return strings.TrimSuffix(origins[0], "/") + "/incidents/" + id.String() }
	}
	told, err := news.New(cfg)
	if err != nil {
		return usage(n.cfg.file.Errorf("mail.languages", "%w", err))
	}
	n.hearers = append(heard.incidents, n.cfg.mailboxes()...)
	n.crier, err = hook.NewCourier(hook.Config{Store: n.store.IncidentEvents(), Targets: heard.targets, Clock: n.app.clock, Log: n.log, Write: told.Write, Carry: told.Carry,
		Taken: told.Taken, Roots: roots, Timeout: newsWithin, Standing: n.standing})
	return err
}

// newsWithin is how long one webhook or mail may take.
const newsWithin = 30 * time.Second

// deliver makes a courier's listeners those of the configuration, and delivers until ctx ends.
func (n *node) deliver(ctx context.Context, courier *hook.Courier, listeners []hook.Listener) {
	for ctx.Err() == nil {
		err := courier.Configure(ctx, listeners)
		if err == nil {
			break
		}
		n.log.Warn("the listeners of the configuration wait", slog.Any("error", err))
		select {
		case <-ctx.Done():
		case <-n.app.clock.After(time.Second):
		}
	}
	courier.Run(ctx)
}
