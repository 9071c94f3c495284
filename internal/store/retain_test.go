package store_test

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tenu/internal/person"
	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/storetest"
)

// What is older than its time is let go of, kind by kind: purchases keep all but their numbers, and what
// is younger keeps those too.
func TestRetention(t *testing.T) {
	products(t, func(t *testing.T, kind, dsn string) {
		s := open(t, dsn)
		day := storetest.NewDay(t, s)
		old := day.SellTo(60, gone)
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
		// The case that the test wrote is of a purchase, and one purchase is not over.
		run(`UPDATE purchase SET due_at = 5, watch_till = 9 WHERE id = ` + strconv.FormatInt(int64(old[27].ID), 10))
		day.Wait(400 * 24 * time.Hour)
		fresh := day.SellTo(6, gone)
		run(settled[0])
		before := day.Now().Add(-365 * 24 * time.Hour)
		drawn := instead
		retain := func(kind person.Kind, dry bool) int64 {
			t.Helper()
			n, err := s.Retain(t.Context(), store.Aged{Kind: kind, Before: before, Dry: dry, Now: day.Now,
				Draw: func() (purchase.MSISDN, error) { drawn++; return drawn, nil }})
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			return n
		}
		balances, was := balancesOf(t, db), traces(t, kind, db, gone)
		for _, k := range person.Kinds {
			want := retain(k, true)
			if now := traces(t, kind, db, gone); !maps.Equal(was, now) {
				t.Fatalf("to look at %s changed something", k)
			}
			if got := retain(k, false); got == 0 || k != person.Numbers && got != want {
				t.Errorf("%s: %d rows were let go of, and %d foretold", k, got, want)
			}
			if left := retain(k, true); left != 0 && k != person.Numbers || k == person.Numbers && retain(k, false) != 0 {
				t.Errorf("%s: %d rows are left", k, left)
			}
			was = traces(t, kind, db, gone)
		}
		records, err := s.Load(t.Context(), ids(old)...)
		if err != nil {
			t.Fatal(err)
		}
		for i := range records {
			p := &records[i].Purchase
			kept := p.ID == old[27].ID
			if erased := p.PayerNumber != gone && p.Recipient != gone && p.Salt == [16]byte{}; erased == kept {
				t.Errorf("purchase %d, which is kept: %t, has %s and %s", p.ID, kept, p.PayerNumber, p.Recipient)
			}
			if !kept && (!p.PayerNumber.Erased() || !p.Recipient.Erased()) {
				t.Errorf("purchase %d has a number: %s, %s", p.ID, p.PayerNumber, p.Recipient)
			}
		}
		if records, err = s.Load(t.Context(), ids(fresh)...); err != nil {
			t.Fatal(err)
		}
		for i := range records {
			if p := &records[i].Purchase; p.PayerNumber != fresh[i].PayerNumber || p.Recipient != fresh[i].Recipient || p.Salt != fresh[i].Salt {
				t.Errorf("the young purchase %d has %s and %s", p.ID, p.PayerNumber, p.Recipient)
			}
		}
		for _, column := range []string{"attachment.name", "notice.text", "care_message.text", "case_file.digest", "callback.reason", "request.why", "evidence.detail", "look.number", "statement_part.lines"} {
			if table, _, _ := strings.Cut(column, "."); was[column] != 0 {
				t.Errorf("%s of %s still has it", column, table)
			}
		}
		if now := balancesOf(t, db); now != balances {
			t.Errorf("the balances were %s, and are %s", balances, now)
		}
		run(`UPDATE purchase SET due_at = 0, watch_till = 0 WHERE due_at <> 0`)
		if retain(person.Numbers, false) != 1 || retain(person.Numbers, true) != 0 {
			t.Error("what is over at last was not let go of")
		}
		verified(t, s, day.Now())
		all, err := s.Erasures(t.Context(), 100)
		if err != nil || len(all) < 2 || all[0].Cause != person.Retention || all[0].Counts.Purchases != 1 {
			t.Errorf("the records are %+v, %v", all, err)
		}
	})
}

func ids(of []purchase.Purchase) (all []purchase.ID) {
	for i := range of {
		all = append(all, of[i].ID)
	}
	return all
}
