package api

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"tenu/internal/sale"
)

// Code is the stable name of a problem, for programs to branch on. Those of the
// sales desk are sale.Code; these are of the interface itself.
type Code string

// The codes of the interface.
const (
	CodeKey          Code = "key_not_accepted"
	CodeScope        Code = "scope_missing"
	CodeRate         Code = "rate_limited"
	CodeCrowded      Code = "too_many_in_flight"
	CodeRoute        Code = "route_not_found"
	CodeMethod       Code = "method_not_allowed"
	CodeBodyLarge    Code = "body_too_large"
	CodeBodyType     Code = "content_type_wrong"
	CodeBody         Code = "body_malformed"
	CodeBatch        Code = "batch_size_wrong"
	CodeRequest      Code = "request_invalid"
	CodeReference    Code = "reference_malformed"
	CodeCursor       Code = "cursor_malformed"
	CodePurchase     Code = "purchase_not_found"
	CodeReceipt      Code = "receipt_not_found"
	CodeCallback     Code = "callback_refused"
	CodeCallbackBody Code = "callback_malformed"
	CodeUnavailable       = Code(sale.CodeUnavailable)
	CodeInternal          = Code(sale.CodeInternal)
)

// kinds gives each code its status and title, which never vary (RFC 9457
// section 3.1.3). The page lists them in this order.
var kinds = []struct {
	Code   Code
	Status int
	Title  string
}{
	{CodeKey, 401, "The API key is not accepted"},
	{CodeScope, 403, "The API key does not allow this"},
	{CodeRate, 429, "Too many requests in a short time"},
	{CodeCrowded, 429, "Too many requests under way"},
	{CodeRoute, 404, "There is nothing at this address"},
	{CodeMethod, 405, "This address does not take this method"},
	{CodeBodyLarge, 413, "The body is too large"},
	{CodeBodyType, 415, "The body is of the wrong type"},
	{CodeBody, 400, "The body cannot be read"},
	{CodeBatch, 422, "The batch holds no purchase or too many"},
	{CodeRequest, 422, "The request is not valid"},
	{CodeReference, 400, "This is not a purchase's reference"},
	{CodeCursor, 400, "The cursor is not valid"},
	{CodePurchase, 404, "There is no such purchase"},
	{CodeReceipt, 404, "The purchase has no receipt"},
	{CodeCallback, 401, "The callback is not authentic"},
	{CodeCallbackBody, 400, "The callback cannot be read"},
	{Code(sale.CodeKeyInvalid), 400, "The idempotency key is missing or not valid"},
	{Code(sale.CodeKeyReused), 409, "The idempotency key was used for another purchase"},
	{Code(sale.CodeAskFirst), 409, "The customer bought the same a moment ago: ask first"},
	{Code(sale.CodeNumberMalformed), 422, "The number is not a telephone number of this country"},
	{Code(sale.CodeNumberForeign), 422, "The number is of another country"},
	{Code(sale.CodeNumberFixed), 422, "The number is of a fixed line"},
	{Code(sale.CodeNumberService), 422, "The number is of a service"},
	{Code(sale.CodeNumberUnassigned), 422, "The number's prefix belongs to no operator"},
	{Code(sale.CodeProductUnknown), 422, "There is no such product"},
	{Code(sale.CodeProductOff), 422, "The product is not on sale now"},
	{Code(sale.CodeProductLine), 422, "The product is not sold for this number"},
	{Code(sale.CodePayWith), 422, "The product cannot be paid this way"},
	{Code(sale.CodeCurrency), 422, "The currency is not the product's"},
	{Code(sale.CodeAmountMissing), 422, "The amount is missing"},
	{Code(sale.CodeAmountMalformed), 422, "The amount is not a number"},
	{Code(sale.CodeAmountZero), 422, "The amount is zero"},
	{Code(sale.CodeAmountNegative), 422, "The amount is negative"},
	{Code(sale.CodeAmountFraction), 422, "The amount is not a whole number"},
	{Code(sale.CodeAmountBelow), 422, "The amount is below the minimum"},
	{Code(sale.CodeAmountAbove), 422, "The amount is above the maximum"},
	{Code(sale.CodeAmountStep), 422, "The amount is off the step"},
	{Code(sale.CodeAmountPrice), 422, "The amount is not the price"},
	{Code(sale.CodeLineUnknown), 404, "The charging system does not know this line"},
	{Code(sale.CodePaused), 503, "The product is not sold at the moment; nothing was charged"},
	{Code(sale.CodeBusy), 503, "Too many purchases under way; nothing was charged"},
	{CodeUnavailable, 503, "Something needed cannot be reached"},
	{CodeInternal, 500, "Something went wrong here"},
}

// Problem is the body of every refusal: a problem document as RFC 9457
// defines it, with members of our own from code on.
type Problem struct {
	Type     string `json:"type" doc:"Where this kind of problem is described." example:"/docs#ask_first"`
	Title    string `json:"title" doc:"The kind of problem in a few words."`
	Status   int    `json:"status" doc:"The HTTP status."`
	Detail   string `json:"detail,omitempty" doc:"What is wrong with this very request."`
	Instance string `json:"instance,omitempty" doc:"The request's identity, also in the X-Request-Id header."`
	Code     Code   `json:"code" doc:"The kind of problem, for programs to branch on." example:"ask_first"`
	Message  string `json:"message,omitempty" doc:"What to tell the customer, in the purchase's language."`
	Field    string `json:"field,omitempty" doc:"The field of the body at fault." example:"amount"`
	// Errors are the faults found in parameters.
	Errors     []Fault `json:"errors,omitempty" doc:"The parameters at fault."`
	Limit      *Amount `json:"limit,omitempty" doc:"The minimum, maximum, step or price that the amount missed."`
	Earlier    string  `json:"earlier,omitempty" doc:"The reference of the earlier purchase." example:"K7M2-Q4XD-9T"`
	RetryAfter int     `json:"retry_after,omitempty" doc:"Seconds after which to try again; also in the Retry-After header."`

	cause error // for the log, never shown
}

// Fault is one fault of a request.
type Fault struct {
	Location string `json:"location" doc:"Where, such as query.limit."`
	Message  string `json:"message" doc:"What is wrong."`
}

func problem(code Code, detail string) *Problem {
	for _, k := range kinds {
		if k.Code == code {
			return &Problem{Type: "/docs#" + string(code), Title: k.Title, Status: k.Status, Detail: detail, Code: code}
		}
	}
	return problem(CodeInternal, "")
}

// internal is the problem of a failure that the client can do nothing about.
// The cause goes to the log under the same request's identity.
func internal(cause error) *Problem {
	p := problem(CodeInternal, "")
	p.cause = cause
	return p
}

func (p *Problem) of(field string) *Problem {
	p.Field = field
	return p
}

func (p *Problem) because(cause error) *Problem {
	p.cause = cause
	return p
}

func (p *Problem) after(d time.Duration) *Problem {
	p.RetryAfter = max(1, int((d+time.Second-1)/time.Second))
	return p
}

// Error makes a Problem an error that a handler can return.
func (p *Problem) Error() string { return string(p.Code) + ": " + p.Detail }

// Unwrap returns what caused the problem, if anything did.
func (p *Problem) Unwrap() error { return p.cause }

// GetStatus is the HTTP status, for huma.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders are the headers that go with the problem, for huma.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	if p.Code == CodeKey {
		h.Set("WWW-Authenticate", `Bearer realm="tenu"`)
	}
	return h
}

// ContentType is the media type of problem documents, for huma.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// write answers with the problem outside huma.
func (p *Problem) write(w http.ResponseWriter) {
	h := w.Header()
	for name, values := range p.GetHeaders() {
		h[name] = values
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Del("Content-Length")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // a client that left needs no answer
}

// adopt turns the faults that huma found in parameters into a problem of ours,
// without the values, which may be a customer's.
func adopt(m *huma.ErrorModel) *Problem {
	code := CodeRequest
	switch m.Status {
	case http.StatusBadRequest:
		code = CodeBody
	case http.StatusInternalServerError:
		code = CodeInternal
	}
	p := problem(code, m.Detail)
	p.Status = m.Status // already on its way
	for _, e := range m.Errors {
		if e != nil {
			p.Errors = append(p.Errors, Fault{e.Location, e.Message})
		}
	}
	return p
}
