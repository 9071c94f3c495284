package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"tenu/internal/evidence"
	"tenu/internal/person"
	"tenu/internal/purchase"
)

// Wanted is an erasure that somebody asks for.
type Wanted struct {
	Forms *person.Forms
	// Instead stands for the number from now on (person.Draw).
	Instead purchase.MSISDN
	// Now says when: what is there when the erasure begins is erased.
	Now    func() purchase.Instant
	By     string
	Reason string
	// Progress is told how many of how many tables were looked through. It may be nil.
	Progress func(done, total int)
}

// Erase puts something that leads to nobody in place of a number, wherever it is held, empties
// what was written about it, and deletes the salts by which the log's commitments to it are
// opened. Figures, ledger and log stay as they are.
//
// What says who bought is changed in one transaction, with the record of the erasure and its
// leaf; texts follow in batches. After a crash the same call goes on where it was, under
// the first instant and Instead. It returns a *person.Refusal while something of the number is open, and
// person.ErrNothing where nothing of it is held: then nothing was changed. What is
// made of the number afterwards is left alone. Durable on return.
func (s *Store) Erase(ctx context.Context, w Wanted) (person.Erasure, error) {
	e, err := s.beginErasure(ctx, &w)
	if err == nil {
		e, err = s.endErasure(ctx, e, w.Forms, w.Now, w.Progress)
	}
	if err != nil {
		return person.Erasure{}, fmt.Errorf("erase: %w", err)
	}
	return e, nil
}

const erasureColumns = `id, version, at, done_at, instead, purchases, commitments, cases, changed, cause, by_name, reason`

func scanErasure(row scanner, e *person.Erasure) error {
	return row.Scan(&e.ID, &e.Version, &e.At, &e.DoneAt, &e.Instead, &e.Counts.Purchases, &e.Counts.Commitments, &e.Counts.Cases, &e.Counts.Rows,
		&e.Cause, &e.By, &e.Reason)
}

// Erasures are the records of all erasures, the newest first.
func (s *Store) Erasures(ctx context.Context, limit int) ([]person.Erasure, error) {
	return list(ctx, s, "read erasures", scanErasure, `SELECT `+erasureColumns+` FROM erasure ORDER BY id DESC LIMIT $1`, limit)
}

// beginErasure finds the erasure that a crash left, or changes who bought and begins one.
func (s *Store) beginErasure(ctx context.Context, w *Wanted) (e person.Erasure, err error) {
	held, err := s.heldApart(ctx, w)
	if err != nil {
		return e, err
	}
	now := w.Now()
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		e = person.Erasure{}
		if err := s.readsAll(ctx, tx); err != nil {
			return err
		}
		err := scanErasure(tx.QueryRowContext(ctx, `SELECT `+erasureColumns+` FROM erasure WHERE number = $1 AND done_at = 0`, int64(w.Forms.Number)), &e)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		sub, err := s.subject(ctx, tx, w.Forms.Number, now)
		if err != nil {
			return err
		}
		open, err := s.unsettled(ctx, tx, sub, w.Forms)
		if err != nil {
			return err
		}
		if len(open) > 0 {
			return own(&person.Refusal{Open: open})
		}
		e = person.Erasure{Version: 1, At: now, Cause: person.OnRequest, By: w.Forms.Replace(w.By, person.Mark), Reason: w.Forms.Replace(w.Reason, person.Mark), Instead: w.Instead}
		if e.Counts, err = s.replace(ctx, tx, sub, w.Instead, true); err != nil {
			return err
		}
		if e.Counts.Rows == 0 && !held {
			return own(person.ErrNothing)
		}
		return s.addErasure(ctx, tx, &e, w.Forms.Number)
	})
	return e, err
}

// addErasure keeps the record, and leaves its leaf.
func (s *Store) addErasure(ctx context.Context, tx *sql.Tx, e *person.Erasure, number purchase.MSISDN) error {
	err := tx.QueryRowContext(ctx, `INSERT INTO erasure (version, at, done_at, number, instead, purchases, commitments, cases, changed, cause, by_name, reason)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id`, e.Version, int64(e.At), int64(e.DoneAt), int64(number), int64(e.Instead),
		e.Counts.Purchases, e.Counts.Commitments, e.Counts.Cases, e.Counts.Rows, int64(e.Cause), clean(e.By), clean(e.Reason)).Scan(&e.ID)
	if err != nil {
		return err
	}
	return s.leaveErasure(ctx, tx, e)
}

func erasureItem(b []byte, e *person.Erasure) []byte {
	return state(b).Word(e.Cause.String()).Numbers(int64(e.DoneAt), e.Counts.Purchases, e.Counts.Commitments, e.Counts.Cases, e.Counts.Rows).End()
}

func (s *Store) leaveErasure(ctx context.Context, tx *sql.Tx, e *person.Erasure) error {
	return s.leave(ctx, tx, evidence.Head{Kind: evidence.Erasure, ID: e.ID, Version: e.Version, At: max(e.At, e.DoneAt), Begun: e.At},
		func(b []byte) []byte { return erasureItem(b, e) })
}

// subject is a number with what leads to its rows: identities by list, as holding names them.
type subject struct {
	number purchase.MSISDN
	cut    purchase.Instant // what is newer is left alone
	lists  map[string][]int64
}

func (s *Store) subject(ctx context.Context, tx *sql.Tx, number purchase.MSISDN, cut purchase.Instant) (*subject, error) {
	sub := &subject{number, cut, map[string][]int64{}}
	n, till := int64(number), int64(cut)
	for _, l := range []struct {
		list, query string
	}{
		{"P", `SELECT id FROM purchase WHERE recipient = $1 AND created_at <= $2
			UNION SELECT id FROM purchase WHERE payer_number = $1 AND payer_number <> recipient AND created_at <= $2 ORDER BY 1`},
		{"K", `SELECT id FROM case_file WHERE number = $1 AND opened_at <= $2`},
		{"C", `SELECT id FROM callback WHERE number = $1 AND at <= $2`},
		{"B", `SELECT id FROM statement_break WHERE number = $1 AND first_at <= $2`},
	} {
		found, err := numbers(ctx, tx, l.query, n, till)
		if err != nil {
			return nil, err
		}
		sub.lists[l.list] = found
	}
	return sub, s.follow(ctx, tx, sub)
}

// follow adds what the purchases lead to.
func (s *Store) follow(ctx context.Context, tx *sql.Tx, sub *subject) (err error) {
	d := s.db.dialect()
	p := d.list(sub.lists["P"])
	breaks, err := numbers(ctx, tx, `SELECT id FROM statement_break WHERE purchase <> 0 AND purchase`+d.among, p)
	if err != nil {
		return err
	}
	sub.lists["B"] = append(sub.lists["B"], breaks...)
	sub.lists["I"], err = numbers(ctx, tx, `SELECT DISTINCT incident FROM incident_purchase WHERE purchase`+d.among, p)
	return err
}

// unsettled lists what of a number is not over.
func (s *Store) unsettled(ctx context.Context, tx *sql.Tx, sub *subject, forms *person.Forms) (open []person.Open, err error) {
	const most = 5 // of a kind
	d := s.db.dialect()
	n, till := strconv.FormatInt(int64(sub.number), 10), strconv.FormatInt(int64(sub.cut), 10)
	mine := func(column string) string { return column + d.among }
	for _, o := range []struct{ kind, list, query string }{
		{person.OpenPurchase, "P", `SELECT id, id, 0 FROM purchase WHERE due_at <> 0 AND state NOT IN (3, 5, 6) AND ` + mine(`id`)},
		{person.OpenWatch, "P", `SELECT id, id, watch_till FROM purchase WHERE due_at <> 0 AND state IN (3, 5, 6) AND ` + mine(`id`)},
		{person.OpenNews, "P", `SELECT 0, purchase, 0 FROM parked WHERE ` + mine(`purchase`)},
		{person.OpenMatter, "P", `SELECT 0, purchase, 0 FROM care_case WHERE taken = 0 AND ` + mine(`purchase`)},
		{person.OpenMatter, "P", `SELECT 0, purchase, 0 FROM report WHERE taken = 0 AND (number = ` + n + ` OR ` + mine(`purchase`) + `)`},
		{person.OpenCase, "P", `SELECT id, purchase, 0 FROM case_file WHERE status IN (1, 2) AND merged_into = 0 AND (number = ` + n + ` OR purchase <> 0 AND ` + mine(`purchase`) + `)`},
		{person.OpenRequest, "P", `SELECT id, purchase, 0 FROM request WHERE stage <= 3 AND (number = ` + n + ` OR recipient = ` + n + ` OR ` + mine(`purchase`) + `)`},
		{person.OpenCallback, "", `SELECT id, purchase, 0 FROM callback WHERE state = 1 AND number = ` + n},
		{person.OpenCheckout, "", `SELECT 0, 0, 0 FROM checkout WHERE state IN (2, 3) AND at <= ` + till + ` AND (number = ` + n + ` OR ` + sieved("wish", forms) + `)`},
		{person.OpenIncident, "P", `SELECT i.incident, i.purchase, 0 FROM incident_purchase i JOIN incident x ON x.id = i.incident WHERE x.status <> 4 AND ` + mine(`i.purchase`)},
		{person.OpenBreak, "B", `SELECT id, purchase, 0 FROM statement_break WHERE status <> 4 AND ` + mine(`id`)},
		{person.OpenMessage, "P", `SELECT 0, purchase, 0 FROM notice WHERE sent_at = 0 AND at > ` + till + ` - 259200000000 AND at <= ` + till + ` AND to_number = ` + n + ` AND ` + mine(`purchase`)},
		{person.OpenMessage, "", `SELECT id, 0, 0 FROM care_message WHERE sent_at = 0 AND at > ` + till + ` - 259200000000 AND at <= ` + till + ` AND to_number = ` + n},
		{person.OpenStaff, "", `SELECT staff, 0, 0 FROM staff_number WHERE number = ` + n},
	} {
		var arguments []any
		if o.list != "" {
			arguments = []any{d.list(sub.lists[o.list])}
		}
		err := each(ctx, tx, func(rows *sql.Rows) error {
			x := person.Open{Kind: o.kind}
			err := rows.Scan(&x.ID, &x.Purchase, &x.Till)
			open = append(open, x)
			return err
		}, o.query+` LIMIT `+strconv.Itoa(most), arguments...)
		if err != nil {
			return nil, err
		}
	}
	return open, nil
}

// Unsettled lists what of a number is open, and would keep it from being erased.
func (s *Store) Unsettled(ctx context.Context, forms *person.Forms, now purchase.Instant) (open []person.Open, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		sub, err := s.subject(ctx, tx, forms.Number, now)
		if err == nil {
			open, err = s.unsettled(ctx, tx, sub, forms)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for what is open of a number: %w", err)
	}
	return open, nil
}

// replace changes the rows that a subject is linked to. With all set, what serves the number alone is
// deleted too.
func (s *Store) replace(ctx context.Context, tx *sql.Tx, sub *subject, instead purchase.MSISDN, all bool) (c person.Counts, err error) {
	d := s.db.dialect()
	c.Purchases, c.Cases = int64(len(sub.lists["P"])), int64(len(sub.lists["K"]))
	salted := `SELECT count(*) FROM purchase WHERE length(salt) > 0 AND id` + d.among
	if err := tx.QueryRowContext(ctx, salted, d.list(sub.lists["P"])).Scan(&c.Commitments); err != nil {
		return c, err
	}
	for i := range holdings {
		h := &holdings[i]
		if h.drop && !all || len(h.numbers())+len(h.texts()) == 0 && !h.drop {
			continue
		}
		for _, link := range h.links() {
			where, arguments := link[0]+` = `+strconv.FormatInt(int64(sub.number), 10), []any(nil)
			switch {
			case link[1] != "N" && len(sub.lists[link[1]]) == 0:
				continue
			case link[1] != "N":
				where, arguments = link[0]+d.among, []any{d.list(sub.lists[link[1]])}
			case h.at != "":
				where += ` AND ` + h.at + ` <= ` + strconv.FormatInt(int64(sub.cut), 10)
			}
			n, err := change(ctx, tx, h.replacing(sub.number, instead, d.nothing)+` WHERE `+where, arguments...)
			if err != nil {
				return c, fmt.Errorf("%s: %w", h.table, err)
			}
			c.Rows += int64(n)
		}
	}
	if !all {
		return c, nil
	}
	n, err := change(ctx, tx, `DELETE FROM session WHERE data = $1`, binary.BigEndian.AppendUint64(nil, uint64(sub.number))) //nolint:gosec // as package web writes it
	c.Rows += int64(n)
	return c, err
}

// replacing is what is done to rows that are linked to a number, as SQL without its condition. Of the names only those
// that hold the whole number as digits are changed so: what else there is takes looking through.
func (h *holding) replacing(number, instead purchase.MSISDN, nothing string) string {
	if h.drop {
		return `DELETE FROM ` + h.table
	}
	n := strconv.FormatInt(int64(number), 10)
	var sets []string
	for _, column := range h.numbers() {
		sets = append(sets, column+` = CASE WHEN `+column+` = `+n+` THEN `+strconv.FormatInt(int64(instead), 10)+` ELSE `+column+` END`)
	}
	for _, column := range strings.Fields(h.text) {
		if h.where == "" {
			sets = append(sets, column+` = ''`)
			continue
		}
		sets = append(sets, column+` = CASE WHEN `+strings.ReplaceAll(h.where, "{n}", n)+` THEN '' ELSE `+column+` END`)
	}
	for _, column := range strings.Fields(h.name) {
		sets = append(sets, column+` = replace(`+column+`, '`+n+`', '`+strconv.FormatInt(int64(instead), 10)+`')`)
	}
	if h.table == "purchase" {
		// The digest is of the wish, number and all: who has it can try every number.
		sets = append(sets, `salt = `+nothing, `digest = `+nothing)
	}
	return `UPDATE ` + h.table + ` SET ` + strings.Join(sets, ", ")
}
