package purchase

import (
	"slices"
	"strings"

	"tenu/internal/ledger"
	"tenu/internal/money"
)

// Op is what to ask of a partner about a leg.
type Op uint8

// The operations, as the methods of Partner.
const (
	OpDo Op = iota + 1
	OpQuery
	OpCancel
)

var opNames = [...]string{OpDo: "do", OpQuery: "query", OpCancel: "cancel"}

// String is the operation's word.
func (o Op) String() string { return name(opNames[:], int(o), "op") }

// Call is something to ask of a partner; the zero Call is nothing.
type Call struct {
	Leg Leg
	Op  Op
}

// Step is the answer of the table to one event.
type Step struct {
	// Row is the rule that matched.
	Row *Row
	// Durable says that Change must be committed before Call is made and
	// before Change.Now is believed; otherwise only memory changes, to Change.Now.
	Durable bool
	Change  Change
	// At is when the step was taken.
	At Instant
	// Facts are the notices to write into Change.
	Facts []Fact
	// Call is what to ask next.
	Call Call
	// Hindrance is why a wish is not heeded, and HinderedTill when that may change
	// by itself, 0 when unknown.
	Hindrance    Hindrance
	HinderedTill Instant
}

// step is the state of one evaluation of the table, with room for what an
// ordinary change holds, so that one piece of memory serves for each event.
type step struct {
	terms *Terms
	ev    Event
	now   Instant
	busy  bool      // a call for this purchase is under way
	timed bool      // what the timer does is to follow
	p     *Purchase // out.Change.Now
	out   Step

	attempted Attempt
	evidence  Evidence
	postings  [2]Posting
	facts     [1]Fact
	notices   [1]Notice
}

// Begin is the first change of a purchase: its row and its charge attempt.
func (t *Terms) Begin(r *Request, id ID, epoch int64, now Instant) *Step {
	return new(step).begin(t, r, id, epoch, now)
}

func (s *step) begin(t *Terms, r *Request, id ID, epoch int64, now Instant) *Step {
	*s = step{terms: t, now: now}
	s.p = &s.out.Change.Now
	s.p.ID, s.p.Epoch, s.p.Request, s.p.State, s.p.CreatedAt = id, epoch, *r, Charging, now
	s.attempt(Charge)
	if t.RepeatWithin > 0 && !r.Again {
		s.out.Change.RepeatSince = now.Add(-t.RepeatWithin)
	}
	return s.finish(0, epoch)
}

// Next is what an event does to a purchase at an instant: the whole state
// machine. It is pure. busy says that a call for the purchase is under way, so
// that no other may be made. epoch is the lease to write under.
func (t *Terms) Next(p *Purchase, ev Event, now Instant, busy bool, epoch int64) *Step {
	return new(step).next(t, p, ev, now, busy, epoch)
}

func (s *step) next(t *Terms, p *Purchase, ev Event, now Instant, busy bool, epoch int64) *Step {
	*s = step{terms: t, ev: ev, now: p.local(now), busy: busy}
	normal(&s.ev)
	s.p = &s.out.Change.Now
	*s.p = *p
	s.out.Change.Was = Before{p.State, p.Provider}
	s.out.Row = s.match()
	s.take(s.out.Row)
	if s.timed {
		s.ev = Timer
		s.take(s.match())
	}
	if s.p.State != p.State {
		s.out.Durable = true
	}
	return s.finish(p.Epoch, epoch)
}

// take does what a row says.
func (s *step) take(row *Row) {
	if row.To != 0 {
		s.p.State = row.To
	}
	for _, effect := range row.Do {
		effect.do(s)
	}
}

// normal makes what a partner said safe to compute with: a movement without a
// positive amount of a known currency proves nothing.
func normal(ev *Event) {
	o := &ev.Outcome
	if o.Kind == Done || o.Kind == Reversed {
		if _, err := money.ParseCurrency(string(o.Amount.Currency)); err != nil || o.Amount.Minor <= 0 {
			o.Kind = Unknown
			o.Detail = "no amount stated; " + o.Detail
		}
	}
	o.Detail, o.Ref = clip(o.Detail), clip(o.Ref)
}

// clip bounds a partner's text and makes it storable.
func clip(text string) string {
	if len(text) > MaxDetail {
		text = text[:MaxDetail]
	}
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "")
}

// finish fixes the due time and the versions.
func (s *step) finish(was, epoch int64) *Step {
	if s.p.DueAt = s.due(); s.p.DueAt != 0 {
		s.p.DueAt -= s.p.Skew
	}
	if s.out.Durable {
		s.p.Version++
		s.out.Change.WasEpoch, s.out.Change.At = was, s.now
		s.p.Epoch = epoch
		if s.out.Change.Evidence != nil {
			s.out.Change.Evidence.Version = s.p.Version
		}
		s.out.Change.sort()
		slices.Sort(s.out.Facts)
	}
	s.out.At = s.now
	return &s.out
}

// due is the next time that the purchase must act by itself, or zero.
func (s *step) due() Instant {
	p, at := s.p, s.p.ActAt
	sooner := func(i Instant, wanted bool) {
		if wanted && i != 0 && (at == 0 || i < at) {
			at = i
		}
	}
	switch p.State {
	case Charging:
		sooner(p.CreatedAt.Add(s.terms.DeliverWithin), p.Legs[Charge].open() && !p.Told.Has(FactUnconfirmed))
		sooner(s.resort(p.CreatedAt.Add(s.terms.ResolveWithin)), !s.busy)
	case Crediting:
		sooner(p.DeliverBy, !p.Told.Has(FactPending))
		sooner(s.resort(p.ResolveBy.Add(-s.terms.ResolveMargin)), !s.busy)
	case Refunding:
		sooner(p.RefundBy, !p.Opened.Has(MatterLateRefund))
		sooner(p.ResolveBy.Add(-s.terms.ResolveMargin), !p.Exposed)
	case Credited, Refunded, Declined:
		if p.reversing() {
			sooner(s.resort(s.terms.reverseBy(p)), !s.busy)
			break
		}
		if p.WatchTill == 0 || p.watched() == 0 {
			return 0
		}
		sooner(s.resort(p.WatchTill), !s.busy)
	}
	if at == 0 {
		at = s.now.Add(s.terms.RetryMost)
	}
	return at
}

// resort is when a resort that rests on no proof may be taken: at a deadline, but
// not before a process that was down over it, or whose clock jumped meanwhile,
// had the time to ask.
func (s *step) resort(deadline Instant) Instant {
	if s.p.Resumed == 0 {
		return deadline
	}
	return max(deadline, s.p.Resumed.Add(s.terms.DeliverWithin))
}

// watched is the leg whose late evidence a closed purchase still looks for, or 0.
func (p *Purchase) watched() Leg {
	for _, leg := range Legs {
		l := &p.Legs[leg]
		if leg == Reversal && p.State == Credited { // there it is acted upon, or left to staff
			continue
		}
		if l.Doubt && !l.Closed && !l.Done {
			return leg
		}
	}
	return 0
}

func (s *step) leg() *LegState { return &s.p.Legs[s.ev.Leg] }

func (s *step) capability(leg Leg) Capability {
	return s.terms.Capability(s.p.Partner(leg), leg)
}

// active is the leg that the state is waiting for, or 0.
func (p *Purchase) active() Leg {
	switch p.State {
	case Charging:
		return Charge
	case Crediting:
		return Credit
	case Refunding:
		return Refund
	case Credited, Refunded, Declined:
		if p.reversing() {
			return Reversal
		}
		return p.watched()
	}
	return 0
}

// attempt records the intent of one more try and asks for it to be sent.
func (s *step) attempt(leg Leg) {
	l := &s.p.Legs[leg]
	l.Tries++
	if l.FirstAt == 0 {
		l.FirstAt = s.now
	}
	l.LastAt, l.Unsent = s.now, false
	l.Queries = l.Tries - 1 // patience grows with the tries, and anew within each
	s.attempted = Attempt{Leg: leg, Try: l.Tries, Partner: s.p.Partner(leg), At: s.now}
	s.out.Change.Attempt = &s.attempted
	s.out.Durable = true
	s.ask(leg, OpDo)
}

// ask makes a call the step's last word.
func (s *step) ask(leg Leg, op Op) {
	s.out.Call = Call{leg, op}
	s.p.ActAt = 0
	if limit := s.terms.sendLimit(s.p, leg); op == OpDo && limit > s.now && !s.p.Legs[leg].Doubt {
		s.p.ActAt = limit // to withdraw it, if it still waits to be sent then
	}
}

// pause sets when the active leg is looked at again: after a growing backoff,
// or just after the lateness bound if that is sooner.
func (s *step) pause(leg Leg) {
	l, most := &s.p.Legs[leg], int16(maxPatience)
	if l.Unsent || s.ev.Unasked { // the partner was not bothered
		most = unsentPatience
	}
	s.p.ActAt = s.now.Add(s.terms.backoff(s.p.ID, min(l.Queries, most)))
	if l.Queries < most {
		l.Queries++
	}
	if h := s.capability(leg).Lateness; h > 0 && l.Doubt {
		if certain := l.LastAt.Add(h) + 1; certain > s.now && certain < s.p.ActAt {
			s.p.ActAt = certain
		}
	}
	if limit := s.terms.sendLimit(s.p, leg); limit > s.now && limit < s.p.ActAt {
		s.p.ActAt = limit
	}
}

// The bounds of the backoff, as exponents: of what never left, and of the rest.
const unsentPatience, maxPatience = 4, 1000

// sendLimit is until when a leg that never left this node is tried.
func (t *Terms) sendLimit(p *Purchase, leg Leg) Instant {
	switch leg {
	case Charge:
		return p.CreatedAt.Add(t.DeliverWithin)
	case Credit:
		return p.DeliverBy
	case Reversal:
		return t.reverseBy(p)
	case Refund:
	}
	return 0
}

// expected is what the event's leg should have moved.
func (s *step) expected() money.Amount {
	switch s.ev.Leg {
	case Charge:
		return s.p.total()
	case Refund:
		return money.Amount{Minor: s.p.Held, Currency: s.p.Charged.Currency}
	case Credit, Reversal:
	}
	return s.p.units()
}

// book posts a movement under the event's evidence, at most once per effect.
func (s *step) book(effect Effect, debit, credit ledger.Account, amount money.Amount) bool {
	leg := s.ev.Leg
	posting := Posting{Leg: leg, Effect: effect,
		Posting: ledger.Posting{Debit: debit, Credit: credit, Amount: amount}, At: s.now}
	if s.p.Posted.Has(leg, effect) || posting.Check() != nil {
		s.open(MatterUnbooked)
		return false
	}
	s.p.Posted = s.p.Posted.With(leg, effect)
	if s.out.Change.Postings == nil {
		s.out.Change.Postings = s.postings[:0]
	}
	s.out.Change.Postings = append(s.out.Change.Postings, posting)
	s.out.Durable = true
	return true
}

// open opens a case, once per matter.
func (s *step) open(m Matter) {
	if s.p.Opened.Has(m) {
		return
	}
	s.p.Opened = s.p.Opened.With(m)
	s.out.Change.Cases = append(s.out.Change.Cases, Case{m, s.now})
	s.out.Durable = true
}

// tell writes a notice, once per fact.
func (s *step) tell(f Fact) {
	if s.p.Told.Has(f) {
		return
	}
	s.p.Told = s.p.Told.With(f)
	if s.out.Facts == nil {
		s.out.Facts, s.out.Change.Notices = s.facts[:0], s.notices[:0]
	}
	s.out.Facts = append(s.out.Facts, f)
	s.out.Durable = true
}
