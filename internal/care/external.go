package care

import (
	"context"

	"tenu/internal/purchase"
)

// Phase is where a case stands as other systems understand it: the statuses told
// apart by what they wait for and how they ended. A case is in exactly one.
type Phase uint8

// The phases.
const (
	PhaseFresh     Phase = iota + 1 // open, and nobody has acted yet
	PhaseWorking                    // open, and somebody has it, answered it, or it was escalated
	PhaseHeld                       // open, and an incident holds it
	PhaseWaiting                    // the customer is to answer
	PhaseSolved                     // settled by a rule, and the client has not agreed yet
	PhaseClosed                     // settled by a person, or the client agreed
	PhaseWithdrawn                  // closed without an outcome
	PhaseMerged                     // closed, because another case deals with it
)

// Phases lists every phase.
var Phases = []Phase{PhaseFresh, PhaseWorking, PhaseHeld, PhaseWaiting, PhaseSolved, PhaseClosed, PhaseWithdrawn, PhaseMerged}

// Phase is where the case stands for a client that agreed with it at an instant, zero for never.
func (c *Case) Phase(agreed purchase.Instant) Phase {
	switch {
	case c.Status == Waiting:
		return PhaseWaiting
	case c.Status == Settled && c.Rule != "" && agreed < c.ClosedAt:
		return PhaseSolved
	case c.Status == Settled:
		return PhaseClosed
	case c.Status == Withdrawn && c.Into != 0:
		return PhaseMerged
	case c.Status == Withdrawn:
		return PhaseWithdrawn
	case c.Incident != "":
		return PhaseHeld
	case c.Owner != 0 || c.AnsweredAt != 0 || c.Level != 0:
		return PhaseWorking
	}
	return PhaseFresh
}

// External is a case as a client of the interface knows it.
type External struct {
	Client   string
	ID       string // the client's own name of the case, "" for none
	Case     CaseID
	At       purchase.Instant
	AgreedAt purchase.Instant // when the client agreed with how it was settled, zero for never
}

// Sift selects cases that a client may see: those of purchases that it sold, and those that it
// opened. An empty field asks nothing.
type Sift struct {
	Client   string // "": whoever's
	Agreeing string // the client whose agreement Phases asks
	Case     CaseID
	ID       string // the client's own name of the case
	Phases   []Phase
	Number   purchase.MSISDN
	From     purchase.Instant // opened at or after
	Till     purchase.Instant // opened before
	Offset   int
	Limit    int
}

// MaxSifted bounds how far cases are counted.
const MaxSifted = 10_000

// ExternalStore keeps what clients of the interface call cases. What a method changed is
// durable on return. Errors wrap purchase.ErrUnavailable when nothing was changed
// and the call may be repeated.
type ExternalStore interface {
	// PutExternal keeps a case as its client knows it. When the client calls a case so
	// already, that one is returned and nothing is changed.
	PutExternal(ctx context.Context, e External) (kept External, added bool, err error)
	// Agree keeps that a client agreed with how a case was settled.
	Agree(ctx context.Context, client string, id CaseID, at purchase.Instant) error
	// Externals returns how a client knows cases, one for each that it knows: with the newest name that is not
	// empty, and the latest agreement.
	Externals(ctx context.Context, client string, ids ...CaseID) (map[CaseID]External, error)
	// Called returns the case that a client calls so, or ErrNoCase.
	Called(ctx context.Context, client, id string) (External, error)
	// Sifted returns a page of the cases selected, the newest first, and how many there are,
	// counted to at most MaxSifted.
	Sifted(ctx context.Context, s Sift) (page []CaseID, count int, err error)
}
