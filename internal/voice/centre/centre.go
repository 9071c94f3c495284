// Package centre is the call centre: which agents can take a call, who waits for one, and what
// became of every call to line 121. It knows nothing of telephones, of what is said, or of SQL.
package centre

import (
	"context"
	"errors"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

// State is what an agent does.
type State uint8

// The states.
const (
	Away     State = iota + 1 // takes no calls
	Ready                     // takes the next one
	Ringing                   // was given a call, and has not taken it yet
	Talking                   // speaks with a customer
	Wrapping                  // writes down what was said; Ready again by itself
)

var stateNames = [...]string{Away: "away", Ready: "ready", Ringing: "ringing", Talking: "talking", Wrapping: "wrapping"}

// String is the state's word.
func (s State) String() string { return stateNames[s] }

// Agent is one of the staff at a telephone. The store holds it, so that every node gives
// calls to the same agents, and to each one call at a time.
type Agent struct {
	Staff     auth.StaffID
	Version   int64  // counts changes, from 1
	Extension string // of the telephone: letters, digits, dots and hyphens; without letters at most six digits
	State     State
	Since     purchase.Instant // in the state; who is Ready for longest takes the next call
	// Till is when Ringing, Talking or Wrapping lapses, zero otherwise. The node that has the call puts it off for as
	// long as that lasts; when the node dies the agent is free again then. It bounds no call.
	Till purchase.Instant

	// Of the call at hand; zero unless Ringing, Talking or Wrapping.
	Call     string
	Number   purchase.MSISDN
	Purchase purchase.ID
	Case     care.CaseID
	Callback int64
}

// clear lets go of the call at hand.
func (a *Agent) clear() {
	a.Till, a.Call, a.Number, a.Purchase, a.Case, a.Callback = 0, "", 0, 0, 0, 0
}

// Busy reports whether the agent has a call, or is about to.
func (a *Agent) Busy() bool { return a.State == Ringing || a.State == Talking }

// Release is how a call ended.
type Release string

// The releases. A call has the last that fits: who reported and then spoke with an agent was spoken with.
const (
	Informed  Release = "informed"  // heard what there is to hear, and hung up or asked for no more
	Reported  Release = "reported"  // a case was opened, or stood already
	Promised  Release = "promised"  // a callback was promised, or stood already
	Spoken    Release = "spoken"    // with an agent
	Abandoned Release = "abandoned" // while waiting for an agent, or before anything was said to its end
	Overload  Release = "overload"  // announced that all lines are taken
	Failed    Release = "failed"    // by us
)

// Releases lists them.
var Releases = []Release{Informed, Reported, Promised, Spoken, Abandoned, Overload, Failed}

// Call is one call that was answered, as it is kept.
type Call struct {
	ID       string // ours
	Trunk    string
	Number   purchase.MSISDN // 0: nobody vouched for one
	Language purchase.Language
	Purchase purchase.ID // that was spoken of, 0 for none
	Case     care.CaseID // that was opened or found, 0 for none
	Callback int64       // that was promised or found, 0 for none
	Staff    auth.StaffID
	Incident string // that was announced, "" for none
	// Unrecorded says that the caller refused to be recorded.
	Unrecorded bool

	At       purchase.Instant // offered
	Answered purchase.Instant
	Queued   purchase.Instant // began to wait for an agent, zero for never
	Taken    purchase.Instant // by the agent, zero for never
	Ended    purchase.Instant
	Release  Release
}

// Refused is how many calls one process refused, by 503 with the time to try again, in an hour so far.
type Refused struct {
	Epoch int64            // of the process's lease
	Hour  purchase.Instant // that it begins at
	Count int
}

// Prompt is the time within which a call should be answered (ETSI EG 202 057).
const Prompt = 20 * time.Second

// Figures are what calls of a time came to.
type Figures struct {
	Offered  int // answered or refused
	Refused  int
	Released map[Release]int
	InTime   int           // answered within Prompt; for those who wished for an agent, by the agent
	Answer   time.Duration // from offered to answered, altogether
	Queued   int           // who waited for an agent, or were promised a callback in place of that
	Waited   time.Duration // from the wish to the agent or to the kept callback, altogether, of those who got one
	Got      int           // those
}

// Answered are the calls that were.
func (f *Figures) Answered() int { return f.Offered - f.Refused }

var (
	// ErrStale says that somebody else changed it meanwhile.
	ErrStale = errors.New("centre: changed meanwhile")
	// ErrExtension says that it is no telephone, or that somebody else is at it.
	ErrExtension = errors.New("centre: the telephone is taken, or is none")
	// ErrBusy says that the agent has a call.
	ErrBusy = errors.New("centre: the agent has a call")
	// ErrFull says that nobody more can wait.
	ErrFull = errors.New("centre: too many wait")
)

// Store keeps agents and calls. What a method changed is durable on return. Errors wrap
// purchase.ErrUnavailable when nothing was changed and the call may be repeated.
type Store interface {
	// OnDuty returns all agents that are not Away, and those that are so since an instant, by Since.
	OnDuty(ctx context.Context, since purchase.Instant) ([]Agent, error)
	// Agent returns one of the staff; one that was never at a telephone is Away with version 0.
	Agent(ctx context.Context, staff auth.StaffID) (Agent, error)
	// MoveAgents keeps agents in one transaction, one after the other, until one is refused, and says how many were kept.
	// One is refused whose stored version is not the one before, or who would be the second that is not Away at
	// a telephone, or that is busy with a call or a callback.
	MoveAgents(ctx context.Context, agents ...Agent) (moved int, err error)
	// AddCalls keeps calls that ended, each ID once, and how many were refused: of what a process tells
	// of an hour, the most. It may be repeated.
	AddCalls(ctx context.Context, calls []Call, refused []Refused) error
	// CallsOf returns a number's calls, newest first.
	CallsOf(ctx context.Context, number purchase.MSISDN, limit int) ([]Call, error)
	// CallFigures sums up the calls offered within [from, till), hours of refused ones by their beginning.
	CallFigures(ctx context.Context, from, till purchase.Instant) (Figures, error)
}
