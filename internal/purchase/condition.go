package purchase

// condition is a named test on a purchase, an event and an instant. The name
// is what docs/states.md prints.
type condition struct {
	name  string
	holds func(*step) bool
}

func both(a, b condition) condition {
	return condition{a.name + ", " + b.name, func(s *step) bool { return a.holds(s) && b.holds(s) }}
}

var (
	exact = condition{"as asked for", func(s *step) bool {
		o := &s.ev.Outcome
		account := s.p.PayerNumber
		if s.ev.Leg == Credit || s.ev.Leg == Reversal {
			account = s.p.Recipient
		}
		return o.Amount == s.expected() && (o.Account == 0 || o.Account == account) &&
			(o.Product == "" || o.Product == s.p.Product)
	}}
	// known: the evidence tells of no other movement. Where a key executes once,
	// a movement told without a reference is the one told with a reference.
	known = condition{"already known", func(s *step) bool {
		l, ref := s.leg(), s.ev.Outcome.Ref
		once := s.capability(s.ev.Leg).Idempotent
		switch {
		case ref == "":
			return l.Done || once && (l.Ref != "" || l.Second != "")
		case ref == l.Second:
			return true
		case l.Ref == "":
			return l.Done && once
		}
		return ref == l.Ref
	}}
	another = condition{"of another movement", func(s *step) bool { return s.leg().another(s.ev.Outcome.Ref) }}
	// proven is P12: no try of the leg can have executed or can still execute.
	proven = condition{"proven", func(s *step) bool {
		l := s.leg()
		if l.Closed || s.ev.Outcome.Kind == Refused && !l.Doubt {
			return true
		}
		h := s.capability(s.ev.Leg).Lateness
		return h > 0 && s.ev.AskedAt > l.LastAt.Add(h)
	}}
	firstDoubt = condition{"first doubt", func(s *step) bool {
		return s.ev.Source == FromAnswer && !s.leg().Doubt && !s.leg().Acknowledged
	}}
	firstAcknowledged = condition{"first time", func(s *step) bool { return !s.leg().Acknowledged }}
	// unsent: no try of the leg has ever left this node.
	unsent = condition{"nothing ever sent", func(s *step) bool {
		l := &s.p.Legs[s.p.active()]
		return l.Unsent && !l.Doubt && !l.Acknowledged
	}}
	// unsentNow: the same, where the event itself says that the last try did not leave.
	unsentNow = condition{"nothing ever sent", func(s *step) bool {
		l := s.leg()
		return !l.Doubt && !l.Acknowledged
	}}
	inDoubt  = condition{"in doubt or acknowledged", func(s *step) bool { l := &s.p.Legs[s.p.active()]; return l.Doubt || l.Acknowledged }}
	sendOver = condition{"time to send is over", func(s *step) bool {
		limit := s.terms.sendLimit(s.p, s.p.active())
		return limit != 0 && s.now >= limit
	}}
	hasAlternate = condition{"another provider can", func(s *step) bool {
		return s.p.Legs[Credit].Tries < maxFailovers && s.terms.Alternate(s.p) != ""
	}}
	// retriable: a further try cannot double the effect.
	retriable = condition{"safe to try again", func(s *step) bool {
		leg := s.p.active()
		l, c := &s.p.Legs[leg], s.capability(leg)
		switch {
		case l.Closed || l.Done || l.Acknowledged || l.Tries >= maxTries:
			return false
		case !l.Doubt:
			return true
		}
		// A key's age is not known any more on a clock that ran back.
		return c.Idempotent && s.p.Skew == 0 && s.now < l.FirstAt.Add(c.KeyLife-c.Timeout)
	}}
	// wanted: another try serves the customer better than driving to a proof.
	wanted = condition{"still wanted", func(s *step) bool {
		leg := s.p.active()
		c := s.capability(leg)
		switch leg {
		case Charge:
			return s.now < s.p.CreatedAt.Add(s.terms.ApproveWithin)
		case Credit:
			provable := c.Tombstone || c.Lateness > 0 && c.Query
			return s.now < s.p.DeliverBy || !provable
		case Refund, Reversal:
		}
		return true
	}}
	tombstone = condition{"can be cancelled", func(s *step) bool {
		leg := s.p.active()
		return s.capability(leg).Tombstone && !s.p.Legs[leg].Closed && !s.busy
	}}
	queryable   = condition{"can be queried", func(s *step) bool { return s.capability(s.p.active()).Query && !s.p.Legs[s.p.active()].Closed }}
	callOngoing = condition{"a call is under way", func(s *step) bool { return s.busy }}

	unconfirmed = condition{"charge in doubt past the delivery time, not told", func(s *step) bool {
		return s.p.Legs[Charge].open() && !s.p.Told.Has(FactUnconfirmed) &&
			s.now >= s.p.CreatedAt.Add(s.terms.DeliverWithin)
	}}
	chargeHopeless = condition{"past the last deadline", func(s *step) bool {
		return s.now >= s.resort(s.p.CreatedAt.Add(s.terms.ResolveWithin))
	}}
	late = condition{"past deliver-by, not told", func(s *step) bool {
		return s.now >= s.p.DeliverBy && !s.p.Told.Has(FactPending)
	}}
	lastResort = condition{"resolve-by is near", func(s *step) bool {
		return s.now >= s.resort(s.p.ResolveBy.Add(-s.terms.ResolveMargin))
	}}
	refundUnproven = condition{"unprovable, and the rules refund at once", func(s *step) bool {
		c := s.capability(Credit)
		return s.terms.RefundUnproven && s.now >= s.resort(s.p.DeliverBy) && !c.Tombstone && c.Lateness == 0
	}}
	refundLate = condition{"past refund-by, no case", func(s *step) bool {
		return s.now >= s.p.RefundBy && !s.p.Opened.Has(MatterLateRefund)
	}}
	overdue = condition{"resolve-by is near, not exposed", func(s *step) bool {
		return !s.p.Exposed && s.now >= s.p.ResolveBy.Add(-s.terms.ResolveMargin)
	}}
	watchOver = condition{"watch is over", func(s *step) bool { return s.now >= s.resort(s.p.WatchTill) || s.p.watched() == 0 }}

	otherAccount = condition{"to another number", func(s *step) bool {
		return s.ev.Outcome.Account != 0 && s.ev.Outcome.Account != s.p.charged()
	}}
	fullRefund = condition{"all that is held, or more", func(s *step) bool {
		a := s.ev.Outcome.Amount
		return a.Currency == s.p.Charged.Currency && a.Minor >= s.p.Held
	}}
	sameCurrency = condition{"in the currency charged", func(s *step) bool {
		return s.ev.Outcome.Amount.Currency == s.p.Charged.Currency
	}}
	legClosed = condition{"leg closed", func(s *step) bool { return s.leg().Closed }}
	unheard   = condition{"of a movement never heard of", func(s *step) bool {
		return s.ev.Outcome.Ref != "" && s.leg().Ref == "" && s.ev.Outcome.Ref != s.leg().Second
	}}
	givenBack = condition{"the money was given back already", func(s *step) bool {
		return !s.p.Legs[Charge].Done || s.p.Legs[Refund].Done
	}}
	chargeGiven = condition{"the charge is on record", func(s *step) bool { return s.p.Legs[Charge].Done }}
	creditGiven = condition{"a credit is on record", func(s *step) bool { return s.p.Legs[Credit].Done }}
	refundGiven = condition{"the refund is on record", func(s *step) bool { return s.p.Legs[Refund].Done }}
)

// maxTries bounds the attempts of one leg; with the longest backoff it spans weeks.
const maxTries = 10_000

// maxFailovers bounds how many providers one credit is offered to.
const maxFailovers = 8
