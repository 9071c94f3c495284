// Package store keeps purchases: the only SQL of tenu, on SQLite and on
// PostgreSQL, and a store in memory for simulation. It implements
// purchase.Store and the outbox, and verifies the invariants on a live
// database. It must not know the time, chance, the table of states, or why a
// change is made.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"

	"tenu/internal/purchase"
)

// Options are what a store may be told beside its address.
type Options struct {
	// Log is told of what no caller can act on; nil discards it.
	Log *slog.Logger
	// Committers is how many Commits are wanted at once; more wait. By default 2 on
	// PostgreSQL, and 1 on SQLite, which writes one after the other anyway.
	Committers int
	// Readers is how many reads run at once (default 4); more wait.
	Readers int
	// Patience is how long SQLite waits for another process that writes the
	// file (default 10 s).
	Patience time.Duration
	// Damaged is told, once, that the database is damaged (ErrDamaged). Nil: nobody is.
	Damaged func(error)

	// Unlogged leaves out the leaves of the log, so that its cost can be measured. No
	// installation may run so: its audit would find every change missing.
	Unlogged bool

	// Sealing seals what people wrote. Nil: nothing is sealed, and a database that holds what is sealed is not opened (ErrSealed).
	Sealing *Sealing
	// Blind opens such a database all the same, for what never reads what people wrote.
	Blind bool

	create bool // make the file of a SQLite database that does not exist
}

func (o *Options) fill() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Readers <= 0 {
		o.Readers = 4
	}
	if o.Patience <= 0 {
		o.Patience = 10 * time.Second
	}
}

// Store is a database of purchases. It is a purchase.Store, and safe for
// concurrent use.
type Store struct {
	db         database
	log        *slog.Logger
	sealer     *sealer
	told       func(error)
	damaged    atomic.Bool
	committers int
}

// ErrDamaged says that the database found its own data to be damaged. The store
// does nothing any more: what it might read cannot be trusted, and what it might
// write would be built on it.
var ErrDamaged = errors.New("the database is damaged: stop, keep its files, and restore a backup")

// database is what differs between the two products.
type database interface {
	// view reads on one consistent snapshot. Errors wrap ErrUnavailable.
	view(context.Context, func(context.Context, *sql.Tx) error) error
	// narrow reads like view, numbers and texts alone, at little cost for each row.
	narrow(context.Context, func(narrowly) error) error
	// views reads in at most so many transactions that see the same snapshot, and may be used at once.
	views(context.Context, int, func(context.Context, []*sql.Tx) error) error
	// update writes in one durable transaction, again if it lost a race. What
	// the function returns is returned as it is when nothing was written, database errors
	// wrapping ErrUnavailable; a failed COMMIT is ErrCommitUnknown.
	update(context.Context, func(context.Context, *sql.Tx) error) error
	// add adds rows to a table, all or none, in one exchange. What fails is told as by update.
	add(ctx context.Context, table string, columns []string, rows int, row func(i int) []any) error
	// commit is Store.Commit, but fails with errRejected, nothing written, when
	// a change breaks a constraint.
	commit(ctx context.Context, epoch int64, changes []purchase.Change) ([]purchase.Verdict, error)
	// lend gives a pool that writes to goose.
	lend(func(goose.Dialect, *sql.DB) error) error
	dialect() *dialect
	close() error
}

// errRejected says that a constraint refuses one of a batch's changes.
var errRejected = errors.New("rejected by a constraint")

// Open opens the store at an address: "sqlite:PATH", or "postgres://..." as
// libpq has it. The caller closes it. It returns a *SchemaError, and does not
// touch the database, when the schema is not the one that this program was
// built for; Migrate makes it so.
func Open(ctx context.Context, dsn string, options Options) (*Store, error) {
	s, err := connect(dsn, options)
	if err != nil {
		return nil, err
	}
	if err := s.checkSchema(ctx); err != nil {
		_ = s.db.close() // the reason to report is the schema
		return nil, err
	}
	if err := s.unlock(ctx, options.Blind); err != nil {
		_ = s.db.close() // the reason to report is the key
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

// connect makes a store without looking at its schema.
func connect(dsn string, options Options) (*Store, error) {
	options.fill()
	kind, path, _ := strings.Cut(dsn, ":")
	var db database
	var err error
	switch kind {
	case "sqlite":
		options.Committers = max(options.Committers, 1)
		db, err = openSQLite(path, options)
	case "postgres", "postgresql":
		if options.Committers <= 0 {
			options.Committers = 2
		}
		db, err = openPostgres(dsn, options)
	default:
		err = errors.New("its address must begin with sqlite: or postgres:, as in sqlite:tenu.db")
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return &Store{db: db, log: options.Log, sealer: &sealer{options: options.Sealing}, told: options.Damaged, committers: options.Committers}, nil
}

// Committers is how many Commits are worth having under way at once.
func (s *Store) Committers() int { return s.committers }

// Close ends the store. Calls under way must have returned.
func (s *Store) Close() error {
	if err := s.db.close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Commit is purchase.Store. When a change breaks a constraint nothing is
// written, and the error wraps none of the three that purchase.Store names: the
// same batch would fail again.
func (s *Store) Commit(ctx context.Context, epoch int64, changes []purchase.Change) ([]purchase.Verdict, error) {
	for i := range changes {
		if err := sound(&changes[i]); err != nil {
			return nil, fmt.Errorf("commit: %w", err)
		}
	}
	if len(changes) == 0 {
		return nil, nil
	}
	var verdicts []purchase.Verdict
	err := s.whole(func() (err error) {
		verdicts, err = s.db.commit(ctx, epoch, changes)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("commit %d changes: %w", len(changes), err)
	}
	return verdicts, nil
}

// whole makes a call of a database that is not damaged, as far as is known.
func (s *Store) whole(call func() error) error {
	if s.damaged.Load() {
		return unavailable(ErrDamaged)
	}
	err := call()
	if errors.Is(err, ErrDamaged) && s.damaged.CompareAndSwap(false, true) {
		s.log.Error("the database is damaged", "err", err)
		if s.told != nil {
			s.told(err)
		}
	}
	return err
}

// answerTimeout ends a read or an update that the database does not answer, as
// when the network keeps the connection and loses what it carries: a lease that
// waited for ever for one renewal would stop its node.
const answerTimeout = 10 * time.Second

// view reads like database.view, within answerTimeout.
func (s *Store) view(ctx context.Context, read func(context.Context, *sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return s.keyed(ctx, func() error { return s.whole(func() error { return s.db.view(ctx, read) }) })
}

// longer reads like database.view, for as long as it takes.
func (s *Store) longer(ctx context.Context, read func(context.Context, *sql.Tx) error) error {
	return s.keyed(ctx, func() error { return s.whole(func() error { return s.db.view(ctx, read) }) })
}

// update writes like database.update.
func (s *Store) update(ctx context.Context, write func(context.Context, *sql.Tx) error) error {
	return s.keyed(ctx, func() error { return s.whole(func() error { return s.db.update(ctx, write) }) })
}

// Secret returns the installation's secret, which never changes: the fresh one
// given if none was stored before. It is durable on return.
func (s *Store) Secret(ctx context.Context, fresh []byte) ([]byte, error) {
	var secret []byte
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ('secret', $1) ON CONFLICT (name) DO NOTHING`, fresh)
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'secret'`).Scan(&secret)
	})
	if err != nil {
		return nil, fmt.Errorf("read the installation's secret: %w", err)
	}
	return secret, nil
}
