// Package push tells browsers what became of purchases, beside the SMS that says the
// same (RFC 8030, encrypted as RFC 8291 says, signed as RFC 8292 says). A push message
// is a convenience: it may be lost, and the SMS is not.
//
// It knows nothing of pages, of SQL, or of how a purchase is decided.
package push

import (
	"context"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/SherClockHolmes/webpush-go"

	"tenu/internal/customer"
	"tenu/internal/purchase"
)

// ErrSubscription says that a browser's subscription cannot be used.
var ErrSubscription = errors.New("push: not a subscription of a known push service")

// Subscription is where a browser receives push messages, and what for it is encrypted.
type Subscription struct {
	Endpoint string
	Number   purchase.MSISDN
	At       purchase.Instant
	Key      []byte // its public key, uncompressed
	Secret   []byte // shared with its browser
}

// Store keeps subscriptions. What a method changed is durable on return.
type Store interface {
	// PutSubscription keeps a subscription under its endpoint, whoever had that
	// before, and drops the oldest of its number beyond so many.
	PutSubscription(ctx context.Context, s Subscription, most int) error
	// DropSubscription forgets an endpoint of a number, if it is there.
	DropSubscription(ctx context.Context, number purchase.MSISDN, endpoint string) error
	// Subscriptions returns those of numbers.
	Subscriptions(ctx context.Context, numbers ...purchase.MSISDN) ([]Subscription, error)
	// Choices returns what a number chose.
	Choices(ctx context.Context, number purchase.MSISDN) (customer.Choices, error)
}

// Config is what a sender is built from. All but the transport is needed.
type Config struct {
	Store  Store
	Clock  purchase.Clock
	Log    *slog.Logger
	Secret []byte // of the installation, from which the key is made
	Brand  string
	// Contact is who a push service may ask: "mailto:..." or "https://...".
	Contact string
	// Services are the hosts of push services, each with all below it. Nothing is
	// sent elsewhere, whatever a browser says.
	Services []string
	// Reference gives a purchase its public name.
	Reference func(purchase.ID) purchase.Reference
	// Transport reaches push services (default http.DefaultTransport).
	Transport http.RoundTripper
}

// KnownServices are the push services of the browsers in use.
var KnownServices = []string{"fcm.googleapis.com", "push.services.mozilla.com", "notify.windows.com", "push.apple.com"}

// The bounds of what is kept and sent.
const (
	maxPerNumber = 5
	maxEndpoint  = 1000
	queued       = 4096 // notices that wait; more are left to the SMS
	atOnce       = 16
	sendWithin   = 10 * time.Second
	keptFor      = 24 * time.Hour // by the push service, for a phone that is off
	record       = 1024           // bytes of a message, padded
	signedFor    = 12 * time.Hour // at most 24 h (RFC 8292 section 2)
)

// Sender sends push messages. It is safe for concurrent use.
type Sender struct {
	cfg             Config
	client          *http.Client
	public, private string
	queue           chan purchase.Notice
}

// New returns a sender, or an error that says what cannot be.
func New(cfg Config) (*Sender, error) {
	if cfg.Store == nil || cfg.Clock == nil || cfg.Log == nil || cfg.Reference == nil || len(cfg.Secret) < 16 || len(cfg.Services) == 0 {
		return nil, errors.New("push: store, clock, log, reference, a secret of 16 bytes and push services are needed")
	}
	if contact, err := url.Parse(cfg.Contact); err != nil || contact.Scheme != "mailto" && contact.Scheme != "https" {
		return nil, fmt.Errorf("push: %q is not an address such as mailto:somebody@example.com", cfg.Contact)
	}
	key, err := signingKey(cfg.Secret)
	if err != nil {
		return nil, err
	}
	text := base64.RawURLEncoding
	return &Sender{cfg: cfg, public: text.EncodeToString(key.PublicKey().Bytes()), private: text.EncodeToString(key.Bytes()),
		client: &http.Client{Transport: cfg.Transport, Timeout: sendWithin, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		queue:  make(chan purchase.Notice, queued)}, nil
}

// signingKey is the installation's key for RFC 8292. It must never change: browsers
// are subscribed to it.
func signingKey(secret []byte) (*ecdh.PrivateKey, error) {
	for i := range 100 {
		seed, err := hkdf.Key(sha256.New, secret, nil, fmt.Sprintf("tenu push 1 %d", i), 32)
		if err != nil {
			return nil, fmt.Errorf("push: %w", err)
		}
		if key, err := ecdh.P256().NewPrivateKey(seed); err == nil { // one in 2^32 is none
			return key, nil
		}
	}
	return nil, errors.New("push: the secret gives no key")
}

// Key is what browsers subscribe to: the public key, in unpadded base64url.
func (s *Sender) Key() string { return s.public }

// Subscribe keeps a number's subscription, as PushSubscription.toJSON of the Push API
// gives it. It returns ErrSubscription for one that cannot be used. Durable on return.
func (s *Sender) Subscribe(ctx context.Context, number purchase.MSISDN, subscription string) error {
	sub, err := s.parse(subscription)
	if err != nil {
		return err
	}
	sub.Number, sub.At = number, s.cfg.Clock.Now()
	if err := s.cfg.Store.PutSubscription(ctx, sub, maxPerNumber); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

// Unsubscribe forgets a number's subscription. Durable on return.
func (s *Sender) Unsubscribe(ctx context.Context, number purchase.MSISDN, subscription string) error {
	sub, err := s.parse(subscription)
	if err != nil {
		return err
	}
	if err := s.cfg.Store.DropSubscription(ctx, number, sub.Endpoint); err != nil {
		return fmt.Errorf("unsubscribe: %w", err)
	}
	return nil
}

// parse reads what a browser says, which may be anything.
func (s *Sender) parse(text string) (Subscription, error) {
	var told webpush.Subscription
	if len(text) > 4*maxEndpoint || json.Unmarshal([]byte(text), &told) != nil {
		return Subscription{}, ErrSubscription
	}
	at, err := url.Parse(told.Endpoint)
	if err != nil || len(told.Endpoint) > maxEndpoint || at.Scheme != "https" || at.User != nil || !s.known(at) {
		return Subscription{}, ErrSubscription
	}
	key, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(told.Keys.P256dh, "="))
	if err == nil {
		_, err = ecdh.P256().NewPublicKey(key)
	}
	if err != nil {
		return Subscription{}, ErrSubscription
	}
	secret, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(told.Keys.Auth, "="))
	if err != nil || len(secret) != 16 { // RFC 8291 section 3.2
		return Subscription{}, ErrSubscription
	}
	return Subscription{Endpoint: told.Endpoint, Key: key, Secret: secret}, nil
}

// known reports whether an address is of a push service.
func (s *Sender) known(at *url.URL) bool {
	return slices.ContainsFunc(s.cfg.Services, func(service string) bool {
		if strings.Contains(service, ":") {
			return at.Host == service
		}
		return at.Host == service || at.Port() == "" && strings.HasSuffix(at.Host, "."+service)
	})
}

// Tell queues notices whose SMS were handed over. It never waits: what finds no room
// is left to the SMS.
func (s *Sender) Tell(notices []purchase.Notice) {
	for _, n := range notices {
		select {
		case s.queue <- n:
		default:
			return
		}
	}
}

// Run sends what is queued until ctx ends.
func (s *Sender) Run(ctx context.Context) {
	slots := make(chan struct{}, atOnce)
	for {
		select {
		case <-ctx.Done():
			for range atOnce { // those under way end soon after ctx
				slots <- struct{}{}
			}
			return
		case n := <-s.queue:
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				if err := s.notice(ctx, &n); err != nil && ctx.Err() == nil {
					s.cfg.Log.WarnContext(ctx, "push message is left to the SMS", "to", n.To, "error", err)
				}
			}()
		}
	}
}

// notice sends a notice to the browsers of its number.
func (s *Sender) notice(ctx context.Context, n *purchase.Notice) error {
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	list, err := s.cfg.Store.Subscriptions(ctx, n.To)
	if err != nil || len(list) == 0 {
		return err
	}
	chosen, err := s.cfg.Store.Choices(ctx, n.To)
	if err != nil || chosen.Muted.Has(n.Fact) {
		return err
	}
	reference := s.cfg.Reference(n.Purchase).String()
	body, err := json.Marshal(map[string]string{"title": s.cfg.Brand, "text": n.Text, "tag": reference, "path": "/purchases/" + reference})
	if err != nil {
		return fmt.Errorf("write a push message: %w", err)
	}
	var errs []error
	for i := range list {
		errs = append(errs, s.send(ctx, &list[i], body))
	}
	return errors.Join(errs...)
}

// send sends a message to one browser, and forgets the browser when its push service
// says that it is gone (RFC 8030 section 7.3).
func (s *Sender) send(ctx context.Context, to *Subscription, body []byte) error {
	text := base64.RawURLEncoding
	answer, err := webpush.SendNotificationWithContext(ctx, body, &webpush.Subscription{Endpoint: to.Endpoint,
		Keys: webpush.Keys{P256dh: text.EncodeToString(to.Key), Auth: text.EncodeToString(to.Secret)}},
		&webpush.Options{HTTPClient: s.client, RecordSize: record, Subscriber: s.cfg.Contact, TTL: int(keptFor.Seconds()), Urgency: webpush.UrgencyHigh,
			VAPIDPublicKey: s.public, VAPIDPrivateKey: s.private, VapidExpiration: s.cfg.Clock.Now().Add(signedFor).Time()})
	if err != nil {
		return errors.New("the push service does not answer") // the address names a browser
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 4<<10)) // so that the connection can be used again
	_ = answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusNotFound, answer.StatusCode == http.StatusGone:
		return s.cfg.Store.DropSubscription(ctx, to.Number, to.Endpoint) //nolint:wrapcheck // says what it could not do
	case answer.StatusCode/100 != 2:
		return fmt.Errorf("the push service answers %d", answer.StatusCode)
	}
	return nil
}
