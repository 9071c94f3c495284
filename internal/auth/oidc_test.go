package auth_test

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// provider is an OpenID provider that says what a test lets it say.
type provider struct {
	*httptest.Server
	key    *rsa.PrivateKey
	claims map[string]any
	sign   *rsa.PrivateKey // another key than the published one, when set
	code   string
	asked  url.Values // of the authorization request
	back   string     // where browsers are to be sent back to, when it is not the configured address
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key, code: "the-code"}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
			"jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "one", Algorithm: "RS256", Use: "sig"}}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if r.FormValue("code") != p.code || r.FormValue("redirect_uri") != p.asked.Get("redirect_uri") || base64.RawURLEncoding.EncodeToString(sum[:]) != p.asked.Get("code_challenge") {
			w.WriteHeader(http.StatusBadRequest)
			answer(w, map[string]string{"error": "invalid_grant"})
			return
		}
		answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": p.token(t)})
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

// token signs the claims.
func (p *provider) token(t *testing.T) string {
	key := p.key
	if p.sign != nil {
		key = p.sign
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "one"}}, nil)
	if err != nil {
		t.Error(err)
		return ""
	}
	text, err := json.Marshal(p.claims)
	if err != nil {
		t.Error(err)
		return ""
	}
	signed, err := signer.Sign(text)
	if err != nil {
		t.Error(err)
		return ""
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Error(err)
	}
	return compact
}

// there sends a browser to the provider, and returns the state for the way back and its cookie.
func (p *provider) there(t *testing.T, o *office) (state, kept string) {
	t.Helper()
	to, kept, err := o.AskOIDC(t.Context(), p.back)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	p.asked = u.Query()
	if p.asked.Get("code_challenge_method") != "S256" || p.asked.Get("nonce") == "" || p.asked.Get("client_id") != "tenu" {
		t.Errorf("the authorization request lacks something: %v", p.asked)
	}
	if want := cmp.Or(p.back, "https://console.example/signin/oidc"); p.asked.Get("redirect_uri") != want {
		t.Errorf("browsers are sent back to %q, not to %q", p.asked.Get("redirect_uri"), want)
	}
	now := o.clock.Now().Time()
	p.claims = map[string]any{"iss": p.URL, "sub": "1234", "aud": "tenu", "exp": now.Add(time.Minute).Unix(), "iat": now.Unix(),
		"nonce": p.asked.Get("nonce"), "preferred_username": "Fatou.Traore@example", "name": "Fatou Traoré", "groups": []string{"staff", "care-leads"}}
	return p.asked.Get("state"), kept
}

func openOIDC(t *testing.T, p *provider, provision bool) *office {
	t.Helper()
	o, err := auth.NewOIDC(auth.OIDCConfig{Issuer: p.URL, ClientID: "tenu", ClientSecret: "secret", Redirect: "https://console.example/signin/oidc",
		RoleClaim: "groups", Roles: map[string]auth.Role{"care-agents": auth.Agent, "care-leads": auth.Supervisor}, Provision: provision})
	if err != nil {
		t.Fatal(err)
	}
	office := open(t, func(c *auth.StaffConfig) { c.OIDC = o })
	office.clock.now = purchase.At(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))
	return office
}

func TestOIDC(t *testing.T) {
	p := newProvider(t)
	o := openOIDC(t, p, true)
	state, kept := p.there(t, o)
	token, s, err := o.SignInByOIDC(o.ctx, kept, state, p.code, auth.Visitor{})
	if err != nil || s.Role != auth.Supervisor || s.Login != "fatou.traore" {
		t.Fatal(s, err)
	}
	if who, session, err := o.Who(o.ctx, token); err != nil || who.ID != s.ID || session.Method != "oidc" {
		t.Fatal(who, session, err)
	}
	state, kept = p.there(t, o)
	p.claims["groups"] = "care-agents" // as one word, and another role
	if _, again, err := o.SignInByOIDC(o.ctx, kept, state, p.code, auth.Visitor{}); err != nil || again.ID != s.ID || again.Role != auth.Agent {
		t.Fatal(again, err)
	}
	if who, _, err := o.Who(o.ctx, token); err != nil || who.Role != auth.Agent {
		t.Errorf("the earlier session is still of a %s: %v", who.Role, err)
	}
}

func TestOIDCRefused(t *testing.T) {
	p := newProvider(t)
	o := openOIDC(t, p, true)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(state, kept, code *string){
		"nonce":          func(_, _, _ *string) { p.claims["nonce"] = "other" },
		"audience":       func(_, _, _ *string) { p.claims["aud"] = "other" },
		"issuer":         func(_, _, _ *string) { p.claims["iss"] = "https://other.example" },
		"expired":        func(_, _, _ *string) { p.claims["exp"] = o.clock.Now().Time().Add(-time.Hour).Unix() },
		"signature":      func(_, _, _ *string) { p.sign = stranger },
		"no role":        func(_, _, _ *string) { p.claims["groups"] = []string{"other"} },
		"state":          func(state, _, _ *string) { *state = "other" },
		"no state":       func(state, _, _ *string) { *state = "" },
		"no cookie":      func(_, kept, _ *string) { *kept = "" },
		"another cookie": func(_, kept, _ *string) { *kept = (*kept)[:len(*kept)-2] + "AA" },
		"code":           func(_, _, code *string) { *code = "other" },
	} {
		state, kept := p.there(t, o)
		code := p.code
		spoil(&state, &kept, &code)
		if _, s, err := o.SignInByOIDC(o.ctx, kept, state, code, auth.Visitor{}); !errors.Is(err, auth.ErrSignIn) {
			t.Errorf("%s: %v, %v", name, s, err)
		}
		p.sign = nil
	}
	state, kept := p.there(t, o)
	if _, _, err := o.SignInByOIDC(o.ctx, kept, state, p.code, auth.Visitor{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.SignInByOIDC(o.ctx, kept, state, p.code, auth.Visitor{}); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("the way back twice: %v", err)
	}
	state, kept = p.there(t, o)
	o.clock.pass(11 * time.Minute)
	if _, _, err := o.SignInByOIDC(o.ctx, kept, state, p.code, auth.Visitor{}); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("too late: %v", err)
	}
	unknown := openOIDC(t, p, false)
	state, kept = p.there(t, unknown)
	if _, _, err := unknown.SignInByOIDC(unknown.ctx, kept, state, p.code, auth.Visitor{}); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("somebody without an account: %v", err)
	}
}

// A provider that is down, talks too much or is another one keeps nobody from anything else,
// and serves when it is back.
func TestOIDCDown(t *testing.T) {
	p := newProvider(t)
	normal := p.Config.Handler
	var answer http.HandlerFunc
	p.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer != nil {
			answer(w, r)
			return
		}
		normal.ServeHTTP(w, r)
	})
	o := openOIDC(t, p, true)
	bad := map[string]http.HandlerFunc{
		"down": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, strings.Repeat("sorry ", 1000), http.StatusBadGateway)
		},
		"another": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"issuer":"https://other.example"}`))
		},
		"garbage": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("\x00<html>")) },
		"too much": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"issuer":"` + strings.Repeat("a", 2<<20)))
		},
		"hangs up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
	for name, h := range bad {
		answer = h
		if _, _, err := o.AskOIDC(o.ctx, ""); !errors.Is(err, auth.ErrProvider) || len(err.Error()) > 400 {
			t.Errorf("%s: %v", name, err)
		}
	}
	answer = nil
	state, kept := p.there(t, o)
	answer = bad["down"]
	if _, _, err := o.SignInByOIDC(o.ctx, kept, state, p.code, auth.Visitor{}); !errors.Is(err, auth.ErrProvider) {
		t.Errorf("down meanwhile: %v", err)
	}
	answer = nil
	state, kept = p.there(t, o)
	if _, _, err := o.SignInByOIDC(o.ctx, kept, state, p.code, auth.Visitor{}); err != nil {
		t.Errorf("when it is back: %v", err)
	}
	if _, _, err := open(t, nil).AskOIDC(t.Context(), ""); !errors.Is(err, auth.ErrProvider) {
		t.Errorf("without a provider: %v", err)
	}
}

// A person who is bound by hand keeps the account's role where no claim tells one.
func TestOIDCBound(t *testing.T) {
	p := newProvider(t)
	way, err := auth.NewOIDC(auth.OIDCConfig{Issuer: p.URL, ClientID: "tenu", Redirect: "https://console.example/signin/oidc"})
	if err != nil {
		t.Fatal(err)
	}
	o := open(t, func(c *auth.StaffConfig) { c.OIDC = way })
	s, _ := o.hire(t, "awa", auth.Auditor)
	state, kept := p.there(t, o)
	if _, _, err := o.SignInByOIDC(o.ctx, kept, state, p.code, auth.Visitor{}); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("not bound: %v", err)
	}
	if s, err = o.Person(o.ctx, s.ID); err != nil {
		t.Fatal(err)
	}
	s.Subject = p.URL + "|1234"
	if s, err = o.Change(o.ctx, "command", s); err != nil {
		t.Fatal(err)
	}
	state, kept = p.there(t, o)
	if _, who, err := o.SignInByOIDC(o.ctx, kept, state, p.code, auth.Visitor{}); err != nil || who.ID != s.ID || who.Role != auth.Auditor {
		t.Errorf("bound: %+v, %v", who, err)
	}
	s.Disabled = true
	if _, err = o.Change(o.ctx, "command", s); err != nil {
		t.Fatal(err)
	}
	state, kept = p.there(t, o)
	if _, _, err := o.SignInByOIDC(o.ctx, kept, state, p.code, auth.Visitor{}); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("disabled: %v", err)
	}
}

func TestOIDCConfigured(t *testing.T) {
	for name, c := range map[string]auth.OIDCConfig{
		"nothing": {}, "no client": {Issuer: "https://id.example", Redirect: "https://x.example/"},
		"accounts of no role": {Issuer: "https://id.example", ClientID: "a", Redirect: "https://x.example/", Provision: true},
		"role":                {Issuer: "https://id.example", ClientID: "a", Redirect: "https://x.example/", RoleClaim: "r", Roles: map[string]auth.Role{"x": "root"}},
	} {
		if _, err := auth.NewOIDC(c); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// TestOIDCBackElsewhere: one client of a provider serves several sites, each with its own address to come back to.
func TestOIDCBackElsewhere(t *testing.T) {
	p := newProvider(t)
	o := openOIDC(t, p, true)
	for _, back := range []string{"https://regulator.example/signin/oidc", ""} {
		p.back = back
		state, kept := p.there(t, o)
		if _, _, err := o.SignInByOIDC(t.Context(), kept, state, p.code, auth.Visitor{}); err != nil {
			t.Errorf("back to %q: %v", back, err)
		}
	}
}
