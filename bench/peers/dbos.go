package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	"github.com/jackc/pgx/v5/pgxpool"
)

// flow is the purchase on DBOS Transact: a workflow whose ID is the client key,
// partners asked in steps, rows written in transactions that carry their own
// record of completion (its documentation, "Transactions and datasources").
type flow struct {
	w    *world
	pool *pgxpool.Pool
	dbos dbos.Context
	rows *dbos.DataSource
}

// flowInput is what a workflow is begun with.
type flowInput struct {
	Key    string
	Number int64
}

// dbosConnections is the number that sold most on two cores, of 16 to 96.
const dbosConnections = 48

func beginDBOS(ctx context.Context, w *world) (version, error) {
	pool, err := openPool(ctx, w.dsn, dbosConnections)
	if err != nil {
		return nil, err
	}
	f := &flow{w: w, pool: pool}
	if err := f.start(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return f, nil
}

func (f *flow) start(ctx context.Context) (err error) {
	// The application's tables are in the database of the system's, so that a
	// transaction and its record are one commit.
	f.dbos, err = dbos.NewContext(context.WithoutCancel(ctx), dbos.Config{AppName: "peers", SystemDBPool: f.pool,
		Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("make DBOS's context: %w", err)
	}
	if f.rows, err = dbos.NewDataSource(f.dbos, f.pool); err != nil {
		return fmt.Errorf("make DBOS's data source: %w", err)
	}
	dbos.RegisterWorkflow(f.dbos, f.run, dbos.WithWorkflowName("sell"))
	if err := dbos.Launch(f.dbos); err != nil {
		return fmt.Errorf("launch DBOS: %w", err)
	}
	return nil
}

func (f *flow) sell(_ context.Context, o order) error {
	handle, err := dbos.RunWorkflow(f.dbos, f.run, flowInput{o.key, o.number}, dbos.WithWorkflowID(o.key))
	if err != nil {
		return fmt.Errorf("run the workflow: %w", err)
	}
	if _, err := handle.GetResult(); err != nil {
		return fmt.Errorf("workflow: %w", err)
	}
	return nil
}

// run is the workflow.
func (f *flow) run(ctx dbos.Context, in flowInput) (int64, error) {
	id, err := dbos.RunAsTransaction(ctx, f.rows, func(ctx context.Context, tx dbos.Tx) (id int64, err error) {
		err = tx.QueryRow(ctx, intentSQL, in.Key, in.Number).Scan(&id)
		return id, err
	})
	if err != nil {
		return 0, err
	}
	charge, err := dbos.RunAsStep(ctx, func(context.Context) (string, error) { return f.w.wallet.move(in.Number), nil })
	if err != nil {
		return 0, err
	}
	_, err = dbos.RunAsTransaction(ctx, f.rows, func(ctx context.Context, tx dbos.Tx) (bool, error) {
		if _, err := tx.Exec(ctx, chargedSQL, id, charge); err != nil {
			return false, err
		}
		_, err := tx.Exec(ctx, chargeBookedSQL, id)
		return err == nil, err
	})
	if err != nil {
		return 0, err
	}
	credit, err := dbos.RunAsStep(ctx, func(context.Context) (string, error) { return f.w.ocs.move(in.Number), nil })
	if err != nil {
		return 0, err
	}
	_, err = dbos.RunAsTransaction(ctx, f.rows, func(ctx context.Context, tx dbos.Tx) (bool, error) {
		if _, err := tx.Exec(ctx, creditedSQL, id, credit); err != nil {
			return false, err
		}
		if _, err := tx.Exec(ctx, unitsBookedSQL, id); err != nil {
			return false, err
		}
		_, err := tx.Exec(ctx, noticeSQL, id, in.Number, noticeText)
		return err == nil, err
	})
	return id, err
}

func (f *flow) books(ctx context.Context) (books, error) { return readBooks(ctx, f.pool, booksSQL) }

func (f *flow) close(context.Context) error {
	defer f.pool.Close()
	if err := dbos.Shutdown(f.dbos, 10*time.Second); err != nil {
		return fmt.Errorf("shut DBOS down: %w", err)
	}
	return nil
}
