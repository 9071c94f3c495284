package evidence

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// TreeHead is a tree at a size, as a checkpoint says it.
type TreeHead struct {
	Origin string
	Size   int64
	Root   Hash
}

// MaxCheckpoint bounds a checkpoint's bytes, cosignatures included.
const MaxCheckpoint = 1 << 16

// ErrCheckpoint is returned for a text that is no checkpoint.
var ErrCheckpoint = errors.New("not a checkpoint")

// body is the checkpoint without signatures.
func (h TreeHead) body() string {
	return h.Origin + "\n" + strconv.FormatInt(h.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(h.Root[:]) + "\n"
}

// parseBody reads a checkpoint without signatures. Extension lines are left alone.
func parseBody(text string) (h TreeHead, err error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) < 4 || lines[0] == "" {
		return h, fmt.Errorf("%w: it has no three lines", ErrCheckpoint)
	}
	h.Origin = lines[0]
	size, ok := Int([]byte(lines[1]))
	if !ok || size < 0 {
		return h, fmt.Errorf("%w: its size is %.40q", ErrCheckpoint, lines[1])
	}
	h.Size = size
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != HashSize {
		return h, fmt.Errorf("%w: its root is %.80q", ErrCheckpoint, lines[2])
	}
	h.Root = Hash(root)
	return h, nil
}

// ReadHead reads what a checkpoint claims, whoever signed it.
func ReadHead(checkpoint []byte) (TreeHead, error) {
	text, _, found := bytes.Cut(checkpoint, []byte("\n\n"))
	if !found || len(checkpoint) > MaxCheckpoint {
		return TreeHead{}, fmt.Errorf("%w: it has no signatures", ErrCheckpoint)
	}
	return parseBody(string(text) + "\n")
}

// Sign makes a checkpoint.
func (h TreeHead) Sign(signers ...note.Signer) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: h.body()}, signers...)
	if err != nil {
		return nil, fmt.Errorf("sign a checkpoint: %w", err)
	}
	return signed, nil
}

// OpenCheckpoint checks a checkpoint: that it is of the log whose key verifies it, and is
// signed by it. It returns the signatures of those of the known that signed.
func OpenCheckpoint(checkpoint []byte, log note.Verifier, known ...note.Verifier) (h TreeHead, signed []note.Signature, err error) {
	claimed, err := ReadHead(checkpoint)
	if err != nil {
		return h, nil, err
	}
	if claimed.Origin != log.Name() {
		return h, nil, fmt.Errorf("%w of this log: its origin is %.100q, not %q", ErrCheckpoint, claimed.Origin, log.Name())
	}
	n, err := note.Open(checkpoint, note.VerifierList(append([]note.Verifier{log}, known...)...))
	if err != nil {
		return h, nil, fmt.Errorf("%w that is signed by %s: %w", ErrCheckpoint, log.Name(), err)
	}
	ours := false
	for _, sig := range n.Sigs {
		ours = ours || sig.Name == log.Name() && sig.Hash == log.KeyHash()
	}
	if !ours {
		return h, nil, fmt.Errorf("%w that is signed by %s", ErrCheckpoint, log.Name())
	}
	h, err = parseBody(n.Text)
	return h, n.Sigs, err
}

// AddSignatures adds signature lines to a checkpoint, as a witness answers them.
func AddSignatures(checkpoint []byte, lines ...[]byte) []byte {
	all := append([]byte{}, checkpoint...)
	for _, l := range lines {
		all = append(all, l...)
	}
	return all
}

// LogSigner is a log's key.
type LogSigner struct {
	note.Signer
	key ed25519.PrivateKey
}

// Ed25519 note signatures' type, before the key.
const algorithmEd25519 = 1

// NewLogSigner makes the signer of a log named by its origin, of a seed of 32 bytes.
func NewLogSigner(origin string, seed []byte) (*LogSigner, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("a log's key has a seed of %d bytes, not %d", ed25519.SeedSize, len(seed))
	}
	key := ed25519.NewKeyFromSeed(seed)
	public := append([]byte{algorithmEd25519}, key[ed25519.SeedSize:]...)
	private := append([]byte{algorithmEd25519}, seed...)
	text := fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", origin, keyID(origin, public), base64.StdEncoding.EncodeToString(private))
	signer, err := note.NewSigner(text)
	if err != nil {
		return nil, fmt.Errorf("make a log's key: %w", err)
	}
	return &LogSigner{signer, key}, nil
}

// DeriveSeed is the seed of an installation's key where it was given none of its own: all
// nodes derive the same of the installation's secret.
func DeriveSeed(secret []byte, origin string) ([]byte, error) {
	seed, err := hkdf.Key(sha256.New, secret, nil, "tenu log key\x00"+origin, ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("derive a log's key: %w", err)
	}
	return seed, nil
}

// VerifierKey is the text by which others know the log: a vkey of C2SP signed-note.
func (s *LogSigner) VerifierKey() string {
	public := append([]byte{algorithmEd25519}, s.key[ed25519.SeedSize:]...)
	return fmt.Sprintf("%s+%08x+%s", s.Name(), s.KeyHash(), base64.StdEncoding.EncodeToString(public))
}

// Verifier checks what the signer signs.
func (s *LogSigner) Verifier() (note.Verifier, error) { return note.NewVerifier(s.VerifierKey()) }

// keyID is a note key's, of its name and its typed public key.
func keyID(name string, typed []byte) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"), typed...))
	return uint32(sum[0])<<24 | uint32(sum[1])<<16 | uint32(sum[2])<<8 | uint32(sum[3])
}
