package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"tenu/internal/care"
	"tenu/internal/evidence"
	"tenu/internal/evidence/audit"
	"tenu/internal/incident"
	"tenu/internal/ledger"
	"tenu/internal/person"
	"tenu/internal/purchase"
)

// Audited is audit.Database: what look reads is as it was when it began, however long it takes
// and whatever is written meanwhile.
func (s *Store) Audited(ctx context.Context, look func(context.Context, audit.Snapshot) error) error {
	err := s.whole(func() error {
		return s.db.views(ctx, auditors, func(ctx context.Context, txs []*sql.Tx) error {
			if err := look(ctx, &snapshotLog{tx: txs[0], all: txs, ahead: bundlesAhead}); err != nil {
				return own(err)
			}
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("audit the database: %w", err)
	}
	return nil
}

// auditors is how many tables an audit reads at once, and bundlesAhead how many bundles and tiles
// with each statement.
const auditors, bundlesAhead = 4, 16

// snapshotLog is audit.Snapshot.
type snapshotLog struct {
	tx    *sql.Tx
	all   []*sql.Tx // tx and others of the same moment
	ahead int64     // bundles that are read with the one asked for, for they are mostly read in order
	spans []evidence.Span
	tiles map[int64][]byte // of level 0, that were read ahead
}

// together runs jobs, in transactions of the same moment.
func (l *snapshotLog) together(ctx context.Context, jobs []func(context.Context, *sql.Tx) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	var working sync.WaitGroup
	for _, tx := range l.all {
		working.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(jobs) {
					return
				}
				if err := jobs[i](ctx, tx); err != nil {
					stop(err)
				}
			}
		})
	}
	working.Wait()
	return context.Cause(ctx)
}

// LogState is audit.Snapshot.
func (l *snapshotLog) LogState(ctx context.Context) (state evidence.State, err error) {
	err = scanLogState(l.tx.QueryRowContext(ctx, `SELECT `+logStateColumns+` FROM log_state`), &state)
	return state, err
}

// Checkpoint is evidence.Source.
func (l *snapshotLog) Checkpoint(ctx context.Context) ([]byte, error) {
	state, err := l.LogState(ctx)
	if err == nil && state.Checkpoint == nil {
		err = fmt.Errorf("%w: nothing was signed yet", evidence.ErrMissing)
	}
	return state.Checkpoint, err
}

// Tile is evidence.Source.
func (l *snapshotLog) Tile(ctx context.Context, level int, n int64, _ int) (data []byte, err error) {
	if level == evidence.Entries {
		return l.bundle(ctx, n)
	}
	if level == 0 && l.ahead > 1 {
		return l.tileAhead(ctx, n)
	}
	err = l.tx.QueryRowContext(ctx, `SELECT data FROM log_tile WHERE level = $1 AND n = $2`, level, n).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%w: %s", evidence.ErrMissing, evidence.TilePath(level, n, evidence.TileWidth))
	}
	return data, err
}

// tileAhead reads a tile of the leaves' hashes, and those behind it.
func (l *snapshotLog) tileAhead(ctx context.Context, n int64) ([]byte, error) {
	data, read := l.tiles[n]
	if !read {
		l.tiles = map[int64][]byte{n: nil}
		err := each(ctx, l.tx, func(rows *sql.Rows) error {
			var at int64
			var tile []byte
			err := rows.Scan(&at, &tile)
			l.tiles[at] = tile
			return err
		}, `SELECT n, data FROM log_tile WHERE level = 0 AND n >= $1 AND n < $2`, n, n+l.ahead)
		if err != nil {
			l.tiles = nil
			return nil, err
		}
		data = l.tiles[n]
	}
	if data == nil {
		return nil, fmt.Errorf("%w: %s", evidence.ErrMissing, evidence.TilePath(0, n, evidence.TileWidth))
	}
	return data, nil
}

// bundle puts a bundle together from the batches that its leaves are in.
func (l *snapshotLog) bundle(ctx context.Context, n int64) (data []byte, err error) {
	first := n * evidence.TileWidth
	end := first + evidence.TileWidth
	from := int64(-1)
	if k := len(l.spans); k > 0 && l.spans[0].First <= first && first <= l.spans[k-1].End() {
		l.spans = slices.DeleteFunc(l.spans, func(x evidence.Span) bool { return x.End() <= first })
		from = first
		if k = len(l.spans); k > 0 {
			from = l.spans[k-1].End()
		}
	}
	if from < 0 {
		l.spans = l.spans[:0]
		if err := l.tx.QueryRowContext(ctx, `SELECT coalesce(max(first), 0) FROM log_place WHERE first <= $1`, first).Scan(&from); err != nil {
			return nil, err
		}
	}
	if from < end {
		err := each(ctx, l.tx, func(rows *sql.Rows) error {
			var x evidence.Span
			err := scanSpan(rows, &x)
			l.spans = append(l.spans, x)
			return err
		}, spanQuery+` WHERE p.first >= $1 AND p.first < $2 ORDER BY p.first`, from, first+max(l.ahead, 1)*evidence.TileWidth)
		if err != nil {
			return nil, err
		}
	}
	at := first
	for i := range l.spans {
		if x := &l.spans[i]; x.First <= at && at < min(x.End(), end) {
			part, err := x.Cut(at, min(x.End(), end))
			if err != nil {
				break // damaged: what is left is too short, and found so
			}
			data, at = append(data, part...), min(x.End(), end)
		}
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("%w: %s", evidence.ErrMissing, evidence.TilePath(evidence.Entries, n, evidence.TileWidth))
	}
	return data, nil
}

// Waiting is audit.Snapshot.
func (l *snapshotLog) Waiting(ctx context.Context, tell func([]byte) error) error {
	return each(ctx, l.tx, func(rows *sql.Rows) error {
		leaves, err := scanLeaves(rows, new(int64))
		if err != nil {
			return err
		}
		return tell(leaves)
	}, `SELECT b.id, b.leaves, b.raw FROM log_queue q JOIN log_batch b ON b.id = q.batch ORDER BY q.batch`)
}

// Rows is audit.Snapshot.
func (l *snapshotLog) Rows(ctx context.Context, tell func(*audit.Row) error) error {
	accounts := map[int64]ledger.Key{}
	err := each(ctx, l.tx, func(rows *sql.Rows) error {
		var id int64
		var key ledger.Key
		err := rows.Scan(&id, &key.Account, &key.Currency)
		accounts[id] = key
		return err
	}, `SELECT id, name, currency FROM account`)
	if err != nil {
		return err
	}
	var jobs []func(context.Context, *sql.Tx) error
	for _, t := range auditedTables(accounts) {
		jobs = append(jobs, func(ctx context.Context, tx *sql.Tx) error {
			row := audit.Row{Kind: t.kind}
			return each(ctx, tx, func(rows *sql.Rows) error {
				row = audit.Row{Kind: t.kind, Item: row.Item[:0]}
				return t.read(rows, &row, tell)
			}, t.query)
		})
	}
	return l.together(ctx, jobs)
}

// auditedTable reads the rows of one table as lines of leaves.
type auditedTable struct {
	kind  evidence.Kind
	query string
	read  func(rows *sql.Rows, row *audit.Row, tell func(*audit.Row) error) error
}

func auditedTables(accounts map[int64]ledger.Key) []auditedTable {
	return []auditedTable{
		{evidence.Purchase, `SELECT id, version, payer_number, recipient, total, fee, units, created_at, charged_at, closed_at, deliver_by, resolve_by,
			refund_by, due_at, charged, held, offer, state, orphan, exposed, unproven, channel, payer, provider, product, currency, charged_currency, salt
			FROM purchase`, auditPurchase},
		{evidence.Purchase, `SELECT purchase, version, at, leg, try, partner FROM attempt`, func(rows *sql.Rows, r *audit.Row, tell func(*audit.Row) error) error {
			var a purchase.Attempt
			if err := rows.Scan(&r.ID, &r.Version, &r.At, &a.Leg, &a.Try, &a.Partner); err != nil {
				return err
			}
			r.Item = evidence.AppendAttempt(r.Item, &a)
			return tell(r)
		}},
		{evidence.Purchase, `SELECT purchase, version, at, amount, leg, source, kind, partner, currency, reason FROM evidence`, func(rows *sql.Rows, r *audit.Row, tell func(*audit.Row) error) error {
			var e purchase.Evidence
			if err := rows.Scan(&r.ID, &r.Version, &r.At, &e.Amount.Minor, &e.Leg, &e.Source, &e.Kind, &e.Partner, &e.Amount.Currency, &e.Reason); err != nil {
				return err
			}
			r.Item = evidence.AppendEvidence(r.Item, &e)
			return tell(r)
		}},
		{evidence.Purchase, `SELECT purchase, version, at, debit, credit, amount, leg, effect FROM posting`, func(rows *sql.Rows, r *audit.Row, tell func(*audit.Row) error) error {
			var x purchase.Posting
			var debit, credit int64
			if err := rows.Scan(&r.ID, &r.Version, &r.At, &debit, &credit, &x.Amount.Minor, &x.Leg, &x.Effect); err != nil {
				return err
			}
			x.Debit, x.Credit, x.Amount.Currency = accounts[debit].Account, accounts[credit].Account, accounts[debit].Currency
			r.Item = evidence.AppendPosting(r.Item, &x)
			return tell(r)
		}},
		{evidence.Purchase, `SELECT purchase, version, at, fact FROM notice`, func(rows *sql.Rows, r *audit.Row, tell func(*audit.Row) error) error {
			var f purchase.Fact
			if err := rows.Scan(&r.ID, &r.Version, &r.At, &f); err != nil {
				return err
			}
			r.Item = evidence.AppendNotice(r.Item, f)
			return tell(r)
		}},
		{evidence.Purchase, `SELECT purchase, version, at, matter FROM care_case`, func(rows *sql.Rows, r *audit.Row, tell func(*audit.Row) error) error {
			var m purchase.Matter
			if err := rows.Scan(&r.ID, &r.Version, &r.At, &m); err != nil {
				return err
			}
			r.Item = evidence.AppendMatter(r.Item, m)
			return tell(r)
		}},
		auditedOf(evidence.Case, `SELECT `+caseColumnsRead+` FROM case_file`, scanCaseFile, caseItem,
			func(c *care.Case) (int64, int64, purchase.Instant) { return int64(c.ID), c.Version, c.OpenedAt }),
		auditedOf(evidence.Request, `SELECT `+requestColumnsRead+` FROM request`, scanRequest, requestItem,
			func(r *care.Request) (int64, int64, purchase.Instant) { return r.ID, r.Version, r.At }),
		auditedOf(evidence.Callback, `SELECT `+callbackColumnsRead+` FROM callback`, scanCallback, callbackItem,
			func(c *care.Callback) (int64, int64, purchase.Instant) { return c.ID, c.Version, c.At }),
		auditedOf(evidence.Incident, `SELECT id, `+incidentColumns+` FROM incident`, scanIncident, incidentItem,
			func(i *incident.Incident) (int64, int64, purchase.Instant) { return int64(i.ID), i.Version, i.SeenAt }),
		auditedOf(evidence.Pause, `SELECT `+pauseSelected+` FROM sales_pause`, scanPause, pauseItem,
			func(p *incident.Pause) (int64, int64, purchase.Instant) { return p.ID, p.Version, p.At }),
		auditedOf(evidence.Erasure, `SELECT `+erasureColumns+` FROM erasure`, scanErasure, erasureItem,
			func(e *person.Erasure) (int64, int64, purchase.Instant) { return e.ID, e.Version, e.At }),
	}
}

// auditedOf reads a table of things that are not purchases.
func auditedOf[T any](kind evidence.Kind, query string, scan func(scanner, *T) error, item func([]byte, *T) []byte,
	named func(*T) (id, version int64, begun purchase.Instant)) auditedTable {
	return auditedTable{kind, query, func(rows *sql.Rows, r *audit.Row, tell func(*audit.Row) error) error {
		var v T
		if err := scan(rows, &v); err != nil {
			return err
		}
		r.ID, r.Version, r.Begun = named(&v)
		r.Item = item(r.Item, &v)
		return tell(r)
	}}
}

// auditPurchase reads a purchase's row: what it promised, to whom, and how it stands.
func auditPurchase(rows *sql.Rows, r *audit.Row, tell func(*audit.Row) error) error {
	var p purchase.Purchase
	var salt []byte
	err := rows.Scan(&p.ID, &p.Version, &p.PayerNumber, &p.Recipient, &p.Total, &p.Fee, &p.Units, &p.CreatedAt, &p.ChargedAt, &p.ClosedAt, &p.DeliverBy,
		&p.ResolveBy, &p.RefundBy, &p.DueAt, &p.Charged.Minor, &p.Held, &p.Offer, &p.State, &p.Orphan, &p.Exposed, &p.Unproven, &p.Channel, &p.Payer,
		&p.Provider, &p.Product, &p.Currency, &p.Charged.Currency, &salt)
	if err != nil {
		return err
	}
	r.ID, r.Begun = int64(p.ID), p.CreatedAt
	// How it stands comes first: whether the log has it is told once.
	r.Version, r.Item = p.Version, evidence.AppendState(r.Item[:0], &p)
	if err := tell(r); err != nil {
		return err
	}
	r.Version, r.At, r.Item = 1, p.CreatedAt, evidence.AppendPromise(r.Item[:0], &p)
	if err := tell(r); err != nil {
		return err
	}
	copy(p.Salt[:], salt)
	if r.At, r.Item = 0, evidence.AppendCommit(r.Item[:0], &p); len(r.Item) == 0 {
		r.Item, r.Unsalted = append(r.Item, evidence.ItemCommit, '\n'), true
	}
	return tell(r)
}

// Figures is audit.Snapshot.
func (l *snapshotLog) Figures(ctx context.Context, since purchase.Instant) (f audit.Figures, err error) {
	f = audit.Figures{States: map[string]int64{}, Accounts: map[string]int64{}}
	timed := func(leg, by string, inTime, late *int64) func(context.Context, *sql.Tx) error {
		return func(ctx context.Context, tx *sql.Tx) error {
			return tx.QueryRowContext(ctx, `SELECT count(CASE WHEN x.at <= p.`+by+` THEN 1 END), count(CASE WHEN x.at > p.`+by+` THEN 1 END)
				FROM posting x JOIN purchase p ON p.id = x.purchase WHERE x.leg = `+leg+` AND x.effect = 1 AND p.created_at >= $1`, int64(since)).Scan(inTime, late)
		}
	}
	err = l.together(ctx, []func(context.Context, *sql.Tx) error{
		timed("2", "deliver_by", &f.CreditsInTime, &f.CreditsLate),
		timed("3", "refund_by", &f.RefundsInTime, &f.RefundsLate),
		func(ctx context.Context, tx *sql.Tx) error { return countStates(ctx, tx, since, f.States) },
		func(ctx context.Context, tx *sql.Tx) error { return sumAccounts(ctx, tx, since, f.Accounts) },
	})
	return f, err
}

// countStates counts things by their kind and state.
func countStates(ctx context.Context, tx *sql.Tx, since purchase.Instant, states map[string]int64) error {
	for _, t := range []struct {
		kind  evidence.Kind
		query string
		word  func(int64) string
	}{
		{evidence.Purchase, `SELECT state, count(*) FROM purchase WHERE created_at >= $1 GROUP BY state`, func(n int64) string { return purchase.State(n).String() }},     //nolint:gosec // a code
		{evidence.Case, `SELECT status, count(*) FROM case_file WHERE opened_at >= $1 GROUP BY status`, func(n int64) string { return care.Status(n).String() }},          //nolint:gosec // a code
		{evidence.Request, `SELECT stage, count(*) FROM request WHERE at >= $1 GROUP BY stage`, func(n int64) string { return care.Stage(n).String() }},                   //nolint:gosec // a code
		{evidence.Callback, `SELECT state, count(*) FROM callback WHERE at >= $1 GROUP BY state`, func(n int64) string { return care.State(n).String() }},                 //nolint:gosec // a code
		{evidence.Incident, `SELECT status, count(*) FROM incident WHERE seen_at >= $1 GROUP BY status`, func(n int64) string { return incident.Status(n).String() }},     //nolint:gosec // a code
		{evidence.Pause, `SELECT dimension, count(*) FROM sales_pause WHERE at >= $1 GROUP BY dimension`, func(n int64) string { return incident.Dimension(n).String() }}, //nolint:gosec // a code
		{evidence.Erasure, `SELECT cause, count(*) FROM erasure WHERE at >= $1 GROUP BY cause`, func(n int64) string { return person.Cause(n).String() }},                 //nolint:gosec // a code
	} {
		err := each(ctx, tx, func(rows *sql.Rows) error {
			var code, count int64
			err := rows.Scan(&code, &count)
			states[t.kind.String()+" "+strings.ReplaceAll(t.word(code), " ", "%20")] = count
			return err
		}, t.query, int64(since))
		if err != nil {
			return err
		}
	}
	return nil
}

// sumAccounts sums up the accounts.
func sumAccounts(ctx context.Context, tx *sql.Tx, since purchase.Instant, accounts map[string]int64) error {
	var older bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM purchase WHERE created_at < $1)`, int64(since)).Scan(&older); err != nil {
		return err
	}
	balances, arguments := `SELECT a.name, a.currency, CAST(sum(b.amount) AS BIGINT) FROM balance b JOIN account a ON a.id = b.account GROUP BY a.name, a.currency`, []any{}
	if older { // the balances hold more than the log
		balances = `SELECT a.name, a.currency, CAST(sum(m.amount) AS BIGINT) FROM (
			SELECT x.debit AS account, x.amount AS amount FROM posting x JOIN purchase p ON p.id = x.purchase WHERE p.created_at >= $1 UNION ALL
			SELECT x.credit, -x.amount FROM posting x JOIN purchase p ON p.id = x.purchase WHERE p.created_at >= $1) m
			JOIN account a ON a.id = m.account GROUP BY a.name, a.currency`
		arguments = []any{int64(since)}
	}
	return each(ctx, tx, func(rows *sql.Rows) error {
		var name, currency string
		var sum int64
		err := rows.Scan(&name, &currency, &sum)
		accounts[name+" "+currency] = sum
		return err
	}, balances, arguments...)
}
