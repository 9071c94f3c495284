package numbering

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"github.com/nyaruka/phonenumbers"
	"pgregory.net/rapid"

	"tenu/internal/purchase"
)

func burkina(t testing.TB) *Plan {
	t.Helper()
	p, err := ParsePlan("bf.yaml", BurkinaFaso)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRead(t *testing.T) {
	p := burkina(t)
	for text, want := range map[string]struct {
		number   purchase.MSISDN
		operator purchase.Operator
	}{
		"70 11 22 33":               {22670112233, "moov"},
		"+226 70-11-22-33":          {22670112233, "moov"},
		"0022670112233":             {22670112233, "moov"},
		"00 226 70 11 22 33":        {22670112233, "moov"},
		"22670112233":               {22670112233, "moov"},
		"(226) 70.11.22.33":         {22670112233, "moov"},
		"(+226) 70/11/22/33":        {22670112233, "moov"},
		"７０１１２２３３":                  {22670112233, "moov"},
		"＋２２６ ７０ １１ ２２ ３３":          {22670112233, "moov"},
		"٧٠ ١١ ٢٢ ٣٣":               {22670112233, "moov"},
		"߇߀ ߁߁ ߂߂ ߃߃":               {22670112233, "moov"}, // N'Ko
		"𞥗𞥐𞥑𞥑𞥒𞥒𞥓𞥓":                  {22670112233, "moov"}, // Adlam
		"\u202a+226 70112233\u202c": {22670112233, "moov"},
		"70\u00a011\u202f22–33":     {22670112233, "moov"},
		"  76 00 00 01\n":           {22676000001, "orange"},
		"07 12 34 56":               {22607123456, "orange"},
		"+22607123456":              {22607123456, "orange"},
		"0022607123456":             {22607123456, "orange"},
		"01 02 03 04":               {22601020304, "moov"},
		"54000000":                  {22654000000, "orange"},
		"58 99 99 99":               {22658999999, "telecel"},
		"79000000":                  {22679000000, "telecel"},
		// Eight digits that begin like the calling code are a number still.
		"22 67 01 12": {0, ""},
	} {
		number, operator, err := p.Read(text)
		if want.number == 0 {
			if !errors.Is(err, ErrFixed) {
				t.Errorf("%q: got %v, want a fixed line", text, err)
			}
			continue
		}
		if err != nil || number != want.number || operator != want.operator {
			t.Errorf("%q: got %d %s %v, want %v", text, number, operator, err, want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	p := burkina(t)
	for text, want := range map[string]error{
		"":                      ErrMalformed,
		"   ":                   ErrMalformed,
		"+":                     ErrMalformed,
		"1":                     ErrMalformed,
		"7011223":               ErrMalformed,
		"701122334":             ErrMalformed,
		"070112233":             ErrMalformed,
		"+2267011223":           ErrMalformed,
		"226701122":             ErrMalformed,
		"+226 (0) 70 11 22 33":  ErrMalformed,
		"70112233 ext 5":        ErrMalformed,
		"tel:70112233":          ErrMalformed,
		"7011ABCD":              ErrMalformed,
		"70112233+":             ErrMalformed,
		"++22670112233":         ErrMalformed,
		"70;11":                 ErrMalformed,
		"70\x0011":              ErrMalformed,
		"70\xff112233":          ErrMalformed,
		"+99970112233":          ErrMalformed,
		strings.Repeat("7", 65): ErrMalformed,
		strings.Repeat("7", 64): ErrMalformed,
		"+33 6 12 34 56 78":     ErrForeign,
		"0033612345678":         ErrForeign,
		"+225 07 07 07 07 07":   ErrForeign,
		"+1 202 555 0100":       ErrForeign,
		"25 30 11 22":           ErrFixed,
		"+226 20 49 12 34":      ErrFixed,
		"121":                   ErrService,
		"17":                    ErrService,
		"3510":                  ErrService,
		"80 00 11 22":           ErrService,
		"59 00 00 00":           ErrUnassigned,
		"90 00 00 00":           ErrUnassigned,
		"40 00 00 00":           ErrUnassigned,
		"00 00 00 00":           ErrUnassigned,
		"+226 00 00 00 00":      ErrUnassigned,
	} {
		number, operator, err := p.Read(text)
		if !errors.Is(err, want) || number != 0 || operator != "" {
			t.Errorf("%q: got %d %q %v, want %v", text, number, operator, err, want)
		}
	}
}

func TestFormat(t *testing.T) {
	p := burkina(t)
	for number, want := range map[purchase.MSISDN]string{
		22670112233: "70 11 22 33",
		22601020304: "01 02 03 04",
		2267011223:  "+2267011223",
		33612345678: "+33612345678",
	} {
		if got := p.Format(number); got != want {
			t.Errorf("%d: got %q, want %q", number, got, want)
		}
	}
	if p.Name("moov") != "Moov Africa" || p.Name("nobody") != "" {
		t.Errorf("names: %q, %q", p.Name("moov"), p.Name("nobody"))
	}
	if got := p.Operators(); len(got) != 3 || got[0] != "orange" {
		t.Errorf("operators: %v", got)
	}
}

func TestDigit(t *testing.T) {
	for ch, want := 0, byte('0'); ch <= unicode.MaxRune; ch++ {
		if !unicode.IsDigit(rune(ch)) {
			if want != '0' {
				t.Fatalf("%U: the digits before it stop at %c", ch, want-1)
			}
			continue
		}
		if got := digit(rune(ch)); got != want {
			t.Fatalf("%U: got %c, want %c", ch, got, want)
		}
		if want++; want > '9' {
			want = '0'
		}
	}
}

// mobile draws a national number of the plan and its operator.
func mobile(t *rapid.T, p *Plan) (string, purchase.Operator) {
	var prefixes []string
	for prefix, uses := range p.uses {
		if uses[0].verdict == nil {
			prefixes = append(prefixes, prefix)
		}
	}
	prefix := rapid.SampledFrom(sorted(prefixes)).Draw(t, "prefix")
	rest := rapid.StringOfN(rapid.RuneFrom([]rune("0123456789")), 8-len(prefix), 8-len(prefix), -1).Draw(t, "rest")
	return prefix + rest, p.uses[prefix][0].operator
}

func sorted(texts []string) []string {
	for i := range texts {
		for j := i; j > 0 && texts[j] < texts[j-1]; j-- {
			texts[j], texts[j-1] = texts[j-1], texts[j]
		}
	}
	return texts
}

// However a number is decorated, it is read as the same number; and what the
// plan reads by itself the library reads too.
func TestReadProperty(t *testing.T) {
	p := burkina(t)
	rapid.Check(t, func(t *rapid.T) {
		national, operator := mobile(t, p)
		begin := rapid.SampledFrom([]string{"", "+226", "00226", "226", "(226)", "＋226", "(+226) "}).Draw(t, "begin")
		decorated := begin
		for _, ch := range national {
			decorated += rapid.SampledFrom([]string{"", "", " ", "-", ".", "\u00a0", "\u202f", "\u2011"}).Draw(t, "between")
			decorated += string(ch + rapid.SampledFrom([]rune{0, '０' - '0', '٠' - '0', '߀' - '0', '𞥐' - '0'}).Draw(t, "script"))
		}
		number, got, err := p.Read(decorated)
		if err != nil || got != operator {
			t.Fatalf("%q: got %s %v, want %s", decorated, got, err, operator)
		}
		if want := "+226" + national; number.String() != want {
			t.Fatalf("%q: got %s, want %s", decorated, number, want)
		}
		again, _, err := p.Read(p.Format(number))
		if err != nil || again != number {
			t.Fatalf("%q: formatted as %q reads as %d %v", decorated, p.Format(number), again, err)
		}
		library, err := phonenumbers.Parse(begin+national, "BF")
		if err != nil || phonenumbers.Format(library, phonenumbers.E164) != number.String() {
			t.Fatalf("%q: the library reads %v %v", begin+national, library, err)
		}
	})
}

func TestCanonical(t *testing.T) {
	p := burkina(t)
	for text, want := range map[string]string{
		"70 11 22 33":       "+22670112233",
		"0022670112233":     "+22670112233",
		"01 02 03 04":       "+22601020304",
		"00226 01 02 03 04": "+22601020304",
		"25 30 11 22":       "+22625301122",
		"59 00 00 00":       "+22659000000",
		"+226 59-00-00-00":  "+22659000000",
		"+33 6 12 34 56 78": "+33 6 12 34 56 78",
		"7011":              "+2267011",
		"seven":             "seven",
		"":                  "",
	} {
		if got := p.Canonical(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	p, err := ParsePlan("bf.yaml", BurkinaFaso)
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{"70 11 22 33", "+226 70-11-22-33", "(226) 70.11.22.33", "７０１１２２３３", "0033612345678",
		"tel:+226-70;ext=1", "+", "\u202a7\u202c", "00000000", strings.Repeat("0", 64)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if once := p.Canonical(text); p.Canonical(once) != once {
			t.Fatalf("%q: canonical form %q, whose own is %q", text, once, p.Canonical(once))
		}
		number, operator, err := p.Read(text)
		if err != nil {
			if number != 0 || operator != "" {
				t.Fatalf("%q: an error and %d %q", text, number, operator)
			}
			if !isOne(err, ErrMalformed, ErrForeign, ErrFixed, ErrService, ErrUnassigned) {
				t.Fatalf("%q: %v is none of the sentinels", text, err)
			}
			return
		}
		if p.Name(operator) == "" || number < 22600000000 || number > 22699999999 {
			t.Fatalf("%q: read as %d %q", text, number, operator)
		}
		if got := p.Canonical(text); got != number.String() {
			t.Fatalf("%q: means %s, but its canonical form is %s", text, number, got)
		}
		if again, same, err := p.Read(p.Format(number)); err != nil || again != number || same != operator {
			t.Fatalf("%q: reads as %d, which reads as %d %v", text, number, again, err)
		}
	})
}

func isOne(err error, sentinels ...error) bool {
	count := 0
	for _, s := range sentinels {
		if errors.Is(err, s) {
			count++
		}
	}
	return count == 1
}

const small = `country: BF
calling_code: 226
lengths: [8]
groups: [2, 2, 2, 2]
source: test
checked: 2026-01-01
operators:
  - code: orange
    name: Orange
    mobile: ["7"]
  - code: moov
    name: Moov
    mobile: ["70"]
  - code: guest
    name: Guest
fixed: ["2"]
services:
  - what: short
    prefix: "7"
    lengths: [3]
`

func TestLongestPrefixDecides(t *testing.T) {
	p, err := ParsePlan("x.yaml", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]purchase.Operator{"70112233": "moov", "71112233": "orange"} {
		if _, got, err := p.Read(text); err != nil || got != want {
			t.Errorf("%s: got %s %v, want %s", text, got, err, want)
		}
	}
	if _, _, err := p.Read("700"); !errors.Is(err, ErrService) {
		t.Errorf("700: got %v", err)
	}
}

func TestParsePlanRefuses(t *testing.T) {
	for name, c := range map[string]struct{ old, with, want string }{
		"unknown key":      {"fixed:", "fixd:", "x.yaml:16: fixd: unknown field"},
		"no such country":  {"country: BF", "country: QQ", "x.yaml:1: country: \"QQ\" is not"},
		"calling code":     {"code: 226", "code: 225", "x.yaml:2: calling_code: 225 is not the calling code of BF, which is 226"},
		"not a number":     {"code: 226", "code: two", "x.yaml:2: calling_code: \"two\" is not a whole number"},
		"no source":        {"source: test", "source: ''", "x.yaml:5: source: say where"},
		"no date":          {"checked: 2026-01-01", "checked: ''", "x.yaml:6: checked: say when"},
		"no lengths":       {"lengths: [8]\ng", "lengths: []\ng", "x.yaml:3: lengths: at least one"},
		"length too large": {"lengths: [8]\ng", "lengths: [8, 13]\ng", "x.yaml:3: lengths[1]: 13 digits"},
		"empty group":      {"[2, 2, 2, 2]", "[2, 0, 2, 4]", "x.yaml:4: groups[1]: a group"},
		"wrong groups":     {"[2, 2, 2, 2]", "[2, 2, 2]", "x.yaml:4: groups: the groups hold 6"},
		"bad code":         {"code: moov", "code: Moov", "x.yaml:11: operators[1].code: \"Moov\" is not"},
		"code twice":       {"code: moov", "code: orange", "x.yaml:11: operators[1].code: operator \"orange\" is given twice"},
		"no name":          {"name: Moov", "name: ''", "x.yaml:12: operators[1].name: the operator needs a name"},
		"not a prefix":     {`["70"]`, `["7O"]`, "x.yaml:13: operators[1].mobile[0]: \"7O\" is not the beginning"},
		"prefix too long":  {`["70"]`, `["701122334"]`, "x.yaml:13: operators[1].mobile[0]: \"701122334\" is not"},
		"prefix twice":     {`["70"]`, `["70", "7"]`, "x.yaml:13: operators[1].mobile[1]: prefix 7 is given twice"},
		"fixed and mobile": {`["2"]`, `["70"]`, "x.yaml:16: fixed[0]: prefix 70 is given twice"},
		"service length":   {"lengths: [3]", "lengths: [1]", "x.yaml:20: services[0].lengths[0]: 1 digits"},
		"service twice":    {"lengths: [3]", "lengths: [8]", "x.yaml:19: services[0].prefix: prefix 7 is given twice"},
	} {
		text := strings.Replace(small, c.old, c.with, 1)
		if text == small {
			t.Fatalf("%s: nothing replaced", name)
		}
		if _, err := ParsePlan("x.yaml", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), "numbering plan: "+c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	p := burkina(b)
	for _, text := range []string{"70 11 22 33", "+22670112233", "0022670112233"} {
		b.Run(text, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := p.Read(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
