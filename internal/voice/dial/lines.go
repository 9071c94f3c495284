package dial

import (
	"context"
	"errors"
	"sync"
	"time"

	"tenu/internal/care"
	"tenu/internal/purchase"
)

// Line makes calls over SIP. Its implementation translates line.Line's.
type Line interface {
	// Agent lets an agent's phone ring, Customer a customer's, for at most a time. They return whoever answered,
	// or a *Failure. When ctx ends the phone does not ring any more; who answered is not concerned.
	Agent(ctx context.Context, extension string, within time.Duration) (Party, error)
	Customer(ctx context.Context, c Call, within time.Duration) (Party, error)
}

// Party is somebody who answered.
type Party interface {
	// Say says a phrase to its end, with the number that it names. An error says that they are gone.
	Say(ctx context.Context, key string, number purchase.MSISDN) error
	// Key waits for a key, and returns 0 when none is pressed in time. An error says that they are gone.
	Key(ctx context.Context, within time.Duration) (byte, error)
	// Bridge lets two hear each other, until one of them is gone or ctx ends.
	Bridge(ctx context.Context, other Party) error
	Done() <-chan struct{} // closed when they are gone
	HangUp()
}

// Failure is why nobody answered.
type Failure struct {
	Ring care.Ring // what became of it: Busy, NoAnswer, Unreachable, Declined
	Down bool      // whoever is called: the exchange did not answer, or not for us
}

// Error is the ring's word.
func (f *Failure) Error() string { return "not answered: " + f.Ring.String() }

// The times of a call.
const (
	agentFor    = 20 * time.Second // an agent's phone rings
	customerFor = 45 * time.Second // a customer's phone rings
	pressFor    = 10 * time.Second // an agent has to say that they speak
	spokenFor   = 3 * time.Second  // two hear each other before they count as having spoken
)

// Lines are Phones over a line: each call has a goroutine, of which there are as many as agents.
type Lines struct {
	line  Line
	clock purchase.Clock
	heard func(Event)

	mu    sync.Mutex
	calls map[string]context.CancelFunc
	group sync.WaitGroup
}

// NewLines returns phones over a line. What becomes of calls is told to heard.
func NewLines(line Line, clock purchase.Clock, heard func(Event)) *Lines {
	return &Lines{line: line, clock: clock, heard: heard, calls: map[string]context.CancelFunc{}}
}

// Call is Phones.
func (l *Lines) Call(ctx context.Context, c Call) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls[c.Name] != nil {
		return nil
	}
	if l.calls == nil {
		return ErrUndialled
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // who asked for it need not wait for its end
	l.calls[c.Name] = cancel
	l.group.Go(func() {
		defer cancel()
		x := conversation{Lines: l, Call: c}
		end := x.agentFirst
		if c.CustomerFirst {
			end = x.customerFirst
		}
		ended := end(ctx)
		l.mu.Lock()
		delete(l.calls, c.Name)
		l.mu.Unlock()
		ended.Call, ended.News = c.Name, Ended
		l.heard(ended)
	})
	return nil
}

// HangUp is Phones.
func (l *Lines) HangUp(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if cancel := l.calls[name]; cancel != nil {
		cancel()
	}
}

// Close hangs up all calls, and returns when they are over. There are no more calls then.
func (l *Lines) Close() {
	l.mu.Lock()
	for _, cancel := range l.calls {
		cancel()
	}
	l.calls = nil
	l.mu.Unlock()
	l.group.Wait()
}

// conversation is one call.
type conversation struct {
	*Lines
	Call
}

func (x *conversation) tell(n News) { x.heard(Event{Call: x.Name, News: n}) }

// agentFirst asks the agent, and then lets the customer's phone ring.
func (x *conversation) agentFirst(ctx context.Context) Event {
	agent, err := x.line.Agent(ctx, x.Extension, agentFor)
	if err != nil {
		return x.unanswered(ctx, err, care.Undialled)
	}
	defer agent.HangUp()
	if !x.Asked && !x.wants(ctx, agent) {
		if ctx.Err() == nil {
			x.tell(Missed)
		}
		return Event{Ring: care.Undialled}
	}
	x.tell(Taken)
	ctx, cancel := until(ctx, agent)
	defer cancel()
	customer, err := x.line.Customer(ctx, x.Call, customerFor)
	if err != nil {
		return x.failed(ctx, err)
	}
	defer customer.HangUp()
	if err := x.greet(ctx, customer); err != nil {
		return Event{Ring: gone(customer)}
	}
	return x.speak(ctx, agent, customer)
}

// customerFirst lets the customer's phone ring, and the agent's when the customer has answered.
func (x *conversation) customerFirst(ctx context.Context) Event {
	customer, err := x.line.Customer(ctx, x.Call, customerFor)
	if err != nil {
		return x.failed(ctx, err)
	}
	defer customer.HangUp()
	ctx, cancel := until(ctx, customer)
	defer cancel()
	greeted := make(chan struct{})
	go func() {
		defer close(greeted)
		_ = x.greet(ctx, customer) // who hangs up is noticed below
	}()
	agent, err := x.line.Agent(ctx, x.Extension, agentFor)
	<-greeted
	if err != nil {
		ring := gone(customer)
		if present(customer) {
			_ = customer.Say(ctx, "busy", x.Number) // who is gone meanwhile is
		}
		return x.unanswered(ctx, err, ring)
	}
	defer agent.HangUp()
	x.tell(Taken)
	return x.speak(ctx, agent, customer)
}

// wants asks an agent who answered whether they speak with the customer.
func (x *conversation) wants(ctx context.Context, agent Party) bool {
	if err := agent.Say(ctx, "agent_call", x.Number); err != nil {
		return false
	}
	key, err := agent.Key(ctx, pressFor)
	return err == nil && key == '1'
}

// greet says to a customer who calls.
func (x *conversation) greet(ctx context.Context, customer Party) error {
	key := "callback"
	if x.Late {
		key = "callback_late"
	}
	return customer.Say(ctx, key, x.Number)
}

// unanswered is the end of a call whose agent did not answer. An agent whose phone was not let ring for
// as long as it might did not miss anything.
func (x *conversation) unanswered(ctx context.Context, err error, ring care.Ring) Event {
	down := isDown(err)
	if !down && ctx.Err() == nil {
		x.tell(Missed)
	}
	return Event{Ring: ring, Down: down}
}

// failed is the end of a call whose customer did not answer.
func (x *conversation) failed(ctx context.Context, err error) Event {
	var f *Failure
	switch {
	case ctx.Err() != nil || !errors.As(err, &f): // the agent hung up, or we did, while the customer's phone may have rung
		return Event{Ring: care.Lost}
	case f.Down:
		return Event{Ring: care.Undialled, Down: true}
	}
	return Event{Ring: f.Ring}
}

// speak connects the two. They have spoken when neither hung up at once.
func (x *conversation) speak(ctx context.Context, agent, customer Party) Event {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = agent.Bridge(ctx, customer) // that one of them is gone is seen below
	}()
	select {
	case <-over:
	case <-x.clock.After(spokenFor):
		if present(agent) && present(customer) && ctx.Err() == nil {
			x.tell(Spoke)
		}
		<-over
	}
	return Event{Ring: gone(customer)}
}

// gone is what became of a customer who answered and was not spoken with.
func gone(customer Party) care.Ring {
	if present(customer) {
		return care.Lost // it was not theirs to end it
	}
	return care.Declined
}

// present reports whether somebody who answered is still there.
func present(p Party) bool {
	select {
	case <-p.Done():
		return false
	default:
		return true
	}
}

// isDown reports whether nobody at all would have answered.
func isDown(err error) bool {
	var f *Failure
	return errors.As(err, &f) && f.Down
}

// until is a context that ends when somebody is gone.
func until(ctx context.Context, p Party) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		select {
		case <-p.Done():
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
