package sim

import (
	"container/heap"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"time"

	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// began is when every world of dice begins.
const began purchase.Instant = 1_800_000_000_000_000

// world is one simulated installation: nodes on a store, partners with books of
// their own, customers, an SMS centre, and one queue of what happens next. All of
// it runs on one goroutine.
type world struct {
	ctx     context.Context
	plan    *plan
	seed    uint64
	begins  purchase.Instant
	now     purchase.Instant
	seq     int64
	queue   events
	keys    *purchase.Keyring
	wording purchase.Wording
	store   *storage
	book    *auditor
	nodes   []*node
	peers   []*peer
	log     *logbook
	salts   uint64 // that were drawn
	centre  *centre
	buyers  []*buyer
	bought  map[purchase.ID]int // which buyer's purchase it is
	calm    bool                // processes, clocks and store fail no more
	honest  bool                // partners fail no more either
	sender  int64               // lease of the process that asks a partner, 0 when it has ended
	ahead   time.Duration       // furthest that a clock was ever ahead
	rough   purchase.Instant    // when process, clock or store last failed
	record  *record
	failure *Violation
	tally   Tally

	files  *files   // nil in a world without care, as the people
	phones *phones  // nil in one that follows a script, too
	people *people  // the staff, and what customers do about cases
	line   *hotline // of a world that follows a script, as the play
	play   *play

	written *writtenRecord // of incidents, in a world that follows a script
}

// event is something that will happen.
type event struct {
	at  purchase.Instant
	seq int64
	do  func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push and Pop are heap.Interface.
func (q *events) Push(x any) { *q = append(*q, x.(event)) } //nolint:errcheck,forcetypeassert // only events are pushed

// Pop removes the last event.
func (q *events) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = event{}
	*q = (*q)[:last]
	return e
}

// after lets something happen d from now.
func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.queue, event{w.now.Add(max(d, time.Microsecond)), w.seq, do})
}

// step lets the next thing happen. It returns false when nothing is left, or
// the world came to an end.
func (w *world) step() bool {
	if len(w.queue) == 0 || w.failure != nil {
		return false
	}
	e := heap.Pop(&w.queue).(event) //nolint:errcheck,forcetypeassert // only events are pushed
	if w.play != nil {
		if w.play.till(max(w.now, e.at)); w.play.err != nil || w.ctx.Err() != nil {
			return false
		}
	}
	w.now = max(w.now, e.at)
	w.tally.Steps++
	e.do()
	return w.failure == nil
}

// fail records the first violation, which ends the world.
func (w *world) fail(invariant string, id purchase.ID, format string, args ...any) {
	if w.failure != nil {
		return
	}
	w.failure = &Violation{Invariant: invariant, World: w.plan.world, Detail: fmt.Sprintf(format, args...), Purchase: id}
	if i, ok := w.bought[id]; ok {
		w.failure.Buyer = i
		w.failure.Reference = w.keys.Reference(id).String()
	} else {
		w.failure.Buyer = -1
	}
	w.note("violation", id, invariant+": "+w.failure.Detail)
}

// dice are drawn for something that happens to a buyer's purchase.
func (w *world) dice(labels ...uint64) *dice { return roll(append([]uint64{w.seed}, labels...)...) }

// buyerOf is the number of the buyer whose purchase it is, as a label for dice.
func (w *world) buyerOf(id purchase.ID) uint64 {
	if i, ok := w.bought[id]; ok {
		return uint64(i) + 1 //nolint:gosec // an index
	}
	if w.plan.script != nil { // the house's own: each has a fate of its own
		return uint64(id) | 1<<63 //nolint:gosec // a number
	}
	return 0
}

// hit counts that a fault met a purchase in a state.
func (w *world) hit(f Fault, id purchase.ID) {
	w.cover(f, id)
	w.tally.Hits[f]++
}

// cover counts the state of a purchase that a fault met.
func (w *world) cover(f Fault, id purchase.ID) {
	if r := w.book.records[id]; r != nil {
		w.tally.Coverage[f][r.Purchase.State]++
	}
}

// hitNode counts that a fault met all that a node holds.
func (w *world) hitNode(f Fault, n *node) {
	w.tally.Hits[f]++
	if n.steps == nil {
		return
	}
	for _, p := range n.steps.Held() {
		w.cover(f, p.ID)
	}
}

// build makes the world of a plan.
func build(ctx context.Context, pl *plan, base Backing, record *record) (*world, error) {
	w := &world{ctx: ctx, plan: pl, seed: pl.seed, begins: began, now: began, bought: map[purchase.ID]int{}, record: record}
	payers, zone := []string{"wallet-a"}, time.UTC
	if s := pl.script; s != nil {
		w.begins, w.now = s.Begins, s.Begins
		w.play, payers, zone = newPlay(w), s.payers(), s.Location
		w.written = &writtenRecord{map[incident.ID]incident.Incident{}, map[int64]incident.Pause{}, map[incident.ID]bool{}}
	}
	keys, err := purchase.NewKeyring([]byte("the simulation's own secret"))
	if err != nil {
		return nil, err
	}
	w.keys = keys
	if w.wording, err = newWording(payers, zone); err != nil {
		return nil, err
	}
	w.book = newAuditor(w)
	w.store = &storage{w: w, Backing: base}
	if w.log, err = newLogbook(w, base); err != nil {
		return nil, err
	}
	w.centre = newCentre(w)
	for i := range pl.peers {
		w.peers = append(w.peers, newPeer(w, i))
	}
	for i := range pl.nodes {
		w.nodes = append(w.nodes, newNode(w, i))
	}
	for i := range pl.purchases {
		if pl.keeps(i) {
			w.buyers = append(w.buyers, newBuyer(w, i))
		}
	}
	if pl.care {
		return w, w.hire(base)
	}
	return w, nil
}

// salt is that of a new purchase.
func (w *world) salt() (s [16]byte) {
	w.salts++
	d := roll(w.seed, 53, w.salts)
	binary.LittleEndian.PutUint64(s[:], d.next())
	binary.LittleEndian.PutUint64(s[8:], d.next())
	return s
}

// run lets the world happen, then come to rest, and checks that all is well.
func (w *world) run() {
	for _, n := range w.nodes {
		w.after(0, n.start)
	}
	for _, b := range w.buyers {
		b.begin()
		if !w.plan.care { // with care, people ask at its desks
			(&staff{w, b}).begin()
		}
	}
	if w.people != nil && w.plan.script == nil {
		w.people.begin()
	}
	w.plan.schedule(w)
	if w.plan.script != nil {
		w.after(w.plan.span, w.awaitSettled)
	} else {
		w.after(w.plan.span, w.settleDown)
	}
	w.log.begin()
	for w.step() {
	}
	if w.failure == nil {
		w.log.atRest()
	}
	if w.failure == nil {
		w.book.atRest()
	}
	if w.failure == nil && w.files != nil {
		w.files.atRest()
	}
}

// discard is a log that keeps nothing but looks for what must not be in a log.
type discard struct {
	w     *world
	attrs string
}

// Enabled is slog.Handler.
func (d discard) Enabled(context.Context, slog.Level) bool { return true }

// Handle looks for full numbers (invariant N6).
func (d discard) Handle(_ context.Context, r slog.Record) error {
	text := r.Message + d.attrs
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.Key + "=" + a.Value.Resolve().String()
		return true
	})
	if number.MatchString(text) {
		d.w.fail("N6", 0, "a full number was logged: %s", text)
	}
	if d.w.record != nil {
		d.w.note("log", 0, text)
	}
	return nil
}

// WithAttrs is slog.Handler.
func (d discard) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		d.attrs += " " + a.Key + "=" + a.Value.Resolve().String()
	}
	return d
}

// WithGroup is slog.Handler.
func (d discard) WithGroup(string) slog.Handler { return d }
