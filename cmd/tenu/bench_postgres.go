package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"tenu/internal/bench"
	"tenu/internal/peer"
)

// benchServer is the PostgreSQL server that a run measures on: a private one, or
// that of --dsn.
type benchServer struct {
	own   *peer.Postgres // nil with --dsn
	dsn   string
	pool  *pgxpool.Pool
	made  int    // schemas
	rival string // address of pgbench's database, "" until it is made
	tool  string // pgbench, "" where it is not
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
	if s.tool != "" {
		scale, seconds := 50, 10
		if r.cmd.Quick {
			scale, seconds = 5, 3
		}
		bed.TPCB = func(ctx context.Context) (float64, error) { return s.tpcb(ctx, scale, seconds) }
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
		s.tool = s.own.Program("pgbench")
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

// tpcb runs pgbench's TPC-B-like transaction with 8 and with 16 clients, and
// returns the better rate.
func (s *benchServer) tpcb(ctx context.Context, scale, seconds int) (best float64, err error) {
	if s.rival == "" {
		dsn, err := s.own.Create(ctx, "pgbench")
		if err != nil {
			return 0, err
		}
		s.rival = dsn
		if _, err := s.pgbench("-i", "-q", "-s", strconv.Itoa(scale)); err != nil {
			return 0, err
		}
	}
	if err := s.calm(ctx); err != nil {
		return 0, err
	}
	for _, clients := range []string{"8", "16"} {
		said, err := s.pgbench("-b", "tpcb-like", "-c", clients, "-j", "2", "-M", "prepared", "-T", strconv.Itoa(seconds))
		if err != nil {
			return 0, err
		}
		match := tpsLine.FindStringSubmatch(said)
		if match == nil {
			return 0, fmt.Errorf("pgbench tells no rate: %s", said)
		}
		tps, err := strconv.ParseFloat(match[1], 64)
		if err != nil {
			return 0, fmt.Errorf("pgbench's rate: %w", err)
		}
		best = max(best, tps)
	}
	return best, nil
}

var tpsLine = regexp.MustCompile(`(?m)^tps = ([0-9.]+)`)

// pgbench runs the program and returns what it says.
func (s *benchServer) pgbench(arguments ...string) (string, error) {
	config, err := pgx.ParseConfig(s.rival)
	if err != nil {
		return "", fmt.Errorf("address of pgbench's database: %w", err)
	}
	arguments = append([]string{"-h", config.Host, "-U", config.User}, arguments...)
	p, err := peer.Launch(s.own.Dir, s.tool, append(arguments, config.Database)...)
	if err != nil {
		return "", fmt.Errorf("run pgbench: %w", err)
	}
	select {
	case <-p.Done:
	case <-time.After(10 * time.Minute):
		p.Kill()
		return "", errors.New("pgbench does not end")
	}
	if !p.Cmd.ProcessState.Success() {
		return "", fmt.Errorf("pgbench: %s", p.Tail())
	}
	return p.Tail(), nil
}
