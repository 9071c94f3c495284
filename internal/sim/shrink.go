package sim

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Shrink looks for a smaller world that violates the same invariant: with fewer
// buyers, then with fewer kinds of faults. It simulates the world of the
// violation at most tries times and returns the options of the smallest found.
func Shrink(ctx context.Context, o Options, v *Violation, tries int) (Options, error) {
	o.World, o.Trace, o.Progress = v.World, nil, nil
	s := shrinker{ctx: ctx, best: o, invariant: v.Invariant, left: tries}
	if err := s.fails(o); err != nil {
		return o, err
	}
	s.buyers(v.Buyer)
	s.faults()
	return s.best, ctx.Err()
}

type shrinker struct {
	ctx       context.Context
	best      Options
	invariant string
	left      int
}

// try keeps options under which the invariant is still violated.
func (s *shrinker) try(o Options) bool {
	if s.left == 0 || s.ctx.Err() != nil {
		return false
	}
	s.left--
	r, err := Run(s.ctx, o)
	if err != nil || len(r.Violations) == 0 || r.Violations[0].Invariant != s.invariant {
		return false
	}
	s.best = o
	return true
}

// fails makes sure that there is something to shrink.
func (s *shrinker) fails(o Options) error {
	if !s.try(o) {
		return fmt.Errorf("shrink: %s is not violated again in world %d", s.invariant, o.World)
	}
	return nil
}

// buyers leaves out buyers: first all but the one, then halves, then smaller and
// smaller parts (delta debugging after Zeller).
func (s *shrinker) buyers(one int) {
	all := s.best.Buyers
	if all == nil {
		for i := range min(WorldSize, s.best.Purchases-(s.best.World-1)*WorldSize) {
			all = append(all, i)
		}
	}
	with := func(buyers []int) Options {
		o := s.best
		o.Buyers = buyers
		return o
	}
	if one >= 0 && s.try(with([]int{one})) {
		return
	}
	for parts := 2; len(all) > 1; {
		size := (len(all) + parts - 1) / parts
		shrunk := false
		for from := 0; from < len(all); from += size {
			rest := slices.Concat(all[:from], all[min(from+size, len(all)):])
			if len(rest) > 0 && s.try(with(rest)) {
				all, shrunk = rest, true
				break
			}
		}
		switch {
		case shrunk:
			parts = max(parts-1, 2)
		case size == 1:
			return
		default:
			parts = min(2*parts, len(all))
		}
	}
}

// faults leaves out kinds of faults, one after the other.
func (s *shrinker) faults() {
	for _, f := range Faults() {
		if slices.Contains(s.best.Without, f) {
			continue
		}
		o := s.best
		o.Without = append(slices.Clone(o.Without), f)
		s.try(o)
	}
}

// Arguments are the options as the command line takes them.
func (o *Options) Arguments() string {
	args := fmt.Sprintf("--purchases %d --seed %d", o.Purchases, o.Seed)
	if o.Care {
		args = "--care " + args
	}
	if o.World != 0 {
		args += " --world " + strconv.Itoa(o.World)
	}
	if o.Buyers != nil {
		buyers := make([]string, len(o.Buyers))
		for i, b := range o.Buyers {
			buyers[i] = strconv.Itoa(b)
		}
		args += " --buyers " + strings.Join(buyers, ",")
	}
	if len(o.Without) > 0 {
		names := make([]string, len(o.Without))
		for i, f := range o.Without {
			names[i] = f.String()
		}
		args += " --without " + strings.Join(names, ",")
	}
	return args
}
