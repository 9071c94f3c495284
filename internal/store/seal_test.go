package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/person"
	"tenu/internal/purchase"
	"tenu/internal/reconcile"
	"tenu/internal/seal"
	"tenu/internal/store"
	"tenu/internal/storetest"
	"tenu/internal/testpeer"
)

// keeper makes a keeper of a fresh identity, and returns its recipient and file too.
func keeper(t testing.TB) (k *seal.Keeper, recipient, file string) {
	t.Helper()
	file, recipient, err := seal.NewIdentity()
	if err == nil {
		k, err = seal.NewKeeper([]string{recipient}, file)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k, recipient, file
}

// openSealed opens a store that seals, and logs into out where there is one.
func openSealed(t testing.TB, dsn string, k *seal.Keeper, out *bytes.Buffer) *store.Store {
	t.Helper()
	options := store.Options{Sealing: &store.Sealing{Keeper: k, Now: func() purchase.Instant { return 1 }}}
	if out != nil {
		options.Log = slog.New(slog.NewTextHandler(out, nil))
	}
	s, err := store.Open(t.Context(), dsn, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// What every store does, one that seals does too.
func TestSQLiteSealed(t *testing.T) {
	storetest.RunDatabase(t, func(t testing.TB) storetest.DatabaseSubject {
		dsn := fresh(t, "sqlite:"+t.TempDir()+"/tenu.db")
		return sealedSubject(t, "sqlite", dsn)
	})
}

func TestPostgresSealed(t *testing.T) {
	storetest.RunDatabase(t, func(t testing.TB) storetest.DatabaseSubject {
		return sealedSubject(t, "postgres", fresh(t, testpeer.VolatilePostgres(t)))
	})
}

func sealedSubject(t testing.TB, kind, dsn string) storetest.DatabaseSubject {
	k, _, _ := keeper(t)
	s := openSealed(t, dsn, k, nil)
	return storetest.DatabaseSubject{Database: s, Letters: store.NewLetters(s),
		Again:   func(t testing.TB) storetest.Database { return openSealed(t, dsn, k, nil) },
		Execute: func(t testing.TB, statement string) { t.Helper(); execute(t, kind, dsn, statement) }}
}

// value is one of a sealed column, with what it opens to.
type value struct {
	place  string
	stored []byte
	plain  []byte
}

// valuesOf reads every value of the columns that holdings name as sealed, behind the store's back, and opens it.
func valuesOf(t testing.TB, db *sql.DB, k *seal.Keeper) (all map[string][]value) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT id, recipients, wrapped FROM sealing_key ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var keys []seal.Key
	for rows.Next() {
		var key seal.Key
		if err := rows.Scan(&key.ID, &key.Recipients, &key.Wrapped); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	ring, err := k.Ring(keys)
	if err != nil || rows.Err() != nil {
		t.Fatal(err, rows.Err())
	}
	all = map[string][]value{}
	for _, h := range store.Holdings() {
		for _, column := range h.Sealed {
			all[h.Table+"."+column] = openedColumn(t, db, ring, h.Table, column, h.Keys)
		}
	}
	return all
}

func openedColumn(t testing.TB, db *sql.DB, ring *seal.Ring, table, column string, keys []string) (all []value) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT `+strings.Join(keys, `, `)+`, `+column+` FROM `+table) //nolint:gosec // of the schema
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		values, to := make([]any, len(keys)+1), make([]any, len(keys)+1)
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			t.Fatal(err)
		}
		v := value{place: seal.Where(table+"."+column, values[:len(keys)]...)}
		switch stored := values[len(keys)].(type) {
		case string:
			text, err := ring.OpenText(v.place, stored)
			v.stored, v.plain = []byte(stored), []byte(text)
			if err != nil {
				t.Error(err)
			}
		case []byte:
			if v.stored = stored; true {
				if v.plain, err = ring.OpenBytes(v.place, stored); err != nil {
					t.Error(err)
				}
			}
		}
		if len(v.stored) > 0 {
			all = append(all, v)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func (v *value) sealed() bool { return seal.Sealed(v.stored) || seal.Sealed(string(v.stored)) }

// marked puts words of its own into every sealed column that a day filled, and returns them.
func marked(t testing.TB, db *sql.DB) (all []string) {
	t.Helper()
	for _, h := range store.Holdings() {
		for _, column := range h.Sealed {
			word := "tamarin-" + h.Table + "-" + column + " 70 12 34 56"
			text := `'` + word + `'`
			switch h.Table + "." + column {
			case "bulk.deed":
				text = `'{"Do":"note","Text":"` + word + `"}'`
			case "attachment.data":
				text = `CAST('` + word + `' AS BLOB)`
				if _, err := db.ExecContext(t.Context(), `SELECT sqlite_version()`); err != nil {
					text = `'` + word + `'::bytea`
				}
			case "statement_part.lines":
				continue // packed
			}
			if _, err := db.ExecContext(t.Context(), `UPDATE `+h.Table+` SET `+column+` = `+text+` WHERE length(`+column+`) > 0`); err != nil { //nolint:gosec // of the schema
				t.Fatal(err)
			}
			all = append(all, "tamarin-"+h.Table+"-"+column)
		}
	}
	return all
}

// findWords lists which words stand in any column of the database and, for SQLite, in its files.
func findWords(t testing.TB, s *store.Store, kind, dsn string, db *sql.DB, words []string) (found []string) {
	t.Helper()
	for table, columns := range schemaOf(t, kind, db) {
		found = append(found, findIn(t, db, table, columns, words)...)
	}
	if kind != "sqlite" {
		return found
	}
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"", "-wal"} {
		data, err := os.ReadFile(strings.TrimPrefix(dsn, "sqlite:") + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range words {
			if bytes.Contains(data, []byte(word)) {
				found = append(found, "file"+file+": "+word)
			}
		}
	}
	return found
}

func findIn(t testing.TB, db *sql.DB, table string, columns, words []string) (found []string) {
	t.Helper()
	eachValue(t, db, table, columns, func(column string, v any) {
		text := fmt.Sprintf("%s", v)
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) }) {
			found = append(found, column)
		}
	})
	return found
}

// What was written before sealing began can be read as before once it is sealed, and in the database no more; and an
// erasure takes the number out of it all the same.
func TestSealedLeavesNothingToRead(t *testing.T) {
	products(t, func(t *testing.T, kind, dsn string) {
		plain := open(t, dsn)
		day := storetest.NewDay(t, plain)
		day.SellTo(12, gone)
		db := behind(t, kind, dsn)
		for _, statement := range slices.Concat(everywhere(kind, day.Now()), settled) {
			execute(t, kind, dsn, statement)
		}
		words := marked(t, db)
		if found := findWords(t, plain, kind, dsn, db, words); len(found) < len(words) {
			t.Fatalf("the test wrote into %v only", found)
		}
		k, _, _ := keeper(t)
		s := openSealed(t, dsn, k, nil)
		ctx, stop := context.WithCancel(t.Context())
		_, err := s.SealRows(ctx, store.SealWork{Progress: func(_ string, done, _ int) {
			if done == 3 {
				stop() // its process dies
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("it was not stopped: %v", err)
		}
		half, err := s.SealRows(t.Context(), store.SealWork{Check: true})
		if err != nil || half.Plain == 0 || half.Opened == 0 || half.Lost != 0 {
			t.Errorf("half way: %+v, %v", half, err)
		}
		done, err := s.SealRows(t.Context(), store.SealWork{})
		if err != nil || done.Sealed != half.Plain || done.Lost != 0 {
			t.Errorf("it went on: %+v, %v", done, err)
		}
		if again, err := s.SealRows(t.Context(), store.SealWork{}); err != nil || again.Sealed != 0 {
			t.Errorf("the second time: %+v, %v", again, err)
		}
		for column, values := range valuesOf(t, db, k) {
			if len(values) == 0 {
				t.Errorf("the test puts nothing into %s", column)
			}
			for _, v := range values {
				if !v.sealed() || column != "statement_part.lines" && !bytes.Contains(v.plain, []byte("tamarin")) {
					t.Errorf("%s is %q", v.place, v.stored)
				}
			}
		}
		if found := findWords(t, s, kind, dsn, db, words); len(found) > 0 {
			t.Errorf("it can be read in %v", found)
		}
		verified(t, s, day.Now())
		sealedErasure(t, s, k, kind, day, db)
	})
}

func sealedErasure(t *testing.T, s *store.Store, k *seal.Keeper, kind string, day *storetest.Day, db *sql.DB) {
	t.Helper()
	forms := person.NewForms(gone, "226")
	x, err := s.ExportOf(t.Context(), forms, day.Now())
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(x); !strings.Contains(text, "tamarin-case_entry-text") || !strings.Contains(text, "tamarin-care_message-text") ||
		strings.Contains(text, seal.Mark) || strings.Contains(text, care.Unreadable) {
		t.Errorf("the export is %s", text)
	}
	if _, err := s.Erase(t.Context(), store.Wanted{Forms: forms, Instead: instead, Now: day.Now, By: "the officer", Reason: "asked"}); err != nil {
		t.Fatal(err)
	}
	if left := traces(t, kind, db, gone); len(left) > 0 {
		t.Errorf("left in %v", left)
	}
	for column, values := range valuesOf(t, db, k) {
		for _, v := range values {
			if !v.sealed() || column != "statement_part.lines" && forms.In(string(v.plain)) || column == "statement_part.lines" && holdsNumber(t, column, v.plain, forms) {
				t.Errorf("%s has %q after the erasure", v.place, v.plain)
			}
		}
	}
	if r, err := s.SealRows(t.Context(), store.SealWork{Check: true}); err != nil || r.Plain != 0 || r.Lost != 0 || r.Opened == 0 {
		t.Errorf("after the erasure: %+v, %v", r, err)
	}
}

// written writes into every sealed column by the store's own methods.
func written(t testing.TB, s *store.Store, about purchase.Purchase, now purchase.Instant) care.Case {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	by := care.Actor{Kind: care.ByStaff, Staff: 1}
	file, err := s.ChangeCase(t.Context(), care.Change{Now: care.Case{Version: 1, Number: gone, Purchase: about.ID, OpenedAt: now, ChangedAt: now, DueAt: now + 1,
		Status: care.Open, Code: care.CodePending, Channel: "app", Language: "fr", Digest: "other tamarin", Clock: care.Clock{AnswerBy: now + 2, ResolveBy: now + 3}},
		Entries:  []care.Entry{{At: now, Event: care.EventNote, By: by, Text: "tamarin one"}, {At: now, Event: care.EventNote, By: by, Text: "tamarin two"}},
		Messages: []care.Message{{To: gone, At: now, Language: "fr", Text: "tamarin message"}, {To: gone, At: now, Language: "fr", Text: "tamarin other"}}})
	check(err)
	_, _, err = s.AddReport(t.Context(), care.Report{Purchase: about.ID, Number: gone, At: now, Matter: care.MatterOther, Channel: "app", Detail: "tamarin"})
	check(err)
	_, _, err = s.AddCallback(t.Context(), care.Callback{Number: gone, At: now, WindowAt: now + 10, DueAt: now + 9, Channel: "app", Language: "fr", Reason: "tamarin"}, 10)
	check(err)
	asked, err := s.AddRequest(t.Context(), care.Request{Kind: care.AskRefund, Purchase: about.ID, Number: gone, Amount: 5, Rule: "rule", Stage: care.StageCheck,
		At: now, DueAt: now + 100, Reason: "tamarin"}, care.Periods{}, func(care.Standing) error { return nil })
	check(err)
	asked.Version, asked.Stage, asked.Checker, asked.DecidedAt, asked.ClosedAt, asked.Why = 2, care.StageRefused, auth.StaffID(7), now+30, now+30, "tamarin why"
	check(s.MoveRequest(t.Context(), asked))
	check(s.AddLook(t.Context(), care.Look{At: now, Staff: 1, Number: gone, Reason: "tamarin"}))
	_, err = s.AddAttachment(t.Context(), care.Attachment{Case: file.ID, At: now, By: by, Name: "tamarin.png", Type: "image/png", Data: []byte("tamarin pixels")})
	check(err)
	_, err = s.AddBulk(t.Context(), care.Bulk{Version: 1, Staff: 1, At: now, GoAt: now, Deed: care.Deed{Do: care.EventNote, Text: "tamarin"}, Cases: []care.CaseID{file.ID}})
	check(err)
	st, err := s.BeginStatement(t.Context(), reconcile.Statement{At: now, Span: reconcile.Span{From: 1, To: 2}, Partner: "ocs", Name: "a.csv", Format: "csv", Zone: "UTC", Digest: "d"})
	check(err)
	check(s.PutParts(t.Context(), st.ID, []reconcile.Part{{Seq: 0, First: []byte("0"), Lines: []byte("tamarin lines")}}))
	return file
}

// What the store is given to keep it seals, each column of those that holdings name, and gives back as it was.
func TestWrittenSealed(t *testing.T) {
	products(t, func(t *testing.T, kind, dsn string) {
		k, _, _ := keeper(t)
		s := openSealed(t, dsn, k, nil)
		day := storetest.NewDay(t, s)
		sold := day.SellTo(6, gone)
		file := written(t, s, sold[0], day.Now())
		db := behind(t, kind, dsn)
		for column, values := range valuesOf(t, db, k) {
			if len(values) == 0 {
				t.Errorf("nothing is in %s", column)
			}
			for _, v := range values {
				if !v.sealed() || !bytes.Contains(v.plain, []byte("tamarin")) {
					t.Errorf("%s is kept as %q", v.place, v.stored)
				}
			}
		}
		if found := findWords(t, s, kind, dsn, db, []string{"tamarin"}); len(found) > 0 {
			t.Errorf("it can be read in %v", found)
		}
		history, err := s.History(t.Context(), file.ID)
		if err != nil || len(history) != 2 || history[1].Text != "tamarin two" {
			t.Errorf("the history is %+v, %v", history, err)
		}
		if lines, err := s.PartLines(t.Context(), 1, 0); err != nil || string(lines) != "tamarin lines" {
			t.Errorf("lines %q, %v", lines, err)
		}
		if a, err := s.Attachment(t.Context(), file.ID, 1); err != nil || a.Name != "tamarin.png" || string(a.Data) != "tamarin pixels" {
			t.Errorf("the file is %+v, %v", a, err)
		}
		verified(t, s, day.Now())
	})
}

// What was changed in the database, moved to another row, or sealed by a key that is not there, is found, and named in
// the log; whoever reads the rest reads it.
func TestTamperedIsNamed(t *testing.T) {
	products(t, func(t *testing.T, kind, dsn string) {
		k, _, _ := keeper(t)
		var log bytes.Buffer
		s := openSealed(t, dsn, k, &log)
		day := storetest.NewDay(t, s)
		sold := day.SellTo(6, gone)
		file := written(t, s, sold[0], day.Now())
		db := behind(t, kind, dsn)
		seq := file.Version * care.EntriesPerVersion
		run := func(statement string, arguments ...any) {
			t.Helper()
			if _, err := db.ExecContext(t.Context(), statement, arguments...); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		// The second entry gets the first's text, the case and the first message other bits, the file another key.
		run(`UPDATE case_entry SET text = (SELECT text FROM case_entry WHERE case_id = $1 AND seq = $2) WHERE case_id = $1 AND seq = $2 + 1`, int64(file.ID), seq)
		run(`UPDATE case_file SET digest = replace(digest, 'sealed:1:', 'sealed:1:A') WHERE id = $1`, int64(file.ID))
		run(`UPDATE care_message SET text = replace(text, 'sealed:1:', 'sealed:7:') WHERE id = 1`)
		run(`UPDATE attachment SET data = $1`, append(seal.Prefix[[]byte](9), make([]byte, 90)...))
		run(`UPDATE statement_part SET lines = $1`, append(seal.Prefix[[]byte](1), make([]byte, 90)...))

		history, err := s.History(t.Context(), file.ID)
		if err != nil || len(history) != 2 || history[0].Text != "tamarin one" || history[1].Text != care.Unreadable {
			t.Errorf("the history is %+v, %v", history, err)
		}
		unsent, err := store.NewLetters(s).UnsentNotices(t.Context(), 10)
		if err != nil || len(unsent) != 1 || unsent[0].Text != "tamarin other" {
			t.Errorf("to be sent are %+v, %v", unsent, err)
		}
		if one, err := store.NewLetters(s).UnsentNotices(t.Context(), 1); !errors.Is(err, care.ErrUnreadable) {
			t.Errorf("behind what cannot be read waits %+v, %v", one, err)
		}
		if _, err := s.Attachment(t.Context(), file.ID, 1); !errors.Is(err, care.ErrUnreadable) || !strings.Contains(err.Error(), "attachment.data(1)") {
			t.Errorf("the file: %v", err)
		}
		if _, err := s.PartLines(t.Context(), 1, 0); !errors.Is(err, care.ErrUnreadable) || !strings.Contains(err.Error(), "statement_part.lines(1,0)") {
			t.Errorf("the lines: %v", err)
		}
		// A case whose digest cannot be read goes on, and the digest stays what it is.
		cases, err := s.Cases(t.Context(), file.ID)
		if err != nil || len(cases) != 1 || cases[0].Digest != care.Unreadable {
			t.Fatalf("the case is %+v, %v", cases, err)
		}
		next := cases[0]
		next.Version++
		if _, err := s.ChangeCase(t.Context(), care.Change{Now: next}); err != nil {
			t.Error(err)
		}
		run(`UPDATE case_file SET digest = replace(digest, 'sealed:1:A', 'sealed:1:') WHERE id = $1`, int64(file.ID))
		if cases, err := s.Cases(t.Context(), file.ID); err != nil || cases[0].Digest != "other tamarin" || cases[0].Version != 2 {
			t.Errorf("the case is %+v, %v", cases, err)
		}
		for _, place := range []string{fmt.Sprintf("case_entry.text(%d,%d)", file.ID, seq+1), fmt.Sprintf("case_file.digest(%d)", file.ID), "care_message.text(1)",
			"no data key 7"} {
			if !strings.Contains(log.String(), place) {
				t.Errorf("the log does not name %s: %s", place, log.String())
			}
		}
		if strings.Contains(log.String(), "tamarin") {
			t.Error("the log tells what was sealed")
		}
		r, err := s.SealRows(t.Context(), store.SealWork{Check: true})
		if err != nil || r.Lost != 4 || len(r.Places) != 4 {
			t.Errorf("the check finds %+v, %v", r, err)
		}
	})
}

// A store that holds what is sealed stays closed to who has no identity for it, and says which is needed.
func TestSealedStaysClosed(t *testing.T) {
	products(t, func(t *testing.T, _, dsn string) {
		k, recipient, _ := keeper(t)
		s := openSealed(t, dsn, k, nil)
		if err := s.Write(t.Context(), []care.Message{{To: gone, At: 1, Language: "fr", Text: "tamarin"}}); err != nil {
			t.Fatal(err)
		}
		if closed, err := store.Open(t.Context(), dsn, store.Options{}); !errors.Is(err, store.ErrSealed) || !strings.Contains(err.Error(), recipient) || closed != nil {
			t.Errorf("without an identity: %v", err)
		}
		other, _, _ := keeper(t)
		if _, err := store.Open(t.Context(), dsn, store.Options{Sealing: &store.Sealing{Keeper: other}}); err == nil || !strings.Contains(err.Error(), recipient) {
			t.Errorf("with another identity: %v", err)
		}
		blind, err := store.Open(t.Context(), dsn, store.Options{Blind: true})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = blind.Close() }()
		if letters, err := store.NewLetters(blind).UnsentNotices(t.Context(), 10); err != nil || len(letters) != 0 {
			t.Errorf("blind: %+v, %v", letters, err)
		}
		if _, err := blind.SealRows(t.Context(), store.SealWork{}); !errors.Is(err, store.ErrPlain) {
			t.Errorf("blind: %v", err)
		}
		if _, err := blind.RotateKeys(t.Context()); !errors.Is(err, store.ErrPlain) {
			t.Errorf("blind: %v", err)
		}
	})
}

// What nobody can read keeps no number from being erased; what another can read, and this process cannot, does.
func TestErasureBesideWhatCannotBeRead(t *testing.T) {
	products(t, func(t *testing.T, kind, dsn string) {
		plain := open(t, dsn)
		day := storetest.NewDay(t, plain)
		day.SellTo(12, gone)
		for _, statement := range slices.Concat(everywhere(kind, day.Now()), settled) {
			execute(t, kind, dsn, statement)
		}
		old, _, oldFile := keeper(t)
		var log bytes.Buffer
		retired := openSealed(t, dsn, old, &log)
		if _, err := retired.SealRows(t.Context(), store.SealWork{}); err != nil {
			t.Fatal(err)
		}
		newFile, recipient, err := seal.NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		change, err := seal.NewKeeper([]string{recipient}, oldFile+newFile)
		if err != nil {
			t.Fatal(err)
		}
		s := openSealed(t, dsn, change, &log)
		if _, err := s.RotateKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		wanted := store.Wanted{Forms: person.NewForms(gone, "226"), Instead: instead, Now: day.Now, By: "the officer", Reason: "asked"}
		for name, behind := range map[string]*store.Store{"a retired identity": retired, "no identity": plain} {
			if _, err := behind.Erase(t.Context(), wanted); !errors.Is(err, care.ErrUnreadable) || !strings.Contains(err.Error(), "data key 2") {
				t.Errorf("%s erases: %v", name, err)
			}
		}
		db := behind(t, kind, dsn)
		if _, err := db.ExecContext(t.Context(), `UPDATE statement_part SET lines = $1`, append(seal.Prefix[[]byte](1), make([]byte, 90)...)); err != nil {
			t.Fatal(err)
		}
		if x, err := s.ExportOf(t.Context(), wanted.Forms, day.Now()); err != nil || len(x.Sections) == 0 {
			t.Errorf("the export is %+v, %v", x, err)
		}
		if e, err := s.Erase(t.Context(), wanted); err != nil || e.DoneAt == 0 {
			t.Errorf("the erasure is %+v, %v", e, err)
		}
		if left := traces(t, kind, db, gone); len(left) > 0 {
			t.Errorf("left in %v", left)
		}
		if !strings.Contains(log.String(), "statement_part.lines(") {
			t.Errorf("the log names nothing: %s", log.String())
		}
	})
}

// Anybody can encrypt for a recipient. A data key that somebody else put into the database is not taken up, by a node that
// runs or by one that starts: it would seal from then on what its maker can read.
func TestForeignDataKeyIsRefused(t *testing.T) {
	products(t, func(t *testing.T, kind, dsn string) {
		k, _, _ := keeper(t)
		var log bytes.Buffer
		s := openSealed(t, dsn, k, &log)
		foreign, err := k.Make(seal.Key{})
		if err == nil {
			foreign, err = k.Make(foreign)
		}
		if err != nil {
			t.Fatal(err)
		}
		db := behind(t, kind, dsn)
		if _, err := db.ExecContext(t.Context(), `INSERT INTO sealing_key (id, at, recipients, wrapped) VALUES (2, 1, $1, $2)`, foreign.Recipients, foreign.Wrapped); err != nil {
			t.Fatal(err)
		}
		lease, err := s.Acquire(t.Context(), "node")
		err = errors.Join(err, s.Renew(t.Context(), lease.Epoch), s.Write(t.Context(), []care.Message{{To: gone, At: 1, Language: "fr", Text: "tamarin"}}))
		var stored string
		if err == nil {
			err = db.QueryRowContext(t.Context(), `SELECT text FROM care_message`).Scan(&stored)
		}
		if err != nil || !strings.HasPrefix(stored, seal.Prefix[string](1)) || !strings.Contains(log.String(), "data key 2") {
			t.Errorf("a node that runs writes %q, %v: %s", stored, err, log.String())
		}
		if again, err := store.Open(t.Context(), dsn, store.Options{Sealing: &store.Sealing{Keeper: k}}); err == nil || !strings.Contains(err.Error(), "data key 2") {
			t.Errorf("a node that starts: %v, %v", again, err)
		}
		if _, err := s.RotateKeys(t.Context()); err == nil || !strings.Contains(err.Error(), "data key 2") {
			t.Errorf("a rotation: %v", err)
		}
		// All of them are exchanged for others, that follow each other.
		_, err = db.ExecContext(t.Context(), `DELETE FROM sealing_key`)
		for key := (seal.Key{}); err == nil && key.ID < 3; {
			if key, err = k.Make(key); err == nil {
				_, err = db.ExecContext(t.Context(), `INSERT INTO sealing_key (id, at, recipients, wrapped) VALUES ($1, 1, $2, $3)`, key.ID, key.Recipients, key.Wrapped)
			}
		}
		err = errors.Join(err, s.Renew(t.Context(), lease.Epoch), s.AddLook(t.Context(), care.Look{At: 1, Staff: 1, Number: gone, Reason: "tamarin"}))
		if err == nil {
			err = db.QueryRowContext(t.Context(), `SELECT reason FROM look`).Scan(&stored)
		}
		if err != nil || !strings.HasPrefix(stored, seal.Prefix[string](1)) || !strings.Contains(log.String(), "others now") {
			t.Errorf("after an exchange of all it writes %q, %v: %s", stored, err, log.String())
		}
	})
}
