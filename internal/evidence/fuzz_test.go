package evidence_test

import (
	"bytes"
	"strings"
	"testing"

	"tenu/internal/evidence"
	"tenu/internal/fuzztest"
)

// What is read of a leaf is what was written, in the one way that it can be.
func FuzzLeaf(f *testing.F) {
	f.Add([]byte("p 1099511627776 2 1764394201123456 251000\ns crediting ocs 1050 1050 XOF 251000 - 60251000 86400251000 - -\n"))
	f.Add([]byte("l 1 1 9 -9\nq 3\n"))
	f.Add([]byte("p 00 1 1 1\n"))
	f.Add([]byte("p 9223372036854775807 1 -9223372036854775807 1\n\n\n"))
	f.Fuzz(func(t *testing.T, leaf []byte) {
		h, items, err := evidence.ParseHead(leaf)
		if err != nil {
			return
		}
		again, at := evidence.Begin(nil, h)
		again = evidence.End(append(again, items...), at)
		if len(leaf) <= evidence.MaxLeaf && !bytes.Equal(again[2:], leaf) {
			t.Errorf("%q is written as %q", leaf, again[2:])
		}
		var words [][]byte
		for rest := items; len(rest) > 0; {
			var line []byte
			if line, rest = evidence.NextItem(rest); len(line) == 0 {
				continue
			}
			if words = evidence.Words(line, words); words != nil && string(line[1:]) != " "+string(bytes.Join(words, []byte(" "))) {
				t.Errorf("%q has the words %q", line, words)
			}
		}
	})
}

func FuzzTilePath(f *testing.F) {
	for _, path := range []string{"tile/0/x001/x234/067", "tile/entries/000.p/3", "tile/7/999"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if level, n, width, ok := evidence.ParseTilePath(path); ok && (evidence.TilePath(level, n, width) != path || strings.Contains(path, "..")) {
			t.Errorf("%q is taken for %d, %d, %d", path, level, n, width)
		}
	})
}

func FuzzProof(f *testing.F) {
	log, err := evidence.NewLogSigner("log.example", bytes.Repeat([]byte{1}, 32))
	if err != nil {
		f.Fatal(err)
	}
	other, err := log.Verifier()
	if err != nil {
		f.Fatal(err)
	}
	head := evidence.TreeHead{Origin: "log.example", Size: 1, Root: (&evidence.Hasher{}).Leaf([]byte("true"))}
	checkpoint, err := head.Sign(log)
	if err != nil {
		f.Fatal(err)
	}
	good := evidence.Proof{Leaf: []byte("true"), Checkpoint: checkpoint}
	f.Add(good.Text())
	f.Add([]byte("c2sp.org/tlog-proof@v1\nextra AA==\nindex 1\n\nx\n0\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		fuzztest.Within(t, 64*len(text)+1<<20, func() {
			p, err := evidence.ParseProof(text)
			if err != nil {
				return
			}
			if _, _, err := p.Verify(evidence.Policy{Log: other}); err == nil && string(p.Leaf) != "true" {
				t.Errorf("%q proves %q", text, p.Leaf)
			}
		})
	})
}

func FuzzWitnessKey(f *testing.F) {
	f.Add("witness.example+00000000+BAAA")
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = evidence.ParseWitnessKey(text)
		_, _ = evidence.ParseCosigner(text)
	})
}
