package status

import (
	"cmp"
	"slices"
	"time"

	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// span is from one instant to another.
type span struct{ from, till purchase.Instant }

// ComponentOf is a component as pauses and incidents have it: its state now, and its last
// Kept days. Pauses that ended and incidents that are over are to reach as far back; since
// is when the installation began to measure. A pause lasts until sales are wholly open, and
// an incident until it is resolved.
func ComponentOf(s incident.Series, name map[purchase.Language]string, pauses []incident.Pause, incidents []incident.Incident,
	since, now purchase.Instant, location *time.Location,
) Component {
	c := Component{Series: s, Name: name, State: Operational}
	var paused, failing []span
	for i := range incidents {
		if in := &incidents[i]; in.Series == s {
			till := failedTill(in, now)
			if till == now && (in.Status == incident.Ongoing || in.Status == incident.Recovering) {
				c.State = Degraded
			}
			failing = append(failing, span{in.Since, till})
		}
	}
	for i := range pauses {
		if p := &pauses[i]; p.Series == s {
			till := p.EndedAt
			if till == 0 {
				till, c.State = now, Paused
			}
			paused = append(paused, span{p.At, till})
		}
	}
	paused = union(paused)
	failing = union(append(failing, paused...))
	y, m, d := now.Time().In(location).Date()
	for i := Kept - 1; i >= 0; i-- {
		day := span{purchase.At(time.Date(y, m, d-i, 0, 0, 0, 0, location)), min(purchase.At(time.Date(y, m, d-i+1, 0, 0, 0, 0, location)), now)}
		measured := span{max(day.from, since), day.till}
		x := Day{At: day.from, Measured: max(measured.till.Sub(measured.from), 0)}
		if x.Measured > 0 {
			x.Paused = covered(paused, measured)
			x.Degraded = covered(failing, measured) - x.Paused
		}
		c.Days = append(c.Days, x)
	}
	return c
}

// failedTill is until when an incident failed.
func failedTill(in *incident.Incident, now purchase.Instant) purchase.Instant {
	for _, at := range []purchase.Instant{in.ResolvedAt, in.ClosedAt} {
		if at != 0 {
			return at
		}
	}
	return now
}

// union are the same spans in order, none of which meets another.
func union(spans []span) (all []span) {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for _, s := range spans {
		if n := len(all); n > 0 && s.from <= all[n-1].till {
			all[n-1].till = max(all[n-1].till, s.till)
			continue
		}
		all = append(all, s)
	}
	return all
}

// covered is how much of a span others cover, none of which meets another.
func covered(by []span, s span) (d time.Duration) {
	for _, b := range by {
		d += max(min(b.till, s.till).Sub(max(b.from, s.from)), 0)
	}
	return d
}
