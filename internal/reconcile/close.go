package reconcile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tenu/internal/purchase"
)

// closeType is what the document of a close says that it is.
const closeType = "tenu day close 1"

// Document is the close of a day, as it is signed. Amounts are minor units.
type Document struct {
	Type     string   `json:"type"`
	Seq      int64    `json:"seq"`
	Day      string   `json:"day"`
	Zone     string   `json:"zone"`
	From     string   `json:"from"`
	To       string   `json:"to"`
	At       string   `json:"closed_at"`
	Corrects int64    `json:"corrects"` // the record that this one corrects, 0 for none
	Before   string   `json:"before"`   // SHA-256 of the record before this one, "" for the first
	Figures  Figures  `json:"figures"`
	Notes    []string `json:"notes,omitempty"`
}

// Figures are what a close tells.
type Figures struct {
	Partners []PartnerDay `json:"partners"`
	// Open are the breaks that nobody has resolved, of this day and of before.
	Open     []OpenBreak `json:"open"`
	OpenMore int         `json:"open_more"` // that are not listed
	// Losses are who bears what, if the breaks of the day stay as they are.
	Losses []Loss `json:"losses"`
	// Settlements are the days that had to be settled by this day's end and since the one before.
	Settlements []DaySettlement `json:"settlements,omitempty"`
}

// PartnerDay is a partner's day on both sides.
type PartnerDay struct {
	Partner    string         `json:"partner"`
	Statements []StatementRef `json:"statements"`
	// Whole: closed statements tell of the whole day.
	Whole  bool       `json:"whole"`
	Here   []DaySum   `json:"here"`
	There  []DaySum   `json:"there"`
	Breaks []BreakSum `json:"breaks"`
	// Open are movements about which a statement of another day will tell.
	Open    int64 `json:"open_movements"`
	OpenSum int64 `json:"open_amount"`
	// Positions are what the partner owes us by its own statements (negative: we owe it), and by our record.
	Positions []Position `json:"positions"`
}

// StatementRef names a statement.
type StatementRef struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	Digest string `json:"sha256"`
	From   string `json:"from"`
	To     string `json:"to"`
	Lines  int64  `json:"lines"`
}

// DaySum is what movements of a kind add up to.
type DaySum struct {
	Kind     string `json:"kind"`
	Currency string `json:"currency"`
	Lines    int64  `json:"lines"`
	Amount   int64  `json:"amount"`
}

// BreakSum is what breaks of a cause add up to.
type BreakSum struct {
	Cause    string `json:"cause"`
	Status   string `json:"status"`
	Currency string `json:"currency"`
	Breaks   int64  `json:"breaks"`
	Amount   int64  `json:"amount"`
}

// Position is who owes whom.
type Position struct {
	Currency string `json:"currency"`
	// What it charged and did not give back, it owes us; what it credited and did not take back, we owe it (negative).
	There      int64 `json:"there"`
	Here       int64 `json:"here"`
	Settled    int64 `json:"settled"` // money that moved on settlement accounts
	Difference int64 `json:"difference"`
}

// Loss is what a party bears.
type Loss struct {
	Party    string `json:"party"`
	Partner  string `json:"partner"`
	Currency string `json:"currency"`
	Amount   int64  `json:"amount"`
}

// OpenBreak is a break that is listed as open. It tells no number.
type OpenBreak struct {
	ID        int64  `json:"id"`
	Partner   string `json:"partner"`
	Cause     string `json:"cause"`
	Purchase  string `json:"purchase,omitempty"`
	Leg       string `json:"leg,omitempty"`
	Party     string `json:"party"`
	Status    string `json:"status"`
	Here      int64  `json:"here"`
	There     int64  `json:"there"`
	Currency  string `json:"currency"`
	FoundAt   string `json:"found_at"`
	AgeHours  int64  `json:"age_hours"` // at the end of the day, or when it was found
	Statement int64  `json:"statement"`
}

// maxOpen bounds the breaks that a close lists.
const maxOpen = 10_000

// Errors of closes.
var (
	ErrNotOver   = errors.New("the day is not over")
	ErrTampered  = errors.New("a close was altered, or is missing")
	ErrUnchanged = errors.New("the day is closed, and nothing has changed since")
)

// CloseDay closes a day of a time zone, and signs the record. A day that was closed before
// and whose figures are other now gets a record that corrects the last one; where they are the
// same ErrUnchanged is returned with the record that there is.
func (d *Desk) CloseDay(ctx context.Context, day string, zone *time.Location, signer note.Signer) (Close, error) {
	begin, err := time.ParseInLocation(time.DateOnly, day, zone)
	if err != nil {
		return Close{}, fmt.Errorf("close: %q is not a day such as 2026-07-09", clipped(day))
	}
	span := Span{purchase.At(begin), purchase.At(begin.AddDate(0, 0, 1))}
	now := d.cfg.Clock.Now()
	if span.To > now {
		return Close{}, ErrNotOver
	}
	figures, err := d.figures(ctx, span)
	if err != nil {
		return Close{}, err
	}
	last, err := d.cfg.Store.LastClose(ctx)
	if err != nil {
		return Close{}, err
	}
	same, err := d.cfg.Store.Closes(ctx, day)
	if err != nil {
		return Close{}, err
	}
	doc := Document{Type: closeType, Seq: last.Seq + 1, Day: day, Zone: zone.String(), From: span.From.String(), To: span.To.String(),
		At: now.String(), Figures: figures}
	if last.Seq > 0 {
		doc.Before = digestOf(last.Note)
	}
	if n := len(same); n > 0 {
		doc.Corrects = same[n-1].Seq
		if old, err := read(same[n-1].Note); err == nil && equal(&old.Figures, &figures) {
			return same[n-1], ErrUnchanged
		}
	}
	text, err := canonical(doc)
	if err != nil {
		return Close{}, err
	}
	signed, err := note.Sign(&note.Note{Text: string(text) + "\n"}, signer)
	if err != nil {
		return Close{}, fmt.Errorf("sign the close of %s: %w", day, err)
	}
	c := Close{Seq: doc.Seq, Day: day, Corrects: doc.Corrects, At: now, Note: string(signed)}
	return c, d.cfg.Store.AddClose(ctx, c)
}

// equal compares figures as they are signed.
func equal(a, b *Figures) bool {
	x, err := canonical(a)
	y, err2 := canonical(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

// canonical is JSON with its keys in order and nothing between (RFC 8785, of which only whole numbers are used).
func canonical(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write a close: %w", err)
	}
	in := json.NewDecoder(bytes.NewReader(text))
	in.UseNumber()
	var plain any
	if err := in.Decode(&plain); err != nil {
		return nil, fmt.Errorf("write a close: %w", err)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(plain); err != nil {
		return nil, fmt.Errorf("write a close: %w", err)
	}
	return bytes.TrimRight(out.Bytes(), "\n"), nil
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// read is the document of a note, whose signature somebody else checks.
func read(signed string) (doc Document, err error) {
	text, _, found := strings.Cut(signed, "\n\n")
	if !found {
		return doc, ErrTampered
	}
	in := json.NewDecoder(strings.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(&doc); err != nil || doc.Type != closeType {
		return doc, fmt.Errorf("%w: it is no close of tenu's", ErrTampered)
	}
	return doc, nil
}

// Verified checks one signed record against those who may sign.
func Verified(signed string, verifiers note.Verifiers) (doc Document, err error) {
	if _, err := note.Open([]byte(signed), verifiers); err != nil {
		return doc, fmt.Errorf("%w: %w", ErrTampered, err)
	}
	return read(signed)
}

// VerifyCloses checks every record: its signature, its place, and that it follows the one before.
func (d *Desk) VerifyCloses(ctx context.Context, verifiers note.Verifiers) (n int, err error) {
	all, err := d.cfg.Store.Closes(ctx, "")
	if err != nil {
		return 0, err
	}
	before := ""
	lastOf := map[string]int64{}
	for i := range all {
		c := &all[i]
		doc, err := Verified(c.Note, verifiers)
		if err != nil {
			return i, fmt.Errorf("record %d: %w", c.Seq, err)
		}
		if doc.Seq != int64(i)+1 || c.Seq != doc.Seq || doc.Day != c.Day || doc.Before != before || doc.Corrects != lastOf[c.Day] || doc.Corrects != c.Corrects {
			return i, fmt.Errorf("record %d: %w: it does not follow the one before", c.Seq, ErrTampered)
		}
		before, lastOf[c.Day] = digestOf(c.Note), doc.Seq
	}
	return len(all), nil
}

// figures gathers what a day's close tells.
func (d *Desk) figures(ctx context.Context, day Span) (f Figures, err error) {
	f.Partners, f.Open, f.Losses = []PartnerDay{}, []OpenBreak{}, []Loss{}
	losses := map[Loss]int64{}
	for i := range d.cfg.Known {
		p, err := d.partnerDay(ctx, &d.cfg.Known[i], day, losses)
		if err != nil {
			return f, err
		}
		f.Partners = append(f.Partners, p)
	}
	for l, amount := range losses {
		l.Amount = amount
		f.Losses = append(f.Losses, l)
	}
	slices.SortFunc(f.Losses, func(a, b Loss) int {
		return strings.Compare(a.Party+"\x00"+a.Partner+"\x00"+a.Currency, b.Party+"\x00"+b.Partner+"\x00"+b.Currency)
	})
	settlements, err := d.Settlements(ctx, day.To)
	if err != nil {
		return f, err
	}
	for _, s := range settlements {
		if day.holds(s.until) {
			f.Settlements = append(f.Settlements, s)
		}
	}
	return f, d.listOpen(ctx, day, &f)
}

// listOpen lists what is still open at a day's end.
func (d *Desk) listOpen(ctx context.Context, day Span, f *Figures) error {
	const page = 500
	for before := int64(0); ; {
		all, err := d.cfg.Store.Breaks(ctx, Sift{Status: []Status{StatusOpen, StatusAsked, StatusAccepted}, Before: before,
			Moved: Span{To: day.To}, Limit: page})
		if err != nil {
			return err
		}
		for i := range all {
			b := &all[i]
			before = b.ID
			if len(f.Open) == maxOpen {
				f.OpenMore++
				continue
			}
			o := OpenBreak{ID: b.ID, Partner: b.Partner, Cause: b.Cause.String(), Party: b.Party, Status: b.Status.String(), Here: b.Here, There: b.There,
				Currency: b.Currency, FoundAt: b.FirstAt.String(), AgeHours: int64(max(day.To.Sub(b.FirstAt), 0).Hours()), Statement: b.Statement}
			if b.Purchase != 0 {
				o.Purchase = d.cfg.Reference(b.Purchase)
			}
			if b.Leg != 0 {
				o.Leg = b.Leg.String()
			}
			f.Open = append(f.Open, o)
		}
		if len(all) < page {
			return nil
		}
	}
}

// sums gathers amounts by kind and currency.
type sums map[DaySum]*DaySum

func (s sums) add(kind Kind, currency string, lines, amount int64) {
	s.put(kind.String(), currency, lines, amount)
}

func (s sums) put(kind, currency string, lines, amount int64) {
	key := DaySum{Kind: kind, Currency: currency}
	if s[key] == nil {
		s[key] = &DaySum{Kind: key.Kind, Currency: currency}
	}
	s[key].Lines += lines
	s[key].Amount += amount
}

func (s sums) sorted() []DaySum {
	all := make([]DaySum, 0, len(s))
	for _, v := range s {
		all = append(all, *v)
	}
	slices.SortFunc(all, func(a, b DaySum) int { return strings.Compare(a.Kind+"\x00"+a.Currency, b.Kind+"\x00"+b.Currency) })
	return all
}

// partnerDay gathers a partner's day.
func (d *Desk) partnerDay(ctx context.Context, k *Known, day Span, losses map[Loss]int64) (p PartnerDay, err error) {
	p, undone, err := d.stated(ctx, k, day)
	if err != nil {
		return p, err
	}
	here := sums{}
	if err := d.here(ctx, k, day, here); err != nil {
		return p, err
	}
	if err := d.dayBreaks(ctx, k.Name, day, &p, losses); err != nil {
		return p, err
	}
	p.Here = here.sorted()
	p.Positions = positions(slices.Concat(p.There, undone), p.Here)
	return p, nil
}

// stated gathers what a partner's statements say of a day, and what of it was taken back.
func (d *Desk) stated(ctx context.Context, k *Known, day Span) (p PartnerDay, taken []DaySum, err error) {
	p = PartnerDay{Partner: k.Name, Statements: []StatementRef{}, Breaks: []BreakSum{}, Positions: []Position{}}
	there, undone := sums{}, sums{}
	statements, err := d.cfg.Store.Statements(ctx, k.Name, day)
	if err != nil {
		return p, nil, err
	}
	var covered []Span
	for i := range statements {
		s := &statements[i]
		p.Statements = append(p.Statements, StatementRef{s.ID, s.Name, s.Digest, s.From.String(), s.To.String(), s.Lines})
		p.Open += s.Tally.Open
		p.OpenSum += s.Tally.OpenSum
		if !s.Partial {
			covered = append(covered, s.Span)
		}
		for what, amount := range s.Tally.Undone {
			leg, currency, _ := strings.Cut(what, " ")
			undone.put("undone "+leg, currency, 0, amount)
		}
		if err := d.there(ctx, s, day, statements[:i], there); err != nil {
			return p, nil, err
		}
	}
	for _, s := range joined(covered) {
		p.Whole = p.Whole || s.From <= day.From && s.To >= day.To
	}
	p.There = there.sorted()
	return p, undone.sorted(), nil
}

// there adds up what a statement says of a day, but for what earlier statements say of it already.
func (d *Desk) there(ctx context.Context, s *Statement, day Span, before []Statement, into sums) error {
	alone := s.From >= day.From && s.To <= day.To
	for i := range before {
		alone = alone && before[i].To <= s.From
	}
	if alone {
		for _, sum := range s.Sums {
			into.add(sum.Kind, string(sum.Currency), sum.Lines, sum.Amount)
		}
		return nil
	}
	k := &archived{Statement: *s, seq: -1}
	in := k.all(ctx, d.cfg.Store)
	for {
		record, err := in.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		l, err := decodeLine(record)
		if err != nil {
			return err
		}
		told := !day.holds(l.At)
		for i := range before {
			told = told || before[i].holds(l.At)
		}
		if !told {
			into.add(l.Kind, string(l.Amount.Currency), 1, l.Amount.Minor)
		}
	}
}

// here adds up what is on record of a partner's day.
func (d *Desk) here(ctx context.Context, k *Known, day Span, into sums) error {
	book, err := d.book(ctx, k.Name, Span{day.From.Add(-d.cfg.Lookback), day.To})
	if err != nil {
		return err
	}
	defer book.close()
	for {
		m, err := book.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range m.Done {
			if t := &m.Done[i]; day.holds(t.At) {
				into.add(kindOf(m.Leg), string(t.Amount.Currency), 1, t.Amount.Minor)
			}
		}
		for i := range m.Undone {
			if t := &m.Undone[i]; day.holds(t.At) {
				into.put("undone "+m.Leg.String(), string(t.Amount.Currency), 1, t.Amount.Minor)
			}
		}
	}
}

// dayBreaks adds up the breaks of what moved in a day.
func (d *Desk) dayBreaks(ctx context.Context, partner string, day Span, p *PartnerDay, losses map[Loss]int64) error {
	const page = 500
	all := map[BreakSum]*BreakSum{}
	for before := int64(0); ; {
		list, err := d.cfg.Store.Breaks(ctx, Sift{Partner: partner, Moved: day, Before: before, Limit: page})
		if err != nil {
			return err
		}
		for i := range list {
			b := &list[i]
			before = b.ID
			key := BreakSum{Cause: b.Cause.String(), Status: b.Status.String(), Currency: b.Currency}
			if all[key] == nil {
				fresh := key
				all[key] = &fresh
			}
			all[key].Breaks++
			all[key].Amount += b.Loss()
			if loss := b.Loss(); loss > 0 && b.Reason != ReasonGone && b.Reason != ReasonBooked {
				losses[Loss{Party: b.Party, Partner: partner, Currency: b.Currency}] += loss
			}
		}
		if len(list) < page {
			break
		}
	}
	for _, v := range all {
		p.Breaks = append(p.Breaks, *v)
	}
	slices.SortFunc(p.Breaks, func(a, b BreakSum) int {
		return strings.Compare(a.Cause+"\x00"+a.Status+"\x00"+a.Currency, b.Cause+"\x00"+b.Status+"\x00"+b.Currency)
	})
	return nil
}

// sign is which way a kind of movement counts in the position of a partner: what it
// took for us counts for us, what it gave for us counts for it.
var sign = map[string]int64{"charge": 1, "refund": -1, "credit": -1, "reversal": 1,
	"undone charge": -1, "undone refund": 1, "undone credit": 1, "undone reversal": -1}

// positions are who owes whom, by currency.
func positions(there, here []DaySum) []Position {
	of := map[string]*Position{}
	at := func(currency string) *Position {
		if of[currency] == nil {
			of[currency] = &Position{Currency: currency}
		}
		return of[currency]
	}
	for _, s := range there {
		if s.Kind == "settlement" {
			at(s.Currency).Settled += s.Amount
			continue
		}
		at(s.Currency).There += sign[s.Kind] * s.Amount
	}
	for _, s := range here {
		at(s.Currency).Here += sign[s.Kind] * s.Amount
	}
	all := make([]Position, 0, len(of))
	for _, p := range of {
		p.Difference = p.There - p.Here
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b Position) int { return strings.Compare(a.Currency, b.Currency) })
	return all
}
