package chart

import (
	"bytes"
	"fmt"
	"html"
)

// Style is how a picture looks, light or dark as the reader has it. A picture that stands
// alone brings it with it, and a background of its own, so that it is legible on any page.
const Style = `.card { fill: #ffffff; stroke: #d8dce2 } .title { fill: #1c2430; font-size: 18px; font-weight: 600 }
.note, .tick { fill: #5b6573; font-size: 13px } .key { fill: #1c2430; font-size: 13px } .tick { font-variant-numeric: tabular-nums }
.grid { stroke: #e6e9ee } .axis { stroke: #8b95a3 }
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round; stroke-linecap: round } .dashed { stroke-dasharray: 2 6 }
.c0 { stroke: #1f6fd0; fill: #1f6fd0 } .c1 { stroke: #d9601a; fill: #d9601a } .c2 { stroke: #14866d; fill: #14866d } .c3 { stroke: #8a4fc4; fill: #8a4fc4 }
.line { fill: none } .dot, .bar { stroke-width: 0 }
.mark { stroke: #8b95a3; stroke-dasharray: 4 3 }
@media (prefers-color-scheme: dark) {
.card { fill: #161b22; stroke: #323a45 } .title, .key { fill: #e8ecf2 } .note, .tick { fill: #a3adba } .grid { stroke: #29303a } .axis, .mark { stroke: #6d7885 }
.c0 { stroke: #62a8f5; fill: #62a8f5 } .c1 { stroke: #f59155; fill: #f59155 } .c2 { stroke: #46c3a5; fill: #46c3a5 } .c3 { stroke: #bd92ee; fill: #bd92ee } .line { fill: none }
}
`

// Ink is how a class of Style looks in the light, for a canvas without style sheets: red, green, blue.
func Ink(class string) (r, g, b uint8) {
	c := inks[class]
	return uint8(c >> 16), uint8(c >> 8), uint8(c) //nolint:gosec // the parts of a colour
}

var inks = map[string]uint32{"card": 0xd8dce2, "title": 0x1c2430, "note": 0x5b6573, "tick": 0x5b6573, "key": 0x1c2430, "grid": 0xe6e9ee, "axis": 0x8b95a3,
	"mark": 0x8b95a3, "c0": 0x1f6fd0, "c1": 0xd9601a, "c2": 0x14866d, "c3": 0x8a4fc4}

// SVG is the picture as a file of its own.
func (c *Chart) SVG() []byte { return c.svg("<style>\n" + Style + "</style>\n") }

// Inline is the picture for a page whose own style sheet holds Style.
func (c *Chart) Inline() []byte { return c.svg("") }

func (c *Chart) svg(style string) []byte {
	var b bytes.Buffer
	height := c.Height()
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n",
		Width, height, Width, height, html.EscapeString(c.Title))
	b.WriteString(style)
	c.Draw(&vector{&b})
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// vector writes SVG.
type vector struct{ *bytes.Buffer }

func (v *vector) Box(class string, x, y, w, h, round float64) {
	fmt.Fprintf(v.Buffer, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="%.0f"/>`+"\n", class, x, y, w, h, round)
}

func (v *vector) Line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(v.Buffer, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", class, x1, y1, x2, y2)
}

func (v *vector) Path(class string, points [][2]float64) {
	fmt.Fprintf(v.Buffer, `<path class="%s" d="`, class)
	for i, p := range points {
		fmt.Fprintf(v.Buffer, "%c%.1f %.1f", "ML"[min(i, 1)], p[0], p[1])
	}
	v.WriteString("\"/>\n")
}

func (v *vector) Dot(class string, x, y, r float64, title string) {
	fmt.Fprintf(v.Buffer, `<circle class="%s" cx="%.1f" cy="%.1f" r="%.0f"><title>%s</title></circle>`+"\n", class, x, y, r, html.EscapeString(title))
}

func (v *vector) Text(class string, at Anchor, x, y float64, text string) {
	fmt.Fprintf(v.Buffer, `<text class="%s" text-anchor="%s" x="%.1f" y="%.1f">%s</text>`+"\n", class, at, x, y, html.EscapeString(text))
}
