package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"tenu/internal/care"
	"tenu/internal/purchase"
)

const window = purchase.Instant(15 * minute)

// promise is a callback that is promised to a number, some windows after dawn.
func promise(number purchase.MSISDN, windows int) care.Callback {
	return care.Callback{Number: number, WindowAt: dawn + purchase.Instant(windows)*window, At: dawn, Channel: "app", Language: "fr", DueAt: dawn + 5, State: care.Promised}
}

// promised adds a callback that must be kept.
func promised(t testing.TB, s care.CallbackStore, c care.Callback) care.Callback {
	t.Helper()
	kept, added, err := s.AddCallback(t.Context(), c, 1000)
	if err != nil || !added {
		t.Fatalf("add a callback: %v, %v", added, err)
	}
	return kept
}

// changeCallback writes a change that must succeed, and returns the callback as stored.
func changeCallback(t testing.TB, s care.CallbackStore, c care.CallbackChange) care.Callback {
	t.Helper()
	if err := s.ChangeCallback(t.Context(), c); err != nil {
		t.Fatalf("change a callback: %v", err)
	}
	got, err := s.Callback(t.Context(), c.Now.ID)
	if err != nil || got != c.Now {
		t.Fatalf("stored %+v, want %+v, %v", got, c.Now, err)
	}
	return got
}

func callbacksAreWrittenWhole(t *testing.T, s DatabaseSubject) {
	about := changeCase(t, s, care.Change{Now: complaint(3), Entries: []care.Entry{{At: 1, Event: care.EventOpened, By: care.Actor{Kind: care.BySystem}}}})
	c := promise(someone, 1)
	c.Case, c.Purchase, c.Reason, c.Owner, c.NextAt = about.ID, 3, hostile, 4, dawn+1
	c = promised(t, s, c)
	want := promise(someone, 1)
	want.ID, want.Version, want.Case, want.Purchase, want.Reason, want.Owner, want.NextAt = c.ID, 1, about.ID, 3, kept, 4, dawn+1
	if c != want {
		t.Fatalf("added %+v, want %+v", c, want)
	}
	staff := care.Actor{Kind: care.ByStaff, Staff: 5}
	begun := care.Attempt{Callback: c.ID, Try: 1, Staff: 5, At: dawn + 2, Ring: care.Ringing, Ref: hostile}
	c.Version, c.Owner, c.Tries, c.Trying, c.NextAt, c.DueAt, c.ToldAt, c.Alerted = 2, 5, 1, true, 9, 10, 11, 12
	c = changeCallback(t, s, care.CallbackChange{Now: c, Attempt: &begun, Messages: []care.Message{{To: someone, Text: "soon", At: dawn, Key: "soon"}},
		Entries: []care.Entry{{At: dawn + 2, Event: care.EventTold, By: staff, Text: "a"}, {At: dawn + 3, Event: care.EventNote, By: staff, Text: "b"}}})
	ended := begun
	ended.Staff, ended.At, ended.EndedAt, ended.Ring, ended.Ref = 99, 99, dawn+4, care.Voicemail, "ref"
	c.Version, c.Trying, c.State, c.ClosedAt, c.DueAt = 3, false, care.Broken, dawn+5, 0
	follow := promise(someone, 3)
	stale := c
	for _, version := range []int64{2, 4} {
		stale.Version = version
		if err := s.ChangeCallback(t.Context(), care.CallbackChange{Now: stale, Attempt: &ended, Follow: &follow}); !errors.Is(err, care.ErrStale) {
			t.Errorf("version %d after 2: %v", version, err)
		}
	}
	c = changeCallback(t, s, care.CallbackChange{Now: c, Attempt: &ended, Follow: &follow, Messages: []care.Message{{To: someone, Key: "soon"}, {To: someone, Text: "sorry"}},
		Entries: []care.Entry{{At: dawn, Event: care.EventLate, By: staff}}})
	ended.Staff, ended.At = 5, dawn+2
	if got, err := s.Attempts(t.Context(), c.ID); err != nil || !slices.Equal(got, []care.Attempt{ended}) {
		t.Errorf("attempts %+v, %v", got, err)
	}
	all, err := s.Callbacks(t.Context(), someone, 5)
	if err != nil || len(all) != 2 || all[1] != c || all[0].Follows != c.ID || all[0].State != care.Promised || all[0].Version != 1 || all[0].WindowAt != follow.WindowAt {
		t.Errorf("callbacks %+v, %v", all, err)
	}
	messages, err := s.MessagesOf(t.Context(), 0, c.ID)
	if err != nil || len(messages) != 2 || messages[0].Text != "soon" || messages[1].Case != about.ID || messages[1].Callback != c.ID {
		t.Errorf("messages %+v, %v", messages, err)
	}
	// What callbacks tell stands between what the case's own changes tell.
	about.Version = 2
	changeCase(t, s, care.Change{Now: about, Entries: []care.Entry{{At: 1, Event: care.EventNote, By: staff, Text: "c"}}})
	history, err := s.History(t.Context(), about.ID)
	var events string
	for _, e := range history {
		events += fmt.Sprintf("%d %s;", e.Seq, e.Event)
	}
	if err != nil || events != "1000 opened;1001 told;1002 note;1003 late;2000 note;" {
		t.Errorf("history %s, %v", events, err)
	}
	if ids, err := s.Changed(t.Context(), dawn+3, 5); err != nil || !slices.Equal(ids, []care.CaseID(nil)) {
		t.Errorf("the case itself changed last: %v, %v", ids, err)
	}
	if _, err := s.Callback(t.Context(), 99); !errors.Is(err, care.ErrNotFound) {
		t.Errorf("no such callback: %v", err)
	}
}

// A promise ends once, is dialled once per try, and is made good once, while others promise.
func callbacksChangeOnce(t *testing.T, s DatabaseSubject) {
	again := s.Again(t)
	from := func(i int) Database { return []Database{s.Database, again}[i%2] }
	c := promised(t, s, promise(someone, 1))
	if won := race(t, 50, care.ErrStale, func(i int) error {
		now := c
		now.Version, now.Tries, now.Trying = 2, 1, true
		return from(i).ChangeCallback(t.Context(), care.CallbackChange{Now: now, Attempt: &care.Attempt{Try: 1, Staff: 1, At: dawn + purchase.Instant(i), Ring: care.Ringing}})
	}); won != 1 {
		t.Errorf("%d attempts began", won)
	}
	if got, err := s.Attempts(t.Context(), c.ID); err != nil || len(got) != 1 {
		t.Errorf("attempts %+v, %v", got, err)
	}
	var broken, cancelled atomic.Int64
	race(t, 60, care.ErrStale, func(i int) error {
		switch i % 3 {
		case 0:
			_, _, err := from(i).AddCallback(t.Context(), promise(someone, 2+i), 1000)
			return err
		case 1:
			got, err := from(i).CancelCallback(t.Context(), c.ID, someone, dawn+7)
			if err == nil && got.State == care.Cancelled {
				cancelled.Add(1)
			}
			return err
		}
		now, follow := c, promise(someone, 1)
		now.Version, now.State, now.ClosedAt, now.DueAt = 3, care.Broken, dawn+8, 0
		err := from(i).ChangeCallback(t.Context(), care.CallbackChange{Now: now, Follow: &follow})
		if err == nil {
			broken.Add(1)
		}
		return err
	})
	if broken.Load()+min(cancelled.Load(), 1) != 1 {
		t.Errorf("broken %d times and cancelled %d times", broken.Load(), cancelled.Load())
	}
	all, err := s.Callbacks(t.Context(), someone, 100)
	open, changes := 0, int64(0)
	for i := range all {
		changes += all[i].Version
		if all[i].State == care.Promised {
			open++
		}
	}
	if sums, err := s.Calls(t.Context(), someone, someone+1); err != nil || len(sums) != 1 || sums[someone] != changes {
		t.Errorf("changes %v, want %d of one number: %v", sums, changes, err)
	}
	if err != nil || open > 1 || broken.Load() == 1 && (len(all) != 2 || all[0].Follows != c.ID) {
		t.Errorf("callbacks %+v, %v", all, err)
	}
}

func callbacksComeDue(t *testing.T, s DatabaseSubject) {
	// One as an older version promised it.
	s.Execute(t, `INSERT INTO callback (number, purchase, at, window_at, closed_at, state, channel, language, reason)
		VALUES (22670000001, 0, 1, 1800000900000000, 0, 1, 'app', 'fr', '')`)
	old, err := s.Callbacks(t.Context(), 22670000001, 1)
	if err != nil || len(old) != 1 || old[0].Version != 1 || old[0].DueAt != 0 {
		t.Fatalf("an older promise %+v, %v", old, err)
	}
	later, soon := promise(22670000002, 3), promise(22670000003, 2)
	later.DueAt = dawn + 9
	later, soon = promised(t, s, later), promised(t, s, soon)
	gone := promised(t, s, promise(22670000004, 1))
	follow := promise(22670000004, 4)
	gone.Version, gone.State, gone.ClosedAt, gone.DueAt = 2, care.Broken, dawn+5, 0
	gone = changeCallback(t, s, care.CallbackChange{Now: gone, Follow: &follow})
	made, err := s.Callbacks(t.Context(), gone.Number, 1)
	if err != nil {
		t.Fatal(err)
	}
	if due, next, err := s.DueCallbacks(t.Context(), dawn+5, 10); err != nil || !slices.Equal(due, []care.Callback{old[0], soon, made[0]}) || next != dawn+9 {
		t.Errorf("due %+v, next %s, %v", due, next, err)
	}
	if due, next, err := s.DueCallbacks(t.Context(), dawn+9, 3); err != nil || !slices.Equal(due, []care.Callback{old[0], soon, made[0]}) || next != dawn+9 {
		t.Errorf("the first three %+v, next %s, %v", due, next, err)
	}
	order := []care.Callback{made[0], old[0], soon, later}
	for limit := range 5 {
		if got, err := s.Waiting(t.Context(), dawn+5*window, limit); err != nil || !slices.Equal(got, order[:limit]) {
			t.Errorf("the first %d that wait: %+v, %v", limit, got, err)
		}
	}
	if got, err := s.Waiting(t.Context(), dawn+3*window, 9); err != nil || !slices.Equal(got, order[1:3]) {
		t.Errorf("until the third window wait %+v, %v", got, err)
	}
}

func waitsAreSummedUp(t *testing.T, s DatabaseSubject) {
	end := func(c care.Callback, state care.State, at purchase.Instant, a *care.Attempt, follow *care.Callback) {
		t.Helper()
		c.Version, c.State, c.ClosedAt, c.DueAt = c.Version+1, state, at, 0
		if a != nil {
			c.Tries = a.Try
		}
		changeCallback(t, s, care.CallbackChange{Now: c, Attempt: a, Follow: follow})
	}
	answered := func(at, till purchase.Instant) *care.Attempt {
		return &care.Attempt{Try: 1, Staff: 1, At: at, EndedAt: till, Ring: care.Answered}
	}
	end(promised(t, s, promise(22670000001, 1)), care.Kept, dawn+window+9*minute, answered(dawn+window, dawn+window+3*minute), nil)
	end(promised(t, s, promise(22670000002, 1)), care.Cancelled, dawn+1, nil, nil)
	end(promised(t, s, promise(22670000003, 1)), care.Kept, dawn+4*minute, nil, nil) // never dialled
	promised(t, s, promise(22670000004, 1))
	follow := promise(22670000005, 2)
	follow.At = dawn + 2*window
	end(promised(t, s, promise(22670000005, 1)), care.Broken, dawn+2*window, nil, &follow)
	made, err := s.Callbacks(t.Context(), follow.Number, 1)
	if err != nil {
		t.Fatal(err)
	}
	end(made[0], care.Kept, dawn+3*window, answered(dawn+2*window+1*minute, dawn+2*window+2*minute), nil)
	for _, c := range []struct {
		from, till purchase.Instant
		want       care.Wait
	}{
		{dawn, dawn + 2*window, care.Wait{}},
		{dawn + 2*window, dawn + 3*window, care.Wait{Promised: 5, Kept: 2, Cancelled: 1, Broken: 1, Waited: 19 * time.Minute, Handled: 3 * time.Minute, Answered: 1}},
		{dawn + 3*window, dawn + 4*window, care.Wait{Promised: 1, Kept: 1, Waited: 31 * time.Minute, Handled: time.Minute, Answered: 1}},
	} {
		if got, err := s.Waited(t.Context(), c.from, c.till); err != nil || got != c.want {
			t.Errorf("from %s to %s: %+v, want %+v, %v", c.from, c.till, got, c.want, err)
		}
	}
}
