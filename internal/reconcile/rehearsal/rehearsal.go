// Package rehearsal makes a partner's statement and what tenu would have on
// record of the same time, with breaks planted in both, so that what
// reconciliation finds can be counted and measured. It keeps no statement in
// memory and knows no database.
package rehearsal

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/reconcile"
)

// The statement's day, and what the partner declares.
const (
	Day      purchase.Instant = 1783555200_000000 // 9 July 2026, 00:00 UTC
	Lateness                  = time.Hour
	Skew                      = 30 * time.Second
)

// Plan is what is made.
type Plan struct {
	Seed      uint64
	Purchases int
	// Planted is how many breaks there are, of each cause in turn.
	Planted int
	// Keyless is one in how many lines has no key of ours; 0: none has.
	Keyless int
	Leg     purchase.Leg // Charge, of a payer's statement, or Credit, of a provider's
	Partner string
}

// Causes are those that one statement can show: the others need two versions of it, or the account that it is settled on.
func Causes() []reconcile.Cause {
	return slices.DeleteFunc(slices.Clone(reconcile.Causes), func(c reconcile.Cause) bool {
		return c == reconcile.CauseChanged || c == reconcile.CauseVanished || c == reconcile.CauseSettlement
	})
}

// Expected is a break that must be found, and no other.
type Expected struct {
	Cause    reconcile.Cause
	Purchase purchase.ID
	Ref      string // of an unasked line, which has no purchase
}

// Rehearsal is a plan with its breaks planted.
type Rehearsal struct {
	Plan
	keys    *purchase.Keyring
	planted map[int]reconcile.Cause
}

// New plants the breaks of a plan.
func New(p Plan, keys *purchase.Keyring) *Rehearsal {
	r := &Rehearsal{Plan: p, keys: keys, planted: make(map[int]reconcile.Cause, p.Planted)}
	dice := rand.New(rand.NewPCG(p.Seed, 1)) //nolint:gosec // chance that is repeated
	causes := Causes()
	for i := 0; len(r.planted) < min(p.Planted, p.Purchases/2); {
		at := dice.IntN(p.Purchases)
		if _, taken := r.planted[at]; taken || r.keyless(at) || r.quiet(at) {
			continue
		}
		r.planted[at] = causes[i%len(causes)]
		i++
	}
	return r
}

// Capability is what the partner declares.
func (r *Rehearsal) Capability(purchase.Leg) purchase.Capability {
	return purchase.Capability{Supported: true, Idempotent: true, Lateness: Lateness}
}

// Span is the statement's period.
func (r *Rehearsal) Span() reconcile.Span {
	return reconcile.Span{From: Day, To: Day.Add(24 * time.Hour)}
}

// Expected lists what must be found.
func (r *Rehearsal) Expected() map[Expected]bool {
	all := make(map[Expected]bool, len(r.planted))
	for i, cause := range r.planted {
		e := Expected{Cause: cause, Purchase: r.id(i)}
		if cause == reconcile.CauseUnasked && i%2 == 0 {
			e.Purchase, e.Ref = 0, r.ref(i)
		}
		all[e] = true
	}
	return all
}

func (r *Rehearsal) id(i int) purchase.ID {
	return purchase.MakeID(0, purchase.SequenceFloor(Day)+int64(i))
}

func (r *Rehearsal) ref(i int) string { return "P" + strconv.Itoa(1_000_000_000+i) }

// keyless reports whether the partner's line lacks our key; every second of those lacks its own reference too.
func (r *Rehearsal) keyless(i int) bool { return r.Keyless > 0 && i%r.Keyless == 1 }

// quiet reports whether the purchase was asked for, and came to nothing.
func (r *Rehearsal) quiet(i int) bool { return i%97 == 5 }

// of is what everybody knows of a purchase.
func (r *Rehearsal) of(i int) (at purchase.Instant, number purchase.MSISDN, amount int64, product string) {
	v := mix(r.Seed ^ uint64(i)) //nolint:gosec // a count
	const rest = 4 * time.Hour   // of the day, in which late things happen
	at = Day.Add(2*time.Hour + time.Duration(int64(24*time.Hour-2*rest)/int64(r.Purchases)*int64(i)))
	number = purchase.MSISDN(22670000000 + int64(v%1_000_000))
	return at, number, 100 + int64(v>>32%200)*50, "airtime"
}

// mix spreads the bits of a number (splitmix64).
func mix(v uint64) uint64 {
	v += 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}

// Book is what tenu has on record.
func (r *Rehearsal) Book() reconcile.Book { return &book{r: r} }

type book struct {
	r *Rehearsal
	i int
	m reconcile.Movement
}

// Next is reconcile.Book.
func (b *book) Next(context.Context) (*reconcile.Movement, error) {
	for b.i < b.r.Purchases {
		i := b.i
		b.i++
		if b.r.planted[i] == reconcile.CauseUnasked {
			continue
		}
		b.r.movement(i, &b.m)
		return &b.m, nil
	}
	return nil, io.EOF
}

// Lookup is reconcile.Book. No purchase is of another time.
func (b *book) Lookup(context.Context, []purchase.ID) ([]reconcile.Movement, error) { return nil, nil }

// movement is what is on record of a purchase.
func (r *Rehearsal) movement(i int, m *reconcile.Movement) {
	at, number, amount, product := r.of(i)
	done, undone := m.Done[:0], m.Undone[:0]
	*m = reconcile.Movement{Purchase: r.id(i), Leg: r.Leg, State: purchase.Credited, Version: 3, Account: number,
		Amount: money.Amount{Minor: amount, Currency: money.XOF}, Product: product, Tries: 1, First: at, Last: at}
	told := reconcile.Told{Ref: r.ref(i), Amount: m.Amount, Account: number, Product: product, At: at.Add(2 * time.Second)}
	switch cause := r.planted[i]; {
	case r.quiet(i), cause == reconcile.CauseUnheard, cause == reconcile.CauseLate:
		m.State = purchase.Crediting
		return
	case cause == reconcile.CauseDenied:
		m.Denied, m.State, m.Seen = true, purchase.Refunded, told.At
		return
	case cause == reconcile.CauseUnundone:
		undone = append(undone, reconcile.Told{Ref: told.Ref, Amount: told.Amount, At: told.At.Add(time.Minute)})
	}
	m.Done, m.Undone, m.Seen = append(done, told), undone, told.At
}

// Record fills in what a store holds of the i-th purchase, whose other leg went as it should at another partner. False
// where nothing is on record.
func (r *Rehearsal) Record(i int, to *purchase.Record) bool {
	if r.planted[i] == reconcile.CauseUnasked {
		return false
	}
	var m reconcile.Movement
	r.movement(i, &m)
	at, number, amount, product := r.of(i)
	attempts, evidence := to.Attempts[:0], to.Evidence[:0]
	p := purchase.Purchase{ID: m.Purchase, Version: m.Version, State: m.State, CreatedAt: at, ChargedAt: at, ClosedAt: m.Seen}
	p.PayerNumber, p.Recipient, p.Total, p.Units, p.Product, p.Currency = number, number, amount, amount, product, money.XOF
	p.Payer, p.Provider, p.Client, p.ClientKey, p.Channel, p.Language = Other, Other, "rehearsal", strconv.Itoa(i), "api", "fr"
	p.Charged = money.Amount{Minor: amount, Currency: money.XOF}
	if p.State == purchase.Crediting {
		p.Held, p.DueAt = amount, m.Last.Add(Lateness)
	}
	other := purchase.Charge
	if r.Leg == purchase.Charge {
		other, p.Payer = purchase.Credit, r.Partner
	} else {
		p.Provider = r.Partner
	}
	said := func(leg purchase.Leg, partner string, kind purchase.Kind, t *reconcile.Told, product string) {
		evidence = append(evidence, purchase.Evidence{Version: int64(len(evidence)) + 2, Leg: leg, Source: purchase.FromAnswer, Partner: partner, At: t.At,
			Outcome: purchase.Outcome{Kind: kind, Ref: t.Ref, Amount: t.Amount, Account: t.Account, Product: product}})
	}
	attempts = append(attempts, purchase.Attempt{Leg: other, Try: 1, Partner: Other, At: at}, purchase.Attempt{Leg: r.Leg, Try: 1, Partner: r.Partner, At: m.First})
	said(other, Other, purchase.Done, &reconcile.Told{Ref: "O" + strconv.Itoa(i), Amount: m.Amount, Account: number, At: at}, "")
	for k := range m.Done {
		said(r.Leg, r.Partner, purchase.Done, &m.Done[k], m.Done[k].Product)
	}
	for k := range m.Undone {
		said(r.Leg, r.Partner, purchase.Reversed, &m.Undone[k], "")
	}
	if m.Denied {
		said(r.Leg, r.Partner, purchase.Refused, &reconcile.Told{At: m.Seen}, "")
	}
	*to = purchase.Record{Purchase: p, Attempts: attempts, Evidence: evidence}
	return true
}

// Other is the partner of the other leg.
const Other = "other"

// Write writes the statement, as tenu's sandbox writes its own.
func (r *Rehearsal) Write(to io.Writer) error {
	w := &writer{r: r, out: bufio.NewWriterSize(to, 1<<20), lines: map[string]int64{}, sum: map[string]int64{}}
	span := r.Span()
	_, _ = fmt.Fprintf(w.out, "statement,%s,%s,%s\nreference,key,leg,number,amount,currency,product,original,at\n", r.Partner, span.From, span.To)
	for i := range r.Purchases {
		w.purchase(i)
	}
	for _, currency := range []string{"XAF", "XOF"} {
		_, _ = fmt.Fprintf(w.out, "total,%s,%d,%d\n", currency, w.lines[currency], w.sum[currency])
	}
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("write a statement: %w", err)
	}
	return nil
}

type writer struct {
	r     *Rehearsal
	out   *bufio.Writer
	b     []byte
	lines map[string]int64
	sum   map[string]int64
}

// record is a line as it is written.
type record struct {
	ref, key, leg, currency, product, original string
	number                                     purchase.MSISDN
	amount                                     int64
	at                                         purchase.Instant
}

// purchase writes the lines of a purchase: what the partner's own records say.
func (w *writer) purchase(i int) {
	r := w.r
	cause := r.planted[i]
	if r.quiet(i) || cause == reconcile.CauseLied {
		return
	}
	at, number, amount, product := r.of(i)
	l := record{ref: r.ref(i), leg: r.Leg.String(), currency: "XOF", product: product, number: number, amount: amount, at: at.Add(time.Second)}
	if !r.keyless(i) {
		l.key = r.keys.Key(r.id(i), r.Leg).UUID()
	} else if i/r.Keyless%2 == 0 {
		l.ref = "" // by number, amount and time
	}
	switch cause {
	case reconcile.CauseUnasked:
		if i%2 == 0 {
			l.key = ""
		}
	case reconcile.CauseAmount:
		l.amount += 5
	case reconcile.CauseCurrency:
		l.currency = "XAF"
	case reconcile.CauseNumber:
		l.number++
	case reconcile.CauseProduct:
		l.product = "data-day"
	case reconcile.CauseTwice:
		again := l
		again.ref += "b"
		w.write(&again)
	case reconcile.CauseReversed:
		w.write(&record{ref: l.ref + "u", leg: "undo", currency: l.currency, product: l.product, original: l.ref, number: number, amount: amount, at: at.Add(time.Minute)})
	case reconcile.CauseTime:
		l.at = at.Add(-time.Hour)
	case reconcile.CauseLate:
		l.at = at.Add(Lateness + 2*Skew)
	case reconcile.CauseReference:
		l.ref += "x"
	case reconcile.CauseLeg:
		l.leg = "refund"
	default:
	}
	w.write(&l)
}

func (w *writer) write(l *record) {
	b := w.b[:0]
	for _, text := range []string{l.ref, l.key, l.leg} {
		b = append(append(b, text...), ',')
	}
	b = append(strconv.AppendInt(b, int64(l.number), 10), ',')
	b = append(strconv.AppendInt(b, l.amount, 10), ',')
	for _, text := range []string{l.currency, l.product, l.original} {
		b = append(append(b, text...), ',')
	}
	b = l.at.Time().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '\n')
	_, _ = w.out.Write(b) // Flush tells
	w.b = b
	w.lines[l.currency]++
	w.sum[l.currency] += l.amount
}
