// Package purchase is the heart of tenu: what a purchase is, the one table of
// its states, and the engine that drives open purchases through partners and
// store. It declares the ports that it needs (Store, Partner, Wording, Clock)
// and knows neither SQL, HTTP, nor any partner's protocol.
package purchase

import (
	"log/slog"
	"strconv"

	"tenu/internal/ledger"
	"tenu/internal/money"
)

// MSISDN is a subscriber number in E.164 without the plus sign, as in
// 22670112233. Zero means no number.
type MSISDN int64

// lastNumber is the largest number that there can be: 15 digits (ITU-T E.164).
const lastNumber MSISDN = 999_999_999_999_999

// Erased reports whether it stands for a number that was erased: it is drawn by chance, has
// more digits than any number, and leads back to none. Nobody is called or told by it.
func (m MSISDN) Erased() bool { return m > lastNumber }

// String is the number with its plus sign: "+22670112233"; of one that stands for an erased
// number "erased-" and its digits.
func (m MSISDN) String() string {
	digits := strconv.FormatInt(int64(m), 10)
	if m.Erased() {
		return "erased-" + digits
	}
	return "+" + digits
}

// Masked shows only the last two digits, for other people's eyes (invariant N6): "+*********33".
func (m MSISDN) Masked() string {
	if m.Erased() {
		return m.String()
	}
	text := []byte(m.String())
	for i := 1; i < len(text)-2; i++ {
		text[i] = '*'
	}
	return string(text)
}

// LogValue keeps a number out of every log: a logger that knows no better writes it masked.
// Package telemetry's writes a token by which lines can be found together.
func (m MSISDN) LogValue() slog.Value { return slog.StringValue(m.Masked()) }

// State is where a purchase stands. States are facts.
type State uint8

// The states. docs/states.md, generated from the table, says how each is left.
const (
	Charging  State = iota + 1 // the payer is being asked
	Crediting                  // charged; the provider is being asked
	Credited                   // the credit is evidenced: final
	Refunding                  // the payer is being asked to give back
	Refunded                   // the refund is evidenced: final
	Declined                   // nothing was taken: final
)

// States lists every state.
var States = []State{Charging, Crediting, Credited, Refunding, Refunded, Declined}

var stateNames = [...]string{Charging: "charging", Crediting: "crediting", Credited: "credited",
	Refunding: "refunding", Refunded: "refunded", Declined: "declined"}

// String is the glossary word of the state.
func (s State) String() string { return name(stateNames[:], int(s), "state") }

// Final reports whether only new evidence can make the purchase leave the state.
func (s State) Final() bool { return s == Credited || s == Refunded || s == Declined }

// Operator is a mobile operator's code in the country's numbering plan, such as "orange".
type Operator string

// Language is a customer's language as an ISO 639-1 code: "fr" or "en".
type Language string

// Request is a priced and routed wish to buy, ready for the engine: numbers
// checked against the numbering plan, the offer's version and amounts fixed,
// the partners chosen. Everything in it stays as quoted for the life of the
// purchase.
type Request struct {
	Client    string // the API client on whose behalf
	ClientKey string // the client's idempotency key, at most 64 bytes
	Digest    [16]byte
	Channel   string // "api", "app", "ussd", "sms"
	Language  Language

	PayerNumber MSISDN
	Recipient   MSISDN
	Payer       string // partner that charges and refunds
	Provider    string // partner that credits

	Product  string // product code
	Offer    int32  // version of the offer that was quoted
	Bundle   bool
	Total    int64 // charged, minor units
	Fee      int64 // part of Total kept as fee
	Units    int64 // value credited, minor units; a bundle's price
	Currency money.Currency

	// Again says that the customer was asked and wants a second purchase like
	// a recent one; without it such a purchase is held back with ErrRepeat.
	Again bool
}

// Purchase is one sale, from intent to final state. It is a plain value: the
// engine copies it, the table computes on it, the store keeps it.
type Purchase struct {
	ID      ID
	Version int64 // counts durable changes, from 1
	Epoch   int64 // lease under which the last change was written
	Request
	// Salt makes the commitments to its numbers in the log; zero where there is none, or
	// not any more: without it nobody can tell the numbers by their commitments.
	Salt  [16]byte
	State State

	CreatedAt Instant
	ChargedAt Instant // of the charge evidence
	ClosedAt  Instant // of the first final state
	DeliverBy Instant // when the customer is told if still not credited
	ResolveBy Instant // credited, refunded, or in exposure with a case, by then
	RefundBy  Instant // set when the refund begins
	WatchTill Instant // after a final state: until when late evidence is looked for
	DueAt     Instant // next time that the purchase acts by itself; zero when it is closed for good

	Charged  money.Amount // evidenced charge, zero before
	Held     int64        // of Charged, what is neither delivered nor given back
	Orphan   bool         // Held stands in orphans, not in held: charged after a decline
	Exposed  bool         // listed in exposure
	Unproven bool         // refunding was chosen at a deadline, without proof of non-delivery
	Told     FactSet      // facts of notices already written
	Opened   MatterSet    // matters of cases already opened; follows from the cases
	Posted   PostingSet   // (leg, effect) pairs already posted; follows from the postings
	ActAt    Instant      // next query or try; only remembered in memory
	Resumed  Instant      // when this process took it from the store, zero if it made it; only remembered in memory
	Skew     Instant      // by how much our clock is behind what is recorded; only remembered in memory

	// By leg, indexed by Leg; index 0 is unused.
	Legs [5]LegState
}

// local is an instant of our clock on the purchase's own, which never runs back.
func (p *Purchase) local(now Instant) Instant { return now + p.Skew }

// Open reports whether the purchase still acts by itself.
func (p *Purchase) Open() bool { return p.DueAt != 0 }

// LegState is what is known of one leg. Tries, times, Ref and Answered follow
// from the attempts and evidence rows, Doubt and Closed are kept with the
// purchase; Queries is only remembered in memory.
type LegState struct {
	Tries   int16 // durable attempts
	Queries int16 // fruitless queries since the last progress, for the backoff
	// Doubt: a try may have executed and no answer says whether.
	Doubt bool
	// Held by the partner: it acknowledged the key and will answer (Pending).
	Acknowledged bool
	// Unsent: the last try is known not to have left; only remembered in memory.
	Unsent bool
	// Closed: the key can never execute any more.
	Closed  bool
	Done    bool
	FirstAt Instant
	LastAt  Instant // when the last try may have left this node at the latest
	Ref     string  // partner's reference of the first evidenced movement
	Second  string  // and of another one, when the partner executed twice
	Account MSISDN  // that the first evidenced movement was for, 0 when the partner did not say
}

// open reports whether a try may have been executed, or may still be.
func (l *LegState) open() bool { return l.Doubt || l.Acknowledged }

// Amounts of the quote as money values.
func (p *Purchase) total() money.Amount { return money.Amount{Minor: p.Total, Currency: p.Currency} }
func (p *Purchase) units() money.Amount { return money.Amount{Minor: p.Units, Currency: p.Currency} }
func (p *Purchase) price() int64        { return p.Total - p.Fee }

// holding is the account that the purchase's Held money stands in.
func (p *Purchase) holding() ledger.Account {
	if p.Orphan {
		return ledger.Orphans(p.Payer)
	}
	return ledger.Held
}

// charged is the number that the money was taken from.
func (p *Purchase) charged() MSISDN {
	if account := p.Legs[Charge].Account; account != 0 {
		return account
	}
	return p.PayerNumber
}

// Partner is the name of the partner that executes the leg.
func (p *Purchase) Partner(leg Leg) string {
	if leg == Charge || leg == Refund {
		return p.Payer
	}
	return p.Provider
}
