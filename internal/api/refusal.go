package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"tenu/internal/numbering"
	"tenu/internal/purchase"
	"tenu/internal/sale"
)

// refusal says to the client why something was not done. Causes of the kind
// that only operators can do something about are for the log alone.
func refusal(err error, language string) *Problem {
	var s *sale.Problem
	switch {
	case errors.As(err, &s):
		return sold(s, language)
	case errors.Is(err, purchase.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return problem(CodeUnavailable, "").because(err).after(time.Second)
	}
	return internal(err)
}

// sold is a problem of the sales desk as a problem document.
func sold(s *sale.Problem, language string) *Problem {
	p := problem(Code(s.Code), "").of(s.Field)
	if p.Code != Code(s.Code) { // a code that this package has no words for yet
		p.Code, p.Type, p.Title, p.Status = Code(s.Code), "/docs#"+string(s.Code), http.StatusText(s.Status), s.Status
	}
	p.Message = s.Message(language)
	if s.RetryAfter > 0 {
		p = p.after(s.RetryAfter)
	}
	if s.Limit.Currency != "" {
		limit := amount(s.Limit.Minor, s.Limit.Currency)
		p.Limit = &limit
	}
	switch {
	case s.Status >= 500:
		return p.because(s)
	case s.Code == sale.CodeAskFirst:
		p.Earlier = s.Earlier.String()
		p.Detail = `ask the customer; then repeat with "again": true`
	default:
		p.Detail = s.Unwrap().Error() // written for people, and holds no number
	}
	return p
}

// badNumber is the problem of a number outside a wish.
func badNumber(err error, field string) *Problem {
	for _, each := range []struct {
		err  error
		code sale.Code
	}{
		{numbering.ErrMalformed, sale.CodeNumberMalformed},
		{numbering.ErrForeign, sale.CodeNumberForeign},
		{numbering.ErrFixed, sale.CodeNumberFixed},
		{numbering.ErrService, sale.CodeNumberService},
		{numbering.ErrUnassigned, sale.CodeNumberUnassigned},
	} {
		if errors.Is(err, each.err) {
			return problem(Code(each.code), err.Error()).of(field)
		}
	}
	return internal(err)
}
