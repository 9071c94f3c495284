package audit

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"tenu/internal/evidence"
	"tenu/internal/purchase"
)

// readRows takes in what is not in the signed tree yet, and then takes away what the database says.
func (a *auditor) readRows(ctx context.Context) error {
	waiting, err := a.unsigned(ctx, func(leaf []byte) { a.leaf(-1, leaf) })
	if err != nil {
		return err
	}
	if a.pass == 0 {
		a.report.Waiting = waiting
	}
	if err := a.snap.Rows(ctx, a.row); err != nil {
		return err
	}
	slices.SortFunc(a.rowsFound, func(x, y rowFinding) int { return cmp.Or(cmp.Compare(x.key, y.key), cmp.Compare(x.Detail, y.Detail)) })
	for _, f := range a.rowsFound {
		a.find(f.What, f.Place, "%s", f.Detail)
	}
	a.rowsFound = a.rowsFound[:0]
	return nil
}

// unsigned calls each with the database's leaves behind the signed tree: those of its own tree that are not
// published, and those that wait.
func (a *auditor) unsigned(ctx context.Context, each func(leaf []byte)) (count int64, err error) {
	state, err := a.snap.LogState(ctx)
	if err != nil {
		return 0, err
	}
	for index := a.head.Size; index < state.Size; {
		n := index / evidence.TileWidth
		data, err := a.snap.Tile(ctx, evidence.Entries, n, int(min(state.Size-n*evidence.TileWidth, evidence.TileWidth)))
		if err != nil {
			return count, err
		}
		at := n * evidence.TileWidth
		for rest := data; len(rest) > 0 && at < state.Size; at++ {
			var leaf []byte
			if leaf, rest, err = evidence.NextLeaf(rest); err != nil {
				return count, fmt.Errorf("read bundle %d: %w", n, err)
			}
			if at >= index && leaf[0] != byte(evidence.Seal) {
				count++
				each(leaf)
			}
		}
		if at == index {
			return count, fmt.Errorf("read bundle %d: it is cut", n)
		}
		index = at
	}
	err = a.snap.Waiting(ctx, func(leaves []byte) error {
		for rest := leaves; len(rest) > 0; {
			leaf, more, err := evidence.NextLeaf(rest)
			if err != nil {
				a.find(WrongForm, "leaves that wait", "%v", err)
				return nil
			}
			count++
			each(leaf)
			rest = more
		}
		return nil
	})
	return count, err
}

// rowFinding is a finding of a row: they are found in any order, and told in one.
type rowFinding struct {
	key uint64
	Finding
}

func (a *auditor) findRow(key uint64, what, detail string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.rowsFound) >= 2*a.cfg.Limit {
		a.report.Dropped++
		return
	}
	a.rowsFound = append(a.rowsFound, rowFinding{key, Finding{what, nameOf(key), fmt.Sprintf(detail, args...)}})
}

// row takes away what a row says. It takes calls at once.
func (a *auditor) row(r *Row) error {
	key := name(r.Kind, r.ID)
	if !a.mine(key) || len(r.Item) == 0 {
		return nil
	}
	line := bytes.TrimSuffix(r.Item, []byte("\n"))
	var hash uint64
	switch line[0] {
	case evidence.ItemState, evidence.ItemCommit:
		hash = a.hash(key, 0, 0, line)
	default:
		hash = a.hash(key, r.Version, r.At, line)
	}
	known := a.things.at(key, false, func(t *thing) { a.take(t, key, r, line[0], hash) })
	if !known && line[0] == evidence.ItemState && r.Begun >= a.begun {
		a.findRow(key, Unlogged, "the database has it, at version %d, since %s; the log has not", r.Version, r.Begun)
	}
	return nil
}

// take takes away from a thing what a row of it says: a line of an item, by its hash.
func (a *auditor) take(t *thing, key uint64, r *Row, item byte, hash uint64) {
	switch {
	case item == evidence.ItemState:
		t.seen = true
		if r.Version != int64(t.version) {
			what := Unlogged
			if r.Version < int64(t.version) {
				what = Unstored
			}
			a.findRow(key, what, "the database has version %d, the log %d", r.Version, t.version)
			t.flaw = true // what follows from it is not told again
			return
		}
		t.state -= hash
		if !t.old && r.Begun < a.begun {
			a.findRow(key, Altered, "the database says that it was made at %s, before the log began", r.Begun)
		}
	case item == evidence.ItemCommit:
		if r.Unsalted && t.salted {
			a.unopened.Add(1)
		}
		if r.Unsalted || !t.salted {
			t.commit = 0
			return
		}
		t.commit -= hash
	case r.Version >= int64(t.first):
		t.sum -= hash
	}
}

// difference is a line that only one side has.
type difference struct {
	key     uint64
	version int64
	at      purchase.Instant
	line    string
}

// explain looks at things whose sums differ line by line.
func (a *auditor) explain(ctx context.Context) error {
	if len(a.strange) == 0 {
		return nil
	}
	only, last, first := map[difference]int{}, map[uint64]difference{}, map[uint64]int64{}
	take := func(leaf []byte) {
		h, items, err := evidence.ParseHead(leaf)
		if err != nil || !a.strange[name(h.Kind, h.ID)] {
			return
		}
		key := name(h.Kind, h.ID)
		if first[key] == 0 {
			first[key] = h.Version
		}
		for rest := items; len(rest) > 0; {
			var line []byte
			line, rest = evidence.NextItem(rest)
			d := difference{key, h.Version, h.At, string(line)}
			switch {
			case len(line) == 0:
			case line[0] == evidence.ItemState:
				last[key] = d
			case line[0] == evidence.ItemCommit:
				only[difference{key, 1, 0, d.line}]++
			default:
				only[d]++
			}
		}
	}
	a.pass = -1 // nothing is to be found again
	err := a.pieces(ctx, func(p *piece) error {
		if err := a.judge(p); err != nil {
			return err
		}
		for _, leaf := range p.leaves {
			take(leaf)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := a.unsigned(ctx, take); err != nil {
		return err
	}
	for key, d := range last {
		only[difference{key, d.version, 0, d.line}]++
	}
	unsalted := map[uint64]bool{}
	var mu sync.Mutex
	err = a.snap.Rows(ctx, func(r *Row) error {
		mu.Lock()
		defer mu.Unlock()
		key := name(r.Kind, r.ID)
		if !a.strange[key] || len(r.Item) == 0 || r.Version < first[key] {
			return nil
		}
		if r.Unsalted {
			unsalted[key] = true
			return nil
		}
		only[difference{key, r.Version, r.At, strings.TrimSuffix(string(r.Item), "\n")}]--
		return nil
	})
	if err != nil {
		return err
	}
	a.tell(only, unsalted)
	return nil
}

// tell makes findings of the lines that only one side has.
func (a *auditor) tell(only map[difference]int, unsalted map[uint64]bool) {
	type both struct{ log, database []string }
	byChange := map[uint64]map[int64]*both{}
	for d, n := range only {
		if n == 0 || d.line[0] == evidence.ItemCommit && unsalted[d.key] {
			continue
		}
		if byChange[d.key] == nil {
			byChange[d.key] = map[int64]*both{}
		}
		b := byChange[d.key][d.version]
		if b == nil {
			b = &both{}
			byChange[d.key][d.version] = b
		}
		text := d.line
		if d.at != 0 {
			text += " at " + d.at.String()
		}
		if n > 0 {
			b.log = append(b.log, text)
		} else {
			b.database = append(b.database, text)
		}
	}
	for _, key := range sorted(a.strange) {
		versions := make([]int64, 0, len(byChange[key]))
		for v := range byChange[key] {
			versions = append(versions, v)
		}
		slices.Sort(versions)
		for _, v := range versions {
			b := byChange[key][v]
			slices.Sort(b.log)
			slices.Sort(b.database)
			a.find(Altered, fmt.Sprintf("%s version %d", nameOf(key), v), "the log says %q, the database %q", b.log, b.database)
		}
	}
}
