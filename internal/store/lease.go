package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"tenu/internal/purchase"
)

// Reserve is purchase.Store.
func (s *Store) Reserve(ctx context.Context, shard int, n int64, floor int64) (first int64, err error) {
	if n <= 0 {
		return 0, fmt.Errorf("reserve %d purchase numbers: at least one is needed", n)
	}
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `INSERT INTO sequence AS s (shard, next) VALUES ($1, $2)
			ON CONFLICT (shard) DO UPDATE SET next = CASE WHEN s.next > $3 THEN s.next ELSE $3 END + $4
			RETURNING next - $4`, shard, max(floor, 1)+n, max(floor, 1), n).Scan(&first)
	})
	if err != nil {
		return 0, fmt.Errorf("reserve purchase numbers: %w", err)
	}
	return first, nil
}

// Acquire is purchase.Store.
func (s *Store) Acquire(ctx context.Context, node string) (purchase.Lease, error) {
	lease := purchase.Lease{Node: clean(node)}
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `INSERT INTO lease (node) VALUES ($1) RETURNING epoch`, lease.Node).Scan(&lease.Epoch)
	})
	if err != nil {
		return purchase.Lease{}, fmt.Errorf("acquire a lease: %w", err)
	}
	return lease, nil
}

// Renew is purchase.Store. A data key that another process made is taken up with it: who only sells would never meet a value that it sealed.
func (s *Store) Renew(ctx context.Context, epoch int64) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `UPDATE lease SET renewals = renewals + 1 WHERE epoch = $1 AND fenced = 0`, epoch)
		if err == nil && n == 0 {
			return purchase.ErrFenced
		}
		if err == nil {
			_, err = s.heed(ctx, tx)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("renew lease %d: %w", epoch, err)
	}
	return nil
}

// Leases is purchase.Store.
func (s *Store) Leases(ctx context.Context) ([]purchase.Lease, error) {
	var leases []purchase.Lease
	err := s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var l purchase.Lease
			err := rows.Scan(&l.Epoch, &l.Node, &l.Renewals, &l.Fenced)
			leases = append(leases, l)
			return err
		}, `SELECT epoch, node, renewals, fenced FROM lease l
			WHERE fenced = 0 OR EXISTS (SELECT 1 FROM open_purchase o WHERE o.epoch = l.epoch) ORDER BY epoch`)
	})
	if err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	return leases, nil
}

// Standing tells whether a lease is the oldest that may write, and whether there is
// no other. It is false of a lease once it is fenced, before another can take over.
func (s *Store) Standing(ctx context.Context, epoch int64) (oldest, alone bool, err error) {
	var first, count int64
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT coalesce(min(epoch), 0), count(*) FROM lease WHERE fenced = 0`).Scan(&first, &count)
	})
	if err != nil {
		return false, false, fmt.Errorf("read the leases' standing: %w", err)
	}
	return count > 0 && first == epoch, count <= 1, nil
}

// errRenewed says that a lease to be taken over lives.
var errRenewed = errors.New("lease was renewed")

// Takeover is purchase.Store. The lease is fenced in a transaction of its own,
// which the fenced node's commits do not hold up; the next waits for those
// that had passed the fence before it, and none can pass it any more.
func (s *Store) Takeover(ctx context.Context, lost purchase.Lease, epoch int64, limit int) (moved int, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.hold(ctx, tx, epoch); err != nil {
			return err
		}
		n, err := change(ctx, tx, `UPDATE lease SET fenced = 1 WHERE epoch = $1 AND (fenced = 1 OR renewals = $2)`, lost.Epoch, lost.Renewals)
		if err == nil && n == 0 {
			return errRenewed
		}
		return err
	})
	if errors.Is(err, errRenewed) {
		return -1, nil
	}
	if err == nil {
		moved, err = s.move(ctx, lost.Epoch, epoch, limit)
	}
	if err != nil {
		return 0, fmt.Errorf("take over lease %d: %w", lost.Epoch, err)
	}
	return moved, nil
}

// move gives open purchases of a fenced lease to another.
func (s *Store) move(ctx context.Context, from, to int64, limit int) (moved int, err error) {
	d := s.db.dialect()
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.hold(ctx, tx, to); err != nil {
			return err
		}
		if _, err := numbers(ctx, tx, `SELECT epoch FROM lease WHERE epoch = $1`+d.drain, from); err != nil {
			return err
		}
		ids, err := numbers(ctx, tx, `SELECT purchase FROM open_purchase WHERE epoch = $1 ORDER BY purchase LIMIT $2`, from, limit)
		if err != nil {
			return err
		}
		list := d.list(ids)
		if d.moveOpen != "" {
			if _, err := change(ctx, tx, d.moveOpen, list, to, from); err != nil {
				return err
			}
		}
		moved, err = change(ctx, tx, `UPDATE purchase SET epoch = $2 WHERE id`+d.among+` AND epoch = $3`, list, to, from)
		return err
	})
	return moved, err
}

// hold returns ErrFenced unless the lease may write, and until the end of the
// transaction nobody can fence it and think that it has ended.
func (s *Store) hold(ctx context.Context, tx *sql.Tx, epoch int64) error {
	var one int
	err := tx.QueryRowContext(ctx, `SELECT 1 FROM lease WHERE epoch = $1 AND fenced = 0`+s.db.dialect().share, epoch).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return purchase.ErrFenced
	}
	return err
}
