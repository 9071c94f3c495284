package portal

import (
	"html/template"
	"net/http"
	"strconv"
	"time"

	"tenu/internal/chart"
	"tenu/internal/incident"
	"tenu/internal/profile"
	"tenu/internal/purchase"
	"tenu/internal/regulator"
	"tenu/internal/regulator/picture"
)

// line is one figure as it is shown.
type line struct {
	Code, Name, Value, Text, Source, Limit string
	Tone                                   string
	None                                   bool // there is no such limit
}

// group is figures under one heading.
type group struct {
	Title string
	Lines []line
}

// groups are the headings of figures, and the code of the first figure under each.
var groups = []struct{ key, first string }{{"of_purchases", "purchases"}, {"of_money", "held"}, {"of_times", "credit_p50"}, {"of_care", "cases"}, {"of_incidents", "incidents"}}

// listed are all figures, in groups.
func (v *visit) listed(f *regulator.Figures, l *regulator.Limits) (all []group) {
	next := 0
	for i := range regulator.Definitions {
		d := &regulator.Definitions[i]
		if next < len(groups) && groups[next].first == d.Code {
			all = append(all, group{Title: v.Say(groups[next].key)})
			next++
		}
		in := &all[len(all)-1]
		in.Lines = append(in.Lines, v.line(d, f, l))
	}
	return all
}

func (v *visit) line(d *regulator.Definition, f *regulator.Figures, l *regulator.Limits) line {
	value := d.Of(f, l).In(v.cfg.Currency)
	x := line{Code: d.Code, Name: d.Name(v.Lang), Value: value.Say(v.Lang), Text: d.Text(v.Lang), Source: d.Source, None: value.Unlimited}
	if limit, said := l.Sources[d.Code]; said {
		x.Limit = v.Say("limit", "Time", regulator.Took(limit.Within, v.Lang), "Source", limit.Source)
		if limit.Source == "" {
			x.Limit = v.Say("target", "Time", regulator.Took(limit.Within, v.Lang))
		}
	}
	bad := map[string]bool{"held_late": true, "breaches": true, "callbacks_broken": true}
	if bad[d.Code] && value.N > 0 && !value.Unlimited || d.Unit == regulator.Share && x.Limit != "" && value.N < value.Of {
		x.Tone = "bad"
	}
	return x
}

// some are the figures of some codes.
func (v *visit) some(f *regulator.Figures, l *regulator.Limits, codes ...string) (all []line) {
	for _, code := range codes {
		for i := range regulator.Definitions {
			if regulator.Definitions[i].Code == code {
				all = append(all, v.line(&regulator.Definitions[i], f, l))
			}
		}
	}
	return all
}

type failureLine struct{ Leg, Code, Meaning, Party, Count, Amount string }

func (v *visit) failures(f *regulator.Figures) (all []failureLine) {
	for i := range f.Failures {
		x := &f.Failures[i]
		all = append(all, failureLine{regulator.SayParty(x.Leg, v.Lang), x.Code, regulator.SayCode(x.Code, v.Lang), regulator.SayParty(x.Party, v.Lang), regulator.Digits(x.Count), x.Amount.Say()})
	}
	return all
}

// limits are those that a page is asked to hold figures against: the country's own, or another's.
func (v *visit) limits() (*regulator.Limits, string, error) {
	country := v.Query("profile")
	if country == "" || country == v.cfg.Profile.Country {
		return regulator.LimitsOf(v.cfg.Profile, v.cfg.Drafts).Or(v.cfg.Targets), v.cfg.Profile.Country, nil
	}
	p, err := profile.Load(country)
	if err != nil {
		return nil, "", regulator.ErrPeriod
	}
	return regulator.LimitsOf(p, v.cfg.Drafts), country, nil
}

// choice is one of several.
type choice struct {
	Value, Name string
	On          bool
}

func (v *visit) countries(chosen string) (all []choice) {
	for _, name := range profile.Countries() {
		p, err := profile.Load(name)
		if err != nil {
			continue // it is part of the program
		}
		all = append(all, choice{name, p.Name[v.Lang], name == chosen})
	}
	return all
}

type nowPage struct {
	frame
	Tiles    []line
	Failures []failureLine
	Charts   []drawing
	Held     bool
	Open     []incidentLine
	Month    []line
	Profile  string
}

// now is how it is today, and in the month so far. The page is fetched again by itself.
func (p *Portal) now(v *visit) {
	show, err := p.today(v)
	if err != nil {
		v.Fail(err)
		return
	}
	v.show(http.StatusOK, "now", show)
}

func (p *Portal) today(v *visit) (*nowPage, error) {
	ctx := v.R.Context()
	limits, _, err := v.limits()
	if err != nil {
		return nil, err
	}
	today := p.cfg.Desk.Today()
	day, err := p.cfg.Desk.Over(ctx, today)
	if err != nil {
		return nil, err
	}
	month, err := p.cfg.Desk.Month(today.From.Time().In(p.cfg.Location).Format("2006-01"))
	if err != nil {
		return nil, err
	}
	so, err := p.cfg.Desk.Over(ctx, month)
	if err != nil {
		return nil, err
	}
	hours, err := p.cfg.Desk.Hours(ctx, today)
	if err != nil {
		return nil, err
	}
	items, err := p.cfg.Desk.Open(ctx)
	if err != nil {
		return nil, err
	}
	draw, err := picture.In(v.Lang)
	if err != nil {
		return nil, err
	}
	show := &nowPage{frame: v.frame("now"), Profile: p.cfg.Profile.Name[v.Lang], Failures: v.failures(day.Figures)}
	show.Live = true
	show.Tiles = v.some(day.Figures, limits, "purchases", "credited", "failed", "held_amount", "held_max", "refund_within", "settle_within", "breaches", "exposure_amount", "complaints",
		"calls_offered", "calls_prompt", "agent_wait_mean", "callbacks_kept", "callbacks_broken")
	show.Month = v.some(so.Figures, limits, "purchases", "charged_amount", "credited_amount", "refunded_amount", "failed", "refund_within", "settle_within", "breaches", "complaints", "incident_time",
		"customers_affected", "pause_time")
	held := draw.Held(items, v.At, limits.Settle)
	show.Held = len(held) > 0
	show.Charts = drawn(append(held, draw.Failures(day.Figures), draw.Settled(day.Figures, limits.Settle), draw.Refunded(day.Figures, limits.Refund), draw.Hours(v.hours(today, hours)))...)
	show.Open, err = v.openIncidents()
	return show, err
}

// drawing is a picture as pages have it.
type drawing struct {
	Title string
	SVG   template.HTML
}

// drawn are pictures, without those of nothing.
func drawn(charts ...*chart.Chart) (all []drawing) {
	for _, c := range charts {
		if c != nil {
			all = append(all, drawing{c.Title, template.HTML(c.Inline())}) //nolint:gosec // a chart escapes its texts
		}
	}
	return all
}

// hours are those of a day; what is not over yet has no figures.
func (v *visit) hours(day regulator.Span, known []regulator.Hour) (all []picture.Step) {
	for h := day.From; h < day.Till; h = h.Add(time.Hour) {
		step := picture.Step{Label: h.Time().In(v.cfg.Location).Format("15")}
		for i := range known {
			if x := &known[i]; h <= x.From && x.From < h.Add(time.Hour) {
				if step.Of == nil {
					step.Of = (&regulator.Figures{}).Whole()
				}
				step.Of.Add(x.Figures)
			}
		}
		all = append(all, step)
	}
	return all
}

type periodPage struct {
	frame
	From, Till  string // as forms have them
	First, Last string // as people read them
	Countries   []choice
	Groups      []group
	Failures    []failureLine
	Exposure    []failureLine
	Codes       []codeLine
	Incidents   []spellLine
	Pauses      []spellLine
	Charts      []drawing
	Corrections []correctionLine
	Open        bool
	Until       string
}

type codeLine struct{ Code, Opened, Complaints string }

type spellLine struct{ Name, Series, Since, Lasted, Customers string }

type correctionLine struct {
	Day, When string
	Changed   []regulator.Change
}

// asked is the period that a page is asked for: the month that lasts where none is.
func (v *visit) asked() (s regulator.Span, from, till string, err error) {
	if month := v.Query("month"); month != "" {
		if s, err = v.cfg.Desk.Month(month); err != nil {
			return s, "", "", err
		}
		return s, v.day(s.From), v.day(s.Till - 1), nil
	}
	from, till = v.Query("from"), v.Query("till")
	if from == "" {
		now := v.At.Time().In(v.cfg.Location)
		from, till = now.Format("2006-01")+"-01", now.Format(time.DateOnly)
	}
	if till == "" {
		till = from
	}
	s, err = v.cfg.Desk.Between(from, till)
	return s, from, till, err
}

// date is a day as people of the country read it.
func (v *visit) date(at purchase.Instant) string {
	return at.Time().In(v.cfg.Location).Format("02/01/2006")
}

func (v *visit) day(at purchase.Instant) string {
	return at.Time().In(v.cfg.Location).Format(time.DateOnly)
}

// period shows the figures of a period against the limits of a profile.
func (p *Portal) period(v *visit) {
	s, from, till, err := v.asked()
	if err != nil {
		v.Fail(err)
		return
	}
	limits, country, err := v.limits()
	if err != nil {
		v.Fail(err)
		return
	}
	over, err := p.cfg.Desk.Over(v.R.Context(), s)
	if err != nil {
		v.Fail(err)
		return
	}
	f := over.Figures
	show := &periodPage{frame: v.frame("period"), From: from, Till: till, First: v.date(s.From), Last: v.date(s.Till - 1), Countries: v.countries(country), Groups: v.listed(f, limits), Failures: v.failures(f),
		Open: over.Summed < s.Till, Until: v.time(over.Summed)}
	draw, err := picture.In(v.Lang)
	if err != nil {
		v.Fail(err)
		return
	}
	show.Charts = drawn(days(draw, over), draw.Settled(f, limits.Settle), draw.Failures(f), draw.Refunded(f, limits.Refund))
	for _, d := range f.Exposure {
		show.Exposure = append(show.Exposure, failureLine{Party: d.Partner, Count: regulator.Digits(d.Count), Amount: d.Amount.Say()})
	}
	for _, code := range []string{"A2", "A3", "A11", "Z"} {
		if f.Opened[code]+f.Complaints[code] > 0 {
			show.Codes = append(show.Codes, codeLine{code, regulator.Digits(f.Opened[code]), regulator.Digits(f.Complaints[code])})
		}
	}
	for _, i := range f.Incidents {
		show.Incidents = append(show.Incidents, spellLine{incident.ID(i.ID).String(), regulator.SayParty(i.Series, v.Lang), v.time(i.Seen), v.micro(i.Lasted), regulator.Digits(i.Customers)})
	}
	for _, x := range f.Pauses {
		by := v.Say("pause_system")
		if x.ByHand {
			by = v.Say("pause_hand")
		}
		show.Pauses = append(show.Pauses, spellLine{by, regulator.SayParty(x.Series, v.Lang), v.time(x.At), v.micro(x.Lasted), ""})
	}
	for _, c := range over.Corrections {
		show.Corrections = append(show.Corrections, correctionLine{c.Day, v.time(c.At), c.Changed})
	}
	v.show(http.StatusOK, "period", show)
}

func (v *visit) micro(n int64) string {
	return regulator.Took(time.Duration(n)*time.Microsecond, v.Lang)
}

// mostColumns bounds a chart of days.
const mostColumns = 62

// days draws the days of a period, of some that have room.
func days(draw *picture.Painter, over *regulator.Period) *chart.Chart {
	if len(over.Days) < 2 || len(over.Days) > mostColumns {
		return nil
	}
	all := make([]picture.Step, len(over.Days))
	for i := range over.Days {
		all[i] = picture.Step{Label: over.Days[i].Day[8:], Of: over.Days[i].Figures}
	}
	return draw.Days(all)
}

type profilesPage struct {
	frame
	Month     string
	Countries []string
	Rows      []profileRow
}

type profileRow struct {
	Name   string
	Values []profileCell
}

type profileCell struct{ Value, Note, Tone string }

// profiles shows what a month would have been under each country's limits.
func (p *Portal) profiles(v *visit) {
	month := v.Query("month")
	if month == "" {
		month = time.Date(v.At.Time().In(p.cfg.Location).Year(), v.At.Time().In(p.cfg.Location).Month()-1, 1, 0, 0, 0, 0, p.cfg.Location).Format("2006-01")
	}
	s, err := p.cfg.Desk.Month(month)
	if err != nil {
		v.Fail(err)
		return
	}
	over, err := p.cfg.Desk.Over(v.R.Context(), s)
	if err != nil {
		v.Fail(err)
		return
	}
	show := &profilesPage{frame: v.frame("profiles"), Month: month}
	rows := map[string]*profileRow{}
	codes := []string{"refund_within", "settle_within", "resolution_within", "wait_within", "held_late", "breaches"}
	for _, name := range profile.Countries() {
		country, err := profile.Load(name)
		if err != nil {
			v.Fail(err)
			return
		}
		show.Countries = append(show.Countries, country.Name[v.Lang])
		for _, x := range v.some(over.Figures, regulator.LimitsOf(country, p.cfg.Drafts), codes...) {
			if rows[x.Code] == nil {
				rows[x.Code] = &profileRow{Name: x.Name}
			}
			rows[x.Code].Values = append(rows[x.Code].Values, profileCell{x.Value, x.Limit, x.Tone})
		}
	}
	for _, code := range codes {
		show.Rows = append(show.Rows, *rows[code])
	}
	v.show(http.StatusOK, "profiles", show)
}

type incidentLine struct{ Name, Title, Text, Series, Party, Since, Ended, Status, Customers, Purchases, Pending, Tone string }

func (v *visit) incidentLine(i *incident.Incident) (incidentLine, error) {
	t, err := v.cfg.Records.Totals(v.R.Context(), i.ID)
	if err != nil {
		return incidentLine{}, err
	}
	dimension := map[incident.Dimension]string{incident.ByProduct: "product", incident.ByProvider: "provider", incident.ByPayer: "payer", incident.ByChannel: "channel",
		incident.ByOperator: "operator", incident.ByCentre: "centre"}[i.Series.By]
	lang := purchase.Language(v.Lang)
	x := incidentLine{Name: i.ID.String(), Title: i.Title[lang], Text: i.Text[lang], Series: regulator.SayParty(dimension+":"+i.Series.Name, v.Lang), Party: regulator.SayParty(i.Party, v.Lang),
		Since: v.time(i.Since), Ended: v.time(i.ResolvedAt), Status: v.Say("status_" + strconv.Itoa(int(i.Status))), Customers: regulator.Digits(t.Customers),
		Purchases: regulator.Digits(t.Purchases), Pending: regulator.Digits(t.Pending)}
	if i.Status == incident.Ongoing {
		x.Tone = "bad"
	}
	return x, nil
}

func (v *visit) openIncidents() ([]incidentLine, error) {
	return v.incidentLines(incident.Query{Open: true, Limit: 20})
}

func (v *visit) incidentLines(q incident.Query) (all []incidentLine, err error) {
	found, err := v.cfg.Records.Incidents(v.R.Context(), q)
	if err != nil {
		return nil, err
	}
	for i := range found {
		x, err := v.incidentLine(&found[i])
		if err != nil {
			return nil, err
		}
		all = append(all, x)
	}
	return all, nil
}

type incidentsPage struct {
	frame
	Incidents []incidentLine
}

// incidents shows what failed, and what the public is told of it.
func (p *Portal) incidents(v *visit) {
	all, err := v.incidentLines(incident.Query{Limit: 50})
	if err != nil {
		v.Fail(err)
		return
	}
	v.show(http.StatusOK, "incidents", &incidentsPage{v.frame("incidents"), all})
}

type definitionsPage struct {
	frame
	Groups []group
}

// definitions shows what each figure is.
func (p *Portal) definitions(v *visit) {
	limits, _, err := v.limits()
	if err != nil {
		v.Fail(err)
		return
	}
	v.show(http.StatusOK, "definitions", &definitionsPage{v.frame("definitions"), v.listed((&regulator.Figures{}).Whole(), limits)})
}
