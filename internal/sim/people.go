package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

// people are the staff of a world, and what they and customers do about cases.
type people struct {
	w      *world
	d      *dice
	staff  []auth.Staff
	nextAt purchase.Instant // when somebody does something next, zero for never
}

// employer keeps accounts of staff.
type employer interface {
	care.Store
	AddStaff(ctx context.Context, s auth.Staff, x auth.Secrets, c auth.StaffChange) (auth.StaffID, error)
}

// strangers is the first of the staff who know nobody in town: whatever has to be decided
// can be decided by one of them.
const strangers = 5

// hire gives a world its staff, some of whom are customers too, and its rules.
func (w *world) hire(base Backing) error {
	store, ok := base.(employer)
	if !ok {
		return fmt.Errorf("sim: %T keeps no cases", base)
	}
	keys, err := purchase.NewKeyring([]byte("the simulation's cases' secret"))
	if err != nil {
		return err
	}
	w.files = newFiles(w, keys)
	p := &people{w: w, d: w.dice(30)}
	roles := []auth.Role{auth.Agent, auth.Agent, auth.Agent, auth.Supervisor, auth.Supervisor, auth.Supervisor, auth.Administrator}
	if s := w.plan.script; s != nil {
		roles = append(slices.Repeat([]auth.Role{auth.Agent}, s.Line.Agents), auth.Supervisor)
	}
	for i, role := range roles {
		s := auth.Staff{Version: 1, Login: fmt.Sprintf("%s-%d", role, i), Name: "Staff", Role: role, Language: "fr"}
		for n := range 1000 { // whatever is theirs or a relative's
			if w.plan.script == nil && i < strangers && p.d.chance(12) {
				s.Numbers = append(s.Numbers, purchase.MSISDN(22670000000+n))
			}
		}
		if s.ID, err = store.AddStaff(w.ctx, s, auth.Secrets{}, auth.StaffChange{At: w.begins, By: "sim"}); err != nil {
			return fmt.Errorf("hire the staff of a world: %w", err)
		}
		w.files.staff[s.ID] = s
		p.staff = append(p.staff, s)
	}
	w.people = p
	if w.plan.script != nil {
		w.line = newHotline(w)
	} else {
		w.phones = newPhones(w)
	}
	desk, err := care.New(care.Config{Store: store, Clock: clock{newNode(w, 0)}, Hours: w.hours()})
	if err == nil {
		err = desk.Furnish(w.ctx)
	}
	if err == nil && w.plan.script == nil {
		err = store.AddRule(w.ctx, simRule)
	}
	if err != nil {
		return fmt.Errorf("furnish a world with rules: %w", err)
	}
	rules, err := store.Rules(w.ctx)
	if err != nil {
		return fmt.Errorf("read the rules of a world: %w", err)
	}
	for i := range rules {
		w.files.budgets[rules[i].Name] = rules[i].Budget
	}
	return nil
}

// begin decides which customers report problems, and lets the staff work.
func (p *people) begin() {
	for _, b := range p.w.buyers {
		d := p.w.dice(32, uint64(b.index)) //nolint:gosec // an index
		if d.chance(p.w.plan.crowd) {
			p.w.after(b.begins+d.between(time.Second, pick(d, time.Minute, p.w.plan.span)), func() { p.complain(b, d) })
		}
	}
	p.later()
}

// node is one that runs, or nil.
func (p *people) node(d *dice) *node {
	n := p.w.nodes[d.n(len(p.w.nodes))]
	if !n.up() || n.desk == nil {
		return nil
	}
	return n
}

// complain lets a customer report a problem. Some ask to be called, some change their mind.
func (p *people) complain(b *buyer, d *dice) {
	w := p.w
	n := p.node(d)
	if n == nil || b.id == 0 || w.book.records[b.id] == nil || w.calm {
		return
	}
	number := b.r.PayerNumber
	if d.chance(20) {
		number = b.r.Recipient
	}
	matter := pick(d, care.MatterNotReceived, care.MatterNotReceived, care.MatterWrongNumber, care.MatterWrongProduct, care.MatterDuplicate, care.MatterOther)
	n.atDesk(func(desk *care.Desk) {
		_, _, err := desk.Report(w.ctx, care.Report{Purchase: b.id, Number: number, Matter: matter, Channel: "app", Detail: "Rien"})
		w.answered("report", err)
		w.note("report", b.id, fmt.Sprintf("%s: %v", matter, cause(err)))
	})
	if !d.chance(60) {
		return
	}
	w.after(d.between(time.Second, time.Minute), func() {
		if n := p.node(d); n != nil {
			n.atDesk(func(desk *care.Desk) { p.wants(desk, b, number, d) })
		}
	})
}

// wants lets a customer ask to be called, and sometimes cancel it.
func (p *people) wants(desk *care.Desk, b *buyer, number purchase.MSISDN, d *dice) {
	w := p.w
	windows, err := desk.Windows(w.ctx, 4)
	if err != nil || len(windows) == 0 {
		return
	}
	c, _, err := desk.Promise(w.ctx, care.Callback{Number: number, Purchase: b.id, Case: w.files.about[b.id], WindowAt: pick(d, windows...), Channel: "app", Language: "fr"})
	if err != nil || !d.chance(15) {
		return
	}
	w.after(d.between(time.Second, 30*time.Minute), func() { // they may or may not hear that it is
		if n := p.node(d); n != nil {
			n.atDesk(func(desk *care.Desk) { _, _ = desk.Cancel(w.ctx, c.ID, number) })
		}
	})
}

// later lets somebody of the staff do something soon.
func (p *people) later() {
	w := p.w
	if w.line != nil && !w.calm {
		w.line.work()
		return
	}
	wait := p.d.between(500*time.Millisecond, 20*time.Second)
	if w.calm {
		if w.files.due() == 0 {
			return // until something is stirred
		}
		if wait = p.calmly(); w.files.quiet() {
			wait = time.Hour
		}
	}
	at := w.now.Add(wait)
	if p.nextAt != 0 && p.nextAt <= at {
		return
	}
	p.nextAt = at
	w.after(wait, func() {
		if p.nextAt != at {
			return
		}
		p.nextAt = 0
		if !w.calm || !w.files.quiet() {
			p.act()
		}
		p.later()
	})
}

// calmly is how long until somebody does something while all comes to rest: when a
// callback is to be made, and otherwise now and then.
func (p *people) calmly() time.Duration {
	wait := p.d.between(time.Minute, 15*time.Minute)
	for id := range p.w.files.openCalls.open {
		if c := p.w.files.callbacks[id]; !c.Trying {
			wait = min(wait, max(max(c.WindowAt, c.NextAt).Sub(p.w.now)+time.Second, 10*time.Second))
		}
	}
	return wait
}

// act is one deed of one of the staff.
func (p *people) act() {
	n := p.node(p.d)
	if n == nil {
		return
	}
	s := pick(p.d, p.staff...)
	n.atDesk(func(desk *care.Desk) {
		if p.w.calm {
			p.finish(desk, n, s)
			return
		}
		switch {
		case p.d.chance(3):
			p.bulk(desk, n, s)
		case p.d.chance(35):
			p.call(desk, n, s)
		case p.d.chance(40):
			p.decide(desk, n, s)
		case p.d.chance(50):
			p.ask(desk, n, s)
		default:
			p.treat(desk, n, s)
		}
	})
}

// finish does what is left to do when nothing fails any more.
func (p *people) finish(desk *care.Desk, n *node, s auth.Staff) {
	a := p.w.files
	p.call(desk, n, s)
	for range 3 {
		p.decide(desk, n, s)
	}
	for _, id := range a.openCases.ids() {
		c := a.cases[id]
		if c.Status.Closed() || c.Purchase == 0 || !a.final(c.Purchase) {
			continue
		}
		p.deed(desk, n, s, c, c.Version, care.Deed{Do: care.EventSettled, Outcome: shows(&p.w.book.records[c.Purchase].Purchase)})
	}
}

// looks lets one of the staff look at a customer, as the console does before it shows
// anything, and reports whether they did.
func (p *people) looks(n *node, s auth.Staff, number purchase.MSISDN, id purchase.ID) bool {
	err := n.looker().AddLook(p.w.ctx, care.Look{At: clock{n}.Now(), Staff: s.ID, Number: number, Purchase: id, Reason: "search"})
	return err == nil
}

// looker is the store as the console of a node sees it.
func (n *node) looker() care.DeskStore {
	base, _ := n.w.store.Backing.(care.Store)
	return &desked{base, n.w.store.of(n)}
}

// call makes the next callback: it rings, and somebody or nobody answers. Two agents
// may try at once, and some never say what became of it.
func (p *people) call(desk *care.Desk, n *node, s auth.Staff) {
	w, d := p.w, p.d
	calls, err := desk.Calls(w.ctx, 3)
	if err != nil || len(calls) == 0 {
		return
	}
	c := pick(d, calls...)
	if !p.looks(n, s, c.Number, c.Purchase) {
		return
	}
	t, link, err := desk.Ring(w.ctx, s, c.ID)
	if err != nil {
		return
	}
	if other := pick(d, p.staff...); d.chance(10) && p.looks(n, other, c.Number, c.Purchase) {
		_, _, _ = desk.Ring(w.ctx, other, c.ID) // refused, as the auditor makes sure
	}
	if w.phones != nil && link == "" {
		return // their phone rings, and what becomes of it is told by it
	}
	if d.chance(8) && !w.calm {
		w.phones.byHand(c.Number, c.Purchase, handFor)
		return // the agent's browser is gone
	}
	ring := pick(d, care.Answered, care.Answered, care.Busy, care.NoAnswer, care.Unreachable, care.Voicemail, care.Declined)
	if w.calm && d.chance(70) {
		ring = care.Answered
	}
	takes := d.between(5*time.Second, handFor)
	w.phones.byHand(c.Number, c.Purchase, takes)
	w.after(takes, func() {
		if n := p.node(d); n != nil {
			n.atDesk(func(desk *care.Desk) { _, _ = desk.Rang(w.ctx, s, c.ID, t.Try, ring) })
		}
	})
}

// decide decides on a request, also on one's own, and lets recipients answer.
func (p *people) decide(desk *care.Desk, n *node, s auth.Staff) {
	var waiting []*care.Request
	for _, id := range p.w.files.openAsks.ids() {
		if r := p.w.files.requests[id]; r.Stage == care.StageCheck || r.Stage == care.StageConsent {
			waiting = append(waiting, r)
		}
	}
	if len(waiting) == 0 {
		return
	}
	r := pick(p.d, waiting...)
	if r.Stage == care.StageConsent {
		_, err := desk.Consent(p.w.ctx, r.Recipient, r.ID, p.d.chance(70))
		p.w.answered("consent", err)
		p.w.note("consent", r.Purchase, fmt.Sprint(cause(err)))
		return
	}
	if !p.looks(n, s, r.Number, r.Purchase) {
		return
	}
	version := r.Version
	if p.d.chance(5) {
		version-- // somebody else was faster
	}
	_, err := desk.Decide(p.w.ctx, s, r.ID, version, p.d.chance(80), "because")
	p.w.answered("decide", err)
	p.w.note("decide", r.Purchase, fmt.Sprintf("%s by %s: %v", r.Kind, s.Login, cause(err)))
}

// ask asks for something about a purchase that has a case. Sometimes a colleague does so
// at the same time.
func (p *people) ask(desk *care.Desk, n *node, s auth.Staff) {
	c := p.someCase()
	if c == nil || c.Purchase == 0 || !p.looks(n, s, c.Number, c.Purchase) {
		return
	}
	ask := care.Ask{Kind: pick(p.d, care.Kinds...), Purchase: c.Purchase, Case: c.ID, Reason: "the customer asks"}
	if ask.Kind == care.AskGoodwill {
		ask.Amount = int64(pick(p.d, 100, 300, 500, 5000))
	}
	got, err := desk.Ask(p.w.ctx, s, ask)
	p.w.answered("ask", err)
	p.w.note("asks", c.Purchase, fmt.Sprintf("%s for %s: %d %v", s.Login, ask.Kind, got.ID, cause(err)))
	if other := pick(p.d, p.staff...); p.d.chance(20) && p.looks(n, other, c.Number, c.Purchase) {
		_, _ = desk.Ask(p.w.ctx, other, ask) // one of the two is told so
	}
}

// treat does something to a case.
func (p *people) treat(desk *care.Desk, n *node, s auth.Staff) {
	c := p.someCase()
	if c == nil {
		return
	}
	deed := care.Deed{Text: "because", Prefer: pick(p.d, care.PreferUnits, care.PreferMoney),
		Do: pick(p.d, care.EventTaken, care.EventReleased, care.EventEscalated, care.EventPaused, care.EventResumed, care.EventResumed, care.EventNote,
			care.EventTold, care.EventPrefers, care.EventPrefers, care.EventSettled, care.EventSettled, care.EventReopened),
		Outcome: pick(p.d, care.OutcomeCredited, care.OutcomeRefunded, care.OutcomeNothingTaken, care.OutcomeAnswered)}
	version := c.Version
	if p.d.chance(10) && version > 1 {
		version-- // somebody else was faster
	}
	p.deed(desk, n, s, c, version, deed)
}

// bulk does one deed to several cases at once, after a look at each.
func (p *people) bulk(desk *care.Desk, n *node, s auth.Staff) {
	var cases []care.CaseID
	for range 5 {
		if c := p.someCase(); c != nil && p.looks(n, s, c.Number, c.Purchase) {
			cases = append(cases, c.ID)
		}
	}
	deed := care.Deed{Do: pick(p.d, care.EventNote, care.EventPaused, care.EventResumed, care.EventEscalated), Text: "a mast fell"}
	b, err := desk.Begin(p.w.ctx, s, deed, cases)
	p.w.answered("bulk", err)
	p.w.note("bulk", 0, fmt.Sprintf("%s %s: %d %v", s.Login, deed.Do, b.ID, cause(err)))
}

// deed does one deed to a case, as one of the staff or, now and then, as the customer.
func (p *people) deed(desk *care.Desk, n *node, s auth.Staff, c *care.Case, version int64, deed care.Deed) {
	by, was := care.Actor{Kind: care.ByStaff, Staff: s.ID}, *c
	if !p.w.calm && p.d.chance(10) {
		by = care.Actor{Kind: care.ByCustomer}
	} else if !p.looks(n, s, c.Number, c.Purchase) {
		return
	}
	spoke := p.w.files.spoke[was.ID]
	_, err := desk.Act(p.w.ctx, was.ID, version, by, deed)
	if err == nil && version < spoke {
		p.w.fail("C6", was.Purchase, "case %d was changed by somebody who had not seen it", was.ID)
	}
	p.w.answered("deed", err)
	p.w.note("deed", was.Purchase, fmt.Sprintf("%s %s: %v", s.Login, deed.Do, cause(err)))
}

// someCase is a case, more often one that is open.
func (p *people) someCase() *care.Case {
	a := p.w.files
	if len(a.order) == 0 {
		return nil
	}
	for range 4 {
		if c := a.cases[pick(p.d, a.order...)]; !c.Status.Closed() {
			return c
		}
	}
	return a.cases[pick(p.d, a.order...)]
}
