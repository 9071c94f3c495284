package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tenu/internal/purchase"
)

// Load is purchase.Store.
func (s *Store) Load(ctx context.Context, ids ...purchase.ID) ([]purchase.Record, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	wanted := make([]int64, len(ids))
	for i, id := range ids {
		wanted[i] = int64(id)
	}
	var records []purchase.Record
	err := s.view(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		records, err = s.records(ctx, tx, wanted)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load %d purchases: %w", len(ids), err)
	}
	return records, nil
}

// LoadOpen is purchase.Store.
func (s *Store) LoadOpen(ctx context.Context, epoch int64, after purchase.ID, limit int) ([]purchase.Record, error) {
	var records []purchase.Record
	err := s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		ids, err := numbers(ctx, tx, `SELECT purchase FROM open_purchase WHERE epoch = $1 AND purchase > $2 ORDER BY purchase LIMIT $3`, epoch, int64(after), limit)
		if err != nil || len(ids) == 0 {
			return err
		}
		records, err = s.records(ctx, tx, ids)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load open purchases: %w", err)
	}
	return records, nil
}

// records reads purchases with everything recorded about them.
func (s *Store) records(ctx context.Context, tx *sql.Tx, ids []int64) ([]purchase.Record, error) {
	d := s.db.dialect()
	list := d.list(ids)
	var records []purchase.Record
	err := each(ctx, tx, func(rows *sql.Rows) error {
		records = append(records, purchase.Record{})
		return scanPurchase(rows, &records[len(records)-1].Purchase)
	}, `SELECT `+names(purchaseColumns, "")+` FROM purchase WHERE id`+d.among+` ORDER BY id`, list)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	of := func(id purchase.ID) *purchase.Record {
		i, _ := slices.BinarySearchFunc(records, id, func(r purchase.Record, id purchase.ID) int { return cmp.Compare(r.Purchase.ID, id) })
		return &records[i]
	}
	for _, part := range parts {
		query := `SELECT ` + part.columns + ` FROM ` + part.from + ` WHERE purchase` + d.among + ` ORDER BY purchase, version` +
			strings.ReplaceAll(part.order, "{bytewise}", d.bytewise)
		err := each(ctx, tx, func(rows *sql.Rows) error { return part.read(rows, of) }, query, list)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.from, err)
		}
	}
	for i := range records {
		records[i].Derive()
	}
	return records, nil
}

// parts are the tables that a record is made of beside the purchase itself.
var parts = []struct {
	from, columns, order string
	read                 func(row scanner, of func(purchase.ID) *purchase.Record) error
}{
	{"attempt", names(attemptColumns, ""), "", func(row scanner, of func(purchase.ID) *purchase.Record) error {
		var id purchase.ID
		var a purchase.Attempt
		err := scanAttempt(row, &id, &a)
		if err != nil {
			return err
		}
		r := of(id)
		r.Attempts = append(r.Attempts, a)
		return nil
	}},
	{"evidence", names(evidenceColumns, ""), "", func(row scanner, of func(purchase.ID) *purchase.Record) error {
		var id purchase.ID
		var e purchase.Evidence
		if err := scanEvidence(row, &id, &e); err != nil {
			return err
		}
		r := of(id)
		r.Evidence = append(r.Evidence, e)
		return nil
	}},
	{"posting p JOIN account d ON d.id = p.debit JOIN account c ON c.id = p.credit",
		"p.purchase, p.leg, p.effect, d.name, c.name, p.amount, d.currency, p.at", ", leg, effect",
		func(row scanner, of func(purchase.ID) *purchase.Record) error {
			var id purchase.ID
			var x purchase.Posting
			if err := scanPosting(row, &id, &x); err != nil {
				return err
			}
			r := of(id)
			r.Postings = append(r.Postings, x)
			return nil
		}},
	{"notice", names(noticeColumns, ""), ", fact, to_number", func(row scanner, of func(purchase.ID) *purchase.Record) error {
		var n purchase.Notice
		if err := scanNotice(row, &n); err != nil {
			return err
		}
		r := of(n.Purchase)
		r.Notices = append(r.Notices, n)
		return nil
	}},
	{"care_case", names(caseColumns, ""), ", matter{bytewise}", func(row scanner, of func(purchase.ID) *purchase.Record) error {
		var id purchase.ID
		var c purchase.Case
		if err := scanCase(row, &id, &c); err != nil {
			return err
		}
		r := of(id)
		r.Cases = append(r.Cases, c)
		return nil
	}},
}

// FindKey is purchase.Store.
func (s *Store) FindKey(ctx context.Context, client, clientKey string) (id purchase.ID, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT id FROM purchase WHERE client = $1 AND client_key = $2`,
			clean(client), clean(clientKey)).Scan(&id)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, purchase.ErrNotFound
	case err != nil:
		return 0, fmt.Errorf("find a client's key: %w", err)
	}
	return id, nil
}

// List is purchase.Store. Of the legs it tells only doubt, closed and
// acknowledged; Posted and Opened are empty. Newest is by creation. Nothing is
// older than a purchase that does not exist.
func (s *Store) List(ctx context.Context, page purchase.Page) ([]purchase.Purchase, error) {
	if page.Limit <= 0 {
		return nil, nil
	}
	var found []purchase.Purchase
	err := s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		before, err := createdAt(ctx, tx, page.Before)
		if err != nil || page.Before != 0 && before == 0 {
			return err
		}
		// A customer who paid for another is in the second part, everyone else
		// in the first, so that each part is read from one index.
		for _, part := range []string{`recipient = $1`, `payer_number = $1 AND payer_number <> recipient`} {
			query := `SELECT ` + names(purchaseColumns, "") + ` FROM purchase WHERE ` + part + ` AND ($2 = '' OR client = $2)
				AND ($3 = 0 OR created_at < $4 OR created_at = $4 AND id < $3) ORDER BY created_at DESC, id DESC LIMIT $5`
			err := each(ctx, tx, func(rows *sql.Rows) error {
				found = append(found, purchase.Purchase{})
				return scanPurchase(rows, &found[len(found)-1])
			}, query, int64(page.Number), clean(page.Client), int64(page.Before), int64(before), page.Limit)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list purchases: %w", err)
	}
	slices.SortFunc(found, func(a, b purchase.Purchase) int {
		return cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})
	return found[:min(len(found), page.Limit)], nil
}

// createdAt is when a purchase was created, or 0 if there is none.
func createdAt(ctx context.Context, tx *sql.Tx, id purchase.ID) (at purchase.Instant, err error) {
	if id == 0 {
		return 0, nil
	}
	err = tx.QueryRowContext(ctx, `SELECT created_at FROM purchase WHERE id = $1`, int64(id)).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return at, err
}
