package status

import (
	"context"
	"fmt"

	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// Purchases reads purchases. The store does.
type Purchases interface {
	Load(ctx context.Context, ids ...purchase.ID) ([]purchase.Record, error)
	// Affects returns the incidents that a purchase is linked to.
	Affects(ctx context.Context, p purchase.ID) ([]incident.ID, error)
}

// References reads and writes references. purchase.Keyring does.
type References interface {
	Parse(text string) (purchase.ID, error)
	Reference(id purchase.ID) purchase.Reference
}

// Concern is what anybody who knows a purchase's reference is told of it: no number and no
// amount.
type Concern struct {
	Reference purchase.Reference
	Incidents []incident.ID
	State     purchase.State
	// At is when it ended, or by when it does; 0 where nobody knows yet.
	At purchase.Instant
}

// concern looks a purchase up by its reference as people write it, or returns
// purchase.ErrReference where there is none.
func concern(ctx context.Context, references References, purchases Purchases, text string) (Concern, error) {
	id, err := references.Parse(text)
	if err != nil {
		return Concern{}, fmt.Errorf("look a purchase up: %w", err)
	}
	found, err := purchases.Load(ctx, id)
	if err != nil {
		return Concern{}, fmt.Errorf("look a purchase up: %w", err)
	}
	if len(found) == 0 {
		return Concern{}, fmt.Errorf("look a purchase up: %w", purchase.ErrReference)
	}
	p := &found[0].Purchase
	c := Concern{Reference: references.Reference(id), State: p.State}
	switch p.State {
	case purchase.Charging:
	case purchase.Crediting:
		c.At = p.ResolveBy
	case purchase.Refunding:
		if c.At = p.RefundBy; c.At == 0 {
			c.At = p.ResolveBy
		}
	case purchase.Credited, purchase.Refunded, purchase.Declined:
		c.At = p.ClosedAt
	}
	if c.Incidents, err = purchases.Affects(ctx, id); err != nil {
		return Concern{}, fmt.Errorf("look a purchase's incidents up: %w", err)
	}
	return c, nil
}
