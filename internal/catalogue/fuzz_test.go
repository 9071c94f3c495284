package catalogue

import (
	"errors"
	"strings"
	"testing"

	"tenu/internal/fuzztest"
	"tenu/internal/money"
)

// FuzzParse: whatever is on sale in a catalogue that is accepted is quoted at
// both of its ends, in whole, positive and bounded amounts.
func FuzzParse(f *testing.F) {
	f.Add(string(Demo))
	f.Add(strings.NewReplacer("currency: XOF", "currency: GHS", "fixed: 50", "fixed: \"0.50\", per_mille: 999, round: half").Replace(string(Demo)))
	f.Add(strings.NewReplacer("max: 100000", "max: 9999999", "units: less_fee", "units: total", "price: 200", "price: 9999999").Replace(string(Demo)))
	f.Fuzz(func(t *testing.T, text string) {
		var c *Catalogue
		var err error
		fuzztest.Within(t, 32<<20+4096*len(text), func() { c, err = Parse("x.yaml", []byte(text)) })
		if err != nil {
			if !strings.HasPrefix(err.Error(), "catalogue: x.yaml:") {
				t.Errorf("%v does not name the file", err)
			}
			return
		}
		for _, p := range c.Products() {
			for _, o := range p.Offers {
				for _, minor := range []int64{o.Min, o.Max} {
					checkQuote(t, c, &p, &o, minor)
				}
			}
		}
	})
}

func checkQuote(t *testing.T, c *Catalogue, p *Product, o *Offer, minor int64) {
	t.Helper()
	ask := Ask{Product: p.Code, Operator: p.Operators[0], Payer: p.Payers[0]}
	if !p.Bundle {
		ask.Amount = money.Amount{Minor: minor, Currency: c.Currency()}.Decimal()
	}
	q, err := c.Quote(ask, o.From)
	if errors.Is(err, ErrNotOnSale) {
		return
	}
	most := int64(MaxMajor)
	for range c.Currency().Digits() {
		most *= 10
	}
	if err != nil || q.Total <= 0 || q.Units <= 0 || q.Fee < 0 || q.Fee >= q.Total || q.Total > most || q.Units > q.Total {
		t.Errorf("%s version %d for %d: %+v, %v", p.Code, o.Version, minor, q, err)
	}
}
