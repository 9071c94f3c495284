package evidence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"tenu/internal/purchase"
)

// The pace of the sequencer.
const (
	// Every is the least time between two checkpoints.
	Every = time.Second
	// Heartbeat is the longest: a head that is a minute old is wrong.
	Heartbeat = 30 * time.Second
	// LateAfter is how long a promise may take into the log: longer is a breach.
	LateAfter = time.Minute
	// takenAtOnce bounds the batches of one step.
	takenAtOnce = 256
	// takenBytes bounds their bytes, but for the last.
	takenBytes = 8 << 20
)

// State is how far a log is.
type State struct {
	Size     int64
	Seals    int64
	Begun    purchase.Instant
	SealedAt purchase.Instant
	// Checkpoint is the last that was signed, which may be of a smaller tree.
	Checkpoint []byte
}

// Batch is leaves that a transaction left behind, in the form of a bundle.
type Batch struct {
	ID     int64
	Leaves []byte
}

// Tile is a tile of hashes, full or not.
type Tile struct {
	Level int
	N     int64
	Data  []byte
}

// Place is where a batch stands in the tree, or a seal, and between what times its leaves were made.
type Place struct {
	First, Batch, Leaves int64 // Batch is 0 for a seal
	Low, High            purchase.Instant
	Seal                 []byte // in the form of a bundle
}

// Span is leaves that stand together in the tree.
type Span struct {
	First, Count int64
	Leaves       []byte // in the form of a bundle
}

// End is the index behind the last.
func (x *Span) End() int64 { return x.First + x.Count }

// Cut is the leaves from one index to before another.
func (x *Span) Cut(from, till int64) ([]byte, error) {
	rest, begin := x.Leaves, 0
	for at := x.First; at < till; at++ {
		if at == from {
			begin = len(x.Leaves) - len(rest)
		}
		var err error
		if _, rest, err = NextLeaf(rest); err != nil {
			return nil, err
		}
	}
	return x.Leaves[begin : len(x.Leaves)-len(rest)], nil
}

// Growth is what one step adds to a log.
type Growth struct {
	Was, Now State
	Tiles    []Tile
	Places   []Place
}

// ErrMoved is returned when a log is not as it was believed to be: another sequencer wrote.
var ErrMoved = errors.New("another node wrote the log")

// Store keeps a log.
type Store interface {
	LogState(ctx context.Context) (State, error)
	// LogQueue returns batches that are in no tree yet, oldest first, until their number or bytes
	// are reached.
	LogQueue(ctx context.Context, most, bytes int) ([]Batch, error)
	// LogTile reads what is there of a tile, or of a bundle, or returns ErrMissing.
	LogTile(ctx context.Context, level int, n int64) ([]byte, error)
	// GrowLog does all of it or nothing, and returns ErrMoved unless the log has the size
	// that it had.
	GrowLog(ctx context.Context, g Growth) error
	// PutCheckpoint keeps a checkpoint unless there is one of a larger tree.
	PutCheckpoint(ctx context.Context, size int64, checkpoint []byte) error
}

// Witness is asked to cosign each checkpoint.
type Witness interface {
	Submit(ctx context.Context, from Source, head TreeHead, checkpoint []byte) (line []byte, err error)
}

// SequencerConfig is what a sequencer is made of.
type SequencerConfig struct {
	Store  Store
	Signer *LogSigner
	Log    *slog.Logger
	// Standing tells whether this node is the one. Two that believe so harm nothing: the
	// store lets one of them write.
	Standing func(ctx context.Context) (bool, error)
	// Publish makes files of what the store has, up to a checkpoint. Nil: nobody does.
	Publish   func(ctx context.Context, head TreeHead, checkpoint []byte) error
	Witnesses []Witness
	// Patience is how long witnesses may take for all their answers (default 5 s).
	Patience time.Duration
	Clock    purchase.Clock
}

// Sequencer makes a tree of what the committers leave behind. Step and Run are for one goroutine.
type Sequencer struct {
	cfg    SequencerConfig
	tree   *Tree
	hasher Hasher
	signed purchase.Instant // when the last checkpoint was
	head   TreeHead         // of it
	stats  struct{ size, late, lag, signed atomic.Int64 }
	behind []atomic.Int64 // witnesses: since when each lacks the last head, 0 where it does not
}

// NewSequencer returns a sequencer.
func NewSequencer(cfg SequencerConfig) (*Sequencer, error) {
	if cfg.Store == nil || cfg.Signer == nil || cfg.Log == nil {
		return nil, errors.New("sequencer: store, signer and log are needed")
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 5 * time.Second
	}
	return &Sequencer{cfg: cfg, behind: make([]atomic.Int64, len(cfg.Witnesses))}, nil
}

// Figures are a sequencer's.
type Figures struct {
	Size int64         // leaves in the tree
	Late int64         // promises that took longer than LateAfter into the tree, since the start: each is a breach
	Lag  time.Duration // that the oldest leaf of the last step had waited
	// Signed is when this node signed the last head, 0 where another is to or none was signed yet.
	Signed purchase.Instant
	// Behind is since when each witness lacks the last head that this node signed, 0 where it cosigned it.
	Behind []purchase.Instant
}

// Figures returns the present figures. It is safe for concurrent use.
func (q *Sequencer) Figures() Figures {
	f := Figures{Size: q.stats.size.Load(), Late: q.stats.late.Load(), Lag: time.Duration(q.stats.lag.Load()), Signed: purchase.Instant(q.stats.signed.Load())}
	for i := range q.behind {
		f.Behind = append(f.Behind, purchase.Instant(q.behind[i].Load()))
	}
	return f
}

// Run sequences for as long as ctx lasts.
func (q *Sequencer) Run(ctx context.Context) {
	failing := false
	for ctx.Err() == nil {
		next, err := q.Step(ctx, q.cfg.Clock.Now())
		if err != nil && ctx.Err() == nil && !failing {
			q.cfg.Log.Warn("the log stands still, and is tried again", slog.Any("error", err))
		}
		failing = err != nil
		select {
		case <-ctx.Done():
		case <-q.cfg.Clock.After(max(next.Sub(q.cfg.Clock.Now()), time.Millisecond)):
		}
	}
}

// Step puts waiting leaves into the tree, signs, and publishes. It returns when to come again.
func (q *Sequencer) Step(ctx context.Context, now purchase.Instant) (next purchase.Instant, err error) {
	next = now.Add(Every)
	if q.cfg.Standing != nil {
		if mine, err := q.cfg.Standing(ctx); err != nil || !mine {
			q.tree = nil // somebody else's by now
			q.stats.signed.Store(0)
			return next, err
		}
	}
	state, err := q.resume(ctx)
	if err != nil {
		return next, err
	}
	batches, err := q.cfg.Store.LogQueue(ctx, takenAtOnce, takenBytes)
	if err != nil {
		return next, err
	}
	more := false
	if len(batches) > 0 || state.Size == 0 || now >= state.SealedAt.Add(Heartbeat) {
		if state, more, err = q.grow(ctx, state, batches, now); err != nil {
			q.tree = nil
			return next, err
		}
	}
	if more {
		next = now
	}
	if state.Size == q.head.Size || more && now < q.signed.Add(Every) {
		return next, nil
	}
	return next, q.sign(ctx, now)
}

// resume makes sure that the tree in memory is the one that is stored.
func (q *Sequencer) resume(ctx context.Context) (State, error) {
	state, err := q.cfg.Store.LogState(ctx)
	if err != nil {
		return state, err
	}
	if q.tree != nil && q.tree.Size() == state.Size {
		return state, nil
	}
	tail := func(level int, n int64, _ int) ([]byte, error) { return q.cfg.Store.LogTile(ctx, level, n) }
	tree, err := Resume(state.Size, tail)
	if err != nil {
		return state, fmt.Errorf("read the log's edge: %w", err)
	}
	q.tree, q.head = tree, TreeHead{Origin: q.cfg.Signer.Name()}
	if state.Checkpoint != nil {
		if q.head, err = ReadHead(state.Checkpoint); err != nil {
			return state, err
		}
	}
	q.stats.size.Store(state.Size)
	return state, nil
}

// grow adds leaves and a seal to the tree, durably.
func (q *Sequencer) grow(ctx context.Context, was State, batches []Batch, now purchase.Instant) (State, bool, error) {
	g := Growth{Was: was, Now: was}
	first, late, oldest, begun, taken := q.tree.Size(), int64(0), now, now, 0
	full := func(level int, n int64, tile []Hash) {
		g.Tiles = append(g.Tiles, Tile{Level: level, N: n, Data: AppendTile(nil, tile)})
	}
	for _, b := range batches {
		p := Place{First: q.tree.Size(), Batch: b.ID}
		taken += len(b.Leaves)
		for rest := b.Leaves; len(rest) > 0; {
			leaf, more, err := NextLeaf(rest)
			if err != nil { // it was stored so: the audit tells which changes have no leaf
				q.cfg.Log.Error("a batch of leaves is damaged", slog.Int64("batch", b.ID), slog.Any("error", err))
				break
			}
			h := q.add(leaf, full, &p)
			if h.Kind == Purchase || h.Version == 1 { // what is promised
				if oldest = min(oldest, h.At); now.Sub(h.At) > LateAfter {
					late++
				}
			}
			if h.Version == 1 {
				begun = min(begun, h.Begun)
			}
			rest = more
		}
		g.Places = append(g.Places, p)
	}
	if was.Begun == 0 {
		g.Now.Begun = begun // whatever was made since has all of its leaves
	}
	g.Now.Seals, g.Now.SealedAt = was.Seals+1, max(now, was.SealedAt)
	seal := AppendSeal(nil, g.Now.Seals, q.tree.Size()-first, g.Now.SealedAt, g.Now.Begun)
	p := Place{First: q.tree.Size(), Seal: seal}
	q.add(seal[2:], full, &p)
	g.Places = append(g.Places, p)
	g.Now.Size = q.tree.Size()
	for level := range q.tree.Levels() {
		if tail := q.tree.Tail(level); len(tail) > 0 {
			g.Tiles = append(g.Tiles, Tile{Level: level, N: g.Now.Size >> (TileHeight * (level + 1)), Data: AppendTile(nil, tail)})
		}
	}
	if err := q.cfg.Store.GrowLog(ctx, g); err != nil {
		return was, false, err
	}
	q.stats.size.Store(g.Now.Size)
	q.stats.lag.Store(int64(now.Sub(oldest)))
	if late > 0 {
		q.stats.late.Add(late)
		q.cfg.Log.Error("promises were logged too late", slog.Int64("count", late), slog.Duration("oldest", now.Sub(oldest)))
	}
	return g.Now, len(batches) == takenAtOnce || taken >= takenBytes, nil
}

// add puts a leaf into the tree and its place, and returns what it says of itself.
func (q *Sequencer) add(leaf []byte, full func(int, int64, []Hash), p *Place) Head {
	h, _, err := ParseHead(leaf)
	if err != nil { // it has its place in the tree all the same
		h = Head{}
	} else {
		if p.Low == 0 || h.At < p.Low {
			p.Low = h.At
		}
		p.High = max(p.High, h.At)
	}
	p.Leaves++
	q.tree.Append(q.hasher.Leaf(leaf), full)
	return h
}

// sign signs the tree, which is durable, and makes the checkpoint known.
func (q *Sequencer) sign(ctx context.Context, now purchase.Instant) error {
	head := TreeHead{q.cfg.Signer.Name(), q.tree.Size(), q.tree.Root()}
	checkpoint, err := head.Sign(q.cfg.Signer)
	if err != nil {
		return err
	}
	if err := q.cfg.Store.PutCheckpoint(ctx, head.Size, checkpoint); err != nil {
		return err
	}
	q.signed, q.head = now, head
	q.stats.signed.Store(int64(now))
	lines := q.cosignatures(ctx, head, checkpoint, now)
	if len(lines) > 0 {
		checkpoint = AddSignatures(checkpoint, lines...)
		if err := q.cfg.Store.PutCheckpoint(ctx, head.Size, checkpoint); err != nil {
			return err
		}
	}
	if q.cfg.Publish != nil {
		return q.cfg.Publish(ctx, head, checkpoint)
	}
	return nil
}

// cosignatures asks all witnesses at once.
func (q *Sequencer) cosignatures(ctx context.Context, head TreeHead, checkpoint []byte, now purchase.Instant) (lines [][]byte) {
	if len(q.cfg.Witnesses) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, q.cfg.Patience)
	defer cancel()
	answers := make(chan []byte, len(q.cfg.Witnesses))
	for i, w := range q.cfg.Witnesses {
		go func() {
			line, err := w.Submit(ctx, FromStore{q.cfg.Store}, head, checkpoint)
			if err != nil {
				q.cfg.Log.Warn("a witness did not cosign", slog.Any("error", err))
				q.behind[i].CompareAndSwap(0, int64(now))
			} else {
				q.behind[i].Store(0)
			}
			answers <- line
		}()
	}
	for range q.cfg.Witnesses {
		if line := <-answers; line != nil {
			lines = append(lines, line)
		}
	}
	return lines
}

// FromStore is the log that a store keeps, as a Source.
type FromStore struct{ Store }

// Checkpoint is Source.
func (f FromStore) Checkpoint(ctx context.Context) ([]byte, error) {
	state, err := f.LogState(ctx)
	if err == nil && state.Checkpoint == nil {
		err = fmt.Errorf("%w: nothing was signed yet", ErrMissing)
	}
	return state.Checkpoint, err
}

// Tiles is TilesSource.
func (f FromStore) Tiles(ctx context.Context, tiles []Tile) error {
	if many, ok := f.Store.(interface {
		LogTiles(ctx context.Context, tiles []Tile) error
	}); ok {
		return many.LogTiles(ctx, tiles)
	}
	return nil
}

// Tile is Source.
func (f FromStore) Tile(ctx context.Context, level int, n int64, _ int) ([]byte, error) {
	return f.LogTile(ctx, level, n)
}
