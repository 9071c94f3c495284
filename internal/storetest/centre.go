package storetest

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
	"tenu/internal/voice/centre"
)

// CentreSubject is a fresh, empty store of a call centre under test.
type CentreSubject struct {
	centre.Store
	// Again opens the same store once more, as another process would.
	Again func(testing.TB) centre.Store
}

// RunCentre checks what package centre asks of a store.
func RunCentre(t *testing.T, open func(testing.TB) CentreSubject) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, CentreSubject)
	}{
		{"AgentsAreWrittenWhole", agentsAreWrittenWhole},
		{"AgentsMoveOnce", agentsMoveOnce},
		{"AgentsShareNothing", agentsShareNothing},
		{"CallsAreWrittenWhole", callsAreWrittenWhole},
		{"CallsAddUp", callsAddUp},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// ready is an agent who takes calls, as it is first kept.
func ready(staff auth.StaffID, extension string, since purchase.Instant) centre.Agent {
	return centre.Agent{Staff: staff, Version: 1, Extension: extension, State: centre.Ready, Since: since}
}

// rings is an agent who is given a call.
func rings(a centre.Agent, call string) centre.Agent {
	a.Version, a.State, a.Since, a.Till, a.Call = a.Version+1, centre.Ringing, a.Since+1, a.Since+20, call
	return a
}

func move(t testing.TB, s centre.Store, want bool, agents ...centre.Agent) {
	t.Helper()
	moved, err := s.MoveAgents(t.Context(), agents...)
	if n := len(agents); err != nil || want && moved != n || !want && moved != 0 {
		t.Fatalf("move %+v: %d, %v", agents, moved, err)
	}
}

func agentsAreWrittenWhole(t *testing.T, s CentreSubject) {
	if a, err := s.Agent(t.Context(), 7); err != nil || a != (centre.Agent{Staff: 7, State: centre.Away}) {
		t.Errorf("who was never there: %+v, %v", a, err)
	}
	if moved, err := s.MoveAgents(t.Context()); err != nil || moved != 0 {
		t.Errorf("move nobody: %d, %v", moved, err)
	}
	one, two := ready(1, "2001", dawn+2), ready(2, "ext-2.b", dawn+1)
	move(t, s, true, one, two)
	one = rings(one, "c-1")
	one.Number, one.Purchase, one.Case, one.Callback = someone, 3, 4, 5
	move(t, s, true, one)
	three := centre.Agent{Staff: 3, Version: 1, State: centre.Away, Since: dawn}
	move(t, s, true, three)
	again := s.Again(t)
	for since, want := range map[purchase.Instant][]centre.Agent{dawn: {three, two, one}, dawn + 1: {two, one}} {
		if got, err := again.OnDuty(t.Context(), since); err != nil || !slices.Equal(got, want) {
			t.Errorf("since %s: %+v, %v", since, got, err)
		}
	}
	if a, err := again.Agent(t.Context(), 1); err != nil || a != one {
		t.Errorf("one: %+v, %v", a, err)
	}
}

// One change of a version wins, and those of a batch are judged each for itself.
func agentsMoveOnce(t *testing.T, s CentreSubject) {
	stores := []centre.Store{s.Store, s.Again(t)}
	var last centre.Agent
	for version := int64(1); version <= 3; version++ {
		var kept atomic.Pointer[centre.Agent]
		if won := race(t, 20, centre.ErrStale, func(i int) error {
			a := ready(1, "2001", dawn+purchase.Instant(i))
			if a.Version = version; version == 2 {
				a.State, a.Till, a.Call = centre.Talking, dawn+100, "c-1"
			}
			moved, err := stores[i%2].MoveAgents(t.Context(), a)
			if err == nil && moved == 0 {
				return centre.ErrStale
			}
			kept.Store(&a)
			return err
		}); won != 1 {
			t.Fatalf("version %d was kept %d times", version, won)
		}
		last = *kept.Load()
	}
	if a, err := s.Agent(t.Context(), 1); err != nil || a != last {
		t.Errorf("kept %+v, not %+v, %v", a, last, err)
	}
	unknown := ready(2, "2002", dawn)
	unknown.Version = 2
	for _, refused := range []centre.Agent{last, unknown} {
		fresh, rest := ready(auth.StaffID(10+refused.Staff), refused.Extension+"0", dawn), ready(3, "2003", dawn)
		if moved, err := s.MoveAgents(t.Context(), fresh, refused, rest); err != nil || moved != 1 {
			t.Errorf("of a new one, %+v and another moved %d, %v", refused, moved, err)
		}
		if got, err := s.Agent(t.Context(), fresh.Staff); err != nil || got != fresh {
			t.Errorf("kept %+v, %v", got, err)
		}
		if got, err := s.Agent(t.Context(), 3); err != nil || got.Version != 0 {
			t.Errorf("who came after it was moved: %+v, %v", got, err)
		}
	}
}

// A telephone, a call and a callback are one agent's at a time, whoever gives them.
func agentsShareNothing(t *testing.T, s CentreSubject) {
	stores := []centre.Store{s.Store, s.Again(t)}
	one, two := ready(1, "2001", dawn), ready(2, "2002", dawn)
	move(t, s, true, one, two)
	move(t, s, false, ready(3, "2001", dawn))
	var kept atomic.Pointer[centre.Agent]
	if won := race(t, 20, centre.ErrStale, func(i int) error {
		a := rings([]centre.Agent{one, two}[i/2%2], "c-1")
		moved, err := stores[i%2].MoveAgents(t.Context(), a)
		if err == nil && moved == 0 {
			return centre.ErrStale
		}
		kept.Store(&a)
		return err
	}); won != 1 {
		t.Errorf("a call was given to %d agents", won)
	}
	with := *kept.Load()
	other := map[auth.StaffID]centre.Agent{1: two, 2: one}[with.Staff]
	move(t, s, false, rings(other, "c-1"))
	with.Version, with.State, with.Callback = 3, centre.Talking, 9
	move(t, s, true, with)
	called := rings(other, "c-2")
	called.Callback = 9
	move(t, s, false, called)
	// Whoever wraps up has the call no more, but the telephone; whoever is away not even that.
	with.Version, with.State = 4, centre.Wrapping
	move(t, s, true, with)
	move(t, s, true, called)
	move(t, s, false, ready(3, with.Extension, dawn))
	move(t, s, true, centre.Agent{Staff: with.Staff, Version: 5, State: centre.Away, Since: dawn + 9, Extension: with.Extension})
	move(t, s, true, ready(3, with.Extension, dawn))
	move(t, s, false, centre.Agent{Staff: with.Staff, Version: 6, State: centre.Ready, Since: dawn + 9, Extension: with.Extension})
}

// ended is a call that an agent took.
func ended(id string, at purchase.Instant) centre.Call {
	return centre.Call{ID: id, Trunk: "sbc", Number: someone, Language: "fr", Purchase: 3, Case: 4, Callback: 5, Staff: 6, Incident: "ocs",
		At: at, Answered: at + 1, Queued: at + 2, Taken: at + 3, Ended: at + 4, Release: centre.Spoken}
}

func callsAreWrittenWhole(t *testing.T, s CentreSubject) {
	if err := s.AddCalls(t.Context(), nil, nil); err != nil {
		t.Errorf("keep nothing: %v", err)
	}
	first, second, other := ended("c-1", dawn), ended("c-2", dawn), ended("c-3", dawn)
	first.Unrecorded = true
	second.Trunk, second.Language, second.Incident, other.Number = hostile, hostile, hostile, 0
	if err := s.AddCalls(t.Context(), []centre.Call{first, second, other}, nil); err != nil {
		t.Fatal(err)
	}
	again := first
	again.Trunk = "another"
	late := ended("c-0", dawn+1)
	if err := s.Again(t).AddCalls(t.Context(), []centre.Call{again, late}, nil); err != nil {
		t.Fatal(err)
	}
	want := []centre.Call{late, second, first}
	for limit := range 5 {
		got, err := s.CallsOf(t.Context(), someone, limit)
		for i := range got {
			if got[i].Incident = strings.ReplaceAll(got[i].Incident, kept, hostile); got[i].ID == second.ID {
				got[i].Trunk, got[i].Language = second.Trunk, second.Language
			}
		}
		if n := min(limit, len(want)); err != nil || !slices.Equal(got, want[:n]) {
			t.Errorf("the newest %d: %+v, %v", limit, got, err)
		}
	}
	wrong := ended("c-4", dawn)
	wrong.Release = "vanished"
	if err := s.AddCalls(t.Context(), []centre.Call{ended("c-5", dawn), wrong}, nil); err == nil || errors.Is(err, purchase.ErrUnavailable) {
		t.Errorf("no such release: %v", err)
	}
	if got, err := s.CallsOf(t.Context(), someone, 9); err != nil || len(got) != 3 {
		t.Errorf("of a batch with a wrong one is kept %+v, %v", got, err)
	}
}

func callsAddUp(t *testing.T, s CentreSubject) {
	const hour = purchase.Instant(60 * minute)
	none := centre.Figures{Released: map[centre.Release]int{}}
	if got, err := s.CallFigures(t.Context(), dawn, dawn+hour); err != nil || !reflect.DeepEqual(got, none) {
		t.Errorf("of nothing: %+v, %v", got, err)
	}
	second := purchase.Instant(time.Second.Microseconds())
	call := func(id string, at, answered, queued, taken purchase.Instant, release centre.Release) centre.Call {
		c := centre.Call{ID: id, At: at, Answered: at + answered, Ended: at + 300*second, Release: release}
		if queued != 0 {
			c.Queued = at + queued
		}
		if taken != 0 {
			c.Staff, c.Taken = 1, at+taken
		}
		return c
	}
	calls := []centre.Call{
		call("before", dawn-1, second, 0, 0, centre.Informed), call("after", dawn+hour, second, 0, 0, centre.Informed),
		call("a", dawn, second, 0, 0, centre.Informed), call("b", dawn+hour-1, 20*second, 0, 0, centre.Informed),
		call("slow", dawn, 21*second, 0, 0, centre.Failed),
		call("soon", dawn, 2*second, 12*second, 32*second, centre.Spoken), call("late", dawn, 2*second, 12*second, 33*second, centre.Spoken),
		call("left", dawn, 2*second, 12*second, 0, centre.Abandoned),
	}
	refused := func(epoch int64, hour purchase.Instant, count int) centre.Refused {
		return centre.Refused{Epoch: epoch, Hour: hour, Count: count}
	}
	for _, again := range [][]centre.Refused{{refused(1, dawn, 5), refused(2, dawn, 2), refused(1, dawn-hour, 70), refused(1, dawn+hour, 80)},
		{refused(1, dawn, 7)}, {refused(1, dawn, 6), refused(2, dawn, 2)}} {
		if err := s.AddCalls(t.Context(), calls, again); err != nil {
			t.Fatal(err)
		}
	}
	want := centre.Figures{Offered: 15, Refused: 9, InTime: 3, Answer: 48 * time.Second, Queued: 3, Got: 2, Waited: 41 * time.Second,
		Released: map[centre.Release]int{centre.Informed: 2, centre.Failed: 1, centre.Spoken: 2, centre.Abandoned: 1}}
	if got, err := s.CallFigures(t.Context(), dawn, dawn+hour); err != nil || !reflect.DeepEqual(got, want) || got.Answered() != 6 {
		t.Errorf("%+v, want %+v, %v", got, want, err)
	}
}

// Whoever was promised a callback got an agent when that, or the one that made it good, was kept.
func callbacksEndWaits(t *testing.T, s DatabaseSubject) {
	at := func(minutes int) purchase.Instant { return dawn + purchase.Instant(minutes)*minute }
	end := func(number purchase.MSISDN, state care.State, a *care.Attempt, follow *care.Callback) int64 {
		t.Helper()
		c := promised(t, s, promise(number, 1))
		c.Version, c.State, c.ClosedAt, c.DueAt = 2, state, at(9), 0
		changeCallback(t, s, care.CallbackChange{Now: c, Attempt: a, Follow: follow})
		return c.ID
	}
	answered := &care.Attempt{Try: 1, Staff: 1, At: at(5), EndedAt: at(6), Ring: care.Answered}
	follow := promise(someone+2, 2)
	calls := []centre.Call{
		{ID: "kept", Callback: end(someone, care.Kept, answered, nil), Queued: at(1)},
		{ID: "by hand", Callback: end(someone+1, care.Kept, nil, nil)},
		{ID: "broken", Callback: end(someone+2, care.Broken, nil, &follow)},
		{ID: "cancelled", Callback: end(someone+3, care.Cancelled, nil, nil)},
		{ID: "kept before", Callback: end(someone+4, care.Kept, answered, nil), At: at(8), Answered: at(8), Ended: at(8)},
	}
	for i := range calls {
		if c := &calls[i]; c.At == 0 {
			c.At, c.Answered, c.Ended = at(0), at(0), at(2)
		}
		calls[i].Release = centre.Promised
	}
	if err := s.AddCalls(t.Context(), calls, nil); err != nil {
		t.Fatal(err)
	}
	want := centre.Figures{Offered: 5, Queued: 5, Got: 3, Waited: 13 * time.Minute, Released: map[centre.Release]int{centre.Promised: 5}}
	if got, err := s.CallFigures(t.Context(), dawn, dawn+window); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v, %v", got, want, err)
	}
	made, err := s.Callbacks(t.Context(), someone+2, 1)
	if err != nil {
		t.Fatal(err)
	}
	made[0].Version, made[0].State, made[0].ClosedAt, made[0].DueAt = 2, care.Kept, at(20), 0
	changeCallback(t, s, care.CallbackChange{Now: made[0]})
	want.Got, want.Waited = 4, 33*time.Minute
	if got, err := s.CallFigures(t.Context(), dawn, dawn+window); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("made good: %+v, want %+v, %v", got, want, err)
	}
}
