package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

// Figures is care.DeskStore: opened cases by when they were opened, answered ones by when
// they were answered, closed ones by when they were closed. "Now" is till.
func (s *Store) Figures(ctx context.Context, from, till purchase.Instant) (f care.Figures, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		f = care.Figures{ByCode: map[care.Code]int{}}
		span := []any{int64(from), int64(till)}
		if err := each(ctx, tx, func(rows *sql.Rows) error {
			var code care.Code
			var n int
			err := rows.Scan(&code, &n)
			f.ByCode[code] = n
			f.Opened += n
			return err
		}, `SELECT code, count(*) FROM case_file WHERE opened_at >= $1 AND opened_at < $2 GROUP BY code`, span...); err != nil {
			return err
		}
		for _, sum := range []struct {
			query     string
			arguments []any
			into      []any
		}{
			{`SELECT coalesce(sum(CASE WHEN status = 3 THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN status = 4 THEN 1 ELSE 0 END), 0),
					coalesce(sum(CASE WHEN status = 3 AND rule <> '' THEN 1 ELSE 0 END), 0),
					coalesce(sum(CASE WHEN status = 3 AND closed_at <= resolve_by THEN 1 ELSE 0 END), 0)
				FROM case_file WHERE closed_at <> 0 AND closed_at >= $1 AND closed_at < $2`, span, []any{&f.Settled, &f.Withdrawn, &f.ByRule, &f.ResolvedInTime}},
			{`SELECT count(*), coalesce(sum(CASE WHEN answered_at <= answer_by THEN 1 ELSE 0 END), 0)
				FROM case_file WHERE answered_at <> 0 AND answered_at >= $1 AND answered_at < $2`, span, []any{&f.Answered, &f.AnsweredInTime}},
			{`SELECT count(*), coalesce(sum(CASE WHEN resolve_by <= $1 OR answered_at = 0 AND answer_by <= $1 THEN 1 ELSE 0 END), 0)
				FROM case_file WHERE status = 1`, []any{int64(till)}, []any{&f.Open, &f.Late}},
		} {
			if err := tx.QueryRowContext(ctx, sum.query, sum.arguments...).Scan(sum.into...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return care.Figures{}, fmt.Errorf("sum up cases: %w", err)
	}
	return f, nil
}

// Agents is care.DeskStore: the open cases that each of the staff owns now, and what
// they did in the time.
func (s *Store) Agents(ctx context.Context, from, till purchase.Instant) ([]care.AgentFigures, error) {
	found := map[auth.StaffID]*care.AgentFigures{}
	span := []any{int64(from), int64(till)}
	err := s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		clear(found)
		for _, sum := range []struct {
			query     string
			arguments []any
			into      func(*care.AgentFigures) *int
		}{
			{`SELECT owner, count(*) FROM case_file WHERE status = 1 AND owner <> 0 GROUP BY owner`, nil,
				func(f *care.AgentFigures) *int { return &f.Owned }},
			{`SELECT staff, count(*) FROM case_entry WHERE staff <> 0 AND at >= $1 AND at < $2 AND event = 'settled' GROUP BY staff`, span,
				func(f *care.AgentFigures) *int { return &f.Settled }},
			{`SELECT maker, count(*) FROM request WHERE at >= $1 AND at < $2 AND maker <> 0 GROUP BY maker`, span,
				func(f *care.AgentFigures) *int { return &f.Requests }},
			{`SELECT staff, count(*) FROM callback_attempt WHERE at >= $1 AND at < $2 AND ring <> 9 GROUP BY staff`, span,
				func(f *care.AgentFigures) *int { return &f.Calls }},
			{`SELECT staff, count(*) FROM callback_attempt WHERE at >= $1 AND at < $2 AND ring = 2 GROUP BY staff`, span,
				func(f *care.AgentFigures) *int { return &f.Answered }},
			{`SELECT staff, count(*) FROM look WHERE at >= $1 AND at < $2 GROUP BY staff`, span,
				func(f *care.AgentFigures) *int { return &f.Views }},
		} {
			err := each(ctx, tx, func(rows *sql.Rows) error {
				var id auth.StaffID
				var n int
				if err := rows.Scan(&id, &n); err != nil {
					return err
				}
				if found[id] == nil {
					found[id] = &care.AgentFigures{Staff: id}
				}
				*sum.into(found[id]) = n
				return nil
			}, sum.query, sum.arguments...)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("sum up agents: %w", err)
	}
	var all []care.AgentFigures
	for _, id := range slices.Sorted(maps.Keys(found)) {
		all = append(all, *found[id])
	}
	return all, nil
}

// Course is care.DeskStore. Promises are counted where their windows end, kept or not.
func (s *Store) Course(ctx context.Context, from, till purchase.Instant, every time.Duration) ([]care.Bucket, error) {
	width := every.Microseconds()
	if width <= 0 || till <= from {
		return nil, nil
	}
	buckets := make([]care.Bucket, (int64(till-from)+width-1)/width)
	for i := range buckets {
		buckets[i].At = from + purchase.Instant(int64(i)*width)
	}
	window := care.Window.Microseconds()
	err := s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, sum := range []struct {
			at, where string
			shift     int64
			into      func(*care.Bucket) *int
		}{
			{`opened_at`, `case_file WHERE`, 0, func(b *care.Bucket) *int { return &b.Opened }},
			{`closed_at`, `case_file WHERE closed_at <> 0 AND status = 3 AND`, 0, func(b *care.Bucket) *int { return &b.Settled }},
			{`window_at`, `callback WHERE`, window, func(b *care.Bucket) *int { return &b.Promised }},
			{`window_at`, `callback WHERE state = 4 AND`, window, func(b *care.Bucket) *int { return &b.Broken }},
		} {
			err := each(ctx, tx, func(rows *sql.Rows) error {
				var i, n int
				err := rows.Scan(&i, &n)
				*sum.into(&buckets[i]) = n
				return err
			}, `SELECT (`+sum.at+` - $1) / $3, count(*) FROM `+sum.where+` `+sum.at+` >= $1 AND `+sum.at+` < $2 GROUP BY 1`,
				int64(from)-sum.shift, int64(till)-sum.shift, width)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("sum up the course: %w", err)
	}
	return buckets, nil
}
