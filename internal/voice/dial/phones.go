package dial

import (
	"context"
	"errors"

	"tenu/internal/care"
	"tenu/internal/purchase"
)

// ErrUndialled says that telephones were not reached, and certainly nothing rings. Any other error
// of a call leaves it open whether something does.
var ErrUndialled = errors.New("dial: nothing rings")

// Call is one that telephones are to make.
type Call struct {
	Name          string // ours, of one attempt
	Extension     string // the agent's
	Number        purchase.MSISDN
	Language      purchase.Language // the customer's
	Late          bool              // it makes good a broken promise
	CustomerFirst bool              // the customer's phone rings before the agent's
	Asked         bool              // the agent asked for it, and is not asked whether to make it
}

// Phones let telephones ring: those of the SIP server (Lines), or of a telephone system that takes its place.
type Phones interface {
	// Call begins a call, and returns at once. The same name again is the same call. What becomes of it is told to
	// Dialler.Heard, in any order and as often as one likes; last that it ended.
	Call(ctx context.Context, c Call) error
	// HangUp ends a call, if it is not over.
	HangUp(name string)
}

// News is what a telephone says of a call.
type News uint8

// The news. A call has each at most once, however often it is told.
const (
	Taken  News = 1 << iota // the agent's phone was answered, and the agent wants to speak
	Missed                  // it was not
	Spoke                   // agent and customer hear each other
	Ended                   // nothing rings any more, nobody is connected
)

// Event is news of a call.
type Event struct {
	Call string // its name
	News News
	Ring care.Ring // with Ended: what became of the customer's phone, when they did not speak
	Down bool      // with Ended: telephones are not reached, whoever is called
}
