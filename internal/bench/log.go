package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tenu/internal/evidence"
	"tenu/internal/evidence/audit"
	"tenu/internal/purchase"
)

// Logged measures what the append-only log costs: the same sales with it and without, in turns
// on two databases. With it, each turn lasts until everything it sold is in a signed tree. Then it
// measures how long a proof takes, and audits all of it.
func (b *Bed) Logged(ctx context.Context) (s Sample, err error) {
	var both [2]*logged
	for i := range both {
		d, err := b.freshAs(ctx, i == 1)
		if err != nil {
			return s, err
		}
		defer d.remove(ctx, &err)
		if both[i], err = d.logged(ctx); err != nil {
			return s, err
		}
		defer both[i].quit(&err)
	}
	count := b.Size.Purchases/8 + 1
	turns := []int{0, 1, 0, 1, 1, 0, 0, 1, 1, 0} // the first of each warms up
	var took [2]time.Duration
	var spent [2]costs
	for i, which := range turns {
		if err := b.calm(ctx); err != nil {
			return s, err
		}
		before, err := b.read(ctx)
		if err != nil {
			return s, err
		}
		t, err := both[which].turn(ctx, b, count)
		if err != nil {
			return s, err
		}
		after, err := b.read(ctx)
		if err != nil {
			return s, err
		}
		if i >= 2 {
			took[which] += t
			spent[which].add(after.since(before, 4*count))
		}
	}
	with, without := 4*float64(count)/took[0].Seconds(), 4*float64(count)/took[1].Seconds()
	s.Add("with the log", "purchases/s", with, "without the log")
	s.Add("without the log", "purchases/s", without, "")
	s.Add("lost to the log", "%", 100*(1-with/without), "")
	for i, suffix := range []string{"", ", without"} {
		yardstick := func(name string) string {
			if i == 0 {
				return name + ", without"
			}
			return ""
		}
		for _, c := range []struct {
			name, unit string
			value      float64
		}{{"own CPU", "µs/purchase", spent[i].cpu}, {"server CPU", "µs/purchase", spent[i].server}, {"WAL", "B/purchase", spent[i].wal}} {
			if c.value > 0 {
				s.Add(c.name+suffix, c.unit, c.value, yardstick(c.name))
			}
		}
	}
	for _, l := range both {
		if err := l.check(ctx, l.before, 5*count); err != nil {
			return s, err
		}
	}
	if err := both[0].proofs(ctx, &s); err != nil {
		return s, err
	}
	return s, both[0].audit(ctx, &s)
}

// logged is a node with the sequencer of its log; the sequencer is nil where it has none.
type logged struct {
	*node
	seq    *evidence.Sequencer
	signer *evidence.LogSigner
	before purchase.Stats
}

func (d *database) logged(ctx context.Context) (*logged, error) {
	n, err := d.start(ctx, setup{partners: pair()})
	if err != nil {
		return nil, err
	}
	l := &logged{node: n, before: n.Stats()}
	if d.unlogged {
		return l, nil
	}
	seed, err := evidence.DeriveSeed(secret, "bench")
	if err == nil {
		l.signer, err = evidence.NewLogSigner("bench", seed)
	}
	if err == nil {
		l.seq, err = evidence.NewSequencer(evidence.SequencerConfig{Store: d, Signer: l.signer, Log: d.bed.Log, Clock: d.bed.Clock})
	}
	if err == nil {
		_, err = l.seq.Step(ctx, d.bed.Clock.Now()) // the log begins before the first sale
	}
	if err != nil {
		return nil, errors.Join(err, n.stop())
	}
	return l, nil
}

// turn sells, and returns how long it took until all of it was sold and in a signed tree.
func (l *logged) turn(ctx context.Context, b *Bed, count int) (time.Duration, error) {
	began := b.Clock.Now()
	sequencing, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if l.seq != nil {
			l.seq.Run(sequencing)
		}
	}()
	_, err := l.sell(ctx, b.ordinary(), count, b.Size.InFlight)
	stop()
	<-ended
	if err != nil || l.seq == nil {
		return b.Clock.Now().Sub(began), err
	}
	for {
		if _, err := l.seq.Step(ctx, b.Clock.Now()); err != nil {
			return 0, fmt.Errorf("sequence: %w", err)
		}
		if waiting, _, err := l.db.LogWaiting(ctx); err != nil || waiting == 0 {
			return b.Clock.Now().Sub(began), err
		}
	}
}

// head is the signed tree.
func (l *logged) head(ctx context.Context) (evidence.Policy, evidence.TreeHead, error) {
	v, err := l.signer.Verifier()
	if err != nil {
		return evidence.Policy{}, evidence.TreeHead{}, err
	}
	policy := evidence.Policy{Log: v}
	checkpoint, err := evidence.FromStore{Store: l.db}.Checkpoint(ctx)
	if err != nil {
		return policy, evidence.TreeHead{}, err
	}
	head, _, err := policy.Open(checkpoint)
	return policy, head, err
}

// proofs measures how long it takes to find and prove every leaf of a purchase.
func (l *logged) proofs(ctx context.Context, s *Sample) error {
	_, head, err := l.head(ctx)
	if err != nil {
		return err
	}
	newest, err := l.db.newest(ctx)
	if err != nil {
		return err
	}
	reader := evidence.NewReader(ctx, evidence.FromStore{Store: l.db}, head)
	var times []time.Duration
	for i := range l.db.bed.Size.Lookups {
		id := newest - purchase.ID(int64(i)*7919%int64(l.db.bed.Size.Purchases/2))
		records, err := l.db.Load(ctx, id)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			continue
		}
		from := l.clock.Now()
		found, err := evidence.Find(ctx, l.db, evidence.Purchase, int64(id), evidence.Instants(&records[0])...)
		if err != nil {
			return err
		}
		if len(found) != int(records[0].Purchase.Version) {
			return fmt.Errorf("purchase %d has %d leaves, and version %d", id, len(found), records[0].Purchase.Version)
		}
		searched := l.clock.Now()
		for _, f := range found {
			if _, err := reader.Prove(f.Index); err != nil {
				return err
			}
		}
		till := l.clock.Now()
		// The search is for all leaves of the purchase, a proof for one.
		times = append(times, searched.Sub(from)+till.Sub(searched)/time.Duration(len(found)))
	}
	slices.Sort(times)
	at := sold{times: times}
	s.Add("found and proven, p50", "ms", at.at(0.5), "")
	s.Add("found and proven, p99", "ms", at.at(0.99), "")
	return nil
}

// audit recomputes everything, and fails on whatever it finds.
func (l *logged) audit(ctx context.Context, s *Sample) error {
	policy, head, err := l.head(ctx)
	if err != nil {
		return err
	}
	began := l.clock.Now()
	report, err := audit.Run(ctx, audit.Config{Policy: policy, Database: l.db, Now: began})
	if err != nil {
		return err
	}
	if len(report.Findings) > 0 {
		return fmt.Errorf("the audit finds %s", report.Findings[0])
	}
	took := l.clock.Now().Sub(began)
	s.Add("audited", "leaves/s", float64(head.Size)/took.Seconds(), "")
	s.Add("audit of 10 million leaves at that rate", "s", 1e7*took.Seconds()/float64(head.Size), "")
	return nil
}
