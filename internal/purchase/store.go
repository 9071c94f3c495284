package purchase

import (
	"cmp"
	"context"
	"slices"
	"time"

	"tenu/internal/ledger"
)

// Attempt is the durable intent of one outbound try. It is committed before
// the try is sent (invariant P10). Its key follows from purchase and leg.
type Attempt struct {
	Leg     Leg
	Try     int16
	Partner string
	At      Instant
}

// Evidence is what a partner said of a leg, as it was recorded under Version of
// the purchase (at most one per change).
type Evidence struct {
	Version int64
	Leg     Leg
	Source  Source
	Partner string
	Outcome
	At Instant
}

// Effect tells the postings of one leg apart (invariant L4).
type Effect uint8

// The effects.
const (
	EffectPrincipal    Effect = iota + 1 // the movement itself
	EffectFee                            // the fee's part of a credit
	EffectLate                           // credit after the money was given back
	EffectSecond                         // a second execution of the same leg
	EffectExcess                         // more than was asked for
	EffectWrong                          // units of another amount, product or number
	EffectUndone                         // the principal's reversal
	EffectFeeUndone                      // the fee's reversal
	EffectSecondUndone                   // the second execution's reversal
	EffectExcessUndone                   // the excess's reversal
	EffectAgain                          // a further refund of what is still held
)

var effectNames = [...]string{EffectPrincipal: "principal", EffectFee: "fee", EffectLate: "late",
	EffectSecond: "second", EffectExcess: "excess", EffectWrong: "wrong", EffectUndone: "undone",
	EffectFeeUndone: "fee_undone", EffectSecondUndone: "second_undone", EffectExcessUndone: "excess_undone",
	EffectAgain: "again"}

// String is the effect's word.
func (e Effect) String() string { return name(effectNames[:], int(e), "effect") }

// PostingSet is a set of (leg, effect) pairs as bits.
type PostingSet uint64

// Has reports whether the set holds the pair.
func (s PostingSet) Has(l Leg, e Effect) bool { return s&(1<<(uint(l)*12+uint(e))) != 0 }

// With is the set with the pair added.
func (s PostingSet) With(l Leg, e Effect) PostingSet { return s | 1<<(uint(l)*12+uint(e)) }

// Posting is a movement of money caused by the evidence recorded in the same change.
type Posting struct {
	Leg    Leg
	Effect Effect
	ledger.Posting
	At Instant
}

// Matter is what a case is about. A purchase has at most one case per matter.
type Matter string

// The matters that the engine opens cases for.
const (
	MatterPendingCredit  Matter = "pending_credit"  // not credited by DeliverBy
	MatterUnknownCharge  Matter = "unknown_charge"  // declined at the deadline, charge never answered
	MatterLateRefund     Matter = "late_refund"     // not refunded by RefundBy
	MatterRefundRefused  Matter = "refund_refused"  // the payer refuses to give back
	MatterOverdue        Matter = "overdue"         // neither credited nor refunded by ResolveBy
	MatterUnproven       Matter = "unproven_refund" // refunded at the deadline without proof of non-delivery
	MatterOrphanCharge   Matter = "orphan_charge"   // charged after a decline
	MatterWrongCharge    Matter = "wrong_charge"    // charged another amount
	MatterWrongCredit    Matter = "wrong_credit"    // other units, product or number
	MatterWrongRefund    Matter = "wrong_refund"    // refunded another amount
	MatterLateCredit     Matter = "late_credit"     // credited after refunding began
	MatterSecondCharge   Matter = "second_charge"   // charged twice
	MatterSecondCredit   Matter = "second_credit"   // credited twice
	MatterSecondRefund   Matter = "second_refund"   // refunded twice
	MatterCreditReversed Matter = "credit_reversed" // units taken back by the provider
	MatterChargeReversed Matter = "charge_reversed" // money given back by the payer after delivery
	MatterRefundReversed Matter = "refund_reversed" // refund taken back by the payer
	MatterUnbooked       Matter = "unbooked"        // a movement that the journal has no room for
	// Whether the units that people wanted back were taken back was never answered.
	MatterUnknownReversal Matter = "unknown_reversal"
	// Other units were taken back, or from another number, or twice, or given again.
	MatterWrongReversal Matter = "wrong_reversal"
)

// Matters lists every matter. The order is part of MatterSet, not of what is stored.
var Matters = []Matter{MatterPendingCredit, MatterUnknownCharge, MatterLateRefund, MatterRefundRefused,
	MatterOverdue, MatterUnproven, MatterOrphanCharge, MatterWrongCharge, MatterWrongCredit,
	MatterWrongRefund, MatterLateCredit, MatterSecondCharge, MatterSecondCredit, MatterSecondRefund,
	MatterCreditReversed, MatterChargeReversed, MatterRefundReversed, MatterUnbooked, MatterUnknownReversal, MatterWrongReversal}

// MatterSet is a set of matters as bits.
type MatterSet uint32

// Has reports whether the set holds m.
func (s MatterSet) Has(m Matter) bool { return s&bit(m) != 0 }

// With is the set with m added.
func (s MatterSet) With(m Matter) MatterSet { return s | bit(m) }

// bit is the matter's place in a set; a matter of others than the engine has none.
func bit(m Matter) MatterSet {
	if i := slices.Index(Matters, m); i >= 0 {
		return 1 << i
	}
	return 0
}

// Case is a matter that staff or rules must settle, opened by the system.
type Case struct {
	Matter Matter
	At     Instant
}

// Change is one step of one purchase: all of it is written, or none.
type Change struct {
	// Now is the purchase after the change: Now.Version is one more than the
	// stored version, or 1 for a new purchase; Now.Epoch is the writer's lease.
	Now Purchase
	// Was is what the purchase was before; zero when this process had no such
	// purchase. It is not kept.
	Was Before
	// WasEpoch is the lease that the stored row must still bear.
	WasEpoch int64
	// At is when the change was made, by the purchase's own clock. Its rows bear it too.
	At       Instant
	Attempt  *Attempt
	Evidence *Evidence
	Postings []Posting
	Notices  []Notice
	Cases    []Case
	// RepeatSince, on a new purchase, holds it back if a purchase by the same
	// payer number for the same recipient, product and total, not declined,
	// was created at or after it. Zero: no such check. Whether one that the same
	// batch declines, or finds charged after its decline, counts is left open.
	RepeatSince Instant
}

// Before is what a change says of the purchase as it was.
type Before struct {
	State    State
	Provider string
}

// Verdict is what became of one change of a committed batch.
type Verdict struct {
	Result Result
	// Other is the earlier purchase, for KeyTaken and Repeat.
	Other ID
}

// Result says whether a change was written.
type Result uint8

// The results. Whatever is not Written left no trace.
const (
	Written  Result = iota + 1
	Stale           // version or epoch had moved on: someone else wrote
	KeyTaken        // new purchase: (client, client key) exists
	Repeat          // new purchase: a like one is recent
	Rejected        // the change itself breaks a rule of the store; only the engine says so
)

// sort gives a change's rows the order in which a record has them.
func (c *Change) sort() {
	slices.SortFunc(c.Postings, func(a, b Posting) int {
		return cmp.Or(cmp.Compare(a.Leg, b.Leg), cmp.Compare(a.Effect, b.Effect))
	})
	slices.SortFunc(c.Cases, func(a, b Case) int { return cmp.Compare(a.Matter, b.Matter) })
}

// Record is a purchase with everything recorded about it, in the order of its
// changes, and within one by leg and effect, by fact and number, by matter.
type Record struct {
	Purchase Purchase
	Attempts []Attempt
	Evidence []Evidence
	Postings []Posting
	Notices  []Notice
	Cases    []Case
}

// Parked is a partner's callback for a purchase that another node owns, kept
// until that node takes it.
type Parked struct {
	Seq      int64
	Purchase ID
	Event    Event
	At       Instant
}

// Page selects purchases by a customer's number, newest first.
type Page struct {
	Number MSISDN // payer or recipient
	Client string // only this client's; "" for all
	Before ID     // older than this; 0 for the newest
	Limit  int
}

// Lease is a node's right to write, under an epoch that is never used twice.
type Lease struct {
	Epoch    int64
	Node     string
	Renewals int64 // grows with each renewal; observers compare it, no clocks
	Fenced   bool
}

// Store keeps purchases. Every method is safe for concurrent use. Errors wrap
// ErrUnavailable when nothing was written and the call may be repeated,
// ErrCommitUnknown when it may have been written, ErrFenced when the lease is lost.
type Store interface {
	// Commit writes the changes as one durable transaction under the lease
	// epoch, and returns one verdict per change, in order. On return without
	// error the written changes survive power loss. A change that is not
	// Written leaves the others unaffected. At most one change per purchase. What
	// it was given is the caller's again when it returns.
	Commit(ctx context.Context, epoch int64, changes []Change) ([]Verdict, error)
	// Load returns the records of those purchases that exist, ordered by ID.
	Load(ctx context.Context, ids ...ID) ([]Record, error)
	// LoadOpen returns the records of up to limit open purchases (DueAt not
	// zero) of the epoch with IDs greater than after, ordered by ID.
	LoadOpen(ctx context.Context, epoch int64, after ID, limit int) ([]Record, error)
	// FindKey returns the purchase that a client made under its key, or ErrNotFound.
	FindKey(ctx context.Context, client, clientKey string) (ID, error)
	// List returns purchases of a number, newest first.
	List(ctx context.Context, page Page) ([]Purchase, error)
	// Reserve hands out n sequence numbers of a shard, each not below floor
	// and never handed out before, and returns the first. Durable.
	Reserve(ctx context.Context, shard int, n int64, floor int64) (first int64, err error)

	// Acquire opens a new lease for a node.
	Acquire(ctx context.Context, node string) (Lease, error)
	// Renew counts one renewal, or returns ErrFenced.
	Renew(ctx context.Context, epoch int64) error
	// Leases returns every lease that is not fenced, or still has open
	// purchases, ordered by epoch.
	Leases(ctx context.Context) ([]Lease, error)
	// Takeover fences the lease if it still has that many renewals (it may be
	// fenced already), then moves up to limit of its open purchases to the epoch, and
	// returns how many were moved. Call again until it returns fewer than limit.
	// It returns ErrFenced if epoch itself is fenced. moved is -1 if the lease was renewed meanwhile.
	Takeover(ctx context.Context, lease Lease, epoch int64, limit int) (moved int, err error)

	// Park keeps an event for the owner of its purchase. Durable.
	Park(ctx context.Context, parked Parked) error
	// TakeParked returns up to limit parked events for purchases of the epoch, and
	// for those that are not open any more, oldest first. They stay until Unpark.
	TakeParked(ctx context.Context, epoch int64, limit int) ([]Parked, error)
	// Unpark forgets parked events by Seq.
	Unpark(ctx context.Context, seqs []int64) error
}

// Clock tells the time. Production passes the system's, the simulation its own.
type Clock interface {
	Now() Instant
	// After delivers once, when d has passed.
	After(d time.Duration) <-chan time.Time
}
