package reconcile

import (
	"context"
	"errors"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// Statement is one that was loaded.
type Statement struct {
	ID      int64
	Partner string
	Name    string // of its file
	Format  Format
	Zone    string
	Digest  string
	Span
	At      purchase.Instant // when it was loaded
	Partial bool
	// Kept: all of it was matched; a load that ended in the middle is not.
	Kept bool
	// Replaced is the statement that took its place, 0 for none.
	Replaced int64
	Lines    int64
	Sums     []Sum
	Tally    Tally
}

// Part is a piece of a statement's lines as they are kept: sorted and compressed.
type Part struct {
	Seq   int
	First []byte // the first record's purchase and leg
	Lines []byte
}

// Status is what becomes of a break.
type Status uint8

// The statuses.
const (
	StatusOpen     Status = iota + 1 // somebody is to decide
	StatusAsked                      // a maker wants the correction, and a checker must agree
	StatusAccepted                   // the correction was handed to the purchase
	StatusResolved                   // it is over
)

var statusNames = [...]string{StatusOpen: "open", StatusAsked: "asked", StatusAccepted: "accepted", StatusResolved: "resolved"}

// String is the status's word.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return ""
}

// Break is a mismatch as it is kept.
type Break struct {
	ID      int64
	Version int64 // counts changes, from 1
	Partner string
	Found
	Statement int64            // that showed it last
	FirstAt   purchase.Instant // when it was found first
	FoundAt   purchase.Instant // and last
	ChangedAt purchase.Instant
	Status    Status
	Maker     auth.StaffID // who wants the correction, 0 for nobody or a rule
	Checker   auth.StaffID // who agreed
	Reason    string       // why it was resolved
	Reopened  int          // how often it was found again after it was resolved
	Case      int64        // of the purchase, 0 while there is none
}

// Entry is a line of a break's history. It is added, and never changed.
type Entry struct {
	Break int64
	Seq   int64
	At    purchase.Instant
	Staff auth.StaffID // 0 for the system
	Event string       // found, changed, reopened, asked, accepted, refused, resolved, gone, booked
	Text  string
}

// Sift selects breaks, the newest first. An empty field asks nothing.
type Sift struct {
	Partner  string
	Status   []Status
	Cause    Cause
	Purchase purchase.ID
	Party    string
	Moved    Span  // Found.At
	First    Span  // FirstAt, by which a break has its age
	Before   int64 // older than this break
	Limit    int
}

// BreakTotal is what breaks of a cause, party, status and currency add up to, minor units.
type BreakTotal struct {
	Cause    Cause
	Party    string
	Status   Status
	Currency string
	Breaks   int64
	Loss     int64 // Found.Loss, summed
}

// IDs is a range of purchases, without its end.
type IDs struct{ From, Till purchase.ID }

// Close is the record of a day, as it was signed.
type Close struct {
	Seq      int64 // from 1, without gaps
	Day      string
	Corrects int64 // the record of the same day that this one corrects, 0 for none
	At       purchase.Instant
	Note     string // the signed note
}

// The errors of a store.
var (
	ErrNoStatement = errors.New("no such statement")
	ErrNoBreak     = errors.New("no such break")
	ErrStale       = errors.New("somebody else changed it")
)

// Store keeps statements, breaks and closes. What a method changed is durable on
// return. Errors wrap purchase.ErrUnavailable when nothing was changed and the call may be repeated.
type Store interface {
	// Made are the purchases that were made in a time, by ranges of their IDs.
	Made(ctx context.Context, in Span) ([]IDs, error)
	// Piece is where the first limit purchases of a range end: in.Till when there are no more.
	Piece(ctx context.Context, in IDs, limit int) (till purchase.ID, err error)
	// Movements returns the movements at a partner of all purchases of a range, by purchase and leg, as of one moment.
	Movements(ctx context.Context, partner string, in IDs) ([]Movement, error)
	Load(ctx context.Context, ids ...purchase.ID) ([]purchase.Record, error)

	// Loaded returns the partner's statement of a digest that is kept, or ErrNoStatement.
	Loaded(ctx context.Context, partner, digest string) (Statement, error)
	// BeginStatement keeps a statement that is about to be loaded and gives it its ID. One of the same partner and digest
	// is returned instead: as it is if it is kept, emptied if its load ended in the middle.
	BeginStatement(ctx context.Context, s Statement) (Statement, error)
	PutParts(ctx context.Context, statement int64, parts []Part) error
	// EndStatement makes a statement one that is kept, replaces others, and resolves the partner's breaks
	// of its period that it did not show; gone is how many.
	EndStatement(ctx context.Context, s Statement, replaces []int64, at purchase.Instant) (gone int, err error)
	// Statements returns those that are kept and not replaced, and whose periods meet a time, by their beginning. Of every partner for "".
	Statements(ctx context.Context, partner string, in Span) ([]Statement, error)
	// Firsts are the first records of a statement's parts, in order.
	Firsts(ctx context.Context, statement int64) ([][]byte, error)
	// PartLines are the lines of one part.
	PartLines(ctx context.Context, statement int64, seq int) ([]byte, error)

	// PutBreaks keeps what a statement shows: a break that is not known yet is added, one that was resolved is opened again.
	// A customer's case is opened with it.
	PutBreaks(ctx context.Context, partner string, statement int64, found []Found, at purchase.Instant) (fresh int, err error)
	Breaks(ctx context.Context, s Sift) ([]Break, error)
	// BreakTotals adds up the breaks that a sift selects; Before and Limit do not matter.
	BreakTotals(ctx context.Context, s Sift) ([]BreakTotal, error)
	// ChangeBreak writes a break whose Version is one more than the stored one, a line of its history, and, with
	// it, hands evidence to the purchase's owner; or returns ErrStale.
	ChangeBreak(ctx context.Context, b Break, e Entry, evidence *purchase.Parked) error
	BreakEntries(ctx context.Context, id int64) ([]Entry, error)

	// AddClose keeps the next record of a day, or returns ErrStale where its Seq is taken.
	AddClose(ctx context.Context, c Close) error
	// Closes returns the records of a day, or all for "", in order.
	Closes(ctx context.Context, day string) ([]Close, error)
	// LastClose is the last record, with Seq 0 where there is none.
	LastClose(ctx context.Context) (Close, error)
}
