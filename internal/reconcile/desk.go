package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// Known is a partner whose statements are loaded.
type Known struct {
	Partner
	Mapping *Mapping
	// Settlement is how its days are settled; nil: nothing is expected on an account.
	Settlement *Settlement
}

// Bounds are what a role may do with breaks, minor units.
type Bounds struct {
	Single    int64 // that may be asked for
	Unchecked int64 // without somebody else
	Approve   int64 // that may be agreed to
}

// Grants says what a purchase would heed; Engine.Grants is one.
type Grants func(*purchase.Purchase, purchase.Wish, purchase.Instant) purchase.Grant

// Config is what a Desk is built from.
type Config struct {
	Store  Store
	Keys   Keys
	Clock  purchase.Clock
	Known  []Known
	Bounds map[auth.Role]Bounds
	// Lookback is how long before a period purchases may have been made that move in it.
	Lookback time.Duration
	Window   time.Duration
	// MaxBreaks bounds the breaks of one statement.
	MaxBreaks int
	// Dir is where what does not fit into memory is sorted; "" for the system's.
	Dir string
	// ByHand: nothing is accepted by rule, not even what the table decides.
	ByHand bool
	// Grants says what a purchase would heed; nil: it is not asked, and what is advised may not be heeded.
	Grants Grants
	// Zone is where days are days; nil is UTC.
	Zone *time.Location
	// Reference names a purchase for people.
	Reference func(purchase.ID) string
}

// DefaultLookback is Config.Lookback where nothing else is said: as long as a
// purchase may be open, and late evidence is looked for.
const DefaultLookback = 72 * time.Hour

// Desk loads statements and deals with breaks. It is safe for concurrent use.
type Desk struct{ cfg Config }

// NewDesk returns a desk.
func NewDesk(cfg Config) (*Desk, error) {
	if cfg.Store == nil || cfg.Keys == nil || cfg.Clock == nil {
		return nil, errors.New("reconcile: store, keys and clock are needed")
	}
	if cfg.Lookback <= 0 {
		cfg.Lookback = DefaultLookback
	}
	if cfg.MaxBreaks <= 0 {
		cfg.MaxBreaks = DefaultMaxBreaks
	}
	if cfg.Zone == nil {
		cfg.Zone = time.UTC
	}
	if cfg.Reference == nil {
		cfg.Reference = func(id purchase.ID) string { return fmt.Sprint(int64(id)) }
	}
	return &Desk{cfg}, nil
}

// Known returns what is known of a partner.
func (d *Desk) Known(partner string) (Known, bool) {
	i := slices.IndexFunc(d.cfg.Known, func(k Known) bool { return k.Name == partner })
	if i < 0 {
		return Known{}, false
	}
	return d.cfg.Known[i], true
}

// Report is what became of a statement.
type Report struct {
	Statement Statement
	// Repeated: it was loaded before, and nothing was done.
	Repeated bool
	// Breaks are those that it shows, by cause; Fresh is how many nobody knew.
	Breaks map[Cause]int
	Fresh  int
	// Gone are breaks of before that it does not show any more.
	Gone int
	// ByTable are corrections that were handed over at once, because the table decides.
	ByTable int
	// Replaced are earlier statements of its period.
	Replaced int
}

// Load checks a statement, matches it, and keeps it with its breaks. What is refused
// leaves no trace. Loading it again does nothing more.
func (d *Desk) Load(ctx context.Context, name string, r io.Reader, m *Mapping, want Want, progress func(done int64)) (rep Report, err error) {
	want.Now = d.cfg.Clock.Now()
	c, err := Check(ctx, name, r, m, d.cfg.Keys, want, d.cfg.Dir, progress)
	if err != nil {
		return rep, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	known, ok := d.Known(c.Head.Partner)
	if !ok {
		return rep, fmt.Errorf("%w: nobody here is called %q", ErrPartner, clipped(c.Head.Partner))
	}
	st := Statement{Partner: c.Head.Partner, Name: c.Name, Format: m.Format, Zone: c.Head.Zone, Digest: c.Digest,
		Span: Span{c.Head.From, c.Head.To}, At: want.Now, Partial: c.Partial, Lines: c.Lines, Sums: c.Sums}
	switch had, err := d.cfg.Store.Loaded(ctx, st.Partner, st.Digest); {
	case err == nil:
		rep.Statement, rep.Repeated = had, true
		return rep, nil
	case !errors.Is(err, ErrNoStatement):
		return rep, err
	}
	rep.Statement = st
	l := &loading{Desk: d, c: c, known: &known, report: &rep}
	return rep, l.run(ctx, progress)
}

// loading is a statement on its way.
type loading struct {
	*Desk
	c       *Checked
	known   *Known
	report  *Report
	found   []Found
	replace []int64
}

func (l *loading) add(f Found) error {
	if len(l.found) >= l.cfg.MaxBreaks {
		return fmt.Errorf("%w (more than %d)", ErrTooMany, l.cfg.MaxBreaks)
	}
	l.found = append(l.found, f)
	return nil
}

func (l *loading) run(ctx context.Context, progress func(int64)) error {
	st := &l.report.Statement
	around := Span{st.From.Add(-l.cfg.Lookback), st.To.Add(l.cfg.Lookback)}
	others, err := l.cfg.Store.Statements(ctx, st.Partner, around)
	if err != nil {
		return err
	}
	if err := l.compare(ctx, others); err != nil {
		return err
	}
	book, err := l.book(ctx, st.Partner, Span{st.From.Add(-l.cfg.Lookback), st.To.Add(l.known.Skew)})
	if err != nil {
		return err
	}
	defer book.close()
	job := Job{Partner: l.known.Partner, Span: st.Span, Partial: st.Partial, Book: book,
		Earlier: newArchive(l.cfg.Store, others, l.replace, st.Span), Window: l.cfg.Window, MaxBreaks: l.cfg.MaxBreaks, Dir: l.cfg.Dir,
		Found: l.add, Progress: progress}
	if st.Tally, err = job.Match(ctx, l.c); err != nil {
		return err
	}
	st.Tally.Breaks = int64(len(l.found))
	begun, err := l.cfg.Store.BeginStatement(ctx, *st) // from here on it is not refused any more
	if err != nil {
		return err
	}
	if st.ID = begun.ID; begun.Kept {
		l.report.Repeated = true
		return nil
	}
	if err := l.keep(ctx, st.ID); err != nil {
		return err
	}
	now := l.cfg.Clock.Now()
	if l.report.Fresh, err = l.cfg.Store.PutBreaks(ctx, st.Partner, st.ID, l.found, now); err != nil {
		return err
	}
	if l.report.Gone, err = l.cfg.Store.EndStatement(ctx, *st, l.replace, now); err != nil {
		return err
	}
	st.Kept, l.report.Replaced = true, len(l.replace)
	l.report.Breaks = map[Cause]int{}
	for i := range l.found {
		l.report.Breaks[l.found[i].Cause]++
	}
	if !l.cfg.ByHand {
		if l.report.ByTable, err = l.ByTable(ctx, st.Partner); err != nil {
			return err
		}
	}
	return l.settled(ctx)
}

// settled looks again at the days that are settled on the account whose statement this is, or on the partner's.
func (l *loading) settled(ctx context.Context) error {
	account := ""
	if l.known.Settlement != nil {
		account = l.known.Settlement.Account
	}
	for i := range l.cfg.Known {
		if s := l.cfg.Known[i].Settlement; s != nil && s.Account == l.known.Name {
			account = s.Account
		}
	}
	if account == "" {
		return nil
	}
	return l.settle(ctx, account)
}

// ByTable hands over the corrections of a partner's open breaks that the table itself decides:
// the answers of legs that wait for one.
func (d *Desk) ByTable(ctx context.Context, partner string) (n int, err error) {
	const page = 500
	for before := int64(0); ; {
		all, err := d.cfg.Store.Breaks(ctx, Sift{Partner: partner, Status: []Status{StatusOpen}, Before: before, Limit: page})
		if err != nil {
			return n, err
		}
		for i := range all {
			b := &all[i]
			before = b.ID
			if !b.ByTable || b.Correction.Leg == 0 {
				continue
			}
			switch err := d.correct(ctx, *b, Entry{Event: "accepted", Text: "by rule: the table decides"}); {
			case err == nil:
				n++
			case !errors.Is(err, ErrStale) && !errors.Is(err, ErrMoved):
				return n, err
			}
		}
		if len(all) < page {
			return n, nil
		}
	}
}

// storeBook is a Book that reads the store page by page, ahead of who reads the book.
type storeBook struct {
	store   Store
	partner string
	ranges  []IDs
	queue   []Movement
	at      int
	pages   chan chan bookPage // nil before the first is read
	stop    context.CancelFunc
}

// bookPage is a page of a book, or why there is none.
type bookPage struct {
	found []Movement
	err   error
}

// A page is the movements of so many purchases. One is matched, and two more are being read or wait: with 500 bytes a movement
// some 15 MB.
const (
	pageSize = 10_000
	ahead    = 1
)

func (d *Desk) book(ctx context.Context, partner string, made Span) (*storeBook, error) {
	ranges, err := d.cfg.Store.Made(ctx, made)
	if err != nil {
		return nil, err
	}
	return &storeBook{store: d.cfg.Store, partner: partner, ranges: ranges}, nil
}

// close ends the reading. It must be called.
func (b *storeBook) close() {
	if b.stop == nil {
		return
	}
	b.stop()
	for page := range b.pages {
		<-page
	}
}

// read has every page read, two at a time, and hands them over in their order. It ends with the context.
func (b *storeBook) read(ctx context.Context, ranges []IDs, pages chan<- chan bookPage) {
	defer close(pages)
	for _, in := range ranges {
		for in.From < in.Till {
			page := make(chan bookPage, 1)
			till, err := b.store.Piece(ctx, in, pageSize)
			select {
			case pages <- page:
			case <-ctx.Done():
				return
			}
			if err != nil {
				page <- bookPage{err: err}
				return
			}
			go func(in IDs) { // ends once it is read, or with the context
				found, err := b.store.Movements(ctx, b.partner, in)
				page <- bookPage{found, err}
			}(IDs{in.From, till})
			in.From = till
		}
	}
}

// Next is Book.
func (b *storeBook) Next(ctx context.Context) (*Movement, error) {
	if b.pages == nil {
		ctx, b.stop = context.WithCancel(ctx)
		b.pages = make(chan chan bookPage, ahead)
		go b.read(ctx, b.ranges, b.pages)
	}
	for b.at == len(b.queue) {
		page, more := <-b.pages
		if !more {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return nil, io.EOF
		}
		p := <-page
		if p.err != nil {
			return nil, p.err
		}
		b.queue, b.at = p.found, 0
	}
	b.at++
	return &b.queue[b.at-1], nil
}

// Lookup is Book.
func (b *storeBook) Lookup(ctx context.Context, ids []purchase.ID) (all []Movement, err error) {
	records, err := b.store.Load(ctx, ids...)
	if err != nil {
		return nil, err
	}
	for i := range records {
		m := MovementsOf(&records[i], b.partner)
		if len(m) == 0 { // it is known, and was never the partner's
			for _, leg := range purchase.Legs {
				never := asked(&records[i], leg)
				never.Elsewhere = true
				m = append(m, never)
			}
		}
		all = append(all, m...)
	}
	return all, nil
}
