package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"

	"tenu/internal/purchase"
)

// Served is tenu as it is served, with whatever it needs about it.
type Served struct {
	Engine  *purchase.Engine
	Address string // of the API, host:port
	Key     string // of a client of the API, whose limits stand in nobody's way
	Console string // its address, host:port
	// Hire makes accounts for so many agents, named by AgentLogin, with one password.
	Hire func(ctx context.Context, count int) (password string, err error)
	// Seen reads what its partners did so far. It is nil where they are in the process.
	Seen func(context.Context) (Seen, error)
	// End tells it to end, and Ended gives the reason when it has, once, nil when it
	// was told to.
	End   context.CancelFunc
	Ended chan error
}

// Seen is what partners did, by their own books.
type Seen struct{ Charges, Credits, Messages, Others int64 }

// server is one on a database of a bed, with clients of it.
type server struct {
	node
	served  *Served
	callers callers
}

// serve starts tenu on a database and waits until it is ready. It asks partners in
// the process, or without any those that it meets over HTTP.
func (d *database) serve(ctx context.Context, partners ...*Partner) (*server, error) {
	served, err := d.bed.Serve(ctx, d.dsn, partners)
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	s := &server{served: served, callers: callers{address: served.Address},
		node: node{Engine: served.Engine, db: d, clock: d.bed.Clock, end: served.End, ended: served.Ended}}
	if err := s.await(ctx, "the API to be ready", func() bool { return s.Ready() == nil }); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// quit ends the server in a defer, and adds what went wrong to err.
func (s *server) quit(err *error) {
	s.callers.close()
	s.node.quit(err)
}

// head begins a request of the API that waits for the outcome.
func (s *server) head(to []byte, path string) []byte {
	to = append(append(append(to, "POST "...), path...), " HTTP/1.1\r\nHost: "...)
	to = append(append(to, s.served.Address...), "\r\nAuthorization: Bearer "...)
	return append(append(to, s.served.Key...), "\r\nContent-Type: application/json\r\nPrefer: wait=30\r\n"...)
}

// appendWish writes the i-th sale's body.
func (b *Bed) appendWish(to []byte, i int, key string) []byte {
	to = append(to, '{')
	if key != "" {
		to = append(append(append(to, `"idempotency_key":"`...), key...), `",`...)
	}
	to = append(to, `"product":"airtime","number":"+`...)
	to = strconv.AppendInt(to, int64(numberOf(i, b.Size.Customers)), 10)
	to = append(to, `","amount":`...)
	return append(strconv.AppendInt(to, total, 10), '}')
}

// buy buys one, and waits for the outcome.
func (s *server) buy(ctx context.Context, load int64, i int) error {
	c, err := s.callers.get(ctx)
	if err != nil {
		return err
	}
	var room [128]byte
	body := s.db.bed.appendWish(room[:0], i, "")
	c.request = s.head(c.request[:0], "/v1/purchases")
	c.request = append(append(append(c.request, "Idempotency-Key: "...), keyOf(load, i)...), "\r\nContent-Length: "...)
	c.request = append(append(strconv.AppendInt(c.request, int64(len(body)), 10), "\r\n\r\n"...), body...)
	return s.bought(c, http.StatusCreated, 1)
}

// buyMany buys the i-th batch of so many, and waits for their outcomes.
func (s *server) buyMany(ctx context.Context, load int64, i, size int) error {
	c, err := s.callers.get(ctx)
	if err != nil {
		return err
	}
	body := []byte(`{"purchases":[`)
	for j := range size {
		if j > 0 {
			body = append(body, ',')
		}
		body = s.db.bed.appendWish(body, i*size+j, keyOf(load, i*size+j))
	}
	body = append(body, `]}`...)
	c.request = append(s.head(c.request[:0], "/v1/purchases/batch"), "Content-Length: "...)
	c.request = append(append(strconv.AppendInt(c.request, int64(len(body)), 10), "\r\n\r\n"...), body...)
	return s.bought(c, http.StatusOK, size)
}

// bought makes the call and checks that it was answered with so many credited purchases.
func (s *server) bought(c *caller, status, count int) error {
	got, body, err := c.call()
	if err != nil {
		return err
	}
	if got != status || bytes.Count(body, []byte(`"state":"credited"`)) != count {
		return fmt.Errorf("%w: answer %d: %.200s", errNotCredited, got, body)
	}
	s.callers.put(c)
	return nil
}

// sellEach sells one by one, by so many clients at once.
func (s *server) sellEach(ctx context.Context, count, clients int) (sold, error) {
	load := s.load()
	return s.db.bed.sell(count, clients, func(i int) error { return s.buy(ctx, load, i) })
}

// told waits until all notices were handed over.
func (s *server) told(ctx context.Context) error {
	limit := s.clock.Now().Add(patience)
	for {
		unsent, err := s.db.UnsentNotices(ctx, 1)
		switch {
		case err != nil || len(unsent) == 0:
			return err
		case s.clock.Now() > limit:
			return errors.New("the notices are not handed over")
		}
		select {
		case <-s.clock.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// bareHTTP measures a handler that answers as the API does and buys nothing: with
// the same clients, and the bytes of a real answer.
func (s *server) bareHTTP(ctx context.Context, count, clients int) (at sold, err error) {
	answer, err := s.specimen(ctx)
	if err != nil {
		return at, err
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return at, fmt.Errorf("listen for the bare handler: %w", err)
	}
	bare := &http.Server{Handler: answer, ReadHeaderTimeout: time.Minute}
	over := make(chan error, 1)
	go func() { over <- bare.Serve(listener) }()
	address := listener.Addr().String()
	idle := &server{node: s.node, served: &Served{Address: address, Key: s.served.Key}, callers: callers{address: address}}
	at, err = idle.sellEach(ctx, count, clients)
	idle.callers.close()
	err = errors.Join(err, bare.Close())
	if ended := <-over; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return at, err
}

// specimen buys one and returns a handler that gives the same answer to whatever it reads.
func (s *server) specimen(ctx context.Context) (http.Handler, error) {
	body := s.db.bed.appendWish(nil, 0, "")
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.served.Address+"/v1/purchases", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("buy a specimen: %w", err)
	}
	r.Header = http.Header{"Authorization": {"Bearer " + s.served.Key}, "Content-Type": {"application/json"},
		"Prefer": {"wait=30"}, "Idempotency-Key": {keyOf(s.load(), 0)}}
	r.Close = true
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, fmt.Errorf("buy a specimen: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("buy a specimen: %w", err)
	}
	response.Header.Del("Connection")
	response.Header.Del("Date")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // it is not looked at
		maps.Copy(w.Header(), response.Header)
		w.WriteHeader(response.StatusCode)
		_, _ = w.Write(answer)
	}), nil
}
