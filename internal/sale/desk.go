// Package sale is the desk that every channel sells at: it turns what a customer
// wrote into a priced and routed request, hands it to the engine, and turns
// whatever refuses it into a problem that customers can read. It knows nothing
// of HTTP, USSD or SQL, nor of how a purchase goes on once it is made.
package sale

//go:generate go test -run TestErrorCodesPage -update .

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"tenu/internal/catalogue"
	"tenu/internal/numbering"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

// Engine makes purchases; *purchase.Engine is one. BuyAll returns when each
// intent is durable or refused, with the errors that its documentation lists.
type Engine interface {
	BuyAll(context.Context, []purchase.Request) []purchase.Bought
}

// Archive finds what a client bought before; purchase.Store is one.
type Archive interface {
	// FindKey returns the purchase made under a client's key, or an error
	// wrapping purchase.ErrNotFound.
	FindKey(ctx context.Context, client, clientKey string) (purchase.ID, error)
	// Load returns the records of those purchases that exist.
	Load(ctx context.Context, ids ...purchase.ID) ([]purchase.Record, error)
}

// Config is what a desk is built from. All of it is needed but Admit and Messages.
type Config struct {
	Directory *numbering.Directory
	Catalogue *catalogue.Catalogue
	Engine    Engine
	Archive   Archive
	Clock     purchase.Clock
	// Reference gives a purchase its public name; (*purchase.Keyring).Reference does.
	Reference func(purchase.ID) purchase.Reference
	// Partners names every partner that is configured. A catalogue that needs
	// another is refused.
	Partners []string
	// Admit refuses what cannot be sold at the moment, as the engine would; nil
	// refuses nothing.
	Admit func(*purchase.Request) error
	// Readers tell the balances of lines, by the provider's name.
	Readers map[string]purchase.BalanceReader
	// Messages may hold further languages of the problems' messages, one file each.
	Messages []fs.FS
}

// Desk sells. It is safe for concurrent use.
type Desk struct {
	cfg       Config
	book      *phrase.Book
	replacing sync.Mutex // one SetCatalogue at a time
	catalogue atomic.Pointer[catalogue.Catalogue]
}

// New returns a desk, or an error that says what of the configuration does not
// fit together.
func New(cfg Config) (*Desk, error) {
	if cfg.Directory == nil || cfg.Catalogue == nil || cfg.Engine == nil || cfg.Archive == nil || cfg.Clock == nil || cfg.Reference == nil {
		return nil, errors.New("sale: directory, catalogue, engine, archive, clock and reference are needed")
	}
	book, err := loadBook(cfg.Messages...)
	if err != nil {
		return nil, fmt.Errorf("sale: %w", err)
	}
	d := &Desk{cfg: cfg, book: book}
	if err := d.check(cfg.Catalogue); err != nil {
		return nil, err
	}
	d.catalogue.Store(cfg.Catalogue)
	return d, nil
}

// Catalogue is what is sold at the moment.
func (d *Desk) Catalogue() *catalogue.Catalogue { return d.catalogue.Load() }

// SetCatalogue replaces what is sold, for wishes from now on. It refuses a
// catalogue that needs an operator or partner that is not there, or that changes
// a version which customers may have been quoted (catalogue.CheckAfter).
func (d *Desk) SetCatalogue(c *catalogue.Catalogue) error {
	if err := d.check(c); err != nil {
		return err
	}
	d.replacing.Lock()
	defer d.replacing.Unlock()
	if err := c.CheckAfter(d.Catalogue()); err != nil {
		return fmt.Errorf("sale: %w", err)
	}
	d.catalogue.Store(c)
	return nil
}

// check holds a catalogue against the numbering plan and the partners.
func (d *Desk) check(c *catalogue.Catalogue) error {
	for _, w := range c.Wallets() {
		if !slices.Contains(d.cfg.Partners, w.Name) {
			return fmt.Errorf("sale: the catalogue's wallet %q is no partner", w.Name)
		}
	}
	for _, o := range c.Operators() {
		if d.cfg.Directory.Name(o) == "" {
			return fmt.Errorf("sale: the catalogue's operator %q is not in the numbering plan", o)
		}
		for _, provider := range c.Providers(o) {
			if !slices.Contains(d.cfg.Partners, provider) {
				return fmt.Errorf("sale: the catalogue's provider %q of %s is no partner", provider, o)
			}
		}
	}
	return nil
}

// Buy makes the purchase that a customer wishes, and returns when its intent is
// durable: from then on it is completed or given back, whatever becomes of this
// call. replay is true when the client made it before under the same key with a
// wish of the same meaning; then the earlier purchase is returned as it stands,
// even if it could not be bought any more. An error is a *Problem, with which
// nothing was charged, except CodeUnavailable: then ask again with the same key.
func (d *Desk) Buy(ctx context.Context, w Wish) (p purchase.Purchase, replay bool, err error) {
	b := d.BuyAll(ctx, []Wish{w})[0]
	return b.Purchase, b.Replay, b.Err
}

// BuyAll is Buy for several wishes, and returns when each is durable or refused.
// The answers are in the order of the wishes, and each is what Buy would return:
// the refusal of one is nothing to the others.
func (d *Desk) BuyAll(ctx context.Context, ws []Wish) []purchase.Bought {
	answers := make([]purchase.Bought, len(ws))
	requests, places := make([]purchase.Request, 0, len(ws)), make([]int, 0, len(ws))
	var unsold []int
	goods := d.Catalogue()
	for i := range ws {
		w, to := &ws[i], &answers[i]
		if !w.keyed() {
			to.Err = d.problem(ErrKey, "")
			continue
		}
		request, problem := d.request(goods, w)
		if problem != nil {
			to.Err = problem
			unsold = append(unsold, i)
			continue
		}
		request.Digest = w.digest(d.cfg.Directory.Plan, goods.Currency())
		requests, places = append(requests, request), append(places, i)
	}
	for i, b := range d.cfg.Engine.BuyAll(ctx, requests) {
		if b.Err != nil {
			b = purchase.Bought{Err: d.problem(b.Err, "")}
		}
		answers[places[i]] = b
	}
	for _, i := range unsold { // after the others, so that no refusal hides what they made
		answers[i] = d.earlier(ctx, &ws[i], goods, answers[i])
	}
	return answers
}

// Number reads a number as people write it. An error is a *Problem.
func (d *Desk) Number(text string) (purchase.MSISDN, error) {
	number, _, err := d.cfg.Directory.Parse(text)
	if err != nil {
		return 0, d.problem(err, "number")
	}
	return number, nil
}

// Message is what customers are told of a problem that is known by its code only.
func (d *Desk) Message(code Code, earlier purchase.Reference, language string) string {
	p := &Problem{Code: code, Earlier: earlier, book: d.book}
	for i := range kinds {
		if kinds[i].code == code {
			p.value = kinds[i].value
			return p.Message(language)
		}
	}
	p.Code = CodeInternal
	return p.Message(language)
}

// Quote prices and routes a wish as Buy would now, without buying, so that the
// customer can be shown what it costs. It holds back what would be refused at
// the moment. An error is a *Problem.
func (d *Desk) Quote(w Wish) (purchase.Request, error) {
	request, problem := d.request(d.Catalogue(), &w)
	if problem != nil {
		return purchase.Request{}, problem
	}
	if d.cfg.Admit != nil {
		if err := d.cfg.Admit(&request); err != nil {
			return purchase.Request{}, d.problem(err, "")
		}
	}
	return request, nil
}

// request prices and routes a wish.
func (d *Desk) request(goods *catalogue.Catalogue, w *Wish) (purchase.Request, *Problem) {
	recipient, operator, err := d.cfg.Directory.Parse(w.Number)
	if err != nil {
		return purchase.Request{}, d.problem(err, "number")
	}
	payer, payerOperator := recipient, operator
	if strings.TrimSpace(w.Payer) != "" {
		if payer, payerOperator, err = d.cfg.Directory.Parse(w.Payer); err != nil {
			return purchase.Request{}, d.problem(err, "payer")
		}
	}
	quote, err := goods.Quote(catalogue.Ask{Product: w.Product, Amount: w.Amount, Currency: w.Currency,
		Operator: operator, Payer: w.PayWith}, d.cfg.Clock.Now())
	if err != nil {
		return purchase.Request{}, d.problem(err, "")
	}
	if quote.Payer == catalogue.Balance {
		// The charging system of the paying line is the payer.
		providers := goods.Providers(payerOperator)
		if len(providers) == 0 {
			return purchase.Request{}, d.problem(catalogue.ErrPayer, "")
		}
		quote.Payer = providers[0]
	}
	return purchase.Request{
		Client: w.Client, ClientKey: w.ClientKey, Channel: w.Channel, Language: language(goods, w.Language),
		PayerNumber: payer, Recipient: recipient, Payer: quote.Payer, Provider: quote.Providers[0],
		Product: quote.Product, Offer: quote.Offer, Bundle: quote.Bundle,
		Total: quote.Total, Fee: quote.Fee, Units: quote.Units, Currency: quote.Currency, Again: w.Again,
	}, nil
}

// language is the customer's where the catalogue speaks it, otherwise its first.
func language(goods *catalogue.Catalogue, wanted string) purchase.Language {
	languages := goods.Languages()
	base, _, _ := strings.Cut(strings.ToLower(wanted), "-")
	if slices.Contains(languages, base) {
		return purchase.Language(base)
	}
	return purchase.Language(languages[0])
}

// earlier answers a wish that cannot be bought with the purchase that the client
// made under the same key when it still could: a refusal must not hide it.
func (d *Desk) earlier(ctx context.Context, w *Wish, goods *catalogue.Catalogue, refusal purchase.Bought) purchase.Bought {
	id, err := d.cfg.Archive.FindKey(ctx, w.Client, w.ClientKey)
	if errors.Is(err, purchase.ErrNotFound) {
		return refusal
	}
	if err != nil {
		return purchase.Bought{Err: d.problem(fmt.Errorf("find the purchase of a key: %w", err), "")}
	}
	records, err := d.cfg.Archive.Load(ctx, id)
	switch {
	case err != nil:
		return purchase.Bought{Err: d.problem(fmt.Errorf("load purchase %d: %w", id, err), "")}
	case len(records) == 0:
		return refusal
	case records[0].Purchase.Digest != w.digest(d.cfg.Directory.Plan, goods.Currency()):
		return purchase.Bought{Err: d.problem(purchase.ErrKeyConflict, "")}
	}
	return purchase.Bought{Purchase: records[0].Purchase, Replay: true}
}

// Alternates returns, in order of preference, the providers that can credit a
// purchase: those of its product for lines of the recipient's operator as it is
// now. It is empty for a product that is no longer in the catalogue.
func (d *Desk) Alternates(p *purchase.Purchase) []string {
	operator, err := d.cfg.Directory.Operator(p.Recipient)
	if err != nil {
		return nil
	}
	product, known := d.Catalogue().Product(p.Product)
	if !known {
		return nil
	}
	return product.Providers(operator)
}

// Ware is a product with the version of its terms that is on sale now.
type Ware struct {
	*catalogue.Product
	Offer *catalogue.Offer
	// Quote is what a bundle costs, paid with its first payer; zero for airtime.
	Quote catalogue.Quote
	// Closed are those of its payers with which it cannot be bought at the moment.
	Closed []string
}

// Paused reports whether it cannot be bought at the moment, however it is paid.
func (w *Ware) Paused() bool { return len(w.Closed) > 0 && len(w.Closed) == len(w.Payers) }

// Products lists what is on sale now to a number as people write it, or to
// anybody when it is "", on a channel; and what of it is paused. An error is a *Problem.
func (d *Desk) Products(number, channel string) ([]Ware, error) {
	var line purchase.MSISDN
	var operator purchase.Operator
	if strings.TrimSpace(number) != "" {
		var err error
		if line, operator, err = d.cfg.Directory.Parse(number); err != nil {
			return nil, d.problem(err, "number")
		}
	}
	goods, now := d.Catalogue(), d.cfg.Clock.Now()
	var wares []Ware
	for _, p := range goods.Products() {
		buyer := operator
		if buyer == "" {
			buyer = p.Operators[0]
		}
		offer, on := p.Offer(now)
		if !on || len(p.Providers(buyer)) == 0 {
			continue
		}
		ware := Ware{Product: &p, Offer: offer, Closed: d.closed(goods, &p, line, operator, channel)}
		if p.Bundle {
			quote, err := goods.Quote(catalogue.Ask{Product: p.Code, Operator: buyer}, now)
			if err != nil {
				return nil, d.problem(fmt.Errorf("price %s: %w", p.Code, err), "")
			}
			ware.Quote = quote
		}
		wares = append(wares, ware)
	}
	return wares, nil
}

// closed are the payers of a product with which it cannot be bought at the moment for a
// line, paid by itself, or for any of those it is sold to when it is 0.
func (d *Desk) closed(goods *catalogue.Catalogue, p *catalogue.Product, line purchase.MSISDN, operator purchase.Operator, channel string) (closed []string) {
	if d.cfg.Admit == nil {
		return nil
	}
	operators := []purchase.Operator{operator}
	if line == 0 {
		operators = p.Operators
	}
	for _, payer := range p.Payers {
		refused := func(o purchase.Operator) bool {
			r := purchase.Request{Channel: channel, PayerNumber: line, Recipient: line, Payer: payer, Product: p.Code, Bundle: p.Bundle}
			if providers := p.Providers(o); len(providers) > 0 {
				r.Provider = providers[0]
			}
			if providers := goods.Providers(o); payer == catalogue.Balance && len(providers) > 0 {
				r.Payer = providers[0]
			}
			return d.cfg.Admit(&r) != nil
		}
		if !slices.ContainsFunc(operators, func(o purchase.Operator) bool { return !refused(o) }) {
			closed = append(closed, payer)
		}
	}
	return closed
}

// Line is a customer's line with what it holds.
type Line struct {
	Number   purchase.MSISDN
	Operator purchase.Operator
	purchase.Balances
}

// Balance asks the charging system of a line what it holds. The number is read
// as people write it. An error is a *Problem.
func (d *Desk) Balance(ctx context.Context, number string) (Line, error) {
	msisdn, operator, err := d.cfg.Directory.Parse(number)
	if err != nil {
		return Line{}, d.problem(err, "number")
	}
	providers := d.Catalogue().Providers(operator)
	if len(providers) == 0 || d.cfg.Readers[providers[0]] == nil {
		return Line{}, d.problem(fmt.Errorf("%w: no balance of lines of %s can be read", purchase.ErrUnavailable, operator), "")
	}
	balances, err := d.cfg.Readers[providers[0]].Balance(ctx, msisdn)
	if err != nil {
		return Line{}, d.problem(fmt.Errorf("read balance at %s: %w", providers[0], err), "number")
	}
	return Line{msisdn, operator, balances}, nil
}
