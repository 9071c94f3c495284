package catalogue

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tenu/internal/money"
	"tenu/internal/numbering"
	"tenu/internal/purchase"
)

const sample = `currency: XOF
languages: [fr, en]
wallets:
  - name: wallet
    names: {fr: Portefeuille, en: Wallet}
operators:
  - {code: orange, providers: [ocs, spare]}
  - {code: moov, providers: [hub]}
products:
  - code: airtime
    kind: airtime
    names: {fr: Unités, en: Airtime}
    operators: [orange, moov]
    payers: [wallet]
    offers:
      - version: 1
        from: 2026-01-01T00:00:00Z
        min: 100
        max: 10000
        step: 50
        units: less_fee
        fee: {fixed: 50}
      - version: 2
        from: 2026-06-01T00:00:00Z
        min: 100
        max: 10000
        step: 50
        units: total
        fee: {per_mille: 15, round: up}
  - code: data
    kind: bundle
    names: {fr: Internet, en: Data}
    operators: [orange]
    providers: [spare]
    payers: [balance, wallet]
    until: 2026-12-01T00:00:00Z
    offers:
      - version: 3
        from: 2026-01-01T00:00:00Z
        price: 500
        validity: 7d
        contains: {fr: 1 Go, en: 1 GB}
        fee: {fixed: 10, per_mille: 1, round: half}
`

func load(t testing.TB, text string) *Catalogue {
	t.Helper()
	c, err := Parse("x.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func on(text string) purchase.Instant {
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return purchase.At(at)
}

func TestQuote(t *testing.T) {
	c := load(t, sample)
	for name, want := range map[string]struct {
		ask   Ask
		at    string
		quote Quote
	}{
		"first version": {Ask{Product: "airtime", Amount: "1050", Operator: "orange"}, "2026-02-01",
			Quote{"airtime", 1, false, 1050, 50, 1000, "XOF", "wallet", []string{"ocs", "spare"}}},
		"on the day of the second": {Ask{Product: "airtime", Amount: " 1050 ", Currency: "XOF", Operator: "moov", Payer: "wallet"}, "2026-06-01",
			Quote{"airtime", 2, false, 1050, 16, 1050, "XOF", "wallet", []string{"hub"}}},
		"smallest": {Ask{Product: "airtime", Amount: "100", Operator: "moov"}, "2026-05-31",
			Quote{"airtime", 1, false, 100, 50, 50, "XOF", "wallet", []string{"hub"}}},
		"largest": {Ask{Product: "airtime", Amount: "010000", Operator: "moov"}, "2026-02-01",
			Quote{"airtime", 1, false, 10000, 50, 9950, "XOF", "wallet", []string{"hub"}}},
		"bundle by the balance": {Ask{Product: "data", Operator: "orange"}, "2026-02-01",
			Quote{"data", 3, true, 511, 11, 500, "XOF", Balance, []string{"spare"}}},
		"bundle by the wallet": {Ask{Product: "data", Operator: "orange", Payer: "wallet", Amount: "511"}, "2026-02-01",
			Quote{"data", 3, true, 511, 11, 500, "XOF", "wallet", []string{"spare"}}},
	} {
		got, err := c.Quote(want.ask, on(want.at))
		if err != nil || got.Total != want.quote.Total || strings.Join(got.Providers, " ") != strings.Join(want.quote.Providers, " ") {
			t.Errorf("%s: got %+v %v", name, got, err)
		}
		got.Providers, want.quote.Providers = nil, nil
		if got.Offer != want.quote.Offer || got.Fee != want.quote.Fee || got.Units != want.quote.Units ||
			got.Bundle != want.quote.Bundle || got.Payer != want.quote.Payer || got.Currency != want.quote.Currency {
			t.Errorf("%s: got %+v, want %+v", name, got, want.quote)
		}
	}
}

func TestQuoteRefuses(t *testing.T) {
	c := load(t, sample)
	airtime := func(amount string) Ask { return Ask{Product: "airtime", Amount: amount, Operator: "orange"} }
	for name, want := range map[string]struct {
		ask   Ask
		at    string
		err   error
		limit int64
	}{
		"no product":        {Ask{Product: "", Amount: "100"}, "2026-02-01", ErrProduct, 0},
		"unknown product":   {Ask{Product: "Airtime", Amount: "100"}, "2026-02-01", ErrProduct, 0},
		"not yet":           {airtime("100"), "2025-12-31", ErrNotOnSale, 0},
		"no longer":         {Ask{Product: "data", Operator: "orange"}, "2026-12-01", ErrNotOnSale, 0},
		"currency":          {Ask{Product: "airtime", Amount: "100", Currency: "XAF", Operator: "orange"}, "2026-02-01", ErrCurrency, 0},
		"small currency":    {Ask{Product: "airtime", Amount: "100", Currency: "xof", Operator: "orange"}, "2026-02-01", ErrCurrency, 0},
		"operator":          {Ask{Product: "data", Operator: "moov"}, "2026-02-01", ErrOperator, 0},
		"no operator":       {Ask{Product: "data"}, "2026-02-01", ErrOperator, 0},
		"unknown payer":     {Ask{Product: "data", Operator: "orange", Payer: "bank"}, "2026-02-01", ErrPayer, 0},
		"payer of another":  {Ask{Product: "airtime", Amount: "100", Operator: "orange", Payer: Balance}, "2026-02-01", ErrPayer, 0},
		"missing":           {airtime(""), "2026-02-01", ErrAmountMissing, 0},
		"blank":             {airtime("  "), "2026-02-01", ErrAmountMissing, 0},
		"words":             {airtime("cent"), "2026-02-01", ErrAmount, 0},
		"grouped":           {airtime("1 050"), "2026-02-01", ErrAmount, 0},
		"comma":             {airtime("1,050"), "2026-02-01", ErrAmount, 0},
		"plus":              {airtime("+100"), "2026-02-01", ErrAmount, 0},
		"exponent":          {airtime("1e3"), "2026-02-01", ErrAmount, 0},
		"hexadecimal":       {airtime("0x64"), "2026-02-01", ErrAmount, 0},
		"two points":        {airtime("1.0.0"), "2026-02-01", ErrAmount, 0},
		"point alone":       {airtime("."), "2026-02-01", ErrAmount, 0},
		"minus alone":       {airtime("-"), "2026-02-01", ErrAmount, 0},
		"garbage at end":    {airtime(strings.Repeat("9", 30) + "x"), "2026-02-01", ErrAmount, 0},
		"zero":              {airtime("0"), "2026-02-01", ErrZero, 0},
		"zeros":             {airtime("000"), "2026-02-01", ErrZero, 0},
		"negative":          {airtime("-1050"), "2026-02-01", ErrNegative, 0},
		"fraction":          {airtime("1050.5"), "2026-02-01", ErrFraction, 0},
		"point of grouping": {airtime("1.000"), "2026-02-01", ErrFraction, 0},
		"below":             {airtime("99"), "2026-02-01", ErrBelow, 100},
		"above":             {airtime("10050"), "2026-02-01", ErrAbove, 10000},
		"overflow":          {airtime("99999999999999999999"), "2026-02-01", ErrAbove, 10000},
		"off step":          {airtime("1049"), "2026-02-01", ErrStep, 50},
		"not the price":     {Ask{Product: "data", Operator: "orange", Amount: "500"}, "2026-02-01", ErrPrice, 511},
		"overflown price":   {Ask{Product: "data", Operator: "orange", Amount: "99999999999999999999"}, "2026-02-01", ErrPrice, 511},
		"negative price":    {Ask{Product: "data", Operator: "orange", Amount: "-511"}, "2026-02-01", ErrNegative, 0},
	} {
		quote, err := c.Quote(want.ask, on(want.at))
		if !errors.Is(err, want.err) || quote.Total != 0 {
			t.Errorf("%s: got %+v %v, want %v", name, quote, err, want.err)
		}
		var limit *LimitError
		if got := errors.As(err, &limit); got != (want.limit != 0) || got && limit.Limit.Minor != want.limit {
			t.Errorf("%s: got %v, want the limit %d", name, err, want.limit)
		}
	}
}

func TestParseAmountMinorUnits(t *testing.T) {
	for text, want := range map[string]int64{"12": 1200, "12.5": 1250, "12.50": 1250, "0.01": 1, "12.500": 0, "12.": 0, ".5": 0} {
		amount, err := ParseAmount(text, money.GHS)
		if amount.Minor != want || (err == nil) != (want != 0) {
			t.Errorf("%s: got %v %v, want %d", text, amount, err, want)
		}
	}
}

// Whatever is quoted adds up, keeps the limits, and is what was asked for.
func TestQuoteProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		step := rapid.Int64Range(1, 100).Draw(t, "step")
		o := Offer{Step: step, Min: step * rapid.Int64Range(1, 50).Draw(t, "min"), Max: step * rapid.Int64Range(50, 90_000).Draw(t, "max"),
			UnitsLessFee: rapid.Bool().Draw(t, "less fee"),
			Fee:          Fee{rapid.Int64Range(0, 200).Draw(t, "fixed"), rapid.Int64Range(0, 999).Draw(t, "per mille"), rapid.SampledFrom([]Round{Down, Up, Half}).Draw(t, "round")}}
		if o.Fee.of(o.Min) >= o.Min {
			t.Skip("refused at load")
		}
		text := money.Amount{Minor: rapid.Int64Range(-10, 10_000_000).Draw(t, "amount"), Currency: money.XOF}
		q := Quote{Currency: money.XOF}
		if err := o.priceAirtime(&q, text.Decimal()); err != nil {
			if text.Minor >= o.Min && text.Minor <= o.Max && text.Minor%step == 0 {
				t.Fatalf("refused: %v", err)
			}
			return
		}
		switch {
		case q.Total != text.Minor || q.Total < o.Min || q.Total > o.Max || q.Total%step != 0:
			t.Fatalf("%+v sold outside the limits of %+v", q, o)
		case q.Fee < 0 || q.Units <= 0 || q.Fee >= q.Total:
			t.Fatalf("%+v: the fee eats the sale", q)
		case o.UnitsLessFee && q.Units+q.Fee != q.Total, !o.UnitsLessFee && q.Units != q.Total:
			t.Fatalf("%+v does not add up", q)
		}
		exact := float64(q.Total) * float64(o.Fee.PerMille) / 1000
		if diff := float64(q.Fee-o.Fee.Fixed) - exact; diff <= -1 || diff >= 1 ||
			o.Fee.Round == Down && diff > 0 || o.Fee.Round == Up && diff < 0 || o.Fee.Round == Half && (diff > 0.5 || diff <= -0.5) {
			t.Fatalf("fee %d of %d at %d per mille, rounded %s", q.Fee, q.Total, o.Fee.PerMille, o.Fee.Round)
		}
	})
}

func TestDemo(t *testing.T) {
	c, err := Parse("demo.yaml", Demo)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := numbering.ParsePlan("bf.yaml", numbering.BurkinaFaso)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range c.Operators() {
		if plan.Name(o) == "" {
			t.Errorf("operator %s is not in the numbering plan", o)
		}
		for _, p := range c.Products() {
			if _, err := c.Quote(Ask{Product: p.Code, Amount: map[bool]string{false: "1050"}[p.Bundle], Operator: o}, on("2026-11-22")); err != nil {
				t.Errorf("%s for %s: %v", p.Code, o, err)
			}
		}
	}
	story, err := c.Quote(Ask{Product: "airtime", Amount: "1050", Operator: "orange"}, on("2024-07-09"))
	if err != nil || story.Units != 1000 || story.Fee != 50 || story.Payer != "wallet" {
		t.Errorf("the story's purchase: %+v %v", story, err)
	}
	full, err := c.Quote(Ask{Product: "airtime-full", Amount: "1050", Operator: "orange"}, on("2024-07-09"))
	if err != nil || full.Units != 1050 || full.Fee != 0 {
		t.Errorf("without fee: %+v %v", full, err)
	}
}

func TestListing(t *testing.T) {
	c := load(t, sample)
	if c.Currency() != money.XOF || len(c.Products()) != 2 || len(c.Wallets()) != 1 || c.Languages()[0] != "fr" {
		t.Errorf("%+v", c)
	}
	if got := c.Providers("orange"); len(got) != 2 || got[0] != "ocs" {
		t.Errorf("providers: %v", got)
	}
	p, ok := c.Product("data")
	if o, sold := p.Offer(on("2026-02-01")); !ok || !sold || o.Validity != 7*24*time.Hour || o.Contains["fr"] != "1 Go" {
		t.Errorf("data: %+v", o)
	}
}
