// Package witness is the regulator's: it sees every checkpoint of a log, checks that
// each extends the last one, cosigns it, and keeps what proves a fork. It speaks
// C2SP tlog-witness and knows neither store nor engine.
package witness

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"

	"tenu/internal/evidence"
	"tenu/internal/purchase"
)

// Config is what a witness is made of.
type Config struct {
	// Dir is its store: a directory of its own, which must exist.
	Dir   string
	Key   *evidence.Cosigner
	Logs  []note.Verifier // by their origin
	Clock interface{ Now() purchase.Instant }
	Log   *slog.Logger
}

// Witness cosigns. It is safe for concurrent use; only one process uses a directory at a time.
type Witness struct {
	cfg  Config
	mu   sync.Mutex
	logs map[string]*seen
}

// seen is the last that was cosigned of a log.
type seen struct {
	verifier   note.Verifier
	dir        string
	checkpoint []byte // cosigned; nil before the first
	head       evidence.TreeHead
	evidence   int // files of conflicts
}

// mostEvidence bounds the conflicts that are kept of a log.
const mostEvidence = 1000

const (
	checkpointFile = "checkpoint"
	newFile        = ".new-" // begins the name of a file that is being written
)

// New opens a witness's store.
func New(cfg Config) (*Witness, error) {
	if cfg.Key == nil || cfg.Dir == "" || cfg.Clock == nil || len(cfg.Logs) == 0 {
		return nil, errors.New("witness: a key, a directory, a clock and a log are needed")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	w := &Witness{cfg: cfg, logs: map[string]*seen{}}
	for _, v := range cfg.Logs {
		sum := sha256.Sum256([]byte(v.Name()))
		s := &seen{verifier: v, dir: filepath.Join(cfg.Dir, hex.EncodeToString(sum[:8]))}
		if err := s.load(); err != nil {
			return nil, fmt.Errorf("witness: read what was seen of %s: %w", v.Name(), err)
		}
		w.logs[v.Name()] = s
	}
	return w, nil
}

// load reads what was seen before.
func (s *seen) load() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		switch {
		case strings.HasPrefix(f.Name(), "conflict-"):
			s.evidence++
		case strings.HasPrefix(f.Name(), newFile): // a process was killed while it wrote: nobody was answered
			if err := os.Remove(filepath.Join(s.dir, f.Name())); err != nil {
				return err
			}
		}
	}
	data, err := os.ReadFile(filepath.Join(s.dir, checkpointFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// One that cannot be read must not be taken for none: the next tree would go unchecked.
	s.head, _, err = evidence.OpenCheckpoint(data, s.verifier)
	s.checkpoint = data
	return err
}

// Refusal is why a checkpoint is not cosigned, by the status that C2SP gives it.
type Refusal struct {
	Status int
	Size   int64 // that was cosigned last, for a stale one
	Why    string
}

// Error is the refusal in words.
func (r *Refusal) Error() string { return r.Why }

// The statuses of tlog-witness.
const (
	statusBad        = 400
	statusForbidden  = 403
	statusUnknown    = 404
	statusConflict   = 409
	statusUnproven   = 422
	conflictFork     = "fork"
	conflictRollback = "rollback"
	conflictUnproven = "unproven"
)

// Add takes a request of add-checkpoint, and returns the cosignature line. Errors are a
// *Refusal, or of the witness's own store.
func (w *Witness) Add(request []byte) ([]byte, error) {
	old, path, checkpoint, err := parseRequest(request)
	if err != nil {
		return nil, &Refusal{Status: statusBad, Why: err.Error()}
	}
	claimed, err := evidence.ReadHead(checkpoint)
	if err != nil {
		return nil, &Refusal{Status: statusBad, Why: err.Error()}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.logs[claimed.Origin]
	if s == nil {
		return nil, &Refusal{Status: statusUnknown, Why: fmt.Sprintf("the log %.100q is not known here", claimed.Origin)}
	}
	head, _, err := evidence.OpenCheckpoint(checkpoint, s.verifier)
	if err != nil {
		return nil, &Refusal{Status: statusForbidden, Why: err.Error()}
	}
	switch {
	case old > head.Size:
		return nil, &Refusal{Status: statusBad, Why: "the old size is above the checkpoint's"}
	case s.checkpoint != nil && head.Size == s.head.Size && head.Root != s.head.Root:
		return nil, w.conflict(s, checkpoint, conflictFork, &Refusal{statusConflict, s.head.Size,
			fmt.Sprintf("fork: two trees of %d leaves are signed by %s", head.Size, head.Origin)})
	case old != s.head.Size:
		return nil, &Refusal{statusConflict, s.head.Size, fmt.Sprintf("the last checkpoint cosigned here has %d leaves", s.head.Size)}
	}
	if err := evidence.CheckExtends(path, s.head, head); err != nil {
		return nil, w.conflict(s, checkpoint, conflictUnproven, &Refusal{statusUnproven, s.head.Size,
			fmt.Sprintf("it is not proven that the tree of %d leaves begins with the one of %d: %v", head.Size, s.head.Size, err)})
	}
	return w.cosign(s, head, checkpoint)
}

// Pull reads a log's checkpoint where it is published, and cosigns it. The proof is computed of the
// log's own tiles, which are checked against the new root: what does not fit is a fork.
func (w *Witness) Pull(ctx context.Context, from evidence.Source, origin string) ([]byte, error) {
	w.mu.Lock()
	s := w.logs[origin]
	var last evidence.TreeHead
	var before bool
	if s != nil {
		last, before = s.head, s.checkpoint != nil
	}
	w.mu.Unlock()
	if s == nil {
		return nil, &Refusal{Status: statusUnknown, Why: fmt.Sprintf("the log %.100q is not known here", origin)}
	}
	checkpoint, err := from.Checkpoint(ctx)
	if err != nil {
		return nil, fmt.Errorf("witness: read a checkpoint: %w", err)
	}
	head, _, err := evidence.OpenCheckpoint(checkpoint, s.verifier)
	if err != nil {
		return nil, &Refusal{Status: statusForbidden, Why: err.Error()}
	}
	var path []evidence.Hash
	switch {
	case before && head.Size < last.Size:
		w.mu.Lock()
		defer w.mu.Unlock()
		return nil, w.conflict(s, checkpoint, conflictRollback, &Refusal{statusConflict, last.Size,
			fmt.Sprintf("rollback: a tree of %d leaves is published after one of %d", head.Size, last.Size)})
	case before && head.Size > last.Size:
		if path, err = evidence.NewReader(ctx, from, head).Extends(last.Size); err != nil {
			return nil, fmt.Errorf("witness: %w", err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.head != last {
		return nil, &Refusal{statusConflict, s.head.Size, "another checkpoint was cosigned meanwhile"}
	}
	if err := evidence.CheckExtends(path, last, head); before && err != nil {
		return nil, w.conflict(s, checkpoint, conflictFork, &Refusal{statusConflict, last.Size,
			fmt.Sprintf("fork: the tree of %d leaves does not begin with the one of %d: %v", head.Size, last.Size, err)})
	}
	return w.cosign(s, head, checkpoint)
}

// cosign keeps a checkpoint, durably, and then signs it off.
func (w *Witness) cosign(s *seen, head evidence.TreeHead, checkpoint []byte) ([]byte, error) {
	line, err := w.cfg.Key.Cosign(checkpoint, w.cfg.Clock.Now())
	if err != nil {
		return nil, err
	}
	cosigned := evidence.AddSignatures(checkpoint, line)
	if err := Replace(s.dir, checkpointFile, cosigned); err != nil {
		return nil, fmt.Errorf("witness: keep a checkpoint: %w", err)
	}
	s.checkpoint, s.head = cosigned, head
	return line, nil
}

// conflict keeps two signed heads that do not fit, and returns the refusal.
func (w *Witness) conflict(s *seen, checkpoint []byte, kind string, why *Refusal) error {
	sum := sha256.Sum256(append(slices.Clone(s.checkpoint), checkpoint...))
	name := fmt.Sprintf("conflict-%s-%d-%s.txt", kind, s.head.Size, hex.EncodeToString(sum[:6]))
	w.cfg.Log.Error("a log's checkpoint is refused", slog.String("origin", s.head.Origin), slog.String("kind", kind), slog.String("why", why.Why))
	if _, err := os.Stat(filepath.Join(s.dir, name)); err == nil || s.evidence >= mostEvidence {
		return why
	}
	text := fmt.Sprintf("%s\nrefused at %s\n\nseen before:\n\n%s\nrefused:\n\n%s", why.Why, w.cfg.Clock.Now(), s.checkpoint, checkpoint)
	if err := Replace(s.dir, name, []byte(text)); err != nil {
		return errors.Join(why, fmt.Errorf("witness: keep a conflict: %w", err))
	}
	s.evidence++
	return why
}

// Last is the checkpoint of a log that was cosigned last, with the cosignature.
func (w *Witness) Last(origin string) ([]byte, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.logs[origin]
	if s == nil || s.checkpoint == nil {
		return nil, false
	}
	return s.checkpoint, true
}

// Replace writes a file whole or not at all, and durably.
func Replace(dir, name string, data []byte) (err error) {
	f, err := os.CreateTemp(dir, newFile)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // it is of no use
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync())
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	d, err := os.Open(dir) //nolint:gosec // the witness's own
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// MaxRequest bounds a request of add-checkpoint.
const MaxRequest = evidence.MaxCheckpoint + 64*64

// parseRequest reads the body of add-checkpoint.
func parseRequest(body []byte) (old int64, path []evidence.Hash, checkpoint []byte, err error) {
	head, checkpoint, found := bytes.Cut(body, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	size, is := strings.CutPrefix(lines[0], "old ")
	old, ok := evidence.Int([]byte(size))
	switch {
	case len(body) > MaxRequest, !found, !is, !ok, old < 0:
		return 0, nil, nil, errors.New("the request does not begin with an old size, a proof and a checkpoint")
	case len(lines) > 1+63:
		return 0, nil, nil, errors.New("the proof has more than 63 lines")
	}
	for _, line := range lines[1:] {
		hash, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(hash) != evidence.HashSize {
			return 0, nil, nil, fmt.Errorf("a line of the proof is %.60q", line)
		}
		path = append(path, evidence.Hash(hash))
	}
	return old, path, checkpoint, nil
}

// FormatRequest writes the body of add-checkpoint.
func FormatRequest(old int64, path []evidence.Hash, checkpoint []byte) []byte {
	b := fmt.Appendf(nil, "old %d\n", old)
	for i := range path {
		b = append(base64.StdEncoding.AppendEncode(b, path[i][:]), '\n')
	}
	return append(append(b, '\n'), checkpoint...)
}
