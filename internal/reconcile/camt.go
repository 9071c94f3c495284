package reconcile

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// account reads an ISO 20022 bank-to-customer statement (camt.053), of any
// version: the elements that it reads have stayed the same. One entry is in memory at a time.
type account struct {
	file   string
	m      *Mapping
	keys   Keys
	in     *allowance
	xml    *xml.Decoder
	path   []string
	head   Head
	totals []Total
	n      int64
	seen   bool // a statement was read
	ended  bool

	opening, closing, moved int64 // in minor units, with signs
	hasOpening, hasClosing  bool
	sum                     int64
	balance                 camtBalance
}

// maxDepth bounds how deep elements nest.
const maxDepth = 32

func newAccount(file string, r io.Reader, m *Mapping, keys Keys) (Reader, error) {
	a := &account{file: file, m: m, keys: keys, in: newAllowance(r), head: Head{Zone: m.Zone}}
	a.xml = xml.NewDecoder(a.in)
	a.xml.CharsetReader = func(label string, in io.Reader) (io.Reader, error) {
		switch strings.ToLower(label) {
		case "iso-8859-1", "latin1":
			return decode(in, Latin1)
		}
		return nil, errors.New("no encoding is called so here")
	}
	return a, nil
}

// Head is Reader.
func (a *account) Head() Head { return a.head }

// Totals is Reader.
func (a *account) Totals() []Total { return a.totals }

func (a *account) wrong(err error) error {
	line, column := a.xml.InputPos()
	what := err.Error()
	var syntax *xml.SyntaxError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &syntax) && syntax.Msg == "unexpected EOF", errors.Is(err, io.EOF):
		what = "the file ends in the middle: it is cut"
	case syntax != nil:
		what = syntax.Msg
	}
	return fault(a.file, int64(line), int64(column), "%s", what)
}

// Next is Reader.
func (a *account) Next() (Line, error) {
	for !a.ended {
		a.in.renew(a.xml.InputOffset())
		token, err := a.xml.Token()
		if errors.Is(err, io.EOF) {
			a.ended = true
			if !a.seen {
				return Line{}, fault(a.file, 0, 0, "no statement of an account (BkToCstmrStmt/Stmt) is in it")
			}
			break
		}
		if err != nil {
			return Line{}, a.wrong(err)
		}
		switch t := token.(type) {
		case xml.Directive:
			return Line{}, a.wrong(errors.New("declarations are not read"))
		case xml.StartElement:
			line, is, err := a.start(t)
			if err != nil || is {
				return line, err
			}
		case xml.EndElement:
			a.path = a.path[:len(a.path)-1]
			if t.Name.Local == "Stmt" && len(a.path) == 2 {
				if err := a.sumUp(); err != nil {
					return Line{}, err
				}
			}
		}
	}
	return Line{}, io.EOF
}

// camtAmount is an amount with its currency.
type camtAmount struct {
	Currency string `xml:"Ccy,attr"`
	Text     string `xml:",chardata"`
}

// camtBalance is a balance of a statement.
type camtBalance struct {
	Code   string     `xml:"Tp>CdOrPrtry>Cd"`
	Amount camtAmount `xml:"Amt"`
	Sign   string     `xml:"CdtDbtInd"`
}

// camtDate is a date or a time.
type camtDate struct {
	Date string `xml:"Dt"`
	Time string `xml:"DtTm"`
}

// camtEntry is one movement on the account.
type camtEntry struct {
	Ref      string     `xml:"NtryRef"`
	Amount   camtAmount `xml:"Amt"`
	Sign     string     `xml:"CdtDbtInd"`
	Reversal string     `xml:"RvslInd"`
	Status   struct {
		Code string `xml:"Cd"`
		Text string `xml:",chardata"`
	} `xml:"Sts"`
	Booked   camtDate `xml:"BookgDt"`
	Servicer string   `xml:"AcctSvcrRef"`
	Details  []struct {
		EndToEnd string   `xml:"Refs>EndToEndId"`
		Party    string   `xml:"RltdPties>Dbtr>Nm"`
		Text     []string `xml:"RmtInf>Ustrd"`
	} `xml:"NtryDtls>TxDtls"`
}

// start reads an element that is known, or steps into it.
func (a *account) start(t xml.StartElement) (line Line, is bool, err error) {
	if len(a.path) >= maxDepth {
		return Line{}, false, a.wrong(errors.New("elements nest too deep"))
	}
	where := strings.Join(append(slices.Clone(a.path), t.Name.Local), "/")
	const in = "Document/BkToCstmrStmt/Stmt/"
	switch where {
	case "Document/BkToCstmrStmt/Stmt":
		if a.seen {
			return Line{}, false, a.wrong(errors.New("a second statement: one file is one statement"))
		}
		a.seen = true
	case in + "FrToDt":
		var period struct {
			From string `xml:"FrDtTm"`
			To   string `xml:"ToDtTm"`
		}
		if err := a.xml.DecodeElement(&period, &t); err != nil {
			return Line{}, false, a.wrong(err)
		}
		return Line{}, false, a.period(period.From, period.To)
	case in + "Acct":
		var account struct {
			Other string `xml:"Id>Othr>Id"`
			IBAN  string `xml:"Id>IBAN"`
		}
		if err := a.xml.DecodeElement(&account, &t); err != nil {
			return Line{}, false, a.wrong(err)
		}
		a.head.Partner = "" // an account is named by the bank, a partner by us
		return Line{}, false, nil
	case in + "Bal":
		a.balance = camtBalance{}
		if err := a.xml.DecodeElement(&a.balance, &t); err != nil {
			return Line{}, false, a.wrong(err)
		}
		return Line{}, false, a.readBalance()
	case in + "TxsSummry":
		return Line{}, false, a.summary(&t)
	case in + "Ntry":
		return a.entry(&t)
	}
	if len(a.path) == 0 && t.Name.Local != "Document" {
		return Line{}, false, a.wrong(errors.New("the document is not an ISO 20022 message"))
	}
	a.path = append(a.path, t.Name.Local)
	return Line{}, false, nil
}

func (a *account) period(from, to string) (err error) {
	if a.head.From, err = a.m.camtTime(from); err == nil {
		a.head.To, err = a.m.camtTime(to)
	}
	switch {
	case err != nil:
		return a.wrong(errors.New("the period is not two times"))
	case a.head.To <= a.head.From:
		return a.wrong(errors.New("the period ends before it begins"))
	}
	if t := a.head.To.Time().In(a.m.zone); t.Hour() == 23 && t.Minute() == 59 && t.Second() == 59 { // as banks write the last second
		a.head.To += 1_000_000 - a.head.To%1_000_000
	}
	return nil
}

// camtTime reads an ISO 8601 time or date.
func (m *Mapping) camtTime(text string) (purchase.Instant, error) {
	text = strings.TrimSpace(text)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999", time.DateOnly} {
		if at, err := m.parseTime(text, layout); err == nil {
			return at, nil
		}
	}
	return 0, errors.New("not a time in ISO 8601")
}

// signed reads an amount whose sign is told beside it.
func (a *account) signed(amount camtAmount, sign string) (money.Amount, error) {
	currency, err := money.ParseCurrency(amount.Currency)
	if err != nil {
		return money.Amount{}, errors.New("not a currency that is known")
	}
	v, err := money.ParseDecimal(strings.TrimSpace(amount.Text), currency)
	if err != nil {
		return money.Amount{}, errors.New("not an amount of " + string(currency))
	}
	switch sign {
	case "CRDT":
	case "DBIT":
		v.Minor = -v.Minor
	default:
		return money.Amount{}, errors.New("CdtDbtInd is neither CRDT nor DBIT")
	}
	return v, nil
}

func (a *account) readBalance() error {
	v, err := a.signed(a.balance.Amount, a.balance.Sign)
	if err != nil {
		return a.wrong(err)
	}
	switch a.balance.Code {
	case "OPBD", "PRCD":
		a.opening, a.hasOpening = v.Minor, true
	case "CLBD":
		a.closing, a.hasClosing = v.Minor, true
	}
	return nil
}

// summary reads the number of entries and their sum.
func (a *account) summary(t *xml.StartElement) error {
	var s struct {
		Count string `xml:"TtlNtries>NbOfNtries"`
		Sum   string `xml:"TtlNtries>Sum"`
	}
	if err := a.xml.DecodeElement(&s, t); err != nil {
		return a.wrong(err)
	}
	total := Total{Currency: a.m.currency, Lines: -1}
	if s.Count != "" {
		n, err := money.ParseDecimal(strings.TrimSpace(s.Count), money.XOF) // digits
		if err != nil {
			return a.wrong(errors.New("NbOfNtries is not a number"))
		}
		total.Lines = n.Minor
	}
	if s.Sum != "" && a.m.currency != "" {
		v, err := money.ParseDecimal(strings.TrimSpace(s.Sum), a.m.currency)
		if err != nil {
			return a.wrong(errors.New("Sum is not an amount"))
		}
		total.Sum, total.HasSum = v.Minor, true
	}
	a.totals = append(a.totals, total)
	return nil
}

// entry reads a movement on the account. What is only pending is none.
func (a *account) entry(t *xml.StartElement) (line Line, is bool, err error) {
	var e camtEntry
	if err := a.xml.DecodeElement(&e, t); err != nil {
		return Line{}, false, a.wrong(err)
	}
	a.n++
	if plain, err := money.ParseDecimal(strings.TrimSpace(e.Amount.Text), a.m.currency); err == nil {
		if a.sum, err = money.Add(a.sum, plain.Minor); err != nil {
			return Line{}, false, a.wrong(err)
		}
	}
	status := orElse(strings.TrimSpace(e.Status.Code), strings.TrimSpace(e.Status.Text))
	if status != "" && status != "BOOK" {
		return Line{}, false, nil
	}
	v, err := a.signed(e.Amount, e.Sign)
	if err != nil {
		return Line{}, false, a.wrong(err)
	}
	a.moved, err = money.Add(a.moved, v.Minor)
	if err != nil {
		return Line{}, false, a.wrong(err)
	}
	line = Line{Place: a.n, Kind: KindSettlement, Ref: orElse(e.Servicer, e.Ref), Amount: v}
	if len(e.Details) > 0 && e.Details[0].EndToEnd != "NOTPROVIDED" {
		line.Key = e.Details[0].EndToEnd
	}
	for _, text := range []string{line.Ref, line.Key} {
		if err := checkText(text); err != nil {
			return Line{}, false, a.wrong(errors.New("a reference is " + err.Error()))
		}
	}
	if v.Minor == 0 {
		return Line{}, false, a.wrong(errors.New("an entry moves nothing"))
	}
	if line.At, err = a.m.camtTime(orElse(e.Booked.Time, e.Booked.Date)); err != nil {
		return Line{}, false, a.wrong(err)
	}
	return line, true, nil
}

// sumUp checks the balances once all entries were read.
func (a *account) sumUp() error {
	for _, t := range a.totals {
		if t.Lines >= 0 && t.Lines != a.n {
			return a.wrong(fmt.Errorf("the summary says %d entries, and %d were read", t.Lines, a.n))
		}
		if t.HasSum && t.Sum != a.sum {
			return a.wrong(errors.New("the entries do not add up to the summary's sum"))
		}
	}
	if !a.hasOpening || !a.hasClosing {
		return nil
	}
	want, err := money.Add(a.opening, a.moved)
	if err != nil || want != a.closing {
		return a.wrong(errors.New("the entries do not lead from the opening balance to the closing one"))
	}
	return nil
}
