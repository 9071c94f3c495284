package sandbox

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"tenu/internal/money"
	"tenu/internal/partner/ucip/xmlrpc"
	"tenu/internal/purchase"
)

// ChargingConfig is what a sandbox charging system is built from.
type ChargingConfig struct {
	Config
	Currency money.Currency
	// PerMinor is how many of the protocol's units make one minor unit; 1 when zero.
	PerMinor int64
	// Prefixes are those of the numbers that have an account, in E.164 without
	// the plus sign, as in "22670". Other numbers are unknown.
	Prefixes []string
	// CountryCode goes before numbers that a caller sends without it.
	CountryCode string
	// Opening is the main balance, in minor units, that a number has on first use.
	Opening int64
	// Most is the largest main balance, in minor units; zero: no limit.
	Most int64
	// Profile is the refill profile of airtime.
	Profile string
	// Bundles are given by refill profile.
	Bundles map[string]ChargingBundle
	// DetectFor is how long an originTransactionID is remembered: a request that
	// bears it again is answered as the first was. Zero: every request is executed.
	DetectFor time.Duration
	// User and Password are asked for by HTTP basic authentication; no User, none.
	User, Password string
}

// ChargingBundle is what a refill profile gives beside airtime.
type ChargingBundle struct {
	Code     string // the pocket that it goes to
	Account  int64  // dedicatedAccountID of that pocket
	Value    int64  // in Unit, which is the protocol's unit too
	Unit     string // MB, min, SMS
	Validity time.Duration
}

// Charging is a charging system that speaks Ericsson's UCIP 5.0: Refill,
// UpdateBalanceAndDate, GetBalanceAndDate, GetAccountDetails, GetCapabilities,
// posted to /Air. It is an http.Handler; Step or Run does what is due later.
// Its book's legs are credit for a refill, charge and refund for an adjustment
// of the main account, reversal and grant for one of a dedicated account.
type Charging struct {
	*core
	config ChargingConfig
	mux    *http.ServeMux
}

// chargingOffer lists the faults of each of the charging system's operations.
func chargingOffer() map[string][]Kind {
	answer := []Kind{LoseRequest, Outage, LoseReply, SlowAnswer, ServerError, Drip, Huge, Garbage}
	movement := append([]Kind{Refuse, ForgetKey, Conflict, Late, Twice, Lie, WrongAmount, WrongCurrency, WrongNumber,
		Partial, ReverseLater, CachedError}, answer...)
	return map[string][]Kind{
		legCredit:   append([]Kind{WrongProduct}, movement...),
		legCharge:   movement,
		legRefund:   movement,
		legReversal: movement,
		legGrant:    movement,
		"account":   append([]Kind{Refuse}, answer...),
		"heartbeat": append([]Kind{Degraded}, answer...),
	}
}

// NewCharging opens the charging system's book and returns it ready to serve.
// Close must be called.
func NewCharging(ctx context.Context, config ChargingConfig) (*Charging, error) {
	config.PerMinor = max(config.PerMinor, 1)
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("start charging system %s: %w", config.Name, err)
	}
	c, err := newCore(ctx, config.Config, "AIR", chargingOffer())
	if err != nil {
		return nil, err
	}
	s := &Charging{core: c, config: config, mux: http.NewServeMux()}
	c.jobs[dueExecute] = s.executeLate
	c.jobs[dueReverse] = s.takeBack
	c.routes(s.mux)
	s.mux.HandleFunc("POST /Air", s.serve)
	return s, nil
}

func (c *ChargingConfig) check() error {
	if _, err := money.ParseCurrency(string(c.Currency)); err != nil {
		return err
	}
	if len(c.Prefixes) == 0 || c.Profile == "" || c.Opening < 0 || c.Most < 0 || c.DetectFor < 0 {
		return errors.New("prefixes, a profile of airtime, and nothing below zero are needed")
	}
	taken := map[int64]string{}
	for profile, b := range c.Bundles {
		if b.Code == "" || b.Code == string(c.Currency) || b.Value <= 0 || b.Account <= 0 || b.Validity < 0 || profile == c.Profile {
			return fmt.Errorf("bundle of profile %q: code, account, value or validity makes no sense", profile)
		}
		if other, has := taken[b.Account]; has && other != b.Code {
			return fmt.Errorf("bundles %q and %q share account %d", other, b.Code, b.Account)
		}
		taken[b.Account] = b.Code
	}
	return nil
}

// ServeHTTP answers the protocol and the sandbox's own requests.
func (s *Charging) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// chargingCall is one request under way.
type chargingCall struct {
	*Charging
	w       http.ResponseWriter
	r       *http.Request
	now     purchase.Instant
	hits    Hits
	members xmlrpc.Struct
}

// maxChargingBody bounds a request's bytes; one has some two thousand.
const maxChargingBody = 64 << 10

// serve reads one XML-RPC call and answers it.
func (s *Charging) serve(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if s.config.User != "" && subtle.ConstantTimeCompare([]byte(user+":"+password), []byte(s.config.User+":"+s.config.Password)) == 0 {
		w.Header().Set("WWW-Authenticate", `Basic realm="AIR"`)
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	c := &chargingCall{Charging: s, w: w, r: r, now: s.Clock.Now()}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxChargingBody))
	if err != nil {
		c.fault(1000, "Illegal request message")
		return
	}
	method, params, err := xmlrpc.ParseCall(body)
	if err != nil {
		c.fault(1000, "Illegal request message")
		return
	}
	if len(params) > 0 {
		c.members, _ = params[0].(xmlrpc.Struct)
	}
	switch method {
	case "Refill":
		c.move(c.readRefill)
	case "UpdateBalanceAndDate":
		c.move(c.readAdjustment)
	case "GetBalanceAndDate":
		c.enquire(c.balanceAndDate)
	case "GetAccountDetails":
		c.enquire(c.accountDetails)
	case "GetCapabilities":
		c.heartbeat()
	default:
		c.fault(1004, "Unknown operation")
	}
}

// draw decides the call's faults, and ends it there for those that come before
// execution: then it returns false.
func (c *chargingCall) draw(operation, number string) bool {
	c.hits = c.faults.Draw(operation, number)
	refuse, refused := c.hits.Find(Refuse)
	switch {
	case c.hits.Has(LoseRequest):
		cut()
	case c.hits.Has(Outage):
		c.hits = nil
		c.send(http.StatusServiceUnavailable, []byte("no service"))
	case c.hits.Has(Conflict):
		c.respond(xmlrpc.Struct{"responseCode": 100})
	case refused:
		code, ok := responseCode(refuse.Code)
		if !ok {
			code = 115
		}
		c.respond(xmlrpc.Struct{"responseCode": code})
	default:
		return true
	}
	return false
}

// heartbeat answers GetCapabilities, which asks for nothing.
func (c *chargingCall) heartbeat() {
	if !c.draw("heartbeat", "") {
		return
	}
	if c.hits.Has(Degraded) {
		c.fault(1007, "Overload rejection")
		return
	}
	c.respond(xmlrpc.Struct{"responseCode": 0, "availableServerCapabilities": []any{int64(0)}})
}

// respond answers with a struct. A server error is answered in its place: as an
// HTTP status, or as the response code that the fault names.
func (c *chargingCall) respond(members xmlrpc.Struct) {
	for _, kind := range []Kind{ServerError, CachedError} {
		f, hit := c.hits.Find(kind)
		if !hit {
			continue
		}
		code, named := responseCode(f.Code)
		if !named {
			c.send(http.StatusInternalServerError, []byte("internal error"))
			return
		}
		members = xmlrpc.Struct{"responseCode": code}
	}
	if transaction, given := c.members["originTransactionID"].(string); given {
		members["originTransactionID"] = transaction
	}
	body, err := xmlrpc.Response(members)
	if err != nil {
		c.broken(err)
		return
	}
	c.send(http.StatusOK, body)
}

func responseCode(text string) (int64, bool) {
	var code int64
	_, err := fmt.Sscanf(text, "%d", &code)
	return code, err == nil
}

// fault answers that the request could not be processed (section 6.2 of the guide).
func (c *chargingCall) fault(code int64, text string) {
	body, err := xmlrpc.FaultResponse(xmlrpc.Fault{Code: code, Text: text})
	if err != nil {
		c.broken(err)
		return
	}
	c.send(http.StatusOK, body)
}

// broken answers that the book or the sandbox itself failed.
func (c *chargingCall) broken(err error) {
	c.Log.Error("sandbox charging failed", "partner", c.Name, "error", err)
	c.send(http.StatusInternalServerError, []byte("internal error"))
}

func (c *chargingCall) send(status int, body []byte) {
	c.answer(c.w, c.r, c.hits, status, "text/xml", body)
}

// number is the line that a request names, in E.164 without the plus sign;
// known says that it has an account here.
func (c *chargingCall) number() (number string, known bool) {
	number, _ = c.members["subscriberNumber"].(string)
	if nai, given := c.members["subscriberNumberNAI"].(int64); !given || nai != 1 {
		number = c.config.CountryCode + number
	}
	return number, c.serves(number)
}

func (s *Charging) serves(number string) bool {
	if len(number) < 8 || len(number) > 15 || strings.Trim(number, "0123456789") != "" {
		return false
	}
	for _, prefix := range s.config.Prefixes {
		if strings.HasPrefix(number, prefix) {
			return true
		}
	}
	return false
}

// written is how the caller writes a number.
func (c *chargingCall) written(number string) string {
	if nai, given := c.members["subscriberNumberNAI"].(int64); given && nai == 1 {
		return number
	}
	return strings.TrimPrefix(number, c.config.CountryCode)
}

// identified checks the members that every request needs (tables 11, 21, 34 and
// 38 of the guide), and answers when they are not as they should be.
func (c *chargingCall) identified() bool {
	for _, name := range []string{"originNodeType", "originHostName", "originTransactionID", "subscriberNumber"} {
		text, isString := c.members[name].(string)
		switch {
		case c.members[name] == nil:
			c.fault(1001, "Mandatory field missing")
			return false
		case !isString:
			c.fault(1002, "Illegal data type")
			return false
		case text == "" || len(text) > 255 || name == "originTransactionID" && (len(text) > 20 || strings.Trim(text, "0123456789") != ""):
			c.fault(1003, "Data out of bounds")
			return false
		}
	}
	if _, isTime := c.members["originTimeStamp"].(time.Time); !isTime {
		c.fault(1001, "Mandatory field missing")
		return false
	}
	return true
}
