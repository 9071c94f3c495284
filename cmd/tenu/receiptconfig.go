package main

import (
	"fmt"
	"strings"

	"tenu/internal/receipt"
	"tenu/internal/receipt/show"
)

// receiptsConfig says who signs receipts. Without a key there are none.
type receiptsConfig struct {
	Key   string   `yaml:"key"`
	Page  string   `yaml:"page"`
	Known []string `yaml:"known"`
}

// receipts makes what issues receipts, nil where nothing is signed.
func (c *config) receipts(env func(string) string) (*receipt.Issuer, error) {
	if c.Receipts.Key == "" {
		if c.Receipts.Page != "" || len(c.Receipts.Known) > 0 {
			return nil, c.file.Errorf("receipts.key", "a key is needed to sign with (tenu receipt newkey ISSUER makes one)")
		}
		return nil, nil
	}
	for i, text := range c.Receipts.Known {
		if _, err := receipt.ParseKey(text); err != nil {
			return nil, c.file.Errorf(fmt.Sprintf("receipts.known[%d]", i), "%w", err)
		}
	}
	secret, err := c.secret(env, "receipts.key", c.Receipts.Key)
	if err != nil {
		return nil, err
	}
	issuer, err := receipt.NewIssuer(secret, c.Receipts.Page, c.Receipts.Known...)
	if err != nil {
		return nil, c.file.Errorf("receipts", "%w", err)
	}
	return issuer, nil
}

// receiptSite is where receipts are checked, and by which key of the log their proofs, nil where there are none.
func (c *config) receiptSite(p *parts, log string) (*show.Site, error) {
	if p.receipts == nil {
		return nil, nil
	}
	var witnesses []string
	for _, w := range c.Evidence.Witnesses {
		witnesses = append(witnesses, strings.TrimSpace(w.Key))
	}
	return show.NewSite(show.SiteConfig{Issuer: p.receipts, Log: log, Witnesses: witnesses, Brand: orElse(c.App.Brand, "tenu"), Zone: p.zone.String(), Prefix: p.directory.CallingCode()})
}
