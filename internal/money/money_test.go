package money

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestString(t *testing.T) {
	for _, tc := range []struct {
		amount Amount
		want   string
	}{
		{Amount{1050, XOF}, "1 050 F CFA"},
		{Amount{0, XOF}, "0 F CFA"},
		{Amount{999, XAF}, "999 F CFA"},
		{Amount{-1234567, XOF}, "-1 234 567 F CFA"},
		{Amount{5, GHS}, "0.05 GHS"},
		{Amount{123456, NGN}, "1 234.56 NGN"},
		{Amount{math.MinInt64, XOF}, "-9 223 372 036 854 775 808 F CFA"},
	} {
		if got := tc.amount.String(); got != tc.want {
			t.Errorf("%d %s: %q, want %q", tc.amount.Minor, tc.amount.Currency, got, tc.want)
		}
	}
}

func TestParseDecimal(t *testing.T) {
	for _, tc := range []struct {
		text     string
		currency Currency
		want     int64 // -1: refused
	}{
		{"1050", XOF, 1050}, {"1050.00", XOF, 1050}, {"1050.5", XOF, -1}, {"", XOF, -1}, {"-5", XOF, -1},
		{"1e3", XOF, -1}, {"1 050", XOF, -1}, {".5", GHS, -1}, {"5.", GHS, -1}, {"12.5", GHS, 1250},
		{"12.505", GHS, -1}, {"12.500", GHS, 1250}, {"9223372036854775807", XOF, math.MaxInt64},
		{"9223372036854775808", XOF, -1}, {"92233720368547758.08", GHS, -1}, {"1", "ZZZ", -1}, {"1.2.3", GHS, -1},
	} {
		got, err := ParseDecimal(tc.text, tc.currency)
		if tc.want < 0 && err == nil || tc.want >= 0 && (err != nil || got.Minor != tc.want) {
			t.Errorf("%q %s: %d, %v; want %d", tc.text, tc.currency, got.Minor, err, tc.want)
		}
	}
}

func TestDecimalRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Amount{rapid.Int64Range(0, math.MaxInt64).Draw(t, "minor"), rapid.SampledFrom([]Currency{XOF, GHS}).Draw(t, "currency")}
		if got, err := ParseDecimal(a.Decimal(), a.Currency); err != nil || got != a {
			t.Fatalf("%s: %v, %v", a.Decimal(), got, err)
		}
		if strings.ContainsAny(a.String(), "\u00a0\u202f") {
			t.Fatalf("%q is not plain", a.String())
		}
	})
}

func TestAdd(t *testing.T) {
	if _, err := Add(math.MaxInt64, 1); !errors.Is(err, ErrOverflow) {
		t.Errorf("overflow: %v", err)
	}
	if _, err := Add(math.MinInt64, -1); !errors.Is(err, ErrOverflow) {
		t.Errorf("underflow: %v", err)
	}
	if _, err := (Amount{1, XOF}).Add(Amount{1, XAF}); !errors.Is(err, ErrCurrency) {
		t.Errorf("two currencies: %v", err)
	}
	if sum, err := (Amount{1, XOF}).Add(Amount{2, XOF}); err != nil || sum.Minor != 3 {
		t.Errorf("%v, %v", sum, err)
	}
}
