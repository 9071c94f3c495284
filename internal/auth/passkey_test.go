package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"sync"
	"testing"

	"github.com/descope/virtualwebauthn"

	"tenu/internal/auth"
)

var party = virtualwebauthn.RelyingParty{Name: "tenu", ID: "console.example", Origin: "https://console.example"}

func keyed(t *testing.T) *office {
	t.Helper()
	keys, err := auth.NewPasskeys(party.Name, party.ID, []string{party.Origin})
	if err != nil {
		t.Fatal(err)
	}
	return open(t, func(c *auth.StaffConfig) { c.Passkeys = keys })
}

// token is a person's authenticator with one credential.
type token struct {
	device virtualwebauthn.Authenticator
	key    virtualwebauthn.Credential
}

// enrol registers a passkey of a person.
func (o *office) enrol(t *testing.T, s auth.Staff) *token {
	t.Helper()
	c, err := o.OfferPasskey(o.ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	asked, err := virtualwebauthn.ParseAttestationOptions(string(c.Options))
	if err != nil {
		t.Fatal(err)
	}
	k := &token{device: virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{UserHandle: handle(t, c.Options)}),
		key: credential(t)}
	answer := virtualwebauthn.CreateAttestationResponse(party, k.device, k.key, *asked)
	if err := o.EnrolPasskey(o.ctx, s, c.State, "clé", []byte(answer)); err != nil {
		t.Fatal(err)
	}
	if err := o.EnrolPasskey(o.ctx, s, c.State, "clé", []byte(answer)); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("a registration twice: %v", err)
	}
	k.device.AddCredential(k.key)
	return k
}

// credential is a new one. The authenticator here writes a coordinate that begins with a zero byte short, which no real
// one does (RFC 9053, 7.1.1) and no server takes: such keys, one of 128, are left out.
func credential(t *testing.T) virtualwebauthn.Credential {
	t.Helper()
	for {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		point, err := key.PublicKey.Bytes() // 4, x, y
		if err != nil {
			t.Fatal(err)
		}
		if point[1] == 0 || point[33] == 0 {
			continue
		}
		text, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return virtualwebauthn.NewCredentialWithImportedKey(virtualwebauthn.KeyTypeEC2, text)
	}
}

// handle is the user's handle that a browser is asked to keep.
func handle(t *testing.T, options []byte) []byte {
	t.Helper()
	asked, err := virtualwebauthn.ParseAttestationOptions(string(options))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(asked.UserID)
}

// touch answers a sign-in.
func (k *token) touch(t *testing.T, c auth.Ceremony) []byte {
	t.Helper()
	asked, err := virtualwebauthn.ParseAssertionOptions(string(c.Options))
	if err != nil {
		t.Fatal(err)
	}
	k.key.Counter++
	return []byte(virtualwebauthn.CreateAssertionResponse(party, k.device, k.key, *asked))
}

func TestPasskey(t *testing.T) {
	o := keyed(t)
	s, _ := o.hire(t, "awa", auth.Supervisor)
	k := o.enrol(t, s)
	ask := func() auth.Ceremony {
		c, err := o.AskPasskey()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := ask()
	answer := k.touch(t, c)
	session, who, err := o.SignInByPasskey(o.ctx, c.State, answer, auth.Visitor{})
	if err != nil || who.ID != s.ID {
		t.Fatal(who, err)
	}
	if _, _, err := o.Who(o.ctx, session); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, state string, answer []byte) {
		t.Helper()
		if _, _, err := o.SignInByPasskey(o.ctx, state, answer, auth.Visitor{}); !errors.Is(err, auth.ErrSignIn) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("the same answer again", c.State, answer)
	refused("an answer to another question", ask().State, answer)
	refused("no state", "", k.touch(t, c))
	refused("garbage", ask().State, []byte(`{"id":1}`))

	c = ask()
	k.key.Counter = 0 // a copy of the key that was taken before it was used
	copied := k.touch(t, c)
	refused("a copy", c.State, copied)

	c = ask()
	k.key.Counter = 10
	late := k.touch(t, c)
	o.clock.pass(6 * 60 * 1_000_000_000)
	refused("too late", c.State, late)

	var in sync.WaitGroup
	entered := make(chan bool, 10)
	k.key.Counter = 20
	c = ask()
	answer = k.touch(t, c)
	for range 10 {
		in.Go(func() {
			_, _, err := o.SignInByPasskey(o.ctx, c.State, answer, auth.Visitor{})
			entered <- err == nil
		})
	}
	in.Wait()
	close(entered)
	n := 0
	for ok := range entered {
		if ok {
			n++
		}
	}
	if n != 1 {
		t.Errorf("one touch signed in %d times", n)
	}
	keys, err := o.Passkeys(o.ctx, s.ID)
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	if err := o.DropPasskey(o.ctx, s, keys[0].ID); err != nil {
		t.Fatal(err)
	}
	c = ask()
	refused("a passkey that was removed", c.State, k.touch(t, c))
}

func TestPasskeyOfDisabled(t *testing.T) {
	o := keyed(t)
	s, _ := o.hire(t, "awa", auth.Agent)
	k := o.enrol(t, s)
	s, err := o.Person(o.ctx, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	s.Disabled = true
	if _, err := o.Change(o.ctx, "test", s); err != nil {
		t.Fatal(err)
	}
	c, err := o.AskPasskey()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.SignInByPasskey(o.ctx, c.State, k.touch(t, c), auth.Visitor{}); !errors.Is(err, auth.ErrSignIn) {
		t.Error(err)
	}
}

// A key that did not see a finger or a PIN, one of another site, and one too many.
func TestPasskeyRefused(t *testing.T) {
	o := keyed(t)
	s, _ := o.hire(t, "awa", auth.Agent)
	k := o.enrol(t, s)
	refused := func(what string, answer func(auth.Ceremony) []byte) {
		t.Helper()
		c, err := o.AskPasskey()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := o.SignInByPasskey(o.ctx, c.State, answer(c), auth.Visitor{}); !errors.Is(err, auth.ErrSignIn) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("unverified", func(c auth.Ceremony) []byte {
		k.device.Options.UserNotVerified = true
		defer func() { k.device.Options.UserNotVerified = false }()
		return k.touch(t, c)
	})
	refused("another site", func(c auth.Ceremony) []byte {
		asked, err := virtualwebauthn.ParseAssertionOptions(string(c.Options))
		if err != nil {
			t.Fatal(err)
		}
		there := virtualwebauthn.RelyingParty{Name: "x", ID: party.ID, Origin: "https://console.example.evil.example"}
		k.key.Counter++
		return []byte(virtualwebauthn.CreateAssertionResponse(there, k.device, k.key, *asked))
	})
	refused("another person's handle", func(c auth.Ceremony) []byte {
		other, _ := o.hire(t, "moussa", auth.Administrator)
		theirs := o.enrol(t, other)
		mine := k.device.Options.UserHandle
		k.device.Options.UserHandle = theirs.device.Options.UserHandle
		defer func() { k.device.Options.UserHandle = mine }()
		return k.touch(t, c)
	})
	refused("nothing", func(auth.Ceremony) []byte { return nil })
	c, err := o.OfferPasskey(o.ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	asked, err := virtualwebauthn.ParseAttestationOptions(string(c.Options))
	if err != nil {
		t.Fatal(err)
	}
	k.key.Counter++
	answer := virtualwebauthn.CreateAssertionResponse(party, k.device, k.key, virtualwebauthn.AssertionOptions{Challenge: asked.Challenge, RelyingPartyID: party.ID})
	if _, _, err := o.SignInByPasskey(o.ctx, c.State, []byte(answer), auth.Visitor{}); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("the state of a registration: %v", err)
	}
	for range 19 {
		o.enrol(t, s)
	}
	if c, err = o.OfferPasskey(o.ctx, s); err != nil {
		t.Fatal(err)
	}
	if err := o.EnrolPasskey(o.ctx, s, c.State, "one more", []byte("{}")); !errors.Is(err, auth.ErrFull) {
		t.Errorf("one too many: %v", err)
	}
}
