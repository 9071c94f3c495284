package report

import (
	"fmt"
	"strings"

	"tenu/internal/sheet"
)

// PDF is the report as PDF, with the figures and the pictures of HTML, in "fr" or "en". It
// is a pure function of the data. It returns *DisagreeError where figures disagree.
func (r *Report) PDF(d *Data, language string) ([]byte, error) {
	p, err := r.paper(d, language)
	if err != nil {
		return nil, err
	}
	t := r.texts.In(language)
	s := sheet.New(sheet.Config{Title: p.Title, Author: p.Brand, Language: p.Lang, Made: d.At.Time(), Foot: func(page int) (string, string) {
		return p.Brand + " · " + p.Title, t.Say("page", "N", fmt.Sprint(page), "Of", "{nb}")
	}})
	table := func(title string, head []string, widths []float64, align string, rows [][]string) {
		s.Table(&sheet.Table{Title: title, Head: head, Widths: widths, Align: align, Rows: rows})
	}
	s.Write(sheet.Title, p.Title)
	s.Write(sheet.Lead, p.Name)
	s.Write(sheet.Fine, p.Made)
	s.Write(sheet.Strong, p.Draft)
	s.Gap(2)
	s.Write(sheet.Body, p.Text)
	table(t.Say("summary"), nil, []float64{60, 120}, "LL", cells(p.Facts, 2))
	table(t.Say("marks"), nil, []float64{60, 45, 75}, "LLL", cells(p.Marks, 3))
	table(t.Say("figures"), []string{"", t.Say("count"), t.Say("sum")}, []float64{80, 50, 50}, "LRR", cells(p.Sums, 3))
	table("", nil, []float64{80, 50}, "LR", cells(p.Counts, 2))
	table(t.Say("settled"), p.TimesHead, []float64{60, 40, 40, 40}, "LRRR", p.Times)
	table("", p.WithinHead, []float64{60, 40, 40, 40}, "LRRR", p.Within)
	for _, c := range p.Charts {
		s.Chart(c)
	}
	s.Write(sheet.Fine, p.Minutes)
	told := make([][]string, len(p.Told))
	for i, line := range p.Told {
		told[i] = []string{line.By, line.What, line.When, line.Text}
	}
	if len(told) == 0 {
		told = [][]string{{t.Say("nobody_told"), "", "", ""}}
	}
	table(t.Say("telling"), []string{t.Say("whom"), t.Say("number"), t.Say("first"), t.Say("last")}, []float64{70, 24, 43, 43}, "LRLL", told)
	table(t.Say("callbacks"), nil, []float64{80, 50}, "LR", cells(p.Calls, 2))
	entries := make([][]string, len(p.Entries))
	for i, e := range p.Entries {
		entries[i] = []string{e.When, e.By, strings.TrimSpace(e.What + "\n" + e.Text)}
	}
	table(t.Say("timeline"), []string{t.Say("when"), t.Say("by"), t.Say("what")}, []float64{40, 40, 100}, "LLL", entries)
	return s.Bytes()
}

func cells(lines []line, columns int) [][]string {
	rows := make([][]string, len(lines))
	for i, l := range lines {
		rows[i] = []string{l.Name, l.Value, l.More}[:columns]
	}
	return rows
}
