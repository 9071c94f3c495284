package monthly_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"tenu/internal/regulator"
	"tenu/internal/regulator/monthly"
)

// july is a month with something of everything.
func july() *regulator.Monthly {
	f := &regulator.Figures{Made: regulator.Sum{Count: 3, Amount: regulator.Money{"XOF": 3150}}, Charged: regulator.Sum{Count: 3, Amount: regulator.Money{"XOF": 3150}},
		Failures: []regulator.Failure{{Leg: "credit", Code: "no_answer", Party: "provider:=cmd|' /C calc'!A0", Sum: regulator.Sum{Count: 1, Amount: regulator.Money{"XOF": 1050}}}},
		ToRefund: regulator.Times{2: 1}, FromCharge: regulator.Times{864_010: 1},
		Incidents: []regulator.Incident{{ID: 1, Series: "provider:ocs", Seen: 1720532700_000000, Lasted: 6300_000000, Customers: 7}}}
	return &regulator.Monthly{Month: "2024-07", Zone: "UTC", From: 1719792000_000000, Till: 1722470400_000000, Published: 1722600000_000000, Version: "1", Head: "tree 7", Profile: "NG 1",
		Limits: map[string]int64{"refund_within": 30_000, "settle_within": 86_400_000}, Figures: f.Whole(),
		Days: []regulator.MonthlyDay{{Day: "2024-07-09", Figures: f.Whole(), Digest: "x"}},
		Open: []regulator.MonthlyItem{{Name: "ABCDEFGHJK0123456789ABCDEF", Account: "held", Currency: "XOF", Amount: 1050, Since: 1720532700_000000, Late: true}}}
}

func TestForms(t *testing.T) {
	m := july()
	for _, form := range monthly.Forms {
		for _, language := range []string{"fr", "en"} {
			first, kind, err := monthly.Form(m, form, language, "tenu <b>", time.UTC)
			if err != nil || kind == "" || len(first) == 0 {
				t.Fatalf("%s: %v", form, err)
			}
			second, _, err := monthly.Form(m, form, language, "tenu <b>", time.UTC)
			if err != nil || !bytes.Equal(first, second) {
				t.Errorf("%s is another each time (%v)", form, err)
			}
		}
	}
	if _, _, err := monthly.Form(m, "xls", "fr", "tenu", time.UTC); err == nil {
		t.Error("there is no such form")
	}
	page, err := monthly.HTML(m, "fr", "tenu <b>", time.UTC)
	if err != nil || bytes.Contains(page, []byte("<b>")) || !bytes.Contains(page, []byte("tree 7")) || !bytes.Contains(page, []byte("hors délai")) {
		t.Errorf("the page is wrong: %v", err)
	}
	// The headings of figures are five, and then those of lists: failures, incidents, what is open, definitions.
	if n := bytes.Count(page, []byte("<h2>")); n != 9 {
		t.Errorf("%d headings", n)
	}
	paper, err := monthly.PDF(m, "en", "tenu", time.UTC)
	if err != nil || !bytes.HasPrefix(paper, []byte("%PDF-")) {
		t.Errorf("no PDF: %v", err)
	}
}

// TestRows: CSV and Parquet hold the same, and no cell begins a formula.
func TestRows(t *testing.T) {
	m := july()
	rows := monthly.Rows(m)
	text, err := monthly.CSV(m)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || len(lines) != len(rows)+1 {
		t.Fatalf("%d lines of %d rows: %v", len(lines), len(rows), err)
	}
	for _, line := range lines {
		for _, cell := range line {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
				t.Errorf("a cell begins a formula: %q", cell)
			}
		}
	}
	data, err := monthly.Parquet(m)
	if err != nil {
		t.Fatal(err)
	}
	read, err := parquet.Read[monthly.Row](bytes.NewReader(data), int64(len(data)))
	if err != nil || len(read) != len(rows) {
		t.Fatalf("%d rows of %d: %v", len(read), len(rows), err)
	}
	for i := range read {
		if read[i] != rows[i] {
			t.Errorf("row %d is %+v, and not %+v", i, read[i], rows[i])
		}
	}
	text, err = monthly.JSON(m)
	var again regulator.Monthly
	if err != nil || json.Unmarshal(text, &again) != nil || again.Figures.Made.Amount["XOF"] != 3150 || len(again.Open) != 1 {
		t.Errorf("JSON does not read back: %v", err)
	}
}

// TestCellsAreSafe: what begins a formula is marked as text.
func TestCellsAreSafe(t *testing.T) {
	m := july()
	m.Month = "=1+1"
	text, err := monthly.CSV(m)
	if err != nil || !strings.Contains(string(text), "'=1+1") || strings.Contains(string(text), "\n=1+1") {
		t.Errorf("a formula stands in %.200s (%v)", text, err)
	}
}
