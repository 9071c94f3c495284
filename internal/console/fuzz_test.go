package console

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Whatever is searched for leads to a page of ours, or to an answer that names nothing.
func FuzzSearch(f *testing.F) {
	s := play(f)
	for _, text := range []string{"+226 70-11.22.33", s.reference, "Réf. " + s.rig.reference(&s.doubt), "D-0000-0000-00", "<b>", "\x00", strings.Repeat("70", 2000)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/search?q="+escape(text), nil)
		r.Header.Set("Cookie", s.cookies["anna"])
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		switch to := w.Header().Get("Location"); w.Code {
		case http.StatusSeeOther:
			if !strings.HasPrefix(to, "/customers/+") && !strings.HasPrefix(to, "/purchases/") && !strings.HasPrefix(to, "/cases/D-") || strings.ContainsAny(to, "?#\r\n ") {
				t.Errorf("%q leads to %q", text, to)
			}
		case http.StatusNotFound:
			if found := inline.FindString(w.Body.String()); found != "" {
				t.Errorf("%q is shown as %q", text, found)
			}
		default:
			t.Errorf("%q: %d", text, w.Code)
		}
	})
}
