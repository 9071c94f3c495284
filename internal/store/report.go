package store

import (
	"context"
	"database/sql"
	"fmt"

	"tenu/internal/care"
	"tenu/internal/purchase"
)

const reportColumns = `purchase, number, at, meant, matter, channel, detail`

func (s *Store) scanReport(row scanner, r *care.Report) error {
	if err := row.Scan(&r.Purchase, &r.Number, &r.At, &r.Meant, &r.Matter, &r.Channel, &r.Detail); err != nil {
		return err
	}
	return s.open(&r.Detail, "report.detail", int64(r.Purchase), int64(r.Number), string(r.Matter))
}

// AddReport is care.Store.
func (s *Store) AddReport(ctx context.Context, r care.Report) (first care.Report, added bool, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `INSERT INTO report (`+reportColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
			int64(r.Purchase), int64(r.Number), int64(r.At), int64(r.Meant), clean(string(r.Matter)), clean(r.Channel),
			s.sealer.text(r.Detail, "report.detail", int64(r.Purchase), int64(r.Number), clean(string(r.Matter))))
		if err != nil {
			return err
		}
		added = n > 0
		return s.scanReport(tx.QueryRowContext(ctx, `SELECT `+reportColumns+` FROM report WHERE purchase = $1 AND number = $2 AND matter = $3`,
			int64(r.Purchase), int64(r.Number), clean(string(r.Matter))), &first)
	})
	if err != nil {
		return care.Report{}, false, fmt.Errorf("add a report: %w", err)
	}
	return first, added, nil
}

// Reports is care.Store.
func (s *Store) Reports(ctx context.Context, purchases ...purchase.ID) (found []care.Report, err error) {
	if len(purchases) == 0 {
		return nil, nil
	}
	d := s.db.dialect()
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			found = append(found, care.Report{})
			return s.scanReport(rows, &found[len(found)-1])
		}, `SELECT `+reportColumns+` FROM report WHERE purchase`+d.among+` ORDER BY at, purchase, number, matter`, d.list(ids(purchases)))
	})
	if err != nil {
		return nil, fmt.Errorf("read reports: %w", err)
	}
	return found, nil
}
