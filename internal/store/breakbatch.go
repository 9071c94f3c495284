package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tenu/internal/care"
	"tenu/internal/purchase"
	"tenu/internal/reconcile"
)

// breaksAtOnce bounds the breaks of one transaction.
const breaksAtOnce = 500

// PutBreaks is reconcile.Store. So many breaks at once cost as many statements as one.
func (s *Store) PutBreaks(ctx context.Context, partner string, statement int64, found []reconcile.Found, at purchase.Instant) (fresh int, err error) {
	for part := range slices.Chunk(found, breaksAtOnce) {
		n := 0
		err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
			n = 0
			for left := part; len(left) > 0; { // a break that is found twice is put twice, one after the other
				var k breakPlan
				var err error
				k, left, err = s.keepBreaks(ctx, tx, partner, statement, left, at)
				if err == nil {
					err = s.putBreaks(ctx, tx, &k, statement, at)
				}
				if err != nil {
					return err
				}
				n += len(k.fresh)
			}
			return nil
		})
		if err != nil {
			return fresh, fmt.Errorf("keep breaks of statement %d: %w", statement, err)
		}
		fresh += n
	}
	return fresh, nil
}

// breakPlan is breaks as they are to be stored.
type breakPlan struct {
	fresh   []reconcile.Break
	changed []reconcile.Break // that were there, with what their history says of it
	events  []string
	known   [][2]int64 // that were there and stay: their IDs, and where the statement has them now
}

// breakKey is what makes two breaks of a partner the same.
type breakKey struct {
	cause, purchase, leg int64
	ref                  string
}

func keyOfBreak(f *reconcile.Found) breakKey {
	return breakKey{int64(f.Cause), int64(f.Purchase), int64(f.Leg), clean(f.Ref)}
}

// keepBreaks finds what is to become of breaks, each of which is different; the rest it leaves.
func (s *Store) keepBreaks(ctx context.Context, tx *sql.Tx, partner string, statement int64, found []reconcile.Found, at purchase.Instant) (k breakPlan, left []reconcile.Found, err error) {
	var first []*reconcile.Found
	var keys [][]any
	had := map[breakKey]*reconcile.Break{}
	for i := range found {
		key := keyOfBreak(&found[i])
		if _, twice := had[key]; twice {
			left = append(left, found[i])
			continue
		}
		had[key] = nil
		first = append(first, &found[i])
		keys = append(keys, []any{key.cause, key.purchase, key.leg, key.ref})
	}
	all, err := gather(ctx, tx, scanBreak, breaksSelected+` FROM (SELECT CAST(value ->> 0 AS BIGINT) AS cause, CAST(value ->> 1 AS BIGINT) AS purchase,
			CAST(value ->> 2 AS BIGINT) AS leg, CAST(value ->> 3 AS TEXT) AS ref FROM `+s.db.dialect().rows+`) w
		CROSS JOIN statement_break b WHERE b.partner = $2 AND b.cause = w.cause AND b.purchase = w.purchase AND b.leg = w.leg AND b.ref = w.ref`,
		jsonText(keys), clean(partner))
	for i := range all {
		had[keyOfBreak(&all[i].Found)] = &all[i]
	}
	for _, f := range first {
		k.add(had[keyOfBreak(f)], reconcile.Break{Version: 1, Partner: partner, Found: *f, Statement: statement, FirstAt: at, FoundAt: at, ChangedAt: at,
			Status: reconcile.StatusOpen})
	}
	return k, left, err
}

// add adds a break, that was there before as had.
func (k *breakPlan) add(had *reconcile.Break, b reconcile.Break) {
	event := ""
	switch {
	case had == nil:
		k.fresh = append(k.fresh, b)
		return
	case had.Status == reconcile.StatusResolved && had.Statement != b.Statement:
		event, b.Reopened = "reopened", had.Reopened+1
	case had.Status == reconcile.StatusOpen && (had.Here != b.Here || had.There != b.There): // nobody has decided about the other figures
		event, b.Reopened = "changed", had.Reopened
	default: // it is known, and is being dealt with
		k.known = append(k.known, [2]int64{had.ID, b.Place})
		return
	}
	b.ID, b.FirstAt, b.Version = had.ID, had.FirstAt, had.Version+1
	k.changed, k.events = append(k.changed, b), append(k.events, event)
}

// putBreaks writes breaks with their history, and opens their customers' cases.
func (s *Store) putBreaks(ctx context.Context, tx *sql.Tx, k *breakPlan, statement int64, at purchase.Instant) error {
	ids, err := s.fresh(ctx, tx, "statement_break", len(k.fresh))
	if err != nil {
		return err
	}
	var rows, entries [][]any
	entry := func(b *reconcile.Break, event string) {
		entries = append(entries, []any{b.ID, b.Version, int64(at), int64(0), clean(event), clean(b.Detail)})
	}
	for i := range k.fresh {
		b := &k.fresh[i]
		b.ID = ids[i]
		values, err := breakValues(b)
		if err != nil {
			return err
		}
		rows = append(rows, append([]any{b.ID}, values...))
		entry(b, "found")
	}
	if err := s.addRows(ctx, tx, `statement_break (id, `+breakColumns+`)`, "", rows); err != nil {
		return err
	}
	for i := range k.changed {
		values, err := breakValues(&k.changed[i])
		if err != nil {
			return err
		}
		values = append(values, k.changed[i].ID)
		if _, err := change(ctx, tx, `UPDATE statement_break SET `+assign(breakColumns)+fmt.Sprintf(` WHERE id = $%d`, len(values)), values...); err != nil {
			return err
		}
		entry(&k.changed[i], k.events[i])
	}
	if len(k.known) > 0 {
		if _, err := change(ctx, tx, `UPDATE statement_break SET found_at = $2, statement = $3, place = w.place FROM (SELECT CAST(value ->> 0 AS BIGINT) AS id,
			CAST(value ->> 1 AS BIGINT) AS place FROM `+s.db.dialect().rows+`) w WHERE statement_break.id = w.id`, jsonText(k.known), int64(at), statement); err != nil {
			return err
		}
	}
	if err := s.addRows(ctx, tx, `statement_break_entry (`+breakEntryColumns+`)`, "", entries); err != nil {
		return err
	}
	return s.openBreaks(ctx, tx, slices.Concat(k.fresh, k.changed), at)
}

// openBreaks opens the cases of the customers whom breaks concern.
func (s *Store) openBreaks(ctx context.Context, tx *sql.Tx, all []reconcile.Break, at purchase.Instant) error {
	var purchases []int64
	for i := range all {
		if all[i].Customer && all[i].Purchase != 0 {
			purchases = append(purchases, int64(all[i].Purchase))
		}
	}
	if len(purchases) == 0 {
		return nil
	}
	d := s.db.dialect()
	_, err := change(ctx, tx, `INSERT INTO care_case (purchase, version, at, matter) SELECT id, version, $2, $3 FROM purchase WHERE id`+d.among+` ON CONFLICT DO NOTHING`,
		d.list(purchases), int64(at), string(care.MatterBreak))
	return err
}

// addRows adds rows of numbers and texts by one statement, as JSON; more is what ends the statement. For twice the parameters the driver of SQLite
// takes four times the time.
func (s *Store) addRows(ctx context.Context, tx *sql.Tx, into, more string, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	columns := make([]string, len(rows[0]))
	for i, v := range rows[0] {
		columns[i] = `value ->> ` + strconv.Itoa(i)
		if _, number := v.(int64); number {
			columns[i] = `CAST(` + columns[i] + ` AS BIGINT)`
		}
	}
	_, err := change(ctx, tx, `INSERT INTO `+into+` SELECT `+strings.Join(columns, `, `)+` FROM `+s.db.dialect().rows+` WHERE true`+more, jsonText(rows))
	return err
}
