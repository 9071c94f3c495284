package sim

import (
	"fmt"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

// hotline is the customers' telephone line in a world that follows a script, its agents,
// and what customers do who have neither units nor money. An agent does one thing at a
// time: a callback that is due goes before a caller who waits.
type hotline struct {
	w      *world
	agents []auth.Staff
	free   []int // agents who have nothing to do
	queue  []*caller
	ring   *agenda[int64] // callbacks that may be made, by when
	workAt purchase.Instant
	over   bool
	calls  Calls
}

// Calls are what became of calls to the line.
type Calls struct {
	Offered   int `json:"offered"`
	Informed  int `json:"answered_by_information"` // by the announcement
	Answered  int `json:"answered"`                // by an agent
	Abandoned int `json:"abandoned"`
}

// caller waits to be answered.
type caller struct {
	b        *buyer
	c        Complaint
	answered bool
	gone     bool
}

func newHotline(w *world) *hotline {
	h := &hotline{w: w, ring: newAgenda[int64]()}
	for _, s := range w.people.staff {
		if s.Role == auth.Agent {
			h.free = append(h.free, len(h.agents))
			h.agents = append(h.agents, s)
		}
	}
	return h
}

// waiting is how many callers wait.
func (h *hotline) waiting() (n int) {
	for _, c := range h.queue {
		if !c.gone {
			n++
		}
	}
	return n
}

// idle reports whether nobody waits or is spoken with.
func (h *hotline) idle() bool { return h.waiting() == 0 && len(h.free) == len(h.agents) }

// close ends the line: what is left is done as in every world.
func (h *hotline) close() { h.over = true }

// node is one that runs, or nil.
func (h *hotline) node(d *dice) *node {
	first := d.n(len(h.w.nodes))
	for i := range h.w.nodes {
		if n := h.w.nodes[(first+i)%len(h.w.nodes)]; n.up() && n.desk != nil {
			return n
		}
	}
	return nil
}

// watch lets the customer of a purchase that was charged complain in time, if there is a
// reason by then.
func (h *hotline) watch(b *buyer, times int) {
	s := h.w.plan.script
	if times >= s.Habits.Times {
		return
	}
	c := s.Complaint(b.index, times)
	h.w.after(c.After, func() { h.complain(b, times, c) })
}

// lacks reports whether a customer has neither units nor money, as they see it themselves.
func (h *hotline) lacks(p *purchase.Purchase) bool {
	return p.ChargedAt != 0 && !h.w.holds(p, purchase.Credit) && !h.w.holds(p, purchase.Refund)
}

func (h *hotline) complain(b *buyer, times int, c Complaint) {
	w := h.w
	id, bought := w.book.keys[clientKey{b.r.Client, b.r.ClientKey}]
	if h.over || !bought {
		return
	}
	p := &w.book.records[id].Purchase
	limit := w.plan.script.Habits.Untold
	if w.play.told[id] || w.play.informed[p.PayerNumber] != 0 {
		limit = w.plan.script.Habits.Told
	}
	if !h.lacks(p) || c.Mood >= limit {
		return
	}
	if w.play.complaint[id] == 0 {
		w.play.complaint[id] = w.now
	}
	w.play.minute().Complaints++
	w.note("complaint", id, fmt.Sprintf("buyer %d, the %d.", b.index, times+1))
	h.watch(b, times+1)
	if c.Phone {
		h.dial(&caller{b: b, c: c})
		return
	}
	h.report(b, "app", c.Call)
}

// dial lets a customer call the line.
func (h *hotline) dial(c *caller) {
	w, s := h.w, h.w.plan.script
	h.calls.Offered++
	w.play.minute().Calls++
	if w.announced(&c.b.r) && c.c.Informed < s.Line.Informed {
		h.calls.Informed++
		w.play.minute().Informed++
		return
	}
	h.queue = append(h.queue, c)
	w.after(c.c.Patience, func() {
		if c.answered {
			return
		}
		c.gone = true
		h.calls.Abandoned++
		w.play.minute().Abandoned++
		h.report(c.b, "ussd", c.c.Call) // the menu offers it to who does not get through
	})
	h.work()
}

// report lets a customer report what is wrong without a person, and ask to be called.
func (h *hotline) report(b *buyer, channel string, call bool) {
	w := h.w
	d := w.dice(42, uint64(b.index), uint64(w.seq)) //nolint:gosec // counts
	n := h.node(d)
	if n == nil || h.over {
		if !h.over {
			w.after(d.between(5*time.Second, time.Minute), func() { h.report(b, channel, call) })
		}
		return
	}
	id, number, failed := w.book.keys[clientKey{b.r.Client, b.r.ClientKey}], b.r.PayerNumber, false
	n.atDesk(func(desk *care.Desk) {
		_, _, err := desk.Report(w.ctx, care.Report{Purchase: id, Number: number, Matter: care.MatterNotReceived, Channel: channel})
		w.answered("report", err)
		w.note("report", id, fmt.Sprint(cause(err)))
		if failed = err != nil; failed || !call {
			return
		}
		windows, err := desk.Windows(w.ctx, 3)
		if err != nil || len(windows) == 0 {
			return
		}
		_, added, err := desk.Promise(w.ctx, care.Callback{Number: number, Purchase: id, Case: w.files.about[id],
			WindowAt: windows[min(d.n(2*len(windows)), len(windows)-1)*(1-d.n(2))], Channel: channel, Language: b.r.Language})
		if err == nil && added {
			w.play.minute().Promised++
		}
	})
	if failed { // they try again
		w.after(d.between(5*time.Second, time.Minute), func() { h.report(b, channel, call) })
	}
}

// promised notes when a callback may be made.
func (h *hotline) promised(c *care.Callback) {
	switch {
	case c.State == care.Promised && !c.Trying:
		h.ring.put(c.ID, max(c.WindowAt, c.NextAt))
	default:
		h.ring.drop(c.ID)
	}
	switch c.State {
	case care.Kept:
		h.w.play.minute().Kept++
	case care.Broken:
		h.w.play.minute().Broken++
	case care.Promised, care.Cancelled:
	}
}

// work lets agents who are free do what is next, and looks again when a callback may be made.
func (h *hotline) work() {
	w := h.w
	if h.over {
		return
	}
	for len(h.free) > 0 {
		d := w.dice(43, uint64(w.seq), uint64(len(h.free))) //nolint:gosec // counts
		n := h.node(d)
		if n == nil {
			h.later(10 * time.Second)
			return
		}
		if !h.callback(n, d) && !h.answer(n) {
			break
		}
	}
	if at := h.ring.next(); at != 0 && len(h.free) > 0 {
		h.later(max(at.Sub(w.now), time.Second))
	}
}

// later lets the agents look again.
func (h *hotline) later(d time.Duration) {
	at := h.w.now.Add(d)
	if h.workAt != 0 && h.workAt <= at {
		return
	}
	h.workAt = at
	h.w.after(d, func() {
		if h.workAt == at {
			h.workAt = 0
			h.work()
		}
	})
}

// busy takes the next free agent for a time, and does something at its end.
func (h *hotline) busy(long time.Duration, then func(auth.Staff)) {
	i := h.free[0]
	h.free = h.free[1:]
	h.w.after(long, func() {
		then(h.agents[i])
		h.free = append(h.free, i)
		h.work()
	})
}

// callback lets a free agent make the next callback, and reports whether there was one.
func (h *hotline) callback(n *node, d *dice) bool {
	w := h.w
	if at := h.ring.next(); at == 0 || at > w.now {
		return false
	}
	s, done := h.agents[h.free[0]], false
	n.atDesk(func(desk *care.Desk) {
		calls, err := desk.Calls(w.ctx, 50)
		if err != nil {
			return
		}
		for i := range calls {
			c := &calls[i]
			if at, may := h.ring.open[c.ID]; !may || at > w.now || !w.people.looks(n, s, c.Number, c.Purchase) {
				continue
			}
			t, _, err := desk.Ring(w.ctx, s, c.ID)
			if err != nil {
				w.note("ring", c.Purchase, fmt.Sprintf("%d: %v", c.ID, cause(err)))
				h.ring.put(c.ID, w.now.Add(10*time.Second))
				continue
			}
			h.speak(s, c, t.Try, d)
			done = true
			return
		}
	})
	return done
}

// speak lets an agent try to reach a customer.
func (h *hotline) speak(s auth.Staff, c *care.Callback, try int, d *dice) {
	script := h.w.plan.script
	ring, long := care.Answered, script.Line.Handling.draw(d)
	if d.n(Thousand) >= script.Habits.Reached {
		ring, long = pick(d, care.NoAnswer, care.Busy, care.Unreachable), 30*time.Second
	}
	id, about := c.ID, c.Purchase
	var say func(auth.Staff)
	say = func(auth.Staff) {
		n := h.node(d)
		if n == nil {
			h.w.after(5*time.Second, func() { say(s) })
			return
		}
		n.atDesk(func(desk *care.Desk) {
			_, err := desk.Rang(h.w.ctx, s, id, try, ring)
			h.w.note("rang", about, fmt.Sprintf("%d %s: %v", id, ring, cause(err)))
		})
	}
	h.busy(long, say)
}

// answer lets a free agent answer who waits longest, and reports whether somebody did. The
// agent sees the truth, says it, and opens a case where there is none.
func (h *hotline) answer(n *node) bool {
	w := h.w
	for len(h.queue) > 0 && h.queue[0].gone {
		h.queue = h.queue[1:]
	}
	if len(h.queue) == 0 {
		return false
	}
	c := h.queue[0]
	h.queue = h.queue[1:]
	c.answered = true
	h.calls.Answered++
	w.play.minute().Answered++
	s, id := h.agents[h.free[0]], w.book.keys[clientKey{c.b.r.Client, c.b.r.ClientKey}]
	looked := false
	n.atDesk(func(*care.Desk) { looked = w.people.looks(n, s, c.b.r.PayerNumber, id) })
	h.busy(c.c.Handling, func(s auth.Staff) {
		n := h.node(w.dice(44, uint64(c.b.index), uint64(w.seq))) //nolint:gosec // counts
		if n == nil || !looked {
			h.report(c.b, "ussd", false)
			return
		}
		n.atDesk(func(desk *care.Desk) {
			_, _, err := desk.Open(w.ctx, care.Actor{Kind: care.ByStaff, Staff: s.ID}, care.NewCase{Number: c.b.r.PayerNumber, Purchase: id,
				Matter: care.MatterNotReceived, Channel: "phone", Language: c.b.r.Language})
			w.answered("open", err)
			w.note("spoken", id, fmt.Sprint(cause(err)))
		})
	})
	return true
}
