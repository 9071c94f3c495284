package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"tenu/internal/store"
	"tenu/internal/telemetry"
)

// serveCmd runs a node.
type serveCmd struct {
	Config  string `short:"c" default:"tenu.yaml" type:"path" help:"The configuration file."`
	Migrate bool   `help:"Bring the database to this version's tables first."`
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, a *app) error {
	cfg, err := readConfig(c.Config)
	if err != nil {
		return usage(err)
	}
	log, err := telemetry.NewLogger(a.err, cfg.Log.Format, cfg.Log.Level)
	if err != nil {
		return usage(cfg.file.Errorf("log", "%w", err))
	}
	return serve(ctx, a, cfg, log, c.Migrate)
}

// serve runs a node from its opening to its close.
func serve(ctx context.Context, a *app, cfg *config, log *slog.Logger, migrate bool) (err error) {
	if migrate {
		dsn, err := cfg.dsn(a.env)
		if err != nil {
			return usage(err)
		}
		if _, _, err := store.Migrate(ctx, dsn, store.Options{Log: log}); err != nil {
			return err
		}
	}
	n, err := openNode(ctx, a, cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	at, err := n.listen(ctx)
	if err != nil {
		return err
	}
	if cfg.Store.Sealing.IdentityFile == "" {
		log.Info("what people write is kept plain: store.sealing would seal it")
	} else {
		log.Info("what people write is sealed", slog.Int("recipients", len(cfg.Store.Sealing.Recipients)))
	}
	log.Info("serving", slog.String("version", version), slog.String("node", cfg.Node), slog.String("api", at.api.Addr().String()))
	if err := n.run(ctx, at); err != nil {
		return fmt.Errorf("node %s: %w", cfg.Node, err)
	}
	log.Info("stopped", slog.String("node", cfg.Node))
	return nil
}
