package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/purchase"
	callcentre "tenu/internal/voice/centre"
	"tenu/internal/voice/dial"
)

// houseName is the wallet of the operator itself.
const houseName = "house"

// simPolicy is what the staff of a simulated installation may ask for: little enough
// that limits are met.
var simPolicy = care.Policy{Goodwill: 40_000, Bounds: map[auth.Role]care.Bounds{
	auth.Agent:         {Single: 30_000, Unchecked: 400, Day: 60_000, DayCount: 3, NumberDay: 35_000, NumberCount: 2},
	auth.Supervisor:    {Single: 60_000, Unchecked: 2000, Day: 120_000, DayCount: 4, NumberDay: 60_000, NumberCount: 4, Approve: 60_000},
	auth.Administrator: {Approve: 60_000},
}}

// simHours are when customers are called back.
var simHours = care.Hours{Opens: 0, Closes: 24 * time.Hour, Location: time.UTC, PerWindow: 6}

// simRule gives a little at the house's expense until its budget is spent.
var simRule = care.Rule{Name: "sorry", Version: 1, Active: true, Order: 1, Do: care.StepGoodwill, Amount: 100, Budget: 200,
	When: care.When{Matters: []purchase.Matter{purchase.MatterPendingCredit, purchase.MatterLateCredit, purchase.MatterUnknownCharge}}}

// bundleLasts is how long a bundle can be used.
func (w *world) bundleLasts(string) time.Duration {
	if w.plan.script != nil {
		return 24 * time.Hour
	}
	return time.Hour
}

// hours are when the customers of a world are called back.
func (w *world) hours() care.Hours {
	s := w.plan.script
	if s == nil {
		return simHours
	}
	return care.Hours{Opens: s.Line.Opens, Closes: s.Line.Closes, Location: s.Location, PerWindow: 100 * s.Line.Agents, Agents: s.Line.Agents}
}

// openDesk builds a process's care desk.
func (n *node) openDesk() {
	w := n.w
	base, ok := w.store.Backing.(care.Store)
	if !w.plan.care || !ok {
		return
	}
	desk, err := care.New(care.Config{Store: &desked{base, w.store.of(n)}, Clock: clock{n}, Hours: w.hours(), Policy: simPolicy,
		Engine: wisher{n, n.life}, House: &house{n: n, life: n.life, under: map[int64]purchase.Intent{}}, References: w.keys, Files: w.files.keys,
		Dialler: dialler{n}, Validity: w.bundleLasts, Written: func() { n.post(50 * time.Millisecond) }, Changed: n.changed})
	if err != nil {
		w.fail("start", 0, "node %s: %v", n.name, err)
		return
	}
	n.desk = desk
	n.deskLater(time.Millisecond)
	if w.phones != nil {
		n.dialler = dial.New(dial.Config{Node: n.name, Clock: clock{n}, Log: n.log(), Agents: atPhones{n, n.life}, Phones: dialled{n, n.life},
			CustomerFirst: w.plan.customerFirst, Staff: n.staffOf, Look: n.looker().AddLook})
		n.dialler.Join(desk)
		n.dialLater(time.Millisecond)
	}
}

// changed hears of what changed at the desk.
func (n *node) changed(c care.Changed) {
	n.woken = true
	if c.Callback != 0 {
		n.dialLater(10 * time.Millisecond)
	}
}

// settled wakes the desk for a purchase with a case.
func (n *node) settled(id purchase.ID) {
	if n.desk == nil {
		return
	}
	n.desk.Settled(id)
	n.w.stir()
}

// stir lets desks and people look at what there is to do.
func (w *world) stir() {
	soon := 250 * time.Millisecond
	if w.plan.script != nil {
		soon = deskGathers
	}
	if w.calm {
		soon = 2 * time.Second
	}
	for _, n := range w.nodes {
		if n.desk != nil {
			n.deskLater(soon)
		}
	}
	w.people.later()
}

// cares reports whether the node is the one that cares for cases, or believes so.
func (n *node) cares() bool {
	for _, other := range n.w.nodes {
		if other == n {
			return true
		}
		if other.up() {
			return n.w.plan.both && !n.w.calm
		}
	}
	return false
}

// deskLater lets the desk work, and again when it wants to.
func (n *node) deskLater(d time.Duration) {
	at := n.w.now.Add(d)
	if n.deskAt != 0 && n.deskAt <= at {
		return
	}
	n.deskAt = at
	life := n.life
	var work func()
	work = func() {
		switch {
		case life != n.life || n.deskAt != at || n.desk == nil:
		case n.frozen:
			n.later = append(n.later, work)
		default:
			n.work()
		}
	}
	n.w.after(d, work)
}

// work is one turn of the desk's loop.
func (n *node) work() {
	n.deskAt = 0
	if !n.cares() {
		n.deskLater(n.others())
		return
	}
	life, next := n.life, clock{n}.Now().Add(time.Second)
	n.atDesk(func(desk *care.Desk) {
		at, err := desk.Step(n.w.ctx, clock{n}.Now())
		if err == nil {
			next = at
		}
		n.w.answered("step", err)
	})
	if n.up() && n.life == life {
		n.rest(next.Sub(clock{n}.Now()))
	}
}

// answers are what a desk may say to whom it does not serve.
var answers = []error{care.ErrRefused, care.ErrStale, care.ErrTwice, care.ErrClosed, care.ErrUnproven, care.ErrNoCase, care.ErrNotFound,
	care.ErrFull, care.ErrWindow, callcentre.ErrStale, dial.ErrUndialled, incident.ErrStale, incident.ErrPaused, purchase.ErrUnavailable, purchase.ErrCommitUnknown, purchase.ErrBusy}

// answered checks that a desk says only what it may: anything else is a change that the
// store refuses for what it says.
func (w *world) answered(what string, err error) {
	all := []error{err}
	if joined, is := err.(interface{ Unwrap() []error }); is {
		all = joined.Unwrap()
	}
	for _, e := range all {
		if e != nil && !slices.ContainsFunc(answers, func(answer error) bool { return errors.Is(e, answer) }) {
			w.fail("store", 0, "%s: %v", what, e)
		}
	}
}

// fresh renews the lease before the engine is given something to do, while all comes
// to rest and it is not renewed all the time.
func (n *node) fresh() {
	if n.w.calm && n.w.now >= n.renewed.Add(n.w.plan.leaseTTL/4) {
		n.renew(false)
	}
}

// others is how long a desk waits at most while there are others, whose work it does not hear of.
func (n *node) others() time.Duration {
	if n.w.calm {
		return time.Hour
	}
	return 10 * time.Second
}

// rest lets the desk work again as it said. While all comes to rest, which takes days,
// it works when something is due, and then no more.
func (n *node) rest(wait time.Duration) {
	w := n.w
	if w.calm && wait >= 5*time.Second {
		due := w.files.due()
		if due == 0 {
			return
		}
		wait = min(max(due.Sub(w.now), 5*time.Second), time.Hour)
	}
	if len(w.nodes) > 1 {
		wait = min(wait, n.others())
	}
	if w.plan.script != nil {
		wait = max(wait, deskGathers)
	}
	n.deskLater(max(wait, 10*time.Millisecond))
}

// deskGathers is how long a desk lets work gather in a world that follows a script, where
// many cases are due at once.
const deskGathers = time.Second

// atDesk does something at the process's desk, which may end the process.
func (n *node) atDesk(do func(*care.Desk)) {
	if !n.up() || n.desk == nil {
		return
	}
	do(n.desk)
	if n.died {
		killer := cmp.Or(n.killer, CrashInCare)
		n.died, n.killer = false, 0
		n.end(killer)
		return
	}
	if n.woken {
		n.woken = false
		n.w.stir()
	}
	n.pump()
}

// asked is a wish that a process was asked to hand on.
type asked struct {
	id   purchase.ID
	wish purchase.Wish
}

// wisher hands wishes to a process's engine. A single goroutine cannot wait until one
// is heard: it is asked for again until then.
type wisher struct {
	n    *node
	life int
}

var errUnderWay = fmt.Errorf("%w: on its way", purchase.ErrUnavailable)

// Ask is care.Engine.
func (x wisher) Ask(ctx context.Context, id purchase.ID, wish purchase.Wish) error {
	n, key := x.n, asked{id, wish}
	if n.died || n.life != x.life || n.steps == nil {
		return errEnded
	}
	if became, under := n.asked[key]; under {
		if became == nil {
			return errUnderWay
		}
		delete(n.asked, key)
		return *became
	}
	n.w.note("wish", id, wish.String()+", from the desk of "+n.name)
	n.w.files.wished(id, wish)
	n.w.book.wished(id, wish)
	n.fresh()
	n.asked[key] = nil
	if err := n.steps.Ask(ctx, id, wish, func(err error) { n.asked[key] = &err }); err != nil {
		delete(n.asked, key)
		return err
	}
	return errUnderWay
}

// Grants is care.Engine.
func (x wisher) Grants(p *purchase.Purchase, wish purchase.Wish, now purchase.Instant) purchase.Grant {
	if x.n.steps == nil {
		return purchase.Grant{}
	}
	return x.n.steps.Grants(p, wish, now)
}

// house gives at the house's expense. What it began it is asked for again until it is known.
type house struct {
	n     *node
	life  int
	under map[int64]purchase.Intent
}

// Give is care.House.
func (h *house) Give(ctx context.Context, r care.Request) (purchase.ID, error) {
	if h.n.died || h.n.life != h.life || h.n.steps == nil {
		return 0, errEnded
	}
	intent, begun := h.under[r.ID]
	if !begun {
		wish := purchase.Request{Client: "care", ClientKey: fmt.Sprintf("goodwill-%d", r.ID), Channel: "care", Language: "fr", PayerNumber: r.Number,
			Recipient: r.Recipient, Payer: houseName, Provider: h.n.w.provider(), Product: cmp.Or(r.Product, "airtime"), Bundle: r.Product != "",
			Offer: 1, Currency: money.XOF, Total: r.Amount, Units: r.Amount, Again: true}
		wish.Digest = digest(int(r.ID), 0xca)
		h.n.fresh()
		h.under[r.ID] = h.n.steps.Buy(ctx, wish)
		return 0, errUnderWay
	}
	if !intent.Settled() {
		return 0, errUnderWay
	}
	delete(h.under, r.ID)
	p, _, err := intent.Result(ctx)
	return p.ID, err
}

// provider is the one that credits what the house gives.
func (w *world) provider() string {
	if s := w.plan.script; s != nil {
		return s.Partners[slices.IndexFunc(s.Partners, func(p ScriptPartner) bool { return !p.Payer })].Name
	}
	return "charging-a"
}

// dialler calls for one of the staff who wants to speak themselves: by their phone, or by hand.
type dialler struct{ n *node }

// Dial is care.Dialler.
func (x dialler) Dial(ctx context.Context, c care.Callback, t care.Attempt) (link string, err error) {
	if x.n.died {
		return "", errEnded
	}
	if x.n.dialler != nil {
		link, err = x.n.dialler.Dial(ctx, c, t)
		x.n.dialLater(time.Millisecond)
	}
	if err == nil && (link != "" || x.n.dialler == nil) {
		x.n.w.files.dial(c.ID, int64(t.Try), c.Purchase)
	}
	return link, err
}
