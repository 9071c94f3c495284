package switchboard_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/testpeer"
	"tenu/internal/voice/centre"
	"tenu/internal/voice/line"
	"tenu/internal/voice/media"
	"tenu/internal/voice/sound"
	"tenu/internal/voice/speech"
	"tenu/internal/voice/switchboard"
)

// clock is the machine's, on which five seconds pass soon: announcements come often.
type clock struct{}

func (clock) Now() purchase.Instant { return purchase.At(time.Now()) }
func (clock) After(d time.Duration) <-chan time.Time {
	if d == 5*time.Second {
		d /= 20
	}
	return time.After(d)
}

// faulty is a store with faults where a test wants them.
type faulty struct {
	*store.Memory
	move atomic.Pointer[func(agents []centre.Agent, move func() (int, error)) (int, error)]
	deaf atomic.Bool // no agent can be read
}

func (s *faulty) MoveAgents(ctx context.Context, agents ...centre.Agent) (int, error) {
	move := func() (int, error) { return s.Memory.MoveAgents(ctx, agents...) }
	if fault := s.move.Load(); fault != nil {
		return (*fault)(agents, move)
	}
	return move()
}

func (s *faulty) Agent(ctx context.Context, staff auth.StaffID) (centre.Agent, error) {
	if s.deaf.Load() {
		return centre.Agent{}, fmt.Errorf("test: %w", purchase.ErrUnavailable)
	}
	return s.Memory.Agent(ctx, staff)
}

// The agent's and the customer's telephones.
const (
	extension = "201"
	customer  = "+22670112233"
)

// sounds are read once, for it takes long.
var sounds = sync.OnceValues(func() (*sound.Library, error) { return sound.Load(nil) })

// rig is a switchboard over a line, with an exchange beyond it, and one agent who is ready.
type rig struct {
	*switchboard.Switchboard
	t        *testing.T
	exchange *testpeer.Exchange
	store    *faulty
	queue    *centre.Queue
	at       netip.AddrPort
	calls    chan *line.Call
	sounds   *sound.Library
	voices   *speech.Voices
	ready    centre.Agent
}

// newRig has calls go out to an address, or to the exchange.
func newRig(t *testing.T, to string) *rig {
	t.Helper()
	r := &rig{t: t, exchange: testpeer.NewExchange(t), store: &faulty{Memory: store.NewMemory()}, calls: make(chan *line.Call, 10)}
	r.voices, r.sounds = must(speech.Load())(t), must(sounds())(t)
	probe := must(net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}))(t)
	r.at = netip.MustParseAddrPort(probe.Addr().String())
	_ = probe.Close()
	if to == "" {
		to = r.exchange.Address().String()
	}
	r.queue = centre.New(centre.Config{Store: r.store, Clock: clock{}, Node: "n", RingFor: 2 * time.Second})
	r.Switchboard = switchboard.New(switchboard.Config{Queue: r.queue, Clock: clock{}, RingFor: 2 * time.Second, Agents: "core", Customers: "core"})
	random := rand.New(rand.NewPCG(1, uint64(r.at.Port()))) //nolint:gosec // a test's
	streams := must(media.New(media.Config{Address: r.at.Addr(), From: 40_000, To: 48_999, Patience: time.Minute, Clock: clock{}, Random: random.Uint64}))(t)
	l := must(line.New(line.Config{Address: r.at, Identity: "121", Capacity: 5, RetryAfter: time.Second, Language: "fr", Media: streams, Sounds: r.sounds, Voices: r.voices,
		Trunks: []line.Trunk{{Name: "core", Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Asserts: true, Address: to}},
		Clock:  clock{}, Log: slog.New(slog.DiscardHandler), Refused: func() {}, Overload: func(context.Context, *line.Call) {},
		Serve: func(ctx context.Context, c *line.Call) { r.calls <- c; <-ctx.Done() },
		Number: func(text string) (purchase.MSISDN, bool) {
			n, err := strconv.ParseInt(strings.TrimPrefix(text, "+"), 10, 64)
			return purchase.MSISDN(n), err == nil
		}}))(t)
	r.Join(l)
	ctx, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { streams.Run(ctx) })
	running.Go(func() { r.queue.Run(ctx) })
	running.Go(func() {
		if err := l.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { end(); running.Wait() })
	if err := r.queue.Sign(t.Context(), 1, extension); err != nil {
		t.Fatal(err)
	}
	r.ready = r.agent()
	return r
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// agent is the agent as the store has them.
func (r *rig) agent() centre.Agent {
	r.t.Helper()
	return must(r.store.Memory.Agent(r.t.Context(), 1))(r.t)
}

// call is a call to the line, at both its ends.
func (r *rig) call() (*testpeer.Talk, *line.Call) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	for {
		talk, err := r.exchange.Call(ctx, r.at, customer)
		switch {
		case err == nil:
			return talk, <-r.calls
		case ctx.Err() != nil:
			r.t.Fatal(err)
		}
	}
}

// enter lets a caller wait, who is given the agent.
func (r *rig) enter() (*centre.Place, centre.Agent) {
	r.t.Helper()
	place := must(r.queue.Enter(centre.Waiter{Call: "c", Number: 22670112233}))(r.t)
	return place, r.given(place)
}

func (r *rig) given(p *centre.Place) centre.Agent {
	r.t.Helper()
	select {
	case a := <-p.Given():
		return a
	case <-time.After(10 * time.Second):
		r.t.Fatalf("no agent is given to who is at %d: %+v", p.At(), r.agent())
		return centre.Agent{}
	}
}

// waits fails unless the caller is the next one in the line.
func (r *rig) waits(p *centre.Place) {
	r.t.Helper()
	if p.At() != 1 {
		r.t.Errorf("the caller waits at %d", p.At())
	}
}

// said is the sound of a phrase.
func (r *rig) said(key string, values map[string]speech.Value) (all []byte) {
	for _, clip := range r.voices.Say("fr", key, values) {
		all = append(all, r.sounds.Clip(sound.ALaw, "fr", clip)...)
	}
	return all
}

// converse fails unless both hear each other, what was said as it was said.
func (r *rig) converse(a, b *testpeer.Talk) {
	r.t.Helper()
	for _, two := range [2][2]*testpeer.Talk{{a, b}, {b, a}} {
		voice, heard := r.said("busy", nil)[1600:4800], make(chan struct{})
		var speaking sync.WaitGroup
		speaking.Go(func() {
			for {
				select {
				case <-heard:
					return
				default:
					two[0].Speak(voice)
				}
			}
		})
		if !two[1].Hear(voice[:480], 20*time.Second) {
			r.t.Error("one of the two is not heard")
		}
		close(heard)
		speaking.Wait()
	}
}

// over fails unless a call is over soon.
func (r *rig) over(what string, ended <-chan struct{}) {
	r.t.Helper()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		r.t.Errorf("not over: %s", what)
	}
}
