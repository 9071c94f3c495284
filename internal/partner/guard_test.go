package partner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tenu/internal/purchase"
)

// fake is a partner that does as it is told.
type fake struct {
	mu      sync.Mutex
	outcome purchase.Outcome
	calls   int
	during  func(context.Context) // while a call is under way
}

func (f *fake) Name() string { return "ocs" }

func (f *fake) Capability(leg purchase.Leg) purchase.Capability {
	if leg != purchase.Credit {
		return purchase.Capability{}
	}
	return purchase.Capability{Supported: true, Query: true, Tombstone: true, Timeout: time.Minute}
}

func (f *fake) Do(ctx context.Context, _ purchase.Order) purchase.Outcome {
	f.mu.Lock()
	f.calls++
	outcome, during := f.outcome, f.during
	f.mu.Unlock()
	if during != nil {
		during(ctx)
	}
	return outcome
}

func (f *fake) Query(ctx context.Context, o purchase.Order) purchase.Outcome  { return f.Do(ctx, o) }
func (f *fake) Cancel(ctx context.Context, o purchase.Order) purchase.Outcome { return f.Do(ctx, o) }

// teller is a fake that tells balances and its health.
type teller struct {
	*fake
	err    error
	health Health
}

func (t *teller) Balance(ctx context.Context, _ purchase.MSISDN) (purchase.Balances, error) {
	t.Do(ctx, purchase.Order{})
	return purchase.Balances{}, t.err
}

func (t *teller) Probe(context.Context) Health { return t.health }

// hands is a clock that the test turns.
type hands struct{ at purchase.Instant }

func (h *hands) now() purchase.Instant { return h.at }

func guarded(t testing.TB, p purchase.Partner, limits Limits) (*Guard, *hands) {
	t.Helper()
	clock := &hands{at: 1_000_000_000}
	g, err := NewGuard(p, limits, clock.now)
	if err != nil {
		t.Fatal(err)
	}
	return g, clock
}

var first = purchase.Order{Leg: purchase.Credit, Try: 1}

func TestGuardPassesThrough(t *testing.T) {
	f := &fake{outcome: purchase.Outcome{Kind: purchase.Done, Ref: "7"}}
	g, _ := guarded(t, f, Limits{Timeout: time.Second})
	for _, out := range []purchase.Outcome{g.Do(t.Context(), first), g.Query(t.Context(), first), g.Cancel(t.Context(), first)} {
		if out != f.outcome {
			t.Errorf("got %+v", out)
		}
	}
	if c := g.Capability(purchase.Credit); c.Timeout != time.Second || !c.Tombstone || g.Name() != "ocs" {
		t.Errorf("capability %+v", c)
	}
	if c := g.Capability(purchase.Charge); c != (purchase.Capability{}) {
		t.Errorf("a leg that is not supported: %+v", c)
	}
	if g, _ := guarded(t, f, Limits{Timeout: time.Hour}); g.Capability(purchase.Credit).Timeout != time.Minute {
		t.Error("the limit lengthens the partner's own timeout")
	}
}

func TestGuardLimitsTheTime(t *testing.T) {
	f := &fake{outcome: purchase.Outcome{Kind: purchase.Unknown}}
	var left time.Duration
	f.during = func(ctx context.Context) {
		deadline, ok := ctx.Deadline()
		if left = time.Until(deadline); !ok {
			t.Error("no deadline")
		}
	}
	g, _ := guarded(t, f, Limits{Timeout: 3 * time.Second})
	if g.Do(t.Context(), first); left <= 0 || left > 3*time.Second {
		t.Errorf("%s left for the call", left)
	}
}

func TestCircuit(t *testing.T) {
	f := &fake{outcome: purchase.Outcome{Kind: purchase.Unknown}}
	g, clock := guarded(t, f, Limits{Failures: 3, Window: 5, Memory: time.Minute, OpenFor: 5 * time.Second})
	is := func(circuit Circuit, calls int, when string) {
		t.Helper()
		if s := g.State(); s.Circuit != circuit || f.calls != calls {
			t.Fatalf("%s: %+v after %d calls, want %s after %d", when, s, f.calls, circuit, calls)
		}
	}
	g.Do(t.Context(), first)
	g.Query(t.Context(), first)
	is(Closed, 2, "two failures")
	clock.at = clock.at.Add(2 * time.Minute)
	g.Do(t.Context(), first)
	is(Closed, 3, "the first two are forgotten")
	f.outcome.Kind = purchase.Done
	g.Do(t.Context(), first)
	f.outcome.Kind = purchase.Unsent
	g.Cancel(t.Context(), first)
	f.outcome = purchase.Outcome{Kind: purchase.Refused, Reason: purchase.ReasonClosed}
	g.Do(t.Context(), first)
	is(Open, 6, "three failures")

	held := g.Do(t.Context(), first)
	if held.Kind != purchase.Unsent || held.Detail == "" || g.Query(t.Context(), first).Kind != purchase.Unsent ||
		g.Cancel(t.Context(), first).Kind != purchase.Unsent {
		t.Errorf("held back as %+v", held)
	}
	var paused *purchase.PausedError
	if err := g.Admit(); !errors.As(err, &paused) || paused.Partner != "ocs" {
		t.Errorf("open, and admission says %v", err)
	}
	is(Open, 6, "held back")

	clock.at = clock.at.Add(5 * time.Second)
	if err := g.Admit(); err != nil {
		t.Errorf("time to probe, and admission says %v", err)
	}
	g.Do(t.Context(), first)
	is(Open, 7, "the probe failed")
	clock.at = clock.at.Add(5 * time.Second)
	f.outcome = purchase.Outcome{Kind: purchase.Done}
	g.Do(t.Context(), first)
	is(Closed, 8, "the probe went well")
	if s := g.State(); s.HeldBack != 3 || s.Since != clock.at {
		t.Errorf("%+v", s)
	}
}

func TestOneProbeAtATime(t *testing.T) {
	f := &fake{outcome: purchase.Outcome{Kind: purchase.Unknown}}
	g, clock := guarded(t, f, Limits{Failures: 1, Window: 1, OpenFor: time.Second})
	g.Do(t.Context(), first)
	clock.at = clock.at.Add(time.Second)
	f.outcome.Kind = purchase.Done
	f.during = func(context.Context) {
		if s := g.State(); s.Circuit != Probing || s.UnderWay != 1 {
			t.Errorf("%+v", s)
		}
		if g.Do(t.Context(), first).Kind != purchase.Unsent || g.Admit() == nil {
			t.Error("a second call during the probe")
		}
	}
	if out := g.Do(t.Context(), first); out.Kind != purchase.Done || g.State().Circuit != Closed {
		t.Errorf("%+v, %+v", out, g.State())
	}
}

// What says nothing of the partner's health does not count.
func TestWhatIsNoTrouble(t *testing.T) {
	for _, out := range []purchase.Outcome{{Kind: purchase.Done}, {Kind: purchase.Pending}, {Kind: purchase.Absent}, {Kind: purchase.Cancelled},
		{Kind: purchase.Reversed}, {Kind: purchase.Refused, Reason: purchase.ReasonFunds}} {
		g, _ := guarded(t, &fake{outcome: out}, Limits{Failures: 1, Window: 1})
		if g.Do(t.Context(), first); g.State().Circuit != Closed {
			t.Errorf("%s opens the circuit", out.Kind)
		}
	}
	f := &fake{outcome: purchase.Outcome{Kind: purchase.Unknown}}
	g, _ := guarded(t, f, Limits{Failures: 1, Window: 1})
	ctx, cancel := context.WithCancel(t.Context())
	f.during = func(context.Context) { cancel() }
	if g.Do(ctx, first); g.State().Circuit != Closed {
		t.Error("a call that we gave up opens the circuit")
	}
	f.during = nil
	late, stop := context.WithTimeout(t.Context(), 0)
	defer stop()
	if out := g.Do(late, first); out.Kind != purchase.Unsent || f.calls != 1 {
		t.Errorf("too late: got %+v after %d calls", out, f.calls)
	}
}

func TestRetryBudget(t *testing.T) {
	f := &fake{outcome: purchase.Outcome{Kind: purchase.Done}}
	g, clock := guarded(t, f, Limits{RetryRate: 2, RetryBurst: 3})
	again := purchase.Order{Leg: purchase.Credit, Try: 2}
	sent := func(n int, o purchase.Order) (done int) {
		for range n {
			if g.Do(t.Context(), o).Kind == purchase.Done {
				done++
			}
		}
		return done
	}
	if n := sent(5, again); n != 3 {
		t.Errorf("%d retries, want 3", n)
	}
	if n := sent(5, first); n != 5 {
		t.Errorf("%d first tries, want all", n)
	}
	clock.at = clock.at.Add(time.Second)
	if n := sent(5, again); n != 2 {
		t.Errorf("%d retries a second later, want 2", n)
	}
	clock.at = clock.at.Add(time.Hour)
	if s := g.State(); sent(5, again) != 3 || s.UnderWay != 0 {
		t.Error("the budget is not bounded")
	}
}

// A retry that the budget holds back is not the probe either.
func TestBudgetGivesTheProbeBack(t *testing.T) {
	f := &fake{outcome: purchase.Outcome{Kind: purchase.Unknown}}
	g, clock := guarded(t, f, Limits{Failures: 1, Window: 1, OpenFor: time.Second, RetryRate: 0.001, RetryBurst: 1})
	again := purchase.Order{Leg: purchase.Credit, Try: 2}
	g.Do(t.Context(), again)
	clock.at = clock.at.Add(time.Second)
	g.Do(t.Context(), again)
	f.outcome.Kind = purchase.Done
	if out := g.Do(t.Context(), first); out.Kind != purchase.Done {
		t.Errorf("got %+v", out)
	}
}

func TestConcurrency(t *testing.T) {
	release, arrived := make(chan struct{}), make(chan struct{}, 2)
	f := &fake{outcome: purchase.Outcome{Kind: purchase.Done}}
	f.during = func(context.Context) { arrived <- struct{}{}; <-release }
	g, _ := guarded(t, f, Limits{Concurrency: 2})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { g.Do(t.Context(), first) })
		<-arrived
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if out := g.Do(ctx, first); out.Kind != purchase.Unsent || g.State().UnderWay != 2 {
		t.Errorf("got %+v, %+v", out, g.State())
	}
	if out := g.Query(ctx, first); out.Kind != purchase.Unsent {
		t.Errorf("got %+v", out)
	}
	close(release)
	wg.Wait()
	if g.State().UnderWay != 0 {
		t.Errorf("%+v", g.State())
	}
}

func TestPanicFreesTheSlot(t *testing.T) {
	f := &fake{during: func(context.Context) { panic("adapter") }}
	g, _ := guarded(t, f, Limits{Concurrency: 1, Failures: 1, Window: 1})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		g.Do(t.Context(), first)
	}()
	if s := g.State(); s.UnderWay != 0 || s.Circuit != Open {
		t.Errorf("%+v", s)
	}
}

func TestBalanceIsGuarded(t *testing.T) {
	p := &teller{fake: &fake{outcome: purchase.Outcome{Kind: purchase.Done}}, err: purchase.ErrUnknownLine}
	g, _ := guarded(t, p, Limits{Failures: 1, Window: 1, Timeout: time.Second})
	if _, err := g.Balance(t.Context(), 22670112233); !errors.Is(err, purchase.ErrUnknownLine) || g.State().Circuit != Closed {
		t.Errorf("got %v, %+v", err, g.State())
	}
	p.err = purchase.ErrUnavailable
	_, _ = g.Balance(t.Context(), 22670112233)
	if _, err := g.Balance(t.Context(), 22670112233); !errors.Is(err, purchase.ErrUnavailable) || p.calls != 2 {
		t.Errorf("circuit open: %v after %d calls", err, p.calls)
	}
	plain, _ := guarded(t, &fake{}, Limits{})
	fresh, _ := guarded(t, p, Limits{})
	p.err = fmt.Errorf("%w: no trace of 70 11 22 33", purchase.ErrUnknownLine)
	if _, err := fresh.Balance(t.Context(), 22670112233); !errors.Is(err, purchase.ErrUnknownLine) || strings.Contains(err.Error(), "70 11") {
		t.Errorf("got %v", err)
	}
	if _, err := plain.Balance(t.Context(), 22670112233); !errors.Is(err, purchase.ErrUnavailable) {
		t.Errorf("no balances: %v", err)
	}
}

func TestProbe(t *testing.T) {
	p := &teller{fake: &fake{outcome: purchase.Outcome{Kind: purchase.Unknown}}, health: Health{Status: Available}}
	g, clock := guarded(t, p, Limits{Failures: 1, Window: 1, OpenFor: 5 * time.Second, ProbeEvery: 20 * time.Second})
	step := func(want time.Duration) {
		t.Helper()
		if next, err := g.Step(t.Context(), clock.at); err != nil || next != clock.at.Add(want) {
			t.Fatalf("next in %s, %v, want %s", next.Sub(clock.at), err, want)
		}
	}
	step(20 * time.Second)
	clock.at = clock.at.Add(15 * time.Second)
	step(5 * time.Second) // not yet
	clock.at = clock.at.Add(5 * time.Second)
	p.health = Health{Status: Degraded, Detail: "slow"}
	if step(20 * time.Second); g.Admit() != nil || g.State().Health.Status != Degraded {
		t.Errorf("degraded: %v, %+v", g.Admit(), g.State())
	}
	clock.at = clock.at.Add(20 * time.Second)
	p.health = Health{Status: Unavailable}
	if step(5 * time.Second); g.Admit() == nil {
		t.Error("the partner says it is unavailable, and sales go on")
	}
	clock.at = clock.at.Add(5 * time.Second)
	p.health = Health{Status: Available}
	if step(20 * time.Second); g.Admit() != nil {
		t.Errorf("available again: %v", g.Admit())
	}

	g.Do(t.Context(), first) // opens
	clock.at = clock.at.Add(5 * time.Second)
	if g.Admit() == nil {
		t.Error("open and not probed, and sales go on")
	}
	if step(5 * time.Second); g.Admit() != nil || g.State().Circuit != Probing {
		t.Errorf("well by its own words: %v, %+v", g.Admit(), g.State())
	}
	p.outcome.Kind = purchase.Done
	if g.Do(t.Context(), first); g.State().Circuit != Closed {
		t.Errorf("%+v", g.State())
	}
	plain, _ := guarded(t, &fake{}, Limits{})
	if next, err := plain.Step(t.Context(), clock.at); next != 0 || err != nil {
		t.Errorf("cannot be probed: %s, %v", next, err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Step(over, clock.at.Add(time.Hour)); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

func TestLimitsAreChecked(t *testing.T) {
	for what, limits := range map[string]Limits{"time": {Timeout: -1}, "number": {Concurrency: -1}, "failures": {Failures: 30},
		"window": {Window: 2000, Failures: 1}, "no time": {OpenFor: -1}, "no number": {RetryRate: -1}} {
		if _, err := NewGuard(&fake{}, limits, (&hands{}).now); err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "ocs") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Whatever happens when: no slot is lost, an open circuit lets nothing through
// before its time, and a partner that is well is asked again.
func TestGuardAtRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := &fake{}
		limits := Limits{Failures: rapid.IntRange(1, 4).Draw(t, "failures"), Window: 4, OpenFor: 5 * time.Second, Memory: 30 * time.Second,
			RetryRate: 1, RetryBurst: 2}
		clock := &hands{at: 1_000_000_000}
		g, err := NewGuard(f, limits, clock.now)
		if err != nil {
			t.Fatal(err)
		}
		opened := purchase.Instant(0)
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			clock.at = clock.at.Add(time.Duration(rapid.IntRange(0, 4000).Draw(t, fmt.Sprint("ms", i))) * time.Millisecond)
			f.outcome.Kind = rapid.SampledFrom([]purchase.Kind{purchase.Done, purchase.Unknown, purchase.Unknown, purchase.Refused}).Draw(t, fmt.Sprint("kind", i))
			was, calls := g.State().Circuit, f.calls
			out := g.Do(context.Background(), purchase.Order{Leg: purchase.Credit, Try: rapid.IntRange(1, 2).Draw(t, fmt.Sprint("try", i))})
			is := g.State()
			if asked := f.calls > calls; asked != (out.Kind != purchase.Unsent) || is.UnderWay != 0 {
				t.Fatalf("asked %t, and %+v, %+v", asked, out, is)
			}
			if was == Open && clock.at < opened.Add(limits.OpenFor) && f.calls > calls {
				t.Fatalf("asked %s after the circuit opened", clock.at.Sub(opened))
			}
			if is.Circuit == Open && (was != Open || f.calls > calls) {
				opened = clock.at
			}
		}
		clock.at, f.outcome.Kind = clock.at.Add(time.Minute), purchase.Done
		if out := g.Do(context.Background(), first); out.Kind != purchase.Done || g.State().Circuit != Closed {
			t.Fatalf("well again, and %+v, %+v", out, g.State())
		}
	})
}
