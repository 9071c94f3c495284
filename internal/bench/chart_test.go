package bench

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"tenu/internal/chart"
)

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

func lineNames(c chart.Chart) (names []string) {
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
