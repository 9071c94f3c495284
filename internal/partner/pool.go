package partner

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync"
	"syscall"
	"time"
)

// Pool is an HTTP/1.1 transport whose caller does all the work itself: no exchange
// wakes another goroutine, as net/http's transport does twice. It sends each
// request once, on a connection that was alive a moment before, and never again.
type Pool struct {
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	connect time.Duration
	tls     *tls.Config
	slots   chan struct{} // one for each connection that is used

	mu   sync.Mutex
	idle map[string][]*link // by scheme and host, the one used last comes last
}

const (
	idleFor      = 30 * time.Second // a connection is kept
	maxHead      = 64 << 10         // bytes of an answer's head
	maxInterim   = 5                // answers of 100 to 199 before the answer
	linkBuffer   = 4 << 10
	plainPort    = "80"
	securePort   = "443"
	secureScheme = "https"
)

// Transport returns a transport for one partner with at most conns connections.
// Connecting is bounded to connect, so that an absent partner is known as unsent
// before the call's own deadline. tlsConfig may be nil.
func Transport(conns int, connect time.Duration, tlsConfig *tls.Config) *Pool {
	if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	dialer := &net.Dialer{Timeout: connect, KeepAlive: 15 * time.Second}
	return &Pool{dial: dialer.DialContext, connect: connect, tls: tlsConfig,
		slots: make(chan struct{}, conns), idle: map[string][]*link{}}
}

// link is one connection.
type link struct {
	pool  *Pool
	to    string
	raw   net.Conn // what conn is made of
	conn  net.Conn
	in    *bufio.Reader
	out   *bufio.Writer
	left  int64     // bytes that may still be read of a head
	since time.Time // when it became idle
}

// Read reads from the connection, as long as no head is too long.
func (c *link) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("the answer's head: %w than %d bytes", ErrTooLarge, maxHead)
	}
	n, err := c.conn.Read(b)
	c.left -= int64(n)
	return n, err //nolint:wrapcheck // an io.Reader passes on what it meets
}

// RoundTrip is http.RoundTripper. The answer's body must be closed.
func (p *Pool) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), closed(r))
	}
	c, err := p.take(ctx, r)
	if err != nil {
		<-p.slots
		return nil, errors.Join(err, closed(r))
	}
	if trace := httptrace.ContextClientTrace(ctx); trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: c.conn})
	}
	deadline, _ := ctx.Deadline() // none is the zero time, which is none
	err = c.conn.SetDeadline(deadline)
	// From here on the end of ctx ends the exchange.
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	var answer *http.Response
	if err == nil {
		answer, err = c.exchange(r)
	}
	if err != nil {
		stop()
		c.drop()
		if ended := ctx.Err(); ended != nil {
			err = errors.Join(ended, err)
		}
		return nil, err
	}
	answer.Body = &body{ReadCloser: answer.Body, link: c, stop: stop, again: !answer.Close}
	return answer, nil
}

// closed closes the body of a request that is not sent.
func closed(r *http.Request) error {
	if r.Body == nil {
		return nil
	}
	return r.Body.Close()
}

// exchange sends the request and reads the head of the answer.
func (c *link) exchange(r *http.Request) (*http.Response, error) {
	if err := r.Write(c.out); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	if err := c.out.Flush(); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	for range maxInterim {
		c.left = maxHead
		answer, err := http.ReadResponse(c.in, r)
		switch {
		case err != nil:
			return nil, fmt.Errorf("read answer: %w", err)
		case answer.StatusCode >= http.StatusOK:
			c.left = 1<<63 - 1 // the body's reader bounds it
			return answer, nil
		}
	}
	return nil, errors.New("read answer: it does not come to the point")
}

// body is an answer's body, which gives the connection back.
type body struct {
	io.ReadCloser
	link  *link
	stop  func() bool
	again bool // the connection may be used again
	whole bool // the body was read to its end
}

// Read reads part of the body.
func (b *body) Read(to []byte) (int, error) {
	n, err := b.ReadCloser.Read(to)
	b.whole = b.whole || errors.Is(err, io.EOF)
	return n, err //nolint:wrapcheck // an io.Reader passes on what it meets
}

// Close keeps the connection if all was read of it, and otherwise closes it.
func (b *body) Close() error {
	if b.link == nil {
		return nil
	}
	c := b.link
	b.link = nil
	if b.stop() && b.whole && b.again && c.in.Buffered() == 0 && c.conn.SetDeadline(time.Time{}) == nil {
		c.pool.keep(c)
	} else {
		c.drop()
	}
	return nil
}

// take returns a connection for a request: one that is kept and alive, or a new one.
func (p *Pool) take(ctx context.Context, r *http.Request) (*link, error) {
	to := r.URL.Scheme + "://" + r.URL.Host
	for {
		p.mu.Lock()
		list := p.idle[to]
		if len(list) == 0 {
			p.mu.Unlock()
			return p.open(ctx, r, to)
		}
		c := list[len(list)-1]
		p.idle[to] = list[:len(list)-1]
		p.mu.Unlock()
		if c.alive() {
			return c, nil
		}
		_ = c.conn.Close() // nothing was under way
	}
}

// alive reports whether a connection that is idle can be used: it is not old, and
// the other side neither closed it nor said anything.
func (c *link) alive() bool {
	if time.Since(c.since) > idleFor { //nolint:forbidigo // of the system's, like the deadlines of connections
		return false
	}
	socket, ok := c.raw.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	var one [1]byte
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = errors.Is(err, syscall.EAGAIN)
		return true
	})
	if err != nil || !quiet || c.conn == c.raw {
		return err == nil && quiet
	}
	// TLS may hold more than was asked of it. What is not there already is not waited for.
	if err := c.conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return false
	}
	_, err = c.conn.Read(one[:])
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// open makes a connection for a request.
func (p *Pool) open(ctx context.Context, r *http.Request, to string) (*link, error) {
	port := r.URL.Port()
	secure := r.URL.Scheme == secureScheme
	switch {
	case port != "":
	case secure:
		port = securePort
	default:
		port = plainPort
	}
	raw, err := p.dial(ctx, "tcp", net.JoinHostPort(r.URL.Hostname(), port))
	if err != nil {
		return nil, err
	}
	c := &link{pool: p, to: to, raw: raw, conn: raw}
	if secure {
		if c.conn, err = p.handshake(ctx, raw, r.URL.Hostname()); err != nil {
			_ = raw.Close() // nothing was sent
			return nil, err
		}
	}
	c.in, c.out = bufio.NewReaderSize(c, linkBuffer), bufio.NewWriterSize(c.conn, linkBuffer)
	return c, nil
}

func (p *Pool) handshake(ctx context.Context, raw net.Conn, host string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.connect)
	defer cancel()
	config := p.tls.Clone()
	if config.ServerName == "" {
		config.ServerName = host
	}
	secure := tls.Client(raw, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return secure, nil
}

// keep gives a connection back for the next request, and frees its slot.
func (p *Pool) keep(c *link) {
	c.since = time.Now() //nolint:forbidigo // the same
	p.mu.Lock()
	p.idle[c.to] = append(p.idle[c.to], c)
	p.mu.Unlock()
	<-p.slots
}

// drop closes a connection and frees its slot.
func (c *link) drop() {
	_ = c.conn.Close() // what was to be known of it is known
	<-c.pool.slots
}

// CloseIdleConnections closes the connections that are not used.
func (p *Pool) CloseIdleConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, list := range p.idle {
		for _, c := range list {
			_ = c.conn.Close() // nothing is under way
		}
	}
	clear(p.idle)
}
