// Package fuzztest holds what the fuzz targets of every decoder check alike:
// how much memory a hostile input may cost, and that no text meant for a log
// tells somebody's number. It knows no decoder.
package fuzztest

import (
	"regexp"
	"runtime"
	"testing"
)

// Within does do and fails the test if it allocates more than limit bytes,
// counting what is collected again. Nothing else of the process may be at work.
func Within(t testing.TB, limit int, do func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	if spent := after.TotalAlloc - before.TotalAlloc; spent > uint64(max(limit, 0)) {
		t.Errorf("%d bytes were allocated, %d are allowed", spent, limit)
	}
}

var number = regexp.MustCompile(`[0-9](?:[ \x{a0}\x{202f}./()-]{0,2}[0-9]){7,}`)

// NoNumber fails the test if a text holds eight digits or more that could be
// read as a number, together or in groups (invariant N6).
func NoNumber(t testing.TB, text string) {
	t.Helper()
	if found := number.FindString(text); found != "" {
		t.Errorf("%q tells the number %q", text, found)
	}
}
