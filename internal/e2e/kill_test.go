package e2e

import (
	"testing"
	"time"
)

// quick are rules for tests that kill: what is in doubt is asked about soon.
const quick = "  deliver_within: 60s\n  retry_first: 100ms\n  retry_most: 1s"

// TestServeKilled kills tenu serve at random instants while it sells, several
// times a second, and starts it again: at work, and now and then while it is
// still starting.
func TestServeKilled(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		random := seeded(t)
		kills := count(200)
		if dsn != "" {
			kills = count(30)
		}
		r := newSandboxRig(t, dsn)
		n := r.node("n1", quick)
		n.start()
		clients := r.crowd(0, 64, n)
		bar := start(t, kills)
		starting := 0
		for range kills {
			if random.IntN(6) == 0 {
				starting++
				n.kill()
				n.run("serve", "--config", n.config)
				time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
			} else {
				time.Sleep(time.Duration(random.IntN(150)) * time.Millisecond)
			}
			n.kill()
			n.start()
			bar.step()
		}
		refs := clients.end()
		res := r.balance(refs, 2*time.Minute)
		n.stop()
		bar.end("kills %d and %d while starting, %s", kills, starting, res)
	})
}
