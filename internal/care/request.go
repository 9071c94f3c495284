package care

import (
	"context"
	"errors"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// Kind is what a request asks for.
type Kind string

// The kinds.
const (
	AskAnswer   Kind = "answer"   // ask the partner again: moves no money, needs no checker
	AskCredit   Kind = "credit"   // send the credit again, where that is safe
	AskRefund   Kind = "refund"   // give the money back
	AskReversal Kind = "reversal" // take the units back from the recipient, who is asked first, and refund
	AskGoodwill Kind = "goodwill" // units that the house pays for
)

// Kinds lists every kind.
var Kinds = []Kind{AskAnswer, AskCredit, AskRefund, AskReversal, AskGoodwill}

// Wish is what the kind asks of the purchase's state machine, 0 for goodwill, which
// is a purchase of its own.
func (k Kind) Wish() purchase.Wish {
	switch k {
	case AskAnswer:
		return purchase.WishAnswer
	case AskCredit:
		return purchase.WishCredit
	case AskRefund:
		return purchase.WishRefund
	case AskReversal:
		return purchase.WishReversal
	case AskGoodwill:
	}
	return 0
}

// Wish is what the request asks of the purchase's state machine. A refund that is to be made on
// proof says so: whether there is proof is decided with the refund, not before it.
func (r *Request) Wish() purchase.Wish {
	if r.Kind == AskRefund && !r.Unproven {
		return purchase.WishProvenRefund
	}
	return r.Kind.Wish()
}

// Stage is where a request stands.
type Stage uint8

// The stages.
const (
	StageConsent  Stage = iota + 1 // the recipient holds what is to be taken back, and is asked
	StageCheck                     // waits for a checker
	StageApproved                  // is to have its effect
	StageDone                      // had it
	StageRefused                   // by the checker or by the recipient
	StageVoid                      // the purchase settled otherwise: there is nothing left to do
	StageLapsed                    // nobody consented or decided in time
)

var stageNames = [...]string{StageConsent: "consent", StageCheck: "check", StageApproved: "approved", StageDone: "done",
	StageRefused: "refused", StageVoid: "void", StageLapsed: "lapsed"}

// String is the stage's word.
func (s Stage) String() string { return stageNames[s] }

// Over reports whether nothing more comes of the request.
func (s Stage) Over() bool { return s >= StageDone }

// Request is what somebody wants done about a purchase. It moves no money: the
// purchase's state machine does (invariant C1), or does not.
type Request struct {
	ID        int64 // given by the store
	Version   int64 // counts durable changes, from 1
	Kind      Kind
	Case      CaseID
	Purchase  purchase.ID
	Number    purchase.MSISDN // whose money it is about: the payer's
	Recipient purchase.MSISDN
	Amount    int64  // minor units at stake; 0 for AskAnswer
	Product   string // of goodwill
	Unproven  bool   // a refund without proof of non-delivery: the operator bears a late credit
	Maker     auth.StaffID
	Rule      string // that made it, "" for staff
	Reason    string
	Stage     Stage
	At        purchase.Instant
	DueAt     purchase.Instant // when the system acts on it next: asks, gives up, or lets it lapse
	Tries     int              // of its effect
	Checker   auth.StaffID
	DecidedAt purchase.Instant
	Why       string // of the decision, or of its being void
	ClosedAt  purchase.Instant
	Result    purchase.ID // the purchase that goodwill became
}

// Bounds are what a role may ask for, in minor units of the installation's currency.
// Zero allows nothing.
type Bounds struct {
	Single      int64 // in one request
	Unchecked   int64 // in one request without a checker
	Day         int64 // in all of one person's requests of a day
	DayCount    int   // requests of one person in a day
	NumberDay   int64 // in all requests about one number in a day, whoever makes them
	NumberCount int   // requests about one number in a day
	Approve     int64 // that may be approved in one request
}

// Policy is what requests are bound by.
type Policy struct {
	Bounds map[auth.Role]Bounds
	// Goodwill is what may be given in a month by everybody, rules included.
	Goodwill int64
}

// Standing is what a request is measured against, as it is inside its transaction.
type Standing struct {
	Maker       auth.Staff // zero for a rule
	Checker     auth.Staff // of a decision
	Day         int64      // what the maker asked for since Since, refused and void requests left out
	DayCount    int
	NumberDay   int64 // likewise about the number
	NumberCount int
	Goodwill    int64 // given or promised since the month began
}

// Periods say since when a Standing counts.
type Periods struct{ Day, Month purchase.Instant }

// ErrTwice says that such a request about the purchase is under way, or had its effect.
var ErrTwice = errors.New("care: asked for already")

// RequestStore keeps requests. What a method changed is durable on return. Errors
// wrap purchase.ErrUnavailable when nothing was changed and the call may be repeated.
type RequestStore interface {
	// AddRequest keeps a request and gives it its ID, if may allows it: may is asked inside the
	// transaction, with other requests of the maker and about the number kept out
	// (invariants C3, C4); its error is returned as it is. It returns ErrTwice, with that one, when a request of the
	// kind about the purchase is not over or is done; AskAnswer may be repeated once it is over.
	AddRequest(ctx context.Context, r Request, since Periods, may func(Standing) error) (Request, error)
	// DecideRequest changes a request that still has the version of before, if may allows
	// it; may sees maker and checker as they are inside the transaction. ErrStale otherwise.
	DecideRequest(ctx context.Context, r Request, may func(Standing) error) (Request, error)
	// MoveRequest changes a request that still has the version before r.Version; ErrStale otherwise.
	MoveRequest(ctx context.Context, r Request) error
	// DueRequests returns up to limit requests that are not over and whose DueAt has come, soonest
	// first, and when the next is due, zero for none.
	DueRequests(ctx context.Context, till purchase.Instant, limit int) (due []Request, next purchase.Instant, err error)
	// Request returns one request, or ErrNotFound.
	Request(ctx context.Context, id int64) (Request, error)
	// RequestsAbout returns the requests about purchases, oldest first.
	RequestsAbout(ctx context.Context, purchases ...purchase.ID) ([]Request, error)
	// RequestsTo returns the requests to take units back that wait for a recipient's consent.
	RequestsTo(ctx context.Context, recipient purchase.MSISDN) ([]Request, error)
	// RequestsIn returns up to limit requests of a stage, oldest first.
	RequestsIn(ctx context.Context, stage Stage, limit int) ([]Request, error)
}
