package sandbox

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"tenu/internal/purchase"
)

// callback is one that is due, as it is kept.
type callback struct {
	Ref string `json:"ref"`
	Try int    `json:"try,omitempty"` // how many were sent before
	// Drawn: its faults were drawn when it was first due, and have put it off.
	Drawn bool `json:"drawn,omitempty"`
}

// signedCallback is one that was sent, to be sent again to the letter.
type signedCallback struct {
	URL    string            `json:"url"`
	Header map[string]string `json:"header"`
	Body   string            `json:"body"`
}

// callbackClient follows no redirect and waits for no slow receiver.
func callbackClient() *http.Client {
	return &http.Client{
		Timeout:       5 * time.Second,
		Transport:     &http.Transport{MaxIdleConns: stepWorkers, MaxIdleConnsPerHost: stepWorkers, IdleConnTimeout: 30 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// announce sets the callback of a movement that came to its end.
func (l *Wallet) announce(p *Page, m Movement, note walletNote, now purchase.Instant) error {
	if note.Callback == "" {
		return nil
	}
	data, err := json.Marshal(callback{Ref: m.Ref})
	if err != nil {
		return err
	}
	return p.AddDue(now, dueCallback, string(data))
}

// callBackEarly decides a movement and sends its callback before the request
// that made it is answered.
func (l *Wallet) callBackEarly(ctx context.Context, ref string, now purchase.Instant) {
	err := l.decide(ctx, Due{Data: ref}, now)
	if err == nil {
		_, err = l.Step(ctx, now)
	}
	if err != nil {
		l.Log.Error("sandbox callback failed", "partner", l.Name, "error", err)
	}
}

// callBack sends a due callback as the faults of that operation have it.
func (l *Wallet) callBack(ctx context.Context, d Due, now purchase.Instant) error {
	var due callback
	if err := json.Unmarshal([]byte(d.Data), &due); err != nil {
		return l.drop(ctx, d)
	}
	m, err := l.book.Movement(ctx, due.Ref)
	if err != nil {
		return errors.Join(ignoreMissing(err), l.drop(ctx, d))
	}
	var hits Hits
	if !due.Drawn {
		hits = l.faults.Draw("callback", m.Number)
	}
	if hits.Has(CallbackLost) {
		return l.drop(ctx, d)
	}
	if f, late := hits.Find(CallbackLate); late {
		due.Drawn = true
		return l.again(ctx, d, due, now.Add(f.Delay()))
	}
	if hits.Has(CallbackForged) {
		forged := m
		forged.Amount += 1_000_000
		_ = l.send(ctx, l.sign(forged, now, []byte("not the key"))) // nobody should take it
	}
	signed := l.sign(m, now, l.config.CallbackKey)
	taken := l.send(ctx, signed)
	if hits.Has(CallbackTwice) {
		taken = l.send(ctx, signed) && taken
	}
	if f, replayed := hits.Find(CallbackReplayed); replayed {
		if err := l.replayLater(ctx, signed, now.Add(f.Delay())); err != nil {
			return err
		}
	}
	if taken || due.Try >= l.config.CallbackRetries {
		return l.drop(ctx, d)
	}
	due.Try++
	return l.again(ctx, d, due, now.Add(l.config.CallbackPause))
}

func (l *Wallet) drop(ctx context.Context, d Due) error {
	return l.book.Do(ctx, func(p *Page) error { return p.DropDue(d.ID) })
}

func (l *Wallet) again(ctx context.Context, d Due, due callback, at purchase.Instant) error {
	data, err := json.Marshal(due)
	if err != nil {
		return err
	}
	return l.book.Do(ctx, func(p *Page) error {
		return errors.Join(p.DropDue(d.ID), p.AddDue(at, dueCallback, string(data)))
	})
}

// sign makes the callback of a movement: a PUT of the transaction, or of an
// error object when it failed. X-Content-Hash is the SHA-256 of the body, and
// X-Signature the HMAC-SHA256 of version, X-Date, X-CorrelationID and
// X-Content-Hash, a line each.
func (l *Wallet) sign(m Movement, now purchase.Instant, key []byte) signedCallback {
	var object any = l.transaction(m)
	if m.Status == StatusFailed {
		object = errorOf(m.Reason).object(now)
	}
	body, err := json.Marshal(object)
	if err != nil {
		body = nil // cannot be: the objects are made of texts
	}
	sum := sha256.Sum256(body)
	hash, date := hex.EncodeToString(sum[:]), isoTime(now)
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, "v1\n"+date+"\n"+m.Key+"\n"+hash+"\n") // a hash does not fail
	return signedCallback{URL: readNote(m).Callback, Body: string(body), Header: map[string]string{
		"Content-Type": "application/json", "X-Date": date, "X-CorrelationID": m.Key, "X-Content-Hash": hash,
		"X-Signature": "v1=" + hex.EncodeToString(mac.Sum(nil))}}
}

// send reports whether the receiver took the callback.
func (l *Wallet) send(ctx context.Context, c signedCallback) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, c.URL, bytes.NewReader([]byte(c.Body)))
	if err != nil {
		l.Log.Info("sandbox callback has no address", "partner", l.Name, "error", err)
		return false
	}
	for name, value := range c.Header {
		request.Header.Set(name, value)
	}
	response, err := l.client.Do(request)
	if err != nil {
		l.Log.Info("sandbox callback was not taken", "partner", l.Name, "error", err)
		return false
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxWalletBody)) // to keep the connection
	_ = response.Body.Close()
	return response.StatusCode/100 == 2
}

func (l *Wallet) replayLater(ctx context.Context, c signedCallback, at purchase.Instant) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return l.book.Do(ctx, func(p *Page) error { return p.AddDue(at, dueReplay, string(data)) })
}

// replayCallback sends again, to the letter, what was sent before.
func (l *Wallet) replayCallback(ctx context.Context, d Due, _ purchase.Instant) error {
	var c signedCallback
	if err := json.Unmarshal([]byte(d.Data), &c); err == nil {
		_ = l.send(ctx, c) // taken or not, it was sent
	}
	return l.drop(ctx, d)
}
