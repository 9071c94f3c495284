package evidence

import (
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a node of the tree, by RFC 6962.
type Hash = tlog.Hash

// The shape of C2SP tlog-tiles.
const (
	TileHeight = 8
	TileWidth  = 1 << TileHeight
	HashSize   = tlog.HashSize
)

// Tree is the right edge of a Merkle tree: what appending needs. Its memory is bounded by
// 256 hashes per level.
type Tree struct {
	size   int64
	levels [][]Hash // the tiles that are not full, from the leaves up
}

// Size is how many leaves the tree has.
func (t *Tree) Size() int64 { return t.size }

// Tail is the hashes of a level's tile that is not full yet.
func (t *Tree) Tail(level int) []Hash {
	if level >= len(t.levels) {
		return nil
	}
	return t.levels[level]
}

// Levels is how many levels of tiles the tree has.
func (t *Tree) Levels() int { return len(t.levels) }

// Append adds a leaf by its hash, and hands out each tile that it fills, lowest first.
func (t *Tree) Append(leaf Hash, full func(level int, n int64, tile []Hash)) {
	t.size++
	for level := 0; ; level++ {
		if level == len(t.levels) {
			t.levels = append(t.levels, make([]Hash, 0, TileWidth))
		}
		t.levels[level] = append(t.levels[level], leaf)
		tile := t.levels[level]
		if len(tile) < TileWidth {
			return
		}
		if full != nil {
			full(level, t.size>>(TileHeight*(level+1))-1, tile)
		}
		leaf = subtree(tile)
		t.levels[level] = tile[:0]
	}
}

// subtree is the root of a power of two of hashes.
func subtree(hashes []Hash) Hash {
	var room [TileWidth / 2]Hash
	level := hashes
	for len(level) > 1 {
		for i := range len(level) / 2 {
			room[i] = nodeHash(level[2*i], level[2*i+1])
		}
		level = room[:len(level)/2]
	}
	return level[0]
}

// Root is the tree's hash.
func (t *Tree) Root() Hash {
	var peaks []Hash // from left to right
	for level := len(t.levels) - 1; level >= 0; level-- {
		rest := t.levels[level]
		for len(rest) > 0 {
			n := 1 << (bits.Len(uint(len(rest))) - 1)
			peaks = append(peaks, subtree(rest[:n]))
			rest = rest[n:]
		}
	}
	if len(peaks) == 0 {
		return emptyRoot
	}
	root := peaks[len(peaks)-1]
	for i := len(peaks) - 2; i >= 0; i-- {
		root = nodeHash(peaks[i], root)
	}
	return root
}

// TailWidth is how many hashes the last tile of a level has in a tree of a size, 0 where
// it has none or is full.
func TailWidth(size int64, level int) int { return int(size >> (TileHeight * level) & (TileWidth - 1)) }

// Resume is the tree of a size whose unfinished tiles are read by tail.
func Resume(size int64, tail func(level int, n int64, width int) ([]byte, error)) (*Tree, error) {
	t := &Tree{size: size}
	for level := 0; size>>(TileHeight*level) > 0; level++ {
		t.levels = append(t.levels, make([]Hash, 0, TileWidth))
		width := TailWidth(size, level)
		if width == 0 {
			continue
		}
		data, err := tail(level, size>>(TileHeight*(level+1)), width)
		if err != nil {
			return nil, err
		}
		hashes, err := ParseTile(data)
		if err != nil {
			return nil, err
		}
		if len(hashes) < width {
			return nil, fmt.Errorf("the last tile of level %d has %d hashes, not %d", level, len(hashes), width)
		}
		t.levels[level] = append(t.levels[level], hashes[:width]...)
	}
	return t, nil
}

// ParseTile reads the hashes of a tile.
func ParseTile(data []byte) ([]Hash, error) {
	if len(data)%HashSize != 0 || len(data) > TileWidth*HashSize {
		return nil, errors.New("a tile is cut")
	}
	hashes := make([]Hash, len(data)/HashSize)
	for i := range hashes {
		copy(hashes[i][:], data[i*HashSize:])
	}
	return hashes, nil
}

// AppendTile adds hashes as a tile holds them.
func AppendTile(b []byte, hashes []Hash) []byte {
	for i := range hashes {
		b = append(b, hashes[i][:]...)
	}
	return b
}
