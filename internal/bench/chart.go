package bench

import (
	"slices"

	"tenu/internal/chart"
)

// Charts gathers the curves of results into charts, in the order of their first curves.
func Charts(results []Result) []chart.Chart {
	var charts []chart.Chart
	for i := range results {
		for _, c := range results[i].Curves {
			at := slices.IndexFunc(charts, func(known chart.Chart) bool { return known.Title == c.Chart })
			if at < 0 {
				at = len(charts)
				y := c.Y
				if c.Log {
					y += ", logarithmic"
				}
				charts = append(charts, chart.Chart{Title: c.Chart, X: c.X, Y: y, Log: c.Log})
			}
			charts[at].Lines = append(charts[at].Lines, chart.Line{Name: c.Name, Points: c.Points})
		}
	}
	return charts
}
