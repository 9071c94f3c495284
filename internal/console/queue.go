package console

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"tenu/internal/auth"
	"tenu/internal/care"
)

func sortChoices(all []choice) {
	slices.SortFunc(all, func(a, b choice) int { return cmp.Compare(a.Name, b.Name) })
}

type queuePage struct {
	frame
	View      care.View
	Views     []viewOf
	Incident  string
	Code      string
	Codes     []care.Code
	Cases     []fileLine
	Count     string
	More      string
	Plans     []planOf
	Bulk      bool
	Deed      string
	Text      string
	Link      string // the incident that cases would be linked to
	Outcome   string
	Preview   []fileLine
	Previewed int
}

type viewOf struct {
	Code, Name, Count string
	Here              bool
}

type planOf struct {
	ID      int64
	Text    string
	Open    bool
	Seconds int
}

// queuePerPage is how many cases one page of a queue lists.
const queuePerPage = 50

// countOf is a count that stops at a thousand.
func countOf(n int) string {
	if n > 1000 {
		return "1000+"
	}
	return itoa(n)
}

// queue shows the cases of a view, the most urgent first.
func (c *Console) queue(v *visit) {
	view := care.View(v.query("view"))
	if !slices.Contains(care.Views, view) {
		view = care.ViewUnowned
	}
	p, err := v.queuePage(view, v.query("incident"), v.query("code"), v.query("after"))
	if err != nil {
		v.fail(err)
		return
	}
	v.show(http.StatusOK, "queue", p)
}

func (v *visit) queuePage(view care.View, incident, code, after string) (*queuePage, error) {
	ctx := v.r.Context()
	p := &queuePage{frame: v.frame("queue"), View: view, Incident: incident, Code: code, Bulk: v.may(auth.Bulk),
		Codes: []care.Code{care.CodeTopUp, care.CodePending, care.CodeBalance, care.CodeOther}}
	p.Live = "queue"
	names, err := v.names()
	if err != nil {
		return nil, err
	}
	q := care.Queue{View: view, Staff: v.who.ID, Incident: incident, Code: care.Code(code), Now: v.Now, Limit: queuePerPage}
	if after != "" {
		id, err := v.cfg.Care.ParseCase(after)
		if err != nil {
			return nil, err
		}
		last, err := v.cfg.Care.Case(ctx, id)
		if err != nil {
			return nil, err
		}
		q.After = &last
	}
	cases, count, err := v.cfg.Store.Queue(ctx, q)
	if err != nil {
		return nil, err
	}
	p.Count = countOf(count)
	for i := range cases {
		p.Cases = append(p.Cases, v.fileLine(&cases[i], names))
	}
	if len(cases) == queuePerPage {
		next := url.Values{"view": {string(view)}, "after": {p.Cases[queuePerPage-1].Reference}, "incident": {incident}, "code": {code}}
		p.More = "/queue?" + next.Encode()
	}
	return p, errors.Join(p.views(v), p.plans(v))
}

// views counts what each view holds.
func (p *queuePage) views(v *visit) error {
	for _, view := range care.Views {
		x := viewOf{Code: string(view), Name: v.Say("view_" + string(view)), Here: view == p.View}
		if view != care.ViewSettled {
			_, n, err := v.cfg.Store.Queue(v.r.Context(), care.Queue{View: view, Staff: v.who.ID, Now: v.Now, Limit: 1})
			if err != nil {
				return err
			}
			x.Count = countOf(n)
		}
		p.Views = append(p.Views, x)
	}
	return nil
}

// plans are the person's deeds to many cases, which may still be undone.
func (p *queuePage) plans(v *visit) error {
	if !p.Bulk {
		return nil
	}
	plans, err := v.cfg.Care.Bulks(v.r.Context(), v.who.ID)
	for _, b := range plans {
		x := planOf{ID: int64(b.ID), Open: b.ClosedAt == 0 && v.Now < b.GoAt, Seconds: int(b.GoAt.Sub(v.Now).Seconds()) + 1}
		name := v.Say("deed_" + string(b.Deed.Do))
		switch {
		case b.Undone:
			x.Text = v.Say("plan_undone", "Deed", name, "N", itoa(len(b.Cases)))
		case b.ClosedAt != 0:
			x.Text = v.Say("plan_done", "Deed", name, "N", itoa(b.Done), "M", itoa(b.Failed))
		case x.Open:
			x.Text = v.Say("plan_open", "Deed", name, "N", itoa(len(b.Cases)), "S", itoa(x.Seconds))
		default:
			x.Text = v.Say("plan_going", "Deed", name, "N", itoa(b.Done), "M", itoa(len(b.Cases)))
		}
		p.Plans = append(p.Plans, x)
	}
	return err
}

// bulk previews, begins or undoes a deed to many cases.
func (c *Console) bulk(v *visit) {
	ctx := v.r.Context()
	if v.form("step") == "undo" {
		id, err := strconv.ParseInt(v.form("plan"), 10, 64)
		if err == nil {
			err = c.cfg.Care.Undo(ctx, v.who, care.BulkID(id))
		} else {
			err = care.ErrNotFound
		}
		switch {
		case errors.Is(err, care.ErrClosed):
			v.problem(http.StatusConflict, "undo_late")
		case err != nil:
			v.fail(err)
		default:
			v.see("/queue?done=undone")
		}
		return
	}
	deed := care.Deed{Do: care.Event(v.form("do")), Text: v.form("text"), Incident: v.form("link")}
	for _, o := range []care.Outcome{care.OutcomeCredited, care.OutcomeRefunded, care.OutcomeNothingTaken} {
		if v.form("outcome") == o.String() {
			deed.Outcome = o
		}
	}
	cases, err := v.chosen(deed)
	if err != nil {
		v.fail(err)
		return
	}
	if v.form("step") != "go" {
		v.preview(deed, cases)
		return
	}
	ids := make([]care.CaseID, len(cases))
	for i := range cases {
		ids[i] = cases[i].ID
	}
	if _, err := c.cfg.Care.Begin(ctx, v.who, deed, ids); err != nil {
		v.fail(err)
		return
	}
	v.see("/queue?view=open&incident=" + url.QueryEscape(v.form("incident")) + "&done=planned")
}

// chosen are the cases that were marked, or all of an incident's.
func (v *visit) chosen(deed care.Deed) ([]care.Case, error) {
	ctx := v.r.Context()
	marked := v.r.PostForm["case"]
	if incident := v.form("incident"); len(marked) == 0 && incident != "" {
		return v.cfg.Care.Preview(ctx, incident, deed)
	}
	var ids []care.CaseID
	for _, text := range marked[:min(len(marked), care.MaxBulk)] {
		id, err := v.cfg.Care.ParseCase(text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil, &care.Refusal{Why: care.WhyDeed}
	}
	return v.cfg.Store.Cases(ctx, ids...)
}

// preview shows what a deed would be done to, before anything is.
func (v *visit) preview(deed care.Deed, cases []care.Case) {
	p, err := v.queuePage(care.ViewOpen, v.form("incident"), "", "")
	if err != nil {
		v.fail(err)
		return
	}
	names, err := v.names()
	if err != nil {
		v.fail(err)
		return
	}
	p.Deed, p.Text, p.Link, p.Previewed = string(deed.Do), deed.Text, deed.Incident, len(cases)
	if deed.Outcome != 0 {
		p.Outcome = deed.Outcome.String()
	}
	for i := range cases {
		p.Preview = append(p.Preview, v.fileLine(&cases[i], names))
	}
	v.show(http.StatusOK, "preview", p)
}

type approvalsPage struct {
	frame
	Waiting, Consents []requestLine
}

// stagesListed are the stages of the requests that the approvals list, and listMost how many of each.
var stagesListed = []care.Stage{care.StageCheck, care.StageConsent}

const listMost = 200

// approvals lists what waits for a checker, one's own too.
func (c *Console) approvals(v *visit) {
	ctx := v.r.Context()
	p := &approvalsPage{frame: v.frame("approvals")}
	p.Live = "approvals"
	names, err := v.names()
	if err != nil {
		v.fail(err)
		return
	}
	for _, stage := range stagesListed {
		all, err := c.cfg.Store.RequestsIn(ctx, stage, listMost)
		if err != nil {
			v.fail(err)
			return
		}
		for i := range all {
			if l := v.requestLine(&all[i], names); stage == care.StageCheck {
				p.Waiting = append(p.Waiting, l)
			} else {
				p.Consents = append(p.Consents, l)
			}
		}
	}
	v.show(http.StatusOK, "approvals", p)
}

// decide approves or refuses a request.
func (c *Console) decide(v *visit) {
	id, err := strconv.ParseInt(v.form("id"), 10, 64)
	version, versionErr := strconv.ParseInt(v.form("version"), 10, 64)
	do := v.form("do")
	if err != nil || versionErr != nil || do != "approve" && do != "refuse" {
		v.missing()
		return
	}
	if do == "refuse" && v.form("why") == "" {
		v.problem(http.StatusUnprocessableEntity, "refusal_needs_why")
		return
	}
	if _, err := c.cfg.Care.Decide(v.r.Context(), v.who, id, version, do == "approve", v.form("why")); err != nil {
		v.fail(err)
		return
	}
	v.see("/approvals?done=" + do + "d")
}

type callsPage struct {
	frame
	Calls []callLine
	Link  string
	Dials bool // by itself, so that nobody has to
}

// calls lists the callbacks to make.
func (c *Console) calls(v *visit) {
	ctx := v.r.Context()
	p := &callsPage{frame: v.frame("calls"), Link: v.query("link"), Dials: c.dials()}
	p.Live = "calls"
	names, err := v.names()
	if err != nil {
		v.fail(err)
		return
	}
	all, err := c.cfg.Care.Calls(ctx, 100)
	if err != nil {
		v.fail(err)
		return
	}
	for i := range all {
		tries, err := c.cfg.Store.Attempts(ctx, all[i].ID)
		if err != nil {
			v.fail(err)
			return
		}
		p.Calls = append(p.Calls, v.callLine(&all[i], tries, names))
	}
	v.show(http.StatusOK, "calls", p)
}

// dials reports whether the line calls customers back by itself.
func (c *Console) dials() bool { return c.cfg.Line != nil && c.cfg.Line.Dials }

// call begins an attempt, or ends one with what became of it.
func (c *Console) call(v *visit) {
	if c.dials() {
		v.problem(http.StatusConflict, "calls_dialled")
		return
	}
	id, err := strconv.ParseInt(v.form("id"), 10, 64)
	if err != nil {
		v.missing()
		return
	}
	if v.form("do") == "ring" {
		_, link, err := c.cfg.Care.Ring(v.r.Context(), v.who, id)
		if err != nil {
			v.fail(err)
			return
		}
		x, err := c.cfg.Store.Callback(v.r.Context(), id)
		if err == nil { // who is called is looked at
			err = c.cfg.Store.AddLook(v.r.Context(), care.Look{At: v.Now, Staff: v.who.ID, Number: x.Number, Purchase: x.Purchase, Case: x.Case, Reason: "call"})
		}
		if err != nil {
			v.fail(err)
			return
		}
		v.see("/calls?link=" + url.QueryEscape(link))
		return
	}
	try, err := strconv.Atoi(v.form("try"))
	if err != nil {
		v.missing()
		return
	}
	for ring := care.Answered; ring <= care.Declined; ring++ {
		if v.form("do") == ring.String() {
			if _, err := c.cfg.Care.Rang(v.r.Context(), v.who, id, try, ring); err != nil {
				v.fail(err)
				return
			}
			v.see("/calls?done=noted")
			return
		}
	}
	v.missing()
}
