//go:build race

package incident

// monthDays is some days only with the race detector, which has nothing to find in
// one goroutine, and makes it ten times slower.
const monthDays = 2
