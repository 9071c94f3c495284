package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"tenu/internal/evidence"
	"tenu/internal/evidence/audit"
	"tenu/internal/purchase"
)

// A *Memory keeps the log as a database does: a commit and its leaves are both there, or neither.
var (
	_ evidence.Store  = (*Memory)(nil)
	_ evidence.Finder = (*Memory)(nil)
	_ audit.Database  = (*Memory)(nil)
)

// memoryLog is the log of a Memory.
type memoryLog struct {
	state   evidence.State
	signed  int64    // leaves under the checkpoint
	batches [][]byte // by ID, from 1
	queue   []int64  // batches that are in no tree yet
	places  []evidence.Place
	tiles   map[tilePlace][]byte
}

type tilePlace struct {
	level int
	n     int64
}

// memoryRecord is a purchase's record, and which of its rows each of its versions wrote.
type memoryRecord struct {
	purchase.Record
	marks []mark
}

// mark is how many rows a record had after a version.
type mark struct{ attempts, evidence, postings, notices, cases int32 }

// marked notes that a version was written.
func (r *memoryRecord) marked() {
	r.marks = append(r.marks, mark{int32(len(r.Attempts)), int32(len(r.Evidence)), int32(len(r.Postings)), //nolint:gosec // a purchase has few rows
		int32(len(r.Notices)), int32(len(r.Cases))}) //nolint:gosec // see above
}

// leave keeps the leaves of a commit, as one batch.
func (l *memoryLog) leave(leaves []byte) {
	if len(leaves) > 0 {
		l.batches = append(l.batches, leaves)
		l.queue = append(l.queue, int64(len(l.batches)))
	}
}

// tile is what is there of a tile, or of a bundle.
func (l *memoryLog) tile(level int, n int64) (data []byte, err error) {
	if level == evidence.Entries {
		data = l.bundle(n)
	} else {
		data = l.tiles[tilePlace{level, n}]
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("%w: %s", evidence.ErrMissing, evidence.TilePath(level, n, evidence.TileWidth))
	}
	return data, nil
}

// bundle puts a bundle together from the batches that its leaves are in.
func (l *memoryLog) bundle(n int64) (data []byte) {
	first := n * evidence.TileWidth
	end := first + evidence.TileWidth
	i, _ := slices.BinarySearchFunc(l.places, first, func(p evidence.Place, at int64) int { return cmp.Compare(p.First+p.Leaves, at+1) })
	for ; i < len(l.places) && l.places[i].First < end; i++ {
		x := l.span(i)
		part, err := x.Cut(max(first, x.First), min(end, x.End()))
		if err != nil {
			return data // damaged: what is left is too short, and found so
		}
		data = append(data, part...)
	}
	return data
}

// span is the leaves of a place.
func (l *memoryLog) span(i int) evidence.Span {
	p := &l.places[i]
	x := evidence.Span{First: p.First, Count: p.Leaves, Leaves: p.Seal}
	if p.Batch != 0 {
		x.Leaves = l.batches[p.Batch-1]
	}
	return x
}

// LogState is evidence.Store.
func (m *Memory) LogState(context.Context) (evidence.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.state, nil
}

// LogQueue is evidence.Store.
func (m *Memory) LogQueue(_ context.Context, most, bytes int) (batches []evidence.Batch, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for read := 0; len(batches) < min(most, len(m.log.queue)) && read < bytes; {
		id := m.log.queue[len(batches)]
		batches = append(batches, evidence.Batch{ID: id, Leaves: m.log.batches[id-1]})
		read += len(m.log.batches[id-1])
	}
	return batches, nil
}

// LogTile is evidence.Store.
func (m *Memory) LogTile(_ context.Context, level int, n int64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.tile(level, n)
}

// GrowLog is evidence.Store.
func (m *Memory) GrowLog(_ context.Context, g evidence.Growth) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &m.log
	if l.state.Size != g.Was.Size || l.state.Seals != g.Was.Seals {
		return fmt.Errorf("grow the log: %w", evidence.ErrMoved)
	}
	taken := map[int64]bool{}
	for i := range g.Places {
		if batch := g.Places[i].Batch; batch != 0 {
			taken[batch] = true
		}
	}
	waiting := slices.DeleteFunc(slices.Clone(l.queue), func(batch int64) bool { return taken[batch] })
	if len(l.queue)-len(waiting) != len(taken) { // one of them is in the tree already
		return fmt.Errorf("grow the log: %w", evidence.ErrMoved)
	}
	l.queue = waiting
	if l.tiles == nil {
		l.tiles = map[tilePlace][]byte{}
	}
	for i := range g.Tiles {
		l.tiles[tilePlace{g.Tiles[i].Level, g.Tiles[i].N}] = g.Tiles[i].Data
	}
	l.places = append(l.places, g.Places...)
	l.state.Size, l.state.Seals, l.state.Begun, l.state.SealedAt = g.Now.Size, g.Now.Seals, g.Now.Begun, g.Now.SealedAt
	return nil
}

// PutCheckpoint is evidence.Store.
func (m *Memory) PutCheckpoint(_ context.Context, size int64, checkpoint []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.log.signed <= size && size <= m.log.state.Size {
		m.log.signed, m.log.state.Checkpoint = size, slices.Clone(checkpoint)
	}
	return nil
}

// LogSpans is evidence.Finder.
func (m *Memory) LogSpans(_ context.Context, at, till purchase.Instant) (spans []evidence.Span, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []int
	for i := range m.log.places {
		if p := &m.log.places[i]; p.High >= at && p.High <= till && p.Low <= at {
			found = append(found, i)
		}
	}
	slices.SortStableFunc(found, func(a, b int) int {
		x, y := &m.log.places[a], &m.log.places[b]
		return cmp.Or(cmp.Compare(x.High, y.High), cmp.Compare(x.Low, y.Low), cmp.Compare(x.First, y.First))
	})
	for _, i := range found[:min(len(found), mostPlaces)] {
		spans = append(spans, m.log.span(i))
	}
	return spans, nil
}

// Audited is audit.Database. Nothing is written until look returns.
func (m *Memory) Audited(ctx context.Context, look func(context.Context, audit.Snapshot) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return look(ctx, &memorySnapshot{m})
}

// memorySnapshot is a Memory whose lock is held.
type memorySnapshot struct{ m *Memory }

// LogState is audit.Snapshot.
func (s *memorySnapshot) LogState(context.Context) (evidence.State, error) {
	return s.m.log.state, nil
}

// Checkpoint is evidence.Source.
func (s *memorySnapshot) Checkpoint(context.Context) ([]byte, error) {
	if s.m.log.state.Checkpoint == nil {
		return nil, fmt.Errorf("%w: nothing was signed yet", evidence.ErrMissing)
	}
	return s.m.log.state.Checkpoint, nil
}

// Tile is evidence.Source.
func (s *memorySnapshot) Tile(_ context.Context, level int, n int64, _ int) ([]byte, error) {
	return s.m.log.tile(level, n)
}

// Waiting is audit.Snapshot.
func (s *memorySnapshot) Waiting(_ context.Context, each func([]byte) error) error {
	for _, id := range s.m.log.queue {
		if err := each(s.m.log.batches[id-1]); err != nil {
			return err
		}
	}
	return nil
}

// Rows is audit.Snapshot.
func (s *memorySnapshot) Rows(_ context.Context, each func(*audit.Row) error) error {
	row := audit.Row{Kind: evidence.Purchase}
	for _, id := range slices.Sorted(maps.Keys(s.m.records)) {
		row.ID = int64(id)
		if err := s.m.records[id].rows(&row, each); err != nil {
			return err
		}
	}
	return nil
}

// rows tells the rows of a record as a database would. How it stands comes first.
func (r *memoryRecord) rows(row *audit.Row, each func(*audit.Row) error) (err error) {
	tell := func(version int64, at purchase.Instant, item []byte) {
		if row.Version, row.At, row.Item = version, at, item; err == nil {
			err = each(row)
		}
	}
	p := &r.Purchase
	row.Begun = p.CreatedAt
	tell(p.Version, 0, evidence.AppendState(row.Item[:0], p))
	tell(1, p.CreatedAt, evidence.AppendPromise(row.Item[:0], p))
	if item := evidence.AppendCommit(row.Item[:0], p); len(item) > 0 {
		tell(1, 0, item)
	} else {
		row.Unsalted = true
		tell(1, 0, append(item, evidence.ItemCommit, '\n'))
		row.Unsalted = false
	}
	var was mark
	for i := range r.marks {
		now, version := r.marks[i], int64(i+1)
		for j := was.attempts; j < now.attempts; j++ {
			tell(version, r.Attempts[j].At, evidence.AppendAttempt(row.Item[:0], &r.Attempts[j]))
		}
		for j := was.evidence; j < now.evidence; j++ {
			tell(version, r.Evidence[j].At, evidence.AppendEvidence(row.Item[:0], &r.Evidence[j]))
		}
		for j := was.postings; j < now.postings; j++ {
			tell(version, r.Postings[j].At, evidence.AppendPosting(row.Item[:0], &r.Postings[j]))
		}
		for j := was.notices; j < now.notices; j++ {
			tell(version, r.Notices[j].At, evidence.AppendNotice(row.Item[:0], r.Notices[j].Fact))
		}
		for j := was.cases; j < now.cases; j++ {
			tell(version, r.Cases[j].At, evidence.AppendMatter(row.Item[:0], r.Cases[j].Matter))
		}
		was = now
	}
	return err
}

// Figures is audit.Snapshot.
func (s *memorySnapshot) Figures(_ context.Context, since purchase.Instant) (audit.Figures, error) {
	f := audit.Figures{States: map[string]int64{}, Accounts: map[string]int64{}}
	timed := func(inTime, late *int64, at, by purchase.Instant) {
		if at <= by {
			*inTime++
		} else {
			*late++
		}
	}
	for _, r := range s.m.records {
		p := &r.Purchase
		if p.CreatedAt < since {
			continue
		}
		f.States[evidence.Purchase.String()+" "+p.State.String()]++
		for i := range r.Postings {
			x := &r.Postings[i]
			currency := " " + string(x.Amount.Currency)
			f.Accounts[string(x.Debit)+currency] += x.Amount.Minor
			f.Accounts[string(x.Credit)+currency] -= x.Amount.Minor
			switch {
			case x.Effect != purchase.EffectPrincipal:
			case x.Leg == purchase.Credit:
				timed(&f.CreditsInTime, &f.CreditsLate, x.At, p.DeliverBy)
			case x.Leg == purchase.Refund:
				timed(&f.RefundsInTime, &f.RefundsLate, x.At, p.RefundBy)
			}
		}
	}
	return f, nil
}
