package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/page"
	"tenu/internal/purchase"
)

type boardPage struct {
	frame
	failing
	linePart
	Figures   []figure
	Agents    []agentLine
	Course    []bucketLine
	Alerts    []callLine
	Late      []fileLine
	Hours     int
	Spans     []filter
	CanAgents bool
}

type figure struct{ Name, Value, Note, Tone string }

type agentLine struct {
	Name                                             string
	Owned, Settled, Requests, Calls, Answered, Views int
}

type bucketLine struct {
	When                              string
	At                                int64 // seconds since 1970, for the chart
	Opened, Settled, Promised, Broken int
}

// spans are the times that the board sums up, in hours.
var spans = []int{1, 24, 168}

// span is the time that the board is asked for.
func (v *visit) span() (hours int, from purchase.Instant) {
	hours = 24
	if n, err := strconv.Atoi(v.query("hours")); err == nil && contains(spans, n) {
		hours = n
	}
	return hours, v.Now.Add(-time.Duration(hours) * time.Hour)
}

// every is how wide a bucket of the course is.
func every(hours int) time.Duration {
	return time.Duration(hours) * time.Hour / 24
}

// board is the supervisor's.
func (c *Console) board(v *visit) {
	ctx := v.r.Context()
	hours, from := v.span()
	p := &boardPage{frame: v.frame("board"), Hours: hours, CanAgents: v.may(auth.SeeFigures)}
	p.Live = "board"
	for _, n := range spans {
		p.Spans = append(p.Spans, filter{itoa(n), v.Say("span_" + itoa(n)), n == hours})
	}
	var err error
	if p.failing, err = v.failing(); err != nil {
		v.fail(err)
		return
	}
	if err := errors.Join(p.figures(v, from), p.line(v)); err != nil {
		v.fail(err)
		return
	}
	buckets, err := c.cfg.Store.Course(ctx, from, v.Now, every(hours))
	if err != nil {
		v.fail(err)
		return
	}
	for _, b := range buckets {
		p.Course = append(p.Course, v.bucketLine(&b))
	}
	names, err := v.names()
	if err != nil {
		v.fail(err)
		return
	}
	if err := p.alerts(v, names, from); err != nil {
		v.fail(err)
		return
	}
	v.show(http.StatusOK, "board", p)
}

func (v *visit) bucketLine(b *care.Bucket) bucketLine {
	return bucketLine{v.Time(b.At), int64(b.At) / 1_000_000, b.Opened, b.Settled, b.Promised, b.Broken}
}

// figures sums up cases, callbacks and staff.
func (p *boardPage) figures(v *visit, from purchase.Instant) error {
	ctx := v.r.Context()
	f, err := v.cfg.Store.Figures(ctx, from, v.Now)
	if err != nil {
		return err
	}
	w, err := v.cfg.Care.Waits(ctx, from, v.Now)
	if err != nil {
		return err
	}
	in, err := v.cfg.Staff.SignedIn(ctx)
	if err != nil {
		return err
	}
	add := func(key, value, note, tone string) {
		p.Figures = append(p.Figures, figure{v.Say("figure_" + key), value, note, tone})
	}
	tone := func(bad bool) string {
		if bad {
			return "bad"
		}
		return ""
	}
	add("open", itoa(f.Open), v.Say("figure_late", "N", itoa(f.Late)), tone(f.Late > 0))
	add("opened", itoa(f.Opened), v.Say("figure_settled", "N", itoa(f.Settled)), "")
	add("by_rule", percent(f.ByRule, f.Settled), v.Say("figure_by_rule_note", "N", itoa(f.ByRule), "M", itoa(f.Settled)), "")
	add("answered", percent(f.AnsweredInTime, f.Answered), v.Say("figure_resolved", "P", percent(f.ResolvedInTime, f.Settled)), "")
	add("kept", percent(w.Kept, w.Kept+w.Broken), v.Say("figure_kept_note", "N", itoa(w.Promised), "M", itoa(w.Broken)), tone(w.Broken > 0))
	wait := "–"
	if w.Kept > 0 {
		wait = page.Unbroken(v.Say("left_minutes", "N", itoa(int((w.Waited / time.Duration(w.Kept)).Minutes()))))
	}
	add("wait", wait, v.Say("figure_wait_note"), "")
	add("staff", itoa(in[auth.Agent]), v.Say("figure_staff_note", "N", itoa(in[auth.Supervisor])), "")
	if !p.CanAgents {
		return nil
	}
	agents, err := v.cfg.Store.Agents(ctx, from, v.Now)
	if err != nil {
		return err
	}
	names, err := v.names()
	for _, a := range agents {
		p.Agents = append(p.Agents, agentLine{names[a.Staff], a.Owned, a.Settled, a.Requests, a.Calls, a.Answered, a.Views})
	}
	return err
}

// percent is a part of a whole, or a dash of nothing.
func percent(part, whole int) string {
	if whole == 0 {
		return "–"
	}
	return fmt.Sprintf("%d\u00a0%%", part*100/whole)
}

// alerts are what cannot wait: callbacks about to break, and cases that are late.
func (p *boardPage) alerts(v *visit, names map[auth.StaffID]string, _ purchase.Instant) error {
	ctx := v.r.Context()
	calls, err := v.cfg.Care.Calls(ctx, 50)
	if err != nil {
		return err
	}
	for i := range calls {
		if calls[i].Alerted != 0 || calls[i].Follows != 0 {
			p.Alerts = append(p.Alerts, v.callLine(&calls[i], nil, names))
		}
	}
	late, _, err := v.cfg.Store.Queue(ctx, care.Queue{View: care.ViewEscalated, Now: v.Now, Limit: 10})
	for i := range late {
		p.Late = append(p.Late, v.fileLine(&late[i], names))
	}
	return err
}

// boardData is the course for the charts.
func (c *Console) boardData(v *visit) {
	hours, from := v.span()
	buckets, err := c.cfg.Store.Course(v.r.Context(), from, v.Now, every(hours))
	if err != nil {
		v.fail(err)
		return
	}
	data := [5][]int64{}
	for i := range buckets {
		b := v.bucketLine(&buckets[i])
		for j, n := range []int64{b.At, int64(b.Opened), int64(b.Settled), int64(b.Promised), int64(b.Broken)} {
			data[j] = append(data[j], n)
		}
	}
	v.w.Header().Set("Content-Type", "application/json")
	v.w.Header().Set("Cache-Control", "no-store")
	if err := json.NewEncoder(v.w).Encode(data); err != nil {
		return // the browser left
	}
}

type auditPage struct {
	frame
	Number string
	Login  string
	Looks  []lookLine
	People []choice
}

type lookLine struct{ When, Who, Number, Raw, About, Reason string }

// audit shows who looked at whom, and why.
func (c *Console) audit(v *visit) {
	p := &auditPage{frame: v.frame("audit"), Number: v.query("number"), Login: v.query("staff")}
	var number purchase.MSISDN
	if p.Number != "" {
		n, _, err := c.cfg.Numbers.Parse(p.Number)
		if err != nil {
			v.problem(http.StatusUnprocessableEntity, "search_nothing")
			return
		}
		number = n
	}
	people, err := c.cfg.Staff.People(v.r.Context())
	if err != nil {
		v.fail(err)
		return
	}
	var staff auth.StaffID
	names := map[auth.StaffID]string{}
	for _, s := range people {
		names[s.ID] = s.Name
		p.People = append(p.People, choice{s.Login, s.Name})
		if s.Login == p.Login {
			staff = s.ID
		}
	}
	looks, err := c.cfg.Store.Looks(v.r.Context(), number, staff, 200)
	if err != nil {
		v.fail(err)
		return
	}
	for _, l := range looks {
		x := lookLine{When: v.moment(l.At), Who: names[l.Staff], Number: v.phone(l.Number), Raw: l.Number.String(), Reason: v.legible(l.Reason)}
		switch {
		case l.Case != 0:
			x.About = c.cfg.Care.CaseReference(l.Case)
		case l.Purchase != 0:
			x.About = c.cfg.References.Reference(l.Purchase).String()
		}
		p.Looks = append(p.Looks, x)
	}
	v.show(http.StatusOK, "audit", p)
}
