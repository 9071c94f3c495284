package incident

import (
	"context"
	"time"

	"tenu/internal/purchase"
)

// Canary tries what is paused, at the house's expense.
type Canary interface {
	// Try begins the probe of a pause, and says what became of it: it is called again
	// while it is pending. The pause's identity and Tries name the probe: the same probe is
	// never made twice, whatever node asks, and however often. It does not wait for a
	// partner. An error, of the store for example, says nothing of the probe.
	Try(ctx context.Context, p Pause, now purchase.Instant) (ProbeResult, error)
}

// Judge tells what a canary, a purchase that tries a series, says of it at an instant: only one that was credited
// within what is expected, by the very provider where one is tried, is good. What is said names it by its reference.
func Judge(made *purchase.Purchase, of Series, reference purchase.Reference, expected time.Duration, now purchase.Instant) ProbeResult {
	said := func(answer ProbeAnswer, what string) ProbeResult {
		return ProbeResult{Answer: answer, Said: reference.String() + " " + what}
	}
	switch took := made.ClosedAt.Sub(made.CreatedAt); {
	case of.By == ByProvider && made.Provider != of.Name:
		return said(ProbeBad, "went through "+made.Provider)
	case made.State == purchase.Credited && took > expected:
		return said(ProbeBad, "was credited after "+took.Round(time.Millisecond).String())
	case made.State == purchase.Credited:
		return said(ProbeGood, "was credited after "+took.Round(time.Millisecond).String())
	case made.State != purchase.Charging && made.State != purchase.Crediting:
		return said(ProbeBad, "is "+made.State.String())
	case now.Sub(made.CreatedAt) > expected:
		return said(ProbeBad, "is not credited after "+expected.String())
	}
	return said(ProbePending, "is "+made.State.String())
}
