package care

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// Decide approves or refuses a request that still has a version. The checker is never
// the maker. ErrStale; ErrRefused, as a *Refusal, says why not. Durable on return.
func (d *Desk) Decide(ctx context.Context, checker auth.Staff, id, version int64, approve bool, why string) (Request, error) {
	r, err := d.store.Request(ctx, id)
	if err != nil {
		return Request{}, fmt.Errorf("read request %d: %w", id, err)
	}
	now := d.clock.Now()
	switch {
	case r.Version != version:
		return r, ErrStale
	case r.Stage != StageCheck || r.DecidedAt != 0 || now >= r.DueAt:
		return r, &Refusal{Why: WhyStage}
	}
	next := r
	next.Version++
	next.Checker, next.DecidedAt, next.Why, next.DueAt = checker.ID, now, plain(why), now
	if approve {
		next.Stage, next.Tries = StageApproved, 0
	}
	next, err = d.store.DecideRequest(ctx, next, func(st Standing) error { return d.cfg.Policy.decides(&next, &st, approve) })
	if err != nil {
		if errors.Is(err, ErrRefused) || errors.Is(err, ErrStale) {
			return r, err
		}
		return Request{}, fmt.Errorf("decide request %d: %w", id, err)
	}
	next = d.soon(ctx, next)
	d.moved(&next)
	return next, nil
}

// Consent takes the answer of a recipient who was asked to give units back: the newest
// such request when id is 0. It returns ErrNotFound when there is none that waits for
// that recipient, ErrStale when it was answered meanwhile. Durable on return.
func (d *Desk) Consent(ctx context.Context, recipient purchase.MSISDN, id int64, agrees bool) (Request, error) {
	waiting, err := d.Consents(ctx, recipient)
	if err != nil {
		return Request{}, fmt.Errorf("find what a recipient is asked: %w", err)
	}
	waiting = slices.DeleteFunc(waiting, func(r Request) bool { return id != 0 && r.ID != id })
	if len(waiting) == 0 {
		return Request{}, ErrNotFound
	}
	r := slices.MaxFunc(waiting, func(a, b Request) int { return int(a.ID - b.ID) })
	return d.consent(ctx, r, agrees)
}

// ConsentBy is Consent as a recipient told one of the staff, which the case's history shows.
func (d *Desk) ConsentBy(ctx context.Context, staff auth.Staff, id int64, agrees bool) (Request, error) {
	r, err := d.store.Request(ctx, id)
	if err != nil {
		return Request{}, fmt.Errorf("read request %d: %w", id, err)
	}
	if why := who(&staff, auth.AskReversal, r.Number, r.Recipient); why != "" {
		return r, &Refusal{Why: why}
	}
	if r.Stage != StageConsent || !asking(&r, d.clock.Now()) {
		return r, &Refusal{Why: WhyStage}
	}
	answer := "no"
	if agrees {
		answer = "yes"
	}
	err = d.record(ctx, &r, []Entry{{At: d.clock.Now(), Event: EventNote, By: Actor{Kind: ByStaff, Staff: staff.ID},
		Text: r.name() + ": the recipient says " + answer}})
	if err != nil {
		return r, err
	}
	return d.consent(ctx, r, agrees)
}

// consent moves a request by its recipient's answer.
func (d *Desk) consent(ctx context.Context, r Request, agrees bool) (Request, error) {
	now := d.clock.Now()
	r.Version++
	if agrees {
		r.Stage, r.DueAt, r.Why = StageCheck, now.Add(checkFor), WhyAgreed
	} else {
		r.DecidedAt, r.DueAt, r.Why = now, now, WhyRecipient
	}
	if err := d.store.MoveRequest(ctx, r); err != nil {
		return Request{}, fmt.Errorf("answer request %d: %w", r.ID, err)
	}
	if agrees {
		_ = d.record(ctx, &r, nil) // the next step sees to it otherwise
	} else {
		r = d.soon(ctx, r)
	}
	d.moved(&r)
	return r, nil
}

// Consents returns the requests to take units back that wait for a recipient's answer,
// oldest first.
func (d *Desk) Consents(ctx context.Context, recipient purchase.MSISDN) ([]Request, error) {
	all, err := d.store.RequestsTo(ctx, recipient)
	now := d.clock.Now()
	return slices.DeleteFunc(all, func(r Request) bool { return !asking(&r, now) }), err
}

// asking reports whether a request that waits for its recipient still may be answered.
func asking(r *Request, now purchase.Instant) bool {
	return r.DecidedAt == 0 && (r.Tries == 0 || now < r.DueAt)
}

// Request returns one request, or ErrNotFound.
func (d *Desk) Request(ctx context.Context, id int64) (Request, error) {
	return d.store.Request(ctx, id)
}

// Requests returns the requests about purchases, oldest first.
func (d *Desk) Requests(ctx context.Context, purchases ...purchase.ID) ([]Request, error) {
	return d.store.RequestsAbout(ctx, purchases...)
}

// ToCheck returns the requests that wait for a checker, oldest first.
func (d *Desk) ToCheck(ctx context.Context, limit int) ([]Request, error) {
	all, err := d.store.RequestsIn(ctx, StageCheck, limit)
	return slices.DeleteFunc(all, func(r Request) bool { return r.DecidedAt != 0 }), err
}
