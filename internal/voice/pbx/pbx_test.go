package pbx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tenu/internal/care"
	"tenu/internal/hook"
	"tenu/internal/purchase"
	"tenu/internal/voice/centre"
	"tenu/internal/voice/dial"
)

// clock goes on by what is waited for, at once.
type clock struct {
	mu  sync.Mutex
	now purchase.Instant
}

func (c *clock) Now() purchase.Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	over := make(chan time.Time, 1)
	over <- c.now.Time()
	return over
}

var secrets = [][]byte{[]byte(strings.Repeat("new", 11)), []byte(strings.Repeat("old", 11))}

// exchange is the other side: it keeps the commands it was told, and answers as it is told to.
type exchange struct {
	*httptest.Server
	t       *testing.T
	clock   *clock
	answers []int // in turn; 0 hangs up without an answer; then 204

	mu       sync.Mutex
	commands []Command
}

func (x *exchange) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		x.t.Error(err)
	}
	if err := hook.Verify(r.Header.Get(hook.HeaderSignature), body, x.clock.Now().Time(), secrets[0]); err != nil {
		x.t.Errorf("a command of somebody else: %v", err)
	}
	var c Command
	if err := json.Unmarshal(body, &c); err != nil || r.Header.Get(HeaderCommand) != c.ID {
		x.t.Errorf("%s: %v", body, err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.commands = append(x.commands, c)
	if len(x.answers) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	code := x.answers[0]
	x.answers = x.answers[1:]
	if code == 0 {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(code)
}

// told notes what a telephone system told.
type told struct {
	mu     sync.Mutex
	events []dial.Event
	notes  []string
	calls  []centre.Call
	err    error
}

func (x *told) heard(e dial.Event) { x.mu.Lock(); defer x.mu.Unlock(); x.events = append(x.events, e) }
func (x *told) Add(c centre.Call)  { x.mu.Lock(); defer x.mu.Unlock(); x.calls = append(x.calls, c) }
func (x *told) Observe(_ context.Context, extension, call string, number purchase.MSISDN, s centre.State) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.notes = append(x.notes, fmt.Sprintf("%s %s %d %s", extension, call, number, s))
	return x.err
}

func newPBX(t *testing.T, answers ...int) (*PBX, *exchange, *told) {
	t.Helper()
	x := &exchange{t: t, clock: &clock{now: purchase.At(time.Date(2027, 7, 9, 13, 45, 0, 0, time.UTC))}, answers: answers}
	x.Server = httptest.NewServer(x)
	t.Cleanup(x.Close)
	heard := &told{}
	p, err := New(Config{URL: x.URL, Secrets: secrets, Clock: x.clock, Log: slog.New(slog.DiscardHandler), Heard: heard.heard, Agents: heard, Calls: heard,
		Number: func(text string) (purchase.MSISDN, bool) { return 22670112233, text == "+22670112233" }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, x, heard
}

var callback = dial.Call{Name: "ouaga-1-12-1", Extension: "201", Number: 22670112233, Language: "fr", Late: true}

// A command is told until it is taken or refused. Only when nothing can ring does it count as if nothing was dialled.
func TestCommands(t *testing.T) {
	undialled := func(down bool) []dial.Event {
		return []dial.Event{{Call: callback.Name, News: dial.Ended, Ring: care.Undialled, Down: down}}
	}
	always := func(code int) []int { return slices.Repeat([]int{code}, 100) }
	for name, c := range map[string]struct {
		answers []int
		tries   int // 0: until it is given up
		want    []dial.Event
	}{
		"taken":               {nil, 1, nil},
		"taken later":         {[]int{503, 429, 0, 204}, 4, nil},
		"refused":             {[]int{403}, 1, undialled(false)},
		"too busy":            {always(429), 0, undialled(true)},
		"refused, perhaps":    {[]int{500, 404}, 2, nil}, // what the first did nobody knows
		"never says":          {always(500), 0, nil},
		"hangs up":            {always(0), 0, nil},
		"sent somewhere else": {[]int{302, 204}, 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p, x, heard := newPBX(t, c.answers...)
			if err := p.Call(t.Context(), callback); err != nil {
				t.Fatal(err)
			}
			p.group.Wait()
			if !slices.Equal(heard.events, c.want) {
				t.Errorf("heard %+v", heard.events)
			}
			x.Close() // who hangs up may still be at it
			if n := len(x.commands); n != c.tries && (c.tries != 0 || n < 10) {
				t.Errorf("told %d times", n)
			}
			want := Command{ID: "ouaga-1-12-1", Type: "dial", At: x.commands[0].At, Call: "ouaga-1-12-1", Extension: "201", Number: "+22670112233", Language: "fr", Late: true}
			for _, got := range x.commands {
				if got != want {
					t.Errorf("%+v, want %+v", got, want)
				}
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	p, x, heard := newPBX(t)
	x.Close()
	if err := p.Call(t.Context(), callback); err != nil {
		t.Fatal(err)
	}
	p.group.Wait()
	if len(heard.events) != 1 || heard.events[0].Ring != care.Undialled || !heard.events[0].Down {
		t.Errorf("%+v", heard.events)
	}
	p.Close()
	if err := p.Call(t.Context(), callback); !errors.Is(err, dial.ErrUndialled) {
		t.Errorf("after the end: %v", err)
	}
}

func TestHangUp(t *testing.T) {
	p, x, heard := newPBX(t, 404)
	p.HangUp("ouaga-1-12-1")
	p.group.Wait()
	if len(heard.events) != 0 || len(x.commands) != 1 || x.commands[0].Type != "hangup" || x.commands[0].Call != "ouaga-1-12-1" || x.commands[0].ID == "ouaga-1-12-1" {
		t.Errorf("%+v, %+v", heard.events, x.commands)
	}
}

// tell tells events as the telephone system would, and returns what it is answered.
func tell(t *testing.T, p *PBX, body string, at time.Time, secret []byte) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/pbx/events", strings.NewReader(body))
	r.Header.Set(hook.HeaderSignature, hook.Sign([]byte(body), at, secret))
	p.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestEvents(t *testing.T) {
	p, x, heard := newPBX(t)
	now := x.clock.Now().Time()
	const body = `{"events": [
		{"type": "call.taken", "call": "ouaga-1-12-1"}, {"type": "call.spoke", "call": "ouaga-1-12-1"}, {"type": "call.ended", "call": "ouaga-1-12-1"},
		{"type": "call.ended", "call": "ouaga-1-13-1", "ring": "busy"}, {"type": "call.ended", "call": "ouaga-1-14-1", "ring": "undialled", "down": true},
		{"type": "agent.talking", "call": "q-1", "extension": "201", "number": "+22670112233"}, {"type": "agent.free", "call": "q-1", "extension": "201"},
		{"type": "inbound.ended", "call": "q-1", "inbound": {"trunk": "core", "number": "+22670112233", "language": "fr", "at": "2027-07-09T13:40:00Z",
			"answered": "2027-07-09T13:40:01Z", "queued": "2027-07-09T13:40:20Z", "taken": "2027-07-09T13:41:00Z", "ended": "2027-07-09T13:44:00Z", "release": "spoken"}}]}`
	for _, secret := range secrets {
		if code, text := tell(t, p, body, now, secret); code != http.StatusNoContent {
			t.Fatalf("%d %s", code, text)
		}
	}
	want := []dial.Event{{Call: "ouaga-1-12-1", News: dial.Taken}, {Call: "ouaga-1-12-1", News: dial.Spoke}, {Call: "ouaga-1-12-1", News: dial.Ended, Ring: care.Lost},
		{Call: "ouaga-1-13-1", News: dial.Ended, Ring: care.Busy}, {Call: "ouaga-1-14-1", News: dial.Ended, Ring: care.Undialled, Down: true}}
	if !slices.Equal(heard.events[:5], want) || len(heard.events) != 10 {
		t.Errorf("%+v", heard.events)
	}
	if !slices.Equal(heard.notes[:2], []string{"201 q-1 22670112233 talking", "201 q-1 0 wrapping"}) {
		t.Errorf("%q", heard.notes)
	}
	call := heard.calls[0]
	if call.ID != "pbx-q-1" || call.Number != 22670112233 || call.Release != centre.Spoken || call.Taken.Sub(call.Queued) != 40*time.Second || call != heard.calls[1] {
		t.Errorf("%+v", heard.calls)
	}
	heard.err = centre.ErrExtension
	if code, text := tell(t, p, `{"events": [{"type": "agent.free", "call": "q", "extension": "999"}]}`, now, secrets[0]); code != http.StatusNoContent {
		t.Errorf("of a telephone that nobody signed on at: %d %s", code, text)
	}
	heard.err = purchase.ErrUnavailable
	if code, text := tell(t, p, `{"events": [{"type": "agent.free", "call": "q", "extension": "201"}]}`, now, secrets[0]); code != http.StatusServiceUnavailable || !strings.Contains(text, "events[0]") {
		t.Errorf("without a store: %d %s", code, text)
	}
}

// What is not signed, or cannot be, is refused with its place, and nothing of it is taken.
func TestBadEvents(t *testing.T) {
	p, x, heard := newPBX(t)
	now := x.clock.Now().Time()
	good := `{"type": "call.spoke", "call": "a"}`
	inbound := func(change ...string) string {
		return strings.NewReplacer(change...).Replace(`{"type": "inbound.ended", "call": "q", "inbound": {"language": "fr", "at": "2027-07-09T13:40:00Z",
			"answered": "2027-07-09T13:40:01Z", "ended": "2027-07-09T13:44:00Z", "release": "informed"}}`)
	}
	for event, want := range map[string]string{
		`{"type": "call.spoke"}`: "events[1]: call: a name",
		`{"type": "call.spoke", "call": "` + strings.Repeat("x", 129) + `"}`:    "events[1]: call: a name",
		`{"type": "call.ended", "call": "a", "ring": "answered"}`:               `events[1]: ring: "answered" is no outcome`,
		`{"type": "call.rang", "call": "a"}`:                                    `events[1]: type: "call.rang" is none`,
		`{"type": "agent.free", "call": "a", "number": "12"}`:                   "events[1]: number: it is none",
		`{"type": "inbound.ended", "call": "a"}`:                                "events[1]: inbound: it is needed",
		inbound("informed", "happy"):                                            `events[1]: inbound.release: "happy"`,
		inbound("13:44:00Z", "13:39:00Z"):                                       "in no order that can be",
		inbound("13:44:00Z", "14:44:00Z"):                                       "in no order that can be",
		inbound(`"at": "2027-07-09T13:40:00Z"`, `"at": "0001-01-01T00:00:00Z"`): "in no order that can be",
		inbound(`"language"`, `"taken": "2027-07-09T13:40:00Z", "language"`):    "in no order that can be",
		inbound(`"language": "fr"`, `"language": "fr-and-something-long"`):      "of that length",
		inbound(`"at": "2027`, `"at": "soon`):                                   "not JSON as it is described",
		`5`:                                                                     "not JSON as it is described",
	} {
		if code, text := tell(t, p, `{"events": [`+good+`, `+event+`]}`, now, secrets[0]); code != http.StatusBadRequest || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", event, code, text)
		}
	}
	if code, text := tell(t, p, `{"events": []}`, now, secrets[0]); code != http.StatusBadRequest {
		t.Errorf("nothing: %d %s", code, text)
	}
	if code, text := tell(t, p, `{"events": [`+strings.Repeat(good+",", maxEvents)+good+`]}`, now, secrets[0]); code != http.StatusBadRequest || !strings.Contains(text, "1 to 100") {
		t.Errorf("too many: %d %s", code, text)
	}
	if code, _ := tell(t, p, strings.Repeat(" ", maxBody+1), now, secrets[0]); code != http.StatusRequestEntityTooLarge {
		t.Errorf("too long: %d", code)
	}
	all := `{"events": [` + good + `]}`
	if code, _ := tell(t, p, all, now, []byte(strings.Repeat("nobody's", 5))); code != http.StatusUnauthorized {
		t.Errorf("signed by a stranger: %d", code)
	}
	if code, _ := tell(t, p, all, now.Add(-hook.ReplayWindow-time.Second), secrets[0]); code != http.StatusUnauthorized {
		t.Errorf("signed long ago: %d", code)
	}
	if len(heard.events)+len(heard.notes)+len(heard.calls) != 0 {
		t.Errorf("some of it was taken: %+v", heard)
	}
}

func TestNew(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("of nothing")
	}
	p, _, _ := newPBX(t)
	cfg := p.cfg
	cfg.Secrets = [][]byte{[]byte("short")}
	if _, err := New(cfg); err == nil {
		t.Error("with a short secret")
	}
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte(`{"events": [{"type": "call.ended", "call": "a", "ring": "busy"}]}`))
	f.Add([]byte(`{"events": [{"type": "inbound.ended", "call": "q", "inbound": {"at": "2027-07-09T13:40:00Z", "release": "informed"}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		heard := &told{}
		p := &PBX{cfg: Config{Clock: &clock{now: 1 << 50}, Heard: heard.heard, Agents: heard, Calls: heard,
			Number: func(string) (purchase.MSISDN, bool) { return 22670112233, true }}}
		deeds, err := p.read(body)
		if err == nil && len(deeds) == 0 {
			t.Error("nothing, and no error")
		}
		for _, deed := range deeds {
			if err := deed(t.Context()); err != nil {
				t.Error(err)
			}
		}
		for i := range heard.calls {
			if c := &heard.calls[i]; c.At <= 0 || c.Ended < c.At {
				t.Errorf("%+v", c)
			}
		}
	})
}
