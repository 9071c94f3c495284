package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// AddPasskey is auth.StaffStore.
func (s *Store) AddPasskey(ctx context.Context, p auth.Passkey, c auth.StaffChange) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `INSERT INTO passkey (id, staff, at, count, name, data) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
			octets(p.ID), int64(p.Staff), int64(p.At), int64(p.Count), clean(p.Name), octets(p.Data))
		if err != nil {
			return err
		}
		if n == 0 {
			return own(auth.ErrStaffTaken)
		}
		return noteStaff(ctx, tx, p.Staff, &c)
	})
	if err != nil {
		return fmt.Errorf("keep a passkey: %w", err)
	}
	return nil
}

// Passkeys is auth.StaffStore.
func (s *Store) Passkeys(ctx context.Context, id auth.StaffID) (found []auth.Passkey, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var p auth.Passkey
			err := rows.Scan(&p.ID, &p.Staff, &p.At, &p.Count, &p.Name, &p.Data)
			found = append(found, p)
			return err
		}, `SELECT id, staff, at, count, name, data FROM passkey WHERE staff = $1 ORDER BY at, name`, int64(id))
	})
	if err != nil {
		return nil, fmt.Errorf("read passkeys: %w", err)
	}
	return found, nil
}

// UsePasskey is auth.StaffStore.
func (s *Store) UsePasskey(ctx context.Context, p auth.Passkey, before uint32) (used bool, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `UPDATE passkey SET count = $1, data = $2 WHERE id = $3 AND staff = $4 AND count = $5`,
			int64(p.Count), octets(p.Data), octets(p.ID), int64(p.Staff), int64(before))
		used = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("use a passkey: %w", err)
	}
	return used, nil
}

// DropPasskey is auth.StaffStore.
func (s *Store) DropPasskey(ctx context.Context, id auth.StaffID, credential []byte, c auth.StaffChange) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `DELETE FROM passkey WHERE staff = $1 AND id = $2`, int64(id), octets(credential))
		if err != nil || n == 0 {
			return err
		}
		return noteStaff(ctx, tx, id, &c)
	})
	if err != nil {
		return fmt.Errorf("forget a passkey: %w", err)
	}
	return nil
}

const staffSessionColumns = `hash, staff, at, seen_at, till, method, address, browser`

func scanStaffSession(row scanner, x *auth.StaffSession) error {
	return row.Scan(&x.Hash, &x.Staff, &x.At, &x.SeenAt, &x.Till, &x.Method, &x.Address, &x.Browser)
}

// AddSession is auth.StaffStore.
func (s *Store) AddSession(ctx context.Context, x auth.StaffSession) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := change(ctx, tx, `INSERT INTO staff_session (`+staffSessionColumns+`) VALUES (`+places(8)+`)`, clean(x.Hash), int64(x.Staff),
			int64(x.At), int64(x.SeenAt), int64(x.Till), clean(x.Method), clean(x.Address), clean(x.Browser))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep a sign-in: %w", err)
	}
	return nil
}

// WhoseSession is auth.StaffStore.
func (s *Store) WhoseSession(ctx context.Context, hash string) (x auth.StaffSession, person auth.Staff, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := scanStaffSession(tx.QueryRowContext(ctx, `SELECT `+staffSessionColumns+` FROM staff_session WHERE hash = $1`, clean(hash)), &x)
		if errors.Is(err, sql.ErrNoRows) {
			return own(auth.ErrSignIn)
		}
		if err != nil {
			return err
		}
		people, _, err := staffWhere(ctx, tx, `staff.id = $1`, int64(x.Staff))
		if err == nil && len(people) == 0 {
			err = own(auth.ErrSignIn)
		}
		if err == nil {
			person = people[0]
		}
		return err
	})
	if err != nil {
		return auth.StaffSession{}, auth.Staff{}, fmt.Errorf("read a sign-in: %w", err)
	}
	return x, person, nil
}

// SeenSession is auth.StaffStore.
func (s *Store) SeenSession(ctx context.Context, hash string, at purchase.Instant) error {
	return s.changeSessions(ctx, `UPDATE staff_session SET seen_at = $1 WHERE hash = $2 AND seen_at < $1`, int64(at), clean(hash))
}

// EndSession is auth.StaffStore.
func (s *Store) EndSession(ctx context.Context, hash string) error {
	return s.changeSessions(ctx, `DELETE FROM staff_session WHERE hash = $1`, clean(hash))
}

// EndSessions is auth.StaffStore.
func (s *Store) EndSessions(ctx context.Context, id auth.StaffID, but string) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error { return endSessions(ctx, tx, id, but) })
	if err != nil {
		return fmt.Errorf("end sign-ins: %w", err)
	}
	return nil
}

func endSessions(ctx context.Context, tx *sql.Tx, id auth.StaffID, but string) error {
	_, err := change(ctx, tx, `DELETE FROM staff_session WHERE staff = $1 AND hash <> $2`, int64(id), clean(but))
	return err
}

func (s *Store) changeSessions(ctx context.Context, statement string, arguments ...any) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := change(ctx, tx, statement, arguments...)
		return err
	})
	if err != nil {
		return fmt.Errorf("change sign-ins: %w", err)
	}
	return nil
}

// StaffSessions is auth.StaffStore.
func (s *Store) StaffSessions(ctx context.Context, id auth.StaffID) (found []auth.StaffSession, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			found = append(found, auth.StaffSession{})
			return scanStaffSession(rows, &found[len(found)-1])
		}, `SELECT `+staffSessionColumns+` FROM staff_session WHERE staff = $1 ORDER BY at DESC, hash LIMIT 100`, int64(id))
	})
	if err != nil {
		return nil, fmt.Errorf("read sign-ins: %w", err)
	}
	return found, nil
}

// SignedIn is auth.StaffStore.
func (s *Store) SignedIn(ctx context.Context, since purchase.Instant) (map[auth.Role]int, error) {
	counts := map[auth.Role]int{}
	err := s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var role auth.Role
			var n int
			err := rows.Scan(&role, &n)
			counts[role] = n
			return err
		}, `SELECT p.role, count(DISTINCT p.id) FROM staff_session x JOIN staff p ON p.id = x.staff
			WHERE x.seen_at >= $1 AND x.at >= p.sessions_from AND p.disabled = 0 GROUP BY p.role`, int64(since))
	})
	if err != nil {
		return nil, fmt.Errorf("count who is signed in: %w", err)
	}
	return counts, nil
}
