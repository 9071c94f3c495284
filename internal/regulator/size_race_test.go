//go:build race

package regulator_test

// The race detector makes a month ten times as long: less of it is played.
const (
	monthDays          = 17
	thatDay, otherDays = 200, 100
)
