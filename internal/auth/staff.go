package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tenu/internal/purchase"
)

// StaffID identifies one of the staff.
type StaffID int64

// Staff is one of the staff, without secrets.
type Staff struct {
	ID       StaffID
	Login    string
	Name     string
	Role     Role
	Language string // "fr", "en"
	Disabled bool
	// Numbers are their own and declared related numbers: they act on none of them.
	Numbers []purchase.MSISDN
	Version int64
	// SessionsFrom ends all sessions that began before it.
	SessionsFrom purchase.Instant
	// Subject is who they are for the OpenID provider, "issuer|subject"; "" for nobody.
	Subject string
	HasTOTP bool
	// MustChange: the password is one that somebody else gave.
	MustChange bool
	// Duty is what the person of a session has to do before anything else; only StaffDesk.Who sets it.
	Duty Duty
}

// Duty is what somebody who signed in has to do before anything else.
type Duty string

// The duties.
const (
	NoDuty        Duty = ""
	OwnPassword   Duty = "password"      // ChangePassword: the one they have was given by somebody else
	Authenticator Duty = "authenticator" // OfferTOTP, EnrolTOTP: a password alone is not enough
)

// May reports whether the person may do something: a disabled one, or one with a duty, nothing.
func (s *Staff) May(a Action) bool {
	return s.ID != 0 && !s.Disabled && s.Duty == NoDuty && s.Role.May(a)
}

// Owns reports whether one of the numbers is their own or a related one.
func (s *Staff) Owns(numbers ...purchase.MSISDN) bool {
	return slices.ContainsFunc(numbers, func(n purchase.MSISDN) bool { return n != 0 && slices.Contains(s.Numbers, n) })
}

// Secrets are what is kept to recognise one of the staff.
type Secrets struct {
	Password string // Argon2id in its text form, "" for none
	TOTP     []byte // sealed, empty for none
	TOTPStep int64  // the last time step whose code was accepted
	Failed   int    // tries in a row
	LockedTo purchase.Instant
	// MustChange: the password is one that somebody else gave.
	MustChange bool
}

// Same reports whether two are the same but for the tries.
func (s *Secrets) Same(o *Secrets) bool {
	return s.Password == o.Password && bytes.Equal(s.TOTP, o.TOTP) && s.TOTPStep == o.TOTPStep && s.MustChange == o.MustChange
}

// Passkey is one of a person's WebAuthn credentials.
type Passkey struct {
	ID    []byte // the credential's
	Staff StaffID
	Name  string
	Data  []byte // as the library needs it, JSON
	Count uint32 // of signatures, as it was told last
	At    purchase.Instant
}

// StaffSession is one sign-in. Only the hash of its token is kept.
type StaffSession struct {
	Hash    string
	Staff   StaffID
	At      purchase.Instant
	SeenAt  purchase.Instant
	Till    purchase.Instant
	Method  string // byPassword, byPasskey or byOIDC
	Address string
	Browser string
}

// The ways to sign in, as sessions name them.
const (
	byPassword = "password"
	byPasskey  = "passkey"
	byOIDC     = "oidc"
)

// StaffChange is what was done to an account, by whom.
type StaffChange struct {
	At    purchase.Instant
	By    string // a login, or "command"
	Staff StaffID
	What  string
}

// Errors that callers branch on.
var (
	// ErrSignIn is the one answer to a login that is unknown, disabled or locked, to a wrong password, code or passkey.
	ErrSignIn = errors.New("auth: not signed in")
	// ErrLocked: too many tries from one address, whatever the accounts.
	ErrLocked = errors.New("auth: too many tries")
	// ErrStaff: there is no such person.
	ErrStaff = errors.New("auth: no such person")
	// ErrStaffTaken: the login, or the OpenID subject, is somebody's.
	ErrStaffTaken = errors.New("auth: login or subject taken")
	// ErrStaffStale: somebody else changed the account meanwhile.
	ErrStaffStale = errors.New("auth: changed meanwhile")
	// ErrOwn: nobody changes what their own account may do.
	ErrOwn = errors.New("auth: one's own account")
	// ErrProvider: the OpenID provider does not answer.
	ErrProvider = errors.New("auth: the OpenID provider does not answer")
	// ErrFull: a person has as many passkeys as anybody may have.
	ErrFull = errors.New("auth: no room for another passkey")
	// ErrWeak: the password is too short, or too easily guessed.
	ErrWeak = errors.New("auth: password not accepted")
)

// StaffStore keeps staff. What a method changed is durable on return. Errors wrap
// purchase.ErrUnavailable when nothing was changed and the call may be repeated.
type StaffStore interface {
	// AddStaff keeps a new account and gives it its ID, or returns ErrStaffTaken.
	AddStaff(ctx context.Context, s Staff, secrets Secrets, c StaffChange) (StaffID, error)
	// ChangeStaff replaces an account that has the version before s.Version, secrets left alone, or returns
	// ErrStaffStale or ErrStaffTaken. The sessions of one that is disabled are dropped.
	ChangeStaff(ctx context.Context, s Staff, c StaffChange) error
	// SetSecrets replaces an account's secrets, tries left alone, and reports whether they were still as before.
	SetSecrets(ctx context.Context, id StaffID, before, after Secrets, c *StaffChange) (bool, error)
	// RevokeStaff ends all of an account's sessions, and those that begin before an instant. With fresh secrets these
	// replace the account's, and its passkeys are dropped. All of it or nothing; ErrStaff.
	RevokeStaff(ctx context.Context, id StaffID, from purchase.Instant, fresh *Secrets, c StaffChange) error
	// CountTry counts a try to sign in against each limit, or returns ErrTooMany and nothing is counted; and against the
	// account of a login, unless that is locked at the instant: one more that failed, and locked for as long as lock
	// says. It returns the account, with its secrets as they were before; or ErrStaff, with the limits counted.
	CountTry(ctx context.Context, login string, at purchase.Instant, limits []Limit, lock func(failed int) time.Duration) (Staff, Secrets, error)
	// AcceptTry takes the counts of a try back, and with an ID notes the step of a code, 0 for none. It reports false, and
	// nothing is changed, unless password and authenticator are as before, the account is not disabled, and the step is later than the
	// last.
	AcceptTry(ctx context.Context, id StaffID, before Secrets, step int64, limits []Limit) (bool, error)
	// PersonByLogin, Person and PersonBySubject return an account, with its secrets, or ErrStaff.
	PersonByLogin(ctx context.Context, login string) (Staff, Secrets, error)
	Person(ctx context.Context, id StaffID) (Staff, Secrets, error)
	PersonBySubject(ctx context.Context, subject string) (Staff, error)
	// People returns all accounts by login.
	People(ctx context.Context) ([]Staff, error)

	// AddPasskey keeps a credential, or returns ErrStaffTaken when it is somebody's.
	AddPasskey(ctx context.Context, p Passkey, c StaffChange) error
	// Passkeys returns a person's credentials.
	Passkeys(ctx context.Context, id StaffID) ([]Passkey, error)
	// UsePasskey replaces a credential whose count is still the one before, and reports whether it was.
	UsePasskey(ctx context.Context, p Passkey, before uint32) (bool, error)
	// DropPasskey forgets a person's credential.
	DropPasskey(ctx context.Context, id StaffID, credential []byte, c StaffChange) error

	// AddSession keeps a sign-in.
	AddSession(ctx context.Context, s StaffSession) error
	// WhoseSession returns a sign-in and the account that it is of, or ErrSignIn; in one read.
	WhoseSession(ctx context.Context, hash string) (StaffSession, Staff, error)
	// SeenSession notes that a sign-in was used.
	SeenSession(ctx context.Context, hash string, at purchase.Instant) error
	// EndSession ends a sign-in; EndSessions all of a person's but one ("" for all).
	EndSession(ctx context.Context, hash string) error
	EndSessions(ctx context.Context, id StaffID, but string) error
	// StaffSessions returns a person's sign-ins, newest first.
	StaffSessions(ctx context.Context, id StaffID) ([]StaffSession, error)
	// SignedIn counts the people of each role who were seen since an instant.
	SignedIn(ctx context.Context, since purchase.Instant) (map[Role]int, error)
	// UseOnce reports whether a name is used for the first time; it is remembered until an instant.
	UseOnce(ctx context.Context, name string, till purchase.Instant) (bool, error)
	// StaffChanges returns what was done to accounts, newest first; 0 for all.
	StaffChanges(ctx context.Context, id StaffID, limit int) ([]StaffChange, error)
}

// byCommand is who the log names where no person of the staff did it.
const byCommand = "command"

// The bounds of what an account holds.
const (
	maxPasskeys     = 20
	maxLogin        = 40
	maxStaffName    = 80
	maxStaffNumbers = 50
)

// CheckStaff returns an error that says what of an account cannot be.
func CheckStaff(s *Staff) error {
	switch {
	case len(s.Login) < 2 || len(s.Login) > maxLogin || strings.Trim(s.Login, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "":
		return fmt.Errorf("auth: login %q: 2 to %d of a-z, 0-9, dot, hyphen and underscore", s.Login, maxLogin)
	case s.Login == byCommand:
		return fmt.Errorf("auth: the login %q stands for commands", s.Login)
	case strings.TrimSpace(s.Name) == "" || len(s.Name) > maxStaffName:
		return fmt.Errorf("auth: a name of at most %d bytes is needed", maxStaffName)
	case !slices.Contains(Roles, s.Role):
		return fmt.Errorf("auth: role %q is none of %v", s.Role, Roles)
	case len(s.Numbers) > maxStaffNumbers:
		return fmt.Errorf("auth: at most %d numbers", maxStaffNumbers)
	}
	return nil
}

// SessionLimits are how long a sign-in lasts.
type SessionLimits struct {
	Life time.Duration // at most
	Idle time.Duration // without a request
}

// DefaultSessionLimits are a working day, and half an hour away from it.
func DefaultSessionLimits() SessionLimits {
	return SessionLimits{Life: 12 * time.Hour, Idle: 30 * time.Minute}
}
