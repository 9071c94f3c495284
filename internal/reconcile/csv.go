package reconcile

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// table reads a CSV statement by its mapping. A record is one line: no field
// holds a line's end, so that no quote can swallow the rest of a file.
type table struct {
	m      *Mapping
	keys   Keys
	lines  *lineReader
	head   Head
	totals []Total
	ended  bool // a total was read: no line follows
	named  bool

	fields  []field
	text    []byte // of fields that were quoted
	at      columnPlaces
	only    []filter
	buffer  []byte
	days    dayMemory
	hasHead bool
	counted map[string]*counted // by currency as it is written
}

// counted is how many lines of a currency were read, those that are no movements included.
type counted struct {
	lines, sum int64
	unclear    bool // an amount could not be read
}

// field is one field of a record, and where it begins.
type field struct {
	text   []byte
	column int64
}

// columnPlaces are the indexes of the columns, -1 for none.
type columnPlaces struct{ key, ref, kind, number, amount, currency, product, original, time int }

// filter is a column and the values of lines that count.
type filter struct {
	at     int
	values []string
}

func newTable(file string, r io.Reader, m *Mapping, keys Keys) (Reader, error) {
	in, err := decode(r, m.Encoding)
	if err != nil {
		return nil, fault(file, 0, 0, "%v", err)
	}
	t := &table{m: m, keys: keys, lines: newLineReader(file, in), head: Head{Zone: m.Zone}}
	if m.Names {
		return t, nil
	}
	return t, t.locate(nil)
}

// Head is Reader.
func (t *table) Head() Head { return t.head }

// Totals is Reader.
func (t *table) Totals() []Total { return t.totals }

// fault is about a column of the line that was read last, counted from 0; -1 is about the line.
func (t *table) fault(column int, format string, args ...any) error {
	at := int64(0)
	if column >= 0 && column < len(t.fields) {
		at = t.fields[column].column
	}
	return fault(t.lines.file, t.lines.n, at, format, args...)
}

// Next is Reader.
func (t *table) Next() (Line, error) {
	for {
		raw, err := t.lines.next()
		if errors.Is(err, io.EOF) {
			return Line{}, t.end()
		}
		if err != nil {
			return Line{}, err
		}
		if len(raw) == 0 {
			continue
		}
		if err := t.split(raw); err != nil {
			return Line{}, err
		}
		line, is, err := t.record()
		if err != nil || is {
			return line, err
		}
	}
}

// end checks what only the file's end tells.
func (t *table) end() error {
	switch {
	case t.m.Names && !t.named:
		return fault(t.lines.file, t.lines.n, 0, "the file ends before it named its columns")
	case t.m.Head != nil && !t.hasHead:
		return fault(t.lines.file, t.lines.n, 0, "the file has no record %q, which tells partner and period", t.m.Head.Record)
	case t.m.Total != nil && !t.ended:
		return fault(t.lines.file, t.lines.n, 0, "the file ends without its total: it is cut")
	case t.m.Total == nil && t.lines.open:
		return fault(t.lines.file, t.lines.n, 0, "the last line does not end: the file may be cut")
	}
	return t.checkTotals()
}

// count counts a line for the totals, whatever it is.
func (t *table) count() {
	currency := t.m.Currency
	if t.at.currency >= 0 && t.at.currency < len(t.fields) && len(t.fields[t.at.currency].text) > 0 {
		currency = string(t.fields[t.at.currency].text)
	}
	c := t.counted[currency]
	if c == nil {
		if t.counted == nil {
			t.counted = map[string]*counted{}
		}
		c = &counted{}
		if len(t.counted) < 64 {
			t.counted[currency] = c
		}
	}
	c.lines++
	if t.at.amount >= len(t.fields) {
		c.unclear = true
		return
	}
	a, err := t.m.parseAmount(t.fields[t.at.amount].text, money.Currency(currency), &t.buffer)
	if err == nil {
		c.sum, err = money.Add(c.sum, a.Minor)
	}
	c.unclear = c.unclear || err != nil
}

// checkTotals compares what was read with what the statement says of itself.
func (t *table) checkTotals() error {
	for i := range t.totals {
		want := &t.totals[i]
		var got counted
		for currency, c := range t.counted {
			if currency == string(want.Currency) || want.Currency == "" {
				got.lines += c.lines
				got.sum += c.sum
				got.unclear = got.unclear || c.unclear
				delete(t.counted, currency)
			}
		}
		switch {
		case want.Lines >= 0 && want.Lines != got.lines:
			return fault(t.lines.file, t.lines.n, 0, "the total says %d lines of %s, and %d were read", want.Lines, orElse(string(want.Currency), "any currency"), got.lines)
		case want.HasSum && !got.unclear && want.Sum != got.sum:
			return fault(t.lines.file, t.lines.n, 0, "the total says %s %s, and the lines add up to %s", money.Amount{Minor: want.Sum, Currency: want.Currency}.Decimal(),
				want.Currency, money.Amount{Minor: got.sum, Currency: want.Currency}.Decimal())
		}
	}
	if len(t.totals) > 0 && len(t.counted) > 0 {
		return fault(t.lines.file, t.lines.n, 0, "there are lines of a currency of which there is no total")
	}
	return io.EOF
}

// record is one record: a movement, or what the statement says of itself.
func (t *table) record() (line Line, is bool, err error) {
	first := string(t.fields[0].text)
	switch {
	case t.m.Head != nil && first == t.m.Head.Record:
		return Line{}, false, t.readHead()
	case t.m.Total != nil && first == t.m.Total.Record:
		return Line{}, false, t.readTotal()
	case t.m.Head != nil && !t.hasHead:
		return Line{}, false, t.fault(0, "the record %q, which tells partner and period, must come first", t.m.Head.Record)
	case t.m.Names && !t.named:
		names := make([]string, len(t.fields))
		for i, f := range t.fields {
			names[i] = string(f.text)
		}
		t.named = true
		return Line{}, false, t.locate(names)
	case t.ended:
		return Line{}, false, t.fault(0, "a line follows the total")
	}
	if t.m.Total != nil {
		t.count()
	}
	for _, f := range t.only {
		if f.at >= len(t.fields) {
			return Line{}, false, t.fault(-1, "the line has %d fields, it is cut", len(t.fields))
		}
		if !slices.Contains(f.values, string(t.fields[f.at].text)) {
			return Line{}, false, nil
		}
	}
	return t.movement()
}

// split cuts a line into fields.
func (t *table) split(raw []byte) error {
	t.fields, t.text = t.fields[:0], t.text[:0]
	if cap(t.text) < len(raw) {
		t.text = make([]byte, 0, 2*len(raw))
	}
	delimiter := t.m.Delimiter[0]
	for at := 0; ; {
		if len(t.fields) == MaxColumns {
			return fault(t.lines.file, t.lines.n, int64(at)+1, "the line has more than %d fields", MaxColumns)
		}
		if at < len(raw) && raw[at] == '"' {
			next, err := t.quoted(raw, at)
			if err != nil {
				return err
			}
			at = next
		} else {
			end := bytes.IndexByte(raw[at:], delimiter)
			if end < 0 {
				end = len(raw) - at
			}
			text := raw[at : at+end]
			if quote := bytes.IndexByte(text, '"'); quote >= 0 {
				return fault(t.lines.file, t.lines.n, int64(at+quote)+1, "a quote within a field that is not quoted")
			}
			t.fields = append(t.fields, field{text, int64(at) + 1})
			at += end
		}
		if at >= len(raw) {
			return nil
		}
		at++ // the delimiter
	}
}

// quoted reads a quoted field that begins at a place, and returns where the delimiter or the line's end is.
func (t *table) quoted(raw []byte, from int) (int, error) {
	begin := len(t.text)
	for i := from + 1; i < len(raw); i++ {
		if raw[i] != '"' {
			t.text = append(t.text, raw[i])
			continue
		}
		if i+1 < len(raw) && raw[i+1] == '"' {
			t.text = append(t.text, '"')
			i++
			continue
		}
		if i+1 < len(raw) && raw[i+1] != t.m.Delimiter[0] {
			return 0, fault(t.lines.file, t.lines.n, int64(i)+2, "text follows a quoted field")
		}
		t.fields = append(t.fields, field{t.text[begin:len(t.text):len(t.text)], int64(from) + 1})
		return i + 1, nil
	}
	return 0, fault(t.lines.file, t.lines.n, int64(from)+1, "a quoted field does not end on its line")
}

// locate finds the columns by their names or numbers.
func (t *table) locate(names []string) error {
	var missing string
	place := func(column string) int {
		if column == "" {
			return -1
		}
		if n, err := strconv.Atoi(column); err == nil && n >= 1 && n <= MaxColumns {
			return n - 1
		}
		at := slices.Index(names, column)
		if at < 0 || slices.Contains(names[at+1:], column) {
			missing = column
		}
		return at
	}
	c := &t.m.Columns
	t.at = columnPlaces{place(c.Key), place(c.Ref), place(c.Kind), place(c.Number), place(c.Amount), place(c.Currency),
		place(c.Product), place(c.Original), place(c.Time)}
	t.only = t.only[:0]
	for column, values := range t.m.Only {
		t.only = append(t.only, filter{place(column), values})
	}
	if missing != "" {
		return t.fault(-1, "no column, or more than one, is called %q", missing)
	}
	return nil
}

// value is the text of a column, "" for none; a line that has no such column is cut.
func (t *table) value(at int) ([]byte, error) {
	if at < 0 {
		return nil, nil
	}
	if at >= len(t.fields) {
		return nil, t.fault(-1, "the line has %d fields, %d are needed: it is cut", len(t.fields), at+1)
	}
	return t.fields[at].text, nil
}

// word is the text of a column that is a key, reference or product.
func (t *table) word(at int) (string, error) {
	text, err := t.value(at)
	if err != nil || len(text) == 0 {
		return "", err
	}
	word := string(text)
	if err := checkText(word); err != nil {
		return "", t.fault(at, "%v", err)
	}
	return word, nil
}

// movement is the line of a movement; is is false for one that is none.
func (t *table) movement() (line Line, is bool, err error) {
	line.Place = t.lines.n
	kind, err := t.value(t.at.kind)
	if err != nil {
		return Line{}, false, err
	}
	if t.at.kind >= 0 {
		if slices.Contains(t.m.Ignore, string(kind)) {
			return Line{}, false, nil
		}
		word, known := t.m.Kinds[string(kind)]
		if !known {
			return Line{}, false, t.fault(t.at.kind, "the mapping knows no such kind of line")
		}
		line.Kind, _ = ParseKind(word)
	}
	for _, each := range []struct {
		to *string
		at int
	}{{&line.Key, t.at.key}, {&line.Ref, t.at.ref}, {&line.Product, t.at.product}, {&line.Original, t.at.original}} {
		if *each.to, err = t.word(each.at); err != nil {
			return Line{}, false, err
		}
	}
	if err := t.readNumber(&line); err != nil {
		return Line{}, false, err
	}
	if line.Amount, err = t.amount(t.at.amount, t.at.currency); err != nil {
		return Line{}, false, err
	}
	if line.At, err = t.time(t.at.time, t.m.Time); err != nil {
		return Line{}, false, err
	}
	own(t.keys, &line)
	if line.Kind == 0 {
		return Line{}, false, t.fault(t.at.key, "neither a kind nor a key of ours tells what the line is")
	}
	return line, true, nil
}

func (t *table) readNumber(line *Line) error {
	text, err := t.value(t.at.number)
	if err != nil || len(text) == 0 {
		return err
	}
	if line.Number = parseNumber(string(text), t.m.Country, t.m.National); line.Number == 0 {
		return t.fault(t.at.number, "not a number")
	}
	return nil
}

// amount reads a positive amount.
func (t *table) amount(at, currencyAt int) (money.Amount, error) {
	currency := t.m.currency
	if currencyAt >= 0 {
		text, err := t.value(currencyAt)
		if err != nil {
			return money.Amount{}, err
		}
		if len(text) > 0 || currency == "" {
			if currency, err = money.ParseCurrency(string(text)); err != nil {
				return money.Amount{}, t.fault(currencyAt, "not a currency that is known")
			}
		}
	}
	text, err := t.value(at)
	if err != nil {
		return money.Amount{}, err
	}
	a, err := t.m.parseAmount(text, currency, &t.buffer)
	if err != nil {
		return money.Amount{}, t.fault(at, "%v", err)
	}
	if a.Minor <= 0 {
		return money.Amount{}, t.fault(at, "an amount must be positive")
	}
	return a, nil
}

// parseAmount reads an amount as the mapping says that it is written.
func (m *Mapping) parseAmount(text []byte, currency money.Currency, buffer *[]byte) (money.Amount, error) {
	if len(text) > 40 {
		return money.Amount{}, errors.New("not an amount")
	}
	plain := (*buffer)[:0]
	fraction := false
	for i := 0; i < len(text); i++ {
		switch {
		case m.Grouping != "" && !fraction && bytes.HasPrefix(text[i:], []byte(m.Grouping)) && i > 0:
			i += len(m.Grouping) - 1
		case text[i] == m.Decimal[0]:
			plain, fraction = append(plain, '.'), true
		default:
			plain = append(plain, text[i])
		}
		if text[i] == '.' && m.Decimal != "." && m.Grouping != "." {
			return money.Amount{}, errors.New("not an amount")
		}
	}
	*buffer = plain
	if m.perMinor > 1 { // whole units of the statement's own
		n, err := strconv.ParseInt(string(plain), 10, 64)
		if err != nil || n%m.perMinor != 0 {
			return money.Amount{}, errors.New("not an amount in whole units of ours")
		}
		return money.Amount{Minor: n / m.perMinor, Currency: currency}, nil
	}
	a, err := money.ParseDecimal(string(plain), currency)
	if err != nil {
		return money.Amount{}, errors.New("not an amount of " + string(currency))
	}
	return a, nil
}

// dayMemory remembers the last day that was read: of a statement's times, most
// are of one.
type dayMemory struct {
	text string
	day  purchase.Instant
}

// time reads a time of a column.
func (t *table) time(at int, layout string) (purchase.Instant, error) {
	text, err := t.value(at)
	if err != nil || at < 0 {
		return 0, err
	}
	if i, ok := t.days.quick(text, layout); ok {
		return i, nil
	}
	i, err := t.m.parseTime(string(text), layout)
	if err != nil {
		return 0, t.fault(at, "%v", err)
	}
	return i, nil
}

// quick reads "2026-07-09T13:45:00[.ffffff]Z", whose day was read before.
func (d *dayMemory) quick(text []byte, layout string) (purchase.Instant, bool) {
	if layout != "rfc3339" && layout != "" || len(text) < 20 || text[len(text)-1] != 'Z' || text[10] != 'T' || text[13] != ':' || text[16] != ':' {
		return 0, false
	}
	if string(text[:10]) != d.text {
		day, err := time.Parse(time.DateOnly, string(text[:10]))
		if err != nil {
			return 0, false
		}
		d.text, d.day = string(text[:10]), purchase.At(day)
	}
	two := func(i int) (int64, bool) {
		a, b := text[i]-'0', text[i+1]-'0'
		return int64(a)*10 + int64(b), a <= 9 && b <= 9
	}
	h, ok1 := two(11)
	m, ok2 := two(14)
	s, ok3 := two(17)
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || s > 59 {
		return 0, false
	}
	micros, unit := int64(0), int64(100_000)
	if rest := text[19 : len(text)-1]; len(rest) > 0 {
		if rest[0] != '.' || len(rest) < 2 || len(rest) > 10 {
			return 0, false
		}
		for _, ch := range rest[1:] {
			if ch < '0' || ch > '9' {
				return 0, false
			}
			micros += int64(ch-'0') * unit
			unit /= 10
		}
	}
	return d.day + purchase.Instant(((h*60+m)*60+s)*1_000_000+micros), true
}

// parseTime reads a time in a layout, in the mapping's zone where it names none.
func (m *Mapping) parseTime(text, layout string) (purchase.Instant, error) {
	bad := errors.New("not a time such as the mapping says")
	if len(text) > 64 {
		return 0, bad
	}
	switch layout {
	case "unix", "unix_ms":
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n <= 0 || n > 1<<50 {
			return 0, bad
		}
		if layout == "unix_ms" {
			return inRange(purchase.Instant(n*1000), bad)
		}
		if n > 1<<40 {
			return 0, bad
		}
		return inRange(purchase.Instant(n*1_000_000), bad)
	case "", "rfc3339":
		layout = time.RFC3339Nano
	}
	t, err := time.ParseInLocation(layout, text, m.zone)
	if err != nil || t.Year() < 2000 || t.Year() > 2200 {
		return 0, bad
	}
	return purchase.At(t), nil
}

// inRange refuses what is no time of ours.
func inRange(i purchase.Instant, bad error) (purchase.Instant, error) {
	if y := i.Time().Year(); y < 2000 || y > 2200 {
		return 0, bad
	}
	return i, nil
}

// readHead reads the record that tells partner and period.
func (t *table) readHead() error {
	h := t.m.Head
	if t.hasHead {
		return t.fault(0, "a second record %q: are these two statements?", h.Record)
	}
	t.hasHead = true
	if h.Partner > 0 {
		text, err := t.word(h.Partner - 1)
		if err != nil {
			return err
		}
		t.head.Partner = strings.TrimSpace(text)
	}
	layout := h.Time
	if layout == "" {
		layout = t.m.Time
	}
	var err error
	for _, each := range []struct {
		to *purchase.Instant
		at int
	}{{&t.head.From, h.From}, {&t.head.To, h.To}} {
		if each.at > 0 {
			if text, _ := t.value(each.at - 1); string(text) == "-" {
				continue // "never": the sandbox writes so of the beginning of all time
			}
			if *each.to, err = t.time(each.at-1, layout); err != nil {
				return err
			}
		}
	}
	if h.Closed && t.head.To != 0 {
		t.head.To = lastOf(t.head.To, layout, t.m.zone)
	}
	if t.head.To != 0 && t.head.To <= t.head.From {
		return t.fault(h.To-1, "the period ends before it begins")
	}
	return nil
}

// lastOf is the end of a period whose last day, or second, is told.
func lastOf(last purchase.Instant, layout string, zone *time.Location) purchase.Instant {
	if strings.Contains(layout, "15") || layout == "rfc3339" || layout == "" {
		return last + 1_000_000
	}
	return purchase.At(last.Time().In(zone).AddDate(0, 0, 1))
}

// readTotal reads a record that tells how many lines there are.
func (t *table) readTotal() error {
	o := t.m.Total
	total := Total{Currency: t.m.currency}
	if o.Currency > 0 {
		text, err := t.value(o.Currency - 1)
		if err != nil {
			return err
		}
		if len(text) > 8 {
			return t.fault(o.Currency-1, "not a currency")
		}
		total.Currency = money.Currency(text) // a unit of bundles, too
	}
	for _, before := range t.totals {
		if before.Currency == total.Currency {
			return t.fault(0, "a second total of %s", total.Currency)
		}
	}
	if o.Lines > 0 {
		text, err := t.value(o.Lines - 1)
		if err != nil {
			return err
		}
		if total.Lines, err = strconv.ParseInt(string(text), 10, 64); err != nil || total.Lines < 0 {
			return t.fault(o.Lines-1, "not a number of lines")
		}
	} else {
		total.Lines = -1
	}
	if o.Sum > 0 {
		text, err := t.value(o.Sum - 1)
		if err != nil {
			return err
		}
		if _, err := money.ParseCurrency(string(total.Currency)); err == nil {
			sum, err := t.m.parseAmount(text, total.Currency, &t.buffer)
			if err != nil {
				return t.fault(o.Sum-1, "%v", err)
			}
			total.Sum, total.HasSum = sum.Minor, true
		}
	}
	t.totals, t.ended = append(t.totals, total), true
	return nil
}
