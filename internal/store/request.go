package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

const (
	// requestColumns are those that never change, then those that do.
	requestColumns     = `purchase, number, amount, maker, at, kind, product, rule, reason, ` + progressOfRequest
	progressOfRequest  = `version, case_id, recipient, checker, due_at, decided_at, closed_at, result, stage, unproven, tries, why`
	requestColumnsRead = `id, ` + requestColumns
)

func (s *Store) requestProgress(r *care.Request) []any {
	return []any{r.Version, int64(r.Case), int64(r.Recipient), int64(r.Checker), int64(r.DueAt), int64(r.DecidedAt), int64(r.ClosedAt),
		int64(r.Result), int64(r.Stage), flag(r.Unproven), int64(r.Tries),
		s.sealer.text(r.Why, "request.why", r.ID)}
}

func (s *Store) requestValues(r *care.Request) []any {
	return append([]any{int64(r.Purchase), int64(r.Number), r.Amount, int64(r.Maker), int64(r.At), clean(string(r.Kind)), clean(r.Product),
		clean(r.Rule), s.sealer.text(r.Reason, "request.reason", r.ID)}, s.requestProgress(r)...)
}

func (s *Store) scanRequest(row scanner, r *care.Request) error {
	if err := scanRequest(row, r); err != nil {
		return err
	}
	if err := s.open(&r.Reason, "request.reason", r.ID); err != nil {
		return err
	}
	return s.open(&r.Why, "request.why", r.ID)
}

// scanRequest leaves sealed what is sealed.
func scanRequest(row scanner, r *care.Request) error {
	return row.Scan(&r.ID, &r.Purchase, &r.Number, &r.Amount, &r.Maker, &r.At, &r.Kind, &r.Product, &r.Rule, &r.Reason, &r.Version, &r.Case,
		&r.Recipient, &r.Checker, &r.DueAt, &r.DecidedAt, &r.ClosedAt, &r.Result, &r.Stage, &r.Unproven, &r.Tries, &r.Why)
}

// AddRequest is care.RequestStore. What a request is measured against is counted by
// one transaction at a time: the tallies of its maker, its number and of goodwill are the locks.
func (s *Store) AddRequest(ctx context.Context, r care.Request, since care.Periods, may func(care.Standing) error) (kept care.Request, err error) {
	var mine error // what this function has to say itself
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		kept, mine = r, nil
		kept.Version = 1
		if err := s.lockRequests(ctx, tx, &r); err != nil {
			return err
		}
		switch err := s.standingRequest(ctx, tx, &r, &kept); {
		case err == nil:
			mine = care.ErrTwice
			return own(mine)
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		standing, err := s.standing(ctx, tx, &r, since)
		if err != nil {
			return err
		}
		if mine = may(standing); mine != nil {
			kept = care.Request{}
			return own(mine)
		}
		rows, err := s.fresh(ctx, tx, "request", 1)
		if err != nil {
			return err
		}
		kept.ID = rows[0]
		err = tx.QueryRowContext(ctx, `INSERT INTO request (`+requestColumnsRead+`) VALUES (`+placed(requestColumnsRead)+`)
			ON CONFLICT DO NOTHING RETURNING id`, append([]any{kept.ID}, s.requestValues(&kept)...)...).Scan(&kept.ID)
		if errors.Is(err, sql.ErrNoRows) { // about another number of the same purchase, meanwhile
			if err := s.standingRequest(ctx, tx, &r, &kept); err != nil {
				return err
			}
			mine = care.ErrTwice
			return own(mine)
		}
		if err != nil {
			return err
		}
		if err := s.scanRequest(tx.QueryRowContext(ctx, `SELECT `+requestColumnsRead+` FROM request WHERE id = $1`, kept.ID), &kept); err != nil {
			return err
		}
		return s.leaveRequest(ctx, tx, &kept)
	})
	switch {
	case mine != nil:
		return kept, mine
	case err != nil:
		return care.Request{}, fmt.Errorf("add a request: %w", err)
	}
	return kept, nil
}

// lockRequests keeps out other requests of the maker and about the number, and of
// goodwill other ones. Transactions lock in one order, and never wait in a circle.
func (s *Store) lockRequests(ctx context.Context, tx *sql.Tx, r *care.Request) error {
	var names []string
	if r.Kind == care.AskGoodwill {
		names = append(names, "request/goodwill")
	}
	if r.Maker != 0 {
		names = append(names, "request/maker/"+strconv.FormatInt(int64(r.Maker), 10))
	}
	for _, name := range append(names, "request/number/"+strconv.FormatInt(int64(r.Number), 10)) {
		if err := s.lockTally(ctx, tx, name, 0); err != nil {
			return err
		}
	}
	return nil
}

// standingRequest reads the request that stands in the way of another of its kind.
func (s *Store) standingRequest(ctx context.Context, tx *sql.Tx, r, standing *care.Request) error {
	return s.scanRequest(tx.QueryRowContext(ctx, `SELECT `+requestColumnsRead+` FROM request
		WHERE purchase = $1 AND kind = $2 AND (purchase <> 0 OR case_id = $3) AND stage <= 4 AND (stage <= 3 OR kind <> 'answer') ORDER BY id LIMIT 1`,
		int64(r.Purchase), clean(string(r.Kind)), int64(r.Case)), standing)
}

// standing is what a request is measured against. Goodwill is counted for goodwill only.
func (s *Store) standing(ctx context.Context, tx *sql.Tx, r *care.Request, since care.Periods) (st care.Standing, err error) {
	staff, err := s.staffNow(ctx, tx, r.Maker)
	if err != nil {
		return care.Standing{}, err
	}
	st.Maker = staff[r.Maker]
	const sums = `SELECT CAST(coalesce(sum(amount), 0) AS BIGINT), count(*) FROM request WHERE stage <= 4 AND at >= $1 AND `
	if r.Maker != 0 {
		if err := tx.QueryRowContext(ctx, sums+`maker = $2`, int64(since.Day), int64(r.Maker)).Scan(&st.Day, &st.DayCount); err != nil {
			return care.Standing{}, err
		}
	}
	if err := tx.QueryRowContext(ctx, sums+`number = $2`, int64(since.Day), int64(r.Number)).Scan(&st.NumberDay, &st.NumberCount); err != nil {
		return care.Standing{}, err
	}
	if r.Kind == care.AskGoodwill {
		var count int
		if err := tx.QueryRowContext(ctx, sums+`kind = 'goodwill'`, int64(since.Month)).Scan(&st.Goodwill, &count); err != nil {
			return care.Standing{}, err
		}
	}
	return st, nil
}

// DecideRequest is care.RequestStore.
func (s *Store) DecideRequest(ctx context.Context, r care.Request, may func(care.Standing) error) (stored care.Request, err error) {
	var refused error
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		refused = nil
		before := care.Request{}
		err := s.scanRequest(tx.QueryRowContext(ctx, `SELECT `+requestColumnsRead+` FROM request WHERE id = $1`+s.db.dialect().lock, r.ID), &before)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return own(care.ErrNotFound)
		case err != nil:
			return err
		case before.Version != r.Version-1:
			return own(care.ErrStale)
		}
		staff, err := s.staffNow(ctx, tx, before.Maker, r.Checker)
		if err != nil {
			return err
		}
		if refused = may(care.Standing{Maker: staff[before.Maker], Checker: staff[r.Checker]}); refused != nil {
			return own(refused)
		}
		stored, err = s.moveRequest(ctx, tx, &r)
		return err
	})
	switch {
	case refused != nil:
		return care.Request{}, refused
	case err != nil:
		return care.Request{}, fmt.Errorf("decide request %d: %w", r.ID, err)
	}
	return stored, nil
}

// moveRequest writes what may change of a request, and returns it as it is stored.
func (s *Store) moveRequest(ctx context.Context, tx *sql.Tx, r *care.Request) (stored care.Request, err error) {
	n, err := change(ctx, tx, `UPDATE request SET `+unlessUnreadable(assign(progressOfRequest), "why")+` WHERE id = $13 AND version = $14`,
		append(s.requestProgress(r), r.ID, r.Version-1)...)
	if err == nil && n == 0 {
		err = own(care.ErrStale)
	}
	if err == nil {
		err = s.scanRequest(tx.QueryRowContext(ctx, `SELECT `+requestColumnsRead+` FROM request WHERE id = $1`, r.ID), &stored)
	}
	if err == nil {
		err = s.leaveRequest(ctx, tx, &stored)
	}
	return stored, err
}

// MoveRequest is care.RequestStore.
func (s *Store) MoveRequest(ctx context.Context, r care.Request) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := s.moveRequest(ctx, tx, &r)
		return err
	})
	if err != nil {
		return fmt.Errorf("change request %d: %w", r.ID, err)
	}
	return nil
}

var requestAgenda = agenda[care.Request]{requestColumnsRead, `request WHERE stage <= 3`, (*Store).scanRequest,
	func(r *care.Request) purchase.Instant { return r.DueAt }}

// DueRequests is care.RequestStore.
func (s *Store) DueRequests(ctx context.Context, till purchase.Instant, limit int) ([]care.Request, purchase.Instant, error) {
	return requestAgenda.due(ctx, s, "read due requests", till, limit)
}

// Request is care.RequestStore.
func (s *Store) Request(ctx context.Context, id int64) (care.Request, error) {
	return one(ctx, s, "read a request", care.ErrNotFound, s.scanRequest, `SELECT `+requestColumnsRead+` FROM request WHERE id = $1`, id)
}

// RequestsAbout is care.RequestStore.
func (s *Store) RequestsAbout(ctx context.Context, purchases ...purchase.ID) ([]care.Request, error) {
	if len(purchases) == 0 {
		return nil, nil
	}
	d := s.db.dialect()
	return list(ctx, s, "read requests about purchases", s.scanRequest, `SELECT `+requestColumnsRead+` FROM request
		WHERE purchase`+d.among+` ORDER BY id`, d.list(ids(purchases)))
}

// RequestsTo is care.RequestStore.
func (s *Store) RequestsTo(ctx context.Context, recipient purchase.MSISDN) ([]care.Request, error) {
	return list(ctx, s, "read requests to a recipient", s.scanRequest, `SELECT `+requestColumnsRead+` FROM request
		WHERE recipient = $1 AND stage = 1 ORDER BY at, id`, int64(recipient))
}

// RequestsIn is care.RequestStore.
func (s *Store) RequestsIn(ctx context.Context, stage care.Stage, limit int) ([]care.Request, error) {
	return list(ctx, s, "read requests of a stage", s.scanRequest, `SELECT `+requestColumnsRead+` FROM request
		WHERE stage = $1 ORDER BY at, id LIMIT $2`, int64(stage), limit)
}

// StaffMember is care.CaseStore.
func (s *Store) StaffMember(ctx context.Context, id auth.StaffID) (auth.Staff, error) {
	person, _, err := s.Person(ctx, id)
	if errors.Is(err, auth.ErrStaff) {
		return auth.Staff{}, nil
	}
	return person, err
}

// staffNow reads those of the staff that exist, as they are until the transaction ends.
func (s *Store) staffNow(ctx context.Context, tx *sql.Tx, all ...auth.StaffID) (map[auth.StaffID]auth.Staff, error) {
	found := map[auth.StaffID]auth.Staff{}
	all = slices.Clone(all)
	slices.Sort(all) // so that no two transactions wait for each other
	for _, id := range slices.Compact(all) {
		person, err := s.staffMember(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if person.ID != 0 {
			found[id] = person
		}
	}
	return found, nil
}
