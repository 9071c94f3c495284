package chart

import (
	"fmt"
	"slices"
	"time"
)

// Ends are the upper ends of times that are counted together, in columns as wide as one another.
var Ends = []time.Duration{5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute,
	30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour}

// EndName is an end in short; 0 is beyond the last.
func EndName(d time.Duration) string {
	switch {
	case d == 0:
		return "> " + EndName(Ends[len(Ends)-1])
	case d < time.Minute:
		return fmt.Sprintf("%d\u00a0s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d\u00a0min", d/time.Minute)
	}
	return fmt.Sprintf("%d\u00a0h", d/time.Hour)
}

// Place is where a time lies on the axis of the ends, of which the first reaches from 0 to 1.
func Place(d time.Duration) float64 {
	i := slices.IndexFunc(Ends, func(end time.Duration) bool { return d <= end })
	switch {
	case i < 0:
		return float64(len(Ends)) + 0.5 // what took longer has no end
	case i == 0:
		return float64(d) / float64(Ends[0])
	}
	return float64(i) + float64(d-Ends[i-1])/float64(Ends[i]-Ends[i-1])
}
