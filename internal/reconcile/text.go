package reconcile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Encoding is how a file's characters are written.
type Encoding string

// The encodings. UTF-8 may begin with its mark; UTF-16 must, because the mark
// says in which order its bytes are.
const (
	UTF8   Encoding = "utf-8"
	Latin1 Encoding = "latin-1"
	UTF16  Encoding = "utf-16"
)

// decode makes UTF-8 of a file.
func decode(r io.Reader, e Encoding) (io.Reader, error) {
	switch e {
	case UTF8, "":
		b := bufio.NewReaderSize(r, 64<<10)
		if mark, _ := b.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) { // too short a file has none
			_, _ = b.Discard(3)
		} else if len(mark) >= 2 && (mark[0] == 0xff && mark[1] == 0xfe || mark[0] == 0xfe && mark[1] == 0xff) {
			return nil, errors.New("is UTF-16, and the mapping says UTF-8")
		}
		return b, nil
	case Latin1:
		return transform.NewReader(r, charmap.ISO8859_1.NewDecoder()), nil
	case UTF16:
		b := bufio.NewReaderSize(r, 64<<10)
		mark, _ := b.Peek(2)
		if !bytes.Equal(mark, []byte("\xff\xfe")) && !bytes.Equal(mark, []byte("\xfe\xff")) {
			return nil, errors.New("is not UTF-16: it does not begin with the mark that says in which order its bytes are")
		}
		return transform.NewReader(b, unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM).NewDecoder()), nil
	}
	return nil, fmt.Errorf("no encoding is called %q", e)
}

// lineReader reads a text line by line, each within MaxLine.
type lineReader struct {
	file string
	in   *bufio.Reader
	n    int64 // of the line that was read last
	open bool  // the last line did not end
}

func newLineReader(file string, r io.Reader) *lineReader {
	return &lineReader{file: file, in: bufio.NewReaderSize(r, MaxLine+2)}
}

// next returns a line without its end, valid until the next call, or io.EOF.
func (l *lineReader) next() ([]byte, error) {
	line, err := l.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fault(l.file, l.n+1, 0, "the line is longer than %d bytes", MaxLine)
	case errors.Is(err, io.EOF) && len(line) == 0:
		return nil, io.EOF
	case err != nil && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("read %s: %w", l.file, err)
	}
	l.n++
	l.open = err != nil
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if len(line) > MaxLine {
		return nil, fault(l.file, l.n, 0, "the line is longer than %d bytes", MaxLine)
	}
	if at := invalid(line); at >= 0 {
		return nil, fault(l.file, l.n, int64(at)+1, "not a character of the file's encoding")
	}
	return line, nil
}

// invalid is where a text stops to be UTF-8 without control characters other
// than tabs, or -1.
func invalid(line []byte) int {
	for i := 0; i < len(line); {
		ch := line[i]
		if ch < utf8.RuneSelf {
			if ch < ' ' && ch != '\t' || ch == 0x7f {
				return i
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(line[i:])
		if r == utf8.RuneError {
			return i
		}
		i += n
	}
	return -1
}

// allowance is a reader that ends in an error once more is read than one entry
// may have, and knows the line and column of what it passed on.
type allowance struct {
	in    io.Reader
	left  int64
	total int64
	lines []int64 // where lines begin that the decoder may still ask for
	first int64   // the number of lines[0], from 1
}

var errAllowance = fmt.Errorf("an entry is longer than %d bytes", MaxLine)

func newAllowance(in io.Reader) *allowance {
	return &allowance{in: in, left: MaxLine, lines: []int64{0}, first: 1}
}

// Read is io.Reader.
func (a *allowance) Read(p []byte) (int, error) {
	if a.left <= 0 {
		return 0, errAllowance
	}
	n, err := a.in.Read(p[:min(int64(len(p)), a.left)])
	a.left -= int64(n)
	for i, ch := range p[:n] {
		if ch == '\n' {
			a.lines = append(a.lines, a.total+int64(i)+1)
		}
	}
	a.total += int64(n)
	return n, err
}

// renew allows another entry that begins at an offset.
func (a *allowance) renew(offset int64) {
	a.left = MaxLine - (a.total - offset)
	a.left = max(a.left, 1) // what is buffered is no more than an entry
	at := 0
	for at+1 < len(a.lines) && a.lines[at+1] <= offset {
		at++
	}
	a.first += int64(at)
	a.lines = append(a.lines[:0], a.lines[at:]...)
}

// place is the line and column of an offset.
func (a *allowance) place(offset int64) (line, column int64) {
	at := 0
	for at+1 < len(a.lines) && a.lines[at+1] <= offset {
		at++
	}
	return a.first + int64(at), max(offset-a.lines[at], 0) + 1
}
