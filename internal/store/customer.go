package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"tenu/internal/customer"
	"tenu/internal/purchase"
)

const checkoutColumns = `key, number, at, go_at, purchase, total, state, wish, problem, earlier`

func scanCheckout(row scanner, c *customer.Checkout) error {
	var wish string
	if err := row.Scan(&c.Key, &c.Number, &c.At, &c.GoAt, &c.Purchase, &c.Total, &c.State, &wish, &c.Problem, &c.Earlier); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(wish), &c.Wish); err != nil {
		return fmt.Errorf("read a checkout's wish: %w", err)
	}
	return nil
}

// AddCheckout is customer.Store.
func (s *Store) AddCheckout(ctx context.Context, c customer.Checkout) error {
	wish, err := json.Marshal(c.Wish) //nolint:gosec // the client's key is a name, not a secret
	if err != nil {
		return fmt.Errorf("write a checkout's wish: %w", err)
	}
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := change(ctx, tx, `INSERT INTO checkout (`+checkoutColumns+`) VALUES (`+places(10)+`)`, clean(c.Key), int64(c.Number),
			int64(c.At), int64(c.GoAt), int64(c.Purchase), c.Total, int64(c.State), clean(string(wish)), clean(string(c.Problem)), clean(string(c.Earlier)))
		return err
	})
	if err != nil {
		return fmt.Errorf("add a checkout: %w", err)
	}
	return nil
}

// Checkout is customer.Store.
func (s *Store) Checkout(ctx context.Context, key string, number purchase.MSISDN) (c customer.Checkout, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return scanCheckout(tx.QueryRowContext(ctx, `SELECT `+checkoutColumns+` FROM checkout WHERE key = $1 AND number = $2`,
			clean(key), int64(number)), &c)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return customer.Checkout{}, customer.ErrNotFound
	case err != nil:
		return customer.Checkout{}, fmt.Errorf("read a checkout: %w", err)
	}
	return c, nil
}

// LastCheckout is customer.Store.
func (s *Store) LastCheckout(ctx context.Context, number purchase.MSISDN, prefix string) (c customer.Checkout, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return scanCheckout(tx.QueryRowContext(ctx, `SELECT `+checkoutColumns+` FROM checkout
			WHERE number = $1 AND substr(key, 1, $2) = $3 ORDER BY at DESC, key DESC LIMIT 1`, int64(number), len(prefix), clean(prefix)), &c)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return customer.Checkout{}, customer.ErrNotFound
	case err != nil:
		return customer.Checkout{}, fmt.Errorf("read a checkout: %w", err)
	}
	return c, nil
}

// MoveCheckout is customer.Store.
func (s *Store) MoveCheckout(ctx context.Context, from customer.CheckoutState, c customer.Checkout) (moved bool, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `UPDATE checkout SET go_at = $1, purchase = $2, state = $3, problem = $4, earlier = $5
			WHERE key = $6 AND number = $7 AND state = $8`, int64(c.GoAt), int64(c.Purchase), int64(c.State), clean(string(c.Problem)),
			clean(string(c.Earlier)), clean(c.Key), int64(c.Number), int64(from))
		moved = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("change a checkout: %w", err)
	}
	return moved, nil
}

// DueCheckouts is customer.Store.
func (s *Store) DueCheckouts(ctx context.Context, till purchase.Instant, limit int) (due []customer.Checkout, next purchase.Instant, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		due = nil
		if err := each(ctx, tx, func(rows *sql.Rows) error {
			due = append(due, customer.Checkout{})
			return scanCheckout(rows, &due[len(due)-1])
		}, `SELECT `+checkoutColumns+` FROM checkout WHERE state IN (2, 3) AND go_at <= $1 ORDER BY go_at, key LIMIT $2`, int64(till), limit); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT coalesce(min(go_at), 0) FROM checkout WHERE state IN (2, 3) AND go_at > $1`, int64(till)).Scan(&next)
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read due checkouts: %w", err)
	}
	return due, next, nil
}

// DropCheckouts is customer.Store. It writes nothing when there is nothing to drop.
func (s *Store) DropCheckouts(ctx context.Context, before purchase.Instant) error {
	const old = ` FROM checkout WHERE at < $1 AND state NOT IN (2, 3)`
	var some bool
	err := s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1`+old+`)`, int64(before)).Scan(&some)
	})
	if err == nil && some {
		err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
			_, err := change(ctx, tx, `DELETE`+old, int64(before))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("drop checkouts: %w", err)
	}
	return nil
}

// Choices is customer.Store.
func (s *Store) Choices(ctx context.Context, number purchase.MSISDN) (c customer.Choices, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT language, muted FROM customer WHERE number = $1`, int64(number)).Scan(&c.Language, &c.Muted)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return customer.Choices{}, fmt.Errorf("read choices: %w", err)
	}
	return c, nil
}

// SetChoices is customer.Store.
func (s *Store) SetChoices(ctx context.Context, number purchase.MSISDN, c customer.Choices, at purchase.Instant) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := change(ctx, tx, `INSERT INTO customer (number, at, language, muted) VALUES ($1, $2, $3, $4)
			ON CONFLICT (number) DO UPDATE SET at = excluded.at, language = excluded.language, muted = excluded.muted`,
			int64(number), int64(at), clean(string(c.Language)), int64(c.Muted))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep choices: %w", err)
	}
	return nil
}

// Favourites is customer.Store.
func (s *Store) Favourites(ctx context.Context, number purchase.MSISDN) (found []customer.Favourite, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var f customer.Favourite
			err := rows.Scan(&f.Recipient, &f.Name)
			found = append(found, f)
			return err
		}, `SELECT recipient, name FROM favourite WHERE number = $1 ORDER BY lower(name), recipient`, int64(number))
	})
	if err != nil {
		return nil, fmt.Errorf("read favourites: %w", err)
	}
	return found, nil
}

// PutFavourite is customer.Store.
func (s *Store) PutFavourite(ctx context.Context, number purchase.MSISDN, f customer.Favourite, at purchase.Instant, most int) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.lockTally(ctx, tx, "favourite/"+number.String(), 0); err != nil {
			return err
		}
		var others int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM favourite WHERE number = $1 AND recipient <> $2`,
			int64(number), int64(f.Recipient)).Scan(&others); err != nil {
			return err
		}
		if others >= most {
			return own(customer.ErrFull)
		}
		_, err := change(ctx, tx, `INSERT INTO favourite (number, recipient, at, name) VALUES ($1, $2, $3, $4)
			ON CONFLICT (number, recipient) DO UPDATE SET name = excluded.name`, int64(number), int64(f.Recipient), int64(at), clean(f.Name))
		return err
	})
	if err != nil {
		return fmt.Errorf("put a favourite: %w", err)
	}
	return nil
}

// DropFavourite is customer.Store.
func (s *Store) DropFavourite(ctx context.Context, number, recipient purchase.MSISDN) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := change(ctx, tx, `DELETE FROM favourite WHERE number = $1 AND recipient = $2`, int64(number), int64(recipient))
		return err
	})
	if err != nil {
		return fmt.Errorf("drop a favourite: %w", err)
	}
	return nil
}

// PutSession is web.SessionStore.
func (s *Store) PutSession(ctx context.Context, token string, data []byte, till purchase.Instant) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := change(ctx, tx, `INSERT INTO session (token, till, data) VALUES ($1, $2, $3)
			ON CONFLICT (token) DO UPDATE SET till = excluded.till, data = excluded.data`, clean(token), int64(till), data)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep a session: %w", err)
	}
	return nil
}

// Session is web.SessionStore.
func (s *Store) Session(ctx context.Context, token string, now purchase.Instant) (data []byte, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT data FROM session WHERE token = $1 AND till > $2`, clean(token), int64(now)).Scan(&data)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read a session: %w", err)
	}
	return data, nil
}

// DropSession is web.SessionStore.
func (s *Store) DropSession(ctx context.Context, token string) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := change(ctx, tx, `DELETE FROM session WHERE token = $1`, clean(token))
		return err
	})
	if err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}
