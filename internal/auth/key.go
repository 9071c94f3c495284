package auth

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// secretBytes is the entropy of a key: 256 bits, out of reach of any search, so
// that a plain SHA-256 is a sufficient hash of it.
const secretBytes = 32

// keyLimit bounds the bytes of a presented key. Longer ones are hashed as cut,
// and so match nothing.
const keyLimit = 160

var clientName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

var secretAlphabet = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// CheckName returns an error unless name can be a client's: 1 to 32 of a-z, 0-9
// and hyphen, not beginning with a hyphen.
func CheckName(name string) error {
	if !clientName.MatchString(name) {
		return fmt.Errorf("client name %q: 1 to 32 of a-z, 0-9 and hyphen needed", name)
	}
	return nil
}

// NewKey makes a key for a client from 32 bytes of random, in the form
// tenu_<client>_<secret>. The prefix lets people and scanners recognise a
// leaked one. The key is shown once and kept only as its hash.
func NewKey(client string, random io.Reader) (string, error) {
	if err := CheckName(client); err != nil {
		return "", err
	}
	var secret [secretBytes]byte
	if _, err := io.ReadFull(random, secret[:]); err != nil {
		return "", fmt.Errorf("make key: %w", err)
	}
	return "tenu_" + client + "_" + secretAlphabet.EncodeToString(secret[:]), nil
}

// Hash is what is kept of a key: the SHA-256 of its text.
type Hash [sha256.Size]byte

const hashPrefix = "sha256:"

// HashKey returns the hash of a key. The time it takes does not depend on the key.
func HashKey(key string) Hash {
	var block [keyLimit + 1]byte // a fixed length, so that the work is the same
	n := copy(block[1:], key)
	if n < len(key) {
		n = keyLimit + 1 // a cut key is none
	}
	block[0] = byte(n)
	return sha256.Sum256(block[:])
}

// String is the hash as configuration holds it: "sha256:" and 64 hexadecimal digits.
func (h Hash) String() string { return hashPrefix + hex.EncodeToString(h[:]) }

// ParseHash reads what Hash.String wrote.
func ParseHash(text string) (Hash, error) {
	var h Hash
	digits, ok := strings.CutPrefix(text, hashPrefix)
	if !ok || len(digits) != hex.EncodedLen(len(h)) {
		return Hash{}, errors.New("key hash: want sha256: and 64 hexadecimal digits")
	}
	if _, err := hex.Decode(h[:], []byte(digits)); err != nil {
		return Hash{}, errors.New("key hash: want sha256: and 64 hexadecimal digits")
	}
	return h, nil
}
