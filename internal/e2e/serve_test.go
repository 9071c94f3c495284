package e2e

import (
	"syscall"
	"testing"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/testpeer"
)

func databases(t *testing.T, test func(*testing.T, string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, "") })
	t.Run("postgres", func(t *testing.T) { test(t, testpeer.Postgres(t)) })
}

// TestChargingSystemStopped stops the charging system while 1 000 purchases are
// in flight, and lets it go on after every call has timed out. What it then
// executes late is known, and nothing is credited twice or told untruly.
func TestChargingSystemStopped(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, dsn string) {
		r := newRig(t, dsn)
		n := r.node("n1", "  deliver_within: 6s\n  retry_first: 500ms\n  retry_most: 2s")
		n.start()
		refs := r.sell(0, 50, 20, n) // all is well
		r.records(refs, time.Minute)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			r.charged(50 + 200) // in the thick of it
			r.cgr.Stop()
		}()
		refs = append(refs, r.sell(50, 1000, 200, n)...)
		<-stopped
		time.Sleep(8 * time.Second) // every call has timed out, every delivery time has passed
		r.cgr.Cont()
		records := r.records(refs, 90*time.Second)
		n.stop()
		states := r.audit(records)
		t.Logf("settled: %v", states)
		if states[purchase.Credited] <= 50 || states[purchase.Refunded] == 0 {
			t.Errorf("the charging system was not stopped in flight: %v", states)
		}
	})
}

// TestNodeSuspended suspends the only node past its lease, and lets it go on:
// nobody took over, so it renews the lease before it sends anything more, and
// loses nothing.
func TestNodeSuspended(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, dsn string) {
		random := seeded(t)
		r := newSandboxRig(t, dsn)
		n := r.node("n1", quick) // its lease lasts 2 s
		n.start()
		clients := r.crowd(0, 32, n)
		times := count(2)
		bar := start(t, times)
		for range times {
			clients.await(t, 100)
			time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
			n.signal(syscall.SIGSTOP)
			time.Sleep(2500 * time.Millisecond)
			n.signal(syscall.SIGCONT)
			bar.step()
		}
		clients.await(t, 100)
		res := clients.balance(time.Minute)
		n.stop()
		bar.end("suspended past the lease %d times, %s", times, res)
	})
}

// TestNodeStopped suspends one of two nodes past its lease, lets the other take
// over, and continues the first: what it still wants to write changes nothing.
func TestNodeStopped(t *testing.T) {
	r := newRig(t, testpeer.Postgres(t))
	const rules = "  deliver_within: 20s\n  retry_first: 500ms\n  retry_most: 2s"
	first, second := r.node("n1", rules), r.node("n2", rules)
	first.start()
	second.start()
	refs := r.sell(0, 100, 20, first, second)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		time.Sleep(50 * time.Millisecond)
		first.signal(syscall.SIGSTOP)
	}()
	// The clients turn to the other node when the first does not answer.
	refs = append(refs, r.sell(100, 400, 100, first, second)...)
	<-stopped
	records := r.records(refs, 90*time.Second) // the second has taken over and settled all
	first.signal(syscall.SIGCONT)
	select {
	case <-first.done:
		if code := first.cmd.ProcessState.ExitCode(); code != 3 {
			t.Errorf("the fenced node ended with code %d, want 3: %s", code, first.output.tail())
		}
	case <-time.After(60 * time.Second):
		t.Errorf("the fenced node goes on: %s", first.output.tail())
		first.kill()
	}
	after := r.records(refs, time.Minute)
	for i := range records {
		if before := records[i].Purchase; after[i].Purchase.Version != before.Version && after[i].Purchase.State != before.State {
			t.Errorf("purchase %d went from %s to %s after the stale node continued", before.ID, before.State, after[i].Purchase.State)
		}
	}
	first.start() // and it may join again
	refs = append(refs, r.sell(500, 100, 20, first, second)...)
	records = r.records(refs, time.Minute)
	first.stop()
	second.stop()
	t.Logf("settled: %v", r.audit(records))
}
