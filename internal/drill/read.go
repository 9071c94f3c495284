package drill

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/sim"
)

func orText(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// clock reads a time of the day that the scenario begins on, after its beginning.
func (r *reader) clock(path, text string) time.Duration {
	d := r.clockFrom(path, text)
	if r.err == nil && d == 0 {
		r.wrong(path, "%q does not come after the beginning", text)
	}
	return d
}

// clockFrom is clock, and may be the beginning itself.
func (r *reader) clockFrom(path, text string) time.Duration {
	t, err := time.Parse("15:04", text)
	if err != nil {
		r.wrong(path, "%q is not a time such as \"13:45\"", text)
		return 0
	}
	y, m, day := r.begins.Date()
	d := time.Date(y, m, day, t.Hour(), t.Minute(), 0, 0, r.begins.Location()).Sub(r.begins)
	if d < 0 {
		r.wrong(path, "%q comes before the beginning", text)
	}
	return d
}

// ofDay reads a time of any day.
func (r *reader) ofDay(path, text string, otherwise time.Duration) time.Duration {
	if text == "" {
		return otherwise
	}
	if text == "24:00" {
		return 24 * time.Hour
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		r.wrong(path, "%q is not a time such as \"13:45\"", text)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
}

// longest bounds durations.
const longest = 31 * 24 * time.Hour

// duration reads "1m30s".
func (r *reader) duration(path, text string, otherwise time.Duration) time.Duration {
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		r.wrong(path, "%q is not a duration such as 1m30s", text)
	case d < 0:
		r.wrong(path, "must not be negative")
	case d > longest:
		r.wrong(path, "at most %s", longest)
	}
	return d
}

// span reads "200ms-2s", or one duration.
func (r *reader) span(path, text string, otherwise sim.Span) sim.Span {
	if text == "" {
		return otherwise
	}
	low, high, two := strings.Cut(text, "-")
	if strings.HasPrefix(text, "-") {
		r.wrong(path, "must not be negative")
		return sim.Span{}
	}
	s := sim.Span{Low: r.duration(path, low, 0)}
	if s.High = s.Low; two {
		if s.High = r.duration(path, high, 0); r.err == nil && s.High < s.Low {
			r.wrong(path, "%s is more than %s", low, high)
		}
	}
	return s
}

var percent = regexp.MustCompile(`^(-?[0-9]{1,3})(?:\.([0-9]))?%$`)

// share reads "45%" or "2.5%", as of a thousand.
func (r *reader) share(path, text string, otherwise int) int {
	if text == "" {
		return otherwise
	}
	parts := percent.FindStringSubmatch(text)
	if parts == nil {
		r.wrong(path, "%q is not a share such as 45%%", text)
		return 0
	}
	n, _ := strconv.Atoi(parts[1]) // it is made of digits
	n *= 10
	if parts[2] != "" {
		n += int(parts[2][0] - '0')
	}
	if strings.HasPrefix(text, "-") || n > sim.Thousand {
		r.wrong(path, "%s is not between 0%% and 100%%", text)
	}
	return n
}

// count reads a number from 1 on.
func (r *reader) count(path string, n, otherwise, most int) int {
	switch {
	case n == 0:
		return otherwise
	case n < 1 || n > most:
		r.wrong(path, "must be between 1 and %d", most)
	}
	return n
}

// defaultPartners are there where a scenario names none.
var defaultPartners = []partnerEntry{{Name: "wallet", Role: "payer", Declines: "3%"}, {Name: "charging", Role: "provider"}}

var partnerName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// partners reads who they are and what they promise.
func (r *reader) partners(s *Scenario) {
	entries := r.raw.Partners
	if len(entries) == 0 {
		entries = defaultPartners
	}
	if len(entries) > 10 {
		r.wrong("partners", "at most 10")
		return
	}
	sums, without := map[bool]int{}, map[bool]int{}
	for i := range entries {
		e, path := &entries[i], fmt.Sprintf("partners[%d]", i)
		switch {
		case !partnerName.MatchString(e.Name) || e.Name == sim.CentreName || e.Name == "house":
			r.wrong(path+".name", "%q cannot be a partner's name", e.Name)
		case slices.ContainsFunc(s.Script.Partners, func(p sim.ScriptPartner) bool { return p.Name == e.Name }):
			r.wrong(path+".name", "%q is named twice", e.Name)
		case e.Role != "payer" && e.Role != "provider":
			r.wrong(path+".role", "%q is neither payer nor provider", e.Role)
		}
		p := sim.ScriptPartner{Name: e.Name, Payer: e.Role == "payer", Share: r.share(path+".share", e.Share, -1), AtOnce: r.count(path+".at_once", e.AtOnce, 32, 1000),
			Answers:  r.span(path+".answers", e.Answers, sim.Span{Low: 50 * time.Millisecond, High: 400 * time.Millisecond}),
			Declines: r.share(path+".declines", e.Declines, 0)}
		p.Capability = purchase.Capability{Idempotent: e.Idempotent == nil || *e.Idempotent, Query: e.Query == nil || *e.Query, Tombstone: e.Cancel,
			Lateness: r.duration(path+".lateness", e.Lateness, 2*time.Hour), Timeout: r.duration(path+".timeout", e.Timeout, 10*time.Second)}
		if p.Capability.Idempotent {
			p.Capability.KeyLife = 48 * time.Hour
		}
		if r.err == nil && p.Capability.Timeout < time.Second {
			r.wrong(path+".timeout", "at least 1s")
		}
		if p.Share < 0 {
			without[p.Payer]++
		} else {
			sums[p.Payer] += p.Share
		}
		s.Script.Partners = append(s.Script.Partners, p)
	}
	r.fill(s, sums, without)
}

// fill gives partners without a share what the others leave.
func (r *reader) fill(s *Scenario, sums, without map[bool]int) {
	for _, payer := range []bool{true, false} {
		role := map[bool]string{true: "payer", false: "provider"}[payer]
		left := sim.Thousand - sums[payer]
		if left < 0 || left > 0 && without[payer] == 0 {
			r.wrong("partners", "the shares of each %s must come to 100%%", role)
			return
		}
		for i := range s.Script.Partners {
			if p := &s.Script.Partners[i]; p.Payer == payer && p.Share < 0 {
				p.Share = left / without[payer]
				left -= p.Share
				without[payer]--
			}
		}
	}
}

// windows reads when who fails, and how.
func (r *reader) windows(s *Scenario) {
	if len(r.raw.Windows) > maxList {
		r.wrong("windows", "at most %d", maxList)
		return
	}
	for i := range r.raw.Windows {
		e, path := &r.raw.Windows[i], fmt.Sprintf("windows[%d]", i)
		w := sim.Window{Partner: e.Partner, From: r.clockFrom(path+".from", e.From), Till: r.clockFrom(path+".till", e.Till),
			Late: r.span(path+".late", e.Late, sim.Span{}), Answers: r.span(path+".answers", e.Answers, sim.Span{})}
		at := slices.IndexFunc(s.Script.Partners, func(p sim.ScriptPartner) bool { return p.Name == e.Partner })
		switch {
		case r.err != nil:
			return
		case at < 0 && e.Partner != sim.CentreName:
			r.wrong(path+".partner", "no partner is called %q", e.Partner)
			return
		case w.Till <= w.From:
			r.wrong(path+".till", "%s does not come after %s", e.Till, e.From)
		case w.Till > s.Script.Ends:
			r.wrong(path+".till", "%s comes after the end of the scenario", e.Till)
		case at >= 0 && w.Late.High > s.Script.Partners[at].Capability.Lateness && s.Script.Partners[at].Capability.Lateness > 0:
			r.wrong(path+".late", "%s is later than %s promises: %s", w.Late.High, e.Partner, s.Script.Partners[at].Capability.Lateness)
		}
		for j := range s.Script.Windows {
			if o := &s.Script.Windows[j]; o.Partner == w.Partner && w.From < o.Till && o.From < w.Till {
				r.wrong(path+".from", "%s overlaps another window of %s", e.From, e.Partner)
			}
		}
		r.faults(path, e, &w)
		s.Script.Windows = append(s.Script.Windows, w)
	}
}

// faults reads which faults a window has.
func (r *reader) faults(path string, e *windowEntry, w *sim.Window) {
	known := sim.PartnerFaults()
	if e.Partner == sim.CentreName {
		known = sim.CentreFaults()
	}
	if len(e.Faults) == 0 && w.Answers.High == 0 {
		r.wrong(path+".faults", "a window has faults, or other answers")
	}
	for _, name := range slices.Sorted(maps.Keys(e.Faults)) {
		key := path + ".faults." + name
		f, err := sim.ParseFault(name)
		if err != nil || !slices.Contains(known, f) {
			r.wrong(key, "%s knows no fault %q", e.Partner, name)
			return
		}
		w.Faults = append(w.Faults, sim.Share{Fault: f, Of: r.share(key, e.Faults[name], 0)})
	}
	if w.Overfull() {
		r.wrong(path+".faults", "the shares come to more than 100%%")
	}
}

// troubles reads what befalls nodes and store.
func (r *reader) troubles(s *Scenario) {
	if len(r.raw.Troubles) > maxList {
		r.wrong("troubles", "at most %d", maxList)
		return
	}
	for i := range r.raw.Troubles {
		e, path := &r.raw.Troubles[i], fmt.Sprintf("troubles[%d]", i)
		f, err := sim.ParseFault(e.What)
		if err != nil || !slices.Contains(sim.Troubles(), f) {
			r.wrong(path+".what", "no trouble is called %q", e.What)
			return
		}
		if e.Node < 0 || e.Node > s.Script.Nodes {
			r.wrong(path+".node", "there are nodes 1 to %d", s.Script.Nodes)
		}
		s.Script.Troubles = append(s.Script.Troubles, sim.Trouble{At: r.clockFrom(path+".at", e.At), Fault: f, Node: max(e.Node-1, 0),
			Lasts: max(r.duration(path+".lasts", e.Lasts, 20*time.Second), time.Millisecond)})
	}
}
