package report

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"

	"tenu/internal/chart"
)

type htmlPage struct {
	*paper
	CSS      template.CSS
	Pictures []template.HTML
}

// HTML is the report as one page that needs no other file, in "fr" or "en". It is a pure
// function of the data. It returns *DisagreeError where figures disagree.
func (r *Report) HTML(d *Data, language string) ([]byte, error) {
	p, err := r.paper(d, language)
	if err != nil {
		return nil, err
	}
	style, err := embedded.ReadFile("pages/report.css")
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	x := &htmlPage{paper: p, CSS: template.CSS(chart.Style + string(style))} //nolint:gosec // our own
	for _, c := range p.Charts {
		x.Pictures = append(x.Pictures, template.HTML(strings.TrimSpace(string(c.Inline())))) //nolint:gosec // the chart escapes its texts
	}
	var b bytes.Buffer
	if err := r.pages[p.Lang].Render(&b, "report", x); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return b.Bytes(), nil
}
