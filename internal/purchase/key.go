package purchase

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// ID identifies a purchase inside tenu: ShardBits of shard, then SequenceBits of a
// sequence that the store hands out in blocks. It is never shown to customers;
// they see a Reference.
type ID int64

// The layout of an ID. A sequence number is never below the count of
// 1/2048 seconds since SequenceEpoch, so that a database restored from an
// older backup cannot hand out a number whose keys partners have already seen.
const (
	ShardBits    = 5
	SequenceBits = 40
	// SequenceEpoch is 1 January 2026, 00:00 UTC.
	SequenceEpoch Instant = 1767225600_000000
	// SequencesPerSecond is the average rate of purchases per shard, over the
	// life of the system, up to which the floor by time holds.
	SequencesPerSecond = 2048
)

// MakeID joins a shard (0 to 31) and a sequence number.
func MakeID(shard int, sequence int64) ID {
	return ID(int64(shard)<<SequenceBits | sequence&(1<<SequenceBits-1))
}

// Shard is the ID's shard.
func (id ID) Shard() int { return int(id >> SequenceBits) }

// Sequence is the ID's number within its shard.
func (id ID) Sequence() int64 { return int64(id) & (1<<SequenceBits - 1) }

// SequenceFloor is the lowest sequence number that may be handed out at an instant.
func SequenceFloor(now Instant) int64 {
	seconds := int64(now-SequenceEpoch) / 1_000_000
	return min(max(seconds, 0), 1<<29-1) * SequencesPerSecond
}

// Reference is what a customer reads, says and types to name a purchase: ten
// characters of Crockford base32, shown as K7M2-Q4XD-9T. The first carries the
// shard, eight carry the sequence number under a keyed permutation (so that
// neighbours' references cannot be guessed), the last checks the others: any
// one wrong character, and any two swapped, are noticed.
type Reference string

// ErrReference is returned for a text that is not a reference of this installation.
var ErrReference = errors.New("not a reference")

// Key is our idempotency key of one leg of one purchase: a pure function of the
// two and of the installation's secret, so that a retry can never invent
// another one (invariant P9), and readable back, so that a callback finds its
// purchase without an index.
type Key struct {
	ID  ID
	Leg Leg
	mac [aes.BlockSize]byte
}

// UUID is the key as an RFC 9562 version 8 UUID: the ID and leg in the first
// 48 bits, a message authentication code in the rest.
func (k Key) UUID() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(k.ID)<<19|uint64(k.Leg)<<16) //nolint:gosec // an ID is never negative
	copy(b[6:], k.mac[:10])
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// Digits is the key as exactly 20 decimal digits, for partners that take no
// more (UCIP originTransactionID): 14 of ID, 1 of leg, 5 of authentication code.
func (k Key) Digits() string {
	return fmt.Sprintf("%014d%d%05d", int64(k.ID), k.Leg, binary.BigEndian.Uint32(k.mac[12:16])%100_000)
}

// Keyring derives keys and references from an installation's secret, with AES
// over one block as the keyed function. It is immutable and safe for
// concurrent use.
type Keyring struct{ prf cipher.Block }

// NewKeyring returns the keyring of a secret of at least 16 bytes. The secret
// must never change during the life of an installation.
func NewKeyring(secret []byte) (*Keyring, error) {
	if len(secret) < 16 {
		return nil, fmt.Errorf("keyring: secret has %d bytes, 16 needed", len(secret))
	}
	key := sha256.Sum256(append([]byte("tenu keyring\x00"), secret...))
	prf, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	return &Keyring{prf}, nil
}

// Key returns the key of a leg of a purchase.
func (r *Keyring) Key(id ID, leg Leg) Key {
	k := Key{ID: id, Leg: leg}
	k.mac[0], k.mac[1] = 'k', byte(leg)
	binary.BigEndian.PutUint64(k.mac[8:], uint64(id)) //nolint:gosec // an ID is never negative
	r.prf.Encrypt(k.mac[:], k.mac[:])
	return k
}

// ParseUUID returns the key that Key.UUID wrote, or an error when the text is
// not a key of this installation.
func (r *Keyring) ParseUUID(text string) (Key, error) {
	var high uint64
	digits := 0
	for i := 0; i < len(text) && digits < 12; i++ {
		if text[i] == '-' {
			continue
		}
		v := strings.IndexByte("0123456789abcdef", text[i]|0x20)
		if v < 0 {
			break
		}
		high = high<<4 | uint64(v)
		digits++
	}
	k := r.Key(ID(high>>3), Leg(high&7))
	if !strings.EqualFold(k.UUID(), text) {
		return Key{}, errors.New("not a key of this installation")
	}
	return k, nil
}

// ParseDigits returns the key that Key.Digits wrote, or an error when the text
// is not a key of this installation.
func (r *Keyring) ParseDigits(text string) (Key, error) {
	var id int64
	var leg uint8
	if len(text) == 20 {
		if _, err := fmt.Sscanf(text[:15], "%14d%1d", &id, &leg); err == nil && id >= 0 {
			if k := r.Key(ID(id), Leg(leg)); k.Digits() == text {
				return k, nil
			}
		}
	}
	return Key{}, errors.New("not a key of this installation")
}

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// Reference returns the public reference of a purchase.
func (r *Keyring) Reference(id ID) Reference {
	v := r.permute(id.Sequence(), false)
	var text [10]byte
	text[0] = crockford[id.Shard()&31]
	for i := 8; i >= 1; i-- {
		text[i] = crockford[v&31]
		v >>= 5
	}
	text[9] = crockford[check(text[:9])]
	return Reference(text[:])
}

// Parse reads a reference as people write it: any case, with or without
// hyphens and spaces, O for 0, I and L for 1. It returns ErrReference for
// anything else, a wrong check character included.
func (r *Keyring) Parse(text string) (ID, error) {
	var clean [10]byte
	n := 0
	for i := range len(text) {
		ch := text[i]
		switch {
		case ch == '-' || ch == ' ':
			continue
		case ch >= 'a' && ch <= 'z':
			ch -= 'a' - 'A'
		}
		switch ch {
		case 'O':
			ch = '0'
		case 'I', 'L':
			ch = '1'
		}
		if n == len(clean) || strings.IndexByte(crockford, ch) < 0 {
			return 0, ErrReference
		}
		clean[n] = ch
		n++
	}
	if n != len(clean) || crockford[check(clean[:9])] != clean[9] {
		return 0, ErrReference
	}
	var v int64
	for _, ch := range clean[1:9] {
		v = v<<5 | int64(strings.IndexByte(crockford, ch))
	}
	return MakeID(strings.IndexByte(crockford, clean[0]), r.permute(v, true)), nil
}

// String is the reference in groups, as it is shown: K7M2-Q4XD-9T.
func (r Reference) String() string {
	if len(r) != 10 {
		return string(r)
	}
	return string(r[:4] + "-" + r[4:8] + "-" + r[8:])
}

// check is the sum of the characters weighted by powers of a primitive element
// of GF(32), so that every single error and every transposition changes it.
func check(text []byte) int {
	sum := 0
	for _, ch := range text {
		sum = double(sum ^ strings.IndexByte(crockford, ch))
	}
	return sum
}

// double multiplies by x in GF(32) with the primitive polynomial x^5+x^2+1.
func double(v int) int {
	v <<= 1
	if v&32 != 0 {
		v ^= 0b100101
	}
	return v
}

// permute is a balanced Feistel network over 40 bits; with undo it is its own
// inverse's inverse.
func (r *Keyring) permute(v int64, undo bool) int64 {
	const half, rounds = 20, 4
	var block [aes.BlockSize]byte                                     // escapes: one for all rounds
	left, right := uint32(v>>half)&(1<<half-1), uint32(v)&(1<<half-1) //nolint:gosec // masked
	for i := range rounds {
		round := i
		if undo {
			round = rounds - 1 - i
			left, right = right, left
		}
		left, right = right, left^r.round(&block, round, right)
		if undo {
			left, right = right, left
		}
	}
	return int64(left)<<half | int64(right)
}

func (r *Keyring) round(block *[aes.BlockSize]byte, i int, v uint32) uint32 {
	clear(block[:])
	block[0], block[1] = 'r', byte(i) //nolint:gosec // a few rounds
	binary.BigEndian.PutUint32(block[8:], v)
	r.prf.Encrypt(block[:], block[:])
	return binary.BigEndian.Uint32(block[:]) & (1<<20 - 1)
}
