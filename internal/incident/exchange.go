package incident

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"tenu/internal/purchase"
)

// NodeTally is what one node counted lately, for the others.
type NodeTally struct {
	Epoch int64 // of the node's lease
	Seq   int64 // counts its writings
	Data  []byte
}

// TallyStore keeps what nodes counted lately.
type TallyStore interface {
	// ExchangeTallies keeps a node's tally in place of its former one, and returns those of the other nodes, by
	// lease. Of a lease that is fenced nothing is kept.
	ExchangeTallies(ctx context.Context, own NodeTally) ([]NodeTally, error)
}

// ExchangeConfig is what an exchange is built from. All but Every is needed.
type ExchangeConfig struct {
	Store    TallyStore
	Signals  *Signals
	Detector *Detector
	// Epoch is the node's lease, 0 while it has none.
	Epoch func() int64
	// Alone reports whether there is no other node. Then nothing is written, and nothing read.
	Alone func() bool
	// Every is how often nodes tell each other (default 3 s).
	Every time.Duration
}

// Exchange lets several nodes judge what all of them see. Each tells the others what it counted by itself, by its judged buckets
// of 5 s, and counts what the others tell beside its own. No clock is compared with another one: a bucket is of an age,
// and lies where its age says at the reading. Step is for one goroutine.
type Exchange struct {
	cfg ExchangeConfig
	seq int64

	mu    sync.Mutex
	now   purchase.Instant // of the last step
	peers map[int64]*peer  // by lease
}

// peer is another node, as it tells of itself.
type peer struct {
	seq    int64
	readAt purchase.Instant // when something new was last read of it
	placed bool
	shift  int64                         // from its buckets' numbers to ours
	taken  map[sharedBucketKey]sharedSum // of its last buckets, what was counted here
	fails  []Series
}

const (
	shareEvery = 3 * time.Second
	// sharedFor is how long a bucket is told: who hears nothing for longer misses what was sold meanwhile.
	sharedFor     = time.Minute
	sharedBuckets = int(sharedFor / fineWidth)
	sharedCells   = 512 // those that sell most
	sharedName    = 256 // bytes of a name
	maxShared     = 1 << 20
	maxPeers      = 256
	// lapsed is how old may be what another node finds.
	lapsed = 30 * time.Second
	// unsteady is how much later than ever before a tally may be read: it is under way for a time, and not
	// for longer. Beyond that, one of the clocks was set.
	unsteady = 15 * time.Second
)

// shared is a node's tally as it is written.
type shared struct {
	Version int              `json:"v"`
	At      purchase.Instant `json:"at"` // on the writer's clock
	Cells   []sharedCell     `json:"cells,omitempty"`
	Fails   []sharedSeries   `json:"fails,omitempty"`
}

const sharedVersion = 1

type sharedSeries struct {
	By   Dimension `json:"by"`
	Name string    `json:"name"`
}

// sharedCell is what was sold of one kind. A bucket is its age at the writing in buckets, then paid, in time, late and
// failed, who and served.
type sharedCell struct {
	Of      [5]string   `json:"of"` // in the order of the dimensions
	Buckets [][7]uint64 `json:"b"`
}

type sharedBucketKey struct {
	of    cellKey
	epoch int64 // on the writer's clock; a name only
}

// sharedSum is a bucket's counts.
type sharedSum struct {
	paid, inTime, late, failed int64
	who, served                uint64
}

// NewExchange returns an exchange, or an error that says what is missing.
func NewExchange(cfg ExchangeConfig) (*Exchange, error) {
	if cfg.Store == nil || cfg.Signals == nil || cfg.Detector == nil || cfg.Epoch == nil || cfg.Alone == nil {
		return nil, errors.New("incident: an exchange needs a store, signals, a detector, a lease and whether it is alone")
	}
	if cfg.Every <= 0 {
		cfg.Every = shareEvery
	}
	return &Exchange{cfg: cfg, peers: map[int64]*peer{}}, nil
}

// Step tells the others what was counted here, and takes in what they did. It returns when to call it again.
func (x *Exchange) Step(ctx context.Context, now purchase.Instant) (next purchase.Instant, err error) {
	next = now.Add(x.cfg.Every)
	epoch := x.cfg.Epoch()
	if epoch == 0 || x.cfg.Alone() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.now = now
		return next, nil
	}
	row := shared{Version: sharedVersion, At: now, Cells: x.cfg.Signals.own(now)}
	for _, f := range x.cfg.Detector.Active() {
		row.Fails = append(row.Fails, sharedSeries(f.Series))
	}
	data, err := json.Marshal(&row)
	if err != nil {
		return next, fmt.Errorf("write what was counted: %w", err)
	}
	x.seq++
	others, err := x.cfg.Store.ExchangeTallies(ctx, NodeTally{Epoch: epoch, Seq: x.seq, Data: data})
	if err != nil {
		return next, fmt.Errorf("exchange what was counted: %w", err)
	}
	return next, x.take(others, now)
}

// take takes in what other nodes told.
func (x *Exchange) take(others []NodeTally, now purchase.Instant) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.now = now
	var errs []error
	others = others[:min(len(others), maxPeers)]
	kept := make(map[int64]*peer, len(others))
	for i := range others {
		o := &others[i]
		p := x.peers[o.Epoch]
		if p == nil {
			p = &peer{taken: map[sharedBucketKey]sharedSum{}}
		}
		kept[o.Epoch] = p
		if p.seq == o.Seq {
			continue
		}
		row, err := parseShared(o.Data)
		if err != nil {
			errs = append(errs, fmt.Errorf("read what lease %d counted: %w", o.Epoch, err))
			continue
		}
		p.seq, p.readAt = o.Seq, now
		p.take(x.cfg.Signals, row, now)
	}
	x.peers = kept
	return errors.Join(errs...)
}

// parseShared reads a tally. Another version's says nothing.
func parseShared(data []byte) (*shared, error) {
	if len(data) > maxShared {
		return nil, fmt.Errorf("%d bytes", len(data))
	}
	row := &shared{}
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(row); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	if row.Version != sharedVersion {
		return &shared{}, nil
	}
	if len(row.Cells) > sharedCells || len(row.Fails) > maxCells || row.At < 0 || row.At > math.MaxInt64/2 {
		return nil, errors.New("more than a node tells")
	}
	for i := range row.Cells {
		c := &row.Cells[i]
		for _, name := range c.Of {
			if len(name) > sharedName {
				return nil, errors.New("a name that is too long")
			}
		}
		if len(c.Buckets) > sharedBuckets {
			return nil, errors.New("more buckets than a node tells")
		}
		for _, b := range c.Buckets {
			if b[0] > uint64(2*coarseReach/fineWidth) || b[1] > math.MaxInt32 || b[2] > b[1] || b[3] > b[1] || b[4] > b[1] {
				return nil, errors.New("a bucket that cannot be")
			}
		}
	}
	return row, nil
}

// take counts what is new in a tally.
func (p *peer) take(s *Signals, row *shared, now purchase.Instant) {
	if row.Version == 0 {
		return
	}
	p.place(now.Sub(row.At))
	base := epochOf(row.At, fineWidth)
	p.fails = p.fails[:0]
	for _, f := range row.Fails {
		p.fails = append(p.fails, Series(f))
	}
	oldest := base - int64(2*sharedBuckets)
	for key := range p.taken {
		if key.epoch < oldest || key.epoch > base {
			delete(p.taken, key)
		}
	}
	for i := range row.Cells {
		c := &row.Cells[i]
		of := cellKey{c.Of[0], c.Of[1], c.Of[2], c.Of[3], c.Of[4]}
		for _, b := range c.Buckets {
			key := sharedBucketKey{of, base - int64(b[0])} //nolint:gosec // parseShared bounds it, as the next
			if key.epoch < oldest {
				continue
			}
			sum := sharedSum{int64(b[1]), int64(b[2]), int64(b[3]), int64(b[4]), b[5], b[6]} //nolint:gosec // see above
			s.take(of, purchase.Instant((key.epoch+p.shift)*fineWidth.Microseconds()), sum.since(p.taken[key]), now)
			p.taken[key] = sum
		}
	}
}

// place says where a node's buckets lie here: by the least time between its clock at the writing and ours at the reading, in
// whole buckets, rounded down, so that what was under way for longer moves none. Ours is read a moment before.
func (p *peer) place(apart time.Duration) {
	apart += time.Second
	at := time.Duration(p.shift) * fineWidth
	if !p.placed || apart < at || apart > at+unsteady {
		p.placed, p.shift = true, epochOf(purchase.Instant(apart.Microseconds()), fineWidth)
	}
}

// since is what came since.
func (a sharedSum) since(b sharedSum) sharedSum {
	return sharedSum{a.paid - b.paid, a.inTime - b.inTime, a.late - b.late, a.failed - b.failed, a.who, a.served}
}

// Fails reports whether another node finds that a series fails, by what it alone can see or before this one does.
func (x *Exchange) Fails(of Series) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, p := range x.peers {
		if slices.Contains(p.fails, of) && x.now.Sub(p.readAt) <= lapsed {
			return true
		}
	}
	return false
}

// Run exchanges until ctx ends. What goes wrong is told to failed, and tried again.
func (x *Exchange) Run(ctx context.Context, clock purchase.Clock, failed func(error)) {
	for ctx.Err() == nil {
		next, err := x.Step(ctx, clock.Now())
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
		case <-clock.After(max(next.Sub(clock.Now()), 0)):
		}
	}
}

// own is what was counted here of the last minute that is judged, by those cells that sell most.
func (s *Signals) own(now purchase.Instant) []sharedCell {
	judged := floorTo(now.Add(-s.cfg.Expected-s.cfg.Grace), fineWidth)
	from, base := judged.Add(-sharedFor), epochOf(now, fineWidth)
	type sold struct {
		sharedCell
		paid uint64
	}
	var all []sold
	var buckets []SaleBucket
	s.mu.Lock()
	for _, c := range s.cells {
		if c.used < from { // nothing since
			continue
		}
		buckets = c.fine.read(buckets[:0], from, judged)
		if len(buckets) == 0 {
			continue
		}
		one := sold{sharedCell: sharedCell{Of: [5]string{c.key.product, c.key.provider, c.key.payer, c.key.channel, c.key.operator}}}
		for i := range buckets {
			b := &buckets[i]
			paid := uint64(b.Paid)
			one.paid += paid
			one.Buckets = append(one.Buckets, [7]uint64{uint64(base - epochOf(b.At, fineWidth)), paid, min(uint64(b.InTime), paid), //nolint:gosec // not negative
				min(uint64(b.Late), paid), min(uint64(b.Failed), paid), b.Who, b.Served})
		}
		all = append(all, one)
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b sold) int {
		return cmp.Or(cmp.Compare(b.paid, a.paid), slices.Compare(a.Of[:], b.Of[:]))
	})
	cells := make([]sharedCell, 0, min(len(all), sharedCells))
	for i := range all[:min(len(all), sharedCells)] {
		if !slices.ContainsFunc(all[i].Of[:], func(name string) bool { return len(name) > sharedName }) {
			cells = append(cells, all[i].sharedCell)
		}
	}
	return cells
}

// take counts what another node counted of a bucket that is judged there.
func (s *Signals) take(of cellKey, at purchase.Instant, d sharedSum, now purchase.Instant) {
	if d.nothing() || at > now || at < now.Add(-fineReach/2) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.others[of]
	if c == nil && len(s.others) < maxCells {
		c = &cell{key: of, tally: newTally(recentSlots)}
		for i, series := range of.series() {
			c.flows[i] = s.flow(series)
		}
		s.others[of] = c
	}
	if c == nil {
		s.uncounted++
		return
	}
	c.tally.take(at, &d, now)
	for _, f := range c.flows {
		f.take(at, &d, now)
	}
}

func (a *sharedSum) nothing() bool {
	return a.paid == 0 && a.inTime == 0 && a.late == 0 && a.failed == 0
}

// take counts what another node counted of a flow's bucket, also in what is summed up already.
func (f *flow) take(at purchase.Instant, d *sharedSum, now purchase.Instant) {
	if f == nil {
		return
	}
	bucket := func() Count { return f.fine.sum(at, at.Add(fineWidth)) }
	before := bucket()
	f.tally.take(at, d, now)
	if at < f.sums.till {
		after := bucket()
		f.sums.fine = f.sums.fine.plus(Count{after.Paid - before.Paid, after.Missed - before.Missed})
	}
	if d.paid > 0 {
		f.total += d.paid
		f.lastPaid = max(f.lastPaid, at)
	}
}

// take adds to the buckets of an instant.
func (t *tally) take(at purchase.Instant, d *sharedSum, now purchase.Instant) {
	t.used = max(t.used, now)
	for _, r := range []*tallies{&t.fine, &t.coarse} {
		s := r.find(at)
		if s == nil && d.paid > 0 {
			s = r.begin(at)
		}
		if s == nil {
			continue
		}
		for _, part := range []struct {
			of *uint32
			by int64
		}{{&s.paid, d.paid}, {&s.inTime, d.inTime}, {&s.late, d.late}, {&s.failed, d.failed}} {
			*part.of = uint32(max(0, min(int64(*part.of)+part.by, math.MaxUint32)))
		}
		s.who |= d.who
		s.served |= d.served
	}
}
