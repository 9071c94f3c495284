package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"tenu/internal/api"
	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/money"
	"tenu/internal/peer"
	"tenu/internal/testpeer"
	"tenu/internal/voice/sound"
	"tenu/internal/voice/speech"
)

// hotline is an installation with line 121 whose node is a process of its own, and the exchange
// with the customer's telephone and the agent's.
type hotline struct {
	*site
	t        *testing.T
	exchange *testpeer.Exchange
	window   time.Time // that callbacks are promised for first
	open     bool      // agents answer already now
	program  string
	process  *peer.Process
	voices   *speech.Voices
	sounds   *sound.Library
}

// The customer, and the extension of awa's telephone.
const (
	callerNumber = "+22670112233"
	callerShort  = "70 11 22 33"
	extension    = "201"
)

func startHotline(t *testing.T, program string, open bool) *hotline {
	t.Helper()
	h := newHotline(t)
	h.program, h.open = program, open
	d := &demo{demoCmd: &demoCmd{Dir: filepath.Join(t.TempDir(), "site"), Host: "127.0.0.1", SIP: h.exchange.Address().String()},
		app: &app{out: io.Discard, err: io.Discard, env: noEnv, clock: newSteady(), random: rand.Reader}, adapt: h.configured}
	if err := d.open(t.Context(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if err := d.at.close(); err != nil {
		t.Fatal(err)
	}
	if err := d.node.close(); err != nil {
		t.Fatal(err)
	}
	d.node = nil
	partners, stopPartners := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { defer close(over); d.sandbox.run(partners) }()
	h.site = &site{demo: d, stop: func() {
		h.process.Kill()
		http.DefaultClient.CloseIdleConnections()
		stopPartners()
		<-over
		if err := d.sandbox.close(); err != nil {
			t.Error(err)
		}
	}}
	h.start()
	t.Cleanup(h.halt)
	return h
}

// configured adapts the demonstration's configuration. It is noon where the customer is, and callbacks are
// made from the next minute on that leaves time to promise one.
func (h *hotline) configured(text string) string {
	now := time.Now().UTC()
	zone := fmt.Sprintf("Etc/GMT%+d", now.Hour()-12) // whose signs are those of the hours that it is behind
	h.window = now.Add(150 * time.Second).Truncate(time.Minute)
	local := h.window.Add(time.Duration(12-now.Hour()) * time.Hour)
	opens := time.Duration(local.Hour())*time.Hour + time.Duration(local.Minute())*time.Minute
	if h.open {
		opens = 0
	}
	text = strings.Replace(text, "deliver_within: 20s", "deliver_within: 20m\n  resolve_within: 1h\n  timezone: "+zone, 1)
	text = strings.Replace(text, "agents: {trunk: softphone}", "agents: {trunk: softphone, wrap_for: 5m}", 1)
	return text + fmt.Sprintf("callbacks: {opens: %s, closes: 23h, lead: 1s}\n", opens)
}

// start starts the node, as it was configured.
func (h *hotline) start() {
	h.t.Helper()
	h.process = peer.Prepare(nil, h.Dir, h.program, "serve", "--config", filepath.Join(h.Dir, "tenu.yaml"))
	if err := h.process.Start(); err != nil {
		h.t.Fatal(err)
	}
	soon(h.t, "the node serves", time.Minute, func() bool {
		response, err := http.Get(h.remote.URL + "/readyz") //nolint:noctx // of the loopback
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// said is the sound of a phrase.
func (h *hotline) said(key string, values map[string]speech.Value) (all []byte) {
	for _, clip := range h.voices.Say("fr", key, values) {
		all = append(all, h.sounds.Clip(sound.ALaw, "fr", clip)...)
	}
	return all
}

func (h *hotline) hears(talk *testpeer.Talk, key string, values map[string]speech.Value) {
	h.t.Helper()
	if !talk.Hear(h.said(key, values), 60*time.Second) {
		h.t.Fatalf("not heard: %s; the node said: %s", h.voices.Text("fr", h.voices.Say("fr", key, values)), h.process.Tail())
	}
}

// stuck buys, and leaves the purchase paid and not credited.
func (h *hotline) stuck() *api.Purchase {
	h.t.Helper()
	h.fault(h.t, h.sandbox.addresses().Charging, `{"operation":"credit","kind":"lose_reply"}`)
	p, err := h.remote.buy(h.t.Context(), uuid.NewString(), &wish{Product: "airtime", Number: callerShort, Amount: 1050, Currency: "XOF", PayWith: "wallet"}, 1)
	if err != nil {
		h.t.Fatal(err)
	}
	soon(h.t, "it is paid", 30*time.Second, func() bool {
		return h.remote.call(h.t.Context(), http.MethodGet, "/v1/purchases/"+p.Reference, nil, nil, p) == nil && p.ChargedAt != nil
	})
	return p
}

// promised calls the line, hears the truth, and is promised a callback.
func (h *hotline) promised(p *api.Purchase) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	talk, err := h.exchange.Call(ctx, h.line, callerNumber)
	if err != nil {
		h.t.Fatalf("%v; the node said: %s", err, h.process.Tail())
	}
	zone := h.zone()
	window := map[string]speech.Value{"Date": speech.Date(h.window.In(zone)), "From": speech.Clock(h.window.In(zone)), "Till": speech.Clock(h.window.Add(care.Window).In(zone))}
	h.hears(talk, "welcome", nil)
	h.hears(talk, "paid", map[string]speech.Value{"Amount": speech.Amount(money.Amount{Minor: 1050, Currency: money.XOF}),
		"Date": speech.Date(p.CreatedAt.In(zone)), "Time": speech.Clock(p.CreatedAt.In(zone)), "Till": speech.Moment{At: p.ResolveBy.In(zone)}})
	talk.Press("2")
	h.hears(talk, "windows", window)
	talk.Press("1")
	h.hears(talk, "promised", window)
	talk.HangUp()
}

func (h *hotline) zone() *time.Location {
	h.t.Helper()
	cfg, err := readConfig(filepath.Join(h.Dir, "tenu.yaml"))
	if err != nil {
		h.t.Fatal(err)
	}
	zone, err := time.LoadLocation(cfg.Profile.Timezone)
	if err != nil {
		h.t.Fatal(err)
	}
	return zone
}

// TestLine is line 121 over SIP, served by a process of its own.
func TestLine(t *testing.T) {
	t.Parallel() // it waits for what is spoken, and for windows
	program := filepath.Join(t.TempDir(), "tenu")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for name, test := range map[string]func(*testing.T, string){"callback": testCallback(false), "callback after a kill": testCallback(true), "agent": testAgent} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, program)
		})
	}
}

// testCallback: a purchase is stuck; its customer calls 121, hears so with the deadline, and asks to be called back. In the
// window the agent's telephone rings, the customer's does, the console shows whose call it is, and the promise is kept. Then
// the same with the node killed after the promise: still one call, inside the window.
func testCallback(killed bool) func(*testing.T, string) {
	return func(t *testing.T, program string) { startHotline(t, program, false).keepsItsWord(killed) }
}

// answers lets a telephone be answered whenever it rings, and returns its calls.
func (h *hotline) answers(number string) <-chan *testpeer.Talk {
	talks := make(chan *testpeer.Talk, 10)
	h.exchange.Telephone(number, func(r *testpeer.Ring) {
		talk, err := r.Answer()
		if err != nil {
			h.t.Errorf("answer: %v", err)
			return
		}
		talks <- talk
	})
	return talks
}

// rings waits until a telephone was answered.
func (h *hotline) rings(talks <-chan *testpeer.Talk) *testpeer.Talk {
	h.t.Helper()
	select {
	case talk := <-talks:
		return talk
	case <-time.After(3 * time.Minute):
		h.t.Fatalf("a telephone does not ring: %s", h.process.Tail())
	}
	return nil
}

// signedOn is awa at the console, who takes calls.
func (h *hotline) signedOn() *clerk {
	h.t.Helper()
	awa := h.clerk(h.t, "awa")
	if status, text := awa.post("/telephone", url.Values{"do": {"sign"}, "extension": {extension}}); status != http.StatusSeeOther {
		h.t.Fatalf("awa is not at her telephone: %d %s", status, text)
	}
	return awa
}

// shows checks that the agent's console shows who is on the line, and opens the customer's page for the call.
func (h *hotline) shows(awa *clerk, reference string) {
	h.t.Helper()
	if status, text := awa.get("/telephone"); status != http.StatusOK || !strings.Contains(text, "En communication") || !strings.Contains(strings.ReplaceAll(text, "\u00a0", " "), callerShort) {
		h.t.Errorf("the console does not show the call: %d %s", status, text)
	}
	if status, text := awa.get("/customers/" + callerNumber); status != http.StatusOK || !strings.Contains(text, reference) {
		h.t.Errorf("the customer's page: %d", status)
	}
}

// testAgent: a customer wishes for an agent, whose telephone rings, and the two speak.
func testAgent(t *testing.T, program string) {
	h := startHotline(t, program, true)
	agents := h.answers(extension)
	awa := h.signedOn()
	p := h.stuck()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	caller, err := h.exchange.Call(ctx, h.line, callerNumber)
	if err != nil {
		t.Fatalf("%v; the node said: %s", err, h.process.Tail())
	}
	h.hears(caller, "welcome", nil)
	caller.Press("3") // who knows the menu need not wait for it
	h.hears(caller, "connecting", nil)
	agent := h.rings(agents)
	h.converse(agent, caller)
	h.converse(caller, agent)
	h.shows(awa, p.Reference)
	agent.HangUp()
	<-caller.Over()
	soon(t, "the call is kept", 30*time.Second, func() bool { return h.asked("SELECT count(*) FROM call WHERE release = 'spoken'") == 1 })
	if status, text := awa.get("/telephone"); status != http.StatusOK || !strings.Contains(text, "Terminé, appel suivant") {
		t.Errorf("after the call: %d %s", status, text)
	}
}

// keepsItsWord has the callback made, after the node was killed or not.
func (h *hotline) keepsItsWord(killed bool) {
	t := h.t
	agents, customers := h.answers(extension), h.answers(callerNumber)
	awa := h.signedOn()
	p := h.stuck()
	h.promised(p)
	if killed {
		h.process.Kill()
		h.start()
	}

	agent := h.rings(agents)
	h.hears(agent, "agent_call", map[string]speech.Value{"Number": speech.Digits(callerNumber[1:])})
	agent.Press("1")
	customer := h.rings(customers)
	h.hears(customer, "callback", nil)
	h.shows(awa, p.Reference)
	h.converse(agent, customer)
	h.converse(customer, agent)
	soon(t, "the promise is kept", 30*time.Second, func() bool { return h.asked("SELECT count(*) FROM callback WHERE state = 2") == 1 })
	customer.HangUp()
	<-agent.Over()
	time.Sleep(2 * time.Second) // nothing more rings
	rang := h.exchange.Rang(callerNumber)
	if len(rang) != 1 || rang[0].Before(h.window) || rang[0].After(h.window.Add(care.Window)) {
		t.Errorf("the customer's telephone rang at %v, the window begins at %v", rang, h.window)
	}
	if n := len(h.exchange.Rang(extension)); n != 1 {
		t.Errorf("the agent's telephone rang %d times", n)
	}
	if n := h.asked("SELECT count(*) FROM callback_attempt"); n != 1 {
		t.Errorf("%d attempts", n)
	}
}

// withLine puts a line in the place of the demonstration's, whose agents answer now.
func withLine(at netip.AddrPort, exchange string) func(string) string {
	return func(text string) string {
		text, _, _ = strings.Cut(text, "\nvoice:") // which is the last section
		return text + fmt.Sprintf(`
callbacks: {opens: 0h, closes: 24h}
voice:
  listen: %q
  capacity: 100
  media: {from: 31000, to: 31999}
  trunks: [{name: core, networks: [127.0.0.1], asserts_identity: true, address: %q}]
  agents: {trunk: core}
`, at, exchange)
	}
}

// TestLineEnds: a node that ends in good order while an agent's telephone rings for a caller leaves the agent ready, and
// the call in the record.
func TestLineEnds(t *testing.T) {
	exchange := testpeer.NewExchange(t)
	at, err := free(t.Context(), "127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	s := startSite(t, withLine(at, exchange.Address().String()))
	rings := make(chan *testpeer.Ring, 1)
	exchange.Telephone(extension, func(r *testpeer.Ring) { rings <- r })
	h := &hotline{site: s, t: t}
	if err := s.node.queue.Sign(t.Context(), auth.StaffID(h.asked("SELECT id FROM staff WHERE login = 'awa'")), extension); err != nil {
		t.Fatal(err)
	}
	talk, err := exchange.Call(t.Context(), at, callerNumber)
	if err != nil {
		t.Fatal(err)
	}
	pressing := make(chan struct{})
	go func() {
		defer close(pressing)
		for len(rings) == 0 && t.Context().Err() == nil {
			talk.Press("3")
			time.Sleep(time.Second)
		}
	}()
	select {
	case <-pressing:
	case <-time.After(time.Minute):
		t.Fatal("no agent's telephone rings")
	}
	s.halt()
	if n := h.asked("SELECT count(*) FROM agent WHERE state = 2 AND extension = '201'"); n != 1 {
		t.Errorf("the agent is in state %d", h.asked("SELECT state FROM agent"))
	}
	if n := s.count(t, "call"); n != 1 {
		t.Errorf("%d calls are kept", n)
	}
}

// TestLinePortTaken: a node whose line cannot listen ends, and says why.
func TestLinePortTaken(t *testing.T) {
	at, err := free(t.Context(), "127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	other, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	a := &app{out: io.Discard, err: io.Discard, env: noEnv, clock: newSteady(), random: rand.Reader}
	d := &demo{demoCmd: &demoCmd{Dir: filepath.Join(t.TempDir(), "site"), Host: "127.0.0.1", Pauses: true}, app: a, adapt: withLine(at, "127.0.0.1:5060")}
	if err := d.open(t.Context(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if err := d.node.run(t.Context(), d.at); err == nil || !strings.Contains(err.Error(), "line 121") {
		t.Errorf("ended with %v", err)
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
}

// converse has one speak until the other hears it, as it was said.
func (h *hotline) converse(from, to *testpeer.Talk) {
	h.t.Helper()
	voice, spoken := h.said("connecting", nil)[1600:4800], make(chan struct{})
	var speaking sync.WaitGroup
	speaking.Go(func() {
		for {
			select {
			case <-spoken:
				return
			default:
				from.Speak(voice)
			}
		}
	})
	if !to.Hear(voice[:480], 20*time.Second) {
		h.t.Error("one of the two is not heard")
	}
	close(spoken)
	speaking.Wait()
}

// asked is the one number that a question to the database has for an answer.
func (h *hotline) asked(question string) (n int) {
	h.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(h.Dir, "tenu.db")+"?mode=ro")
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(h.t.Context(), question).Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	return n
}
