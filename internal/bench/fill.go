package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"tenu/internal/purchase"
)

// past is a connection to a database that goes past the store and waits for no disk.
type past struct {
	// run executes one statement.
	run func(ctx context.Context, statement string) error
	// pairs returns the two texts of each row of a query.
	pairs func(ctx context.Context, query string) ([][2]string, error)
}

// bare lends such a connection.
func (d *database) bare(ctx context.Context, use func(past) error) (err error) {
	if d.bed.Store == "postgres" {
		conn, err := pgx.Connect(ctx, d.dsn)
		if err != nil {
			return fmt.Errorf("open the database: %w", err)
		}
		defer conn.Close(context.WithoutCancel(ctx))
		p := pastPostgres(conn)
		for _, setting := range []string{`synchronous_commit = off`, `work_mem = '128MB'`, `maintenance_work_mem = '512MB'`} {
			if err := p.run(ctx, `SET `+setting); err != nil {
				return err
			}
		}
		return use(p)
	}
	db, err := openSQLite(d.dsn, "&_pragma=synchronous(OFF)&_pragma=cache_size(-262144)&_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return use(pastSQLite(db))
}

func pastPostgres(conn *pgx.Conn) past {
	run := func(ctx context.Context, statement string) error {
		_, err := conn.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol)
		return err
	}
	pairs := func(ctx context.Context, query string) ([][2]string, error) {
		rows, err := conn.Query(ctx, query)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, func(row pgx.CollectableRow) (pair [2]string, err error) {
			err = row.Scan(&pair[0], &pair[1])
			return pair, err
		})
	}
	return past{run, pairs}
}

func pastSQLite(db *sql.DB) past {
	run := func(ctx context.Context, statement string) error {
		_, err := db.ExecContext(ctx, statement)
		return err
	}
	pairs := func(ctx context.Context, query string) (found [][2]string, err error) {
		rows, err := db.QueryContext(ctx, query)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		for rows.Next() {
			var pair [2]string
			if err := rows.Scan(&pair[0], &pair[1]); err != nil {
				return nil, err
			}
			found = append(found, pair)
		}
		return found, rows.Err()
	}
	return past{run, pairs}
}

// tables are those that a purchase has rows in.
var tables = []string{"purchase", "open_purchase", "attempt", "evidence", "posting", "notice", "care_case", "balance"}

// tidy does at once what the database would do for itself in time: it counts
// what its tables hold and clears what is dead in them.
func (d *database) tidy(ctx context.Context) error {
	if d.bed.Store != "postgres" {
		return nil
	}
	return d.bare(ctx, func(p past) error {
		for _, table := range tables {
			if err := p.run(ctx, `VACUUM (ANALYZE) `+table); err != nil {
				return fmt.Errorf("tidy %s: %w", table, err)
			}
		}
		return nil
	})
}

// Filled is a store that holds many purchases, made once and shared by the
// scenarios that measure what size costs. Nil until the first needs it.
type Filled struct {
	bed   *Bed
	db    *database
	epoch int64
	// The purchases with which it was filled have these numbers, one by one.
	first, stored int
	began         int64        // when the first was sold, in microseconds
	looks         uint64       // made so far
	curve         [][2]float64 // purchases stored, µs a purchase sold
	stocked       bool         // cases were filled in
}

// NewFilled returns one that is made when it is needed.
func NewFilled(b *Bed) *Filled { return &Filled{bed: b} }

// customers is how many numbers buy: at least one for every twenty purchases stored.
func (f *Filled) customers() int { return max(f.bed.Size.Customers, f.bed.Size.Stored/20) }

// mix is what is sold to them.
func (f *Filled) mix() mix {
	m := f.bed.ordinary()
	m.customers = f.customers()
	return m
}

// Close removes the store, if it was made.
func (f *Filled) Close() (err error) {
	if f.db != nil {
		f.db.remove(context.Background(), &err)
		f.db = nil
	}
	return err
}

// open makes the store, still empty.
func (f *Filled) open(ctx context.Context) (err error) {
	if f.db, err = f.bed.fresh(ctx); err != nil {
		return err
	}
	lease, err := f.db.Acquire(ctx, "filler")
	if err != nil {
		return err
	}
	f.epoch = lease.Epoch
	f.began = int64(f.bed.Clock.Now().Add(-span))
	// The past that is filled in ends before the first number that a node would use now.
	first, err := f.db.Reserve(ctx, 0, int64(f.bed.Size.Stored), 1)
	if err != nil {
		return err
	}
	f.first = int(first)
	return f.db.bare(ctx, func(p past) error { return p.run(ctx, fillAccounts) })
}

// span is the time over which the purchases that are filled in were sold.
const span = 30 * 24 * time.Hour

// grow fills in purchases until so many are stored. They are what the engine
// leaves of a purchase that was credited, with all its rows; one in twenty was paid
// by another than its recipient.
func (f *Filled) grow(ctx context.Context, stored int) error {
	err := f.db.bare(ctx, func(p past) error {
		restore, err := f.unindex(ctx, p)
		if err != nil {
			return fmt.Errorf("drop indexes: %w", err)
		}
		if err := f.chunks(ctx, stored); err != nil {
			return err
		}
		for _, statement := range restore {
			if err := p.run(ctx, statement); err != nil {
				return fmt.Errorf("index again: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	f.stored = stored
	if stored <= verifyMost {
		return f.db.verify(ctx) // it tidies first
	}
	if err := f.db.tidy(ctx); err != nil {
		return err
	}
	n := int64(stored)
	return f.db.holds(ctx, purchase.MakeID(0, int64(f.first)-1), purchase.MakeID(0, int64(f.first+stored)-1), tally{n, n, n})
}

// unindex drops the indexes that rows come to in no order, and returns the
// statements that make them again. On PostgreSQL their pages are then as full as
// those of an index that grew row by row.
func (f *Filled) unindex(ctx context.Context, p past) (restore []string, err error) {
	query := `SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL`
	if f.bed.Store == "postgres" {
		query = `SELECT c.relname::text, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
			WHERE c.relnamespace = current_schema()::regnamespace AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)`
	}
	indexes, err := p.pairs(ctx, query)
	if err != nil {
		return nil, err
	}
	for _, index := range indexes {
		if err := p.run(ctx, `DROP INDEX `+index[0]); err != nil {
			return nil, err
		}
		if f.bed.Store == "postgres" && !strings.Contains(index[1], " WHERE ") && !strings.Contains(index[1], " WITH ") {
			index[1] += ` WITH (fillfactor = 70)`
		}
		restore = append(restore, index[1])
	}
	return restore, nil
}

// chunks fills in purchases until so many are stored, by as many connections as
// the store has committers.
func (f *Filled) chunks(ctx context.Context, stored int) error {
	const chunk = 50_000
	workers := f.bed.Committers
	return each(workers, workers, func(worker int) error {
		return f.db.bare(ctx, func(p past) error {
			for from := f.stored + worker*chunk; from < stored; from += workers * chunk {
				if err := f.add(ctx, p, from, min(chunk, stored-from)); err != nil {
					return fmt.Errorf("fill in purchases after %d: %w", from, err)
				}
			}
			return nil
		})
	})
}

// add fills in n purchases after the first from, as one transaction.
func (f *Filled) add(ctx context.Context, p past, from, n int) error {
	if err := p.run(ctx, `BEGIN`); err != nil {
		return err
	}
	for _, text := range f.texts(fillTexts, from, n) {
		if err := p.run(ctx, text); err != nil {
			_ = p.run(ctx, `ROLLBACK`) // the reason to report is the first
			return err
		}
	}
	return p.run(ctx, `COMMIT`)
}

// texts are the statements that fill in n rows after the first from.
func (f *Filled) texts(of []string, from, n int) []string {
	step := max(int64(span/time.Microsecond)/int64(f.bed.Size.Stored), 1)
	values := []string{"{from}", strconv.Itoa(from), "{till}", strconv.Itoa(from + n - 1), "{n}", strconv.Itoa(n),
		"{first}", strconv.Itoa(f.first), "{customers}", strconv.Itoa(f.customers()), "{epoch}", strconv.FormatInt(f.epoch, 10),
		"{began}", strconv.FormatInt(f.began, 10), "{step}", strconv.FormatInt(step, 10),
		"{columns}", purchaseColumns, "{notice}", noticeText}
	for _, name := range []string{"wallet/wallet", "held", "delivered/ocs", "fees/api"} {
		values = append(values, "{"+name+"}", `(SELECT id FROM account WHERE name = '`+name+`' AND currency = 'XOF')`)
	}
	dialect := []string{"{series}", `SELECT i FROM generate_series({from}::bigint, {till}::bigint) AS i`,
		"{label}", `lpad(to_hex(i * 2654435761 % 4294967296), 8, '0') || '-' || to_hex(i)`, "{blob}", `'\x'`}
	if f.bed.Store == "sqlite" {
		dialect = []string{"{series}", `SELECT {from} AS i UNION ALL SELECT i + 1 FROM s WHERE i < {till}`,
			"{label}", `printf('%08x-%x', i * 2654435761 % 4294967296, i)`, "{blob}", `x''`}
	}
	texts := make([]string, len(of))
	for i, text := range of {
		text = strings.Replace(strings.Replace(text, "{rows}", fillRows, 1), "{cases}", caseRows, 1)
		texts[i] = strings.NewReplacer(values...).Replace(strings.NewReplacer(dialect...).Replace(text))
	}
	return texts
}

// fillRows are what differs from one purchase that is filled in to the next. Their
// client keys are spread like those of keyOf.
const fillRows = `WITH RECURSIVE s AS ({series}), r AS (SELECT {first} + i AS id, 22670000000 + i * 2654435761 % {customers} AS number,
	22670000000 + (CASE WHEN i % 20 = 0 THEN i * 40503 + 1 ELSE i * 2654435761 END) % {customers} AS payer,
	{began} + i * {step} AS at, {label} AS label FROM s)`

// fillAccounts are the accounts that the purchases are booked to.
const fillAccounts = `INSERT INTO account (name, currency) VALUES ('wallet/wallet', 'XOF'), ('held', 'XOF'),
	('delivered/ocs', 'XOF'), ('fees/api', 'XOF')`

// fillTexts fill in purchases {from} to {till}, counted from 0.
var fillTexts = []string{
	`{rows} INSERT INTO purchase {columns} SELECT id, 3, {epoch}, payer, number, 1050, 50, 1000, at, at + 5000, at + 10000,
		at + 60000000, at + 86400000000, 0, 0, 0, 1050, 0, 1, CASE WHEN payer = number THEN 2 ELSE 6 END, 3, 0, 0, 0, 0, 0, 0, 0, 0,
		'bench', label, 'api', 'fr', 'wallet', 'ocs', 'airtime', 'XOF', 'XOF', {blob} FROM r`,
	`{rows} INSERT INTO attempt (purchase, version, at, leg, try, partner)
		SELECT id, 1, at, 1, 1, 'wallet' FROM r UNION ALL SELECT id, 2, at + 5000, 2, 1, 'ocs' FROM r ORDER BY 1, 4`,
	`{rows} INSERT INTO evidence (purchase, version, at, amount, account, leg, source, kind, partner, ref, currency, product, reason, detail)
		SELECT id, 2, at + 5000, 1050, payer, 1, 1, 1, 'wallet', 'wallet' || label, 'XOF', '', '', '' FROM r UNION ALL
		SELECT id, 3, at + 10000, 1000, number, 2, 1, 1, 'ocs', 'ocs' || label, 'XOF', '', '', '' FROM r ORDER BY 1, 2`,
	`{rows} INSERT INTO posting (purchase, version, debit, credit, amount, at, leg, effect)
		SELECT id, 2, {wallet/wallet}, {held}, 1050, at + 5000, 1, 1 FROM r UNION ALL
		SELECT id, 3, {held}, {delivered/ocs}, 1000, at + 10000, 2, 1 FROM r UNION ALL
		SELECT id, 3, {held}, {fees/api}, 50, at + 10000, 2, 2 FROM r ORDER BY 1, 7, 8`,
	`{rows} INSERT INTO notice (purchase, version, to_number, at, sent_at, fact, language, text)
		SELECT id, 3, payer, at + 10000, at + 20000, 1, 'fr', '{notice}' FROM r UNION ALL
		SELECT id, 3, number, at + 10000, at + 20000, 2, 'fr', '{notice}' FROM r WHERE payer <> number ORDER BY 1, 6`,
	`INSERT INTO balance (account, stripe, amount) SELECT account, 0, amount * {n} FROM (SELECT {wallet/wallet} AS account, 1050 AS amount
		UNION ALL SELECT {delivered/ocs}, -1000 UNION ALL SELECT {fees/api}, -50) b WHERE account > 0
		ON CONFLICT (account, stripe) DO UPDATE SET amount = balance.amount + excluded.amount`,
}
