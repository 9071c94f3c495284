package care

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// Calls are the callbacks to make now and soon, those that make good a broken promise first.
func (d *Desk) Calls(ctx context.Context, most int) ([]Callback, error) {
	return d.store.Waiting(ctx, d.clock.Now().Add(Window), most)
}

// Ring begins an attempt to keep a callback, and lets the phone ring. The attempt is durable
// before anything rings, and no attempt is dialled twice. ErrRefused, as a *Refusal, says why
// not: it is not time yet, another attempt is under way, the callback is closed. After another error
// nothing rings.
func (d *Desk) Ring(ctx context.Context, staff auth.Staff, callback int64) (a Attempt, link string, err error) {
	c, a, err := d.Attempt(ctx, staff, callback, "")
	if err != nil {
		return Attempt{}, "", err
	}
	if link, err = d.cfg.Dialler.Dial(ctx, c, a); err != nil {
		_, _ = d.Rang(ctx, staff, callback, a.Try, Undialled) // the next step says so otherwise
		return Attempt{}, "", fmt.Errorf("dial: %w", err)
	}
	return a, link, nil
}

// Attempt is Ring by a machine, as one of the staff who is to speak: it begins the attempt, which
// is durable on return, and lets nothing ring. The machine makes the call under a name of its own,
// and says what became of it within MachineFor.
func (d *Desk) Attempt(ctx context.Context, staff auth.Staff, callback int64, ref string) (Callback, Attempt, error) {
	l, err := d.life(ctx, callback)
	if err != nil {
		return Callback{}, Attempt{}, err
	}
	if why := who(&staff, auth.MakeCall, l.now.Number); why != "" {
		return Callback{}, Attempt{}, &Refusal{Why: why}
	}
	now := d.clock.Now()
	if err := l.ring(staff.ID, ref, now); err != nil {
		return Callback{}, Attempt{}, err
	}
	if err := d.keep(ctx, l, Actor{Kind: ByStaff, Staff: staff.ID}, now); err != nil {
		if errors.Is(err, ErrStale) { // another one rings, or it is closed
			err = &Refusal{Why: WhyRinging}
		}
		return Callback{}, Attempt{}, err
	}
	return l.now, *l.last, nil
}

// Rang ends an attempt with what became of it. Said again it changes nothing. ErrRefused, as
// a *Refusal, for another's attempt, which a supervisor may end; ErrStale when it ended otherwise.
func (d *Desk) Rang(ctx context.Context, staff auth.Staff, callback int64, try int, ring Ring) (Callback, error) {
	if ring <= Ringing || ring > Undialled {
		return Callback{}, &Refusal{Why: WhyStage}
	}
	for again := 0; ; again++ {
		l, err := d.life(ctx, callback)
		if err != nil {
			return Callback{}, err
		}
		switch {
		case l.last == nil || l.last.Try != try:
			return l.now, ErrStale
		case l.last.Ring == ring:
			return l.now, nil
		case l.last.Ring != Ringing:
			return l.now, ErrStale
		case staff.Disabled || !staff.Role.May(auth.MakeCall):
			return l.now, &Refusal{Why: WhyRole}
		case l.last.Staff != staff.ID && !staff.Role.May(auth.SeeBoard):
			return l.now, &Refusal{Why: WhyOther}
		}
		now := d.clock.Now()
		l.rang(ring, now)
		switch err := d.keep(ctx, l, Actor{Kind: ByStaff, Staff: staff.ID}, now); {
		case err == nil:
			if ring == Answered {
				d.answered(ctx, l.now.Case, now)
			}
			return l.now, nil
		case !errors.Is(err, ErrStale) || again == recordTries:
			return Callback{}, err
		}
	}
}

// answered notes that somebody spoke with the customer of a case. When that fails the call
// still shows in the history.
func (d *Desk) answered(ctx context.Context, id CaseID, now purchase.Instant) {
	for range recordTries {
		c, err := d.fileOf(ctx, id)
		if err != nil || c.AnsweredAt != 0 {
			return
		}
		change := d.chapter(c, nil, nil)
		change.Now.AnsweredAt = now
		if _, err = d.store.ChangeCase(ctx, change); err == nil {
			d.changed(Changed{Case: c.ID, Number: c.Number, Purchase: c.Purchase})
		}
		if !errors.Is(err, ErrStale) {
			return
		}
	}
}

// life reads a callback with its last attempt.
func (d *Desk) life(ctx context.Context, id int64) (*life, error) {
	c, err := d.store.Callback(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read callback %d: %w", id, err)
	}
	attempts, err := d.store.Attempts(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read the attempts of callback %d: %w", id, err)
	}
	l := &life{now: c}
	if len(attempts) > 0 {
		l.last = &attempts[len(attempts)-1]
	}
	return l, nil
}

// keep writes what an event made of a callback, with what the customer is told and
// the promise that follows a broken one.
func (d *Desk) keep(ctx context.Context, l *life, by Actor, now purchase.Instant) error {
	l.now.Version++
	change := CallbackChange{Now: l.now, Attempt: l.last}
	if l.now.State == Broken {
		follow := d.follow(&l.now, now)
		change.Follow = &follow
		key := "call_broken"
		if follow.WindowAt != now {
			key = "call_broken_later"
		}
		l.told = append(l.told, note{key, follow.WindowAt})
	}
	for _, n := range l.told {
		change.Messages = append(change.Messages, Message{Case: l.now.Case, Callback: l.now.ID, To: l.now.Number, Language: l.now.Language,
			At: now, Text: d.sayWindow(l.now.Language, n.key, n.at), Key: "callback-" + strconv.FormatInt(l.now.ID, 10) + "-" + n.key})
	}
	if l.now.Case != 0 {
		for _, text := range l.text {
			change.Entries = append(change.Entries, Entry{Case: l.now.Case, At: now, Event: EventCall, By: by, Text: text})
		}
	}
	if err := d.store.ChangeCallback(ctx, change); err != nil {
		return fmt.Errorf("change callback %d: %w", l.now.ID, err)
	}
	d.changed(Changed{Case: l.now.Case, Number: l.now.Number, Purchase: l.now.Purchase, Callback: l.now.ID})
	if len(change.Messages) > 0 {
		d.written()
	}
	d.Wake()
	return nil
}

// sayWindow is a text that names a window.
func (d *Desk) sayWindow(language purchase.Language, key string, at purchase.Instant) string {
	from := at.Time().In(d.hours.Location)
	return d.say(language, key, "Date", from.Format("02/01"), "From", from.Format("15:04"), "Till", from.Add(Window).Format("15:04"))
}

// stepCallbacks does what is due of callbacks, and returns when the next is due, zero for
// none. One that fails keeps no other waiting.
func (d *Desk) stepCallbacks(ctx context.Context, now purchase.Instant) (purchase.Instant, error) {
	due, next, err := d.store.DueCallbacks(ctx, now, stepLimit)
	if err != nil {
		return 0, fmt.Errorf("find due callbacks: %w", err)
	}
	var errs []error
	for i := range due {
		l, err := d.life(ctx, due[i].ID)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if l.due(now); l.now == due[i] { // the clock was put back, or another node did it
			next = sooner(next, max(l.now.DueAt, now.Add(time.Second)))
			continue
		}
		switch err := d.keep(ctx, l, Actor{Kind: BySystem}, now); {
		case errors.Is(err, ErrStale):
			next = now // read again
		case err != nil:
			errs = append(errs, err)
		case l.now.State == Broken:
			next = now // the promise that follows
		default:
			next = sooner(next, l.now.DueAt)
		}
	}
	if len(due) == stepLimit {
		next = now
	}
	return next, errors.Join(errs...)
}
