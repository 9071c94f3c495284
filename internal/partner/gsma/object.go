package gsma

import (
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tenu/internal/money"
	"tenu/internal/partner"
	"tenu/internal/purchase"
)

// Party is one identifier of an account, such as {"msisdn", "+22670112233"}.
type Party struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// request is a requestTransactionType, or with a Type a requestReversal.
type request struct {
	Reference   string  `json:"requestingOrganisationTransactionReference,omitempty"`
	Type        string  `json:"type,omitempty"`
	Amount      string  `json:"amount"`
	Currency    string  `json:"currency"`
	DebitParty  []Party `json:"debitParty,omitempty"`
	CreditParty []Party `json:"creditParty,omitempty"`
	Text        string  `json:"descriptionText,omitempty"`
	RequestDate string  `json:"requestDate,omitempty"`
}

// object is something that the wallet says about a request.
type object interface {
	// elsewhere is the reference of the transaction that must be asked for to
	// know what was moved, "" when the object says all there is.
	elsewhere() string
	// outcome is what the object teaches about the order.
	outcome(*purchase.Order) purchase.Outcome
}

// decode reads one JSON object. Members that are not known are left alone:
// wallets add their own.
func decode(body []byte, into any) error {
	if trimmed := strings.TrimLeft(string(body[:min(len(body), 64)]), " \t\r\n"); !strings.HasPrefix(trimmed, "{") {
		return errors.New("not a JSON object")
	}
	if err := json.Unmarshal(body, into); err != nil {
		return errors.New("not the JSON object that was expected") // the error would quote what may be private
	}
	return nil
}

// transaction is a responseTransaction, responseTransactionType or responseReversal.
type transaction struct {
	Ref         string  `json:"transactionReference"`
	Original    string  `json:"originalTransactionReference"`
	Type        string  `json:"type"`
	Status      string  `json:"transactionStatus"`
	Amount      string  `json:"amount"`
	Currency    string  `json:"currency"`
	DebitParty  []Party `json:"debitParty"`
	CreditParty []Party `json:"creditParty"`
}

func readTransaction(body []byte) (object, error) {
	var t transaction
	if err := decode(body, &t); err != nil {
		return nil, err
	}
	if t.Ref == "" || t.Status == "" || t.Type == "" {
		return nil, errors.New("a transaction without reference, type or status")
	}
	if !nameable(t.Ref) {
		return nil, errors.New("a transaction reference that cannot be kept")
	}
	return &t, nil
}

// nameable reports whether a wallet's identifier can be kept, and asked for as
// one element of a path.
func nameable(id string) bool {
	return id != "" && id != "." && id != ".." && len(id) <= purchase.MaxDetail && !strings.ContainsFunc(id, unprintable)
}

func unprintable(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }

// elsewhere asks for the amount that a reversal's answer may leave out.
func (t *transaction) elsewhere() string {
	if t.Amount == "" && t.Status == "completed" {
		return t.Ref
	}
	return ""
}

// outcome maps transactionStatus. Amount, currency and party are what the
// wallet states, right or wrong; what it states in a form that cannot be read
// proves nothing.
func (t *transaction) outcome(o *purchase.Order) purchase.Outcome {
	out := purchase.Outcome{Kind: purchase.Unknown, Ref: t.Ref, Detail: partner.Detail(t.Type + " " + t.Status)}
	party, kind := t.DebitParty, "merchantpay"
	if o.Leg == purchase.Refund {
		party, kind = t.CreditParty, "reversal"
	}
	undone := t.Status == "reversed"
	if o.Leg == purchase.Charge && t.Type == "reversal" && t.Status == "completed" {
		undone, kind, party = true, "reversal", t.CreditParty
	}
	switch {
	case t.Type != kind:
		out.Detail = partner.Detail("a transaction of another type: " + t.Type)
		return out
	case o.Leg == purchase.Refund && t.Original != "" && o.Original != "" && t.Original != o.Original:
		out.Detail = "the reversal of another transaction"
		return out
	case t.Status == "pending":
		out.Kind = purchase.Pending
		return out
	case t.Status == "failed":
		out.Kind, out.Reason = purchase.Refused, purchase.ReasonOther
		return out
	case t.Status != "completed" && !undone:
		return out
	}
	amount, err := t.amount()
	if err != nil {
		out.Detail = partner.Detail(err.Error())
		return out
	}
	account, err := msisdn(party)
	if err != nil {
		out.Detail = partner.Detail(err.Error())
		return out
	}
	out.Kind, out.Amount, out.Account = purchase.Done, amount, account
	if undone {
		out.Kind = purchase.Reversed
	}
	return out
}

func (t *transaction) amount() (money.Amount, error) {
	currency, err := money.ParseCurrency(t.Currency)
	if err != nil {
		return money.Amount{}, err
	}
	return money.ParseDecimal(t.Amount, currency)
}

// msisdn is the number among a party's identifiers, 0 when there is none.
func msisdn(party []Party) (purchase.MSISDN, error) {
	for _, p := range party {
		if !strings.EqualFold(p.Key, "msisdn") {
			continue
		}
		digits := strings.TrimPrefix(p.Value, "+")
		n, err := strconv.ParseUint(digits, 10, 63)
		if err != nil || len(digits) < 8 || len(digits) > 15 || digits[0] == '0' {
			return 0, errors.New("a party's msisdn is not a number")
		}
		return purchase.MSISDN(n), nil
	}
	return 0, nil
}

// requestState is a requestStateObject.
type requestState struct {
	ServerID string       `json:"serverCorrelationId"`
	Object   string       `json:"objectReference"`
	Status   string       `json:"status"`
	Reason   string       `json:"pendingReason"`
	Error    *errorObject `json:"error"`
}

func readRequestState(body []byte) (object, error) {
	var s requestState
	if err := decode(body, &s); err != nil {
		return nil, err
	}
	if s.ServerID == "" || s.Status == "" {
		return nil, errors.New("a request state without identifier or status")
	}
	if s.Object != "" && !nameable(s.Object) {
		return nil, errors.New("a request state with a reference that cannot be asked for")
	}
	return &s, nil
}

func (s *requestState) elsewhere() string {
	if s.Status == "completed" {
		return s.Object
	}
	return ""
}

func (s *requestState) outcome(*purchase.Order) purchase.Outcome {
	about := partner.Detail("request " + s.ServerID + " " + s.Status)
	switch {
	case s.Status == "failed" && s.Error != nil:
		return purchase.Outcome{Kind: purchase.Refused, Reason: s.Error.reason(), Detail: s.Error.detail()}
	case s.Status == "failed":
		return purchase.Outcome{Kind: purchase.Refused, Reason: purchase.ReasonOther, Detail: about}
	case s.Status == "pending", s.Status == "completed": // completed without a reference: the query will tell
		return purchase.Outcome{Kind: purchase.Pending, Detail: about}
	}
	return purchase.Outcome{Kind: purchase.Unknown, Detail: about}
}

// response is a responseResponse.
type response struct {
	Link string `json:"link"`
}

// target is what the link leads to: the collection and the identifier. Only
// these two are taken from it, so that a link leads nowhere but to the wallet.
func (r response) target() (collection, id string) {
	u, err := url.Parse(r.Link)
	if err != nil {
		return "", ""
	}
	parts := strings.Split(strings.Trim(u.EscapedPath(), "/"), "/")
	if len(parts) < 2 {
		return "", ""
	}
	collection = parts[len(parts)-2]
	id, err = url.PathUnescape(parts[len(parts)-1])
	if err != nil || !nameable(id) {
		return "", ""
	}
	return collection, id
}

// heartbeat is a responseHeartbeat.
type heartbeat struct {
	Status   string `json:"serviceStatus"`
	Restored string `json:"plannedRestorationTime"`
}

func (b heartbeat) health() partner.Health {
	health := partner.Health{Status: partner.Unavailable, Detail: partner.Detail("heartbeat: " + b.Status)}
	switch b.Status {
	case "available":
		health.Status = partner.Available
	case "degraded":
		health.Status = partner.Degraded
	}
	if at, err := time.Parse(time.RFC3339, b.Restored); err == nil {
		health.Until = purchase.At(at)
	}
	return health
}

func unknown(what string, err error) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown, Detail: detail(what, err)}
}

func detail(what string, err error) string { return partner.Detail(what + ": " + err.Error()) }
