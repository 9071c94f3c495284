package bench

import (
	"bytes"
	"fmt"
	"slices"

	"tenu/internal/chart"
)

// Spread is the least and the most of a figure's runs, "" of a single one.
func (f *Figure) Spread() string {
	if len(f.Runs) < 2 {
		return ""
	}
	return chart.Legible(slices.Min(f.Runs)) + " to " + chart.Legible(slices.Max(f.Runs))
}

// Against is how a figure compares with its yardstick, "" where it has none.
func (f *Figure) Against() string {
	if f.Ratio == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f × %s", f.Ratio, f.Yardstick)
}

// Markdown is the report as a page.
func (r *Report) Markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Figures\n\nWritten by `tenu bench --out`, on %d cores of %s. A figure is the median of its runs; what it is measured\n"+
		"against was measured in the same runs.\n", r.Cores, r.CPU)
	for i := range r.Results {
		x := &r.Results[i]
		runs := 0
		for _, f := range x.Figures {
			runs = max(runs, len(f.Runs))
		}
		fmt.Fprintf(&b, "\n## %s, %s\n\n%s\n\nRuns: %d. Begun %s, tenu %s, %s", x.Scenario, storeName(x.Store), x.About, runs, x.Started, x.Version, x.Go)
		if x.Database != "" {
			fmt.Fprintf(&b, ", %s", x.Database)
		}
		b.WriteString(".\n\n| figure | median | | runs | against |\n| --- | ---: | --- | --- | --- |\n")
		for _, f := range x.Figures {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", f.Name, chart.Legible(f.Median), f.Unit, f.Spread(), f.Against())
		}
	}
	return b.Bytes()
}
