package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pressly/goose/v3"
	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqlite is a SQLite database in a file: one connection that writes, and a few
// that read. Other processes may open the file too.
type sqlite struct {
	path    string
	mode    string // "rwc" to create the file, "rw" not to
	options Options

	// What an I/O error leaves behind is in doubt: broken makes the next call
	// close everything and open it again. Each call holds the lock for reading.
	broken atomic.Bool
	// corrupt: it was for a page that made no sense; suspect: and the file was
	// opened again since.
	corrupt, suspect atomic.Bool

	mu     sync.RWMutex
	read   *sql.DB
	write  *sql.DB // of one connection, whose holder may use the writer
	writer writer
}

func openSQLite(path string, options Options) (*sqlite, error) {
	if path == "" || strings.HasPrefix(path, ":") {
		return nil, fmt.Errorf("%q names no file", path)
	}
	s := &sqlite{path: path, mode: "rw", options: options, writer: writer{unlogged: options.Unlogged}}
	if options.create {
		s.mode = "rwc"
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

// open makes the two pools; they connect when they are used.
func (s *sqlite) open() error {
	var err error
	if s.read, err = sql.Open("sqlite", s.address("&_pragma=query_only(1)")); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(s.options.Readers)
	s.read.SetMaxIdleConns(s.options.Readers)
	s.write, err = sql.Open("sqlite", s.address("&_txlock=immediate&_pragma=synchronous(FULL)"+
		"&_pragma=cache_size(-65536)&_pragma=wal_autocheckpoint(16000)&_pragma=secure_delete(1)"))
	if err != nil {
		return errors.Join(err, s.read.Close())
	}
	s.write.SetMaxOpenConns(1)
	s.write.SetMaxIdleConns(1)
	return nil
}

// address is the file's URI with settings of SQLite's and of the driver's.
func (s *sqlite) address(settings string) string {
	return "file:" + (&url.URL{Path: s.path}).EscapedPath() + "?mode=" + s.mode + "&_pragma=busy_timeout(" +
		strconv.FormatInt(s.options.Patience.Milliseconds(), 10) + ")&_pragma=journal_mode(WAL)" + settings
}

func (s *sqlite) dialect() *dialect { return &sqliteDialect }

func (s *sqlite) lend(use func(goose.Dialect, *sql.DB) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.mu.RUnlock()
	return use(goose.DialectSQLite3, s.write)
}

func (s *sqlite) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shut()
}

// shut closes the pools, and with them the writer's statements.
func (s *sqlite) shut() error {
	return errors.Join(s.writer.close(), s.read.Close(), s.write.Close())
}

// enter begins a call, opening the file again if it is in doubt. The caller
// leaves with mu.RUnlock.
func (s *sqlite) enter() error {
	for {
		s.mu.RLock()
		if !s.broken.Load() {
			return nil
		}
		s.mu.RUnlock()
		if err := s.reopen(); err != nil {
			return unavailable(err)
		}
	}
}

func (s *sqlite) reopen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.broken.Load() {
		return nil
	}
	if err := s.shut(); err != nil {
		s.options.Log.Warn("closed the database in doubt", "err", err)
	}
	if err := s.open(); err != nil {
		return err
	}
	if s.corrupt.Load() {
		s.suspect.Store(true)
	}
	s.broken.Store(false)
	s.options.Log.Info("opened the database again after a failure")
	return nil
}

func (s *sqlite) view(ctx context.Context, read func(context.Context, *sql.Tx) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.mu.RUnlock()
	return snapshot(ctx, s.read, s.judge, read)
}

func (s *sqlite) narrow(ctx context.Context, read func(narrowly) error) error {
	return s.view(ctx, func(ctx context.Context, tx *sql.Tx) error { return read(narrowTx(ctx, tx)) })
}

// add is one statement.
func (s *sqlite) add(ctx context.Context, table string, columns []string, rows int, row func(i int) []any) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var values []any
		var text strings.Builder
		text.WriteString(`INSERT INTO ` + table + ` (` + strings.Join(columns, ", ") + `) VALUES `)
		for i := range rows {
			if i > 0 {
				text.WriteString(", ")
			}
			text.WriteString(`(?` + strings.Repeat(", ?", len(columns)-1) + `)`)
			values = append(values, row(i)...)
		}
		_, err := change(ctx, tx, text.String(), values...)
		return err
	})
}

// views begins its transactions while nobody writes, so that all see the same.
func (s *sqlite) views(ctx context.Context, most int, read func(context.Context, []*sql.Tx) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.mu.RUnlock()
	var txs []*sql.Tx
	defer func() {
		for _, tx := range txs {
			_ = tx.Rollback() // nothing was written
		}
	}()
	still, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return s.judge(err, false)
	}
	for range min(most, max(s.options.Readers-1, 1)) { // one is left to others
		tx, err := beginRead(ctx, s.read)
		if err == nil {
			txs = append(txs, tx)
			err = tx.QueryRowContext(ctx, `SELECT count(*) FROM log_state`).Scan(new(int))
		}
		if err != nil {
			_ = still.Rollback() // nothing was written
			return s.judge(err, false)
		}
	}
	if err := still.Rollback(); err != nil {
		return s.judge(err, false)
	}
	return judged(read(ctx, txs), s.judge)
}

func (s *sqlite) update(ctx context.Context, write func(context.Context, *sql.Tx) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.mu.RUnlock()
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return s.judge(err, false)
	}
	defer conn.Close() // it goes back to the pool
	// An interrupted connection is thrown away, and the writer's statements
	// with it. Writing takes milliseconds and need not be interrupted.
	ctx = context.WithoutCancel(ctx)
	begin := func(ctx context.Context) (*sql.Tx, error) { return conn.BeginTx(ctx, nil) }
	return transact(ctx, begin, s.judge, write)
}

// judge goes by the error's code.
func (s *sqlite) judge(err error, commit bool) error {
	var answer *driver.Error
	if !errors.As(err, &answer) {
		if commit {
			return uncertain(err)
		}
		return unavailable(err)
	}
	switch answer.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		return fmt.Errorf("%w: %w", errRejected, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED: // another process writes, for too long
		return unavailable(err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		// A read that failed looks like that too: once the file is opened again
		// for it, it is believed.
		if s.suspect.Load() {
			err = damaged(err)
			break
		}
		s.corrupt.Store(true)
		s.broken.Store(true)
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM:
		s.broken.Store(true)
	}
	if commit {
		return uncertain(err)
	}
	return unavailable(err)
}
