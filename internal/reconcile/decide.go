package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// The refusals of who decides about a break.
var (
	ErrOver         = errors.New("the break is resolved already")
	ErrNoCorrection = errors.New("no evidence would put this right: it is settled with the partner, and resolved with a reason")
	ErrReason       = errors.New("a reason is needed")
	ErrBound        = errors.New("more than your role may decide about")
	ErrSame         = errors.New("whoever asked for it does not agree to it")
	ErrOwn          = errors.New("it is about a number of your own")
	ErrMoved        = errors.New("the purchase is not any more as it was when the break was found")
)

// maxReason bounds a reason.
const maxReason = 500

// Breaks lists breaks.
func (d *Desk) Breaks(ctx context.Context, s Sift) ([]Break, error) {
	return d.cfg.Store.Breaks(ctx, s)
}

// Break is one break.
func (d *Desk) Break(ctx context.Context, id int64) (Break, error) {
	all, err := d.cfg.Store.Breaks(ctx, Sift{Before: id + 1, Limit: 1})
	if err != nil {
		return Break{}, err
	}
	if len(all) == 0 || all[0].ID != id {
		return Break{}, ErrNoBreak
	}
	return all[0], nil
}

// History is what became of a break.
func (d *Desk) History(ctx context.Context, id int64) ([]Entry, error) {
	return d.cfg.Store.BreakEntries(ctx, id)
}

// stake is the money that a decision about a break is about.
func (b *Break) stake() int64 { return max(b.Here, -b.Here, b.There, -b.There) }

// may checks what everybody must keep to who decides about a break.
func (d *Desk) may(b *Break, by *auth.Staff, reason string) error {
	switch {
	case b.Status == StatusResolved || b.Status == StatusAccepted:
		return ErrOver
	case reason == "" || len(reason) > maxReason:
		return ErrReason
	case by.Disabled || by.ID == 0:
		return ErrBound
	case b.Number != 0 && slices.Contains(by.Numbers, b.Number):
		return ErrOwn
	}
	return nil
}

// Accept wants the correction of a break: it is handed to the purchase as evidence, at once where the amount needs
// no checker, or once somebody else accepts it too.
func (d *Desk) Accept(ctx context.Context, id int64, by auth.Staff, reason string) (Break, error) {
	b, err := d.Break(ctx, id)
	if err != nil {
		return b, err
	}
	if err := d.may(&b, &by, reason); err != nil {
		return b, err
	}
	bounds := d.cfg.Bounds[by.Role]
	e := Entry{Staff: by.ID, Text: reason}
	switch {
	case b.Correction.Leg == 0:
		return b, ErrNoCorrection
	case b.Status == StatusAsked && b.Maker == by.ID:
		return b, ErrSame
	case b.Status == StatusAsked:
		if b.stake() > bounds.Approve {
			return b, ErrBound
		}
		b.Checker, e.Event = by.ID, "accepted"
		return d.corrected(ctx, b, e)
	case b.stake() > bounds.Single:
		return b, ErrBound
	case b.stake() > bounds.Unchecked:
		b.Maker, b.Status, e.Event = by.ID, StatusAsked, "asked"
		return d.change(ctx, b, e, nil)
	}
	b.Maker, e.Event = by.ID, "accepted"
	return d.corrected(ctx, b, e)
}

// Refuse takes back what a maker asked for: the break is open again.
func (d *Desk) Refuse(ctx context.Context, id int64, by auth.Staff, reason string) (Break, error) {
	b, err := d.Break(ctx, id)
	if err != nil {
		return b, err
	}
	if err := d.may(&b, &by, reason); err != nil {
		return b, err
	}
	if b.Status != StatusAsked {
		return b, ErrOver
	}
	b.Status, b.Maker = StatusOpen, 0
	return d.change(ctx, b, Entry{Staff: by.ID, Event: "refused", Text: reason}, nil)
}

// Resolve ends a break without a correction, as when it was settled with the partner.
func (d *Desk) Resolve(ctx context.Context, id int64, by auth.Staff, reason string) (Break, error) {
	b, err := d.Break(ctx, id)
	if err != nil {
		return b, err
	}
	if err := d.may(&b, &by, reason); err != nil {
		return b, err
	}
	if bounds := d.cfg.Bounds[by.Role]; b.stake() > max(bounds.Unchecked, bounds.Approve) {
		return b, ErrBound
	}
	b.Status, b.Reason = StatusResolved, reason
	return d.change(ctx, b, Entry{Staff: by.ID, Event: "resolved", Text: reason}, nil)
}

// change writes the next version of a break.
func (d *Desk) change(ctx context.Context, b Break, e Entry, evidence *purchase.Parked) (Break, error) {
	b.Version++
	b.ChangedAt = d.cfg.Clock.Now()
	e.Break, e.At = b.ID, b.ChangedAt
	return b, d.cfg.Store.ChangeBreak(ctx, b, e, evidence)
}

// correct is corrected for who does not look at the break again.
func (d *Desk) correct(ctx context.Context, b Break, e Entry) error {
	_, err := d.corrected(ctx, b, e)
	return err
}

// corrected hands the correction to the purchase's owner, if it still is one.
func (d *Desk) corrected(ctx context.Context, b Break, e Entry) (Break, error) {
	records, err := d.cfg.Store.Load(ctx, b.Purchase)
	if err != nil {
		return b, err
	}
	if len(records) == 0 {
		return b, fmt.Errorf("%w: there is no such purchase", ErrMoved)
	}
	if b.booked(&records[0]) {
		b.Status, b.Reason = StatusResolved, ReasonBooked
		return d.change(ctx, b, Entry{Event: "booked", Text: b.Reason}, nil)
	}
	if !b.stands(&records[0]) {
		return b, ErrMoved
	}
	b.Status = StatusAccepted
	return d.change(ctx, b, e, &purchase.Parked{Purchase: b.Purchase, Event: b.Correction, At: d.cfg.Clock.Now()})
}

// booked reports whether the evidence that would correct a break is on record.
func (b *Break) booked(r *purchase.Record) bool {
	want := &b.Correction.Outcome
	return slices.ContainsFunc(r.Evidence, func(e purchase.Evidence) bool {
		return e.Leg == b.Correction.Leg && e.Kind == want.Kind && e.Ref == want.Ref
	})
}

// stands reports whether a correction still applies: what it takes back must be on record as done.
func (b *Break) stands(r *purchase.Record) bool {
	if b.Correction.Outcome.Kind != purchase.Reversed {
		return true
	}
	return slices.ContainsFunc(r.Evidence, func(e purchase.Evidence) bool {
		return e.Leg == b.Correction.Leg && e.Kind == purchase.Done && (e.Ref == b.Correction.Outcome.Ref || e.Ref == "" || b.Correction.Outcome.Ref == "")
	})
}

// Confirm resolves the breaks whose correction the purchase has recorded since, and returns how many wait.
func (d *Desk) Confirm(ctx context.Context) (done, waiting int, err error) {
	const page = 500
	for before := int64(0); ; {
		all, err := d.cfg.Store.Breaks(ctx, Sift{Status: []Status{StatusAccepted}, Before: before, Limit: page})
		if err != nil {
			return done, waiting, err
		}
		ids := make([]purchase.ID, len(all))
		for i := range all {
			ids[i], before = all[i].Purchase, all[i].ID
		}
		records, err := d.cfg.Store.Load(ctx, ids...)
		if err != nil {
			return done, waiting, err
		}
		of := make(map[purchase.ID]*purchase.Record, len(records))
		for i := range records {
			of[records[i].Purchase.ID] = &records[i]
		}
		for _, b := range all {
			if r := of[b.Purchase]; r == nil || !b.booked(r) {
				waiting++
				continue
			}
			b.Status, b.Reason = StatusResolved, ReasonBooked
			if _, err := d.change(ctx, b, Entry{Event: "booked", Text: b.Reason}, nil); err != nil && !errors.Is(err, ErrStale) {
				return done, waiting, err
			}
			done++
		}
		if len(all) < page {
			return done, waiting, nil
		}
	}
}
