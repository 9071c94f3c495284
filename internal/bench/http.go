package bench

import (
	"context"
	"fmt"
)

// The clients of the scenarios over HTTP.
const (
	clients      = 128  // that buy one by one, each with a connection of its own
	wholeClients = 512  // that do so over the whole path
	bulkClients  = 4    // that buy in batches
	bulkSize     = 1000 // of a batch, the most that is taken
)

// API measures tenu as it is served, over loopback TCP, with partners in the
// process: purchases one by one, each waited for by its client, and in batches.
// Clients and server share the machine.
func (b *Bed) API(ctx context.Context) (s Sample, err error) {
	const bareFigure = "bare HTTP"
	d, err := b.fresh(ctx)
	if err != nil {
		return s, err
	}
	defer d.remove(ctx, &err)
	partners := []*Partner{NewPartner("wallet", Prompt), NewPartner("ocs", Prompt)}
	n, err := d.serve(ctx, partners...)
	if err != nil {
		return s, err
	}
	defer n.quit(&err)
	before := n.Stats()
	warmup, count := b.Size.Purchases/20+1, b.Size.Purchases/2
	if _, err := n.sellEach(ctx, warmup, clients); err != nil {
		return s, err
	}
	at, err := n.measured(ctx, count, func() (sold, error) { return n.sellEach(ctx, count, clients) })
	if err != nil {
		return s, err
	}
	batches := (b.Size.Purchases + bulkSize - 1) / bulkSize
	bulk, err := n.measured(ctx, batches*bulkSize, func() (sold, error) {
		load := n.load()
		return b.sell(batches, bulkClients, func(i int) error { return n.buyMany(ctx, load, i, bulkSize) })
	})
	if err != nil {
		return s, err
	}
	bare, err := n.bareHTTP(ctx, count, clients)
	if err != nil {
		return s, err
	}
	s.Add("one by one", "purchases/s", at.rate, bareFigure)
	s.Add(bareFigure, "requests/s", bare.perSecond(), "")
	at.add(&s, "one by one")
	s.Add("in bulk", "purchases/s", bulk.rate, "one by one")
	bulk.add(&s, "in bulk")
	if err := n.check(ctx, before, warmup+count+batches*bulkSize+1); err != nil {
		return s, err
	}
	for _, p := range partners {
		if done := n.Stats().Created; p.Done() != done {
			return s, fmt.Errorf("%s was asked %d times for %d purchases", p.Name(), p.Done(), done)
		}
	}
	return s, b.addTPCB(ctx, &s, "one by one against TPC-B", at.rate)
}

// measuredSales are sales with what each cost.
type measuredSales struct {
	sold
	rate float64 // a second, until the last notice was handed over
	costs
}

// measured does sales of so many purchases after a rest.
func (s *server) measured(ctx context.Context, count int, sell func() (sold, error)) (m measuredSales, err error) {
	if err := s.told(ctx); err != nil {
		return m, err
	}
	if err := s.db.bed.calm(ctx); err != nil {
		return m, err
	}
	from, err := s.read(ctx)
	if err != nil {
		return m, err
	}
	if m.sold, err = sell(); err != nil {
		return m, err
	}
	if err := s.told(ctx); err != nil {
		return m, err
	}
	till, err := s.read(ctx)
	if err != nil {
		return m, err
	}
	m.rate, m.costs = float64(count)/till.at.Sub(from.at).Seconds(), till.since(from, count)
	return m, nil
}

// add adds the times that the clients waited and what a purchase cost, that of the
// clients and of whatever else is in this process included.
func (m *measuredSales) add(s *Sample, name string) {
	s.Add(name+", p50", "ms", m.at(0.5), "")
	s.Add(name+", p99", "ms", m.at(0.99), "")
	s.Add(name+", CPU of all but the database", "µs/purchase", m.cpu, "")
	if m.server > 0 {
		s.Add(name+", CPU of the database", "µs/purchase", m.server, "")
	}
	s.Add(name+", allocations", "/purchase", m.allocs, "")
}

// wholeRate is the rate of arrivals that the whole path's times are told at.
const wholeRate = 1500

// HTTP measures the whole path with everything on one machine: clients, the API,
// the engine, a wallet and a charging system over HTTP with durable books of their
// own, and the messages handed over to a centre.
func (b *Bed) HTTP(ctx context.Context) (s Sample, err error) {
	d, err := b.fresh(ctx)
	if err != nil {
		return s, err
	}
	defer d.remove(ctx, &err)
	n, err := d.serve(ctx)
	if err != nil {
		return s, err
	}
	defer n.quit(&err)
	before := n.Stats()
	warmup, count := b.Size.Purchases/40+1, b.Size.Purchases/5
	if _, err := n.sellEach(ctx, warmup, wholeClients); err != nil {
		return s, err
	}
	at, err := n.measured(ctx, count, func() (sold, error) { return n.sellEach(ctx, count, wholeClients) })
	if err != nil {
		return s, err
	}
	s.Add("whole path", "purchases/s", at.rate, "")
	at.add(&s, "whole path")
	arrive := func(a *arrivals) (sold, error) {
		load := n.load()
		return b.arrive(a, func(i int) error { return n.buy(ctx, load, i) })
	}
	a := arrivals{perSecond: wholeRate, last: 2 * b.Size.Point, warmup: b.Size.Point / 5}
	steady, err := arrive(&a)
	if err != nil {
		return s, err
	}
	s.Add(fmt.Sprintf("at %d/s, p50", wholeRate), "ms", steady.at(0.5), "")
	s.Add(fmt.Sprintf("at %d/s, p99", wholeRate), "ms", steady.at(0.99), "")
	arrived, err := b.below(ctx, &s, at.rate, "Whole path over HTTP: time to settled against throughput", arrive)
	if err != nil {
		return s, err
	}
	if err := n.told(ctx); err != nil {
		return s, err
	}
	if err := n.check(ctx, before, warmup+count+a.count+arrived); err != nil {
		return s, err
	}
	if err := n.seen(ctx); err != nil {
		return s, err
	}
	return s, b.addTPCB(ctx, &s, "whole path against TPC-B", at.rate)
}

// seen returns an error unless the partners' own books show each purchase once,
// and its message.
func (s *server) seen(ctx context.Context) error {
	seen, err := s.served.Seen(ctx)
	if err != nil {
		return err
	}
	n := s.Stats().Created
	if want := (Seen{Charges: n, Credits: n, Messages: n}); seen != want {
		return fmt.Errorf("the partners' books show %+v, not %+v", seen, want)
	}
	return nil
}
