package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"

	"tenu/internal/fuzztest"
	"tenu/internal/purchase"
)

// FuzzPasswordHash: a kept hash is refused, or costs what the bounds allow.
func FuzzPasswordHash(f *testing.F) {
	good, err := hashPassword("huit mots de passe", bytes.NewReader(make([]byte, saltSize)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(strings.Replace(good, "m=19456", "m=4294967295", 1))
	f.Add(strings.Replace(good, "t=2", "t=0", 1))
	f.Add(strings.Replace(good, "p=1", "p=0", 1))
	f.Add("$argon2id$v=19$m=8,t=1,p=1$$")
	f.Fuzz(func(t *testing.T, kept string) {
		p, salt, hash, err := parseHash(kept)
		if err != nil {
			return
		}
		if p.memory > maxArgonMemory || p.passes < 1 || p.passes > maxArgonPasses || p.threads < 1 || len(salt) < 8 || len(salt) > 64 || len(hash) < 16 || len(hash) > 64 {
			t.Fatalf("%q is read as %+v, %d, %d", kept, p, len(salt), len(hash))
		}
	})
}

// FuzzPasskeyAnswer: whatever a browser answers is refused or read, in bounded memory.
func FuzzPasskeyAnswer(f *testing.F) {
	f.Add([]byte("{}"))
	f.Add([]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","attestationObject":"oA"}}`))
	f.Add([]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AA","signature":"AA","userHandle":"AA"}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		fuzztest.Within(t, 4<<20, func() {
			_, made := registered(answer)
			if len(answer) > maxAnswer && made == nil {
				t.Errorf("%d bytes were read", len(answer))
			}
			_, _ = protocol.ParseCredentialRequestResponseBytes(answer[:min(len(answer), maxAnswer)])
		})
	})
}

// FuzzSealed: nothing opens but what was sealed for the purpose.
func FuzzSealed(f *testing.F) {
	s, err := newSealer([]byte("0123456789abcdef"))
	if err != nil {
		f.Fatal(err)
	}
	box, err := s.seal("oidc", []byte("state"), bytes.NewReader(make([]byte, 99)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("oidc", box)
	f.Add("totp/oidc", box)
	f.Add("oidc", box[:12])
	f.Fuzz(func(t *testing.T, purpose string, sealed []byte) {
		_, err := s.open(purpose, sealed)
		if opens := purpose == "oidc" && bytes.Equal(sealed, box); opens != (err == nil) {
			t.Fatalf("%q, %x: %v", purpose, sealed, err)
		}
	})
}

// FuzzCode: of all that can be typed only the digits of the steps around now are a code.
func FuzzCode(f *testing.F) {
	secret := []byte("12345678901234567890") // of RFC 6238, whose codes have two digits more
	const now = purchase.Instant(1_111_111_109_000_000)
	if totpMatch(secret, "081804", now, 0) != 37037036 {
		f.Fatal("the code of RFC 6238 is not accepted")
	}
	f.Add("081804", int64(0))
	f.Add("081 804", int64(0))
	f.Add("\u0660\u0668\u0661\u0668\u0660\u0664", int64(0))
	f.Add("081804", int64(37037036))
	f.Fuzz(func(t *testing.T, typed string, last int64) {
		step := totpMatch(secret, typed, now, last)
		if step == 0 {
			return
		}
		if step <= last || step < 37037035 || step > 37037037 || totpCode(secret, step) != strings.ReplaceAll(typed, " ", "") {
			t.Fatalf("%q after %d is taken for step %d", typed, last, step)
		}
	})
}

// FuzzClaims: whatever a provider says of a person is an account that can be, or none, and a
// role only by a value that is configured.
func FuzzClaims(f *testing.F) {
	c := OIDCConfig{RoleClaim: "groups", Roles: map[string]Role{"leads": Supervisor}}
	f.Add(`{"groups":["a","leads"],"preferred_username":"Fatou.Traor\u00e9@x","name":"\u0000"}`)
	f.Add(`{"groups":{"leads":"leads"},"email":1}`)
	f.Add(`{"groups":[["leads"]],"name":null,"email":"@"}`)
	f.Fuzz(func(t *testing.T, text string) {
		var claims map[string]any
		if json.Unmarshal([]byte(text), &claims) != nil {
			return
		}
		who := c.read(claims)
		if who.Role != "" && (who.Role != Supervisor || !strings.Contains(text, "lea") && !strings.Contains(text, `\u`)) {
			t.Fatalf("%q has the role %s", text, who.Role)
		}
		login := plainLogin(who.Login)
		s := Staff{Login: login, Name: "x", Role: Agent}
		if err := CheckStaff(&s); err != nil && len(login) >= 2 && login != byCommand {
			t.Fatalf("%q makes the login %q: %v", text, login, err)
		}
	})
}

// FuzzReadNumbers: a list of numbers is read whole or not at all, and is bounded.
func FuzzReadNumbers(f *testing.F) {
	f.Add("70112233, +226 70 11 22 34;\n")
	f.Add(strings.Repeat("7,", 100))
	f.Fuzz(func(t *testing.T, text string) {
		read := func(field string) (purchase.MSISDN, error) {
			if strings.Trim(field, "0123456789") != "" || len(field) > 15 {
				return 0, errors.New("none")
			}
			return 1, nil
		}
		all, err := ReadNumbers(text, read)
		if err == nil && len(all) > maxStaffNumbers || err != nil && all != nil {
			t.Fatalf("%q: %d numbers, %v", text, len(all), err)
		}
	})
}
