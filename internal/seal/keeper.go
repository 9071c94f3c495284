package seal

import (
	"bytes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
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

// contentSize is what a wrapped data key has inside: its number, the key, its proof.
const contentSize = 8 + keySize + sha256.Size

// Key is a data key as it is stored: encrypted by age for its recipients, with its number inside, and what proves that
// whoever made it had the key before it, as anybody can encrypt for a recipient.
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

// Make makes the data key that follows another, the first after none.
func (k *Keeper) Make(after Key) (Key, error) {
	var before secret
	var err error
	if after.ID > 0 {
		if before, err = k.unwrap(after); err != nil {
			return Key{}, err
		}
	}
	fresh := secret{key: make([]byte, keySize)}
	_, _ = rand.Read(fresh.key) // it never fails
	fresh.proof = prove(before.key, after.ID+1, fresh.key)
	return k.wrap(after.ID+1, fresh)
}

// secret is what a data key has inside.
type secret struct{ key, proof []byte }

// prove shows that whoever made a data key knew the one before it.
func prove(before []byte, id int64, key []byte) []byte {
	h := hmac.New(sha256.New, before)
	h.Write(binary.BigEndian.AppendUint64([]byte("tenu data key"), uint64(id))) //nolint:gosec // the same number each time
	h.Write(key)
	return h.Sum(nil)
}

// Again wraps a data key for the recipients of now.
func (k *Keeper) Again(key Key) (Key, error) {
	content, err := k.unwrap(key)
	if err != nil {
		return Key{}, err
	}
	return k.wrap(key.ID, content)
}

func (k *Keeper) wrap(id int64, content secret) (Key, error) {
	to := make([]age.Recipient, len(k.recipients))
	for i, r := range k.recipients {
		to[i] = r
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to...)
	if err == nil {
		_, err = w.Write(slices.Concat(binary.BigEndian.AppendUint64(nil, uint64(id)), content.key, content.proof)) //nolint:gosec // read back alike
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return Key{}, fmt.Errorf("wrap data key %d: %w", id, err)
	}
	return Key{id, k.names, out.Bytes()}, nil
}

func (k *Keeper) unwrap(key Key) (secret, error) {
	if len(key.Wrapped) > MaxWrapped {
		return secret{}, fmt.Errorf("open data key %d: it is longer than %d bytes", key.ID, MaxWrapped)
	}
	r, err := age.Decrypt(bytes.NewReader(key.Wrapped), k.identities...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return secret{}, fmt.Errorf("open data key %d: it is for %s, and no identity here is one of these", key.ID, key.Recipients)
	}
	var content []byte
	if err == nil {
		content, err = io.ReadAll(io.LimitReader(r, contentSize+1))
	}
	if err != nil {
		return secret{}, fmt.Errorf("open data key %d: %w", key.ID, err)
	}
	if len(content) != contentSize || binary.BigEndian.Uint64(content) != uint64(key.ID) { //nolint:gosec // written alike
		return secret{}, fmt.Errorf("open data key %d: it is another's", key.ID)
	}
	return secret{content[8 : 8+keySize], content[8+keySize:]}, nil
}

// Ring opens data keys, all from the first on in order. The last seals. One that was not made after the one before it is refused.
func (k *Keeper) Ring(keys []Key) (*Ring, error) {
	r := &Ring{keys: map[int64]cipher.AEAD{}}
	for i, key := range keys {
		if key.ID != int64(i)+1 {
			return nil, fmt.Errorf("data key %d is not there", i+1)
		}
		content, err := k.unwrap(key)
		if err != nil {
			return nil, err
		}
		if !hmac.Equal(content.proof, prove(r.secret, key.ID, content.key)) {
			return nil, fmt.Errorf("data key %d was not made by who has the one before it: somebody else put it there", key.ID)
		}
		if r.keys[key.ID], err = chacha20poly1305.NewX(content.key); err != nil {
			return nil, fmt.Errorf("open data key %d: %w", key.ID, err)
		}
		r.last, r.secret, r.proofs = key.ID, content.key, append(r.proofs, content.proof)
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
