package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"tenu/internal/auth"
)

// The most bytes of a body, of a client's and of a partner's. Strangers may send
// the latter on every connection there is.
const (
	bodyLimit     = 16 << 10
	callbackLimit = 16 << 10
)

// scheme is the name of the API key's security scheme in the OpenAPI document.
const scheme = "key"

// needs declares the scope that an operation needs. guard enforces what this declares.
func needs(s auth.Scope) []map[string][]string {
	return []map[string][]string{{scheme: {string(s)}}}
}

// guard stands before every operation: it authenticates, checks the scope and
// the limits, and reads the body, in this order, so that a stranger costs little.
func (a *API) guard(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	c := callOf(r.Context())
	refuse := func(p *Problem) {
		p.Instance = instance(c.id)
		c.cause = p.cause
		if r.Body != http.NoBody {
			w.Header().Set("Connection", "close")
		}
		p.write(w)
	}
	if p := a.admit(ctx.Operation(), r, c); p != nil {
		refuse(p)
		return
	}
	if c.stay != nil {
		defer c.stay.leave()
	}
	if p := checkQuery(r.URL); p != nil {
		refuse(p)
		return
	}
	if p := readBody(w, r, ctx.Operation()); p != nil {
		refuse(p)
		return
	}
	next(ctx)
}

// admit authenticates the client and counts the request in.
func (a *API) admit(op *huma.Operation, r *http.Request, c *call) (p *Problem) {
	if len(op.Security) == 0 {
		return nil
	}
	now := a.clock.Now()
	client, err := a.clients.Authenticate(bearer(r.Header), now.Time())
	if err != nil {
		return problem(CodeKey, "")
	}
	c.client = client
	for _, scope := range op.Security[0][scheme] {
		if !client.May(auth.Scope(scope)) {
			return problem(CodeScope, "the scope "+scope+" is needed")
		}
	}
	c.stay, p = a.limiter.enter(client, op.Metadata[metaStream] != nil, weight(client, op, r), now)
	return p
}

// weight is how many requests a body may be: one for each so many bytes that a
// request may have. So what the bodies under way take of the memory is bounded by
// how many requests may be. One that does not tell its length may be any.
func weight(client *auth.Client, op *huma.Operation, r *http.Request) int {
	if op.RequestBody == nil {
		return 1
	}
	size := op.MaxBodyBytes - 1
	if r.ContentLength >= 0 {
		size = min(size, r.ContentLength)
	}
	return min(max(1, int((size+bodyLimit-1)/bodyLimit)), client.InFlight)
}

// bearer returns the key of the one Authorization header, or "" (RFC 6750 section 2.1).
func bearer(h http.Header) string {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return ""
	}
	kind, key, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(kind, "Bearer") {
		return ""
	}
	return key
}

// checkQuery refuses a query that could be read in two ways.
func checkQuery(u *url.URL) *Problem {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return problem(CodeRequest, "the query cannot be read")
	}
	for name, values := range query {
		if len(values) > 1 {
			p := problem(CodeRequest, "a query parameter is given twice")
			p.Errors = []Fault{{"query." + name, "given twice"}}
			return p
		}
	}
	return nil
}

// readBody replaces the request's body by what was read of it, bounded in bytes
// and, by the server's read timeout, in time. That timeout is lifted once the
// body is here: it would end a request that waits for its outcome.
func readBody(w http.ResponseWriter, r *http.Request, op *huma.Operation) *Problem {
	if op.RequestBody == nil {
		if r.ContentLength != 0 {
			return problem(CodeBodyLarge, r.Method+" takes no body here")
		}
	} else if p := takeBody(w, r, op); p != nil {
		return p
	}
	// A writer without deadlines (in a test) has no timeout to lift either.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return nil
}

func takeBody(w http.ResponseWriter, r *http.Request, op *huma.Operation) *Problem {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return problem(CodeBodyType, "a compressed body is not taken")
	}
	if _, wantJSON := op.RequestBody.Content["application/json"]; wantJSON {
		kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		charset := params["charset"]
		if err != nil || op.RequestBody.Content[kind] == nil || (charset != "" && !strings.EqualFold(charset, "utf-8")) {
			return problem(CodeBodyType, "Content-Type must be application/json")
		}
	}
	limit := op.MaxBodyBytes - 1 // huma refuses what reaches its own limit
	body, err := readAll(http.MaxBytesReader(w, r.Body, limit), min(r.ContentLength, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return problem(CodeBodyLarge, fmt.Sprintf("at most %d bytes are taken", limit))
	case err != nil:
		return problem(CodeBody, "the body did not arrive whole").because(err)
	case len(body) == 0:
		return problem(CodeBody, "there is no body")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// readAll reads a body whose size is told, or -1 when it is not.
func readAll(r io.Reader, size int64) ([]byte, error) {
	if size < 0 {
		return io.ReadAll(r)
	}
	body := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead)) // with room to see the end
	_, err := body.ReadFrom(r)
	return body.Bytes(), err //nolint:wrapcheck // read by its caller
}
