// Package cgrates is the adapter of CGRateS 0.10, an open-source charging
// system, over JSON-RPC by HTTP POST. It executes all four legs: credits and
// reversals as a provider, charges and refunds of a customer's main balance as
// a payer. It knows neither the engine nor other partners.
//
// CGRateS has no idempotency key, but its record store accepts a record's ID
// once. Every leg is therefore a set of actions, stored under our key and
// executed on the account, one of which writes a record whose ID follows from
// our key. CGRateS executes the set under the account's lock and keeps the
// account only if every action succeeded (engine/action_plan.go, Execute), so:
//
//   - a second execution of a key fails on its record and changes nothing;
//   - the record is the evidence, found by its ID, and is written before the
//     changed account becomes visible;
//   - a tombstone is a record under the same ID, written under the same lock
//     without a movement: whichever of the two comes first wins, and an execution
//     that was under way ends before the tombstone's begins;
//   - a debit tests the balance inside the lock and cannot overdraw;
//   - an account that does not exist is never created, only skipped.
//
// Three weaknesses of CGRateS remain, all found by reconciliation and all its
// own breach. It does not report an error of its account store after the record
// was written. A process killed between the two writes, microseconds apart,
// leaves a record without its movement. And so does one that waits longer for
// its record store than general.reply_timeout (2 s unless set): it takes the
// action for failed and drops the account, while the store still writes the
// record. Set it beyond any pause that the machine may make, as in "1h".
package cgrates

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"time"

	"tenu/internal/money"
	"tenu/internal/partner"
	"tenu/internal/purchase"
)

// Config says how to reach a CGRateS and what it keeps where.
type Config struct {
	// Name is the partner's name in configuration, ledger and reports.
	Name string
	// URL is the JSON-RPC address, as in "http://ocs.example:2080/jsonrpc".
	URL string
	// User and Password are of HTTP basic authentication; no User, none.
	User, Password string
	// Tenant owns the accounts; "cgrates.org" when empty.
	Tenant string
	// Currency is that of every account.
	Currency money.Currency
	// MainBalance is the ID of the monetary balance that airtime goes to and
	// charges come from; "*default" when empty. It never expires.
	MainBalance string
	// Bundles are what is sold by product code.
	Bundles map[string]Bundle
	// Timeout is the longest that one leg, query or cancellation is waited
	// for; 10 s when zero.
	Timeout time.Duration
	// KeyLife is how long records are kept before they are purged, and with
	// them the memory of our keys; 30 days when zero.
	KeyLife time.Duration
}

// Bundle is one balance that a product gives.
type Bundle struct {
	// Type is the CGRateS balance type: "*data", "*voice", "*sms", "*generic".
	Type string
	// Value is how much is given, in Unit.
	Value int64
	// Unit is what customers read: "MB", "min", "SMS".
	Unit string
	// Scale is how many of CGRateS's own units make one Unit: 1 048 576 for MB
	// of bytes, 60 000 000 000 for minutes of nanoseconds; 1 when zero.
	Scale int64
	// Validity is how long after the credit it lasts, to the second; zero: for ever.
	Validity time.Duration
}

// Partner is a CGRateS as payer and provider. It is safe for concurrent use.
type Partner struct {
	config    Config
	transport http.RoundTripper
	now       func() purchase.Instant
}

var (
	_ purchase.Partner       = (*Partner)(nil)
	_ purchase.BalanceReader = (*Partner)(nil)
	_ partner.Prober         = (*Partner)(nil)
)

// plain is what CGRateS takes literally in a record's field: its field language
// gives a meaning to ~ ; = ( ) { } and more (config/rsrparser.go).
var plain = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// New returns the adapter of a configured CGRateS. The transport's connections
// bound how many calls are under way; now dates the expiry of balances.
func New(config Config, transport http.RoundTripper, now func() purchase.Instant) (*Partner, error) {
	if config.Tenant == "" {
		config.Tenant = "cgrates.org"
	}
	if config.MainBalance == "" {
		config.MainBalance = "*default"
	}
	if config.Timeout == 0 {
		config.Timeout = 10 * time.Second
	}
	if config.KeyLife == 0 {
		config.KeyLife = 30 * 24 * time.Hour
	}
	if config.Name == "" || config.URL == "" {
		return nil, errors.New("cgrates: name and url are needed")
	}
	if _, err := money.ParseCurrency(string(config.Currency)); err != nil {
		return nil, fmt.Errorf("cgrates %s: %w", config.Name, err)
	}
	if config.Timeout < 0 || config.KeyLife <= config.Timeout {
		return nil, fmt.Errorf("cgrates %s: key life must exceed timeout, and both be positive", config.Name)
	}
	config.Bundles = maps.Clone(config.Bundles)
	for code, b := range config.Bundles {
		b.Scale = max(b.Scale, 1)
		config.Bundles[code] = b
		if !plain.MatchString(code) || b.Type == "" || b.Value <= 0 || b.Value > 1<<53/b.Scale ||
			!countable(b.Value*b.Scale) || b.Validity < 0 || b.Validity%time.Second != 0 {
			return nil, fmt.Errorf("cgrates %s: bundle %q: code, type, value, scale or validity makes no sense", config.Name, code)
		}
	}
	return &Partner{config, transport, now}, nil
}

// Name is the partner's name in configuration, ledger and reports.
func (p *Partner) Name() string { return p.config.Name }

// Capability is the same for every leg: the package comment says what it rests on.
func (p *Partner) Capability(leg purchase.Leg) purchase.Capability {
	if leg < purchase.Charge || leg > purchase.Reversal {
		return purchase.Capability{}
	}
	return purchase.Capability{Supported: true, Idempotent: true, KeyLife: p.config.KeyLife,
		Query: true, Tombstone: true, Timeout: p.config.Timeout}
}

// Do stores the order's actions, executes them, and returns what the record
// says. Whatever fails before the execution is asked for is Unsent, since
// nothing that moves anything has left.
func (p *Partner) Do(ctx context.Context, o purchase.Order) purchase.Outcome {
	m, refusal := p.plan(&o)
	if refusal != nil {
		return *refusal
	}
	if o.Try > 1 { // an earlier try may have changed what admit looks at
		if found := p.evidence(ctx, &o, &m); found.Kind != purchase.Absent && found.Kind != purchase.Unknown {
			return found
		}
	}
	if refusal := p.admit(ctx, &o, &m); refusal != nil {
		return *refusal
	}
	if err := p.setActions(ctx, m.key, m.actions(&o)); err != nil {
		return purchase.Outcome{Kind: purchase.Unsent, Detail: partner.Detail("SetActions: " + err.Error())}
	}
	err := p.execute(ctx, o.Account, m.key)
	if errors.Is(err, partner.ErrUnsent) {
		return purchase.Outcome{Kind: purchase.Unsent, Detail: partner.Detail("ExecuteAction: " + err.Error())}
	}
	found := p.evidence(ctx, &o, &m)
	switch {
	case found.Kind == purchase.Unknown:
		return found
	case found.Kind != purchase.Absent:
	case err != nil:
		return unknown("ExecuteAction", err)
	case !m.checked:
		return purchase.Outcome{Kind: purchase.Unknown, Detail: "executed without a record: is the account gone?"}
	default:
		found = purchase.Outcome{Kind: purchase.Refused, Reason: purchase.ReasonFunds, Detail: "the balance no longer suffices"}
	}
	p.tidy(ctx, m.key)
	return found
}

// Query looks for the record of the order's key.
func (p *Partner) Query(ctx context.Context, o purchase.Order) purchase.Outcome {
	m := p.identify(&o)
	return p.evidence(ctx, &o, &m)
}

// Cancel writes a record that keeps the order's key from ever executing, unless
// it has executed. It is written under the account's lock or, where the account
// does not exist, so that nothing can be executing, on its own.
func (p *Partner) Cancel(ctx context.Context, o purchase.Order) purchase.Outcome {
	m := p.identify(&o)
	tombstone := m.key + "-cancel"
	if err := p.setActions(ctx, tombstone, m.cancellation(&o)); err != nil {
		return unknown("SetActions", err)
	}
	if err := p.execute(ctx, o.Account, tombstone); err != nil && !answered(err) {
		return unknown("ExecuteAction", err)
	}
	found := p.evidence(ctx, &o, &m)
	if found.Kind == purchase.Absent {
		if _, err := p.account(ctx, o.Account); !errors.Is(err, purchase.ErrUnknownLine) {
			return purchase.Outcome{Kind: purchase.Unknown, Detail: "no record of the cancellation"}
		}
		if err := p.writeRecord(ctx, &o, &m); err != nil {
			return unknown("ProcessEvent", err)
		}
		found = p.evidence(ctx, &o, &m)
	}
	if found.Kind != purchase.Done && found.Kind != purchase.Cancelled {
		return purchase.Outcome{Kind: purchase.Unknown, Detail: "cancellation not on record: " + found.Detail}
	}
	p.tidy(ctx, m.key, tombstone)
	return found
}

// tidy forgets stored actions that are not needed any more. What it fails to
// remove stays as a few hundred bytes that nobody executes.
func (p *Partner) tidy(ctx context.Context, keys ...string) {
	_ = p.acknowledged(ctx, "APIerSv1.RemoveActions", map[string]any{"ActionIDs": keys})
}

func unknown(call string, err error) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown, Detail: partner.Detail(call + ": " + err.Error())}
}
