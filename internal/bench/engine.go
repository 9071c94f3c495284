package bench

import (
	"context"
	"fmt"
	"math"
	"time"

	"tenu/internal/purchase"
)

// Names of figures that are yardsticks of others.
const (
	floorFigure = "floor"
	floorTime   = "floor, p99 of a batch's three commits"
	tpcbFigure  = "TPC-B"
)

// Engine measures the engine with partners that answer at once, against the bare
// loop that writes the same rows, and how fast single purchases are settled at
// rates below its peak.
func (b *Bed) Engine(ctx context.Context) (s Sample, err error) {
	before, after, peak, err := b.engine(ctx, &s)
	if err != nil {
		return s, err
	}
	batch := int(math.Round(batchMean(before.stats, after.stats)))
	bare, err := b.floor(ctx, b.Size.Purchases, batch, b.Committers)
	if err != nil {
		return s, err
	}
	s.Add(floorFigure, "purchases/s", bare.perSecond(), "")
	s.Add(floorTime, "ms", bare.at(0.99), "")
	s.addCosts(b.Store, before, after, b.Size.Purchases, bare)
	if err := b.addTPCB(ctx, &s, "engine against TPC-B", peak); err != nil {
		return s, err
	}
	return s, nil
}

// addTPCB measures TPC-B and adds it as the yardstick of a rate.
func (b *Bed) addTPCB(ctx context.Context, s *Sample, name string, rate float64) error {
	if b.TPCB == nil {
		return nil
	}
	tps, err := b.TPCB(ctx)
	if err != nil {
		return fmt.Errorf("measure TPC-B: %w", err)
	}
	s.Add(tpcbFigure, "transactions/s", tps, "")
	s.Add(name, "purchases/s", rate, tpcbFigure)
	return nil
}

// engine sells at the peak and below it, and returns the peak with the readings
// before and after it.
func (b *Bed) engine(ctx context.Context, s *Sample) (from, till reading, peak float64, err error) {
	d, err := b.fresh(ctx)
	if err != nil {
		return from, till, 0, err
	}
	defer d.remove(ctx, &err)
	n, err := d.start(ctx, setup{partners: pair()})
	if err != nil {
		return from, till, 0, err
	}
	defer n.quit(&err)
	before := n.Stats()
	warmup := b.Size.Purchases/20 + 1
	if _, err := n.sell(ctx, b.ordinary(), warmup, b.Size.InFlight); err != nil {
		return from, till, 0, err
	}
	if err := b.calm(ctx); err != nil {
		return from, till, 0, err
	}
	if from, err = n.read(ctx); err != nil {
		return from, till, 0, err
	}
	at, err := n.sell(ctx, b.ordinary(), b.Size.Purchases, b.Size.InFlight)
	if err != nil {
		return from, till, 0, err
	}
	if till, err = n.read(ctx); err != nil {
		return from, till, 0, err
	}
	peak = at.perSecond()
	s.Add("engine", "purchases/s", peak, floorFigure)
	s.Add("settled, p50", "ms", at.at(0.5), "")
	s.Add("settled, p99", "ms", at.at(0.99), floorTime)
	arrived, err := b.below(ctx, s, peak, "Time to settled against throughput",
		func(a *arrivals) (sold, error) { return n.arrive(ctx, b.ordinary(), a) })
	if err != nil {
		return from, till, 0, err
	}
	return from, till, peak, n.check(ctx, before, warmup+b.Size.Purchases+arrived)
}

// below sells by arrive at shares of the peak as sales arrive, draws the chart, and
// returns how many arrived.
func (b *Bed) below(ctx context.Context, s *Sample, peak float64, chart string,
	arrive func(*arrivals) (sold, error)) (arrived int, err error) {
	var half, most [][2]float64
	for _, percent := range []int{20, 40, 60, 80, 90} {
		if err := b.calm(ctx); err != nil {
			return 0, err
		}
		a := arrivals{perSecond: peak * float64(percent) / 100, last: b.Size.Point, warmup: b.Size.Point / 5}
		at, err := arrive(&a)
		if err != nil {
			return 0, err
		}
		arrived += a.count
		half = append(half, [2]float64{a.perSecond, at.at(0.5)})
		most = append(most, [2]float64{a.perSecond, at.at(0.99)})
		if percent == 80 {
			s.Add("at 80 %, p50", "ms", at.at(0.5), "settled, p50")
			s.Add("at 80 %, p99", "ms", at.at(0.99), "settled, p99")
		}
	}
	for _, c := range []Curve{{Name: "p50", Points: half}, {Name: "p99", Points: most}} {
		c.Chart, c.Name = chart, storeName(b.Store)+", "+c.Name
		c.X, c.Y, c.Log = "purchases/s arriving at a constant rate", "ms from the intended arrival to settled", true
		s.Curve(c)
	}
	return arrived, nil
}

// storeName is how people write a store's name.
func storeName(store string) string {
	switch store {
	case "sqlite":
		return "SQLite"
	case "postgres":
		return "PostgreSQL"
	}
	return store
}

// Lone measures how long a purchase takes when nothing else goes on. The partners
// answer at once, so that it is the time over the partners'. Its yardstick is the
// bare loop's time for the three commits of one purchase.
func (b *Bed) Lone(ctx context.Context) (s Sample, err error) {
	at, err := b.lone(ctx)
	if err != nil {
		return s, err
	}
	alone, err := b.floor(ctx, b.Size.Lone, 1, 1)
	if err != nil {
		return s, err
	}
	for _, share := range []int{50, 99} {
		bare := fmt.Sprintf("three bare commits, p%d", share)
		s.Add(fmt.Sprintf("settled, p%d", share), "ms", at.at(float64(share)/100), bare)
		s.Add(bare, "ms", alone.at(float64(share)/100), "")
	}
	return s, nil
}

func (b *Bed) lone(ctx context.Context) (at sold, err error) {
	d, err := b.fresh(ctx)
	if err != nil {
		return at, err
	}
	defer d.remove(ctx, &err)
	n, err := d.start(ctx, setup{partners: pair()})
	if err != nil {
		return at, err
	}
	defer n.quit(&err)
	before := n.Stats()
	warmup := b.Size.Lone/10 + 1
	if _, err := n.sell(ctx, b.ordinary(), warmup, 1); err != nil {
		return at, err
	}
	if at, err = n.sell(ctx, b.ordinary(), b.Size.Lone, 1); err != nil {
		return at, err
	}
	return at, n.check(ctx, before, warmup+b.Size.Lone)
}

// Hot measures what it costs when all purchases book to the accounts of one payer,
// one provider and one channel rather than of sixteen. The account of what is held
// is one in both.
func (b *Bed) Hot(ctx context.Context) (s Sample, err error) {
	d, err := b.fresh(ctx)
	if err != nil {
		return s, err
	}
	defer d.remove(ctx, &err)
	spread := mix{customers: b.Size.Customers}
	var partners []purchase.Partner
	for i := range 16 {
		payer, provider, channel := fmt.Sprintf("wallet-%d", i), fmt.Sprintf("ocs-%d", i), fmt.Sprintf("api-%d", i)
		spread.payers, spread.providers, spread.channels = append(spread.payers, payer), append(spread.providers, provider), append(spread.channels, channel)
		partners = append(partners, NewPartner(payer, Prompt), NewPartner(provider, Prompt))
	}
	hot := mix{spread.payers[:1], spread.providers[:1], spread.channels[:1], b.Size.Customers}
	n, err := d.start(ctx, setup{partners: partners})
	if err != nil {
		return s, err
	}
	defer n.quit(&err)
	before := n.Stats()
	count := b.Size.Purchases/8 + 1
	var took [2]time.Duration
	turns := []int{0, 0, 1, 1, 0, 0, 1, 1, 0} // the first warms up; each has a like share of a growing store
	for turn, which := range turns {
		at, err := n.sell(ctx, []mix{hot, spread}[which], count, b.Size.InFlight)
		if err != nil {
			return s, err
		}
		if turn > 0 {
			took[which] += at.took
		}
	}
	s.Add("one hot account", "purchases/s", 4*float64(count)/took[0].Seconds(), "sixteen accounts")
	s.Add("sixteen accounts", "purchases/s", 4*float64(count)/took[1].Seconds(), "")
	return s, n.check(ctx, before, count*len(turns))
}
