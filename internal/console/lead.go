package console

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/page"
	"tenu/internal/purchase"
)

type incidentPage struct {
	frame
	Line     incidentLine
	Version  int64
	Status   incident.Status
	Public   []publicText
	Sums     []choice
	Settled  int64
	Ends     string // when all should be settled, at the rate of now
	Rate     string
	Dry      *dryPage
	Held     []holdLine
	Partners []choice
	Pauses   []pauseLine
	Owed     []owedLine

	Owner, Expected, Party, Note, Closing string
	OwnerName, PartyNow, ExpectedNow      string
	Owners                                []choice
	Severity                              string
	Severities                            []choice
	Timeline                              []line
	Kinds                                 []filter
	Lookers                               []string // who else looks
}

// publicText is what is said to the public in one language, as it stands and as it was typed.
type publicText struct{ Language, Title, Text, NewTitle, NewText string }

type holdLine struct{ Partner, By, Since, Reason string }

// dryPage is what would be done with all that is stuck.
type dryPage struct {
	Looked  int
	More    bool
	By      []dryLine
	Settled string
}

type dryLine struct {
	Name, Amount string
	Count        int64
}

var remedies = []incident.Remedy{incident.RemedyCredit, incident.RemedyRefund, incident.RemedyProof, incident.RemedyQuery, incident.RemedyWait,
	incident.RemedyUnderWay}

// incidentOf is the incident that the address names.
func (v *visit) incidentOf() (incident.Incident, bool) {
	in, err := v.incidentNamed(v.r.PathValue("incident"))
	if err != nil {
		v.fail(err)
	}
	return in, err == nil
}

// incident shows an incident: what is said of it, whom it affects, how far they are
// settled, what people do about it, and all that happened.
func (c *Console) incident(v *visit) {
	if in, ok := v.incidentOf(); ok {
		v.showIncident(http.StatusOK, &in, "", nil, nil)
	}
}

// showIncident shows an incident; what was typed and not taken stays.
func (v *visit) showIncident(status int, in *incident.Incident, wrong string, typed *incident.Deed, dry *incident.DryRun) {
	ctx := v.r.Context()
	p := &incidentPage{frame: v.frame("incidents"), Version: in.Version, Status: in.Status}
	p.Problem, p.Live = wrong, "incident/"+in.ID.String()
	names, err := v.names()
	if err != nil {
		v.fail(err)
		return
	}
	progress, err := v.cfg.Incidents.Progress(ctx, in.ID, v.Now)
	if err != nil {
		v.fail(err)
		return
	}
	p.Line = v.incidentLine(in, &progress.Totals)
	p.progress(v, &progress)
	p.Owed = v.owed(in, &progress.Totals, names)
	if err := errors.Join(p.led(v, in, names), p.holds(v, in, names)); err != nil {
		v.fail(err)
		return
	}
	for _, lang := range v.texts.Languages() {
		title, text := in.Title[purchase.Language(lang)], in.Text[purchase.Language(lang)]
		x := publicText{lang, title, text, title, text}
		if typed != nil && typed.Do == incident.EventText {
			x.NewTitle, x.NewText = typed.Titles[purchase.Language(lang)], typed.Texts[purchase.Language(lang)]
		}
		p.Public = append(p.Public, x)
	}
	p.typed(v, typed)
	if dry != nil {
		p.dry(v, dry)
	}
	t := &timeline{visit: v, names: names}
	if seen, err := strconv.ParseInt(v.form("seen"), 10, 64); err == nil && status == http.StatusConflict {
		t.seen = purchase.Instant(seen)
	}
	entries, err := v.cfg.Record.Entries(ctx, in.ID)
	if err != nil {
		v.fail(err)
		return
	}
	for i := range entries {
		t.happened(&entries[i])
	}
	p.Timeline, p.Kinds = t.lines(v.query("show"))
	p.Lookers = v.hub.others(p.Live, v.who.ID)
	v.show(status, "incident", p)
}

// progress sums up whom it affects, and how far they are settled.
func (p *incidentPage) progress(v *visit, progress *incident.Progress) {
	t := &progress.Totals
	currency := cmp.Or(t.Currency, v.cfg.Sales.Catalogue().Currency())
	add := func(key, value string) { p.Sums = append(p.Sums, choice{value, v.Say("sum_" + key)}) }
	number := func(n int64) string { return page.Unbroken(money.Amount{Minor: n}.Number()) }
	both := func(n, minor int64) string { return number(n) + " · " + v.amount(minor, currency) }
	add("customers", number(t.Customers))
	add("told", number(t.Told))
	add("purchases", both(t.Purchases, t.Amount))
	add("credited", both(t.Credited, t.AmountCredited))
	add("refunded", both(t.Refunded, t.AmountGiven))
	add("pending", both(t.Pending, t.AmountPending))
	add("exposed", number(t.Exposed))
	add("cases", number(t.Cases)+" · "+v.Say("sum_open", "N", number(t.CasesOpen)))
	add("callbacks", v.Say("sum_calls", "N", number(t.CallbacksPromised), "M", number(t.CallbacksKept), "B", number(t.CallbacksLost)))
	if t.SettledMax > 0 {
		add("times", v.lasted(t.SettledP50)+" · "+v.lasted(t.SettledP95)+" · "+v.lasted(t.SettledP99))
	}
	p.Settled = t.Credited + t.Refunded
	if progress.PerMinute > 0 {
		p.Rate = v.Say("settle_rate", "N", strconv.FormatFloat(progress.PerMinute, 'f', 1, 64))
	}
	if progress.EndsAt != 0 {
		p.Ends = v.moment(progress.EndsAt)
	}
}

// lasted is how long something took.
func (v *visit) lasted(d time.Duration) string {
	switch minutes := int(d.Minutes()); {
	case minutes < 2:
		return page.Unbroken(v.Say("left_seconds", "N", strconv.FormatFloat(d.Seconds(), 'f', 1, 64)))
	case minutes < 120:
		return page.Unbroken(v.Say("left_minutes", "N", itoa(minutes)))
	default:
		return page.Unbroken(v.Say("left_hours", "N", itoa(minutes/60), "M", itoa(minutes%60)))
	}
}

// expectedLayout is a time as a browser's field holds it.
const expectedLayout = "2006-01-02T15:04"

// led is who leads it, and how it is graded.
func (p *incidentPage) led(v *visit, in *incident.Incident, names map[auth.StaffID]string) error {
	people, err := v.cfg.Staff.People(v.r.Context())
	if err != nil {
		return err
	}
	p.Owners = []choice{{"0", "–"}}
	for i := range people {
		if s := &people[i]; !s.Disabled && s.May(auth.LeadIncidents) {
			p.Owners = append(p.Owners, choice{strconv.FormatInt(int64(s.ID), 10), s.Name})
		}
	}
	for _, s := range []incident.Severity{incident.Minor, incident.Major, incident.Critical} {
		p.Severities = append(p.Severities, choice{s.String(), v.Say("severity_" + s.String())})
	}
	p.Owner, p.OwnerName = strconv.FormatInt(int64(in.Owner), 10), "–"
	if in.Owner != 0 {
		p.OwnerName = v.doer(incident.Actor{Staff: in.Owner}, names)
	}
	p.Party, p.PartyNow, p.Severity = in.Party, v.partyName(in.Party), in.Severity.String()
	if in.ExpectedAt != 0 {
		p.ExpectedNow, p.Expected = v.Time(in.ExpectedAt), in.ExpectedAt.Time().In(v.cfg.Location).Format(expectedLayout)
	}
	p.Pauses, err = v.pauseLines(in.ID)
	return err
}

// holds are the partners that are not asked about what is stuck, and those that may be held.
func (p *incidentPage) holds(v *visit, in *incident.Incident, names map[auth.StaffID]string) error {
	held, err := v.cfg.Record.Held(v.r.Context())
	if err != nil {
		return err
	}
	is := map[string]bool{}
	for _, h := range held {
		is[h.Partner] = true
		p.Held = append(p.Held, holdLine{h.Partner, v.doer(h.By, names), v.moment(h.At), h.Reason})
	}
	for _, by := range []incident.Dimension{incident.ByProvider, incident.ByPayer} {
		for _, name := range v.cfg.Series(by) {
			x := choice{name, v.partnerName(name)}
			if is[name] {
				continue
			}
			is[name] = true
			if in.Series.Name == name && (in.Series.By == incident.ByProvider || in.Series.By == incident.ByPayer) {
				p.Partners = append([]choice{x}, p.Partners...) // what it is about comes first
			} else {
				p.Partners = append(p.Partners, x)
			}
		}
	}
	return nil
}

// typed keeps what was typed and not taken.
func (p *incidentPage) typed(v *visit, deed *incident.Deed) {
	if deed == nil {
		return
	}
	switch deed.Do {
	case incident.EventNote:
		p.Note = deed.Text
	case incident.EventClosed, incident.EventRecovered:
		p.Closing = deed.Text
	case incident.EventParty:
		p.Party = deed.Party
	case incident.EventExpected:
		p.Expected = v.form("at")
	case incident.EventOwner:
		p.Owner = strconv.FormatInt(int64(deed.Staff), 10)
	case incident.EventSeverity:
		p.Severity = deed.Severity.String()
	default:
	}
}

func (p *incidentPage) dry(v *visit, run *incident.DryRun) {
	p.Dry = &dryPage{Looked: run.Looked, More: run.More, Settled: v.Time(run.SettledAt)}
	for _, what := range remedies {
		if sum, some := run.By[what]; some {
			p.Dry.By = append(p.Dry.By, dryLine{v.Say("remedy_" + string(what)), v.amount(sum.Amount, run.Currency), sum.Count})
		}
	}
}

var happenedLooks = map[incident.Event]badge{incident.EventOpened: {"", "cross", "bad"}, incident.EventAgain: {"", "cross", "bad"},
	incident.EventPaused: {"", "clock", "bad"}, incident.EventStep: {"", "pulse", "wait"}, incident.EventProbe: {"", "pulse", ""}, incident.EventTold: {"", "bell", "case"},
	incident.EventRecovered: {"", "pulse", "good"}, incident.EventResolved: {"", "check", "good"}, incident.EventClosed: {"", "check", "good"}}

var happenedKinds = map[incident.Event]string{incident.EventPaused: "sales", incident.EventStep: "sales", incident.EventProbe: "sales",
	incident.EventTold: "notice"}

// happened adds one line of an incident's timeline.
func (t *timeline) happened(e *incident.Entry) {
	look, known := happenedLooks[e.Event]
	if !known {
		look = badge{Icon: "folder"}
	}
	kind := happenedKinds[e.Event]
	switch {
	case kind != "":
	case e.By.Staff != 0:
		kind = "action"
	default:
		kind = "incident"
	}
	detail := e.Text
	switch e.Event {
	case incident.EventStep:
		if n, err := strconv.Atoi(e.Text); err == nil {
			detail = t.Say("step_share", "Share", share(n))
		}
	case incident.EventProbe:
		outcome, why, _ := strings.Cut(e.Text, " ")
		if key := "probed_" + outcome; t.Has(key) {
			detail = t.Say(key)
			if why != "" {
				detail += " · " + why
			}
		}
	case incident.EventTold:
		detail = t.Say("told_count", "N", e.Text)
	case incident.EventOwner:
		detail = "–"
		if id, err := strconv.ParseInt(strings.TrimPrefix(e.Text, "#"), 10, 64); err == nil && id != 0 {
			detail = t.doer(incident.Actor{Staff: auth.StaffID(id)}, t.names)
		}
	case incident.EventSeverity:
		if key := "severity_" + e.Text; t.Has(key) {
			detail = t.Say(key)
		}
	case incident.EventOwed, incident.EventDone, incident.EventLate:
		detail = t.dutyDetail(e.Text)
	case incident.EventExpected:
		if at, err := time.Parse(time.RFC3339Nano, e.Text); err == nil {
			detail = t.Time(purchase.At(at))
		}
	default:
	}
	t.add(e.At, kind, t.doer(e.By, t.names), t.Say("happened_"+string(e.Event)), detail, look)
}

// lead does a deed to an incident. Who comes second sees what changed, and what they typed.
func (c *Console) lead(v *visit) {
	in, ok := v.incidentOf()
	if !ok {
		return
	}
	ctx, back := v.r.Context(), "/incidents/"+in.ID.String()
	switch do := v.form("do"); do {
	case "dry":
		run, err := c.cfg.Incidents.DryRun(ctx, in.ID, v.Now)
		if err != nil {
			v.refuse(err, func(status int, wrong string) { v.showIncident(status, &in, wrong, nil, nil) })
			return
		}
		v.showIncident(http.StatusOK, &in, "", nil, &run)
	case "hold", "release":
		if err := c.cfg.Incidents.Hold(ctx, v.who.ID, v.form("partner"), v.form("reason"), do == "hold"); err != nil {
			v.refuse(err, func(status int, wrong string) { v.showIncident(status, &in, wrong, nil, nil) })
			return
		}
		v.see(back + "?done=saved")
	default:
		v.leadBy(&in, incident.Event(do))
	}
}

// leadBy does what is kept in the incident's timeline.
func (v *visit) leadBy(in *incident.Incident, do incident.Event) {
	if !contains(incident.Deeds, do) {
		v.missing()
		return
	}
	deed, ok := v.deed(do)
	if !ok {
		v.showIncident(http.StatusUnprocessableEntity, in, v.Say("time_wrong"), &deed, nil)
		return
	}
	version, err := strconv.ParseInt(v.form("version"), 10, 64)
	if err != nil {
		version = 0
	}
	now, err := v.cfg.Incidents.Act(v.r.Context(), in.ID, version, v.who.ID, deed)
	if err == nil {
		v.see("/incidents/" + in.ID.String() + "?done=saved")
		return
	}
	if now.ID == 0 {
		now = *in
	}
	show := func(status int, wrong string) { v.showIncident(status, &now, wrong, &deed, nil) }
	switch {
	case errors.Is(err, incident.ErrUnsettled):
		totals, err := v.cfg.Record.Totals(v.r.Context(), in.ID)
		if err != nil {
			v.fail(err)
			return
		}
		show(http.StatusConflict, v.Say("incident_unsettled", "N", strconv.FormatInt(totals.Pending, 10)))
	case errors.Is(err, incident.ErrPaused):
		show(http.StatusConflict, v.Say("incident_paused"))
	case errors.Is(err, incident.ErrOwed):
		show(http.StatusConflict, v.Say("incident_owed"))
	default:
		v.refuse(err, show)
	}
}

// deed is what a form asks for. ok is false for a time that cannot be read.
func (v *visit) deed(do incident.Event) (deed incident.Deed, ok bool) {
	deed = incident.Deed{Do: do, Text: v.form("text"), Party: v.form("party"), Duty: v.form("duty")}
	if id, err := strconv.ParseInt(v.form("staff"), 10, 64); err == nil {
		deed.Staff = auth.StaffID(id)
	}
	for _, s := range []incident.Severity{incident.Minor, incident.Major, incident.Critical} {
		if v.form("severity") == s.String() {
			deed.Severity = s
		}
	}
	if do == incident.EventText {
		deed.Titles, deed.Texts = map[purchase.Language]string{}, map[purchase.Language]string{}
		for _, lang := range v.texts.Languages() { // browsers end lines with CR LF
			deed.Titles[purchase.Language(lang)] = v.form("title-" + lang)
			deed.Texts[purchase.Language(lang)] = strings.ReplaceAll(v.form("text-"+lang), "\r\n", "\n")
		}
	}
	if do == incident.EventExpected {
		deed.At, ok = v.instant(v.form("at"))
		return deed, ok
	}
	return deed, true
}
