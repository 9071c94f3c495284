package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"tenu/internal/evidence"
	"tenu/internal/ledger"
	"tenu/internal/purchase"
)

// committer writes batches to PostgreSQL over a connection of its own, each as
// one pipeline of prepared statements over arrays, and then COMMIT. It is
// optimistic: the statements are counted, and when all changes matched, the
// answer to the pipeline is all that is read. Otherwise it undoes everything,
// finds out which changes do not fit, and does the rest again.
type committer struct {
	config   *pgx.ConnConfig
	stripe   int64
	conn     *pgx.Conn // nil until it is needed, and after a failure
	texts    [statementCount]statement
	prepared [statementCount]*pgconn.StatementDescription
	arrays   [statementCount]*arrays
	accounts map[ledger.Key]int64
	sums     sums
	batch    batch
	sent     []int // statements of the pipeline, in order
	unlogged bool
	leaves   []byte
	packed   []byte
}

func newCommitter(config *pgx.ConnConfig, number int64) *committer {
	c := &committer{config: config, stripe: number, texts: commitStatements(), accounts: map[ledger.Key]int64{}, sums: sums{}}
	for i := range c.texts {
		c.arrays[i] = newArrays(&c.texts[i])
	}
	return c
}

// connect makes sure of a connection.
func (c *committer) connect(ctx context.Context) error {
	if c.conn != nil && !c.conn.IsClosed() {
		return nil
	}
	conn, err := pgx.ConnectConfig(ctx, c.config)
	if err != nil {
		return unavailable(err)
	}
	if err := c.prepare(ctx, conn); err != nil {
		conn.Close(ctx)
		return unavailable(err)
	}
	c.conn = conn
	return nil
}

func (c *committer) prepare(ctx context.Context, conn *pgx.Conn) error {
	if err := settle(ctx, conn); err != nil {
		return err
	}
	// A batch reads few rows by index, however large or new the tables are. A
	// database without these settings plans in its own way.
	for _, setting := range []string{"enable_seqscan", "enable_hashjoin", "enable_mergejoin"} {
		_, err := conn.Exec(ctx, "SET "+setting+" = off")
		var unknown *pgconn.PgError
		if err != nil && !errors.As(err, &unknown) {
			return err
		}
	}
	for i, s := range c.texts {
		d, err := conn.PgConn().Prepare(ctx, "commit"+strconv.Itoa(i), s.text, nil)
		if err != nil {
			return err
		}
		c.prepared[i] = d
	}
	return nil
}

// disconnect ends a connection that is no longer trusted. Its transaction ends with it.
func (c *committer) disconnect(ctx context.Context) {
	if c.conn != nil {
		c.conn.Close(ctx)
		c.conn = nil
	}
}

// commit is one try of Store.Commit.
func (c *committer) commit(ctx context.Context, epoch int64, changes []purchase.Change) ([]purchase.Verdict, error) {
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	verdicts, err := c.rounds(ctx, epoch, changes)
	c.batch.changes = nil // they are the caller's
	if err == nil {
		return verdicts, nil
	}
	if c.conn != nil && (c.conn.IsClosed() || c.conn.PgConn().TxStatus() != 'I') {
		c.disconnect(ctx)
	}
	return nil, err
}

// rounds tries the changes that are not set aside until all of them fit. Each
// round but the last sets some aside, or was overtaken by another writer.
func (c *committer) rounds(ctx context.Context, epoch int64, changes []purchase.Change) ([]purchase.Verdict, error) {
	if err := c.nameAccounts(ctx, changes); err != nil {
		return nil, judgePostgres(err, false)
	}
	b := &c.batch
	b.begin(changes)
	for overtaken := 0; ; {
		b.choose()
		if len(b.chosen) == 0 {
			return b.verdicts, nil
		}
		fits, err := c.write(ctx, epoch)
		if err != nil {
			return nil, c.undo(ctx, err)
		}
		if fits {
			return c.finish(ctx)
		}
		if err := c.rollback(ctx); err != nil {
			return nil, judgePostgres(err, false)
		}
		found, err := c.diagnose(ctx)
		if err != nil {
			return nil, judgePostgres(err, false)
		}
		if overtaken++; found > 0 {
			overtaken = 0
		} else if overtaken == mostTries {
			return nil, unavailable(errors.New("other writers change the same purchases all the time"))
		}
	}
}

// finish commits, and then the verdicts hold.
func (c *committer) finish(ctx context.Context) ([]purchase.Verdict, error) {
	if err := c.settleBlocked(ctx); err != nil {
		return nil, c.undo(ctx, judgePostgres(err, false))
	}
	if err := ctx.Err(); err != nil {
		return nil, c.undo(ctx, unavailable(err))
	}
	tag, err := c.conn.PgConn().Exec(ctx, "commit").ReadAll()
	if err != nil {
		return nil, judgePostgres(err, true)
	}
	if len(tag) != 1 || tag[0].CommandTag.String() != "COMMIT" {
		return nil, unavailable(errors.New("the database undid the transaction instead of committing it"))
	}
	c.batch.written()
	return c.batch.verdicts, nil
}

// undo ends the transaction and returns why.
func (c *committer) undo(ctx context.Context, why error) error {
	if err := c.rollback(ctx); err != nil {
		c.disconnect(ctx)
	}
	return why
}

func (c *committer) rollback(ctx context.Context) error {
	if c.conn.IsClosed() || c.conn.PgConn().TxStatus() == 'I' {
		return nil
	}
	_, err := c.conn.Exec(ctx, "rollback")
	return err
}

// write sends the chosen changes as one pipeline, and reports whether all of
// them were written. It leaves the transaction open.
func (c *committer) write(ctx context.Context, epoch int64) (fits bool, err error) {
	if err := c.fill(epoch); err != nil {
		return false, err
	}
	p := c.conn.PgConn().StartPipeline(ctx)
	p.SendQueryParams("begin isolation level read committed", nil, nil, nil, nil)
	p.SendQueryStatement(c.prepared[checkLease], c.arrays[checkLease].parameters(), binaryFormat, binaryFormat)
	c.sent = append(c.sent[:0], -1, checkLease)
	for i := findRepeats; i < statementCount; i++ {
		if a := c.arrays[i]; a.rows > 0 {
			p.SendQueryStatement(c.prepared[i], a.parameters(), binaryFormat, binaryFormat)
			c.sent = append(c.sent, i)
		}
	}
	err = p.Sync()
	fits, leased := true, true
	for _, i := range c.sent {
		var rows int64
		if err == nil {
			rows, err = result(p)
		}
		if err != nil {
			fits = fits && (i != insertUsual && i != insertPurchases || !duplicate(err))
			break
		}
		switch i {
		case checkLease:
			leased = rows == 1
		case findRepeats:
			fits = fits && rows == 0
		case updateUsual, updatePurchases:
			fits = fits && rows == int64(c.arrays[i].rows)
		}
	}
	if closing := p.Close(); err == nil {
		err = closing
	}
	if err != nil {
		err = judgePostgres(err, false)
	}
	switch {
	case !leased:
		return false, purchase.ErrFenced
	case !fits && errors.Is(err, errRejected):
		return false, nil // rows of changes that do not fit broke a constraint, as they would
	}
	return fits, err
}

// duplicate reports whether a row was refused because its key is taken.
func duplicate(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.Code == "23505" // unique violation
}

var binaryFormat = []int16{1}

// result reads one statement's answer and returns how many rows it is about.
func result(p *pgconn.Pipeline) (int64, error) {
	answer, err := p.GetResults()
	if err != nil {
		return 0, err
	}
	reader, ok := answer.(*pgconn.ResultReader)
	if !ok {
		return 0, fmt.Errorf("the database answers out of turn with %T", answer)
	}
	tag, err := reader.Close()
	return tag.RowsAffected(), err
}

// fill makes the arrays of the chosen changes.
func (c *committer) fill(epoch int64) error {
	for _, a := range c.arrays {
		a.reset(epoch)
	}
	clear(c.sums)
	c.leaves = c.leaves[:0]
	b := &c.batch
	for _, i := range b.chosen {
		change := &b.changes[i]
		p := &change.Now
		if fresh(change) {
			if putPurchase(c.arrays[insertUsual], p); !c.arrays[insertUsual].usualRow() {
				putPurchase(c.arrays[insertPurchases], p)
			}
			if change.RepeatSince != 0 {
				putRepeat(c.arrays[findRepeats], change)
			}
		} else {
			if putUpdate(c.arrays[updateUsual], change); !c.arrays[updateUsual].usualRow() {
				putUpdate(c.arrays[updatePurchases], change)
			}
		}
		c.fillOpen(change)
		if change.Attempt != nil {
			putAttempt(c.arrays[insertAttempts], p, change.Attempt)
		}
		if change.Evidence != nil {
			putEvidence(c.arrays[insertEvidence], p, change.Evidence)
		}
		for j := range change.Postings {
			x := &change.Postings[j]
			debitKey, creditKey := accountKeys(x)
			debit, credit := c.accounts[debitKey], c.accounts[creditKey]
			putPosting(c.arrays[insertPostings], p, x, debit, credit)
			if err := c.sums.post(debit, credit, x.Amount.Minor); err != nil {
				return err
			}
		}
		for j := range change.Notices {
			putNotice(c.arrays[insertNotices], p, &change.Notices[j])
		}
		for j := range change.Cases {
			putCase(c.arrays[insertCases], p, &change.Cases[j])
		}
		if !c.unlogged {
			c.leaves = evidence.AppendPurchase(c.leaves, change)
		}
	}
	c.fillBalances(epoch)
	if len(c.leaves) > 0 {
		stored, raw := packLeaves(&c.packed, c.leaves)
		c.arrays[insertLeaves].number(epoch)
		c.arrays[insertLeaves].bytes(stored)
		c.arrays[insertLeaves].number(raw)
	}
	return nil
}

// fillOpen keeps open_purchase in step with the purchases. One that was never
// closed is there already.
func (c *committer) fillOpen(change *purchase.Change) {
	p := &change.Now
	put := func(i int, epoch int64) {
		c.arrays[i].number(epoch)
		c.arrays[i].number(int64(p.ID))
	}
	created, moved := fresh(change), change.WasEpoch != p.Epoch
	if !created && (moved || !p.Open()) {
		put(deleteOpen, change.WasEpoch)
	}
	switch {
	case !p.Open():
	case created:
		if put(insertOpen, p.Epoch); !c.arrays[insertOpen].usualRow() {
			put(keepOpen, p.Epoch)
		}
	case moved || p.ClosedAt != 0:
		put(keepOpen, p.Epoch)
	}
}

// stripes bounds how many parts a balance has, and committersPerStripe the
// committers of one node that do not share one.
const stripes, committersPerStripe = 64, 16

// fillBalances adds to a part of each balance that, as a rule, no other
// committer of any node writes now.
func (c *committer) fillBalances(epoch int64) {
	stripe := epoch%stripes*committersPerStripe + c.stripe%committersPerStripe
	for _, account := range slices.Sorted(maps.Keys(c.sums)) {
		a := c.arrays[addBalances]
		a.number(account)
		a.number(stripe)
		a.number(c.sums[account])
	}
}

// nameAccounts makes sure that the numbers of all accounts posted to are known.
func (c *committer) nameAccounts(ctx context.Context, changes []purchase.Change) error {
	for i := range changes {
		for j := range changes[i].Postings {
			debit, credit := accountKeys(&changes[i].Postings[j])
			for _, key := range [...]ledger.Key{debit, credit} {
				if c.accounts[key] != 0 {
					continue
				}
				id, err := c.nameAccount(ctx, key)
				if err != nil {
					return err
				}
				c.accounts[key] = id
			}
		}
	}
	return nil
}

func (c *committer) nameAccount(ctx context.Context, key ledger.Key) (id int64, err error) {
	name, currency := clean(string(key.Account)), string(key.Currency)
	for range 2 {
		err = c.conn.QueryRow(ctx, `SELECT id FROM account WHERE name = $1 AND currency = $2`, name, currency).Scan(&id)
		if !errors.Is(err, pgx.ErrNoRows) {
			return id, err
		}
		if _, err = c.conn.Exec(ctx, `INSERT INTO account (name, currency) VALUES ($1, $2) ON CONFLICT DO NOTHING`, name, currency); err != nil {
			return 0, err
		}
	}
	return id, err
}

// byID orders chosen changes so that two committers lock rows in one order.
func byID(changes []purchase.Change) func(i, j int) int {
	return func(i, j int) int { return cmp.Compare(changes[i].Now.ID, changes[j].Now.ID) }
}
