package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tenu/internal/evidence"
	"tenu/internal/evidence/audit"
	"tenu/internal/purchase"
)

// Audited sells until the append-only log has so many leaves, and measures there how long it takes to
// find and prove an entry, and to audit all of it against the database.
func (b *Bed) Audited(ctx context.Context) (s Sample, err error) {
	d, err := b.fresh(ctx)
	if err != nil {
		return s, err
	}
	defer d.remove(ctx, &err)
	l, err := d.logged(ctx)
	if err != nil {
		return s, err
	}
	defer l.quit(&err)
	if _, err := l.turn(ctx, b, b.Size.Leaves/3+1); err != nil {
		return s, err
	}
	if err := d.tidy(ctx); err != nil {
		return s, err
	}
	if err := b.calm(ctx); err != nil {
		return s, err
	}
	if err := l.proofs(ctx, &s); err != nil {
		return s, err
	}
	return s, l.audit(ctx, &s)
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
	var times, proving []time.Duration
	for i := range l.db.bed.Size.Lookups {
		id := newest - purchase.ID(int64(i)*7919%int64(l.db.bed.Size.Leaves/3))
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
		proving = append(proving, till.Sub(searched)/time.Duration(len(found)))
		times = append(times, searched.Sub(from)+till.Sub(searched)/time.Duration(len(found)))
	}
	for _, of := range []struct {
		name  string
		times []time.Duration
	}{{"proven", proving}, {"found and proven", times}} {
		slices.Sort(of.times)
		at := sold{times: of.times}
		s.Add(of.name+", p50", "ms", at.at(0.5), "")
		s.Add(of.name+", p99", "ms", at.at(0.99), "")
	}
	return nil
}

// audit recomputes everything, and fails on whatever it finds.
func (l *logged) audit(ctx context.Context, s *Sample) error {
	policy, head, err := l.head(ctx)
	if err != nil {
		return err
	}
	before, err := l.db.bed.read(ctx)
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
	after, err := l.db.bed.read(ctx)
	if err != nil {
		return err
	}
	used := after.since(before, int(head.Size))
	s.Add("audited", "leaves", float64(head.Size), "")
	s.Add("audit", "s", took.Seconds(), "")
	s.Add("audit of 10 million leaves at that rate", "s", 1e7*took.Seconds()/float64(head.Size), "")
	s.Add("own CPU", "µs/leaf", used.cpu, "")
	if used.server > 0 {
		s.Add("server CPU", "µs/leaf", used.server, "")
	}
	return nil
}
