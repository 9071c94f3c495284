package status

import (
	"fmt"
	"strconv"
	"strings"

	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/page"
	"tenu/internal/purchase"
)

// detail is how much a page shows.
type detail struct {
	current, past, components, bars, text, name, course int
}

// details are from as much as people want to read to what always fits.
var details = []detail{
	{current: 5, past: 8, components: 24, bars: 24, text: 600, name: 120, course: 60},
	{current: 4, past: 5, components: 16, bars: 10, text: 400, name: 100, course: 30},
	{current: 3, past: 3, components: 12, bars: 4, text: 240, name: 80, course: 20},
	{current: 2, past: 2, components: 8, bars: 1, text: 100, name: 60, course: 12},
	{current: 1, past: 1, components: 6, text: 60, name: 40, course: 8},
}

// badge is a state by word, shape and colour.
type badge struct{ Word, Icon, Tone string }

func (t *tongue) badge(s State, key string) badge {
	switch s {
	case Operational:
		return badge{t.Say(key), "check", "g"}
	case Degraded:
		return badge{t.Say(key), "clock", "w"}
	case Paused:
		return badge{t.Say(key), "cross", "b"}
	}
	return badge{t.Say("unknown"), "clock", "w"}
}

type componentView struct {
	Name  string
	State badge
	Bar   *barView
	Share string
}

// barView is a component's days as upright strokes: the better the day, the shorter and greener.
type barView struct {
	Width                     int
	Say                       string
	Unknown, Degraded, Paused string
}

type sumView struct{ Name, Count, Sum string }

type courseView struct{ Time, Say string }

type incidentView struct {
	Title, Ref, Page, When, Expected, Text string
	State                                  badge
	Sums, Counts                           []sumView
	Course                                 []courseView
}

// askView is where to ask about a purchase: the platform, or a page of its own.
type askView struct{ Action, Lang, Asked, Page string }

type lookupPage struct {
	frame
	Platform string
}

type indexPage struct {
	frame
	State                       badge
	Paused                      bool
	At                          string
	Current, Past               []incidentView
	MoreCurrent, MoreComponents string
	Components                  []componentView
	History, Subscribe          string
	Ask                         askView
}

type incidentPage struct {
	frame
	incidentView
	At  string
	Ask askView
}

type sharesView struct {
	Name   string
	Shares []string
}

type historyPage struct {
	frame
	Spans          []string
	Shares         []sharesView
	MoreComponents string
	Past           []incidentView
	Newer, Older   string
}

// spans are what availability is told for, in days.
var spans = []int{7, 30, Kept}

// pages are the pages in the language.
func (t *tongue) pages(s *Snapshot) (files []File, err error) {
	add := func(f File, failed error) {
		files = append(files, f)
		if err == nil {
			err = failed
		}
	}
	for i := range s.Incidents {
		add(fit(details, func(d *detail) (File, error) { return t.incidentPage(s, &s.Incidents[i], d) }))
	}
	history, failed := t.history(s)
	files = append(files, history...)
	add(fit(details, func(d *detail) (File, error) { return t.index(s, d) }))
	if failed != nil {
		err = failed
	}
	return files, err
}

// index is the first page.
func (t *tongue) index(s *Snapshot, d *detail) (File, error) {
	state := s.state()
	p := &indexPage{frame: t.frame("index"), State: t.badge(state, "all_"+state.word()), Paused: state == Paused, At: t.asOf(s.At),
		History: t.name("history"), Ask: t.ask(), Subscribe: t.platform("subscribe")}
	if p.Subscribe != "" {
		p.Subscribe += "?lang=" + t.Code
	}
	left := 0
	for i := range s.Incidents {
		switch in := &s.Incidents[i]; {
		case in.current() && len(p.Current) < d.current:
			p.Current = append(p.Current, t.whole(s, in, d))
		case in.current():
			left++
		case len(p.Past) < d.past:
			p.Past = append(p.Past, t.incident(in, d))
		}
	}
	p.MoreCurrent = t.more(left)
	p.Components, p.MoreComponents = t.components(s, d)
	return t.draw(t.name("index"), "index", p)
}

// components are the worst first where not all have room.
func (t *tongue) components(s *Snapshot, d *detail) (views []componentView, more string) {
	for _, c := range worstFirst(s.Components, d.components) {
		v := componentView{Name: t.componentName(c, d), State: t.badge(c.State, c.State.word())}
		if len(views) < d.bars && len(c.Days) > 0 {
			v.Bar = t.bar(c)
		}
		if share, known := c.available(Kept); known {
			v.Share = t.Say("open_share", "Share", t.percent(share))
		}
		views = append(views, v)
	}
	return views, t.more(len(s.Components) - len(views))
}

// worstFirst leaves components in their order when they have room, and otherwise takes the worst.
func worstFirst(all []Component, most int) (chosen []*Component) {
	for state := Paused; len(all) > most && state >= Operational; state-- {
		for i := range all {
			if all[i].State == state && len(chosen) < most {
				chosen = append(chosen, &all[i])
			}
		}
	}
	if len(all) <= most {
		for i := range all {
			chosen = append(chosen, &all[i])
		}
	}
	return chosen
}

func (t *tongue) more(n int) string {
	if n <= 0 {
		return ""
	}
	return t.Say("more", "N", strconv.Itoa(n))
}

func (t *tongue) componentName(c *Component, d *detail) string {
	if name := said(c.Name, t.Code); name != "" {
		return short(name, d.name)
	}
	return short(c.Series.Name, d.name)
}

// bar draws a component's days.
func (t *tongue) bar(c *Component) *barView {
	b := &barView{Width: 3 * len(c.Days)}
	var degraded, paused, unknown int
	for i, day := range c.Days {
		at := 3*i + 1
		switch {
		case day.Paused > 0:
			paused++
			b.Paused += fmt.Sprintf("M%d 20V0", at)
		case day.Degraded > 0:
			degraded++
			b.Degraded += fmt.Sprintf("M%d 20V5", at)
		case day.Measured <= 0:
			unknown++
			b.Unknown += fmt.Sprintf("M%d 20V10", at)
		}
	}
	b.Say = t.Say("bar", "Days", strconv.Itoa(len(c.Days)), "Paused", strconv.Itoa(paused), "Degraded", strconv.Itoa(degraded), "Unknown",
		strconv.Itoa(unknown))
	return b
}

// percent writes hundredths of a percent.
func (t *tongue) percent(share int64) string {
	point := "."
	if t.Code == "fr" {
		point = ","
	}
	if share%100 == 0 {
		return strconv.FormatInt(share/100, 10)
	}
	return fmt.Sprintf("%d%s%02d", share/100, point, share%100)
}

// incidentPage is the page of an incident. Once it is over its page changes no more.
func (t *tongue) incidentPage(s *Snapshot, in *Incident, d *detail) (File, error) {
	base := base(in.ID)
	p := &incidentPage{frame: t.frame(base), incidentView: t.whole(s, in, d)}
	p.Course = t.course(in, d.course)
	if in.Status != incident.Closed {
		p.At, p.Ask = t.asOf(s.At), t.ask()
	}
	return t.draw(t.name(base), "incident", p)
}

func base(id incident.ID) string { return "incident-" + strconv.FormatInt(int64(id), 10) }

// incident is an incident in words.
func (t *tongue) incident(in *Incident, d *detail) incidentView {
	v := incidentView{Title: t.title(in, d.name), Ref: t.Say("incident", "Ref", fmt.Sprintf("I-%d", in.ID)), Page: t.name(base(in.ID)),
		State: t.status(in.Status), Text: short(said(in.Text, t.Code), d.text)}
	v.When = t.Say("since", "Time", t.moment(in.Since))
	if till := max(in.ResolvedAt, in.ClosedAt); !in.current() && till != 0 {
		if in.ResolvedAt != 0 {
			till = in.ResolvedAt
		}
		v.When = t.Say("from_till", "Time", t.moment(in.Since), "Till", t.moment(till))
	}
	if in.ExpectedAt != 0 && in.current() {
		v.Expected = t.Say("expected", "Time", t.moment(in.ExpectedAt))
	}
	return v
}

// whole is an incident in words with its figures.
func (t *tongue) whole(s *Snapshot, in *Incident, d *detail) incidentView {
	v := t.incident(in, d)
	n := &in.Totals
	for _, row := range []struct {
		key         string
		count, paid int64
	}{{"affected", n.Purchases, n.Amount}, {"credited", n.Credited, n.AmountCredited}, {"refunded", n.Refunded, n.AmountGiven}, {"pending", n.Pending,
		n.AmountPending}} {
		v.Sums = append(v.Sums, sumView{t.Say(row.key), count(row.count), page.Unbroken(money.Amount{Minor: row.paid, Currency: s.Currency}.String())})
	}
	v.Counts = []sumView{{Name: t.Say("customers"), Count: count(n.Customers)}, {Name: t.Say("told"), Count: count(n.Told)}}
	return v
}

// title is an incident's, or its name where nobody gave it one.
func (t *tongue) title(in *Incident, most int) string {
	if title := short(said(in.Title, t.Code), most); title != "" {
		return title
	}
	return t.Say("incident", "Ref", fmt.Sprintf("I-%d", in.ID))
}

func (t *tongue) status(s incident.Status) badge {
	switch s {
	case incident.Ongoing:
		return t.badge(Paused, "ongoing")
	case incident.Recovering:
		return t.badge(Degraded, "recovering")
	case incident.Resolved:
		return t.badge(Degraded, "resolved")
	case incident.Closed:
	}
	return t.badge(Operational, "closed")
}

// course is what happened, the newest first: the first failure is always there.
func (t *tongue) course(in *Incident, most int) (lines []courseView) {
	for i := len(in.Entries) - 1; i >= 0 && len(lines) < most-1; i-- {
		if e := &in.Entries[i]; public(e.Event) {
			lines = append(lines, courseView{t.moment(e.At), t.event(e)})
		}
	}
	return append(lines, courseView{t.moment(in.Since), t.Say("first_failure")})
}

// event says what an entry says happened. Its text is the staff's; only a share of a
// thousand is taken from it, where it is nothing else.
func (t *tongue) event(e *incident.Entry) string {
	if n, err := strconv.Atoi(strings.TrimSpace(e.Text)); e.Event == incident.EventStep && err == nil && n >= 0 && n <= 1000 {
		return t.Say("event_step_share", "Share", t.percent(int64(n)*10))
	}
	return t.Say("event_" + string(e.Event))
}

// history are the pages of past incidents, and of how available each component was.
func (t *tongue) history(s *Snapshot) (files []File, err error) {
	for _, d := range details {
		if files, err = t.historyOf(s, &d); err == nil {
			return files, nil
		}
	}
	return nil, err
}

func (t *tongue) historyOf(s *Snapshot, d *detail) (files []File, err error) {
	per := d.past * 4
	count := max((len(s.Incidents)+per-1)/per, 1)
	name := func(n int) string {
		if n == 0 {
			return "history"
		}
		return "history-" + strconv.Itoa(n+1)
	}
	for n := range count {
		p := &historyPage{frame: t.frame(name(n))}
		if n > 0 {
			p.Newer = t.name(name(n - 1))
		} else if len(s.Components) > 0 {
			t.shares(s, p, d)
		}
		if n < count-1 {
			p.Older = t.name(name(n + 1))
		}
		for i := n * per; i < min((n+1)*per, len(s.Incidents)); i++ {
			p.Past = append(p.Past, t.incident(&s.Incidents[i], d))
		}
		f, err := t.draw(t.name(name(n)), "history", p)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func (t *tongue) shares(s *Snapshot, p *historyPage, d *detail) {
	for _, n := range spans {
		p.Spans = append(p.Spans, page.Unbroken(t.Say("days", "N", strconv.Itoa(n))))
	}
	for _, c := range worstFirst(s.Components, d.components) {
		row := sharesView{Name: t.componentName(c, d)}
		for _, n := range spans {
			text := "–"
			if share, known := c.available(n); known {
				text = t.percent(share) + "\u00a0%"
			}
			row.Shares = append(row.Shares, text)
		}
		p.Shares = append(p.Shares, row)
	}
	p.MoreComponents = t.more(len(s.Components) - len(p.Shares))
}

// ask is the form about a purchase, without an action where nobody would answer.
func (t *tongue) ask() askView {
	if t.lookup() {
		return askView{Page: t.name("concerned")}
	}
	return askView{Action: t.platform("concerned"), Lang: t.Code}
}

// lookup reports whether the list is beside the pages, so that nobody needs the platform to ask.
func (t *tongue) lookup() bool { return !t.served && len(t.cfg.Salt) > 0 }

// lookupPage asks about a purchase without the platform.
func (t *tongue) lookupPage() (File, error) {
	p := &lookupPage{frame: t.frame("concerned"), Platform: t.platform("concerned")}
	p.Policy += "; script-src 'self'; connect-src 'self'"
	if p.Platform != "" {
		p.Platform += "?lang=" + t.Code
	}
	return t.draw(t.name("concerned"), "lookup", p)
}

// platform is where Server answers something, "" for nowhere.
func (t *tongue) platform(name string) string {
	switch {
	case t.served:
		return name
	case t.cfg.Platform == "":
		return ""
	}
	return t.cfg.Platform + name
}

// moment writes an instant, with its day: a page may be read much later.
func (t *tongue) moment(at purchase.Instant) string {
	return page.Unbroken(at.Time().In(t.cfg.Location).Format(t.Say("moment")))
}

func (t *tongue) asOf(at purchase.Instant) string {
	zone, _ := at.Time().In(t.cfg.Location).Zone()
	return t.Say("at", "Time", page.Unbroken(at.Time().In(t.cfg.Location).Format(t.Say("moment")+":05")), "Zone", zone)
}

// count writes a number, grouped.
func count(n int64) string { return page.Unbroken(money.Amount{Minor: n}.Number()) }

// unbreaking keeps French punctuation and signs on the line of the word before them.
var unbreaking = strings.NewReplacer(" ?", "\u00a0?", " !", "\u00a0!", " :", "\u00a0:", " ;", "\u00a0;", " %", "\u00a0%")

// Say is a phrase for a page.
func (t *tongue) Say(key string, pairs ...string) string {
	return unbreaking.Replace(t.Tongue.Say(key, pairs...))
}
