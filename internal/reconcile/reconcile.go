// Package reconcile compares what partners say in their statements with what
// tenu has on record: readers of statements, the match of their lines with the
// movements of purchases, breaks, and the signed close of a day. It moves no
// money: what a statement proves is handed to the state machine as evidence. It
// must not know SQL, where statements come from, or any partner's calls.
package reconcile

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Kind is what a line says that the partner did.
type Kind uint8

// The kinds. The first four are the legs of a purchase; an undone movement is
// one that the partner took back of its own accord; a settlement is money that
// moved between the partner and us.
const (
	KindCharge Kind = iota + 1
	KindCredit
	KindRefund
	KindReversal
	KindUndone
	KindSettlement
)

var kindNames = [...]string{KindCharge: "charge", KindCredit: "credit", KindRefund: "refund", KindReversal: "reversal",
	KindUndone: "undone", KindSettlement: "settlement"}

// String is the kind's word.
func (k Kind) String() string {
	if int(k) < len(kindNames) && k != 0 {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// ParseKind is the kind of a word.
func ParseKind(word string) (Kind, bool) {
	for k, name := range kindNames {
		if name == word && k != 0 {
			return Kind(k), true
		}
	}
	return 0, false
}

// kindOf is the kind of a leg: the two have the same order.
func kindOf(l purchase.Leg) Kind { return Kind(l) }

// Line is one movement that a statement tells of.
type Line struct {
	Place    int64 // of the line in its file, from 1; of an entry, where a file has no lines
	Kind     Kind
	Key      string // ours, as the partner wrote it, "" for none
	Ref      string // the partner's own, "" for none
	Original string // Ref of the movement that an undoing line is about
	Number   purchase.MSISDN
	Amount   money.Amount
	Product  string
	At       purchase.Instant // zero when the line does not say

	// Purchase and Leg are what Key tells, zero when it is none of ours.
	Purchase purchase.ID
	Leg      purchase.Leg
}

// Head is what a statement says of itself.
type Head struct {
	Partner string           // "" when it does not say
	From    purchase.Instant // the period, without its end; zero when it does not say
	To      purchase.Instant
	Zone    string // the name of the time zone that its times are in
}

// Total is what a statement says its lines add up to.
type Total struct {
	Currency money.Currency
	Lines    int64
	Sum      int64 // minor units
	HasSum   bool
}

// Reader reads one statement, line by line. What is wrong with the file is a
// *Fault. Next returns io.EOF after the last line; only then are Head and Totals
// whole.
type Reader interface {
	Next() (Line, error)
	Head() Head
	// Totals are what the statement says of itself; none where its format has none.
	Totals() []Total
}

// Fault says what is wrong with a statement, and where. It tells no number.
type Fault struct {
	File   string
	Line   int64 // from 1, 0 where it is about the whole file
	Column int64 // from 1, 0 where it is about the whole line
	What   string
}

// Error is the fault in one line: "file:line:column: what".
func (f *Fault) Error() string {
	text := f.File + ":"
	if f.Line > 0 {
		text += strconv.FormatInt(f.Line, 10) + ":"
		if f.Column > 0 {
			text += strconv.FormatInt(f.Column, 10) + ":"
		}
	}
	return text + " " + f.What
}

// fault makes a Fault.
func fault(file string, line, column int64, format string, args ...any) error {
	return &Fault{File: file, Line: line, Column: column, What: fmt.Sprintf(format, args...)}
}

// ErrPartner says that a statement is another partner's.
var ErrPartner = errors.New("the statement is another partner's")

// The bounds of what is read.
const (
	// MaxLine bounds the bytes of one line, or of one entry of JSON or XML.
	MaxLine = 64 << 10
	// MaxText bounds a text of a line.
	MaxText = 120
	// MaxColumns bounds the fields of a line.
	MaxColumns = 200
	// MaxLines bounds the lines of one statement.
	MaxLines = 100_000_000
	// maxUndone bounds the lines of one statement that undo movements.
	maxUndone = 200_000
	// MaxPeriod is the longest period that one statement tells of.
	MaxPeriod = 32 * 24 * time.Hour
)

// checkText refuses a text of a statement that no key, reference or product is:
// one that a spreadsheet would compute, or that would break a log.
func checkText(text string) error {
	if text == "" {
		return nil
	}
	if len(text) > MaxText {
		return fmt.Errorf("longer than %d bytes", MaxText)
	}
	if Formula(text) {
		return errors.New("begins as a formula of a spreadsheet does")
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] == 0x7f {
			return errors.New("holds a control character")
		}
	}
	return nil
}

// Formula reports whether a spreadsheet would compute a text instead of showing it.
func Formula(text string) bool {
	if text == "" {
		return false
	}
	switch text[0] {
	case '=', '+', '-', '@', '\t', '\r', '\n':
		return true
	}
	return false
}

// Neutral is a text that a spreadsheet shows as it is.
func Neutral(text string) string {
	if Formula(text) {
		return "'" + text
	}
	return text
}

// maxNumber is the largest number that there can be: 15 digits (ITU-T E.164).
const maxNumber = 999_999_999_999_999

// parseNumber reads a number: E.164 with or without "+" or "00", or a national
// one, whose country's code is put before it. Other things than numbers are 0.
func parseNumber(text, country string, digits int) purchase.MSISDN {
	plain := make([]byte, 0, 16)
	international := false
	for i := range len(text) {
		switch ch := text[i]; {
		case ch == '+' && i == 0:
			international = true
		case ch >= '0' && ch <= '9':
			if len(plain) == 17 {
				return 0
			}
			plain = append(plain, ch)
		case ch == ' ':
		default:
			return 0
		}
	}
	if len(plain) > 2 && plain[0] == '0' && plain[1] == '0' {
		plain, international = plain[2:], true
	}
	if !international && country != "" && len(plain) == digits {
		plain = append([]byte(country), plain...)
	}
	n, err := strconv.ParseInt(string(plain), 10, 64)
	if err != nil || n <= 0 || n > maxNumber {
		return 0
	}
	return purchase.MSISDN(n)
}

// Keys reads our own keys back.
type Keys interface {
	ParseUUID(text string) (purchase.Key, error)
	ParseDigits(text string) (purchase.Key, error)
	Parse(text string) (purchase.ID, error)
}

// own fills in what a line's key tells.
func own(keys Keys, l *Line) {
	if l.Key == "" {
		return
	}
	var k purchase.Key
	var err error
	switch len(l.Key) {
	case 36:
		k, err = keys.ParseUUID(l.Key)
	case 20:
		k, err = keys.ParseDigits(l.Key)
	case 10: // the purchase's reference, which tells no leg
		if l.Kind < KindCharge || l.Kind > KindReversal {
			return
		}
		if k.ID, err = keys.Parse(l.Key); err == nil {
			k.Leg = purchase.Leg(l.Kind)
		}
	default:
		return
	}
	if err != nil || k.Leg < purchase.Charge || k.Leg > purchase.Reversal || k.ID <= 0 {
		return
	}
	l.Purchase, l.Leg = k.ID, k.Leg
	if l.Kind == 0 {
		l.Kind = kindOf(k.Leg)
	}
}
