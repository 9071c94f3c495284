package drill

import (
	"container/heap"
	"slices"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/sim"
)

// past is the platform as it was. It confirms as soon as the provider accepts, takes a lost
// answer for a failure, looks at nothing again, sees no pattern and pauses nothing, and
// gives back only what somebody treats by hand, days later. Its agents see what the customer
// sees, and promise to call. Customers, what they buy and when, and what each partner does
// with it, are drawn by the same dice as tenu's.
type past struct {
	s       *Scenario
	script  *sim.Script
	horizon time.Duration // until when it is watched
	now     time.Duration
	seq     int
	queue   moments
	sales   []sale
	minutes []sim.Minute
	pending int
	free    int
	waiting []*call
	f       Figures
	settles []time.Duration
	said    map[int]bool // who complained
}

// sale is one purchase on the platform as it was.
type sale struct {
	amount    int64
	charged   bool
	chargedAt time.Duration
	creditAt  time.Duration // when the units are there; -1: never
	refundAt  time.Duration // when it is treated by hand; -1: never
}

// call is a customer who waits for an agent.
type call struct {
	buyer    int
	c        sim.Complaint
	answered bool
	gone     bool
}

// moment is something that will happen.
type moment struct {
	at  time.Duration
	seq int
	do  func()
}

type moments []moment

func (q moments) Len() int { return len(q) }
func (q moments) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q moments) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push and Pop are heap.Interface.
func (q *moments) Push(x any) { *q = append(*q, x.(moment)) } //nolint:errcheck,forcetypeassert // only moments are pushed

// Pop removes the last.
func (q *moments) Pop() any {
	last := len(*q) - 1
	m := (*q)[last]
	*q = (*q)[:last]
	return m
}

func newPast(s *Scenario, script *sim.Script, horizon time.Duration) *past {
	return &past{s: s, script: script, horizon: horizon, free: script.Line.Agents, sales: make([]sale, len(script.Arrivals)), said: map[int]bool{}}
}

// at lets something happen at a time.
func (p *past) at(at time.Duration, do func()) {
	p.seq++
	heap.Push(&p.queue, moment{max(at, p.now), p.seq, do})
}

// run lets the day pass.
func (p *past) run() {
	for i, at := range p.script.Arrivals {
		p.at(at, func() { p.buy(i) })
	}
	for at := time.Minute; at <= p.horizon; at += time.Minute {
		p.at(at, p.close)
	}
	p.minute()
	for len(p.queue) > 0 && p.queue[0].at <= p.horizon {
		m := heap.Pop(&p.queue).(moment) //nolint:errcheck,forcetypeassert // only moments are pushed
		p.now = m.at
		m.do()
	}
}

// minute is the one that lasts.
func (p *past) minute() *sim.Minute {
	if len(p.minutes) == 0 {
		p.minutes = append(p.minutes, sim.Minute{At: p.script.Begins})
	}
	return &p.minutes[len(p.minutes)-1]
}

// close ends a minute.
func (p *past) close() {
	m := p.minute()
	m.Pending, m.Waiting = p.pending, len(p.waiting)
	p.minutes = append(p.minutes, sim.Minute{At: m.At.Add(time.Minute)})
}

// buy sells one purchase: it charges, asks for the units once, and believes what it hears.
func (p *past) buy(buyer int) {
	r, x := p.script.Request(buyer), &p.sales[buyer]
	x.amount, x.creditAt, x.refundAt = r.Total, -1, -1
	fate := p.script.Fate(r.Payer, buyer, purchase.Charge, p.now)
	declined := fate.Declined
	switch becomes(fate.Fault) {
	case executed, twice, later:
		x.charged = !declined
	case unheard: // it takes the lost answer for a refusal, and the money is gone
		if !declined {
			p.charge(buyer, p.now)
			p.treat(buyer)
		}
		return
	case unheardLater:
		if !declined {
			p.at(p.now+fate.Late, func() { p.charge(buyer, p.now); p.treat(buyer) })
		}
		return
	case nothing, refused, claimed, dropped: // not charged; what it believes to be paid it sells, at the operator's expense
		return
	}
	if !x.charged {
		p.minute().Declined++
		return
	}
	p.at(p.now+fate.Takes, func() {
		p.charge(buyer, p.now)
		p.credit(buyer, &r)
	})
}

// charge notes that money was taken.
func (p *past) charge(buyer int, at time.Duration) {
	x := &p.sales[buyer]
	x.charged, x.chargedAt = true, at
	p.minute().Charged++
	p.f.Charged++
	p.f.ChargedAmount += x.amount
	p.pending++
	p.watch(buyer, 0)
}

// credit asks for the units, once.
func (p *past) credit(buyer int, r *purchase.Request) {
	fate := p.script.Fate(r.Provider, buyer, purchase.Credit, p.now)
	what := becomes(fate.Fault)
	if fate.Declined && what != claimed && what != dropped {
		what = refused
	}
	switch what {
	case executed, unheard, twice:
		p.at(p.now+fate.Takes, func() { p.credited(buyer) })
		if what == twice {
			p.f.DoubleCredits++
		}
	case later, unheardLater:
		p.at(p.now+fate.Late, func() { p.credited(buyer) })
	case nothing, refused, claimed, dropped:
	}
	switch what {
	case later, claimed, dropped: // accepted is as good as done, to this platform
		p.f.ConfirmedWithoutCredit++
	case executed, twice, unheard, unheardLater, nothing, refused:
	}
	if what != executed && what != twice {
		p.treat(buyer)
	}
}

// credited notes that the units are there.
func (p *past) credited(buyer int) {
	x := &p.sales[buyer]
	if x.refundAt >= 0 && x.refundAt <= p.now { // nobody had looked
		return
	}
	x.creditAt = p.now
	p.pending--
	p.f.Credited++
	p.minute().Credited++
	p.settles = append(p.settles, p.now-x.chargedAt)
}

// treat lets somebody look at a purchase, days later.
func (p *past) treat(buyer int) {
	span := p.s.AsItWas.Treated
	after := span.Low + time.Duration(sim.Chance(p.script.Seed, 60, uint64(buyer))*float64(span.High-span.Low)) //nolint:gosec // an index
	p.at(p.now+after, func() {
		x := &p.sales[buyer]
		if x.creditAt >= 0 {
			return
		}
		x.refundAt = p.now
		p.pending--
		p.f.Refunded++
		p.f.RefundedAmount += x.amount
		p.minute().Refunded++
		p.settles = append(p.settles, p.now-x.chargedAt)
	})
}

// watch lets a customer complain in time, if there is a reason by then.
func (p *past) watch(buyer, times int) {
	if times >= p.script.Habits.Times {
		return
	}
	c := p.script.Complaint(buyer, times)
	p.at(p.now+c.After, func() {
		x := &p.sales[buyer]
		if x.creditAt >= 0 || x.refundAt >= 0 || c.Mood >= p.script.Habits.Untold { // nobody was told how it is
			return
		}
		p.said[buyer] = true
		p.minute().Complaints++
		p.watch(buyer, times+1)
		if c.Phone {
			p.dial(&call{buyer: buyer, c: c})
		}
	})
}

// dial lets a customer call the line.
func (p *past) dial(c *call) {
	p.f.Calls.Offered++
	p.minute().Calls++
	p.waiting = append(p.waiting, c)
	p.at(p.now+c.c.Patience, func() {
		if !c.answered {
			c.gone = true
			p.waiting = slices.DeleteFunc(p.waiting, func(o *call) bool { return o == c })
			p.f.Calls.Abandoned++
			p.minute().Abandoned++
		}
	})
	p.work()
}

// work lets agents answer. They see that the purchase succeeded, and promise to call.
func (p *past) work() {
	for p.free > 0 && len(p.waiting) > 0 {
		c := p.waiting[0]
		p.waiting = p.waiting[1:]
		c.answered = true
		p.free--
		p.f.Calls.Answered++
		p.minute().Answered++
		p.at(p.now+c.c.Handling, func() {
			p.free++
			if c.c.Call {
				p.f.CallbacksPromised++
				p.minute().Promised++
				if sim.Chance(p.script.Seed, 61, uint64(c.buyer)) < float64(p.s.AsItWas.Kept)/sim.Thousand { //nolint:gosec // an index
					p.f.CallbacksKept++
				} else {
					p.f.CallbacksBroken++
				}
			}
			p.work()
		})
	}
}

// figures are what became of the day.
func (p *past) figures(purchases int) *Figures {
	f := p.f
	f.Purchases, f.Unsettled, f.Complaints = purchases, p.pending, len(p.said)
	untold := map[purchase.MSISDN]bool{} // it tells nobody anything
	for i := range p.sales {
		if x := &p.sales[i]; x.charged && (x.creditAt < 0 || x.creditAt-x.chargedAt > p.script.Rules.DeliverWithin) {
			untold[p.script.Request(i).PayerNumber] = true
		}
	}
	f.Untold = len(untold)
	slices.Sort(p.settles)
	f.SettleP50, f.SettleP95, f.SettleP99 = Quantile(p.settles, 0.5), Quantile(p.settles, 0.95), Quantile(p.settles, 0.99)
	return &f
}

// became is what really became of an order, and what its sender hears.
type became uint8

const (
	executed     became = iota + 1 // and said so
	twice                          // likewise, twice
	unheard                        // executed, and the sender heard a failure
	unheardLater                   // executed later, and the sender heard a failure
	later                          // accepted, and executed later
	dropped                        // accepted, and never executed
	claimed                        // said to be executed, and it is not
	nothing                        // not executed, and the sender heard a failure
	refused                        // said to be refused, and it is
)

// becomes is what a fault makes of an order.
func becomes(f sim.Fault) became {
	switch f {
	case sim.RequestLost, sim.NoConnection, sim.ServerError, sim.Garbage, sim.Conflict:
		return nothing
	case sim.ReplyLost, sim.LieRefused:
		return unheard
	case sim.LateExecution:
		return unheardLater
	case sim.Accepted:
		return later
	case sim.Dropped:
		return dropped
	case sim.RefusedOnce:
		return refused
	case sim.LieDone:
		return claimed
	case sim.Doubled:
		return twice
	default: // also another amount, number or product: to this platform it is done
		return executed
	}
}
