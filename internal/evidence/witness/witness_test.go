package witness_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tenu/internal/evidence"
	"tenu/internal/evidence/witness"
	"tenu/internal/purchase"
)

const origin = "log.example"

type clock struct{ now purchase.Instant }

func (c *clock) Now() purchase.Instant { return c.now }

// log is a log in memory of leaves that its test chooses.
type log struct {
	signer *evidence.LogSigner
	leaves [][]byte
	tiles  map[string][]byte
	head   evidence.TreeHead
}

func newLog(t testing.TB, key byte, leaves ...string) *log {
	t.Helper()
	signer, err := evidence.NewLogSigner(origin, bytes.Repeat([]byte{key}, 32))
	if err != nil {
		t.Fatal(err)
	}
	l := &log{signer: signer, tiles: map[string][]byte{}}
	tree := &evidence.Tree{}
	put := func(level int, n int64, tile []evidence.Hash) {
		l.tiles[evidence.TilePath(level, n, len(tile))] = evidence.AppendTile(nil, tile)
	}
	for _, leaf := range leaves {
		l.leaves = append(l.leaves, []byte(leaf))
		tree.Append(tlog.RecordHash([]byte(leaf)), put)
	}
	for level := range tree.Levels() {
		if tail := tree.Tail(level); len(tail) > 0 {
			put(level, tree.Size()>>(8*(level+1)), tail)
		}
	}
	l.head = evidence.TreeHead{Origin: origin, Size: tree.Size(), Root: tree.Root()}
	return l
}

func (l *log) Checkpoint(context.Context) ([]byte, error) { return l.head.Sign(l.signer) }

func (l *log) Tile(_ context.Context, level int, n int64, width int) ([]byte, error) {
	data, ok := l.tiles[evidence.TilePath(level, n, width)]
	if !ok {
		return nil, fmt.Errorf("%w: %s", evidence.ErrMissing, evidence.TilePath(level, n, width))
	}
	return data, nil
}

func numbered(n int, other ...int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint("leaf ", i))
	}
	for _, i := range other {
		all[i] = "altered"
	}
	return all
}

func newWitness(t testing.TB, dir string, logs ...*log) (*witness.Witness, *evidence.Cosigner, *clock) {
	t.Helper()
	key, err := evidence.NewCosigner("w.example", bytes.NewReader(bytes.Repeat([]byte{9}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{1_800_000_000_000_000}
	cfg := witness.Config{Dir: dir, Key: key, Clock: c}
	for _, l := range logs {
		v, err := l.signer.Verifier()
		if err != nil {
			t.Fatal(err)
		}
		cfg.Logs = append(cfg.Logs, v)
	}
	w, err := witness.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w, key, c
}

func conflicts(t testing.TB, dir, kind string) (texts []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "conflict-"+kind+"-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return texts
}

// What a witness cosigns is what anybody can check, with the time; it forgets nothing when it
// is stopped.
func TestCosignsWhatGrows(t *testing.T) {
	dir := t.TempDir()
	small, big := newLog(t, 1, numbered(300)...), newLog(t, 1, numbered(700)...)
	w, key, c := newWitness(t, dir, small)
	for _, l := range []*log{small, small, big, big} {
		c.now = c.now.Add(time.Minute)
		line, err := w.Pull(t.Context(), l, origin)
		if err != nil {
			t.Fatal(err)
		}
		checkpoint, err := l.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		v, err := evidence.ParseWitnessKey(key.VerifierKey())
		if err != nil {
			t.Fatal(err)
		}
		n, err := note.Open(append(checkpoint, line...), note.VerifierList(v))
		if err != nil || len(n.Sigs) != 1 {
			t.Fatalf("the cosignature is none: %v", err)
		}
		if at, ok := evidence.CosignedAt(n.Sigs[0]); !ok || at != c.now {
			t.Errorf("it was cosigned at %s, not %s", at, c.now)
		}
		w, _, c = newWitness(t, dir, small) // as after a kill
		kept, ok := w.Last(origin)
		if !ok || !bytes.Contains(kept, line) {
			t.Fatalf("the witness forgot what it cosigned: %s", kept)
		}
	}
	// Bytes that cannot be read are not taken for none.
	files, err := filepath.Glob(filepath.Join(dir, "*", "checkpoint"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	if err := os.WriteFile(files[0], []byte("log.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := small.signer.Verifier()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := witness.New(witness.Config{Dir: dir, Key: key, Clock: c, Logs: []note.Verifier{v}}); err == nil {
		t.Error("a witness with a damaged memory begins anew")
	}
}

func TestRefusesForksAndRollbacks(t *testing.T) {
	for name, bad := range map[string]*log{
		"fork":     newLog(t, 1, numbered(700, 17)...),
		"rollback": newLog(t, 1, numbered(400)...),
	} {
		dir := t.TempDir()
		first := newLog(t, 1, numbered(500)...)
		w, _, _ := newWitness(t, dir, first)
		if _, err := w.Pull(t.Context(), first, origin); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			var refused *witness.Refusal
			if _, err := w.Pull(t.Context(), bad, origin); !errors.As(err, &refused) || refused.Status != http.StatusConflict || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v", name, err)
			}
		}
		texts := conflicts(t, dir, name)
		if len(texts) != 1 {
			t.Fatalf("%s: %d conflicts are kept", name, len(texts))
		}
		for _, l := range []*log{first, bad} {
			checkpoint, err := l.Checkpoint(t.Context())
			if err != nil || !strings.Contains(texts[0], string(checkpoint)) {
				t.Errorf("%s: what is kept is not both heads: %v\n%s", name, err, texts[0])
			}
		}
		if last, _ := w.Last(origin); !bytes.Contains(last, []byte("\n500\n")) {
			t.Errorf("%s: the witness follows it", name)
		}
	}
	// Two heads of one size are a fork whoever brings them.
	dir := t.TempDir()
	first, fork := newLog(t, 1, numbered(500)...), newLog(t, 1, numbered(500, 499)...)
	w, _, _ := newWitness(t, dir, first)
	if _, err := w.Pull(t.Context(), first, origin); err != nil {
		t.Fatal(err)
	}
	checkpoint, err := fork.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Add(witness.FormatRequest(500, nil, checkpoint)); err == nil || len(conflicts(t, dir, "fork")) != 1 {
		t.Errorf("the fork is not kept: %v", err)
	}
}

// The statuses are those of C2SP tlog-witness.
func TestAddCheckpointOverHTTP(t *testing.T) {
	dir := t.TempDir()
	small, big, fork := newLog(t, 1, numbered(300)...), newLog(t, 1, numbered(700)...), newLog(t, 1, numbered(700, 3)...)
	w, key, _ := newWitness(t, dir, small)
	site := httptest.NewServer(w.Handler())
	defer site.Close()
	signed := func(l *log) []byte {
		c, err := l.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	extends := func(l *log, old int64) []evidence.Hash {
		path, err := evidence.NewReader(t.Context(), l, l.head).Extends(old)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	stranger := newLog(t, 2, numbered(700)...)
	unknown := evidence.TreeHead{Origin: "elsewhere.example", Size: 1}
	other, err := evidence.NewLogSigner(unknown.Origin, bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := unknown.Sign(other)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what   string
		body   []byte
		status int
		answer string
	}{
		{"the first", witness.FormatRequest(0, nil, signed(small)), 200, "— w.example "},
		{"the first again", witness.FormatRequest(300, nil, signed(small)), 200, "— w.example "},
		{"one that was not seen", witness.FormatRequest(200, nil, signed(big)), 409, "300\n"},
		{"an unproven one", witness.FormatRequest(300, nil, signed(big)), 422, "not proven"},
		{"a fork", witness.FormatRequest(300, extends(fork, 300), signed(fork)), 422, "not proven"},
		{"a bigger one", witness.FormatRequest(300, extends(big, 300), signed(big)), 200, "— w.example "},
		{"a rolled back one", witness.FormatRequest(300, nil, signed(small)), 409, "700\n"},
		{"an old size above", witness.FormatRequest(800, nil, signed(big)), 400, "above"},
		{"another's key", witness.FormatRequest(700, nil, signed(stranger)), 403, "signed by"},
		{"another log", witness.FormatRequest(0, nil, foreign), 404, "not known"},
		{"garbage", []byte("old x\n\n"), 400, "does not begin"},
		{"too much", bytes.Repeat([]byte("old 0\n"), 1<<16), 400, "too long"},
	} {
		answer := do(t, site, http.MethodPost, "/add-checkpoint", c.body)
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != c.status || !strings.Contains(string(text), c.answer) {
			t.Errorf("%s: %d %q, %v, want %d %q", c.what, answer.StatusCode, text, err, c.status, c.answer)
		}
		if c.status == 409 && answer.Header.Get("Content-Type") != "text/x.tlog.size" {
			t.Errorf("%s: a %s", c.what, answer.Header.Get("Content-Type"))
		}
	}
	if len(conflicts(t, dir, "unproven")) != 2 {
		t.Errorf("%d unproven heads are kept", len(conflicts(t, dir, "unproven")))
	}
	answer := do(t, site, http.MethodGet, "/checkpoint/"+origin, nil)
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || !bytes.HasPrefix(text, []byte("log.example\n700\n")) {
		t.Errorf("%q, %v", text, err)
	}
	// A client that knows nothing of what was cosigned finds out, and goes on from there.
	v, err := evidence.ParseWitnessKey(key.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	client := &witness.Client{URL: site.URL, Witness: v, Client: site.Client()}
	huge := newLog(t, 1, numbered(1500)...)
	if line, err := client.Submit(t.Context(), huge, huge.head, signed(huge)); err != nil || !strings.HasPrefix(string(line), "— w.example ") {
		t.Errorf("%q, %v", line, err)
	}
	if _, err := client.Submit(t.Context(), fork, fork.head, signed(fork)); err == nil {
		t.Error("the client is told that a fork is cosigned")
	}
}

// do asks a witness over HTTP.
func do(t testing.TB, site *httptest.Server, method, path string, body []byte) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, site.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := site.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func FuzzRequest(f *testing.F) {
	l := newLog(f, 1, "a")
	checkpoint, err := l.Checkpoint(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	w, _, _ := newWitness(f, f.TempDir(), l)
	f.Add(witness.FormatRequest(0, nil, checkpoint))
	f.Add(witness.FormatRequest(1, []evidence.Hash{{}}, checkpoint))
	f.Add([]byte("old 0\n\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if line, err := w.Add(body); err == nil && !bytes.Contains(body, []byte("log.example\n1\n")) {
			t.Errorf("%q is cosigned: %s", body, line)
		}
	})
}
