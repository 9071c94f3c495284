// Package gsma is the payer adapter for the GSMA Mobile Money API 1.2: it
// charges a customer's wallet by a merchant payment and gives back by a
// reversal. It knows the protocol's objects and nothing of the engine that
// asks, nor of other partners.
//
// Our key is the request's X-CorrelationID, from which the wallet finds what
// became of it (GET /responses/{clientCorrelationId}) and which its callbacks
// carry.
package gsma

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tenu/internal/partner"
	"tenu/internal/purchase"
)

// Config says how to reach a wallet and what it promises. Whoever fills it in
// has read the wallet's contract: safety rests on it.
type Config struct {
	// Name is the partner's name in configuration, ledger and reports.
	Name string
	// URL is the address that the paths of the API are appended to, as in
	// "https://wallet.example/mm/v1.2".
	URL string
	// APIKey and ClientID are sent as X-API-Key and X-Client-Id when not empty.
	APIKey, ClientID string
	// Merchant identifies the account that charges are paid to, as in
	// {"organisationid", "tenu"}.
	Merchant Party
	// CallbackURL is sent as X-Callback-URL when not empty: where the wallet
	// may PUT what became of a request.
	CallbackURL string
	// CallbackKeys authenticate callbacks: at least 32 bytes each. More than
	// one only while they are changed; every one is accepted.
	CallbackKeys [][]byte
	// CallbackAge is how far a callback's date may be from now (default 5 minutes).
	CallbackAge time.Duration
	// NotIdempotent: the wallet does not look at X-CorrelationID, so a leg may
	// be sent only once.
	NotIdempotent bool
	// KeyLife is how long the wallet remembers a key (default 24 hours).
	KeyLife time.Duration
	// Lateness is the longest time after a request at which the wallet may
	// still execute it, the customer's time to approve included. Zero: no bound
	// is known.
	Lateness time.Duration
	// Timeout is the longest that one call is waited for (default 10 s).
	Timeout time.Duration
}

// Wallet is a wallet as a payer. It is safe for concurrent use.
type Wallet struct {
	config    Config
	keys      *purchase.Keyring
	transport http.RoundTripper
	now       func() purchase.Instant
}

var (
	_ purchase.Partner = (*Wallet)(nil)
	_ partner.Prober   = (*Wallet)(nil)
)

// New returns the adapter of a configured wallet, or an error that names what
// is wrong with the configuration. keys finds the purchase of a callback; the
// transport's connections bound how many calls are under way.
func New(config Config, keys *purchase.Keyring, transport http.RoundTripper, now func() purchase.Instant) (*Wallet, error) {
	for _, d := range []struct {
		of        *time.Duration
		otherwise time.Duration
	}{{&config.CallbackAge, 5 * time.Minute}, {&config.KeyLife, 24 * time.Hour}, {&config.Timeout, 10 * time.Second}} {
		if *d.of == 0 {
			*d.of = d.otherwise
		}
	}
	base, err := url.Parse(config.URL)
	switch {
	case config.Name == "":
		return nil, errors.New("gsma: the wallet needs a name")
	case err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.RawQuery != "":
		return nil, fmt.Errorf("gsma %s: url must be an http or https address without a query", config.Name)
	case config.Merchant.Key == "" || config.Merchant.Value == "":
		return nil, fmt.Errorf("gsma %s: the merchant account is needed", config.Name)
	case config.CallbackURL != "" && len(config.CallbackKeys) == 0:
		return nil, fmt.Errorf("gsma %s: callbacks need a key to authenticate them", config.Name)
	case config.Timeout < 0 || config.Lateness < 0 || config.CallbackAge < 0 || config.KeyLife <= config.Timeout:
		return nil, fmt.Errorf("gsma %s: key life must exceed timeout, and no time be negative", config.Name)
	}
	for _, key := range config.CallbackKeys {
		if len(key) < 32 {
			return nil, fmt.Errorf("gsma %s: a callback key has %d bytes, 32 needed", config.Name, len(key))
		}
	}
	config.URL = strings.TrimSuffix(config.URL, "/")
	return &Wallet{config, keys, transport, now}, nil
}

// Name is the partner's name in configuration, ledger and reports.
func (l *Wallet) Name() string { return l.config.Name }

// Capability is what the configuration declares for charges and refunds; a
// wallet executes no other leg. The API has no tombstone.
func (l *Wallet) Capability(leg purchase.Leg) purchase.Capability {
	if leg != purchase.Charge && leg != purchase.Refund {
		return purchase.Capability{}
	}
	c := purchase.Capability{Supported: true, Query: true, Lateness: l.config.Lateness, Timeout: l.config.Timeout}
	if !l.config.NotIdempotent {
		c.Idempotent, c.KeyLife = true, l.config.KeyLife
	}
	return c
}

// Do asks the wallet to charge or to give back.
func (l *Wallet) Do(ctx context.Context, o purchase.Order) purchase.Outcome {
	var path string
	customer := []Party{{"msisdn", o.Account.String()}}
	order := request{Reference: string(o.Reference), Amount: o.Amount.Decimal(), Currency: string(o.Amount.Currency),
		Text: o.Reference.String(), RequestDate: o.FirstAt.Time().Format(time.RFC3339)}
	switch {
	case o.Leg == purchase.Charge:
		path = "/transactions/type/merchantpay"
		order.DebitParty, order.CreditParty = customer, []Party{l.config.Merchant}
	case o.Leg == purchase.Refund && o.Original != "":
		path = "/transactions/" + url.PathEscape(o.Original) + "/reversals"
		order.DebitParty, order.CreditParty = []Party{l.config.Merchant}, customer
		order.Type = "reversal"
	default:
		return purchase.Outcome{Kind: purchase.Refused, Reason: purchase.ReasonOther,
			Detail: "a wallet only charges, and gives back what it has charged"}
	}
	content, err := json.Marshal(order)
	if err != nil {
		return purchase.Outcome{Kind: purchase.Unsent, Detail: detail("write request", err)}
	}
	answer, err := l.exchange(ctx, http.MethodPost, path, content, o.Key.UUID())
	switch {
	case errors.Is(err, partner.ErrUnsent):
		return purchase.Outcome{Kind: purchase.Unsent, Detail: detail("not sent", err)}
	case err != nil:
		return unknown("no answer", err)
	case answer.Status == http.StatusCreated:
		return l.read(ctx, &o, answer.Body, readTransaction)
	case answer.Status == http.StatusAccepted:
		return l.read(ctx, &o, answer.Body, readRequestState)
	}
	return refusal(answer)
}

// Query asks what became of the order's key: first for the link to it, then for
// what the link leads to.
func (l *Wallet) Query(ctx context.Context, o purchase.Order) purchase.Outcome {
	answer, err := l.exchange(ctx, http.MethodGet, "/responses/"+o.Key.UUID(), nil, "")
	if err != nil {
		return unknown("no answer to the query", err)
	}
	if answer.Status != http.StatusOK {
		return absence(answer)
	}
	var found response
	if err := decode(answer.Body, &found); err != nil {
		return unknown("response", err)
	}
	kind, id := found.target()
	switch kind {
	case "transactions":
		return l.transaction(ctx, &o, id)
	case "requeststates":
		return l.requestState(ctx, &o, id)
	}
	return purchase.Outcome{Kind: purchase.Unknown, Detail: "the response links to something else"}
}

// Cancel is not part of the API, so Capability does not offer it.
func (l *Wallet) Cancel(context.Context, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown, Detail: "a wallet cannot cancel a key"}
}

// transaction asks for a transaction by the wallet's reference.
func (l *Wallet) transaction(ctx context.Context, o *purchase.Order, ref string) purchase.Outcome {
	answer, err := l.exchange(ctx, http.MethodGet, "/transactions/"+url.PathEscape(ref), nil, "")
	switch {
	case err != nil:
		return unknown("no answer to the query", err)
	case answer.Status != http.StatusOK:
		return stated(answer)
	}
	t, err := readTransaction(answer.Body)
	if err != nil {
		return unknown("transaction", err)
	}
	return t.outcome(o)
}

// requestState asks for the state of a request that was not decided at once.
func (l *Wallet) requestState(ctx context.Context, o *purchase.Order, id string) purchase.Outcome {
	answer, err := l.exchange(ctx, http.MethodGet, "/requeststates/"+url.PathEscape(id), nil, "")
	switch {
	case err != nil:
		return unknown("no answer to the query", err)
	case answer.Status != http.StatusOK:
		return stated(answer)
	}
	return l.read(ctx, o, answer.Body, readRequestState)
}

// read makes an outcome of an object, and asks for the transaction where the
// object says that there is one and not what it moved.
func (l *Wallet) read(ctx context.Context, o *purchase.Order, body []byte, as func([]byte) (object, error)) purchase.Outcome {
	found, err := as(body)
	if err != nil {
		return unknown("answer", err)
	}
	if ref := found.elsewhere(); ref != "" {
		return l.transaction(ctx, o, ref)
	}
	return found.outcome(o)
}

// maxAnswer bounds the bytes of an answer that are read. The protocol's longest
// object that is asked for here has a few thousand.
const maxAnswer = 64 << 10

// exchange sends one request and reads the answer.
func (l *Wallet) exchange(ctx context.Context, method, path string, body []byte, key string) (*partner.Answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, l.config.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", partner.ErrUnsent, err)
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("X-Date", l.now().Time().Format(time.RFC3339))
	if body != nil {
		sum := sha256.Sum256(body)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Content-Hash", hex.EncodeToString(sum[:]))
	}
	if key != "" {
		r.Header.Set("X-CorrelationID", key)
		if l.config.CallbackURL != "" {
			r.Header.Set("X-Callback-URL", l.config.CallbackURL)
		}
	}
	if l.config.APIKey != "" {
		r.Header.Set("X-API-Key", l.config.APIKey)
	}
	if l.config.ClientID != "" {
		r.Header.Set("X-Client-Id", l.config.ClientID)
	}
	return partner.Exchange(l.transport, r, maxAnswer)
}

// Probe asks for the wallet's heartbeat. Anything but a heartbeat is unavailable.
func (l *Wallet) Probe(ctx context.Context) partner.Health {
	answer, err := l.exchange(ctx, http.MethodGet, "/heartbeat", nil, "")
	if err != nil {
		return partner.Health{Status: partner.Unavailable, Detail: detail("heartbeat", err)}
	}
	var beat heartbeat
	if answer.Status != http.StatusOK || decode(answer.Body, &beat) != nil {
		return partner.Health{Status: partner.Unavailable, Detail: fmt.Sprintf("heartbeat: answer %d", answer.Status)}
	}
	return beat.health()
}
