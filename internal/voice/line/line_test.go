package line

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
	"github.com/pion/rtp"

	"tenu/internal/purchase"
	"tenu/internal/voice/media"
	"tenu/internal/voice/sound"
	"tenu/internal/voice/speech"
)

type clock struct{}

func (clock) Now() purchase.Instant                  { return purchase.At(time.Now()) }
func (clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// sounds are read once, for it takes long.
var sounds = sync.OnceValues(func() (*sound.Library, error) { return sound.Load(nil) })

// streams are sound that is lost when nothing is heard for some time.
func streams(t *testing.T, patience time.Duration) *media.Streams {
	t.Helper()
	random := rand.New(rand.NewPCG(1, uint64(freePort(t)))) //nolint:gosec // a test's
	all, err := media.New(media.Config{Address: netip.AddrFrom4([4]byte{127, 0, 0, 1}), From: 20_000, To: 29_999, Patience: patience, Clock: clock{},
		Random: random.Uint64})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// rig is a line that listens.
type rig struct {
	t       *testing.T
	address netip.AddrPort
	line    *Line
	sounds  *sound.Library
	voices  *speech.Voices
	phones  []*sipgo.UserAgent // closed when the line is
}

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	probe, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, address: netip.MustParseAddrPort(probe.Addr().String())}
	_ = probe.Close()
	if r.voices, err = speech.Load(); err != nil {
		t.Fatal(err)
	}
	if r.sounds, err = sounds(); err != nil {
		t.Fatal(err)
	}
	number := func(text string) (purchase.MSISDN, bool) {
		n, err := strconv.ParseInt(strings.TrimPrefix(text, "+"), 10, 64)
		return purchase.MSISDN(n), err == nil && strings.HasPrefix(text, "+")
	}
	cfg := Config{Address: r.address, Identity: "121", Trunks: []Trunk{{Name: "sbc", Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Asserts: true}},
		Capacity: 10, RetryAfter: 7 * time.Second, Language: "fr", Media: streams(t, time.Minute), Sounds: r.sounds, Voices: r.voices, Clock: clock{},
		Log: slog.New(slog.DiscardHandler), Number: number, Serve: func(ctx context.Context, _ *Call) { <-ctx.Done() },
		Overload: func(ctx context.Context, c *Call) { _ = c.Say(ctx, "overload", nil) }, Refused: func() {}}
	change(&cfg)
	if r.line, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go cfg.Media.Run(ctx)
	go func() { ended <- r.line.Run(ctx) }()
	for late := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", r.address.String()); err == nil { //nolint:noctx // at once
			_ = conn.Close()
			break
		}
		if time.Now().After(late) {
			t.Fatal("the line does not listen")
		}
	}
	t.Cleanup(func() {
		end()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the line does not end")
		}
		for _, phone := range r.phones {
			_ = phone.Close()
		}
	})
	return r
}

// caller is a telephone.
type caller struct {
	t       *testing.T
	dialog  *sipgo.DialogClientSession
	client  *sipgo.Client
	sound   *net.UDPConn
	to      netip.AddrPort
	header  rtp.Header
	byes    atomic.Int64
	network string
}

func (r *rig) caller(network string) *caller {
	r.t.Helper()
	agent, err := sipgo.NewUA(sipgo.WithUserAgent("caller"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.phones = append(r.phones, agent)
	c := &caller{t: r.t, header: rtp.Header{Version: 2, SSRC: 5}, network: network}
	server, err := sipgo.NewServer(agent)
	if err != nil {
		r.t.Fatal(err)
	}
	probe, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		r.t.Fatal(err)
	}
	at := netip.MustParseAddrPort(probe.LocalAddr().String())
	_ = probe.Close()
	server.OnBye(func(req *sip.Request, tx sip.ServerTransaction) {
		c.byes.Add(1)
		_ = c.dialog.ReadBye(req, tx)
	})
	c.client, err = sipgo.NewClient(agent, sipgo.WithClientHostname("127.0.0.1"), sipgo.WithClientConnectionAddr(at.String()))
	if err != nil {
		r.t.Fatal(err)
	}
	if c.sound, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.sound.Close() })
	ua := &sipgo.DialogUA{Client: c.client, ContactHDR: sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "caller", Host: "127.0.0.1", Port: int(at.Port())}}}
	c.dialog = &sipgo.DialogClientSession{UA: ua}
	return c
}

func (c *caller) sdp() []byte {
	return media.Describe(netip.MustParseAddrPort(c.sound.LocalAddr().String()), 1, 1, &media.Session{Law: sound.ALaw, Keys: 101})
}

// invite calls, and returns the final answer.
func (c *caller) invite(r *rig, body []byte, headers ...sip.Header) (*sip.Response, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	headers = append(headers, sip.NewHeader("Content-Type", "application/sdp"))
	to := sip.Uri{Scheme: "sip", User: "121", Host: "127.0.0.1", Port: int(r.address.Port()), UriParams: sip.NewParams()}
	to.UriParams.Add("transport", c.network)
	dialog, err := c.dialog.UA.Invite(ctx, to, body, headers...)
	if err != nil {
		return nil, err
	}
	c.dialog = dialog
	err = dialog.WaitAnswer(ctx, sipgo.AnswerOptions{})
	var refused *sipgo.ErrDialogResponse
	if errors.As(err, &refused) {
		return refused.Res, nil
	}
	if err != nil {
		return nil, err
	}
	if err := dialog.Ack(ctx); err != nil {
		return nil, err
	}
	session, err := media.Read(dialog.InviteResponse.Body(), nil)
	if err != nil {
		return nil, err
	}
	c.to = session.Peer
	return dialog.InviteResponse, nil
}

// call calls and is answered.
func (c *caller) call(r *rig, headers ...sip.Header) {
	c.t.Helper()
	answer, err := c.invite(r, c.sdp(), headers...)
	if err != nil || answer.StatusCode != 200 {
		c.t.Fatalf("%v, %v", answer, err)
	}
}

func (c *caller) press(key byte) {
	c.header.PayloadType = 101
	for range 4 {
		data, err := (&rtp.Packet{Header: c.header, Payload: []byte{byte(strings.IndexByte("0123456789*#", key)), 0x8a, 3, 32}}).Marshal()
		if err != nil {
			c.t.Fatal(err)
		}
		c.header.SequenceNumber++
		_, _ = c.sound.WriteToUDPAddrPort(data, c.to)
	}
	c.header.Timestamp += 1600
}

// hear listens until it has heard some sound, and reports whether it came.
func (c *caller) hear(want []byte) bool {
	var heard []byte
	data := make([]byte, 1500)
	_ = c.sound.SetReadDeadline(time.Now().Add(30 * time.Second))
	for !bytes.Contains(heard, want) {
		n, err := c.sound.Read(data)
		if err != nil {
			return false
		}
		var p rtp.Packet
		if p.Unmarshal(data[:n]) == nil && p.PayloadType == uint8(sound.ALaw) {
			heard = append(heard, p.Payload...)
		}
	}
	return true
}

// said is the sound of a phrase.
func (r *rig) said(language, key string, values map[string]speech.Value) (all []byte) {
	for _, clip := range r.voices.Say(language, key, values) {
		all = append(all, r.sounds.Clip(sound.ALaw, language, clip)...)
	}
	return all
}

// A caller is known by what the trunk vouches for, hears what is said byte by byte, and types.
func TestCall(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) { testCall(t, network) })
	}
}

func testCall(t *testing.T, network string) {
	t.Helper()
	callers, typed := make(chan purchase.MSISDN, 1), make(chan string, 1)
	r := newRig(t, func(cfg *Config) {
		cfg.Serve = func(ctx context.Context, c *Call) {
			callers <- c.Caller
			_ = c.Say(ctx, "other_number", nil)
			digits, _ := c.Digits(ctx, 8, 10*time.Second)
			typed <- digits
			c.Language = "en"
			_ = c.Say(ctx, "goodbye", nil)
		}
	})
	c := r.caller(network)
	c.call(r, sip.NewHeader("P-Asserted-Identity", `"Awa" <sip:+22670112233@sbc.example;user=phone>, <tel:+22670112233>`))
	if got := <-callers; got != 22670112233 {
		t.Errorf("caller is %d", got)
	}
	if !c.hear(r.said("fr", "other_number", nil)) {
		t.Fatal("the question was not heard as it was recorded")
	}
	for _, key := range []byte("70112233") {
		c.press(key)
	}
	if got := <-typed; got != "70112233" {
		t.Errorf("typed %q", got)
	}
	if !c.hear(r.said("en", "goodbye", nil)) {
		t.Error("goodbye was not heard")
	}
	for late := time.Now().Add(10 * time.Second); c.byes.Load() == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("no BYE")
		}
	}
	if n := r.line.Counts(); n.Answered != 1 || n.Offered != 1 {
		t.Errorf("%+v", n)
	}
}

// Who hangs up in the middle ends what is said, at once.
func TestHangUp(t *testing.T) {
	why := make(chan error, 1)
	r := newRig(t, func(cfg *Config) { cfg.Serve = func(ctx context.Context, c *Call) { why <- c.Say(ctx, "menu", nil) } })
	c := r.caller("udp")
	c.call(r)
	if !c.hear(r.said("fr", "menu", nil)[:sound.Rate]) {
		t.Fatal("nothing is said")
	}
	if err := c.dialog.Bye(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-why:
		if !errors.Is(err, ErrHungUp) {
			t.Errorf("%v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("goes on talking")
	}
}

// Beyond what can be served a call hears an announcement, and beyond that is told when to try again.
func TestOverload(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Capacity, cfg.Overflow = 2, 1 })
	for range 2 {
		r.caller("udp").call(r)
	}
	third, fourth := r.caller("udp"), r.caller("udp")
	third.call(r)
	answer, err := fourth.invite(r, fourth.sdp())
	if err != nil || answer.StatusCode != 503 || answer.GetHeader("Retry-After") == nil || answer.GetHeader("Retry-After").Value() != "7" {
		t.Errorf("%v, %v", answer, err)
	}
	if !third.hear(r.said("fr", "overload", nil)) {
		t.Error("no announcement")
	}
}

func TestRefused(t *testing.T) {
	r := newRig(t, func(*Config) {})
	foreign := newRig(t, func(cfg *Config) { cfg.Trunks[0].Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	for _, c := range []struct {
		at      *rig
		body    string
		headers []sip.Header
		want    int
	}{
		{foreign, "", nil, 403},
		{r, "nonsense", nil, 488},
		{r, "", []sip.Header{sip.NewHeader("Require", "100rel")}, 420},
		{r, "", []sip.Header{sip.NewHeader("Session-Expires", "30")}, 422},
		{r, "", []sip.Header{sip.NewHeader("Session-Expires", "1800;refresher=uac")}, 200},
	} {
		phone := c.at.caller("udp")
		body := phone.sdp()
		if c.body != "" {
			body = []byte(c.body)
		}
		answer, err := phone.invite(c.at, body, c.headers...)
		if err != nil || answer.StatusCode != c.want {
			t.Errorf("%v: %v, %v; want %d", c.headers, answer, err, c.want)
		}
	}
	phone := r.caller("udp")
	noSDP := strings.Replace(string(phone.sdp()), "AVP 8 101", "AVP 18 101", 1)
	if answer, err := phone.invite(r, []byte(noSDP)); err != nil || answer.StatusCode != 488 || !strings.Contains(answer.GetHeader("Warning").Value(), "G.711") {
		t.Errorf("%v, %v", answer, err)
	}
}

// Nobody is believed to be who the From says, nor who hides, nor by an untrusted trunk.
func TestIdentity(t *testing.T) {
	for _, c := range []struct {
		asserts bool
		headers []sip.Header
		want    purchase.MSISDN
	}{
		{true, nil, 0},
		{true, []sip.Header{sip.NewHeader("P-Asserted-Identity", "<sip:anonymous@sbc>"), sip.NewHeader("P-Asserted-Identity", "<tel:+22670112233;x=y>")}, 22670112233},
		{true, []sip.Header{sip.NewHeader("P-Asserted-Identity", "<tel:+22670112233>"), sip.NewHeader("Privacy", "header;id")}, 0},
		{false, []sip.Header{sip.NewHeader("P-Asserted-Identity", "<tel:+22670112233>")}, 0},
		{true, []sip.Header{sip.NewHeader("P-Asserted-Identity", `"<tel:+22670112233>, \" <tel:+22670112233>" <sip:+22600000001@sbc>`)}, 22600000001},
		{true, []sip.Header{sip.NewHeader("P-Asserted-Identity", "mailto:+22670112233@x")}, 0},
	} {
		callers := make(chan purchase.MSISDN, 1)
		r := newRig(t, func(cfg *Config) {
			cfg.Trunks[0].Asserts = c.asserts
			cfg.Serve = func(_ context.Context, call *Call) { callers <- call.Caller }
		})
		r.caller("udp").call(r, append(c.headers, sip.NewHeader("X-From", "+22670112233"))...)
		if got := <-callers; got != c.want {
			t.Errorf("%v, trusted %t: %d, want %d", c.headers, c.asserts, got, c.want)
		}
	}
}
