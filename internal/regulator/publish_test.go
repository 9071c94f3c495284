package regulator_test

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/regulator"
	"tenu/internal/regulator/monthly"
	"tenu/internal/testpeer"
)

// writing writes purchases as the store has them, without an engine.
type writing struct {
	*testing.T
	db *sql.DB
}

func (w writing) exec(query string, arguments ...any) {
	w.Helper()
	if _, err := w.db.ExecContext(w.Context(), query, arguments...); err != nil {
		w.Fatalf("%s: %v", query, err)
	}
}

// accounts makes the accounts that the postings are between.
func (w writing) accounts() {
	for i, name := range []string{"wallet/w", "held", "delivered/o", "exposure/o"} {
		w.exec(`INSERT INTO account (id, name, currency) VALUES ($1, $2, 'XOF')`, i+1, name)
	}
}

// buy writes a purchase that was charged at a time, and credited later, or not at all.
func (w writing) buy(id int, at time.Time, creditedAfter time.Duration) {
	w.Helper()
	charged, credited := at.UnixMicro(), int64(0)
	state, due := 2, 1
	if creditedAfter > 0 {
		credited, state, due = at.Add(creditedAfter).UnixMicro(), 3, 0
	}
	w.exec(`INSERT INTO purchase (id, version, epoch, payer_number, recipient, total, fee, units, created_at, charged_at, closed_at, deliver_by, resolve_by, refund_by, watch_till, due_at, charged, held,
			offer, told, state, bundle, again, orphan, exposed, unproven, doubt, closed, acknowledged, client, client_key, channel, language, payer, provider, product, currency, charged_currency, digest)
		VALUES ($1, 3, 1, 22670112233, 22670112233, 1050, 50, 1000, $2, $2, $3, 0, 0, 0, 0, $4, 1050, $5, 1, 0, $6, 0, 0, 0, 0, 0, 0, 0, 0, 'c', $7, 'app', 'fr', 'w', 'o', 'airtime', 'XOF', 'XOF', $8)`,
		id, charged, credited, due, 1050*(due), state, fmt.Sprint(id), []byte{1})
	evidence := func(version int, at int64, leg int) {
		w.exec(`INSERT INTO evidence (purchase, version, at, amount, account, leg, source, kind, partner, ref, currency, product, reason, detail)
			VALUES ($1, $2, $3, 1050, 0, $4, 1, 1, 'p', '', 'XOF', '', '', '')`, id, version, at, leg)
	}
	evidence(2, charged, 1)
	w.exec(`INSERT INTO posting (purchase, version, debit, credit, amount, at, leg, effect) VALUES ($1, 2, 1, 2, 1050, $2, 1, 1)`, id, charged)
	if credited != 0 {
		evidence(3, credited, 2)
		w.exec(`INSERT INTO posting (purchase, version, debit, credit, amount, at, leg, effect) VALUES ($1, 3, 2, 3, 1050, $2, 2, 1)`, id, credited)
	}
}

// TestPublication: a month is published once, with the log's head and the software's version, and lists what is open; what
// is found later is a dated addition, and what was published stays as it was (invariants R2, R3 and R4).
func TestPublication(t *testing.T) {
	for kind, address := range map[string]func(*testing.T) string{"sqlite": inMemory, "postgres": func(t *testing.T) string { return testpeer.VolatilePostgres(t) }} {
		t.Run(kind, func(t *testing.T) { publication(t, newInstallation(t, address(t))) })
	}
}

func publication(t *testing.T, in installation) {
	w := writing{t, in.raw(t)}
	w.accounts()
	at := func(day, hour, minute int) time.Time { return time.Date(2024, 7, day, hour, minute, 0, 0, time.UTC) }
	w.buy(1, at(5, 10, 0), 2*time.Second)
	w.buy(2, at(30, 23, 59), 2*time.Minute) // over midnight
	w.buy(3, at(29, 12, 0), 0)              // held beyond 24 h
	clock := &settable{purchase.At(at(31, 12, 0))}
	desk := newDesk(t, in, clock)
	draw := monthly.Drawer("tenu", time.UTC)
	if _, err := desk.Publish(t.Context(), "2024-07", 0, ng, draw); !errors.Is(err, regulator.ErrOpen) {
		t.Errorf("a month that lasts is published: %v", err)
	}
	clock.now = purchase.At(time.Date(2024, 8, 3, 9, 0, 0, 0, time.UTC))
	if _, err := desk.Publish(t.Context(), "2024-07", 0, ng, draw); !errors.Is(err, regulator.ErrOpen) {
		t.Errorf("a month that is not summed up is published: %v", err)
	}
	stepAll(t, desk, clock.now)
	if due, err := desk.DuePublication(t.Context()); err != nil || due != "2024-07" {
		t.Errorf("%q is due: %v", due, err)
	}
	p, err := desk.Publish(t.Context(), "2024-07", 0, ng, draw)
	if err != nil {
		t.Fatal(err)
	}
	if p.Head != "head 1" || p.Version != "test" || !strings.Contains(p.Data, `"head":"head 1"`) || !strings.Contains(p.Data, `"version":"test"`) {
		t.Errorf("head %q, version %q", p.Head, p.Version)
	}
	if !p.Genuine(desk.Key()) {
		t.Error("the signature is wrong")
	}
	forged := p
	forged.Data = strings.Replace(p.Data, "3150", "3151", 1)
	if forged.Data == p.Data || forged.Genuine(desk.Key()) {
		t.Error("a changed report is genuine")
	}
	m, err := desk.Compose(t.Context(), "2024-07", ng)
	if err != nil || len(m.Open) != 1 || !m.Open[0].Late || m.Open[0].Amount != 1050 {
		t.Errorf("what is open is %+v: %v", m.Open, err)
	}
	if id, err := desk.Unveil("2024-07", m.Open[0].Name); err != nil || id != 3 {
		t.Errorf("the name is of %d: %v", id, err)
	}
	for _, last := range "ABCDEFGHJKMNPQRSTVWXYZ0123456789" { // a name is written in one way
		name := m.Open[0].Name
		other := name[:len(name)-1] + string(last)
		if _, err := desk.Unveil("2024-07", other); (err == nil) != (other == name) {
			t.Errorf("%s is found as %s: %v", name, other, err)
		}
	}
	if _, err := desk.Unveil("2024-08", m.Open[0].Name); !errors.Is(err, regulator.ErrNotFound) {
		t.Errorf("the name holds in another month: %v", err)
	}
	if _, err := desk.Publish(t.Context(), "2024-07", 0, ng, draw); !errors.Is(err, regulator.ErrPublished) {
		t.Errorf("a month is published twice: %v", err)
	}
	kept := dump(t, in)
	s, err := desk.Month("2024-07")
	if err != nil {
		t.Fatal(err)
	}

	// What was decided in July and written in August.
	w.buy(4, at(31, 22, 0), 30*time.Second)
	w.buy(5, at(31, 22, 30), 0)
	clock.now = clock.now.Add(time.Hour)
	made, err := desk.Check(t.Context(), "2024-07-31", 3, clock.now)
	if err != nil || len(made) != 1 || made[0].Day != "2024-07-31" {
		t.Fatalf("corrected: %+v: %v", made, err)
	}
	if !slices.Contains(made[0].Changed, regulator.Change{Figure: "purchases", Was: "0", Is: "2"}) {
		t.Errorf("changed: %+v", made[0].Changed)
	}
	if made, err = desk.Check(t.Context(), "2024-07-31", 3, clock.now.Add(time.Hour)); err != nil || len(made) != 0 {
		t.Errorf("corrected again: %+v: %v", made, err)
	}
	if now := dump(t, in); now != kept {
		t.Error("what was published, or summed up, has changed")
	}
	later, err := desk.Since(t.Context(), &p)
	if err != nil || len(later) != 1 || later[0].At != clock.now {
		t.Errorf("found since: %+v: %v", later, err)
	}
	over, err := desk.Over(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	same(t, in.raw(t), s, over.Figures)
	stepAll(t, desk, clock.now.Add(48*time.Hour))
	if items, err := in.ItemsAt(t.Context(), "2024-08-03"); err != nil || len(items) != 2 {
		t.Errorf("held: %+v: %v", items, err)
	}
}

// dump is what is summed up and published, as it is kept.
func dump(t *testing.T, in installation) string {
	t.Helper()
	var b strings.Builder
	db := in.raw(t)
	for _, query := range []string{`SELECT day, digest, figures FROM regulator_day WHERE day <= '2024-07-31' ORDER BY day`, `SELECT month, digest || signature, data FROM regulator_publication`,
		`SELECT name, digest, month FROM regulator_file ORDER BY name`} {
		if err := dumpRows(t, db, query, &b); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func dumpRows(t *testing.T, db *sql.DB, query string, into *strings.Builder) error {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var one, two, three string
		if err := rows.Scan(&one, &two, &three); err != nil {
			return err
		}
		into.WriteString(one + two + three + "\n")
	}
	return rows.Err()
}

// TestQuestions: both sides are kept, an answer is given once, and lateness is told.
func TestQuestions(t *testing.T) {
	in := newInstallation(t, inMemory(t))
	clock := &settable{purchase.At(time.Date(2024, 7, 10, 9, 0, 0, 0, time.UTC))}
	desk := newDesk(t, in, clock)
	due := clock.now.Add(time.Hour)
	for _, wrong := range []struct {
		subject, text string
		due           purchase.Instant
	}{{"", "x", due}, {"x", " \n", due}, {"x", "y", clock.now}, {strings.Repeat("x", regulator.MaxSubject+1), "y", due}, {"x", strings.Repeat("y", regulator.MaxText+1), due}} {
		if _, err := desk.Ask(t.Context(), 7, wrong.subject, wrong.text, wrong.due); !errors.Is(err, regulator.ErrText) {
			t.Errorf("%.10q, %.10q: %v", wrong.subject, wrong.text, err)
		}
	}
	q, err := desk.Ask(t.Context(), 7, "Retards", "Pourquoi ?\u202e", due)
	if err != nil || q.Text != "Pourquoi ?" {
		t.Fatalf("%+v: %v", q, err)
	}
	if q.Late(clock.now) || !q.Late(due+1) {
		t.Error("late at the wrong time")
	}
	clock.now = due + 1
	if err := desk.Answer(t.Context(), q.ID, 4, ""); !errors.Is(err, regulator.ErrText) {
		t.Errorf("an empty answer: %v", err)
	}
	if err := desk.Answer(t.Context(), q.ID+1, 4, "a"); !errors.Is(err, regulator.ErrNotFound) {
		t.Errorf("an answer to nothing: %v", err)
	}
	if err := desk.Answer(t.Context(), q.ID, 4, "Panne."); err != nil {
		t.Fatal(err)
	}
	if err := desk.Answer(t.Context(), q.ID, 4, "Autre."); !errors.Is(err, regulator.ErrAnswered) {
		t.Errorf("a second answer: %v", err)
	}
	all, err := desk.Questions(t.Context())
	if err != nil || len(all) != 1 || all[0].Answer != "Panne." || all[0].AnsweredBy != 4 || all[0].By != 7 || !all[0].Late(clock.now) {
		t.Errorf("%+v: %v", all, err)
	}
}
