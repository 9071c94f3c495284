package bench

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// TestMeasure checks that medians are taken of the runs, and ratios of each run to
// its own yardstick.
func TestMeasure(t *testing.T) {
	runs := [][2]float64{{10, 100}, {30, 100}, {20, 400}}
	at := 0
	s := Scenario{Name: "one", Store: "sqlite", About: "About it.", Run: func(context.Context) (s Sample, err error) {
		s.Add("it", "per s", runs[at][0], "other")
		s.Add("other", "per s", runs[at][1], "")
		s.Curve(Curve{Chart: "A chart", Points: [][2]float64{{float64(at), 1}}})
		at++
		return s, nil
	}}
	r, err := Measure(t.Context(), s, len(runs))
	if err != nil {
		t.Fatal(err)
	}
	it, other := r.Figures[0], r.Figures[1]
	if it.Median != 20 || it.Ratio != 0.1 || !slices.Equal(it.Runs, []float64{10, 30, 20}) {
		t.Errorf("%+v", it)
	}
	if other.Median != 100 || other.Ratio != 0 || len(r.Curves) != 1 || r.Curves[0].Points[0][0] != 2 {
		t.Errorf("%+v, %+v", other, r.Curves)
	}
}

// TestMeasureFails checks that a run that fails, or measures other things than the
// one before, is no result.
func TestMeasureFails(t *testing.T) {
	broken := errors.New("broken")
	_, err := Measure(t.Context(), Scenario{Name: "one", Run: func(context.Context) (Sample, error) { return Sample{}, broken }}, 1)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "one") {
		t.Error(err)
	}
	names := []string{"a", "b"}
	_, err = Measure(t.Context(), Scenario{Run: func(context.Context) (s Sample, err error) {
		s.Add(names[0], "s", 1, "")
		names = names[1:]
		return s, nil
	}}, 2)
	if err == nil {
		t.Error("two runs measured different things")
	}
}

// TestCharts checks that curves of one title share a chart, and that each chart is
// a picture with its texts, its lines and nothing that is not a number.
func TestCharts(t *testing.T) {
	curve := func(chart, name string, points ...[2]float64) Curve {
		return Curve{Chart: chart, Name: name, X: "size <s>", Y: "ms & more", Points: points}
	}
	logarithmic := curve("Time, by rate", "A, p99", [2]float64{10, 0.5}, [2]float64{20, 900})
	logarithmic.Log = true
	results := []Result{
		{Curves: []Curve{curve("Cost & size", "A", [2]float64{0, 3}, [2]float64{1e7, 4})}},
		{Curves: []Curve{curve("Cost & size", "B", [2]float64{0, 0}, [2]float64{1e7, 0}), logarithmic}},
		{Curves: []Curve{curve("Nothing yet", "A", [2]float64{0, 0})}},
	}
	charts := Charts(results)
	if len(charts) != 3 || len(charts[0].Lines) != 2 {
		t.Fatalf("%d charts", len(charts))
	}
	if got := charts[1].File(); got != "time-by-rate.svg" {
		t.Errorf("file %s", got)
	}
	for _, c := range charts {
		picture := string(c.SVG())
		words, paths := drawn(t, picture)
		for _, want := range append([]string{c.Title, "size <s>"}, lineNames(c)...) {
			if !slices.Contains(words, want) {
				t.Errorf("%s: %q is not written", c.Title, want)
			}
		}
		if paths != 2*len(c.Lines) { // each line and its key
			t.Errorf("%s: %d paths", c.Title, paths)
		}
		if strings.Contains(picture, "NaN") || strings.Contains(picture, "Inf") {
			t.Errorf("%s: %s", c.Title, picture)
		}
	}
}

func lineNames(c Chart) (names []string) {
	for _, l := range c.Lines {
		names = append(names, l.Name)
	}
	return names
}

// drawn reads a picture: its texts and how many paths it has.
func drawn(t *testing.T, picture string) (words []string, paths int) {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(picture))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return words, paths
		}
		if err != nil {
			t.Fatalf("%v in %s", err, picture)
		}
		switch token := token.(type) {
		case xml.CharData:
			words = append(words, string(token))
		case xml.StartElement:
			if token.Name.Local == "path" {
				paths++
			}
		}
	}
}

func TestLegible(t *testing.T) {
	const narrow = "\u202f"
	for want, v := range map[string]float64{"0": 0, "7": 7, "10 M": 1e7, "1.5 M": 1.5e6, "1" + narrow + "234": 1234.4, "12.3": 12.34,
		"0.12": 0.123, "0.0123": 0.01234, "123": 123.4, "-12" + narrow + "345": -12345} {
		if got := Legible(v); got != want {
			t.Errorf("%v is %q, not %q", v, got, want)
		}
	}
}
