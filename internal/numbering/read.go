package numbering

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"

	"tenu/internal/purchase"
)

// maxText bounds the bytes of a number as people write it.
const maxText = 64

// Read finds the line and the operator by prefix of a number as people write it:
// "70 11 22 33", "+226 70-11-22-33", "0022670112233", "(226) 70.11.22.33", in
// the digits of any script. It returns an error wrapping one of this package's
// sentinels, which does not hold the number. Ported numbers are a Directory's matter.
func (p *Plan) Read(text string) (purchase.MSISDN, purchase.Operator, error) {
	dialled, err := clean(text)
	if err != nil {
		return 0, "", err
	}
	// What is a full mobile number as it stands needs no interpretation.
	number, operator, err := p.judge(strings.TrimPrefix(dialled, "+"+p.code))
	if err == nil {
		return number, operator, nil
	}
	code, national, err := p.interpret(dialled)
	switch {
	case err != nil:
		return 0, "", err
	case code != p.code:
		return 0, "", ErrForeign
	}
	return p.judge(national)
}

// Canonical is the number of this country that a text means, as "+22670112233",
// whether or not anything can be sold to it, or the text itself where it means
// none. Two texts that mean one such number have one canonical form, whatever the
// plan assigns.
func (p *Plan) Canonical(text string) string {
	dialled, err := clean(text)
	if err != nil {
		return text
	}
	if number, _, err := p.judge(strings.TrimPrefix(dialled, "+"+p.code)); err == nil {
		return number.String()
	}
	code, national, err := p.interpret(dialled)
	if err != nil || code != p.code {
		return text
	}
	return "+" + code + national
}

// interpret reads what a person dialled into a calling code and a national number.
func (p *Plan) interpret(dialled string) (code, national string, err error) {
	number, err := phonenumbers.Parse(dialled, p.country)
	if err != nil {
		return "", "", ErrMalformed
	}
	return strconv.Itoa(int(number.GetCountryCode())), phonenumbers.GetNationalSignificantNumber(number), nil
}

// clean reduces a text to ASCII digits, after a plus sign if one came before
// them. Spaces and the signs that people put between digits are dropped, and so
// are the invisible marks that address books add; anything else is refused.
func clean(text string) (string, error) {
	if len(text) > maxText {
		return "", fmt.Errorf("%w: longer than %d bytes", ErrMalformed, maxText)
	}
	var kept strings.Builder
	kept.Grow(len(text))
	for _, ch := range text {
		switch {
		case unicode.IsDigit(ch):
			kept.WriteByte(digit(ch))
		case ch == '+' || ch == '＋':
			if kept.Len() > 0 {
				return "", fmt.Errorf("%w: a plus sign comes first", ErrMalformed)
			}
			kept.WriteByte('+')
		case strings.ContainsRune(".,/()·．／（）", ch), unicode.Is(unicode.Pd, ch), ch == '\u2212':
		case unicode.IsSpace(ch), unicode.Is(unicode.Cf, ch):
		default:
			return "", fmt.Errorf("%w: %q is not part of one", ErrMalformed, ch)
		}
	}
	if strings.TrimPrefix(kept.String(), "+") == "" {
		return "", fmt.Errorf("%w: no digits", ErrMalformed)
	}
	return kept.String(), nil
}

const digits = "0123456789"

// digit is the ASCII form of a decimal digit of any script. Unicode encodes each
// script's ten digits in order, and Nd's ranges begin with a zero. (The library
// reads Latin, Arabic and full-width digits only, not those of N'Ko or Adlam.)
func digit(ch rune) byte {
	for _, r := range unicode.Nd.R16 {
		if lo := rune(r.Lo); lo <= ch && ch <= rune(r.Hi) {
			return digits[(ch-lo)%10]
		}
	}
	for _, r := range unicode.Nd.R32 {
		if lo := rune(r.Lo); lo <= ch && ch <= rune(r.Hi) { //nolint:gosec // code points fit a rune
			return digits[(ch-lo)%10]
		}
	}
	return '0'
}
