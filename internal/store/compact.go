package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3"
)

// ErrBusy says that another process reads or writes the file, so that what was deleted may still
// be in it or in its write-ahead log. To try again is safe.
var ErrBusy = errors.New("another process uses the database: what was deleted may still be in its files")

// Compact leaves nothing in the files of a SQLite database of what was deleted: the file is
// written anew, and the write-ahead log emptied. Others wait meanwhile. PostgreSQL does that by
// itself in its own time (VACUUM), and nothing is done.
func (s *Store) Compact(ctx context.Context) error {
	if s.db.dialect().name != sqliteDialect.name {
		return nil
	}
	err := s.whole(func() error {
		return s.db.lend(func(_ goose.Dialect, db *sql.DB) error {
			if _, err := db.ExecContext(ctx, `VACUUM`); err != nil {
				return fmt.Errorf("%w: %w", ErrBusy, err)
			}
			var busy, pages, moved int
			if err := db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &moved); err != nil {
				return err
			}
			if busy != 0 {
				return ErrBusy
			}
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("compact the database: %w", err)
	}
	return nil
}
