package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tenu/internal/care"
	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// The bounds of one transaction that looks for purchases or links them, so that it neither keeps writers waiting
// nor lasts too long.
const (
	linkedAtOnce  = 500
	scannedAtOnce = 20_000
)

// How far the time of a purchase's making may be from that of its charge: before it, as when a customer is slow to
// approve, and after it, by the difference of the clocks of two nodes.
const (
	madeBefore = 10 * time.Minute
	madeAfter  = time.Minute
)

// span is a range of purchase IDs, without its end.
type span struct{ from, till int64 }

// linked is a purchase that an incident affects.
type linked struct {
	id        int64
	recipient purchase.MSISDN
}

// affected is a purchase p as an incident's reach selects it: being given back, or late by now, or credited late. One
// that was credited in time, and taken back since, is not.
const affected = `(p.state = 2 AND p.charged_at + $1 <= $2 OR p.state = 3 AND p.closed_at > p.charged_at + $1
	OR p.state IN (4, 5) AND NOT EXISTS (SELECT 1 FROM posting x WHERE x.purchase = p.id AND x.leg = 2 AND x.effect = 1 AND x.at <= p.charged_at + $1))
	AND p.charged_at >= $3 AND p.charged_at < $4`

// undecided is one that may yet be affected: it is not charged, and what is charged from now on counts, or it is not late yet.
const undecided = `(p.state = 1 AND CAST($2 AS BIGINT) < CAST($4 AS BIGINT) + 60000000
	OR p.state = 2 AND p.charged_at + $1 > $2 AND p.charged_at >= $3 AND p.charged_at < $4)`

// seriesColumn is where a purchase says what it is of. That of ByOperator is told from the recipient.
var seriesColumn = map[incident.Dimension]string{incident.ByProduct: `p.product`, incident.ByProvider: `p.provider`,
	incident.ByPayer: `p.payer`, incident.ByChannel: `p.channel`, incident.ByOperator: `$5`}

// affecting is one call of Affect.
type affecting struct {
	*Store
	id     incident.ID
	r      incident.Reach
	memory *incident.Memory // nil: each look is at all
	n      int64
}

// Affect is incident.Store. IDs of purchases grow with the time of their making, so that those of a time are
// found by bisection, without an index of their own.
func (s *Store) Affect(ctx context.Context, id incident.ID, r incident.Reach) (int64, error) {
	a := &affecting{Store: s, id: id, r: r, memory: r.Memory}
	err := a.run(ctx)
	if err != nil || a.memory != nil && len(a.memory.Undecided) > maxUndecided {
		a.memory.Forget()
	}
	if err != nil {
		return a.n, fmt.Errorf("link what incident %d affects: %w", id, err)
	}
	return a.n, nil
}

func (a *affecting) run(ctx context.Context) error {
	spans, err := a.spans(ctx)
	if err != nil {
		return err
	}
	if a.memory != nil {
		if a.memory.Undecided == nil {
			a.memory.Undecided = map[purchase.ID]bool{}
		}
		if err := a.again(ctx); err != nil {
			return err
		}
	}
	for _, part := range spans {
		if err := a.scan(ctx, part); err != nil {
			return err
		}
	}
	if a.memory != nil {
		if err := a.mark(ctx, spans); err != nil {
			return err
		}
	}
	if a.r.Open != 0 {
		if err := a.stuck(ctx); err != nil {
			return err
		}
	}
	return a.cases(ctx)
}

// spans are the IDs, by shard, of what was made about the time of the reach.
func (a *affecting) spans(ctx context.Context) ([]span, error) {
	if a.r.From >= a.r.Till { // all of it was looked at; only what is open and cases are left
		return nil, nil
	}
	return a.madeIn(ctx, a.r.From.Add(-madeBefore), a.r.Till.Add(madeAfter), a.known)
}

// unknown is madeIn's for one who has not looked before.
func unknown(int64) (int64, bool) { return 0, false }

// madeIn are the IDs, by shard, of what was made in [from, till); in a shard that is known, all from the ID on that known tells.
func (s *Store) madeIn(ctx context.Context, from, till purchase.Instant, known func(first int64) (next int64, known bool)) (found []span, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		found = nil
		for start := int64(0); ; {
			first, err := numbers(ctx, tx, `SELECT id FROM purchase WHERE id >= $1 ORDER BY id LIMIT 1`, start)
			if err != nil || len(first) == 0 {
				return err
			}
			start = (first[0]>>purchase.SequenceBits + 1) << purchase.SequenceBits
			last, err := numbers(ctx, tx, `SELECT id FROM purchase WHERE id < $1 ORDER BY id DESC LIMIT 1`, start)
			if err != nil {
				return err
			}
			part := span{first[0], last[0] + 1}
			if next, looked := known(first[0]); looked {
				part.from = max(part.from, next)
			} else {
				if part.from, err = madeSince(ctx, tx, part, from); err != nil {
					return err
				}
				if part.till, err = madeSince(ctx, tx, part, till); err != nil {
					return err
				}
			}
			if part.from < part.till {
				found = append(found, part)
			}
		}
	})
	return found, err
}

// madeSince is the first ID of a span whose purchase was made at an instant or later, or the span's end.
func madeSince(ctx context.Context, tx *sql.Tx, in span, at purchase.Instant) (int64, error) {
	for in.from < in.till {
		middle := in.from + (in.till-in.from)/2
		var id int64
		var made purchase.Instant
		err := tx.QueryRowContext(ctx, `SELECT id, created_at FROM purchase WHERE id >= $1 AND id < $2 ORDER BY id LIMIT 1`, middle, in.till).Scan(&id, &made)
		switch {
		case errors.Is(err, sql.ErrNoRows) || err == nil && made >= at:
			in.till = middle
		case err != nil:
			return 0, err
		default:
			in.from = id + 1
		}
	}
	return in.from, nil
}

// What is remembered between looks: so many purchases at most, and new ones from some time before the newest on, as what is
// made together is not committed in the order of its IDs.
const (
	maxUndecided = 100_000
	newAgain     = 10 * time.Second
	againAtOnce  = 2000
)

// known is where the shard of an ID is looked at from on, where that is known from the last look.
func (a *affecting) known(id int64) (next int64, known bool) {
	if a.memory == nil || a.memory.Next == nil || a.r.Open != 0 { // all of it is looked at
		return 0, false
	}
	mark, known := a.memory.Next[purchase.ID(id).Shard()]
	return int64(mark), known
}

// mark remembers up to where spans were looked at.
func (a *affecting) mark(ctx context.Context, spans []span) error {
	if a.memory.Next == nil {
		a.memory.Next = map[int]purchase.ID{}
	}
	return a.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, part := range spans {
			var newest purchase.Instant
			err := tx.QueryRowContext(ctx, `SELECT created_at FROM purchase WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1`, part.from, part.till).Scan(&newest)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			next, err := madeSince(ctx, tx, part, newest.Add(-newAgain))
			if err != nil {
				return err
			}
			a.memory.Next[purchase.ID(part.from).Shard()] = purchase.ID(next)
		}
		return nil
	})
}

// again looks at what was undecided at the last look: whenever it is charged, it is after that.
func (a *affecting) again(ctx context.Context) error {
	d := a.db.dialect()
	for all := range slices.Chunk(slices.Sorted(maps.Keys(a.memory.Undecided)), againAtOnce) {
		for left := ids(all); len(left) > 0; {
			var found []linked
			err := a.view(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
				for _, id := range left {
					delete(a.memory.Undecided, purchase.ID(id))
				}
				found, err = a.look(ctx, tx, inList(d), 0, d.list(left))
				return err
			})
			if err != nil {
				return err
			}
			if err := a.link(ctx, found); err != nil {
				return err
			}
			if len(found) < linkedAtOnce {
				break
			}
			left = left[slices.Index(left, found[len(found)-1].id)+1:]
		}
	}
	return nil
}

// scan links what a span holds.
func (a *affecting) scan(ctx context.Context, in span) error {
	for in.from < in.till {
		var found []linked
		next := in.till
		err := a.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
			end, err := numbers(ctx, tx, `SELECT id FROM purchase WHERE id >= $1 AND id < $2 ORDER BY id LIMIT 1 OFFSET $3`, in.from, in.till, scannedAtOnce)
			if err != nil {
				return err
			}
			if len(end) > 0 {
				next = end[0]
			}
			found, err = a.look(ctx, tx, inSpan, a.r.From, in.from, next)
			return err
		})
		if err != nil {
			return err
		}
		if len(found) == linkedAtOnce {
			next = found[len(found)-1].id + 1
		}
		if err := a.link(ctx, found); err != nil {
			return err
		}
		in.from = next
	}
	return nil
}

// stuck links what is still open.
func (a *affecting) stuck(ctx context.Context) error {
	for {
		var found []linked
		err := a.view(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
			found, err = a.look(ctx, tx, stillOpen, a.r.Open)
			return err
		})
		if err != nil {
			return err
		}
		before := a.n
		if err := a.link(ctx, found); err != nil {
			return err
		}
		if len(found) < linkedAtOnce || a.n == before {
			return nil
		}
	}
}

// errEnough ends a query that found as much as is wanted.
var errEnough = errors.New("enough")

// from is where purchases p are looked for: a table with a condition, and an order. SQLite joins what is joined by CROSS JOIN in
// the order in which it is written.
type from struct{ table, order string }

var (
	inSpan    = from{`purchase p WHERE p.id >= $7 AND p.id < $8`, ` ORDER BY q.id`}
	stillOpen = from{`open_purchase o CROSS JOIN purchase p WHERE p.id = o.purchase`, ``}
)

// inList is purchases p of a list, the last parameter.
func inList(d *dialect) from {
	return from{`purchase p WHERE p.id` + strings.ReplaceAll(d.among, `$1`, `$7`), ` ORDER BY q.id`}
}

// query selects what is affected (1), or undecided (2), and not linked.
func (f from) query(by incident.Dimension) string {
	return `SELECT q.id, q.recipient, q.hit FROM (SELECT p.id, p.recipient, CASE WHEN ` + affected + ` THEN 1 WHEN ` + undecided + ` THEN 2 ELSE 0 END AS hit FROM ` + f.table +
		` AND ` + seriesColumn[by] + ` = CAST($5 AS TEXT) AND p.payer <> CAST($6 AS TEXT)) q
		WHERE q.hit <> 0 AND NOT EXISTS (SELECT 1 FROM incident_purchase i WHERE i.purchase = q.id)` + f.order
}

// look returns up to linkedAtOnce purchases that are affected and not linked, and remembers what is undecided. More are the
// query's own parameters.
func (a *affecting) look(ctx context.Context, tx *sql.Tx, where from, since purchase.Instant, more ...any) (found []linked, err error) {
	if seriesColumn[a.r.Series.By] == "" {
		return nil, own(incident.ErrSeries)
	}
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var one linked
		var hit int
		if err := rows.Scan(&one.id, &one.recipient, &hit); err != nil {
			return err
		}
		if hit == 2 && a.memory == nil {
			return nil
		}
		if a.r.Series.By == incident.ByOperator && (a.r.Operator == nil || a.r.Operator(one.recipient) != a.r.Series.Name) {
			return nil
		}
		if hit == 2 {
			a.memory.Undecided[purchase.ID(one.id)] = true
			return nil
		}
		if found = append(found, one); len(found) == linkedAtOnce {
			return errEnough
		}
		return nil
	}, where.query(a.r.Series.By), append([]any{a.r.Within.Microseconds(), int64(a.r.At), int64(since), int64(a.r.Till), clean(a.r.Series.Name),
		clean(a.r.House)}, more...)...)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, err
}

// link links purchases, their customers and their cases in one transaction.
func (a *affecting) link(ctx context.Context, found []linked) error {
	if len(found) == 0 {
		return nil
	}
	all := make([]int64, len(found))
	for i := range found {
		all[i] = found[i].id
	}
	d := a.db.dialect()
	fresh := 0
	err := a.update(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		open, err := a.open(ctx, tx)
		if err != nil || !open {
			return err
		}
		again, err := numbers(ctx, tx, `SELECT count(*) FROM incident_entry WHERE incident = $1 AND event = $2`, int64(a.id), string(incident.EventAgain))
		if err != nil {
			return err
		}
		fresh, err = change(ctx, tx, `INSERT INTO incident_purchase (incident, purchase, number, at, round)
			SELECT CAST($2 AS BIGINT), id, payer_number, CAST($3 AS BIGINT), CAST($4 AS BIGINT) FROM purchase WHERE id`+d.among+` ON CONFLICT DO NOTHING`,
			d.list(all), int64(a.id), int64(a.r.At), -min(again[0], 1))
		if err != nil {
			return err
		}
		if err := a.harm(ctx, tx, d.list(all), again[0]); err != nil {
			return err
		}
		cases, err := numbers(ctx, tx, `SELECT id FROM case_file WHERE purchase`+d.among+` AND purchase <> 0 AND merged_into = 0 AND incident = '' ORDER BY id`, d.list(all))
		if err != nil {
			return err
		}
		return a.linkCases(ctx, tx, cases)
	})
	if err == nil {
		a.n += int64(fresh)
	}
	return err
}

// harm makes the payers of purchases that were linked now the incident's customers. Who was told that all of theirs is settled,
// before the incident was opened again, is to be told again, of what is new: their next round begins. After a reopening new
// purchases are of round -1, until it is known whose they are.
func (a *affecting) harm(ctx context.Context, tx *sql.Tx, all any, again int64) error {
	d := a.db.dialect()
	if _, err := change(ctx, tx, `INSERT INTO incident_customer AS c (incident, number, purchase, told_at, ended_at, said, language, round, told_round)
		SELECT CAST($2 AS BIGINT), payer_number, min(id), 0, 0, 0, min(language), CAST($3 AS BIGINT), CAST($3 AS BIGINT) FROM purchase WHERE id`+d.among+`
			AND EXISTS (SELECT 1 FROM incident_purchase i WHERE i.purchase = purchase.id AND i.incident = CAST($2 AS BIGINT) AND i.round <= CAST($4 AS BIGINT)) GROUP BY payer_number
		ON CONFLICT (incident, number) DO UPDATE SET purchase = excluded.purchase, ended_at = 0, said = 1, round = excluded.round
			WHERE c.ended_at <> 0 AND c.round < excluded.round`, all, int64(a.id), again, -min(again, 1)); err != nil || again == 0 {
		return err
	}
	_, err := change(ctx, tx, `UPDATE incident_purchase SET round = (SELECT c.round FROM incident_customer c WHERE c.incident = incident_purchase.incident AND c.number = incident_purchase.number)
		WHERE incident = CAST($2 AS BIGINT) AND round < 0 AND purchase`+d.among, all, int64(a.id))
	return err
}

// open reports whether the incident is not closed, and keeps it from being closed until the transaction ends.
func (a *affecting) open(ctx context.Context, tx *sql.Tx) (bool, error) {
	var status incident.Status
	err := tx.QueryRowContext(ctx, `SELECT status FROM incident WHERE id = $1`+a.db.dialect().still, int64(a.id)).Scan(&status)
	if errors.Is(err, sql.ErrNoRows) {
		return false, own(incident.ErrNotFound)
	}
	return status != incident.Closed, err
}

// cases links the cases that were opened since of purchases that are linked.
func (a *affecting) cases(ctx context.Context) error {
	for {
		var found []int64
		err := a.view(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
			found, err = numbers(ctx, tx, `SELECT f.id FROM case_file f WHERE f.opened_at >= $1 AND f.incident = '' AND f.purchase <> 0 AND f.merged_into = 0
				AND EXISTS (SELECT 1 FROM incident_purchase i WHERE i.purchase = f.purchase AND i.incident = $2) ORDER BY f.opened_at, f.id LIMIT $3`,
				int64(a.r.From), int64(a.id), linkedAtOnce)
			return err
		})
		if err != nil || len(found) == 0 {
			return err
		}
		closed := false
		err = a.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
			open, err := a.open(ctx, tx)
			if closed = !open; err != nil || closed {
				return err
			}
			return a.linkCases(ctx, tx, found)
		})
		if err != nil || closed || len(found) < linkedAtOnce {
			return err
		}
	}
}

// linkCases makes cases those of the incident. The version grows, so that whoever read a case before does not
// write over it; the line of history stands behind those of the version before, so that nobody who read
// that one has to read again.
func (a *affecting) linkCases(ctx context.Context, tx *sql.Tx, cases []int64) error {
	name := a.id.String()
	for _, id := range cases {
		n, err := change(ctx, tx, `UPDATE case_file SET incident = $1, version = version + 1, changed_at = CASE WHEN changed_at < $2 THEN $2 ELSE changed_at END
			WHERE id = $3 AND incident = ''`, name, int64(a.r.At), id)
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		var c care.Case
		if err := scanCaseFile(tx.QueryRowContext(ctx, `SELECT `+caseColumnsRead+` FROM case_file WHERE id = $1`, id), &c); err != nil {
			return err
		}
		if err := a.leaveCase(ctx, tx, &c); err != nil {
			return err
		}
		entry := care.Entry{At: a.r.At, Event: care.EventLinked, By: care.Actor{Kind: care.BySystem}, Text: name}
		if err := a.tellCase(ctx, tx, care.CaseID(id), []care.Entry{entry}); err != nil {
			return err
		}
	}
	return nil
}

// Affects is incident.Store.
func (s *Store) Affects(ctx context.Context, p purchase.ID) ([]incident.ID, error) {
	return list(ctx, s, "read a purchase's incidents", func(row scanner, id *incident.ID) error { return row.Scan(id) },
		`SELECT incident FROM incident_purchase WHERE purchase = $1`, int64(p))
}

// AffectedState is a purchase that an incident affects, and where it stands.
type AffectedState struct {
	ID    purchase.ID
	State purchase.State
}

// AffectedStates returns up to limit purchases that an incident affects, from behind one on, by
// their IDs.
func (s *Store) AffectedStates(ctx context.Context, id incident.ID, after purchase.ID, limit int) ([]AffectedState, error) {
	return list(ctx, s, "read where an incident's purchases stand", func(row scanner, a *AffectedState) error { return row.Scan(&a.ID, &a.State) },
		`SELECT p.id, p.state FROM incident_purchase i JOIN purchase p ON p.id = i.purchase WHERE i.incident = $1 AND i.purchase > $2 ORDER BY i.purchase LIMIT $3`,
		int64(id), int64(after), limit)
}

// Stuck is incident.Store.
func (s *Store) Stuck(ctx context.Context, id incident.ID, after purchase.ID, limit int) ([]purchase.ID, error) {
	return list(ctx, s, "read what is stuck", func(row scanner, id *purchase.ID) error { return row.Scan(id) },
		`SELECT p.id FROM incident_purchase i JOIN purchase p ON p.id = i.purchase WHERE i.incident = $1 AND i.purchase > $2 AND `+pending+
			` ORDER BY i.purchase LIMIT $3`, int64(id), int64(after), limit)
}
