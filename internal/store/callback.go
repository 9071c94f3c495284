package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"tenu/internal/care"
	"tenu/internal/purchase"
)

const (
	// callbackColumns are those that never change, then those that do.
	callbackColumns     = `number, purchase, at, window_at, channel, language, reason, follows, ` + progressOfCallback
	progressOfCallback  = `version, case_id, closed_at, state, owner, next_at, due_at, told_at, alerted, tries, trying`
	callbackColumnsRead = `id, ` + callbackColumns
	ringColumns         = `callback, try, staff, at, ended_at, ring, ref`
)

func callbackProgress(c *care.Callback) []any {
	return []any{c.Version, int64(c.Case), int64(c.ClosedAt), int64(c.State), int64(c.Owner), int64(c.NextAt), int64(c.DueAt),
		int64(c.ToldAt), int64(c.Alerted), int64(c.Tries), flag(c.Trying)}
}

func callbackValues(c *care.Callback, reason string) []any {
	return append([]any{int64(c.Number), int64(c.Purchase), int64(c.At), int64(c.WindowAt), clean(c.Channel), clean(string(c.Language)),
		reason, c.Follows}, callbackProgress(c)...)
}

func (s *Store) scanCallback(row scanner, c *care.Callback) error {
	if err := scanCallback(row, c); err != nil {
		return err
	}
	return s.open(&c.Reason, "callback.reason", c.ID)
}

// scanCallback leaves sealed what is sealed.
func scanCallback(row scanner, c *care.Callback) error {
	return row.Scan(&c.ID, &c.Number, &c.Purchase, &c.At, &c.WindowAt, &c.Channel, &c.Language, &c.Reason, &c.Follows, &c.Version, &c.Case,
		&c.ClosedAt, &c.State, &c.Owner, &c.NextAt, &c.DueAt, &c.ToldAt, &c.Alerted, &c.Tries, &c.Trying)
}

func scanRing(row scanner, a *care.Attempt) error {
	return row.Scan(&a.Callback, &a.Try, &a.Staff, &a.At, &a.EndedAt, &a.Ring, &a.Ref)
}

// AddCallback is care.CallbackStore. Windows are filled by one transaction at a time: the
// tally of the window is its lock.
func (s *Store) AddCallback(ctx context.Context, c care.Callback, most int) (kept care.Callback, added bool, err error) {
	c.Version, c.State, c.ClosedAt = 1, care.Promised, 0
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		added = false
		if err := s.lockTally(ctx, tx, "callback", c.WindowAt); err != nil {
			return err
		}
		open := `SELECT ` + callbackColumnsRead + ` FROM callback WHERE number = $1 AND state = 1`
		switch err := s.scanCallback(tx.QueryRowContext(ctx, open, int64(c.Number)), &kept); {
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
			return own(care.ErrFull)
		}
		n, err := s.insertCallback(ctx, tx, &c, ` ON CONFLICT DO NOTHING`)
		if err != nil {
			return err
		}
		added = n > 0 // otherwise another transaction made one for the number, in another window
		if err := s.scanCallback(tx.QueryRowContext(ctx, open, int64(c.Number)), &kept); err != nil || !added {
			return err
		}
		return s.leaveCallback(ctx, tx, &kept, 0)
	})
	if err != nil {
		return care.Callback{}, false, fmt.Errorf("add a callback: %w", err)
	}
	return kept, added, nil
}

func (s *Store) insertCallback(ctx context.Context, tx *sql.Tx, c *care.Callback, more string) (int, error) {
	rows, err := s.fresh(ctx, tx, "callback", 1)
	if err != nil {
		return 0, err
	}
	values := append([]any{rows[0]}, callbackValues(c, s.sealer.text(c.Reason, "callback.reason", rows[0]))...)
	return change(ctx, tx, `INSERT INTO callback (id, `+callbackColumns+`) VALUES (`+placed("id, "+callbackColumns)+`)`+more, values...)
}

// CancelCallback is care.CallbackStore.
func (s *Store) CancelCallback(ctx context.Context, id int64, number purchase.MSISDN, at purchase.Instant) (c care.Callback, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `UPDATE callback SET state = $1, closed_at = $2, due_at = 0, version = version + 1
			WHERE id = $3 AND number = $4 AND state = 1`, int64(care.Cancelled), int64(at), id, int64(number))
		if err != nil {
			return err
		}
		err = s.scanCallback(tx.QueryRowContext(ctx, `SELECT `+callbackColumnsRead+` FROM callback WHERE id = $1 AND number = $2`, id, int64(number)), &c)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return own(care.ErrNotFound)
		case err != nil || n == 0:
			return err
		}
		return s.leaveCallback(ctx, tx, &c, at)
	})
	if err != nil {
		return care.Callback{}, fmt.Errorf("cancel a callback: %w", err)
	}
	return c, nil
}

// ChangeCallback is care.CallbackStore.
func (s *Store) ChangeCallback(ctx context.Context, c care.CallbackChange) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `UPDATE callback SET `+assign(progressOfCallback)+` WHERE id = $12 AND version = $13`,
			append(callbackProgress(&c.Now), c.Now.ID, c.Now.Version-1)...)
		if err != nil {
			return err
		}
		if n == 0 {
			return own(care.ErrStale)
		}
		if a := c.Attempt; a != nil {
			if _, err := change(ctx, tx, `INSERT INTO callback_attempt (`+ringColumns+`) VALUES (`+placed(ringColumns)+`)
				ON CONFLICT (callback, try) DO UPDATE SET ended_at = excluded.ended_at, ring = excluded.ring, ref = excluded.ref`,
				c.Now.ID, a.Try, int64(a.Staff), int64(a.At), int64(a.EndedAt), int64(a.Ring), clean(a.Ref)); err != nil {
				return err
			}
		}
		if c.Follow != nil {
			follow := *c.Follow
			follow.Version, follow.Follows = 1, c.Now.ID
			if _, err := s.insertCallback(ctx, tx, &follow, ""); err != nil {
				return err
			}
			if err := s.leaveCallbackOf(ctx, tx, `follows = $1`, c.Now.ID, 0); err != nil {
				return err
			}
		}
		if err := s.leaveCallbackOf(ctx, tx, `id = $1`, c.Now.ID, calledAt(&c)); err != nil {
			return err
		}
		if err := s.addMessages(ctx, tx, c.Messages, c.Now.Case, c.Now.ID); err != nil {
			return err
		}
		return s.tellCase(ctx, tx, c.Now.Case, c.Entries)
	})
	if err != nil {
		return fmt.Errorf("change callback %d: %w", c.Now.ID, err)
	}
	return nil
}

// calledAt is when a callback changed.
func calledAt(c *care.CallbackChange) (at purchase.Instant) {
	if a := c.Attempt; a != nil {
		at = max(a.At, a.EndedAt)
	}
	for i := range c.Entries {
		at = max(at, c.Entries[i].At)
	}
	return at
}

// leaveCallbackOf adds the leaf of a callback as it is stored.
func (s *Store) leaveCallbackOf(ctx context.Context, tx *sql.Tx, which string, id int64, at purchase.Instant) error {
	var c care.Callback
	if err := scanCallback(tx.QueryRowContext(ctx, `SELECT `+callbackColumnsRead+` FROM callback WHERE `+which, id), &c); err != nil {
		return err
	}
	return s.leaveCallback(ctx, tx, &c, at)
}

// tellCase adds lines to the history of a case that does not change itself: they stand
// behind those that are there, and what follows them changed the case after them.
func (s *Store) tellCase(ctx context.Context, tx *sql.Tx, id care.CaseID, entries []care.Entry) error {
	if id == 0 || len(entries) == 0 {
		return nil
	}
	at := int64(entries[len(entries)-1].At)
	n, err := change(ctx, tx, `UPDATE case_file SET changed_at = CASE WHEN changed_at < $1 THEN $1 ELSE changed_at END WHERE id = $2`, at, int64(id))
	if err != nil || n == 0 {
		return err
	}
	var first int64
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) + 1 FROM case_entry WHERE case_id = $1`, int64(id)).Scan(&first); err != nil {
		return err
	}
	return s.addEntries(ctx, tx, id, first, entries)
}

// Callback is care.CallbackStore.
func (s *Store) Callback(ctx context.Context, id int64) (care.Callback, error) {
	return one(ctx, s, "read a callback", care.ErrNotFound, s.scanCallback, `SELECT `+callbackColumnsRead+` FROM callback WHERE id = $1`, id)
}

// Callbacks is care.CallbackStore.
func (s *Store) Callbacks(ctx context.Context, number purchase.MSISDN, limit int) ([]care.Callback, error) {
	return list(ctx, s, "read callbacks", s.scanCallback, `SELECT `+callbackColumnsRead+` FROM callback WHERE number = $1 ORDER BY id DESC LIMIT $2`,
		int64(number), limit)
}

// Attempts is care.CallbackStore.
func (s *Store) Attempts(ctx context.Context, callback int64) ([]care.Attempt, error) {
	return list(ctx, s, "read attempts", scanRing, `SELECT `+ringColumns+` FROM callback_attempt WHERE callback = $1 ORDER BY try`, callback)
}

var callbackAgenda = agenda[care.Callback]{callbackColumnsRead, `callback WHERE state = 1`, (*Store).scanCallback,
	func(c *care.Callback) purchase.Instant { return c.DueAt }}

// DueCallbacks is care.CallbackStore. Those that an older version promised are due at once.
func (s *Store) DueCallbacks(ctx context.Context, till purchase.Instant, limit int) ([]care.Callback, purchase.Instant, error) {
	return callbackAgenda.due(ctx, s, "read due callbacks", till, limit)
}

// Waiting is care.CallbackStore.
func (s *Store) Waiting(ctx context.Context, till purchase.Instant, limit int) (found []care.Callback, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		found = nil
		for _, which := range []string{`follows <> 0`, `follows = 0`} {
			more, err := gather(ctx, tx, s.scanCallback, `SELECT `+callbackColumnsRead+` FROM callback
				WHERE state = 1 AND `+which+` AND window_at < $1 ORDER BY window_at, id LIMIT $2`, int64(till), limit-len(found))
			if found = append(found, more...); err != nil || len(found) >= limit {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read waiting callbacks: %w", err)
	}
	return found, nil
}

// Promised is care.CallbackStore.
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

// Waited is care.CallbackStore. Who was promised again waited from the first promise on.
func (s *Store) Waited(ctx context.Context, from, till purchase.Instant) (w care.Wait, err error) {
	first, end := int64(from.Add(-care.Window)), int64(till.Add(-care.Window)) // of when the windows begin
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(CASE WHEN state = 2 THEN 1 ELSE 0 END), 0),
				coalesce(sum(CASE WHEN state = 3 THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN state = 4 THEN 1 ELSE 0 END), 0)
			FROM callback WHERE window_at >= $1 AND window_at < $2`, first, end).Scan(&w.Promised, &w.Kept, &w.Cancelled, &w.Broken)
		if err != nil {
			return err
		}
		var waited, handled int64
		err = tx.QueryRowContext(ctx, `WITH RECURSIVE promise (callback, kept_at, at, follows) AS (
				SELECT id, closed_at, at, follows FROM callback WHERE window_at >= $1 AND window_at < $2 AND state = 2
				UNION ALL SELECT p.callback, p.kept_at, b.at, b.follows FROM promise p JOIN callback b ON b.id = p.follows WHERE p.follows <> 0)
			SELECT CAST(coalesce(sum(coalesce((SELECT min(a.at) FROM callback_attempt a WHERE a.callback = p.callback AND a.ring = 2), p.kept_at) - p.at), 0) AS BIGINT)
			FROM promise p WHERE p.follows = 0`, first, end).Scan(&waited)
		if err != nil {
			return err
		}
		err = tx.QueryRowContext(ctx, `SELECT count(*), CAST(coalesce(sum(a.ended_at - a.at), 0) AS BIGINT)
			FROM callback c JOIN callback_attempt a ON a.callback = c.id WHERE c.window_at >= $1 AND c.window_at < $2 AND a.ring = 2`,
			first, end).Scan(&w.Answered, &handled)
		w.Waited, w.Handled = time.Duration(waited)*time.Microsecond, time.Duration(handled)*time.Microsecond
		return err
	})
	if err != nil {
		return care.Wait{}, fmt.Errorf("sum up callbacks: %w", err)
	}
	return w, nil
}
