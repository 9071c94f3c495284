package sandbox

import (
	"net/http"
	"regexp"
	"strings"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// The objects of the GSMA Mobile Money API 1.2, as far as the wallet speaks them.

type walletParty struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// walletRequest is a requestTransactionType or a requestReversal.
type walletRequest struct {
	Type        string        `json:"type"`
	Amount      string        `json:"amount"`
	Currency    string        `json:"currency"`
	DebitParty  []walletParty `json:"debitParty"`
	CreditParty []walletParty `json:"creditParty"`
	Reference   string        `json:"requestingOrganisationTransactionReference"`
	Text        string        `json:"descriptionText"`
	RequestDate string        `json:"requestDate"`
}

type walletTransaction struct {
	Reference    string        `json:"transactionReference"`
	OurReference string        `json:"requestingOrganisationTransactionReference,omitempty"`
	Original     string        `json:"originalTransactionReference,omitempty"`
	Type         string        `json:"type"`
	Status       string        `json:"transactionStatus"`
	Amount       string        `json:"amount"`
	Currency     string        `json:"currency"`
	DebitParty   []walletParty `json:"debitParty"`
	CreditParty  []walletParty `json:"creditParty"`
	Text         string        `json:"descriptionText,omitempty"`
	Receipt      string        `json:"transactionReceipt,omitempty"`
	CreationDate string        `json:"creationDate"`
	ModifiedDate string        `json:"modificationDate,omitempty"`
	RequestDate  string        `json:"requestDate,omitempty"`
}

type walletRequestState struct {
	ServerID     string             `json:"serverCorrelationId"`
	Object       string             `json:"objectReference,omitempty"`
	Status       string             `json:"status"`
	Notification string             `json:"notificationMethod"`
	Reason       string             `json:"pendingReason,omitempty"`
	Expiry       string             `json:"expiryTime,omitempty"`
	PollLimit    int                `json:"pollLimit,omitempty"`
	Error        *walletErrorObject `json:"error,omitempty"`
}

type walletErrorObject struct {
	Category    string        `json:"errorCategory"`
	Code        string        `json:"errorCode"`
	Description string        `json:"errordescription,omitempty"`
	DateTime    string        `json:"errorDateTime,omitempty"`
	Parameters  []walletParty `json:"errorParameters,omitempty"`
}

type walletBalance struct {
	Status    string `json:"accountStatus"`
	Current   string `json:"currentBalance"`
	Available string `json:"availableBalance"`
	Reserved  string `json:"reservedBalance"`
	Uncleared string `json:"unclearedBalance"`
	Currency  string `json:"currency"`
}

type walletHeartbeat struct {
	Status   string `json:"serviceStatus"`
	Delay    int64  `json:"delay,omitempty"` // milliseconds
	Restored string `json:"plannedRestorationTime,omitempty"`
}

// walletError is an error of the protocol before it is dated.
type walletError struct{ category, code, text string }

// The errors that the wallet gives.
var (
	errClient    = &walletError{"authorisation", "clientAuthorisationError", "API key missing or not known"}
	errOutage    = &walletError{"serviceUnavailable", "genericError", "the service is not available"}
	errInternal  = &walletError{"internal", "genericError", "something went wrong"}
	errUnknown   = &walletError{"identification", "identifierError", "not known here"}
	errDuplicate = &walletError{"businessRule", "duplicateRequest", "the correlation identifier was used before"}
	errFunds     = &walletError{"businessRule", "insufficientFunds", "the balance does not suffice"}
	errState     = &walletError{"businessRule", "incorrectState", "the state does not allow it"}
	errType      = &walletError{"businessRule", "transactionTypeError", "only merchantpay and reversal are done here"}
	errDeclined  = &walletError{"authorisation", "requestDeclined", "the customer declined"}
	errExpired   = &walletError{"authorisation", "requestDeclined", "the customer did not answer in time"}
	errFormat    = &walletError{"validation", "formatError", "a value is malformed"}
	errLength    = &walletError{"validation", "lengthError", "the request is too long"}
	errNegative  = &walletError{"validation", "negativeValue", "the amount is not above zero"}
	errCurrency  = &walletError{"validation", "currencyNotSupported", "the currency is not held here"}
	errMissing   = &walletError{"validation", "mandatoryValueNotSupplied", "a value is missing"}
	errOffset    = &walletError{"validation", "invalidOffset", "limit or offset is out of range"}
)

// errorOf is the error of a code as the protocol groups them.
func errorOf(code string) *walletError {
	for _, e := range []*walletError{errClient, errOutage, errUnknown, errDuplicate, errFunds, errState, errType, errDeclined,
		errFormat, errLength, errNegative, errCurrency, errMissing, errOffset} {
		if e.code == code {
			return e
		}
	}
	switch {
	case strings.HasSuffix(code, "AuthorisationError"):
		return &walletError{"authorisation", code, ""}
	case code == "":
		return errState
	}
	return &walletError{"businessRule", code, ""}
}

func (e *walletError) status() int {
	switch e.category {
	case "authorisation":
		return http.StatusUnauthorized
	case "identification":
		return http.StatusNotFound
	case "internal":
		return http.StatusInternalServerError
	case "serviceUnavailable":
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

func (e *walletError) object(now purchase.Instant) *walletErrorObject {
	return &walletErrorObject{Category: e.category, Code: e.code, Description: e.text, DateTime: isoTime(now)}
}

var numberShape = regexp.MustCompile(`^\+?([1-9][0-9]{7,14})$`)

// number returns the msisdn among a party's identifiers, without the plus sign.
func number(parties []walletParty) (string, *walletError) {
	for _, p := range parties {
		if p.Key != "msisdn" {
			continue
		}
		if m := numberShape.FindStringSubmatch(p.Value); m != nil {
			return m[1], nil
		}
		return "", errFormat
	}
	return "", errMissing
}

// transaction is the movement as the protocol shows it.
func (l *Wallet) transaction(m Movement) *walletTransaction {
	note := readNote(m)
	t := &walletTransaction{Reference: m.Ref, OurReference: note.Reference, Original: m.Original, Type: "merchantpay",
		Status: "completed", Amount: decimal(m.Amount, m.Currency), Currency: m.Currency,
		DebitParty:  []walletParty{{"msisdn", "+" + m.Number}},
		CreditParty: []walletParty{{l.config.MerchantKey, l.config.Merchant}},
		Text:        note.Text, CreationDate: isoTime(m.At), RequestDate: note.RequestDate}
	if m.Leg != legCharge {
		t.Type, t.DebitParty, t.CreditParty = "reversal", t.CreditParty, t.DebitParty
	}
	switch m.Status {
	case StatusPending:
		t.Status = "pending"
	case StatusFailed:
		t.Status = "failed"
	case StatusReversed:
		t.Status = "reversed"
	case StatusDone:
	}
	if m.Moved != 0 {
		t.ModifiedDate = isoTime(m.Moved)
	}
	return t
}

// requestState is the state of the request that made the movement.
func (l *Wallet) requestState(m Movement, now purchase.Instant) *walletRequestState {
	note := readNote(m)
	s := &walletRequestState{ServerID: l.serverID(m.Seq), Object: m.Ref, Status: "completed", Notification: "polling"}
	if note.Callback != "" {
		s.Notification = "callback"
	}
	switch m.Status {
	case StatusPending:
		s.Status, s.Reason = "pending", "waiting for the customer"
		s.Expiry = isoTime(m.At.Add(l.config.Expiry))
		s.Object = ""
	case StatusFailed:
		e := errorOf(m.Reason)
		s.Status, s.Error = "failed", e.object(now)
	case StatusDone, StatusReversed:
	}
	return s
}

// asked is a request as the wallet understood it; kept while it waits.
type asked struct {
	Leg         string         `json:"leg"`
	Key         string         `json:"key"`
	Hash        string         `json:"hash"` // of the request's body
	Number      string         `json:"number,omitempty"`
	Amount      int64          `json:"amount,omitempty"` // minor units; zero: all of the original
	Currency    money.Currency `json:"currency,omitempty"`
	Original    string         `json:"original,omitempty"`
	Reference   string         `json:"reference,omitempty"`
	Text        string         `json:"text,omitempty"`
	RequestDate string         `json:"request_date,omitempty"`
	Callback    string         `json:"callback,omitempty"`
}

var uuidShape = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// understand reads what charge and refund have in common.
func (c *walletCall) understand(leg string) (asked, walletRequest, *walletError) {
	var body walletRequest
	hash, problem := c.body(&body)
	a := asked{Leg: leg, Key: strings.ToLower(c.r.Header.Get("X-CorrelationID")), Hash: hash, Reference: body.Reference,
		Text: body.Text, RequestDate: body.RequestDate, Callback: c.r.Header.Get("X-Callback-URL")}
	switch {
	case problem != nil:
		return a, body, problem
	case a.Key == "":
		return a, body, errMissing
	case !uuidShape.MatchString(a.Key):
		return a, body, errFormat
	case len(body.Reference) > 256 || len(body.Text) > 160 || len(a.Callback) > 1024:
		return a, body, errLength
	}
	if body.RequestDate != "" {
		if _, err := time.Parse(time.RFC3339Nano, body.RequestDate); err != nil {
			return a, body, errFormat
		}
	}
	if body.Amount != "" || body.Currency != "" {
		problem = a.price(body.Amount, body.Currency)
	}
	return a, body, problem
}

func (a *asked) price(amount, currency string) *walletError {
	code, err := money.ParseCurrency(currency)
	if err != nil {
		return errCurrency
	}
	value, err := money.ParseDecimal(amount, code)
	switch {
	case strings.HasPrefix(amount, "-"), err == nil && value.Minor == 0:
		return errNegative
	case err != nil:
		return errFormat
	}
	a.Amount, a.Currency = value.Minor, code
	return nil
}
