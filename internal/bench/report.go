package bench

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Report is what the benchmarks measured on one machine.
type Report struct {
	CPU     string   `json:"cpu"`
	Cores   int      `json:"cores"`
	Results []Result `json:"results"`
}

// Keep adds an earlier report's results of other scenarios, if they are of the
// same machine: a run may be long, and is not done all at once.
func (r *Report) Keep(earlier *Report) {
	if earlier.CPU != r.CPU || earlier.Cores != r.Cores {
		return
	}
	for i := range earlier.Results {
		old := &earlier.Results[i]
		if !slices.ContainsFunc(r.Results, func(x Result) bool { return x.Scenario == old.Scenario && x.Store == old.Store }) {
			r.Results = append(r.Results, *old)
		}
	}
	slices.SortStableFunc(r.Results, func(a, b Result) int {
		return cmp.Or(cmp.Compare(a.Scenario, b.Scenario), cmp.Compare(a.Store, b.Store))
	})
}

// Result is one scenario on one store, run several times.
type Result struct {
	Scenario string   `json:"scenario"`
	Store    string   `json:"store,omitempty"`
	About    string   `json:"about"`              // one sentence: what was done
	Version  string   `json:"version"`            // of tenu
	Go       string   `json:"go"`                 // that built it
	Database string   `json:"database,omitempty"` // of the PostgreSQL server
	Started  string   `json:"started"`            // RFC 3339
	Figures  []Figure `json:"figures"`
	Curves   []Curve  `json:"curves,omitempty"` // of the last run
}

// Figure is one measured quantity: the median of its runs, beside the yardstick
// that was taken in the same runs.
type Figure struct {
	Name      string    `json:"name"`
	Unit      string    `json:"unit"`
	Median    float64   `json:"median"`
	Runs      []float64 `json:"runs"`
	Yardstick string    `json:"yardstick,omitempty"` // the name of another figure of the result
	Ratio     float64   `json:"ratio,omitempty"`     // the median of the runs' own ratios to it
}

// Curve is a line of a chart: how Y changes with X.
type Curve struct {
	Chart  string       `json:"chart"` // curves of one chart share its title
	Name   string       `json:"name"`
	X      string       `json:"x"` // what is along the axis, with its unit
	Y      string       `json:"y"`
	Log    bool         `json:"log,omitempty"` // Y is drawn by its order of magnitude
	Points [][2]float64 `json:"points"`
}

// Sample is what one run measured.
type Sample struct {
	values []value
	curves []Curve
}

type value struct {
	name, unit, yardstick string
	v                     float64
}

// Add adds a figure; yardstick is the name of one that the sample has, or "".
func (s *Sample) Add(name, unit string, v float64, yardstick string) {
	s.values = append(s.values, value{name, unit, yardstick, v})
}

// Curve adds a line of a chart.
func (s *Sample) Curve(c Curve) { s.curves = append(s.curves, c) }

// Scenario is something to measure.
type Scenario struct {
	Name, Store, About string
	Run                func(context.Context) (Sample, error)
}

// longest is how long one run may take, filling a store included.
const longest = 2 * time.Hour

func (s *Scenario) once(ctx context.Context) (Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	return s.Run(ctx)
}

// Measure runs a scenario several times and takes medians. The runs of a
// scenario all have the same figures.
func Measure(ctx context.Context, s Scenario, runs int) (Result, error) {
	r := Result{Scenario: s.Name, Store: s.Store, About: s.About}
	ratios := map[string][]float64{}
	for run := range runs {
		sample, err := s.once(ctx)
		if err != nil {
			return Result{}, fmt.Errorf("%s: %w", s.Name, err)
		}
		of := map[string]float64{}
		for i, v := range sample.values {
			of[v.name] = v.v
			if run == 0 {
				r.Figures = append(r.Figures, Figure{Name: v.name, Unit: v.unit, Yardstick: v.yardstick})
			}
			if i >= len(r.Figures) || r.Figures[i].Name != v.name {
				return Result{}, fmt.Errorf("%s: run %d has another figure: %s", s.Name, run+1, v.name)
			}
			r.Figures[i].Runs = append(r.Figures[i].Runs, v.v)
		}
		for _, v := range sample.values {
			if by := of[v.yardstick]; by != 0 {
				ratios[v.name] = append(ratios[v.name], v.v/by)
			}
		}
		r.Curves = sample.curves
	}
	for i := range r.Figures {
		f := &r.Figures[i]
		f.Median, f.Ratio = median(f.Runs), median(ratios[f.Name])
	}
	return r, nil
}

// median is the middle of the values, the lower of two, 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}
