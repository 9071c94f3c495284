package sale

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"tenu/internal/catalogue"
	"tenu/internal/money"
	"tenu/internal/numbering"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

// Code is the stable name of a problem, for programs to branch on.
type Code string

// The codes.
const (
	CodeNumberMalformed  Code = "number_malformed"
	CodeNumberForeign    Code = "number_foreign"
	CodeNumberFixed      Code = "number_fixed"
	CodeNumberService    Code = "number_service"
	CodeNumberUnassigned Code = "number_unassigned"
	CodeProductUnknown   Code = "product_unknown"
	CodeProductOff       Code = "product_not_on_sale"
	CodeProductLine      Code = "product_not_for_line"
	CodePayWith          Code = "pay_with_refused"
	CodeCurrency         Code = "currency_wrong"
	CodeAmountMissing    Code = "amount_missing"
	CodeAmountMalformed  Code = "amount_malformed"
	CodeAmountZero       Code = "amount_zero"
	CodeAmountNegative   Code = "amount_negative"
	CodeAmountFraction   Code = "amount_fraction"
	CodeAmountBelow      Code = "amount_below_minimum"
	CodeAmountAbove      Code = "amount_above_maximum"
	CodeAmountStep       Code = "amount_off_step"
	CodeAmountPrice      Code = "amount_not_price"
	CodeKeyInvalid       Code = "idempotency_key_invalid"
	CodeKeyReused        Code = "idempotency_key_reused"
	CodeAskFirst         Code = "ask_first"
	CodePaused           Code = "product_paused"
	CodeBusy             Code = "busy"
	CodeUnavailable      Code = "unavailable"
	CodeLineUnknown      Code = "line_unknown"
	CodeInternal         Code = "internal"
)

// ErrKey says that the client's idempotency key is missing, too long, or not visible ASCII.
var ErrKey = errors.New("idempotency key missing or not valid")

// kind is what all problems of a code share.
type kind struct {
	code   Code
	status int           // of HTTP
	field  string        // of the wish, where it is always the same
	wait   time.Duration // after which to try again
	value  string        // placeholder in the message: "Limit", "Earlier" or none
	causes []error       // any of these makes it
	when   string        // for docs/error-codes.md
}

// kinds lists every code, in the order of docs/error-codes.md.
var kinds = []kind{
	{code: CodeNumberMalformed, status: 422, causes: []error{numbering.ErrMalformed}, when: "The text is no telephone number, or not as long as the country's."},
	{code: CodeNumberForeign, status: 422, causes: []error{numbering.ErrForeign}, when: "The number is of another country."},
	{code: CodeNumberFixed, status: 422, causes: []error{numbering.ErrFixed}, when: "The number is of a fixed line, which holds no units."},
	{code: CodeNumberService, status: 422, causes: []error{numbering.ErrService}, when: "The number is short or special, and nobody's line."},
	{code: CodeNumberUnassigned, status: 422, causes: []error{numbering.ErrUnassigned}, when: "The numbering plan gives the prefix to no operator."},
	{code: CodeProductUnknown, status: 422, field: "product", causes: []error{catalogue.ErrProduct}, when: "The catalogue has no such product."},
	{code: CodeProductOff, status: 422, field: "product", causes: []error{catalogue.ErrNotOnSale}, when: "The product is not yet, or no longer, on sale."},
	{code: CodeProductLine, status: 422, field: "number", causes: []error{catalogue.ErrOperator}, when: "The product is not sold to lines of the recipient's operator."},
	{code: CodePayWith, status: 422, field: "pay_with", causes: []error{catalogue.ErrPayer}, when: "The product cannot be paid this way."},
	{code: CodeCurrency, status: 422, field: "currency", causes: []error{catalogue.ErrCurrency}, when: "The currency is not the product's."},
	{code: CodeAmountMissing, status: 422, field: "amount", causes: []error{catalogue.ErrAmountMissing}, when: "Airtime needs an amount."},
	{code: CodeAmountMalformed, status: 422, field: "amount", causes: []error{catalogue.ErrAmount}, when: "The amount is not written in digits."},
	{code: CodeAmountZero, status: 422, field: "amount", causes: []error{catalogue.ErrZero}, when: "The amount is zero."},
	{code: CodeAmountNegative, status: 422, field: "amount", causes: []error{catalogue.ErrNegative}, when: "The amount is negative."},
	{code: CodeAmountFraction, status: 422, field: "amount", causes: []error{catalogue.ErrFraction}, when: "The amount is finer than the currency's smallest unit."},
	{code: CodeAmountBelow, status: 422, field: "amount", value: "Limit", causes: []error{catalogue.ErrBelow}, when: "The amount is below the product's minimum."},
	{code: CodeAmountAbove, status: 422, field: "amount", value: "Limit", causes: []error{catalogue.ErrAbove}, when: "The amount is above the product's maximum."},
	{code: CodeAmountStep, status: 422, field: "amount", value: "Limit", causes: []error{catalogue.ErrStep}, when: "The amount is not a multiple of the product's step."},
	{code: CodeAmountPrice, status: 422, field: "amount", value: "Limit", causes: []error{catalogue.ErrPrice}, when: "The amount given for a bundle is not its price with the fee."},
	{code: CodeKeyInvalid, status: 400, causes: []error{ErrKey}, when: "The client's idempotency key is missing, longer than 64 characters, or not visible ASCII."},
	{code: CodeKeyReused, status: 409, causes: []error{purchase.ErrKeyConflict}, when: "The client used the key for another wish. Nothing was done."},
	{code: CodeAskFirst, status: 409, value: "Earlier", when: "A like purchase was made a moment ago. Ask the customer, then repeat with `again`."},
	{code: CodePaused, status: 503, wait: 30 * time.Second, when: "What is asked for is paused, or a partner that it needs is failing. Nothing was charged."},
	{code: CodeBusy, status: 503, wait: time.Second, causes: []error{purchase.ErrBusy}, when: "Too many purchases are under way. Nothing was charged; repeat with the same key."},
	{code: CodeUnavailable, status: 503, wait: 5 * time.Second, when: "Something needed cannot be reached. Repeat with the same key to learn what became of it.",
		causes: []error{purchase.ErrUnavailable, purchase.ErrCommitUnknown, purchase.ErrFenced, context.Canceled, context.DeadlineExceeded}},
	{code: CodeLineUnknown, status: 404, field: "number", causes: []error{purchase.ErrUnknownLine}, when: "The charging system does not know the line."},
	{code: CodeInternal, status: 500, when: "Something went wrong here; the log says what."},
}

// Problem is why something was not done, in a form that every channel can show
// to its customer. It wraps its cause, for the log and for errors.Is; the cause
// is not for customers.
type Problem struct {
	Code Code
	// Status is the HTTP status that fits.
	Status int
	// Field is the field of the wish at fault, as "number", "payer", "amount";
	// "" when none is.
	Field string
	// Limit is the minimum, maximum, step or price that an amount missed; zero otherwise.
	Limit money.Amount
	// Earlier is the like purchase to ask the customer about, for CodeAskFirst.
	Earlier purchase.Reference
	// RetryAfter is when trying again makes sense; zero when it does not.
	RetryAfter time.Duration

	cause error
	value string
	book  *phrase.Book
}

// Error is the code and the cause, for logs. It holds no number.
func (p *Problem) Error() string { return string(p.Code) + ": " + p.cause.Error() }

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.cause }

// Message tells a customer what is wrong, in characters that an SMS carries.
func (p *Problem) Message(language string) string {
	value := ""
	switch p.value {
	case "Limit":
		value = p.Limit.String()
	case "Earlier":
		value = p.Earlier.String()
	}
	return string(p.book.In(language)[string(p.Code)].Say(nil, []string{value, value}))
}

//go:embed phrases/*.yaml
var shipped embed.FS

// loadBook reads the messages in every language.
func loadBook(more ...fs.FS) (*phrase.Book, error) {
	dir, err := fs.Sub(shipped, "phrases")
	if err != nil {
		return nil, fmt.Errorf("messages of problems: %w", err)
	}
	schema := phrase.Schema{Default: "fr", Placeholders: []string{"Limit", "Earlier"}, Phrases: map[string][]string{}}
	for _, k := range kinds {
		schema.Phrases[string(k.code)] = nil
		if k.value != "" {
			schema.Phrases[string(k.code)] = []string{k.value}
		}
	}
	book, err := phrase.Load(schema, append([]fs.FS{dir}, more...)...)
	if err != nil {
		return nil, fmt.Errorf("messages of problems: %w", err)
	}
	return book, nil
}

// longestWait is for how long at most nobody is to try again, whatever a partner plans.
const longestWait = time.Hour

// problem makes a Problem of an error. A field is given where the error itself
// does not tell which one is at fault.
func (d *Desk) problem(err error, field string) *Problem {
	var repeat *purchase.RepeatError
	var limit *catalogue.LimitError
	k := kindOf(err)
	p := &Problem{Code: k.code, Status: k.status, Field: k.field, RetryAfter: k.wait, cause: err, value: k.value, book: d.book}
	if p.Field == "" {
		p.Field = field
	}
	if errors.As(err, &limit) {
		p.Limit = limit.Limit
	}
	var paused *purchase.PausedError
	if errors.As(err, &paused) && paused.Until != 0 {
		p.RetryAfter = min(max(paused.Until.Sub(d.cfg.Clock.Now()), k.wait), longestWait)
	}
	if errors.As(err, &repeat) {
		p.Earlier = d.cfg.Reference(repeat.Earlier)
	}
	return p
}

func kindOf(err error) *kind {
	var repeat *purchase.RepeatError
	var paused *purchase.PausedError
	code := CodeInternal
	switch {
	case errors.As(err, &repeat):
		code = CodeAskFirst
	case errors.As(err, &paused):
		code = CodePaused
	}
	for i := range kinds {
		if kinds[i].code == code {
			return &kinds[i]
		}
		for _, cause := range kinds[i].causes {
			if errors.Is(err, cause) {
				return &kinds[i]
			}
		}
	}
	return &kinds[len(kinds)-1]
}
