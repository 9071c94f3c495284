package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"tenu/internal/care"
	"tenu/internal/purchase"
)

const externalColumns = `client, external_id, case_id, at, agreed_at`

func scanExternal(row scanner, e *care.External) error {
	return row.Scan(&e.Client, &e.ID, &e.Case, &e.At, &e.AgreedAt)
}

// PutExternal is care.ExternalStore.
func (s *Store) PutExternal(ctx context.Context, e care.External) (kept care.External, added bool, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `INSERT INTO case_external (`+externalColumns+`) VALUES ($1, $2, $3, $4, 0) ON CONFLICT DO NOTHING`,
			clean(e.Client), clean(e.ID), int64(e.Case), int64(e.At))
		if err != nil {
			return err
		}
		added = n > 0
		return scanExternal(tx.QueryRowContext(ctx, `SELECT `+externalColumns+` FROM case_external
			WHERE client = $1 AND external_id = $2 AND (external_id <> '' OR case_id = $3)`, clean(e.Client), clean(e.ID), int64(e.Case)), &kept)
	})
	if err != nil {
		return care.External{}, false, fmt.Errorf("keep what a case is called: %w", err)
	}
	return kept, added, nil
}

// Agree is care.ExternalStore.
func (s *Store) Agree(ctx context.Context, client string, id care.CaseID, at purchase.Instant) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := change(ctx, tx, `INSERT INTO case_external (client, external_id, case_id, at, agreed_at) VALUES ($1, '', $2, $3, $3)
			ON CONFLICT (client, case_id, external_id) DO UPDATE SET agreed_at = excluded.agreed_at WHERE case_external.agreed_at < excluded.agreed_at`,
			clean(client), int64(id), int64(at))
		return err
	})
	if err != nil {
		return fmt.Errorf("agree with case %d: %w", id, err)
	}
	return nil
}

// Externals is care.ExternalStore.
func (s *Store) Externals(ctx context.Context, client string, ids ...care.CaseID) (map[care.CaseID]care.External, error) {
	found := map[care.CaseID]care.External{}
	if len(ids) == 0 {
		return found, nil
	}
	list := make([]int64, len(ids))
	for i, id := range ids {
		list[i] = int64(id)
	}
	d := s.db.dialect()
	err := s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		clear(found)
		return each(ctx, tx, func(rows *sql.Rows) error {
			var e care.External
			if err := scanExternal(rows, &e); err != nil {
				return err
			}
			before, known := found[e.Case]
			if known && e.ID == "" {
				e.ID, e.At = before.ID, before.At
			}
			e.AgreedAt = max(e.AgreedAt, before.AgreedAt)
			found[e.Case] = e
			return nil
		}, `SELECT `+externalColumns+` FROM case_external WHERE client = $2 AND case_id`+d.among+` ORDER BY at, external_id`, d.list(list), clean(client))
	})
	if err != nil {
		return nil, fmt.Errorf("read what cases are called: %w", err)
	}
	return found, nil
}

// Called is care.ExternalStore.
func (s *Store) Called(ctx context.Context, client, id string) (e care.External, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := scanExternal(tx.QueryRowContext(ctx, `SELECT `+externalColumns+` FROM case_external WHERE client = $1 AND external_id = $2 AND external_id <> ''`,
			clean(client), clean(id)), &e)
		if errors.Is(err, sql.ErrNoRows) {
			return care.ErrNoCase
		}
		return err
	})
	if err != nil {
		return care.External{}, fmt.Errorf("read a case by its client's name: %w", err)
	}
	return e, nil
}

// phaseWhere is each phase as a condition on a case c; AGREED stands for when the client agreed.
var phaseWhere = map[care.Phase]string{
	care.PhaseFresh:     `c.status = 1 AND c.incident = '' AND c.owner = 0 AND c.answered_at = 0 AND c.level = 0`,
	care.PhaseWorking:   `c.status = 1 AND c.incident = '' AND (c.owner <> 0 OR c.answered_at <> 0 OR c.level <> 0)`,
	care.PhaseHeld:      `c.status = 1 AND c.incident <> ''`,
	care.PhaseWaiting:   `c.status = 2`,
	care.PhaseSolved:    `c.status = 3 AND c.rule <> '' AND AGREED < c.closed_at`,
	care.PhaseClosed:    `c.status = 3 AND (c.rule = '' OR AGREED >= c.closed_at)`,
	care.PhaseWithdrawn: `c.status = 4 AND c.merged_into = 0`,
	care.PhaseMerged:    `c.status = 4 AND c.merged_into <> 0`,
}

// condition gathers a WHERE clause and its parameters.
type condition struct {
	parts      []string
	parameters []any
}

// and adds a part in which each question mark is a parameter.
func (c *condition) and(part string, parameters ...any) {
	c.parts = append(c.parts, c.number(part, parameters...))
}

// number gives the question marks of a part their places.
func (c *condition) number(part string, parameters ...any) string {
	for _, p := range parameters {
		c.parameters = append(c.parameters, p)
		part = strings.Replace(part, "?", "$"+strconv.Itoa(len(c.parameters)), 1)
	}
	return part
}

// siftWhere is a selection's WHERE clause.
func siftWhere(q *care.Sift) condition {
	var c condition
	if q.Client != "" {
		c.and(`(EXISTS (SELECT 1 FROM case_external e WHERE e.client = ? AND e.case_id = c.id)
			OR c.purchase <> 0 AND EXISTS (SELECT 1 FROM purchase p WHERE p.id = c.purchase AND p.client = ?))`, clean(q.Client), clean(q.Client))
	}
	if q.Case != 0 {
		c.and(`c.id = ?`, int64(q.Case))
	}
	if q.ID != "" {
		c.and(`EXISTS (SELECT 1 FROM case_external e WHERE e.client = ? AND e.external_id = ? AND e.external_id <> '' AND e.case_id = c.id)`, clean(q.Agreeing), clean(q.ID))
	}
	if q.Number != 0 {
		c.and(`c.number = ?`, int64(q.Number))
	}
	if q.From != 0 {
		c.and(`c.opened_at >= ?`, int64(q.From))
	}
	if q.Till != 0 {
		c.and(`c.opened_at < ?`, int64(q.Till))
	}
	if len(q.Phases) > 0 {
		var either []string
		for _, phase := range q.Phases {
			part := phaseWhere[phase]
			if strings.Contains(part, "AGREED") {
				agreed := c.number(`coalesce((SELECT max(e.agreed_at) FROM case_external e WHERE e.client = ? AND e.case_id = c.id), 0)`, clean(q.Agreeing))
				part = strings.ReplaceAll(part, "AGREED", agreed)
			}
			either = append(either, part)
		}
		c.and(`(` + strings.Join(either, ` OR `) + `)`)
	}
	if len(c.parts) == 0 {
		c.and(`true`)
	}
	return c
}

// Sifted is care.ExternalStore.
func (s *Store) Sifted(ctx context.Context, q care.Sift) (page []care.CaseID, count int, err error) {
	c := siftWhere(&q)
	where := ` FROM case_file c WHERE ` + strings.Join(c.parts, ` AND `)
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		counted := c
		limit := counted.number(`?`, care.MaxSifted)
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1`+where+` LIMIT `+limit+`) AS counted`, counted.parameters...).Scan(&count); err != nil {
			return err
		}
		paged := c
		span := paged.number(` LIMIT ? OFFSET ?`, q.Limit, q.Offset)
		ids, err := numbers(ctx, tx, `SELECT c.id`+where+` ORDER BY c.opened_at DESC, c.id DESC`+span, paged.parameters...)
		page = make([]care.CaseID, len(ids))
		for i, id := range ids {
			page[i] = care.CaseID(id)
		}
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("sift cases: %w", err)
	}
	return page, count, nil
}
