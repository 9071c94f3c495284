package sandbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"tenu/internal/purchase"
)

// View reads a book. A Book reads what is committed; a Page also its own
// transaction's writes.
type View struct{ *statements }

// statements keeps one prepared statement per SQL text.
type statements struct {
	db interface {
		PrepareContext(context.Context, string) (*sql.Stmt, error)
	}
	// detached: the caller's context does not cut a statement short, because the
	// transaction it stands in serves many callers.
	detached bool
	mu       sync.Mutex
	ready    map[string]*sql.Stmt
}

func newStatements(db interface {
	PrepareContext(context.Context, string) (*sql.Stmt, error)
}) *statements {
	return &statements{db: db, ready: map[string]*sql.Stmt{}}
}

// prepare returns the statement of a text. The texts are the package's own, so
// they are few; closing the database closes them.
func (s *statements) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stmt := s.ready[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := s.db.PrepareContext(ctx, query) //nolint:sqlclosecheck // kept for the next time
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	s.ready[query] = stmt
	return stmt, nil
}

// rows runs a query and hands each row to scan.
func (s *statements) rows(ctx context.Context, scan func(*sql.Rows) error, query string, args ...any) error {
	if s.detached {
		ctx = context.WithoutCancel(ctx)
	}
	stmt, err := s.prepare(ctx, query) //nolint:sqlclosecheck // kept for the next time
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

const accountColumns = `number, pocket, balance, unit, status, expires, opened`

func (v View) accounts(ctx context.Context, where string, args ...any) ([]Account, error) {
	var list []Account
	err := v.rows(ctx, func(r *sql.Rows) error {
		var a Account
		err := r.Scan(&a.Number, &a.Pocket, &a.Balance, &a.Unit, &a.Status, &a.Expires, &a.Opened)
		list = append(list, a)
		return err
	}, `SELECT `+accountColumns+` FROM account `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	return list, nil
}

// Account returns one balance of a number, or ErrNoEntry.
func (v View) Account(ctx context.Context, number, pocket string) (Account, error) {
	list, err := v.accounts(ctx, `WHERE number = ? AND pocket = ?`, number, pocket)
	if err != nil || len(list) == 0 {
		return Account{}, errors.Join(err, emptyIs(len(list), err))
	}
	return list[0], nil
}

// Pockets returns every balance of a number, ordered by pocket.
func (v View) Pockets(ctx context.Context, number string) ([]Account, error) {
	return v.accounts(ctx, `WHERE number = ? ORDER BY pocket`, number)
}

// Accounts returns up to limit accounts of numbers greater than after, ordered
// by number and pocket.
func (v View) Accounts(ctx context.Context, after string, limit int) ([]Account, error) {
	return v.accounts(ctx, `WHERE number > ? ORDER BY number, pocket LIMIT ?`, after, limit)
}

const movementColumns = `seq, ref, key, leg, number, amount, currency, product, status, reason, original, note, at, moved`

func (v View) movements(ctx context.Context, where string, args ...any) ([]Movement, error) {
	var list []Movement
	err := v.eachMovement(ctx, func(m Movement) error { list = append(list, m); return nil }, where, args...)
	return list, err
}

func (v View) eachMovement(ctx context.Context, each func(Movement) error, where string, args ...any) error {
	err := v.rows(ctx, func(r *sql.Rows) error {
		var m Movement
		if err := r.Scan(&m.Seq, &m.Ref, &m.Key, &m.Leg, &m.Number, &m.Amount, &m.Currency, &m.Product,
			&m.Status, &m.Reason, &m.Original, &m.Note, &m.At, &m.Moved); err != nil {
			return err
		}
		return each(m)
	}, `SELECT `+movementColumns+` FROM movement `+where, args...)
	if err != nil {
		return fmt.Errorf("read movements: %w", err)
	}
	return nil
}

// Movement returns the movement of a reference, or ErrNoEntry.
func (v View) Movement(ctx context.Context, ref string) (Movement, error) {
	digits := strings.TrimLeft(ref, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	seq, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return Movement{}, ErrNoEntry
	}
	list, err := v.movements(ctx, `WHERE seq = ? AND ref = ?`, seq, ref)
	if err != nil || len(list) == 0 {
		return Movement{}, errors.Join(err, emptyIs(len(list), err))
	}
	return list[0], nil
}

func emptyIs(n int, err error) error {
	if n == 0 && err == nil {
		return ErrNoEntry
	}
	return nil
}

// ByKey returns the movements made under a key, oldest first.
func (v View) ByKey(ctx context.Context, key string) ([]Movement, error) {
	if key == "" {
		return nil, nil
	}
	return v.movements(ctx, `WHERE key = ? AND key <> '' ORDER BY seq`, key)
}

// Undoing returns the movements that undo the one of a reference, oldest first.
func (v View) Undoing(ctx context.Context, ref string) ([]Movement, error) {
	return v.movements(ctx, `WHERE original = ? AND original <> '' ORDER BY seq`, ref)
}

// ByNumber returns up to limit movements of a number after skipping offset, newest first.
func (v View) ByNumber(ctx context.Context, number string, offset, limit int) ([]Movement, error) {
	return v.movements(ctx, `WHERE number = ? ORDER BY seq DESC LIMIT ? OFFSET ?`, number, limit, offset)
}

// Movements returns up to limit movements with Seq greater than after, oldest first.
func (v View) Movements(ctx context.Context, after int64, limit int) ([]Movement, error) {
	return v.movements(ctx, `WHERE seq > ? ORDER BY seq LIMIT ?`, after, limit)
}

// Moved hands each movement that moved from an instant until before another to
// each, in the order that they moved. What was reversed since is among them.
func (v View) Moved(ctx context.Context, from, to purchase.Instant, each func(Movement) error) error {
	return v.eachMovement(ctx, each, `WHERE moved > 0 AND moved >= ? AND moved < ? ORDER BY moved, seq`,
		int64(from), int64(to))
}

// DueBy returns up to limit pieces of work that are due at an instant, soonest first.
func (v View) DueBy(ctx context.Context, now purchase.Instant, limit int) ([]Due, error) {
	var list []Due
	err := v.rows(ctx, func(r *sql.Rows) error {
		var d Due
		err := r.Scan(&d.ID, &d.At, &d.Kind, &d.Data)
		list = append(list, d)
		return err
	}, `SELECT id, at, kind, data FROM due WHERE at <= ? ORDER BY at, id LIMIT ?`, int64(now), limit)
	if err != nil {
		return nil, fmt.Errorf("read due work: %w", err)
	}
	return list, nil
}

// NextDue returns when the next piece of work is due, zero when there is none.
func (v View) NextDue(ctx context.Context) (purchase.Instant, error) {
	var at purchase.Instant
	err := v.rows(ctx, func(r *sql.Rows) error { return r.Scan(&at) }, `SELECT coalesce(min(at), 0) FROM due`)
	if err != nil {
		return 0, fmt.Errorf("read due work: %w", err)
	}
	return at, nil
}

// Count returns how many movements there are by leg and status, and their
// amounts in minor units per currency.
func (v View) Count(ctx context.Context) ([]Tally, error) {
	var list []Tally
	err := v.rows(ctx, func(r *sql.Rows) error {
		var t Tally
		err := r.Scan(&t.Leg, &t.Status, &t.Currency, &t.Movements, &t.Amount)
		list = append(list, t)
		return err
	}, `SELECT leg, status, currency, count(*), sum(amount) FROM movement GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`)
	if err != nil {
		return nil, fmt.Errorf("count movements: %w", err)
	}
	return list, nil
}

// Tally sums up the movements of one leg, status and currency.
type Tally struct {
	Leg       string `json:"leg"`
	Status    Status `json:"status"`
	Currency  string `json:"currency"`
	Movements int64  `json:"movements"`
	Amount    int64  `json:"amount"` // minor units
}
