package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

type stillClock struct{}

func (stillClock) Now() purchase.Instant                { return purchase.SequenceEpoch }
func (stillClock) After(time.Duration) <-chan time.Time { return nil }

type meter struct{ routes []string }

func (m *meter) Request(route, _ string, _ int, _ time.Duration) { m.routes = append(m.routes, route) }
func (m *meter) CallbackRefused(string)                          {}
func (m *meter) Batched(string, int, int)                        {}

// bare is an API whose handlers cannot reach anything.
func bare(t testing.TB, log *bytes.Buffer) (*API, *meter) {
	t.Helper()
	book, err := auth.NewBook(nil)
	if err != nil {
		t.Fatal(err)
	}
	m := &meter{}
	a, err := New(Config{Version: "test", Clients: book, Clock: stillClock{}, NewID: func() string { return "id" }, Meter: m,
		Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return a, m
}

func TestPanicIsAnswered(t *testing.T) {
	var log bytes.Buffer
	a, m := bare(t, &log)
	a.mux.HandleFunc("GET /boom/{number}", func(http.ResponseWriter, *http.Request) { panic("secret cause") })
	w := httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/boom/70112233", nil))
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 500 || p.Code != CodeInternal || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if text := log.String(); !strings.Contains(text, "secret cause") || !strings.Contains(text, "level=ERROR") || strings.Contains(text, "70112233") {
		t.Errorf("the log says %s", text)
	}
	if len(m.routes) != 1 || m.routes[0] != "GET /boom/{number}" {
		t.Errorf("counted %v", m.routes)
	}
}

// Half an answer must not look like a whole one.
func TestPanicAfterTheAnswerBegan(t *testing.T) {
	var log bytes.Buffer
	a, _ := bare(t, &log)
	a.mux.HandleFunc("GET /boom", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"half":`))
		panic("late")
	})
	defer func() {
		if thrown, ok := recover().(error); !ok || !errors.Is(thrown, http.ErrAbortHandler) {
			t.Errorf("the connection was not aborted: %v", thrown)
		}
		if !strings.Contains(log.String(), "late") {
			t.Errorf("the log says %s", log.String())
		}
	}()
	a.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/boom", nil))
}

// Every state, matter and kind has its words in every language.
func TestNothingIsLeftWithoutWords(t *testing.T) {
	s, err := loadSentences()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, language := range s.book.Languages() {
		for _, state := range purchase.States {
			for _, bundle := range []bool{false, true} {
				p := purchase.Purchase{State: state, Request: purchase.Request{Language: purchase.Language(language), Bundle: bundle}}
				text := s.of(&p)
				if text == "" {
					t.Errorf("%s has no sentence in %s", state, language)
				}
				seen[text] = true
			}
		}
	}
	if len(s.book.Languages()) < 2 || len(seen) < 8*len(s.book.Languages()) {
		t.Errorf("%d sentences in %v", len(seen), s.book.Languages())
	}
	p := purchase.Purchase{State: purchase.Declined, Opened: purchase.MatterSet(0).With(purchase.MatterUnknownCharge)}
	if text := s.of(&p); strings.Contains(text, "rien n'a été débité") {
		t.Errorf("of a payer that never answered it is said: %s", text)
	}
	for _, matter := range purchase.Matters {
		if matters[matter] == "" {
			t.Errorf("the matter %s has no words", matter)
		}
	}
	for _, kind := range purchase.Kinds {
		if outcomes[kind] == "" {
			t.Errorf("the outcome %s has no words", kind)
		}
	}
	for _, leg := range purchase.Legs {
		if verbs[leg] == "" {
			t.Errorf("the leg %s has no verb", leg)
		}
	}
}

// FuzzRequest: whatever is asked without a key is refused by a problem document
// of ours or answered by a page, and never breaks the server.
func FuzzRequest(f *testing.F) {
	var log bytes.Buffer
	a, _ := bare(f, &log)
	f.Add("GET", "/v1/purchases?number=70112233&cursor=K7M2Q4XD9T&limit=2", "")
	f.Add("POST", "/v1/purchases", `{"product":"airtime"}`)
	f.Add("PUT", "/callbacks/wallet", "<xml/>")
	f.Add("GET", "/v1/%2e%2e/openapi.json?%zz", "")
	f.Add("OPTIONS", "*", "")
	f.Fuzz(func(t *testing.T, method, target, body string) {
		log.Reset()
		r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
		if err != nil || r.URL.Host != "" {
			return // net/http's own server would not have passed it on
		}
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		var p Problem
		switch {
		case w.Code == 500:
			t.Fatalf("%s %s: %s: %s", method, target, w.Body, log.String())
		case w.Code >= 400 && (json.Unmarshal(w.Body.Bytes(), &p) != nil || p.Status != w.Code || p.Instance == ""):
			t.Fatalf("%s %s: %d: %s", method, target, w.Code, w.Body)
		}
	})
}

// FuzzCursor: a cursor is read only if it is one that could have been given out.
func FuzzCursor(f *testing.F) {
	keys, err := purchase.NewKeyring(make([]byte, 16))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(keys.Reference(purchase.MakeID(3, 77))))
	f.Add("K7M2-Q4XD-9T")
	f.Add("' OR 1=1 --")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := keys.Parse(text)
		if err != nil {
			return
		}
		if again, err := keys.Parse(string(keys.Reference(id))); err != nil || again != id || id < 0 {
			t.Errorf("%q was read as %d, which is given out as another", text, id)
		}
	})
}
