package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"tenu/internal/purchase"
)

// Growth measures the engine on a store that holds very many purchases against an
// empty one. The first run fills the store by steps and measures at each.
func (f *Filled) Growth(ctx context.Context) (s Sample, err error) {
	if err := f.fill(ctx); err != nil {
		return s, err
	}
	empty, full, err := f.inTurns(ctx)
	if err != nil {
		return s, err
	}
	s.Add("stored", "purchases", float64(f.stored), "")
	s.Add("full", "purchases/s", full.perSecond(), "empty")
	s.Add("empty", "purchases/s", empty.perSecond(), "")
	s.Add("full, p99", "ms", full.at(0.99), "empty, p99")
	s.Add("empty, p99", "ms", empty.at(0.99), "")
	at := [][2]float64{{0, 1e6 / empty.perSecond()}}
	s.Curve(Curve{Chart: "Cost of a purchase against the size of the store", Name: storeName(f.bed.Store),
		X: "purchases stored", Y: "µs between two purchases, at full speed", Points: append(at, f.curve...)})
	return s, nil
}

// fill makes the store if it was not made, and measures while it grows.
func (f *Filled) fill(ctx context.Context) error {
	if f.db != nil {
		return nil
	}
	if err := f.open(ctx); err != nil {
		return err
	}
	most := f.bed.Size.Stored
	for _, stored := range []int{most / 10, most / 3, most} {
		if err := f.grow(ctx, stored); err != nil {
			return err
		}
		at, err := f.sell(ctx, f.db)
		if err != nil {
			return err
		}
		f.curve = append(f.curve, [2]float64{float64(stored), 1e6 / at.perSecond()})
	}
	return nil
}

// inTurns sells on an empty store and on the full one, each twice: what else the
// machine and the server have to do is spread over both.
func (f *Filled) inTurns(ctx context.Context) (empty, full sold, err error) {
	for range 2 {
		at, err := f.onEmpty(ctx)
		if err != nil {
			return empty, full, err
		}
		empty.add(at)
		if at, err = f.sell(ctx, f.db); err != nil {
			return empty, full, err
		}
		full.add(at)
	}
	return empty, full, nil
}

func (f *Filled) onEmpty(ctx context.Context) (s sold, err error) {
	d, err := f.bed.fresh(ctx)
	if err != nil {
		return s, err
	}
	defer d.remove(ctx, &err)
	if s, err = f.sell(ctx, d); err != nil {
		return s, err
	}
	return s, d.verify(ctx)
}

// sell sells on a store at full speed.
func (f *Filled) sell(ctx context.Context, d *database) (s sold, err error) {
	b := f.bed
	n, err := d.start(ctx, setup{partners: pair()})
	if err != nil {
		return s, err
	}
	defer n.quit(&err)
	before, warmup, count := n.Stats(), b.Size.Purchases/10+1, b.Size.Purchases/2+1
	if _, err := n.sell(ctx, f.mix(), warmup, b.Size.InFlight); err != nil {
		return s, err
	}
	if err := b.calm(ctx); err != nil {
		return s, err
	}
	if s, err = n.sell(ctx, f.mix(), count, b.Size.InFlight); err != nil {
		return s, err
	}
	return s, n.counted(ctx, before, warmup+count)
}

// lookers is how many agents look something up at the same time.
const lookers = 4

// Care measures how long an agent waits who looks a purchase up, in a store that
// holds very many, at rest and while sales go on.
func (f *Filled) Care(ctx context.Context) (s Sample, err error) {
	if err := f.fill(ctx); err != nil {
		return s, err
	}
	b := f.bed
	nothing, err := f.look(ctx, func(int) error {
		records, err := f.db.Load(ctx, purchase.MakeID(1, 1)) // of a shard that nobody is
		if err == nil && len(records) != 0 {
			err = fmt.Errorf("%d purchases are there that nobody made", len(records))
		}
		return err
	})
	if err != nil {
		return s, err
	}
	const trip = "question about nothing, "
	figures := func(name string, times []time.Duration) {
		for _, share := range []int{50, 95, 99} {
			p := fmt.Sprintf("p%d", share)
			s.Add(name+", "+p, "ms", milliseconds(quantile(times, float64(share)/100)), trip+p)
		}
	}
	ask := func(when string) error {
		number, err := f.look(ctx, f.byNumber(ctx))
		if err != nil {
			return fmt.Errorf("find by number: %w", err)
		}
		reference, err := f.look(ctx, f.byReference(ctx))
		if err != nil {
			return fmt.Errorf("find by reference: %w", err)
		}
		figures("by number"+when, number)
		figures("by reference"+when, reference)
		return nil
	}
	s.Add("stored", "purchases", float64(f.stored), "")
	if err := ask(""); err != nil {
		return s, err
	}
	if err := f.whileSelling(ctx, func() error { return ask(", while selling") }); err != nil {
		return s, err
	}
	for _, share := range []int{50, 95, 99} {
		s.Add(fmt.Sprintf("%sp%d", trip, share), "ms", milliseconds(quantile(nothing, float64(share)/100)), "")
	}
	s.Add("sales arriving meanwhile", "purchases/s", float64(b.Size.Sales), "")
	return s, nil
}

// look asks as often as the size says and returns how long each took, ascending.
func (f *Filled) look(ctx context.Context, ask func(i int) error) ([]time.Duration, error) {
	times := make([]time.Duration, f.bed.Size.Lookups)
	err := each(len(times), lookers, func(i int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		from := f.bed.Clock.Now()
		err := ask(i)
		times[i] = f.bed.Clock.Now().Sub(from)
		return err
	})
	slices.Sort(times)
	return times, err
}

// chance draws which purchases are looked up: others in every look.
func chance(looks uint64) func(n int) int {
	var mu sync.Mutex
	drawn := rand.New(rand.NewPCG(looks, 1)) //nolint:gosec // not a secret
	return func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return drawn.IntN(n)
	}
}

// byNumber lists the newest purchases of a number that has some.
func (f *Filled) byNumber(ctx context.Context) func(int) error {
	f.looks++
	draw := chance(f.looks)
	return func(int) error {
		number := numberOf(draw(f.stored), f.customers())
		found, err := f.db.List(ctx, purchase.Page{Number: number, Limit: 20})
		if err != nil {
			return err
		}
		if len(found) == 0 || found[0].Recipient != number && found[0].PayerNumber != number {
			return fmt.Errorf("no purchase of %s", number.Masked())
		}
		return nil
	}
}

// byReference loads a purchase by what its customer reads out.
func (f *Filled) byReference(ctx context.Context) func(int) error {
	f.looks++
	draw := chance(f.looks)
	return func(int) error {
		text := f.db.keys.Reference(purchase.MakeID(0, int64(f.first+draw(f.stored)))).String()
		id, err := f.db.keys.Parse(text)
		if err != nil {
			return err
		}
		records, err := f.db.Load(ctx, id)
		if err != nil {
			return err
		}
		if len(records) != 1 || len(records[0].Postings) != 3 || len(records[0].Notices) == 0 {
			return fmt.Errorf("purchase %s is not whole: %d records", text, len(records))
		}
		return nil
	}
}

// whileSelling calls ask while new sales arrive.
func (f *Filled) whileSelling(ctx context.Context, ask func() error) (err error) {
	n, err := f.db.start(ctx, setup{partners: pair()})
	if err != nil {
		return err
	}
	defer n.quit(&err)
	before := n.Stats()
	over, asked := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(over)
		asked <- ask()
	}()
	a := arrivals{perSecond: float64(f.bed.Size.Sales), until: over}
	_, err = n.arrive(ctx, f.mix(), &a)
	if err := errors.Join(err, <-asked); err != nil {
		return err
	}
	return n.counted(ctx, before, a.count)
}
