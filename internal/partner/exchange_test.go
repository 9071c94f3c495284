package partner

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func transport(t *testing.T, conns int) *Pool {
	tr := Transport(conns, time.Second, nil)
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func post(ctx context.Context, t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("an order"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAnswerIsReadToItsEnd(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen", r.Method)
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(server.Close)
	got, err := Exchange(transport(t, 1), post(t.Context(), t, server.URL), 8)
	if err != nil || got.Status != http.StatusAccepted || string(got.Body) != "an order" || got.Header.Get("X-Seen") != "POST" {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := Exchange(transport(t, 1), post(t.Context(), t, server.URL), 7); !errors.Is(err, ErrTooLarge) || errors.Is(err, ErrUnsent) {
		t.Errorf("one byte too many: %v", err)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var hits atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		http.Redirect(w, r, "/again", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(server.Close)
	got, err := Exchange(transport(t, 1), post(t.Context(), t, server.URL), 1024)
	if err != nil || got.Status != http.StatusTemporaryRedirect || hits.Load() != 1 {
		t.Errorf("got %+v, %v after %d requests", got, err, hits.Load())
	}
}

// peer is a bare TCP server: serve is called with each connection, in turn.
func peer(t *testing.T, serve func(n int, c net.Conn)) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { listener.Close(); <-done })
	go func() {
		defer close(done)
		for n := 1; ; n++ {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			serve(n, c)
			c.Close()
		}
	}()
	return "http://" + listener.Addr().String()
}

func readRequest(c net.Conn) {
	buffer := make([]byte, 4096)
	for text := ""; !strings.HasSuffix(text, "an order"); {
		n, err := c.Read(buffer)
		if err != nil {
			return
		}
		text += string(buffer[:n])
	}
}

const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestUnsentOnlyWhenNothingLeft(t *testing.T) {
	closed := peer(t, func(int, net.Conn) {})
	gone, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for name, c := range map[string]struct {
		url    string
		unsent bool
	}{
		"nobody listens":      {"http://" + gone.Addr().String(), true},
		"no such host":        {"http://partner.invalid", true},
		"accepted and closed": {closed, false},
		"read and closed":     {peer(t, func(_ int, c net.Conn) { readRequest(c) }), false},
		"half an answer":      {peer(t, func(_ int, c net.Conn) { readRequest(c); _, _ = io.WriteString(c, answer[:len(answer)-1]) }), false},
		"garbage":             {peer(t, func(_ int, c net.Conn) { readRequest(c); _, _ = io.WriteString(c, "220 smtp ready\r\n\r\n") }), false},
	} {
		if _, err := Exchange(transport(t, 1), post(t.Context(), t, c.url), 1024); err == nil || errors.Is(err, ErrUnsent) != c.unsent {
			t.Errorf("%s: %v, want unsent %t", name, err, c.unsent)
		}
	}
}

// A kept connection that the partner closed is found closed only by writing to
// it. The second order either never left, or may have been read: never unsent
// after it was read, and sent at most once.
func TestKeptConnectionThatWasClosed(t *testing.T) {
	for range 50 {
		var read atomic.Int32
		again := make(chan struct{})
		url := peer(t, func(n int, c net.Conn) {
			if n == 1 {
				readRequest(c)
				_, _ = io.WriteString(c, answer)
				close(again)
				return
			}
			buffer := make([]byte, 4096)
			if n, _ := c.Read(buffer); n > 0 {
				read.Add(1)
			}
		})
		tr := transport(t, 1)
		if _, err := Exchange(tr, post(t.Context(), t, url), 1024); err != nil {
			t.Fatal(err)
		}
		<-again
		_, err := Exchange(tr, post(t.Context(), t, url), 1024)
		if err == nil || errors.Is(err, ErrUnsent) && read.Load() > 0 || read.Load() > 1 {
			t.Fatalf("read %d times, and the error is %v", read.Load(), err)
		}
	}
}

func TestGivenUp(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	}))
	t.Cleanup(server.Close)
	tr := transport(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := Exchange(tr, post(ctx, t, server.URL), 1024)
		first <- err
	}()
	<-arrived
	waiting, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	if _, err := Exchange(tr, post(waiting, t, server.URL), 1024); !errors.Is(err, ErrUnsent) {
		t.Errorf("given up while it waited for a connection: %v, want unsent", err)
	}
	cancel()
	if err := <-first; err == nil || errors.Is(err, ErrUnsent) {
		t.Errorf("given up after it had arrived: %v, want not unsent", err)
	}
	close(release)
}

func TestReplayableIsNeverUnsentOnceConnected(t *testing.T) {
	url := peer(t, func(_ int, c net.Conn) { readRequest(c) })
	r := post(t.Context(), t, url)
	r.Header.Set("Idempotency-Key", "k")
	if _, err := Exchange(transport(t, 1), r, 1024); err == nil || errors.Is(err, ErrUnsent) {
		t.Errorf("got %v", err)
	}
}
