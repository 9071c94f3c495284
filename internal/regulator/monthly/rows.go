// Package monthly draws a published month: as a page and as PDF, in French and in English, and as CSV, JSON and Parquet for
// programs. Each is a pure function of what is published. It knows nothing of where months are kept.
package monthly

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"tenu/internal/regulator"
)

// Row is one value of a published month, for programs.
type Row struct {
	Period   string `parquet:"period,dict"` // "2024-07" or "2024-07-09"
	Figure   string `parquet:"figure,dict"` // a definition's code, or "failures", "failures_amount"
	Unit     string `parquet:"unit,dict"`   // "count", "amount" in minor units, "duration" in milliseconds, "share"
	Currency string `parquet:"currency,dict"`
	Value    int64  `parquet:"value"`
	Whole    int64  `parquet:"whole"` // of a share, 0 otherwise
	Leg      string `parquet:"leg,dict"`
	Code     string `parquet:"code,dict"`
	Party    string `parquet:"party,dict"`
}

// Rows are the values of a month and of each of its days. A figure that there is nothing to tell of, or no limit, has none.
func Rows(m *regulator.Monthly) []Row {
	limits := limitsOf(m)
	rows := rowsOf(m.Month, m.Figures, limits)
	for _, d := range m.Days {
		rows = append(rows, rowsOf(d.Day, d.Figures, limits)...)
	}
	return rows
}

// limitsOf are the limits that a month was published under.
func limitsOf(m *regulator.Monthly) *regulator.Limits {
	of := func(figure string) time.Duration { return time.Duration(m.Limits[figure]) * time.Millisecond }
	return &regulator.Limits{Profile: m.Profile, Refund: of("refund_within"), Settle: of("settle_within"), Resolve: of("resolution_within"), Call: of("wait_within")}
}

func rowsOf(period string, f *regulator.Figures, l *regulator.Limits) (rows []Row) {
	for i := range regulator.Definitions {
		d := &regulator.Definitions[i]
		v := d.Of(f, l)
		row := Row{Period: period, Figure: d.Code, Unit: string(d.Unit), Value: v.N, Whole: v.Of}
		switch {
		case v.Absent || v.Unlimited:
			continue
		case d.Unit == regulator.Duration:
			row.Value = v.Took.Milliseconds()
		case d.Unit == regulator.Amount:
			rows = append(rows, amounts(row, v.Money)...)
			continue
		}
		rows = append(rows, row)
	}
	for i := range f.Failures {
		x := &f.Failures[i]
		row := Row{Period: period, Figure: "failures", Unit: string(regulator.Count), Value: x.Count, Leg: x.Leg, Code: x.Code, Party: x.Party}
		rows = append(rows, row)
		row.Figure, row.Unit, row.Value = "failures_amount", string(regulator.Amount), 0
		rows = append(rows, amounts(row, x.Amount)...)
	}
	return rows
}

// amounts are a row for each currency.
func amounts(row Row, m regulator.Money) (rows []Row) {
	for _, c := range slices.Sorted(maps.Keys(m)) {
		row.Currency, row.Value = string(c), m[c]
		rows = append(rows, row)
	}
	return rows
}

// cell keeps a spreadsheet from taking a text for a formula.
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

// CSV is the rows, with a line of heads (RFC 4180). No text in it begins a formula.
func CSV(m *regulator.Monthly) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	lines := [][]string{{"period", "figure", "unit", "currency", "value", "whole", "leg", "code", "party"}}
	for _, r := range Rows(m) {
		lines = append(lines, []string{cell(r.Period), cell(r.Figure), cell(r.Unit), cell(r.Currency), strconv.FormatInt(r.Value, 10), strconv.FormatInt(r.Whole, 10),
			cell(r.Leg), cell(r.Code), cell(r.Party)})
	}
	if err := w.WriteAll(lines); err != nil {
		return nil, fmt.Errorf("write CSV: %w", err)
	}
	return b.Bytes(), nil
}

// Parquet is the rows.
func Parquet(m *regulator.Monthly) ([]byte, error) {
	var b bytes.Buffer
	w := parquet.NewGenericWriter[Row](&b, parquet.KeyValueMetadata("month", m.Month), parquet.KeyValueMetadata("software", m.Version), parquet.KeyValueMetadata("head", m.Head))
	if _, err := w.Write(Rows(m)); err != nil {
		return nil, fmt.Errorf("write Parquet: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write Parquet: %w", err)
	}
	return b.Bytes(), nil
}

// JSON is everything that is published.
func JSON(m *regulator.Monthly) ([]byte, error) {
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return append(text, '\n'), nil
}

// Forms are how a month can be drawn.
var Forms = []string{"html", "pdf", "csv", "json", "parquet"}

// Form draws a month in one form, and in a language where it is for people.
func Form(m *regulator.Monthly, form, language, brand string, zone *time.Location) (data []byte, kind string, err error) {
	switch form {
	case "html":
		data, err = HTML(m, language, brand, zone)
		return data, "text/html; charset=utf-8", err
	case "pdf":
		data, err = PDF(m, language, brand, zone)
		return data, "application/pdf", err
	case "csv":
		data, err = CSV(m)
		return data, "text/csv; charset=utf-8", err
	case "json":
		data, err = JSON(m)
		return data, "application/json", err
	case "parquet":
		data, err = Parquet(m)
		return data, "application/vnd.apache.parquet", err
	}
	return nil, "", fmt.Errorf("there is no form %q; there are %s", form, strings.Join(Forms, ", "))
}

// Drawer draws all forms of a month that is published.
func Drawer(brand string, zone *time.Location) regulator.Draw {
	return func(m *regulator.Monthly) ([]regulator.File, error) {
		var files []regulator.File
		for _, form := range Forms {
			languages := []string{""}
			if form == "html" || form == "pdf" {
				languages = []string{"fr", "en"}
			}
			for _, language := range languages {
				data, kind, err := Form(m, form, language, brand, zone)
				if err != nil {
					return nil, err
				}
				name := "." + form
				if language != "" {
					name = "-" + language + name
				}
				files = append(files, regulator.File{Name: name, Type: kind, Data: data})
			}
		}
		return files, nil
	}
}
