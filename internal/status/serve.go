package status

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// bodyMost bounds a form.
const bodyMost = 4096

// ServerConfig is what a server needs. Beside the limits everything is needed.
type ServerConfig struct {
	Site       *Site
	Writer     *Writer
	Desk       *Desk
	Purchases  Purchases
	References References
	// Number reads a number as people write it, Format writes one.
	Number func(text string) (purchase.MSISDN, error)
	Format func(purchase.MSISDN) string
	// Source is the address that a request comes from, for the limits.
	Source func(*http.Request) string
	Clock  purchase.Clock
	Failed func(error) // is told what went wrong
	Limits Limits
}

// Limits bound what is asked by reference. Many customers share one address of their
// operator's.
type Limits struct {
	Source int // a minute from one source; 60 if it is 0
	All    int // a second from everybody; 50 if it is 0
}

// Server serves the site's files from memory, as Writer made them last, tells by reference
// whether a purchase is affected, and takes subscriptions. Its paths begin at "/": strip
// what stands before. It sets its own guards, and allows the pages' own style.
type Server struct {
	cfg     ServerConfig
	mux     *http.ServeMux
	handler http.Handler
	limit   *limiter
}

// NewServer returns a server.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Site == nil || cfg.Writer == nil || cfg.Desk == nil || cfg.Purchases == nil || cfg.References == nil || cfg.Number == nil ||
		cfg.Format == nil || cfg.Source == nil || cfg.Clock == nil || cfg.Failed == nil {
		return nil, errors.New("status: something that serving needs is missing")
	}
	if cfg.Limits.Source == 0 {
		cfg.Limits.Source = 60
	}
	if cfg.Limits.All == 0 {
		cfg.Limits.All = 50
	}
	s := &Server{cfg: cfg, mux: http.NewServeMux(), limit: newLimiter(cfg.Limits)}
	s.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { s.file(w, r, "index.html") })
	s.mux.HandleFunc("GET /{name}", func(w http.ResponseWriter, r *http.Request) { s.file(w, r, r.PathValue("name")) })
	s.mux.HandleFunc("GET /concerned", s.concerned)
	s.mux.HandleFunc("GET /subscribe", s.subscribe)
	s.mux.HandleFunc("POST /subscribe", s.sendCode)
	s.mux.HandleFunc("POST /confirm", s.confirm)
	s.handler = http.NewCrossOriginProtection().Handler(s.mux)
	return s, nil
}

// ServeHTTP answers.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", s.cfg.Site.policy()+"; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	r.Body = http.MaxBytesReader(w, r.Body, bodyMost)
	s.handler.ServeHTTP(w, r)
}

// file serves a file of the site. What is served may be shown for a day where nothing better can be had.
func (s *Server) file(w http.ResponseWriter, r *http.Request, name string) {
	f, known := s.cfg.Writer.held().files[name]
	if !known {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.Kind)
	h.Set("Cache-Control", "public, max-age=10, stale-if-error=86400")
	h.Set("Vary", "Accept-Encoding")
	tag, body := f.tag, f.Body
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		tag, body = f.tag+"-gzip", f.zipped
	}
	h.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// tongue is that of a request.
func (s *Server) tongue(r *http.Request) *tongue {
	all := s.cfg.Site.tongues
	at := max(slices.IndexFunc(all, func(t *tongue) bool { return t.Code == r.FormValue("lang") }), 0)
	t := *all[at]
	t.served = true
	return &t
}

// show answers with a page that is this visitor's only.
func (s *Server) show(w http.ResponseWriter, t *tongue, code int, template string, data any) {
	f, err := t.draw(template, template, data)
	if err != nil {
		s.cfg.Failed(err)
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.Kind)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(f.Body) // a browser that left needs no answer
}

// own is the frame of a page that is no file: the other language is that of the first page.
func (t *tongue) own() frame {
	return t.frame("index")
}

type answerView struct {
	badge
	Say, State string
}

type linkView struct{ Page, Title string }

type concernedPage struct {
	frame
	Answer *answerView
	Links  []linkView
	Ask    askView
}

// concerned tells whether a purchase is affected.
func (s *Server) concerned(w http.ResponseWriter, r *http.Request) {
	t := s.tongue(r)
	asked := short(r.FormValue("ref"), 20)
	p := &concernedPage{frame: t.own(), Ask: t.ask()}
	p.Ask.Asked = asked
	if asked == "" {
		s.show(w, t, http.StatusOK, "concerned", p)
		return
	}
	if !s.limit.allow(s.cfg.Source(r), s.cfg.Clock.Now()) {
		w.Header().Set("Retry-After", "60")
		p.Answer = &answerView{badge: t.badge(Paused, "paused"), Say: t.Say("concerned_often")}
		s.show(w, t, http.StatusTooManyRequests, "concerned", p)
		return
	}
	c, err := concern(r.Context(), s.cfg.References, s.cfg.Purchases, asked)
	switch {
	case errors.Is(err, purchase.ErrReference):
		p.Answer = &answerView{badge: t.badge(Degraded, "unknown"), Say: t.Say("concerned_unknown")}
		s.show(w, t, http.StatusNotFound, "concerned", p)
		return
	case err != nil:
		s.cfg.Failed(err)
		w.Header().Set("Retry-After", "60")
		p.Answer = &answerView{badge: t.badge(Paused, "paused"), Say: t.Say("concerned_later")}
		s.show(w, t, http.StatusServiceUnavailable, "concerned", p)
		return
	}
	p.Answer, p.Links = t.answer(&c, s.cfg.Writer.held())
	s.show(w, t, http.StatusOK, "concerned", p)
}

// answer says what is known of a purchase.
func (t *tongue) answer(c *Concern, held *held) (*answerView, []linkView) {
	a := &answerView{badge: t.badge(Operational, "operational"), Say: t.Say("concerned_no", "Ref", c.Reference.String())}
	var links []linkView
	if len(c.Incidents) > 0 {
		var names []string
		for _, id := range c.Incidents[:min(len(c.Incidents), 5)] {
			names = append(names, fmt.Sprintf("I-%d", id))
			if page := t.name(base(id)); held.has(page) {
				links = append(links, linkView{page, t.Say("incident", "Ref", names[len(names)-1])})
			}
		}
		a.Say = t.Say("concerned_yes", "Ref", c.Reference.String(), "Incident", strings.Join(names, ", "))
		if c.State != purchase.Credited && c.State != purchase.Refunded && c.State != purchase.Declined {
			a.badge = t.badge(Degraded, "degraded")
		}
	}
	switch c.State {
	case purchase.Charging:
		a.State = t.Say("state_charging")
	case purchase.Crediting:
		a.State = t.Say("state_crediting", "Time", t.moment(c.At))
	case purchase.Refunding:
		a.State = t.Say("state_refunding", "Time", t.moment(c.At))
	case purchase.Credited:
		a.State = t.Say("state_credited", "Time", t.moment(c.At))
	case purchase.Refunded:
		a.State = t.Say("state_refunded", "Time", t.moment(c.At))
	case purchase.Declined:
		a.State = t.Say("state_declined")
	}
	return a, links
}

type choiceView struct {
	Value, Name string
	Chosen      bool
}

type subscribePage struct {
	frame
	Problem, Number string
	Choices         []choiceView
}

type codePage struct {
	frame
	Problem, Sent, Number, Series string
}

type saidPage struct {
	frame
	Said string
}

// subscribe asks for a number.
func (s *Server) subscribe(w http.ResponseWriter, r *http.Request) {
	t := s.tongue(r)
	s.show(w, t, http.StatusOK, "subscribe", s.subscribePage(t, r, ""))
}

func (s *Server) subscribePage(t *tongue, r *http.Request, problem string) *subscribePage {
	p := &subscribePage{frame: t.own(), Problem: problem, Number: short(r.FormValue("number"), 20), Choices: []choiceView{{"all", t.Say("sms_all"), true}}}
	for _, c := range worstFirst(s.cfg.Writer.held().components, details[0].components) {
		p.Choices = append(p.Choices, choiceView{encode(c.Series), t.componentName(c, &details[1]), r.FormValue("series") == encode(c.Series)})
	}
	return p
}

// sendCode sends a code to the number. Any number is answered alike.
func (s *Server) sendCode(w http.ResponseWriter, r *http.Request) {
	t := s.tongue(r)
	number, err := s.cfg.Number(r.PostFormValue("number"))
	if err != nil {
		s.show(w, t, http.StatusUnprocessableEntity, "subscribe", s.subscribePage(t, r, t.Say("sms_bad_number")))
		return
	}
	if _, err := s.series(r.PostFormValue("series")); err != nil {
		s.show(w, t, http.StatusUnprocessableEntity, "subscribe", s.subscribePage(t, r, t.Say("sms_bad_what")))
		return
	}
	switch err := s.cfg.Desk.Ask(r.Context(), number, t.Code, s.cfg.Source(r)); {
	case errors.Is(err, auth.ErrTooMany):
		s.show(w, t, http.StatusTooManyRequests, "subscribe", s.subscribePage(t, r, t.Say("sms_too_many")))
		return
	case err != nil:
		s.cfg.Failed(err)
		s.show(w, t, http.StatusServiceUnavailable, "subscribe", s.subscribePage(t, r, t.Say("concerned_later")))
		return
	}
	s.show(w, t, http.StatusOK, "code", s.codePage(t, r, number, ""))
}

func (s *Server) codePage(t *tongue, r *http.Request, number purchase.MSISDN, problem string) *codePage {
	return &codePage{t.own(), problem, t.Say("sms_sent", "Number", s.cfg.Format(number)), number.String(), r.PostFormValue("series")}
}

// confirm takes the code.
func (s *Server) confirm(w http.ResponseWriter, r *http.Request) {
	t := s.tongue(r)
	number, err := s.cfg.Number(r.PostFormValue("number"))
	if err != nil {
		s.show(w, t, http.StatusUnprocessableEntity, "subscribe", s.subscribePage(t, r, t.Say("sms_bad_number")))
		return
	}
	series, err := s.series(r.PostFormValue("series"))
	if err != nil {
		s.show(w, t, http.StatusUnprocessableEntity, "subscribe", s.subscribePage(t, r, t.Say("sms_bad_what")))
		return
	}
	say := "sms_done"
	if r.PostFormValue("wish") == "off" {
		say = "sms_ended"
		err = s.cfg.Desk.End(r.Context(), number, series, r.PostFormValue("code"))
	} else {
		err = s.cfg.Desk.Confirm(r.Context(), number, t.Code, series, r.PostFormValue("code"))
	}
	switch {
	case errors.Is(err, auth.ErrCode):
		s.show(w, t, http.StatusUnprocessableEntity, "code", s.codePage(t, r, number, t.Say("sms_bad_code")))
	case errors.Is(err, ErrFull):
		s.show(w, t, http.StatusUnprocessableEntity, "subscribe", s.subscribePage(t, r, t.Say("sms_full", "N", fmt.Sprint(mostOfNumber))))
	case err != nil:
		s.cfg.Failed(err)
		s.show(w, t, http.StatusServiceUnavailable, "subscribe", s.subscribePage(t, r, t.Say("concerned_later")))
	default:
		s.show(w, t, http.StatusOK, "said", &saidPage{t.own(), t.Say(say)})
	}
}

// encode writes a series for a form.
func encode(s incident.Series) string { return s.By.String() + ":" + s.Name }

// series reads one that is shown, or "all", the zero series.
func (s *Server) series(text string) (incident.Series, error) {
	if text == "all" {
		return incident.Series{}, nil
	}
	all := s.cfg.Writer.held().components
	at := slices.IndexFunc(all, func(c Component) bool { return encode(c.Series) == text })
	if at < 0 {
		return incident.Series{}, ErrSeries
	}
	return all[at].Series, nil
}
