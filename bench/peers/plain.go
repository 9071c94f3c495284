package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// plain is the purchase as a careful team would write it without a library: one
// transaction for each step, each sent as one batch, one round trip (pgx's
// documentation, "Batch": the statements of a batch are one transaction).
type plain struct {
	w    *world
	pool *pgxpool.Pool
}

// plainConnections is the number that sold most on two cores, of 8 to 96.
const plainConnections = 48

func beginPlain(ctx context.Context, w *world) (version, error) {
	pool, err := openPool(ctx, w.dsn, plainConnections)
	if err != nil {
		return nil, err
	}
	return &plain{w, pool}, nil
}

func (p *plain) sell(ctx context.Context, o order) error {
	var id int64
	err := p.pool.QueryRow(ctx, intentSQL, o.key, o.number).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // it was made before
	}
	if err != nil {
		return fmt.Errorf("intent: %w", err)
	}
	ref := p.w.wallet.move(o.number)
	var charged pgx.Batch
	charged.Queue(chargedSQL, id, ref)
	charged.Queue(chargeBookedSQL, id)
	if err := p.pool.SendBatch(ctx, &charged).Close(); err != nil {
		return fmt.Errorf("charged: %w", err)
	}
	ref = p.w.ocs.move(o.number)
	var credited pgx.Batch
	credited.Queue(creditedSQL, id, ref)
	credited.Queue(unitsBookedSQL, id)
	credited.Queue(noticeSQL, id, o.number, noticeText)
	if err := p.pool.SendBatch(ctx, &credited).Close(); err != nil {
		return fmt.Errorf("credited: %w", err)
	}
	return nil
}

func (p *plain) books(ctx context.Context) (books, error) { return readBooks(ctx, p.pool, booksSQL) }

func (p *plain) close(context.Context) error {
	p.pool.Close()
	return nil
}
