package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"tenu/internal/drill"
	"tenu/internal/purchase"
	"tenu/internal/sim"
)

// drillCmd plays a scenario on a private installation.
type drillCmd struct {
	Scenario  string        `arg:"" optional:"" help:"A scenario that comes with tenu, or a scenario file."`
	List      bool          `help:"List the scenarios that come with tenu."`
	Random    uint64        `placeholder:"SEED" help:"Play a scenario that is drawn from a seed."`
	Show      bool          `help:"Print the scenario's file instead of playing it."`
	Purchases int           `help:"How many purchases customers want to make; as many as the scenario says when absent."`
	Seed      uint64        `default:"1" help:"What all chance is drawn from. The same seed gives the same day on any machine."`
	AsItWas   bool          `help:"Play beside it a platform that confirms what was accepted, sees nothing and gives nothing back."`
	RealTime  bool          `help:"Let the scenario's clock go as fast as the wall clock."`
	Language  string        `enum:"fr,en" default:"fr" help:"The language of the account and the chart: fr or en."`
	Chart     string        `type:"path" help:"A file to write a chart (SVG) to."`
	JSON      bool          `name:"json" help:"Print the result as JSON."`
	Against   string        `placeholder:"URL" help:"Play it on the running test deployment whose API is there, with its sandbox partners; the key is taken from TENU_KEY."`
	Key       string        `name:"api-key" help:"The API key of the deployment; better given in TENU_KEY than typed."`
	Speed     float64       `default:"1" help:"With --against: how much faster than the wall clock the scenario's goes. The deployment's deadlines stay real."`
	Rate      int           `default:"100" help:"With --against: purchases a second at most, and how many are read."`
	Product   []string      `help:"With --against: what customers buy; airtime and the first bundle on sale when absent."`
	Within    time.Duration `default:"10m" help:"With --against: how long after the sales all must be settled."`
	LeaveOut  bool          `help:"With --against: play what the sandbox can play, and say what was left out."`
	Dir       string        `type:"path" help:"Where the installation's database goes; memory where the system has a directory for it, else the temporary directory."`
}

// scenario reads what is to be played.
func (c *drillCmd) scenario() (name string, text []byte, err error) {
	switch {
	case c.Random != 0 && c.Scenario != "":
		return "", nil, usage(errors.New("a scenario, or --random, and not both"))
	case c.Random != 0:
		return fmt.Sprintf("random-%d.yaml", c.Random), drill.Generate(c.Random), nil
	case c.Scenario == "":
		return "", nil, usage(fmt.Errorf("which scenario? There are %s, or give a file", strings.Join(drill.Names(), ", ")))
	}
	if text, ok := drill.Shipped(c.Scenario); ok {
		return c.Scenario + ".yaml", text, nil
	}
	if text, err = os.ReadFile(c.Scenario); err != nil {
		return "", nil, usage(fmt.Errorf("no scenario that comes with tenu (%s), and no file: %w", strings.Join(drill.Names(), ", "), err))
	}
	return c.Scenario, text, nil
}

// Run plays the scenario and prints what became of everybody.
func (c *drillCmd) Run(ctx context.Context, a *app) (err error) {
	if c.List {
		return c.list(a)
	}
	name, text, err := c.scenario()
	if err != nil {
		return err
	}
	if c.Show {
		_, err := a.out.Write(text)
		return err
	}
	s, err := drill.Parse(name, text)
	if err != nil {
		return usage(err)
	}
	if c.Purchases < 0 || c.Purchases > drill.MaxPurchases {
		return usage(fmt.Errorf("purchases must be between 1 and %d", drill.MaxPurchases))
	}
	if c.Against == "" && (c.Speed != 1 || c.LeaveOut || len(c.Product) > 0) {
		return usage(errors.New("--speed, --product and --leave-out are of --against"))
	}
	if c.Against != "" {
		return c.against(ctx, a, s)
	}
	dir, err := os.MkdirTemp(cmp.Or(c.Dir, inMemory()), "tenu-drill-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	base, err := sim.SQLite(dir)(ctx, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	o := drill.Options{Seed: c.Seed, Purchases: c.Purchases, Base: base, AsItWas: c.AsItWas}
	if c.RealTime {
		o.Pace = pace(a.clock, s.Script.Begins)
		o.Each = func(line string) { _, _ = fmt.Fprintln(a.err, line) } // while it lasts; the account follows
	}
	defer debug.SetGCPercent(debug.SetGCPercent(simGarbage))
	r, err := s.Run(ctx, o)
	if err != nil {
		return err
	}
	return c.print(a, r)
}

// list prints what there is to play.
func (c *drillCmd) list(a *app) error {
	for _, name := range drill.Names() {
		text, _ := drill.Shipped(name)
		s, err := drill.Parse(name+".yaml", text)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(a.out, "%-18s  %s\n", name, s.Title[c.Language]); err != nil {
			return err
		}
	}
	return nil
}

// print writes the chart, and the account or the JSON.
func (c *drillCmd) print(a *app, r *drill.Result) error {
	if c.Chart != "" {
		picture, err := r.Chart(c.Language)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Clean(c.Chart), picture, 0o644); err != nil { //nolint:gosec // a picture for everybody
			return fmt.Errorf("write the chart: %w", err)
		}
	}
	if c.JSON {
		out := json.NewEncoder(a.out)
		out.SetIndent("", "  ")
		if err := out.Encode(r); err != nil {
			return err
		}
	} else if err := r.Account(a.out, c.Language); err != nil {
		return err
	}
	if r.Violations > 0 {
		return errors.New(r.Violation)
	}
	return nil
}

// pace lets a scenario's clock go as fast as the wall clock.
func pace(clock purchase.Clock, begins purchase.Instant) func(context.Context, purchase.Instant) error {
	started := clock.Now()
	return func(ctx context.Context, to purchase.Instant) error {
		wait := to.Sub(begins) - clock.Now().Sub(started)
		if wait <= time.Millisecond {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-clock.After(wait):
			return nil
		}
	}
}
