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
	line     netip.AddrPort
	window   time.Time // that callbacks are promised for first
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

func startHotline(t *testing.T, program string) *hotline {
	t.Helper()
	h := &hotline{t: t, exchange: testpeer.NewExchange(t), program: program}
	var err error
	if h.voices, err = speech.Load(); err != nil {
		t.Fatal(err)
	}
	if h.sounds, err = sound.Load(nil); err != nil {
		t.Fatal(err)
	}
	probe, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	h.line = netip.MustParseAddrPort(probe.Addr().String())
	_ = probe.Close()
	d := &demo{demoCmd: &demoCmd{Dir: filepath.Join(t.TempDir(), "site"), Host: "127.0.0.1"}, app: &app{out: io.Discard, err: io.Discard, env: noEnv, clock: newSteady(), random: rand.Reader},
		adapt: h.configured}
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

// configured adds the line to the demonstration's configuration. It is noon where the customer is, and callbacks are
// made from the next minute on that leaves time to promise one.
func (h *hotline) configured(text string) string {
	now := time.Now().UTC()
	zone := fmt.Sprintf("Etc/GMT%+d", now.Hour()-12) // whose signs are those of the hours that it is behind
	h.window = now.Add(100 * time.Second).Truncate(time.Minute)
	local := h.window.Add(time.Duration(12-now.Hour()) * time.Hour)
	opens := time.Duration(local.Hour())*time.Hour + time.Duration(local.Minute())*time.Minute
	text = strings.Replace(text, "deliver_within: 20s", "deliver_within: 20m\n  resolve_within: 1h\n  timezone: "+zone, 1)
	return text + fmt.Sprintf(`
callbacks: {opens: %s, closes: 23h, lead: 1s}
voice:
  listen: %q
  media: {from: 30000, to: 31999}
  trunks: [{name: core, networks: [127.0.0.1], asserts_identity: true, address: %q}]
  agents: {trunk: core, wrap_for: 5m}
  dial: {trunk: core, first: agent}
`, opens, h.line, h.exchange.Address())
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

// TestCallback: a purchase is stuck; its customer calls 121, hears so with the deadline, and asks to be called back. In the
// window the agent's telephone rings, the customer's does, the console shows whose call it is, and the promise is kept. Then
// the same with the node killed after the promise: still one call, inside the window. What is spoken is heard as time goes by, so
// no browser runs beside it.
func TestCallback(t *testing.T) {
	program := filepath.Join(t.TempDir(), "tenu")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for name, killed := range map[string]bool{"kept": false, "killed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startHotline(t, program)
			h.keepsItsWord(killed)
		})
	}
}

// keepsItsWord has the callback made, after the node was killed or not.
func (h *hotline) keepsItsWord(killed bool) {
	t := h.t
	agents, customers := make(chan *testpeer.Talk, 10), make(chan *testpeer.Talk, 10)
	answer := func(talks chan *testpeer.Talk) func(*testpeer.Ring) {
		return func(r *testpeer.Ring) {
			talk, err := r.Answer()
			if err != nil {
				t.Errorf("answer: %v", err)
				return
			}
			talks <- talk
		}
	}
	h.exchange.Telephone(extension, answer(agents))
	h.exchange.Telephone(callerNumber, answer(customers))
	awa := h.clerk(t, "awa")
	if status, text := awa.post("/telephone", url.Values{"do": {"sign"}, "extension": {extension}}); status != http.StatusSeeOther {
		t.Fatalf("awa is not at her telephone: %d %s", status, text)
	}
	p := h.stuck()
	h.promised(p)
	if killed {
		h.process.Kill()
		h.start()
	}

	var agent, customer *testpeer.Talk
	select {
	case agent = <-agents:
	case <-time.After(3 * time.Minute):
		t.Fatalf("the agent's telephone does not ring: %s", h.process.Tail())
	}
	h.hears(agent, "agent_call", map[string]speech.Value{"Number": speech.Digits(callerNumber[1:])})
	agent.Press("1")
	select {
	case customer = <-customers:
	case <-time.After(30 * time.Second):
		t.Fatalf("the customer's telephone does not ring: %s", h.process.Tail())
	}
	h.hears(customer, "callback", nil)
	if status, text := awa.get("/telephone"); status != http.StatusOK || !strings.Contains(text, "En communication") || !strings.Contains(strings.ReplaceAll(text, "\u00a0", " "), callerShort) {
		t.Errorf("the console does not show the call: %d %s", status, text)
	}
	if status, text := awa.get("/customers/" + callerNumber); status != http.StatusOK || !strings.Contains(text, p.Reference) {
		t.Errorf("the customer's page: %d", status)
	}
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
