package main

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver that the test looks with behind the store's back

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/customer"
	"tenu/internal/person"
	"tenu/internal/purchase"
	"tenu/internal/reconcile"
	"tenu/internal/telemetry"
	"tenu/internal/testpeer"
)

// Somebody buys, complains, is called, is written about in every place that there is, and asks to be
// forgotten: then no trace of the number is in the database, in its files, in an export, in the
// regulator's report, in the published log or in the node's own log, the audit passes, and the number can buy
// again.
func TestPersonIsForgotten(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { forget(t, "") })
	t.Run("postgres", func(t *testing.T) { forget(t, testpeer.VolatilePostgres(t)) })
}

const (
	departed = purchase.MSISDN(22670458213)
	national = "70458213"
	apart    = "70 45 82 13"
)

// forms find the number as people and programs write it.
var departedForms = person.NewForms(departed, "226")

// forgotten is an installation with a customer who will be.
type forgotten struct {
	*site
	t        *testing.T
	dsn      string // of PostgreSQL
	log      output
	config   string
	case1    care.Case
	callback care.Callback
	receipt  string
}

func forget(t *testing.T, dsn string) {
	f := &forgotten{t: t, dsn: dsn}
	log, err := telemetry.NewLogger(&f.log, "json", "debug")
	if err != nil {
		t.Fatal(err)
	}
	f.site = startLogged(t, func(text string) string {
		if dsn != "" {
			text = strings.Replace(text, `dsn: "sqlite:tenu.db"`, `dsn: "`+dsn+`"`, 1)
		}
		return strings.Replace(text, "profile:\n", "profile:\n  watch_for: 1s\n", 1) + "retention: {attachments: 400, numbers: 4000}\nlog: {format: json, level: debug}\n"
	}, log)
	f.config = filepath.Join(f.Dir, "tenu.yaml")
	f.live()
	f.complain()
	f.statements()
	before := f.traces()
	for _, column := range []string{"purchase.payer_number", "notice.text", "case_entry.text", "case_file.digest", "callback.number", "look.number", "attachment.data",
		"care_message.to_number", "statement_part.lines", "customer.number", "ussd_session.number", "favourite.recipient"} {
		if before[column] == 0 {
			t.Errorf("nothing of the number is in %s: the test looks for nothing there", column)
		}
	}
	f.refused()
	f.over()
	if text := f.tenu(exitDone, "person", "export", national, "--config", f.config); !departedForms.In(text) || !strings.Contains(text, "habite à Bobo") {
		t.Errorf("the export is %s", text)
	}
	f.tenu(exitDone, "person", "erase", apart, "--reason", "demande du "+apart, "--by", "dpo", "--config", f.config)
	if left := f.traces(); len(left) > 0 {
		t.Errorf("the number is left in %v", left)
	}
	f.searched()
	if text := f.tenu(exitDone, "person", "erase", national, "--reason", "encore", "--by", "dpo", "--config", f.config); !strings.Contains(text, "Nothing of the number is held") {
		t.Errorf("the second time: %s", text)
	}
	if text := f.tenu(exitDone, "person", "erased", "--config", f.config); !strings.Contains(text, "request by dpo: demande du "+person.Mark) {
		t.Errorf("the record is %s", text)
	}
	if text := f.tenu(exitDone, "retention", "--dry-run", "--config", f.config); !strings.Contains(text, "texts        kept for good") || !strings.Contains(text, "numbers      before ") {
		t.Errorf("retention says %s", text)
	}
	// The number is a stranger that may buy.
	f.bought(t, "+"+fmt.Sprint(int64(departed)), 1050)
	if now := f.traces(); now["purchase.recipient"] != 1 || now["case_file.number"] != 0 {
		t.Errorf("after another purchase it is in %v", now)
	}
	f.quiet()
	f.logged()
	f.halt()
	if dsn == "" {
		f.files()
	}
}

// live buys in every way, and leaves what a customer leaves.
func (f *forgotten) live() {
	f.t.Helper()
	ctx := f.t.Context()
	mine := "+" + fmt.Sprint(int64(departed))
	f.fault(f.t, f.sandbox.addresses().SMS, `{"operation":"message","kind":"refuse","next":1}`) // which the log tells of
	f.bought(f.t, mine, 1050)
	for _, w := range []wish{{Number: "+22676112299", Payer: mine}, {Number: mine, Payer: "+22676112299"}} {
		w.Product, w.Amount, w.Currency, w.PayWith, w.Again = "airtime", 2100, "XOF", "wallet", true
		p, err := f.remote.buy(ctx, "order-"+w.Number+w.Payer, &w, 10)
		if err != nil {
			f.t.Fatal(err)
		}
		f.receipt = p.Reference
	}
	g := dialAt(f.t, f.site)
	c := &caller{dialled: g, number: national}
	c.begin("")
	c.enter("1")
	s := f.node.store
	now := f.app.clock.Now()
	for what, err := range map[string]error{
		"choices":   s.SetChoices(ctx, departed, customer.Choices{Language: "en"}, now),
		"favourite": s.PutFavourite(ctx, departed, customer.Favourite{Recipient: 22676112299, Name: "Awa"}, now, 5),
		"of others": s.PutFavourite(ctx, 22676112299, customer.Favourite{Recipient: departed, Name: "Ali " + apart}, now, 5),
		"session":   s.PutSession(ctx, "token", binary.BigEndian.AppendUint64(nil, uint64(departed)), now.Add(time.Hour)),
	} {
		if err != nil {
			f.t.Fatalf("%s: %v", what, err)
		}
	}
}

// complain opens a case with everything that people write, and promises a callback.
func (f *forgotten) complain() {
	f.t.Helper()
	ctx := f.t.Context()
	awa := f.clerk(f.t, "awa")
	awa.admitted("+" + fmt.Sprint(int64(departed)))
	f.clerkReads(awa)
	people, err := f.node.store.People(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	var agent auth.Staff
	for _, p := range people {
		if p.Login == "awa" {
			agent = p
		}
	}
	by := care.Actor{Kind: care.ByStaff, Staff: agent.ID}
	desk := f.node.care
	f.case1, _, err = desk.Open(ctx, care.Actor{Kind: care.ByCustomer}, care.NewCase{Number: departed, Matter: "other", Detail: "je suis le " + apart, Channel: "app", Language: "fr"})
	if err != nil {
		f.t.Fatal(err)
	}
	f.act(by, care.Deed{Do: care.EventNote, Text: "Le " + apart + " habite à Bobo, rue 12"})
	f.act(by, care.Deed{Do: care.EventTold, Text: "Votre demande du " + national + " est traitée"})
	if _, err := desk.Attach(ctx, f.case1.ID, by, "capture-"+national+".txt", []byte("mon numero est le "+fmt.Sprint(int64(departed))+"\n")); err != nil {
		f.t.Fatal(err)
	}
	windows, err := desk.Windows(ctx, 1)
	if err != nil || len(windows) == 0 {
		f.t.Fatalf("windows: %v, %v", windows, err)
	}
	f.callback, _, err = desk.Promise(ctx, care.Callback{Number: departed, WindowAt: windows[0], Channel: "app", Language: "fr", Reason: "au " + apart, Case: f.case1.ID})
	if err != nil {
		f.t.Fatal(err)
	}
}

// clerkReads lets somebody of the staff look at the customer's pages, whose addresses hold the number.
func (f *forgotten) clerkReads(c *clerk) {
	f.t.Helper()
	for _, path := range []string{"/customers/+" + fmt.Sprint(int64(departed)), "/search?q=" + url.QueryEscape(apart)} {
		c.get(path)
	}
}

// act does a deed to the case as it stands.
func (f *forgotten) act(by care.Actor, deed care.Deed) {
	f.t.Helper()
	c, err := f.node.care.Case(f.t.Context(), f.case1.ID)
	if err == nil {
		f.case1, err = f.node.care.Act(f.t.Context(), c.ID, c.Version, by, deed)
	}
	if err != nil {
		f.t.Fatalf("%s: %v", deed.Do, err)
	}
}

// statements loads what the partners' books say.
func (f *forgotten) statements() {
	f.t.Helper()
	till := time.Now()
	query := url.Values{"from": {till.Add(-time.Hour).Format(time.RFC3339Nano)}, "to": {till.Format(time.RFC3339Nano)}}
	for partner, at := range map[string]string{"wallet": f.sandbox.addresses().Wallet, "ocs": f.sandbox.addresses().Charging} {
		response, err := http.Get(at + "/statement?" + query.Encode()) //nolint:noctx // of the loopback
		if err != nil {
			f.t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			f.t.Fatalf("statement: %d, %v: %s", response.StatusCode, err, text)
		}
		path := filepath.Join(f.t.TempDir(), partner+".csv")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			f.t.Fatal(err)
		}
		f.tenu(exitDone, "reconcile", path, "--config", f.config, "--partner", partner)
	}
}

// refused: what is open is told, and nothing is changed.
func (f *forgotten) refused() {
	f.t.Helper()
	before := f.traces()
	text := f.tenu(exitFailed, "person", "erase", national, "--reason", "demande", "--by", "dpo", "--config", f.config)
	for _, want := range []string{"a case is open", "a callback is promised"} {
		if !strings.Contains(text, want) {
			f.t.Errorf("the refusal lacks %q: %s", want, text)
		}
	}
	if preview := f.tenu(exitDone, "person", "erase", national, "--reason", "demande", "--by", "dpo", "--dry-run", "--config", f.config); !strings.Contains(preview, "a case is open") || !strings.Contains(preview, "purchase") {
		f.t.Errorf("the preview says %s", preview)
	}
	if now := f.traces(); len(now) != len(before) {
		f.t.Errorf("a refused erasure changed %v to %v", before, now)
	}
	f.tenu(exitUsage, "person", "erase", "12", "--reason", "demande", "--by", "dpo", "--config", f.config)
	f.tenu(exitUsage, "person", "erase", national, "--reason", " ", "--by", "dpo", "--config", f.config)
}

// over ends the case and the callback, and waits for all that is still under way.
func (f *forgotten) over() {
	f.t.Helper()
	ctx := f.t.Context()
	if _, err := f.node.care.Cancel(ctx, f.callback.ID, departed); err != nil {
		f.t.Fatal(err)
	}
	f.act(care.Actor{Kind: care.ByCustomer}, care.Deed{Do: care.EventWithdrawn, Text: "merci, " + apart})
	f.quiet()
}

// quiet waits until nothing of the number is open.
func (f *forgotten) quiet() {
	f.t.Helper()
	soon(f.t, "nothing of the number is open", 30*time.Second, func() bool {
		open, err := f.node.store.Unsettled(f.t.Context(), departedForms, f.app.clock.Now())
		return err == nil && len(open) == 0
	})
}

// tenu runs a command and returns all that it printed.
func (f *forgotten) tenu(code int, args ...string) string {
	f.t.Helper()
	got, out, problems := tenu(f.t, noEnv, args...)
	if got != code {
		f.t.Fatalf("tenu %s exits with %d, not %d: %s%s", strings.Join(args, " "), got, code, out, problems)
	}
	return out + problems
}

// searched looks for the number in everything that the installation gives out, and audits it.
func (f *forgotten) searched() {
	f.t.Helper()
	dir := f.t.TempDir()
	texts := map[string]string{
		"export": strings.ReplaceAll(f.tenu(exitDone, "person", "export", national, "--config", f.config), `"number": "+`+fmt.Sprint(int64(departed))+`"`, ""), // whose it is
		"erased": f.tenu(exitDone, "person", "erased", "--json", "--config", f.config),
		"breaks": f.tenu(exitDone, "reconcile", "breaks", "--json", "--config", f.config),
	}
	var export person.Export
	if err := json.Unmarshal([]byte(f.tenu(exitDone, "person", "export", national, "--config", f.config)), &export); err != nil || len(export.Sections) != 0 {
		f.t.Errorf("the export still tells of %+v, %v", export.Sections, err)
	}
	regulator := reads(f.t, f.at.regulator.Addr().String(), "ines", f.password)
	for _, path := range []string{"/", "/period", "/incidents", "/published", "/questions"} {
		regulator.get(path)
		regulator.has(http.StatusOK)
		texts["regulator "+path] = regulator.page
	}
	regulator.post("/open", url.Values{"reason": {"contrôle du jour"}})
	texts["regulator /open"] = regulator.page
	f.tenu(exitDone, "log", "export", "--config", f.config, filepath.Join(dir, "log"))
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, path)
		texts[path] = string(data)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	clerk := f.clerk(f.t, "fatou")
	for _, path := range []string{"/queue?view=all", "/board.json", "/audit", "/purchases/" + f.receipt} {
		status, text := clerk.get(path)
		if status != http.StatusOK && status != http.StatusSeeOther {
			f.t.Errorf("%s: %d", path, status)
		}
		texts[path] = text
	}
	for what, text := range texts {
		if departedForms.In(text) {
			f.t.Errorf("%s holds the number: %.2000s", what, text)
		}
	}
	if text := f.tenu(exitDone, "verify", "--config", f.config); !strings.Contains(text, "no violation") {
		f.t.Errorf("verify says %s", text)
	}
	soon(f.t, "the log has all leaves", 20*time.Second, func() bool {
		waiting, _, err := f.node.store.LogWaiting(f.t.Context())
		return err == nil && waiting == 0
	})
	if text := f.tenu(exitDone, "audit", "--config", f.config); !strings.Contains(text, "sound") || !regexp.MustCompile(`erasure request +1\b`).MatchString(text) {
		f.t.Errorf("the audit says %s", text)
	}
}

// logged: the node's log tells of the customer by a token alone.
func (f *forgotten) logged() {
	f.t.Helper()
	text := f.log.text()
	if departedForms.In(text) {
		for line := range strings.Lines(text) {
			if departedForms.In(line) {
				f.t.Errorf("the log holds the number: %s", line)
			}
		}
	}
	token := strings.TrimSpace(f.tenu(exitDone, "person", "token", national, "--config", f.config))
	if strings.Count(text, `"msg":"request"`) < 5 || !strings.Contains(text, `"to":"`+token+`"`) || !regexp.MustCompile(`"msg":"notice refused".*"to":"number-[a-z2-7]{13}"`).MatchString(text) {
		f.t.Errorf("the log does not tell what the test looks for: %s", text)
	}
}

// traces are the columns of the database that hold the number, and how often.
func (f *forgotten) traces() map[string]int {
	f.t.Helper()
	db, tables := f.behind()
	defer func() { _ = db.Close() }()
	found := map[string]int{}
	for _, table := range tables {
		f.tracesIn(db, table, found)
	}
	return found
}

// tracesIn counts the rows of one table by the column that holds the number.
func (f *forgotten) tracesIn(db *sql.DB, table string, found map[string]int) {
	f.t.Helper()
	rows, err := db.QueryContext(f.t.Context(), `SELECT * FROM `+table) //nolint:gosec // a table of the schema
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		f.t.Fatal(err)
	}
	for rows.Next() {
		values, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			f.t.Fatal(err)
		}
		for i, v := range values {
			if inValue(table+"."+columns[i], v) {
				found[table+"."+columns[i]]++
			}
		}
	}
	if err := rows.Err(); err != nil {
		f.t.Fatal(err)
	}
}

func inValue(column string, v any) bool {
	b, octets := v.([]byte)
	if !octets {
		return departedForms.In(fmt.Sprint(v))
	}
	if column == "statement_part.lines" {
		there := false
		_, err := reconcile.Rewrite(b, func(l *reconcile.Line) bool {
			there = there || departedForms.In(fmt.Sprintf("%+v", *l))
			return false
		})
		return there || err != nil
	}
	return departedForms.In(string(b)) || bytes.Contains(b, binary.BigEndian.AppendUint64(nil, uint64(departed)))
}

// behind opens the database behind the store's back, and lists its tables.
func (f *forgotten) behind() (*sql.DB, []string) {
	f.t.Helper()
	driver, source := "sqlite", "file:"+filepath.Join(f.Dir, "tenu.db")+"?mode=ro"
	query := `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`
	if f.dsn != "" {
		driver, source, query = "pgx", f.dsn, `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()`
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		f.t.Fatal(err)
	}
	rows, err := db.QueryContext(f.t.Context(), query)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			f.t.Fatal(err)
		}
		tables = append(tables, name)
	}
	if err := rows.Err(); err != nil || len(tables) < 50 {
		f.t.Fatalf("%d tables, %v", len(tables), err)
	}
	return db, tables
}

// files looks for the number in the bytes of the database's files, once it is erased again.
func (f *forgotten) files() {
	f.t.Helper()
	f.tenu(exitDone, "person", "erase", national, "--reason", "encore", "--by", "dpo", "--config", f.config)
	number := binary.BigEndian.AppendUint64(nil, uint64(departed))[2:]
	for _, name := range []string{"tenu.db", "tenu.db-wal", "tenu.db-shm"} {
		data, err := os.ReadFile(filepath.Join(f.Dir, name))
		if err != nil && !os.IsNotExist(err) {
			f.t.Fatal(err)
		}
		for _, form := range [][]byte{[]byte(national), []byte(apart), []byte("70-45-82-13"), number} {
			if at := bytes.Index(data, form); at >= 0 {
				f.t.Errorf("%s has % x at %d", name, form, at)
			}
		}
	}
	f.tenu(exitDone, "verify", "--config", f.config)
}
