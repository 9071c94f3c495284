package receipt

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Reason is why a receipt is refused.
type Reason string

// The reasons.
const (
	Malformed   Reason = "malformed"
	UnknownKey  Reason = "unknown_key"
	Forged      Reason = "wrong_signature"
	Stale       Reason = "stale" // genuine, but there is a newer one
	OtherNumber Reason = "other_number"
	NoSalt      Reason = "no_salt"
	WrongProof  Reason = "wrong_proof" // malformed, changed, or its hashes lead elsewhere

	// Of proofs.
	UnknownLog      Reason = "unknown_log"      // of a log whose key is not known
	UnknownWitness  Reason = "unknown_witness"  // cosigned by somebody whose key is not known
	Unwitnessed     Reason = "unwitnessed"      // not cosigned by somebody who must have
	OtherEntry      Reason = "other_entry"      // of another purchase, or of another of its changes
	StaleCheckpoint Reason = "stale_checkpoint" // under the checkpoint of another time than the hashes are of
	Contradicted    Reason = "contradicted"     // the log says something else than the receipt
)

// Refusal says exactly why and where a receipt is refused.
type Refusal struct {
	Reason Reason
	Line   int // from 1; 0 where no line is to blame
	Text   string
}

// Error is the refusal in one line.
func (r *Refusal) Error() string {
	where := ""
	if r.Line > 0 {
		where = fmt.Sprintf(" in line %d", r.Line)
	}
	return strings.ReplaceAll(string(r.Reason), "_", " ") + where + ": " + r.Text
}

// lines reads a receipt's lines one after the other. After the first that is wrong
// nothing is read any more.
type lines struct {
	rest []string
	at   int // the line that was read last, from 1
	flaw *Refusal
}

func (l *lines) fail(format string, arguments ...any) {
	if l.flaw == nil {
		l.flaw = &Refusal{Malformed, l.at, fmt.Sprintf(format, arguments...)}
	}
}

// next is what follows a word in the next line, which must begin with it.
func (l *lines) next(word string) string {
	if l.flaw != nil {
		return ""
	}
	l.at++
	if len(l.rest) == 0 {
		l.fail("the line %q is missing", word)
		return ""
	}
	line := l.rest[0]
	l.rest = l.rest[1:]
	value, found := strings.CutPrefix(line, word+" ")
	if !found {
		l.fail("it should begin with %q and is %.80q", word+" ", line)
	}
	return value
}

// maybe is next for a line that may be left out.
func (l *lines) maybe(word string) (value string, there bool) {
	if len(l.rest) == 0 || !strings.HasPrefix(l.rest[0], word+" ") {
		return "", false
	}
	return l.next(word), l.flaw == nil
}

func (l *lines) count(text, what string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || !countForm.MatchString(text) {
		l.fail("%.40q is no %s", text, what)
	}
	return n
}

func (l *lines) amount(word string) money.Amount {
	text := l.next(word)
	figure, code, _ := strings.Cut(text, " ")
	currency, err := money.ParseCurrency(code)
	var a money.Amount
	if err == nil {
		a, err = money.ParseDecimal(figure, currency)
	}
	if err != nil || a.Decimal() != figure {
		l.fail("%.60q is no amount such as 1050 XOF", text)
	}
	return a
}

func (l *lines) bytes(text string, to []byte) {
	data, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil || len(data) != len(to) || strings.ContainsAny(text, "\r\n") {
		l.fail("%.60q are not %d bytes in base64 without padding", text, len(to))
		return
	}
	copy(to, data)
}

func (l *lines) time(text string) time.Time {
	t, err := time.Parse(timeLayout, text)
	if err != nil || t.Format(timeLayout) != text || t.Year() < 1 {
		l.fail("%.40q is no time such as 2026-07-09T13:45:12Z", text)
		return time.Time{}
	}
	return t
}

func (l *lines) form(value string, ok bool, what string) string {
	if !ok {
		l.fail("%.80q is no %s", value, what)
	}
	return value
}

// parse reads a receipt's text, which has one form only: what is read is written again
// as it was.
func parse(text string) (x Receipt, flaw *Refusal) {
	body, ended := strings.CutSuffix(text, "\n")
	l := &lines{rest: strings.Split(body, "\n")}
	l.at = 1
	if l.rest[0] != header {
		l.fail("it should be %q and is %.80q", header, l.rest[0])
	}
	l.rest = l.rest[1:]
	value := l.next("issuer")
	x.Issuer = l.form(value, issuerForm.MatchString(value), "key of an issuer, as name+id")
	value = l.next("reference")
	l.form(value, referenceForm.MatchString(value), "reference such as K7M2-Q4XD-9T")
	x.Reference = purchase.Reference(strings.ReplaceAll(value, "-", ""))
	x.Entry = purchase.ID(l.count(l.next("entry"), "entry's number"))
	if x.Sequence = l.count(l.next("sequence"), "sequence number"); x.Sequence == 0 {
		l.fail("sequence numbers begin with 1")
	}
	value = l.next("product")
	x.Product = l.form(value, productForm.MatchString(value), "product's code")
	x.Units, x.Charged, x.Fee = l.amount("units"), l.amount("charged"), l.amount("fee")
	l.bytes(l.next("recipient"), x.Recipient[:])
	x.Payer = x.Recipient
	if value, there := l.maybe("payer"); there {
		if l.bytes(value, x.Payer[:]); x.Payer == x.Recipient {
			l.fail("the payer is the recipient: the line should not be there")
		}
	}
	if value, there := l.maybe("salt"); there {
		l.bytes(value, x.Salt[:])
		x.HasSalt = true
	}
	if value, there := l.maybe("charged-at"); there {
		x.ChargedAt = l.time(value)
	}
	if value, there := l.maybe("resolve-by"); there {
		x.ResolveBy = l.time(value)
	}
	l.outcome(&x)
	if len(l.rest) > 0 {
		l.at++
		l.fail("nothing should follow the outcome: %.80q", l.rest[0])
	}
	if !ended {
		l.fail("it does not end")
	}
	return x, l.flaw
}

func (l *lines) outcome(x *Receipt) {
	word, at, timed := strings.Cut(l.next("outcome"), " ")
	switch x.Outcome = Outcome(word); x.Outcome {
	case Pending:
		if timed {
			l.fail("what is pending has no time: %.40q", at)
		}
	case Refunding, Credited, Refunded, Declined:
		x.At = l.time(at)
	default:
		l.fail("%.40q is no outcome", word)
	}
	if l.flaw == nil && (x.Outcome == Declined) != (x.Charged.Minor == 0) {
		l.fail("%s does not go with %s charged", x.Outcome, x.Charged)
	}
}
