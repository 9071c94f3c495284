package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/reconcile"
	"tenu/internal/reconcile/intake"
)

// buildReconcile builds what reads partners' statements, where any are configured.
func (n *node) buildReconcile(keys *purchase.Keyring) (err error) {
	n.statements, err = n.cfg.reconciliation(n.app, n.store, n.parts, keys, n.engine.Grants)
	if err != nil {
		return usage(err)
	}
	return nil
}

// reconcile fetches statements, confirms corrections and closes days, on the node that delivers, until ctx ends.
func (n *node) reconcile(ctx context.Context) {
	if len(n.cfg.Reconcile.Statements) == 0 {
		return
	}
	var seen intake.Seen
	for {
		if err := n.reconcileOnce(ctx, &seen); err != nil && ctx.Err() == nil {
			n.log.Warn("reconciliation waits", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-n.app.clock.After(orElse(n.cfg.Reconcile.Every.Duration, defaultEvery)):
		}
	}
}

// reconcileOnce is one round.
func (n *node) reconcileOnce(ctx context.Context, seen *intake.Seen) error {
	ours, _, err := n.store.Standing(ctx, n.engine.Stats().Epoch)
	if err != nil || !ours {
		return err
	}
	now := n.app.clock.Now()
	err = n.statements.fetch(ctx, now, seen, func(f fetched) {
		at := []any{slog.String("partner", f.Partner), slog.String("source", f.Source), slog.String("file", f.File)}
		switch {
		case f.Error != "":
			n.log.Error("a statement was refused", append(at, slog.String("error", f.Error))...)
		case !f.report.Repeated:
			s := &f.report.Statement
			n.log.Info("a statement was loaded", append(at, slog.Int64("lines", s.Lines), slog.Int64("breaks", s.Tally.Breaks), slog.Int("fresh", f.report.Fresh),
				slog.Int("gone", f.report.Gone), slog.Int64("open", s.Tally.Open))...)
		}
	})
	if err != nil {
		return err
	}
	if _, _, err := n.statements.Confirm(ctx); err != nil {
		return err
	}
	return n.closeYesterday(ctx, now)
}

// closeYesterday closes the last day, once it is long enough over and was not closed yet.
func (n *node) closeYesterday(ctx context.Context, now purchase.Instant) error {
	after := n.cfg.Reconcile.CloseAfter.Duration
	if n.statements.sign == nil || after == 0 {
		return nil
	}
	p := n.statements.period(now, 0)
	if now < p.To.Add(after) {
		return nil
	}
	day := p.From.Time().In(n.parts.zone).Format(time.DateOnly)
	had, err := n.store.Closes(ctx, day)
	if err != nil || len(had) > 0 {
		return err
	}
	c, err := n.statements.CloseDay(ctx, day, n.parts.zone, n.statements.sign)
	if err != nil && !errors.Is(err, reconcile.ErrUnchanged) {
		return err
	}
	n.log.Info("a day was closed", slog.String("day", day), slog.Int64("seq", c.Seq))
	return nil
}
