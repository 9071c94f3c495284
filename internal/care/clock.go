package care

import "tenu/internal/purchase"

// Clock is a case's two deadlines. While the case waits for the customer it stands
// still: what had not passed by then moves by as long as it stood. A deadline that was
// missed stays missed.
type Clock struct {
	AnswerBy, ResolveBy purchase.Instant
	PausedAt            purchase.Instant // zero while it runs
}

// Start is a clock that begins at an instant.
func (c *Clocks) Start(at purchase.Instant) Clock {
	return Clock{AnswerBy: at.Add(c.AnswerWithin), ResolveBy: at.Add(c.ResolveWithin)}
}

// Pause is the clock standing still from an instant on. A clock that stands already
// stays as it is.
func (c Clock) Pause(at purchase.Instant) Clock {
	if c.PausedAt == 0 {
		c.PausedAt = at
	}
	return c
}

// Resume is the clock running on at an instant. A wall clock that was put back
// meanwhile takes nothing from anybody: no deadline moves to before where it was.
func (c Clock) Resume(at purchase.Instant) Clock {
	if c.PausedAt == 0 {
		return c
	}
	stood := max(at-c.PausedAt, 0)
	moved := func(by purchase.Instant) purchase.Instant {
		if by <= c.PausedAt {
			return by
		}
		return by + stood
	}
	return Clock{AnswerBy: moved(c.AnswerBy), ResolveBy: moved(c.ResolveBy)}
}

// At are the deadlines as they would be if the clock ran on at an instant.
func (c Clock) At(now purchase.Instant) Clock {
	return c.Resume(now)
}
