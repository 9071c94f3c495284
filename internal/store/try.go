package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// lockSecrets reads the secrets of an account, which nobody else changes until the
// transaction ends; nil where there is none.
func (s *Store) lockSecrets(ctx context.Context, tx *sql.Tx, id auth.StaffID) (*auth.Secrets, error) {
	if lock := s.db.dialect().lock; lock != "" {
		if _, err := numbers(ctx, tx, `SELECT id FROM staff WHERE id = $1`+lock, int64(id)); err != nil {
			return nil, err
		}
	}
	_, kept, err := staffWhere(ctx, tx, `staff.id = $1`, int64(id))
	if err != nil || len(kept) == 0 {
		return nil, err
	}
	return &kept[0], nil
}

// RevokeStaff is auth.StaffStore.
func (s *Store) RevokeStaff(ctx context.Context, id auth.StaffID, from purchase.Instant, fresh *auth.Secrets, c auth.StaffChange) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `UPDATE staff SET version = version + 1, sessions_from = CASE WHEN sessions_from < $1 THEN $1 ELSE sessions_from END
			WHERE id = $2`, int64(from), int64(id))
		if err != nil {
			return err
		}
		if n == 0 {
			return own(auth.ErrStaff)
		}
		if err := endSessions(ctx, tx, id, ""); err != nil {
			return err
		}
		if fresh != nil {
			if _, err := change(ctx, tx, `UPDATE staff SET password = $1, totp = $2, totp_step = $3, must_change = $4, failed = 0, locked_to = 0 WHERE id = $5`,
				clean(fresh.Password), octets(fresh.TOTP), fresh.TOTPStep, flag(fresh.MustChange), int64(id)); err != nil {
				return err
			}
			if _, err := change(ctx, tx, `DELETE FROM passkey WHERE staff = $1`, int64(id)); err != nil {
				return err
			}
		}
		return noteStaff(ctx, tx, id, &c)
	})
	if err != nil {
		return fmt.Errorf("end an account's sessions: %w", err)
	}
	return nil
}

// CountTry is auth.StaffStore.
func (s *Store) CountTry(ctx context.Context, login string, at purchase.Instant, limits []auth.Limit,
	lock func(failed int) time.Duration) (person auth.Staff, before auth.Secrets, err error) {
	known := false
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		known = false
		if err := count(ctx, tx, limits); err != nil {
			return err
		}
		var id auth.StaffID
		err := tx.QueryRowContext(ctx, `SELECT id FROM staff WHERE login = $1`+s.db.dialect().lock, clean(login)).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		people, kept, err := staffWhere(ctx, tx, `staff.id = $1`, int64(id))
		if err != nil || len(people) == 0 {
			return err
		}
		person, before, known = people[0], kept[0], true
		if at < before.LockedTo {
			return nil
		}
		failed, till := before.Failed+1, purchase.Instant(0)
		if d := lock(failed); d > 0 {
			till = at.Add(d)
		}
		_, err = change(ctx, tx, `UPDATE staff SET failed = $1, locked_to = $2 WHERE id = $3`, failed, int64(till), int64(id))
		return err
	})
	switch {
	case err != nil:
		return auth.Staff{}, auth.Secrets{}, fmt.Errorf("count a try: %w", err)
	case !known:
		return auth.Staff{}, auth.Secrets{}, auth.ErrStaff
	}
	return person, before, nil
}

// errUnlike undoes the transaction of a try that is not accepted.
var errUnlike = errors.New("not as before")

// AcceptTry is auth.StaffStore. Counts are locked before the account, as in CountTry.
func (s *Store) AcceptTry(ctx context.Context, id auth.StaffID, before auth.Secrets, step int64, limits []auth.Limit) (bool, error) {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, l := range inOrder(limits) {
			if _, err := change(ctx, tx, `UPDATE tally SET count = count - 1 WHERE name = $1 AND since = $2 AND count > 0`, clean(l.Name), int64(l.Since)); err != nil {
				return err
			}
		}
		if id == 0 {
			return nil
		}
		n, err := change(ctx, tx, `UPDATE staff SET failed = 0, locked_to = 0, totp_step = CASE WHEN $1 = 0 THEN totp_step ELSE $1 END
			WHERE id = $2 AND password = $3 AND totp = $4 AND disabled = 0 AND ($1 = 0 OR totp_step < $1)`,
			step, int64(id), clean(before.Password), octets(before.TOTP))
		if err == nil && n == 0 {
			err = own(errUnlike)
		}
		return err
	})
	switch {
	case errors.Is(err, errUnlike):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("accept a try: %w", err)
	}
	return true, nil
}
