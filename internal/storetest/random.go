package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"pgregory.net/rapid"

	"tenu/internal/purchase"
	"tenu/internal/store"
)

// Replica is one of several stores that are compared.
type Replica struct {
	Name string
	// Fresh empties the store and opens it twice, as two nodes do. done ends both.
	Fresh func(context.Context) (nodes [2]purchase.Store, done func() error, err error)
}

// RunRandom does the same random things to all replicas, through every method of
// a store: they must answer alike, errors included, and end up alike. A
// difference is printed with its seed, how to repeat it, and the shortest way to
// it that was found.
func RunRandom(t rapid.TB, replicas ...Replica) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, replicas)
		actions := map[string]func(*rapid.T){
			"acquire": w.acquire, "renew": w.renew, "takeover": w.takeover,
			"begin":    func(t *rapid.T) { w.commit(t, begun) },
			"progress": func(t *rapid.T) { w.commit(t, met) },
			"fall due": func(t *rapid.T) { w.wait(t); w.commit(t, due) },
			"mix":      func(t *rapid.T) { w.commit(t, met, begun, due, outdated, repeated, misowned) },
			"spoil":    func(t *rapid.T) { w.commit(t, met, begun, spoilt) },
			"load":     w.load, "load open": w.loadOpen, "list": w.list, "find key": w.findKey, "reserve": w.reserve,
			"park": w.park, "unpark": w.unpark, "mark sent": w.markSent,
		}
		for range 2 { // opening fresh stores takes longer than a few actions
			t.Repeat(actions)
		}
		w.compare(t)
	})
}

// world is the replicas and what is known of them, which is the same of all.
type world struct {
	replicas []*replica
	terms    purchase.Terms
	now      purchase.Instant
	next     int64 // purchase number
	leases   []purchase.Lease
	ids      []purchase.ID
	latest   map[purchase.ID]purchase.Purchase
	past     []purchase.Purchase // every value that was ever written
	written  []purchase.Change
}

// replica is a store as two nodes have it open.
type replica struct {
	name   string
	nodes  [2]purchase.Store
	parked []int64           // what it calls the news that it told of last
	unsent []purchase.Notice // likewise
}

func newWorld(t *rapid.T, replicas []Replica) *world {
	w := &world{terms: terms(drawnCapability), next: 1, latest: map[purchase.ID]purchase.Purchase{},
		now: rapid.SampledFrom([]purchase.Instant{dawn, 1_000_000, 1 << 61}).Draw(t, "dawn")}
	for _, r := range replicas {
		nodes, done, err := r.Fresh(context.Background())
		if err != nil {
			t.Fatalf("open %s: %v", r.Name, err)
		}
		t.Cleanup(func() {
			if err := done(); err != nil {
				t.Errorf("close %s: %v", r.Name, err)
			}
		})
		w.replicas = append(w.replicas, &replica{name: r.Name, nodes: nodes})
	}
	w.acquire(t)
	w.acquire(t)
	return w
}

// errOther stands for every error that no caller branches on.
var errOther = errors.New("refused")

// class is what a caller learns from an error.
func class(err error) error {
	for _, known := range []error{nil, purchase.ErrNotFound, purchase.ErrFenced, purchase.ErrUnavailable, purchase.ErrCommitUnknown} {
		if errors.Is(err, known) {
			return known
		}
	}
	return errOther
}

// alike does the same to all replicas, as one of their nodes, and returns the
// answer that all of them gave.
func alike[T any](t *rapid.T, w *world, what string, do func(purchase.Store, *replica) (T, error)) (answer T, err error) {
	node := rapid.IntRange(0, 1).Draw(t, "node")
	for i, r := range w.replicas {
		got, failure := do(r.nodes[node], r)
		if i == 0 {
			answer, err = got, class(failure)
			t.Logf("%s: %+v, %v", what, got, failure)
			continue
		}
		if first := w.replicas[0].name; !errors.Is(class(failure), err) {
			t.Fatalf("%s: %s answers %v, %s %v", what, r.name, failure, first, err)
		} else if err == nil && !same(reflect.ValueOf(got), reflect.ValueOf(answer)) {
			t.Fatalf("%s:\n%s answers %+v\n%s answers %+v", what, r.name, got, first, answer)
		}
	}
	return answer, err
}

// same compares two answers; an empty list is as good as none.
func same(a, b reflect.Value) bool {
	if a.Kind() == reflect.Slice && a.Len() == 0 {
		return b.Len() == 0
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

// must is alike for what has no reason to fail.
func must[T any](t *rapid.T, w *world, what string, do func(purchase.Store, *replica) (T, error)) T {
	answer, err := alike(t, w, what, do)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return answer
}

type nothing = struct{}

func (w *world) acquire(t *rapid.T) {
	if len(w.leases) == 6 {
		return
	}
	name := text(t, "name")
	// That epochs are counted from 1 without a gap is nobody's promise; of fresh
	// stores that never failed it is so.
	lease := must(t, w, "acquire", func(s purchase.Store, _ *replica) (purchase.Lease, error) {
		return s.Acquire(context.Background(), name)
	})
	w.leases = append(w.leases, lease)
}

func (w *world) renew(t *rapid.T) {
	epoch := w.epoch(t)
	if _, err := alike(t, w, fmt.Sprint("renew ", epoch), func(s purchase.Store, _ *replica) (nothing, error) {
		return nothing{}, s.Renew(context.Background(), epoch)
	}); err == nil {
		w.leases[epoch-1].Renewals++
	}
	w.compareLeases(t)
}

func (w *world) compareLeases(t *rapid.T) {
	must(t, w, "leases", func(s purchase.Store, _ *replica) ([]purchase.Lease, error) { return s.Leases(context.Background()) })
}

func (w *world) takeover(t *rapid.T) {
	lost := rapid.SampledFrom(append(slices.Clone(w.leases), purchase.Lease{Epoch: 77})).Draw(t, "lost")
	lost.Renewals += rapid.SampledFrom([]int64{0, 0, 0, -1, 1}).Draw(t, "renewals off by")
	epoch, limit := w.epoch(t), rapid.IntRange(0, 4).Draw(t, "limit")
	moved, err := alike(t, w, fmt.Sprintf("take over %+v to %d, limit %d", lost, epoch, limit),
		func(s purchase.Store, _ *replica) (int, error) {
			return s.Takeover(context.Background(), lost, epoch, limit)
		})
	if err == nil && moved > 0 {
		for _, r := range w.records(t, w.ids) {
			p := w.latest[r.Purchase.ID]
			p.Epoch = r.Purchase.Epoch
			w.latest[p.ID] = p
		}
	}
	w.compareLeases(t)
}

// records loads purchases.
func (w *world) records(t *rapid.T, ids []purchase.ID) []purchase.Record {
	return must(t, w, fmt.Sprint("load ", ids), func(s purchase.Store, _ *replica) ([]purchase.Record, error) {
		records, err := s.Load(context.Background(), ids...)
		return ordered(t, records), err
	})
}

// ordered is records in which rows of one moment stand in an order of our own:
// a Record is "in order of time" and leaves the order within a change open.
func ordered(t *rapid.T, records []purchase.Record) []purchase.Record {
	for i := range records {
		r := &records[i]
		inTime := slices.IsSortedFunc(r.Attempts, func(a, b purchase.Attempt) int { return cmp.Compare(a.At, b.At) }) &&
			slices.IsSortedFunc(r.Evidence, func(a, b purchase.Evidence) int { return cmp.Compare(a.Version, b.Version) }) &&
			slices.IsSortedFunc(r.Postings, func(a, b purchase.Posting) int { return cmp.Compare(a.At, b.At) }) &&
			slices.IsSortedFunc(r.Notices, func(a, b purchase.Notice) int { return cmp.Compare(a.At, b.At) }) &&
			slices.IsSortedFunc(r.Cases, func(a, b purchase.Case) int { return cmp.Compare(a.At, b.At) })
		if !inTime {
			t.Fatalf("not in order of time: %+v", r)
		}
		slices.SortFunc(r.Postings, func(a, b purchase.Posting) int {
			return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Leg, b.Leg), cmp.Compare(a.Effect, b.Effect))
		})
		slices.SortFunc(r.Notices, func(a, b purchase.Notice) int {
			return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Fact, b.Fact), cmp.Compare(a.To, b.To))
		})
		slices.SortFunc(r.Cases, func(a, b purchase.Case) int {
			return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Matter, b.Matter))
		})
		if len(r.Attempts) == 0 {
			r.Attempts = nil
		}
		if len(r.Evidence) == 0 {
			r.Evidence = nil
		}
		if len(r.Postings) == 0 {
			r.Postings = nil
		}
		if len(r.Notices) == 0 {
			r.Notices = nil
		}
		if len(r.Cases) == 0 {
			r.Cases = nil
		}
	}
	return records
}

// load reads some purchases, and goes on with them as another process would that
// remembers nothing.
func (w *world) load(t *rapid.T) {
	ids := rapid.SliceOfN(rapid.SampledFrom(append(slices.Clone(w.ids), 77_777)), 0, 5).Draw(t, "ids")
	for _, r := range w.records(t, ids) {
		w.latest[r.Purchase.ID] = r.Purchase
	}
}

func (w *world) loadOpen(t *rapid.T) {
	epoch, after, limit := w.epoch(t), w.id(t), rapid.IntRange(0, 5).Draw(t, "limit")
	must(t, w, fmt.Sprintf("load %d open of %d after %d", limit, epoch, after), func(s purchase.Store, _ *replica) ([]purchase.Record, error) {
		records, err := s.LoadOpen(context.Background(), epoch, after, limit)
		return ordered(t, records), err
	})
}

func (w *world) list(t *rapid.T) {
	page := purchase.Page{Number: rapid.SampledFrom(numbers).Draw(t, "number"), Before: w.id(t), Limit: rapid.IntRange(0, 4).Draw(t, "limit")}
	if rapid.Bool().Draw(t, "one client's") {
		page.Client = text(t, "client")
	}
	w.page(t, page)
}

// page lists. How much a list tells of the legs beside doubt, closed and
// acknowledged, and of what was posted and opened, the port leaves open.
func (w *world) page(t *rapid.T, page purchase.Page) {
	must(t, w, fmt.Sprintf("list %+v", page), func(s purchase.Store, _ *replica) ([]purchase.Purchase, error) {
		found, err := s.List(context.Background(), page)
		for i := range found {
			found[i] = quoted(found[i])
		}
		return found, err
	})
}

func (w *world) findKey(t *rapid.T) {
	wish := w.wish(t)
	if len(w.ids) > 0 && rapid.Bool().Draw(t, "known") {
		wish = w.latest[rapid.SampledFrom(w.ids).Draw(t, "id")].Request
	}
	id, err := alike(t, w, fmt.Sprintf("find key %q of %q", wish.ClientKey, wish.Client), func(s purchase.Store, _ *replica) (purchase.ID, error) {
		return s.FindKey(context.Background(), wish.Client, wish.ClientKey)
	})
	if _, known := w.latest[id]; err == nil && !known {
		t.Fatalf("the key belongs to purchase %d, which nobody made", id)
	}
}

func (w *world) reserve(t *rapid.T) {
	shard := rapid.SampledFrom([]int{0, 1, 31}).Draw(t, "shard")
	n := rapid.SampledFrom([]int64{1, 7, 16_384, 0, -1}).Draw(t, "n")
	floor := rapid.SampledFrom([]int64{0, 1, 100, 1<<purchase.SequenceBits - 1, -1}).Draw(t, "floor")
	_, _ = alike(t, w, fmt.Sprintf("reserve %d of shard %d from %d", n, shard, floor), func(s purchase.Store, _ *replica) (int64, error) {
		return s.Reserve(context.Background(), shard, n, floor)
	})
}

func (w *world) park(t *rapid.T) {
	parked := purchase.Parked{Purchase: w.id(t), At: w.now, Event: w.event(t, w.latest[w.id(t)])}
	parked.Event.AskedAt = rapid.SampledFrom([]purchase.Instant{0, w.now, 1<<63 - 1}).Draw(t, "asked at")
	must(t, w, fmt.Sprintf("park %+v", parked), func(s purchase.Store, _ *replica) (nothing, error) {
		return nothing{}, s.Park(context.Background(), parked)
	})
	w.takeParked(t, w.epoch(t), 3)
}

// takeParked reads parked news. What its Seq is, each store decides for itself.
func (w *world) takeParked(t *rapid.T, epoch int64, limit int) []purchase.Parked {
	return must(t, w, fmt.Sprintf("take %d parked for %d", limit, epoch), func(s purchase.Store, r *replica) ([]purchase.Parked, error) {
		parked, err := s.TakeParked(context.Background(), epoch, limit)
		r.parked = r.parked[:0]
		for i := range parked {
			if i > 0 && parked[i].Seq <= parked[i-1].Seq {
				t.Fatalf("%s: parked news out of order: %+v", r.name, parked)
			}
			r.parked = append(r.parked, parked[i].Seq)
			parked[i].Seq = 0
		}
		return parked, err
	})
}

func (w *world) unpark(t *rapid.T) {
	w.takeParked(t, w.epoch(t), rapid.IntRange(0, 3).Draw(t, "limit"))
	forget := rapid.SliceOfN(rapid.IntRange(0, 3), 0, 3).Draw(t, "forget")
	must(t, w, fmt.Sprint("unpark ", forget), func(s purchase.Store, r *replica) (nothing, error) {
		var seqs []int64
		for _, i := range forget {
			if i < len(r.parked) {
				seqs = append(seqs, r.parked[i])
			}
		}
		return nothing{}, s.Unpark(context.Background(), append(seqs, 77_777))
	})
}

// outbox is what notices are delivered from.
type outbox interface {
	UnsentNotices(ctx context.Context, limit int) ([]purchase.Notice, error)
	MarkSent(ctx context.Context, notices []purchase.Notice, at purchase.Instant) error
}

func deliver(s purchase.Store) outbox {
	o, ok := s.(outbox)
	if !ok {
		panic(fmt.Sprintf("%T keeps no notices", s))
	}
	return o
}

func (w *world) unsent(t *rapid.T, limit int) {
	must(t, w, fmt.Sprintf("%d unsent", limit), func(s purchase.Store, r *replica) ([]purchase.Notice, error) {
		var err error
		r.unsent, err = deliver(s).UnsentNotices(context.Background(), limit)
		return r.unsent, err
	})
}

func (w *world) markSent(t *rapid.T) {
	w.unsent(t, rapid.IntRange(0, 4).Draw(t, "limit"))
	sent := rapid.SliceOfN(rapid.IntRange(0, 3), 0, 3).Draw(t, "sent")
	stranger := rapid.Bool().Draw(t, "and one to somebody else")
	must(t, w, fmt.Sprint("mark sent ", sent), func(s purchase.Store, r *replica) (nothing, error) {
		var notices []purchase.Notice
		for _, i := range sent {
			if i < len(r.unsent) {
				notices = append(notices, r.unsent[i])
			}
		}
		if stranger && len(notices) > 0 {
			notices[0].To++
		}
		return nothing{}, deliver(s).MarkSent(context.Background(), notices, w.now)
	})
}

// wait lets time pass, without which deadlines never do.
func (w *world) wait(t *rapid.T) {
	w.now += rapid.SampledFrom([]purchase.Instant{1, 1_000_000, 600_000_000, 90_000_000_000, 700_000_000_000}).Draw(t, "microseconds pass")
}

// compare looks at everything there is.
func (w *world) compare(t *rapid.T) {
	w.records(t, w.ids)
	for _, number := range numbers {
		w.page(t, purchase.Page{Number: number, Limit: 1_000})
	}
	for _, lease := range w.leases {
		must(t, w, "open", func(s purchase.Store, _ *replica) ([]purchase.Record, error) {
			records, err := s.LoadOpen(context.Background(), lease.Epoch, 0, 1_000)
			return ordered(t, records), err
		})
		w.takeParked(t, lease.Epoch, 1_000)
	}
	w.compareLeases(t)
	w.unsent(t, 1_000)
	w.verify(t)
}

// verify compares what the databases find when they verify themselves, before
// all deadlines or after them.
func (w *world) verify(t *rapid.T) {
	now := rapid.SampledFrom([]purchase.Instant{1, w.now, w.now + 1<<50}).Draw(t, "verified at")
	var first []string
	var name string
	for _, r := range w.replicas {
		d, ok := r.nodes[0].(Database)
		if !ok {
			continue
		}
		violations, err := d.Verify(context.Background(), store.Verification{Now: now, Limit: 10_000})
		if err != nil {
			t.Fatalf("verify %s: %v", r.name, err)
		}
		var found []string
		for _, v := range violations {
			found = append(found, v.String())
		}
		slices.Sort(found)
		if name == "" {
			first, name = found, r.name
		} else if !slices.Equal(found, first) {
			t.Fatalf("verify at %s:\n%s finds %q\n%s finds %q", now, r.name, found, name, first)
		}
	}
}
