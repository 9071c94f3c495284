package notify

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"tenu/internal/purchase"
)

// listen serves handler on the loopback interface and returns a centre for it.
func listen(t *testing.T, handler http.HandlerFunc) (*SandboxCentre, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(handler)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		server.Close()
	})
	centre, err := NewSandboxCentre(server.URL+"/sms/", client)
	if err != nil {
		t.Fatal(err)
	}
	return centre, server
}

func TestSandboxCentreSpeaks(t *testing.T) {
	centre, _ := listen(t, func(w http.ResponseWriter, r *http.Request) {
		var got map[string]string
		body, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(body, &got) != nil {
			t.Errorf("body %q: %v", body, err)
		}
		if r.Method != http.MethodPost || r.URL.Path != "/sms/messages" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
		}
		if len(got) != 3 || got["id"] != "K7M2Q4XD9T-credited" || got["to"] != "+22670112233" || got["text"] != "C'est crédité & là" {
			t.Errorf("message %v", got)
		}
		w.WriteHeader(http.StatusAccepted)
	})
	if err := centre.Send(t.Context(), Message{ID: "K7M2Q4XD9T-credited", To: 22670112233, Text: "C'est crédité & là"}); err != nil {
		t.Error(err)
	}
}

func TestSandboxCentreAnswers(t *testing.T) {
	for status, want := range map[int]struct{ taken, refused bool }{
		200: {true, false}, 201: {true, false}, 202: {true, false}, 204: {true, false},
		400: {false, true}, 409: {false, true}, 413: {false, true}, 422: {false, true},
		301: {}, 401: {}, 404: {}, 408: {}, 429: {}, 500: {}, 503: {},
	} {
		centre, _ := listen(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			if status != http.StatusNoContent {
				_, _ = io.WriteString(w, strings.Repeat("x", 3*maxAnswer)) // the client leaves early
			}
		})
		err := centre.Send(t.Context(), Message{ID: "id", To: 22670112233, Text: "text"})
		if (err == nil) != want.taken || errors.Is(err, ErrRefused) != want.refused {
			t.Errorf("%d: got %v", status, err)
		}
		if err != nil && strings.Contains(err.Error(), "70112233") {
			t.Errorf("%d: the error holds the number: %v", status, err)
		}
	}
}

func TestSandboxCentreFails(t *testing.T) {
	stuck := make(chan struct{})
	centre, server := listen(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-stuck:
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := centre.Send(ctx, Message{ID: "id", To: 1, Text: "text"}); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
	close(stuck)
	server.Close()
	if err := centre.Send(t.Context(), Message{ID: "id", To: 1, Text: "text"}); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("no server: %v", err)
	}

	garbage, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		conn, err := garbage.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "\x00\xffnot HTTP at all\r\n\r\n")
		_ = conn.Close()
	})
	centre, err = NewSandboxCentre("http://"+garbage.Addr().String(), &http.Client{})
	if err != nil {
		t.Fatal(err)
	}
	if err := centre.Send(t.Context(), Message{ID: "id", To: 1, Text: "text"}); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("garbage: %v", err)
	}
	serving.Wait()
	_ = garbage.Close()

	for _, base := range []string{"", "127.0.0.1:80", "ftp://127.0.0.1", "http://", "http://a b"} {
		if _, err := NewSandboxCentre(base, &http.Client{}); err == nil {
			t.Errorf("%q is taken for an address", base)
		}
	}
	if _, err := NewSandboxCentre("http://127.0.0.1", nil); err == nil {
		t.Error("no client")
	}
}

// A thousand notices over real connections, half of which the centre first
// answers with an error after it has taken the message: each is there once.
func TestOutboxOverHTTP(t *testing.T) {
	var mu sync.Mutex
	taken, calls := map[string]string{}, 0
	centre, _ := listen(t, func(w http.ResponseWriter, r *http.Request) {
		var m message
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		calls++
		if earlier, again := taken[m.ID]; again && earlier != m.Text {
			t.Errorf("%s: %q, then %q", m.ID, earlier, m.Text)
		}
		taken[m.ID] = m.Text
		if calls%101 == 50 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	store := &shelf{}
	for i := range 1000 {
		store.add(notice(i, purchase.FactCredited, noon))
	}
	o := outbox(t, OutboxConfig{Store: store, Centre: centre, Batch: 100})
	now, failures := noon, 0
	for store.unsent() > 0 && failures < 100 {
		next, err := o.Step(t.Context(), now)
		if err != nil {
			failures++
		}
		now = next
	}
	if len(taken) != 1000 || failures == 0 || calls <= 1000 {
		t.Errorf("%d messages in %d calls, %d failures", len(taken), calls, failures)
	}
}
