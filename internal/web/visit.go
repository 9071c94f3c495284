package web

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"tenu/internal/customer"
	"tenu/internal/page"
	"tenu/internal/purchase"
	"tenu/internal/sale"
)

// visit is one request of a browser.
type visit struct {
	*Web
	w      http.ResponseWriter
	r      *http.Request
	number purchase.MSISDN // who is signed in, 0 for nobody
	lang   string
	token  string // that this visit's forms bear
	*speaker
}

// visitor serves anybody.
func (w *Web) visitor(h func(*visit)) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		v := &visit{Web: w, w: rw, r: r}
		if err := v.begin(); err != nil {
			v.fail(err)
			return
		}
		h(v)
	})
}

// customer serves those who are signed in, and asks others to be.
func (w *Web) customer(h func(*visit)) http.Handler {
	return w.visitor(func(v *visit) {
		if v.number == 0 {
			v.askSignIn()
			return
		}
		genuine(h)(v)
	})
}

// genuine serves forms that are ours.
func genuine(h func(*visit)) func(*visit) {
	return func(v *visit) {
		if v.r.Method == http.MethodPost && !v.genuine() {
			v.stale()
			return
		}
		h(v)
	}
}

// begin finds out who visits, and in which language.
func (v *visit) begin() error {
	visitor := v.sessions.read(v.r, "visit")
	if visitor == "" {
		var err error
		if visitor, err = v.sessions.token(); err != nil {
			return err
		}
		http.SetCookie(v.w, v.sessions.cookie("visit", visitor, sessionLife))
	}
	var err error
	if v.number, err = v.sessions.who(v.r); err != nil {
		v.speakFirst()
		return err
	}
	v.token = v.mac("form", visitor, v.number.String())
	return v.chooseLanguage()
}

// speakFirst makes the visit able to say that nothing works.
func (v *visit) speakFirst() {
	v.lang = v.texts.Choose(append([]string{v.sessions.read(v.r, "lang")}, page.Accepted(v.r.Header.Get("Accept-Language"))...)...)
	v.speaker = &speaker{v.texts.In(v.lang), v.vocabulary, customer.Calendar{Now: v.cfg.Clock.Now(), Location: v.cfg.Location}}
}

// chooseLanguage is what the visitor asks for now, or chose before, or the browser prefers.
func (v *visit) chooseLanguage() error {
	wanted := append([]string{v.sessions.read(v.r, "lang")}, page.Accepted(v.r.Header.Get("Accept-Language"))...)
	if asked := v.r.URL.Query().Get("lang"); asked != "" && v.r.Method == http.MethodGet {
		lang := v.texts.Choose(asked)
		http.SetCookie(v.w, v.sessions.cookie("lang", lang, sessionLife))
		wanted = []string{lang}
	}
	v.lang = v.texts.Choose(wanted...)
	v.speaker = &speaker{v.texts.In(v.lang), v.vocabulary, customer.Calendar{Now: v.cfg.Clock.Now(), Location: v.cfg.Location}}
	return nil
}

// genuine reports whether a form that was sent is one that this visitor was shown.
func (v *visit) genuine() bool {
	if v.r.ParseForm() != nil {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(v.r.PostForm.Get("token")), []byte(v.token)) == 1
}

// form is a value that was sent, without what surrounds it, cut to what any field holds.
func (v *visit) form(name string) string {
	value := strings.TrimSpace(v.r.PostForm.Get(name))
	if len(value) > 2048 {
		value = value[:2048]
	}
	return strings.ToValidUTF8(value, "")
}

// frame is what every page has.
type frame struct {
	Brand, Language, Token, Here, Next string
	Number                             purchase.MSISDN
	Others                             []language
	Refresh                            int // seconds, for browsers without JavaScript; 0 for never
	Problem                            *problem
}

type language struct{ Code, Name string }

// languageNames are what languages call themselves.
var languageNames = map[string]string{"fr": "Français", "en": "English"}

// problem is what is wrong, with a field or with the whole.
type problem struct{ Field, Text string }

// Wrong is what is wrong with a field, or nil.
func (p *frame) Wrong(field string) *problem {
	if p.Problem != nil && p.Problem.Field == field {
		return p.Problem
	}
	return nil
}

func (v *visit) frame(here string) frame {
	p := frame{Brand: v.cfg.Brand, Language: v.lang, Token: v.token, Here: here, Number: v.number}
	for _, code := range v.texts.Languages() {
		if code != v.lang {
			p.Others = append(p.Others, v.languageOf(code))
		}
	}
	return p
}

func (v *visit) languageOf(code string) language {
	if name := languageNames[code]; name != "" {
		return language{code, name}
	}
	return language{code, code}
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
	h.Set("Vary", "Cookie, Accept-Language")
	v.write(status, b.Bytes())
}

// see sends the browser to another page, by GET.
func (v *visit) see(to string) { http.Redirect(v.w, v.r, to, http.StatusSeeOther) }

// askSignIn lets a stranger in by the front, and then to where they were going.
func (v *visit) askSignIn() {
	next := ""
	if v.r.Method == http.MethodGet && !strings.HasSuffix(v.r.URL.Path, "/events") {
		next = "?next=" + url.QueryEscape(v.r.URL.RequestURI())
	}
	v.see("/" + next)
}

type messagePage struct {
	frame
	Title, Text, Link, LinkText string
	badge
}

// stale answers a form that was not ours, or was ours too long ago.
func (v *visit) stale() {
	v.show(http.StatusForbidden, "message", &messagePage{v.frame(""), v.Say("error_title"), v.Say("form_old"), "/", v.Say("nav_home"), badge{Icon: "cross", Tone: "bad"}})
}

// missing answers what does not exist, and what is another's, alike.
func (v *visit) missing() {
	v.show(http.StatusNotFound, "message", &messagePage{v.frame(""), v.Say("not_found_title"), v.Say("not_found"), "/", v.Say("nav_home"), badge{Icon: "cross", Tone: "bad"}})
}

func (w *Web) nowhere(v *visit) { v.missing() }

// fail answers what went wrong here. The log says what.
func (v *visit) fail(err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, customer.ErrNotFound):
		v.missing()
		return
	case errors.Is(err, purchase.ErrUnavailable):
		status = http.StatusServiceUnavailable
		v.w.Header().Set("Retry-After", "5")
	}
	if v.r.Context().Err() == nil {
		v.cfg.Log.Error("page fails", slog.String("path", v.r.URL.Path), slog.Any("error", err))
	}
	v.show(status, "message", &messagePage{v.frame(""), v.Say("error_title"), v.Say("error"), "/", v.Say("nav_home"), badge{Icon: "cross", Tone: "bad"}})
}

// refusal is a problem of the sales desk, as the page's fields are called.
func (v *visit) refusal(err error) (*problem, bool) {
	var p *sale.Problem
	if !errors.As(err, &p) {
		return nil, false
	}
	field := p.Field
	if field == "payer" || field == "currency" {
		field = ""
	}
	return &problem{field, p.Message(v.lang)}, true
}
