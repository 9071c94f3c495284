// Package seal keeps texts and files unreadable to whoever has a database and not its identity. Values are sealed by
// data keys of the store (XChaCha20-Poly1305), and the data keys by age for the recipients of the configuration, so
// that a value costs a microsecond and an identity is changed without touching one. It must not know what is sealed, or where it is kept.
package seal

import (
	"bytes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// Mark begins every sealed text. No query and no channel makes a text that begins so.
const Mark = "\x1fsealed:"

// A sealed text is Mark, the data key's number, a colon, and base64 of nonce and ciphertext. Sealed bytes are
// byteMark, the number as 8 bytes, nonce and ciphertext. In place of the number plain, or all ones, says that what follows
// is plain: so is kept what looks sealed and is not. Every other value without a mark is plain, as all were before sealing began.
const (
	byteMark = "\x00sealed\x00"

	keySize  = chacha20poly1305.KeySize
	overhead = chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
)

var encoding = base64.RawStdEncoding.Strict()

// ErrChanged says that a value is not what was sealed for its place: a bit of it is another, it was moved here from
// another row or column, or the form is none.
var ErrChanged = errors.New("it is not what was sealed there")

// KeyError says that there is no data key of that number.
type KeyError struct{ ID int64 }

func (e *KeyError) Error() string { return fmt.Sprintf("there is no data key %d", e.ID) }

// Where names a column of a row by its key, numbers and texts, unmistakably. What is sealed for a place opens at no other.
func Where(column string, key ...any) string {
	b := append(make([]byte, 0, 64), column...)
	open := byte('(')
	for _, k := range key {
		b = append(b, open)
		open = ','
		switch k := k.(type) {
		case int64:
			b = strconv.AppendInt(b, k, 10)
		case string:
			b = strconv.AppendQuote(b, k)
		default:
			b = fmt.Appendf(b, "%T", k) // no key is anything else: its values open nowhere
		}
	}
	return string(append(b, ')'))
}

// Sealed reports whether a text is to be opened before it is read.
func Sealed[T string | []byte](v T) bool {
	return strings.HasPrefix(string(v[:min(len(v), len(Mark))]), markOf[T]())
}

func markOf[T string | []byte]() string {
	if _, is := any(*new(T)).([]byte); is {
		return byteMark
	}
	return Mark
}

// Plain begins a value that looks sealed and is not. It is far from every prefix of a sealed one.
func Plain[T string | []byte]() T {
	if markOf[T]() == Mark {
		return T(Mark + "plain:")
	}
	return T(byteMark + "\xff\xff\xff\xff\xff\xff\xff\xff")
}

// Prefix is how every value begins that is sealed by a data key.
func Prefix[T string | []byte](id int64) T {
	if markOf[T]() == Mark {
		return T(Mark + strconv.FormatInt(id, 10) + ":")
	}
	return T(binary.BigEndian.AppendUint64([]byte(byteMark), uint64(id))) //nolint:gosec // read back alike
}

// Ring is the data keys of a store. The zero Ring, and nil, have none: then values stay plain. It does not change, and is safe for
// concurrent use.
type Ring struct {
	keys   map[int64]cipher.AEAD
	last   int64    // by which values are sealed
	secret []byte   // of the last
	proofs [][]byte // of each, in order
}

// Follows reports whether a ring has the data keys of another, and perhaps more.
func (r *Ring) Follows(other *Ring) bool {
	return other.Last() <= r.Last() && (other == nil || slices.EqualFunc(other.proofs, r.proofs[:other.Last()], hmac.Equal))
}

// Last is the number of the data key by which values are sealed, 0 for none.
func (r *Ring) Last() int64 {
	if r == nil {
		return 0
	}
	return r.last
}

// Text seals a text for a place. The empty text stays empty, and one that has no key to be sealed by plain.
func (r *Ring) Text(where, plain string) string {
	switch {
	case plain == "":
		return ""
	case r.Last() != 0:
		sealed := r.close(nil, where, plain)
		b := append(make([]byte, 0, 32+encoding.EncodedLen(len(sealed))), Prefix[string](r.last)...)
		return string(encoding.AppendEncode(b, sealed))
	case Sealed(plain):
		return Plain[string]() + plain
	}
	return plain
}

// Bytes is Text for bytes.
func (r *Ring) Bytes(where string, plain []byte) []byte {
	switch {
	case len(plain) == 0:
		return plain
	case r.Last() != 0:
		return r.close(Prefix[[]byte](r.last), where, string(plain))
	case Sealed(plain):
		return append(Plain[[]byte](), plain...)
	}
	return plain
}

// close appends nonce and ciphertext. The nonce is of 192 bits: chance alone keeps two from being alike.
func (r *Ring) close(to []byte, where, plain string) []byte {
	start := len(to)
	b := make([]byte, start+chacha20poly1305.NonceSizeX, start+len(plain)+overhead)
	copy(b, to)
	nonce := b[start:]
	_, _ = rand.Read(nonce) // it never fails
	return r.keys[r.last].Seal(b, nonce, []byte(plain), []byte(where))
}

// OpenText returns what a text that stands at a place says. Its errors wrap ErrChanged or a *KeyError, and name the place.
func (r *Ring) OpenText(where, stored string) (string, error) {
	if !Sealed(stored) {
		return stored, nil
	}
	if plain, is := strings.CutPrefix(stored, Plain[string]()); is {
		return plain, nil
	}
	digits, rest, _ := strings.Cut(stored[len(Mark):], ":")
	id, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || id < 1 || strconv.FormatInt(id, 10) != digits {
		return "", fmt.Errorf("%s: %w", where, ErrChanged)
	}
	body, err := encoding.DecodeString(rest)
	if err != nil {
		return "", fmt.Errorf("%s: %w", where, ErrChanged)
	}
	plain, err := r.open(where, id, body)
	return string(plain), err
}

// OpenBytes is OpenText for bytes.
func (r *Ring) OpenBytes(where string, stored []byte) ([]byte, error) {
	if !Sealed(stored) {
		return stored, nil
	}
	if plain, is := bytes.CutPrefix(stored, Plain[[]byte]()); is {
		return plain, nil
	}
	rest := stored[len(byteMark):]
	if len(rest) < 8 || rest[0] > 127 {
		return nil, fmt.Errorf("%s: %w", where, ErrChanged)
	}
	return r.open(where, int64(binary.BigEndian.Uint64(rest)), rest[8:]) //nolint:gosec // its first bit is 0
}

func (r *Ring) open(where string, id int64, body []byte) ([]byte, error) {
	var key cipher.AEAD
	if r != nil {
		key = r.keys[id]
	}
	if key == nil {
		return nil, fmt.Errorf("%s: %w", where, &KeyError{id})
	}
	if len(body) < overhead {
		return nil, fmt.Errorf("%s: %w", where, ErrChanged)
	}
	plain, err := key.Open(nil, body[:chacha20poly1305.NonceSizeX], body[chacha20poly1305.NonceSizeX:], []byte(where))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, ErrChanged)
	}
	return plain, nil
}
