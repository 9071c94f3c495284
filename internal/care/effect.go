package care

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tenu/internal/purchase"
)

// The pace at which an approved request is asked for again.
const (
	askFirst = time.Second
	askMost  = time.Minute
)

// lasting are the hindrances that never change: a request that meets one is void.
var lasting = map[purchase.Hindrance]bool{purchase.HindranceDeclined: true, purchase.HindranceCredited: true,
	purchase.HindranceRefunded: true, purchase.HindranceClosed: true, purchase.HindranceIncapable: true, purchase.HindranceGivenBack: true,
	purchase.HindranceReversalRefused: true, purchase.HindranceReversalUnknown: true, purchase.HindranceReversalWrong: true}

// pause is how long after a try the next one is made.
func pause(tries int) time.Duration {
	return min(askFirst<<min(tries, 10), askMost)
}

// advance does what is due of a request, and returns it as it then stands. Done again
// after a crash at any point, it does no more than done once: what the case's history and
// the customers are told follows from the request, and is written before the request is over.
func (d *Desk) advance(ctx context.Context, r Request, now purchase.Instant) (Request, error) {
	switch r.Stage {
	case StageConsent:
		switch {
		case r.DecidedAt != 0:
			return d.end(ctx, r, now, stageOf(&r), r.Why)
		case r.Tries == 0:
			return d.askRecipient(ctx, r, now)
		case now >= r.DueAt:
			return d.lapse(ctx, r, now, WhyNoConsent)
		}
	case StageCheck:
		switch {
		case r.DecidedAt != 0:
			return d.end(ctx, r, now, stageOf(&r), r.Why)
		case now >= r.DueAt:
			return d.lapse(ctx, r, now, WhyNoCheck)
		}
	case StageApproved:
		if now >= r.DueAt {
			return d.effect(ctx, r, now)
		}
	case StageDone, StageRefused, StageVoid, StageLapsed:
	}
	return r, nil
}

// stageOf is how a request ends that was decided against. A checker's words are their own: none
// of them makes it anything but refused.
func stageOf(r *Request) Stage {
	if r.Checker == 0 && (r.Why == WhyNoConsent || r.Why == WhyNoCheck) {
		return StageLapsed
	}
	return StageRefused
}

// lapse closes a request that nobody answered in time. That it lapsed is durable first,
// so that a late answer cannot come between.
func (d *Desk) lapse(ctx context.Context, r Request, now purchase.Instant, why Why) (Request, error) {
	r.Version++
	r.DecidedAt, r.DueAt, r.Why = now, now, why
	if err := d.move(ctx, &r); err != nil {
		return r, err
	}
	return d.end(ctx, r, now, StageLapsed, why)
}

// askRecipient asks the recipient whether the units may be taken back, and begins the hold.
func (d *Desk) askRecipient(ctx context.Context, r Request, now purchase.Instant) (Request, error) {
	next := r
	next.Version++
	next.Tries, next.DueAt = 1, now.Add(consentFor)
	if err := d.record(ctx, &next, nil); err != nil {
		return r, err
	}
	return next, d.move(ctx, &next)
}

// end closes a request; what it came to is told first.
func (d *Desk) end(ctx context.Context, r Request, now purchase.Instant, stage Stage, why Why) (Request, error) {
	next := r
	next.Version++
	next.Stage, next.Why, next.ClosedAt = stage, why, now
	if err := d.record(ctx, &next, nil); err != nil {
		return r, err
	}
	return next, d.move(ctx, &next)
}

// move writes a request's next version.
func (d *Desk) move(ctx context.Context, r *Request) error {
	if err := d.store.MoveRequest(ctx, *r); err != nil {
		return fmt.Errorf("move request %d: %w", r.ID, err)
	}
	return nil
}

// effect lets an approved request have its effect: the wish is handed to the purchase, again
// and again until the purchase shows what came of it.
func (d *Desk) effect(ctx context.Context, r Request, now purchase.Instant) (Request, error) {
	if r.Kind == AskGoodwill {
		return d.give(ctx, r, now)
	}
	if d.cfg.Engine == nil {
		return d.later(ctx, r, now)
	}
	p, err := d.load(ctx, r.Purchase)
	switch {
	case errors.Is(err, ErrNotFound):
		return d.end(ctx, r, now, StageVoid, WhyUnknown)
	case err != nil:
		return r, err
	}
	if stage, why := d.became(&r, &p, now); stage != 0 {
		return d.end(ctx, r, now, stage, why)
	}
	if d.cfg.Engine.Grants(&p, r.Wish(), now).Why == purchase.HindranceUnproven {
		return d.unproven(ctx, r, now)
	}
	if err := d.cfg.Engine.Ask(ctx, r.Purchase, r.Wish()); err != nil {
		return d.later(ctx, r, now)
	}
	if r.Kind == AskAnswer {
		return d.end(ctx, r, now, StageDone, r.Why) // heard is all that was asked
	}
	if p, err = d.load(ctx, r.Purchase); err == nil {
		if stage, why := d.became(&r, &p, now); stage != 0 {
			return d.end(ctx, r, now, stage, why)
		}
	}
	return d.later(ctx, r, now)
}

// later tries a request's effect again after a while.
func (d *Desk) later(ctx context.Context, r Request, now purchase.Instant) (Request, error) {
	next := r
	next.Version++
	next.DueAt = now.Add(pause(r.Tries))
	next.Tries++
	return next, d.move(ctx, &next)
}

// unproven holds a refund back that was asked for on proof, and that would now be made
// without: a checker decides, though one may have before.
func (d *Desk) unproven(ctx context.Context, r Request, now purchase.Instant) (Request, error) {
	next := r
	next.Version++
	next.Stage, next.Unproven, next.DueAt, next.Tries = StageCheck, true, now.Add(checkFor), 0
	next.Checker, next.DecidedAt, next.Why = 0, 0, ""
	return next, d.move(ctx, &next)
}

// became says how a request ended by what the purchase shows, 0 while it has not. A refund
// that is under way is done: from there on the state machine owes it.
func (d *Desk) became(r *Request, p *purchase.Purchase, now purchase.Instant) (Stage, Why) {
	settled := func(done bool) (Stage, Why) {
		if done {
			return StageDone, r.Why
		}
		return StageVoid, WhySettled
	}
	gone := p.State == purchase.Declined
	switch r.Kind {
	case AskRefund:
		if gone || p.State == purchase.Credited || p.State == purchase.Refunding || p.State == purchase.Refunded {
			return settled(p.State == purchase.Refunding || p.State == purchase.Refunded)
		}
	case AskCredit:
		if gone || p.State == purchase.Credited || p.State == purchase.Refunding || p.State == purchase.Refunded {
			return settled(p.State == purchase.Credited)
		}
	case AskReversal:
		if gone || p.State == purchase.Refunding || p.State == purchase.Refunded {
			return settled(p.Legs[purchase.Reversal].Done)
		}
	case AskAnswer, AskGoodwill:
	}
	if grant := d.cfg.Engine.Grants(p, r.Wish(), now); !grant.OK && lasting[grant.Why] {
		return StageVoid, string(grant.Why)
	}
	return 0, ""
}

// give lets goodwill have its effect: a purchase that the house pays for. Given again
// it is the same purchase.
func (d *Desk) give(ctx context.Context, r Request, now purchase.Instant) (Request, error) {
	if d.cfg.House == nil {
		return d.later(ctx, r, now)
	}
	id, err := d.cfg.House.Give(ctx, r)
	switch {
	case errors.Is(err, ErrRefused):
		return d.end(ctx, r, now, StageVoid, WhyHouse)
	case err != nil:
		return d.later(ctx, r, now)
	}
	r.Result = id
	return d.end(ctx, r, now, StageDone, r.Why)
}
