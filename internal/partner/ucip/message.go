package ucip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tenu/internal/partner"
	"tenu/internal/partner/ucip/xmlrpc"
	"tenu/internal/purchase"
)

// maxAnswer bounds an answer's bytes; an account with every dedicated account
// filled has some hundred thousand.
const maxAnswer = 512 << 10

// answer is the one struct that a server answers with.
type answer struct {
	code    int64
	members xmlrpc.Struct
}

// succeeded: 1 and 2 add that a period was exceeded (section 7.173).
func (a *answer) succeeded() bool { return a.code >= 0 && a.code <= 2 }

// refusals are the response codes that say that nothing was done and why
// (section 7.173). Any other code, 100 "Other Error" and 999 "Other Error No
// Retry" among them, says nothing of the effect.
var refusals = map[int64]purchase.Reason{
	102: purchase.ReasonUnknownLine, // subscriber not found
	103: purchase.ReasonBarredLine,  // account barred from refill
	104: purchase.ReasonBarredLine,  // temporary blocked
	105: purchase.ReasonProduct,     // dedicated account not allowed
	106: purchase.ReasonFunds,       // dedicated account negative
	115: purchase.ReasonOther,       // refill not accepted
	120: purchase.ReasonProduct,     // invalid refill profile
	121: purchase.ReasonOther,       // supervision period too long
	122: purchase.ReasonOther,       // service fee period too long
	123: purchase.ReasonLimit,       // max credit limit exceeded
	124: purchase.ReasonFunds,       // below minimum balance
	126: purchase.ReasonBarredLine,  // account not active
	139: purchase.ReasonProduct,     // dedicated account not defined
	153: purchase.ReasonLimit,       // dedicated account max credit limit exceeded
	167: purchase.ReasonProduct,     // invalid unit type
	176: purchase.ReasonBarredLine,  // refill denied, first IVR call not made
	177: purchase.ReasonBarredLine,  // refill denied, account not active
	178: purchase.ReasonBarredLine,  // refill denied, service fee period expired
	179: purchase.ReasonBarredLine,  // refill denied, supervision period expired
}

// refusal is the outcome of an answer that is no success.
func (a *answer) refusal() purchase.Outcome {
	detail := fmt.Sprintf("response code %d", a.code)
	if reason, known := refusals[a.code]; known {
		return purchase.Outcome{Kind: purchase.Refused, Reason: reason, Detail: detail}
	}
	return purchase.Outcome{Kind: purchase.Unknown, Detail: detail}
}

// header are the members that every request has.
func (p *Partner) header(number, transaction string, at purchase.Instant) xmlrpc.Struct {
	nai := 1
	if p.config.National {
		nai = 2
	}
	return xmlrpc.Struct{
		"originNodeType":      p.config.NodeType,
		"originHostName":      p.config.HostName,
		"originTransactionID": transaction,
		"originTimeStamp":     at.Time().Truncate(time.Second),
		"subscriberNumberNAI": nai,
		"subscriberNumber":    number,
	}
}

// enquiry is the header of a request that changes nothing. Its transaction is
// the time in microseconds, 16 digits, pushed forward so that none comes twice.
func (p *Partner) enquiry(number string) xmlrpc.Struct {
	at := p.now()
	for {
		last := p.lastRead.Load()
		next := max(int64(at), last+1)
		if p.lastRead.CompareAndSwap(last, next) {
			return p.header(number, strconv.FormatInt(next, 10), at)
		}
	}
}

// number is how the server writes a number, if it can be one of its own.
func (p *Partner) number(m purchase.MSISDN) (string, bool) {
	text := strconv.FormatInt(int64(m), 10)
	if m <= 0 {
		return "", false
	}
	if !p.config.National {
		return text, true
	}
	national, ours := strings.CutPrefix(text, p.config.CountryCode)
	return national, ours && national != ""
}

// msisdn reads a number as the server writes it, 0 when it is none.
func (p *Partner) msisdn(text string) purchase.MSISDN {
	if p.config.National {
		text = p.config.CountryCode + text
	}
	if len(text) > 15 || strings.Trim(text, "0123456789") != "" {
		return 0
	}
	n, _ := strconv.ParseInt(text, 10, 64) // 15 digits fit
	return purchase.MSISDN(n)
}

// call posts one request. Its error wraps partner.ErrUnsent when nothing left;
// after any other error the server may have acted. An answer to another
// transaction is an error.
func (p *Partner) call(ctx context.Context, method string, members xmlrpc.Struct) (*answer, error) {
	var params []any
	if members != nil {
		params = []any{members}
	}
	body, err := xmlrpc.Call(method, params...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", method, partner.ErrUnsent, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.config.URL, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", method, partner.ErrUnsent, err)
	}
	request.Header.Set("Content-Type", "text/xml")
	request.Header.Set("User-Agent", p.config.UserAgent)
	if p.config.User != "" {
		request.SetBasicAuth(p.config.User, p.config.Password)
	}
	got, err := partner.Exchange(p.transport, request, maxAnswer)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	if got.Status != http.StatusOK {
		return nil, fmt.Errorf("%s: HTTP status %d", method, got.Status)
	}
	a, err := parseAnswer(got.Body, members["originTransactionID"])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	return a, nil
}

// parseAnswer reads the answer to a transaction.
func parseAnswer(body []byte, transaction any) (*answer, error) {
	value, err := xmlrpc.ParseResponse(body)
	if fault := (*xmlrpc.Fault)(nil); errors.As(err, &fault) {
		return nil, &xmlrpc.Fault{Code: fault.Code} // its text may quote the number
	}
	if err != nil {
		return nil, err
	}
	members, isStruct := value.(xmlrpc.Struct)
	code, isCode := members["responseCode"].(int64)
	if !isStruct || !isCode {
		return nil, errors.New("answer without a response code")
	}
	a := &answer{code, members}
	echo, echoed := members["originTransactionID"]
	if echoed && echo != transaction || !echoed && transaction != nil && a.succeeded() {
		return nil, errors.New("answer to another transaction")
	}
	return a, nil
}
