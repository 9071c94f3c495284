package evidence_test

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"tenu/internal/evidence"
)

// stored are a tree's hashes as tlog keeps them: another make of the same tree.
type stored []tlog.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		hashes[i] = s[at]
	}
	return hashes, nil
}

// The tree of every size has tlog's root, each tile is tlog's, and a tree that is read
// from its tiles goes on as if it had never stopped.
func TestTreeIsTheOneOfRFC6962(t *testing.T) {
	var hashes stored
	tree, tiles := &evidence.Tree{}, map[string][]byte{}
	var hasher evidence.Hasher
	keep := func(level int, n int64, tile []evidence.Hash) {
		tiles[evidence.TilePath(level, n, evidence.TileWidth)] = evidence.AppendTile(nil, tile)
	}
	const most = 66_000
	for n := range int64(most) {
		leaf := fmt.Appendf(nil, "leaf %d", n)
		more, err := tlog.StoredHashes(n, leaf, hashes)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, more...)
		if h := hasher.Leaf(leaf); h != tlog.RecordHash(leaf) {
			t.Fatalf("leaf %d has the hash %v", n, h)
		}
		tree.Append(hasher.Leaf(leaf), keep)
		size := n + 1
		if size > 600 && size%997 != 0 && size != 65536 && size != most {
			continue
		}
		want, err := tlog.TreeHash(size, hashes)
		if err != nil {
			t.Fatal(err)
		}
		if got := tree.Root(); got != want {
			t.Fatalf("the tree of %d has the root %v, not %v", size, got, want)
		}
		again, err := evidence.Resume(size, func(level int, n int64, width int) ([]byte, error) {
			return tlog.ReadTileData(tlog.Tile{H: evidence.TileHeight, L: level, N: n, W: width}, hashes)
		})
		if err != nil || again.Root() != want || again.Size() != size {
			t.Fatalf("the tree of %d resumes as one of %d: %v", size, again.Size(), err)
		}
	}
	for path, data := range tiles {
		level, n, width, ok := evidence.ParseTilePath(path)
		if !ok {
			t.Fatalf("the path %s is not read", path)
		}
		want, err := tlog.ReadTileData(tlog.Tile{H: evidence.TileHeight, L: level, N: n, W: width}, hashes)
		if err != nil || !slices.Equal(data, want) {
			t.Fatalf("tile %s differs: %v", path, err)
		}
	}
	if len(tiles) != most/256+1 {
		t.Errorf("%d tiles became full", len(tiles))
	}
}

func TestTilePathsAreThoseOfC2SP(t *testing.T) {
	for path, want := range map[string][3]int64{
		"tile/0/x001/x234/067": {0, 1234067, 256}, "tile/entries/000": {-1, 0, 256}, "tile/1/000.p/17": {1, 0, 17},
		"tile/entries/x001/000.p/255": {-1, 1000, 255},
	} {
		level, n, width, ok := evidence.ParseTilePath(path)
		if !ok || [3]int64{int64(level), n, int64(width)} != want {
			t.Errorf("%s is read as %d, %d, %d: %v", path, level, n, width, ok)
		}
		if got := evidence.TilePath(level, n, width); got != path {
			t.Errorf("%s is written as %s", path, got)
		}
	}
	for _, path := range []string{"tile/0/0", "tile/0/1000", "tile/0/x000/001", "tile/8/000", "tile/0/000.p/256", "tile/0/000.p/0", "tile/0/000.p/01", "tile//000",
		"tile/entries/x001", "tile/entries/001/002", "tile/-1/000", "tile/0/../000", "checkpoint", "tile/00/000", "tile/0/+01"} {
		if level, n, width, ok := evidence.ParseTilePath(path); ok {
			t.Errorf("%s is read as %d, %d, %d", path, level, n, width)
		}
	}
}
