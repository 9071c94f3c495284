package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"

	"tenu/internal/purchase"
	"tenu/internal/reconcile"
	"tenu/internal/reconcile/intake"
	"tenu/internal/store"
)

// reconcileLoadCmd loads a statement by hand.
type reconcileLoadCmd struct {
	reconcileBase
	File    string `arg:"" type:"existingfile" help:"The statement."`
	Partner string `required:"" help:"Whose statement it is."`
	Mapping string `help:"How it is read, where that is another than the configuration says."`
	From    string `help:"Where its period begins, in RFC 3339; needed where the statement does not say."`
	To      string `help:"Where its period ends."`
	Partial bool   `help:"The period is not over: what is missing is not missed yet."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

// instantOf reads a time of the command line.
func instantOf(name, text string) (purchase.Instant, error) {
	if text == "" {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, usage(fmt.Errorf("--%s: %q is not a time such as 2026-07-09T00:00:00Z", name, text))
	}
	return purchase.At(t), nil
}

// Run loads the statement.
func (c *reconcileLoadCmd) Run(ctx context.Context, a *app) error {
	return c.open(ctx, a, func(r *reconciliation, _ *store.Store) error {
		known, ok := r.Known(c.Partner)
		if !ok {
			return usage(fmt.Errorf("no statements of %q are configured (reconcile.statements)", c.Partner))
		}
		m := known.Mapping
		if c.Mapping != "" {
			name := c.Mapping
			if !slices.Contains(reconcile.BuiltIn, name) {
				if path, err := filepath.Abs(name); err == nil {
					name = path
				}
			}
			var err error
			if m, err = reconcile.LoadMapping(name); err != nil {
				return usage(err)
			}
		}
		from, err := instantOf("from", c.From)
		if err != nil {
			return err
		}
		to, err := instantOf("to", c.To)
		if err != nil {
			return err
		}
		file, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // it was only read
		in, progress, finish := a.reading(file)
		report, err := r.Load(ctx, c.File, in, m, reconcile.Want{Partner: c.Partner, From: from, To: to, Partial: c.Partial}, progress)
		finish()
		if err != nil {
			return fmt.Errorf("refused, nothing is booked: %w", err)
		}
		return a.reported(&report, c.JSON)
	})
}

// reading shows a bar to people while a file is read, and how many lines were matched then.
func (a *app) reading(file *os.File) (in io.Reader, progress func(int64), finish func()) {
	info, err := file.Stat()
	if err != nil || !terminal(a.err) {
		return file, nil, func() {}
	}
	bar := progressbar.NewOptions64(info.Size(), progressbar.OptionSetWriter(a.err), progressbar.OptionClearOnFinish(), progressbar.OptionShowBytes(true),
		progressbar.OptionSetWidth(30), progressbar.OptionThrottle(100*time.Millisecond))
	reader := progressbar.NewReader(file, bar)
	return &reader, func(lines int64) { bar.Describe(fmt.Sprintf("%d lines", lines)) }, func() { _ = bar.Finish() } // a terminal that is gone stops nothing
}

// reportLine is a report for machines.
type reportLine struct {
	Statement int64            `json:"statement"`
	Partner   string           `json:"partner"`
	From      string           `json:"from"`
	To        string           `json:"to"`
	Repeated  bool             `json:"repeated"`
	Partial   bool             `json:"partial"`
	Lines     int64            `json:"lines"`
	Matched   int64            `json:"matched"`
	ByRef     int64            `json:"matched_by_reference"`
	ByRule    int64            `json:"matched_by_rule"`
	Movements int64            `json:"movements"`
	Open      int64            `json:"open"`
	Breaks    map[string]int   `json:"breaks"`
	Fresh     int              `json:"fresh"`
	Gone      int              `json:"gone"`
	ByTable   int              `json:"corrected_by_table"`
	Replaced  int              `json:"replaced_statements"`
	Sums      []map[string]any `json:"sums"`
}

// reported prints what became of a statement.
func (a *app) reported(r *reconcile.Report, asJSON bool) error {
	s := &r.Statement
	line := reportLine{Statement: s.ID, Partner: s.Partner, From: s.From.String(), To: s.To.String(), Repeated: r.Repeated, Partial: s.Partial, Lines: s.Lines,
		Matched: s.Tally.Matched, ByRef: s.Tally.ByRef, ByRule: s.Tally.ByRule, Movements: s.Tally.Movements, Open: s.Tally.Open, Breaks: map[string]int{},
		Fresh: r.Fresh, Gone: r.Gone, ByTable: r.ByTable, Replaced: r.Replaced}
	for cause, n := range r.Breaks {
		line.Breaks[cause.String()] = n
	}
	for _, sum := range s.Sums {
		line.Sums = append(line.Sums, map[string]any{"kind": sum.Kind.String(), "currency": sum.Currency, "lines": sum.Lines, "amount": sum.Amount})
	}
	if asJSON {
		return a.json(line)
	}
	if r.Repeated {
		a.printf("Statement %d of %s was loaded before: nothing is done.\n", s.ID, s.Partner)
		return nil
	}
	a.printf("Statement %d of %s, %s to %s: %d lines, %d movements here.\n", s.ID, s.Partner, line.From, line.To, line.Lines, line.Movements)
	a.printf("  matched: %d by key, %d by reference, %d by rule; %d wait for another statement\n", line.Matched, line.ByRef, line.ByRule, line.Open)
	if len(r.Breaks) == 0 {
		a.printf("  %s\n", a.paint().good("no breaks"))
	}
	for _, cause := range reconcile.Causes {
		if n := r.Breaks[cause]; n > 0 {
			a.printf("  %s: %d\n", a.paint().bad(cause.String()), n)
		}
	}
	if r.Fresh+r.Gone+r.ByTable+r.Replaced > 0 {
		a.printf("  new: %d; gone: %d; corrected because the table decides: %d; statements replaced: %d\n", r.Fresh, r.Gone, r.ByTable, r.Replaced)
	}
	return nil
}

// reconcileFetchCmd fetches once.
type reconcileFetchCmd struct {
	reconcileBase
}

// Run fetches. What was refused is an error, after all the rest was done.
func (c *reconcileFetchCmd) Run(ctx context.Context, a *app) error {
	return c.open(ctx, a, func(r *reconciliation, _ *store.Store) error {
		var refused []error
		var seen intake.Seen
		err := r.fetch(ctx, a.clock.Now(), &seen, func(f fetched) {
			if f.Error != "" {
				refused = append(refused, fmt.Errorf("%s: %s", f.Partner, f.Error))
				return
			}
			_ = a.reported(&f.report, false) // only JSON can fail
		})
		if err != nil {
			return err
		}
		done, waiting, err := r.Confirm(ctx)
		if done+waiting > 0 {
			a.printf("Corrections recorded since: %d; not yet: %d.\n", done, waiting)
		}
		return errors.Join(append(refused, err)...)
	})
}

// reconcileStatementsCmd lists statements.
type reconcileStatementsCmd struct {
	reconcileBase
	Partner string `help:"Only this partner's."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

// Run lists.
func (c *reconcileStatementsCmd) Run(ctx context.Context, a *app) error {
	return c.open(ctx, a, func(_ *reconciliation, s *store.Store) error {
		all, err := s.Statements(ctx, c.Partner, reconcile.Span{})
		if err != nil {
			return err
		}
		if c.JSON {
			return a.json(all)
		}
		for i := range all {
			st := &all[i]
			a.printf("%d  %s  %s to %s  %d lines, %d breaks, %d open  %s\n", st.ID, st.Partner, st.From, st.To, st.Lines, st.Tally.Breaks, st.Tally.Open, plain(st.Name))
		}
		return nil
	})
}
