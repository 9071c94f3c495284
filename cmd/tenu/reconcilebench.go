package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"tenu/internal/bench"
	"tenu/internal/peer"
	"tenu/internal/purchase"
	"tenu/internal/reconcile"
	"tenu/internal/reconcile/rehearsal"
	"tenu/internal/store"
)

// reconcileBenchCmd measures a match.
type reconcileBenchCmd struct {
	Lines int    `default:"10000000" help:"How many purchases the statement tells of."`
	Store string `enum:"none,sqlite,postgres" default:"none" help:"Where our side is read from, and breaks and lines are kept: sqlite, postgres, or none, which makes our side as it goes."`
	DSN   string `help:"An empty PostgreSQL database to use instead of a private server."`
	Dir   string `type:"path" help:"Where the statement is written, and lines are sorted; the system's folder when left out."`
	CPU   string `name:"cpu" type:"path" hidden:"" help:"Where a profile of the load is written."`
}

// Run writes a statement with breaks planted in it, checks it and matches it, and says how long that took.
func (c *reconcileBenchCmd) Run(ctx context.Context, a *app) (err error) {
	mapping, err := reconcile.LoadMapping("sandbox")
	if err != nil {
		return err
	}
	keys, err := purchase.NewKeyring([]byte("the keyring of a measurement"))
	if err != nil {
		return err
	}
	r := rehearsal.New(rehearsal.Plan{Seed: 1, Purchases: c.Lines, Planted: min(2000, c.Lines/10), Keyless: 100, Leg: purchase.Credit, Partner: "partner"}, keys)
	file, err := os.CreateTemp(c.Dir, "tenu-bench-*.csv")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	a.printf("Writing a statement of %d purchases ...\n", c.Lines)
	if err := r.Write(file); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if c.Store != "none" {
		return c.load(ctx, a, r, file, mapping, keys)
	}
	return c.measure(ctx, a, r, file, mapping, keys)
}

// partner is the rehearsal's.
func (c *reconcileBenchCmd) partner(r *rehearsal.Rehearsal) reconcile.Partner {
	return reconcile.Partner{Name: "partner", Undone: true, Skew: rehearsal.Skew, Capability: r.Capability}
}

func (c *reconcileBenchCmd) measure(ctx context.Context, a *app, r *rehearsal.Rehearsal, file *os.File, m *reconcile.Mapping, keys *purchase.Keyring) error {
	span := r.Span()
	begin := a.clock.Now()
	in, progress, finish := a.reading(file)
	checked, err := reconcile.Check(ctx, file.Name(), in, m, keys, reconcile.Want{Partner: "partner", From: span.From, To: span.To}, c.Dir, progress)
	finish()
	if err != nil {
		return err
	}
	defer func() { _ = checked.Close() }() // it was only read
	middle := a.clock.Now()
	found := newPlanted(r)
	job := reconcile.Job{Partner: c.partner(r), Span: span, Book: r.Book(), Earlier: reconcile.NoEarlier{}, Dir: c.Dir, Found: func(f reconcile.Found) error {
		found.count(&f)
		return nil
	}}
	tally, err := job.Match(ctx, checked)
	if err != nil {
		return err
	}
	a.printf("Read, checked and sorted in %s, matched in %s.\n", middle.Sub(begin).Round(10*time.Millisecond), a.clock.Now().Sub(middle).Round(10*time.Millisecond))
	return found.say(a, &tally)
}

// planted compares breaks that are found with those that are to be found.
type planted struct {
	all, left map[rehearsal.Expected]bool
	wrong     int
}

func newPlanted(r *rehearsal.Rehearsal) *planted {
	return &planted{all: r.Expected(), left: r.Expected()}
}

func (p *planted) count(f *reconcile.Found) {
	e := rehearsal.Expected{Cause: f.Cause, Purchase: f.Purchase}
	if f.Purchase == 0 {
		e.Ref = f.Ref
	}
	if !p.left[e] {
		p.wrong++
	}
	delete(p.left, e)
}

func (p *planted) say(a *app, t *reconcile.Tally) error {
	a.printf("%d lines: %d matched by key, %d by reference, %d by rule.\n", t.Lines, t.Matched, t.ByRef, t.ByRule)
	a.printf("%d breaks planted: %d not found, %d false. Most memory: %d MB. %d processors.\n", len(p.all), len(p.left), p.wrong, peakMB(), runtime.GOMAXPROCS(0))
	if len(p.left)+p.wrong > 0 {
		return errors.New("the match is wrong")
	}
	return nil
}

// load does what the command does with a file: everything, with a database that holds our side.
func (c *reconcileBenchCmd) load(ctx context.Context, a *app, r *rehearsal.Rehearsal, file *os.File, m *reconcile.Mapping, keys *purchase.Keyring) (err error) {
	dsn, server, drop, err := c.database(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	if _, _, err := store.Migrate(ctx, dsn, store.Options{}); err != nil {
		return err
	}
	a.printf("Filling a store with as many ...\n")
	if err := bench.Keep(ctx, dsn, c.Lines, r.Record); err != nil {
		return err
	}
	s, err := store.Open(ctx, dsn, store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	timed := &timedStore{Store: s, clock: a.clock, at: map[string]purchase.Instant{}}
	desk, err := reconcile.NewDesk(reconcile.Config{Store: timed, Keys: keys, Clock: a.clock, Known: []reconcile.Known{{Partner: c.partner(r), Mapping: m}}, Dir: c.Dir})
	if err != nil {
		return err
	}
	if c.CPU != "" {
		profile, err := os.Create(c.CPU)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, profile.Close()) }()
		if err := pprof.StartCPUProfile(profile); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	span := r.Span()
	usedBefore, err := processorTime(server)
	if err != nil {
		return err
	}
	begin := a.clock.Now()
	in, progress, finish := a.reading(file)
	report, err := desk.Load(ctx, file.Name(), in, m, reconcile.Want{Partner: "partner", From: span.From, To: span.To}, progress)
	finish()
	if err != nil {
		return err
	}
	took := a.clock.Now().Sub(begin)
	used, err := processorTime(server)
	if err != nil {
		return err
	}
	a.printf("Loaded on %s in %s, %d lines a second. Of that: read and checked %s, matched %s, lines kept %s, breaks kept %s, corrected by the table %s.\n", c.Store,
		took.Round(10*time.Millisecond), int64(float64(report.Statement.Lines)/took.Seconds()), timed.since("Loaded", begin), timed.since("BeginStatement", timed.at["Loaded"]),
		timed.since("PutBreaks", timed.at["BeginStatement"]), timed.since("EndStatement", timed.at["PutBreaks"]), begin.Add(took).Sub(timed.at["EndStatement"]).Round(10*time.Millisecond))
	a.printf("Processor time: %s here, %s of the database's server.\n", (used[0] - usedBefore[0]).Round(10*time.Millisecond), (used[1] - usedBefore[1]).Round(10*time.Millisecond))
	found := newPlanted(r)
	for before, more := int64(0), true; more; {
		all, err := desk.Breaks(ctx, reconcile.Sift{Before: before, Limit: 1000})
		if err != nil {
			return err
		}
		for i := range all {
			found.count(&all[i].Found)
			before = all[i].ID
		}
		more = len(all) > 0
	}
	return found.say(a, &report.Statement.Tally)
}

// timedStore notes when the steps of a load began.
type timedStore struct {
	reconcile.Store
	clock purchase.Clock
	at    map[string]purchase.Instant
}

func (t *timedStore) since(step string, before purchase.Instant) time.Duration {
	return t.at[step].Sub(before).Round(10 * time.Millisecond)
}

func (t *timedStore) Loaded(ctx context.Context, partner, digest string) (reconcile.Statement, error) {
	t.at["Loaded"] = t.clock.Now()
	return t.Store.Loaded(ctx, partner, digest)
}

func (t *timedStore) BeginStatement(ctx context.Context, s reconcile.Statement) (reconcile.Statement, error) {
	t.at["BeginStatement"] = t.clock.Now()
	return t.Store.BeginStatement(ctx, s)
}

func (t *timedStore) PutBreaks(ctx context.Context, partner string, statement int64, found []reconcile.Found, at purchase.Instant) (int, error) {
	t.at["PutBreaks"] = t.clock.Now()
	return t.Store.PutBreaks(ctx, partner, statement, found, at)
}

func (t *timedStore) EndStatement(ctx context.Context, s reconcile.Statement, replaces []int64, at purchase.Instant) (int, error) {
	t.at["EndStatement"] = t.clock.Now()
	return t.Store.EndStatement(ctx, s, replaces, at)
}

// processorTime is what we, and the server, 0 for none of ours, have used.
func processorTime(server *peer.Postgres) (used [2]time.Duration, err error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return used, fmt.Errorf("read the processor time: %w", err)
	}
	used[0] = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	if server != nil {
		used[1], err = server.CPU()
	}
	return used, err
}

// database makes an empty one.
func (c *reconcileBenchCmd) database(ctx context.Context) (dsn string, server *peer.Postgres, drop func() error, err error) {
	switch {
	case c.Store == "sqlite":
		dir, err := os.MkdirTemp(c.Dir, "tenu-bench-*")
		return "sqlite:" + filepath.Join(dir, "tenu.db"), nil, func() error { return os.RemoveAll(dir) }, err
	case c.DSN != "":
		return c.DSN, nil, func() error { return nil }, nil
	}
	if server, err = peer.StartPostgres(true); err != nil {
		return "", nil, nil, err
	}
	if dsn, err = server.Create(ctx, "bench"); err != nil {
		server.Stop()
		return "", nil, nil, err
	}
	return dsn, server, func() error { server.Stop(); return nil }, nil
}

// peakMB is the most memory that this process had, as Linux counts it; 0 where that is not known.
func peakMB() (mb int) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			var kb int
			if _, err := fmt.Sscanf(strings.TrimSpace(rest), "%d kB", &kb); err == nil {
				mb = kb / 1024
			}
		}
	}
	return mb
}
