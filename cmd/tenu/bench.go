package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"tenu/internal/bench"
	"tenu/internal/notify"
	"tenu/internal/numbering"
	"tenu/internal/peer"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

// benchCmd measures the engine and its yardstick in one run.
type benchCmd struct {
	Store     string `enum:"sqlite,postgres" default:"sqlite" help:"Where purchases are kept: sqlite or postgres."`
	DSN       string `help:"An empty PostgreSQL database to use and leave empty; a private server is started when absent."`
	Dir       string `type:"path" help:"Where SQLite's files go; a temporary directory when absent."`
	Purchases int    `default:"200000" help:"How many to sell."`
	InFlight  int    `default:"512" help:"How many are open at once."`
	Customers int    `default:"100000" help:"How many different numbers buy."`
	JSON      bool   `name:"json" help:"Print JSON."`
}

// Run sells through the engine, writes the same rows without it, and compares.
func (c *benchCmd) Run(ctx context.Context, a *app) error {
	if c.Purchases < 1 || c.InFlight < 1 || c.Customers < 1 {
		return usage(errors.New("purchases, in-flight and customers must be positive"))
	}
	measure := c.sqlite
	if c.Store == "postgres" {
		measure = c.postgres
	}
	result, err := measure(ctx, a)
	if err != nil {
		return err
	}
	result.Store = c.Store
	result.Ratio = math.Round(result.PurchasesPerSec/result.FloorPerSec*1000) / 1000
	if c.JSON {
		out := json.NewEncoder(a.out)
		out.SetIndent("", "  ")
		return out.Encode(result)
	}
	_, err = fmt.Fprintf(a.out, `%s: %d purchases, %d in flight, partners in the process

  engine      %9.0f purchases/s
  bare loop   %9.0f purchases/s, the same rows in the same batches
  ratio       %9.2f
  settled in  %9.1f ms (p50), %.1f ms (p99)
  commits     %9.0f /s of %.0f changes on average
`, result.Store, result.Purchases, result.InFlight, result.PurchasesPerSec, result.FloorPerSec, result.Ratio,
		result.P50, result.P99, result.CommitsPerSec, result.BatchMean)
	return err
}

// engine measures the engine on a migrated store.
func (c *benchCmd) engine(ctx context.Context, a *app, dsn string, committers int) (r bench.Measured, err error) {
	if _, _, err := store.Migrate(ctx, dsn, store.Options{}); err != nil {
		return r, err
	}
	s, err := store.Open(ctx, dsn, store.Options{Committers: committers})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	keys, err := keyring(ctx, a, s)
	if err != nil {
		return r, err
	}
	wording, err := benchWording()
	if err != nil {
		return r, err
	}
	return bench.Engine(ctx, purchase.Config{Store: s, Keys: keys, Clock: a.clock, Wording: wording,
		Rules: purchase.DefaultRules(), Log: slog.New(slog.NewTextHandler(a.err, nil)), Committers: committers}, c.load())
}

func (c *benchCmd) load() bench.Load {
	return bench.Load{Purchases: c.Purchases, InFlight: c.InFlight, Customers: c.Customers}
}

func (c *benchCmd) floor(a *app, engine bench.Measured, committers int) bench.Floor {
	return bench.Floor{Load: c.load(), Batch: int(math.Round(engine.BatchMean)), Committers: committers, Clock: a.clock}
}

// benchWording is the real one: writing the notice is part of the work.
func benchWording() (*notify.Wording, error) {
	cfg := &config{}
	p := &parts{}
	plan, err := numbering.ParsePlan("the built-in plan", numbering.BurkinaFaso)
	if err != nil {
		return nil, err
	}
	p.directory = numbering.NewDirectory(plan)
	if err := cfg.goods(p); err != nil {
		return nil, err
	}
	return p.wording, nil
}

func (c *benchCmd) sqlite(ctx context.Context, a *app) (r bench.Measured, err error) {
	dir, err := os.MkdirTemp(c.Dir, "tenu-bench-")
	if err != nil {
		return r, fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if r, err = c.engine(ctx, a, "sqlite:"+filepath.Join(dir, "engine.db"), 1); err != nil {
		return r, err
	}
	path := filepath.Join(dir, "floor.db")
	if _, _, err := store.Migrate(ctx, "sqlite:"+path, store.Options{}); err != nil {
		return r, err
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate")
	if err != nil {
		return r, fmt.Errorf("open the floor's database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	r.FloorPerSec, err = c.floor(a, r, 1).SQLite(ctx, db)
	return r, err
}

func (c *benchCmd) postgres(ctx context.Context, a *app) (r bench.Measured, err error) {
	dsn := c.DSN
	if dsn == "" {
		server, err := peer.StartPostgres(true)
		if err != nil {
			return r, err
		}
		defer server.Stop()
		if dsn, err = server.Create(ctx, "bench"); err != nil {
			return r, err
		}
	}
	const committers = 2
	engine, floor, drop, err := schemas(ctx, dsn)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, drop(context.WithoutCancel(ctx))) }()
	if r, err = c.engine(ctx, a, engine, committers); err != nil {
		return r, err
	}
	if _, _, err := store.Migrate(ctx, floor, store.Options{}); err != nil {
		return r, err
	}
	pool, err := pgxpool.New(ctx, floor)
	if err != nil {
		return r, fmt.Errorf("open the floor's database: %w", err)
	}
	defer pool.Close()
	r.FloorPerSec, err = c.floor(a, r, committers).Postgres(ctx, pool)
	return r, err
}

// schemas makes a schema each for the engine and the floor in a database, and
// returns their addresses.
func schemas(ctx context.Context, dsn string) (engine, floor string, drop func(context.Context) error, err error) {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return "", "", nil, fmt.Errorf("open the database: %w", err)
	}
	names := []string{"tenu_bench_engine", "tenu_bench_floor"}
	drop = func(ctx context.Context) error {
		defer pool.Close()
		for _, name := range names {
			if _, err := pool.Exec(ctx, "DROP SCHEMA "+name+" CASCADE"); err != nil {
				return fmt.Errorf("drop schema: %w", err)
			}
		}
		return nil
	}
	for _, name := range names {
		if _, err := pool.Exec(ctx, "CREATE SCHEMA "+name); err != nil {
			pool.Close()
			return "", "", nil, fmt.Errorf("create schema: %w", err)
		}
	}
	within := func(name string) string {
		separator := "?"
		if strings.Contains(dsn, "?") {
			separator = "&"
		}
		return dsn + separator + "search_path=" + name
	}
	return within(names[0]), within(names[1]), drop, nil
}
