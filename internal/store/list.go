package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"tenu/internal/purchase"
)

// gather reads all rows of a query, each by scan.
func gather[T any](ctx context.Context, tx *sql.Tx, scan func(scanner, *T) error, query string, arguments ...any) (found []T, err error) {
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var row T
		err := scan(rows, &row)
		found = append(found, row)
		return err
	}, query, arguments...)
	return found, err
}

// list reads all rows of a query; doing says so in an error.
func list[T any](ctx context.Context, s *Store, doing string, scan func(scanner, *T) error, query string, arguments ...any) (found []T, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		found, err = gather(ctx, tx, scan, query, arguments...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return found, nil
}

// one reads the only row of a query, or returns absent.
func one[T any](ctx context.Context, s *Store, doing string, absent error, scan func(scanner, *T) error, query string, arguments ...any) (row T, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return scan(tx.QueryRowContext(ctx, query, arguments...), &row)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return *new(T), absent
	case err != nil:
		return *new(T), fmt.Errorf("%s: %w", doing, err)
	}
	return row, nil
}

// agenda is a table with a column due_at: what of it may be due, and how its rows are read.
type agenda[T any] struct {
	columns, open string // open is a table and a condition
	scan          func(*Store, scanner, *T) error
	at            func(*T) purchase.Instant
}

// due reads up to limit rows that are due, soonest first, and when the next after
// those is, zero for none.
func (a agenda[T]) due(ctx context.Context, s *Store, doing string, till purchase.Instant, limit int) (found []T, next purchase.Instant, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		found, err = gather(ctx, tx, func(row scanner, v *T) error { return a.scan(s, row, v) }, `SELECT `+a.columns+` FROM `+a.open+` AND due_at <= $1 ORDER BY due_at, id LIMIT $2`, int64(till), limit+1)
		if err != nil {
			return err
		}
		if len(found) > limit {
			next, found = a.at(&found[limit]), found[:limit]
			return nil
		}
		return tx.QueryRowContext(ctx, `SELECT coalesce(min(due_at), 0) FROM `+a.open+` AND due_at > $1`, int64(till)).Scan(&next)
	})
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", doing, err)
	}
	return found, next, nil
}

// where gathers conditions and their parameters.
type where struct {
	text      strings.Builder
	arguments []any
}

// and adds a condition, whose question marks are its values.
func (w *where) and(condition string, values ...any) {
	joint := " AND "
	if w.text.Len() == 0 {
		joint = " WHERE "
	}
	w.text.WriteString(joint)
	for _, v := range values {
		before, after, _ := strings.Cut(condition, "?")
		w.text.WriteString(before + w.value(v))
		condition = after
	}
	w.text.WriteString(condition)
}

// value adds a parameter, and returns its place.
func (w *where) value(v any) string {
	w.arguments = append(w.arguments, v)
	return "$" + strconv.Itoa(len(w.arguments))
}

// assign sets columns to the parameters from $1 on.
func assign(columns string) string {
	var b strings.Builder
	for i, name := range strings.Split(columns, ", ") {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(name + " = $" + strconv.Itoa(i+1))
	}
	return b.String()
}

// placed is how many columns there are, as parameters.
func placed(columns string) string { return places(strings.Count(columns, ",") + 1) }

// ids are identities as parameters of a list.
func ids[ID ~int64](all []ID) []int64 {
	list := make([]int64, len(all))
	for i, id := range all {
		list[i] = int64(id)
	}
	return list
}
