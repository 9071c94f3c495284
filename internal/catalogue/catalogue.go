// Package catalogue says what is sold: airtime and bundles, each in versions
// that are never edited, at what price, to whom, through which providers and
// paid how. It quotes; it knows nothing of who asks, of purchases under way, or
// of how partners are reached.
package catalogue

import (
	_ "embed"
	"fmt"
	"reflect"
	"slices"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Balance is the payer's name that means the paying line's main balance: its
// own charging system is then the payer.
const Balance = "balance"

// Demo is the catalogue that tenu ships, for Burkina Faso.
//
//go:embed demo.yaml
var Demo []byte

// Catalogue is what is sold. It is immutable and safe for concurrent use; a new
// file is a new Catalogue.
type Catalogue struct {
	currency  money.Currency
	languages []string
	wallets   []Wallet
	operators []purchase.Operator
	routes    map[purchase.Operator][]string
	products  []Product
}

// Wallet is a payer that customers pay with.
type Wallet struct {
	Name  string // of the partner
	Names Names  // what customers call it
}

// Names are what customers read in each language.
type Names map[string]string

// Product is one thing that is sold.
type Product struct {
	Code   string
	Bundle bool // otherwise airtime
	Names  Names
	// Operators whose lines it is sold to.
	Operators []purchase.Operator
	// Payers that it may be paid with: wallets' names, or Balance. The first is
	// meant where a customer names none.
	Payers []string
	// Until is when its sale ends; zero: never.
	Until purchase.Instant
	// Offers are its versions, oldest first.
	Offers []Offer

	providers map[purchase.Operator][]string // who credits it, in order
}

// Offer is one version of a product's terms. Its content never changes.
type Offer struct {
	Version int32
	From    purchase.Instant

	// Of airtime, in minor units: what a customer may pay, the fee's part
	// included, and whether the fee is taken off the units.
	Min, Max, Step int64
	UnitsLessFee   bool

	// Of a bundle: its price without the fee in minor units, how long it is
	// valid, and what it holds in words.
	Price    int64
	Validity time.Duration
	Contains Names

	Fee Fee
}

// Fee is what a sale costs the customer beside what is credited.
type Fee struct {
	Fixed    int64 // minor units
	PerMille int64 // of what is paid for airtime, or of a bundle's price
	Round    Round // of the part per mille
}

// Round is how a fraction of a minor unit is rounded.
type Round string

// The rounding rules.
const (
	Down Round = "down"
	Up   Round = "up"
	Half Round = "half" // to the nearest, a half upwards
)

// of is the fee on a base amount, which the catalogue's limits keep far from
// overflow.
func (f Fee) of(base int64) int64 {
	part := base * f.PerMille
	switch f.Round {
	case Up:
		part += 999
	case Half:
		part += 500
	case Down:
	}
	return f.Fixed + part/1000
}

// Currency is the currency that everything is sold in.
func (c *Catalogue) Currency() money.Currency { return c.currency }

// Languages lists the languages that every name is given in; the first is the
// one to fall back on.
func (c *Catalogue) Languages() []string { return slices.Clone(c.languages) }

// Operators lists the operators whose lines something can be sold to.
func (c *Catalogue) Operators() []purchase.Operator { return slices.Clone(c.operators) }

// Wallets lists the wallets that something can be paid with.
func (c *Catalogue) Wallets() []Wallet { return slices.Clone(c.wallets) }

// Providers lists the providers that credit the lines of an operator, in the
// order of preference; the first is the line's charging system.
func (c *Catalogue) Providers(o purchase.Operator) []string { return slices.Clone(c.routes[o]) }

// Products lists every product, also those not on sale now.
func (c *Catalogue) Products() []Product { return slices.Clone(c.products) }

// Product returns a product by its code.
func (c *Catalogue) Product(code string) (*Product, bool) {
	i := slices.IndexFunc(c.products, func(p Product) bool { return p.Code == code })
	if i < 0 {
		return nil, false
	}
	return &c.products[i], true
}

// Providers lists the providers that credit the product to lines of an operator,
// in the order of preference.
func (p *Product) Providers(o purchase.Operator) []string { return slices.Clone(p.providers[o]) }

// Offer returns the version that is valid at a moment, or false when the product
// is not on sale then.
func (p *Product) Offer(now purchase.Instant) (*Offer, bool) {
	if p.Until != 0 && now >= p.Until {
		return nil, false
	}
	for i := len(p.Offers) - 1; i >= 0; i-- {
		if p.Offers[i].From <= now {
			return &p.Offers[i], true
		}
	}
	return nil, false
}

// CheckAfter refuses a catalogue that would replace previous if the content of a
// version changed under the same number, or if a product's newest version is
// gone: purchases name the version that they were quoted from, and it must keep
// meaning what it meant. Old versions, and whole products, may be dropped.
func (c *Catalogue) CheckAfter(previous *Catalogue) error {
	for i := range previous.products {
		was := &previous.products[i]
		is, kept := c.Product(was.Code)
		if !kept {
			continue
		}
		for j := range was.Offers {
			old := &was.Offers[j]
			k := slices.IndexFunc(is.Offers, func(o Offer) bool { return o.Version == old.Version })
			switch {
			case k >= 0 && (was.Bundle != is.Bundle || previous.currency != c.currency || !reflect.DeepEqual(old, &is.Offers[k])):
				return fmt.Errorf("catalogue: product %s: version %d was changed; give the change a new version", was.Code, old.Version)
			case k < 0 && j == len(was.Offers)-1:
				return fmt.Errorf("catalogue: product %s: version %d, the newest, is gone", was.Code, old.Version)
			}
		}
	}
	return nil
}

// Labels are what customers call the products, by code, and the wallets, by
// name, in each language.
func (c *Catalogue) Labels() (products, wallets map[string]map[string]string) {
	products, wallets = map[string]map[string]string{}, map[string]map[string]string{}
	for _, p := range c.products {
		products[p.Code] = p.Names
	}
	for _, w := range c.wallets {
		wallets[w.Name] = w.Names
	}
	return products, wallets
}
