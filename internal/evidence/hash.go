package evidence

import "crypto/sha256"

// emptyRoot is the hash of the tree without leaves.
var emptyRoot = Hash(sha256.Sum256(nil))

// Hasher hashes leaves without making garbage: tlog's functions do the same and allocate.
type Hasher struct{ room []byte }

// Leaf is the hash of a leaf.
func (h *Hasher) Leaf(leaf []byte) Hash {
	h.room = append(append(h.room[:0], 0), leaf...)
	return Hash(sha256.Sum256(h.room))
}

func nodeHash(left, right Hash) Hash {
	var room [1 + 2*HashSize]byte
	room[0] = 1
	copy(room[1:], left[:])
	copy(room[1+HashSize:], right[:])
	return Hash(sha256.Sum256(room[:]))
}
