package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"tenu/internal/api"
	"tenu/internal/money"
)

// show prints a purchase for people.
func (a *app) show(p *api.Purchase) {
	c := a.paint()
	state := c.busy(p.State)
	switch p.State {
	case "credited":
		state = c.good(p.State)
	case "refunded", "declined":
		state = c.bad(p.State)
	}
	a.printf("%s  %s  %s: %s\n", c.bold(p.Reference), state, p.Product, p.Message)
	a.printf("  %s pays %s through %s", p.Payer.Number, price(p.Total), p.Payer.Partner)
	if p.Fee.Minor != 0 {
		a.printf(", fee %s included", price(p.Fee))
	}
	goods := price(p.Units)
	if p.Kind == "bundle" {
		goods = p.Product
	}
	a.printf("; %s receives %s through %s.\n", p.Recipient.Number, goods, p.Recipient.Partner)
	if !p.Final && p.ResolveBy != nil {
		a.printf("  Credited or refunded before %s.\n", p.ResolveBy.Format(time.RFC3339))
	}
	if len(p.Timeline) == 0 {
		return
	}
	a.printf("\n  %s\n", c.faint(p.CreatedAt.Format("2006-01-02 15:04:05 MST")))
	for i := range p.Timeline {
		e := &p.Timeline[i]
		text := plain(e.Text)
		if e.Kind == "notice" {
			text = fmt.Sprintf("SMS to %s: %s", e.To, c.bold(plain(e.Text)))
		}
		a.printf("  %s  %-8s  %s%s\n", c.faint(since(e.At.Sub(p.CreatedAt))), e.Kind, text, c.faint(source(e)))
	}
}

// since is a time after the beginning, in a column of its own.
func since(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%7.1f ms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%10s", d.Round(time.Second))
}

// source is how an entry can be found at the partner.
func source(e *api.Entry) string {
	var parts []string
	if e.Ref != "" {
		parts = append(parts, "reference "+e.Ref)
	}
	if e.Reason != "" {
		parts = append(parts, e.Reason)
	}
	if e.Detail != "" {
		parts = append(parts, e.Detail)
	}
	if len(parts) == 0 {
		return ""
	}
	return plain(" (" + strings.Join(parts, "; ") + ")")
}

// plain keeps what a partner said from steering the terminal.
func plain(text string) string {
	return strings.Map(func(ch rune) rune {
		if unicode.IsControl(ch) || unicode.Is(unicode.Bidi_Control, ch) {
			return '·'
		}
		return ch
	}, text)
}

func price(a api.Amount) string {
	return money.Amount{Minor: a.Minor, Currency: money.Currency(a.Currency)}.String()
}
