package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tenu/internal/care"
	"tenu/internal/person"
	"tenu/internal/purchase"
	"tenu/internal/reconcile"
	"tenu/internal/seal"
)

// What no index leads to is found by looking through: texts in which a number may stand, and
// numbers that partners told.

// lookedAtOnce bounds the rows of one batch.
const lookedAtOnce = 200

// found is one row that holds the number.
type found struct {
	h   *holding
	key []any
	in  []string // columns
}

// sieved is a condition, as SQL, that holds for every text that has the number in any form, and for
// few others.
func sieved(text string, forms *person.Forms) string {
	for _, s := range person.Separators() {
		text = `replace(` + text + `, '` + s + `', '')`
	}
	return text + ` LIKE '%` + forms.Sieve() + `%'`
}

// suspicious selects a table's rows that may hold the number, as a condition; "" where none can.
func (s *Store) suspicious(h *holding, forms *person.Forms) string {
	var either []string
	for _, column := range h.numbers() {
		either = append(either, column+` = `+strconv.FormatInt(int64(forms.Number), 10))
	}
	var texts []string
	for _, column := range h.texts() {
		texts = append(texts, `coalesce(`+column+`, '')`)
	}
	if len(texts) > 0 {
		either = append(either, sieved(`(`+strings.Join(texts, ` || '|' || `)+`)`, forms))
	}
	for _, column := range h.seals() { // what is sealed tells only who opens it
		if s.sealer.options != nil && slices.Contains(h.texts(), column) {
			either = append(either, `substr(`+column+`, 1, `+strconv.Itoa(len(seal.Mark))+`) = '`+seal.Mark+`'`)
		}
	}
	if len(either) == 0 {
		return ""
	}
	return `(` + strings.Join(either, ` OR `) + `)`
}

// lookThrough tells of each row, made until an instant, that holds the number, in batches of a table that
// are done between tells.
func (s *Store) lookThrough(ctx context.Context, forms *person.Forms, cut purchase.Instant, tell func([]found) error, progress func(done, total int)) error {
	for i := range holdings {
		h := &holdings[i]
		if progress != nil {
			progress(i, len(holdings))
		}
		condition := s.suspicious(h, forms)
		if condition == "" {
			continue
		}
		if h.at != "" {
			condition += ` AND ` + h.at + ` <= ` + strconv.FormatInt(int64(cut), 10)
		}
		var after []any
		for {
			batch, last, err := s.suspects(ctx, h, forms, condition, after)
			if err != nil {
				return fmt.Errorf("look through %s: %w", h.table, err)
			}
			if len(batch) > 0 {
				if err := tell(batch); err != nil {
					return err
				}
			}
			if after = last; after == nil {
				break
			}
		}
	}
	return nil
}

// suspects reads the next rows of a table that hold the number; last is nil behind the end.
func (s *Store) suspects(ctx context.Context, h *holding, forms *person.Forms, condition string, after []any) (batch []found, last []any, err error) {
	keys := h.keys()
	columns := slices.Concat(keys, h.numbers(), h.texts())
	list := strings.Join(keys, `, `)
	if len(after) > 0 {
		condition += ` AND (` + list + `) > (` + places(len(keys)) + `)`
	}
	query := `SELECT ` + strings.Join(columns, `, `) + ` FROM ` + h.table + ` WHERE ` + condition + ` ORDER BY ` + list + ` LIMIT ` + strconv.Itoa(lookedAtOnce)
	err = s.longer(ctx, func(ctx context.Context, tx *sql.Tx) error {
		batch, last = nil, nil
		n := 0
		err := each(ctx, tx, func(rows *sql.Rows) error {
			values, err := scanAny(rows, len(columns))
			if err != nil {
				return err
			}
			n++
			last = values[:len(keys)]
			if err := s.openRow(h, columns[len(keys):], values[len(keys):], last); err != nil {
				return err
			}
			if in := h.holds(values[len(keys):], forms); len(in) > 0 {
				batch = append(batch, found{h, last, in})
			}
			return nil
		}, query, after...)
		if n < lookedAtOnce {
			last = nil
		}
		return err
	})
	return batch, last, err
}

// scanAny reads a row of whatever columns.
func scanAny(row scanner, n int) ([]any, error) {
	values, to := make([]any, n), make([]any, n)
	for i := range values {
		to[i] = &values[i]
	}
	err := row.Scan(to...)
	return values, err
}

// holds lists the columns, of a table's numbers and texts, whose values hold the number.
func (h *holding) holds(values []any, forms *person.Forms) (in []string) {
	for i, column := range slices.Concat(h.numbers(), h.texts()) {
		switch v := values[i].(type) {
		case int64:
			if v == int64(forms.Number) {
				in = append(in, column)
			}
		case string:
			if forms.In(v) {
				in = append(in, column)
			}
		}
	}
	return in
}

// clear takes the number out of rows, reading them again in the transaction that changes them.
func (s *Store) clear(ctx context.Context, batch []found, forms *person.Forms, instead purchase.MSISDN) (changed int64, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		changed = 0
		for i := range batch {
			n, err := s.clearRow(ctx, tx, &batch[i], forms, instead)
			if err != nil {
				return fmt.Errorf("%s: %w", batch[i].h.table, err)
			}
			changed += int64(n)
		}
		return nil
	})
	return changed, err
}

func (s *Store) clearRow(ctx context.Context, tx *sql.Tx, f *found, forms *person.Forms, instead purchase.MSISDN) (int, error) {
	h := f.h
	columns := slices.Concat(h.numbers(), h.texts())
	var w where
	for i, column := range h.keys() {
		w.and(column+` = ?`, f.key[i])
	}
	values, err := scanAny(tx.QueryRowContext(ctx, `SELECT `+strings.Join(columns, `, `)+` FROM `+h.table+w.text.String(), w.arguments...), len(columns))
	if err == nil {
		err = s.openRow(h, columns, values, f.key)
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, nil
	case err != nil || len(h.holds(values, forms)) == 0:
		return 0, err
	case h.drop:
		return change(ctx, tx, `DELETE FROM `+h.table+w.text.String(), w.arguments...)
	}
	key, moved := slices.Clone(f.key), false // what is sealed is bound to its row
	for i, column := range h.keys() {
		if key[i] == int64(forms.Number) && slices.Contains(h.numbers(), column) {
			key[i], moved = int64(instead), true
		}
	}
	var sets []string
	for i, column := range columns {
		switch v := values[i].(type) {
		case int64:
			if v == int64(forms.Number) {
				sets = append(sets, column+` = `+strconv.FormatInt(int64(instead), 10))
			}
		case string:
			with := person.Mark
			if slices.Contains(strings.Fields(h.name), column) {
				with = strconv.FormatInt(int64(instead), 10)
			}
			now, sealed := forms.Replace(v, with), slices.Contains(h.seals(), column)
			if now != v || sealed && moved && v != care.Unreadable {
				if sealed {
					now = s.sealer.text(now, h.table+"."+column, key...)
				}
				sets = append(sets, column+` = `+w.value(now))
			}
		}
	}
	return change(ctx, tx, `UPDATE `+h.table+` SET `+strings.Join(sets, `, `)+w.text.String(), w.arguments...)
}

// eachPart tells of the lines of every statement that was loaded until an instant, part by part, but for those that nobody can read.
func (s *Store) eachPart(ctx context.Context, cut purchase.Instant, tell func(statement int64, seq int, lines []byte) error) error {
	statement, seq := int64(0), -1
	for {
		var lines []byte
		err := s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
			err := tx.QueryRowContext(ctx, `SELECT p.statement, p.seq, p.lines FROM statement_part p JOIN statement s ON s.id = p.statement
				WHERE (p.statement, p.seq) > ($1, $2) AND s.at <= $3 ORDER BY p.statement, p.seq LIMIT 1`, statement, seq, int64(cut)).Scan(&statement, &seq, &lines)
			if err != nil {
				return err
			}
			return s.openBytes(&lines, "statement_part.lines", statement, int64(seq))
		})
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return nil
		case errors.Is(err, care.ErrUnreadable):
			s.log.Error("a sealed value cannot be read", "err", err)
			continue
		case err == nil:
			err = tell(statement, seq, lines)
		}
		if err != nil {
			return err
		}
	}
}

// rewritten is a part of a statement without the number.
func rewritten(lines []byte, forms *person.Forms, instead purchase.MSISDN) (now []byte, changed bool, err error) {
	digits := strconv.FormatInt(int64(instead), 10)
	now, err = reconcile.Rewrite(lines, func(l *reconcile.Line) bool {
		was := *l
		if l.Number == forms.Number {
			l.Number = instead
		}
		for _, text := range []*string{&l.Key, &l.Ref, &l.Original, &l.Product} {
			*text = forms.Replace(*text, digits)
		}
		return *l != was
	})
	return now, now != nil, err
}

// heldApart reports whether anything of the number is held, in rows or in texts.
func (s *Store) heldApart(ctx context.Context, w *Wanted) (held bool, err error) {
	now := w.Now()
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		sub, err := s.subject(ctx, tx, w.Forms.Number, now)
		if err == nil {
			for _, list := range sub.lists {
				held = held || len(list) > 0
			}
		}
		return err
	})
	if err != nil || held {
		return held, err
	}
	err = s.lookThrough(ctx, w.Forms, now, func([]found) error { held = true; return errEnough }, nil)
	if err == nil {
		err = s.eachPart(ctx, now, func(_ int64, _ int, lines []byte) error {
			_, changed, err := rewritten(lines, w.Forms, w.Instead)
			if held = held || changed; held && err == nil {
				return errEnough
			}
			return err
		})
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	return held, err
}

// endErasure takes the number out of what is only found by looking through, and ends the erasure.
func (s *Store) endErasure(ctx context.Context, e person.Erasure, forms *person.Forms, now func() purchase.Instant, progress func(done, total int)) (person.Erasure, error) {
	err := s.lookThrough(ctx, forms, e.At, func(batch []found) error {
		n, err := s.clear(ctx, batch, forms, e.Instead)
		e.Counts.Rows += n
		return err
	}, progress)
	if err != nil {
		return e, err
	}
	err = s.eachPart(ctx, e.At, func(statement int64, seq int, lines []byte) error {
		again, changed, err := rewritten(lines, forms, e.Instead)
		if err != nil || !changed {
			return err
		}
		e.Counts.Rows++
		return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
			_, err := change(ctx, tx, `UPDATE statement_part SET lines = $1 WHERE statement = $2 AND seq = $3`,
				s.sealer.bytes(again, "statement_part.lines", statement, int64(seq)), statement, seq)
			return err
		})
	})
	if err != nil {
		return e, fmt.Errorf("look through statements: %w", err)
	}
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.readsAll(ctx, tx); err != nil { // it would be over with texts that nobody looked into
			return err
		}
		e.Version, e.DoneAt = 2, max(now(), e.At)
		n, err := change(ctx, tx, `UPDATE erasure SET version = 2, done_at = $2, number = 0, changed = $3 WHERE id = $1 AND version = 1`, e.ID, int64(e.DoneAt), e.Counts.Rows)
		if err != nil || n == 0 { // another process ended it meanwhile
			return err
		}
		return s.leaveErasure(ctx, tx, &e)
	})
	return e, err
}
