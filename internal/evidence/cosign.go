package evidence

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"tenu/internal/purchase"
)

// algorithmCosignature is the type of C2SP cosignature/v1: Ed25519 with the time.
const algorithmCosignature = 4

// cosigned is the message of a cosignature.
func cosigned(seconds uint64, body []byte) []byte {
	return append([]byte("cosignature/v1\ntime "+strconv.FormatUint(seconds, 10)+"\n"), body...)
}

// witnessVerifier checks cosignatures of one witness.
type witnessVerifier struct {
	name string
	id   uint32
	key  ed25519.PublicKey
}

func (v *witnessVerifier) Name() string    { return v.name }
func (v *witnessVerifier) KeyHash() uint32 { return v.id }
func (v *witnessVerifier) Verify(body, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	seconds := binary.BigEndian.Uint64(sig)
	return seconds <= math.MaxInt64 && ed25519.Verify(v.key, cosigned(seconds, body), sig[8:])
}

// ErrKey is returned for a text that is no key.
var ErrKey = errors.New("not a key")

// ParseWitnessKey reads the vkey of a witness, type 0x04.
func ParseWitnessKey(text string) (note.Verifier, error) {
	text = strings.TrimSpace(text)
	name, rest, _ := strings.Cut(text, "+")
	id, encoded, _ := strings.Cut(rest, "+")
	typed, err := base64.StdEncoding.Strict().DecodeString(encoded)
	number, numberErr := strconv.ParseUint(id, 16, 32)
	switch {
	case err != nil, numberErr != nil, name == "", len(typed) != 1+ed25519.PublicKeySize, typed[0] != algorithmCosignature:
		return nil, fmt.Errorf("%w of a witness, as name+id+base64: %.100q", ErrKey, text)
	case uint32(number) != keyID(name, typed):
		return nil, fmt.Errorf("%w: the ID %s is not that of the name and the key", ErrKey, id)
	}
	return &witnessVerifier{name, uint32(number), typed[1:]}, nil
}

// Cosigner is a witness's key.
type Cosigner struct {
	name string
	key  ed25519.PrivateKey
}

// NewCosigner makes a witness's key, of a name and 32 bytes of chance.
func NewCosigner(name string, random io.Reader) (*Cosigner, error) {
	if name == "" || strings.ContainsAny(name, " +\n") {
		return nil, fmt.Errorf("%w: a witness's name has no spaces and no plus sign: %.100q", ErrKey, name)
	}
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("make a witness's key: %w", err)
	}
	return &Cosigner{name, ed25519.NewKeyFromSeed(seed)}, nil
}

const cosignerPrefix = "PRIVATE+KEY+"

// Secret is the text that ParseCosigner reads.
func (c *Cosigner) Secret() string {
	typed := append([]byte{algorithmCosignature}, c.key.Seed()...)
	return cosignerPrefix + fmt.Sprintf("%s+%08x+", c.name, c.KeyHash()) + base64.StdEncoding.EncodeToString(typed)
}

// ParseCosigner reads a witness's secret key.
func ParseCosigner(text string) (*Cosigner, error) {
	rest, found := strings.CutPrefix(strings.TrimSpace(text), cosignerPrefix)
	name, rest, _ := strings.Cut(rest, "+")
	id, encoded, _ := strings.Cut(rest, "+")
	typed, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if !found || err != nil || len(typed) != 1+ed25519.SeedSize || typed[0] != algorithmCosignature {
		return nil, fmt.Errorf("%w of a witness", ErrKey)
	}
	c := &Cosigner{name, ed25519.NewKeyFromSeed(typed[1:])}
	if id != fmt.Sprintf("%08x", c.KeyHash()) {
		return nil, fmt.Errorf("%w: the ID %.20q is not that of the name and the key", ErrKey, id)
	}
	return c, nil
}

func (c *Cosigner) typed() []byte {
	return append([]byte{algorithmCosignature}, c.key[ed25519.SeedSize:]...)
}

// Name is the witness's.
func (c *Cosigner) Name() string { return c.name }

// KeyHash is the key's ID.
func (c *Cosigner) KeyHash() uint32 { return keyID(c.name, c.typed()) }

// VerifierKey is the text by which others know the witness.
func (c *Cosigner) VerifierKey() string {
	return fmt.Sprintf("%s+%08x+%s", c.name, c.KeyHash(), base64.StdEncoding.EncodeToString(c.typed()))
}

// Cosign is the signature line of a checkpoint at an instant.
func (c *Cosigner) Cosign(checkpoint []byte, at purchase.Instant) ([]byte, error) {
	h, err := ReadHead(checkpoint)
	if err != nil {
		return nil, err
	}
	text, _, _ := strings.Cut(string(checkpoint), "\n\n")
	seconds := uint64(max(at, 0)) / 1_000_000
	var sig []byte
	sig = binary.BigEndian.AppendUint32(sig, c.KeyHash())
	sig = binary.BigEndian.AppendUint64(sig, seconds)
	sig = append(sig, ed25519.Sign(c.key, cosigned(seconds, []byte(text+"\n")))...)
	if h.Origin == "" {
		return nil, ErrCheckpoint
	}
	return []byte("— " + c.name + " " + base64.StdEncoding.EncodeToString(sig) + "\n"), nil
}

// CosignedAt is when a witness made a signature, as OpenCheckpoint returned it.
func CosignedAt(s note.Signature) (purchase.Instant, bool) {
	raw, err := base64.StdEncoding.DecodeString(s.Base64)
	if err != nil || len(raw) != 4+8+ed25519.SignatureSize {
		return 0, false
	}
	return purchase.Instant(binary.BigEndian.Uint64(raw[4:]) * 1_000_000), true //nolint:gosec // a witness's seconds
}
