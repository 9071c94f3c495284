package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"tenu/internal/purchase"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("down")

// shelf is a Store in memory that can be made to fail.
type shelf struct {
	mu      sync.Mutex
	notices []purchase.Notice // in the order of At
	reads   int
	readErr error
	markErr error
}

func (s *shelf) UnsentNotices(_ context.Context, limit int) ([]purchase.Notice, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	var unsent []purchase.Notice
	for _, n := range s.notices {
		if n.SentAt == 0 && len(unsent) < limit {
			unsent = append(unsent, n)
		}
	}
	return unsent, s.readErr
}

func (s *shelf) NewestUnsent(context.Context) (newest purchase.Instant, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.notices {
		if n.SentAt == 0 {
			newest = max(newest, n.At)
		}
	}
	return newest, s.readErr
}

func (s *shelf) MarkSent(ctx context.Context, notices []purchase.Notice, at purchase.Instant) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.markErr != nil {
		return s.markErr
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("mark: %w", err)
	}
	for _, n := range notices {
		for i := range s.notices {
			if keyOf(&s.notices[i]) == keyOf(&n) && s.notices[i].SentAt == 0 {
				s.notices[i].SentAt = at
			}
		}
	}
	return nil
}

func (s *shelf) add(notices ...purchase.Notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notices = append(s.notices, notices...)
}

func (s *shelf) unsent() int {
	notices, err := s.UnsentNotices(context.Background(), 1<<30)
	if err != nil {
		return -1
	}
	return len(notices)
}

func (s *shelf) looks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

// desk is a Centre that remembers what it was handed, and refuses on demand.
type desk struct {
	mu       sync.Mutex
	order    []string       // ids, each time that they came
	resends  map[string]int // those of them that were marked
	texts    map[string]int // by id
	under    int
	most     int
	refusing func(id string) error
}

func (d *desk) Send(_ context.Context, m Message) error {
	id := m.ID
	d.mu.Lock()
	d.under++
	d.most = max(d.most, d.under)
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		d.under--
		d.mu.Unlock()
	}()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refusing != nil {
		if err := d.refusing(id); err != nil {
			return err
		}
	}
	d.order = append(d.order, id)
	if d.texts == nil {
		d.texts, d.resends = map[string]int{}, map[string]int{}
	}
	d.texts[id]++
	if m.Resend {
		d.resends[id]++
	}
	return nil
}

func (d *desk) deliveries() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.order)
}

func (d *desk) refuse(why func(id string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refusing = why
}

// still is a clock that does not move by itself.
type still struct{ now purchase.Instant }

func (c *still) Now() purchase.Instant                { return c.now }
func (c *still) After(time.Duration) <-chan time.Time { return nil }

func notice(id int, fact purchase.Fact, at purchase.Instant) purchase.Notice {
	return purchase.Notice{Purchase: purchase.ID(id), Fact: fact, To: purchase.MSISDN(22670000000 + id), Text: fmt.Sprintf("text %d", id), At: at}
}

func testReference(id purchase.ID) purchase.Reference {
	return purchase.Reference(fmt.Sprintf("%010d", id))
}

func messageIDs(notices []purchase.Notice) []string {
	var ids []string
	for _, n := range notices {
		ids = append(ids, string(testReference(n.Purchase))+"-"+n.Fact.String())
	}
	return ids
}

const noon = purchase.Instant(1_800_000_000_000_000)

func outbox(t testing.TB, cfg OutboxConfig) *Outbox {
	t.Helper()
	cfg.Reference, cfg.Log = testReference, slog.New(slog.DiscardHandler)
	if cfg.Clock == nil {
		cfg.Clock = &still{noon}
	}
	o, err := NewOutbox(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func step(t testing.TB, o *Outbox, now purchase.Instant) purchase.Instant {
	t.Helper()
	next, err := o.Step(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestStepDeliversOldestFirst(t *testing.T) {
	store, centre := &shelf{}, &desk{}
	for i := range 25 {
		store.add(notice(i, purchase.FactCredited, noon))
	}
	o := outbox(t, OutboxConfig{Store: store, Centre: centre, Batch: 10, Concurrency: 1})
	for i, want := range []purchase.Instant{noon, noon, noon.Add(30 * time.Second)} {
		if next := step(t, o, noon); next != want {
			t.Errorf("step %d: next at %s, want %s", i, next, want)
		}
	}
	if want := messageIDs(store.notices); !slices.Equal(centre.order, want) {
		t.Errorf("delivered %v", centre.order)
	}
	for _, n := range store.notices {
		if n.SentAt != noon {
			t.Errorf("%d: marked at %s", n.Purchase, n.SentAt)
		}
	}
	if centre.order[0] != "0000000000-credited" {
		t.Errorf("first message is %s", centre.order[0])
	}
}

// A customer reads a correction after what it corrects, however many are sent at once.
func TestStepKeepsEachCustomersOrder(t *testing.T) {
	store, centre := &shelf{}, &desk{}
	facts := []purchase.Fact{purchase.FactPending, purchase.FactCredited, purchase.FactTakenBack, purchase.FactRefunded}
	for _, fact := range facts {
		for i := range 100 {
			store.add(notice(i, fact, noon))
		}
	}
	o := outbox(t, OutboxConfig{Store: store, Centre: centre, Concurrency: 16})
	step(t, o, noon)
	seen := map[string]int{}
	for _, id := range centre.order {
		reference, fact := id[:10], id[11:]
		if want := facts[seen[reference]].String(); fact != want {
			t.Fatalf("%s: %s came before %s", reference, fact, want)
		}
		seen[reference]++
	}
	if len(centre.order) != 400 || centre.most > 16 || store.unsent() != 0 {
		t.Errorf("%d delivered, %d at once, %d left", len(centre.order), centre.most, store.unsent())
	}
}

func TestStepBacksOffFromADeadCentre(t *testing.T) {
	store, centre := &shelf{}, &desk{refusing: func(string) error { return errDown }}
	for i := range 100 {
		store.add(notice(i, purchase.FactCredited, noon))
	}
	o := outbox(t, OutboxConfig{Store: store, Centre: centre, Concurrency: 4, RetryMost: 5 * time.Second})
	now := noon
	for _, wait := range []time.Duration{1, 2, 4, 5, 5} {
		next, err := o.Step(t.Context(), now)
		if !errors.Is(err, errDown) || next != now.Add(wait*time.Second) {
			t.Fatalf("next in %s, %v; want %d s", next.Sub(now), err, wait)
		}
		reads := store.reads
		if early, err := o.Step(t.Context(), next-1); early != next || err != nil || store.reads != reads {
			t.Fatalf("a step before its time: next %s, %v, %d reads", early, err, store.reads-reads)
		}
		now = next
	}
	centre.refusing = nil
	if next := step(t, o, now); next != now.Add(30*time.Second) || store.unsent() != 0 {
		t.Errorf("after it came back: next in %s, %d left", next.Sub(now), store.unsent())
	}
	if len(centre.texts) != 100 || len(centre.order) != 100 {
		t.Errorf("%d messages, %d deliveries", len(centre.texts), len(centre.order))
	}
}

// Messages that the centre will not take do not stand in the way of others, even
// when they are more than a batch.
func TestStepPassesRefusedMessages(t *testing.T) {
	store := &shelf{}
	centre := &desk{refusing: func(id string) error {
		if id < "0000000030" {
			return fmt.Errorf("%w: bad number", ErrRefused)
		}
		return nil
	}}
	for i := range 60 {
		store.add(notice(i, purchase.FactCredited, noon))
	}
	o := outbox(t, OutboxConfig{Store: store, Centre: centre, Batch: 10, RefusedMost: 4 * time.Second})
	now, steps := noon, 0
	for next := now; next <= noon; steps++ {
		next = step(t, o, now)
	}
	if len(centre.texts) != 30 || store.unsent() != 30 || steps > 8 {
		t.Fatalf("after %d steps %d delivered, %d left", steps, len(centre.texts), store.unsent())
	}
	for _, wait := range []time.Duration{1, 2, 4, 4} {
		next := step(t, o, now)
		if next != now.Add(wait*time.Second) {
			t.Fatalf("next try in %s, want %d s", next.Sub(now), wait)
		}
		for now = next; next <= now; {
			next = step(t, o, now)
		}
	}
	centre.refusing = nil
	for next := now.Add(4 * time.Second); store.unsent() > 0; {
		now = next
		next = step(t, o, now)
	}
	if len(centre.order) != 60 || len(o.refused) != 0 {
		t.Errorf("%d delivered, %d still remembered as refused", len(centre.order), len(o.refused))
	}
}

// Refused messages that somebody else settled are forgotten.
func TestRefusalsOfNoticesThatAreGone(t *testing.T) {
	store := &shelf{}
	store.add(notice(1, purchase.FactCredited, noon))
	o := outbox(t, OutboxConfig{Store: store, Centre: &desk{refusing: func(string) error { return ErrRefused }}})
	step(t, o, noon)
	store.notices[0].SentAt = noon
	step(t, o, noon.Add(time.Hour))
	if len(o.refused) != 0 {
		t.Errorf("%d remembered", len(o.refused))
	}
}

// What was delivered and could not be marked is not delivered again: marking is
// tried first.
func TestStepMarksBeforeItSendsMore(t *testing.T) {
	store, centre := &shelf{markErr: errDown}, &desk{}
	store.add(notice(1, purchase.FactCredited, noon), notice(2, purchase.FactCredited, noon))
	o := outbox(t, OutboxConfig{Store: store, Centre: centre})
	now := noon
	for range 3 {
		next, err := o.Step(t.Context(), now)
		if !errors.Is(err, errDown) {
			t.Fatal(err)
		}
		now = next
	}
	store.markErr = nil
	step(t, o, now)
	if len(centre.order) != 2 || store.unsent() != 0 {
		t.Errorf("%v delivered, %d left", centre.order, store.unsent())
	}

	store.readErr = errDown
	if _, err := o.Step(t.Context(), now.Add(time.Hour)); !errors.Is(err, errDown) {
		t.Errorf("unreadable store: %v", err)
	}
}

// A process that dies between delivery and marking sends again under the same
// id, by which the centre knows it.
func TestRestartRepeatsTheSameID(t *testing.T) {
	store, centre := &shelf{markErr: errDown}, &desk{}
	store.add(notice(1, purchase.FactCredited, noon))
	if _, err := outbox(t, OutboxConfig{Store: store, Centre: centre}).Step(t.Context(), noon); err == nil {
		t.Fatal("marked")
	}
	store.markErr = nil
	step(t, outbox(t, OutboxConfig{Store: store, Centre: centre}), noon)
	if len(centre.order) != 2 || len(centre.texts) != 1 || store.unsent() != 0 {
		t.Errorf("deliveries %v, %d left", centre.order, store.unsent())
	}
}

// What the centre took over before a shutdown is marked.
func TestStepMarksWhenItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	store, centre := &shelf{}, &desk{refusing: func(id string) error {
		if id == "0000000003-credited" {
			cancel()
		}
		return nil
	}}
	for i := range 10 {
		store.add(notice(i, purchase.FactCredited, noon))
	}
	_, err := outbox(t, OutboxConfig{Store: store, Centre: centre, Concurrency: 1}).Step(ctx, noon)
	if !errors.Is(err, context.Canceled) || len(centre.order) != 4 || store.unsent() != 6 {
		t.Errorf("%v, %d delivered, %d left", err, len(centre.order), store.unsent())
	}
}

func TestNewOutboxRefuses(t *testing.T) {
	if _, err := NewOutbox(OutboxConfig{}); err == nil {
		t.Error("an outbox without anything")
	}
}

// A message may be named otherwise than by a purchase's reference.
func TestStepNamesMessages(t *testing.T) {
	store, centre := &shelf{}, &desk{}
	store.add(notice(7, purchase.FactCredited, noon))
	o, err := NewOutbox(OutboxConfig{Store: store, Centre: centre, Clock: &still{noon}, Log: slog.New(slog.DiscardHandler),
		Name: func(n *purchase.Notice) string { return fmt.Sprintf("care-%d", n.Purchase) }})
	if err != nil {
		t.Fatal(err)
	}
	step(t, o, noon)
	if want := []string{"care-7"}; !slices.Equal(centre.order, want) || store.unsent() != 0 {
		t.Errorf("delivered %v, %d left", centre.order, store.unsent())
	}
}

// systemClock is the clock of the bubble that synctest runs in.
type systemClock struct{}

func (systemClock) Now() purchase.Instant                  { return purchase.At(time.Now()) }
func (systemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, centre := &shelf{}, &desk{}
		o := outbox(t, OutboxConfig{Store: store, Centre: centre, Clock: systemClock{}})
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() { defer close(over); o.Run(ctx) }()

		// Idle, it looks once in 30 seconds.
		time.Sleep(5*time.Minute + time.Second)
		synctest.Wait()
		if store.looks() != 11 {
			t.Errorf("%d looks in five idle minutes, want 11", store.looks())
		}
		// Woken, it delivers after a short pause in which more may gather.
		for i := range 100 {
			store.add(notice(i, purchase.FactCredited, purchase.At(time.Now())))
			o.Wake()
		}
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		if centre.deliveries() != 100 || store.looks() > 13 {
			t.Errorf("%d delivered in %d looks", centre.deliveries(), store.looks()-11)
		}
		// While it backs off from a dead centre, nothing hurries it.
		centre.refuse(func(string) error { return errDown })
		store.add(notice(200, purchase.FactCredited, purchase.At(time.Now())))
		o.Wake()
		time.Sleep(3500 * time.Millisecond) // tries at 0.05, 1.05 and 3.05 s
		reads := store.looks()
		for range 10 {
			o.Wake()
			synctest.Wait()
		}
		if store.looks() != reads {
			t.Errorf("%d looks during the backoff", store.looks()-reads)
		}
		centre.refuse(nil)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if store.unsent() != 0 {
			t.Error("not delivered after the centre came back")
		}
		cancel()
		<-over
	})
}

// Whatever fails, is refused or restarts in whatever order, in the end each
// notice was taken over under one id, is marked, and no customer read his facts
// out of order unless one was refused.
func TestOutboxProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store, centre := &shelf{}, &desk{}
		number := rapid.IntRange(1, 30).Draw(t, "purchases")
		for i := range number {
			for _, fact := range purchase.Facts[:rapid.IntRange(1, 3).Draw(t, "facts")] {
				store.add(notice(i, fact, noon))
			}
		}
		cfg := OutboxConfig{Store: store, Centre: centre, Clock: &still{noon}, Log: slog.New(slog.DiscardHandler), Reference: testReference,
			Batch: rapid.IntRange(1, 8).Draw(t, "batch"), Concurrency: rapid.IntRange(1, 4).Draw(t, "concurrency")}
		fresh := func() *Outbox {
			o, err := NewOutbox(cfg)
			if err != nil {
				t.Fatal(err)
			}
			return o
		}
		o, now, refused := fresh(), noon, map[string]bool{}
		for range rapid.IntRange(0, 20).Draw(t, "disturbed steps") {
			kind := rapid.IntRange(0, 5).Draw(t, "disturbance")
			victim := fmt.Sprintf("%010d", rapid.IntRange(0, number-1).Draw(t, "victim"))
			store.readErr, store.markErr, centre.refusing = nil, nil, nil
			switch kind {
			case 1:
				store.readErr = errDown
			case 2:
				store.markErr = errDown
			case 3:
				centre.refusing = func(id string) error {
					if id[:10] >= victim {
						return errDown
					}
					return nil
				}
			case 4:
				centre.refusing = func(id string) error {
					if id[:10] == victim {
						return ErrRefused
					}
					return nil
				}
				refused[victim] = true
			case 5:
				o = fresh()
			}
			next, err := o.Step(context.Background(), now)
			if err != nil && !errors.Is(err, errDown) {
				t.Fatal(err)
			}
			now = max(now+1, next)
		}
		store.readErr, store.markErr, centre.refusing = nil, nil, nil
		for range 1000 {
			if store.unsent() == 0 {
				break
			}
			next, err := o.Step(context.Background(), now)
			if err != nil {
				t.Fatal(err)
			}
			now = next
		}
		if got, want := slices.Sorted(maps.Keys(centre.texts)), messageIDs(store.notices); store.unsent() != 0 || len(got) != len(want) {
			t.Fatalf("%d of %d delivered, %d not marked", len(got), len(want), store.unsent())
		}
		first := map[string]int{}
		for _, id := range slices.Backward(centre.order) {
			first[id] = slices.Index(centre.order, id)
		}
		for i := 1; i < len(store.notices); i++ {
			ids := messageIDs(store.notices[i-1 : i+1])
			if ids[0][:10] == ids[1][:10] && first[ids[0]] > first[ids[1]] && !refused[ids[0][:10]] {
				t.Fatalf("%s came before %s", ids[1], ids[0])
			}
		}
	})
}

// Whoever begins to deliver marks what another may have sent, and nothing newer;
// whoever does not deliver sends nothing.
func TestOnlyOneDelivers(t *testing.T) {
	store, centre := &shelf{}, &desk{}
	store.add(notice(1, purchase.FactCredited, noon), notice(2, purchase.FactCredited, noon+5))
	delivers, alone := false, false
	o := outbox(t, OutboxConfig{Store: store, Centre: centre, Concurrency: 1,
		Standing: func(context.Context) (bool, bool, error) { return delivers, alone, nil }})
	if next := step(t, o, noon); next != noon.Add(time.Second) || centre.deliveries() != 0 {
		t.Errorf("another delivers: next at %s, %d messages", next, centre.deliveries())
	}
	delivers = true
	if next := step(t, o, noon); next != noon.Add(time.Second) {
		t.Errorf("beside others: next at %s", next)
	}
	alone = true
	store.add(notice(3, purchase.FactCredited, noon+6))
	if next := step(t, o, noon); next != noon.Add(30*time.Second) {
		t.Errorf("alone: next at %s", next)
	}
	delivers = false
	step(t, o, noon)
	delivers = true
	store.add(notice(4, purchase.FactCredited, noon+7))
	step(t, o, noon)
	want := messageIDs(store.notices)
	if !slices.Equal(centre.order, want) {
		t.Errorf("delivered %v", centre.order)
	}
	if marked := slices.Sorted(maps.Keys(centre.resends)); !slices.Equal(marked, []string{want[0], want[1], want[3]}) {
		t.Errorf("marked are %v", marked)
	}
}

// What a centre may have taken is marked when it is sent again; what it has not, is not.
func TestDoubtIsMarked(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		marked int
	}{"unheard": {errDown, 1}, "not taken": {fmt.Errorf("%w: busy", ErrNotTaken), 0}, "refused": {ErrRefused, 0}} {
		store, centre := &shelf{}, &desk{}
		o := outbox(t, OutboxConfig{Store: store, Centre: centre, Concurrency: 1})
		step(t, o, noon)
		store.add(notice(1, purchase.FactCredited, noon))
		centre.refuse(func(string) error { return c.err })
		_, _ = o.Step(t.Context(), noon)
		centre.refuse(nil)
		step(t, o, noon.Add(time.Minute))
		if len(centre.order) != 1 || len(centre.resends) != c.marked {
			t.Errorf("%s: sent %v, marked %v", name, centre.order, centre.resends)
		}
	}
}

// ticking is a clock that moves on each time it is read.
type ticking struct {
	mu  sync.Mutex
	now purchase.Instant
	by  time.Duration
}

func (c *ticking) Now() purchase.Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(c.by)
	return c.now
}
func (c *ticking) After(time.Duration) <-chan time.Time { return nil }

// A standing is good for a while only: what is not begun by then waits for the next.
func TestTermEnds(t *testing.T) {
	store, centre, asked := &shelf{}, &desk{}, 0
	for i := range 10 {
		store.add(notice(i, purchase.FactCredited, noon))
	}
	o := outbox(t, OutboxConfig{Store: store, Centre: centre, Concurrency: 1, Clock: &ticking{now: noon, by: 500 * time.Millisecond},
		Standing: func(context.Context) (bool, bool, error) { asked++; return true, true, nil }})
	for steps := 1; store.unsent() > 0; steps++ {
		if next := step(t, o, noon); store.unsent() > 0 && next != noon {
			t.Fatalf("step %d: next at %s", steps, next)
		}
		if centre.deliveries() > 3*steps || asked != steps {
			t.Fatalf("%d messages after %d steps and %d standings", centre.deliveries(), steps, asked)
		}
	}
}
