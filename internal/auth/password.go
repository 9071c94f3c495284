package auth

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// argon are the parameters of Argon2id (RFC 9106), the second recommended choice
// with less memory for small machines: OWASP's minimum of 19 MiB, 2 passes.
type argon struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
}

var argonNow = argon{memory: 19 << 10, passes: 2, threads: 1}

const (
	saltSize = 16
	hashSize = 32
)

// The bounds of a password: MinPassword in characters, MaxPassword in bytes.
const (
	MinPassword = 12
	MaxPassword = 256
)

// checkPassword refuses what is too short, too long, or nothing but the login.
func checkPassword(login, password string) error {
	n := utf8.RuneCountInString(password)
	distinct := map[rune]bool{}
	for _, r := range password {
		distinct[r] = true
	}
	switch {
	case n < MinPassword:
		return fmt.Errorf("%w: at least %d characters", ErrWeak, MinPassword)
	case len(password) > MaxPassword:
		return fmt.Errorf("%w: at most %d bytes", ErrWeak, MaxPassword)
	case strings.Contains(strings.ToLower(password), login):
		return fmt.Errorf("%w: it holds the login", ErrWeak)
	case len(distinct) < 6:
		return fmt.Errorf("%w: too few different characters", ErrWeak)
	}
	return nil
}

// hashPassword is the password's Argon2id in the text form that others write too:
// $argon2id$v=19$m=19456,t=2,p=1$salt$hash.
func hashPassword(password string, random io.Reader) (string, error) {
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(random, salt); err != nil {
		return "", fmt.Errorf("draw a salt: %w", err)
	}
	p := argonNow
	hash := argon2.IDKey([]byte(password), salt, p.passes, p.memory, p.threads, hashSize)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.passes, p.threads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(hash)), nil
}

var errHash = errors.New("not an Argon2id hash")

// The bounds of parameters in a kept hash, so that a wrong row stops nothing.
const (
	maxArgonMemory = 256 << 10
	maxArgonPasses = 16
)

// matchPassword reports whether a password is the one of a kept hash, in a time that
// does not depend on the password. An empty or unreadable hash costs as much and matches nothing.
func matchPassword(kept, password string) bool {
	p, salt, hash, err := parseHash(kept)
	if err != nil {
		p, salt, hash = argonNow, make([]byte, saltSize), make([]byte, hashSize)
	}
	if len(password) > MaxPassword {
		password = password[:MaxPassword]
		err = errHash
	}
	got := argon2.IDKey([]byte(password), salt, p.passes, p.memory, p.threads, uint32(len(hash))) //nolint:gosec // parseHash bounds it
	return subtle.ConstantTimeCompare(got, hash) == 1 && err == nil
}

// parseHash reads a kept hash.
func parseHash(kept string) (p argon, salt, hash []byte, err error) {
	var version int
	parts := strings.Split(kept, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return p, nil, nil, errHash
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return p, nil, nil, errHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.passes, &p.threads); err != nil {
		return p, nil, nil, errHash
	}
	salt, saltErr := base64.RawStdEncoding.DecodeString(parts[4])
	hash, hashErr := base64.RawStdEncoding.DecodeString(parts[5])
	if saltErr != nil || hashErr != nil || len(salt) < 8 || len(salt) > 64 || len(hash) < 16 || len(hash) > 64 ||
		p.memory < 8 || p.memory > maxArgonMemory || p.passes < 1 || p.passes > maxArgonPasses || p.threads < 1 {
		return p, nil, nil, errHash
	}
	return p, salt, hash, nil
}
