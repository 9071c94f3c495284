package gsma

import (
	"fmt"
	"net/http"

	"tenu/internal/partner"
	"tenu/internal/purchase"
)

// errorObject is the protocol's error object. encoding/json also takes
// errorDescription, as earlier versions of the API wrote it, for errordescription.
type errorObject struct {
	Category    string  `json:"errorCategory"`
	Code        string  `json:"errorCode"`
	Description string  `json:"errordescription"`
	Parameters  []Party `json:"errorParameters"`
}

// readError returns the error object of a body, nil when it is none.
func readError(body []byte) *errorObject {
	var e errorObject
	if decode(body, &e) != nil || e.Category == "" || e.Code == "" {
		return nil
	}
	return &e
}

func (e *errorObject) elsewhere() string { return "" }

// outcome of an error object as a callback: the request failed, unless the
// wallet's words leave that open.
func (e *errorObject) outcome(*purchase.Order) purchase.Outcome {
	if !e.final() {
		return purchase.Outcome{Kind: purchase.Unknown, Detail: e.detail()}
	}
	return purchase.Outcome{Kind: purchase.Refused, Reason: e.reason(), Detail: e.detail()}
}

// final reports whether the error says that the request was not and will not be
// executed. A wallet's inner trouble says nothing of that, and a duplicate of
// our own key says that an earlier try arrived, not what became of it.
func (e *errorObject) final() bool {
	switch e.Category {
	case "businessRule", "validation", "authorisation", "identification":
		return e.Code != "duplicateRequest"
	}
	return false
}

// reason is the standard reason of the error. docs/error-codes.md lists them.
func (e *errorObject) reason() purchase.Reason {
	switch e.Code {
	case "insufficientFunds":
		return purchase.ReasonFunds
	case "dailyVolumeLimitExceeded", "dailyValueLimitExceeded", "weeklyVolumeLimitExceeded", "weeklyValueLimitExceeded",
		"monthlyVolumeLimitExceeded", "monthlyValueLimitExceeded", "accountMaxTotalVolumeExceeded",
		"accountMaxTotalValueExceeded", "lessThanTransactionMinValue", "greaterThanTransactionMaxValue", "maxBalanceExceeded":
		return purchase.ReasonLimit
	case "requestDeclined":
		return purchase.ReasonNotApproved
	case "identifierError":
		return purchase.ReasonUnknownLine
	case "incorrectState":
		return purchase.ReasonBarredLine
	case "rateLimitError", "clientAuthorisationError", "requestingPartyAuthorisationError":
		return purchase.ReasonClosed
	}
	if e.Category == "internal" || e.Category == "serviceUnavailable" {
		return purchase.ReasonClosed
	}
	return purchase.ReasonOther
}

func (e *errorObject) detail() string {
	text := e.Category + "/" + e.Code
	if e.Description != "" {
		text += ": " + e.Description
	}
	for _, p := range e.Parameters {
		text += "; " + p.Key + "=" + p.Value
		if len(text) > purchase.MaxDetail {
			break
		}
	}
	return partner.Detail(text)
}

// refusal is the outcome of an answer to a request that is neither 201 nor 202.
// Only a client error with an error object that says so is a refusal. 408 and
// 409 never are: the request may have been executed.
func refusal(answer *partner.Answer) purchase.Outcome {
	e := readError(answer.Body)
	switch {
	case e == nil:
		return purchase.Outcome{Kind: purchase.Unknown, Detail: fmt.Sprintf("answer %d without an error object", answer.Status)}
	case answer.Status/100 != 4 || answer.Status == http.StatusConflict || answer.Status == http.StatusRequestTimeout:
		return purchase.Outcome{Kind: purchase.Unknown, Detail: partner.Detail(fmt.Sprintf("answer %d %s", answer.Status, e.detail()))}
	}
	return e.outcome(nil)
}

// absence is the outcome of a query whose answer is not 200: no trace of the
// key only where the wallet itself says that it cannot identify it.
func absence(answer *partner.Answer) purchase.Outcome {
	if e := readError(answer.Body); e != nil && answer.Status == http.StatusNotFound && e.Category == "identification" {
		return purchase.Outcome{Kind: purchase.Absent, Detail: e.detail()}
	}
	return stated(answer)
}

// stated is the outcome of an answer to a query that says nothing of the key.
func stated(answer *partner.Answer) purchase.Outcome {
	text := fmt.Sprintf("query answered %d", answer.Status)
	if e := readError(answer.Body); e != nil {
		text += " " + e.detail()
	}
	return purchase.Outcome{Kind: purchase.Unknown, Detail: partner.Detail(text)}
}
