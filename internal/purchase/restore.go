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

// restore recomputes what a purchase's memory holds beside its row, from the
// other rows of its record, as a node finds it after another process (or its
// own former self) wrote them. An attempt of the active leg may have been
// sent at any time until now.
func (r *Record) restore(now Instant) Purchase {
	p := r.Purchase
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
	p.Posted = 0
	for i := range r.Postings {
		p.Posted = p.Posted.With(r.Postings[i].Leg, r.Postings[i].Effect)
	}
	p.Opened = 0
	for i := range r.Cases {
		p.Opened = p.Opened.With(r.Cases[i].Matter)
	}
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
