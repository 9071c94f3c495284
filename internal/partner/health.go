package partner

import (
	"context"

	"tenu/internal/purchase"
)

// Prober is a partner that can say whether it works, without any effect on
// money. Probe must end soon after its context does.
type Prober interface {
	Probe(context.Context) Health
}

// Status is a partner's health in one word.
type Status string

// The statuses, as the GSMA heartbeat names them.
const (
	Available   Status = "available"
	Degraded    Status = "degraded" // works, slowly or in part
	Unavailable Status = "unavailable"
)

// Health is what a partner says of itself, or is seen to be.
type Health struct {
	Status Status
	// Until is when the partner plans to be available again, zero when it does not say.
	Until  purchase.Instant
	Detail string
}
