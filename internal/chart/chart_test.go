package chart

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// drawn reads a picture: its texts, its elements by name, and whether all stand on the card.
func drawn(t *testing.T, c *Chart) (words string, count map[string]int) {
	t.Helper()
	picture := string(c.SVG())
	if strings.Contains(picture, "NaN") || strings.Contains(picture, "Inf") {
		t.Errorf("%s: %s", c.Title, picture)
	}
	count = map[string]int{}
	dec := xml.NewDecoder(strings.NewReader(picture))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return words, count
		}
		if err != nil {
			t.Fatalf("%v in %s", err, picture)
		}
		switch token := token.(type) {
		case xml.CharData:
			words += string(token) + "\n"
		case xml.StartElement:
			count[token.Name.Local]++
			for _, a := range token.Attr {
				var v float64
				if n, _ := fmt.Sscanf(a.Value, "%f", &v); n == 1 && strings.Contains(" x y x1 x2 y1 y2 cx cy ", " "+a.Name.Local+" ") &&
					(v < 0 || strings.HasPrefix(a.Name.Local, "x") && v > Width || strings.HasPrefix(a.Name.Local, "y") && v > float64(c.Height())) {
					t.Errorf("%s: %s=%s is off the card", c.Title, a.Name.Local, a.Value)
				}
			}
		}
	}
}

// TestMarksHaveRoom: labels of marks that stand together stand below one another, and one at the end within the card.
func TestMarksHaveRoom(t *testing.T) {
	c := Chart{Title: "A day <&>", X: "h", Y: "n", Lines: []Line{{"sold", [][2]float64{{0, 3}, {24, 5}}}},
		Ticks: []Tick{{0, "00:00"}, {12, "12:00"}, {24, "24:00"}},
		Marks: []Mark{{13.75, "first failure"}, {13.76, "seen"}, {13.77, "paused"}, {23.9, "settled at last"}}}
	words, count := drawn(t, &c)
	for _, want := range []string{"A day <&>", "first failure", "seen", "paused", "settled at last", "12:00"} {
		if !strings.Contains(words, want) {
			t.Errorf("%q is not written", want)
		}
	}
	if count["path"] != 2 {
		t.Errorf("%d paths", count["path"])
	}
	if got := c.rows(); fmt.Sprint(got) != "[3 2 1 1]" {
		t.Errorf("rows %v", got)
	}
	if c.Height() != cardHeight+3*markHeight {
		t.Errorf("height %d", c.Height())
	}
	c.Marks = nil
	if c.Height() != cardHeight {
		t.Errorf("height %d without marks", c.Height())
	}
}

func TestColumnsStack(t *testing.T) {
	c := Chart{Title: "Times", Y: "purchases", Whole: true, Keys: []string{"credited", "refunded"},
		Columns: []Column{{"10 s", []float64{2, 1}}, {"1 min", []float64{0, 0}}, {"1 h", []float64{0, 1}}}, Marks: []Mark{{0.5, "p50"}}}
	words, count := drawn(t, &c)
	if count["rect"] != 1+2+3 { // card, keys, parts of stacks that are more than nothing
		t.Errorf("%d boxes", count["rect"])
	}
	for _, want := range []string{"credited", "refunded", "10 s", "1 min", "1 h", "p50"} {
		if !strings.Contains(words, want+"\n") {
			t.Errorf("%q is not written", want)
		}
	}
	if strings.Contains(words, "0.5") {
		t.Error("half a purchase is on the axis")
	}
	drawn(t, &Chart{Title: "Nothing", Lines: []Line{{Name: "none"}}})
	drawn(t, &Chart{Title: "Nothing at all", Whole: true})
}

// TestInks: what a canvas without style sheets is told is what the style sheet says.
func TestInks(t *testing.T) {
	for class := range inks {
		r, g, b := Ink(class)
		if !strings.Contains(Style, fmt.Sprintf("#%02x%02x%02x", r, g, b)) {
			t.Errorf("%s: the style has no #%02x%02x%02x", class, r, g, b)
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

// TestBarsLie: each bar has its label, cut where it is long, and its sum; the picture is as high as it has bars.
func TestBarsLie(t *testing.T) {
	c := Chart{Title: "Failures", Y: "purchases", Whole: true, Lying: true, Keys: []string{"provider", "payer"},
		Columns: []Column{{strings.Repeat("long ", 20), []float64{3, 1}}, {"short", []float64{0, 1200}}}}
	words, count := drawn(t, &c)
	if count["rect"] != 1+2+3 || !strings.Contains(words, "short\n") || !strings.Contains(words, "…\n") || strings.Contains(words, strings.Repeat("long ", 9)) || !strings.Contains(words, "1\u202f200\n") {
		t.Errorf("%v of %s", count, words)
	}
	height := c.Height()
	c.Columns = append(c.Columns, c.Columns...)
	if c.Height() != height+2*barHeight {
		t.Errorf("%d high, and %d with twice as many", height, c.Height())
	}
}

// TestSumsHaveRoom: sums are written over columns only where they do not stand in one another.
func TestSumsHaveRoom(t *testing.T) {
	c := Chart{Title: "Days", Whole: true, Keys: []string{"n"}}
	for range 31 {
		c.Columns = append(c.Columns, Column{"d", []float64{12_345}})
	}
	if words, _ := drawn(t, &c); strings.Contains(words, "12\u202f345") {
		t.Error("sums stand in one another")
	}
	c.Columns = c.Columns[:3]
	if words, _ := drawn(t, &c); strings.Count(words, "12\u202f345\n") != 3 {
		t.Error("sums are missing")
	}
}
