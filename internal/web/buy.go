package web

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenu/internal/catalogue"
	"tenu/internal/customer"
	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/sale"
)

type buyPage struct {
	frame
	Own              string
	Favourites       []favourite
	Airtime, Bundles []good
	BundlesFirst     bool
	Payers           []choice
	Form             buyForm
}

type buyForm struct{ For, Other, Product, Amount, PayWith string }

type favourite struct{ Number, Name, Shown string }

type good struct {
	Code, Name, Price, Hint string
	Chosen                  bool
	paused                  bool
}

type choice struct{ Code, Name, Hint string }

// buy shows the form, filled with what is asked for or was wished before.
func (w *Web) buy(v *visit) {
	q := v.r.URL.Query()
	form := buyForm{For: v.number.String(), Product: q.Get("product"), Amount: q.Get("amount")}
	if key := q.Get("again"); key != "" {
		c, err := w.cfg.Customers.Checkout(v.r.Context(), v.number, key)
		var p *sale.Problem
		switch {
		case err == nil || errors.As(err, &p):
			form = v.formOf(&c.Wish)
		case !errors.Is(err, customer.ErrNotFound):
			v.fail(err)
			return
		}
	}
	v.showBuy(http.StatusOK, form, nil, q.Get("kind") == "bundle")
}

// formOf is a wish as the form had it.
func (v *visit) formOf(wish *sale.Wish) buyForm {
	f := buyForm{For: v.number.String(), Product: wish.Product, Amount: wish.Amount, PayWith: wish.PayWith}
	if wish.Number != f.For {
		f.For, f.Other = "other", wish.Number
	}
	return f
}

// showBuy shows the form with what was typed.
func (v *visit) showBuy(status int, form buyForm, wrong *problem, bundles bool) {
	p := &buyPage{frame: v.frame("buy"), Own: v.number.String(), Form: form, BundlesFirst: bundles}
	p.Problem = wrong
	if err := v.goods(p); err != nil {
		v.fail(err)
		return
	}
	list, err := v.cfg.Customers.Favourites(v.r.Context(), v.number)
	if err != nil {
		v.fail(err)
		return
	}
	for _, f := range list {
		p.Favourites = append(p.Favourites, favourite{f.Recipient.String(), f.Name, v.phone(f.Recipient)})
		if p.Form.For == "other" && p.Form.Other == f.Recipient.String() {
			p.Form.For, p.Form.Other = f.Recipient.String(), ""
		}
	}
	v.show(status, "buy", p)
}

// goods fills in what is on sale, and how it can be paid.
func (v *visit) goods(p *buyPage) error {
	wares, err := v.cfg.Sales.Products(v.number.String(), channel)
	if err != nil {
		return err
	}
	closed := map[string]bool{} // payers with which nothing can be bought at the moment
	for i := range wares {
		ware, group := &wares[i], &p.Airtime
		if ware.Bundle {
			group = &p.Bundles
		}
		*group = append(*group, v.good(ware))
		for _, payer := range ware.Payers {
			shut, known := closed[payer]
			if closed[payer] = slices.Contains(ware.Closed, payer) && (shut || !known); !known {
				p.Payers = append(p.Payers, choice{Code: payer, Name: v.paying(payer)})
			}
		}
	}
	for i := range p.Payers {
		if closed[p.Payers[i].Code] {
			p.Payers[i].Hint = v.pausedNow()
		}
	}
	groups := [][]good{p.Airtime, p.Bundles}
	if p.BundlesFirst {
		slices.Reverse(groups)
	}
	all := slices.Concat(groups...)
	if i := slices.IndexFunc(all, func(g good) bool { return !g.paused }); p.Form.Product == "" && len(all) > 0 {
		p.Form.Product = all[max(i, 0)].Code
	}
	for _, group := range groups {
		for i := range group {
			group[i].Chosen = p.Form.Product == group[i].Code
		}
	}
	for _, payer := range p.Payers {
		if p.Form.PayWith == "" && !closed[payer.Code] {
			p.Form.PayWith = payer.Code
		}
	}
	return nil
}

// channel is what purchases are known by that were made on the pages.
const channel = "app"

// pausedNow says that something cannot be bought at the moment. It can be chosen all the
// same: for another number it may be on sale.
func (v *visit) pausedNow() string { return v.cfg.Sales.Message(sale.CodePaused, "", v.lang) }

// good is a product in words.
func (v *visit) good(w *sale.Ware) good {
	currency := v.cfg.Sales.Catalogue().Currency()
	g := good{Code: w.Code, Name: v.speaker.product(w.Code, v.lang)}
	if w.Paused() {
		g.Hint, g.paused = v.pausedNow(), true
	}
	if !w.Bundle && !g.paused {
		g.Hint = v.Say("buy_between", "Min", v.amount(money.Amount{Minor: w.Offer.Min, Currency: currency}),
			"Max", v.amount(money.Amount{Minor: w.Offer.Max, Currency: currency}))
	}
	if !w.Bundle {
		return g
	}
	g.Price = v.amount(money.Amount{Minor: w.Quote.Total, Currency: currency})
	if w.Offer.Validity > 0 && !g.paused {
		g.Hint = v.Say("buy_valid", "Time", v.lasting(w.Offer.Validity))
	}
	return g
}

// lasting is a validity in days or hours.
func (v *visit) lasting(d time.Duration) string {
	if d >= 48*time.Hour && d%(24*time.Hour) == 0 {
		return strconv.Itoa(int(d/(24*time.Hour))) + " " + v.Say("days")
	}
	return strconv.Itoa(int(d/time.Hour)) + " h"
}

// begin makes a checkout of the form.
func (w *Web) begin(v *visit) {
	f := buyForm{v.form("for"), v.form("other"), v.form("product"), v.form("amount"), v.form("pay_with")}
	wish := sale.Wish{Channel: channel, Language: v.lang, Number: f.For, Product: f.Product, Amount: plainAmount(f.Amount), PayWith: f.PayWith}
	if f.For == "other" || f.For == "" {
		wish.Number = f.Other
	}
	if product, known := w.cfg.Sales.Catalogue().Product(f.Product); known && product.Bundle {
		wish.Amount = "" // its price is its own
	}
	c, err := w.cfg.Customers.Begin(v.r.Context(), v.number, wish)
	if refused, ok := v.refusal(err); ok {
		v.showBuy(http.StatusUnprocessableEntity, f, refused, false)
		return
	}
	if err != nil {
		v.fail(err)
		return
	}
	v.see("/checkout/" + c.Key)
}

// plainAmount leaves out what people write beside the digits of an amount: spaces,
// and the currency.
func plainAmount(text string) string {
	text = strings.ToUpper(strings.Map(func(r rune) rune {
		if r == ' ' || r == '\u00a0' || r == '\u202f' {
			return -1
		}
		return r
	}, text))
	for _, unit := range []string{"FCFA", "CFA", "XOF", "F"} {
		if rest, found := strings.CutSuffix(text, unit); found {
			return rest
		}
	}
	return text
}

type checkoutPage struct {
	frame
	Key                     string
	Shown, Waiting, Selling bool
	Seconds                 string
	Recap                   recap
	Title, Text             string
	Ask                     string
	State                   badge
}

type recap struct{ Item, For, Operator, Validity, With, Price, Fee, Total, Then string }

// recap is a checkout with its price, in words.
func (v *visit) recap(wish *sale.Wish, r *purchase.Request) recap {
	amount := func(minor int64) string { return v.amount(money.Amount{Minor: minor, Currency: r.Currency}) }
	x := recap{Item: v.item(r.Bundle, r.Product, money.Amount{Minor: r.Units, Currency: r.Currency}), For: v.phone(r.Recipient),
		With: v.paying(wish.PayWith), Price: amount(r.Total - r.Fee), Fee: amount(r.Fee), Total: amount(r.Total), Then: v.Say("recap_then_balance")}
	if operator, err := v.cfg.Numbers.Operator(r.Recipient); err == nil {
		x.Operator = v.cfg.Numbers.Name(operator)
	}
	if wish.PayWith != catalogue.Balance {
		x.Then = v.Say("recap_then_wallet", "Payer", x.With)
	}
	if product, known := v.cfg.Sales.Catalogue().Product(r.Product); known && r.Bundle {
		if offer, on := product.Offer(v.cfg.Clock.Now()); on && offer.Validity > 0 {
			x.Validity = v.lasting(offer.Validity)
		}
	}
	return x
}

// checkout shows a checkout: what it costs, the time in which it can be cancelled,
// or what became of it.
func (w *Web) checkout(v *visit) {
	key := v.r.PathValue("key")
	c, err := w.cfg.Customers.Checkout(v.r.Context(), v.number, key)
	wrong, refused := v.refusal(err)
	if err != nil && !refused {
		v.fail(err)
		return
	}
	if c.State == customer.Sold {
		to := "/purchases/" + w.cfg.Customers.Reference(c.Purchase).String()
		if v.r.Header.Get("HX-Request") == "" {
			v.see(to)
			return
		}
		v.w.Header().Set("HX-Redirect", to) // the page itself is left, not a part of it
		return
	}
	p := &checkoutPage{frame: v.frame("buy"), Key: key}
	p.Problem = wrong
	status := http.StatusOK
	switch {
	case refused:
		p.Title, p.Text, p.State, status = v.Say("refused_title"), wrong.Text, looks[customer.Declined], http.StatusUnprocessableEntity
		p.Problem = nil
	case c.State == customer.Shown:
		p.Shown, p.Recap = true, v.recap(&c.Wish, &c.Request)
	case c.State == customer.Confirmed, c.State == customer.Selling:
		v.waiting(p, &c)
	default:
		v.ended(p, &c.Checkout)
	}
	v.show(status, "checkout", p)
}

// waiting fills in the time in which a checkout can be cancelled.
func (v *visit) waiting(p *checkoutPage, c *customer.Recap) {
	left := c.GoAt.Sub(v.cfg.Clock.Now())
	p.Refresh = max(int(left.Seconds())+1, 1)
	if c.State == customer.Selling || left <= 0 {
		p.Selling, p.State = true, looks[customer.Paid]
		return
	}
	p.Waiting, p.Seconds = true, strconv.Itoa(int((left + time.Second - 1).Seconds()))
	if request, err := v.cfg.Sales.Quote(c.Wish); err == nil {
		p.Recap = v.recap(&c.Wish, &request)
	}
}

// ended fills in what became of a checkout that is not bought.
func (v *visit) ended(p *checkoutPage, c *customer.Checkout) {
	p.State = looks[customer.Declined]
	switch c.State {
	case customer.Cancelled:
		p.Title, p.Text = v.Say("cancelled_title"), v.Say("cancelled")
	case customer.Refused:
		p.Title, p.Text = v.Say("refused_title"), v.cfg.Sales.Message(c.Problem, c.Earlier, v.lang)
		if c.Problem == sale.CodeAskFirst {
			p.Ask, p.State = string(c.Earlier), looks[customer.Asking]
		}
	default:
		p.Title, p.Text = v.Say("lapsed_title"), v.Say("lapsed")
	}
}

// decide confirms a checkout, cancels it, or begins it again for one who was asked.
func (w *Web) decide(v *visit) {
	key := v.r.PathValue("key")
	ctx := v.r.Context()
	var err error
	switch v.form("do") {
	case "confirm":
		_, err = w.cfg.Customers.Confirm(ctx, v.number, key, w.cfg.CancelFor)
	case "cancel":
		_, err = w.cfg.Customers.Cancel(ctx, v.number, key)
	case "again":
		var c customer.Recap
		if c, err = w.cfg.Customers.Repeat(ctx, v.number, key); err == nil {
			key = c.Key
		}
	default:
		err = customer.ErrNotFound
	}
	if _, refused := v.refusal(err); err != nil && !refused {
		v.fail(err)
		return
	}
	v.see("/checkout/" + key)
}
