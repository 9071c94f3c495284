package care_test

import (
	"testing"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"

	"tenu/internal/care"
	"tenu/internal/purchase"
)

// TestClockRuns: whatever the sequence of pauses, a deadline comes when the clock has
// run for exactly as long as the limit says.
func TestClockRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := care.Clocks{AnswerWithin: time.Duration(rapid.Int64Range(1, int64(48*time.Hour/time.Microsecond)).Draw(t, "answer")) * time.Microsecond,
			ResolveWithin: time.Duration(rapid.Int64Range(1, int64(96*time.Hour/time.Microsecond)).Draw(t, "resolve")) * time.Microsecond}
		now := purchase.Instant(rapid.Int64Range(1, 1<<51).Draw(t, "start"))
		c := limits.Start(now)
		var answerRan, resolveRan time.Duration // until the deadline, or so far
		for range rapid.IntRange(0, 20).Draw(t, "pauses") {
			ran := time.Duration(rapid.Int64Range(0, int64(10*time.Hour/time.Microsecond)).Draw(t, "ran")) * time.Microsecond
			if now.Add(ran) < c.AnswerBy {
				answerRan += ran
			}
			if now.Add(ran) < c.ResolveBy {
				resolveRan += ran
			}
			now = now.Add(ran)
			missed := [2]bool{c.AnswerBy <= now, c.ResolveBy <= now}
			was := c
			c = c.Pause(now)
			stood := time.Duration(rapid.Int64Range(0, int64(100*time.Hour/time.Microsecond)).Draw(t, "stood")) * time.Microsecond
			if again := c.Pause(now.Add(stood / 2)); again != c {
				t.Fatalf("a clock that stood already: %+v became %+v", c, again)
			}
			now = now.Add(stood)
			if c.At(now) != c.Resume(now) {
				t.Fatal("At is not what Resume gives")
			}
			c = c.Resume(now)
			if missed[0] && c.AnswerBy != was.AnswerBy || missed[1] && c.ResolveBy != was.ResolveBy {
				t.Fatalf("a missed deadline moved: %+v became %+v at %d", was, c, now)
			}
			if !missed[0] && answerRan+c.AnswerBy.Sub(now) != limits.AnswerWithin {
				t.Fatalf("ran %s, %s left, want %s together", answerRan, c.AnswerBy.Sub(now), limits.AnswerWithin)
			}
			if !missed[1] && resolveRan+c.ResolveBy.Sub(now) != limits.ResolveWithin {
				t.Fatalf("ran %s, %s left, want %s together", resolveRan, c.ResolveBy.Sub(now), limits.ResolveWithin)
			}
		}
	})
}

// TestClockNeverBack: a wall clock that jumps to and fro takes nothing from anybody.
func TestClockNeverBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := care.DefaultClocks()
		at := rapid.Int64Range(1, 1<<51)
		c := limits.Start(purchase.Instant(at.Draw(t, "start")))
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			was, now := c, purchase.Instant(at.Draw(t, "wall"))
			if rapid.Bool().Draw(t, "pause") {
				c = c.Pause(now)
			} else {
				c = c.Resume(now)
			}
			if c.AnswerBy < was.AnswerBy || c.ResolveBy < was.ResolveBy {
				t.Fatalf("%+v became %+v", was, c)
			}
		}
	})
}

// TestClockOverEnds: hours are hours, over the ends of years and of summer time.
func TestClockOverEnds(t *testing.T) {
	limits := care.Clocks{AnswerWithin: 2 * time.Hour, ResolveWithin: 24 * time.Hour}
	for _, place := range []string{"Africa/Ouagadougou", "Europe/Paris", "America/New_York"} {
		zone, err := time.LoadLocation(place)
		if err != nil {
			t.Fatal(err)
		}
		for _, start := range []time.Time{time.Date(2026, 12, 31, 23, 30, 0, 0, zone), time.Date(2027, 3, 28, 1, 30, 0, 0, zone),
			time.Date(2026, 10, 25, 1, 30, 0, 0, zone), time.Date(2028, 2, 28, 23, 0, 0, 0, zone)} {
			c := limits.Start(purchase.At(start))
			if got := c.ResolveBy.Time().Sub(start); got != 24*time.Hour {
				t.Errorf("%s at %s: resolved within %s", place, start, got)
			}
			c = c.Pause(purchase.At(start.Add(time.Hour))).Resume(purchase.At(start.Add(4 * time.Hour)))
			if got := c.AnswerBy.Time().Sub(start); got != 5*time.Hour {
				t.Errorf("%s at %s: answered within %s, three hours of which it stood", place, start, got)
			}
		}
	}
}
