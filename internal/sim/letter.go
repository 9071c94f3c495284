package sim

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"tenu/internal/notify"
	"tenu/internal/purchase"
)

// lettered is the store of messages that are not about one purchase's facts, as one node
// sees it.
type lettered struct {
	notify.Store
	f *flaky
}

// UnsentNotices is notify.Store.
func (l lettered) UnsentNotices(ctx context.Context, limit int) ([]purchase.Notice, error) {
	if err := l.f.read(); err != nil {
		return nil, err
	}
	return l.Store.UnsentNotices(ctx, limit)
}

// NewestUnsent is notify.Store.
func (l lettered) NewestUnsent(ctx context.Context) (purchase.Instant, error) {
	if err := l.f.read(); err != nil {
		return 0, err
	}
	return l.Store.NewestUnsent(ctx)
}

// MarkSent is notify.Store.
func (l lettered) MarkSent(ctx context.Context, notices []purchase.Notice, at purchase.Instant) error {
	return l.f.write(func() error {
		for i := range notices {
			if _, taken := l.f.w.centre.letters[letterID(&notices[i])]; !taken {
				l.f.w.fail("N5", 0, "message %d is marked as sent, and the centre has not taken it", notices[i].Purchase)
			}
		}
		return l.Store.MarkSent(ctx, notices, at)
	})
}

// letterID names a message to the centre.
func letterID(n *purchase.Notice) string { return "L" + strconv.FormatInt(int64(n.Purchase), 10) }

// letterLine is the centre as the outbox of such messages reaches it.
type letterLine struct{ w *world }

// Send is notify.Centre.
func (l letterLine) Send(_ context.Context, m notify.Message) error {
	w, c := l.w, l.w.centre
	c.tries[m.ID]++
	d := w.dice(41, uint64(c.tries[m.ID]), uint64(m.To)) //nolint:gosec // small numbers
	fault := Fault(0)
	if !w.calm {
		fault = w.plan.script.draw(d, CentreName, w.now.Sub(w.begins), centreFaults)
	}
	if fault != 0 {
		w.tally.Hits[fault]++
	}
	w.tally.Messages++
	switch {
	case fault == CentreDown, !w.calm && w.now < c.downTill:
		return errCentre
	case fault == MessageRefused:
		return fmt.Errorf("%w: try later", notify.ErrRefused)
	}
	switch was, known := c.letters[m.ID]; {
	case known && was != m.Text:
		w.fail("N3", 0, "message %s was sent with two texts: %q and %q", m.ID, was, m.Text)
	case known && !m.Resend:
		w.fail("N3", 0, "message %s was sent again without a mark", m.ID)
	case !known:
		c.letters[m.ID] = m.Text
		w.note("letter", 0, m.ID+" "+m.Text)
		w.play.letter(m, c.takes())
	}
	if fault == MessageUnheard {
		return errCentre
	}
	return nil
}

// openLetters builds a process's outbox of such messages, in a world that follows a script.
func (n *node) openLetters() {
	w := n.w
	keeps, ok := w.store.Backing.(interface{ Letters() notify.Store })
	if w.plan.script == nil || !ok {
		return
	}
	var err error
	n.letters, err = notify.NewOutbox(notify.OutboxConfig{Store: lettered{keeps.Letters(), w.store.of(n)}, Centre: letterLine{w}, Clock: clock{n},
		Log: n.log(), Name: letterID, Concurrency: 1, Others: outboxLooks, Batch: w.centre.batch(),
		Standing: func(ctx context.Context) (bool, bool, error) { return w.store.of(n).Standing(ctx, n.epoch) }})
	if err != nil {
		w.fail("start", 0, "node %s: %v", n.name, err)
		return
	}
	n.post(time.Millisecond)
}

// post lets the outbox of such messages work, and again as it says.
func (n *node) post(d time.Duration) {
	if n.letters == nil {
		return
	}
	at := n.w.now.Add(max(d, n.w.centre.busy()))
	if n.postsAt != 0 && n.postsAt <= at {
		return
	}
	n.postsAt = at
	n.then(at.Sub(n.w.now), func() {
		if n.postsAt != at || n.letters == nil {
			return
		}
		n.postsAt = 0
		next, _ := n.letters.Step(n.w.ctx, clock{n}.Now())
		wait := max(next.Sub(clock{n}.Now()), time.Millisecond)
		if n.w.calm || n.index > 0 { // it takes days, or another delivers and this one looks whether it must
			wait = max(wait, 30*time.Second)
		}
		n.post(wait)
	})
}
