package gsma

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"tenu/internal/purchase"
)

// Errors of a callback, by what it is answered.
var (
	// ErrSignature: not authentic, or too old: 401, and an alert.
	ErrSignature = errors.New("callback is not authentic")
	// ErrCallback: authentic, but not a callback about a leg of ours: 400.
	ErrCallback = errors.New("callback cannot be used")
)

// MaxCallback bounds the bytes of a callback's body that need to be read; the
// protocol's longest object has a few thousand.
const MaxCallback = 16 << 10

// Callback reads a PUT of the wallet's: a transaction, a request state or an
// error object (GSMA Mobile Money API 1.2, callbacks). body is the request's
// whole body. It is authenticated by these headers, all of them needed:
//
//	X-Date            when it was made, RFC 3339
//	X-CorrelationID   our key
//	X-Content-Hash    SHA-256 of the body, hexadecimal
//	X-Signature       v1=HMAC-SHA256, hexadecimal, of the text
//	                  "v1\n" X-Date "\n" X-CorrelationID "\n" X-Content-Hash "\n"
//	                  with a key agreed with the wallet
//
// The API defines the first three; the signature over them is ours. A repeat
// within the window is the same news, which has no second effect. It returns an
// error wrapping ErrSignature or ErrCallback.
func (l *Wallet) Callback(r *http.Request, body []byte) (purchase.ID, purchase.Event, error) {
	if err := l.authenticate(r.Header, body); err != nil {
		return 0, purchase.Event{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	key, err := l.keys.ParseUUID(r.Header.Get("X-CorrelationID"))
	switch {
	case r.Method != http.MethodPut:
		return 0, purchase.Event{}, fmt.Errorf("%w: method %s", ErrCallback, r.Method)
	case err != nil:
		return 0, purchase.Event{}, fmt.Errorf("%w: X-CorrelationID: %w", ErrCallback, err)
	case !l.Capability(key.Leg).Supported:
		return 0, purchase.Event{}, fmt.Errorf("%w: about a %s", ErrCallback, key.Leg)
	}
	news, err := readCallback(body)
	if err != nil {
		return 0, purchase.Event{}, fmt.Errorf("%w: %w", ErrCallback, err)
	}
	outcome := purchase.Outcome{Kind: purchase.Pending, Detail: "callback without an amount"}
	if news.elsewhere() == "" {
		outcome = news.outcome(&purchase.Order{Leg: key.Leg})
	}
	return key.ID, purchase.Event{Leg: key.Leg, Source: purchase.FromCallback, Outcome: outcome}, nil
}

// authenticate checks hash, signature and date. The header texts are compared
// in constant time, and the date only once the signature is right.
func (l *Wallet) authenticate(h http.Header, body []byte) error {
	for _, name := range []string{"X-Date", "X-Correlationid", "X-Content-Hash", "X-Signature"} {
		if len(h[name]) != 1 || len(h[name][0]) > 128 || strings.ContainsAny(h[name][0], "\r\n") {
			return fmt.Errorf("%s is needed once", name)
		}
	}
	date, hash := h.Get("X-Date"), h.Get("X-Content-Hash")
	sum := sha256.Sum256(body)
	if !hmac.Equal([]byte(strings.ToLower(hash)), []byte(hex.EncodeToString(sum[:]))) {
		return errors.New("X-Content-Hash is not the body's")
	}
	stated, err := hex.DecodeString(strings.TrimPrefix(h.Get("X-Signature"), "v1="))
	if err != nil {
		return errors.New("X-Signature is not hexadecimal")
	}
	right := false
	for _, key := range l.config.CallbackKeys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte("v1\n" + date + "\n" + h.Get("X-CorrelationID") + "\n" + hash + "\n"))
		if hmac.Equal(mac.Sum(nil), stated) {
			right = true
		}
	}
	if !right {
		return errors.New("X-Signature is wrong")
	}
	at, err := time.Parse(time.RFC3339, date)
	if err != nil {
		return errors.New("X-Date is not a time")
	}
	if age := l.now().Time().Sub(at).Abs(); age > l.config.CallbackAge {
		return errors.New("X-Date is too far from now")
	}
	return nil
}

// readCallback tells the three objects apart by what each must have.
func readCallback(body []byte) (object, error) {
	var what struct {
		Ref      json.RawMessage `json:"transactionReference"`
		ServerID json.RawMessage `json:"serverCorrelationId"`
		Category json.RawMessage `json:"errorCategory"`
	}
	if err := decode(body, &what); err != nil {
		return nil, err
	}
	switch {
	case what.Ref != nil:
		return readTransaction(body)
	case what.ServerID != nil:
		return readRequestState(body)
	case what.Category != nil:
		if e := readError(body); e != nil {
			return e, nil
		}
	}
	return nil, errors.New("neither a transaction, nor a request state, nor an error object")
}
