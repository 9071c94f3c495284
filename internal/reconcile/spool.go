package reconcile

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// runBytes is how much of a spool is sorted in memory at once. Two runs are in
// memory: one gathers while the other is sorted and written.
const runBytes = 48 << 20

// spool sorts more records than memory holds, by their bytes: in runs, which are
// merged. Its files have no names, so that nothing is left of them.
type spool struct {
	dir  string
	most int
	now  *run
	busy chan sorted // a run being sorted and written, nil for none
	runs []*os.File
	n    int64
}

// run is what is sorted in memory.
type run struct {
	bytes []byte
	index []entryOf
}

// entryOf is where a record stands, with its first bytes, which mostly decide.
type entryOf struct {
	prefix uint64
	from   uint32
	till   uint32
}

// sorted is a run once it is written.
type sorted struct {
	file *os.File
	free *run
	err  error
}

func newSpool(dir string) *spool { return &spool{dir: dir, most: runBytes, now: &run{}} }

func prefixOf(record []byte) uint64 {
	var b [8]byte
	copy(b[:], record)
	return binary.BigEndian.Uint64(b[:])
}

// add adds a record; what it is given is the caller's again.
func (s *spool) add(record []byte) error {
	if len(s.now.bytes)+len(record) > s.most && len(s.now.index) > 0 {
		if err := s.flush(); err != nil {
			return err
		}
	}
	r := s.now
	from := len(r.bytes)
	r.bytes = append(r.bytes, record...)
	r.index = append(r.index, entryOf{prefixOf(record), uint32(from), uint32(len(r.bytes))}) //nolint:gosec // bounded by most
	s.n++
	return nil
}

// wait takes the run that was being written.
func (s *spool) wait() error {
	if s.busy == nil {
		return nil
	}
	done := <-s.busy
	s.busy = nil
	if done.file != nil {
		s.runs = append(s.runs, done.file)
	}
	if s.now == nil {
		s.now = done.free
	}
	return done.err
}

// flush has the present run sorted and written.
func (s *spool) flush() error {
	full := s.now
	s.now = nil
	if err := s.wait(); err != nil {
		return err
	}
	if s.now == nil {
		s.now = &run{}
	}
	s.busy = make(chan sorted, 1)
	go func(out chan<- sorted) { // ends once the run is written
		file, err := full.write(s.dir)
		full.bytes, full.index = full.bytes[:0], full.index[:0]
		out <- sorted{file, full, err}
	}(s.busy)
	return nil
}

func (r *run) sort() {
	slices.SortFunc(r.index, func(a, b entryOf) int {
		if a.prefix != b.prefix {
			return cmp.Compare(a.prefix, b.prefix)
		}
		return bytes.Compare(r.bytes[a.from:a.till], r.bytes[b.from:b.till])
	})
}

// write sorts a run into a file without a name.
func (r *run) write(dir string) (*os.File, error) {
	r.sort()
	file, err := os.CreateTemp(dir, "tenu-reconcile-*")
	if err != nil {
		return nil, fmt.Errorf("sort lines: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		return file, fmt.Errorf("sort lines: %w", err)
	}
	out := bufio.NewWriterSize(file, 1<<20)
	var length [binary.MaxVarintLen32]byte
	for _, e := range r.index {
		n := binary.PutUvarint(length[:], uint64(e.till-e.from))
		_, _ = out.Write(length[:n]) // Flush tells
		_, _ = out.Write(r.bytes[e.from:e.till])
	}
	if err := out.Flush(); err != nil {
		return file, fmt.Errorf("sort lines: %w", err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return file, fmt.Errorf("sort lines: %w", err)
	}
	return file, nil
}

// close gives back what the spool holds.
func (s *spool) close() {
	_ = s.wait() // it is given up
	for _, file := range s.runs {
		_ = file.Close()
	}
	s.runs, s.now = nil, nil
}

// stream is an ordered sequence of records.
type stream interface {
	// next returns a record, valid until the next call, or io.EOF.
	next() ([]byte, error)
}

// sorted ends the gathering, and returns the records in order. It may be called again,
// and begins anew.
func (s *spool) sorted() (stream, error) {
	if s.now != nil && len(s.now.index) > 0 && (len(s.runs) > 0 || s.busy != nil) {
		if err := s.flush(); err != nil {
			return nil, err
		}
	}
	if err := s.wait(); err != nil {
		return nil, err
	}
	if len(s.runs) == 0 {
		s.now.sort()
		return &memoryStream{run: s.now}, nil
	}
	m := &merge{}
	for _, file := range s.runs {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("sort lines: %w", err)
		}
		m.runs = append(m.runs, &runReader{in: bufio.NewReaderSize(file, 256<<10)})
	}
	return m, m.begin()
}

type memoryStream struct {
	run *run
	at  int
}

func (m *memoryStream) next() ([]byte, error) {
	if m.at == len(m.run.index) {
		return nil, io.EOF
	}
	e := m.run.index[m.at]
	m.at++
	return m.run.bytes[e.from:e.till], nil
}

// runReader reads a run that was written.
type runReader struct {
	in     *bufio.Reader
	record []byte
	prefix uint64
}

// advance reads the next record; false at the end.
func (r *runReader) advance() (bool, error) {
	n, err := binary.ReadUvarint(r.in)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err != nil || n > 4*MaxLine {
		return false, fmt.Errorf("sort lines: a run is damaged: %w", err)
	}
	r.record = slices.Grow(r.record[:0], int(n))[:n]
	if _, err := io.ReadFull(r.in, r.record); err != nil {
		return false, fmt.Errorf("sort lines: a run is damaged: %w", err)
	}
	r.prefix = prefixOf(r.record)
	return true, nil
}

// merge is a heap of runs by their next records.
type merge struct {
	runs []*runReader
	last bool // the first run's record was given out
}

func (m *merge) less(i, j int) bool {
	a, b := m.runs[i], m.runs[j]
	if a.prefix != b.prefix {
		return a.prefix < b.prefix
	}
	return bytes.Compare(a.record, b.record) < 0
}

func (m *merge) begin() error {
	for i := 0; i < len(m.runs); {
		more, err := m.runs[i].advance()
		if err != nil {
			return err
		}
		if !more {
			m.drop(i)
			continue
		}
		i++
	}
	for i := len(m.runs)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
	return nil
}

func (m *merge) drop(i int) {
	m.runs[i] = m.runs[len(m.runs)-1]
	m.runs = m.runs[:len(m.runs)-1]
}

func (m *merge) sink(i int) {
	for {
		least := i
		for _, child := range []int{2*i + 1, 2*i + 2} {
			if child < len(m.runs) && m.less(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		m.runs[i], m.runs[least] = m.runs[least], m.runs[i]
		i = least
	}
}

func (m *merge) next() ([]byte, error) {
	if m.last {
		more, err := m.runs[0].advance()
		if err != nil {
			return nil, err
		}
		if !more {
			m.drop(0)
		}
		if len(m.runs) > 0 {
			m.sink(0)
		}
	}
	if m.last = len(m.runs) > 0; !m.last {
		return nil, io.EOF
	}
	return m.runs[0].record, nil
}

// A line as a record: what identifies it, which is also its order, and then the
// rest. No text of a line holds a zero byte.

// encode appends a line's record.
func (l *Line) encode(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(l.Purchase)) //nolint:gosec // an ID is never negative
	b = append(b, byte(l.Leg), byte(l.Kind))
	b = append(append(b, l.Key...), 0)
	b = append(append(b, l.Ref...), 0)
	b = binary.BigEndian.AppendUint64(b, uint64(l.Number))       //nolint:gosec // read back alike
	b = binary.BigEndian.AppendUint64(b, uint64(l.Amount.Minor)) //nolint:gosec // read back alike
	b = append(append(b, l.Amount.Currency...), 0)
	b = append(append(b, l.Product...), 0)
	b = append(append(b, l.Original...), 0)
	b = binary.BigEndian.AppendUint64(b, uint64(l.At))       //nolint:gosec // read back alike
	return binary.BigEndian.AppendUint64(b, uint64(l.Place)) //nolint:gosec // read back alike
}

// identity is the part of a record that identifies its line: kind, key and reference. A line
// without a reference is identified by all that it says, because its key may have been executed twice.
func identity(record []byte) []byte {
	const fixed = 10
	if len(record) < fixed {
		return record
	}
	at := fixed
	end := 0
	for range 2 {
		if end = bytes.IndexByte(record[at:], 0); end < 0 {
			return record
		}
		at += end + 1
	}
	if end == 0 { // no reference
		return content(record)
	}
	return record[:at]
}

// content is a record without the line's place in its file.
func content(record []byte) []byte { return record[:max(len(record)-8, 0)] }

var errRecord = errors.New("a kept line is damaged")

// decodeLine reads a record.
func decodeLine(b []byte) (l Line, err error) {
	word := func() string {
		end := bytes.IndexByte(b, 0)
		if end < 0 {
			err = errRecord
			return ""
		}
		text := string(b[:end])
		b = b[end+1:]
		return text
	}
	number := func() int64 {
		if len(b) < 8 {
			err = errRecord
			return 0
		}
		v := binary.BigEndian.Uint64(b)
		b = b[8:]
		return int64(v) //nolint:gosec // written alike
	}
	l.Purchase = purchase.ID(number())
	if len(b) < 2 {
		return l, errRecord
	}
	l.Leg, l.Kind, b = purchase.Leg(b[0]), Kind(b[1]), b[2:]
	l.Key, l.Ref = word(), word()
	l.Number, l.Amount.Minor = purchase.MSISDN(number()), number()
	l.Amount.Currency, l.Product, l.Original = money.Currency(word()), word(), word()
	l.At, l.Place = purchase.Instant(number()), number()
	if err == nil && len(b) > 0 {
		err = errRecord
	}
	return l, err
}
