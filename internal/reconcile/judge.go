package reconcile

import (
	"fmt"
	"time"

	"tenu/internal/purchase"
)

// Partner is what is to be known of a partner to judge its statements.
type Partner struct {
	Name string
	// RefIsKey: its answers give no reference of its own, so that tenu knows its movements by our key.
	RefIsKey bool
	// Undone: its statements tell what it took back of its own accord.
	Undone bool
	// Skew is by how much its clock may differ from ours.
	Skew time.Duration
	// Capability is what it declares for a leg; nil declares nothing.
	Capability func(purchase.Leg) purchase.Capability
}

func (p *Partner) capability(leg purchase.Leg) purchase.Capability {
	if p.Capability == nil {
		return purchase.Capability{}
	}
	return p.Capability(leg)
}

// verdict is what comes of comparing one movement with its lines.
type verdict struct {
	found   []Found
	matched int  // lines that have their movement
	missing bool // something told to be done has no line
	lied    []Told
}

// judge compares a movement of ours, nil for none, with the lines about it.
// undone are the lines that take back what lines or records name by reference; it marks those that it used.
func (p *Partner) judge(m *Movement, lines []Line, undone map[string]*undoing) verdict {
	var v verdict
	if m == nil || m.Tries == 0 && len(m.Done) == 0 {
		for i := range lines {
			v.found = append(v.found, p.unasked(m, &lines[i]))
		}
		return v
	}
	here := make([]int, len(lines)) // the execution of a line, counted from 1
	p.pair(m, lines, here)
	taken := make([]bool, len(m.Done))
	for i := range lines {
		if here[i] > 0 {
			taken[here[i]-1] = true
			v.matched++
			v.compare(p, m, &m.Done[here[i]-1], &lines[i])
			continue
		}
		v.surplus(p, m, &lines[i], i > 0 || len(m.Done) > 0)
	}
	for i := range m.Done {
		if !taken[i] && !m.undone(m.Done[i].Ref) { // nothing there, and nothing left of it here
			v.missing = true
			v.lied = append(v.lied, m.Done[i])
		}
	}
	v.reversals(p, m, lines, here, undone)
	return v
}

// undoing is a line that takes a movement back, and whether the movement was found.
type undoing struct {
	line Line
	used bool
	leg  purchase.Leg // of the movement
}

// pair finds the execution on record of each line: by reference, and the rest in order.
func (p *Partner) pair(m *Movement, lines []Line, here []int) {
	taken := make([]bool, len(m.Done))
	if !p.RefIsKey {
		for i := range lines {
			for j := range m.Done {
				if !taken[j] && lines[i].Ref != "" && lines[i].Ref == m.Done[j].Ref {
					here[i], taken[j] = j+1, true
					break
				}
			}
		}
	}
	for i := range lines {
		for j := range m.Done {
			if here[i] == 0 && !taken[j] {
				here[i], taken[j] = j+1, true
			}
		}
	}
}

// describe begins a break about a line, or about what is on record where there is none.
func (p *Partner) describe(m *Movement, l *Line, cause Cause, detail string) Found {
	f := Found{Cause: cause, Party: p.Name, Detail: detail}
	if m != nil {
		f.Purchase, f.Leg, f.Number, f.Version = m.Purchase, m.Leg, m.Account, m.Version
		f.Currency = string(m.Amount.Currency)
	}
	if l != nil {
		f.Ref, f.There, f.At, f.Place = l.Ref, l.Amount.Minor, l.At, l.Place
		if f.Number == 0 {
			f.Number = l.Number
		}
		if f.Purchase == 0 {
			f.Purchase, f.Leg = l.Purchase, l.Leg
		}
		if f.Leg == 0 && l.Kind <= KindReversal {
			f.Leg = purchase.Leg(l.Kind)
		}
		f.Currency = string(l.Amount.Currency)
	}
	return f
}

// told is a line as a partner's words.
func (l *Line) told() *Told {
	return &Told{Ref: l.Ref, Amount: l.Amount, Account: l.Number, Product: l.Product, At: l.At}
}

// ref is the reference that evidence of a line bears, so that it is the one of the
// partner's answers.
func (p *Partner) ref(l *Line, further bool) string {
	switch {
	case !p.RefIsKey || l.Key == "":
		return l.Ref
	case further:
		return l.Key + "#" + l.Ref
	}
	return l.Key
}

// unasked is a line of which nothing is on record.
func (p *Partner) unasked(m *Movement, l *Line) Found {
	f := p.describe(m, l, CauseUnasked, "nobody of ours asked for it")
	switch {
	case m != nil: // the key is ours, and the purchase is known: we would have had to send it
		f.Detail, f.Party = "the key is ours, and no try of this leg is on record", House
		f.Correction, f.Customer = m.evidence(purchase.Done, p.ref(l, false), l.told(), "in the statement"), true
	case l.Purchase != 0:
		f.Detail, f.Party = "the key is ours, and no such purchase is on record", House
	case l.Key != "":
		f.Detail = "the key is none of ours"
	}
	if l.Kind == KindCharge || l.Kind == KindReversal || l.Kind == KindUndone {
		f.Customer = true
	}
	return f
}

// surplus is a line of a movement that was asked for, but not told to be executed, or not so often.
func (v *verdict) surplus(p *Partner, m *Movement, l *Line, further bool) {
	var f Found
	switch {
	case further:
		f = p.describe(m, l, CauseTwice, "executed more than once")
		if c := p.capability(m.Leg); m.Tries > 1 && !c.Idempotent {
			f.Party, f.Detail = House, fmt.Sprintf("executed more than once; it was sent %d times, and the partner does not look at our key", m.Tries)
		}
	case m.Denied:
		f = p.describe(m, l, CauseDenied, "it had refused or cancelled this")
	default:
		f = p.describe(m, l, CauseUnheard, "asked for, and never answered")
		f.ByTable = l.Purchase != 0 && asAsked(m, l)
	}
	if m.State == purchase.Refunded || m.State == purchase.Declined || m.State == purchase.Refunding {
		f.Detail += "; the purchase is " + m.State.String()
	}
	f.Customer = true
	f.Correction = m.evidence(purchase.Done, p.ref(l, further), l.told(), "in the statement")
	f.ByTable = f.ByTable && f.Correction.Leg != 0
	switch cause, detail := p.lateness(m, l); {
	case cause == CauseLate && f.Cause == CauseUnheard:
		f.Cause, f.Detail = CauseLate, f.Detail+", and "+detail
	case cause != 0:
		f.Detail += ", and " + detail
	}
	v.found = append(v.found, f)
}

// asAsked reports whether a line is what was asked for.
func asAsked(m *Movement, l *Line) bool {
	return l.Amount == m.Amount && !l.another(m.Account) && (l.Product == "" || m.Product == "" || l.Product == m.Product)
}

// lateness says of a line whether it moved when it cannot have, 0 if it can.
func (p *Partner) lateness(m *Movement, l *Line) (Cause, string) {
	h := p.capability(m.Leg).Lateness
	switch {
	case l.At == 0:
	case m.First != 0 && l.At < m.First.Add(-p.Skew):
		return CauseTime, "moved before it was asked for"
	case h > 0 && m.Last != 0 && l.At > m.Last.Add(h+p.Skew):
		return CauseLate, "moved later than the partner declares that it can (" + h.String() + ")"
	}
	return 0, ""
}

// compare finds what a line says otherwise than the partner told.
func (v *verdict) compare(p *Partner, m *Movement, d *Told, l *Line) {
	add := func(cause Cause, customer bool, detail string) {
		f := p.describe(m, l, cause, detail)
		f.Here, f.Customer = d.Amount.Minor, customer
		v.found = append(v.found, f)
	}
	switch {
	case l.Amount.Currency != d.Amount.Currency:
		add(CauseCurrency, true, "told in "+string(d.Amount.Currency)+", in its records in "+string(l.Amount.Currency))
	case l.Amount.Minor != d.Amount.Minor:
		add(CauseAmount, true, "another amount than it told")
	}
	account := d.Account
	if account == 0 {
		account = m.Account
	}
	if l.another(account) && !m.retracted(d.Ref) {
		add(CauseNumber, true, "another number's account than it told")
		if m.Leg == purchase.Credit || m.Leg == purchase.Refund { // whom it was for has nothing
			v.found[len(v.found)-1].Correction = m.evidence(purchase.Reversed, d.Ref, d, "in its records it is another number's")
		}
	}
	product := d.Product
	if product == "" {
		product = m.Product
	}
	if l.Product != "" && product != "" && l.Product != product {
		add(CauseProduct, true, "another product than it told")
	}
	if !p.RefIsKey && l.Ref != "" && d.Ref != "" && l.Ref != d.Ref {
		add(CauseReference, false, "under another reference than it told")
	}
	switch cause, detail := p.lateness(m, l); {
	case cause != 0:
		add(cause, false, detail)
	case l.At != 0 && l.At > d.At.Add(p.Skew):
		add(CauseTime, false, "moved after it was told to be done")
	}
}

// reversals compares what was taken back.
func (v *verdict) reversals(p *Partner, m *Movement, lines []Line, here []int, undone map[string]*undoing) {
	there := make([]*undoing, len(lines))
	for i := range lines {
		if u := undone[lines[i].Ref]; u != nil && lines[i].Ref != "" {
			u.used, u.leg, there[i] = true, m.Leg, u
		}
	}
	for j := range m.Done {
		d := &m.Done[j]
		line := -1
		for i := range lines {
			if here[i] == j+1 {
				line = i
			}
		}
		var u *undoing
		if line >= 0 {
			u = there[line]
		}
		if u == nil && !p.RefIsKey && d.Ref != "" {
			if u = undone[d.Ref]; u != nil {
				u.used, u.leg = true, m.Leg
			}
		}
		if u != nil && !m.undone(d.Ref) {
			v.found = append(v.found, p.reversed(m, d, &u.line))
		}
	}
}

// reversed is what the partner took back, and tenu does not know.
func (p *Partner) reversed(m *Movement, d *Told, l *Line) Found {
	f := p.describe(m, l, CauseReversed, "taken back by the partner of its own accord")
	f.Leg = m.Leg
	f.Here, f.Customer = d.Amount.Minor, true
	told := l.told()
	told.Account = d.Account
	if told.Product == "" {
		told.Product = d.Product
	}
	f.Correction = m.evidence(purchase.Reversed, d.Ref, told, "taken back, as the statement says")
	return f
}

// lie is what the partner told to be done and has no record of.
func (p *Partner) lie(m *Movement, d *Told) Found {
	f := p.describe(m, nil, CauseLied, "told to be done, and not in the records of a period that is closed")
	f.Ref, f.Here, f.Currency, f.At, f.Customer = d.Ref, d.Amount.Minor, string(d.Amount.Currency), d.At, true
	if !m.undone(d.Ref) {
		f.Correction = m.evidence(purchase.Reversed, d.Ref, d, "not in the partner's own records")
	}
	return f
}

// unundone is what the partner told to have taken back, and has no record of.
func (p *Partner) unundone(m *Movement, d *Told) Found {
	f := p.describe(m, nil, CauseUnundone, "told to be taken back, and not in the records of a period that is closed")
	f.Ref, f.Here, f.Currency, f.At, f.Customer = d.Ref, d.Amount.Minor, string(d.Amount.Currency), d.At, true
	return f
}
