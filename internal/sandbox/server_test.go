package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tenu/internal/purchase"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// handClock is turned by the test; a wait in it is over at once.
type handClock struct {
	mu    sync.Mutex
	at    purchase.Instant
	waits []time.Duration
}

func newHandClock() *handClock {
	return &handClock{at: purchase.At(time.Date(2026, 7, 9, 13, 45, 0, 0, time.UTC))}
}

func (c *handClock) Now() purchase.Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *handClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits = append(c.waits, d)
	over := make(chan time.Time, 1)
	over <- c.at.Time()
	return over
}

// waited is what was waited for, but for the rests of a book.
func (c *handClock) waited() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.waits), func(d time.Duration) bool { return d == restBetween })
}

func (c *handClock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func testConfig(t testing.TB, clock purchase.Clock) Config {
	return Config{Name: "sand box", Path: filepath.Join(t.TempDir(), "book.db"), StatementDir: t.TempDir(), Seed: 7, Clock: clock,
		Log: slog.New(slog.DiscardHandler)}
}

// served is a server under test on a loopback address.
type served struct {
	t    testing.TB
	http *httptest.Server
}

func serve(t testing.TB, h http.Handler) *served {
	s := &served{t, httptest.NewServer(h)}
	t.Cleanup(s.http.Close)
	return s
}

// ask sends a request and reads the answer; an error is a connection that was cut.
func (s *served) ask(method, path, body string, header ...string) (status int, answer string, err error) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, s.http.URL+path, bytes.NewReader([]byte(body)))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := s.http.Client().Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, string(text), err
}

// must is ask where the status is known.
func (s *served) must(status int, method, path, body string, header ...string) string {
	s.t.Helper()
	got, answer, err := s.ask(method, path, body, header...)
	if err != nil || got != status {
		s.t.Fatalf("%s %s: %d %s, %v, want %d", method, path, got, answer, err, status)
	}
	return answer
}

// read decodes a JSON answer.
func read[T any](t testing.TB, answer string) (value T) {
	t.Helper()
	if err := json.Unmarshal([]byte(answer), &value); err != nil {
		t.Fatalf("%v in %s", err, answer)
	}
	return value
}

func TestConfigNeedsPathClockAndLog(t *testing.T) {
	good := testConfig(t, newHandClock())
	for _, change := range []func(*Config){func(c *Config) { c.Path = "" }, func(c *Config) { c.Clock = nil }, func(c *Config) { c.Log = nil },
		func(c *Config) { c.Path = filepath.Join(t.TempDir(), "no", "such", "folder.db") }} {
		config := good
		change(&config)
		if _, err := NewSMS(t.Context(), SMSConfig{Config: config}); err == nil {
			t.Errorf("%+v is taken", config)
		}
	}
}

// Due work is done once, in its time, and what fails stays due.
func TestStep(t *testing.T) {
	clock := newHandClock()
	c, err := newCore(t.Context(), testConfig(t, clock), "X", map[string][]Kind{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	var mu sync.Mutex
	var did []string
	broken := errors.New("broken")
	c.jobs["note"] = func(ctx context.Context, d Due, _ purchase.Instant) error {
		mu.Lock()
		defer mu.Unlock()
		did = append(did, d.Data)
		if broken != nil {
			return broken
		}
		return c.book.Do(ctx, func(p *Page) error { return p.DropDue(d.ID) })
	}
	now := clock.Now()
	if err := c.book.Do(t.Context(), func(p *Page) error {
		return errors.Join(p.AddDue(now.Add(time.Hour), "note", "later"), p.AddDue(now, "note", "now"), p.AddDue(now, "unheard of", ""))
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Step(t.Context(), now); !errors.Is(err, broken) {
		t.Errorf("got %v, want broken", err)
	}
	broken = nil
	if next, err := c.Step(t.Context(), now); err != nil || next != now.Add(time.Hour) {
		t.Errorf("next %s, %v, want in an hour", next, err)
	}
	if next, err := c.Step(t.Context(), now.Add(time.Hour)); err != nil || next != 0 {
		t.Errorf("next %s, %v, want none", next, err)
	}
	if got := strings.Join(did, " "); got != "now now later" {
		t.Errorf("did %q", got)
	}
}

// Run wakes for new work and ends with its context.
func TestRun(t *testing.T) {
	c, err := newCore(t.Context(), testConfig(t, systemClock{}), "X", map[string][]Kind{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	done := make(chan string)
	c.jobs["note"] = func(ctx context.Context, d Due, _ purchase.Instant) error {
		done <- d.Data
		return c.book.Do(ctx, func(p *Page) error { return p.DropDue(d.ID) })
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	for _, delay := range []time.Duration{0, 10 * time.Millisecond} {
		if err := c.book.Do(t.Context(), func(p *Page) error { return p.AddDue(c.Clock.Now().Add(delay), "note", delay.String()) }); err != nil {
			t.Fatal(err)
		}
		c.dueSoon()
		if got := <-done; got != delay.String() {
			t.Errorf("did %s, want %s", got, delay)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

type systemClock struct{}

func (systemClock) Now() purchase.Instant                  { return purchase.At(time.Now()) }
func (systemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

func TestBooksAreShown(t *testing.T) {
	c, err := newCore(t.Context(), testConfig(t, newHandClock()), "MP", map[string][]Kind{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	mux := http.NewServeMux()
	c.routes(mux)
	s := serve(t, mux)
	if err := c.book.Do(t.Context(), func(p *Page) error {
		var failed error
		for i, m := range []Movement{{Key: "a", Number: "1", Amount: 5, Status: StatusDone}, {Key: "b", Number: "2", Amount: 7, Status: StatusFailed},
			{Key: "a", Number: "1", Amount: 9, Status: StatusDone}} {
			m.Leg, m.Currency, m.At = "charge", "XOF", purchase.Instant(i+1)
			failed = errors.Join(failed, p.AddMovement(&m))
		}
		return errors.Join(failed, p.PutAccount(Account{Number: "1", Pocket: "XOF", Balance: 3}), p.PutAccount(Account{Number: "1", Pocket: "D1G", Balance: 4}),
			p.PutAccount(Account{Number: "2", Pocket: "XOF"}))
	}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/books/movements":                 "MP0000000001 MP0000000002 MP0000000003",
		"/books/movements?after=1&limit=1": "MP0000000002",
		"/books/movements?key=a":           "MP0000000001 MP0000000003",
		"/books/movements?key=nobody":      "",
		"/books/movements?number=1":        "MP0000000003 MP0000000001",
	} {
		var refs []string
		for _, m := range read[[]Movement](t, s.must(http.StatusOK, http.MethodGet, path, "")) {
			refs = append(refs, m.Ref)
		}
		if got := strings.Join(refs, " "); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	for path, want := range map[string]int{"/books/accounts": 3, "/books/accounts?after=1": 1, "/books/accounts/1": 2, "/books/accounts?limit=1": 1} {
		if got := read[[]Account](t, s.must(http.StatusOK, http.MethodGet, path, "")); len(got) != want {
			t.Errorf("%s: got %+v, want %d", path, got, want)
		}
	}
	tally := read[[]Tally](t, s.must(http.StatusOK, http.MethodGet, "/books/tally", ""))
	if len(tally) != 2 || tally[0] != (Tally{"charge", StatusDone, "XOF", 2, 14}) {
		t.Errorf("tally %+v", tally)
	}
	for path, status := range map[string]int{"/books/accounts/9": 404, "/books/movements?limit=x": 400, "/books/movements?after=-1": 400,
		"/books/accounts?limit=100000": 400, "/statement?from=yesterday": 400, "/statement?to=1": 400} {
		s.must(status, http.MethodGet, path, "")
	}
}
