package staff

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"tenu/internal/auth"
	"tenu/internal/page"
)

// signInPage is the page to sign in, beside its frame.
type signInPage struct {
	Next, Login    string
	OIDC, Passkeys bool
	Options, State string // of a passkey's ceremony
}

// Route is one thing that every site answers: to anybody, or to whoever is signed in.
type Route struct {
	Pattern string
	Open    bool
	Serve   func(*Visit)
}

// Routes are those of every site.
func Routes() []Route {
	return []Route{
		{"GET /signin", true, func(v *Visit) { v.showSignIn(http.StatusOK, "") }},
		{"POST /signin", true, (*Visit).signIn},
		{"GET /signin/oidc", true, (*Visit).oidc},
		{"POST /signin/oidc", true, (*Visit).askOIDC},
		{"POST /signin/passkey", true, (*Visit).passkey},
		{"POST /signout", false, (*Visit).signOut},
		{"GET /account", false, func(v *Visit) { v.showAccount(http.StatusOK, "") }},
		{"POST /account", false, (*Visit).changeAccount},
	}
}

func (v *Visit) desk() *auth.StaffDesk { return v.site.cfg.Staff }

func (v *Visit) visitor() auth.Visitor {
	return auth.Visitor{Address: v.site.cfg.Source(v.R), Browser: v.R.UserAgent()}
}

// offersOIDC reports whether staff may come in by the OpenID provider here.
func (v *Visit) offersOIDC() bool { return v.desk().OIDC() != nil && v.site.cfg.Back != "" }

func (v *Visit) showSignIn(status int, wrong string) {
	p := &signInPage{Next: page.Within(v.Query("next")), OIDC: v.offersOIDC(), Passkeys: v.desk().HasPasskeys()}
	if v.R.Method == http.MethodPost {
		p.Next, p.Login = page.Within(v.Form("next")), v.Form("login")
	}
	if p.Passkeys {
		c, err := v.desk().AskPasskey()
		if err != nil {
			v.Own.Fail(err)
			return
		}
		p.Options, p.State = string(c.Options), c.State
	}
	v.Own.ShowShared(status, "signin", wrong, p)
}

// entered answers a way in: with a session, or with why there is none.
func (v *Visit) entered(token, next string, err error) {
	switch {
	case errors.Is(err, auth.ErrSignIn):
		v.showSignIn(http.StatusUnauthorized, v.Say("signin_wrong"))
	case errors.Is(err, auth.ErrLocked):
		v.showSignIn(http.StatusTooManyRequests, v.Say("signin_locked"))
	case errors.Is(err, auth.ErrProvider):
		v.showSignIn(http.StatusBadGateway, v.Say("signin_provider"))
	case err != nil:
		v.Own.Fail(err)
	default:
		v.setCookie("", token, 24*time.Hour)
		v.See(page.Within(next))
	}
}

func (v *Visit) signIn() {
	token, _, err := v.desk().SignIn(v.R.Context(), v.Form("login"), v.R.PostForm.Get("password"), v.Form("code"), v.visitor())
	v.entered(token, v.Form("next"), err)
}

// passkey takes the answer of a passkey.
func (v *Visit) passkey() {
	token, _, err := v.desk().SignInByPasskey(v.R.Context(), v.Form("state"), []byte(v.Form("answer")), v.visitor())
	v.entered(token, v.Form("next"), err)
}

func (v *Visit) askOIDC() {
	if !v.offersOIDC() {
		v.entered("", "", auth.ErrProvider)
		return
	}
	to, state, err := v.desk().AskOIDC(v.R.Context(), v.site.cfg.Back)
	if err != nil {
		v.entered("", "", err)
		return
	}
	v.setCookie(oidcCookie, state, 10*time.Minute)
	v.setCookie(nextCookie, url.QueryEscape(page.Within(v.Form("next"))), 10*time.Minute)
	// The policy lets forms go to our own pages only; a refresh is not a form.
	v.W.Header().Set("Refresh", "0; url="+to)
	v.Own.Problem(http.StatusOK, "signin_going")
}

// oidc takes the browser back from the provider. Cookies that are Lax come with it.
func (v *Visit) oidc() {
	kept := v.cookie(oidcCookie)
	v.setCookie(oidcCookie, "", -time.Second)
	token, _, err := v.desk().SignInByOIDC(v.R.Context(), kept, v.Query("state"), v.Query("code"), v.visitor())
	next, wrong := url.QueryUnescape(v.cookie(nextCookie))
	if wrong != nil {
		next = "/"
	}
	if err == nil {
		v.setCookie(nextCookie, "", -time.Second)
	}
	v.entered(token, next, err)
}

func (v *Visit) signOut() {
	if err := v.desk().SignOut(v.R.Context(), v.SessionToken()); err != nil {
		v.Own.Fail(err)
		return
	}
	v.setCookie("", "", -time.Second)
	v.See("/signin")
}

// accountPage is the page of one's own account, beside its frame.
type accountPage struct {
	Must        bool
	URI, Sealed string
	QR          string
	Side        int
	TOTP        bool
	Passkeys    []key
	Options     string
	State       string
	Offered     bool
	Sessions    []SignedIn
}

// key is a passkey, as pages have it.
type key struct{ ID, Name, Since string }

// SignedIn is a session, as pages have it.
type SignedIn struct {
	Since, Seen, Method, Address, Browser string
	Here                                  bool
}

// SignedIn is a session in words.
func (v *Visit) SignedIn(s *auth.StaffSession) SignedIn {
	return SignedIn{v.time(s.At), v.time(s.SeenAt), v.Say("method_" + s.Method), s.Address, s.Browser, s.Hash == v.Session.Hash}
}

func (v *Visit) showAccount(status int, wrong string) {
	p, err := v.account()
	if err != nil {
		v.Own.Fail(err)
		return
	}
	v.Own.ShowShared(status, "account", wrong, p)
}

func (v *Visit) account() (p *accountPage, err error) {
	ctx := v.R.Context()
	p = &accountPage{Must: v.Who.Duty == auth.OwnPassword, TOTP: v.Who.HasTOTP, Offered: v.desk().HasPasskeys()}
	if !p.TOTP {
		if p.URI, p.Sealed, err = v.desk().OfferTOTP(v.Who); err != nil {
			return nil, err
		}
		if p.QR, p.Side, err = picture(p.URI); err != nil {
			return nil, err
		}
	}
	if p.Offered {
		offer, err := v.desk().OfferPasskey(ctx, v.Who)
		if err != nil {
			return nil, err
		}
		p.Options, p.State = string(offer.Options), offer.State
	}
	keys, err := v.desk().Passkeys(ctx, v.Who.ID)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		p.Passkeys = append(p.Passkeys, key{encode(k.ID), k.Name, v.time(k.At)})
	}
	sessions, err := v.desk().Sessions(ctx, v.Who.ID)
	if err != nil {
		return nil, err
	}
	for i := range sessions {
		p.Sessions = append(p.Sessions, v.SignedIn(&sessions[i]))
	}
	return p, nil
}

// changeAccount is what people do to their own account.
func (v *Visit) changeAccount() {
	ctx := v.R.Context()
	do := v.Form("do")
	if (do == "totp" || do == "passkey") && !v.desk().Fresh(v.Session) {
		v.showAccount(http.StatusUnprocessableEntity, v.Say("account_again"))
		return
	}
	var err error
	switch do {
	case "password":
		if v.R.PostForm.Get("password") != v.R.PostForm.Get("again") {
			v.showAccount(http.StatusUnprocessableEntity, v.Say("password_differs"))
			return
		}
		err = v.desk().ChangePassword(ctx, v.Who.ID, v.R.PostForm.Get("old"), v.R.PostForm.Get("password"), v.visitor())
		if err == nil {
			err = v.desk().SignOutElsewhere(ctx, v.Who.ID, v.SessionToken())
		}
	case "totp":
		err = v.desk().EnrolTOTP(ctx, v.Who, v.Form("sealed"), v.Form("code"))
	case "passkey":
		err = v.desk().EnrolPasskey(ctx, v.Who, v.Form("state"), v.Form("name"), []byte(v.Form("answer")))
	case "drop":
		var id []byte
		if id, err = decode(v.Form("id")); err == nil {
			err = v.desk().DropPasskey(ctx, v.Who, id)
		}
	case "elsewhere":
		err = v.desk().SignOutElsewhere(ctx, v.Who.ID, v.SessionToken())
	case "language":
		s := v.Who
		s.Language = v.site.Texts.Choose(v.Form("language"))
		_, err = v.desk().Change(ctx, v.Who.Login, s)
	}
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, auth.ErrWeak):
		v.showAccount(http.StatusUnprocessableEntity, v.Say("password_weak"))
	case errors.Is(err, auth.ErrSignIn), errors.Is(err, auth.ErrLocked), errors.Is(err, auth.ErrFull), errors.As(err, &syntax):
		v.showAccount(http.StatusUnprocessableEntity, v.Say("account_wrong"))
	case err != nil:
		v.Own.Fail(err)
	default:
		v.See("/account?done=saved")
	}
}
