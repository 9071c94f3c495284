package purchase

// Fact is what a notice tells. Each is told at most once per purchase and
// person (invariant N3).
type Fact uint8

// The facts.
const (
	// FactCredited: the units are there; tells units, new balance, reference.
	FactCredited Fact = iota + 1
	// FactReceived: the same, told to a recipient who did not pay.
	FactReceived
	// FactPending: paid, not yet credited; credit or refund before a time.
	FactPending
	// FactUnconfirmed: the wallet does not answer; if it took money, credit or refund follow.
	FactUnconfirmed
	// FactRefunded: the money was given back.
	FactRefunded
	// FactDeclined: nothing was taken, and why.
	FactDeclined
	// FactTakenBack corrects FactCredited: the operator took the units back; a refund follows.
	FactTakenBack
	// FactChargedLate corrects FactDeclined: the wallet took the money after all; a refund follows.
	FactChargedLate
	// FactCreditedLate corrects FactRefunded: the units arrived although the money was given back.
	FactCreditedLate
	// FactRefundUndone corrects FactRefunded: the wallet took the refund back.
	FactRefundUndone
	// FactReversed: the units were taken back because the payer asked; a refund follows.
	FactReversed
	// FactReclaimed: the same, told to a recipient who did not pay.
	FactReclaimed
)

// Facts lists every fact.
var Facts = []Fact{FactCredited, FactReceived, FactPending, FactUnconfirmed, FactRefunded, FactDeclined,
	FactTakenBack, FactChargedLate, FactCreditedLate, FactRefundUndone, FactReversed, FactReclaimed}

var factNames = [...]string{FactCredited: "credited", FactReceived: "received", FactPending: "pending",
	FactUnconfirmed: "unconfirmed", FactRefunded: "refunded", FactDeclined: "declined",
	FactTakenBack: "taken_back", FactChargedLate: "charged_late", FactCreditedLate: "credited_late",
	FactRefundUndone: "refund_undone", FactReversed: "reversed", FactReclaimed: "reclaimed"}

// String is the fact's word.
func (f Fact) String() string { return name(factNames[:], int(f), "fact") }

// FactSet is a set of facts as bits.
type FactSet uint32

// Has reports whether the set holds f.
func (s FactSet) Has(f Fact) bool { return s&(1<<f) != 0 }

// With is the set with f added.
func (s FactSet) With(f Fact) FactSet { return s | 1<<f }

// Notice is a text to a customer, written in the same transaction as the fact
// that it states, and delivered from the outbox afterwards.
type Notice struct {
	Purchase ID
	Fact     Fact
	To       MSISDN
	Language Language
	Text     string
	At       Instant
	// SentAt is when an SMS centre took it over; zero while it waits.
	SentAt Instant
}

// Wording writes the texts of notices. It must be pure: the same arguments give
// the same text.
type Wording interface {
	// Notice returns the text of a fact about p as it stands after the change.
	// The outcome is the evidence behind it (zero for a deadline). The text is
	// at most 160 characters of the GSM 7-bit alphabet.
	Notice(Fact, *Purchase, Reference, Outcome) string
}
