package centre_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/voice/centre"
)

// shaky is a store that does not answer now and then, with or without having done what it was told.
type shaky struct {
	centre.Store
	share atomic.Int64 // of a hundred calls
	mu    sync.Mutex
	d     *rand.Rand
}

func (s *shaky) chance(of int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.d.IntN(of)
}

func (s *shaky) fails() bool { return int64(s.chance(100)) < s.share.Load() }

func (s *shaky) OnDuty(ctx context.Context, since purchase.Instant) ([]centre.Agent, error) {
	if s.fails() {
		return nil, purchase.ErrUnavailable
	}
	return s.Store.OnDuty(ctx, since)
}

func (s *shaky) Agent(ctx context.Context, staff auth.StaffID) (centre.Agent, error) {
	if s.fails() {
		return centre.Agent{}, purchase.ErrUnavailable
	}
	return s.Store.Agent(ctx, staff)
}

func (s *shaky) MoveAgents(ctx context.Context, agents ...centre.Agent) (int, error) {
	switch {
	case !s.fails():
		return s.Store.MoveAgents(ctx, agents...)
	case s.chance(3) == 0:
		return 0, purchase.ErrUnavailable
	case s.chance(2) == 0:
		return 0, purchase.ErrCommitUnknown
	}
	if _, err := s.Store.MoveAgents(ctx, agents...); err != nil {
		return 0, err
	}
	return 0, purchase.ErrCommitUnknown
}

// day is a call centre of two nodes at which anything may happen.
type day struct {
	t     *rapid.T
	ctx   context.Context
	store *store.Memory
	shaky *shaky
	nodes [2]*office
	calls int
}

// office is a node with its callers and what telephones it lets ring.
type office struct {
	*centre.Queue
	die     context.CancelFunc
	callers []*caller
	rings   []ring
	talks   map[string]centre.Agent
}

type caller struct {
	centre.Waiter
	*centre.Place
}

type ring struct {
	agent centre.Agent
	by    *caller // nil for a callback
	// unsure: the store may have noted that it was taken.
	unsure bool
}

func (d *day) open(i int) {
	ctx, die := context.WithCancel(d.ctx)
	d.calls++
	d.nodes[i] = &office{Queue: centre.New(centre.Config{Store: d.shaky, Clock: clock{}, Node: fmt.Sprint(d.calls, "-", i)}), die: die, talks: map[string]centre.Agent{}}
	go d.nodes[i].Run(ctx)
}

const agents = 4

func (d *day) node() *office { return d.nodes[rapid.IntRange(0, 1).Draw(d.t, "node")] }

func (d *day) staff() auth.StaffID {
	return auth.StaffID(rapid.IntRange(1, agents).Draw(d.t, "staff"))
}

// allow fails for an error that is neither expected nor the store's.
func (d *day) allow(err error, expected ...error) {
	for _, e := range append(expected, purchase.ErrUnavailable, purchase.ErrCommitUnknown) {
		if errors.Is(err, e) {
			return
		}
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *day) console() {
	n, staff := d.node(), d.staff()
	switch rapid.IntRange(0, 5).Draw(d.t, "wish") {
	case 0:
		d.allow(n.Pause(d.ctx, staff), centre.ErrBusy)
	case 1:
		d.allow(n.Done(d.ctx, staff), centre.ErrBusy)
	case 2:
		d.allow(n.Resume(d.ctx, staff), centre.ErrBusy, centre.ErrExtension)
	default:
		d.allow(n.Sign(d.ctx, staff, fmt.Sprint(rapid.IntRange(1, agents+1).Draw(d.t, "extension"))), centre.ErrBusy, centre.ErrExtension)
	}
}

func (d *day) enter() {
	n := d.node()
	d.calls++
	c := &caller{Waiter: centre.Waiter{Call: fmt.Sprint("c-", d.calls), First: rapid.IntRange(0, 3).Draw(d.t, "first") == 0, Since: clock{}.Now()}}
	if rapid.Bool().Draw(d.t, "kept place") {
		c.Since -= purchase.Instant(rapid.IntRange(0, 60_000_000).Draw(d.t, "ago"))
	}
	var err error
	if c.Place, err = n.Enter(c.Waiter); err != nil {
		d.t.Fatal(err)
	}
	n.callers = append(n.callers, c)
}

func (d *day) leave() {
	n := d.node()
	if len(n.callers) == 0 {
		return
	}
	i := rapid.IntRange(0, len(n.callers)-1).Draw(d.t, "caller")
	n.callers[i].Leave()
	n.callers = slices.Delete(n.callers, i, i+1)
}

func (d *day) claim() {
	n := d.node()
	c := care.Callback{ID: int64(rapid.IntRange(1, 3).Draw(d.t, "callback")), At: clock{}.Now(), Number: 1}
	var a centre.Agent
	var got bool
	var err error
	if rapid.Bool().Draw(d.t, "own") {
		a, got, err = n.Own(d.ctx, d.staff(), c)
	} else {
		a, got, err = n.Claim(d.ctx, c)
	}
	d.allow(err, centre.ErrStale)
	if got && err == nil {
		n.rings = append(n.rings, ring{agent: a})
	}
}

// answer lets what rings be answered, or not, and talks end.
func (d *day) answer() {
	n := d.node()
	if len(n.rings) > 0 {
		i := rapid.IntRange(0, len(n.rings)-1).Draw(d.t, "ring")
		r := n.rings[i]
		n.rings = slices.Delete(n.rings, i, i+1)
		switch rapid.IntRange(0, 3).Draw(d.t, "answer") {
		case 0:
			d.allow(n.Miss(d.ctx, r.agent), centre.ErrStale)
		case 1:
			if r.by == nil || r.unsure { // of other rings nothing need be said
				d.over(n, r)
			}
		default:
			d.taken(n, r)
		}
	}
	for call, a := range n.talks {
		if rapid.IntRange(0, 3).Draw(d.t, "ends") == 0 {
			d.allow(n.Over(d.ctx, a), centre.ErrStale)
			delete(n.talks, call)
		}
	}
}

// over ends a call before it was taken, as far as is known: its caller is gone too.
func (d *day) over(n *office, r ring) {
	d.allow(n.Over(d.ctx, r.agent), centre.ErrStale)
	if r.by != nil {
		r.by.Leave()
	}
	n.callers = slices.DeleteFunc(n.callers, func(c *caller) bool { return c == r.by })
}

func (d *day) taken(n *office, r ring) {
	a, err := n.Take(d.ctx, r.agent)
	if d.allow(err, centre.ErrStale); err != nil {
		if !errors.Is(err, centre.ErrStale) { // it may have been: to be said again, or the call is over
			r.unsure = true
			n.rings = append(n.rings, r)
		}
		return
	}
	for _, other := range d.nodes {
		for call, b := range other.talks {
			if call == a.Call || b.Staff == a.Staff {
				d.t.Fatalf("%+v talks, and %+v does", b, a)
			}
		}
	}
	n.talks[a.Call] = a
	n.callers = slices.DeleteFunc(n.callers, func(c *caller) bool { return c == r.by })
}

// check receives agents who were given, and looks at the order.
func (d *day) check() {
	synctest.Wait()
	for _, n := range d.nodes {
		var waits []*caller
		for _, c := range n.callers {
			select {
			case a := <-c.Given():
				if a.Call != c.Call || a.State != centre.Ringing {
					d.t.Fatalf("%s was given %+v", c.Call, a)
				}
				n.rings = slices.DeleteFunc(n.rings, func(r ring) bool { return r.by == c })
				n.rings = append(n.rings, ring{agent: a, by: c})
			default:
			}
			if c.At() > 0 {
				waits = append(waits, c)
			}
		}
		slices.SortFunc(waits, func(a, b *caller) int { return a.At() - b.At() })
		for i, c := range waits {
			if c.At() != i+1 || i > 0 && (c.First && !waits[i-1].First || c.First == waits[i-1].First && c.Since < waits[i-1].Since) {
				d.t.Fatalf("%s waits at %d, behind %s", c.Call, c.At(), waits[max(i-1, 0)].Call)
			}
		}
	}
	d.apart()
}

// apart checks that no two of the stored agents have the same.
func (d *day) apart() {
	all, err := d.store.OnDuty(d.ctx, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	seen := map[string]auth.StaffID{}
	for _, a := range all {
		for _, what := range []string{"telephone " + a.Extension, "call " + a.Call, fmt.Sprint("callback ", a.Callback)} {
			if a.State == centre.Away || what[:4] == "call" && !a.Busy() || what == "callback 0" {
				continue
			}
			if other, twice := seen[what]; twice {
				d.t.Fatalf("%s is of %d and %d", what, other, a.Staff)
			}
			seen[what] = a.Staff
		}
	}
}

// crash lets a node die, and another take its place: its callers and talks are gone with it.
func (d *day) crash() {
	i := rapid.IntRange(0, 1).Draw(d.t, "node")
	d.nodes[i].die()
	d.open(i)
}

// settle lets the store answer, all agents be there and answer: nobody who did not leave may be left waiting.
func (d *day) settle() {
	d.shaky.share.Store(0)
	for range 100 {
		for id := auth.StaffID(1); id <= agents; id++ {
			d.allow(d.nodes[0].Sign(d.ctx, id, fmt.Sprint("at-", id)), centre.ErrBusy)
		}
		time.Sleep(10 * time.Second)
		d.check()
		left := 0
		for _, n := range d.nodes {
			for _, a := range n.talks {
				d.allow(n.Over(d.ctx, a), centre.ErrStale)
			}
			clear(n.talks)
			rings := n.rings
			n.rings = nil
			for _, r := range rings {
				d.taken(n, r)
			}
			left += len(n.callers) + len(n.talks)
		}
		if left == 0 {
			return
		}
	}
	for _, n := range d.nodes {
		d.t.Errorf("left are %+v with %+v and %+v: %+v", n.callers, n.rings, n.talks, n.Standing())
	}
}

// Whatever people, telephones, nodes and the store do: no agent has two calls, no caller two agents, nobody is lost, and
// who waits is in order.
func TestNobodyIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ rapid.TB }{t}, func(rt *rapid.T) { // whose deadline is of no bubble
			ctx, end := context.WithCancel(t.Context())
			memory := store.NewMemory()
			seed := rapid.Uint64().Draw(rt, "seed")
			d := &day{t: rt, ctx: ctx, store: memory, shaky: &shaky{Store: memory, d: rand.New(rand.NewPCG(seed, 0))}} //nolint:gosec // replayable on purpose
			d.shaky.share.Store(15)
			defer func() {
				end()
				synctest.Wait()
			}()
			d.open(0)
			d.open(1)
			for range rapid.IntRange(1, 80).Draw(rt, "steps") {
				act := rapid.SampledFrom([]func(){d.console, d.console, d.enter, d.enter, d.enter, d.leave, d.claim, d.answer, d.answer, d.answer, d.crash,
					func() { time.Sleep(time.Duration(rapid.IntRange(1, 3000).Draw(rt, "milliseconds")) * time.Millisecond) },
					func() { time.Sleep(time.Duration(rapid.IntRange(1, 30).Draw(rt, "seconds")) * time.Second) }}).Draw(rt, "act")
				act()
				d.check()
			}
			d.settle()
		})
	})
}
