package partner

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// counted is a server that counts its connections.
func counted(t *testing.T, secure bool, h http.HandlerFunc) (server *httptest.Server, made *atomic.Int32) {
	made = &atomic.Int32{}
	server = httptest.NewUnstartedServer(h)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server, made
}

func TestConnectionsAreKept(t *testing.T) {
	for _, secure := range []bool{false, true} {
		server, made := counted(t, secure, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
		var trust *tls.Config
		if secure {
			trust = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
			trust.RootCAs.AddCert(server.Certificate())
		}
		p := Transport(4, time.Second, trust)
		t.Cleanup(p.CloseIdleConnections)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 20 {
					if got, err := Exchange(p, post(t.Context(), t, server.URL), 100); err != nil || string(got.Body) != "an order" {
						t.Errorf("secure %t: %+v, %v", secure, got, err)
					}
				}
			})
		}
		all.Wait()
		if n := made.Load(); n < 1 || n > 4 {
			t.Errorf("secure %t: %d connections were made, 4 allowed", secure, n)
		}
	}
	server, _ := counted(t, true, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	p := Transport(1, time.Second, nil)
	if _, err := Exchange(p, post(t.Context(), t, server.URL), 100); !errors.Is(err, ErrUnsent) {
		t.Errorf("a certificate that is not trusted: %v, want unsent", err)
	}
}

// A connection outlives the deadline of the exchange that it served.
func TestConnectionsOutliveDeadlines(t *testing.T) {
	server, made := counted(t, false, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	p := Transport(1, time.Second, nil)
	t.Cleanup(p.CloseIdleConnections)
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if _, err := Exchange(p, post(ctx, t, server.URL), 100); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		cancel()
	}
	if made.Load() != 1 {
		t.Errorf("%d connections were made for exchanges one after the other", made.Load())
	}
}

// What a partner says unasked is never taken for the answer to the next request,
// however the connection carries it.
func TestUnaskedAnswersAreNotHeard(t *testing.T) {
	lender := httptest.NewTLSServer(http.NotFoundHandler()) // of its certificate
	defer lender.Close()
	trust := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	trust.RootCAs.AddCert(lender.Certificate())
	for scheme, mine := range map[string]*tls.Config{"http": nil, "https": {Certificates: lender.TLS.Certificates, MinVersion: tls.VersionTLS12}} {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		var asked atomic.Int32
		go serveTwice(listener, mine, &asked)
		p := Transport(1, time.Second, trust)
		defer p.CloseIdleConnections()
		for i := range 4 {
			got, err := Exchange(p, post(t.Context(), t, scheme+"://"+listener.Addr().String()), 100)
			if want := fmt.Sprint("answer ", i+1); err != nil || string(got.Body) != want {
				t.Errorf("%s: heard %q, %v, want %q", scheme, got.Body, err, want)
			}
		}
	}
}

// serveTwice answers each request, and then once more, both in one segment but over
// TLS in two records.
func serveTwice(listener net.Listener, secure *tls.Config, asked *atomic.Int32) {
	answer := func(text string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	}
	for {
		raw, err := listener.Accept()
		if err != nil {
			return
		}
		held := &heldConn{Conn: raw}
		conn := net.Conn(held)
		if secure != nil {
			conn = tls.Server(held, secure)
		}
		go func() {
			defer conn.Close()
			in := bufio.NewReader(conn)
			for {
				r, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				held.holding = true
				_, _ = io.WriteString(conn, answer(fmt.Sprint("answer ", asked.Add(1))))
				_, _ = io.WriteString(conn, answer("unasked"))
				held.holding = false
				_, _ = held.Write(nil)
			}
		}()
	}
}

// heldConn holds what is written back for a while.
type heldConn struct {
	net.Conn
	holding bool
	text    []byte
}

func (c *heldConn) Write(b []byte) (int, error) {
	c.text = append(c.text, b...)
	if c.holding {
		return len(b), nil
	}
	_, err := c.Conn.Write(c.text)
	c.text = nil
	return len(b), err
}

// A connection on which something is left, or that is to be closed, is not used again.
func TestConnectionsAreNotKept(t *testing.T) {
	for name, serve := range map[string]http.HandlerFunc{
		"told to close": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") },
		"too large":     func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 200)) },
	} {
		server, made := counted(t, false, serve)
		p := Transport(1, time.Second, nil)
		t.Cleanup(p.CloseIdleConnections)
		for range 3 {
			_, _ = Exchange(p, post(t.Context(), t, server.URL), 100) // answered or not
		}
		if made.Load() != 3 {
			t.Errorf("%s: %d connections were made for 3 requests", name, made.Load())
		}
	}
}

func TestLongHead(t *testing.T) {
	server, _ := counted(t, false, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 2*maxHead))
	})
	p := Transport(1, time.Second, nil)
	t.Cleanup(p.CloseIdleConnections)
	if _, err := Exchange(p, post(t.Context(), t, server.URL), 100); !errors.Is(err, ErrTooLarge) || errors.Is(err, ErrUnsent) {
		t.Errorf("got %v", err)
	}
}
