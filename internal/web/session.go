package web

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"time"

	"tenu/internal/purchase"
)

// SessionStore keeps who is signed in. What a method changed is durable on return.
type SessionStore interface {
	// PutSession keeps a session's data until an instant, under the hash of its token.
	PutSession(ctx context.Context, token string, data []byte, till purchase.Instant) error
	// Session returns a session's data, nil when there is none that lasts beyond an instant.
	Session(ctx context.Context, token string, now purchase.Instant) ([]byte, error)
	// DropSession ends a session, if it is there.
	DropSession(ctx context.Context, token string) error
}

// The life of a session: a phone is often shared or lost.
const sessionLife = 14 * 24 * time.Hour

// sessions signs browsers in by a cookie that holds a random token. The store has
// its hash only.
type sessions struct {
	store  SessionStore
	clock  purchase.Clock
	random io.Reader
	secure bool
}

// token draws a token of 128 bits.
func (s *sessions) token() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		return "", fmt.Errorf("draw a token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

func hashed(token string) string {
	hash := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(hash[:])
}

// name is the cookie's. The prefix keeps others of the same site from setting it.
func (s *sessions) name(what string) string {
	if s.secure {
		return "__Host-" + what
	}
	return what
}

func (s *sessions) cookie(what, value string, life time.Duration) *http.Cookie {
	//nolint:gosec // Secure is the installation's: the demonstration speaks plain HTTP on its own machine
	return &http.Cookie{Name: s.name(what), Value: value, Path: "/", MaxAge: int(life.Seconds()), HttpOnly: true,
		Secure: s.secure, SameSite: http.SameSiteLaxMode}
}

func (s *sessions) read(r *http.Request, what string) string {
	c, err := r.Cookie(s.name(what))
	if err != nil || len(c.Value) > 64 {
		return ""
	}
	return c.Value
}

// begin signs a number in, under a token that nobody had before.
func (s *sessions) begin(w http.ResponseWriter, r *http.Request, number purchase.MSISDN) error {
	token, err := s.token()
	if err != nil {
		return err
	}
	data := binary.BigEndian.AppendUint64(nil, uint64(number)) //nolint:gosec // a number is never negative
	if err := s.store.PutSession(r.Context(), hashed(token), data, s.clock.Now().Add(sessionLife)); err != nil {
		return fmt.Errorf("begin a session: %w", err)
	}
	http.SetCookie(w, s.cookie("session", token, sessionLife))
	return nil
}

// who is the number that is signed in, 0 for nobody.
func (s *sessions) who(r *http.Request) (purchase.MSISDN, error) {
	token := s.read(r, "session")
	if token == "" {
		return 0, nil
	}
	data, err := s.store.Session(r.Context(), hashed(token), s.clock.Now())
	if err != nil {
		return 0, fmt.Errorf("read a session: %w", err)
	}
	if len(data) != 8 {
		return 0, nil
	}
	return purchase.MSISDN(binary.BigEndian.Uint64(data)), nil //nolint:gosec // as it was written
}

// end signs the browser out.
func (s *sessions) end(w http.ResponseWriter, r *http.Request) error {
	http.SetCookie(w, s.cookie("session", "", -time.Second))
	if token := s.read(r, "session"); token != "" {
		return s.store.DropSession(r.Context(), hashed(token))
	}
	return nil
}
