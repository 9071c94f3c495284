package api

import (
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"tenu/internal/auth"
)

// Annex is an interface of somebody else's making that is answered beside the API's own, for
// the same clients with the same keys under the same limits: a standard, whose
// paths, bodies and errors are not ours to choose.
type Annex struct {
	// Prefix begins the path of each of its routes, and of nothing else.
	Prefix string
	Routes []AnnexRoute
	// Refuse answers with what the API itself refuses, in the annex's own form.
	Refuse func(w http.ResponseWriter, r Refusal)
}

// AnnexRoute is one operation of an annex.
type AnnexRoute struct {
	Pattern string     // method and path, as http.ServeMux reads it
	Scope   auth.Scope // "": anybody may ask, and there is no client
	Media   []string   // that a body may be of; none: there is no body
	// Answer answers. The body is whole and bounded. An error is for the log alone.
	Answer func(w http.ResponseWriter, r *http.Request, client *auth.Client, body []byte) error
}

// Refusal is what the API refuses in an annex's name.
type Refusal struct {
	Status              int
	Code, Title, Detail string
}

// annex adds an annex's routes, each behind the guard of the API's own.
func (a *API) annex(x *Annex) {
	for _, route := range x.Routes {
		op := &huma.Operation{MaxBodyBytes: bodyLimit + 1}
		if route.Scope != "" {
			op.Security = needs(route.Scope)
		}
		if len(route.Media) > 0 {
			op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{}}
			for _, kind := range route.Media {
				op.RequestBody.Content[kind] = &huma.MediaType{}
			}
		}
		a.mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			c := callOf(r.Context())
			p := a.admit(op, r, c)
			if c.stay != nil {
				defer c.stay.leave()
			}
			if p == nil {
				p = checkQuery(r.URL)
			}
			if p == nil {
				p = readBody(w, r, op)
			}
			if p != nil {
				if r.Body != http.NoBody {
					w.Header().Set("Connection", "close")
				}
				a.refuse(w, r, c, p)
				return
			}
			body, err := io.ReadAll(r.Body) // of memory, by now
			if err == nil {
				err = route.Answer(w, r, c.client, body)
			}
			c.cause = err
		})
	}
}

// refuse answers with a problem, in the form of whose path it is.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, c *call, p *Problem) {
	p.Instance = instance(c.id)
	if p.cause != nil {
		c.cause = p.cause
	}
	for i := range a.annexes {
		x := &a.annexes[i]
		if !strings.HasPrefix(r.URL.Path, x.Prefix) {
			continue
		}
		h := w.Header()
		for name, values := range p.GetHeaders() {
			h[name] = values
		}
		detail := p.Detail
		for _, fault := range p.Errors {
			detail += "; " + fault.Location + ": " + fault.Message
		}
		x.Refuse(w, Refusal{Status: p.Status, Code: string(p.Code), Title: p.Title, Detail: detail})
		return
	}
	p.write(w)
}
