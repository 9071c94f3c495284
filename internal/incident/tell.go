package incident

import (
	"context"
	"fmt"
	"strconv"

	"tenu/internal/care"
	"tenu/internal/purchase"
)

// toldAtOnce bounds the customers of one look, and the messages of one transaction.
const toldAtOnce = 200

// deskBurst is how many seconds' messages may be written at once.
const deskBurst = 5

// refill makes room for the messages of the time that passed.
func (d *Desk) refill(now purchase.Instant) {
	d.mu.Lock()
	defer d.mu.Unlock()
	most := float64(deskBurst * d.cfg.TellRate)
	if d.told == 0 || now < d.told {
		d.room = most
	} else {
		d.room = min(most, d.room+now.Sub(d.told).Seconds()*float64(d.cfg.TellRate))
	}
	d.told = now
}

// take takes room for up to so many messages.
func (d *Desk) take(most int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(most, int(d.room))
	d.room -= float64(n)
	return n
}

// give gives room back that was not used.
func (d *Desk) give(n int) {
	d.mu.Lock()
	d.room += float64(n)
	d.mu.Unlock()
}

// tell tells customers whom the incident affects, each once, and once more when all of theirs is settled; the rest
// waits for room. Those who were not told anything come first.
func (t *tending) tell(ctx context.Context) error {
	if !t.touches() {
		return nil
	}
	for {
		n := t.take(toldAtOnce)
		customers, err := t.store.Untold(ctx, t.i.ID, n+1)
		if err != nil {
			t.give(n)
			return fmt.Errorf("find whom to tell: %w", err)
		}
		t.left = len(customers) > n
		customers = customers[:min(n, len(customers))]
		t.give(n - len(customers))
		if len(customers) == 0 {
			break
		}
		tellings := make([]Telling, len(customers))
		for i := range customers {
			tellings[i] = t.telling(&customers[i])
		}
		if err := t.send(ctx, tellings); err != nil {
			return err
		}
		if !t.left {
			break
		}
	}
	if err := t.end(ctx); err != nil {
		return err
	}
	if told := t.seen.totals.Told; !t.left && told != t.i.Told && t.seen.totalsAt == t.now {
		t.i.Told = told
		t.change.note(t.now, Actor{}, EventTold, strconv.FormatInt(told, 10))
	}
	return nil
}

// endedAtOnce bounds the customers of an incident that are looked at for its end in one step.
const endedAtOnce = 5000

// end tells customers that all of theirs is settled, or that it takes longer than they were told, from where the last look
// stopped on.
func (t *tending) end(ctx context.Context) error {
	for range endedAtOnce / toldAtOnce {
		customers, err := t.store.Unended(ctx, t.i.ID, t.seen.after, toldAtOnce)
		if err != nil {
			return fmt.Errorf("find whose is settled: %w", err)
		}
		var tellings []Telling
		for i := range customers {
			if telling, due := t.further(&customers[i]); due {
				tellings = append(tellings, telling)
			}
		}
		n := t.take(len(tellings))
		if err := t.send(ctx, tellings[:n]); err != nil {
			return err
		}
		if n < len(tellings) { // the same page again, when there is room
			t.more = true
			return nil
		}
		if len(customers) < toldAtOnce {
			t.seen.after = 0
			return nil
		}
		t.seen.after = customers[len(customers)-1].Number
	}
	t.more = true
	return nil
}

// send keeps messages.
func (t *tending) send(ctx context.Context, tellings []Telling) error {
	if len(tellings) == 0 {
		return nil
	}
	n, err := t.store.Tell(ctx, t.i.ID, tellings)
	if err != nil {
		return fmt.Errorf("tell customers: %w", err)
	}
	t.seen.totalsAt = 0 // they are counted with the next look
	if n > 0 && t.cfg.Written != nil {
		t.cfg.Written()
	}
	return nil
}

// telling is a customer's first message: what happened, or how it ended where that is known already.
func (t *tending) telling(c *Customer) Telling {
	says, key := SaidHappened|SaidEnded, settledKey("told", c)
	if c.Pending > 0 {
		says, key = SaidHappened, "told"
		if c.Purchases > 1 {
			key = "told_many"
		}
	}
	return t.message(c, says, key, "told")
}

// further is what a customer who was told is to hear now, if anything.
func (t *tending) further(c *Customer) (telling Telling, due bool) {
	switch {
	case c.Pending == 0:
		return t.message(c, SaidEnded, settledKey("ended", c), "ended"), true
	case c.Saying&SaidLonger == 0 && t.now > c.ResolveBy:
		return t.message(c, SaidLonger, "longer", "longer"), true
	}
	return Telling{}, false
}

// settledKey says how all that a customer bought was settled.
func settledKey(prefix string, c *Customer) string {
	switch {
	case c.Purchases > 1 && c.Given > 0:
		return prefix + "_settled"
	case c.Purchases > 1:
		return prefix + "_credited_many"
	case c.Given > 0 || c.Amount == 0:
		return prefix + "_refunded"
	}
	return prefix + "_credited"
}

func (t *tending) message(c *Customer, says Saying, text, key string) Telling {
	return Telling{Says: says, Round: c.Round, Message: care.Message{To: c.Number, Case: c.Case, Language: c.Language, At: t.now, Text: t.sms(c, text),
		Key: t.i.ID.Key(key, c.Round, c.Number)}}
}
