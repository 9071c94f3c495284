package console

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/customer"
	"tenu/internal/incident"
	"tenu/internal/page"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

// visit is one request of a browser.
type visit struct {
	*Console
	*phrase.Tongue
	customer.Calendar
	w       http.ResponseWriter
	r       *http.Request
	who     auth.Staff // zero for nobody
	session auth.StaffSession
	lang    string
	token   string // that this visit's forms bear
}

// may reports whether whoever visits may do something.
func (v *visit) may(a auth.Action) bool { return v.who.May(a) }

// visitor serves a route to those whom it is for.
func (c *Console) visitor(to *route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{Console: c, w: w, r: r}
		v.speak("")
		if err := v.begin(); err != nil {
			v.fail(err)
			return
		}
		var large *http.MaxBytesError
		read := v.read(to)
		switch {
		case !to.open && v.who.ID == 0:
			v.askSignIn()
		case errors.As(read, &large):
			v.problem(http.StatusRequestEntityTooLarge, "too_large")
		case read != nil || r.Method == http.MethodPost && !v.genuine():
			v.problem(http.StatusForbidden, "form_old")
		case !to.open && v.who.Duty != auth.NoDuty && r.URL.Path != "/account" && r.URL.Path != "/signout":
			v.see("/account")
		case to.action != "" && !v.may(to.action), !to.open && v.who.Role == auth.Regulator && v.r.URL.Path != "/signout": // who has a portal
			v.problem(http.StatusForbidden, "may_not")
		default:
			to.serve(v)
		}
	})
}

// The cookies: who is signed in, and what a browser that is not is known by.
const (
	sessionCookie = "desk"
	visitCookie   = "desk-visit"
)

func (c *Console) cookieName(what string) string {
	if c.cfg.Secure {
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
		if v.byItself() {
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

// byItselfHeader marks what a page fetches because something changed, and nobody touched it.
const byItselfHeader = "Tenu-By-Itself"

// byItself reports whether a page asks, and no person.
func (v *visit) byItself() bool {
	return v.r.Method == http.MethodGet && (v.r.URL.Path == "/live" || v.r.Header.Get(byItselfHeader) != "")
}

// speak chooses the language: the person's own, or what the browser prefers.
func (v *visit) speak(own string) {
	wanted := page.Accepted(v.r.Header.Get("Accept-Language"))
	if own != "" {
		wanted = []string{own}
	}
	v.lang = v.texts.Choose(wanted...)
	v.Tongue = v.texts.In(v.lang)
	v.Calendar = customer.Calendar{Now: v.cfg.Clock.Now(), Location: v.cfg.Location}
}

// read reads the form of whoever may send one.
func (v *visit) read(to *route) error {
	switch {
	case v.r.Method != http.MethodPost || !to.open && v.who.ID == 0:
		return nil
	case strings.HasPrefix(v.r.Header.Get("Content-Type"), "multipart/form-data"):
		return v.r.ParseMultipartForm(maxBody)
	}
	return v.r.ParseForm()
}

// genuine reports whether a form that was sent is one that this visitor was shown.
func (v *visit) genuine() bool {
	return subtle.ConstantTimeCompare([]byte(v.r.PostForm.Get("token")), []byte(v.token)) == 1
}

// form is a value that was sent, without what surrounds it, cut to what any field holds.
func (v *visit) form(name string) string {
	value := strings.TrimSpace(v.r.PostForm.Get(name))
	if len(value) > 16<<10 {
		value = value[:16<<10]
	}
	return strings.ToValidUTF8(value, "")
}

// query is a value of the address.
func (v *visit) query(name string) string {
	value := strings.TrimSpace(v.r.URL.Query().Get(name))
	if len(value) > 2048 {
		value = value[:2048]
	}
	return strings.ToValidUTF8(value, "")
}

// frame is what every page has.
type frame struct {
	Brand, Language, Token, Here string
	Who                          *auth.Staff
	May                          map[string]bool // by auth.Action
	Search                       string
	Live                         string           // what the page looks at, for its stream
	Self                         string           // where the page is, to be looked at again
	At                           purchase.Instant // when it was made
	Problem                      string
	Done                         string
	Banners                      []banner // the open incidents, newest first
	BannersMore                  int
	Banner                       string // where the banner is fetched again
	Seen                         string // a digest of them
}

func (v *visit) frame(here string) frame {
	f := frame{Brand: v.cfg.Brand, Language: v.lang, Token: v.token, Here: here, May: map[string]bool{}, Self: v.self(), At: v.Now}
	if v.who.ID != 0 {
		f.Who = &v.who
	}
	for _, a := range auth.Actions {
		f.May[string(a)] = v.may(a)
	}
	if done := v.query("done"); done != "" && v.Has("done_"+done) {
		f.Done = v.Say("done_" + done)
	}
	f.banners(v)
	return f
}

// self is where the page is that is shown: after a form, the one that it stood on.
func (v *visit) self() string {
	if v.r.Method == http.MethodGet || v.r.Method == http.MethodHead {
		return v.r.URL.RequestURI()
	}
	from, err := url.Parse(v.r.Referer())
	if err != nil || from.Host != v.r.Host {
		return "/"
	}
	return page.Within(from.RequestURI())
}

// show answers with a page.
func (v *visit) show(status int, name string, data any) { v.write(status, name, "layout", data) }

// write answers with a part of a page.
func (v *visit) write(status int, name, part string, data any) {
	var b bytes.Buffer
	if err := v.pages[v.lang].Part(&b, name, part, data); err != nil {
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

// askSignIn lets a stranger in, and then to where they were. What is fetched by a page
// says so to it, and is no page to come back to.
func (v *visit) askSignIn() {
	to := "/signin?next=" + url.QueryEscape(v.self())
	switch {
	case v.r.Header.Get("HX-Request") != "":
		current, err := url.Parse(v.r.Header.Get("HX-Current-URL"))
		if err == nil {
			to = "/signin?next=" + url.QueryEscape(page.Within(current.RequestURI()))
		}
		v.w.Header().Set("HX-Redirect", to)
		v.w.WriteHeader(http.StatusUnauthorized)
	case v.r.URL.Path == "/live", strings.HasSuffix(v.r.URL.Path, ".json"):
		v.w.WriteHeader(http.StatusUnauthorized)
	default:
		v.see(to)
	}
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
	var refusal *care.Refusal
	switch {
	case errors.As(err, &refusal):
		v.show(http.StatusUnprocessableEntity, "message", &messagePage{v.frame(""), v.why(refusal.Why, refusal.At)})
	case errors.Is(err, care.ErrNoCase), errors.Is(err, care.ErrNotFound), errors.Is(err, auth.ErrStaff), errors.Is(err, purchase.ErrNotFound),
		errors.Is(err, incident.ErrNotFound):
		v.missing()
	case errors.Is(err, care.ErrStale), errors.Is(err, auth.ErrStaffStale), errors.Is(err, incident.ErrStale):
		v.problem(http.StatusConflict, "changed")
	case errors.Is(err, incident.ErrNotAllowed):
		v.problem(http.StatusForbidden, "may_not")
	case errors.Is(err, care.ErrClosed):
		v.problem(http.StatusConflict, "closed")
	case errors.Is(err, care.ErrUnproven):
		v.problem(http.StatusConflict, "unproven")
	case errors.Is(err, care.ErrTwice):
		v.problem(http.StatusConflict, "twice")
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

// why is a word of what is not allowed, in words.
func (v *visit) why(word string, at purchase.Instant) string {
	text := v.Say("why_other", "Word", word)
	if v.Has("why_" + word) {
		text = v.Say("why_" + word)
	}
	if at != 0 {
		text += " " + v.Say("why_until", "Time", v.Time(at))
	}
	return text
}

// moment is an instant to the second, with its day when it is not today's.
func (v *visit) moment(at purchase.Instant) string {
	if at == 0 {
		return ""
	}
	then := at.Time().In(v.cfg.Location)
	if v.Today(at) {
		return then.Format("15:04:05")
	}
	return then.Format("02/01/2006 15:04:05")
}

// names are people's names by who they are.
func (v *visit) names() (map[auth.StaffID]string, error) {
	people, err := v.cfg.Staff.People(v.r.Context())
	if err != nil {
		return nil, err
	}
	all := map[auth.StaffID]string{}
	for _, p := range people {
		all[p.ID] = p.Name
	}
	return all, nil
}

// sorted orders by time, the same instants as they were.
func sorted[T any](all []T, at func(*T) purchase.Instant) {
	slices.SortStableFunc(all, func(a, b T) int { return int(at(&a) - at(&b)) })
}
