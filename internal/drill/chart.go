package drill

import (
	"bytes"
	"fmt"
	"html"
	"strings"
	"time"

	"tenu/internal/sim"
)

// The picture in pixels: the card, and the plot within it.
const (
	cardWidth, cardHeight = 860, 440
	plotLeft, plotRight   = 72, cardWidth - 28
	plotTop, plotBottom   = 112, cardHeight - 56
)

// chartStyle brings a background of its own, light or dark as the reader has it.
const chartStyle = `<style>
.card { fill: #ffffff; stroke: #d8dce2 } .title { fill: #1c2430; font-size: 18px; font-weight: 600 } .fails { fill: #d9601a; opacity: 0.09 }
.note, .tick { fill: #5b6573; font-size: 13px } .key { fill: #1c2430; font-size: 13px } .tick { font-variant-numeric: tabular-nums }
.grid { stroke: #e6e9ee } .axis { stroke: #8b95a3 } text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round } .tenu { stroke: #1f6fd0 } .was { stroke: #d9601a; stroke-dasharray: 7 4 }
@media (prefers-color-scheme: dark) {
.card { fill: #161b22; stroke: #323a45 } .title, .key { fill: #e8ecf2 } .note, .tick { fill: #a3adba } .grid { stroke: #29303a } .axis { stroke: #6d7885 }
.tenu { stroke: #62a8f5 } .was { stroke: #f59155 }
}
</style>
`

// Chart is a picture (SVG) of how many customers waited, minute by minute, on both platforms
// where both were played, with the times in which something failed.
func (r *Result) Chart(language string) ([]byte, error) {
	return r.scenario.Chart(language, r.minutes, r.wasThen)
}

// Chart is the picture of what was seen of a scenario, minute by minute; was is what the
// platform as it was would have shown, nil where it was not played.
func (s *Scenario) Chart(language string, minutes, was []sim.Minute) ([]byte, error) {
	say, err := Tongue(language)
	if err != nil {
		return nil, err
	}
	end := time.Duration(max(len(minutes), len(was))) * time.Minute
	end = min(end, s.Script.Ends+time.Hour)
	most := 1
	for _, each := range [][]sim.Minute{minutes, was} {
		for i := range each {
			most = max(most, each[i].Pending)
		}
	}
	step := rounded(most, 8)
	top := (most/step + 1) * step
	x := func(d time.Duration) float64 { return plotLeft + d.Seconds()/end.Seconds()*(plotRight-plotLeft) }
	y := func(n int) float64 { return plotBottom - float64(n)/float64(top)*(plotBottom-plotTop) }
	var b bytes.Buffer
	title := s.Title[say.Code]
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n%s",
		cardWidth, cardHeight, cardWidth, cardHeight, html.EscapeString(title), chartStyle)
	fmt.Fprintf(&b, `<rect class="card" x="0.5" y="0.5" width="%d" height="%d" rx="10"/>`+"\n", cardWidth-1, cardHeight-1)
	text := func(class, anchor string, x, y float64, text string) {
		fmt.Fprintf(&b, `<text class="%s" text-anchor="%s" x="%.1f" y="%.1f">%s</text>`+"\n", class, anchor, x, y, html.EscapeString(text))
	}
	text("title", "start", 24, 34, title)
	text("note", "start", 24, 58, say.Say("chart")+", "+say.Say("chart_unit"))
	for _, w := range s.Script.Windows {
		fmt.Fprintf(&b, `<rect class="fails" x="%.1f" y="%d" width="%.1f" height="%d"><title>%s</title></rect>`+"\n",
			x(w.From), plotTop, x(min(w.Till, end))-x(w.From), plotBottom-plotTop, html.EscapeString(w.Partner))
	}
	for n := 0; n <= top; n += step {
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`+"\n", plotLeft, plotRight, y(n), y(n))
		text("tick", "end", plotLeft-10, y(n)+4.5, Grouped(int64(n)))
	}
	every := 30 * time.Minute
	for end/every > 10 {
		every *= 2
	}
	begins := s.Script.Begins.Time().In(s.Script.Location)
	for at := begins.Truncate(every); at.Sub(begins) <= end; at = at.Add(every) {
		if d := at.Sub(begins); d >= 0 {
			fmt.Fprintf(&b, `<line class="axis" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+"\n", x(d), x(d), plotBottom, plotBottom+5)
			text("tick", "middle", x(d), plotBottom+21, at.Format("15:04"))
		}
	}
	fmt.Fprintf(&b, `<line class="axis" x1="%d" x2="%d" y1="%d" y2="%d"/>`+"\n", plotLeft, plotRight, plotBottom, plotBottom)
	curve := func(class string, minutes []sim.Minute, at float64) {
		if len(minutes) == 0 {
			return
		}
		var path strings.Builder
		last := 0
		for i := 0; time.Duration(i)*time.Minute <= end; i++ {
			if i < len(minutes) {
				last = minutes[i].Pending
			}
			fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(i, 1)], x(time.Duration(i)*time.Minute), y(last))
		}
		fmt.Fprintf(&b, `<path class="line %s" d="%s"/>`+"\n"+`<path class="line %s" d="M%.1f 81.5h26"/>`+"\n", class, path.String(), class, at)
		text("key", "start", at+34, 86, say.Say(class))
	}
	curve("tenu", minutes, 24)
	curve("was", was, 150)
	b.WriteString("</svg>\n")
	return b.Bytes(), nil
}

// rounded is a step of 1, 2 or 5 times a power of ten that is made at most so many times.
func rounded(most, times int) int {
	for ten := 1; ; ten *= 10 {
		for _, by := range []int{1, 2, 5} {
			if most <= ten*by*times {
				return ten * by
			}
		}
	}
}
