package portal

import (
	"errors"
	"net/http"
	"time"

	"tenu/internal/auth"
	"tenu/internal/page"
)

type signInPage struct {
	frame
	Next, Login string
}

func (v *visit) visitorOf() auth.Visitor {
	return auth.Visitor{Address: v.cfg.Source(v.r), Browser: v.r.UserAgent()}
}

func (p *Portal) signInForm(v *visit) { v.showSignIn(http.StatusOK, "") }

func (v *visit) showSignIn(status int, wrong string) {
	p := &signInPage{frame: v.frame("signin"), Next: page.Within(v.query("next"))}
	if v.r.Method == http.MethodPost {
		p.Next, p.Login = page.Within(v.form("next")), v.form("login")
	}
	p.Problem = wrong
	v.show(status, "signin", p)
}

func (p *Portal) signIn(v *visit) {
	token, _, err := p.cfg.Staff.SignIn(v.r.Context(), v.form("login"), v.r.PostForm.Get("password"), v.form("code"), v.visitorOf())
	switch {
	case errors.Is(err, auth.ErrSignIn):
		v.showSignIn(http.StatusUnauthorized, v.Say("signin_wrong"))
	case errors.Is(err, auth.ErrLocked):
		v.showSignIn(http.StatusTooManyRequests, v.Say("signin_locked"))
	case err != nil:
		v.fail(err)
	default:
		v.setCookie(sessionCookie, token, 24*time.Hour)
		v.see(page.Within(v.form("next")))
	}
}

func (p *Portal) signOut(v *visit) {
	if err := p.cfg.Staff.SignOut(v.r.Context(), v.cookie(sessionCookie)); err != nil {
		v.fail(err)
		return
	}
	v.setCookie(sessionCookie, "", -time.Second)
	v.see("/signin")
}

type accountPage struct {
	frame
	Must, TOTP  bool
	URI, Sealed string
}

func (p *Portal) account(v *visit) { v.showAccount(http.StatusOK, "") }

func (v *visit) showAccount(status int, wrong string) {
	p := &accountPage{frame: v.frame("account"), Must: v.who.Duty == auth.OwnPassword, TOTP: v.who.HasTOTP}
	p.Problem = wrong
	if !p.TOTP {
		var err error
		if p.URI, p.Sealed, err = v.cfg.Staff.OfferTOTP(v.who); err != nil {
			v.fail(err)
			return
		}
	}
	v.show(status, "account", p)
}

// changeAccount is what people do to their own account.
func (p *Portal) changeAccount(v *visit) {
	ctx := v.r.Context()
	var err error
	switch v.form("do") {
	case "password":
		if v.r.PostForm.Get("password") != v.r.PostForm.Get("again") {
			v.showAccount(http.StatusUnprocessableEntity, v.Say("password_differs"))
			return
		}
		err = p.cfg.Staff.ChangePassword(ctx, v.who.ID, v.r.PostForm.Get("old"), v.r.PostForm.Get("password"), v.visitorOf())
		if err == nil {
			err = p.cfg.Staff.SignOutElsewhere(ctx, v.who.ID, v.cookie(sessionCookie))
		}
	case "totp":
		if !p.cfg.Staff.Fresh(v.session) {
			v.showAccount(http.StatusUnprocessableEntity, v.Say("account_again"))
			return
		}
		err = p.cfg.Staff.EnrolTOTP(ctx, v.who, v.form("sealed"), v.form("code"))
	case "language":
		s := v.who
		s.Language = v.texts.Choose(v.form("language"))
		_, err = p.cfg.Staff.Change(ctx, v.who.Login, s)
	}
	switch {
	case errors.Is(err, auth.ErrWeak):
		v.showAccount(http.StatusUnprocessableEntity, v.Say("password_weak"))
	case errors.Is(err, auth.ErrSignIn), errors.Is(err, auth.ErrLocked):
		v.showAccount(http.StatusUnprocessableEntity, v.Say("account_wrong"))
	case err != nil:
		v.fail(err)
	default:
		v.see("/account?done=saved")
	}
}
