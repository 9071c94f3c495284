package console

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/incident"
	"tenu/internal/purchase"
)

var incidentLooks = map[incident.Status]badge{incident.Ongoing: {"", "cross", "bad"}, incident.Recovering: {"", "pulse", "wait"},
	incident.Resolved: {"", "clock", "back"}, incident.Closed: {"", "check", "good"}}

func (v *visit) incidentBadge(s incident.Status) badge {
	b := incidentLooks[s]
	b.Word = v.Say("incident_" + s.String())
	return b
}

var severityTones = map[incident.Severity]string{incident.Major: "wait", incident.Critical: "bad"}

func (v *visit) severityBadge(s incident.Severity) badge {
	return badge{v.Say("severity_" + s.String()), "star", severityTones[s]}
}

// seriesName is what the staff call a series.
func (v *visit) seriesName(s incident.Series) string {
	name := s.Name
	switch s.By {
	case incident.ByProduct:
		name = v.productName(name)
	case incident.ByPayer, incident.ByProvider:
		name = v.partnerName(name)
	default:
	}
	return v.Say("series_"+s.By.String(), "Name", name)
}

// partyName is who is responsible, in words; what a person wrote is said as it was written.
func (v *visit) partyName(party string) string {
	kind, name, _ := strings.Cut(party, ":")
	switch kind {
	case "provider", "payer":
		if name != "" {
			return v.Say("party_"+kind, "Name", v.partnerName(name))
		}
	case "tenu", "centre":
		if name == "" {
			return v.Say("party_" + kind)
		}
	}
	return party
}

// incidentLine is an incident on one line.
type incidentLine struct {
	Name, Title, Series, Since, Seen string
	Status, Severity                 badge
	Customers, Purchases             int64
	Credited, Refunded, Pending      int64
	Share                            string // of the purchases that is sold
	Open                             bool
}

// share is a part of a thousand as it is read.
func share(of int) string {
	text := strconv.Itoa(of / 10)
	if of%10 != 0 {
		text += "." + strconv.Itoa(of%10)
	}
	return text + "\u00a0%"
}

func (v *visit) incidentLine(i *incident.Incident, t *incident.Totals) incidentLine {
	l := incidentLine{Name: i.ID.String(), Title: v.public(i.Title, v.lang), Series: v.seriesName(i.Series), Since: v.moment(i.Since), Seen: v.moment(i.SeenAt),
		Status: v.incidentBadge(i.Status), Severity: v.severityBadge(i.Severity), Open: i.Status != incident.Closed, Customers: t.Customers, Purchases: t.Purchases,
		Credited: t.Credited, Refunded: t.Refunded, Pending: t.Pending, Share: share(1000)}
	for _, p := range v.cfg.Pauses.Pauses() {
		if p.Incident == i.ID || p.Series == i.Series && l.Open {
			l.Share = share(p.Share)
		}
	}
	return l
}

// pauseLine is a sales pause on one line.
type pauseLine struct {
	ID                                            int64
	Series, Share, Since, By, Reason, Probe, Next string
	Said, Incident                                string
	Held, Failing                                 bool
	Tries, Good                                   int64
}

func (v *visit) pauseLine(p *incident.Pause, names map[auth.StaffID]string) pauseLine {
	l := pauseLine{ID: p.ID, Series: v.seriesName(p.Series), Share: share(p.Share), Since: v.moment(p.At), By: v.doer(p.By, names), Reason: p.Reason, Said: p.Said,
		Held: p.Held, Failing: p.Failing, Tries: p.Tries, Good: p.Good}
	if p.Incident != 0 {
		l.Incident = p.Incident.String()
	}
	switch {
	case p.TryAt != 0:
		l.Probe = v.Say("probe_now", "Time", v.moment(p.TryAt))
	case p.Tries > 0 && p.Failing:
		l.Probe = v.Say("probe_bad")
	case p.Tries > 0:
		l.Probe = v.Say("probe_good")
	}
	if p.NextAt > v.Now && !p.Held {
		l.Next = v.moment(p.NextAt)
	}
	return l
}

// doer is who did something to an incident or a pause, in words.
func (v *visit) doer(a incident.Actor, names map[auth.StaffID]string) string {
	switch {
	case a.Staff == 0:
		return v.Say("by_system")
	case names[a.Staff] != "":
		return names[a.Staff]
	}
	return "#" + strconv.FormatInt(int64(a.Staff), 10)
}

// failing is what is open and what is paused, as the board and the list of incidents show it.
type failing struct {
	Open   []incidentLine
	Pauses []pauseLine
}

func (v *visit) failing() (f failing, err error) {
	open, err := v.open(v.r.Context())
	if err != nil {
		return f, err
	}
	if f.Open, err = v.incidentLines(open); err != nil {
		return f, err
	}
	f.Pauses, err = v.pauseLines(0)
	return f, err
}

func (v *visit) incidentLines(all []incident.Incident) (lines []incidentLine, err error) {
	for i := range all {
		totals, err := v.cfg.Record.Totals(v.r.Context(), all[i].ID)
		if err != nil {
			return nil, err
		}
		lines = append(lines, v.incidentLine(&all[i], &totals))
	}
	return lines, nil
}

// pauseLines are the pauses that last: an incident's, or all.
func (v *visit) pauseLines(of incident.ID) (lines []pauseLine, err error) {
	names, err := v.names()
	if err != nil {
		return nil, err
	}
	for _, p := range v.cfg.Pauses.Pauses() {
		if of == 0 || p.Incident == of {
			lines = append(lines, v.pauseLine(&p, names))
		}
	}
	return lines, nil
}

type incidentsPage struct {
	frame
	failing
	Past   []incidentLine
	Older  string
	Series []seriesGroup
	Form   incidentForm
}

// seriesGroup is what can be paused of one dimension.
type seriesGroup struct {
	Name string
	All  []choice
}

// incidentForm is what was typed, and not taken.
type incidentForm struct {
	Do, Series, Since, Reason string
	Pause, Held               bool
	Resume                    int64
	Other                     string // the incident of the series that is open
}

// pastMost is how many closed incidents one page lists.
const pastMost = 20

// dimensions are those that people open incidents of.
var dimensions = []incident.Dimension{incident.ByProvider, incident.ByPayer, incident.ByProduct, incident.ByChannel, incident.ByOperator}

// incidents lists what fails, what is paused, and what failed before.
func (c *Console) incidents(v *visit) { v.showIncidents(http.StatusOK, "", incidentForm{}) }

func (v *visit) showIncidents(status int, wrong string, form incidentForm) {
	p := &incidentsPage{frame: v.frame("incidents"), Form: form}
	p.Live = "incidents"
	p.Problem = wrong
	var err error
	if p.failing, err = v.failing(); err == nil && !v.ByItself() { // the past does not change by itself, and is dear to sum up
		err = p.past(v)
	}
	if err != nil {
		v.fail(err)
		return
	}
	for _, by := range dimensions {
		g := seriesGroup{Name: v.Say("dimension_" + by.String())}
		for _, name := range v.cfg.Series(by) {
			s := incident.Series{By: by, Name: name}
			g.All = append(g.All, choice{s.String(), v.seriesName(s)})
		}
		if len(g.All) > 0 {
			p.Series = append(p.Series, g)
		}
	}
	v.show(status, "incidents", p)
}

// past lists closed incidents.
func (p *incidentsPage) past(v *visit) error {
	q := incident.Query{Limit: pastMost + openMost}
	if text := v.query("before"); text != "" {
		id, known := parseIncident(text)
		if !known {
			return incident.ErrNotFound
		}
		q.Before = id
	}
	all, err := v.cfg.Record.Incidents(v.r.Context(), q)
	if err != nil {
		return err
	}
	closed := slices.DeleteFunc(all, func(i incident.Incident) bool { return i.Status != incident.Closed })
	if len(closed) > pastMost {
		closed = closed[:pastMost]
		p.Older = closed[pastMost-1].ID.String()
	}
	p.Past, err = v.incidentLines(closed)
	return err
}

// parseIncident reads an incident's name.
func parseIncident(text string) (incident.ID, bool) {
	digits, named := strings.CutPrefix(strings.ToUpper(text), "I-")
	n, err := strconv.ParseInt(digits, 10, 64)
	return incident.ID(n), named && err == nil && n > 0
}

// incidentNamed is the incident that a name names, or incident.ErrNotFound.
func (v *visit) incidentNamed(name string) (incident.Incident, error) {
	id, known := parseIncident(name)
	if !known {
		return incident.Incident{}, incident.ErrNotFound
	}
	return v.cfg.Incidents.Incident(v.r.Context(), id)
}

// parseSeries reads a series as forms send it: "provider ocs".
func parseSeries(text string) incident.Series {
	word, name, _ := strings.Cut(text, " ")
	by, _ := incident.ParseDimension(word)
	return incident.Series{By: by, Name: name}
}

// instant reads a time of a form, as a browser sends it, here. 0 for none; ok is false for what is no time.
func (v *visit) instant(text string) (at purchase.Instant, ok bool) {
	if text == "" {
		return 0, true
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, text, v.cfg.Location); err == nil {
			return purchase.At(t), true
		}
	}
	return 0, false
}

// openIncident opens an incident by hand.
func (c *Console) openIncident(v *visit) {
	f := incidentForm{Do: "open", Series: v.form("series"), Since: v.form("since"), Reason: v.form("reason"), Pause: v.form("pause") != "",
		Held: v.form("held") != ""}
	since, ok := v.instant(f.Since)
	if !ok {
		v.showIncidents(http.StatusUnprocessableEntity, v.Say("time_wrong"), f)
		return
	}
	made, err := c.cfg.Incidents.Open(v.r.Context(), v.who.ID,
		incident.Opening{Series: parseSeries(f.Series), Since: since, Reason: f.Reason, Pause: f.Pause, Held: f.Held})
	var open *incident.OpenError
	switch {
	case err == nil:
		v.see("/incidents/" + made.ID.String() + "?done=saved")
	case errors.As(err, &open):
		f.Other = open.Incident.String()
		v.showIncidents(http.StatusConflict, v.Say("incident_twice", "Name", f.Other), f)
	default:
		v.refuse(err, func(status int, wrong string) { v.showIncidents(status, wrong, f) })
	}
}

// refuse says why something was not done, on the page that it was asked for on.
func (v *visit) refuse(err error, show func(status int, wrong string)) {
	switch {
	case errors.Is(err, incident.ErrStale):
		show(http.StatusConflict, v.Say("changed"))
	case errors.Is(err, incident.ErrFailing):
		show(http.StatusConflict, v.Say("pause_failing"))
	case errors.Is(err, incident.ErrPaused):
		show(http.StatusConflict, v.Say("paused_already"))
	case errors.Is(err, incident.ErrSeries):
		show(http.StatusUnprocessableEntity, v.Say("series_wrong"))
	case errors.Is(err, incident.ErrReason):
		show(http.StatusUnprocessableEntity, v.Say("why_reason"))
	case errors.Is(err, incident.ErrDeed):
		show(http.StatusUnprocessableEntity, v.Say("incident_deed"))
	case errors.Is(err, incident.ErrNoEngine):
		show(http.StatusUnprocessableEntity, v.Say("why_no_engine"))
	default:
		v.fail(err)
	}
}

// pauseSales pauses the sales of a series, or resumes them.
func (c *Console) pauseSales(v *visit) {
	ctx, by := v.r.Context(), incident.Actor{Staff: v.who.ID}
	f := incidentForm{Do: v.form("do"), Series: v.form("series"), Reason: v.form("reason"), Held: v.form("held") != ""}
	var err error
	switch f.Do {
	case "pause":
		_, err = c.cfg.Pauses.Pause(ctx, by, parseSeries(f.Series), f.Reason, f.Held)
	case "resume":
		id, parsed := strconv.ParseInt(v.form("id"), 10, 64)
		if parsed != nil {
			v.missing()
			return
		}
		f.Resume = id
		// Probes count versions too: whether it fails is what a person must know, and that is asked.
		_, err = c.cfg.Pauses.Resume(ctx, by, id, 0, f.Reason, v.form("force") != "")
	default:
		v.missing()
		return
	}
	if err != nil {
		v.refuse(err, func(status int, wrong string) { v.showIncidents(status, wrong, f) })
		return
	}
	v.see("/incidents?done=" + f.Do + "d")
}
