package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

type smsBench struct {
	*SMS
	*served
	clock  *handClock
	config SMSConfig

	mu       sync.Mutex
	receipts []string
}

func newSMSBench(t *testing.T, change func(*SMSConfig)) *smsBench {
	t.Helper()
	b := &smsBench{clock: newHandClock()}
	listener := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var got struct{ ID, State string }
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.receipts = append(b.receipts, got.ID+" "+got.State)
	}))
	t.Cleanup(listener.Close)
	b.config = SMSConfig{Config: testConfig(t, b.clock), ReceiptURL: listener.URL}
	if change != nil {
		change(&b.config)
	}
	b.open(t)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func (b *smsBench) open(t *testing.T) {
	t.Helper()
	var err error
	if b.SMS, err = NewSMS(t.Context(), b.config); err != nil {
		t.Fatal(err)
	}
	b.served = serve(t, b.SMS)
}

func (b *smsBench) settle(t *testing.T) {
	t.Helper()
	for next := b.clock.Now(); next != 0; {
		var err error
		if next, err = b.Step(t.Context(), b.clock.Now()); err != nil {
			t.Fatal(err)
		}
		if now := b.clock.Now(); next > now {
			b.clock.forward(next.Sub(now))
		}
	}
}

func (b *smsBench) inbox(t *testing.T, number string) []Message {
	t.Helper()
	return read[[]Message](t, b.must(200, http.MethodGet, "/messages?to="+number, ""))
}

func (b *smsBench) received() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.receipts, ", ")
}

const hello = `{"id":"K7M2-Q4XD-9T/credited","to":"+22670112233","text":"Crédité: 1 050 F CFA <b>"}`

func TestMessages(t *testing.T) {
	b := newSMSBench(t, func(c *SMSConfig) { c.After = time.Second })
	sent := read[Message](t, b.must(201, http.MethodPost, "/messages", hello))
	if sent.State != "accepted" || sent.To != "+22670112233" || b.received() != "" {
		t.Errorf("got %+v", sent)
	}
	b.must(200, http.MethodPost, "/messages", hello) // the same again
	b.must(409, http.MethodPost, "/messages", strings.Replace(hello, "1 050", "9 050", 1))
	b.must(409, http.MethodPost, "/messages", strings.Replace(hello, "112233", "112244", 1))
	if page := b.must(200, http.MethodGet, "/phone/+22670112233", ""); strings.Contains(page, "Crédité") {
		t.Error("shown before it arrived")
	}
	b.http.Close()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b.open(t) // what was accepted is delivered after a restart
	b.settle(t)
	got := b.inbox(t, "%2B22670112233")
	if len(got) != 1 || got[0].State != "delivered" || got[0].Text != "Crédité: 1 050 F CFA <b>" || got[0].Delivered.Sub(*got[0].Accepted) != time.Second {
		t.Errorf("got %+v", got)
	}
	if got, want := b.received(), "K7M2-Q4XD-9T/credited accepted, K7M2-Q4XD-9T/credited delivered"; got != want {
		t.Errorf("receipts %q", got)
	}
	page := b.must(200, http.MethodGet, "/phone/22670112233", "")
	if !strings.Contains(page, "Crédité: 1 050 F CFA &lt;b&gt;") || !strings.Contains(page, "2026-07-09 13:45:01") {
		t.Errorf("the page is %s", page)
	}
	if page := b.must(200, http.MethodGet, "/phone/22670112299", ""); !strings.Contains(page, "Aucun message") {
		t.Errorf("the empty page is %s", page)
	}
	b.must(404, http.MethodGet, "/phone/<script>", "")
}

func TestBadMessages(t *testing.T) {
	b := newSMSBench(t, nil)
	for body, status := range map[string]int{
		``: 400,
		`{"id":"1","to":"+22670112233","text":"a","more":1}`:                                  400,
		`{"id":"1","to":"+22670112233","text":"` + strings.Repeat("x", maxMessageBody) + `"}`: 400,
		`{"to":"+22670112233","text":"a"}`:                                                    422,
		`{"id":"1","to":"7","text":"a"}`:                                                      422,
		`{"id":"1","to":"+22670112233","text":""}`:                                            422,
		`{"id":"1","to":"+22670112233","text":"` + strings.Repeat("x", 1531) + `"}`:           422,
		`{"id":"` + strings.Repeat("1", 129) + `","to":"+22670112233","text":"a"}`:            422,
		`{"id":"1","to":"+22670112233","text":"a","state":"delivered"}`:                       422,
	} {
		b.must(status, http.MethodPost, "/messages", body)
	}
	if list, err := b.book.Movements(t.Context(), 0, 9); err != nil || len(list) != 0 {
		t.Errorf("the book has %+v, %v", list, err)
	}
}

func TestSMSFaults(t *testing.T) {
	const id = "K7M2-Q4XD-9T/credited"
	delivered := id + " accepted, " + id + " delivered"
	for _, c := range []struct {
		fault    string
		status   int // 0: the connection is cut
		shown    int // on the phone's page
		receipts string
	}{
		{`{"operation":"message","kind":"swallow","next":1}`, 201, 0, ""},
		{`{"operation":"message","kind":"message_twice","next":1}`, 201, 2, delivered + ", " + delivered},
		{`{"operation":"message","kind":"recycled","next":1}`, 201, 0, delivered},
		{`{"operation":"message","kind":"outage","next":1}`, 503, 0, ""},
		{`{"operation":"message","kind":"refuse","next":1}`, 422, 0, ""},
		{`{"operation":"message","kind":"lose_request","next":1}`, 0, 0, ""},
		{`{"operation":"message","kind":"lose_reply","next":1}`, 0, 1, delivered},
		{`{"operation":"message","kind":"server_error","next":1}`, 500, 1, delivered},
		{`{"operation":"message","kind":"delay","next":1,"delay_ms":5000}`, 201, 1, delivered},
		{`{"operation":"receipt","kind":"receipt_twice","next":1}`, 201, 1, delivered + ", " + id + " delivered"},
		{`{"operation":"receipt","kind":"receipt_disorder","next":1}`, 201, 1, id + " delivered, " + id + " accepted"},
	} {
		b := newSMSBench(t, nil)
		b.must(201, http.MethodPost, "/faults", c.fault)
		status, answer, err := b.ask(http.MethodPost, "/messages", hello)
		if (err != nil) != (c.status == 0) || status != c.status {
			t.Errorf("%s: %d %s, %v", c.fault, status, answer, err)
		}
		b.settle(t)
		if n := strings.Count(b.must(200, http.MethodGet, "/phone/22670112233", ""), "Crédité"); n != c.shown {
			t.Errorf("%s: shown %d times, want %d", c.fault, n, c.shown)
		}
		if got := b.received(); len(strings.Split(got, ", ")) != len(strings.Split(c.receipts, ", ")) || c.fault != `{"operation":"message","kind":"message_twice","next":1}` && got != c.receipts {
			t.Errorf("%s: receipts %q, want %q", c.fault, got, c.receipts)
		}
		if waits := b.clock.waited(); strings.Contains(c.fault, "delay_ms") && !slices.Equal(waits, []time.Duration{5 * time.Second}) {
			t.Errorf("waited %v", waits)
		}
		if c.status == 0 || c.status >= 500 { // the sender tries again
			if status, answer, err := b.ask(http.MethodPost, "/messages", hello); err != nil || status/100 != 2 {
				t.Errorf("%s: tried again: %d %s, %v", c.fault, status, answer, err)
			}
			b.settle(t)
			if n := strings.Count(b.must(200, http.MethodGet, "/phone/22670112233", ""), "Crédité"); n != 1 {
				t.Errorf("%s: tried again, and shown %d times", c.fault, n)
			}
		}
	}
}

// Many senders at once: every message is there once.
func TestManyMessages(t *testing.T) {
	b := newSMSBench(t, func(c *SMSConfig) { c.ReceiptURL = "" })
	var wg sync.WaitGroup
	for sender := range 20 {
		wg.Go(func() {
			for i := range 10 {
				for range 2 {
					body := fmt.Sprintf(`{"id":"%d-%d","to":"+22670112233","text":"a"}`, sender, i)
					if status, answer, err := b.ask(http.MethodPost, "/messages", body); err != nil || status/100 != 2 {
						t.Errorf("%d %s, %v", status, answer, err)
					}
				}
			}
		})
	}
	wg.Wait()
	b.settle(t)
	if got := b.inbox(t, "22670112233"); len(got) != 200 {
		t.Errorf("%d messages", len(got))
	}
	if next, err := b.book.NextDue(context.Background()); next != 0 || err != nil {
		t.Errorf("still due: %s, %v", next, err)
	}
}
