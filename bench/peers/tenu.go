package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

// engine is the purchase on tenu, with the tables, checks, deadlines and second
// thoughts that it has in production.
type engine struct {
	*purchase.Engine
	kept  *store.Store
	pool  *pgxpool.Pool // to read the books
	end   context.CancelFunc
	ended chan error
}

func beginTenu(ctx context.Context, w *world) (_ version, err error) {
	options := store.Options{}
	if _, _, err := store.Migrate(ctx, w.dsn, options); err != nil {
		return nil, err
	}
	e := &engine{ended: make(chan error, 1)}
	if e.kept, err = store.Open(ctx, w.dsn, options); err != nil {
		return nil, err
	}
	if err := e.start(ctx, w); err != nil {
		return nil, errors.Join(err, e.kept.Close())
	}
	return e, nil
}

func (e *engine) start(ctx context.Context, w *world) (err error) {
	if e.pool, err = pgxpool.New(ctx, w.dsn); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	secret := []byte("a benchmark keeps no secret")
	if _, err = e.kept.Secret(ctx, secret); err != nil {
		return err
	}
	keys, err := purchase.NewKeyring(secret)
	if err != nil {
		return err
	}
	cfg := purchase.Config{Store: e.kept, Keys: keys, Clock: clock{}, Wording: wording{}, Node: "peers",
		Rules: purchase.DefaultRules(), Log: slog.New(slog.DiscardHandler),
		Partners: []purchase.Member{{Partner: adapter{w.wallet}, Concurrency: 4}, {Partner: adapter{w.ocs}, Concurrency: 4}}}
	if e.Engine, err = purchase.New(cfg); err != nil {
		return err
	}
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	e.end = end
	go func() { e.ended <- e.Run(running, 10*time.Second) }()
	for e.Ready() != nil {
		select {
		case err := <-e.ended:
			return errors.Join(errors.New("the engine ended at once"), err)
		case <-ctx.Done():
			end()
			return ctx.Err()
		case <-clock{}.After(time.Millisecond):
		}
	}
	return nil
}

func (e *engine) sell(ctx context.Context, o order) error {
	number := purchase.MSISDN(o.number)
	p, replay, err := e.Buy(ctx, purchase.Request{Client: "peers", ClientKey: o.key, Channel: "api", Language: "fr", PayerNumber: number,
		Recipient: number, Payer: "wallet", Provider: "ocs", Product: "airtime", Offer: 1, Total: total, Fee: fee, Units: units, Currency: money.XOF})
	if err != nil || replay {
		return err
	}
	e.Settle(ctx, []*purchase.Purchase{&p})
	return ctx.Err()
}

const tenuBooks = `
SELECT (SELECT count(*) FROM purchase), (SELECT count(*) FROM purchase WHERE state = 3),
    (SELECT count(*) FROM purchase p WHERE (SELECT coalesce(string_agg(d.name || '>' || c.name || '=' || amount, ',' ORDER BY leg, effect), '')
        FROM posting e JOIN account d ON d.id = debit JOIN account c ON c.id = credit WHERE e.purchase = p.id)
        <> 'wallet/wallet>held=1050,held>delivered/ocs=1000,held>fees/api=50'),
    (SELECT coalesce(sum(amount), 0)::bigint FROM balance b JOIN account a ON a.id = b.account WHERE a.name = 'held'),
    (SELECT count(*) FROM notice),
    (SELECT count(*) FROM purchase p WHERE state = 3 AND NOT EXISTS (SELECT 1 FROM notice n WHERE n.purchase = p.id))`

func (e *engine) books(ctx context.Context) (books, error) {
	found, err := e.kept.Verify(ctx, store.Verification{Now: clock{}.Now()})
	if err != nil {
		return books{}, err
	}
	if len(found) > 0 {
		return books{}, fmt.Errorf("violated: %s", found[0])
	}
	return readBooks(ctx, e.pool, tenuBooks)
}

func (e *engine) close(context.Context) error {
	e.end()
	err := <-e.ended
	e.pool.Close()
	return errors.Join(err, e.kept.Close())
}

// adapter is a partner as the engine knows it.
type adapter struct{ *partner }

// Name is purchase.Partner.
func (a adapter) Name() string { return a.name }

// Capability is purchase.Partner.
func (adapter) Capability(purchase.Leg) purchase.Capability {
	return purchase.Capability{Supported: true, Idempotent: true, KeyLife: 24 * time.Hour, Timeout: 5 * time.Second}
}

// Do is purchase.Partner.
func (a adapter) Do(_ context.Context, o purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Done, Ref: a.move(int64(o.Account)), Amount: o.Amount, Account: o.Account}
}

// Query is purchase.Partner.
func (adapter) Query(context.Context, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown}
}

// Cancel is purchase.Partner.
func (adapter) Cancel(context.Context, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown}
}

type clock struct{}

// Now is purchase.Clock.
func (clock) Now() purchase.Instant { return purchase.At(time.Now()) }

// After is purchase.Clock.
func (clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

type wording struct{}

// Notice is purchase.Wording.
func (wording) Notice(purchase.Fact, *purchase.Purchase, purchase.Reference, purchase.Outcome) string {
	return noticeText
}
