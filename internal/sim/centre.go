package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"tenu/internal/notify"
	"tenu/internal/purchase"
)

// centre is the SMS centre: it delivers each message once, by its id.
type centre struct {
	w        *world
	texts    map[string]string // by id
	tries    map[string]int
	downTill purchase.Instant
	died     *node             // a process that ended while it handed messages over
	letters  map[string]string // likewise, of messages that are not about one purchase's facts
	free     purchase.Instant  // when it has taken all that it was given, where a script says how fast it is
}

func newCentre(w *world) *centre {
	return &centre{w: w, texts: map[string]string{}, tries: map[string]int{}, letters: map[string]string{}}
}

// line is the centre as one node reaches it.
type line struct {
	*centre
	n *node
}

func (c *centre) of(n *node) notify.Centre { return line{c, n} }

var errCentre = errors.New("the centre does not answer")

// Send is notify.Centre.
func (l line) Send(_ context.Context, m notify.Message) error {
	c, w, id, to := l.centre, l.w, m.ID, m.To
	c.tries[id]++
	d := w.dice(6, uint64(len(id)), uint64(c.tries[id]), uint64(to)) //nolint:gosec // small numbers
	meets := func(f Fault, percent int) bool {
		if s := w.plan.script; s != nil && !w.calm {
			if s.draw(d, CentreName, w.now.Sub(w.begins), []Fault{f}) != f {
				return false
			}
		} else if w.calm || w.plan.without.has(f) || !d.chance(percent) {
			return false
		}
		w.hit(f, c.purchase(id))
		return true
	}
	w.tally.Messages++
	crash := l.n.armed == CrashInOutbox && !w.calm
	switch {
	case c.died != nil, crash && d.chance(50):
		c.died = l.n
		return fmt.Errorf("%w: the process ended", errCentre)
	case !w.calm && w.now < c.downTill:
		w.cover(CentreDown, c.purchase(id))
		return errCentre
	case w.plan.script != nil && meets(CentreDown, 0):
		return errCentre
	case meets(MessageRefused, 3):
		return fmt.Errorf("%w: try later", notify.ErrRefused)
	}
	c.take(m)
	if crash {
		c.died = l.n
		return fmt.Errorf("%w: the process ended", errCentre)
	}
	if meets(MessageUnheard, 5) {
		return errCentre
	}
	return nil
}

// batch is how many messages an outbox may hand over at once, so that it waits while the
// centre takes them; 0: as many as it likes.
func (c *centre) batch() int {
	if s := c.w.plan.script; s != nil {
		return min(s.Messages, 512)
	}
	return 0
}

// busy is how long the centre still takes what it was given.
func (c *centre) busy() time.Duration { return max(c.free.Sub(c.w.now), 0) }

// takes is when the centre takes one message more, at its pace.
func (c *centre) takes() purchase.Instant {
	c.free = max(c.free, c.w.now).Add(time.Second / time.Duration(c.w.plan.script.Messages))
	return c.free
}

// purchase is the one that a message is about.
func (c *centre) purchase(message string) purchase.ID {
	reference, _, _ := strings.Cut(message, "-")
	id, err := c.w.keys.Parse(reference)
	if err != nil {
		c.w.fail("N1", 0, "message %s names no purchase", message)
	}
	return id
}

// take delivers a message, once.
func (c *centre) take(m notify.Message) {
	was, known := c.texts[m.ID]
	switch {
	case known && was != m.Text:
		c.w.fail("N3", 0, "message %s was sent with two texts: %q and %q", m.ID, was, m.Text)
	case known && !m.Resend:
		c.w.fail("N3", 0, "message %s was sent again without a mark", m.ID)
	case !known:
		c.texts[m.ID] = m.Text
		c.w.book.delivered(m.ID, m.To, m.Text)
		if c.w.play != nil {
			c.w.play.notice(m, c.takes())
		}
	}
}
