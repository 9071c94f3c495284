package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"tenu/internal/care"
	"tenu/internal/partner/house"
	"tenu/internal/purchase"
	"tenu/internal/sale"
)

// goodwill sells at the house's expense; it is a care.House.
type goodwill struct {
	desk    *sale.Desk
	archive sale.Archive
}

// careClient is the client and the channel of purchases that care makes.
const careClient = "care"

// Give is care.House. What can never be sold is care.ErrRefused; anything else may be
// tried again.
func (g goodwill) Give(ctx context.Context, r care.Request) (purchase.ID, error) {
	about, err := g.archive.Load(ctx, r.Purchase)
	if err != nil {
		return 0, fmt.Errorf("load the purchase that goodwill is about: %w", err)
	}
	if len(about) == 0 {
		return 0, fmt.Errorf("%w: there is no purchase %d", care.ErrRefused, r.Purchase)
	}
	p, err := g.desk.Give(ctx, sale.Gift{Client: careClient, ClientKey: "goodwill-" + strconv.FormatInt(r.ID, 10), Channel: careClient,
		Language: string(about[0].Purchase.Language), Number: r.Recipient, Product: r.Product, Amount: r.Amount, Payer: house.Name})
	var problem *sale.Problem
	switch {
	case err == nil:
		return p.ID, nil
	case errors.As(err, &problem) && problem.Status == http.StatusUnprocessableEntity:
		return 0, fmt.Errorf("%w: %w", care.ErrRefused, err)
	}
	return 0, fmt.Errorf("give goodwill: %w", err)
}
