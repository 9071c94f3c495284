package store

import (
	"context"
	"database/sql"
	"fmt"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

const (
	staffColumns  = `id, login, name, role, language, disabled, version, sessions_from, subject`
	secretColumns = `password, totp, totp_step, failed, locked_to, must_change`
)

// scanStaff reads an account with its secrets.
func scanStaff(row scanner, s *auth.Staff, x *auth.Secrets) error {
	err := row.Scan(&s.ID, &s.Login, &s.Name, &s.Role, &s.Language, &s.Disabled, &s.Version, &s.SessionsFrom, &s.Subject,
		&x.Password, &x.TOTP, &x.TOTPStep, &x.Failed, &x.LockedTo, &x.MustChange)
	s.HasTOTP, s.MustChange = len(x.TOTP) > 0, x.MustChange
	return err
}

// staffWhere reads the accounts that a condition selects, with their numbers.
func staffWhere(ctx context.Context, tx *sql.Tx, condition string, arguments ...any) (people []auth.Staff, secrets []auth.Secrets, err error) {
	at := map[auth.StaffID]int{}
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var s auth.Staff
		var x auth.Secrets
		err := scanStaff(rows, &s, &x)
		at[s.ID] = len(people)
		people, secrets = append(people, s), append(secrets, x)
		return err
	}, `SELECT `+staffColumns+`, `+secretColumns+` FROM staff WHERE `+condition+` ORDER BY login`, arguments...)
	if err != nil {
		return nil, nil, err
	}
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var id auth.StaffID
		var number purchase.MSISDN
		err := rows.Scan(&id, &number)
		if i, wanted := at[id]; wanted {
			people[i].Numbers = append(people[i].Numbers, number)
		}
		return err
	}, `SELECT n.staff, n.number FROM staff_number n JOIN staff ON staff.id = n.staff WHERE `+condition+` ORDER BY n.staff, n.number`, arguments...)
	return people, secrets, err
}

// staffMember reads one account inside a transaction, and keeps it from changing until
// that ends. A person who is not there is the zero Staff.
func (s *Store) staffMember(ctx context.Context, tx *sql.Tx, id auth.StaffID) (auth.Staff, error) {
	if id == 0 {
		return auth.Staff{}, nil
	}
	if lock := s.db.dialect().still; lock != "" {
		if _, err := numbers(ctx, tx, `SELECT id FROM staff WHERE id = $1`+lock, int64(id)); err != nil {
			return auth.Staff{}, err
		}
	}
	people, _, err := staffWhere(ctx, tx, `staff.id = $1`, int64(id))
	if err != nil || len(people) == 0 {
		return auth.Staff{}, err
	}
	return people[0], nil
}

func noteStaff(ctx context.Context, tx *sql.Tx, id auth.StaffID, c *auth.StaffChange) error {
	if c == nil {
		return nil
	}
	_, err := change(ctx, tx, `INSERT INTO staff_change (at, staff, who, what) VALUES ($1, $2, $3, $4)`,
		int64(c.At), int64(id), clean(c.By), clean(c.What))
	return err
}

func putNumbers(ctx context.Context, tx *sql.Tx, s *auth.Staff) error {
	if _, err := change(ctx, tx, `DELETE FROM staff_number WHERE staff = $1`, int64(s.ID)); err != nil {
		return err
	}
	for _, n := range s.Numbers {
		if _, err := change(ctx, tx, `INSERT INTO staff_number (staff, number) VALUES ($1, $2) ON CONFLICT DO NOTHING`, int64(s.ID), int64(n)); err != nil {
			return err
		}
	}
	return nil
}

// taken reports whether another account has the login or the subject.
func taken(ctx context.Context, tx *sql.Tx, s *auth.Staff) (bool, error) {
	var n int
	err := tx.QueryRowContext(ctx, `SELECT count(*) FROM staff WHERE id <> $1 AND (login = $2 OR subject = $3 AND subject <> '')`,
		int64(s.ID), clean(s.Login), clean(s.Subject)).Scan(&n)
	return n > 0, err
}

// AddStaff is auth.StaffStore. Accounts are added one at a time: the tally is their lock.
func (s *Store) AddStaff(ctx context.Context, person auth.Staff, x auth.Secrets, c auth.StaffChange) (id auth.StaffID, err error) {
	person.ID = 0
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.lockTally(ctx, tx, "staff", 0); err != nil {
			return err
		}
		switch already, err := taken(ctx, tx, &person); {
		case err != nil:
			return err
		case already:
			return own(auth.ErrStaffTaken)
		}
		err := tx.QueryRowContext(ctx, `INSERT INTO staff (login, name, role, language, disabled, version, sessions_from, subject, `+secretColumns+`)
			VALUES (`+places(14)+`) RETURNING id`, clean(person.Login), clean(person.Name), clean(string(person.Role)), clean(person.Language),
			flag(person.Disabled), person.Version, int64(person.SessionsFrom), clean(person.Subject),
			clean(x.Password), octets(x.TOTP), x.TOTPStep, x.Failed, int64(x.LockedTo), flag(x.MustChange)).Scan(&person.ID)
		if err != nil {
			return err
		}
		id = person.ID
		if err := putNumbers(ctx, tx, &person); err != nil {
			return err
		}
		return noteStaff(ctx, tx, id, &c)
	})
	if err != nil {
		return 0, fmt.Errorf("add an account: %w", err)
	}
	return id, nil
}

// ChangeStaff is auth.StaffStore.
func (s *Store) ChangeStaff(ctx context.Context, person auth.Staff, c auth.StaffChange) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.lockTally(ctx, tx, "staff", 0); err != nil {
			return err
		}
		switch already, err := taken(ctx, tx, &person); {
		case err != nil:
			return err
		case already:
			return own(auth.ErrStaffTaken)
		}
		n, err := change(ctx, tx, `UPDATE staff SET name = $1, role = $2, language = $3, disabled = $4, version = $5, sessions_from = $6, subject = $7
			WHERE id = $8 AND version = $9`, clean(person.Name), clean(string(person.Role)), clean(person.Language), flag(person.Disabled),
			person.Version, int64(person.SessionsFrom), clean(person.Subject), int64(person.ID), person.Version-1)
		if err != nil {
			return err
		}
		if n == 0 {
			return own(auth.ErrStaffStale)
		}
		if person.Disabled {
			if err := endSessions(ctx, tx, person.ID, ""); err != nil {
				return err
			}
		}
		if err := putNumbers(ctx, tx, &person); err != nil {
			return err
		}
		return noteStaff(ctx, tx, person.ID, &c)
	})
	if err != nil {
		return fmt.Errorf("change an account: %w", err)
	}
	return nil
}

// SetSecrets is auth.StaffStore.
func (s *Store) SetSecrets(ctx context.Context, id auth.StaffID, before, after auth.Secrets, c *auth.StaffChange) (set bool, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		set = false
		kept, err := s.lockSecrets(ctx, tx, id)
		if err != nil || kept == nil || !kept.Same(&before) {
			return err
		}
		n, err := change(ctx, tx, `UPDATE staff SET password = $1, totp = $2, totp_step = $3, must_change = $4 WHERE id = $5`,
			clean(after.Password), octets(after.TOTP), after.TOTPStep, flag(after.MustChange), int64(id))
		if set = n > 0; err != nil || !set {
			return err
		}
		return noteStaff(ctx, tx, id, c)
	})
	if err != nil {
		return false, fmt.Errorf("set secrets: %w", err)
	}
	return set, nil
}

// person reads one account.
func (s *Store) person(ctx context.Context, condition string, argument any) (person auth.Staff, x auth.Secrets, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		people, secrets, err := staffWhere(ctx, tx, condition, argument)
		switch {
		case err != nil:
			return err
		case len(people) == 0:
			return own(auth.ErrStaff)
		}
		person, x = people[0], secrets[0]
		return nil
	})
	if err != nil {
		return auth.Staff{}, auth.Secrets{}, fmt.Errorf("read an account: %w", err)
	}
	return person, x, nil
}

// PersonByLogin is auth.StaffStore.
func (s *Store) PersonByLogin(ctx context.Context, login string) (auth.Staff, auth.Secrets, error) {
	return s.person(ctx, `staff.login = $1`, clean(login))
}

// Person is auth.StaffStore.
func (s *Store) Person(ctx context.Context, id auth.StaffID) (auth.Staff, auth.Secrets, error) {
	return s.person(ctx, `staff.id = $1`, int64(id))
}

// PersonBySubject is auth.StaffStore.
func (s *Store) PersonBySubject(ctx context.Context, subject string) (auth.Staff, error) {
	if subject == "" {
		return auth.Staff{}, auth.ErrStaff
	}
	person, _, err := s.person(ctx, `staff.subject = $1`, clean(subject))
	return person, err
}

// People is auth.StaffStore.
func (s *Store) People(ctx context.Context) (people []auth.Staff, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		people, _, err = staffWhere(ctx, tx, `staff.id > $1`, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	return people, nil
}

// StaffChanges is auth.StaffStore.
func (s *Store) StaffChanges(ctx context.Context, id auth.StaffID, limit int) (found []auth.StaffChange, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var c auth.StaffChange
			err := rows.Scan(&c.At, &c.Staff, &c.By, &c.What)
			found = append(found, c)
			return err
		}, `SELECT at, staff, who, what FROM staff_change WHERE staff = $1 OR $1 = 0 ORDER BY id DESC LIMIT $2`, int64(id), limit)
	})
	if err != nil {
		return nil, fmt.Errorf("read changes of accounts: %w", err)
	}
	return found, nil
}

// UseOnce is auth.StaffStore.
func (s *Store) UseOnce(ctx context.Context, name string, till purchase.Instant) (first bool, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `INSERT INTO tally (name, since, till, count) VALUES ($1, 0, $2, 1) ON CONFLICT DO NOTHING`, clean("once/"+name), int64(till))
		first = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("use something once: %w", err)
	}
	return first, nil
}
