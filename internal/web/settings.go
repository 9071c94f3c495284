package web

import (
	"errors"
	"net/http"
	"slices"

	"tenu/internal/customer"
	"tenu/internal/purchase"
	"tenu/internal/push"
)

type favouritesPage struct {
	frame
	Favourites []favourite
	Form       struct{ Name, Number string }
}

func (w *Web) favourites(v *visit) {
	v.showFavourites(http.StatusOK, &favouritesPage{frame: v.frame("help")})
}

func (v *visit) showFavourites(status int, p *favouritesPage) {
	list, err := v.cfg.Customers.Favourites(v.r.Context(), v.number)
	if err != nil {
		v.fail(err)
		return
	}
	for _, f := range list {
		p.Favourites = append(p.Favourites, favourite{f.Recipient.String(), f.Name, v.phone(f.Recipient)})
	}
	v.show(status, "favourites", p)
}

// keepFavourite keeps a favourite or drops one.
func (w *Web) keepFavourite(v *visit) {
	p := &favouritesPage{frame: v.frame("help")}
	p.Form.Name, p.Form.Number = v.form("name"), v.form("number")
	number, err := w.cfg.Sales.Number(p.Form.Number)
	if refused, ok := v.refusal(err); ok {
		p.Problem = refused
		v.showFavourites(http.StatusUnprocessableEntity, p)
		return
	}
	switch {
	case err != nil:
	case v.form("do") == "drop":
		err = w.cfg.Customers.DropFavourite(v.r.Context(), v.number, number)
	default:
		if p.Form.Name == "" {
			p.Form.Name = v.phone(number)
		}
		err = w.cfg.Customers.PutFavourite(v.r.Context(), v.number, customer.Favourite{Recipient: number, Name: p.Form.Name})
	}
	switch {
	case errors.Is(err, customer.ErrFull):
		p.Problem = &problem{Text: v.Say("favourites_full")}
		v.showFavourites(http.StatusConflict, p)
	case err != nil:
		v.fail(err)
	default:
		v.see("/favourites")
	}
}

type settingsPage struct {
	frame
	Languages []language
	Facts     []fact
	PushKey   string
	Saved     bool
}

type fact struct {
	Code, Name string
	On         bool
}

// pushed are the facts that a customer may have pushed.
var pushed = []purchase.Fact{purchase.FactCredited, purchase.FactPending, purchase.FactRefunded, purchase.FactDeclined}

func (w *Web) settings(v *visit) {
	chosen, err := w.cfg.Customers.Choices(v.r.Context(), v.number)
	if err != nil {
		v.fail(err)
		return
	}
	p := &settingsPage{frame: v.frame("help"), Saved: v.r.URL.Query().Has("saved")}
	if w.cfg.Push != nil {
		p.PushKey = w.cfg.Push.Key()
	}
	for _, code := range v.texts.Languages() {
		p.Languages = append(p.Languages, v.languageOf(code))
	}
	for _, f := range pushed {
		p.Facts = append(p.Facts, fact{f.String(), v.Say("fact_" + f.String()), !chosen.Muted.Has(f)})
	}
	v.show(http.StatusOK, "settings", p)
}

// choose keeps what the customer chose.
func (w *Web) setChoices(v *visit) {
	lang := v.texts.Choose(v.form("language"))
	chosen := customer.Choices{Language: purchase.Language(lang)}
	for _, f := range pushed {
		if !slices.Contains(v.r.PostForm["push"], f.String()) {
			chosen.Muted = chosen.Muted.With(f)
		}
	}
	if err := w.cfg.Customers.SetChoices(v.r.Context(), v.number, chosen); err != nil {
		v.fail(err)
		return
	}
	http.SetCookie(v.w, v.sessions.cookie("lang", lang, sessionLife))
	v.see("/settings?saved")
}

// push has a browser told, or no more.
func (w *Web) push(v *visit) {
	if w.cfg.Push == nil {
		v.fail(customer.ErrNotFound)
		return
	}
	change := w.cfg.Push.Subscribe
	if v.form("do") == "off" {
		change = w.cfg.Push.Unsubscribe
	}
	switch err := change(v.r.Context(), v.number, v.form("subscription")); {
	case errors.Is(err, push.ErrSubscription):
		http.Error(v.w, v.Say("push_denied"), http.StatusUnprocessableEntity)
	case err != nil:
		v.fail(err)
	default:
		v.w.WriteHeader(http.StatusNoContent)
	}
}
