package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// lockTally keeps other transactions from a tally until this one ends.
func (s *Store) lockTally(ctx context.Context, tx *sql.Tx, name string, since purchase.Instant) error {
	_, err := change(ctx, tx, `INSERT INTO tally (name, since, till, count) VALUES ($1, $2, $2, 0)
		ON CONFLICT (name, since) DO UPDATE SET count = tally.count`, name, int64(since))
	return err
}

// inOrder are limits in one order, so that transactions never wait for each other in a circle.
func inOrder(limits []auth.Limit) []auth.Limit {
	return slices.SortedFunc(slices.Values(limits), func(a, b auth.Limit) int { return strings.Compare(a.Name, b.Name) })
}

// count counts one more against each limit, or returns auth.ErrTooMany.
func count(ctx context.Context, tx *sql.Tx, limits []auth.Limit) error {
	for _, l := range inOrder(limits) {
		n, err := change(ctx, tx, `INSERT INTO tally (name, since, till, count) VALUES ($1, $2, $3, 1)
			ON CONFLICT (name, since) DO UPDATE SET count = tally.count + 1 WHERE tally.count < $4`,
			clean(l.Name), int64(l.Since), int64(l.Till), l.Most)
		if err != nil {
			return err
		}
		if n == 0 {
			return own(auth.ErrTooMany)
		}
	}
	return nil
}

// PutCode is auth.CodeStore.
func (s *Store) PutCode(ctx context.Context, c auth.Code, limits []auth.Limit) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := count(ctx, tx, limits); err != nil {
			return err
		}
		_, err := change(ctx, tx, `INSERT INTO one_time_code (number, at, till, tries, hash) VALUES ($1, $2, $3, 0, $4)
			ON CONFLICT (number) DO UPDATE SET at = excluded.at, till = excluded.till, tries = 0, hash = excluded.hash`,
			int64(c.Number), int64(c.At), int64(c.Till), c.Hash[:])
		return err
	})
	if err != nil {
		return fmt.Errorf("keep a code: %w", err)
	}
	return nil
}

// TryCode is auth.CodeStore.
func (s *Store) TryCode(ctx context.Context, number purchase.MSISDN) (c auth.Code, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var hash []byte
		c = auth.Code{Number: number}
		err := tx.QueryRowContext(ctx, `UPDATE one_time_code SET tries = CASE WHEN tries < 1000 THEN tries + 1 ELSE tries END WHERE number = $1 RETURNING at, till, tries, hash`,
			int64(number)).Scan(&c.At, &c.Till, &c.Tries, &hash)
		copy(c.Hash[:], hash)
		if errors.Is(err, sql.ErrNoRows) {
			return own(auth.ErrCode)
		}
		return err
	})
	if err != nil {
		return auth.Code{}, fmt.Errorf("count a try: %w", err)
	}
	return c, nil
}

// DropCode is auth.CodeStore.
func (s *Store) DropCode(ctx context.Context, number purchase.MSISDN, at purchase.Instant) (dropped bool, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `DELETE FROM one_time_code WHERE number = $1 AND at = $2`, int64(number), int64(at))
		dropped = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("drop a code: %w", err)
	}
	return dropped, nil
}
