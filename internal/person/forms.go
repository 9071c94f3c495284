package person

import (
	"regexp"
	"strconv"
	"strings"

	"tenu/internal/purchase"
)

// Mark stands in a text for a number that was taken out.
const Mark = "[…]"

// separators are what people put between digits.
const separators = " -./()\u00a0\u202f"

// Forms finds a number in texts, however it is written: with the country's calling code or
// without, with "+", "00" or nothing before it, its digits apart or together.
type Forms struct {
	Number purchase.MSISDN
	// National is the number as it is dialled in its country.
	National string

	whole, short *regexp.Regexp
}

// NewForms returns the forms of a number whose country has a calling code, "" where it is not
// known: then only the whole number is looked for.
func NewForms(number purchase.MSISDN, code string) *Forms {
	digits := strconv.FormatInt(int64(number), 10)
	national, ours := strings.CutPrefix(digits, code)
	if !ours || code == "" {
		national = digits
	}
	f := &Forms{Number: number, National: national}
	const between = `[\s./()\x{a0}\x{202f}-]{0,3}`
	apart := func(digits string) string { return strings.Join(strings.Split(digits, ""), between) }
	f.whole = regexp.MustCompile(`(?:\+|00)?` + apart(digits))
	f.short = regexp.MustCompile(apart(national))
	return f
}

// Sieve is the digits that every form holds once what separates them is left out.
func (f *Forms) Sieve() string { return f.National }

// Separators are the characters to leave out before the sieve.
func Separators() []string { return strings.Split(separators, "") }

// In reports whether a text holds the number.
func (f *Forms) In(text string) bool { return f.Replace(text, "") != text }

// Replace puts another text in place of the number. The whole number is found within longer
// rows of digits too; its national form only where it stands alone.
func (f *Forms) Replace(text, with string) string {
	text = f.whole.ReplaceAllString(text, strings.ReplaceAll(with, "$", "$$"))
	if f.National == strconv.FormatInt(int64(f.Number), 10) {
		return text
	}
	var out strings.Builder
	rest := text
	before := byte(' ')
	for {
		at := f.short.FindStringIndex(rest)
		if at == nil {
			break
		}
		if at[0] > 0 {
			before = rest[at[0]-1]
		}
		alone := !digit(before) && (at[1] == len(rest) || !digit(rest[at[1]]))
		if alone {
			out.WriteString(rest[:at[0]] + with)
			before, rest = ' ', rest[at[1]:]
			continue
		}
		out.WriteString(rest[:at[0]+1])
		before, rest = rest[at[0]], rest[at[0]+1:]
	}
	return out.String() + rest
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
