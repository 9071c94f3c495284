package store

import (
	"context"
	"database/sql"
	"fmt"

	"tenu/internal/incident"
)

var _ incident.TallyStore = (*Store)(nil)

// ExchangeTallies is incident.TallyStore.
func (s *Store) ExchangeTallies(ctx context.Context, own incident.NodeTally) (others []incident.NodeTally, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		others = nil
		const live = `EXISTS (SELECT 1 FROM lease l WHERE l.epoch = node_tally.epoch AND l.fenced = 0)`
		if _, err := change(ctx, tx, `INSERT INTO node_tally (epoch, seq, data) VALUES ($1, $2, $3)
			ON CONFLICT (epoch) DO UPDATE SET seq = excluded.seq, data = excluded.data`, own.Epoch, own.Seq, clean(string(own.Data))); err != nil {
			return err
		}
		if _, err := change(ctx, tx, `DELETE FROM node_tally WHERE NOT `+live); err != nil {
			return err
		}
		return each(ctx, tx, func(rows *sql.Rows) error {
			var t incident.NodeTally
			var data string
			err := rows.Scan(&t.Epoch, &t.Seq, &data)
			t.Data = []byte(data)
			others = append(others, t)
			return err
		}, `SELECT epoch, seq, data FROM node_tally WHERE epoch <> $1 AND `+live+` ORDER BY epoch`, own.Epoch)
	})
	if err != nil {
		return nil, fmt.Errorf("exchange tallies: %w", err)
	}
	return others, nil
}
