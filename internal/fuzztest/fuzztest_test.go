package fuzztest

import "testing"

// quiet notes that a check failed, and lets the test go on.
type quiet struct {
	testing.TB
	failed bool
}

func (q *quiet) Helper()               {}
func (q *quiet) Errorf(string, ...any) { q.failed = true }

func TestWithin(t *testing.T) {
	var kept []byte
	for size, want := range map[int]bool{1 << 10: false, 1 << 22: true} {
		q := &quiet{TB: t}
		Within(q, 1<<20, func() { kept = make([]byte, size) })
		if q.failed != want || len(kept) != size {
			t.Errorf("%d bytes: failed %t", size, q.failed)
		}
	}
}

func TestNoNumber(t *testing.T) {
	for text, want := range map[string]bool{"": false, "code 12345": false, "at 10.0.0.1:2080": false, "answer 500, try 12": false,
		"22670112233": true, "+226 70 11 22 33": true, "70-11.22/33": true, "70\u00a011\u202f22 33": true, "(226) 70112": true} {
		q := &quiet{TB: t}
		NoNumber(q, text)
		if q.failed != want {
			t.Errorf("%q: failed %t", text, q.failed)
		}
	}
}
