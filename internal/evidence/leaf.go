// Package evidence is the append-only log of every promise and outcome: what a
// leaf says, the Merkle tree over all leaves as C2SP tiles, signed checkpoints,
// proofs, and the sequencer that turns what committers left behind into the
// tree. It knows no SQL and nobody's name: a leaf holds no personal data.
package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"tenu/internal/purchase"
)

// Kind is what a leaf is about, as the first letter of its first line.
type Kind byte

// The kinds. The first seven are things whose changes are counted by a version.
const (
	Purchase Kind = 'p'
	Case     Kind = 'k'
	Request  Kind = 'r' // a staff decision: asked for, decided, done
	Callback Kind = 'c'
	Incident Kind = 'i'
	Pause    Kind = 'z'
	Erasure  Kind = 'x' // of personal data: numbers were replaced, and their commitments cannot be opened any more
	Seal     Kind = 'l' // of the log itself: what stands before it was logged by its time
)

// Kinds lists those that the database has rows of.
var Kinds = []Kind{Purchase, Case, Request, Callback, Incident, Pause, Erasure}

var kindWords = map[Kind]string{Purchase: "purchase", Case: "case", Request: "request", Callback: "callback",
	Incident: "incident", Pause: "pause", Erasure: "erasure", Seal: "seal"}

// String is the glossary word of the kind.
func (k Kind) String() string {
	if word := kindWords[k]; word != "" {
		return word
	}
	return "kind " + strconv.QuoteRune(rune(k))
}

// The items: a line of a leaf each, by their first letter.
const (
	ItemPromise  = 't' // the terms of a purchase that was accepted
	ItemCommit   = 'h' // the salted commitments to its numbers
	ItemState    = 's' // how the thing stands after the change
	ItemAttempt  = 'a'
	ItemEvidence = 'e'
	ItemPosting  = 'b'
	ItemNotice   = 'n'
	ItemMatter   = 'm' // the engine found a matter for a case
	ItemSealed   = 'q' // how many leaves a seal seals
)

// Head is the first line of a leaf.
type Head struct {
	Kind    Kind
	ID      int64
	Version int64            // of the thing after the change, from 1 without a gap
	At      purchase.Instant // when it changed
	Begun   purchase.Instant // when the thing was made
}

// MaxLeaf bounds a leaf's bytes: a bundle has 16 bits for its length.
const MaxLeaf = 1<<16 - 1

// Begin begins a leaf in a bundle that is being written; End ends it.
func Begin(bundle []byte, h Head) (with []byte, at int) {
	at = len(bundle)
	bundle = append(bundle, 0, 0)
	return appendHead(bundle, &h), at
}

// End sets the length of the leaf begun at a place. A leaf that is too long, which no
// bounded text makes, is cut: the audit finds it.
func End(bundle []byte, at int) []byte {
	if n := len(bundle) - at - 2; n > MaxLeaf {
		bundle = bundle[:at+2+MaxLeaf]
	}
	binary.BigEndian.PutUint16(bundle[at:], uint16(len(bundle)-at-2)) //nolint:gosec // bounded just now
	return bundle
}

func appendHead(b []byte, h *Head) []byte {
	b = append(b, byte(h.Kind))
	for _, v := range [...]int64{h.ID, h.Version, int64(h.At), int64(h.At - h.Begun)} {
		b = strconv.AppendInt(append(b, ' '), v, 10)
	}
	return append(b, '\n')
}

// ErrLeaf is returned for bytes that are not a leaf.
var ErrLeaf = errors.New("not a leaf")

// ParseHead reads a leaf's first line, and returns what follows it.
func ParseHead(leaf []byte) (h Head, items []byte, err error) {
	end := bytes.IndexByte(leaf, '\n')
	if end < 2 {
		return h, nil, ErrLeaf
	}
	if _, known := kindWords[Kind(leaf[0])]; !known {
		return h, nil, fmt.Errorf("%w: %q begins none", ErrLeaf, leaf[0])
	}
	h.Kind = Kind(leaf[0])
	var v [4]int64
	rest := leaf[1:end]
	for i := range v {
		if len(rest) < 2 || rest[0] != ' ' {
			return h, nil, fmt.Errorf("%w: its head is %.80q", ErrLeaf, leaf[:end])
		}
		var ok bool
		if v[i], rest, ok = leadingInt(rest[1:]); !ok {
			return h, nil, fmt.Errorf("%w: its head is %.80q", ErrLeaf, leaf[:end])
		}
	}
	if len(rest) != 0 || v[1] < 1 {
		return h, nil, fmt.Errorf("%w: its head is %.80q", ErrLeaf, leaf[:end])
	}
	h.ID, h.Version, h.At, h.Begun = v[0], v[1], purchase.Instant(v[2]), purchase.Instant(v[2]-v[3])
	return h, leaf[end+1:], nil
}

// leadingInt reads the number that b begins with, as AppendInt wrote it.
func leadingInt(b []byte) (n int64, rest []byte, ok bool) {
	i := 0
	if len(b) > 0 && b[0] == '-' {
		i = 1
	}
	begin := i
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		if i-begin > 18 {
			return 0, b, false
		}
		n = n*10 + int64(b[i]-'0')
	}
	if i == begin || b[begin] == '0' && (i-begin > 1 || begin == 1) || n < 0 {
		return 0, b, false // no number, or one that is written in another way than ours
	}
	if begin == 1 {
		n = -n
	}
	return n, b[i:], true
}

// NextItem splits the first line off the items of a leaf.
func NextItem(items []byte) (line, rest []byte) {
	if end := bytes.IndexByte(items, '\n'); end >= 0 {
		return items[:end], items[end+1:]
	}
	return items, nil
}

// NextLeaf splits the first leaf off a bundle.
func NextLeaf(bundle []byte) (leaf, rest []byte, err error) {
	if len(bundle) < 2 {
		return nil, nil, errors.New("a bundle ends within a length")
	}
	n := int(binary.BigEndian.Uint16(bundle))
	if len(bundle) < 2+n {
		return nil, nil, fmt.Errorf("a bundle ends within a leaf: %d of %d bytes are there", len(bundle)-2, n)
	}
	return bundle[2 : 2+n], bundle[2+n:], nil
}

// AppendPurchase adds the leaf of a change that was written to a bundle.
func AppendPurchase(bundle []byte, c *purchase.Change) []byte {
	p := &c.Now
	b, at := Begin(bundle, Head{Purchase, int64(p.ID), p.Version, ChangedAt(c), p.CreatedAt})
	if p.Version == 1 {
		b = AppendPromise(b, p)
		b = AppendCommit(b, p)
	}
	b = AppendState(b, p)
	if e := c.Evidence; e != nil {
		b = AppendEvidence(b, e)
	}
	for i := range c.Postings {
		b = AppendPosting(b, &c.Postings[i])
	}
	if a := c.Attempt; a != nil {
		b = AppendAttempt(b, a)
	}
	for i := range c.Notices {
		b = AppendNotice(b, c.Notices[i].Fact)
	}
	for i := range c.Cases {
		b = AppendMatter(b, c.Cases[i].Matter)
	}
	return End(b, at)
}

// ChangedAt is when a change was made.
func ChangedAt(c *purchase.Change) purchase.Instant {
	if c.At != 0 {
		return c.At
	}
	return c.Now.CreatedAt
}

// AppendPromise adds what a purchase promised when it was accepted.
func AppendPromise(b []byte, p *purchase.Purchase) []byte {
	b = append(b, ItemPromise)
	b = number(number(number(b, p.Total), p.Fee), p.Units)
	b = token(token(token(token(b, string(p.Currency)), p.Payer), p.Product), p.Channel)
	b = number(b, int64(p.Offer))
	return append(b, '\n')
}

// AppendCommit adds the commitments to the payer's number and, where it is another, to the
// recipient's; nothing where there is no salt.
func AppendCommit(b []byte, p *purchase.Purchase) []byte {
	if p.Salt == [16]byte{} {
		return b
	}
	commit := Commit(p.Salt, p.PayerNumber)
	b = base64.RawStdEncoding.AppendEncode(append(b, ItemCommit, ' '), commit[:])
	if p.Recipient != p.PayerNumber {
		commit = Commit(p.Salt, p.Recipient)
		b = base64.RawStdEncoding.AppendEncode(append(b, ' '), commit[:])
	}
	return append(b, '\n')
}

// Commit is the commitment to a number that only who knows the salt can tell it by:
// SHA-256 of the salt and the number's digits. When the salt is deleted, nobody can.
func Commit(salt [16]byte, number purchase.MSISDN) [32]byte {
	var room [40]byte
	return sha256.Sum256(strconv.AppendInt(append(room[:0], salt[:]...), int64(number), 10))
}

// AppendState adds how a purchase stands. Its instants are microseconds after the purchase was
// made, - for never; the flags are o (orphan charge), x (exposure), u (refund without proof), d (acts by itself no more).
func AppendState(b []byte, p *purchase.Purchase) []byte {
	b = token(token(append(b, ItemState), p.State.String()), p.Provider)
	b = number(number(b, p.Charged.Minor), p.Held)
	b = token(b, string(p.Charged.Currency))
	for _, at := range [...]purchase.Instant{p.ChargedAt, p.ClosedAt, p.DeliverBy, p.ResolveBy, p.RefundBy} {
		if at == 0 {
			b = append(b, ' ', '-')
			continue
		}
		b = number(b, int64(at-p.CreatedAt))
	}
	b = append(b, ' ')
	before := len(b)
	for _, f := range [...]struct {
		letter byte
		set    bool
	}{{'o', p.Orphan}, {'x', p.Exposed}, {'u', p.Unproven}, {'d', p.DueAt == 0}} {
		if f.set {
			b = append(b, f.letter)
		}
	}
	if len(b) == before {
		b = append(b, '-')
	}
	return append(b, '\n')
}

// AppendAttempt adds the intent of one outbound try.
func AppendAttempt(b []byte, a *purchase.Attempt) []byte {
	b = number(token(append(b, ItemAttempt), a.Leg.String()), int64(a.Try))
	return append(token(b, a.Partner), '\n')
}

// AppendEvidence adds what a partner said. Its own words and references stay out: they could
// hold anything.
func AppendEvidence(b []byte, e *purchase.Evidence) []byte {
	b = token(token(token(append(b, ItemEvidence), e.Leg.String()), e.Source.String()), e.Kind.String())
	b = token(number(b, e.Amount.Minor), clip(string(e.Amount.Currency)))
	return append(token(token(b, e.Partner), clip(string(e.Reason))), '\n')
}

// clip bounds a partner's text as the store does.
func clip(s string) string {
	if len(s) <= purchase.MaxDetail {
		return s
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= purchase.MaxDetail {
		return s
	}
	end := purchase.MaxDetail
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// AppendPosting adds a movement of money.
func AppendPosting(b []byte, x *purchase.Posting) []byte {
	b = token(token(append(b, ItemPosting), x.Leg.String()), x.Effect.String())
	b = token(token(b, string(x.Debit)), string(x.Credit))
	return append(token(number(b, x.Amount.Minor), string(x.Amount.Currency)), '\n')
}

// AppendNotice adds that a customer is told a fact.
func AppendNotice(b []byte, f purchase.Fact) []byte {
	return append(token(append(b, ItemNotice), f.String()), '\n')
}

// AppendMatter adds a matter that the engine opened a case for.
func AppendMatter(b []byte, m purchase.Matter) []byte {
	return append(token(append(b, ItemMatter), string(m)), '\n')
}

// AppendSeal adds the leaf that seals those before it. Its number counts seals, from 1.
func AppendSeal(bundle []byte, n int64, leaves int64, at, begun purchase.Instant) []byte {
	b, place := Begin(bundle, Head{Seal, n, 1, at, begun})
	return End(append(number(append(b, ItemSealed), leaves), '\n'), place)
}

// A Line writes a line of words and numbers.
type Line struct{ b []byte }

// NewLine begins a line of an item.
func NewLine(b []byte, item byte) Line { return Line{append(b, item)} }

// Word adds a word.
func (l Line) Word(s string) Line { return Line{token(l.b, s)} }

// Numbers adds numbers.
func (l Line) Numbers(all ...int64) Line {
	for _, n := range all {
		l.b = number(l.b, n)
	}
	return l
}

// End ends the line and returns all that was written.
func (l Line) End() []byte { return append(l.b, '\n') }

func number(b []byte, n int64) []byte { return strconv.AppendInt(append(b, ' '), n, 10) }

// token adds a word after a space. Whatever is not a plain character is written as its
// bytes in hexadecimal, so that a word is one word and read in one way.
func token(b []byte, s string) []byte {
	b = append(b, ' ')
	if s != "" && s != "-" && plain(s) {
		return append(b, s...)
	}
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 { // as a database keeps it
		s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	}
	if s == "" {
		return append(b, '-')
	}
	if s == "-" {
		return append(b, "%2D"...)
	}
	for i := range len(s) {
		if c := s[i]; isPlain[c] {
			b = append(b, c)
		} else {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return b
}

// isPlain holds the characters that stand for themselves.
var isPlain = func() (is [256]bool) {
	for c := '!'; c <= '~'; c++ {
		is[c] = c != '%'
	}
	return is
}()

func plain(s string) bool {
	for i := range len(s) {
		if !isPlain[s[i]] {
			return false
		}
	}
	return true
}

const hexDigits = "0123456789ABCDEF"

// Words splits a line into its words after the item's letter.
func Words(line []byte, words [][]byte) [][]byte {
	words = words[:0]
	for at := 1; at < len(line); {
		if line[at] != ' ' {
			return nil
		}
		end := bytes.IndexByte(line[at+1:], ' ')
		if end < 0 {
			return append(words, line[at+1:])
		}
		words = append(words, line[at+1:at+1+end])
		at += 1 + end
	}
	return words
}

// Int reads a word that is a number.
func Int(word []byte) (int64, bool) {
	n, rest, ok := leadingInt(word)
	return n, ok && len(rest) == 0
}
