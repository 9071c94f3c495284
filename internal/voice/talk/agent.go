package talk

import (
	"context"
	"errors"
	"sync"
	"time"

	"tenu/internal/voice/centre"
	"tenu/internal/voice/speech"
)

// stillEvery is how long after an announcement a caller who waits hears the next one.
const stillEvery = 15 * time.Second

// errGiven ends an announcement: there is an agent.
var errGiven = errors.New("an agent was given")

// agent lets the caller wait for an agent or, when none can be had, takes a callback.
func (c *conversation) agent() error {
	if !c.cfg.Agents.Open() {
		return c.away()
	}
	_, least, most, ok := c.cfg.Agents.Estimate(c.found.first)
	if !ok {
		return c.instead("busy", nil)
	}
	if err := c.consent(); err != nil {
		return err
	}
	now := c.cfg.Clock.Now()
	place, err := c.cfg.Agents.Enter(centre.Waiter{Call: c.call.ID, Number: c.number, Purchase: c.call.Purchase, Case: c.call.Case,
		Language: c.call.Language, First: c.found.first, Since: now})
	if err != nil {
		c.cfg.Log.Info("nobody more can wait for an agent", "call", c.call.ID, "error", err)
		return c.instead("busy", nil)
	}
	c.call.Queued, c.call.Release = now, centre.Abandoned
	return c.wait(place, least, most)
}

// away says when agents answer, or that none does now.
func (c *conversation) away() error {
	now := c.local(c.cfg.Clock.Now())
	clock := func(after time.Duration) time.Time { // the clock's reading: days are not all as long
		return time.Date(now.Year(), now.Month(), now.Day(), 0, int(after.Minutes()), 0, 0, now.Location())
	}
	opens, closes := clock(c.cfg.Hours.Opens), clock(c.cfg.Hours.Closes)
	if now.Before(opens) || !now.Before(closes) {
		return c.instead("closed", values{"From": speech.Clock(opens), "Till": speech.Clock(closes)})
	}
	return c.instead("nobody", nil)
}

// instead says why no agent can be had, and offers a callback. Who has proven no number yet goes on
// with that.
func (c *conversation) instead(key string, v values) error {
	if err := c.say(key, v); err != nil || c.number == 0 {
		return err
	}
	return c.callback()
}

// consent tells that the conversation may be recorded, and lets the caller refuse.
func (c *conversation) consent() error {
	if !c.cfg.Consent {
		return nil
	}
	if err := c.say("consent", nil); err != nil {
		return err
	}
	pressed, err := c.phone.Key(c.ctx, moreIn)
	if err != nil || pressed != '9' {
		return err
	}
	c.call.Unrecorded = true
	return c.say("refused", nil)
}

// wait lets the caller wait until an agent speaks with them, or they take a callback.
func (c *conversation) wait(place Place, least, most time.Duration) error {
	defer place.Leave()
	key, v := estimated(least, most)
	for {
		a, pressed, err := c.hold(place, key, v)
		if a != nil {
			err = c.speakWith(a)
		}
		switch {
		case err != nil:
			return err
		case pressed == '2' && c.number != 0:
			place.Leave()
			return c.first()
		case pressed == '2':
			return nil // a number first
		case !c.cfg.Agents.Open():
			place.Leave()
			return c.away()
		}
		key, v = "still_waiting", values{"Place": speech.Count(max(1, place.At()))}
	}
}

// estimated is how long a wait will be, in whole minutes.
func estimated(least, most time.Duration) (string, values) {
	if most <= 2*time.Minute {
		return "wait_short", nil
	}
	from := max(1, int64(least/time.Minute))
	till := max(from+1, int64((most+time.Minute-1)/time.Minute))
	return "wait", values{"Least": speech.Count(from), "Most": speech.Count(till)}
}

// hold says something to a caller who waits, and returns the key that was pressed soon after. It
// ends at once when there is an agent.
func (c *conversation) hold(place Place, key string, v values) (a *centre.Agent, pressed byte, err error) {
	ctx, stop := context.WithCancelCause(c.ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case given := <-place.Given():
			a = &given
			stop(errGiven)
		case <-ctx.Done():
		}
	})
	if err = c.phone.Say(ctx, key, v); err == nil {
		pressed, err = c.phone.Key(ctx, stillEvery)
	}
	stop(nil)
	watching.Wait()
	switch {
	case c.ctx.Err() != nil:
		return nil, 0, context.Cause(c.ctx)
	case a != nil:
		return a, 0, nil
	}
	return nil, pressed, err
}

// speakWith connects an agent. It returns nil when the agent did not take the call: the caller waits on.
func (c *conversation) speakWith(a *centre.Agent) error {
	if err := c.say("connecting", nil); err != nil {
		return err
	}
	taken, err := c.connect(c.ctx, *a)
	if taken != 0 {
		c.call.Taken, c.call.Staff, c.call.Release = taken, a.Staff, centre.Spoken
		return errEnded
	}
	c.cfg.Log.Info("an agent did not take a call", "call", c.call.ID, "staff", a.Staff, "error", err)
	return context.Cause(c.ctx)
}
