package store

import "encoding/binary"

// arrays is the sink of a statement of PostgreSQL that takes each column of
// many rows as one array, in the binary format of the wire protocol. Its memory
// is used again and again.
type arrays struct {
	widths  []width
	columns [][]byte
	rows    int
	at      int
}

// The object identifiers of the types' array elements, from pg_type.
var elementOID = [...]uint32{big: 20, whole: 23, small: 21, text: 25, blob: 17}

const arrayHeader = 20

func newArrays(columns ...[]column) *arrays {
	a := &arrays{}
	for _, part := range columns {
		for _, c := range part {
			a.widths = append(a.widths, c.width)
			a.columns = append(a.columns, make([]byte, arrayHeader, 4096))
		}
	}
	return a
}

// reset forgets all rows.
func (a *arrays) reset() {
	for i := range a.columns {
		a.columns[i] = a.columns[i][:arrayHeader]
	}
	a.rows, a.at = 0, 0
}

// parameters finishes the arrays and returns them.
func (a *arrays) parameters() [][]byte {
	for i, c := range a.columns {
		binary.BigEndian.PutUint32(c[0:], 1)                       // dimensions
		binary.BigEndian.PutUint32(c[4:], 1)                       // may hold nulls
		binary.BigEndian.PutUint32(c[8:], elementOID[a.widths[i]]) // element type
		binary.BigEndian.PutUint32(c[12:], uint32(a.rows))         //nolint:gosec // bounded by the batch
		binary.BigEndian.PutUint32(c[16:], 1)                      // lower bound
	}
	return a.columns
}

// next moves to the next column, and from the last to the first of the next row.
func (a *arrays) next() (column *[]byte, w width) {
	column, w = &a.columns[a.at], a.widths[a.at]
	if a.at++; a.at == len(a.columns) {
		a.at = 0
		a.rows++
	}
	return column, w
}

func (a *arrays) number(v int64) {
	c, w := a.next()
	switch w {
	case big:
		*c = binary.BigEndian.AppendUint64(append(*c, 0, 0, 0, 8), uint64(v)) //nolint:gosec // the bits are kept
	case whole:
		*c = binary.BigEndian.AppendUint32(append(*c, 0, 0, 0, 4), uint32(v)) //nolint:gosec // such columns hold 32 bits
	default:
		*c = binary.BigEndian.AppendUint16(append(*c, 0, 0, 0, 2), uint16(v)) //nolint:gosec // such columns hold 16 bits
	}
}

func (a *arrays) text(v string) {
	c, _ := a.next()
	*c = append(binary.BigEndian.AppendUint32(*c, uint32(len(v))), v...) //nolint:gosec // texts are bounded
}

func (a *arrays) bytes(v []byte) {
	c, _ := a.next()
	*c = append(binary.BigEndian.AppendUint32(*c, uint32(len(v))), v...) //nolint:gosec // blobs are bounded
}

func (a *arrays) absent() {
	c, _ := a.next()
	*c = append(*c, 0xff, 0xff, 0xff, 0xff)
}
