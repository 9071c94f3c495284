package store

import (
	"encoding/binary"
	"strconv"
)

// arrays is the sink of a statement of PostgreSQL that takes each column of
// many rows as one array, in the binary format of the wire protocol. Its memory
// is used again and again. What is in the usual columns is not sent: the
// statement has it as a constant.
type arrays struct {
	epoch   []byte // nil where the statement does not take it
	columns []arrayColumn
	sent    [][]byte
	rows    int
	at      int
	strange bool // a usual column of the row has another value
}

// arrayColumn is one column's array, and where it ends without the last row.
type arrayColumn struct {
	width   width
	usual   bool
	value   int64 // that a usual column has
	isEpoch bool  // it is the batch's lease
	array   []byte
	before  int
}

// The object identifiers of the types' array elements, from pg_type.
var elementOID = [...]uint32{big: 20, whole: 23, small: 21, text: 25, blob: 17}

const arrayHeader = 20

func newArrays(s *statement) *arrays {
	a := &arrays{}
	if takesEpoch(s.usual) {
		a.epoch = make([]byte, 8)
	}
	for _, part := range s.columns {
		for _, c := range part {
			column := arrayColumn{width: c.width}
			var text string
			if text, column.usual = s.usual[c.name]; column.usual {
				column.isEpoch = text == batchEpoch
				column.value, _ = strconv.ParseInt(text, 10, 64) // an empty text counts as 0
			} else {
				column.array = make([]byte, arrayHeader, 4096)
			}
			a.columns = append(a.columns, column)
		}
	}
	return a
}

// reset forgets all rows. Those to come are written under a lease.
func (a *arrays) reset(epoch int64) {
	if a.epoch != nil {
		binary.BigEndian.PutUint64(a.epoch, uint64(epoch)) //nolint:gosec // the bits are kept
	}
	for i := range a.columns {
		c := &a.columns[i]
		switch {
		case c.isEpoch:
			c.value = epoch
		case !c.usual:
			c.array = c.array[:arrayHeader]
		}
	}
	a.rows, a.at, a.strange = 0, 0, false
}

// parameters finishes the arrays and returns them, after the lease that they
// are written under where the statement takes it.
func (a *arrays) parameters() [][]byte {
	a.sent = a.sent[:0]
	if a.epoch != nil {
		a.sent = append(a.sent, a.epoch)
	}
	for i := range a.columns {
		if a.columns[i].usual {
			continue
		}
		c := a.columns[i].array
		binary.BigEndian.PutUint32(c[0:], 1)                              // dimensions
		binary.BigEndian.PutUint32(c[4:], 1)                              // may hold nulls
		binary.BigEndian.PutUint32(c[8:], elementOID[a.columns[i].width]) // element type
		binary.BigEndian.PutUint32(c[12:], uint32(a.rows))                //nolint:gosec // bounded by the batch
		binary.BigEndian.PutUint32(c[16:], 1)                             // lower bound
		a.sent = append(a.sent, c)
	}
	return a.sent
}

// next moves to the next column, and from the last to the first of the next row.
func (a *arrays) next() *arrayColumn {
	c := &a.columns[a.at]
	c.before = len(c.array)
	if a.at++; a.at == len(a.columns) {
		a.at = 0
		a.rows++
	}
	return c
}

// usualRow reports whether the row that was just put has what is usual in all
// usual columns. One that has not is taken back.
func (a *arrays) usualRow() bool {
	if !a.strange {
		return true
	}
	for i := range a.columns {
		if c := &a.columns[i]; !c.usual {
			c.array = c.array[:c.before]
		}
	}
	a.rows, a.strange = a.rows-1, false
	return false
}

func (a *arrays) number(v int64) {
	c := a.next()
	switch {
	case c.usual:
		a.strange = a.strange || v != c.value
	case c.width == big:
		c.array = binary.BigEndian.AppendUint64(append(c.array, 0, 0, 0, 8), uint64(v)) //nolint:gosec // the bits are kept
	case c.width == whole:
		c.array = binary.BigEndian.AppendUint32(append(c.array, 0, 0, 0, 4), uint32(v)) //nolint:gosec // such columns hold 32 bits
	default:
		c.array = binary.BigEndian.AppendUint16(append(c.array, 0, 0, 0, 2), uint16(v)) //nolint:gosec // such columns hold 16 bits
	}
}

func (a *arrays) text(v string) {
	c := a.next()
	if c.usual {
		a.strange = a.strange || v != ""
		return
	}
	c.array = append(binary.BigEndian.AppendUint32(c.array, uint32(len(v))), v...) //nolint:gosec // texts are bounded
}

func (a *arrays) bytes(v []byte) {
	c := a.next()
	c.array = append(binary.BigEndian.AppendUint32(c.array, uint32(len(v))), v...) //nolint:gosec // blobs are bounded
}

func (a *arrays) absent() {
	c := a.next()
	c.array = append(c.array, 0xff, 0xff, 0xff, 0xff)
}
