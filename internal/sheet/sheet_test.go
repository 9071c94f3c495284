package sheet_test

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	"tenu/internal/chart"
	"tenu/internal/sheet"
	"tenu/internal/sheet/sheettest"
)

func begun(small bool) *sheet.Sheet {
	return sheet.New(sheet.Config{Title: "Relevé", Author: "tenu", Language: "fr", Made: time.Date(2026, 7, 9, 14, 0, 0, 0, time.UTC), Small: small,
		Foot: func(page int) (string, string) { return "tenu · Relevé", "page " + strconv.Itoa(page) + " sur {nb}" }})
}

func written(t *testing.T, s *sheet.Sheet) (pdf []byte, pages []string, strokes int) {
	t.Helper()
	pdf, err := s.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	sheettest.Check(t, pdf)
	pages, strokes = sheettest.Pages(t, pdf)
	return pdf, pages, strokes
}

// TestTablesGoOn: a long table has its head on each page, every row on one, and pages have their numbers.
func TestTablesGoOn(t *testing.T) {
	for _, small := range []bool{false, true} {
		s := begun(small)
		table := &sheet.Table{Title: "Débits", Head: []string{"Nom", "Montant"}, Widths: []float64{60, 40}, Align: "LR"}
		for i := range 150 {
			table.Rows = append(table.Rows, []string{"ligne\nn° " + strconv.Itoa(i), "−1\u202f050"})
		}
		s.Table(table)
		_, pages, _ := written(t, s)
		if len(pages) < 6 {
			t.Fatalf("%d pages", len(pages))
		}
		all := strings.Join(pages, "")
		for i := range 150 {
			if n := strings.Count(all, "n° "+strconv.Itoa(i)+"\n"); n != 1 {
				t.Errorf("row %d stands %d times", i, n)
			}
		}
		for i, page := range pages {
			if strings.Count(page, "Montant\n") != 1 || !strings.Contains(page, "page "+strconv.Itoa(i+1)+" sur "+strconv.Itoa(len(pages))) || !strings.Contains(page, "–1 050") {
				t.Errorf("page %d of %d is %s", i+1, len(pages), page)
			}
		}
	}
}

// TestLongTexts: a cell longer than a page is cut, a word longer than a line is broken, and nothing of nothing is written.
func TestLongTexts(t *testing.T) {
	s := begun(true)
	s.Write(sheet.Body, "")
	s.Table(&sheet.Table{Title: "Nothing"})
	s.Table(&sheet.Table{Widths: []float64{60, 40}, Align: "LL", Rows: [][]string{{strings.Repeat("word ", 3000), strings.Repeat("x", 100)}, {"last", ""}}})
	_, pages, _ := written(t, s)
	all := strings.Join(pages, "")
	if len(pages) > 3 || strings.Contains(all, "Nothing") || !strings.Contains(all, "last") || strings.Count(strings.ReplaceAll(all, "\n", ""), "x") < 100 {
		t.Errorf("%d pages: %s", len(pages), all)
	}
	if again, _, _ := written(t, begun(true)); len(again) == 0 {
		t.Error("an empty sheet is nothing")
	}
}

// TestChartAndCode: a chart's and a code's vectors are on the page, wholly; the same calls make the same bytes.
func TestChartAndCode(t *testing.T) {
	draw := func() *sheet.Sheet {
		s := begun(false)
		s.Write(sheet.Title, "Élevé ≤ 3 : où ?")
		for range 3 {
			s.Chart(&chart.Chart{Title: "Reçus à l'heure", X: "h", Y: "n", Lines: []chart.Line{{Name: "a", Points: [][2]float64{{0, 1}, {1, 3}, {2, 2}}}}, Marks: []chart.Mark{{At: 1, Label: "midi"}}})
		}
		s.Beside(40, "Scannez", func(box func(x, y, w, h float64)) { box(0, 0, 5, 5) })
		return s
	}
	pdf, pages, strokes := written(t, draw())
	if again, _, _ := written(t, draw()); !bytes.Equal(pdf, again) {
		t.Error("the same sheet has other bytes")
	}
	all := strings.Join(pages, "")
	for _, want := range []string{"Élevé <= 3 : où ?", "Reçus à l'heure", "midi", "Scannez"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not written in %s", want, all)
		}
	}
	if strokes < 3*5 || len(pages) != 2 {
		t.Errorf("%d strokes on %d pages", strokes, len(pages))
	}
}
