// Package numbering says what a telephone number is in one country: it reads
// numbers as people write them, judges them by the country's numbering plan, and
// finds the operator, ported numbers included. It knows nothing of products,
// purchases under way, or texts.
package numbering

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"tenu/internal/purchase"
	"tenu/internal/yamlfile"
)

// Errors that callers branch on. An error that wraps one says more, and never
// holds the number.
var (
	// ErrMalformed: not a telephone number, or not as long as the country's.
	ErrMalformed = errors.New("not a telephone number of this country")
	// ErrForeign: a number of another country.
	ErrForeign = errors.New("number of another country")
	// ErrFixed: a fixed line, which holds no prepaid units.
	ErrFixed = errors.New("number of a fixed line")
	// ErrService: a short or special number, which is nobody's line.
	ErrService = errors.New("number of a service")
	// ErrUnassigned: a prefix that the plan gives to no operator.
	ErrUnassigned = errors.New("prefix assigned to no operator")
)

// BurkinaFaso is the plan that tenu ships.
//
//go:embed bf.yaml
var BurkinaFaso []byte

// Plan is a country's numbering plan. It is immutable and safe for concurrent use.
type Plan struct {
	country   string
	code      string // calling code
	lengths   []int
	groups    []int
	operators []purchase.Operator
	names     map[purchase.Operator]string
	uses      map[string][]use // by prefix
	longest   int              // prefix
}

// use is what numbers of a prefix are for.
type use struct {
	verdict  error // nil for a mobile line
	operator purchase.Operator
	lengths  []int
}

type planFile struct {
	Country     string         `yaml:"country"`
	CallingCode int            `yaml:"calling_code"`
	Lengths     []int          `yaml:"lengths"`
	Groups      []int          `yaml:"groups"`
	Source      string         `yaml:"source"`
	Checked     string         `yaml:"checked"`
	Operators   []operatorFile `yaml:"operators"`
	Fixed       []string       `yaml:"fixed"`
	Services    []serviceFile  `yaml:"services"`
}

type operatorFile struct {
	Code   string   `yaml:"code"`
	Name   string   `yaml:"name"`
	Mobile []string `yaml:"mobile"`
}

type serviceFile struct {
	What    string `yaml:"what"`
	Prefix  string `yaml:"prefix"`
	Lengths []int  `yaml:"lengths"`
}

// maxDigits is the longest international number (ITU-T E.164).
const maxDigits = 15

// ParsePlan reads a plan from YAML. The file's name is used in errors, which
// also give the line and key. Nested prefixes are allowed: the longest decides.
func ParsePlan(file string, data []byte) (*Plan, error) {
	var raw planFile
	at, err := yamlfile.Decode(file, data, &raw)
	if err != nil {
		return nil, fmt.Errorf("numbering plan: %w", err)
	}
	p := &Plan{country: raw.Country, code: strconv.Itoa(raw.CallingCode), lengths: raw.Lengths,
		groups: raw.Groups, names: map[purchase.Operator]string{}, uses: map[string][]use{}}
	loader := loader{p, at}
	for _, part := range []func(*planFile) error{loader.country, loader.operators, loader.others} {
		if err := part(&raw); err != nil {
			return nil, fmt.Errorf("numbering plan: %w", err)
		}
	}
	return p, nil
}

type loader struct {
	*Plan
	at *yamlfile.File
}

func (l loader) country(raw *planFile) error {
	switch known := phonenumbers.GetCountryCodeForRegion(raw.Country); {
	case known == 0:
		return l.at.Errorf("country", "%q is not an ISO 3166 country with a calling code", raw.Country)
	case known != raw.CallingCode:
		return l.at.Errorf("calling_code", "%d is not the calling code of %s, which is %d", raw.CallingCode, raw.Country, known)
	case raw.Source == "":
		return l.at.Errorf("source", "say where the plan was read")
	case raw.Checked == "":
		return l.at.Errorf("checked", "say when the plan was checked")
	}
	if err := l.checkLengths("lengths", raw.Lengths); err != nil {
		return err
	}
	sum := 0
	for i, n := range raw.Groups {
		if n < 1 {
			return l.at.Errorf(fmt.Sprintf("groups[%d]", i), "a group has at least one digit")
		}
		sum += n
	}
	if len(raw.Groups) > 0 && !slices.Contains(raw.Lengths, sum) {
		return l.at.Errorf("groups", "the groups hold %d digits, which is none of the lengths", sum)
	}
	return nil
}

func (l loader) checkLengths(path string, lengths []int) error {
	if len(lengths) == 0 {
		return l.at.Errorf(path, "at least one length is needed")
	}
	for i, n := range lengths {
		if n < 2 || n > maxDigits-len(l.code) {
			return l.at.Errorf(fmt.Sprintf("%s[%d]", path, i), "%d digits is not a length of a national number", n)
		}
	}
	return nil
}

func (l loader) operators(raw *planFile) error {
	if len(raw.Operators) == 0 || len(raw.Operators) > maxOperators {
		return l.at.Errorf("operators", "between 1 and %d operators are needed", maxOperators)
	}
	for i, o := range raw.Operators {
		path := fmt.Sprintf("operators[%d]", i)
		code := purchase.Operator(o.Code)
		switch {
		case o.Code == "" || strings.Trim(o.Code, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "":
			return l.at.Errorf(path+".code", "%q is not a code of lower-case letters, digits, - and _", o.Code)
		case o.Name == "":
			return l.at.Errorf(path+".name", "the operator needs a name")
		case l.names[code] != "":
			return l.at.Errorf(path+".code", "operator %q is given twice", o.Code)
		}
		l.names[code] = o.Name
		l.Plan.operators = append(l.Plan.operators, code)
		for j, prefix := range o.Mobile {
			if err := l.add(fmt.Sprintf("%s.mobile[%d]", path, j), prefix, use{operator: code, lengths: raw.Lengths}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l loader) others(raw *planFile) error {
	for i, prefix := range raw.Fixed {
		if err := l.add(fmt.Sprintf("fixed[%d]", i), prefix, use{verdict: ErrFixed, lengths: raw.Lengths}); err != nil {
			return err
		}
	}
	for i, s := range raw.Services {
		path := fmt.Sprintf("services[%d]", i)
		if err := l.checkLengths(path+".lengths", s.Lengths); err != nil {
			return err
		}
		verdict := fmt.Errorf("%w: %s", ErrService, s.What)
		if err := l.add(path+".prefix", s.Prefix, use{verdict: verdict, lengths: s.Lengths}); err != nil {
			return err
		}
	}
	return nil
}

// add gives a prefix a use, unless numbers of one of its lengths have one already.
func (l loader) add(path, prefix string, u use) error {
	if prefix == "" || strings.Trim(prefix, "0123456789") != "" || len(prefix) > slices.Max(u.lengths) {
		return l.at.Errorf(path, "%q is not the beginning of a national number", prefix)
	}
	for _, other := range l.uses[prefix] {
		if slices.ContainsFunc(u.lengths, func(n int) bool { return slices.Contains(other.lengths, n) }) {
			return l.at.Errorf(path, "prefix %s is given twice", prefix)
		}
	}
	l.uses[prefix] = append(l.uses[prefix], u)
	l.longest = max(l.longest, len(prefix))
	return nil
}

// CallingCode is the country's, as in "226".
func (p *Plan) CallingCode() string { return p.code }

// Lengths are how many digits numbers have without the calling code.
func (p *Plan) Lengths() []int { return slices.Clone(p.lengths) }

// Operators lists the plan's operators in the file's order.
func (p *Plan) Operators() []purchase.Operator { return slices.Clone(p.operators) }

// Name is what people call an operator, "" when the plan does not know it.
func (p *Plan) Name(o purchase.Operator) string { return p.names[o] }

// judge finds the line and operator of a national number, or says by an error
// why nothing can be sold to it.
func (p *Plan) judge(national string) (purchase.MSISDN, purchase.Operator, error) {
	for n := min(p.longest, len(national)); n > 0; n-- {
		for _, u := range p.uses[national[:n]] {
			if !slices.Contains(u.lengths, len(national)) {
				continue
			}
			if u.verdict != nil {
				return 0, "", u.verdict
			}
			number, err := strconv.ParseInt(p.code+national, 10, 64)
			if err != nil {
				return 0, "", ErrMalformed
			}
			return purchase.MSISDN(number), u.operator, nil
		}
	}
	if !slices.Contains(p.lengths, len(national)) {
		return 0, "", fmt.Errorf("%w: %d digits, %s expected", ErrMalformed, len(national), p.lengthsText())
	}
	return 0, "", ErrUnassigned
}

func (p *Plan) lengthsText() string {
	texts := make([]string, len(p.lengths))
	for i, n := range p.lengths {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, " or ")
}

// Format writes a number as people read it: "70 11 22 33" for one of this
// country, "+33612345678" for any other.
func (p *Plan) Format(m purchase.MSISDN) string {
	whole := m.String()
	national, ours := strings.CutPrefix(whole, "+"+p.code)
	total := 0
	for _, n := range p.groups {
		total += n
	}
	if !ours || len(national) != total {
		return whole
	}
	var text strings.Builder
	text.Grow(total + len(p.groups))
	for _, n := range p.groups {
		if text.Len() > 0 {
			text.WriteByte(' ')
		}
		text.WriteString(national[:n])
		national = national[n:]
	}
	return text.String()
}
