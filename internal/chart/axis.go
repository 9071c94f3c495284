package chart

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// axis places values on the card.
type axis struct {
	label      string
	low, high  float64 // values at the ends
	from, till float64 // pixels there
	log        bool
	whole      bool // between 0 and 1 there is nothing
	ticks      []Tick
}

func (a *axis) place(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log10(max(v, low)), math.Log10(low), math.Log10(high)
	}
	return a.from + (v-low)/(high-low)*(a.till-a.from)
}

// Tick is a value of an axis and what is written beside it.
type Tick struct {
	At    float64
	Label string
}

func (a *axis) tick(v float64) { a.ticks = append(a.ticks, Tick{v, Legible(v)}) }

// scale sets ends and ticks at round values from 0 on, about so many.
func (a *axis) scale(about int) {
	if !(a.high > 0) {
		a.high = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(a.high/float64(about))))
	for _, times := range []float64{1, 2, 2.5, 5, 10} {
		if a.high/(step*times) <= float64(about) {
			step *= times
			break
		}
	}
	if a.whole {
		step = math.Ceil(step)
	}
	n := math.Ceil(a.high/step - 1e-9)
	for i := range int(n) + 1 {
		a.tick(float64(i) * step)
	}
	a.high = n * step
}

// scaleLog sets ends and ticks at 1, 2 and 5 times powers of ten.
func (a *axis) scaleLog(low float64) {
	round := func(v float64, up bool) float64 {
		ten := math.Pow(10, math.Floor(math.Log10(v)))
		steps := []float64{1, 2, 5, 10}
		if up {
			return ten * steps[slices.IndexFunc(steps, func(s float64) bool { return ten*s >= v*(1-1e-9) })]
		}
		slices.Reverse(steps)
		return ten * steps[slices.IndexFunc(steps, func(s float64) bool { return ten*s <= v*(1+1e-9) })]
	}
	a.low, a.high = round(low, false), round(max(a.high, low*1.5), true)
	for v := a.low; v <= a.high*(1+1e-9); v = round(v*1.5, true) {
		a.tick(v)
	}
	if len(a.ticks) > 9 { // powers of ten are enough
		a.ticks = slices.DeleteFunc(a.ticks, func(t Tick) bool { l := math.Log10(t.At); return math.Abs(l-math.Round(l)) > 1e-6 })
	}
}

// Legible writes a figure with three or more significant digits, grouped.
func Legible(v float64) string {
	switch size := math.Abs(v); {
	case v == math.Trunc(v) && size >= 1e6 && math.Mod(v, 1e5) == 0:
		return strconv.FormatFloat(v/1e6, 'f', -1, 64) + " M"
	case size >= 100 || v == math.Trunc(v):
		return grouped(int64(math.Round(v)))
	case size >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case size >= 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// grouped writes a number with its thousands apart.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	first := len(digits) % 3
	if first == 0 || n < 0 && first == 1 {
		first += 3
	}
	var b strings.Builder
	for i, d := range digits {
		if i >= first && (i-first)%3 == 0 {
			b.WriteRune('\u202f') // a narrow space that does not break
		}
		b.WriteRune(d)
	}
	return b.String()
}
