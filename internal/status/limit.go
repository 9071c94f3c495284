package status

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"tenu/internal/purchase"
)

// mostSources bounds the memory of a minute. Beyond it only the limit of all holds.
const mostSources = 20_000

// limiter counts requests from each source by the minute, and from all by the second.
type limiter struct {
	most int
	all  *rate.Limiter

	mu     sync.Mutex
	minute purchase.Instant
	count  map[string]int
}

func newLimiter(l Limits) *limiter {
	return &limiter{most: l.Source, all: rate.NewLimiter(rate.Limit(l.All), l.All), count: map[string]int{}}
}

// allow counts a request, or reports that it is one too many.
func (l *limiter) allow(source string, now purchase.Instant) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if minute := now / purchase.Instant(time.Minute.Microseconds()); minute != l.minute {
		l.minute = minute
		clear(l.count)
	}
	n, known := l.count[source]
	if n >= l.most || !l.all.AllowN(now.Time(), 1) {
		return false
	}
	if known || len(l.count) < mostSources {
		l.count[source] = n + 1
	}
	return true
}
