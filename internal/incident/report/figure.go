package report

import (
	"math"
	"slices"
	"time"

	"tenu/internal/chart"
	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// mostPoints bounds a curve: beyond, several minutes are one point, their average.
const mostPoints = 720

// charts are the pictures of a report: those that there is something to draw for.
func (w *writer) charts() (all []*chart.Chart) {
	if len(w.Minutes) > 0 {
		all = append(all, w.course(w.sales(), "per_minute", map[string]func(*Minute) int64{
			"line_sold": func(m *Minute) int64 { return m.Sold }, "line_paid": func(m *Minute) int64 { return m.Paid },
			"line_credited": func(m *Minute) int64 { return m.Credited }, "line_refunded": func(m *Minute) int64 { return m.Refunded },
		}, "line_sold", "line_paid", "line_credited", "line_refunded"), w.course("chart_told", "per_minute_told", map[string]func(*Minute) int64{
			"line_refused": func(m *Minute) int64 { return m.Paused }, "line_told": func(m *Minute) int64 { return m.Told },
		}, "line_refused", "line_told"))
	}
	if len(w.Settled.Ends) > 0 && w.Totals.Credited+w.Totals.Refunded > 0 {
		all = append(all, w.settled())
	}
	return all
}

// sales is the title of the chart of sales.
func (w *writer) sales() string {
	if w.AffectedOnly {
		return "chart_affected"
	}
	return "chart_sales"
}

// course draws what happened minute by minute. A minute that is not among them is one in
// which nothing happened.
func (w *writer) course(title, unit string, figures map[string]func(*Minute) int64, names ...string) *chart.Chart {
	first, last := w.Minutes[0].At, w.Minutes[len(w.Minutes)-1].At
	for _, m := range w.moments() {
		first, last = min(first, m.at), max(last, m.at)
	}
	last = min(last, first.Add(maxSpan))
	c := &chart.Chart{Title: w.Say(title), X: w.Say("hour"), Y: w.Say(unit), Whole: true, Ticks: w.ticks(first, last)}
	for _, m := range w.moments() {
		if m.at <= last {
			c.Marks = append(c.Marks, chart.Mark{At: minutes(m.at), Label: w.Say("mark_" + m.key)})
		}
	}
	spread := int64(minutes(last)-minutes(first))/mostPoints + 1
	begin := int64(minutes(w.Minutes[0].At))
	for _, name := range names {
		sums := make([]float64, (int64(minutes(w.Minutes[len(w.Minutes)-1].At))-begin)/spread+1)
		for i := range w.Minutes {
			sums[(int64(minutes(w.Minutes[i].At))-begin)/spread] += float64(figures[name](&w.Minutes[i])) / float64(spread)
		}
		line := chart.Line{Name: w.Say(name)}
		for i, sum := range sums {
			line.Points = append(line.Points, [2]float64{float64(begin + int64(i)*spread), sum})
		}
		c.Lines = append(c.Lines, line)
	}
	return c
}

// minutes is an instant in minutes since 1970.
func minutes(at purchase.Instant) float64 { return float64(at) / float64(time.Minute.Microseconds()) }

// ticks are round times of day around a span, at most ten or so.
func (w *writer) ticks(first, last purchase.Instant) (ticks []chart.Tick) {
	steps := []int64{1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2 * 1440, 5 * 1440}
	span := int64(minutes(last) - minutes(first))
	step := steps[len(steps)-1]
	if i := slices.IndexFunc(steps, func(s int64) bool { return span/s <= 8 }); i >= 0 {
		step = steps[i]
	}
	_, offset := first.Time().In(w.Location).Zone() // round where people are
	shift := int64(offset / 60)
	at := (int64(math.Floor(minutes(first))) + shift) / step * step
	end := (int64(math.Floor(minutes(last))) + shift) / step * step
	layout := w.Say("clock")
	if step >= 1440 {
		layout = "02/01"
	}
	for ; at <= end+step; at += step {
		label := time.Unix((at-shift)*60, 0).In(w.Location).Format(layout)
		ticks = append(ticks, chart.Tick{At: float64(at - shift), Label: label})
	}
	return ticks
}

// ends are the upper ends of the times to settle that are counted together.
var ends = chart.Ends

// taken are the ends from the first to the last that something took, and the index of the first.
func (w *writer) taken() (all []incident.SettledWithin, first int) {
	some := func(e incident.SettledWithin) bool { return e.Credited+e.Given > 0 }
	all = w.Settled.Ends
	if first = slices.IndexFunc(all, some); first < 0 {
		return nil, 0
	}
	last := first
	for i := range all {
		if some(all[i]) {
			last = i
		}
	}
	return all[first : last+1], first
}

// settled draws how long it took until purchases had their outcome.
func (w *writer) settled() *chart.Chart {
	c := &chart.Chart{Title: w.Say("chart_settled"), X: w.Say("time_taken"), Y: w.Say("purchases"), Whole: true,
		Keys: []string{w.Say("line_credited"), w.Say("line_refunded")}, KeyInk: 2} // as on the curves
	taken, first := w.taken()
	for _, e := range taken {
		c.Columns = append(c.Columns, chart.Column{Label: chart.EndName(e.Till), Values: []float64{float64(e.Credited), float64(e.Given)}})
	}
	for _, p := range []struct {
		name string
		at   time.Duration
	}{{"p50", w.Totals.SettledP50}, {"p95", w.Totals.SettledP95}, {"p99", w.Totals.SettledP99}} {
		at := min(max(chart.Place(p.at)-float64(first), 0), float64(len(c.Columns)))
		c.Marks = append(c.Marks, chart.Mark{At: at, Label: p.name + " " + w.duration(p.at)})
	}
	return c
}
