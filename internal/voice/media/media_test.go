package media

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/zaf/g711"
	"go.uber.org/goleak"

	"tenu/internal/purchase"
	"tenu/internal/voice/sound"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type clock struct{}

func (clock) Now() purchase.Instant                  { return purchase.At(time.Now()) }
func (clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

func streams(t testing.TB, patience time.Duration) *Streams {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's
	all, err := New(Config{Address: netip.MustParseAddr("127.0.0.1"), From: 30_000, To: 39_999, Patience: patience, Clock: clock{}, Random: random.Uint64})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); all.Run(ctx) }()
	t.Cleanup(func() { end(); <-done })
	return all
}

// phone is the other end of a stream: a socket and nothing of the code under test.
type phone struct {
	t      testing.TB
	conn   *net.UDPConn
	to     netip.AddrPort
	header rtp.Header
}

func newPhone(t testing.TB) *phone {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &phone{t: t, conn: conn, header: rtp.Header{Version: 2, SSRC: 77, Timestamp: 4_294_967_000}}
}

func (p *phone) address() netip.AddrPort {
	return netip.MustParseAddrPort(p.conn.LocalAddr().String())
}

// call lets a stream answer the phone in a law, with keys.
func (p *phone) call(all *Streams, law sound.Law) *Stream {
	p.t.Helper()
	s, err := all.Open()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(s.Close)
	if _, err := s.Answer(Describe(p.address(), 1, 1, &Session{Law: law, Keys: 101})); err != nil {
		p.t.Fatal(err)
	}
	p.to = s.Local()
	return s
}

func (p *phone) send(payloadType uint8, payload []byte) {
	p.t.Helper()
	p.header.PayloadType = payloadType
	data, err := (&rtp.Packet{Header: p.header, Payload: payload}).Marshal()
	if err != nil {
		p.t.Fatal(err)
	}
	p.header.SequenceNumber++
	if _, err := p.conn.WriteToUDPAddrPort(data, p.to); err != nil {
		p.t.Fatal(err)
	}
}

// press types a key as telephones do: an event in many packets, its end three times.
func (p *phone) press(key byte) {
	p.t.Helper()
	code := byte(strings.IndexByte(events, key))
	for i := range 6 {
		end := byte(0)
		if i > 2 {
			end = 0x80
		}
		p.send(101, []byte{code, end | 10, byte(160 * i >> 8), byte(160 * i)})
	}
	p.header.Timestamp += 1600
}

// next is the next packet.
func (p *phone) next() *rtp.Packet {
	p.t.Helper()
	data := make([]byte, 1500)
	_ = p.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := p.conn.Read(data)
	if err != nil {
		p.t.Fatal(err)
	}
	var packet rtp.Packet
	if err := packet.Unmarshal(data[:n]); err != nil {
		p.t.Fatal(err)
	}
	return &packet
}

func noise(n int, seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return data
}

// What is played arrives byte by byte, in packets without a gap, and silence follows it.
func TestPlay(t *testing.T) {
	all := streams(t, time.Minute)
	for _, law := range []sound.Law{sound.ALaw, sound.MuLaw} {
		p := newPhone(t)
		s := p.call(all, law)
		first, second := noise(777, 1), noise(1001, 2)
		done := s.Play(first, nil, second)
		var heard []byte
		var last *rtp.Packet
		for len(heard) < 2400 {
			packet := p.next()
			if last != nil && (packet.SequenceNumber != last.SequenceNumber+1 || packet.Timestamp != last.Timestamp+160 || packet.SSRC != last.SSRC) {
				t.Fatalf("%v after %v", packet, last)
			}
			if packet.PayloadType != uint8(law) || len(packet.Payload) != 160 {
				t.Fatalf("%v", packet)
			}
			if last = packet; len(heard) > 0 || packet.Payload[0] == first[0] && packet.Payload[1] == first[1] {
				heard = append(heard, packet.Payload...)
			}
		}
		want := append(append(bytes.Clone(first), second...), bytes.Repeat([]byte{law.Silence()}, 2400)...)
		if !bytes.Equal(heard, want[:len(heard)]) {
			t.Errorf("law %d: heard something else", law)
		}
		<-done
		again := s.Play(noise(80_000, 3))
		<-s.Play() // takes its place
		<-again
	}
}

func TestKeys(t *testing.T) {
	all := streams(t, time.Minute)
	p := newPhone(t)
	s := p.call(all, sound.ALaw)
	for _, key := range []byte("121#*0") {
		p.press(key)
	}
	p.header.Timestamp -= 1600
	p.press('0') // the last once more, late
	p.header.SSRC, p.header.Timestamp = 78, 1
	p.press('A') // after a transfer
	p.send(101, []byte{16, 0, 0, 0})
	p.send(101, []byte{1})
	var typed []byte
	for range 7 {
		select {
		case key := <-s.Keys():
			typed = append(typed, key)
		case <-time.After(10 * time.Second):
			t.Fatalf("typed %q", typed)
		}
	}
	if string(typed) != "121#*0A" {
		t.Errorf("typed %q", typed)
	}
	for range 1000 { // more than anybody reads
		p.press('5')
	}
	p.press('6')
	time.Sleep(50 * time.Millisecond)
	if n := len(s.Keys()); n > maxKeys {
		t.Errorf("%d keys wait", n)
	}
}

// Packets that come from elsewhere change nothing.
func TestStrangers(t *testing.T) {
	all := streams(t, time.Minute)
	p, stranger := newPhone(t), newPhone(t)
	s := p.call(all, sound.ALaw)
	p.press('1')
	if key := <-s.Keys(); key != '1' {
		t.Fatalf("%q", key)
	}
	stranger.to = p.to
	stranger.press('2')
	for range 100 {
		_, _ = stranger.conn.WriteToUDPAddrPort(noise(50, 9), p.to)
	}
	p.press('3')
	if key := <-s.Keys(); key != '3' {
		t.Errorf("%q was heard from a stranger", key)
	}
	for s.Strangers() < 106 {
		time.Sleep(time.Millisecond)
	}
}

// Two ends of different laws hear each other.
func TestBridge(t *testing.T) {
	all := streams(t, time.Minute)
	a, b := newPhone(t), newPhone(t)
	sa, sb := a.call(all, sound.ALaw), b.call(all, sound.MuLaw)
	Bridge(sa, sb)
	said := noise(160*20, 4)
	for i := range 20 {
		a.send(uint8(sound.ALaw), said[160*i:160*(i+1)])
		time.Sleep(time.Millisecond)
	}
	want := g711.Alaw2Ulaw(said[160*10 : 160*20]) // 200 ms wait at most
	var heard []byte
	for tries := 0; !bytes.Contains(heard, want); tries++ {
		if tries > 200 {
			t.Fatal("not heard")
		}
		heard = append(heard, b.next().Payload...)
	}
	sa.Part()
	a.send(uint8(sound.ALaw), said[:160])
	for range 10 {
		if packet := b.next(); bytes.Contains(packet.Payload, want[:80]) {
			t.Error("heard after the parting")
		}
	}
}

func TestLost(t *testing.T) {
	all := streams(t, 100*time.Millisecond)
	p := newPhone(t)
	s := p.call(all, sound.ALaw)
	select {
	case <-s.Lost():
	case <-time.After(10 * time.Second):
		t.Error("nobody noticed")
	}
}

// A call may be put on hold and moved, and keeps its law.
func TestAnswerAgain(t *testing.T) {
	all := streams(t, time.Minute)
	p, other := newPhone(t), newPhone(t)
	s := p.call(all, sound.MuLaw)
	p.press('1')
	<-s.Keys()
	answer, err := s.Answer([]byte(strings.ReplaceAll(string(Describe(other.address(), 1, 2, nil)), "sendrecv", "sendonly")))
	if err != nil || !strings.Contains(string(answer), "a=recvonly") || !strings.Contains(string(answer), "RTP/AVP 0 101") {
		t.Fatalf("%s, %v", answer, err)
	}
	if _, err := s.Answer(Describe(other.address(), 1, 3, &Session{Law: sound.ALaw})); !errors.Is(err, ErrCodec) {
		t.Errorf("%v", err)
	}
	if _, err = s.Answer(Describe(other.address(), 1, 4, nil)); err != nil {
		t.Fatal(err)
	}
	p.press('9') // late, from where the call was
	for range 20 {
		if packet := other.next(); packet.PayloadType != 0 {
			t.Errorf("%v", packet)
		}
	}
	other.to = s.Local()
	other.press('2')
	if key := <-s.Keys(); key != '2' {
		t.Errorf("%q", key)
	}
}

func TestRead(t *testing.T) {
	good := string(Describe(netip.MustParseAddrPort("127.0.0.1:4000"), 1, 1, nil))
	if s, err := Read([]byte(good), nil); err != nil || s.Law != sound.ALaw || s.Keys != 101 || s.Peer.String() != "127.0.0.1:4000" || s.Hold {
		t.Errorf("%+v, %v", s, err)
	}
	for _, c := range []struct {
		old, with string
		want      error
	}{
		{"RTP/AVP 8 0 101", "RTP/AVP 18 101", ErrCodec},
		{"RTP/AVP", "RTP/SAVP", ErrSDP},
		{"m=audio 4000", "m=audio 0", ErrSDP},
		{"m=audio", "m=video", ErrSDP},
		{"c=IN IP4 127.0.0.1\r\n", "", ErrSDP},
		{"c=IN IP4 127.0.0.1", "c=IN IP4 evil.example", ErrSDP},
		{"c=IN IP4 127.0.0.1", "c=IN IP4 224.0.0.1", ErrSDP},
		{"v=0", "x", ErrSDP},
		{"s=tenu", "s=" + strings.Repeat("x", maxSDP), ErrSDP},
	} {
		if _, err := Read([]byte(strings.Replace(good, c.old, c.with, 1)), nil); !errors.Is(err, c.want) {
			t.Errorf("%q: %v", c.with, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(Describe(netip.MustParseAddrPort("127.0.0.1:4000"), 1, 1, nil))
	f.Add(Describe(netip.MustParseAddrPort("[::1]:4000"), 1, 1, &Session{Law: sound.MuLaw, Hold: true}))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := Read(body, nil)
		if err != nil {
			return
		}
		if !s.Peer.IsValid() || s.Peer.Port() == 0 || s.Law != sound.ALaw && s.Law != sound.MuLaw || s.Keys != 0 && (s.Keys < 96 || s.Keys > 127) {
			t.Errorf("%+v", s)
		}
	})
}

// BenchmarkStreams is one second of 500 calls that play, with how late a packet was at most.
func BenchmarkStreams(b *testing.B) {
	all := streams(b, time.Hour)
	p := newPhone(b)
	_ = p.conn.SetReadBuffer(8 << 20)
	clip := noise(sound.Rate*3600/8, 1)
	for range 500 {
		p.call(all, sound.ALaw).Play(clip)
	}
	b.ResetTimer()
	all.late.Store(0)
	before := all.Sent()
	for range b.N {
		time.Sleep(time.Second)
	}
	b.ReportMetric(float64(all.Sent()-before)/float64(b.N), "packets/op")
	b.ReportMetric(float64(all.Late().Microseconds())/1000, "ms-late")
}

// Whoever records is told by each description that this call is not to be.
func TestUnrecorded(t *testing.T) {
	s, err := streams(t, time.Minute).Open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if strings.Contains(string(s.Offer()), "recordpref") {
		t.Error("nobody refused")
	}
	s.Unrecord()
	for range 2 {
		if offer := string(s.Offer()); !strings.HasSuffix(offer, "\r\na=recordpref:off\r\n") {
			t.Errorf("%s", offer)
		}
	}
}
