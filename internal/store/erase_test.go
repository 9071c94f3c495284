package store_test

import (
	"bytes"
	"compress/flate"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tenu/internal/person"
	"tenu/internal/purchase"
	"tenu/internal/reconcile"
	"tenu/internal/seal"
	"tenu/internal/store"
	"tenu/internal/storetest"
	"tenu/internal/testpeer"
)

// products runs a test on both databases.
func products(t *testing.T, run func(t *testing.T, kind, dsn string)) {
	t.Run("sqlite", func(t *testing.T) { run(t, "sqlite", fresh(t, "sqlite:"+filepath.Join(t.TempDir(), "tenu.db"))) })
	t.Run("postgres", func(t *testing.T) { run(t, "postgres", fresh(t, testpeer.VolatilePostgres(t))) })
}

// behind opens a database behind the store's back.
func behind(t testing.TB, kind, dsn string) *sql.DB {
	t.Helper()
	driver, source := "pgx", dsn
	if kind == "sqlite" {
		driver, source = "sqlite", "file:"+(&url.URL{Path: strings.TrimPrefix(dsn, "sqlite:")}).EscapedPath()
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// schemaOf lists the columns of every table, and of the views that the other database has as tables.
func schemaOf(t testing.TB, kind string, db *sql.DB) map[string][]string {
	t.Helper()
	query := `SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite_%'`
	if kind == "postgres" {
		query = `SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()`
	}
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	schema := map[string][]string{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			t.Fatal(err)
		}
		schema[table] = append(schema[table], column)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	delete(schema, "goose_db_version")
	return schema
}

// Whoever adds a column says whether it may hold a number, and what becomes of it.
func TestEveryColumnIsTreated(t *testing.T) {
	products(t, func(t *testing.T, kind, dsn string) {
		db := behind(t, kind, dsn)
		for _, wrong := range store.Untreated(schemaOf(t, kind, db)) {
			t.Error(wrong)
		}
		for _, statement := range []string{`ALTER TABLE notice ADD COLUMN said TEXT`, `CREATE TABLE friend (number BIGINT)`} {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		if wrong := store.Untreated(schemaOf(t, kind, db)); len(wrong) != 2 || !strings.HasPrefix(wrong[0], "friend:") || !strings.HasPrefix(wrong[1], "notice.said:") {
			t.Errorf("of a new column and a new table it says %q", wrong)
		}
	})
}

const (
	gone    = purchase.MSISDN(22670123456)
	instead = purchase.MSISDN(123_456_789_012_345_678)
)

// traces are the columns that hold a number, in whatever form: what is stored is looked at as it is, and
// partners' lines unpacked.
func traces(t testing.TB, kind string, db *sql.DB, number purchase.MSISDN) map[string]int {
	t.Helper()
	forms := person.NewForms(number, "226")
	found := map[string]int{}
	for table, columns := range schemaOf(t, kind, db) {
		tracesIn(t, db, table, columns, forms, found)
	}
	return found
}

func tracesIn(t testing.TB, db *sql.DB, table string, columns []string, forms *person.Forms, found map[string]int) {
	t.Helper()
	eachValue(t, db, table, columns, func(column string, v any) {
		if holdsNumber(t, column, v, forms) {
			found[column]++
		}
	})
}

// eachValue goes through every value of a table's columns, which are called "table.column".
func eachValue(t testing.TB, db *sql.DB, table string, columns []string, each func(column string, v any)) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT `+strings.Join(columns, `, `)+` FROM `+table) //nolint:gosec // of the schema
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		values, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			each(table+"."+columns[i], v)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

func holdsNumber(t testing.TB, column string, v any, forms *person.Forms) bool {
	t.Helper()
	switch v := v.(type) {
	case int64:
		return v == int64(forms.Number)
	case string:
		return forms.In(v)
	case []byte:
		if column == "statement_part.lines" && !seal.Sealed(v) {
			there := false
			_, err := reconcile.Rewrite(v, func(l *reconcile.Line) bool {
				there = there || l.Number == forms.Number || forms.In(l.Key+"|"+l.Ref+"|"+l.Original)
				return false
			})
			if err != nil {
				t.Fatal(err)
			}
			return there
		}
		return bytes.Contains(v, binary.BigEndian.AppendUint64(nil, uint64(forms.Number))) || bytes.Contains(v, []byte(strconv.FormatInt(int64(forms.Number), 10)))
	}
	return false
}

// settled are statements that end what a day leaves open.
var settled = []string{
	`UPDATE notice SET sent_at = 1 WHERE sent_at = 0`,
	`UPDATE care_message SET sent_at = 1 WHERE sent_at = 0`,
	`UPDATE care_case SET taken = 1`,
}

// A number that is in every column that may hold it, as every kind of text, is in none when it is
// erased; and the ledger, the log and the invariants are whole.
func TestErasureLeavesNothing(t *testing.T) {
	products(t, func(t *testing.T, kind, dsn string) {
		s := open(t, dsn)
		day := storetest.NewDay(t, s)
		sold := day.SellTo(60, gone)
		db := behind(t, kind, dsn)
		run := func(statement string) {
			t.Helper()
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		for _, statement := range slices.Concat(everywhere(kind, day.Now()), settled) {
			run(statement)
		}
		before := traces(t, kind, db, gone)
		for _, h := range store.Holdings() {
			for _, column := range slices.Concat(h.Numbers, h.Texts) {
				if before[h.Table+"."+column] == 0 && h.Table != "parked" && h.Table != "erasure" {
					t.Errorf("the test puts no number into %s.%s", h.Table, column)
				}
			}
		}
		balances := balancesOf(t, db)
		if before["session.data"] == 0 || before["statement_part.lines"] == 0 {
			t.Errorf("the test puts it into %v", before)
		}
		wanted := store.Wanted{Forms: person.NewForms(gone, "226"), Instead: instead, Now: day.Now, By: "the officer", Reason: "asked by 70 12 34 56"}
		export, err := s.ExportOf(t.Context(), wanted.Forms, day.Now())
		if err != nil {
			t.Fatal(err)
		}
		checkExport(t, export, before)
		e, err := s.Erase(t.Context(), wanted)
		if err != nil {
			t.Fatal(err)
		}
		if e.Counts.Purchases != int64(len(sold)) || e.Counts.Commitments != int64(len(sold)) || e.DoneAt == 0 || e.Reason != "asked by "+person.Mark {
			t.Errorf("the record is %+v", e)
		}
		if left := traces(t, kind, db, gone); len(left) > 0 {
			t.Errorf("left in %v", left)
		}
		if now := balancesOf(t, db); now != balances {
			t.Errorf("the balances were %s, and are %s", balances, now)
		}
		if n := traces(t, kind, db, instead)["purchase.recipient"]; n == 0 {
			t.Error("nothing stands for it")
		}
		if again, err := s.Erase(t.Context(), wanted); !errors.Is(err, person.ErrNothing) {
			t.Errorf("the second time: %+v, %v", again, err)
		}
		if all, err := s.Erasures(t.Context(), 10); err != nil || len(all) != 1 || all[0] != e {
			t.Errorf("the records are %+v, %v", all, err)
		}
		verified(t, s, day.Now())
		if kind == "sqlite" {
			leavesNoBytes(t, s, strings.TrimPrefix(dsn, "sqlite:"))
		}
		// The number is used again, and is a stranger.
		day.SellTo(6, gone)
		if left := traces(t, kind, db, gone); left["purchase.recipient"] != 4 || left["purchase.payer_number"] == 0 {
			t.Errorf("after new purchases: %v", left)
		}
	})
}

// An erasure that stops half way, as when its process dies, is ended by the next call or by a node, under what it began with.
func TestErasureGoesOn(t *testing.T) {
	t.Run("call", func(t *testing.T) { products(t, func(t *testing.T, kind, dsn string) { goesOn(t, kind, dsn, false) }) })
	t.Run("node", func(t *testing.T) { products(t, func(t *testing.T, kind, dsn string) { goesOn(t, kind, dsn, true) }) })
}

func goesOn(t *testing.T, kind, dsn string, node bool) {
	s := open(t, dsn)
	day := storetest.NewDay(t, s)
	day.SellTo(12, gone)
	db := behind(t, kind, dsn)
	for _, statement := range slices.Concat(everywhere(kind, day.Now()), settled) {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	wanted := store.Wanted{Forms: person.NewForms(gone, "226"), Instead: instead, Now: day.Now, By: "the officer", Reason: "asked"}
	wanted.Progress = func(done, _ int) {
		if done == 20 {
			stop()
		}
	}
	if e, err := s.Erase(ctx, wanted); !errors.Is(err, context.Canceled) {
		t.Fatalf("it was not stopped: %+v, %v", e, err)
	}
	left := traces(t, kind, db, gone)
	if left["purchase.recipient"] != 0 || left["erasure.number"] != 1 || left["staff_change.what"] != 1 {
		t.Fatalf("half way the number is in %v", left)
	}
	wanted.Progress, wanted.Instead, wanted.By = nil, instead+1, "another"
	if node {
		ended, err := s.EndErasures(t.Context(), func(n purchase.MSISDN) *person.Forms { return person.NewForms(n, "226") }, day.Now)
		if err != nil || ended != 1 {
			t.Errorf("%d were ended, %v", ended, err)
		}
	} else if e, err := s.Erase(t.Context(), wanted); err != nil || e.Instead != instead {
		t.Errorf("it went on as %+v, %v", e, err)
	}
	all, err := s.Erasures(t.Context(), 2)
	if err != nil || len(all) != 1 {
		t.Fatalf("the records are %+v, %v", all, err)
	}
	e := all[0]
	if e.Instead != instead || e.By != "the officer" || e.Version != 2 || e.ID != 1 {
		t.Errorf("it went on as %+v, %v", e, err)
	}
	if left := traces(t, kind, db, gone); len(left) > 0 {
		t.Errorf("left in %v", left)
	}
	verified(t, s, day.Now())
}

// While something of a number is open it is not erased, and the reason says what.
func TestErasureIsRefused(t *testing.T) {
	products(t, func(t *testing.T, kind, dsn string) {
		s := open(t, dsn)
		day := storetest.NewDay(t, s)
		day.SellTo(12, gone)
		db := behind(t, kind, dsn)
		run := func(statement string) {
			t.Helper()
			if n, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			} else if changed, err := n.RowsAffected(); err != nil || changed == 0 {
				t.Fatalf("%s changes nothing: %v", statement, err)
			}
		}
		for _, statement := range everywhere(kind, day.Now()) {
			run(statement)
		}
		for _, statement := range settled {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		before := traces(t, kind, db, gone)
		wanted := store.Wanted{Forms: person.NewForms(gone, "226"), Instead: instead, Now: day.Now, By: "the officer", Reason: "asked"}
		number := strconv.FormatInt(int64(gone), 10)
		for _, c := range []struct{ kind, begin, end string }{
			{person.OpenPurchase, `UPDATE purchase SET due_at = 5, state = 2 WHERE id = (SELECT max(id) FROM purchase)`, `UPDATE purchase SET due_at = 0, state = 5 WHERE due_at <> 0`},
			{person.OpenWatch, `UPDATE purchase SET due_at = 5, watch_till = 1900000000000000 WHERE id = (SELECT max(id) FROM purchase)`, `UPDATE purchase SET due_at = 0, watch_till = 0 WHERE due_at <> 0`},
			{person.OpenNews, `INSERT INTO parked (purchase, at, asked_at, amount, account, leg, source, kind, ref, currency, product, reason, detail)
				SELECT max(id), 1, 1, 1, 0, 1, 1, 1, '', '', '', '', '' FROM purchase`, `DELETE FROM parked`},
			{person.OpenMatter, `UPDATE report SET taken = 0`, `UPDATE report SET taken = 1`},
			{person.OpenCase, `UPDATE case_file SET status = 1, closed_at = 0, due_at = 1`, `UPDATE case_file SET status = 4, closed_at = 1, due_at = 0`},
			{person.OpenRequest, `UPDATE request SET stage = 1, closed_at = 0, due_at = 1`, `UPDATE request SET stage = 5, closed_at = 1, due_at = 0`},
			{person.OpenCallback, `UPDATE callback SET state = 1, closed_at = 0`, `UPDATE callback SET state = 3, closed_at = 1`},
			{person.OpenCheckout, `UPDATE checkout SET state = 2 WHERE number <> ` + number, `UPDATE checkout SET state = 5`},
			{person.OpenIncident, `UPDATE incident SET status = 3, closed_at = 0`, `UPDATE incident SET status = 4, closed_at = 1`},
			{person.OpenBreak, `UPDATE statement_break SET status = 1`, `UPDATE statement_break SET status = 4`},
			{person.OpenMessage, `UPDATE notice SET sent_at = 0 WHERE to_number = ` + number, `UPDATE notice SET sent_at = 1`},
			{person.OpenMessage, `UPDATE care_message SET sent_at = 0`, `UPDATE care_message SET sent_at = 1`},
			{person.OpenStaff, `INSERT INTO staff_number (staff, number) VALUES (3, ` + number + `)`, `DELETE FROM staff_number`},
		} {
			run(c.begin)
			_, err := s.Erase(t.Context(), wanted)
			var refusal *person.Refusal
			if !errors.As(err, &refusal) || len(refusal.Open) == 0 || refusal.Open[0].Kind != c.kind || refusal.Open[0].String() == "" {
				t.Errorf("with an open %s: %v", c.kind, err)
			}
			run(c.end)
		}
		if now := traces(t, kind, db, gone); !maps.Equal(now, before) {
			t.Errorf("it was in %v, and is in %v", before, now)
		}
		// A message that could not be handed over for days is no longer waited for, and never sent.
		run(`UPDATE notice SET sent_at = 0, at = at - 259200000001 WHERE to_number = ` + number)
		if _, err := s.Erase(t.Context(), wanted); err != nil {
			t.Fatal(err)
		}
		if unsent, err := s.UnsentNotices(t.Context(), 10); err != nil || len(unsent) != 0 {
			t.Errorf("still to be sent: %+v, %v", unsent, err)
		}
	})
}

// verified fails the test for each violation.
func verified(t testing.TB, s *store.Store, now purchase.Instant) {
	t.Helper()
	found, err := s.Verify(t.Context(), store.Verification{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		t.Errorf("violated: %s", v)
	}
}

func balancesOf(t testing.TB, db *sql.DB) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT account, CAST(sum(amount) AS BIGINT) FROM balance GROUP BY account ORDER BY account`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	text := ""
	for rows.Next() {
		var account, amount int64
		if err := rows.Scan(&account, &amount); err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("%d:%d ", account, amount)
	}
	if rows.Err() != nil || text == "" {
		t.Fatalf("balances %q: %v", text, rows.Err())
	}
	return text
}

// leavesNoBytes looks for the number in the files themselves, as digits and as SQLite keeps an integer.
func leavesNoBytes(t testing.TB, s *store.Store, path string) {
	t.Helper()
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	number := binary.BigEndian.AppendUint64(nil, uint64(gone))[2:]
	for _, file := range []string{path, path + "-wal"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range [][]byte{[]byte("22670123456"), []byte("70123456"), []byte("70 12 34 56"), number} {
			if at := bytes.Index(data, form); at >= 0 {
				t.Errorf("%s has % x at %d", filepath.Base(file), form, at)
			}
		}
	}
	kept := binary.BigEndian.AppendUint64(nil, uint64(instead))
	if data, err := os.ReadFile(path); err != nil || !bytes.Contains(data, kept) {
		t.Errorf("the file holds no row as the test looks for it: %v", err)
	}
}

// checkExport: every row that is linked to the number is told, and where else it is mentioned.
func checkExport(t testing.TB, x *person.Export, held map[string]int) {
	t.Helper()
	told := map[string]bool{}
	for _, section := range x.Sections {
		told[section.Kind] = len(section.Rows) > 0
		for _, row := range section.Rows {
			for column, v := range row {
				if slices.Contains([]string{"hash", "secret", "digest"}, column) && section.Kind != "case_file" {
					t.Errorf("%s.%s is told: %v", section.Kind, column, v)
				}
			}
		}
	}
	for column := range held {
		table, _, _ := strings.Cut(column, ".")
		if !told[table] && table != "staff_number" {
			t.Errorf("nothing is told of %s", column)
		}
	}
	if x.Number != "+22670123456" {
		t.Errorf("it is of %s", x.Number)
	}
}

// everywhere are statements that put the number into every column that may hold one.
func everywhere(kind string, now purchase.Instant) []string {
	at := strconv.FormatInt(int64(now), 10)
	blob := func(b []byte) string {
		if kind == "sqlite" {
			return fmt.Sprintf("x'%x'", b)
		}
		return fmt.Sprintf("'\\x%x'", b)
	}
	const paid = `(SELECT min(id) FROM purchase WHERE charged_at <> 0 AND payer_number = {n})`
	all := []string{
		`UPDATE purchase SET client_key = 'order-{n}-1' WHERE id = (SELECT min(id) FROM purchase)`,
		`UPDATE evidence SET detail = 'no line 70-12-34-56', ref = 'TX{n}001', product = 'x {n}' WHERE leg = 1 AND kind = 2`,
		`UPDATE evidence SET account = {n} WHERE leg = 1 AND purchase = ` + paid,
		`UPDATE notice SET text = 'Vous avez envoye 1 050 F CFA a 70 12 34 56' WHERE to_number <> {n}`,
		`INSERT INTO report (purchase, number, at, meant, matter, channel, detail, taken) SELECT id, {n}, {at}, {n}, 'other', 'app', 'je suis le +226 70 12 34 56', 1 FROM purchase WHERE id = ` + paid,
		`INSERT INTO report (purchase, number, at, meant, matter, channel, detail, taken) SELECT id, 22676000001, {at}, {n}, 'other', 'app', 'pour 70.12.34.56', 1 FROM purchase WHERE id = ` + paid,
		`INSERT INTO callback (number, purchase, at, window_at, closed_at, state, channel, language, reason, case_id) VALUES ({n}, 0, {at}, {at}, {at}, 3, 'app', 'fr', 'rappelez le 70123456', 1)`,
		`INSERT INTO callback_attempt (callback, try, staff, at, ended_at, ring, ref) SELECT id, 1, 1, {at}, {at}, 3, 'sip:{n}@pbx' FROM callback`,
		`INSERT INTO checkout (key, number, at, go_at, purchase, total, state, wish, problem, earlier) VALUES ('ussd-{n}-1', {n}, {at}, 0, 0, 1050, 5, '{"Number":"70123456"}', '', 'x{n}')`,
		`INSERT INTO checkout (key, number, at, go_at, purchase, total, state, wish, problem, earlier) VALUES ('other', 22676000001, {at}, 0, 0, 1050, 5, '{"Number":"70123456"}', '', '')`,
		`INSERT INTO one_time_code (number, at, till, tries, hash) VALUES ({n}, {at}, {at}, 0, ` + blob([]byte{1}) + `)`,
		`INSERT INTO tally (name, since, till, count) VALUES ('code/number/+{n}', {at}, {at}, 1)`,
		`INSERT INTO session (token, till, data) VALUES ('token', {at}, ` + blob(binary.BigEndian.AppendUint64(nil, uint64(gone))) + `)`,
		`INSERT INTO ussd_session (number, at, began, dropped_began, ended, session, typed, dropped, dropped_typed) VALUES ({n}, {at}, {at}, 0, 1, 's{n}', '1*70123456*500', 'd{n}', '2*70123456')`,
		`INSERT INTO ussd_session (number, at, began, dropped_began, ended, session, typed, dropped, dropped_typed) VALUES (22676000001, {at}, {at}, 0, 1, 's', '1*70123456*500', '', '')`,
		`INSERT INTO customer (number, at, language, muted) VALUES ({n}, {at}, 'fr', 0)`,
		`INSERT INTO favourite (number, recipient, at, name) VALUES ({n}, 22676000001, {at}, 'Awa'), (22676000001, {n}, {at}, 'Ali 70 12 34 56')`,
		`INSERT INTO push_subscription (endpoint, number, at, key, secret) VALUES ('https://push.example/1', {n}, {at}, ` + blob([]byte{1}) + `, ` + blob([]byte{2}) + `)`,
		`INSERT INTO delivery (centre, ref, at, told_at, state, message, detail) VALUES ('smsc', '{n}-7', {at}, {at}, 1, 'm-{n}', 'absent subscriber 0022670123456')`,
		`INSERT INTO staff_change (at, staff, who, what) VALUES ({at}, 1, 'command', 'asked about 70 12 34 56')`,
		`INSERT INTO case_file (version, number, purchase, owner, owner_till, opened_at, answer_by, resolve_by, paused_at, answered_at, treated_at, due_at, closed_at, changed_at, merged_into,
			status, outcome, prefer, level, reopened, code, matters, rule, incident, channel, language, digest)
			VALUES (1, {n}, 0, 0, 0, {at}, {at}, {at}, 0, 0, 0, 0, {at}, {at}, 0, 4, 0, 0, 0, 0, 'Z', ',other,', '', '', 'app', 'fr', 'other rings at 70 12 34 56')`,
		`INSERT INTO case_entry (case_id, seq, at, staff, by_kind, by_name, event, text) SELECT id, 900, {at}, 1, 3, '', 'note', 'Awa lives in Bobo, 70 12 34 56' FROM case_file WHERE number = {n}`,
		`INSERT INTO case_entry (case_id, seq, at, staff, by_kind, by_name, event, text) SELECT id, 901, {at}, 1, 3, '', 'settled', 'with {n}' FROM case_file WHERE number = {n}`,
		`INSERT INTO case_entry (case_id, seq, at, staff, by_kind, by_name, event, text) VALUES (777, 1, {at}, 1, 3, '', 'note', 'see also 70 12 34 56')`,
		`INSERT INTO care_message (to_number, case_id, callback, at, sent_at, language, text, once) VALUES ({n}, 0, 0, {at}, {at}, 'fr', 'un texte au 70123456', 'incident-1-told-{n}')`,
		`INSERT INTO request (version, purchase, case_id, number, recipient, amount, maker, checker, at, due_at, decided_at, closed_at, result, stage, unproven, tries, kind, product, rule, reason, why)
			VALUES (1, ` + paid + `, 0, {n}, {n}, 1050, 1, 0, {at}, 0, {at}, {at}, 0, 5, 0, 0, 'refund', '', '', 'he of 70-12-34-56 says so', 'not to {n}')`,
		`INSERT INTO treatment (case_id, at, amount, version, rule, step, result) VALUES (1, {at}, 0, 1, 'rule', 'tell', 'told {n}')`,
		`INSERT INTO look (at, staff, number, purchase, case_id, reason) VALUES ({at}, 1, {n}, 0, 0, '70 12 34 56 is on the line')`,
		`INSERT INTO attachment (case_id, at, staff, size, by_kind, by_name, name, type, data) SELECT id, {at}, 1, 1, 3, '', '70123456.png', 'image/png', ` + blob([]byte("22670123456")) + ` FROM case_file WHERE number = {n}`,
		`INSERT INTO bulk (staff, at, go_at, closed_at, done, failed, undone, deed, cases) VALUES (1, {at}, {at}, {at}, 1, 0, 0, '{"text":"dear 70 12 34 56"}', '[1]')`,
		`INSERT INTO case_external (case_id, at, agreed_at, client, external_id) VALUES (1, {at}, 0, 'shop', 'T-{n}')`,
		`INSERT INTO hook_delivery (listener, case_id, seq, at, tried_at, next_at, tries, state, problem) VALUES ('l', 1, 1, {at}, {at}, {at}, 1, 3, '400 of 70123456')`,
		`INSERT INTO incident_delivery (listener, incident, seq, at, tried_at, next_at, tries, state, problem) VALUES ('l', 1, 1, {at}, {at}, {at}, 1, 3, '400 of 70123456')`,
		`INSERT INTO sales_pause (version, dimension, at, ended_at, share, held, staff, ended_by, incident, tries, good, falls, failing, step_at, try_at, next_at, name, reason, end_reason, said)
			VALUES (1, 3, {at}, {at}, 1000, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 'wallet', '70123456 rang', '70123456 again', 'no {n}')`,
		`INSERT INTO incident (version, owner, since, seen_at, paused_at, recovered_at, resolved_at, closed_at, expected_at, changed_at, told, dimension, status, severity, share, graded, worded,
			name, rule, party, title, text) VALUES (1, 0, {at}, {at}, 0, {at}, {at}, {at}, 0, {at}, 1, 2, 4, 2, 1000, 0, 1, 'ocs', '', '', '{"fr":"70123456"}', '{"fr":"70 12 34 56"}')`,
		`INSERT INTO incident_entry (incident, seq, at, staff, event, text) VALUES (1, 1, {at}, 1, 'note', '70 12 34 56 was the first')`,
		`INSERT INTO incident_purchase (incident, purchase, number, at, round) VALUES (1, ` + paid + `, {n}, {at}, 0)`,
		`INSERT INTO incident_customer (incident, number, purchase, told_at, ended_at, said, language, round, told_round) VALUES (1, {n}, ` + paid + `, {at}, {at}, 3, 'fr', 0, 0)`,
		`INSERT INTO stuck_hold (at, staff, partner, reason) VALUES ({at}, 1, 'ocs', 'until 70123456 is asked')`,
		`INSERT INTO status_subscription (number, dimension, at, name, language) VALUES ({n}, 0, {at}, '', 'fr')`,
		`INSERT INTO statement (at, from_at, to_at, lines, replaced, partial, kept, partner, name, format, zone, digest, sums, tally) VALUES ({at}, 1, 2, 2, 0, 0, 1, 'ocs', '{n}.csv', 'csv', 'UTC', 'd', '[]', '{}')`,
		`INSERT INTO statement_part (statement, seq, first, lines) VALUES (1, 0, ` + blob(make([]byte, 9)) + `, ` + blob(packed()) + `)`,
		`INSERT INTO statement_break (version, purchase, statement, number, here, there, moved_at, first_at, found_at, changed_at, place, maker, checker, reopened, looked_at, cause, leg, status, by_table, customer,
			partner, ref, party, currency, detail, correction, reason) VALUES (1, 0, 1, {n}, 0, 1, {at}, {at}, {at}, {at}, 1, 0, 0, 0, 0, 1, 1, 4, 0, 0, 'ocs', 'R{n}', 'ocs', 'XOF', 'of 70123456', '{"Ref":"{n}"}', 'he of 70 12 34 56')`,
		`INSERT INTO statement_break_entry (break_id, seq, at, staff, event, text) VALUES (1, 1, {at}, 1, 'note', '70 12 34 56')`,
		`INSERT INTO agent (staff, version, since, till, number, purchase, case_id, callback, state, extension, call) VALUES (1, 3, {at}, {at}, {n}, 0, 0, 0, 5, '2001', 'c1')`,
		`INSERT INTO call (id, number, purchase, case_id, callback, staff, at, answered_at, queued_at, taken_at, ended_at, unrecorded, trunk, language, incident, release)
			VALUES ('c1', {n}, ` + paid + `, 0, 0, 1, {at}, {at}, {at}, {at}, {at}, 1, 'sbc', 'fr', '', 'spoken')`,
		`INSERT INTO regulator_question (at, staff, due_at, answered_at, answered_by, subject, text, answer) VALUES ({at}, 1, {at} + 1, {at}, 1, '70123456', 'what of 70 12 34 56?', '+226 70 12 34 56 was credited')`,
	}
	for i := range all {
		all[i] = strings.NewReplacer("{n}", strconv.FormatInt(int64(gone), 10), "{at}", at).Replace(all[i])
	}
	return all
}

// packed are two lines of a statement as they are kept, one of the number.
func packed() []byte {
	record := func(number purchase.MSISDN, ref string) []byte {
		b := append(make([]byte, 8), 1, 1, 0)
		b = append(append(b, ref...), 0)
		b = binary.BigEndian.AppendUint64(b, uint64(number))
		b = append(binary.BigEndian.AppendUint64(b, 1050), "XOF\x00\x00\x00"...)
		b = binary.BigEndian.AppendUint64(b, 1)
		return binary.BigEndian.AppendUint64(b, 1)
	}
	var raw, out bytes.Buffer
	for _, r := range [][]byte{record(22676000001, "R1"), record(gone, "R-70123456")} {
		raw.Write(binary.AppendUvarint(nil, uint64(len(r))))
		raw.Write(r)
	}
	z, _ := flate.NewWriter(&out, flate.BestSpeed) // the level is one
	_, _ = z.Write(raw.Bytes())                    // a buffer takes everything
	_ = z.Close()
	return out.Bytes()
}
