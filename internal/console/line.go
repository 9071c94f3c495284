package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
	"tenu/internal/voice/centre"
)

// linePart is what the board shows of the telephone line.
type linePart struct {
	Line       []figure
	Telephones []telephoneLine
	CanLead    bool
}

// telephoneLine is an agent's telephone on one line.
type telephoneLine struct {
	Login, Name, Extension, Since string
	State                         badge
	Leads                         bool // who looks may set it away
}

// telephones lists the agents who are at a telephone, or were today.
func (l *linePart) telephones(v *visit, today purchase.Instant) error {
	agents, err := v.cfg.Line.Record.OnDuty(v.r.Context(), today)
	if err != nil {
		return err
	}
	people, err := v.cfg.Staff.People(v.r.Context())
	if err != nil {
		return err
	}
	who := make(map[auth.StaffID]*auth.Staff, len(people))
	for i := range people {
		who[people[i].ID] = &people[i]
	}
	for i := range agents {
		a := &agents[i]
		if s := who[a.Staff]; s != nil {
			l.Telephones = append(l.Telephones, telephoneLine{Login: s.Login, Name: s.Name, Extension: a.Extension, Since: v.moment(a.Since),
				State: v.agentBadge(a), Leads: l.CanLead && (a.State == centre.Ready || a.State == centre.Wrapping)})
		}
	}
	return nil
}

// line sums up who waits now, and the calls of today.
func (l *linePart) line(v *visit) error {
	if v.cfg.Line == nil {
		return nil
	}
	l.CanLead = v.may(auth.LeadAgents)
	year, month, day := v.Now.Time().In(v.cfg.Location).Date()
	today := purchase.At(time.Date(year, month, day, 0, 0, 0, 0, v.cfg.Location))
	f, err := v.cfg.Line.Record.CallFigures(v.r.Context(), today, v.Now)
	if err != nil {
		return err
	}
	add := func(key, value, note string, bad bool) {
		x := figure{Name: v.Say("line_" + key), Value: value, Note: note}
		if bad {
			x.Tone = "bad"
		}
		l.Line = append(l.Line, x)
	}
	standing := v.cfg.Line.Agents.Standing()
	waiting, since := standing.Waiting, standing.Since
	longest := v.Say("line_nobody")
	if waiting > 0 {
		longest = v.Say("line_longest", "Time", v.lasted(max(v.Now.Sub(since), 0)))
	}
	answered := f.Answered()
	add("waiting", itoa(waiting), longest, waiting > 0 && v.Now.Sub(since) > centre.Prompt)
	add("offered", itoa(f.Offered), v.Say("line_answered", "N", itoa(answered), "M", itoa(f.Refused)), f.Refused > 0)
	add("informed", itoa(f.Released[centre.Informed]), v.Say("line_informed_note", "P", percent(f.Released[centre.Informed], answered)), false)
	add("spoken", itoa(f.Released[centre.Spoken]), v.Say("line_spoken_note", "N", itoa(f.Released[centre.Promised]), "M", itoa(f.Released[centre.Reported])), false)
	add("abandoned", itoa(f.Released[centre.Abandoned]), v.Say("line_abandoned_note", "P", percent(f.Released[centre.Abandoned], answered)), false)
	add("speed", v.mean(f.Answer, answered), v.Say("line_speed_note"), false)
	add("prompt", percent(f.InTime, f.Offered), v.Say("line_prompt_note", "N", itoa(int(centre.Prompt.Seconds()))), false)
	add("wait", v.mean(f.Waited, f.Got), v.Say("line_wait_note", "N", itoa(f.Got), "M", itoa(f.Queued)), false)
	return l.telephones(v, today)
}

// mean is what each of so many took, or a dash of none.
func (v *visit) mean(all time.Duration, n int) string {
	if n == 0 {
		return "–"
	}
	return v.lasted(all / time.Duration(n))
}

// setAway takes an agent's telephone out of those that ring.
func (c *Console) setAway(v *visit) {
	if c.cfg.Line == nil {
		v.missing()
		return
	}
	s, ok := v.personOf()
	if !ok {
		return
	}
	switch err := c.cfg.Line.Agents.Pause(v.r.Context(), s.ID); {
	case errors.Is(err, centre.ErrBusy), errors.Is(err, centre.ErrStale):
		v.problem(http.StatusConflict, "telephone_changed")
	case err != nil:
		v.fail(err)
	default:
		v.see("/board?done=away")
	}
}

// heardLine is a call to the line on one line.
type heardLine struct {
	When, Lasted, With, Incident string
	Callback                     string // the window that was promised
	About, Case                  string
	Heard                        badge
}

// heardMost is how many calls of a number its page lists.
const heardMost = 10

var releaseLooks = map[centre.Release]badge{centre.Informed: {"", "check", "good"}, centre.Reported: {"", "folder", "case"}, centre.Promised: {"", "phone", "case"},
	centre.Spoken: {"", "check", "good"}, centre.Abandoned: {"", "cross", "wait"}, centre.Overload: {"", "clock", "bad"}, centre.Failed: {"", "cross", "bad"}}

func (v *visit) releaseBadge(r centre.Release) badge {
	b := releaseLooks[r]
	b.Word = v.Say("release_" + string(r))
	return b
}

// heard lists a number's calls to the line, newest first.
func (p *customerPage) heard(v *visit) error {
	if v.cfg.Line == nil {
		return nil
	}
	p.OnLine = true
	calls, err := v.cfg.Line.Record.CallsOf(v.r.Context(), p.Number, heardMost)
	if err != nil || len(calls) == 0 {
		return err
	}
	names, err := v.names()
	if err != nil {
		return err
	}
	for i := range calls {
		c := &calls[i]
		l := heardLine{When: v.moment(c.At), Lasted: v.lasted(c.Ended.Sub(c.At)), With: names[c.Staff], Incident: c.Incident, Heard: v.releaseBadge(c.Release)}
		if c.Purchase != 0 {
			l.About = v.cfg.References.Reference(c.Purchase).String()
		}
		if c.Case != 0 {
			l.Case = v.cfg.Care.CaseReference(c.Case)
		}
		if l.Callback, err = v.promisedFor(c.Callback); err != nil {
			return err
		}
		p.Heard = append(p.Heard, l)
	}
	return nil
}

// promisedFor is the window of a callback, "" for none.
func (v *visit) promisedFor(callback int64) (string, error) {
	if callback == 0 {
		return "", nil
	}
	x, err := v.cfg.Store.Callback(v.r.Context(), callback)
	if err != nil {
		return "", err
	}
	return v.window(x.WindowAt), nil
}

// onLine adds those calls of some numbers to the line that were about something.
func (t *timeline) onLine(ctx context.Context, about func(*centre.Call) bool, numbers ...purchase.MSISDN) error {
	if t.cfg.Line == nil {
		return nil
	}
	slices.Sort(numbers)
	for _, number := range slices.Compact(numbers) {
		calls, err := t.cfg.Line.Record.CallsOf(ctx, number, 50)
		if err != nil {
			return err
		}
		for i := range calls {
			if c := &calls[i]; about(c) {
				t.onCall(c)
			}
		}
	}
	return nil
}

// onCall adds one call: what was heard, with whom, and for how long.
func (t *timeline) onCall(c *centre.Call) {
	look := t.releaseBadge(c.Release)
	detail := t.lasted(c.Ended.Sub(c.At))
	if name := t.names[c.Staff]; name != "" {
		detail = t.Say("line_with", "Name", name) + " · " + detail
	}
	if c.Incident != "" {
		detail += " · " + c.Incident
	}
	t.add(c.At, "line", t.Say("by_customer"), t.Say("line_call", "Heard", look.Word), detail, look)
}
