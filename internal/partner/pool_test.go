package partner

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
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
