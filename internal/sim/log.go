package sim

import (
	"bytes"
	"container/heap"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tenu/internal/evidence"
	"tenu/internal/evidence/audit"
	"tenu/internal/purchase"
)

// The pace of a world's log, whose sequencers come when there is something to log. Each second, as in
// earnest, would cost more than all else in a world; while all comes to rest, which takes days, they come seldom.
const (
	logSoonest = 20 * time.Second
	logLatest  = 55 * time.Second
	logAgain   = 5 * time.Second // after a turn in which nobody could
	logCalm    = 4 * time.Hour
	logEarlier = 4                          // heads of before that an audit is given
	ages       = 100 * 365 * 24 * time.Hour // how late a leaf is, is known better here (E4)
)

// origin is the name of every world's log.
const origin = "sim.example/log"

// logbook is who reads a world's log from outside and forgets nothing: every head that was ever
// published, and every leaf, beside what became durable. It checks E1, E2 and E4 as the log grows,
// and lets the audit look for E3.
type logbook struct {
	w        *world
	base     Backing
	signer   *evidence.LogSigner
	verifier note.Verifier

	tree    evidence.Tree // of the leaves that were read
	hasher  evidence.Hasher
	heads   []evidence.TreeHead         // as they were published
	texts   [][]byte                    // of the heads, as they were signed
	waiting map[leafOf]purchase.Instant // changes that became durable, and whose leaf was not read yet
	landing []func()                    // growth under way when it was given up
	turns   uint64                      // of the sequencers, and calls of the store by them
	seq     int64                       // of its own events, whose order is not the world's
	coming  bool                        // a turn
	blocked purchase.Instant            // when nobody could write the log, last
	skewed  bool                        // a clock was wrong: the times of leaves prove nothing
}

// leafOf names a leaf.
type leafOf struct {
	id      purchase.ID
	version int64
}

func newLogbook(w *world, base Backing) (*logbook, error) {
	seed := sha256.Sum256([]byte("the simulation's log"))
	signer, err := evidence.NewLogSigner(origin, seed[:])
	if err != nil {
		return nil, err
	}
	verifier, err := signer.Verifier()
	if err != nil {
		return nil, err
	}
	return &logbook{w: w, base: base, signer: signer, verifier: verifier, waiting: map[leafOf]purchase.Instant{}}, nil
}

// ownEvents is behind the numbers of all others: what the log does changes nothing else in a world.
const ownEvents = 1 << 62

func (l *logbook) after(d time.Duration, do func()) {
	l.seq++
	heap.Push(&l.w.queue, event{l.w.now.Add(d), ownEvents + l.seq, do})
}

func (l *logbook) dice() *dice {
	l.turns++
	return roll(l.w.seed, 51, l.turns)
}

// begin lets the log be audited while things fail, in some worlds.
func (l *logbook) begin() {
	if d := l.dice(); d.chance(25) { // at their end, all worlds' are
		l.after(d.between(l.w.plan.span/4, l.w.plan.span), l.audit)
	}
}

// wrote notes that a change became durable.
func (l *logbook) wrote(c *purchase.Change) {
	l.waiting[leafOf{c.Now.ID, c.Now.Version}] = l.w.now
	if l.coming {
		return
	}
	d := l.dice().between(logSoonest, logLatest)
	if l.w.calm && l.w.plan.script == nil {
		d = logCalm
	}
	l.come(d)
}

// come lets the sequencers have a turn.
func (l *logbook) come(d time.Duration) {
	l.coming = true
	l.after(d, func() {
		l.coming = false
		if !l.turn() && !l.coming {
			l.blocked = l.w.now
			l.come(logAgain)
		}
	})
}

// turn lets each node's sequencer come, in the order of their names. It returns whether one that stands
// for all did all that it had to do.
func (l *logbook) turn() (done bool) {
	w := l.w
	for _, n := range w.nodes {
		if !n.up() {
			continue
		}
		done = n.sequence() || done
	}
	if w.failure != nil {
		return true
	}
	l.published()
	if queue, err := l.base.LogQueue(w.ctx, 1, 1); done && err == nil && len(queue) == 0 {
		for leaf := range l.waiting {
			l.lost(leaf)
			break
		}
	}
	return done
}

// lost names the first of the changes that have no leaf.
func (l *logbook) lost(one leafOf) {
	for leaf := range l.waiting {
		if leaf.id < one.id || leaf.id == one.id && leaf.version < one.version {
			one = leaf
		}
	}
	l.w.fail("E1", one.id, "version %d became durable without a leaf", one.version)
}

// published looks at the checkpoint that the store has.
func (l *logbook) published() {
	state, err := l.base.LogState(l.w.ctx)
	if err != nil {
		l.w.fail("store", 0, "read the log's state: %v", err)
		return
	}
	if state.Checkpoint != nil {
		l.see(state.Checkpoint)
	}
}

// see reads a checkpoint that somebody published, and all leaves that it adds.
func (l *logbook) see(checkpoint []byte) {
	head, err := evidence.ReadHead(checkpoint)
	if err != nil {
		l.w.fail("E2", 0, "a checkpoint that is none was published: %v", err)
		return
	}
	for i := len(l.heads) - 1; i >= 0 && l.heads[i].Size >= head.Size; i-- {
		if l.heads[i] == head {
			return
		}
	}
	if n := len(l.heads); n > 0 && head.Size <= l.heads[n-1].Size {
		l.w.fail("E2", 0, "a tree of %d leaves was published after one of %d", head.Size, l.heads[n-1].Size)
		return
	}
	if err := l.read(head.Size); err != nil {
		l.w.fail("E2", 0, "a tree of %d leaves was published, and cannot be read behind leaf %d: %v", head.Size, l.tree.Size(), err)
		return
	}
	if l.tree.Root() != head.Root {
		l.w.fail("E2", 0, "the tree of %d leaves that was published is not that of the leaves that were", head.Size)
	}
	l.heads, l.texts = append(l.heads, head), append(l.texts, checkpoint)
	l.w.note("logged", 0, fmt.Sprintf("%d leaves, %x", head.Size, head.Root[:6]))
}

// read takes in leaves up to a size.
func (l *logbook) read(size int64) error {
	for l.tree.Size() < size {
		n := l.tree.Size() / evidence.TileWidth
		rest, err := l.base.LogTile(l.w.ctx, evidence.Entries, n)
		if err != nil {
			return err
		}
		for at := n * evidence.TileWidth; at < min(size, (n+1)*evidence.TileWidth); at++ {
			var leaf []byte
			if leaf, rest, err = evidence.NextLeaf(rest); err != nil {
				return err
			}
			if at == l.tree.Size() {
				l.leaf(at, leaf)
			}
		}
	}
	return nil
}

// leaf checks that a leaf is of a change that became durable, and the first of it, and not late.
func (l *logbook) leaf(index int64, leaf []byte) {
	l.tree.Append(l.hasher.Leaf(leaf), nil)
	h, items, err := evidence.ParseHead(leaf)
	switch {
	case err != nil:
		l.w.fail("E1", 0, "leaf %d: %v", index, err)
		return
	case h.Kind != evidence.Purchase:
		return
	}
	of := leafOf{purchase.ID(h.ID), h.Version}
	since, waits := l.waiting[of]
	delete(l.waiting, of)
	switch {
	case !waits:
		l.w.fail("E1", of.id, "leaf %d is of version %d, which has one already, or never became durable", index, of.version)
	case of.version == 1 && !bytes.Contains(items, l.commitments(of.id)):
		l.w.fail("E3", of.id, "leaf %d does not commit to the purchase's numbers by its salt: %q", index, items)
	case l.w.now.Sub(since) > evidence.LateAfter && since > l.blocked && !l.w.calm:
		l.w.fail("E4", of.id, "version %d was durable for %s before its leaf was in the tree", of.version, l.w.now.Sub(since))
	}
}

// commitments is the line that only the purchase's salt makes of its numbers.
func (l *logbook) commitments(id purchase.ID) []byte {
	p := &l.w.book.records[id].Purchase
	line := []byte{'\n', evidence.ItemCommit}
	for i, number := range []purchase.MSISDN{p.PayerNumber, p.Recipient} {
		if i == 0 || number != p.PayerNumber {
			sum := sha256.Sum256(strconv.AppendInt(p.Salt[:], int64(number), 10))
			line = base64.RawStdEncoding.AppendEncode(append(line, ' '), sum[:])
		}
	}
	return append(line, '\n')
}

// purchaseAt finds whose a finding is.
var purchaseAt = regexp.MustCompile(`\bpurchase (\d+)`)

// audit recomputes the log, every figure and every row, as tenu audit does (E3).
func (l *logbook) audit() {
	w := l.w
	if len(l.heads) == 0 {
		return
	}
	earlier := l.texts
	if len(earlier) > logEarlier {
		first := len(earlier) - logEarlier/2
		earlier = append(append([][]byte{}, earlier[:logEarlier/2]...), earlier[first:]...)
	}
	r, err := audit.Run(w.ctx, audit.Config{Policy: evidence.Policy{Log: l.verifier}, Database: l.base, Earlier: earlier,
		LateAfter: ages})
	if err != nil {
		w.fail("store", 0, "%v", err)
		return
	}
	for _, f := range r.Findings {
		if f.What == audit.WrongTime && l.skewed {
			continue
		}
		var id int64
		if found := purchaseAt.FindStringSubmatch(f.Place); found != nil {
			id, _ = strconv.ParseInt(found[1], 10, 64)
		}
		w.fail("E3", purchase.ID(id), "the audit finds %s", f)
	}
}

// atRest logs what is left, and checks all of it.
func (l *logbook) atRest() {
	w := l.w
	l.land()
	last, err := evidence.NewSequencer(evidence.SequencerConfig{Store: l.base, Signer: l.signer, Log: w.nodes[0].log()})
	if err != nil {
		w.fail("start", 0, "a sequencer: %v", err)
		return
	}
	for {
		next, err := last.Step(w.ctx, w.now)
		if err != nil {
			w.fail("store", 0, "log what is left: %v", err)
			return
		}
		if next > w.now {
			break
		}
	}
	l.published()
	for leaf := range l.waiting {
		l.lost(leaf)
		break
	}
	if w.failure == nil {
		l.audit()
	}
}

// land lets growth take effect that was under way when it was given up: after others have read what was before it.
func (l *logbook) land() {
	for len(l.landing) > 0 {
		do := l.landing[0]
		l.landing = l.landing[1:]
		do()
	}
}

// sequence is one turn of a node's sequencer. It returns whether it stands for all and did all that it had to do.
func (n *node) sequence() (done bool) {
	w := n.w
	s := &sequenced{n: n, Store: w.log.base}
	if n.sequencer == nil {
		var err error
		n.sequencer, err = evidence.NewSequencer(evidence.SequencerConfig{Store: s, Signer: w.log.signer, Log: n.log(),
			Standing: func(ctx context.Context) (bool, error) {
				if err := n.forLog.get(); err != nil {
					return false, err
				}
				oldest, _, err := w.log.base.Standing(ctx, n.epoch)
				n.forLog.stands = oldest
				return oldest, err
			},
			Publish: func(_ context.Context, _ evidence.TreeHead, checkpoint []byte) error {
				if !n.forLog.died {
					w.log.see(checkpoint)
				}
				return nil
			}})
		if err != nil {
			w.fail("start", 0, "node %s: %v", n.name, err)
			return false
		}
		n.forLog = s
	}
	n.forLog.stands, n.forLog.died = false, false
	for {
		now := clock{n}.Now()
		next, err := n.sequencer.Step(w.ctx, now)
		if n.forLog.died {
			n.sequencer = nil
			return false
		}
		if err != nil || next > now {
			return err == nil && n.forLog.stands
		}
	}
}

// sequenced is the log as one node's sequencer sees it: it fails as the node's store does, and the
// sequencer may end before or after any write.
type sequenced struct {
	evidence.Store
	n            *node
	stands, died bool
}

// meets reports whether a fault meets this call.
func (s *sequenced) meets(fault Fault, percent int) bool {
	w := s.n.w
	if w.calm || w.plan.without.has(fault) {
		return false
	}
	until := w.store.bad[fault]
	if fault == CutOff {
		until = s.n.cutOff
	}
	if w.now >= until {
		percent = 0
		if fault == CommitLost || fault == CommitUnheard || fault == CommitLanding || fault == CrashInLog {
			percent = 2
		}
	}
	if percent == 0 || percent < 100 && !w.log.dice().chance(percent) {
		return false
	}
	if fault == CrashInLog {
		w.tally.Hits[fault]++
	}
	return true
}

func (s *sequenced) get() error {
	if s.died || s.meets(StoreUnavailable, 100) || s.meets(CutOff, 100) || s.meets(ReadFailed, 60) {
		return errNoStore
	}
	return nil
}

// put does one write, or a part of what is to be done.
func (s *sequenced) put(do func() error) error {
	s.n.w.log.land()
	unknown := fmt.Errorf("%w: connection lost", purchase.ErrCommitUnknown)
	switch {
	case s.died:
		return errEnded
	case s.meets(StoreUnavailable, 100), s.meets(CutOff, 100):
		return errNoStore
	case s.meets(CrashInLog, 2):
		if s.died = true; s.n.w.log.dice().chance(50) {
			_ = do() // nobody hears of it
		}
		return errEnded
	case s.meets(CommitLost, 40):
		return unknown
	case s.meets(CommitUnheard, 40):
		if err := do(); err != nil {
			return err
		}
		return unknown
	case s.meets(CommitLanding, 40):
		s.n.w.log.landing = append(s.n.w.log.landing, func() { _ = do() }) // nobody hears of it
		return unknown
	}
	return do()
}

// LogState is evidence.Store, as what follows.
func (s *sequenced) LogState(ctx context.Context) (evidence.State, error) {
	if err := s.get(); err != nil {
		return evidence.State{}, err
	}
	return s.Store.LogState(ctx)
}

// LogQueue reads what waits.
func (s *sequenced) LogQueue(ctx context.Context, most, bytes int) ([]evidence.Batch, error) {
	if err := s.get(); err != nil {
		return nil, err
	}
	return s.Store.LogQueue(ctx, most, bytes)
}

// LogTile reads a tile.
func (s *sequenced) LogTile(ctx context.Context, level int, n int64) ([]byte, error) {
	if err := s.get(); err != nil {
		return nil, err
	}
	return s.Store.LogTile(ctx, level, n)
}

// GrowLog writes a step.
func (s *sequenced) GrowLog(ctx context.Context, g evidence.Growth) error {
	return s.put(func() error { return s.Store.GrowLog(ctx, g) })
}

// PutCheckpoint writes a checkpoint.
func (s *sequenced) PutCheckpoint(ctx context.Context, size int64, checkpoint []byte) error {
	return s.put(func() error { return s.Store.PutCheckpoint(ctx, size, checkpoint) })
}
