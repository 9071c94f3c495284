package money

import (
	"math/big"
	"strings"
	"testing"
)

// FuzzParseDecimal compares with exact arithmetic: what is read is what is
// written, to the last unit, and what cannot be is refused.
func FuzzParseDecimal(f *testing.F) {
	for _, text := range []string{"1050", "1050.00", "12.5", "0.005", "9223372036854775807", "92233720368547758.08", "-1", "1e3", ".5", "5.", "1 000", "0x10",
		"00000000000000000000000000000001", "000000000000000000000000000000001", "１", "+1", "1_000"} {
		f.Add(text, "XOF")
		f.Add(text, "GHS")
	}
	f.Fuzz(func(t *testing.T, text, code string) {
		currency, err := ParseCurrency(code)
		amount, bad := ParseDecimal(text, currency)
		if err != nil || bad != nil {
			if bad == nil || amount != (Amount{}) {
				t.Fatalf("%q of %q: %+v, %v, %v", text, code, amount, err, bad)
			}
			return
		}
		exact, ok := new(big.Rat).SetString(text)
		if !ok || strings.Trim(text, "0123456789.") != "" {
			t.Fatalf("%q is read as %s", text, amount)
		}
		minor := new(big.Rat).SetInt64(amount.Minor)
		for range currency.Digits() {
			exact.Mul(exact, big.NewRat(10, 1))
		}
		if exact.Cmp(minor) != 0 || amount.Minor < 0 {
			t.Fatalf("%q of %s is read as %d", text, code, amount.Minor)
		}
		if again, err := ParseDecimal(amount.Decimal(), currency); err != nil || again != amount {
			t.Fatalf("%q is written as %q, which is %v, %v", text, amount.Decimal(), again, err)
		}
	})
}
