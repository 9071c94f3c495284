package media

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/pion/rtp"
	"github.com/zaf/g711"

	"tenu/internal/purchase"
	"tenu/internal/voice/sound"
)

// The bounds of a stream.
const (
	maxKeys   = 32   // typed and not read: more are dropped
	maxPacket = 1500 // bytes
	rtpHeader = 12   // bytes of ours
	maxRelay  = 1600 // bytes of a bridge's other side that wait: 200 ms
	relayAt   = 320  // bytes that wait before a bridge begins, so that unequal distances are not heard
)

// Stream is the sound of one call, both ways. It is safe for concurrent use.
type Stream struct {
	all   *Streams
	conn  *net.UDPConn
	local netip.AddrPort
	turn  int
	id    uint64

	keys      chan byte
	lost      chan struct{} // closed when nothing was heard for too long
	closed    chan struct{} // when receive is over
	strangers atomic.Int64

	mu         sync.Mutex
	session    Session
	agreed     bool
	version    uint64
	unrecorded bool
	source     netip.AddrPort // whose packets are taken, once one came
	former     netip.AddrPort // whose were, before the call was moved
	heard      purchase.Instant
	gone       bool
	out        rtp.Header
	playing    [][]byte
	at         int           // in the first of them
	done       chan struct{} // closed when what plays is over
	bridge     *Stream
	relay      []byte // of the bridge's other side, in our law
	flowing    bool
	event      uint32 // the timestamp of the last key, of that SSRC
	ssrc       uint32
	pressed    bool
	gap        uint32
	packet     [rtpHeader + frameBytes]byte
}

// Local is where the stream listens.
func (s *Stream) Local() netip.AddrPort { return s.local }

// Keys are the keys that the other end typed: 0 to 9, *, # and A to D. What is typed faster
// than it is read is lost beyond 32.
func (s *Stream) Keys() <-chan byte { return s.keys }

// Lost is closed when nothing was heard of the other end for too long.
func (s *Stream) Lost() <-chan struct{} { return s.lost }

// Strangers counts the packets that came from somebody else and were dropped.
func (s *Stream) Strangers() int64 { return s.strangers.Load() }

// Offer is our description of a call that we make.
func (s *Stream) Offer() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.describe(nil)
}

// Unrecord tells the other end from now on, in each description, that this call is not to be recorded
// (RFC 7866, section 8.1.2).
func (s *Stream) Unrecord() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unrecorded = true
}

func (s *Stream) describe(agreed *Session) []byte {
	s.version++
	body := Describe(s.local, s.id, s.version, agreed)
	if s.unrecorded {
		body = append(body, "a=recordpref:off\r\n"...)
	}
	return body
}

// Answer takes an offer, or a new one in the middle of a call, and returns our answer. The law
// of a call stays what it was. An error wraps ErrSDP or ErrCodec, and changes nothing.
func (s *Stream) Answer(offer []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.agree(offer); err != nil {
		return nil, err
	}
	return s.describe(&s.session), nil
}

// Answered takes the answer to our offer.
func (s *Stream) Answered(answer []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.agree(answer)
}

func (s *Stream) agree(body []byte) error {
	var prefer *sound.Law
	if s.agreed {
		prefer = &s.session.Law
	}
	session, err := Read(body, prefer)
	if err != nil {
		return err
	}
	if prefer != nil && session.Law != *prefer {
		return ErrCodec
	}
	if session.Peer != s.session.Peer {
		s.former, s.source, s.pressed = s.source, netip.AddrPort{}, false
	}
	s.session, s.agreed, s.heard = session, true, s.all.cfg.Clock.Now()
	return nil
}

// Law is the law that is spoken.
func (s *Stream) Law() sound.Law {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session.Law
}

// Play plays recordings in the stream's law, in place of what is played, and returns
// what is closed when they are over, a key was typed, or others take their place. Nothing of them may be
// changed meanwhile.
func (s *Stream) Play(clips ...[]byte) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop()
	s.playing, s.at, s.done = clips, 0, make(chan struct{})
	s.out.Marker = true
	done := s.done
	if s.gone || len(clips) == 0 {
		s.stop()
	}
	return done
}

// stop ends what is played.
func (s *Stream) stop() {
	if s.playing = nil; s.done != nil {
		close(s.done)
		s.done = nil
	}
}

// Bridge lets two streams hear each other from now on, instead of recordings.
func Bridge(a, b *Stream) {
	for _, two := range [2][2]*Stream{{a, b}, {b, a}} {
		two[0].mu.Lock()
		two[0].stop()
		two[0].bridge, two[0].relay, two[0].flowing = two[1], nil, false
		two[0].mu.Unlock()
	}
}

// Part ends a bridge.
func (s *Stream) Part() {
	s.mu.Lock()
	other := s.bridge
	s.bridge, s.relay, s.flowing = nil, nil, false
	s.mu.Unlock()
	if other != nil {
		other.mu.Lock()
		if other.bridge == s {
			other.bridge, other.relay, other.flowing = nil, nil, false
		}
		other.mu.Unlock()
	}
}

// Close ends the stream. It may be called again.
func (s *Stream) Close() {
	s.Part()
	s.all.drop(s)
	s.mu.Lock()
	s.gone = true
	s.stop()
	s.mu.Unlock()
	_ = s.conn.Close() // nothing is kept in it
	<-s.closed
}

// send sends the next frame: what is played, what the bridge brought, or silence, so that
// nobody between us takes the call for over. gap is how much was not sent in time by any stream so far, in samples:
// what follows is played after a pause, and not late for ever.
func (s *Stream) send(now purchase.Instant, gap uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.agreed || s.gone {
		return
	}
	if now.Sub(s.heard) > s.all.cfg.Patience && !s.session.Hold {
		select {
		case <-s.lost:
		default:
			close(s.lost)
		}
	}
	if s.gap != gap {
		s.out.Timestamp += gap - s.gap
		s.out.Marker, s.gap = true, gap
	}
	s.out.PayloadType = uint8(s.session.Law)
	if n, err := s.out.MarshalTo(s.packet[:]); err != nil || n != rtpHeader {
		panic(fmt.Sprintf("media: a header of our own cannot be written: %d bytes, %v", n, err))
	}
	s.fill(s.packet[rtpHeader:])
	to := s.session.Peer
	if s.source.IsValid() {
		to = s.source
	}
	if !s.session.Hold {
		if _, err := s.conn.WriteToUDPAddrPort(s.packet[:], to); err == nil {
			s.all.sent.Add(1)
		}
	}
	s.out.SequenceNumber++
	s.out.Timestamp += frameBytes
	s.out.Marker = false
}

// fill writes the sound of a frame.
func (s *Stream) fill(to []byte) {
	if s.bridge != nil {
		if s.flowing = len(s.relay) >= frameBytes && (s.flowing || len(s.relay) >= relayAt); s.flowing {
			copy(to, s.relay)
			s.relay = append(s.relay[:0], s.relay[frameBytes:]...)
			return
		}
	}
	for len(to) > 0 && len(s.playing) > 0 {
		n := copy(to, s.playing[0][s.at:])
		to, s.at = to[n:], s.at+n
		if s.at == len(s.playing[0]) {
			s.playing, s.at = s.playing[1:], 0
			if len(s.playing) == 0 {
				s.stop()
			}
		}
	}
	for i := range to {
		to[i] = s.session.Law.Silence()
	}
}

// receive takes what comes until the stream is closed.
func (s *Stream) receive() {
	defer close(s.closed)
	var data [maxPacket]byte
	var p rtp.Packet
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(data[:])
		if err != nil {
			if s.over() {
				return
			}
			continue // as when nobody listens where we send to
		}
		if p = (rtp.Packet{}); p.Unmarshal(data[:n]) != nil || p.Version != 2 {
			s.strangers.Add(1)
			continue
		}
		if to, law, payload := s.take(&p, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())); to != nil {
			to.hear(law, payload)
		}
	}
}

func (s *Stream) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// take sorts a packet, and returns whom its sound is for. Only packets from the address that
// was agreed are taken, and of one port of it: the agreed one or, until that speaks, the first that
// does, for others translate ports.
func (s *Stream) take(p *rtp.Packet, from netip.AddrPort) (to *Stream, law sound.Law, payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	peer := netip.AddrPortFrom(s.session.Peer.Addr().Unmap(), s.session.Peer.Port())
	if !s.agreed || from.Addr() != peer.Addr() || from != peer && (from == s.former || s.source.IsValid() && from != s.source) {
		s.strangers.Add(1)
		return nil, 0, nil
	}
	s.source, s.heard = from, s.all.cfg.Clock.Now()
	switch {
	case s.session.Keys != 0 && p.PayloadType == s.session.Keys:
		s.key(p)
	case s.bridge != nil && p.PayloadType == uint8(s.session.Law):
		return s.bridge, s.session.Law, p.Payload
	}
	return nil, 0, nil
}

// events are the keys of RFC 4733, table 3.
const events = "0123456789*#ABCD"

// key takes a telephone event, once however often it is sent: all packets of an event
// have the timestamp of its beginning (RFC 4733, section 2.5.1.2).
func (s *Stream) key(p *rtp.Packet) {
	if len(p.Payload) < 4 || int(p.Payload[0]) >= len(events) {
		return
	}
	if s.pressed && p.SSRC == s.ssrc && int32(p.Timestamp-s.event) <= 0 { //nolint:gosec // timestamps wrap around
		return
	}
	s.event, s.ssrc, s.pressed = p.Timestamp, p.SSRC, true
	s.stop() // who types has heard enough
	select {
	case s.keys <- events[p.Payload[0]]:
	default:
	}
}

// hear takes the sound of the other side of a bridge.
func (s *Stream) hear(law sound.Law, payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bridge == nil {
		return
	}
	switch {
	case law == s.session.Law:
	case s.session.Law == sound.ALaw:
		payload = g711.Ulaw2Alaw(payload)
	default:
		payload = g711.Alaw2Ulaw(payload)
	}
	s.relay = append(s.relay, payload...)
	if over := len(s.relay) - maxRelay; over > 0 {
		s.relay = append(s.relay[:0], s.relay[over:]...)
	}
}
