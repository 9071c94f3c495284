package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"tenu/internal/bench"
	"tenu/internal/notify"
	"tenu/internal/numbering"
)

// benchCmd runs the benchmarks.
type benchCmd struct {
	Scenarios []string `arg:"" optional:"" help:"What to measure, all when absent: ${scenarios}."`
	Store     string   `enum:"sqlite,postgres,all" default:"all" help:"Where purchases are kept: sqlite, postgres or all."`
	Runs      int      `placeholder:"N" help:"How often each is measured; the median counts (5, with --quick 1)."`
	Quick     bool     `help:"Take a first look at a small size."`
	JSON      bool     `name:"json" help:"Print the report as JSON."`
	Out       string   `type:"path" help:"A directory to write the report (JSON and Markdown) and its charts (SVG) to; what is there of other scenarios is kept."`
	DSN       string   `help:"A PostgreSQL database to use instead of a private server; schemas are made in it and dropped."`
	Dir       string   `type:"path" help:"Where SQLite's files go; a temporary directory when absent."`

	Purchases int           `help:"How many are sold where throughput is measured (200 000)."`
	InFlight  int           `help:"How many are open at once while it is (1024)."`
	Customers int           `help:"How many different numbers buy (100 000)."`
	Point     time.Duration `help:"How long each rate of arrivals is kept up (5s)."`
	Lone      int           `help:"How many are sold one at a time (1000)."`
	Stored    int           `help:"How many the full store holds (10 000 000)."`
	Lookups   int           `help:"How many look-ups of each kind are made (2000)."`
	Open      int           `help:"How many are open at once for their memory (1 000 000)."`
	Left      int           `help:"How many a stopped node leaves open (100 000)."`
	Stuck     int           `help:"How many an outage leaves stuck (1 000 000)."`
	Allowed   int           `help:"How many calls a second the provider allows after it (5000)."`
	Sales     int           `help:"How many sales a second go on meanwhile (500)."`
	Leaves    int           `help:"How many leaves the log has that is audited (1 000 000)."`
	Calls     int           `help:"How many telephone calls are held at once (500)."`
	Held      time.Duration `help:"How long they are (1m)."`
}

// size is the size asked for: a whole one, changed where a flag is given.
func (c *benchCmd) size() bench.Size {
	s := bench.Full()
	if c.Quick {
		s = bench.Quick()
	}
	for _, n := range []struct {
		of    *int
		given int
	}{{&s.Purchases, c.Purchases}, {&s.InFlight, c.InFlight}, {&s.Customers, c.Customers}, {&s.Lone, c.Lone},
		{&s.Stored, c.Stored}, {&s.Lookups, c.Lookups}, {&s.Open, c.Open}, {&s.Left, c.Left}, {&s.Stuck, c.Stuck},
		{&s.Allowed, c.Allowed}, {&s.Sales, c.Sales}, {&s.Leaves, c.Leaves}, {&s.Calls, c.Calls}} {
		*n.of = cmp.Or(n.given, *n.of)
	}
	s.Point, s.Held = cmp.Or(c.Point, s.Point), cmp.Or(c.Held, s.Held)
	return s
}

// Run measures, prints the report, and writes it with its charts.
func (c *benchCmd) Run(ctx context.Context, a *app) error {
	size := c.size()
	if err := size.Check(); err != nil {
		return usage(err)
	}
	for _, name := range c.Scenarios {
		if !slices.Contains(benchNames(), name) {
			return usage(fmt.Errorf("no scenario is named %q; there are %s", name, strings.Join(benchNames(), ", ")))
		}
	}
	if c.Runs == 0 {
		c.Runs = 5
		if c.Quick {
			c.Runs = 1
		}
	}
	r := &benchRun{cmd: c, app: a, size: size}
	report, failed := r.measure(ctx)
	if failed != nil && len(report.Results) == 0 {
		return failed
	}
	if c.Out != "" {
		if err := writeReport(c.Out, report); err != nil {
			return errors.Join(failed, err)
		}
	}
	if c.JSON {
		return errors.Join(failed, a.json(report))
	}
	a.showReport(report)
	return failed
}

// benchRun is one run of the command: what its scenarios share.
type benchRun struct {
	cmd      *benchCmd
	app      *app
	size     bench.Size
	server   *benchServer // PostgreSQL's, nil until it is needed
	closing  []func() error
	database string // what the server says that it is
}

// later calls f when the store at hand is done with.
func (r *benchRun) later(f func() error) { r.closing = append(r.closing, f) }

// close ends what was begun for a store.
func (r *benchRun) close() (err error) {
	for _, f := range slices.Backward(r.closing) {
		err = errors.Join(err, f())
	}
	r.closing, r.server = nil, nil
	return err
}

// A family lists scenarios of one kind on a store. Each has a file of its own.
type family func(r *benchRun, bed *bench.Bed) []bench.Scenario

// families are all of them, in the order that they run.
var families = []family{engineScenarios, httpScenarios, troubleScenarios, storeScenarios}

// alone lists scenarios that need no store.
var alone = []family{voiceScenarios}

// benchNames are the names of all scenarios.
func benchNames() (names []string) {
	for _, f := range slices.Concat(families, alone) {
		for _, s := range f(&benchRun{}, &bench.Bed{}) {
			names = append(names, s.Name)
		}
	}
	return names
}

// measure runs every scenario asked for on every store asked for. With an error
// it returns what was measured before it.
func (r *benchRun) measure(ctx context.Context) (*bench.Report, error) {
	report := &bench.Report{}
	describeMachine(report)
	stores := []string{r.cmd.Store}
	if r.cmd.Store == "all" {
		stores = []string{"postgres", "sqlite"}
	}
	results, err := r.measureEach(ctx, &bench.Bed{Clock: r.app.clock, Size: r.size}, alone)
	report.Results = append(report.Results, results...)
	if err != nil || len(r.cmd.Scenarios) > 0 && len(results) == len(r.cmd.Scenarios) {
		return report, err
	}
	for _, store := range stores {
		results, err := r.measureOn(ctx, store)
		report.Results = append(report.Results, results...)
		if err = errors.Join(err, r.close()); err != nil {
			return report, err
		}
	}
	return report, nil
}

// measureOn runs the scenarios asked for on a store.
func (r *benchRun) measureOn(ctx context.Context, store string) (results []bench.Result, err error) {
	bed, err := r.bed(ctx, store)
	if err != nil {
		return nil, err
	}
	return r.measureEach(ctx, bed, families)
}

// measureEach runs the scenarios asked for of some families.
func (r *benchRun) measureEach(ctx context.Context, bed *bench.Bed, families []family) (results []bench.Result, err error) {
	for _, f := range families {
		for _, s := range f(r, bed) {
			if len(r.cmd.Scenarios) > 0 && !slices.Contains(r.cmd.Scenarios, s.Name) {
				continue
			}
			started := r.app.clock.Now().Time().Format(time.RFC3339)
			result, err := bench.Measure(ctx, r.told(s), r.cmd.Runs)
			if err != nil {
				return results, err
			}
			result.Version, result.Go, result.Started = version, runtime.Version(), started
			if bed.Store == "postgres" {
				result.Database = r.database
			}
			results = append(results, result)
		}
	}
	return results, nil
}

// told says on the other stream which run of a scenario is under way.
func (r *benchRun) told(s bench.Scenario) bench.Scenario {
	run, began := s.Run, 0
	s.Run = func(ctx context.Context) (bench.Sample, error) {
		began++
		from := r.app.clock.Now()
		_, _ = fmt.Fprintf(r.app.err, "%s %s, run %d of %d ...", s.Name, s.Store, began, r.cmd.Runs)
		sample, err := run(ctx)
		_, _ = fmt.Fprintf(r.app.err, " %.0f s\n", r.app.clock.Now().Sub(from).Seconds())
		return sample, err
	}
	return s
}

// bed sets up a store.
func (r *benchRun) bed(ctx context.Context, store string) (*bench.Bed, error) {
	wording, err := benchWording()
	if err != nil {
		return nil, err
	}
	bed := &bench.Bed{Store: store, Committers: 1, Clock: r.app.clock, Wording: wording, Size: r.size,
		Log: slog.New(slog.NewTextHandler(r.app.err, &slog.HandlerOptions{Level: slog.LevelError}))}
	if store == "postgres" {
		return bed, r.postgres(ctx, bed)
	}
	bed.Fresh = func(context.Context) (string, func(context.Context) error, error) {
		dir, err := os.MkdirTemp(r.cmd.Dir, "tenu-bench-")
		if err != nil {
			return "", nil, fmt.Errorf("make a directory: %w", err)
		}
		drop := func(context.Context) error { return os.RemoveAll(dir) }
		return "sqlite:" + filepath.Join(dir, "tenu.db"), drop, nil
	}
	return bed, nil
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
