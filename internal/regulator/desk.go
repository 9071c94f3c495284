package regulator

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"tenu/internal/purchase"
)

// Head tells the head of the log of promises and outcomes, as a text that its verifier understands.
type Head func(ctx context.Context) (string, error)

// Config is what a desk is built from. All of it is needed but Head.
type Config struct {
	Store    Store
	Clock    purchase.Clock
	Location *time.Location
	House    string // the payer of what no customer pays for
	Version  string // of the software
	Secret   []byte // of the installation, for the key that signs reports and for pseudonyms
	// Head is the head of the log; nil: there is none, and a report says so.
	Head Head
}

// Desk sums up days and keeps reports and questions. It is safe for concurrent use.
type Desk struct {
	cfg Config
	key ed25519.PrivateKey

	mu   sync.Mutex // of live
	live live
}

// New returns a desk, or an error that says what cannot be.
func New(cfg Config) (*Desk, error) {
	if cfg.Store == nil || cfg.Clock == nil || cfg.Location == nil || cfg.Version == "" || len(cfg.Secret) < 16 {
		return nil, errors.New("regulator: something that is needed is missing")
	}
	if cfg.Head == nil {
		cfg.Head = func(context.Context) (string, error) { return "", nil }
	}
	return &Desk{cfg: cfg, key: ed25519.NewKeyFromSeed(derived(cfg.Secret, "report key"))}, nil
}

// derived is a key of its own of the installation's secret.
func derived(secret []byte, what string) []byte {
	sum := sha256.Sum256(append([]byte("tenu regulator "+what+"\x00"), secret...))
	return sum[:]
}

// settle is how long after its end a day is summed up: what was decided before its end is written by then, but for what a
// correction finds.
const settle = 10 * time.Minute

// again is how many days are looked at again for what was written later, each time that a day is summed up.
const again = 3

// piece is how much is summed up at once to begin with, so that no reading lasts long. Where little is bought it is more, where
// much is, less; what comes out does not depend on it.
const (
	piece     = time.Hour
	leastly   = 5 * time.Minute
	mostly    = 24 * time.Hour
	littleBuy = 5_000 // purchases of a piece
	muchBuy   = 50_000
)

// dayForm names days.
const dayForm = time.DateOnly

// begins is when a day of the country begins.
func (d *Desk) begins(year int, month time.Month, day int) purchase.Instant {
	return purchase.At(time.Date(year, month, day, 0, 0, 0, 0, d.cfg.Location))
}

// dayOf is the day that an instant is in.
func (d *Desk) dayOf(at purchase.Instant) (name string, s Span) {
	then := at.Time().In(d.cfg.Location)
	year, month, day := then.Date()
	return then.Format(dayForm), Span{d.begins(year, month, day), d.begins(year, month, day+1)}
}

// Step sums up the next day that is over and not summed up yet, and looks again at those before it. It returns when
// there may be something to do again. Several nodes may do so: the first is heeded.
func (d *Desk) Step(ctx context.Context, now purchase.Instant) (next purchase.Instant, err error) {
	name, span, items, err := d.due(ctx)
	if errors.Is(err, ErrNotFound) {
		_, today := d.dayOf(now)
		return today.Till.Add(settle), nil
	}
	if err != nil {
		return 0, err
	}
	if at := span.Till.Add(settle); at > now {
		return at, nil
	}
	f, changed, err := d.sum(ctx, span, items)
	if err != nil {
		return 0, fmt.Errorf("sum up %s: %w", name, err)
	}
	day := Day{Day: name, Zone: d.cfg.Location.String(), Span: span, ClosedAt: now, Figures: *f}
	if day.Digest, err = digest(f); err != nil {
		return 0, err
	}
	if err := d.cfg.Store.CloseDay(ctx, day, changed); err != nil {
		return 0, err
	}
	if _, err := d.Check(ctx, name, again, now); err != nil {
		return 0, err
	}
	return now, nil
}

// due is the day that is to be summed up next, with what was held when it began.
func (d *Desk) due(ctx context.Context) (name string, span Span, items Items, err error) {
	last, err := d.cfg.Store.LastDay(ctx)
	switch {
	case errors.Is(err, ErrNotFound):
		begin, err := d.cfg.Store.Begin(ctx)
		if err == nil && begin == 0 {
			err = ErrNotFound
		}
		if err != nil {
			return "", Span{}, nil, err
		}
		name, span = d.dayOf(begin)
		return name, span, Items{}, nil
	case err != nil:
		return "", Span{}, nil, err
	}
	name, span = d.dayOf(last.Span.Till)
	span.From = last.Span.Till // also where the time zone was changed
	found, err := d.cfg.Store.ItemsAt(ctx, last.Day)
	return name, span, listed(found), err
}

func listed(found []Item) Items {
	all := Items{}
	all.apply(found)
	return all
}

// sum sums up a time piece by piece, from what was held when it began, and returns what of that changed.
func (d *Desk) sum(ctx context.Context, s Span, items Items) (*Figures, []Item, error) {
	f := (&Figures{}).Whole()
	before := maps.Clone(items)
	each := piece
	for from := s.From; from < s.Till; {
		part, before := Span{from, min(from.Add(each), s.Till)}, f.Made.Count
		if err := d.add(ctx, f, items, part); err != nil {
			return nil, nil, err
		}
		switch bought := f.Made.Count - before; {
		case bought < littleBuy:
			each = min(2*each, mostly)
		case bought > muchBuy:
			each = max(each/2, leastly)
		}
		from = part.Till
	}
	items.sumUp(f, s.Till)
	return f, changes(before, items), nil
}

// add adds a piece.
func (d *Desk) add(ctx context.Context, f *Figures, items Items, part Span) error {
	flows, err := d.cfg.Store.Flows(ctx, part, d.cfg.House)
	if err != nil {
		return err
	}
	moved, err := d.cfg.Store.Moved(ctx, part, d.cfg.House)
	if err != nil {
		return err
	}
	f.Add(&flows)
	items.apply(moved)
	return nil
}

// changes are the items that differ, those that are no more with nothing.
func changes(before, after Items) (changed []Item) {
	all := Items{}
	for k, i := range after {
		if before[k] != i {
			all[k] = i
		}
	}
	for k, i := range before {
		if _, still := after[k]; !still {
			i.Amount = 0
			all[k] = i
		}
	}
	return all.Sorted()
}

// digest is the SHA-256 of figures as they are kept.
func digest(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("write figures: %w", err)
	}
	return Digest(text), nil
}

// Digest is the SHA-256 of a text, in hexadecimal.
func Digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Check sums up so many days once more, the last one given by its name, and adds a correction to each that comes out
// differently. It returns the corrections. What was published before stays as it was.
func (d *Desk) Check(ctx context.Context, till string, days int, now purchase.Instant) ([]Correction, error) {
	last, err := time.ParseInLocation(dayForm, till, d.cfg.Location)
	if err != nil {
		return nil, ErrPeriod
	}
	from := purchase.At(last.AddDate(0, 0, -days))
	all, err := d.cfg.Store.Days(ctx, Span{from, purchase.At(last) + 1})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	known, err := d.right(ctx, all)
	if err != nil {
		return nil, err
	}
	// The first is where to begin: how it stood at its end.
	first := 0
	items := Items{}
	if before, err := d.before(ctx, &all[0]); err != nil {
		return nil, err
	} else if before {
		found, err := d.cfg.Store.ItemsAt(ctx, all[0].Day)
		if err != nil {
			return nil, err
		}
		items, first = listed(found), 1
	}
	var made []Correction
	for i := first; i < len(all); i++ {
		c, err := d.checkDay(ctx, &all[i], known[i], items, now)
		if err != nil {
			return made, fmt.Errorf("check %s: %w", all[i].Day, err)
		}
		if c != nil {
			made = append(made, *c)
		}
	}
	return made, nil
}

// before reports whether a day has one before it.
func (d *Desk) before(ctx context.Context, day *Day) (bool, error) {
	earlier, err := d.cfg.Store.Days(ctx, Span{day.Span.From.Add(-49 * time.Hour), day.Span.From})
	return len(earlier) > 0, err
}

// checkDay sums up a day once more, with items as they were when it began, which it brings to its end.
func (d *Desk) checkDay(ctx context.Context, day *Day, known *Figures, items Items, now purchase.Instant) (*Correction, error) {
	f, _, err := d.sum(ctx, day.Span, items)
	if err != nil {
		return nil, err
	}
	is, err := digest(f)
	if err != nil {
		return nil, err
	}
	was, err := digest(known)
	if err != nil || is == was {
		return nil, err
	}
	kept, err := d.cfg.Store.ItemsAt(ctx, day.Day)
	if err != nil {
		return nil, err
	}
	c := Correction{Day: day.Day, At: now, Figures: *f, Changed: Differences(known, f), Digest: is}
	if err := d.cfg.Store.Correct(ctx, c, changes(listed(kept), items)); err != nil {
		return nil, err
	}
	return &c, nil
}

// right are the figures of days as they are right by now: as they were summed up, or last corrected.
func (d *Desk) right(ctx context.Context, days []Day) ([]*Figures, error) {
	if len(days) == 0 {
		return nil, nil
	}
	all, err := d.cfg.Store.Corrections(ctx, days[0].Day, days[len(days)-1].Day)
	if err != nil {
		return nil, err
	}
	corrected := map[string]*Figures{}
	for i := range all {
		corrected[all[i].Day] = all[i].Figures.Whole()
	}
	figures := make([]*Figures, len(days))
	for i := range days {
		if figures[i] = corrected[days[i].Day]; figures[i] == nil {
			figures[i] = days[i].Figures.Whole()
		}
	}
	return figures, nil
}

// Run sums up days as they end, until ctx ends. It calls wrong with what did not succeed.
func (d *Desk) Run(ctx context.Context, wrong func(error)) {
	for ctx.Err() == nil {
		now := d.cfg.Clock.Now()
		next, err := d.Step(ctx, now)
		wait := next.Sub(now)
		if err != nil {
			if ctx.Err() == nil {
				wrong(err)
			}
			wait = time.Minute
		}
		select {
		case <-ctx.Done():
		case <-d.cfg.Clock.After(min(max(wait, time.Millisecond), time.Hour)):
		}
	}
}
