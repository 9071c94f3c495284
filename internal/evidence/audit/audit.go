// Package audit recomputes the log: its tree, what each leaf claims against the ones
// around it, every published figure, and, where the database is at hand, each row against
// its leaf. It trusts nothing but the log's key, and knows no SQL.
package audit

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"tenu/internal/evidence"
	"tenu/internal/purchase"
)

// Config says what is audited.
type Config struct {
	Source evidence.Source
	Policy evidence.Policy
	// Earlier are checkpoints that were seen before, by witnesses or by whoever audits: the
	// tree must begin with each of them.
	Earlier [][]byte
	// Database is compared with the log, nil where there is none at hand.
	Database Database
	// Now is when: what waits longer than a minute is late. 0: that is not checked.
	Now purchase.Instant
	// LateAfter is how long a promise may take into the log (evidence.LateAfter).
	LateAfter time.Duration
	// Most is how many things are held in memory at once; more take more passes (4 000 000,
	// of about 100 bytes each).
	Most int
	// Limit bounds the findings that are kept (1000).
	Limit int
	// Progress is told of leaves that were read, of how many. It may be nil.
	Progress func(done, total int64)
}

// Database is the side of the store, as it is at one moment.
type Database interface {
	// Audited calls look with a snapshot that does not change.
	Audited(ctx context.Context, look func(context.Context, Snapshot) error) error
}

// Snapshot is a database at one moment.
type Snapshot interface {
	evidence.Source
	LogState(ctx context.Context) (evidence.State, error)
	// Waiting calls each with the leaves that are in no tree yet.
	Waiting(ctx context.Context, each func(leaves []byte) error) error
	// Rows calls each with what the tables say, of several tables at once where it can: each takes calls at
	// once, in any order. The row is only valid during the call.
	Rows(ctx context.Context, each func(*Row) error) error
	// Figures sums up, in the database's own way, what was made since the log began.
	Figures(ctx context.Context, since purchase.Instant) (Figures, error)
}

// Row is a row of the database, as the line of a leaf that should say the same.
type Row struct {
	Kind    evidence.Kind
	ID      int64
	Version int64            // of the change that wrote it; of a state, the last
	At      purchase.Instant // 0 where the row does not say
	Begun   purchase.Instant // of a state
	Item    []byte           // the line, with its end
	// Unsalted says of a commitment that it cannot be made any more: its salt is deleted.
	Unsalted bool
}

// What is wrong, as findings name it.
const (
	WrongCheckpoint = "checkpoint" // not signed by whom it should, or by too few
	WrongFork       = "fork"       // a checkpoint that was seen before is of another tree
	WrongTree       = "tree"       // a tile is not the hashes that it should be
	WrongLeaf       = "leaf"       // a leaf is not the one that was signed, or not there
	WrongForm       = "form"       // a leaf says nothing that can be read
	WrongVersion    = "version"    // a change is missing, or there twice
	WrongTime       = "time"       // a time goes back, or lies ahead
	WrongSeal       = "seal"       // a seal is missing or counts wrongly
	Late            = "late"       // a promise took more than 60 s into the log: a breach
	Unlogged        = "unlogged"   // the database has what the log does not say
	Unstored        = "unstored"   // the log says what the database has not
	Altered         = "altered"    // the two say different things
	WrongFigure     = "figure"     // the two sum up to different figures
)

// Finding is one thing that is wrong.
type Finding struct {
	What   string `json:"what"`
	Place  string `json:"place"`
	Detail string `json:"detail"`
}

// String is the finding in one line.
func (f Finding) String() string { return f.What + ": " + f.Place + ": " + f.Detail }

// Report is what an audit found.
type Report struct {
	Origin    string    `json:"origin"`
	Size      int64     `json:"size"`
	Waiting   int64     `json:"waiting"` // leaves that are in no signed tree yet
	Witnesses []string  `json:"witnesses"`
	Findings  []Finding `json:"findings"`
	Dropped   int       `json:"dropped"` // findings beyond the limit
	Figures   Figures   `json:"figures"`
}

// postdated is how far ahead of the log's clock a node's may be.
const postdated = 10 * time.Second

// auditor is one audit under way.
type auditor struct {
	cfg     Config
	report  Report
	head    evidence.TreeHead
	earlier []evidence.TreeHead
	snap    Snapshot
	own     bool // the log is read from the database itself
	seed    maphash.Seed
	begun   purchase.Instant
	passes  int
	pass    int
	things  shelf
	balance map[string]*int64 // of the figures' accounts
	lost    bool              // leaves are damaged, which is told: that others follow nothing is not told again
	words   [][]byte
	seal    sealing
	batch   []pending
	strange map[uint64]bool // to be looked at line by line
	// closed are the commitments that erasures closed, as the log says; unopened those whose salt the database
	// has not any more.
	closed   map[uint64]int64
	unopened atomic.Int64

	mu        sync.Mutex
	rowsFound []rowFinding // under mu
}

// Run audits. An error is of reading; what is wrong with the log is in the report.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Most <= 0 {
		cfg.Most = 4_000_000
	}
	if cfg.LateAfter <= 0 {
		cfg.LateAfter = evidence.LateAfter
	}
	if cfg.Limit <= 0 {
		cfg.Limit = 1000
	}
	if cfg.Progress == nil {
		cfg.Progress = func(int64, int64) {}
	}
	if cfg.Source != nil {
		cfg.Source = &alone{from: cfg.Source}
	}
	a := &auditor{cfg: cfg, seed: maphash.MakeSeed(), strange: map[uint64]bool{}, closed: map[uint64]int64{}}
	a.report.Findings, a.report.Witnesses, a.balance = []Finding{}, []string{}, map[string]*int64{}
	var err error
	if cfg.Database == nil {
		err = a.run(ctx)
	} else {
		err = cfg.Database.Audited(ctx, func(ctx context.Context, s Snapshot) error {
			a.snap = s
			if a.cfg.Source == nil {
				a.cfg.Source, a.own = &alone{from: s}, true
			}
			return a.run(ctx)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return &a.report, nil
}

// find adds a finding.
func (a *auditor) find(what, place, detail string, args ...any) {
	if len(a.report.Findings) >= a.cfg.Limit {
		a.report.Dropped++
		return
	}
	a.report.Findings = append(a.report.Findings, Finding{what, place, fmt.Sprintf(detail, args...)})
}

func (a *auditor) run(ctx context.Context) error {
	ok, err := a.open(ctx)
	if err != nil || !ok {
		return err
	}
	if err := a.checkDatabaseLog(ctx); err != nil {
		return err
	}
	if a.begun, err = a.beginning(ctx); err != nil {
		return err
	}
	// A purchase has three leaves as a rule, and one at least.
	a.passes = int(a.head.Size/3/int64(a.cfg.Most)) + 1
	a.report.Figures = newFigures()
	for a.pass = 0; a.pass < a.passes; a.pass++ {
		a.things.clear(int(min(a.head.Size/3/int64(a.passes), int64(a.cfg.Most))))
		a.seal, a.batch = sealing{}, a.batch[:0]
		if err := a.readLog(ctx); err != nil {
			return err
		}
		if a.snap != nil {
			if err := a.readRows(ctx); err != nil {
				return err
			}
		}
		a.sumUp()
	}
	for account, sum := range a.balance {
		a.report.Figures.Accounts[account] = *sum
	}
	if err := a.explain(ctx); err != nil {
		return err
	}
	return a.compareFigures(ctx)
}

// open checks the checkpoint and those that were seen before.
func (a *auditor) open(ctx context.Context) (ok bool, err error) {
	checkpoint, err := a.cfg.Source.Checkpoint(ctx)
	if errors.Is(err, evidence.ErrMissing) {
		a.find(WrongCheckpoint, "checkpoint", "there is none")
		return false, nil
	}
	if err != nil {
		return false, err
	}
	head, by, err := a.cfg.Policy.Open(checkpoint)
	for _, s := range by {
		at, _ := evidence.CosignedAt(s)
		a.report.Witnesses = append(a.report.Witnesses, s.Name+" at "+at.String())
	}
	if err != nil {
		a.find(WrongCheckpoint, "checkpoint", "%v", err)
		if head, _, err = evidence.OpenCheckpoint(checkpoint, a.cfg.Policy.Log); err != nil {
			return false, nil //nolint:nilerr // found: nothing of it is the log's
		}
	}
	a.head, a.report.Origin, a.report.Size = head, head.Origin, head.Size
	for i, c := range a.cfg.Earlier {
		place := fmt.Sprintf("earlier checkpoint %d", i+1)
		h, _, err := evidence.OpenCheckpoint(c, a.cfg.Policy.Log)
		switch {
		case err != nil:
			a.find(WrongCheckpoint, place, "%v", err)
		case h.Size > head.Size:
			a.find(WrongFork, place, "rolled back: it had %d leaves, the log has %d now", h.Size, head.Size)
		case h.Size == head.Size && h.Root != head.Root:
			a.find(WrongFork, place, "two trees of %d leaves were signed", h.Size)
		default:
			a.earlier = append(a.earlier, h)
		}
	}
	return true, nil
}

// checkDatabaseLog checks that the database's log is the one that is published.
func (a *auditor) checkDatabaseLog(ctx context.Context) error {
	if a.snap == nil || a.own || a.head.Size == 0 {
		return nil
	}
	state, err := a.snap.LogState(ctx)
	if err != nil {
		return err
	}
	if state.Size < a.head.Size {
		a.find(WrongFork, "database", "its log has %d leaves, the published one %d", state.Size, a.head.Size)
		return nil
	}
	if _, err := evidence.NewReader(ctx, a.snap, a.head).Prove(a.head.Size - 1); err != nil {
		a.find(WrongFork, "database", "its log is not the published one: %v", err)
	}
	return nil
}

// beginning is when the log began, as its first seal says.
func (a *auditor) beginning(ctx context.Context) (purchase.Instant, error) {
	for n := int64(0); n*evidence.TileWidth < a.head.Size; n++ {
		data, err := a.cfg.Source.Tile(ctx, evidence.Entries, n, a.width(n))
		if errors.Is(err, evidence.ErrMissing) {
			continue
		}
		if err != nil {
			return 0, err
		}
		for rest := data; len(rest) > 0; {
			leaf, more, err := evidence.NextLeaf(rest)
			if err != nil {
				break
			}
			if h, _, err := evidence.ParseHead(leaf); err == nil && h.Kind == evidence.Seal {
				return h.Begun, nil
			}
			rest = more
		}
	}
	return 0, nil
}

// width is how many leaves a bundle has.
func (a *auditor) width(n int64) int {
	return int(min(a.head.Size-n*evidence.TileWidth, evidence.TileWidth))
}
