package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"tenu/internal/auth"
	"tenu/internal/page"
)

type signInPage struct {
	frame
	Next, Login    string
	OIDC, Passkeys bool
	Options, State string // of a passkey's ceremony
}

func (v *visit) visitorOf() auth.Visitor {
	return auth.Visitor{Address: v.cfg.Source(v.r), Browser: v.r.UserAgent()}
}

func (c *Console) signInForm(v *visit) { v.showSignIn(http.StatusOK, "") }

func (v *visit) showSignIn(status int, wrong string) {
	p := &signInPage{frame: v.frame("signin"), Next: page.Within(v.query("next")), OIDC: v.cfg.Staff.OIDC() != nil, Passkeys: v.cfg.Staff.HasPasskeys()}
	if v.r.Method == http.MethodPost {
		p.Next, p.Login = page.Within(v.form("next")), v.form("login")
	}
	p.Problem = wrong
	if p.Passkeys {
		c, err := v.cfg.Staff.AskPasskey()
		if err != nil {
			v.fail(err)
			return
		}
		p.Options, p.State = string(c.Options), c.State
	}
	v.show(status, "signin", p)
}

// entered begins the visit of somebody who signed in.
func (v *visit) entered(token, next string) {
	v.setCookie(sessionCookie, token, 24*time.Hour)
	v.see(page.Within(next))
}

// refused answers a sign-in that did not go through.
func (v *visit) refused(err error) {
	switch {
	case errors.Is(err, auth.ErrSignIn):
		v.showSignIn(http.StatusUnauthorized, v.Say("signin_wrong"))
	case errors.Is(err, auth.ErrLocked):
		v.showSignIn(http.StatusTooManyRequests, v.Say("signin_locked"))
	case errors.Is(err, auth.ErrProvider):
		v.showSignIn(http.StatusBadGateway, v.Say("signin_provider"))
	default:
		v.fail(err)
	}
}

func (c *Console) signIn(v *visit) {
	token, _, err := c.cfg.Staff.SignIn(v.r.Context(), v.form("login"), v.r.PostForm.Get("password"), v.form("code"), v.visitorOf())
	if err != nil {
		v.refused(err)
		return
	}
	v.entered(token, v.form("next"))
}

// passkey takes the answer of a passkey.
func (c *Console) passkey(v *visit) {
	token, _, err := c.cfg.Staff.SignInByPasskey(v.r.Context(), v.form("state"), []byte(v.form("answer")), v.visitorOf())
	if err != nil {
		v.refused(err)
		return
	}
	v.entered(token, v.form("next"))
}

// The cookies that keep what was asked of the OpenID provider, and where the person was
// going, until the browser is back.
const (
	oidcCookie = "desk-oidc"
	nextCookie = "desk-next"
)

func (c *Console) askOIDC(v *visit) {
	to, state, err := c.cfg.Staff.AskOIDC(v.r.Context())
	if err != nil {
		v.refused(err)
		return
	}
	v.setCookie(oidcCookie, state, 10*time.Minute)
	v.setCookie(nextCookie, url.QueryEscape(page.Within(v.form("next"))), 10*time.Minute)
	// The policy lets forms go to our own pages only; a refresh is not a form.
	v.w.Header().Set("Refresh", "0; url="+to)
	v.problem(http.StatusOK, "signin_going")
}

// oidc takes the browser back from the provider. Cookies that are Lax come with it.
func (c *Console) oidc(v *visit) {
	kept := v.cookie(oidcCookie)
	v.setCookie(oidcCookie, "", -time.Second)
	token, _, err := c.cfg.Staff.SignInByOIDC(v.r.Context(), kept, v.query("state"), v.query("code"), v.visitorOf())
	if err != nil {
		v.refused(err)
		return
	}
	next, err := url.QueryUnescape(v.cookie(nextCookie))
	if err != nil {
		next = "/"
	}
	v.setCookie(nextCookie, "", -time.Second)
	v.entered(token, next)
}

func (c *Console) signOut(v *visit) {
	if err := c.cfg.Staff.SignOut(v.r.Context(), v.cookie(sessionCookie)); err != nil {
		v.fail(err)
		return
	}
	v.setCookie(sessionCookie, "", -time.Second)
	v.see("/signin")
}

// front is where the day begins: the queue, or what else the role sees.
func (c *Console) front(v *visit) { v.see("/queue") }

type accountPage struct {
	frame
	Must        bool
	URI, Sealed string
	QR          string
	Side        int
	TOTP        bool
	Passkeys    []key
	Options     string
	State       string
	Offered     bool
	Sessions    []signedIn
}

type key struct{ ID, Name, Since string }

type signedIn struct {
	Since, Seen, Method, Address, Browser string
	Here                                  bool
}

func (c *Console) account(v *visit) { v.showAccount(http.StatusOK, "") }

func (v *visit) showAccount(status int, wrong string) {
	ctx := v.r.Context()
	p := &accountPage{frame: v.frame("account"), Must: v.who.Duty == auth.OwnPassword, TOTP: v.who.HasTOTP, Offered: v.cfg.Staff.HasPasskeys()}
	p.Problem = wrong
	var err error
	if !p.TOTP {
		if p.URI, p.Sealed, err = v.cfg.Staff.OfferTOTP(v.who); err != nil {
			v.fail(err)
			return
		}
		if p.QR, p.Side, err = picture(p.URI); err != nil {
			v.fail(err)
			return
		}
	}
	if p.Offered {
		offer, err := v.cfg.Staff.OfferPasskey(ctx, v.who)
		if err != nil {
			v.fail(err)
			return
		}
		p.Options, p.State = string(offer.Options), offer.State
	}
	keys, err := v.cfg.Staff.Passkeys(ctx, v.who.ID)
	if err != nil {
		v.fail(err)
		return
	}
	for _, k := range keys {
		p.Passkeys = append(p.Passkeys, key{encode(k.ID), k.Name, v.Time(k.At)})
	}
	sessions, err := v.cfg.Staff.Sessions(ctx, v.who.ID)
	if err != nil {
		v.fail(err)
		return
	}
	for _, s := range sessions {
		p.Sessions = append(p.Sessions, signedIn{v.Time(s.At), v.Time(s.SeenAt), v.Say("method_" + s.Method), s.Address, s.Browser, s.Hash == v.session.Hash})
	}
	v.show(status, "account", p)
}

// changeAccount is what people do to their own account.
func (c *Console) changeAccount(v *visit) {
	ctx := v.r.Context()
	do := v.form("do")
	if (do == "totp" || do == "passkey") && !c.cfg.Staff.Fresh(v.session) {
		v.showAccount(http.StatusUnprocessableEntity, v.Say("account_again"))
		return
	}
	var err error
	switch do {
	case "password":
		if v.r.PostForm.Get("password") != v.r.PostForm.Get("again") {
			v.showAccount(http.StatusUnprocessableEntity, v.Say("password_differs"))
			return
		}
		err = c.cfg.Staff.ChangePassword(ctx, v.who.ID, v.r.PostForm.Get("old"), v.r.PostForm.Get("password"), v.visitorOf())
		if err == nil {
			err = c.cfg.Staff.SignOutElsewhere(ctx, v.who.ID, v.cookie(sessionCookie))
		}
	case "totp":
		err = c.cfg.Staff.EnrolTOTP(ctx, v.who, v.form("sealed"), v.form("code"))
	case "passkey":
		err = c.cfg.Staff.EnrolPasskey(ctx, v.who, v.form("state"), v.form("name"), []byte(v.form("answer")))
	case "drop":
		var id []byte
		if id, err = decode(v.form("id")); err == nil {
			err = c.cfg.Staff.DropPasskey(ctx, v.who, id)
		}
	case "elsewhere":
		err = c.cfg.Staff.SignOutElsewhere(ctx, v.who.ID, v.cookie(sessionCookie))
	case "language":
		s := v.who
		s.Language = v.texts.Choose(v.form("language"))
		_, err = c.cfg.Staff.Change(ctx, v.who.Login, s)
	}
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, auth.ErrWeak):
		v.showAccount(http.StatusUnprocessableEntity, v.Say("password_weak"))
	case errors.Is(err, auth.ErrSignIn), errors.Is(err, auth.ErrLocked), errors.Is(err, auth.ErrFull), errors.As(err, &syntax):
		v.showAccount(http.StatusUnprocessableEntity, v.Say("account_wrong"))
	case err != nil:
		v.fail(err)
	default:
		v.see("/account?done=saved")
	}
}
