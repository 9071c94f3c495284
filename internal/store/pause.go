package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"tenu/internal/incident"
	"tenu/internal/purchase"
)

const (
	// pauseColumns are those that never change, then those that do.
	pauseColumns    = `dimension, name, at, ` + progressOfPause
	progressOfPause = `version, ended_at, share, held, staff, ended_by, incident, tries, good, falls, failing, step_at, try_at, next_at, reason, end_reason, said`
)

// pauseSelected are the columns of a pause as it is read: with when its incident should be over.
const pauseSelected = `id, ` + pauseColumns + `, coalesce((SELECT i.expected_at FROM incident i WHERE i.id = sales_pause.incident), 0)`

func pauseProgress(p *incident.Pause) []any {
	return []any{p.Version, int64(p.EndedAt), int64(p.Share), flag(p.Held), int64(p.By.Staff), int64(p.EndedBy.Staff), int64(p.Incident),
		p.Tries, p.Good, p.Falls, flag(p.Failing), int64(p.StepAt), int64(p.TryAt), int64(p.NextAt), clean(p.Reason), clean(p.EndReason), clean(p.Said)}
}

func scanPause(row scanner, p *incident.Pause) error {
	return row.Scan(&p.ID, &p.Series.By, &p.Series.Name, &p.At, &p.Version, &p.EndedAt, &p.Share, &p.Held, &p.By.Staff, &p.EndedBy.Staff, &p.Incident,
		&p.Tries, &p.Good, &p.Falls, &p.Failing, &p.StepAt, &p.TryAt, &p.NextAt, &p.Reason, &p.EndReason, &p.Said, &p.ExpectedAt)
}

// putPause writes a pause, a new one when its identity is 0, and returns it as it is
// stored. Errors: incident.ErrPaused, ErrStale, ErrNotFound.
func (s *Store) putPause(ctx context.Context, tx *sql.Tx, p incident.Pause) (kept incident.Pause, err error) {
	if p.ID == 0 {
		p.Version = 1
		values := append([]any{int64(p.Series.By), clean(p.Series.Name), int64(p.At)}, pauseProgress(&p)...)
		err := scanPause(tx.QueryRowContext(ctx, `INSERT INTO sales_pause (`+pauseColumns+`) VALUES (`+placed(pauseColumns)+`)
			ON CONFLICT DO NOTHING RETURNING `+pauseSelected, values...), &kept)
		if errors.Is(err, sql.ErrNoRows) {
			return kept, own(incident.ErrPaused)
		}
		if err == nil {
			err = s.leavePause(ctx, tx, &kept)
		}
		return kept, err
	}
	err = scanPause(tx.QueryRowContext(ctx, `UPDATE sales_pause SET `+assign(progressOfPause)+` WHERE id = $18 AND version = $19 AND ended_at = 0
		RETURNING `+pauseSelected, append(pauseProgress(&p), p.ID, p.Version-1)...), &kept)
	if err == nil {
		return kept, s.leavePause(ctx, tx, &kept)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return kept, err
	}
	var there int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM sales_pause WHERE id = $1`, p.ID).Scan(&there); err != nil {
		return kept, err
	}
	if there == 0 {
		return kept, own(incident.ErrNotFound)
	}
	return kept, own(incident.ErrStale)
}

// ChangePause is incident.Store. A pause that ended never changes.
func (s *Store) ChangePause(ctx context.Context, p incident.Pause) (kept incident.Pause, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		kept, err = s.putPause(ctx, tx, p)
		return err
	})
	if err != nil {
		return incident.Pause{}, fmt.Errorf("write a pause: %w", err)
	}
	return kept, nil
}

// Pauses is incident.Store, oldest first.
func (s *Store) Pauses(ctx context.Context, since purchase.Instant) ([]incident.Pause, error) {
	return list(ctx, s, "read pauses", scanPause, `SELECT `+pauseSelected+` FROM sales_pause WHERE ended_at = 0 OR ended_at >= $1 ORDER BY id`, int64(since))
}
