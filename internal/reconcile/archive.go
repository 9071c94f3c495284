package reconcile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"sync"

	"github.com/klauspost/compress/flate"

	"tenu/internal/purchase"
)

// The lines of statements are kept in parts: their records in order, compressed.
const (
	partBytes    = 512 << 10 // of records, before they are compressed
	partsAtOnce  = 48        // are stored by one exchange: some 8 MB
	packedAhead  = 6         // are packed while others are stored
	maxPartBytes = partBytes + 4*MaxLine
	placeWidth   = 9 // purchase and leg, at the beginning of a record
)

// keep writes the lines of a statement into the store: pieces are cut here, packed by several at a time, and stored in their order.
func (l *loading) keep(ctx context.Context, statement int64) (err error) {
	in, err := l.c.stream()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	packing := make(chan chan packed, packedAhead)
	stored := make(chan error, 1)
	go func() { // ends once packing is closed, and every piece came
		err := l.put(ctx, statement, packing)
		if err != nil {
			cancel()
			for piece := range packing {
				<-piece
			}
		}
		stored <- err
	}()
	cut := func() error {
		defer close(packing)
		w := &partWriter{}
		for {
			record, err := in.next()
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if last := err != nil; last || w.raw.Len() >= partBytes {
				if w.raw.Len() > 0 {
					piece := make(chan packed, 1)
					select {
					case packing <- piece:
					case <-ctx.Done():
						return ctx.Err()
					}
					part := w.end()
					go func() { piece <- pack(part) }() // there is room
				}
				if last {
					return nil
				}
			}
			w.add(record)
		}
	}
	err = cut()
	if stopped := <-stored; stopped != nil {
		err = stopped
	}
	cancel()
	return err
}

// put stores pieces in their order.
func (l *loading) put(ctx context.Context, statement int64, packing <-chan chan packed) error {
	var parts []Part
	flush := func() error {
		err := l.cfg.Store.PutParts(ctx, statement, parts)
		parts = parts[:0]
		return err
	}
	for piece := range packing {
		p := <-piece
		if p.err != nil {
			return p.err
		}
		if parts = append(parts, p.Part); len(parts) == partsAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// partWriter gathers the records of a part.
type partWriter struct {
	raw   bytes.Buffer
	first []byte
	seq   int
}

func (w *partWriter) add(record []byte) {
	if w.raw.Len() == 0 {
		w.first = bytes.Clone(record[:placeWidth])
	}
	var length [binary.MaxVarintLen32]byte
	w.raw.Write(length[:binary.PutUvarint(length[:], uint64(len(record)))])
	w.raw.Write(record)
}

// end is the part, whose lines are not packed yet.
func (w *partWriter) end() Part {
	p := Part{Seq: w.seq, First: w.first, Lines: w.raw.Bytes()}
	w.seq++
	w.raw = bytes.Buffer{}
	w.raw.Grow(partBytes + 4<<10)
	return p
}

// packed is a part, or why it could not be packed.
type packed struct {
	Part
	err error
}

var packers = sync.Pool{New: func() any {
	z, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil { // the level is one
		return nil
	}
	return z
}}

// pack compresses the lines of a part.
func pack(p Part) packed {
	var small bytes.Buffer
	small.Grow(len(p.Lines) / 3)
	z, _ := packers.Get().(*flate.Writer)
	z.Reset(&small)
	_, err := z.Write(p.Lines)
	if err == nil {
		err = z.Close()
	}
	packers.Put(z)
	if err != nil {
		err = fmt.Errorf("pack lines: %w", err)
	}
	p.Lines = small.Bytes()
	return packed{p, err}
}

// unpack is the records of a part.
func unpack(small []byte) ([]byte, error) {
	z := flate.NewReader(bytes.NewReader(small))
	raw, err := io.ReadAll(io.LimitReader(z, maxPartBytes+1))
	if err != nil || len(raw) > maxPartBytes {
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	}
	return raw, nil
}

// nextRecord cuts the first record off.
func nextRecord(raw []byte) (record, rest []byte, err error) {
	n, width := binary.Uvarint(raw)
	if width <= 0 || n < placeWidth+1 || n > uint64(len(raw)-width) { //nolint:gosec // what was read is within it
		return nil, nil, errRecord
	}
	return raw[width : width+int(n)], raw[width+int(n):], nil //nolint:gosec // bounded above
}

// archive is what other statements of a partner say.
type archive struct {
	store Store
	kept  []archived
	mine  Span // the new statement says itself what moved in it
	spans []Span
}

// archived is one statement with the index of its parts.
type archived struct {
	Statement
	firsts [][]byte
	seq    int // of the part in memory
	raw    []byte
}

func newArchive(store Store, others []Statement, replaced []int64, mine Span) *archive {
	a := &archive{store: store, mine: mine}
	for i := range others {
		if slices.Contains(replaced, others[i].ID) {
			continue
		}
		a.kept = append(a.kept, archived{Statement: others[i], seq: -1})
		if !others[i].Partial {
			a.spans = append(a.spans, others[i].Span)
		}
	}
	return a
}

// Covered is Earlier.
func (a *archive) Covered() []Span { return a.spans }

func placeBytes(p Place) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, placeWidth), uint64(p.Purchase)) //nolint:gosec // an ID is never negative
	return append(b, byte(p.Leg))
}

// Find is Earlier. The places are in order, so that each part is read once.
func (a *archive) Find(ctx context.Context, places []Place) (map[Place][]Line, error) {
	found := map[Place][]Line{}
	for i := range a.kept {
		for _, p := range places {
			lines, err := a.kept[i].find(ctx, a.store, placeBytes(p))
			if err != nil {
				return nil, err
			}
			for _, l := range lines {
				if l.At == 0 || !a.mine.holds(l.At) {
					found[p] = append(found[p], l)
				}
			}
		}
	}
	return found, nil
}

// part reads a part into memory.
func (k *archived) part(ctx context.Context, store Store, seq int) error {
	if k.seq == seq {
		return nil
	}
	small, err := store.PartLines(ctx, k.ID, seq)
	if err != nil {
		return err
	}
	if k.raw, err = unpack(small); err != nil {
		return fmt.Errorf("statement %d, part %d: %w", k.ID, seq, err)
	}
	k.seq = seq
	return nil
}

func (k *archived) index(ctx context.Context, store Store) (err error) {
	if k.firsts == nil {
		if k.firsts, err = store.Firsts(ctx, k.ID); err == nil && k.firsts == nil {
			k.firsts = [][]byte{}
		}
	}
	return err
}

// find returns the lines about a place.
func (k *archived) find(ctx context.Context, store Store, place []byte) (lines []Line, err error) {
	if err := k.index(ctx, store); err != nil {
		return nil, err
	}
	// The lines may begin in the part before the first that begins with them.
	seq := sort.Search(len(k.firsts), func(i int) bool { return bytes.Compare(k.firsts[i], place) >= 0 })
	for seq = max(seq-1, 0); seq < len(k.firsts) && bytes.Compare(k.firsts[seq], place) <= 0; seq++ {
		if err := k.part(ctx, store, seq); err != nil {
			return nil, err
		}
		for rest := k.raw; len(rest) > 0; {
			var record []byte
			if record, rest, err = nextRecord(rest); err != nil {
				return nil, err
			}
			switch order := bytes.Compare(record[:placeWidth], place); {
			case order < 0:
				continue
			case order > 0:
				return lines, nil
			}
			l, err := decodeLine(record)
			if err != nil {
				return nil, err
			}
			if l.Kind != KindUndone && len(lines) < maxGroup {
				lines = append(lines, l)
			}
		}
	}
	return lines, nil
}

// ByRef is Earlier.
func (a *archive) ByRef(ctx context.Context, refs map[string]bool) (lines []Line, err error) {
	for i := range a.kept {
		in := a.kept[i].all(ctx, a.store)
		for {
			record, err := in.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, err
			}
			if _, ref := named2(record); !refs[ref] {
				continue
			}
			l, err := decodeLine(record)
			if err != nil {
				return nil, err
			}
			if l.Kind != KindUndone {
				lines = append(lines, l)
			}
		}
	}
	return lines, nil
}

// named2 is the key and reference of a record.
func named2(record []byte) (key, ref string) {
	const fixed = 10
	if len(record) < fixed {
		return "", ""
	}
	words := record[fixed:]
	end := bytes.IndexByte(words, 0)
	if end < 0 {
		return "", ""
	}
	key, words = string(words[:end]), words[end+1:]
	if end = bytes.IndexByte(words, 0); end < 0 {
		return key, ""
	}
	return key, string(words[:end])
}

// all reads every record of a statement.
func (k *archived) all(ctx context.Context, store Store) stream {
	return &archiveStream{ctx: ctx, k: k, store: store, seq: -1}
}

type archiveStream struct {
	ctx   context.Context //nolint:containedctx // it reads for as long as its caller does
	k     *archived
	store Store
	seq   int
	rest  []byte
}

func (s *archiveStream) next() (record []byte, err error) {
	for len(s.rest) == 0 {
		if err := s.k.index(s.ctx, s.store); err != nil {
			return nil, err
		}
		s.seq++
		if s.seq >= len(s.k.firsts) {
			return nil, io.EOF
		}
		if err := s.k.part(s.ctx, s.store, s.seq); err != nil {
			return nil, err
		}
		s.rest = s.k.raw
	}
	record, s.rest, err = nextRecord(s.rest)
	return record, err
}

// compare finds what the new statement says otherwise than earlier ones of its period.
func (l *loading) compare(ctx context.Context, others []Statement) error {
	mine := l.report.Statement.Span
	for i := range others {
		o := &others[i]
		if o.To <= mine.From || o.From >= mine.To {
			continue
		}
		if o.From >= mine.From && o.To <= mine.To && !l.c.Partial {
			l.replace = append(l.replace, o.ID)
		}
		k := &archived{Statement: *o, seq: -1}
		fresh, err := l.c.stream()
		if err != nil {
			return err
		}
		if err := l.differences(k.all(ctx, l.cfg.Store), fresh); err != nil {
			return err
		}
	}
	return nil
}

// differences goes through two versions of the same time side by side.
func (l *loading) differences(before, after stream) error {
	was, is := &pen{in: before}, &pen{in: after}
	if err := errors.Join(was.advance(), is.advance()); err != nil {
		return err
	}
	for !was.over {
		order := -1
		if !is.over {
			order = bytes.Compare(identity(was.record), identity(is.record))
		}
		if order > 0 {
			if err := is.advance(); err != nil {
				return err
			}
			continue
		}
		if err := l.differs(was.record, is.record, order); err != nil {
			return err
		}
		if err := was.advance(); err != nil {
			return err
		}
	}
	return nil
}

// differs reports one line that is not there any more, or says something else.
func (l *loading) differs(was, is []byte, order int) error {
	if order == 0 && bytes.Equal(content(was), content(is)) {
		return nil
	}
	old, err := decodeLine(was)
	if err != nil {
		return err
	}
	p := &l.known.Partner
	if order < 0 {
		if old.At == 0 || !l.report.Statement.holds(old.At) || l.c.Partial {
			return nil
		}
		f := p.describe(nil, &old, CauseVanished, "an earlier statement has the line, this one has not")
		f.Here, f.There, f.Place, f.Customer = old.Amount.Minor, 0, 0, old.Purchase != 0
		return l.add(f)
	}
	now, err := decodeLine(is)
	if err != nil {
		return err
	}
	f := p.describe(nil, &now, CauseChanged, "an earlier statement says "+changes(&old, &now))
	f.Here, f.Customer = old.Amount.Minor, old.Purchase != 0 && old.Amount != now.Amount
	return l.add(f)
}

// changes says in words what a line said before.
func changes(old, now *Line) (text string) {
	say := func(differ bool, what string) {
		if !differ {
			return
		}
		if text != "" {
			text += ", "
		}
		text += what
	}
	say(old.Amount != now.Amount, old.Amount.Decimal()+" "+string(old.Amount.Currency)+" instead of "+now.Amount.Decimal()+" "+string(now.Amount.Currency))
	say(old.Number != now.Number, "another number")
	say(old.Product != now.Product, "another product")
	say(old.Original != now.Original, "another original")
	say(old.At != now.At, "another time, "+purchase.Instant(old.At).String())
	return text
}
