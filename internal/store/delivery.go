package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"tenu/internal/notify"
	"tenu/internal/purchase"
)

// PutDeliveries is notify.DeliveryStore. A centre that gives a name to a second
// message begins anew with it.
func (s *Store) PutDeliveries(ctx context.Context, all []notify.Delivery) error {
	if len(all) == 0 {
		return nil
	}
	rows := make([][7]any, len(all))
	for i := range all {
		d := &all[i]
		rows[i] = [7]any{clean(d.Centre), clean(d.Ref), clean(d.Message), d.At, d.ToldAt, d.State, clean(d.Detail)}
	}
	const (
		other = `excluded.message <> '' AND delivery.message <> '' AND delivery.message <> excluded.message`
		newer = `(` + other + `) OR excluded.told_at <> 0 AND (delivery.told_at = 0 OR excluded.state > delivery.state)`
	)
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := change(ctx, tx, `INSERT INTO delivery (centre, ref, message, at, told_at, state, detail)
			SELECT value ->> 0, value ->> 1, value ->> 2, CAST(value ->> 3 AS BIGINT), CAST(value ->> 4 AS BIGINT), CAST(value ->> 5 AS SMALLINT), value ->> 6
			FROM `+s.db.dialect().rows+` WHERE true
			ON CONFLICT (centre, ref) DO UPDATE SET
				message = CASE WHEN excluded.message = '' THEN delivery.message ELSE excluded.message END,
				at = CASE WHEN excluded.message = '' THEN delivery.at ELSE excluded.at END,
				told_at = CASE WHEN `+newer+` THEN excluded.told_at ELSE delivery.told_at END,
				state = CASE WHEN `+newer+` THEN excluded.state ELSE delivery.state END,
				detail = CASE WHEN `+newer+` THEN excluded.detail ELSE delivery.detail END`, jsonText(rows))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep %d deliveries: %w", len(all), err)
	}
	return nil
}

// Deliveries returns what became of messages of our names, the first handed over first.
func (s *Store) Deliveries(ctx context.Context, messages ...string) (found []notify.Delivery, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		rows := make([][1]string, len(messages))
		for i, m := range messages {
			rows[i][0] = clean(m)
		}
		return each(ctx, tx, func(rows *sql.Rows) error {
			found = append(found, notify.Delivery{})
			d := &found[len(found)-1]
			return rows.Scan(&d.Centre, &d.Ref, &d.Message, &d.At, &d.ToldAt, &d.State, &d.Detail)
		}, `SELECT centre, ref, message, at, told_at, state, detail FROM delivery
			WHERE message IN (SELECT value ->> 0 FROM `+s.db.dialect().rows+`) ORDER BY at, centre, ref`, jsonText(rows))
	})
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	return found, nil
}

// keptDeliveries is how long receipts are kept: as long as customers ask about them.
const keptDeliveries = 90 * 24 * time.Hour

// keptDead is how long events that were given up are kept: as long as operators look into it.
const keptDead = 14 * 24 * time.Hour

// Tidy forgets what is of no more use at an instant: sessions that are over, codes
// and counts of periods that are over, receipts of messages older than
// keptDeliveries, and events that were given up longer ago than keptDead.
func (s *Store) Tidy(ctx context.Context, now purchase.Instant) error {
	for _, old := range []struct {
		where string
		till  purchase.Instant
	}{
		{`session WHERE till <= $1`, now},
		{`staff_session WHERE till <= $1`, now},
		{`tally WHERE till <= $1`, now},
		{`one_time_code WHERE till <= $1`, now},
		{`delivery WHERE at <= $1 AND told_at <= $1`, now.Add(-keptDeliveries)},
		{`hook_delivery WHERE state = 3 AND tried_at <= $1`, now.Add(-keptDead)},
		{`incident_delivery WHERE state = 3 AND tried_at <= $1`, now.Add(-keptDead)},
	} {
		err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
			_, err := change(ctx, tx, `DELETE FROM `+old.where, int64(old.till))
			return err
		})
		if err != nil {
			return fmt.Errorf("tidy up: %w", err)
		}
	}
	return nil
}
