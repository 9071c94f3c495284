package main

import (
	"context"
	"log/slog"
	"time"

	"tenu/internal/person"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

// retentionConfig is for how many days each kind is kept. What is left out is kept for good.
type retentionConfig map[string]int

// checkRetention checks the terms.
func (c *config) checkRetention() error {
	if _, err := person.ParseTerms(c.Retention); err != nil {
		return c.file.Errorf("retention", "%w", err)
	}
	return nil
}

// retentionCmd lets go of what was kept long enough.
type retentionCmd struct {
	Config string `short:"c" default:"tenu.yaml" type:"path" help:"The configuration file."`
	DryRun bool   `help:"Only count what would be let go of."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// letGo is what became of one kind.
type letGo struct {
	Kind   string `json:"kind"`
	Before string `json:"before"` // what is older; empty for what is kept for good
	Rows   int64  `json:"rows"`   // of numbers: purchases
}

// Run goes through the kinds once.
func (c *retentionCmd) Run(ctx context.Context, a *app) error {
	return withStore(ctx, a, c.Config, func(cfg *config, s *store.Store) error {
		all, err := cfg.retain(ctx, a, s, c.DryRun)
		if err != nil {
			return err
		}
		if c.JSON {
			return a.json(all)
		}
		for _, l := range all {
			if l.Before == "" {
				a.printf("%-12s kept for good\n", l.Kind)
				continue
			}
			a.printf("%-12s before %s: %d\n", l.Kind, l.Before, l.Rows)
		}
		return nil
	})
}

// retain goes through the kinds once.
func (c *config) retain(ctx context.Context, a *app, s *store.Store, dry bool) ([]letGo, error) {
	terms, err := person.ParseTerms(c.Retention)
	if err != nil {
		return nil, usage(err)
	}
	var all []letGo
	for _, kind := range person.Kinds {
		l := letGo{Kind: string(kind)}
		if life, ends := terms[kind]; ends {
			before := a.clock.Now().Add(-life)
			l.Before = before.String()
			l.Rows, err = s.Retain(ctx, store.Aged{Kind: kind, Before: before, Dry: dry, Now: a.clock.Now,
				Draw: func() (purchase.MSISDN, error) { return person.Draw(a.random) }})
			if err != nil {
				return all, err
			}
		}
		all = append(all, l)
	}
	return all, nil
}

// When a node looks after what was kept long enough: at its start, when all else runs, and then once a day.
const (
	retainFirst = 10 * time.Minute
	retainEvery = 24 * time.Hour
)

// retain lets go of what was kept long enough, and ends erasures that a crash left, on the node that delivers,
// for as long as ctx lasts.
func (n *node) retain(ctx context.Context) {
	for wait := retainFirst; ; wait = retainEvery {
		select {
		case <-ctx.Done():
			return
		case <-n.app.clock.After(wait):
		}
		if err := n.retainOnce(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("retention waits", slog.Any("error", err))
		}
	}
}

func (n *node) retainOnce(ctx context.Context) error {
	ours, _, err := n.store.Standing(ctx, n.engine.Stats().Epoch)
	if err != nil || !ours {
		return err
	}
	code := n.parts.directory.Plan.CallingCode()
	ended, err := n.store.EndErasures(ctx, func(number purchase.MSISDN) *person.Forms { return person.NewForms(number, code) }, n.app.clock.Now)
	if err != nil {
		return err
	}
	if ended > 0 {
		n.log.Warn("erasures that were left half done are done", slog.Int("count", ended))
	}
	all, err := n.cfg.retain(ctx, n.app, n.store, false)
	for _, l := range all {
		if l.Rows > 0 {
			n.log.Info("what was kept long enough is let go of", slog.String("kind", l.Kind), slog.String("before", l.Before), slog.Int64("rows", l.Rows))
		}
	}
	return err
}
