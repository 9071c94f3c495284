// Package tmf answers TM Forum's Trouble Ticket Management API (TMF621 4.0) over the
// cases, so that another system can hold the conversation with a customer, and writes the
// events that such systems are told. It knows nothing of SQL, of keys and limits, and of
// how a case is decided.
//
// A ticket is a case as its client may see it. The statuses of the API are the
// phases of cases, one for one:
//
//	acknowledged  open, and nobody has acted yet
//	inProgress    open, and somebody has it, answered it, or it was escalated
//	held          open, and an incident holds it
//	pending       the customer is to answer
//	resolved      settled by a rule, and the client has not agreed yet
//	closed        settled by a person, or the client agreed
//	cancelled     withdrawn without an outcome
//	rejected      merged: troubleTicketRelationship names the case that deals with it
//
// A client may ask for pending, inProgress (from pending, or to open a closed
// ticket again), resolved and closed (where the ledger shows an outcome) and
// cancelled. The rest follows from what the operator does.
package tmf

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/hook"
	"tenu/internal/purchase"
)

// Base is the path below which everything is.
const Base = "/tmf-api/troubleTicket/v4"

const ticketPath = Base + "/troubleTicket/"

// Desk is what tickets need of care; *care.Desk is one.
type Desk interface {
	// Open opens a case, or adds a matter to the one that the purchase has.
	Open(ctx context.Context, by care.Actor, n care.NewCase) (c care.Case, added bool, err error)
	// Act does a deed to a case that still has a version.
	Act(ctx context.Context, id care.CaseID, version int64, by care.Actor, deed care.Deed) (care.Case, error)
	// History returns a case's entries, oldest first.
	History(ctx context.Context, id care.CaseID) ([]care.Entry, error)
	// CaseReference is a case's name for people, ParseCase reads it.
	CaseReference(id care.CaseID) string
	ParseCase(text string) (care.CaseID, error)
}

// Store is what tickets need of the store.
type Store interface {
	care.ExternalStore
	hook.ListenerStore
	// Cases returns those cases that exist, in the order of their IDs.
	Cases(ctx context.Context, ids ...care.CaseID) ([]care.Case, error)
	// Load returns the records of those purchases that exist.
	Load(ctx context.Context, ids ...purchase.ID) ([]purchase.Record, error)
}

// References name purchases to people; *purchase.Keyring does.
type References interface {
	Reference(id purchase.ID) purchase.Reference
	Parse(text string) (purchase.ID, error)
}

// Config is what the interface is built from. All of it is needed.
type Config struct {
	Desk       Desk
	Store      Store
	References References
	// Number reads a telephone number as people write it.
	Number func(text string) (purchase.MSISDN, error)
	// Listens says why a client may not be told of events at an address, or nil; (*hook.Targets).Check does.
	Listens func(client, address string) error
	Clients *auth.Book
	Clock   purchase.Clock
}

// maxListeners bounds a client's listeners.
const maxListeners = 20

// TMF answers. It is safe for concurrent use.
type TMF struct {
	cfg     Config
	clients map[string]*auth.Client
	// opening lets one request at a time open cases of a number, so that those that come
	// at once with one name find one case.
	opening [64]sync.Mutex
}

// New returns the interface, or an error that says what is missing.
func New(cfg Config) (*TMF, error) {
	if cfg.Desk == nil || cfg.Store == nil || cfg.References == nil || cfg.Number == nil || cfg.Listens == nil || cfg.Clients == nil || cfg.Clock == nil {
		return nil, errors.New("tmf: desk, store, references, numbers, listens, clients and clock are needed")
	}
	t := &TMF{cfg: cfg, clients: map[string]*auth.Client{}}
	all := cfg.Clients.Clients()
	for i := range all {
		t.clients[all[i].Name] = &all[i]
	}
	return t, nil
}

// Route is one operation, for whoever authenticates and bounds before it.
type Route struct {
	Pattern string // method and path
	Scope   auth.Scope
	Media   []string // that its body may be of; none: there is no body
	// Answer answers. An error is for the log: the answer was written.
	Answer func(w http.ResponseWriter, r *http.Request, client *auth.Client, body []byte) error
}

// Routes lists the operations. There is none that deletes a ticket: what customers
// said is kept.
func (t *TMF) Routes() []Route {
	plain := []string{"application/json"}
	patch := []string{"application/json", "application/merge-patch+json"}
	return []Route{
		{"GET " + Base + "/troubleTicket", auth.CasesRead, nil, t.list},
		{"POST " + Base + "/troubleTicket", auth.CasesWrite, plain, t.create},
		{"GET " + ticketPath + "{id}", auth.CasesRead, nil, t.get},
		{"PATCH " + ticketPath + "{id}", auth.CasesWrite, patch, t.patch},
		{"POST " + Base + "/hub", auth.CasesRead, plain, t.listen},
		{"DELETE " + Base + "/hub/{id}", auth.CasesRead, nil, t.unlisten},
	}
}

// scope is whose cases a client sees, "" for everybody's.
func scope(client *auth.Client) string {
	if client.May(auth.CasesAll) {
		return ""
	}
	return client.Name
}

// seen returns a case that a client may see, or care.ErrNoCase.
func (t *TMF) seen(ctx context.Context, client *auth.Client, id care.CaseID) (care.Case, error) {
	page, _, err := t.cfg.Store.Sifted(ctx, care.Sift{Client: scope(client), Case: id, Limit: 1})
	if err != nil {
		return care.Case{}, err
	}
	if len(page) == 0 {
		return care.Case{}, care.ErrNoCase
	}
	found, err := t.cfg.Store.Cases(ctx, id)
	if err == nil && len(found) == 0 {
		err = care.ErrNoCase
	}
	if err != nil {
		return care.Case{}, err
	}
	return found[0], nil
}

// named returns the case of a request's path.
func (t *TMF) named(r *http.Request, client *auth.Client) (care.Case, error) {
	id, err := t.cfg.Desk.ParseCase(r.PathValue("id"))
	if err != nil {
		return care.Case{}, care.ErrNoCase
	}
	return t.seen(r.Context(), client, id)
}

// statuses gives each phase its status.
var statuses = map[care.Phase]string{
	care.PhaseFresh: "acknowledged", care.PhaseWorking: "inProgress", care.PhaseHeld: "held", care.PhaseWaiting: "pending",
	care.PhaseSolved: "resolved", care.PhaseClosed: "closed", care.PhaseWithdrawn: "cancelled", care.PhaseMerged: "rejected",
}

// phaseOf returns the phase of a status.
func phaseOf(status string) (care.Phase, bool) {
	for phase, name := range statuses {
		if name == status {
			return phase, true
		}
	}
	return 0, false
}

// statusList is every status, for people.
func statusList() string {
	var names []string
	for _, phase := range care.Phases {
		names = append(names, statuses[phase])
	}
	return strings.Join(names, ", ")
}
