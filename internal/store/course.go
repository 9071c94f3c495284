package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// maxBuckets bounds a course.
const maxBuckets = 10_000

// refusedByIncident are the minutes m in which an incident's pauses refused something. SQLite joins what is joined by CROSS JOIN in the
// order in which it is written.
const refusedByIncident = ` FROM sales_pause s CROSS JOIN sales_refused m WHERE s.incident = $1 AND s.incident <> 0 AND m.pause = s.id`

// courses are what a course counts: the instant, of what, and how much each is.
var courses = []struct {
	at, from, count string
	into            func(*incident.Bucket) *int64
}{
	{`p.created_at`, ofIncident, `1`, func(b *incident.Bucket) *int64 { return &b.Sold }},
	{`p.charged_at`, ofIncident, `1`, func(b *incident.Bucket) *int64 { return &b.Charged }},
	{settledAt, ofIncident + ` AND p.state = 3`, `1`, func(b *incident.Bucket) *int64 { return &b.Credited }},
	{settledAt, ofIncident + ` AND ` + given, `1`, func(b *incident.Bucket) *int64 { return &b.Given }},
	{`m.minute`, refusedByIncident, `m.refused`, func(b *incident.Bucket) *int64 { return &b.Refused }},
	{`told_at`, ` FROM incident_customer WHERE incident = $1 AND told_at <> 0`, `1`, func(b *incident.Bucket) *int64 { return &b.Told }},
}

// courseQuery sums up one thing by buckets.
func courseQuery(at, from, count string) string {
	return `SELECT (c.at - $2) / $4, CAST(sum(c.n) AS BIGINT) FROM (SELECT ` + at + ` AS at, ` + count + ` AS n` + from + `) c
		WHERE c.at >= $2 AND c.at < $3 GROUP BY 1`
}

// IncidentCourse is incident.Store.
func (s *Store) IncidentCourse(ctx context.Context, id incident.ID, from, till purchase.Instant, every time.Duration) ([]incident.Bucket, error) {
	width := every.Microseconds()
	if width <= 0 || till <= from {
		return nil, nil
	}
	count := (int64(till-from) + width - 1) / width
	if count > maxBuckets {
		return nil, fmt.Errorf("read the course of incident %d: %d buckets, %d at most", id, count, maxBuckets)
	}
	var buckets []incident.Bucket
	err := s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		buckets = make([]incident.Bucket, count)
		for i := range buckets {
			buckets[i].At = from + purchase.Instant(int64(i)*width)
		}
		for _, sum := range courses {
			err := each(ctx, tx, func(rows *sql.Rows) error {
				var i, n int64
				err := rows.Scan(&i, &n)
				*sum.into(&buckets[i]) = n
				return err
			}, courseQuery(sum.at, sum.from, sum.count), int64(id), int64(from), int64(till), width)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the course of incident %d: %w", id, err)
	}
	return buckets, nil
}

// tookByOutcome is how long each settled purchase took, and whether the money went back.
const tookByOutcome = `SELECT ` + settledAt + ` - p.charged_at AS d, CASE WHEN p.state = 3 THEN 0 ELSE 1 END AS back` + ofIncident + ` AND ` + settled

// percentiles are of each outcome, and of all as a third, by rank: the n-th of c is the p-th percentile when it is the first with 100 n >= p c.
const percentiles = `WITH one AS (` + tookByOutcome + `), took AS (SELECT d, back FROM one UNION ALL SELECT d, 2 FROM one),
		placed AS (SELECT d, back, row_number() OVER (PARTITION BY back ORDER BY d) AS n, count(*) OVER (PARTITION BY back) AS c FROM took)
	SELECT back, count(*), min(CASE WHEN n >= (c * 50 + 99) / 100 THEN d END), min(CASE WHEN n >= (c * 95 + 99) / 100 THEN d END),
		min(CASE WHEN n >= (c * 99 + 99) / 100 THEN d END), max(d) FROM placed GROUP BY back`

// settledWithin counts by the first of some ends that a time is within.
func settledWithin(ends []time.Duration) string {
	var cases strings.Builder
	for i, end := range ends {
		cases.WriteString(` WHEN t.d <= ` + strconv.FormatInt(end.Microseconds(), 10) + ` THEN ` + strconv.Itoa(i))
	}
	within := strconv.Itoa(len(ends))
	if len(ends) > 0 {
		within = `CASE` + cases.String() + ` ELSE ` + within + ` END`
	}
	return `SELECT ` + within + `, t.back, count(*) FROM (` + tookByOutcome + `) t GROUP BY 1, 2`
}

// maxEnds bounds the ends that settlements are counted by.
const maxEnds = 100

// Settlements is incident.Store.
func (s *Store) Settlements(ctx context.Context, id incident.ID, ends []time.Duration) (all incident.Settlements, err error) {
	if len(ends) > maxEnds {
		return all, fmt.Errorf("read the settlements of incident %d: %d ends, %d at most", id, len(ends), maxEnds)
	}
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		all = incident.Settlements{Ends: make([]incident.SettledWithin, len(ends)+1)}
		for i, end := range ends {
			all.Ends[i].Till = end
		}
		err := each(ctx, tx, func(rows *sql.Rows) error {
			var back int
			var t incident.Took
			var took [4]int64
			err := rows.Scan(&back, &t.Count, &took[0], &took[1], &took[2], &took[3])
			for i, into := range []*time.Duration{&t.P50, &t.P95, &t.P99, &t.Max} {
				*into = time.Duration(took[i]) * time.Microsecond
			}
			*[]*incident.Took{&all.Credited, &all.Given, &all.All}[back] = t
			return err
		}, percentiles, int64(id))
		if err != nil {
			return err
		}
		return each(ctx, tx, func(rows *sql.Rows) error {
			var within, back int
			var n int64
			err := rows.Scan(&within, &back, &n)
			*[]*int64{&all.Ends[within].Credited, &all.Ends[within].Given}[back] = n
			return err
		}, settledWithin(ends), int64(id))
	})
	if err != nil {
		return incident.Settlements{}, fmt.Errorf("read the settlements of incident %d: %w", id, err)
	}
	return all, nil
}

// soldIn selects purchases by ID, with what is counted of them.
const soldIn = `SELECT p.id, p.created_at, p.charged_at, p.closed_at, p.state, p.recipient, p.product, p.provider, p.payer, p.channel FROM purchase p
	WHERE p.id >= $1 AND p.id < $2 AND p.payer <> CAST($3 AS TEXT)
		AND NOT EXISTS (SELECT 1 FROM incident_purchase i WHERE i.purchase = p.id AND i.incident = $4) ORDER BY p.id LIMIT $5`

// Sales is incident.Store. What was made in the time is found by bisection over the IDs, and read in pieces, so that no
// transaction lasts.
func (s *Store) Sales(ctx context.Context, q incident.SalesQuery, see func(*incident.Sale)) error {
	if err := s.sales(ctx, &q, see); err != nil {
		return fmt.Errorf("read sales: %w", err)
	}
	return nil
}

func (s *Store) sales(ctx context.Context, q *incident.SalesQuery, see func(*incident.Sale)) error {
	if q.From >= q.Till {
		return nil
	}
	spans, err := s.madeIn(ctx, q.From, q.Till, unknown)
	if err != nil {
		return err
	}
	seen := 0
	for _, in := range spans {
		for in.from < in.till {
			piece, err := list(ctx, s, "read some", scanSale, soldIn, in.from, in.till, clean(q.House), int64(q.Without), scannedAtOnce)
			if err != nil {
				return err
			}
			for i := range piece {
				if seen++; seen > q.Most {
					return incident.ErrTooMany
				}
				see(&piece[i].Sale)
			}
			if len(piece) < scannedAtOnce {
				break
			}
			in.from = piece[len(piece)-1].id + 1
		}
	}
	return nil
}

// soldAs is a sale with its ID.
type soldAs struct {
	id int64
	incident.Sale
}

func scanSale(row scanner, p *soldAs) error {
	return row.Scan(&p.id, &p.Made, &p.Charged, &p.Closed, &p.State, &p.Recipient, &p.Product, &p.Provider, &p.Payer, &p.Channel)
}

// CountRefused is incident.Store.
func (s *Store) CountRefused(ctx context.Context, all []incident.Refused) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, r := range all {
			if _, err := change(ctx, tx, `INSERT INTO sales_refused (pause, minute, refused) VALUES ($1, $2, $3)
				ON CONFLICT (pause, minute) DO UPDATE SET refused = sales_refused.refused + excluded.refused`, r.Pause, int64(r.Minute), r.Count); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("count what pauses refused: %w", err)
	}
	return nil
}
