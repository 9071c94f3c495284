// Package partnertest is the conformance kit of partner adapters: what every
// adapter must do with a real partner or sandbox behind it, over real HTTP, when
// all goes well and when it does not. It knows no protocol: a Subject tells it
// how to make orders and where the partner's own books are.
package partnertest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Movement is what a partner's own books show of one execution.
type Movement struct {
	Key    string // as the partner keeps it
	Amount money.Amount
}

// Subject is an adapter with a partner behind it.
type Subject struct {
	// URL is where the partner listens, over plain HTTP.
	URL string
	// New returns the adapter asking the partner at another address than URL. It
	// releases what the adapter holds in t.Cleanup.
	New func(t testing.TB, url string) purchase.Partner
	// Legs are those that the adapter is tested with.
	Legs []purchase.Leg
	// Order returns an order that the partner can execute, under a key that it
	// has never seen. What must come before it (the charge of a refund) is done.
	Order func(t testing.TB, leg purchase.Leg) purchase.Order
	// Refused returns an order that the partner must refuse, and the reason.
	Refused func(t testing.TB, leg purchase.Leg) (purchase.Order, purchase.Reason)
	// Moves reports whether a request is the one that moves money.
	Moves func(r *http.Request, body []byte) bool
	// Booked returns what the partner's books show to have moved under the key.
	Booked func(t testing.TB, key purchase.Key) []Movement
	// Parse reads a key as the partner keeps it.
	Parse func(text string) (purchase.Key, error)
}

// Run tests the subject.
func Run(t *testing.T, s Subject) {
	before := goleak.IgnoreCurrent()
	t.Run("legs", func(t *testing.T) {
		for _, leg := range s.Legs {
			t.Run(leg.String(), func(t *testing.T) { s.leg(t, leg) })
		}
	})
	if err := goleak.Find(before); err != nil {
		t.Errorf("goroutines are left behind: %v", err)
	}
}

func (s *Subject) leg(t *testing.T, leg purchase.Leg) {
	capability := s.New(t, s.URL).Capability(leg)
	if !capability.Supported || capability.Timeout <= 0 {
		t.Fatalf("capability %+v: want supported, with a timeout", capability)
	}
	for _, c := range []struct {
		name string
		when bool
		test func(*testing.T, purchase.Leg)
	}{
		{"done", true, s.done},
		{"refused", s.Refused != nil, s.refused},
		{"other legs are refused without asking", true, s.unsupported},
		{"unsent when nobody listens", true, s.unsent},
		{"given up before it began", true, s.cancelledBefore},
		{"given up on the way", true, s.cancelledAfter},
		{"unknown", true, s.unknown},
		{"query teaches nothing", capability.Query, s.queryUnknown},
		{"absent", capability.Query, s.absent},
		{"same key again", capability.Idempotent, s.duplicate},
		{"same key at once", capability.Idempotent, s.duplicateAtOnce},
		{"cancelled", capability.Tombstone, s.cancelled},
		{"too late to cancel", capability.Tombstone, s.cancelTooLate},
	} {
		if c.when {
			t.Run(c.name, func(t *testing.T) { c.test(t, leg) })
		}
	}
}

func (s *Subject) done(t *testing.T, leg purchase.Leg) {
	p, o := s.New(t, s.URL), s.Order(t, leg)
	out := s.settle(t, p, o, p.Do(t.Context(), o))
	s.isDone(t, o, out)
	booked := s.Booked(t, o.Key)
	if len(booked) != 1 || booked[0].Amount != o.Amount {
		t.Fatalf("the partner's books show %+v, want %v once", booked, o.Amount)
	}
	if key, err := s.Parse(booked[0].Key); err != nil || key != o.Key {
		t.Errorf("the partner keeps the key %q, which reads as %+v, %v", booked[0].Key, key, err)
	}
	if p.Capability(leg).Query {
		if again := p.Query(t.Context(), o); again.Kind != purchase.Done || again.Ref != out.Ref || again.Amount != out.Amount {
			t.Errorf("the query says %+v after %+v", again, out)
		}
	}
}

// settle follows a pending outcome to its end.
func (s *Subject) settle(t *testing.T, p purchase.Partner, o purchase.Order, out purchase.Outcome) purchase.Outcome {
	t.Helper()
	for out.Kind == purchase.Pending {
		if !p.Capability(o.Leg).Query {
			t.Fatal("pending, and cannot be queried")
		}
		if out = p.Query(t.Context(), o); t.Context().Err() != nil {
			t.Fatal("pending for ever")
		}
	}
	return out
}

func (s *Subject) isDone(t *testing.T, o purchase.Order, out purchase.Outcome) {
	t.Helper()
	if out.Kind != purchase.Done || out.Amount != o.Amount || out.Account != 0 && out.Account != o.Account || out.Ref == "" {
		t.Fatalf("got %+v, want %v done for %s, with a reference", out, o.Amount, o.Account.Masked())
	}
}

func (s *Subject) refused(t *testing.T, leg purchase.Leg) {
	o, reason := s.Refused(t, leg)
	p := s.New(t, s.URL)
	out := s.settle(t, p, o, p.Do(t.Context(), o))
	if out.Kind != purchase.Refused || out.Reason != reason || out.Detail == "" {
		t.Errorf("got %+v, want refused for %s, in the partner's words", out, reason)
	}
	if booked := s.Booked(t, o.Key); len(booked) != 0 {
		t.Errorf("refused, and the books show %+v", booked)
	}
}

func (s *Subject) unsupported(t *testing.T, leg purchase.Leg) {
	m := newMiddleman(t, s.URL, s.Moves)
	m.misbehave(serverError, true)
	p := s.New(t, m.url)
	for _, other := range purchase.Legs {
		if p.Capability(other).Supported {
			continue
		}
		o := s.Order(t, leg)
		o.Leg = other
		if out := p.Do(t.Context(), o); out.Kind != purchase.Refused || m.hits.Load() != 0 {
			t.Errorf("%s: got %+v after %d requests, want refused without asking", other, out, m.hits.Load())
		}
	}
}

func (s *Subject) unsent(t *testing.T, leg purchase.Leg) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + listener.Addr().String()
	_ = listener.Close()
	p, o := s.New(t, nobody), s.Order(t, leg)
	if out := p.Do(t.Context(), o); out.Kind != purchase.Unsent {
		t.Errorf("got %+v, want unsent", out)
	}
	if !p.Capability(leg).Query {
		return
	}
	if out := p.Query(t.Context(), o); out.Kind != purchase.Unknown {
		t.Errorf("query: got %+v, want unknown", out)
	}
}

func (s *Subject) cancelledBefore(t *testing.T, leg purchase.Leg) {
	p, o := s.New(t, s.URL), s.Order(t, leg)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	out := p.Do(over, o)
	if out.Kind != purchase.Unsent && out.Kind != purchase.Unknown {
		t.Errorf("got %+v", out)
	}
	if booked := s.Booked(t, o.Key); out.Kind == purchase.Unsent && len(booked) != 0 {
		t.Errorf("unsent, and the books show %+v", booked)
	}
}

func (s *Subject) cancelledAfter(t *testing.T, leg purchase.Leg) {
	m := newMiddleman(t, s.URL, s.Moves)
	m.misbehave(holdReply, false)
	p, o := s.New(t, m.url), s.Order(t, leg)
	if out := p.Do(m.untilHeld(t), o); out.Kind != purchase.Unknown {
		t.Errorf("got %+v, want unknown", out)
	}
}

// unknown: whatever happens on the way, the outcome is unknown, and a query
// finds what is true.
func (s *Subject) unknown(t *testing.T, leg purchase.Leg) {
	for _, does := range slices.Sorted(maps.Keys(mischiefs)) {
		t.Run(string(does), func(t *testing.T) {
			m := newMiddleman(t, s.URL, s.Moves)
			m.misbehave(does, false)
			p, o := s.New(t, m.url), s.Order(t, leg)
			if out := p.Do(m.untilHeld(t), o); out.Kind != purchase.Unknown || out.Detail == "" || len(out.Detail) > purchase.MaxDetail {
				t.Errorf("got %+v, want unknown, and why", out)
			}
			if m.hits.Load() != 1 {
				t.Errorf("%d requests moved money, want 1", m.hits.Load())
			}
			if most := int64(32 << 20); m.sent.Load() > most {
				t.Errorf("%d bytes of an endless answer were taken", m.sent.Load())
			}
			m.misbehave(none, false)
			s.truth(t, p, o, mischiefs[does])
		})
	}
}

// truth checks that query and books agree on whether the order was executed.
func (s *Subject) truth(t *testing.T, p purchase.Partner, o purchase.Order, executed bool) {
	t.Helper()
	if p.Capability(o.Leg).Query {
		out := s.settle(t, p, o, p.Query(t.Context(), o))
		if executed {
			s.isDone(t, o, out)
		} else if out.Kind != purchase.Absent {
			t.Errorf("the query says %+v, want absent", out)
		}
	}
	if booked := s.Booked(t, o.Key); (len(booked) == 1) != executed || len(booked) > 1 {
		t.Fatalf("the books show %+v, want executed %t", booked, executed)
	}
}

// queryUnknown: a query that goes wrong on the way teaches nothing.
func (s *Subject) queryUnknown(t *testing.T, leg purchase.Leg) {
	o := s.Order(t, leg)
	direct := s.New(t, s.URL)
	s.isDone(t, o, s.settle(t, direct, o, direct.Do(t.Context(), o)))
	for does := range mischiefs {
		m := newMiddleman(t, s.URL, s.Moves)
		m.misbehave(does, true)
		if out := s.New(t, m.url).Query(m.untilHeld(t), o); out.Kind != purchase.Unknown || out.Detail == "" {
			t.Errorf("%s: got %+v, want unknown, and why", does, out)
		}
	}
}

func (s *Subject) absent(t *testing.T, leg purchase.Leg) {
	p, o := s.New(t, s.URL), s.Order(t, leg)
	if out := p.Query(t.Context(), o); out.Kind != purchase.Absent {
		t.Errorf("got %+v, want absent", out)
	}
}

func (s *Subject) duplicate(t *testing.T, leg purchase.Leg) {
	p, o := s.New(t, s.URL), s.Order(t, leg)
	first := s.settle(t, p, o, p.Do(t.Context(), o))
	s.isDone(t, o, first)
	for o.Try = 2; o.Try < 5; o.Try++ {
		again := s.settle(t, p, o, p.Do(t.Context(), o))
		if again.Kind != purchase.Unknown && (again.Kind != purchase.Done || again.Ref != first.Ref) {
			t.Errorf("try %d: got %+v after %+v", o.Try, again, first)
		}
	}
	if booked := s.Booked(t, o.Key); len(booked) != 1 {
		t.Errorf("the books show %+v, want one", booked)
	}
}

func (s *Subject) duplicateAtOnce(t *testing.T, leg purchase.Leg) {
	p, o := s.New(t, s.URL), s.Order(t, leg)
	var wg sync.WaitGroup
	outs := make([]purchase.Outcome, 8)
	for i := range outs {
		wg.Go(func() {
			o := o
			o.Try = i + 1
			outs[i] = p.Do(t.Context(), o)
		})
	}
	wg.Wait()
	for _, out := range outs {
		switch out.Kind {
		case purchase.Done, purchase.Pending, purchase.Unknown:
		case purchase.Refused, purchase.Unsent, purchase.Absent, purchase.Cancelled, purchase.Reversed, purchase.Asked:
			t.Errorf("got %+v", out)
		}
	}
	s.truth(t, p, o, true)
}

func (s *Subject) cancelled(t *testing.T, leg purchase.Leg) {
	p, o := s.New(t, s.URL), s.Order(t, leg)
	for range 2 { // the second finds the first
		if out := p.Cancel(t.Context(), o); out.Kind != purchase.Cancelled {
			t.Fatalf("got %+v, want cancelled", out)
		}
	}
	if out := p.Do(t.Context(), o); out.Kind == purchase.Done || out.Kind == purchase.Pending {
		t.Errorf("after the cancellation: got %+v", out)
	}
	if booked := s.Booked(t, o.Key); len(booked) != 0 {
		t.Errorf("cancelled, and the books show %+v", booked)
	}
}

func (s *Subject) cancelTooLate(t *testing.T, leg purchase.Leg) {
	p, o := s.New(t, s.URL), s.Order(t, leg)
	first := s.settle(t, p, o, p.Do(t.Context(), o))
	s.isDone(t, o, first)
	if out := p.Cancel(t.Context(), o); out.Kind != purchase.Done || out.Ref != first.Ref {
		t.Errorf("got %+v, want done as %s", out, fmt.Sprintf("%+v", first))
	}
}
