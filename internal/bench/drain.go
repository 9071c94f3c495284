package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"tenu/internal/chart"
	"tenu/internal/purchase"
)

// Drain measures the hours after an outage in minutes: very many purchases are
// stuck because the provider said nothing that tells whether it credited them; then
// it is back, and allows so many calls a second. New sales come all the time.
func (b *Bed) Drain(ctx context.Context) (s Sample, err error) {
	d, err := b.fresh(ctx)
	if err != nil {
		return s, err
	}
	defer d.remove(ctx, &err)
	provider := NewPartner("ocs", Prompt)
	n, err := d.start(ctx, setup{partners: []purchase.Partner{NewPartner("wallet", Prompt), provider}, callers: 64,
		maxOpen: b.Size.Stuck + 200_000})
	if err != nil {
		return s, err
	}
	defer n.quit(&err)
	before := n.Stats()
	calm := arrivals{perSecond: float64(b.Size.Sales), last: 2 * b.Size.Point, warmup: b.Size.Point / 5}
	rest, err := n.arrive(ctx, b.ordinary(), &calm)
	if err != nil {
		return s, err
	}
	provider.Conduct(Failing)
	began := n.clock.Now()
	last, err := n.strand(ctx, b.Size.Stuck)
	if err != nil {
		return s, err
	}
	outage := n.clock.Now().Sub(began)
	if err := b.calm(ctx); err != nil {
		return s, err
	}
	done := provider.Done()
	provider.Mark(last)
	provider.Allow(b.Size.Allowed, n.clock)
	provider.Conduct(Prompt)
	after, err := n.drained(ctx, provider)
	if err != nil {
		return s, err
	}
	took, fresh := after.took.Seconds(), after.arrived
	s.Add("stuck", "purchases", float64(b.Size.Stuck), "")
	s.Add("outage", "s", outage.Seconds(), "")
	s.Add("allowed", "calls/s", float64(b.Size.Allowed), "")
	s.Add("settled", "purchases/s", float64(b.Size.Stuck+fresh)/took, "allowed")
	s.Add("asked", "calls/s", float64(provider.Done()-done)/took, "allowed")
	s.Add("all settled", "s", took, "at the rate allowed")
	s.Add("at the rate allowed", "s", float64(b.Size.Stuck)/float64(b.Size.Allowed-b.Size.Sales), "")
	s.Add("new sales, p50", "ms", after.sales.at(0.5), "new sales at rest, p50")
	s.Add("new sales, p99", "ms", after.sales.at(0.99), "new sales at rest, p99")
	s.Add("new sales at rest, p50", "ms", rest.at(0.5), "")
	s.Add("new sales at rest, p99", "ms", rest.at(0.99), "")
	s.Curve(Curve{Chart: "Purchases stuck by an outage", Name: storeName(b.Store), Points: after.points,
		X: fmt.Sprintf("s since the provider is back and allows %s calls a second", chart.Legible(float64(b.Size.Allowed))),
		Y: fmt.Sprintf("purchases still stuck, while %s new ones a second are sold", chart.Legible(float64(b.Size.Sales)))})
	return s, n.check(ctx, before, calm.count+b.Size.Stuck+fresh)
}

// strand makes purchases that are charged and not credited, and returns the last.
func (n *node) strand(ctx context.Context, count int) (purchase.ID, error) {
	m, load := n.db.bed.ordinary(), n.load()
	var mu sync.Mutex
	var last purchase.ID
	err := each(count, n.db.bed.Size.InFlight, func(i int) error {
		id, err := n.buy(ctx, m.request(load, i))
		mu.Lock()
		defer mu.Unlock()
		last = max(last, id)
		return err
	})
	if err != nil {
		return 0, err
	}
	return last, n.await(ctx, "all to be charged", func() bool { return n.stuck() >= int64(count) })
}

// stuck counts the purchases that were charged and not credited.
func (n *node) stuck() int64 {
	s := n.Stats()
	return s.ByState[purchase.Crediting] - s.ByState[purchase.Credited]
}

// drained is what was seen while stuck purchases were settled.
type drained struct {
	sales   sold
	arrived int           // new sales
	took    time.Duration // until the provider had credited the last one that was stuck
	points  [][2]float64  // seconds, still stuck
}

// drained sells new purchases until the stuck ones are settled.
func (n *node) drained(ctx context.Context, provider *Partner) (r drained, err error) {
	watched, end := context.WithCancel(ctx)
	over := make(chan struct{})
	began := n.clock.Now()
	go func() {
		defer close(over)
		r.took, r.points = n.watch(watched, provider)
	}()
	a := arrivals{perSecond: float64(n.db.bed.Size.Sales), until: over}
	r.sales, err = n.arrive(ctx, n.db.bed.ordinary(), &a)
	end()
	<-over
	if r.arrived = a.count; err != nil {
		return r, err
	}
	if r.took == 0 {
		return r, fmt.Errorf("not settled in %s: %d", n.clock.Now().Sub(began), n.stuck())
	}
	return r, n.await(ctx, "the last to be credited", func() bool { return n.stuck() == 0 })
}

// watch looks at what is still stuck until nothing is, and returns when that was,
// or 0 when ctx ended first.
func (n *node) watch(ctx context.Context, provider *Partner) (took time.Duration, points [][2]float64) {
	size := n.db.bed.Size
	began, next := n.clock.Now(), purchase.Instant(0)
	for {
		now, left := n.clock.Now(), int64(size.Stuck)-provider.Old()
		if now >= next || left <= 0 {
			points = append(points, [2]float64{now.Sub(began).Seconds(), float64(left)})
			next = now.Add(size.Point / 5)
		}
		if left <= 0 {
			return now.Sub(began), points
		}
		select {
		case <-n.clock.After(5 * time.Millisecond):
		case <-ctx.Done():
			return 0, points
		}
	}
}
