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

// PausedError refuses a purchase before the charge because a partner that it
// needs is failing. Nothing was written.
type PausedError struct{ Partner string }

// Error says which partner is failing.
func (e *PausedError) Error() string { return "sales through " + e.Partner + " are paused" }
