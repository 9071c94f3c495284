package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"tenu/internal/regulator"
)

const (
	dayColumns         = `day, zone, from_at, till_at, closed_at, figures, digest`
	correctionColumns  = `day, at, figures, changed, digest`
	itemColumns        = `purchase, account, currency, day, noted_at, amount, since`
	publicationColumns = `month, at, staff, version, head, profile, data, digest, signature`
	questionColumns    = `at, staff, due_at, answered_at, answered_by, subject, text, answer`
)

// fromJSON reads JSON from a text.
type fromJSON struct{ into any }

// Scan is sql.Scanner.
func (c fromJSON) Scan(value any) error {
	switch text := value.(type) {
	case string:
		return json.Unmarshal([]byte(text), c.into)
	case []byte:
		return json.Unmarshal(text, c.into)
	}
	return fmt.Errorf("read JSON: it is a %T", value)
}

func scanDay(row scanner, d *regulator.Day) error {
	return row.Scan(&d.Day, &d.Zone, &d.Span.From, &d.Span.Till, &d.ClosedAt, fromJSON{&d.Figures}, &d.Digest)
}

func scanCorrection(row scanner, c *regulator.Correction) error {
	return row.Scan(&c.Day, &c.At, fromJSON{&c.Figures}, fromJSON{&c.Changed}, &c.Digest)
}

// CloseDay is regulator.Store.
func (s *Store) CloseDay(ctx context.Context, d regulator.Day, changed []regulator.Item) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `INSERT INTO regulator_day (`+dayColumns+`) VALUES (`+placed(dayColumns)+`) ON CONFLICT DO NOTHING`, d.Day, d.Zone, int64(d.Span.From),
			int64(d.Span.Till), int64(d.ClosedAt), jsonText(&d.Figures), d.Digest)
		if err != nil || n == 0 {
			return err
		}
		return addItems(ctx, tx, d.Day, int64(d.ClosedAt), changed)
	})
	if err != nil {
		return fmt.Errorf("keep the figures of %s: %w", d.Day, err)
	}
	return nil
}

// addItems adds items of a day.
func addItems(ctx context.Context, tx *sql.Tx, day string, at int64, items []regulator.Item) error {
	for i := range items {
		x := &items[i]
		_, err := change(ctx, tx, `INSERT INTO regulator_item (`+itemColumns+`) VALUES (`+placed(itemColumns)+`)`, int64(x.Purchase), x.Account, string(x.Currency), day, at,
			x.Amount, int64(x.Since))
		if err != nil {
			return err
		}
	}
	return nil
}

// Correct is regulator.Store.
func (s *Store) Correct(ctx context.Context, c regulator.Correction, changed []regulator.Item) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `INSERT INTO regulator_correction (`+correctionColumns+`) VALUES (`+placed(correctionColumns)+`) ON CONFLICT DO NOTHING`, c.Day, int64(c.At),
			jsonText(&c.Figures), jsonText(c.Changed), c.Digest)
		if err != nil || n == 0 {
			return err
		}
		return addItems(ctx, tx, c.Day, int64(c.At), changed)
	})
	if err != nil {
		return fmt.Errorf("correct the figures of %s: %w", c.Day, err)
	}
	return nil
}

// LastDay is regulator.Store.
func (s *Store) LastDay(ctx context.Context) (regulator.Day, error) {
	return one(ctx, s, "read the newest day", regulator.ErrNotFound, scanDay, `SELECT `+dayColumns+` FROM regulator_day ORDER BY from_at DESC LIMIT 1`)
}

// Days is regulator.Store.
func (s *Store) Days(ctx context.Context, span regulator.Span) ([]regulator.Day, error) {
	return list(ctx, s, "read days", scanDay, `SELECT `+dayColumns+` FROM regulator_day WHERE from_at >= $1 AND from_at < $2 ORDER BY from_at`, int64(span.From), int64(span.Till))
}

// Corrections is regulator.Store.
func (s *Store) Corrections(ctx context.Context, from, till string) ([]regulator.Correction, error) {
	return list(ctx, s, "read corrections", scanCorrection, `SELECT `+correctionColumns+` FROM regulator_correction WHERE day >= $1 AND day <= $2 ORDER BY at, day`, from, till)
}

// ItemsAt is regulator.Store.
func (s *Store) ItemsAt(ctx context.Context, day string) ([]regulator.Item, error) {
	return list(ctx, s, "read what was held", func(row scanner, i *regulator.Item) error {
		return row.Scan(&i.Purchase, &i.Account, &i.Currency, &i.Amount, &i.Since)
	}, `SELECT purchase, account, currency, amount, since FROM regulator_item i WHERE i.day <= $1 AND i.amount <> 0 AND NOT EXISTS (SELECT 1 FROM regulator_item j
			WHERE j.purchase = i.purchase AND j.account = i.account AND j.currency = i.currency AND j.day <= $1 AND (j.day > i.day OR j.day = i.day AND j.noted_at > i.noted_at))
		ORDER BY since, purchase, account, currency`, day)
}

func scanPublication(row scanner, r *regulator.Publication) error {
	return row.Scan(&r.Month, &r.At, &r.By, &r.Version, &r.Head, &r.Profile, &r.Data, &r.Digest, &r.Signature)
}

// Publish is regulator.Store.
func (s *Store) Publish(ctx context.Context, r regulator.Publication, files []regulator.File) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `INSERT INTO regulator_publication (`+publicationColumns+`) VALUES (`+placed(publicationColumns)+`) ON CONFLICT DO NOTHING`, r.Month, int64(r.At), int64(r.By),
			r.Version, r.Head, r.Profile, r.Data, r.Digest, r.Signature)
		if err != nil {
			return err
		}
		if n == 0 {
			return own(regulator.ErrPublished)
		}
		for i := range files {
			f := &files[i]
			if _, err := change(ctx, tx, `INSERT INTO regulator_file (month, name, type, digest, data) VALUES ($1, $2, $3, $4, $5)`, r.Month, f.Name, f.Type, f.Digest, f.Data); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("publish the report of %s: %w", r.Month, err)
	}
	return nil
}

// Publications is regulator.Store.
func (s *Store) Publications(ctx context.Context) ([]regulator.Publication, error) {
	return list(ctx, s, "read reports", scanPublication, `SELECT `+publicationColumns+` FROM regulator_publication ORDER BY month DESC`)
}

// PublicationFiles is regulator.Store.
func (s *Store) PublicationFiles(ctx context.Context, month string) ([]regulator.File, error) {
	return list(ctx, s, "read a report's files", func(row scanner, f *regulator.File) error { return row.Scan(&f.Name, &f.Type, &f.Digest) },
		`SELECT name, type, digest FROM regulator_file WHERE month = $1 ORDER BY name`, month)
}

// PublicationFile is regulator.Store.
func (s *Store) PublicationFile(ctx context.Context, month, name string) (regulator.File, error) {
	return one(ctx, s, "read a report's file", regulator.ErrNotFound, func(row scanner, f *regulator.File) error { return row.Scan(&f.Name, &f.Type, &f.Digest, &f.Data) },
		`SELECT name, type, digest, data FROM regulator_file WHERE month = $1 AND name = $2`, clean(month), clean(name))
}

// Ask is regulator.Store.
func (s *Store) Ask(ctx context.Context, q regulator.Question) (id int64, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `INSERT INTO regulator_question (`+questionColumns+`) VALUES (`+placed(questionColumns)+`) RETURNING id`, int64(q.At), int64(q.By), int64(q.DueAt),
			0, 0, clean(q.Subject), clean(q.Text), "").Scan(&id)
	})
	if err != nil {
		return 0, fmt.Errorf("keep a question: %w", err)
	}
	return id, nil
}

// Answer is regulator.Store.
func (s *Store) Answer(ctx context.Context, q regulator.Question) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `UPDATE regulator_question SET answered_at = $1, answered_by = $2, answer = $3 WHERE id = $4 AND answered_at = 0`, int64(q.AnsweredAt),
			int64(q.AnsweredBy), clean(q.Answer), q.ID)
		if err != nil || n == 1 {
			return err
		}
		err = tx.QueryRowContext(ctx, `SELECT id FROM regulator_question WHERE id = $1`, q.ID).Scan(&q.ID)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return own(regulator.ErrNotFound)
		case err != nil:
			return err
		}
		return own(regulator.ErrAnswered)
	})
	if err != nil {
		return fmt.Errorf("answer question %d: %w", q.ID, err)
	}
	return nil
}

// Questions is regulator.Store.
func (s *Store) Questions(ctx context.Context, limit int) ([]regulator.Question, error) {
	return list(ctx, s, "read questions", func(row scanner, q *regulator.Question) error {
		return row.Scan(&q.ID, &q.At, &q.By, &q.DueAt, &q.AnsweredAt, &q.AnsweredBy, &q.Subject, &q.Text, &q.Answer)
	}, `SELECT id, `+questionColumns+` FROM regulator_question ORDER BY id DESC LIMIT $1`, limit)
}
