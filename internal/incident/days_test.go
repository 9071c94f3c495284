//go:build !race

package incident

// monthDays is how long an ordinary month is simulated.
const monthDays = 30
