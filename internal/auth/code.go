package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"tenu/internal/purchase"
)

// Errors that callers branch on.
var (
	// ErrCode is the one answer to a code that is wrong, used, expired, was never
	// asked for, or was tried too often.
	ErrCode = errors.New("code not accepted")
	// ErrTooMany: so many codes were asked for that no other is sent for now.
	ErrTooMany = errors.New("too many codes")
)

// The life of a code.
const (
	CodeDigits = 6
	CodeLife   = 5 * time.Minute
	codeTries  = 5
)

// CodeLimits bound the codes that are sent: each costs a message, and a stranger
// can ask for them. They never hold up a notice about money.
type CodeLimits struct {
	Number       int64 // to one number in a quarter of an hour
	NumberDaily  int64 // to one number in a day
	Source       int64 // for one address of the internet in an hour
	Prefix       int64 // to numbers that differ in the last PrefixDigits digits only, in an hour
	PrefixDigits int
	Daily        int64 // altogether in a day
}

// Limit is a count that must not be exceeded within a period.
type Limit struct {
	Name        string
	Since, Till purchase.Instant // the period
	Most        int64
}

// Code is what is kept of a one-time code.
type Code struct {
	Number purchase.MSISDN
	At     purchase.Instant
	Till   purchase.Instant
	Tries  int
	Hash   [sha256.Size]byte
}

// CodeStore keeps codes. What a method changed is durable on return. Errors wrap
// purchase.ErrUnavailable when nothing was changed.
type CodeStore interface {
	// PutCode counts the code against each limit and replaces the number's earlier
	// one; or it returns ErrTooMany, and nothing is changed.
	PutCode(ctx context.Context, c Code, limits []Limit) error
	// TryCode counts a try of a number's code and returns it as it then stands. It
	// returns ErrCode when the number has none.
	TryCode(ctx context.Context, number purchase.MSISDN) (Code, error)
	// DropCode forgets a number's code of an instant, and reports whether it was there.
	DropCode(ctx context.Context, number purchase.MSISDN, at purchase.Instant) (bool, error)
}

// Codes signs numbers in by codes that are sent to them. It is safe for concurrent use.
type Codes struct {
	store  CodeStore
	clock  purchase.Clock
	random io.Reader
	secret []byte
	limits CodeLimits
}

// NewCodes returns the sign-in of an installation, whose secret guards the hashes:
// a code is too short for a hash alone.
func NewCodes(store CodeStore, clock purchase.Clock, random io.Reader, secret []byte, limits CodeLimits) (*Codes, error) {
	if store == nil || clock == nil || random == nil || len(secret) < 16 {
		return nil, errors.New("codes: a store, a clock, chance and a secret of 16 bytes are needed")
	}
	for _, n := range []int64{limits.Number, limits.NumberDaily, limits.Source, limits.Prefix, limits.Daily, int64(limits.PrefixDigits)} {
		if n < 1 {
			return nil, errors.New("codes: each limit must be positive")
		}
	}
	return &Codes{store, clock, random, secret, limits}, nil
}

// New makes a code for a number that somebody at a source (an address, or "" for a
// channel that knows its caller) asks to be signed in, and returns it to be sent.
// The number's earlier code ends. It returns ErrTooMany beyond the limits.
func (c *Codes) New(ctx context.Context, number purchase.MSISDN, source string) (string, error) {
	code, err := c.draw()
	if err != nil {
		return "", err
	}
	now := c.clock.Now()
	kept := Code{Number: number, At: now, Till: now.Add(CodeLife), Hash: c.hash(number, now, code)}
	if err := c.store.PutCode(ctx, kept, c.counted(number, source, now)); err != nil {
		return "", fmt.Errorf("make a code: %w", err)
	}
	return code, nil
}

// draw draws a code, all equally likely.
func (c *Codes) draw() (string, error) {
	const all = 1_000_000
	for {
		var b [4]byte
		if _, err := io.ReadFull(c.random, b[:]); err != nil {
			return "", fmt.Errorf("draw a code: %w", err)
		}
		if v := binary.BigEndian.Uint32(b[:]); v < 1<<32/all*all {
			return fmt.Sprintf("%0*d", CodeDigits, v%all), nil
		}
	}
}

// counted are the limits that a code counts against.
func (c *Codes) counted(number purchase.MSISDN, source string, now purchase.Instant) []Limit {
	prefix := number
	for range c.limits.PrefixDigits {
		prefix /= 10
	}
	limits := []Limit{
		within("code/number/"+number.String(), now, 15*time.Minute, c.limits.Number),
		within("code/number-day/"+number.String(), now, 24*time.Hour, c.limits.NumberDaily),
		within("code/prefix/"+prefix.String(), now, time.Hour, c.limits.Prefix),
		within("code/day", now, 24*time.Hour, c.limits.Daily),
	}
	if source != "" {
		limits = append(limits, within("code/source/"+source, now, time.Hour, c.limits.Source))
	}
	return limits
}

// Accept returns nil once for the code that was last sent to a number, as people
// type it, and ErrCode for anything else.
func (c *Codes) Accept(ctx context.Context, number purchase.MSISDN, typed string) error {
	code, err := c.store.TryCode(ctx, number)
	if err != nil {
		return fmt.Errorf("try a code: %w", err)
	}
	hash := c.hash(number, code.At, digits(typed))
	if !hmac.Equal(hash[:], code.Hash[:]) || code.Tries > codeTries || c.clock.Now() >= code.Till {
		return ErrCode
	}
	dropped, err := c.store.DropCode(ctx, number, code.At)
	switch {
	case err != nil:
		return fmt.Errorf("end a code: %w", err)
	case !dropped: // it was used a moment ago
		return ErrCode
	}
	return nil
}

// hash is what is kept of a code.
func (c *Codes) hash(number purchase.MSISDN, at purchase.Instant, code string) (hash [sha256.Size]byte) {
	mac := hmac.New(sha256.New, c.secret)
	_, _ = fmt.Fprintf(mac, "tenu code 1|%d|%d|%s", int64(number), int64(at), code) // a hash takes everything
	mac.Sum(hash[:0])
	return hash
}

// digits leaves out the spaces and hyphens that people put between digits.
func digits(typed string) string {
	return strings.NewReplacer(" ", "", "-", "", "\u00a0", "", "\u202f", "").Replace(typed)
}
