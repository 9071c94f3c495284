package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"tenu/internal/care"
	"tenu/internal/purchase"
)

const (
	reportColumns   = `purchase, number, at, meant, matter, channel, detail`
	callbackColumns = `id, number, purchase, at, window_at, closed_at, state, channel, language, reason`
)

func scanReport(row scanner, r *care.Report) error {
	return row.Scan(&r.Purchase, &r.Number, &r.At, &r.Meant, &r.Matter, &r.Channel, &r.Detail)
}

func scanCallback(row scanner, c *care.Callback) error {
	return row.Scan(&c.ID, &c.Number, &c.Purchase, &c.At, &c.WindowAt, &c.ClosedAt, &c.State, &c.Channel, &c.Language, &c.Reason)
}

// AddReport is care.Store.
func (s *Store) AddReport(ctx context.Context, r care.Report) (first care.Report, added bool, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `INSERT INTO report (`+reportColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
			int64(r.Purchase), int64(r.Number), int64(r.At), int64(r.Meant), clean(string(r.Matter)), clean(r.Channel), clean(r.Detail))
		if err != nil {
			return err
		}
		added = n > 0
		return scanReport(tx.QueryRowContext(ctx, `SELECT `+reportColumns+` FROM report WHERE purchase = $1 AND number = $2 AND matter = $3`,
			int64(r.Purchase), int64(r.Number), clean(string(r.Matter))), &first)
	})
	if err != nil {
		return care.Report{}, false, fmt.Errorf("add a report: %w", err)
	}
	return first, added, nil
}

// Reports is care.Store.
func (s *Store) Reports(ctx context.Context, purchases ...purchase.ID) (found []care.Report, err error) {
	if len(purchases) == 0 {
		return nil, nil
	}
	ids := make([]int64, len(purchases))
	for i, id := range purchases {
		ids[i] = int64(id)
	}
	d := s.db.dialect()
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			found = append(found, care.Report{})
			return scanReport(rows, &found[len(found)-1])
		}, `SELECT `+reportColumns+` FROM report WHERE purchase`+d.among+` ORDER BY at, purchase, number, matter`, d.list(ids))
	})
	if err != nil {
		return nil, fmt.Errorf("read reports: %w", err)
	}
	return found, nil
}

// AddCallback is care.Store. Windows are filled by one transaction at a time: the
// tally of the window is its lock.
func (s *Store) AddCallback(ctx context.Context, c care.Callback, most int) (kept care.Callback, added bool, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		added = false
		if err := s.lockTally(ctx, tx, "callback", c.WindowAt); err != nil {
			return err
		}
		open := `SELECT ` + callbackColumns + ` FROM callback WHERE number = $1 AND state = 1`
		switch err := scanCallback(tx.QueryRowContext(ctx, open, int64(c.Number)), &kept); {
		case err == nil:
			return nil
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		var held int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM callback WHERE window_at = $1 AND state = 1`, int64(c.WindowAt)).Scan(&held); err != nil {
			return err
		}
		if held >= most {
			return care.ErrFull
		}
		n, err := change(ctx, tx, `INSERT INTO callback (number, purchase, at, window_at, closed_at, state, channel, language, reason)
			VALUES ($1, $2, $3, $4, 0, 1, $5, $6, $7) ON CONFLICT DO NOTHING`, int64(c.Number), int64(c.Purchase), int64(c.At),
			int64(c.WindowAt), clean(c.Channel), clean(string(c.Language)), clean(c.Reason))
		if err != nil {
			return err
		}
		added = n > 0 // otherwise another transaction made one for the number, in another window
		return scanCallback(tx.QueryRowContext(ctx, open, int64(c.Number)), &kept)
	})
	if err != nil {
		return care.Callback{}, false, fmt.Errorf("add a callback: %w", err)
	}
	return kept, added, nil
}

// CancelCallback is care.Store.
func (s *Store) CancelCallback(ctx context.Context, id int64, number purchase.MSISDN, at purchase.Instant) (c care.Callback, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := change(ctx, tx, `UPDATE callback SET state = $1, closed_at = $2 WHERE id = $3 AND number = $4 AND state = 1`,
			int64(care.Cancelled), int64(at), id, int64(number)); err != nil {
			return err
		}
		err := scanCallback(tx.QueryRowContext(ctx, `SELECT `+callbackColumns+` FROM callback WHERE id = $1 AND number = $2`, id, int64(number)), &c)
		if errors.Is(err, sql.ErrNoRows) {
			return care.ErrNotFound
		}
		return err
	})
	if err != nil {
		return care.Callback{}, fmt.Errorf("cancel a callback: %w", err)
	}
	return c, nil
}

// Callbacks is care.Store.
func (s *Store) Callbacks(ctx context.Context, number purchase.MSISDN, limit int) (found []care.Callback, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			found = append(found, care.Callback{})
			return scanCallback(rows, &found[len(found)-1])
		}, `SELECT `+callbackColumns+` FROM callback WHERE number = $1 ORDER BY id DESC LIMIT $2`, int64(number), limit)
	})
	if err != nil {
		return nil, fmt.Errorf("read callbacks: %w", err)
	}
	return found, nil
}

// Promised is care.Store.
func (s *Store) Promised(ctx context.Context, from, till purchase.Instant) (map[purchase.Instant]int, error) {
	counts := map[purchase.Instant]int{}
	err := s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var at purchase.Instant
			var n int
			err := rows.Scan(&at, &n)
			counts[at] = n
			return err
		}, `SELECT window_at, count(*) FROM callback WHERE window_at >= $1 AND window_at < $2 AND state = 1 GROUP BY window_at`,
			int64(from), int64(till))
	})
	if err != nil {
		return nil, fmt.Errorf("count callbacks: %w", err)
	}
	return counts, nil
}
