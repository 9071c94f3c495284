package store

import (
	"context"
	"database/sql"
	"fmt"

	"tenu/internal/purchase"
)

// reachable keeps what was not sent before its number was erased from being sent: nobody is there.
const reachable = `to_number < 1000000000000000`

// UnsentNotices returns up to limit notices that no SMS centre has taken over,
// those of the oldest facts first.
func (s *Store) UnsentNotices(ctx context.Context, limit int) ([]purchase.Notice, error) {
	return list(ctx, s, "read unsent notices", scanNotice,
		`SELECT `+names(noticeColumns, "")+` FROM notice WHERE sent_at = 0 AND `+reachable+` ORDER BY at, purchase, fact, to_number LIMIT $1`, limit)
}

// NewestUnsent is notify.Store.
func (s *Store) NewestUnsent(ctx context.Context) (at purchase.Instant, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT coalesce(max(at), 0) FROM notice WHERE sent_at = 0 AND `+reachable).Scan(&at)
	})
	if err != nil {
		return 0, fmt.Errorf("read the newest unsent notice: %w", err)
	}
	return at, nil
}

// MarkSent records that an SMS centre took over those notices, named by
// purchase, fact and number, at an instant. All are marked, or none. One that
// was marked before keeps its first instant. Durable.
func (s *Store) MarkSent(ctx context.Context, notices []purchase.Notice, at purchase.Instant) error {
	if len(notices) == 0 {
		return nil
	}
	keys := make([][3]int64, len(notices))
	for i := range notices {
		keys[i] = [3]int64{int64(notices[i].Purchase), int64(notices[i].Fact), int64(notices[i].To)}
	}
	d := s.db.dialect()
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := change(ctx, tx, `UPDATE notice SET sent_at = $1 WHERE sent_at = 0 AND (purchase, fact, to_number) IN (`+d.triples+`)`,
			append([]any{int64(at)}, d.zip(keys)...)...)
		return err
	})
	if err != nil {
		return fmt.Errorf("mark %d notices as sent: %w", len(notices), err)
	}
	return nil
}

// Park is purchase.Store.
func (s *Store) Park(ctx context.Context, parked purchase.Parked) error {
	var values arguments
	putParked(&values, &parked)
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := change(ctx, tx, `INSERT INTO parked (`+names(parkedColumns, "")+`) VALUES (`+places(len(parkedColumns))+`)`, values...)
		return err
	})
	if err != nil {
		return fmt.Errorf("park news of purchase %d: %w", parked.Purchase, err)
	}
	return nil
}

// TakeParked is purchase.Store.
func (s *Store) TakeParked(ctx context.Context, epoch int64, limit int) ([]purchase.Parked, error) {
	var parked []purchase.Parked
	err := s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			parked = append(parked, purchase.Parked{})
			return scanParked(rows, &parked[len(parked)-1])
		}, `SELECT k.seq, `+names(parkedColumns, "k.")+` FROM parked k JOIN purchase p ON p.id = k.purchase
			WHERE p.epoch = $1 OR p.due_at = 0 ORDER BY k.seq LIMIT $2`, epoch, limit)
	})
	if err != nil {
		return nil, fmt.Errorf("read parked news: %w", err)
	}
	return parked, nil
}

// Unpark is purchase.Store.
func (s *Store) Unpark(ctx context.Context, seqs []int64) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := change(ctx, tx, `DELETE FROM parked WHERE seq`+s.db.dialect().among, s.db.dialect().list(seqs))
		return err
	})
	if err != nil {
		return fmt.Errorf("forget parked news: %w", err)
	}
	return nil
}
