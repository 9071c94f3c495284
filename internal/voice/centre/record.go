package centre

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"tenu/internal/purchase"
)

// RecorderConfig is what a recorder is built from. Store, Clock and Epoch are needed.
type RecorderConfig struct {
	Store Store
	Clock purchase.Clock
	Log   *slog.Logger
	// Epoch is of the process's lease: refused calls are counted under it.
	Epoch int64
	// Room is how many calls wait for the store at most (default 20 000); what comes then is lost, and counted.
	Room int
	// Ended is told, without waiting, of each call that ended; nil: nobody is.
	Ended func(Call)
}

// The rhythm of writing.
const (
	gatherFor = time.Second     // after a call ended, so that others are written with it
	atOnce    = 500             // calls of one write
	flushFor  = 5 * time.Second // at the end
	hour      = time.Hour
)

// Recorder keeps calls that ended. Add and Refuse never wait; what they tell is durable about a second later, and lost
// when the process dies before. It is safe for concurrent use.
type Recorder struct {
	cfg  RecorderConfig
	wake chan struct{}

	mu      sync.Mutex
	calls   []Call
	refused map[purchase.Instant]int // by hour, as far as they are to be written again
	unsaid  bool                     // refused calls are not written yet
	lost    int64
	told    int64 // of those lost
}

// NewRecorder returns a recorder that writes nothing before it runs.
func NewRecorder(cfg RecorderConfig) *Recorder {
	cfg.Room = cmp.Or(cfg.Room, 20_000)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Recorder{cfg: cfg, wake: make(chan struct{}, 1), refused: map[purchase.Instant]int{}}
}

// Add keeps a call that ended.
func (r *Recorder) Add(c Call) {
	c.straighten()
	if r.cfg.Ended != nil {
		r.cfg.Ended(c)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.calls) >= r.cfg.Room {
		r.lost++
		return
	}
	r.calls = append(r.calls, c)
	r.wakeUp()
}

// straighten makes a call one that every store takes: times in their order though the clock was put back,
// and an agent for who spoke with one.
func (c *Call) straighten() {
	c.Answered = max(c.Answered, c.At)
	last := c.Answered
	if c.Staff == 0 || c.Taken == 0 {
		c.Staff, c.Taken = 0, 0
	}
	if c.Taken != 0 && c.Queued == 0 {
		c.Queued = c.Taken
	}
	for _, at := range []*purchase.Instant{&c.Queued, &c.Taken} {
		if *at != 0 {
			*at = max(*at, last)
			last = *at
		}
	}
	c.Ended = max(c.Ended, last)
	if c.Release == Spoken && c.Taken == 0 {
		c.Release = Abandoned
	}
}

// Refuse counts a call that was refused.
func (r *Recorder) Refuse(at purchase.Instant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	begins := at - at%purchase.Instant(hour.Microseconds())
	r.refused[begins]++
	r.unsaid = true
	r.wakeUp()
}

func (r *Recorder) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Lost is how many calls could not be kept since the start.
func (r *Recorder) Lost() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// Run writes what is told, for as long as ctx lasts, and what is left then.
func (r *Recorder) Run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-r.wake:
			select {
			case <-ctx.Done():
			case <-r.cfg.Clock.After(gatherFor):
				r.write(ctx)
			}
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushFor)
	defer cancel()
	r.write(last)
	r.mu.Lock()
	r.lost += int64(len(r.calls))
	r.calls = nil
	r.mu.Unlock()
	r.tell()
}

// write writes what there is, until the store does not take it.
func (r *Recorder) write(ctx context.Context) {
	defer r.tell()
	for {
		calls, refused := r.next()
		if len(calls)+len(refused) == 0 {
			return
		}
		err := r.cfg.Store.AddCalls(ctx, calls, refused)
		if err != nil && !again(err) {
			err = r.oneByOne(ctx, calls, refused)
		}
		if err != nil {
			r.cfg.Log.Warn("calls wait for the store", "error", err)
			r.mu.Lock()
			r.wakeUp()
			r.mu.Unlock()
			return
		}
		r.written(len(calls), refused)
	}
}

// again reports whether the same may be written later: not what a rule of the store refuses.
func again(err error) bool {
	return errors.Is(err, purchase.ErrUnavailable) || errors.Is(err, purchase.ErrCommitUnknown) || errors.Is(err, context.Canceled) ||
		errors.Is(err, context.DeadlineExceeded)
}

// oneByOne writes a batch without what the store refuses in it.
func (r *Recorder) oneByOne(ctx context.Context, calls []Call, refused []Refused) error {
	for i := range calls {
		switch err := r.cfg.Store.AddCalls(ctx, calls[i:i+1], nil); {
		case err == nil:
		case again(err):
			return err
		default:
			r.cfg.Log.Error("a call cannot be kept", "call", calls[i].ID, "error", err)
			r.mu.Lock()
			r.lost, r.told = r.lost+1, r.told+1
			r.mu.Unlock()
		}
	}
	return r.cfg.Store.AddCalls(ctx, nil, refused)
}

// next is what is to be written next. It stays until it is written.
func (r *Recorder) next() ([]Call, []Refused) {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls[:min(atOnce, len(r.calls))]
	if !r.unsaid {
		return calls, nil
	}
	var refused []Refused
	for _, at := range slices.Sorted(maps.Keys(r.refused)) {
		refused = append(refused, Refused{Epoch: r.cfg.Epoch, Hour: at, Count: r.refused[at]})
	}
	return calls, refused
}

// written forgets what was written. The sums of the last hours stay: more may come to them.
func (r *Recorder) written(calls int, refused []Refused) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls = r.calls[calls:]; len(r.calls) == 0 {
		r.calls = nil
	}
	if len(refused) == 0 {
		return
	}
	told := map[purchase.Instant]int{}
	for _, x := range refused {
		told[x.Hour] = x.Count
	}
	r.unsaid = false
	old := r.cfg.Clock.Now().Add(-2 * hour)
	for at, n := range r.refused {
		switch {
		case told[at] != n: // more came meanwhile
			r.unsaid = true
		case at < old:
			delete(r.refused, at)
		}
	}
}

// tell logs what was lost since the last time.
func (r *Recorder) tell() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.lost - r.told; n > 0 {
		r.told = r.lost
		r.cfg.Log.Error("calls could not be kept", "calls", n)
	}
}
