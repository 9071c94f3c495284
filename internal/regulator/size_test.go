//go:build !race

package regulator_test

// How much is bought in the month that the tests play.
const (
	monthDays          = 31
	thatDay, otherDays = 1000, 300
)
