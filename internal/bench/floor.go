package bench

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"tenu/internal/purchase"
)

// Floor writes the eleven rows of so many purchases in three transactions per
// batch, with nothing around: no engine, no list of what is open, no balances of
// the accounts, no checks of what was stored, no answers. It is the yardstick that
// the engine is measured against, on a database of its own.
type Floor struct {
	Purchases  int
	Customers  int
	Batch      int
	Committers int // batches written at once
	Clock      purchase.Clock
}

// Floor measures the bare loop on its own, against the same loop that commits
// every step of every purchase by itself.
func (b *Bed) Floor(ctx context.Context) (s Sample, err error) {
	const single = "one by one"
	bare, err := b.floor(ctx, b.Size.Purchases, max(b.Size.InFlight/b.Committers, 1), b.Committers)
	if err != nil {
		return s, err
	}
	s.Add(floorFigure, "purchases/s", bare.perSecond(), single)
	s.Add(floorTime, "ms", bare.at(0.99), "")
	alone, err := b.floor(ctx, b.Size.Purchases/50+1, 1, b.Committers)
	if err != nil {
		return s, err
	}
	s.Add(single, "purchases/s", alone.perSecond(), "")
	return s, b.addTPCB(ctx, &s, "floor against TPC-B", bare.perSecond())
}

// bare is what a bare loop did.
type bare struct {
	sold
	before, after reading
}

// floor runs the bare loop on a fresh database.
func (b *Bed) floor(ctx context.Context, purchases, batch, committers int) (done bare, err error) {
	d, err := b.fresh(ctx)
	if err != nil {
		return done, err
	}
	defer d.remove(ctx, &err)
	if err := b.calm(ctx); err != nil {
		return done, err
	}
	if done.before, err = b.read(ctx); err != nil {
		return done, err
	}
	if done.sold, err = b.floorOn(ctx, d, purchases, batch, committers); err != nil {
		return done, err
	}
	done.after, err = b.read(ctx)
	return done, err
}

// floorOn runs the bare loop on a database.
func (b *Bed) floorOn(ctx context.Context, d *database, purchases, batch, committers int) (at sold, err error) {
	f := Floor{Purchases: purchases, Customers: b.Size.Customers, Batch: batch, Committers: committers, Clock: b.Clock}
	if b.Store == "postgres" {
		pool, err := pgxpool.New(ctx, d.dsn)
		if err != nil {
			return at, fmt.Errorf("open the floor's database: %w", err)
		}
		defer pool.Close()
		return f.postgres(ctx, pool)
	}
	// As the store sets it.
	db, err := openSQLite(d.dsn, "&_pragma=synchronous(FULL)&_pragma=cache_size(-65536)&_pragma=wal_autocheckpoint(16000)")
	if err != nil {
		return at, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return f.sqlite(ctx, db)
}

// openSQLite opens a SQLite store's file with settings of its own.
func openSQLite(dsn, settings string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(dsn, "sqlite:")+"?_pragma=journal_mode(WAL)"+settings)
	if err != nil {
		return nil, fmt.Errorf("open the file of a store: %w", err)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// writer writes the three transactions of one batch of purchases, numbered
// from first on.
type writer func(ctx context.Context, first, n int) error

// run writes all batches. A purchase takes as long as the three transactions of
// its batch.
func (f Floor) run(ctx context.Context, write writer) (sold, error) {
	batch := max(f.Batch, 1)
	s := sold{times: make([]time.Duration, f.Purchases)}
	began := f.Clock.Now()
	err := each((f.Purchases+batch-1)/batch, f.Committers, func(i int) error {
		first := i * batch
		times := s.times[first:min(first+batch, f.Purchases)]
		from := f.Clock.Now()
		err := write(ctx, first, len(times))
		took := f.Clock.Now().Sub(from)
		for i := range times {
			times[i] = took
		}
		return err
	})
	if err != nil {
		return s, fmt.Errorf("write the floor: %w", err)
	}
	s.took = f.Clock.Now().Sub(began)
	slices.Sort(s.times)
	return s, nil
}

// The columns of a purchase that differ from one to the next are parameters,
// the others stand as constants.
const (
	purchaseColumns = `(id, version, epoch, payer_number, recipient, total, fee, units, created_at, charged_at,
		closed_at, deliver_by, resolve_by, refund_by, watch_till, due_at, charged, held, offer, told, state, bundle, again,
		orphan, exposed, unproven, doubt, closed, acknowledged, client, client_key, channel, language, payer, provider,
		product, currency, charged_currency, digest)`
	evidenceColumns = `(purchase, version, at, amount, account, leg, source, kind, partner, ref, currency, product, reason, detail)`
	noticeText      = `Recharge de 1 000 F CFA recue au 70 00 00 00. Solde 1 234 F CFA. Ref K7M2-Q4XD-9T`
)

// postgres is the floor on PostgreSQL, with arrays and one round trip per
// transaction.
func (f Floor) postgres(ctx context.Context, pool *pgxpool.Pool) (sold, error) {
	const rows = ` FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[]) AS r(id, number, label, at)`
	steps := [][]string{{
		`INSERT INTO purchase ` + purchaseColumns + ` SELECT id, 1, 1, number, number, 1050, 50, 1000, at, 0, 0, 0, 0, 0, 0,
			at + 60000000, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 'floor', label, 'api', 'fr', 'wallet', 'ocs', 'airtime',
			'XOF', '', '\x00000000000000000000000000000000'` + rows,
		`INSERT INTO attempt (purchase, version, at, leg, try, partner) SELECT id, 1, at, 1, 1, 'wallet'` + rows,
	}, {
		`UPDATE purchase p SET version = 2, epoch = 1, state = 2, charged_at = r.at, deliver_by = r.at + 60000000, resolve_by = r.at + 86400000000,
			due_at = r.at + 60000000, charged = 1050, held = 1050, charged_currency = 'XOF'` + rows + ` WHERE p.id = r.id AND p.version = 1 AND p.epoch = 1`,
		`INSERT INTO evidence ` + evidenceColumns + ` SELECT id, 2, at, 1050, number, 1, 1, 1, 'wallet', 'w' || label, 'XOF', '', '', ''` + rows,
		`INSERT INTO posting (purchase, version, debit, credit, amount, at, leg, effect) SELECT id, 2, 1, 2, 1050, at, 1, 1` + rows,
		`INSERT INTO attempt (purchase, version, at, leg, try, partner) SELECT id, 2, at, 2, 1, 'ocs'` + rows,
	}, {
		`UPDATE purchase p SET version = 3, epoch = 1, state = 3, closed_at = r.at, due_at = 0, held = 0, told = 2` + rows +
			` WHERE p.id = r.id AND p.version = 2 AND p.epoch = 1`,
		`INSERT INTO evidence ` + evidenceColumns + ` SELECT id, 3, at, 1000, number, 2, 1, 1, 'ocs', 'o' || label, 'XOF', '', '', ''` + rows,
		`INSERT INTO posting (purchase, version, debit, credit, amount, at, leg, effect) SELECT id, 3, 2, 3, 1000, at, 2, 1` + rows,
		`INSERT INTO posting (purchase, version, debit, credit, amount, at, leg, effect) SELECT id, 3, 2, 4, 50, at, 2, 2` + rows,
		`INSERT INTO notice (purchase, version, to_number, at, sent_at, fact, language, text) SELECT id, 3, number, at, 0, 1, 'fr', '` + noticeText + `'` + rows,
	}}
	return f.run(ctx, func(ctx context.Context, first, n int) error {
		r := f.rows(first, n)
		for _, step := range steps {
			var batch pgx.Batch // pgx wraps a batch in a transaction of its own
			for _, text := range step {
				batch.Queue(text, r.ids, r.numbers, r.labels, r.ats)
			}
			if err := pool.SendBatch(ctx, &batch).Close(); err != nil {
				return err
			}
		}
		return nil
	})
}

// sqlite is the floor on SQLite, with one prepared statement per row.
func (f Floor) sqlite(ctx context.Context, db *sql.DB) (sold, error) {
	// ?1 id, ?2 number, ?3 label, ?4 instant
	steps := [][]string{{
		`INSERT INTO purchase ` + purchaseColumns + ` VALUES (?1, 1, 1, ?2, ?2, 1050, 50, 1000, ?4, 0, 0, 0, 0, 0, 0,
			?4 + 60000000, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 'floor', ?3, 'api', 'fr', 'wallet', 'ocs', 'airtime',
			'XOF', '', x'00000000000000000000000000000000')`,
		`INSERT INTO attempt (purchase, version, at, leg, try, partner) VALUES (?1, 1, ?4, 1, 1, 'wallet')`,
	}, {
		`UPDATE purchase SET version = 2, epoch = 1, state = 2, charged_at = ?4, deliver_by = ?4 + 60000000, resolve_by = ?4 + 86400000000,
			due_at = ?4 + 60000000, charged = 1050, held = 1050, charged_currency = 'XOF' WHERE id = ?1 AND version = 1 AND epoch = 1`,
		`INSERT INTO evidence ` + evidenceColumns + ` VALUES (?1, 2, ?4, 1050, ?2, 1, 1, 1, 'wallet', 'w' || ?3, 'XOF', '', '', '')`,
		`INSERT INTO posting (purchase, version, debit, credit, amount, at, leg, effect) VALUES (?1, 2, 1, 2, 1050, ?4, 1, 1)`,
		`INSERT INTO attempt (purchase, version, at, leg, try, partner) VALUES (?1, 2, ?4, 2, 1, 'ocs')`,
	}, {
		`UPDATE purchase SET version = 3, epoch = 1, state = 3, closed_at = ?4, due_at = 0, held = 0, told = 2 WHERE id = ?1 AND version = 2 AND epoch = 1`,
		`INSERT INTO evidence ` + evidenceColumns + ` VALUES (?1, 3, ?4, 1000, ?2, 2, 1, 1, 'ocs', 'o' || ?3, 'XOF', '', '', '')`,
		`INSERT INTO posting (purchase, version, debit, credit, amount, at, leg, effect) VALUES (?1, 3, 2, 3, 1000, ?4, 2, 1)`,
		`INSERT INTO posting (purchase, version, debit, credit, amount, at, leg, effect) VALUES (?1, 3, 2, 4, 50, ?4, 2, 2)`,
		`INSERT INTO notice (purchase, version, to_number, at, sent_at, fact, language, text) VALUES (?1, 3, ?2, ?4, 0, 1, 'fr', '` + noticeText + `')`,
	}}
	conn, err := db.Conn(ctx)
	if err != nil {
		return sold{}, fmt.Errorf("open the floor's file: %w", err)
	}
	defer conn.Close()
	var done sold
	err = conn.Raw(func(raw any) error {
		w, err := prepareFloor(ctx, raw.(driver.ConnPrepareContext), steps) //nolint:errcheck // the driver's connections are
		if err != nil {
			return fmt.Errorf("prepare the floor: %w", err)
		}
		done, err = f.run(ctx, func(ctx context.Context, first, n int) error { return w.write(ctx, f.rows(first, n)) })
		return errors.Join(err, w.close())
	})
	return done, err
}

// floorWriter writes the floor's rows to SQLite with statements of the driver
// itself, as the store does.
type floorWriter struct {
	begin, commit driver.Stmt
	steps         [][]driver.Stmt
	all           []driver.Stmt
}

func prepareFloor(ctx context.Context, conn driver.ConnPrepareContext, steps [][]string) (*floorWriter, error) {
	w := &floorWriter{}
	prepare := func(text string) (driver.Stmt, error) {
		stmt, err := conn.PrepareContext(ctx, text)
		if err == nil {
			w.all = append(w.all, stmt)
		}
		return stmt, err
	}
	var err error
	if w.begin, err = prepare("BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	if w.commit, err = prepare("COMMIT"); err != nil {
		return nil, errors.Join(err, w.close())
	}
	for _, step := range steps {
		var prepared []driver.Stmt
		for _, text := range step {
			stmt, err := prepare(text)
			if err != nil {
				return nil, errors.Join(err, w.close())
			}
			prepared = append(prepared, stmt)
		}
		w.steps = append(w.steps, prepared)
	}
	return w, nil
}

// write writes the three transactions of some purchases. What it began is rolled
// back by the end of the connection, if it fails.
func (w *floorWriter) write(ctx context.Context, r floorRows) error {
	values := make([]driver.NamedValue, 4)
	for i := range values {
		values[i].Ordinal = i + 1
	}
	for _, step := range w.steps {
		if err := execute(ctx, w.begin, nil); err != nil {
			return err
		}
		for _, stmt := range step {
			for i := range r.ids {
				values[0].Value, values[1].Value, values[2].Value, values[3].Value = r.ids[i], r.numbers[i], r.labels[i], r.ats[i]
				if err := execute(ctx, stmt, values); err != nil {
					return err
				}
			}
		}
		if err := execute(ctx, w.commit, nil); err != nil {
			return err
		}
	}
	return nil
}

func execute(ctx context.Context, stmt driver.Stmt, values []driver.NamedValue) error {
	_, err := stmt.(driver.StmtExecContext).ExecContext(ctx, values) //nolint:errcheck // the driver's statements are
	return err
}

func (w *floorWriter) close() error {
	var errs []error
	for _, stmt := range w.all {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(errs...)
}

// floorRows are the columns that differ from one purchase to the next.
type floorRows struct {
	ids, numbers, ats []int64
	labels            []string
}

func (f Floor) rows(first, n int) floorRows {
	r := floorRows{make([]int64, n), make([]int64, n), make([]int64, n), make([]string, n)}
	at := int64(f.Clock.Now())
	for i := range n {
		r.ids[i] = int64(first + i + 1)
		r.numbers[i] = int64(numberOf(first+i, f.Customers))
		r.labels[i] = keyOf(1, first+i)
		r.ats[i] = at
	}
	return r
}
