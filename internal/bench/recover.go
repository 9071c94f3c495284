package bench

import (
	"context"
	"fmt"
	"time"

	"tenu/internal/purchase"
)

// Recover measures what a node needs that finds the open purchases of one that
// was stopped hard: of its own former self, and of another node.
func (b *Bed) Recover(ctx context.Context) (s Sample, err error) {
	d, err := b.fresh(ctx)
	if err != nil {
		return s, err
	}
	defer d.remove(ctx, &err)
	epoch, err := b.abandon(ctx, d)
	if err != nil {
		return s, err
	}
	bare, err := d.readOpen(ctx, epoch)
	if err != nil {
		return s, err
	}
	if err := d.reopen(ctx); err != nil {
		return s, err
	}
	const read = "read with the store alone"
	empty := heap()
	n, err := d.run(ctx, b.fragile("bench"))
	if err != nil {
		return s, err
	}
	defer n.quit(&err)
	selling, known, err := n.comeBack(ctx)
	if err != nil {
		return s, err
	}
	s.Add("left open", "purchases", float64(b.Size.Left), "")
	s.Add("selling again", "s", selling.Seconds(), read)
	s.Add("all in memory", "s", known.Seconds(), read)
	s.Add(read, "s", bare.Seconds(), "")
	s.Add("memory of one", "B", max(float64(heap())-float64(empty), 0)/float64(b.Size.Left), "")
	silence, taken, err := n.inherit(ctx)
	if err != nil {
		return s, err
	}
	const waited = "of that, silence of a lease of 1 s"
	s.Add("taken over by another node", "s", taken.Seconds(), waited)
	s.Add(waited, "s", silence.Seconds(), "")
	return s, nil
}

// shortLease is the time to live of the leases of this scenario's nodes.
const shortLease = time.Second

// fragile is a node that stops without tidying up, and whose slow payer never answers.
func (b *Bed) fragile(name string) setup {
	return setup{name: name, partners: append(pair(), NewPartner("slow-wallet", Later)), lease: shortLease, drain: hurry,
		maxOpen: b.Size.Left + 100_000, rules: patiently}
}

// abandon leaves open purchases of a node that was stopped hard, under its lease.
func (b *Bed) abandon(ctx context.Context, d *database) (epoch int64, err error) {
	n, err := d.start(ctx, b.fragile("bench"))
	if err != nil {
		return 0, err
	}
	defer n.quit(&err)
	epoch = n.Stats().Epoch
	return epoch, n.leave(ctx, b.slow(), b.Size.Left, b.Size.InFlight, nil)
}

// readOpen reads all open purchases of a lease and does nothing with them.
func (d *database) readOpen(ctx context.Context, epoch int64) (time.Duration, error) {
	const page = 2000
	began, found := d.bed.Clock.Now(), 0
	var after purchase.ID
	for {
		records, err := d.LoadOpen(ctx, epoch, after, page)
		if err != nil {
			return 0, err
		}
		if found += len(records); len(records) < page {
			break
		}
		after = records[len(records)-1].Purchase.ID
	}
	if found != d.bed.Size.Left {
		return 0, fmt.Errorf("%d purchases were left open, not %d", found, d.bed.Size.Left)
	}
	return d.bed.Clock.Now().Sub(began), nil
}

// comeBack waits until a node that was just told to run has sold a purchase, and
// until it has all open ones in memory.
func (n *node) comeBack(ctx context.Context) (selling, known time.Duration, err error) {
	b := n.db.bed
	if err := n.await(ctx, "the node to be ready", func() bool { return n.Ready() == nil }); err != nil {
		return 0, 0, err
	}
	if _, err := n.sell(ctx, b.ordinary(), 1, 1); err != nil {
		return 0, 0, err
	}
	selling = n.clock.Now().Sub(n.began)
	if err := n.await(ctx, "all to be in memory", func() bool { return n.Stats().Open >= b.Size.Left }); err != nil {
		return 0, 0, err
	}
	return selling, n.clock.Now().Sub(n.began), nil
}

// inherit stops the node and waits until another that runs beside it has taken
// everything over. silence is how much of that another node's lease must have
// been silent for: ten steps of a quarter of its time to live.
func (n *node) inherit(ctx context.Context) (silence, taken time.Duration, err error) {
	b := n.db.bed
	heir, err := n.db.start(ctx, b.fragile("heir"))
	if err != nil {
		return 0, 0, err
	}
	defer heir.quit(&err)
	if err := n.stop(); err != nil {
		return 0, 0, err
	}
	died := heir.clock.Now()
	if err := heir.await(ctx, "the other node's purchases", func() bool { return heir.Stats().Open >= b.Size.Left }); err != nil {
		return 0, 0, err
	}
	taken = heir.clock.Now().Sub(died)
	if _, err := heir.sell(ctx, b.ordinary(), 1, 1); err != nil {
		return 0, 0, err
	}
	return shortLease * 10 / 4, taken, heir.check(ctx, purchase.Stats{}, 1)
}
