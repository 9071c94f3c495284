package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tenu/internal/person"
	"tenu/internal/purchase"
)

// Aged is what is to be let go of because its time is over.
type Aged struct {
	Kind   person.Kind
	Before purchase.Instant // what is older
	// Dry only counts.
	Dry bool
	// Now says when, Draw draws what stands for a number: both for person.Numbers alone.
	Now  func() purchase.Instant
	Draw func() (purchase.MSISDN, error)
}

// aged are rows of a table that are let go of. {t} is the instant before which they were made.
type aged struct {
	kind       person.Kind
	table, key string
	where      string
	set        string // "" deletes them
}

const closedCase = `EXISTS (SELECT 1 FROM case_file f WHERE f.id = case_id AND f.closed_at <> 0 AND f.closed_at < {t})`

var agedRows = []aged{
	{person.Attachments, "attachment", "id", `at < {t} AND ` + closedCase, ""},
	{person.Texts, "case_entry", "case_id seq", `text <> '' AND at < {t} AND ` + spokenEntries + ` AND ` + closedCase, `text = ''`},
	{person.Texts, "case_file", "id", `digest <> '' AND closed_at <> 0 AND closed_at < {t}`, `digest = ''`},
	{person.Texts, "report", "purchase number matter", `detail <> '' AND taken = 1 AND at < {t}`, `detail = ''`},
	{person.Texts, "request", "id", `(reason <> '' OR why <> '') AND closed_at <> 0 AND closed_at < {t}`, `reason = '', why = ''`},
	{person.Texts, "callback", "id", `reason <> '' AND closed_at <> 0 AND closed_at < {t}`, `reason = ''`},
	{person.Texts, "evidence", "purchase version", `detail <> '' AND at < {t} AND EXISTS (SELECT 1 FROM purchase p WHERE p.id = purchase AND p.due_at = 0)`, `detail = ''`},
	{person.Messages, "notice", "purchase fact to_number", `text <> '' AND sent_at <> 0 AND at < {t}`, `text = ''`},
	{person.Messages, "care_message", "id", `text <> '' AND sent_at <> 0 AND at < {t}`, `text = ''`},
	{person.Looks, "look", "id", `at < {t}`, ""},
	{person.Calls, "call", "id", `number <> 0 AND at < {t}`, `number = 0`},
	{person.Statements, "statement_part", "statement seq", `EXISTS (SELECT 1 FROM statement s WHERE s.id = statement_part.statement AND s.to_at < {t})
		AND NOT EXISTS (SELECT 1 FROM statement_break b WHERE b.statement = statement_part.statement AND b.status <> 4)`, ""},
}

// Retain lets go of what is older than its time, in batches, and returns how many rows, or for person.Numbers
// how many purchases. Purchases lose their numbers and keep everything else; a number of which
// something that old is not over yet waits for the next time. It is safe to stop and to call again.
func (s *Store) Retain(ctx context.Context, a Aged) (rows int64, err error) {
	if a.Kind == person.Numbers {
		rows, err = s.retainNumbers(ctx, a)
	}
	for i := range agedRows {
		if r := &agedRows[i]; r.kind == a.Kind && err == nil {
			var n int64
			n, err = s.retainRows(ctx, a, r)
			rows += n
		}
	}
	if err != nil {
		return rows, fmt.Errorf("let go of %s: %w", a.Kind, err)
	}
	return rows, nil
}

func (s *Store) retainRows(ctx context.Context, a Aged, r *aged) (rows int64, err error) {
	keys := strings.Fields(r.key)
	list := strings.Join(keys, `, `)
	condition := strings.ReplaceAll(r.where, "{t}", strconv.FormatInt(int64(a.Before), 10))
	if a.Dry {
		err := s.whole(func() error {
			return s.db.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
				return tx.QueryRowContext(ctx, `SELECT count(*) FROM `+r.table+` WHERE `+condition).Scan(&rows)
			})
		})
		return rows, err
	}
	for after := []any(nil); ; {
		var batch [][]any
		query := `SELECT ` + list + ` FROM ` + r.table + ` WHERE ` + condition
		if after != nil {
			query += ` AND (` + list + `) > (` + places(len(keys)) + `)`
		}
		err := s.whole(func() error {
			return s.db.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
				batch = nil
				return each(ctx, tx, func(rows *sql.Rows) error {
					key, err := scanAny(rows, len(keys))
					batch = append(batch, key)
					return err
				}, query+` ORDER BY `+list+` LIMIT `+strconv.Itoa(lookedAtOnce), after...)
			})
		})
		if err != nil || len(batch) == 0 {
			return rows, err
		}
		n, err := s.letGo(ctx, r, keys, condition, batch)
		if rows += n; err != nil {
			return rows, err
		}
		after = batch[len(batch)-1]
	}
}

// letGo changes or deletes rows for which the condition still holds.
func (s *Store) letGo(ctx context.Context, r *aged, keys []string, condition string, batch [][]any) (rows int64, err error) {
	statement := `DELETE FROM ` + r.table
	if r.set != "" {
		statement = `UPDATE ` + r.table + ` SET ` + r.set
	}
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		rows = 0
		for _, key := range batch {
			var w where
			for i, column := range keys {
				w.and(column+` = ?`, key[i])
			}
			n, err := change(ctx, tx, statement+w.text.String()+` AND `+condition, w.arguments...)
			if err != nil {
				return err
			}
			rows += int64(n)
		}
		return nil
	})
	return rows, err
}

// numbersAtOnce bounds the numbers of one transaction.
const numbersAtOnce = 50

// withNumber are purchases that are over and have a number still.
const withNumber = `FROM purchase WHERE created_at < $1 AND due_at = 0 AND (payer_number < 1000000000000000 OR recipient < 1000000000000000)`

func (s *Store) retainNumbers(ctx context.Context, a Aged) (rows int64, err error) {
	if a.Dry {
		err := s.whole(func() error {
			return s.db.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
				return tx.QueryRowContext(ctx, `SELECT count(*) `+withNumber, int64(a.Before)).Scan(&rows)
			})
		})
		return rows, err
	}
	var at, id int64
	for {
		var batch []purchase.MSISDN
		last := false
		err := s.whole(func() error {
			return s.db.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
				batch, last = nil, true
				return each(ctx, tx, func(rows *sql.Rows) error {
					var payer, recipient purchase.MSISDN
					err := rows.Scan(&at, &id, &payer, &recipient)
					for _, n := range []purchase.MSISDN{payer, recipient} {
						if n > 0 && !n.Erased() && !slices.Contains(batch, n) {
							batch = append(batch, n)
						}
					}
					last = false
					return err
				}, `SELECT created_at, id, payer_number, recipient `+withNumber+` AND (created_at, id) > ($2, $3) ORDER BY created_at, id LIMIT $4`,
					int64(a.Before), at, id, numbersAtOnce/2)
			})
		})
		if err != nil || last {
			return rows, err
		}
		n, err := s.forgetAged(ctx, a, batch)
		if rows += n; err != nil {
			return rows, err
		}
	}
}

// forgetAged puts something else in place of numbers in what is old enough, in one transaction with its record.
func (s *Store) forgetAged(ctx context.Context, a Aged, batch []purchase.MSISDN) (purchases int64, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		purchases = 0
		now := a.Now()
		e := person.Erasure{Version: 1, At: now, DoneAt: now, Cause: person.Retention, By: "retention"}
		for _, number := range batch {
			sub, err := s.agedSubject(ctx, tx, number, a.Before)
			if err != nil || len(sub.lists["P"]) == 0 {
				if err != nil {
					return err
				}
				continue
			}
			open, err := s.unsettled(ctx, tx, sub, person.NewForms(number, ""))
			if err != nil {
				return err
			}
			// What only the whole number waits for is no matter here.
			if slices.ContainsFunc(open, func(o person.Open) bool { return o.Kind != person.OpenStaff && o.Kind != person.OpenCheckout }) {
				continue
			}
			instead, err := a.Draw()
			if err != nil {
				return own(err)
			}
			c, err := s.replace(ctx, tx, sub, instead, false)
			if err != nil {
				return err
			}
			e.Counts.Purchases += c.Purchases
			e.Counts.Commitments += c.Commitments
			e.Counts.Cases += c.Cases
			e.Counts.Rows += c.Rows
		}
		if purchases = e.Counts.Purchases; purchases == 0 {
			return nil
		}
		return s.addErasure(ctx, tx, &e, 0)
	})
	return purchases, err
}

// agedSubject is a number in what is old enough. Purchases of one incident go together or not at all: their
// customer is one of the incident's, and so do the messages that told them of it.
func (s *Store) agedSubject(ctx context.Context, tx *sql.Tx, number purchase.MSISDN, before purchase.Instant) (*subject, error) {
	sub := &subject{number, before - 1, map[string][]int64{}}
	d := s.db.dialect()
	n := strconv.FormatInt(int64(number), 10)
	theirs := `(recipient = ` + n + ` OR payer_number = ` + n + `)`
	all, err := numbers(ctx, tx, `SELECT id FROM purchase WHERE recipient = $1 AND created_at < $2 AND due_at = 0
		UNION SELECT id FROM purchase WHERE payer_number = $1 AND payer_number <> recipient AND created_at < $2 AND due_at = 0`, int64(number), int64(before))
	if err != nil {
		return nil, err
	}
	young, err := numbers(ctx, tx, `SELECT DISTINCT i.purchase FROM incident_purchase i WHERE i.purchase`+d.among+` AND (EXISTS (SELECT 1 FROM incident_purchase j
		JOIN purchase p ON p.id = j.purchase WHERE j.incident = i.incident AND j.number = i.number AND (p.created_at >= $2 OR p.due_at <> 0) AND `+theirs+`)
		OR EXISTS (SELECT 1 FROM incident_customer c WHERE c.incident = i.incident AND c.number = i.number AND (c.told_at >= $2 OR c.ended_at >= $2)))`,
		d.list(all), int64(before))
	if err != nil {
		return nil, err
	}
	sub.lists["P"] = slices.DeleteFunc(all, func(id int64) bool { return slices.Contains(young, id) })
	p := d.list(sub.lists["P"])
	if sub.lists["K"], err = numbers(ctx, tx, `SELECT id FROM case_file WHERE number = `+n+` AND opened_at < $2 AND closed_at <> 0 AND (purchase = 0 OR purchase`+d.among+`)`, p, int64(before)); err != nil {
		return nil, err
	}
	if sub.lists["C"], err = numbers(ctx, tx, `SELECT id FROM callback WHERE number = $1 AND at < $2 AND closed_at <> 0`, int64(number), int64(before)); err != nil {
		return nil, err
	}
	return sub, s.follow(ctx, tx, sub)
}

// EndErasures ends erasures that a crash left, and returns how many. forms makes a number's.
func (s *Store) EndErasures(ctx context.Context, forms func(purchase.MSISDN) *person.Forms, now func() purchase.Instant) (ended int, err error) {
	type left struct {
		person.Erasure
		number purchase.MSISDN
	}
	all, err := list(ctx, s, "read erasures", func(row scanner, l *left) error {
		return row.Scan(&l.ID, &l.Version, &l.At, &l.Instead, &l.Counts.Purchases, &l.Counts.Commitments, &l.Counts.Cases, &l.Counts.Rows, &l.Cause, &l.By, &l.Reason, &l.number)
	}, `SELECT id, version, at, instead, purchases, commitments, cases, changed, cause, by_name, reason, number FROM erasure WHERE done_at = 0 AND number <> 0`)
	for i := range all {
		if err == nil {
			_, err = s.endErasure(ctx, all[i].Erasure, forms(all[i].number), now, nil)
			ended++
		}
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("end an erasure: %w", err)
	}
	return ended, err
}
