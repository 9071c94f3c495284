// Package house is the payer of what the operator gives away: a charge of it takes the
// operator's own money, which needs nobody's answer. What may be given is bound before
// a purchase is made, where goodwill is asked for. It knows no budget and no network.
package house

import (
	"context"
	"math"
	"time"

	"tenu/internal/purchase"
)

// Name is the partner's name in purchases and in the ledger. No other partner bears it.
const Name = "house"

// House is the operator's own purse; a purchase.Partner that charges and refunds. The zero
// value is ready.
type House struct{}

// Name is purchase.Partner.
func (House) Name() string { return Name }

// Capability is purchase.Partner: the same key is the same movement for ever, as nothing
// is moved but the journal's own entries.
func (House) Capability(leg purchase.Leg) purchase.Capability {
	if leg != purchase.Charge && leg != purchase.Refund {
		return purchase.Capability{}
	}
	return purchase.Capability{Supported: true, Idempotent: true, KeyLife: math.MaxInt64, Timeout: time.Second}
}

// Do is purchase.Partner: always done, with our own key as the reference.
func (h House) Do(_ context.Context, o purchase.Order) purchase.Outcome {
	if !h.Capability(o.Leg).Supported {
		return purchase.Outcome{Kind: purchase.Refused, Reason: purchase.ReasonOther, Detail: "the house only pays"}
	}
	return purchase.Outcome{Kind: purchase.Done, Ref: o.Key.UUID(), Amount: o.Amount, Account: o.Account}
}

// Query is purchase.Partner. It is never needed.
func (House) Query(context.Context, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown, Detail: "the house is not asked"}
}

// Cancel is purchase.Partner. It is never needed.
func (House) Cancel(context.Context, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown, Detail: "the house is not asked"}
}
