package care

import (
	"context"
	"errors"
	"fmt"

	"tenu/internal/purchase"
)

// stepLimit bounds what one look at the store takes.
const stepLimit = 100

// stepRequests does what is due of requests, and returns when the next is due, zero
// for none. One that fails keeps no other waiting.
func (d *Desk) stepRequests(ctx context.Context, now purchase.Instant) (purchase.Instant, error) {
	due, next, err := d.store.DueRequests(ctx, now, stepLimit)
	if err != nil {
		return 0, fmt.Errorf("find due requests: %w", err)
	}
	var errs []error
	for i := range due {
		r, err := d.advance(ctx, due[i], now)
		switch {
		case errors.Is(err, ErrStale): // somebody else did it
		case err != nil:
			errs = append(errs, err)
			continue
		case r.Version != due[i].Version:
			d.changed(Changed{Case: r.Case, Number: r.Number, Purchase: r.Purchase, Request: r.ID})
		}
		next = sooner(next, dueOf(&r))
	}
	if len(due) == stepLimit {
		next = now
	}
	return next, errors.Join(errs...)
}

// dueOf is when a request is due, zero when it is over.
func dueOf(r *Request) purchase.Instant {
	if r.Stage.Over() {
		return 0
	}
	return r.DueAt
}

// sooner is the earlier of two instants, of which zero is never.
func sooner(a, b purchase.Instant) purchase.Instant {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
