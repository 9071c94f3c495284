package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tenu/internal/evidence"
	"tenu/internal/evidence/witness"
)

const witnessed = "log.example"

// growing is a log in memory that grows: a source, and each tree that it ever was.
type growing struct {
	signer *evidence.LogSigner
	mu     sync.Mutex
	tree   evidence.Tree
	tiles  map[string][]byte       // full ones
	heads  map[int64]evidence.Hash // that were taken
	hasher evidence.Hasher
}

func newGrowing(t *testing.T) *growing {
	t.Helper()
	signer, err := evidence.NewLogSigner(witnessed, bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return &growing{signer: signer, tiles: map[string][]byte{}, heads: map[int64]evidence.Hash{}}
}

// grow adds leaves: those that another log with the same word has too.
func (l *growing) grow(till int64, word string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.tree.Size() < till {
		l.tree.Append(l.hasher.Leaf(fmt.Appendf(nil, "%s %d", word, l.tree.Size())), func(level int, n int64, tile []evidence.Hash) {
			l.tiles[evidence.TilePath(level, n, len(tile))] = evidence.AppendTile(nil, tile)
		})
	}
}

func (l *growing) head() evidence.TreeHead {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heads[l.tree.Size()] = l.tree.Root()
	return evidence.TreeHead{Origin: witnessed, Size: l.tree.Size(), Root: l.tree.Root()}
}

// was reports whether a head is one of those that were taken.
func (l *growing) was(h evidence.TreeHead) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	root, taken := l.heads[h.Size]
	return taken && root == h.Root
}

// Checkpoint is evidence.Source.
func (l *growing) Checkpoint(context.Context) ([]byte, error) { return l.head().Sign(l.signer) }

// Tile is evidence.Source.
func (l *growing) Tile(_ context.Context, level int, n int64, _ int) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if full, ok := l.tiles[evidence.TilePath(level, n, evidence.TileWidth)]; ok {
		return full, nil
	}
	if n == l.tree.Size()>>(evidence.TileHeight*(level+1)) {
		return evidence.AppendTile(nil, l.tree.Tail(level)), nil
	}
	return nil, evidence.ErrMissing
}

// regulator is a tenu witness that is killed again and again.
type regulator struct {
	t        *testing.T
	dir, at  string
	site     string // where the log is published
	verifier note.Verifier
	key      string
	cmd      *exec.Cmd
	output   lockedBuffer
}

func (g *regulator) arguments(more ...string) []string {
	return append([]string{"witness", "--dir", g.dir, "--name", "w.example", "--log-key", g.key}, more...)
}

func (g *regulator) start() {
	g.t.Helper()
	g.cmd = exec.Command(program, g.arguments("--listen", g.at, "--log", g.site, "--every", "1s")...) //nolint:noctx // it is killed, not cancelled
	g.cmd.Stdout, g.cmd.Stderr = &g.output, &g.output
	if err := g.cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
}

func (g *regulator) kill() {
	_ = g.cmd.Process.Kill() // it may have ended
	_ = g.cmd.Wait()
}

// last asks what was cosigned last, until the witness answers; nothing before the first.
func (g *regulator) last(log note.Verifier) (h evidence.TreeHead) {
	g.t.Helper()
	for range 2000 {
		response, err := http.Get("http://" + g.at + "/checkpoint/" + witnessed) //nolint:noctx // a test's own call
		if err != nil {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode == http.StatusNotFound {
			return h
		}
		h, sigs, bad := evidence.OpenCheckpoint(text, log, g.verifier)
		if err != nil || bad != nil || len(sigs) != 2 {
			g.t.Fatalf("the last checkpoint is %q: %v, %v", text, err, bad)
		}
		return h
	}
	g.t.Fatalf("the witness does not answer: %s", g.output.String())
	return h
}

// once reads the log where it is published, and returns what the command says.
func (g *regulator) once(site string) (string, error) {
	out, err := exec.CommandContext(g.t.Context(), program, g.arguments("--log", site, "--once")...).CombinedOutput()
	return string(out), err
}

// cosigned is the heads that a witness gave its signature for.
type cosigned struct {
	mu    sync.Mutex
	most  int64
	count int
}

// submitting submits what the log is, and now and then what a fork of it is, until it is told to stop.
func (g *regulator) submitting(ctx context.Context, honest *growing, random *rand.Rand, told *cosigned) {
	client := func() *witness.Client {
		return &witness.Client{URL: "http://" + g.at, Witness: g.verifier, Client: &http.Client{Timeout: 5 * time.Second}}
	}
	log, forger := client(), client()
	for ctx.Err() == nil {
		from, by := honest, log
		honest.grow(honest.head().Size+random.Int64N(300), "leaf")
		if random.IntN(4) == 0 { // the same up to some leaf before what was cosigned
			told.mu.Lock()
			most := told.most
			told.mu.Unlock()
			from, by = newGrowing(g.t), forger
			from.grow(random.Int64N(most), "leaf")
			from.grow(honest.head().Size+random.Int64N(300), "forged")
		}
		head := from.head()
		checkpoint, err := head.Sign(from.signer)
		if err != nil {
			g.t.Error(err)
			return
		}
		// A log that grew since has the tiles of the head that was taken, too.
		if _, err := by.Submit(ctx, from, head, checkpoint); err != nil {
			time.Sleep(time.Duration(random.IntN(3)) * time.Millisecond)
			continue // it is down, or refuses
		}
		if !honest.was(head) {
			g.t.Errorf("a fork of %d leaves is cosigned", head.Size)
		}
		told.mu.Lock()
		told.most, told.count = max(told.most, head.Size), told.count+1
		told.mu.Unlock()
	}
}

// TestWitnessKilled kills a witness at random instants, while a log grows and is submitted to it and read by it, and
// while forks of it are: it cosigns nothing but one log, keeps whatever it cosigned, and goes on.
func TestWitnessKilled(t *testing.T) {
	random := seeded(t)
	honest := newGrowing(t)
	honest.grow(100, "leaf")
	site := httptest.NewServer(evidence.Handler(honest))
	defer site.Close()
	logVerifier, err := honest.signer.Verifier()
	if err != nil {
		t.Fatal(err)
	}
	g := &regulator{t: t, dir: filepath.Join(t.TempDir(), "witness"), at: freeAddress(t), site: site.URL, key: honest.signer.VerifierKey()}
	// It is killed while it makes its key, too: whatever it has then is whole.
	for range count(10) {
		g.start()
		time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
		g.kill()
	}
	said, err := g.once(site.URL)
	if err != nil {
		t.Fatalf("after it was killed at its first start: %v: %s", err, said)
	}
	g.verifier, err = evidence.ParseWitnessKey(strings.TrimSpace(strings.Split(said, "\n")[0]))
	if err != nil {
		t.Fatalf("%v in %q", err, said)
	}
	told := &cosigned{most: 100}
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	for range 2 {
		own := rand.New(rand.NewPCG(random.Uint64(), 0)) //nolint:gosec // replayable on purpose
		working.Go(func() { g.submitting(ctx, honest, own, told) })
	}
	kills := count(40)
	bar := start(t, kills)
	for range kills {
		told.mu.Lock()
		most := told.most
		told.mu.Unlock()
		g.start()
		if h := g.last(logVerifier); h.Size < most || !honest.was(h) {
			t.Fatalf("it keeps a tree of %d leaves, of the log: %t; it cosigned one of %d before it was killed", h.Size, honest.was(h), most)
		}
		time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
		g.kill()
		bar.step()
	}
	stop()
	working.Wait()
	bar.end("kills %d, cosigned %d, leaves %d", kills, told.count, told.most)
	if told.count < kills/4 || g.forksFound() == 0 {
		t.Errorf("%d heads were cosigned, and %d forks found: nothing was tried", told.count, g.forksFound())
	}
	g.afterwards(honest, site.URL, logVerifier)
}

// forksFound counts the conflicts that are kept.
func (g *regulator) forksFound() int {
	kept, err := filepath.Glob(filepath.Join(g.dir, "*", "conflict-*"))
	if err != nil {
		g.t.Fatal(err)
	}
	return len(kept)
}

// afterwards: the log goes on, a fork of it is refused and evidenced, and nothing is left half written.
func (g *regulator) afterwards(honest *growing, site string, log note.Verifier) {
	t := g.t
	honest.grow(honest.head().Size+500, "leaf")
	if said, err := g.once(site); err != nil {
		t.Fatalf("it does not go on: %v: %s", err, said)
	}
	fork := newGrowing(t)
	fork.grow(honest.head().Size-200, "leaf")
	fork.grow(honest.head().Size+100, "forged")
	forged := httptest.NewServer(evidence.Handler(fork))
	defer forged.Close()
	before := g.forksFound()
	if said, err := g.once(forged.URL); err == nil || !strings.Contains(said, "fork") {
		t.Errorf("a fork is answered with %v: %s", err, said)
	}
	if g.forksFound() != before+1 {
		t.Errorf("%d conflicts are kept, and were before the fork", g.forksFound())
	}
	kept, err := filepath.Glob(filepath.Join(g.dir, "*", "conflict-fork-*"))
	if err != nil {
		t.Fatal(err)
	}
	proven := false
	for _, path := range kept {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := bytes.Cut(text, []byte("\nseen before:\n\n"))
		seen, refused, found := bytes.Cut(rest, []byte("\nrefused:\n\n"))
		a, _, badA := evidence.OpenCheckpoint(seen, log)
		b, _, badB := evidence.OpenCheckpoint(refused, log)
		if !found || badA != nil || badB != nil {
			t.Errorf("%s does not hold two signed heads: %v, %v", path, badA, badB)
		}
		proven = proven || a == honest.head() && b == fork.head()
	}
	if !proven {
		t.Error("no conflict holds the log's head and the fork's")
	}
	honest.grow(honest.head().Size+1, "leaf")
	if said, err := g.once(site); err != nil {
		t.Errorf("after the fork it does not go on: %v: %s", err, said)
	}
	if half, err := filepath.Glob(filepath.Join(g.dir, "*", ".new-*")); err != nil || len(half) > 0 {
		t.Errorf("%v are left half written: %v", half, err)
	}
}

// freeAddress is one that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // it was only to be free
	return l.Addr().String()
}
