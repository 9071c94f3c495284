package numbering

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"tenu/internal/purchase"
)

// maxOperators is how many operators fit in a ported number's low byte.
const maxOperators = 1 << 8

// maxPorted bounds the ported numbers of a country, and so the memory: 8 bytes each.
const maxPorted = 1 << 26

// Ported holds the numbers that left the operator of their prefix. It is
// immutable and safe for concurrent use; the nil Ported holds none.
type Ported struct {
	operators []purchase.Operator
	// lines holds number<<8 | index of the operator, ascending.
	lines []int64
}

// ReadPorted reads a table of ported numbers: CSV without a heading, one line
// per number, "number,operator", where the number is international
// ("22670112233", a plus sign allowed) or national ("70112233") and the operator
// a code of the plan. Lines that begin with # are comments; the order does not
// matter. Errors give file and line and never the number. A number that is
// listed twice with different operators is an error.
func (p *Plan) ReadPorted(file string, r io.ReadSeeker) (*Ported, error) {
	t := &Ported{operators: p.operators}
	index := map[string]int64{}
	for i, o := range p.operators {
		index[string(o)] = int64(i)
	}
	err := p.eachPorted(file, r, func(line int, number int64, operator string) error {
		i, known := index[operator]
		if !known {
			if operator != "" && strings.Trim(operator, "0123456789+- ") == "" {
				return fmt.Errorf("%s:%d: a number stands where the operator should", file, line)
			}
			return fmt.Errorf("%s:%d: operator %.32q is not in the numbering plan", file, line, operator)
		}
		if len(t.lines) == maxPorted {
			return fmt.Errorf("%s:%d: more than %d ported numbers", file, line, maxPorted)
		}
		t.lines = append(t.lines, number<<8|i)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ported numbers: %w", err)
	}
	slices.Sort(t.lines)
	t.lines = slices.Compact(t.lines)
	for i := 1; i < len(t.lines); i++ {
		if t.lines[i]>>8 == t.lines[i-1]>>8 {
			return nil, fmt.Errorf("ported numbers: %w", p.contradiction(file, r, t.lines[i]>>8))
		}
	}
	t.lines = slices.Clip(t.lines)
	return t, nil
}

// maxStretch bounds the bytes from one number of a table to the next, comments
// between them included: a quote that is never closed must not be kept in memory.
const maxStretch = 1 << 20

// stretch reads at most left bytes more.
type stretch struct {
	io.Reader
	left int
}

// Read is io.Reader.
func (s *stretch) Read(into []byte) (int, error) {
	if s.left <= 0 {
		return 0, fmt.Errorf("%d bytes without a number", maxStretch)
	}
	n, err := s.Reader.Read(into[:min(len(into), s.left)])
	s.left -= n
	return n, err
}

// eachPorted calls do with each line's number and operator.
func (p *Plan) eachPorted(file string, r io.Reader, do func(line int, number int64, operator string) error) error {
	input := &stretch{r, maxStretch}
	table := csv.NewReader(input)
	table.FieldsPerRecord, table.ReuseRecord, table.Comment, table.TrimLeadingSpace = 2, true, '#', true
	for {
		input.left = maxStretch
		record, err := table.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var wrong *csv.ParseError
		switch {
		case errors.As(err, &wrong):
			return fmt.Errorf("%s:%d: %w", file, wrong.Line, wrong.Err)
		case err != nil:
			return fmt.Errorf("%s: %w", file, err)
		}
		line, _ := table.FieldPos(0)
		number, _, err := p.judge(p.national(record[0]))
		if err != nil {
			return fmt.Errorf("%s:%d: %w", file, line, err)
		}
		if err := do(line, int64(number), strings.TrimSpace(record[1])); err != nil {
			return err
		}
	}
}

// national is the national part of a number of a table, "" for one that is not digits.
func (p *Plan) national(text string) string {
	text = strings.TrimPrefix(strings.TrimSpace(text), "+")
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return ""
		}
	}
	if slices.Contains(p.lengths, len(text)) {
		return text
	}
	rest, ours := strings.CutPrefix(text, p.code)
	if !ours {
		return ""
	}
	return rest
}

// contradiction reads the table again to say on which lines a number stands.
func (p *Plan) contradiction(file string, r io.ReadSeeker, number int64) error {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	var lines []string
	err := p.eachPorted(file, r, func(line int, other int64, _ string) error {
		if other == number && len(lines) < 10 {
			lines = append(lines, strconv.Itoa(line))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: lines %s give one number to different operators", file, strings.Join(lines, " and "))
}

// Len is how many numbers the table holds.
func (t *Ported) Len() int {
	if t == nil {
		return 0
	}
	return len(t.lines)
}

// Operator is the operator that a number was ported to, if it was.
func (t *Ported) Operator(m purchase.MSISDN) (purchase.Operator, bool) {
	if t == nil {
		return "", false
	}
	i, _ := slices.BinarySearch(t.lines, int64(m)<<8)
	if i == len(t.lines) || t.lines[i]>>8 != int64(m) {
		return "", false
	}
	return t.operators[t.lines[i]&(maxOperators-1)], true
}

// Directory finds lines and operators by a plan and a table of ported numbers
// that can be replaced while it is in use. It is safe for concurrent use.
type Directory struct {
	*Plan
	ported atomic.Pointer[Ported]
}

// NewDirectory returns a directory without ported numbers.
func NewDirectory(plan *Plan) *Directory { return &Directory{Plan: plan} }

// SetPorted replaces the table of ported numbers, which must have been read
// with the directory's plan.
func (d *Directory) SetPorted(t *Ported) { d.ported.Store(t) }

// Parse reads a number as Plan.Read does, and finds its operator: the one it
// was ported to, otherwise that of its prefix.
func (d *Directory) Parse(text string) (purchase.MSISDN, purchase.Operator, error) {
	number, operator, err := d.Read(text)
	if err != nil {
		return 0, "", err
	}
	if other, ported := d.ported.Load().Operator(number); ported {
		operator = other
	}
	return number, operator, nil
}

// Operator finds the operator of a line that was parsed before, with the same errors.
func (d *Directory) Operator(m purchase.MSISDN) (purchase.Operator, error) {
	_, operator, err := d.Parse(m.String())
	return operator, err
}
