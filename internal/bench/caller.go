package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
)

// caller is one connection of a client, kept open, that costs as little as one
// can: the requests are written as they stand, and of the answers it reads no more
// than it needs. What is measured beside it is the server.
type caller struct {
	conn    net.Conn
	in      *bufio.Reader
	request []byte // to be written, used again
	body    []byte // of the last answer, used again
}

// call writes the caller's request and reads the answer. The body is the
// caller's own until the next call.
func (c *caller) call() (status int, body []byte, err error) {
	if _, err := c.conn.Write(c.request); err != nil {
		return 0, nil, fmt.Errorf("send request: %w", err)
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, nil, fmt.Errorf("read answer: %w", err)
	}
	if len(line) < len("HTTP/1.1 200 ") {
		return 0, nil, errAnswer
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, errAnswer
	}
	length, err := c.head()
	if err != nil {
		return 0, nil, fmt.Errorf("read answer: %w", err)
	}
	c.body = c.body[:0]
	if length >= 0 {
		err = c.take(length)
	} else {
		err = c.takeChunks()
	}
	if err != nil {
		return 0, nil, fmt.Errorf("read answer: %w", err)
	}
	return status, c.body, nil
}

var errAnswer = errors.New("the answer is not one of HTTP/1.1")

// head reads the headers, and returns the body's length, -1 where it comes in chunks.
func (c *caller) head() (length int, err error) {
	const lengthIs = "Content-Length: "
	length = -1
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			return length, nil
		}
		if value, found := bytes.CutPrefix(line, []byte(lengthIs)); found {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, errAnswer
			}
		}
	}
}

// take adds so many bytes to the body.
func (c *caller) take(n int) error {
	from := len(c.body)
	for cap(c.body) < from+n {
		c.body = append(c.body[:cap(c.body)], 0)
	}
	c.body = c.body[:from+n]
	_, err := io.ReadFull(c.in, c.body[from:])
	return err
}

func (c *caller) takeChunks() error {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(bytes.TrimRight(line, "\r\n")), 16, 31)
		if err != nil {
			return errAnswer
		}
		if err := c.take(int(n)); err != nil {
			return err
		}
		if _, err := c.in.Discard(len("\r\n")); err != nil || n == 0 {
			return err
		}
	}
}

// callers are the connections to one server that nobody uses at the moment. The
// zero value has none.
type callers struct {
	address string
	mu      sync.Mutex
	idle    []*caller
}

// get returns a connection that is idle, or a new one.
func (l *callers) get(ctx context.Context) (*caller, error) {
	l.mu.Lock()
	if n := len(l.idle); n > 0 {
		defer l.mu.Unlock()
		c := l.idle[n-1]
		l.idle = l.idle[:n-1]
		return c, nil
	}
	l.mu.Unlock()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", l.address)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", l.address, err)
	}
	return &caller{conn: conn, in: bufio.NewReaderSize(conn, 16<<10)}, nil
}

// put gives a connection back after an answer that was read whole.
func (l *callers) put(c *caller) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle = append(l.idle, c)
}

// close hangs up.
func (l *callers) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.idle {
		_ = c.conn.Close() // all was read
	}
	l.idle = nil
}
