package page_test

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"tenu/internal/page"
)

// A visitor is sent on to a path of ours, and nowhere else.
func TestWithin(t *testing.T) {
	for next, want := range map[string]string{"/cases/D-1?show=look": "/cases/D-1?show=look", "": "/", "cases": "/", "//evil.example": "/", "/\\evil.example": "/",
		"https://evil.example/": "/", "javascript:alert(1)": "/", "/a\r\nX: y": "/", "/%zz": "/"} {
		if got := page.Within(next); got != want {
			t.Errorf("%q: %q, want %q", next, got, want)
		}
	}
}

func TestAccepted(t *testing.T) {
	if got, want := page.Accepted("fr-BF, fr;q=0.9,en;q=0.8"), []string{"fr-BF", "fr", "en"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := page.Accepted(strings.Repeat("fr,", 1000)); len(got) != 10 {
		t.Errorf("%d languages", len(got))
	}
}

// An asset's address changes with its content; it is kept for ever, and compressed where that is taken.
func TestAssets(t *testing.T) {
	load := func(text string) (*page.Assets, string) {
		t.Helper()
		a, err := page.LoadAssets(fstest.MapFS{"site.css": {Data: []byte(text)}})
		if err != nil {
			t.Fatal(err)
		}
		at, err := a.Path("site.css")
		if err != nil {
			t.Fatal(err)
		}
		return a, at
	}
	_, before := load("a{}")
	a, at := load("b{}")
	if at == before {
		t.Errorf("%s for two contents", at)
	}
	if _, err := a.Path("other.css"); err == nil {
		t.Error("an asset that is not there has an address")
	}
	for path, want := range map[string]int{at: http.StatusOK, before: http.StatusNotFound, "/static/site.css": http.StatusNotFound} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d", path, w.Code)
		}
		if want != http.StatusOK {
			continue
		}
		z, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(z); err != nil || string(text) != "b{}" || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%q, %v, %v", text, err, w.Header())
		}
	}
}

// What other sites send is refused, bodies are bounded, and browsers are told what pages may do.
func TestGuard(t *testing.T) {
	guarded := page.Guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var large *http.MaxBytesError
		if _, err := io.ReadAll(r.Body); errors.As(err, &large) {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	}), 10, true)
	for _, c := range []struct {
		site, body string
		want       int
	}{{"same-origin", "short", http.StatusOK}, {"cross-site", "short", http.StatusForbidden}, {"same-origin", "longer than ten", http.StatusRequestEntityTooLarge}} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(c.body))
		r.Header.Set("Sec-Fetch-Site", c.site)
		w := httptest.NewRecorder()
		guarded.ServeHTTP(w, r)
		if h := w.Header(); w.Code != c.want || h.Get("Content-Security-Policy") != page.Policy || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Strict-Transport-Security") == "" {
			t.Errorf("%+v: %d %v", c, w.Code, h)
		}
	}
}
