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
	held        bool // calls about what is stuck are not made
	// Wake one caller, wake all, wait to be woken: the engine's condition variable.
	wake, wakeAll, sleep func()
}

const stuckShare = 8

// isFresh reports whether a call is a sale's that is new.
func (k *call) isFresh() bool { return k.Op == OpDo && k.try == 1 }

func (l *lane) push(k *call) {
	if k.isFresh() {
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

// holdBack answers a call of a lane that is held: it did not leave, and its purchase looks again later. Nothing is under
// way for it meanwhile, so that its deadlines hold.
func (c *core) holdBack(k *call, now Instant) {
	ev := Event{Leg: k.Leg, Source: FromNode, Outcome: Outcome{Kind: Unsent, Reason: ReasonClosed, Detail: "what is stuck is held"}}
	switch k.Op {
	case OpQuery:
		ev.Source = FromQuery
	case OpCancel:
		ev.Source = FromCancel
	case OpDo:
	}
	if k.Op != OpDo { // that says nothing of the try
		ev.Outcome.Kind, ev.Unasked, ev.AskedAt = Unknown, true, k.item.p.local(now)
	}
	c.event(k.item, ev, now)
}

// holdStuck answers up to most calls that wait in a lane that is held, and reports whether there are more.
func (c *core) holdStuck(l *lane, most int, now Instant) (more bool) {
	for range most {
		if len(l.stuck) == 0 {
			return false
		}
		k := l.stuck[0]
		l.stuck[0] = nil
		l.stuck = l.stuck[1:]
		if k.item.queued == k {
			k.item.queued = nil
			c.holdBack(k, now)
		}
	}
	return len(l.stuck) > 0
}

// HoldStuck keeps this node from asking a partner about stuck purchases, while new sales go on and deadlines hold, or lets it
// ask again; they follow within their backoff. It reports whether there is such a partner, and is forgotten when
// the process ends.
func (e *Engine) HoldStuck(partner string, hold bool) bool {
	const most = 1000 // calls answered while the lock is held
	for more := true; more; {
		e.mu.Lock()
		l := e.core.lanes[partner]
		if l == nil {
			e.mu.Unlock()
			return false
		}
		l.held = hold
		if more = hold && e.core.holdStuck(l, most, e.cfg.Clock.Now()); len(e.core.pending) > 0 {
			e.work.Broadcast()
		}
		e.rearm()
		e.mu.Unlock()
	}
	return true
}

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
