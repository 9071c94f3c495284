package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tenu/internal/purchase"
)

// The delays of an account after wrong tries in a row: none for the first, then doubled
// up to the longest.
const (
	freeTries   = 5
	firstLock   = 10 * time.Second
	longestLock = 15 * time.Minute
)

// The wrong tries from one address, whatever the account. A call centre has one address
// for everybody, who all begin at eight o'clock.
const (
	addressQuarter = 60
	addressDay     = 600
)

// hashesAtOnce bounds the passwords that are hashed at a time: each takes 19 MiB and a processor.
const hashesAtOnce = 4

// lockFor is how long an account is locked after so many wrong tries in a row.
func lockFor(failed int) time.Duration {
	if failed < freeTries {
		return 0
	}
	if n := failed - freeTries; n < 10 {
		return min(firstLock<<n, longestLock)
	}
	return longestLock
}

// try is one attempt to sign in. It counts as a wrong one until it is accepted, so that many
// at once are not more than the same ones in turn.
type try struct {
	d      *StaffDesk
	now    purchase.Instant
	limits []Limit
	person Staff
	kept   Secrets // as they were before the try
	known  bool
}

// try counts a try at a login, "" where there is none, from an address. It returns ErrLocked
// when too many came from there, which says nothing of any account.
func (d *StaffDesk) try(ctx context.Context, login string, v Visitor) (t *try, err error) {
	t = &try{d: d, now: d.cfg.Clock.Now()}
	if v.Address != "" {
		name := "staff/address/" + cut(v.Address, 64)
		t.limits = []Limit{within(name, t.now, 15*time.Minute, addressQuarter), within(name+"/day", t.now, 24*time.Hour, addressDay)}
	}
	t.person, t.kept, err = d.cfg.Store.CountTry(ctx, login, t.now, t.limits, lockFor)
	switch {
	case errors.Is(err, ErrTooMany):
		return nil, ErrLocked
	case err != nil && !errors.Is(err, ErrStaff):
		return nil, fmt.Errorf("count a try: %w", err)
	}
	t.known = err == nil
	return t, nil
}

// password reports whether the password is the account's and the account may sign in. It takes
// the same time for every account, and for none.
func (t *try) password(ctx context.Context, password string) (bool, error) {
	select {
	case t.d.hashes <- struct{}{}:
	case <-ctx.Done():
		return false, fmt.Errorf("wait to compare a password: %w", ctx.Err())
	}
	defer func() { <-t.d.hashes }()
	return matchPassword(t.kept.Password, password) && t.known && !t.person.Disabled && t.now >= t.kept.LockedTo, nil
}

// accept says that the try was none that counts: with the step of a code, which is accepted once.
// It returns ErrSignIn when the account's password, authenticator or step changed meanwhile.
func (t *try) accept(ctx context.Context, step int64) error {
	done, err := t.d.cfg.Store.AcceptTry(ctx, t.person.ID, t.kept, step, t.limits)
	switch {
	case err != nil:
		return fmt.Errorf("accept a try: %w", err)
	case !done:
		return ErrSignIn
	}
	return nil
}

// within is the limit of the period of an instant.
func within(name string, now purchase.Instant, period time.Duration, most int64) Limit {
	since := now - now%purchase.Instant(period.Microseconds())
	return Limit{name, since, since.Add(period), most}
}
