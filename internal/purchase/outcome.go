package purchase

import (
	"fmt"

	"tenu/internal/money"
)

// Leg is one movement that a purchase asks of a partner.
type Leg uint8

// The legs. A payer charges and refunds; a provider credits, and takes a
// credit back (reversal) when staff decide so.
const (
	Charge Leg = iota + 1
	Credit
	Refund
	Reversal
)

// Legs lists every leg in the order that a purchase meets them.
var Legs = []Leg{Charge, Credit, Refund, Reversal}

var legNames = [...]string{Charge: "charge", Credit: "credit", Refund: "refund", Reversal: "reversal"}

// String is the glossary word of the leg.
func (l Leg) String() string { return name(legNames[:], int(l), "leg") }

// Kind is what is known of a leg after an answer.
type Kind uint8

// The kinds. Done and Refused are answers about the effect; Cancelled,
// Unsent and Absent are statements about the key; the rest leave the effect open.
const (
	// Done: executed, and the partner says what it moved.
	Done Kind = iota + 1
	// Refused: the partner says that it did not and will not execute this. It is
	// final only where no earlier try of the leg is in doubt (invariant P12).
	Refused
	// Pending: the partner holds our key and will answer later.
	Pending
	// Unknown: no answer, an error that says nothing of the effect, or garbage.
	Unknown
	// Unsent: certain, on our side, that this try never left (no connection,
	// circuit open, withdrawn from the queue).
	Unsent
	// Absent: a query found no trace of our key. It may still execute late.
	Absent
	// Cancelled: our key was not executed and never can be (tombstone).
	Cancelled
	// Reversed: executed once, and taken back by the partner since.
	Reversed
	// Asked: people, or their rules, want the leg to be asked for. It is no
	// partner's answer, and is never recorded as evidence.
	Asked
)

// Kinds lists every kind of what a partner can say.
var Kinds = []Kind{Done, Refused, Pending, Unknown, Unsent, Absent, Cancelled, Reversed}

var kindNames = [...]string{Done: "done", Refused: "refused", Pending: "pending", Unknown: "unknown",
	Unsent: "unsent", Absent: "absent", Cancelled: "cancelled", Reversed: "reversed", Asked: "asked"}

// String is the word of the kind.
func (k Kind) String() string { return name(kindNames[:], int(k), "kind") }

// Source is how an outcome came to be known.
type Source uint8

// The sources of evidence.
const (
	FromAnswer    Source = iota + 1 // the partner's answer to our try
	FromCallback                    // a call of the partner's own
	FromQuery                       // the partner's answer to a query
	FromCancel                      // the partner's answer to a cancellation
	FromStatement                   // a line of the partner's statement
	FromNode                        // our own knowledge: nothing left this node
	FromStaff                       // people, or their rules: a wish, no evidence
)

var sourceNames = [...]string{FromAnswer: "answer", FromCallback: "callback", FromQuery: "query",
	FromCancel: "cancel", FromStatement: "statement", FromNode: "node", FromStaff: "staff"}

// String is the word of the source.
func (s Source) String() string { return name(sourceNames[:], int(s), "source") }

// Reason is a refusal's standard code, the same for every partner.
type Reason string

// The reasons. An adapter maps its partner's codes to these; docs/error-codes.md lists them.
const (
	ReasonFunds       Reason = "insufficient_funds"
	ReasonLimit       Reason = "limit_exceeded"
	ReasonNotApproved Reason = "not_approved"
	ReasonUnknownLine Reason = "unknown_line"
	ReasonBarredLine  Reason = "barred_line"
	ReasonProduct     Reason = "product_not_allowed"
	ReasonClosed      Reason = "partner_unavailable"
	ReasonOther       Reason = "refused"
)

// Outcome is what one exchange with a partner taught. It is a value: adapters
// return it instead of an error, and map whatever they do not understand to
// Unknown.
type Outcome struct {
	Kind Kind
	// Ref is the partner's own reference of the movement, "" when it gave none;
	// for Reversed, that of the movement which was taken back.
	Ref string
	// Amount is what the partner says it moved, for Done and Reversed. A charge
	// or refund states money; a credit states the value of the units given.
	Amount money.Amount
	// Account is the number that the partner says it moved it for, 0 when it does not say.
	Account MSISDN
	// Product is the product that a provider says it gave, "" when it does not say.
	Product string
	// Balance is the recipient's main balance after a credit, valid if HasBalance.
	Balance    int64
	HasBalance bool
	// Reason says why, for Refused.
	Reason Reason
	// Detail is the partner's own words or codes, for people; at most
	// MaxDetail bytes are kept, and it must hold no secret and no full number.
	Detail string
}

// MaxDetail bounds the bytes of Outcome.Detail and Outcome.Ref that are kept.
const MaxDetail = 240

// Event is an outcome of one leg, a wish, or the purchase's own timer (Leg 0, Kind 0).
type Event struct {
	Leg     Leg
	Source  Source
	Outcome Outcome
	// AskedAt is when the try, query or cancellation that this answers was
	// sent; zero for news that the partner brought by itself.
	AskedAt Instant
	// Unasked: a query or cancellation that never left, so that the partner was
	// not bothered with it.
	Unasked bool
}

// Timer is the event of a purchase whose due time has come.
var Timer = Event{}

// String names the event as docs/states.md does: "credit done", "due".
func (e Event) String() string {
	switch {
	case e.Leg == 0 && e.Outcome.Kind == Asked:
		return "answer asked"
	case e.Leg == 0:
		return "due"
	}
	return e.Leg.String() + " " + e.Outcome.Kind.String()
}

func name(names []string, i int, what string) string {
	if i <= 0 || i >= len(names) || names[i] == "" {
		return fmt.Sprintf("%s(%d)", what, i)
	}
	return names[i]
}
