package incident

import (
	"fmt"
	"time"

	"tenu/internal/purchase"
)

// rhythm is how a series sells by the hour of the week, in UTC: the last weeks' hours in
// which nothing was wrong. What is expected is the least of them, so that a payday or a
// holiday among them does no harm.
type rhythm struct {
	weeks [hoursOfWeek][weeksKept]hourly
	seen  [hoursOfWeek]uint8

	hour    int64 // being counted, since 1970
	begun   int64 // Reading.Total when it began; -1 when it was not seen to begin
	longest time.Duration
	last    purchase.Instant // when the last one was charged
	level   float64          // what share of the expected was sold in the hour before that
	levelAt purchase.Instant
}

type hourly struct {
	sold    uint32
	longest uint32 // time between two, in seconds
}

const (
	hoursOfWeek = 7 * 24
	weeksKept   = 4
	weeksNeeded = 2
	// silent is how many purchases must be missing. With as many expected, none comes by
	// chance once in e^25.
	silent = 25.0
	// hushed is the shortest silence, and afterQuiet for how long after a disturbance
	// none is looked for.
	hushed     = time.Minute
	afterQuiet = 15 * time.Minute
	// unsure is by how much less than the level is expected: it is of an hour, and may fall.
	unsure = 0.8
)

func hourOfWeek(hour int64) int64 { return ((hour % hoursOfWeek) + hoursOfWeek) % hoursOfWeek }

// learn keeps one hour.
func (y *rhythm) learn(hour int64, h hourly) {
	i := hourOfWeek(hour)
	copy(y.weeks[i][1:], y.weeks[i][:weeksKept-1])
	y.weeks[i][0] = h
	y.seen[i] = min(weeksKept, y.seen[i]+1)
}

// least is the fewest sold in an hour of the week, false where it is not known.
func (y *rhythm) least(hour int64) (sold float64, known bool) {
	i := hourOfWeek(hour)
	if y.seen[i] < weeksNeeded {
		return 0, false
	}
	least := y.weeks[i][0].sold
	for _, h := range y.weeks[i][1:y.seen[i]] {
		least = min(least, h.sold)
	}
	return float64(least), true
}

// expected is how many are usually sold in [from, till), false where it is not known.
// Between the middles of two hours it changes evenly.
func (y *rhythm) expected(from, till purchase.Instant) (sold float64, known bool) {
	const part = 5 * time.Minute
	half := 30 * time.Minute
	for at := from; at < till; {
		next := min(at.Add(part), till)
		middle := at.Add(next.Sub(at) / 2)
		hour := epochOf(middle.Add(-half), time.Hour)
		a, knownA := y.least(hour)
		b, knownB := y.least(hour + 1)
		if !knownA || !knownB {
			return 0, false
		}
		into := middle.Sub(purchase.Instant(hour * time.Hour.Microseconds()).Add(half)).Hours()
		sold += (a + (b-a)*into) * next.Sub(at).Hours()
		at = next
	}
	return sold, true
}

// longestIn is the longest time between two purchases in the hours around [from, till].
func (y *rhythm) longestIn(from, till purchase.Instant) time.Duration {
	var longest uint32
	for hour := epochOf(from, time.Hour) - 1; hour <= epochOf(till, time.Hour)+1; hour++ {
		i := hourOfWeek(hour)
		for _, h := range y.weeks[i][:y.seen[i]] {
			longest = max(longest, h.longest)
		}
	}
	return time.Duration(longest) * time.Second
}

// follow takes a reading into account: at the end of an hour that was seen wholly and
// in which nothing was disturbed, the hour is learnt.
func (y *rhythm) follow(now purchase.Instant, r *Reading, disturbed purchase.Instant) {
	if y.last != 0 {
		y.longest = max(y.longest, now.Sub(max(y.last, floorTo(now, time.Hour))))
		if r.LastPaid > y.last {
			y.longest = max(y.longest, r.LastPaid.Sub(y.last))
		}
	}
	if hour := epochOf(now, time.Hour); hour != y.hour {
		begin := floorTo(now, time.Hour).Add(-time.Hour)
		if hour == y.hour+1 && y.begun >= 0 && r.Total >= y.begun && disturbed < begin {
			y.learn(y.hour, hourly{count32(r.Total - y.begun), count32(int64(y.longest / time.Second))})
		}
		if y.begun = r.Total; y.hour != hour-1 {
			y.begun = -1
		}
		y.hour, y.longest = hour, 0
	}
	if r.LastPaid != y.last {
		y.last = r.LastPaid
		if now.Sub(y.levelAt) >= time.Minute || now < y.levelAt {
			y.levelAt, y.level = now, 0
			if usual, known := y.expected(now.Add(-time.Hour), now); known {
				y.level = unsure * min(1, (float64(r.Hour.Paid)+1)/(usual+1))
			}
		}
	}
}

// missing is how many purchases should have come since the last one, 0 where that
// is not known or it was not silent for long.
func (y *rhythm) missing(now purchase.Instant) float64 {
	const most = 12 * time.Hour
	gap := now.Sub(y.last)
	if y.last == 0 || y.level == 0 || gap < hushed || gap > most || gap < 2*y.longestIn(y.last, now) {
		return 0
	}
	usual, known := y.expected(y.last, now)
	if !known {
		return 0
	}
	return usual * y.level
}

// Learn teaches how many purchases of a series were charged in the hour of an instant,
// and what the longest time between two of them was. Hours should come in their order, and
// only those in which nothing failed and nothing was paused. A new process knows no
// rhythm until it is taught, or has seen two weeks.
func (d *Detector) Learn(s Series, hour purchase.Instant, sold int64, longest time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if y := d.rhythm(s); y != nil && sold >= 0 && longest >= 0 {
		y.learn(epochOf(hour, time.Hour), hourly{count32(sold), count32(int64(longest / time.Second))})
	}
}

func (d *Detector) rhythm(s Series) *rhythm {
	y := d.rhythms[s]
	if y == nil && len(d.rhythms) < d.cfg.MaxSeries {
		y = &rhythm{begun: -1, hour: -1}
		d.rhythms[s] = y
	}
	return y
}

// checkSilence looks for series that always sold at this time of the week and sell
// nothing. It looks for none while something fails or is paused, which would explain it.
func (d *Detector) checkSilence(now purchase.Instant, r *Readings) {
	quiet := d.disturbed != 0 && now.Sub(d.disturbed) < afterQuiet || d.failing()
	var found *Finding
	var most float64
	others := 0
	for i := range r.Series {
		s := &r.Series[i]
		y := d.rhythm(s.Series)
		if y == nil {
			continue
		}
		y.follow(now, s, d.disturbed)
		if quiet || d.active[s.Series] != nil {
			continue
		}
		missing := y.missing(now)
		if missing < silent {
			continue
		}
		others++
		// What sells most explains that what is only sold with it is silent too.
		usual, _ := y.expected(now.Add(-time.Hour), now)
		if usual -= handicapSilent(s.By); found == nil || usual > most {
			most = usual
			found = &Finding{Series: s.Series, Rule: RuleSilence, Since: s.LastPaid, At: now,
				Detail: fmt.Sprintf("nothing was sold for %s, when some %.0f are usual", now.Sub(s.LastPaid).Round(time.Second), missing)}
		}
	}
	if found == nil {
		return
	}
	if others > 1 {
		found.Detail += fmt.Sprintf("; so it is of %d series more", others-1)
	}
	total := int64(0)
	for i := range r.Series {
		if r.Series[i].Series == found.Series {
			total = r.Series[i].Total
		}
	}
	d.find(found, total)
}

// handicapSilent prefers, of series that sell the same, the one that silence comes from
// more often: what brings the wishes in.
func handicapSilent(by Dimension) float64 {
	switch by {
	case ByChannel:
		return 0
	case ByPayer:
		return 0.1
	case ByProvider:
		return 0.2
	case ByProduct, ByOperator, ByCentre:
	}
	return 0.3
}
