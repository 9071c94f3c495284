package api

import (
	"context"

	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/sale"
)

// Product is something on sale now.
type Product struct {
	Code     string            `json:"code" example:"airtime"`
	Kind     string            `json:"kind" enum:"airtime,bundle"`
	Names    map[string]string `json:"names" doc:"What customers call it, by language."`
	Offer    int32             `json:"offer" doc:"The version of the terms in force."`
	Currency string            `json:"currency" example:"XOF"`
	PayWith  []string          `json:"pay_with" doc:"Wallets, or balance for the payer's main balance; the first where none is asked for."`
	Min      int64             `json:"min,omitempty" doc:"The least that is paid, of airtime."`
	Max      int64             `json:"max,omitempty" doc:"The most that is paid, of airtime."`
	Step     int64             `json:"step,omitempty" doc:"What is paid must be a multiple of it, of airtime."`
	Price    int64             `json:"price,omitempty" doc:"What a bundle costs, its fee included."`
	Validity int64             `json:"validity_seconds,omitempty" doc:"How long a bundle is valid."`
	Contains map[string]string `json:"contains,omitempty" doc:"What a bundle holds, by language."`
	Fee      Fee               `json:"fee"`
	// Operators are in the numbering plan's codes.
	Operators []string `json:"operators" doc:"Whose lines it is sold to."`
	Paused    bool     `json:"paused" doc:"It cannot be bought at the moment, however it is paid: a purchase would be refused before the charge."`
	// PausedWith may be part of PayWith.
	PausedWith []string `json:"paused_with,omitempty" doc:"Of pay_with, those with which it cannot be bought at the moment."`
}

// Fee is what a sale costs the customer beside what is credited.
type Fee struct {
	Fixed    int64  `json:"fixed" doc:"In the currency's minor unit."`
	PerMille int64  `json:"per_mille" doc:"Of what is paid for airtime, or of a bundle's price."`
	From     string `json:"from" enum:"units,total,price" doc:"units: taken off what is credited; total: the operator bears it; price: part of a bundle's price."`
}

type productsIn struct {
	Number string `query:"number" maxLength:"64" doc:"Only what is sold for this number." example:"70112233"`
}

type productsOut struct {
	Body struct {
		Products []Product `json:"products"`
	}
}

// products lists what is on sale now.
func (a *API) products(ctx context.Context, in *productsIn) (*productsOut, error) {
	channel := ""
	if c := callOf(ctx).client; c != nil {
		channel = c.Channel
	}
	wares, err := a.desk.Products(in.Number, channel)
	if err != nil {
		return nil, refusal(err, "")
	}
	out := &productsOut{}
	out.Body.Products = make([]Product, len(wares))
	for i := range wares {
		out.Body.Products[i] = product(&wares[i], a.desk.Catalogue().Currency())
	}
	return out, nil
}

func product(w *sale.Ware, c money.Currency) Product {
	o := w.Offer
	v := Product{Code: w.Code, Kind: "airtime", Names: w.Names, Offer: o.Version, Currency: string(c), PayWith: w.Payers, Paused: w.Paused(), PausedWith: w.Closed,
		Fee: Fee{Fixed: o.Fee.Fixed, PerMille: o.Fee.PerMille, From: "total"}}
	for _, operator := range w.Operators {
		v.Operators = append(v.Operators, string(operator))
	}
	switch {
	case w.Bundle:
		v.Kind, v.Price, v.Fee.From = "bundle", w.Quote.Total, "price"
		v.Validity, v.Contains = int64(o.Validity.Seconds()), o.Contains
		return v
	case o.UnitsLessFee:
		v.Fee.From = "units"
	}
	v.Min, v.Max, v.Step = o.Min, o.Max, o.Step
	return v
}

type balanceIn struct {
	Number string `path:"number" maxLength:"64" doc:"The line, as people write it." example:"70112233"`
}

// Balance is what a line holds.
type Balance struct {
	Number   string   `json:"number" doc:"In E.164." example:"+22670112233"`
	Operator string   `json:"operator" example:"moov"`
	Main     Amount   `json:"main" doc:"The main balance."`
	Expires  string   `json:"expires_at,omitempty" format:"date-time" doc:"When the main balance expires; absent when it does not."`
	Bundles  []Bundle `json:"bundles" doc:"What is left of bundles."`
}

// Bundle is what is left of one bundle.
type Bundle struct {
	Code    string `json:"code" example:"data-day"`
	Left    int64  `json:"left" example:"250"`
	Unit    string `json:"unit" doc:"What left counts: MB, min, SMS or a currency." example:"MB"`
	Expires string `json:"expires_at,omitempty" format:"date-time"`
}

type balanceOut struct{ Body Balance }

// balance asks what a line holds.
func (a *API) balance(ctx context.Context, in *balanceIn) (*balanceOut, error) {
	line, err := a.desk.Balance(ctx, in.Number)
	if err != nil {
		return nil, refusal(err, "")
	}
	out := &balanceOut{Balance{Number: line.Number.String(), Operator: string(line.Operator),
		Main: amount(line.Main.Minor, line.Main.Currency), Expires: stamp(line.Expires), Bundles: []Bundle{}}}
	for _, b := range line.Bundles {
		out.Body.Bundles = append(out.Body.Bundles, Bundle{b.Code, b.Left, b.Unit, stamp(b.Expires)})
	}
	return out, nil
}

// stamp is an instant in RFC 3339, "" for never.
func stamp(i purchase.Instant) string {
	if i == 0 {
		return ""
	}
	return i.String()
}
