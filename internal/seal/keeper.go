package seal

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"
)

// MaxWrapped bounds the bytes of a wrapped data key.
const MaxWrapped = 64 << 10

// Key is a data key as it is stored: encrypted by age for its recipients, with its number inside.
type Key struct {
	ID         int64 // from 1 on
	Recipients string
	Wrapped    []byte
}

// Keeper opens data keys with identities, and makes them for recipients.
type Keeper struct {
	recipients []*age.X25519Recipient
	identities []age.Identity
	names      string
}

// CheckRecipient refuses what is no recipient.
func CheckRecipient(text string) error {
	_, err := recipient(text)
	return err
}

// recipient reads a recipient. Who gives an identity in its place does not read it in a log.
func recipient(text string) (*age.X25519Recipient, error) {
	r, err := age.ParseX25519Recipient(text)
	if err != nil {
		return nil, errors.New("a recipient of age is needed (age1...)")
	}
	return r, nil
}

// NewKeeper returns the keeper of some recipients (age1...) and of identities as age-keygen writes them. One of the
// identities must be a recipient's: who cannot open what it seals would lose it.
func NewKeeper(recipients []string, identities string) (*Keeper, error) {
	k := &Keeper{}
	var all []string
	for i, text := range recipients {
		r, err := recipient(text)
		if err != nil {
			return nil, fmt.Errorf("recipient %d of %d: %w", i+1, len(recipients), err)
		}
		if slices.Contains(all, r.String()) {
			return nil, fmt.Errorf("recipient %s is there twice", r)
		}
		k.recipients, all = append(k.recipients, r), append(all, r.String())
	}
	if len(all) == 0 {
		return nil, errors.New("a recipient is needed (age1...)")
	}
	ours := false
	for line := range strings.Lines(identities) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		identity, err := age.ParseX25519Identity(line)
		if err != nil { // its text may hold a part of the secret
			return nil, errors.New("a line of the identities is none (AGE-SECRET-KEY-1...)")
		}
		ours = ours || slices.Contains(all, identity.Recipient().String())
		k.identities = append(k.identities, identity)
	}
	if !ours {
		return nil, errors.New("none of the identities is that of a recipient: nothing that is sealed could be read again")
	}
	slices.Sort(all)
	k.names = strings.Join(all, " ")
	return k, nil
}

// Recipients are those of new data keys, sorted, with blanks between them.
func (k *Keeper) Recipients() string { return k.names }

// Make makes a fresh data key of a number.
func (k *Keeper) Make(id int64) (Key, error) {
	secret := make([]byte, keySize)
	_, _ = rand.Read(secret) // it never fails
	return k.wrap(id, secret)
}

// Again wraps a data key for the recipients of now.
func (k *Keeper) Again(key Key) (Key, error) {
	secret, err := k.unwrap(key)
	if err != nil {
		return Key{}, err
	}
	return k.wrap(key.ID, secret)
}

func (k *Keeper) wrap(id int64, secret []byte) (Key, error) {
	to := make([]age.Recipient, len(k.recipients))
	for i, r := range k.recipients {
		to[i] = r
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to...)
	if err == nil {
		_, err = w.Write(append(binary.BigEndian.AppendUint64(nil, uint64(id)), secret...)) //nolint:gosec // read back alike
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return Key{}, fmt.Errorf("wrap data key %d: %w", id, err)
	}
	return Key{id, k.names, out.Bytes()}, nil
}

func (k *Keeper) unwrap(key Key) ([]byte, error) {
	if len(key.Wrapped) > MaxWrapped {
		return nil, fmt.Errorf("open data key %d: it is longer than %d bytes", key.ID, MaxWrapped)
	}
	r, err := age.Decrypt(bytes.NewReader(key.Wrapped), k.identities...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, fmt.Errorf("open data key %d: it is for %s, and no identity here is one of these", key.ID, key.Recipients)
	}
	var content []byte
	if err == nil {
		content, err = io.ReadAll(io.LimitReader(r, 8+keySize+1))
	}
	if err != nil {
		return nil, fmt.Errorf("open data key %d: %w", key.ID, err)
	}
	if len(content) != 8+keySize || binary.BigEndian.Uint64(content) != uint64(key.ID) { //nolint:gosec // written alike
		return nil, fmt.Errorf("open data key %d: it is another's", key.ID)
	}
	return content[8:], nil
}

// Ring opens data keys. The one of the highest number seals.
func (k *Keeper) Ring(keys []Key) (*Ring, error) {
	r := &Ring{keys: map[int64]cipher.AEAD{}}
	for _, key := range keys {
		secret, err := k.unwrap(key)
		if err != nil {
			return nil, err
		}
		if r.keys[key.ID], err = chacha20poly1305.NewX(secret); err != nil {
			return nil, fmt.Errorf("open data key %d: %w", key.ID, err)
		}
		r.last = max(r.last, key.ID)
	}
	return r, nil
}

// NewIdentity makes an identity, and returns it as a file of age-keygen's holds it, with its recipient.
func NewIdentity() (file, recipient string, err error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", fmt.Errorf("make an identity: %w", err)
	}
	recipient = identity.Recipient().String()
	return "# public key: " + recipient + "\n" + identity.String() + "\n", recipient, nil
}
