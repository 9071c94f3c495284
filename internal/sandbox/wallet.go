package sandbox

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Decision is what a wallet's customer does when asked to approve a charge
// with the PIN.
type Decision string

// The decisions.
const (
	Approve Decision = "approve"
	Deny    Decision = "deny"
	Ignore  Decision = "ignore" // until the request expires
)

// Phone is a number with a behaviour of its own.
type Phone struct {
	// Balance is its opening balance in minor units; zero stands for none.
	Balance int64
	// Status is "available", "unavailable" or "unregistered"; "" stands for available.
	Status string
	// Decision on a charge; "" stands for Approve.
	Decision Decision
	// After is how long the customer takes to decide.
	After time.Duration
}

// WalletConfig is what a sandbox wallet is built from.
type WalletConfig struct {
	Config
	Currency money.Currency
	// Opening is the balance, in minor units, that a number has on first use.
	Opening int64
	// Phones are numbers, without the plus sign, that behave otherwise.
	Phones map[string]Phone
	// MerchantKey and Merchant identify the account that charges are paid to,
	// as in "organisationid" and "tenu".
	MerchantKey, Merchant string
	// APIKey is asked for in X-API-Key; "" stands for none.
	APIKey string
	// Async has every request answered 202 and decided afterwards. Without it
	// that is so only where the customer takes time.
	Async bool
	// After is how long customers take to approve.
	After time.Duration
	// Expiry is how long a customer has to approve (default 5 minutes).
	Expiry time.Duration
	// KeyLife is how long a key is remembered (default 24 hours).
	KeyLife time.Duration
	// Forgetful: keys are not looked at, every request is executed.
	Forgetful bool
	// RefuseDuplicates: a known key is answered with duplicateRequest rather
	// than with the first answer again.
	RefuseDuplicates bool
	// CallbackKey signs callbacks.
	CallbackKey []byte
	// CallbackRetries is how many times more a callback that was not accepted is
	// sent, CallbackPause apart (default 10 s).
	CallbackRetries int
	CallbackPause   time.Duration
}

// Wallet is a mobile money wallet that speaks the GSMA Mobile Money API 1.2:
// merchant payments, reversals, request states, responses by correlation
// identifier, accounts and heartbeat. It is an http.Handler; Step or Run does
// what is due later.
type Wallet struct {
	*core
	config WalletConfig
	mux    *http.ServeMux
	client *http.Client
}

// walletOffer lists the faults of each of the wallet's operations.
func walletOffer() map[string][]Kind {
	answer := []Kind{LoseRequest, Outage, LoseReply, SlowAnswer, ServerError, Drip, Huge, Garbage}
	movement := append([]Kind{Refuse, ForgetKey, Conflict, Late, Twice, Lie, WrongAmount, WrongCurrency, WrongNumber,
		Partial, ReverseLater, CachedError, CallbackEarly}, answer...)
	return map[string][]Kind{
		"charge":    append([]Kind{Unapproved, Unanswered}, movement...),
		"refund":    movement,
		"query":     append([]Kind{NotFound}, answer...),
		"account":   append([]Kind{NotFound}, answer...),
		"heartbeat": append([]Kind{Degraded}, answer...),
		"callback":  {CallbackTwice, CallbackLate, CallbackLost, CallbackForged, CallbackReplayed},
	}
}

// NewWallet opens the wallet's book and returns it ready to serve. Close must be called.
func NewWallet(ctx context.Context, config WalletConfig) (*Wallet, error) {
	if _, err := money.ParseCurrency(string(config.Currency)); err != nil {
		return nil, fmt.Errorf("start wallet %s: %w", config.Name, err)
	}
	if config.Merchant == "" || config.MerchantKey == "" || config.Opening < 0 || config.CallbackRetries < 0 {
		return nil, fmt.Errorf("start wallet %s: a merchant account, an opening balance and retries not below zero are needed", config.Name)
	}
	for _, d := range []struct {
		of        *time.Duration
		otherwise time.Duration
	}{{&config.Expiry, 5 * time.Minute}, {&config.KeyLife, 24 * time.Hour}, {&config.CallbackPause, 10 * time.Second}} {
		if *d.of <= 0 {
			*d.of = d.otherwise
		}
	}
	c, err := newCore(ctx, config.Config, "MP", walletOffer())
	if err != nil {
		return nil, err
	}
	wallet := &Wallet{core: c, config: config, mux: http.NewServeMux(), client: callbackClient()}
	c.jobs[dueExecute] = wallet.executeLate
	c.jobs[dueDecide] = wallet.decide
	c.jobs[dueReverse] = wallet.reverse
	c.jobs[dueCallback] = wallet.callBack
	c.jobs[dueReplay] = wallet.replayCallback
	wallet.routes()
	return wallet, nil
}

// Close finishes what is under way and closes the book. Run must have ended.
func (l *Wallet) Close() error {
	l.client.CloseIdleConnections()
	return l.core.Close()
}

// ServeHTTP answers the wallet's protocol and the sandbox's own requests.
func (l *Wallet) ServeHTTP(w http.ResponseWriter, r *http.Request) { l.mux.ServeHTTP(w, r) }

func (l *Wallet) routes() {
	l.core.routes(l.mux)
	handlers := map[string]func(*walletCall){
		"POST /transactions/{reference}/reversals":                 l.refund,
		"GET /transactions/{reference}":                            l.showTransaction,
		"GET /requeststates/{id}":                                  l.showRequestState,
		"GET /responses/{id}":                                      l.showResponse,
		"GET /accounts/{identifierType}/{identifier}/balance":      l.showBalance,
		"GET /accounts/{identifierType}/{identifier}/status":       l.showStatus,
		"GET /accounts/{identifierType}/{identifier}/transactions": l.showHistory,
		"GET /heartbeat":                                           l.showHeartbeat,
	}
	for _, kind := range []string{"billpay", "deposit", "disbursement", "transfer", "merchantpay", "inttransfer", "adjustment",
		"reversal", "withdrawal"} {
		handlers["POST /transactions/type/"+kind] = func(c *walletCall) { l.charge(c, kind) }
	}
	for pattern, handle := range handlers {
		l.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			call := &walletCall{wallet: l, w: w, r: r, now: l.Clock.Now()}
			w.Header().Set("X-Date", isoTime(call.now))
			if subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Api-Key")), []byte(l.config.APIKey)) == 0 && l.config.APIKey != "" {
				call.fail(errClient)
				return
			}
			handle(call)
		})
	}
}

// walletCall is one request under way.
type walletCall struct {
	wallet *Wallet
	w      http.ResponseWriter
	r      *http.Request
	now    purchase.Instant
	hits   Hits
}

// draw decides the call's faults, and ends it there for those that come before
// execution: then it returns false.
func (c *walletCall) draw(operation, number string) bool {
	c.hits = c.wallet.faults.Draw(operation, number)
	switch {
	case c.hits.Has(LoseRequest):
		cut()
	case c.hits.Has(Outage):
		c.fail(errOutage)
	case c.hits.Has(NotFound):
		c.fail(errUnknown)
	case c.hits.Has(Conflict):
		c.reply(http.StatusConflict, errDuplicate.object(c.now))
	default:
		f, refused := c.hits.Find(Refuse)
		if refused {
			c.fail(errorOf(f.Code))
		}
		return !refused
	}
	return false
}

// reply answers with a JSON object, as the call's faults have it.
func (c *walletCall) reply(status int, object any) {
	if c.hits.Has(ServerError) || c.hits.Has(CachedError) {
		status, object = http.StatusInternalServerError, errInternal.object(c.now)
	}
	body, err := json.Marshal(object)
	if err != nil {
		c.wallet.Log.Error("sandbox answer cannot be written", "error", err)
		cut()
	}
	c.wallet.answer(c.w, c.r, c.hits, status, "application/json", body)
}

func (c *walletCall) fail(e *walletError) { c.reply(e.status(), e.object(c.now)) }

// broken answers for a book that failed: nothing is known.
func (c *walletCall) broken(err error) {
	if !errors.Is(err, context.Canceled) {
		c.wallet.Log.Error("sandbox book failed", "partner", c.wallet.Name, "error", err)
	}
	c.fail(errInternal)
}

// maxWalletBody bounds a request's body.
const maxWalletBody = 64 << 10

// body reads the request's body and its hash.
func (c *walletCall) body(into any) (hash string, problem *walletError) {
	data, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxWalletBody))
	if err != nil {
		return "", errLength
	}
	if err := json.Unmarshal(data, into); err != nil {
		return "", errFormat
	}
	sum := sha256.Sum256(data)
	hash = hex.EncodeToString(sum[:])
	if stated := c.r.Header.Get("X-Content-Hash"); stated != "" && !strings.EqualFold(stated, hash) {
		return "", errFormat
	}
	return hash, nil
}

func isoTime(i purchase.Instant) string { return i.Time().Format("2006-01-02T15:04:05.000Z") }

// serverID is the correlation identifier that the wallet gives a movement.
func (l *Wallet) serverID(seq int64) string {
	sum := sha256.Sum256([]byte(l.Name + "/" + strconv.FormatInt(seq, 10)))
	tail := hex.EncodeToString(sum[:10])
	head := fmt.Sprintf("%012x", seq)
	return head[:8] + "-" + head[8:] + "-8" + tail[1:4] + "-8" + tail[5:8] + "-" + tail[8:20]
}

// byServerID returns the movement that serverID was given to, or ErrNoEntry.
func (l *Wallet) byServerID(ctx context.Context, id string) (Movement, error) {
	if len(id) != 36 {
		return Movement{}, ErrNoEntry
	}
	id = strings.ToLower(id)
	seq, err := strconv.ParseInt(id[:8]+id[9:13], 16, 64)
	if err != nil || l.serverID(seq) != id {
		return Movement{}, ErrNoEntry
	}
	list, err := l.book.Movements(ctx, seq-1, 1)
	if err != nil || len(list) == 0 || list[0].Seq != seq {
		return Movement{}, errors.Join(err, emptyIs(0, err))
	}
	return list[0], nil
}
