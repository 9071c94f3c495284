package centre_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/voice/centre"
)

// full is a store that takes no calls for a while, and refuses some for good.
type full struct {
	*store.Memory
	down   atomic.Bool
	writes atomic.Int64
}

func (f *full) AddCalls(ctx context.Context, calls []centre.Call, refused []centre.Refused) error {
	if f.down.Load() {
		return purchase.ErrUnavailable
	}
	for i := range calls {
		if calls[i].Trunk == "bad" {
			return errors.New("rejected")
		}
	}
	f.writes.Add(1)
	return f.Memory.AddCalls(ctx, calls, refused)
}

func record(t *testing.T, s centre.Store, room int) (r *centre.Recorder, stop func()) {
	t.Helper()
	r = centre.NewRecorder(centre.RecorderConfig{Store: s, Clock: clock{}, Epoch: func() int64 { return 3 }, Room: room})
	ctx, end := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	stop = func() { end(); <-done }
	t.Cleanup(stop)
	return r, stop
}

func ofToday(t *testing.T, s centre.Store) centre.Figures {
	t.Helper()
	f, err := s.CallFigures(t.Context(), 0, clock{}.Now()+1)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func brief(i int) centre.Call {
	return centre.Call{ID: fmt.Sprint(i), At: clock{}.Now(), Release: centre.Informed}
}

func TestCallsAreWrittenTogether(t *testing.T) {
	in(t, func(t *testing.T, s *store.Memory) {
		f := &full{Memory: s}
		r, stop := record(t, f, 2000)
		for i := range 1200 {
			r.Add(brief(i))
		}
		r.Refuse(clock{}.Now())
		time.Sleep(2 * time.Second)
		if got := ofToday(t, s); got.Offered != 1201 || got.Refused != 1 || f.writes.Load() != 3 {
			t.Errorf("%+v in %d writes", got, f.writes.Load())
		}
		// While the store takes nothing, what comes is kept; what finds no room is counted.
		f.down.Store(true)
		for i := range 2500 {
			r.Add(brief(2000 + i))
		}
		for range 5 {
			r.Refuse(clock{}.Now())
		}
		time.Sleep(time.Minute)
		if r.Lost() != 500 {
			t.Errorf("lost %d", r.Lost())
		}
		f.down.Store(false)
		time.Sleep(2 * time.Second)
		if got := ofToday(t, s); got.Offered != 3206 || got.Refused != 6 {
			t.Errorf("%+v", got)
		}
		time.Sleep(3 * time.Hour)
		r.Refuse(clock{}.Now())
		r.Add(brief(9000))
		stop()
		if got := ofToday(t, s); got.Offered != 3208 || got.Refused != 7 || r.Lost() != 500 {
			t.Errorf("at the end %+v, lost %d", got, r.Lost())
		}
	})
}

func TestWhatIsRefusedKeepsNothingElseBack(t *testing.T) {
	in(t, func(t *testing.T, s *store.Memory) {
		f := &full{Memory: s}
		r, stop := record(t, f, 10)
		bad := brief(2)
		bad.Trunk = "bad"
		r.Add(brief(1))
		r.Add(bad)
		r.Add(brief(3))
		time.Sleep(2 * time.Second)
		if got := ofToday(t, s); got.Offered != 2 || r.Lost() != 1 {
			t.Errorf("%+v, lost %d", got, r.Lost())
		}
		// A store that does not answer at the end does not keep the process from ending.
		f.down.Store(true)
		r.Add(brief(4))
		synctest.Wait()
		if stop(); r.Lost() != 2 {
			t.Errorf("lost %d", r.Lost())
		}
	})
}

// Whatever the clock did, a call is one that every store takes.
func TestCallsAreStraightened(t *testing.T) {
	in(t, func(t *testing.T, s *store.Memory) {
		r, stop := record(t, s, 10)
		r.Add(centre.Call{ID: "back", Number: 1, At: 100, Answered: 90, Queued: 80, Taken: 70, Staff: 1, Ended: 60, Release: centre.Spoken})
		r.Add(centre.Call{ID: "no agent", Number: 1, At: 99, Answered: 100, Taken: 70, Ended: 160, Release: centre.Spoken})
		r.Add(centre.Call{ID: "no queue", Number: 1, At: 98, Answered: 99, Taken: 170, Staff: 1, Ended: 180, Release: centre.Spoken})
		stop()
		want := []centre.Call{
			{ID: "back", Number: 1, At: 100, Answered: 100, Queued: 100, Taken: 100, Staff: 1, Ended: 100, Release: centre.Spoken},
			{ID: "no agent", Number: 1, At: 99, Answered: 100, Ended: 160, Release: centre.Abandoned},
			{ID: "no queue", Number: 1, At: 98, Answered: 99, Queued: 170, Taken: 170, Staff: 1, Ended: 180, Release: centre.Spoken},
		}
		got, err := s.CallsOf(t.Context(), 1, 9)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("kept %+v, not %+v, %v", got, want, err)
		}
	})
}
