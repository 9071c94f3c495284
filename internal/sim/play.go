package sim

import (
	"context"
	"strings"
	"time"

	"tenu/internal/incident"
	"tenu/internal/notify"
	"tenu/internal/purchase"
)

// play is what happens in a world that follows a script, as it is told afterwards.
type play struct {
	w       *world
	minutes []Minute
	pending int              // charged, and neither credited nor given back
	asking  int              // of which it is not known whether they were charged
	first   purchase.Instant // a fault met a call; zero: none did
	refused int              // before the charge, by a pause
	ended   purchase.Instant // all was settled; zero: it is not
	err     error            // of the pace

	began     map[purchase.ID]purchase.Instant // when the refund began of what is proven not to be delivered
	refunds   []time.Duration                  // from there to the evidence
	settles   []time.Duration                  // from the charge to the credit or refund
	told      map[purchase.ID]bool             // the customer has a message that says how it is, without the units
	wrong     map[purchase.ID]bool             // confirmed, and there is no credit in the books
	informed  map[purchase.MSISDN]purchase.Instant
	announced map[letterOf]incident.ID     // messages of incidents that were written
	heard     map[hearing]purchase.Instant // when the first one was taken by the centre, by incident and customer
	complaint map[purchase.ID]purchase.Instant
	opened    map[purchase.ID]purchase.Instant // when the engine first had a case
}

// Minute is what happened in one minute of a play, and how it stood at its end.
type Minute struct {
	At                                               purchase.Instant
	Charged, Credited, Refunded, Refused, Declined   int
	Told                                             int // messages taken by the centre
	Complaints, Calls, Answered, Informed, Abandoned int
	Promised, Kept, Broken                           int

	Pending int // charged, and neither credited nor given back
	Waiting int // for an answer of the line
	Cases   int // open
}

func newPlay(w *world) *play {
	return &play{w: w, began: map[purchase.ID]purchase.Instant{}, told: map[purchase.ID]bool{}, wrong: map[purchase.ID]bool{},
		informed: map[purchase.MSISDN]purchase.Instant{}, announced: map[letterOf]incident.ID{}, heard: map[hearing]purchase.Instant{}, complaint: map[purchase.ID]purchase.Instant{},
		opened: map[purchase.ID]purchase.Instant{}}
}

// minute is the one that lasts.
func (p *play) minute() *Minute {
	at := p.w.begins.Add(p.w.now.Sub(p.w.begins).Truncate(time.Minute))
	for len(p.minutes) == 0 || p.minutes[len(p.minutes)-1].At < at && !p.w.calm {
		next := p.w.begins
		if n := len(p.minutes); n > 0 {
			p.close()
			next = p.minutes[n-1].At.Add(time.Minute)
		}
		p.minutes = append(p.minutes, Minute{At: next})
	}
	return &p.minutes[len(p.minutes)-1]
}

// close notes how it stands at the end of the last minute.
func (p *play) close() {
	m := &p.minutes[len(p.minutes)-1]
	m.Pending, m.Cases, m.Waiting = p.pending, len(p.w.files.openCases.open), p.w.line.waiting()
	if each := p.w.plan.script.Each; each != nil {
		each(*m)
	}
}

// till lets the clock move on.
func (p *play) till(at purchase.Instant) {
	s := p.w.plan.script
	if s.Pace == nil || p.w.calm || at == p.w.now {
		return
	}
	p.err = s.Pace(p.w.ctx, at)
}

// failed notes that a call met a fault.
func (w *world) failed() {
	if w.play != nil && w.play.first == 0 {
		w.play.first = w.now
	}
}

// owed reports whether a purchase is charged, and its customer has neither units nor money.
func owed(p *purchase.Purchase) bool {
	return p.Payer != houseName && p.ChargedAt != 0 && (!p.State.Final() || p.Held != 0)
}

// wrote takes a change that became durable.
func (p *play) wrote(was *purchase.Purchase, c *purchase.Change) {
	now := &c.Now
	if now.Payer == houseName {
		return
	}
	if was.State == purchase.Charging {
		p.asking--
	}
	if now.State == purchase.Charging {
		p.asking++
	}
	if owed(was) {
		p.pending--
	}
	if owed(now) {
		p.pending++
	}
	m := p.minute()
	if was.ChargedAt == 0 && now.ChargedAt != 0 {
		m.Charged++
		if i, ok := p.w.bought[now.ID]; ok {
			p.w.line.watch(p.w.buyers[i], 0)
		}
	}
	if len(c.Cases) > 0 && p.opened[now.ID] == 0 {
		p.opened[now.ID] = p.w.now
	}
	for i := range c.Notices {
		if c.Notices[i].Fact == purchase.FactCredited && !p.w.holds(now, purchase.Credit) {
			p.wrong[now.ID] = true
		}
	}
	if was.State == now.State {
		return
	}
	switch now.State {
	case purchase.Refunding:
		if !now.Unproven {
			p.began[now.ID] = p.w.now
		}
	case purchase.Credited:
		m.Credited++
	case purchase.Refunded:
		m.Refunded++
		if at, proven := p.began[now.ID]; proven {
			p.refunds = append(p.refunds, p.w.now.Sub(at))
			delete(p.began, now.ID)
		}
	case purchase.Declined:
		m.Declined++
	case purchase.Charging, purchase.Crediting:
	}
	if (now.State == purchase.Credited || now.State == purchase.Refunded) && !was.State.Final() && now.ChargedAt != 0 {
		p.settles = append(p.settles, p.w.now.Sub(now.ChargedAt))
	}
}

// holds reports whether a partner's books show a movement of a leg that lasts.
func (w *world) holds(p *purchase.Purchase, leg purchase.Leg) bool { return w.moved(p, leg) > 0 }

// moved is how many movements of a leg that last the partners' books show.
func (w *world) moved(p *purchase.Purchase, leg purchase.Leg) (n int) {
	a := w.account(p, p.Partner(leg), leg)
	if a == nil {
		return 0
	}
	for _, m := range a.moved {
		if !m.undone {
			n++
		}
	}
	return n
}

// notice takes a notice that the centre has taken at an instant.
func (p *play) notice(m notify.Message, _ purchase.Instant) {
	p.minute().Told++
	reference, fact, _ := strings.Cut(m.ID, "-")
	id, err := p.w.keys.Parse(reference)
	if err == nil && fact != purchase.FactCredited.String() && fact != purchase.FactReceived.String() {
		p.told[id] = true
	}
}

// settled reports whether every customer has what is due, and everything that people
// were promised is done.
func (p *play) settled() bool {
	w := p.w
	return p.pending == 0 && len(w.book.unsent) == 0 && len(w.files.openCalls.open) == 0 && len(w.files.openAsks.open) == 0 && w.line.idle() && p.asking == 0
}

// awaitSettled lets the world go on until all is settled, or nothing can be expected any more.
func (w *world) awaitSettled() {
	p, s := w.play, w.plan.script
	p.minute()
	switch settled := p.settled(); {
	case settled:
		p.ended = w.now
		fallthrough
	case w.now.Sub(w.begins) > s.Ends+s.Rules.ResolveWithin+24*time.Hour:
		p.close()
		w.line.close()
		w.windDown()
	default:
		w.after(time.Minute, w.awaitSettled)
	}
}

// windDown ends a play: partners' statements tell every movement, and everything comes to
// rest. It does not take the days that a world of dice takes: all windows are over.
func (w *world) windDown() {
	w.note("calm", 0, "no more faults")
	w.calm, w.honest = true, true
	w.rough = w.now
	for _, n := range w.nodes {
		n.armed, n.down, n.frozen, n.cutOff = 0, 0, false, 0
		if n.steps != nil {
			n.end(Drained)
		}
	}
	w.after(time.Minute, func() { w.statements(0) })
	w.after(10*time.Minute, w.awaitRest)
	w.after(w.plan.rules.WatchFor+2*w.plan.rules.ResolveWithin, w.giveUp)
}

// awaitRest ends the world when nothing more happens by itself, and nobody has anything to do.
func (w *world) awaitRest() {
	if w.resting() && w.files.quiet() && w.files.due() == 0 && len(w.files.loose) == 0 {
		w.giveUp()
		return
	}
	w.people.later()
	w.after(10*time.Minute, w.awaitRest)
}

// Perform plays a script in a world that is kept in a store of its own, and checks every
// invariant as Run does. It returns an error only when it cannot play.
func Perform(ctx context.Context, s *Script, base Backing) (*Performance, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	w, err := build(ctx, s.plan(), base, &record{out: s.Trace})
	if err != nil {
		return nil, err
	}
	w.run()
	if w.play.err != nil {
		return nil, w.play.err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return w.performance()
}
