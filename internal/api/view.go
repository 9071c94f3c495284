package api

import (
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Amount is money in a document: minor units, so that no rounding can happen.
type Amount struct {
	Minor    int64  `json:"amount" doc:"A whole number of the currency's minor unit; XOF has none, so 1050 is 1 050 F CFA." example:"1050"`
	Currency string `json:"currency" doc:"ISO 4217 code." example:"XOF"`
}

func amount(minor int64, c money.Currency) Amount { return Amount{minor, string(c)} }

// Purchase is a purchase as its client sees it.
type Purchase struct {
	Reference string `json:"reference" doc:"What the customer reads, says and types to name the purchase." example:"K7M2-Q4XD-9T"`
	State     string `json:"state" enum:"charging,crediting,credited,refunding,refunded,declined" doc:"Where the purchase stands."`
	Final     bool   `json:"final" doc:"Whether only new evidence from a partner can change the state."`
	Message   string `json:"message" doc:"The state in a plain sentence, in the purchase's language."`
	Version   int64  `json:"version" doc:"Counts the purchase's durable changes, from 1."`

	Product   string `json:"product" example:"airtime"`
	Kind      string `json:"kind" enum:"airtime,bundle"`
	Offer     int32  `json:"offer" doc:"The version of the offer that was quoted."`
	Payer     Party  `json:"payer" doc:"Who pays, and the partner that charges and refunds."`
	Recipient Party  `json:"recipient" doc:"Who receives, and the partner that credits."`
	Total     Amount `json:"total" doc:"Charged to the payer, the fee included."`
	Fee       Amount `json:"fee"`
	Units     Amount `json:"units" doc:"The value credited; a bundle's price."`
	Language  string `json:"language" example:"fr"`
	Channel   string `json:"channel" example:"app"`

	CreatedAt time.Time  `json:"created_at"`
	ChargedAt *time.Time `json:"charged_at,omitempty" doc:"When the charge was evidenced."`
	ClosedAt  *time.Time `json:"closed_at,omitempty" doc:"When the first final state was reached."`
	DeliverBy *time.Time `json:"deliver_by,omitempty" doc:"The customer is told if it is still not credited then."`
	RefundBy  *time.Time `json:"refund_by,omitempty" doc:"The deadline of a refund under way."`
	ResolveBy *time.Time `json:"resolve_by,omitempty" doc:"Credited, refunded, or in exposure with a case by then."`

	Timeline []Entry `json:"timeline,omitempty" doc:"Everything recorded, oldest first; only where one purchase is asked for."`
}

// Party is one side of a purchase.
type Party struct {
	Number  string `json:"number" doc:"In E.164." example:"+22670112233"`
	Partner string `json:"partner" example:"wallet"`
}

// view is the purchase without its timeline.
func (a *API) view(p *purchase.Purchase) Purchase {
	kind := "airtime"
	if p.Bundle {
		kind = "bundle"
	}
	return Purchase{
		Reference: a.keys.Reference(p.ID).String(),
		State:     p.State.String(),
		Final:     p.State.Final(),
		Message:   a.sentences.of(p),
		Version:   p.Version,
		Product:   p.Product,
		Kind:      kind,
		Offer:     p.Offer,
		Payer:     Party{p.PayerNumber.String(), p.Payer},
		Recipient: Party{p.Recipient.String(), p.Provider},
		Total:     amount(p.Total, p.Currency),
		Fee:       amount(p.Fee, p.Currency),
		Units:     amount(p.Units, p.Currency),
		Language:  string(p.Language),
		Channel:   p.Channel,
		CreatedAt: p.CreatedAt.Time(),
		ChargedAt: instant(p.ChargedAt),
		ClosedAt:  instant(p.ClosedAt),
		DeliverBy: instant(p.DeliverBy),
		RefundBy:  instant(p.RefundBy),
		ResolveBy: instant(p.ResolveBy),
	}
}

func instant(i purchase.Instant) *time.Time {
	if i == 0 {
		return nil
	}
	t := i.Time()
	return &t
}
