package sim

import (
	"context"
	"fmt"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// peer is a partner with books of its own. What it does is decided by its
// promises (see drawPeer) and by the fault that each call meets.
type peer struct {
	w     *world
	index int
	plan  *peerPlan
	keys  map[string]*account
	order []*account // in the order that keys were first seen
}

// account is all that a partner knows of one key.
type account struct {
	o         purchase.Order
	key       string
	moved     []*movement
	cancelled bool
	refused   bool // for good
	stuck     bool // answers a server error for ever (w14)
	held      bool // acknowledged, and still to be executed
	lied      bool // the partner broke its promises: it is not the engine that errs
	phantoms  int  // movements that it claims and that are not there
	first     purchase.Instant
	calls     [4]int // by operation
	asked     int    // requests to execute that arrived
}

// misleads reports whether the partner said what is not so, or executed one request
// twice: then what it says of one movement is no word on the other.
func (a *account) misleads() bool { return a.lied || len(a.moved) > a.asked }

// movement is one execution.
type movement struct {
	ref     string
	amount  money.Amount
	account purchase.MSISDN
	product string
	undone  bool
}

func newPeer(w *world, index int) *peer {
	return &peer{w: w, index: index, plan: &w.plan.peers[index], keys: map[string]*account{}}
}

// Name is purchase.Partner.
func (p *peer) Name() string { return p.plan.name }

// Capability is purchase.Partner.
func (p *peer) Capability(leg purchase.Leg) purchase.Capability { return p.plan.capabilities[leg] }

// at is what the partner knows of an order's key, from now on.
func (p *peer) at(o purchase.Order) *account {
	key := o.Key.UUID()
	a := p.keys[key]
	if a == nil {
		a = &account{o: o, key: key, first: p.w.now}
		p.keys[key] = a
		p.order = append(p.order, a)
	}
	return a
}

// times is how often an order's operation was asked.
func (p *peer) times(o purchase.Order, op purchase.Op) int {
	if a := p.keys[o.Key.UUID()]; a != nil {
		return a.calls[op]
	}
	return 0
}

// meet draws the fault of a call, 0 for none.
func (p *peer) meet(a *account, op purchase.Op, faults ...Fault) (Fault, *dice) {
	w := p.w
	a.calls[op]++
	w.tally.Calls++
	d := w.dice(8, uint64(p.index), w.buyerOf(a.o.Purchase), uint64(a.o.Leg), uint64(op), uint64(a.calls[op])) //nolint:gosec // small numbers
	f := Fault(0)
	switch s := w.plan.script; {
	case w.honest || p.plan.house:
	case s != nil:
		f = s.draw(d, p.Name(), w.now.Sub(w.begins), faults)
	case d.chance(w.plan.faulty):
		f = pick(d, faults...)
	}
	if f == 0 || w.plan.without.has(f) || !p.possible(f, a.o.Leg) {
		return 0, d
	}
	w.tally.Faulty++
	w.failed()
	w.hit(f, a.o.Purchase)
	w.note("fault", a.o.Purchase, p.Name()+" "+f.String())
	return f, d
}

// possible says which faults a partner's promises leave open, and which the
// world keeps rare.
func (p *peer) possible(f Fault, leg purchase.Leg) bool {
	c := p.Capability(leg)
	switch f {
	case NoReference:
		return c.Idempotent // otherwise nobody can tell two executions apart
	default:
		return true
	}
}

var doFaults = []Fault{RequestLost, RequestLost, NoConnection, NoConnection, ReplyLost, ReplyLost, ReplyLost, LateExecution,
	LateExecution, Accepted, Accepted, Dropped, RefusedOnce, ServerError, Garbage, Conflict, WrongAmount, WrongAccount,
	WrongProduct, Doubled, NoReference, LieDone, LieRefused}

// Do is purchase.Partner.
func (p *peer) Do(_ context.Context, o purchase.Order) purchase.Outcome {
	p.w.book.sent(p, o)
	a := p.at(o)
	if a.stuck {
		a.asked++
		p.meet(a, purchase.OpDo, ServerError)
		return unknown("500, as before")
	}
	f, d := p.meet(a, purchase.OpDo, doFaults...)
	if f != NoConnection {
		a.asked++
	}
	switch f {
	case RequestLost:
		return unknown("timeout")
	case NoConnection:
		return unsent()
	case ReplyLost:
		p.execute(a, o, d)
		return unknown("connection reset")
	case LateExecution:
		p.executeLater(a, o, d)
		return unknown("timeout")
	case Accepted, Dropped:
		return p.accept(a, o, f, d)
	case RefusedOnce:
		return refused("try again")
	case ServerError, Garbage, Conflict:
		if d.chance(50) {
			p.execute(a, o, d)
		}
		a.stuck = f == ServerError && d.chance(30)
		return unknown(f.String())
	case WrongAmount, WrongAccount, WrongProduct:
		return p.execute(a, twist(o, f, d), d)
	case Doubled:
		outcome := p.execute(a, o, d)
		p.execute(a, o, d)
		return outcome
	case NoReference:
		outcome := p.execute(a, o, d)
		outcome.Ref = ""
		return outcome
	case LieDone:
		if len(a.moved) > 0 {
			break
		}
		a.lied = true
		a.phantoms++
		return p.done(&movement{fmt.Sprintf("phantom-%s", a.key[:13]), o.Amount, o.Account, o.Product, false})
	case LieRefused:
		a.lied = true
		p.execute(a, o, d)
		return refused("no")
	default:
	}
	return p.execute(a, o, d)
}

// twist changes what is executed.
func twist(o purchase.Order, f Fault, d *dice) purchase.Order {
	switch f {
	case WrongAmount:
		o.Amount.Minor = pick(d, o.Amount.Minor/2, o.Amount.Minor*2, o.Amount.Minor+1)
	case WrongAccount:
		o.Account += 7
	case WrongProduct:
		o.Product = "another"
	default:
	}
	return o
}

// accept acknowledges an order and executes it later, or drops it.
func (p *peer) accept(a *account, o purchase.Order, f Fault, d *dice) purchase.Outcome {
	if len(a.moved) > 0 || a.cancelled || a.refused {
		return p.execute(a, o, d)
	}
	a.held = true
	p.w.after(p.lateness(o.Leg, d), func() {
		a.held = false
		if f == Dropped {
			a.refused = true
		}
		p.tell(a, p.execute(a, o, d), d)
	})
	return purchase.Outcome{Kind: purchase.Pending, Detail: "accepted"}
}

// lateness is how much later something is executed: within the bound that the
// partner promises, or whenever.
func (p *peer) lateness(leg purchase.Leg, d *dice) time.Duration {
	if s := p.w.plan.script; s != nil {
		return s.late(d, p.Name(), p.w.now.Sub(p.w.begins))
	}
	bound := p.Capability(leg).Lateness
	if bound == 0 {
		bound = p.w.plan.rules.ResolveWithin * 5 / 4
	}
	if d.chance(70) {
		bound = min(bound, time.Minute)
	}
	return d.between(time.Millisecond, bound)
}

func (p *peer) executeLater(a *account, o purchase.Order, d *dice) {
	p.w.after(p.lateness(o.Leg, d), func() { p.execute(a, o, d) })
}

// execute does what is ordered, unless the key says otherwise, and tells the
// outcome.
func (p *peer) execute(a *account, o purchase.Order, d *dice) purchase.Outcome {
	w, c := p.w, p.Capability(o.Leg)
	if c.Idempotent && len(a.moved) > 0 && w.now < a.first.Add(c.KeyLife) {
		return p.done(a.moved[0])
	}
	if a.cancelled {
		return refused("cancelled")
	}
	if s := w.plan.script; s != nil {
		a.refused = a.refused || len(a.moved) == 0 && s.declines(p.Name(), w.buyerOf(o.Purchase), o.Leg)
	} else if !a.refused && len(a.moved) == 0 && !p.plan.house {
		decline := map[purchase.Leg]int{purchase.Charge: 6, purchase.Credit: 6, purchase.Refund: 2, purchase.Reversal: 15}[o.Leg] // units that were spent
		a.refused = w.dice(9, w.buyerOf(o.Purchase), uint64(o.Leg)).chance(decline)
	}
	if a.refused {
		return refused("not allowed")
	}
	m := &movement{fmt.Sprintf("%s-%d", a.key[:13], len(a.moved)+1), o.Amount, o.Account, o.Product, false}
	a.moved = append(a.moved, m)
	w.note("execute", o.Purchase, fmt.Sprintf("%s: %s %d to %d, %s", p.Name(), o.Leg, m.amount.Minor, int64(m.account)%1000, m.ref))
	w.book.executed(p, a)
	if w.plan.script == nil { // a script's partner tells by itself only what it acknowledged before
		p.tell(a, p.done(m), d)
	}
	if w.plan.script == nil && !w.calm && !p.plan.house && d.chance(2) && !w.plan.without.has(UndoneLater) {
		w.after(d.between(time.Second, pick(d, time.Minute, w.plan.span)), func() { p.undo(a, m, d) })
	}
	return p.done(m)
}

// undo takes a movement back.
func (p *peer) undo(a *account, m *movement, d *dice) {
	if p.w.calm {
		return
	}
	m.undone = true
	p.w.hit(UndoneLater, a.o.Purchase)
	p.w.note("undo", a.o.Purchase, p.Name()+" "+m.ref)
	p.tell(a, p.reversed(m), d)
}

func (p *peer) done(m *movement) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Done, Ref: m.ref, Amount: m.amount, Account: m.account, Product: m.product}
}

func (p *peer) reversed(m *movement) purchase.Outcome {
	o := p.done(m)
	o.Kind = purchase.Reversed
	return o
}

func unknown(detail string) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown, Detail: detail}
}

func unsent() purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unsent, Detail: "connection refused"}
}

func refused(detail string) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Refused, Reason: purchase.ReasonOther, Detail: detail}
}

// Query is purchase.Partner.
func (p *peer) Query(_ context.Context, o purchase.Order) purchase.Outcome {
	a := p.at(o)
	f, _ := p.meet(a, purchase.OpQuery, QueryLost, QueryLost, NoConnection, Garbage, LieAbsent, EarlyRefusal)
	switch f {
	case NoConnection:
		return unsent()
	case QueryLost, Garbage:
		return unknown(f.String())
	case LieAbsent:
		a.lied = a.lied || len(a.moved) > 0 || a.held
		return purchase.Outcome{Kind: purchase.Absent}
	case EarlyRefusal:
		if len(a.moved) == 0 && !a.held {
			return refused("unknown transaction")
		}
	default:
	}
	switch {
	case len(a.moved) > 0 && a.moved[0].undone:
		return p.reversed(a.moved[0])
	case len(a.moved) > 0:
		return p.done(a.moved[0])
	case a.cancelled:
		return purchase.Outcome{Kind: purchase.Cancelled}
	case a.refused:
		return refused("not allowed")
	case a.held:
		return purchase.Outcome{Kind: purchase.Pending}
	}
	return purchase.Outcome{Kind: purchase.Absent}
}

// Cancel is purchase.Partner.
func (p *peer) Cancel(_ context.Context, o purchase.Order) purchase.Outcome {
	a := p.at(o)
	f, _ := p.meet(a, purchase.OpCancel, QueryLost, NoConnection, CancelUnheard, Garbage)
	if f == NoConnection {
		return unsent()
	}
	if f == QueryLost || f == Garbage {
		return unknown(f.String())
	}
	if len(a.moved) > 0 {
		if f == CancelUnheard {
			return unknown(f.String())
		}
		return p.done(a.moved[0])
	}
	a.cancelled = true
	if f == CancelUnheard {
		return unknown(f.String())
	}
	return purchase.Outcome{Kind: purchase.Cancelled}
}

// answersIn is what a partner that answers as a script says is heard to say, and after how
// long: an answer that comes too late is a timeout.
func (p *peer) answersIn(x purchase.Exchange, o purchase.Outcome, left time.Duration) (purchase.Outcome, time.Duration) {
	order, op := x.Order(), x.Call().Op
	takes := p.w.plan.script.takes(p.Name(), p.w.buyerOf(order.Purchase), order.Leg, op, p.times(order, op), p.w.now.Sub(p.w.begins))
	switch {
	case o.Kind == purchase.Unsent:
		return o, min(takes, left)
	case takes >= left:
		return unknown("timeout"), max(left, time.Millisecond)
	case o.Kind == purchase.Unknown:
		return o, max(takes, left)
	}
	return o, takes
}
