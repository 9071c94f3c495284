package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// saga is the purchase on River: the intent and its job are written in one
// transaction (River's documentation, "Transactional enqueueing"), the job goes
// through the steps by the purchase's state, and is completed in the transaction
// of the last one ("Transactional job completion").
type saga struct {
	river.WorkerDefaults[sellArgs]

	w       *world
	pool    *pgxpool.Pool
	client  *river.Client[pgx.Tx]
	mu      sync.Mutex
	waiting map[int64]chan error // by purchase
}

// sellArgs is the job of one purchase.
type sellArgs struct {
	Purchase int64 `json:"purchase"`
	Number   int64 `json:"number"`
}

// Kind is river.JobArgs.
func (sellArgs) Kind() string { return "sell" }

// What sold most on two cores: of 16 to 96 connections, 1 ms to 100 ms (River's
// default) between two fetches.
const (
	riverConnections = 48
	riverCooldown    = 20 * time.Millisecond
)

func beginRiver(ctx context.Context, w *world) (version, error) {
	pool, err := openPool(ctx, w.dsn, riverConnections)
	if err != nil {
		return nil, err
	}
	s := &saga{w: w, pool: pool, waiting: map[int64]chan error{}}
	if err := s.start(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

func (s *saga) start(ctx context.Context) error {
	quiet := slog.New(slog.DiscardHandler)
	driver := riverpgxv5.New(s.pool)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet})
	if err != nil {
		return fmt.Errorf("make River's tables: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("make River's tables: %w", err)
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, s)
	s.client, err = river.NewClient(driver, &river.Config{Logger: quiet, Workers: workers, FetchCooldown: riverCooldown,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: s.w.inFlight}}})
	if err != nil {
		return fmt.Errorf("make River's client: %w", err)
	}
	if err := s.client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start River: %w", err)
	}
	return nil
}

func (s *saga) sell(ctx context.Context, o order) error {
	done, err := s.intend(ctx, o)
	if err != nil || done == nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// intend makes the purchase and its job durable; done is nil when it was made before.
func (s *saga) intend(ctx context.Context, o order) (done chan error, err error) {
	var id int64
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, intentSQL, o.key, o.number).Scan(&id); err != nil {
			return err
		}
		done = make(chan error, 1)
		s.mu.Lock()
		s.waiting[id] = done
		s.mu.Unlock()
		_, err := s.client.InsertTx(ctx, tx, sellArgs{id, o.number}, nil)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // documented
	}
	if err != nil {
		s.forget(id)
		return nil, fmt.Errorf("intent: %w", err)
	}
	return done, nil
}

func (s *saga) forget(id int64) (done chan error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	done = s.waiting[id]
	delete(s.waiting, id)
	return done
}

// Work is river.Worker: the steps that the purchase has not gone through yet.
func (s *saga) Work(ctx context.Context, job *river.Job[sellArgs]) error {
	id := job.Args.Purchase
	state := 1
	if job.Attempt > 1 { // an earlier attempt may have come further
		if err := s.pool.QueryRow(ctx, `SELECT state FROM purchase WHERE id = $1`, id).Scan(&state); err != nil {
			return fmt.Errorf("read the purchase: %w", err)
		}
	}
	if state == 1 {
		ref := s.w.wallet.move(job.Args.Number)
		var charged pgx.Batch
		charged.Queue(chargedSQL, id, ref)
		charged.Queue(chargeBookedSQL, id)
		if err := s.pool.SendBatch(ctx, &charged).Close(); err != nil {
			return fmt.Errorf("charged: %w", err)
		}
	}
	ref := s.w.ocs.move(job.Args.Number)
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var credited pgx.Batch
		credited.Queue(creditedSQL, id, ref)
		credited.Queue(unitsBookedSQL, id)
		credited.Queue(noticeSQL, id, job.Args.Number, noticeText)
		if err := tx.SendBatch(ctx, &credited).Close(); err != nil {
			return err
		}
		_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
		return err
	})
	if err != nil {
		return fmt.Errorf("credited: %w", err)
	}
	if done := s.forget(id); done != nil {
		done <- nil
	}
	return nil
}

func (s *saga) books(ctx context.Context) (books, error) { return readBooks(ctx, s.pool, booksSQL) }

func (s *saga) close(ctx context.Context) error {
	defer s.pool.Close()
	if err := s.client.Stop(ctx); err != nil {
		return fmt.Errorf("stop River: %w", err)
	}
	return nil
}
