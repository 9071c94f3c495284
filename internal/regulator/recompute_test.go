package regulator_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/regulator"
	"tenu/internal/store"
	"tenu/internal/testpeer"
)

// recomputed are figures by SQL that shares nothing with the store: each reads whole tables, and says in its own words what
// the figure is. F and T stand for the beginning and the end of the period, in microseconds.
var recomputed = map[string]string{ //nolint:gosec // SQL, and no secret
	"purchases":        `SELECT count(*) FROM purchase WHERE created_at >= F AND created_at < T AND payer <> 'house'`,
	"purchases_amount": `SELECT CAST(coalesce(sum(total), 0) AS BIGINT) FROM purchase WHERE created_at >= F AND created_at < T AND payer <> 'house'`,
	"charged": `SELECT count(*) FROM posting WHERE at >= F AND at < T AND leg = 1 AND effect IN (1, 4)
		AND debit IN (SELECT id FROM account WHERE name LIKE 'wallet/%' AND name <> 'wallet/house')`,
	"charged_amount": `SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM posting WHERE at >= F AND at < T AND leg = 1 AND effect IN (1, 4)
		AND debit IN (SELECT id FROM account WHERE name LIKE 'wallet/%' AND name <> 'wallet/house')`,
	"credited": `SELECT count(*) FROM posting WHERE at >= F AND at < T AND leg = 2 AND effect = 1 AND purchase NOT IN (SELECT id FROM purchase WHERE payer = 'house')`,
	"credited_amount": `SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM posting WHERE at >= F AND at < T AND leg = 2 AND effect IN (1, 2)
		AND purchase NOT IN (SELECT id FROM purchase WHERE payer = 'house')`,
	"refunded": `SELECT count(*) FROM posting WHERE at >= F AND at < T AND credit IN (SELECT id FROM account WHERE name LIKE 'wallet/%')
		AND debit NOT IN (SELECT id FROM account WHERE name LIKE 'exposure/%') AND purchase NOT IN (SELECT id FROM purchase WHERE payer = 'house')`,
	"refunded_amount": `SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM posting WHERE at >= F AND at < T AND credit IN (SELECT id FROM account WHERE name LIKE 'wallet/%')
		AND debit NOT IN (SELECT id FROM account WHERE name LIKE 'exposure/%') AND purchase NOT IN (SELECT id FROM purchase WHERE payer = 'house')`,
	"taken_back":       `SELECT count(*) FROM posting WHERE at >= F AND at < T AND leg IN (2, 4) AND credit IN (SELECT id FROM account WHERE name = 'held') AND debit IN (SELECT id FROM account WHERE name LIKE 'delivered/%')`,
	"refund_undone":    `SELECT count(*) FROM posting WHERE at >= F AND at < T AND leg = 3 AND debit IN (SELECT id FROM account WHERE name LIKE 'wallet/%') AND credit IN (SELECT id FROM account WHERE name = 'held' OR name LIKE 'orphans/%')`,
	"exposed":          `SELECT count(*) FROM posting WHERE at >= F AND at < T AND debit IN (SELECT id FROM account WHERE name LIKE 'exposure/%') AND purchase NOT IN (SELECT id FROM purchase WHERE payer = 'house')`,
	"exposed_amount":   `SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM posting WHERE at >= F AND at < T AND debit IN (SELECT id FROM account WHERE name LIKE 'exposure/%') AND purchase NOT IN (SELECT id FROM purchase WHERE payer = 'house')`,
	"recovered_amount": `SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM posting WHERE at >= F AND at < T AND credit IN (SELECT id FROM account WHERE name LIKE 'exposure/%') AND purchase NOT IN (SELECT id FROM purchase WHERE payer = 'house')`,
	"exposure_amount": `SELECT CAST(coalesce(sum(CASE WHEN a.id = m.debit THEN m.amount ELSE -m.amount END), 0) AS BIGINT) FROM account a JOIN posting m ON a.id IN (m.debit, m.credit)
		WHERE a.name LIKE 'exposure/%' AND m.at < T AND m.purchase NOT IN (SELECT id FROM purchase WHERE payer = 'house')`,
	"exposure": `SELECT count(*) FROM (SELECT m.purchase FROM account a JOIN posting m ON a.id IN (m.debit, m.credit) WHERE a.name LIKE 'exposure/%' AND m.at < T AND m.purchase NOT IN (SELECT id FROM purchase WHERE payer = 'house')
		GROUP BY m.purchase, a.name HAVING sum(CASE WHEN a.id = m.debit THEN m.amount ELSE -m.amount END) <> 0) x`,
	"held_amount": `SELECT CAST(coalesce(sum(CASE WHEN a.id = m.credit THEN m.amount ELSE -m.amount END), 0) AS BIGINT) FROM account a JOIN posting m ON a.id IN (m.debit, m.credit)
		WHERE (a.name = 'held' OR a.name LIKE 'orphans/%') AND m.at < T AND m.purchase NOT IN (SELECT id FROM purchase WHERE payer = 'house')`,
	"held": `SELECT count(*) FROM (SELECT m.purchase FROM account a JOIN posting m ON a.id IN (m.debit, m.credit) WHERE (a.name = 'held' OR a.name LIKE 'orphans/%') AND m.at < T
		AND m.purchase NOT IN (SELECT id FROM purchase WHERE payer = 'house') GROUP BY m.purchase HAVING sum(CASE WHEN a.id = m.credit THEN m.amount ELSE -m.amount END) <> 0) x`,

	"cases": `SELECT count(*) FROM case_file WHERE opened_at >= F AND opened_at < T`,
	"complaints": `SELECT count(*) FROM (SELECT case_id, min(at) AS first FROM case_entry WHERE by_kind IN (3, 4, 5) AND event IN ('opened', 'reported') GROUP BY case_id) x
		WHERE first >= F AND first < T`,
	"resolved": `SELECT count(*) FROM case_entry s WHERE s.event = 'settled' AND s.at >= F AND s.at < T
		AND s.case_id IN (SELECT case_id FROM case_entry x WHERE x.by_kind IN (3, 4, 5) AND x.event IN ('opened', 'reported') AND x.seq < s.seq)`,
	"callbacks_promised":  `SELECT count(*) FROM callback WHERE at >= F AND at < T`,
	"callbacks_kept":      `SELECT count(*) FROM callback WHERE state = 2 AND closed_at >= F AND closed_at < T`,
	"callbacks_broken":    `SELECT count(*) FROM callback WHERE state = 4 AND closed_at >= F AND closed_at < T`,
	"callbacks_cancelled": `SELECT count(*) FROM callback WHERE state = 3 AND closed_at >= F AND closed_at < T`,

	"calls_offered":   `SELECT (SELECT count(*) FROM call WHERE ended_at >= F AND ended_at < T) + (SELECT CAST(coalesce(sum(refused), 0) AS BIGINT) FROM call_refused WHERE hour >= F AND hour < T)`,
	"calls_answered":  `SELECT count(*) FROM call WHERE ended_at >= F AND ended_at < T`,
	"calls_informed":  `SELECT count(*) FROM call WHERE release = 'informed' AND ended_at >= F AND ended_at < T`,
	"calls_agent":     `SELECT count(*) FROM call WHERE release = 'spoken' AND ended_at >= F AND ended_at < T`,
	"calls_abandoned": `SELECT count(*) FROM call WHERE release = 'abandoned' AND ended_at >= F AND ended_at < T`,

	"customers_affected": `SELECT count(*) FROM (SELECT incident, number, min(at) AS first FROM incident_purchase GROUP BY incident, number) x WHERE first >= F AND first < T`,
	"purchases_affected": `SELECT count(*) FROM incident_purchase WHERE at >= F AND at < T`,
	"pauses":             `SELECT count(*) FROM sales_pause WHERE at < T AND (ended_at = 0 OR ended_at > F)`,
	"pause_time": `SELECT CAST(coalesce(sum((CASE WHEN ended_at = 0 OR ended_at > T THEN T ELSE ended_at END) - (CASE WHEN at < F THEN F ELSE at END)), 0) AS BIGINT) / 1000
		FROM sales_pause WHERE at < T AND (ended_at = 0 OR ended_at > F)`,
	"incident_time": `SELECT CAST(coalesce(sum((CASE WHEN till > T THEN T ELSE till END) - (CASE WHEN at < F THEN F ELSE at END)), 0) AS BIGINT) / 1000
		FROM (SELECT event, at, coalesce(lead(at) OVER (PARTITION BY incident ORDER BY seq), T) AS till FROM incident_entry WHERE event IN ('opened', 'again', 'resolved')) x
		WHERE event <> 'resolved' AND at < T AND till > F`,
}

// durations are times that took so long, in microseconds, by SQL of its own.
var durations = map[string]string{ //nolint:gosec // likewise
	"credit": `SELECT c.at - d.at FROM posting c, posting d WHERE c.purchase = d.purchase AND c.leg = 2 AND c.effect = 1 AND d.leg = 1 AND d.effect = 1 AND c.at >= F AND c.at < T
		AND c.purchase NOT IN (SELECT id FROM purchase WHERE payer = 'house')`,
	"refund": `SELECT r.at - b.at FROM posting r, attempt b WHERE r.purchase = b.purchase AND b.leg = 3 AND b.try = 1 AND b.at <= r.at AND r.at >= F AND r.at < T
		AND r.credit IN (SELECT id FROM account WHERE name LIKE 'wallet/%' AND name <> 'wallet/house') AND r.debit NOT IN (SELECT id FROM account WHERE name LIKE 'exposure/%')`,
	"settle": `SELECT r.at - d.at FROM posting r, posting d WHERE r.purchase = d.purchase AND d.leg = 1 AND d.effect = 1 AND r.at >= F AND r.at < T
		AND r.credit IN (SELECT id FROM account WHERE name LIKE 'wallet/%' AND name <> 'wallet/house') AND r.debit NOT IN (SELECT id FROM account WHERE name LIKE 'exposure/%')`,
	"resolution": `SELECT s.at - (SELECT min(x.at) FROM case_entry x WHERE x.case_id = s.case_id AND x.by_kind IN (3, 4, 5) AND x.event IN ('opened', 'reported') AND x.seq < s.seq)
		FROM case_entry s WHERE s.event = 'settled' AND s.at >= F AND s.at < T
		AND s.case_id IN (SELECT case_id FROM case_entry x WHERE x.by_kind IN (3, 4, 5) AND x.event IN ('opened', 'reported') AND x.seq < s.seq)`,
	"answer":   `SELECT answered_at - at FROM call WHERE ended_at >= F AND ended_at < T`,
	"unwished": `SELECT answered_at - at FROM call WHERE callback = 0 AND queued_at = 0 AND ended_at >= F AND ended_at < T`,
	"agent":    `SELECT taken_at - queued_at FROM call WHERE taken_at > 0 AND ended_at >= F AND ended_at < T`,
	"wait":     `SELECT a.at - k.at FROM callback k, callback_attempt a WHERE a.callback = k.id AND a.ring = 2 AND k.state = 2 AND k.closed_at >= F AND k.closed_at < T`,
	"held": `SELECT T - since FROM (SELECT m.purchase, min(CASE WHEN a.id = m.credit THEN m.at END) AS since FROM account a JOIN posting m ON a.id IN (m.debit, m.credit)
		WHERE (a.name = 'held' OR a.name LIKE 'orphans/%') AND m.at < T AND m.purchase NOT IN (SELECT id FROM purchase WHERE payer = 'house')
		GROUP BY m.purchase HAVING sum(CASE WHEN a.id = m.credit THEN m.amount ELSE -m.amount END) <> 0) x`,
}

// failures are leg, code, party, count and amount: every purchase that is not credited, judged as it stands in the end.
// It holds where everything is at rest, and nothing was credited after a refund.
const failures = `
	SELECT 'charge' AS leg, CASE WHEN e.kind = 2 THEN e.reason WHEN e.kind = 5 THEN 'not_sent' WHEN e.kind = 8 THEN 'taken_back'
			WHEN e.kind IS NULL AND u.purchase IS NULL THEN 'not_sent' ELSE 'no_answer' END AS code, p.payer AS partner, p.total AS amount
		FROM purchase p LEFT JOIN evidence e ON e.purchase = p.id AND e.leg = 1 AND e.at = p.closed_at LEFT JOIN care_case u ON u.purchase = p.id AND u.matter = 'unknown_charge'
		WHERE p.payer <> 'house' AND p.closed_at >= F AND p.closed_at < T
			AND (p.state = 6 OR EXISTS (SELECT 1 FROM care_case o WHERE o.purchase = p.id AND o.matter = 'orphan_charge'))
	UNION ALL
	SELECT CASE WHEN o.purchase IS NOT NULL OR w.purchase IS NOT NULL THEN 'charge' ELSE 'credit' END,
			CASE WHEN o.purchase IS NOT NULL THEN 'charged_late' WHEN w.purchase IS NOT NULL THEN 'wrong' WHEN e.leg = 4 THEN 'reversal_asked' WHEN e.leg = 2 AND e.kind = 2 THEN e.reason
				WHEN e.leg = 2 AND e.kind = 1 THEN 'wrong' WHEN e.leg = 2 AND e.kind = 8 THEN 'taken_back' WHEN e.leg = 2 AND e.kind = 5 THEN 'not_sent'
				WHEN e.leg IS NULL AND n.purchase IS NULL THEN 'not_sent' ELSE 'no_answer' END,
			CASE WHEN o.purchase IS NOT NULL OR w.purchase IS NOT NULL THEN p.payer ELSE p.provider END, g.amount
		FROM attempt b JOIN purchase p ON p.id = b.purchase JOIN posting g ON g.purchase = p.id AND g.leg = 1 AND g.effect = 1
			LEFT JOIN evidence e ON e.purchase = b.purchase AND e.version = b.version
			LEFT JOIN care_case o ON o.purchase = p.id AND o.matter = 'orphan_charge' LEFT JOIN care_case w ON w.purchase = p.id AND w.matter = 'wrong_charge'
			LEFT JOIN care_case n ON n.purchase = p.id AND n.matter = 'unproven_refund'
		WHERE p.payer <> 'house' AND b.leg = 3 AND b.try = 1 AND b.at >= F AND b.at < T`

// blamed is who a failure's code blames.
func blamed(leg, code, partner string) string {
	switch code {
	case "insufficient_funds", "limit_exceeded", "not_approved", "unknown_line", "barred_line", "product_not_allowed", "reversal_asked":
		return "customer"
	case "not_sent":
		return "tenu"
	}
	return map[string]string{"charge": "payer:", "credit": "provider:"}[leg] + partner
}

// recomputing reads by SQL of its own.
type recomputing struct {
	*testing.T
	db   *sql.DB
	span regulator.Span
}

func (r recomputing) sql(query string) string {
	// A letter by itself is the end or the beginning.
	words := strings.NewReplacer(" F ", fmt.Sprintf(" %d ", r.span.From), " T ", fmt.Sprintf(" %d ", r.span.Till), " T)", fmt.Sprintf(" %d)", r.span.Till), " F)", fmt.Sprintf(" %d)", r.span.From),
		" T,", fmt.Sprintf(" %d,", r.span.Till), " F\n", fmt.Sprintf(" %d\n", r.span.From), " T\n", fmt.Sprintf(" %d\n", r.span.Till))
	return strings.TrimSpace(words.Replace(words.Replace(query + "\n")))
}

func (r recomputing) one(query string) (n int64) {
	r.Helper()
	if err := r.db.QueryRowContext(r.Context(), r.sql(query)).Scan(&n); err != nil {
		r.Fatalf("%s: %v", r.sql(query), err)
	}
	return n
}

func (r recomputing) all(query string) (found []time.Duration) {
	r.Helper()
	rows, err := r.db.QueryContext(r.Context(), r.sql(query))
	if err != nil {
		r.Fatalf("%s: %v", r.sql(query), err)
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			r.Fatal(err)
		}
		found = append(found, time.Duration(n)*time.Microsecond)
	}
	if err := rows.Err(); err != nil {
		r.Fatal(err)
	}
	slices.Sort(found)
	return found
}

func (r recomputing) failed() map[string][2]int64 {
	r.Helper()
	rows, err := r.db.QueryContext(r.Context(), r.sql(`SELECT leg, code, partner, count(*), CAST(sum(amount) AS BIGINT) FROM (`+failures+`) x GROUP BY leg, code, partner`))
	if err != nil {
		r.Fatal(err)
	}
	defer rows.Close()
	found := map[string][2]int64{}
	for rows.Next() {
		var leg, code, partner string
		var n, amount int64
		if err := rows.Scan(&leg, &code, &partner, &n, &amount); err != nil {
			r.Fatal(err)
		}
		key := leg + " " + code + " " + blamed(leg, code, partner)
		sum := found[key]
		found[key] = [2]int64{sum[0] + n, sum[1] + amount}
	}
	if err := rows.Err(); err != nil {
		r.Fatal(err)
	}
	return found
}

// ng are the limits of Nigeria.
var ng = &regulator.Limits{Profile: "NG", Refund: 30 * time.Second, Settle: 24 * time.Hour, Resolve: 24 * time.Hour, Call: 30 * time.Minute}

// same checks figures against SQL of its own (invariant R1), and returns how many were.
func same(t *testing.T, db *sql.DB, s regulator.Span, f *regulator.Figures) (checked int) {
	t.Helper()
	r := recomputing{t, db, s}
	values := map[string]string{}
	for i := range regulator.Definitions {
		values[regulator.Definitions[i].Code] = strings.TrimPrefix(regulator.Definitions[i].Of(f, ng).Plain(), "XOF ")
	}
	is := func(figure, want string) {
		t.Helper()
		if checked++; orNone(values[figure]) != orNone(want) {
			t.Errorf("%s: published %s, and the entries come to %s", figure, values[figure], want)
		}
		delete(values, figure)
	}
	for figure, query := range recomputed {
		is(figure, strconv.FormatInt(r.one(query), 10))
	}
	took := map[string][]time.Duration{}
	for name, query := range durations {
		took[name] = r.all(query)
	}
	fastest := func(figure, of string, percent int) {
		want := ""
		if n := len(took[of]); n > 0 {
			want = strconv.FormatInt(coarse(took[of][(n*percent+99)/100-1]).Milliseconds(), 10)
		}
		is(figure, want)
	}
	kept := func(limit time.Duration, of ...string) (n, all int) {
		for _, name := range of {
			for _, d := range took[name] {
				if all++; d <= limit {
					n++
				}
			}
		}
		return n, all
	}
	within := func(figure string, limit time.Duration, of ...string) {
		n, all := kept(limit, of...)
		want := fmt.Sprintf("%d/%d", n, all)
		if all == 0 {
			want = ""
		}
		is(figure, want)
	}
	for figure, x := range map[string]struct {
		of      string
		percent int
	}{"credit_p50": {"credit", 50}, "credit_p95": {"credit", 95}, "credit_p99": {"credit", 99}, "refund_p50": {"refund", 50}, "refund_p95": {"refund", 95}, "refund_p99": {"refund", 99},
		"settle_p95": {"settle", 95}, "resolution_p80": {"resolution", 80}, "resolution_p95": {"resolution", 95}, "wait_p95": {"wait", 95}, "held_p50": {"held", 50}, "held_max": {"held", 100}} {
		fastest(figure, x.of, x.percent)
	}
	within("refund_within", 30*time.Second, "refund")
	within("settle_within", 24*time.Hour, "credit", "settle")
	within("resolution_within", 24*time.Hour, "resolution")
	within("wait_within", 30*time.Minute, "wait")
	inTime, all := kept(30*time.Second, "refund")
	pending, settling := kept(24*time.Hour, "credit", "settle", "held")
	is("breaches", strconv.Itoa(all-inTime+settling-pending))
	fresh, held := kept(24*time.Hour, "held")
	is("held_late", strconv.Itoa(held-fresh))
	mean := func(figure string, of ...string) {
		var sum, n time.Duration
		for _, name := range of {
			for _, d := range took[name] {
				sum, n = sum+d, n+1
			}
		}
		want := ""
		if n > 0 {
			want = strconv.FormatInt((sum / n).Truncate(time.Microsecond).Milliseconds(), 10)
		}
		is(figure, want)
	}
	mean("wait_mean", "wait")
	mean("calls_answer_mean", "answer")
	mean("agent_wait_mean", "agent", "wait")
	took["spoken"] = slices.Sorted(slices.Values(slices.Concat(took["agent"], took["wait"])))
	fastest("agent_wait_p95", "spoken", 95)
	prompt, _ := kept(20*time.Second, "agent", "unwished")
	offered := ""
	if n := r.one(recomputed["calls_offered"]); n > 0 {
		offered = fmt.Sprintf("%d/%d", prompt, n)
	}
	is("calls_prompt", offered)
	checked += sameFailures(t, f, r.failed())
	delete(values, "failed")
	delete(values, "complaints_share") // of two that are checked
	delete(values, "incidents")        // listed, each with its times and customers
	if len(values) != 0 {
		t.Errorf("nothing recomputes %v", slices.Sorted(maps.Keys(values)))
	}
	return checked
}

func sameFailures(t *testing.T, f *regulator.Figures, want map[string][2]int64) (checked int) {
	t.Helper()
	published := map[string][2]int64{}
	for _, x := range f.Failures {
		published[x.Leg+" "+x.Code+" "+x.Party] = [2]int64{x.Count, x.Amount["XOF"]}
	}
	for key := range want {
		checked++
		if published[key] != want[key] {
			t.Errorf("failures by %s: published %v, and the entries come to %v", key, published[key], want[key])
		}
	}
	for key := range published {
		if _, is := want[key]; !is {
			t.Errorf("failures by %s: published %v, and there are no such entries", key, published[key])
		}
	}
	return checked
}

// orNone makes no money the same as nothing.
func orNone(text string) string {
	if text == "" {
		return "0"
	}
	return text
}

// coarse is a duration as figures have it: a tenth of a second, above a minute a second, never less.
func coarse(d time.Duration) time.Duration {
	step := 100 * time.Millisecond
	if d > time.Minute {
		step = time.Second
	}
	if rest := d % step; rest != 0 {
		d += step - rest
	}
	return max(d, 0)
}

// TestR1 plays July 2024, with the scenario of the 9th in it, while its days are summed up as they end, and holds the
// figures against SQL of its own, of the month and of single days, on both databases.
func TestR1(t *testing.T) {
	in, desk, _ := played(t, inMemory(t), thatDay, otherDays)
	month, err := desk.Month("2024-07")
	if err != nil {
		t.Fatal(err)
	}
	spans := []regulator.Span{month}
	for _, days := range [][2]string{{"2024-07-09", "2024-07-09"}, {"2024-07-10", "2024-07-10"}, {"2024-07-03", "2024-07-15"}, {"2024-07-15", "2024-07-15"}, {"2024-07-31", "2024-07-31"}} {
		s, err := desk.Between(days[0], days[1])
		if err != nil {
			t.Fatal(err)
		}
		spans = append(spans, s)
	}
	var inSQLite []string
	t.Run("sqlite", func(t *testing.T) { inSQLite = sameOver(t, in, desk, spans) })
	t.Run("postgres", func(t *testing.T) {
		copied := newInstallation(t, testpeer.VolatilePostgres(t))
		carryOver(t, in, copied)
		clock := &settable{month.Till.Add(48 * time.Hour)}
		again := newDesk(t, copied, clock)
		stepAll(t, again, clock.now)
		for i, digest := range sameOver(t, copied, again, spans) {
			if digest != inSQLite[i] {
				t.Errorf("the figures of %v differ between the databases", spans[i])
			}
		}
	})
}

// sameOver checks the figures of times, and returns their digests.
func sameOver(t *testing.T, in installation, desk *regulator.Desk, spans []regulator.Span) (digests []string) {
	t.Helper()
	for _, s := range spans {
		p, err := desk.Over(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if p.Summed != s.Till {
			t.Fatalf("summed up until %s, and not until %s", p.Summed, s.Till)
		}
		if len(p.Corrections) != 0 {
			t.Errorf("corrected: %+v", p.Corrections[0].Changed)
		}
		n := same(t, in.raw(t), s, p.Figures)
		t.Logf("%s to %s: %d figures, %d purchases, %d failures", s.From, s.Till, n, p.Figures.Made.Count, len(p.Figures.Failures))
		digests = append(digests, fmt.Sprint(*p.Figures))
	}
	return digests
}

// carried are the tables that figures are counted from, in an order in which they can be filled.
var carried = []string{"account", "purchase", "attempt", "evidence", "posting", "notice", "care_case", "case_file", "case_entry", "callback", "callback_attempt", "incident", "incident_entry",
	"incident_purchase", "sales_pause", "call", "call_refused"}

// carryOver copies what figures are counted from into another database.
func carryOver(t *testing.T, from, to installation) {
	t.Helper()
	a, b := from.raw(t), to.raw(t)
	for _, table := range carried {
		if err := carryTable(t.Context(), a, b, table); err != nil {
			t.Fatalf("copy %s: %v", table, err)
		}
	}
}

func carryTable(ctx context.Context, a, b *sql.DB, table string) error {
	rows, err := a.QueryContext(ctx, `SELECT * FROM `+table) //nolint:gosec // one of a list
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	tx, err := b.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	places := make([]string, len(columns))
	for i := range places {
		places[i] = "$" + strconv.Itoa(i+1)
	}
	insert, err := tx.PrepareContext(ctx, `INSERT INTO `+table+` (`+strings.Join(columns, ", ")+`) VALUES (`+strings.Join(places, ", ")+`)`) //nolint:gosec // likewise
	if err != nil {
		return err
	}
	defer func() { _ = insert.Close() }()
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i := range values {
			if none, is := values[i].([]byte); is && none == nil { // SQLite tells no bytes so
				values[i] = []byte{}
			}
		}
		if _, err := insert.ExecContext(ctx, values...); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return tx.Commit()
}

var (
	_ regulator.Store = (*store.Store)(nil)
	_ purchase.Clock  = (*settable)(nil)
)
