package centre

import (
	"context"
	"slices"
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// observedFor is for how long an agent speaks at most whom a telephone system says so of: then its end was lost.
const observedFor = 2 * time.Hour

// Observe notes what a telephone system that has its own queue says of an agent's telephone: Talking, in a call of that name with a
// number (0: nobody knows which), or anything else for the end of that call. It returns ErrExtension when nobody is at the
// telephone. Noted before, or of a call that is not the agent's any more, it changes nothing. Durable on return.
func (q *Queue) Observe(ctx context.Context, extension, call string, number purchase.MSISDN, s State) error {
	if err := q.take(ctx); err != nil {
		return err
	}
	defer q.pass()
	defer q.wakeUp()
	if err := q.look(ctx); err != nil {
		return err
	}
	known := q.known()
	i := slices.IndexFunc(known, func(a Agent) bool { return a.Extension == extension && a.State != Away })
	if i < 0 {
		return ErrExtension
	}
	if q.isOver(known[i].Staff, call, s) {
		return nil
	}
	_, err := q.change(ctx, known[i].Staff, func(a *Agent) (bool, error) {
		now := q.cfg.Clock.Now()
		switch {
		case a.Extension != extension || a.State == Away:
			return false, ErrExtension
		case s != Talking && a.State == Talking && a.Call == call:
			q.wrap(a, now)
			return true, nil
		case s != Talking || a.Call == call || a.Busy():
			return false, nil // known, over, or of a call that we gave them ourselves
		}
		a.clear()
		a.State, a.Since, a.Till, a.Call, a.Number = Talking, now, now.Add(observedFor), call, number
		return true, nil
	})
	return err
}

// isOver reports whether it was said before, here, that the call of an agent ended: events may come again, and in another order.
func (q *Queue) isOver(staff auth.StaffID, call string, s State) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s != Talking {
		q.over[staff] = call
		return false
	}
	return q.over[staff] == call
}
