package ussd

import (
	"context"
	"errors"
	"slices"
	"time"

	"tenu/internal/purchase"
)

// Kept is what is kept of a number's newest session that went past its first screen.
type Kept struct {
	Number  purchase.MSISDN
	Session string
	At      purchase.Instant // of its last turn
	Typed   []string
	Ended   bool // there is nothing to go on with
	// Base is what the session was asked at its beginning to go on with; its Session
	// is "" when it was not asked.
	Base Base
}

// Base is a session that was dropped, as far as it went.
type Base struct {
	Session string
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

// resolve says where a session is that was asked whether to go on with its base: what
// it goes on with, and false while it has not chosen.
func (k *Kept) resolve(session string, typed []string) (at Base, chosen bool) {
	if k.Base.Session == "" {
		return Base{session, typed}, true
	}
	for i, choice := range typed {
		switch rest := typed[i+1:]; trim(choice) {
		case "1":
			return Base{k.Base.Session, slices.Concat(k.Base.Typed, rest)}, true
		case "2":
			return Base{session, rest}, true
		}
	}
	return k.Base, false
}

// recall reads what is kept, and offers a session that just began what was dropped
// before it. The offer is kept before it is shown, so that it stands for the whole
// session. Without a store nothing is offered.
func (m *Menu) recall(ctx context.Context, turn *Turn, now purchase.Instant) (kept Kept, known bool, err error) {
	kept, err = m.cfg.Store.USSDSession(ctx, turn.Number)
	if err != nil {
		return Kept{}, false, nil //nolint:nilerr // the menus do without
	}
	dropped := kept.Session != "" && kept.Session != turn.Session && !kept.Ended && now < kept.At.Add(resumeWithin)
	if len(turn.Typed) > 0 || !dropped {
		return kept, true, nil
	}
	base, _ := kept.resolve(kept.Session, kept.Typed)
	if len(base.Typed) == 0 {
		return kept, true, nil
	}
	fresh := Kept{Number: turn.Number, Session: turn.Session, At: now, Base: base}
	switch err := m.cfg.Store.KeepUSSDSession(ctx, fresh); {
	case err == nil:
		return fresh, true, nil
	case errors.Is(err, purchase.ErrUnavailable):
		return kept, true, nil
	default: // it may be kept or not: what would be typed next has two meanings
		return kept, true, err
	}
}

// keep keeps where the session is, once its screen is known. What cannot be kept
// cannot be resumed, and is no reason to fail.
func (s *session) keep(kept *Kept, typed []string, ended bool) {
	k := Kept{Number: s.turn.Number, Session: s.asked, At: purchase.At(s.now), Typed: typed, Ended: ended}
	if kept.Session == s.asked {
		k.Base = kept.Base
		if slices.Equal(kept.Typed, typed) && kept.Ended == ended {
			return // the gateway asks again
		}
	} else if ended || kept.Base.Session == s.asked {
		return // it leaves nothing behind, or another goes on with it already
	}
	if len(typed) == 0 || s.cfg.Store.KeepUSSDSession(s.ctx, k) != nil {
		return
	}
	if last := s.swept.Load(); int64(k.At) >= last+keptFor.Microseconds() && s.swept.CompareAndSwap(last, int64(k.At)) {
		_ = s.cfg.Store.DropUSSDSessions(s.ctx, k.At.Add(-keptFor)) // or the next time
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
