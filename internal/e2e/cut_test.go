package e2e

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"tenu/internal/testpeer"
)

// What PostgreSQL's protocol says for COMMIT: the client's message, and the
// server's word that it is done.
var (
	commitAsked    = []byte("Q\x00\x00\x00\x0bcommit\x00")
	commitAnswered = []byte("C\x00\x00\x00\x0bCOMMIT\x00")
)

// cuts decides which COMMITs are cut, and whether before they reach the server
// or before its answer comes back.
type cuts struct {
	mu     sync.Mutex
	random *rand.Rand
	rate   float64       // the share of messages that are cut
	most   int           // cuts of each
	as     passage       // how
	step   func()        // called for each
	all    chan struct{} // closed when there were enough

	lost      int // requests: nothing was committed
	committed int // answers
}

func (c *cuts) decide(found bool, n *int) passage {
	if !found {
		return pass
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if *n >= c.most || c.random.Float64() >= c.rate {
		return pass
	}
	*n++
	c.step()
	if c.lost+c.committed == 2*c.most {
		close(c.all)
	}
	return c.as
}

func (c *cuts) asked(data []byte) passage {
	return c.decide(bytes.Contains(data, commitAsked), &c.lost)
}

func (c *cuts) answered(data []byte) passage {
	return c.decide(bytes.Contains(data, commitAnswered), &c.committed)
}

// again begins another round.
func (c *cuts) again(rate float64, most int, as passage) (all <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rate, c.most, c.as = rate, most, as
	c.lost, c.committed, c.all = 0, 0, make(chan struct{})
	return c.all
}

// TestCommitCut cuts the connection inside COMMIT while the node sells: a
// hundred times, half of them before the server was asked and half before it is
// heard; on a slow network; and so that nobody is told of the cut.
func TestCommitCut(t *testing.T) {
	t.Parallel()
	address, at := overTCP(t, testpeer.Postgres(t))
	half := count(50)
	bar := start(t, 2*half)
	c := &cuts{random: seeded(t), step: bar.step}
	w := newWire(t, address, c.asked, c.answered)
	r := newSandboxRig(t, at(w.address))
	n := r.node("n1", quick)
	n.start()
	clients := r.crowd(0, 64, n)
	await := func(all <-chan struct{}) {
		t.Helper()
		select {
		case <-all:
		case <-n.done:
			t.Fatalf("the node ended: %s", n.output.tail())
		case <-time.After(patience * time.Duration(count(1))):
			t.Fatal("too few commits to cut")
		}
	}
	await(c.again(0.2, half, cut))
	committed, lost := c.committed, c.lost
	clients.await(t, 50)
	await(c.again(0.2, 1, swallow))
	clients.await(t, 50)
	w.add(`{"type":"latency","stream":"downstream","attributes":{"latency":4,"jitter":4}}`)
	await(c.again(0.2, 5, cut))
	clients.await(t, 50)
	res := clients.balance(2 * time.Minute)
	n.stop()
	bar.end("cuts inside COMMIT %d: committed %d, not committed %d; then one of each unheard of, and 5 of each on a slow network; %s",
		2*half, committed, lost, res)
}

// TestRepliesLost loses a fifth of the partners' answers on the network: half of
// them with the connection, half in silence. What the partners did is found out
// and adopted.
func TestRepliesLost(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	var mu sync.Mutex
	lost := map[string]int{}
	lossy := func(partner string) rule {
		return func(data []byte) passage {
			mu.Lock()
			defer mu.Unlock()
			if !bytes.HasPrefix(data, []byte("HTTP/1.1 ")) || random.Float64() >= 0.2 {
				return pass
			}
			lost[partner]++
			return []passage{cut, swallow}[random.IntN(2)]
		}
	}
	all := func([]byte) passage { return pass }
	r := newSandboxRig(t, "")
	r.pays = "http://" + newWire(t, host(t, r.at.Wallet), all, lossy("wallet")).address
	r.gives = "http://" + newWire(t, host(t, r.at.Charging), all, lossy("charging")).address
	n := r.node("n1", quick)
	n.start()
	sales := count(1000)
	bar := start(t, sales)
	refs := r.sell(0, sales, 100, n)
	res := r.balance(refs, 3*time.Minute)
	n.stop()
	bar.end("answers lost %v, %s", lost, res)
	if lost["wallet"] < sales/10 || lost["charging"] < sales/10 {
		t.Errorf("too few answers were lost: %v", lost)
	}
}
