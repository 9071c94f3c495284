package store

import (
	"context"
	"database/sql"
	"errors"

	"tenu/internal/purchase"
)

// mostTries bounds how often a transaction that lost a race is run.
const mostTries = 5

// errAgain marks a failure that the next try may be spared, nothing having
// been written.
var errAgain = errors.New("worth another try")

// judge says what an error of a statement or, with commit set, of COMMIT means, by
// wrapping it in errAgain, ErrUnavailable, ErrCommitUnknown or errRejected.
type judge func(err error, commit bool) error

// snapshot reads within one transaction.
func snapshot(ctx context.Context, db *sql.DB, what judge, read func(context.Context, *sql.Tx) error) error {
	tx, err := beginRead(ctx, db)
	if err != nil {
		return what(err, false)
	}
	defer tx.Rollback() // nothing was written
	if err := read(ctx, tx); err != nil {
		return judged(err, what)
	}
	return nil
}

// beginRead begins a transaction that only reads, on one snapshot.
func beginRead(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	return db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
}

// transact writes within one transaction, again when it lost a race.
func transact(ctx context.Context, begin func(context.Context) (*sql.Tx, error), what judge, write func(context.Context, *sql.Tx) error) error {
	for try := 1; ; try++ {
		err := transactOnce(ctx, begin, what, write)
		if !errors.Is(err, errAgain) || try == mostTries || ctx.Err() != nil {
			return err
		}
	}
}

func transactOnce(ctx context.Context, begin func(context.Context) (*sql.Tx, error), what judge, write func(context.Context, *sql.Tx) error) error {
	tx, err := begin(ctx)
	if err != nil {
		return what(err, false)
	}
	defer tx.Rollback() // it is over already unless an error is returned
	if err := write(ctx, tx); err != nil {
		return judged(err, what)
	}
	if err := tx.Commit(); err != nil {
		return what(err, true)
	}
	return nil
}

// said is an error of a transaction's function itself: the database did as it should.
type said struct{ error }

func (s said) Unwrap() error { return s.error }

// own makes an error end a transaction that is not to be tried again, and be
// returned as it is.
func own(err error) error { return said{err} }

// judged leaves alone what the transaction's function itself has to say.
func judged(err error, what judge) error {
	if err == nil {
		return nil
	}
	var its said
	if errors.As(err, &its) {
		return its.error
	}
	for _, own := range []error{purchase.ErrFenced, errRenewed, sql.ErrNoRows} {
		if errors.Is(err, own) {
			return err
		}
	}
	return what(err, false)
}
