package dial_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"tenu/internal/care"
	"tenu/internal/purchase"
	"tenu/internal/voice/dial"
)

// someone is a person with a phone, as a test plays them.
type someone struct {
	err     error  // does not answer
	key     byte   // presses
	leaves  string // hangs up when this is said to them
	silent  bool   // rings until nobody waits any more
	quickly bool   // hangs up when connected

	mu   sync.Mutex
	said []string
	gone chan struct{}
	once sync.Once
}

func (s *someone) HangUp()               { s.once.Do(func() { close(s.gone) }) }
func (s *someone) Done() <-chan struct{} { return s.gone }

func (s *someone) Say(_ context.Context, key string, _ purchase.MSISDN) error {
	s.mu.Lock()
	s.said = append(s.said, key)
	s.mu.Unlock()
	if s.leaves == key {
		s.HangUp()
		return errors.New("gone")
	}
	return nil
}

func (s *someone) Key(context.Context, time.Duration) (byte, error) { return s.key, nil }

func (s *someone) Bridge(ctx context.Context, other dial.Party) error {
	o, ok := other.(*someone)
	if s.quickly {
		s.HangUp()
	}
	if ok && o.quickly {
		o.HangUp()
	}
	select {
	case <-s.gone:
	case <-other.Done():
	case <-ctx.Done():
	}
	return nil
}

// wire connects a test's two people.
type wire struct{ agent, customer *someone }

func (w wire) Agent(ctx context.Context, _ string, _ time.Duration) (dial.Party, error) {
	return w.agent.answers(ctx)
}

func (w wire) Customer(ctx context.Context, _ dial.Call, _ time.Duration) (dial.Party, error) {
	return w.customer.answers(ctx)
}

func (s *someone) answers(ctx context.Context) (dial.Party, error) {
	if s.silent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if s.err != nil {
		return nil, s.err
	}
	return s, nil
}

// soon is a clock that waits for nothing.
type soon struct{}

func (soon) Now() purchase.Instant { return noon }
func (soon) After(time.Duration) <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}

// never is a clock on which no time passes.
type never struct{ soon }

func (never) After(time.Duration) <-chan time.Time { return nil }

func TestLines(t *testing.T) {
	fails := func(r care.Ring) error { return &dial.Failure{Ring: r} }
	down := &dial.Failure{Ring: care.Unreachable, Down: true}
	for name, c := range map[string]struct {
		agent, customer *someone
		first, late     bool
		asked           bool
		clock           purchase.Clock
		news            []dial.News
		ring            care.Ring
		down            bool
		heard           []string // by the customer
	}{
		"they speak":                {&someone{key: '1'}, &someone{}, false, false, false, soon{}, []dial.News{dial.Taken, dial.Spoke, dial.Ended}, care.Lost, false, []string{"callback"}},
		"late":                      {&someone{key: '1'}, &someone{}, false, true, false, soon{}, []dial.News{dial.Taken, dial.Spoke, dial.Ended}, care.Lost, false, []string{"callback_late"}},
		"asked for":                 {&someone{}, &someone{}, false, false, true, soon{}, []dial.News{dial.Taken, dial.Spoke, dial.Ended}, care.Lost, false, []string{"callback"}},
		"the agent presses nothing": {&someone{}, &someone{}, false, false, false, soon{}, []dial.News{dial.Missed, dial.Ended}, care.Undialled, false, nil},
		"the agent hangs up":        {&someone{leaves: "agent_call"}, &someone{}, false, false, false, soon{}, []dial.News{dial.Missed, dial.Ended}, care.Undialled, false, nil},
		"the agent does not answer": {&someone{err: fails(care.NoAnswer)}, &someone{}, false, false, false, soon{}, []dial.News{dial.Missed, dial.Ended}, care.Undialled, false, nil},
		"the exchange is down":      {&someone{err: down}, &someone{}, false, false, false, soon{}, []dial.News{dial.Ended}, care.Undialled, true, nil},
		"the trunk is down":         {&someone{key: '1'}, &someone{err: down}, false, false, false, soon{}, []dial.News{dial.Taken, dial.Ended}, care.Undialled, true, nil},
		"busy":                      {&someone{key: '1'}, &someone{err: fails(care.Busy)}, false, false, false, soon{}, []dial.News{dial.Taken, dial.Ended}, care.Busy, false, nil},
		"hangs up in the greeting":  {&someone{key: '1'}, &someone{leaves: "callback"}, false, false, false, soon{}, []dial.News{dial.Taken, dial.Ended}, care.Declined, false, []string{"callback"}},
		"hangs up at once":          {&someone{key: '1'}, &someone{quickly: true}, false, false, false, never{}, []dial.News{dial.Taken, dial.Ended}, care.Declined, false, []string{"callback"}},
		"the agent does at once":    {&someone{key: '1', quickly: true}, &someone{}, false, false, false, never{}, []dial.News{dial.Taken, dial.Ended}, care.Lost, false, []string{"callback"}},
		"customer first":            {&someone{}, &someone{}, true, false, false, soon{}, []dial.News{dial.Taken, dial.Spoke, dial.Ended}, care.Lost, false, []string{"callback"}},
		"customer first, declined":  {&someone{}, &someone{err: fails(care.Declined)}, true, false, false, soon{}, []dial.News{dial.Ended}, care.Declined, false, nil},
		"customer first, no agent":  {&someone{err: fails(care.NoAnswer)}, &someone{}, true, false, false, soon{}, []dial.News{dial.Missed, dial.Ended}, care.Lost, false, []string{"callback", "busy"}},
		"customer first, hangs up while the agent's phone rings": {&someone{silent: true}, &someone{leaves: "callback"}, true, false, false, soon{},
			[]dial.News{dial.Ended}, care.Declined, false, []string{"callback"}},
	} {
		t.Run(name, func(t *testing.T) {
			agent, customer := c.agent, c.customer
			agent.gone, customer.gone = make(chan struct{}), make(chan struct{})
			events := make(chan dial.Event, 10)
			lines := dial.NewLines(wire{agent, customer}, c.clock, func(e dial.Event) {
				if e.News == dial.Spoke {
					agent.HangUp() // in the end
				}
				events <- e
			})
			call := dial.Call{Name: "a-1-1", CustomerFirst: c.first, Late: c.late, Asked: c.asked, Number: 22670000001}
			if err := lines.Call(t.Context(), call); err != nil {
				t.Fatal(err)
			}
			var news []dial.News
			var last dial.Event
			for last.News != dial.Ended {
				last = <-events
				news = append(news, last.News)
			}
			lines.Close()
			if !slices.Equal(news, c.news) || last.Ring != c.ring || last.Down != c.down || last.Call != call.Name {
				t.Errorf("%v, %+v", news, last)
			}
			if !slices.Equal(customer.said, c.heard) {
				t.Errorf("the customer heard %v", customer.said)
			}
			for _, s := range []*someone{agent, customer} {
				if s.err == nil && !s.silent && len(s.said) > 0 {
					<-s.gone // nobody is left on the line
				}
			}
			if err := lines.Call(t.Context(), call); !errors.Is(err, dial.ErrUndialled) {
				t.Errorf("after the end: %v", err)
			}
		})
	}
}

// Who is hung up does not ring any more, and missed nothing.
func TestLinesHangUp(t *testing.T) {
	for _, first := range []bool{false, true} {
		t.Run(fmt.Sprintf("customer first %t", first), func(t *testing.T) {
			events := make(chan dial.Event, 10)
			lines := dial.NewLines(wire{&someone{silent: true}, &someone{silent: true}}, soon{}, func(e dial.Event) { events <- e })
			call := dial.Call{Name: "a-1-1", CustomerFirst: first}
			for range 2 { // twice is as once
				if err := lines.Call(t.Context(), call); err != nil {
					t.Fatal(err)
				}
			}
			lines.HangUp("another")
			lines.HangUp(call.Name)
			want := map[bool]care.Ring{false: care.Undialled, true: care.Lost}[first]
			if e := <-events; e.News != dial.Ended || e.Ring != want {
				t.Errorf("%+v", e)
			}
			lines.Close()
			if len(events) != 0 {
				t.Errorf("%+v", <-events)
			}
		})
	}
}
