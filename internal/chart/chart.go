// Package chart draws curves and columns along axes, as SVG or on any other canvas of
// vectors, so that all pictures of the house look alike. It knows nothing of what is drawn.
package chart

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Chart is a picture of curves or of columns along the same axes.
type Chart struct {
	Title string
	X, Y  string // what is along the axes, with units
	Log   bool   // Y is drawn by its order of magnitude
	Whole bool   // Y counts things: there is no half of one
	Lines []Line

	// Ticks of X are at round values from 0 on where none are given. Otherwise the axis
	// reaches from the first to the last.
	Ticks []Tick
	Marks []Mark

	// Columns stand instead of lines: each is a stack of values in the order of Keys, and
	// is as wide as 1 along X, the first from 0 to 1.
	Keys    []string
	KeyInk  int // the colour of the first key, counted as those of lines are
	Columns []Column
	// Lying draws them from left to right, one below the other, for labels that are long. There are no marks.
	Lying bool
}

// Line is how Y changes with X.
type Line struct {
	Name   string
	Points [][2]float64
}

// Mark is an upright line at a value of X, and what happened there.
type Mark struct {
	At    float64
	Label string
}

// Column is a stack of values.
type Column struct {
	Label  string
	Values []float64
}

// File is the name of the chart's file: its title in lower case with hyphens.
func (c *Chart) File() string {
	words := strings.FieldsFunc(strings.ToLower(c.Title), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.Join(words, "-") + ".svg"
}

// The picture in pixels: the card, and the plot within it.
const (
	Width               = 760
	cardHeight          = 440
	plotLeft, plotRight = 76, Width - 28
	plotTop, plotFoot   = 108, 62 // below the upper edge, above the lower one
	titleAt, unitAt     = 34, 58
	keysAt, markHeight  = 84, 17
	markClear           = 15  // between the plot and the labels of marks: a column's sum has room there
	letter              = 7.4 // the width of one, about
	barLeft, barHeight  = 310, 30
)

// Anchor is which end of a text stands at its place.
type Anchor string

// The anchors, as SVG names them.
const (
	Start  Anchor = "start"
	Middle Anchor = "middle"
	End    Anchor = "end"
)

// Canvas is what a chart is drawn on, in pixels from the upper left corner of the card. A
// class names how something looks, as Style and Ink have it.
type Canvas interface {
	Box(class string, x, y, w, h, round float64)
	Line(class string, x1, y1, x2, y2 float64)
	Path(class string, points [][2]float64)
	Dot(class string, x, y, r float64, title string)
	Text(class string, at Anchor, x, y float64, text string)
}

// colours is how many the style has.
const colours = 4

// Height is how high the picture is.
func (c *Chart) Height() int {
	if c.Lying {
		return plotTop + barHeight*len(c.Columns) + plotFoot - 20
	}
	return cardHeight + markHeight*slices.Max(append(c.rows(), 0))
}

// rows gives each mark the row that its label has room in, from 1 at the bottom. The later
// of two stands below the earlier one, so that no mark goes through a label.
func (c *Chart) rows() []int {
	_, x := c.plot(0)
	order := make([]int, len(c.Marks))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(c.Marks[b].At, c.Marks[a].At) })
	rows, begins := make([]int, len(c.Marks)), []float64{}
	for _, i := range order {
		from, till := labelled(x.place(c.Marks[i].At), c.Marks[i].Label)
		row := slices.IndexFunc(begins, func(begin float64) bool { return till < begin })
		if row < 0 {
			row = len(begins)
			begins = append(begins, 0)
		}
		begins[row], rows[i] = from, row+1
	}
	return rows
}

// labelled is where a mark's label begins and ends: right of the mark, or left of it at the plot's end.
func labelled(at float64, label string) (from, till float64) {
	width := letter*float64(len([]rune(label))) + 10
	if at+width > plotRight {
		return at - width, at
	}
	return at, at + width
}

// Draw draws the picture.
func (c *Chart) Draw(on Canvas) {
	if c.Lying {
		c.drawBars(on)
		return
	}
	height, rows := c.Height(), c.rows()
	top := float64(plotTop + height - cardHeight)
	foot := float64(height - plotFoot)
	y, x := c.plot(height)
	on.Box("card", 0.5, 0.5, Width-1, float64(height-1), 10)
	on.Text("title", Start, 24, titleAt, c.Title)
	on.Text("note", Start, 24, unitAt, y.label)
	on.Text("note", End, plotRight, float64(height-18), x.label)
	for _, t := range y.ticks {
		at := y.place(t.At)
		on.Line("grid", plotLeft, at, plotRight, at)
		on.Text("tick", End, plotLeft-10, at+4.5, t.Label)
	}
	for _, t := range x.ticks {
		at := x.place(t.At)
		on.Line("axis", at, foot, at, foot+5)
		on.Text("tick", Middle, at, foot+21, strings.ReplaceAll(t.Label, "\u00a0", "\u202f")) // there is little room
	}
	on.Line("axis", plotLeft, foot, plotRight, foot)
	c.drawColumns(on, x, y)
	for i, m := range c.Marks {
		at, line := x.place(m.At), top-float64(markHeight*(rows[i]-1))-markClear
		on.Line("mark", at, line-12, at, foot)
		if from, _ := labelled(at, m.Label); from < at {
			on.Text("note", End, at-5, line-1, m.Label)
		} else {
			on.Text("note", Start, at+5, line-1, m.Label)
		}
	}
	c.drawLines(on, x, y)
}

// drawLines draws the lines and their key.
func (c *Chart) drawLines(on Canvas, x, y axis) {
	looks := c.looks()
	at := 24.0
	for i := range c.Lines {
		line := &c.Lines[i]
		points := slices.SortedFunc(slices.Values(line.Points), func(p, q [2]float64) int { return int(math.Copysign(1, p[0]-q[0])) })
		placed := make([][2]float64, len(points))
		for j, p := range points {
			placed[j] = [2]float64{x.place(p[0]), y.place(p[1])}
		}
		on.Path("line "+looks[i], placed)
		if len(points) <= 20 {
			for j, p := range points {
				on.Dot("dot "+looks[i], placed[j][0], placed[j][1], 4, line.Name+": "+Legible(p[0])+", "+Legible(p[1]))
			}
		}
		on.Path("line "+looks[i], [][2]float64{{at, keysAt - 4.5}, {at + 26, keysAt - 4.5}})
		on.Text("key", Start, at+34, keysAt, line.Name)
		at += 34 + letter*float64(len([]rune(line.Name))) + 24
	}
}

// drawKeys draws what the parts of columns are.
func (c *Chart) drawKeys(on Canvas) {
	at := 24.0
	for i, key := range c.Keys {
		on.Box(c.bar(i), at, keysAt-11, 13, 13, 2)
		on.Text("key", Start, at+20, keysAt, key)
		at += 20 + letter*float64(len([]rune(key))) + 24
	}
}

// bar is the class of a key's part.
func (c *Chart) bar(key int) string { return "bar c" + strconv.Itoa((c.KeyInk+key)%colours) }

// drawColumns draws the columns and their key.
func (c *Chart) drawColumns(on Canvas, x, y axis) {
	c.drawKeys(on)
	narrow := false // sums would stand in one another
	for _, column := range c.Columns {
		narrow = narrow || letter*float64(len([]rune(Legible(column.sum())))) > x.place(1)-x.place(0)
	}
	for i, column := range c.Columns {
		from, till := x.place(float64(i)+0.12), x.place(float64(i)+0.88)
		sum := 0.0
		for j, v := range column.Values {
			if v > 0 {
				upper := y.place(sum + v)
				on.Box(c.bar(j), from, upper, till-from, y.place(sum)-upper, 0)
			}
			sum += v
		}
		if sum > 0 && !narrow {
			on.Text("tick", Middle, (from+till)/2, y.place(sum)-5, Legible(sum))
		}
	}
}

// drawBars draws the picture of columns that lie.
func (c *Chart) drawBars(on Canvas) {
	height := c.Height()
	on.Box("card", 0.5, 0.5, Width-1, float64(height-1), 10)
	on.Text("title", Start, 24, titleAt, c.Title)
	on.Text("note", Start, 24, unitAt, c.Y)
	c.drawKeys(on)
	x := axis{from: barLeft, till: plotRight - 48, whole: c.Whole}
	for _, column := range c.Columns {
		x.high = max(x.high, column.sum())
	}
	x.scale(6)
	foot := float64(plotTop + barHeight*len(c.Columns))
	for _, t := range x.ticks {
		at := x.place(t.At)
		on.Line("grid", at, plotTop-6, at, foot)
		on.Text("tick", Middle, at, foot+21, t.Label)
	}
	for i, column := range c.Columns {
		top, sum := float64(plotTop+barHeight*i), 0.0
		on.Text("key", End, barLeft-10, top+barHeight/2+1, cut(column.Label, barLeft-24-10))
		for j, v := range column.Values {
			if v > 0 {
				left := x.place(sum)
				on.Box(c.bar(j), left, top+2, x.place(sum+v)-left, barHeight-12, 0)
			}
			sum += v
		}
		on.Text("tick", Start, x.place(sum)+6, top+barHeight/2+1, Legible(sum))
	}
	on.Line("axis", barLeft, plotTop-6, barLeft, foot)
}

// cut is a text that has room in so many pixels.
func cut(text string, width float64) string {
	letters := []rune(text)
	if most := int(width / letter); len(letters) > most {
		return strings.TrimRight(string(letters[:most-1]), " ") + "…"
	}
	return text
}

func (column *Column) sum() (sum float64) {
	for _, v := range column.Values {
		sum += v
	}
	return sum
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

// plot are the axes of a picture of a height.
func (c *Chart) plot(height int) (y, x axis) {
	x = axis{label: c.X, from: plotLeft, till: plotRight, ticks: c.Ticks}
	y = axis{label: c.Y, from: float64(height - plotFoot), till: float64(plotTop + height - cardHeight), log: c.Log, whole: c.Whole}
	low := math.Inf(1)
	for _, line := range c.Lines {
		for _, p := range line.Points {
			x.high, y.high, low = max(x.high, p[0]), max(y.high, p[1]), min(low, p[1])
		}
	}
	for i, column := range c.Columns {
		y.high = max(y.high, column.sum())
		x.ticks = append(x.ticks, Tick{float64(i) + 0.5, column.Label})
	}
	switch {
	case len(c.Columns) > 0:
		x.high = float64(len(c.Columns))
	case len(x.ticks) > 1:
		x.low, x.high = x.ticks[0].At, x.ticks[len(x.ticks)-1].At
	default:
		x.scale(8)
	}
	if !y.log {
		y.scale(6)
		return y, x
	}
	if !(low > 0) || y.high <= 0 { // there is no logarithm of nothing
		low = max(y.high, 1) / 1000
	}
	y.scaleLog(low)
	return y, x
}
