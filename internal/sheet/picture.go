package sheet

import (
	"slices"
	"strings"

	"tenu/internal/chart"
)

const point = 25.4 / 72

// Chart draws a chart over the sheet's width.
func (s *Sheet) Chart(c *chart.Chart) {
	pixel := s.width / chart.Width
	height := float64(c.Height()) * pixel
	s.doc.Ln(4)
	s.room(height)
	x, y := s.doc.GetXY()
	c.Draw(&canvas{s, x, y, pixel})
	s.doc.SetDashPattern(nil, 0)
	s.doc.SetXY(x, y+height)
}

// canvas is where a chart is on a sheet.
type canvas struct {
	*Sheet
	left, top, pixel float64 // millimetres
}

func (c *canvas) at(x, y float64) (float64, float64) { return c.left + x*c.pixel, c.top + y*c.pixel }

// ink sets how a class looks.
func (c *canvas) ink(class string) {
	parts := strings.Fields(class)
	name := parts[0]
	for _, p := range parts[1:] {
		if p != "dashed" {
			name = p // the class that has the colour
		}
	}
	r, g, b := chart.Ink(name)
	c.doc.SetDrawColor(int(r), int(g), int(b))
	c.doc.SetFillColor(int(r), int(g), int(b))
	c.doc.SetTextColor(int(r), int(g), int(b))
	c.doc.SetLineWidth(map[bool]float64{true: 2.5, false: 1}[parts[0] == "line"] * c.pixel)
	switch {
	case slices.Contains(parts, "dashed"):
		c.doc.SetDashPattern([]float64{2 * c.pixel, 6 * c.pixel}, 0)
	case name == "mark":
		c.doc.SetDashPattern([]float64{4 * c.pixel, 3 * c.pixel}, 0)
	default:
		c.doc.SetDashPattern(nil, 0)
	}
}

func (c *canvas) Box(class string, x, y, w, h, round float64) {
	c.ink(class)
	x, y = c.at(x, y)
	if class == "card" {
		c.doc.RoundedRect(x, y, w*c.pixel, h*c.pixel, round*c.pixel, "1234", "D")
		return
	}
	c.doc.Rect(x, y, w*c.pixel, h*c.pixel, "F")
}

func (c *canvas) Line(class string, x1, y1, x2, y2 float64) {
	c.ink(class)
	x1, y1 = c.at(x1, y1)
	x2, y2 = c.at(x2, y2)
	c.doc.Line(x1, y1, x2, y2)
}

func (c *canvas) Path(class string, points [][2]float64) {
	if len(points) < 2 {
		return
	}
	c.ink(class)
	c.doc.SetLineJoinStyle("round")
	c.doc.MoveTo(c.at(points[0][0], points[0][1]))
	for _, p := range points[1:] {
		c.doc.LineTo(c.at(p[0], p[1]))
	}
	c.doc.DrawPath("D")
}

func (c *canvas) Dot(class string, x, y, r float64, _ string) {
	c.ink(class)
	x, y = c.at(x, y)
	c.doc.Circle(x, y, r*c.pixel, "F")
}

func (c *canvas) Text(class string, at chart.Anchor, x, y float64, text string) {
	size, weight := 13.0, ""
	if class == "title" {
		size, weight = 18, "B"
	}
	c.doc.SetFont("Helvetica", weight, size*c.pixel/point)
	c.ink(class)
	text = c.text(text)
	x, y = c.at(x, y)
	switch at {
	case chart.Start:
	case chart.Middle:
		x -= c.doc.GetStringWidth(text) / 2
	case chart.End:
		x -= c.doc.GetStringWidth(text)
	}
	c.doc.Text(x, y, text)
}
