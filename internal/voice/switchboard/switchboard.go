// Package switchboard connects people over the line: callers who wait with agents, and agents with customers
// who were promised a call. It is what talk and dial ask for telephones.
package switchboard

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"tenu/internal/care"
	"tenu/internal/purchase"
	"tenu/internal/voice/centre"
	"tenu/internal/voice/dial"
	"tenu/internal/voice/line"
	"tenu/internal/voice/speech"
	"tenu/internal/voice/talk"
)

// The times of a connection.
const (
	restFor  = 10 * time.Second // after the exchange was not reached nobody is connected
	calmFor  = 5 * time.Second  // between two announcements to a caller for whom an agent's telephone rings
	tellFor  = 5 * time.Second  // the store is waited for when a call is over
	speakFor = 4 * time.Hour    // two speak, at most
)

// Config is what a switchboard is built from. All of it is needed but the trunks.
type Config struct {
	Queue   *centre.Queue
	Clock   purchase.Clock
	RingFor time.Duration // an agent's telephone, for a caller who waits
	// Agents and Customers are the trunks that they are called over; "": they are not called.
	Agents, Customers string
}

// Switchboard is talk.Agents and dial.Line. It is safe for concurrent use.
type Switchboard struct {
	cfg  Config
	line *line.Line
	rest atomic.Int64 // the exchange was not reached: until when nobody is connected
}

// New returns a switchboard, which is to Join a line before it is used.
func New(cfg Config) *Switchboard { return &Switchboard{cfg: cfg} }

// Join gives the switchboard the line that it calls over; the line has it for whom it serves.
func (s *Switchboard) Join(l *line.Line) { s.line = l }

// Open reports whether callers can be connected with agents now.
func (s *Switchboard) Open() bool {
	return s.cfg.Agents != "" && s.cfg.Clock.Now() >= purchase.Instant(s.rest.Load()) && s.cfg.Queue.Open()
}

// Estimate is how long a caller would wait now, and at which place; ok is false when nobody can say.
func (s *Switchboard) Estimate(first bool) (place int, least, most time.Duration, ok bool) {
	return s.cfg.Queue.Estimate(first)
}

// Enter lets a caller wait, or returns centre.ErrFull.
func (s *Switchboard) Enter(w centre.Waiter) (talk.Place, error) { return s.cfg.Queue.Enter(w) }

// Connect lets an agent's telephone ring for a caller and, once it is answered, the two speak until one of them hangs
// up. It returns when the agent took the call, zero for one who did not, and what the two are told of that
// matters to nobody else. An agent who does not answer is away; an exchange that is not reached, or a store, is no agent's
// fault. In each case the caller waits on.
func (s *Switchboard) Connect(ctx context.Context, c *line.Call, a centre.Agent) (purchase.Instant, error) {
	calm, calmed := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() { defer close(over); s.calm(calm, c) }()
	agent, err := s.line.Dial(ctx, line.Outgoing{Trunk: s.cfg.Agents, To: a.Extension, Language: c.Language, Within: s.cfg.RingFor})
	calmed()
	<-over
	if err != nil {
		return 0, errors.Join(err, s.missed(ctx, a, err))
	}
	defer agent.HangUp()
	if _, err = s.cfg.Queue.Take(ctx, a); err != nil {
		agent.HangUp()
		return 0, errors.Join(err, s.unmet(ctx, a))
	}
	taken := s.cfg.Clock.Now()
	speaking, stop := context.WithTimeout(ctx, speakFor)
	defer stop()
	err = c.Bridge(speaking, agent)
	agent.HangUp() // before the store is told, which may take a while
	return taken, errors.Join(err, s.end(ctx, a, s.cfg.Queue.Over))
}

// calm says to a caller that an agent comes, until ctx ends.
func (s *Switchboard) calm(ctx context.Context, c *line.Call) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.cfg.Clock.After(calmFor):
		}
		if c.Say(ctx, "connecting", nil) != nil {
			return
		}
	}
}

// missed notes of an agent whose telephone was not answered what follows from why.
func (s *Switchboard) missed(ctx context.Context, a centre.Agent, why error) error {
	if s.down(why) || ctx.Err() != nil {
		return s.unmet(ctx, a)
	}
	return s.end(ctx, a, s.cfg.Queue.Miss)
}

// unmet lets an agent be as before who did not come to speak, by no fault of theirs. A caller who is still there waits on.
func (s *Switchboard) unmet(ctx context.Context, a centre.Agent) error {
	if ctx.Err() != nil {
		return s.end(ctx, a, s.cfg.Queue.Over)
	}
	return s.end(ctx, a, s.cfg.Queue.Back)
}

// down reports whether a failure would be everybody's, and then nobody is connected for a while.
func (s *Switchboard) down(err error) bool {
	var f *line.Failure
	down := errors.As(err, &f) && f.Why == line.Unreachable && !f.Theirs && (f.Code == 0 || f.Code == 401 || f.Code == 407 || f.Code >= 500 && f.Code < 600)
	if down {
		s.rest.Store(int64(s.cfg.Clock.Now().Add(restFor)))
	}
	return down
}

// end tells the queue that a call is over, also when the call's context is.
func (s *Switchboard) end(ctx context.Context, a centre.Agent, how func(context.Context, centre.Agent) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellFor)
	defer cancel()
	if err := how(ctx, a); !errors.Is(err, centre.ErrStale) {
		return err
	}
	return nil
}

// Agent is dial.Line.
func (s *Switchboard) Agent(ctx context.Context, extension string, within time.Duration) (dial.Party, error) {
	return s.call(ctx, line.Outgoing{Trunk: s.cfg.Agents, To: extension, Within: within})
}

// Customer is dial.Line.
func (s *Switchboard) Customer(ctx context.Context, c dial.Call, within time.Duration) (dial.Party, error) {
	return s.call(ctx, line.Outgoing{Trunk: s.cfg.Customers, To: c.Number.String(), Language: string(c.Language), Within: within})
}

func (s *Switchboard) call(ctx context.Context, o line.Outgoing) (dial.Party, error) {
	c, err := s.line.Dial(ctx, o)
	if err != nil {
		return nil, &dial.Failure{Ring: ring(err), Down: s.down(err)}
	}
	return party{c}, nil
}

// ring is what became of a telephone that was not answered.
func ring(err error) care.Ring {
	var f *line.Failure
	if !errors.As(err, &f) {
		return care.Lost
	}
	switch f.Why {
	case line.Busy:
		return care.Busy
	case line.NoAnswer:
		return care.NoAnswer
	case line.Declined:
		return care.Declined
	case line.Unreachable:
		return care.Unreachable
	case line.Cancelled:
	}
	return care.Lost
}

// party is whoever answered.
type party struct{ *line.Call }

// Say is dial.Party.
func (p party) Say(ctx context.Context, key string, number purchase.MSISDN) error {
	return p.Call.Say(ctx, key, map[string]speech.Value{"Number": speech.Digits(number.String()[1:])})
}

// Bridge is dial.Party.
func (p party) Bridge(ctx context.Context, other dial.Party) error {
	o, ours := other.(party)
	if !ours {
		return errors.New("switchboard: somebody of another switchboard")
	}
	return p.Call.Bridge(ctx, o.Call)
}
