package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"tenu/internal/purchase"
)

// Verification says how to verify.
type Verification struct {
	// Now is the instant that deadlines are compared with.
	Now purchase.Instant
	// First ends the verification at the first violation.
	First bool
	// Limit bounds the violations that are returned per check (default 100).
	Limit int
	// Report is called before each check, unless it is nil.
	Report func(Progress)
}

// Progress is how far a verification is.
type Progress struct {
	Invariant string // about to be checked
	Done      int    // checks done
	Total     int
}

// Violation is an invariant that does not hold.
type Violation struct {
	Invariant string      // as docs/invariants.md names it, "L3", or "files"
	Purchase  purchase.ID // 0 when it is not one purchase's
	Account   string      // "" when it is not one account's
	Detail    string
}

// String is the violation in one line.
func (v Violation) String() string {
	switch {
	case v.Purchase != 0:
		return fmt.Sprintf("%s: purchase %d: %s", v.Invariant, v.Purchase, v.Detail)
	case v.Account != "":
		return fmt.Sprintf("%s: account %s: %s", v.Invariant, v.Account, v.Detail)
	}
	return v.Invariant + ": " + v.Detail
}

// Verify checks every invariant of ledger, purchase and notices that a database
// can show, on one consistent snapshot and while others write. The database
// does the work; memory here is bounded by the violations. No violation is
// returned for a sound database.
func (s *Store) Verify(ctx context.Context, v Verification) ([]Violation, error) {
	if v.Limit <= 0 {
		v.Limit = 100
	}
	var found []Violation
	err := s.db.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		damages, err := s.integrity(ctx, tx, v)
		if found = append(found, damages...); err != nil || len(found) > 0 {
			return err // what is read from a damaged file says nothing
		}
		names, err := accountLists(ctx, tx)
		if err != nil {
			return fmt.Errorf("read accounts: %w", err)
		}
		for i, c := range checks {
			if v.Report != nil {
				v.Report(Progress{c.invariant, i, len(checks)})
			}
			violations, err := c.run(ctx, tx, names, v)
			if err != nil {
				return fmt.Errorf("check %s: %w", c.invariant, err)
			}
			found = append(found, violations...)
			if v.First && len(found) > 0 {
				found = found[:1]
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	return found, nil
}

// integrity asks the database itself whether its files are whole.
func (s *Store) integrity(ctx context.Context, tx *sql.Tx, v Verification) (found []Violation, err error) {
	query := s.db.dialect().integrity
	if query == "" {
		return nil, nil
	}
	most := v.Limit
	if v.First {
		most = 1
	}
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var line string
		err := rows.Scan(&line)
		if err == nil && line != "ok" && len(found) < most {
			found = append(found, Violation{Invariant: "files", Detail: "damaged: " + line})
		}
		return err
	}, query)
	if err != nil {
		return nil, fmt.Errorf("check the files: %w", err)
	}
	return found, nil
}

// check is a query of what breaks an invariant: a purchase (or 0), an account
// (or none), and what is wrong. {now} is the instant; {held}, {orphans}, {wallet},
// {delivered} and {exposure} are the accounts of that kind, {holding} those
// that hold money for a purchase.
type check struct {
	invariant string
	query     string
}

func (c check) run(ctx context.Context, tx *sql.Tx, accounts *strings.Replacer, v Verification) (found []Violation, err error) {
	query := accounts.Replace(strings.ReplaceAll(c.query, "{now}", strconv.FormatInt(int64(v.Now), 10)))
	err = each(ctx, tx, func(rows *sql.Rows) error {
		one := Violation{Invariant: c.invariant}
		err := rows.Scan(&one.Purchase, &one.Account, &one.Detail)
		found = append(found, one)
		return err
	}, query+` LIMIT `+strconv.Itoa(v.Limit))
	return found, err
}

// accountLists replaces the kinds of accounts in a check by lists of their numbers.
func accountLists(ctx context.Context, tx *sql.Tx) (*strings.Replacer, error) {
	lists := map[string]string{"held": "0", "orphans": "0", "wallet": "0", "delivered": "0", "fees": "0", "exposure": "0"}
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var id int64
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return err
		}
		kind, _, _ := strings.Cut(name, "/")
		if _, known := lists[kind]; known {
			lists[kind] += "," + strconv.FormatInt(id, 10)
		}
		return nil
	}, `SELECT id, name FROM account ORDER BY id`)
	if err != nil {
		return nil, err
	}
	var pairs []string
	for kind, list := range lists {
		pairs = append(pairs, "{"+kind+"}", "("+list+")")
	}
	return strings.NewReplacer(append(pairs, "{holding}", "("+lists["held"]+","+lists["orphans"]+")")...), nil
}
