package care_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

// promise promises a call in the first window.
func (o *office) promise(t *testing.T, number purchase.MSISDN, about care.Case) care.Callback {
	t.Helper()
	windows, err := o.Windows(t.Context(), 1)
	if err != nil || len(windows) != 1 {
		t.Fatalf("%v, %v", windows, err)
	}
	c, added, err := o.Promise(t.Context(), care.Callback{Number: number, Case: about.ID, Purchase: about.Purchase, WindowAt: windows[0], Channel: "app", Language: "fr"})
	if err != nil || !added {
		t.Fatalf("%+v, %v", c, err)
	}
	return c
}

// step puts the clock to an instant and does what is due of callbacks.
func (o *office) step(t *testing.T, at purchase.Instant) purchase.Instant {
	t.Helper()
	o.clock.till(at)
	next, err := o.StepCallbacks(t.Context(), o.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// The customer is told, one of fifty agents rings, and the answer keeps the promise.
func TestCallbackIsKept(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		_, file := o.sell(t, saleOf{payer, recipient, 1000, true})
		c := o.promise(t, payer, file)
		_, _, err := o.Ring(t.Context(), anna, c.ID)
		refused(t, err, care.WhySoon)
		if next := o.step(t, o.clock.Now()); next != c.WindowAt.Add(-2*time.Minute) {
			t.Errorf("next is due at %s, the window is at %s", next, c.WindowAt)
		}
		o.step(t, c.WindowAt.Add(-2*time.Minute))
		if told := o.told(t, 0, c.ID); len(told) != 1 || !strings.Contains(told[0], "Nous vous appelons") {
			t.Errorf("told %q", told)
		}
		o.clock.till(c.WindowAt)
		var rung atomic.Int64
		crowd(50, func(i int) {
			_, link, err := o.Ring(t.Context(), []auth.Staff{anna, basil}[i%2], c.ID)
			switch {
			case err == nil && link != "":
				rung.Add(1)
			case !errors.Is(err, care.ErrRefused):
				t.Error(err)
			}
		})
		if rung.Load() != 1 || o.dialled.Load() != 1 {
			t.Fatalf("%d attempts, dialled %d times", rung.Load(), o.dialled.Load())
		}
		got, err := o.store.Callback(t.Context(), c.ID)
		if err != nil || !got.Trying || got.Tries != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
		owner := map[auth.StaffID]auth.Staff{1: anna, 2: basil}[got.Owner]
		if other := map[auth.StaffID]auth.Staff{1: basil, 2: anna}[got.Owner]; !other.Role.May(auth.SeeBoard) {
			_, err = o.Rang(t.Context(), other, c.ID, 1, care.Busy)
			refused(t, err, care.WhyOther)
		}
		if got, err = o.Rang(t.Context(), owner, c.ID, 1, care.Voicemail); err != nil || got.State != care.Promised {
			t.Fatalf("a mailbox answered: %+v, %v", got, err)
		}
		_, _, err = o.Ring(t.Context(), basil, c.ID)
		refused(t, err, care.WhySoon)
		o.clock.till(got.NextAt)
		if _, _, err = o.Ring(t.Context(), basil, c.ID); err != nil {
			t.Fatal(err)
		}
		for range 2 { // said twice
			if got, err = o.Rang(t.Context(), basil, c.ID, 2, care.Answered); err != nil || got.State != care.Kept || got.DueAt != 0 {
				t.Fatalf("%+v, %v", got, err)
			}
		}
		if _, err = o.Rang(t.Context(), basil, c.ID, 2, care.Busy); !errors.Is(err, care.ErrStale) {
			t.Errorf("said otherwise afterwards: %v", err)
		}
		files, err := o.store.Cases(t.Context(), file.ID)
		if err != nil || files[0].AnsweredAt == 0 {
			t.Errorf("the case was not answered: %+v, %v", files, err)
		}
		w, err := o.Waits(t.Context(), 0, c.Till()+1)
		if err != nil || w.Kept != 1 || w.Rate() != 1 || w.Mean() <= 0 {
			t.Errorf("%+v, %v", w, err)
		}
	})
}

// Nobody calls: the supervisor is told, then the promise is broken, counted and made good
// at once, before all others.
func TestCallbackIsBroken(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		_, file := o.sell(t, saleOf{payer, recipient, 1000, true})
		c := o.promise(t, payer, file)
		o.promise(t, recipient, care.Case{}) // which breaks as well
		for _, at := range []purchase.Instant{c.WindowAt.Add(-2 * time.Minute), c.Till().Add(-5 * time.Minute), c.Till()} {
			for range 3 { // again and again is as once
				o.step(t, at)
			}
		}
		got, err := o.store.Callback(t.Context(), c.ID)
		if err != nil || got.State != care.Broken || got.Alerted == 0 {
			t.Fatalf("%+v, %v", got, err)
		}
		if told := o.told(t, 0, c.ID); len(told) != 2 || !strings.Contains(told[1], "excuser") {
			t.Errorf("told %q", told)
		}
		calls, err := o.Calls(t.Context(), 10)
		if err != nil || len(calls) != 2 || calls[0].Follows != c.ID && calls[1].Follows != c.ID || calls[0].Follows == 0 {
			t.Fatalf("to call: %+v, %v", calls, err)
		}
		follow := calls[0]
		if calls[1].Follows == c.ID {
			follow = calls[1]
		}
		if follow.At != c.At || follow.Number != payer || follow.Case != file.ID {
			t.Errorf("%+v follows %+v", follow, c)
		}
		if _, _, err := o.Ring(t.Context(), basil, follow.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Rang(t.Context(), basil, follow.ID, 1, care.Answered); err != nil {
			t.Fatal(err)
		}
		if told := o.told(t, 0, follow.ID); len(told) != 0 {
			t.Errorf("told %q besides the apology", told)
		}
		w, err := o.Waits(t.Context(), 0, follow.Till()+1)
		if err != nil || w.Broken != 2 || w.Kept != 1 || w.Mean() < 15*time.Minute {
			t.Errorf("%+v waited %s, %v", w, w.Mean(), err)
		}
		history := o.history(t, file.ID)
		for _, line := range []string{"is about to break", "broken", "kept"} {
			if strings.Count(history, line) != 1 {
				t.Errorf("history lacks %q, or has it twice:\n%s", line, history)
			}
		}
	})
}

// A caller who never says what became of the call does not keep the number waiting for ever,
// and a dialler that fails leaves nothing ringing.
func TestCallbackAttemptIsLost(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	c := o.promise(t, payer, care.Case{})
	o.clock.till(c.WindowAt)
	if _, _, err := o.Ring(t.Context(), anna, c.ID); err != nil {
		t.Fatal(err)
	}
	o.step(t, c.WindowAt.Add(9*time.Minute))
	_, _, err := o.Ring(t.Context(), basil, c.ID)
	refused(t, err, care.WhyRinging)
	o.step(t, c.WindowAt.Add(10*time.Minute+time.Second))
	attempts, err := o.store.Attempts(t.Context(), c.ID)
	if err != nil || len(attempts) != 1 || attempts[0].Ring != care.Lost {
		t.Fatalf("%+v, %v", attempts, err)
	}
	if _, err := o.Rang(t.Context(), anna, c.ID, 1, care.Answered); !errors.Is(err, care.ErrStale) {
		t.Errorf("after it was lost: %v", err)
	}
	own := o.promise(t, ofAnna, care.Case{})
	o.clock.till(own.WindowAt)
	_, _, err = o.Ring(t.Context(), anna, own.ID)
	refused(t, err, care.WhyOwn)
}

// Whoever looks at a case is told once it is answered, and not only before.
func TestAnsweredCallIsTold(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	_, file := o.sell(t, saleOf{payer, recipient, 1000, true})
	c := o.promise(t, payer, file)
	o.clock.till(c.WindowAt)
	if _, _, err := o.Ring(t.Context(), anna, c.ID); err != nil {
		t.Fatal(err)
	}
	answered := false
	o.changed = func(x care.Changed) { answered = x.Case == file.ID && o.file(t, x.Case).AnsweredAt != 0 }
	if _, err := o.Rang(t.Context(), anna, c.ID, 1, care.Answered); err != nil || !answered {
		t.Errorf("who looks at the case does not see that it was answered: %v", err)
	}
}

// What cannot be kept is not promised.
func TestForecast(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	staffed := 1
	desk, err := care.New(care.Config{Store: o.store, Clock: o.clock, Policy: care.DefaultPolicy(), Staffed: func() int { return staffed },
		Hours: care.Hours{Closes: 24 * time.Hour, Location: time.UTC, PerWindow: 10, Agents: 2}})
	if err != nil {
		t.Fatal(err)
	}
	fill := func(at purchase.Instant) (n int) {
		for {
			_, _, err := desk.Promise(t.Context(), care.Callback{Number: purchase.MSISDN(22670100000 + o.keys.Add(1)), WindowAt: at, Language: "fr"})
			if errors.Is(err, care.ErrFull) {
				return n
			}
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	windows, err := desk.Windows(t.Context(), 30)
	if err != nil {
		t.Fatal(err)
	}
	near, far := windows[0], windows[len(windows)-1]
	if got := fill(near); got != 3 { // one agent, four minutes a call, four fifths of the time
		t.Errorf("%d calls in the next window, want 3", got)
	}
	if got := fill(far); got != 6 { // two agents
		t.Errorf("%d calls in a far window, want 6", got)
	}
	if windows, err = desk.Windows(t.Context(), 30); err != nil || windows[0] == near {
		t.Errorf("a full window is offered: %v, %v", windows, err)
	}
	staffed = 0
	if windows, err = desk.Windows(t.Context(), 1); err != nil || windows[0] < o.clock.Now().Add(time.Hour) {
		t.Errorf("nobody is there, and a call is promised at %v, %v", windows, err)
	}
}

// A callback that was promised where nothing can be read is confirmed once, and no more once it is over.
func TestCallbackIsConfirmed(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		c := o.promise(t, payer, care.Case{})
		for range 2 {
			if err := o.Confirm(t.Context(), c.ID); err != nil {
				t.Fatal(err)
			}
		}
		if told := o.told(t, 0, c.ID); len(told) != 1 || !strings.Contains(told[0], "C'est promis") {
			t.Errorf("told %q", told)
		}
		other := o.promise(t, recipient, care.Case{})
		if _, err := o.Cancel(t.Context(), other.ID, recipient); err != nil {
			t.Fatal(err)
		}
		if err := o.Confirm(t.Context(), other.ID); err != nil || len(o.told(t, 0, other.ID)) != 0 {
			t.Errorf("cancelled, and confirmed: %v", err)
		}
		if err := o.Confirm(t.Context(), 99); !errors.Is(err, care.ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
}
