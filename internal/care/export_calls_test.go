package care

import (
	"context"

	"tenu/internal/purchase"
)

// StepRequests is stepRequests, for tests with a real database.
func (d *Desk) StepRequests(ctx context.Context, now purchase.Instant) (purchase.Instant, error) {
	return d.stepRequests(ctx, now)
}

// StepCallbacks is stepCallbacks.
func (d *Desk) StepCallbacks(ctx context.Context, now purchase.Instant) (purchase.Instant, error) {
	return d.stepCallbacks(ctx, now)
}

// AskByRule is askByRule.
func (d *Desk) AskByRule(ctx context.Context, rule Rule, kind Kind, c Case, amount int64, product string) error {
	return d.askByRule(ctx, rule, kind, c, amount, product)
}

// Handled is the code of a matter, and whether it is dealt with.
func Handled(m purchase.Matter) (Code, bool) {
	h, known := handlings[m]
	return h.Code, known
}

// HandledCount is how many matters are dealt with.
func HandledCount() int { return len(handlings) }
