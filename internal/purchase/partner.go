package purchase

import (
	"context"
	"time"

	"tenu/internal/money"
)

// Order is one request to a partner, complete in itself: an adapter needs
// nothing else to send, query or cancel it.
type Order struct {
	Purchase  ID
	Reference Reference
	Leg       Leg
	Key       Key
	// Try counts the durable attempts of the leg, from 1.
	Try int
	// FirstAt is when the first attempt of the leg was recorded.
	FirstAt Instant
	// Account is the number charged, credited or refunded.
	Account MSISDN
	// Amount is the money to take or give back, or the value of the units to credit.
	Amount money.Amount
	// Product is the code of what is sold, and Bundle whether it is a bundle
	// rather than airtime.
	Product string
	Bundle  bool
	// Original is the partner's reference of the movement to undo: the charge
	// for a refund, the credit for a reversal.
	Original string
}

// Partner is whoever executes legs: a payer (charge, refund), a provider
// (credit, reversal), or both. The engine calls it from several goroutines.
//
// No method returns an error: whatever happens is an Outcome. Each call must
// end soon after its context does. A result must rest on what the partner
// said, never on what is likely: a timeout, a 5xx, a cut connection, an
// unreadable body, a conflict on our own key are Unknown. The context carries
// the deadline of the call.
type Partner interface {
	// Name is the partner's name in configuration, ledger and reports.
	Name() string
	// Capability says what the partner promises for the leg; the zero
	// Capability means that it does not execute that leg.
	Capability(Leg) Capability
	// Do asks for the leg once. It never retries inside. Unsent is returned
	// only when it is certain that no byte of the request reached the partner.
	Do(context.Context, Order) Outcome
	// Query asks what became of the order's key without any effect. It is
	// called only where Capability.Query is set. Absent means that the partner
	// answered and has no trace of the key, Unsent that it was not asked.
	Query(context.Context, Order) Outcome
	// Cancel makes the order's key impossible to execute. It is called only
	// where Capability.Tombstone is set. Cancelled means not executed and never
	// will be; Done means that it had been executed; Unsent that the partner was
	// not asked; anything else is Unknown.
	Cancel(context.Context, Order) Outcome
}

// Capability is what a partner declares for a leg. Safety rests on it: a
// partner that breaks its declaration is found by reconciliation.
type Capability struct {
	// Supported: the partner executes this leg.
	Supported bool
	// Idempotent: tries with the same key execute at most once, for KeyLife
	// after the first. Without it a leg is sent at most once.
	Idempotent bool
	KeyLife    time.Duration
	// Query: the state of a key can be asked for.
	Query bool
	// Tombstone: a key can be cancelled so that it never executes.
	Tombstone bool
	// Lateness is the bound H: a try cannot execute later than this after it
	// was sent. Zero means that no bound is known.
	Lateness time.Duration
	// Timeout is the longest that one call is waited for.
	Timeout time.Duration
}

// BalanceReader is a Partner that can tell a customer's balances.
type BalanceReader interface {
	// Balance returns the balances of the line, or an error wrapping
	// ErrUnknownLine or ErrUnavailable.
	Balance(context.Context, MSISDN) (Balances, error)
}

// Balances is what a customer has: a main balance, and bundles with expiry.
type Balances struct {
	Main    money.Amount
	Expires Instant // of the main balance, zero when it does not expire
	Bundles []BundleBalance
}

// BundleBalance is what is left of one bundle, in the provider's own unit.
type BundleBalance struct {
	Code    string
	Left    int64
	Unit    string // "MB", "min", "SMS", or a currency
	Expires Instant
}
