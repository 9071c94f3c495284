package care

import (
	"fmt"
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// The times of a callback's life.
const (
	tellBefore  = 2 * time.Minute  // its window begins, the customer is told that a call comes
	alertBefore = 5 * time.Minute  // it ends, a supervisor is told
	lostAfter   = 10 * time.Minute // an attempt by a person without an outcome is over
	followAfter = time.Hour        // one that was to make good a broken one and broke itself is promised again
)

// spaced is how long after an attempt the next may begin, by its outcome.
func spaced(r Ring) time.Duration {
	switch r {
	case Busy:
		return time.Minute
	case NoAnswer, Voicemail, Lost:
		return 3 * time.Minute
	case Unreachable, Declined:
		return 5 * time.Minute
	case Ringing, Answered, Undialled:
	}
	return 0
}

// MachineFor is how long an attempt that a machine makes lasts at most: by then it says what became of
// it. When it does not, it is dead, and no telephone rings any more that it let ring: an exchange gives
// up a call that nobody answers after three minutes (RFC 3261, timer C).
const MachineFor = 4 * time.Minute

// life is a callback with its last attempt, nil before the first. Its methods are pure:
// they return the change that an event at an instant makes. What changes says nothing of
// texts but their keys; the desk words them.
type life struct {
	now  Callback
	last *Attempt
	told []note
	text []string // of the case's history
}

// note is a text to the customer.
type note struct {
	key string
	at  purchase.Instant // begin of the window that it names
}

// ring begins an attempt by one of the staff, which a machine makes when it is named.
func (l *life) ring(staff auth.StaffID, ref string, now purchase.Instant) error {
	c := &l.now
	switch {
	case c.State != Promised || now >= c.Till():
		return &Refusal{Why: WhyOver}
	case c.Trying:
		return &Refusal{Why: WhyRinging, At: l.lost()}
	case now < max(c.WindowAt, c.NextAt):
		return &Refusal{Why: WhySoon, At: max(c.WindowAt, c.NextAt)}
	}
	l.tell(now)
	c.Tries++
	c.Trying, c.Owner = true, staff
	l.last = &Attempt{Callback: c.ID, Try: c.Tries, Staff: staff, At: now, Ring: Ringing, Ref: ref}
	l.text = append(l.text, fmt.Sprintf("callback #%d: attempt %d", c.ID, c.Tries))
	l.plan()
	return nil
}

// rang ends the attempt that is under way. Only an answer keeps the promise, even a
// little late; after the end of the window anything else breaks it.
func (l *life) rang(ring Ring, now purchase.Instant) {
	c := &l.now
	l.last.Ring, l.last.EndedAt = ring, max(now, l.last.At)
	if c.Trying = false; ring != Undialled {
		c.NextAt = l.last.EndedAt.Add(spaced(ring))
	}
	l.text = append(l.text, fmt.Sprintf("callback #%d: attempt %d, %s", c.ID, l.last.Try, ring))
	if c.State != Promised {
		return // cancelled while it rang
	}
	if ring == Answered {
		l.close(Kept, l.last.EndedAt)
		return
	}
	l.due(now)
}

// due does what the time alone brings: the text before the call, an attempt of which nobody
// says anything, the alert, the end of the window.
func (l *life) due(now purchase.Instant) {
	c := &l.now
	if c.State != Promised {
		return
	}
	if c.Trying && now >= l.lost() {
		l.rang(Lost, now) // which comes back here
		return
	}
	if now >= c.WindowAt.Add(-tellBefore) && now < c.Till() {
		l.tell(now)
	}
	if c.Alerted == 0 && now >= c.Till().Add(-alertBefore) {
		c.Alerted = now
		l.text = append(l.text, fmt.Sprintf("callback #%d is about to break", c.ID))
	}
	if now >= c.Till() && !c.Trying {
		l.close(Broken, now)
	}
	l.plan()
}

// tell tells the customer once that a call comes.
func (l *life) tell(now purchase.Instant) {
	if l.now.ToldAt == 0 {
		l.now.ToldAt = now
		l.told = append(l.told, note{"call_soon", l.now.WindowAt})
	}
}

// close ends the promise.
func (l *life) close(s State, now purchase.Instant) {
	c := &l.now
	c.State, c.ClosedAt, c.DueAt = s, now, 0
	l.text = append(l.text, fmt.Sprintf("callback #%d %s", c.ID, s))
}

// lost is when the attempt under way is given up.
func (l *life) lost() purchase.Instant {
	if l.last == nil { // cannot be: whoever is trying has an attempt
		return l.now.WindowAt.Add(lostAfter)
	}
	if l.last.Ref != "" {
		return l.last.At.Add(MachineFor)
	}
	return l.last.At.Add(lostAfter)
}

// plan sets when the time brings something next.
func (l *life) plan() {
	c := &l.now
	if c.State != Promised {
		c.DueAt = 0
		return
	}
	var next purchase.Instant
	if c.ToldAt == 0 {
		next = sooner(next, c.WindowAt.Add(-tellBefore))
	}
	if c.Alerted == 0 {
		next = sooner(next, c.Till().Add(-alertBefore))
	}
	if c.Trying {
		next = sooner(next, l.lost())
	} else {
		next = sooner(next, c.Till())
	}
	c.DueAt = next
}

// begin is a promise as it is first kept.
func begin(c Callback) Callback {
	c.Version, c.State, c.ClosedAt = 1, Promised, 0
	c.NextAt, c.Tries, c.Trying, c.ToldAt, c.Alerted = c.WindowAt, 0, false, 0, 0
	l := life{now: c}
	l.plan()
	return l.now
}

// follow is the promise that makes a broken one good: at once, if somebody calls at that
// time, before all others. One that was to make another good and broke is promised for an
// hour later, so that nobody is told every quarter of an hour of a call that never comes.
// The customer waits since the first promise, and that is what is measured.
func (d *Desk) follow(broken *Callback, now purchase.Instant) Callback {
	at := now
	if broken.Follows != 0 {
		at = now.Add(followAfter)
	}
	c := begin(Callback{Number: broken.Number, Purchase: broken.Purchase, Case: broken.Case, At: broken.At, WindowAt: d.opening(at),
		Channel: broken.Channel, Language: broken.Language, Reason: broken.Reason, Follows: broken.ID})
	if c.WindowAt == now {
		c.ToldAt = now // the apology says that the call comes
		l := life{now: c}
		l.plan()
		c = l.now
	}
	return c
}

// opening is the first instant from a given one at which a window may begin.
func (d *Desk) opening(at purchase.Instant) purchase.Instant {
	local := at.Time().In(d.hours.Location)
	clock := func(day int, after time.Duration) purchase.Instant {
		return purchase.At(time.Date(local.Year(), local.Month(), local.Day()+day, 0, int(after.Minutes()), 0, 0, d.hours.Location))
	}
	switch {
	case at < clock(0, d.hours.Opens):
		return clock(0, d.hours.Opens)
	case at > clock(0, d.hours.Closes-Window):
		return clock(1, d.hours.Opens)
	}
	return at
}
