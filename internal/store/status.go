package store

import (
	"context"
	"database/sql"
	"fmt"

	"tenu/internal/incident"
	"tenu/internal/purchase"
	"tenu/internal/status"
)

// Subscribe is status.Subscriptions.
func (s *Store) Subscribe(ctx context.Context, sub status.Subscription, most int) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		name := fmt.Sprintf("status/subscriptions/%d", sub.Number)
		if err := s.lockTally(ctx, tx, name, 0); err != nil { // so that two at once are counted both
			return err
		}
		others, err := numbers(ctx, tx, `SELECT count(*) FROM status_subscription WHERE number = $1 AND NOT (dimension = $2 AND name = $3)`,
			int64(sub.Number), int(sub.Series.By), clean(sub.Series.Name))
		if err != nil {
			return err
		}
		if others[0] >= int64(most) {
			return own(status.ErrFull)
		}
		_, err = change(ctx, tx, `INSERT INTO status_subscription (number, dimension, at, name, language) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (number, dimension, name) DO UPDATE SET language = excluded.language`,
			int64(sub.Number), int(sub.Series.By), int64(sub.At), clean(sub.Series.Name), clean(string(sub.Language)))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep a subscription: %w", err)
	}
	return nil
}

// Unsubscribe is status.Subscriptions.
func (s *Store) Unsubscribe(ctx context.Context, number purchase.MSISDN, series incident.Series) (n int, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if series == (incident.Series{}) {
			n, err = change(ctx, tx, `DELETE FROM status_subscription WHERE number = $1`, int64(number))
		} else {
			n, err = change(ctx, tx, `DELETE FROM status_subscription WHERE number = $1 AND dimension = $2 AND name = $3`,
				int64(number), int(series.By), clean(series.Name))
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("end a subscription: %w", err)
	}
	return n, nil
}

const subscriptionColumns = `number, dimension, at, name, language`

// Subscribers is status.Subscriptions. Of a number that follows both the series and all, the former counts.
func (s *Store) Subscribers(ctx context.Context, series incident.Series, since purchase.Instant, after purchase.MSISDN, limit int) ([]status.Subscription, error) {
	found, err := s.subscriptions(ctx, `SELECT `+subscriptionColumns+` FROM status_subscription AS own
		WHERE dimension = $1 AND name = $2 AND number > $3 AND at <= $5
		UNION ALL SELECT `+subscriptionColumns+` FROM status_subscription AS whole
		WHERE dimension = 0 AND name = '' AND $1 <> 0 AND number > $3 AND at <= $5 AND NOT EXISTS
			(SELECT 1 FROM status_subscription AS own WHERE own.number = whole.number AND own.dimension = $1 AND own.name = $2 AND own.at <= $5)
		ORDER BY number LIMIT $4`, int(series.By), clean(series.Name), int64(after), limit, int64(since))
	if err != nil {
		return nil, fmt.Errorf("read subscribers: %w", err)
	}
	return found, nil
}

// SubscriptionsOf is status.Subscriptions.
func (s *Store) SubscriptionsOf(ctx context.Context, number purchase.MSISDN) ([]status.Subscription, error) {
	found, err := s.subscriptions(ctx, `SELECT `+subscriptionColumns+` FROM status_subscription WHERE number = $1
		ORDER BY dimension, name`+s.db.dialect().bytewise, int64(number))
	if err != nil {
		return nil, fmt.Errorf("read subscriptions: %w", err)
	}
	return found, nil
}

func (s *Store) subscriptions(ctx context.Context, query string, arguments ...any) (found []status.Subscription, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		found = nil
		return each(ctx, tx, func(rows *sql.Rows) error {
			var sub status.Subscription
			err := rows.Scan(&sub.Number, &sub.Series.By, &sub.At, &sub.Series.Name, &sub.Language)
			found = append(found, sub)
			return err
		}, query, arguments...)
	})
	return found, err
}
