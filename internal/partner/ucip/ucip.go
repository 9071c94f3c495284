// Package ucip is the adapter of charging systems that speak Ericsson's UCIP
// 5.0 (AIR Programmer's Guide UCIP Version 5.0, 1/1553-FAY 302 104/1): XML-RPC
// over HTTP POST. It executes all four legs: a credit is a Refill; charges,
// refunds and reversals are adjustments by UpdateBalanceAndDate. It knows
// neither the engine nor other partners.
//
// Our key is originTransactionID, unique with originHostName. The guide asks
// that it be unique and says nothing of an ID that is sent twice; whether an
// installation detects that is configured, as Config.KeyLife.
//
// UCIP cannot say what became of an ID, so there is no Query: comparing
// balances proves nothing, for the customer calls, spends and is credited by
// others between the two looks. For the same reason only the two balances that
// a Refill itself reports, taken inside that transaction, prove a credit. There
// is no tombstone either. What resolves an unanswered leg is a detected resend,
// the configured lateness bound, or the statement.
package ucip

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"

	"tenu/internal/money"
	"tenu/internal/partner"
	"tenu/internal/partner/ucip/xmlrpc"
	"tenu/internal/purchase"
)

// Config says how to reach an AIR server and how its operator set it up.
type Config struct {
	// Name is the partner's name in configuration, ledger and reports.
	Name string
	// URL is where it is posted to, as in "http://air.example:10010/Air".
	URL string
	// User and Password are of HTTP basic authentication; no User, none.
	User, Password string
	// UserAgent selects the protocol version; "UGw Server/5.0/1.0" when empty.
	UserAgent string
	// NodeType and HostName name this installation (originNodeType, "EXT" when
	// empty, and originHostName). HostName must never change: with another one
	// our keys are other keys.
	NodeType, HostName string
	// Operator is originOperatorID, left out when empty.
	Operator string
	// Currency is that of every account, and CurrencyCode how the server writes
	// it; the ISO code when empty.
	Currency     money.Currency
	CurrencyCode string
	// PerMinor is how many of the server's units make one minor unit: 100 for
	// F CFA kept with two decimals; 1 when zero.
	PerMinor int64
	// National says that numbers are sent without CountryCode
	// (subscriberNumberNAI 2 rather than 1).
	National    bool
	CountryCode string
	// Profile is the refillProfileID of airtime: it must add the nominal value
	// to the main account and nothing else.
	Profile string
	// Bundles are what is sold by product code.
	Bundles map[string]Bundle
	// SharedAccounts says that a line's account may belong to another number,
	// so that the number that the server says it refilled proves nothing.
	SharedAccounts bool
	// KeyLife is for how long the server detects an originTransactionID that
	// it has seen and answers it as it did the first time. Zero: it does not,
	// and every leg is sent at most once.
	KeyLife time.Duration
	// Lateness is the bound after which a request that was sent cannot execute
	// any more, zero when the operator names none.
	Lateness time.Duration
	// Timeout is the longest that one leg is waited for; 10 s when zero.
	Timeout time.Duration
}

// Bundle is a refill profile that fills one dedicated account.
type Bundle struct {
	// Profile is the refillProfileID.
	Profile string
	// Account is the dedicatedAccountID, the bundle's own.
	Account int64
	// Value is how much is given, in Unit.
	Value int64
	// Unit is what customers read: "MB", "min", "SMS".
	Unit string
	// Scale is how many of the server's units make one Unit; 1 when zero.
	Scale int64
}

// Partner is a UCIP server as payer and provider. It is safe for concurrent use.
type Partner struct {
	config    Config
	transport http.RoundTripper
	now       func() purchase.Instant
	lastRead  atomic.Int64 // originTransactionID of the last enquiry
}

var (
	_ purchase.Partner       = (*Partner)(nil)
	_ purchase.BalanceReader = (*Partner)(nil)
	_ partner.Prober         = (*Partner)(nil)
)

var (
	profileID = regexp.MustCompile(`^[A-Za-z0-9]{1,4}$`)
	// nodeName: the guide allows more, none of which a host name needs.
	nodeName = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)
)

// maxAmount is the largest amount that the protocol carries, in the server's units.
const maxAmount = 999_999_999_999

// New returns the adapter of a configured server. The transport's connections
// bound how many calls are under way; now dates enquiries and expiries.
func New(config Config, transport http.RoundTripper, now func() purchase.Instant) (*Partner, error) {
	for value, otherwise := range map[*string]string{&config.UserAgent: "UGw Server/5.0/1.0", &config.NodeType: "EXT",
		&config.CurrencyCode: string(config.Currency)} {
		if *value == "" {
			*value = otherwise
		}
	}
	if config.Timeout == 0 {
		config.Timeout = 10 * time.Second
	}
	config.PerMinor = max(config.PerMinor, 1)
	config.Bundles = maps.Clone(config.Bundles)
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("ucip %q: %w", config.Name, err)
	}
	return &Partner{config: config, transport: transport, now: now}, nil
}

func (c *Config) check() error {
	switch {
	case c.Name == "" || c.URL == "":
		return errors.New("name and url are needed")
	case !nodeName.MatchString(c.NodeType) || !nodeName.MatchString(c.HostName):
		return errors.New("node type and host name are needed, of letters, digits, dots and hyphens")
	case !profileID.MatchString(c.Profile):
		return errors.New("profile of airtime must be 1 to 4 letters or digits")
	case c.National && !regexp.MustCompile(`^[1-9][0-9]{0,2}$`).MatchString(c.CountryCode):
		return errors.New("national numbers need a country code of 1 to 3 digits")
	case c.PerMinor > 1_000_000:
		return errors.New("per_minor must be at most 1 000 000")
	case c.Timeout < 0 || c.KeyLife < 0 || c.Lateness < 0:
		return errors.New("timeout, key life and lateness must not be negative")
	case c.KeyLife > 0 && c.KeyLife <= c.Timeout:
		return errors.New("key life must exceed timeout")
	}
	if _, err := money.ParseCurrency(string(c.Currency)); err != nil {
		return err
	}
	accounts := map[int64]string{}
	for code, b := range c.Bundles {
		b.Scale = max(b.Scale, 1)
		c.Bundles[code] = b
		if !profileID.MatchString(b.Profile) || b.Account < 1 || b.Account > 1<<31-1 || b.Value < 1 || b.Value > maxAmount/b.Scale {
			return fmt.Errorf("bundle %q: profile, account, value or scale makes no sense", code)
		}
		if other, taken := accounts[b.Account]; taken {
			return fmt.Errorf("bundles %q and %q share dedicated account %d", code, other, b.Account)
		}
		accounts[b.Account] = code
	}
	return nil
}

// Name is the partner's name in configuration, ledger and reports.
func (p *Partner) Name() string { return p.config.Name }

// Capability is the same for every leg, and as configured.
func (p *Partner) Capability(leg purchase.Leg) purchase.Capability {
	if leg < purchase.Charge || leg > purchase.Reversal {
		return purchase.Capability{}
	}
	return purchase.Capability{Supported: true, Idempotent: p.config.KeyLife > 0, KeyLife: p.config.KeyLife,
		Lateness: p.config.Lateness, Timeout: p.config.Timeout}
}

// Query is not offered: see the package comment.
func (p *Partner) Query(context.Context, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown, Detail: "UCIP has no query of a transaction"}
}

// Cancel is not offered: see the package comment.
func (p *Partner) Cancel(context.Context, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown, Detail: "UCIP cannot cancel a transaction"}
}

// Do asks for the leg once. A debit's first try is preceded by an enquiry, so
// that a poor or unknown account is refused without anything being sent; that
// it suffices is decided by the server, which refuses a debit below the minimum
// balance. A resend has the very bytes of the first try.
func (p *Partner) Do(ctx context.Context, o purchase.Order) purchase.Outcome {
	r, refusal := p.plan(&o)
	if refusal != nil {
		return *refusal
	}
	if r.debit && o.Try <= 1 {
		if refusal := p.admit(ctx, r); refusal != nil {
			return *refusal
		}
	}
	answer, err := p.call(ctx, r.method, r.members)
	switch {
	case errors.Is(err, partner.ErrUnsent):
		return purchase.Outcome{Kind: purchase.Unsent, Detail: partner.Detail(err.Error())}
	case err != nil:
		return purchase.Outcome{Kind: purchase.Unknown, Detail: partner.Detail(err.Error())}
	}
	return p.outcome(&o, r, answer)
}

// request is a planned call.
type request struct {
	method  string
	members xmlrpc.Struct
	debit   bool
	number  string  // as the server writes it
	units   int64   // what moves, in the server's units: of main account or bundle
	bundle  *Bundle // whose dedicated account moves, nil for the main account
}

// plan builds an order's call, or returns why it is refused without being sent.
func (p *Partner) plan(o *purchase.Order) (*request, *purchase.Outcome) {
	refuse := func(reason purchase.Reason, detail string) (*request, *purchase.Outcome) {
		return nil, &purchase.Outcome{Kind: purchase.Refused, Reason: reason, Detail: detail}
	}
	number, fits := p.number(o.Account)
	switch {
	case !p.Capability(o.Leg).Supported:
		return refuse(purchase.ReasonOther, "no such leg")
	case o.Amount.Currency != p.config.Currency || o.Amount.Minor <= 0:
		return refuse(purchase.ReasonOther, "no positive amount of "+string(p.config.Currency))
	case o.Amount.Minor > maxAmount/p.config.PerMinor:
		return refuse(purchase.ReasonLimit, "larger than the protocol carries")
	case !fits:
		return refuse(purchase.ReasonUnknownLine, "not a number of this server's country")
	}
	r := &request{number: number, units: o.Amount.Minor * p.config.PerMinor,
		debit: o.Leg == purchase.Charge || o.Leg == purchase.Reversal}
	if o.Bundle && (o.Leg == purchase.Credit || o.Leg == purchase.Reversal) {
		bundle, known := p.config.Bundles[o.Product]
		if !known {
			return refuse(purchase.ReasonProduct, "bundle is not configured")
		}
		r.bundle = &bundle
	}
	r.members = p.header(number, o.Key.Digits(), o.FirstAt)
	r.members["transactionCurrency"] = p.config.CurrencyCode
	r.members["externalData1"] = string(o.Reference)
	if p.config.Operator != "" {
		r.members["originOperatorID"] = p.config.Operator
	}
	if o.Leg == purchase.Credit {
		r.refill(p.config.Profile)
	} else {
		r.adjust()
	}
	return r, nil
}

// refill makes the request a voucherless refill (section 6.16).
func (r *request) refill(profile string) {
	r.method = "Refill"
	r.members["transactionAmount"] = strconv.FormatInt(r.units, 10)
	r.members["refillProfileID"] = profile
	r.members["requestRefillAccountBeforeFlag"] = true
	r.members["requestRefillAccountAfterFlag"] = true
	if r.bundle != nil {
		r.members["refillProfileID"] = r.bundle.Profile
		r.units = r.bundle.Value * r.bundle.Scale
	}
}

// adjust makes the request a relative adjustment (section 6.18).
func (r *request) adjust() {
	r.method = "UpdateBalanceAndDate"
	into, sign := r.members, int64(1)
	if r.bundle != nil {
		into = xmlrpc.Struct{"dedicatedAccountID": r.bundle.Account}
		r.members["dedicatedAccountUpdateInformation"] = []any{into}
		r.units = r.bundle.Value * r.bundle.Scale
	}
	if r.debit {
		sign = -1
	}
	into["adjustmentAmountRelative"] = strconv.FormatInt(sign*r.units, 10)
}
