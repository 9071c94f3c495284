package sale

import (
	"context"
	"slices"

	"tenu/internal/catalogue"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Gift is something that another than the customer pays for: the house.
type Gift struct {
	Client, ClientKey, Channel, Language string

	Number  purchase.MSISDN // who is given it, and stands for the payer
	Product string          // "" for airtime
	Amount  int64           // value of the units, minor units; a bundle's price without fee
	Payer   string          // the partner that pays, which no catalogue offers to customers
	// Provider is the one that shall credit, of those that can; "" for the first.
	Provider string
}

// Give makes the purchase of a gift, without a fee, and returns when its intent is durable.
// The same gift under the same key is the same purchase, whatever is on sale by then. An
// error is a *Problem, as of Buy.
func (d *Desk) Give(ctx context.Context, g Gift) (purchase.Purchase, error) {
	goods := d.Catalogue()
	w := Wish{Client: g.Client, ClientKey: g.ClientKey, Channel: g.Channel, Language: g.Language, Number: g.Number.String(),
		Product: g.Product, Currency: string(goods.Currency()), PayWith: g.Payer, Again: true,
		Amount: money.Amount{Minor: g.Amount, Currency: goods.Currency()}.Decimal()}
	if !w.keyed() {
		return purchase.Purchase{}, d.problem(ErrKey, "")
	}
	r, problem := d.gift(goods, w)
	if problem == nil && g.Provider != "" {
		problem = d.through(goods, &r, g.Provider)
	}
	if problem != nil {
		b := d.earlier(ctx, &w, goods, purchase.Bought{Err: problem})
		return b.Purchase, b.Err
	}
	r.Digest = w.digest(d.cfg.Directory.Plan, goods.Currency())
	b := d.cfg.Engine.BuyAll(ctx, []purchase.Request{r})[0]
	if b.Err != nil {
		return purchase.Purchase{}, d.problem(b.Err, "")
	}
	return b.Purchase, nil
}

// gift prices and routes a gift: as sold, but for the payer and the fee.
func (d *Desk) gift(goods *catalogue.Catalogue, w Wish) (purchase.Request, *Problem) {
	payer, amount := w.PayWith, w.Amount
	if w.PayWith = ""; w.Product == "" {
		wares, err := d.Products(w.Number, w.Channel)
		if err != nil {
			return purchase.Request{}, d.problem(err, "number")
		}
		for i := range wares {
			if !wares[i].Bundle {
				w.Product = wares[i].Code
				break
			}
		}
	}
	if product, known := goods.Product(w.Product); known && product.Bundle {
		w.Amount = "" // its price with the fee is not what is given
	}
	r, problem := d.request(goods, &w)
	if problem != nil {
		return purchase.Request{}, problem
	}
	r.Payer, r.Fee = payer, 0
	if given, err := catalogue.ParseAmount(amount, goods.Currency()); err != nil {
		return purchase.Request{}, d.problem(err, "")
	} else if !r.Bundle {
		r.Units = given.Minor
	} else if given.Minor != r.Units {
		price := money.Amount{Minor: r.Units, Currency: goods.Currency()}
		return purchase.Request{}, d.problem(&catalogue.LimitError{Err: catalogue.ErrPrice, Limit: price}, "")
	}
	r.Total = r.Units
	return r, nil
}

// through has a provider credit a gift, where it can.
func (d *Desk) through(goods *catalogue.Catalogue, r *purchase.Request, provider string) *Problem {
	operator, err := d.cfg.Directory.Operator(r.Recipient)
	if err != nil {
		return d.problem(err, "number")
	}
	product, known := goods.Product(r.Product)
	if !known {
		return d.problem(catalogue.ErrProduct, "")
	}
	if !slices.Contains(product.Providers(operator), provider) {
		return d.problem(catalogue.ErrOperator, "")
	}
	r.Provider = provider
	return nil
}
