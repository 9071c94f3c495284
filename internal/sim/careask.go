package sim

import (
	"fmt"
	"slices"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

// wished checks that a desk hands on only what somebody asked for (invariant C1).
func (a *files) wished(id purchase.ID, wish purchase.Wish) {
	for _, ask := range a.askedOf[id] {
		if r := a.requests[ask]; r.Wish() == wish && r.Stage == care.StageApproved {
			return
		}
	}
	a.w.fail("C1", id, "%s is wished for by a desk, and no request is approved", wish)
}

// counts reports whether a request counts against limits.
func counts(r *care.Request) bool {
	return r.Kind != care.AskAnswer && r.Stage <= care.StageDone
}

// asked checks a request that was kept at an instant of its writer's clock.
func (a *files) asked(r *care.Request, since care.Periods, at purchase.Instant) {
	a.w.tally.Requests++
	a.w.note("request", r.Purchase, fmt.Sprintf("%d %s %s of %d, %d", r.ID, r.Stage, r.Kind, r.Maker, r.Amount))
	for _, id := range a.askedOf[r.Purchase] {
		other := a.requests[id]
		if other.Kind == r.Kind && (!other.Stage.Over() || other.Stage == care.StageDone && r.Kind != care.AskAnswer) {
			a.w.fail("C3", r.Purchase, "%s is asked for twice", r.Kind)
		}
	}
	if day := at - at%purchase.Instant(24*time.Hour/time.Microsecond); since.Day != day || r.At != at {
		a.w.fail("C3", r.Purchase, "asked at %d, and counted since %d", r.At, since.Day)
	}
	a.keepRequest(r)
	a.asks = append(a.asks, r.ID)
	a.askedOf[r.Purchase] = append(a.askedOf[r.Purchase], r.ID)
	if r.Kind == care.AskGoodwill {
		a.gifts = append(a.gifts, r.ID)
		a.goodwill(r, since.Month)
	}
	if r.Maker != 0 {
		a.limits(r, since.Day)
	}
}

// keepRequest keeps a request as it now stands.
func (a *files) keepRequest(r *care.Request) {
	kept := *r
	a.requests[r.ID] = &kept
	if r.Stage.Over() {
		a.openAsks.drop(r.ID)
	} else {
		a.openAsks.put(r.ID, r.DueAt)
	}
}

// goodwill checks the month's budget (invariant C3).
func (a *files) goodwill(r *care.Request, since purchase.Instant) {
	given := int64(0)
	for _, id := range a.gifts {
		if other := a.requests[id]; other.At >= since && counts(other) {
			given += other.Amount
		}
	}
	if given > a.policy.Goodwill {
		a.w.fail("C3", r.Purchase, "%d is given in a month that has %d", given, a.policy.Goodwill)
	}
}

// limits checks a request of one of the staff (invariants C2, C3, C4, C5).
func (a *files) limits(r *care.Request, since purchase.Instant) {
	maker := a.staff[r.Maker]
	if maker.Owns(r.Number, r.Recipient) {
		a.w.fail("C4", r.Purchase, "%s asks for %s about a number of their own", maker.Login, r.Kind)
	}
	if !a.looks[look{r.Maker, r.Number}] {
		a.w.fail("C5", r.Purchase, "%s asks for %s, and never looked at the customer", maker.Login, r.Kind)
	}
	if r.Kind == care.AskAnswer {
		return
	}
	var day, about int64
	var count, countAbout int
	for _, id := range a.asks {
		other := a.requests[id]
		if other.At < since || !counts(other) {
			continue
		}
		if other.Maker == r.Maker {
			day += other.Amount
			count++
		}
		if other.Number == r.Number {
			about += other.Amount
			countAbout++
		}
	}
	b := a.policy.Bounds[maker.Role]
	if r.Amount > b.Single || day > b.Day || count > b.DayCount || about > b.NumberDay || countAbout > b.NumberCount {
		a.w.fail("C3", r.Purchase, "%s asks for %d: %d in %d of the day, %d in %d about the number", maker.Login, r.Amount, day, count, about, countAbout)
	}
	if r.Stage == care.StageApproved && (r.Amount > b.Unchecked || r.Unproven || r.Kind == care.AskReversal) {
		a.w.fail("C2", r.Purchase, "%s of %d is approved by nobody", r.Kind, r.Amount)
	}
}

// decided checks a decision (invariants C2, C4, C5).
func (a *files) decided(r *care.Request) {
	checker, maker := a.staff[r.Checker], a.staff[r.Maker]
	switch {
	case r.Checker == 0:
		a.w.fail("C2", r.Purchase, "nobody decides on request %d", r.ID)
	case r.Checker == r.Maker:
		a.w.fail("C2", r.Purchase, "%s decides on a request of their own", maker.Login)
	case !checker.Role.May(auth.Approve) || checker.Disabled:
		a.w.fail("C2", r.Purchase, "%s decides, who is %s", checker.Login, checker.Role)
	case r.Stage == care.StageApproved && r.Amount > a.policy.Bounds[checker.Role].Approve:
		a.w.fail("C3", r.Purchase, "%s approves %d", checker.Login, r.Amount)
	case checker.Owns(r.Number, r.Recipient):
		a.w.fail("C4", r.Purchase, "%s decides about a number of their own", checker.Login)
	case !a.looks[look{r.Checker, r.Number}]:
		a.w.fail("C5", r.Purchase, "%s decides, and never looked at the customer", checker.Login)
	}
	a.step(r)
}

// moved checks a step of a request that nobody decided.
func (a *files) moved(r *care.Request) {
	if was := a.requests[r.ID]; was != nil {
		switch {
		case r.Stage == care.StageApproved && was.Stage != care.StageApproved:
			a.w.fail("C2", r.Purchase, "request %d was %s, and is approved by nobody", r.ID, was.Stage)
		case r.Stage == care.StageDone && was.Stage != care.StageApproved:
			a.w.fail("C2", r.Purchase, "request %d was %s, and is done", r.ID, was.Stage)
		case r.Stage == care.StageRefused && was.DecidedAt == 0:
			a.w.fail("C2", r.Purchase, "request %d is refused by nobody", r.ID)
		}
	}
	a.step(r)
}

// step checks that a request goes on as it should, and that what is said to be done is (invariant C1).
func (a *files) step(r *care.Request) {
	was := a.requests[r.ID]
	switch {
	case was == nil:
		a.w.fail("C1", r.Purchase, "request %d moves that was never made", r.ID)
		return
	case was.Stage.Over():
		a.w.fail("C1", r.Purchase, "request %d was %s, and is %s", r.ID, was.Stage, r.Stage)
	case r.Version != was.Version+1:
		a.w.fail("C1", r.Purchase, "request %d jumps to version %d", r.ID, r.Version)
	case r.Stage == care.StageDone && !a.done(r):
		a.w.fail("C1", r.Purchase, "%s is said to be done, and it is not", r.Kind)
	}
	if r.Stage != was.Stage {
		a.w.note("request", r.Purchase, fmt.Sprintf("%d %s %s %s", r.ID, r.Stage, r.Kind, r.Why))
	}
	a.keepRequest(r)
}

// done reports whether the ledger shows what a request asked for.
func (a *files) done(r *care.Request) bool {
	record := a.w.book.records[r.Purchase]
	if record == nil {
		return false
	}
	p := &record.Purchase
	switch r.Kind {
	case care.AskRefund:
		return p.State == purchase.Refunding || p.State == purchase.Refunded
	case care.AskCredit:
		return p.Legs[purchase.Credit].Done
	case care.AskReversal:
		return p.Legs[purchase.Reversal].Done
	case care.AskGoodwill:
		given := a.w.book.records[r.Result]
		return given != nil && given.Purchase.Payer == houseName && given.Purchase.Total == r.Amount && given.Purchase.Recipient == r.Recipient &&
			given.Purchase.ClientKey == fmt.Sprintf("goodwill-%d", r.ID)
	case care.AskAnswer:
	}
	return true
}

// promised notes a promise.
func (a *files) promised(c *care.Callback) {
	for id := range a.openCalls.open {
		if a.callbacks[id].Number == c.Number {
			a.w.fail("C7", c.Purchase, "a number has two open promises")
		}
	}
	a.w.tally.Callbacks++
	a.w.note("promise", c.Purchase, fmt.Sprintf("%d at %d, for %d", c.ID, c.WindowAt, c.Follows))
	a.keep(c)
	a.expire(c.ID, c.Till())
}

// keep keeps a callback as it now stands.
func (a *files) keep(c *care.Callback) {
	if a.callbacks[c.ID] == nil {
		a.calls = append(a.calls, c.ID)
	}
	kept := *c
	a.callbacks[c.ID] = &kept
	if c.State == care.Promised {
		a.openCalls.put(c.ID, c.DueAt)
	} else {
		a.openCalls.drop(c.ID)
	}
	if a.w.line != nil {
		a.w.line.promised(c)
	}
}

// breaks is how long after the end of a window a promise is broken at the latest: the
// last attempt may ring then, until it is given up.
const breaks = 11 * time.Minute

// expire looks at a promise when its window is over: it may not expire in silence
// where all was well.
func (a *files) expire(id int64, till purchase.Instant) {
	w := a.w
	w.after(till.Add(breaks).Sub(w.now), func() {
		if c := a.callbacks[id]; c.State == care.Promised && !w.calm && !w.clocksDiffer() && w.rough.Add(2*time.Minute) < w.now {
			w.fail("C7", c.Purchase, "callback %d is open %s after its window", id, w.now.Sub(till))
		}
	})
}

// cancelled notes that the customer does not want it any more.
func (a *files) cancelled(c *care.Callback) {
	was := a.callbacks[c.ID]
	if was == nil || was.State != care.Promised && was.State != c.State || was.State == care.Promised && c.State != care.Cancelled {
		a.w.fail("C7", c.Purchase, "callback %d is cancelled into %s", c.ID, c.State)
	}
	a.w.note("cancel", c.Purchase, fmt.Sprintf("%d %s", c.ID, c.State))
	a.keep(c)
}

// called checks one change of a callback (invariant C7), made at an instant of its writer's clock.
func (a *files) called(c *care.CallbackChange, at purchase.Instant) {
	w, now := a.w, &c.Now
	was := a.callbacks[now.ID]
	if was == nil || now.Version != was.Version+1 || was.State != care.Promised && (was.State != care.Cancelled || now.State != care.Cancelled) {
		w.fail("C7", now.Purchase, "callback %d changes that is not open", now.ID)
		return
	}
	answered := false
	if t := c.Attempt; t != nil {
		answered = t.Ring == care.Answered
		a.attempt(now, was, t)
	}
	for i := range c.Entries {
		if by := c.Entries[i].By; by.Kind == care.ByStaff && !a.looks[look{by.Staff, now.Number}] {
			w.fail("C5", now.Purchase, "%s calls, and never looked at the customer", a.staff[by.Staff].Login)
		}
	}
	switch {
	case now.State == care.Promised || now.State == was.State:
	case now.State == care.Kept && !answered:
		w.fail("C7", now.Purchase, "callback %d is kept, and nobody was spoken with", now.ID)
	case now.State == care.Kept:
		w.tally.Kept++
	case now.State == care.Broken:
		w.tally.Broken++
		apology := slices.ContainsFunc(c.Messages, func(m care.Message) bool { return m.To == now.Number && m.Callback == now.ID })
		if !apology || c.Follow == nil || c.Follow.Number != now.Number || c.Follow.At != now.At {
			w.fail("C7", now.Purchase, "callback %d breaks without an apology, or without another in its place", now.ID)
		}
		if at < now.Till() || now.Trying {
			w.fail("C7", now.Purchase, "callback %d breaks before its time", now.ID)
		}
	default:
		w.fail("C7", now.Purchase, "callback %d becomes %s", now.ID, now.State)
	}
	w.note("callback", now.Purchase, fmt.Sprintf("%d v%d %s", now.ID, now.Version, now.State))
	a.keep(now)
}

// attempt checks an attempt: one at a time, each with one outcome, begun by somebody
// who may.
func (a *files) attempt(now, was *care.Callback, t *care.Attempt) {
	ringing, some := a.ringing[now.ID]
	switch {
	case t.Ring == care.Ringing && !now.Trying: // a change that is not about it
	case t.Ring == care.Ringing && some && ringing != t.Try:
		a.w.fail("C7", now.Purchase, "callback %d rings twice", now.ID)
	case t.Ring == care.Ringing && some:
	case t.Ring == care.Ringing:
		if caller := a.staff[t.Staff]; caller.Owns(now.Number) {
			a.w.fail("C4", now.Purchase, "%s calls a number of their own", caller.Login)
		}
		if t.Try != was.Tries+1 {
			a.w.fail("C7", now.Purchase, "attempt %d of callback %d follows %d", t.Try, now.ID, was.Tries)
		}
		a.ringing[now.ID] = t.Try
	case some && ringing == t.Try:
		delete(a.ringing, now.ID)
		if a.w.phones != nil {
			a.w.phones.outcome(now, t)
		}
	}
}

// follow notes the promise that makes a broken one good.
func (a *files) follow(c *care.Callback) {
	if other, twice := a.follows[c.Follows]; twice {
		a.w.fail("C7", c.Purchase, "callback %d is made good by %d and %d", c.Follows, other, c.ID)
	}
	a.follows[c.Follows] = c.ID
	a.promised(c)
}

// dial notes that a phone rings: once for one attempt, which is durable.
func (a *files) dial(callback, try int64, of purchase.ID) {
	key := [2]int64{callback, try}
	if a.dialled[key] {
		a.w.fail("C7", of, "attempt %d of callback %d is dialled twice", try, callback)
	}
	a.dialled[key] = true
	if int64(a.ringing[callback]) != try {
		a.w.fail("C7", of, "attempt %d of callback %d is dialled, and is not durable", try, callback)
	}
}
