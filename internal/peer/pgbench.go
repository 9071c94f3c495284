package peer

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// pgbenchDatabase is the database that pgbench works on.
const pgbenchDatabase = "pgbench"

// HasPgbench reports whether PostgreSQL's own benchmark is on this machine.
func (s *Postgres) HasPgbench() bool { return s.Program("pgbench") != "" }

// TPCB runs pgbench's TPC-B-like transaction with 8 and with 16 clients for so
// many seconds each, and returns the better rate in transactions a second; on two
// cores, 32, 48 and 64 were slower than 16. The first call makes the tables, at a
// scale.
func (s *Postgres) TPCB(ctx context.Context, scale, seconds int) (best float64, err error) {
	if !s.pgbench {
		if _, err := s.Create(ctx, pgbenchDatabase); err != nil {
			return 0, err
		}
		if _, err := s.runPgbench("-i", "-q", "-s", strconv.Itoa(scale)); err != nil {
			return 0, err
		}
		s.pgbench = true
	}
	if err := s.execute(ctx, "CHECKPOINT"); err != nil {
		return 0, fmt.Errorf("checkpoint: %w", err)
	}
	for _, clients := range []string{"8", "16"} {
		said, err := s.runPgbench("-b", "tpcb-like", "-c", clients, "-j", "2", "-M", "prepared", "-T", strconv.Itoa(seconds))
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

// runPgbench runs the program and returns what it says.
func (s *Postgres) runPgbench(arguments ...string) (string, error) {
	arguments = append([]string{"-h", s.Dir, "-U", "tenu"}, arguments...)
	p, err := Launch(s.Dir, s.Program("pgbench"), append(arguments, pgbenchDatabase)...)
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
