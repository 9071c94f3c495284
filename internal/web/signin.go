package web

import (
	"errors"
	"net/http"

	"tenu/internal/auth"
	"tenu/internal/page"
	"tenu/internal/purchase"
)

type signInPage struct {
	Over bool // the session is
	frame
	Form struct{ Number, Shown string }
}

// front is home for who is signed in, and where to sign in for others.
func (w *Web) front(v *visit) {
	if v.number != 0 {
		w.home(v)
		return
	}
	p := &signInPage{frame: v.frame("")}
	p.Next = page.Within(v.r.URL.Query().Get("next"))
	p.Over = v.sessions.read(v.r, "session") != ""
	v.show(http.StatusOK, "signin", p)
}

// sendCode sends a one-time code. Any number of the country is answered alike.
func (w *Web) sendCode(v *visit) {
	p := &signInPage{frame: v.frame("")}
	p.Next, p.Form.Number = page.Within(v.form("next")), v.form("number")
	number, err := w.cfg.Sales.Number(p.Form.Number)
	if err != nil {
		refused, _ := v.refusal(err)
		p.Problem = refused
		v.show(http.StatusUnprocessableEntity, "signin", p)
		return
	}
	code, err := w.cfg.Codes.New(v.r.Context(), number, w.cfg.Source(v.r))
	if err == nil {
		err = w.cfg.Send(number, v.lang, code)
	}
	switch {
	case errors.Is(err, auth.ErrTooMany):
		p.Problem = &problem{Text: v.Say("code_too_many")}
		v.show(http.StatusTooManyRequests, "signin", p)
		return
	case err != nil:
		v.fail(err)
		return
	}
	p.Form.Number, p.Form.Shown = number.String(), v.phone(number)
	v.show(http.StatusOK, "code", p)
}

// signIn takes the code.
func (w *Web) signIn(v *visit) {
	p := &signInPage{frame: v.frame("")}
	p.Next, p.Form.Number = page.Within(v.form("next")), v.form("number")
	number, err := w.cfg.Sales.Number(p.Form.Number)
	if err == nil {
		p.Form.Shown = v.phone(number)
		err = w.cfg.Codes.Accept(v.r.Context(), number, v.form("code"))
	}
	if _, refused := v.refusal(err); refused || errors.Is(err, auth.ErrCode) {
		p.Problem = &problem{"code", v.Say("code_wrong")}
		v.show(http.StatusUnprocessableEntity, "code", p)
		return
	}
	if err == nil {
		err = v.sessions.begin(v.w, v.r, number)
	}
	if err == nil {
		err = w.remember(v, number)
	}
	if err != nil {
		v.fail(err)
		return
	}
	v.see(p.Next)
}

// remember sets the browser to the language that the customer chose before, or
// keeps the one that is spoken now as the customer's.
func (w *Web) remember(v *visit, number purchase.MSISDN) error {
	chosen, err := w.cfg.Customers.Choices(v.r.Context(), number)
	if err != nil {
		return err
	}
	if chosen.Language != "" {
		http.SetCookie(v.w, v.sessions.cookie("lang", string(chosen.Language), sessionLife))
		return nil
	}
	chosen.Language = purchase.Language(v.lang)
	return w.cfg.Customers.SetChoices(v.r.Context(), number, chosen)
}

func (w *Web) signOut(v *visit) {
	if err := v.sessions.end(v.w, v.r); err != nil {
		v.fail(err)
		return
	}
	v.see("/")
}

type homePage struct {
	frame
	Pauses   []string
	Last     *shown
	More     []shown
	Balance  *balance
	Callback *promised
	Returns  []giving
}

// balance is what a line holds, in words.
type balance struct {
	Main   string
	Others []pocket
	At     string
}

type pocket struct{ Name, Left, Till string }

// home shows where the last purchase stands, first of all.
func (w *Web) home(v *visit) {
	ctx := v.r.Context()
	p := &homePage{frame: v.frame("home"), Pauses: v.pauses()}
	line := make(chan *balance, 1)
	go func() { line <- v.balance(ctx) }()
	views, err := w.cfg.Customers.Last(ctx, v.number, 0, 5)
	if err != nil {
		<-line
		v.fail(err)
		return
	}
	for i := range views {
		x := v.speaker.purchase(&views[i])
		if i == 0 {
			p.Last = &x
			if !x.Final {
				p.Refresh = 5
			}
		} else {
			p.More = append(p.More, x)
		}
	}
	if p.Callback, err = v.promisedNow(); err == nil {
		p.Returns, err = v.givings()
	}
	p.Balance = <-line
	if err != nil {
		v.fail(err)
		return
	}
	v.show(http.StatusOK, "home", p)
}
