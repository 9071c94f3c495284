package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"tenu/internal/hook"
	"tenu/internal/purchase"
)

// told keeps who listens to the lines of one kind of history, and what is still to be told them.
type told struct {
	s                           *Store
	listener, delivery, subject string // tables, and the column of what has the history
	tally                       string // under which a client's listeners are counted
}

// CaseEvents keeps who is told of cases.
func (s *Store) CaseEvents() hook.Store {
	return &told{s, "hook_listener", "hook_delivery", "case_id", "hook "}
}

// IncidentEvents keeps who is told of incidents.
func (s *Store) IncidentEvents() hook.Store {
	return &told{s, "incident_listener", "incident_delivery", "incident", "incident hook "}
}

// PutListener is hook.ListenerStore, of cases.
func (s *Store) PutListener(ctx context.Context, sub hook.Listener, most int) error {
	return s.CaseEvents().PutListener(ctx, sub, most)
}

// DropListener is hook.ListenerStore, of cases.
func (s *Store) DropListener(ctx context.Context, client, id string) error {
	return s.CaseEvents().DropListener(ctx, client, id)
}

// Listeners is hook.ListenerStore, of cases.
func (s *Store) Listeners(ctx context.Context) ([]hook.Listener, error) {
	return s.CaseEvents().Listeners(ctx)
}

// DueDeliveries is hook.Store, of cases.
func (s *Store) DueDeliveries(ctx context.Context, listener string, till purchase.Instant, limit int) (due []hook.Delivery, next purchase.Instant, err error) {
	return s.CaseEvents().DueDeliveries(ctx, listener, till, limit)
}

// MoveDeliveries is hook.Store, of cases.
func (s *Store) MoveDeliveries(ctx context.Context, all []hook.Delivery) error {
	return s.CaseEvents().MoveDeliveries(ctx, all)
}

// ForgetDeliveries is hook.Store, of cases.
func (s *Store) ForgetDeliveries(ctx context.Context, till purchase.Instant, limit int) (gone map[string]int, err error) {
	return s.CaseEvents().ForgetDeliveries(ctx, till, limit)
}

// Backlog is hook.Store, of cases.
func (s *Store) Backlog(ctx context.Context) (b hook.Backlog, err error) {
	return s.CaseEvents().Backlog(ctx)
}

// PutListener is hook.ListenerStore. A client's listeners are counted by
// one transaction at a time.
func (h *told) PutListener(ctx context.Context, sub hook.Listener, most int) error {
	err := h.s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := h.s.lockTally(ctx, tx, h.tally+clean(sub.Client), 0); err != nil {
			return err
		}
		var others int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM `+h.listener+` WHERE client = $1 AND id <> $2`, clean(sub.Client), clean(sub.ID)).Scan(&others); err != nil {
			return err
		}
		if others >= most {
			return hook.ErrFull
		}
		_, err := change(ctx, tx, `INSERT INTO `+h.listener+` (id, at, client, url, query) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (id) DO UPDATE SET client = excluded.client, url = excluded.url, query = excluded.query`,
			clean(sub.ID), int64(sub.At), clean(sub.Client), clean(sub.URL), clean(sub.Query))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep a listener: %w", err)
	}
	return nil
}

// DropListener is hook.ListenerStore.
func (h *told) DropListener(ctx context.Context, client, id string) error {
	err := h.s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `DELETE FROM `+h.listener+` WHERE id = $1 AND client = $2`, clean(id), clean(client))
		if err != nil {
			return err
		}
		if n == 0 {
			return hook.ErrNotFound
		}
		_, err = change(ctx, tx, `DELETE FROM `+h.delivery+` WHERE listener = $1`, clean(id))
		return err
	})
	if err != nil {
		return fmt.Errorf("drop a listener: %w", err)
	}
	return nil
}

// Listeners is hook.ListenerStore.
func (h *told) Listeners(ctx context.Context) (found []hook.Listener, err error) {
	err = h.s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		found = nil
		return each(ctx, tx, func(rows *sql.Rows) error {
			var sub hook.Listener
			err := rows.Scan(&sub.ID, &sub.At, &sub.Client, &sub.URL, &sub.Query)
			found = append(found, sub)
			return err
		}, `SELECT id, at, client, url, query FROM `+h.listener+` ORDER BY id`+h.s.db.dialect().bytewise)
	})
	if err != nil {
		return nil, fmt.Errorf("read listeners: %w", err)
	}
	return found, nil
}

// head says of a delivery d that no earlier one of its subject waits.
func (h *told) head() string {
	return `NOT EXISTS (SELECT 1 FROM ` + h.delivery + ` e WHERE e.listener = d.listener AND e.` + h.subject + ` = d.` + h.subject + ` AND e.seq < d.seq AND e.state = 1)`
}

// DueDeliveries is hook.Store.
func (h *told) DueDeliveries(ctx context.Context, listener string, till purchase.Instant, limit int) (due []hook.Delivery, next purchase.Instant, err error) {
	err = h.s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		due = nil
		err := each(ctx, tx, func(rows *sql.Rows) error {
			var d hook.Delivery
			err := rows.Scan(&d.Listener, &d.Subject, &d.Seq, &d.At, &d.TriedAt, &d.NextAt, &d.Tries, &d.State, &d.Problem)
			due = append(due, d)
			return err
		}, `SELECT listener, `+h.subject+`, seq, at, tried_at, next_at, tries, state, problem FROM `+h.delivery+` d
			WHERE listener = $1 AND state = 1 AND next_at <= $2 AND `+h.head()+` ORDER BY next_at, `+h.subject+`, seq LIMIT $3`,
			clean(listener), int64(till), limit)
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT coalesce(min(next_at), 0) FROM `+h.delivery+` d WHERE listener = $1 AND state = 1 AND next_at > $2 AND `+h.head(),
			clean(listener), int64(till)).Scan(&next)
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read deliveries: %w", err)
	}
	return due, next, nil
}

// MoveDeliveries is hook.Store.
func (h *told) MoveDeliveries(ctx context.Context, all []hook.Delivery) error {
	if len(all) == 0 {
		return nil
	}
	key := ` WHERE listener = $1 AND ` + h.subject + ` = $2 AND seq = $3`
	err := h.s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for i := range all {
			d := &all[i]
			statement, parameters := `DELETE FROM `+h.delivery+key, []any{clean(d.Listener), d.Subject, d.Seq}
			if d.State != hook.Delivered {
				statement = `UPDATE ` + h.delivery + ` SET tried_at = $4, next_at = $5, tries = $6, state = $7, problem = $8` + key
				parameters = append(parameters, int64(d.TriedAt), int64(d.NextAt), d.Tries, int64(d.State), clean(d.Problem))
			}
			if _, err := change(ctx, tx, statement, parameters...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("mark %d deliveries: %w", len(all), err)
	}
	return nil
}

// ForgetDeliveries is hook.Store.
func (h *told) ForgetDeliveries(ctx context.Context, till purchase.Instant, limit int) (gone map[string]int, err error) {
	err = h.s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		gone = map[string]int{}
		return each(ctx, tx, func(rows *sql.Rows) error {
			var listener string
			err := rows.Scan(&listener)
			gone[listener]++
			return err
		}, `DELETE FROM `+h.delivery+` WHERE (listener, `+h.subject+`, seq) IN
			(SELECT listener, `+h.subject+`, seq FROM `+h.delivery+` WHERE state = 1 AND at <= $1 ORDER BY at LIMIT $2) RETURNING listener`, int64(till), limit)
	})
	if err != nil {
		return nil, fmt.Errorf("forget deliveries: %w", err)
	}
	return gone, nil
}

// Backlog is hook.Store.
func (h *told) Backlog(ctx context.Context) (b hook.Backlog, err error) {
	err = h.s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var oldest sql.NullInt64
		err := tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM `+h.delivery+` WHERE state = 1), (SELECT count(*) FROM `+h.delivery+` WHERE state = 3),
			(SELECT min(at) FROM `+h.delivery+` WHERE state = 1)`).Scan(&b.Waiting, &b.Dead, &oldest)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		b.Oldest = purchase.Instant(oldest.Int64)
		return err
	})
	if err != nil {
		return hook.Backlog{}, fmt.Errorf("count deliveries: %w", err)
	}
	return b, nil
}
