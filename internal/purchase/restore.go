package purchase

import "time"

// learn is what a recorded outcome teaches of a leg. The first movement told
// to be done gives the leg its reference; any other one that was told is
// remembered as the second.
func (l *LegState) learn(o *Outcome) {
	switch o.Kind {
	case Done:
		l.Doubt = false
		switch {
		case o.Ref == l.Second && o.Ref != "":
		case !l.Done && l.Ref == "":
			l.Done, l.Ref, l.Account = true, o.Ref, o.Account
		case l.another(o.Ref):
			l.Done, l.Second = true, o.Ref
		default:
			l.Done = true
			if l.Ref == "" {
				l.Ref = o.Ref
			}
		}
	case Reversed:
		switch {
		case l.another(o.Ref), !l.Done && l.Ref == "" && o.Ref != "":
			l.Second = o.Ref
		case l.Ref == "":
			l.Done, l.Ref = false, o.Ref
		default:
			l.Done = false
		}
	case Refused, Pending, Unknown, Unsent, Absent, Cancelled, Asked:
	}
}

// another reports whether a reference is that of another movement than the first.
func (l *LegState) another(ref string) bool { return ref != "" && l.Ref != "" && ref != l.Ref }

// Derive recomputes what the purchase's value holds beside its own row from
// the other rows of the record: the legs' tries, times and references, and the
// sets of what was posted and opened. Doubt, Closed and Acknowledged stay, they
// are kept with the purchase; what is only remembered in memory is forgotten.
func (r *Record) Derive() {
	p := &r.Purchase
	p.ActAt, p.Resumed, p.Skew = 0, 0, 0
	for leg := range p.Legs {
		l := &p.Legs[leg]
		*l = LegState{Doubt: l.Doubt, Closed: l.Closed, Acknowledged: l.Acknowledged}
	}
	for i := range r.Attempts {
		a := &r.Attempts[i]
		l := &p.Legs[a.Leg]
		if l.FirstAt == 0 {
			l.FirstAt = a.At
		}
		l.Tries, l.LastAt = max(l.Tries, a.Try), a.At
	}
	for i := range r.Evidence {
		e := &r.Evidence[i]
		doubt := p.Legs[e.Leg].Doubt
		p.Legs[e.Leg].learn(&e.Outcome)
		p.Legs[e.Leg].Doubt = doubt
	}
	p.Posted, p.Opened = 0, 0
	for i := range r.Postings {
		p.Posted = p.Posted.With(r.Postings[i].Leg, r.Postings[i].Effect)
	}
	for i := range r.Cases {
		p.Opened = p.Opened.With(r.Cases[i].Matter)
	}
}

// ClockSlack is by how much nodes' clocks may differ.
const ClockSlack = time.Minute

// restore is the purchase as a node finds it after another process, or its own
// former self, wrote it. An attempt of the active leg may have been sent at any
// time until now, or be sent by a process that is still ending its calls; when
// one of another leg was sent may be told by a clock that was set since. Where
// our clock is behind what is recorded, time goes on from there.
func (r *Record) restore(t *Terms, now Instant) Purchase {
	r.Derive()
	p := r.Purchase
	if last := r.latest(); last > now.Add(ClockSlack) {
		p.Skew = last - now
	}
	if !p.Open() {
		return p
	}
	p.ActAt, p.DueAt, p.Resumed = p.local(now), now, p.local(now)
	for _, leg := range Legs {
		l := &p.Legs[leg]
		if l.Tries == 0 {
			continue
		}
		l.LastAt = t.leftBy(&p, leg)
		if leg == p.active() && !l.Acknowledged && !l.Closed && !l.Done {
			l.Doubt = true
		}
	}
	return p
}

// leftBy is until when a try of a former process may leave: one that does not
// know that it was replaced begins calls while its lease is sure.
func (t *Terms) leftBy(p *Purchase, leg Leg) Instant {
	if p.Resumed == 0 {
		return 0
	}
	return p.Resumed.Add(t.Overlap + t.Capability(p.Partner(leg), leg).Timeout)
}

// latest is the last instant that is recorded.
func (r *Record) latest() Instant {
	last := r.Purchase.CreatedAt
	if n := len(r.Attempts); n > 0 {
		last = max(last, r.Attempts[n-1].At)
	}
	if n := len(r.Evidence); n > 0 {
		last = max(last, r.Evidence[n-1].At)
	}
	return last
}
