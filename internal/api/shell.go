package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"path"
	"runtime/debug"
	"strings"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// call is what is known of one request, for its handlers, the log and the metrics.
type call struct {
	id     string
	client *auth.Client // nil before and without authentication
	stay   *stay        // likewise
	cause  error        // behind an answer that does not tell it
	about  purchase.ID  // the purchase of the answer, 0 for none or several

	items, refused int // purchases of a batch
}

type callKey struct{}

// callOf is the call of a request's context, or one that nobody looks at.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

// ServeHTTP answers one request. Whatever happens, the answer is of this
// package's making, and one line of log and one observation are left.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := a.clock.Now()
	c := &call{id: a.requestID(r)}
	rec := &recorder{ResponseWriter: w}
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	defer func() {
		if thrown := recover(); thrown != nil {
			a.recovered(rec, r, c, thrown)
		}
		a.finish(rec, r, c, start)
		if rec.broken {
			panic(http.ErrAbortHandler) // half an answer must not look like a whole one
		}
	}()
	dress(w.Header(), c.id, r.TLS != nil)
	if p := a.unroutable(rec, r); p != nil {
		w.Header().Set("Connection", "close") // and leave any body unread
		a.refuse(rec, r, c, p)
		return
	}
	a.mux.ServeHTTP(rec, r)
}

// dressing are headers whose values are shared by all answers: a handler may set
// others in their place, and does not write into them.
var dressing = http.Header{
	"X-Content-Type-Options":       {"nosniff"},
	"Referrer-Policy":              {"no-referrer"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"},
	"Cache-Control":                {"no-store"},
}

// dress sets the headers that every answer has.
func dress(h http.Header, id string, secure bool) {
	maps.Copy(h, dressing)
	h.Set("X-Request-Id", id)
	if secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// unroutable says why no route takes the request, or returns nil.
func (a *API) unroutable(w http.ResponseWriter, r *http.Request) *Problem {
	lost := func() *Problem { return problem(CodeRoute, "see /docs for what there is") }
	if r.URL.Path != path.Clean("/"+r.URL.Path) || r.Method == http.MethodConnect {
		return lost() // the mux would answer with a redirection
	}
	handler, pattern := a.mux.Handler(r)
	if pattern != "" {
		return nil
	}
	answer := muted{header: http.Header{}}
	handler.ServeHTTP(&answer, r)
	if answer.status != http.StatusMethodNotAllowed {
		return lost()
	}
	allow := answer.header.Get("Allow")
	w.Header().Set("Allow", allow)
	return problem(CodeMethod, "use "+allow)
}

func instance(id string) string { return "urn:tenu:request:" + id }

// requestID is the identity that the caller gave the request, where it is fit
// for a log, or a new one.
func (a *API) requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	fit := id != "" && len(id) <= 64 && !strings.ContainsFunc(id, func(ch rune) bool {
		return (ch < 'a' || ch > 'z') && (ch < 'A' || ch > 'Z') && (ch < '0' || ch > '9') && ch != '-' && ch != '_' && ch != '.'
	})
	// Digits alone may be a customer's number, which no log may hold.
	if !fit || !strings.ContainsFunc(id, func(ch rune) bool { return ch >= 'A' }) {
		return a.newID()
	}
	return id
}

// recovered answers for a handler that panicked.
func (a *API) recovered(rec *recorder, r *http.Request, c *call, thrown any) {
	if thrown == http.ErrAbortHandler { //nolint:errorlint // a panic's value, compared as net/http does
		rec.broken = true
		return
	}
	c.cause = fmt.Errorf("panic: %v\n%s", thrown, debug.Stack())
	if rec.status != 0 {
		rec.broken = true
		return
	}
	a.refuse(rec, r, c, problem(CodeInternal, ""))
}

// finish leaves one line of log and one observation. The path is logged as its
// pattern, because a path may hold a customer's number.
func (a *API) finish(rec *recorder, r *http.Request, c *call, start purchase.Instant) {
	took := a.clock.Now().Sub(start)
	route := r.Pattern
	if route == "" {
		route = "none"
	}
	client := "-"
	if c.client != nil {
		client = c.client.Name
	}
	a.meter.Request(route, client, rec.status, took)
	a.trace(rec, r, c, route, client, start, start.Add(took))
	fields := []slog.Attr{slog.String("request", c.id), slog.String("client", client), slog.String("route", route),
		slog.Int("status", rec.status), slog.Int64("bytes", rec.bytes), slog.Duration("took", took)}
	if c.items > 0 {
		fields = append(fields, slog.Int("purchases", c.items), slog.Int("refused", c.refused))
	}
	if c.cause != nil {
		fields = append(fields, slog.String("error", c.cause.Error()))
	}
	a.log.LogAttrs(r.Context(), c.level(rec.status), "request", fields...)
}

// trace tells of a request. Only who is known may say what it is part of.
func (a *API) trace(rec *recorder, r *http.Request, c *call, route, client string, from, to purchase.Instant) {
	if a.tracer == nil {
		return
	}
	parent, about := "", purchase.Reference("")
	if given := r.Header.Values("Traceparent"); c.client != nil && len(given) == 1 {
		parent = given[0]
	}
	if c.about != 0 {
		about = a.keys.Reference(c.about)
	}
	a.tracer.Request(route, parent, rec.status, about, from, to, slog.String("request", c.id), slog.String("client", client))
}

// level is how much an answer should worry an operator. Refusing to sell while
// a partner fails, or under too much load, is what was designed.
func (c *call) level(status int) slog.Level {
	var paused *purchase.PausedError
	switch {
	case c.cause == nil || errors.As(c.cause, &paused) || errors.Is(c.cause, purchase.ErrBusy):
		return slog.LevelInfo
	case status == http.StatusServiceUnavailable:
		return slog.LevelWarn
	case status >= http.StatusInternalServerError:
		return slog.LevelError
	}
	return slog.LevelInfo
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
	broken bool
}

// WriteHeader sends the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write sends part of the body.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err //nolint:wrapcheck // an io.Writer passes on what it meets
}

// Unwrap gives http.ResponseController the connection's own writer.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// muted takes an answer that nobody shall see, for its status and headers.
type muted struct {
	header http.Header
	status int
}

func (m *muted) Header() http.Header         { return m.header }
func (m *muted) Write(b []byte) (int, error) { return len(b), nil }
func (m *muted) WriteHeader(status int)      { m.status = status }
