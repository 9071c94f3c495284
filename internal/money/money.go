// Package money holds amounts as integers in a currency's minor unit, with
// checked arithmetic. It knows nothing of purchases, accounts or texts in any
// language beyond the digits of an amount.
package money

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// ErrOverflow is returned by arithmetic whose exact result does not fit in 64 bits.
var ErrOverflow = errors.New("money: amount overflows 64 bits")

// ErrCurrency is returned for an unknown currency code, and by arithmetic on
// amounts of two currencies.
var ErrCurrency = errors.New("money: currency unknown or not the same")

// Currency is an ISO 4217 alphabetic code that this package knows.
type Currency string

// The currencies of the countries that tenu is sold in.
const (
	XOF Currency = "XOF" // CFA franc BCEAO, no minor unit
	XAF Currency = "XAF" // CFA franc BEAC, no minor unit
	GNF Currency = "GNF" // Guinean franc, no minor unit
	NGN Currency = "NGN" // naira, 100 kobo
	GHS Currency = "GHS" // cedi, 100 pesewas
	SLE Currency = "SLE" // leone, 100 cents
	LRD Currency = "LRD" // Liberian dollar, 100 cents
	GMD Currency = "GMD" // dalasi, 100 bututs
)

type currencyFacts struct {
	digits int    // digits of the minor unit, as ISO 4217 gives them
	symbol string // what customers read after the amount
}

var currencies = map[Currency]currencyFacts{
	XOF: {0, "F CFA"},
	XAF: {0, "F CFA"},
	GNF: {0, "FG"},
	NGN: {2, "NGN"},
	GHS: {2, "GHS"},
	SLE: {2, "SLE"},
	LRD: {2, "LRD"},
	GMD: {2, "GMD"},
}

// ParseCurrency returns the currency of an ISO 4217 code, or ErrCurrency.
func ParseCurrency(code string) (Currency, error) {
	if _, ok := currencies[Currency(code)]; !ok {
		return "", fmt.Errorf("%w: %q", ErrCurrency, code)
	}
	return Currency(code), nil
}

// Digits is the number of decimal digits of the currency's minor unit.
func (c Currency) Digits() int { return currencies[c].digits }

// Amount is a quantity of money: Minor units of Currency. The zero Amount is
// no money of no currency.
type Amount struct {
	Minor    int64
	Currency Currency
}

// Add returns a+b, or ErrCurrency or ErrOverflow.
func (a Amount) Add(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, fmt.Errorf("%w: %s and %s", ErrCurrency, a.Currency, b.Currency)
	}
	sum, err := Add(a.Minor, b.Minor)
	return Amount{sum, a.Currency}, err
}

// Add returns a+b in minor units, or ErrOverflow.
func Add(a, b int64) (int64, error) {
	if (b > 0 && a > math.MaxInt64-b) || (b < 0 && a < math.MinInt64-b) {
		return 0, ErrOverflow
	}
	return a + b, nil
}

// String is the amount as customers read it, in plain ASCII so that an SMS
// carries it: digits grouped by three with spaces, then the currency's symbol,
// as in "1 050 F CFA" or "12.50 GHS".
func (a Amount) String() string {
	facts := currencies[a.Currency]
	symbol := facts.symbol
	if symbol == "" {
		symbol = string(a.Currency)
	}
	return a.Number() + " " + symbol
}

// Number is the amount's figure alone: "1 050" or "12.50".
func (a Amount) Number() string {
	digits := currencies[a.Currency].digits
	sign := ""
	magnitude := uint64(a.Minor) //nolint:gosec // two's complement is undone on the next line
	if a.Minor < 0 {
		sign, magnitude = "-", -magnitude
	}
	text := strconv.FormatUint(magnitude, 10)
	for len(text) <= digits {
		text = "0" + text
	}
	whole, fraction := text[:len(text)-digits], text[len(text)-digits:]
	grouped := make([]byte, 0, len(whole)+len(whole)/3)
	for i := range len(whole) {
		if i > 0 && (len(whole)-i)%3 == 0 {
			grouped = append(grouped, ' ')
		}
		grouped = append(grouped, whole[i])
	}
	if fraction != "" {
		fraction = "." + fraction
	}
	return sign + string(grouped) + fraction
}

// Decimal is the amount's figure as protocols write it, without grouping:
// "1050" or "12.50".
func (a Amount) Decimal() string {
	number := a.Number()
	plain := make([]byte, 0, len(number))
	for i := range len(number) {
		if number[i] != ' ' {
			plain = append(plain, number[i])
		}
	}
	return string(plain)
}

// ParseDecimal reads a protocol's figure ("1050", "1050.00", "12.5") into minor
// units of c. It accepts only what is exactly representable: an amount of XOF
// with a fraction other than zero is an error, and so are signs, exponents,
// grouping and anything beyond 64 bits.
func ParseDecimal(text string, c Currency) (Amount, error) {
	facts, known := currencies[c]
	if !known {
		return Amount{}, fmt.Errorf("%w: %q", ErrCurrency, c)
	}
	bad := func() (Amount, error) { return Amount{}, fmt.Errorf("money: %q is not an amount of %s", text, c) }
	if len(text) == 0 || len(text) > 32 {
		return bad()
	}
	var minor int64
	fraction := -1 // digits read after the point, -1 before it
	for i := range len(text) {
		ch := text[i]
		switch {
		case ch == '.' && fraction < 0 && i > 0 && i < len(text)-1:
			fraction = 0
		case ch < '0' || ch > '9':
			return bad()
		case fraction >= facts.digits:
			if ch != '0' {
				return bad()
			}
		default:
			if minor > (math.MaxInt64-int64(ch-'0'))/10 {
				return Amount{}, ErrOverflow
			}
			minor = minor*10 + int64(ch-'0')
			if fraction >= 0 {
				fraction++
			}
		}
	}
	for range facts.digits - max(fraction, 0) {
		if minor > math.MaxInt64/10 {
			return Amount{}, ErrOverflow
		}
		minor *= 10
	}
	return Amount{minor, c}, nil
}
