package e2e

import (
	"testing"
	"time"

	"tenu/internal/sandbox"
	"tenu/internal/testpeer"
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
		res := clients.balance(2 * time.Minute)
		n.stop()
		bar.end("kills %d and %d while starting, %s", kills, starting, res)
	})
}

// TestPostgresKilled kills the database server under load, all its processes at
// once or without a checkpoint, and starts it again. The node may go on or end;
// one that ended is started again.
func TestPostgresKilled(t *testing.T) {
	random := seeded(t)
	server, dsn := testpeer.OwnPostgres(t)
	r := newSandboxRig(t, dsn)
	n := r.node("n1", quick)
	n.start()
	kills, ended := count(5), 0
	clients := r.crowd(0, 64, n)
	bar := start(t, kills)
	for i := range kills {
		clients.await(t, 100)
		time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
		end := server.Crash
		if i%2 == 1 {
			end = server.Abort
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
		ended += n.revive()
		bar.step()
	}
	clients.await(t, 100)
	res := clients.balance(2 * time.Minute)
	n.stop()
	bar.end("database kills %d, node ended %d times, %s", kills, ended, res)
}

// TestServeDrains tells a node to stop under load, while its partners are slow.
// It has ended well within the time it promises, and the next process resumes
// what it left.
func TestServeDrains(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		random := seeded(t)
		r := newSandboxRig(t, dsn)
		fault(t, r.at.Charging, sandbox.Fault{Operation: "credit", Kind: sandbox.SlowAnswer, Rate: 0.3, DelayMS: 1500})
		fault(t, r.at.Charging, sandbox.Fault{Operation: "credit", Kind: sandbox.SlowAnswer, Rate: 0.02, DelayMS: 60_000})
		n := r.node("n1", quick)
		n.start()
		stops, left := count(5), 0
		clients := r.crowd(0, 128, n)
		bar := start(t, stops)
		for range stops {
			clients.await(t, 200)
			time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
			n.stop()
			left += r.open()
			n.start()
			bar.step()
		}
		res := clients.balance(2 * time.Minute)
		n.stop()
		bar.end("stops %d, left to the next process %d, %s", stops, left, res)
		if left == 0 {
			t.Error("nothing was in flight at any stop")
		}
	})
}
