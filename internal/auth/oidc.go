package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"tenu/internal/purchase"
)

// OIDCConfig says who signs staff in by OpenID Connect.
type OIDCConfig struct {
	Issuer, ClientID, ClientSecret string
	// Redirect is where the provider sends browsers back to where nothing else is asked for: the console's /signin/oidc.
	Redirect string
	// RoleClaim names a claim of the ID token; Roles say which of its values are which role. With a claim, its role is
	// taken over at each sign-in. "": the account's own stays.
	RoleClaim string
	Roles     map[string]Role
	// Provision makes an account for whoever has a role by the claim and none yet.
	Provision bool
	Client    *http.Client
}

// OIDC speaks OpenID Connect Core 1.0 with one provider: the authorization code flow
// with PKCE (RFC 7636) and a nonce. It asks the provider about itself when it is first
// needed, so that a provider which is down keeps nothing else from working.
type OIDC struct {
	cfg OIDCConfig
	// turn is held by whoever asks the provider about itself.
	turn  chan struct{}
	known atomic.Pointer[discovered]
}

// discovered is what a provider said about itself.
type discovered struct {
	*oidc.Provider
	oauth oauth2.Config
}

// to is the same with another address to come back to, "" for the configured one.
func (p *discovered) to(back string) *oauth2.Config {
	oauth := p.oauth
	oauth.RedirectURL = cmp.Or(back, oauth.RedirectURL)
	return &oauth
}

// NewOIDC returns what signs in by a provider, or an error that says what cannot be. It asks nobody yet.
func NewOIDC(cfg OIDCConfig) (*OIDC, error) {
	if cfg.Issuer == "" || cfg.ClientID == "" || cfg.Redirect == "" {
		return nil, errors.New("OpenID: an issuer, a client and where to come back to are needed")
	}
	if cfg.Provision && cfg.RoleClaim == "" {
		return nil, errors.New("OpenID: accounts can be made only where a claim tells the role")
	}
	for value, role := range cfg.Roles {
		if !slices.Contains(Roles, role) {
			return nil, fmt.Errorf("OpenID: role %q of %q is none of %v", role, value, Roles)
		}
	}
	client := http.Client{Timeout: 10 * time.Second}
	if cfg.Client != nil {
		client = *cfg.Client
	}
	client.Transport = bounded{client.Transport}
	cfg.Client = &client
	return &OIDC{cfg: cfg, turn: make(chan struct{}, 1)}, nil
}

// provider returns the provider as it described itself, or ErrProvider.
func (o *OIDC) provider(ctx context.Context) (*discovered, error) {
	if p := o.known.Load(); p != nil {
		return p, nil
	}
	select {
	case o.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, silent(ctx.Err())
	}
	defer func() { <-o.turn }()
	if p := o.known.Load(); p != nil {
		return p, nil
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, o.cfg.Client), o.cfg.Issuer)
	if err != nil {
		return nil, silent(err)
	}
	p := &discovered{provider, oauth2.Config{ClientID: o.cfg.ClientID, ClientSecret: o.cfg.ClientSecret, RedirectURL: o.cfg.Redirect,
		Endpoint: provider.Endpoint(), Scopes: []string{oidc.ScopeOpenID, "profile", "email"}}}
	o.known.Store(p)
	return p, nil
}

// silent is ErrProvider with what went wrong, which may be a page of the provider's.
func silent(err error) error { return fmt.Errorf("%w: %s", ErrProvider, cut(err.Error(), 300)) }

// maxProviderAnswer bounds what a provider answers, in bytes.
const maxProviderAnswer = 1 << 20

// bounded ends answers that are too long.
type bounded struct{ next http.RoundTripper }

// RoundTrip is http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	next := b.next
	if next == nil {
		next = http.DefaultTransport
	}
	answer, err := next.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxProviderAnswer)
	}
	return answer, err
}

// oidcState is what is remembered between the way there and the way back.
type oidcState struct {
	State, Nonce, Verifier string
	Back                   string // "": the configured one
	Till                   int64
}

// oidcWithin is how long a person may take at the provider.
const oidcWithin = 10 * time.Minute

// AskOIDC returns where the browser is sent to, and a sealed state for a cookie that only
// the way back reads. back is where the provider sends it back to, which must know that address of this client; "" is the
// configured one. ErrProvider.
func (d *StaffDesk) AskOIDC(ctx context.Context, back string) (url, state string, err error) {
	if d.cfg.OIDC == nil {
		return "", "", fmt.Errorf("%w: there is none", ErrProvider)
	}
	p, err := d.cfg.OIDC.provider(ctx)
	if err != nil {
		return "", "", err
	}
	var b [64]byte
	if _, err := io.ReadFull(d.cfg.Random, b[:]); err != nil {
		return "", "", fmt.Errorf("draw a state: %w", err)
	}
	text := base64.RawURLEncoding.EncodeToString
	verifier := sha256.Sum256(b[32:])
	s := oidcState{State: text(b[:16]), Nonce: text(b[16:32]), Verifier: text(verifier[:]), Back: back, Till: int64(d.cfg.Clock.Now().Add(oidcWithin))}
	kept, err := json.Marshal(s)
	if err != nil {
		return "", "", fmt.Errorf("write a state: %w", err)
	}
	box, err := d.sealer.seal("oidc", kept, d.cfg.Random)
	if err != nil {
		return "", "", err
	}
	url = p.to(back).AuthCodeURL(s.State, oidc.Nonce(s.Nonce), oauth2.S256ChallengeOption(s.Verifier))
	return url, text(box), nil
}

// SignInByOIDC signs in whom the provider sent back with a code. ErrSignIn for whatever
// does not fit what was asked, and for a person without an account. ErrLocked, ErrProvider.
func (d *StaffDesk) SignInByOIDC(ctx context.Context, kept, state, code string, v Visitor) (token string, s Staff, err error) {
	if d.cfg.OIDC == nil {
		return "", Staff{}, ErrSignIn
	}
	t, err := d.try(ctx, "", v)
	if err != nil {
		return "", Staff{}, err
	}
	box, err := base64.RawURLEncoding.DecodeString(cut(kept, maxAnswer))
	if err != nil {
		return "", Staff{}, ErrSignIn
	}
	text, err := d.sealer.open("oidc", box)
	if err != nil {
		return "", Staff{}, ErrSignIn
	}
	var asked oidcState
	if json.Unmarshal(text, &asked) != nil || asked.State != state || state == "" {
		return "", Staff{}, ErrSignIn
	}
	if err := d.once(ctx, "oidc/"+asked.State, asked.Till); err != nil {
		return "", Staff{}, err
	}
	who, err := d.cfg.OIDC.exchange(ctx, d.cfg.Clock.Now(), asked, code)
	if err != nil {
		return "", Staff{}, err
	}
	if s, err = d.account(ctx, who); err != nil {
		return "", Staff{}, err
	}
	if err := t.accept(ctx, 0); err != nil {
		return "", Staff{}, err
	}
	token, err = d.begin(ctx, s.ID, byOIDC, v)
	return token, s, err
}

// identity is who the provider says it is.
type identity struct {
	Subject, Login, Name string
	Role                 Role
}

// exchange exchanges a code for an ID token, and checks it.
func (o *OIDC) exchange(ctx context.Context, now purchase.Instant, asked oidcState, code string) (identity, error) {
	p, err := o.provider(ctx)
	if err != nil {
		return identity{}, err
	}
	ctx = oidc.ClientContext(ctx, o.cfg.Client)
	got, err := p.to(asked.Back).Exchange(ctx, code, oauth2.VerifierOption(asked.Verifier))
	if err != nil {
		var refused *oauth2.RetrieveError
		if errors.As(err, &refused) && refused.Response.StatusCode < http.StatusInternalServerError {
			return identity{}, ErrSignIn
		}
		return identity{}, silent(err)
	}
	raw, _ := got.Extra("id_token").(string)
	verifier := p.Verifier(&oidc.Config{ClientID: o.cfg.ClientID, Now: func() time.Time { return now.Time() }})
	token, err := verifier.Verify(ctx, raw)
	if err != nil || token.Nonce != asked.Nonce {
		return identity{}, ErrSignIn
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return identity{}, ErrSignIn
	}
	who := o.cfg.read(claims)
	who.Subject = token.Issuer + "|" + token.Subject
	return who, nil
}

// read reads what claims say of a person.
func (c *OIDCConfig) read(claims map[string]any) identity {
	word := func(name string) string { text, _ := claims[name].(string); return text }
	who := identity{Login: word("preferred_username"), Name: word("name")}
	if who.Login == "" {
		who.Login = word("email")
	}
	values := []any{claims[c.RoleClaim]}
	if list, ok := claims[c.RoleClaim].([]any); ok {
		values = list
	}
	for _, role := range Roles { // of several, the last in the order of Roles
		for _, v := range values {
			if text, ok := v.(string); ok && c.Roles[text] == role {
				who.Role = role
			}
		}
	}
	return who
}

// account finds or makes the account of an identity.
func (d *StaffDesk) account(ctx context.Context, who identity) (Staff, error) {
	s, err := d.cfg.Store.PersonBySubject(ctx, who.Subject)
	claimed := d.cfg.OIDC.cfg.RoleClaim != ""
	switch {
	case errors.Is(err, ErrStaff) && d.cfg.OIDC.cfg.Provision && who.Role != "":
		return d.provision(ctx, who)
	case errors.Is(err, ErrStaff), err == nil && (s.Disabled || claimed && who.Role == ""):
		return Staff{}, ErrSignIn
	case err != nil:
		return Staff{}, fmt.Errorf("sign in by OpenID: %w", err)
	case claimed && who.Role != s.Role:
		s.Role = who.Role
		return d.Change(ctx, "OpenID", s)
	}
	return s, nil
}

// provision makes the account of somebody who comes for the first time. It has no password.
func (d *StaffDesk) provision(ctx context.Context, who identity) (Staff, error) {
	s := Staff{Login: plainLogin(who.Login), Name: cut(who.Name, maxStaffName), Role: who.Role, Language: "fr", Subject: who.Subject, Version: 1}
	if s.Name == "" {
		s.Name = s.Login
	}
	if CheckStaff(&s) != nil {
		return Staff{}, ErrSignIn
	}
	id, err := d.cfg.Store.AddStaff(ctx, s, Secrets{}, d.change("OpenID", 0, "provisioned as "+string(s.Role)))
	if errors.Is(err, ErrStaffTaken) {
		return Staff{}, ErrSignIn // a login of somebody else is not taken over
	}
	if err != nil {
		return Staff{}, fmt.Errorf("provision an account: %w", err)
	}
	s.ID = id
	return s, nil
}

// plainLogin makes a login of a name or address of the provider's.
func plainLogin(text string) string {
	var b []byte
	for i := 0; i < len(text) && len(b) < maxLogin && text[i] != '@'; i++ {
		switch ch := text[i] | 0x20; {
		case ch >= 'a' && ch <= 'z':
			b = append(b, ch)
		case text[i] >= '0' && text[i] <= '9', text[i] == '.', text[i] == '-', text[i] == '_':
			b = append(b, text[i])
		}
	}
	return string(b)
}

// once returns ErrSignIn when something was used before, or is over.
func (d *StaffDesk) once(ctx context.Context, name string, till int64) error {
	if int64(d.cfg.Clock.Now()) >= till {
		return ErrSignIn
	}
	first, err := d.cfg.Store.UseOnce(ctx, name, purchase.Instant(till))
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	if !first {
		return ErrSignIn
	}
	return nil
}
