package incident_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// TestAdmitRefusesWhatIsPaused: each series is refused by its name, before the charge, and
// nothing else; what the house gives passes.
func TestAdmitRefusesWhatIsPaused(t *testing.T) {
	for series, want := range map[incident.Series]struct {
		refusal purchase.PausedError
		text    string
		other   func(*purchase.Request)
	}{
		ocs:     {purchase.PausedError{Partner: "ocs"}, "sales through ocs are paused", func(r *purchase.Request) { r.Provider = "spare" }},
		wallet:  {purchase.PausedError{Partner: "wallet"}, "sales through wallet are paused", func(r *purchase.Request) { r.Payer = "ocs" }},
		dataDay: {purchase.PausedError{Product: "data-day"}, "sales of data-day are paused", func(r *purchase.Request) { r.Product = "airtime" }},
		onUSSD:  {purchase.PausedError{Channel: "ussd"}, "sales on channel ussd are paused", func(r *purchase.Request) { r.Channel = "app" }},
		ofMoov:  {purchase.PausedError{Operator: "moov"}, "sales for lines of moov are paused", func(r *purchase.Request) { r.Recipient = 3 }},
	} {
		r := rigOn(t, &pauseMemory{}, nil)
		if err := r.Admit(wished(2)); err != nil {
			t.Errorf("%s: refused before it is paused: %v", series, err)
		}
		p := r.pause(series)
		p.ExpectedAt = pauseNoon + 7
		r.Apply(p)
		err := r.Admit(wished(2))
		want.refusal.Until = pauseNoon + 7
		var refusal *purchase.PausedError
		if !errors.As(err, &refusal) || *refusal != want.refusal || err.Error() != want.text {
			t.Errorf("%s: %v", series, err)
		}
		other, gift := wished(2), wished(2)
		want.other(other)
		gift.Payer = "house"
		if err := r.Admit(other); err != nil {
			t.Errorf("%s: something else is refused: %v", series, err)
		}
		if err := r.Admit(gift); err != nil {
			t.Errorf("%s: the house is refused: %v", series, err)
		}
		if _, err := r.Resume(t.Context(), incident.Actor{Staff: 1}, p.ID, p.Version, "it works", false); err != nil {
			t.Errorf("%s: resume: %v", series, err)
		}
		if err := r.Admit(wished(2)); err != nil {
			t.Errorf("%s: refused after it: %v", series, err)
		}
	}
}

// TestAdmitLetsAShareThrough: of many lines as many as the share says, the same ones for as
// long as it lasts, more of them as it grows, and others in another pause.
func TestAdmitLetsAShareThrough(t *testing.T) {
	const lines = 200_000
	r := rigOn(t, &pauseMemory{}, nil)
	through := func(share int, id int64, line purchase.MSISDN) bool {
		r.Apply(incident.Pause{ID: id, Version: int64(share) + 1, Series: ocs, Share: share})
		return r.Admit(wished(line)) == nil
	}
	var last []bool
	for _, share := range []int{0, 10, 100, 500, 1000} {
		passed, now := 0, make([]bool, lines)
		through(share, 1, 1)
		for i := range now {
			if now[i] = r.Admit(wished(22670000000+purchase.MSISDN(i))) == nil; now[i] {
				passed++
			}
			if last != nil && last[i] && !now[i] {
				t.Fatalf("line %d is let through at a lower share than %d only", i, share)
			}
		}
		expected := float64(lines) * float64(share) / 1000
		if deviation := math.Abs(float64(passed) - expected); deviation > 5*math.Sqrt(expected*(1-float64(share)/1000))+0.5 {
			t.Errorf("share %d: %d of %d are let through", share, passed, lines)
		}
		last = now
	}
	both, first := 0, 0
	for i := range 20_000 {
		line := 22670000000 + purchase.MSISDN(i)
		r.Apply(incident.Pause{ID: 5, Version: 1, Series: ocs, Share: 500})
		if r.Admit(wished(line)) == nil {
			first++
			r.Apply(incident.Pause{ID: 5, Version: 2, Series: ocs, Share: 1000, EndedAt: 1}, incident.Pause{ID: 6, Version: 1, Series: ocs, Share: 500})
			if r.Admit(wished(line)) == nil {
				both++
			}
			r.Apply(incident.Pause{ID: 6, Version: 2, Series: ocs, Share: 1000, EndedAt: 1})
		}
		r = rigOn(t, &pauseMemory{}, nil)
	}
	if both < first*45/100 || both > first*55/100 {
		t.Errorf("%d of %d are lucky in both pauses", both, first)
	}
}

// TestAdmitStampede: who is refused and tries again in every way that he can choose is
// refused again, so that a stampede sells to no more lines than the share.
func TestAdmitStampede(t *testing.T) {
	r := rigOn(t, &pauseMemory{}, nil)
	r.Apply(incident.Pause{ID: 9, Version: 1, Series: ocs, Share: 10})
	const lines = 50_000
	lucky := 0
	for i := range lines {
		line := 22676000000 + purchase.MSISDN(i)
		first := r.Admit(wished(line)) == nil
		if first {
			lucky++
		}
		for try := range 40 {
			again := wished(line)
			again.Client, again.ClientKey, again.Again = fmt.Sprint("client", try%3), fmt.Sprint("key", try), true
			again.Channel, again.Product, again.Payer = []string{"app", "sms", "api"}[try%3], fmt.Sprint("p", try), []string{"wallet", "ocs"}[try%2]
			again.PayerNumber, again.Total, again.Units = purchase.MSISDN(try), int64(try), int64(try)
			if (r.Admit(again) == nil) != first {
				t.Fatalf("line %d: %t, at try %d not", line, first, try)
			}
		}
	}
	if lucky < lines*8/1000 || lucky > lines*12/1000 {
		t.Errorf("%d of %d lines are let through", lucky, lines)
	}
	// A list for everybody is open as soon as anybody may buy.
	if err := r.Admit(wished(0)); err != nil {
		t.Errorf("nobody's line: %v", err)
	}
	r.Apply(incident.Pause{ID: 9, Version: 2, Series: ocs})
	if r.Admit(wished(0)) == nil {
		t.Error("nobody's line may buy what is closed for all")
	}
}

// TestPauseIsRefused: what is not there, has no reason, or is paused already.
func TestPauseIsRefused(t *testing.T) {
	r := rigOn(t, &pauseMemory{}, nil)
	anna := incident.Actor{Staff: 4}
	for reason, want := range map[string]error{"": incident.ErrReason, " \n": incident.ErrReason, strings.Repeat("é", 501): incident.ErrReason, strings.Repeat("é", 500): nil} {
		if _, err := r.Pause(t.Context(), anna, ocs, reason, true); !errors.Is(err, want) {
			t.Errorf("reason of %d bytes: %v", len(reason), err)
		}
	}
	for _, s := range []incident.Series{{By: incident.ByProvider, Name: "nobody"}, {By: incident.ByProduct, Name: "ocs"}, {Name: "ocs"}, {By: 9, Name: "ocs"}} {
		if _, err := r.Pause(t.Context(), anna, s, "x", true); !errors.Is(err, incident.ErrSeries) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if p, err := r.Pause(t.Context(), anna, ocs, "x", true); !errors.Is(err, incident.ErrPaused) || p.ID != 1 {
		t.Errorf("again: %+v, %v", p, err)
	}
	if p, err := r.Pause(t.Context(), incident.Actor{}, ocs, "x", false); !errors.Is(err, incident.ErrPaused) || !p.Held {
		t.Errorf("again by the system: %+v, %v", p, err)
	}
	p := r.pause(wallet)
	held, err := r.Pause(t.Context(), anna, wallet, "I look at it", true)
	if err != nil || held.ID != p.ID || !held.Held || held.By != anna || held.Reason != "I look at it" || held.Version != 2 {
		t.Errorf("held by a person: %+v, %v", held, err)
	}
	if len(r.changes) != 3 {
		t.Errorf("told of %d changes", len(r.changes))
	}
}

// TestPauseOfTwoNodes: what one node pauses the other obeys at its next step, and what both
// pause at once is one pause.
func TestPauseOfTwoNodes(t *testing.T) {
	store := &pauseMemory{}
	a, b := rigOn(t, store, nil), rigOn(t, store, nil)
	first := a.pause(ocs)
	if b.Admit(wished(1)) != nil {
		t.Fatal("told by nobody")
	}
	b.step(0)
	if b.Admit(wished(1)) == nil {
		t.Error("the other node sells on")
	}
	other := rigOn(t, store, nil)
	if p, err := other.Pause(t.Context(), incident.Actor{}, ocs, "me too", false); !errors.Is(err, incident.ErrPaused) || p.ID != first.ID {
		t.Errorf("a node that knew of nothing: %+v, %v", p, err)
	}
	if other.Admit(wished(1)) == nil {
		t.Error("it sells on")
	}
	if _, err := other.Resume(t.Context(), incident.Actor{Staff: 1}, first.ID, 0, "over", false); err != nil {
		t.Fatal(err)
	}
	b.step(0)
	if b.Admit(wished(1)) != nil {
		t.Error("the other node still refuses")
	}
	var won atomic.Int64
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			_, err := []*pauseRig{b, other}[i%2].Pause(context.Background(), incident.Actor{Staff: 2}, dataDay, "x", true)
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, incident.ErrPaused) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || len(store.pauses) != 2 {
		t.Errorf("%d made it, %d pauses", won.Load(), len(store.pauses))
	}
}

// TestPausesStayWhenTheStoreIsDown: what is known holds, nothing can be changed, and what
// is made while others are read is not forgotten.
func TestPausesStayWhenTheStoreIsDown(t *testing.T) {
	store := &pauseMemory{}
	r := rigOn(t, store, nil)
	r.pause(ocs)
	store.down = true
	for range 3 {
		r.clock.set(r.clock.Now().Add(time.Minute))
		next, err := r.Step(t.Context(), r.clock.Now())
		if !errors.Is(err, purchase.ErrUnavailable) || next <= r.clock.Now() || r.Admit(wished(1)) == nil {
			t.Errorf("step %v, next %s, admitted %v", err, next, r.Admit(wished(1)))
		}
	}
	if _, err := r.Pause(t.Context(), incident.Actor{}, wallet, "x", false); !errors.Is(err, purchase.ErrUnavailable) {
		t.Errorf("pause: %v", err)
	}
	if _, err := r.Resume(t.Context(), incident.Actor{}, 1, 0, "x", true); !errors.Is(err, purchase.ErrUnavailable) {
		t.Errorf("resume: %v", err)
	}
	if r.canary.tries() != 0 {
		t.Error("a probe was made that nobody recorded")
	}
}

// slowPauses lets something happen while the list is read.
type slowPauses struct {
	*pauseMemory
	meanwhile func()
}

func (s *slowPauses) Pauses(ctx context.Context, since purchase.Instant) ([]incident.Pause, error) {
	list, err := s.pauseMemory.Pauses(ctx, since)
	if s.meanwhile != nil {
		s.meanwhile()
	}
	return list, err
}

// TestPauseWhileTheListIsRead: a pause that is made after the list was read, and before it
// holds, is not forgotten; nor is the end of one.
func TestPauseWhileTheListIsRead(t *testing.T) {
	store := &slowPauses{pauseMemory: &pauseMemory{}}
	r := rigOn(t, store, func(c *incident.SwitchConfig) { c.Canary = nil })
	p := r.pause(ocs)
	store.meanwhile = func() {
		store.meanwhile = nil
		r.pause(wallet)
		if _, err := r.Resume(t.Context(), incident.Actor{Staff: 1}, p.ID, 0, "over", false); err != nil {
			t.Error(err)
		}
	}
	r.step(time.Second)
	if got := r.only(); got.Series != wallet {
		t.Errorf("lasting: %+v", got)
	}
	r.step(time.Second)
	if got := r.only(); got.Series != wallet {
		t.Errorf("lasting at the next step: %+v", got)
	}
}

// TestResumeIsRefused: while the last probe failed, of another version, of what is over or
// was never there, and without a reason.
func TestResumeIsRefused(t *testing.T) {
	r := rigOn(t, &pauseMemory{}, nil)
	r.canary.answer = says(incident.ProbeBad)
	r.pause(ocs)
	r.step(5 * time.Second)
	p := r.only()
	anna := incident.Actor{Staff: 4}
	if _, err := r.Resume(t.Context(), anna, p.ID, p.Version, "I think so", false); !errors.Is(err, incident.ErrFailing) || !strings.Contains(err.Error(), "as told") {
		t.Errorf("while it fails: %v", err)
	}
	if _, err := r.Resume(t.Context(), anna, p.ID, p.Version, "", true); !errors.Is(err, incident.ErrReason) {
		t.Errorf("without a reason: %v", err)
	}
	if _, err := r.Resume(t.Context(), anna, p.ID, p.Version-1, "x", true); !errors.Is(err, incident.ErrStale) {
		t.Errorf("of an older version: %v", err)
	}
	if _, err := r.Resume(t.Context(), anna, 77, 1, "x", true); !errors.Is(err, incident.ErrNotFound) {
		t.Errorf("of no pause: %v", err)
	}
	if r.Admit(wished(1)) == nil {
		t.Error("it is open")
	}
	got, err := r.Resume(t.Context(), anna, p.ID, p.Version, "the partner's word", true)
	if err != nil || got.EndedBy != anna || got.EndReason != "the partner's word" || got.EndedAt == 0 || got.Share != 1000 || r.Admit(wished(1)) != nil {
		t.Errorf("forced: %+v, %v", got, err)
	}
	if _, err := r.Resume(t.Context(), anna, p.ID, 0, "x", true); !errors.Is(err, incident.ErrStale) {
		t.Errorf("of one that is over: %v", err)
	}
}

func TestSeriesInWords(t *testing.T) {
	for _, s := range allSeries {
		word, name, _ := strings.Cut(s.String(), " ")
		if d, known := incident.ParseDimension(word); !known || d != s.By || name != s.Name {
			t.Errorf("%q: %d, %t", s, d, known)
		}
	}
	if _, known := incident.ParseDimension(""); known {
		t.Error("nothing is a dimension")
	}
}

func TestSwitchNeeds(t *testing.T) {
	for name, cfg := range map[string]incident.SwitchConfig{
		"nothing":        {},
		"negative time":  {Store: &pauseMemory{}, Clock: &pauseClock{}, Known: func(incident.Series) bool { return true }, Ramp: incident.Ramp{Hold: -1}},
		"negative count": {Store: &pauseMemory{}, Clock: &pauseClock{}, Known: func(incident.Series) bool { return true }, Ramp: incident.Ramp{Goods: -1}},
	} {
		if _, err := incident.NewSwitch(cfg); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// BenchmarkAdmit measures what each purchase pays.
func BenchmarkAdmit(b *testing.B) {
	for _, c := range []struct {
		name   string
		paused []incident.Pause
	}{
		{"nothing paused", nil},
		{"a provider", []incident.Pause{{ID: 1, Version: 1, Series: ocs, Share: 500}}},
		{"five series", []incident.Pause{{ID: 1, Version: 1, Series: ocs, Share: 999}, {ID: 2, Version: 1, Series: wallet, Share: 999},
			{ID: 3, Version: 1, Series: dataDay, Share: 999}, {ID: 4, Version: 1, Series: onUSSD, Share: 999}, {ID: 5, Version: 1, Series: ofMoov, Share: 999}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := rigOn(b, &pauseMemory{}, nil)
			r.Apply(c.paused...)
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				request := wished(22670112234)
				for p.Next() {
					_ = r.Admit(request)
					request.Recipient++
				}
			})
		})
	}
}

// TestRefusedAreCounted: who is refused is counted once for each time, by the minute, and kept; a question about nobody's purchase
// is none, and what could not be written is written later.
func TestRefusedAreCounted(t *testing.T) {
	store := &pauseMemory{}
	r := rigOn(t, store, nil)
	r.pause(ocs)
	step := func(at purchase.Instant) error {
		_, err := r.Step(t.Context(), at)
		return err
	}
	buy := func(times int) {
		for range times {
			w := wished(2)
			w.Total = 500
			if r.Admit(w) == nil {
				t.Fatal("sold")
			}
		}
	}
	buy(3)
	if r.Admit(wished(2)) == nil { // as a list asks
		t.Fatal("listed")
	}
	if err := step(pauseNoon + 1); err != nil {
		t.Fatal(err)
	}
	buy(2)
	store.down = true
	if err := step(pauseNoon + 2); !errors.Is(err, purchase.ErrUnavailable) {
		t.Errorf("a store that is down: %v", err)
	}
	store.down = false
	minute := purchase.Instant(time.Minute.Microseconds())
	for range 3 {
		if err := step(pauseNoon + minute); err != nil {
			t.Fatal(err)
		}
	}
	begin := pauseNoon / minute * minute
	want := map[incident.Refused]int64{{Pause: 1, Minute: begin}: 3, {Pause: 1, Minute: begin + minute}: 2}
	if !maps.Equal(store.refused, want) {
		t.Errorf("refused %v, want %v", store.refused, want)
	}
}
