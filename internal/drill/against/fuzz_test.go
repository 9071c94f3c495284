package against

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"tenu/internal/drill"
	"tenu/internal/fuzztest"
	"tenu/internal/purchase"
)

// canned answers every request with a text by its path, and knows what was asked beside. A book has one page, but for one
// that begins with a space: that has it again and again.
type canned struct {
	answers map[string]string
	asked   []string
	read    map[string]bool // whose books, by host
}

// RoundTrip is http.RoundTripper.
func (c *canned) RoundTrip(r *http.Request) (*http.Response, error) {
	c.asked = append(c.asked, r.Method)
	path := r.URL.Path
	if strings.HasPrefix(path, "/v1/purchases/") {
		path = "/v1/purchases/"
	}
	status, body := http.StatusOK, c.answers[path]
	if path == "/books/movements" {
		if c.read[r.URL.Host] && !strings.HasPrefix(body, " ") {
			body = "[]"
		}
		c.read[r.URL.Host] = true
	}
	if strings.HasPrefix(body, "404") {
		status = http.StatusNotFound
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// hasty is a clock on which every wait is over at once.
type hasty struct{ at purchase.Instant }

func (c *hasty) Now() purchase.Instant { return c.at }

func (c *hasty) After(d time.Duration) <-chan time.Time {
	c.at = c.at.Add(d)
	over := make(chan time.Time, 1)
	over <- c.at.Time()
	return over
}

const scenario = `title: {fr: "Panne", en: "Outage"}
begins: "2024-07-09 10:00"
ends: "10:05"
purchases: 20
partners:
  - {name: wallet, role: payer}
  - {name: charging, role: provider}
windows:
  - {partner: charging, from: "10:01", till: "10:04", faults: {dropped: 50%}}
`

// FuzzAnswers: whatever a deployment and its partners answer, it is refused before anything was changed, or measured in bounded memory.
func FuzzAnswers(f *testing.F) {
	const (
		test     = `{"version":"1","test":true,"status":"http://status.invalid","deliver_within_ms":2000,"expected_ms":1000,"partners":[{"name":"w","role":"payer","control":"http://w.invalid/"},{"name":"c","role":"provider","control":"http://c.invalid"}]}`
		products = `{"products":[{"code":"airtime","kind":"airtime","pay_with":["w"],"min":100,"max":1000,"step":50},{"code":"day","kind":"bundle","pay_with":["w"]}]}`
		faults   = `{"faults":[],"offer":{"charge":["decline"],"credit":["lose_request","lose_reply","refuse","delay"],"query":["lose_request"]}}`
		tally    = `[{"leg":"charge","movements":3}]`
		moved    = `[{"seq":4,"ref":"r","key":"k","leg":"charge","number":"22670000001","amount":500,"status":"done","at":1,"moved":2},{"seq":5,"ref":"s","leg":"refund","original":"r","status":"done","moved":3}]`
		page     = `{"incidents":[{"id":"I-1","status":"closed","seen_at":"2027-01-01T00:00:00Z","paused_at":"2027-01-01T00:00:01Z","affected":{"customers":3,"told":2}}]}`
		bought   = `{"reference":"K7M2Q4XD90","state":"refunded","final":true,"payer":{"number":"+22670000001"},"recipient":{"number":"+22670000002"},"total":{"amount":500},"units":{"amount":500},` +
			`"created_at":"2027-01-01T00:00:00Z","charged_at":"2027-01-01T00:00:01Z","closed_at":"2027-01-01T00:01:00Z","timeline":[{"at":"2027-01-01T00:00:01Z","kind":"evidence","leg":"charge","outcome":"done","ref":"r"},` +
			`{"at":"2027-01-01T00:00:02Z","kind":"evidence","leg":"credit","outcome":"unknown"},{"at":"2027-01-01T00:00:03Z","kind":"attempt","leg":"refund"},{"at":"2027-01-01T00:00:04Z","kind":"evidence","leg":"refund","outcome":"done"}]}`
	)
	f.Add(test, products, faults, tally, moved, page, bought)
	f.Add(strings.Replace(test, "true", "false", 1), products, faults, tally, moved, page, bought)
	f.Add(test, products, strings.Replace(faults, `"faults":[]`, `"faults":[{"id":1,"operation":"credit","kind":"refuse"}]`, 1), tally, moved, page, bought)
	f.Add(test, products, faults, tally, " "+moved, page, bought)
	f.Add(test, products, faults, tally, `[{"seq":0}]`, `{"incidents":[{"status":"ongoing"}]}`, `{"created_at":"9999-12-31T23:59:59Z","charged_at":"0001-01-01T00:00:00Z","final":true}`)
	f.Add("404", "[", "null", "{}", "[]", "<html>", "")
	s, err := drill.Parse("x.yaml", []byte(scenario))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, test, products, faults, tally, moved, page, bought string) {
		size := len(test) + len(products) + len(faults) + len(tally) + len(moved) + len(page) + len(bought)
		web := &canned{read: map[string]bool{}, answers: map[string]string{"/v1/deployment": test, "/v1/products": products, "/faults": faults, "/books/tally": tally, "/books/movements": moved,
			"/status.json": page, "/v1/purchases/": bought}}
		clock := &hasty{at: 1_798_761_600_000_000}
		o := Options{URL: "http://tenu.invalid", Run: "r", Seed: 1, Speed: 1, Rate: 10, Within: time.Minute, LeaveOut: true, Clock: clock, Client: &http.Client{Transport: web}}
		fuzztest.Within(t, 128<<20+8192*size, func() {
			g, err := prepare(t.Context(), s, &o)
			for _, method := range web.asked {
				if method != http.MethodGet {
					t.Errorf("before it is known what it is: %s", method)
				}
			}
			if err != nil {
				return
			}
			if !g.deployment.Test {
				t.Error("it is not declared one for tests")
			}
			measured(t, g)
		})
	})
}

// measured judges a game whose sales were all answered, and writes what comes of it.
func measured(t *testing.T, g *game) {
	t.Helper()
	for i := range g.sales {
		g.sales[i].answered, g.sales[i].bought.Reference = true, fmt.Sprint(i)
	}
	g.began = g.Clock.Now()
	r, err := g.judge(t.Context())
	if err != nil {
		return
	}
	text, err := r.JSON()
	if err != nil || !json.Valid(text) {
		t.Errorf("the result %q, %v", text, err)
	}
	for _, language := range drill.Languages {
		if err := r.Account(io.Discard, language); err != nil {
			t.Errorf("the account: %v", err)
		}
		if _, err := r.Chart(language); err != nil {
			t.Errorf("the chart: %v", err)
		}
	}
	_ = r.Verdict() // any will do
}
