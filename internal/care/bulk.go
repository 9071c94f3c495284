package care

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// BulkID identifies a deed to many cases at once.
type BulkID int64

// Bulk is one deed to many cases, done at GoAt unless it is undone before.
type Bulk struct {
	ID       BulkID
	Version  int64 // 1 until it is undone or begins
	Staff    auth.StaffID
	At, GoAt purchase.Instant
	Deed     Deed
	Cases    []CaseID
	Done     int // cases that it was done to
	Failed   int // that had changed so that it could not be done
	Undone   bool
	ClosedAt purchase.Instant
}

// The bounds of bulk deeds.
const (
	MaxBulk    = 5000 // cases
	UndoWithin = 30 * time.Second
)

// bulkDeeds are those that may be done to many cases: none that needs a look at each.
var bulkDeeds = []Event{EventTaken, EventReleased, EventEscalated, EventPaused, EventResumed, EventNote, EventTold, EventLinked, EventSettled}

// Preview returns the cases of an incident that are not closed, which a deed would be
// done to, at most MaxBulk, and refuses a deed that is not for many.
func (d *Desk) Preview(ctx context.Context, incident string, deed Deed) ([]Case, error) {
	if !slices.Contains(bulkDeeds, deed.Do) || incident == "" {
		return nil, &Refusal{Why: WhyDeed}
	}
	var all []Case
	for _, view := range []View{ViewOpen, ViewWaiting} {
		q := Queue{View: view, Incident: incident, Now: d.clock.Now(), Limit: 500}
		for len(all) < MaxBulk {
			page, _, err := d.store.Queue(ctx, q)
			if err != nil {
				return nil, fmt.Errorf("read the cases of an incident: %w", err)
			}
			all = append(all, page...)
			if len(page) < q.Limit {
				break
			}
			q.After = &page[len(page)-1]
		}
	}
	return all[:min(len(all), MaxBulk)], nil
}

// Begin plans a deed to many cases; until GoAt it can be undone. Durable on return.
func (d *Desk) Begin(ctx context.Context, staff auth.Staff, deed Deed, cases []CaseID) (Bulk, error) {
	if why := who(&staff, auth.Bulk); why != "" {
		return Bulk{}, &Refusal{Why: why}
	}
	cases = slices.Compact(slices.Sorted(slices.Values(cases)))
	if !slices.Contains(bulkDeeds, deed.Do) || len(cases) == 0 || len(cases) > MaxBulk {
		return Bulk{}, &Refusal{Why: WhyDeed, Limit: MaxBulk}
	}
	deed.Text, deed.Incident = long(deed.Text), short(deed.Incident)
	if deed.Text == "" && (deed.Do == EventNote || deed.Do == EventTold) {
		return Bulk{}, &Refusal{Why: WhyText}
	}
	now := d.clock.Now()
	b := Bulk{Version: 1, Staff: staff.ID, At: now, GoAt: now.Add(UndoWithin), Deed: deed, Cases: cases}
	var err error
	if b.ID, err = d.store.AddBulk(ctx, b); err != nil {
		return Bulk{}, fmt.Errorf("plan a deed to many cases: %w", err)
	}
	d.Wake()
	return b, nil
}

// Undo undoes a plan before its time; ErrClosed after it, or when it began. Durable on return.
func (d *Desk) Undo(ctx context.Context, staff auth.Staff, id BulkID) error {
	plans, err := d.Bulks(ctx, staff.ID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(plans, func(b Bulk) bool { return b.ID == id })
	now := d.clock.Now()
	if i < 0 || plans[i].Version > 1 || now >= plans[i].GoAt {
		return ErrClosed
	}
	b := plans[i]
	b.Version++
	b.Undone, b.ClosedAt = true, now
	moved, err := d.store.MoveBulk(ctx, b)
	if err != nil {
		return fmt.Errorf("undo a plan: %w", err)
	}
	if !moved {
		return ErrClosed
	}
	return nil
}

// Bulks returns a person's plans that are open, or were closed within the last hour.
func (d *Desk) Bulks(ctx context.Context, staff auth.StaffID) ([]Bulk, error) {
	plans, err := d.store.Bulks(ctx, staff, d.clock.Now().Add(-time.Hour))
	if err != nil {
		return nil, fmt.Errorf("read plans: %w", err)
	}
	return plans, nil
}

// bulkStep is how many cases of a plan one step does.
const bulkStep = 200

// stepBulks does the plans whose time has come. A case's history says by which plan it
// was changed, so that after a crash it is not changed twice.
func (d *Desk) stepBulks(ctx context.Context, now purchase.Instant) (next purchase.Instant, err error) {
	plans, err := d.store.Bulks(ctx, 0, now)
	if err != nil {
		return 0, fmt.Errorf("read plans: %w", err)
	}
	for _, b := range plans {
		switch {
		case b.ClosedAt != 0:
		case now < b.GoAt:
			next = sooner(next, b.GoAt)
		default:
			over, err := d.doBulk(ctx, b, now)
			if err != nil {
				return 0, err
			}
			if !over {
				next = now
			}
		}
	}
	return next, nil
}

// doBulk does the next cases of a plan, and reports whether it is over. That it begins is durable
// first, so that nobody undoes what is being done.
func (d *Desk) doBulk(ctx context.Context, b Bulk, now purchase.Instant) (over bool, err error) {
	if b.Version == 1 {
		b.Version++
		if moved, err := d.store.MoveBulk(ctx, b); err != nil || !moved {
			return !moved && err == nil, err
		}
	}
	from := b.Done + b.Failed
	for _, id := range b.Cases[from:min(from+bulkStep, len(b.Cases))] {
		done, err := d.doOne(ctx, &b, id)
		if err != nil {
			return false, err
		}
		if done {
			b.Done++
		} else {
			b.Failed++
		}
	}
	b.Version++
	if b.Done+b.Failed == len(b.Cases) {
		b.ClosedAt = now
	}
	moved, err := d.store.MoveBulk(ctx, b)
	if err != nil {
		return false, fmt.Errorf("note how far a plan is: %w", err)
	}
	return b.ClosedAt != 0 || !moved, nil
}

// doOne does a plan's deed to one case as it is now. It reports false where it cannot be done.
func (d *Desk) doOne(ctx context.Context, b *Bulk, id CaseID) (done bool, err error) {
	by := Actor{Kind: ByStaff, Staff: b.Staff, Name: fmt.Sprintf("bulk-%d", b.ID)}
	err = retry(func() error {
		c, err := d.Case(ctx, id)
		if err != nil {
			return err
		}
		history, err := d.store.History(ctx, id)
		if err != nil {
			return fmt.Errorf("read a case's history: %w", err)
		}
		if slices.ContainsFunc(history, func(e Entry) bool { return e.By.Name == by.Name && e.By.Kind == ByStaff }) {
			return nil // before a crash
		}
		_, err = d.Act(ctx, id, c.Version, by, b.Deed)
		return err
	})
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, ErrRefused), errors.Is(err, ErrClosed), errors.Is(err, ErrUnproven), errors.Is(err, ErrNoCase), errors.Is(err, ErrStale):
		return false, nil
	}
	return false, err
}
