package auth

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// Passkeys speaks Web Authentication (W3C, level 2) for one relying party.
type Passkeys struct{ web *webauthn.WebAuthn }

// NewPasskeys returns what signs in by passkeys: of a relying party (the console's host name, without port)
// that is reached at the origins, such as https://console.example.
func NewPasskeys(name, party string, origins []string) (*Passkeys, error) {
	web, err := webauthn.New(&webauthn.Config{RPDisplayName: name, RPID: party, RPOrigins: origins,
		AuthenticatorSelection: protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementRequired,
			UserVerification: protocol.VerificationRequired},
		Timeouts: webauthn.TimeoutsConfig{Login: webauthn.TimeoutConfig{Enforce: true, Timeout: ceremony, TimeoutUVD: ceremony},
			Registration: webauthn.TimeoutConfig{Enforce: true, Timeout: ceremony, TimeoutUVD: ceremony}}})
	if err != nil {
		return nil, fmt.Errorf("passkeys: %w", err)
	}
	return &Passkeys{web}, nil
}

// maxAnswer bounds what a browser answers, in bytes.
const maxAnswer = 16 << 10

// ceremony is how long a person may take to touch the key.
const ceremony = 5 * time.Minute

// holder is a person as the library wants to know one.
type holder struct {
	s    Staff
	keys []webauthn.Credential
}

// WebAuthnID is webauthn.User: the account's number, which means nothing to others.
func (h *holder) WebAuthnID() []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(h.s.ID)) //nolint:gosec // never negative
}

// WebAuthnName is webauthn.User.
func (h *holder) WebAuthnName() string { return h.s.Login }

// WebAuthnDisplayName is webauthn.User.
func (h *holder) WebAuthnDisplayName() string { return h.s.Name }

// WebAuthnCredentials is webauthn.User.
func (h *holder) WebAuthnCredentials() []webauthn.Credential { return h.keys }

// holder reads a person's credentials.
func (d *StaffDesk) holder(ctx context.Context, s Staff) (*holder, error) {
	keys, err := d.cfg.Store.Passkeys(ctx, s.ID)
	if err != nil {
		return nil, fmt.Errorf("read passkeys: %w", err)
	}
	h := &holder{s: s}
	for i := range keys {
		var c webauthn.Credential
		if err := json.Unmarshal(keys[i].Data, &c); err != nil {
			return nil, fmt.Errorf("read a passkey: %w", err)
		}
		c.Authenticator.SignCount = keys[i].Count
		h.keys = append(h.keys, c)
	}
	return h, nil
}

// Ceremony is what a browser is asked for (JSON, the argument of navigator.credentials), and
// the sealed state that comes back with its answer.
type Ceremony struct {
	Options json.RawMessage
	State   string
}

var errNoPasskeys = errors.New("auth: passkeys are not offered")

// OfferPasskey begins the registration of a passkey of somebody who is signed in.
func (d *StaffDesk) OfferPasskey(ctx context.Context, s Staff) (Ceremony, error) {
	if d.cfg.Passkeys == nil {
		return Ceremony{}, errNoPasskeys
	}
	h, err := d.holder(ctx, s)
	if err != nil {
		return Ceremony{}, err
	}
	known := webauthn.Credentials(h.keys).CredentialDescriptors()
	options, session, err := d.cfg.Passkeys.web.BeginRegistration(h, webauthn.WithExclusions(known))
	if err != nil {
		return Ceremony{}, fmt.Errorf("offer a passkey: %w", err)
	}
	return d.ceremony("register/"+s.Login, options, session)
}

// EnrolPasskey keeps a passkey that a browser made. ErrSignIn for an answer that is not to what was asked,
// ErrFull beyond maxPasskeys.
func (d *StaffDesk) EnrolPasskey(ctx context.Context, s Staff, state, name string, answer []byte) error {
	if d.cfg.Passkeys == nil {
		return errNoPasskeys
	}
	session, err := d.resume(ctx, "register/"+s.Login, state)
	if err != nil {
		return err
	}
	h, err := d.holder(ctx, s)
	if err != nil {
		return err
	}
	if len(h.keys) >= maxPasskeys {
		return ErrFull
	}
	parsed, err := registered(answer)
	if err != nil {
		return ErrSignIn
	}
	c, err := d.cfg.Passkeys.web.CreateCredential(h, session, parsed)
	if err != nil {
		return ErrSignIn
	}
	data, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("keep a passkey: %w", err)
	}
	if name == "" {
		name = "passkey"
	}
	key := Passkey{ID: c.ID, Staff: s.ID, Name: cut(name, 60), Data: data, Count: c.Authenticator.SignCount, At: d.cfg.Clock.Now()}
	if err := d.cfg.Store.AddPasskey(ctx, key, d.change(s.Login, s.ID, "passkey "+key.Name+" enrolled")); err != nil {
		return fmt.Errorf("keep a passkey: %w", err)
	}
	return nil
}

// Passkeys returns a person's passkeys.
func (d *StaffDesk) Passkeys(ctx context.Context, id StaffID) ([]Passkey, error) {
	return d.cfg.Store.Passkeys(ctx, id)
}

// DropPasskey forgets one of a person's own.
func (d *StaffDesk) DropPasskey(ctx context.Context, s Staff, credential []byte) error {
	return d.cfg.Store.DropPasskey(ctx, s.ID, credential, d.change(s.Login, s.ID, "passkey removed"))
}

// AskPasskey begins a sign-in by passkey, whoever it will be.
func (d *StaffDesk) AskPasskey() (Ceremony, error) {
	if d.cfg.Passkeys == nil {
		return Ceremony{}, errNoPasskeys
	}
	options, session, err := d.cfg.Passkeys.web.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return Ceremony{}, fmt.Errorf("ask for a passkey: %w", err)
	}
	return d.ceremony("sign in", options, session)
}

// SignInByPasskey signs in whoever holds the passkey that answered. ErrSignIn for
// everything else, a credential whose count of signatures did not grow included: it may be a copy. ErrLocked.
func (d *StaffDesk) SignInByPasskey(ctx context.Context, state string, answer []byte, v Visitor) (token string, s Staff, err error) {
	if d.cfg.Passkeys == nil {
		return "", Staff{}, errNoPasskeys
	}
	t, err := d.try(ctx, "", v)
	if err != nil {
		return "", Staff{}, err
	}
	session, err := d.resume(ctx, "sign in", state)
	if err != nil {
		return "", Staff{}, err
	}
	h, c, err := d.touched(ctx, session, answer)
	if err != nil {
		return "", Staff{}, err
	}
	if err := d.used(ctx, h, c); err != nil {
		return "", Staff{}, err
	}
	if err := t.accept(ctx, 0); err != nil {
		return "", Staff{}, err
	}
	token, err = d.begin(ctx, h.s.ID, byPasskey, v)
	return token, h.s, err
}

// registered reads what a browser answers to a registration.
func registered(answer []byte) (*protocol.ParsedCredentialCreationData, error) {
	if len(answer) > maxAnswer {
		return nil, ErrSignIn
	}
	return protocol.ParseCredentialCreationResponseBytes(answer)
}

// touched finds whose passkey answered, and which it was.
func (d *StaffDesk) touched(ctx context.Context, session webauthn.SessionData, answer []byte) (*holder, *webauthn.Credential, error) {
	if len(answer) > maxAnswer {
		return nil, nil, ErrSignIn
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return nil, nil, ErrSignIn
	}
	var failure error
	find := func(_, handle []byte) (webauthn.User, error) {
		if len(handle) != 8 {
			return nil, ErrSignIn
		}
		person, _, err := d.cfg.Store.Person(ctx, StaffID(binary.BigEndian.Uint64(handle))) //nolint:gosec // looked up only
		if err != nil {
			if !errors.Is(err, ErrStaff) {
				failure = err
			}
			return nil, ErrSignIn
		}
		h, err := d.holder(ctx, person)
		if err != nil {
			failure = err
		}
		return h, err
	}
	user, c, err := d.cfg.Passkeys.web.ValidatePasskeyLogin(find, session, parsed)
	h, known := user.(*holder)
	switch {
	case failure != nil:
		return nil, nil, fmt.Errorf("sign in by passkey: %w", failure)
	case err != nil || !known || h.s.Disabled || c.Authenticator.CloneWarning:
		return nil, nil, ErrSignIn
	}
	return h, c, nil
}

// used keeps what a passkey said of itself, unless it was used meanwhile.
func (d *StaffDesk) used(ctx context.Context, h *holder, c *webauthn.Credential) error {
	keys, err := d.cfg.Store.Passkeys(ctx, h.s.ID)
	if err != nil {
		return fmt.Errorf("sign in by passkey: %w", err)
	}
	for _, k := range keys {
		if string(k.ID) != string(c.ID) {
			continue
		}
		before := k.Count
		if k.Data, err = json.Marshal(c); err != nil {
			return fmt.Errorf("keep a passkey: %w", err)
		}
		k.Count = c.Authenticator.SignCount
		done, err := d.cfg.Store.UsePasskey(ctx, k, before)
		if err != nil {
			return fmt.Errorf("sign in by passkey: %w", err)
		}
		if done {
			return nil
		}
	}
	return ErrSignIn
}

// sealed is the state of a ceremony as it travels through the browser.
type sealed struct {
	Session webauthn.SessionData
	Till    int64
	Nonce   string
}

func (d *StaffDesk) ceremony(purpose string, options any, session *webauthn.SessionData) (Ceremony, error) {
	text, err := json.Marshal(options)
	if err != nil {
		return Ceremony{}, fmt.Errorf("write a ceremony: %w", err)
	}
	state, err := json.Marshal(sealed{*session, int64(d.cfg.Clock.Now().Add(ceremony)), session.Challenge})
	if err != nil {
		return Ceremony{}, fmt.Errorf("write a ceremony: %w", err)
	}
	box, err := d.sealer.seal("passkey/"+purpose, state, d.cfg.Random)
	if err != nil {
		return Ceremony{}, err
	}
	return Ceremony{text, base64.RawURLEncoding.EncodeToString(box)}, nil
}

// resume opens the state of a ceremony, once.
func (d *StaffDesk) resume(ctx context.Context, purpose, state string) (webauthn.SessionData, error) {
	box, err := base64.RawURLEncoding.DecodeString(cut(state, maxAnswer))
	if err != nil {
		return webauthn.SessionData{}, ErrSignIn
	}
	text, err := d.sealer.open("passkey/"+purpose, box)
	if err != nil {
		return webauthn.SessionData{}, ErrSignIn
	}
	var s sealed
	if err := json.Unmarshal(text, &s); err != nil {
		return webauthn.SessionData{}, ErrSignIn
	}
	return s.Session, d.once(ctx, "ceremony/"+s.Nonce, s.Till)
}
