package portal

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/page"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
	"tenu/internal/regulator"
)

// visit is one request of a browser.
type visit struct {
	*Portal
	*phrase.Tongue
	w       http.ResponseWriter
	r       *http.Request
	who     auth.Staff // zero for nobody
	session auth.StaffSession
	lang    string
	token   string // that this visit's forms bear
	at      purchase.Instant
}

// visitor serves a route to those whom it is for.
func (p *Portal) visitor(to *route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{Portal: p, w: w, r: r, at: p.cfg.Clock.Now()}
		v.speak("")
		if err := v.begin(); err != nil {
			v.fail(err)
			return
		}
		switch {
		case !to.open && v.who.ID == 0:
			v.askSignIn()
		case r.Method == http.MethodPost && (r.ParseForm() != nil || !v.genuine()):
			v.problem(http.StatusForbidden, "form_old")
		case !to.open && v.who.Duty != auth.NoDuty && r.URL.Path != "/account" && r.URL.Path != "/signout":
			v.see("/account")
		case to.action != "" && !v.who.May(to.action):
			v.problem(http.StatusForbidden, "may_not")
		default:
			to.serve(v)
		}
	})
}

// The cookies: who is signed in, and what a browser that is not is known by.
const (
	sessionCookie = "regulator"
	visitCookie   = "regulator-visit"
)

func (p *Portal) cookieName(what string) string {
	if p.cfg.Secure {
		return "__Host-" + what
	}
	return what
}

func (v *visit) setCookie(what, value string, life time.Duration) {
	//nolint:gosec // Secure is the installation's: the demonstration speaks plain HTTP on its own machine
	http.SetCookie(v.w, &http.Cookie{Name: v.cookieName(what), Value: value, Path: "/", MaxAge: int(life.Seconds()), HttpOnly: true,
		Secure: v.cfg.Secure, SameSite: http.SameSiteLaxMode})
}

func (v *visit) cookie(what string) string {
	k, err := v.r.Cookie(v.cookieName(what))
	if err != nil || len(k.Value) > 4096 {
		return ""
	}
	return k.Value
}

// byItselfHeader marks what a page fetches by itself, and nobody touched.
const byItselfHeader = "Tenu-By-Itself"

// begin finds out who visits.
func (v *visit) begin() error {
	visitor := v.cookie(visitCookie)
	if len(visitor) < 16 || len(visitor) > 64 {
		var b [12]byte
		if _, err := io.ReadFull(v.cfg.Random, b[:]); err != nil {
			return err
		}
		visitor = v.mac("visitor", string(b[:]))
		v.setCookie(visitCookie, visitor, 30*24*time.Hour)
	}
	if token := v.cookie(sessionCookie); token != "" {
		who := v.cfg.Staff.Who
		if v.r.Method == http.MethodGet && v.r.Header.Get(byItselfHeader) != "" {
			who = v.cfg.Staff.Still
		}
		s, session, err := who(v.r.Context(), token)
		if err != nil && !errors.Is(err, auth.ErrSignIn) {
			return err
		}
		v.who, v.session = s, session
	}
	v.token = v.mac("form", visitor, v.session.Hash)
	v.speak(v.who.Language)
	return nil
}

// speak chooses the language: the person's own, or what the browser prefers.
func (v *visit) speak(own string) {
	wanted := page.Accepted(v.r.Header.Get("Accept-Language"))
	if own != "" {
		wanted = []string{own}
	}
	v.lang = v.texts.Choose(wanted...)
	v.Tongue = v.texts.In(v.lang)
}

// genuine reports whether a form that was sent is one that this visitor was shown.
func (v *visit) genuine() bool {
	return subtle.ConstantTimeCompare([]byte(v.r.PostForm.Get("token")), []byte(v.token)) == 1
}

// form is a value that was sent, without what surrounds it.
func (v *visit) form(name string) string {
	return strings.ToValidUTF8(strings.TrimSpace(v.r.PostForm.Get(name)), "")
}

// query is a value of the address.
func (v *visit) query(name string) string {
	value := strings.TrimSpace(v.r.URL.Query().Get(name))
	if len(value) > 100 {
		value = ""
	}
	return strings.ToValidUTF8(value, "")
}

// frame is what every page has.
type frame struct {
	Brand, Language, Token, Here string
	Who                          *auth.Staff
	Live                         bool // the page is fetched again by itself
	At, Zone                     string
	Problem, Done                string
	MayAsk, MayAnswer            bool
}

func (v *visit) frame(here string) frame {
	f := frame{Brand: v.cfg.Brand, Language: v.lang, Token: v.token, Here: here, At: v.time(v.at), Zone: v.cfg.Location.String()}
	if v.who.ID != 0 {
		f.Who, f.MayAsk, f.MayAnswer = &v.who, v.who.May(auth.AskOperator), v.who.May(auth.AnswerRegulator)
	}
	if done := v.query("done"); done != "" && v.Has("done_"+done) {
		f.Done = v.Say("done_" + done)
	}
	return f
}

// time is an instant as people of the country read it.
func (v *visit) time(at purchase.Instant) string {
	if at == 0 {
		return "–"
	}
	return at.Time().In(v.cfg.Location).Format("02/01/2006 15:04:05")
}

// show answers with a page.
func (v *visit) show(status int, name string, data any) {
	var b bytes.Buffer
	if err := v.pages[v.lang].Render(&b, name, data); err != nil {
		v.cfg.Log.Error("page cannot be shown", slog.String("page", name), slog.Any("error", err))
		http.Error(v.w, v.Say("error"), http.StatusInternalServerError)
		return
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Cookie, Accept-Language")
	page.Send(v.w, v.r, status, b.Bytes(), nil)
}

// see sends the browser to another page, by GET.
func (v *visit) see(to string) { http.Redirect(v.w, v.r, to, http.StatusSeeOther) }

// askSignIn lets a stranger in, and then to where they were.
func (v *visit) askSignIn() {
	if v.r.Header.Get(byItselfHeader) != "" {
		v.w.WriteHeader(http.StatusUnauthorized)
		return
	}
	next := "/"
	if v.r.Method == http.MethodGet {
		next = v.r.URL.RequestURI()
	}
	v.see("/signin?next=" + url.QueryEscape(next))
}

type messagePage struct {
	frame
	Text string
}

// problem answers with a sentence.
func (v *visit) problem(status int, key string) {
	v.show(status, "message", &messagePage{v.frame(""), v.Say(key)})
}

func (v *visit) missing() { v.problem(http.StatusNotFound, "not_found") }

// fail answers what went wrong. The log says what, when it went wrong here.
func (v *visit) fail(err error) {
	switch {
	case errors.Is(err, regulator.ErrNotFound), errors.Is(err, purchase.ErrNotFound):
		v.missing()
	case errors.Is(err, regulator.ErrPeriod):
		v.problem(http.StatusUnprocessableEntity, "period_wrong")
	case errors.Is(err, regulator.ErrAnswered):
		v.problem(http.StatusConflict, "answered_before")
	case v.r.Context().Err() != nil: // the browser left
	case errors.Is(err, purchase.ErrUnavailable):
		v.w.Header().Set("Retry-After", "5")
		v.cfg.Log.Warn("page waits for the store", slog.String("path", v.r.Pattern), slog.Any("error", err))
		v.problem(http.StatusServiceUnavailable, "unavailable")
	default:
		v.cfg.Log.Error("page fails", slog.String("path", v.r.Pattern), slog.Any("error", err))
		v.problem(http.StatusInternalServerError, "error")
	}
}
