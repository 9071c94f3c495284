package sandbox

import (
	"encoding/csv"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tenu/internal/purchase"
)

// newStatementBench has five movements, a minute apart from 13:45, of which the
// second never moved.
func newStatementBench(t *testing.T) (*core, *served, *handClock) {
	t.Helper()
	clock := newHandClock()
	c, err := newCore(t.Context(), testConfig(t, clock), "MP", map[string][]Kind{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	for i := range 5 {
		m := Movement{Key: string(rune('a' + i)), Leg: "charge", Number: "2267011223" + string(rune('0'+i)), Amount: 1050 + int64(i), Currency: "XOF",
			Status: StatusDone, At: clock.Now(), Moved: clock.Now()}
		switch i {
		case 1:
			m.Status, m.Moved = StatusFailed, 0
		case 3:
			m.Status = StatusReversed
		case 4:
			m.Currency = "GHS"
		}
		add(t, c.book, m)
		clock.forward(time.Minute)
	}
	mux := http.NewServeMux()
	c.routes(mux)
	return c, serve(t, mux), clock
}

func lines(t *testing.T, text string) [][]string {
	t.Helper()
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	all, err := r.ReadAll()
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return all
}

func TestStatement(t *testing.T) {
	c, s, _ := newStatementBench(t)
	got := lines(t, s.must(200, http.MethodGet, "/statement?from=2026-07-09T13:45:00Z&to=2026-07-09T15:50:00%2B02:00", ""))
	want := [][]string{
		{"statement", "sand box", "2026-07-09T13:45:00.000000Z", "2026-07-09T13:50:00.000000Z"},
		statementHead,
		{"MP0000000001", "a", "charge", "22670112230", "1050", "XOF", "", "", "2026-07-09T13:45:00Z"},
		{"MP0000000003", "c", "charge", "22670112232", "1052", "XOF", "", "", "2026-07-09T13:47:00Z"},
		{"MP0000000004", "d", "charge", "22670112233", "1053", "XOF", "", "", "2026-07-09T13:48:00Z"},
		{"MP0000000005", "e", "charge", "22670112234", "10.54", "GHS", "", "", "2026-07-09T13:49:00Z"},
		{"total", "GHS", "1", "10.54"},
		{"total", "XOF", "3", "3155"},
	}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got %v", got)
	}
	if part := lines(t, s.must(200, http.MethodGet, "/statement?from=2026-07-09T13:47:00Z&to=2026-07-09T13:48:00Z", "")); len(part) != 4 || part[2][1] != "c" {
		t.Errorf("one minute: %v", part)
	}
	name := read[struct{ File string }](t, s.must(201, http.MethodPost, "/statement?from=2026-07-09T13:45:00Z&to=2026-07-09T13:50:00Z", "")).File
	text, err := os.ReadFile(filepath.Join(c.StatementDir, name))
	if err != nil || name != "sand-box-20260709T134500Z-20260709T135000Z.csv" || !slices.EqualFunc(lines(t, string(text)), want, slices.Equal) {
		t.Errorf("file %s: %s, %v", name, text, err)
	}
	entries, err := os.ReadDir(c.StatementDir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v is left in the folder, %v", entries, err)
	}
	c.StatementDir = filepath.Join(c.StatementDir, "gone")
	s.must(500, http.MethodPost, "/statement", "")
}

func TestStatementFaults(t *testing.T) {
	for _, test := range []struct {
		kind Kind
		want string // the lines' keys, amounts where they differ, and the totals
	}{
		{"", "a c d e | total GHS 1 10.54 | total XOF 3 3155"},
		{StatementMissing, "a d e | total GHS 1 10.54 | total XOF 2 2103"},
		{StatementExtra, "a c ?1052 d e | total GHS 1 10.54 | total XOF 4 4207"},
		{StatementDifferent, "a c1053 d e | total GHS 1 10.54 | total XOF 3 3156"},
		{StatementTwice, "a c c d e | total GHS 1 10.54 | total XOF 4 4207"},
		{StatementPartial, "a"},
		{StatementDisorder, "a d c e | total GHS 1 10.54 | total XOF 3 3155"},
		{StatementZone, "a c d e | total GHS 1 10.54 | total XOF 3 3155"},
	} {
		c, s, _ := newStatementBench(t)
		if test.kind != "" {
			if _, err := c.faults.Add(Fault{Operation: "statement", Kind: test.kind, Skip: 1, Next: 1}); err != nil {
				t.Fatal(err)
			}
		}
		var keys, totals []string
		zones := 0
		for _, line := range lines(t, s.must(200, http.MethodGet, "/statement", ""))[2:] {
			if line[0] == "total" {
				totals = append(totals, strings.Join(line, " "))
				continue
			}
			at, err := time.Parse(time.RFC3339Nano, line[8])
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(line[8], "+01:00") {
				zones++
			}
			keys = append(keys, shortLine(t, c, line, purchase.At(at)))
		}
		got := strings.Join(append([]string{strings.Join(keys, " ")}, totals...), " | ")
		if got != test.want || (zones == 1) != (test.kind == StatementZone) {
			t.Errorf("%s: got %q and %d other zones, want %q", test.kind, got, zones, test.want)
		}
	}
}

// shortLine is the line's key, with the amount where the book has another, and
// the amount alone of a line that is not in the book.
func shortLine(t *testing.T, c *core, line []string, at purchase.Instant) string {
	t.Helper()
	m, err := c.book.Movement(t.Context(), line[0])
	switch {
	case errors.Is(err, ErrNoEntry):
		return "?" + line[4]
	case err != nil:
		t.Fatal(err)
	case m.Moved != at || m.Key != line[1]:
		t.Errorf("%v stands for %+v", line, m)
	case decimal(m.Amount, m.Currency) != line[4]:
		return m.Key + line[4]
	}
	return m.Key
}
