package tmf

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"tenu/internal/care"
	"tenu/internal/purchase"
)

// Code is the stable name of a refusal, for programs to branch on.
type Code string

// The codes of this interface. Those of who may call and how much are the API's.
const (
	CodeBody       Code = "bodyMalformed"      // 400: not one JSON object, or a member twice
	CodeField      Code = "attributeInvalid"   // 400: an attribute is missing, wrong, or not kept here
	CodeQuery      Code = "queryInvalid"       // 400
	CodeEntity     Code = "entityUnknown"      // 400: no purchase of this client's is named
	CodeCallback   Code = "callbackRefused"    // 400: no listed target
	CodeScope      Code = "scopeMissing"       // 403
	CodeNotFound   Code = "notFound"           // 404: no such ticket or listener of this client's
	CodeName       Code = "externalIdInUse"    // 409: for another ticket
	CodeTransition Code = "statusNotReachable" // 409: not from here, or not by a client
	CodeUnproven   Code = "outcomeNotShown"    // 409: the ledger does not show it
	CodeRefused    Code = "refused"            // 409
	CodeStale      Code = "changedMeanwhile"   // 409
	CodeFull       Code = "tooManyListeners"   // 409
	CodeMatch      Code = "preconditionFailed" // 412
	CodeAway       Code = "unavailable"        // 503: repeat it
	CodeInternal   Code = "internal"           // 500
)

// Error is the body of a refusal, as the description has it.
type Error struct {
	Code    Code   `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
	Status  string `json:"status"`
	Type    string `json:"@type"`
}

// refusal is a refusal on its way.
type refusal struct {
	status  int
	code    Code
	reason  string
	message string
}

// Error is for the log.
func (r *refusal) Error() string { return string(r.code) + ": " + r.message }

func refuse(status int, code Code, reason, message string) *refusal {
	return &refusal{status, code, reason, message}
}

// invalid refuses an attribute.
func invalid(message string) *refusal {
	return refuse(http.StatusBadRequest, CodeField, "An attribute is not valid", message)
}

// Refuse answers with a refusal of whoever stands before the interface.
func Refuse(w http.ResponseWriter, status int, code, reason, message string) {
	writeError(w, refuse(status, Code(code), reason, message))
}

// failed answers with what went wrong, and returns what the log is to be told.
func failed(w http.ResponseWriter, err error) error {
	var own *refusal
	switch {
	case errors.As(err, &own):
		writeError(w, own)
		return nil
	case errors.Is(err, care.ErrNoCase):
		writeError(w, refuse(http.StatusNotFound, CodeNotFound, "There is no such trouble ticket", ""))
		return nil
	case errors.Is(err, care.ErrStale):
		writeError(w, refuse(http.StatusConflict, CodeStale, "The ticket changed meanwhile", "read it again"))
		return nil
	case errors.Is(err, care.ErrUnproven):
		writeError(w, refuse(http.StatusConflict, CodeUnproven, "The ledger does not show that outcome", ""))
		return nil
	case errors.Is(err, care.ErrClosed):
		writeError(w, refuse(http.StatusConflict, CodeTransition, "The ticket is closed", "open it again with the status inProgress"))
		return nil
	case errors.Is(err, care.ErrRefused):
		why := ""
		var told *care.Refusal
		if errors.As(err, &told) {
			why = told.Why
		}
		writeError(w, refuse(http.StatusConflict, CodeRefused, "That is not allowed", why))
		return nil
	case errors.Is(err, purchase.ErrUnavailable), errors.Is(err, purchase.ErrCommitUnknown), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		w.Header().Set("Retry-After", "1")
		writeError(w, refuse(http.StatusServiceUnavailable, CodeAway, "Something needed cannot be reached", "repeat the request"))
		return err
	}
	writeError(w, refuse(http.StatusInternalServerError, CodeInternal, "Something went wrong here", ""))
	return err
}

func writeError(w http.ResponseWriter, r *refusal) {
	answer(w, r.status, Error{Code: r.code, Reason: r.reason, Message: r.message, Status: strconv.Itoa(r.status), Type: "Error"})
}

// answer writes a document.
func answer(w http.ResponseWriter, status int, document any) {
	text, err := json.Marshal(document)
	if err != nil { // there is none that has no text
		status, text = http.StatusInternalServerError, []byte(`{"code":"internal","reason":"Something went wrong here"}`)
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text) // a client that left needs no answer
}
