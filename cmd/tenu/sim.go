package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"tenu/internal/purchase"
	"tenu/internal/sim"
)

// simCmd simulates installations under every fault.
type simCmd struct {
	Purchases int      `default:"100000" help:"How many purchases to simulate."`
	Seed      uint64   `default:"1" help:"What all chance is drawn from. The same seed gives the same history on any machine."`
	Store     string   `enum:"memory,sqlite" default:"memory" help:"Where purchases are kept: memory or sqlite."`
	Care      bool     `help:"Simulate cases, requests, callbacks and rules too, in SQLite."`
	Dir       string   `type:"path" help:"Where SQLite's files go; memory where the system has a directory for it, else the temporary directory."`
	Workers   int      `default:"0" help:"How many worlds are simulated at once; 0 for one per processor."`
	World     int      `help:"Simulate this world only."`
	Buyers    []int    `help:"Only these buyers take part in the world."`
	Without   []string `help:"Faults that are left out."`
	Trace     bool     `help:"Print what happens in the world."`
	Coverage  bool     `help:"Print how often each fault met a purchase in each state."`
	Explain   bool     `default:"true" negatable:"" help:"Shrink the world of a violation and print the story of its purchase."`
	JSON      bool     `name:"json" help:"Print JSON."`
}

// simGarbage is GOGC while worlds are simulated: each is small and soon gone.
const simGarbage = 1000

// simReport is what --json prints.
type simReport struct {
	Seed          uint64                    `json:"seed"`
	Store         string                    `json:"store"`
	Purchases     int                       `json:"purchases"`
	Worlds        int                       `json:"worlds"`
	Steps         int                       `json:"steps"`
	PartnerCalls  int                       `json:"partner_calls"`
	FaultyCalls   int                       `json:"faulty_calls"`
	FaultyPercent float64                   `json:"faulty_percent"`
	Crashes       int                       `json:"crashes"`
	Takeovers     int                       `json:"takeovers"`
	Commits       int                       `json:"commits"`
	Changes       int                       `json:"changes"`
	Messages      int                       `json:"messages"`
	Breaches      int                       `json:"breaches"` // legs where the partner lied: its books differ from what it said
	Unbooked      int                       `json:"unbooked"` // legs that differ, with a case that says so
	Care          *simCare                  `json:"care,omitempty"`
	EndedIn       map[string]int            `json:"ended_in"`
	Faults        map[string]int            `json:"faults"`
	Coverage      map[string]map[string]int `json:"coverage"` // fault, state of the purchase that it met
	Thin          []string                  `json:"thin"`     // reachable pairs of the two that were met less than 100 times
	TraceHash     string                    `json:"trace_hash"`
	Violations    int                       `json:"violations"`
	Found         []*sim.Violation          `json:"found,omitempty"`
	Again         string                    `json:"again,omitempty"` // command that repeats the first
	Seconds       float64                   `json:"seconds"`
}

// simCare is what a simulation with care did.
type simCare struct {
	Cases      int `json:"cases"`
	Settled    int `json:"settled"`
	ByRule     int `json:"settled_by_rule"`
	Treatments int `json:"treatments"`
	Requests   int `json:"requests"`
	Callbacks  int `json:"callbacks_promised"` // those that make good a broken one included
	Kept       int `json:"callbacks_kept"`
	Broken     int `json:"callbacks_broken"`
}

// Run simulates, and on a violation shrinks it and tells its story.
func (c *simCmd) Run(ctx context.Context, a *app) (err error) {
	o := sim.Options{Seed: c.Seed, Purchases: c.Purchases, Workers: c.Workers, World: c.World, Buyers: c.Buyers, Care: c.Care}
	if c.Care {
		c.Store = "sqlite"
	}
	if c.Purchases < 1 || c.Workers < 0 || (c.World == 0 && (c.Buyers != nil || c.Trace)) {
		return usage(errors.New("purchases must be positive; --buyers and --trace need --world"))
	}
	for _, name := range c.Without {
		f, err := sim.ParseFault(name)
		if err != nil {
			return usage(err)
		}
		o.Without = append(o.Without, f)
	}
	if o.Workers == 0 {
		o.Workers = runtime.NumCPU()
	}
	if c.Trace {
		o.Trace = a.out
	}
	if c.Store == "sqlite" {
		dir, err := os.MkdirTemp(cmp.Or(c.Dir, inMemory()), "tenu-sim-")
		if err != nil {
			return fmt.Errorf("make a directory: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		o.Open = sim.SQLite(dir)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(simGarbage))
	began := a.clock.Now()
	r, err := c.simulate(ctx, a, o)
	if err != nil {
		return err
	}
	report := newSimReport(c, r, a.clock.Now().Sub(began).Seconds())
	if len(r.Violations) > 0 && c.Explain {
		report.Again, err = c.explain(ctx, a, o, r.Violations[0])
		if err != nil {
			return err
		}
	}
	if err := c.print(a, report); err != nil {
		return err
	}
	if report.Violations > 0 {
		return errors.New(report.Found[0].Error())
	}
	return nil
}

// inMemory is a directory that is kept in memory, or "". What is lost there with
// the machine is lost with the simulated world.
func inMemory() string {
	const shared = "/dev/shm"
	if info, err := os.Stat(shared); err != nil || !info.IsDir() {
		return ""
	}
	return shared
}

// simulate runs with a progress bar where somebody looks.
func (c *simCmd) simulate(ctx context.Context, a *app, o sim.Options) (*sim.Report, error) {
	if f, ok := a.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) && o.Trace == nil {
		bar := progressbar.NewOptions(c.Purchases, progressbar.OptionSetWriter(f), progressbar.OptionShowCount(),
			progressbar.OptionShowIts(), progressbar.OptionSetItsString("purchases"), progressbar.OptionClearOnFinish())
		defer func() { _ = bar.Finish() }() // only a picture
		o.Progress = func(n int) { _ = bar.Add(n) }
	}
	return sim.Run(ctx, o)
}

// explain shrinks the world of a violation, prints the story of its purchase,
// and returns the command that repeats it.
func (c *simCmd) explain(ctx context.Context, a *app, o sim.Options, v *sim.Violation) (again string, err error) {
	const tries = 200
	small, err := sim.Shrink(ctx, o, v, tries)
	if err != nil {
		return "", err
	}
	again = "tenu sim --store " + c.Store + " " + small.Arguments() + " --trace"
	_, _ = fmt.Fprintf(a.err, "%s\n\n", v.Error()) // there is nobody to tell
	small.Trace = a.err
	if _, err := sim.Run(ctx, small); err != nil {
		return "", err
	}
	_, _ = fmt.Fprintf(a.err, "\nagain: %s\n", again)
	return again, nil
}

func newSimReport(c *simCmd, r *sim.Report, seconds float64) *simReport {
	report := &simReport{Seed: r.Seed, Store: c.Store, Purchases: r.Purchases, Worlds: r.Worlds, Steps: r.Steps,
		PartnerCalls: r.Calls, FaultyCalls: r.Faulty, Crashes: r.Crashes, Takeovers: r.Takeovers, Commits: r.Commits,
		Changes: r.Changes, Messages: r.Messages, Breaches: r.Breaches, Unbooked: r.Unbooked, TraceHash: r.TraceHash,
		Violations: len(r.Violations), Found: r.Violations, Seconds: math.Round(seconds*10) / 10,
		Thin: append([]string{}, r.Thin(100)...), EndedIn: map[string]int{}, Faults: map[string]int{}, Coverage: map[string]map[string]int{}}
	if c.Care {
		report.Care = &simCare{Cases: r.Cases, Settled: r.Settled, ByRule: r.ByRule, Treatments: r.Treatments, Requests: r.Requests,
			Callbacks: r.Callbacks, Kept: r.Kept, Broken: r.Broken}
	}
	if r.Calls > 0 {
		report.FaultyPercent = math.Round(1000*float64(r.Faulty)/float64(r.Calls)) / 10
	}
	for _, s := range purchase.States {
		if s.Final() {
			report.EndedIn[s.String()] = r.States[s]
		}
	}
	for _, f := range sim.Faults() {
		states := map[string]int{}
		for _, s := range purchase.States {
			states[s.String()] = r.Coverage[f][s]
		}
		report.Faults[f.String()], report.Coverage[f.String()] = r.Hits[f], states
	}
	return report
}

func (c *simCmd) print(a *app, r *simReport) error {
	if c.JSON {
		out := json.NewEncoder(a.out)
		out.SetIndent("", "  ")
		return out.Encode(r)
	}
	_, err := fmt.Fprintf(a.out, `%d purchases in %d worlds, seed %d, %s

  partner calls   %9d, %.1f %% with a fault
  commits         %9d of %d changes
  crashes         %9d
  takeovers       %9d
  messages        %9d
  partners' lies  %9d legs that their own books belie
  trace hash      %s
  violations      %9d
  time            %9.1f s
`, r.Purchases, r.Worlds, r.Seed, r.Store, r.PartnerCalls, r.FaultyPercent, r.Commits, r.Changes, r.Crashes, r.Takeovers,
		r.Messages, r.Breaches, r.TraceHash, r.Violations, r.Seconds)
	if k := r.Care; err == nil && k != nil {
		_, err = fmt.Fprintf(a.out, "\n  cases           %9d, settled %d times, by rules %d times\n  rules           %9d acts\n  requests        %9d\n"+
			"  callbacks       %9d, %d kept, %d broken\n", k.Cases, k.Settled, k.ByRule, k.Treatments, k.Requests, k.Callbacks, k.Kept, k.Broken)
	}
	if err != nil || !c.Coverage {
		return err
	}
	table := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := "\nfault\t"
	for _, s := range purchase.States {
		head += s.String() + "\t"
	}
	_, _ = fmt.Fprintln(table, head) // Flush returns the error
	for _, f := range sim.Faults() {
		line := f.String() + "\t"
		for _, s := range purchase.States {
			line += strconv.Itoa(r.Coverage[f.String()][s.String()]) + "\t"
		}
		_, _ = fmt.Fprintln(table, line)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "\nmet less than 100 times, of what can be met: %s\n", cmp.Or(strings.Join(r.Thin, ", "), "none"))
	return err
}
