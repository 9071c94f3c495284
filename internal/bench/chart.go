package bench

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Chart is a picture of curves along the same axes.
type Chart struct {
	Title string
	Lines []Curve
}

// Charts gathers the curves of results into charts, in the order of their first curves.
func Charts(results []Result) []Chart {
	var charts []Chart
	for i := range results {
		for _, c := range results[i].Curves {
			at := slices.IndexFunc(charts, func(known Chart) bool { return known.Title == c.Chart })
			if at < 0 {
				at = len(charts)
				charts = append(charts, Chart{Title: c.Chart})
			}
			charts[at].Lines = append(charts[at].Lines, c)
		}
	}
	return charts
}

// File is the name of the chart's file: its title in lower case with hyphens.
func (c *Chart) File() string {
	words := strings.FieldsFunc(strings.ToLower(c.Title), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.Join(words, "-") + ".svg"
}

// The picture in pixels: the card, and the plot within it.
const (
	cardWidth, cardHeight   = 760, 440
	plotLeft, plotRight     = 76, cardWidth - 28
	plotTop, plotBottom     = 108, cardHeight - 62
	titleAt, unitAt, keysAt = 34, 58, 84
)

// The chart brings a background of its own, light or dark as the reader has it,
// so that it is legible on any page.
const chartStyle = `<style>
.card { fill: #ffffff; stroke: #d8dce2 } .title { fill: #1c2430; font-size: 18px; font-weight: 600 }
.note, .tick { fill: #5b6573; font-size: 13px } .key { fill: #1c2430; font-size: 13px } .tick { font-variant-numeric: tabular-nums }
.grid { stroke: #e6e9ee } .axis { stroke: #8b95a3 } text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round; stroke-linecap: round } .dashed { stroke-dasharray: 2 6 }
.c0 { stroke: #1f6fd0; fill: #1f6fd0 } .c1 { stroke: #d9601a; fill: #d9601a } .c2 { stroke: #14866d; fill: #14866d } .c3 { stroke: #8a4fc4; fill: #8a4fc4 }
.line { fill: none } .dot { stroke-width: 0 }
@media (prefers-color-scheme: dark) {
.card { fill: #161b22; stroke: #323a45 } .title, .key { fill: #e8ecf2 } .note, .tick { fill: #a3adba } .grid { stroke: #29303a } .axis { stroke: #6d7885 }
.c0 { stroke: #62a8f5; fill: #62a8f5 } .c1 { stroke: #f59155; fill: #f59155 } .c2 { stroke: #46c3a5; fill: #46c3a5 } .c3 { stroke: #bd92ee; fill: #bd92ee } .line { fill: none }
}
</style>
`

// colours is how many the style has.
const colours = 4

// SVG is the picture.
func (c *Chart) SVG() []byte {
	x, y := c.axes()
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n",
		cardWidth, cardHeight, cardWidth, cardHeight, html.EscapeString(c.Title))
	b.WriteString(chartStyle)
	fmt.Fprintf(&b, `<rect class="card" x="0.5" y="0.5" width="%d" height="%d" rx="10"/>`+"\n", cardWidth-1, cardHeight-1)
	write := func(class, anchor string, x, y float64, text string) {
		fmt.Fprintf(&b, `<text class="%s" text-anchor="%s" x="%.1f" y="%.1f">%s</text>`+"\n", class, anchor, x, y, html.EscapeString(text))
	}
	write("title", "start", 24, titleAt, c.Title)
	write("note", "start", 24, unitAt, y.label)
	write("note", "end", plotRight, cardHeight-18, x.label)
	for _, v := range y.ticks {
		at := y.place(v)
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`+"\n", plotLeft, plotRight, at, at)
		write("tick", "end", plotLeft-10, at+4.5, Legible(v))
	}
	for _, v := range x.ticks {
		at := x.place(v)
		fmt.Fprintf(&b, `<line class="axis" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+"\n", at, at, plotBottom, plotBottom+5)
		write("tick", "middle", at, plotBottom+21, Legible(v))
	}
	fmt.Fprintf(&b, `<line class="axis" x1="%d" x2="%d" y1="%d" y2="%d"/>`+"\n", plotLeft, plotRight, plotBottom, plotBottom)
	c.draw(&b, x, y)
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// draw draws the lines and their key.
func (c *Chart) draw(b *bytes.Buffer, x, y axis) {
	looks := c.looks()
	at := 24.0
	for i := range c.Lines {
		line := &c.Lines[i]
		points := slices.SortedFunc(slices.Values(line.Points), func(p, q [2]float64) int { return int(math.Copysign(1, p[0]-q[0])) })
		var path strings.Builder
		for j, p := range points {
			fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(j, 1)], x.place(p[0]), y.place(p[1]))
		}
		fmt.Fprintf(b, `<path class="line %s" d="%s"/>`+"\n", looks[i], path.String())
		if len(points) <= 20 {
			for _, p := range points {
				fmt.Fprintf(b, `<circle class="dot %s" cx="%.1f" cy="%.1f" r="4"><title>%s: %s, %s</title></circle>`+"\n",
					looks[i], x.place(p[0]), y.place(p[1]), html.EscapeString(line.Name), Legible(p[0]), Legible(p[1]))
			}
		}
		fmt.Fprintf(b, `<path class="line %s" d="M%.1f %.1fh26"/>`+"\n", looks[i], at, keysAt-4.5)
		fmt.Fprintf(b, `<text class="key" x="%.1f" y="%d">%s</text>`+"\n", at+34, keysAt, html.EscapeString(line.Name))
		at += 34 + 7.4*float64(len([]rune(line.Name))) + 24
	}
}

// looks gives lines their classes: those whose names begin alike, up to a comma,
// share a colour, and of those all but the last are dashed.
func (c *Chart) looks() []string {
	var kinds []string
	kind := func(i int) string { name, _, _ := strings.Cut(c.Lines[i].Name, ","); return name }
	looks := make([]string, len(c.Lines))
	for i := range c.Lines {
		at := slices.Index(kinds, kind(i))
		if at < 0 {
			at = len(kinds)
			kinds = append(kinds, kind(i))
		}
		looks[i] = "c" + strconv.Itoa(at%colours)
		for j := i + 1; j < len(c.Lines); j++ {
			if kind(j) == kind(i) {
				looks[i] += " dashed"
				break
			}
		}
	}
	return looks
}

// axis places values on the card.
type axis struct {
	label      string
	low, high  float64 // values at the ends
	from, till float64 // pixels there
	log        bool
	ticks      []float64
}

func (a *axis) place(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log10(max(v, low)), math.Log10(low), math.Log10(high)
	}
	return a.from + (v-low)/(high-low)*(a.till-a.from)
}

func (c *Chart) axes() (x, y axis) {
	x = axis{label: c.Lines[0].X, from: plotLeft, till: plotRight}
	y = axis{label: c.Lines[0].Y, from: plotBottom, till: plotTop, log: c.Lines[0].Log}
	low := math.Inf(1)
	for _, line := range c.Lines {
		for _, p := range line.Points {
			x.high, y.high, low = max(x.high, p[0]), max(y.high, p[1]), min(low, p[1])
		}
	}
	x.scale(8)
	if !y.log {
		y.scale(6)
		return x, y
	}
	y.label += ", logarithmic"
	if !(low > 0) || y.high <= 0 { // there is no logarithm of nothing
		low = max(y.high, 1) / 1000
	}
	y.scaleLog(low)
	return x, y
}

// scale sets ends and ticks at round values from 0 on, about so many.
func (a *axis) scale(about int) {
	if !(a.high > 0) {
		a.high = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(a.high/float64(about))))
	for _, times := range []float64{1, 2, 2.5, 5, 10} {
		if a.high/(step*times) <= float64(about) {
			step *= times
			break
		}
	}
	n := math.Ceil(a.high/step - 1e-9)
	for i := range int(n) + 1 {
		a.ticks = append(a.ticks, float64(i)*step)
	}
	a.high = n * step
}

// scaleLog sets ends and ticks at 1, 2 and 5 times powers of ten.
func (a *axis) scaleLog(low float64) {
	round := func(v float64, up bool) float64 {
		ten := math.Pow(10, math.Floor(math.Log10(v)))
		steps := []float64{1, 2, 5, 10}
		if up {
			return ten * steps[slices.IndexFunc(steps, func(s float64) bool { return ten*s >= v*(1-1e-9) })]
		}
		slices.Reverse(steps)
		return ten * steps[slices.IndexFunc(steps, func(s float64) bool { return ten*s <= v*(1+1e-9) })]
	}
	a.low, a.high = round(low, false), round(max(a.high, low*1.5), true)
	for v := a.low; v <= a.high*(1+1e-9); v = round(v*1.5, true) {
		a.ticks = append(a.ticks, v)
	}
	if len(a.ticks) > 9 { // powers of ten are enough
		a.ticks = slices.DeleteFunc(a.ticks, func(v float64) bool { l := math.Log10(v); return math.Abs(l-math.Round(l)) > 1e-6 })
	}
}

// Legible writes a figure with three or more significant digits, grouped.
func Legible(v float64) string {
	switch size := math.Abs(v); {
	case v == math.Trunc(v) && size >= 1e6 && math.Mod(v, 1e5) == 0:
		return strconv.FormatFloat(v/1e6, 'f', -1, 64) + " M"
	case size >= 100 || v == math.Trunc(v):
		return grouped(int64(math.Round(v)))
	case size >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case size >= 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// grouped writes a number with its thousands apart.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	first := len(digits) % 3
	if first == 0 || n < 0 && first == 1 {
		first += 3
	}
	var b strings.Builder
	for i, d := range digits {
		if i >= first && (i-first)%3 == 0 {
			b.WriteRune('\u202f') // a narrow space that does not break
		}
		b.WriteRune(d)
	}
	return b.String()
}
