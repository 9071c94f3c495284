package evidence_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"tenu/internal/evidence"
	"tenu/internal/evidence/witness"
	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/storetest"
)

const origin = "log.example/tenu"

func open(t testing.TB) *store.Store {
	t.Helper()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "tenu.db")
	if _, _, err := store.Migrate(t.Context(), dsn, store.Options{}); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), dsn, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func signer(t testing.TB, fill byte) *evidence.LogSigner {
	t.Helper()
	s, err := evidence.NewLogSigner(origin, bytes.Repeat([]byte{fill}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func policy(t testing.TB) evidence.Policy {
	t.Helper()
	v, err := signer(t, 1).Verifier()
	if err != nil {
		t.Fatal(err)
	}
	return evidence.Policy{Log: v}
}

func sequencer(t testing.TB, s evidence.Store, more func(*evidence.SequencerConfig)) *evidence.Sequencer {
	t.Helper()
	cfg := evidence.SequencerConfig{Store: s, Signer: signer(t, 1), Log: slog.New(slog.DiscardHandler)}
	if more != nil {
		more(&cfg)
	}
	q, err := evidence.NewSequencer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// leaves reads a whole log, and checks that it hashes to the checkpoint's root.
func leaves(t testing.TB, from evidence.Source) (all [][]byte, head evidence.TreeHead) {
	t.Helper()
	checkpoint, err := from.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	head, _, err = evidence.OpenCheckpoint(checkpoint, policy(t).Log)
	if err != nil {
		t.Fatal(err)
	}
	tree := &evidence.Tree{}
	for n := int64(0); n*256 < head.Size; n++ {
		rest, err := from.Tile(t.Context(), evidence.Entries, n, min(int(head.Size-n*256), 256))
		if err != nil {
			t.Fatal(err)
		}
		for len(rest) > 0 && tree.Size() < head.Size {
			var leaf []byte
			if leaf, rest, err = evidence.NextLeaf(rest); err != nil {
				t.Fatal(err)
			}
			all = append(all, leaf)
			tree.Append(tlog.RecordHash(leaf), nil)
		}
	}
	if tree.Size() != head.Size || tree.Root() != head.Root {
		t.Fatalf("%d leaves of %d, root %v, not %v", tree.Size(), head.Size, tree.Root(), head.Root)
	}
	return all, head
}

// Every change of everything has its leaf, in order, once; no leaf tells a number or what a
// person wrote; and the files are the log that the database has.
func TestEveryChangeHasItsLeaf(t *testing.T) {
	s := open(t)
	day := storetest.NewDay(t, s)
	dir := t.TempDir()
	publisher := &evidence.Publisher{Dir: dir, From: evidence.FromStore{Store: s}}
	q := sequencer(t, s, func(c *evidence.SequencerConfig) { c.Publish = publisher.Publish })
	var sold []purchase.Purchase
	for range 5 {
		sold = append(sold, day.Sell(130)...)
		day.Care(sold[len(sold)-1])
		if _, err := q.Step(t.Context(), day.Now()); err != nil {
			t.Fatal(err)
		}
		day.Wait(2 * time.Second)
	}
	all, head := leaves(t, evidence.FromStore{Store: s})
	files, same := leaves(t, evidence.Dir(dir))
	if head != same || !slices.EqualFunc(all, files, bytes.Equal) {
		t.Error("the files are another log than the database")
	}
	site := httptest.NewServer(evidence.Handler(evidence.FromStore{Store: s}))
	defer site.Close()
	served, same := leaves(t, evidence.Open(site.URL+"/", site.Client()))
	if head != same || !slices.EqualFunc(all, served, bytes.Equal) {
		t.Error("the site is another log than the database")
	}
	versions, kinds := map[purchase.ID]int64{}, map[evidence.Kind]int{}
	for i, leaf := range all {
		h, _, err := evidence.ParseHead(leaf)
		if err != nil {
			t.Fatalf("leaf %d: %v", i, err)
		}
		kinds[h.Kind]++
		if h.Kind == evidence.Purchase {
			if versions[purchase.ID(h.ID)]++; versions[purchase.ID(h.ID)] != h.Version {
				t.Fatalf("leaf %d: version %d of purchase %d, want %d", i, h.Version, h.ID, versions[purchase.ID(h.ID)])
			}
		}
		if strings.Contains(string(leaf), "226") && strings.Contains(string(leaf), "2267000") || strings.Contains(string(leaf), "words") {
			t.Fatalf("leaf %d tells too much: %q", i, leaf)
		}
	}
	for i := range sold {
		if versions[sold[i].ID] != sold[i].Version {
			t.Errorf("purchase %d has %d leaves, and version %d", sold[i].ID, versions[sold[i].ID], sold[i].Version)
		}
	}
	for kind, want := range map[evidence.Kind]int{evidence.Case: 10, evidence.Request: 10, evidence.Callback: 15, evidence.Incident: 10, evidence.Pause: 10, evidence.Seal: 5} {
		if kinds[kind] != want {
			t.Errorf("%d leaves of kind %v, not %d", kinds[kind], kind, want)
		}
	}
}

// failing fails the call of a number, before or after it was carried out.
type failing struct {
	evidence.Store
	calls, at int
	after     bool
}

var errPower = errors.New("the power is gone")

func (f *failing) call(do func() error) error {
	f.calls++
	if f.calls != f.at {
		return do()
	}
	if f.after {
		if err := do(); err != nil {
			return err
		}
	}
	return errPower
}

func (f *failing) GrowLog(ctx context.Context, g evidence.Growth) error {
	return f.call(func() error { return f.Store.GrowLog(ctx, g) })
}

func (f *failing) PutCheckpoint(ctx context.Context, size int64, c []byte) error {
	return f.call(func() error { return f.Store.PutCheckpoint(ctx, size, c) })
}

// Wherever the sequencer dies, the one after it makes the same tree of the same leaves, every
// checkpoint that was signed is one of that tree, and the directory is whole.
func TestSequencerDiesAnywhere(t *testing.T) {
	run := func(at int, after bool) (evidence.TreeHead, int) {
		s := open(t)
		day := storetest.NewDay(t, s)
		f := &failing{Store: s, at: at, after: after}
		dir := t.TempDir()
		publisher := &evidence.Publisher{Dir: dir, From: evidence.FromStore{Store: s}}
		publish := func(ctx context.Context, head evidence.TreeHead, c []byte) error {
			return f.call(func() error { return publisher.Publish(ctx, head, c) })
		}
		q := sequencer(t, f, func(c *evidence.SequencerConfig) { c.Publish = publish })
		var heads []evidence.TreeHead
		for range 4 {
			day.Sell(100)
			for {
				_, err := q.Step(t.Context(), day.Now())
				if c, missing := (evidence.FromStore{Store: s}).Checkpoint(t.Context()); missing == nil {
					head, err := evidence.ReadHead(c)
					if err != nil {
						t.Fatal(err)
					}
					heads = append(heads, head)
				}
				if err == nil {
					break
				}
				if !errors.Is(err, errPower) {
					t.Fatal(err)
				}
				q = sequencer(t, f, func(c *evidence.SequencerConfig) { c.Publish = publish })
			}
			day.Wait(time.Second)
		}
		all, head := leaves(t, evidence.FromStore{Store: s})
		for _, h := range heads {
			tree := &evidence.Tree{}
			for _, leaf := range all[:h.Size] {
				tree.Append(tlog.RecordHash(leaf), nil)
			}
			if tree.Root() != h.Root {
				t.Errorf("failed at %d: a checkpoint of %d leaves was signed of another tree", at, h.Size)
			}
		}
		if err := publisher.Publish(t.Context(), head, checkpointOf(t, s)); err != nil {
			t.Fatal(err)
		}
		if _, same := leaves(t, evidence.Dir(dir)); same != head {
			t.Errorf("failed at %d: the files have %d leaves, the database %d", at, same.Size, head.Size)
		}
		return head, f.calls
	}
	want, calls := run(0, false)
	if calls != 12 {
		t.Fatalf("%d calls can fail", calls)
	}
	for at := 1; at <= calls; at++ {
		for _, after := range []bool{false, true} {
			if got, _ := run(at, after); got != want {
				t.Errorf("failed at %d, %v: the tree of %d leaves has the root %v, not %v of %d", at, after, got.Size, got.Root, want.Root, want.Size)
			}
		}
	}
}

func checkpointOf(t testing.TB, s evidence.Store) []byte {
	t.Helper()
	c, err := (evidence.FromStore{Store: s}).Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Two sequencers that both believe to be the one make one tree.
func TestTwoSequencersMakeOneTree(t *testing.T) {
	s := open(t)
	day := storetest.NewDay(t, s)
	all := []*evidence.Sequencer{sequencer(t, s, nil), sequencer(t, s, nil)}
	sold := 0
	for i := range 10 {
		sold += len(day.Sell(60))
		done := make(chan error, 2)
		for _, q := range all {
			go func() {
				_, err := q.Step(t.Context(), day.Now())
				done <- err
			}()
		}
		for range all {
			if err := <-done; err != nil && !errors.Is(err, evidence.ErrMoved) {
				t.Fatalf("step %d: %v", i, err)
			}
		}
		day.Wait(time.Second)
	}
	if _, err := all[0].Step(t.Context(), day.Now()); err != nil {
		t.Fatal(err)
	}
	made, _ := leaves(t, evidence.FromStore{Store: s})
	first := 0
	for _, leaf := range made {
		if h, _, err := evidence.ParseHead(leaf); err == nil && h.Kind == evidence.Purchase && h.Version == 1 {
			first++
		}
	}
	if first != sold {
		t.Errorf("%d purchases have a first leaf, %d were sold", first, sold)
	}
}

// A proof holds for its leaf, its log and its witnesses, and for nothing else.
func TestProofs(t *testing.T) {
	s := open(t)
	day := storetest.NewDay(t, s)
	w, key := newWitness(t, t.TempDir(), day)
	site := httptest.NewServer(w.Handler())
	defer site.Close()
	verifier, err := evidence.ParseWitnessKey(key.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	q := sequencer(t, s, func(c *evidence.SequencerConfig) {
		c.Witnesses = []evidence.Witness{&witness.Client{URL: site.URL, Witness: verifier, Client: site.Client()}}
	})
	for range 3 {
		day.Sell(200)
		if _, err := q.Step(t.Context(), day.Now()); err != nil {
			t.Fatal(err)
		}
		day.Wait(time.Second)
	}
	all, head := leaves(t, evidence.FromStore{Store: s})
	checkpoint := checkpointOf(t, s)
	trusted := policy(t)
	trusted.Witnesses, trusted.Quorum = append(trusted.Witnesses, verifier), 1
	reader := evidence.NewReader(t.Context(), evidence.FromStore{Store: s}, head)
	for index := int64(0); index < head.Size; index += 37 {
		leaf, err := reader.Leaf(index)
		if err != nil || !bytes.Equal(leaf, all[index]) {
			t.Fatalf("leaf %d is read as %q: %v", index, leaf, err)
		}
		path, err := reader.Prove(index)
		if err != nil {
			t.Fatal(err)
		}
		p := evidence.Proof{Leaf: leaf, Index: index, Path: path, Checkpoint: checkpoint}
		read, err := evidence.ParseProof(p.Text())
		if err != nil {
			t.Fatal(err)
		}
		if _, by, err := read.Verify(trusted); err != nil || len(by) != 1 {
			t.Fatalf("leaf %d: %v, cosigned by %d", index, err, len(by))
		}
		for what, spoil := range map[string]func(*evidence.Proof){
			"another leaf":     func(p *evidence.Proof) { p.Leaf = all[(index+1)%head.Size] },
			"a flipped bit":    func(p *evidence.Proof) { p.Leaf = slices.Clone(p.Leaf); p.Leaf[3] ^= 1 },
			"another place":    func(p *evidence.Proof) { p.Index++ },
			"a shorter path":   func(p *evidence.Proof) { p.Path = p.Path[1:] },
			"no cosignature":   func(p *evidence.Proof) { p.Checkpoint = p.Checkpoint[:bytes.LastIndex(p.Checkpoint, []byte("— "))] },
			"a cut checkpoint": func(p *evidence.Proof) { p.Checkpoint = p.Checkpoint[:20] },
		} {
			bad := read
			if spoil(&bad); true {
				if _, _, err := bad.Verify(trusted); err == nil {
					t.Errorf("leaf %d: %s proves it too", index, what)
				}
			}
		}
	}
	other, err := signer(t, 2).Verifier()
	if err != nil {
		t.Fatal(err)
	}
	path, err := reader.Prove(0)
	if err != nil {
		t.Fatal(err)
	}
	p := evidence.Proof{Leaf: all[0], Path: path, Checkpoint: checkpoint}
	if _, _, err := p.Verify(evidence.Policy{Log: other}); err == nil {
		t.Error("a proof of another log holds")
	}
}

func newWitness(t testing.TB, dir string, clock interface{ Now() purchase.Instant }) (*witness.Witness, *evidence.Cosigner) {
	t.Helper()
	key, err := evidence.NewCosigner("witness.example", bytes.NewReader(bytes.Repeat([]byte{5}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	again, err := evidence.ParseCosigner(key.Secret())
	if err != nil || again.VerifierKey() != key.VerifierKey() {
		t.Fatalf("the key is read as another: %v", err)
	}
	if _, err := witness.New(witness.Config{Dir: dir, Key: again, Logs: nil, Clock: clock}); err == nil {
		t.Fatal("a witness of no log is made")
	}
	cfg := witness.Config{Dir: dir, Key: again, Clock: clock}
	cfg.Logs = append(cfg.Logs, policy(t).Log)
	w, err := witness.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w, key
}

// fickle is a witness that cosigns when it likes to.
type fickle struct {
	key     *evidence.Cosigner
	refuses bool
}

func (w *fickle) Submit(_ context.Context, _ evidence.Source, _ evidence.TreeHead, checkpoint []byte) ([]byte, error) {
	if w.refuses {
		return nil, errors.New("not now")
	}
	return w.key.Cosign(checkpoint, 1_800_000_000_000_000)
}

// What is to be watched: promises that were logged too late, each of them a breach, how old the head is, and since
// when a witness lacks it.
func TestSequencerFigures(t *testing.T) {
	s := open(t)
	key, err := evidence.NewCosigner("w.example", bytes.NewReader(bytes.Repeat([]byte{9}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	w, mine := &fickle{key: key}, true
	q := sequencer(t, s, func(c *evidence.SequencerConfig) {
		c.Witnesses = []evidence.Witness{w}
		c.Standing = func(context.Context) (bool, error) { return mine, nil }
	})
	day := storetest.NewDay(t, s)
	step := func() evidence.Figures {
		t.Helper()
		if _, err := q.Step(t.Context(), day.Now()); err != nil {
			t.Fatal(err)
		}
		return q.Figures()
	}
	day.Sell(12)
	if f := step(); f.Late != 0 || f.Signed != day.Now() || len(f.Behind) != 1 || f.Behind[0] != 0 {
		t.Errorf("in time the figures are %+v", f)
	}
	sold := day.Sell(12)
	changes := int64(0)
	for i := range sold {
		changes += sold[i].Version
	}
	day.Wait(evidence.LateAfter + time.Second)
	w.refuses = true
	f := step()
	since := day.Now()
	if f.Late != changes || f.Behind[0] != since {
		t.Errorf("of %d changes %d are late; the witness is behind since %s, not %s", changes, f.Late, f.Behind[0], since)
	}
	day.Wait(evidence.Heartbeat) // nothing happens, and yet the head is renewed
	if f := step(); f.Signed != day.Now() || f.Behind[0] != since || f.Late != changes {
		t.Errorf("after a heartbeat the figures are %+v", f)
	}
	w.refuses = false
	day.Wait(evidence.Heartbeat)
	if f := step(); f.Behind[0] != 0 {
		t.Errorf("the witness is behind since %s", f.Behind[0])
	}
	if mine = false; step().Signed != 0 {
		t.Error("a node that does not sign says when it signed")
	}
}
