package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/regulator"
	"tenu/internal/voice/centre"
)

// tenths is a duration in microseconds as regulator.Times counts it.
func tenths(d string) string {
	return `CASE WHEN ` + d + ` <= 0 THEN 0 WHEN ` + d + ` <= 60000000 THEN (` + d + ` + 99999) / 100000 ELSE (` + d + ` + 999999) / 1000000 * 10 END`
}

// class is what kind of account a name is of; orphan charges are held.
func class(name string) string {
	return `CASE WHEN ` + name + ` = 'held' OR ` + name + ` LIKE 'orphans/%' THEN 'held' WHEN ` + name + ` LIKE 'wallet/%' THEN 'wallet'
		WHEN ` + name + ` LIKE 'exposure/%' THEN 'exposure' WHEN ` + name + ` LIKE 'fees/%' THEN 'fees' ELSE 'delivered' END`
}

// evidenced are the postings of evidence e of a time, from $1 to $2, of purchases that $3 does not pay for.
const (
	postings = ` FROM evidence e JOIN purchase p ON p.id = e.purchase JOIN posting m ON m.purchase = e.purchase AND m.version = e.version
	JOIN account d ON d.id = m.debit JOIN account c ON c.id = m.credit`
	inTime    = ` WHERE e.at >= $1 AND e.at < $2 AND p.payer <> CAST($3 AS TEXT)`
	evidenced = postings + inTime
	givenBack = ` AND (d.name = 'held' OR d.name LIKE 'orphans/%') AND c.name LIKE 'wallet/%'`
)

// Begin is regulator.Store.
func (s *Store) Begin(ctx context.Context) (at purchase.Instant, err error) {
	return one(ctx, s, "read when the first purchase was made", regulator.ErrNotFound, func(row scanner, at *purchase.Instant) error { return row.Scan(at) },
		`SELECT coalesce(min(created_at), 0) FROM purchase`)
}

// flowing is one call of Flows.
type flowing struct {
	ctx       context.Context
	tx        *sql.Tx
	span      regulator.Span
	arguments []any // $1 and $2, the time, and $3, the house
	f         regulator.Figures
}

// Flows is regulator.Store. It reads by the indexes of times: what happened before does not matter.
func (s *Store) Flows(ctx context.Context, span regulator.Span, house string) (regulator.Figures, error) {
	var f regulator.Figures
	err := s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		w := &flowing{ctx: ctx, tx: tx, span: span, arguments: []any{int64(span.From), int64(span.Till), house}}
		for _, part := range []func() error{w.made, w.movements, w.times, w.declined, w.undelivered, w.undone, w.cases, w.callbacks, w.calls, w.incidents, w.pauses} {
			if err := part(); err != nil {
				return err
			}
		}
		f = *w.f.Whole()
		return nil
	})
	if err != nil {
		return regulator.Figures{}, fmt.Errorf("sum up a time: %w", err)
	}
	return f, nil
}

// each runs a query of the time.
func (w *flowing) each(read func(*sql.Rows) error, query string) error {
	arguments := w.arguments
	if !strings.Contains(query, "$3") {
		arguments = arguments[:2]
	}
	return each(w.ctx, w.tx, read, query, arguments...)
}

// summed is a part of a sum in one currency.
func summed(n int64, currency money.Currency, amount int64) regulator.Figures {
	return regulator.Figures{Made: regulator.Sum{Count: n, Amount: regulator.Money{currency: amount}}}
}

func (w *flowing) made() error {
	return w.each(func(rows *sql.Rows) error {
		var currency money.Currency
		var n, amount int64
		err := rows.Scan(&currency, &n, &amount)
		part := summed(n, currency, amount)
		w.f.Add(&part)
		return err
	}, `SELECT p.currency, count(*), CAST(sum(p.total) AS BIGINT) FROM purchase p WHERE p.created_at >= $1 AND p.created_at < $2 AND p.payer <> CAST($3 AS TEXT) GROUP BY p.currency`)
}

// movements sums up the postings by what kinds of account they are between.
func (w *flowing) movements() error {
	return w.each(func(rows *sql.Rows) error {
		var debit, credit string
		var currency money.Currency
		var n, amount int64
		if err := rows.Scan(&debit, &credit, &currency, &n, &amount); err != nil {
			return err
		}
		sum := regulator.Sum{Count: n, Amount: regulator.Money{currency: amount}}
		var part regulator.Figures
		switch debit + " " + credit {
		case "wallet held":
			part.Charged = sum
		case "held delivered":
			part.Credited = sum
		case "held fees": // of a credit that is counted by what was delivered
			part.Credited.Amount = sum.Amount
		case "held wallet":
			part.Refunded = sum
		case "delivered held":
			part.TakenBack = sum
		case "fees held":
			part.TakenBack.Amount = sum.Amount
		case "refund held": // of the leg that gave it back
			part.RefundUndone = sum
		}
		if debit == "exposure" {
			part.Exposed = sum
		}
		if credit == "exposure" {
			part.Recovered = sum
		}
		w.f.Add(&part)
		return nil
	}, `SELECT d, c, currency, count(*), CAST(sum(amount) AS BIGINT) FROM (
			SELECT CASE WHEN m.leg = 3 AND d.name LIKE 'wallet/%' THEN 'refund' ELSE `+class(`d.name`)+` END AS d, `+class(`c.name`)+` AS c, d.currency AS currency, m.amount AS amount`+
		evidenced+`) x GROUP BY d, c, currency`)
}

// into counts a time so often.
func into(t *regulator.Times) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		var took, n int64
		err := rows.Scan(&took, &n)
		if *t == nil {
			*t = regulator.Times{}
		}
		(*t)[took] += n
		return err
	}
}

// times counts how long credits and refunds took.
func (w *flowing) times() error {
	const charge = ` JOIN posting f ON f.purchase = m.purchase AND f.leg = 1 AND f.effect = 1`
	for _, t := range []struct {
		of    *regulator.Times
		query string
	}{
		{&w.f.ToCredit, postings + charge + inTime + ` AND m.leg = 2 AND m.effect = 1`},
		{&w.f.FromCharge, postings + charge + inTime + givenBack},
		{&w.f.ToRefund, postings + ` JOIN attempt f ON f.purchase = m.purchase AND f.leg = 3 AND f.try = 1 AND f.version < m.version` + inTime + givenBack},
	} {
		if err := w.each(into(t.of), `SELECT `+tenths(`d`)+`, count(*) FROM (SELECT m.at - f.at AS d`+t.query+`) x GROUP BY 1`); err != nil {
			return err
		}
	}
	return nil
}

// failures reads how purchases failed.
func (w *flowing) failures(leg purchase.Leg, query string) error {
	return w.each(func(rows *sql.Rows) error {
		fact := regulator.Fact{Leg: leg}
		var currency money.Currency
		var n, amount int64
		if err := rows.Scan(&fact.On, &fact.Kind, &fact.Reason, &fact.Unproven, &fact.Orphan, &fact.Payer, &fact.Provider, &currency, &n, &amount); err != nil {
			return err
		}
		failure := fact.Failure()
		failure.Sum = regulator.Sum{Count: n, Amount: regulator.Money{currency: amount}}
		part := regulator.Figures{Failures: []regulator.Failure{failure}}
		w.f.Add(&part)
		return nil
	}, query)
}

// decided is the evidence of the change that x was written with, and what it is a fact of.
const (
	decided   = ` FROM (%s) x JOIN purchase p ON p.id = x.purchase LEFT JOIN evidence e ON e.purchase = x.purchase AND e.version = x.version WHERE p.payer <> CAST($3 AS TEXT)`
	decidedBy = `SELECT coalesce(e.leg, 0), coalesce(e.kind, 0), coalesce(e.reason, ''), x.unproven, x.orphan, p.payer, p.provider, `
)

// declined: nothing was taken, or never known to be.
func (w *flowing) declined() error {
	const found = `SELECT DISTINCT purchase, version, 0 AS unproven, 0 AS orphan FROM notice WHERE fact = 6 AND at >= $1 AND at < $2
		UNION ALL SELECT purchase, version, 1, 0 FROM care_case WHERE matter = 'unknown_charge' AND at >= $1 AND at < $2`
	return w.failures(purchase.Charge, decidedBy+`p.currency, count(*), CAST(sum(p.total) AS BIGINT)`+fmt.Sprintf(decided, found)+` GROUP BY 1, 2, 3, 4, 5, 6, 7, 8`)
}

// undelivered: charged, and a refund began.
func (w *flowing) undelivered() error {
	const found = `SELECT a.purchase, a.version, CASE WHEN EXISTS (SELECT 1 FROM care_case k WHERE k.purchase = a.purchase AND k.version = a.version AND k.matter = 'unproven_refund') THEN 1 ELSE 0 END AS unproven,
			CASE WHEN EXISTS (SELECT 1 FROM care_case k WHERE k.purchase = a.purchase AND k.version = a.version AND k.matter = 'orphan_charge') THEN 1 ELSE 0 END AS orphan
		FROM attempt a WHERE a.leg = 3 AND a.try = 1 AND a.at >= $1 AND a.at < $2`
	return w.failures(purchase.Credit, decidedBy+`p.charged_currency, count(*), CAST(sum(p.charged) AS BIGINT)`+fmt.Sprintf(decided, found)+` GROUP BY 1, 2, 3, 4, 5, 6, 7, 8`)
}

// undone: charged, and the whole given back by the payer itself.
func (w *flowing) undone() error {
	return w.failures(purchase.Refund, `SELECT 0, 0, '', 0, 0, p.payer, p.provider, c.currency, count(*), CAST(sum(m.amount) AS BIGINT)`+evidenced+givenBack+`
		AND m.amount = (SELECT f.amount FROM posting f WHERE f.purchase = m.purchase AND f.leg = 1 AND f.effect = 1)
		AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.purchase = m.purchase AND a.leg = 3 AND a.version <= m.version)
		GROUP BY p.payer, p.provider, c.currency`)
}

// spoken is an entry by which a case is a customer's complaint.
const spoken = `%[1]s.event IN ('opened', 'reported') AND %[1]s.by_kind IN (3, 4, 5)`

// cases counts what was opened, complained of and settled.
func (w *flowing) cases() error {
	by := func(to *regulator.ByKey) func(*sql.Rows) error {
		*to = regulator.ByKey{}
		return func(rows *sql.Rows) error {
			var code string
			var n int64
			err := rows.Scan(&code, &n)
			(*to)[code] = n
			return err
		}
	}
	const entries = ` FROM case_entry e JOIN case_file f ON f.id = e.case_id WHERE e.at >= $1 AND e.at < $2 AND e.event IN ('opened', 'reported', 'settled')`
	if err := w.each(by(&w.f.Opened), `SELECT f.code, count(*)`+entries+` AND e.event = 'opened' GROUP BY f.code`); err != nil {
		return err
	}
	if err := w.each(by(&w.f.Complaints), `SELECT f.code, count(*)`+entries+` AND `+fmt.Sprintf(spoken, `e`)+` AND NOT EXISTS (SELECT 1 FROM case_entry x
		WHERE x.case_id = e.case_id AND `+fmt.Sprintf(spoken, `x`)+` AND (x.at < e.at OR x.at = e.at AND x.seq < e.seq)) GROUP BY f.code`); err != nil {
		return err
	}
	return w.each(into(&w.f.Resolved), `SELECT `+tenths(`d`)+`, count(*) FROM (SELECT e.at - (SELECT min(x.at) FROM case_entry x
		WHERE x.case_id = e.case_id AND x.seq < e.seq AND `+fmt.Sprintf(spoken, `x`)+`) AS d`+entries+` AND e.event = 'settled') y WHERE d IS NOT NULL GROUP BY 1`)
}

func (w *flowing) callbacks() error {
	if err := w.tx.QueryRowContext(w.ctx, `SELECT count(*) FROM callback WHERE at >= $1 AND at < $2`, w.arguments[:2]...).Scan(&w.f.Promised); err != nil {
		return err
	}
	const closed = ` FROM callback k WHERE k.closed_at <> 0 AND k.closed_at >= $1 AND k.closed_at < $2`
	if err := w.tx.QueryRowContext(w.ctx, `SELECT coalesce(sum(CASE WHEN k.state = 2 THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN k.state = 4 THEN 1 ELSE 0 END), 0),
		coalesce(sum(CASE WHEN k.state = 3 THEN 1 ELSE 0 END), 0)`+closed, w.arguments[:2]...).Scan(&w.f.Kept, &w.f.Broken, &w.f.Cancelled); err != nil {
		return err
	}
	const waited = `SELECT coalesce((SELECT min(a.at) FROM callback_attempt a WHERE a.callback = k.id AND a.ring = 2), k.closed_at) - k.at AS d` + closed + ` AND k.state = 2`
	if err := w.tx.QueryRowContext(w.ctx, `SELECT CAST(coalesce(sum(d), 0) AS BIGINT) FROM (`+waited+`) x`, w.arguments[:2]...).Scan(&w.f.WaitedInAll); err != nil {
		return err
	}
	return w.each(into(&w.f.Waited), `SELECT `+tenths(`d`)+`, count(*) FROM (`+waited+`) x GROUP BY 1`)
}

// calls counts the calls that ended in the time, and those refused in its hours.
func (w *flowing) calls() error {
	c := &w.f.Calls
	if err := w.tx.QueryRowContext(w.ctx, `SELECT CAST(coalesce(sum(refused), 0) AS BIGINT) FROM call_refused WHERE hour >= $1 AND hour < $2`, w.arguments[:2]...).Scan(&c.Refused); err != nil {
		return err
	}
	const over = ` FROM call WHERE ended_at >= $1 AND ended_at < $2`
	c.Answered = regulator.ByKey{}
	prompt := strconv.FormatInt(centre.Prompt.Microseconds(), 10)
	if err := w.each(func(rows *sql.Rows) error {
		var release string
		var n, prompt, answer, agent int64
		err := rows.Scan(&release, &n, &prompt, &answer, &agent)
		c.Answered[release] = n
		c.Prompt, c.AnswerInAll, c.AgentInAll = c.Prompt+prompt, c.AnswerInAll+answer, c.AgentInAll+agent
		return err
	}, `SELECT release, count(*), sum(CASE WHEN taken_at <> 0 AND taken_at - queued_at <= `+prompt+` OR queued_at = 0 AND callback = 0 AND answered_at - at <= `+prompt+` THEN 1 ELSE 0 END),
		CAST(sum(answered_at - at) AS BIGINT), CAST(sum(CASE WHEN taken_at <> 0 THEN taken_at - queued_at ELSE 0 END) AS BIGINT)`+over+` GROUP BY release`); err != nil {
		return err
	}
	return w.each(into(&c.Agent), `SELECT `+tenths(`d`)+`, count(*) FROM (SELECT taken_at - queued_at AS d`+over+` AND taken_at <> 0) x GROUP BY 1`)
}

// dimensions are the words of what a series is of.
var dimensions = [...]string{incident.ByProduct: "product", incident.ByProvider: "provider", incident.ByPayer: "payer", incident.ByChannel: "channel",
	incident.ByOperator: "operator", incident.ByCentre: "centre"}

// incidents tells how long incidents lasted in the time, and whom they newly affected.
func (w *flowing) incidents() error {
	type found struct {
		regulator.Incident
		by incident.Dimension
	}
	all, err := gather(w.ctx, w.tx, func(row scanner, i *found) error { return row.Scan(&i.ID, &i.by, &i.Series, &i.Seen) },
		`SELECT id, dimension, name, seen_at FROM incident WHERE seen_at < $2 AND (closed_at = 0 OR closed_at >= $1) ORDER BY id`, w.arguments[:2]...)
	if err != nil {
		return err
	}
	for i := range all {
		in := &all[i]
		in.Series = dimensions[in.by] + ":" + in.Series
		if in.Lasted, err = w.lasted(in.ID); err != nil {
			return err
		}
		err := w.tx.QueryRowContext(w.ctx, `SELECT coalesce(sum(CASE WHEN first >= $1 AND first < $2 THEN 1 ELSE 0 END), 0), CAST(coalesce(sum(n), 0) AS BIGINT) FROM (
			SELECT min(at) AS first, sum(CASE WHEN at >= $1 AND at < $2 THEN 1 ELSE 0 END) AS n FROM incident_purchase WHERE incident = $3 GROUP BY number) x`,
			w.arguments[0], w.arguments[1], in.ID).Scan(&in.Customers, &in.Purchases)
		if err != nil {
			return err
		}
		if in.Lasted != 0 || in.Customers != 0 || in.Purchases != 0 {
			w.f.Incidents = append(w.f.Incidents, in.Incident)
		}
	}
	return nil
}

// lasted is how long an incident lasted in the time: from when it was opened, or opened again, until it was resolved.
func (w *flowing) lasted(id int64) (all int64, err error) {
	var since purchase.Instant
	err = each(w.ctx, w.tx, func(rows *sql.Rows) error {
		var event incident.Event
		var at purchase.Instant
		if err := rows.Scan(&event, &at); err != nil {
			return err
		}
		switch starts := event == incident.EventOpened || event == incident.EventAgain; {
		case starts && since == 0:
			since = at
		case !starts && since != 0:
			all += w.span.Lasted(since, at).Microseconds()
			since = 0
		}
		return nil
	}, `SELECT event, at FROM incident_entry WHERE incident = $1 AND event IN ('opened', 'again', 'resolved', 'closed') AND at < $2 ORDER BY seq`, id, int64(w.span.Till))
	if since != 0 {
		all += w.span.Lasted(since, 0).Microseconds()
	}
	return all, err
}

func (w *flowing) pauses() error {
	return w.each(func(rows *sql.Rows) error {
		var p regulator.Pause
		var by incident.Dimension
		var ended purchase.Instant
		var staff int64
		if err := rows.Scan(&p.ID, &by, &p.Series, &p.At, &ended, &staff); err != nil {
			return err
		}
		p.Series, p.ByHand, p.Lasted = dimensions[by]+":"+p.Series, staff != 0, w.span.Lasted(p.At, ended).Microseconds()
		if p.Lasted != 0 {
			w.f.Pauses = append(w.f.Pauses, p)
		}
		return nil
	}, `SELECT id, dimension, name, at, ended_at, staff FROM sales_pause WHERE at < $2 AND (ended_at = 0 OR ended_at >= $1) ORDER BY id`)
}

// Moved is regulator.Store.
func (s *Store) Moved(ctx context.Context, span regulator.Span, house string) ([]regulator.Item, error) {
	side := func(at string, sign map[string]string) string {
		return `SELECT m.purchase AS purchase, CASE WHEN a.name LIKE 'orphans/%' THEN 'held' ELSE a.name END AS account, a.currency AS currency,
			CASE WHEN a.name LIKE 'exposure/%' THEN ` + sign["exposure"] + ` ELSE ` + sign["held"] + ` END AS amount, m.at AS at
			FROM touched t JOIN posting m ON m.purchase = t.purchase JOIN account a ON a.id = m.` + at + `
			WHERE m.at < $2 AND (a.name = 'held' OR a.name LIKE 'orphans/%' OR a.name LIKE 'exposure/%')`
	}
	items, err := list(ctx, s, "read what is held", func(row scanner, i *regulator.Item) error {
		return row.Scan(&i.Purchase, &i.Account, &i.Currency, &i.Amount, &i.Since)
	}, `WITH touched AS (SELECT DISTINCT e.purchase FROM evidence e JOIN purchase p ON p.id = e.purchase WHERE e.at >= $1 AND e.at < $2 AND p.payer <> CAST($3 AS TEXT))
		SELECT purchase, account, currency, CAST(sum(amount) AS BIGINT), coalesce(min(CASE WHEN amount > 0 THEN at END), 0) FROM (`+
		side("credit", map[string]string{"held": `m.amount`, "exposure": `-m.amount`})+` UNION ALL `+side("debit", map[string]string{"held": `-m.amount`, "exposure": `m.amount`})+
		`) x GROUP BY purchase, account, currency`, int64(span.From), int64(span.Till), house)
	if err != nil {
		return nil, err
	}
	return slices.Clip(items), nil
}
