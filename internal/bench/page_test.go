package bench

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// A report keeps what an earlier one says of other scenarios on the same machine,
// and its page shows each median beside its runs and its yardstick.
func TestReport(t *testing.T) {
	runs := [][2]float64{{300, 400}, {100, 400}, {200, 500}}
	run := 0
	scenario := Scenario{Name: "engine", Store: "postgres", About: "Sold.", Run: func(context.Context) (s Sample, err error) {
		s.Add("engine", "purchases/s", runs[run][0], "floor")
		s.Add("floor", "purchases/s", runs[run][1], "")
		run++
		return s, nil
	}}
	result, err := Measure(t.Context(), scenario, len(runs))
	if err != nil {
		t.Fatal(err)
	}
	r := &Report{CPU: "one", Cores: 2, Results: []Result{result}}
	old := Report{CPU: "one", Cores: 2, Results: []Result{{Scenario: "care", Store: "sqlite"}, {Scenario: "engine", Store: "postgres", About: "Before."}}}
	other := old
	other.CPU = "another"
	if r.Keep(&other); len(r.Results) != 1 {
		t.Errorf("kept what another machine did: %+v", r.Results)
	}
	if r.Keep(&old); len(r.Results) != 2 || r.Results[0].Scenario != "care" || r.Results[1].About != "Sold." {
		t.Errorf("kept the wrong results: %+v", r.Results)
	}
	page := string(r.Markdown())
	for _, line := range []string{"## engine, PostgreSQL", "## care, SQLite", "Runs: 3.", "| engine | 200 | purchases/s | 100 to 300 | 0.40 × floor |", "| floor | 400 | purchases/s | 400 to 500 |  |"} {
		if !strings.Contains(page, line) {
			t.Errorf("the page lacks %q:\n%s", line, page)
		}
	}
}

func TestMeasureFails(t *testing.T) {
	broken := errors.New("broken")
	if _, err := Measure(t.Context(), Scenario{Name: "x", Run: func(context.Context) (Sample, error) { return Sample{}, broken }}, 2); !errors.Is(err, broken) {
		t.Errorf("a run that fails: %v", err)
	}
	names := []string{"a", "b"}
	_, err := Measure(t.Context(), Scenario{Name: "x", Run: func(context.Context) (s Sample, _ error) {
		s.Add(names[0], "s", 1, "")
		names = names[1:]
		return s, nil
	}}, 2)
	if err == nil {
		t.Error("runs with other figures are one result")
	}
}
