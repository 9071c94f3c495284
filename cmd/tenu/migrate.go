package main

import (
	"context"

	"tenu/internal/store"
)

// storeFlags say which store is meant: by its address, or by a configuration.
type storeFlags struct {
	Config string `short:"c" default:"tenu.yaml" type:"path" help:"The configuration file that names the store."`
	Store  string `help:"The store's address instead: sqlite:PATH or postgres://..." placeholder:"DSN"`
}

func (f *storeFlags) dsn(a *app) (string, error) {
	if f.Store != "" {
		return f.Store, nil
	}
	cfg, err := readConfig(f.Config)
	if err != nil {
		return "", usage(err)
	}
	dsn, err := cfg.dsn(a.env)
	if err != nil {
		return "", usage(err)
	}
	return dsn, nil
}

// migrateCmd brings a database to this version's tables.
type migrateCmd struct {
	storeFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// Run migrates.
func (c *migrateCmd) Run(ctx context.Context, a *app) error {
	dsn, err := c.dsn(a)
	if err != nil {
		return err
	}
	from, to, err := store.Migrate(ctx, dsn, store.Options{})
	switch {
	case err != nil:
		return err
	case c.JSON:
		return a.json(map[string]int64{"from": from, "to": to})
	case from == to:
		a.printf("The database has schema %d already.\n", to)
	default:
		a.printf("Migrated from schema %d to %d.\n", from, to)
	}
	return nil
}
