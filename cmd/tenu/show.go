package main

import (
	"context"
	"net/http"
	"net/url"

	"tenu/internal/api"
)

// showCmd shows one purchase.
type showCmd struct {
	remote
	Reference string `arg:"" help:"The purchase's reference, such as K7M2-Q4XD-9T."`
	JSON      bool   `name:"json" help:"Print JSON."`
}

// Run asks the API for the purchase and prints it.
func (c *showCmd) Run(ctx context.Context, a *app) error {
	if err := c.from(a); err != nil {
		return err
	}
	var p api.Purchase
	if err := c.call(ctx, http.MethodGet, "/v1/purchases/"+url.PathEscape(c.Reference), nil, nil, &p); err != nil {
		return err
	}
	if c.JSON {
		return a.json(p)
	}
	a.show(&p)
	return nil
}
