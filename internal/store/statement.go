package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"tenu/internal/purchase"
	"tenu/internal/reconcile"
)

// A *Store keeps what reconciliation knows.
var _ reconcile.Store = (*Store)(nil)

const statementColumns = `id, at, from_at, to_at, lines, replaced, partial, kept, partner, name, format, zone, digest, sums, tally`

func scanStatement(row scanner, s *reconcile.Statement) error {
	var sums, tally string
	if err := row.Scan(&s.ID, &s.At, &s.From, &s.To, &s.Lines, &s.Replaced, &s.Partial, &s.Kept, &s.Partner, &s.Name, &s.Format, &s.Zone,
		&s.Digest, &sums, &tally); err != nil {
		return err
	}
	if err := errors.Join(json.Unmarshal([]byte(sums), &s.Sums), json.Unmarshal([]byte(tally), &s.Tally)); err != nil {
		return fmt.Errorf("read the sums of statement %d: %w", s.ID, err)
	}
	return nil
}

// Made is reconcile.Store.
func (s *Store) Made(ctx context.Context, in reconcile.Span) (found []reconcile.IDs, err error) {
	spans, err := s.madeIn(ctx, in.From, in.To, unknown)
	if err != nil {
		return nil, fmt.Errorf("find the purchases of a time: %w", err)
	}
	for _, part := range spans {
		found = append(found, reconcile.IDs{From: purchase.ID(part.from), Till: purchase.ID(part.till)})
	}
	return found, nil
}

// Loaded is reconcile.Store.
func (s *Store) Loaded(ctx context.Context, partner, digest string) (reconcile.Statement, error) {
	return one(ctx, s, "read a statement", reconcile.ErrNoStatement, scanStatement,
		`SELECT `+statementColumns+` FROM statement WHERE partner = $1 AND digest = $2 AND kept = 1`, clean(partner), clean(digest))
}

// BeginStatement is reconcile.Store.
func (s *Store) BeginStatement(ctx context.Context, st reconcile.Statement) (kept reconcile.Statement, err error) {
	sums, err := json.Marshal(st.Sums)
	if err != nil {
		return kept, fmt.Errorf("keep a statement: %w", err)
	}
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := change(ctx, tx, `INSERT INTO statement (at, from_at, to_at, lines, replaced, partial, kept, partner, name, format, zone, digest, sums, tally)
			VALUES ($1, $2, $3, $4, 0, $5, 0, $6, $7, $8, $9, $10, $11, '{}') ON CONFLICT (partner, digest) DO NOTHING`, int64(st.At), int64(st.From), int64(st.To),
			st.Lines, flag(st.Partial), clean(st.Partner), clean(st.Name), string(st.Format), clean(st.Zone), st.Digest, string(sums)); err != nil {
			return err
		}
		if err := scanStatement(tx.QueryRowContext(ctx, `SELECT `+statementColumns+` FROM statement WHERE partner = $1 AND digest = $2`+s.db.dialect().lock,
			clean(st.Partner), st.Digest), &kept); err != nil || kept.Kept {
			return err
		}
		if _, err := change(ctx, tx, `DELETE FROM statement_part WHERE statement = $1`, kept.ID); err != nil {
			return err
		}
		_, err := change(ctx, tx, `UPDATE statement SET at = $2, from_at = $3, to_at = $4, lines = $5, partial = $6 WHERE id = $1`,
			kept.ID, int64(st.At), int64(st.From), int64(st.To), st.Lines, flag(st.Partial))
		kept.At, kept.Span, kept.Lines, kept.Partial = st.At, st.Span, st.Lines, st.Partial
		return err
	})
	if err != nil {
		return reconcile.Statement{}, fmt.Errorf("keep a statement: %w", err)
	}
	return kept, nil
}

// PutParts is reconcile.Store.
func (s *Store) PutParts(ctx context.Context, statement int64, parts []reconcile.Part) error {
	if len(parts) == 0 {
		return nil
	}
	err := s.whole(func() error {
		return s.db.add(ctx, "statement_part", []string{"statement", "seq", "first", "lines"}, len(parts), func(i int) []any {
			seq := int64(parts[i].Seq)
			return []any{statement, seq, parts[i].First, s.sealer.bytes(parts[i].Lines, "statement_part.lines", statement, seq)}
		})
	})
	if err != nil {
		return fmt.Errorf("keep the lines of statement %d: %w", statement, err)
	}
	return nil
}

// EndStatement is reconcile.Store.
func (s *Store) EndStatement(ctx context.Context, st reconcile.Statement, replaces []int64, at purchase.Instant) (gone int, err error) {
	tally, err := json.Marshal(st.Tally)
	if err != nil {
		return 0, fmt.Errorf("keep a statement: %w", err)
	}
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `UPDATE statement SET kept = 1, tally = $2 WHERE id = $1`, st.ID, string(tally))
		if err != nil {
			return err
		}
		if n == 0 {
			return own(reconcile.ErrNoStatement)
		}
		for _, id := range replaces {
			if _, err := change(ctx, tx, `UPDATE statement SET replaced = $2 WHERE id = $1 AND replaced = 0`, id, st.ID); err != nil {
				return err
			}
		}
		if st.Partial {
			return nil
		}
		// What was not settled is looked at by itself.
		ids, err := numbers(ctx, tx, `SELECT id FROM statement_break WHERE partner = $1 AND status <> 4 AND moved_at >= $2 AND moved_at < $3 AND statement <> $4
			AND cause <> $5`, clean(st.Partner), int64(st.From), int64(st.To), st.ID, int64(reconcile.CauseSettlement))
		if err != nil {
			return err
		}
		gone = len(ids)
		for _, id := range ids {
			if err := resolveBreak(ctx, tx, id, at, "gone", reconcile.ReasonGone); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("keep statement %d: %w", st.ID, err)
	}
	return gone, nil
}

// resolveBreak ends a break without a person.
func resolveBreak(ctx context.Context, tx *sql.Tx, id int64, at purchase.Instant, event, reason string) error {
	if _, err := change(ctx, tx, `UPDATE statement_break SET status = 4, version = version + 1, changed_at = $2, reason = $3 WHERE id = $1`,
		id, int64(at), reason); err != nil {
		return err
	}
	_, err := change(ctx, tx, `INSERT INTO statement_break_entry (break_id, seq, at, staff, event, text)
		SELECT id, version, $2, 0, $3, $4 FROM statement_break WHERE id = $1`, id, int64(at), event, reason)
	return err
}

// Statements is reconcile.Store.
func (s *Store) Statements(ctx context.Context, partner string, in reconcile.Span) ([]reconcile.Statement, error) {
	if in.To == 0 {
		in.To = math.MaxInt64
	}
	return list(ctx, s, "read statements", scanStatement, `SELECT `+statementColumns+` FROM statement WHERE kept = 1 AND replaced = 0
		AND ($1 = '' OR partner = $1) AND from_at < $3 AND to_at > $2 ORDER BY from_at, id`, clean(partner), int64(in.From), int64(in.To))
}

// Firsts is reconcile.Store.
func (s *Store) Firsts(ctx context.Context, statement int64) ([][]byte, error) {
	return list(ctx, s, "read the index of a statement", func(row scanner, b *[]byte) error { return row.Scan(b) },
		`SELECT first FROM statement_part WHERE statement = $1 ORDER BY seq`, statement)
}

// PartLines is reconcile.Store.
func (s *Store) PartLines(ctx context.Context, statement int64, seq int) ([]byte, error) {
	return one(ctx, s, "read the lines of a statement", reconcile.ErrNoStatement, func(row scanner, b *[]byte) error {
		if err := row.Scan(b); err != nil {
			return err
		}
		return s.openBytes(b, "statement_part.lines", statement, int64(seq))
	}, `SELECT lines FROM statement_part WHERE statement = $1 AND seq = $2`, statement, seq)
}
