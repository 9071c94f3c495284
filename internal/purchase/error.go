package purchase

import (
	"errors"
	"fmt"
)

// Errors that callers branch on.
var (
	// ErrNotFound: no such purchase.
	ErrNotFound = errors.New("purchase not found")
	// ErrKeyConflict: the client used this key for another request.
	ErrKeyConflict = errors.New("idempotency key was used for another request")
	// ErrBusy: the node sheds load; nothing was written, try again shortly.
	ErrBusy = errors.New("too many purchases under way")
	// ErrFenced: this node's lease was taken over; nothing was written and
	// nothing can be any more under it.
	ErrFenced = errors.New("lease lost: another node took over")
	// ErrCommitUnknown: the transaction may or may not have been committed.
	ErrCommitUnknown = errors.New("commit outcome unknown")
	// ErrUnavailable: the store or a partner cannot be reached now; nothing was written.
	ErrUnavailable = errors.New("unavailable")
	// ErrUnknownLine: the provider does not know the number.
	ErrUnknownLine = errors.New("unknown line")
)

// RepeatError holds back a purchase like a recent one until the customer was
// asked. Nothing was written.
type RepeatError struct{ Earlier ID }

// Error says which purchase came first.
func (e *RepeatError) Error() string {
	return fmt.Sprintf("a purchase like %d was made a moment ago", e.Earlier)
}

// PausedError refuses a purchase before the charge because what it needs is failing,
// or sales of it are paused. Nothing was written. One of the names is set.
type PausedError struct {
	Partner  string // that charges or credits
	Product  string
	Channel  string
	Operator string // the recipient's
	// Until is when sales are expected to go on, zero when nobody knows.
	Until Instant
}

// Error says what is paused.
func (e *PausedError) Error() string {
	switch {
	case e.Product != "":
		return "sales of " + e.Product + " are paused"
	case e.Channel != "":
		return "sales on channel " + e.Channel + " are paused"
	case e.Operator != "":
		return "sales for lines of " + e.Operator + " are paused"
	}
	return "sales through " + e.Partner + " are paused"
}
