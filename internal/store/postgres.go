package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"tenu/internal/purchase"
)

// postgres is a PostgreSQL database, or one that speaks its protocol.
type postgres struct {
	pool *sql.DB
	idle chan *committer // those not at work
	all  []*committer
}

// commitTimeout ends a commit that the database does not answer.
const commitTimeout = 30 * time.Second

func openPostgres(dsn string, options Options) (*postgres, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	p := &postgres{idle: make(chan *committer, options.Committers)}
	p.pool = stdlib.OpenDB(*config, stdlib.OptionAfterConnect(settle))
	p.pool.SetMaxOpenConns(options.Readers + 1)
	p.pool.SetMaxIdleConns(options.Readers + 1)
	for i := range options.Committers {
		c := newCommitter(config, int64(i))
		c.unlogged = options.Unlogged
		p.all = append(p.all, c)
		p.idle <- c
	}
	return p, nil
}

// silence is how long a transaction may wait for its client or for a lock. A
// node that is suspended in the middle of one, or cut off, would otherwise keep
// its locks, and with them its lease, from the node that takes over.
const silence = "5s"

// settle gives a connection its settings: COMMIT waits for the disk where the
// server's configuration would not, and silence ends a transaction. A database
// without a setting always waits, or ends transactions in its own way.
func settle(ctx context.Context, conn *pgx.Conn) error {
	for _, statement := range []string{
		`SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`,
		`SET idle_in_transaction_session_timeout = '` + silence + `'`,
		`SET lock_timeout = '` + silence + `'`,
		`SET tcp_keepalives_idle = 5`, `SET tcp_keepalives_interval = 2`, `SET tcp_keepalives_count = 3`,
	} {
		_, err := conn.Exec(ctx, statement)
		var unknown *pgconn.PgError
		if err != nil && !errors.As(err, &unknown) {
			return err
		}
	}
	return nil
}

func (p *postgres) dialect() *dialect { return &postgresDialect }

func (p *postgres) lend(use func(goose.Dialect, *sql.DB) error) error {
	return use(goose.DialectPostgres, p.pool)
}

func (p *postgres) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for range p.all {
		(<-p.idle).disconnect(ctx)
	}
	return p.pool.Close()
}

func (p *postgres) view(ctx context.Context, read func(context.Context, *sql.Tx) error) error {
	return snapshot(ctx, p.pool, judgePostgres, read)
}

// narrow goes past database/sql, which takes longer to scan a row than the server to find it.
func (p *postgres) narrow(ctx context.Context, read func(narrowly) error) error {
	err := p.raw(ctx, func(c *pgx.Conn) error {
		return pgx.BeginTxFunc(ctx, c, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			return read(narrowPgx(ctx, tx))
		})
	})
	if err != nil {
		return judged(err, judgePostgres)
	}
	return nil
}

// raw lends a connection without database/sql.
func (p *postgres) raw(ctx context.Context, use func(*pgx.Conn) error) error {
	conn, err := p.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() // it goes back to the pool
	return conn.Raw(func(driver any) error {
		c, is := driver.(*stdlib.Conn)
		if !is {
			return fmt.Errorf("a connection is a %T", driver)
		}
		return use(c.Conn())
	})
}

// add is one COPY, which is a transaction of its own.
func (p *postgres) add(ctx context.Context, table string, columns []string, rows int, row func(i int) []any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	err := p.raw(ctx, func(c *pgx.Conn) error {
		_, err := c.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromSlice(rows, func(i int) ([]any, error) { return row(i), nil }))
		return err
	})
	if err != nil {
		return judgePostgres(err, true)
	}
	return nil
}

// wire is a narrow row as it came, in PostgreSQL's binary form.
type wire struct {
	values  [][]byte
	numbers int
}

func (w *wire) number(i int) int64 {
	switch b := w.values[i]; len(b) {
	case 8:
		return int64(binary.BigEndian.Uint64(b)) //nolint:gosec // it was written alike
	case 4:
		return int64(int32(binary.BigEndian.Uint32(b))) //nolint:gosec // it was written alike
	case 2:
		return int64(int16(binary.BigEndian.Uint16(b))) //nolint:gosec // it was written alike
	}
	return 0
}

func (w *wire) text(i int) []byte { return w.values[w.numbers+i] }

func narrowPgx(ctx context.Context, tx pgx.Tx) narrowly {
	return func(query string, numbers, _ int, arguments []any, read func(narrow) error) error {
		rows, err := tx.Query(ctx, query, arguments...)
		if err != nil {
			return err
		}
		defer rows.Close()
		row := &wire{numbers: numbers}
		for rows.Next() {
			row.values = rows.RawValues()
			if err := read(row); err != nil {
				return err
			}
		}
		return rows.Err()
	}
}

// views lends the snapshot of its first transaction to the others. They may rest for longer than
// silence: they lock nothing that anybody waits for.
func (p *postgres) views(ctx context.Context, most int, read func(context.Context, []*sql.Tx) error) error {
	var txs []*sql.Tx
	defer func() {
		for _, tx := range txs {
			_ = tx.Rollback() // nothing was written
		}
	}()
	var shared string
	for range most {
		tx, err := beginRead(ctx, p.pool)
		if err != nil {
			return judgePostgres(err, false)
		}
		txs = append(txs, tx)
		if shared == "" {
			err = tx.QueryRowContext(ctx, `SELECT pg_export_snapshot()`).Scan(&shared)
			if unknown := new(pgconn.PgError); errors.As(err, &unknown) { // a database that cannot lend its snapshot
				_ = tx.Rollback() // nothing was written
				return p.view(ctx, func(ctx context.Context, tx *sql.Tx) error { return read(ctx, []*sql.Tx{tx}) })
			}
		} else {
			_, err = tx.ExecContext(ctx, `SET TRANSACTION SNAPSHOT '`+shared+`'`)
		}
		if err == nil {
			_, err = tx.ExecContext(ctx, `SET LOCAL idle_in_transaction_session_timeout = 0`)
		}
		if err != nil {
			return judgePostgres(err, false)
		}
	}
	return judged(read(ctx, txs), judgePostgres)
}

func (p *postgres) update(ctx context.Context, write func(context.Context, *sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	begin := func(ctx context.Context) (*sql.Tx, error) {
		return p.pool.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	}
	return transact(ctx, begin, judgePostgres, write)
}

// judgePostgres goes by the class of the error's code. Without a code the
// connection was lost: before COMMIT was sent, that undid the transaction.
func judgePostgres(err error, commit bool) error {
	var answer *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrTxCommitRollback):
		return unavailable(err)
	case !errors.As(err, &answer):
		if commit {
			return uncertain(err)
		}
		return fmt.Errorf("%w: %w", errAgain, unavailable(err))
	}
	if answer.Code == "40003" && commit { // statement completion unknown
		return uncertain(err)
	}
	switch answer.Code[:min(2, len(answer.Code))] {
	case "40": // serialization failure, deadlock: undone, COMMIT included
		return fmt.Errorf("%w: %w", errAgain, unavailable(err))
	case "22", "23": // a value or a constraint
		return fmt.Errorf("%w: %w", errRejected, err)
	}
	if answer.Code == "XX001" || answer.Code == "XX002" { // data or index corrupted
		err = damaged(err)
	}
	if commit {
		return uncertain(err)
	}
	return unavailable(err)
}

func (p *postgres) commit(ctx context.Context, epoch int64, changes []purchase.Change) ([]purchase.Verdict, error) {
	var c *committer
	select {
	case c = <-p.idle:
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
	defer func() { p.idle <- c }()
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	for try := 1; ; try++ {
		verdicts, err := c.commit(ctx, epoch, changes)
		if !errors.Is(err, errAgain) || try == mostTries || ctx.Err() != nil {
			return verdicts, err
		}
	}
}

// The statements of a commit. Each but the first takes one array per column. The
// usual ones are for rows as almost all are.
const (
	checkLease = iota
	findRepeats
	insertUsual
	insertPurchases
	updateUsual
	updatePurchases
	deleteOpen
	insertOpen
	keepOpen
	insertAttempts
	insertEvidence
	insertPostings
	addBalances
	insertNotices
	insertCases
	insertLeaves
	statementCount
)

// statement is the text of a statement, the columns of its arrays, and what
// some of them always hold instead, as SQL.
type statement struct {
	text    string
	columns [][]column
	usual   map[string]string
}

// batchEpoch is the lease that a batch is written under, as SQL.
const batchEpoch = "$1"

// The columns that are the same in almost all rows: in any, of new purchases,
// and of those that go on as they should.
var (
	ofBatch       = map[string]string{"epoch": batchEpoch}
	usualProgress = map[string]string{"epoch": batchEpoch, "was_epoch": batchEpoch, "refund_by": "0", "watch_till": "0",
		"orphan": "0", "exposed": "0", "unproven": "0", "doubt": "0", "closed": "0"}
	usualPurchase = map[string]string{"version": "1", "epoch": batchEpoch, "charged_at": "0", "closed_at": "0",
		"deliver_by": "0", "resolve_by": "0", "refund_by": "0", "watch_till": "0", "charged": "0", "held": "0", "told": "0",
		"state": "1", "orphan": "0", "exposed": "0", "unproven": "0", "doubt": "0", "closed": "0", "acknowledged": "0",
		"charged_currency": ""}
)

func commitStatements() (s [statementCount]statement) {
	insert := func(table string, usual map[string]string, columns []column, more string) statement {
		return statement{`INSERT INTO ` + table + ` (` + names(columns, "") + `) ` + rowsOf(usual, columns) + more, [][]column{columns}, usual}
	}
	over := func(before, after string, usual map[string]string, columns ...[]column) statement {
		return statement{before + ` (` + rowsOf(usual, columns...) + `) v ` + after, columns, usual}
	}
	var sets []string
	for _, c := range progressColumns {
		sets = append(sets, c.name+` = v.`+c.name)
	}
	update := func(usual map[string]string) statement {
		return over(`UPDATE purchase p SET `+strings.Join(sets, ", ")+` FROM`,
			`WHERE p.id = v.id AND p.version = v.was_version AND p.epoch = v.was_epoch`, usual, progressColumns, matchColumns)
	}
	s[checkLease] = statement{`SELECT 1 FROM lease WHERE epoch = ` + batchEpoch + ` AND fenced = 0` + postgresDialect.share, nil, ofBatch}
	s[findRepeats] = over(`SELECT v.id, p.id FROM`, `JOIN purchase p ON p.recipient = v.recipient AND p.created_at >= v.since
		AND p.payer_number = v.payer_number AND p.total = v.total AND p.product = v.product AND p.state <> 6`, nil, repeatColumns)
	// Without ON CONFLICT, which would look each key up twice: a key that is taken
	// is rare, and fails the whole pipeline.
	s[insertUsual] = insert("purchase", usualPurchase, purchaseColumns, "")
	s[insertPurchases] = insert("purchase", nil, purchaseColumns, "")
	s[updateUsual] = update(usualProgress)
	s[updatePurchases] = update(nil)
	s[deleteOpen] = over(`DELETE FROM open_purchase o USING`, `WHERE o.epoch = v.epoch AND o.purchase = v.purchase`, nil, openColumns)
	s[insertOpen] = insert("open_purchase", ofBatch, openColumns, "")
	s[keepOpen] = insert("open_purchase", nil, openColumns, ` ON CONFLICT DO NOTHING`)
	s[insertAttempts] = insert("attempt", nil, attemptColumns, "")
	s[insertEvidence] = insert("evidence", nil, evidenceColumns, "")
	s[insertPostings] = insert("posting", nil, postingColumns, "")
	s[addBalances] = insert("balance", nil, balanceColumns,
		` ON CONFLICT (account, stripe) DO UPDATE SET amount = balance.amount + excluded.amount`)
	s[insertNotices] = insert("notice", nil, noticeColumns, "")
	s[insertCases] = insert("care_case", nil, caseColumns, "")
	s[insertLeaves] = statement{`WITH b AS (` + insert("log_batch", ofBatch, logColumns, "").text + ` RETURNING id) INSERT INTO log_queue (batch) SELECT id FROM b`,
		[][]column{logColumns}, ofBatch}
	return s
}

// takesEpoch reports whether a statement's first parameter is the lease.
func takesEpoch(usual map[string]string) bool {
	return slices.Contains(slices.Collect(maps.Values(usual)), batchEpoch)
}

// rowsOf selects the rows of one array parameter per column; usual columns are
// constants. Measured for 39 columns, a row costs a fifth
// less than from a function of all arrays in FROM, whose rows PostgreSQL stores
// before it reads them, and an element that is not sent saves 0.2 µs.
func rowsOf(usual map[string]string, columns ...[]column) string {
	var list []string
	parameter := 0
	if takesEpoch(usual) {
		parameter = 1
	}
	for _, part := range columns {
		for _, c := range part {
			source, constant := usual[c.name]
			switch {
			case !constant:
				parameter++
				source = fmt.Sprintf("unnest($%d::%s[])", parameter, widthNames[c.width])
			case c.width == text:
				source = "'" + source + "'"
			default:
				source += "::" + widthNames[c.width]
			}
			list = append(list, source+" AS "+c.name)
		}
	}
	return "SELECT " + strings.Join(list, ", ")
}
