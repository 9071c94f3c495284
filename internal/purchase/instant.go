package purchase

import "time"

// Instant is a point in time in microseconds since the Unix epoch, UTC. It is
// what the store keeps, so that every store and every machine agrees to the
// unit. The zero Instant means "never" or "not yet".
type Instant int64

// At returns the instant of t.
func At(t time.Time) Instant { return Instant(t.UnixMicro()) }

// Time returns the instant as a UTC time.
func (i Instant) Time() time.Time { return time.UnixMicro(int64(i)).UTC() }

// Add returns the instant d later.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d.Microseconds()) }

// Sub returns how long i is after j.
func (i Instant) Sub(j Instant) time.Duration { return time.Duration(i-j) * time.Microsecond }

// String is the instant in RFC 3339 with microseconds, or "-" for never.
func (i Instant) String() string {
	if i == 0 {
		return "-"
	}
	return i.Time().Format("2006-01-02T15:04:05.000000Z")
}
