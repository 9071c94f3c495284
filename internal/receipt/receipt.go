// Package receipt is what a purchase's holder can show and anybody can check without
// asking: a short text, signed as a C2SP signed-note, that names no number. It knows
// nothing of SQL, of pages or of how a purchase is decided.
package receipt

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tenu/internal/evidence"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Outcome is how the purchase stood when the receipt was made.
type Outcome string

// The outcomes. The first two are promises, the others are final but for new evidence.
const (
	Pending   Outcome = "pending"   // charged; credited or refunded by ResolveBy
	Refunding Outcome = "refunding" // not delivered; refunded by At
	Credited  Outcome = "credited"
	Refunded  Outcome = "refunded"
	Declined  Outcome = "declined" // nothing was taken
)

// Commitment stands for a number that only who holds the salt can tell, as evidence.Commit makes it: the log has the same.
type Commitment [sha256.Size]byte

// Receipt is what a receipt says. Times have whole seconds; promised ones are never
// later than what was promised.
type Receipt struct {
	Issuer    string             // key that signs, as name+id
	Reference purchase.Reference // of the purchase
	Entry     purchase.ID        // what the log calls it
	Sequence  int64              // the purchase's version: of two receipts the higher is the newer
	Product   string
	Units     money.Amount // to be credited
	Charged   money.Amount // as evidenced
	Fee       money.Amount // part of Charged

	Recipient, Payer Commitment
	// Salt opens the commitments. A receipt to be shown to others has none.
	Salt    [16]byte
	HasSalt bool

	ChargedAt time.Time // of the charge evidence; zero when nothing was charged
	ResolveBy time.Time // credited or refunded by then; zero when nothing was charged
	Outcome   Outcome
	At        time.Time // of the outcome; when Refunding, until when; zero when Pending
}

// ErrNone says that a purchase has no receipt: nothing is charged or declined yet, or
// what its numbers were committed to with was erased.
var ErrNone = errors.New("no receipt")

// There reports whether a purchase has a receipt.
func There(p *purchase.Purchase) bool { return p.State != purchase.Charging && p.Salt != [16]byte{} }

// Of is what a purchase's receipt says now, but for its issuer.
func Of(r *purchase.Record, reference purchase.Reference) (Receipt, error) {
	p := &r.Purchase
	switch {
	case p.State == purchase.Charging:
		return Receipt{}, fmt.Errorf("%w: the payer is still being asked", ErrNone)
	case p.Salt == [16]byte{}:
		return Receipt{}, fmt.Errorf("%w: the purchase has no salt, or not any more", ErrNone)
	}
	x := Receipt{Reference: reference, Entry: p.ID, Sequence: p.Version, Product: p.Product,
		Units: money.Amount{Minor: p.Units, Currency: p.Currency}, Charged: money.Amount{Currency: p.Currency},
		Recipient: evidence.Commit(p.Salt, p.Recipient), Payer: evidence.Commit(p.Salt, p.PayerNumber), Salt: p.Salt, HasSalt: true}
	x.Fee = x.Charged
	if p.Charged.Minor > 0 {
		x.Charged, x.Fee = p.Charged, money.Amount{Minor: p.Fee, Currency: p.Currency}
		x.ChargedAt, x.ResolveBy = seconds(p.ChargedAt), seconds(p.ResolveBy)
	}
	switch p.State {
	case purchase.Charging:
	case purchase.Crediting:
		x.Outcome = Pending
	case purchase.Refunding:
		x.Outcome, x.At = Refunding, seconds(p.RefundBy)
	case purchase.Credited:
		x.Outcome, x.At = Credited, proven(r, purchase.Credit)
	case purchase.Refunded:
		x.Outcome, x.At = Refunded, proven(r, purchase.Refund)
	case purchase.Declined:
		x.Outcome, x.At = Declined, seconds(p.ClosedAt)
	}
	return x, nil
}

// proven is when a leg was last evidenced as done.
func proven(r *purchase.Record, leg purchase.Leg) time.Time {
	at := r.Purchase.ClosedAt
	for i := range r.Evidence {
		if e := &r.Evidence[i]; e.Leg == leg && e.Kind == purchase.Done {
			at = e.At
		}
	}
	return seconds(at)
}

func seconds(i purchase.Instant) time.Time {
	if i == 0 {
		return time.Time{}
	}
	return i.Time().Truncate(time.Second)
}

// Numbers that a receipt is about, as a number opens them.
type Numbers struct{ Payer, Recipient bool }

// Opens tells whether a number is the payer's, or the recipient's. It returns a *Refusal
// when it is neither, and when the receipt has no salt to tell by.
func (x *Receipt) Opens(number purchase.MSISDN) (Numbers, error) {
	if !x.HasSalt {
		return Numbers{}, &Refusal{Reason: NoSalt, Text: "it was made to be shown to others and has no salt: nobody can tell its numbers"}
	}
	c := Commitment(evidence.Commit(x.Salt, number))
	n := Numbers{c == x.Payer, c == x.Recipient}
	if n == (Numbers{}) {
		return n, &Refusal{Reason: OtherNumber, Text: number.Masked() + " is neither the payer's number nor the recipient's"}
	}
	return n, nil
}

// OlderThan reports whether another receipt is of the same purchase, and newer.
func (x *Receipt) OlderThan(other *Receipt) bool {
	return x.Entry == other.Entry && x.Reference == other.Reference && issuerName(x.Issuer) == issuerName(other.Issuer) && x.Sequence < other.Sequence
}

// File is what a receipt's file is called.
func (x *Receipt) File() string {
	return x.Reference.String() + "-" + strconv.FormatInt(x.Sequence, 10) + ".receipt.txt"
}

func issuerName(issuer string) string {
	name, _, _ := strings.Cut(issuer, "+")
	return name
}

const (
	header     = "tenu receipt v1"
	timeLayout = "2006-01-02T15:04:05Z"
)

// text is the receipt without its signature.
func (x *Receipt) text() string {
	var b strings.Builder
	line := func(words ...string) {
		b.WriteString(strings.Join(words, " "))
		b.WriteByte('\n')
	}
	line(header)
	line("issuer", x.Issuer)
	line("reference", x.Reference.String())
	line("entry", strconv.FormatInt(int64(x.Entry), 10))
	line("sequence", strconv.FormatInt(x.Sequence, 10))
	line("product", x.Product)
	for _, each := range []struct {
		word   string
		amount money.Amount
	}{{"units", x.Units}, {"charged", x.Charged}, {"fee", x.Fee}} {
		line(each.word, each.amount.Decimal(), string(each.amount.Currency))
	}
	line("recipient", base64.RawStdEncoding.EncodeToString(x.Recipient[:]))
	if x.Payer != x.Recipient {
		line("payer", base64.RawStdEncoding.EncodeToString(x.Payer[:]))
	}
	if x.HasSalt {
		line("salt", base64.RawStdEncoding.EncodeToString(x.Salt[:]))
	}
	if !x.ChargedAt.IsZero() {
		line("charged-at", x.ChargedAt.Format(timeLayout))
	}
	if !x.ResolveBy.IsZero() {
		line("resolve-by", x.ResolveBy.Format(timeLayout))
	}
	if x.At.IsZero() {
		line("outcome", string(x.Outcome))
	} else {
		line("outcome", string(x.Outcome), x.At.Format(timeLayout))
	}
	return b.String()
}

// The forms of what stands in a line.
var (
	issuerForm    = regexp.MustCompile(`^[!-*,-~]{1,64}\+[0-9a-f]{8}$`)
	referenceForm = regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{2}$`)
	productForm   = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)
	countForm     = regexp.MustCompile(`^(?:0|[1-9][0-9]{0,18})$`)
)
