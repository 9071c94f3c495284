package ussd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"tenu/internal/purchase"
)

// Kept is what is kept of a number's newest session that went past its first screen.
type Kept struct {
	Number purchase.MSISDN
	Base                    // as far as it went
	At     purchase.Instant // of its last turn
	Ended  bool             // there is nothing to go on with
	// Dropped is what the session was asked at its beginning to go on with; its
	// Session is "" when it was not asked.
	Dropped Base
}

// Base is a session as far as it went.
type Base struct {
	Session string
	Began   purchase.Instant
	Typed   []string
}

// Store keeps sessions, one of a number. What a method changed is durable on
// return. Errors wrap purchase.ErrUnavailable when nothing was changed.
type Store interface {
	// USSDSession returns what is kept of a number; the zero Kept when nothing is.
	USSDSession(ctx context.Context, number purchase.MSISDN) (Kept, error)
	// KeepUSSDSession replaces what is kept of a number. A turn that comes late, with
	// less typed than is kept of its session, changes nothing.
	KeepUSSDSession(ctx context.Context, k Kept) error
	// DropUSSDSessions forgets those whose last turn was before an instant.
	DropUSSDSessions(ctx context.Context, before purchase.Instant) error
}

// The times of what is kept.
const (
	// resumeWithin is how long after its last turn a session is offered again.
	resumeWithin = 3 * time.Minute
	// keptFor is how long a gateway may still ask for a turn that was answered.
	keptFor = time.Hour
)

// resolve says where a session is that was asked whether to go on with another: what
// it goes on with, and false while it has not chosen.
func (k *Kept) resolve(now Base) (at Base, chosen bool) {
	if k.Dropped.Session == "" {
		return now, true
	}
	for i, choice := range now.Typed {
		switch rest := now.Typed[i+1:]; strings.TrimSpace(choice) {
		case "1":
			return Base{k.Dropped.Session, k.Dropped.Began, slices.Concat(k.Dropped.Typed, rest)}, true
		case "2":
			return Base{now.Session, now.Began, rest}, true
		}
	}
	return k.Dropped, false
}

// recall reads what is kept, and offers a session that just began what was dropped
// before it. The offer is kept before it is shown, so that it stands for the whole
// session. Without a store nothing is offered.
func (m *Menu) recall(ctx context.Context, turn *Turn, now purchase.Instant) (kept Kept, known bool, err error) {
	kept, err = m.cfg.Store.USSDSession(ctx, turn.Number)
	if err != nil {
		return Kept{}, false, nil //nolint:nilerr // the menus do without
	}
	left := kept.Session != "" && kept.Session != turn.Session && !kept.Ended && now < kept.At.Add(resumeWithin)
	if len(turn.Typed) > 0 || !left {
		return kept, true, nil
	}
	dropped, _ := kept.resolve(kept.Base)
	if len(dropped.Typed) == 0 {
		return kept, true, nil
	}
	fresh := Kept{Number: turn.Number, Base: Base{turn.Session, now, nil}, At: now, Dropped: dropped}
	switch err := m.cfg.Store.KeepUSSDSession(ctx, fresh); {
	case err == nil:
		return fresh, true, nil
	case errors.Is(err, purchase.ErrUnavailable):
		return kept, true, nil
	default: // it may be kept or not: what would be typed next has two meanings
		return kept, true, err
	}
}

// keep keeps where a session is, once its screen is known. What cannot be kept cannot
// be gone on with, and is no reason to fail.
func (m *Menu) keep(ctx context.Context, kept *Kept, k Kept) {
	switch {
	case len(k.Typed) == 0:
		return
	case kept.Session == k.Session:
		k.Dropped = kept.Dropped
		if slices.Equal(kept.Typed, k.Typed) && kept.Ended == k.Ended {
			return // the gateway asks again
		}
	case k.Ended, kept.Dropped.Session == k.Session:
		return // it leaves nothing behind, or another goes on with it already
	}
	if m.cfg.Store.KeepUSSDSession(ctx, k) != nil {
		return
	}
	if last := m.swept.Load(); int64(k.At) >= last+keptFor.Microseconds() && m.swept.CompareAndSwap(last, int64(k.At)) {
		_ = m.cfg.Store.DropUSSDSessions(ctx, k.At.Add(-keptFor)) // or the next time
	}
}

// offer asks whether to go on with what was dropped, below where the last purchase stands.
func (s *session) offer(wrong bool) Screen {
	heading := s.greeting()
	if wrong {
		heading = s.Say("wrong")
	}
	return s.wait(heading, s.Say("resume_yes"), s.Say("resume_no"))
}
