package incident_test

import (
	"context"
	"testing"
	"time"

	"tenu/internal/incident"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

// faultyPauses is a real store that keeps no pause while it is down.
type faultyPauses struct {
	incident.PauseStore
	down bool
}

func (s *faultyPauses) ChangePause(ctx context.Context, p incident.Pause) (incident.Pause, error) {
	if s.down {
		return incident.Pause{}, purchase.ErrUnavailable
	}
	return s.PauseStore.ChangePause(ctx, p)
}

// watched is one of several nodes on the store of a rig.
type watched struct {
	*rig
	gate     *incident.Switch
	watch    *incident.Watch
	detector *incident.Detector
	health   incident.Health // of ocs, in its own words
}

// watched makes a node whose desk is of a store of its own words, so that either can be down.
func (r *rig) watched(records incident.Store, pauses incident.PauseStore) *watched {
	r.t.Helper()
	w := &watched{rig: r, detector: incident.NewDetector(incident.DetectorConfig{})}
	var err error
	if w.gate, err = incident.NewSwitch(incident.SwitchConfig{Store: pauses, Clock: r, Known: func(incident.Series) bool { return true }}); err != nil {
		r.t.Fatal(err)
	}
	desk, err := incident.New(incident.Config{Store: records, Clock: r, Paused: func(p incident.Pause) { w.gate.Apply(p) }})
	if err != nil {
		r.t.Fatal(err)
	}
	signals := incident.NewSignals(incident.SignalsConfig{Partners: func() []incident.Partner { return []incident.Partner{{Series: ocs, Health: w.health}} }})
	if w.watch, err = incident.NewWatch(incident.WatchConfig{Signals: signals, Detector: w.detector, Switch: w.gate, Desk: desk}); err != nil {
		r.t.Fatal(err)
	}
	return w
}

// look lets the node look twice.
func (w *watched) look() error {
	w.t.Helper()
	var last error
	for range 2 {
		w.now = w.now.Add(2 * time.Second)
		if _, err := w.gate.Step(w.t.Context(), w.now); err != nil {
			w.t.Fatal(err)
		}
		_, last = w.watch.Step(w.t.Context(), w.now)
	}
	return last
}

// TestWatchRecords: whatever node finds that something fails opens its record, since the first failure.
func TestWatchRecords(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		r := begin(t, dsn)
		w := r.watched(r.store, r.store)
		if err := w.look(); err != nil {
			t.Fatal(err)
		}
		w.health = incident.Degraded // which is not found before it lasted
		began := r.now.Add(2 * time.Second)
		for range 400 {
			if err := w.look(); err != nil {
				t.Fatal(err)
			}
		}
		if i := r.only(); i.Series != ocs || i.Rule != incident.RuleHeartbeat || i.Since != began || i.PausedAt == 0 || i.Version != 1 {
			t.Errorf("%+v, degraded since %s", i, began)
		}
		if p := w.gate.Pauses(); len(p) != 1 || p[0].Incident != 1 || p[0].Share != 0 {
			t.Errorf("paused %+v", p)
		}
	})
}

// hasty is a store in which somebody pauses ocs just before an incident of it is written.
type hasty struct {
	*store.Store
	done bool
}

func (s *hasty) ChangeIncident(ctx context.Context, c incident.Change) (incident.Incident, error) {
	if !s.done {
		s.done = true
		if _, err := s.ChangePause(ctx, incident.Pause{Version: 1, Series: ocs, Reason: "by hand", Held: true, At: c.Now.SeenAt}); err != nil {
			return incident.Incident{}, err
		}
	}
	return s.Store.ChangeIncident(ctx, c)
}

// TestWatchIsRaced: what a person or another node writes at the same moment keeps nothing from being recorded.
func TestWatchIsRaced(t *testing.T) {
	r := begin(t, "sqlite:"+t.TempDir()+"/tenu.db")
	w := r.watched(&hasty{Store: r.store}, r.store)
	w.health = incident.Unavailable
	w.now = w.now.Add(time.Second)
	if _, err := w.watch.Step(t.Context(), w.now); err != nil {
		t.Fatal(err)
	}
	if p := w.gate.Pauses(); len(p) != 1 || !p[0].Held || p[0].Incident != r.only().ID {
		t.Errorf("paused %+v", p)
	}
}

// TestWatchTriesAgain: what could not be written when it was found is written when the store works again.
func TestWatchTriesAgain(t *testing.T) {
	r := begin(t, "sqlite:"+t.TempDir()+"/tenu.db")
	records, pauses := &faulty{Store: r.store, left: 0}, &faultyPauses{r.store, true}
	w := r.watched(records, pauses)
	w.health = incident.Unavailable
	w.now = w.now.Add(time.Second)
	if _, err := w.watch.Step(t.Context(), w.now); err == nil || len(w.gate.Pauses()) != 0 {
		t.Fatalf("written on a store that is down: %v", err)
	}
	pauses.down = false
	if err := w.look(); err != nil {
		t.Fatal(err)
	}
	if p := w.gate.Pauses(); len(p) != 1 || p[0].Incident != r.only().ID {
		t.Errorf("paused %+v", p)
	}
}

// TestWatchFindsAgain: sales that another node or a command opened again while it still fails are paused again.
func TestWatchFindsAgain(t *testing.T) {
	r := begin(t, "sqlite:"+t.TempDir()+"/tenu.db")
	w := r.watched(r.store, r.store)
	w.health = incident.Unavailable
	if err := w.look(); err != nil || len(w.gate.Pauses()) != 1 {
		t.Fatalf("paused %+v, %v", w.gate.Pauses(), err)
	}
	elsewhere, err := incident.NewSwitch(incident.SwitchConfig{Store: r.store, Clock: r, Known: func(incident.Series) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := elsewhere.Resume(t.Context(), incident.Actor{}, w.gate.Pauses()[0].ID, 0, "somebody thinks that it works", true); err != nil {
		t.Fatal(err)
	}
	if err := w.look(); err != nil {
		t.Fatal(err)
	}
	if p := w.gate.Pauses(); len(p) != 1 || p[0].ID != 2 {
		t.Errorf("it fails and is sold: %+v, found %+v", p, w.detector.Active())
	}
}
