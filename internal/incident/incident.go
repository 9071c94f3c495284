// Package incident sees that purchases fail, keeps more customers from being charged,
// keeps the record of what happened, tells everybody, and sees to it that all who were
// affected are settled. It knows nothing of SQL, HTTP or any partner's protocol.
package incident

import (
	"context"
	"strconv"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Dimension is what purchases are counted by.
type Dimension uint8

// The dimensions.
const (
	ByProduct Dimension = iota + 1
	ByProvider
	ByPayer
	ByChannel
	ByOperator // the recipient's
	// ByCentre: messages to customers, by what brings them. No purchase is one of such a
	// series, and it cannot be paused.
	ByCentre
)

// Series names one thing that purchases are counted by, and that can be paused: the
// provider "ocs", the product "data-day".
type Series struct {
	By   Dimension
	Name string
}

// Of reports whether a purchase is one of the series. Operator is the recipient's.
func (s Series) Of(r *purchase.Request, operator string) bool {
	switch s.By {
	case ByProduct:
		return r.Product == s.Name
	case ByProvider:
		return r.Provider == s.Name
	case ByPayer:
		return r.Payer == s.Name
	case ByChannel:
		return r.Channel == s.Name
	case ByOperator:
		return operator == s.Name
	case ByCentre:
	}
	return false
}

// Rule is why something is taken for failing.
type Rule string

// The rules.
const (
	RuleFastBurn  Rule = "fast_burn" // 14.4 times the error budget over 1 h and 5 min
	RuleSlowBurn  Rule = "slow_burn" // 6 times over 6 h and 30 min
	RuleAbsolute  Rule = "absolute"  // so many paid and not credited within minutes
	RuleAnswers   Rule = "answers"   // a partner answers with errors or not at all
	RuleHeartbeat Rule = "heartbeat" // a partner says that it is degraded or unavailable
	RuleSilence   Rule = "silence"   // purchases that always came come no more
	RuleLines     Rule = "lines"     // a provider refuses nearly every line as unknown or barred
	RuleNotices   Rule = "notices"   // messages do not reach the customers
	RuleHand      Rule = "hand"      // a person says so
)

// Finding is that a series fails, or that it does so no more.
type Finding struct {
	Series Series
	Rule   Rule
	Since  purchase.Instant // of the first failure that was counted
	At     purchase.Instant // when it was found
	Paid   int64            // purchases paid in the rule's window
	Failed int64            // of those, not credited in time
	Detail string           // for operations, in one line, without any number of a customer
	Well   bool             // it fails no more; the rest is as when it was found, but for At
}

// Pause keeps purchases of a series from being sold: they are refused before the charge.
// Purchases under way are not affected.
type Pause struct {
	ID       int64
	Version  int64 // counts durable changes, from 1
	Series   Series
	Share    int // of a thousand purchases that are let through: 0, 10, 100, 500; 1000 when it is over
	Reason   string
	By       Actor
	Incident ID // 0 for none
	At       purchase.Instant
	EndedAt  purchase.Instant // 0 while it lasts
	// Held keeps probes from reopening it: a person paused it, a person resumes it.
	Held bool
	// EndedBy and EndReason are of a person who ended it before it was over by itself.
	EndedBy   Actor
	EndReason string
	// ExpectedAt is when its incident should be over, 0 where nobody knows. It is the incident's: with a pause it is only read.
	ExpectedAt purchase.Instant
	RampState
}

// RampState is how far a pause is on its way back. It is kept with the pause, so that any
// node goes on with it. The zero value is of one that was just made.
type RampState struct {
	Tries   int64            // probes that were begun
	Good    int64            // of those, that went well in a row
	Falls   int64            // times that it failed on its way: each makes the next wait longer
	Failing bool             // the last probe, or what was sold since, failed
	Said    string           // what the last probe said, for operations
	StepAt  purchase.Instant // since when the share holds; 0 for since the pause
	TryAt   purchase.Instant // when the probe under way was begun, 0 for none
	NextAt  purchase.Instant // when the next probe is due; 0 for soon after the pause
}

// Actor is who did something: one of the staff, or the system (Staff 0).
type Actor struct{ Staff auth.StaffID }

// ID identifies an incident.
type ID int64

// String is the incident's name for people: "I-12".
func (id ID) String() string { return "I-" + strconv.FormatInt(int64(id), 10) }

// Key makes a message to a customer one that is sent once (invariant I3), or once in a round: those that are told again
// after the incident was opened again.
func (id ID) Key(what string, round int64, number purchase.MSISDN) string {
	if round > 0 {
		what += "." + strconv.FormatInt(round, 10)
	}
	return "incident-" + strconv.FormatInt(int64(id), 10) + "-" + what + "-" + strconv.FormatInt(int64(number), 10)
}

// Status is where an incident stands.
type Status uint8

// The statuses.
const (
	Ongoing    Status = iota + 1 // it fails
	Recovering                   // sales reopen step by step, what was stuck is settled
	Resolved                     // works again; not everybody affected is settled yet
	Closed                       // everybody affected is settled; it needs the staff's word
)

// Severity is how bad an incident is.
type Severity uint8

// The severities, by affected customers and what fails.
const (
	Minor Severity = iota + 1
	Major
	Critical
)

// Incident is one failure of a series, from the first customer affected to the last one settled.
type Incident struct {
	ID       ID
	Version  int64 // counts durable changes, from 1
	Series   Series
	Rule     Rule
	Status   Status
	Severity Severity
	Party    string // responsible: "provider:ocs", "payer:wallet", "tenu", "centre"; as the profile's report names it
	Owner    auth.StaffID

	Since       purchase.Instant // of the first failure
	SeenAt      purchase.Instant
	PausedAt    purchase.Instant // 0 where nothing was paused
	RecoveredAt purchase.Instant // 0 until the failing stopped
	ResolvedAt  purchase.Instant // sales wholly open again
	ClosedAt    purchase.Instant
	ExpectedAt  purchase.Instant // when it should be over, 0 where nobody knows

	// What is said of it to the public, by language ("fr", "en"): drafted by the system, changed by people.
	Title, Text map[purchase.Language]string
	ChangedAt   purchase.Instant

	// Graded: a person said how severe it is. Worded: a person wrote what is said to the public.
	// The system leaves both alone from then on.
	Graded, Worded bool
	// What its timeline last said: how many of a thousand purchases are sold, and how many customers were told.
	Share int
	Told  int64

	// Owed is what has to be done about it by rule, in the order in which it came to be.
	Owed []Owed
}

// Entry is one line of an incident's timeline.
type Entry struct {
	Seq      int64
	Incident ID
	At       purchase.Instant
	By       Actor
	Event    Event
	Text     string
}

// Event is what an entry says happened.
type Event string

// The events.
const (
	EventOpened    Event = "opened"
	EventPaused    Event = "paused"
	EventStep      Event = "step" // more is sold again, or less; the text says how many of a thousand
	EventProbe     Event = "probe"
	EventTold      Event = "told" // the text says whom and how many
	EventText      Event = "text" // what is told to the public was changed
	EventOwner     Event = "owner"
	EventSeverity  Event = "severity"
	EventParty     Event = "party"
	EventExpected  Event = "expected"
	EventNote      Event = "note"
	EventRecovered Event = "recovered"
	EventResolved  Event = "resolved"
	EventClosed    Event = "closed"
	EventAgain     Event = "again" // it fails again
	EventOwed      Event = "owed"  // something has to be done by rule; the text names the duty, as in the next two
	EventDone      Event = "done"  // it was done; a second line of the text is a person's
	EventLate      Event = "late"  // it was not done in time
)

// Totals is what an incident did to customers and what became of them. All amounts are
// in minor units of the installation's currency.
type Totals struct {
	Purchases, Customers         int64
	Credited, Refunded, Pending  int64 // of the purchases; Pending is open, whether in exposure or not
	Exposed                      int64 // of the purchases, in exposure
	Amount                       int64 // charged
	AmountCredited, AmountGiven  int64 // given: refunded
	AmountPending                int64
	Cases, CasesOpen             int64
	Told                         int64 // customers who were sent the incident's message
	CallbacksPromised            int64
	CallbacksKept, CallbacksLost int64
	Currency                     money.Currency // "" where there are no purchases
	SettledP50, SettledP95       time.Duration  // from the charge to credit or refund
	SettledP99, SettledMax       time.Duration
}

// Change is one durable change of an incident: the incident, its new entries and messages, all or nothing.
type Change struct {
	Now      Incident // Version is one more than the stored one, 1 for a new incident
	Entries  []Entry
	Pauses   []Pause // made or changed with it
	Messages []care.Message
}

// Store keeps incidents and pauses. What a method changed is durable on return. Errors
// wrap purchase.ErrUnavailable when nothing was changed and the call may be repeated,
// ErrStale where the version is not the stored one.
type Store interface {
	// ChangeIncident keeps a change. Entries are numbered from a thousand times the version on. A new
	// incident of a series that has one which is not closed is refused with *OpenError, as is one that is
	// opened again while another is. Closing is refused with ErrUnsettled while a linked purchase is neither settled
	// nor in exposure with a closed case. Pauses without an incident become this one's.
	ChangeIncident(ctx context.Context, c Change) (Incident, error)
	Incidents(ctx context.Context, q Query) ([]Incident, error)
	Entries(ctx context.Context, id ID) ([]Entry, error)
	// ChangePause keeps a pause that belongs to no change of an incident. One series has at most one that lasts (ErrPaused).
	ChangePause(ctx context.Context, p Pause) (Pause, error)
	// CountRefused adds up what pauses refused: several nodes count, each its own.
	CountRefused(ctx context.Context, all []Refused) error
	// Pauses returns those that last, or that ended since an instant.
	Pauses(ctx context.Context, since purchase.Instant) ([]Pause, error)

	// Affect links the purchases in reach of an incident, and their cases, also those opened since r.From of purchases
	// linked before. A purchase is linked to one incident: what is linked already, to whichever, is left alone, so that
	// nothing is counted twice. Of a customer who was told that all of theirs is settled, a new purchase begins another round, once
	// each time that the incident was opened again. It works in transactions of a few hundred purchases, and does nothing to a closed
	// incident. It returns how many purchases are new.
	Affect(ctx context.Context, id ID, r Reach) (int64, error)
	Totals(ctx context.Context, id ID) (Totals, error)
	// Untold returns customers who are affected and have not been told in their round, oldest purchase first, each once.
	Untold(ctx context.Context, id ID, limit int) ([]Customer, error)
	// Unended returns customers who were told of the incident and not yet of its end for them, by number, those
	// after a number.
	Unended(ctx context.Context, id ID, after purchase.MSISDN, limit int) ([]Customer, error)
	// Tell keeps messages to customers with what they say, all or nothing. A customer who was told the same
	// before in that round, whose round is another one, or who is not affected, is left out. It returns how many were not.
	Tell(ctx context.Context, id ID, all []Telling) (int64, error)
	// IncidentCourse counts the linked purchases by when they were made, charged and settled, and what the incident's
	// pauses refused, in buckets of [from, till). Buckets are at most 10 000.
	IncidentCourse(ctx context.Context, id ID, from, till purchase.Instant, every time.Duration) ([]Bucket, error)
	// Settlements says how long it took from the charge until the linked purchases that are settled were, counted by
	// the upper ends given, which grow; what took longer than the last is the last count.
	Settlements(ctx context.Context, id ID, ends []time.Duration) (Settlements, error)
	// Sales tells of purchases that were made in a time, shard by shard, in the order of their IDs. ErrTooMany when there
	// are more than q.Most: then see was told of some. It is not called after an error.
	Sales(ctx context.Context, q SalesQuery, see func(*Sale)) error
	// Stuck returns linked purchases that are not settled, by ID, those after one.
	Stuck(ctx context.Context, id ID, after purchase.ID, limit int) ([]purchase.ID, error)
	// Load returns the purchases as they stand.
	Load(ctx context.Context, ids ...purchase.ID) ([]purchase.Record, error)
	// StaffMember returns one of the staff as they are now, the zero Staff when there is none.
	StaffMember(ctx context.Context, id auth.StaffID) (auth.Staff, error)
	// HoldStuck holds the stuck purchases of a partner, or lets them go on. Held returns those held, by partner.
	HoldStuck(ctx context.Context, h Hold, hold bool) error
	Held(ctx context.Context) ([]Hold, error)
	// Affects returns the incidents that a purchase is linked to: one at most.
	Affects(ctx context.Context, p purchase.ID) ([]ID, error)
}

// EntriesPerVersion bounds the entries of one change: an entry's Seq, divided by it, is the version that wrote it.
const EntriesPerVersion = 1000

// MaxListed bounds a list of incidents where no limit is given.
const MaxListed = 1000

// Query selects incidents, newest first.
type Query struct {
	IDs    []ID
	Open   bool             // not closed
	Since  purchase.Instant // not closed before
	Before ID               // older than; 0 for the newest
	Limit  int
}

// Reach is which purchases an incident affects: those of the series that were charged in [From, Till) and were not
// credited Within of that, or are being given back.
type Reach struct {
	Series     Series
	From, Till purchase.Instant
	Within     time.Duration
	// Open, unless 0, also finds what was charged since then and is still open, whenever it was made. Otherwise
	// only purchases are found that were made at most ten minutes before From.
	Open purchase.Instant
	At   purchase.Instant // now
	// Memory, unless nil, spares looking at what was decided: but for looks with Open set, only what was undecided and what
	// is new is looked at. A purchase that comes with a number below newer ones is found by the next look with Open.
	Memory *Memory
	// House is the payer of what no customer pays for, such as probes: that affects nobody. "" for none.
	House string
	// Operator is the operator of a number; only ByOperator needs it.
	Operator func(purchase.MSISDN) string
}

// Memory is what Affect remembers of its looks for one incident. It belongs to one process, and may be lost: then the next
// look is at all. The zero value remembers nothing.
type Memory struct {
	Next      map[int]purchase.ID // by shard, from where on what is new is looked for; nil: nothing was looked at
	Undecided map[purchase.ID]bool
}

// Forget makes the next look one at all.
func (m *Memory) Forget() {
	if m != nil {
		*m = Memory{}
	}
}

// Customer is somebody whom an incident affects: whose money was charged. What is counted is of the round.
type Customer struct {
	Number    purchase.MSISDN
	Language  purchase.Language
	Round     int64 // 0, or the number of the reopening that harmed them again after all was settled
	Purchases int64
	Amount    int64       // charged
	Pending   int64       // of the purchases, not settled yet
	Given     int64       // of the amount, refunded
	First     purchase.ID // the oldest of the purchases
	Product   string      // of the oldest
	Currency  money.Currency
	ResolveBy purchase.Instant // the latest deadline of what is pending, 0 for none
	Case      care.CaseID      // of the oldest, 0 for none
	Saying    Saying           // what was said so far in the round
}

// Saying is a set of what a customer was told of an incident, each once in a round.
type Saying uint8

// What is said.
const (
	SaidHappened Saying = 1 << iota // what happened, and that the money is safe
	SaidEnded                       // all of theirs is settled
	SaidLonger                      // it takes longer than was said
)

// Telling is one message to a customer. Message.Key must not be empty.
type Telling struct {
	Says    Saying // may be several
	Round   int64  // the customer's
	Message care.Message
}

// Bucket is a piece of an incident's course: of the affected purchases, but for Refused.
type Bucket struct {
	At              purchase.Instant
	Sold            int64 // made: asked for and let through
	Charged         int64
	Credited, Given int64
	Refused         int64 // of the series, before the charge, by the incident's pauses
	Told            int64 // customers
}

// Settlements is how long it took until the settled purchases of an incident were, from the charge.
type Settlements struct {
	Credited, Given, All Took
	Ends                 []SettledWithin
}

// Took is within what time the half, most and all of some purchases had their outcome. It is zero for none.
type Took struct {
	Count              int64
	P50, P95, P99, Max time.Duration
}

// SettledWithin counts the purchases that had their outcome within Till and not within the one before; Till is 0 for those that
// took longer than every other one.
type SettledWithin struct {
	Till            time.Duration
	Credited, Given int64
}

// SalesQuery selects purchases that were made in [From, Till), but none that House paid or that are linked to Without.
type SalesQuery struct {
	From, Till purchase.Instant
	House      string
	Without    ID
	Most       int
}

// Sale is a purchase as it stands, in what courses and rhythms are counted by.
type Sale struct {
	Made, Charged, Closed             purchase.Instant // 0 for not yet
	State                             purchase.State
	Recipient                         purchase.MSISDN
	Product, Provider, Payer, Channel string
}

// Refused counts purchases that a pause refused within the minute that begins at an instant.
type Refused struct {
	Pause  int64
	Minute purchase.Instant
	Count  int64
}

// Hold keeps the engine from asking a partner about its stuck purchases, while new ones go on.
type Hold struct {
	Partner string
	At      purchase.Instant
	By      Actor
	Reason  string
}
