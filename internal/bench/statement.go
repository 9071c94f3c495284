package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenu/internal/purchase"
)

// row is what Keep writes of a purchase into one table.
type row struct {
	table   string
	columns []string
	values  func(r *purchase.Record) [][]any
}

func flat(text string) []string {
	return strings.Split(strings.Join(strings.Fields(strings.Trim(text, "()")), ""), ",")
}

// movementRows are what a partner's statement is compared with.
var movementRows = []row{
	{"purchase", flat(purchaseColumns), func(r *purchase.Record) [][]any {
		p := &r.Purchase
		return [][]any{{int64(p.ID), p.Version, int64(1), int64(p.PayerNumber), int64(p.Recipient), p.Total, p.Fee, p.Units, int64(p.CreatedAt), int64(p.ChargedAt),
			int64(p.ClosedAt), int64(0), int64(0), int64(0), int64(0), int64(p.DueAt), p.Charged.Minor, p.Held, int64(0), int64(0), int64(p.State), int64(0), int64(0),
			int64(0), int64(0), int64(0), int64(0), int64(0), int64(0), p.Client, p.ClientKey, p.Channel, string(p.Language), p.Payer, p.Provider, p.Product,
			string(p.Currency), string(p.Charged.Currency), []byte{}}}
	}},
	{"attempt", flat("purchase, version, at, leg, try, partner"), func(r *purchase.Record) (all [][]any) {
		for i := range r.Attempts {
			a := &r.Attempts[i]
			all = append(all, []any{int64(r.Purchase.ID), int64(i) + 1, int64(a.At), int64(a.Leg), int64(a.Try), a.Partner})
		}
		return all
	}},
	{"evidence", flat(evidenceColumns), func(r *purchase.Record) (all [][]any) {
		for i := range r.Evidence {
			e := &r.Evidence[i]
			all = append(all, []any{int64(r.Purchase.ID), e.Version, int64(e.At), e.Amount.Minor, int64(e.Account), int64(e.Leg), int64(e.Source), int64(e.Kind),
				e.Partner, e.Ref, string(e.Amount.Currency), e.Product, string(e.Reason), e.Detail})
		}
		return all
	}},
}

// Keep fills purchases, their attempts and their evidence into the database at an address, past the store and without waiting for the
// disk: n records, but for those that make says are none. Indexes that a statement's load does not read are dropped first.
func Keep(ctx context.Context, dsn string, n int, record func(i int, to *purchase.Record) bool) (err error) {
	if path, isFile := strings.CutPrefix(dsn, "sqlite:"); isFile {
		db, err := openSQLite(path, "&_pragma=synchronous(OFF)&_pragma=cache_size(-262144)&_pragma=busy_timeout(10000)")
		if err != nil {
			return err
		}
		return errors.Join(keepSQLite(ctx, db, n, record), db.Close())
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, statement := range []string{`SET synchronous_commit = off`, `DROP INDEX purchase_recipient, purchase_payer`} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("prepare to fill in: %w", err)
		}
	}
	const chunk = 100_000
	for from := 0; from < n; from += chunk {
		for i := range movementRows {
			w := &movementRows[i]
			in := &records{at: from, till: min(from+chunk, n), record: record, of: w}
			if _, err := conn.CopyFrom(ctx, pgx.Identifier{w.table}, w.columns, in); err != nil {
				return fmt.Errorf("fill in %s: %w", w.table, err)
			}
		}
	}
	for _, table := range []string{"purchase", "attempt", "evidence"} {
		if _, err := conn.Exec(ctx, `VACUUM (ANALYZE) `+table); err != nil {
			return fmt.Errorf("tidy %s: %w", table, err)
		}
	}
	return nil
}

// records are the rows of one table, for COPY.
type records struct {
	at, till int
	record   func(int, *purchase.Record) bool
	of       *row
	one      purchase.Record
	rows     [][]any
}

// Next is pgx.CopyFromSource.
func (r *records) Next() bool {
	if len(r.rows) > 1 {
		r.rows = r.rows[1:]
		return true
	}
	for r.at < r.till {
		r.at++
		if r.record(r.at-1, &r.one) {
			if r.rows = r.of.values(&r.one); len(r.rows) > 0 {
				return true
			}
		}
	}
	return false
}

// Values is pgx.CopyFromSource.
func (r *records) Values() ([]any, error) {
	if len(r.rows) == 0 {
		return nil, io.EOF
	}
	return r.rows[0], nil
}

// Err is pgx.CopyFromSource.
func (r *records) Err() error { return nil }

func keepSQLite(ctx context.Context, db *sql.DB, n int, record func(int, *purchase.Record) bool) error {
	for _, name := range []string{"purchase_recipient", "purchase_payer"} {
		if _, err := db.ExecContext(ctx, `DROP INDEX `+name); err != nil {
			return fmt.Errorf("prepare to fill in: %w", err)
		}
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("fill in: %w", err)
	}
	for i := range movementRows {
		if err := keepRows(ctx, tx, &movementRows[i], n, record); err != nil {
			return errors.Join(fmt.Errorf("fill in %s: %w", movementRows[i].table, err), tx.Rollback())
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("fill in: %w", err)
	}
	return nil
}

// keepRows fills in one table.
func keepRows(ctx context.Context, tx *sql.Tx, w *row, n int, record func(int, *purchase.Record) bool) (err error) {
	insert, err := tx.PrepareContext(ctx, `INSERT INTO `+w.table+` (`+strings.Join(w.columns, ", ")+`) VALUES (?`+strings.Repeat(", ?", len(w.columns)-1)+`)`) //nolint:gosec // the columns are ours
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, insert.Close()) }()
	for in := (&records{till: n, record: record, of: w}); in.Next(); {
		if _, err := insert.ExecContext(ctx, in.rows[0]...); err != nil {
			return err
		}
	}
	return nil
}
