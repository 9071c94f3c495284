package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// mix is how the purchases of a load differ from one another.
type mix struct {
	payers, providers, channels []string
	customers                   int
}

func (b *Bed) ordinary() mix {
	return mix{[]string{"wallet"}, []string{"ocs"}, []string{"api"}, b.Size.Customers}
}

// The purchases of every benchmark cost the same.
const (
	total, fee, units = 1050, 50, 1000
	firstNumber       = 22670000000
	client            = "bench"
)

// numberOf is the customer of the i-th purchase. Neighbours are not each other's.
func numberOf(i, customers int) purchase.MSISDN {
	return purchase.MSISDN(firstNumber + i*2654435761%customers)
}

// keyOf is a client key of the i-th purchase of a load: as random to an index
// as clients' keys are.
func keyOf(load int64, i int) string {
	key := make([]byte, 0, 40)
	mixed := strconv.FormatUint(uint64(i+1)*0x9e3779b97f4a7c15^uint64(load)*0xbf58476d1ce4e5b9, 16) //nolint:gosec // neither is negative
	key = append(append(key, "0000000000000000"[:16-len(mixed)]...), mixed...)
	return string(strconv.AppendInt(strconv.AppendInt(append(key, '-'), load, 36), int64(i), 36))
}

func (m *mix) request(load int64, i int) purchase.Request {
	number := numberOf(i, m.customers)
	of := func(names []string) string { return names[i%len(names)] }
	return purchase.Request{Client: client, ClientKey: keyOf(load, i), Channel: of(m.channels), Language: "fr",
		PayerNumber: number, Recipient: number, Payer: of(m.payers), Provider: of(m.providers),
		Product: "airtime", Offer: 1, Total: total, Fee: fee, Units: units, Currency: money.XOF}
}

// sold is what a load of sales took.
type sold struct {
	times []time.Duration // to settled, ascending
	took  time.Duration
}

// at is the time in milliseconds that a share of the sales were settled in.
func (s *sold) at(share float64) float64 { return milliseconds(quantile(s.times, share)) }

// add counts other sales in.
func (s *sold) add(other sold) {
	s.times = append(s.times, other.times...)
	slices.Sort(s.times)
	s.took += other.took
}

func (s *sold) perSecond() float64 { return float64(len(s.times)) / s.took.Seconds() }

func quantile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(share*float64(len(sorted)-1))]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// load is a number that no other load on the same database has.
func (n *node) load() int64 {
	n.loads++
	return n.Stats().Epoch*1000 + int64(n.loads)
}

// sell keeps inFlight purchases open until count are settled.
func (n *node) sell(ctx context.Context, m mix, count, inFlight int) (sold, error) {
	load := n.load()
	return n.db.bed.sell(count, inFlight, func(i int) error { return n.settle(ctx, m.request(load, i)) })
}

// sell calls one, which settles the i-th sale, so many times, with so many under
// way at once.
func (b *Bed) sell(count, inFlight int, one func(i int) error) (sold, error) {
	s := sold{times: make([]time.Duration, count)}
	began := b.Clock.Now()
	err := each(count, inFlight, func(i int) error {
		from := b.Clock.Now()
		err := one(i)
		s.times[i] = b.Clock.Now().Sub(from)
		return err
	})
	s.took = b.Clock.Now().Sub(began)
	slices.Sort(s.times)
	return s, err
}

// each calls do for 0 to count-1, so many at a time, until one fails.
func each(count, atOnce int, do func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var workers sync.WaitGroup
	for range min(atOnce, count) {
		workers.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= count {
					return
				}
				if err := do(i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	workers.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// arrivals are sales that come at a constant rate, whether or not the earlier
// ones are settled. The time of each counts from when it was meant to come, so
// that a stall is seen by all who would have come in it.
type arrivals struct {
	perSecond float64
	last      time.Duration   // for so long, or
	until     <-chan struct{} // until this is closed
	warmup    time.Duration   // sales of the beginning that do not count
	count     int             // set by arrive: sales in all
}

// arrive sells by a.
func (n *node) arrive(ctx context.Context, m mix, a *arrivals) (sold, error) {
	load := n.load()
	return n.db.bed.arrive(a, func(i int) error { return n.settle(ctx, m.request(load, i)) })
}

// arrive calls one, which settles the i-th sale, for each sale of a.
func (b *Bed) arrive(a *arrivals, one func(i int) error) (sold, error) {
	var mu sync.Mutex
	var s sold
	var failed error
	var sales sync.WaitGroup
	began := b.Clock.Now()
	arrived := func(i int, meant purchase.Instant) {
		err := one(i)
		took := b.Clock.Now().Sub(meant)
		mu.Lock()
		defer mu.Unlock()
		failed = cmp.Or(failed, err)
		if meant.Sub(began) >= a.warmup {
			s.times = append(s.times, took)
		}
	}
	for {
		passed := b.Clock.Now().Sub(began)
		for due := passed.Seconds() * a.perSecond; float64(a.count) < due; a.count++ {
			i, meant := a.count, began.Add(time.Duration(float64(a.count)/a.perSecond*1e9))
			sales.Go(func() { arrived(i, meant) })
		}
		mu.Lock()
		over := failed != nil
		mu.Unlock()
		select {
		case <-a.until:
			over = true
		case <-b.Clock.After(time.Millisecond):
			over = over || a.last > 0 && passed >= a.last
		}
		if over {
			break
		}
	}
	sales.Wait()
	s.took = b.Clock.Now().Sub(began) - a.warmup
	slices.Sort(s.times)
	return s, failed
}

// errNotCredited means that the engine did not do what its partners allowed.
var errNotCredited = errors.New("a purchase was not credited")

// settle makes one purchase and waits until it is credited.
func (n *node) settle(ctx context.Context, r purchase.Request) error {
	id, err := n.buy(ctx, r)
	if err != nil {
		return err
	}
	p := purchase.Purchase{ID: id}
	if n.Settle(ctx, []*purchase.Purchase{&p}); p.State.Final() && p.State != purchase.Credited {
		return errNotCredited
	}
	return ctx.Err()
}

// final follows a purchase until it is closed, and returns what was seen of it
// last: the zero value when it was closed before. Closed in another way than
// credited is an error.
func final(ctx context.Context, updates <-chan purchase.Purchase) (last purchase.Purchase, err error) {
	for {
		select {
		case p, open := <-updates:
			if !open {
				return last, ctx.Err() // an engine that is told to end ends this too
			}
			if last = p; p.State.Final() && p.State != purchase.Credited {
				return last, errNotCredited
			}
		case <-ctx.Done():
			return last, ctx.Err()
		}
	}
}

// buy makes one purchase durable. A node that sheds load is asked again, as its
// clients do.
func (n *node) buy(ctx context.Context, r purchase.Request) (purchase.ID, error) {
	for {
		p, replay, err := n.Buy(ctx, r)
		switch {
		case err == nil && replay:
			return 0, fmt.Errorf("purchase %d was made before", p.ID)
		case err == nil:
			return p.ID, nil
		case !errors.Is(err, purchase.ErrBusy):
			return 0, fmt.Errorf("buy: %w", err)
		}
		select {
		case <-n.clock.After(5 * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}
