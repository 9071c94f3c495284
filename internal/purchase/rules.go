package purchase

import (
	"errors"
	"time"
)

// Rules are a country profile's limits and an operator's choices. All
// durations are positive.
type Rules struct {
	// ApproveWithin is how long a charge may take from the request, the
	// customer's approval with the wallet's PIN included. After it the charge
	// is not tried again.
	ApproveWithin time.Duration
	// DeliverWithin is how long after the charge evidence the customer is told
	// of a credit that is still missing. A provider that can be proven not to
	// have credited is no longer asked to after it.
	DeliverWithin time.Duration
	// ResolveWithin is the last deadline after the charge evidence: credited,
	// refunded, or in exposure with a case.
	ResolveWithin time.Duration
	// ResolveMargin is how long before that deadline the last resort is taken.
	ResolveMargin time.Duration
	// RefundWithin is the deadline of a refund after proven non-delivery.
	RefundWithin time.Duration
	// RetryFirst and RetryMost bound the exponential backoff between tries and queries.
	RetryFirst, RetryMost time.Duration
	// WatchFor is how long late evidence is looked for after a purchase was
	// closed without proof.
	WatchFor time.Duration
	// RepeatWithin: a second purchase like a recent one is held back until the
	// customer was asked. Zero: never.
	RepeatWithin time.Duration
	// RefundUnproven: where neither tombstone nor lateness bound can ever prove
	// non-delivery, refund at the delivery deadline rather than wait for
	// ResolveWithin. The operator bears a late credit.
	RefundUnproven bool
}

// DefaultRules are the limits of the Nigerian joint framework of NCC and CBN in
// force since 1 March 2026 (refund within 30 s of a failure, 24 h at most while
// pending), used where a country has none, with tenu's own targets for the rest.
func DefaultRules() Rules {
	return Rules{
		ApproveWithin: 5 * time.Minute,
		DeliverWithin: time.Minute,
		ResolveWithin: 24 * time.Hour,
		ResolveMargin: 10 * time.Minute,
		RefundWithin:  30 * time.Second,
		RetryFirst:    time.Second,
		RetryMost:     time.Minute,
		WatchFor:      48 * time.Hour,
		RepeatWithin:  2 * time.Minute,
	}
}

// Check returns an error that names the first rule that makes no sense.
func (r Rules) Check() error {
	switch {
	case r.ApproveWithin <= 0:
		return errors.New("rules: approve_within must be positive")
	case r.DeliverWithin <= 0:
		return errors.New("rules: deliver_within must be positive")
	case r.RefundWithin <= 0:
		return errors.New("rules: refund_within must be positive")
	case r.ResolveMargin <= 0 || r.ResolveWithin <= r.ResolveMargin+r.DeliverWithin:
		return errors.New("rules: resolve_within must exceed deliver_within and resolve_margin together")
	case r.RetryFirst <= 0 || r.RetryMost < r.RetryFirst:
		return errors.New("rules: retry_most must be at least retry_first, and both positive")
	case r.WatchFor <= 0:
		return errors.New("rules: watch_for must be positive")
	case r.RepeatWithin < 0:
		return errors.New("rules: repeat_within must not be negative")
	}
	return nil
}

// Terms are what the table needs to know beside the purchase: the rules, and
// what the partners are capable of. They must not change while an engine runs.
type Terms struct {
	Rules
	// Capability returns what a partner declares for a leg.
	Capability func(partner string, leg Leg) Capability
	// Overlap is how long a node may still begin calls after another took over.
	Overlap time.Duration
	// Alternate returns another provider that can credit the purchase, or "".
	Alternate func(*Purchase) string
}

// backoff is the pause before the next try or query after n fruitless ones,
// shortened by up to a quarter in a way that depends on the purchase alone, so
// that purchases stuck together do not come back together.
func (r *Rules) backoff(id ID, n int16) time.Duration {
	d := r.RetryMost
	if n < 30 {
		d = min(r.RetryFirst<<n, r.RetryMost)
	}
	spread := (uint64(id)*2654435761 + uint64(n)*40503) >> 7 % 256 //nolint:gosec // neither is negative
	return d - d/4*time.Duration(spread)/256
}
