package incident

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tenu/internal/purchase"
)

// WatchConfig is what a watch is built from. Signals, Detector, Switch and Desk are needed.
type WatchConfig struct {
	Signals  *Signals
	Detector *Detector
	Switch   *Switch
	Desk     *Desk
	// Pauses reports whether what was found is not sold any more; DefaultPauses when nil.
	Pauses func(Finding) bool
	// Told is told of each finding, once; nil: nobody is.
	Told func(Finding)
	// Every is how often what was counted is looked at (default 2 s).
	Every time.Duration
}

// Watch finds what fails on one node. Each node watches what it sees itself: what it finds is recorded and not sold any
// more, whichever node keeps the record. Step is for one goroutine.
type Watch struct {
	cfg      WatchConfig
	readings Readings
	due      map[Series]bool // found, and not wholly written yet
	paused   []Series        // at the last step
}

// NewWatch returns a watch, or an error that says what is missing.
func NewWatch(cfg WatchConfig) (*Watch, error) {
	if cfg.Signals == nil || cfg.Detector == nil || cfg.Switch == nil || cfg.Desk == nil {
		return nil, errors.New("incident: a watch needs signals, a detector, a switch and a desk")
	}
	if cfg.Pauses == nil {
		cfg.Pauses = DefaultPauses
	}
	if cfg.Told == nil {
		cfg.Told = func(Finding) {}
	}
	if cfg.Every <= 0 {
		cfg.Every = 2 * time.Second
	}
	return &Watch{cfg: cfg, due: map[Series]bool{}}, nil
}

// Step judges what was counted, and returns when to call it again. What could not be written is tried again in the next
// step, for as long as it fails.
func (w *Watch) Step(ctx context.Context, now purchase.Instant) (next purchase.Instant, err error) {
	w.reopened(now)
	w.cfg.Signals.ReadInto(&w.readings, now)
	for _, f := range w.cfg.Detector.Step(now, w.readings) {
		w.cfg.Told(f)
		w.due[f.Series] = !f.Well
		w.cfg.Desk.Wake()
	}
	var errs []error
	active := w.cfg.Detector.Active()
	for i := range active {
		f := &active[i]
		if !w.due[f.Series] {
			continue
		}
		if err := w.keep(ctx, f, now); err != nil {
			errs = append(errs, fmt.Errorf("%s fails: %w", f.Series, err))
			continue
		}
		delete(w.due, f.Series)
	}
	for s := range w.due { // what works again needs nothing
		if !slices.ContainsFunc(active, func(f Finding) bool { return f.Series == s }) {
			delete(w.due, s)
		}
	}
	w.paused = w.lasting()
	return now.Add(w.cfg.Every), errors.Join(errs...)
}

// keep writes what was found: the record first, which knows since when it fails, with its pause.
func (w *Watch) keep(ctx context.Context, f *Finding, now purchase.Instant) error {
	err := w.cfg.Desk.Record(ctx, now, *f)
	if pausable(f.Series) && w.cfg.Pauses(*f) {
		_, paused := w.cfg.Switch.Pause(ctx, Actor{}, f.Series, f.Detail, false)
		if !errors.Is(paused, ErrPaused) {
			err = errors.Join(err, paused)
		}
	}
	return err
}

// reopened lets what was found be found again once its sales are open, whoever opened them: another node or a command
// tells nobody here. Nothing that was charged before counts then.
func (w *Watch) reopened(now purchase.Instant) {
	lasting := w.lasting()
	for _, s := range w.paused {
		if !slices.Contains(lasting, s) {
			w.cfg.Detector.End(s, now)
		}
	}
	w.paused = lasting
}

func (w *Watch) lasting() []Series {
	pauses := w.cfg.Switch.Pauses()
	all := make([]Series, len(pauses))
	for i := range pauses {
		all[i] = pauses[i].Series
	}
	return all
}

// Run looks until ctx ends. What goes wrong is told to failed, and tried again.
func (w *Watch) Run(ctx context.Context, clock purchase.Clock, failed func(error)) {
	for ctx.Err() == nil {
		next, err := w.Step(ctx, clock.Now())
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
		case <-clock.After(max(next.Sub(clock.Now()), 0)):
		}
	}
}
