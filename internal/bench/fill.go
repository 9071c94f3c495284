package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// execute runs one statement.
type execute func(ctx context.Context, statement string, arguments ...any) error

// bare lends a connection to the database that waits for no disk.
func (d *database) bare(ctx context.Context, use func(execute) error) (err error) {
	if d.bed.Store == "postgres" {
		conn, err := pgx.Connect(ctx, d.dsn)
		if err != nil {
			return fmt.Errorf("open the database: %w", err)
		}
		defer conn.Close(context.WithoutCancel(ctx))
		if _, err := conn.Exec(ctx, `SET synchronous_commit = off`); err != nil {
			return err
		}
		return use(func(ctx context.Context, statement string, arguments ...any) error {
			_, err := conn.Exec(ctx, statement, arguments...)
			return err
		})
	}
	db, err := openSQLite(d.dsn, "&_pragma=synchronous(OFF)&_pragma=cache_size(-262144)&_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return use(onSQLite(db))
}

func onSQLite(db *sql.DB) execute {
	return func(ctx context.Context, statement string, arguments ...any) error {
		_, err := db.ExecContext(ctx, statement, arguments...)
		return err
	}
}

// tables are those that a purchase has rows in.
var tables = []string{"purchase", "open_purchase", "attempt", "evidence", "posting", "notice", "care_case", "balance"}

// tidy does at once what the database would do for itself in time: it counts
// what its tables hold and clears what is dead in them.
func (d *database) tidy(ctx context.Context) error {
	if d.bed.Store != "postgres" {
		return nil
	}
	return d.bare(ctx, func(run execute) error {
		for _, table := range tables {
			if err := run(ctx, `VACUUM (ANALYZE) `+table); err != nil {
				return fmt.Errorf("tidy %s: %w", table, err)
			}
		}
		return nil
	})
}
