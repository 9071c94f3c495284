package storetest

import (
	"slices"
	"testing"

	"tenu/internal/purchase"
	"tenu/internal/store"
)

// tables are those whose rows verification reads.
var tables = []string{"purchase", "attempt", "evidence", "posting", "balance", "notice", "care_case", "account", "lease"}

// planted are faults in a database that none of our code could write, by the
// invariant that each breaks. Purchase 1 is credited, 2 refunded, 3 declined, 4
// crediting, 5 refunded and then credited all the same, 6 charged after its
// decline and still to be refunded.
var planted = []struct {
	invariant, table, statement string
}{
	{"L1", "account", `UPDATE account SET currency = 'XAF' WHERE name = 'fees/app'`},
	{"L1", "account", `DELETE FROM account WHERE name = 'fees/app'`},
	{"L1", "balance", `UPDATE balance SET amount = amount + 1 WHERE account = (SELECT min(id) FROM account)`},
	{"L3", "balance", `UPDATE balance SET amount = amount + 1 WHERE account = (SELECT id FROM account WHERE name = 'delivered/ocs')`},
	{"L3", "balance", `DELETE FROM balance WHERE account = (SELECT id FROM account WHERE name = 'fees/app')`},
	{"L3", "posting", `UPDATE posting SET amount = amount + 1 WHERE purchase = 1 AND leg = 2 AND effect = 2`},
	{"L4", "posting", `INSERT INTO posting SELECT * FROM posting WHERE purchase = 1 AND leg = 2 AND effect = 1`},
	{"L5", "purchase", `UPDATE purchase SET fee = total WHERE id = 1`},
	{"L5", "purchase", `UPDATE purchase SET held = -1 WHERE id = 1`},
	{"L5", "posting", `UPDATE posting SET amount = 0 WHERE purchase = 1 AND effect = 2`},
	{"L6", "evidence", `DELETE FROM evidence WHERE purchase = 1 AND leg = 2`},
	{"L6", "evidence", `UPDATE evidence SET kind = 4 WHERE purchase = 4 AND leg = 1`},
	{"L7", "purchase", `UPDATE purchase SET charged = charged + 1, held = held + 1 WHERE id = 4`},
	{"L7", "purchase", `UPDATE purchase SET held = 1 WHERE id = 1`},
	{"L7", "posting", `DELETE FROM posting WHERE purchase = 2 AND leg = 3`},
	{"L7", "purchase", `UPDATE purchase SET orphan = 0 WHERE id = 6`},
	{"L7", "balance", `UPDATE balance SET amount = amount - 1 WHERE account = (SELECT id FROM account WHERE name = 'held')`},
	{"L7", "balance", `UPDATE balance SET amount = amount - 1 WHERE account = (SELECT id FROM account WHERE name = 'orphans/wallet')`},
	{"P1", "posting", `DELETE FROM posting WHERE purchase = 1 AND leg = 2 AND effect = 1`},
	{"P1", "purchase", `UPDATE purchase SET state = 3 WHERE id = 4`},
	{"P1", "evidence", `UPDATE evidence SET amount = 999 WHERE purchase = 1 AND leg = 2`},
	{"P1", "evidence", `UPDATE evidence SET account = 22600000000 WHERE purchase = 1 AND leg = 2`},
	{"P2", "purchase", `UPDATE purchase SET resolve_by = 1 WHERE id = 4`},
	{"P3", "evidence", `INSERT INTO evidence (purchase, version, at, amount, account, leg, source, kind, partner, ref, currency, product, reason, detail)
		SELECT purchase, 2, at, amount, account, leg, source, kind, partner, 'other', currency, product, reason, detail FROM evidence WHERE purchase = 1 AND leg = 2`},
	{"P4", "evidence", `INSERT INTO evidence (purchase, version, at, amount, account, leg, source, kind, partner, ref, currency, product, reason, detail)
		SELECT purchase, 2, at, amount, account, leg, source, kind, partner, 'other', currency, product, reason, detail FROM evidence WHERE purchase = 2 AND leg = 3`},
	{"P5", "purchase", `UPDATE purchase SET exposed = 0 WHERE id = 5`},
	{"P5", "care_case", `DELETE FROM care_case WHERE purchase = 5`},
	{"P5", "posting", `UPDATE posting SET debit = (SELECT id FROM account WHERE name = 'fees/app') WHERE purchase = 5 AND leg = 2`},
	{"P6", "posting", `UPDATE posting SET amount = amount - 50 WHERE purchase = 2 AND leg = 3`},
	{"P6", "posting", `UPDATE posting SET credit = (SELECT id FROM account WHERE name = 'delivered/ocs') WHERE purchase = 2 AND leg = 3`},
	{"P6", "evidence", `UPDATE evidence SET account = 22600000000 WHERE purchase = 2 AND leg = 3`},
	{"P7", "evidence", `DELETE FROM evidence WHERE purchase = 2 AND leg = 3`},
	{"P7", "purchase", `UPDATE purchase SET closed_at = 0 WHERE id = 3`},
	{"P7", "purchase", `UPDATE purchase SET version = 2 WHERE id = 1`},
	{"P7", "purchase", `DELETE FROM purchase WHERE id = 1`},
	{"P8", "purchase", `UPDATE purchase SET client_key = 'key-1' WHERE id = 2`},
	{"P10", "attempt", `DELETE FROM attempt WHERE purchase = 1 AND leg = 2`},
	{"P10", "attempt", `DELETE FROM attempt WHERE purchase = 4 AND leg = 2`},
	{"P10", "attempt", `UPDATE attempt SET try = 2 WHERE purchase = 3`},
	{"P11", "lease", `DELETE FROM lease`},
	{"P13", "purchase", `UPDATE purchase SET due_at = 0 WHERE id = 4`},
	{"P13", "purchase", `UPDATE purchase SET resolve_by = 0 WHERE id = 4`},
	{"N1", "purchase", `UPDATE purchase SET told = 0 WHERE id = 2`},
	{"N2", "notice", `INSERT INTO notice SELECT purchase, version, to_number, at, sent_at, 1, language, text FROM notice WHERE purchase = 2`},
	{"N2", "notice", `DELETE FROM notice WHERE purchase = 1`},
	{"N2", "notice", `UPDATE notice SET version = 2 WHERE purchase = 1`},
	{"N3", "notice", `INSERT INTO notice SELECT * FROM notice WHERE purchase = 2`},
	{"N4", "notice", `DELETE FROM notice WHERE purchase = 6 AND fact = 8`},
	{"N4", "notice", `DELETE FROM notice WHERE purchase = 7 AND fact = 7`},
}

// stock makes the purchases that planted names.
func stock(shop *shop) {
	absent := answer(purchase.Credit, purchase.Absent, "")
	shop.sell(request(1), charged, credited)
	shop.sell(request(2), charged, refused, refunded)
	shop.sell(request(3), declined)
	shop.sell(request(4), charged)
	late := shop.sell(request(5), charged, answer(purchase.Credit, purchase.Unknown, ""))
	shop.now += 10 * 60_000_000
	absent.AskedAt = shop.now
	late = shop.drive(late, absent, refunded)
	shop.drive(late, credited)
	shop.sell(request(6), declined, charged)
	shop.sell(request(7), charged, credited, answer(purchase.Credit, purchase.Reversed, "credit-1"), refunded)
}

func verifyFindsWhatIsPlanted(t *testing.T, s DatabaseSubject) {
	stock(newShop(t, s))
	verified(t, s, dawn)
	// Without their constraints the tables take anything.
	for _, table := range tables {
		s.Execute(t, `CREATE TABLE sound_`+table+` AS SELECT * FROM `+table)
		s.Execute(t, `DROP TABLE `+table)
		s.Execute(t, `CREATE TABLE `+table+` AS SELECT * FROM sound_`+table)
	}
	checked := map[string]bool{}
	report := func(p store.Progress) { checked[p.Invariant] = true }
	if violations, err := s.Verify(t.Context(), store.Verification{Now: dawn, Report: report}); err != nil || len(violations) != 0 {
		t.Fatalf("before anything is planted: %v, %v", violations, err)
	}
	for _, p := range planted {
		s.Execute(t, p.statement)
		violations, err := s.Verify(t.Context(), store.Verification{Now: dawn})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(violations, func(v store.Violation) bool { return v.Invariant == p.invariant }) {
			t.Errorf("%s does not show in %v after %s", p.invariant, violations, p.statement)
		}
		first, err := s.Verify(t.Context(), store.Verification{Now: dawn, First: true})
		if err != nil || len(first) != 1 || len(violations) == 0 || first[0] != violations[0] {
			t.Errorf("the first violation is %v (%v), of %v", first, err, violations)
		}
		s.Execute(t, `DELETE FROM `+p.table)
		s.Execute(t, `INSERT INTO `+p.table+` SELECT * FROM sound_`+p.table)
	}
	for _, p := range planted {
		delete(checked, p.invariant)
	}
	for invariant := range checked {
		t.Errorf("no fault was planted against %s", invariant)
	}
}
