package care

import (
	"context"
	"errors"
	"slices"
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// CaseID identifies a case inside tenu. People read, say and type its Reference.
type CaseID int64

// Status of a case.
type Status uint8

// The statuses.
const (
	Open      Status = iota + 1 // somebody of ours, or a rule, is to act
	Waiting                     // the customer is to answer; the clocks stand still
	Settled                     // closed with an outcome that the ledger shows; the customer may reopen it
	Withdrawn                   // closed because it was merged into another, or the customer took it back
)

var statusNames = [...]string{Open: "open", Waiting: "waiting", Settled: "settled", Withdrawn: "withdrawn"}

// String is the status's word.
func (s Status) String() string { return statusNames[s] }

// Closed reports whether nobody is to act any more.
func (s Status) Closed() bool { return s == Settled || s == Withdrawn }

// Outcome is what a case was closed with. Those that tell of money are what the
// ledger shows of the case's purchase (invariant C6).
type Outcome uint8

// The outcomes. The zero outcome is that of a case that is not settled.
const (
	OutcomeCredited     Outcome = iota + 1 // the purchase is credited
	OutcomeRefunded                        // the money was given back
	OutcomeNothingTaken                    // the payer took nothing
	OutcomeAnswered                        // of a case without a purchase: the customer was answered
)

var outcomeNames = [...]string{0: "", OutcomeCredited: "credited", OutcomeRefunded: "refunded",
	OutcomeNothingTaken: "nothing_taken", OutcomeAnswered: "answered"}

// String is the outcome's word, "" for none.
func (o Outcome) String() string { return outcomeNames[o] }

// Preference is what the customer wants while both are possible.
type Preference uint8

// The preferences.
const (
	PreferNone  Preference = iota // not said
	PreferUnits                   // still wants what was bought
	PreferMoney                   // wants the money back
)

// Case is everything that is wrong with one purchase, or one matter of a number
// without a purchase. A purchase has one case at most: a further matter is added to
// it, and opens it again.
type Case struct {
	ID       CaseID
	Version  int64 // counts durable changes, from 1
	Number   purchase.MSISDN
	Purchase purchase.ID       // 0 for none
	Matters  []purchase.Matter // in the order in which they came, each once
	Code     Code              // of the first matter, in the regulator's list
	Status   Status
	Outcome  Outcome
	Rule     string // that settled it, "" for a person or nobody
	Prefer   Preference

	// Owner is who deals with it, 0 for nobody. One who is silent until OwnerTill loses it.
	Owner     auth.StaffID
	OwnerTill purchase.Instant
	Level     int // of escalation: 0, or 1 once a supervisor is to act

	OpenedAt purchase.Instant
	// Clock runs from OpenedAt, or from the last reopening, and stands still while the case waits.
	Clock      Clock
	AnsweredAt purchase.Instant // first message or call of a person or rule to the customer
	TreatedAt  purchase.Instant // when automatic treatment last looked
	DueAt      purchase.Instant // when the system itself looks next, zero for never
	ClosedAt   purchase.Instant
	ChangedAt  purchase.Instant
	Reopened   int

	Incident string // the incident that it belongs to, "" for none
	Into     CaseID // that it was merged into, 0 for none
	Channel  string // over which it was opened: "system", "app", "ussd", "sms", "api", "console"
	Language purchase.Language
	Digest   string // what the customer or the system says is wrong, in one line
}

// Has reports whether a matter is among the case's.
func (c *Case) Has(m purchase.Matter) bool { return slices.Contains(c.Matters, m) }

// Code is a complaint's code in the list of the regulator.
type Code string

// The codes of the list of the Nigerian Communications Commission that can be told
// from what tenu knows (consumer code, service level agreement of 2019).
const (
	CodeBalance Code = "A2"  // dropped balance
	CodePending Code = "A3"  // credit pending
	CodeTopUp   Code = "A11" // virtual top-up deducted but not sent
	CodeOther   Code = "Z"   // none of the list's
)

// Actor is who did something to a case: staff, a rule, the customer, or the system.
type Actor struct {
	Kind  ActorKind
	Staff auth.StaffID // of a person
	Name  string       // of a rule, or of a system that calls the interface
}

// ActorKind is the kind of an actor.
type ActorKind uint8

// The kinds of actors.
const (
	BySystem ActorKind = iota + 1
	ByRule
	ByStaff
	ByCustomer
	ByClient // another system, over the interface
)

var actorNames = [...]string{BySystem: "system", ByRule: "rule", ByStaff: "staff", ByCustomer: "customer", ByClient: "client"}

// String is the kind's word.
func (k ActorKind) String() string { return actorNames[k] }

// Event is what an entry of a case's history tells.
type Event string

// The events.
const (
	EventOpened    Event = "opened"
	EventMatter    Event = "matter"   // another matter was added; Text is the matter
	EventReported  Event = "reported" // the customer's own words
	EventReopened  Event = "reopened"
	EventTaken     Event = "taken"    // by its owner
	EventReleased  Event = "released" // by its owner
	EventLapsed    Event = "lapsed"   // the owner was silent
	EventEscalated Event = "escalated"
	EventPaused    Event = "paused"  // the customer is to answer
	EventResumed   Event = "resumed" // the clocks run on
	EventNote      Event = "note"    // for ourselves
	EventTold      Event = "told"    // a message to the customer
	EventAsked     Event = "asked"   // a request was made; Text says which
	EventDecided   Event = "decided" // by a checker
	EventDone      Event = "done"    // a request had its effect, or turned out to be void
	EventTreated   Event = "treated" // a rule did something
	EventLinked    Event = "linked"  // to an incident; Text names it
	EventMerged    Event = "merged"  // into, or from, another case
	EventAttached  Event = "attached"
	EventLate      Event = "late" // a deadline passed
	EventSettled   Event = "settled"
	EventWithdrawn Event = "withdrawn"
	EventPrefers   Event = "prefers" // units or money
	EventCall      Event = "call"    // what becomes of a callback
)

// Entry is one line of a case's history. Lines are added and never changed.
type Entry struct {
	Case  CaseID
	Seq   int64 // of the case's version that wrote it, then in order
	At    purchase.Instant
	Event Event
	By    Actor
	Text  string
}

// Message is a text to a customer about a case or a callback, delivered by SMS.
type Message struct {
	ID       int64 // given by the store
	Case     CaseID
	Callback int64
	To       purchase.MSISDN
	Language purchase.Language
	Text     string
	At       purchase.Instant
	SentAt   purchase.Instant // zero while it waits
	// Key makes a message written once: another of the same key is left out. "": no such rule.
	Key string
}

// Proof is what a case may be closed with: the purchase as it must still stand when
// the change is written.
type Proof struct {
	Purchase purchase.ID
	State    purchase.State
}

// Change is one step of one case: all of it is written, or none.
type Change struct {
	Now      Case // Version is one more than the stored one, or 1 for a new case, whose ID the store gives
	Entries  []Entry
	Messages []Message
	// Proof must hold of the stored purchase, with nothing held for it, when the change settles a
	// case about money (invariant C6).
	Proof *Proof
	// Taken are the openings that the change deals with: they are never seen again.
	Taken []Opening
	// With is a step of another case that is written with this one: both are, or none; nil for none.
	With *Change
}

// Opening is a matter that is in no case yet: found by the engine, or reported by a customer.
type Opening struct {
	Purchase purchase.ID
	Matter   purchase.Matter
	At       purchase.Instant
	Report   *Report // nil: the engine's
}

// Errors that callers branch on.
var (
	// ErrStale: somebody else changed it meanwhile; read it again.
	ErrStale = errors.New("care: changed meanwhile")
	// ErrNoCase: there is no such case, or it is another customer's.
	ErrNoCase = errors.New("care: no such case")
	// ErrClosed: the case is closed.
	ErrClosed = errors.New("care: the case is closed")
	// ErrUnproven: the ledger does not show the outcome that the case was to be closed with.
	ErrUnproven = errors.New("care: the ledger does not show that outcome")
	// ErrRefused: who asks may not do that. It is wrapped with why.
	ErrRefused = errors.New("care: not allowed")
)

// CaseStore keeps cases. What a method changed is durable on return. Errors wrap
// purchase.ErrUnavailable when nothing was changed and the call may be repeated.
type CaseStore interface {
	// Openings returns up to limit matters that are in no case yet, oldest first.
	Openings(ctx context.Context, limit int) ([]Opening, error)
	// ChangeCase writes a change as one transaction and returns the case as stored. It
	// returns ErrStale when the case, or the one that changes with it, has moved on, or when a new case's purchase has a
	// case already, and ErrUnproven when the proof does not hold.
	ChangeCase(ctx context.Context, c Change) (Case, error)
	// Cases returns those cases that exist, in the order of their IDs.
	Cases(ctx context.Context, ids ...CaseID) ([]Case, error)
	// CasesOf returns the cases of a number, newest first.
	CasesOf(ctx context.Context, number purchase.MSISDN, limit int) ([]Case, error)
	// CasesAbout returns the cases of purchases, merged ones left out.
	CasesAbout(ctx context.Context, purchases ...purchase.ID) ([]Case, error)
	// DueCases returns up to limit open or waiting cases whose DueAt has come, soonest first, and
	// when the next after those is due, zero for none.
	DueCases(ctx context.Context, till purchase.Instant, limit int) (due []Case, next purchase.Instant, err error)
	// History returns a case's entries, oldest first.
	History(ctx context.Context, id CaseID) ([]Entry, error)
	// Queue returns a page of the cases of a view, most urgent first, and how many there are,
	// counted to at most a thousand: 1001 says that there are more.
	Queue(ctx context.Context, q Queue) (page []Case, count int, err error)
	// MessagesOf returns what was sent about a case or, with callback not 0, a callback, oldest first.
	MessagesOf(ctx context.Context, id CaseID, callback int64) ([]Message, error)
	// StaffMember returns one of the staff as they are now, the zero Staff when there is none.
	StaffMember(ctx context.Context, id auth.StaffID) (auth.Staff, error)
	// Load returns the purchases as they stand, for rules and proofs.
	Load(ctx context.Context, ids ...purchase.ID) ([]purchase.Record, error)
}

// View is a selection of cases that a queue shows.
type View string

// The views.
const (
	ViewMine      View = "mine"      // open, mine
	ViewUnowned   View = "unowned"   // open, nobody's
	ViewLate      View = "late"      // open, past a deadline
	ViewEscalated View = "escalated" // open, for the supervisor
	ViewWaiting   View = "waiting"   // the customer is to answer
	ViewOpen      View = "open"      // all that are open
	ViewSettled   View = "settled"   // lately
)

// Views lists every view.
var Views = []View{ViewMine, ViewUnowned, ViewLate, ViewEscalated, ViewWaiting, ViewOpen, ViewSettled}

// Queue selects a page of cases. Those that are due first come first; settled ones newest first.
type Queue struct {
	View     View
	Staff    auth.StaffID // whose, for ViewMine
	Incident string       // only this incident's; "" for all
	Code     Code         // only of this code; "" for all
	Now      purchase.Instant
	After    *Case // the last of the page before; nil for the first page
	Limit    int
}

// Clocks are the limits of a country's profile for cases.
type Clocks struct {
	AnswerWithin  time.Duration // the customer hears from somebody
	ResolveWithin time.Duration
	OwnerSilent   time.Duration // after which an owner who does nothing loses the case
	// WaitFor is how long a customer's answer is waited for before a case whose purchase is settled closes.
	WaitFor time.Duration
	// ReopenWithin is how long after a case was settled the customer may reopen it.
	ReopenWithin time.Duration
}

// DefaultClocks are those of the Nigerian consumer code for billing complaints (24 h),
// and for feedback on escalated ones (2 h), where a country has none, with tenu's own for the rest.
func DefaultClocks() Clocks {
	return Clocks{AnswerWithin: 2 * time.Hour, ResolveWithin: 24 * time.Hour, OwnerSilent: 20 * time.Minute,
		WaitFor: 48 * time.Hour, ReopenWithin: 30 * 24 * time.Hour}
}
