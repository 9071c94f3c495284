package sim

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"tenu/internal/care"
	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// recorded is the record of incidents as one node sees it: it fails as the node's store
// does, the play is told of the messages that are written, so that it knows one when
// the SMS centre takes it, and the auditor of the cases that become an incident's.
type recorded struct {
	incident.Store // reads that are not named below always succeed
	tallies        incident.TallyStore
	f              *flaky
}

// keeper keeps incidents, and what nodes count.
type keeper interface {
	incident.Store
	incident.TallyStore
}

// records is where a process keeps incidents; ok is false where it keeps none.
func (n *node) records() (s recorded, ok bool) {
	base, ok := n.w.store.Backing.(keeper)
	return recorded{base, base, n.w.store.of(n)}, ok && n.w.plan.script != nil && n.w.files != nil
}

// writtenRecord is what was written of incidents and pauses. Reads are answered from it, which spares most of them; it is
// compared with the store at the end.
type writtenRecord struct {
	incidents map[incident.ID]incident.Incident
	pauses    map[int64]incident.Pause
	untold    map[incident.ID]bool // incidents with customers who may have to be told
}

// paused takes the pauses of an instant and later from the store.
func (x *writtenRecord) paused(ctx context.Context, s incident.Store, since purchase.Instant) error {
	all, err := s.Pauses(ctx, since)
	if err != nil {
		return fmt.Errorf("read pauses: %w", err)
	}
	for _, p := range all {
		x.pauses[p.ID] = p
	}
	return nil
}

// same checks that the store holds what was written.
func (x *writtenRecord) same(w *world, found []incident.Incident, pauses []incident.Pause) {
	for i := range found {
		if ours := x.incidents[found[i].ID]; !reflect.DeepEqual(ours, found[i]) {
			w.fail("I1", 0, "%s was written as %+v, and the store holds %+v", ours.ID, ours, found[i])
		}
	}
	for i := range pauses {
		if ours := x.pauses[pauses[i].ID]; ours != pauses[i] {
			w.fail("I1", 0, "pause %d was written as %+v, and the store holds %+v", ours.ID, ours, pauses[i])
		}
	}
	if len(found) != len(x.incidents) || len(pauses) != len(x.pauses) {
		w.fail("I1", 0, "%d incidents and %d pauses were written, and the store holds %d and %d", len(x.incidents), len(x.pauses), len(found), len(pauses))
	}
}

// ChangeIncident is incident.Store.
func (r recorded) ChangeIncident(ctx context.Context, c incident.Change) (now incident.Incident, err error) {
	err = r.f.write(func() error {
		now, err = r.Store.ChangeIncident(ctx, c)
		if err != nil {
			return err
		}
		w := r.f.w
		w.written.incidents[now.ID] = now
		for i := range c.Messages {
			w.play.announce(now.ID, c.Messages[i].To, c.Messages[i].Text)
		}
		w.note("incident", 0, fmt.Sprintf("%s v%d %s %s, %s", now.ID, now.Version, now.Series, now.Status, now.Severity))
		if len(c.Pauses) == 0 {
			return nil
		}
		return w.written.paused(ctx, r.Store, now.ChangedAt)
	})
	if err == nil && len(c.Messages) > 0 {
		r.f.n.post(50 * time.Millisecond)
	}
	return now, err
}

// Incidents is incident.Store.
func (r recorded) Incidents(_ context.Context, q incident.Query) (found []incident.Incident, err error) {
	if err := r.f.read(); err != nil {
		return nil, err
	}
	for _, i := range r.f.w.written.incidents {
		if (q.IDs == nil || slices.Contains(q.IDs, i.ID)) && (!q.Open || i.Status != incident.Closed) &&
			(q.Since == 0 || i.ClosedAt == 0 || i.ClosedAt >= q.Since) && (q.Before == 0 || i.ID < q.Before) {
			found = append(found, i)
		}
	}
	slices.SortFunc(found, func(a, b incident.Incident) int { return int(b.ID - a.ID) })
	if q.Limit > 0 {
		found = found[:min(len(found), q.Limit)]
	}
	return found, nil
}

// ChangePause is incident.Store.
func (r recorded) ChangePause(ctx context.Context, p incident.Pause) (kept incident.Pause, err error) {
	err = r.f.write(func() error {
		if kept, err = r.Store.ChangePause(ctx, p); err == nil {
			r.f.w.written.pauses[kept.ID] = kept
		}
		return err
	})
	return kept, err
}

// Pauses is incident.Store.
func (r recorded) Pauses(_ context.Context, since purchase.Instant) (all []incident.Pause, err error) {
	if err := r.f.read(); err != nil {
		return nil, err
	}
	for _, p := range r.f.w.written.pauses {
		if p.EndedAt == 0 || p.EndedAt >= since {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b incident.Pause) int { return int(a.ID - b.ID) })
	return all, nil
}

// Affect is incident.Store.
func (r recorded) Affect(ctx context.Context, id incident.ID, reach incident.Reach) (n int64, err error) {
	err = r.f.write(func() error {
		n, err = r.Store.Affect(ctx, id, reach)
		files := r.f.w.files
		if n > 0 || err != nil {
			r.f.w.written.untold[id] = true
		}
		if n == 0 && err == nil && !files.fresh {
			return nil
		}
		files.fresh = false
		ids := slices.Sorted(maps.Keys(files.unlinked))
		for len(ids) > 0 {
			part := ids[:min(len(ids), 500)]
			ids = ids[len(part):]
			found, failed := r.f.Backing.(care.Store).Cases(ctx, part...) //nolint:errcheck,forcetypeassert // care is part of every such world
			if failed != nil {
				return failed
			}
			files.linked(found)
		}
		return err
	})
	return n, err
}

// Totals is incident.Store.
func (r recorded) Totals(ctx context.Context, id incident.ID) (incident.Totals, error) {
	if err := r.f.read(); err != nil {
		return incident.Totals{}, err
	}
	return r.Store.Totals(ctx, id)
}

// Untold is incident.Store.
func (r recorded) Untold(ctx context.Context, id incident.ID, limit int) ([]incident.Customer, error) {
	if err := r.f.read(); err != nil || !r.f.w.written.untold[id] {
		return nil, err
	}
	found, err := r.Store.Untold(ctx, id, limit)
	if err == nil && len(found) == 0 && limit > 0 {
		delete(r.f.w.written.untold, id)
	}
	return found, err
}

// Unended is incident.Store.
func (r recorded) Unended(ctx context.Context, id incident.ID, after purchase.MSISDN, limit int) ([]incident.Customer, error) {
	if err := r.f.read(); err != nil {
		return nil, err
	}
	return r.Store.Unended(ctx, id, after, limit)
}

// ExchangeTallies is incident.TallyStore.
func (r recorded) ExchangeTallies(ctx context.Context, own incident.NodeTally) (others []incident.NodeTally, err error) {
	err = r.f.write(func() (err error) {
		others, err = r.tallies.ExchangeTallies(ctx, own)
		return err
	})
	return others, err
}

// / Held is incident.Store. Nobody holds anything in a script.
func (r recorded) Held(context.Context) ([]incident.Hold, error) { return nil, r.f.read() }

// Tell is incident.Store.
func (r recorded) Tell(ctx context.Context, id incident.ID, all []incident.Telling) (n int64, err error) {
	err = r.f.write(func() error {
		if n, err = r.Store.Tell(ctx, id, all); err != nil {
			return err
		}
		for i := range all {
			r.f.w.play.announce(id, all[i].Message.To, all[i].Message.Text)
		}
		return nil
	})
	return n, err
}
