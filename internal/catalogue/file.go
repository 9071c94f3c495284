package catalogue

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenu/internal/money"
	"tenu/internal/notify/gsm7"
	"tenu/internal/purchase"
	"tenu/internal/yamlfile"
)

// The limits of what a catalogue may hold. The names' keep the texts of notices
// within one short message; the amounts' keep arithmetic far from overflow and
// amounts within 15 characters of text.
const (
	MaxProductName = 24        // septets
	MaxWalletName  = 16        // septets
	MaxContains    = 80        // septets
	MaxMajor       = 9_999_999 // whole units of currency
	maxProducts    = 10_000
)

type catalogueFile struct {
	Currency  string         `yaml:"currency"`
	Languages []string       `yaml:"languages"`
	Wallets   []walletFile   `yaml:"wallets"`
	Operators []operatorFile `yaml:"operators"`
	Products  []productFile  `yaml:"products"`
}

type walletFile struct {
	Name  string `yaml:"name"`
	Names Names  `yaml:"names"`
}

type operatorFile struct {
	Code      string   `yaml:"code"`
	Providers []string `yaml:"providers"`
}

type productFile struct {
	Code      string      `yaml:"code"`
	Kind      string      `yaml:"kind"`
	Names     Names       `yaml:"names"`
	Operators []string    `yaml:"operators"`
	Providers []string    `yaml:"providers"`
	Payers    []string    `yaml:"payers"`
	Until     string      `yaml:"until"`
	Offers    []offerFile `yaml:"offers"`
}

type offerFile struct {
	Version  int32   `yaml:"version"`
	From     string  `yaml:"from"`
	Min      string  `yaml:"min"`
	Max      string  `yaml:"max"`
	Step     string  `yaml:"step"`
	Units    string  `yaml:"units"`
	Price    string  `yaml:"price"`
	Validity string  `yaml:"validity"`
	Contains Names   `yaml:"contains"`
	Fee      feeFile `yaml:"fee"`
}

type feeFile struct {
	Fixed    string `yaml:"fixed"`
	PerMille int64  `yaml:"per_mille"`
	Round    string `yaml:"round"`
}

// Parse reads a catalogue from YAML. Unknown keys are refused; every error gives
// file, line and key.
func Parse(file string, data []byte) (*Catalogue, error) {
	var raw catalogueFile
	at, err := yamlfile.Decode(file, data, &raw)
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	l := loader{&Catalogue{routes: map[purchase.Operator][]string{}}, at}
	for _, part := range []func(*catalogueFile) error{l.money, l.payers, l.routing, l.wares} {
		if err := part(&raw); err != nil {
			return nil, fmt.Errorf("catalogue: %w", err)
		}
	}
	return l.Catalogue, nil
}

type loader struct {
	*Catalogue
	at *yamlfile.File
}

func (l loader) money(raw *catalogueFile) error {
	currency, err := money.ParseCurrency(raw.Currency)
	if err != nil {
		return l.at.Errorf("currency", "%w", err)
	}
	if len(raw.Languages) == 0 {
		return l.at.Errorf("languages", "at least one is needed")
	}
	l.currency, l.languages = currency, raw.Languages
	return nil
}

func (l loader) payers(raw *catalogueFile) error {
	for i, w := range raw.Wallets {
		path := fmt.Sprintf("wallets[%d]", i)
		switch {
		case !isCode(w.Name) || w.Name == Balance:
			return l.at.Errorf(path+".name", "%q is not a partner's name", w.Name)
		case slices.ContainsFunc(l.wallets, func(other Wallet) bool { return other.Name == w.Name }):
			return l.at.Errorf(path+".name", "wallet %s is given twice", w.Name)
		}
		if err := l.names(path+".names", w.Names, MaxWalletName); err != nil {
			return err
		}
		l.wallets = append(l.wallets, Wallet(w))
	}
	return nil
}

func (l loader) routing(raw *catalogueFile) error {
	for i, o := range raw.Operators {
		path := fmt.Sprintf("operators[%d]", i)
		code := purchase.Operator(o.Code)
		switch {
		case !isCode(o.Code):
			return l.at.Errorf(path+".code", "%q is not an operator's code", o.Code)
		case l.routes[code] != nil:
			return l.at.Errorf(path+".code", "operator %s is given twice", o.Code)
		case len(o.Providers) == 0:
			return l.at.Errorf(path+".providers", "at least one provider is needed")
		}
		for j, provider := range o.Providers {
			if !isCode(provider) || slices.Index(o.Providers, provider) != j {
				return l.at.Errorf(fmt.Sprintf("%s.providers[%d]", path, j), "%q is not a partner's name, or is given twice", provider)
			}
		}
		l.operators = append(l.operators, code)
		l.routes[code] = o.Providers
	}
	return nil
}

func (l loader) wares(raw *catalogueFile) error {
	if len(raw.Products) == 0 || len(raw.Products) > maxProducts {
		return l.at.Errorf("products", "between 1 and %d products are needed", maxProducts)
	}
	for i := range raw.Products {
		path := fmt.Sprintf("products[%d]", i)
		p, err := l.product(path, &raw.Products[i])
		if err != nil {
			return err
		}
		if _, twice := l.Product(p.Code); twice {
			return l.at.Errorf(path+".code", "product %s is given twice", p.Code)
		}
		l.products = append(l.products, p)
	}
	return nil
}

func (l loader) product(path string, raw *productFile) (Product, error) {
	p := Product{Code: raw.Code, Bundle: raw.Kind == "bundle", Names: raw.Names, Payers: raw.Payers,
		providers: map[purchase.Operator][]string{}}
	if !isCode(raw.Code) {
		return p, l.at.Errorf(path+".code", "%q is not a code of at most 32 lower-case letters, digits, - and _", raw.Code)
	}
	if raw.Kind != "airtime" && raw.Kind != "bundle" {
		return p, l.at.Errorf(path+".kind", "%q is neither airtime nor bundle", raw.Kind)
	}
	if err := l.names(path+".names", raw.Names, MaxProductName); err != nil {
		return p, err
	}
	if err := l.audience(path, raw, &p); err != nil {
		return p, err
	}
	if raw.Until != "" {
		until, err := time.Parse(time.RFC3339, raw.Until)
		if err != nil {
			return p, l.at.Errorf(path+".until", "%q is not an instant such as 2026-01-31T00:00:00Z", raw.Until)
		}
		p.Until = purchase.At(until)
	}
	if len(raw.Offers) == 0 {
		return p, l.at.Errorf(path+".offers", "at least one version is needed")
	}
	for i := range raw.Offers {
		path := fmt.Sprintf("%s.offers[%d]", path, i)
		o, err := l.offer(path, &raw.Offers[i], p.Bundle)
		if err != nil {
			return p, err
		}
		if i > 0 && (o.Version <= p.Offers[i-1].Version || o.From <= p.Offers[i-1].From) {
			return p, l.at.Errorf(path+".version", "each version has a higher number and begins later than the one before it")
		}
		p.Offers = append(p.Offers, o)
	}
	return p, nil
}

// audience reads whom a product is sold to, through whom, and how it is paid.
func (l loader) audience(path string, raw *productFile, p *Product) error {
	if len(raw.Operators) == 0 {
		return l.at.Errorf(path+".operators", "at least one operator is needed")
	}
	for i, name := range raw.Operators {
		code := purchase.Operator(name)
		providers := slices.DeleteFunc(l.Providers(code), func(provider string) bool {
			return len(raw.Providers) > 0 && !slices.Contains(raw.Providers, provider)
		})
		if len(providers) == 0 {
			return l.at.Errorf(fmt.Sprintf("%s.operators[%d]", path, i), "no provider credits this to lines of %q", name)
		}
		p.Operators = append(p.Operators, code)
		p.providers[code] = providers
	}
	for i, provider := range raw.Providers {
		if !slices.ContainsFunc(p.Operators, func(o purchase.Operator) bool { return slices.Contains(p.providers[o], provider) }) {
			return l.at.Errorf(fmt.Sprintf("%s.providers[%d]", path, i), "no operator of the product is reached through %q", provider)
		}
	}
	if len(raw.Payers) == 0 {
		return l.at.Errorf(path+".payers", "at least one payer is needed")
	}
	for i, payer := range raw.Payers {
		if payer != Balance && !slices.ContainsFunc(l.wallets, func(w Wallet) bool { return w.Name == payer }) {
			return l.at.Errorf(fmt.Sprintf("%s.payers[%d]", path, i), "%q is neither a wallet nor %s", payer, Balance)
		}
	}
	return nil
}

// names checks that a name is given in every language, in characters that an SMS
// carries, and no longer than most septets.
func (l loader) names(path string, names Names, most int) error {
	for _, language := range l.languages {
		if strings.TrimSpace(names[language]) == "" {
			return l.at.Errorf(path, "a name in %q is needed", language)
		}
	}
	for language, name := range names {
		n, err := gsm7.Septets(name)
		switch {
		case err != nil:
			return l.at.Errorf(path+"."+language, "%w", err)
		case n > most || strings.ContainsAny(name, "\r\n\f"):
			return l.at.Errorf(path+"."+language, "%q is not one line of at most %d characters", name, most)
		}
	}
	return nil
}

func isCode(text string) bool {
	return text != "" && len(text) <= 32 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// offer reads one version of a product's terms.
func (l loader) offer(path string, raw *offerFile, bundle bool) (Offer, error) {
	o := Offer{Version: raw.Version}
	if raw.Version < 1 {
		return o, l.at.Errorf(path+".version", "versions count from 1")
	}
	from, err := time.Parse(time.RFC3339, raw.From)
	if err != nil {
		return o, l.at.Errorf(path+".from", "%q is not an instant such as 2026-01-31T00:00:00Z", raw.From)
	}
	o.From = purchase.At(from)
	if o.Fee, err = l.fee(path+".fee", &raw.Fee); err != nil {
		return o, err
	}
	if bundle {
		return o, l.bundle(path, raw, &o)
	}
	return o, l.airtime(path, raw, &o)
}

func (l loader) airtime(path string, raw *offerFile, o *Offer) error {
	if raw.Price != "" || raw.Validity != "" || raw.Contains != nil {
		return l.at.Errorf(path, "price, validity and contains are for bundles")
	}
	for _, amount := range []struct {
		key, text string
		into      *int64
	}{{"min", raw.Min, &o.Min}, {"max", raw.Max, &o.Max}, {"step", raw.Step, &o.Step}} {
		var err error
		if *amount.into, err = l.amount(path+"."+amount.key, amount.text); err != nil {
			return err
		}
	}
	switch {
	case raw.Units != "total" && raw.Units != "less_fee":
		return l.at.Errorf(path+".units", "%q is neither total nor less_fee", raw.Units)
	case o.Max < o.Min:
		return l.at.Errorf(path+".max", "the maximum is below the minimum")
	case o.Min%o.Step != 0 || o.Max%o.Step != 0:
		return l.at.Errorf(path+".step", "minimum and maximum are multiples of the step")
	case o.Fee.of(o.Min) >= o.Min:
		return l.at.Errorf(path+".fee", "the fee leaves nothing of the minimum")
	}
	o.UnitsLessFee = raw.Units == "less_fee"
	return nil
}

func (l loader) bundle(path string, raw *offerFile, o *Offer) error {
	if raw.Min+raw.Max+raw.Step+raw.Units != "" {
		return l.at.Errorf(path, "min, max, step and units are for airtime")
	}
	var err error
	if o.Price, err = l.amount(path+".price", raw.Price); err != nil {
		return err
	}
	if o.Price+o.Fee.of(o.Price) > l.maxMinor() {
		return l.at.Errorf(path+".fee", "price and fee exceed %d", MaxMajor)
	}
	if o.Validity, err = parseValidity(raw.Validity); err != nil {
		return l.at.Errorf(path+".validity", "%w", err)
	}
	o.Contains = raw.Contains
	return l.names(path+".contains", raw.Contains, MaxContains)
}

func (l loader) fee(path string, raw *feeFile) (Fee, error) {
	f := Fee{PerMille: raw.PerMille, Round: Round(raw.Round)}
	if raw.Fixed != "" && raw.Fixed != "0" {
		var err error
		if f.Fixed, err = l.amount(path+".fixed", raw.Fixed); err != nil {
			return f, err
		}
	}
	switch {
	case raw.PerMille < 0 || raw.PerMille >= 1000:
		return f, l.at.Errorf(path+".per_mille", "%d is not between 0 and 999", raw.PerMille)
	case raw.PerMille == 0 && raw.Round == "":
		f.Round = Down
	case f.Round != Down && f.Round != Up && f.Round != Half:
		return f, l.at.Errorf(path+".round", "%q is none of down, up, half", raw.Round)
	}
	return f, nil
}

// amount reads a positive amount of the catalogue's currency.
func (l loader) amount(path, text string) (int64, error) {
	amount, err := ParseAmount(text, l.currency)
	switch {
	case text == "":
		return 0, l.at.Errorf(path, "an amount of %s is needed", l.currency)
	case err != nil:
		return 0, l.at.Errorf(path, "%q: %w", text, err)
	case amount.Minor > l.maxMinor():
		return 0, l.at.Errorf(path, "%s exceeds %d", text, MaxMajor)
	}
	return amount.Minor, nil
}

// maxMinor is the largest amount in minor units.
func (l loader) maxMinor() int64 {
	most := int64(MaxMajor)
	for range l.currency.Digits() {
		most *= 10
	}
	return most
}

var errValidity = errors.New(`a validity is written like "24h" or "30d"`)

// parseValidity reads hours or days, at most ten years.
func parseValidity(text string) (time.Duration, error) {
	unit := time.Hour
	digits, hours := strings.CutSuffix(text, "h")
	if !hours {
		var days bool
		if digits, days = strings.CutSuffix(text, "d"); !days {
			return 0, errValidity
		}
		unit = 24 * time.Hour
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 || time.Duration(n)*unit > 3653*24*time.Hour {
		return 0, errValidity
	}
	return time.Duration(n) * unit, nil
}
