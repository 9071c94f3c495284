package numbering

import (
	"bytes"
	"strings"
	"testing"

	"tenu/internal/fuzztest"
	"tenu/internal/purchase"
)

// FuzzParsePlan: a plan that is accepted reads, formats and reads again each
// number of its prefixes, whatever else it says.
func FuzzParsePlan(f *testing.F) {
	f.Add(string(BurkinaFaso))
	f.Add(small)
	f.Add(strings.NewReplacer("BF", "US", "226", "1", "[8]", "[10]", "[2, 2, 2, 2]", "[3, 3, 4]").Replace(small))
	f.Add(strings.NewReplacer("lengths: [8]", "lengths: [2, 12]", "[2, 2, 2, 2]", "[]").Replace(small))
	f.Fuzz(func(t *testing.T, text string) {
		var p *Plan
		var err error
		fuzztest.Within(t, 32<<20+4096*len(text), func() { p, err = ParsePlan("x.yaml", []byte(text)) })
		if err != nil {
			if !strings.HasPrefix(err.Error(), "numbering plan: x.yaml:") {
				t.Errorf("%v does not name the file", err)
			}
			return
		}
		for prefix, uses := range p.uses {
			for _, u := range uses {
				for _, n := range u.lengths {
					if n < len(prefix) {
						continue
					}
					checkNumber(t, p, prefix+strings.Repeat("1", n-len(prefix)))
				}
			}
		}
	})
}

// checkNumber checks a number that the plan has a use for.
func checkNumber(t *testing.T, p *Plan, national string) {
	t.Helper()
	number, operator, err := p.Read("+" + p.code + national)
	if err != nil {
		if number != 0 || operator != "" || !isOne(err, ErrMalformed, ErrForeign, ErrFixed, ErrService, ErrUnassigned) {
			t.Errorf("%s: %d %q %v", national, number, operator, err)
		}
		return
	}
	if p.Name(operator) == "" || number.String() != "+"+p.code+national {
		t.Errorf("%s: read as %d %q", national, number, operator)
	}
	if again, same, err := p.Read(p.Format(number)); err != nil || again != number || same != operator {
		t.Errorf("%s: written as %q, read again as %d %q %v", national, p.Format(number), again, same, err)
	}
}

// FuzzReadPorted: a table that is read answers for each of its lines, whoever
// wrote it and in whatever order; what is refused is told without a number.
func FuzzReadPorted(f *testing.F) {
	p := burkina(f)
	f.Add([]byte("70112233,moov\n# x\n22670112234,orange\n"))
	f.Add([]byte("\"70112233\",\"moov\"\r\n"))
	f.Add([]byte("70112233,moov\n70112233,orange\n"))
	f.Add([]byte("70112233,\"moov\n70112234,orange\n"))
	f.Add([]byte("70112234,70112233\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var table *Ported
		var err error
		fuzztest.Within(t, 64<<10+64*len(data), func() { table, err = p.ReadPorted("p.csv", bytes.NewReader(data)) })
		if err != nil {
			if !strings.HasPrefix(err.Error(), "ported numbers: p.csv:") || len(err.Error()) > 400 {
				t.Errorf("%v", err)
			}
			return
		}
		for _, line := range table.lines {
			if o, ok := table.Operator(purchase.MSISDN(line >> 8)); !ok || p.Name(o) == "" {
				t.Fatalf("line %d answers %q %v", line, o, ok)
			}
		}
		lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
		turned := make([][]byte, 0, len(lines))
		for _, line := range lines {
			if bytes.Contains(line, []byte(`"`)) {
				return // a quoted line break would be torn
			}
			turned = append([][]byte{bytes.TrimSuffix(line, []byte("\r"))}, turned...)
		}
		if again, err := p.ReadPorted("p.csv", bytes.NewReader(bytes.Join(turned, []byte("\n")))); err != nil || again.Len() != table.Len() {
			t.Fatalf("turned round: %v", err)
		}
	})
}
