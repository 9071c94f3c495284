// Package hook tells other systems what becomes of cases and incidents: who listens, what is
// still to be told (deliveries), and the telling, by signed HTTP requests to
// listed targets and to no other. It knows nothing of either: an event is a line of a history by its numbers, and somebody
// else writes the body. It must not know SQL or configuration.
package hook

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"strings"

	"tenu/internal/purchase"
)

// Listener is somebody who wants to be told of cases, or of incidents.
type Listener struct {
	ID     string
	Client string // whose cases: of the API client of that name; "" for incidents, which are nobody's
	URL    string
	Query  string // which events, as whoever writes the bodies understands it; "" for all
	At     purchase.Instant
}

// configured begins the IDs of listeners that the configuration makes.
const configured = "config-"

// NewListener is a client's listener. Its ID follows from the rest: asked for
// again it is the same one.
func NewListener(client, url, query string, at purchase.Instant) Listener {
	hash := sha256.Sum256([]byte(client + "\x00" + url + "\x00" + query))
	id := strings.ToLower(base32.StdEncoding.EncodeToString(hash[:15]))
	return Listener{ID: id, Client: client, URL: url, Query: query, At: at}
}

// Configured is a listener that the configuration makes under a name.
func Configured(name, client, url, query string) Listener {
	return Listener{ID: configured + name, Client: client, URL: url, Query: query}
}

// State of a delivery.
type State uint8

// The states.
const (
	Waiting   State = iota + 1 // to be tried when its time comes
	Delivered                  // taken, or not for this listener
	Dead                       // given up; operators see it
)

// Delivery is one event on its way to one listener.
type Delivery struct {
	Listener string
	// Subject is what has the history, a case or an incident, and Seq the line of it.
	Subject, Seq int64
	At           purchase.Instant // of the event
	TriedAt      purchase.Instant // of the first try, zero before
	NextAt       purchase.Instant
	Tries        int
	State        State
	Problem      string // of the last try, without a number or an address in it
}

// Errors that callers branch on.
var (
	// ErrTarget: nothing may be sent there. It is wrapped with why.
	ErrTarget = errors.New("hook: not a listed target")
	// ErrFull: the client has as many listeners as it may.
	ErrFull = errors.New("hook: too many listeners")
	// ErrNotFound: the client has no such listener.
	ErrNotFound = errors.New("hook: no such listener")
	// ErrSkip: the event is not for that listener.
	ErrSkip = errors.New("hook: not for this listener")
)

// ListenerStore keeps listeners. What a method changed is durable on return.
// Errors wrap purchase.ErrUnavailable when nothing was changed and the call may be
// repeated.
type ListenerStore interface {
	// PutListener keeps a listener, in the place of one with the same ID. It
	// returns ErrFull when the client has so many others already. From its commit on,
	// each line that a history gets is a delivery, written in the transaction
	// that writes the line.
	PutListener(ctx context.Context, s Listener, most int) error
	// DropListener forgets a client's listener and its deliveries, or returns ErrNotFound.
	DropListener(ctx context.Context, client, id string) error
	// Listeners returns all listeners, by their IDs.
	Listeners(ctx context.Context) ([]Listener, error)
}

// Store keeps listeners and deliveries.
type Store interface {
	ListenerStore
	// DueDeliveries returns up to limit deliveries of a listener that wait and whose
	// time has come, of each subject only the oldest that waits, soonest first; and when the next of them is
	// due, zero for none.
	DueDeliveries(ctx context.Context, listener string, till purchase.Instant, limit int) (due []Delivery, next purchase.Instant, err error)
	// MoveDeliveries writes how deliveries stand now. Those that are Delivered are
	// forgotten. Writing the same twice is harmless.
	MoveDeliveries(ctx context.Context, all []Delivery) error
	// ForgetDeliveries forgets up to limit deliveries that wait and whose event happened until an instant,
	// oldest first, and returns how many there were of each listener.
	ForgetDeliveries(ctx context.Context, till purchase.Instant, limit int) (map[string]int, error)
	// Backlog counts the deliveries that wait and those that are dead.
	Backlog(ctx context.Context) (Backlog, error)
}

// Backlog is what is still to be told, and what was given up.
type Backlog struct {
	Waiting, Dead int
	Oldest        purchase.Instant // event that waits, zero for none
}

// Message is an event as it is sent.
type Message struct {
	ID   string // the same for every try
	Type string
	Body []byte // JSON
}
