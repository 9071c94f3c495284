package report

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/go-pdf/fpdf"

	"tenu/internal/chart"
)

// The sheet, in millimetres: A4 upright.
const (
	edge       = 15.0
	sheetWidth = 210 - 2*edge
	sheetFoot  = 297 - 20.0
	lineHeight = 5.5
	pixel      = sheetWidth / chart.Width // of a chart
	point      = 25.4 / 72
	mostLines  = 44 // of a row, that a sheet has room for
)

// ink and soft are the colours of texts.
var ink, soft = [3]int{29, 28, 26}, [3]int{90, 88, 81}

// sheet is a PDF that is being written. The built-in fonts have Windows-1252: what is not
// in it becomes a point.
type sheet struct {
	*fpdf.Fpdf
	latin func(string) string
}

// PDF is the report as PDF, with the figures and the pictures of HTML, in "fr" or "en". It
// is a pure function of the data. It returns *DisagreeError where figures disagree.
func (r *Report) PDF(d *Data, language string) ([]byte, error) {
	p, err := r.paper(d, language)
	if err != nil {
		return nil, err
	}
	t := r.texts.In(language)
	s := newSheet(p, d)
	s.SetFooterFunc(func() {
		s.SetY(-13)
		s.style("", 8, soft)
		s.CellFormat(sheetWidth/2, 5, s.text(p.Brand+" · "+p.Title), "", 0, "L", false, 0, "")
		s.CellFormat(sheetWidth/2, 5, s.text(t.Say("page", "N", fmt.Sprint(s.PageNo()), "Of", "{nb}")), "", 0, "R", false, 0, "")
	})
	s.AddPage()
	s.style("B", 20, ink)
	s.MultiCell(0, 9, s.text(p.Title), "", "L", false)
	s.style("", 13, ink)
	s.MultiCell(0, 7, s.text(p.Name), "", "L", false)
	s.style("", 9, soft)
	s.MultiCell(0, lineHeight, s.text(p.Made), "", "L", false)
	if p.Draft != "" {
		s.style("B", 10, ink)
		s.MultiCell(0, lineHeight, s.text(p.Draft), "", "L", false)
	}
	s.style("", 10, ink)
	if p.Text != "" {
		s.Ln(2)
		s.MultiCell(0, lineHeight, s.text(p.Text), "", "L", false)
	}
	s.table(t.Say("summary"), nil, []float64{60, 120}, "LL", cells(p.Facts, 2))
	s.table(t.Say("marks"), nil, []float64{60, 45, 75}, "LLL", cells(p.Marks, 3))
	s.table(t.Say("figures"), []string{"", t.Say("count"), t.Say("sum")}, []float64{80, 50, 50}, "LRR", cells(p.Sums, 3))
	s.table("", nil, []float64{80, 50}, "LR", cells(p.Counts, 2))
	s.table(t.Say("settled"), p.TimesHead, []float64{60, 40, 40, 40}, "LRRR", p.Times)
	s.table("", p.WithinHead, []float64{60, 40, 40, 40}, "LRRR", p.Within)
	for _, c := range p.Charts {
		s.picture(c)
	}
	if p.Minutes != "" {
		s.style("", 9, soft)
		s.MultiCell(0, lineHeight, s.text(p.Minutes), "", "L", false)
	}
	told := make([][]string, len(p.Told))
	for i, line := range p.Told {
		told[i] = []string{line.By, line.What, line.When, line.Text}
	}
	if len(told) == 0 {
		told = [][]string{{t.Say("nobody_told"), "", "", ""}}
	}
	s.table(t.Say("telling"), []string{t.Say("whom"), t.Say("number"), t.Say("first"), t.Say("last")}, []float64{70, 24, 43, 43}, "LRLL", told)
	s.table(t.Say("callbacks"), nil, []float64{80, 50}, "LR", cells(p.Calls, 2))
	entries := make([][]string, len(p.Entries))
	for i, e := range p.Entries {
		entries[i] = []string{e.When, e.By, strings.TrimSpace(e.What + "\n" + e.Text)}
	}
	s.table(t.Say("timeline"), []string{t.Say("when"), t.Say("by"), t.Say("what")}, []float64{40, 40, 100}, "LLL", entries)
	var b bytes.Buffer
	if err := s.Output(&b); err != nil {
		return nil, fmt.Errorf("report: write the PDF: %w", err)
	}
	return b.Bytes(), nil
}

func newSheet(p *paper, d *Data) *sheet {
	doc := fpdf.New("P", "mm", "A4", "")
	doc.SetTitle(p.Title, true)
	doc.SetAuthor(p.Brand, true)
	doc.SetLang(p.Lang)
	doc.SetCreationDate(d.At.Time())
	doc.SetModificationDate(d.At.Time())
	doc.SetCatalogSort(true)
	doc.SetMargins(edge, edge, edge)
	doc.SetAutoPageBreak(true, 297-sheetFoot)
	doc.AliasNbPages("")
	return &sheet{doc, doc.UnicodeTranslatorFromDescriptor("")}
}

func cells(lines []line, columns int) [][]string {
	rows := make([][]string, len(lines))
	for i, l := range lines {
		rows[i] = []string{l.Name, l.Value, l.More}[:columns]
	}
	return rows
}

// text is a text as the fonts have it.
func (s *sheet) text(text string) string {
	return s.latin(strings.ReplaceAll(text, "\u202f", "\u00a0"))
}

func (s *sheet) style(weight string, size float64, colour [3]int) {
	s.SetFont("Helvetica", weight, size)
	s.SetTextColor(colour[0], colour[1], colour[2])
}

// room begins a new page where so much does not fit on this one.
func (s *sheet) room(height float64) {
	if s.GetY()+height > sheetFoot {
		s.AddPage()
	}
}

// table writes rows whose cells may take several lines, or nothing where there are none.
func (s *sheet) table(title string, head []string, widths []float64, align string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	s.Ln(3)
	s.room(5 * lineHeight) // a title does not stand alone
	if title != "" {
		s.style("B", 13, ink)
		s.CellFormat(0, 8, s.text(title), "", 1, "L", false, 0, "")
	}
	s.SetDrawColor(216, 212, 200)
	s.SetLineWidth(0.2)
	s.style("", 9, soft)
	if head != nil {
		s.row(head, widths, align)
	}
	for _, row := range rows {
		s.style("", 10, ink)
		s.row(row, widths, align)
	}
}

func (s *sheet) row(row []string, widths []float64, align string) {
	split := make([][]string, len(row))
	most := 1
	for i, text := range row {
		for part := range strings.SplitSeq(s.text(text), "\n") {
			for _, l := range s.SplitLines([]byte(part), widths[i]-2) {
				split[i] = append(split[i], string(l))
			}
		}
		most = max(most, len(split[i]))
	}
	most = min(most, mostLines) // a text longer than a sheet is cut
	height := float64(most)*lineHeight + 1
	s.room(height)
	x, y := s.GetXY()
	s.Line(x, y, x+sum(widths), y)
	for i := range row {
		for j, text := range split[i][:min(len(split[i]), most)] {
			s.SetXY(x+sum(widths[:i]), y+0.5+float64(j)*lineHeight)
			s.CellFormat(widths[i], lineHeight, text, "", 0, align[i:i+1], false, 0, "")
		}
	}
	s.SetXY(x, y+height)
}

func sum(widths []float64) (total float64) {
	for _, w := range widths {
		total += w
	}
	return total
}

// picture draws a chart with the vectors that it has on a page.
func (s *sheet) picture(c *chart.Chart) {
	height := float64(c.Height()) * pixel
	s.Ln(4)
	s.room(height)
	x, y := s.GetXY()
	c.Draw(&canvas{s, x, y})
	s.SetDashPattern(nil, 0)
	s.SetXY(x, y+height)
}

// canvas is where a chart is on a sheet.
type canvas struct {
	*sheet
	left, top float64
}

func (c *canvas) at(x, y float64) (float64, float64) { return c.left + x*pixel, c.top + y*pixel }

// dress sets how a class looks, and returns the class that has the colour.
func (c *canvas) dress(class string) {
	parts := strings.Fields(class)
	name := parts[0]
	for _, p := range parts[1:] {
		if p != "dashed" {
			name = p
		}
	}
	r, g, b := chart.Ink(name)
	c.SetDrawColor(int(r), int(g), int(b))
	c.SetFillColor(int(r), int(g), int(b))
	c.SetTextColor(int(r), int(g), int(b))
	c.SetLineWidth(map[bool]float64{true: 2.5, false: 1}[parts[0] == "line"] * pixel)
	switch {
	case slices.Contains(parts, "dashed"):
		c.SetDashPattern([]float64{2 * pixel, 6 * pixel}, 0)
	case name == "mark":
		c.SetDashPattern([]float64{4 * pixel, 3 * pixel}, 0)
	default:
		c.SetDashPattern(nil, 0)
	}
}

func (c *canvas) Box(class string, x, y, w, h, round float64) {
	c.dress(class)
	x, y = c.at(x, y)
	if class == "card" {
		c.RoundedRect(x, y, w*pixel, h*pixel, round*pixel, "1234", "D")
		return
	}
	c.Rect(x, y, w*pixel, h*pixel, "F")
}

func (c *canvas) Line(class string, x1, y1, x2, y2 float64) {
	c.dress(class)
	x1, y1 = c.at(x1, y1)
	x2, y2 = c.at(x2, y2)
	c.sheet.Line(x1, y1, x2, y2)
}

func (c *canvas) Path(class string, points [][2]float64) {
	if len(points) < 2 {
		return
	}
	c.dress(class)
	c.SetLineJoinStyle("round")
	c.MoveTo(c.at(points[0][0], points[0][1]))
	for _, p := range points[1:] {
		c.LineTo(c.at(p[0], p[1]))
	}
	c.DrawPath("D")
}

func (c *canvas) Dot(class string, x, y, r float64, _ string) {
	c.dress(class)
	x, y = c.at(x, y)
	c.Circle(x, y, r*pixel, "F")
}

func (c *canvas) Text(class string, at chart.Anchor, x, y float64, text string) {
	size, weight := 13.0, ""
	if class == "title" {
		size, weight = 18, "B"
	}
	c.SetFont("Helvetica", weight, size*pixel/point)
	c.dress(class)
	text = c.text(text)
	x, y = c.at(x, y)
	switch at {
	case chart.Start:
	case chart.Middle:
		x -= c.GetStringWidth(text) / 2
	case chart.End:
		x -= c.GetStringWidth(text)
	}
	c.sheet.Fpdf.Text(x, y, text)
}
