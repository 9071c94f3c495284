package store

import (
	"context"
	"database/sql"
	"fmt"

	"tenu/internal/purchase"
	"tenu/internal/push"
)

// PutSubscription is push.Store.
func (s *Store) PutSubscription(ctx context.Context, sub push.Subscription, most int) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := change(ctx, tx, `INSERT INTO push_subscription (endpoint, number, at, key, secret) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (endpoint) DO UPDATE SET number = excluded.number, at = excluded.at, key = excluded.key, secret = excluded.secret`,
			clean(sub.Endpoint), int64(sub.Number), int64(sub.At), sub.Key, sub.Secret); err != nil {
			return err
		}
		_, err := change(ctx, tx, `DELETE FROM push_subscription WHERE number = $1 AND endpoint NOT IN
			(SELECT endpoint FROM push_subscription WHERE number = $1 ORDER BY at DESC, endpoint LIMIT $2)`, int64(sub.Number), most)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep a push subscription: %w", err)
	}
	return nil
}

// DropSubscription is push.Store.
func (s *Store) DropSubscription(ctx context.Context, number purchase.MSISDN, endpoint string) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := change(ctx, tx, `DELETE FROM push_subscription WHERE endpoint = $1 AND number = $2`, clean(endpoint), int64(number))
		return err
	})
	if err != nil {
		return fmt.Errorf("drop a push subscription: %w", err)
	}
	return nil
}

// Subscriptions is push.Store.
func (s *Store) Subscriptions(ctx context.Context, numbers ...purchase.MSISDN) (found []push.Subscription, err error) {
	list := make([]int64, len(numbers))
	for i, n := range numbers {
		list[i] = int64(n)
	}
	d := s.db.dialect()
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var sub push.Subscription
			err := rows.Scan(&sub.Endpoint, &sub.Number, &sub.At, &sub.Key, &sub.Secret)
			found = append(found, sub)
			return err
		}, `SELECT endpoint, number, at, key, secret FROM push_subscription WHERE number`+d.among+` ORDER BY number, at, endpoint`, d.list(list))
	})
	if err != nil {
		return nil, fmt.Errorf("read push subscriptions: %w", err)
	}
	return found, nil
}
