package staff

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
)

// Own is a visit as its site has it: what is shared shows its pages by it.
type Own interface {
	// ShowShared answers with a page that every site has, and with what was wrong, "" for nothing: it is Here in the frame,
	// and what is shown Shared beside it.
	ShowShared(status int, name, wrong string, shared any)
	// Problem answers with a sentence.
	Problem(status int, key string)
	// Fail answers what went wrong.
	Fail(err error)
}

// Visit is one request of a browser.
type Visit struct {
	*phrase.Tongue
	W       http.ResponseWriter
	R       *http.Request
	Who     auth.Staff // zero for nobody
	Session auth.StaffSession
	Lang    string
	Token   string // that this visit's forms bear
	At      purchase.Instant
	Own     Own // set by the site before anything is shown

	site *Site
}

// Visit begins a visit. It can be answered whatever the error is, which says why nobody knows who visits.
func (s *Site) Visit(w http.ResponseWriter, r *http.Request) (*Visit, error) {
	v := &Visit{W: w, R: r, At: s.cfg.Clock.Now(), site: s}
	v.Speak("")
	return v, v.begin()
}

// The cookies beside the session's: what a browser is known by that is not signed in, what was asked of the OpenID
// provider, and where the person was going, until the browser is back.
const (
	visitCookie = "visit"
	oidcCookie  = "oidc"
	nextCookie  = "next"
)

// cookieName is a cookie's name, "" being the session's. The prefix keeps others of the same site from setting it.
func (s *Site) cookieName(what string) string {
	name := s.cfg.Name
	if what != "" {
		name += "-" + what
	}
	if s.cfg.Secure {
		return "__Host-" + name
	}
	return name
}

func (v *Visit) setCookie(what, value string, life time.Duration) {
	//nolint:gosec // Secure is the installation's: the demonstration speaks plain HTTP on its own machine
	http.SetCookie(v.W, &http.Cookie{Name: v.site.cookieName(what), Value: value, Path: "/", MaxAge: int(life.Seconds()), HttpOnly: true,
		Secure: v.site.cfg.Secure, SameSite: http.SameSiteLaxMode})
}

func (v *Visit) cookie(what string) string {
	k, err := v.R.Cookie(v.site.cookieName(what))
	if err != nil || len(k.Value) > 4096 {
		return ""
	}
	return k.Value
}

// SessionToken is what the browser has to show of its session, "" for none.
func (v *Visit) SessionToken() string { return v.cookie("") }

// begin finds out who visits.
func (v *Visit) begin() error {
	visitor := v.cookie(visitCookie)
	if len(visitor) < 16 || len(visitor) > 64 {
		var b [12]byte
		if _, err := io.ReadFull(v.site.cfg.Random, b[:]); err != nil {
			return err
		}
		visitor = v.site.mac("visitor", string(b[:]))
		v.setCookie(visitCookie, visitor, 30*24*time.Hour)
	}
	if token := v.SessionToken(); token != "" {
		who := v.site.cfg.Staff.Who
		if v.ByItself() {
			who = v.site.cfg.Staff.Still
		}
		s, session, err := who(v.R.Context(), token)
		if err != nil && !errors.Is(err, auth.ErrSignIn) {
			return err
		}
		v.Who, v.Session = s, session
	}
	v.Token = v.site.mac("form", visitor, v.Session.Hash)
	v.Speak(v.Who.Language)
	return nil
}

// ByItselfHeader marks what a page fetches by itself, and nobody touched.
const ByItselfHeader = "Tenu-By-Itself"

// ByItself reports whether a page asks, and no person: such a request keeps no session from ending.
func (v *Visit) ByItself() bool {
	return v.R.Method == http.MethodGet && (v.R.URL.Path == "/live" || v.R.Header.Get(ByItselfHeader) != "")
}

// Speak chooses the language: the person's own, or what the browser prefers.
func (v *Visit) Speak(own string) {
	wanted := page.Accepted(v.R.Header.Get("Accept-Language"))
	if own != "" {
		wanted = []string{own}
	}
	v.Lang = v.site.Texts.Choose(wanted...)
	v.Tongue = v.site.Texts.In(v.Lang)
}

// Admit reads the form of whoever may send one, and reports whether a route is for this visitor: open ones are for
// anybody, others for who is signed in and may do an action ("": any). Whoever is not let in is answered.
func (v *Visit) Admit(open bool, action auth.Action) bool {
	var large *http.MaxBytesError
	read := v.read(open)
	switch {
	case !open && v.Who.ID == 0:
		v.askSignIn()
	case errors.As(read, &large):
		v.Own.Problem(http.StatusRequestEntityTooLarge, "too_large")
	case read != nil || v.R.Method == http.MethodPost && !v.genuine():
		v.Own.Problem(http.StatusForbidden, "form_old")
	case !open && v.Who.Duty != auth.NoDuty && v.R.URL.Path != "/account" && v.R.URL.Path != "/signout":
		v.See("/account")
	case action != "" && !v.Who.May(action):
		v.Own.Problem(http.StatusForbidden, "may_not")
	default:
		return true
	}
	return false
}

func (v *Visit) read(open bool) error {
	switch {
	case v.R.Method != http.MethodPost || !open && v.Who.ID == 0:
		return nil
	case strings.HasPrefix(v.R.Header.Get("Content-Type"), "multipart/form-data"):
		return v.R.ParseMultipartForm(v.site.cfg.MaxBody)
	}
	return v.R.ParseForm()
}

// genuine reports whether a form that was sent is one that this visitor was shown.
func (v *Visit) genuine() bool {
	return subtle.ConstantTimeCompare([]byte(v.R.PostForm.Get("token")), []byte(v.Token)) == 1
}

// Form is a value that was sent, without what surrounds it, cut to what any field holds.
func (v *Visit) Form(name string) string { return tidy(v.R.PostForm.Get(name), 16<<10) }

// Query is a value of the address.
func (v *Visit) Query(name string) string { return tidy(v.R.URL.Query().Get(name), 2048) }

func tidy(value string, most int) string {
	value = strings.TrimSpace(value)
	if len(value) > most {
		value = value[:most]
	}
	return strings.ToValidUTF8(value, "")
}

// Frame is what every page of every site has.
type Frame struct {
	Brand, Language, Token, Here string
	Who                          *auth.Staff
	Problem, Done                string
}

// Frame begins the frame of a page.
func (v *Visit) Frame(here string) Frame {
	f := Frame{Brand: v.site.cfg.Brand, Language: v.Lang, Token: v.Token, Here: here}
	if v.Who.ID != 0 {
		f.Who = &v.Who
	}
	if done := v.Query("done"); done != "" && v.Has("done_"+done) {
		f.Done = v.Say("done_" + done)
	}
	return f
}

// Self is where the page is that is shown: after a form, the one that it stood on.
func (v *Visit) Self() string {
	if v.R.Method == http.MethodGet || v.R.Method == http.MethodHead {
		return v.R.URL.RequestURI()
	}
	from, err := url.Parse(v.R.Referer())
	if err != nil || from.Host != v.R.Host {
		return "/"
	}
	return page.Within(from.RequestURI())
}

// Show answers with a part of a page, "layout" being the whole.
func (v *Visit) Show(status int, name, part string, data any) {
	var b bytes.Buffer
	if err := v.site.pages[v.Lang].Part(&b, name, part, data); err != nil {
		v.site.cfg.Log.Error("page cannot be shown", slog.String("page", name), slog.Any("error", err))
		http.Error(v.W, v.Say("error"), http.StatusInternalServerError)
		return
	}
	h := v.W.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Cookie, Accept-Language")
	page.Send(v.W, v.R, status, b.Bytes(), nil)
}

// See sends the browser to another page, by GET.
func (v *Visit) See(to string) { http.Redirect(v.W, v.R, to, http.StatusSeeOther) }

// askSignIn lets a stranger in, and then to where they were. What is fetched by a page
// says so to it, and is no page to come back to.
func (v *Visit) askSignIn() {
	to := "/signin?next=" + url.QueryEscape(v.Self())
	switch {
	case v.R.Header.Get("HX-Request") != "":
		current, err := url.Parse(v.R.Header.Get("HX-Current-URL"))
		if err == nil {
			to = "/signin?next=" + url.QueryEscape(page.Within(current.RequestURI()))
		}
		v.W.Header().Set("HX-Redirect", to)
		v.W.WriteHeader(http.StatusUnauthorized)
	case v.ByItself(), strings.HasSuffix(v.R.URL.Path, ".json"):
		v.W.WriteHeader(http.StatusUnauthorized)
	default:
		v.See(to)
	}
}

// Failed answers what went wrong that no site has a page of its own for. The log says what, when it went wrong here.
func (v *Visit) Failed(err error) {
	switch {
	case v.R.Context().Err() != nil: // the browser left
	case errors.Is(err, purchase.ErrUnavailable):
		v.W.Header().Set("Retry-After", "5")
		v.site.cfg.Log.Warn("page waits for the store", slog.String("path", v.R.Pattern), slog.Any("error", err))
		v.Own.Problem(http.StatusServiceUnavailable, "unavailable")
	default:
		v.site.cfg.Log.Error("page fails", slog.String("path", v.R.Pattern), slog.Any("error", err))
		v.Own.Problem(http.StatusInternalServerError, "error")
	}
}
