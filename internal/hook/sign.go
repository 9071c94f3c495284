package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// The headers of a delivery.
const (
	HeaderSignature = "Tenu-Signature"
	HeaderEvent     = "Tenu-Event-Id"
	HeaderType      = "Tenu-Event-Type"
)

// ReplayWindow is how far a signature's time may be from the receiver's clock.
const ReplayWindow = 5 * time.Minute

// MinSecret is how many bytes a secret has at least.
const MinSecret = 32

// maxSignatures bounds the signatures of one header that are looked at.
const maxSignatures = 8

// What Verify refuses.
var (
	// ErrSignature: the body is not of who has the secret.
	ErrSignature = errors.New("hook: the signature is wrong")
	// ErrReplay: the signature is right, and too old or from the future.
	ErrReplay = errors.New("hook: the signature is out of its time")
)

// Sign is the signature header of a body at an instant: "t=<unix seconds>" and,
// for each secret, "v1=<hexadecimal HMAC-SHA-256 of "t.body">". While a secret is
// replaced there are two, and the receiver needs to know one of them.
func Sign(body []byte, at time.Time, secrets ...[]byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	var header strings.Builder
	header.WriteString("t=" + t)
	for _, secret := range secrets {
		header.WriteString(",v1=" + hex.EncodeToString(mac(secret, t, body)))
	}
	return header.String()
}

func mac(secret []byte, t string, body []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(t + "."))
	h.Write(body)
	return h.Sum(nil)
}

// Verify checks, for a receiver, that a body with that signature header was signed with one of
// the receiver's secrets, not longer than ReplayWindow from now. It returns
// ErrSignature or ErrReplay. Within the window the event's ID tells a repetition.
func Verify(header string, body []byte, now time.Time, secrets ...[]byte) error {
	t, given := "", make([]string, 0, 2)
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case name == "t" && t == "":
			t = value
		case name == "t":
			return ErrSignature // two times: which one was signed?
		case name == "v1" && len(given) < maxSignatures:
			given = append(given, value)
		}
	}
	at, err := strconv.ParseInt(t, 10, 64)
	if err != nil || strconv.FormatInt(at, 10) != t {
		return ErrSignature
	}
	right := false
	for _, secret := range secrets {
		want := mac(secret, t, body)
		for _, each := range given {
			got, err := hex.DecodeString(each)
			if err == nil && hmac.Equal(got, want) && len(secret) > 0 {
				right = true
			}
		}
	}
	if !right {
		return ErrSignature
	}
	if off := now.Sub(time.Unix(at, 0)); off > ReplayWindow || off < -ReplayWindow {
		return ErrReplay
	}
	return nil
}
