package api

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// limiter bounds what each client asks of this node: requests per second,
// requests under way, event streams open.
type limiter struct {
	mu      sync.Mutex
	clients map[string]*usage
}

type usage struct {
	rate     *rate.Limiter
	inFlight int
	streams  int
}

func newLimiter(clients []auth.Client) *limiter {
	l := &limiter{clients: make(map[string]*usage, len(clients))}
	for i := range clients {
		c := &clients[i]
		l.clients[c.Name] = &usage{rate: rate.NewLimiter(rate.Limit(c.Rate), c.Burst)}
	}
	return l
}

// enter counts a request in, or returns the problem to answer with. A request
// that was let in must leave.
func (l *limiter) enter(c *auth.Client, stream bool, now purchase.Instant) (leave func(), p *Problem) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.clients[c.Name]
	count, most := &u.inFlight, c.InFlight
	if stream {
		count, most = &u.streams, c.Streams
	}
	if *count >= most {
		return nil, problem(CodeCrowded, "").after(time.Second)
	}
	r := u.rate.ReserveN(now.Time(), 1)
	if wait := r.DelayFrom(now.Time()); wait > 0 {
		r.CancelAt(now.Time())
		return nil, problem(CodeRate, "").after(wait)
	}
	*count++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		*count--
	}, nil
}
