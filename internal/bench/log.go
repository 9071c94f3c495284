package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"tenu/internal/evidence"
	"tenu/internal/purchase"
)

// Logged measures what the append-only log costs: the same sales with it and without, in turns
// on two databases. With it, each turn lasts until everything it sold is in a signed tree. What is
// kept is the median of all pairs of turns, so that what else a machine does counts for little; the processor
// time says what would be lost where nothing else is waited for.
func (b *Bed) Logged(ctx context.Context) (s Sample, err error) {
	const pairs = 8
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
	count := b.Size.Purchases/pairs + 1
	var rates [2][]float64
	var spent [2]costs
	var kept []float64
	for pair := range pairs + 1 { // the first warms up
		var took [2]time.Duration
		for turn := range both {
			which := (turn + pair) % 2 // none is always the first
			t, used, err := both[which].measured(ctx, b, count)
			if err != nil {
				return s, err
			}
			if took[which] = t; pair > 0 {
				rates[which] = append(rates[which], float64(count)/t.Seconds())
				spent[which].add(used)
			}
		}
		if pair > 0 {
			kept = append(kept, 100*took[1].Seconds()/took[0].Seconds())
		}
	}
	s.Add("with the log", "purchases/s", median(rates[0]), "without the log")
	s.Add("without the log", "purchases/s", median(rates[1]), "")
	s.Add("of a pair, kept with the log", "%", median(kept), "")
	s.Add("CPU of both, more with the log", "%", max(100*((spent[0].cpu+spent[0].server)/(spent[1].cpu+spent[1].server)-1), 0), "")
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
				s.Add(c.name+suffix, c.unit, c.value/pairs, yardstick(c.name))
			}
		}
	}
	for _, l := range both {
		if err := l.check(ctx, l.before, (pairs+1)*count); err != nil {
			return s, err
		}
	}
	return s, nil
}

// measured is a turn, how long it took, and what it used.
func (l *logged) measured(ctx context.Context, b *Bed, count int) (took time.Duration, used costs, err error) {
	if err := b.calm(ctx); err != nil {
		return 0, used, err
	}
	before, err := b.read(ctx)
	if err != nil {
		return 0, used, err
	}
	if took, err = l.turn(ctx, b, count); err != nil {
		return 0, used, err
	}
	after, err := b.read(ctx)
	return took, after.since(before, count), err
}

// logged is a node with the sequencer of its log; the sequencer is nil where it has none.
type logged struct {
	*node
	seq    *evidence.Sequencer
	signer *evidence.LogSigner
	before purchase.Stats
}

// salt is that of a new purchase: without the log none is needed.
func salt() (s [16]byte) {
	_, _ = rand.Read(s[:]) // it never fails
	return s
}

func (d *database) logged(ctx context.Context) (*logged, error) {
	s := setup{partners: pair()}
	if !d.unlogged {
		s.salt = salt
	}
	n, err := d.start(ctx, s)
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
		// What was interrupted when the sales ended may have been written all the same.
		if _, err := l.seq.Step(ctx, b.Clock.Now()); err != nil && !errors.Is(err, evidence.ErrMoved) {
			return 0, fmt.Errorf("sequence: %w", err)
		}
		if waiting, _, err := l.db.LogWaiting(ctx); err != nil || waiting == 0 {
			return b.Clock.Now().Sub(began), err
		}
	}
}
