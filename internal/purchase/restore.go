package purchase

// learn is what a recorded outcome teaches of a leg.
func (l *LegState) learn(o *Outcome) {
	switch o.Kind {
	case Done:
		l.Done, l.Doubt = true, false
	case Reversed:
		l.Done = false
	case Refused, Pending, Unknown, Unsent, Absent, Cancelled:
		return
	}
	switch {
	case o.Ref == "" || o.Ref == l.Ref:
	case l.Ref == "":
		l.Ref = o.Ref
	default:
		l.Second = o.Ref
	}
}

// Derive recomputes what the purchase's value holds beside its own row from
// the other rows of the record: the legs' tries, times and references, and the
// sets of what was posted and opened. Doubt, Closed and Acknowledged stay, they
// are kept with the purchase.
func (r *Record) Derive() {
	p := &r.Purchase
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

// restore is the purchase as a node finds it after another process, or its own
// former self, wrote it. An attempt of the active leg may have been sent at any
// time until now.
func (r *Record) restore(now Instant) Purchase {
	r.Derive()
	p := r.Purchase
	s := step{p: p}
	if leg := s.active(); leg != 0 && p.Open() {
		l := &p.Legs[leg]
		if !l.Acknowledged && !l.Closed && !l.Done && l.Tries > 0 {
			l.Doubt, l.LastAt = true, now
		}
	}
	if p.Open() {
		p.ActAt, p.DueAt = now, now
	}
	return p
}
