package purchase

import "tenu/internal/money"

// call is a request to a partner that waits in a lane or is under way.
type call struct {
	Call
	item  *item
	try   int16
	order Order
	at    Instant // begun, on the purchase's clock
	begun Instant // on the node's
	// barred says why it must not leave, "" when it may.
	barred string
}

// lane is a partner's queue of calls. Sales that are new go before those that
// are stuck, but one in every stuckShare calls is a stuck one's. It needs no
// bound of its own: it holds at most one call per open purchase, and those are
// bounded on admission.
type lane struct {
	partner     Partner
	concurrency int
	fresh       []*call
	stuck       []*call
	turn        int
	underWay    int
	// Wake one caller, wake all, wait to be woken: the engine's condition variable.
	wake, wakeAll, sleep func()
}

const stuckShare = 8

func (l *lane) push(k *call) {
	if k.Op == OpDo && k.try == 1 {
		l.fresh = append(l.fresh, k)
	} else {
		l.stuck = append(l.stuck, k)
	}
	l.wake()
}

// pop takes the next call that is still wanted, or nil.
func (l *lane) pop() *call {
	for {
		from := &l.fresh
		if l.turn++; len(l.fresh) == 0 || l.turn%stuckShare == 0 && len(l.stuck) > 0 {
			from = &l.stuck
		}
		if len(*from) == 0 {
			return nil
		}
		k := (*from)[0]
		(*from)[0] = nil
		*from = (*from)[1:]
		if k.item.queued == k {
			return k
		}
	}
}

// waiting counts the calls in the lane, those no longer wanted included.
func (l *lane) waiting() int { return len(l.fresh) + len(l.stuck) }

// take begins the next call of a lane: from here on it may have left the node.
func (c *core) take(l *lane, now Instant) *call {
	k := l.pop()
	if k == nil {
		return nil
	}
	it := k.item
	it.queued = nil
	it.calls++
	l.underWay++
	k.at, k.begun = it.p.local(now), now
	if k.Op == OpDo {
		if it.p.Legs[k.Leg].Doubt && !retriable.holds(&step{terms: &c.terms, p: &it.p, now: k.at}) {
			k.barred = "not safe to try again any more"
		}
		it.p.Legs[k.Leg].LastAt = max(k.at.Add(timeout(l.partner, k.Leg)), c.terms.leftBy(&it.p, k.Leg))
	}
	k.order = c.order(it, k.Leg)
	return k
}

// order is the request of a leg, complete in itself.
func (c *core) order(it *item, leg Leg) Order {
	p := &it.p
	o := Order{Purchase: p.ID, Reference: it.ref, Leg: leg, Key: c.keys.Key(p.ID, leg),
		Try: int(p.Legs[leg].Tries), FirstAt: p.Legs[leg].FirstAt, Product: p.Product, Bundle: p.Bundle}
	switch leg {
	case Charge:
		o.Account, o.Amount = p.PayerNumber, p.total()
	case Refund:
		o.Account, o.Amount, o.Original = p.charged(), money.Amount{Minor: p.Held, Currency: p.Charged.Currency}, p.Legs[Charge].Ref
	case Credit:
		o.Account, o.Amount = p.Recipient, p.units()
	case Reversal:
		o.Account, o.Amount, o.Original = p.Recipient, p.units(), p.Legs[Credit].Ref
	}
	return o
}

// answer ends a call with its outcome.
func (c *core) answer(l *lane, k *call, o Outcome, now Instant) {
	l.underWay--
	it := k.item
	it.calls--
	if k.Op == OpDo { // it cannot leave any more; on a clock that was put back meanwhile, it did not leave before it began
		it.p.Legs[k.Leg].LastAt = max(min(it.p.Legs[k.Leg].LastAt, it.p.local(now)), k.at, c.terms.leftBy(&it.p, k.Leg))
	}
	if c.open[it.p.ID] != it {
		return
	}
	unasked := false
	if k.Op != OpDo && o.Kind == Unsent { // that says nothing of the try
		o.Kind, unasked = Unknown, true
	}
	source := FromAnswer
	switch k.Op {
	case OpQuery:
		source = FromQuery
	case OpCancel:
		source = FromCancel
	case OpDo:
		if o.Kind == Unsent {
			source = FromNode
		}
	}
	c.event(it, Event{Leg: k.Leg, Source: source, Outcome: o, AskedAt: k.at, Unasked: unasked}, now)
}
