package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"tenu/internal/purchase"
	"tenu/internal/reconcile"
)

const (
	breakColumns = `version, purchase, statement, number, here, there, moved_at, first_at, found_at, changed_at, place, maker, checker, reopened, looked_at,` +
		` cause, leg, status, by_table, customer, partner, ref, party, currency, detail, correction, reason`
	breakEntryColumns = `break_id, seq, at, staff, event, text`
)

func breakValues(b *reconcile.Break) ([]any, error) {
	correction := ""
	if b.Correction.Leg != 0 {
		text, err := json.Marshal(b.Correction)
		if err != nil {
			return nil, fmt.Errorf("write a correction: %w", err)
		}
		correction = string(text)
	}
	return []any{b.Version, int64(b.Purchase), b.Statement, int64(b.Number), b.Here, b.There, int64(b.At), int64(b.FirstAt), int64(b.FoundAt),
		int64(b.ChangedAt), b.Place, int64(b.Maker), int64(b.Checker), int64(b.Reopened), b.Found.Version, int64(b.Cause), int64(b.Leg), int64(b.Status),
		flag(b.ByTable), flag(b.Customer), clean(b.Partner), clean(b.Ref), clean(b.Party), clean(b.Currency), clean(b.Detail), clean(correction), clean(b.Reason)}, nil
}

func scanBreak(row scanner, b *reconcile.Break) error {
	var correction string
	if err := row.Scan(&b.ID, &b.Version, &b.Purchase, &b.Statement, &b.Number, &b.Here, &b.There, &b.At, &b.FirstAt, &b.FoundAt, &b.ChangedAt,
		&b.Place, &b.Maker, &b.Checker, &b.Reopened, &b.Found.Version, &b.Cause, &b.Leg, &b.Status, &b.ByTable, &b.Customer, &b.Partner, &b.Ref,
		&b.Party, &b.Currency, &b.Detail, &correction, &b.Reason, &b.Case); err != nil {
		return err
	}
	if correction != "" {
		if err := json.Unmarshal([]byte(correction), &b.Correction); err != nil {
			return fmt.Errorf("read the correction of break %d: %w", b.ID, err)
		}
	}
	return nil
}

// breaksRead selects breaks with the case of their purchase.
const (
	breaksRead     = breaksSelected + ` FROM statement_break b`
	breaksSelected = `SELECT b.id, b.version, b.purchase, b.statement, b.number, b.here, b.there, b.moved_at, b.first_at, b.found_at, b.changed_at, b.place,
	b.maker, b.checker, b.reopened, b.looked_at, b.cause, b.leg, b.status, b.by_table, b.customer, b.partner, b.ref, b.party, b.currency, b.detail,
	b.correction, b.reason,
	coalesce((SELECT min(f.id) FROM case_file f WHERE f.purchase = b.purchase AND f.purchase <> 0 AND f.merged_into = 0), 0)`
)

func addBreakEntry(ctx context.Context, tx *sql.Tx, id, seq int64, e reconcile.Entry) error {
	_, err := change(ctx, tx, `INSERT INTO statement_break_entry (`+breakEntryColumns+`) VALUES ($1, $2, $3, $4, $5, $6)`,
		id, seq, int64(e.At), int64(e.Staff), clean(e.Event), clean(e.Text))
	return err
}

// sift adds the condition of a sift.
func sift(w *where, q *reconcile.Sift) {
	if q.Partner != "" {
		w.and(`b.partner = ?`, clean(q.Partner))
	}
	if len(q.Status) > 0 {
		text := ""
		var values []any
		for _, status := range q.Status {
			if text != "" {
				text += ", "
			}
			text += "?"
			values = append(values, int64(status))
		}
		w.and(`b.status IN (`+text+`)`, values...)
	}
	if q.Cause != 0 {
		w.and(`b.cause = ?`, int64(q.Cause))
	}
	if q.Purchase != 0 {
		w.and(`b.purchase = ?`, int64(q.Purchase))
	}
	if q.Party != "" {
		w.and(`b.party = ?`, clean(q.Party))
	}
	if q.Moved != (reconcile.Span{}) {
		w.and(`b.moved_at >= ? AND b.moved_at < ?`, int64(q.Moved.From), int64(q.Moved.To))
	}
	if q.First != (reconcile.Span{}) {
		w.and(`b.first_at >= ? AND b.first_at < ?`, int64(q.First.From), int64(q.First.To))
	}
}

// Breaks is reconcile.Store.
func (s *Store) Breaks(ctx context.Context, q reconcile.Sift) ([]reconcile.Break, error) {
	var w where
	sift(&w, &q)
	if q.Before != 0 {
		w.and(`b.id < ?`, q.Before)
	}
	limit := w.value(q.Limit)
	return list(ctx, s, "read breaks", scanBreak, breaksRead+w.text.String()+` ORDER BY b.id DESC LIMIT `+limit, w.arguments...)
}

// BreakTotals is reconcile.Store.
func (s *Store) BreakTotals(ctx context.Context, q reconcile.Sift) ([]reconcile.BreakTotal, error) {
	var w where
	sift(&w, &q)
	type total struct {
		reconcile.BreakTotal
		most, apart int64
	}
	const more = `CASE WHEN b.here > b.there THEN b.here ELSE b.there END`
	found, err := list(ctx, s, "add up breaks", func(row scanner, t *total) error {
		return row.Scan(&t.Cause, &t.Party, &t.Status, &t.Currency, &t.Breaks, &t.most, &t.apart)
	}, `SELECT b.cause, b.party, b.status, b.currency, count(*), CAST(sum(`+more+`) AS BIGINT),
		CAST(sum(2 * `+more+` - b.here - b.there) AS BIGINT) FROM statement_break b`+w.text.String()+` GROUP BY b.cause, b.party, b.status, b.currency
		ORDER BY b.cause, b.party, b.status, b.currency`, w.arguments...)
	all := make([]reconcile.BreakTotal, len(found))
	for i := range found {
		all[i] = found[i].BreakTotal
		all[i].Loss = all[i].Cause.Loss(found[i].most, found[i].apart)
	}
	return all, err
}

// ChangeBreak is reconcile.Store.
func (s *Store) ChangeBreak(ctx context.Context, b reconcile.Break, e reconcile.Entry, evidence *purchase.Parked) error {
	values, err := breakValues(&b)
	if err != nil {
		return err
	}
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		all := append(slices.Clone(values), b.ID, b.Version-1)
		n, err := change(ctx, tx, `UPDATE statement_break SET `+assign(breakColumns)+fmt.Sprintf(` WHERE id = $%d AND version = $%d`, len(all)-1, len(all)), all...)
		if err != nil {
			return err
		}
		if n == 0 {
			return own(reconcile.ErrStale)
		}
		if err := addBreakEntry(ctx, tx, b.ID, b.Version, e); err != nil || evidence == nil {
			return err
		}
		var parked arguments
		putParked(&parked, evidence)
		_, err = change(ctx, tx, `INSERT INTO parked (`+names(parkedColumns, "")+`) VALUES (`+places(len(parkedColumns))+`)`, parked...)
		return err
	})
	if err != nil {
		return fmt.Errorf("write break %d: %w", b.ID, err)
	}
	return nil
}

// BreakEntries is reconcile.Store.
func (s *Store) BreakEntries(ctx context.Context, id int64) ([]reconcile.Entry, error) {
	return list(ctx, s, "read a break's history", func(row scanner, e *reconcile.Entry) error {
		return row.Scan(&e.Break, &e.Seq, &e.At, &e.Staff, &e.Event, &e.Text)
	}, `SELECT `+breakEntryColumns+` FROM statement_break_entry WHERE break_id = $1 ORDER BY seq`, id)
}

const closeColumns = `seq, corrects, at, day, note`

func scanClose(row scanner, c *reconcile.Close) error {
	return row.Scan(&c.Seq, &c.Corrects, &c.At, &c.Day, &c.Note)
}

// AddClose is reconcile.Store.
func (s *Store) AddClose(ctx context.Context, c reconcile.Close) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `INSERT INTO day_close (`+closeColumns+`) SELECT $1, $2, $3, $4, $5
			WHERE (SELECT coalesce(max(seq), 0) FROM day_close) = CAST($1 AS BIGINT) - 1 ON CONFLICT DO NOTHING`, c.Seq, c.Corrects, int64(c.At), clean(c.Day), clean(c.Note))
		if err == nil && n == 0 {
			return own(reconcile.ErrStale)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("keep the close of %s: %w", c.Day, err)
	}
	return nil
}

// Closes is reconcile.Store.
func (s *Store) Closes(ctx context.Context, day string) ([]reconcile.Close, error) {
	return list(ctx, s, "read closes", scanClose, `SELECT `+closeColumns+` FROM day_close WHERE $1 = '' OR day = $1 ORDER BY seq`, clean(day))
}

// LastClose is reconcile.Store.
func (s *Store) LastClose(ctx context.Context) (c reconcile.Close, err error) {
	last, err := list(ctx, s, "read the last close", scanClose, `SELECT `+closeColumns+` FROM day_close ORDER BY seq DESC LIMIT 1`)
	if err != nil || len(last) == 0 {
		return c, err
	}
	return last[0], nil
}
