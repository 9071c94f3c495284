package incident

import (
	"errors"
	"fmt"
)

// Errors that callers branch on.
var (
	// ErrStale: changed meanwhile; read it again.
	ErrStale = errors.New("incident: changed meanwhile")
	// ErrNotFound: there is no such incident or pause.
	ErrNotFound = errors.New("incident: not found")
	// ErrPaused: the series has a pause that lasts.
	ErrPaused = errors.New("incident: paused already")
	// ErrUnsettled: somebody affected is not settled yet, so it cannot be closed.
	ErrUnsettled = errors.New("incident: not everybody affected is settled")
	// ErrOwed: a regulator is still to be notified, so it cannot be closed.
	ErrOwed = errors.New("incident: a notice is still to be sent")
	// ErrSeries: there is no such product, partner, channel or operator.
	ErrSeries = errors.New("incident: no such series")
	// ErrReason: what a person does needs a reason, of 1 to 500 characters.
	ErrReason = errors.New("incident: a reason of 1 to 500 characters is needed")
	// ErrNotAllowed: who asks may not do that.
	ErrNotAllowed = errors.New("incident: not allowed")
	// ErrDeed: there is no such deed, it lacks what it needs, or it changes nothing. It is wrapped with why.
	ErrDeed = errors.New("incident: cannot be done")
	// ErrNoEngine: nothing can be tried or held here.
	ErrNoEngine = errors.New("incident: no engine")
	// ErrTooMany: more purchases than were to be read.
	ErrTooMany = errors.New("incident: too many purchases")
	// ErrFailing: the last probe failed; the pause cannot end yet.
	ErrFailing = errors.New("incident: it still fails")
)

// OpenError refuses a second open incident of a series.
type OpenError struct{ Incident ID }

// Error says which one is open.
func (e *OpenError) Error() string {
	return fmt.Sprintf("incident %s of the series is open", e.Incident)
}
