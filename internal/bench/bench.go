// Package bench measures the engine against a yardstick taken in the same run.
// It knows the engine, the store and nothing of the partners' protocols: its
// partners answer at once, in the process.
package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Load says how much to sell and how.
type Load struct {
	Purchases int
	InFlight  int // purchases open at once
	Customers int // different numbers
}

// Measured is what was measured. Times are in milliseconds.
type Measured struct {
	Store           string  `json:"store"`
	Purchases       int     `json:"purchases"`
	InFlight        int     `json:"in_flight"`
	Seconds         float64 `json:"seconds"`
	PurchasesPerSec float64 `json:"purchases_per_s"`
	FloorPerSec     float64 `json:"floor_per_s"`
	Ratio           float64 `json:"ratio"`
	P50             float64 `json:"p50_ms"`
	P99             float64 `json:"p99_ms"`
	CommitsPerSec   float64 `json:"commits_per_s"`
	BatchMean       float64 `json:"batch_mean"`
}

// Engine sells load.Purchases through an engine on the given store, with
// partners that answer at once, and measures from the request to the durable
// credit. cfg carries Store, Keys, Clock, Wording, Rules and Log.
func Engine(ctx context.Context, cfg purchase.Config, load Load) (Measured, error) {
	cfg.Node = "bench"
	cfg.Partners = []purchase.Member{
		{Partner: prompt("wallet"), Concurrency: 4},
		{Partner: prompt("ocs"), Concurrency: 4},
	}
	cfg.Rules.RepeatWithin = 0
	e, err := purchase.New(cfg)
	if err != nil {
		return Measured{}, fmt.Errorf("build engine: %w", err)
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- e.Run(running, 10*time.Second) }()
	if err := ready(ctx, e, cfg.Clock, ended); err != nil {
		return Measured{}, err
	}
	settled, took, err := sell(ctx, e, cfg.Clock, load)
	stats := e.Stats()
	stop()
	if runErr := <-ended; err == nil && runErr != nil {
		err = fmt.Errorf("run engine: %w", runErr)
	}
	if err != nil {
		return Measured{}, err
	}
	return summarise(load, settled, took, stats), nil
}

func ready(ctx context.Context, e *purchase.Engine, clock purchase.Clock, ended chan error) error {
	for e.Ready() != nil {
		select {
		case err := <-ended:
			return fmt.Errorf("engine ended at once: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-clock.After(time.Millisecond):
		}
	}
	return nil
}

// sell keeps load.InFlight purchases open until all are settled, and returns
// each one's time to settled.
func sell(ctx context.Context, e *purchase.Engine, clock purchase.Clock, load Load) ([]time.Duration, time.Duration, error) {
	settled := make([]time.Duration, load.Purchases)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var clients sync.WaitGroup
	began := clock.Now()
	for range load.InFlight {
		clients.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= load.Purchases {
					return
				}
				from := clock.Now()
				if err := buy(ctx, e, i, load.Customers); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				settled[i] = clock.Now().Sub(from)
			}
		})
	}
	clients.Wait()
	took := clock.Now().Sub(began)
	if err := failed.Load(); err != nil {
		return nil, took, *err
	}
	return settled, took, nil
}

// errNotCredited means that the engine did not do what its partners allowed.
var errNotCredited = errors.New("a purchase was not credited")

// buy makes one purchase and waits until it is credited.
func buy(ctx context.Context, e *purchase.Engine, i, customers int) error {
	number := purchase.MSISDN(22670000000 + i%customers)
	p, _, err := e.Buy(ctx, purchase.Request{Client: "bench", ClientKey: "key-" + strconv.Itoa(i), Channel: "api",
		Language: "fr", PayerNumber: number, Recipient: number, Payer: "wallet", Provider: "ocs",
		Product: "airtime", Offer: 1, Total: 1050, Fee: 50, Units: 1000, Currency: money.XOF})
	if err != nil {
		return fmt.Errorf("buy: %w", err)
	}
	updates, stop := e.Watch(p.ID)
	defer stop()
	for p := range updates {
		if p.State.Final() && p.State != purchase.Credited {
			return errNotCredited
		}
	}
	return nil
}

func summarise(load Load, settled []time.Duration, took time.Duration, stats purchase.Stats) Measured {
	slices.Sort(settled)
	at := func(q float64) float64 {
		return float64(settled[int(q*float64(len(settled)-1))].Microseconds()) / 1000
	}
	seconds := took.Seconds()
	return Measured{Purchases: load.Purchases, InFlight: load.InFlight, Seconds: seconds,
		PurchasesPerSec: float64(load.Purchases) / seconds, P50: at(0.5), P99: at(0.99),
		CommitsPerSec: float64(stats.Commits) / seconds,
		BatchMean:     float64(stats.Changes) / float64(max(stats.Commits, 1))}
}

// prompt is a partner, named by itself, that does at once what it is asked.
type prompt string

// Name is purchase.Partner.
func (p prompt) Name() string { return string(p) }

// Capability is purchase.Partner.
func (p prompt) Capability(purchase.Leg) purchase.Capability {
	return purchase.Capability{Supported: true, Idempotent: true, KeyLife: 24 * time.Hour, Timeout: time.Second}
}

// Do is purchase.Partner.
func (p prompt) Do(_ context.Context, o purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Done, Ref: string(p) + strconv.FormatInt(int64(o.Purchase), 36),
		Amount: o.Amount, Account: o.Account}
}

// Query is purchase.Partner.
func (p prompt) Query(context.Context, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown}
}

// Cancel is purchase.Partner.
func (p prompt) Cancel(context.Context, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown}
}
