package notify

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"tenu/internal/fuzztest"
	"tenu/internal/money"
	"tenu/internal/notify/gsm7"
	"tenu/internal/purchase"
)

// said is a message centre that answers everything the same, without end if it
// is told so.
type said struct {
	asked    int
	read     int64
	status   int
	location string
	body     string
	endless  bool
}

// RoundTrip is http.RoundTripper.
func (s *said) RoundTrip(*http.Request) (*http.Response, error) {
	s.asked++
	return &http.Response{StatusCode: s.status, Header: http.Header{"Location": {s.location}}, Body: io.NopCloser(s)}, nil
}

// Read is io.Reader.
func (s *said) Read(into []byte) (int, error) {
	if s.body == "" || !s.endless && s.read >= int64(len(s.body)) {
		return 0, io.EOF
	}
	n := copy(into, s.body[s.read%int64(len(s.body)):])
	s.read += int64(n)
	return n, nil
}

// FuzzCentre: a message is handed over once, to the centre alone, and is taken
// or refused by the status alone; of the answer no more is read than the limit.
func FuzzCentre(f *testing.F) {
	f.Add(201, "", "{}", false)
	f.Add(200, "", "x", true)
	f.Add(302, "http://elsewhere.invalid/login", "", false)
	f.Add(307, "//elsewhere.invalid/", "x", true)
	f.Add(308, "\x00:", "", false)
	f.Add(422, "", "70 11 22 33", false)
	f.Add(503, "", "", false)
	f.Fuzz(func(t *testing.T, status int, location, body string, endless bool) {
		if status < 200 || status > 999 {
			return // net/http answers no such status
		}
		s := &said{status: status, location: location, body: body, endless: endless}
		centre, err := NewSandboxCentre("http://centre.invalid/sms", &http.Client{Transport: s})
		if err != nil {
			t.Fatal(err)
		}
		fuzztest.Within(t, 2*maxAnswer+64*len(location), func() { err = centre.Send(t.Context(), Message{ID: "id", To: 22670112233, Text: "text"}) })
		refused := status == 400 || status == 409 || status == 413 || status == 422
		if (err == nil) != (status/100 == 2) || errors.Is(err, ErrRefused) != refused {
			t.Errorf("status %d: %v", status, err)
		}
		if err != nil {
			fuzztest.NoNumber(t, err.Error())
		}
		if s.asked != 1 || s.read > maxAnswer {
			t.Errorf("asked %d times, %d bytes read", s.asked, s.read)
		}
	})
}

// FuzzWording: in a language that is accepted every fact fits one message, in
// its alphabet, whatever was bought and whatever the evidence says.
func FuzzWording(f *testing.F) {
	for _, name := range []string{"phrases/fr.yaml", "phrases/en.yaml"} {
		text, err := fs.ReadFile(shipped, name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), int64(1050), int64(-1))
	}
	cfg := config(f)
	f.Fuzz(func(t *testing.T, text string, amount, balance int64) {
		cfg := cfg
		cfg.Languages = []fs.FS{fstest.MapFS{"mos.yaml": {Data: []byte(text)}}}
		w, err := NewWording(cfg)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "wording: ") {
				t.Errorf("%v", err)
			}
			return
		}
		p := story()
		p.Language, p.Total, p.Units, p.Charged.Minor = "mos", amount, amount, amount
		out := purchase.Outcome{Kind: purchase.Done, Amount: money.Amount{Minor: amount, Currency: money.XOF}, Balance: balance, HasBalance: true}
		for _, fact := range purchase.Facts {
			said := w.Notice(fact, &p, reference, out)
			if n, err := gsm7.Septets(said); err != nil || n == 0 || n > gsm7.MaxSeptets {
				t.Errorf("%s is told as %q: %d septets, %v", fact, said, n, err)
			}
		}
	})
}
