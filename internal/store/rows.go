package store

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"tenu/internal/ledger"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

// width is what PostgreSQL keeps a column as; SQLite needs no telling.
type width uint8

const (
	big width = iota
	whole
	small
	text
	blob
)

var widthNames = [...]string{big: "int8", whole: "int4", small: "int2", text: "text", blob: "bytea"}

// column is one column of a table as it is written.
type column struct {
	name  string
	width width
}

// sink takes a row's values, column by column.
type sink interface {
	number(int64)
	text(string)
	bytes([]byte)
	absent()
}

// The columns of each table, in the order that the put and scan functions
// beside them keep to.
var (
	purchaseColumns = []column{{"id", big}, {"version", big}, {"epoch", big}, {"payer_number", big},
		{"recipient", big}, {"total", big}, {"fee", big}, {"units", big}, {"created_at", big},
		{"charged_at", big}, {"closed_at", big}, {"deliver_by", big}, {"resolve_by", big},
		{"refund_by", big}, {"watch_till", big}, {"due_at", big}, {"charged", big}, {"held", big},
		{"offer", whole}, {"told", whole}, {"state", small}, {"bundle", small}, {"again", small},
		{"orphan", small}, {"exposed", small}, {"unproven", small}, {"doubt", small}, {"closed", small},
		{"acknowledged", small}, {"client", text}, {"client_key", text}, {"channel", text},
		{"language", text}, {"payer", text}, {"provider", text}, {"product", text}, {"currency", text},
		{"charged_currency", text}, {"digest", blob}, {"salt", blob}}
	// progressColumns are those that a change of an existing purchase writes.
	progressColumns = []column{{"version", big}, {"epoch", big}, {"charged_at", big}, {"closed_at", big},
		{"deliver_by", big}, {"resolve_by", big}, {"refund_by", big}, {"watch_till", big}, {"due_at", big},
		{"charged", big}, {"held", big}, {"told", whole}, {"state", small}, {"orphan", small},
		{"exposed", small}, {"unproven", small}, {"doubt", small}, {"closed", small},
		{"acknowledged", small}, {"provider", text}, {"charged_currency", text}}
	// matchColumns say which row a change expects to find, after progressColumns.
	matchColumns   = []column{{"id", big}, {"was_version", big}, {"was_epoch", big}}
	attemptColumns = []column{{"purchase", big}, {"version", big}, {"at", big}, {"leg", small}, {"try", small},
		{"partner", text}}
	evidenceColumns = append([]column{{"purchase", big}, {"version", big}, {"partner", text}}, outcomeColumns...)
	parkedColumns   = append([]column{{"purchase", big}, {"asked_at", big}}, outcomeColumns...)
	outcomeColumns  = []column{{"at", big}, {"leg", small}, {"source", small}, {"kind", small}, {"amount", big},
		{"account", big}, {"balance", big}, {"ref", text}, {"currency", text}, {"product", text},
		{"reason", text}, {"detail", text}}
	postingColumns = []column{{"purchase", big}, {"version", big}, {"debit", big}, {"credit", big},
		{"amount", big}, {"at", big}, {"leg", small}, {"effect", small}}
	openColumns    = []column{{"epoch", big}, {"purchase", big}}
	logColumns     = []column{{"epoch", big}, {"leaves", blob}, {"raw", big}}
	balanceColumns = []column{{"account", big}, {"stripe", big}, {"amount", big}}
	noticeColumns  = []column{{"purchase", big}, {"version", big}, {"to_number", big}, {"at", big},
		{"sent_at", big}, {"fact", small}, {"language", text}, {"text", text}}
	caseColumns = []column{{"purchase", big}, {"version", big}, {"at", big}, {"matter", text}}
	// repeatColumns are what a new purchase is compared by with recent ones.
	repeatColumns = []column{{"id", big}, {"payer_number", big}, {"recipient", big}, {"total", big},
		{"since", big}, {"product", text}}
)

// arguments is the sink of a statement run through database/sql.
type arguments []any

func (a *arguments) number(v int64) { *a = append(*a, v) }
func (a *arguments) text(v string)  { *a = append(*a, v) }
func (a *arguments) bytes(v []byte) { *a = append(*a, v) }
func (a *arguments) absent()        { *a = append(*a, nil) }

// places are the parameters of n columns: $1, $2...
func places(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(i+1))
	}
	return b.String()
}

// names lists columns, each after a prefix.
func names(columns []column, prefix string) string {
	var b strings.Builder
	for i, c := range columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(prefix)
		b.WriteString(c.name)
	}
	return b.String()
}

func putPurchase(s sink, p *purchase.Purchase) {
	for _, v := range [...]int64{int64(p.ID), p.Version, p.Epoch, int64(p.PayerNumber), int64(p.Recipient),
		p.Total, p.Fee, p.Units, int64(p.CreatedAt), int64(p.ChargedAt), int64(p.ClosedAt),
		int64(p.DeliverBy), int64(p.ResolveBy), int64(p.RefundBy), int64(p.WatchTill), int64(p.DueAt),
		p.Charged.Minor, p.Held, int64(p.Offer), int64(p.Told), int64(p.State), flag(p.Bundle),
		flag(p.Again), flag(p.Orphan), flag(p.Exposed), flag(p.Unproven)} {
		s.number(v)
	}
	putLegs(s, p)
	for _, v := range [...]string{p.Client, p.ClientKey, p.Channel, string(p.Language), p.Payer, p.Provider,
		p.Product, string(p.Currency), string(p.Charged.Currency)} {
		s.text(clean(v))
	}
	s.bytes(p.Digest[:])
	if p.Salt == [16]byte{} {
		s.bytes([]byte{})
	} else {
		s.bytes(p.Salt[:])
	}
}

func putProgress(s sink, p *purchase.Purchase) {
	for _, v := range [...]int64{p.Version, p.Epoch, int64(p.ChargedAt), int64(p.ClosedAt), int64(p.DeliverBy),
		int64(p.ResolveBy), int64(p.RefundBy), int64(p.WatchTill), int64(p.DueAt), p.Charged.Minor, p.Held,
		int64(p.Told), int64(p.State), flag(p.Orphan), flag(p.Exposed), flag(p.Unproven)} {
		s.number(v)
	}
	putLegs(s, p)
	s.text(clean(p.Provider))
	s.text(string(p.Charged.Currency))
}

// putUpdate writes a change's progress, and which row it expects to find.
func putUpdate(s sink, c *purchase.Change) {
	putProgress(s, &c.Now)
	s.number(int64(c.Now.ID))
	s.number(c.Now.Version - 1)
	s.number(c.WasEpoch)
}

// putLegs writes what is known of the legs beside attempts and evidence, as sets.
func putLegs(s sink, p *purchase.Purchase) {
	var doubt, closed, acknowledged int64
	for leg := range p.Legs {
		l := &p.Legs[leg]
		doubt |= flag(l.Doubt) << leg
		closed |= flag(l.Closed) << leg
		acknowledged |= flag(l.Acknowledged) << leg
	}
	s.number(doubt)
	s.number(closed)
	s.number(acknowledged)
}

func putAttempt(s sink, p *purchase.Purchase, a *purchase.Attempt) {
	s.number(int64(p.ID))
	s.number(p.Version)
	s.number(int64(a.At))
	s.number(int64(a.Leg))
	s.number(int64(a.Try))
	s.text(clean(a.Partner))
}

func putEvidence(s sink, p *purchase.Purchase, e *purchase.Evidence) {
	s.number(int64(p.ID))
	s.number(e.Version)
	s.text(clean(e.Partner))
	putOutcome(s, e.At, e.Leg, e.Source, &e.Outcome)
}

func putParked(s sink, p *purchase.Parked) {
	s.number(int64(p.Purchase))
	s.number(int64(p.Event.AskedAt))
	putOutcome(s, p.At, p.Event.Leg, p.Event.Source, &p.Event.Outcome)
}

func putOutcome(s sink, at purchase.Instant, leg purchase.Leg, source purchase.Source, o *purchase.Outcome) {
	for _, v := range [...]int64{int64(at), int64(leg), int64(source), int64(o.Kind), o.Amount.Minor, int64(o.Account)} {
		s.number(v)
	}
	if o.HasBalance {
		s.number(o.Balance)
	} else {
		s.absent()
	}
	for _, v := range [...]string{o.Ref, string(o.Amount.Currency), o.Product, string(o.Reason), o.Detail} {
		s.text(clip(clean(v)))
	}
}

func putPosting(s sink, p *purchase.Purchase, x *purchase.Posting, debit, credit int64) {
	for _, v := range [...]int64{int64(p.ID), p.Version, debit, credit, x.Amount.Minor, int64(x.At),
		int64(x.Leg), int64(x.Effect)} {
		s.number(v)
	}
}

func putNotice(s sink, p *purchase.Purchase, n *purchase.Notice) {
	for _, v := range [...]int64{int64(p.ID), p.Version, int64(n.To), int64(n.At), int64(n.SentAt), int64(n.Fact)} {
		s.number(v)
	}
	s.text(clean(string(n.Language)))
	s.text(clean(n.Text))
}

func putCase(s sink, p *purchase.Purchase, c *purchase.Case) {
	s.number(int64(p.ID))
	s.number(p.Version)
	s.number(int64(c.At))
	s.text(clean(string(c.Matter)))
}

func putRepeat(s sink, c *purchase.Change) {
	p := &c.Now
	for _, v := range [...]int64{int64(p.ID), int64(p.PayerNumber), int64(p.Recipient), p.Total, int64(c.RepeatSince)} {
		s.number(v)
	}
	s.text(clean(p.Product))
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// octets are bytes that a column takes which must not be null.
func octets(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// clean makes a text one that every database takes: valid UTF-8 without a zero
// byte. One bad byte from a partner must not keep a whole batch from being written.
func clean(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// clip bounds a valid text to MaxDetail bytes.
func clip(s string) string {
	if len(s) <= purchase.MaxDetail {
		return s
	}
	end := purchase.MaxDetail
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// scanner is a row that is being read.
type scanner interface{ Scan(dest ...any) error }

func scanPurchase(row scanner, p *purchase.Purchase) error {
	var doubt, closed, acknowledged int
	var digest, salt []byte
	err := row.Scan(&p.ID, &p.Version, &p.Epoch, &p.PayerNumber, &p.Recipient, &p.Total, &p.Fee, &p.Units,
		&p.CreatedAt, &p.ChargedAt, &p.ClosedAt, &p.DeliverBy, &p.ResolveBy, &p.RefundBy, &p.WatchTill,
		&p.DueAt, &p.Charged.Minor, &p.Held, &p.Offer, &p.Told, &p.State, &p.Bundle, &p.Again, &p.Orphan,
		&p.Exposed, &p.Unproven, &doubt, &closed, &acknowledged, &p.Client, &p.ClientKey, &p.Channel,
		&p.Language, &p.Payer, &p.Provider, &p.Product, &p.Currency, &p.Charged.Currency, &digest, &salt)
	copy(p.Digest[:], digest)
	copy(p.Salt[:], salt)
	for leg := range p.Legs {
		l := &p.Legs[leg]
		l.Doubt, l.Closed, l.Acknowledged = doubt>>leg&1 == 1, closed>>leg&1 == 1, acknowledged>>leg&1 == 1
	}
	return err
}

func scanAttempt(row scanner, id *purchase.ID, a *purchase.Attempt) error {
	var version int64
	return row.Scan(id, &version, &a.At, &a.Leg, &a.Try, &a.Partner)
}

func scanEvidence(row scanner, id *purchase.ID, e *purchase.Evidence) error {
	return scanOutcome(row, &e.At, &e.Leg, &e.Source, &e.Outcome, id, &e.Version, &e.Partner)
}

func scanParked(row scanner, p *purchase.Parked) error {
	return scanOutcome(row, &p.At, &p.Event.Leg, &p.Event.Source, &p.Event.Outcome, &p.Seq, &p.Purchase, &p.Event.AskedAt)
}

func scanOutcome(row scanner, at *purchase.Instant, leg *purchase.Leg, source *purchase.Source, o *purchase.Outcome, before ...any) error {
	var balance *int64
	err := row.Scan(append(before, at, leg, source, &o.Kind, &o.Amount.Minor, &o.Account, &balance, &o.Ref,
		&o.Amount.Currency, &o.Product, &o.Reason, &o.Detail)...)
	if balance != nil {
		o.Balance, o.HasBalance = *balance, true
	}
	return err
}

// scanPosting reads a posting with the accounts' names and the currency in
// place of their numbers.
func scanPosting(row scanner, id *purchase.ID, x *purchase.Posting) error {
	return row.Scan(id, &x.Leg, &x.Effect, &x.Debit, &x.Credit, &x.Amount.Minor, &x.Amount.Currency, &x.At)
}

func scanNotice(row scanner, n *purchase.Notice) error {
	var version int64
	return row.Scan(&n.Purchase, &version, &n.To, &n.At, &n.SentAt, &n.Fact, &n.Language, &n.Text)
}

func scanCase(row scanner, id *purchase.ID, c *purchase.Case) error {
	var version int64
	return row.Scan(id, &version, &c.At, &c.Matter)
}

// sums adds up what a batch's postings do to each account.
type sums map[int64]int64

func (s sums) post(debit, credit, amount int64) error {
	up, err := money.Add(s[debit], amount)
	if err != nil {
		return fmt.Errorf("%w: %w", errRejected, err)
	}
	down, err := money.Add(s[credit], -amount)
	if err != nil {
		return fmt.Errorf("%w: %w", errRejected, err)
	}
	s[debit], s[credit] = up, down
	return nil
}

// accountKeys are the two balances that a posting touches.
func accountKeys(x *purchase.Posting) (debit, credit ledger.Key) {
	return ledger.Key{Account: x.Debit, Currency: x.Amount.Currency}, ledger.Key{Account: x.Credit, Currency: x.Amount.Currency}
}
