// Command peers sells the same purchase through tenu and through what a team would
// otherwise write, side by side on one PostgreSQL server.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tenu/internal/bench"
	"tenu/internal/peer"
)

// revision is tenu's, set when it is built.
var revision = "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	load := flag.Int("purchases", 20_000, "how many each version sells; tenu sells five times as many")
	inFlight := flag.Int("in-flight", 512, "how many are open at once")
	runs := flag.Int("runs", 5, "how often each is measured; the median counts")
	only := flag.String("only", "", "the one version to run, of: "+strings.Join(names(), ", "))
	out := flag.String("out", "", "a file to write the report to, as JSON")
	flag.Parse()
	server, err := peer.StartPostgres(true)
	if err != nil {
		return err
	}
	defer server.Stop()
	m := &meter{server: server, purchases: *load, inFlight: *inFlight, only: *only}
	result, err := bench.Measure(ctx, bench.Scenario{Name: "peers", Store: "postgres", Run: m.run,
		About: "The same purchase, settled and durable, written in four ways; TPC-B of the same run."}, *runs)
	if err != nil {
		return err
	}
	result.Version, result.Go, result.Started = revision, runtime.Version(), clock{}.Now().Time().UTC().Format(time.RFC3339)
	report := bench.Report{Cores: runtime.NumCPU(), CPU: runtime.GOARCH, Results: []bench.Result{result}}
	if _, err := os.Stdout.Write(report.Markdown()); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	if *out == "" {
		return nil
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err == nil {
		err = os.WriteFile(*out, append(text, '\n'), 0o644) //nolint:gosec // figures are for everyone
	}
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func names() (names []string) {
	for _, v := range versions {
		names = append(names, v.name)
	}
	return names
}

// meter measures the versions on a server.
type meter struct {
	server              *peer.Postgres
	purchases, inFlight int
	only                string
	made                int // databases
}

// tpcb is the yardstick of all.
const tpcb = "TPC-B"

// ourLoad is how many times as many purchases tenu sells, so that it is not done in a moment.
const ourLoad = 5

func (m *meter) run(ctx context.Context) (s bench.Sample, err error) {
	const fastest = "fastest of the others"
	rates, best := map[string]float64{}, 0.0
	for _, v := range versions {
		if m.only != "" && v.name != m.only {
			continue
		}
		count := m.purchases
		if v.name == "tenu" {
			count *= ourLoad
		}
		times, took, err := m.measure(ctx, v.begin, count)
		if err != nil {
			return s, fmt.Errorf("%s: %w", v.name, err)
		}
		rates[v.name] = float64(len(times)) / took.Seconds()
		s.Add(v.name, "purchases/s", rates[v.name], tpcb)
		for _, share := range []int{50, 99} {
			s.Add(fmt.Sprintf("%s, settled, p%d", v.name, share), "ms", float64(times[len(times)*share/100].Microseconds())/1000, "")
		}
		if v.name != "tenu" {
			best = max(best, rates[v.name])
		}
	}
	if m.only == "" {
		s.Add("tenu against the fastest", "purchases/s", rates["tenu"], fastest)
		s.Add(fastest, "purchases/s", best, "")
	}
	if m.server.HasPgbench() {
		const scale, seconds = 50, 10
		tps, err := m.server.TPCB(ctx, scale, seconds)
		if err != nil {
			return s, err
		}
		s.Add(tpcb, "transactions/s", tps, "")
	}
	return s, nil
}

// measure sells on a fresh database and returns how long each purchase took,
// ascending, and all of them together. A tenth more is sold before, to warm up.
func (m *meter) measure(ctx context.Context, begin func(context.Context, *world) (version, error), count int) (times []time.Duration, took time.Duration, err error) {
	m.made++
	name := fmt.Sprintf("peers_%d", m.made)
	dsn, err := m.server.Create(ctx, name)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, m.server.Drop(context.WithoutCancel(ctx), name)) }()
	warmup := count/10 + 1
	w := &world{dsn: dsn, inFlight: m.inFlight, wallet: newPartner("wallet", warmup+count), ocs: newPartner("ocs", warmup+count)}
	v, err := begin(ctx, w)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, v.close(context.WithoutCancel(ctx))) }()
	if _, _, err := w.load(ctx, v, 0, warmup); err != nil {
		return nil, 0, err
	}
	if times, took, err = w.load(ctx, v, warmup, count); err != nil {
		return nil, 0, err
	}
	slices.Sort(times)
	b, err := v.books(ctx)
	if err == nil {
		err = w.check(b, warmup+count)
	}
	return times, took, err
}

// load sells count purchases from first on, so many at a time.
func (w *world) load(ctx context.Context, v version, first, count int) (times []time.Duration, took time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var clients sync.WaitGroup
	times = make([]time.Duration, count)
	began := clock{}.Now()
	for range min(w.inFlight, count) {
		clients.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= count {
					return
				}
				from := clock{}.Now()
				if err := v.sell(ctx, orderOf(first+i)); err != nil {
					cancel(err)
				}
				times[i] = clock{}.Now().Sub(from)
			}
		})
	}
	clients.Wait()
	if ctx.Err() != nil {
		return nil, 0, context.Cause(ctx)
	}
	return times, clock{}.Now().Sub(began), nil
}
