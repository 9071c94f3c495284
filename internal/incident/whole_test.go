package incident_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// steady is a canary whose probes go as its partner does.
type steady struct{ well bool }

func (c *steady) Try(context.Context, incident.Pause, purchase.Instant) (incident.ProbeResult, error) {
	if c.well {
		return incident.ProbeResult{Answer: incident.ProbeGood}, nil
	}
	return incident.ProbeResult{Answer: incident.ProbeBad, Said: "no answer"}, nil
}

// TestDeskAndSwitch: the desk pauses what fails, the switch refuses it at once, and opens it again step by step when probes go
// well; the incident follows.
func TestDeskAndSwitch(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		r := begin(t, dsn)
		probe := &steady{}
		gate, err := incident.NewSwitch(incident.SwitchConfig{Store: r.store, Clock: r, Known: func(incident.Series) bool { return true }, Canary: probe,
			Changed: func(incident.Pause) { r.desk.Wake() }})
		if err != nil {
			t.Fatal(err)
		}
		r.cfg.Paused = func(p incident.Pause) { gate.Apply(p) }
		r.cfg.Well = func(incident.Series, purchase.Instant) bool { return probe.well }
		r.restart()
		sells := func() bool {
			err := gate.Admit(&purchase.Request{Product: "airtime", Provider: "ocs", Payer: "wallet", Channel: "app", PayerNumber: someone, Recipient: someone})
			var paused *purchase.PausedError
			if err != nil && !errors.As(err, &paused) {
				t.Errorf("refused: %v", err)
			}
			return err == nil
		}
		turn := func(d time.Duration) {
			t.Helper()
			for end := r.now.Add(d); r.now < end; {
				r.now = r.now.Add(time.Second)
				if _, err := gate.Step(t.Context(), r.now); err != nil {
					t.Fatal(err)
				}
				r.step()
			}
		}
		turn(time.Second)
		if !sells() {
			t.Error("nothing is sold before anything failed")
		}
		r.fail(ocs)
		p := r.sell(someone, charged, silence)
		r.step()
		if sells() {
			t.Error("what fails is sold on")
		}
		turn(3 * time.Minute)
		r.restart()
		turn(time.Minute)
		if i := r.only(); i.Status != incident.Ongoing || i.Share != 0 || sells() {
			t.Errorf("while it fails %+v", i)
		}
		r.fails, probe.well = nil, true
		r.given(p)
		turn(7 * time.Minute)
		i := r.only()
		if i.Status != incident.Resolved || !sells() {
			t.Errorf("after it works %+v, pauses %+v", i, r.pauses())
		}
		var steps, probes []string
		lines, err := r.store.Entries(t.Context(), i.ID)
		for _, e := range lines {
			if e.Event == incident.EventStep {
				steps = append(steps, e.Text)
			}
			if e.Event == incident.EventProbe {
				probes = append(probes, e.Text)
			}
		}
		if want := []string{"10", "100", "500", "1000"}; err != nil || !slices.Equal(steps, want) {
			t.Errorf("sales reopened by %v, want %v, %v", steps, want, err)
		}
		// Many failed, and several went well: each outcome is one line.
		if want := []string{"bad no answer", "good"}; !slices.Equal(probes, want) {
			t.Errorf("probes are told as %q, want %q", probes, want)
		}
		r.pass(61*time.Minute, 5*time.Minute)
		if i := r.only(); i.Status != incident.Closed {
			t.Errorf("not closed %+v", i)
		}
		if texts := r.letters()[someone]; len(texts) != 2 {
			t.Errorf("told %q", texts)
		}
		r.verified()
	})
}

// TestExpectedIsSaid: when people say when it should be over, whoever is refused is told until when, on every node.
func TestExpectedIsSaid(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		r := begin(t, dsn)
		gates := make([]*incident.Switch, 2)
		for i := range gates {
			var err error
			if gates[i], err = incident.NewSwitch(incident.SwitchConfig{Store: r.store, Clock: r, Known: func(incident.Series) bool { return true }}); err != nil {
				t.Fatal(err)
			}
		}
		r.fail(ocs)
		r.step()
		said := func() (all []purchase.Instant) {
			t.Helper()
			for _, gate := range gates {
				if _, err := gate.Step(t.Context(), r.now); err != nil {
					t.Fatal(err)
				}
				var paused *purchase.PausedError
				if !errors.As(gate.Admit(&purchase.Request{Product: "airtime", Provider: "ocs", Recipient: someone}), &paused) {
					t.Fatal("what fails is sold")
				}
				all = append(all, paused.Until)
			}
			return all
		}
		if got := said(); got[0] != 0 || got[1] != 0 {
			t.Errorf("until %v, and nobody knows", got)
		}
		i, until := r.only(), r.now.Add(40*time.Minute)
		if _, err := r.desk.Act(t.Context(), i.ID, i.Version, r.chief, incident.Deed{Do: incident.EventExpected, At: until}); err != nil {
			t.Fatal(err)
		}
		if got := said(); got[0] != until || got[1] != until {
			t.Errorf("until %v, want %s", got, until)
		}
	})
}
