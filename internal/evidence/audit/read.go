package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"tenu/internal/evidence"
)

// alone is a source that is asked for one thing at a time.
type alone struct {
	mu   sync.Mutex
	from evidence.Source
}

// Checkpoint is evidence.Source.
func (s *alone) Checkpoint(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.from.Checkpoint(ctx)
}

// Tile is evidence.Source.
func (s *alone) Tile(ctx context.Context, level int, n int64, width int) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.from.Tile(ctx, level, n, width)
}

// readLog reads every leaf of the signed tree; the first pass checks the tree.
func (a *auditor) readLog(ctx context.Context) error {
	tree := &treeCheck{a: a, ctx: ctx}
	err := a.pieces(ctx, func(p *piece) error {
		if err := a.judge(p); err != nil {
			return err
		}
		if a.pass == 0 {
			if err := tree.add(p); err != nil {
				return err
			}
		}
		for i, leaf := range p.leaves {
			if leaf != nil {
				a.leaf(p.n*evidence.TileWidth+int64(i), leaf)
			}
		}
		done := min((p.n+1)*evidence.TileWidth, a.head.Size)
		a.cfg.Progress(int64(a.pass)*a.head.Size+done, int64(a.passes)*a.head.Size)
		return nil
	})
	if err == nil && a.pass == 0 {
		err = tree.end()
	}
	return err
}

// piece is a bundle on its way: it is read, then hashed, then judged, each by a goroutine of its own.
type piece struct {
	n      int64
	data   []byte
	tile   []byte // of the leaves' hashes
	leaves [][]byte
	hashes []evidence.Hash
	// what went wrong: in reading either, and in taking the bundle apart
	read, readTile, cut error
	rest                int // bytes behind the last leaf
}

// mostPieces is how many bundles may be between two goroutines.
const mostPieces = 32

// pieces calls judge with every bundle in order, while those behind it are read and hashed.
func (a *auditor) pieces(ctx context.Context, judge func(*piece) error) error {
	ctx, stop := context.WithCancel(ctx)
	tiles := a.pass == 0
	bundles, hashed := make(chan *piece, mostPieces), make(chan *piece, mostPieces)
	var working sync.WaitGroup
	defer working.Wait() // after stop: nothing reads the source any more
	defer stop()
	pass := func(to chan<- *piece, p *piece) bool {
		select {
		case to <- p:
			return true
		case <-ctx.Done():
			return false
		}
	}
	working.Go(func() {
		defer close(bundles)
		for n := int64(0); n*evidence.TileWidth < a.head.Size; n++ {
			p := &piece{n: n, leaves: make([][]byte, a.width(n))}
			p.data, p.read = a.cfg.Source.Tile(ctx, evidence.Entries, n, len(p.leaves))
			if tiles {
				p.tile, p.readTile = a.cfg.Source.Tile(ctx, 0, n, len(p.leaves))
			}
			if !pass(bundles, p) {
				return
			}
		}
	})
	working.Go(func() {
		defer close(hashed)
		var hasher evidence.Hasher
		for p := range bundles {
			p.split(&hasher, tiles)
			if !pass(hashed, p) {
				return
			}
		}
	})
	for p := range hashed {
		if err := judge(p); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// split takes a bundle apart and, where the tree is checked, hashes its leaves; those that are not there are nil.
func (p *piece) split(hasher *evidence.Hasher, hash bool) {
	if p.read != nil {
		return
	}
	rest := p.data
	for i := range p.leaves {
		if p.leaves[i], rest, p.cut = evidence.NextLeaf(rest); p.cut != nil {
			p.leaves[i] = nil
			break
		}
	}
	p.rest = len(rest)
	if !hash {
		return
	}
	p.hashes = make([]evidence.Hash, len(p.leaves))
	for i, leaf := range p.leaves {
		if leaf != nil {
			p.hashes[i] = hasher.Leaf(leaf)
		}
	}
}

// judge tells what a bundle lacks.
func (a *auditor) judge(p *piece) error {
	first := p.n * evidence.TileWidth
	switch {
	case errors.Is(p.read, evidence.ErrMissing):
		a.lost = true
		if a.pass == 0 {
			a.find(WrongLeaf, fmt.Sprintf("leaves %d to %d", first, first+int64(len(p.leaves))-1), "their bundle, %s, is missing",
				evidence.TilePath(evidence.Entries, p.n, len(p.leaves)))
		}
		p.hashes = make([]evidence.Hash, len(p.leaves))
	case p.read != nil:
		return p.read
	case p.cut != nil:
		a.lost = true
		if a.pass == 0 {
			there := slices.IndexFunc(p.leaves, func(leaf []byte) bool { return leaf == nil })
			a.find(WrongLeaf, fmt.Sprintf("leaf %d", first+int64(there)), "it is missing, with all behind it in bundle %d: %v", p.n, p.cut)
		}
	case p.rest > 0 && len(p.leaves) == evidence.TileWidth && a.pass == 0:
		a.find(WrongLeaf, fmt.Sprintf("bundle %d", p.n), "%d bytes follow its last leaf", p.rest)
	}
	return nil
}

// treeCheck recomputes the tree.
type treeCheck struct {
	a     *auditor
	ctx   context.Context // of one pass
	tree  evidence.Tree
	wrong bool
	err   error
}

// add adds the leaves of a bundle, and names those that are not the tree's. Where the tiles prove what
// a leaf's hash should be, the tree goes on with that.
func (c *treeCheck) add(p *piece) error {
	same, err := c.sameAs(p.tile, p.readTile, 0, p.n, p.hashes)
	if err != nil {
		return err
	}
	if missing := slices.ContainsFunc(p.leaves, func(leaf []byte) bool { return leaf == nil }); missing || !same {
		c.wrong = true
		c.wrongLeaves(p.n, p.leaves, p.hashes)
	}
	for _, h := range p.hashes {
		c.tree.Append(h, c.full)
		for _, earlier := range c.a.earlier {
			if earlier.Size == c.tree.Size() && earlier.Root != c.tree.Root() {
				c.a.find(WrongFork, fmt.Sprintf("leaf %d or before", earlier.Size-1), "a checkpoint of %d leaves was signed of another tree", earlier.Size)
			}
		}
	}
	return c.err
}

// wrongLeaves names the leaves of a bundle that do not fit, and puts the tree's own hashes in their place.
func (c *treeCheck) wrongLeaves(n int64, leaves [][]byte, hashes []evidence.Hash) {
	first := n * evidence.TileWidth
	indexes := make([]int64, len(leaves))
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, first+int64(i))
	}
	true1, err := evidence.NewReader(c.ctx, c.a.cfg.Source, c.a.head).ReadHashes(indexes)
	if err != nil {
		c.a.find(WrongTree, "tile "+evidence.TilePath(0, n, len(leaves)), "it does not belong to the signed tree, or one above it does not: %v", err)
		return
	}
	count, at := 0, 0
	for i := range leaves {
		if leaves[i] != nil && hashes[i] != true1[i] {
			if count++; count == 1 {
				at = i
			}
			leaves[i] = nil // it says nothing
		}
		hashes[i] = true1[i]
	}
	if count > 0 {
		c.a.lost = true
		c.a.find(WrongLeaf, fmt.Sprintf("leaf %d", first+int64(at)), "it is not the one that was signed%s", more(count-1, " (nor are %d behind it in its bundle)"))
	}
}

func more(n int, text string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(text, n)
}

// sameTile compares a tile that is published with what it should be.
func (c *treeCheck) sameTile(level int, n int64, want []evidence.Hash) (bool, error) {
	data, err := c.a.cfg.Source.Tile(c.ctx, level, n, len(want))
	return c.sameAs(data, err, level, n, want)
}

// sameAs is sameTile of one that was read.
func (c *treeCheck) sameAs(data []byte, err error, level int, n int64, want []evidence.Hash) (bool, error) {
	if errors.Is(err, evidence.ErrMissing) {
		c.a.find(WrongTree, "tile "+evidence.TilePath(level, n, len(want)), "it is missing")
		return true, nil
	}
	if err != nil {
		return false, err
	}
	got, err := evidence.ParseTile(data)
	if err != nil || len(got) < len(want) {
		c.a.find(WrongTree, "tile "+evidence.TilePath(level, n, len(want)), "it is cut")
		return true, nil //nolint:nilerr // found
	}
	for i := range want {
		if got[i] != want[i] {
			return false, nil
		}
	}
	return true, nil
}

// full compares the tiles above the leaves.
func (c *treeCheck) full(level int, n int64, tile []evidence.Hash) {
	if level == 0 || c.err != nil {
		return
	}
	same, err := c.sameTile(level, n, tile)
	if err != nil {
		c.err = err
		return
	}
	if !same && !c.wrong {
		c.a.find(WrongTree, "tile "+evidence.TilePath(level, n, evidence.TileWidth), "it does not follow from the leaves")
	}
}

// end checks the right edge and the root.
func (c *treeCheck) end() error {
	for level := 1; level < c.tree.Levels(); level++ {
		if tail := c.tree.Tail(level); len(tail) > 0 {
			n := c.tree.Size() >> (evidence.TileHeight * (level + 1))
			same, err := c.sameTile(level, n, tail)
			if err != nil {
				return err
			}
			if !same && !c.wrong {
				c.a.find(WrongTree, "tile "+evidence.TilePath(level, n, len(tail)), "it does not follow from the leaves")
			}
		}
	}
	if c.tree.Root() != c.a.head.Root {
		c.a.find(WrongTree, "root", "the leaves have another root than the checkpoint of %d", c.a.head.Size)
	}
	return c.err
}
