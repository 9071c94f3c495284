package main

import (
	"errors"
	"fmt"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/profile"
)

// careConfig is of cases, of what staff may ask for, and of the house's goodwill.
// Whatever is left out is tenu's own.
type careConfig struct {
	Bounds   boundsConfig `yaml:"bounds"`
	Goodwill *int64       `yaml:"goodwill"`
	Clocks   clocksConfig `yaml:"clocks"`
}

// boundsConfig is what each role may ask for and approve.
type boundsConfig struct {
	Agent         *roleBounds `yaml:"agent"`
	Supervisor    *roleBounds `yaml:"supervisor"`
	Administrator *roleBounds `yaml:"administrator"`
}

// roleBounds are a role's; what is left out of one that is given is zero, which allows nothing.
type roleBounds struct {
	Single      int64 `yaml:"single"`
	Unchecked   int64 `yaml:"unchecked"`
	Day         int64 `yaml:"day"`
	DayCount    int   `yaml:"day_count"`
	NumberDay   int64 `yaml:"number_day"`
	NumberCount int   `yaml:"number_count"`
	Approve     int64 `yaml:"approve"`
}

type clocksConfig struct {
	AnswerWithin  span `yaml:"answer_within"`
	ResolveWithin span `yaml:"resolve_within"`
	OwnerSilent   span `yaml:"owner_silent"`
	WaitFor       span `yaml:"wait_for"`
	ReopenWithin  span `yaml:"reopen_within"`
}

// check finds what makes no sense in a role's bounds.
func (b *roleBounds) check() error {
	switch {
	case min(b.Single, b.Unchecked, b.Day, b.NumberDay, b.Approve) < 0 || min(b.DayCount, b.NumberCount) < 0:
		return fmt.Errorf("no bound may be negative")
	case b.Unchecked > b.Single:
		return fmt.Errorf("unchecked is above single: %d, %d", b.Unchecked, b.Single)
	case b.Single > b.Day || b.Single > b.NumberDay:
		return fmt.Errorf("single is above day or number_day: no such request could be made")
	}
	return nil
}

// checkCare checks what requests are bound by.
func (c *config) checkCare() error {
	for name, b := range map[string]*roleBounds{"agent": c.Care.Bounds.Agent, "supervisor": c.Care.Bounds.Supervisor,
		"administrator": c.Care.Bounds.Administrator} {
		if b == nil {
			continue
		}
		if err := b.check(); err != nil {
			return c.file.Errorf("care.bounds."+name, "%w", err)
		}
	}
	if c.Care.Goodwill != nil && *c.Care.Goodwill < 0 {
		return c.file.Errorf("care.goodwill", "must not be negative")
	}
	if c.Callbacks.Agents < 0 || c.Callbacks.PerWindow < 0 {
		return c.file.Errorf("callbacks", "per_window and agents must not be negative")
	}
	_, err := c.clocks()
	return err
}

// policy is what requests are bound by.
func (c *careConfig) policy() care.Policy {
	p := care.DefaultPolicy()
	for role, b := range map[auth.Role]*roleBounds{auth.Agent: c.Bounds.Agent, auth.Supervisor: c.Bounds.Supervisor,
		auth.Administrator: c.Bounds.Administrator} {
		if b != nil {
			p.Bounds[role] = care.Bounds(*b)
		}
	}
	if c.Goodwill != nil {
		p.Goodwill = *c.Goodwill
	}
	return p
}

// clocks are the limits for cases: of the country, and below those the operator's own.
func (c *config) clocks() (care.Clocks, error) {
	clocks := c.Care.clocks()
	country, err := c.country()
	if err != nil {
		return clocks, err
	}
	if err := errors.Join(
		atMost(country, c.Profile.Drafts, profile.AnswerWithin, "answer_within", c.Care.Clocks.AnswerWithin.Duration != 0, &clocks.AnswerWithin),
		atMost(country, c.Profile.Drafts, profile.ResolveWithin, "resolve_within", c.Care.Clocks.ResolveWithin.Duration != 0, &clocks.ResolveWithin)); err != nil {
		return clocks, c.file.Errorf("care.clocks", "%w", err)
	}
	return clocks, nil
}

// clocks are the operator's limits for cases.
func (c *careConfig) clocks() care.Clocks {
	d := care.DefaultClocks()
	return care.Clocks{AnswerWithin: orElse(c.Clocks.AnswerWithin.Duration, d.AnswerWithin),
		ResolveWithin: orElse(c.Clocks.ResolveWithin.Duration, d.ResolveWithin), OwnerSilent: orElse(c.Clocks.OwnerSilent.Duration, d.OwnerSilent),
		WaitFor: orElse(c.Clocks.WaitFor.Duration, d.WaitFor), ReopenWithin: orElse(c.Clocks.ReopenWithin.Duration, d.ReopenWithin)}
}
