package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"tenu/internal/care"
	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// settledAt is when a credited or refunded purchase p was. Its first final state may have been another.
const settledAt = `CASE p.state WHEN 3 THEN coalesce((SELECT x.at FROM posting x WHERE x.purchase = p.id AND x.leg = 2 AND x.effect = 1), p.closed_at)
	ELSE coalesce((SELECT x.at FROM posting x WHERE x.purchase = p.id AND x.leg = 3 AND x.effect = 1),
		(SELECT x.at FROM posting x WHERE x.purchase = p.id AND x.leg = 1 AND x.effect = 7), p.closed_at) END`

// settled and given are purchases p that have their outcome, and those of them of which nothing is taken in the end: one that is
// declined after all is as good as refunded.
const (
	settled = `p.state IN (3, 5, 6)`
	given   = `p.state IN (5, 6)`
)

const ofIncident = ` FROM incident_purchase i JOIN purchase p ON p.id = i.purchase WHERE i.incident = $1`

// Totals is incident.Store. A purchase that is declined after all counts as refunded: nothing of it is taken.
func (s *Store) Totals(ctx context.Context, id incident.ID) (t incident.Totals, err error) {
	name := id.String()
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		t = incident.Totals{}
		for _, sum := range []struct {
			query     string
			arguments []any
			into      []any
		}{
			{`SELECT count(*), coalesce(sum(CASE WHEN p.state = 3 THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN ` + given + ` THEN 1 ELSE 0 END), 0),
					coalesce(sum(CASE WHEN ` + pending + ` THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN p.exposed = 1 THEN 1 ELSE 0 END), 0),
					CAST(coalesce(sum(p.charged), 0) AS BIGINT), CAST(coalesce(sum(CASE WHEN p.state = 3 THEN p.charged ELSE 0 END), 0) AS BIGINT),
					CAST(coalesce(sum(CASE WHEN ` + given + ` THEN p.charged ELSE 0 END), 0) AS BIGINT),
					CAST(coalesce(sum(CASE WHEN ` + pending + ` THEN p.charged ELSE 0 END), 0) AS BIGINT), coalesce(min(p.currency), '')` + ofIncident,
				[]any{int64(id)}, []any{&t.Purchases, &t.Credited, &t.Refunded, &t.Pending, &t.Exposed, &t.Amount, &t.AmountCredited, &t.AmountGiven,
					&t.AmountPending, &t.Currency}},
			{`SELECT count(*), coalesce(sum(CASE WHEN told_at <> 0 THEN 1 ELSE 0 END), 0) FROM incident_customer WHERE incident = $1`,
				[]any{int64(id)}, []any{&t.Customers, &t.Told}},
			{`SELECT count(*), coalesce(sum(CASE WHEN status IN (1, 2) THEN 1 ELSE 0 END), 0) FROM case_file
				WHERE incident = $1 AND incident <> '' AND merged_into = 0`, []any{name}, []any{&t.Cases, &t.CasesOpen}},
			{`SELECT count(*), coalesce(sum(CASE WHEN k.state = 2 THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN k.state = 4 THEN 1 ELSE 0 END), 0)
				FROM callback k WHERE k.window_at >= (SELECT since FROM incident WHERE id = $1) AND
				(k.purchase <> 0 AND EXISTS (SELECT 1 FROM incident_purchase i WHERE i.purchase = k.purchase AND i.incident = $1)
					OR k.case_id <> 0 AND EXISTS (SELECT 1 FROM case_file f WHERE f.id = k.case_id AND f.incident = $2))`,
				[]any{int64(id), name}, []any{&t.CallbacksPromised, &t.CallbacksKept, &t.CallbacksLost}},
		} {
			if err := tx.QueryRowContext(ctx, sum.query, sum.arguments...).Scan(sum.into...); err != nil {
				return err
			}
		}
		var took [4]int64
		err := tx.QueryRowContext(ctx, `WITH took AS (SELECT `+settledAt+` - p.charged_at AS d`+ofIncident+` AND `+settled+`),
				placed AS (SELECT d, row_number() OVER (ORDER BY d) AS n, count(*) OVER () AS c FROM took)
			SELECT coalesce(min(CASE WHEN n >= (c * 50 + 99) / 100 THEN d END), 0), coalesce(min(CASE WHEN n >= (c * 95 + 99) / 100 THEN d END), 0),
				coalesce(min(CASE WHEN n >= (c * 99 + 99) / 100 THEN d END), 0), coalesce(max(d), 0) FROM placed`, int64(id)).
			Scan(&took[0], &took[1], &took[2], &took[3])
		for i, into := range []*time.Duration{&t.SettledP50, &t.SettledP95, &t.SettledP99, &t.SettledMax} {
			*into = time.Duration(took[i]) * time.Microsecond
		}
		return err
	})
	if err != nil {
		return incident.Totals{}, fmt.Errorf("sum up incident %d: %w", id, err)
	}
	return t, nil
}

// customersOf reads customers among those that a query selects, by what is of their round. SQLite joins what is joined by CROSS JOIN in the order in which
// it is written: the customers first.
func (s *Store) customersOf(ctx context.Context, selected, order string, arguments ...any) ([]incident.Customer, error) {
	return list(ctx, s, "read an incident's customers", func(row scanner, c *incident.Customer) error {
		return row.Scan(&c.Number, &c.Language, &c.First, &c.Saying, &c.Round, &c.Purchases, &c.Amount, &c.Pending, &c.Given, &c.ResolveBy, &c.Product, &c.Currency, &c.Case)
	}, `WITH c AS (`+selected+`)
		SELECT c.number, c.language, c.purchase, c.said, c.round, count(*), CAST(sum(p.charged) AS BIGINT), sum(CASE WHEN `+pending+` THEN 1 ELSE 0 END),
			CAST(sum(CASE WHEN `+given+` THEN p.charged ELSE 0 END) AS BIGINT), max(CASE WHEN `+pending+` THEN p.resolve_by ELSE 0 END),
			(SELECT f.product FROM purchase f WHERE f.id = c.purchase), min(p.currency),
			coalesce((SELECT k.id FROM case_file k WHERE k.purchase = c.purchase AND k.purchase <> 0 AND k.merged_into = 0), 0)
		FROM c CROSS JOIN incident_purchase i CROSS JOIN purchase p WHERE i.incident = $1 AND i.number = c.number AND i.round = c.round AND p.id = i.purchase
		GROUP BY c.number, c.language, c.purchase, c.said, c.round ORDER BY `+order, arguments...)
}

const customers = `SELECT number, purchase, language, said, round FROM incident_customer WHERE incident = $1 AND `

// Untold is incident.Store. Who is told again counts as told since the first time.
func (s *Store) Untold(ctx context.Context, id incident.ID, limit int) ([]incident.Customer, error) {
	return s.customersOf(ctx, customers+`told_at = 0 UNION ALL `+customers+`told_round < round ORDER BY purchase LIMIT $2`, `c.purchase`, int64(id), limit)
}

// Unended is incident.Store.
func (s *Store) Unended(ctx context.Context, id incident.ID, after purchase.MSISDN, limit int) ([]incident.Customer, error) {
	return s.customersOf(ctx, customers+`told_at <> 0 AND ended_at = 0 AND told_round = round AND number > $3 ORDER BY number LIMIT $2`, `c.number`, int64(id), limit, int64(after))
}

// Tell is incident.Store.
func (s *Store) Tell(ctx context.Context, id incident.ID, all []incident.Telling) (n int64, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n = 0
		for i := range all {
			t := &all[i]
			at := func(part incident.Saying) int64 {
				if t.Says&part == 0 {
					return 0
				}
				return int64(t.Message.At)
			}
			fresh, err := change(ctx, tx, `UPDATE incident_customer SET said = said | $1, told_at = CASE told_at WHEN 0 THEN CAST($2 AS BIGINT) ELSE told_at END,
					ended_at = ended_at + $3, told_round = CASE WHEN CAST($2 AS BIGINT) <> 0 THEN round ELSE told_round END
				WHERE incident = $4 AND number = $5 AND round = $6 AND (said & $7) = 0 AND (CAST($2 AS BIGINT) = 0 AND told_round = round OR CAST($2 AS BIGINT) <> 0 AND (told_at = 0 OR told_round < round))`,
				int64(t.Says), at(incident.SaidHappened), at(incident.SaidEnded), int64(id), int64(t.Message.To), t.Round, int64(t.Says&^incident.SaidHappened))
			if err != nil {
				return err
			}
			if fresh == 0 {
				continue
			}
			n++
			if err := s.addMessages(ctx, tx, []care.Message{t.Message}, 0, 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("tell customers of incident %d: %w", id, err)
	}
	return n, nil
}
