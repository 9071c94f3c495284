package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"tenu/internal/purchase"
)

// Book is what tenu has on record of a partner.
type Book interface {
	// Next returns the movements of the purchases made about a period, one by one, ordered by purchase and
	// leg, or io.EOF. What it returns is the caller's until the next call.
	Next(ctx context.Context) (*Movement, error)
	// Lookup returns the movements of purchases, wherever they are.
	Lookup(ctx context.Context, ids []purchase.ID) ([]Movement, error)
}

// Span is a time without its end.
type Span struct{ From, To purchase.Instant }

// holds reports whether a time lies in it.
func (s Span) holds(at purchase.Instant) bool { return at >= s.From && at < s.To }

// Place is a purchase and leg.
type Place struct {
	Purchase purchase.ID
	Leg      purchase.Leg
}

// Earlier is what earlier statements of the partner said.
type Earlier interface {
	// Covered are the periods of other statements that are closed.
	Covered() []Span
	// Find returns the lines about the places that earlier statements have.
	Find(ctx context.Context, places []Place) (map[Place][]Line, error)
	// ByRef returns the lines of earlier statements with references of the partner's own.
	ByRef(ctx context.Context, refs map[string]bool) ([]Line, error)
}

// NoEarlier is that there are no earlier statements.
type NoEarlier struct{}

// Covered is Earlier.
func (NoEarlier) Covered() []Span { return nil }

// Find is Earlier.
func (NoEarlier) Find(context.Context, []Place) (map[Place][]Line, error) { return nil, nil }

// ByRef is Earlier.
func (NoEarlier) ByRef(context.Context, map[string]bool) ([]Line, error) { return nil, nil }

// Job is one match of a statement with the book.
type Job struct {
	Partner Partner
	Span    Span
	// Partial: the period is not over, so that nothing is missing yet.
	Partial bool
	Book    Book
	Earlier Earlier
	// Window is how far apart a line without a key and a movement may be.
	Window time.Duration
	// MaxBreaks bounds how many breaks one statement may have; more are no breaks, but another statement.
	MaxBreaks int
	// Dir is where what does not fit into memory is sorted.
	Dir string
	// Found is called with each break.
	Found func(Found) error
	// Progress is called now and then with how many lines were matched; nil is not.
	Progress func(lines int64)
}

// Tally is how a match went.
type Tally struct {
	Lines     int64 // of the statement
	Movements int64 // of the book
	Matched   int64 // lines that have their movement, by key
	ByRef     int64 // by the partner's reference
	ByRule    int64 // by amount, number and time
	Settled   int64 // settlements, which are no movements of purchases
	Open      int64 // movements about which a statement of the next or the last period will tell
	OpenSum   int64
	Breaks    int64
	// Undone is what was taken back, by the leg and currency of what it was: "charge XOF".
	Undone map[string]int64 `json:",omitempty"`
}

// The bounds of a match.
const (
	// DefaultMaxBreaks is Job.MaxBreaks where nothing else is said.
	DefaultMaxBreaks = 100_000
	// maxGroup bounds the lines about one purchase and leg.
	maxGroup = 1000
	// lookedUp is how many purchases are looked up at once.
	lookedUp = 500
)

// ErrTooMany says that a statement has more breaks than one of this partner and period can have.
var ErrTooMany = errors.New("too many breaks: is this the statement of this partner and period?")

// matcher is a Job at work.
type matcher struct {
	*Job
	t      Tally
	lines  stream
	line   Line // the next one
	ended  bool
	undone map[string]*undoing

	strangers []Line // whose purchase the book has not shown
	suspects  []suspect
	keyless   *spool // lines without a key of ours
	nKeyless  int64
	movements *spool // that have no line, where there are lines without a key
	covered   []Span
}

// suspect is a movement that was told to be done, and has no line in this statement.
type suspect struct {
	m       Movement
	lied    []Told
	certain bool // it lies within what is covered
}

// Match matches a statement with the book.
func (j *Job) Match(ctx context.Context, c *Checked) (Tally, error) {
	lines, err := c.stream()
	if err != nil {
		return Tally{}, err
	}
	if j.MaxBreaks <= 0 {
		j.MaxBreaks = DefaultMaxBreaks
	}
	if j.Window <= 0 {
		j.Window = DefaultWindow
	}
	return j.match(ctx, lines, c.undone)
}

// match matches the lines of a statement, in the order of their records, with the book.
// undone are the lines that take movements back, which are among the others too.
func (j *Job) match(ctx context.Context, lines stream, undone []Line) (t Tally, err error) {
	x := &matcher{Job: j, lines: lines, undone: make(map[string]*undoing, len(undone)), keyless: newSpool(j.Dir), movements: newSpool(j.Dir)}
	defer func() {
		x.keyless.close()
		x.movements.close()
	}()
	for i := range undone {
		x.undone[undone[i].Original] = &undoing{line: undone[i]}
	}
	x.covered = append(slices.Clone(j.Earlier.Covered()), j.Span)
	if j.Partial {
		x.covered = x.covered[:len(x.covered)-1]
	}
	x.covered = joined(x.covered)
	for _, step := range []func(context.Context) error{x.byKey, x.byRef, x.byRule, x.foreign, x.missing, x.unnamed} {
		if err := step(ctx); err != nil {
			return x.t, err
		}
	}
	for _, u := range x.undone {
		if u.leg != 0 {
			if x.t.Undone == nil {
				x.t.Undone = map[string]int64{}
			}
			x.t.Undone[u.leg.String()+" "+string(u.line.Amount.Currency)] += u.line.Amount.Minor
		}
	}
	return x.t, nil
}

// joined are periods in order, those that meet as one.
func joined(spans []Span) (all []Span) {
	slices.SortFunc(spans, func(a, b Span) int { return int(min(max(a.From-b.From, -1), 1)) })
	for _, s := range spans {
		if n := len(all); n > 0 && s.From <= all[n-1].To {
			all[n-1].To = max(all[n-1].To, s.To)
			continue
		}
		all = append(all, s)
	}
	return all
}

// report hands over a break.
func (x *matcher) report(f Found) error {
	x.t.Breaks++
	if x.t.Breaks > int64(x.MaxBreaks) {
		return fmt.Errorf("%w (more than %d)", ErrTooMany, x.MaxBreaks)
	}
	return x.Found(f)
}

// advance reads the next line into x.line.
func (x *matcher) advance() error {
	record, err := x.lines.next()
	if errors.Is(err, io.EOF) {
		x.ended = true
		return nil
	}
	if err != nil {
		return err
	}
	if x.line, err = decodeLine(record); err != nil {
		return err
	}
	x.t.Lines++
	if x.Progress != nil && x.t.Lines%(1<<16) == 0 {
		x.Progress(x.t.Lines)
	}
	return nil
}

// setAside keeps a line without a key of ours for the other rules.
func (x *matcher) setAside(buffer []byte) ([]byte, error) {
	switch x.line.Kind {
	case KindSettlement:
		x.t.Settled++
		return buffer, nil
	case KindUndone: // it is found by what it takes back
		return buffer, nil
	default:
	}
	x.nKeyless++
	buffer = refOrder(buffer[:0], x.line.Kind, x.line.Ref)
	buffer = x.line.encode(buffer)
	return buffer, x.keyless.add(buffer)
}

// byKey goes through lines and book side by side.
func (x *matcher) byKey(ctx context.Context) error {
	if err := x.advance(); err != nil {
		return err
	}
	var buffer []byte
	var err error
	for !x.ended && x.line.Purchase == 0 { // they come first
		if buffer, err = x.setAside(buffer); err != nil {
			return err
		}
		if err := x.advance(); err != nil {
			return err
		}
	}
	var group []Line
	for {
		m, err := x.Book.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		x.t.Movements++
		if group, err = x.groupOf(group[:0], Place{m.Purchase, m.Leg}); err != nil {
			return err
		}
		if err := x.meet(m, group, buffer[:0]); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	for !x.ended {
		if err := x.stranger(); err != nil {
			return err
		}
	}
	return nil
}

// groupOf reads the lines of a place. Those before it have no movement in the book.
func (x *matcher) groupOf(group []Line, at Place) ([]Line, error) {
	for !x.ended {
		switch l := &x.line; {
		case l.Purchase < at.Purchase || l.Purchase == at.Purchase && l.Leg < at.Leg:
			if err := x.stranger(); err != nil {
				return nil, err
			}
			continue
		case l.Purchase > at.Purchase || l.Leg > at.Leg:
			return group, nil
		}
		if x.line.Kind == KindUndone {
			if err := x.advance(); err != nil {
				return nil, err
			}
			continue
		}
		if len(group) == maxGroup {
			return nil, fmt.Errorf("line %d: more than %d lines have one key", x.line.Place, maxGroup)
		}
		group = append(group, x.line)
		if err := x.advance(); err != nil {
			return nil, err
		}
	}
	return group, nil
}

// stranger sets a line aside whose purchase is to be looked up.
func (x *matcher) stranger() error {
	if x.line.Kind == KindUndone {
		return x.advance()
	}
	if len(x.strangers) > x.MaxBreaks {
		return fmt.Errorf("%w (more than %d lines are of purchases made at other times)", ErrTooMany, x.MaxBreaks)
	}
	x.strangers = append(x.strangers, x.line)
	return x.advance()
}

// meet judges a movement and its lines.
func (x *matcher) meet(m *Movement, group []Line, buffer []byte) error {
	if len(group) == 0 && len(m.Done) == 0 && len(m.Undone) == 0 {
		return x.candidate(m, nil, buffer) // it may have a line without a key
	}
	v := x.Partner.judge(m, group, x.undone)
	x.t.Matched += int64(v.matched)
	for _, f := range v.found {
		if err := x.report(f); err != nil {
			return err
		}
	}
	if err := x.legs(m, group); err != nil {
		return err
	}
	if x.Partner.Undone {
		if err := x.taken(m, group); err != nil {
			return err
		}
	}
	if v.missing {
		return x.candidate(m, v.lied, buffer)
	}
	return nil
}

// legs finds lines whose kind is not that of their key.
func (x *matcher) legs(m *Movement, group []Line) error {
	for i := range group {
		if group[i].Kind != kindOf(m.Leg) {
			if err := x.report(x.Partner.describe(m, &group[i], CauseLeg, "the line says "+group[i].Kind.String()+", its key is of the "+m.Leg.String())); err != nil {
				return err
			}
		}
	}
	return nil
}

// taken finds what is said to be taken back, and stands in the statement as if it were not.
func (x *matcher) taken(m *Movement, group []Line) error {
	for i := range m.Undone {
		u := &m.Undone[i]
		if x.Partial || u.Stated || !x.within(m.First.Add(-x.Partner.Skew), u.At.Add(x.Partner.Skew)) || x.Partner.RefIsKey {
			continue
		}
		if u.Ref != "" && x.undone[u.Ref] == nil && slices.ContainsFunc(group, func(l Line) bool { return l.Ref == u.Ref }) {
			if err := x.report(x.Partner.unundone(m, u)); err != nil {
				return err
			}
		}
	}
	return nil
}

// within reports whether a time lies in this statement's own period.
func (x *matcher) within(from, till purchase.Instant) bool {
	return from >= x.Span.From && till < x.Span.To
}

// touches reports whether a movement may have been executed in the period.
func (x *matcher) touches(from, till purchase.Instant) bool {
	return till >= x.Span.From && from < x.Span.To
}

// candidate keeps a movement without a line: it may have one without a key, or be a lie.
func (x *matcher) candidate(m *Movement, lied []Told, buffer []byte) error {
	from, till := m.span(x.Span.To)
	from, till = from.Add(-x.Partner.Skew), till.Add(x.Partner.Skew)
	if !x.touches(from, till) {
		return nil
	}
	if x.nKeyless > 0 {
		ref := ""
		if len(lied) > 0 {
			ref = lied[0].Ref
		}
		buffer = refOrder(buffer, kindOf(m.Leg), ref)
		return x.movements.add(encodeMovement(buffer, m, lied))
	}
	return x.suspect(m, lied, from, till)
}

// suspect keeps what was told to be done and has no line here.
func (x *matcher) suspect(m *Movement, lied []Told, from, till purchase.Instant) error {
	if len(lied) == 0 {
		return nil
	}
	certain := false
	for _, s := range x.covered {
		certain = certain || from >= s.From && till <= s.To
	}
	if len(x.suspects) > x.MaxBreaks {
		return fmt.Errorf("%w (more than %d movements are not in it)", ErrTooMany, x.MaxBreaks)
	}
	x.suspects = append(x.suspects, suspect{*m, slices.Clone(lied), certain})
	return nil
}

// foreign looks up the purchases of lines that the book has not shown.
func (x *matcher) foreign(ctx context.Context) error {
	for rest := x.strangers; len(rest) > 0; {
		n := min(len(rest), lookedUp)
		for n < len(rest) && rest[n].Purchase == rest[n-1].Purchase {
			n++
		}
		part := rest[:n]
		rest = rest[n:]
		ids := make([]purchase.ID, 0, n)
		for i := range part {
			if len(ids) == 0 || ids[len(ids)-1] != part[i].Purchase {
				ids = append(ids, part[i].Purchase)
			}
		}
		found, err := x.Book.Lookup(ctx, ids)
		if err != nil {
			return err
		}
		of := make(map[Place]*Movement, len(found))
		for i := range found {
			of[Place{found[i].Purchase, found[i].Leg}] = &found[i]
		}
		for i := 0; i < len(part); {
			k := i + 1
			at := Place{part[i].Purchase, part[i].Leg}
			for k < len(part) && (Place{part[k].Purchase, part[k].Leg}) == at {
				k++
			}
			v := x.Partner.judge(of[at], part[i:k], x.undone)
			x.t.Matched += int64(v.matched)
			for _, f := range v.found {
				if err := x.report(f); err != nil {
					return err
				}
			}
			i = k
		}
	}
	return nil
}

// missing decides what has no line: a lie where the time is covered, and open where it is not.
func (x *matcher) missing(ctx context.Context) error {
	for rest := x.suspects; len(rest) > 0; {
		part := rest[:min(len(rest), lookedUp)]
		rest = rest[len(part):]
		places := make([]Place, len(part))
		for i := range part {
			places[i] = Place{part[i].m.Purchase, part[i].m.Leg}
		}
		known, err := x.Earlier.Find(ctx, places)
		if err != nil {
			return err
		}
		for i := range part {
			if err := x.decide(&part[i], known[places[i]]); err != nil {
				return err
			}
		}
	}
	return nil
}

// decide judges a suspect with the lines of other statements.
func (x *matcher) decide(s *suspect, lines []Line) error {
	if len(lines) > 0 {
		v := x.Partner.judge(&s.m, lines, nil)
		if s.lied = v.lied; !v.missing {
			return nil
		}
	}
	for i := range s.lied {
		if !s.certain {
			x.t.Open++
			x.t.OpenSum += s.lied[i].Amount.Minor
			continue
		}
		if err := x.report(x.Partner.lie(&s.m, &s.lied[i])); err != nil {
			return err
		}
	}
	return nil
}

// unnamed finds what the lines that take movements back are about, where neither the book nor the statement says so.
func (x *matcher) unnamed(ctx context.Context) error {
	refs := map[string]bool{}
	for ref, u := range x.undone {
		if !u.used {
			refs[ref] = true
		}
	}
	if len(refs) == 0 {
		return nil
	}
	lines, err := x.Earlier.ByRef(ctx, refs)
	if err != nil {
		return err
	}
	for i := range lines {
		l, u := &lines[i], x.undone[lines[i].Ref]
		if u == nil || u.used || l.Purchase == 0 {
			continue
		}
		found, err := x.Book.Lookup(ctx, []purchase.ID{l.Purchase})
		if err != nil {
			return err
		}
		for k := range found {
			m := &found[k]
			if m.Leg != l.Leg || len(m.Done) == 0 {
				continue
			}
			u.used, u.leg = true, m.Leg
			d := m.Done[0]
			if !m.undone(d.Ref) {
				if err := x.report(x.Partner.reversed(m, &d, &u.line)); err != nil {
					return err
				}
			}
		}
	}
	rest := make([]string, 0, len(refs))
	for ref := range refs {
		rest = append(rest, ref)
	}
	slices.Sort(rest)
	for _, ref := range rest {
		if u := x.undone[ref]; !u.used {
			f := x.Partner.unasked(nil, &u.line)
			f.Detail = "it takes back a movement that is not on record"
			if err := x.report(f); err != nil {
				return err
			}
		}
	}
	return nil
}
