package main

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/reconcile"
)

// books is what a sandbox partner's statement of the last hour says.
func (s *site) books(t *testing.T, partner string, until time.Time) [][]string {
	t.Helper()
	q := url.Values{"from": {until.Add(-time.Hour).Format(time.RFC3339Nano)}, "until": {until.Format(time.RFC3339Nano)}}
	response, err := http.Get(partner + "/statement?" + q.Encode()) //nolint:noctx // of the loopback
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	in := csv.NewReader(response.Body)
	in.FieldsPerRecord = -1
	rows, err := in.ReadAll()
	if err != nil || len(rows) < 3 {
		t.Fatalf("statement: %v, %v", rows, err)
	}
	return rows
}

// load loads lines as a statement.
func (s *site) load(t *testing.T, partner string, rows [][]string) reconcile.Report {
	t.Helper()
	lines, sum := 0, 0
	var text strings.Builder
	out := csv.NewWriter(&text)
	for i, row := range rows {
		if row[0] == "total" {
			continue
		}
		if i > 1 {
			amount, err := strconv.Atoi(row[4])
			if err != nil {
				t.Fatal(err)
			}
			lines, sum = lines+1, sum+amount
		}
		_ = out.Write(row) // Flush tells
	}
	_ = out.Write([]string{"total", "XOF", strconv.Itoa(lines), strconv.Itoa(sum)})
	out.Flush()
	return s.loadText(t, partner, partner+".csv", text.String())
}

func (s *site) loadText(t *testing.T, partner, name, text string) reconcile.Report {
	t.Helper()
	known, _ := s.node.statements.Known(partner)
	report, err := s.node.statements.Load(t.Context(), name, strings.NewReader(text), known.Mapping, reconcile.Want{Partner: partner}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// entries is an account's statement of some days.
func entries(from, to time.Time, rows ...string) string {
	return fmt.Sprintf(`<Document><BkToCstmrStmt><Stmt><FrToDt><FrDtTm>%s</FrDtTm><ToDtTm>%s</ToDtTm></FrToDt>%s</Stmt></BkToCstmrStmt></Document>`,
		from.Format(time.RFC3339), to.Format(time.RFC3339), strings.Join(rows, ""))
}

func entry(ref string, amount int, at time.Time) string {
	return fmt.Sprintf(`<Ntry><Amt Ccy="XOF">%d</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><DtTm>%s</DtTm></BookgDt><AcctSvcrRef>%s</AcctSvcrRef></Ntry>`,
		amount, at.Format(time.RFC3339), ref)
}

// whole is a wallet's statement of a day on which it charged something.
func whole(day time.Time, amount int) [][]string {
	return [][]string{{"statement", "wallet", day.Format(time.RFC3339), day.AddDate(0, 0, 1).Format(time.RFC3339)},
		{"reference", "key", "leg", "number", "amount", "currency", "product", "original", "at"},
		{"W" + day.Format(time.DateOnly), "", "charge", "22670445566", strconv.Itoa(amount), "XOF", "", "", day.Add(9 * time.Hour).Format(time.RFC3339)}}
}

// TestBreaks drives the pages of breaks in a real browser: a lie of the charging system is found, a maker asks for its
// correction, a checker accepts it, and the customer is refunded; days are settled on an account and closed.
func TestBreaks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if code, stdout, stderr := tenu(t, noEnv, "reconcile", "key", "tenu.example", "--file", filepath.Join(dir, "close-key")); code != 0 {
		t.Fatalf("key: %d\n%s%s", code, stdout, stderr)
	}
	s := startSite(t, func(text string) string {
		text = strings.Replace(text, "\nreconcile:\n", "\nreconcile:\n  sign: file:"+filepath.Join(dir, "close-key")+"\n", 1)
		return strings.Replace(text, "    - {partner: wallet, mapping: sandbox, skew: 5s}\n    - {partner: ocs, mapping: sandbox, skew: 5s}\n",
			"    - {partner: ocs, mapping: sandbox, skew: 100ms}\n    - {partner: bank, mapping: camt053}\n"+
				"    - {partner: wallet, mapping: sandbox, skew: 100ms, settlement: {account: bank, commission: 100, within: 24h}}\n", 1)
	})
	var sold []string
	for i := range 5 {
		sold = append(sold, s.bought(t, fmt.Sprintf("+2267011226%d", i), 5250+int64(i)*1050))
	}
	time.Sleep(time.Second) // a statement's period is over when all of it lies in the past
	now := time.Now().UTC()
	rows := s.books(t, s.sandbox.addresses().Charging, now)
	first := 0
	for i, row := range rows { // which lines are wrong is by whose they are
		switch {
		case i < 2 || row[0] == "total":
		case row[3] == "22670112260":
			first = i
		case row[3] == "22670112261":
			row[4] = "5000"
		case row[3] == "22670112262":
			row[3] = "22670112269"
		case row[3] == "22670112263":
			row[6] = "data-day"
		}
	}
	rows = append(rows[:first:first], rows[first+1:]...)
	rows = append(rows[:len(rows)-1:len(rows)-1], []string{"X1", "", "credit", "22676000000", "2500", "XOF", "airtime", "", now.Add(-time.Minute).Format(time.RFC3339Nano)})
	report := s.load(t, "ocs", rows)
	for _, cause := range []reconcile.Cause{reconcile.CauseLied, reconcile.CauseAmount, reconcile.CauseNumber, reconcile.CauseProduct, reconcile.CauseUnasked} {
		if report.Breaks[cause] != 1 {
			t.Errorf("%s: %d", cause, report.Breaks[cause])
		}
	}
	if report := s.load(t, "wallet", s.books(t, s.sandbox.addresses().Wallet, now)); len(report.Breaks) != 0 {
		t.Errorf("the wallet tells the truth: %+v", report.Breaks)
	}
	today := now.Truncate(24 * time.Hour)
	for back, amount := range map[int]int{6: 50_000, 5: 30_000, 4: 20_000} {
		s.load(t, "wallet", whole(today.AddDate(0, 0, -back), amount))
	}
	// The first day is settled in full, the second in part, the third not at all.
	s.loadText(t, "bank", "bank.xml", entries(today.AddDate(0, 0, -6), today.AddDate(0, 0, -1), entry("B1", 49_500, today.AddDate(0, 0, -5).Add(10*time.Hour)),
		entry("B2", 20_000, today.AddDate(0, 0, -4).Add(10*time.Hour))))
	for back := 6; back >= 3; back-- {
		if _, err := s.node.statements.CloseDay(t.Context(), today.AddDate(0, 0, -back).Format(time.DateOnly), time.UTC, s.node.statements.sign); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.node.statements.Breaks(t.Context(), reconcile.Sift{Cause: reconcile.CauseSettlement, Limit: 10})
	if err != nil || len(all) != 2 || all[1].There != 20_000 || all[1].Here != 29_700 || all[0].There != 0 || all[0].Here != 19_800 || all[0].Party != "wallet" {
		t.Errorf("what is not settled: %+v, %v", all, err)
	}
	browse(t, "breaks.js", map[string]any{"console": "http://" + s.at.console.Addr().String(), "password": s.password, "sold": sold,
		"viewport": map[string]int{"width": 1440, "height": 900}})
	for range 100 {
		lied, err := s.node.store.Load(t.Context(), s.id(t, sold[0]))
		if err == nil && len(lied) == 1 && lied[0].Purchase.State == purchase.Refunded {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Error("what was never credited is not refunded")
}

// id is the purchase of a reference.
func (s *site) id(t *testing.T, reference string) purchase.ID {
	t.Helper()
	keys, err := keyring(t.Context(), s.app, s.node.store)
	if err != nil {
		t.Fatal(err)
	}
	id, err := keys.Parse(reference)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
