package purchase

import (
	"container/heap"
)

// core is the engine's state and logic without goroutines, locks or a clock:
// open purchases with their timers, changes waiting for a commit, calls
// waiting for a partner. The engine wraps it in a lock, the simulation drives it
// one step at a time.
type core struct {
	terms   Terms
	keys    *Keyring
	wording Wording
	epoch   int64
	open    map[ID]*item
	due     timers
	pending []*item // with a change to commit, oldest first
	// committing counts the changes taken from pending and not settled yet.
	committing int
	lanes      map[string]*lane
	making     map[clientKey]*item // new purchases not yet committed
	likes      map[likeness]*item  // the same, by what makes a repeat
	counts     Counts
	salt       func() [16]byte // of a new purchase, nil for none
	spare      []*step         // whose memory serves again, at most maxSpare
}

// maxSpare bounds the memory that is kept for steps to come, to some 6 MB.
const maxSpare = 4096

// step is memory for a step.
func (c *core) step() *step {
	last := len(c.spare) - 1
	if last < 0 {
		return new(step)
	}
	s := c.spare[last]
	c.spare = c.spare[:last]
	return s
}

// done gives a step's memory back.
func (c *core) done(s *step) {
	if len(c.spare) < maxSpare {
		c.spare = append(c.spare, s)
	}
}

// Counts are totals since the engine began.
type Counts struct {
	Created  int64 // purchases made durable
	Changes  int64 // changes made durable
	Commits  int64 // transactions
	Stale    int64 // changes refused because someone else had written
	Rejected int64 // changes that the store refused for what they say: always a defect
	Replayed int64 // requests answered with an earlier purchase
	ByState  [len(stateNames)]int64
	ByKind   [len(kindNames)]int64 // outcomes
}

// item is one open purchase in memory. It is in exactly one of these
// conditions: its last change is durable (change nil), or a change is pending
// or being committed and further events wait in queue.
type item struct {
	p        Purchase
	ref      Reference
	doubtful bool // a commit of the change may have been, or still be, carried out
	change   *step
	queue    []Event
	calls    int   // begun and not yet answered
	queued   *call // waiting in a lane
	slot     int   // index in the timer heap, -1 when in none
	creators []creator
	idle     []func(error) // called when no change is left to commit
	watchers []watcher
}

// creator is told once, under the engine's lock, that a purchase was made
// durable, or why not.
type creator interface {
	made(p *Purchase, err error)
}

type clientKey struct{ client, key string }

// likeness is what two purchases share when the customer may have meant one.
type likeness struct {
	payer, recipient MSISDN
	product          string
	total            int64
}

func likenessOf(r *Request) likeness {
	return likeness{r.PayerNumber, r.Recipient, r.Product, r.Total}
}

// create admits a new purchase. who is told when its first change is durable or
// cannot be.
func (c *core) create(id ID, r *Request, now Instant, who creator) {
	it := &item{slot: -1, ref: c.keys.Reference(id), creators: []creator{who}}
	it.change = c.step()
	begun := it.change.begin(&c.terms, r, id, c.epoch, now)
	if c.salt != nil {
		begun.Change.Now.Salt = c.salt()
	}
	it.p = begun.Change.Now
	c.open[id] = it
	c.making[clientKey{r.Client, r.ClientKey}] = it
	if !r.Again && c.terms.RepeatWithin > 0 {
		c.likes[likenessOf(r)] = it
	}
	c.pending = append(c.pending, it)
}

// adopt takes a recorded purchase into memory.
func (c *core) adopt(r *Record, now Instant) *item {
	it := &item{p: r.restore(&c.terms, now), ref: c.keys.Reference(r.Purchase.ID), slot: -1}
	c.open[it.p.ID] = it
	c.schedule(it)
	return it
}

// event lets a purchase meet an event, or queues it behind the change being
// committed. It returns false when there is no room left to queue it.
func (c *core) event(it *item, ev Event, now Instant) bool {
	if it.change != nil {
		if ev.Leg != 0 && !it.awaits(&ev) {
			if len(it.queue) >= maxQueued && ev.AskedAt == 0 { // news can come again, an answer cannot
				return false
			}
			it.queue = append(it.queue, ev)
		}
		return true
	}
	if ev.Leg != 0 {
		c.counts.ByKind[ev.Outcome.Kind]++
	}
	if it.yields(&ev) { // a refund is wanted instead: it is certain never to have left
		it.queued, it.p.Legs[Credit].Unsent = nil, true
	}
	s := c.step()
	step := s.next(&c.terms, &it.p, ev, now, it.busy(), c.epoch)
	if step.Durable {
		it.change = s
		c.pending = append(c.pending, it)
		c.unschedule(it)
		return true
	}
	want := step.Call
	it.p = step.Change.Now
	c.done(s)
	c.issue(it, want, now)
	c.rest(it)
	return true
}

// maxQueued bounds the news of one purchase that waits for a commit.
const maxQueued = 64

// rest is where a purchase without a change, and without news that may become
// one, comes to: scheduled, or forgotten when it is closed for good.
func (c *core) rest(it *item) {
	if it.change != nil || len(it.queue) > 0 {
		return
	}
	for _, f := range it.idle {
		f(nil)
	}
	it.idle = nil
	if !it.p.Open() && it.calls == 0 && it.queued == nil {
		c.forget(it)
		return
	}
	c.schedule(it)
}

// forget drops a purchase from memory.
func (c *core) forget(it *item) {
	c.unschedule(it)
	delete(c.open, it.p.ID)
	for _, w := range it.watchers {
		w.over()
	}
	it.watchers = nil
}

// issue queues a call with the partner's lane.
func (c *core) issue(it *item, want Call, now Instant) {
	if want.Op == 0 {
		return
	}
	p := &it.p
	l := c.lanes[p.Partner(want.Leg)]
	if l == nil { // configuration names it no more: nothing can be sent
		c.event(it, Event{Leg: want.Leg, Source: FromNode, Outcome: Outcome{Kind: Unsent,
			Reason: ReasonClosed, Detail: "partner is not configured"}}, now)
		return
	}
	k := &call{item: it, Call: want, try: p.Legs[want.Leg].Tries}
	if l.held && !k.isFresh() {
		c.holdBack(k, now)
		return
	}
	it.queued = k
	l.push(k)
}

// tick fires the timers due at now and returns when the next one is, zero for none.
func (c *core) tick(now Instant, most int) Instant {
	for range most {
		if len(c.due) == 0 {
			return 0
		}
		it := c.due[0]
		if it.p.DueAt > now {
			return it.p.DueAt
		}
		c.unschedule(it)
		if c.withdraw(it, now) {
			continue
		}
		c.event(it, Timer, now)
	}
	return now
}

// withdraw takes back a charge or credit that still waits to be sent when the
// time to send it is over, so that it is certain never to have left.
func (c *core) withdraw(it *item, now Instant) bool {
	k := it.queued
	if k == nil || k.Op != OpDo || it.change != nil || it.p.Legs[k.Leg].Doubt {
		return false
	}
	if limit := c.terms.sendLimit(&it.p, k.Leg); limit == 0 || it.p.local(now) < limit {
		return false
	}
	it.queued = nil
	c.event(it, Event{Leg: k.Leg, Source: FromNode,
		Outcome: Outcome{Kind: Unsent, Reason: ReasonClosed, Detail: "withdrawn from the queue"}}, now)
	return true
}

// batch takes up to most pending changes, oldest first, with their notices not
// yet worded, and appends them to a batch.
func (c *core) batch(batch []*item, most int) []*item {
	n := min(most, len(c.pending))
	batch = append(batch, c.pending[:n]...)
	rest := copy(c.pending, c.pending[n:])
	clear(c.pending[rest:])
	c.pending = c.pending[:rest]
	return batch
}

// word writes the notices of an item's change. It touches nothing shared.
func (c *core) word(it *item) {
	s := &it.change.out
	now := &s.Change.Now
	var evidence Outcome
	if e := s.Change.Evidence; e != nil {
		evidence = e.Outcome
	}
	s.Change.Notices = s.Change.Notices[:0]
	for _, fact := range s.Facts {
		to := now.PayerNumber
		if fact == FactReceived || fact == FactReclaimed {
			if to = now.Recipient; to == now.PayerNumber {
				continue
			}
		}
		s.Change.Notices = append(s.Change.Notices, Notice{Purchase: now.ID, Fact: fact, To: to,
			Language: now.Language, Text: c.wording.Notice(fact, now, it.ref, evidence), At: s.At})
	}
}

// written makes a committed change the purchase's truth and goes on from there.
func (c *core) written(it *item, now Instant) {
	step := &it.change.out
	c.made(it)
	if step.Change.Now.Version == 1 {
		c.counts.Created++
	}
	c.counts.Changes++
	if step.Change.Now.State != it.p.State || step.Change.Now.Version == 1 {
		c.counts.ByState[step.Change.Now.State]++
	}
	for leg := range it.p.Legs { // a call may have begun meanwhile
		step.Change.Now.Legs[leg].LastAt = max(step.Change.Now.Legs[leg].LastAt, it.p.Legs[leg].LastAt)
	}
	want := step.Call
	it.p, it.doubtful = step.Change.Now, false
	c.done(it.change)
	it.change = nil
	c.tell(it, nil)
	c.drop(it)
	c.issue(it, want, now)
	for len(it.queue) > 0 && it.change == nil {
		ev := it.queue[0]
		it.queue = it.queue[1:]
		c.event(it, ev, now)
	}
	if c.open[it.p.ID] == it {
		c.rest(it)
	}
}

// drop withdraws a queued call of a leg that the purchase no longer waits for. A
// closed purchase may still be asked about; nothing more is done for it.
func (c *core) drop(it *item) {
	if k := it.queued; k != nil {
		if it.p.active() != k.Leg || k.Op == OpDo && it.p.State.Final() && k.Leg != Reversal {
			it.queued = nil
		}
	}
}

// tell informs those who wait for or watch the purchase.
func (c *core) tell(it *item, err error) {
	for _, who := range it.creators {
		who.made(&it.p, err)
	}
	it.creators = nil
	for _, w := range it.watchers {
		w.told(&it.p)
	}
}

// made forgets that a purchase was being made.
func (c *core) made(it *item) {
	key := clientKey{it.p.Client, it.p.ClientKey}
	if c.making[key] == it {
		delete(c.making, key)
	}
	if like := likenessOf(&it.p.Request); c.likes[like] == it {
		delete(c.likes, like)
	}
}

// reject ends a new purchase that was not written, for everyone who waits for it.
func (c *core) reject(it *item, err error) {
	c.made(it)
	it.change = nil
	for _, who := range it.creators {
		who.made(&it.p, err)
	}
	it.creators = nil
	c.lose(it, err)
}

// lose forgets a purchase that this node may no longer write.
func (c *core) lose(it *item, err error) {
	it.change, it.queue, it.queued = nil, nil, nil
	for _, f := range it.idle {
		f(err)
	}
	it.idle = nil
	c.forget(it)
}

// timers is a heap of items by due time, then by ID so that order never
// depends on chance.
type timers []*item

func (h timers) Len() int { return len(h) }
func (h timers) Less(i, j int) bool {
	if h[i].p.DueAt != h[j].p.DueAt {
		return h[i].p.DueAt < h[j].p.DueAt
	}
	return h[i].p.ID < h[j].p.ID
}
func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i, j
}

// Push and Pop are heap.Interface.
func (h *timers) Push(x any) {
	it := x.(*item) //nolint:errcheck,forcetypeassert // only items are pushed
	it.slot = len(*h)
	*h = append(*h, it)
}

// Pop removes the last item.
func (h *timers) Pop() any {
	last := len(*h) - 1
	it := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	it.slot = -1
	return it
}

func (c *core) schedule(it *item) {
	switch {
	case !it.p.Open():
		c.unschedule(it)
	case it.slot < 0:
		heap.Push(&c.due, it)
	default:
		heap.Fix(&c.due, it.slot)
	}
}

func (c *core) unschedule(it *item) {
	if it.slot >= 0 {
		heap.Remove(&c.due, it.slot)
	}
}
