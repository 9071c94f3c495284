package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"

	"tenu/internal/bench"
	"tenu/internal/chart"
)

// describeMachine fills in what the figures were measured on.
func describeMachine(r *bench.Report) {
	r.Cores, r.CPU = runtime.NumCPU(), runtime.GOARCH
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return // another system: the architecture says enough
	}
	for line := range strings.Lines(string(text)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			r.CPU = strings.TrimSpace(value)
			return
		}
	}
}

// writeReport writes the report and its charts into a directory, which is made.
// What is there of other scenarios stays.
func writeReport(dir string, report *bench.Report) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // figures are for everyone
		return fmt.Errorf("make the report's directory: %w", err)
	}
	whole := bench.Report{CPU: report.CPU, Cores: report.Cores, Results: slices.Clone(report.Results)}
	if text, err := os.ReadFile(filepath.Join(dir, "report.json")); err == nil { //nolint:gosec // the operator names it
		var earlier bench.Report
		if err := json.Unmarshal(text, &earlier); err != nil {
			return fmt.Errorf("read the earlier report: %w", err)
		}
		whole.Keep(&earlier)
	}
	text, err := json.MarshalIndent(whole, "", "  ")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	files := map[string][]byte{"report.json": append(text, '\n'), "report.md": whole.Markdown()}
	for _, chart := range bench.Charts(whole.Results) {
		files[chart.File()] = chart.SVG()
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil { //nolint:gosec // the same
			return fmt.Errorf("write the report: %w", err)
		}
	}
	return nil
}

// showReport prints a report for people.
func (a *app) showReport(r *bench.Report) {
	c := a.paint()
	a.printf("tenu %s, %s, %d cores of %s\n", version, runtime.Version(), r.Cores, r.CPU)
	for i := range r.Results {
		result := &r.Results[i]
		a.printf("\n%s  %s\n%s\n", c.bold(result.Scenario), result.Store, c.faint(result.About))
		a.showFigures(result.Figures)
	}
}

// showFigures prints figures in columns.
func (a *app) showFigures(figures []bench.Figure) {
	rows := make([][5]string, len(figures))
	var widths [5]int
	for i, f := range figures {
		rows[i] = [5]string{f.Name, chart.Legible(f.Median), f.Unit, f.Spread(), f.Against()}
		for j, cell := range rows[i] {
			widths[j] = max(widths[j], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		line := "  "
		for j, cell := range row {
			space := strings.Repeat(" ", widths[j]-utf8.RuneCountInString(cell))
			if j == 1 { // numbers stand below one another
				line += space + cell + " "
				continue
			}
			line += cell + space + "  "
		}
		a.printf("%s\n", strings.TrimRight(line, " "))
	}
}
