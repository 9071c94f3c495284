// Package person is what an installation owes those whose numbers it holds: the forms in
// which a number is written, what stands for one that was erased, what keeps a number from
// being erased, what is told of it, and for how long what is kept. It knows no SQL.
package person

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"tenu/internal/purchase"
)

// Erasure is the record of an erasure: on request, or of a batch whose time was over. No
// number is in it once it is done.
type Erasure struct {
	ID      int64
	Version int64            // 1 begun, 2 done
	At      purchase.Instant // what was there then is erased
	DoneAt  purchase.Instant // 0 while what a crash left is still to be looked through
	Cause   Cause
	By      string
	Reason  string
	// Instead stands for the number from now on; 0 for a batch, whose numbers each have one.
	Instead purchase.MSISDN
	Counts  Counts
}

// Counts are what an erasure went through.
type Counts struct {
	Purchases   int64 `json:"purchases"`
	Commitments int64 `json:"commitments"` // of the log that nobody can open any more
	Cases       int64 `json:"cases"`
	Rows        int64 `json:"rows"` // all that were changed or deleted, of every table
}

// Cause is why something is erased.
type Cause uint8

// The causes.
const (
	OnRequest Cause = iota + 1
	Retention
)

var causeNames = [...]string{OnRequest: "request", Retention: "retention"}

// String is the cause's word.
func (c Cause) String() string {
	if int(c) < len(causeNames) && causeNames[c] != "" {
		return causeNames[c]
	}
	return fmt.Sprintf("cause %d", c)
}

// Open is something of a number that is not over.
type Open struct {
	Kind     string           `json:"kind"` // "purchase", "case", "callback"...
	ID       int64            `json:"id,omitempty"`
	Purchase purchase.ID      `json:"-"`
	Till     purchase.Instant `json:"-"` // when it is over by itself, 0 where nobody knows
}

// String is the thing in words.
func (o Open) String() string {
	text := openWords[o.Kind]
	if text == "" {
		text = o.Kind
	}
	if o.ID != 0 {
		text = fmt.Sprintf("%s (%s %d)", text, o.Kind, o.ID)
	}
	if o.Till != 0 {
		text += " until " + o.Till.String()
	}
	return text
}

// The kinds of what may be open.
const (
	OpenPurchase = "purchase"
	OpenWatch    = "watch"
	OpenNews     = "news"
	OpenMatter   = "matter"
	OpenCase     = "case"
	OpenRequest  = "request"
	OpenCallback = "callback"
	OpenCheckout = "checkout"
	OpenIncident = "incident"
	OpenBreak    = "break"
	OpenMessage  = "message"
	OpenStaff    = "staff"
)

var openWords = map[string]string{
	OpenPurchase: "a purchase is not final",
	OpenWatch:    "late evidence of a final purchase is looked for",
	OpenNews:     "a partner's news waits to be applied",
	OpenMatter:   "a matter is in no case yet",
	OpenCase:     "a case is open",
	OpenRequest:  "a request is under way",
	OpenCallback: "a callback is promised",
	OpenCheckout: "a purchase is confirmed and about to be made",
	OpenIncident: "an incident that concerns it is not closed",
	OpenBreak:    "a break of reconciliation is open",
	OpenMessage:  "a message to it is not sent yet",
	OpenStaff:    "it is a number of a member of staff: take it off the account first",
}

// Refusal says why a number cannot be erased now. Nothing was changed.
type Refusal struct{ Open []Open }

// Error lists what is open.
func (r *Refusal) Error() string {
	texts := make([]string, len(r.Open))
	for i, o := range r.Open {
		texts[i] = o.String()
	}
	return "the number cannot be erased: " + strings.Join(texts, "; ")
}

// ErrNothing says that nothing of a number is held.
var ErrNothing = errors.New("nothing of the number is held")

// Draw draws what stands for an erased number: 18 digits of chance, from which nothing leads
// back to the number.
func Draw(random io.Reader) (purchase.MSISDN, error) {
	const least, all = 100_000_000_000_000_000, 900_000_000_000_000_000
	for {
		var b [8]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return 0, fmt.Errorf("draw a pseudonym: %w", err)
		}
		if v := binary.BigEndian.Uint64(b[:]) >> 1; v < 1<<63/all*all {
			return purchase.MSISDN(least + v%all), nil
		}
	}
}

// Export is everything that is held about a number.
type Export struct {
	Number   string    `json:"number"`
	At       string    `json:"at"`
	Sections []Section `json:"sections"`
}

// Section is what one kind of record holds of the number, the oldest first.
type Section struct {
	Kind string           `json:"kind"`
	Rows []map[string]any `json:"rows"`
}
