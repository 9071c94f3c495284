package sim

import "time"

// dice is a small generator whose seed is derived from what it decides about, so
// that leaving one purchase or one kind of fault out of a world does not change
// what happens to the others. It is SplitMix64 (Steele, Lea and Flood, 2014).
type dice struct{ state uint64 }

// roll derives dice from labels.
func roll(labels ...uint64) *dice {
	d := &dice{}
	for _, l := range labels {
		d.state ^= l
		d.state = d.next()
	}
	return d
}

func (d *dice) next() uint64 {
	d.state += 0x9e3779b97f4a7c15
	z := d.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// n is a number from 0 to n-1.
func (d *dice) n(n int) int { return int(d.next() % uint64(n)) } //nolint:gosec // n is small and positive

// chance is true in percent of 100 cases.
func (d *dice) chance(percent int) bool { return d.n(100) < percent }

// between is a duration of at least low and below high.
func (d *dice) between(low, high time.Duration) time.Duration {
	return low + time.Duration(d.next()%uint64(high-low)) //nolint:gosec // high is above low
}

// pick is one of the choices.
func pick[T any](d *dice, choices ...T) T { return choices[d.n(len(choices))] }
