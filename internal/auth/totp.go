package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/pquerna/otp/hotp"

	"tenu/internal/purchase"
)

// The parameters of one-time codes of an authenticator (RFC 6238): six digits, every
// thirty seconds. A code of the step before or after is taken too.
const (
	totpSize   = 20
	totpStep   = 30_000_000 // microseconds
	totpWindow = 1
)

// totpCode is the code of a step, "" where there is none.
func totpCode(secret []byte, step int64) string {
	code, err := hotp.GenerateCode(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret), uint64(step)) //nolint:gosec // never negative
	if err != nil {
		return ""
	}
	return code
}

// totpMatch returns the step of a code that is valid at an instant and later than the
// last one that was accepted, or 0.
func totpMatch(secret []byte, code string, now purchase.Instant, last int64) (step int64) {
	code = strings.ReplaceAll(code, " ", "")
	current := int64(now) / totpStep
	for s := current - totpWindow; s <= current+totpWindow; s++ {
		want := totpCode(secret, s)
		same := want != "" && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1
		if same && s > last {
			step = s
		}
	}
	return step
}

// newTOTP draws a secret, and returns what an authenticator reads it from.
func newTOTP(issuer, login string, random io.Reader) (secret []byte, uri string, err error) {
	secret = make([]byte, totpSize)
	if _, err := io.ReadFull(random, secret); err != nil {
		return nil, "", fmt.Errorf("draw a secret: %w", err)
	}
	q := url.Values{"secret": {base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)}, "issuer": {issuer}}
	u := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + issuer + ":" + login, RawQuery: strings.ReplaceAll(q.Encode(), "+", "%20")}
	return secret, u.String(), nil
}

// sealer keeps secrets unreadable in the database: AES-256-GCM under a key derived
// from the installation's secret.
type sealer struct{ aead cipher.AEAD }

func newSealer(secret []byte) (*sealer, error) {
	key := sha256.Sum256(append([]byte("tenu staff secrets\x00"), secret...))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("seal secrets: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("seal secrets: %w", err)
	}
	return &sealer{aead}, nil
}

// forTOTP is what an authenticator's secret is sealed for.
func forTOTP(login string) string { return "totp/" + login }

// seal seals a secret for a purpose: for another it cannot be opened.
func (s *sealer) seal(purpose string, secret []byte, random io.Reader) ([]byte, error) {
	nonce := make([]byte, s.aead.NonceSize())
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, fmt.Errorf("draw a nonce: %w", err)
	}
	return s.aead.Seal(nonce, nonce, secret, []byte(purpose)), nil
}

var errSeal = errors.New("auth: a sealed secret cannot be opened")

// open opens what seal sealed.
func (s *sealer) open(purpose string, sealed []byte) ([]byte, error) {
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return nil, errSeal
	}
	secret, err := s.aead.Open(nil, sealed[:n], sealed[n:], []byte(purpose))
	if err != nil {
		return nil, errSeal
	}
	return secret, nil
}
