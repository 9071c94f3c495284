package reconcile

import (
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tenu/internal/money"
	"tenu/internal/yamlfile"
)

// Format is how a statement is written.
type Format string

// The formats.
const (
	FormatCSV     Format = "csv"     // any table, read by a mapping
	FormatGSMA    Format = "gsma"    // transactions of the GSMA Mobile Money API, JSON
	FormatCGRateS Format = "cgrates" // call detail records of CGRateS, JSON
	FormatCAMT    Format = "camt053" // ISO 20022 statements of an account, XML
)

// Mapping says how a partner's statements are read.
type Mapping struct {
	Format    Format   `yaml:"format"`
	Encoding  Encoding `yaml:"encoding"`
	Delimiter string   `yaml:"delimiter"`
	Decimal   string   `yaml:"decimal"`  // what stands before a fraction: "." or ","
	Grouping  string   `yaml:"grouping"` // between thousands: "", " ", "." or ","
	Zone      string   `yaml:"time_zone"`
	Time      string   `yaml:"time"` // Go's layout of a time, or rfc3339, unix, unix_ms
	Currency  string   `yaml:"currency"`
	PerMinor  int64    `yaml:"per_minor"` // the statement's units in one minor unit of ours, where it has no decimals
	Country   string   `yaml:"country_code"`
	National  int      `yaml:"national_digits"`

	Names    bool         `yaml:"names"` // the first record names the columns
	Columns  columnsTable `yaml:"columns"`
	Kinds    map[string]string
	Ignore   []string            `yaml:"ignore"` // words in the column of kinds whose lines are no movements
	Only     map[string][]string `yaml:"only"`   // lines with other values in a column are no movements
	Head     *headMapping        `yaml:"head"`
	Total    *totalMapping       `yaml:"total"`
	File     string              `yaml:"file"` // a regular expression of the file's name with groups partner, from, to
	Merchant string              `yaml:"merchant"`
	zone     *time.Location
	currency money.Currency
	file     *regexp.Regexp
	perMinor int64
}

// columnsTable says where each thing stands: the name of a column, or its number from 1.
type columnsTable struct {
	Key      string `yaml:"key"`
	Ref      string `yaml:"reference"`
	Kind     string `yaml:"kind"`
	Number   string `yaml:"number"`
	Amount   string `yaml:"amount"`
	Currency string `yaml:"currency"`
	Product  string `yaml:"product"`
	Original string `yaml:"original"`
	Time     string `yaml:"time"`
}

// headMapping says which record tells the partner and the period.
type headMapping struct {
	Record  string `yaml:"record"` // its first field
	Partner int    `yaml:"partner"`
	From    int    `yaml:"from"`
	To      int    `yaml:"to"`
	Time    string `yaml:"time"`   // the layout of the period, where it is another
	Closed  bool   `yaml:"closed"` // To is the last day, or the last second, that belongs to it
}

// totalMapping says which records tell how many lines there are.
type totalMapping struct {
	Record   string `yaml:"record"`
	Currency int    `yaml:"currency"`
	Lines    int    `yaml:"lines"`
	Sum      int    `yaml:"sum"`
}

//go:embed mappings/sandbox.yaml
var sandboxMapping []byte

//go:embed mappings/ucip.yaml
var ucipMapping []byte

//go:embed mappings/cgrates.yaml
var cgratesMapping []byte

// BuiltIn are the names of the mappings that tenu has of its own.
var BuiltIn = []string{"sandbox", "ucip", "cgrates-csv", "gsma", "cgrates", "camt053"}

// builtIn is the text of a mapping of tenu's own.
func builtIn(name string) []byte {
	switch name {
	case "sandbox":
		return sandboxMapping
	case "ucip":
		return ucipMapping
	case "cgrates-csv":
		return cgratesMapping
	case "gsma", "cgrates", "camt053":
		return []byte("format: " + name + "\n")
	}
	return nil
}

// LoadMapping reads the mapping of a name: one of tenu's own, or a file.
func LoadMapping(name string) (*Mapping, error) {
	if data := builtIn(name); data != nil {
		return ParseMapping(name, data)
	}
	data, err := yamlfile.Read(name)
	if err != nil {
		return nil, fmt.Errorf("read mapping: %w (of tenu's own there are %s)", err, strings.Join(BuiltIn, ", "))
	}
	return ParseMapping(name, data)
}

// rawMapping is a mapping as it is written; yaml has no way to say that a map's
// key is needed once it is named.
type rawMapping struct {
	Mapping `yaml:",inline"`
	Words   map[string]string `yaml:"kinds"`
}

// ParseMapping reads a mapping. An error names file, line and key.
func ParseMapping(name string, data []byte) (*Mapping, error) {
	var raw rawMapping
	file, err := yamlfile.Decode(name, data, &raw)
	if err != nil {
		return nil, fmt.Errorf("mapping: %w", err)
	}
	m := &raw.Mapping
	m.Kinds = raw.Words
	if key, err := m.check(); err != nil {
		return nil, fmt.Errorf("mapping: %w", file.Errorf(key, "%w", err))
	}
	return m, nil
}

// check completes a mapping, or says which key is wrong.
func (m *Mapping) check() (key string, err error) {
	if !slices.Contains([]Format{FormatCSV, FormatGSMA, FormatCGRateS, FormatCAMT}, m.Format) {
		return "format", errors.New("must be csv, gsma, cgrates or camt053")
	}
	if !slices.Contains([]Encoding{"", UTF8, Latin1, UTF16}, m.Encoding) {
		return "encoding", errors.New("must be utf-8, latin-1 or utf-16")
	}
	if m.zone, err = time.LoadLocation(m.Zone); err != nil || m.Zone == "Local" {
		return "time_zone", errors.New("must name a time zone such as Africa/Ouagadougou")
	}
	if m.Currency != "" {
		if m.currency, err = money.ParseCurrency(m.Currency); err != nil {
			return "currency", err
		}
	}
	if m.File != "" {
		if m.file, err = regexp.Compile(m.File); err != nil {
			return "file", err
		}
	}
	if m.PerMinor < 0 || m.PerMinor > 1_000_000 {
		return "per_minor", errors.New("must be 1 to 1 000 000")
	}
	m.perMinor = max(m.PerMinor, 1)
	for word, kind := range m.Kinds {
		if _, ok := ParseKind(kind); !ok {
			return "kinds." + word, fmt.Errorf("no kind is called %q", kind)
		}
	}
	if m.Format != FormatCSV {
		return "", nil
	}
	return m.checkTable()
}

// checkTable checks what only a table needs.
func (m *Mapping) checkTable() (key string, err error) {
	if m.Delimiter == "" {
		m.Delimiter = ","
	}
	if m.Decimal == "" {
		m.Decimal = "."
	}
	switch r, n := utf8.DecodeRuneInString(m.Delimiter); {
	case n != len(m.Delimiter) || r >= utf8.RuneSelf || r == '"' || r < ' ' && r != '\t':
		return "delimiter", errors.New("must be one character of ASCII")
	case m.Decimal != "." && m.Decimal != ",":
		return "decimal", errors.New(`must be "." or ","`)
	case m.Grouping != "" && (len(m.Grouping) > 3 || m.Grouping == m.Decimal):
		return "grouping", errors.New("must be another than that of decimals")
	case m.Zone == "":
		return "time_zone", errors.New("must be named, so that times without one are not guessed")
	case m.Columns.Amount == "":
		return "columns.amount", errors.New("is needed")
	case m.Columns.Key == "" && m.Columns.Ref == "" && m.Columns.Number == "":
		return "columns", errors.New("one of key, reference and number is needed")
	case m.Columns.Currency == "" && m.Currency == "":
		return "currency", errors.New("is needed where no column tells it")
	case m.Columns.Kind == "" && m.Columns.Key == "":
		return "columns.kind", errors.New("is needed where no key tells it")
	}
	for name, column := range m.Columns.all() {
		if _, err := strconv.Atoi(column); err != nil && column != "" && !m.Names {
			return "columns." + name, errors.New("must be a number, as the file does not name its columns")
		}
	}
	if h := m.Head; h != nil && (h.Record == "" || h.From < 0 || h.To < 0 || h.Partner < 0 || h.Partner > MaxColumns || h.From > MaxColumns || h.To > MaxColumns) {
		return "head", errors.New("record, and the places of partner, from and to, are needed")
	}
	if t := m.Total; t != nil && (t.Record == "" || t.Lines < 0 || t.Sum < 0 || t.Currency < 0 || t.Lines == 0 && t.Sum == 0) {
		return "total", errors.New("record, and the place of lines or sum, are needed")
	}
	return "", nil
}

// all are the columns by their keys.
func (c *columnsTable) all() map[string]string {
	return map[string]string{"key": c.Key, "reference": c.Ref, "kind": c.Kind, "number": c.Number, "amount": c.Amount,
		"currency": c.Currency, "product": c.Product, "original": c.Original, "time": c.Time}
}
