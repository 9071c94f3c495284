package console

import (
	"strings"

	"tenu/internal/auth"
	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// owedLine is what has to be done about an incident by rule, with its clock.
type owedLine struct {
	Duty, What, Source, Since, Due, Left, Done string
	State                                      badge
	Hand                                       bool         // a person may say that it was done
	Drafts                                     []publicText // of a notice to the regulator, while it is to be sent
}

// owed lists what an incident owes.
func (v *visit) owed(in *incident.Incident, totals *incident.Totals, names map[auth.StaffID]string) (lines []owedLine) {
	for k := range in.Owed {
		o := &in.Owed[k]
		l := owedLine{Duty: o.Duty, What: v.Say("owed_" + string(o.Kind)), Source: o.Source, Since: v.moment(o.At), Due: v.moment(o.Due), Hand: o.Hand()}
		switch {
		case o.DoneAt != 0:
			l.Done = v.Say("owed_done_by", "Time", v.moment(o.DoneAt), "Who", v.doer(incident.Actor{Staff: o.DoneBy}, names))
			l.State = badge{v.Say("owed_kept"), "check", "good"}
			if !o.Kept() {
				l.State = badge{v.Say("owed_done_late"), "clock", "wait"}
			}
		case v.Now > o.Due:
			l.State = badge{v.Say("owed_late"), "cross", "bad"}
		default:
			l.State = badge{v.Say("owed_open"), "clock", "wait"}
			l.Left = v.Say("owed_left", "Time", v.lasted(o.Due.Sub(v.Now)))
		}
		if o.Kind == incident.TellRegulator && o.DoneAt == 0 {
			for _, lang := range v.texts.Languages() {
				subject, text := v.cfg.Incidents.Notice(in, o, totals, purchase.Language(lang))
				l.Drafts = append(l.Drafts, publicText{Language: lang, Title: subject, Text: text})
			}
		}
		lines = append(lines, l)
	}
	return lines
}

// dutyDetail is what a line of a timeline says of a duty, as people read it.
func (t *timeline) dutyDetail(text string) string {
	name, more, _ := strings.Cut(text, "\n")
	if more == "" {
		return name
	}
	return name + ": " + more
}
