package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"tenu/internal/bench"
	"tenu/internal/peer"
)

// benchServer is the PostgreSQL server that a run measures on: a private one, or
// that of --dsn.
type benchServer struct {
	own  *peer.Postgres // nil with --dsn
	dsn  string
	pool *pgxpool.Pool
	made int // schemas
}

// benchCommitters is how many commits are under way at once on PostgreSQL.
const benchCommitters = 2

// postgres sets a bed up on the run's server, which is started the first time.
func (r *benchRun) postgres(ctx context.Context, bed *bench.Bed) error {
	if r.server == nil {
		if err := r.startServer(ctx); err != nil {
			return err
		}
	}
	s := r.server
	bed.Committers, bed.Fresh, bed.Calm, bed.Server = benchCommitters, s.fresh, s.calm, s.usage
	if s.own != nil && s.own.HasPgbench() {
		scale, seconds := 50, 10
		if r.cmd.Quick {
			scale, seconds = 5, 3
		}
		bed.TPCB = func(ctx context.Context) (float64, error) { return s.own.TPCB(ctx, scale, seconds) }
	}
	return nil
}

func (r *benchRun) startServer(ctx context.Context) (err error) {
	s := &benchServer{dsn: r.cmd.DSN}
	if s.dsn == "" {
		if s.own, err = peer.StartPostgres(true); err != nil {
			return err
		}
		r.later(func() error { s.own.Stop(); return nil })
		if s.dsn, err = s.own.Create(ctx, "bench"); err != nil {
			return err
		}
	}
	if s.pool, err = pgxpool.New(ctx, s.dsn); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	r.later(func() error { s.pool.Close(); return nil })
	if err := s.pool.QueryRow(ctx, "SELECT 'PostgreSQL ' || current_setting('server_version')").Scan(&r.database); err != nil {
		return fmt.Errorf("ask for the server's version: %w", err)
	}
	r.server = s
	return nil
}

// fresh makes a schema and returns the address of it.
func (s *benchServer) fresh(ctx context.Context) (string, func(context.Context) error, error) {
	s.made++
	name := fmt.Sprintf("tenu_bench_%d_%d", os.Getpid(), s.made)
	if _, err := s.pool.Exec(ctx, "CREATE SCHEMA "+name); err != nil {
		return "", nil, fmt.Errorf("create schema: %w", err)
	}
	drop := func(ctx context.Context) error {
		if _, err := s.pool.Exec(ctx, "DROP SCHEMA "+name+" CASCADE"); err != nil {
			return fmt.Errorf("drop schema: %w", err)
		}
		return nil
	}
	separator := "?"
	if strings.Contains(s.dsn, "?") {
		separator = "&"
	}
	return s.dsn + separator + "search_path=" + name, drop, nil
}

// calm writes a checkpoint, so that none that is due for what was done before
// comes in the middle of a measurement. Only our own server is told to.
func (s *benchServer) calm(ctx context.Context) error {
	if s.own == nil {
		return nil
	}
	if _, err := s.pool.Exec(ctx, "CHECKPOINT"); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// usage is what the server has used.
func (s *benchServer) usage(ctx context.Context) (u bench.ServerUsage, err error) {
	if err := s.pool.QueryRow(ctx, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").Scan(&u.WAL); err != nil {
		return u, fmt.Errorf("read the log's length: %w", err)
	}
	if s.own != nil {
		if u.CPU, err = s.own.CPU(); err != nil {
			return u, fmt.Errorf("read the server's processor time: %w", err)
		}
	}
	return u, nil
}
