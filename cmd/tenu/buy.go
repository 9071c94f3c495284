package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"tenu/internal/api"
	"tenu/internal/money"
)

// buyCmd buys one thing.
type buyCmd struct {
	remote
	Number   string `arg:"" help:"Who receives."`
	Amount   int64  `short:"a" help:"What the customer pays, in the currency's minor unit. Needed for airtime."`
	Product  string `default:"airtime" help:"The product's code."`
	Payer    string `help:"Who pays, when not the recipient."`
	Currency string `default:"XOF" help:"The amount's currency."`
	With     string `enum:"wallet,balance" default:"wallet" help:"What is charged: wallet or balance."`
	Language string `enum:"fr,en" default:"fr" help:"In which the customer is told: fr or en."`
	Again    bool   `help:"The customer was asked and wants it a second time."`
	Once     string `name:"idempotency-key" help:"The key of an earlier try to repeat; a new one when absent."`
	Wait     int    `default:"10" help:"Seconds to wait for the outcome, at most 30."`
	Yes      bool   `help:"Really buy; without it nothing is sent."`
	JSON     bool   `name:"json" help:"Print JSON."`
}

// wish is the body of the request.
type wish struct {
	Product  string `json:"product"`
	Number   string `json:"number"`
	Payer    string `json:"payer,omitempty"`
	Amount   int64  `json:"amount,omitempty"`
	Currency string `json:"currency,omitempty"`
	PayWith  string `json:"pay_with,omitempty"`
	Language string `json:"language,omitempty"`
	Again    bool   `json:"again,omitempty"`
}

// Run buys, or says what it would do.
func (c *buyCmd) Run(ctx context.Context, a *app) error {
	w := wish{c.Product, c.Number, c.Payer, c.Amount, c.Currency, c.With, c.Language, c.Again}
	err := c.from(a)
	switch {
	case !c.Yes:
		return c.rehearse(a, &w) // which needs no key
	case err != nil:
		return err
	}
	key := c.Once
	if key == "" {
		key = uuid.NewString()
	}
	p, err := c.buy(ctx, key, &w, c.Wait)
	var problem *api.Problem
	if err != nil && (!errors.As(err, &problem) || problem.Status >= http.StatusInternalServerError) {
		return fmt.Errorf("%w; repeat safely with --idempotency-key %s", err, key)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return a.json(p)
	}
	a.show(p)
	return nil
}

// buy sends the wish and returns the purchase with its timeline.
func (r *remote) buy(ctx context.Context, key string, w *wish, wait int) (*api.Purchase, error) {
	header := http.Header{"Idempotency-Key": {key}, "Prefer": {fmt.Sprintf("wait=%d", wait)}}
	var p api.Purchase
	if err := r.call(ctx, http.MethodPost, "/v1/purchases", header, w, &p); err != nil {
		return nil, err
	}
	var whole api.Purchase
	if err := r.call(ctx, http.MethodGet, "/v1/purchases/"+p.Reference, nil, nil, &whole); err != nil {
		return &p, nil //nolint:nilerr // it is bought; only the timeline is missing
	}
	return &whole, nil
}

func (c *buyCmd) rehearse(a *app, w *wish) error {
	if c.JSON {
		return a.json(struct {
			Sent bool   `json:"sent"`
			URL  string `json:"url"`
			Body *wish  `json:"body"`
		}{false, c.URL + "/v1/purchases", w})
	}
	payer := w.Payer
	if payer == "" {
		payer = w.Number
	}
	cost := ""
	if w.Amount != 0 {
		cost = " for " + money.Amount{Minor: w.Amount, Currency: money.Currency(w.Currency)}.String()
	}
	a.printf("Would buy %s%s for %s, paid by %s from the %s, at %s.\n", w.Product, cost, w.Number, payer, w.PayWith, c.URL)
	a.printf("Nothing was sent. Add --yes to buy.\n")
	return nil
}
