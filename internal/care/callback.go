package care

import (
	"context"
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// State of a callback.
type State uint8

// The states.
const (
	Promised  State = iota + 1 // open: it is to be kept within its window
	Kept                       // the customer was spoken with
	Cancelled                  // the customer does not want it any more
	Broken                     // the window is over, and it was not kept
)

var stateNames = [...]string{Promised: "promised", Kept: "kept", Cancelled: "cancelled", Broken: "broken"}

// String is the state's word.
func (s State) String() string { return stateNames[s] }

// Callback is the promise to call a number within a window. It ends kept, cancelled
// by the customer, or broken, and never in silence (invariant C7).
type Callback struct {
	ID       int64 // given by the store
	Version  int64 // counts durable changes, from 1
	Number   purchase.MSISDN
	Purchase purchase.ID // that it is about; 0 for none
	Case     CaseID      // likewise
	WindowAt purchase.Instant
	At       purchase.Instant // promised
	ClosedAt purchase.Instant // zero while it is open
	State    State
	Channel  string
	Language purchase.Language
	Reason   string

	Owner   auth.StaffID     // who called last, or is to call; 0 for nobody
	Tries   int              // attempts begun
	Trying  bool             // the last attempt has no outcome yet
	NextAt  purchase.Instant // when the next attempt may begin
	DueAt   purchase.Instant // when the system itself looks next, zero once it is closed
	ToldAt  purchase.Instant // of the SMS before the first attempt, zero before
	Alerted purchase.Instant // when the supervisor was told that it is about to break, zero before
	Follows int64            // the broken promise that this one makes good, 0 for none: it goes to the front
}

// Till is when the window is over.
func (c *Callback) Till() purchase.Instant { return c.WindowAt.Add(Window) }

// Ring is what became of an attempt.
type Ring uint8

// The rings. Only Answered keeps the promise: a voice mailbox is not the customer.
const (
	Ringing     Ring = iota + 1 // no outcome yet
	Answered                    // the customer was spoken with
	Busy                        // to be tried again soon
	NoAnswer                    // rang, and nobody took it
	Unreachable                 // switched off or out of coverage
	Voicemail                   // a mailbox answered
	Declined                    // the customer hung up or refused
	Lost                        // the caller never said: as NoAnswer
	Undialled                   // the customer's phone never rang: it is no attempt on them
)

var ringNames = [...]string{Ringing: "ringing", Answered: "answered", Busy: "busy", NoAnswer: "no_answer",
	Unreachable: "unreachable", Voicemail: "voicemail", Declined: "declined", Lost: "lost", Undialled: "undialled"}

// String is the ring's word.
func (r Ring) String() string { return ringNames[r] }

// Attempt is one try to call back. It is durable before anything is dialled, so
// that a crash never makes a phone ring twice for one try.
type Attempt struct {
	Callback int64
	Try      int // from 1
	Staff    auth.StaffID
	At       purchase.Instant
	EndedAt  purchase.Instant // zero while it rings
	Ring     Ring
	Ref      string // what the machine that makes the call names it, "" when a person makes it
}

// CallbackChange is one step of one callback: all of it is written, or none.
type CallbackChange struct {
	Now      Callback  // Version is one more than the stored one
	Attempt  *Attempt  // begun, or with its outcome
	Follow   *Callback // the promise that makes a broken one good
	Messages []Message
	Entries  []Entry // of the history of the callback's case
}

// Wait is what callbacks were worth in a time: promised, kept, broken, cancelled, and how
// long customers waited from the promise to the call, callbacks included.
type Wait struct {
	Promised, Kept, Cancelled, Broken int
	Waited                            time.Duration // of those that were kept, altogether
	Handled                           time.Duration // calls that were answered took, altogether
	Answered                          int           // such calls
}

// CallbackStore keeps promises to call. What a method changed is durable on return.
// Errors wrap purchase.ErrUnavailable when nothing was changed and the call may be
// repeated.
type CallbackStore interface {
	// AddCallback keeps a promise and gives it its ID. When the number has one that
	// is open, that one is returned and nothing is changed. When the window holds so
	// many open ones already it returns ErrFull.
	AddCallback(ctx context.Context, c Callback, most int) (kept Callback, added bool, err error)
	// CancelCallback cancels an open callback of a number, and returns it as it then
	// stands, or ErrNotFound. One that is closed already stays as it is.
	CancelCallback(ctx context.Context, id int64, number purchase.MSISDN, at purchase.Instant) (Callback, error)
	// ChangeCallback writes a change as one transaction, or returns ErrStale.
	ChangeCallback(ctx context.Context, c CallbackChange) error
	// Callback returns one callback, or ErrNotFound.
	Callback(ctx context.Context, id int64) (Callback, error)
	// Callbacks returns a number's callbacks, newest first.
	Callbacks(ctx context.Context, number purchase.MSISDN, limit int) ([]Callback, error)
	// Attempts returns a callback's attempts, oldest first.
	Attempts(ctx context.Context, callback int64) ([]Attempt, error)
	// DueCallbacks returns up to limit open callbacks whose DueAt has come, soonest first, and when
	// the next is due, zero for none.
	DueCallbacks(ctx context.Context, till purchase.Instant, limit int) (due []Callback, next purchase.Instant, err error)
	// Waiting returns up to limit open callbacks whose windows begin before an instant: those that
	// make good a broken one first, then by the end of their windows.
	Waiting(ctx context.Context, till purchase.Instant, limit int) ([]Callback, error)
	// Promised counts the open callbacks of each window that begins within [from, till).
	Promised(ctx context.Context, from, till purchase.Instant) (map[purchase.Instant]int, error)
	// Waited sums up the callbacks whose windows end within [from, till).
	Waited(ctx context.Context, from, till purchase.Instant) (Wait, error)
}

// Dialler lets an agent's telephone and a customer's ring.
type Dialler interface {
	// Dial begins the call of an attempt and returns what the agent's browser is to open, "" when it rings by
	// itself. The same attempt dialled again is one call. An error says that the customer's phone does not ring.
	Dial(ctx context.Context, c Callback, a Attempt) (link string, err error)
}

// ClickToCall is the dialler of an agent's own telephone: a tel: link (RFC 3966).
type ClickToCall struct{}

// Dial is Dialler.
func (ClickToCall) Dial(_ context.Context, c Callback, _ Attempt) (string, error) {
	return "tel:" + c.Number.String(), nil
}
