package receipt

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"tenu/internal/purchase"
)

// The bounds of what is read.
const (
	MaxReceipt = 4096 // bytes of a receipt without a proof
	maxKeys    = 64
	maxPage    = 200 // of an address, so that a code holds it
)

// Key is a public key by which receipts are checked.
type Key struct {
	note.Verifier
	Text string // as signed-note has it: name+id+base64
}

// ID is the key's as receipts name it: name+id.
func (k Key) ID() string { return keyID(k.Name(), k.KeyHash()) }

func keyID(name string, hash uint32) string { return fmt.Sprintf("%s+%08x", name, hash) }

// algorithmEd25519 is the type of key that signs receipts, before the key itself.
const algorithmEd25519 = 1

// ParseKey reads a public key, as NewKey made it.
func ParseKey(text string) (Key, error) {
	v, err := note.NewVerifier(text)
	if err != nil {
		return Key{}, fmt.Errorf("not a public key, as name+id+base64: %w", err)
	}
	k := Key{v, text}
	_, _, raw := split(text)
	if !issuerForm.MatchString(k.ID()) || len(raw) != 1+ed25519.PublicKeySize || raw[0] != algorithmEd25519 || text != k.ID()+"+"+base64.StdEncoding.EncodeToString(raw) {
		return Key{}, errors.New("not a public key, as name+id+base64")
	}
	return k, nil
}

// split takes a key's text apart.
func split(text string) (name, id string, raw []byte) {
	name, rest, _ := strings.Cut(text, "+")
	id, encoded, _ := strings.Cut(rest, "+")
	raw, _ = base64.StdEncoding.Strict().DecodeString(encoded) // empty where it is none
	return name, id, raw
}

// NewKey makes a key of an issuer: the secret, which NewIssuer takes, and the public key.
func NewKey(random io.Reader, issuer string) (secret, public string, err error) {
	if !issuerForm.MatchString(keyID(issuer, 0)) {
		return "", "", fmt.Errorf("%q is no issuer: 1 to 64 characters are needed, such as tenu.example, without spaces and +", issuer)
	}
	secret, public, err = note.GenerateKey(random, issuer)
	if err != nil {
		return "", "", fmt.Errorf("make a key: %w", err)
	}
	return secret, public, nil
}

// Issuer makes receipts. It is safe for concurrent use.
type Issuer struct {
	signer note.Signer
	id     string
	keys   []Key
	page   string
}

// NewIssuer returns the issuer of a secret key. page is the address of the page that
// checks receipts. known are public keys that it signed with before.
func NewIssuer(secret, page string, known ...string) (*Issuer, error) {
	signer, err := note.NewSigner(secret)
	if err != nil {
		return nil, errors.New("not a secret key (tenu receipt key --new ISSUER makes one)") // the cause may hold it
	}
	rest, _ := strings.CutPrefix(secret, "PRIVATE+KEY+")
	_, _, raw := split(rest)
	if len(raw) != 1+ed25519.SeedSize || raw[0] != algorithmEd25519 {
		return nil, errors.New("not a secret key of Ed25519")
	}
	public, _ := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	if len(page) > maxPage || !strings.HasPrefix(page, "https://") && !strings.HasPrefix(page, "http://") || strings.ContainsAny(page, "# \r\n") {
		return nil, fmt.Errorf("the page that checks receipts should be an address of at most %d bytes such as https://app.tenu.example/receipts, and is %.100q", maxPage, page)
	}
	i := &Issuer{signer: signer, page: page, id: keyID(signer.Name(), signer.KeyHash())}
	own := i.id + "+" + base64.StdEncoding.EncodeToString(append([]byte{algorithmEd25519}, public...))
	for _, text := range append([]string{own}, known...) {
		k, err := ParseKey(text)
		if err != nil {
			return nil, fmt.Errorf("known key: %w", err)
		}
		if k.Name() != signer.Name() {
			return nil, fmt.Errorf("known key: it is of %s, not of %s", k.Name(), signer.Name())
		}
		if !slices.ContainsFunc(i.keys, func(other Key) bool { return other.ID() == k.ID() }) {
			i.keys = append(i.keys, k)
		}
	}
	return i, nil
}

// Name is the issuer's.
func (i *Issuer) Name() string { return i.signer.Name() }

// Keys are the issuer's public keys, first that which signs.
func (i *Issuer) Keys() []Key { return slices.Clone(i.keys) }

// Link is a receipt as an address of the page that checks it.
func (i *Issuer) Link(signed []byte) string { return Link(i.page, signed) }

// KeysText is the issuer's public keys, and those of the log and its witnesses where there is one, as ParseTrust reads them.
func (i *Issuer) KeysText(log string, witnesses ...string) []byte {
	b := []byte("# The public keys of receipts by " + i.signer.Name() + ". The first signs now.\n")
	for _, k := range i.keys {
		b = append(append(b, k.Text...), '\n')
	}
	if log == "" {
		return b
	}
	b = append(b, "# The log in which each purchase is an entry, and the witnesses of it.\n"+logWord+log+"\n"...)
	for _, text := range witnesses {
		b = append(b, witnessWord+text+"\n"...)
	}
	return b
}

// Issue is a purchase's receipt as it stands, signed, and what it says. open: with the
// salt, for the payer alone. It returns ErrNone when there is no receipt.
func (i *Issuer) Issue(r *purchase.Record, reference purchase.Reference, open bool) (Receipt, []byte, error) {
	x, err := Of(r, reference)
	if err != nil {
		return Receipt{}, nil, err
	}
	if !open {
		x.Salt, x.HasSalt = [16]byte{}, false
	}
	x.Issuer = i.id
	text := x.text()
	if _, flaw := parse(text); flaw != nil {
		return Receipt{}, nil, fmt.Errorf("write receipt of %s: %w", reference, flaw)
	}
	signed, err := note.Sign(&note.Note{Text: text}, i.signer)
	if err != nil {
		return Receipt{}, nil, fmt.Errorf("sign receipt of %s: %w", reference, err)
	}
	return x, signed, nil
}

// parseID takes an issuer's key apart.
func parseID(issuer string) (name string, hash uint32) {
	name, id, _ := strings.Cut(issuer, "+")
	n, _ := strconv.ParseUint(id, 16, 32) // its form was checked
	return name, uint32(n)
}
