package evidence

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Proof says, to whoever knows the log's key, that a leaf is in the log: C2SP tlog-proof.
type Proof struct {
	Leaf       []byte // goes along as extra data: it is proven by its hash
	Index      int64
	Path       []Hash
	Checkpoint []byte
}

const proofHeader = "c2sp.org/tlog-proof@v1\n"

// MaxProof bounds the bytes of a proof that is read.
const MaxProof = 2*MaxLeaf + MaxCheckpoint

// ErrProof is returned for a proof that proves nothing.
var ErrProof = errors.New("not a proof")

// Text is the proof as a file.
func (p *Proof) Text() []byte {
	b := []byte(proofHeader)
	if p.Leaf != nil {
		b = append(base64.StdEncoding.AppendEncode(append(b, "extra "...), p.Leaf), '\n')
	}
	b = append(strconv.AppendInt(append(b, "index "...), p.Index, 10), '\n')
	for i := range p.Path {
		b = append(base64.StdEncoding.AppendEncode(b, p.Path[i][:]), '\n')
	}
	return append(append(b, '\n'), p.Checkpoint...)
}

// ParseProof reads a proof. Nothing of it is true yet.
func ParseProof(text []byte) (p Proof, err error) {
	if len(text) > MaxProof {
		return p, fmt.Errorf("%w: it has more than %d bytes", ErrProof, MaxProof)
	}
	head, checkpoint, found := bytes.Cut(text, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !found || lines[0]+"\n" != proofHeader {
		return p, fmt.Errorf("%w: it does not begin with %q", ErrProof, proofHeader[:len(proofHeader)-1])
	}
	p.Checkpoint = checkpoint
	lines = lines[1:]
	if len(lines) > 0 {
		if extra, found := strings.CutPrefix(lines[0], "extra "); found {
			if p.Leaf, err = base64.StdEncoding.Strict().DecodeString(extra); err != nil {
				return p, fmt.Errorf("%w: its extra data: %w", ErrProof, err)
			}
			lines = lines[1:]
		}
	}
	if len(lines) == 0 || len(lines) > 1+63 {
		return p, fmt.Errorf("%w: it has %d lines between its header and its checkpoint", ErrProof, len(lines))
	}
	index, found := strings.CutPrefix(lines[0], "index ")
	var ok bool
	if p.Index, ok = Int([]byte(index)); !found || !ok || p.Index < 0 {
		return p, fmt.Errorf("%w: its index is %.60q", ErrProof, lines[0])
	}
	for _, line := range lines[1:] {
		hash, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(hash) != HashSize {
			return p, fmt.Errorf("%w: a hash is %.60q", ErrProof, line)
		}
		p.Path = append(p.Path, Hash(hash))
	}
	return p, nil
}

// Policy is whom somebody who checks a proof trusts.
type Policy struct {
	Log       note.Verifier
	Witnesses []note.Verifier
	Quorum    int // of the witnesses
}

// Verify checks that the proof's leaf is in the log, under a checkpoint that enough witnesses
// saw. It returns the tree and who cosigned it.
func (p *Proof) Verify(trusted Policy) (TreeHead, []note.Signature, error) {
	h, sigs, err := trusted.Open(p.Checkpoint)
	if err != nil {
		return h, nil, err
	}
	if p.Leaf == nil {
		return h, nil, fmt.Errorf("%w: it comes without its leaf", ErrProof)
	}
	if err := tlog.CheckRecord(p.Path, h.Size, h.Root, p.Index, tlog.RecordHash(p.Leaf)); err != nil {
		return h, nil, fmt.Errorf("%w: leaf %d is not in the tree of %d leaves: %w", ErrProof, p.Index, h.Size, err)
	}
	return h, sigs, nil
}

// Open opens a checkpoint that enough witnesses saw. It returns who did, also beside an error.
func (t *Policy) Open(checkpoint []byte) (TreeHead, []note.Signature, error) {
	h, sigs, err := OpenCheckpoint(checkpoint, t.Log, t.Witnesses...)
	if err != nil {
		return h, nil, err
	}
	var by []note.Signature
	for _, w := range t.Witnesses {
		for _, s := range sigs {
			if s.Name == w.Name() && s.Hash == w.KeyHash() {
				by = append(by, s)
				break
			}
		}
	}
	if len(by) < t.Quorum {
		return h, by, fmt.Errorf("%w that enough witnesses saw: %d of %d signed it, %d must", ErrCheckpoint, len(by), len(t.Witnesses), t.Quorum)
	}
	return h, by, nil
}

// Reader reads the hashes of a tree from tiles, and checks them all against its root.
type Reader struct {
	from Source
	head TreeHead
	ctx  context.Context // tlog's reader takes none
}

// NewReader returns the reader of a tree.
func NewReader(ctx context.Context, from Source, head TreeHead) *Reader {
	return &Reader{from, head, ctx}
}

// Height is tlog.TileReader.
func (r *Reader) Height() int { return TileHeight }

// ReadTiles is tlog.TileReader.
func (r *Reader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	wanted := make([]Tile, len(tiles))
	for i, t := range tiles {
		wanted[i] = Tile{Level: t.L, N: t.N}
	}
	if many, ok := r.from.(TilesSource); ok {
		if err := many.Tiles(r.ctx, wanted); err != nil {
			return nil, err
		}
	}
	all := make([][]byte, len(tiles))
	for i, t := range tiles {
		data := wanted[i].Data
		var err error
		if data == nil {
			if data, err = r.from.Tile(r.ctx, t.L, t.N, t.W); err != nil {
				return nil, err
			}
		}
		if all[i], err = cut(data, t.L, t.W); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// SaveTiles is tlog.TileReader.
func (r *Reader) SaveTiles([]tlog.Tile, [][]byte) {}

func (r *Reader) hashes() tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: r.head.Size, Hash: r.head.Root}, r)
}

// Prove is the proof that a leaf is in the tree.
func (r *Reader) Prove(index int64) ([]Hash, error) {
	if index < 0 || index >= r.head.Size {
		return nil, fmt.Errorf("%w: leaf %d of a tree of %d", ErrMissing, index, r.head.Size)
	}
	path, err := tlog.ProveRecord(r.head.Size, index, r.hashes())
	if err != nil {
		return nil, fmt.Errorf("prove leaf %d: %w", index, err)
	}
	return path, nil
}

// Extends proves that the tree begins with all of an older one.
func (r *Reader) Extends(size int64) ([]Hash, error) {
	if size == 0 || size == r.head.Size {
		return nil, nil
	}
	path, err := tlog.ProveTree(r.head.Size, size, r.hashes())
	if err != nil {
		return nil, fmt.Errorf("prove that a tree of %d extends one of %d: %w", r.head.Size, size, err)
	}
	return path, nil
}

// CheckExtends checks a proof of Extends.
func CheckExtends(path []Hash, old, now TreeHead) error {
	switch {
	case old.Size > now.Size:
		return fmt.Errorf("a tree of %d cannot extend one of %d", now.Size, old.Size)
	case old.Size == 0:
		if len(path) != 0 {
			return errors.New("nothing is to be proven of an empty tree")
		}
		return nil
	case old.Size == now.Size:
		if old.Root != now.Root || len(path) != 0 {
			return errors.New("two trees of one size have two roots")
		}
		return nil
	}
	return tlog.CheckTree(path, now.Size, now.Root, old.Size, old.Root)
}

// Leaf reads one leaf.
func (r *Reader) Leaf(index int64) ([]byte, error) {
	n := index / TileWidth
	width := min(int(r.head.Size-n*TileWidth), TileWidth)
	rest, err := r.from.Tile(r.ctx, Entries, n, width)
	if err != nil {
		return nil, err
	}
	var leaf []byte
	for range index%TileWidth + 1 {
		if leaf, rest, err = NextLeaf(rest); err != nil {
			return nil, err
		}
	}
	return leaf, nil
}

// ReadHashes reads hashes of the tree by their tlog index, each proven to be the tree's.
func (r *Reader) ReadHashes(indexes []int64) ([]Hash, error) { return r.hashes().ReadHashes(indexes) }
