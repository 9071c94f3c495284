package reconcile

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Want is what is known of a statement before it is read.
type Want struct {
	Partner  string
	From, To purchase.Instant // zero where the statement itself must tell
	Now      purchase.Instant
	// Partial: the period is not over yet.
	Partial bool
}

// Sum is what the lines of a kind and currency add up to.
type Sum struct {
	Kind     Kind
	Currency money.Currency
	Lines    int64
	Amount   int64
}

// Checked is a statement whose every line was read and found sound, sorted in a
// file that has no name. Close must be called.
type Checked struct {
	Name    string
	Head    Head
	Partial bool
	Digest  string // SHA-256 of the file as it came
	Lines   int64
	Sums    []Sum

	file   *os.File
	undone []Line
}

// Close gives back what it holds.
func (c *Checked) Close() error {
	if c.file == nil {
		return nil
	}
	return c.file.Close()
}

// stream reads the lines' records from the beginning.
func (c *Checked) stream() (stream, error) {
	if _, err := c.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read sorted lines: %w", err)
	}
	return &fileStream{runReader{in: bufio.NewReaderSize(c.file, 1<<20)}}, nil
}

type fileStream struct{ runReader }

func (f *fileStream) next() ([]byte, error) {
	more, err := f.advance()
	if err != nil {
		return nil, err
	}
	if !more {
		return nil, io.EOF
	}
	return f.record, nil
}

// checking is a statement being read.
type checking struct {
	Checked
	want     Want
	lines    *spool
	sums     map[Sum]*Sum
	earliest Line // by time, where the period is known only at the end
	latest   Line
	buffer   []byte
}

// Check reads a statement to its end. It refuses one of another partner, whose
// period, count, sum, encoding or columns are wrong, that is cut or has a line
// twice, with a *Fault that says where. dir is where what does not fit into memory is sorted.
func Check(ctx context.Context, name string, r io.Reader, m *Mapping, keys Keys, want Want, dir string, progress func(lines int64)) (_ *Checked, err error) {
	digest := sha256.New()
	c := &checking{want: want, lines: newSpool(dir), sums: map[Sum]*Sum{}}
	c.Name, c.Partial = filepath.Base(name), want.Partial
	defer c.lines.close()
	named, err := m.named(c.Name)
	if err != nil {
		return nil, fault(name, 0, 0, "%v", err)
	}
	tee := io.TeeReader(r, digest)
	reader, err := Open(name, tee, m, keys)
	if err != nil {
		return nil, err
	}
	for {
		line, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := c.add(name, &line, reader); err != nil {
			return nil, err
		}
		if c.Lines%(1<<14) == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if progress != nil {
				progress(c.Lines)
			}
		}
	}
	if _, err := io.Copy(io.Discard, tee); err != nil { // what decoders leave unread
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if err := c.settle(name, reader.Head(), named); err != nil {
		return nil, err
	}
	return c.finish(name, dir, digest)
}

// add checks a line, and keeps it for sorting.
func (c *checking) add(name string, line *Line, reader Reader) error {
	c.Lines++
	if c.Lines > MaxLines {
		return fault(name, line.Place, 0, "more than %d lines", MaxLines)
	}
	if line.Kind == KindUndone {
		if line.Original == "" {
			return fault(name, line.Place, 0, "the line takes a movement back and does not say which")
		}
		if len(c.undone) == maxUndone {
			return fault(name, line.Place, 0, "more than %d lines take movements back", maxUndone)
		}
		c.undone = append(c.undone, *line)
	}
	if line.At != 0 {
		if h := reader.Head(); h.From != 0 && h.To != 0 && !(Span{h.From, h.To}).holds(line.At) {
			return fault(name, line.Place, 0, "the line's time, %s, is not in the period of the statement", line.At)
		}
		if c.earliest.At == 0 || line.At < c.earliest.At {
			c.earliest = *line
		}
		if line.At > c.latest.At {
			c.latest = *line
		}
	}
	key := Sum{Kind: line.Kind, Currency: line.Amount.Currency}
	s := c.sums[key]
	if s == nil {
		s = &Sum{Kind: key.Kind, Currency: key.Currency}
		c.sums[key] = s
	}
	s.Lines++
	var err error
	if s.Amount, err = money.Add(s.Amount, line.Amount.Minor); err != nil {
		return fault(name, line.Place, 0, "the amounts add up to more than can be counted")
	}
	c.buffer = line.encode(c.buffer[:0])
	return c.lines.add(c.buffer)
}

// settle decides partner and period: of what was expected, of what the statement says, and of its name.
func (c *checking) settle(name string, says, named Head) error {
	c.Head = says
	partner := orElse(says.Partner, named.Partner)
	if partner != "" && c.want.Partner != "" && partner != c.want.Partner {
		return fmt.Errorf("%w: %w", fault(name, 0, 0, "it is of %q, and not of %q", clipped(partner), c.want.Partner), ErrPartner)
	}
	c.Head.Partner = orElse(c.want.Partner, partner)
	first := func(of ...purchase.Instant) purchase.Instant {
		for _, i := range of {
			if i != 0 {
				return i
			}
		}
		return 0
	}
	for _, each := range []struct {
		says, named, want purchase.Instant
		what              string
	}{{says.From, named.From, c.want.From, "begins"}, {says.To, named.To, c.want.To, "ends"}} {
		if a, b := first(each.says, each.named), each.want; a != 0 && b != 0 && a != b {
			return fault(name, 0, 0, "its period %s at %s, and not at %s", each.what, a, b)
		}
	}
	c.Head.From, c.Head.To = first(says.From, named.From, c.want.From), first(says.To, named.To, c.want.To)
	span := Span{c.Head.From, c.Head.To}
	switch {
	case c.Head.Partner == "":
		return fault(name, 0, 0, "whose statement it is must be told")
	case span.From == 0 || span.To == 0:
		return fault(name, 0, 0, "neither the statement nor whoever loads it tells the period")
	case span.To <= span.From:
		return fault(name, 0, 0, "the period ends before it begins")
	case span.To.Sub(span.From) > MaxPeriod:
		return fault(name, 0, 0, "the period is longer than %d days", int(MaxPeriod.Hours()/24))
	case c.earliest.At != 0 && !span.holds(c.earliest.At):
		return fault(name, c.earliest.Place, 0, "the line's time, %s, is not in the period of the statement", c.earliest.At)
	case c.latest.At != 0 && !span.holds(c.latest.At):
		return fault(name, c.latest.Place, 0, "the line's time, %s, is not in the period of the statement", c.latest.At)
	case c.want.Now != 0 && span.To > c.want.Now && !c.Partial:
		return fault(name, 0, 0, "the period ends at %s, which is not over: a partial statement must be loaded as one", span.To)
	}
	return nil
}

func clipped(text string) string { return text[:min(len(text), 64)] }

// finish sorts the lines, and refuses one that is there twice.
func (c *checking) finish(name, dir string, digest hash.Hash) (*Checked, error) {
	c.Digest = hex.EncodeToString(digest.Sum(nil))
	for _, s := range c.sums {
		c.Sums = append(c.Sums, *s)
	}
	slices.SortFunc(c.Sums, func(a, b Sum) int {
		if a.Kind != b.Kind {
			return int(a.Kind) - int(b.Kind)
		}
		return bytes.Compare([]byte(a.Currency), []byte(b.Currency))
	})
	in, err := c.lines.sorted()
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(dir, "tenu-statement-*")
	if err != nil {
		return nil, fmt.Errorf("sort lines: %w", err)
	}
	c.file = file
	err = errors.Join(os.Remove(file.Name()), c.write(name, in))
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	checked := c.Checked
	return &checked, nil
}

// write writes the lines in order, each once.
func (c *checking) write(name string, in stream) error {
	out := bufio.NewWriterSize(c.file, 1<<20)
	var before []byte
	var length [binary.MaxVarintLen32]byte
	for {
		record, err := in.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if len(before) > 0 && named(record) && bytes.Equal(identity(before), identity(record)) {
			a, b := place(before), place(record)
			return fault(name, max(a, b), 0, "the line says again what line %d says: one movement stands twice", min(a, b))
		}
		n := binary.PutUvarint(length[:], uint64(len(record)))
		_, _ = out.Write(length[:n]) // Flush tells
		_, _ = out.Write(record)
		before = append(before[:0], record...)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("sort lines: %w", err)
	}
	return nil
}

// named reports whether a record has a key or a reference. Lines without either may be alike.
func named(record []byte) bool { return len(record) > 11 && (record[10] != 0 || record[11] != 0) }

// place is where a record's line stands in its file.
func place(record []byte) int64 {
	return int64(binary.BigEndian.Uint64(record[len(record)-8:])) //nolint:gosec // written alike
}
