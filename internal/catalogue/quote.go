package catalogue

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Errors of Quote that callers branch on.
var (
	// ErrProduct: no such product.
	ErrProduct = errors.New("unknown product")
	// ErrNotOnSale: the product is not yet, or no longer, on sale.
	ErrNotOnSale = errors.New("product not on sale now")
	// ErrCurrency: not the currency that the product is sold in.
	ErrCurrency = errors.New("not the currency of the product")
	// ErrOperator: the product is not sold to lines of this operator.
	ErrOperator = errors.New("not sold to lines of this operator")
	// ErrPayer: the product cannot be paid this way.
	ErrPayer = errors.New("product cannot be paid this way")
	// ErrAmountMissing: airtime needs an amount.
	ErrAmountMissing = errors.New("amount missing")
	// ErrAmount: not an amount.
	ErrAmount = errors.New("not an amount")
	// ErrZero: an amount of nothing.
	ErrZero = errors.New("amount is zero")
	// ErrNegative: an amount below zero.
	ErrNegative = errors.New("amount is negative")
	// ErrFraction: finer than the currency's smallest unit.
	ErrFraction = errors.New("amount finer than the currency")
	// ErrBelow: less than the smallest amount sold, in a *LimitError.
	ErrBelow = errors.New("amount below the minimum")
	// ErrAbove: more than the largest amount sold, in a *LimitError.
	ErrAbove = errors.New("amount above the maximum")
	// ErrStep: not a multiple of the step, in a *LimitError.
	ErrStep = errors.New("amount off the step")
	// ErrPrice: not the bundle's price with its fee, in a *LimitError.
	ErrPrice = errors.New("amount is not the price")
)

// LimitError is an amount that breaks a limit.
type LimitError struct {
	Err   error // ErrBelow, ErrAbove, ErrStep or ErrPrice
	Limit money.Amount
}

// Error names the limit.
func (e *LimitError) Error() string { return e.Err.Error() + " of " + e.Limit.String() }

// Unwrap returns the sentinel.
func (e *LimitError) Unwrap() error { return e.Err }

// Ask is what a customer wants to buy, as it was written.
type Ask struct {
	Product  string
	Amount   string // "1050"; may be left out for a bundle
	Currency string // "XOF"; "" for the catalogue's
	Operator purchase.Operator
	Payer    string // a wallet's name or Balance; "" for the product's first
}

// Quote is a price that is kept for the life of the purchase made from it.
type Quote struct {
	Product   string
	Offer     int32 // version
	Bundle    bool
	Total     int64 // to pay, minor units
	Fee       int64 // part of Total
	Units     int64 // to credit, minor units; a bundle's price
	Currency  money.Currency
	Payer     string   // a wallet's name or Balance
	Providers []string // who can credit, in order of preference; at least one
}

// Quote prices what a customer asks for, by the version that is valid at the
// moment. It returns an error wrapping one of this package's sentinels; those
// of limits are *LimitError.
func (c *Catalogue) Quote(ask Ask, now purchase.Instant) (Quote, error) {
	product, known := c.Product(ask.Product)
	if !known {
		return Quote{}, ErrProduct
	}
	offer, valid := product.Offer(now)
	if !valid {
		return Quote{}, ErrNotOnSale
	}
	if ask.Currency != "" && ask.Currency != string(c.currency) {
		return Quote{}, ErrCurrency
	}
	providers := product.Providers(ask.Operator)
	if len(providers) == 0 {
		return Quote{}, ErrOperator
	}
	if ask.Payer == "" {
		ask.Payer = product.Payers[0]
	} else if !slices.Contains(product.Payers, ask.Payer) {
		return Quote{}, ErrPayer
	}
	quote := Quote{Product: product.Code, Offer: offer.Version, Bundle: product.Bundle,
		Currency: c.currency, Payer: ask.Payer, Providers: providers}
	price := offer.priceAirtime
	if product.Bundle {
		price = offer.priceBundle
	}
	if err := price(&quote, ask.Amount); err != nil {
		return Quote{}, err
	}
	return quote, nil
}

func (o *Offer) priceAirtime(q *Quote, text string) error {
	limit := func(err error, minor int64) error {
		return &LimitError{err, money.Amount{Minor: minor, Currency: q.Currency}}
	}
	if strings.TrimSpace(text) == "" {
		return ErrAmountMissing
	}
	amount, err := ParseAmount(text, q.Currency)
	switch {
	case errors.Is(err, money.ErrOverflow):
		return limit(ErrAbove, o.Max)
	case err != nil:
		return err
	case amount.Minor < o.Min:
		return limit(ErrBelow, o.Min)
	case amount.Minor > o.Max:
		return limit(ErrAbove, o.Max)
	case amount.Minor%o.Step != 0:
		return limit(ErrStep, o.Step)
	}
	q.Total, q.Fee = amount.Minor, o.Fee.of(amount.Minor)
	q.Units = q.Total
	if o.UnitsLessFee {
		q.Units -= q.Fee
	}
	return nil
}

func (o *Offer) priceBundle(q *Quote, text string) error {
	q.Units, q.Fee = o.Price, o.Fee.of(o.Price)
	q.Total = q.Units + q.Fee
	if strings.TrimSpace(text) == "" {
		return nil
	}
	amount, err := ParseAmount(text, q.Currency)
	if err != nil && !errors.Is(err, money.ErrOverflow) {
		return err
	}
	if err != nil || amount.Minor != q.Total {
		return &LimitError{ErrPrice, money.Amount{Minor: q.Total, Currency: q.Currency}}
	}
	return nil
}

// ParseAmount reads an amount that a customer asks for: digits, and for a
// currency with a minor unit a point and at most its digits. It returns an
// error wrapping ErrAmount, ErrZero, ErrNegative, ErrFraction or money.ErrOverflow.
// Unlike a protocol's figure, "1.000" is refused in a currency without minor
// unit: in French it may be meant as a thousand.
func ParseAmount(text string, currency money.Currency) (money.Amount, error) {
	digits, negative := strings.CutPrefix(strings.TrimSpace(text), "-")
	whole, fraction, pointed := strings.Cut(digits, ".")
	if !isDigits(whole) || pointed && !isDigits(fraction) {
		return money.Amount{}, ErrAmount
	}
	if negative {
		return money.Amount{}, ErrNegative
	}
	if len(fraction) > currency.Digits() {
		return money.Amount{}, ErrFraction
	}
	amount, err := money.ParseDecimal(digits, currency)
	switch {
	case errors.Is(err, money.ErrOverflow):
		return money.Amount{}, fmt.Errorf("read amount: %w", err)
	case err != nil:
		return money.Amount{}, ErrAmount
	case amount.Minor == 0:
		return money.Amount{}, ErrZero
	}
	return amount, nil
}

func isDigits(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }
