package storetest

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// paused makes a pause that must be kept.
func paused(t testing.TB, s incident.PauseStore, p incident.Pause) incident.Pause {
	t.Helper()
	kept, err := s.ChangePause(t.Context(), p)
	if err != nil {
		t.Fatalf("write a pause: %v", err)
	}
	return kept
}

func pauses(t testing.TB, s incident.PauseStore, since purchase.Instant) []incident.Pause {
	t.Helper()
	list, err := s.Pauses(t.Context(), since)
	if err != nil {
		t.Fatalf("read pauses: %v", err)
	}
	return list
}

func pausesAreWrittenWhole(t *testing.T, s DatabaseSubject) {
	p := incident.Pause{Version: 1, Series: incident.Series{By: incident.ByProvider, Name: hostile}, Share: 10, Reason: hostile, At: dawn, Held: true,
		By: incident.Actor{Staff: 3}, Incident: 12, RampState: incident.RampState{Tries: 4, Good: 5, Falls: 6, Failing: true, Said: hostile, StepAt: dawn + 7, TryAt: dawn + 8, NextAt: dawn + 9}}
	want := p
	want.Series.Name, want.Reason, want.Said = kept, kept, kept
	got := paused(t, s, p)
	if want.ID = got.ID; got != want || got.ID <= 0 {
		t.Fatalf("wrote %+v, want %+v", got, want)
	}
	if list := pauses(t, s.Again(t), dawn+1000); !slices.Equal(list, []incident.Pause{want}) {
		t.Errorf("read %+v", list)
	}
	// Everything changes but what it is of and when it began.
	end := incident.Pause{ID: got.ID, Version: 2, Series: incident.Series{By: incident.ByPayer, Name: "other"}, At: 1, Share: 1000, Reason: "a", EndedAt: dawn + 20,
		By: incident.Actor{Staff: 4}, EndedBy: incident.Actor{Staff: 5}, EndReason: hostile, Incident: 13, RampState: incident.RampState{Said: "b"}}
	for _, version := range []int64{0, 1, 3} {
		stale := end
		if stale.Version = version; !errors.Is(changed(t, s, stale), incident.ErrStale) {
			t.Errorf("version %d after 1: no ErrStale", version)
		}
	}
	want = end
	want.Series, want.At, want.EndReason = got.Series, got.At, kept
	if got := paused(t, s, end); got != want {
		t.Errorf("wrote %+v, want %+v", got, want)
	}
	for since, n := range map[purchase.Instant]int{dawn + 20: 1, dawn + 21: 0, 0: 1} {
		if list := pauses(t, s, since); len(list) != n {
			t.Errorf("since %s: %+v, want %d", since, list, n)
		}
	}
	end.Version = 3
	if err := changed(t, s, end); !errors.Is(err, incident.ErrStale) {
		t.Errorf("a pause that ended changed: %v", err)
	}
	end.ID = 99
	if err := changed(t, s, end); !errors.Is(err, incident.ErrNotFound) {
		t.Errorf("no such pause: %v", err)
	}
	// The series may be paused again, after that and after others.
	other := paused(t, s, incident.Pause{Series: incident.Series{By: incident.ByPayer, Name: hostile}, At: dawn})
	again := paused(t, s, incident.Pause{Series: p.Series, At: dawn + 30})
	if list := pauses(t, s, dawn+25); !slices.Equal(list, []incident.Pause{other, again}) || other.Version != 1 || again.ID <= other.ID {
		t.Errorf("read %+v", list)
	}
}

func changed(t testing.TB, s incident.PauseStore, p incident.Pause) error {
	t.Helper()
	_, err := s.ChangePause(t.Context(), p)
	return err
}

// One series has one pause that lasts, and one change of a version wins, whoever else tries.
func pausesChangeOnce(t *testing.T, s DatabaseSubject) {
	again := s.Again(t)
	from := func(i int) Database { return []Database{s.Database, again}[i%2] }
	series := incident.Series{By: incident.ByProduct, Name: "data-day"}
	var id atomic.Int64
	if won := race(t, 40, incident.ErrPaused, func(i int) error {
		p, err := from(i).ChangePause(t.Context(), incident.Pause{Series: series, At: dawn + purchase.Instant(i)})
		if err == nil {
			id.Store(p.ID)
		}
		return err
	}); won != 1 {
		t.Fatalf("%d pauses of a series last", won)
	}
	for version := int64(2); version <= 4; version++ {
		share := []int{0, 0, 10, 100, 1000}[version]
		if won := race(t, 40, incident.ErrStale, func(i int) error {
			p := incident.Pause{ID: id.Load(), Version: version, Share: share, RampState: incident.RampState{Tries: int64(i)}}
			if share == 1000 {
				p.EndedAt = dawn + 50
			}
			_, err := from(i).ChangePause(t.Context(), p)
			return err
		}); won != 1 {
			t.Errorf("version %d was written %d times", version, won)
		}
	}
	if list := pauses(t, s, 0); len(list) != 1 || list[0].Share != 1000 || list[0].Version != 4 {
		t.Errorf("read %+v", list)
	}
}
