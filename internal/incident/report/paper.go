package report

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/chart"
	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/page"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

//go:embed pages phrases
var embedded embed.FS

// standard is the language of what another one does not say.
const standard = "fr"

// Report writes reports. It is immutable and safe for concurrent use.
type Report struct {
	texts *phrase.Texts
	pages map[string]*page.Set
}

// New reads the report's texts.
func New() (*Report, error) {
	dir, err := fs.Sub(embedded, "phrases")
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	texts, err := phrase.LoadTexts(standard, dir)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	pages, err := fs.Sub(embedded, "pages")
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	r := &Report{texts, map[string]*page.Set{}}
	for _, lang := range texts.Languages() {
		if r.pages[lang], err = page.Parse(pages, texts.In(lang), nil, nil); err != nil {
			return nil, fmt.Errorf("report: %w", err)
		}
	}
	return r, nil
}

// line is a name and what belongs to it.
type line struct{ Name, Value, More string }

type entryLine struct{ When, By, What, Text string }

// paper is a report in words, whatever it is written on.
type paper struct {
	Lang, Brand, Title, Name, Made, Draft, Text string
	Facts, Marks, Sums, Counts, Calls           []line
	Times, Within                               [][]string // by outcome: of percentiles, and of what took how long
	TimesHead, WithinHead                       []string
	Minutes                                     string      // what the minutes are of, where they are not of all
	Told                                        []entryLine // By is whom, What how many, Text the last
	Charts                                      []*chart.Chart
	Entries                                     []entryLine
}

// writer says a report's data in one language.
type writer struct {
	*phrase.Tongue
	*Data
}

// paper is the report in a language, or *DisagreeError.
func (r *Report) paper(d *Data, language string) (*paper, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	w := &writer{r.texts.In(language), d}
	in := &d.Incident
	zone, _ := d.At.Time().In(d.Location).Zone()
	p := &paper{Lang: w.Code, Brand: d.Brand, Title: w.Say("title") + fmt.Sprintf(" I-%d", in.ID), Name: w.either(in.Title),
		Made: w.Say("made", "Time", w.moment(d.At), "Zone", zone, "Currency", string(d.Currency)), Text: w.either(in.Text)}
	if in.Status != incident.Closed {
		p.Draft = w.Say("draft")
	}
	w.facts(p)
	w.figures(p)
	w.times(p)
	w.told(p)
	if w.AffectedOnly && len(w.Minutes) > 0 {
		p.Minutes = w.Say("affected_only")
	}
	for i := range d.Entries[:min(len(d.Entries), maxEntries)] {
		e := &d.Entries[i]
		p.Entries = append(p.Entries, entryLine{w.moment(e.At), w.by(e.By), w.event(e.Event), w.detail(e)})
	}
	p.Charts = w.charts()
	return p, nil
}

func (w *writer) facts(p *paper) {
	in := &w.Incident
	series := w.either(w.Series)
	if series == "" {
		series = in.Series.Name
	}
	p.Facts = []line{{Name: w.Say("series"), Value: series}, {Name: w.Say("party"), Value: cmp.Or(w.either(w.Party), in.Party)}, {Name: w.Say("severity"),
		Value: w.among("severity_", int(in.Severity))},
		{Name: w.Say("state"), Value: w.among("status_", int(in.Status))}}
	for _, m := range w.moments() {
		more := ""
		if m.at > in.Since {
			more = w.duration(m.at.Sub(in.Since)) + " " + w.Say("after")
		}
		p.Marks = append(p.Marks, line{w.Say("mark_" + m.key), w.moment(m.at), more})
	}
	if in.PausedAt == 0 {
		p.Marks = append(p.Marks, line{Name: w.Say("mark_paused"), Value: "–", More: w.Say("never_paused")})
	}
}

// moment is one that is marked on charts.
type moment struct {
	key string
	at  purchase.Instant
}

// moments are those that were, in order.
func (w *writer) moments() []moment {
	in := &w.Incident
	all := []moment{{"first", in.Since}, {"seen", in.SeenAt}, {"paused", in.PausedAt},
		{"recovered", in.RecoveredAt}, {"resolved", in.ResolvedAt}, {"closed", in.ClosedAt}}
	all = slices.DeleteFunc(all, func(m moment) bool { return m.at == 0 })
	slices.SortStableFunc(all, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	return all
}

func (w *writer) figures(p *paper) {
	t := &w.Totals
	for _, row := range []struct {
		key         string
		count, paid int64
	}{{"affected", t.Purchases, t.Amount}, {"credited", t.Credited, t.AmountCredited}, {"refunded", t.Refunded, t.AmountGiven}, {"pending", t.Pending,
		t.AmountPending}} {
		p.Sums = append(p.Sums, line{w.Say(row.key), count(row.count), page.Unbroken(money.Amount{Minor: row.paid, Currency: w.Currency}.String())})
	}
	p.Counts = []line{{Name: w.Say("customers"), Value: count(t.Customers)}, {Name: w.Say("told"), Value: count(t.Told)},
		{Name: w.Say("cases"), Value: count(t.Cases)}, {Name: w.Say("cases_open"), Value: count(t.CasesOpen)}}
	p.Calls = []line{{Name: w.Say("callbacks_promised"), Value: count(t.CallbacksPromised)}, {Name: w.Say("callbacks_kept"), Value: count(t.CallbacksKept)},
		{Name: w.Say("callbacks_broken"), Value: count(t.CallbacksLost)},
		{Name: w.Say("callbacks_waiting"), Value: count(t.CallbacksPromised - t.CallbacksKept - t.CallbacksLost)}}
}

// times are how long it took until purchases were settled: by outcome where that is known, and of all.
func (w *writer) times(p *paper) {
	t, of := &w.Totals, &w.Settled
	if t.Credited+t.Refunded == 0 {
		return
	}
	took := func(c *incident.Took, d time.Duration) string {
		if c.Count == 0 {
			return "–"
		}
		return w.duration(d)
	}
	p.TimesHead = []string{"", w.Say("credited"), w.Say("refunded"), w.Say("both")}
	for _, r := range []struct {
		key                   string
		credited, given, both time.Duration
	}{{"share_50", of.Credited.P50, of.Given.P50, t.SettledP50}, {"share_95", of.Credited.P95, of.Given.P95, t.SettledP95},
		{"share_99", of.Credited.P99, of.Given.P99, t.SettledP99}, {"share_max", of.Credited.Max, of.Given.Max, t.SettledMax}} {
		p.Times = append(p.Times, []string{w.Say(r.key), took(&of.Credited, r.credited), took(&of.Given, r.given), w.duration(r.both)})
	}
	p.WithinHead = []string{w.Say("within"), w.Say("credited"), w.Say("refunded"), w.Say("so_far")}
	taken, _ := w.taken()
	var done int64
	for _, e := range taken {
		done += e.Credited + e.Given
		p.Within = append(p.Within, []string{chart.EndName(e.Till), count(e.Credited), count(e.Given), w.share(done, t.Credited+t.Refunded)})
	}
}

// share is a part of a whole in percent, cut: what is 100 % is all.
func (w *writer) share(part, of int64) string {
	tenths := int64(float64(part) / float64(of) * 1000)
	if part == of {
		tenths = 1000
	}
	return fmt.Sprintf("%d%s%d\u00a0%%", tenths/10, w.point(), tenths%10)
}

// point is between whole and tenths.
func (w *writer) point() string {
	if w.Code == standard {
		return ","
	}
	return "."
}

func (w *writer) told(p *paper) {
	for _, t := range w.Told {
		whom := string(t.Whom)
		if w.Has("whom_" + whom) {
			whom = w.Say("whom_" + whom)
		}
		p.Told = append(p.Told, entryLine{When: w.moment(t.First), By: whom, What: count(t.Count), Text: w.moment(t.Last)})
	}
}

// either is a text in the language, or in the standard one.
func (w *writer) either(texts map[purchase.Language]string) string {
	return cmp.Or(texts[purchase.Language(w.Code)], texts[standard])
}

// among is a phrase of a numbered kind, or the number.
func (w *writer) among(kind string, n int) string {
	if key := kind + strconv.Itoa(n); w.Has(key) {
		return w.Say(key)
	}
	return strconv.Itoa(n)
}

func (w *writer) event(e incident.Event) string {
	if key := "event_" + string(e); w.Has(key) {
		return w.Say(key)
	}
	return string(e)
}

// detail is what a line of the timeline says beside its event, in words where the desk wrote it.
func (w *writer) detail(e *incident.Entry) string {
	n, err := strconv.ParseInt(e.Text, 10, 64)
	switch {
	case e.Event == incident.EventStep && err == nil:
		return w.Say("step_share", "Share", w.share(n, 1000))
	case e.Event == incident.EventTold && err == nil:
		return w.Say("told_count", "N", count(n))
	case e.Event == incident.EventProbe:
		outcome, why, _ := strings.Cut(e.Text, " ")
		if key := "probed_" + outcome; w.Has(key) {
			if why != "" {
				why = " · " + why
			}
			return w.Say(key) + why
		}
	case e.Event == incident.EventSeverity:
		for s := incident.Minor; s <= incident.Critical; s++ {
			if s.String() == e.Text {
				return w.among("severity_", int(s))
			}
		}
	case e.Event == incident.EventOwner:
		if id, err := strconv.ParseInt(strings.TrimPrefix(e.Text, "#"), 10, 64); err == nil && id != 0 {
			return w.by(incident.Actor{Staff: auth.StaffID(id)})
		}
	}
	return e.Text
}

func (w *writer) by(a incident.Actor) string {
	if a.Staff == 0 {
		return w.Say("system")
	}
	return cmp.Or(w.Staff[a.Staff], w.Say("staff", "ID", fmt.Sprint(a.Staff)))
}

func (w *writer) moment(at purchase.Instant) string {
	if at == 0 {
		return "–"
	}
	return page.Unbroken(at.Time().In(w.Location).Format(w.Say("moment")))
}

// duration writes how long something took: "4.2 s", "41 s", "1 min 23 s", "2 h 05 min".
func (w *writer) duration(d time.Duration) string {
	point := w.point()
	tenths := (d + 50*time.Millisecond) / (100 * time.Millisecond)
	switch whole := (d + time.Second/2) / time.Second; {
	case tenths < 100:
		return fmt.Sprintf("%d%s%d\u00a0s", tenths/10, point, tenths%10)
	case whole < 60:
		return fmt.Sprintf("%d\u00a0s", whole)
	case whole < 3600:
		return fmt.Sprintf("%d\u00a0min\u00a0%02d\u00a0s", whole/60, whole%60)
	default:
		return fmt.Sprintf("%d\u00a0h\u00a0%02d\u00a0min", whole/3600, whole%3600/60)
	}
}

// count writes a number, grouped.
func count(n int64) string { return page.Unbroken(money.Amount{Minor: n}.Number()) }
