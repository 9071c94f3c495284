package storetest

import (
	"slices"
	"testing"

	"tenu/internal/care"
	"tenu/internal/incident"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

// tables are those whose rows verification reads.
var tables = []string{"purchase", "attempt", "evidence", "posting", "balance", "notice", "care_case", "account", "lease",
	"case_file", "request", "callback", "callback_attempt", "care_message", "incident", "incident_purchase", "incident_customer", "sales_pause"}

// planted are faults in a database that none of our code could write, by the
// invariant that each breaks. Purchase 1 is credited, 2 refunded, 3 declined, 4
// crediting, 5 refunded and then credited all the same, 6 charged after its
// decline and still to be refunded, 7 taken back by the provider, 8 because people asked.
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
	{"P15", "attempt", `INSERT INTO attempt SELECT purchase, version, at, 4, try, partner FROM attempt WHERE purchase = 4 AND leg = 2`},
	{"P15", "evidence", `INSERT INTO evidence (purchase, version, at, amount, account, leg, source, kind, partner, ref, currency, product, reason, detail)
		SELECT e.purchase, 2, e.at, e.amount, e.account, 4, e.source, 1, e.partner, t.ref, e.currency, e.product, e.reason, e.detail
		FROM evidence e, (SELECT 'one' AS ref UNION ALL SELECT 'two') t WHERE e.purchase = 1 AND e.leg = 2`},
	{"N4", "posting", `INSERT INTO posting SELECT purchase, version, credit, debit, amount, at, 4, effect FROM posting WHERE purchase = 1 AND leg = 2 AND effect = 1`},
	{"P15", "evidence", `INSERT INTO evidence (purchase, version, at, amount, account, leg, source, kind, partner, ref, currency, product, reason, detail)
		SELECT purchase, 2, at, amount, account, leg, source, kind, partner, 'other', currency, product, reason, detail FROM evidence WHERE purchase = 8 AND leg = 4`},
	{"P15", "attempt", `UPDATE attempt SET version = 1 WHERE purchase = 8 AND leg = 4`},
	{"N1", "purchase", `UPDATE purchase SET told = 0 WHERE id = 2`},
	{"N2", "notice", `INSERT INTO notice SELECT purchase, version, to_number, at, sent_at, 1, language, text FROM notice WHERE purchase = 2`},
	{"N2", "notice", `DELETE FROM notice WHERE purchase = 1`},
	{"N2", "notice", `UPDATE notice SET version = 2 WHERE purchase = 1`},
	{"N3", "notice", `INSERT INTO notice SELECT * FROM notice WHERE purchase = 2`},
	{"N4", "notice", `DELETE FROM notice WHERE purchase = 6 AND fact = 8`},
	{"N4", "notice", `DELETE FROM notice WHERE purchase = 7 AND fact = 7`},
	{"C1", "request", `UPDATE request SET result = 0 WHERE kind = 'goodwill'`},
	{"C1", "request", `UPDATE request SET result = 999 WHERE kind = 'goodwill'`},
	{"C2", "request", `UPDATE request SET checker = maker WHERE kind = 'refund'`},
	{"C6", "case_file", `UPDATE case_file SET outcome = 2 WHERE purchase = 1`},
	{"C6", "case_file", `UPDATE case_file SET outcome = 4 WHERE purchase = 3`},
	{"C6", "case_file", `UPDATE case_file SET purchase = 4 WHERE purchase = 1`},
	{"C6", "case_file", `UPDATE case_file SET purchase = 999 WHERE purchase = 2`},
	{"C6", "purchase", `UPDATE purchase SET held = 1 WHERE id = 2`},
	{"C7", "callback", `UPDATE callback SET due_at = 0 WHERE state = 1`},
	{"C7", "callback", `UPDATE callback SET closed_at = 0 WHERE state = 2`},
	{"C7", "callback", `UPDATE callback SET state = 3 WHERE state = 4`},
	{"C7", "callback_attempt", `UPDATE callback_attempt SET ring = 6`},
	{"N4", "notice", `DELETE FROM notice WHERE purchase = 8 AND fact = 11`},
	{"I1", "incident", `UPDATE incident SET status = 1`},
	{"I1", "sales_pause", `UPDATE sales_pause SET ended_at = 0`},
	{"I2", "incident", `UPDATE incident SET status = 4, closed_at = seen_at + 100000000000 WHERE status = 1`},
	{"I3", "care_message", `UPDATE care_message SET once = (SELECT max(once) FROM care_message)`},
	{"I3", "care_message", `DELETE FROM care_message`},
	{"I3", "incident_customer", `UPDATE incident_customer SET told_at = 0`},
	{"I3", "incident_customer", `UPDATE incident_customer SET told_round = 3, round = 3`},
	{"I3", "incident_customer", `UPDATE incident_customer SET round = 1`},
	{"I5", "incident_purchase", `UPDATE incident_purchase SET round = 1`},
	{"I4", "incident", `UPDATE incident SET name = 'ucip'`},
	{"I4", "incident", `UPDATE incident SET dimension = 1`},
	{"I4", "incident", `UPDATE incident SET dimension = 3`},
	{"I4", "incident", `UPDATE incident SET dimension = 4`},
	{"I4", "incident_purchase", `UPDATE incident_purchase SET purchase = 999 WHERE purchase = 4`},
	{"I4", "incident_purchase", `UPDATE incident_purchase SET purchase = 3 WHERE purchase = 4`},
	{"I4", "incident", `DELETE FROM incident`},
	{"I4", "incident_purchase", `INSERT INTO incident_purchase SELECT min(id), 4, 0, 0, 0 FROM incident`},
	{"I4", "incident_purchase", `INSERT INTO incident_purchase SELECT max(id), 2, 0, 0, 0 FROM incident`},
	{"I5", "incident_customer", `DELETE FROM incident_customer`},
	{"I5", "incident_purchase", `UPDATE incident_purchase SET number = number + 1`},
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
	asked := purchase.Event{Leg: purchase.Reversal, Source: purchase.FromStaff, Outcome: purchase.Outcome{Kind: purchase.Asked}}
	shop.sell(request(8), charged, credited, asked, answer(purchase.Reversal, purchase.Done, "reversal-1"), refunded)
}

// cared makes the cases, requests and callbacks that planted names. The case of purchase 5 was settled before
// the credit came, and its openings are still to be taken; that of 4 is open.
func cared(t testing.TB, s DatabaseSubject, now purchase.Instant) {
	t.Helper()
	for id, outcome := range map[purchase.ID]care.Outcome{1: care.OutcomeCredited, 2: care.OutcomeRefunded, 3: care.OutcomeNothingTaken, 5: care.OutcomeCredited} {
		changeCase(t, s, care.Change{Now: settled(changeCase(t, s, care.Change{Now: complaint(id)}), outcome, now)})
	}
	changeCase(t, s, care.Change{Now: complaint(4)})
	gift, back := refundOf(1), refundOf(2)
	gift.Kind = care.AskGoodwill
	gift, back = moved(ask(t, s, gift), care.StageDone), moved(ask(t, s, back), care.StageDone)
	gift.Result, back.Checker = 1, 2
	for _, r := range []care.Request{gift, back} {
		if err := s.MoveRequest(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	kept, broken, follow := promised(t, s, promise(22670000001, 1)), promised(t, s, promise(22670000002, 1)), promise(22670000002, 2)
	kept.Version, kept.State, kept.ClosedAt, kept.DueAt = 2, care.Kept, now, 0
	changeCallback(t, s, care.CallbackChange{Now: kept, Attempt: &care.Attempt{Try: 1, At: now, EndedAt: now, Ring: care.Answered}})
	broken.Version, broken.State, broken.ClosedAt, broken.DueAt = 2, care.Broken, now, 0
	changeCallback(t, s, care.CallbackChange{Now: broken, Follow: &follow})
	open := promised(t, s, promise(22670000003, 1))
	open.Version = 2
	changeCallback(t, s, care.CallbackChange{Now: open})
}

// failed makes the incidents that planted names: one that was closed, and one that is open and affects what is open too.
// Their customers are told.
func failed(t testing.TB, s DatabaseSubject, now purchase.Instant) {
	t.Helper()
	for n := range 2 {
		i := outage("ocs")
		pause := incident.Pause{Version: 1, Series: i.Series, At: now}
		i = changeIncident(t, s, incident.Change{Now: i, Pauses: []incident.Pause{pause}})
		reach := incident.Reach{From: dawn, Till: now, At: now + 60*minute}
		if n == 0 {
			reach.Till = dawn + 10_000
		}
		affect(t, s, &i, reach)
		customers, err := s.Untold(t.Context(), i.ID, 10)
		if err != nil || len(customers) == 0 {
			t.Fatalf("untold %+v, %v", customers, err)
		}
		for _, c := range customers {
			tellings := []incident.Telling{
				{Says: incident.SaidHappened, Message: care.Message{To: c.Number, At: now, Key: i.ID.Key("told", 0, c.Number)}},
				{Says: incident.SaidEnded, Message: care.Message{To: c.Number, At: now, Key: i.ID.Key("ended", 0, c.Number)}}}
			if told, err := s.Tell(t.Context(), i.ID, tellings); err != nil || told != 2 {
				t.Fatalf("told %d, %v", told, err)
			}
		}
		if n == 1 {
			break
		}
		i.Version, i.Status, i.ClosedAt = 2, incident.Closed, now
		changeIncident(t, s, incident.Change{Now: i})
		pauses, err := s.Pauses(t.Context(), 0)
		if err != nil || len(pauses) != 1 {
			t.Fatalf("pauses %+v, %v", pauses, err)
		}
		pauses[0].Version, pauses[0].Share, pauses[0].EndedAt = 2, 1000, now
		if _, err := s.ChangePause(t.Context(), pauses[0]); err != nil {
			t.Fatal(err)
		}
	}
}

func verifyFindsWhatIsPlanted(t *testing.T, s DatabaseSubject) {
	shop := newShop(t, s)
	stock(shop)
	cared(t, s, shop.now+1)
	failed(t, s, shop.now+1)
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
