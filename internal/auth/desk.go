package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"tenu/internal/purchase"
)

// StaffConfig is what a staff desk is built from. The first four are needed.
type StaffConfig struct {
	Store  StaffStore
	Clock  purchase.Clock
	Random io.Reader
	Secret []byte // the installation's, at least 16 bytes
	Issuer string // what authenticators call the service
	Limits SessionLimits
	// PasswordAlone lets a person in by password who has no authenticator. Otherwise one has to be enrolled first.
	PasswordAlone bool
	// OIDC and Passkeys are nil where they are not offered.
	OIDC     *OIDC
	Passkeys *Passkeys
}

// StaffDesk signs staff in and keeps their accounts. It knows nothing of HTTP. It is
// safe for concurrent use.
type StaffDesk struct {
	cfg    StaffConfig
	sealer *sealer
	hashes chan struct{} // full when enough passwords are being hashed
}

// NewStaffDesk returns a desk, or an error that says what cannot be.
func NewStaffDesk(cfg StaffConfig) (*StaffDesk, error) {
	if cfg.Store == nil || cfg.Clock == nil || cfg.Random == nil || len(cfg.Secret) < 16 {
		return nil, errors.New("staff: a store, a clock, chance and a secret of 16 bytes are needed")
	}
	if cfg.Limits == (SessionLimits{}) {
		cfg.Limits = DefaultSessionLimits()
	}
	if cfg.Limits.Life <= 0 || cfg.Limits.Idle <= 0 {
		return nil, errors.New("staff: a session's life and idle time must be positive")
	}
	if cfg.Issuer == "" {
		cfg.Issuer = "tenu"
	}
	seals, err := newSealer(cfg.Secret)
	if err != nil {
		return nil, err
	}
	return &StaffDesk{cfg, seals, make(chan struct{}, hashesAtOnce)}, nil
}

// OIDC is the OpenID provider, nil where there is none.
func (d *StaffDesk) OIDC() *OIDC { return d.cfg.OIDC }

// HasPasskeys reports whether passkeys are offered.
func (d *StaffDesk) HasPasskeys() bool { return d.cfg.Passkeys != nil }

// People returns all accounts by login.
func (d *StaffDesk) People(ctx context.Context) ([]Staff, error) { return d.cfg.Store.People(ctx) }

// Person returns one account, or ErrStaff.
func (d *StaffDesk) Person(ctx context.Context, id StaffID) (Staff, error) {
	s, _, err := d.cfg.Store.Person(ctx, id)
	return s, err
}

// Visitor says from where somebody signs in.
type Visitor struct{ Address, Browser string }

// SignIn signs a person in by password and, where the account has one, the code of its
// authenticator. It returns ErrSignIn, after the same time whatever is wrong; and
// ErrLocked when too many tries came from the visitor's address. A code is accepted once.
func (d *StaffDesk) SignIn(ctx context.Context, login, password, code string, v Visitor) (token string, s Staff, err error) {
	t, err := d.try(ctx, cut(plain(login), maxLogin+1), v)
	if err != nil {
		return "", Staff{}, err
	}
	matches, err := t.password(ctx, password)
	switch {
	case err != nil:
		return "", Staff{}, err
	case !matches:
		return "", Staff{}, ErrSignIn
	}
	var step int64
	if t.person.HasTOTP {
		secret, err := d.sealer.open(forTOTP(t.person.Login), t.kept.TOTP)
		if err != nil {
			return "", Staff{}, fmt.Errorf("sign in: %w", err)
		}
		if step = totpMatch(secret, code, t.now, t.kept.TOTPStep); step == 0 {
			return "", Staff{}, ErrSignIn
		}
	}
	if err := t.accept(ctx, step); err != nil {
		return "", Staff{}, err
	}
	token, err = d.begin(ctx, t.person.ID, byPassword, v)
	return token, t.person, err
}

// plain is a login as it is kept.
func plain(login string) string { return strings.ToLower(strings.TrimSpace(login)) }

// begin begins a session and returns its token.
func (d *StaffDesk) begin(ctx context.Context, id StaffID, method string, v Visitor) (string, error) {
	var b [32]byte
	if _, err := io.ReadFull(d.cfg.Random, b[:]); err != nil {
		return "", fmt.Errorf("draw a token: %w", err)
	}
	token, now := base64.RawURLEncoding.EncodeToString(b[:]), d.cfg.Clock.Now()
	err := d.cfg.Store.AddSession(ctx, StaffSession{Hash: hashToken(token), Staff: id, At: now, SeenAt: now, Till: now.Add(d.cfg.Limits.Life),
		Method: method, Address: cut(v.Address, 64), Browser: cut(v.Browser, 200)})
	if err != nil {
		return "", fmt.Errorf("begin a session: %w", err)
	}
	return token, nil
}

// hashToken is what is kept of a session's token.
func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func cut(text string, most int) string {
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}

// seenEvery is how often the use of a session is noted.
const seenEvery = time.Minute

// Who returns who a token's session is of, as the account is now, or ErrSignIn. What
// was revoked, disabled or changed a moment ago holds at once. A person with a Duty may do nothing else.
func (d *StaffDesk) Who(ctx context.Context, token string) (Staff, StaffSession, error) {
	s, session, err := d.Still(ctx, token)
	if err != nil {
		return Staff{}, StaffSession{}, err
	}
	if now := d.cfg.Clock.Now(); now >= session.SeenAt.Add(seenEvery) {
		if err := d.cfg.Store.SeenSession(ctx, session.Hash, now); err != nil {
			return Staff{}, StaffSession{}, fmt.Errorf("note a session: %w", err)
		}
	}
	return s, session, nil
}

// Still is Who for what a page asks by itself: it is not noted as use, so that a page that nobody
// touches keeps no session from going idle.
func (d *StaffDesk) Still(ctx context.Context, token string) (Staff, StaffSession, error) {
	if token == "" || len(token) > 100 {
		return Staff{}, StaffSession{}, ErrSignIn
	}
	session, s, err := d.cfg.Store.WhoseSession(ctx, hashToken(token))
	if err != nil {
		if errors.Is(err, ErrSignIn) {
			return Staff{}, StaffSession{}, ErrSignIn
		}
		return Staff{}, StaffSession{}, fmt.Errorf("read a session: %w", err)
	}
	now := d.cfg.Clock.Now()
	if s.Disabled || session.At < s.SessionsFrom || now >= session.Till || now >= session.SeenAt.Add(d.cfg.Limits.Idle) {
		return Staff{}, StaffSession{}, ErrSignIn
	}
	if session.Method == byPassword {
		switch {
		case s.MustChange:
			s.Duty = OwnPassword
		case !s.HasTOTP && !d.cfg.PasswordAlone:
			s.Duty = Authenticator
		}
	}
	return s, session, nil
}

// freshFor is how long after a sign-in ways to sign in may be added without another one.
const freshFor = 15 * time.Minute

// Fresh reports whether a session began a short while ago. Pages ask for another sign-in before they
// add an authenticator or a passkey from one that did not: the chair may be somebody else's.
func (d *StaffDesk) Fresh(x StaffSession) bool { return d.cfg.Clock.Now() < x.At.Add(freshFor) }

// SignOut ends a token's session.
func (d *StaffDesk) SignOut(ctx context.Context, token string) error {
	return d.cfg.Store.EndSession(ctx, hashToken(token))
}

// SignOutElsewhere ends all of a person's sessions but a token's; all with "".
func (d *StaffDesk) SignOutElsewhere(ctx context.Context, id StaffID, token string) error {
	but := ""
	if token != "" {
		but = hashToken(token)
	}
	return d.cfg.Store.EndSessions(ctx, id, but)
}

// Sessions returns a person's sign-ins that last, newest first.
func (d *StaffDesk) Sessions(ctx context.Context, id StaffID) ([]StaffSession, error) {
	all, err := d.cfg.Store.StaffSessions(ctx, id)
	now, n := d.cfg.Clock.Now(), 0
	for _, s := range all {
		if now < s.Till && now < s.SeenAt.Add(d.cfg.Limits.Idle) {
			all[n] = s
			n++
		}
	}
	return all[:n], err
}

// atWork is how long after their last click people count as at work: a call takes a while.
const atWork = 15 * time.Minute

// SignedIn counts the people of each role who are at work.
func (d *StaffDesk) SignedIn(ctx context.Context) (map[Role]int, error) {
	return d.cfg.Store.SignedIn(ctx, d.cfg.Clock.Now().Add(-atWork))
}

// Changes returns what was done to accounts, newest first; 0 for all.
func (d *StaffDesk) Changes(ctx context.Context, id StaffID, limit int) ([]StaffChange, error) {
	return d.cfg.Store.StaffChanges(ctx, id, limit)
}
