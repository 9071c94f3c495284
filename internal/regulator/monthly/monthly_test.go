package monthly_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"tenu/internal/regulator"
	"tenu/internal/regulator/monthly"
	"tenu/internal/sheet/sheettest"
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

var look = flag.String("look", "", "folder that TestLook writes a sample month to")

// busy is a month of a country: thousands of purchases a day, and a day on which a provider did not answer.
func busy() *regulator.Monthly {
	m := july()
	f := (&regulator.Figures{}).Whole()
	m.Days = nil
	for day := 1; day <= 31; day++ {
		d := (&regulator.Figures{Made: regulator.Sum{Count: 12_400 + int64(day)*37, Amount: regulator.Money{"XOF": 12_400_000}}, Credited: regulator.Sum{Count: 12_200 + int64(day)*30, Amount: regulator.Money{"XOF": 12_200_000}},
			Failures: []regulator.Failure{{Leg: "charge", Code: "insufficient_funds", Party: "customer", Sum: regulator.Sum{Count: 150 + int64(day), Amount: regulator.Money{"XOF": 150_000}}},
				{Leg: "charge", Code: "refused", Party: "payer:orange-money", Sum: regulator.Sum{Count: 12, Amount: regulator.Money{"XOF": 12_000}}},
				{Leg: "credit", Code: "not_sent", Party: "tenu", Sum: regulator.Sum{Count: 3, Amount: regulator.Money{"XOF": 3_000}}}},
			ToCredit: regulator.Times{12: 11_000, 40: 1_000, 200: 200, 6000: 5}, ToRefund: regulator.Times{20: 12, 150: 3}, FromCharge: regulator.Times{60: 12, 3000: 3}}).Whole()
		if day == 9 {
			d.Credited.Count = 7_100
			d.Failures = append(d.Failures, regulator.Failure{Leg: "credit", Code: "no_answer", Party: "provider:ocs", Sum: regulator.Sum{Count: 4_870, Amount: regulator.Money{"XOF": 4_870_000}}})
			d.FromCharge[64_000], d.FromCharge[900_000] = 4_700, 170
			d.ToRefund[400] = 4_870
		}
		f.Add(d)
		m.Days = append(m.Days, regulator.MonthlyDay{Day: fmt.Sprintf("2024-07-%02d", day), Figures: d, Digest: "x"})
	}
	f.Incidents, f.Pauses = m.Figures.Incidents, []regulator.Pause{{ID: 3, Series: "provider:ocs", At: 1720532750_000000, Lasted: 6250_000000}}
	m.Figures, m.Head = f.Whole(), "tenu.example/log\n4711\nq1vN0yXoK3J2vG0mXk6o3F9r1kQ2w3e4r5t6y7u8i9o="
	for i := range 60 {
		m.Open = append(m.Open, regulator.MonthlyItem{Name: fmt.Sprintf("ABCDEFGHJ%d0123456789", i), Account: "exposure/orange-money", Currency: "XOF", Amount: int64(500 * (i + 1)), Since: 1720532700_000000})
	}
	m.Corrections = []regulator.MonthlyCorrection{{Day: "2024-07-09", At: 1720700000_000000, Changed: []regulator.Change{{Figure: "credited", Was: "7090", Is: "7100"}}}}
	return m
}

// TestLook draws a busy month; its PDF has the charts of the page. To look at it: go test ./internal/regulator/monthly -run TestLook -args -look DIR.
func TestLook(t *testing.T) {
	for _, language := range []string{"fr", "en"} {
		page, err := monthly.HTML(busy(), language, "tenu", time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		paper, err := monthly.PDF(busy(), language, "tenu", time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		sheettest.Check(t, paper)
		pages, _ := sheettest.Pages(t, paper)
		all := strings.Join(pages, "")
		for _, title := range map[string][]string{"fr": {"Achats par jour", "Échecs par code et partie responsable", "Du débit au crédit ou au remboursement", "De l'échec prouvé au remboursement", "limite 30 s", "Crédit, sans réponse du partenaire",
			"0 F CFA"}, "en": {"Purchases by day", "Failures by code and responsible party", "From the charge to the credit or the refund", "From the proof of failure to the refund", "limit 30 s"}}[language] {
			if !strings.Contains(all, title) || strings.Count(string(page), "<svg ") != 4 {
				t.Errorf("%q is not drawn in %s", title, language)
			}
		}
		for end, data := range map[string][]byte{".pdf": paper, ".html": page} {
			if *look == "" {
				continue
			}
			if err := os.WriteFile(filepath.Join(*look, "month."+language+end), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
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
