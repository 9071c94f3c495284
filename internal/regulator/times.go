package regulator

import (
	"maps"
	"slices"
	"time"
)

// Times is how many things took how long: counts by durations in tenths of a second. A duration is rounded
// up, to a tenth of a second as far as a minute, and to a second above: what is published is never shorter than it was, and
// whether something was within a limit of whole seconds is exact.
type Times map[int64]int64

// grain is what a time is counted in.
const grain = 100 * time.Millisecond

// Rounded is a duration as it is counted. One below zero, as two clocks may make it, is none.
func Rounded(d time.Duration) int64 {
	switch {
	case d <= 0:
		return 0
	case d <= time.Minute:
		return int64((d + grain - 1) / grain)
	}
	return int64((d+time.Second-1)/time.Second) * int64(time.Second/grain)
}

// Note counts one more.
func (t Times) Note(d time.Duration) { t[Rounded(d)]++ }

// add counts all of another.
func (t *Times) add(more Times) {
	if *t == nil {
		*t = Times{}
	}
	for took, n := range more {
		(*t)[took] += n
	}
}

// Count is how many there are.
func (t Times) Count() (n int64) {
	for _, of := range t {
		n += of
	}
	return n
}

// Within is how many took no longer than a limit.
func (t Times) Within(limit time.Duration) (n int64) {
	for took, of := range t {
		if time.Duration(took)*grain <= limit {
			n += of
		}
	}
	return n
}

// Fastest is the time within which so many of a hundred were done: that of the one whose rank is their share of
// all, rounded up. ok is false where there are none.
func (t Times) Fastest(percent int64) (d time.Duration, ok bool) {
	all := t.Count()
	if all == 0 {
		return 0, false
	}
	rank, seen := max((all*percent+99)/100, 1), int64(0)
	for _, took := range slices.Sorted(maps.Keys(t)) {
		if seen += t[took]; seen >= rank {
			return time.Duration(took) * grain, true
		}
	}
	return 0, false
}

// TookCount is how many took how long.
type TookCount struct {
	Took  time.Duration
	Count int64
}

// Each are the times, the shortest first.
func (t Times) Each() (all []TookCount) {
	for _, took := range slices.Sorted(maps.Keys(t)) {
		all = append(all, TookCount{time.Duration(took) * grain, t[took]})
	}
	return all
}
