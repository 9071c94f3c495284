package talk

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
	"github.com/pion/rtp"

	"tenu/internal/purchase"
	"tenu/internal/voice/centre"
	"tenu/internal/voice/line"
	"tenu/internal/voice/media"
	"tenu/internal/voice/sound"
	"tenu/internal/voice/speech"
)

// machine is the clock of what has to happen in real time: sound.
type machine struct{}

func (machine) Now() purchase.Instant                  { return purchase.At(time.Now()) }
func (machine) After(d time.Duration) <-chan time.Time { return time.After(d) }

// answers opens a line that a Talk serves, and returns where it listens.
func (r *rig) answers(x *Talk, sounds *sound.Library) netip.AddrPort {
	r.t.Helper()
	probe := must[*net.TCPListener](r.t)(net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	at := netip.MustParseAddrPort(probe.Addr().String())
	_ = probe.Close()
	random := rand.New(rand.NewPCG(1, uint64(at.Port()))) //nolint:gosec // a test's
	streams := must[*media.Streams](r.t)(media.New(media.Config{Address: at.Addr(), From: 30_000, To: 39_999, Patience: time.Minute, Clock: machine{}, Random: random.Uint64}))
	l := must[*line.Line](r.t)(line.New(line.Config{Address: at, Identity: "121", Refused: func() {}, Capacity: 5, RetryAfter: time.Second, Language: "fr", Media: streams, Sounds: sounds, Voices: r.cfg.Voices,
		Trunks: []line.Trunk{{Name: "sbc", Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Asserts: true}},
		Clock:  machine{}, Log: slog.New(slog.DiscardHandler), Serve: x.Serve, Overload: x.Overload,
		Number: func(text string) (purchase.MSISDN, bool) {
			n, err := strconv.ParseInt(strings.TrimPrefix(text, "+"), 10, 64)
			return purchase.MSISDN(n), err == nil
		}}))
	ctx, end := context.WithCancel(context.Background())
	over := make(chan error, 2)
	go func() { streams.Run(ctx); over <- nil }()
	go func() { over <- l.Run(ctx) }()
	r.t.Cleanup(func() {
		end()
		for range 2 {
			if err := <-over; err != nil {
				r.t.Error(err)
			}
		}
	})
	for late := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", at.String()); err == nil { //nolint:noctx // at once
			_ = conn.Close()
			return at
		}
		if time.Now().After(late) {
			r.t.Fatal("the line does not listen")
		}
	}
}

// phone is a telephone that calls 121.
type phone struct {
	t      testing.TB
	sound  *net.UDPConn
	to     netip.AddrPort
	header rtp.Header
	dialog *sipgo.DialogClientSession
}

// ring calls from a number that the trunk vouches for, and is answered.
func ring(t testing.TB, at netip.AddrPort, number string) *phone {
	t.Helper()
	agent := must[*sipgo.UserAgent](t)(sipgo.NewUA(sipgo.WithUserAgent("caller")))
	client := must[*sipgo.Client](t)(sipgo.NewClient(agent, sipgo.WithClientHostname("127.0.0.1")))
	p := &phone{t: t, header: rtp.Header{Version: 2, SSRC: 5, PayloadType: 101}}
	p.sound = must[*net.UDPConn](t)(net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	t.Cleanup(func() { _, _ = p.sound.Close(), agent.Close() })
	ua := &sipgo.DialogUA{Client: client, ContactHDR: sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "caller", Host: "127.0.0.1"}}}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	sdp := media.Describe(netip.MustParseAddrPort(p.sound.LocalAddr().String()), 1, 1, &media.Session{Law: sound.ALaw, Keys: 101})
	p.dialog = must[*sipgo.DialogClientSession](t)(ua.Invite(ctx, sip.Uri{Scheme: "sip", User: "121", Host: "127.0.0.1", Port: int(at.Port())}, sdp,
		sip.NewHeader("Content-Type", "application/sdp"), sip.NewHeader("P-Asserted-Identity", "<tel:+"+number+">")))
	if err := p.dialog.WaitAnswer(ctx, sipgo.AnswerOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := p.dialog.Ack(ctx); err != nil {
		t.Fatal(err)
	}
	p.to = must[media.Session](t)(media.Read(p.dialog.InviteResponse.Body(), nil)).Peer
	return p
}

func (p *phone) press(key byte) {
	for range 4 {
		data := must[[]byte](p.t)((&rtp.Packet{Header: p.header, Payload: []byte{byte(strings.IndexByte("0123456789*#", key)), 0x8a, 3, 32}}).Marshal())
		p.header.SequenceNumber++
		_, _ = p.sound.WriteToUDPAddrPort(data, p.to)
	}
	p.header.Timestamp += 1600
}

// hears fails unless some sound comes.
func (p *phone) hears(what string, want []byte) {
	p.t.Helper()
	var heard []byte
	data := make([]byte, 1500)
	_ = p.sound.SetReadDeadline(time.Now().Add(60 * time.Second))
	for !bytes.Contains(heard, want) {
		n, err := p.sound.Read(data)
		if err != nil {
			p.t.Fatalf("%s is not heard: %v", what, err)
		}
		var packet rtp.Packet
		if packet.Unmarshal(data[:n]) == nil && packet.PayloadType == uint8(sound.ALaw) {
			heard = append(heard, packet.Payload...)
		}
	}
}

// A caller over a real line hears, byte by byte, "payé, pas encore crédité" with the deadline, and takes a callback.
func TestOverLine(t *testing.T) {
	over := make(chan centre.Call, 1)
	r := newRig(t, func(cfg *Config) { cfg.Record = func(c centre.Call) { over <- c } })
	r.sell(awa, charged)
	sounds := must[*sound.Library](t)(sound.Load(nil))
	said := func(key string, v values) (all []byte) {
		for _, clip := range r.cfg.Voices.Say("fr", key, v) {
			all = append(all, sounds.Clip(sound.ALaw, "fr", clip)...)
		}
		return all
	}
	p := ring(t, r.answers(must[*Talk](t)(New(r.cfg)), sounds), awa.String())
	bought := noon.Time()
	p.hears("the state", said("paid", values{"Amount": speech.Amount{Minor: 1050, Currency: "XOF"}, "Date": speech.Date(bought), "Time": speech.Clock(bought),
		"Till": speech.Clock(bought.Add(15 * time.Minute))}))
	p.press('2')
	window := values{"Date": speech.Date(bought), "From": speech.Clock(bought.Add(15 * time.Minute)), "Till": speech.Clock(bought.Add(30 * time.Minute))}
	p.hears("the offer", said("windows", window)[:sound.Rate])
	p.press('1')
	p.hears("the promise", said("promised", window))
	if err := p.dialog.Bye(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := <-over; c.Release != centre.Promised || c.Number != awa || c.Callback == 0 || c.Trunk != "sbc" {
		t.Errorf("%+v", c)
	}
}
