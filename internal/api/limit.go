package api

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// limiter bounds what each client asks of this node: requests per second,
// requests under way, event streams open. The purchases of a batch count as so
// many requests.
type limiter struct {
	mu      sync.Mutex
	clients map[string]*usage
}

type usage struct {
	client   *auth.Client
	rate     *rate.Limiter
	inFlight int
	streams  int
}

func newLimiter(clients []auth.Client) *limiter {
	l := &limiter{clients: make(map[string]*usage, len(clients))}
	for i := range clients {
		c := &clients[i]
		l.clients[c.Name] = &usage{client: c, rate: rate.NewLimiter(rate.Limit(c.Rate), c.Burst)}
	}
	return l
}

// batchOf is how many purchases a client's limits allow in one batch.
func batchOf(c *auth.Client) int { return min(batchMost, c.Burst, c.InFlight) }

// stay is a request that was let in, and leaves again.
type stay struct {
	l       *limiter
	u       *usage
	stream  bool
	weight  int // of what is under way
	counted int // by the rate
}

// enter counts a request in, or returns the problem to answer with. A request
// that was let in must leave. Its weight is how many it counts for as long as
// nobody has looked into it.
func (l *limiter) enter(c *auth.Client, stream bool, weight int, now purchase.Instant) (*stay, *Problem) {
	s := &stay{l: l, u: l.clients[c.Name], stream: stream}
	if p := s.count(weight, 1, now); p != nil {
		return nil, p
	}
	return s, nil
}

// grow counts a request as so many, or returns the problem to answer with.
func (s *stay) grow(requests int, now purchase.Instant) *Problem {
	return s.count(max(s.weight, requests), requests, now)
}

// count makes a request count as the weight under way and, by the rate, as so
// many requests; what it counted as before is part of that.
func (s *stay) count(weight, requests int, now purchase.Instant) *Problem {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	count, most := &s.u.inFlight, s.u.client.InFlight
	if s.stream {
		count, most = &s.u.streams, s.u.client.Streams
	}
	if *count+weight-s.weight > most {
		return problem(CodeCrowded, "").after(time.Second)
	}
	r := s.u.rate.ReserveN(now.Time(), requests-s.counted)
	if wait := r.DelayFrom(now.Time()); wait > 0 {
		r.CancelAt(now.Time())
		return problem(CodeRate, "").after(wait)
	}
	*count += weight - s.weight
	s.weight, s.counted = weight, requests
	return nil
}

// leave counts the request out.
func (s *stay) leave() {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.stream {
		s.u.streams -= s.weight
		return
	}
	s.u.inFlight -= s.weight
}
