package audit

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"tenu/internal/evidence"
)

// readLog reads every leaf of the signed tree; the first pass checks the tree.
func (a *auditor) readLog(ctx context.Context) error {
	tree := &treeCheck{a: a, ctx: ctx}
	for n := int64(0); n*evidence.TileWidth < a.head.Size; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		leaves, err := a.bundle(ctx, n)
		if err != nil {
			return err
		}
		if a.pass == 0 {
			if err := tree.bundle(n, leaves); err != nil {
				return err
			}
		}
		for i, leaf := range leaves {
			if leaf != nil {
				a.leaf(n*evidence.TileWidth+int64(i), leaf)
			}
		}
		done := min((n+1)*evidence.TileWidth, a.head.Size)
		a.cfg.Progress(int64(a.pass)*a.head.Size+done, int64(a.passes)*a.head.Size)
	}
	if a.pass == 0 {
		return tree.end()
	}
	return nil
}

// bundle reads the leaves of a bundle; those that are not there are nil.
func (a *auditor) bundle(ctx context.Context, n int64) ([][]byte, error) {
	leaves := make([][]byte, a.width(n))
	data, err := a.cfg.Source.Tile(ctx, evidence.Entries, n, len(leaves))
	first := n * evidence.TileWidth
	if errors.Is(err, evidence.ErrMissing) {
		a.lost = true
		if a.pass == 0 {
			a.find(WrongLeaf, fmt.Sprintf("leaves %d to %d", first, first+int64(len(leaves))-1), "their bundle, %s, is missing", evidence.TilePath(evidence.Entries, n, len(leaves)))
		}
		return leaves, nil
	}
	if err != nil {
		return nil, err
	}
	rest := data
	for i := range leaves {
		if leaves[i], rest, err = evidence.NextLeaf(rest); err != nil {
			if a.pass == 0 {
				a.find(WrongLeaf, fmt.Sprintf("leaf %d", first+int64(i)), "it is missing, with all behind it in bundle %d: %v", n, err)
			}
			leaves[i], a.lost = nil, true
			break
		}
	}
	if err == nil && len(rest) > 0 && len(leaves) == evidence.TileWidth && a.pass == 0 {
		a.find(WrongLeaf, fmt.Sprintf("bundle %d", n), "%d bytes follow its last leaf", len(rest))
	}
	return leaves, nil
}

// treeCheck recomputes the tree.
type treeCheck struct {
	a      *auditor
	ctx    context.Context // of one pass
	tree   evidence.Tree
	hasher evidence.Hasher
	wrong  bool
	err    error
}

// bundle adds the leaves of a bundle, and names those that are not the tree's. Where the tiles prove what
// a leaf's hash should be, the tree goes on with that.
func (c *treeCheck) bundle(n int64, leaves [][]byte) error {
	hashes := make([]evidence.Hash, len(leaves))
	missing := false
	for i, leaf := range leaves {
		if leaf == nil {
			missing = true
			continue
		}
		hashes[i] = c.hasher.Leaf(leaf)
	}
	same, err := c.sameTile(0, n, hashes)
	if err != nil {
		return err
	}
	if missing || !same {
		c.wrong = true
		c.wrongLeaves(n, leaves, hashes)
	}
	for _, h := range hashes {
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
