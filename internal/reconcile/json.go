package reconcile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// list reads a JSON document that is an array of objects, or an object that
// holds one under a known name. One object is in memory at a time.
type list struct {
	file    string
	m       *Mapping
	keys    Keys
	in      *allowance
	json    *json.Decoder
	head    Head
	inArray bool
	wrapped bool // the array stands in an object
	ended   bool
	n       int64
	entry   func(*list, json.RawMessage, *Line) (is bool, err error)
	days    dayMemory
}

// arrayNames are the names under which an object holds the array: those of
// CGRateS's answers and of wrapped transaction lists.
var arrayNames = []string{"result", "transactions", "cdrs"}

func newList(file string, r io.Reader, m *Mapping, keys Keys, entry func(*list, json.RawMessage, *Line) (bool, error)) (Reader, error) {
	in, err := decode(r, m.Encoding)
	if err != nil {
		return nil, fault(file, 0, 0, "%v", err)
	}
	l := &list{file: file, m: m, keys: keys, in: newAllowance(in), head: Head{Zone: m.Zone}, entry: entry}
	l.json = json.NewDecoder(l.in)
	return l, nil
}

// Head is Reader.
func (l *list) Head() Head { return l.head }

// Totals is Reader: such a list says nothing of itself.
func (l *list) Totals() []Total { return nil }

// wrong is a fault at the place where the decoder is.
func (l *list) wrong(err error) error {
	offset := l.json.InputOffset()
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		offset = max(offset, syntax.Offset-1)
	}
	line, column := l.in.place(offset)
	what := err.Error()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		what = "the file ends in the middle: it is cut"
	}
	return fault(l.file, line, column, "%s", strings.TrimPrefix(what, "json: "))
}

// Next is Reader.
func (l *list) Next() (Line, error) {
	if l.ended {
		return Line{}, io.EOF
	}
	if !l.inArray {
		if err := l.begin(); err != nil {
			return Line{}, err
		}
		if l.ended {
			return Line{}, io.EOF
		}
	}
	for l.json.More() {
		l.in.renew(l.json.InputOffset())
		var raw json.RawMessage
		if err := l.json.Decode(&raw); err != nil {
			return Line{}, l.wrong(err)
		}
		l.n++
		line := Line{Place: l.n}
		is, err := l.entry(l, raw, &line)
		if err != nil {
			row, column := l.in.place(l.json.InputOffset() - int64(len(raw)))
			return Line{}, fault(l.file, row, column, "entry %d: %v", l.n, err)
		}
		if is {
			return line, nil
		}
	}
	return Line{}, l.end()
}

// begin finds the array.
func (l *list) begin() error {
	l.inArray = true
	token, err := l.json.Token()
	switch {
	case err != nil:
		return l.wrong(err)
	case token == json.Delim('['):
		return nil
	case token != json.Delim('{'):
		return l.wrong(errors.New("neither an array nor an object that holds one"))
	}
	l.wrapped = true
	for l.json.More() {
		l.in.renew(l.json.InputOffset())
		name, err := l.json.Token()
		if err != nil {
			return l.wrong(err)
		}
		text, _ := name.(string)
		for _, known := range arrayNames {
			if strings.EqualFold(text, known) {
				token, err := l.json.Token()
				switch {
				case err != nil:
					return l.wrong(err)
				case token == nil: // null: an empty list
					return l.finish()
				case token != json.Delim('['):
					return l.wrong(errors.New(known + " is not an array"))
				}
				return nil
			}
		}
		var skipped json.RawMessage
		if err := l.json.Decode(&skipped); err != nil {
			return l.wrong(err)
		}
		if strings.EqualFold(text, "error") && !bytes.Equal(skipped, []byte("null")) {
			return l.wrong(errors.New("the partner answered with an error"))
		}
	}
	return l.wrong(errors.New("the object holds none of " + strings.Join(arrayNames, ", ")))
}

// end reads what follows the array.
func (l *list) end() error {
	if _, err := l.json.Token(); err != nil {
		return l.wrong(err)
	}
	if err := l.finish(); err != nil {
		return err
	}
	return io.EOF
}

// finish reads the rest of the document.
func (l *list) finish() error {
	l.ended = true
	l.in.renew(l.json.InputOffset())
	if l.wrapped {
		for l.json.More() {
			l.in.renew(l.json.InputOffset())
			if _, err := l.json.Token(); err != nil {
				return l.wrong(err)
			}
			var skipped json.RawMessage
			if err := l.json.Decode(&skipped); err != nil {
				return l.wrong(err)
			}
		}
		if _, err := l.json.Token(); err != nil {
			return l.wrong(err)
		}
	}
	l.in.renew(l.json.InputOffset())
	if _, err := l.json.Token(); !errors.Is(err, io.EOF) {
		return l.wrong(errors.New("something follows the list"))
	}
	return nil
}

// gsmaParty is an identifier of a party.
type gsmaParty struct{ Key, Value string }

// gsmaTransaction is a transaction object of the GSMA Mobile Money API 1.2.
type gsmaTransaction struct {
	Ref      string      `json:"transactionReference"`
	Ours     string      `json:"requestingOrganisationTransactionReference"`
	Original string      `json:"originalTransactionReference"`
	Type     string      `json:"type"`
	Status   string      `json:"transactionStatus"`
	Amount   string      `json:"amount"`
	Currency string      `json:"currency"`
	Debit    []gsmaParty `json:"debitParty"`
	Credit   []gsmaParty `json:"creditParty"`
	Created  string      `json:"creationDate"`
	Modified string      `json:"modificationDate"`
}

// gsmaEntry reads a transaction. A charge is a merchant's payment; a reversal
// with our reference is our refund, one without is the wallet's own.
func gsmaEntry(l *list, raw json.RawMessage, line *Line) (bool, error) {
	var t gsmaTransaction
	if err := json.Unmarshal(raw, &t); err != nil {
		return false, errors.New("not a transaction: " + strings.TrimPrefix(err.Error(), "json: "))
	}
	if t.Status != "completed" && t.Status != "reversed" {
		return false, nil // nothing moved
	}
	party := t.Debit
	switch {
	case t.Type == "merchantpay":
		line.Kind = KindCharge
	case t.Type == "reversal" && t.Ours != "":
		line.Kind, party = KindRefund, t.Credit
	case t.Type == "reversal" && t.Original != "":
		line.Kind, party = KindUndone, append(t.Debit, t.Credit...)
	default:
		return false, nil // of other business
	}
	for _, text := range []string{t.Ref, t.Ours, t.Original} {
		if err := checkText(text); err != nil {
			return false, errors.New("a reference is " + err.Error())
		}
	}
	line.Ref, line.Key, line.Original = t.Ref, t.Ours, t.Original
	for _, p := range party {
		if strings.EqualFold(p.Key, "msisdn") && line.Number == 0 {
			if line.Number = parseNumber(p.Value, "", 0); line.Number == 0 {
				return false, errors.New("a party's msisdn is not a number")
			}
		}
	}
	return true, l.finishEntry(line, t.Amount, t.Currency, orElse(t.Modified, t.Created))
}

// finishEntry reads what every entry has.
func (l *list) finishEntry(line *Line, amount, currency, at string) (err error) {
	code := money.Currency(currency)
	if currency == "" {
		code = l.m.currency
	}
	if _, err = money.ParseCurrency(string(code)); err != nil {
		return errors.New("not a currency that is known")
	}
	if line.Amount, err = money.ParseDecimal(amount, code); err != nil {
		return errors.New("not an amount of " + string(code))
	}
	if line.Amount.Minor <= 0 {
		return errors.New("an amount must be positive")
	}
	quick, ok := l.days.quick([]byte(at), "")
	if line.At = quick; !ok {
		if line.At, err = l.m.parseTime(at, "rfc3339"); err != nil {
			return errors.New("not a time in RFC 3339")
		}
	}
	own(l.keys, line)
	if line.Kind == 0 {
		return errors.New("neither a kind nor a key of ours tells what it is")
	}
	return nil
}

// cgratesRecord is a call detail record of CGRateS 0.10.
type cgratesRecord struct {
	CGRID       string
	RunID       string
	ToR         string
	OriginID    string
	OriginHost  string
	Account     string
	AnswerTime  string
	SetupTime   string
	Cost        json.Number
	ExtraFields map[string]string
}

// cgratesEntry reads a record of a movement that tenu asked for. Records of
// calls and of other programs are of other business.
func cgratesEntry(l *list, raw json.RawMessage, line *Line) (bool, error) {
	var r cgratesRecord
	if err := json.Unmarshal(raw, &r); err != nil {
		return false, errors.New("not a record: " + strings.TrimPrefix(err.Error(), "json: "))
	}
	line.Key = r.OriginID
	own(l.keys, line)
	if line.Purchase == 0 && r.ExtraFields["leg"] == "" || r.ExtraFields["outcome"] == "cancelled" {
		return false, nil
	}
	kind, known := ParseKind(orElse(r.ExtraFields["leg"], line.Kind.String()))
	if !known {
		return false, errors.New("no leg is called so")
	}
	line.Kind, line.Ref, line.Product = kind, r.CGRID, r.ExtraFields["product"]
	for _, text := range []string{line.Key, line.Ref, line.Product} {
		if err := checkText(text); err != nil {
			return false, errors.New("a text is " + err.Error())
		}
	}
	if line.Number = parseNumber(r.Account, l.m.Country, l.m.National); line.Number == 0 {
		return false, errors.New("the account is not a number")
	}
	amount := r.ExtraFields["price"]
	if r.ToR == "*monetary" { // what moved, and not what was asked for
		amount = string(r.Cost)
	}
	return true, l.finishEntry(line, amount, orElse(r.ExtraFields["currency"], l.m.Currency), orElse(r.AnswerTime, r.SetupTime))
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// Open opens a statement for reading by a mapping.
func Open(file string, r io.Reader, m *Mapping, keys Keys) (Reader, error) {
	var reader Reader
	var err error
	switch m.Format {
	case FormatCSV:
		reader, err = newTable(file, r, m, keys)
	case FormatGSMA:
		reader, err = newList(file, r, m, keys, gsmaEntry)
	case FormatCGRateS:
		reader, err = newList(file, r, m, keys, cgratesEntry)
	case FormatCAMT:
		reader, err = newAccount(file, r, m, keys)
	default:
		return nil, fault(file, 0, 0, "no format is called %q", m.Format)
	}
	if err != nil {
		return nil, err
	}
	return reader, nil
}

// named is what a file's name tells, by the mapping's expression.
func (m *Mapping) named(base string) (h Head, err error) {
	if m.file == nil {
		return h, nil
	}
	match := m.file.FindStringSubmatch(base)
	if match == nil {
		return h, errors.New("the file's name is not as the mapping says")
	}
	for i, group := range m.file.SubexpNames() {
		switch group {
		case "partner":
			h.Partner = match[i]
		case "from", "to":
			var at purchase.Instant
			for _, layout := range []string{"20060102T150405Z", "20060102", "2006-01-02"} {
				if at, err = m.parseTime(match[i], layout); err == nil {
					break
				}
			}
			if err != nil {
				return h, errors.New("the file's name tells no time")
			}
			if group == "from" {
				h.From = at
			} else {
				h.To = at
			}
		}
	}
	return h, nil
}
