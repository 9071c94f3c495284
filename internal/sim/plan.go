package sim

import (
	"fmt"
	"slices"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// plan is what a world is made of, drawn from its seed.
type plan struct {
	world     int
	seed      uint64
	purchases int
	only      []int    // buyers that take part; nil for all
	without   faultSet // faults that are left out

	span     time.Duration // in which faults happen
	opens    time.Duration // when customers begin to buy
	sells    time.Duration // and for how long
	nodes    int
	maxBatch int
	// concurrency is how many calls of one partner may be under way.
	concurrency   int
	leaseTTL      time.Duration
	rules         purchase.Rules
	peers         []peerPlan
	failover      bool
	faulty        int // percent of partner calls that meet a fault
	wishful       int // percent of buyers about whose purchase people ask something
	trouble       []trouble
	care          bool    // cases, requests and callbacks are part of it
	crowd         int     // percent of buyers who report a problem
	both          bool    // each node believes that it is the one that cares for cases
	customerFirst bool    // callbacks let the customer's phone ring first
	script        *Script // nil for a world of dice
}

// peerPlan is what a partner promises and does.
type peerPlan struct {
	name         string
	legs         []purchase.Leg
	capabilities [legCount]purchase.Capability
	house        bool // the operator's own wallet: it always does what it is asked, once
}

// housePlan is the operator's own wallet.
func housePlan() peerPlan {
	house := peerPlan{name: houseName, legs: []purchase.Leg{purchase.Charge, purchase.Refund}, house: true}
	for _, leg := range house.legs {
		house.capabilities[leg] = purchase.Capability{Supported: true, Idempotent: true, KeyLife: 365 * 24 * time.Hour, Query: true, Timeout: 3 * time.Second}
	}
	return house
}

// legCount gives arrays the room to be indexed by leg.
const legCount = int(purchase.Reversal) + 1

// trouble is something that befalls a node or the store at a time.
type trouble struct {
	at    time.Duration
	fault Fault
	node  int
	long  time.Duration
}

func (p *plan) keeps(buyer int) bool { return p.only == nil || slices.Contains(p.only, buyer) }

// draw makes the plan of one world.
func draw(seed uint64, world, purchases int, withCare bool) *plan {
	d := roll(seed, uint64(world), 1) //nolint:gosec // a small number
	p := &plan{world: world, seed: d.next(), purchases: purchases, nodes: 1 + d.n(2),
		maxBatch: pick(d, 1, 4, 32, 512), failover: d.chance(30), leaseTTL: pick(d, 10*time.Second, 30*time.Second, 60*time.Second), faulty: 60 + d.n(35),
		span: d.between(2*time.Minute, 20*time.Minute)}
	p.wishful = pick(roll(p.seed, 13), 0, 15, 50)
	p.rules = drawRules(d)
	if withCare {
		p.hasten()
	}
	for _, name := range []string{"wallet-a", "wallet-b"} {
		p.peers = append(p.peers, drawPeer(d, &p.rules, name, purchase.Charge, purchase.Refund))
	}
	for _, name := range []string{"charging-a", "charging-b"} {
		p.peers = append(p.peers, drawPeer(d, &p.rules, name, purchase.Credit, purchase.Reversal))
	}
	if withCare {
		p.drawCare()
	}
	p.drawTroubles(d)
	p.concurrency = pick(d, 1, 2, 16, 16)
	p.opens, p.sells = 0, p.span*9/10
	if d.chance(30) {
		p.drawRush(d)
	}
	return p
}

func drawRules(d *dice) purchase.Rules {
	r := purchase.DefaultRules()
	r.ApproveWithin = pick(d, 90*time.Second, 5*time.Minute)
	r.DeliverWithin = pick(d, 30*time.Second, time.Minute, 3*time.Minute)
	r.ResolveWithin = pick(d, 30*time.Minute, 4*time.Hour, 24*time.Hour)
	r.ResolveMargin = pick(d, 5*time.Minute, 10*time.Minute)
	r.RetryFirst = pick(d, 200*time.Millisecond, time.Second)
	r.WatchFor = pick(d, 2*time.Hour, 48*time.Hour)
	r.RetryMost = max(time.Minute, r.ResolveWithin/15, r.WatchFor/30)
	r.RepeatWithin = pick(d, 0, 2*time.Minute)
	r.RefundUnproven = d.chance(25)
	return r
}

// drawPeer gives a partner one of all the combinations of promises.
func drawPeer(d *dice, r *purchase.Rules, name string, legs ...purchase.Leg) peerPlan {
	p := peerPlan{name: name, legs: legs}
	for _, leg := range legs {
		c := purchase.Capability{Supported: true, Timeout: pick(d, 3*time.Second, 10*time.Second)}
		if c.Idempotent = d.chance(65); c.Idempotent {
			c.KeyLife = pick(d, time.Hour, 24*time.Hour, 48*time.Hour)
		}
		c.Query = d.chance(65)
		c.Tombstone = d.chance(25)
		if d.chance(50) {
			c.Lateness = pick(d, 30*time.Second, 2*time.Minute, r.ResolveWithin/2)
		}
		p.capabilities[leg] = c
	}
	return p
}

// drawTroubles decides when nodes and store fail.
func (p *plan) drawTroubles(d *dice) {
	add := func(n int, long time.Duration, faults ...Fault) {
		for range n {
			p.trouble = append(p.trouble, trouble{d.between(0, p.span), pick(d, faults...), d.n(p.nodes), d.between(long/20+1, long)})
		}
	}
	add(2+d.n(10), 20*time.Second, CrashBeforeCommit, CrashAfterCommit, CrashBeforeSend, CrashAfterSend)
	add(1+d.n(3), max(2*time.Minute, 6*p.leaseTTL), Stopped) // often for so long that another node takes over
	add(1+d.n(2), 10*time.Second, Drained)
	add(d.n(4), 15*time.Second, StoreUnavailable)
	add(d.n(6), 4*time.Second, CommitLost, CommitUnheard, CommitLanding, ReadFailed)
	add(d.n(3), time.Minute, CentreDown)
	add(d.n(3), 20*time.Second, CrashInOutbox)
	if d.chance(50) {
		add(1, time.Hour, ClockAhead, ClockBehind)
		if d.chance(50) {
			p.trouble[len(p.trouble)-1].long = 365 * 24 * time.Hour
		}
	}
	if d.chance(30) {
		add(1, 30*time.Minute, ClockFrozen)
	}
	add(d.n(3), max(time.Minute, 6*p.leaseTTL), CutOff)
}

// hasten lets most worlds with care come to rest in hours: cases are looked at all the time.
func (p *plan) hasten() {
	d, r := roll(p.seed, 33), &p.rules
	if d.chance(10) {
		return
	}
	r.ResolveWithin, r.WatchFor = pick(d, 30*time.Minute, 2*time.Hour), pick(d, 2*time.Hour, 4*time.Hour)
	r.RetryMost = max(time.Minute, r.ResolveWithin/15, r.WatchFor/30)
}

// drawCare adds care to a world, with dice of its own. It lasts for long enough that
// callbacks fall due while things fail.
func (p *plan) drawCare() {
	d := roll(p.seed, 31)
	p.care, p.crowd, p.both = true, pick(d, 20, 50, 80), d.chance(40)
	p.span = d.between(22*time.Minute, 45*time.Minute)
	p.leaseTTL = pick(d, 30*time.Second, 60*time.Second)
	p.peers = append(p.peers, housePlan())
	for range 3 + d.n(12) {
		p.trouble = append(p.trouble, trouble{d.between(0, p.span), CrashInCare, d.n(p.nodes), d.between(time.Second, 20*time.Second)})
	}
	d = roll(p.seed, 70)
	p.customerFirst = d.chance(50)
	for range 2 + d.n(8) {
		p.trouble = append(p.trouble, trouble{d.between(0, p.span), CrashInDial, d.n(p.nodes), d.between(time.Second, 20*time.Second)})
	}
	for range d.n(3) {
		p.trouble = append(p.trouble, trouble{d.between(0, p.span), PhonesDown, 0, d.between(time.Minute, 20*time.Minute)})
	}
}

// drawRush lets all customers come at once to partners that are slow for them, and
// something fail just then.
func (p *plan) drawRush(d *dice) {
	p.opens, p.sells = d.between(0, p.span/2), 10*time.Second
	p.nodes, p.leaseTTL, p.concurrency = 2, 10*time.Second, pick(d, 1, 2)
	p.trouble = append(p.trouble, trouble{p.opens + d.between(p.sells/2, 2*p.sells), pick(d, CutOff, CutOff, Stopped, StoreUnavailable),
		d.n(p.nodes), d.between(3*p.leaseTTL, 6*p.leaseTTL)})
}

// schedule lets the troubles come.
func (p *plan) schedule(w *world) {
	for _, t := range p.trouble {
		if !p.without.has(t.fault) {
			w.after(t.at, func() { w.befall(t) })
		}
	}
}

// terms is the plan in one line.
func (p *plan) String() string {
	return fmt.Sprintf("world %d: %d purchases, %d nodes, span %s, faulty %d%%, wishes of %d%%, batch %d, concurrency %d, failover %t, rules %+v, partners %+v",
		p.world, p.purchases, p.nodes, p.span, p.faulty, p.wishful, p.maxBatch, p.concurrency, p.failover, p.rules, p.peers)
}

// request is what a buyer asks for. Numbers repeat, so that customers meet.
func (p *plan) request(buyer int) purchase.Request {
	if p.script != nil {
		return p.script.Request(buyer)
	}
	d := roll(p.seed, uint64(buyer), 2) //nolint:gosec // an index
	r := purchase.Request{Client: pick(d, "app", "ussd"), ClientKey: fmt.Sprintf("key-%d", buyer), Channel: pick(d, "api", "ussd", "sms"),
		Language: purchase.Language(pick(d, "fr", "en")), PayerNumber: purchase.MSISDN(22670000000 + d.n(1000)),
		Payer: pick(d, "wallet-a", "wallet-b"), Provider: pick(d, "charging-a", "charging-b"),
		Product: pick(d, "airtime", "data-1gb"), Offer: 1, Currency: money.XOF}
	r.Recipient = r.PayerNumber
	if d.chance(30) {
		r.Recipient = purchase.MSISDN(22676000000 + d.n(1000))
	}
	r.Bundle = r.Product != "airtime"
	r.Units = int64(pick(d, 100, 500, 1000, 25_000))
	r.Fee = int64(pick(d, 0, 0, 50))
	r.Total = r.Units + r.Fee
	r.Digest = digest(buyer, 0)
	return r
}

// digest stands for the body of a request.
func digest(buyer, body int) (sum [16]byte) {
	sum[0], sum[1], sum[2], sum[3] = byte(buyer), byte(buyer>>8), byte(buyer>>16), byte(body) //nolint:gosec // truncated on purpose
	return sum
}
