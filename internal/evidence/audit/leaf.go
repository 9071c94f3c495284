package audit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"

	"tenu/internal/evidence"
	"tenu/internal/purchase"
)

// thing is what is known of a purchase, a case and so on. What the log says is added, and what the
// database says is taken away again: nothing must be left.
type thing struct {
	sum, state, commit      uint64
	at                      purchase.Instant // of the last leaf
	version, first          int32
	word                    uint8 // its state
	old, seen, salted, flaw bool  // old: made before the log began
}

// shelf holds things, for calls at once.
type shelf [64]struct {
	mu     sync.Mutex
	things map[uint64]*thing
	room   []thing // for those to come: a piece of memory for many
}

// clear empties it, for about so many.
func (s *shelf) clear(count int) {
	for i := range s {
		s[i].things, s[i].room = make(map[uint64]*thing, count/len(s)), nil
	}
}

// at calls do with a thing, which is made where add says so, and reports whether it is there.
func (s *shelf) at(key uint64, add bool, do func(*thing)) bool {
	part := &s[key*0x9e3779b97f4a7c15>>58]
	part.mu.Lock()
	defer part.mu.Unlock()
	t := part.things[key]
	if t == nil {
		if !add {
			return false
		}
		if len(part.room) == 0 {
			part.room = make([]thing, 256)
		}
		t, part.room = &part.room[0], part.room[1:]
		part.things[key] = t
	}
	do(t)
	return true
}

// name identifies a thing among all kinds. IDs have at most 45 bits.
func name(kind evidence.Kind, id int64) uint64 { return uint64(id)&(1<<56-1) | uint64(kind)<<56 } //nolint:gosec // see above

func nameOf(key uint64) string {
	return fmt.Sprintf("%s %d", evidence.Kind(key>>56), key&(1<<56-1))
}

// mine reports whether a thing is looked at in this pass.
func (a *auditor) mine(key uint64) bool {
	return a.passes == 1 || int(key*0x9e3779b97f4a7c15>>40)%a.passes == a.pass
}

// hash is a line's, with the change that it is of. Whoever alters things cannot know the seed.
func (a *auditor) hash(key uint64, version int64, at purchase.Instant, line []byte) uint64 {
	var room [256]byte
	b := binary.LittleEndian.AppendUint64(room[:0], key)
	b = binary.LittleEndian.AppendUint64(b, uint64(version)) //nolint:gosec // the bits are kept
	b = binary.LittleEndian.AppendUint64(b, uint64(at))      //nolint:gosec // the bits are kept
	return maphash.Bytes(a.seed, append(b, line...))
}

// sealing is what is known of the seals.
type sealing struct {
	last   int64
	at     purchase.Instant
	leaves int64 // since
}

// pending is a leaf that no seal follows yet.
type pending struct {
	index   int64
	key     uint64
	version int64
	at      purchase.Instant
}

func (p *pending) place() string {
	return fmt.Sprintf("leaf %d, %s version %d", p.index, nameOf(p.key), p.version)
}

func place(index int64, h *evidence.Head) string {
	what := nameOf(name(h.Kind, h.ID))
	if index < 0 {
		return fmt.Sprintf("%s version %d, waiting", what, h.Version)
	}
	return fmt.Sprintf("leaf %d, %s version %d", index, what, h.Version)
}

// leaf takes a leaf in. An index below 0 says that it is in no signed tree.
func (a *auditor) leaf(index int64, leaf []byte) {
	h, items, err := evidence.ParseHead(leaf)
	a.seal.leaves++
	if err != nil {
		if a.pass == 0 {
			a.find(WrongForm, fmt.Sprintf("leaf %d", index), "%v", err)
		}
		return
	}
	if h.Kind == evidence.Seal {
		if a.pass == 0 {
			a.sealed(index, &h, items)
		}
		return
	}
	key := name(h.Kind, h.ID)
	if a.pass == 0 && (h.Kind == evidence.Purchase || h.Version == 1) {
		if index >= 0 {
			a.batch = append(a.batch, pending{index, name(h.Kind, h.ID), h.Version, h.At})
		} else if a.cfg.Now != 0 && a.cfg.Now.Sub(h.At) > a.cfg.LateAfter {
			a.find(Late, place(index, &h), "it waits for the log since %s", h.At)
		}
	}
	if !a.mine(key) {
		return
	}
	a.things.at(key, true, func(t *thing) {
		if a.follows(index, &h, t) {
			a.items(index, key, &h, t, items)
		}
	})
}

// follows checks that a leaf is the next of its thing.
func (a *auditor) follows(index int64, h *evidence.Head, t *thing) bool {
	version := int32(min(h.Version, 1<<31-1)) //nolint:gosec // bounded
	switch {
	case t.version == 0:
		t.first, t.old = version, h.Begun < a.begun
		if version != 1 && !t.old && !a.lost {
			a.find(WrongVersion, place(index, h), "the log has none before it")
		}
	case version == t.version:
		a.find(WrongVersion, place(index, h), "it is in the log twice")
		return false
	case version < t.version:
		a.find(WrongVersion, place(index, h), "it stands behind version %d", t.version)
		return false
	case version > t.version+1 && !a.lost:
		a.find(WrongVersion, place(index, h), "version %d is missing before it", t.version+1)
	}
	if h.At < t.at && h.Kind == evidence.Purchase {
		a.find(WrongTime, place(index, h), "its time, %s, is before that of the version before, %s", h.At, t.at)
	}
	t.version, t.at = version, h.At
	return true
}

// items takes in what a leaf says.
func (a *auditor) items(index int64, key uint64, h *evidence.Head, t *thing, items []byte) {
	stated := false
	var refundBy, deliverBy purchase.Instant
	for rest := items; len(rest) > 0; {
		var line []byte
		line, rest = evidence.NextItem(rest)
		if len(line) == 0 {
			a.find(WrongForm, place(index, h), "an empty line")
			continue
		}
		switch line[0] {
		case evidence.ItemState:
			a.words = evidence.Words(line, a.words)
			if len(a.words) == 0 || stated {
				a.find(WrongForm, place(index, h), "its state is %.80q", line)
				continue
			}
			stated = true
			t.word = a.report.Figures.word(a.words[0])
			t.state = a.hash(key, 0, 0, line)
			if h.Kind == evidence.Erasure && len(a.words) == 6 {
				a.closed[key], _ = evidence.Int(a.words[3])
			}
			if h.Kind == evidence.Purchase && len(a.words) >= 10 {
				if after, ok := evidence.Int(a.words[7]); ok {
					deliverBy = h.Begun + purchase.Instant(after)
				}
				if after, ok := evidence.Int(a.words[9]); ok {
					refundBy = h.Begun + purchase.Instant(after)
				}
			}
			continue
		case evidence.ItemCommit:
			t.commit, t.salted = a.hash(key, 0, 0, line), true
			continue
		case evidence.ItemPosting:
			if !t.old && !a.posting(h.At, deliverBy, refundBy, line) {
				a.find(WrongForm, place(index, h), "a posting is %.80q", line)
			}
		case evidence.ItemPromise, evidence.ItemAttempt, evidence.ItemEvidence, evidence.ItemNotice, evidence.ItemMatter:
		default:
			a.find(WrongForm, place(index, h), "a line is %.80q", line)
			continue
		}
		t.sum += a.hash(key, h.Version, h.At, line)
	}
	if !stated {
		a.find(WrongForm, place(index, h), "it does not say how the thing stands")
	}
}

// posting adds a posting to the figures.
func (a *auditor) posting(at, deliverBy, refundBy purchase.Instant, line []byte) bool {
	w := evidence.Words(line, a.words)
	a.words = w
	if len(w) != 6 {
		return false
	}
	amount, ok := evidence.Int(w[4])
	if !ok || amount <= 0 {
		return false
	}
	f := &a.report.Figures
	a.post(w[2], w[5], amount)
	a.post(w[3], w[5], -amount)
	if bytes.Equal(w[1], []byte("principal")) {
		switch string(w[0]) {
		case "credit":
			f.timed(&f.CreditsInTime, &f.CreditsLate, at, deliverBy)
		case "refund":
			f.timed(&f.RefundsInTime, &f.RefundsLate, at, refundBy)
		}
	}
	return true
}

// sealed checks a seal, and the times of what it seals.
func (a *auditor) sealed(index int64, h *evidence.Head, items []byte) {
	s := &a.seal
	where := fmt.Sprintf("leaf %d, seal %d", index, h.ID)
	switch {
	case h.ID != s.last+1:
		a.find(WrongSeal, where, "it follows seal %d", s.last)
	case h.At < s.at:
		a.find(WrongTime, where, "its time, %s, is before that of the seal before, %s", h.At, s.at)
	}
	if h.Begun != a.begun {
		a.find(WrongSeal, where, "it says that the log began at %s, the first seal %s", h.Begun, a.begun)
	}
	line, _ := evidence.NextItem(items)
	if a.words = evidence.Words(line, a.words); len(a.words) != 1 || line[0] != evidence.ItemSealed {
		a.find(WrongForm, where, "it seals %.80q", line)
	} else if n, ok := evidence.Int(a.words[0]); !ok || n != s.leaves-1 && !a.lost {
		a.find(WrongSeal, where, "it seals %s leaves, and %d stand before it", a.words[0], s.leaves-1)
	}
	for i := range a.batch {
		p := &a.batch[i]
		switch {
		case h.At.Sub(p.at) > a.cfg.LateAfter:
			a.find(Late, p.place(), "made at %s, and logged at %s: after %s", p.at, h.At, h.At.Sub(p.at))
		case p.at.Sub(h.At) > postdated:
			a.find(WrongTime, p.place(), "its time, %s, is ahead of the log's, %s", p.at, h.At)
		}
	}
	a.batch = a.batch[:0]
	*s = sealing{last: h.ID, at: max(s.at, h.At)}
}

// sorted are the keys of things that something is wrong with, so that findings come in one order.
func sorted(keys map[uint64]bool) []uint64 {
	all := make([]uint64, 0, len(keys))
	for key := range keys {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}
