package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// SchemaError says that a database's schema is not the one that this program
// was built for.
type SchemaError struct {
	Have int64 // 0 for an empty database
	Want int64
}

// Error says what to do about it.
func (e *SchemaError) Error() string {
	switch {
	case e.Have == 0:
		return fmt.Sprintf("the database is empty: migrate it to schema %d", e.Want)
	case e.Have > e.Want:
		return fmt.Sprintf("the database has schema %d, newer than this program's %d: use a newer program", e.Have, e.Want)
	}
	return fmt.Sprintf("the database has schema %d: migrate it to %d", e.Have, e.Want)
}

// Migrate brings the database at an address to this program's schema, creating
// it where there is none, and returns the schemas before and after. Each step
// is one transaction. A schema newer than the program's is a *SchemaError and stays.
func Migrate(ctx context.Context, dsn string, options Options) (from, to int64, err error) {
	options.create = true
	s, err := connect(dsn, options)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	from, err = s.schema(ctx)
	if err != nil {
		return 0, 0, err
	}
	to, err = s.wanted()
	if err != nil || from == to {
		return from, to, err
	}
	if from > to {
		return from, from, &SchemaError{from, to}
	}
	if err := s.migrate(ctx); err != nil {
		if now, again := s.schema(ctx); again == nil && now == to { // another process was faster
			return from, to, nil
		}
		return from, from, fmt.Errorf("migrate from schema %d to %d: %w", from, to, err)
	}
	return from, to, nil
}

func (s *Store) migrate(ctx context.Context) error {
	return s.db.lend(func(d goose.Dialect, db *sql.DB) error {
		p, err := s.provider(d, db)
		if err != nil {
			return err
		}
		_, err = p.Up(ctx)
		return err
	})
}

func (s *Store) provider(d goose.Dialect, db *sql.DB) (*goose.Provider, error) {
	steps, err := fs.Sub(migrations, "migrations/"+s.db.dialect().name)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(d, db, steps, goose.WithDisableGlobalRegistry(true), goose.WithSlog(s.log))
}

// wanted is the schema of the last migration that the program holds.
func (s *Store) wanted() (last int64, err error) {
	names, err := fs.Glob(migrations, "migrations/"+s.db.dialect().name+"/*.sql")
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return 0, err
		}
		last = max(last, version)
	}
	return last, nil
}

// schema is the version of the database's schema, 0 when it has none.
func (s *Store) schema(ctx context.Context) (version int64, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var tables int
		if err := tx.QueryRowContext(ctx, s.db.dialect().tables, goose.DefaultTablename).Scan(&tables); err != nil || tables == 0 {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version`).Scan(&version)
	})
	if err != nil {
		return 0, fmt.Errorf("read the schema's version: %w", err)
	}
	return version, nil
}

func (s *Store) checkSchema(ctx context.Context) error {
	have, err := s.schema(ctx)
	if err != nil {
		return err
	}
	want, err := s.wanted()
	if err != nil {
		return err
	}
	if have != want {
		return &SchemaError{have, want}
	}
	return nil
}
